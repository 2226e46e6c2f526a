"""Expectations by their names, and how tests ask for them."""

from __future__ import annotations

from typing import Any

from adapters.expectations.run import Expected

NOT_NULL = "expect_column_values_to_not_be_null"
BETWEEN = "expect_column_values_to_be_between"
IN_SET = "expect_column_values_to_be_in_set"
REGEX = "expect_column_values_to_match_regex"
UNIQUE = "expect_column_values_to_be_unique"
COUNT = "expect_table_row_count_to_equal"
SUM = "expect_column_sum_to_be_between"
ORPHANS = "unexpected_rows_expectation"


def expected(*checks: tuple[str, dict[str, Any]], severity: str = "critical") -> list[Expected]:
    return [Expected(number, kind, arguments, severity) for number, (kind, arguments) in enumerate(checks)]
