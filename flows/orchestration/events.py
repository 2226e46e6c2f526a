"""Events that automations can act on: what runs did, what waits for somebody, and that a source has changed.

Each is about the resource `syncline.migration.NAME`. Payloads have names, counts and keys, and no other values of rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final

from prefect.events import Event, Resource, emit_event

from flows.commands import Outcome, Status
from flows.follow.lag import Brought
from flows.results.tables import Report
from flows.spec.model import Spec

VERIFIED: Final = "syncline.run.verified"
DIFFERENCE: Final = "syncline.difference.found"
CONFLICT: Final = "syncline.row.conflict"
QUARANTINE: Final = "syncline.quarantine.rows"
CHANGED: Final = "syncline.source.changed"
LAG: Final = "syncline.lag"
MOST: Final = 50  # rows in conflict that have an event each, and keys that one event names

ENDS: Final[Mapping[Status, str]] = {
    Status.DONE: "syncline.run.done",
    Status.CHANGES: "syncline.run.waiting",
    Status.CHECKPOINT: "syncline.run.checkpoint",
    Status.QUARANTINE: "syncline.run.quarantine",
    Status.CONFLICTS: "syncline.run.conflicts",
    Status.HOOK: "syncline.run.hook",
    Status.ERROR: "syncline.run.failed",
}
"""What is emitted at the end of a run, by how it ended."""


def resource(migration: str) -> dict[str, str]:
    """What an event is about."""
    return {"prefect.resource.id": f"syncline.migration.{migration}", "prefect.resource.name": migration}


def announce_proof(spec: Spec, outcome: Outcome) -> None:
    """Both sides are equal, or rows differ."""
    _emit(spec, DIFFERENCE if outcome.status else VERIFIED, _counts(outcome.report))


def announce_run(spec: Spec, outcome: Outcome) -> None:
    """How a run ended; the rows that it left in conflict; and how many it set aside, by table and reason."""
    report = outcome.report
    _emit(spec, ENDS[outcome.status], {**_counts(report), "message": outcome.message})
    for met in report.met[:MOST]:
        _emit(spec, CONFLICT, {"table": met.table, "key": met.key, "run": report.run_id})
    for told in report.of_spec:
        if told.counts.quarantined:
            reasons = [
                {"code": reason.code, "column": reason.column, "rows": rows} for reason, rows in told.reasons.items()
            ]
            facts = {"table": told.name, "rows": told.counts.quarantined, "reasons": reasons[:MOST]}
            _emit(spec, QUARANTINE, {**facts, "run": report.run_id})


def announce_failure(migration: str, message: str) -> None:
    """A run ended in an error before it could say more."""
    emit_event(event=ENDS[Status.ERROR], resource=resource(migration), payload={"message": message})


def announce_lag(spec: Spec, brought: Brought) -> None:
    """How far behind a follower is."""
    _emit(spec, LAG, brought.as_dict())


def changed(migration: str, tables: Sequence[str], rows: Sequence[str]) -> Event:
    """That a source has changed: some tables, or rows such as customer:42; all where both are empty.

    `ids`, and not `keys`, is what rows are called in the payload: a template of an automation would take that for a method.
    """
    return Event(
        event=CHANGED, resource=Resource(resource(migration)), payload={"tables": list(tables), "ids": list(rows)}
    )


def _counts(report: Report) -> dict[str, Any]:
    return {**report.as_dict(), "changes": report.total.changes, "total": report.total.as_dict()}


def _emit(spec: Spec, event: str, payload: dict[str, Any]) -> None:
    emit_event(event=event, resource=resource(spec.name), payload=payload)
