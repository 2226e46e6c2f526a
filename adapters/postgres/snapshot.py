"""Reading PostgreSQL: one exported snapshot, read by as many connections as there are threads."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from queue import Empty, LifoQueue
from typing import Any, Final

import numpy as np
import psycopg
import pyarrow as pa
import sqlalchemy as sa

from adapters.postgres.arrow import ROWS, arrived, lost
from adapters.postgres.checksums import OWN_ROWS, row_hash, summed
from adapters.postgres.connection import DRIVER_ERRORS, Connections, answer, close_quietly, run, stream
from adapters.postgres.keys import with_keys
from adapters.postgres.pieces import pieces
from adapters.postgres.types import Travel
from adapters.sql.checksums import checksums, way
from adapters.sql.keys import unkeyed
from adapters.sql.orphans import is_declared, orphaned, pairs
from adapters.sql.statements import (
    Expression,
    Named,
    Operand,
    along_index,
    column,
    dialect_of,
    ordering,
    quoted,
    rendered,
    select,
    table,
)
from transforms.vocabulary import (
    INVALID,
    ColumnRange,
    ForeignKey,
    Key,
    KeyRange,
    KeyValue,
    Relation,
    SnapshotLost,
    SynclineError,
    TableName,
    TableShape,
    TransientError,
)

BEGIN: Final = "BEGIN ISOLATION LEVEL REPEATABLE READ READ ONLY"
DAY: Final = 86_400_000_000  # in microseconds
HELD: Final = """
SELECT ARRAY(SELECT ARRAY[a.attname::text, b.attname::text]
    FROM unnest(c.conkey, c.confkey) k (own, there)
    JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attnum = k.own
    JOIN pg_catalog.pg_attribute b ON b.attrelid = c.confrelid AND b.attnum = k.there)
FROM pg_catalog.pg_constraint c
WHERE c.contype = 'f' AND c.conrelid = to_regclass(%s) AND c.confrelid = to_regclass(%s)
  AND c.convalidated AND coalesce((to_jsonb(c) ->> 'conenforced')::boolean, true)
  AND NOT EXISTS (SELECT FROM pg_catalog.pg_trigger t WHERE t.tgconstraint = c.oid AND t.tgenabled = 'D')"""
COUNTED_COST: Final = 1000  # of the planner's units, at one for a page: a table of up to about 8 MB
PYTHON_DAYS: Final = (-719_162, 2_932_897)  # 0001-01-01 to 10000-01-01, from 1970


@dataclass(frozen=True, slots=True)
class Described:
    """A relation's shape, and how each of its columns travels. `own_rows`: a table that others may inherit from."""

    shape: TableShape
    travels: Mapping[str, Travel]
    own_rows: bool = False


Describe = Callable[[Relation], Described]
Select = Callable[..., sa.Select[Any]]
"""`adapters.sql.statements.select` of one relation."""


def spelled(statement: sa.ClauseElement) -> str:
    return rendered(statement, dialect_of("postgresql"))


class PostgresSnapshot:
    """A Snapshot (see the protocol) over an exported transaction snapshot, which `coordinator` holds open."""

    def __init__(
        self,
        connections: Connections,
        coordinator: psycopg.Connection[Any],
        token: str,
        describe: Describe,
        zone: str | None,
    ) -> None:
        self.token: str | None = token
        self._connections = connections
        self._coordinator = coordinator
        self._describe = describe
        self._zone = zone
        self._closed = False
        self._idle: LifoQueue[Any] = LifoQueue()
        (self.mark,) = self._ask("SELECT pg_current_snapshot()::text")

    def _ask(self, query: str) -> tuple[Any, ...]:
        row: tuple[Any, ...] | None = self._coordinator.execute(query).fetchone()
        assert row is not None
        return row

    def estimate(self, relation: Relation) -> int:
        """Counted where reading is cheap: the planner takes a table that it never looked at for one of some thousand rows."""
        statement = spelled(self._selected(relation, [sa.literal_column("1")]))
        try:
            with self._connections.translated(f"Reading {relation}"):
                (explained,) = self._ask(f"EXPLAIN (FORMAT JSON) {statement}")
                plan = explained[0]["Plan"]
                if plan["Total Cost"] <= COUNTED_COST:
                    return int(self._ask(spelled(self._selected(relation, [sa.func.count()])))[0])
        except TransientError as error:
            raise SnapshotLost(str(error)) from error  # others may read on, but nobody else can join
        return max(1, int(plan["Plan Rows"]))

    def count(self, relation: Relation, ranges: Sequence[ColumnRange] = ()) -> int:
        compared = self._range_operands(relation, ranges)
        table = self._table(relation, self._selected(relation, [sa.func.count()], ranges=compared))
        return int(table.column(0)[0].as_py())

    def highest(self, relation: Relation, column_name: str) -> int | None:
        largest = sa.cast(sa.func.max(self._travel(relation, column_name).operand().expression), Named("bigint"))
        value: int | None = self._table(relation, self._selected(relation, [largest])).column(0)[0].as_py()
        return value

    def orphans(self, child: TableName, reference: ForeignKey) -> Relation | None:
        shape = self._describe(Relation(child)).shape
        own = [self._travel(Relation(child), name) for name in reference.columns]
        there = [self._travel(Relation(reference.refers), name) for name in reference.refers_columns]
        if not is_declared(reference, shape.foreign_keys):
            sides = [[each.operand().expression for each in side] for side in (own, there)]
        elif self._holds(child, reference):
            return None
        else:
            sides = [[column(each.name) for each in side] for side in (own, there)]
        own_rows = self._describe(Relation(reference.refers)).own_rows
        mine, theirs = sides
        dialect = dialect_of("postgresql")
        return orphaned(child, reference.columns, mine, reference.refers, theirs, dialect, own_rows=own_rows)

    def _holds(self, child: TableName, reference: ForeignKey) -> bool:
        """Whether the foreign key is valid for all rows, and looked at whenever one is written."""
        with self._connections.translated(f"Looking at the foreign keys of {child}"):
            spell = dialect_of("postgresql").identifier_preparer.format_table
            names = [spell(table(each)) for each in (child, reference.refers)]
            found = self._coordinator.execute(HELD, names).fetchall()
        return any(frozenset(map(tuple, columns)) == pairs(reference) for (columns,) in found)

    def unkeyed(self, table: TableName, key: Key, most: int | None = None) -> Relation:
        travels = [self._travel(Relation(table), name) for name in key]
        own = [each.operand().expression for each in travels]
        nullable = [each.name for each in travels if each.shape.nullable]
        own_rows = self._describe(Relation(table)).own_rows
        return unkeyed(table, key, own, nullable, dialect_of("postgresql"), most, own_rows=own_rows)

    def pieces(self, relation: Relation, most: int) -> Sequence[Relation]:
        if not self._describe(relation).own_rows:
            return [relation]
        with self._connections.translated(f"Reading {relation}"):
            return pieces(self._coordinator, relation, most)

    def split(
        self,
        relation: Relation,
        key: Key,
        rows: int,
        within: KeyRange = KeyRange(),
        *,
        ranges: Sequence[ColumnRange] = (),
    ) -> list[KeyValue]:
        described = self._describe(relation)
        travels = [self._travel(relation, name) for name in key]
        inside = KeyRange(within.start, within.stop, nulls=False)
        along = along_index(key, described.shape, relation, ranges)
        compared = self._range_operands(relation, ranges)
        found = self._table(
            relation,
            (hops if along else numbered)(
                partial(self._selected, relation), travels, rows, inside, self._zone, compared
            ),
        )
        arrays = [arrived(array.combine_chunks(), each) for array, each in zip(found.columns, travels, strict=True)]
        fits = np.ones(found.num_rows, dtype=bool)
        for array in arrays:
            fits &= _in_python(array) & array.is_valid().to_numpy(zero_copy_only=False)
        kept = pa.table(arrays, names=[str(i) for i in range(len(key))]).filter(pa.array(fits))
        values = list(zip(*(array.to_pylist() for array in kept.columns), strict=True))
        return [value for i, value in enumerate(values) if i == 0 or value != values[i - 1]]

    def checksums(
        self, relation: Relation, columns: Sequence[str], key: Key, windows: Sequence[KeyRange]
    ) -> pa.Table | None:
        if relation.table is None or not self._has_own_rows(relation.table):
            return None
        travels = [self._travel(relation, name) for name in columns]
        hashed, version = row_hash(travels), f"postgresql {self._connections.version}"
        operands = [self._travel(relation, name).operand(self._zone) for name in key]
        found = []
        for each in windows:
            rows = self._selected(relation, [hashed.label("h")], key=operands, within=each, ordered=False)
            answer = self._table(relation, summed(rows))
            found.append((answer["rows"][0].as_py(), answer["both"][0].as_py(), answer["total"][0].as_py()))
        return checksums(way(version, spelled(hashed), [each.shape for each in travels]), found)

    def _has_own_rows(self, name: TableName) -> bool:
        with self._connections.translated(f"Looking at {name}"):
            text = dialect_of("postgresql").identifier_preparer.format_table(table(name))
            row = self._coordinator.execute(OWN_ROWS, [text, text]).fetchone()
        return row is not None and bool(row[0])

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
        travels = [self._travel(relation, name) for name in columns]
        # Labels, because ORDER BY takes an output column of the key's name before the key itself.
        selected = partial(
            self._selected,
            relation,
            [each.read().label(quoted(f"syncline:{i}")) for i, each in enumerate(travels)],
            key=[self._travel(relation, name).operand(self._zone) for name in key],
            within=within,
            ranges=self._range_operands(relation, ranges),
        )
        if keys is None:
            yield from self._batches(relation, selected(), travels)
            return
        for chosen in with_keys([self._travel(relation, name) for name in keys.column_names], keys):
            yield from self._batches(relation, selected(chosen=chosen), travels)

    def _batches(
        self, relation: Relation, statement: sa.ClauseElement, travels: Sequence[Travel]
    ) -> Iterator[pa.RecordBatch]:
        """The rows that a statement selects, one column for each of `travels`."""
        schema = pa.schema([pa.field(each.name, each.shape.type) for each in travels])
        where = f"Reading {relation}"
        with self._reader() as connection:
            batches = stream(connection, spelled(statement))
            while True:
                with self._connections.translated(where):
                    batch = next(batches, None)
                    if batch is None:
                        return
                    arrays = [arrived(array, each) for array, each in zip(batch.columns, travels, strict=True)]
                    found = pa.RecordBatch.from_arrays(arrays, schema=schema)
                reasons = lost(batch.columns, arrays, travels)
                found = found if reasons is None else found.append_column(INVALID, reasons)
                for start in range(0, found.num_rows, ROWS):
                    yield found.slice(start, ROWS)

    def _selected(self, relation: Relation, columns: Sequence[Expression], **options: Any) -> sa.Select[Any]:
        return select(relation, columns, own_rows=self._describe(relation).own_rows, **options)

    def _travel(self, relation: Relation, name: str) -> Travel:
        travels = self._describe(relation).travels
        if name not in travels:
            raise SynclineError(
                f"Column {name!r} is not in {relation}; it has {', '.join(travels)}.",
                fix="correct the name in the spec.",
            )
        return travels[name]

    def _range_operands(self, relation: Relation, ranges: Sequence[ColumnRange]) -> list[tuple[Operand, ColumnRange]]:
        return [(self._travel(relation, each.column).range_operand(self._zone), each) for each in ranges]

    def _table(self, relation: Relation, statement: sa.ClauseElement) -> pa.Table:
        """A short answer, whole."""
        with self._connections.translated(f"Reading {relation}"), self._reader() as connection:
            return answer(connection, spelled(statement))

    @contextmanager
    def _reader(self) -> Iterator[Any]:
        """A connection of this snapshot: one that is free and lives, or a new one that joins. Closed after an error."""
        connection = self._resting() or self._join()
        try:
            yield connection
        except BaseException:
            close_quietly(connection)
            raise
        self._idle.put(connection)
        if self._closed:
            self.close()

    def _resting(self) -> Any | None:
        while True:
            try:
                connection = self._idle.get_nowait()
            except Empty:
                return None
            try:
                run(connection, "SELECT 1")
                return connection
            except DRIVER_ERRORS:
                close_quietly(connection)

    def _join(self) -> Any:
        connection = self._connections.reader()
        try:
            with self._connections.translated("Joining a snapshot"):
                run(connection, BEGIN)
                run(connection, f"SET TRANSACTION SNAPSHOT {spelled(sa.literal(self.token))}")
                # a table that was just loaded has no statistics: its key windows are read by the index all the same
                run(connection, "SET LOCAL enable_bitmapscan = off")
                run(connection, "SET LOCAL enable_sort = off")
        except BaseException:
            close_quietly(connection)
            raise
        return connection

    def close(self) -> None:
        """Leave the snapshot and give its connections back."""
        self._closed = True
        while True:
            try:
                connection = self._idle.get_nowait()
            except Empty:
                return
            self._connections.give_back(connection)


def hops(
    select: Select,
    key: Sequence[Travel],
    rows: int,
    inside: KeyRange,
    zone: str | None,
    ranges: Sequence[tuple[Operand, ColumnRange]],
) -> sa.ClauseElement:
    """The key of every `rows`-th row, by hops along an index of the key: it alone is read, and nothing is sorted."""
    operands = [each.operand(zone) for each in key]
    own = [column(each.name) for each in key]
    found = (
        select(own, key=operands, within=inside, ranges=ranges)
        .limit(1)
        .offset(rows)
        .cte("syncline cuts", recursive=True)
    )
    beyond = sa.tuple_(*own) > sa.tuple_(*(found.c[each.name] for each in key))
    rest = KeyRange(None, inside.stop, nulls=False)
    after = select(own, key=operands, within=rest, ranges=ranges).where(beyond)
    step = after.limit(1).offset(rows - 1).lateral("hop")
    walk = found.union_all(sa.select(*(step.c[each.name] for each in key)).select_from(found.join(step, sa.true())))
    return sa.select(*(each.read(walk.c[each.name]) for each in key))


def numbered(
    select: Select,
    key: Sequence[Travel],
    rows: int,
    inside: KeyRange,
    zone: str | None,
    ranges: Sequence[tuple[Operand, ColumnRange]],
) -> sa.ClauseElement:
    """The key of every `rows`-th row, by numbering them all."""
    operands = [each.operand(zone) for each in key]
    place = sa.func.row_number().over(order_by=ordering(operands, inside)) - 1
    columns = [*(each.read().label(f"k{i}") for i, each in enumerate(key)), place.label("place")]
    chosen = select(columns, key=operands, within=inside, ranges=ranges, ordered=False)
    every = chosen.subquery("numbered")
    return (
        sa.select(*(every.c[f"k{i}"] for i in range(len(key))))
        .where(every.c.place > 0, every.c.place % rows == 0)
        .order_by(every.c.place)
    )


def _in_python(array: pa.Array) -> Any:
    """Where a date or time is one that Python knows: a cut is a Python value. True for every other type."""
    if pa.types.is_date32(array.type):
        first, last = PYTHON_DAYS
    elif pa.types.is_timestamp(array.type):
        first, last = (each * DAY for each in PYTHON_DAYS)
    elif pa.types.is_time(array.type):
        first, last = 0, DAY  # without 24:00
    else:
        return True
    numbers = array.view(pa.int32() if pa.types.is_date32(array.type) else pa.int64()).to_numpy(zero_copy_only=False)
    return (numbers >= first) & (numbers < last)
