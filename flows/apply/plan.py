"""Write a finished plan to the target: missing tables, rows window by window, then what comes after the rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa
import pyarrow.compute as pc

from adapters import interrupts
from adapters.store.manifest import columns_of
from adapters.store.plans import FileEntry, Plan
from flows.apply.cascades import carrying
from flows.apply.windows import ApplyWindow, ApplyWork, Done, apply_windows
from flows.bind.order import in_steps
from flows.bind.soft_delete import Soft
from flows.plan.whole_rows import WholeRows
from flows.plan.windows import grouped
from flows.session.execute import Execute, here
from flows.session.memory import Shapes
from flows.session.retry import retried
from flows.session.session import Job, Session, shared, with_binding
from transforms.vocabulary import Counts, DataError, Phase, PlanError, RowRefused, SideName, TableName


@dataclass(frozen=True, slots=True)
class AppliedPlan:
    """What applying a plan did."""

    done: tuple[Done, ...]

    def counts(self, table: str, planned: Counts, soft: Soft | None = None) -> Counts:
        """What became of a table's rows, where `planned` was to become of them.

        Rows are inserted, updated and deleted that were written. A row that somebody else had brought to what was planned
        is unchanged, and one that the target refused is in quarantine.
        Law: source_rows = insert + update + unchanged + quarantined + conflicts of inserts and updates.
        """
        written = {op: getattr(planned, op) for op in ("insert", "update", "delete")}
        unchanged, conflicts, quarantined = planned.unchanged, 0, planned.quarantined
        for done in self.done:
            if done.table != table:
                continue
            for rows in (done.conflicts, done.by_others, done.refused):
                for op, count in _by_op(rows, soft).items():
                    written[op] -= count
            conflicts += done.conflicts.num_rows if done.conflicts is not None else 0
            refused = _by_op(done.refused, soft)
            quarantined += sum(refused.values()) - refused["delete"]
            theirs = _by_op(done.by_others, soft)
            unchanged += sum(theirs.values()) - theirs["delete"]
        return replace(planned, **written, unchanged=unchanged, conflicts=conflicts, quarantined=quarantined)


def _by_op(rows: pa.Table | None, soft: Soft | None) -> Counter[str]:
    """Rows that were not written, by what was planned for them. A row that was to be flagged as deleted was to be deleted."""
    if rows is None:
        return Counter()
    counts = Counter(rows["op"].to_pylist())
    if soft is not None and counts["update"]:
        wanted = rows.filter(pc.equal(rows["op"], "update"))["after"]
        flagged = int(soft.flagged(pa.Table.from_struct_array(wanted)).sum())
        counts.update({"update": -flagged, "delete": flagged})
    return counts


@dataclass(frozen=True, slots=True)
class Written:
    """A table that a plan writes. `numbered` are the columns whose sequence has to follow."""

    name: str
    table: TableName
    numbered: tuple[str, ...]


def with_tables(plan: Plan, session: Session) -> Session:
    """Create the tables and columns that a plan of the spec needs and are not there; the session, bound to what the engine made
    of them. PlanError, before anything is created, where the plan was made for another spec or for other tables.
    """
    _same_spec(plan, session)
    _same_shapes(plan, session)
    if not retried(lambda: _create_tables(plan, session)):
        return session
    made = with_binding(session)
    _same_shapes(plan, made)
    return made


def apply(plan: Plan, job: Job, session: Session, execute: Execute | None = None, workers: int = 2) -> AppliedPlan:
    """Write the rows of a plan of the spec, whose tables are all there. The caller holds the migration's lock."""
    names = [planned.name for planned in plan.manifest.tables]
    bound = [table for table in session.bound.tables if table.name in names]
    tables = {table.shape.name: Written(table.name, table.shape.name, table.numbered) for table in bound}
    referred = _as_begun(job, session, {table.shape.name for table in bound if table.name in session.bound.referred})
    steps = [(tables[step.table], step.phase) for step in in_steps(list(tables), referred)]
    return write_rows(plan, job, session, steps, execute, workers)


def _as_begun(job: Job, session: Session, referred: set[TableName]) -> set[TableName]:
    """The tables that are written in two steps: those that a cut-off run began so stay so, whatever keys came or went since.

    A window that is in would not be known again in other steps.
    """
    marked = session.sides.written(job.side).adapter.applied(job.plan_id) if session.spec.state.marker else set()
    whole = {marker.table for marker in marked if marker.phase == "all"}
    apart = {marker.table for marker in marked} - whole
    tables = {table.shape.name for table in session.bound.tables}
    return {table for table in tables if str(table) in apart or (table in referred and str(table) not in whole)}


def write_rows(
    plan: Plan,
    job: Job,
    session: Session,
    steps: Sequence[tuple[Written, Phase]],
    execute: Execute | None = None,
    workers: int = 2,
    in_turn: Collection[TableName] = (),
) -> AppliedPlan:
    """Write the rows of a plan, step by step.

    Each window is one transaction; those whose marker is in the target already are passed over. Windows of a step go in at
    once, of tables `in_turn` one after the other. Windows that the plan calls `first` come before all others.
    """
    run = execute or here(workers)
    first = {(planned.name, window) for planned in plan.manifest.tables for window in planned.first}
    work = [(each, phase, _entries(plan, each, phase)) for each, phase in steps]
    early = [(each, phase, [e for e in entries if (each.name, e.window) in first]) for each, phase, entries in work]
    work = early + [
        (each, phase, [e for e in entries if (each.name, e.window) not in first]) for each, phase, entries in work
    ]
    work = [(each, phase, entries) for each, phase, entries in work if entries]
    interrupts.writing(sum(len(entries) for _, _, entries in work))
    clear = {(planned.name, window) for planned in plan.manifest.tables for window in planned.clear}
    losing = {e.table for _, phase, entries in work if phase != "upsert" for e in entries if e.counts.get("delete", 0)}
    target = session.sides.written(job.side).adapter
    further = retried(lambda: carrying(target, losing))
    with shared(job.plan_id, replace(session, shapes=Shapes())):
        done: list[Done] = []
        for each, phase, entries in work:
            windows = tuple(ApplyWindow(e.window, e, (each.name, e.window) in clear) for e in entries)
            if phase != "delete":
                session.meter.expect(each.name, "apply", sum(sum(e.counts.values()) for e in entries))
            task = ApplyWork(job, each.name, phase, (), further.get(each.table, ()) if phase != "upsert" else ())
            works = grouped(task, windows, 1 if each.table in in_turn else workers)
            done += [outcome for group in run(apply_windows, works) for outcome in group]
        for each in dict.fromkeys(table for table, _ in steps):
            for column in each.numbered:  # also where nothing was inserted: an earlier run may have ended before this
                retried(partial(target.advance_identity, each.table, column))
    return AppliedPlan(tuple(done))


def constrained(plan: Plan, session: Session) -> Session:
    """Run what the plan adds after the rows: foreign keys and indexes, except for those that are there by now; the session, bound
    to the tables that have them.

    Errors: DataError where a row stands against one; the next plan has it again.
    """
    wanted = {planned.name: planned.after_load for planned in plan.manifest.tables}
    if not any(wanted.values()):
        return session
    retried(lambda: _add(wanted, plan.manifest.side, session))
    return with_binding(session)


def _add(wanted: Mapping[str, Sequence[str]], side: SideName, session: Session) -> None:
    target, now = (
        session.sides.written(side).adapter,
        with_binding(session).bound,
    )  # what a try that failed has added is there by now
    for name, statements in wanted.items():
        done = now.table(name).after_load.done
        try:
            target.execute_ddl([statement for statement in statements if statement not in done])
        except RowRefused as error:
            raise DataError(
                f"{name}: its rows are in, and a key or index of `create:` that they stand against is not: {error.reason}.",
                fix=(
                    "mend "
                    "those rows in the source or the target, or take the columns of a foreign key from a `lookup`; the next run adds it."
                ),
            ) from error


def _entries(plan: Plan, written: Written, phase: Phase) -> list[FileEntry]:
    return [entry for entry in plan.windows(written.table) if _touches(entry, phase)]


def _touches(entry: FileEntry, phase: Phase) -> bool:
    counts = entry.counts
    return bool(
        (phase != "delete" and (counts.get("insert", 0) or counts.get("update", 0)))
        or (phase != "upsert" and counts.get("delete", 0))
    )


def _create_tables(plan: Plan, session: Session) -> bool:
    """Run the plan's DDL for tables and columns that are not there; True where the plan has any. Safe to repeat."""
    making = [planned for planned in plan.manifest.tables if planned.ddl or planned.adds]
    target = session.sides.written(plan.manifest.side).adapter
    for planned in making:
        there = target.describe(session.spec.target_table(planned.name))
        known = there.names if there else ()
        lacking = [statement for column, statement in planned.adds if column not in known]
        target.execute_ddl(planned.ddl if there is None else lacking)
    return bool(making)


def same_target(plan: Plan, session: Session) -> None:
    """PlanError where a plan is for another database than the session's target."""
    planned = plan.manifest.target.url
    if planned != session.sides.target.url:
        raise PlanError(
            f"{plan.folder} was planned for {planned}, and the spec names {session.sides.target.url} now. Nothing was written.",
            fix="plan again, or set the environment as it was.",
        )


def _same_spec(plan: Plan, session: Session) -> None:
    same_target(plan, session)
    if plan.manifest.spec.digest != session.spec.digest:
        raise PlanError(
            f"{session.spec.path} was changed since {plan.folder} was planned. Nothing was written.", fix="plan again."
        )


def _same_shapes(plan: Plan, session: Session) -> None:
    """The target's tables are still as they were when the plan was made."""
    for planned in plan.manifest.tables:
        bound = session.bound.table(planned.name)
        if bound.ddl and not planned.ddl:
            raise PlanError(f"{bound.shape.name} is no longer there. Nothing was written.", fix="plan again.")
        if lost := {added.column.name for added in bound.adds} - {column for column, _ in planned.adds}:
            raise PlanError(
                f"{bound.shape.name} has no column {', '.join(sorted(lost))}, and {plan.folder} does not add it. Nothing was written.",
                fix="plan again.",
            )
        if any(entry.counts.get("delete") for entry in plan.windows(bound.shape.name)):
            WholeRows(bound.shape, bound.unmapped).must_be(planned.whole)
        now = columns_of(bound.schema)
        if now != planned.columns:
            raise PlanError(
                f"{bound.shape.name} has changed since {plan.folder} was planned: it had {_columns(planned.columns)}, and now has "
                f"{_columns(now)}. Nothing was written.",
                fix="plan again.",
            )


def _columns(columns: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in columns)
