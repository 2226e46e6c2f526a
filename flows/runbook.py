"""Plan, apply, verify: gather, decide, act, as plain functions. Prefect and the command line call these."""

from __future__ import annotations

import getpass
import shutil
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import asdict, dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import Any, Literal, TypeVar
from uuid import uuid4

import pyarrow as pa

from adapters import planstore, spill
from adapters.planstore import FileEntry, Plan, PlanWriter, Store
from flows.applying import ApplyWindow, ApplyWork, Done, apply_windows
from flows.binding import BoundTable
from flows.keyless import keyless
from flows.offenders import find_offenders
from flows.planning import Planned, plan_windows
from flows.ranges import RangeText, typed
from flows.reconciling import Tally
from flows.report import Report, TableReport, mended, table_report
from flows.rewritten import rewritten
from flows.session import Job, Meter, Session, connect, shared
from flows.sides import PlanWork, keys_file
from flows.spec import Spec
from flows.spec_errors import meant
from flows.windows import gather_lookups, grouped, windows_of
from transforms.vocabulary import Counts, Phase, PlanError, Relation, SpecError

Work = TypeVar("Work")
Result = TypeVar("Result")
Execute = Callable[[Callable[[Work], Result], Sequence[Work]], Iterable[Result]]
"""Runs a function over works, perhaps elsewhere and at once; yields results in any order, raises what they raise."""

Kind = Literal["plan", "verify", "run", "backfill", "retry"]


@dataclass(frozen=True, slots=True)
class Request:
    """What is asked for: some tables or all, some ranges or everything, or of tables in `keys` those keys alone (as JSON)."""

    spec: Spec
    run_id: str
    at: datetime
    kind: Kind = "plan"
    tables: tuple[str, ...] = ()
    ranges: tuple[RangeText, ...] = ()
    folder: Path | None = None
    workers: int = 2
    keys: Mapping[str, frozenset[str]] | None = None


def new_run_id(at: datetime) -> str:
    """Sorts by time, and two at once differ."""
    return f"{at.astimezone(UTC):%Y%m%dT%H%M%S}-{uuid4().hex[:6]}"


def here(workers: int) -> Execute[Any, Any]:
    """Run works in threads of this process; the first error stops what has not begun."""

    def execute(function: Callable[[Work], Result], works: Sequence[Work]) -> Iterator[Result]:
        if len(works) <= 1 or workers <= 1:
            yield from map(function, works)
            return
        with ThreadPoolExecutor(workers, thread_name_prefix="window") as pool:
            futures = [pool.submit(function, work) for work in works]
            try:
                for future in futures:
                    yield future.result()
            except BaseException:
                pool.shutdown(wait=True, cancel_futures=True)
                raise

    return execute


def selected(request: Request, session: Session) -> tuple[BoundTable, ...]:
    """The tables that a plan covers, parents first: those named, else those with a range, else all."""
    names = set(request.tables) or {r.table for r in request.ranges} or set(request.spec.tables)
    for name in names:
        if name not in request.spec.tables:
            raise SpecError(f"The spec has no table {name}. {meant(name, request.spec.tables)}")
    return tuple(table for table in session.bound.tables if table.name in names | {r.table for r in request.ranges})


def plan(
    request: Request, session: Session, execute: Execute[Any, Any] | None = None, *, check_deletes: bool = True
) -> tuple[Report, Job]:
    """Read both sides from one snapshot each and write down what would change. The target is not touched.

    Errors: SpecError, PlanError and DataError; the folder then holds no plan.
    """
    began = perf_counter()
    tables = selected(request, session)
    folder = request.folder or store_of(request.spec).plan_folder(request.run_id)
    outcomes: list[Planned] = []
    reports: list[TableReport] = []
    warnings = list(session.bound.warnings)
    with begun(request, session, folder) as job:
        for bound in tables:
            planned = plan_table(request, session, job, bound, outcomes, looked_up(bound, tables), execute)
            outcomes += planned
            reports.append(table_report(bound, planned))
            if check_deletes and request.keys is None:
                hold_deletes(request.spec, bound, reports[-1].counts)
            if not request.ranges and request.keys is None and (found := keyless(session, bound, reports[-1].counts)):
                warnings.append(found.told(bound))
            warnings += [*mended(bound, planned), *rewritten(session, job, bound, planned)]
        source, target = session.reading
        marks = {"source": source.mark, "target": target.mark}
    report = Report(
        request.spec.name,
        request.run_id,
        str(folder),
        None,
        perf_counter() - began,
        tuple(replace(told, after_load=_after_load(request, session, told.name, tables)) for told in reports),
        tuple(warnings),
    )
    _finish(request, session, folder, report, outcomes, marks)
    return report, job


@contextmanager
def begun(request: Request, session: Session, folder: Path) -> Iterator[Job]:
    """One snapshot a side is open, and the session can be found; working files go at the end."""
    PlanWriter(folder)
    with session.source.snapshot() as source, session.target.snapshot() as target:
        session.snapshots = (source, target)
        spec = str(request.spec.path.absolute())
        job = Job(spec, request.run_id, str(folder), request.at, source.token, target.token, request.kind == "verify")
        try:
            with shared(request.run_id, session):
                yield job
        finally:
            shutil.rmtree(job.work, ignore_errors=True)


def looked_up(bound: BoundTable, tables: Sequence[BoundTable]) -> bool:
    """Whether a lookup of some table reads this one as the plan will leave it."""
    return any(looked.planned == bound.name for table in tables for looked in table.lookups.values())


def plan_table(
    request: Request,
    session: Session,
    job: Job,
    bound: BoundTable,
    before: Sequence[Planned],
    looked_up: bool,
    execute: Execute[Any, Any] | None = None,
) -> list[Planned]:
    """Plan one table, window by window; `before` are the windows of the tables that it may look into."""
    zone = request.spec.source.time_zone
    ranges = tuple(typed(text, bound, zone) for text in request.ranges if text.table == bound.name)
    there = Relation(bound.shape.name)
    target = session.reading[1]
    empty = bool(bound.ddl) or target.estimate(there) == 0
    work = PlanWork(job, bound.name, (), ranges, empty, looked_up, request.keys is not None)
    if request.keys is not None:
        chosen = pa.table({"key": pa.array(sorted(request.keys.get(bound.name, ())), pa.string())})
        spill.write_rows(keys_file(job, bound.name), [chosen], chosen.schema)
    gather_lookups(session, bound, work, before)
    if bound.identity:
        highest = None if bound.ddl else target.highest(there, bound.identity)
        session.numbers[bound.name] = (highest or 0) + 1
    find_offenders(session, bound, work)
    windows, aside = windows_of(session, bound, work)
    # numbers are given out in order by this process; everything else may run anywhere
    run = here(1) if bound.identity else execute or here(request.workers)
    works = grouped(work, windows, request.workers)
    planned = [outcome for group in run(plan_windows, works) for outcome in group]
    return sorted([*planned, *([aside] if aside else [])], key=lambda outcome: outcome.window)


def hold_deletes(spec: Spec, bound: BoundTable, counts: Counts) -> None:
    """A source that is suddenly empty, or half loaded, must not wipe the target."""
    if not counts.target_rows or not counts.delete or counts.delete <= bound.max_ratio * counts.target_rows:
        return
    why = "The source has no rows at all. " if counts.source_rows == 0 else ""
    raise PlanError(
        f"{bound.name}: {why}This plan would delete {counts.delete:,} of {counts.target_rows:,} target rows "
        f"({counts.delete / counts.target_rows:.0%}), and max_ratio allows {bound.max_ratio:.0%}. Nothing was written. "
        f"Fix: look at the source, or raise delete.max_ratio ({spec.where('tables', bound.name, 'delete')})."
    )


def _after_load(request: Request, session: Session, name: str, tables: Sequence[BoundTable]) -> tuple[str, ...]:
    """What comes after the rows of a table; nothing where a range leaves rows out, nor what refers to a missing table."""
    if request.ranges or request.keys is not None:
        return ()
    planned = {table.name for table in tables}
    missing = {table.shape.name for table in session.bound.tables if table.ddl and table.name not in planned}
    lacking = session.bound.table(name).after_load.lacking
    return tuple(later.statement for later in lacking if later.refers not in missing)


def _finish(
    request: Request,
    session: Session,
    folder: Path,
    report: Report,
    outcomes: Sequence[Planned],
    marks: Mapping[str, str],
) -> None:
    spec = request.spec
    clear = {(o.table, o.window) for o in outcomes if o.clear}
    manifest = {
        "migration": spec.name,
        "run_id": request.run_id,
        "kind": request.kind,
        "created_at": request.at,
        "spec": {"path": str(spec.path.absolute()), "digest": spec.digest, "document": spec.document},
        "source": {"url": session.source.url, "engine": session.source.engine, "mark": marks["source"]},
        "target": {"url": session.target.url, "engine": session.target.engine, "mark": marks["target"]},
        "ranges": [str(text) for text in request.ranges],
        "keys": None if request.keys is None else {name: sorted(some) for name, some in request.keys.items()},
        "seconds": report.seconds,
        "warnings": report.warnings,
        "tables": [
            {
                **{name: value for name, value in asdict(replace(table, tally=Tally())).items() if name != "counts"},
                "counts": table.counts.as_dict(),
                "tally": table.tally.as_dict(),
                "columns": [[c.name, str(c.type)] for c in _images(session, table.name)],
                "clear": sorted(window for name, window in clear if name == table.name),
            }
            for table in report.tables
        ],
    }
    entries = [entry for o in outcomes for entry in (o.changes, o.quarantine) if entry is not None]
    PlanWriter(folder, begun=True).finish(manifest, entries)


def _images(session: Session, table: str) -> list[Any]:
    bound = session.bound.table(table)
    return [column for column in bound.shape.columns if column.name in bound.images]


@dataclass(frozen=True, slots=True)
class AppliedPlan:
    """What applying a plan did."""

    done: tuple[Done, ...]

    def conflicts(self, table: str) -> int:
        """How many rows of the table were left alone because they were not as the plan saw them."""
        return sum(done.conflicts.num_rows for done in self.done if done.table == table and done.conflicts is not None)


def apply(
    plan: Plan, job: Job, session: Session, execute: Execute[Any, Any] | None = None, workers: int = 2
) -> AppliedPlan:
    """Apply a finished plan: create missing tables, then upserts parents first, then deletes children first.

    Each window is one transaction; those whose marker is in the target already are passed over. A table that no other
    one refers to has all its changes in one transaction a window. The caller holds the migration's lock.
    """
    _same_spec(plan, session)
    _same_shapes(plan, session)
    if _create_tables(plan, session):
        session.binding = None  # from here on the tables are what the engine made of them
        _same_shapes(plan, session)
    run = execute or here(workers)
    clear = {(table["name"], window) for table in plan.manifest["tables"] for window in table["clear"]}
    names = [table["name"] for table in plan.manifest["tables"]]
    bound = [table for table in session.bound.tables if table.name in names]
    with shared(job.run_id, session):
        done: list[Done] = []
        for table, phase in _phases(session, bound):
            entries = [e for e in plan.windows(table.shape.name) if _touches(e, phase)]
            windows = tuple(ApplyWindow(e.window, e, (table.name, e.window) in clear) for e in entries)
            if phase != "delete":
                session.meter.expect(table.name, "apply", sum(sum(e.counts.values()) for e in entries))
            works = grouped(ApplyWork(job, table.name, phase, ()), windows, workers)
            done += [outcome for group in run(apply_windows, works) for outcome in group]
        for table in bound:
            for column in table.numbered:  # also where nothing was inserted: an earlier run may have ended before this
                session.target.advance_identity(table.shape.name, column)
    return AppliedPlan(tuple(done))


def constrain(plan: Plan, session: Session) -> None:
    """Run what the plan adds after the rows: foreign keys and indexes, except for those that are there by now.

    Errors: DataError where a row stands against one; the next plan has it again.
    """
    wanted = {table["name"]: table.get("after_load", ()) for table in plan.manifest["tables"]}
    if not any(wanted.values()):
        return
    session.binding = None
    for name, statements in wanted.items():
        done = session.bound.table(name).after_load.done
        session.target.execute_ddl([statement for statement in statements if statement not in done])
    session.binding = None


def _phases(session: Session, tables: Sequence[BoundTable]) -> Iterator[tuple[BoundTable, Phase]]:
    referred = session.bound.referred
    for table in tables:
        yield table, "upsert" if table.name in referred else "all"
    for table in reversed(tables):
        if table.name in referred:
            yield table, "delete"


def _touches(entry: FileEntry, phase: Phase) -> bool:
    counts = entry.counts
    return bool(
        (phase != "delete" and (counts.get("insert", 0) or counts.get("update", 0)))
        or (phase != "upsert" and counts.get("delete", 0))
    )


def _create_tables(plan: Plan, session: Session) -> bool:
    """Run the plan's DDL for tables that are not there; True where there was any."""
    made = False
    for table in plan.manifest["tables"]:
        if table["ddl"] and session.target.describe(session.spec.target_table(table["name"])) is None:
            session.target.execute_ddl(table["ddl"])
            made = True
    return made


def _same_spec(plan: Plan, session: Session) -> None:
    planned = plan.manifest["target"]["url"]
    if planned != session.target.url:
        raise PlanError(
            f"{plan.folder} was planned for {planned}, and the spec names {session.target.url} now. Nothing was written. "
            f"Fix: plan again, or set the environment as it was."
        )
    if plan.manifest["spec"]["digest"] != session.spec.digest:
        raise PlanError(
            f"{session.spec.path} was changed since {plan.folder} was planned. Nothing was written. Fix: plan again."
        )


def _same_shapes(plan: Plan, session: Session) -> None:
    """The target's tables are still as they were when the plan was made."""
    for table in plan.manifest["tables"]:
        bound = session.bound.table(table["name"])
        if bound.ddl and not table["ddl"]:
            raise PlanError(f"{bound.shape.name} is no longer there. Nothing was written. Fix: plan again.")
        now = [[c.name, str(c.type)] for c in _images(session, table["name"])]
        if now != table["columns"]:
            raise PlanError(
                f"{bound.shape.name} has changed since {plan.folder} was planned: it had {_columns(table['columns'])}, and now has "
                f"{_columns(now)}. Nothing was written. Fix: plan again."
            )


def _columns(columns: Iterable[Sequence[str]]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in columns)


def store_of(spec: Spec) -> Store:
    return planstore.Store(spec.state.store)


def author() -> str:
    """Who runs this, for the history."""
    try:
        return getpass.getuser()
    except (KeyError, OSError):
        return "unknown"


@contextmanager
def opened(spec: Spec, meter: Meter | None = None) -> Iterator[Session]:
    """A session that is bound already, so that a wrong spec fails before anything else."""
    with connect(spec, meter) as session:
        assert session.bound is not None
        yield session
