"""What becomes a mask and what is left to Great Expectations, or is an error that says how to mend it."""

from __future__ import annotations

import pickle
from datetime import date
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from rule_tables import KINDS, PAIR, VALUES, batches, failing, named, rule

from transforms.rules import rules
from transforms.rules.rules import ROW_RULES, Rule, compiled
from transforms.vocabulary import SpecError

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
