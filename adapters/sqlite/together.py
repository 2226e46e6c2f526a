"""Windows of several tables in one transaction of SQLite, with all foreign keys looked at in its end."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from adapters.sql.orphans import orphaned
from adapters.sql.savepoint import savepoint
from adapters.sql.staged_apply import ORDER, column_of
from adapters.sql.statements import column, rendered, select
from adapters.sqlite.catalog import referrers
from adapters.sqlite.connection import Connection
from adapters.sqlite.keys import hold_foreign_keys
from adapters.sqlite.snapshot import DIALECT, batches, travel
from adapters.sqlite.types import quoted, value_sql
from adapters.sqlite.writer import apply_window, marked
from transforms.vocabulary import Applied, ChangeSet, ForeignKey, Marker, SynclineError, TableName, TableShape


class Joint:
    """See the protocol."""

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._written: set[TableName] = set()

    def apply(
        self,
        changes: ChangeSet,
        shape: TableShape,
        marker: Marker | None,
        *,
        empty: bool = False,
        trial: bool = False,
    ) -> Applied:
        try:
            with savepoint(self._connection.ask, "syncline_window", SynclineError, trial=trial):
                if marker is not None and marked(self._connection, marker):
                    return Applied(already=True)
                applied = apply_window(self._connection, changes, shape, empty=empty)
                self._written.add(changes.table)
                return applied
        finally:
            for op in ORDER:
                self._connection.drop(f"syncline_{op}")

    def hold(self) -> None:
        """COMMIT looks at all of them, and this while rows can be named: at those from and to the tables that were written."""
        children = (child for table in self._written for child in referrers(self._connection, table))
        for table in {*self._written, *children}:
            hold_foreign_keys(self._connection, table)

    def unmet(self, shape: TableShape, names: Sequence[str], foreign: ForeignKey) -> pa.Table:
        own, there = ([column(name) for name in each] for each in (foreign.columns, foreign.refers_columns))
        lost = orphaned(shape.name, foreign.columns, own, foreign.refers, there, DIALECT)
        columns = [column_of(shape, name) for name in names]
        read: list[sa.ColumnElement[Any]] = [
            sa.literal_column(value_sql(each.native, quoted(each.name))).label(None) for each in columns
        ]
        found = batches(self._connection, columns, rendered(select(lost, read), DIALECT))
        return pa.Table.from_batches(list(found), travel(columns))


@contextmanager
def together(connection: Connection) -> Iterator[Joint]:
    """See `Deferring.together`."""
    connection.ask("PRAGMA foreign_keys = ON")
    with connection.transaction():
        connection.ask("PRAGMA defer_foreign_keys = ON")
        yield Joint(connection)
