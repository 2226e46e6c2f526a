# ruff: noqa: S608 - SQL is made of quoted identifiers, quoted literals and compiled statements
"""Reading one state of a SQLite database into Arrow."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import AbstractContextManager, nullcontext, suppress
from functools import cached_property, partial
from itertools import count
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from adapters.protocol import CHECKSUMS
from adapters.sql.checksums import way
from adapters.sql.keys import among, unkeyed
from adapters.sql.orphans import is_declared, orphaned
from adapters.sql.staged_apply import KnownShapes, as_travel, cuts, python_values
from adapters.sql.statements import Expression, Operand, bound, dialect_of, quoted, select
from adapters.sql.statements import column as named
from adapters.sqlite.arrow import decode, encode, offence, sort_value, stored_value
from adapters.sqlite.catalog import describe, describe_query
from adapters.sqlite.checksums import digest, has_own_rows
from adapters.sqlite.connection import BATCH_ROWS, FAULTS, Connection, translated
from adapters.sqlite.types import (
    Style,
    clean_sql,
    column_shape,
    kind_of,
    offence_sql,
    raw_order,
    sample_sql,
    sort_sql,
    spelled_in_styles,
    styles,
    value_sql,
)
from adapters.sqlite.types import quoted as name_sql
from transforms.vocabulary import (
    INVALID,
    ColumnRange,
    ColumnShape,
    ForeignKey,
    Key,
    KeyRange,
    KeyValue,
    Relation,
    SynclineError,
    TableName,
)
from transforms.vocabulary.arrow import contiguous

DIALECT: Final = dialect_of("sqlite")
BATCH_BYTES: Final = 32 * 1024 * 1024  # wide rows come in smaller batches
USUAL_BYTES: Final = 256  # of a row of which nothing is known
COUNTED_BYTES: Final = 256 * 2**20  # a file of that size is counted in some hundredths of a second
TEXT_KINDS: Final = ("text", "date", "timestamp", "moment", "time", "interval", "uuid", "json", "number", "loose")
_AS_TEXT: Final = column_shape("text", "TEXT")


class SqliteSnapshot:
    """One read transaction of one connection; its batches are fetched one at a time, under a lock."""

    token: str | None = None

    def __init__(self, connection: Connection, mark: str, time_zone: str | None) -> None:
        self.mark = mark
        self._connection = connection
        self._zone = time_zone
        self._lock = threading.RLock()
        self._shapes = KnownShapes(partial(describe, connection), partial(describe_query, connection), connection.path)
        self._styles: dict[tuple[TableName, str], Style | None] = {}
        self._binary: dict[tuple[TableName, str], bool] = {}
        self._estimates: dict[Relation, int] = {}  # which each scan asks for, and which nothing changes here
        self._numbers = count(1)
        self._read: list[str] = []  # lists of keys that are yet to be dropped

    def estimate(self, relation: Relation) -> int:
        """Counted in a small file. In a large one from the range of rowids, and never more than the file can hold."""
        with self._lock:
            if relation not in self._estimates:
                self._estimates[relation] = self._estimated(relation)
            return self._estimates[relation]

    def _estimated(self, relation: Relation) -> int:
        if relation.table and not relation.where:
            table = name_sql(relation.table.name)
            with suppress(Exception):  # a view, or a table without rowids
                row = self._connection.rows(f"SELECT min(rowid) AS a, max(rowid) AS z FROM {table}")[0]
                if row["a"] is None:
                    return 0
                span = int(row["z"] - row["a"]) + 1
                if self._bytes > COUNTED_BYTES:
                    return max(1, min(span, self._bytes // 8))
        return self.count(relation)

    @cached_property
    def _digest(self) -> str | None:
        return digest(self._connection.path)

    @cached_property
    def _bytes(self) -> int:
        rows = self._connection.rows("SELECT page_count * page_size AS n FROM pragma_page_count, pragma_page_size")
        return int(rows[0]["n"])

    def count(self, relation: Relation, ranges: Sequence[ColumnRange] = ()) -> int:
        with self._lock:
            statement = select(relation, [sa.func.count().label("n")], ranges=self._ranges(relation, ranges))
            return int(self._connection.ask(*bound(statement, DIALECT))["n"][0].as_py())

    def split(
        self,
        relation: Relation,
        key: Key,
        rows: int,
        within: KeyRange = KeyRange(),
        *,
        ranges: Sequence[ColumnRange] = (),
    ) -> list[KeyValue]:
        with self._lock:
            columns = self._shapes.columns(relation, key)
            shown_key = [_value(each) for each in columns]
            operands = self._operands(relation, key)
            compared = self._ranges(relation, ranges)
            cut = cuts(relation, list(zip(operands, shown_key, strict=True)), rows, within, compared)
            sql, parameters = bound(cut, DIALECT)
            found = pa.Table.from_batches(list(batches(self._connection, columns, sql, parameters)), travel(columns))
        keys = zip(*(python_values(values) for values in found.columns), strict=True)
        distinct = dict.fromkeys(each for each in keys if None not in each)
        return [each for each in distinct if each != within.start]

    def highest(self, relation: Relation, column: str) -> int | None:
        with self._lock:
            c = name_sql(column)
            value: Expression = sa.literal_column(f"CASE WHEN typeof({c})='integer' THEN {c} END")
            found = self._connection.ask(*bound(select(relation, [sa.func.max(value).label("n")]), DIALECT))
        highest: int | None = found["n"][0].as_py()
        return highest

    def orphans(self, table: TableName, reference: ForeignKey) -> Relation:
        """Always looked for: whoever wrote the rows may have left foreign keys unchecked, which is SQLite's default."""
        with self._lock:
            child = self._shapes.of(Relation(table))
            parent = describe(self._connection, reference.refers)
            lacking = parent is None or not set(reference.refers_columns) <= set(parent.names)
            if parent is None or lacking or len(reference.columns) != len(reference.refers_columns):
                return orphaned(table, reference.columns, (), None, (), DIALECT)
            own: list[Expression] = [named(name) for name in reference.columns]
            there: list[Expression] = [named(name) for name in reference.refers_columns]
            if not is_declared(reference, child.foreign_keys):
                mine = self._shapes.columns(Relation(table), reference.columns)
                theirs = self._shapes.columns(Relation(reference.refers), reference.refers_columns)
                own = [_compared(a, b) for a, b in zip(mine, theirs, strict=True)]
                there = [_compared(b, a) for a, b in zip(mine, theirs, strict=True)]
            return orphaned(table, reference.columns, own, reference.refers, there, DIALECT)

    def unkeyed(self, table: TableName, key: Key, most: int | None = None) -> Relation:
        with self._lock:
            columns = self._shapes.columns(Relation(table), key)
        nullable = [each.name for each in columns if each.nullable]
        return unkeyed(table, key, [_compared(each, each) for each in columns], nullable, DIALECT, most)

    def checksums(
        self, relation: Relation, columns: Sequence[str], key: Key, windows: Sequence[KeyRange]
    ) -> pa.Table | None:
        with self._lock:
            shapes = self._shapes.columns(relation, columns)
            own_rows = relation.table is not None and has_own_rows(self._connection, relation.table)
            known = self._digest if own_rows else None
        if known is None:
            return None
        text = f"{way('sqlite', '', shapes)}:{known}"
        return pa.table([pa.nulls(len(windows), pa.int64()), pa.array([text] * len(windows))], schema=CHECKSUMS)

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
        listed = f"syncline keys {next(self._numbers)}"
        try:
            with self._lock:
                shapes = self._shapes.columns(relation, columns)
                statement = select(
                    relation,
                    [
                        *(_value(each).label(None) for each in shapes),
                        sa.literal_column(offence_sql(shapes)).label(quoted(INVALID)),
                    ],
                    key=self._operands(relation, key),
                    within=within,
                    ranges=self._ranges(relation, ranges),
                    chosen=None if keys is None else self._with_keys(relation, keys, listed),
                )
                sql, parameters = bound(statement, DIALECT)
                most = max(64, min(BATCH_ROWS, BATCH_BYTES // max(1, self._row_bytes(relation, keys))))
            yield from batches(self._connection, shapes, sql, parameters, size=most, reasons=True, lock=self._lock)
        finally:
            if keys is not None:
                self._drop(listed)

    def _row_bytes(self, relation: Relation, keys: pa.Table | None) -> int:
        """How large the rows of a scan are, at a guess. Of some keys they are not counted: all of the file may be in them."""
        if keys is None and not relation.table:
            return USUAL_BYTES
        rows: int = self.estimate(relation) if keys is None else keys.num_rows
        return self._bytes // max(1, rows)

    def _with_keys(self, relation: Relation, keys: pa.Table, name: str) -> Expression:
        """The clause that keeps the rows with some keys, which go into a temporary table of that name."""
        whole = keys.drop_null()
        own: list[Expression] = []
        made: dict[str, pa.Array] = {}
        spelled: dict[str, pa.Table] = {}
        for i, column in enumerate(self._shapes.columns(relation, keys.column_names)):
            values = contiguous(whole.column(i))
            style = self._style_of_keys(relation, column)
            if style is None:
                distinct = values.unique()
                made[f"n{i}"] = pc.index_in(values, value_set=distinct)
                spelled[f"n{i}"] = self._spellings(relation, column, distinct).rename_columns([f"n{i}", f"k{i}"])
            else:
                made[f"k{i}"] = encode(column, values, style)
            indexed = style is not None and relation.table is not None
            own.append(named(column.name) if indexed else _value(column))
        listed = pa.table(made)
        for number, texts in spelled.items():
            listed = listed.join(texts, number, join_type="inner")
        listed = listed.select([f"k{i}" for i in range(len(own))])
        self._connection.ingest(name, listed, temporary=True)
        there = sa.table(quoted(name), *(named(each) for each in listed.column_names), schema="temp")
        return among(own, sa.select(*there.c))

    def _style_of_keys(self, relation: Relation, column: ColumnShape) -> Style | None:
        """How keys are spelled to be compared with a column, None where it has several ways."""
        if not raw_order(column.native):
            return None
        if not spelled_in_styles(column.native):
            return Style()
        return self.style(relation.table, column) if relation.table else None

    def _spellings(self, relation: Relation, column: ColumnShape, values: pa.Array) -> pa.Table:
        """The texts by which a column has some values: `n`, the place of the value among them, and `text`.

        A column that keeps to no style may have 12:00 for 12:00:00, and 15e-1 for 1.5: no list of spellings made here would be
        whole, so that they are read from the column.
        """
        found = [pa.table({"n": pa.array([], pa.int32()), "text": pa.array([], pa.string())})]
        sql, parameters = bound(select(relation, [_value(column).label(None), _value(column).label(None)]), DIALECT)
        for batch in batches(self._connection, [column, _AS_TEXT], sql, parameters) if len(values) else ():
            places = pc.index_in(batch.column(0), value_set=values)
            found.append(pa.table({"n": places, "text": batch.column(1)}).filter(places.is_valid()))
        return pa.concat_tables(found).group_by(["n", "text"]).aggregate([])

    def _drop(self, name: str) -> None:
        """Drop a list of keys, and those that had to wait: SQLite drops no table while another scan is open."""
        with self._lock:
            self._read.append(name)
            self._read = [each for each in self._read if not self._connection.drop(each)]

    def _ranges(self, relation: Relation, ranges: Sequence[ColumnRange]) -> list[tuple[Operand, ColumnRange]]:
        return list(zip(self._operands(relation, [each.column for each in ranges]), ranges, strict=True))

    def _operands(self, relation: Relation, names: Sequence[str]) -> list[Operand]:
        """Columns as they stand where an index serves them in the right order, else an expression that has it."""
        return [self._operand(relation, each) for each in self._shapes.columns(relation, names)]

    def _operand(self, relation: Relation, column: ColumnShape) -> Operand:
        c, native = name_sql(column.name), column.native
        style = self.style(relation.table, column) if relation.table and raw_order(native) else None

        def known(value: Any) -> Any:
            return as_travel(value, column.type, self._zone)

        if style is None or relation.table is None:
            ordered = sort_sql(native, c)
            return Operand(sa.literal_column(ordered), lambda value: sa.literal(sort_value(native, known(value))))
        # Spelled out only where needed: an index serves `(a, b) >= (x, y)` only for columns without COLLATE.
        plain = self.binary(relation.table, column)
        raw: Expression = sa.literal_column(c if plain else f"{c} COLLATE BINARY")
        return Operand(raw, lambda value: sa.literal(stored_value(native, known(value), style)), column.nullable)

    def binary(self, table: TableName, column: ColumnShape) -> bool:
        """The column compares its texts by their bytes."""
        if (table, column.name) not in self._binary:
            self._binary[table, column.name] = is_binary(self._connection, table, column)
        return self._binary[table, column.name]

    def style(self, table: TableName, column: ColumnShape) -> Style | None:
        """The one way in which a column spells its values, None where it has several or breaks its type."""
        if (table, column.name) not in self._styles:
            self._styles[table, column.name] = style_of(self._connection, table, column)
        return self._styles[table, column.name]


def style_of(connection: Connection, table: TableName, column: ColumnShape) -> Style | None:
    """Looked for over the whole table: the first style that every value keeps to."""
    if column.identity:
        return Style()
    for style in styles(column.native):
        clean = clean_sql(column.native, name_sql(column.name), style)
        sql = f"SELECT EXISTS (SELECT 1 FROM {name_sql(table.name)} WHERE NOT ({clean})) AS n"
        if not connection.ask(sql)["n"][0].as_py():
            return style
    return None


def _value(column: ColumnShape) -> Expression:
    return sa.literal_column(value_sql(column.native, name_sql(column.name)))


def _compared(column: ColumnShape, other: ColumnShape) -> Expression:
    """What is equal where the travel form is, in columns of one travel type: an index serves the plain kinds."""
    c, native = name_sql(column.name), column.native
    if kind_of(native) != kind_of(other.native):  # short decimals, here as texts and there as floats
        return sa.literal_column(f"CAST({c} AS REAL)")
    if kind_of(native) in ("integer", "boolean", "binary", "real"):
        return sa.literal_column(c)
    return sa.literal_column(f"{c} COLLATE BINARY" if kind_of(native) == "text" else sort_sql(native, c))


def is_binary(connection: Connection, table: TableName, column: ColumnShape) -> bool:
    """The catalog does not tell a column's collation, but a comparison with a value of the column does."""
    if not pa.types.is_string(column.type) and kind_of(column.native) not in TEXT_KINDS:
        return True
    borrowed = f"SELECT {name_sql(column.name)} AS c FROM {name_sql(table.name)} WHERE 0 UNION ALL SELECT 'a'"
    try:
        same = connection.rows(f"SELECT c = 'A' OR c = 'a ' AS same FROM ({borrowed})")
    except SynclineError:  # a collation that another program brings along
        return False
    return not same[0]["same"]


def batches(
    connection: Connection,
    columns: Sequence[ColumnShape],
    sql: str,
    parameters: Sequence[Any] = (),
    *,
    size: int = BATCH_ROWS,
    reasons: bool = False,
    lock: AbstractContextManager[Any] | None = None,
) -> Iterator[pa.RecordBatch]:
    """The rows of a query as they travel; the query's last column is the reason of a row that cannot, where `reasons`.

    A first row of samples tells the driver every column's type, and is dropped. The limit keeps SQLite from dropping
    the inner ORDER BY.
    """
    alone = lock or nullcontext()
    samples = [sample_sql(each.native) for each in columns] + (["''"] if reasons else [])
    sql = f"SELECT {', '.join(samples)} UNION ALL SELECT * FROM ({sql} LIMIT -1)"
    with alone:
        cursor, reader = connection.stream(sql, parameters, size)
    first = True
    try:
        while True:
            with alone:
                try:
                    batch = next(reader, None)
                except FAULTS as error:
                    raise translated(error, connection.path) from error
            if batch is None:
                return
            rows = batch.slice(1) if first else batch
            first = False
            if rows.num_rows:
                yield decoded(columns, rows, reasons=reasons)
    finally:
        with alone:
            connection.end(cursor)


def decoded(columns: Sequence[ColumnShape], batch: pa.RecordBatch, *, reasons: bool) -> pa.RecordBatch:
    """The travel form of a batch; with `reasons`, INVALID beside it where a row cannot travel."""
    invalid: dict[int, str] = {}
    arrays = []
    for position, column in enumerate(columns):
        values, offenders = decode(column, batch.column(position))
        arrays.append(values)
        invalid = {**offenders, **invalid}
    schema = travel(columns)
    told = batch.column(len(columns)) if reasons else None
    if told is not None and (told.null_count < len(told) or invalid):
        offences = told.cast(pa.binary()).to_pylist()
        spoken = [invalid.get(row) if each is None else offence(columns, each) for row, each in enumerate(offences)]
        arrays.append(pa.array(spoken, pa.string()))
        schema = schema.append(pa.field(INVALID, pa.string()))
    return pa.RecordBatch.from_arrays(arrays, schema=schema)


def travel(columns: Sequence[ColumnShape]) -> pa.Schema:
    return pa.schema([pa.field(each.name, each.type) for each in columns])
