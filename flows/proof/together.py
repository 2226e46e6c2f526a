"""Several runs as one outcome: the steps of a backfill."""

from __future__ import annotations

from collections.abc import Hashable, Mapping, Sequence
from dataclasses import replace
from typing import TypeVar

from flows.plan.request import Request
from flows.plan.thresholds import set_aside
from flows.proof import orphans
from flows.results.conflicts import SHOWN
from flows.results.outcome import Outcome, Status
from flows.results.tables import Report, TableReport
from transforms.vocabulary import Counts

Name = TypeVar("Name", bound=Hashable)


def steps_together(request: Request, outcomes: Sequence[Outcome], steps_in_all: int, seconds: float) -> Outcome:
    """The steps of a backfill as one outcome: counts added up, the worst status, the newest version."""
    report = _report(request, outcomes, seconds)
    report = replace(report, met=tuple(each for outcome in outcomes for each in outcome.report.met)[:SHOWN])
    status = max((o.status for o in outcomes), default=Status.DONE)
    passed = steps_in_all - len(outcomes)
    notes = [outcome.message for outcome in outcomes if outcome.message]
    if status in (Status.DONE, Status.CONFLICTS):
        if waiting := [o for o in outcomes if any(table.waiting for table in o.report.tables)]:
            rows = sum(table.waiting for table in report.tables)
            notes.insert(
                0,
                f"{rows:,} rows were set aside for what other tables lack: {len(waiting):,} of {steps_in_all:,} steps are not done, "
                f"and the same backfill tries them again.",
            )
        if passed:
            notes.insert(0, f"{passed} of {steps_in_all} steps were done before.")
        if status is Status.DONE and (over := set_aside(request.spec, report.counts)):
            status, notes = Status.QUARANTINE, [over, *notes]
    return Outcome(report, status, " ".join(notes))


def _report(request: Request, outcomes: Sequence[Outcome], seconds: float) -> Report:
    """The reports as one, each table added up; without rows that were met."""
    tables: dict[str, TableReport] = {}
    for table in (each for outcome in outcomes for each in outcome.report.tables):
        tables[table.name] = _added(tables[table.name], table) if table.name in tables else table
    versions = [o.report.version for o in outcomes if o.report.version is not None]
    return Report(
        request.spec.name,
        request.run_id,
        outcomes[-1].report.plan if outcomes else None,
        versions[-1] if versions else None,
        seconds,
        tuple(tables.values()),
        tuple(dict.fromkeys(warning for outcome in outcomes for warning in outcome.report.warnings)),
        tuple(checkpoint for outcome in outcomes for checkpoint in outcome.report.checkpoints),
        applied=any(outcome.report.applied for outcome in outcomes),
        data_docs=next((o.report.data_docs for o in reversed(outcomes) if o.report.data_docs), None),
        hooks=tuple(dict.fromkeys(each for outcome in outcomes for each in outcome.report.hooks)),
        orphans=orphans.together([each for outcome in outcomes for each in outcome.report.orphans]),
    )


def _added(one: TableReport, other: TableReport) -> TableReport:
    return replace(
        one,
        counts=one.counts + other.counts,
        reasons=_sum(one.reasons, other.reasons),
        differing=_sum(one.differing, other.differing),
        unproved=_sum(one.unproved, other.unproved),
        waiting=one.waiting + other.waiting,
        back=one.back if other.back is None else other.back + (one.back or Counts()),
        back_differing=_sum(one.back_differing, other.back_differing),
        merged=one.merged + other.merged,
        overruled=one.overruled + other.overruled,
        windows=one.windows + other.windows,
    )


def _sum(one: Mapping[Name, int], other: Mapping[Name, int]) -> dict[Name, int]:
    return {name: one.get(name, 0) + other.get(name, 0) for name in (*one, *other)}
