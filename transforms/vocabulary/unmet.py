"""What both sides agreed on, in columns that it knows nothing of: those that are new in the mapping, of rows that have not met in them.

Tables of rows that both agreed on may have the column UNMET, which names such columns of each row; what the row holds there means nothing.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.vocabulary.arrow import Indices, Mask, contiguous

UNMET: Final = "syncline unmet"
"""The name of that column, of texts: null where both agreed on the whole row."""
_END: Final = "\x1f"  # before each name, and behind the last


def unmet(rows: pa.Table) -> dict[str, Mask]:
    """The columns in which some rows have not met, each with these."""
    if UNMET not in rows.column_names:
        return {}
    marks = contiguous(rows.column(UNMET)).dictionary_encode()
    texts, place = marks.dictionary.to_pylist(), pc.fill_null(marks.indices, -1).to_numpy(zero_copy_only=False)
    names = dict.fromkeys(name for text in texts for name in text.split(_END)[1:-1])
    return {
        name: np.isin(place, [at for at, text in enumerate(texts) if f"{_END}{name}{_END}" in text]) for name in names
    }


def marked(rows: pa.Table, masks: Mapping[str, Mask]) -> pa.Table:
    """Rows of which some have not met in some columns, and in no other ones; without UNMET where all have."""
    rows = met_in_all(rows)
    some = {name: pa.array(mask) for name, mask in masks.items() if mask.any()}
    if not some:
        return rows
    named = [pc.if_else(mask, pa.scalar(f"{_END}{name}"), pa.scalar("")) for name, mask in some.items()]
    texts = pc.binary_join_element_wise(*named, "")
    texts = pc.if_else(pc.equal(texts, ""), pa.scalar(None, pa.string()), pc.binary_join_element_wise(texts, _END, ""))
    return rows.append_column(UNMET, texts)


def met_in_all(rows: pa.Table) -> pa.Table:
    """Rows without the column UNMET."""
    return rows.drop_columns([UNMET]) if UNMET in rows.column_names else rows


def with_marks(rows: pa.Table) -> pa.Table:
    """Rows with the column UNMET, behind the others, as a file of a fixed schema has it."""
    if UNMET in rows.column_names:
        return rows
    return rows.append_column(UNMET, pa.nulls(rows.num_rows, pa.string()))


def without_idle_marks(rows: pa.Table) -> pa.Table:
    """Rows with the column UNMET only where some have it."""
    idle = UNMET in rows.column_names and rows.column(UNMET).null_count == rows.num_rows
    return met_in_all(rows) if idle else rows


def completed(rows: pa.Table, schema: pa.Schema) -> pa.Table:
    """Rows in the columns and types of a schema: in those that they have not, or in values of another kind, they have not met.

    Out: UNMET behind the columns where some row has not met in one. Errors: KeyError where a column that takes no nulls is not there.
    """
    masks = {name: mask for name, mask in unmet(rows).items() if name in schema.names}
    columns = []
    for field in schema:
        values = _as(contiguous(rows.column(field.name)), field.type) if field.name in rows.column_names else None
        if values is None:
            masks[field.name] = np.ones(rows.num_rows, dtype=bool)
            values = pa.nulls(rows.num_rows, field.type)
        columns.append(values)
    loose = pa.schema([field.with_nullable(True) if field.name in masks else field for field in schema])
    return marked(pa.table(columns, schema=loose), masks)


def _as(values: pa.Array, kind: pa.DataType) -> pa.Array | None:
    """The values in a type, None where that is another kind of value."""
    if values.type == kind:
        return values
    if not any(of_kind(values.type) and of_kind(kind) for of_kind in _KINDS):
        return None
    try:
        return values.cast(kind)
    except pa.ArrowInvalid:
        return None


_KINDS: Final = (
    pa.types.is_integer,
    pa.types.is_floating,
    pa.types.is_decimal,
    lambda kind: pa.types.is_string(kind) or pa.types.is_large_string(kind) or pa.types.is_dictionary(kind),
    lambda kind: pa.types.is_binary(kind) or pa.types.is_large_binary(kind),
    pa.types.is_timestamp,
    pa.types.is_time,
    pa.types.is_date,
    pa.types.is_duration,
    pa.types.is_null,
)


def filled(rows: pa.Table, others: pa.Table, place: Indices | None = None) -> pa.Table:
    """Rows that have what others have in the columns in which they have not met.

    In: the same rows, row by row, or at which `place` each is, below 0 where it is not there.
    """
    for name, mask in unmet(rows).items():
        at = rows.schema.get_field_index(name)
        other = contiguous(others.column(name)).cast(rows.schema.field(at).type)
        other = other if place is None else other.take(pa.array(place, mask=place < 0))
        value = pc.if_else(pa.array(mask), other, contiguous(rows.column(name)))
        rows = rows.set_column(at, rows.schema.field(at), value)
    return met_in_all(rows)
