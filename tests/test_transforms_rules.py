"""Row rules as masks: each is held equal to the rows that Great Expectations itself names."""

from __future__ import annotations

import logging
import pickle
from collections.abc import Mapping, Sequence
from datetime import UTC, date, datetime
from decimal import Decimal
from functools import cache
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.compute as pc
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from adapters.expectations_frames import frame as shown
from transforms import rules
from transforms.rules import ROW_RULES, Rule, compiled
from transforms.vocabulary import SpecError

ROW = "__row__"
VALUES = "expect_column_values_to_"
PAIR = "expect_column_pair_values_"
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
few = settings(
    max_examples=3,  # a single row of nulls and two of many rows: Great Expectations takes 30 ms a rule, whatever the rows
    deadline=None,
    derandomize=True,
    phases=[Phase.explicit, Phase.generate],  # to shrink takes minutes
    suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large],
)

# ---------------------------------------------------------------------------------------------------------------------
# What Great Expectations says


@cache
def batches() -> Any:
    import great_expectations as gx
    from great_expectations.data_context.types.base import ProgressBarsConfig

    for name in ("great_expectations", "great_expectations.data_context.types.base"):
        logging.getLogger(name).setLevel(logging.ERROR)
    context = gx.get_context(mode="ephemeral")
    context.variables.progress_bars = ProgressBarsConfig(globally=False, metric_calculations=False)
    source = context.data_sources.add_pandas("rows")
    return source.add_dataframe_asset("rows").add_batch_definition_whole_dataframe("rows")


def frame(rows: pa.Table) -> pd.DataFrame:
    """The rows as the planned checkpoint shows them, with their numbers."""
    made: pd.DataFrame = shown(rows, rows.column_names)
    return made.assign(**{ROW: np.arange(rows.num_rows)})


def named(rows: pa.Table, asked: Sequence[Rule]) -> list[set[int] | str]:
    """For each rule the rows that Great Expectations names, or why it cannot tell."""
    from great_expectations.core.expectation_suite import ExpectationSuite

    suite = ExpectationSuite(
        name="rules",
        expectations=[{"type": r.type, "kwargs": dict(r.arguments), "meta": {"place": i}} for i, r in enumerate(asked)],
    )
    wanted = {"result_format": "COMPLETE", "unexpected_index_column_names": [ROW], "exclude_unexpected_values": True}
    batch = batches().get_batch(batch_parameters={"dataframe": frame(rows)})
    said: list[set[int] | str] = [""] * len(asked)
    for result in batch.validate(suite, result_format=wanted).results:
        place = result.expectation_config.meta["place"]
        broken = str(result.exception_info) if "'raised_exception': True" in str(result.exception_info) else ""
        found = result.result.get("unexpected_index_list") or ()
        said[place] = broken or {int(row) for each in found for row in each[ROW]}
    return said


def rule(type_: str, /, **arguments: Any) -> Rule:
    return Rule(0, type_, arguments)


def failing(rows: pa.Table, asked: Rule) -> set[int]:
    check = compiled(asked, rows.schema, ("key",))
    assert check is not None, f"not compiled: {asked} on {rows.schema}"
    return set(np.flatnonzero(check.failing(rows)).tolist())


def agree(rows: pa.Table, *asked: Rule, given: Mapping[int, Rule] | None = None, seen: pa.Table | None = None) -> None:
    """Our rows are Great Expectations' rows. `given` and `seen`: what it is shown instead."""
    shown = [(given or {}).get(place, each) for place, each in enumerate(asked)]
    for each, theirs in zip(asked, named(seen or rows, shown), strict=True):
        ours = failing(rows, each)
        assert ours == theirs, (
            f"{each}\n{[rows.slice(i, 1).to_pylist() for i in sorted(ours)[:5]]}\nours {ours}\ntheirs {theirs}"
        )


# ---------------------------------------------------------------------------------------------------------------------
# Data

LETTERS = 'aAbB19 _-é Éıİſ\u212a٣\u00a0\x0b\n😀ß{}[]"'
TEXTS = st.one_of(
    st.text(LETTERS, max_size=6),
    st.sampled_from(["", "a", "A\n", "b\n\n", "2013-01-31", "31.12.2013", "é", "😀😀", "1", "12", '{"a": 1}', "null"]),
)
BIG = 2**53
KINDS: dict[str, tuple[pa.DataType, st.SearchStrategy[Any]]] = {
    "int8": (pa.int8(), st.integers(-3, 3) | st.sampled_from([-128, 127])),
    "int32": (pa.int32(), st.integers(-3, 3) | st.sampled_from([-(2**31), 2**31 - 1])),
    "int64": (pa.int64(), st.integers(-3, 3) | st.sampled_from([BIG, BIG + 1, -BIG - 1, 2**63 - 1, -(2**63)])),
    "uint8": (pa.uint8(), st.integers(0, 4) | st.just(255)),
    "uint64": (pa.uint64(), st.integers(0, 4) | st.sampled_from([BIG, BIG + 1, 2**64 - 1])),
    "float": (
        pa.float64(),
        st.sampled_from([0.0, -0.0, 0.1, 0.2, 0.3, 1.0, 2.0, float("nan"), float("inf"), -float("inf"), 1e300]),
    ),
    "float32": (pa.float32(), st.sampled_from([0.0, -0.0, 0.1, 0.5, 1.0, 2.0, float("nan"), float("inf")])),
    "decimal": (
        pa.decimal128(12, 2),
        st.sampled_from([Decimal(each) for each in ("0.10", "0.20", "0.30", "1.00", "2.00", "-3.50", "9999999999.99")]),
    ),
    "text": (pa.string(), TEXTS),
    "bool": (pa.bool_(), st.booleans()),
    "date": (pa.date32(), st.dates(date(2012, 12, 30), date(2013, 1, 2)) | st.sampled_from([date.min, date.max])),
    "stamp": (
        pa.timestamp("us"),
        st.datetimes(datetime(2012, 12, 31), datetime(2013, 1, 2))
        | st.sampled_from(
            [datetime(2013, 1, 1), datetime(2013, 1, 1, 0, 0, 0, 1), datetime(1, 1, 1), datetime(9999, 1, 1)]
        ),
    ),
    "zoned": (
        pa.timestamp("us", "UTC"),
        st.sampled_from(
            [datetime(2013, 1, 1), datetime(2013, 1, 1, 0, 0, 0, 1), datetime(2012, 12, 31, 22), datetime(9999, 1, 1)]
        ),
    ),
}
ORDERED = ("int32", "int64", "float", "float32", "decimal", "date", "stamp", "zoned")
ALL = tuple(KINDS)


def column(kind: str, size: int) -> st.SearchStrategy[pa.Array]:
    """Values with nulls in most columns and none in some."""
    type_, plain = KINDS[kind]
    filled = st.lists(plain, min_size=size, max_size=size)
    holed = st.lists(st.none() | plain, min_size=size, max_size=size)
    return (holed | filled).map(lambda values: pa.array(values, type_))


@st.composite
def tables(draw: st.DrawFn, kinds: Sequence[str] = ALL, doubled: bool = False) -> pa.Table:
    """A column of each kind, named by it; `doubled`: a second one with a 2 behind its name."""
    size = draw(st.sampled_from([1, 30, 36, 42, 48]))
    made = {kind: draw(column(kind, size)) for kind in kinds}
    if doubled:
        made |= {f"{kind}2": draw(column(kind, size)) for kind in kinds}
    return pa.table(made)


def without_holes(rows: pa.Table, *names: str) -> pa.Table:
    """Rows where Great Expectations can compare nullable columns: it breaks on a null against a value."""
    holes = np.logical_xor(*(np.asarray(pc.is_null(rows[name], nan_is_null=True)) for name in names))
    return rows.filter(pa.array(~holes))


# ---------------------------------------------------------------------------------------------------------------------
# One column


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
    doubles = rows.set_column(0, "decimal", rows["decimal"].cast(pa.float64()))
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


@settings(few, max_examples=10)
@given(st.lists(st.none() | st.text("abcAB12 é", max_size=4), min_size=1, max_size=25))
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


# ---------------------------------------------------------------------------------------------------------------------
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


# ---------------------------------------------------------------------------------------------------------------------
# What is compiled

SCHEMA = pa.schema(
    [(kind, type_) for kind, (type_, _) in KINDS.items()] + [("blob", pa.binary()), ("list", pa.list_(pa.int32()))]
)


@pytest.mark.parametrize(
    ("type_", "arguments"),
    [
        ("expect_column_values_to_be_of_type", {"column": "text", "type_": "str"}),
        (f"{VALUES}match_like_pattern", {"column": "text", "like_pattern": "a%"}),
        (f"{VALUES}be_dateutil_parseable", {"column": "text"}),
        (f"{VALUES}be_unique", {"column": "list"}),
        (f"{VALUES}be_unique", {"column": "int32", "mostly": 0.9}),
        (f"{VALUES}be_unique", {"column": "int32", "row_condition": "text == 'a'", "condition_parser": "pandas"}),
        (f"{VALUES}be_unique", {"column": "int32", "surprise": 1}),
        (f"{VALUES}be_between", {"column": "int32", "min_value": {"$PARAMETER": "rows"}}),
        (f"{VALUES}be_between", {"column": "int32", "max_value": "$source_rows"}),
        (f"{VALUES}be_between", {"column": "int64", "max_value": 2**60}),
        (f"{VALUES}be_between", {"column": "bool", "max_value": 1}),
        (f"{VALUES}be_in_set", {"column": "text", "value_set": ["a", 1]}),
        (f"{VALUES}be_in_set", {"column": "int32", "value_set": [True]}),
        (f"{VALUES}be_in_set", {"column": "stamp", "value_set": ["yesterday"]}),
        (f"{VALUES}be_increasing", {"column": "uint8"}),
        (f"{VALUES}match_regex", {"column": "float", "regex": "1"}),
        (f"{VALUES}match_regex", {"column": "text", "regex": r"\pL"}),
        (f"{VALUES}match_regex", {"column": "text", "regex": "[[:alpha:]]"}),
        (f"{VALUES}match_regex", {"column": "text", "regex": "a{,3}"}),
        (f"{VALUES}match_regex", {"column": "text", "regex": "a*+"}),
        (f"{VALUES}match_regex", {"column": "text", "regex": r"\Ba"}),
        (f"{PAIR}to_be_equal", {"column_A": "int64", "column_B": "float"}),
        ("expect_multicolumn_sum_to_equal", {"column_list": ["int64", "float"], "sum_total": 1}),
    ],
)  # fmt: skip
def test_what_may_differ_is_left_to_great_expectations(type_: str, arguments: dict[str, Any]) -> None:
    assert compiled(rule(type_, **arguments), SCHEMA, ()) is None


@pytest.mark.parametrize(
    ("type_", "arguments", "said"),
    [
        (f"{VALUES}be_unique", {"column": "zip"}, "there is no column 'zip'; there are int8, int32"),
        (f"{PAIR}to_be_equal", {"column_A": "int8", "column_B": "zip"}, "there is no column 'zip'"),
        ("expect_compound_columns_to_be_unique", {"column_list": ["int8", "zip"]}, "there is no column 'zip'"),
        ("expect_compound_columns_to_be_unique", {"column_list": ["int8"]}, "fewer than two columns"),
        ("expect_compound_columns_to_be_unique", {"column_list": ["int8", "int8"]}, "name each column once"),
        (f"{VALUES}be_unique", {"column": 5}, "column is 5"),
        (f"{VALUES}be_unique", {}, "it needs column"),
        (f"{VALUES}match_regex", {"column": "text", "regex": "("}, "is no regular expression"),
        (f"{VALUES}not_match_regex_list", {"column": "text", "regex_list": ["a", "[b"]}, "is no regular expression"),
        (f"{VALUES}match_regex_list", {"column": "text", "regex_list": []}, "no list of patterns"),
        (f"{VALUES}match_regex_list", {"column": "text", "regex_list": ["a"], "match_on": "most"}, "match_on is 'most'"),
        (f"{VALUES}be_between", {"column": "int8", "min_value": 3, "max_value": 1}, "min_value is above max_value"),
        (f"{VALUES}be_between", {"column": "date", "min_value": "2014-01-01", "max_value": date(2013, 1, 1)}, "above max_value"),
        (f"{VALUES}be_between", {"column": "int8"}, "neither min_value nor max_value"),
        (f"{VALUES}be_between", {"column": "int8", "min_value": "2013-01-01"}, "2013-01-01 is no number"),
        (f"{VALUES}be_between", {"column": "date", "min_value": 1}, "is no date"),
        (f"{VALUES}be_between", {"column": "date", "min_value": "2013-01-01 10:00"}, "is no date"),
        (f"{VALUES}be_between", {"column": "stamp", "min_value": "2013-01-01T00:00Z"}, "has a time zone"),
        (f"{VALUES}be_between", {"column": "text", "min_value": 1}, "has no order for text"),
        ("expect_column_value_lengths_to_be_between", {"column": "text", "min_value": 3, "max_value": 1}, "above max_value"),
        (f"{VALUES}match_strftime_format", {"column": "text", "strftime_format": "%D"}, "cannot be read back"),
        (f"{VALUES}be_in_set", {"column": "text"}, "it needs value_set"),
        (f"{PAIR}to_be_equal", {"column_A": "int8", "column_B": "int8", "ignore_row_if": "never"}, "ignore_row_if is 'never'"),
        (f"{PAIR}to_be_in_set", {"column_A": "int8", "column_B": "int8", "value_pairs_set": [[1]]}, "no pair"),
    ],
)  # fmt: skip
def test_a_rule_without_sense_is_an_error_that_says_how_to_mend_it(
    type_: str, arguments: dict[str, Any], said: str
) -> None:
    with pytest.raises(SpecError, match=r"^expect\[7\] .*Fix: ") as error:
        compiled(Rule(7, type_, arguments), SCHEMA, ())
    assert said in str(error.value)


def test_a_rule_reads_as_a_line() -> None:
    between = rule(f"{VALUES}be_between", column="price", min_value=0, max_value=10)
    assert str(between) == "price: expect_column_values_to_be_between min_value=0 max_value=10"
    assert str(rule(f"{PAIR}to_be_equal", column_A="a", column_B="b")) == f"a, b: {PAIR}to_be_equal"


def test_every_row_rule_is_one_of_great_expectations() -> None:
    from great_expectations.expectations.registry import list_registered_expectation_implementations

    batches()
    known = set(list_registered_expectation_implementations())
    assert set(ROW_RULES) <= known
    assert known >= rules.ACROSS


def test_rules_over_the_key_do_not_look_across_windows() -> None:
    def across(key: tuple[str, ...], **arguments: Any) -> bool:
        type_ = f"{VALUES}be_unique" if "column" in arguments else "expect_compound_columns_to_be_unique"
        check = compiled(rule(type_, **arguments), SCHEMA, key)
        assert check is not None
        return check.across

    assert across(("int8",), column="text")
    assert not across(("text",), column="text")
    assert across(("text", "int8"), column="text")
    assert not across(("text",), column_list=["text", "int8"])
    increasing = compiled(rule(f"{VALUES}be_increasing", column="int32"), SCHEMA, ("int32",))
    assert increasing is not None and increasing.across


def test_a_check_can_be_pickled_and_takes_chunks_and_no_rows() -> None:
    asked = rule(f"{VALUES}match_regex", column="text", regex="a")
    rows = pa.table({"text": pa.chunked_array([["a", "b"], [None, "é"]])})
    check = compiled(asked, rows.schema, ())
    assert check is not None
    assert check.columns == ("text",)
    again = pickle.loads(pickle.dumps(check))
    assert again.failing(rows).tolist() == [False, True, False, True]
    assert again.failing(rows.slice(0, 0)).tolist() == []
    for type_, arguments in (
        ("be_unique", {}),
        ("be_increasing", {}),
        ("be_between", {"min_value": 1}),
        ("be_in_set", {"value_set": [1]}),
    ):
        empty = pa.table({"n": pa.array([], pa.int32())})
        none = compiled(rule(f"{VALUES}{type_}", column="n", **arguments), empty.schema, ())
        assert none is not None and none.failing(empty).tolist() == []


def test_sets_of_a_decimal_column_are_compared_by_value() -> None:
    rows = pa.table({"price": pa.array([Decimal("1.00"), Decimal("2.50"), None], pa.decimal128(12, 2))})
    ones = rule(f"{VALUES}be_in_set", column="price", value_set=[1])
    assert "data loss" in str(named(rows, [ones])[0])  # Great Expectations breaks on it
    assert failing(rows, ones) == {1}


def test_infinite_dates_are_beyond_every_bound() -> None:
    rows = pa.table({"day": pa.array([2**31 - 1, -(2**31) + 1, 0], pa.int32()).view(pa.date32())})
    assert failing(rows, rule(f"{VALUES}be_between", column="day", max_value="2100-01-01")) == {0}
    assert failing(rows, rule(f"{VALUES}be_between", column="day", min_value="1900-01-01")) == {1}
