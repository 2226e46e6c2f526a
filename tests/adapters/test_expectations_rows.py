"""Great Expectations at the planned checkpoint, on rows in memory; and what of a spec it does not know."""

from __future__ import annotations

import json
import logging
import pickle
import socket
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pytest
from expecting import BETWEEN, COUNT, IN_SET, NOT_NULL, ORPHANS, REGEX, SUM, UNIQUE, expected

from adapters.expectations.run import BrokenCheck, Checked, Expected, check_rows, is_row_rule, validated
from transforms.vocabulary import SpecError, SynclineError

ROWS = pa.table(
    {
        "id": [1, 2, 3, 4, 5],
        "name": ["Ann", None, "bob", "Ann", "Eve"],
        "age": pa.array([20, 30, None, 150, 40], pa.int32()),
    }
)


def on_rows(rows: pa.Table, *checks: tuple[str, dict[str, Any]], **totals: int) -> tuple[Checked, ...]:
    key = ["id"] if "id" in rows.column_names else []
    return check_rows(rows, key, expected(*checks), totals, "people")


def failing(values: Sequence[Any], kind: pa.DataType, check: str, **arguments: Any) -> tuple[int, ...]:
    """The positions at which one column fails one check."""
    (found,) = on_rows(pa.table({"c": pa.array(values, kind)}), (check, {"column": "c", **arguments}))
    return found.rows


def test_results_come_in_the_order_of_the_spec() -> None:
    checks = [(COUNT, {"value": 5}), (UNIQUE, {"column": "name"}), (NOT_NULL, {"column": "id"})]
    checks += [
        ("expect_column_max_to_be_between", {"column": "age", "max_value": 99}),
        (REGEX, {"column": "name", "regex": "^A"}),
    ]
    found = on_rows(ROWS, *checks)
    assert [(each.number, each.type) for each in found] == [(number, kind) for number, (kind, _) in enumerate(checks)]
    assert [each.passed for each in found] == [True, False, True, False, False]
    assert [each.observed for each in found] == ["5", None, None, "150", None]
    assert [each.rows for each in found] == [(), (0, 3), (), (), (2, 4)]


def test_all_failing_rows_are_named_and_a_few_are_told() -> None:
    many = pa.table({"id": pa.array(range(5_000)), "x": pa.array([None if n % 3 else n for n in range(5_000)])})
    (found,) = on_rows(many, (NOT_NULL, {"column": "x"}))
    assert found.rows == tuple(n for n in range(5_000) if n % 3)
    assert (found.checked, found.unexpected) == (5_000, len(found.rows))
    assert found.sample == tuple(f"id={n}" for n in (1, 2, 4, 5, 7))


def test_positions_are_those_of_the_rows_given_whatever_the_condition_and_the_chunks() -> None:
    chunked = pa.concat_tables([ROWS.slice(2), ROWS.slice(0, 2)])  # ids 3 4 5 1 2
    limit = {"column": "age", "max_value": 25}
    asked = {**limit, "row_condition": "id > 1", "condition_parser": "pandas"}
    all_rows, some = on_rows(chunked, (BETWEEN, limit), (BETWEEN, asked))
    assert all_rows.rows == some.rows == (1, 2, 4)
    assert (all_rows.checked, some.checked) == (5, 4)


def test_severities_travel_and_do_not_change_what_passes() -> None:
    for severity in ("critical", "warning", "info"):
        (found,) = check_rows(ROWS, ["id"], expected((NOT_NULL, {"column": "name"}), severity=severity), {}, "people")
        assert (found.severity, found.passed) == (severity, False)


def test_a_check_with_mostly_passes_and_still_names_its_rows() -> None:
    (found,) = on_rows(ROWS, (NOT_NULL, {"column": "name", "mostly": 0.5}))
    assert found.passed
    assert found.rows == (1,)


def test_a_missing_column_is_an_error_of_its_own_and_not_a_failed_check() -> None:
    with pytest.raises(
        BrokenCheck, match=r"people: check 1, .*not_be_null of nmae could not be evaluated: .*nmae"
    ) as caught:
        on_rows(ROWS, (NOT_NULL, {"column": "name"}), (NOT_NULL, {"column": "nmae"}))
    assert isinstance(caught.value, SynclineError)
    assert "\n" not in str(caught.value)


def test_what_only_sql_can_answer_is_broken_in_memory() -> None:
    with pytest.raises(BrokenCheck, match="no way to do it here"):
        on_rows(ROWS, ("expect_column_values_to_match_like_pattern", {"column": "name", "like_pattern": "A%"}))


def test_totals_stand_where_numbers_do() -> None:
    low = "expect_table_row_count_to_be_between"
    found = on_rows(
        ROWS,
        (COUNT, {"value": "$source_rows"}),
        (COUNT, {"value": {"$PARAMETER": "inserted"}}),
        (low, {"min_value": "$inserted"}),
        source_rows=5,
        inserted=4,
    )
    assert [each.passed for each in found] == [True, False, True]
    assert found[0].arguments == {"value": "$source_rows"}
    with pytest.raises(SpecError, match=r"\$sorce_rows.*did you mean \$source_rows"):
        on_rows(ROWS, (COUNT, {"value": "$sorce_rows"}), source_rows=5)


def test_a_dollar_in_a_text_is_a_dollar() -> None:
    assert failing(["$a", "b"], pa.string(), IN_SET, value_set=["$a"]) == (1,)


@pytest.mark.parametrize(
    "kind",
    [pa.int64(), pa.string(), pa.float64(), pa.bool_(), pa.date32(), pa.timestamp("us"), pa.decimal128(20, 2)],
    ids=str,
)
def test_an_empty_table_passes_what_is_about_rows(kind: pa.DataType) -> None:
    empty = pa.table({"c": pa.array([], kind)})
    checks = [
        (NOT_NULL, {"column": "c"}),
        (BETWEEN, {"column": "c", "min_value": 1}),
        (UNIQUE, {"column": "c"}),
        (COUNT, {"value": 0}),
    ]
    found = on_rows(empty, *checks)
    assert all(each.passed and not each.rows for each in found)
    if kind == pa.int64():
        (least,) = on_rows(empty, ("expect_column_min_to_be_between", {"column": "c", "min_value": 1}))
        assert least.observed is None


def test_no_checks_come_to_nothing_and_need_no_rows() -> None:
    assert check_rows(ROWS.slice(0, 0), [], [], {}, "people") == ()


def test_decimals_at_their_bounds_are_within_them() -> None:
    values = [Decimal("0.10"), Decimal("0.30"), None, Decimal("0.31"), Decimal("0.09")]
    for kind in (pa.decimal128(10, 2), pa.decimal128(38, 2), pa.decimal256(50, 2)):
        assert failing(values, kind, BETWEEN, min_value=0.1, max_value=0.3) == (3, 4)
        assert failing(values, kind, IN_SET, value_set=[0.1, 0.3]) == (3, 4)


def test_decimals_are_unique_to_their_last_digit_whatever_else_is_asked() -> None:
    values = [Decimal("12345678901234567890.01"), Decimal("12345678901234567890.02"), None]
    rows = pa.table({"c": pa.array(values, pa.decimal128(38, 2))})
    mean = ("expect_column_mean_to_be_between", {"column": "c", "min_value": 0})
    assert [each.passed for each in on_rows(rows, mean, (UNIQUE, {"column": "c"}), mean)] == [True] * 3


def test_decimals_that_even_out_come_to_nothing_however_many_they_are() -> None:
    debits = [Decimal("0.10"), Decimal("0.20"), Decimal("-0.30"), None] * 50_000  # Arrow's own would take 20 minutes
    rows = pa.table({"c": pa.array(debits, pa.decimal128(10, 2))})
    nothing = {"column": "c", "min_value": 0, "max_value": 0}
    total, some = on_rows(
        rows, (SUM, nothing), (SUM, {**nothing, "row_condition": "c > 0", "condition_parser": "pandas"})
    )
    assert (total.passed, total.observed, some.passed) == (True, "0.0", False)
    assert on_rows(rows.slice(3, 1), (SUM, {"column": "c", "min_value": 0}))[0].rows == ()


def test_integers_that_a_double_would_round_are_compared_exactly() -> None:
    assert failing([2**53, 2**53 + 1], pa.int64(), BETWEEN, max_value=2**53) == (1,)
    assert failing([2**53, None, 2**53 + 1], pa.int64(), UNIQUE) == ()


def test_nan_counts_as_null() -> None:
    assert failing([1.0, float("nan"), None], pa.float64(), NOT_NULL) == (1, 2)
    assert failing([1.0, None], pa.float64(), NOT_NULL) == (1,)


def test_dates_and_times_are_compared_with_texts_dates_and_times() -> None:
    days = [date(2013, 1, 1), None, date(2014, 1, 1)]
    plain = [None if day is None else datetime(day.year, day.month, day.day) for day in days]
    bounds: list[Any] = ["2013-06-01", date(2013, 6, 1), datetime(2013, 6, 1), "2013-06-01T00:00:00"]
    zoned = [None if day is None else datetime(day.year, day.month, day.day, tzinfo=UTC) for day in days]
    for bound in bounds:
        for values, kind in ((days, pa.date32()), (plain, pa.timestamp("us")), (zoned, pa.timestamp("us", "UTC"))):
            assert failing(values, kind, BETWEEN, min_value=bound) == (0,), (bound, kind)
    for one in ("2013-01-01", date(2013, 1, 1)):
        for values, kind in ((days, pa.date32()), (plain, pa.timestamp("us")), (zoned, pa.timestamp("us", "UTC"))):
            assert failing(values, kind, IN_SET, value_set=[one]) == (2,)


def test_four_threads_at_once_keep_their_results_apart() -> None:
    def window(number: int) -> list[tuple[int, ...]]:
        rows = pa.table({"id": range(100), "x": [n if n % 10 != number else None for n in range(100)]})
        return [
            each.rows
            for each in on_rows(
                rows, (NOT_NULL, {"column": "x"}), (BETWEEN, {"column": "id", "max_value": 90 + number})
            )
        ]

    with ThreadPoolExecutor(4) as pool:
        for number, found in enumerate(pool.map(window, range(8))):
            assert found == [tuple(range(number, 100, 10)), tuple(range(91 + number, 100))]


def test_results_are_plain_data() -> None:
    (found,) = on_rows(ROWS, (BETWEEN, {"column": "age", "min_value": Decimal("25"), "max_value": 99}))
    assert pickle.loads(pickle.dumps(found)) == found
    told = json.loads(json.dumps(found.as_dict()))
    assert told["arguments"] == {"column": "age", "min_value": "25", "max_value": 99}
    assert told["rows"] == [0, 3]


def test_great_expectations_is_quiet_and_talks_to_nobody(
    capfd: pytest.CaptureFixture[str], caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refused(*_: object) -> None:
        raise AssertionError("something talks to the network")

    monkeypatch.setattr(socket.socket, "connect", refused)
    rows = pa.table({"c": pa.array([Decimal("12345678901234567890.01"), None], pa.decimal128(38, 2))})
    with caplog.at_level(logging.DEBUG):
        on_rows(rows, (NOT_NULL, {"column": "c"}), ("expect_column_sum_to_be_between", {"column": "c", "min_value": 1}))
    assert capfd.readouterr() == ("", "")
    assert [each.name for each in caplog.records if each.name.startswith("great_expectations")] == []


def test_row_rules_are_those_whose_rows_great_expectations_names() -> None:
    from great_expectations.expectations import expectation
    from great_expectations.expectations.registry import (
        get_expectation_impl,
        list_registered_expectation_implementations,
    )

    maps = (
        expectation.ColumnMapExpectation,
        expectation.ColumnPairMapExpectation,
        expectation.MulticolumnMapExpectation,
    )
    for kind in list_registered_expectation_implementations():
        type_only = kind in ("expect_column_values_to_be_of_type", "expect_column_values_to_be_in_type_list")
        assert is_row_rule(kind) == (
            issubclass(get_expectation_impl(kind), maps) and not type_only and "like_pattern" not in kind
        ), kind


# The spec


@pytest.mark.parametrize(
    ("kind", "arguments", "told"),
    [
        ("expect_column_values_to_be_betwen", {"column": "age"}, f"did you mean {BETWEEN}"),
        (BETWEEN, {"column": "age", "min_vaule": 1}, "min_vaule is no argument.*did you mean min_value"),
        (BETWEEN, {"column": "age", "min_value": "young"}, "min_value: value is not a valid float"),
        (BETWEEN, {"min_value": 1}, "column: field required"),
        (BETWEEN, {"column": "age"}, "cannot both be None"),
        (BETWEEN, {"column": "aeg", "min_value": 1}, "no column 'aeg'.*did you mean age"),
        (BETWEEN, {"column": "age", "max_value": 2**53 + 1}, "as a double, which cannot hold 9007199254740993"),
        ("expect_compound_columns_to_be_unique", {"column_list": ["id", "nam"]}, "no column 'nam'.*did you mean name"),
        (COUNT, {"value": "$source_row"}, r"\$source_row.*did you mean \$source_rows"),
        (COUNT, {"value": 1, "result_format": "BASIC"}, "result_format is set by Syncline"),
        (ORPHANS, {"unexpected_rows_query": "SELECT 1"}, "write {batch}"),
        ("expect_query_results_to_match_comparison", {}, "compares only some rows"),
    ],
)
def test_what_great_expectations_does_not_know_is_told_with_place_and_fix(
    kind: str, arguments: dict[str, Any], told: str
) -> None:
    wrong = [Expected(0, NOT_NULL, {"column": "id"}), Expected(1, kind, arguments)]
    with pytest.raises(SpecError, match=rf"^spec.yaml:11 expect\[1\]: .*{told}.*") as caught:
        validated(
            wrong, ["id", "name", "age"], {"source_rows": 0}, lambda number: f"spec.yaml:1{number} expect[{number}]"
        )
    assert "Fix: " in str(caught.value)


def test_what_great_expectations_knows_is_valid() -> None:
    checks = expected(
        (NOT_NULL, {"column": "id", "notes": "why"}),
        (COUNT, {"value": "$source_rows"}),
        ("expect_column_to_exist", {"column": "new"}),
        (BETWEEN, {"column": "born", "min_value": "2013-01-01"}),
    )
    validated(checks, ["id", "born"], {"source_rows": 0}, "spec.yaml:1")
    validated(expected((NOT_NULL, {"column": "any"})), None, {}, str)


def test_checks_for_sql_are_refused_for_rows_in_memory() -> None:
    orphans = expected((ORPHANS, {"unexpected_rows_query": "SELECT * FROM {batch}"}))
    validated(orphans, [], {}, str)
    with pytest.raises(SpecError, match="move it to `loaded`"):
        validated(orphans, [], {}, str, planned=True)
