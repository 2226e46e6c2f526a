"""Which rows break a rule: masks over Arrow columns, with Great Expectations' semantics for pandas.

Every function takes the rows first and returns True for each row that Great Expectations would call unexpected.
A value is missing where it is null; in a float column NaN is null too. The arguments were prepared by `rules`.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from datetime import datetime
from itertools import combinations
from typing import Any, Literal

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms import keys
from transforms.mapping.floats import nearest
from transforms.vocabulary.arrow import Indices, Mask, as_mask, contiguous

Ignore = Literal["all", "any", "none"]
"""Which rows a rule over several columns skips: those with all, any or no values missing."""

Relation = Literal["equal", "greater", "greater_equal"]

_ALWAYS_PYTHON = re.compile(r"\(\?(?:=|!|<=|<!|P=)")


def missing(column: pa.Array) -> Mask:
    """Where a value is null, or NaN: pandas reads NaN in a column of floats as null, and so does Great Expectations."""
    return as_mask(pc.is_null(column, nan_is_null=True))


def absent(rows: pa.Table, column: str) -> Mask:
    return missing(contiguous(rows.column(column)))


def present(rows: pa.Table, column: str) -> Mask:
    return ~absent(rows, column)


def outside(rows: pa.Table, column: str, least: Any, most: Any) -> Mask:
    """Not from `least` to `most`, both inclusive and among the `numbers` of the type; None is unbounded."""
    values = contiguous(rows.column(column))
    found = numbers(values)
    inside = np.ones(len(values), dtype=bool)
    if least is not None:
        inside &= found >= least
    if most is not None:
        inside &= found <= most
    bad: Mask = ~inside & ~missing(values)
    return bad


def numbers(values: pa.Array) -> npt.NDArray[Any]:
    """Integers as they are, floats and decimals as doubles, dates as days, timestamps as microseconds; 0 where null."""
    kind = values.type
    if pa.types.is_decimal(kind):
        values = nearest(values, pa.float64())
    elif pa.types.is_floating(kind):
        values = values.cast(pa.float64())
    elif pa.types.is_date32(kind):
        values = values.view(pa.int32())
    elif pa.types.is_timestamp(kind):
        values = values.view(pa.int64())
    plain: npt.NDArray[Any] = pc.fill_null(values, pa.scalar(0, values.type)).to_numpy(zero_copy_only=False)
    return plain


def listed(rows: pa.Table, column: str, values: pa.Array, wanted: bool) -> Mask:
    """In `values` where that is not `wanted`. In: `values` of the column's type, or doubles for a decimal column."""
    found = contiguous(rows.column(column))
    said = as_mask(pc.is_in(_plain(found, values.type), value_set=values))
    bad: Mask = (said != wanted) & ~missing(found)
    return bad


def _plain(values: pa.Array, kind: pa.DataType) -> pa.Array:
    values = values if values.type == kind else values.cast(kind)
    return pc.add(values, pa.scalar(0.0, kind)) if pa.types.is_floating(kind) else values  # -0.0 equals 0.0


def ill_sized(rows: pa.Table, column: str, least: int | None, most: int | None) -> Mask:
    """Not from `least` to `most` characters long, both inclusive."""
    values = as_texts(contiguous(rows.column(column)))
    lengths = pa.table({"length": pc.utf8_length(values).cast(pa.int64())})
    return outside(lengths, "length", least, most)


def as_texts(values: pa.Array) -> pa.Array:
    return values.cast(pa.string()) if pa.types.is_integer(values.type) else values


def matching(rows: pa.Table, column: str, patterns: tuple[str, ...], together: Literal["any", "all"]) -> Mask:
    """Where any or all of the patterns are found: what rules that forbid them name."""
    found = contiguous(rows.column(column))
    values = as_texts(found)
    masks = [_found(values, pattern) for pattern in patterns]
    hit: Mask = np.logical_or.reduce(masks) if together == "any" else np.logical_and.reduce(masks)
    return hit & ~missing(found)


def unmatched(rows: pa.Table, column: str, patterns: tuple[str, ...], together: Literal["any", "all"]) -> Mask:
    return ~matching(rows, column, patterns, together) & present(rows, column)


def _found(values: pa.Array, pattern: str) -> Mask:
    """Where the pattern is found, by the engine that pandas would take: RE2 and `re` fold case differently."""
    escapes = escaped(pattern)
    python = always_python(pattern)
    python = python or (not escapes.isdisjoint("wWdDb") and not _all(pc.string_is_ascii(values)))
    python = python or ("$" in pattern and not _all(pc.invert(pc.match_substring(values, "\n"))))
    if python:
        search = re.compile(pattern).search
        return _each(values, lambda text: search(text) is not None)
    return as_mask(pc.match_substring_regex(values, as_re2(pattern)))


def escaped(pattern: str) -> set[str]:
    """The characters that stand behind a backslash."""
    return set(re.findall(r"\\(.)", pattern, re.DOTALL))


def always_python(pattern: str) -> bool:
    r"""Lookaround, backreferences, \s and \u are for `re`, whatever the values are."""
    return bool(_ALWAYS_PYTHON.search(pattern)) or not escaped(pattern).isdisjoint("sSuUN123456789")


def engines_agree(pattern: str) -> bool:
    """Whether `matching` is known to search for what pandas would search for.

    Errors: re.error where neither engine takes the pattern.
    """
    try:
        pc.match_substring_regex(pa.array([""]), as_re2(pattern))
        by_re2 = True
    except pa.ArrowInvalid:
        by_re2 = False
    try:
        re.compile(pattern)
    except (re.error, OverflowError, RecursionError) as error:
        if by_re2:
            return False
        raise error if isinstance(error, re.error) else re.error(str(error), pattern) from error
    # [[:alpha:]] and {,3} compile in both and mean two things; \B holds in an empty text for one of them
    odd = "[:" in pattern or "{," in pattern or "B" in escaped(pattern)
    return not odd and (by_re2 or always_python(pattern))


def as_re2(pattern: str) -> str:
    return re.sub(r"(?<!\\)((?:\\\\)*)\\Z", r"\1\\z", pattern)


def _all(values: pa.Array) -> bool:
    return bool(pc.all(values, min_count=0).as_py())


def _each(values: pa.Array, holds: Callable[[str], bool]) -> Mask:
    """What `holds` says of each value, asked once for each distinct one; false where null."""
    encoded = values.dictionary_encode()
    answers = np.array([*(holds(value) for value in encoded.dictionary.to_pylist()), False], dtype=bool)
    at = pc.fill_null(encoded.indices, len(answers) - 1).to_numpy(zero_copy_only=False)
    mask: Mask = answers[at]
    return mask


def unparsed(rows: pa.Table, column: str, form: str) -> Mask:
    """Not a time that `strptime` reads by this format."""

    def holds(text: str) -> bool:
        try:
            datetime.strptime(text, form)
        except ValueError:
            return False
        return True

    values = contiguous(rows.column(column))
    return ~_each(values, holds) & ~missing(values)


def not_json(rows: pa.Table, column: str) -> Mask:
    def holds(text: str) -> bool:
        try:
            json.loads(text)
        except (ValueError, RecursionError):
            return False
        return True

    values = contiguous(rows.column(column))
    return ~_each(values, holds) & ~missing(values)


def disordered(rows: pa.Table, column: str, down: bool, strictly: bool) -> Mask:
    """Below (for `down`: above) the value before it in these rows, or equal to it where `strictly`."""
    values = contiguous(rows.column(column))
    valid = np.flatnonzero(~missing(values))
    kept = values.take(pa.array(valid))
    bad = np.zeros(len(values), dtype=bool)
    if len(kept) < 2:
        return bad
    if pa.types.is_decimal(kept.type):
        before, after = kept.slice(0, len(kept) - 1), kept.slice(1)
        low, high = (after, before) if down else (before, after)
        bad[valid[1:]] = as_mask(pc.greater_equal(low, high) if strictly else pc.greater(low, high))
        return bad
    with np.errstate(over="ignore", invalid="ignore"):
        step = np.diff(numbers(kept))  # integers wrap, and inf - inf passes, as in pandas
    if down:
        bad[valid[1:]] = step >= 0 if strictly else step > 0
    else:
        bad[valid[1:]] = step <= 0 if strictly else step < 0
    return bad


def duplicated(rows: pa.Table, column: str) -> Mask:
    """Where another of these rows has the same value. Missing ones are none."""
    values = contiguous(rows.column(column))
    there = ~missing(values)
    kept = values if there.all() else values.filter(pa.array(there))
    bad = np.zeros(len(values), dtype=bool)
    bad[there] = keys.duplicates(pa.table({column: kept}), (column,))
    return bad


def repeated(rows: pa.Table, columns: tuple[str, ...], ignore: Ignore) -> Mask:
    """Where another of these rows has the same values. Missing equals missing."""
    kept = np.flatnonzero(~_ignored(rows, columns, ignore))
    codes = [pa.array(_codes(contiguous(rows.column(name)))[kept]) for name in columns]
    numbered = pa.table(codes, names=[str(place) for place in range(len(columns))])
    bad = np.zeros(rows.num_rows, dtype=bool)
    bad[kept] = keys.duplicates(numbered, tuple(numbered.column_names))
    return bad


def _codes(values: pa.Array) -> Indices:
    """A number for each distinct value, -1 where it is missing."""
    encoded = _plain(values, values.type).dictionary_encode()
    codes: Indices = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False).astype(np.int64)
    return np.where(missing(values), -1, codes)


def _ignored(rows: pa.Table, columns: tuple[str, ...], ignore: Ignore) -> Mask:
    if ignore == "none":
        return np.zeros(rows.num_rows, dtype=bool)
    masks = [absent(rows, name) for name in columns]
    mask: Mask = np.logical_and.reduce(masks) if ignore == "all" else np.logical_or.reduce(masks)
    return mask


def alike_within(rows: pa.Table, columns: tuple[str, ...], ignore: Ignore) -> Mask:
    """Where two of the columns hold the same value, or are both missing."""
    bad = np.zeros(rows.num_rows, dtype=bool)
    for left, right in combinations(columns, 2):
        bad |= _same(rows, left, right)
    return bad & ~_ignored(rows, columns, ignore)


def different_within(rows: pa.Table, columns: tuple[str, ...], ignore: Ignore) -> Mask:
    """Where a column holds another value than the first one. Missing equals missing."""
    bad = np.zeros(rows.num_rows, dtype=bool)
    for name in columns[1:]:
        bad |= ~_same(rows, columns[0], name)
    return bad & ~_ignored(rows, columns, ignore)


def _same(rows: pa.Table, left: str, right: str) -> Mask:
    equal = as_mask(pc.equal(rows.column(left), rows.column(right)))
    return equal | (absent(rows, left) & absent(rows, right))


def unlike(rows: pa.Table, left: str, right: str, relation: Relation, ignore: Ignore) -> Mask:
    """Where `left` is not in that relation to `right`; a missing value is in none."""
    holds = as_mask(pc.call_function(relation, [rows.column(left), rows.column(right)]))
    return ~holds & ~_ignored(rows, (left, right), ignore)


def unpaired(
    rows: pa.Table, left: str, right: str, values: tuple[pa.Array, pa.Array], pairs: Indices, ignore: Ignore
) -> Mask:
    """Where the pair is none of `pairs`: places in `values` of either side as place * width + place, see `places`."""
    first, second = (places(contiguous(rows.column(n)), v) for n, v in zip((left, right), values, strict=True))
    known = np.isin(first * width(values[1]) + second, pairs) & (first >= 0) & (second >= 0)
    return ~known & ~_ignored(rows, (left, right), ignore)


def width(values: pa.Array) -> int:
    return len(values) + 2


def places(column: pa.Array, values: pa.Array) -> Indices:
    """Where each value stands in `values`, their number where it is missing, -1 where it is not there."""
    at = pc.fill_null(pc.index_in(_plain(column, values.type), value_set=values), -1)
    found: Indices = at.to_numpy(zero_copy_only=False).astype(np.int64)
    return np.where(missing(column), len(values), found)


def sum_differs(rows: pa.Table, columns: tuple[str, ...], total: float, ignore: Ignore) -> Mask:
    """Where the columns do not add up to `total`; with a missing value they do not. Integers wrap at 64 bits."""
    arrays = [contiguous(rows.column(name)) for name in columns]
    gone = np.logical_or.reduce([missing(each) for each in arrays])
    if pa.types.is_decimal(arrays[0].type):
        added = arrays[0]
        for each in arrays[1:]:
            added = pc.add(added, each)
        equal = as_mask(pc.equal(nearest(added, pa.float64()), total))
    else:
        kind = np.float64 if pa.types.is_floating(arrays[0].type) else np.int64
        with np.errstate(over="ignore", invalid="ignore"):
            equal = np.add.reduce([numbers(each).astype(kind) for each in arrays]) == total
    bad: Mask = (~equal | gone) & ~_ignored(rows, columns, ignore)
    return bad
