"""Values that lose data elsewhere: texts that are none, PostgreSQL's own types, SQLite columns that hold anything."""

from __future__ import annotations

from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from scenario import Engine, Scenario, counts, pair_name
from traps import RING, Migrated, Migrations, Trap, create, migrations, pairs, pick
from type_samples import Family
from type_values import declared, told, value

from flows.commands import Status

ALL: tuple[Engine, ...] = ("postgresql", "mysql", "sqlite", "duckdb")
POSTGRESQL: tuple[Engine, ...] = ("postgresql",)
SQLITE: tuple[Engine, ...] = ("sqlite",)
USED = (*pairs(("postgresql", "sqlite"), ALL), *RING[2:], *pairs(("duckdb", "mysql"), POSTGRESQL))

# --- texts

TEXT = {"mysql": "id int PRIMARY KEY, v varchar(20)", "": "id integer PRIMARY KEY, v text"}
NULS = [(1, "a\0b"), (2, "\0"), (3, "ab"), (4, ""), (5, None), (6, "\0x\0\0")]
NUL_KEYS = [(each, each) for each in ("a\0z", "aa", "b", "c", "d", "q\0", "q", "x\0b")]
NUL_KEY = {"mysql": "k varchar(9) COLLATE utf8mb4_nopad_bin PRIMARY KEY, v varchar(9)", "": "k varchar(9) PRIMARY KEY, v varchar(9)"}  # fmt: skip
STRIPPED = {"from": "v", "nul": "strip"}
GENUINE = "\ufffd stays"  # the character that others put in the place of what they cannot read
BYTES = "id int PRIMARY KEY, v varbinary(20), w varbinary(20)"
NO_TEXTS = {
    "sqlite": ("INSERT INTO no_texts VALUES (2, CAST(x'61ff62' AS TEXT)), (3, CAST(x'c3' AS TEXT)), (4, CAST(x'eda080' AS TEXT))",),
    "mysql": (
        "INSERT INTO no_texts VALUES (2, x'619862', 'a'), (3, x'98', NULL), (4, NULL, x'6180')",
        "ALTER TABLE no_texts MODIFY v varchar(20) CHARACTER SET cp1251, MODIFY w varchar(20) CHARACTER SET ascii",
    ),
}  # fmt: skip

# --- PostgreSQL

OWN: dict[str, tuple[str, Family, str, str, str]] = {  # a type, how it compares, and a value for each of three rows
    "free": ("numeric", "number", "123456789012345678901234567890.000000000000000000001", "'NaN'", "-1e-30"),
    "endless": ("numeric", "text", "0", "'Infinity'", "1"),
    "holed": ("numeric(9,2)", "number", "-9999999.99", "0", "0.01"),
    "day": ("date", "date", "'0001-01-01'", "'infinity'", "'2024-02-29'"),
    "moment": ("timestamp", "timestamp", "'9999-12-31 23:59:59.999999'", "'-infinity'", "'2024-02-29 12:30'"),
    "instant": ("timestamptz", "instant", "'2024-07-01 12:00:00.000001+02'", "'infinity'", "'2038-01-19 03:14:07+00'"),
    "zoned": ("timetz", "text", "'00:00:00-15:59:59'", "'24:00:00+00'", "'12:30:00.000001+02'"),
    "span": ("interval", "interval", "'1 mon -1 day 100:00:00.000001'", "'-178000000 years'", "'30 days'"),
    "list": ("integer[]", "text", "'{NULL,1,-1}'", "'[0:1]={1,2}'", "'{}'"),
    "texts": ("text[]", "text", """'{"a,b","",NULL,"NULL","q\\""}'""", "'{{a,b},{c,d}}'", "'{}'"),
    "mood": ("feeling", "text", "'sad'", "'so so'", "'it''s'"),
    "spread": ("int4range", "text", "'[1,5)'", "'(,)'", "'empty'"),
    "period": ("tstzrange", "text", "'[2020-01-01 00:00+02,infinity)'", "'(,)'", "'empty'"),
    "host": ("inet", "text", "'::1/64'", "'192.168.0.1'", "'0.0.0.0/0'"),
    "tag": ("uuid", "uuid", "'FFFFFFFF-ffff-ffff-ffff-ffffffffffff'", f"'{'0' * 8}-0000-0000-0000-{'0' * 12}'", "gen_random_uuid()"),
    "doc": ("jsonb", "json", """'{"b": 1.10, "a": 1}'""", "'null'", "'[12345678901234567890.5]'"),
    "raw": ("bytea", "bytes", r"'\x00ff27'", "''", r"'\x5c00'"),
    "cash": ("money", "text", "'-92233720368547758.08'", "'92233720368547758.07'", "'0.01'"),
    "bits": ("bit(5)", "text", "B'10101'", "B'00000'", "B'11111'"),
    "more": ("bit varying", "text", "B''", "B'1'", "B'0101'"),
    "score": ("positive", "number", "1", "2147483647", "7"),
}  # fmt: skip
OWN_TABLE = "id integer PRIMARY KEY, " + ", ".join(f'"{name}" {kind}' for name, (kind, *_) in OWN.items())
OWN_TYPES = ("CREATE TYPE feeling AS ENUM ('so so', 'sad', 'it''s')", "CREATE DOMAIN positive AS integer CHECK (VALUE > 0)")  # fmt: skip
OWN_ROWS = [
    *(f"INSERT INTO %s VALUES ({n}, {', '.join(each[n + 1] for each in OWN.values())})" for n in (1, 2, 3)),
    "INSERT INTO %s (id, holed) VALUES (4, 'NaN')",
]
BEYOND = {("mysql", "own"): {2}, ("mysql", "own_free"): {2}, ("postgresql", "own"): {4}}
"""The rows with a value that the target's column has none for: an infinite date, and NaN where digits are counted."""

COMPUTED = {
    "postgresql": "id integer PRIMARY KEY, n integer, twice bigint GENERATED ALWAYS AS (n * 2) STORED",
    "mysql": "id int PRIMARY KEY, n int, twice bigint AS (n * 2) STORED",
    "sqlite": "id integer PRIMARY KEY, n integer, twice integer GENERATED ALWAYS AS (n * 2) STORED",
    "duckdb": "id integer PRIMARY KEY, n integer, twice bigint GENERATED ALWAYS AS (n * 2) VIRTUAL",
}
COMPUTING = ("INSERT INTO computed (id, n) VALUES (1, 7), (2, -1), (3, NULL)",)
NUMBERED = {
    "postgresql": "id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, v text",
    "mysql": "id bigint AUTO_INCREMENT PRIMARY KEY, v varchar(20)",
    "sqlite": "id integer PRIMARY KEY AUTOINCREMENT, v text",
    "duckdb": "id bigint DEFAULT nextval('numbers') PRIMARY KEY, v text",
}
PLAIN = "id bigint PRIMARY KEY, v varchar(20)"
NUMBERS = [(-5, "below"), (0, "zero"), (1, "one"), (7, "seven"), (1000, "most")]
NUMBERING = {"duckdb": ("CREATE SEQUENCE IF NOT EXISTS numbers",)}

# --- SQLite

MIXED = "id INTEGER PRIMARY KEY, n INTEGER, f REAL, t TEXT, b BLOB, d DATE, flag BOOLEAN, m DECIMAL(9,2)"
MIXED_ROWS = [
    (1, 1, 1.5, "text", b"\x00", "2024-01-01", 1, 1.25),
    (2, "many", 1.0, "x", b"", "2024-01-01", 0, 1),
    (3, 2, "half", "x", b"", "2024-01-01", 0, 1),
    (4, 3, 1.0, b"bytes", b"", "2024-01-01", 0, 1),
    (5, 4, 1.0, "x", "text", "2024-01-01", 0, 1),
    (6, 5, 1.0, "x", b"", 45292, 0, 1),
    (7, 6, 1.0, "x", b"", "2024-01-01", 2, 1),
    (8, 7, 1.0, "x", b"", "2024-01-01", 0, 1.239),
    (9, 1.5, 1.0, "x", b"", "2024-01-01", 0, 1),
    (10, b"1", 1.0, "x", b"", "01.01.2024", "yes", "one"),
    (11, None, None, None, None, None, None, None),
    (12, "12", 3, 5, b"\xff", "2024-01-01", "1", "7.50"),  # what SQLite's affinity makes right
]
MIXED_WHY = {
    "2": "column n: text 'many' is not an integer",
    "3": "column f: text 'half' is not a number that a float can hold",
    "4": "column t: a blob of 5 bytes is not text",
    "5": "column b: text 'text' is not a blob",
    "6": "column d: integer 45292 is not a date (YYYY-MM-DD)",
    "7": "column flag: integer 2 is not a boolean (0 or 1)",
    "8": "column m: 1.239 is not a numeric(9,2)",
    "9": "column n: real 1.5 is not an integer",
    "10": "column n: a blob of 1 bytes is not an integer",
}


TABLES = (
    Trap("nuls", TEXT, NULS, sources=("sqlite", "duckdb", "mysql")),
    Trap("nuls_out", TEXT, NULS, {"from": "nuls_out", "columns": {"id": "id", "v": STRIPPED}}, sources=("sqlite", "duckdb", "mysql"), targets=("postgresql",)),
    Trap("nul_keys", NUL_KEY, NUL_KEYS, {"from": "nul_keys", "window": 2, "columns": {"k": {"from": "k", "nul": "strip"}, "v": STRIPPED}}, sources=("sqlite", "duckdb", "mysql"), targets=("postgresql",)),
    Trap("no_texts", {"mysql": BYTES, "": "id integer PRIMARY KEY, v text"}, {"mysql": [(1, "fine", "fine")], "": [(1, GENUINE)]}, more=NO_TEXTS, sources=("sqlite", "mysql")),
    Trap("own", OWN_TABLE, (), {"from": "own"}, {"postgresql": OWN_TABLE}, setup={"postgresql": OWN_TYPES}, more=[each % "own" for each in OWN_ROWS], sources=POSTGRESQL),
    Trap("own_free", OWN_TABLE, (), more=[each % "own_free" for each in OWN_ROWS], sources=POSTGRESQL),
    Trap("computed", COMPUTED, (), {"from": "computed"}, COMPUTED, more=COMPUTING),
    Trap("numbered", PLAIN, NUMBERS, {"from": "numbered"}, NUMBERED, setup=NUMBERING),
    Trap("numbered_new", PLAIN, NUMBERS, {"from": "numbered_new", "create": {"columns": {"id": {"identity": True}}}}),
    Trap("serial", PLAIN, NUMBERS, {"from": "serial"}, {"postgresql": "id bigserial PRIMARY KEY, v text"}, targets=POSTGRESQL),
    Trap("mixed", MIXED, MIXED_ROWS, {"from": "mixed", "window": 5}, sources=SQLITE),
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


# --- NUL characters, and bytes that are no text


@between(("sqlite", "duckdb", "mysql"))
def test_nul_characters_are_set_aside_where_the_target_has_none_and_kept_elsewhere(pair: Migrated) -> None:
    away = {"1", "2", "6"} if pair.target.engine == "postgresql" else set()
    assert pair.reasons("nuls") == dict.fromkeys(away, "NUL character cannot be stored in v (text)")
    assert sum(pair.counted("nuls").values()) == len(away)
    wanted = {n: (text,) for n, text in NULS if str(n) not in away}
    assert found(pair, "nuls", v="text") == wanted
    pair.settled("nuls")


@between(("sqlite", "duckdb", "mysql"), ("postgresql",))
def test_nul_characters_are_left_out_where_the_spec_says_so_and_counted(pair: Migrated) -> None:
    assert pair.target.rows("nuls_out") == [(n, text and text.replace("\0", "")) for n, text in NULS]
    assert pair.counted("nuls_out") == {"NUL characters are left out": 3}
    assert "nuls_out.v: NUL characters are left out in 3 of the rows that were read, as the spec says." in (
        pair.first.report.warning_texts
    )
    pair.settled("nuls_out")


@between(("sqlite", "duckdb", "mysql"), ("postgresql",))
def test_keys_that_are_equal_without_their_nul_characters_are_set_aside(pair: Migrated) -> None:
    assert pair.counts("nul_keys") == {"source_rows": 8, "insert": 6, "quarantined": 2}
    told = {
        f"nul_keys.{name}: NUL characters are left out in 3 of the rows that were read, as the spec says."
        for name in "kv"
    }
    assert told <= set(pair.first.report.warning_texts)
    assert pair.reasons("nul_keys") == {"q": "duplicate key: several source rows map to one nul_keys"}
    assert [k for k, _ in pair.target.rows("nul_keys")] == ["aa", "az", "b", "c", "d", "xb"]
    pair.settled("nul_keys")


@between(("sqlite", "mysql"))
def test_bytes_that_are_no_text_are_reported_and_never_replaced(pair: Migrated) -> None:
    lite = {
        "2": r"column v: text 'a\xffb' is not valid UTF-8",
        "3": r"column v: text '\xc3' is not valid UTF-8",
        "4": r"column v: text '\xed\xa0\x80' is not valid UTF-8",
    }
    maria = {
        "2": "column v: the bytes 619862 are no text in cp1251",
        "3": "column v: the bytes 98 are no text in cp1251",
        "4": "column w: the bytes 6180 are no text in ascii",
    }
    lite_told = pair.source.engine == "sqlite"
    assert pair.reasons("no_texts") == (lite if lite_told else maria)
    assert sum(pair.counted("no_texts").values()) == 3
    assert found(pair, "no_texts", v="text") == {1: (GENUINE if lite_told else "fine",)}
    pair.settled("no_texts")


# --- PostgreSQL's own types


@between(POSTGRESQL)
@pytest.mark.parametrize("table", ["own", "own_free"])
def test_values_of_postgresqls_own_types_arrive_as_they_are_or_are_named(pair: Migrated, table: str) -> None:
    beyond = BEYOND.get((pair.target.engine, table), set())
    assert pair.reasons(table).keys() == {str(n) for n in beyond}
    assert (pair.counts(table).get("quarantined", 0), len(pair.counted(table)) > 0) == (len(beyond), bool(beyond))
    before, after = (told(side, table, list(OWN)) for side in (pair.source, pair.target))
    for n in before.keys() - beyond:
        for name, (_, family, *_) in OWN.items():
            assert value(family, after[n][name]) == value(family, before[n][name]), (n, name)
    assert after.keys() == before.keys() - beyond
    pair.settled(table)


def test_postgresqls_own_types_stay_themselves_where_the_target_has_them(all_pairs: Migrations) -> None:
    pair = all_pairs.between(("postgresql", "postgresql"))
    assert declared(pair.target, "own") == declared(pair.source, "own")
    before, after = (told(side, "own", list(OWN)) for side in (pair.source, pair.target))
    assert after == {n: row for n, row in before.items() if n != 4}


# --- columns that the target fills by itself


ring = pytest.mark.parametrize("pair", RING, ids=pair_name, indirect=True)


@ring
def test_computed_columns_are_left_to_the_target(pair: Migrated) -> None:
    assert pair.counts("computed") == {"source_rows": 3, "insert": 3}
    assert pair.target.rows("computed", "id, n, twice") == [(1, 7, 14), (2, -1, -2), (3, None, None)]
    pair.settled("computed")


@ring
def test_computed_columns_are_never_written_and_still_verified(pair: Migrated, tmp_path: Path) -> None:
    small = Scenario(tmp_path, pair.source, pair.target)
    entry = {"from": "computed", "key": ["id"], "columns": {"id": "id", "n": "n", "twice": "twice"}}
    create(pair.target, "thrice", pick(COMPUTED, pair.target.engine).replace("n * 2", "n * 3"))
    small.write({"thrice": entry})
    assert counts(small.run(), "thrice") == {"source_rows": 3, "insert": 3}
    assert pair.target.rows("thrice", "id, n, twice") == [(1, 7, 21), (2, -1, -3), (3, None, None)]
    assert small.plan().status == Status.DONE
    verified = small.verify()
    assert verified.status == Status.CHANGES
    (told,) = verified.report.tables
    assert (told.differing, told.counts.update) == ({"twice": 2}, 2)
    made = {"columns": {"twice": {"type": "bigint", "generated": "n * 2"}}}
    small.write({"made": entry | {"create": made}})
    small.run()
    small.settled()


@ring
@pytest.mark.parametrize("table", ["numbered", "numbered_new"])
def test_given_numbers_are_kept_and_the_target_goes_on_behind_the_largest(pair: Migrated, table: str) -> None:
    goes_on(pair, table)


@between(ALL, POSTGRESQL)
def test_a_serial_goes_on_behind_the_largest_number(pair: Migrated) -> None:
    goes_on(pair, "serial")


def goes_on(pair: Migrated, table: str) -> None:
    assert pair.target.rows(table) == sorted(NUMBERS, key=str)
    pair.settled(table)
    pair.target.execute(f"INSERT INTO {table} (v) VALUES ('next')")
    assert pair.target.ask(f"SELECT id FROM {table} WHERE v = 'next'") == [(1001,)]


# --- SQLite's columns


@between(SQLITE)
def test_values_of_other_types_in_a_sqlite_column_are_counted_and_set_aside(pair: Migrated) -> None:
    assert pair.reasons("mixed") == MIXED_WHY
    assert pair.counts("mixed") == {"source_rows": 12, "insert": 3, "quarantined": 9}
    assert sum(each.rows for each in pair.findings("mixed")) == 9
    assert {each.columns for each in pair.findings("mixed")} == {
        (name,) for name in ("n", "f", "t", "b", "d", "flag", "m")
    }
    families: dict[str, Family] = {
        "n": "number",
        "f": "float",
        "t": "text",
        "d": "date",
        "flag": "boolean",
        "m": "number",
    }
    rows = found(pair, "mixed", **families)
    day = value("date", "2024-01-01")
    assert rows[1] == (1, 1.5, "text", day, True, Decimal("1.25"))
    assert rows[11] == (None,) * 6
    assert rows[12] == (12, 3.0, "5", day, True, Decimal("7.5"))
    pair.settled("mixed")
