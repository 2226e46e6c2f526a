"""Whole commands: a plan, a run, a backfill, a verification, each with its record in the ledger."""

from __future__ import annotations

import tempfile
from collections.abc import Callable, Iterator, Mapping, Sequence
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
from flows import runbook
from flows.ranges import steps
from flows.report import Report, TableReport
from flows.runbook import AppliedPlan, Execute, Request, opened, store_of
from flows.session import Job, Meter, Session
from flows.spec import Spec, load_spec
from flows.spec_errors import meant
from flows.spec_urls import resolve_url
from transforms.vocabulary import Counts, SpecError, SynclineError

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
    apart = any(f"{told.name}.{reason.split(': ')[0]}" in computed for told in report.tables for reason in told.reasons)
    return Outcome(replace(report, plan=None), Status.CHANGES if report.total.changes or apart else Status.DONE)


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
    report = _report_of(plan)
    with ExitStack() as stack:
        session = stack.enter_context(opened(spec, meter))
        ledger = stack.enter_context(ledger_of(spec))
        stack.enter_context(_sole_writer(session, ledger, report.run_id, now))
        ledger.start_run(report.run_id, spec.name, "apply", spec.digest, plan=str(folder))
        stack.enter_context(_failures(ledger, report.run_id))
        if over := over_limit(spec, report.total):
            ledger.finish_run(report.run_id, "quarantine", counts=report.as_dict(), message=over)
            return Outcome(report, Status.QUARANTINE, over)
        job = Job(str(spec.path.absolute()), report.run_id, str(folder), now())
        applied = runbook.apply(plan, job, session, execute, workers)
        outcome = _record(plan, report, applied, session, ledger, message, now, perf_counter() - began)
        runbook.constrain(plan, session)
        return outcome


def history(spec: Spec) -> list[dict[str, Any]]:
    """The versions of a migration, newest first, as JSON-ready objects."""
    with ledger_of(spec) as ledger:
        return [plain(asdict(version)) for version in ledger.versions(spec.name)]


def quarantined(spec: Spec, tables: Sequence[str], limit: int) -> tuple[list[dict[str, Any]], dict[str, int]]:
    """What is in quarantine: the first rows, and how many there are by table."""
    for name in tables:
        if name not in spec.tables:
            raise SpecError(f"The spec has no table {name}. {meant(name, spec.tables)}")
    totals: dict[str, int] = {}
    listed: list[dict[str, Any]] = []
    with ledger_of(spec) as ledger:
        for (table, _), count in ledger.count_quarantined(spec.name).items():
            if not tables or table in tables:
                totals[table] = totals.get(table, 0) + count
        for table in sorted(totals):
            rows = ledger.quarantined(spec.name, table, limit - len(listed)) if len(listed) < limit else []
            listed += [plain(asdict(row)) for row in rows]
    return listed, totals


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
        report, job = runbook.plan(request, session, execute)
        if over := over_limit(spec, report.total):
            ledger.finish_run(request.run_id, "quarantine", counts=report.as_dict(), message=over)
            return Outcome(report, Status.QUARANTINE, over)
        plan = Plan.open(Path(str(report.plan)))
        applied = runbook.apply(plan, job, session, execute, request.workers)
        outcome = _record(plan, report, applied, session, ledger, message, now, perf_counter() - began)
        runbook.constrain(plan, session)
        return outcome


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
        if not manifest["ranges"]:
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


def _report_of(plan: Plan) -> Report:
    """The report of a plan that was made earlier, from its manifest."""
    manifest: Mapping[str, Any] = plan.manifest
    tables = tuple(
        TableReport(
            table["name"],
            table["target"],
            Counts(**table["counts"]),
            tuple(table["ddl"]),
            table["differing"],
            table["reasons"],
            (),
            table["windows"],
            tuple(table.get("after_load", ())),
        )
        for table in manifest["tables"]
    )
    return Report(
        manifest["migration"], manifest["run_id"], str(plan.folder), None, 0.0, tables, tuple(manifest["warnings"])
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
