"""Totals of tables that two systems can be held to: exact, whatever the order and the batches of the rows."""

from __future__ import annotations

from collections.abc import Sequence
from decimal import MAX_EMAX, MAX_PREC, MIN_EMIN, Context, Decimal, Inexact
from fractions import Fraction
from functools import reduce
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms import keys
from transforms.vocabulary import ColumnTotals, Key, Totals
from transforms.vocabulary.arrow import contiguous
from transforms.vocabulary.texts import as_text

_LOW: Final = 32  # bits that are added up apart from those above them: two sums that cannot overflow
_MANTISSA: Final = 53  # bits of a double
_DIGITS: Final = 38  # of a decimal of 128 bits
_EXACT: Final = Context(
    prec=MAX_PREC, Emax=MAX_EMAX, Emin=MIN_EMIN, traps=[Inexact]
)  # sums of decimals without rounding
_LONGEST: Final = 1024  # bytes of an end: values can have megabytes, and totals are kept with every plan


def totals(
    rows: pa.Table, key: Key, columns: Sequence[str], *, counted: Sequence[str] = (), numbers: Sequence[str] = ()
) -> Totals:
    """Add up some rows.

    In: no null in the key. `numbers` are texts that stand for numbers. Of `counted` columns, whose equal values may look
    different (JSON), only values and nulls are counted.
    """
    distinct = _distinct(rows, key)
    made = {}
    for name in columns:
        values = contiguous(rows.column(name))
        counts = ColumnTotals(len(values) - values.null_count, values.null_count)
        if name in numbers:
            made[name] = counts + _of_number_texts(values)
        else:
            made[name] = counts if name in counted else counts + _totals(values)
    return Totals(rows.num_rows, distinct, made)


def _distinct(rows: pa.Table, key: Key) -> int:
    """How many different keys; an ascending integer is its own proof."""
    if not rows.num_rows:
        return 0
    if len(key) == 1 and pa.types.is_integer(rows.schema.field(key[0]).type):
        values = contiguous(rows.column(key[0])).to_numpy(zero_copy_only=False)
        if bool(np.all(values[1:] > values[:-1])):
            return len(values)
    (codes,) = keys.codes([rows.select(list(key))], key)
    return int(codes.max()) + 1


def differences(one: Totals, other: Totals) -> list[tuple[str, str]]:
    """What is not the same: the column (empty for the table itself) and what of it."""
    found = [("", name) for name in ("rows", "distinct_keys") if getattr(one, name) != getattr(other, name)]
    none = ColumnTotals()
    for name in dict.fromkeys([*one.columns, *other.columns]):
        left, right = one.columns.get(name, none), other.columns.get(name, none)
        for each in ("values", "nulls", "least", "most", "total", "odd"):
            if getattr(left, each) != getattr(right, each):
                found.append((name, each))
    return found


def _totals(values: pa.Array) -> ColumnTotals:
    """Ends and sum of the values that are there; counts are left at 0."""
    kind = values.type
    values = values.drop_null()
    if not len(values):
        return ColumnTotals()
    if pa.types.is_boolean(kind):
        return _of_numbers(values.cast(pa.int8()).to_numpy())
    if pa.types.is_integer(kind):
        return _of_numbers(values.to_numpy())
    if pa.types.is_floating(kind):
        return _of_floats(values.to_numpy().astype(np.float64))
    if pa.types.is_decimal(kind):
        ends = pc.min_max(values)
        # sums of 128 bits are a hundred times as fast as those of 256, and wrap round where they do not fit
        fits = pa.types.is_decimal128(kind) and kind.precision + len(str(len(values))) <= _DIGITS
        wide = values if fits else values.cast(pa.decimal256(76, kind.scale))
        return ColumnTotals(least=ends["min"].as_py(), most=ends["max"].as_py(), total=Fraction(pc.sum(wide).as_py()))
    if pa.types.is_temporal(kind):
        width = pa.int32() if kind.bit_width == 32 else pa.int64()
        numbers = values.view(width).to_numpy()
        return ColumnTotals(least=int(numbers.min()), most=int(numbers.max()))
    return _of_texts(values if _is_bytes(kind) else as_text(values))


def _is_bytes(kind: pa.DataType) -> bool:
    return bool(pa.types.is_binary(kind) or pa.types.is_large_binary(kind) or pa.types.is_fixed_size_binary(kind))


def _of_numbers(numbers: Any) -> ColumnTotals:
    high = int((numbers.astype(np.int64) >> _LOW).sum()) if numbers.dtype != np.uint64 else int((numbers >> _LOW).sum())
    low = int((numbers.astype(np.uint64) & np.uint64(2**_LOW - 1)).sum())
    return ColumnTotals(least=int(numbers.min()), most=int(numbers.max()), total=Fraction(high * 2**_LOW + low))


def _of_floats(numbers: Any) -> ColumnTotals:
    """Sums of doubles without rounding: their mantissas are whole numbers, added up by exponent."""
    finite = np.isfinite(numbers)
    counts = {"NaN": np.isnan(numbers), "Infinity": np.isposinf(numbers), "-Infinity": np.isneginf(numbers)}
    odd = {name: int(mask.sum()) for name, mask in counts.items() if mask.any()}
    numbers = numbers[finite]
    if not len(numbers):
        return ColumnTotals(odd=odd)
    mantissas, exponents = np.frexp(numbers)
    whole = np.ldexp(mantissas, _MANTISSA).astype(np.int64)
    exponents = exponents.astype(np.int16)  # which are sorted in a quarter of the time, by their digits
    order = np.argsort(exponents, kind="stable")
    whole, exponents = whole[order], exponents[order]
    starts = np.flatnonzero(np.diff(exponents, prepend=exponents[0] - 1))
    high = np.add.reduceat(whole >> _LOW, starts)
    low = np.add.reduceat(whole & (2**_LOW - 1), starts)
    total = Fraction(0)
    for exponent, above, below in zip(exponents[starts].tolist(), high.tolist(), low.tolist(), strict=True):
        total += (above * 2**_LOW + below) * Fraction(2) ** (exponent - _MANTISSA)
    return ColumnTotals(least=float(numbers.min()) + 0.0, most=float(numbers.max()) + 0.0, total=total, odd=odd)


def _of_texts(values: pa.Array) -> ColumnTotals:
    data = values if pa.types.is_binary(values.type) else values.cast(pa.binary())
    ends = pc.min_max(data)
    total = Fraction(int(pc.sum(pc.binary_length(data).cast(pa.int64())).as_py()))
    return ColumnTotals(least=ends["min"].as_py()[:_LONGEST], most=ends["max"].as_py()[:_LONGEST], total=total)


def _of_number_texts(values: pa.Array) -> ColumnTotals:
    """Numbers of more digits than Arrow has: rare, and added up one by one."""
    numbers = [Decimal(each) for each in values.drop_null().to_pylist()]
    finite = [each for each in numbers if each.is_finite()]
    odd: dict[str, int] = {}
    for each in numbers:
        if not each.is_finite():
            odd[str(each)] = odd.get(str(each), 0) + 1
    if not finite:
        return ColumnTotals(odd=odd)
    total = Fraction(reduce(_EXACT.add, finite))  # once: of 100,000 digits it takes 20 ms
    return ColumnTotals(least=min(finite), most=max(finite), total=total, odd=odd)
