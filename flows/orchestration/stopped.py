"""Runs that do not come to their own end: why, how far they were, and the page that they leave."""

from __future__ import annotations

import logging
from dataclasses import dataclass
from typing import Final
from uuid import UUID

from prefect.client.orchestration import get_client
from prefect.exceptions import CancelledRun, CrashedRun, FailedRun
from prefect.runtime import flow_run

from adapters import interrupts
from flows.orchestration.artifacts import RunMeter, named, show_end
from flows.orchestration.page import Ended
from flows.session.stores import store_of
from flows.spec.model import Spec
from transforms.vocabulary import SynclineError

MEANT: Final = (SynclineError, FailedRun, CancelledRun, CrashedRun)
GO_ON: Final = "Run it again: it goes on from there."


class _Told(logging.Filter):
    """Passes over what Prefect logs, with a traceback, of an end that the run's log and state have told already: a process that a
    worker started ends with the exception of its state."""

    def filter(self, record: logging.LogRecord) -> bool:
        return not (record.exc_info and isinstance(record.exc_info[1], MEANT))


_TOLD: Final = _Told()


def told_once() -> None:
    """Let the log of flow runs tell ends that were meant in one line."""
    logging.getLogger("prefect.flow_runs").addFilter(_TOLD)


@dataclass(slots=True)
class Far:
    """How far a flow is, as far as it has told: its spec, its run, and the meter of its work."""

    name: str
    spec: Spec | None = None
    run_id: str | None = None
    meter: RunMeter | None = None

    def show(self, said: str, next_: str) -> None:
        """Publish the page of the end."""
        progress = self.meter.markdown() if self.meter is not None and self.meter.parts else ""
        if self.spec is None:
            show_end(self.name, Ended(said, next_, progress))
            return
        served = Ended(said, next_, progress, self._report, self.spec.state.reports, named(self.spec))
        show_end(self.spec.name, served)

    @property
    def _report(self) -> str | None:
        """The run whose page is in the store; of a backfill, the step that it was at."""
        if self.spec is None or self.run_id is None:
            return None
        folder = store_of(self.spec).evidence_folder(self.run_id)
        found = [*folder.glob("report.html"), *folder.parent.glob(f"{folder.name}-*/report.html")]
        return max(found).parent.name if found else None


def cancelling() -> bool:
    """Whether somebody asked Prefect to cancel this flow run, or one above it; no where Prefect cannot be asked now."""
    try:
        with get_client(sync_client=True) as client:
            ids = {str(flow_run.id), str(flow_run.root_flow_run_id)} - {"None"}
            states = [client.read_flow_run(UUID(each)).state for each in ids]
    except Exception:
        return False
    return any(state is not None and (state.is_cancelling() or state.is_cancelled()) for state in states)


def stopped_text(stop: BaseException, *, cancelled: bool) -> str:
    """Why a run was stopped, and what of it is in the target."""
    words = interrupts.stop_words(stop)
    words = f"{words[:1].upper()}{words[1:]}"
    if interrupts.received() is not None:
        return words
    return " ".join(["Cancelled." if cancelled else words, *getattr(stop, "__notes__", ())])
