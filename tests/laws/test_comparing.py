"""Laws of comparing two sets of rows that need no unique key, against plain pandas."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.comparing.columns import Column, Columns, Common, Unlike, common
from transforms.comparing.rows import KINDS, Compared, compare
from transforms.vocabulary import ColumnShape, Meaning
from transforms.vocabulary.values import Tolerance, unequal

NAN = float("nan")
SCHEMA = pa.schema([("k", pa.string()), ("j", pa.int64()), ("x", pa.float64()), ("t", pa.string())])
rows = st.lists(
    st.tuples(
        st.sampled_from(["a", "A", "é", "", None]),
        st.sampled_from([0, 1, None]),
        st.sampled_from([0.0, -0.0, 1.0, 1.004, NAN, None, float("inf")]),
        st.sampled_from(["u", "v", None]),
    ),
    max_size=14,
)
COLUMNS = Columns(
    (Column("k", "k", Common(pa.string())), Column("j", "j", Common(pa.int64()))),
    (Column("x", "x", Common(pa.float64())), Column("t", "t", Common(pa.string()))),
)
PLAIN: dict[Any, dict[str, Meaning]] = {"left": {}, "right": {}}


def table(of: Sequence[tuple[Any, ...]]) -> pa.Table:
    return pa.table(
        [pa.array([row[place] for row in of], field.type, from_pandas=False) for place, field in enumerate(SCHEMA)],
        schema=SCHEMA,
    )


def counts(found: Compared) -> tuple[int, int, int, int]:
    return found.same, found.different, found.only_left, found.only_right


def by_pandas(left: Sequence[tuple[Any, ...]], right: Sequence[tuple[Any, ...]]) -> tuple[int, int, int, int]:
    """By two merges: equal rows pair off first, then what is left of a key, the first with the first."""

    def frame(of: Sequence[tuple[Any, ...]]) -> pd.DataFrame:
        spelled = [
            (k or f"{k}!", str(j), "nan" if x != x else str(None if x is None else x + 0.0), str(t))
            for k, j, x, t in of
        ]
        return pd.DataFrame(spelled, columns=SCHEMA.names, dtype=object)

    one, two = frame(left), frame(right)
    every, key = list(SCHEMA.names), ["k", "j"]
    for side in (one, two):
        side["turn"] = side.groupby(every).cumcount()
    same = one.merge(two, on=[*every, "turn"], how="inner")
    rest = [
        side.merge(same[[*every, "turn"]], on=[*every, "turn"], how="left", indicator=True)
        .query("_merge == 'left_only'")
        .drop(columns="_merge")
        for side in (one, two)
    ]
    for side in rest:
        side["turn"] = side.groupby(key).cumcount()
    both = rest[0].merge(rest[1], on=[*key, "turn"], how="outer", indicator=True)
    found = both["_merge"].value_counts()
    return len(same), int(found["both"]), int(found["left_only"]), int(found["right_only"])


@given(rows, rows)
def test_counts_are_those_of_a_plain_pandas_merge_and_add_up(left: Any, right: Any) -> None:
    found = compare(table(left), table(right), COLUMNS, PLAIN)
    assert counts(found) == by_pandas(left, right)
    assert found.left.rows == len(left) == found.same + found.different + found.only_left
    assert found.right.rows == len(right) == found.same + found.different + found.only_right
    assert all(0 < rows <= found.different for rows in found.differing.values())
    assert sum(found.differing.values()) >= found.different
    kinds = [] if found.rows is None else [KINDS[kind] for kind in found.rows["kind"].to_pylist()]
    assert [kinds.count(kind) for kind in KINDS] == [found.only_left, found.different, found.only_right]
    for side, of in ((found.left, left), (found.right, right)):
        keys = pd.Series([row[:2] for row in of], dtype=object).value_counts(dropna=False)
        assert (side.double_keys, side.double_rows) == ((keys > 1).sum(), keys[keys > 1].sum())
        assert side.null_keys == sum(None in row[:2] for row in of)


@given(rows, rows, st.sampled_from([0.0, 0.01]))
def test_swapping_the_sides_mirrors_the_result_whatever_the_order_of_rows(left: Any, right: Any, by: float) -> None:
    value = replace(COLUMNS.values[0], tolerance=Tolerance(by) if by else None)
    columns = replace(COLUMNS, values=(value, COLUMNS.values[1]))
    one = compare(table(left), table(right), columns, PLAIN)
    two = compare(table(right[::-1]), table(left[::-1]), columns, PLAIN)
    assert counts(one) == (two.same, two.different, two.only_right, two.only_left)
    assert (one.left, one.right, one.differing) == (two.right, two.left, two.differing)


@given(rows, rows)
def test_a_tolerance_of_nothing_is_none_and_a_wider_one_finds_no_less_equal(left: Any, right: Any) -> None:
    def within(by: float) -> Compared:
        value = replace(COLUMNS.values[0], tolerance=Tolerance(by))
        return compare(table(left), table(right), replace(COLUMNS, values=(value,)), PLAIN)

    exact = compare(table(left), table(right), replace(COLUMNS, values=COLUMNS.values[:1]), PLAIN)
    assert counts(within(0.0)) == counts(exact)
    assert within(0.01).same >= exact.same


@given(rows)
def test_rows_are_equal_to_themselves(some: Any) -> None:
    found = compare(table(some), table(some[::-1]), COLUMNS, PLAIN)
    assert counts(found) == (len(some), 0, 0, 0)


@given(
    st.sampled_from(["1.10", "1.1", "11e-1", "NaN", "nan", "0", "-0", "x", "2"]),
    st.sampled_from(["1.1", "NaN", "-0.0", "x", "Infinity"]),
)
@pytest.mark.parametrize("by", [Tolerance(), Tolerance(absolute=0.01), Tolerance(relative=0.01)])
def test_a_tolerance_makes_no_equal_values_different(by: Tolerance, one: str, two: str) -> None:
    left, right = pa.array([one]), pa.array([two])
    exact = unequal(left, right, None, "decimal")
    if exact is None or not exact.any():
        found = unequal(left, right, by, "decimal")
        assert found is None or not found.any()


def shape(kind: pa.DataType, meaning: Meaning = "plain") -> ColumnShape:
    return ColumnShape("c", kind, str(kind), meaning=meaning)


SHAPES = [
    *map(shape, [pa.int8(), pa.int32(), pa.int64(), pa.uint8(), pa.uint64(), pa.float32(), pa.float64(), pa.bool_()]),
    *map(shape, [pa.decimal128(9, 2), pa.decimal128(38, 30), pa.decimal256(60, 2), pa.string(), pa.large_string()]),
    *map(shape, [pa.binary(), pa.date32(), pa.time64("us"), pa.timestamp("us"), pa.timestamp("us", "UTC")]),
    *map(shape, [pa.duration("us"), pa.null(), pa.list_(pa.int64())]),
    *(shape(pa.string(), meaning) for meaning in ("decimal", "json", "uuid", "interval", "opaque")),
]


@pytest.mark.parametrize("zone", [None, "Europe/Vienna"])
def test_two_columns_are_compared_in_the_same_type_whichever_is_left(zone: str | None) -> None:
    for one in SHAPES:
        for two in SHAPES:
            there, back = common(one, two, zone), common(two, one, zone)
            if isinstance(there, Unlike):
                assert isinstance(back, Unlike)
                continue
            assert there == back
            columns = Columns((Column("k", "k", Common(pa.int64())),), (Column("c", "c", there),))
            empty = [pa.table({"k": pa.array([1]), "c": pa.nulls(1, each.type)}) for each in (one, two)]
            meanings: Any = {"left": {"c": one.meaning}, "right": {"c": two.meaning}}
            assert counts(compare(empty[0], empty[1], columns, meanings)) == (1, 0, 0, 0), (one, two)


SAME = [
    (pa.array(["1.0", "01", "x", "1e2"]), shape(pa.string()), pa.array([1, 1, 1, 100]), shape(pa.int64()), "yyny"),
    (pa.array([1.1, 2.5, NAN]), shape(pa.float64()), pa.array([Decimal("1.10"), Decimal("2.50"), None]),
     shape(pa.decimal128(9, 2)), "yyn"),
    (pa.array([2**53 + 1, 2]), shape(pa.int64()), pa.array([float(2**53), 2.0]), shape(pa.float64()), "ny"),
    (pa.array([2**64 - 1, 5], pa.uint64()), shape(pa.uint64()), pa.array([-1, 5]), shape(pa.int64()), "ny"),
    (pa.array([True, False, True]), shape(pa.bool_()), pa.array([1, 0, 2]), shape(pa.int8()), "yyn"),
    (pa.array(['{"a": 1, "b": 2}', "[1]", "no"]), shape(pa.string(), "json"),
     pa.array(['{"b":2,"a":1.0}', "[2]", "no"]), shape(pa.string()), "yny"),
    (pa.array(["2020-01-01", "x"]), shape(pa.string()), pa.array([18262, 18262], pa.int32()).cast(pa.date32()),
     shape(pa.date32()), "yn"),
    (pa.array([b"abc", b"\xff"]), shape(pa.binary()), pa.array(["abc", "\ufffd"]), shape(pa.string()), "yn"),
]  # fmt: skip


@pytest.mark.parametrize(("left", "one", "right", "two", "same"), SAME)
def test_values_of_different_types_are_the_same_where_the_casts_say_so(
    left: pa.Array, one: ColumnShape, right: pa.Array, two: ColumnShape, same: str
) -> None:
    found = common(one, two)
    assert isinstance(found, Common)
    columns = Columns((Column("k", "k", Common(pa.int64())),), (Column("c", "c", found),))
    keys = pa.array(range(len(left)))
    meanings: Any = {"left": {"c": one.meaning}, "right": {"c": two.meaning}}
    told = compare(pa.table({"k": keys, "c": left}), pa.table({"k": keys, "c": right}), columns, meanings)
    apart = set() if told.rows is None else {int(key.strip("[]")) for key in told.rows["key"].to_pylist()}
    assert "".join("n" if row in apart else "y" for row in range(len(left))) == same


def test_keys_that_the_other_side_cannot_have_are_alone_and_counted() -> None:
    left = pa.table({"k": ["1", "x", "2.0"], "v": [1, 2, 3]})
    right = pa.table({"k": [1, 2, 3], "v": [1, 3, 4]})
    key, value = common(shape(pa.string()), shape(pa.int64())), common(shape(pa.int64()), shape(pa.int64()))
    assert isinstance(key, Common) and isinstance(value, Common)
    found = compare(left, right, Columns((Column("k", "k", key),), (Column("v", "v", value),)), PLAIN)
    assert counts(found) == (2, 0, 1, 1)
    assert (found.left.foreign_keys, found.right.foreign_keys) == (1, 0)
    assert found.rows is not None
    assert found.rows["key"].to_pylist() == ['["3"]', '["x"]']


def test_columns_that_are_not_compared_are_called_by_what_they_hold() -> None:
    told = common(shape(pa.string(), "json"), shape(pa.string(), "decimal"))
    assert told == Unlike("json and number")
    without = "a date without a zone and a timestamp with one"
    assert common(shape(pa.date32()), shape(pa.timestamp("us", "UTC"))) == Unlike(without, zone=True)
