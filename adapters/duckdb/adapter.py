"""DuckDB: one file, one process, Arrow without copies."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from adapters.duckdb import catalog as shapes
from adapters.duckdb import ddl
from adapters.duckdb import design as designs
from adapters.duckdb import probe as trial
from adapters.duckdb.capabilities import CAPABILITIES
from adapters.duckdb.connection import Files
from adapters.duckdb.design import literal, spelled
from adapters.duckdb.snapshot import DuckdbSnapshot, Session, abandon
from adapters.duckdb.types import (
    DIALECT,
    is_asked,
    quoted,
    text_of,
)
from adapters.duckdb.writer import Window
from adapters.protocol import BeforeCommit, committed
from adapters.sql.staged_apply import (
    apply_staged,
    as_markers,
    as_texts,
    column_of,
    file_of,
    is_marked,
    last_written,
    mark,
    markers_of,
    plans_of,
    writers_of,
)
from adapters.sql.statements import MARKER, create_statement, is_own, marker_table
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


class DuckdbAdapter:
    """A DuckDB file, kept open until `close`: DuckDB lets in one process. `create`: the first write makes the file."""

    engine = CAPABILITIES.names.engine
    capabilities = CAPABILITIES

    def __init__(self, url: str, *, create: bool = False, time_zone: str | None = None) -> None:
        self.url = url
        self._files = Files(file_of(url), create=create)
        self._path: Path = self._files.path
        self._zone = time_zone
        self._marking = threading.Lock()
        self._demanded: dict[TableName, trial.Known] = {}

    @contextmanager
    def _session(self, *, write: bool = False, table: TableName | None = None) -> Iterator[Session]:
        where = f"{table} in {self._path}" if table else str(self._path)
        session = Session(self._files.cursor(write=write), where)
        try:
            yield session
        finally:
            session.close()

    @contextmanager
    def _transaction(self, table: TableName | None = None) -> Iterator[Session]:
        with self._session(write=True, table=table) as session:
            session.execute("BEGIN TRANSACTION")
            try:
                yield session
                session.execute("COMMIT")
            except BaseException:
                abandon(session)
                raise

    def tables(self, schema: str | None = None) -> list[TableName]:
        with self._session() as session:
            return [TableName(name, schema) for name in shapes.tables(session, schema) if not is_own(name)]

    def named(self, table: TableName) -> TableName:
        with self._session() as session:
            return shapes.named(session, table)

    def describe(self, table: TableName) -> TableShape | None:
        with self._session() as session:
            return shapes.describe(session, table)

    def describe_query(self, query: str) -> TableShape:
        with self._session() as session:
            return shapes.describe_query(session, query)

    @contextmanager
    def snapshot(self, token: str | None = None) -> Iterator[DuckdbSnapshot]:
        """One transaction. DuckDB shares no snapshots between processes: a token is an error."""
        if token is not None:
            raise SynclineError(f"{self.url}: DuckDB cannot join a snapshot.", fix="read in one process.")
        with self._session() as session:
            session.execute("BEGIN TRANSACTION READ ONLY")
            number = session.rows("SELECT txid_current() AS n, count(*) AS t FROM duckdb_tables()")[0]["n"]
            try:
                yield DuckdbSnapshot(session, f"transaction {number}, {last_written(self._path)}", self._zone)
            finally:
                abandon(session)

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

    def design(self, table: TableName) -> Design:
        with self._session() as session:
            return designs.design(session, table)

    def usual_zone(self) -> str | None:
        return None  # that of the machine, whichever it is

    def referrers(self, table: TableName) -> list[TableName]:
        with self._session() as session:
            return shapes.referrers(session, table)

    def besides(self, schema: str | None = None) -> list[Feature]:
        with self._session() as session:
            return designs.besides(session, schema)

    def tried(self, statements: Sequence[str]) -> str | None:
        with self._session() as session:
            rows = session.rows("SELECT schema_name AS n FROM duckdb_schemas() WHERE NOT internal")
        schemas = [row["n"] for row in rows]
        with self._files.trial() as cursor:
            return designs.tried(cursor, statements, schemas)

    def kept(self, column: ColumnShape, values: pa.Array, known: Meaning = "plain") -> pa.Array:
        if not is_asked(column):
            return values
        with self._session() as session:
            return trial.kept_values(session, column, values, known)

    def refused(self, shape: TableShape, changes: ChangeSet, *, new: bool = False) -> Mapping[int, Reason]:
        with self._session() as session:
            return trial.refused_of(session, shape, changes, {} if new else self._demanded, new=new)

    def untried(self, table: TableName) -> str | None:
        return None  # in memory it always can

    def execute_ddl(self, statements: Sequence[str]) -> None:
        self._demanded.clear()
        with self._transaction() as session:
            for statement in statements:
                session.execute(statement)

    def run_script(self, statements: Sequence[str]) -> None:
        self._demanded.clear()
        with self._session(write=True) as session:
            for statement in statements:
                session.execute(statement)

    def alike(self, table: TableName, rows: pa.Table) -> list[pa.Array]:
        """The values as they are: indexes look at the bytes, also in columns that a collation compares otherwise."""
        return [values.combine_chunks() for values in rows.columns]

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
        guarded = any(unique <= set(changes.key) for unique in shape.uniques)
        if empty and guarded and len(changes) == changes.inserts.num_rows:
            try:
                return self._apply(changes, shape, marker, before_commit, straight=True)
            except DataError:
                pass  # a row was in the way: the transaction is gone, and the careful way finds out which
        return self._apply(changes, shape, marker, before_commit, straight=False)

    def _apply(
        self,
        changes: ChangeSet,
        shape: TableShape,
        marker: Marker | None,
        before_commit: BeforeCommit,
        *,
        straight: bool,
    ) -> Applied:
        if marker is not None:
            self._make_marker_table()
        with self._transaction(changes.table) as session:
            if marker is not None:
                if session.rows(text_of(is_marked(marker))):
                    return Applied(already=True)
                session.execute(text_of(mark(marker)))
            window = Window(session, changes, shape, [column_of(shape, each) for each in changes.schema.names])
            loaded = Applied(inserted=window.load()) if straight else None
            applied = loaded or apply_staged(window, window.staging(), changes, shape)
            before_commit(applied)
            return applied

    def _make_marker_table(self) -> None:
        with self._marking, self._session(write=True) as session:
            if MARKER not in shapes.tables(session, None):
                session.execute(create_statement(marker_table(), DIALECT, if_not_exists=True))

    def advance_identity(self, table: TableName, column: str) -> None:
        with self._session() as session:
            missing = designs.numbers_missing(session, table, column)
            if missing is None:
                return
            sequence, last, highest = missing
            if highest - last <= designs.NUMBERS_AT_ONCE:
                session.execute(
                    f"SELECT max(nextval({literal(sequence)})) AS n FROM range({highest - last})"  # noqa: S608
                )
                return
        self._replace_sequence(table, column, sequence, highest + 1)

    def _replace_sequence(self, table: TableName, column: str, sequence: str, start: int) -> None:
        """DuckDB cannot restart a sequence; one that nothing depends on can be made anew."""
        alter = f"ALTER TABLE {spelled(table)} ALTER {quoted(column)}"
        with self._transaction() as session:
            session.execute(f"{alter} DROP DEFAULT")
            session.execute(f"CREATE OR REPLACE SEQUENCE {sequence} START {start}")
            session.execute(f"{alter} SET DEFAULT nextval({literal(sequence)})")

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
        with self._session() as session:
            return session.ask(text_of(query)) if MARKER in shapes.tables(session, None) else None

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """DuckDB has no advisory locks: its file lets in one process, and the ledger's lease does the rest."""
        yield

    def close(self) -> None:
        self._files.close()
