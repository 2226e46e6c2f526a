"""Keys that a row has on the other side, from an identity map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms import keys
from transforms.mapping.column_mapping import Identified, LookupRows
from transforms.mapping.rejections import Faults
from transforms.vocabulary import Reason
from transforms.vocabulary.arrow import Indices, Mask, contiguous
from transforms.vocabulary.texts import as_text

WHY = "why"
"""The column of a map that says of a key of the source why its row is set aside: the code of a reason, null where it is not."""


def identified(
    rows: pa.Table, wanted: Identified, found: LookupRows, column: str, faults: Faults, table: str
) -> pa.Array:
    """A column of the keys that the other side has rows by; null for a row whose own key has a null, or that is no one row there.

    In: every key without a null of `wanted.by` is in the map once. What is wrong with a row goes to `faults`.
    """
    place = places(rows, found.rows, wanted.by)
    at = pa.array(place, mask=place < 0)
    whys = contiguous(found.rows.column(WHY)).take(at)
    if whys.null_count < len(whys):
        values = as_text(contiguous(rows.column(wanted.by[0])))
        for code in pc.unique(whys.drop_null()).to_pylist():
            bad = pc.fill_null(pc.equal(whys, code), False).to_numpy(zero_copy_only=False)
            facts = {"table": table} if code == "duplicate_key" else {"match": list(wanted.match)}
            faults.add(bad, Reason(code, column, facts), values)
    return contiguous(found.rows.column(wanted.take)).take(at)


def places(rows: pa.Table, known: pa.Table, names: tuple[str, ...]) -> Indices:
    """For each row the place of its key among those that are known, -1 for one that is not, or has a null."""
    place = np.full(rows.num_rows, -1, dtype=np.int64)
    asked = rows.select(list(names))
    whole = ~keys.null_keys(asked, names)
    if whole.any() and known.num_rows:
        place[whole] = keys.match(asked.filter(pa.array(whole)), known.select(list(names)).cast(asked.schema), names)
    return place


@dataclass(frozen=True, slots=True)
class Meeting:
    """How rows of both sides find each other by their values: `place` of the partner or -1, by row of the source.

    `ambiguous` rows have values that several rows of a side have, and some row of the target; `unknown` ones have a null. `doubtful`
    are the rows of the target that may be the partners of these.
    """

    place: Indices
    ambiguous: Mask
    unknown: Mask
    doubtful: Mask

    def of_first(self, count: int) -> Meeting:
        """The same of the first rows of the source alone."""
        return Meeting(self.place[:count], self.ambiguous[:count], self.unknown[:count], self.doubtful)


def meet(wanted: pa.Table, found: pa.Table, names: tuple[str, ...]) -> Meeting:
    """In: rows of both sides with the columns `names`, in one type each."""
    unknown, empty = keys.null_keys(wanted, names), keys.null_keys(found, names)
    place = np.full(wanted.num_rows, -1, dtype=np.int64)
    ambiguous, doubtful = np.zeros(wanted.num_rows, dtype=bool), np.zeros(found.num_rows, dtype=bool)
    if unknown.any():
        doubtful |= empty
    asking, there = np.flatnonzero(~unknown), np.flatnonzero(~empty)
    if len(asking) and len(there):
        left, right = keys.codes([wanted.take(pa.array(asking)), found.take(pa.array(there))], names)
        size = int(max(left.max(), right.max())) + 1
        mine, theirs = np.bincount(left, minlength=size), np.bincount(right, minlength=size)
        several = (mine > 0) & (theirs > 0) & ((mine > 1) | (theirs > 1))
        ambiguous[asking] = several[left]
        doubtful[there] |= several[right]
        at = np.full(size, -1, dtype=np.int64)
        at[right] = there
        place[asking] = np.where(several[left], -1, at[left])
    return Meeting(place, ambiguous, unknown, doubtful)
