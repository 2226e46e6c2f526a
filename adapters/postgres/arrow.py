"""Arrow values at PostgreSQL's door: what ADBC hands over becomes a travel type, and back to what binary COPY takes."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import numpy as np
import pgpq
import pyarrow as pa
import pyarrow.compute as pc

from adapters.postgres.encodings import UNCHECKED, decoded, undecoded
from adapters.postgres.limits import FIRST_DATE, FIRST_TIMESTAMP
from adapters.postgres.types import Travel
from transforms.vocabulary import DATE_INFINITY, TIMESTAMP_INFINITY, unread
from transforms.vocabulary.arrow import contiguous

# Days and microseconds from Arrow's epoch (1970) to PostgreSQL's (2000).
EPOCH_DAYS: Final = 10_957
EPOCH_MICROSECONDS: Final = EPOCH_DAYS * 86_400_000_000

# ADBC adds the epoch to PostgreSQL's infinities (the largest and smallest integers) and wraps around silently, as it does
# with timestamps behind Arrow's last one: they arrive before PostgreSQL's first.
WRAPPED_TIMESTAMPS: Final = (-9_222_425_352_054_775_809, -9_222_425_352_054_775_808)  # +infinity, -infinity
WRAPPED_DATES: Final = (-2_147_472_692, -2_147_472_691)

LAST_TIMESTAMP: Final = "294247-01-10 04:00:54.775806"  # that Arrow's microseconds hold

ROWS: Final = 65_536  # in one batch: large enough for Arrow's kernels, small enough for a cache
COPY_ROWS: Final = (
    8_192  # at a time into a COPY: encoded in a cache, and while other connections still have something to do
)
BUFFER_BYTES: Final = 32 * 2**20  # of one piece of a COPY


def arrived(array: pa.Array, travel: Travel) -> pa.Array:
    """What was read of a column, in its travel type; null for a timestamp or text that Arrow cannot hold (see `lost`)."""
    wanted = travel.shape.type
    if travel.encoding == UNCHECKED and pa.types.is_string(wanted):
        return decoded(array)
    if travel.reading == "scaled":
        wide = array.cast(pa.decimal128(19, 0))  # the same integers, of which the scale makes the number
        return pa.Array.from_buffers(wanted, len(wide), wide.buffers(), wide.null_count, wide.offset)
    if travel.reading == "digits":
        return array.cast(wanted)
    if pa.types.is_timestamp(wanted):
        return _unwrapped(array, pa.int64(), FIRST_TIMESTAMP, WRAPPED_TIMESTAMPS, TIMESTAMP_INFINITY)
    if pa.types.is_date32(wanted):
        return _unwrapped(array, pa.int32(), FIRST_DATE, WRAPPED_DATES, DATE_INFINITY)
    return array if array.type == wanted else array.cast(wanted)


def _unwrapped(array: pa.Array, integers: pa.DataType, first: int, wrapped: tuple[int, int], infinity: int) -> pa.Array:
    numbers = array.view(integers)
    extremes = pc.min_max(numbers)
    low, high = extremes["min"].as_py(), extremes["max"].as_py()
    if low is None or (low >= first and high < infinity):
        return array
    plus, minus = (pc.equal(numbers, pa.scalar(each, integers)) for each in wrapped)
    beyond = pc.or_(pc.less(numbers, first), pc.greater_equal(numbers, infinity))
    kept = pc.if_else(beyond, pa.scalar(None, integers), numbers)
    limits = pa.scalar(infinity, integers), pa.scalar(-infinity, integers)
    return pc.if_else(plus, limits[0], pc.if_else(minus, limits[1], kept)).view(array.type)


def lost(read: Sequence[pa.Array], arrays: Sequence[pa.Array], travels: Sequence[Travel]) -> pa.Array | None:
    """Why rows cannot travel, null where they can; None where all can. In: what was read, and what `arrived` of it."""
    reasons = None
    for before, after, each in zip(read, arrays, travels, strict=True):
        if before.null_count == after.null_count:
            continue
        gone = pc.and_(pc.is_valid(before), pc.is_null(after))
        if pa.types.is_string(each.shape.type):
            told = undecoded(before, each.name)
        else:
            reason = unread("beyond_timestamps", each.name, most=LAST_TIMESTAMP)
            told = pc.if_else(gone, reason, pa.scalar(None, pa.string()))
        reasons = told if reasons is None else pc.coalesce(reasons, told)
    return reasons


def wire(array: pa.ChunkedArray, travel: Travel) -> pa.Array | None:
    """A column as the binary COPY of its own type takes it; None where the server has to read its text.

    Infinite dates leave as the integers of PostgreSQL's wire format, because pgpq moves the epoch with a check.
    """
    whole = contiguous(array)
    if travel.kind == "uuid":
        return _uuid_bytes(whole)
    if travel.kind == "jsonb":
        return pc.binary_join_element_wise("\x01", whole, "")  # the version of the format, then the text
    if pa.types.is_timestamp(whole.type):
        return _infinite(whole, pa.int64(), TIMESTAMP_INFINITY, -(2**63), EPOCH_MICROSECONDS)
    if pa.types.is_date32(whole.type):
        return _infinite(whole, pa.int32(), DATE_INFINITY, -(2**31), EPOCH_DAYS)
    return whole if travel.wired else None


def _infinite(array: pa.Array, integers: pa.DataType, infinity: int, lowest: int, epoch: int) -> pa.Array:
    numbers = array.view(integers)
    extremes = pc.min_max(numbers)
    low, high = extremes["min"].as_py(), extremes["max"].as_py()
    if low is None or (low > -infinity and high < infinity):
        return array
    plus, minus = pc.equal(numbers, pa.scalar(infinity, integers)), pc.equal(numbers, pa.scalar(-infinity, integers))
    finite = pc.subtract(pc.if_else(pc.or_(plus, minus), pa.scalar(0, integers), numbers), pa.scalar(epoch, integers))
    limits = pa.scalar(infinity, integers), pa.scalar(lowest, integers)
    return pc.if_else(plus, limits[0], pc.if_else(minus, limits[1], finite))


_DIGITS: Final = np.full(256, 255, dtype=np.uint8)
for _place, _digit in enumerate(b"0123456789abcdef"):
    _DIGITS[_digit] = _place
_HEX_PLACES: Final = [place for place in range(36) if place not in (8, 13, 18, 23)]


def _uuid_bytes(array: pa.Array) -> pa.Array | None:
    """UUIDs in their canonical text as 16 bytes each; None where one is written in another way."""
    known = pc.fill_null(array, "00000000-0000-0000-0000-000000000000")
    lengths = pc.min_max(pc.binary_length(known))
    if len(known) and (lengths["min"].as_py(), lengths["max"].as_py()) != (36, 36):
        return None
    _, offsets, data = known.buffers()
    if len(known) == 0 or data is None:
        return pa.nulls(len(known), pa.binary(16))
    start = int(np.frombuffer(offsets, np.int32)[known.offset])  # nulls before a slice take no room
    letters = np.frombuffer(data, dtype=np.uint8)[start : start + len(known) * 36].reshape(-1, 36)
    digits = _DIGITS[letters[:, _HEX_PLACES]]
    dashes = letters[:, [8, 13, 18, 23]]
    if (digits == 255).any() or (dashes != ord("-")).any():
        return None
    packed = np.ascontiguousarray(digits[:, 0::2] << 4 | digits[:, 1::2])
    whole = pa.Array.from_buffers(pa.binary(16), len(known), [None, pa.py_buffer(packed)])
    return pc.if_else(pc.is_valid(array), whole, pa.scalar(None, pa.binary(16)))


def copy_data(rows: pa.Table) -> Any:
    """Yield the buffers of a binary COPY of `rows`, a batch at a time."""
    encoder = pgpq.ArrowToPostgresBinaryEncoder(rows.schema)
    yield encoder.write_header()
    wide = BUFFER_BYTES * rows.num_rows // max(1, rows.nbytes)  # fewer rows at a time where they are long
    for batch in rows.to_batches(max_chunksize=max(1, min(COPY_ROWS, wide))):
        yield encoder.write_batch(batch)
    yield encoder.finish()


def found_values(rows: Sequence[Sequence[Any]], travels: Sequence[Travel]) -> list[pa.Array]:
    """Rows of `found_expression`s, fetched as Python values, as arrays of the travel types."""
    columns = list(zip(*rows, strict=True)) if rows else [() for _ in travels]
    arrays = []
    for values, each in zip(columns, travels, strict=True):
        wanted = each.shape.type
        if pa.types.is_date32(wanted):
            arrays.append(pa.array(values, pa.int32()).view(wanted))
        elif pa.types.is_timestamp(wanted) or pa.types.is_time64(wanted):
            arrays.append(pa.array(values, pa.int64()).view(wanted))
        elif pa.types.is_decimal(wanted):
            arrays.append(pa.array(values, pa.string()).cast(wanted))
        else:
            arrays.append(pa.array(values, wanted))
    return arrays
