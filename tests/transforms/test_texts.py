"""Values as text that reads back exactly, also those that Arrow and Python have no text for."""

from __future__ import annotations

import datetime as dt
from decimal import Context, Decimal

import pyarrow as pa
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from transforms.mapping.casts import Cast, cast
from transforms.mapping.column_limits import misfits
from transforms.vocabulary import DATE_INFINITY, TIMESTAMP_INFINITY, ColumnShape, text_of
from transforms.vocabulary.decimals import decimals
from transforms.vocabulary.texts import as_text, decimal_text, duration_text, durations, one_number_one_text
from transforms.vocabulary.times import finer

EPOCH = dt.date(1970, 1, 1).toordinal()
FOUR_CENTURIES = 146_097  # days, after which the calendar repeats
STAMP = pa.timestamp("us")
EXACT = Context(prec=40)


def days(*numbers: int | None) -> pa.Array:
    return pa.array(numbers, pa.int32()).view(pa.date32())


def stamps(*numbers: int | None, zone: str | None = None) -> pa.Array:
    return pa.array(numbers, pa.int64()).view(pa.timestamp("us", zone))


@given(units=st.lists(st.none() | st.integers(-(10**38) + 1, 10**38 - 1), min_size=1), scale=st.integers(0, 38))
@example(units=[1, -1, 0, None, 10**37], scale=38)
def test_decimals_are_written_with_all_their_places_and_read_back(units: list[int | None], scale: int) -> None:
    kind = pa.decimal128(38, scale)
    values = pa.array([None if each is None else Decimal(each).scaleb(-scale, EXACT) for each in units], kind)
    texts = decimal_text(values, trim=False)
    assert texts.to_pylist() == [None if each is None else format(each, "f") for each in values.to_pylist()]
    assert decimals(texts, kind).equals(values)
    short = decimal_text(values, trim=True)
    assert decimals(short, kind).equals(values)
    assert short.equals(one_number_one_text(texts)), "one number, one text, whichever way it was come to"


@pytest.mark.parametrize("kind", [pa.decimal32(9, 8), pa.decimal64(15, 9), pa.decimal256(60, 30)])
def test_decimals_of_every_width_are_written_without_exponents(kind: pa.DataType) -> None:
    values = pa.array([Decimal("0.00000001"), None, Decimal("-1.5")], kind)
    assert decimal_text(values, trim=True).to_pylist() == ["0.00000001", None, "-1.5"]
    assert decimal_text(values.slice(2), trim=True).to_pylist() == ["-1.5"]


@given(st.lists(st.none() | st.integers(-(10**7) * 3_600_000_000 + 1, 10**7 * 3_600_000_000 - 1), min_size=1))
@example([0, -1, 1, 3_600_000_000 * 100, None, -1_500_000])
def test_spans_of_time_are_written_and_read_back(micros: list[int | None]) -> None:
    spans = pa.array(micros, pa.int64()).view(pa.duration("us"))
    texts = as_text(spans)
    assert durations(texts).equals(spans)
    assert as_text(durations(texts)).equals(texts)
    assert durations(duration_text(spans, trim=False)).equals(spans)


@given(st.lists(st.datetimes(dt.datetime(1, 1, 1), dt.datetime(9999, 12, 31, 23, 59, 59, 999_999)), min_size=1))
def test_instants_are_written_and_read_back(moments: list[dt.datetime]) -> None:
    for kind in (STAMP, pa.timestamp("us", "UTC"), pa.date32(), pa.time64("us")):
        values = pa.array(moments, STAMP)
        values = values.cast(pa.timestamp("us")).cast(kind, safe=False) if kind != STAMP else values
        texts = as_text(values)
        made = cast(texts, Cast(kind))
        assert not made.bad.any()
        assert made.values.equals(values), kind
        assert as_text(made.values).equals(texts)


def test_digits_of_a_second_are_counted_for_every_kind_of_time() -> None:
    numbers = pa.array([0, 1_000, 1_500_000, -1, None], pa.int64())
    for kind in (STAMP, pa.timestamp("us", "UTC"), pa.time64("us"), pa.duration("us")):
        values = numbers.view(kind)
        assert finer(values, 3).to_pylist() == [False, False, False, True, None], kind
        assert finer(pa.chunked_array([values]), 0).to_pylist() == [False, True, True, True, None]
    assert finer(stamps(TIMESTAMP_INFINITY, -TIMESTAMP_INFINITY), 0).to_pylist() == [False, False]


@given(day=st.dates(dt.date(1600, 1, 1), dt.date(9999, 12, 31)), cycles=st.integers(100, 14_600))
def test_dates_far_away_are_those_of_the_same_calendar(day: dt.date, cycles: int) -> None:
    far = day.toordinal() - EPOCH + cycles * FOUR_CENTURIES
    text = as_text(days(far))[0].as_py()
    assert text == f"{day.year + 400 * cycles}{day.isoformat()[4:]}"


def test_the_ends_of_the_calendars_have_texts() -> None:
    assert as_text(days(2_145_042_905, -2_440_588, DATE_INFINITY, None)).to_pylist() == [
        "5874897-12-31", "-4713-11-24", "infinity", None,
    ]  # fmt: skip
    assert as_text(stamps(TIMESTAMP_INFINITY - 1, -(2**63) + 2, -TIMESTAMP_INFINITY)).to_pylist() == [
        "294247-01-10 04:00:54.775806", "-290308-12-21 19:59:05.224194", "-infinity",
    ]  # fmt: skip
    assert as_text(pa.array([86_400_000_000], pa.int64()).view(pa.time64("us"))).to_pylist() == ["24:00:00"]


@pytest.mark.parametrize("zone", ["UTC", "Europe/Vienna", "America/New_York"])
def test_infinity_stays_infinite_whatever_it_becomes(zone: str) -> None:
    ends, dates = (TIMESTAMP_INFINITY, -TIMESTAMP_INFINITY), days(DATE_INFINITY, -DATE_INFINITY)
    for values in (stamps(*ends), stamps(*ends, zone="UTC"), dates):
        for kind in (STAMP, pa.timestamp("us", "UTC"), pa.date32()):
            made = cast(values, Cast(kind, time_zone=zone))
            assert not made.bad.any()
            assert as_text(made.values).to_pylist() == ["infinity", "-infinity"], (values.type, kind)


def test_a_change_of_zone_does_not_go_round_the_end_of_time() -> None:
    last, first = TIMESTAMP_INFINITY - 1, -TIMESTAMP_INFINITY + 1
    local = cast(stamps(last, first, zone="UTC"), Cast(STAMP, time_zone="Europe/Vienna"))
    assert local.bad.tolist() == [True, False]
    instants = cast(stamps(last, first), Cast(pa.timestamp("us", "UTC"), time_zone="Europe/Vienna"))
    assert instants.bad.tolist() == [False, True]


def test_a_time_of_the_day_is_not_dropped_and_neither_is_a_date() -> None:
    values = stamps(0, 1, -1, 86_400_000_000, None)
    dates = cast(values, Cast(pa.date32()))
    assert (dates.bad.tolist(), dates.values.to_pylist()[0]) == ([False, True, True, False, False], dt.date(1970, 1, 1))
    clocks = cast(values, Cast(pa.time64("us")))
    assert clocks.bad.tolist() == [False, False, True, True, False]
    vienna = cast(stamps(-3_600_000_000, 0, zone="UTC"), Cast(pa.date32(), time_zone="Europe/Vienna"))
    assert (vienna.bad.tolist(), vienna.values.to_pylist()[0]) == ([False, True], dt.date(1970, 1, 1))


def test_texts_become_times_of_the_day() -> None:
    made = cast(pa.array(["12:30", "23:59:59.999999", "24:00:00", "12:00:00Z", "noon", None]), Cast(pa.time64("us")))
    assert made.bad.tolist() == [False, False, True, True, True, False]
    assert made.values.to_pylist()[:2] == [dt.time(12, 30), dt.time(23, 59, 59, 999_999)]
    assert cast(pa.array(["12.30"]), Cast(pa.time64("us"), format="%H.%M")).values.to_pylist() == [dt.time(12, 30)]


def test_a_precision_holds_no_infinity_and_the_range_is_told_in_dates() -> None:
    texts = pa.array(["1", "NaN", "Infinity", "-Infinity", None])
    for nan, wanted in ((True, [False, False, True, True, False]), (False, [False, True, True, True, False])):
        shape = ColumnShape("c", pa.string(), "numeric(50,5)", meaning="decimal", number=(50, 5), nan=nan)
        assert [mask.tolist() for mask, _ in misfits(texts, shape)] == [wanted]
    shape = ColumnShape("d", pa.date32(), "date", least=-719_528, most=2_145_042_905)
    assert [text_of(why) for _, why in misfits(days(-719_529), shape)] == [
        "outside the range of d (date): 0000-01-01 to 5874897-12-31"
    ]
    shape = ColumnShape("d", STAMP, "timestamp", least=0)
    assert [text_of(why) for _, why in misfits(stamps(-1), shape)] == [
        "outside the range of d (timestamp): from 1970-01-01 00:00:00 on"
    ]
