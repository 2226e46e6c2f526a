"""Keys as whole tuples: codes, matching, duplicates, order, windows and partitions."""

from __future__ import annotations

from bisect import bisect_left
from typing import Any, Final

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms import expressions
from transforms.vocabulary import Key, KeyValue
from transforms.vocabulary.arrow import Indices, Mask, as_mask, contiguous


def null_keys(table: pa.Table, key: Key) -> Mask:
    """True where any column of the key is null."""
    mask = np.zeros(table.num_rows, dtype=bool)
    for name in key:
        if table.column(name).null_count:
            mask |= as_mask(pc.is_null(table.column(name)))
    return mask


def without_null_keys(table: pa.Table, key: Key) -> pa.Table:
    """The rows that have a whole key."""
    null = null_keys(table, key)
    return table.filter(pa.array(~null)) if null.any() else table


def codes(tables: list[pa.Table], key: Key) -> list[Indices]:
    """Number the distinct keys of several tables alike: equal numbers mean equal tuples.

    In: equal types of the key columns; a null equals a null, NaN equals NaN and -0.0 equals 0.0.
    Out: one array a table, numbers from 0 without gaps, in no particular order.
    """
    combined: Indices | None = None
    total = 1
    for name in key:
        stacked = contiguous(
            pa.chunked_array([c for t in tables for c in t.column(name).chunks], tables[0].schema.field(name).type)
        )
        if pa.types.is_floating(stacked.type):
            stacked = pc.add(stacked, pa.scalar(0.0, stacked.type))
        encoded = stacked.dictionary_encode("encode")
        numbers: Indices = encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64)
        size = max(len(encoded.dictionary), 1)
        if combined is None:
            combined, total = numbers, size
            continue
        if total * size >= 2**62:
            combined, total = _dense(combined)
        combined = combined * size + numbers
        total *= size
    assert combined is not None, "a key has at least one column"
    if len(key) > 1:
        combined, total = _dense(combined)
    ends = np.cumsum([t.num_rows for t in tables])[:-1]
    return list(np.split(combined, ends))


def _dense(numbers: Indices) -> tuple[Indices, int]:
    encoded = pa.array(numbers).dictionary_encode()
    return encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), len(encoded.dictionary)


def match(wanted: pa.Table, found: pa.Table, key: Key) -> Indices:
    """For each row of `wanted` the position of the row with the same key in `found`, -1 where there is none.

    In: unique keys without nulls on each side, equal types. Any order.
    Equal key columns are recognised as they are, a single ascending integer is searched, and all else is numbered; where one side
    is much smaller, only rows of the other that may match.
    """
    if wanted.num_rows == found.num_rows and all(wanted.column(name).equals(found.column(name)) for name in key):
        return np.arange(wanted.num_rows, dtype=np.int64)
    if not wanted.num_rows or not found.num_rows:
        return np.full(wanted.num_rows, -1, dtype=np.int64)
    if len(key) == 1 and pa.types.is_integer(wanted.schema.field(key[0]).type):
        left = contiguous(wanted.column(key[0])).to_numpy(zero_copy_only=False)
        right = contiguous(found.column(key[0])).to_numpy(zero_copy_only=False)
        if bool(np.all(right[1:] > right[:-1])):
            at: Indices = np.searchsorted(right, left).astype(np.int64)
            hit = right[np.minimum(at, len(right) - 1)] == left
            return np.where(hit, at, -1)
    if wanted.num_rows * FEWER < found.num_rows:
        likely = np.flatnonzero(_likely(found, wanted, key))
        place = _matched(wanted, found.select(list(key)).take(pa.array(likely)), key)
        return np.where(place < 0, -1, likely[place]) if len(likely) else place
    if found.num_rows * FEWER < wanted.num_rows:
        likely = np.flatnonzero(_likely(wanted, found, key))
        whole = np.full(wanted.num_rows, -1, dtype=np.int64)
        whole[likely] = _matched(wanted.select(list(key)).take(pa.array(likely)), found, key)
        return whole
    return _matched(wanted, found, key)


FEWER: Final = 8  # times as many rows, from where on looking for those of the smaller side pays


def _likely(many: pa.Table, few: pa.Table, key: Key) -> Mask:
    """Rows whose key may be among a few: each of its columns has a value that some of them have, too."""
    likely = np.ones(many.num_rows, dtype=bool)
    for name in key:
        if not pa.types.is_floating(many.schema.field(name).type):  # -0.0 is 0.0 there
            likely &= as_mask(pc.is_in(many.column(name), value_set=contiguous(few.column(name))))
    return likely


def _matched(wanted: pa.Table, found: pa.Table, key: Key) -> Indices:
    if not found.num_rows:
        return np.full(wanted.num_rows, -1, dtype=np.int64)
    wanted_codes, found_codes = codes([wanted, found], key)
    place = np.full(max(int(wanted_codes.max(initial=0)), int(found_codes.max())) + 1, -1, dtype=np.int64)
    place[found_codes] = np.arange(found.num_rows, dtype=np.int64)
    return place[wanted_codes]


def distinct(table: pa.Table) -> pa.Table:
    """Each row once, in no particular order. In: columns that can be grouped by; a null is equal to a null."""
    if table.num_columns == 1:
        return pa.table([contiguous(table.column(0)).unique()], schema=table.schema)
    return table.group_by(table.column_names).aggregate([])


def duplicates(table: pa.Table, key: Key) -> Mask:
    """True for every row whose key some other row has too. In: keys without nulls."""
    if table.num_rows < 2:
        return np.zeros(table.num_rows, dtype=bool)
    if len(key) == 1 and pa.types.is_integer(table.schema.field(key[0]).type):
        values = contiguous(table.column(key[0])).to_numpy(zero_copy_only=False)
        if bool(np.all(values[1:] > values[:-1])):
            return np.zeros(table.num_rows, dtype=bool)
    (numbers,) = codes([table], key)
    mask: Mask = np.bincount(numbers)[numbers] > 1
    return mask


def contained(table: pa.Table, other: pa.Table, key: Key) -> Mask:
    """True for every row of `table` whose key `other` has too. In: keys without nulls; duplicates are fine."""
    if len(key) == 1 and (numbers := _numbers(table.column(key[0]), other.column(key[0]))) is not None:
        found: Mask = np.isin(*numbers)
        return found
    left, right = codes([table.select(list(key)), other.select(list(key))], key)
    known = np.zeros(int(max(left.max(initial=0), right.max(initial=0))) + 1, dtype=bool)
    known[right] = True
    mask: Mask = known[left]
    return mask


def _numbers(left: pa.ChunkedArray, right: pa.ChunkedArray) -> tuple[Indices, Indices] | None:
    """Two columns of whole numbers of one type; None where they are something else."""
    if left.type != right.type or not pa.types.is_integer(left.type) or left.null_count or right.null_count:
        return None
    mine, theirs = (contiguous(each).to_numpy(zero_copy_only=False) for each in (left, right))
    return mine, theirs


def joined(left: pa.Table, right: pa.Table, key: Key) -> pa.Table:
    """Each row of `left` beside each row of `right` with the same key; what has none is left out.

    In: equal types of the key; rows with a null in it have none. Out: the columns of `left`, and those of `right` that it lacks.
    """
    left, right = without_null_keys(left, key), without_null_keys(right, key)
    mine, theirs = codes([left, right], key)
    order = np.argsort(theirs, kind="stable")
    first, behind = (np.searchsorted(theirs[order], mine, side=side) for side in ("left", "right"))
    count = behind - first
    starts = np.repeat(first - (np.cumsum(count) - count), count)
    made = left.take(pa.array(np.repeat(np.arange(len(mine)), count)))
    beside = right.take(pa.array(order[starts + np.arange(len(starts))]))
    for field in right.schema:
        if field.name not in left.column_names:
            made = made.append_column(field, beside.column(field.name))
    return made


def ascending(table: pa.Table, key: Key) -> pa.Table:
    """The table in ascending key order: text by its UTF-8 bytes, tuples column by column, nulls first."""
    order = pc.sort_indices(table, sort_keys=[(name, "ascending", "at_start") for name in key])
    return table.take(order)


def position(table: pa.Table, key: Key, value: KeyValue) -> int:
    """How many rows of an ascending table without null keys come before `value`."""
    columns = [table.column(name) for name in key]

    def at(row: int) -> KeyValue:
        return tuple(column[row].as_py() for column in columns)

    return bisect_left(range(table.num_rows), value, key=at)


def key_at(table: pa.Table, key: Key, row: int) -> KeyValue:
    return tuple(table.column(name)[row].as_py() for name in key)


def named_partition(parts: int) -> str:
    """What names the parts that `partition` makes: rows that are kept by it lie elsewhere under another name."""
    return f"duckdb {duckdb.__version__} % {parts}"


def partition(table: pa.Table, key: Key, parts: int) -> Indices:
    """A part number from 0 to `parts` - 1 for each row; equal keys of equal types share a part. Nulls are part 0."""
    if parts == 1 or not table.num_rows:
        return np.zeros(table.num_rows, dtype=np.int64)
    columns: dict[str, Any] = {}
    for name in key:
        column = table.column(name)
        # -0.0 and 0.0 are one key and must not land in two parts
        columns[name] = pc.add(column, pa.scalar(0.0, column.type)) if pa.types.is_floating(column.type) else column
    names = ", ".join(expressions.quoted(name) for name in key)
    hashed = expressions.select(pa.table(columns), {"part": f"(hash({names}) % {int(parts)})::BIGINT"})
    numbers: Indices = contiguous(hashed.column(0)).to_numpy(zero_copy_only=False).astype(np.int64)
    return np.where(null_keys(table, key), 0, numbers)
