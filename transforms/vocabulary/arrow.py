"""Arrow columns as whole arrays and as numpy masks: what every room does with them."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

Mask = npt.NDArray[np.bool_]
"""One truth value a row."""

Indices = npt.NDArray[np.int64]
"""Positions or numbers, one a row."""


def contiguous(column: pa.ChunkedArray | pa.Array) -> pa.Array:
    """The column as one array; no copy where it is one already."""
    if isinstance(column, pa.Array):
        return column
    if column.num_chunks == 1:
        return column.chunk(0)
    return column.combine_chunks() if column.num_chunks else pa.array([], column.type)


def as_mask(values: pa.Array | pa.ChunkedArray) -> Mask:
    """A boolean array as numpy, null read as false."""
    mask: Mask = pc.fill_null(contiguous(values), False).to_numpy(zero_copy_only=False)
    return mask


def nulled(values: pa.Array, bad: Mask) -> pa.Array:
    """The values with null where `bad` is true; the same array where it is true nowhere."""
    return pc.if_else(pa.array(bad), pa.scalar(None, values.type), values) if bad.any() else values
