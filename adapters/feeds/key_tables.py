"""Tables of keys as feeds gather them."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

FEW: Final = 100_000  # rows for which threads cost more than they bring


def distinct(tables: Sequence[pa.Table]) -> pa.Table:
    """The rows of tables of one schema, each once, in any order."""
    whole = pa.concat_tables(tables)
    found = whole.group_by(whole.column_names, use_threads=whole.num_rows > FEW).aggregate([])
    return found.select(whole.column_names)


def cut_out(
    wire: npt.NDArray[np.uint8],
    starts: npt.NDArray[np.int64],
    ends: npt.NDArray[np.int64],
    null: npt.NDArray[np.bool_],
) -> pa.Array:
    """Values that stand in bytes, in ascending order, as a binary array: they and what lies between them alternate."""
    count = len(starts)
    if not count:
        return pa.nulls(0, pa.binary())
    bounds = np.empty(2 * count + 1, np.int32)
    bounds[0:-1:2], bounds[1:-1:2], bounds[-1] = starts, ends, ends[-1]
    every = pa.Array.from_buffers(pa.binary(), 2 * count, [None, pa.py_buffer(bounds), pa.py_buffer(wire)])
    return pc.take(every, pa.array(np.arange(0, 2 * count, 2, dtype=np.int32), mask=null), boundscheck=False)
