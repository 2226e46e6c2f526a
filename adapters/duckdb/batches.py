"""Batches of bounded rows and bytes."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Final

import pyarrow as pa

BATCH_ROWS: Final = 65_536
BATCH_BYTES: Final = 32 * 1024 * 1024  # wide rows come in smaller batches


def gathered(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
    """The same rows in fewer batches, of bounded rows and bytes."""
    waiting: list[pa.RecordBatch] = []
    rows = size = 0
    for batch in batches:
        if waiting and (rows + batch.num_rows > BATCH_ROWS or size + batch.nbytes > BATCH_BYTES):
            yield pa.concat_batches(waiting)
            waiting, rows, size = [], 0, 0
        waiting.append(batch)
        rows, size = rows + batch.num_rows, size + batch.nbytes
    if waiting:
        yield pa.concat_batches(waiting)
