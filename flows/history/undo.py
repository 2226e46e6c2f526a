"""Undo: the inverse of applied plans, as a plan of its own. It knows the target alone, whatever the spec maps today."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import replace
from functools import partial
from graphlib import TopologicalSorter
from time import perf_counter
from typing import Final

import pyarrow as pa

from adapters import interrupts
from adapters.protocol import Target
from adapters.sql.ddl import drop_statements
from adapters.store.both_ways import Unagreed, add_unagreed
from adapters.store.manifest import PlannedTable
from adapters.store.plan_files import FileEntry
from adapters.store.plans import Plan, PlanWriter
from flows.apply.agreed import agree_again
from flows.apply.identity import Windows, happened, pairs_of, taken_back
from flows.apply.load import Loading, record, run_plan
from flows.apply.plan import create, same_target, write_rows
from flows.bind.order import linked
from flows.history.taken_back import already
from flows.history.undo_order import listed, undo_order
from flows.history.undo_refused import must_be_taken, rehearse
from flows.history.undo_steps import freed, in_own_order, let_go_first
from flows.history.undo_tree import of_trees
from flows.history.undone import Undone
from flows.history.versions import AppliedVersion
from flows.plan.build import manifest_of
from flows.plan.consequences.whole_rows import WholeRows
from flows.plan.decide import samples
from flows.plan.order.interim import whole_changes
from flows.plan.order.moving_values import Table, window_of
from flows.plan.order.own_order import own_keys
from flows.plan.order.passed_on import Passing, passed_on
from flows.plan.order.stages import stages_of
from flows.plan.references.references import related
from flows.plan.request import Request
from flows.proof.drift import forget
from flows.results.outcome import Outcome
from flows.results.tables import Report, TableReport, first_samples, planned_table
from flows.session.retry import retried
from flows.session.session import Job, Session
from flows.session.stores import store_of
from flows.spec.entries import entry_name
from transforms.net_changes import changed_keys, together
from transforms.vocabulary import (
    OPS,
    ChangeSet,
    Counts,
    Notice,
    Phase,
    PlanError,
    Relation,
    SideName,
    Stage,
    TableName,
    TableShape,
)

REST: Final[Mapping[Phase, Phase | None]] = {"all": None, "upsert": "delete", "delete": "upsert"}
"""What is left of a window of which a phase is in."""


def plan_undo(
    request: Request,
    session: Session,
    undone: Undone,
    *,
    temporary: bool = False,
    both_ways: bool = False,
    agreed: Iterable[Unagreed] = (),
    alone: bool = False,
) -> Report:
    """Write down what takes the versions back. Nothing is written to the target.

    A `temporary` plan is abandoned when this process dies before it is applied. `both_ways`: one of the source lies beside it.
    `agreed`: what both sides agree on again, once it is applied. `alone`: nothing is taken back on the other side.
    A single version is taken back by its own windows; several are added up first. Of trees only their rows are taken back, and
    which those are is kept in the plan. Memory: all changes that are taken back.
    Errors: as of `of_trees`; PlanError where change sets are missing, not kept, do not fit the tables any more, or where foreign
    keys would break.
    """
    began = perf_counter()
    folder = request.folder or store_of(request.spec).plan_folder(request.plan_id)
    writer = PlanWriter(folder)
    side = undone.versions[0].plan.manifest.side
    one_of_both = alone and any(each.plan.manifest.both_ways or side == "source" for each in undone.versions)
    target = session.sides.written(side).adapter
    shapes = related(target, undone.tables)
    order, referred = parents_first(shapes, undone.tables)
    entries: list[FileEntry] = []
    chosen: list[FileEntry] = []
    reports: list[TableReport] = []
    tables: list[PlannedTable] = []
    backwards: dict[TableName, list[ChangeSet]] = {}
    parts: dict[TableName, list[ChangeSet]] = {}
    passing: list[Passing] = []
    some: dict[TableName, pa.Table] = {}  # keys of rows that are taken back, where not all are
    with target.snapshot() as snapshot:
        if request.trees is not None:
            undone = of_trees(request.spec, target, snapshot, undone, request.trees)
        written = set(undone.tables)
        for table in (each for each in order if each in written):
            taken = undone.changes(table)
            windows = list(undone.windows(taken))
            ddl, drop = undone.making(table)
            if ddl and undone.tree is not None:
                raise PlanError(
                    f"{table} was dropped and would have to be made again, of which rows of trees are only a part. Nothing was written.",
                    fix="undo without --tree.",
                )
            if undone.partly and taken:
                some[table] = pa.concat_tables(map(changed_keys, taken))
                chosen.append(writer.add_undone(0, table, some[table]))
            lets_go = any(each.child.name == table for each in passing)
            if not windows and not ddl and not drop and not lets_go:
                continue
            latest = [known for each in undone.versions if (known := each.planned_table(table)) is not None][-1]
            schema = latest.schema
            if windows and not (ddl and table not in shapes):
                _must_fit(undone, table, shapes.get(table), windows)
            whole = WholeRows.of(request.spec, shapes[table], schema.names) if table in shapes else None
            first: list[int] = []
            if whole is not None:
                windows = list(whole.filled(target, snapshot, windows))
                alone = bool(whole.names) and table not in referred
                first = [n for n, changes in enumerate(windows) if alone and changes.deletes.num_rows]
            if windows:
                backwards[table] = together(windows)
            reports.append(_table_report(request, table, windows, side))
            interim: list[int] = []
            if table in shapes and windows:
                key, plain = windows[0].key, [window_of(0, changes, first=False) for changes in windows]
                children = {name: shapes[name] for name in undone.tables if name in shapes}
                mine = list(passed_on(target, shapes[table], key, plain, children))
                passing += mine
                let_go = {(each.child.name, each.foreign): each.values for each in mine}
                freeing, interim = freed(
                    Table(target, snapshot, shapes[table], key, table in referred, let_go), windows, first
                )
                first = [*first, *freeing]
            late = in_own_order(undone.numbers, target, shapes[table], windows, first) if table in shapes else ()
            parts[table] = windows
            planned = planned_table(reports[-1], table, latest.route, schema)
            own = whole.described if whole is not None else ()
            planned = replace(planned, ddl=ddl, drop=drop, whole=own)
            tables.append(replace(planned, first=tuple(first), late=late, interim=tuple(interim)))
        sequence = undo_order(undone.numbers, target, snapshot, shapes, backwards, trees=bool(request.trees))
        for number, planned in enumerate(tables):
            if sequence.in_levels(planned.table):
                key, windows = backwards[planned.table][0].key, parts[planned.table]
                spread = Table(target, snapshot, shapes[planned.table], key, True, shared_out=True)
                freeing, interim = freed(spread, windows, planned.first, planned.interim)
                tables[number] = replace(
                    planned, first=(*planned.first, *freeing), interim=(*planned.interim, *interim)
                )
        must_be_taken(undone.numbers, target, snapshot, shapes, backwards)
        tables = [let_go_first(target, snapshot, planned, passing, parts[planned.table]) for planned in tables]
        tables = [sequence.with_steps(planned, parts[planned.table]) for planned in tables]
        tables = [sequence.with_levels(planned, parts[planned.table]) for planned in tables]
        for windows in parts.values():
            entries += [writer.add(number, changes) for number, changes in enumerate(windows) if len(changes)]
        for table in order:
            pairs = taken_back(
                [happened(each.plan, table, _inside(each)) for each in undone.versions], one_of_both=one_of_both
            )
            if undone.partly:
                pairs = pairs_of(pairs, some.get(table), side)
            if pairs.num_rows and table in parts:
                entries.append(writer.add_identity(table, pairs))
        stages = sequence.decided(partial(stages_of, tables, entries, referred))
        mark = snapshot.mark
    chosen += [entry for each in agreed for entry in add_unagreed(writer, *each)]
    if undone.taken is not None and undone.tree is None and not tables:
        raise already(undone.numbers[0], undone.taken.versions(undone.numbers[0]))
    report = Report(
        request.spec.name,
        request.run_id,
        str(folder),
        None,
        perf_counter() - began,
        tuple(reports),
        tuple(undone.notices()),
        tree=request.trees.texts if request.trees is not None else (),
    )
    manifest = replace(
        manifest_of(replace(request, kind="undo", ranges=(), keys=None), session, report, tables, side, {side: mark}),
        # the target comes back to what it was made from the source's state before the oldest of the versions
        source=replace(undone.versions[0].plan.manifest.source, mark=undone.source_mark),
        undoes=tuple(undone.numbers),
        partly=undone.partly,
        both_ways=both_ways,
        stages=stages,
    )
    PlanWriter(folder, begun=True).finish(manifest, [*entries, *chosen], temporary=temporary)
    return replace(report, hooks=manifest.hooks)


def undoing(plan: Plan, report: Report, job: Job, loading: Loading) -> tuple[Outcome, Session]:
    """`write_undo` as what writes a plan: the session stays as it is."""
    return write_undo(plan, report, job, loading), loading.session


def _inside(applied: AppliedVersion) -> Windows | None:
    """The windows of a version that was cut off; None: all of its plan's are in."""
    windows = applied.version.windows
    return None if windows is None else {(table, number, phase) for table, number, phase in windows}


def write_undo(plan: Plan, report: Report, job: Job, loading: Loading) -> Outcome:
    """Apply the plan of an undo, and drop what it says. Safe to repeat."""
    session, manifest = loading.session, plan.manifest
    target = session.sides.written(manifest.side).adapter
    same_target(plan, session)
    loading.ledger.forget_cursors(loading.spec.name)  # what is taken back is new again
    loading.ledger.begin_applying(run_plan(plan, loading.spec))
    interrupts.writing()
    create(plan, session, manifest.stages or stages_of(manifest.tables, plan.files, ()))
    shapes = related(target, [planned.table for planned in manifest.tables])
    for planned in manifest.tables:
        if (shape := shapes.get(planned.table)) and any(each.has("delete") for each in plan.windows(shape.name)):
            WholeRows.of(loading.spec, shape, planned.schema.names).must_be(planned.whole)
    gone = {each.table for each in manifest.tables if each.drop and each.table not in shapes}  # by an earlier attempt
    stages = [
        each for each in retried(lambda: _held(plan, session, target, shapes), renewed=True) if each.table not in gone
    ]
    retried(lambda: rehearse(plan, target, shapes, stages))
    numbered = {each.table: _numbered(shapes.get(each.table), each) for each in manifest.tables}
    applied = write_rows(plan, job, session, stages, numbered, loading.execute, loading.workers)
    warnings = [*report.warnings, *_dropped(plan, target, stages)]
    forget(loading.ledger, loading.spec, [each.name for each in manifest.tables if each.drop or each.ddl])
    warnings += retried(lambda: agree_again(plan, session, loading.ledger))
    whole = replace(report, warnings=tuple(warnings))
    return retried(lambda: record(plan, whole, applied, loading, manifest.undoes))


def _held(plan: Plan, session: Session, target: Target, shapes: Mapping[TableName, TableShape]) -> tuple[Stage, ...]:
    """The stages of the plan, held once more to the rows that are there now: another order, where foreign keys ask for it.

    Where a part of the plan is in, the rest of it is looked at. Errors: PlanError, before a row is written.
    """
    manifest = plan.manifest
    names = [planned.table for planned in manifest.tables]
    stepping = session.spec.state.marker and any(planned.interim for planned in manifest.tables)
    inside = {(each.table, each.window, each.phase) for each in target.applied(manifest.id)} if stepping else set()

    def left(entry: FileEntry) -> ChangeSet:
        """What is still to be done: rows that are between two steps are as their first one left them."""
        changes, known = plan.changes(entry), (str(entry.table), entry.window)
        for phase, others in REST.items():
            if (*known, phase) in inside:
                changes = changes.phase(others) if others else changes.empty
        return changes

    changes = {table: together(list(whole_changes(plan, table, left))) for table in names if plan.windows(table)}
    there = {table: part for table, part in changes.items() if table in shapes}
    decide = partial(stages_of, manifest.tables, plan.files)
    if manifest.stages is not None:
        late = {each.table for each in manifest.tables if each.late}
        in_turn = {each.table for each in manifest.stages if each.in_turn} - late  # as earlier versions planned
        decide = partial(decide, {each.table for each in manifest.stages if each.phase == "delete"}, in_turn=in_turn)
    else:  # a plan of format 1, which may be begun
        marked = target.applied(manifest.id) if session.spec.state.marker else ()
        in_turn = {name for name, shape in shapes.items() if own_keys(shape)}
        decide = partial(decide, parents_first(shapes, names)[1], in_turn=in_turn, marked=marked)
    with target.snapshot() as snapshot:
        sequence = undo_order(manifest.undoes, target, snapshot, shapes, there, trees=bool(manifest.tree))
        must_be_taken(manifest.undoes, target, snapshot, shapes, there)
    sequence.must_be(manifest.tables)
    return sequence.decided(decide)


def parents_first(
    shapes: Mapping[TableName, TableShape], tables: Sequence[TableName]
) -> tuple[list[TableName], set[TableName]]:
    """The tables, parents before children, and those that are referred to. A circle of foreign keys is cut somewhere."""
    graph: dict[TableName, set[TableName]] = {table: set() for table in tables}
    referred = set()
    for name, shape in shapes.items():
        for foreign in shape.foreign_keys:
            if foreign.refers not in graph:
                continue
            referred.add(foreign.refers)
            if name in graph and name != foreign.refers:
                linked(graph, name, foreign.refers)
    return list(TopologicalSorter(graph).static_order()), referred


def _must_fit(undone: Undone, table: TableName, shape: TableShape | None, windows: Sequence[ChangeSet]) -> None:
    """The table still has the columns of that time, and no new one that would have to be filled."""
    of = f"Version {listed(undone.numbers)} cannot be undone"
    if shape is None:
        raise PlanError(f"{of}: {table} is no longer there. Nothing was written.", fix="bring the table back.")
    for field in dict.fromkeys(field for window in windows for field in (*window.before.schema, *window.after.schema)):
        column = shape.column(field.name)
        if column is None or column.generated or column.type != field.type:
            now = f"is {column.type} now" if column else "is no longer there"
            was = f"was {field.type} then, and " if column else ""
            raise PlanError(
                f"{of}: {table}.{field.name} {was}{now}. Nothing was written.",
                fix="change the column back for as long as it takes.",
            )
    needed = [
        c.name
        for names in {tuple(window.schema.names) for window in windows if window.inserts.num_rows}
        for c in shape.columns
        if c.required and c.name not in names
    ]
    if needed:
        raise PlanError(
            f"{of}: {table}.{needed[0]} must have a value now, and deleted rows had none. Nothing was written.",
            fix="give the column a default, or let it be null, for as long as it takes.",
        )


def _table_report(request: Request, table: TableName, windows: Sequence[ChangeSet], side: SideName) -> TableReport:
    insert, update, delete = (sum(window.counts[op] for window in windows) for op in OPS)
    counts = Counts(
        source_rows=insert + update, target_rows=update + delete, insert=insert, update=update, delete=delete
    )
    shown = first_samples(sample for window in windows for sample in samples(window))
    name = entry_name(request.spec, table, side)
    known = name in request.spec.tables or request.spec.open
    return TableReport(name, str(table), counts, samples=shown, windows=len(windows), in_spec=known)


def _dropped(plan: Plan, target: Target, stages: Sequence[Stage]) -> Iterator[Notice]:
    """Drop tables that the undone versions created, where they hold nothing; a line for each that stays."""
    for planned in (plan.manifest[stage.table] for stage in stages if stage.do == "drop"):
        name = planned.table
        shape = target.describe(name)
        if shape is None:
            continue
        with target.snapshot() as snapshot:
            rows = snapshot.count(Relation(name))
        if rows:
            text = f"{name} was not dropped: it holds {rows:,} rows that the undone versions did not bring."
            yield Notice("table_not_dropped", text, planned.name, {"rows": rows})
            continue
        target.execute_ddl(drop_statements(name, planned.drop, target.engine))


def _numbered(shape: TableShape | None, planned: PlannedTable) -> tuple[str, ...]:
    written = {*planned.schema.names, *(name for name, _ in planned.whole)}
    return tuple(c.name for c in shape.columns if c.identity and c.name in written) if shape else ()
