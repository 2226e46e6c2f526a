"""The flow that follows what changes, for a time."""

from __future__ import annotations

import time
from pathlib import Path
from typing import Annotated, Any, Final

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Completed
from pydantic import Field

from flows.follow.following import Asked, Told
from flows.follow.lag import Brought
from flows.follow.sync import sync as follow
from flows.orchestration.events import announce_lag
from flows.orchestration.run import SpecFile, concluded, ended, run_name
from flows.results.outcome import Outcome
from flows.results.shares import counted
from flows.spec.model import Spec, load_spec

LAG_SECONDS: Final = 10.0  # between two events that tell of the lag


@flow(name="sync", flow_run_name=run_name, persist_result=False)
def sync(
    spec: SpecFile, seconds: Annotated[float, Field(gt=0)] = 3600, once: bool = False, allow_deletes: bool = False
) -> State[Any]:
    """Follow what changes and bring it over, seconds behind, by the spec's `follow:`.

    Each batch is a line of the log; `syncline.lag` is emitted every 10 seconds at most. A run lasts `seconds`, so that a schedule
    starts the next one: whatever it does not bring over, that one does. A plan that is stopped ends it as it ends `migrate`.

    Args:
        spec: The spec's file; a relative path starts from the working directory. Secrets are named in it, never here.
        seconds: How long it goes on.
        once: End as soon as nothing is left to bring over.
        allow_deletes: Delete whatever share of a table the other side does not have any more.
    """

    def work() -> State[Any]:
        loaded = load_spec(Path(spec))
        outcome, totals = follow(
            Asked(Path(spec), once=once, seconds=seconds, allow_deletes=allow_deletes), _Logged(loaded)
        )
        if outcome is not None:
            return concluded(loaded, outcome)
        changes = counted(sum(totals.changes.values()), "change")
        return Completed(message=f"{changes} brought over in {totals.batches:,} batches, {totals.rows:,} rows written.")

    return ended(work)


class _Logged(Told):
    """Tells the run's log, and who waits for events."""

    def __init__(self, spec: Spec) -> None:
        self._spec, self._log, self._told = spec, get_run_logger(), 0.0

    def began(self, first: bool) -> None:
        self._log.info("Both sides are compared in full first." if first else "Going on from where it was left.")

    def compared(self, outcome: Outcome) -> None:
        total = outcome.report.total
        self._log.info("Compared in full: +%d ~%d -%d.", total.insert, total.update, total.delete)

    def brought(self, brought: Brought) -> None:
        counts, changes = brought.target, brought.told
        line = "%d changes: +%d ~%d -%d, %d on the source, %d set aside, lag %.1f s."
        self._log.info(
            line, changes, counts.insert, counts.update, counts.delete, brought.source.changes, brought.waiting, brought.lag
        )  # fmt: skip
        if time.monotonic() - self._told >= LAG_SECONDS:
            self._told = time.monotonic()
            announce_lag(self._spec, brought)

    def notice(self, text: str) -> None:
        self._log.warning(text)
