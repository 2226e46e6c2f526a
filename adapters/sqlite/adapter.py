"""SQLite: files that hold any value in any column, read and written as Arrow."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from adapters.protocol import BeforeCommit, committed
from adapters.sql.staged_apply import (
    as_markers,
    as_texts,
    file_of,
    markers_of,
    must_exist,
    plans_of,
    writers_of,
)
from adapters.sql.statements import MARKER, is_own, rendered
from adapters.sqlite import catalog as shapes
from adapters.sqlite import ddl
from adapters.sqlite import design as designs
from adapters.sqlite import probe as trial
from adapters.sqlite.arrow import compared, kept
from adapters.sqlite.capabilities import CAPABILITIES
from adapters.sqlite.connection import Connection, apart, mark_of, open_to_read
from adapters.sqlite.snapshot import DIALECT, SqliteSnapshot
from adapters.sqlite.together import Joint, together
from adapters.sqlite.writer import write
from transforms.vocabulary import (
    Applied,
    ChangeSet,
    ColumnShape,
    DataError,
    Design,
    Marker,
    Meaning,
    Reason,
    SynclineError,
    TableName,
    TableShape,
)
from transforms.vocabulary.features import Feature


class SqliteAdapter:
    """A SQLite file. `create`: a missing file is an empty database, made by the first write.

    A table's columns travel by their declared types; DDL made here declares those that SQLite has no type for as
    DECIMAL_TEXT(p,s), JSON_TEXT, TIMESTAMPTZ, UUID, which are read back as such.
    """

    engine = CAPABILITIES.names.engine
    capabilities = CAPABILITIES

    def __init__(self, url: str, *, create: bool = False, time_zone: str | None = None) -> None:
        self.url = url
        self._path: Path = file_of(url)
        self._create = create
        self._zone = time_zone
        self._open: set[Connection] = set()
        self._turn = threading.Lock()
        self._demanded: dict[TableName, trial.Known] = {}

    @contextmanager
    def _connection(self, *, write: bool = False) -> Iterator[Connection]:
        must_exist(self._path, create=self._create)
        if write:
            connection = Connection(self._path, "rwc" if self._create else "rw")
        else:
            connection = open_to_read(self._path) if self._path.exists() else Connection(self._path, "memory")
        self._open.add(connection)
        try:
            yield connection
        finally:
            self._open.discard(connection)
            connection.close()

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        """One writer at a time: threads queue here, other processes at SQLite's own lock."""
        with self._turn, self._connection(write=True) as connection:
            yield connection

    def tables(self, schema: str | None = None) -> list[TableName]:
        if schema not in (None, "main"):
            return []
        with self._connection() as connection:
            return [TableName(name, schema) for name in shapes.tables(connection) if not is_own(name)]

    def named(self, table: TableName) -> TableName:
        with self._connection() as connection:
            return shapes.named(connection, table)

    def describe(self, table: TableName) -> TableShape | None:
        with self._connection() as connection:
            return shapes.describe(connection, table)

    def describe_query(self, query: str) -> TableShape:
        with self._connection() as connection:
            return shapes.describe_query(connection, query)

    def design(self, table: TableName) -> Design:
        with self._connection() as connection:
            return designs.design(connection, table)

    def usual_zone(self) -> str | None:
        return None

    @contextmanager
    def snapshot(self, token: str | None = None) -> Iterator[SqliteSnapshot]:
        """One read transaction. SQLite shares no snapshots between processes: a token is an error."""
        if token is not None:
            raise SynclineError(f"{self.url}: SQLite cannot join a snapshot.", fix="read in one process.")
        with self._connection() as connection:
            connection.ask("BEGIN")
            connection.ask("SELECT count(*) FROM sqlite_schema")  # a transaction sees what its first read sees
            try:
                yield SqliteSnapshot(connection, mark_of(self._path), self._zone)
            finally:
                connection.abandon()

    def ddl(self, shape: TableShape) -> list[str]:
        return ddl.create_table(shape)

    def adding(self, shape: TableShape, names: Sequence[str]) -> list[str]:
        return ddl.add_columns(shape, names)

    def constraints(self, shape: TableShape) -> list[str]:
        return ddl.constraints(shape)

    def unlinked(self, own: ColumnShape, there: ColumnShape) -> str | None:
        return None

    def sized(self, shape: TableShape) -> TableShape:
        return shape

    def literal(self, column: ColumnShape, value: pa.Array) -> str | None:
        return ddl.literal(column, value)

    def made(self, column: ColumnShape) -> ColumnShape:
        return ddl.made(column)

    def kept(self, column: ColumnShape, values: pa.Array, known: Meaning = "plain") -> pa.Array:
        return kept(column, values, known)

    def refused(self, shape: TableShape, changes: ChangeSet, *, new: bool = False) -> Mapping[int, Reason]:
        made = self.ddl(replace(shape, foreign_keys=())) if new else ()
        known = trial.to_be_made(shape, made) if new else trial.known_once(self._connection, shape, self._demanded)
        return trial.refused(self._path, shape, changes, known) if known.demands.any else {}

    def referrers(self, table: TableName) -> list[TableName]:
        with self._connection() as connection:
            return shapes.referrers(connection, table)

    def besides(self, schema: str | None = None) -> list[Feature]:
        with self._connection() as connection:
            return designs.besides(connection)

    def tried(self, statements: Sequence[str]) -> str | None:
        return designs.tried(statements)

    def untried(self, table: TableName) -> str | None:
        return None  # in memory it always can

    def execute_ddl(self, statements: Sequence[str]) -> None:
        self._demanded.clear()
        with self._writing() as connection, connection.transaction():
            for statement in statements:
                answer = connection.ask(statement)
                if statement.startswith("PRAGMA foreign_key_check") and answer.num_rows:
                    raise DataError(
                        f"{answer.num_rows:,} rows of {answer['table'][0]} refer to no row of {answer['parent'][0]}, such as the "
                        f"one with rowid {answer['rowid'][0]}.",
                        fix="add those, or take the column from a `lookup`.",
                    )

    def run_script(self, statements: Sequence[str]) -> None:
        self._demanded.clear()
        with self._writing() as connection:
            for statement in (one for text in statements for one in apart(text)):
                connection.ask(statement)

    def alike(self, table: TableName, rows: pa.Table) -> list[pa.Array]:
        shape = self.describe(table)
        collations = {each.name: each.collation for each in shape.columns} if shape else {}
        return [compared(collations.get(name), rows.column(name)) for name in rows.column_names]

    def apply(
        self,
        changes: ChangeSet,
        shape: TableShape,
        marker: Marker | None,
        *,
        empty: bool = False,
        before_commit: BeforeCommit = committed,
        trial: bool = False,
    ) -> Applied:
        with self._writing() as connection:
            return write(connection, changes, shape, marker, empty=empty, before_commit=before_commit, trial=trial)

    @contextmanager
    def together(self) -> Iterator[Joint]:
        with self._writing() as connection, together(connection) as joint:
            yield joint

    def advance_identity(self, table: TableName, column: str) -> None:
        """Nothing to do: SQLite numbers from the largest value, and moves its own sequence with every insert."""

    def applied(self, plan: str) -> set[Marker]:
        return as_markers(self._marked(markers_of(plan)))

    def writers(self, table: TableName) -> set[str]:
        return as_texts(self._marked(writers_of(table)))

    def plans_by(self, writer: str, table: TableName) -> set[str]:
        return as_texts(self._marked(plans_of(writer, table)))

    def _marked(self, query: sa.Select[Any]) -> pa.Table | None:
        """What the marker table answers; None where it is not there yet."""
        if not self._path.exists():
            return None
        with self._connection() as connection:
            there = connection.rows("SELECT 1 AS n FROM sqlite_schema WHERE name = ?1", (MARKER,))
            return connection.ask(rendered(query, DIALECT)) if there else None

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        yield

    def close(self) -> None:
        for connection in list(self._open):
            with suppress(Exception):
                connection.close()
        self._open.clear()
