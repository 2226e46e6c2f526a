"""Markers: which windows are in, in a table of the target that each window writes to in its own transaction."""

from __future__ import annotations

from typing import Final

import pymysql

from adapters.mysql.catalog import TABLE
from adapters.mysql.connection import Connection, Connections, code_of, rows, run
from adapters.mysql.writer import TAKEN
from adapters.sql.statements import MARKER
from transforms.vocabulary import Marker, TableName

MARKER_DDL: Final = f"""
CREATE TABLE IF NOT EXISTS {MARKER} (
    migration VARCHAR(255) NOT NULL, plan VARCHAR(255) NOT NULL, table_name VARCHAR(255) NOT NULL,
    window_no INT NOT NULL, phase VARCHAR(16) NOT NULL, applied_at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6),
    PRIMARY KEY (plan, table_name, window_no, phase)
) ENGINE=InnoDB DEFAULT CHARSET=utf8mb4 COLLATE={{collation}}"""


class Markers:
    """The marker table of one database."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._made = False  # whether the table is known to be there

    def make_table(self) -> None:
        """Idempotent, and asked for once."""
        if self._made:
            return
        with self._connections.translated(f"Creating {MARKER}"), self._connections.connected() as connection:
            if not rows(connection, TABLE, [None, MARKER]):
                run(connection, MARKER_DDL.format(collation=self._connections.server.exact_collation))
        self._made = True

    def of_plan(self, plan: str) -> set[Marker]:
        """See `Target.applied`."""
        with self._connections.begin(f"Reading {MARKER}") as connection:
            if not rows(connection, TABLE, [None, MARKER]):
                return set()
            query = f"SELECT migration, plan, table_name, window_no, phase FROM {MARKER} WHERE plan = %s"  # noqa: S608
            return {Marker(*each) for each in rows(connection, query, [plan])}

    def writers(self, table: TableName) -> set[str]:
        """See `Target.writers`."""
        with self._connections.begin(f"Reading {MARKER}") as connection:
            if not rows(connection, TABLE, [None, MARKER]):
                return set()
            query = f"SELECT DISTINCT migration FROM {MARKER} WHERE table_name = %s"  # noqa: S608
            return {str(name) for (name,) in rows(connection, query, [str(table)])}

    def plans_by(self, writer: str, table: TableName) -> set[str]:
        """See `Target.plans_by`."""
        with self._connections.begin(f"Reading {MARKER}") as connection:
            if not rows(connection, TABLE, [None, MARKER]):
                return set()
            query = f"SELECT DISTINCT plan FROM {MARKER} WHERE migration = %s AND table_name = %s"  # noqa: S608
            return {str(plan) for (plan,) in rows(connection, query, [writer, str(table)])}


def mark(connection: Connection, marker: Marker) -> bool:
    """Record a window; False where it was recorded before. Waits for another transaction that is recording it."""
    statement = f"INSERT INTO {MARKER} (migration, plan, table_name, window_no, phase) VALUES (%s, %s, %s, %s, %s)"  # noqa: S608
    try:
        rows(connection, statement, [marker.writer, marker.plan, marker.table, marker.window, marker.phase])
    except pymysql.IntegrityError as error:
        if code_of(error) != TAKEN:
            raise
        return False
    return True
