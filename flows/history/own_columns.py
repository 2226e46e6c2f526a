"""What history knows of columns that the spec did not map: of rows that runs deleted, and of those that undos gave back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Final

import pyarrow as pa

from adapters.ledger.ledger import Version
from adapters.store.layout import Store
from flows.history.versions import opened_version
from transforms import keys
from transforms.net_changes import shaped
from transforms.vocabulary import ChangeSet, TableName

IN_PART: Final = b"syncline:known in part"  # in the metadata of a column
SAID: Final = b"not mapped: known of rows that a run deleted or an undo gave back, and null in all others"


def with_own_columns(
    store: Store, rows: pa.Table, table: TableName, number: int, versions: Sequence[Version]
) -> pa.Table:
    """Rows of a table as they stood after version `number`, with the columns beside those that were written, behind them.

    In: `versions` of the migration, oldest first. A row has them as an undo gave it back with them, else as it was deleted with
    them later on: an edit by somebody else in between shows too early. Of all other rows nobody knows them: they are null, and
    the column's metadata says so.
    Reads the inserts and deletes of the versions where one of them knows such columns, and nothing else.
    """
    opened = [opened_version(store, version) for version in versions]
    planned = [known for each in opened if (known := each.planned_table(table)) is not None]
    named = {name: None for known in planned for name, _ in known.whole}
    own = [name for name in named if name not in rows.column_names]
    if not own:
        return rows
    memory = _Memory(rows, table, own)
    for each in opened:
        before = each.version.version <= number
        if (each.version.kept or {}).get(str(table)):  # nobody knows which rows came and went
            if not before:
                break
            memory.known = None
            continue
        for changes in each.changes(table, ("insert", "delete")):
            (memory.came if before else memory.went)(changes)
    return memory.told()


@dataclass
class _Memory:
    """`known` are rows with columns of their own, as far as they are known; of those in `ended` nothing more can be learned."""

    rows: pa.Table
    table: TableName
    own: list[str]
    known: pa.Table | None = None
    ended: list[pa.Table] = field(default_factory=list)
    key: tuple[str, ...] = ()

    def came(self, changes: ChangeSet) -> None:
        """Rows that were inserted up to the version: what was known of their keys is of rows before them."""
        self.key = changes.key
        if self.known is not None and changes.inserts.num_rows:
            self.known = _but(self.known, changes.inserts, self.key)
        self._learn(changes.inserts)

    def went(self, changes: ChangeSet) -> None:
        """Rows that were deleted later: those that have been there all the time went with what they had."""
        self.key = changes.key
        gone = changes.deletes
        for rows in ([self.known] if self.known is not None else []) + self.ended:
            gone = _but(gone, rows, self.key)
        self._learn(gone)
        self.ended += [rows.select(list(self.key)) for rows in (changes.deletes, changes.inserts) if rows.num_rows]

    def _learn(self, rows: pa.Table) -> None:
        names = [name for name in self.own if name in rows.column_names]
        if names and rows.num_rows:
            schema = pa.schema([rows.schema.field(name) for name in (*self.key, *names)])
            if self.known is not None:
                schema = pa.unify_schemas(
                    [schema, pa.schema([f for f in self.known.schema if f.name not in schema.names])]
                )
            parts = [rows] if self.known is None else [self.known, rows]
            self.known = pa.concat_tables([shaped(part, schema, self.table) for part in parts])

    def told(self) -> pa.Table:
        """The rows, with what is known of them."""
        if self.known is None or not self.rows.num_rows:
            return self.rows
        place = keys.match(self.rows, _typed(self.known, self.rows, self.key), self.key)
        there = self.known.take(pa.array(place, mask=place < 0))
        rows = self.rows
        for name in self.own:
            if name in there.column_names:
                told = there.schema.field(name).with_metadata({IN_PART: SAID})
                rows = rows.append_column(told, there.column(name))
        return rows


def known_in_part(schema: pa.Schema) -> list[str]:
    """The columns of `with_own_columns` that it has added."""
    return [each.name for each in schema if IN_PART in (each.metadata or {})]


def _but(rows: pa.Table, others: pa.Table, key: tuple[str, ...]) -> pa.Table:
    """Rows whose keys no other one has."""
    if not rows.num_rows or not others.num_rows:
        return rows
    return rows.filter(pa.array(~keys.contained(rows, _typed(others, rows, key), key)))


def _typed(rows: pa.Table, like: pa.Table, key: tuple[str, ...]) -> pa.Table:
    """The key of rows in the types of others, and all else."""
    fields = [like.schema.field(f.name) if f.name in key else f for f in rows.schema]
    return rows.cast(pa.schema(fields))
