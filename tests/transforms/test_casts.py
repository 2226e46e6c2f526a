"""Casts keep the value or name the row."""

from __future__ import annotations

import datetime as dt
from decimal import Decimal, localcontext
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from transforms.mapping.casts import Cast, cast, implicit
from transforms.vocabulary import TIMESTAMP_INFINITY, ColumnShape
from transforms.vocabulary.texts import as_text

NEW_YORK = "America/New_York"
SPAN = pa.duration("us")


@pytest.mark.parametrize(
    ("values", "kind", "target", "kept"),
    [
        (["1.1", "1.239", "x", None], pa.string(), pa.decimal128(9, 2), [Decimal("1.10"), None, None, None]),
        ([Decimal("1.10"), Decimal("1.239")], pa.decimal128(9, 3), pa.decimal128(9, 2), [Decimal("1.10"), None]),
        ([1, 10**9], pa.int64(), pa.decimal128(9, 2), [Decimal("1.00"), None]),
        ([2**31, 5, None], pa.int64(), pa.int32(), [None, 5, None]),
        ([0.5, 0.1], pa.float64(), pa.float32(), [0.5, None]),
        ([0.123, 0.5], pa.float64(), pa.decimal128(3, 1), [None, Decimal("0.5")]),
        ([1.0, 1.5, float("nan")], pa.float64(), pa.int32(), [1, None, None]),
        ([2**53 + 1, 4], pa.int64(), pa.float64(), [None, 4.0]),
        ([0, 1, 2, -1], pa.int16(), pa.bool_(), [False, True, None, None]),
        (["true", "F", "1", "yes"], pa.string(), pa.bool_(), [True, False, True, None]),
        ([True, False], pa.bool_(), pa.int16(), [1, 0]),
        (["2020-02-29", "2021-02-29"], pa.string(), pa.date32(), [dt.date(2020, 2, 29), None]),
        ([1, None], pa.int64(), pa.string(), ["1", None]),
        ([Decimal("0.00000001")], pa.decimal128(18, 8), pa.string(), ["0.00000001"]),
    ],
)
def test_a_value_that_does_not_fit_is_named_and_never_rounded(
    values: list[Any], kind: pa.DataType, target: pa.DataType, kept: list[Any]
) -> None:
    result = cast(pa.array(values, kind), Cast(target))
    assert result.values.to_pylist() == kept
    assert result.bad.tolist() == [value is not None and keep is None for value, keep in zip(values, kept, strict=True)]
    assert result.values.type == target
    if result.bad.any():
        code = "not_boolean" if pa.types.is_boolean(target) else "inexact"
        assert [reason.code for bad, reason in result.faults if bad.any()] == [code]


def test_local_times_become_instants_and_those_at_a_clock_change_are_faults() -> None:
    local = pa.array([dt.datetime(2013, 7, 1, 12), dt.datetime(2013, 11, 3, 1, 30), dt.datetime(2013, 3, 10, 2, 30)])
    result = cast(local, Cast(pa.timestamp("us", "UTC"), time_zone=NEW_YORK))
    assert result.bad.tolist() == [False, True, True]
    assert result.values[0].as_py() == dt.datetime(2013, 7, 1, 16, tzinfo=dt.UTC)
    assert [(reason.code, bad.tolist()) for bad, reason in result.faults] == [
        ("repeated_time", [False, True, False]),
        ("skipped_time", [False, False, True]),
    ]
    late = cast(local, Cast(pa.timestamp("us", "UTC"), time_zone=NEW_YORK, ambiguous="latest", nonexistent="latest"))
    assert late.bad.tolist() == [False, False, False]
    assert late.values[1].as_py() == dt.datetime(2013, 11, 3, 6, 30, tzinfo=dt.UTC)


def test_an_instant_becomes_the_local_time_of_the_zone_that_was_named() -> None:
    instant = pa.array([dt.datetime(2013, 7, 1, 16)]).cast(pa.timestamp("us", "UTC"))
    result = cast(instant, Cast(pa.timestamp("us"), time_zone=NEW_YORK))
    assert result.values.to_pylist() == [dt.datetime(2013, 7, 1, 12)]


def test_text_is_read_by_the_format_that_was_given() -> None:
    result = cast(pa.array(["03.11.2013", "2013"]), Cast(pa.date32(), format="%d.%m.%Y"))
    assert result.values.to_pylist() == [dt.date(2013, 11, 3), None]
    assert result.bad.tolist() == [False, True]


def test_number_texts_have_one_form() -> None:
    result = cast(pa.array(["1.10", "+5", "1.5e10", "100", "NaN", "x", "-0.50"]), Cast(pa.string(), "decimal"))
    assert result.values.to_pylist() == ["1.1", "5", "15000000000", "100", "NaN", None, "-0.5"]
    assert result.bad.tolist() == [False] * 5 + [True, False]


def test_uuids_are_lower_case_and_checked() -> None:
    result = cast(pa.array(["35DBA5D7-5538-49BB-A0B4-DA4422759A0E", "nope"]), Cast(pa.string(), "uuid"))
    assert result.values.to_pylist() == ["35dba5d7-5538-49bb-a0b4-da4422759a0e", None]


def test_times_become_iso_text_and_infinity_its_name() -> None:
    stamps = pa.array([0, 1_500_000, TIMESTAMP_INFINITY, -TIMESTAMP_INFINITY, None], pa.int64()).cast(
        pa.timestamp("us")
    )
    assert as_text(stamps).to_pylist() == [
        "1970-01-01 00:00:00",
        "1970-01-01 00:00:01.5",
        "infinity",
        "-infinity",
        None,
    ]
    assert as_text(stamps.slice(0, 1).cast(pa.timestamp("us", "UTC"))).to_pylist() == ["1970-01-01 00:00:00+00"]


@pytest.mark.parametrize(
    ("source", "target", "allowed"),
    [
        (pa.int64(), pa.int32(), True),
        (pa.int64(), pa.string(), False),
        (pa.string(), pa.int64(), False),
        (pa.int64(), pa.bool_(), False),
        (pa.timestamp("us"), pa.timestamp("us", "UTC"), False),
        (pa.timestamp("ns"), pa.timestamp("us"), True),
        (pa.float64(), pa.decimal128(9, 2), False),
        (pa.decimal128(9, 2), pa.decimal128(12, 4), True),
        (pa.date32(), pa.timestamp("us"), False),
        (pa.duration("us"), pa.time64("us"), True),
        (pa.duration("us"), pa.string(), False),
        (pa.bool_(), pa.int8(), False),
    ],
)
def test_only_one_family_of_types_goes_without_a_cast(source: pa.DataType, target: pa.DataType, allowed: bool) -> None:
    assert implicit(source, "plain", ColumnShape("c", target, str(target))) is allowed


def test_spans_of_time_are_text_as_postgresql_writes_it_and_read_back() -> None:
    spans = [dt.timedelta(hours=100), dt.timedelta(hours=-5), dt.timedelta(seconds=1.5), dt.timedelta(0), None]
    texts = ["100:00:00", "-05:00:00", "00:00:01.5", "00:00:00", None]
    assert cast(pa.array(spans, SPAN), Cast(pa.string(), "interval")).values.to_pylist() == texts
    back = cast(pa.array([*texts, "1 mon", "25:61:00"]), Cast(SPAN))
    assert back.values.to_pylist() == [*spans, None, None]
    assert back.bad.tolist() == [False] * 5 + [True, True]


@given(st.timedeltas(dt.timedelta(hours=-838), dt.timedelta(hours=838)))
def test_every_span_reads_back_from_its_text(span: dt.timedelta) -> None:
    text = as_text(pa.array([span], SPAN))
    assert cast(text, Cast(SPAN)).values.to_pylist() == [span]


def test_a_span_is_a_time_of_day_only_within_a_day() -> None:
    spans = pa.array(
        [dt.timedelta(hours=100), dt.timedelta(hours=-5), dt.timedelta(hours=5), dt.timedelta(days=1)], SPAN
    )
    result = cast(spans, Cast(pa.time64("us")))
    assert result.bad.tolist() == [True, True, False, True]
    assert result.values[2].as_py() == dt.time(5)
    assert cast(pa.array([dt.time(5)], pa.time64("us")), Cast(SPAN)).values.to_pylist() == [dt.timedelta(hours=5)]


def test_lists_become_postgresql_arrays() -> None:
    texts = pa.array([["a", "b c", None, "", "NULL", 'q"\\'], [], None, ["ä"]])
    assert cast(texts, Cast(pa.string(), "opaque")).values.to_pylist() == [
        '{a,"b c",NULL,"","NULL","q\\"\\\\"}',
        "{}",
        None,
        "{ä}",
    ]
    assert as_text(pa.array([[1, None], [True]][:1])).to_pylist() == ["{1,NULL}"]
    assert as_text(pa.array([[[1], [2]]])).to_pylist() == ["{{1},{2}}"]
    assert as_text(pa.array([[1], [2, 3], [4]]).slice(1)).to_pylist() == ["{2,3}", "{4}"]


digits = st.text("0123456789", min_size=1, max_size=60)
number_texts = st.builds(
    lambda sign, whole, behind, power: sign + whole + (f".{behind}" if behind else "") + power,
    st.sampled_from(["", "-", "+"]),
    digits,
    st.one_of(st.just(""), digits),
    st.sampled_from(["", "", "", "e5", "E-7", "e+40"]),
)
decimal_types = st.integers(1, 76).flatmap(
    lambda precision: st.builds(
        (pa.decimal128 if precision <= 38 else pa.decimal256), st.just(precision), st.integers(0, precision)
    )
)


@given(text=number_texts, target=decimal_types)
@example(
    text="340282366920938463463374607431768211455", target=pa.decimal128(38, 10)
)  # 2**128 - 1, which Arrow reads as -1
@example(text="340282366920938463463374607431768211457", target=pa.decimal128(10, 2))
@example(text="0" * 50 + "1.5", target=pa.decimal128(5, 1))
def test_a_number_as_text_becomes_the_decimal_that_it_is_or_is_refused(text: str, target: pa.DataType) -> None:
    with localcontext(prec=200):
        scaled = Decimal(text).scaleb(target.scale)
        fits = scaled == scaled.to_integral_value() and abs(scaled) < 10**target.precision
    result = cast(pa.array([text, "1", None] if target.precision > target.scale else [text, None]), Cast(target))
    assert result.bad.tolist()[0] == (not fits)
    assert result.values[0].as_py() == (Decimal(text) if fits else None)


exact_types = st.one_of(st.sampled_from([pa.int64(), pa.uint64(), pa.int16()]), decimal_types)


@given(data=st.data(), source=exact_types, target=st.one_of(decimal_types, st.sampled_from([pa.int64(), pa.uint64()])))
def test_an_exact_number_becomes_the_one_that_it_is_or_is_refused(
    data: st.DataObject, source: pa.DataType, target: pa.DataType
) -> None:
    if pa.types.is_integer(source):
        signed = pa.types.is_signed_integer(source)
        bits = source.bit_width - signed
        number = Decimal(data.draw(st.integers(-(2**bits) if signed else 0, 2**bits - 1)))
    else:
        most = 10**source.precision - 1
        number = Decimal(data.draw(st.one_of(st.integers(-most, most), st.integers(-9, 9))))
    with localcontext(prec=200):
        number = number if pa.types.is_integer(source) else number.scaleb(-source.scale)
        given = pa.array([int(number) if pa.types.is_integer(source) else number, None], source)
        if pa.types.is_decimal(target):
            scaled = number.scaleb(target.scale)
            fits = scaled == scaled.to_integral_value() and abs(scaled) < 10**target.precision
        else:
            signed = pa.types.is_signed_integer(target)
            bits = target.bit_width - signed
            fits = number == number.to_integral_value() and (-(2**bits) if signed else 0) <= number < 2**bits
    result = cast(given, Cast(target))
    assert result.bad.tolist() == [not fits, False]
    assert result.values.to_pylist() == [number if fits else None, None]


def test_what_does_not_fit_a_decimal_is_named_by_its_own_type() -> None:
    ((_, reason),) = cast(pa.array([10**9]), Cast(pa.decimal128(9, 2))).faults
    assert reason.facts["given"] == "bigint"
    assert reason.facts["families"] == ["integer", "decimal"]
