"""Rows that refer, by a foreign key of the target, to what no row has: neither the target now nor the plan. They are set aside.

The target would refuse them one by one. Once a table is planned, what its rows refer to is held to what comes and, of the rest, to
what the target has; where something is lacking it is written down, and the table is planned again without those rows.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from adapters.protocol import Target
from adapters.store import spill
from adapters.store.plan_files import read_expected, read_written
from flows.bind.tables import BoundTable
from flows.plan.decide import Planned
from flows.plan.lookups.own_lookups import forget
from flows.plan.reading.chosen_keys import as_held
from flows.plan.reading.refusals import as_compared, plain_keys
from flows.plan.reading.window_reader import orphans_file
from flows.plan.references.referrers import compared, inside, looked_through
from flows.session.memory import Samples
from flows.session.route import Route
from flows.session.session import Job, Session
from transforms import keys
from transforms.mapping import casts
from transforms.vocabulary import ForeignKey, Key, TableShape
from transforms.vocabulary.arrow import Mask, contiguous
from transforms.vocabulary.values import same_rows


def plan_without_orphans(
    session: Session,
    route: Route,
    job: Job,
    before: Sequence[Planned],
    planned_later: Collection[str],
    plan: Callable[[Session], list[Planned]],
) -> list[Planned]:
    """Plan the windows of a table, by `plan`; twice, where rows of them refer to what no row has.

    In: the windows of tables that were `planned` before it, and those that are `planned_later`, of which nothing is known yet.
    A check counts such rows by itself. Memory: what rows refer to that come or are updated, each value once.
    """
    bound = route.table
    if session.watch.counts or not (links := list(links_of(session, bound, route.writes.adapter, planned_later))):
        return plan(session)
    planned = plan(replace(session, samples=Samples()))
    every, lacking = [*before, *planned], list[tuple[int, pa.Table]]()
    for number, foreign, shape, parent in links:
        values = referred_values(Path(job.folder), planned, foreign.columns)
        lost = None if values is None else without_row(route, job, every, foreign, shape, parent, values)
        lacking += [] if lost is None else [(number, lost)]
    if not lacking:
        return planned
    for number, values in lacking:
        spill.add_rows(orphans_file(job, bound.name, number), values)
    forget(job, bound, planned)
    return plan(replace(session, samples=Samples()))


def refer_to_nothing(
    session: Session, route: Route, job: Job, planned: Sequence[Planned], later: Collection[str]
) -> bool:
    """Write down what rows of a table refer to that no row has, of tables that were planned `later` than it; whether there is some.

    In: all windows that were `planned`. A check counts such rows by itself. Memory: as `plan_without_orphans`.
    """
    bound, found = route.table, False
    if session.watch.counts:
        return False
    for number, foreign, shape, parent in links_of(session, bound, route.writes.adapter, ()):
        if parent is None or parent.name not in later:
            continue
        values = referred_values(
            Path(job.folder), [each for each in planned if each.table == bound.name], foreign.columns
        )
        lost = None if values is None else without_row(route, job, planned, foreign, shape, parent, values)
        if lost is not None:
            spill.add_rows(orphans_file(job, bound.name, number), lost)
            found = True
    return found


def links_of(
    session: Session, bound: BoundTable, target: Target, later: Collection[str]
) -> Iterator[tuple[int, ForeignKey, TableShape, BoundTable | None]]:
    """The foreign keys that the target will hold while rows are written, and whose parents are known, by their numbers: with what
    they refer to, and the table of the spec that it is."""
    if bound.unwritable or (bound.ddl and target.capabilities.adds_foreign_keys):
        return
    known = {each.shape.name: each for each in session.bound.tables}
    for number, foreign in plain_keys(bound):
        parent = known.get(foreign.refers)
        if parent is not None and parent.name in later:
            continue
        shape = parent.shape if parent is not None else target.describe(foreign.refers)
        if shape is None or shape.hidden_by is not None:
            continue
        pairs = zip(foreign.columns, foreign.refers_columns, strict=True)
        ends = [(bound.shape.column(own), shape.column(there)) for own, there in pairs]
        if all(own is not None and there is not None and own.travels_like(there) for own, there in ends):
            yield number, foreign, shape, parent


def referred_values(folder: Path, planned: Sequence[Planned], columns: Key) -> pa.Table | None:
    """What rows of windows newly refer to, each value once, in the columns that refer; None for nothing."""
    wanted = [rows for each in planned if (rows := referring_rows(folder, each, columns)) is not None]
    return keys.distinct(pa.concat_tables(wanted)) if wanted else None


def without_row(
    route: Route,
    job: Job,
    planned: Sequence[Planned],
    foreign: ForeignKey,
    parent: TableShape,
    known: BoundTable | None,
    values: pa.Table,
) -> pa.Table | None:
    """Those of some values in the columns that refer which no row has, neither of the plan nor of the side; None for none.

    In: windows of the tables that have been planned so far.
    """
    target, names, folder = route.writes.adapter, foreign.refers_columns, Path(job.folder)
    new = known is not None and bool(known.ddl)

    def as_indexed(rows: pa.Table) -> pa.Table:
        if known is None:
            return compared(target, parent, rows, names)
        return as_compared(target, known, rows, names)

    mine = as_indexed(as_parent(values, foreign, parent))
    left = np.arange(values.num_rows)
    for each in planned:
        if known is None or each.table != known.name or each.changes is None or not len(left):
            continue
        come = read_written(folder, each.changes, names)
        if come is not None and come.num_rows:
            left = left[~inside(mine.take(pa.array(left)), as_indexed(come).cast(mine.schema))]
    if not len(left) or new:
        return values.take(pa.array(left)) if len(left) else None
    asked = as_held(parent, target, as_parent(values.take(pa.array(left)), foreign, parent))

    def taken(rows: pa.Table) -> pa.Table:
        return as_indexed(rows).cast(mine.schema)

    collated = any(column.collation for column in parent.columns if column.name in names)
    # an index may find less than the engine takes for equal
    for some in [keys.distinct(asked), *([None] if collated else [])]:
        if some is not None and not some.num_rows:
            continue
        found = looked_through(target, parent, list(names), taken, some)
        if found is None:  # only the engine may look
            return None
        there = pa.concat_tables([mine.slice(0, 0), *found])
        left = left[~inside(mine.take(pa.array(left)), there)]
        if not len(left):
            return None
    return values.take(pa.array(left))


def referring_rows(folder: Path, planned: Planned, columns: Key) -> pa.Table | None:
    """What rows of a window newly refer to: those that come, and those that referred to something else. None where none does."""
    entry = planned.changes
    if entry is None or not entry.has("insert", "update"):
        return None
    rows = read_written(folder, entry, columns)
    if rows is None:
        return None
    rows = keys.without_null_keys(rows.filter(pa.array(_refers_newly(folder, planned, rows, columns))), columns)
    return keys.distinct(rows) if rows.num_rows else None


def _refers_newly(folder: Path, planned: Planned, written: pa.Table, columns: Key) -> Mask:
    """Which rows that a window updates and inserts come, or have other values in some columns than before."""
    entry = planned.changes
    assert entry is not None, "it writes rows"
    deletes, updates = entry.counts.get("delete", 0), entry.counts.get("update", 0)
    newly = np.ones(written.num_rows, dtype=bool)
    newly[:updates] = False
    if updates and any(planned.differing.get(name) for name in columns):
        was = read_expected(folder, entry, columns)
        assert was is not None, "it has the columns"
        newly[:updates] = ~same_rows(was.slice(deletes), written.slice(0, updates).select(list(columns)), columns, {})
    return newly


def as_parent(values: pa.Table, foreign: ForeignKey, parent: TableShape) -> pa.Table:
    """What is referred to in the columns and types of the table that it is looked for in; null where that cannot hold it."""
    made = {}
    for own, there in zip(foreign.columns, foreign.refers_columns, strict=True):
        column, shape = contiguous(values.column(own)), parent.column(there)
        assert shape is not None, "a foreign key refers to columns that are there"
        same = column.type.equals(shape.type)
        made[there] = column if same else casts.cast(column, casts.Cast(shape.type, shape.meaning)).values
    return pa.table(made)
