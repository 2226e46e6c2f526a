"""What a value is: when two of one type are one. Diff and preconditions both go by this, so that they cannot disagree."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from decimal import Decimal
from typing import Any, Final, NoReturn

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.vocabulary import Key, Meaning

Mask = npt.NDArray[np.bool_]


def unequal(left: pa.Array, right: pa.Array, tolerance: float | None = None, meaning: Meaning = "plain") -> Mask | None:
    """True where two arrays of one type differ; None where they are equal throughout.

    Null equals null only; NaN equals NaN and -0.0 equals 0.0. Texts of numbers and JSON are read by `meaning`.
    """
    if left.equals(right):
        return None
    differs = _mask(pc.not_equal(left, right))
    if left.null_count or right.null_count:
        differs = differs | (_mask(pc.is_valid(left)) != _mask(pc.is_valid(right)))
    if pa.types.is_floating(left.type):
        differs = differs & ~(_mask(pc.is_nan(left)) & _mask(pc.is_nan(right)))
    if tolerance is not None and (pa.types.is_floating(left.type) or pa.types.is_decimal(left.type)):
        differs = differs & ~_mask(pc.less_equal(pc.abs(pc.subtract(left, right)).cast(pa.float64()), tolerance))
    elif (same := SAME.get(meaning)) is not None and pa.types.is_string(left.type):
        for row in np.flatnonzero(differs):  # only rows whose texts differ are read by value
            differs[row] = not same(left[row].as_py(), right[row].as_py())
    return differs if differs.any() else None


def same_rows(left: pa.Table, right: pa.Table, columns: Key, meanings: Mapping[str, Meaning]) -> Mask:
    """True where two tables, row by row, hold the same values in `columns`."""
    same = np.ones(left.num_rows, dtype=bool)
    for name in columns:
        one, other = (_whole(rows.column(name)) for rows in (left, right))
        mask = unequal(one.cast(other.type), other, meaning=meanings.get(name, "plain"))
        if mask is not None:
            same &= ~mask
    return same


def same_json(left: str | None, right: str | None) -> bool:
    """Whether two JSON texts hold one value, as PostgreSQL's jsonb sees it.

    Key order and white space do not matter, of a key that comes twice the last value counts, and numbers are exact:
    1, 1.0 and 1e0 are one, and no digit of a long number is lost. A truth value is no number. What is no JSON is a text.
    """
    return _same(left, right, _json_value)


def same_decimal(left: str | None, right: str | None) -> bool:
    """Whether two number texts hold one number: 1.10 is 1.1, NaN is NaN."""
    return _same(left, right, _number)


SAME: Final[Mapping[Meaning, Callable[[str | None, str | None], bool]]] = {
    "json": same_json,
    "decimal": same_decimal,
}
"""How texts of a meaning are compared, where that is not by their characters."""


def _same(left: str | None, right: str | None, read: Callable[[str], Any]) -> bool:
    if left is None or right is None:
        return left is right
    if left == right:
        return True
    try:
        return bool(read(left) == read(right))
    except (ValueError, ArithmeticError, RecursionError):
        return False


def _number(text: str) -> object:
    number = Decimal(text)
    return "NaN" if number.is_nan() else number


def _json_value(text: str) -> object:
    # a bool is an int in Python: tag it, or true would equal 1
    def tagged(value: object) -> object:
        if isinstance(value, dict):
            return {name: tagged(item) for name, item in value.items()}
        if isinstance(value, list):
            return [tagged(item) for item in value]
        return ("bool", value) if isinstance(value, bool) else value

    return tagged(json.loads(text, parse_float=Decimal, parse_int=Decimal, parse_constant=_no_json))


def _no_json(text: str) -> NoReturn:
    raise ValueError(f"{text} is no JSON")


def _mask(values: pa.Array) -> Mask:
    """A boolean array as numpy, null read as false."""
    mask: Mask = pc.fill_null(values, False).to_numpy(zero_copy_only=False)
    return mask


def _whole(values: pa.ChunkedArray) -> pa.Array:
    whole = values.combine_chunks()
    return whole if isinstance(whole, pa.Array) else pa.concat_arrays(whole.chunks)
