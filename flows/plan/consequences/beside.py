"""Rows of tables that the spec does not name, which a plan deletes or changes because of rows that they refer to."""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.store.manifest import PlannedRoute, PlannedTable
from adapters.store.plans import PlanWriter
from flows.bind.order import linked
from flows.bind.own_columns import writable
from flows.bind.tables import Binding
from flows.plan.consequences.children import key_of, reference_of
from flows.plan.consequences.going import Going, Link
from flows.plan.consequences.kept_rows import Kept
from flows.plan.consequences.on_update import Edit
from flows.plan.decide import Planned, samples
from flows.plan.references.referrers import compared
from flows.plan.thresholds import hold_beside
from flows.results.tables import TableReport, first_samples, planned_table
from flows.session.scan import rows_by_key
from flows.session.session import Job, Session
from flows.session.side import WrittenSide
from flows.spec.entries import entry_name
from transforms import keys
from transforms.vocabulary import ChangeSet, Counts, Relation, TableName, TableShape
from transforms.vocabulary.arrow import Indices, Mask

WINDOW_ROWS: Final = 100_000


@dataclass(frozen=True, slots=True)
class Beside:
    """A table that the spec does not name, as a plan changes it. `schema` has all columns of a row that can be written."""

    shape: TableShape
    report: TableReport
    windows: tuple[Planned, ...]

    @property
    def planned(self) -> PlannedTable:
        """What the manifest says of it."""
        schema = self.shape.schema(writable(self.shape))
        return planned_table(self.report, self.shape.name, PlannedRoute("source", "target"), schema)

    @property
    def refers_to_itself(self) -> bool:
        return any(foreign.refers == self.shape.name for foreign in self.shape.foreign_keys)


def besides(
    session: Session, job: Job, kept: Kept, moved: Sequence[Edit], *, allow_deletes: bool
) -> tuple[Beside, ...]:
    """Write down what becomes of rows of tables that the spec does not name; in no particular order.

    In: what goes and lets go with the plan, and what refers to values that it changes. Memory: these rows. Errors: PlanError where
    more rows of one would go than may; DataError where a row cannot be read.
    """
    side = session.sides.written(job.side)
    edits: dict[TableName, list[Edit]] = {}
    for edit in (*_let_go(kept), *moved):
        edits.setdefault(edit.shape.name, []).append(edit)
    mine = {table: going for table, going in kept.going.items() if going.bound is None}
    found = []
    for table in dict.fromkeys([*mine, *edits]):
        going, some = mine.get(table), edits.get(table, [])
        shape = going.shape if going is not None else some[0].shape
        parts = [*_updates(side, shape, some), *(() if going is None else _deletes(side, going))]
        if parts:
            found.append(_written(session, job, shape, parts))
            if not allow_deletes:
                rows = side.snapshot.count(Relation(table))
                hold_beside(session.spec, found[-1].report.name, rows, found[-1].report.counts.delete, side.name)
    return tuple(found)


def binding_with(binding: Binding, found: Sequence[Beside]) -> Binding:
    """What the spec is bound to, where rows of more tables refer to its own: deletes of those come last, too."""
    refers = {foreign.refers for each in found for foreign in each.shape.foreign_keys}
    more = {bound.name for bound in binding.tables if bound.shape.name in refers}
    return replace(binding, referred=binding.referred | more)


def load_order(binding: Binding, names: Collection[str], found: Sequence[Beside]) -> list[TableName]:
    """All tables of a plan, parents first: those of the spec as they come, and the others between them. Circles are cut."""
    tables = [bound for bound in binding.tables if bound.name in names]
    place = {bound.name: number for number, bound in enumerate(tables)}
    name_of = {bound.shape.name: bound.name for bound in tables}
    shapes = [*(bound.shape for bound in tables), *(each.shape for each in found)]
    graph: dict[TableName, set[TableName]] = {shape.name: set() for shape in shapes}
    for bound in tables:
        looked = {each.planned for each in bound.lookups.values()}
        graph[bound.shape.name] |= {other.shape.name for other in tables[: place[bound.name]] if other.name in looked}
    for shape in shapes:
        for refers in {foreign.refers for foreign in shape.foreign_keys} & graph.keys() - {shape.name}:
            child, parent = name_of.get(shape.name), name_of.get(refers)
            if child is None or parent is None or place[parent] < place[child]:
                linked(graph, shape.name, refers)
    order: list[TableName] = []
    waiting = list(graph)
    while waiting:
        order.append(next(name for name in waiting if graph[name] <= set(order)))
        waiting.remove(order[-1])
    return order


def _written(session: Session, job: Job, shape: TableShape, parts: Sequence[ChangeSet]) -> Beside:
    name = entry_name(session.spec, shape.name)
    writer = PlanWriter(Path(job.folder), begun=True)
    windows = []
    for number, changes in enumerate(parts):
        entry = writer.add(number, changes)
        shown = samples(changes) if number == 0 or changes.deletes.num_rows else ()
        differing = {column: changes.after.num_rows for column in changes.compared if changes.after.num_rows}
        planned = Planned(name, number, Counts(), entry, None, None, clear=False, samples=shown)
        windows.append(replace(planned, differing=differing))
    update, delete = (sum(part.counts[op] for part in parts) for op in ("update", "delete"))
    counts = Counts(source_rows=update, target_rows=update + delete, update=update, delete=delete)
    report = TableReport(
        name,
        str(shape.name),
        counts,
        differing=dict(sum((Counter(each.differing) for each in windows), Counter[str]())),
        samples=first_samples(sample for each in windows for sample in each.samples),
        windows=len(windows),
        in_spec=False,
    )
    return Beside(shape, report, tuple(windows))


def _let_go(kept: Kept) -> Iterator[Edit]:
    """The rows that stay, and whose references are changed since what they refer to goes."""
    for link in kept.links:
        if link.does != "let_go":
            continue
        rows = link.referring.filter(_changed(link, kept)).keys
        schema = link.child.schema(tuple(rows.column_names))
        rows = rows.cast(schema).group_by(rows.column_names).aggregate([])
        for name, value in kept.followed.values[reference_of(link.child, link.foreign)].items():
            rows = rows.append_column(name, pa.repeat(value[0], rows.num_rows))
        if rows.num_rows:
            yield Edit(link.child, rows)


def _updates(side: WrittenSide, shape: TableShape, edits: Sequence[Edit]) -> Iterator[ChangeSet]:
    """The updates of rows, each once, whatever changes it, in the columns that change."""
    key = key_of(shape)
    assert key is not None, "rows without a key are never planned"
    none = shape.schema(key).empty_table()
    every = pa.concat_tables([none, *(edit.rows.select(list(key)) for edit in edits)])
    every = every.group_by(list(key)).aggregate([])
    if not every.num_rows:
        return
    names = tuple(name for name in shape.names if any(name in edit.rows.column_names for edit in edits))
    before = rows_by_key(side.snapshot, shape, names, every, key).select(list(names))
    after = before
    for edit in edits:
        place = keys.match(before, edit.rows, key)
        for name in edit.rows.column_names:
            if name not in key:
                new = edit.rows.column(name).take(pa.array(place, mask=place < 0))
                field = before.schema.field(name)
                column = pc.if_else(pa.array(place >= 0), new.cast(field.type), after.column(name))
                after = after.set_column(names.index(name), field, column)
    nothing = before.slice(0, 0)
    compared = tuple(name for name in names if name not in key)
    for start in range(0, before.num_rows, WINDOW_ROWS):
        was, will = before.slice(start, WINDOW_ROWS), after.slice(start, WINDOW_ROWS)
        yield ChangeSet(shape.name, key, compared, nothing, was, will, nothing)


def _changed(link: Link, kept: Kept) -> Mask:
    """Which rows that refer let go of one that goes, and do not go themselves."""
    changed = link.referred(kept.going)
    own = kept.going.get(link.child.name)
    return changed if own is None else changed & ((link.place < 0) | own.stays[np.maximum(link.place, 0)])


def _deletes(side: WrittenSide, going: Going) -> Iterator[ChangeSet]:
    """The deletes of a table, in windows of which no row refers to one of an earlier window: children go first."""
    first = next(iter(going.windows.values()))
    whole = pa.concat_tables([changes.deletes for changes in going.windows.values()])
    whole = whole.filter(pa.array(~going.stays))
    levels = _levels(side, going.shape, whole)
    for level in range(int(levels.max()) + 1 if len(levels) else 0):
        rows = whole.filter(pa.array(levels == level))
        for start in range(0, rows.num_rows, WINDOW_ROWS):
            yield replace(first, deletes=rows.slice(start, WINDOW_ROWS))


def _levels(side: WrittenSide, shape: TableShape, rows: pa.Table) -> Indices:
    """For each row how many rows lead to it at most, by foreign keys of the table to itself; rows of a circle come last."""
    referring: list[Indices] = []
    parents: list[Indices] = []
    for foreign in shape.foreign_keys:
        if foreign.refers == shape.name and rows.num_rows:
            there = compared(side.adapter, shape, rows, foreign.refers_columns)
            asked = compared(side.adapter, shape, rows, foreign.columns, there.schema)
            names = tuple(there.column_names)
            held, whole = (np.flatnonzero(~keys.null_keys(each, names)) for each in (there, asked))
            place = keys.match(asked.take(pa.array(whole)), there.take(pa.array(held)), names)
            whole, parent = whole[place >= 0], held[place[place >= 0]]
            referring.append(whole[parent != whole])
            parents.append(parent[parent != whole])
    levels = np.zeros(rows.num_rows, dtype=np.int64)
    if not referring:
        return levels
    child, parent = np.concatenate(referring), np.concatenate(parents)
    waiting, level = np.ones(rows.num_rows, dtype=bool), 0
    while waiting.any():
        held = np.zeros(rows.num_rows, dtype=bool)
        held[parent[waiting[child]]] = True
        free = waiting & ~held
        chosen = free if free.any() else waiting
        levels[chosen] = level
        waiting, level = waiting & ~chosen, level + 1
    return levels
