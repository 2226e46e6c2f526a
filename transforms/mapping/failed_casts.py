"""Casts that refuse a whole array for one bad value: which values they refuse."""

from __future__ import annotations

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms.vocabulary.arrow import Mask, as_mask, nulled

# What Arrow reads, roughly: a text that does not begin or go like this is no such value for sure.
_DAY = r"^\d{4}-(0[1-9]|1[0-2])-(0[1-9]|[12]\d|3[01])"
_WHOLE = r"^\s*[+-]?(\d+|0[xX][0-9a-fA-F]+)\s*$"
_NUMBER = r"^\s*[+-]?(\d|\.\d|(?i:nan|inf(inity)?))[\s\d.eE+-]*$"


def apart(values: pa.Array, target: pa.DataType, strict: Callable[[pa.Array], pa.Array]) -> tuple[pa.Array, Mask]:
    """Apply a strict cast to the values that it takes; the others are null, and marked.

    Most bad values are told at a glance, a repeated one is tried once, and the rest are found by halving: a million
    bad values take a second or less, and 100,000 different ones that only the cast itself can tell take three.
    """
    good = np.zeros(len(values), dtype=bool)
    try:
        return strict(values), good
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
        bad = refused(values, target)
    if bad.any():
        values = nulled(values, bad)
        try:
            return strict(values), bad
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            pass
    if pa.types.is_primitive(values.type) or pa.types.is_string(values.type):
        encoded = values.dictionary_encode()
        if len(encoded.dictionary) < len(values) // 2:
            cast, refuses = _halved(encoded.dictionary, target, strict)
            numbers = pc.fill_null(encoded.indices, len(refuses)).to_numpy(zero_copy_only=False)
            return cast.take(encoded.indices), bad | np.append(refuses, False)[numbers]
    cast, refuses = _halved(values, target, strict)
    return cast, bad | refuses


def _halved(values: pa.Array, target: pa.DataType, strict: Callable[[pa.Array], pa.Array]) -> tuple[pa.Array, Mask]:
    def attempt(part: pa.Array) -> tuple[list[pa.Array], list[Mask]]:
        try:
            return [strict(part)], [np.zeros(len(part), dtype=bool)]
        except (pa.ArrowInvalid, pa.ArrowNotImplementedError):
            if len(part) <= 1:
                return [pa.nulls(len(part), target)], [np.ones(len(part), dtype=bool)]
            middle = len(part) // 2
            left, right = attempt(part.slice(0, middle)), attempt(part.slice(middle))
            return left[0] + right[0], left[1] + right[1]

    pieces, masks = attempt(values)
    return pieces[0] if len(pieces) == 1 else pa.concat_arrays(pieces), np.concatenate(masks)


def refused(values: pa.Array, target: pa.DataType) -> Mask:
    """True for values that no exact cast to `target` takes. Others may be refused all the same."""
    source, types = values.type, pa.types
    if types.is_string(source):
        looks = _looks(target)
        return as_mask(pc.invert(pc.match_substring_regex(values, looks))) if looks else _none(values)
    exact = types.is_integer(source) or types.is_decimal(source)
    if exact and types.is_integer(target):
        signed = types.is_signed_integer(target)
        bits = target.bit_width - signed
        return _beyond(values, -(2**bits) if signed else 0, 2**bits - 1) | _finer(values, 0)
    if exact and types.is_decimal(target):
        most = Decimal(10 ** max(target.precision - target.scale, 0))
        return _beyond(values, -most, most, inclusive=True) | _finer(values, target.scale)
    return _none(values)


def _looks(target: pa.DataType) -> str | None:
    if pa.types.is_date(target) or pa.types.is_timestamp(target):
        return _DAY
    if pa.types.is_integer(target):
        return _WHOLE
    return _NUMBER if pa.types.is_decimal(target) or pa.types.is_floating(target) else None


def _none(values: pa.Array) -> Mask:
    return np.zeros(len(values), dtype=bool)


def _beyond(values: pa.Array, least: int | Decimal, most: int | Decimal, *, inclusive: bool = False) -> Mask:
    """True outside the range; an end that the values' own type cannot hold is no end."""
    bad = _none(values)
    below, above = (pc.less_equal, pc.greater_equal) if inclusive else (pc.less, pc.greater)
    for end, compare in ((least, below), (most, above)):
        try:
            limit = pa.scalar(int(end) if pa.types.is_integer(values.type) else Decimal(end), values.type)
        except (pa.ArrowInvalid, OverflowError):
            continue
        bad |= as_mask(compare(values, limit))
    return bad


def _finer(values: pa.Array, scale: int) -> Mask:
    """True for decimals with more digits behind the point than that."""
    if not pa.types.is_decimal(values.type) or values.type.scale <= max(scale, 0):
        return _none(values)
    kind = values.type
    if kind.precision == kind.scale == 76:  # the widest type has no wider one: rare, and looked at one by one
        places = 10 ** max(scale, 0)
        parts = (each is not None and (Fraction(each) * places).denominator != 1 for each in values.to_pylist())
        return np.fromiter(parts, dtype=bool, count=len(values))
    if kind.precision == kind.scale:  # Arrow rounds only where there is room for a digit before the point
        values = values.cast(pa.decimal256(kind.precision + 1, kind.scale))
    cut = pc.round(values, ndigits=max(scale, 0), round_mode="towards_zero")
    return as_mask(pc.not_equal(cut, values))
