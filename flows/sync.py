"""The flow that follows what changes, for a time."""

from __future__ import annotations

import logging
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Annotated, Any, Final

from prefect import flow, get_run_logger
from prefect.client.schemas.objects import State
from prefect.states import Completed, Failed
from pydantic import Field

from flows.follow.following import Asked, Told
from flows.follow.lag import Brought, Totals
from flows.follow.members import Ended, sync_each
from flows.follow.sync import sync as follow
from flows.orchestration.events import announce_lag
from flows.orchestration.members import MemberNames, asked_members
from flows.orchestration.run import SpecFile, concluded, ended, run_name
from flows.results.outcome import Outcome
from flows.results.shares import counted
from flows.session.members import Chosen
from flows.spec.model import Spec, load_spec

Log = logging.Logger | logging.LoggerAdapter[Any]
LAG_SECONDS: Final = 10.0  # between two events that tell of the lag


@flow(name="sync", flow_run_name=run_name, persist_result=False)
def sync(
    spec: SpecFile,
    seconds: Annotated[float, Field(gt=0)] = 3600,
    once: bool = False,
    allow_deletes: bool = False,
    clients: MemberNames = [],  # noqa: B006 - Prefect shows the default, and nobody changes it
    targets: MemberNames = [],  # noqa: B006
) -> State[Any]:
    """Follow what changes and bring it over, seconds behind, by the spec's `follow:`.

    Each batch is a line of the log; `syncline.lag` is emitted every 10 seconds at most. A run lasts `seconds`, so that a schedule
    starts the next one: whatever it does not bring over, that one does. A plan that is stopped ends it as it ends `migrate`.

    Args:
        spec: The spec's file; a relative path starts from the working directory. Secrets are named in it, never here.
        seconds: How long it goes on.
        once: End as soon as nothing is left to bring over.
        allow_deletes: Delete whatever share of a table the other side does not have any more.
        clients: Of a spec with several clients only these; all when empty. All are followed at once, and one that fails stops no other.
        targets: So of a spec with several targets.
    """

    def work() -> State[Any]:
        asked, log = Asked(Path(spec), once=once, seconds=seconds, allow_deletes=allow_deletes), get_run_logger()
        if some := asked_members(spec, clients, targets):
            return _of_all(some, sync_each(asked, some, lambda name: _Logged(load_spec(some.own(name)), log)))
        loaded = load_spec(asked.spec)
        outcome, totals = follow(asked, _Logged(loaded, log))
        if outcome is not None:
            return concluded(loaded, outcome)
        return Completed(message=_in_short(totals))

    return ended(work)


def _in_short(totals: Totals) -> str:
    changes = counted(sum(totals.changes.values()), "change")
    return f"{changes} brought over in {totals.batches:,} batches, {totals.rows:,} rows written."


def _of_all(some: Chosen, each: Mapping[str, Ended]) -> State[Any]:
    """Failed where one did, where none is there, or a target is not."""
    away = [name for name, end in each.items() if end.away]
    gone = f" Away: {', '.join(away)}." if away else ""
    bad = [f"{name}: {end.error or (end.outcome and end.outcome.message)}" for name, end in each.items() if end.status]
    if len(away) == len(each):
        bad = [f"No {some.word} is there."]
    said = [f"{name}: {_in_short(end.totals)}" for name, end in each.items() if end.totals is not None]
    if bad or some.status_of(0, away=bool(away)):
        return Failed(message=f"{' '.join(bad or said)}{gone}")
    return Completed(message=f"{' '.join(said)}{gone}")


class _Logged(Told):
    """Tells the run's log, and who waits for events."""

    def __init__(self, spec: Spec, log: Log) -> None:
        self._spec, self._log, self._told = spec, log, 0.0
        self._of = f"{spec.member}: " if spec.member is not None else ""

    def began(self, first: bool) -> None:
        self._log.info(
            "%s%s", self._of, "Both sides are compared in full first." if first else "Going on from where it was left."
        )

    def compared(self, outcome: Outcome) -> None:
        total = outcome.report.total
        self._log.info("%sCompared in full: +%d ~%d -%d.", self._of, total.insert, total.update, total.delete)

    def brought(self, brought: Brought) -> None:
        counts, changes = brought.target, brought.told
        line = "%s%d changes: +%d ~%d -%d, %d on the source, %d set aside, lag %.1f s."
        self._log.info(
            line, self._of, changes, counts.insert, counts.update, counts.delete, brought.source.changes, brought.waiting, brought.lag
        )  # fmt: skip
        if time.monotonic() - self._told >= LAG_SECONDS:
            self._told = time.monotonic()
            announce_lag(self._spec, brought)

    def notice(self, text: str) -> None:
        self._log.warning("%s%s", self._of, text)
