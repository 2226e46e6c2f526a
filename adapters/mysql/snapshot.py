"""Reading MariaDB and MySQL: one consistent snapshot, one connection, one answer on the wire at a time."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from threading import RLock
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from adapters.mysql.arrow import arrived, stands_in
from adapters.mysql.catalog import Described
from adapters.mysql.checksums import OWN_ROWS, row_hash, summed
from adapters.mysql.connection import Connection, Connections, drop, rows, run
from adapters.mysql.keys import with_keys
from adapters.mysql.types import Travel
from adapters.mysql.wire import MARK, Answer, Block, cut
from adapters.sql.checksums import checksums, way
from adapters.sql.keys import unkeyed
from adapters.sql.orphans import is_declared, orphaned
from adapters.sql.statements import Expression, Operand, along_index, dialect_of, quoted, rendered, select
from transforms.vocabulary import (
    INVALID,
    STANDS_IN,
    ColumnRange,
    ColumnShape,
    ForeignKey,
    Key,
    KeyRange,
    KeyValue,
    Relation,
    SnapshotLost,
    SynclineError,
    TableName,
    TransientError,
)

ROWS: Final = 65_536  # in one batch
LISTED_BYTES: Final = 512  # of a value in a list that the server keeps in memory; from here on it is a blob

Describe = Callable[[Relation], Described]


def spelled(statement: sa.ClauseElement) -> str:
    return rendered(statement, dialect_of("mysql"))


class MysqlSnapshot:
    """A Snapshot (see the protocol) on one connection, which all threads share.

    A statement that finds the answer of another one still on the wire sets it aside first, in a temporary file, where
    its reader finds the rest: nobody waits for a reader, and memory holds a few blocks, however many scans are open.
    """

    token: str | None = None  # no other connection can join

    def __init__(self, connections: Connections, describe: Describe, zone: str | None) -> None:
        self._connections = connections
        self._describe = describe
        self._zone = zone
        self._guard = RLock()
        self._reading: Answer | None = None
        self._open = True
        self._connection = connections.take()
        try:
            run(self._connection, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            run(self._connection, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            self.mark = _mark(self._connection, mariadb=connections.server.mariadb)
        except BaseException:
            drop(self._connection)
            raise

    def estimate(self, relation: Relation) -> int:
        statement = spelled(select(relation, [sa.literal_column("1")]))
        with self._translated(f"Reading {relation}"), self._free() as connection:
            plan = rows(connection, f"EXPLAIN FORMAT=TRADITIONAL {statement}")
            place = [field.name for field in connection._result.fields].index("rows")
        return max(1, *(int(row[place] or 0) for row in plan))

    def count(self, relation: Relation, ranges: Sequence[ColumnRange] = ()) -> int:
        compared = self._range_operands(relation, ranges)
        return int(self._asked(relation, select(relation, [sa.func.count()], ranges=compared))[0][0])

    def highest(self, relation: Relation, column_name: str) -> int | None:
        operand = self._travel(relation, column_name).operand()
        largest = self._asked(relation, select(relation, [sa.func.max(operand.expression)]))[0][0]
        return None if largest is None else int(largest)

    def orphans(self, table: TableName, reference: ForeignKey) -> Relation | None:
        if is_declared(reference, self._describe(Relation(table)).shape.foreign_keys):
            return None  # InnoDB alone has foreign keys, and holds them
        own = [self._travel(Relation(table), name) for name in reference.columns]
        there = [self._travel(Relation(reference.refers), name) for name in reference.refers_columns]
        sides = [_listed(*both) for both in zip(own, there, strict=True)]
        mine, theirs = ([both[side] for both in sides] for side in (0, 1))
        return orphaned(table, reference.columns, mine, reference.refers, theirs, dialect_of("mysql"), listed=True)

    def unkeyed(self, table: TableName, key: Key, most: int | None = None) -> Relation:
        travels = [self._travel(Relation(table), name) for name in key]
        own = [_listed(each)[0] for each in travels]
        nullable = [each.name for each in travels if each.shape.nullable]
        return unkeyed(table, key, own, nullable, dialect_of("mysql"), most)

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
        if along_index(key, described.shape, relation, ranges):
            return list(self._hops(relation, travels, rows, inside, ranges))
        statement = self._selected(relation, travels, travels, inside, ranges)
        cuts: list[KeyValue] = []
        place = 0
        for found in self._batches(relation, statement, travels):
            first = -place % rows
            place += found.num_rows
            cuts += _values(found.take(pa.array(np.arange(first, found.num_rows, rows))), len(key))
        return [cut for i, cut in enumerate(cuts) if i and cut != cuts[i - 1]]

    def _hops(
        self, relation: Relation, key: Sequence[Travel], rows: int, inside: KeyRange, ranges: Sequence[ColumnRange]
    ) -> Iterator[KeyValue]:
        """The key of every `rows`-th row, hop by hop along an index of the key."""
        operands = [each.operand(self._zone) for each in key]
        last: KeyValue | None = None
        while True:
            statement = self._selected(relation, key, key, inside, ranges)
            if last is not None:
                statement = statement.where(_beyond(operands, last))
            hop = statement.limit(1).offset(rows if last is None else rows - 1)
            found = [value for batch in self._batches(relation, hop, key) for value in _values(batch, len(key))]
            if not found:
                return
            (last,) = found
            inside = KeyRange(last, inside.stop, nulls=False)
            yield last

    def checksums(
        self, relation: Relation, columns: Sequence[str], key: Key, windows: Sequence[KeyRange]
    ) -> pa.Table | None:
        table = relation.table
        if table is None:
            return None
        travels = [self._travel(relation, name) for name in columns]
        with self._translated(f"Looking at {table}"), self._free() as connection:
            own_rows = rows(connection, OWN_ROWS, (table.schema, table.name))
        if not own_rows or not own_rows[0][0] or any(each.shape.generated for each in travels):
            return None
        hashed, operands = row_hash(travels), [self._travel(relation, name).operand(self._zone) for name in key]
        found = []
        for each in windows:
            chosen = select(relation, [hashed.label("h")], key=operands, within=each, ordered=False, row_values=False)
            ((count, made, both, total),) = self._asked(relation, summed(chosen))
            if made != count:
                return None
            found.append((int(count), both, total))
        return checksums(way(repr(self._connections.server), spelled(hashed), [each.shape for each in travels]), found)

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
        ordered = [self._travel(relation, name) for name in key]
        statement = self._selected(relation, travels, ordered, within, ranges)
        parts = [statement]
        if keys is not None:
            parts = [
                statement.where(each)
                for each in with_keys([self._travel(relation, n) for n in keys.column_names], keys)
            ]
        for part in parts:
            for batch in self._batches(relation, part, travels):
                for start in range(0, batch.num_rows, ROWS):
                    yield batch.slice(start, ROWS)

    def _selected(
        self,
        relation: Relation,
        travels: Sequence[Travel],
        key: Sequence[Travel],
        within: KeyRange,
        ranges: Sequence[ColumnRange] = (),
    ) -> sa.Select[Any]:
        # Labels, because ORDER BY takes an output column of the key's name before the key itself.
        columns = [each.read().label(quoted(f"syncline:{i}")) for i, each in enumerate(travels)]
        return select(
            relation,
            [sa.literal_column(MARK), *columns],
            key=[each.operand(self._zone) for each in key],
            within=within,
            ranges=self._range_operands(relation, ranges),
            row_values=False,  # no index serves them
        )

    def _batches(
        self, relation: Relation, statement: sa.Select[Any], travels: Sequence[Travel]
    ) -> Iterator[pa.RecordBatch]:
        """The answer to a statement that selects MARK and the columns."""
        where = f"Reading {relation}"
        with self._translated(where), self._free() as connection:
            answer = self._reading = Answer(connection, spelled(statement))
        try:
            while True:
                with self._translated(where):
                    with self._guard:
                        block = answer.block()
                    if block is None:
                        return
                    batch = _batch(block, travels, relation)
                yield batch
        finally:
            with self._guard:
                answer.leave()

    def _travel(self, relation: Relation, name: str) -> Travel:
        travels = self._describe(relation).travels
        if name not in travels:
            raise SynclineError(
                f"Column {name!r} is not in {relation}; it has {', '.join(travels)}.",
                fix="correct the name in the spec.",
            )
        refused = travels[name].shape.refused
        if refused:
            raise SynclineError(f"Column {name!r} of {relation} cannot be read exactly: {refused}")
        return travels[name]

    def _range_operands(self, relation: Relation, ranges: Sequence[ColumnRange]) -> list[tuple[Operand, ColumnRange]]:
        return [(self._travel(relation, each.column).range_operand(self._zone), each) for each in ranges]

    def _asked(self, relation: Relation, statement: sa.ClauseElement) -> list[tuple[Any, ...]]:
        """A short answer, whole."""
        with self._translated(f"Reading {relation}"), self._free() as connection:
            return rows(connection, spelled(statement))

    @contextmanager
    def _translated(self, where: str) -> Iterator[None]:
        """The driver's errors as ours. What may pass for others does not here: the snapshot is this connection's alone."""
        try:
            with self._connections.translated(where):
                yield
        except TransientError as error:
            raise SnapshotLost(str(error)) from error

    @contextmanager
    def _free(self) -> Iterator[Connection]:
        """The connection, with nothing of another answer on it."""
        with self._guard:
            if not self._open:
                raise SynclineError("The snapshot is closed.", fix="open another one.")
            if self._reading is not None:
                self._reading.set_aside()
            self._reading = None
            yield self._connection

    def close(self) -> None:
        """Leave the snapshot and give its connection back."""
        with self._guard:
            self._open = False
            if self._reading is not None and self._reading.on_wire:
                drop(self._connection)
            else:
                self._connections.give_back(self._connection)


def _batch(block: Block, travels: Sequence[Travel], relation: Relation) -> pa.RecordBatch:
    """Rows off the wire in their travel types, with the reasons of those that cannot travel."""
    arrays, reasons, told_of = [], None, {}
    for array, each in zip(cut(block, len(travels)), travels, strict=True):
        found, told = arrived(array, each, relation)
        arrays.append(found)
        if (replaced := stands_in(array, each, relation)) is not None:
            told_of[f"{STANDS_IN}{each.name}"] = replaced
        if told is not None:
            reasons = told if reasons is None else pc.coalesce(reasons, told)
    batch = pa.RecordBatch.from_arrays(arrays, schema=pa.schema([(each.name, each.shape.type) for each in travels]))
    for name, replaced in told_of.items():
        batch = batch.append_column(name, replaced)
    return batch if reasons is None else batch.append_column(INVALID, reasons)


def _listed(*both: Travel) -> list[Expression]:
    """What is compared with a list of all values: long ones by a digest, since the server keeps no list of blobs."""
    own = [each.operand().expression for each in both]
    if not any(_is_long(each.shape) for each in both):
        return own
    return [sa.func.sha2(each, sa.literal_column("256")) for each in own]


def _is_long(shape: ColumnShape) -> bool:
    wide = pa.types.is_string(shape.type) or pa.types.is_binary(shape.type)
    return wide and (shape.octets or 4 * (shape.length or LISTED_BYTES)) >= LISTED_BYTES


def _values(batch: pa.RecordBatch, columns: int) -> list[KeyValue]:
    """Keys as Python values, without those that cannot travel."""
    values = zip(*(array.to_pylist() for array in batch.columns[:columns]), strict=True)
    return [value for value in values if None not in value]


def _beyond(key: Sequence[Operand], values: KeyValue) -> sa.ColumnElement[bool]:
    """The key comes after `values`."""
    clause: sa.ColumnElement[bool] = sa.false()
    for operand, value in reversed(list(zip(key, values, strict=True))):
        own, bound = operand.expression, operand.bind(value)
        clause = sa.or_(own > bound, sa.and_(own == bound, clause))
    return clause


def _mark(connection: Connection, *, mariadb: bool) -> str:
    """The state of the open snapshot: a place in the binary log where there is one, else the server's time."""
    if mariadb:
        status = dict(rows(connection, "SHOW STATUS LIKE 'binlog_snapshot%'"))
        if status.get("Binlog_snapshot_file"):
            return f"{status['Binlog_snapshot_file']}:{status['Binlog_snapshot_position']}"
    else:
        ((executed,),) = rows(connection, "SELECT @@GLOBAL.gtid_executed")
        if executed:
            return " ".join(str(executed).split())
    ((now,),) = rows(connection, "SELECT CAST(UTC_TIMESTAMP(6) AS CHAR)")
    return str(now)
