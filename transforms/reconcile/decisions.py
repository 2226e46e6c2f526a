"""What people decided about rows in conflict: whose value is taken, for whole rows or for single fields."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from transforms.mapping import casts
from transforms.mapping.casts import Cast
from transforms.reconcile.records import keys_of
from transforms.vocabulary import DataError, Meaning
from transforms.vocabulary.arrow import Mask, as_mask, contiguous
from transforms.vocabulary.texts import as_text

DECISIONS: Final = pa.schema(
    [("key", pa.string()), ("field", pa.string()), ("take", pa.string()), ("value", pa.string())]
)
"""The key as a JSON array; the field, null for the row as a whole; source, target, base or value; and of a value its text."""


@dataclass(frozen=True, slots=True)
class Made:
    """Rows of which the same was decided: `take` for `field`, None for all that is open; `values` are texts, row by row."""

    field: str | None
    take: str
    rows: Mask
    values: pa.Array

    def says(self, column: str) -> bool:
        """Whether it is about a column of its rows; one value cannot be meant for all."""
        return self.field == column or (self.field is None and self.take != "value")


@dataclass(frozen=True, slots=True)
class Decisions:
    """Decisions (DECISIONS), at most one for a field of a key and one for the rest of its row; about rows as they are now."""

    table: pa.Table

    def about(self, keyed: pa.Table) -> Iterator[Made]:
        """What was decided of rows, by their keys: of whole rows first, so that what is said of a field holds for it."""
        if not self.table.num_rows or not keyed.num_rows:
            return
        told = keys_of(keyed)
        kinds = self.table.select(["field", "take"]).group_by(["field", "take"]).aggregate([]).to_pylist()
        for kind in sorted(kinds, key=lambda each: (each["field"] or "", each["take"])):
            field, take = kind["field"], kind["take"]
            of_field = pc.is_null(self.table["field"]) if field is None else pc.equal(self.table["field"], field)
            some = self.table.filter(pc.and_(of_field, pc.equal(self.table["take"], take)))
            place = pc.index_in(told, value_set=contiguous(some["key"]))
            rows = as_mask(pc.is_valid(place))
            if rows.any():
                yield Made(field, take, rows, contiguous(some["value"]).take(place))


def as_values(texts: pa.Array, rows: Mask, kind: pa.DataType, meaning: Meaning, field: str) -> pa.Array:
    """Values that people wrote, in a column's type. DataError for one that is none of it."""
    result = casts.cast(texts, Cast(kind, meaning))
    bad = result.bad & rows
    if bad.any():
        value = as_text(texts.filter(pa.array(bad)))[0].as_py()
        raise DataError(
            f"{value!r} was decided on for {field}, and is no {casts.name_of(kind)}.",
            fix="decide with a value of the column's type.",
        )
    return result.values
