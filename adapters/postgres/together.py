"""Windows of several tables in one transaction of PostgreSQL, with what is DEFERRABLE looked at in its end."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, Final

import psycopg
import pyarrow as pa
import sqlalchemy as sa

from adapters.postgres.arrow import found_values
from adapters.postgres.catalog import as_shaped
from adapters.postgres.connection import Connections
from adapters.postgres.markers import Markers, mark
from adapters.postgres.snapshot import spelled
from adapters.postgres.writer import MOVED, ORDER, Window, spelled_name
from adapters.sql.orphans import orphaned
from adapters.sql.statements import column, dialect_of, select
from transforms.vocabulary import Applied, ChangeSet, ForeignKey, Marker, TableName, TableShape

STAGED: Final = ", ".join(
    spelled_name(TableName(name, "pg_temp")) for name in [*(f"syncline_{op}" for op in ORDER), MOVED.name]
)


class Joint:
    """See the protocol. `rows_of` knows the catalog's rows of a table."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        connections: Connections,
        markers: Markers,
        rows_of: Callable[[TableShape], tuple[list[tuple[Any, ...]], bool]],
    ) -> None:
        self._connection, self._connections = connection, connections
        self._markers, self._rows_of = markers, rows_of

    def apply(
        self,
        changes: ChangeSet,
        shape: TableShape,
        marker: Marker | None,
        *,
        empty: bool = False,
        trial: bool = False,
    ) -> Applied:
        if marker is not None:
            self._markers.make_table()
        rows, own_rows = self._rows_of(shape)
        travels = as_shaped(rows, shape)
        where = f"Writing {changes.table}"
        with self._connections.translated(where), self._connection.transaction(force_rollback=trial):
            if marker is not None and not mark(self._connection, marker):
                return Applied(already=True)
            window = Window(self._connection, changes, travels, own_rows=own_rows)
            applied = window.as_left(window.write(shape, empty=empty))
            self._connection.execute(f"DROP TABLE IF EXISTS {STAGED}")
            return applied

    def hold(self) -> None:
        with self._connections.translated("Looking at deferred keys"), self._connection.transaction():
            self._connection.execute("SET CONSTRAINTS ALL IMMEDIATE")

    def unmet(self, shape: TableShape, names: Sequence[str], foreign: ForeignKey) -> pa.Table:
        rows, own_rows = self._rows_of(shape)
        travels = as_shaped(rows, shape)
        own, there = ([column(name) for name in each] for each in (foreign.columns, foreign.refers_columns))
        lost = orphaned(shape.name, foreign.columns, own, foreign.refers, there, dialect_of("postgresql"))
        read: list[sa.ColumnElement[Any]] = [travels[name].found(column(name)) for name in names]
        with self._connections.translated(f"Looking at {shape.name}"):
            found = self._connection.execute(spelled(select(lost, read, own_rows=own_rows))).fetchall()
        arrays = found_values(found, [travels[name] for name in names])
        return pa.Table.from_arrays(arrays, schema=shape.schema(tuple(names)))
