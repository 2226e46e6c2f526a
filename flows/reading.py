"""Rows that have to be read whole: those of the target, and those that a lookup may find."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

import pyarrow as pa
import pyarrow.compute as pc

from transforms import expressions
from transforms.vocabulary import INVALID, DataError, Key, TableName


def readable(batches: Iterable[pa.RecordBatch], table: TableName, side: str, key: Key) -> Iterator[pa.RecordBatch]:
    """The same batches. DataError for a row that cannot travel: a change could not say what it was before."""
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
                f"planned for rows that cannot be read. Fix: correct them in the {side}."
            )
        yield batch.select([name for name in batch.schema.names if name != INVALID])
