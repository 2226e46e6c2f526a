"""What a value is: when two of one type are one. Diff and preconditions both go by this, so that they cannot disagree."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal, localcontext
from typing import Any, Final, NoReturn

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.vocabulary.arrow import Mask, as_mask, contiguous
from transforms.vocabulary.decimals import as_doubles
from transforms.vocabulary.deep_json import one_text
from transforms.vocabulary.names import Key, Meaning


@dataclass(frozen=True, slots=True)
class Tolerance:
    """How far two numbers may be apart and still count as equal: either is enough.

    `absolute` is in the column's own unit, `relative` a part of the larger of both (1e-9 for nine digits).
    """

    absolute: float = 0.0
    relative: float = 0.0


def unequal(
    left: pa.Array, right: pa.Array, tolerance: Tolerance | None = None, meaning: Meaning = "plain"
) -> Mask | None:
    """True where two arrays of one type differ; None where they are equal throughout.

    Null equals null only; NaN equals NaN and -0.0 equals 0.0. Texts of numbers and JSON are read by `meaning`.
    """
    if left.equals(right):
        return None
    differs = as_mask(pc.not_equal(left, right))
    if left.null_count or right.null_count:
        differs = differs | (as_mask(pc.is_valid(left)) != as_mask(pc.is_valid(right)))
    if pa.types.is_floating(left.type):
        differs = differs & ~(as_mask(pc.is_nan(left)) & as_mask(pc.is_nan(right)))
    if tolerance is not None and differs.any():
        rows = np.flatnonzero(differs)
        differs[rows] = ~_close(left.take(pa.array(rows)), right.take(pa.array(rows)), tolerance)
    if (same := SAME.get(meaning)) is not None and pa.types.is_string(left.type):
        for row in np.flatnonzero(differs):  # only rows whose texts differ are read by value
            differs[row] = not same(left[row].as_py(), right[row].as_py())
    return differs if differs.any() else None


def _close(left: pa.Array, right: pa.Array, tolerance: Tolerance) -> Mask:
    """Where numbers are as close as the tolerance says; null, NaN and infinity are close to nothing.

    Whole numbers, decimals and their texts are subtracted exactly; floats as the decimals that they stand for, which lie
    within half a unit of their last place.
    """
    if not (tolerance.absolute or tolerance.relative):
        return np.zeros(len(left), dtype=bool)
    if pa.types.is_string(left.type):
        pairs = zip(left.to_pylist(), right.to_pylist(), strict=True)
        return np.array([_close_texts(*pair, tolerance) for pair in pairs], dtype=bool)
    one, two = (_doubles(each) for each in (left, right))
    most = np.maximum(np.abs(one), np.abs(two))
    if pa.types.is_floating(left.type):
        with np.errstate(invalid="ignore", over="ignore"):
            gap = np.abs(one - two) - np.finfo(left.type.to_pandas_dtype()).eps * most
    else:
        gap = _doubles(pc.abs(pc.subtract(_wide(left), _wide(right))))
    with np.errstate(invalid="ignore"):
        within = (gap <= tolerance.absolute) | (gap <= tolerance.relative * most)
    close: Mask = within & np.isfinite(one) & np.isfinite(two)
    return close


def _close_texts(left: str | None, right: str | None, tolerance: Tolerance) -> bool:
    try:
        one, two = Decimal(left or ""), Decimal(right or "")
    except ArithmeticError:
        return False
    if not (one.is_finite() and two.is_finite()):
        return False
    limits = (Decimal(repr(tolerance.absolute)), Decimal(repr(tolerance.relative)) * max(abs(one), abs(two)))
    with localcontext(prec=200):
        return abs(one - two) <= max(limits)


def _wide(values: pa.Array) -> pa.Array:
    """Whole numbers and decimals with room for one digit more."""
    if pa.types.is_integer(values.type):
        return values.cast(pa.decimal128(20, 0)).cast(pa.decimal256(40, 0))
    return values.cast(pa.decimal256(min(values.type.precision + 2, 75), values.type.scale))


def _doubles(values: pa.Array) -> npt.NDArray[np.float64]:
    """Numbers as doubles, NaN for null."""
    exact = pa.types.is_decimal(values.type)
    made = as_doubles(values) if exact else values.cast(pa.float64(), safe=False)
    doubles: npt.NDArray[np.float64] = made.to_numpy(zero_copy_only=False)
    return doubles


def same_rows(left: pa.Table, right: pa.Table, columns: Key, meanings: Mapping[str, Meaning]) -> Mask:
    """True where two tables, row by row, hold the same values in `columns`."""
    same = np.ones(left.num_rows, dtype=bool)
    for name in columns:
        one, other = (contiguous(rows.column(name)) for rows in (left, right))
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
    except RecursionError:
        return _same(left, right, one_text)
    except (ValueError, ArithmeticError):
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
