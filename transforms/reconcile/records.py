"""What reconciling makes: changes for either side, what is left open, what was overruled, and the new base."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa

from transforms import expressions
from transforms.vocabulary import ChangeSet, Key, SideName
from transforms.vocabulary.arrow import Mask, contiguous
from transforms.vocabulary.texts import as_text

CONFLICTS_BESIDE_ROWS: Final = pa.schema(
    [("key", pa.string()), ("kind", pa.string()), ("fields", pa.list_(pa.string()))]
)
"""Conflicts: the key as a JSON array; what each side did, as in update/delete, the source first, or why a side cannot take the
row, such as unique; the fields that are open. Behind these come base, source and target: structs of the row's columns, null where
there is no row."""

OVERRULED: Final = pa.schema(
    [
        ("key", pa.string()),
        ("column", pa.string()),
        ("side", pa.string()),
        ("kind", pa.string()),
        ("rule", pa.string()),
        ("base", pa.string()),
        ("won", pa.string()),
        ("lost", pa.string()),
    ]
)
"""Edits that lost: the key as a JSON array; the column, null for a deletion that did not happen; the side that had made the edit;
what each side did; the rule that decided; and as texts the values of the base, of the edit that won, and of the one that lost."""


@dataclass(frozen=True, slots=True)
class Reconciled:
    """How two sides come together.

    `source` and `target` are the changes of each side, both in the target's shape. `conflicts` has CONFLICTS_BESIDE_ROWS and the
    rows, `overruled` is OVERRULED. `base` is what both sides agree on once the changes are in, in no particular order: the target's
    rows, and for rows in conflict the old ones, with the fields on which both agree by now; None where the two did not meet
    (`initial: report`). `unchanged` counts rows that were equal already; `merged` has the keys of those in which edits of both
    sides came together.
    """

    source: ChangeSet
    target: ChangeSet
    conflicts: pa.Table
    overruled: pa.Table
    base: pa.Table | None
    unchanged: int
    merged: pa.Table

    def side(self, name: SideName) -> ChangeSet:
        return self.source if name == "source" else self.target


def conflict_schema(rows: pa.Schema) -> pa.Schema:
    row = pa.struct(list(rows))
    return pa.schema([*CONFLICTS_BESIDE_ROWS, *(pa.field(name, row) for name in ("base", "source", "target"))])


def conflict_rows(
    key: Key,
    kind: str,
    fields: pa.Array,
    base: pa.Table | None,
    source: pa.Table | None,
    target: pa.Table | None,
) -> pa.Table:
    """Rows in conflict. In: the rows side by side, None where a side has none of them."""
    there = next(rows for rows in (source, target, base) if rows is not None)
    images = [None if rows is None else (rows, np.zeros(rows.num_rows, dtype=bool)) for rows in (base, source, target)]
    return conflict_images(there.select(list(key)), kind, fields, there.schema, images)


def conflict_images(
    keyed: pa.Table, kind: str, fields: pa.Array, row: pa.Schema, images: Sequence[tuple[pa.Table, Mask] | None]
) -> pa.Table:
    """Rows in conflict by their keys. In: of base, source and target the rows and where there is none; None where there is none at all."""
    schema = conflict_schema(row)
    size = keyed.num_rows
    if not size:
        return schema.empty_table()
    structs = [
        pa.nulls(size, pa.struct(list(row)))
        if image is None
        else pa.StructArray.from_arrays(
            [contiguous(each) for each in image[0].columns], fields=list(row), mask=pa.array(image[1])
        )
        for image in images
    ]
    return pa.table([keys_of(keyed), pa.repeat(pa.scalar(kind), size), fields, *structs], schema=schema)


def fields_of(names: Sequence[str], masks: Sequence[Mask], rows: Mask) -> pa.Array:
    """For each of the rows, the names whose mask is true there."""
    if not names:
        return pa.array([[]] * int(rows.sum()), pa.list_(pa.string()))
    grid = np.column_stack([mask[rows] for mask in masks])
    _, at = np.nonzero(grid)
    ends = np.concatenate([[0], np.cumsum(grid.sum(axis=1))]).astype(np.int32)
    return pa.ListArray.from_arrays(pa.array(ends), pa.array(names, pa.string()).take(pa.array(at)))


@dataclass(frozen=True, slots=True)
class Overruling:
    """How edits of a side lost: what each side did, and the rule that decided."""

    key: Key
    side: SideName
    kind: str
    rule: str

    def listed(
        self,
        rows: pa.Table,
        column: str | None = None,
        base: pa.Array | None = None,
        won: pa.Array | None = None,
        lost: pa.Array | None = None,
    ) -> pa.Table:
        """Edits of one column that lost, one for each of the rows (OVERRULED); without a column, deletions."""
        size = rows.num_rows
        if not size:
            return OVERRULED.empty_table()
        same = [pa.repeat(pa.scalar(text, pa.string()), size) for text in (column, self.side, self.kind, self.rule)]
        values = [
            pa.nulls(size, pa.string()) if each is None else as_text(each).cast(pa.string())
            for each in (base, won, lost)
        ]
        return pa.table([keys_of(rows.select(list(self.key))), *same, *values], schema=OVERRULED)


def keys_of(keyed: pa.Table) -> pa.Array:
    """Each key as a JSON array. In: the columns of the key alone."""
    return contiguous(expressions.as_json_keys(keyed, tuple(keyed.column_names)).cast(pa.string()))
