"""Reading one state of a DuckDB database into Arrow."""

from __future__ import annotations

import tempfile
import threading
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress
from functools import partial
from itertools import count
from typing import Any, Final

import duckdb
import pyarrow as pa
import sqlalchemy as sa

from adapters.duckdb.batches import gathered
from adapters.duckdb.catalog import describe, describe_query
from adapters.duckdb.checksums import OWN_ROWS, row_hash, summed
from adapters.duckdb.refusals import translated
from adapters.duckdb.types import DIALECT, as_travel_array, compared, keyed, operand, reading
from adapters.sql.checksums import checksums, way
from adapters.sql.keys import among, unkeyed
from adapters.sql.orphans import is_declared, orphaned
from adapters.sql.staged_apply import KnownShapes, as_travel, cuts, python_values
from adapters.sql.statements import Expression, Operand, bound, column, quoted, rendered, select
from transforms.vocabulary import (
    ColumnRange,
    ColumnShape,
    ForeignKey,
    Key,
    KeyRange,
    KeyValue,
    Relation,
    SynclineError,
    TableName,
    TableShape,
)

VECTOR_ROWS: Final = 2_048  # DuckDB's own step: what it hands over before it is known how wide the rows are


class Session:
    """A DuckDB cursor whose rows stream: it holds one open answer at a time, and sets an unfinished one aside."""

    def __init__(self, cursor: duckdb.DuckDBPyConnection, where: str) -> None:
        self._cursor = cursor
        self.where = where
        self.asked: Callable[[str], None] | None = None
        """Told of each query before it is asked: who makes views when they are needed."""
        self.lock = threading.RLock()
        self._running: Stream | None = None

    def execute(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run a statement; how many rows it changed."""
        with self.lock:
            self._set_aside()
            try:
                self._cursor.execute(sql, list(parameters) or None)
                rows = self._cursor.fetchall() if self._cursor.description else []
            except duckdb.Error as error:
                raise translated(error, self.where) from error
        return int(rows[0][0]) if len(rows) == 1 and len(rows[0]) == 1 and isinstance(rows[0][0], int) else 0

    def ask(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """All rows of a small answer."""
        with self.lock:
            return pa.Table.from_batches(list(self.stream(sql, parameters).batches()), self._last_schema)

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        """All rows of an answer that is for Python anyway, which costs half of what Arrow's costs."""
        with self.lock:
            self._tell(sql)
            self._set_aside()
            try:
                self._cursor.execute(sql, list(parameters) or None)
                names = [each[0] for each in self._cursor.description]
                return [dict(zip(names, row, strict=True)) for row in self._cursor.fetchall()]
            except duckdb.Error as error:
                raise translated(error, self.where) from error

    def stream(self, sql: str, parameters: Sequence[Any] = ()) -> Stream:
        """The rows of a query, to be read while other queries of the session come and go."""
        with self.lock:
            self._tell(sql)
            self._set_aside()
            try:
                relation = self._cursor.sql(sql, params=list(parameters) or None)
                reader = relation.to_arrow_reader(VECTOR_ROWS)
            except (duckdb.Error, pa.ArrowException) as error:
                raise translated(error, self.where) from error
            self._last_schema = reader.schema
            self._running = Stream(self, reader)
            return self._running

    def register(self, name: str, rows: Any) -> None:
        with self.lock:
            self._set_aside()
            self._cursor.register(name, rows)

    def unregister(self, name: str) -> None:
        with self.lock:
            self._set_aside()
            self._cursor.unregister(name)

    def finished(self, stream: Stream) -> None:
        if self._running is stream:
            self._running = None

    def _tell(self, sql: str) -> None:
        if self.asked is not None:
            self.asked(sql)

    def _set_aside(self) -> None:
        if self._running is not None:
            self._running.set_aside()
            self._running = None

    def close(self) -> None:
        with self.lock:
            if self._running is not None:
                self._running.close()
                self._running = None
            self._cursor.close()


class Stream:
    """The batches of one answer. Set aside, the rest waits in a temporary file, because DuckDB keeps one answer open."""

    def __init__(self, session: Session, reader: pa.RecordBatchReader) -> None:
        self._session = session
        self._reader: pa.RecordBatchReader | None = reader
        self._file: Any = None

    def batches(self) -> Iterator[pa.RecordBatch]:
        try:
            while True:
                with self._session.lock:
                    batch = self._next()
                if batch is None:
                    return
                if batch.num_rows:
                    yield batch
        finally:
            self.close()

    def _next(self) -> pa.RecordBatch | None:
        if self._reader is None:
            return None
        try:
            return next(self._reader, None)
        except (duckdb.Error, pa.ArrowException, OSError) as error:
            raise translated(error, self._session.where) from error

    def set_aside(self) -> None:
        if self._reader is None:
            return
        self._file = tempfile.TemporaryFile()  # noqa: SIM115 - closed with the stream
        try:
            with pa.ipc.new_stream(self._file, self._reader.schema) as writer:
                while (batch := self._next()) is not None:
                    writer.write_batch(batch)
        except OSError as error:
            raise SynclineError(
                f"Cannot set rows of {self._session.where} aside: {error}.", fix="free space."
            ) from error
        self._reader.close()
        self._file.seek(0)
        self._reader = pa.ipc.open_stream(self._file)

    def close(self) -> None:
        with self._session.lock:
            if self._reader is not None:
                with suppress(Exception):
                    self._reader.close()
                self._reader = None
            if self._file is not None:
                self._file.close()
            self._session.finished(self)


Described = Callable[[TableName], TableShape | None]


class DuckdbSnapshot:
    """One read transaction of one cursor. `described` says the shapes of views that stand for tables of another kind."""

    token: str | None = None

    def __init__(self, session: Session, mark: str, time_zone: str | None, described: Described | None = None) -> None:
        self.mark = mark
        self._session = session
        self._zone = time_zone
        self._numbers = count(1)
        self._described = described
        self._shapes = KnownShapes(
            described or partial(describe, session), partial(describe_query, session), session.where
        )

    def estimate(self, relation: Relation) -> int:
        return self.count(relation)  # which DuckDB knows of each part of a table

    def count(self, relation: Relation, ranges: Sequence[ColumnRange] = ()) -> int:
        statement = select(relation, [sa.func.count().label("n")], ranges=self._ranges(relation, ranges))
        return int(self._session.ask(*bound(statement, DIALECT))["n"][0].as_py())

    def split(
        self,
        relation: Relation,
        key: Key,
        rows: int,
        within: KeyRange = KeyRange(),
        *,
        ranges: Sequence[ColumnRange] = (),
    ) -> list[KeyValue]:
        columns = self._shapes.columns(relation, key)
        shown = [reading(each) for each in columns]
        operands = list(zip(self._operands(relation, key), shown, strict=True))
        statement = cuts(relation, operands, rows, within, self._ranges(relation, ranges))
        found = self._session.ask(*bound(statement, DIALECT))
        keys = zip(
            *(python_values(as_travel_array(found.column(i), each)) for i, each in enumerate(columns)), strict=True
        )
        return [each for each in dict.fromkeys(each for each in keys if None not in each) if each != within.start]

    def highest(self, relation: Relation, column_name: str) -> int | None:
        statement = select(relation, [sa.func.max(column(column_name)).label("n")])
        highest = self._session.ask(*bound(statement, DIALECT))["n"][0].as_py()
        return None if highest is None else int(highest)

    def orphans(self, table: TableName, reference: ForeignKey) -> Relation | None:
        child, parent = Relation(table), Relation(reference.refers)
        if is_declared(reference, self._shapes.of(child).foreign_keys):
            return None  # DuckDB holds every foreign key
        own, there = (
            self._shapes.columns(child, reference.columns),
            self._shapes.columns(parent, reference.refers_columns),
        )
        sides = [compared(*both) for both in zip(own, there, strict=True)]
        mine, theirs = ([both[side] for both in sides] for side in (0, 1))
        return orphaned(table, reference.columns, mine, reference.refers, theirs, DIALECT)

    def unkeyed(self, table: TableName, key: Key, most: int | None = None) -> Relation:
        columns = self._shapes.columns(Relation(table), key)
        nullable = [each.name for each in columns if each.nullable]
        return unkeyed(table, key, [compared(each, each)[0] for each in columns], nullable, DIALECT, most)

    def checksums(
        self, relation: Relation, columns: Sequence[str], key: Key, windows: Sequence[KeyRange]
    ) -> pa.Table | None:
        table, session = relation.table, self._session
        if table is None:
            return None
        shapes = self._shapes.columns(relation, columns)
        if not self._has_own_rows(table) or any(each.generated for each in shapes):
            return None
        hashed, operands = row_hash(shapes), self._operands(relation, key)
        found = []
        for each in windows:
            rows = select(relation, [hashed.label("h")], key=operands, within=each, ordered=False, row_values=False)
            (answer,) = session.ask(*bound(summed(rows), DIALECT)).to_pylist()
            found.append((answer["rows"], answer["both"], answer["total"]))
        made = f"duckdb {duckdb.__version__}"
        return checksums(way(made, rendered(hashed, DIALECT), shapes), found)

    def scan(
        self,
        relation: Relation,
        columns: Sequence[str],
        *,
        key: Key = (),
        within: KeyRange = KeyRange(),
        ranges: Sequence[ColumnRange] = (),
        keys: pa.Table | None = None,
    ) -> Iterator[pa.RecordBatch]:
        shapes = self._shapes.columns(relation, columns)
        operands = self._operands(relation, key)
        view = f"syncline keys {next(self._numbers)}"
        statement = select(
            relation,
            [reading(each).label(f"c{i}") for i, each in enumerate(shapes)],
            key=operands,
            within=within,
            ranges=self._ranges(relation, ranges),
            row_values=False,
            chosen=None if keys is None else self._with_keys(relation, keys, view),
        )
        if len(key) > 1 and not (within.nulls and any(each.nullable for each in operands)):
            # Implied by the window, and what zone maps can use.
            first = operands[0]
            if within.start is not None:
                statement = statement.where(first.expression >= first.bind(within.start[0]))
            if within.stop is not None:
                statement = statement.where(first.expression <= first.bind(within.stop[0]))
        schema = pa.schema([pa.field(each.name, each.type) for each in shapes])
        with self._reader() as session:
            if keys is not None:
                session.register(view, keys.rename_columns([f"k{i}" for i in range(keys.num_columns)]))
            try:
                for batch in gathered(session.stream(*bound(statement, DIALECT)).batches()):
                    arrays = [as_travel_array(values, each) for values, each in zip(batch.columns, shapes, strict=True)]
                    yield pa.RecordBatch.from_arrays(arrays, schema=schema)
            finally:
                if keys is not None:
                    with suppress(duckdb.Error):  # a transaction that failed and a closed snapshot refuse even that
                        session.unregister(view)

    @contextmanager
    def _reader(self) -> Iterator[Session]:
        """What a scan reads by: the one session that sees the rows of a transaction."""
        yield self._session

    def _has_own_rows(self, table: TableName) -> bool:
        """Whether it is a table; of views, those that stand for tables of another kind."""
        if self._described is not None:
            return self._described(table) is not None
        return bool(self._session.ask(OWN_ROWS, (table.schema, table.name))["n"][0].as_py())

    def _with_keys(self, relation: Relation, keys: pa.Table, view: str) -> Expression:
        """The clause that keeps the rows with some keys, which the session reads from Arrow under the name of `view`.

        DuckDB looks for few keys of one column in its index, as it does in no other case; else it reads what the least and the
        most of them leave of each column.
        """
        there = sa.table(quoted(view), *(column(f"k{i}") for i in range(keys.num_columns)))
        sides = [
            keyed(each, key)
            for each, key in zip(self._shapes.columns(relation, keys.column_names), there.c, strict=True)
        ]
        return among([own for own, _ in sides], sa.select(*(key for _, key in sides)))

    def _operands(self, relation: Relation, names: Sequence[str]) -> list[Operand]:
        return [self._operand(each) for each in self._shapes.columns(relation, names)]

    def _operand(self, shape: ColumnShape) -> Operand:
        return operand(shape, lambda value: as_travel(value, shape.type, self._zone))

    def _ranges(self, relation: Relation, ranges: Sequence[ColumnRange]) -> list[tuple[Operand, ColumnRange]]:
        return list(zip(self._operands(relation, [each.column for each in ranges]), ranges, strict=True))


def set_up(cursor: duckdb.DuckDBPyConnection) -> duckdb.DuckDBPyConnection:
    """A connection as every session here wants it."""
    cursor.execute("SET TimeZone = 'UTC'")
    cursor.execute("SET python_enable_replacements = false")  # a query names tables, never Python variables
    return cursor


def abandon(session: Session) -> None:
    """Roll back, whatever became of the transaction."""
    try:
        session.execute("ROLLBACK")
    except SynclineError as error:
        if not isinstance(error.__cause__, duckdb.TransactionException):  # of a ROLLBACK: there is no transaction
            raise
