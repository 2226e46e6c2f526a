"""Expressions of a spec: what they may say, what they may not reach, and which rows they fail for."""

from __future__ import annotations

import threading
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path

import duckdb
import pyarrow as pa
import pytest

from transforms import expressions
from transforms.vocabulary import SpecError

ROWS = pa.table(
    {"a": pa.array([1, 2, 3]), "b": ["x", None, "z"], "select": ["k", "l", "m"], 'odd "n"': [1.5, 2.5, 3.5]}
)


def values(sql: str, rows: pa.Table = ROWS) -> list[object]:
    found: list[object] = expressions.select(rows, {"v": sql}).column("v").to_pylist()
    return found


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("a * 2", [2, 4, 6]),
        ("coalesce(b, '-')", ["x", "-", "z"]),
        ("a -- a comment", [1, 2, 3]),
        ('"select" || "odd ""n"""', ["k1.5", "l2.5", "m3.5"]),
        ("case when a > 1 then b end", [None, None, "z"]),
        ("make_date(2024, a::int, 1)", [date(2024, 1, 1), date(2024, 2, 1), date(2024, 3, 1)]),
        (
            "make_date(2024, 1, 31) + to_months(a::int)",
            [datetime(2024, 2, 29), datetime(2024, 3, 31), datetime(2024, 4, 30)],
        ),
        ("(a / 8)::decimal(9,3)", [Decimal("0.125"), Decimal("0.250"), Decimal("0.375")]),
        ("list_sum([x + a for x in [1, 2]])", [5, 7, 9]),
    ],
)
def test_an_expression_answers_for_each_row_in_order(sql: str, wanted: list[object]) -> None:
    assert values(sql) == wanted


def test_a_column_may_be_called_source() -> None:
    assert values("source + 1", pa.table({"source": [1, 2]})) == [2, 3]


@pytest.mark.parametrize(
    "sql",
    [
        "(SELECT content FROM read_text('{file}'))",
        "(SELECT count(*) FROM '{file}')",
        "(SELECT count(*) FROM glob('/*'))",
        "getenv('HOME')",
        "a); COPY (SELECT 1) TO '{file}'; SELECT (1",
        "a); ATTACH '{file}'; SELECT (1",
        "(SELECT count(*) FROM secret)",
    ],
)
def test_an_expression_reaches_nothing_outside_of_its_rows(sql: str, tmp_path: Path) -> None:
    secret = pa.table({"hidden": [1]})  # a Python variable that DuckDB could find by its name
    file = tmp_path / "file.csv"
    file.write_text("a\n1\n")
    with pytest.raises((SpecError, duckdb.Error)):
        expressions.check(ROWS.schema, "v", sql.format(file=file))
    with pytest.raises((SpecError, duckdb.Error)):
        values(sql.format(file=file))
    assert file.read_text() == "a\n1\n"
    assert secret.num_rows == 1


def test_the_type_is_known_without_rows() -> None:
    assert expressions.check(ROWS.schema, "v", "a + 1") == pa.int64()
    assert expressions.check(ROWS.schema, "v", "b || 'x'") == pa.string()
    assert expressions.check(ROWS.schema, "v", "(a / 3)::decimal(7,2)") == pa.decimal128(7, 2)


@pytest.mark.parametrize(
    ("sql", "match"),
    [
        ("sum(a)", "aggregates over rows"),
        ("count(*)", "aggregates over rows"),
        ("row_number() over ()", "looks at other rows"),
        ("lag(a) over (order by a)", "looks at other rows"),
        ("(select max(a) from source)", "looks at other rows"),
        ("unnest([a, a + 1])", "single row"),
        ("a +", "."),
        ("nofunction(a)", "nofunction"),
        ("a + b + date '2024-01-01'", "."),
        ("*", "."),
    ],
)
def test_what_is_no_expression_of_a_single_row_is_refused(sql: str, match: str) -> None:
    with pytest.raises(SpecError, match=match) as caught:
        expressions.check(ROWS.schema, "v", sql)
    assert len(str(caught.value).splitlines()) == 1


@pytest.mark.parametrize(
    ("sql", "wanted"),
    [
        ("a + b", {"a", "b"}),
        ("1", set()),
        ('"odd ""n"""', {'odd "n"'}),
        ("list_transform([1], x -> x + a)", {"a"}),
        ("case when a is null then b else c end", {"a", "b", "c"}),
        ("[x + a for x in [1, 2]]", {"a"}),
        ("source.a", {"a"}),
    ],
)
def test_the_columns_of_an_expression(sql: str, wanted: set[str]) -> None:
    assert expressions.columns(sql) == wanted


def test_columns_are_read_in_any_case_and_come_in_the_order_of_the_table() -> None:
    assert expressions.named('total / "Price" + Total', ("price", "TOTAL", "other")) == ("price", "TOTAL")


def test_what_cannot_be_parsed_is_refused() -> None:
    for sql in ("a +", "", "select", "a)"):
        with pytest.raises(SpecError):
            expressions.columns(sql)


def test_the_rows_that_an_expression_fails_for_are_found_and_the_others_kept() -> None:
    texts = [str(n) for n in range(1000)]
    texts[3], texts[500], texts[999] = "x", "", "9999999999"
    found, faults = expressions.evaluate(pa.table({"s": texts}), "v", "s::integer")
    assert sorted(faults) == [3, 500, 999]
    assert len(found) == 1000
    assert found.null_count == 3
    assert found[998].as_py() == 998
    assert all(text and "\n" not in text for text in faults.values())


def test_an_overflow_and_a_division_by_zero_are_faults_of_their_rows() -> None:
    rows = pa.table({"n": pa.array([0, 1, 2**62])})
    found, faults = expressions.evaluate(rows, "v", "n * 4")
    assert (found.to_pylist()[:2], list(faults)) == ([0, 4], [2])
    found, faults = expressions.evaluate(rows, "v", "4 // n")
    assert (found.to_pylist(), list(faults)) == ([None, 4, 0], [0])


def test_an_expression_that_is_wrong_for_every_row_is_an_error_of_the_spec() -> None:
    with pytest.raises(SpecError, match="nothing"):
        expressions.evaluate(ROWS, "v", "nothing + 1")


def test_threads_do_not_see_each_others_rows() -> None:
    wrong: list[int] = []

    def work(number: int) -> None:
        rows = pa.table({"n": [number] * 100})
        for _ in range(30):
            if set(values("n", rows)) != {number}:
                wrong.append(number)

    threads = [threading.Thread(target=work, args=(number,)) for number in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


def test_keys_as_json_stay_apart() -> None:
    rows = pa.table({"a": ["a|b", "a", None, "NULL"], "b": pa.array([1, 2, 3, None])})
    assert expressions.as_json_keys(rows, ("a", "b")).to_pylist() == [
        '["a|b",1]',
        '["a",2]',
        "[null,3]",
        '["NULL",null]',
    ]


def test_local_times_are_read_as_utc_whatever_the_machine_says() -> None:
    assert values("'2024-01-01 00:00:00+00'::timestamptz::varchar")[0] == "2024-01-01 00:00:00+00"


@pytest.mark.parametrize(
    ("sql", "wanted", "meaning"),
    [
        (
            "to_months(-1) + to_days(2) + to_hours(a)",
            ["-1 mons +2 days 01:00:00", "-1 mons +2 days 02:00:00"],
            "interval",
        ),
        ("to_days(-a::int)", ["-1 days", "-2 days"], "interval"),
        ("'12:00:00+02'::timetz", ["12:00:00+02"] * 2, "plain"),
        ("'101'::bit", ["101"] * 2, "plain"),
        ("a::bignum", ["1", "2"], "decimal"),
    ],
)
def test_what_arrow_has_no_type_for_travels_as_text(sql: str, wanted: list[str], meaning: str) -> None:
    rows = pa.table({"a": [1, 2]})
    assert values(sql, rows) == wanted
    assert expressions.typed(rows.schema, "v", sql) == (pa.string(), meaning)


@pytest.mark.parametrize(
    "sql", ["{'a': a}", "map {'a': a}", "[to_days(1)]", "[a]::bigint[1]", "union_value(x := a)", "a::variant"]
)
def test_what_no_column_takes_is_refused_with_what_helps(sql: str) -> None:
    with pytest.raises(SpecError, match=r"which no column takes\. Fix: make a text of it there"):
        expressions.typed(pa.schema([("a", pa.int64())]), "v", sql)


@pytest.mark.parametrize(
    ("sql", "steady"),
    [
        ("upper(a) || split_part(b, 'x', 1)", True),
        ("(a * 0.01)::decimal(12,2)", True),
        ("CASE WHEN a IS NULL THEN nullif(b, '') ELSE coalesce(a, b) END", True),
        ("list_transform([a], x -> x || 'b')[1]", True),
        ("extract(year FROM a::date) + A", True),
        ("a + random()", False),
        ("CASE WHEN a > 1 THEN CURRENT_DATE END", False),
        ("current_timestamp", False),
        ("now()", False),
        ("age(a::timestamp)", False),
        ("list_transform([a], x -> x + random())", False),
        ("gen_random_uuid()::VARCHAR", False),
        ("current_setting('TimeZone')", False),
        ("nobody_knows(a)", False),
        ("a +", False),
    ],
)
def test_an_expression_is_steady_where_the_same_values_always_give_the_same(sql: str, steady: bool) -> None:
    assert expressions.steady(sql, ["a", "b"]) is steady


@pytest.mark.parametrize(
    ("condition", "timeless"),
    [
        ("a > 0 AND (b = 'x' OR b IS NULL)", True),
        ("a BETWEEN 1 AND 2 AND b IN ('x', 'y')", True),
        ("a < CURRENT_DATE", False),
        ("a < 'now'", False),
        ("a < 'Today'", False),
        ("a = upper(b)", False),
        ("a = (SELECT 1)", False),
        ("a = elsewhere", False),
        ("a = @x", False),
        ("a = 1; b", False),
    ],
)
def test_a_condition_is_timeless_where_it_compares_columns_with_constants(condition: str, timeless: bool) -> None:
    assert expressions.timeless(condition, ["a", "b"]) is timeless
