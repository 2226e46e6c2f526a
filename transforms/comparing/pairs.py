"""Which rows of two sides belong together: by their key, and among several rows of one key by what they hold."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms import keys
from transforms.vocabulary.arrow import Indices, as_mask, contiguous

KEY: Final = "key"
FREE: Final = "free"


@dataclass(frozen=True, slots=True)
class Doubles:
    """The keys that several rows of a side have, and how many rows these are."""

    keys: int = 0
    rows: int = 0


@dataclass(frozen=True, slots=True)
class Pairs:
    """Positions of rows that belong together, `left[i]` with `right[i]`; those of the others; and the keys with several rows."""

    left: Indices
    right: Indices
    only_left: Indices
    only_right: Indices
    doubles_left: Doubles = Doubles()
    doubles_right: Doubles = Doubles()


Spelled = Callable[[Indices, Indices], tuple[pa.Table, pa.Table]]
"""What the rows at some positions of both sides hold, in columns that are equal exactly where values are; FREE is a truth column: the
row is equal to no other, whatever the rest says."""


def paired(left: pa.Table, right: pa.Table, spelled: Spelled) -> Pairs:
    """Match rows by whole keys.

    In: the keys of both sides, of the same columns and types; a null is equal to a null.
    Out: each row at most once. Where a key has several rows on a side, those that are equal throughout belong together first; of the
        rest of that key the first with the first, in the order of their values; rows that are too many stay alone. So pairs are the
        same whichever side is called left, and whatever order rows come in.
    """
    key = tuple(left.column_names)
    if not any(left.column(name).null_count + right.column(name).null_count for name in key) and _ascending(
        left, right
    ):
        return _by_place(keys.match(left, right, key), right.num_rows)
    mine, theirs = keys.codes([left, right], key)
    size = int(max(mine.max(initial=-1), theirs.max(initial=-1))) + 1
    count, others = np.bincount(mine, minlength=size), np.bincount(theirs, minlength=size)
    several = (count > 1) | (others > 1)
    place = np.full(size, -1, dtype=np.int64)
    place[theirs] = np.arange(len(theirs), dtype=np.int64)
    if not several.any():
        return _by_place(place[mine], len(theirs))
    alone = np.where(several[mine], -1, place[mine])
    first = np.flatnonzero(alone >= 0)
    many, more = np.flatnonzero(several[mine]), np.flatnonzero(several[theirs])
    one, two = _grouped(many, more, mine, theirs, spelled)
    pairs_left, pairs_right = np.concatenate([first, one]), np.concatenate([alone[first], two])
    order = np.argsort(pairs_left, kind="stable")
    return Pairs(
        pairs_left[order],
        pairs_right[order],
        _others(pairs_left, len(mine)),
        _others(pairs_right, len(theirs)),
        Doubles(int((count > 1).sum()), int(count[count > 1].sum())),
        Doubles(int((others > 1).sum()), int(others[others > 1].sum())),
    )


def _ascending(left: pa.Table, right: pa.Table) -> bool:
    """Whether keys are whole numbers that ascend on both sides: each is there once."""
    if left.num_columns != 1 or not pa.types.is_integer(left.schema.field(0).type):
        return False
    numbers = (contiguous(side.column(0)).to_numpy(zero_copy_only=False) for side in (left, right))
    return all(bool(np.all(each[1:] > each[:-1])) for each in numbers)


def _by_place(place: Indices, right_rows: int) -> Pairs:
    left = np.flatnonzero(place >= 0)
    right = place[left]
    return Pairs(left, right, np.flatnonzero(place < 0), _others(right, right_rows))


def _others(some: Indices, rows: int) -> Indices:
    left = np.ones(rows, dtype=bool)
    left[some] = False
    return np.flatnonzero(left)


def _grouped(many: Indices, more: Indices, mine: Indices, theirs: Indices, spelled: Spelled) -> tuple[Indices, Indices]:
    """Positions that belong together among rows whose key several rows of a side have."""
    left, right = spelled(many, more)
    free_left, free_right = (as_mask(side.column(FREE)) for side in (left, right))
    left, right = _with_key(left, mine[many]), _with_key(right, theirs[more])
    columns = tuple(left.column_names)
    whole = keys.codes([left, right], columns)
    taken = [np.flatnonzero(~free) for free in (free_left, free_right)]
    one, two = _in_turn(whole[0][taken[0]], whole[1][taken[1]])
    one, two = taken[0][one], taken[1][two]
    rest = [_others(some, side.num_rows) for some, side in ((one, left), (two, right))]
    ordered = [each[_by_value(side.take(pa.array(each)))] for each, side in zip(rest, (left, right), strict=True)]
    code = [side.column(KEY).to_numpy() for side in (left, right)]
    three, four = _in_turn(code[0][ordered[0]], code[1][ordered[1]])
    return (
        many[np.concatenate([one, ordered[0][three]])],
        more[np.concatenate([two, ordered[1][four]])],
    )


def _with_key(side: pa.Table, code: Indices) -> pa.Table:
    return side.drop_columns([FREE]).add_column(0, KEY, pa.array(code))


def _by_value(rows: pa.Table) -> Indices:
    order = pc.sort_indices(rows, sort_keys=[(name, "ascending", "at_end") for name in rows.column_names])
    positions: Indices = order.to_numpy(zero_copy_only=False).astype(np.int64)
    return positions


def _in_turn(left: Indices, right: Indices) -> tuple[Indices, Indices]:
    """Positions of equal numbers: the first of a number with the first, the second with the second, and so on."""
    turns = [_turn(each) for each in (left, right)]
    most = max(int(each.max(initial=0)) for each in turns) + 1
    _, one, two = np.intersect1d(
        left * most + turns[0], right * most + turns[1], assume_unique=True, return_indices=True
    )
    return one, two


def _turn(numbers: Indices) -> Indices:
    """How many equal numbers come before each."""
    order = np.argsort(numbers, kind="stable")
    ordered = numbers[order]
    starts = np.flatnonzero(np.concatenate([[True], ordered[1:] != ordered[:-1]])) if len(ordered) else ordered
    lengths = np.diff(np.append(starts, len(ordered)))
    turn = np.empty(len(numbers), dtype=np.int64)
    turn[order] = np.arange(len(ordered)) - np.repeat(starts, lengths)
    return turn
