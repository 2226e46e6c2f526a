"""Compare the rows of a window of two sides: which are the same, which differ in which columns, and which are on one side alone."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms import expressions
from transforms.comparing.columns import WHERE, Column, Columns, Where, anything_bad, in_common
from transforms.comparing.pairs import FREE, Doubles, Pairs, paired
from transforms.keys import null_keys
from transforms.vocabulary import Meaning
from transforms.vocabulary.arrow import Indices, Mask, contiguous
from transforms.vocabulary.texts import as_text
from transforms.vocabulary.values import unequal

KINDS: Final = ("only_left", "different", "only_right")
"""What becomes of rows that are not the same, in the order in which rows of one key are named."""


@dataclass(frozen=True, slots=True)
class SideCounts:
    """Of one side: its rows; those with a null in the key; the keys that several rows have; rows whose key is no value of the other
    side's type, so that no row there can have it."""

    rows: int = 0
    null_keys: int = 0
    double_keys: int = 0
    double_rows: int = 0
    foreign_keys: int = 0

    def __add__(self, other: SideCounts) -> SideCounts:
        return SideCounts(
            self.rows + other.rows,
            self.null_keys + other.null_keys,
            self.double_keys + other.double_keys,
            self.double_rows + other.double_rows,
            self.foreign_keys + other.foreign_keys,
        )


@dataclass(frozen=True, slots=True)
class Compared:
    """What comparing a window found. `left.rows == same + different + only_left`, and so on the right.

    `differing`: in how many pairs of rows each column differs. `rows` names rows that are not the same, as `shown_schema` says.
    """

    left: SideCounts = SideCounts()
    right: SideCounts = SideCounts()
    same: int = 0
    different: int = 0
    only_left: int = 0
    only_right: int = 0
    differing: Mapping[str, int] = field(default_factory=dict)
    rows: pa.Table | None = None

    def __add__(self, other: Compared) -> Compared:
        """Both windows together; without the rows."""
        return Compared(
            self.left + other.left,
            self.right + other.right,
            self.same + other.same,
            self.different + other.different,
            self.only_left + other.only_left,
            self.only_right + other.only_right,
            dict(Counter(self.differing) + Counter(other.differing)),
        )


_KIND: Final = "syncline:kind"

Meanings = Mapping[Where, Mapping[str, Meaning]]
"""What texts stand for, by side and column."""


@dataclass(frozen=True, slots=True)
class _Side:
    """One side of a window: its rows as they are, those whose key can be compared, and their keys in the common types."""

    where: Where
    rows: pa.Table
    known: Indices
    keys: pa.Table
    foreign: Indices
    meanings: Mapping[str, Meaning]

    def values(self, column: Column, at: Indices | None, *, spelled: bool = False) -> tuple[pa.Array, Mask | None]:
        """A column in its common type, of the rows at some positions among those that are known, or of all."""
        name = column.on(self.where)
        found = self.rows.column(name)
        if at is not None:
            found = found.take(pa.array(self.known[at]))
        elif len(self.known) != self.rows.num_rows:
            found = found.take(pa.array(self.known))
        return in_common(contiguous(found), self.meanings.get(name, "plain"), column, spelled=spelled)


def common_keys(
    rows: pa.Table, where: Where, columns: Columns, meanings: Mapping[str, Meaning]
) -> tuple[pa.Table, Mask]:
    """The keys of rows of a side in the types that both sides share, by the names of the left one, and which rows have none there."""
    arrays, masks = [], []
    for column in columns.key:
        name = column.on(where)
        values, bad = in_common(contiguous(rows.column(name)), meanings.get(name, "plain"), column, spelled=True)
        arrays.append(values)
        masks.append(bad)
    return pa.table(arrays, names=[column.name for column in columns.key]), anything_bad(masks, rows.num_rows)


def compare(left: pa.Table, right: pa.Table, columns: Columns, meanings: Meanings, most: int | None = None) -> Compared:
    """Compare two windows that hold all rows of their keys.

    In: the columns of `columns` by their names on each side, in the types they travel in; keys need not be unique, nor whole.
    Out: counts, and the first `most` rows that are not the same, all where None, by key.
    Memory: both windows, and the rows that are named as texts.
    """
    one, two = (_side(rows, where, columns, meanings[where]) for rows, where in zip((left, right), WHERE, strict=True))

    def spelled(at: Indices, beside: Indices) -> tuple[pa.Table, pa.Table]:
        return _spelled(one, columns, at), _spelled(two, columns, beside)

    pairs = paired(one.keys, two.keys, spelled)
    masks = dict(_differing(one, two, pairs, columns))
    changed = anything_bad(list(masks.values()), len(pairs.left))
    different = int(changed.sum())
    shown = None
    if most != 0 and (different or len(pairs.left) < max(left.num_rows, right.num_rows)):
        shown = _shown(one, two, pairs, columns, masks, changed, most)
    return Compared(
        _counts(one, pairs.doubles_left),
        _counts(two, pairs.doubles_right),
        len(pairs.left) - different,
        different,
        left.num_rows - len(pairs.left),
        right.num_rows - len(pairs.right),
        {name: int(mask.sum()) for name, mask in masks.items()},
        shown,
    )


def _side(rows: pa.Table, where: Where, columns: Columns, meanings: Mapping[str, Meaning]) -> _Side:
    keys, bad = common_keys(rows, where, columns, meanings)
    if not bad.any():
        none = np.zeros(0, dtype=np.int64)
        return _Side(where, rows, np.arange(rows.num_rows, dtype=np.int64), keys, none, meanings)
    known = np.flatnonzero(~bad)
    return _Side(where, rows, known, keys.take(pa.array(known)), np.flatnonzero(bad), meanings)


def _counts(side: _Side, doubles: Doubles) -> SideCounts:
    null = int(null_keys(side.keys, tuple(side.keys.column_names)).sum())
    return SideCounts(side.rows.num_rows, null, doubles.keys, doubles.rows, len(side.foreign))


def _spelled(side: _Side, columns: Columns, at: Indices) -> pa.Table:
    arrays, masks = [], []
    for column in columns.values:
        values, bad = side.values(column, at, spelled=True)
        arrays.append(values)
        masks.append(bad)
    free = pa.array(anything_bad(masks, len(at)))
    return pa.table([*arrays, free], names=[*(f"v{number}" for number in range(len(arrays))), FREE])


def _differing(one: _Side, two: _Side, pairs: Pairs, columns: Columns) -> Iterator[tuple[str, Mask]]:
    """The columns in which pairs of rows differ, each with the pairs that do."""
    at, beside = (
        None if len(each) == side.keys.num_rows and bool(np.all(each == np.arange(len(each)))) else each
        for each, side in ((pairs.left, one), (pairs.right, two))
    )
    for column in columns.values:
        left, bad = one.values(column, at)
        right, worse = two.values(column, beside)
        mask = unequal(left, right, column.tolerance, column.common.meaning)
        if bad is not None or worse is not None:
            mask = anything_bad([mask, bad, worse], len(pairs.left))
        if mask is not None:
            yield column.name, mask


# ---------------------------------------------------------------------------------------------------------------------
# Rows that are named


def shown_schema(columns: Columns) -> pa.Schema:
    """Rows that are not the same: the `kind` by its place in KINDS, the `key` as a JSON array, which columns differ by their places,
    and both rows as texts, `l0`, `l1`, …, `r0`, `r1`, …; of rows that differ, what is the same is null."""
    places = range(len(columns.every))
    texts = [pa.field(f"{side}{place}", pa.string()) for side in "lr" for place in places]
    return pa.schema([("kind", pa.int8()), ("key", pa.string()), ("differs", pa.list_(pa.int32())), *texts])


def _shown(
    one: _Side,
    two: _Side,
    pairs: Pairs,
    columns: Columns,
    masks: Mapping[str, Mask],
    changed: Mask,
    most: int | None,
) -> pa.Table:
    which = np.flatnonzero(changed)
    none = np.full(len(pairs.only_right), -1, dtype=np.int64)
    left = np.concatenate([pairs.only_left, pairs.left[which], none])
    right = np.concatenate([np.full(len(pairs.only_left), -1, dtype=np.int64), pairs.right[which], pairs.only_right])
    pair = np.concatenate([np.full(len(pairs.only_left), -1, dtype=np.int64), which, none])
    kind = np.repeat(np.arange(3, dtype=np.int8), [len(pairs.only_left), len(which), len(pairs.only_right)])
    keys = pa.concat_tables(
        [
            one.keys.take(pa.array(left[left >= 0])),
            two.keys.take(pa.array(right[left < 0])),
        ]
    )
    by = [(name, "ascending", "at_start") for name in keys.column_names]
    ordered = pc.sort_indices(keys.append_column(_KIND, pa.array(kind)), sort_keys=[*by, (_KIND, "ascending")])
    order = ordered.to_numpy().astype(np.int64)[:most]
    names = tuple(keys.column_names)
    texts = expressions.as_json_keys(keys.take(pa.array(order)), names) if len(order) else pa.array([], pa.string())
    parts = [
        _texts(
            columns,
            kind[order],
            contiguous(texts).cast(pa.string()),
            (one.rows, _positions(one.known, left[order])),
            (two.rows, _positions(two.known, right[order])),
            {name: np.where(pair[order] >= 0, mask[np.maximum(pair[order], 0)], False) for name, mask in masks.items()},
        )
    ]
    for side, number in ((one, 0), (two, 2)):  # keys that the other side cannot have
        some = side.foreign if most is None else side.foreign[: max(most - sum(part.num_rows for part in parts), 0)]
        if len(some):
            nowhere = np.full(len(some), -1, dtype=np.int64)
            rows = side.rows.take(pa.array(some))
            own = tuple(column.on(side.where) for column in columns.key)
            at = [(each.rows, some if each is side else nowhere) for each in (one, two)]
            text = contiguous(expressions.as_json_keys(rows, own)).cast(pa.string())
            parts.append(_texts(columns, np.full(len(some), number, dtype=np.int8), text, at[0], at[1], {}))
    return pa.concat_tables(parts)


def _positions(known: Indices, at: Indices) -> Indices:
    return np.where(at >= 0, known[np.maximum(at, 0)], -1) if len(known) else np.full(len(at), -1, dtype=np.int64)


def _texts(
    columns: Columns,
    kind: Indices,
    keys: pa.Array,
    left: tuple[pa.Table, Indices],
    right: tuple[pa.Table, Indices],
    masks: Mapping[str, Mask],
) -> pa.Table:
    """Rows as texts. Positions below 0 are rows that are not there."""
    matched = kind == KINDS.index("different")
    every = columns.every
    differs = np.zeros((len(kind), len(every)), dtype=bool)
    texts: list[pa.Array] = []
    for where, (rows, at) in zip(WHERE, (left, right), strict=True):
        taken = pa.array(at, mask=at < 0)
        for place, column in enumerate(every):
            mask = masks.get(column.name)
            if mask is not None:
                differs[:, place] = mask
            hidden = matched & ~mask if mask is not None else matched
            found = as_text(contiguous(rows.column(column.on(where)).take(taken)))
            texts.append(pc.if_else(pa.array(hidden), pa.scalar(None, pa.string()), found.cast(pa.string())))
    numbers = np.nonzero(differs)[1].astype(np.int32)
    ends = np.concatenate([[0], np.cumsum(differs.sum(axis=1))]).astype(np.int32)
    lists = pa.ListArray.from_arrays(pa.array(ends), pa.array(numbers))
    return pa.Table.from_arrays([pa.array(kind), keys, lists, *texts], schema=shown_schema(columns))
