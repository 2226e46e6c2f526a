"""Defaults and checks that a draft takes over say in the target what they say in the source, or are listed."""

from __future__ import annotations

import contextlib
import sqlite3
from typing import Any, Final

import duckdb
import psycopg
import pymysql
import pytest
from drafts import scaffold, untold
from scenario import RING, Engine, Scenario, pair_name

Default = tuple[str, str]
"""A type, and the SQL of a default."""

DEFAULTS: Final[dict[Engine, list[Default]]] = {
    "sqlite": [
        ("INT", "1"), ("INT", "-1"), ("INT", "0x1f"), ("INT", "'7'"), ("TEXT", "'x''y'"), ("TEXT", "'a\\b'"), ("TEXT", "'😀'"), ("TEXT", "'l\nm'"),
        ("TEXT", "''"), ("BLOB", "x'DEAD00'"), ("BLOB", "x''"), ("REAL", "0.1"), ("REAL", "1e300"), ("DECIMAL(38,0)", "'12345678901234567890123456789'"),
        ("DECIMAL(10,2)", "1.5"), ("DATE", "'2020-02-29'"), ("TIMESTAMP", "'2020-01-01 10:00:00'"), ("TIMESTAMPTZ", "'2020-01-01 10:00:00+02:00'"),
        ("BOOLEAN", "1"), ("BOOLEAN", "TRUE"), ("TEXT", "(1 + 1)"), ("INT", "(7 / 2)"), ("TEXT", "('a' || 'b')"), ("TEXT", "(lower('A'))"), ("INT", "NULL"),
        ("TEXT", "CURRENT_TIMESTAMP"), ("BIGINT", "9223372036854775807"), ("UUID", "'00000000-0000-0000-0000-00000000000f'"), ("JSON", "'{\"a\": 1.50}'"),
    ],
    "duckdb": [
        ("INTEGER", "-1"), ("BLOB", r"'\xDE\xAD\x00'::BLOB"), ("BLOB", r"'a\x5Cb'"), ("HUGEINT", "170141183460469231731687303715884105727"), ("VARCHAR", "'😀'"),
        ("TIMESTAMPTZ", "'2020-01-01 00:00:00+02'"), ("TIMESTAMP", "'2020-01-01 00:00:00'"), ("DOUBLE", "0.1"), ("FLOAT", "0.1"), ("DECIMAL(38,10)", "1234567890123456789.0123456789"),
        ("VARCHAR", r"'a\nb'"), ("VARCHAR", r"e'a\nb'"), ("BOOLEAN", "true"), ("DATE", "DATE '2020-02-29'"), ("INTERVAL", "INTERVAL 1 MONTH"), ("TIME", "'10:00:00'"),
        ("VARCHAR", "'a' || 'b'"), ("INTEGER", "7 // 2"), ("DOUBLE", "7 / 2"), ("UUID", "'00000000-0000-0000-0000-00000000000f'"), ("INTEGER[]", "[1, 2]"), ("BIT", "'101'::BIT"), ("UBIGINT", "18446744073709551615"), ("VARCHAR", "1.10"), ("ENUM ('a', 'b''c')", "'b''c'"),
    ],
    "postgresql": [
        ("int", "-1"), ("bytea", r"'\xdead00'"), ("bytea", r"'a\\b'"), ("text", r"E'a\nb\\'"), ("text", "'😀'"), ("text", r"'a\b'"), ("numeric", "1234567890123456789012345678901234567890.5"),
        ("timestamptz", "'2020-01-01 00:00:00+02'"), ("timestamp", "'2020-01-01 00:00:00'"), ("double precision", "0.1"), ("real", "0.1"), ("bit(3)", "B'101'"), ("boolean", "true"),
        ("interval", "'1 mon 2 days'"), ("date", "'2020-02-29'"), ("int[]", "'{1,2}'"), ("jsonb", "'{\"a\": 1.50}'"), ("char(3)", "'a'"), ("int", "7 / 2"),
        ("text", "'a' || 'b'"), ("text", "upper('a')"), ("uuid", "'00000000-0000-0000-0000-00000000000f'"), ("time", "'10:00:00'"), ("money", "1.5"),
        ("inet", "'10.0.0.1'"), ("numeric(10,2)", "1.10"), ("varchar(5)", "1.10"), ("text", "length('日本')::text"),
    ],
    "mysql": [
        ("INT", "-1"), ("VARBINARY(9)", "x'DEAD00'"), ("VARCHAR(9)", "x'4142'"), ("VARCHAR(9)", r"'a\nb\\'"), ("VARCHAR(9)", "'😀'"), ("BIT(5)", "b'101'"), ("BIT(1)", "b'1'"),
        ("TINYINT(1)", "1"), ("DECIMAL(65,30)", "12345678901234567890.123456789012345678901234567890"), ("DOUBLE", "0.1"), ("FLOAT", "0.1"), ("DATE", "'2020-02-29'"),
        ("DATETIME", "'2020-01-01 10:00:00'"), ("TIMESTAMP NULL", "'2020-01-01 10:00:00'"), ("TIME", "'100:00:00'"), ("YEAR", "2020"), ("ENUM('a', 'b''c')", "'b''c'"), ("SET('x', 'y')", "'x,y'"),
        ("BIGINT UNSIGNED", "18446744073709551615"), ("VARCHAR(9)", "(concat('a', 'b'))"), ("INT", "(7 DIV 2)"), ("DECIMAL(9,4)", "(7 / 2)"), ("JSON", "'{\"a\": 1.50}'"), ("VARCHAR(9)", "('a' || 'b')"),
        ("VARCHAR(9)", "1.10"), ("CHAR(3)", "'a'"), ("INT(5) ZEROFILL", "7"), ("VARCHAR(40)", "(uuid())"), ("VARCHAR(9)", "NULL"),
    ],
}  # fmt: skip
PAIRS: Final = (*RING, ("postgresql", "sqlite"), ("mysql", "sqlite"), ("duckdb", "postgresql"), ("sqlite", "mysql"))


@pytest.fixture(params=dict.fromkeys(PAIRS), ids=pair_name)
def drafting(request: pytest.FixtureRequest, tmp_path: Any) -> Scenario:
    return Scenario.make(tmp_path, request.param, request)


def as_read(side: Any, columns: list[str]) -> dict[str, Any]:
    """The second row less the first, as Syncline reads it: what the default gave."""
    from adapters.registry import open_target
    from transforms.vocabulary import Relation, TableName

    opened = open_target(side.url)
    try:
        with opened.snapshot() as snapshot:
            name = TableName("t", side.schema)
            opened.describe(name)
            batches = list(snapshot.scan(Relation(name), ["id", *columns]))
            rows = [row for batch in batches for row in batch.to_pylist()]
    finally:
        opened.close()
    return {str(row["id"]): {name: row[name] for name in columns} for row in rows}


def test_a_default_gives_what_it_gave_in_the_source_or_is_listed(drafting: Scenario) -> None:
    source, target = drafting.source, drafting.target
    defaults = {f"c{number}": each for number, each in enumerate(DEFAULTS[source.engine])}
    columns = ", ".join(f"{name} {kind} DEFAULT {sql}" for name, (kind, sql) in defaults.items())
    source.execute(f"CREATE TABLE t (id INT PRIMARY KEY, {columns})", "INSERT INTO t (id) VALUES (1)")
    draft = scaffold(drafting)
    done = drafting.run()
    assert done.report.total.insert + done.report.total.quarantined == 1
    target.execute("INSERT INTO t (id) VALUES (2)")
    told = untold(draft, "t")
    listed = {name for name in defaults if any(f" of {name}: " in what for what in told)}
    kept = [name for name in defaults if name in shape_names(target)]
    rows = as_read(target, kept)
    assert done.report.total.insert == 1
    for name in kept:
        if name not in listed:
            loaded, given = rows["1"][name], rows["2"][name]
            assert loaded == given or loaded != loaded, (defaults[name], loaded, given, draft)
    constants = [name for name, (_, sql) in defaults.items() if "(" not in sql]
    assert len(listed & set(constants)) <= len(constants) // 3, listed  # most are carried over


def shape_names(side: Any) -> list[str]:
    from drafts import shape

    return list(shape(side, "t").names)


CHECKS: Final = {
    "sqlite": ["a > 1", "a IN (1, 2)", "b = 'x'", "b LIKE 'x%'", "a / 2 = 1", "b || 'y' = 'xy'", "a % 2 = 0", "round(a / 2.0) = 2", "length(b) = 2", "a BETWEEN 1 AND 2", "CAST(b AS INT) = 0"],
    "mysql": ["a > 1", "a IN (1, 2)", "b = 'x'", "b LIKE 'x%'", "a / 2 = 1", "b REGEXP '^x'", "a % 2 = 0", "round(a / 2.0) = 2", "char_length(b) = 2", "a BETWEEN 1 AND 2", "a DIV 2 = 1", "b || 'y'"],
    "postgresql": ["a > 1", "a IN (1, 2)", "b = 'x'", "b LIKE 'x%'", "a / 2 = 1", "b ~ '^x'", "a % 2 = 0", "round(a / 2.0) = 2", "length(b) = 2", "a BETWEEN 1 AND 2", "b || 'y' = 'xy'", "b::text < 'y'"],
    "duckdb": ["a > 1", "a IN (1, 2)", "b = 'x'", "b LIKE 'x%'", "a / 2 = 1", "regexp_matches(b, '^x')", "a % 2 = 0", "round(a / 2.0) = 2", "length(b) = 2", "a BETWEEN 1 AND 2", "b || 'y' = 'xy'"],
}  # fmt: skip
SAMPLES: Final = [(number, text) for number in (-3, 0, 1, 2, 3, 5) for text in ("x", "X", "x ", "xy", "é", "")] + [
    (None, None)
]


def test_a_check_refuses_what_it_refused_in_the_source_or_is_listed(drafting: Scenario) -> None:
    source, target = drafting.source, drafting.target
    checks = CHECKS[source.engine]
    for number, check in enumerate(checks):
        source.execute(f"CREATE TABLE t{number} (id INT PRIMARY KEY, a INT, b VARCHAR(9), CHECK ({check}))")
    draft = scaffold(drafting)
    drafting.run()
    for number, check in enumerate(checks):
        if any(what.startswith("check ") for what in untold(draft, f"t{number}")):
            continue
        assert taken(source, f"t{number}") == taken(target, f"t{number}"), check


def taken(side: Any, table: str) -> list[int]:
    """The samples that a table takes."""
    for number, (a, b) in enumerate(SAMPLES):
        values = f"{number}, {'NULL' if a is None else a}, {'NULL' if b is None else repr(b)}"
        with contextlib.suppress(duckdb.Error, psycopg.Error, pymysql.Error, sqlite3.Error):
            side.execute(f"INSERT INTO {table} VALUES ({values})")
    return sorted(number for (number,) in side.ask(f"SELECT id FROM {table}"))
