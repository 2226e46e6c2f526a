"""What changes will come to: which of them will be written, given the rows that the target holds now."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import pyarrow as pa

from adapters.protocol import Snapshot
from flows.reading import readable
from transforms import keys
from transforms.diff import Comparison, diff
from transforms.history import filtered
from transforms.vocabulary import ChangeSet, Relation, TableShape


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


def foresee(snapshot: Snapshot, shape: TableShape, changes: ChangeSet, besides: Sequence[str]) -> Foreseen:
    """Hold changes to the rows that are there, by the rule of `Adapter.apply`.

    In: each key at most once; `besides` are columns of the table that `there` is to have, mapped or not. Reads the table
    once. Memory: the changes, and the rows that they are about.
    Errors: DataError where such a row cannot be read.
    """
    key = changes.key
    names = list(dict.fromkeys([*key, *besides]))
    expected = pa.concat_tables([changes.deletes, changes.before])
    found = _rows_of(snapshot, shape, list(dict.fromkeys([*changes.schema.names, *names])), changes)
    whole = found.select(changes.schema.names).cast(changes.schema)
    meanings = {column.name: column.meaning for column in shape.columns}
    alike = Comparison(key, tuple(name for name in changes.compared if name not in key), meanings=meanings)
    apart = diff(changes.table, expected, whole, alike, delete=False).changes
    other = pa.concat_tables([apart.inserts.select(list(key)), apart.after.select(list(key))])
    written = filtered(changes, lambda rows: ~keys.contained(rows, other, key)) if other.num_rows else changes
    inserts = changes.inserts  # `filtered` knows rows that are expected; new ones must not be there
    taken = keys.contained(inserts, whole, key) if inserts.num_rows and whole.num_rows else None
    written = replace(written, inserts=inserts if taken is None else inserts.filter(pa.array(~taken)))
    touched = pa.concat_tables([written.deletes.select(list(key)), written.before.select(list(key))])
    there = found.select(names)
    if there.num_rows:
        there = there.filter(pa.array(keys.contained(there, touched, key)))
    return Foreseen(written, there, apart.after.select(list(key)))


def _rows_of(snapshot: Snapshot, shape: TableShape, names: Sequence[str], changes: ChangeSet) -> pa.Table:
    """The rows of the table that the changes are about."""
    parts = (changes.deletes, changes.before, changes.inserts)
    wanted = pa.concat_tables([part.select(list(changes.key)) for part in parts])
    schema = shape.schema(tuple(names))
    found = [schema.empty_table()]
    if not wanted.num_rows:
        return found[0]
    for batch in readable(snapshot.scan(Relation(shape.name), names), shape.name, "target", changes.key):
        rows = pa.Table.from_batches([batch])
        inside = keys.contained(rows, wanted.cast(_like(rows, changes.key)), changes.key)
        if inside.any():
            found.append(rows.filter(pa.array(inside)).cast(schema))
    return pa.concat_tables(found)


def _like(rows: pa.Table, key: Sequence[str]) -> pa.Schema:
    return pa.schema([rows.schema.field(name) for name in key])
