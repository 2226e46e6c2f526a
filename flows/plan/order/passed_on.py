"""Values that pass from one row of a table to another while rows refer to them by a foreign key that is not to the table's key.

The row that has such a value cannot give it up while others refer to it, nor can another have it meanwhile. So where the columns
that refer may be null, those rows let go of it before all else, and refer to it again once all inserts and updates are in. Such
steps are interim ones (`flows.plan.order.interim`): a row that only lets go and comes back is unchanged.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.protocol import Snapshot, Target
from adapters.store.plans import PlanWriter
from flows.bind.tables import BoundTable
from flows.plan.decide import Planned, read_changes
from flows.plan.order.moving_values import Window, window_of_plan
from flows.plan.order.two_steps import Loose, in_steps
from flows.plan.references.referrers import compared, inside
from flows.session.scan import readable
from flows.session.session import Job, Session
from transforms import keys
from transforms.vocabulary import ChangeSet, Counts, ForeignKey, Key, Relation, TableName, TableShape
from transforms.vocabulary.arrow import Mask
from transforms.vocabulary.values import same_rows


@dataclass(frozen=True, slots=True)
class Passing:
    """`values` of a table, in the columns that `foreign` refers to, that pass from row to row; rows of `child` have nulls in its
    columns `empty` meanwhile."""

    child: TableShape
    parent: TableShape
    foreign: ForeignKey
    values: pa.Table
    empty: Key

    def of(self, target: Target, rows: pa.Table, shape: TableShape, names: Key) -> Mask:
        """Which rows of a table have such a value in some columns, as the engine compares it."""
        values = compared(target, self.parent, self.values, self.foreign.refers_columns)
        return inside(compared(target, shape, rows, names, values.schema), values)

    def among(self, target: Target, referred: pa.Table) -> Mask:
        """Which of some values, as the engine compares them, pass."""
        return inside(
            referred, compared(target, self.parent, self.values, self.foreign.refers_columns, referred.schema)
        )


def passed_on(
    target: Target, parent: TableShape, key: Key, windows: Sequence[Window], children: Mapping[TableName, TableShape]
) -> Iterator[Passing]:
    """The values that windows of a table take from one row and give to another, for each foreign key of some tables to them.

    In: the table's key in these windows. Out: none for a key whose columns cannot be null for a while. Memory: what is referred to
    of the rows that are written.
    """
    for child in children.values():
        for foreign in child.foreign_keys:
            names = foreign.refers_columns
            if foreign.refers != parent.name or child.name == parent.name or set(names) == set(key):
                continue
            if (empty := may_be_empty(child, foreign)) and (
                values := _passing(target, parent, windows, names)
            ) is not None:
                yield Passing(child, parent, foreign, values, empty)


def may_be_empty(child: TableShape, foreign: ForeignKey) -> Key:
    """The columns of a foreign key that can be null for a while."""
    fixed = {*child.primary_key, *(name for unique in child.nulls_alike for name in unique)}
    columns = [column for name in foreign.columns if (column := child.column(name)) is not None]
    found = tuple(c.name for c in columns if c.nullable and not c.generated and c.name not in fixed)
    return () if foreign.full and found != foreign.columns else found


def _passing(target: Target, parent: TableShape, windows: Sequence[Window], names: Key) -> pa.Table | None:
    given: list[pa.Table] = []
    taken: list[pa.Table] = []
    for window in windows:
        gone, updates = window.of("delete"), window.of("update")
        moved = updates and window.moves(names)
        if not (gone or moved or window.of("insert")):
            continue
        expected, written = window.expected(names), window.written(names)
        if expected is None or written is None:
            return None
        other = np.zeros(updates, dtype=bool)
        if moved:
            other = ~same_rows(expected.slice(gone), written.slice(0, updates), names, {})
        given.append(expected.filter(pa.array(np.concatenate([np.ones(gone, dtype=bool), other]))))
        taken.append(written.filter(pa.array(np.concatenate([other, np.ones(written.num_rows - updates, dtype=bool)]))))
    if not any(each.num_rows for each in given) or not any(each.num_rows for each in taken):
        return None
    old, new = (keys.without_null_keys(pa.concat_tables(each), names) for each in (given, taken))
    there = compared(target, parent, old, names)
    found = old.filter(pa.array(inside(there, compared(target, parent, new, names, there.schema))))
    return keys.distinct(found) if found.num_rows else None


def passed_on_by_plan(
    session: Session, job: Job, tables: Sequence[BoundTable], planned: Mapping[str, Sequence[Planned]]
) -> list[Passing]:
    """What the plan of some tables takes from one row and gives to another. None where it is about some rows only: others, that
    refer to them too, are not looked at."""
    if job.chosen:
        return []
    target = session.sides.written(job.side).adapter
    children = {each.shape.name: each.shape for each in tables if not each.ddl and not each.unwritable}
    found: list[Passing] = []
    for bound in tables:
        if bound.ddl or not any(planned[bound.name]):
            continue
        windows = [window_of_plan(job, each, each.changes) for each in planned[bound.name] if each.changes is not None]
        found += passed_on(target, bound.shape, bound.key, windows, children)
    written = {each.shape.name: set(each.schema.names) - set(each.key) for each in tables}
    return [each for each in found if {*each.foreign.columns} <= written[each.child.name]]


@dataclass(slots=True)
class Stepped:
    """Changes of a table whose rows let go and come back: the windows that are others now, those that come `first`, and those
    that complete; of these the ones in `late` are real changes."""

    changed: dict[int, ChangeSet] = field(default_factory=dict)
    first: list[ChangeSet] = field(default_factory=list)
    completing: list[ChangeSet] = field(default_factory=list)
    late: list[ChangeSet] = field(default_factory=list)


def letting_go(
    target: Target, snapshot: Snapshot, key: Key, passing: Sequence[Passing], windows: Mapping[int, ChangeSet]
) -> Stepped:
    """Let rows of a table go of values that pass to others, and refer to them again.

    In: what passes, by its foreign keys; its real changes, but for updates that come first anyway. Reads the rows that refer to such
    values. Memory: those rows.
    """
    shape = passing[0].child
    names = list(dict.fromkeys([*key, *(name for each in passing for name in each.foreign.columns)]))
    rows = _referring(target, snapshot, shape, key, names, passing)
    found = Stepped()
    masks = [each.of(target, rows, shape, each.foreign.columns) for each in passing]
    emptied = rows
    for each, mask in zip(passing, masks, strict=True):
        emptied = _emptied(emptied, each.empty, mask)
    none = rows.slice(0, 0)
    step = ChangeSet(shape.name, key, tuple(name for name in names if name not in key), none, rows, emptied, none)
    found.first += [step] if rows.num_rows else []
    touched = np.zeros(rows.num_rows, dtype=bool)
    loose = [Loose(each.foreign.columns, each.values, each.empty) for each in passing]
    for number, changes in windows.items():
        if not set(names) <= set(changes.schema.names):
            continue
        images = {}
        for image in ("deletes", "before"):
            images[image] = mine = getattr(changes, image)
            place = keys.match(mine, rows, key)
            touched[place[place >= 0]] = True
            for each, mask in zip(passing, masks, strict=True):
                images[image] = _emptied(images[image], each.empty, np.isin(place, np.flatnonzero(mask)))
        left = replace(changes, **images)
        steps = in_steps(left, loose)
        found.changed[number] = left if steps is None else steps.main
        if steps is not None:
            found.completing += [steps.rest] if steps.rest is not None else []
            found.late += [steps.late] if steps.late is not None else []
    if not touched.all():
        back = pa.array(~touched)
        found.completing.append(replace(step, before=emptied.filter(back), after=rows.filter(back)))
    return found


def _referring(
    target: Target, snapshot: Snapshot, shape: TableShape, key: Key, names: Sequence[str], passing: Sequence[Passing]
) -> pa.Table:
    """The rows of a table that refer to what passes, each once, in some columns."""
    found = shape.schema(tuple(names)).empty_table()
    for batch in readable(snapshot.scan(Relation(shape.name), names), shape.name, "target", key):
        rows = pa.Table.from_batches([batch]).cast(found.schema)
        chosen = np.zeros(rows.num_rows, dtype=bool)
        for each in passing:
            chosen |= each.of(target, rows, shape, each.foreign.columns)
        found = pa.concat_tables([found, rows.filter(pa.array(chosen))])
    return found


def _emptied(rows: pa.Table, names: Key, mask: Mask) -> pa.Table:
    for name in names if mask.any() else ():
        place = rows.schema.get_field_index(name)
        kind = rows.schema.field(place)
        rows = rows.set_column(place, kind, pc.if_else(pa.array(mask), pa.scalar(None, kind.type), rows.column(name)))
    return rows


def with_steps(
    session: Session, job: Job, tables: Iterable[BoundTable], passing: Sequence[Passing], outcomes: Sequence[Planned]
) -> list[Planned]:
    """The windows of a plan, with those in which rows let go of what passes, and come back to it."""
    side, found = session.sides.written(job.side), list(outcomes)
    writer = PlanWriter(Path(job.folder), begun=True)
    for bound in tables if passing else ():
        mine = [each for each in passing if each.child.name == bound.shape.name]
        if not mine:
            continue
        own = [each for each in found if each.table == bound.name]
        windows = {
            each.window: session.changes.take(bound.name, each.window) or read_changes(job, each.changes)
            for each in own
            if each.changes is not None and not each.interim and not (each.first and each.changes.has("update"))
        }
        steps = letting_go(side.adapter, side.snapshot, bound.key, mine, windows)
        for number, changes in steps.changed.items():
            entry = writer.add(number, changes) if len(changes) else None
            found = [
                replace(each, changes=entry) if (each.table, each.window) == (bound.name, number) else each
                for each in found
            ]
        numbers = count(max((each.window for each in own), default=-1) + 1)
        for parts, first, interim in (
            (steps.first, True, True),
            (steps.completing, False, True),
            (steps.late, False, False),
        ):
            for changes in parts:
                number = next(numbers)
                plain = Planned(bound.name, number, Counts(), writer.add(number, changes), None, None, clear=False)
                found.append(replace(plain, first=first, completing=not first, interim=interim))
    return found
