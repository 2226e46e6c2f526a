"""Which part of a table a row belongs to, and the changes of each part."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.parquet.manifest import Part
from transforms.vocabulary import ChangeSet, Key
from transforms.vocabulary.arrow import Indices, Mask

PART_ROWS: Final = 262_144  # the most a part holds: half a second to write anew, and some tens of MB in memory
PART_BYTES: Final = 256 * 1024 * 1024  # of a file, or of rows on their way into it: wide rows have fewer in a part
SMALL_ROWS: Final = PART_ROWS // 8  # what stays beside others where it could be joined with them


@dataclass(frozen=True, slots=True)
class Touched:
    """The changes of one part, or of the neighbours `first` to `last`. `fresh`: they are inserts behind the part `first`, -1 where
    there is none, and no row of it need be looked at."""

    first: int
    last: int
    changes: ChangeSet
    fresh: bool = False


def touched(changes: ChangeSet, key: Key, parts: Sequence[Part], ends: pa.Table | None) -> Iterator[Touched]:
    """What a window does to each part, in their order.

    In: `ends` as of `manifest.ends_of`. Changes by another key than the table's own are those of all parts at once.
    """
    if not len(changes):
        return
    if not parts or ends is None:
        yield Touched(-1, -1, changes, fresh=len(changes) == changes.inserts.num_rows)
        return
    if set(changes.key) != set(key) or not _same_keys(changes, key):
        yield Touched(0, len(parts) - 1, changes)
        return
    ends = ends.select(list(key))
    places = [placed(rows.select(list(key)), ends) for rows in (changes.inserts, changes.before, changes.deletes)]
    before = [int((each.part < 0).sum()) for each in places]
    if sum(before) > before[0] or not _apart(before[0], parts[0]):  # then they belong to the first part
        places = [Places(np.maximum(each.part, 0), each.behind & (each.part >= 0)) for each in places]
    for part in np.unique(np.concatenate([each.part for each in places])).tolist():
        insert, update, delete = (pa.array(np.flatnonzero(each.part == part)) for each in places)
        own = replace(
            changes,
            inserts=changes.inserts.take(insert),
            before=changes.before.take(update),
            after=changes.after.take(update),
            deletes=changes.deletes.take(delete),
        )
        behind = len(own) == len(insert) and bool(places[0].behind[places[0].part == part].all())
        yield Touched(part, part, own, fresh=behind and _apart(len(insert), parts[max(part, 0)]))


def _apart(rows: int, part: Part) -> bool:
    """Whether rows beside a part are better one of their own."""
    return rows >= SMALL_ROWS or part.rows + rows > PART_ROWS or part.nbytes >= PART_BYTES


@dataclass(frozen=True, slots=True)
class Places:
    """For each row the last part that begins at or before it, -1 where there is none, and whether it is behind the end of that."""

    part: Indices
    behind: Mask


def placed(rows: pa.Table, ends: pa.Table) -> Places:
    """Where rows belong. In: the first and the last key of each part in turn, ascending, in the rows' columns. Order: the rows'."""
    begins, stops = ends.take(pa.array(range(0, ends.num_rows, 2))), ends.take(pa.array(range(1, ends.num_rows, 2)))
    part = _below(rows, begins, equal=True) - 1
    return Places(part, _below(rows, stops, equal=False) == part + 1)


def _below(rows: pa.Table, marks: pa.Table, *, equal: bool) -> Indices:
    """How many of the marks are below each row, or at it where `equal`."""
    turn = "syncline_turn"
    mark, row = (0, 1) if equal else (1, 0)
    both = pa.concat_tables(
        [
            marks.append_column(turn, pa.array(np.full(marks.num_rows, mark))),
            rows.cast(marks.schema).append_column(turn, pa.array(np.full(rows.num_rows, row))),
        ]
    )
    order = pc.sort_indices(both, sort_keys=[(name, "ascending") for name in both.column_names]).to_numpy()
    passed = np.cumsum(order < marks.num_rows)
    found = np.empty(both.num_rows, np.int64)
    found[order] = passed
    return found[marks.num_rows :]


def _same_keys(changes: ChangeSet, key: Key) -> bool:
    """Whether no update moves a row to another key."""
    return all(changes.before[name].equals(changes.after[name]) for name in key)
