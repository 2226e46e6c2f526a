"""Rows of the source that refer to another row by what it will not be called there any more: the other side calls it otherwise now."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa

from transforms import keys
from transforms.mapping.casts import Cast, cast
from transforms.mapping.column_mapping import LookUp, TableMapping
from transforms.mapping.lookups import as_asked
from transforms.vocabulary.arrow import Mask, contiguous
from transforms.vocabulary.values import unequal

Renamed = Mapping[str, pa.Table]
"""By the name of a lookup, rows that it finds which are called otherwise on the source from now on, as they will be."""


def stale_references(rows: pa.Table, current: pa.Table, mapping: TableMapping, renamed: Renamed) -> dict[str, Mask]:
    """By looked-up column, which rows name their row as it will not be called. Columns without any are left out.

    In: rows in the target's shape, and the source's columns that they are to be written to, row by row.
    """
    found: dict[str, Mask] = {}
    for column in mapping.columns:
        origin = column.origin
        others = renamed.get(origin.name) if isinstance(origin, LookUp) else None
        if not isinstance(origin, LookUp) or others is None or not others.num_rows or not rows.num_rows:
            continue
        mask = _stale(contiguous(rows.column(column.shape.name)), current, origin, others)
        if mask.any():
            found[column.shape.name] = mask
    return found


def _stale(values: pa.Array, current: pa.Table, lookup: LookUp, others: pa.Table) -> Mask:
    take, stale = lookup.take, np.zeros(len(values), dtype=bool)
    others = keys.without_null_keys(others, (take,))
    others = others.filter(pa.array(~keys.duplicates(others, (take,))))
    meant = pa.table({take: cast(values, Cast(others.schema.field(take).type)).values})
    given = np.flatnonzero(~keys.null_keys(meant, (take,)))
    if not others.num_rows or not len(given):
        return stale
    place = keys.match(meant.take(pa.array(given)), others.select([take]), (take,))
    rows, place = given[place >= 0], place[place >= 0]
    names = [f"k{i}" for i in range(len(lookup.match))]
    called = others.take(pa.array(place)).select([name for name, _ in lookup.match]).rename_columns(names)
    asked = as_asked(current.take(pa.array(rows)), lookup, called.schema, names)
    for name in names:
        unlike = unequal(contiguous(asked.column(name)), contiguous(called.column(name)))
        if unlike is not None:
            stale[rows[unlike]] = True
    return stale
