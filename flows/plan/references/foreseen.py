"""What changes will come to: which of them will be written, given the rows that the target holds now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Protocol

import pyarrow as pa

from adapters.protocol import Snapshot, Target
from flows.plan.reading.chosen_keys import as_held
from flows.session.scan import readable
from transforms import keys
from transforms.diff import Comparison, diff
from transforms.net_changes import IMAGES, filtered
from transforms.vocabulary import ChangeSet, Key, Relation, TableName, TableShape


class Rows(Protocol):
    """What tables hold: a snapshot, or less than one."""

    def scan(
        self, relation: Relation, columns: Sequence[str], *, keys: pa.Table | None = None
    ) -> Iterator[pa.RecordBatch]:
        """As of `Snapshot`. No other rows than those with the values of `keys` are needed; they may come all the same."""


@dataclass(frozen=True, slots=True)
class Whole:
    """Tables that are gone through, however few of their rows are needed: that takes one way with every index, and with none."""

    snapshot: Snapshot

    def scan(
        self, relation: Relation, columns: Sequence[str], *, keys: pa.Table | None = None
    ) -> Iterator[pa.RecordBatch]:
        return self.snapshot.scan(relation, columns)


@dataclass(frozen=True, slots=True)
class ByValue:
    """Tables of the target of which nothing is read but what is needed."""

    target: Target
    snapshot: Snapshot
    shapes: Mapping[TableName, TableShape]

    def scan(
        self, relation: Relation, columns: Sequence[str], *, keys: pa.Table | None = None
    ) -> Iterator[pa.RecordBatch]:
        if keys is None or relation.table is None:
            return self.snapshot.scan(relation, columns)
        asked = as_held(self.shapes[relation.table], self.target, keys)
        return self.snapshot.scan(relation, columns, keys=asked) if asked.num_rows else iter(())


@dataclass(frozen=True, slots=True)
class Foreseen:
    """What a table's changes will do.

    `changes` are those that will be written. `there` holds the rows, as they are now, that these delete and update: the key
    and the columns that were asked for. `left` has the keys of rows that are not as the changes expect, and stay.
    """

    changes: ChangeSet
    there: pa.Table
    left: pa.Table

    @property
    def deleted(self) -> pa.Table:
        """The rows that go, as they are now."""
        gone = self.changes.deletes
        if not self.there.num_rows or not gone.num_rows:
            return self.there.slice(0, 0)
        return self.there.filter(pa.array(keys.contained(self.there, gone, self.changes.key)))


def as_planned(parts: Sequence[ChangeSet], names: Sequence[str]) -> Foreseen | None:
    """What changes will do that were made of the rows that are there; None where not all of them have the columns `names`."""
    wanted = list(dict.fromkeys([*parts[0].key, *names]))
    if any(not set(wanted) <= set(part.schema.names) for part in parts):
        return None
    narrow = [narrowed(part, wanted) for part in parts]
    whole = replace(
        narrow[0], **{image: pa.concat_tables([getattr(each, image) for each in narrow]) for image in IMAGES}
    )
    return Foreseen(
        whole, pa.concat_tables([whole.deletes, whole.before]), whole.deletes.slice(0, 0).select(list(whole.key))
    )


def narrowed(changes: ChangeSet, names: Sequence[str]) -> ChangeSet:
    """Changes in those columns of `names` that they have."""
    mine = [name for name in names if name in changes.schema.names]
    compared = tuple(name for name in changes.compared if name in mine)
    return replace(changes, compared=compared, **{image: getattr(changes, image).select(mine) for image in IMAGES})


def foresee(snapshot: Rows, shape: TableShape, parts: Sequence[ChangeSet], linked: Sequence[Key]) -> Foreseen:
    """Hold changes to the rows that are there, by the rule of `Target.apply`.

    In: change sets of one table, each key at most once in all of them; `linked` are the columns of foreign keys that `there` is
    to have, mapped or not. Out: changes with the columns of all sets, and with all of a foreign key of which one is written.
    What a set does not write of a row stays as it is there, or is null in a row that comes. Memory: the
    changes, and the rows that they are about. Errors: DataError where such a row cannot be read.
    """
    key = parts[0].key
    names = list(dict.fromkeys([*key, *(name for columns in linked for name in columns)]))
    written = {name: field for part in parts for name, field in zip(part.schema.names, part.schema, strict=True)}
    in_part = dict.fromkeys(name for columns in linked if written.keys() & set(columns) for name in columns)
    written = {**{field.name: field for field in shape.schema(tuple(in_part))}, **written}
    schema = pa.schema([field for name in shape.names if (field := written.get(name)) is not None])
    found = _rows_of(snapshot, shape, list(dict.fromkeys([*schema.names, *names])), parts)
    whole = found.select(schema.names).cast(schema)
    held = [_held(part, whole, shape) for part in parts]
    changes = replace(
        parts[0], **{image: pa.concat_tables([getattr(each, image) for each, _ in held]) for image in IMAGES}
    )
    left = pa.concat_tables([keys_left for _, keys_left in held])
    touched = pa.concat_tables([changes.deletes.select(list(key)), changes.before.select(list(key))])
    there = found.select(names)
    if there.num_rows:
        there = there.filter(pa.array(keys.contained(there, touched, key)))
    return Foreseen(changes, there, left)


def _held(changes: ChangeSet, whole: pa.Table, shape: TableShape) -> tuple[ChangeSet, pa.Table]:
    """One change set held to the rows that are there: what of it will be written, in their columns, and the keys that stay."""
    key = changes.key
    expected = pa.concat_tables([changes.deletes, changes.before])
    mine = whole.select(changes.schema.names)
    if mine.num_rows:
        asked = pa.concat_tables([expected.select(list(key)), changes.inserts.select(list(key))])
        mine = mine.filter(pa.array(keys.contained(mine, asked, key)))
    meanings = {column.name: column.meaning for column in shape.columns}
    alike = Comparison(key, tuple(name for name in changes.compared if name not in key), meanings=meanings)
    apart = diff(changes.table, expected, mine, alike, delete=False).changes
    other = pa.concat_tables([apart.inserts.select(list(key)), apart.after.select(list(key))])
    written = filtered(changes, lambda rows: ~keys.contained(rows, other, key)) if other.num_rows else changes
    inserts = changes.inserts  # `filtered` knows rows that are expected; new ones must not be there
    taken = keys.contained(inserts, mine, key) if inserts.num_rows and mine.num_rows else None
    written = replace(written, inserts=inserts if taken is None else inserts.filter(pa.array(~taken)))
    return _widened(written, whole), apart.after.select(list(key))


def _widened(changes: ChangeSet, whole: pa.Table) -> ChangeSet:
    """Changes that will be written, in all columns of the rows that are there: others than they write stay as they are."""
    if changes.schema.equals(whole.schema):
        return changes

    def widened(rows: pa.Table) -> pa.Table:
        place = keys.match(rows, whole, changes.key)
        there = whole.take(pa.array(place, mask=place < 0))
        columns = [(rows if name in rows.column_names else there).column(name) for name in whole.column_names]
        return pa.Table.from_arrays(columns, schema=whole.schema)

    return replace(changes, **{image: widened(getattr(changes, image)) for image in IMAGES})


def _rows_of(snapshot: Rows, shape: TableShape, names: Sequence[str], parts: Sequence[ChangeSet]) -> pa.Table:
    """The rows of the table that the changes are about."""
    key = list(parts[0].key)
    images = [image for part in parts for image in (part.deletes, part.before, part.inserts)]
    wanted = pa.concat_tables([image.select(key) for image in images])
    schema = shape.schema(tuple(names))
    found = [schema.empty_table()]
    if not wanted.num_rows:
        return found[0]
    for batch in readable(snapshot.scan(Relation(shape.name), names, keys=wanted), shape.name, "target", parts[0].key):
        rows = pa.Table.from_batches([batch])
        inside = keys.contained(rows, wanted.cast(_like(rows, key)), parts[0].key)
        if inside.any():
            found.append(rows.filter(pa.array(inside)).cast(schema))
    return pa.concat_tables(found)


def _like(rows: pa.Table, key: Sequence[str]) -> pa.Schema:
    return pa.schema([rows.schema.field(name) for name in key])
