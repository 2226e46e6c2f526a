"""What is told of values that do not fit does not depend on how they came."""

from __future__ import annotations

import datetime as dt
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.mapping.casts import Cast
from transforms.mapping.rejections import Faults
from transforms.mapping.samples import DISTINCT, Evidence
from transforms.vocabulary import Reason, text_of, unread


def told(parts: Sequence[pa.Array], *, listed: bool = False) -> Evidence:
    found = Evidence()
    for part in parts:
        found.add(part, listed=listed)
    return found


def facts(found: Evidence) -> tuple[Any, ...]:
    return (
        found.characters,
        found.octets,
        found.whole,
        found.behind,
        found.worded,
        found.counted,
        found.smallest,
        found.largest,
    )


@given(
    values=st.one_of(
        st.lists(st.text("0123456789.-aé", max_size=8) | st.none()).map(lambda v: pa.array(v, pa.string())),
        st.lists(st.integers(-(2**63), 2**63 - 1) | st.none()).map(lambda v: pa.array(v, pa.int64())),
        st.lists(st.decimals(-999, 999, places=3) | st.none()).map(lambda v: pa.array(v, pa.decimal128(9, 3))),
        st.lists(st.dates() | st.none()).map(lambda v: pa.array(v, pa.date32())),
        st.lists(st.timedeltas(dt.timedelta(-99), dt.timedelta(99)) | st.none()).map(lambda v: pa.array(v, pa.duration("us"))),
        st.lists(st.floats(allow_nan=False) | st.none()).map(lambda v: pa.array(v, pa.float64())),
    ),
    cut=st.integers(0, 20),
)  # fmt: skip
def test_the_parts_tell_what_the_whole_tells(values: pa.Array, cut: int) -> None:
    whole = told([values], listed=True)
    assert facts(told([values.slice(0, cut), values.slice(cut)], listed=True)) == facts(whole)


def test_digits_are_counted_without_zeros_that_say_nothing() -> None:
    found = told([pa.array([Decimal("0012.340"), Decimal("-0.5"), None])])
    assert (found.whole, found.behind, found.smallest, found.largest) == (2, 2, "-0.500", "12.340")
    texts = told([pa.array(["0012.340", "-7", "n/a", "1e9", ""])])
    assert (texts.whole, texts.behind, texts.worded) == (2, 2, 3)


def test_values_are_listed_only_as_long_as_a_person_could_read_them() -> None:
    few = told([pa.array(["a", "b", "a"]), pa.array(["a"])], listed=True)
    assert few.counted == {"a": 3, "b": 1}
    assert told([pa.array([str(n) for n in range(DISTINCT + 1)])], listed=True).counted is None


# --- all faults of a row


def mask(*bad: int, of: int = 4) -> Any:
    return np.isin(np.arange(of), bad)


def test_every_fault_is_kept_and_the_first_of_a_row_decides() -> None:
    faults = Faults(4, every=True)
    faults.add(mask(1, 2), Reason("not_number", "a"), pa.array(["x"] * 4))
    faults.add(mask(2, 3), Reason("not_uuid", "b"), pa.array(["x"] * 4))
    assert [(each.reason.column, each.rows.tolist()) for each in faults.found] == [
        ("a", mask(1, 2).tolist()), ("b", mask(2, 3).tolist()),
    ]  # fmt: skip
    assert faults.which.tolist() == [-1, 0, 0, 1]


def test_a_null_left_behind_by_a_fault_is_counted_once() -> None:
    faults = Faults(4, every=True)
    faults.add(mask(0, 1), Reason("not_number", "a"), pa.array(["x", "y", None, None]))
    faults.add(mask(0, 1, 2), Reason("null", "a"), pa.array([None, None, None, "z"]))
    faults.add(mask(0, 1, 2), Reason("null_key").of(("a", "b")))
    assert [(each.reason.code, int(each.rows.sum())) for each in faults.found] == [("not_number", 2), ("null", 1)]


def test_a_row_that_could_not_be_read_has_nulls_for_no_other_reason() -> None:
    faults = Faults(4, every=True)
    faults.unread(pa.array([None, unread("no_date", "a", "x"), None, unread("no_date", "a", "y")]))
    faults.add(mask(1, 2, 3), Reason("null", "a"), pa.array(["v", None, None, None]))
    faults.add(mask(1), Reason("too_long", "b"), pa.array(["v"] * 4))
    assert [(each.reason, each.rows.tolist()) for each in faults.found] == [
        (Reason("no_date", None, {"source": "a"}), mask(1, 3).tolist()),
        (Reason("null", "a"), mask(2).tolist()),
        (Reason("too_long", "b"), mask(1).tolist()),
    ]
    assert faults.found[0].values is not None
    assert faults.found[0].values.to_pylist() == [None, "x", None, "y"]
    assert [text_of(faults.reasons[number][0]) for number in faults.which[[1, 2, 3]]] == [
        "column a: x is no date", "null in a, which takes no nulls", "column a: y is no date",
    ]  # fmt: skip


@pytest.mark.parametrize("every", [False, True])
def test_reasons_of_one_cast_are_told_apart(every: bool) -> None:
    faults = Faults(3, every=every)
    values = pa.array([dt.datetime(2013, 11, 3, 1, 30), dt.datetime(2013, 3, 10, 2, 30), dt.datetime(2013, 7, 1)])
    faults.checked(values, Cast(pa.timestamp("us", "UTC"), time_zone="America/New_York"), "a")
    assert [(text_of(reason), faults.which.tolist()[row]) for row, (reason, _) in enumerate(faults.reasons)] == [
        ("local time occurs twice in America/New_York", 0), ("local time does not exist in America/New_York", 1),
    ]  # fmt: skip
    assert len(faults.found) == (2 if every else 0)
