"""Write a finished plan to the target: missing tables, rows window by window, then what comes after the rows."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import groupby

import pyarrow as pa
import pyarrow.compute as pc

from adapters import interrupts
from adapters.protocol import Target
from adapters.store.manifest import Manifest, PlannedTable, columns_of
from adapters.store.plan_files import FileEntry
from adapters.store.plans import Plan
from flows.apply.cascades import Carrying, carrying
from flows.apply.once import each_once
from flows.apply.stand_ins import first_steps, kept_back, take_back
from flows.apply.together import apply_together
from flows.apply.windows import ApplyInTurn, ApplyWindow, ApplyWork, Done, LeftOut, Notes, apply_in_turn, apply_windows
from flows.bind.own_columns import writable
from flows.bind.soft_delete import Soft
from flows.plan.consequences.whole_rows import WholeRows
from flows.plan.order.interim import in_turn
from flows.plan.order.stages import losing_at_once, referred_tables, stages_of
from flows.plan.reading.windows import grouped
from flows.session.execute import Execute, here
from flows.session.memory import Shapes
from flows.session.retry import retried
from flows.session.session import Job, Session, shared, with_target_anew
from transforms.vocabulary import (
    OPS,
    Counts,
    DataError,
    Notice,
    PlanError,
    RowRefused,
    SideName,
    Stage,
    TableName,
    TableShape,
)

_Write = tuple[Stage, list[FileEntry]]
"""A stage that writes, with its windows."""


@dataclass(frozen=True, slots=True)
class AppliedPlan:
    """What applying a plan did: each row that was not written is in `done` once. `wrote`: it wrote rows, if only in steps.
    `notices` are what it warns of."""

    done: tuple[Done, ...]
    wrote: bool
    notices: tuple[Notice, ...] = ()

    def counts(self, table: str, planned: Counts, soft: Soft | None = None) -> Counts:
        """What became of a table's rows, where `planned` was to become of them.

        Rows are inserted, updated and deleted that were written. A row that somebody else had brought to what was planned
        is unchanged, and one that the target refused is in quarantine.
        Law: source_rows = insert + update + unchanged + quarantined + conflicts of inserts and updates.
        """
        written: dict[str, int] = {op: getattr(planned, op) for op in OPS}
        unchanged, conflicts, quarantined = planned.unchanged, planned.conflicts, planned.quarantined
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


def stages_for(plan: Plan, session: Session) -> tuple[Stage, ...]:
    """The stages of a plan of the spec, in order. One of format 1 has none: they are those that it was applied in until now.

    Errors: PlanError where a foreign key came since, whose rows have to go before those that they refer to, and nothing is in yet.
    """
    target = session.sides.written(plan.manifest.side).adapter
    if (stages := plan.manifest.stages) is not None:
        by_others = {
            key.refers
            for table in session.bound.tables
            for key in table.shape.foreign_keys
            if key.refers != table.shape.name
        }
        late = losing_at_once(stages, plan.windows()) & referred_tables(session.bound) & by_others
        if late and not (session.spec.state.marker and target.applied(plan.manifest.id)):
            raise PlanError(
                f"{min(map(str, late))} is referred to by a foreign key that was not there when {plan.folder} was planned, and loses "
                f"rows. Nothing was written.",
                fix="plan again.",
            )
        return stages
    marked = target.applied(plan.manifest.id) if session.spec.state.marker else ()
    return stages_of(plan.manifest.tables, plan.files, referred_tables(session.bound), marked=marked)


def with_tables(plan: Plan, session: Session, stages: Sequence[Stage]) -> Session:
    """Create the tables and columns that a plan of the spec needs and are not there; the session, bound to what the engine made
    of them. PlanError, before anything is created, where the plan was made for another spec or for other tables.
    """
    same_spec(plan, session)
    _same_shapes(plan, session)
    if not retried(lambda: create(plan, session, stages)):
        return session
    made = with_target_anew(session)
    _same_shapes(plan, made)
    return made


def create(plan: Plan, session: Session, stages: Sequence[Stage]) -> bool:
    """Create what is not there of the tables and columns of some stages; True where there are such stages. Safe to repeat."""
    target = session.sides.written(plan.manifest.side).adapter
    making = [each for each in stages if each.do in ("create", "add_columns")]
    for stage in making:
        planned, there = plan.manifest[stage.table], target.describe(stage.table)
        if stage.do == "create" and there is None:
            target.execute_ddl(planned.ddl)
        elif stage.do == "add_columns" and there is not None:
            target.execute_ddl([statement for column, statement in planned.adds if column not in there.names])
    return bool(making)


def apply(
    plan: Plan,
    job: Job,
    session: Session,
    stages: Sequence[Stage],
    execute: Execute | None = None,
    workers: int = 2,
    left_out: LeftOut | None = None,
) -> AppliedPlan:
    """Write the rows of a plan of the spec, whose tables are all there, but for those `left_out`. The caller holds the migration's lock."""
    numbered = {table.shape.name: table.numbered for table in session.bound.tables}
    return write_rows(plan, job, session, stages, numbered, execute, workers, left_out)


def write_rows(
    plan: Plan,
    job: Job,
    session: Session,
    stages: Sequence[Stage],
    numbered: Mapping[TableName, tuple[str, ...]],
    execute: Execute | None = None,
    workers: int = 2,
    left_out: LeftOut | None = None,
) -> AppliedPlan:
    """Write the rows of a plan, stage by stage, and let sequences follow: those of the columns that `numbered` names.

    Each window is one transaction; those whose marker is in the target already are passed over.
    """
    run, manifest = execute or here(workers), plan.manifest
    entries = {(entry.table, entry.window): entry for entry in plan.windows()}
    writes: list[_Write] = [
        (stage, [entries[stage.table, window] for window in stage.windows]) for stage in stages if stage.do == "write"
    ]
    interrupts.writing(sum(len(some) for _, some in writes))
    losing = {
        stage.table for stage, some in writes if stage.phase != "upsert" and any(each.has("delete") for each in some)
    }
    target = session.sides.written(job.side).adapter
    session = replace(session, shapes=Shapes())
    updated = {stage.table for stage, some in writes if any(each.has("update") for each in some)}
    changing = {table: names for table in updated if (names := _changing(manifest[table], job, session))}
    further = retried(lambda: carrying(target, losing, changing))
    tables = {
        table: _Written.of(manifest[table], plan.windows(table)) for table in {stage.table for stage, _ in writes}
    }
    stepping = {each.name: each for each in manifest.tables if each.interim}
    with shared(job.plan_id, session):
        done: list[Done] = []
        kept: dict[TableName, pa.Table | None] = {}
        for some in _parts(writes, manifest):
            number, one_by_one = some[0][0].together, some[0][0].in_turn
            joint = {stage.table for stage, _ in some} if number else set()
            works = []
            for stage, part in some:
                known = tables[stage.table]
                windows = tuple(ApplyWindow(each.window, each, each.window in known.clear) for each in part)
                if stage.phase != "delete":
                    session.meter.expect(known.name, "apply", sum(sum(each.counts.values()) for each in part))
                passed = "delete" if stage.phase == "upsert" else "update" if stage.phase == "delete" else None
                links = tuple(each for each in further.get(stage.table, ()) if each.op != passed)
                beside = _beside(plan, links, joint | {stage.table})
                if known.turns and stage.table not in kept and not _is_first(stage, manifest):
                    kept[stage.table] = _kept_back(
                        plan, manifest[stage.table], target, session.shape(job, known.name, stage.table)
                    )
                work = ApplyWork(
                    job, known.name, stage.phase, windows, links, known.turns, beside, kept.get(stage.table)
                )
                works.append(replace(work, left_out=(left_out or {}).get(known.name)))
            if number:
                done += retried(partial(apply_together, works))
            elif one_by_one and len(works) > 1:  # one task, however many stages there are
                each_alone = [replace(work, windows=(window,)) for work in works for window in work.windows]
                one = ApplyInTurn(job, works[0].table, tuple(each_alone))
                done += [outcome for found in run(apply_in_turn, [one]) for outcome in found]
            else:
                groups = [works[0].windows] if one_by_one else grouped(works[0].windows, workers)
                apart = [replace(works[0], windows=each) for each in groups]
                done += [outcome for found in run(apply_windows, apart) for outcome in found]
        for written in tables.values():
            session.meter.finish(written.name, "apply")
        notices = take_back(plan, session, stages)
        done = [_as_noted(each, plan, stepping[each.table]) if each.table in stepping else each for each in done]
        for stage in stages:
            if stage.do == "number":  # also where nothing was inserted: an earlier run may have ended before this
                for column in numbered.get(stage.table, ()):
                    retried(partial(target.advance_identity, stage.table, column))
    return AppliedPlan(each_once(done, plan), any(each.written for each in done), notices)


def _kept_back(plan: Plan, planned: PlannedTable, target: Target, shape: TableShape) -> pa.Table | None:
    return retried(lambda: kept_back(plan, planned, target, shape)) if first_steps(plan, planned) else None


def _is_first(stage: Stage, manifest: Manifest) -> bool:
    """Whether a stage writes windows that come before all others."""
    planned = manifest.of(stage.table)
    return planned is not None and bool({*stage.windows} & {*planned.first})


def _as_noted(done: Done, plan: Plan, planned: PlannedTable) -> Done:
    """What a window came to, as the plan's notes have it by now."""
    conflicts, others, refused = Notes(plan.folder, planned.table, done.window, done.phase).not_written()
    return replace(done, conflicts=conflicts, by_others=others, refused=refused)


def _beside(plan: Plan, links: Sequence[Carrying], joint: Collection[TableName]) -> tuple[FileEntry, ...]:
    """The windows, but for steps on the way, of tables that refer to one by some keys and are written together with it."""
    found = []
    for table in {link.child.name for link in links} & set(joint):
        planned = plan.manifest.of(table)
        steps = {*planned.first, *planned.interim} if planned is not None else set()
        found += [entry for entry in plan.windows(table) if entry.window not in steps]
    return tuple(found)


def _changing(planned: PlannedTable, job: Job, session: Session) -> frozenset[str]:
    """The columns of a table that updates may change, and others can refer to."""
    shape, known = session.shape(job, planned.name, planned.table), not job.bare and planned.name in session.spec.tables
    key = frozenset(session.bound.table(planned.name).key) if known else None
    written = planned.differing if known and not planned.interim else planned.schema.names
    referable = {name for unique in shape.uniques if unique != key for name in unique}
    return frozenset(written) & referable


def _parts(writes: Sequence[_Write], manifest: Manifest) -> Iterator[list[_Write]]:
    """Stages in parts that are written together, or one after the other by one task; any other stage is a part by itself."""
    for (number, single, _), group in groupby(
        writes,
        lambda each: (each[0].together, each[0].in_turn and not each[0].together, _is_first(each[0], manifest)),
    ):
        some = list(group)
        yield from [some] if number or single else ([each] for each in some)


@dataclass(frozen=True, slots=True)
class _Written:
    """What writing windows of a table has to know. `turns`: see ApplyWork."""

    name: str
    clear: frozenset[int]
    turns: tuple[tuple[int, ...], ...]

    @classmethod
    def of(cls, planned: PlannedTable, windows: Sequence[FileEntry]) -> _Written:
        turns = in_turn(planned, windows) if planned.interim else []
        return cls(planned.name, frozenset(planned.clear), tuple(tuple(e.window for e in turn) for turn in turns))


def constrained(plan: Plan, session: Session, stages: Sequence[Stage]) -> Session:
    """Run what the plan adds after the rows: foreign keys and indexes, except for those that are there by now; the session, bound
    to the tables that have them.

    Errors: DataError where a row stands against one; the next plan has it again.
    """
    wanted = [plan.manifest[stage.table] for stage in stages if stage.do == "constrain"]
    if not wanted:
        return session
    return retried(lambda: _add(wanted, plan.manifest.side, session))


def _add(wanted: Sequence[PlannedTable], side: SideName, session: Session) -> Session:
    target = session.sides.written(side).adapter
    now = with_target_anew(session)  # what a try that failed has added is there by now
    added = False
    for planned in wanted:
        done = now.bound.table(planned.name).after_load.done
        lacking = [statement for statement in planned.after_load if statement not in done]
        try:
            target.execute_ddl(lacking)
        except RowRefused as error:
            raise DataError(
                f"{planned.name}: its rows are in, and a key or index of `create:` that they stand against is not: {error.reason}.",
                fix="mend those rows in the source or the target, or take the columns of a foreign key from a `lookup`; the next run "
                "adds it.",
            ) from error
        added = added or bool(lacking)
    return with_target_anew(session) if added else now


def same_target(plan: Plan, session: Session) -> None:
    """PlanError where a plan is for another database than the session's target."""
    planned = plan.manifest.target.url
    if planned != session.sides.target.url:
        raise PlanError(
            f"{plan.folder} was planned for {planned}, and the spec names {session.sides.target.url} now. Nothing was written.",
            fix="plan again, or set the environment as it was.",
        )


def same_spec(plan: Plan, session: Session) -> None:
    """Errors: PlanError where the spec, or where it goes to, was changed since."""
    same_target(plan, session)
    if plan.manifest.spec.digest != session.spec.digest:
        raise PlanError(
            f"{session.spec.path} was changed since {plan.folder} was planned. Nothing was written.", fix="plan again."
        )


def _same_shapes(plan: Plan, session: Session) -> None:
    """The target's tables are still as they were when the plan was made."""
    for planned in plan.manifest.tables:
        if not planned.in_spec:
            _same_beside(plan, planned, session)
            continue
        bound = session.bound.table(planned.name)
        if bound.ddl and not planned.ddl:
            raise PlanError(f"{bound.shape.name} is no longer there. Nothing was written.", fix="plan again.")
        if lost := {added.column.name for added in bound.adds} - {column for column, _ in planned.adds}:
            raise PlanError(
                f"{bound.shape.name} has no column {', '.join(sorted(lost))}, and {plan.folder} does not add it. Nothing was written.",
                fix="plan again.",
            )
        if any(entry.has("delete") for entry in plan.windows(bound.shape.name)):
            WholeRows(bound.shape, bound.unmapped).must_be(planned.whole)
        _same_columns(plan, planned, bound.schema)


def _same_beside(plan: Plan, planned: PlannedTable, session: Session) -> None:
    """So is a table that the spec does not name."""
    shape = session.sides.written(plan.manifest.side).adapter.describe(planned.table)
    if shape is None:
        raise PlanError(f"{planned.table} is no longer there. Nothing was written.", fix="plan again.")
    _same_columns(plan, planned, shape.schema(writable(shape)))


def _same_columns(plan: Plan, planned: PlannedTable, schema: pa.Schema) -> None:
    now = columns_of(schema)
    if now != planned.columns:
        raise PlanError(
            f"{planned.table} has changed since {plan.folder} was planned: it had {_columns(planned.columns)}, and now has "
            f"{_columns(now)}. Nothing was written.",
            fix="plan again.",
        )


def _columns(columns: Iterable[tuple[str, str]]) -> str:
    return ", ".join(f"{name} {kind}" for name, kind in columns)
