"""Keys of the target turned back into the source's columns, so that the source can be asked for the rows of some keys alone."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import pyarrow as pa
import pyarrow.compute as pc

from transforms.keys import distinct
from transforms.mapping import casts
from transforms.mapping.column_limits import misfits
from transforms.mapping.column_mapping import ColumnMapping, Constant, Expression, LookUp, Rename
from transforms.vocabulary import ColumnShape
from transforms.vocabulary.arrow import contiguous


def turned_back(keys: pa.Table, sources: Mapping[str, ColumnShape]) -> pa.Table:
    """What source rows with those keys have in the source's columns, each row once.

    In: columns of the target's key, and of each the source column that it is made of, where it is not `unlike` that. Out: the
    source's columns in their travel types, without nulls and without keys that no source row can have.
    """
    made: dict[str, pa.Array] = {}
    for name, source in sources.items():
        values = casts.cast(contiguous(keys.column(name)), casts.Cast(source.type, source.meaning)).values
        # an ENUM of MySQL may hold the empty text, which is none of its labels
        made[source.name] = fitting(values, replace(source, labels=None))
    return distinct(pa.table(made).drop_null())


def unlike(column: ColumnMapping, source: ColumnShape | None) -> str:
    """Why a value of a target column does not say which value of the source it was made of; empty where it does.

    In: the source's column, where the target's is made of one alone.
    """
    match column.origin:
        case Rename() if column.values is not None:
            return "goes through a value map"
        case Rename():
            return (
                "" if source and _one_to_one(source, column) else "may be made of several values of its source column"
            )
        case Constant():
            return "is a constant"
        case Expression():
            return "is made by an expression"
        case LookUp():
            return "is looked up"
    return "is made by a function"


def _one_to_one(source: ColumnShape, column: ColumnMapping) -> bool:
    target, cast = column.shape, column.cast
    if column.strip_nul or (target.padded and not source.padded) or source.meaning not in ("plain", "uuid"):
        return False
    if cast is None or (cast.type.equals(source.type) and cast == casts.Cast(source.type, source.meaning)):
        copied = source.type.equals(target.type) and target.meaning in (source.meaning, "plain")
        return copied or casts.keeps_order(source.type, source.meaning, target)
    # of a whole number or a date there is one text, and of a text there may be many numbers
    exact = pa.types.is_integer(source.type) or pa.types.is_date32(source.type)
    plain = cast == casts.Cast(cast.type) and (pa.types.is_string(cast.type) or pa.types.is_integer(cast.type))
    return exact and plain and casts.keeps_order(cast.type, "plain", target)


def fitting(values: pa.Array, shape: ColumnShape) -> pa.Array:
    """The values, null for those that a column cannot hold. In: the column's travel type."""
    for unfit, _ in misfits(values, shape, written=False):
        values = pc.if_else(pa.array(unfit), pa.scalar(None, values.type), values)
    return values
