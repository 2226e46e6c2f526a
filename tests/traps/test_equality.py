"""Values that look alike are never silently equal, and equal values never silently different."""

from __future__ import annotations

import math
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from scenario import Engine, Scenario, counts, pair_name
from traps import RING, Migrated, Migrations, Trap, create, migrations, pick
from type_values import told, value

from flows import commands
from transforms.vocabulary import SpecError

WORDS = ["", None, "NULL", "None", "<null>", "null", "\\N", " ", "x", "x "]
TEXT = "id integer PRIMARY KEY, s varchar(20)"
BLANKED = {"id": "id", "s": {"from": "s", "map": {"": None, "NULL": None}, "default": "keep"}}

FLOAT = "id integer PRIMARY KEY, f double precision"
FINITE = [(1, -0.0), (2, 0.0), (3, 5e-324), (4, 1.7976931348623157e308), (5, 0.1), (6, None)]
ENDLESS = [*FINITE, (7, math.inf), (8, -math.inf)]
ANY = [*ENDLESS, (9, math.nan), (10, math.nan)]
FLOATS = {"sqlite": ENDLESS, "mysql": FINITE, "": ANY}
NEVER_HELD = {"mysql": {"7", "8", "9", "10"}, "sqlite": {"9", "10"}}
"""The rows that an engine has no value for."""
FLOAT_KEY = "k double precision PRIMARY KEY, v varchar(9)"

DECIMALS = [(1, "1.10"), (2, "1.239"), (3, "1234567.89"), (4, "12345678.90"), (5, "-0.01"), (6, "0"), (7, None)]
CLOSE = [(1, 0.1 + 0.2, 2.0), (2, 1.5, 1.0005), (3, 1.5, 1.01), (4, 1.5, 1.0)]
CLOSE_THERE = [(1, 0.3, 2.0), (2, 1.5, 1.0), (3, 1.5, 1.0), (4, 1.5, 1.0)]

JSON = {"sqlite": "JSON_TEXT", "duckdb": "JSON", "postgresql": "jsonb", "mysql": "json"}
JSONS: list[tuple[int, str | None, str | None]] = [  # the source's text, the target's
    (1, '{"a": 1, "b": [1, 2]}', '{"b":[1,2],"a":1}'),
    (2, '{"b":[1,2],"a":1}', '{"a": 1,   "b": [1, 2]}'),
    (3, "1.0", "1"),
    (4, '"\u00e9"', '"\\u00e9"'),
    (5, "null", None),
    (6, None, "null"),
    (7, '{"a": 1}', '{"a": "1"}'),
    (8, "[1, 2]", "[2, 1]"),
    (9, "true", "1"),
    (10, '{"n": 12345678901234567890.5}', '{"n": 12345678901234567890.4}'),
]

NAIVE = {"mysql": "datetime(6)", "": "timestamp"}
AWARE = {"sqlite": "timestamptz", "duckdb": "timestamptz", "postgresql": "timestamptz", "mysql": "timestamp(6) NULL"}
COARSE = {"sqlite": "timestamp", "duckdb": "TIMESTAMP_S", "postgresql": "timestamp(0)", "mysql": "datetime"}
LOCALS = [
    (1, "2024-07-01 12:00:00.123456"),
    (2, "2024-01-01 12:00:00.000001"),
    (3, "2024-03-31 02:30:00"),  # skipped in Vienna
    (4, "2024-10-27 02:30:00"),  # repeated there
    (5, None),
]
INSTANTS = [
    (1, "2024-07-01 10:00:00.123456+00:00"),
    (2, "2024-01-01 11:00:00.000001+00:00"),
    (3, "2024-10-27 00:30:00+00:00"),
    (4, "2024-10-27 01:30:00+00:00"),
    (5, None),
]
SECONDS = [(1, "2024-07-01 12:00:00"), (2, "2024-07-01 12:00:00.5"), (3, "2024-07-01 12:00:00.000001")]


def typed(types: dict[str, str]) -> dict[str, str]:
    return {engine: f"id integer PRIMARY KEY, c {native}" for engine, native in types.items()}


def cast(kind: Any, **more: Any) -> dict[str, Any]:
    return {"columns": {"id": "id", "c": {"from": "c", "cast": {"type": kind, **more} if more else kind}}}


TABLES = (
    Trap("words", TEXT, list(enumerate(WORDS)), {"from": "words"}, TEXT, list(enumerate([*WORDS[1:], WORDS[0]]))),
    Trap("blanked", TEXT, list(enumerate(WORDS)), {"from": "blanked", "columns": BLANKED}),
    Trap("floats", FLOAT, FLOATS, {"from": "floats"}, FLOAT, [(1, 0.0), (2, -0.0), (5, 0.10000000000000002), (6, 0.0)]),
    Trap("float_keys", FLOAT_KEY, [(-0.0, "same"), (0.1, "new"), (1e300, "new")], {"from": "float_keys", "window": 300}, FLOAT_KEY, [(0.0, "same"), (0.1, "old")]),
    Trap("decimals", "id integer PRIMARY KEY, d numeric(12,3)", DECIMALS, {"from": "decimals"}, "id integer PRIMARY KEY, d numeric(9,2)", [(1, "1.1"), (2, "1.24"), (6, "-0.00")]),
    Trap("rounded", "id integer PRIMARY KEY, d numeric(12,3)", DECIMALS[:3], {"from": "rounded", "columns": {"id": "id", "d": {"expr": "round(d, 2)::decimal(9,2)"}}}),
    Trap("close", "id integer PRIMARY KEY, exact double precision, about double precision", CLOSE,
         {"from": "close", "columns": {"id": "id", "exact": "exact", "about": {"from": "about", "tolerance": 0.001}}},
         "id integer PRIMARY KEY, exact double precision, about double precision", CLOSE_THERE),
    Trap("truths", "id integer PRIMARY KEY, n integer, s varchar(9)", [(1, 1, "1"), (2, 0, "false"), (3, 2, "T"), (4, -1, "t"), (5, 1, "yes"), (6, None, None)],
         {"from": "truths", "columns": {"id": "id", "n": {"from": "n", "cast": "boolean"}, "s": {"from": "s", "cast": "boolean"}, "t": {"from": "n", "cast": "text"}}}),
    Trap("jsons", typed(JSON), [row[:2] for row in JSONS], {"from": "jsons"}, typed(JSON), [row[::2] for row in JSONS]),
    Trap("json_texts", TEXT, [(1, '{"a":1}'), (2, "1.0")], {"from": "json_texts"}, TEXT, [(1, '{"a": 1}'), (2, "1")]),
    Trap("instants", typed(NAIVE), LOCALS, {"from": "instants", **cast("timestamptz", time_zone="Europe/Vienna")}, typed(AWARE)),
    Trap("settled_instants", typed(NAIVE), LOCALS, {"from": "settled_instants", **cast("timestamptz", time_zone="Europe/Vienna", ambiguous="earliest", nonexistent="latest")}, typed(AWARE)),
    Trap("local_times", typed(AWARE), {"mysql": [(n, at and at[:-6]) for n, at in INSTANTS], "": INSTANTS}, {"from": "local_times", **cast("timestamp", time_zone="Europe/Vienna")}, typed(NAIVE)),
    Trap("seconds", typed(NAIVE), SECONDS, {"from": "seconds"}, typed(COARSE)),
    Trap("cut_seconds", typed(NAIVE), SECONDS, {"from": "cut_seconds", "columns": {"id": "id", "c": {"expr": "date_trunc('second', c)"}}}, typed(COARSE)),
)  # fmt: skip


@pytest.fixture(scope="module")
def all_pairs(request: pytest.FixtureRequest) -> Iterator[Migrations]:
    with migrations(TABLES, request) as found:
        yield found


@pytest.fixture(params=RING, ids=pair_name)
def pair(request: pytest.FixtureRequest, all_pairs: Migrations) -> Migrated:
    return all_pairs.between(request.param)


# --- null and the words for it


def test_null_and_the_words_for_it_are_different_values(pair: Migrated) -> None:
    assert pair.counts("words") == {"source_rows": 10, "update": 10}
    assert pair.target.rows("words") == sorted(enumerate(WORDS), key=str)
    pair.settled("words")


def test_words_become_null_where_the_spec_says_so(pair: Migrated) -> None:
    wanted = [(n, None if word in ("", "NULL") else word) for n, word in enumerate(WORDS)]
    assert pair.target.rows("blanked") == sorted(wanted, key=str)
    pair.settled("blanked")


# --- floats


def test_nan_equals_nan_and_minus_zero_zero_and_infinity_survives_or_is_named(pair: Migrated) -> None:
    rows = dict(pick(FLOATS, pair.source.engine))
    never = {number for number in NEVER_HELD.get(pair.target.engine, ()) if int(number) in rows}
    assert pair.reasons("floats").keys() == never
    assert sum(pair.counted("floats").values()) == len(never)
    found = dict(pair.target.rows("floats"))
    assert found.keys() == {n for n in rows if str(n) not in never}
    for n, each in found.items():
        assert each == rows[n] or (math.isnan(each) and math.isnan(rows[n]))
    # zeros of the other sign are there already; the next double and the null in place of zero are not as they should be
    assert (pair.counts("floats")["update"], pair.counts("floats")["unchanged"]) == (2, 2)
    assert next(t for t in pair.first.report.tables if t.name == "floats").differing == {"f": 2}
    pair.settled("floats")


def test_minus_zero_and_zero_are_one_key(pair: Migrated) -> None:
    assert pair.counts("float_keys") == {"source_rows": 3, "insert": 1, "update": 1, "unchanged": 1}
    assert dict(pair.target.rows("float_keys")) == {0.0: "same", 0.1: "new", 1e300: "new"}
    pair.settled("float_keys")


@pytest.mark.parametrize("pair", [("duckdb", "postgresql"), ("postgresql", "duckdb")], ids=pair_name)
def test_nan_is_one_key_and_a_second_run_of_nan_is_empty(
    tmp_path: Path, pair: tuple[Engine, Engine], request: pytest.FixtureRequest
) -> None:
    small = Scenario.make(tmp_path, pair, request)
    for side in (small.source, small.target):
        create(side, "t", "k double precision PRIMARY KEY, f real")
    small.source.insert("t", [(math.nan, math.nan), (math.inf, -math.inf), (-math.inf, math.inf), (-0.0, 0.0)])
    small.target.insert("t", [(math.nan, math.inf), (0.0, -0.0)])
    small.write({"t": {"from": "t", "window": 300}})
    assert counts(small.run(), "t") == {"source_rows": 4, "insert": 2, "update": 1, "unchanged": 1}
    assert len(small.target.rows("t")) == 4
    small.settled()


# --- decimals and tolerance


def test_decimals_compare_by_value_and_are_never_rounded(pair: Migrated) -> None:
    assert pair.counts("decimals") == {"source_rows": 7, "insert": 3, "unchanged": 2, "quarantined": 2, "unproved": 1}
    aside = [(key, column, Decimal(value or "")) for key, column, value, _ in pair.quarantined("decimals")]
    assert aside == [([2], "d", Decimal("1.239")), ([4], "d", Decimal("12345678.9"))]
    assert [f.rows for f in pair.findings("decimals")] == [2]
    held = {n: None if d is None else Decimal(str(d)) for n, d in pair.target.rows("decimals")}
    assert held == {n: None if d is None else Decimal(d) for n, d in DECIMALS if n not in (2, 4)} | {2: Decimal("1.24")}
    pair.settled("decimals")


def test_decimals_are_rounded_where_the_spec_says_so(pair: Migrated) -> None:
    assert pair.counts("rounded") == {"source_rows": 3, "insert": 3}
    assert [Decimal(str(d)) for _, d in pair.target.rows("rounded")] == [
        Decimal(d) for d in ("1.10", "1.24", "1234567.89")
    ]
    pair.settled("rounded")


def test_floats_compare_exactly_unless_their_column_has_a_tolerance(pair: Migrated) -> None:
    assert pair.counts("close") == {"source_rows": 4, "update": 2, "unchanged": 2}
    assert next(t for t in pair.first.report.tables if t.name == "close").differing == {"exact": 1, "about": 1}
    assert [about for _, _, about in pair.target.rows("close")] == [2.0, 1.0, 1.01, 1.0]
    pair.settled("close")


# --- numbers, texts and truth values


def test_numbers_and_texts_become_truth_values_by_a_cast_that_names_the_others(pair: Migrated) -> None:
    reason = "is neither 0 nor 1, true nor false"
    assert pair.quarantined("truths") == [([3], "n", "2", reason), ([4], "n", "-1", reason), ([5], "s", "yes", reason)]
    assert pair.counted("truths") == {reason: 2} or [f.rows for f in pair.findings("truths")] == [2, 1]
    assert pair.target.rows("truths") == [(1, 1, 1, "1"), (2, 0, 0, "0"), (6, None, None, None)]
    pair.settled("truths")


@pytest.mark.parametrize("pair", RING, ids=pair_name)
def test_numbers_texts_and_truth_values_ask_for_a_cast(
    tmp_path: Path, pair: tuple[Engine, Engine], request: pytest.FixtureRequest
) -> None:
    small = Scenario.make(tmp_path, pair, request)
    create(small.source, "t", "id integer PRIMARY KEY, n integer, s varchar(9), b boolean")
    create(small.target, "t", "id integer PRIMARY KEY, n integer, s varchar(9), b boolean")
    for target, source, suggested in (
        ("n", "s", "integer|bigint"),
        ("s", "n", "text"),
        ("b", "s", "boolean|smallint"),
        ("s", "b", "text"),
    ):
        small.write({"t": {"from": "t", "columns": {"id": "id", target: source}}})
        with pytest.raises(SpecError, match=rf"spec.yaml:\d+: {target}: {source} is .*`cast: ({suggested})`"):
            commands.plan(small.request("plan"))


# --- JSON


def test_json_compares_by_value_where_the_type_is_json(pair: Migrated) -> None:
    assert pair.counts("jsons") == {"source_rows": 10, "update": 6, "unchanged": 4}
    found = told(pair.target, "jsons", ["c"])
    assert {n: value("json", each["c"]) for n, each in found.items()} == {
        n: value("json", text) for n, text, _ in JSONS
    }
    pair.settled("jsons")


def test_json_compares_by_its_text_where_the_type_is_text(pair: Migrated) -> None:
    assert pair.counts("json_texts") == {"source_rows": 2, "update": 2}
    assert pair.target.rows("json_texts") == [(1, '{"a":1}'), (2, "1.0")]
    pair.settled("json_texts")


# --- times


def moments(pair: Migrated, table: str, family: Any) -> dict[int, Any]:
    return {n: value(family, row["c"]) for n, row in told(pair.target, table, ["c"]).items()}


def test_local_times_become_instants_to_the_microsecond_and_those_at_a_clock_change_are_listed(pair: Migrated) -> None:
    skipped, repeated = "local time does not exist in Europe/Vienna", "local time occurs twice in Europe/Vienna"
    assert pair.reasons("instants") == {"3": skipped, "4": repeated}
    assert pair.counted("instants") == {skipped: 1, repeated: 1}
    assert moments(pair, "instants", "instant") == {n: value("instant", t) for n, t in INSTANTS if n not in (3, 4)}
    pair.settled("instants")


def test_times_at_a_clock_change_are_read_as_the_spec_says(pair: Migrated) -> None:
    found = moments(pair, "settled_instants", "instant")
    assert found[3] == value("instant", "2024-03-31 01:00:00+00:00")
    assert found[4] == value("instant", "2024-10-27 00:30:00+00:00")
    pair.settled("settled_instants")


def test_instants_become_local_times_of_the_zone_that_is_named(pair: Migrated) -> None:
    wanted = {n: LOCALS[n - 1][1] for n in (1, 2, 5)} | {3: "2024-10-27 02:30:00", 4: "2024-10-27 02:30:00"}
    assert moments(pair, "local_times", "timestamp") == {n: value("timestamp", t) for n, t in wanted.items()}
    pair.settled("local_times")


@pytest.mark.parametrize("pair", RING, ids=pair_name)
def test_naive_and_aware_times_ask_for_a_zone(
    tmp_path: Path, pair: tuple[Engine, Engine], request: pytest.FixtureRequest
) -> None:
    small = Scenario.make(tmp_path, pair, request)
    for side in (small.source, small.target):
        create(side, "t", f"id integer PRIMARY KEY, naive {pick(NAIVE, side.engine)}, aware {AWARE[side.engine]}")
    for target, source, given in (
        ("aware", "naive", None),
        ("naive", "aware", None),
        ("aware", "naive", "timestamptz"),
        ("naive", "aware", "timestamp"),
    ):
        small.write(
            {"t": {"from": "t", "columns": {"id": "id", target: {"from": source} | ({"cast": given} if given else {})}}}
        )
        with pytest.raises(SpecError, match=r"needs a zone|`cast: \{?(type: )?timestamp"):
            commands.plan(small.request("plan"))


def test_fractions_of_a_second_are_refused_where_the_target_has_none(pair: Migrated) -> None:
    aside = {} if pair.target.engine == "sqlite" else {"2", "3"}
    assert pair.reasons("seconds").keys() == set(aside)
    assert all("has more than the 0 digits of a second" in reason for reason in pair.reasons("seconds").values())
    assert moments(pair, "seconds", "timestamp") == {
        n: value("timestamp", t) for n, t in SECONDS if str(n) not in aside
    }
    pair.settled("seconds")


def test_fractions_of_a_second_are_cut_where_the_spec_says_so(pair: Migrated) -> None:
    assert pair.counts("cut_seconds") == {"source_rows": 3, "insert": 3}
    assert set(moments(pair, "cut_seconds", "timestamp").values()) == {value("timestamp", SECONDS[0][1])}
    pair.settled("cut_seconds")
