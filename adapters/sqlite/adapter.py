"""SQLite: files that hold any value in any column, read and written as Arrow."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import pyarrow as pa
import sqlalchemy as sa

from adapters.protocol import BeforeCommit, committed
from adapters.sql.ddl import adding_statements, index_statements, spelled_table
from adapters.sql.staged_apply import (
    apply_staged,
    as_markers,
    column_of,
    file_of,
    is_marked,
    mark,
    markers_of,
    must_exist,
)
from adapters.sql.staging import DONE, GONE, NO, Staging, Written, astray, changed_columns, insert, left_out, update
from adapters.sql.statements import MARKER, Named, create_statement, marker_table, new_table, rendered
from adapters.sqlite import catalog as shapes
from adapters.sqlite import design as designs
from adapters.sqlite import probe as trial
from adapters.sqlite.arrow import compared, encode, kept
from adapters.sqlite.connection import Connection, mark_of, open_to_read
from adapters.sqlite.keys import awaited_of, broken, hold_all, hold_foreign_keys, loads_whole, sound
from adapters.sqlite.snapshot import DIALECT, SqliteSnapshot, batches, is_binary, style_of, travel
from adapters.sqlite.types import Style, column_shape, declared, kind_of, quoted, value_sql
from transforms.vocabulary import (
    Applied,
    ChangeSet,
    ColumnShape,
    DataError,
    Design,
    Marker,
    Meaning,
    Op,
    Refusal,
    SpecError,
    SynclineError,
    TableName,
    TableShape,
)
from transforms.vocabulary.features import Feature

MANY: Final = 5_000  # numbers in one IN (…)


class SqliteAdapter:
    """A SQLite file. `create`: a missing file is an empty database, made by the first write.

    A table's columns travel by their declared types; DDL made here declares those that SQLite has no type for as
    DECIMAL_TEXT(p,s), JSON_TEXT, TIMESTAMPTZ, UUID, which are read back as such.
    """

    engine = "sqlite"
    whole_trees = True

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
            return [TableName(name, schema) for name in shapes.tables(connection) if name != MARKER]

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
            raise SynclineError(f"{self.url}: SQLite cannot join a snapshot. Fix: read in one process.")
        with self._connection() as connection:
            connection.ask("BEGIN")
            connection.ask("SELECT count(*) FROM sqlite_schema")  # a transaction sees what its first read sees
            try:
                yield SqliteSnapshot(connection, mark_of(self._path), self._zone)
            finally:
                connection.abandon()

    def ddl(self, shape: TableShape) -> list[str]:
        numbered = [each.name for each in shape.columns if each.identity]
        if numbered and shape.design and shape.primary_key != (*numbered,):
            raise SpecError(
                f"{shape.name}: SQLite numbers a column only where it is the primary key, all of it, and {numbered[0]} is not. "
                f"Fix: remove `identity`, or make it the primary key."
            )
        return [create_statement(new_table(shape, "sqlite", type_of=lambda each, _: Named(declared(each))), DIALECT)]

    def adding(self, shape: TableShape, names: Sequence[str]) -> list[str]:
        return adding_statements(shape, names, "sqlite", lambda each, _: Named(declared(each)))

    def unlinked(self, own: ColumnShape, there: ColumnShape) -> str | None:
        return None

    def sized(self, shape: TableShape) -> TableShape:
        return shape

    def made(self, column: ColumnShape) -> ColumnShape:
        return column_shape(
            column.name,
            declared(column),
            nullable=column.nullable,
            generated=column.generated,
            identity=column.identity,
            default=column.default,
        )

    def kept(self, column: ColumnShape, values: pa.Array, known: Meaning = "plain") -> pa.Array:
        return kept(column, values, known)

    def refused(self, shape: TableShape, changes: ChangeSet, *, new: bool = False) -> Mapping[int, Refusal]:
        made = self.ddl(replace(shape, foreign_keys=())) if new else ()
        known = trial.to_be_made(shape, made) if new else trial.known_once(self._connection, shape, self._demanded)
        return trial.refused(self._path, shape, changes, known) if known.demands.any else {}

    def constraints(self, shape: TableShape) -> list[str]:
        """Indexes, and for keys that were deferred a look at whether they hold now; foreign keys cannot be added."""
        late = any(foreign.deferred for foreign in shape.foreign_keys)
        look = f"PRAGMA foreign_key_check({spelled_table(replace(shape.name, schema=None), DIALECT)})"
        return [*index_statements(shape, DIALECT), *([look] if late else [])]

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
                        f"one with rowid {answer['rowid'][0]}. Fix: add those, or take the column from a `lookup`."
                    )

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
            fresh = empty and len(changes) == changes.inserts.num_rows
            awaited = awaited_of(connection, changes.table, shape) if fresh else set()
            connection.ask(f"PRAGMA foreign_keys = {'OFF' if awaited else 'ON'}")
            with connection.transaction():
                connection.ask("PRAGMA defer_foreign_keys = ON")
                if marker is not None and _marked(connection, marker):
                    return Applied(already=True)
                checked = sound(connection) if trial else ()
                before = broken(connection, checked, changes.table, awaited) if trial else 0
                applied = _apply(connection, changes, shape, empty=empty)
                if trial:
                    hold_all(connection, checked, changes.table, awaited, before)
                else:
                    hold_foreign_keys(connection, changes.table, shape, awaited)
                before_commit(applied)
                return applied

    def advance_identity(self, table: TableName, column: str) -> None:
        """Nothing to do: SQLite numbers from the largest value, and moves its own sequence with every insert."""

    def applied(self, plan: str) -> set[Marker]:
        if not self._path.exists():
            return set()
        with self._connection() as connection:
            there = connection.rows("SELECT 1 AS n FROM sqlite_schema WHERE name = ?1", (MARKER,))
            return as_markers(connection.ask(rendered(markers_of(plan), DIALECT))) if there else set()

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        yield

    def close(self) -> None:
        for connection in list(self._open):
            with suppress(Exception):
                connection.close()
        self._open.clear()


def _marked(connection: Connection, marker: Marker) -> bool:
    """Whether the window is in; if not, say so from now on."""
    connection.ask(create_statement(marker_table(), DIALECT, if_not_exists=True))
    if len(connection.rows(rendered(is_marked(marker), DIALECT))) > 0:
        return True
    connection.ask(rendered(mark(marker), DIALECT))
    return False


def _apply(connection: Connection, changes: ChangeSet, shape: TableShape, *, empty: bool) -> Applied:
    columns = [column_of(shape, name) for name in changes.schema.names]
    styles = {name: _key_style(connection, changes.table, column_of(shape, name)) for name in changes.key}
    session = SqliteSession(connection, changes, shape, columns, styles)
    guarded = any(unique <= set(changes.key) for unique in shape.uniques)
    if empty and guarded and len(changes) == changes.inserts.num_rows and loads_whole(connection, changes.table):
        loaded = session.load(changes.inserts)
        if loaded is not None:
            return Applied(inserted=loaded)
    written = tuple(Written(each.name, _binary) if _is_text(each) else Written(each.name) for each in columns)
    stages: dict[Op, TableName] = {op: session.stage_of(op) for op in ("delete", "update", "insert")}
    table = replace(changes.table, schema=changes.table.schema or "main")
    staging = Staging(table, written, changes.key, changes.compared, stages, owns=changes.owns)
    return apply_staged(session, staging, changes, shape)


def _key_style(connection: Connection, table: TableName, column: ColumnShape) -> Style:
    style = style_of(connection, table, column)
    if style is None and kind_of(column.native) in ("date", "timestamp", "moment", "time", "uuid"):
        raise DataError(
            f"{table}: the key column {column.name} spells its {column.native} values in several ways, so that rows "
            f"cannot be found by it. Fix: bring the column to one spelling first."
        )
    return style or Style()


def _is_text(column: ColumnShape) -> bool:
    return bool(pa.types.is_string(column.type))


def _binary(value: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return value.collate("BINARY")


@dataclass(slots=True)
class SqliteSession:
    """One window's transaction: rows are staged in temporary tables in the forms that SQLite stores."""

    connection: Connection
    changes: ChangeSet
    shape: TableShape
    columns: list[ColumnShape]
    styles: dict[str, Style] = field(default_factory=dict)

    def stage_of(self, op: Op) -> TableName:
        return TableName(f"syncline_{op}", "temp")

    def stage(self, op: Op, rows: pa.Table) -> None:
        arrays = {NO: rows[NO]}
        for name in rows.column_names[1:]:
            arrays[name] = self._stored(self.columns[int(name[1:])], rows[name])
        self.connection.ingest(self.stage_of(op).name, pa.table(arrays), temporary=True)

    def _stored(self, column: ColumnShape, values: pa.ChunkedArray) -> pa.Array:
        whole = values.combine_chunks() if isinstance(values, pa.ChunkedArray) else values
        return encode(column, whole.cast(column.type), self.styles.get(column.name, Style()))

    def load(self, rows: pa.Table) -> int | None:
        """Load straight into the table; None where a row was in the way."""
        arrays = {each.name: self._stored(each, rows[each.name]) for each in self.columns}
        self.connection.ask("SAVEPOINT syncline_load")
        try:
            loaded = self.connection.ingest(self.changes.table.name, pa.table(arrays), temporary=False)
        except DataError:
            self.connection.ask("ROLLBACK TO syncline_load")
            loaded = None
        self.connection.ask("RELEASE syncline_load")
        return loaded

    def _run(self, statement: sa.ClauseElement) -> int:
        return self.connection.run(rendered(statement, DIALECT))

    def _count(self, table: sa.TableClause) -> int:
        counted = rendered(sa.select(sa.func.count().label("n")).select_from(table), DIALECT)
        return int(self.connection.ask(counted)["n"][0].as_py())

    def discard(self, staging: Staging, op: Op, numbers: Sequence[int]) -> None:
        stage = staging.stage(op)
        for at in range(0, len(numbers), MANY):
            self._run(sa.delete(stage).where(stage.c[NO].in_(numbers[at : at + MANY])))

    def left_out(self, staging: Staging, op: Op) -> pa.Table:
        marks = (ColumnShape(name, pa.bool_(), "BOOLEAN") for name in (DONE, GONE))
        there = f"{quoted(staging.table.schema or 'main')}.{quoted(staging.table.name)}."
        read: list[sa.ColumnElement[Any]] = [
            sa.literal_column(value_sql(each.native, there + quoted(each.name))).label(None) for each in self.columns
        ]
        columns = [ColumnShape(NO, pa.int64(), "INTEGER"), *marks, *self.columns]
        found = batches(self.connection, columns, rendered(left_out(staging, op, read), DIALECT))
        return pa.Table.from_batches(list(found), travel(columns))

    def astray(self, staging: Staging, op: Op) -> list[int]:
        if loads_whole(self.connection, self.changes.table):
            return []
        return [int(row[NO]) for row in self.connection.rows(rendered(astray(staging, op), DIALECT))]

    def write(self, staging: Staging, op: Op, changes: ChangeSet) -> int:
        if op == "delete":
            return self._run(self._delete(staging))
        if op == "insert":
            return self._run(insert(staging).prefix_with("OR ABORT"))  # whatever clauses the table has
        changed = changed_columns(changes)
        if not changed:
            return self._count(staging.stage(op))
        self.connection.ask("SAVEPOINT syncline_update")
        try:
            return self._run(update(staging, changed).prefix_with("OR ABORT"))
        except DataError as error:
            unique = [name for name in changed if any(name in each for each in self.shape.uniques)]
            if "UNIQUE" not in str(error) or not unique:
                raise
            self.connection.ask("ROLLBACK TO syncline_update")
            self._park(staging, unique)
            return self._run(update(staging, changed).prefix_with("OR ABORT"))
        finally:
            with suppress(SynclineError):
                self.connection.ask("RELEASE syncline_update")

    def _delete(self, staging: Staging) -> sa.Delete:
        """Delete by key: SQLite has no DELETE … USING, and IN compares as its left side does."""
        plain = [staging.target.c[name] for name in staging.key]
        doomed = sa.select(*plain).select_from(staging.target.join(staging.stage("delete"), staging.same_key("delete")))
        shapes_of_key = [column_of(self.shape, name) for name in staging.key]
        keys = [
            each if is_binary(self.connection, self.changes.table, shape) else _binary(each)
            for each, shape in zip(plain, shapes_of_key, strict=True)
        ]
        return sa.delete(staging.target).where(sa.tuple_(*keys).in_(doomed) if len(keys) > 1 else keys[0].in_(doomed))

    def _park(self, staging: Staging, names: Sequence[str]) -> None:
        """Give unique columns values that nobody has: SQLite checks row by row, and two rows may swap theirs."""
        number = staging.stage("update").c[NO]
        for name in names:
            text = pa.types.is_string(column_of(self.shape, name).type)
            parked = sa.literal("syncline:").op("||")(number) if text else sa.literal_column(str(-(2**63) + 1)) + number
            self._run(
                sa.update(staging.target).values({staging.target.c[name]: parked}).where(staging.same_key("update"))
            )
