"""What a column cannot hold is named before anything is written."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.mapping.column_limits import misfits
from transforms.vocabulary import DATE_INFINITY, TIMESTAMP_INFINITY, ColumnShape

STAMP = pa.timestamp("us")


def bad(values: pa.Array, **limits: Any) -> list[bool]:
    shape = ColumnShape("c", values.type, "native", **limits)
    found = [mask.tolist() for mask, reason in misfits(values, shape) if reason]
    assert len(found) <= 1
    return found[0] if found else [False] * len(values)


def test_what_a_column_cannot_hold_is_named() -> None:
    text = ColumnShape("c", pa.string(), "varchar(3)", nullable=False, length=3, nul=False)
    found = misfits(pa.array(["abc", "abcd", "a\0", None, "😀😀😀"]), text)
    assert [mask.tolist() for mask, _ in found] == [
        [False, False, False, True, False],
        [False, True, False, False, False],
        [False, False, True, False, False],
    ]
    assert bad(pa.array(["a", "x", None]), labels=("a", "b")) == [False, True, False]
    assert bad(pa.array([1.0, float("nan")]), nan=False) == [False, True]


def test_numbers_stay_inside_the_column() -> None:
    assert bad(pa.array([-(2**23), 2**23 - 1, 2**23, None], pa.int32()), least=-(2**23), most=2**23 - 1) == [
        False,
        False,
        True,
        False,
    ]
    assert bad(pa.array([2**63, 2**64 - 1], pa.uint64()), most=2**63) == [False, True]
    assert bad(pa.array([Decimal("9.99"), Decimal("10.00")]), most=Decimal("9.99")) == [False, True]
    assert bad(pa.array([1e38, float("inf"), float("nan")]), least=-3e38, most=3e38) == [False, True, False]


def test_times_stay_inside_the_column_and_infinity_only_where_there_is_one() -> None:
    first, last = dt.datetime(1970, 1, 1, 0, 0, 1), dt.datetime(2038, 1, 19, 3, 14, 7, 999999)
    stamps = pa.array([first, last, last + dt.timedelta(microseconds=1), dt.datetime(1, 1, 1)], STAMP)
    assert bad(stamps, least=first, most=last) == [False, False, True, True]
    infinite = pa.array([TIMESTAMP_INFINITY, -TIMESTAMP_INFINITY], pa.int64()).view(STAMP)
    assert bad(infinite, least=first, most=last) == [False, False]
    assert bad(infinite, least=first, most=last, nan=False) == [True, True]
    days = pa.array([DATE_INFINITY, 2_932_896, 2_932_897], pa.int32()).view(pa.date32())
    assert bad(days, most=dt.date(9999, 12, 31), nan=False) == [True, False, True]
    spans = pa.array([dt.timedelta(hours=838, minutes=59, seconds=59), dt.timedelta(hours=-839)], pa.duration("us"))
    assert bad(spans, least=dt.timedelta(hours=-838, minutes=-59, seconds=-59)) == [False, True]


@pytest.mark.parametrize("kind", [STAMP, pa.time64("us"), pa.duration("us")])
def test_a_fraction_of_a_second_that_would_be_rounded_is_named(kind: pa.DataType) -> None:
    micros = pa.array([0, 1_000_000, 1_500_000, 1_234_000, 1, None], pa.int64()).view(kind)
    assert bad(micros, digits=0) == [False, False, True, True, True, False]
    assert bad(micros, digits=3) == [False, False, False, False, True, False]
    assert bad(micros, digits=6) == [False] * 6


def test_bytes_and_characters_are_counted_apart() -> None:
    assert bad(pa.array(["äöü", "äöüß"]), octets=6) == [False, True]
    assert bad(pa.array([b"12", b"123"]), octets=2) == [False, True]
    assert bad(pa.array(["é", "😀", "ab", None]), characters=r"\x{0}-\x{ffff}") == [False, True, False, False]


@pytest.mark.parametrize(
    ("precision", "scale", "fits", "not_fits"),
    [
        (5, 2, ["123.45", "-0.01", "0", "NaN", "999.9"], ["1000", "0.001", "-1234.5"]),
        (50, 10, ["1" * 40 + "." + "1" * 10], ["1" * 41, "0.12345678901"]),
        (3, -2, ["12300", "0"], ["12345", "123000"]),
        (2, 4, ["0.0012", "0"], ["0.012", "1"]),
    ],
)
def test_a_decimal_text_fits_its_precision_and_scale(
    precision: int, scale: int, fits: list[str], not_fits: list[str]
) -> None:
    assert bad(pa.array([*fits, *not_fits]), number=(precision, scale)) == [False] * len(fits) + [True] * len(not_fits)


@given(st.decimals(allow_nan=False, allow_infinity=False, places=4), st.integers(1, 9), st.integers(0, 4))
def test_a_decimal_fits_where_arrow_says_so(value: Decimal, precision: int, scale: int) -> None:
    scale = min(scale, precision)
    try:
        pa.array([value]).cast(pa.decimal128(precision, scale))
        fits = True
    except pa.ArrowInvalid:
        fits = False
    text = format(value.normalize(), "f") if value else "0"
    assert bad(pa.array([text]), number=(precision, scale)) == [not fits]


@given(
    st.lists(st.none() | st.text(st.sampled_from("a\0é😀"), max_size=3), max_size=8),
    st.integers(0, 8),
    st.integers(0, 8),
)
def test_nul_characters_are_found_wherever_a_column_is_cut(texts: list[str | None], start: int, count: int) -> None:
    values = pa.array(texts, pa.string()).slice(min(start, len(texts)), count)
    assert bad(values, nul=False) == [text is not None and "\0" in text for text in values.to_pylist()]
