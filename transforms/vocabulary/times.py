"""Dates, times and spans of time as the whole numbers that they are."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.compute as pc

from transforms.vocabulary.arrow import contiguous
from transforms.vocabulary.names import DATE_INFINITY, TIMESTAMP_INFINITY


def as_numbers(values: pa.Array) -> pa.Array:
    """Days, microseconds or whatever unit the type has; other values as they are."""
    if pa.types.is_date32(values.type) or pa.types.is_time32(values.type):
        return values.view(pa.int32())
    return values.view(pa.int64()) if pa.types.is_temporal(values.type) else values


def infinity_of(kind: pa.DataType) -> int:
    """The number that stands for infinity among dates or timestamps; its negative is minus infinity."""
    return DATE_INFINITY if pa.types.is_date32(kind) else TIMESTAMP_INFINITY


def infinite(values: pa.Array) -> pa.Array:
    """Where a date or timestamp is infinite."""
    numbers, limit = as_numbers(values), infinity_of(values.type)
    return pc.or_(pc.equal(numbers, limit), pc.equal(numbers, -limit))


def finer(values: pa.Array | pa.ChunkedArray, digits: int) -> pa.Array:
    """Where a time in microseconds has more than `digits` digits behind the second; infinity has none."""
    whole = contiguous(values)
    numbers, step = as_numbers(whole), 10 ** (6 - digits)
    mask = pc.not_equal(pc.multiply(pc.divide(numbers, step), step), numbers)
    return pc.and_(mask, pc.invert(infinite(whole))) if pa.types.is_timestamp(whole.type) else mask
