"""Row rules as masks: each is held equal to the rows that Great Expectations itself names."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
from hypothesis import given
from hypothesis import strategies as st
from rule_tables import ALL, BIG, ORDERED, PAIR, VALUES, agree, failing, few, named, rule, tables, without_holes

from transforms.rules.rules import Rule

NULLABLE = {
    kind: getattr(pd, f"{name}Dtype")()
    for kind, name in [
        (pa.int8(), "Int8"),
        (pa.int32(), "Int32"),
        (pa.int64(), "Int64"),
        (pa.uint8(), "UInt8"),
        (pa.uint64(), "UInt64"),
        (pa.bool_(), "Boolean"),
    ]
}


@few
@given(tables())
def test_null_rules_see_nulls_and_nan(rows: pa.Table) -> None:
    agree(rows, *(rule(f"{VALUES}{name}", column=kind) for kind in ALL for name in ("be_null", "not_be_null")))


@few
@given(tables())
def test_sets_hold_equal_values(rows: pa.Table) -> None:
    sets: list[tuple[str, list[Any]]] = [
        *(
            (kind, values)
            for kind in ("int8", "int32", "int64", "uint8", "uint64")
            for values in ([1, 2], [0, None], [], [300, -1, 1])
        ),
        ("int64", [BIG + 1, 1]),
        ("uint64", [BIG + 1]),
        ("int32", [1.0, 2.5]),
        ("int64", [-1.0, 2]),
        *((kind, values) for kind in ("float", "float32") for values in ([0, 1], [0.1, 2.0], [float("inf"), None], [])),
        ("decimal", [0.1, 1]),
        ("decimal", [Decimal("0.1"), Decimal("2.00")]),
        ("decimal", []),
        ("text", ["a", "é", "😀😀", "A\n", ""]),
        ("text", ["1", None]),
        ("bool", [True]),
        ("bool", [False, True]),
        ("bool", []),
        ("date", [date(2013, 1, 1), None]),
        ("date", ["2013-01-01", "2012-12-31"]),
        ("stamp", [datetime(2013, 1, 1), datetime(1, 1, 1)]),
        ("stamp", [datetime(2013, 1, 1), None]),
        ("zoned", [datetime(2013, 1, 1, tzinfo=UTC)]),
    ]
    asked = [
        rule(f"{VALUES}{name}", column=kind, value_set=s) for kind, s in sets for name in ("be_in_set", "not_be_in_set")
    ]
    agree(rows, *asked)


@few
@given(tables(("int8", "int32", "int64", "uint8", "uint64", "float", "float32", "date", "stamp", "zoned")))
def test_bounds_are_inclusive_unless_strict(rows: pa.Table) -> None:
    numbers = [
        {"min_value": 1},
        {"max_value": 0.5},
        {"min_value": 0.1, "max_value": 2},
        {"min_value": "1", "max_value": Decimal("1")},
    ]
    dates = [
        {"min_value": "2013-01-01"},
        {"max_value": date(2013, 1, 1)},
        {"min_value": date(2012, 12, 31), "max_value": "2013-01-01"},
    ]
    stamps = [
        {"min_value": "2013-01-01 00:00:00", "max_value": datetime(2013, 1, 1)},
        {"min_value": "2013-01-01T00:00:00.000001"},
        {"max_value": datetime(2013, 1, 1, 12)},
    ]
    zoned = [
        {"min_value": "2013-01-01 00:00:00+00:00"},
        {"max_value": "2013-01-01T00:00:00Z"},
        {"min_value": "2012-12-31T23:00:00+01:00"},
    ]
    strict = [{}, {"strict_min": True, "strict_max": False}, {"strict_max": True}]
    by_kind = {"date": dates, "stamp": stamps, "zoned": zoned}
    asked = [
        rule(f"{VALUES}be_between", column=kind, **ends, **how)
        for kind in rows.column_names
        for ends in by_kind.get(kind, numbers)
        for how in strict
    ]
    agree(rows, *asked)


@few
@given(tables(("decimal", "stamp", "zoned")))
def test_bounds_and_sets_are_in_the_type_of_the_column(rows: pa.Table) -> None:
    # Great Expectations takes a bound as a double, and 0.10 is below the double 0.1; it breaks on timestamps and dates
    doubles = rows.set_column(
        0, "decimal", pa.array([None if v is None else float(v) for v in rows["decimal"].to_pylist()], pa.float64())
    )
    between = f"{VALUES}be_between"
    new_year = datetime(2013, 1, 1)
    pairs = [
        ({"column": "decimal", "min_value": 0.1, "max_value": 0.3}, {}),
        ({"column": "decimal", "min_value": 0.1, "strict_min": True}, {}),
        ({"column": "decimal", "min_value": Decimal("9999999999.99")}, {}),
        ({"column": "stamp", "min_value": "2013-01-01"}, {"min_value": new_year}),
        ({"column": "stamp", "max_value": date(2013, 1, 1), "strict_max": True}, {"max_value": new_year}),
        ({"column": "zoned", "max_value": "2013-01-01"}, {"max_value": new_year.replace(tzinfo=UTC)}),
        ({"column": "zoned", "max_value": new_year}, {"max_value": new_year.replace(tzinfo=UTC)}),
    ]
    sets = [
        ({"column": "stamp", "value_set": ["2013-01-01"]}, {"value_set": [new_year]}),
        ({"column": "stamp", "value_set": [date(2013, 1, 1)]}, {"value_set": [new_year]}),
        (
            {"column": "zoned", "value_set": ["2013-01-01T01:00:00+01:00"]},
            {"value_set": [new_year.replace(tzinfo=UTC)]},
        ),
    ]
    both = [(between, *each) for each in pairs] + [(f"{VALUES}be_in_set", *each) for each in sets]
    asked = [rule(type_, **ours) for type_, ours, _ in both]
    shown = {place: rule(type_, **{**ours, **theirs}) for place, (type_, ours, theirs) in enumerate(both)}
    agree(rows, *asked, given=shown, seen=doubles)


PATTERNS = [
    "a", "^a", "b$", "^$", ".", "(?s)^.b", r"^\d+$", r"\d", r"\w\Z", r"^\s*$", r"\S", r"\bA", r"[^\w]", "(?i)^[a-z]+$", "(?i)i",
    r"(?i)^\w*S\w*$", "(?i)é$", "(?m)^a$", "^(?=a)", "(?<!a)b", r"(.)\1", r"\u00e9", "é|😀", r"^\d{4}-\d\d-\d\d$", "a{1,2}", "(?P<x>1)", "",
]  # fmt: skip


@few
@given(tables(("text", "int64")))
def test_patterns_are_searched_as_pandas_searches_them(rows: pa.Table) -> None:
    asked = [
        rule(f"{VALUES}{name}", column="text", regex=p) for p in PATTERNS for name in ("match_regex", "not_match_regex")
    ]
    asked += [rule(f"{VALUES}match_regex", column="int64", regex=p) for p in ("^1", r"^-?\d$", "2$")]
    agree(rows, *asked, rule(f"{VALUES}match_regex", column="text"))


@few
@given(st.lists(st.none() | st.text("abcAB12 é", max_size=4), min_size=40, max_size=60))
def test_patterns_agree_where_all_is_plain(texts: list[str | None]) -> None:
    rows = pa.table({"text": pa.array(texts, pa.string())})
    agree(rows, *(rule(f"{VALUES}match_regex", column="text", regex=p) for p in PATTERNS[::2]))


@few
@given(tables(("text",)))
def test_lists_of_patterns_match_any_or_all(rows: pa.Table) -> None:
    lists = (["a", r"\d"], ["b$", "(?i)A"], ["é"])
    asked = [
        rule(f"{VALUES}match_regex_list", column="text", regex_list=p, match_on=on)
        for p in lists
        for on in ("any", "all")
    ]
    asked += [
        rule(f"{VALUES}{n}_regex_list", column="text", regex_list=p) for p in lists for n in ("match", "not_match")
    ]
    agree(rows, *asked)


@few
@given(tables(("text", "int64")))
def test_lengths_count_code_points(rows: pa.Table) -> None:
    between = "expect_column_value_lengths_to_be_between"
    ends = [
        {"min_value": 1},
        {"max_value": 2},
        {"min_value": 1, "max_value": 2},
        {"min_value": 1, "max_value": 3, "strict_min": True},
    ]
    ends += [
        {"min_value": 1, "max_value": 3, "strict_max": True},
        {"min_value": 0, "max_value": 2, "strict_min": True, "strict_max": True},
    ]
    asked = [rule(between, column=name, **each) for name in rows.column_names for each in ends]
    asked += [
        rule("expect_column_value_lengths_to_equal", column=name, value=n)
        for name in rows.column_names
        for n in (0, 1, 2)
    ]
    agree(rows, *asked)


@few
@given(tables(("text",)))
def test_texts_are_read_as_times_and_json(rows: pa.Table) -> None:
    formats = ("%Y-%m-%d", "%d.%m.%Y", "%H")
    asked = [rule(f"{VALUES}match_strftime_format", column="text", strftime_format=each) for each in formats]
    agree(rows, *asked, rule(f"{VALUES}be_json_parseable", column="text"))


@few
@given(tables(ORDERED))
def test_order_is_between_values_that_are_there(rows: pa.Table) -> None:
    names = ("be_increasing", "be_decreasing")
    agree(
        rows, *(rule(f"{VALUES}{n}", column=kind, strictly=s) for kind in ORDERED for n in names for s in (False, True))
    )


@few
@given(tables())
def test_duplicates_are_all_named_and_nulls_are_none(rows: pa.Table) -> None:
    agree(rows, *(rule(f"{VALUES}be_unique", column=kind) for kind in ALL))


# Several columns

IGNORES = ("all_values_are_missing", "any_value_is_missing", "never")
PAIR_IGNORES = ("both_values_are_missing", "either_value_is_missing", "neither")
NAN_LIKE = ("float", "text", "stamp", "zoned")  # pandas compares their nulls, and says no


@few
@given(tables(doubled=True))
def test_compound_duplicates_count_nulls_as_equal(rows: pa.Table) -> None:
    lists = [
        ["int8", "bool"],
        ["float", "bool2"],
        ["text", "decimal", "bool"],
        ["bool", "bool2"],
        ["stamp", "bool"],
        ["date", "bool"],
    ]
    lists += [["zoned", "zoned2"], ["uint8", "int32", "bool"]]
    agree(
        rows,
        *(rule("expect_compound_columns_to_be_unique", column_list=c, ignore_row_if=i) for c in lists for i in IGNORES),
    )


@few
@given(tables(doubled=True))
def test_values_within_a_record_are_compared_with_each_other(rows: pa.Table) -> None:
    type_ = "expect_select_column_values_to_be_unique_within_record"
    agree(rows, *(rule(type_, column_list=[k, f"{k}2"], ignore_row_if=i) for k in ALL for i in IGNORES))


@few
@given(tables(doubled=True))
def test_pairs_are_compared_and_a_missing_value_fails(rows: pa.Table) -> None:
    def asked(kinds: Sequence[str], ignores: Sequence[str]) -> list[Rule]:
        columns = [{"column_A": kind, "column_B": f"{kind}2", "ignore_row_if": i} for kind in kinds for i in ignores]
        equal = [rule(f"{PAIR}to_be_equal", **each) for each in columns]
        return equal + [
            rule(f"{PAIR}a_to_be_greater_than_b", or_equal=e, **each) for each in columns for e in (None, True)
        ]

    agree(rows, *asked(NAN_LIKE, PAIR_IGNORES), *asked(ALL, ["either_value_is_missing"]))
    for kind in ("int64", "decimal", "date"):
        agree(without_holes(rows, kind, f"{kind}2"), *asked([kind], ["both_values_are_missing"]))


@few
@given(tables(doubled=True))
def test_sets_of_pairs_may_hold_nulls(rows: pa.Table) -> None:
    sets: list[tuple[str, str, list[Any]]] = [
        ("int64", "int642", [[1, 1], [0, None], [BIG + 1, 1]]),
        ("text", "bool", [["a", True], ["", None], [None, False]]),
        ("bool", "bool2", [[True, False], [None, None]]),
        ("float", "float2", [[0, 1.0], [0.1, None]]),
        ("decimal", "date", [[Decimal("0.1"), date(2013, 1, 1)], [1, None]]),
        ("stamp", "bool", [[datetime(2013, 1, 1), True]]),
        ("int8", "text", []),
    ]
    asked = [
        rule(f"{PAIR}to_be_in_set", column_A=a, column_B=b, value_pairs_set=pairs, ignore_row_if=i)
        for a, b, pairs in sets
        for i in PAIR_IGNORES
    ]
    agree(rows, *asked)


@few
@given(tables(("int8", "int64", "float", "decimal"), doubled=True))
def test_sums_are_those_of_pandas(rows: pa.Table) -> None:
    type_ = "expect_multicolumn_sum_to_equal"
    floats = [
        rule(type_, column_list=["float", "float2"], sum_total=t, ignore_row_if=i) for t in (0.3, 3, 0) for i in IGNORES
    ]
    lists = (["int8", "int64"], ["int64", "int642"], ["decimal", "decimal2"])
    others = [rule(type_, column_list=c, sum_total=t, ignore_row_if=IGNORES[1]) for c in lists for t in (0.3, 3, 0)]
    agree(rows, *floats, *others)


@few
@given(tables(NAN_LIKE, doubled=True))
def test_columns_are_equal_where_both_are_missing(rows: pa.Table) -> None:
    type_ = "expect_multicolumn_values_to_be_equal"
    agree(rows, *(rule(type_, column_list=[k, f"{k}2"], ignore_row_if=i) for k in NAN_LIKE for i in IGNORES))


def test_a_null_against_a_value_fails_where_great_expectations_breaks() -> None:
    rows = pa.table({"a": pa.array([1, None, None, 2]), "b": pa.array([1, 1, None, 3])})
    asked = rule(f"{PAIR}to_be_equal", column_A="a", column_B="b")
    assert "ambiguous" in str(named(rows, [asked])[0])
    assert failing(rows, asked) == {1, 3}
