"""Types, foreign keys and checks that `scaffold` chooses by what is in the rows."""

from __future__ import annotations

import sqlite3
from decimal import Decimal
from pathlib import Path

import pyarrow as pa
import pytest
import yaml
from drafts import noted, scaffold, shape, typed, untold
from scenario import Scenario, counts, pair_name


@pytest.fixture
def legacy(tmp_path: Path, request: pytest.FixtureRequest) -> Scenario:
    return Scenario.make(tmp_path, getattr(request, "param", ("sqlite", "postgresql")), request)


def test_types_of_sqlite_are_what_its_rows_say(legacy: Scenario) -> None:
    legacy.source.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, flag TINYINT(1), two TINYINT(1), short VARCHAR(3), long VARCHAR(3),"
        " mixed INT, n NUMERIC, day DATE, price DECIMAL(8,2), free)",
        "INSERT INTO t VALUES (1, 1, 2, 'abc', 'äöü', 1, 1e20, '2024-02-29', 1.5, 'x')",
        "INSERT INTO t VALUES (2, 0, 0, NULL, 'abcd', 'one', 1.25, NULL, NULL, NULL)",
        "INSERT INTO t VALUES (3, NULL, 1, '', NULL, x'00', NULL, NULL, NULL, NULL)",
    )
    draft = scaffold(legacy)
    assert typed(legacy) == {
        "id": "bigint", "flag": "boolean", "two": "smallint", "short": "varchar(3)", "long": "text", "mixed": "bigint",
        "n": "numeric", "day": "date", "price": "numeric(8,2)", "free": "text",
    }  # fmt: skip
    assert noted(draft, "flag") == "tinyint(1) that holds only 0, 1 and null"
    assert noted(draft, "two") == "tinyint(1) that holds 0 to 2: no boolean"
    assert noted(draft, "long") == "declared VARCHAR(3), and holds texts of 4 characters"
    assert noted(draft, "mixed").startswith("2 of 3 rows hold something else (text 'one' is not an integer)")
    assert counts(legacy.run(), "t") == {"source_rows": 3, "insert": 1, "quarantined": 2}
    legacy.settled()


def test_columns_of_sqlite_without_a_type_have_that_of_most_of_their_values(legacy: Scenario) -> None:
    """An integer that no double holds stays what it is, and what is not of the type is set aside."""
    huge = 2**53 + 1
    legacy.source.execute(
        "CREATE TABLE t (id INTEGER PRIMARY KEY, whole, floats, mixed, exact, odd, words, raw, none, doc JSON)",
        f"INSERT INTO t VALUES (1, 7, 0.1, 1, {huge}, 1, 'a', x'00', NULL, '[1]')",
        "INSERT INTO t VALUES (2, 9007199254740993, 1e300, 2.5, 0.5, 2, 'b', x'ff', NULL, '{}')",
        "INSERT INTO t VALUES (3, -1, NULL, NULL, NULL, 3, 'c', NULL, NULL, NULL)",
        "INSERT INTO t VALUES (4, NULL, NULL, -3, NULL, 'x', 'd', NULL, NULL, NULL)",
        "INSERT INTO t VALUES (5, NULL, NULL, -3, NULL, 5, 6, NULL, NULL, NULL)",
        "INSERT INTO t VALUES (6, NULL, NULL, -3, NULL, 5, 'e', NULL, NULL, '{oops')",
        "CREATE VIEW seen AS SELECT id + 0 AS id, exact AS exact, mixed AS mixed FROM t",
    )
    draft = scaffold(legacy)
    assert typed(legacy) == {
        "id": "bigint", "whole": "bigint", "floats": "double", "mixed": "double", "exact": "numeric", "odd": "bigint",
        "words": "text", "raw": "bytea", "none": "text", "doc": "json",
    }  # fmt: skip
    assert "1 of 6 rows hold something else (text 'x' is not an integer): they are quarantined" in noted(draft, "odd")
    assert "(integer 6 is not text)" in noted(draft, "words")
    assert "1 of 6 rows hold something else (text '{oops' is not JSON)" in noted(draft, "doc")
    assert counts(legacy.run(), "t") == {"source_rows": 6, "insert": 3, "quarantined": 3}
    legacy.settled()
    assert legacy.target.ask("SELECT whole, exact, mixed FROM t ORDER BY id") == [
        (7, huge, 1.0), (huge, Decimal("0.5"), 2.5), (-1, None, None),
    ]  # fmt: skip
    assert [shape(legacy.source, "seen").schema().field(name).type for name in ("id", "exact", "mixed")] == [
        pa.int64(), pa.string(), pa.float64(),
    ]  # fmt: skip


@pytest.mark.parametrize("legacy", [("duckdb", "postgresql"), ("duckdb", "sqlite")], indirect=True, ids=pair_name)
def test_unsigned_numbers_are_as_wide_as_their_values_at_both_ends_of_a_foreign_key(legacy: Scenario) -> None:
    legacy.source.execute(
        "CREATE TABLE small (id UBIGINT PRIMARY KEY)",
        "CREATE TABLE big (id UBIGINT PRIMARY KEY)",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, small UBIGINT REFERENCES small (id), big UBIGINT REFERENCES big (id),"
        " tiny UTINYINT, whole UINTEGER)",
        "INSERT INTO small VALUES (9223372036854775807)",
        "INSERT INTO big VALUES (1), (18446744073709551615)",
        "INSERT INTO t VALUES (1, NULL, 1, 255, 4294967295)",
    )
    draft = scaffold(legacy)
    assert typed(legacy) == {
        "id": "integer", "small": "bigint", "big": "numeric(20,0)", "tiny": "smallint", "whole": "bigint",
    }  # fmt: skip
    assert typed(legacy, "big") == {"id": "numeric(20,0)"}
    assert "numeric(20,0), as big.id which it is linked to" in noted(draft, "big")
    assert counts(legacy.run(), "t") == {"source_rows": 1, "insert": 1}
    legacy.settled()


@pytest.mark.parametrize("legacy", [("postgresql", "duckdb")], indirect=True, ids=pair_name)
def test_types_that_the_target_has_not_become_what_holds_their_values(legacy: Scenario) -> None:
    legacy.source.execute(
        "CREATE TYPE mood AS ENUM ('sad', 'it''s')",
        "CREATE TABLE t (id int PRIMARY KEY, free numeric, nan numeric, tags text[], mood mood, span interval, doc jsonb,"
        " at timestamptz, ip inet, code char(3), who uuid)",
        "INSERT INTO t VALUES (1, 12.345, 'NaN', '{a,b}', 'it''s', '1 mon 100:00:00', '{\"a\": 1}', now(), '10.0.0.1', 'a',"
        " '12345678-9abc-4def-8123-456789abcdef')",
    )
    draft = scaffold(legacy)
    assert typed(legacy) == {
        "id": "integer", "free": "numeric(38,10)", "nan": "numeric", "tags": "text", "mood": "varchar(4)", "span": "interval",
        "doc": "json", "at": "timestamptz", "ip": "text", "code": "char(3)", "who": "uuid",
    }  # fmt: skip
    assert "NaN" in noted(draft, "nan")
    assert noted(draft, "ip") == "inet as the text that postgresql writes it in"
    created = yaml.safe_load(legacy.path.read_text())["tables"]["t"]["create"]
    assert created["checks"] == ["\"mood\" IN ('sad', 'it''s')"]
    legacy.run()
    legacy.settled()


# --- keys and checks


def test_foreign_keys_that_the_rows_break_are_left_out_with_their_count(legacy: Scenario) -> None:
    legacy.source.execute(
        "CREATE TABLE p (id INTEGER PRIMARY KEY)", "CREATE TABLE c (id INTEGER PRIMARY KEY, p INT REFERENCES p)"
    )
    with sqlite3.connect(legacy.source.place) as loose:
        loose.execute("INSERT INTO c VALUES (1, 7), (2, 8), (3, NULL)")
    loose.close()
    draft = scaffold(legacy)
    assert untold(draft, "c") == ["foreign key (p) to p: 2 rows refer to nothing"]
    legacy.run()
    legacy.settled()


def test_a_check_that_rows_break_is_left_out_with_their_count(legacy: Scenario) -> None:
    legacy.source.execute("CREATE TABLE c (id INTEGER PRIMARY KEY, n INT CHECK (n > 0), m INT CHECK (m > 0))")
    with sqlite3.connect(legacy.source.place) as loose:
        loose.execute("PRAGMA ignore_check_constraints = ON")
        loose.execute("INSERT INTO c VALUES (1, 0, 1), (2, -1, 1), (3, NULL, NULL)")
    loose.close()
    draft = scaffold(legacy)
    assert untold(draft, "c") == ["check n > 0: 2 rows stand against it"]
    legacy.run()
    legacy.settled()


def test_what_the_target_refuses_is_found_by_trying_it(legacy: Scenario) -> None:
    legacy.source.execute(
        "CREATE TABLE c (id INTEGER PRIMARY KEY, flag TINYINT(1) DEFAULT 1 CHECK (flag < 2) CHECK (flag IN (0, 1)), day DATE DEFAULT 'never',"
        " name TEXT DEFAULT 7 CHECK (length(name) > day))"
    )
    draft = scaffold(legacy)
    found = untold(draft, "c")
    assert [what.split(":")[0] for what in found] == [
        "check flag < 2", "check length(name) > day", "default 'never' of day",
    ]  # fmt: skip
    legacy.run()
    assert shape(legacy.target, "c").names == ("id", "flag", "day", "name")
    assert '"flag" IN (FALSE, TRUE)' in legacy.path.read_text()
    legacy.settled()
