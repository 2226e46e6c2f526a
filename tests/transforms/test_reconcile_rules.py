"""Rules of columns: what becomes of a field that both sides changed, and which rules make no sense."""

from __future__ import annotations

import math
from collections.abc import Callable
from datetime import date, datetime, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
import pytest

from transforms.diff import Comparison
from transforms.reconcile import Clock, Policy, Reconciled, Rule, problems, reconcile
from transforms.vocabulary import DataError, Meaning, TableName

INTEGER, REAL, TEXT = pa.int16(), pa.float64(), pa.string()
MONEY, MOMENT, SPAN = pa.decimal128(5, 2), pa.timestamp("us"), pa.duration("us")
OPEN = object()


def decided(
    rule: Rule, kind: pa.DataType, base: Any, source: Any, target: Any, meaning: Meaning = "plain", **policy: Any
) -> Reconciled:
    tables = [
        pa.table({"k": pa.array([1]), "v": pa.array([value], kind), "at": pa.array([at], pa.int64())})
        for value, at in ((base, 0), (source, 1), (target, 2))
    ]
    chosen = Policy(columns={"v": rule}, **policy)
    compared = Comparison(("k",), ("k", "v"), meanings={"v": meaning})
    assert not list(problems(chosen, ("k",), tables[1].schema, tables[2].schema, {"v": meaning}))
    return reconcile(TableName("t"), *tables, compared, chosen)


def value_of(outcome: Reconciled) -> Any:
    return OPEN if outcome.conflicts.num_rows else outcome.base["v"][0].as_py() if outcome.base is not None else None


@pytest.mark.parametrize(
    ("rule", "kind", "base", "source", "target", "result"),
    [
        ("larger", INTEGER, 1, 2, 3, 3),
        ("larger", INTEGER, 1, None, -3, -3),
        ("larger", REAL, 1.0, math.inf, 2.0, math.inf),
        ("smaller", REAL, 1.0, math.nan, 2.0, 2.0),
        ("smaller", MONEY, Decimal("1"), Decimal("-2"), Decimal("3"), Decimal("-2")),
        ("larger", MOMENT, datetime(2020, 1, 1), datetime(2021, 1, 1), datetime(2020, 1, 2), datetime(2021, 1, 1)),
        ("larger", pa.bool_(), None, True, False, True),
        ("smaller", SPAN, timedelta(1), timedelta(2), timedelta(hours=-1), timedelta(hours=-1)),
        ("newer", pa.date32(), date(2020, 1, 1), date(2021, 1, 1), date(2020, 5, 1), date(2021, 1, 1)),
        ("longer", TEXT, "a", "ab", "abc", "abc"),
        ("longer", TEXT, "a", "ba", "ab", "ba"),
        ("longer", TEXT, "a", "", None, ""),
        ("longer", TEXT, "a", "éé", "abc", "abc"),
        ("joined", TEXT, "a", "c", "b", "b\nc"),
        ("joined", TEXT, "a", "a, but done", "done", "a, but done"),
        ("joined", TEXT, "a", None, "b", "b"),
        ("sum", INTEGER, 10, 13, 8, 11),
        ("sum", INTEGER, None, 3, 8, 11),
        ("sum", INTEGER, 10, None, 12, 2),
        ("sum", INTEGER, 0, 32767, 1, OPEN),
        ("sum", pa.uint64(), 0, 2**64 - 2, 1, 2**64 - 1),
        ("sum", MONEY, Decimal("1.10"), Decimal("2.20"), Decimal("0.05"), Decimal("1.15")),
        ("sum", MONEY, Decimal("0"), Decimal("999.99"), Decimal("0.01"), OPEN),
        ("sum", pa.decimal256(76, 0), Decimal(1), Decimal(5), Decimal(7), Decimal(11)),
        ("sum", REAL, 1.0, 1.5, 3.0, 3.5),
        ("sum", SPAN, timedelta(0), timedelta(1), timedelta(2), timedelta(3)),
        ("union", TEXT, "a,b", "a,b,z", "b,c", "a,b,c,z"),
        ("union", TEXT, None, "z , a", "", "a,z"),
        ("manual", INTEGER, 1, 2, 3, OPEN),
        ("source_wins", INTEGER, 1, 2, 3, 2),
        ("target_wins", INTEGER, 1, 2, None, None),
    ],
)
def test_rule(rule: Any, kind: pa.DataType, base: Any, source: Any, target: Any, result: Any) -> None:
    assert value_of(decided(Rule(rule), kind, base, source, target)) == result
    if result is not OPEN:  # sides exchanged, the outcome is the same
        other = {"source_wins": "target_wins", "target_wins": "source_wins"}.get(rule, rule)
        assert value_of(decided(Rule(other), kind, base, target, source)) == result  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("rule", "meaning", "base", "source", "target", "result"),
    [
        ("larger", "decimal", "1", "10", "9.5", "10"),
        ("sum", "decimal", "1.5", "2", "1000000000000000000000000", "1000000000000000000000000.5"),
        ("union", "json", '["a"]', '["a", {"b": [1]}]', '["a",2]', '["a",2,{"b":[1]}]'),
        ("union", "json", "[]", '{"a": 1}', "[1]", OPEN),
        ("union", "opaque", "{a}", '{a,"c d"}', "{a,NULL}", '{a,"c d",NULL}'),
        ("union", "opaque", "{}", "{{1},{2}}", "{1}", OPEN),
    ],
)
def test_texts_go_by_what_they_stand_for(
    rule: Any, meaning: Any, base: Any, source: Any, target: Any, result: Any
) -> None:
    assert value_of(decided(Rule(rule), TEXT, base, source, target, meaning)) == result


def test_newer_goes_by_the_clock_where_there_is_one() -> None:
    early, late = datetime(2020, 1, 1), datetime(2021, 1, 1)
    assert value_of(decided(Rule("newer"), MOMENT, None, late, early)) == late
    assert value_of(decided(Rule("newer"), MOMENT, None, late, early, clock=Clock("at", "at"))) == early


def test_a_union_tells_of_elements_that_one_side_had_taken_out_and_that_are_there_again() -> None:
    outcome = decided(Rule("union"), TEXT, "a,b", "a", "a,b,c")
    assert value_of(outcome) == "a,b,c"
    assert [(each["side"], each["lost"], each["won"]) for each in outcome.overruled.to_pylist()] == [
        ("source", "a", "a,b,c")
    ]
    assert not decided(Rule("union"), TEXT, "a", "a,b", "a,c").overruled.num_rows


def test_a_function_is_called_once_with_all_fields_and_tells_what_it_dropped() -> None:
    calls: list[int] = []

    def middle(base: pd.Series[Any], source: pd.Series[Any], target: pd.Series[Any]) -> pd.Series[Any]:
        calls.append(len(base))
        return (source + target) // 2

    tables = [
        pa.table({"k": [1, 2, 3], "v": pa.array(values, INTEGER)}) for values in ([0, 0, 0], [2, 4, 1], [6, 4, 3])
    ]
    policy = Policy(columns={"v": Rule("python", function=middle)})
    outcome = reconcile(TableName("t"), *tables, Comparison(("k",), ("k", "v")), policy)
    assert calls == [2]
    assert sorted(outcome.base.to_pylist(), key=lambda row: row["k"]) == [
        {"k": 1, "v": 4},
        {"k": 2, "v": 4},
        {"k": 3, "v": 2},
    ]
    assert {(row["key"], row["side"], row["lost"]) for row in outcome.overruled.to_pylist()} == {
        ("[1]", "source", "2"), ("[1]", "target", "6"), ("[3]", "source", "1"), ("[3]", "target", "3")
    }  # fmt: skip
    assert outcome.merged.num_rows == 2


@pytest.mark.parametrize(
    "function",
    [
        lambda base, source, target: 1 / 0,
        lambda base, source, target: list(source),
        lambda base, source, target: pd.Series([1, 2]),
        lambda base, source, target: pd.Series(["1"]),
        lambda base, source, target: pd.Series([1.5]),
        lambda base, source, target: pd.Series([40000]),
        lambda base, source, target: pd.Series([object()]),
    ],
)
def test_a_function_that_fails_or_gives_something_else_is_an_error(function: Callable[..., Any]) -> None:
    with pytest.raises(DataError) as error:
        decided(Rule("python", function=function, name="rules.odd"), INTEGER, 1, 2, 3)
    assert "v" in error.value.what and "rules.odd" in error.value.what


ROWS = pa.schema([("k", pa.int64()), ("n", pa.int32()), ("s", TEXT), ("j", TEXT), ("u", pa.bool_()),
                  ("day", pa.date32()), ("at", MOMENT), ("zoned", pa.timestamp("us", "UTC"))])  # fmt: skip


@pytest.mark.parametrize(
    ("policy", "about"),
    [
        (Policy(columns={"s": Rule("sum")}), "s is text"),
        (Policy(columns={"u": Rule("sum")}), "u is boolean"),
        (Policy(columns={"at": Rule("sum")}), "at is timestamp"),
        (Policy(columns={"s": Rule("larger")}), "s is text"),
        (Policy(columns={"n": Rule("longer")}), "n is integer"),
        (Policy(columns={"j": Rule("longer")}), "j is json"),
        (Policy(columns={"n": Rule("union")}), "n is integer"),
        (Policy(columns={"s": Rule("newer")}), "clock"),
        (Policy(columns={"missing": Rule("newer")}), "missing"),
        (Policy(columns={"k": Rule("larger")}), "key"),
        (Policy(by="row"), "field by field"),
        (Policy("newer_wins"), "clock"),
        (Policy(initial="newer"), "clock"),
        (Policy(create="newer_wins"), "clock"),
        (Policy(clock=Clock("at", "missing")), "missing"),
        (Policy(clock=Clock("s", "s")), "no clock"),
        (Policy(clock=Clock("at", "zoned")), "different types"),
        (Policy(clock=Clock("day", "at")), "different types"),
        (Policy(clock=Clock("at", "at", timedelta(seconds=-1))), "negative"),
        (Policy(clock=Clock("n", "n", timedelta(seconds=1))), "no skew"),
    ],
)
def test_what_makes_no_sense_is_said_with_the_fix(policy: Policy, about: str) -> None:
    (problem,) = problems(policy, ("k",), ROWS, ROWS, {"j": "json"})
    assert about in problem.what
    assert problem.fix
