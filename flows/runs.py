"""Whole commands: a plan, a run, a backfill, a verification, each with its record in the ledger."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from enum import IntEnum
from pathlib import Path
from time import perf_counter
from typing import Any

import pyarrow as pa

from adapters.ledger import Ledger
from adapters.planstore import Plan, plain
from flows import checkpoints, evidence, runbook
from flows.binding import validate
from flows.ranges import steps
from flows.reconciling import reconciled
from flows.report import Checkpoint, Report, TableReport, report_of
from flows.runbook import AppliedPlan, Execute, Request, opened, store_of
from flows.session import Job, Meter, Session
from flows.spec import Spec, load_spec
from flows.spec_urls import resolve_url
from transforms.vocabulary import Counts, PlanError, SpecError, SynclineError

Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


class Status(IntEnum):
    """How a command ends; the numbers are its exit statuses."""

    DONE = 0
    ERROR = 1
    CHANGES = 2
    CHECKPOINT = 3
    QUARANTINE = 4
    CONFLICTS = 5


@dataclass(frozen=True, slots=True)
class Outcome:
    """What a command did and how it ends; `message` says what a person should know or do next."""

    report: Report
    status: Status
    message: str = ""


def plan(request: Request, *, execute: Execute[Any, Any] | None = None, meter: Meter | None = None) -> Outcome:
    """Write a plan down; the target is not touched. CHANGES where there are any, else DONE."""
    with opened(request.spec, meter) as session:
        report, _ = runbook.plan(request, session, execute)
    return Outcome(report, Status.CHANGES if report.pending else Status.DONE)


def verify(request: Request, *, execute: Execute[Any, Any] | None = None, meter: Meter | None = None) -> Outcome:
    """Plan into a folder of its own that is thrown away: both sides are equal when the plan is empty.

    A value that the target's own computed column could not even hold is a difference, too.
    """
    with tempfile.TemporaryDirectory(prefix="syncline-verify-") as folder, opened(request.spec, meter) as session:
        asked = replace(request, kind="verify", folder=Path(folder) / "plan")
        report, _ = runbook.plan(asked, session, execute, check_deletes=False)
        computed = {f"{each.name}.{column.shape.name}" for each in session.bound.tables for column in each.computed}
        held = tuple(reconciled(session, {told.name: told.tally for told in report.tables}))
        told_of = ((told.name, reason.split(": ")[0]) for told in report.tables for reason in told.reasons)
        apart = any(f"{name}.{column}" in computed for name, column in told_of)
        report = replace(report, plan=None, reconciled=held)
        outcome = Outcome(report, Status.CHANGES if report.total.changes or apart else Status.DONE)
        return _evident(outcome, session, "verify", request.at, request.ranges)


def run(
    request: Request,
    *,
    execute: Execute[Any, Any] | None = None,
    meter: Meter | None = None,
    dry_run: bool = False,
    message: str = "",
    now: Clock = utc_now,
) -> Outcome:
    """Plan and apply under the migration's lock. With `dry_run` it stops after the plan."""
    with opened(request.spec, meter) as session, ledger_of(request.spec) as ledger:
        if dry_run:
            report, _ = runbook.plan(request, session, execute)
            return Outcome(report, Status.CHANGES if report.pending else Status.DONE)
        with _sole_writer(session, ledger, request.run_id, now):
            return _run(request, session, ledger, execute, message, now)


def backfill(
    request: Request,
    every: str | None = None,
    *,
    execute: Execute[Any, Any] | None = None,
    meter: Meter | None = None,
    now: Clock = utc_now,
) -> Outcome:
    """Run one range step by step. A step that an earlier backfill of the same spec and range finished is passed over."""
    if len(request.ranges) != 1:
        raise SpecError("A backfill takes exactly one range. Fix: give one --range.")
    began = perf_counter()
    text = request.ranges[0]
    parts = list(steps(text, every))
    outcomes: list[Outcome] = []
    with opened(request.spec, meter) as session, ledger_of(request.spec) as ledger:
        spec = request.spec
        with _sole_writer(session, ledger, request.run_id, now):
            done = ledger.steps_done(spec.name, spec.digest, str(text))
            for number, part in enumerate(parts):
                if (part.start, part.stop) in done:
                    continue
                step = replace(
                    request,
                    run_id=f"{request.run_id}-{number:04d}" if len(parts) > 1 else request.run_id,
                    ranges=(part,),
                )
                outcome = _run(step, session, ledger, execute, f"backfill {part}", now)
                outcomes.append(outcome)
                if outcome.status is Status.DONE:  # a step with conflicts is tried again
                    ledger.add_step(spec.name, spec.digest, str(text), part.start, part.stop, step.run_id)
                if outcome.status not in (Status.DONE, Status.CONFLICTS):
                    break
    return _together(request, outcomes, len(parts), perf_counter() - began)


def apply_plan(
    folder: Path,
    *,
    execute: Execute[Any, Any] | None = None,
    meter: Meter | None = None,
    message: str = "",
    now: Clock = utc_now,
) -> Outcome:
    """Apply a plan that was made earlier, exactly."""
    began = perf_counter()
    plan = Plan.open(folder)
    plan.verify()
    spec = load_spec(Path(plan.manifest["spec"]["path"]))
    workers = spec.defaults.runner.workers or 2
    report = report_of(plan)
    with ExitStack() as stack:
        session = stack.enter_context(opened(spec, meter))
        ledger = stack.enter_context(ledger_of(spec))
        stack.enter_context(_sole_writer(session, ledger, report.run_id, now))
        ledger.start_run(report.run_id, spec.name, "apply", spec.digest, plan=str(folder))
        stack.enter_context(_failures(ledger, report.run_id))
        validate(spec, session.bound)
        job = Job(str(spec.path.absolute()), report.run_id, str(folder), now())
        outcome = _load(plan, report, job, session, ledger, execute, workers, message, now, began)
        return _evident(outcome, session, "apply", now(), plan.manifest["ranges"])


def history(spec: Spec) -> list[dict[str, Any]]:
    """The versions of a migration, newest first, as JSON-ready objects."""
    with ledger_of(spec) as ledger:
        return [plain(asdict(version)) for version in ledger.versions(spec.name)]


def over_limit(spec: Spec, total: Counts) -> str:
    """Why the quarantine is larger than the spec allows; empty where it is not."""
    limit = spec.defaults.quarantine
    most = [limit.max_rows] if limit.max_rows is not None else []
    if limit.max_ratio is not None:
        most.append(int(limit.max_ratio * total.source_rows))
    if not most or total.quarantined <= min(most):
        return ""
    return (
        f"{total.quarantined:,} of {total.source_rows:,} source rows would go to quarantine, and the limit is {min(most):,} "
        f"({spec.where('defaults', 'quarantine')}). Nothing was written. Fix: mend the rows, or raise the limit."
    )


@contextmanager
def ledger_of(spec: Spec) -> Iterator[Ledger]:
    ledger = Ledger(resolve_url(spec.state.url))
    try:
        yield ledger
    finally:
        ledger.close()


@contextmanager
def _sole_writer(session: Session, ledger: Ledger, run_id: str, now: Clock) -> Iterator[None]:
    """One writer for each migration: the target's own lock where it has one, and the ledger's lease."""
    with ExitStack() as stack:
        stack.enter_context(session.target.lock(session.spec.name))
        stack.enter_context(ledger.lease(session.spec.name, run_id, now))
        yield


@contextmanager
def _failures(ledger: Ledger, run_id: str) -> Iterator[None]:
    """A run that fails says so in the ledger."""
    try:
        yield
    except BaseException as error:
        text = str(error) if isinstance(error, SynclineError) else f"{type(error).__name__}: {error}"
        ledger.finish_run(run_id, "failed", message=text)
        raise


def _run(
    request: Request, session: Session, ledger: Ledger, execute: Execute[Any, Any] | None, message: str, now: Clock
) -> Outcome:
    began = perf_counter()
    spec = request.spec
    ledger.start_run(request.run_id, spec.name, request.kind, spec.digest)
    with _failures(ledger, request.run_id):
        validate(spec, session.bound)
        report, job = runbook.plan(request, session, execute)
        plan = Plan.open(Path(str(report.plan)))
        outcome = _load(plan, report, job, session, ledger, execute, request.workers, message, now, began)
        return _evident(outcome, session, request.kind, request.at, request.ranges)


def _evident(outcome: Outcome, session: Session, kind: str, at: datetime, ranges: Sequence[Any]) -> Outcome:
    """The outcome with the page that its evidence made; a warning where the store cannot take it."""
    status, report = outcome.status.name.lower(), outcome.report
    told = evidence.evidence(session, report, kind, at, status, outcome.message, [str(each) for each in ranges])
    try:
        page = str(evidence.keep(store_of(session.spec), told))
    except PlanError as error:
        return replace(outcome, report=replace(report, warnings=(*report.warnings, f"No evidence was kept: {error}")))
    return replace(outcome, report=replace(report, page=page))


def _load(
    plan: Plan,
    report: Report,
    job: Job,
    session: Session,
    ledger: Ledger,
    execute: Execute[Any, Any] | None,
    workers: int,
    message: str,
    now: Clock,
    began: float,
) -> Outcome:
    """Apply a plan between its two checkpoints. Nothing is written where the first one, or the quarantine, says no."""
    if over := over_limit(session.spec, report.total):
        ledger.finish_run(report.run_id, "quarantine", counts=report.as_dict(), message=over)
        return Outcome(report, Status.QUARANTINE, over)
    report = _with_checks(report, checkpoints.planned(plan, report, session))
    if why := checkpoints.stopped(report.checkpoints):
        why = f"The planned checkpoint failed: {why}. Nothing was written. Fix: mend the rows, or the rule in {session.spec.path}."
        ledger.finish_run(report.run_id, "checkpoint", counts=report.as_dict(), message=why)
        return Outcome(report, Status.CHECKPOINT, why)
    applied = runbook.apply(plan, job, session, execute, workers)
    outcome = _record(plan, report, applied, session, ledger, message, now, perf_counter() - began)
    runbook.constrain(plan, session)
    found = checkpoints.loaded(plan, outcome.report, session)
    outcome = replace(outcome, report=_reconciled(_with_checks(outcome.report, found), plan, session))
    if why := checkpoints.stopped(found):
        why = f"The loaded checkpoint failed: {why}. The rows are in the target. Fix: look at them, mend the source and run again."
        ledger.finish_run(report.run_id, "checkpoint", message=why)
        return replace(outcome, status=Status.CHECKPOINT, message=why)
    return outcome


def _with_checks(report: Report, found: Sequence[Checkpoint]) -> Report:
    warnings = (*report.warnings, *checkpoints.noticed(found))
    return replace(report, checkpoints=(*report.checkpoints, *found), warnings=warnings)


def _reconciled(report: Report, plan: Plan, session: Session) -> Report:
    """The report with the totals of both sides."""
    tallies = {told.name: told.tally for told in report.tables}
    if plan.manifest.get("keys") is not None:
        return report  # a handful of keys says nothing of the whole table
    found = tuple(reconciled(session, tallies, plan.manifest["ranges"]))
    warnings = (*report.warnings, *(each.told for each in found if each.differences))
    return replace(report, reconciled=found, warnings=warnings)


def _record(
    plan: Plan,
    report: Report,
    applied: AppliedPlan,
    session: Session,
    ledger: Ledger,
    message: str,
    now: Clock,
    seconds: float,
) -> Outcome:
    """Put what was done into the ledger: conflicts, quarantine, a version where something changed."""
    spec, manifest = session.spec, plan.manifest
    tables = tuple(
        replace(table, counts=replace(table.counts, conflicts=applied.conflicts(table.name))) for table in report.tables
    )
    report = replace(report, tables=tables, seconds=seconds)
    clashes = 0
    for done in applied.done:
        if done.conflicts is not None:
            clashes += ledger.record_conflicts(spec.name, done.table, done.conflicts, report.run_id)
    for table in tables:
        for rows in plan.quarantined(spec.target_table(table.name)):
            # the ledger speaks of tables as the spec names them
            named = rows.set_column(0, "table", pa.repeat(pa.scalar(table.name), rows.num_rows))
            ledger.record_quarantine(spec.name, named, report.run_id, str(plan.folder))
        if manifest.get("keys") is not None:
            ledger.sweep_quarantine(spec.name, table.name, report.run_id, manifest["keys"].get(table.name, ()))
        elif not manifest["ranges"]:
            ledger.sweep_quarantine(spec.name, table.name, report.run_id)
    version = None
    if report.total.changes > clashes:
        version = ledger.add_version(
            spec.name,
            plan=str(plan.folder),
            run_id=report.run_id,
            spec_digest=spec.digest,
            counts=report.total.as_dict(),
            source_mark=manifest["source"]["mark"],
            target_mark=manifest["target"]["mark"],
            author=runbook.author(),
            message=message,
        )
    report = replace(report, version=version)
    store_of(spec).mark_latest(spec.name, report.run_id)
    ledger.finish_run(
        report.run_id,
        "conflicts" if clashes else "done",
        counts=report.as_dict(),
        version=version,
        plan=str(plan.folder),
    )
    if not clashes:
        return Outcome(report, Status.DONE)
    first = next(conflict for conflict in ledger.conflicts(spec.name) if conflict.run_id == report.run_id)
    return Outcome(
        report,
        Status.CONFLICTS,
        f"{clashes:,} rows changed in the target after planning and were left as they are, such as "
        f"{first.table_name} {first.key}. Fix: look at them, then run again.",
    )


def _together(request: Request, outcomes: Sequence[Outcome], steps_in_all: int, seconds: float) -> Outcome:
    """The steps of a backfill as one outcome: counts added up, the worst status, the newest version."""
    tables: dict[str, TableReport] = {}
    for outcome in outcomes:
        for table in outcome.report.tables:
            known = tables.get(table.name)
            tables[table.name] = table if known is None else _added(known, table)
    versions = [o.report.version for o in outcomes if o.report.version is not None]
    report = Report(
        request.spec.name,
        request.run_id,
        outcomes[-1].report.plan if outcomes else None,
        versions[-1] if versions else None,
        seconds,
        tuple(tables.values()),
        tuple(dict.fromkeys(warning for outcome in outcomes for warning in outcome.report.warnings)),
        tuple(checkpoint for outcome in outcomes for checkpoint in outcome.report.checkpoints),
    )
    status = max((o.status for o in outcomes), default=Status.DONE)
    passed = steps_in_all - len(outcomes)
    note = "; ".join(o.message for o in outcomes if o.message)
    if passed and status in (Status.DONE, Status.CONFLICTS):
        note = f"{passed} of {steps_in_all} steps were done before. {note}".strip()
    return Outcome(report, status, note)


def _added(one: TableReport, other: TableReport) -> TableReport:
    reasons = dict(one.reasons)
    for reason, count in other.reasons.items():
        reasons[reason] = reasons.get(reason, 0) + count
    return replace(one, counts=one.counts + other.counts, reasons=reasons, windows=one.windows + other.windows)
