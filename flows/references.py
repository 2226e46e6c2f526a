"""Foreign keys that changes would break: asked before a row is written, of the target as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.protocol import Snapshot
from flows.reading import readable
from transforms import expressions, keys
from transforms.keys import Mask
from transforms.vocabulary import ChangeSet, ForeignKey, Key, Relation, TableName, TableShape


def broken_references(
    snapshot: Snapshot, shapes: Mapping[TableName, TableShape], changes: Mapping[TableName, ChangeSet]
) -> Iterator[str]:
    """What the changes would leave without a parent, a line for each foreign key: `12 rows of flight without their airport, such as [7]`.

    In: `shapes` of all tables that may refer to each other. Foreign keys over columns that a change set does not have are not
        looked at. Memory: the keys of the tables that are looked at.
    """
    for name, shape in shapes.items():
        for foreign in shape.foreign_keys:
            parent = shapes.get(foreign.refers)
            if parent is None or (name not in changes and foreign.refers not in changes):
                continue
            lost = _lost(snapshot, shape, parent, foreign, changes.get(name), changes.get(foreign.refers))
            if lost is not None and lost.num_rows:
                first = expressions.as_json_keys(lost.slice(0, 1), tuple(lost.column_names))[0].as_py()
                yield f"{lost.num_rows:,} rows of {name} without their {foreign.refers}, such as {first}"


def _lost(
    snapshot: Snapshot,
    child: TableShape,
    parent: TableShape,
    foreign: ForeignKey,
    mine: ChangeSet | None,
    theirs: ChangeSet | None,
) -> pa.Table | None:
    """The keys of rows that would refer to nothing."""
    key = mine.key if mine is not None else child.primary_key or foreign.columns
    gone = _gone(theirs, foreign.refers_columns)
    found: list[pa.Table] = []
    if gone is not None and gone.num_rows:
        rows = _scanned(snapshot, child, list(dict.fromkeys([*key, *foreign.columns])))
        for part in (mine.deletes, mine.before) if mine is not None else ():
            rows = rows.filter(pa.array(~keys.contained(rows, _typed(part.select(list(key)), rows), key)))
        found.append(
            rows.filter(pa.array(_inside(rows, foreign.columns, gone, foreign.refers_columns))).select(list(key))
        )
    come = _come(mine, foreign.columns)
    if come is not None and come.num_rows:
        names = foreign.refers_columns
        there = keys.without_null_keys(_scanned(snapshot, parent, list(names)), names)
        if gone is not None and gone.num_rows and there.num_rows:
            there = there.filter(pa.array(~keys.contained(there, _typed(gone, there), names)))
        for part in (theirs.inserts, theirs.after) if theirs is not None else ():
            if set(names) <= set(part.column_names):
                there = pa.concat_tables([there, _typed(part.select(list(names)), there)])
        alone = ~keys.null_keys(come, foreign.columns) & ~_inside(come, foreign.columns, there, names)
        found.append(come.filter(pa.array(alone)).select(list(key)))
    return pa.concat_tables([found[0], *(_typed(each, found[0]) for each in found[1:])]) if found else None


def _gone(changes: ChangeSet | None, names: Key) -> pa.Table | None:
    """The values of columns that go and do not come back; None where the images do not have the columns."""
    if changes is None or not set(names) <= set(changes.schema.names):
        return None
    went = pa.concat_tables([changes.deletes.select(list(names)), changes.before.select(list(names))])
    came = pa.concat_tables([changes.inserts.select(list(names)), changes.after.select(list(names))])
    went, came = (keys.without_null_keys(each, names) for each in (went, came))
    if not went.num_rows or not came.num_rows:
        return went
    return went.filter(pa.array(~keys.contained(went, came, names)))


def _come(changes: ChangeSet | None, columns: Key) -> pa.Table | None:
    """The rows that get a reference that they did not have."""
    if changes is None or not set(columns) <= set(changes.schema.names):
        return None
    names = list(dict.fromkeys([*changes.key, *columns]))
    moved = np.zeros(changes.after.num_rows, dtype=bool)
    for name in columns:
        same = pc.equal(changes.before[name], changes.after[name])
        moved |= ~keys.as_mask(pc.fill_null(same, False))
    return pa.concat_tables([changes.inserts.select(names), changes.after.filter(pa.array(moved)).select(names)])


def _inside(rows: pa.Table, columns: Key, others: pa.Table, names: Key) -> Mask:
    """Which rows have, in `columns`, the values of a row of `others` in `names`."""
    inside = np.zeros(rows.num_rows, dtype=bool)
    whole = ~keys.null_keys(rows, columns)
    if whole.any() and others.num_rows:
        asked = rows.filter(pa.array(whole)).select(list(columns)).rename_columns(list(names))
        inside[whole] = keys.contained(_typed(asked, others), others, names)
    return inside


def _typed(rows: pa.Table, like: pa.Table) -> pa.Table:
    return rows.cast(pa.schema([like.schema.field(name) for name in rows.column_names]))


def _scanned(snapshot: Snapshot, shape: TableShape, names: Sequence[str]) -> pa.Table:
    batches = list(readable(snapshot.scan(Relation(shape.name), names), shape.name, "target", ()))
    return pa.Table.from_batches(batches) if batches else shape.schema(tuple(names)).empty_table()
