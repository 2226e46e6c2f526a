"""Totals: exact, whatever the order and the batches of the rows; two sides differ in them or are told to be equal."""

from __future__ import annotations

import json
import math
from decimal import Decimal
from fractions import Fraction

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from adapters.store.record_json import from_json, to_json
from transforms.totals import differences, totals
from transforms.vocabulary import ColumnTotals, Totals

COLUMNS = ("i", "u", "f", "d", "e", "s", "b", "t")
SCHEMA = pa.schema(
    [
        ("k", pa.int64()),
        ("i", pa.int64()),
        ("u", pa.uint64()),
        ("f", pa.float64()),
        ("d", pa.decimal128(38, 4)),
        ("e", pa.decimal128(36, 4)),  # of which thirty can be added up in 38 digits
        ("s", pa.string()),
        ("b", pa.bool_()),
        ("t", pa.timestamp("us")),
    ]
)
ROW = st.fixed_dictionaries(
    {
        "i": st.none() | st.integers(-(2**63), 2**63 - 1),
        "u": st.none() | st.integers(0, 2**64 - 1),
        "f": st.none() | st.floats(),
        "d": st.none() | st.integers(-(10**38) + 1, 10**38 - 1).map(lambda n: Decimal(f"{n}e-4")),
        "e": st.none() | st.integers(-(10**36) + 1, 10**36 - 1).map(lambda n: Decimal(f"{n}e-4")),
        "s": st.none() | st.text(),
        "b": st.none() | st.booleans(),
        "t": st.none() | st.datetimes(),
    }
)


def table(rows: list[dict[str, object]]) -> pa.Table:
    return pa.Table.from_pylist([{"k": place, **row} for place, row in enumerate(rows)], SCHEMA)


@given(st.lists(ROW, max_size=30))
def test_sums_ends_and_counts_are_those_of_exact_numbers(rows: list[dict[str, object]]) -> None:
    found = totals(table(rows), ("k",), COLUMNS)
    assert (found.rows, found.distinct_keys) == (len(rows), len(rows))
    for name in ("i", "u", "d", "e"):
        values = [row[name] for row in rows if row[name] is not None]
        column = found.columns[name]
        assert (column.values, column.nulls) == (len(values), len(rows) - len(values))
        assert column.total == (sum(map(Fraction, values), Fraction(0)) if values else None)
        assert (column.least, column.most) == ((min(values), max(values)) if values else (None, None))
    floats = [row["f"] for row in rows if row["f"] is not None]
    finite = [value for value in floats if math.isfinite(value)]
    assert found.columns["f"].total == (sum(map(Fraction, finite), Fraction(0)) if finite else None)
    assert sum(found.columns["f"].odd.values()) == len(floats) - len(finite)
    texts = [str(row["s"]).encode() for row in rows if row["s"] is not None]
    assert found.columns["s"].total == (sum(map(len, texts)) if texts else None)
    assert (found.columns["s"].least, found.columns["s"].most) == ((min(texts), max(texts)) if texts else (None, None))


@given(st.lists(ROW, max_size=30), st.integers(0, 30), st.randoms())
def test_neither_batches_nor_order_matter(rows: list[dict[str, object]], cut: int, random: object) -> None:
    whole = table(rows)
    order = list(range(len(rows)))
    random.shuffle(order)  # type: ignore[attr-defined]
    mixed = whole.take(pa.array(order, pa.int64()))
    parts = totals(mixed.slice(0, cut), ("k",), COLUMNS) + totals(mixed.slice(min(cut, len(rows))), ("k",), COLUMNS)
    assert differences(parts, totals(whole, ("k",), COLUMNS)) == []


@given(st.lists(ROW, max_size=10))
def test_totals_survive_json(rows: list[dict[str, object]]) -> None:
    found = totals(table(rows), ("k",), COLUMNS)
    assert from_json(Totals, json.loads(json.dumps(to_json(Totals, found)))) == found


@pytest.mark.parametrize(
    ("left", "right", "what"),
    [
        ([0.1, 0.2], [0.3, 0.0], "total"),  # 0.1 + 0.2 is not 0.3, and no rounding hides it
        ([1.0, 4.0], [2.0, 3.0], "least"),
        ([1.0, None], [1.0], "nulls"),
        ([1.0, float("nan")], [1.0, float("inf")], "odd"),
    ],
)
def test_what_differs_is_told(left: list[float | None], right: list[float | None], what: str) -> None:
    one, other = (
        totals(pa.table({"k": range(len(side)), "v": pa.array(side, pa.float64())}), ("k",), ("v",))
        for side in (left, right)
    )
    assert ("v", what) in differences(one, other)


def test_zeros_of_both_signs_are_one_and_json_is_only_counted() -> None:
    one = pa.table({"k": [1], "f": [0.0], "j": ['{"a": 1}']})
    other = pa.table({"k": [1], "f": [-0.0], "j": ['{"a":1}']})
    sides = [totals(each, ("k",), ("f", "j"), counted=("j",)) for each in (one, other)]
    assert differences(*sides) == []


def test_numbers_of_any_length_are_added_up() -> None:
    long = pa.table({"k": [1, 2, 3], "n": ["1" + "0" * 100_000, "-0.5", "NaN"]})
    found = totals(long, ("k",), ("n",), numbers=("n",)).columns["n"]
    assert found.total == 10**100_000 - Fraction(1, 2)
    assert found.odd == {"NaN": 1}
    assert from_json(ColumnTotals, to_json(ColumnTotals, found)) == found
