"""Rows that have to be read whole: those of the target, and those that a lookup may find."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.compute as pc

from adapters.protocol import Snapshot
from flows.bind.tables import BoundTable
from transforms import expressions
from transforms.keys import contained
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
    reason_of,
    text_of,
)


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
            where = f" key {expressions.json_key(bad, known)}" if known else ""
            why = text_of(reason_of(bad[INVALID][0].as_py()))
            raise DataError(
                f"{table} in the {side}{where}: {why}; {bad.num_rows} such rows here. Nothing can be "
                f"planned for rows that cannot be read.",
                fix=fix or f"correct them in the {side}.",
            )
        yield batch.select([name for name in batch.schema.names if name != INVALID])


def rows_by_key(
    snapshot: Snapshot, shape: TableShape, names: Sequence[str], wanted: pa.Table, key: Key, fix: str = ""
) -> pa.Table:
    """The rows of the target with one of some keys, as far as they are there: the key and `names`, in no particular order.

    In: `wanted` has unique whole keys, in the key's columns. Those that an engine does not find by their values are looked for
    in all rows, so that none which is there is taken for gone. Errors: DataError as of `readable`.
    """
    columns = list(dict.fromkeys([*key, *names]))
    schema = shape.schema(tuple(columns))
    relation, found = Relation(shape.name), [schema.empty_table()]

    def take(batches: Iterable[pa.RecordBatch], asked: pa.Table) -> None:
        for batch in readable(batches, shape.name, "target", key, fix):
            rows = pa.Table.from_batches([batch]).cast(schema)
            found.append(rows.filter(pa.array(contained(rows, asked, key))))

    asked = wanted.cast(pa.schema([schema.field(name) for name in key])).select(list(key))
    take(snapshot.scan(relation, columns, keys=asked), asked)
    missing = asked.filter(pa.array(~contained(asked, pa.concat_tables(found), key)))
    if missing.num_rows:
        take(snapshot.scan(relation, columns), missing)
    return pa.concat_tables(found)


def scan_planned(
    snapshot: Snapshot,
    bound: BoundTable,
    columns: Sequence[str],
    *,
    key: Key = (),
    within: KeyRange = KeyRange(),
    ranges: Sequence[ColumnRange] = (),
    keys: pa.Table | None = None,
) -> Iterator[pa.RecordBatch]:
    """`Snapshot.scan` of a target table as the plan looks at it: a column that is yet to be added is null in every row, and none has
    one of some values there."""
    absent = {added.column.name: added.column.type for added in bound.adds}
    if keys is not None and not absent.keys().isdisjoint(keys.column_names):
        return
    there = [name for name in columns if name not in absent]
    for batch in snapshot.scan(bound.there, there, key=key, within=within, ranges=ranges, keys=keys):
        if not absent:
            yield batch
            continue
        names = [*columns, *(name for name in batch.schema.names if name == INVALID)]
        arrays = [pa.nulls(batch.num_rows, absent[n]) if n in absent else batch.column(n) for n in names]
        yield pa.RecordBatch.from_arrays(arrays, names=names)
