"""Casts between floats and all other numbers, held to Python's Decimal and Fraction."""

from __future__ import annotations

import math
import struct
from decimal import Decimal, localcontext
from fractions import Fraction

import cast_oracle
import numpy as np
import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from transforms.mapping.casts import Cast, cast
from transforms.rules import masks

FLOATS = [pa.float64(), pa.float32()]
FORMS: dict[pa.DataType, cast_oracle.Form] = {pa.float64(): "double", pa.float32(): "real"}
BITS = {pa.float64(): 53, pa.float32(): 24}
LARGEST = {pa.float64(): 1.7976931348623157e308, pa.float32(): 3.4028234663852886e38}


def nearest(number: Decimal, kind: pa.DataType) -> float:
    return cast_oracle.nearest(number, FORMS[kind])


def comes_back(number: Decimal, scale: int, kind: pa.DataType) -> bool:
    return cast_oracle.comes_back(number, scale, FORMS[kind])


def written(x: float, scale: int, precision: int, kind: pa.DataType) -> Decimal | None:
    found = cast_oracle.written(x, FORMS[kind], precision, scale)
    return None if found is cast_oracle.ASIDE else found


def same(found: float | None, wanted: float | None) -> bool:
    if found is None or wanted is None:
        return found is wanted
    return struct.pack("d", found) == struct.pack("d", wanted) or (found != found and wanted != wanted)


digits = st.integers(1, 38).flatmap(lambda n: st.integers(-(10**n) + 1, 10**n - 1))
near_powers = st.builds(lambda n, more: 2**n + more, st.integers(0, 120), st.integers(-2, 2))
scales = st.one_of(st.integers(0, 6), st.integers(-3, 38))


def halfway(kind: pa.DataType) -> st.SearchStrategy[Decimal]:
    """Numbers between two floats, and just beside: where rounding twice goes wrong."""
    bits = BITS[kind]
    middle = st.builds(
        lambda size, power: Decimal(2 * size + 1) * Decimal(2) ** power,
        st.integers(2 ** (bits - 1), 2**bits - 1), st.integers(-12, 0),
    )  # fmt: skip
    with localcontext(prec=60):
        return st.builds(
            lambda number, aside: number + aside,
            middle,
            st.sampled_from([Decimal(0), Decimal("1e-13"), Decimal("-1e-13")]),
        )


@pytest.mark.parametrize("kind", FLOATS, ids=str)
@given(data=st.data(), wide=st.booleans())
def test_a_decimal_is_the_nearest_float_or_refused(kind: pa.DataType, data: st.DataObject, wide: bool) -> None:
    number = data.draw(
        st.one_of(st.builds(lambda n, s: Decimal(n).scaleb(-s), st.one_of(digits, near_powers), scales), halfway(kind))
    )
    with localcontext(prec=100):
        scale = max(-number.as_tuple().exponent, 0) + data.draw(st.integers(0, 4))  # type: ignore[operator]
        number = number.quantize(Decimal(1).scaleb(-scale))
    precision = max(len(number.as_tuple().digits), scale, 1)
    exact = (pa.decimal256 if wide or precision > 38 else pa.decimal128)(max(precision, 76 if wide else 1), scale)
    given_ = pa.array([None, number, 0, number, None], exact).slice(1)  # with an offset, as slices have
    result = cast(given_, Cast(kind))
    held = comes_back(number, scale, kind)
    assert result.bad.tolist() == [not held, False, not held, False]
    assert same(result.values[0].as_py(), nearest(number, kind) + 0.0 if held else None)
    assert result.values[1].as_py() == 0
    assert result.values[3].as_py() is None


texts = st.one_of(
    st.builds(lambda n, s: str(Decimal(n).scaleb(-s)), digits, scales),
    st.floats(allow_nan=False, allow_infinity=False).map(repr),
    st.builds(lambda whole, behind, power: f"{whole}.{behind}e{power}", st.integers(-99, 99), st.integers(0, 10**20), st.integers(-340, 310)),
)  # fmt: skip


@pytest.mark.parametrize("kind", FLOATS, ids=str)
@given(text=texts)
@example(text="1e400")
@example(text="-1e-400")
@example(text="5e-324")
@example(text="-0.0")
@example(text="0.1000000000000000055511151231257827021181583404541015625")
@example(text="3.14159265358979323846264338327950288")
def test_a_text_of_a_number_is_the_nearest_float_or_refused(kind: pa.DataType, text: str) -> None:
    number = Decimal(text)
    result = cast(pa.array([text, "NaN", "-Infinity", None, "1,5"]), Cast(kind))
    held = comes_back(number, -number.as_tuple().exponent, kind)  # type: ignore[operator]
    assert result.bad.tolist() == [not held, False, False, False, True]
    assert same(result.values[0].as_py(), nearest(number, kind) if held else None)
    assert math.isnan(result.values[1].as_py())
    assert result.values.to_pylist()[2:] == [-math.inf, None, None]


def any_float(kind: pa.DataType) -> st.SearchStrategy[float]:
    short = st.builds(lambda n, s: float(Decimal(n).scaleb(-s)), st.integers(-(10**9), 10**9), st.integers(0, 9))
    dyadic = st.builds(lambda n, s: n / 2**s, st.integers(-(2**53), 2**53), st.integers(0, 60))
    every = st.floats(width=64 if kind == pa.float64() else 32)
    return st.one_of(short, dyadic, every).map(lambda x: float(np.array(x).astype(kind.to_pandas_dtype())))


@pytest.mark.parametrize("kind", FLOATS, ids=str)
@given(data=st.data(), precision=st.one_of(st.integers(1, 38), st.integers(39, 76)))
def test_a_float_is_the_decimal_that_it_names_or_refused(
    kind: pa.DataType, data: st.DataObject, precision: int
) -> None:
    scale = data.draw(st.integers(0, precision))
    x = data.draw(any_float(kind))
    target = (pa.decimal128 if precision <= 38 else pa.decimal256)(precision, scale)
    result = cast(pa.array([None, x, None, 0.0], kind).slice(1), Cast(target))
    wanted = written(x, scale, precision, kind)
    assert result.bad.tolist() == [wanted is None, False, False]
    assert result.values.to_pylist() == [wanted, None, 0]
    assert result.values.type == target
    if wanted is not None:  # and it comes back
        assert cast(result.values, Cast(kind)).values[0].as_py() == x


@pytest.mark.parametrize("kind", FLOATS, ids=str)
@given(
    number=st.one_of(
        st.integers(-(2**63), 2**64 - 1), st.sampled_from([2**n + d for n in (24, 53, 62) for d in (-1, 0, 1)])
    )
)
def test_a_whole_number_is_a_float_where_it_is_one_exactly(kind: pa.DataType, number: int) -> None:
    held = Fraction(nearest(Decimal(number), kind)) == number
    for whole in (pa.int64(), pa.uint64(), pa.int32(), pa.int8()):
        if not -(2 ** (whole.bit_width - 1)) <= number < 2 ** (whole.bit_width - pa.types.is_signed_integer(whole)):
            continue
        if number < 0 and whole == pa.uint64():
            continue
        result = cast(pa.array([number, None], whole), Cast(kind))
        assert result.bad.tolist() == [not held, False]
        assert result.values.to_pylist() == [number if held else None, None]


@pytest.mark.parametrize("kind", FLOATS, ids=str)
@given(data=st.data(), whole=st.sampled_from([pa.int8(), pa.uint8(), pa.int32(), pa.int64(), pa.uint64()]))
def test_a_float_is_a_whole_number_where_it_is_one_exactly(
    kind: pa.DataType, data: st.DataObject, whole: pa.DataType
) -> None:
    edges = st.sampled_from([math.ldexp(sign, n) for n in (7, 8, 31, 32, 63, 64) for sign in (1.0, -1.0)])
    x = data.draw(st.one_of(any_float(kind), edges, st.integers(-300, 300).map(float)))
    signed = pa.types.is_signed_integer(whole)
    bits = whole.bit_width - signed
    held = math.isfinite(x) and x == int(x) and (-(2**bits) if signed else 0) <= x < 2**bits
    result = cast(pa.array([x, None], kind), Cast(whole))
    assert result.bad.tolist() == [not held, False]
    assert result.values.to_pylist() == [int(x) if held else None, None]


@given(x=st.one_of(st.floats(), st.floats(width=32), st.sampled_from([1e300, -3.5e38, 1e-46, 5e-324])))
def test_a_double_is_a_real_where_it_is_one_exactly(x: float) -> None:
    held = math.isnan(x) or math.isinf(x) or (abs(x) <= LARGEST[pa.float32()] and float(np.float32(x)) == x)
    result = cast(pa.array([x, None]), Cast(pa.float32()))
    assert result.bad.tolist() == [not held, False]
    assert same(result.values[0].as_py(), x if held else None)


def test_long_columns_are_cast_as_single_values_are() -> None:
    """Fast and slow ways lie beside each other in one column."""
    numbers = [Decimal(n * 7919 % 10**k).scaleb(-6) for k in range(1, 22) for n in range(10**12, 10**12 + 40)]
    exact = pa.array(numbers, pa.decimal128(38, 6))
    for kind in FLOATS:
        result = cast(exact, Cast(kind))
        assert result.bad.tolist() == [not comes_back(number, 6, kind) for number in numbers]
        assert result.values.to_pylist() == [nearest(n, kind) if comes_back(n, 6, kind) else None for n in numbers]
        back = cast(result.values, Cast(exact.type))
        assert back.values.to_pylist() == [
            written(x, 6, 38, kind) if x is not None else None for x in result.values.to_pylist()
        ]


@given(cents=st.integers(-(10**11), 10**11))
@example(cents=547740)  # which Arrow's own cast takes for more than 5477.40
def test_a_decimal_is_within_the_bound_that_it_equals(cents: int) -> None:
    amount = Decimal(cents).scaleb(-2)
    rows = pa.table({"amount": pa.array([amount], pa.decimal128(13, 2))})
    assert not masks.outside(rows, "amount", float(amount), float(amount)).any()
    assert not masks.sum_differs(rows, ("amount",), float(amount), "none").any()
