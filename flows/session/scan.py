"""Rows that have to be read whole: those of the target, and those that a lookup may find."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from adapters.protocol import Snapshot
from adapters.sql.staged_apply import python_values
from flows.bind.tables import BoundTable
from transforms import expressions, keys
from transforms.vocabulary import (
    INVALID,
    ColumnRange,
    DataError,
    Key,
    KeyRange,
    Relation,
    SideName,
    TableName,
    TableShape,
)

AT_ONCE: Final = 500  # keys that are asked for in one statement
MANY: Final = 2_000  # of which each costs a tenth of a millisecond: a window is read in less


def readable(
    batches: Iterable[pa.RecordBatch], table: TableName, side: SideName, key: Key, fix: str = ""
) -> Iterator[pa.RecordBatch]:
    """The same batches. DataError for a row that cannot travel: a change could not say what it was before.

    `fix` is what helps besides correcting such rows.
    """
    for batch in batches:
        if INVALID not in batch.schema.names:
            yield batch
            continue
        rows = pa.Table.from_batches([batch])
        bad = rows.filter(pc.is_valid(rows[INVALID]))
        if bad.num_rows:
            known = tuple(name for name in key if name in bad.column_names)
            where = f" key {expressions.as_json_keys(bad.slice(0, 1), known)[0].as_py()}" if known else ""
            raise DataError(
                f"{table} in the {side}{where}: {bad[INVALID][0].as_py()}; {bad.num_rows} such rows here. Nothing can be "
                f"planned for rows that cannot be read. {fix or 'Fix: correct them in the ' + side + '.'}"
            )
        yield batch.select([name for name in batch.schema.names if name != INVALID])


def rows_by_key(
    snapshot: Snapshot, shape: TableShape, names: Sequence[str], wanted: pa.Table, key: Key, fix: str = ""
) -> pa.Table:
    """The rows of the target with one of some keys, as far as they are there: the key and `names`, in no particular order.

    In: `wanted` has unique whole keys, in the key's columns. Rows are asked for by the table's own index, some hundred keys a
    statement; where they are many and lie in an order, they are read from the first to the last. Keys that are not found so
    (some values are none of Python's, or come in several spellings) are looked for in a scan.
    Errors: DataError as of `readable`.
    """
    columns = list(dict.fromkeys([*key, *names]))
    schema = shape.schema(tuple(columns))
    found = [schema.empty_table()]

    def take(batches: Iterable[pa.RecordBatch], asked: pa.Table) -> None:
        for batch in readable(batches, shape.name, "target", key, fix):
            rows = pa.Table.from_batches([batch]).cast(schema)
            mine = keys.contained(rows, asked, key)
            if mine.any():
                found.append(rows.filter(pa.array(mine)))

    asked = wanted.cast(pa.schema([schema.field(name) for name in key])).select(list(key))
    order = next((each for each in sorted(shape.ordered) if set(each) == set(key)), ())
    if order and asked.num_rows > MANY:
        first = asked.select(list(order)).sort_by([(name, "ascending") for name in order]).slice(0, 1)
        (start,) = zip(*(python_values(first.column(name)) for name in order), strict=True)
        within = KeyRange(None if None in start else start, nulls=False)
        for batch in snapshot.scan(Relation(shape.name), columns, key=order, within=within):
            take([batch], asked)
            if sum(rows.num_rows for rows in found) >= asked.num_rows:
                break
    else:
        values = zip(*(python_values(asked.column(name)) for name in key), strict=True)
        among = [value for value in values if None not in value]
        for at in range(0, len(among), AT_ONCE):
            take(snapshot.scan(Relation(shape.name), columns, key=key, among=among[at : at + AT_ONCE]), asked)
    there = pa.concat_tables(found)
    rest = asked.filter(pa.array(~keys.contained(asked, there, key))) if there.num_rows else asked
    if rest.num_rows:
        take(snapshot.scan(Relation(shape.name), columns), rest)
    return pa.concat_tables(found)


def scan_planned(
    snapshot: Snapshot,
    bound: BoundTable,
    columns: Sequence[str],
    *,
    key: Key = (),
    within: KeyRange = KeyRange(),
    ranges: Sequence[ColumnRange] = (),
) -> Iterator[pa.RecordBatch]:
    """`Snapshot.scan` of a target table as the plan looks at it: a column that is yet to be added is null in every row."""
    absent = {added.column.name: added.column.type for added in bound.adds}
    there = [name for name in columns if name not in absent]
    for batch in snapshot.scan(bound.there, there, key=key, within=within, ranges=ranges):
        if not absent:
            yield batch
            continue
        names = [*columns, *(name for name in batch.schema.names if name == INVALID)]
        arrays = [pa.nulls(batch.num_rows, absent[n]) if n in absent else batch.column(n) for n in names]
        yield pa.RecordBatch.from_arrays(arrays, names=names)
