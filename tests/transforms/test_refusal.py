"""What is told at a glance is what the cast itself refuses, value by value."""

from __future__ import annotations

import time
from collections.abc import Callable
from decimal import Decimal

import numpy as np
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.mapping.failed_casts import apart, refused

SHAPED = st.one_of(
    st.text("0123456789-+.: TZeExXnaif/", max_size=24),
    st.from_regex(r"\A-?\d{0,12}(\.\d{0,4})?([eE][+-]?\d)?\Z"),
    st.from_regex(r"\A\d{4}-[0-3]\d-[0-3]\d([ T][0-2]\d:[0-6]\d(:[0-6]\d(\.\d{0,7})?)?Z?)?\Z"),
    st.sampled_from(["NaN", "inf", "-Infinity", "0x1F", "", " 1", "1 ", "+5", "1e400", "0000-00-00", "2024-02-30"]),
)
TEXT_TO = [
    pa.int16(),
    pa.int64(),
    pa.uint8(),
    pa.float64(),
    pa.decimal128(6, 2),
    pa.date32(),
    pa.timestamp("us"),
    pa.timestamp("us", "UTC"),
]
NUMBERS = st.integers(-(2**63), 2**63 - 1) | st.integers(-70_000, 70_000)
NUMBER_TO = [
    pa.int8(),
    pa.uint16(),
    pa.int32(),
    pa.int64(),
    pa.decimal128(5, 0),
    pa.decimal128(38, 10),
    pa.decimal128(4, 2),
]


def alone(values: pa.Array, strict: Callable[[pa.Array], pa.Array]) -> list[object]:
    """The reference: each value on its own, False where it is refused."""
    found: list[object] = []
    for row in range(len(values)):
        try:
            found.append(strict(values.slice(row, 1)).cast(pa.string())[0].as_py())
        except pa.ArrowInvalid:
            found.append(False)
    return found


def holds(values: pa.Array, target: pa.DataType) -> None:
    def strict(part: pa.Array) -> pa.Array:
        return part.cast(target)

    expected = alone(values, strict)
    assert not (refused(values, target) & np.array([each is not False for each in expected], dtype=bool)).any()
    cast, bad = apart(values, target, strict)
    assert cast.type == target
    assert [False if b else v for v, b in zip(cast.cast(pa.string()).to_pylist(), bad, strict=True)] == expected


@pytest.mark.parametrize("target", TEXT_TO, ids=str)
@given(texts=st.lists(SHAPED | st.none(), max_size=12))
def test_texts_are_refused_as_the_cast_refuses_them(texts: list[str | None], target: pa.DataType) -> None:
    holds(pa.array(texts * 2, pa.string()), target)


@pytest.mark.parametrize("target", NUMBER_TO, ids=str)
@given(numbers=st.lists(NUMBERS | st.none(), max_size=12))
def test_whole_numbers_are_refused_as_the_cast_refuses_them(numbers: list[int | None], target: pa.DataType) -> None:
    if pa.types.is_decimal(target):
        wide = pa.array(numbers, pa.int64()).cast(pa.decimal128(19, 0))
        holds(wide, target)
    else:
        holds(pa.array(numbers, pa.int64()), target)


@pytest.mark.parametrize("target", NUMBER_TO, ids=str)
@given(numbers=st.lists(st.decimals(-99_999, 99_999, places=3) | st.none(), max_size=12))
def test_decimals_are_refused_as_the_cast_refuses_them(numbers: list[Decimal | None], target: pa.DataType) -> None:
    holds(pa.array(numbers, pa.decimal128(8, 3)), target)


@pytest.mark.parametrize(
    ("values", "target"),
    [
        (pa.array([f"not {n}" for n in range(200_000)]), pa.date32()),
        (pa.array(["2024-02-30"] * 200_000), pa.date32()),
        (pa.array([f"{n}.5 m" for n in range(200_000)]), pa.decimal128(9, 2)),
        (pa.array(np.arange(200_000) + 40_000), pa.int16()),
        (pa.array(np.arange(200_000)).cast(pa.decimal128(22, 3)), pa.decimal128(7, 6)),
    ],
    ids=["texts", "one text", "numbers with a unit", "numbers", "decimals"],
)
def test_a_column_of_bad_values_alone_does_not_take_its_time(values: pa.Array, target: pa.DataType) -> None:
    began = time.process_time()
    _, bad = apart(values, target, lambda part: part.cast(target))
    assert time.process_time() - began < 4, "some 0.1 s; value by value it is minutes"
    assert bad.sum() > 199_000
