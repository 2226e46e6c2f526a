"""Rows of the target that a check of trees does not look at, and that rows of the trees may refer to."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import pyarrow as pa

from flows.bind.tables import BoundTable
from flows.plan.reading.chosen_keys import held
from flows.plan.reading.piles import Pile
from transforms import keys
from transforms.vocabulary import TableShape, Tree

Hanging = Mapping[str, Tree] | None
"""The rows of each table in trees; None where whole tables are looked at."""


def referred(children: Pile, parent: TableShape, names: Sequence[str]) -> pa.Table:
    """What rows refer to, in some columns of the parent. Nothing may be added to their pile any more."""
    own = [f"v{place}" for place in range(len(names))]
    parts = [children.part(number).select(own).rename_columns(list(names)) for number in children.filled()]
    empty = parent.schema(tuple(names)).empty_table()
    return keys.distinct(held(parent, pa.concat_tables(parts))) if parts else empty


def outside(rows: pa.Table, bound: BoundTable, hanging: Hanging) -> pa.Table:
    """The rows that are in no tree."""
    inside = (hanging or {}).get(bound.name)
    rows = keys.without_null_keys(rows, bound.key)
    if inside is None or not inside.keys.num_rows or not rows.num_rows:
        return rows
    return rows.filter(pa.array(~keys.contained(rows, inside.keys, bound.key)))
