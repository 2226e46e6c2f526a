"""What a column can hold beyond its type: length, range, precision, characters, labels."""

from __future__ import annotations

from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.mapping.nul_characters import with_nul
from transforms.vocabulary import ColumnShape, Reason
from transforms.vocabulary.arrow import Mask, as_mask
from transforms.vocabulary.reason_texts import LISTED
from transforms.vocabulary.reasons import Code
from transforms.vocabulary.texts import as_text
from transforms.vocabulary.times import as_numbers, finer, infinite


def misfits(values: pa.Array, shape: ColumnShape, *, written: bool = True) -> list[tuple[Mask, Reason]]:
    """Where values, already of the column's travel type, cannot be stored in it, each with its reason.

    `written` false: the engine computes the column, so that a null says nothing.
    """
    found: list[tuple[Mask, Reason]] = []

    def note(mask: pa.Array | Mask, code: Code, **facts: Any) -> None:
        bad = mask if isinstance(mask, np.ndarray) else as_mask(mask)
        if bad.any():
            found.append((bad, Reason(code, shape.name, {"type": shape.native, **facts})))

    if written and not shape.nullable and values.null_count:
        note(pc.is_null(values), "null")
    if pa.types.is_floating(values.type) and not shape.nan:
        note(pc.is_nan(values), "nan")
    if shape.least is not None or shape.most is not None:
        note(_outside(values, shape), "out_of_range", **_range(shape))
    if shape.digits is not None and shape.digits < 6:
        note(finer(values, shape.digits), "too_fine", limit=shape.digits)
    if shape.octets is not None:
        note(pc.greater(pc.binary_length(values), shape.octets), "too_many_bytes", limit=shape.octets)
    if not pa.types.is_string(values.type):
        return found
    if shape.length is not None:
        note(pc.greater(pc.utf8_length(values), shape.length), "too_long", limit=shape.length)
    if not shape.nul:
        note(with_nul(values), "nul_character")
    if shape.characters is not None:
        note(pc.match_substring_regex(values, f"[^{shape.characters}]"), "foreign_characters")
    if shape.labels is not None:
        known = pc.is_in(values, value_set=pa.array(shape.labels, values.type))
        unknown = pc.and_(pc.is_valid(values), pc.invert(known))
        note(unknown, "unknown_label", labels=list(shape.labels[:LISTED]))
    if shape.number is not None:
        precision, scale = shape.number
        unfit = _unfit_number(values, precision, scale, nan=shape.nan)
        note(unfit, "too_many_digits", precision=precision, scale=scale)
    return found


def _outside(values: pa.Array, shape: ColumnShape) -> pa.Array:
    numbers = as_numbers(values)

    def end(bound: Any) -> pa.Scalar:
        return as_numbers(_end(bound, values.type))[0]

    low = pc.less(numbers, end(shape.least)) if shape.least is not None else pa.scalar(False)
    high = pc.greater(numbers, end(shape.most)) if shape.most is not None else pa.scalar(False)
    beyond = pc.or_(low, high)
    if shape.nan and (pa.types.is_date32(values.type) or pa.types.is_timestamp(values.type)):
        return pc.and_(beyond, pc.invert(infinite(values)))
    return beyond


def _end(bound: Any, kind: pa.DataType) -> pa.Array:
    """A bound in the column's type; one that Python has no value for is given as its number."""
    if isinstance(bound, int) and pa.types.is_temporal(kind):
        return pa.array([bound], pa.int32() if pa.types.is_date32(kind) else pa.int64()).view(kind)
    return pa.array([bound], kind)


def _range(shape: ColumnShape) -> dict[str, str]:
    ends = {"least": shape.least, "most": shape.most}
    return {name: as_text(_end(bound, shape.type))[0].as_py() for name, bound in ends.items() if bound is not None}


def _unfit_number(values: pa.Array, precision: int, scale: int, *, nan: bool) -> pa.Array:
    """Where a number in its canonical text has more digits before or behind the point than numeric(p,s) keeps."""
    digits = pc.replace_substring_regex(values, r"^-?0*", "")
    point = pc.find_substring(digits, ".")
    length = pc.utf8_length(digits)
    whole = pc.if_else(pc.less(point, 0), length, point)
    behind = pc.if_else(pc.less(point, 0), 0, pc.subtract(pc.subtract(length, point), 1))
    bad = pc.or_(pc.greater(whole, max(precision - scale, 0)), pc.greater(behind, max(scale, 0)))
    if scale < 0:  # numeric(3,-2): the last two digits are zeros
        bad = pc.or_(bad, pc.invert(pc.match_substring_regex(digits, f"^$|0{{{-scale}}}$")))
    if scale > precision:  # numeric(2,4): so are the first two behind the point
        bad = pc.or_(bad, pc.invert(pc.match_substring_regex(digits, rf"^$|^\.0{{{scale - precision}}}")))
    named = pc.match_substring_regex(values, "^-?[NI]")
    allowed = pc.equal(values, "NaN") if nan else pa.scalar(False)  # a precision holds no infinity
    return pc.if_else(named, pc.invert(allowed), bad)
