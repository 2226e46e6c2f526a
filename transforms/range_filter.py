"""Rows and changes inside column ranges."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.vocabulary import ChangeSet, ColumnRange
from transforms.vocabulary.arrow import Mask, as_mask


def inside(rows: pa.Table, wanted: ColumnRange) -> Mask:
    """True where the column's value is in the range; null is where `nulls` says."""
    column = rows.column(wanted.column)
    valid: Mask = as_mask(pc.is_valid(column))
    mask = valid
    if wanted.start is not None:
        mask = mask & as_mask(pc.greater_equal(column, pa.scalar(wanted.start, column.type)))
    if wanted.stop is not None:
        mask = mask & as_mask(pc.less(column, pa.scalar(wanted.stop, column.type)))
    return mask | ~valid if wanted.nulls else mask


def all_inside(rows: pa.Table, ranges: tuple[ColumnRange, ...]) -> Mask:
    """True where every range holds."""
    mask = np.ones(rows.num_rows, dtype=bool)
    for wanted in ranges:
        mask &= inside(rows, wanted)
    return mask


def touching(ranges: tuple[ColumnRange, ...], changes: ChangeSet) -> ChangeSet:
    """The changes whose row is inside the ranges before or after."""
    touched = pa.array(all_inside(changes.before, ranges) | all_inside(changes.after, ranges))
    return replace(
        changes,
        inserts=changes.inserts.filter(pa.array(all_inside(changes.inserts, ranges))),
        before=changes.before.filter(touched),
        after=changes.after.filter(touched),
        deletes=changes.deletes.filter(pa.array(all_inside(changes.deletes, ranges))),
    )
