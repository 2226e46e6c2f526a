"""Markers: which windows are in, in a table of the target that each window writes to in its own transaction."""

from __future__ import annotations

from typing import Any

import psycopg

from adapters.postgres.connection import Connections
from adapters.postgres.locks import lock_number
from adapters.postgres.writer import spelled_name
from adapters.sql.statements import MARKER, create_statement, dialect_of, marker_table
from transforms.vocabulary import Marker, TableName


class Markers:
    """The marker table of one database."""

    def __init__(self, connections: Connections) -> None:
        self._connections = connections
        self._made = False  # whether the table is known to be there

    def make_table(self) -> None:
        """Idempotent, and asked for once."""
        if self._made:
            return
        with self._connections.begin(f"Creating {MARKER}") as connection:
            if not _is_there(connection):
                # IF NOT EXISTS alone fails when two create the table at once.
                connection.execute("SELECT pg_advisory_xact_lock(%s)", [lock_number(MARKER)])
                connection.execute(create_statement(marker_table(), dialect_of("postgresql"), if_not_exists=True))
        self._made = True

    def of_plan(self, plan: str) -> set[Marker]:
        """See `Target.applied`."""
        with self._connections.begin(f"Reading {MARKER}") as connection:
            if not _is_there(connection):
                return set()
            found = connection.execute(
                f"SELECT migration, plan, table_name, window_no, phase FROM {spelled_name(MARKER)} WHERE plan = %s",  # noqa: S608
                [plan],
            )
            return {Marker(*each) for each in found}

    def writers(self, table: TableName) -> set[str]:
        """See `Target.writers`."""
        with self._connections.begin(f"Reading {MARKER}") as connection:
            if not _is_there(connection):
                return set()
            query = f"SELECT DISTINCT migration FROM {spelled_name(MARKER)} WHERE table_name = %s"  # noqa: S608
            return {str(name) for (name,) in connection.execute(query, [str(table)])}

    def plans_by(self, writer: str, table: TableName) -> set[str]:
        """See `Target.plans_by`."""
        with self._connections.begin(f"Reading {MARKER}") as connection:
            if not _is_there(connection):
                return set()
            query = f"SELECT DISTINCT plan FROM {spelled_name(MARKER)} WHERE migration = %s AND table_name = %s"  # noqa: S608
            return {str(plan) for (plan,) in connection.execute(query, [writer, str(table)])}


def _is_there(connection: psycopg.Connection[Any]) -> bool:
    row = connection.execute("SELECT to_regclass(%s)", [spelled_name(MARKER)]).fetchone()
    return row is not None and row[0] is not None


def mark(connection: psycopg.Connection[Any], marker: Marker) -> bool:
    """Record a window; False where it was recorded before. Waits for another transaction that is recording it."""
    made = connection.execute(
        f"INSERT INTO {spelled_name(MARKER)} (migration, plan, table_name, window_no, phase) "  # noqa: S608
        "VALUES (%s, %s, %s, %s, %s) ON CONFLICT DO NOTHING",
        [marker.writer, marker.plan, marker.table, marker.window, marker.phase],
    )
    return made.rowcount == 1
