"""MariaDB's types that lose data elsewhere: zero dates, unsigned numbers, enums, bits, years, long times, floats."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import pytest
from scenario import Engine, Scenario, counts, pair_name
from traps import Migrated, Migrations, Trap, create, migrations, pairs
from type_values import declared, told, value

from flows import commands
from flows.check.assess import assess
from transforms.vocabulary import DataError, SpecError

ALL: tuple[Engine, ...] = ("postgresql", "mysql", "sqlite", "duckdb")
MYSQL: tuple[Engine, ...] = ("mysql",)
USED = (
    *pairs(MYSQL, ALL),
    *pairs(("sqlite", "duckdb"), ("postgresql", "mysql")),
    *pairs(("postgresql",), ("mysql", "duckdb")),
)

# --- MariaDB's dates

DAYS = "id int PRIMARY KEY, d date, t datetime(6)"
DAY_ROWS = [
    (1, "2020-01-01", "2020-01-01 10:00:00.000001"),
    (2, "0000-00-00", "0000-00-00 00:00:00"),
    (3, "2020-02-00", "2020-01-01"),
    (4, None, None),
    (5, "2020-01-01", "2020-00-01 10:00:00"),
]
STANDING_IN = {
    "id": "id",
    "d": {"from": "d", "zero_date": None},
    "t": {"from": "t", "zero_date": "1900-01-01 12:00:00"},
}
BY_DAY = [("0000-00-00", 1), ("2020-00-00", 2), *((f"202{n}-01-01", n) for n in range(1, 6))]
LAST_DAY = {"d": {"from": "d", "zero_date": "2024-06-01"}, "n": "n"}

# --- numbers

HUGE = [(1,), (2**63 - 1,), (2**63,), (2**64 - 1,)]
UNSIGNED = {"mysql": "bigint unsigned", "duckdb": "UBIGINT"}
PARENTS = {engine: f"id {native} PRIMARY KEY" for engine, native in UNSIGNED.items()}
CHILDREN = {
    engine: f"id int PRIMARY KEY, parent {native}, FOREIGN KEY (parent) REFERENCES %s (id)"
    for engine, native in UNSIGNED.items()
}
HUGE_CHILDREN = [*((n, parent) for n, (parent,) in enumerate(HUGE)), (9, None)]
REFERRING = {"foreign_keys": [{"columns": "parent", "table": "parents", "refers": "id"}]}
FLAGS = [(1, 0), (2, 1), (3, 2), (4, -1), (5, None)]
AS_BOOLEAN = {"id": "id", "flag": {"from": "flag", "cast": "boolean"}}
KINDS = (
    "id int PRIMARY KEY, e enum('a','it''s, odd','B'), f enum('','x'), s set('a','b c'), b bit(9), w bit(64), y year"
)
KIND_ROWS = (
    r"INSERT INTO kinds VALUES (1, 'a', '', 'a,b c', b'100000001', b'1', '0000')",
    r"INSERT INTO kinds VALUES (2, 'it''s, odd', 'x', '', b'0', 18446744073709551615, '70')",
    r"INSERT INTO kinds VALUES (3, 'B', 'x', 'b c', NULL, NULL, '69')",
    r"INSERT INTO kinds VALUES (4, NULL, NULL, NULL, NULL, NULL, '2155'), (5, NULL, NULL, NULL, NULL, NULL, 1)",
    r"INSERT IGNORE INTO kinds (id, e, f) VALUES (6, 'bogus', 'bogus')",  # what became of it has the number 0
)
KINDS_FOUND = {
    1: ("a", "", "a,b c", 257, 1, 0),
    2: ("it's, odd", "x", "", 0, 2**64 - 1, 1970),
    3: ("B", "x", "b c", None, None, 2069),
    4: (None, None, None, None, None, 2155),
    5: (None, None, None, None, None, 2001),
    6: ("", "", None, None, None, None),
}
TEXT = {"mysql": "id int PRIMARY KEY, v varchar(20)", "": "id integer PRIMARY KEY, v text"}
MOODS = [(1, "a"), (2, "b"), (3, "A"), (4, "a "), (5, "c"), (6, ""), (7, "1"), (8, None)]
MOOD = {"postgresql": "id int PRIMARY KEY, m mood", "mysql": "id int PRIMARY KEY, m enum('a','b')", "duckdb": "id int PRIMARY KEY, m ENUM('a','b')"}  # fmt: skip
YEARS = [(1, 0), (2, 1901), (3, 2155), (4, 70), (5, 1900), (6, 2156), (7, -1)]
FLOATS = ["0", "0.1", "16777217", "123456.79", "3.4028234663852886e38", "1e-45", "-1.5"]
SINGLE = [0.0, 0.10000000149011612, 16777216.0, 123456.7890625, 3.4028234663852886e38, 1.401298464324817e-45, -1.5]

# --- spans of time

SPANS = ["100:00:00", "-05:00:00", "23:59:59.999999", "00:00:00", "24:00:00", "838:59:59.999999", "-838:59:59.999999"]
DAYLIKE = {3, 4}  # the rows of SPANS that are times of a day
CLOCK = {"postgresql": "time", "duckdb": "TIME", "sqlite": "TIME", "mysql": "time(6)"}
SPAN = {"postgresql": "interval", "duckdb": "INTERVAL", "sqlite": "INTERVAL"}
LONG_SPANS = [*enumerate(SPANS, 1), (8, "839:00:00"), (9, "1 mon"), (10, "-1 days")]


def typed(types: Mapping[str, str]) -> dict[str, str]:
    return {engine: f"id integer PRIMARY KEY, c {native}" for engine, native in types.items()}


TABLES = (
    Trap("days", DAYS, DAY_ROWS, sources=MYSQL),
    Trap("stand_ins", DAYS, DAY_ROWS, {"from": "stand_ins", "columns": STANDING_IN}, sources=MYSQL),
    Trap("by_day", "d date, n int, PRIMARY KEY (d, n)", BY_DAY, {"from": "by_day", "window": 2, "columns": LAST_DAY}, sources=MYSQL),
    Trap("parents", PARENTS, HUGE, {"from": "parents", "window": 2}, sources=("mysql", "duckdb")),
    Trap("children", {engine: each % "parents" for engine, each in CHILDREN.items()}, HUGE_CHILDREN, {"from": "children", "create": REFERRING}, sources=("mysql", "duckdb")),
    Trap("narrow", PARENTS, HUGE, {"from": "narrow", "window": 2}, "id bigint PRIMARY KEY", sources=("mysql", "duckdb")),
    Trap("narrower", {engine: each % "narrow" for engine, each in CHILDREN.items()}, HUGE_CHILDREN, {"from": "narrower"},
         "id int PRIMARY KEY, parent bigint, FOREIGN KEY (parent) REFERENCES narrow (id)", sources=("mysql", "duckdb")),
    Trap("wide", {"postgresql": "n numeric(20,0) PRIMARY KEY"}, [(0,), (2**64 - 1,), (2**64,), (-1,)], {"from": "wide"}, {"mysql": "n bigint unsigned PRIMARY KEY", "duckdb": "n UBIGINT PRIMARY KEY"},
         sources=("postgresql",), targets=("mysql", "duckdb")),
    Trap("flags", "id int PRIMARY KEY, flag tinyint(1)", FLAGS, {"from": "flags", "columns": AS_BOOLEAN}, sources=MYSQL),
    Trap("flags_kept", "id int PRIMARY KEY, flag tinyint(1)", FLAGS, sources=MYSQL),
    Trap("kinds", KINDS, (), more=KIND_ROWS, sources=MYSQL),
    Trap("moods", TEXT, MOODS, {"from": "moods", "columns": {"id": "id", "m": "v"}}, MOOD, setup={"postgresql": ("CREATE TYPE mood AS ENUM ('a', 'b')",)}, targets=("postgresql", "mysql", "duckdb")),
    Trap("years", "id integer PRIMARY KEY, y integer", YEARS, {"from": "years"}, {"mysql": "id int PRIMARY KEY, y year"}, targets=MYSQL),
    Trap("spans", typed({"mysql": "time(6)"}), list(enumerate(SPANS, 1)), sources=MYSQL),
    Trap("clocks", typed({"mysql": "time(6)"}), list(enumerate(SPANS, 1)), {"from": "clocks"}, typed(CLOCK), sources=MYSQL),
    Trap("long_spans", typed(SPAN), LONG_SPANS, {"from": "long_spans"}, typed({"mysql": "time(6)"}), sources=("postgresql", "duckdb", "sqlite"), targets=MYSQL),
    Trap("floats", typed({"mysql": "float"}), list(enumerate(FLOATS)), sources=MYSQL),
    Trap("doubles", typed({"mysql": "float"}), list(enumerate(FLOATS)), {"from": "doubles"}, "id integer PRIMARY KEY, c double precision", sources=MYSQL),
    Trap("singles", typed({"postgresql": "real", "duckdb": "FLOAT", "mysql": "float"}), list(enumerate(SINGLE)), {"from": "singles"}, typed({"mysql": "float", "postgresql": "real", "duckdb": "FLOAT", "sqlite": "REAL"}), sources=("postgresql", "duckdb", "mysql")),
)  # fmt: skip


@pytest.fixture(scope="module")
def all_pairs(request: pytest.FixtureRequest) -> Iterator[Migrations]:
    with migrations(TABLES, request) as found:
        yield found


@pytest.fixture
def pair(request: pytest.FixtureRequest, all_pairs: Migrations) -> Migrated:
    return all_pairs.between(request.param)


def between(sources: tuple[Engine, ...], targets: tuple[Engine, ...] = ALL) -> pytest.MarkDecorator:
    """Of the pairs in USED: every engine is a source and a target of each trap that it can have."""
    chosen = [each for each in pairs(sources, targets) if each in USED]
    return pytest.mark.parametrize("pair", chosen, ids=pair_name, indirect=True)


def found(pair: Migrated, table: str, **families: Any) -> dict[int, Any]:
    """The target's rows by their id, as values of families."""
    rows = told(pair.target, table, list(families))
    return {n: tuple(value(families[name], each) for name, each in row.items()) for n, row in rows.items()}


# --- zero dates


@between(MYSQL)
def test_zero_and_partial_dates_are_counted_and_set_aside(pair: Migrated) -> None:
    assert pair.quarantined("days") == [
        ([2], "", None, "column d: 0000-00-00 is no date"),
        ([3], "", None, "column d: 2020-02-00 is no date"),
        ([5], "", None, "column t: 2020-00-01 10:00:00.000000 is no date"),
    ]
    told = [(each.level, each.columns, each.reason, each.rows) for each in pair.findings("days")]
    assert told == [("quarantine", ("d",), "is no date", 2), ("quarantine", ("t",), "is no date", 1)]
    assert found(pair, "days", d="date", t="timestamp").keys() == {1, 4}
    pair.settled("days")


@between(MYSQL)
def test_zero_dates_become_null_or_the_date_that_the_spec_says_and_are_counted(pair: Migrated) -> None:
    rows = found(pair, "stand_ins", d="text", t="timestamp")
    assert [rows[n][0] for n in range(1, 6)] == ["2020-01-01", None, None, None, "2020-01-01"]
    stand_in = value("timestamp", "1900-01-01 12:00:00")
    assert [n for n in rows if rows[n][1] == stand_in] == [2, 5]
    told = [(each.level, each.columns, each.reason, each.rows) for each in pair.findings("stand_ins")]
    assert told == [
        ("note", ("d",), "dates that are none are read as null", 2),
        ("note", ("t",), "dates that are none are read as 1900-01-01 12:00:00", 2),
    ]
    pair.settled("stand_ins")


@between(MYSQL)
def test_a_date_that_stands_for_none_is_a_key_in_its_own_place(pair: Migrated) -> None:
    assert pair.counts("by_day") == {"source_rows": 7, "insert": 7}
    wanted = [("2024-06-01", 1), ("2024-06-01", 2), *BY_DAY[2:]]
    assert sorted((str(d), n) for d, n in pair.target.rows("by_day")) == sorted(wanted)
    pair.settled("by_day")


@pytest.mark.parametrize("target", ALL)
def test_a_zero_date_stops_the_run_before_anything_is_written_where_the_spec_says_fail(
    tmp_path: Path, target: Engine, request: pytest.FixtureRequest
) -> None:
    small = Scenario.make(tmp_path, ("mysql", target), request)
    create(small.source, "t", DAYS)
    small.source.insert("t", DAY_ROWS)
    small.write({"t": {"from": "t", "columns": {"id": "id", "d": {"from": "d", "zero_date": "fail"}}}})
    (finding,) = assess(small.spec, small.request().at).tables[0].findings
    assert (finding.level, finding.rows) == ("refused", 2)
    with pytest.raises(DataError, match=r"(?s)'d': 0000-00-00 is no date.*Fix:"):
        commands.run(small.request())
    assert small.target.tables() == set()


# --- whole numbers beyond 2^63, and numbers called booleans


@between(("mysql", "duckdb"))
def test_unsigned_numbers_beyond_2_to_the_63_arrive_alike_at_both_ends_of_a_foreign_key(pair: Migrated) -> None:
    assert pair.counts("parents") == {"source_rows": 4, "insert": 4}
    assert declared(pair.target, "parents")["id"] == declared(pair.target, "children")["parent"]
    parents = {int(n) for (n,) in pair.target.rows("parents")}
    children = {n: None if parent is None else int(parent) for n, parent in pair.target.rows("children")}
    assert (parents, children) == ({n for (n,) in HUGE}, dict(HUGE_CHILDREN))
    joined = "SELECT count(*) FROM children JOIN parents ON children.parent = parents.id"
    assert pair.target.ask(joined) == [(4,)]
    for table in ("parents", "children"):
        pair.settled(table)


@between(("mysql", "duckdb"))
def test_unsigned_numbers_that_a_bigint_cannot_hold_are_set_aside_at_both_ends(pair: Migrated) -> None:
    kind = "unsigned bigint" if pair.source.engine == "mysql" else "numeric(20,0)"
    for table, rows in (("narrow", HUGE), ("narrower", HUGE_CHILDREN)):
        assert pair.counts(table)["quarantined"] == 2
        assert pair.counted(table)[f"{kind} that is no bigint without loss"] == 2
        assert pair.target.rows(table) == sorted((row for row in rows if (row[-1] or 0) < 2**63), key=str)
        pair.settled(table)


@between(("postgresql",), ("mysql", "duckdb"))
def test_whole_decimals_fill_an_unsigned_number_to_its_end_and_no_further(pair: Migrated) -> None:
    assert pair.counts("wide") == {"source_rows": 4, "insert": 2, "quarantined": 2}
    assert sum(pair.counted("wide").values()) == 2
    assert {n for (n,) in pair.target.rows("wide")} == {0, 2**64 - 1}
    pair.settled("wide")


@between(MYSQL)
def test_a_tinyint_that_holds_2_is_no_boolean_and_its_rows_are_counted(pair: Migrated) -> None:
    reason = "is neither 0 nor 1, true nor false"
    assert pair.quarantined("flags") == [([3], "flag", "2", reason), ([4], "flag", "-1", reason)]
    assert pair.counted("flags") == {reason: 2}
    assert pair.target.rows("flags") == [(1, 0), (2, 1), (5, None)]
    pair.settled("flags")


@between(MYSQL)
def test_a_tinyint_is_a_number_where_no_cast_says_otherwise(pair: Migrated) -> None:
    assert pair.target.rows("flags_kept") == FLAGS
    pair.settled("flags_kept")


@pytest.mark.parametrize("target", ["postgresql", "sqlite", "duckdb"])
def test_a_tinyint_into_a_boolean_asks_for_a_cast(
    tmp_path: Path, target: Engine, request: pytest.FixtureRequest
) -> None:
    small = Scenario.make(tmp_path, ("mysql", target), request)
    create(small.source, "t", "id int PRIMARY KEY, flag tinyint(1)")
    create(small.target, "t", "id integer PRIMARY KEY, flag boolean")
    small.source.insert("t", FLAGS)
    small.write({"t": {"from": "t"}})
    with pytest.raises(
        SpecError, match=r"flag: flag is tinyint and .*Fix: say how with `cast:`, such as `cast: boolean`"
    ):
        commands.plan(small.request("plan"))


# --- enums, sets, bits and years


@between(MYSQL)
def test_enums_sets_bits_and_years_arrive_as_what_they_say(pair: Migrated) -> None:
    assert pair.counts("kinds") == {"source_rows": 6, "insert": 6}
    rows = found(pair, "kinds", e="text", f="text", s="text", b="number", w="number", y="number")
    assert rows == KINDS_FOUND
    pair.settled("kinds")


@between(("sqlite", "duckdb", "postgresql", "mysql"), ("postgresql", "mysql", "duckdb"))
def test_texts_that_are_no_values_of_an_enum_are_set_aside_and_counted(pair: Migrated) -> None:
    reason = "not one of the values of m: a, b"
    assert pair.reasons("moods") == dict.fromkeys("34567", reason)
    (finding,) = pair.findings("moods")
    assert (finding.reason, finding.rows) == (reason, 5)
    assert finding.facts == {"values": {"A": 1, "a ": 1, "c": 1, "": 1, "1": 1}}
    assert pair.target.rows("moods") == [(1, "a"), (2, "b"), (8, None)]
    pair.settled("moods")


@pytest.mark.parametrize("source", ["sqlite"])
def test_the_empty_value_of_an_enum_is_written_over(
    tmp_path: Path, source: Engine, request: pytest.FixtureRequest
) -> None:
    small = Scenario.make(tmp_path, (source, "mysql"), request)
    create(small.source, "t", "id integer PRIMARY KEY, m varchar(9)")
    create(small.target, "t", "id int PRIMARY KEY, m enum('a','b')")
    small.source.insert("t", [(1, "a"), (2, None), (3, "")])
    small.target.execute("INSERT IGNORE INTO t VALUES (1, 'x'), (2, 'x'), (3, 'x')")
    small.write({"t": {"from": "t"}})
    assert counts(small.run(), "t") == {"source_rows": 3, "update": 2, "quarantined": 1, "unproved": 1}
    assert small.target.ask("SELECT id, m, m + 0 FROM t ORDER BY id") == [(1, "a", 1), (2, None, None), (3, "", 0)]
    small.settled()


@between(("sqlite", "duckdb", "postgresql", "mysql"), MYSQL)
def test_numbers_that_are_no_years_are_set_aside(pair: Migrated) -> None:
    assert pair.reasons("years").keys() == set("4567")
    assert sum(pair.counted("years").values()) == 4
    assert pair.target.ask("SELECT id, y + 0 FROM years ORDER BY id") == [(1, 0), (2, 1901), (3, 2155)]
    pair.settled("years")


# --- spans of time


@between(MYSQL)
def test_times_beyond_a_day_arrive_as_spans_of_time(pair: Migrated) -> None:
    assert pair.counts("spans") == {"source_rows": 7, "insert": 7}
    assert found(pair, "spans", c="interval") == {n: (value("interval", each),) for n, each in enumerate(SPANS, 1)}
    pair.settled("spans")


@between(MYSQL)
def test_times_beyond_a_day_are_set_aside_and_never_wrapped_where_the_target_has_times_of_a_day(pair: Migrated) -> None:
    reason = "is no time of day: it is below 0 or beyond 24 hours"
    kept = set(range(1, 8)) if pair.target.engine == "mysql" else DAYLIKE
    assert pair.reasons("clocks") == {str(n): reason for n in range(1, 8) if n not in kept}
    assert sum(pair.counted("clocks").values()) == 7 - len(kept)
    assert found(pair, "clocks", c="interval") == {n: (value("interval", SPANS[n - 1]),) for n in kept}
    pair.settled("clocks")


@between(("postgresql", "duckdb", "sqlite"), MYSQL)
def test_spans_that_a_time_cannot_hold_are_set_aside(pair: Migrated) -> None:
    assert pair.reasons("long_spans").keys() == {"8", "9", "10"}
    assert sum(pair.counted("long_spans").values()) == 3
    assert found(pair, "long_spans", c="interval") == {n: (value("interval", each),) for n, each in enumerate(SPANS, 1)}
    pair.settled("long_spans")


# --- single precision


@between(MYSQL)
def test_single_floats_arrive_to_the_last_bit(pair: Migrated) -> None:
    for table in ("floats", "doubles"):
        assert found(pair, table, c="float") == {n: (each,) for n, each in enumerate(SINGLE)}
        pair.settled(table)


@between(("postgresql", "duckdb", "mysql"))
def test_single_floats_are_read_back_as_they_were_written(pair: Migrated) -> None:
    assert pair.counts("singles") == {"source_rows": 7, "insert": 7}
    assert found(pair, "singles", c="float") == {n: (each,) for n, each in enumerate(SINGLE)}
    pair.settled("singles")
