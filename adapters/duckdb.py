"""DuckDB: one file, one process, Arrow without copies."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final

import duckdb
import pyarrow as pa
import sqlalchemy as sa

from adapters import duckdb_shapes as shapes
from adapters.duckdb_reading import DuckdbSnapshot, Session, translated
from adapters.duckdb_types import (
    COLLATED,
    DIALECT,
    as_travel_array,
    declared,
    reading,
    text_of,
    travel_of,
    written,
)
from adapters.embedded import apply_staged, as_markers, file_of, is_marked, mark, markers_of, must_exist
from adapters.sql import MARKER, Named, create_statement, marker_table, new_table, table
from adapters.sql_changes import DONE, GONE, NO, Staging, changed_columns, delete, insert, left_out, update
from transforms.vocabulary import (
    Applied,
    ChangeSet,
    ColumnShape,
    ConnectionFailed,
    DataError,
    ForeignKey,
    Marker,
    Op,
    SynclineError,
    TableName,
    TableShape,
)

NUMBERS_AT_ONCE: Final = 10_000_000  # taken from a sequence in a third of a second
MANY: Final = 5_000  # numbers in one IN (…)


class DuckdbAdapter:
    """A DuckDB file, kept open until `close`: DuckDB lets in one process. `create`: the first write makes the file."""

    engine = "duckdb"

    def __init__(self, url: str, *, create: bool = False, time_zone: str | None = None) -> None:
        self.url = url
        self._path: Path = file_of(url)
        self._create = create
        self._zone = time_zone
        self._lock = threading.Lock()
        self._marking = threading.Lock()
        self._root: duckdb.DuckDBPyConnection | None = None

    def _cursor(self, *, write: bool) -> duckdb.DuckDBPyConnection:
        with self._lock:
            if self._root is None:
                must_exist(self._path, create=self._create)
                if not write and not self._path.exists():
                    return _set_up(duckdb.connect())  # nothing is there yet, and reading does not make it
                writable = not self._path.exists() or os.access(self._path, os.W_OK)
                try:
                    self._root = duckdb.connect(str(self._path), read_only=not writable)
                except duckdb.Error as error:
                    failure = translated(error, str(self._path))
                    raise ConnectionFailed(str(failure)) from error
            return _set_up(self._root.cursor())

    @contextmanager
    def _session(self, *, write: bool = False, table: TableName | None = None) -> Iterator[Session]:
        where = f"{table} in {self._path}" if table else str(self._path)
        session = Session(self._cursor(write=write), where)
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
                _abandon(session)
                raise

    def tables(self, schema: str | None = None) -> list[TableName]:
        with self._session() as session:
            return [TableName(name, schema) for name in shapes.tables(session, schema) if name != MARKER]

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
            raise SynclineError(f"{self.url}: DuckDB cannot join a snapshot. Fix: read in one process.")
        with self._session() as session:
            session.execute("BEGIN TRANSACTION")
            number = session.rows("SELECT txid_current() AS n, count(*) AS t FROM duckdb_tables()")[0]["n"]
            try:
                yield DuckdbSnapshot(session, f"transaction {number}", self._zone)
            finally:
                _abandon(session)

    def ddl(self, shape: TableShape) -> list[str]:
        identity = next((each.name for each in shape.columns if each.identity), None)
        sequence = ".".join(
            _quoted(part) for part in (shape.name.schema, f"{shape.name.name}_{identity}_seq") if part is not None
        )
        created = new_table(
            shape,
            "duckdb",
            type_of=lambda each, _: Named(declared(each)),
            identity_default=f"nextval({_literal(sequence)})".replace(":", r"\:"),
        )
        statements = [f"CREATE SEQUENCE {sequence}"] if identity else []
        return [*statements, create_statement(created, DIALECT)]

    def made(self, column: ColumnShape) -> ColumnShape:
        native = declared(column)
        kind, meaning, labels = travel_of(native)
        return replace(column, type=kind, meaning=meaning, native=native, labels=labels, length=None)

    def execute_ddl(self, statements: Sequence[str]) -> None:
        with self._transaction() as session:
            for statement in statements:
                session.execute(statement)

    def apply(self, changes: ChangeSet, shape: TableShape, marker: Marker | None, *, empty: bool = False) -> Applied:
        guarded = any(unique <= set(changes.key) for unique in shape.uniques)
        if empty and guarded and len(changes) == changes.inserts.num_rows:
            try:
                return self._apply(changes, shape, marker, straight=True)
            except DataError:
                pass  # a row was in the way: the transaction is gone, and the careful way finds out which
        return self._apply(changes, shape, marker, straight=False)

    def _apply(self, changes: ChangeSet, shape: TableShape, marker: Marker | None, *, straight: bool) -> Applied:
        if marker is not None:
            self._make_marker_table()
        with self._transaction(changes.table) as session:
            if marker is not None:
                if session.rows(text_of(is_marked(marker))):
                    return Applied(already=True)
                session.execute(text_of(mark(marker)))
            window = Window(session, changes, shape, [_column(shape, each) for each in changes.schema.names])
            if straight:
                return Applied(inserted=window.load())
            return apply_staged(window, window.staging(), changes, shape)

    def _make_marker_table(self) -> None:
        with self._marking, self._session(write=True) as session:
            if MARKER not in shapes.tables(session, None):
                session.execute(create_statement(marker_table(), DIALECT, if_not_exists=True))

    def advance_identity(self, table: TableName, column: str) -> None:
        with self._session() as session:
            rows = session.rows(
                "SELECT column_default AS d FROM duckdb_columns() WHERE database_name = current_database() AND "
                "table_name = $1 AND schema_name = coalesce($2, current_schema()) AND column_name = $3",
                [table.name, table.schema, column],
            )
            sequence = shapes.sequence_of(rows[0]["d"]) if rows and rows[0]["d"] else None
            if sequence is None:
                return
            *schema, name = shapes.name_parts(sequence)
            state = session.rows(
                "SELECT last_value AS last, start_value AS first FROM duckdb_sequences() WHERE database_name = "
                "current_database() AND sequence_name = $1 AND schema_name = coalesce($2, current_schema())",
                [name, schema[-1] if schema else None],
            )[0]
            there = _name(table)
            highest = session.rows(f"SELECT max({_quoted(column)}) AS n FROM {there}")[0]["n"]  # noqa: S608
            last = state["last"] if state["last"] is not None else state["first"] - 1
            if highest is None or highest <= last:
                return
            if highest - last <= NUMBERS_AT_ONCE:
                session.execute(
                    f"SELECT max(nextval({_literal(sequence)})) AS n FROM range({highest - last})"  # noqa: S608
                )
                return
        self._replace_sequence(table, column, sequence, int(highest) + 1)

    def _replace_sequence(self, table: TableName, column: str, sequence: str, start: int) -> None:
        """DuckDB cannot restart a sequence; one that nothing depends on can be made anew."""
        alter = f"ALTER TABLE {_name(table)} ALTER {_quoted(column)}"
        with self._transaction() as session:
            session.execute(f"{alter} DROP DEFAULT")
            session.execute(f"CREATE OR REPLACE SEQUENCE {sequence} START {start}")
            session.execute(f"{alter} SET DEFAULT nextval({_literal(sequence)})")

    def applied(self, plan: str) -> set[Marker]:
        if not self._path.exists():
            return set()
        with self._session() as session:
            if MARKER not in shapes.tables(session, None):
                return set()
            return as_markers(session.ask(text_of(markers_of(plan))))

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        """DuckDB has no advisory locks: its file lets in one process, and the ledger's lease does the rest."""
        yield

    def close(self) -> None:
        with self._lock:
            if self._root is not None:
                self._root.close()
                self._root = None


def _set_up(cursor: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    cursor.execute("SET TimeZone = 'UTC'")
    cursor.execute("SET python_enable_replacements = false")  # a query names tables, never Python variables
    return cursor


def _abandon(session: Session) -> None:
    try:
        session.execute("ROLLBACK")
    except SynclineError as error:
        if "no transaction" not in str(error):
            raise


def _quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def _literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def _name(table: TableName) -> str:
    return ".".join(_quoted(part) for part in (table.schema, table.name) if part)


def _column(shape: TableShape, name: str) -> ColumnShape:
    found = shape.column(name)
    if found is None:
        raise SynclineError(
            f"{shape.name} has no column {name!r} any more; it has {', '.join(shape.names)}. Fix: plan anew."
        )
    return found


# ---------------------------------------------------------------------------------------------------------------------
# Applying


@dataclass(slots=True)
class Window:
    """One window's transaction: rows are staged in temporary tables of the change set's own types."""

    session: Session
    changes: ChangeSet
    shape: TableShape
    columns: list[ColumnShape]

    def __post_init__(self) -> None:
        for name in self.changes.key:
            native = _column(self.shape, name).native
            if native.startswith(COLLATED):
                raise SynclineError(
                    f"{self.changes.table}: the key column {name} is {native}, so that different texts are equal keys. "
                    f"Fix: declare it without that collation."
                )

    def staging(self) -> Staging:
        ops: tuple[Op, ...] = ("delete", "update", "insert")
        stages: dict[Op, TableName] = {op: TableName(f"syncline_{op}", "temp") for op in ops}
        written_columns = tuple(written(each) for each in self.columns)
        return Staging(self.changes.table, written_columns, self.changes.key, self.changes.compared, stages)

    def load(self) -> int:
        """Load straight into the table; DataError where a row is in the way."""
        names = ", ".join(_quoted(each.name) for each in self.columns)
        incoming = table(TableName("syncline_rows"), [each.name for each in self.columns])
        values = [cast.cast(incoming.c[cast.name]) for cast in map(written, self.columns)]
        self.session.register("syncline_rows", self.changes.inserts)
        rows = text_of(sa.select(*values))
        loaded = self.session.execute(f"INSERT INTO {_name(self.changes.table)} ({names}) {rows}")
        self.session.unregister("syncline_rows")
        return loaded

    def stage(self, op: Op, rows: pa.Table) -> None:
        self.session.register("syncline_rows", rows)
        self.session.execute(f"CREATE TEMP TABLE syncline_{op} AS SELECT * FROM syncline_rows")  # noqa: S608
        self.session.unregister("syncline_rows")

    def discard(self, staging: Staging, op: Op, numbers: Sequence[int]) -> None:
        stage = staging.stage(op)
        for start in range(0, len(numbers), MANY):
            some = numbers[start : start + MANY]
            self.session.execute(text_of(sa.delete(stage).where(stage.c[NO].in_(some))))

    def left_out(self, staging: Staging, op: Op) -> pa.Table:
        read = [reading(each, staging.target.c[each.name]).label(f"c{i}") for i, each in enumerate(self.columns)]
        found = self.session.ask(text_of(left_out(staging, op, read)))
        arrays = [as_travel_array(found.column(3 + i), each) for i, each in enumerate(self.columns)]
        return pa.table([*found.columns[:3], *arrays], names=[NO, DONE, GONE, *(each.name for each in self.columns)])

    def write(self, staging: Staging, op: Op, changes: ChangeSet) -> int:
        if op == "delete":
            return self.session.execute(text_of(delete(staging)))
        if op == "update":
            changed = changed_columns(changes)
            statement: Any = (
                update(staging, changed) if changed else sa.select(sa.func.count()).select_from(staging.stage(op))
            )
            return self.session.execute(text_of(statement))
        own = [each for each in self.shape.foreign_keys if each.refers.name == self.shape.name.name]
        return self._by_generations(staging, own) if own else self.session.execute(text_of(insert(staging)))

    def _by_generations(self, staging: Staging, own: Sequence[ForeignKey]) -> int:
        """Insert the rows whose parents are in, turn by turn: DuckDB does not see the parents a statement brings itself."""
        stage, turn = staging.stage("insert"), TableName("syncline_turn", "temp")
        parent = stage.alias("parent")
        position = {each.name: i for i, each in enumerate(self.columns)}

        def waits(foreign: ForeignKey) -> sa.ColumnElement[bool]:
            pairs = zip(foreign.columns, foreign.refers_columns, strict=True)
            same = [stage.c[f"a{position[here]}"] == parent.c[f"a{position[there]}"] for here, there in pairs]
            return sa.exists(sa.select(sa.literal_column("1")).select_from(parent).where(*same)).correlate(stage)

        known = [each for each in own if {*each.columns, *each.refers_columns} <= position.keys()]
        ready = sa.select(sa.text("*")).select_from(stage).where(*(~waits(each) for each in known))
        taken = table(turn, [NO])
        now = replace(staging, stages={**staging.stages, "insert": turn})
        written = 0
        while self._count(stage):
            self.session.execute(f"CREATE OR REPLACE TEMP TABLE syncline_turn AS {text_of(ready)}")
            if not self._count(taken):  # a circle: DuckDB will say where
                self.session.execute("INSERT INTO syncline_turn SELECT * FROM syncline_insert")
            written += self.session.execute(text_of(insert(now)))
            self.session.execute(text_of(sa.delete(stage).where(stage.c[NO].in_(sa.select(taken.c[NO])))))
        return written

    def _count(self, stage: sa.TableClause) -> int:
        return self.session.execute(text_of(sa.select(sa.func.count()).select_from(stage)))
