"""Keys that a statement carries along: arrays of text, which the server unnests and casts.

Nothing is made on the server for them. A read-only transaction, a standby and a user who may only SELECT take no temporary
table; and the planner knows how long an array is, so that it takes the index of the key for few, and a hash of them for many.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import pairwise
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from adapters.postgres.types import Travel
from adapters.sql.keys import among
from adapters.sql.statements import Expression, Named
from transforms.vocabulary import DATE_INFINITY, TIMESTAMP_INFINITY

BYTES: Final = 16 * 2**20  # of keys in one statement; the server takes none of a gigabyte
DAY: Final = 86_400_000_000  # in microseconds
JULIAN_1970: Final = 2_440_588  # a day's number is understood in every year, before the first one too


def with_keys(travels: Sequence[Travel], keys: pa.Table) -> Iterator[Expression]:
    """The clauses that keep the rows with one of the keys: one after the other, they give each row once.

    In: a column of `keys` for each of `travels`, in its travel type, no key twice. Several clauses where the keys are long, unless
    the engine may take two keys for equal: a row with both would come twice.
    """
    texts = pa.table(
        [_texts(keys.column(i).combine_chunks(), each) for i, each in enumerate(travels)], names=_names(keys)
    )
    whole = texts.drop_null()
    for part in _parts(whole) if all(each.tells_apart for each in travels) else [whole]:
        yield _clause(travels, part)


def _parts(texts: pa.Table) -> Iterator[pa.Table]:
    """The keys, as many at a time as a statement carries well: one at least."""
    sizes = np.zeros(texts.num_rows, np.int64)
    for each in texts.columns:
        sizes += pc.binary_length(each).to_numpy()
    cuts = np.flatnonzero(np.diff(np.cumsum(sizes) // BYTES)) + 1
    for start, stop in pairwise([0, *cuts.tolist(), texts.num_rows]):
        yield texts.slice(start, stop - start)


def _clause(travels: Sequence[Travel], whole: pa.Table) -> Expression:
    arrays = [
        sa.cast(sa.literal(_array(column.combine_chunks()), sa.String()), Named("text[]")) for column in whole.columns
    ]
    # of several arrays unnest is a form of its own, which no schema goes before
    unnest = sa.func.unnest if len(arrays) > 1 else sa.func.pg_catalog.unnest
    carried = unnest(*arrays).table_valued(*whole.column_names, name="syncline keys").render_derived()
    sides = [each.keyed(carried.c[name]) for each, name in zip(travels, whole.column_names, strict=True)]
    return among([own for own, _ in sides], sa.select(*(key for _, key in sides)))


def _names(keys: pa.Table) -> list[str]:
    return [f"k{i}" for i in range(keys.num_columns)]


def _texts(values: pa.Array, travel: Travel) -> pa.Array:
    """The values as `Travel.keyed` takes them; null for one that no row has."""
    kind = values.type
    if pa.types.is_date32(kind):
        return _endless(_days(values.view(pa.int32()).cast(pa.int64())), values.view(pa.int32()), DATE_INFINITY)
    if pa.types.is_timestamp(kind):
        ticks = values.view(pa.int64())
        days = _floor_days(ticks)
        clock = pc.subtract(ticks, pc.multiply(days, DAY)).cast(pa.time64("us")).cast(pa.string())
        zone = "" if kind.tz is None else "+00"
        return _endless(pc.binary_join_element_wise(_days(days), clock, " "), ticks, TIMESTAMP_INFINITY, zone)
    if pa.types.is_time64(kind):
        last = pc.equal(values.view(pa.int64()), DAY)
        return pc.if_else(last, "24:00:00", pc.if_else(last, None, values).cast(pa.string()))
    if pa.types.is_binary(kind):
        return pa.array([None if value is None else "\\x" + value.hex() for value in values.to_pylist()], pa.string())
    texts = values.cast(pa.string())
    if travel.shape.labels is not None:  # no other text is one of its type to PostgreSQL
        texts = pc.if_else(pc.is_in(texts, value_set=pa.array(travel.shape.labels, pa.string())), texts, None)
    if travel.carried_as_bytes:
        return _texts(texts.cast(pa.binary()), travel)
    return pc.if_else(pc.match_substring(texts, "\0"), None, texts)


def _floor_days(ticks: pa.Array) -> pa.Array:
    days = pc.divide(ticks, DAY)  # towards zero
    return pc.if_else(pc.less(ticks, pc.multiply(days, DAY)), pc.subtract(days, 1), days)


def _days(since_1970: pa.Array) -> pa.Array:
    return pc.binary_join_element_wise("J", pc.add(since_1970, JULIAN_1970).cast(pa.string()), "")


def _endless(texts: pa.Array, numbers: pa.Array, infinity: int, suffix: str = "") -> pa.Array:
    ended = pc.binary_join_element_wise(texts, suffix, "")
    late = pc.if_else(pc.equal(numbers, pa.scalar(infinity, numbers.type)), "infinity", ended)
    return pc.if_else(pc.equal(numbers, pa.scalar(-infinity, numbers.type)), "-infinity", late)


def _array(texts: pa.Array) -> str:
    """An array of text as PostgreSQL writes it."""
    escaped = pc.replace_substring(pc.replace_substring(texts, "\\", "\\\\"), '"', '\\"')
    items = pc.binary_join_element_wise('"', escaped, '"', "")
    joined = pc.binary_join(pa.ListArray.from_arrays(pa.array([0, len(items)], pa.int32()), items), ",")
    return f"{{{joined[0].as_py()}}}"
