"""Schemas as databases have them and nobody would design them: one odd table never keeps the others away."""

from __future__ import annotations

import sqlite3
from datetime import UTC, datetime
from pathlib import Path
from typing import Final

import duckdb
import psycopg
import pymysql
import pytest
from databases import Database
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.protocol import Target
from adapters.registry import open_target
from adapters.sql.ddl import spelled_table
from adapters.sql.statements import dialect_of
from flows import commands
from flows.commands import Status
from flows.plan.request import Request, new_run_id
from flows.results.untranslated import in_order
from flows.scaffold.draft import Asked, Draft, scaffold
from flows.spec.model import load_spec
from transforms.vocabulary import SynclineError, TableName

GOOD: Final = "CREATE TABLE good (id int PRIMARY KEY, name varchar(9))"

ODD: Final[dict[str, dict[str, str]]] = {
    "sqlite": {
        "words": "CREATE VIRTUAL TABLE words USING fts5 (a, b)",
        "boxes": "CREATE VIRTUAL TABLE boxes USING rtree (id, a, b)",
        "to_nothing": "CREATE TABLE to_nothing (id INTEGER PRIMARY KEY, p INT REFERENCES nosuch (id))",
        "to_nobody": "CREATE TABLE to_nobody (id INTEGER PRIMARY KEY, p INT REFERENCES nosuch)",
        "to_no_column": "CREATE TABLE to_no_column (id INTEGER PRIMARY KEY, p INT REFERENCES good (nope))",
        "keyless": "CREATE TABLE keyless (a INT, b INT)",
        "to_no_key": "CREATE TABLE to_no_key (id INTEGER PRIMARY KEY, p INT REFERENCES keyless)",
        "pair": "CREATE TABLE pair (a INT, b INT, PRIMARY KEY (a, b)) WITHOUT ROWID",
        "to_half": "CREATE TABLE to_half (id INTEGER PRIMARY KEY, p INT REFERENCES pair)",
        "to_itself": "CREATE TABLE to_itself (a INT, b INT REFERENCES to_itself)",
        "(no name)": 'CREATE TABLE "" (x INTEGER PRIMARY KEY)',
        '" b "': 'CREATE TABLE " b " (" x " INTEGER PRIMARY KEY, "" INT, "a%s" INT, ":y" INT, "c\nd" INT)',
        'l\n"q': 'CREATE TABLE "l\n""q" (id INTEGER PRIMARY KEY)',
        "computed": "CREATE TABLE computed (a INT PRIMARY KEY, b INT AS (a * 9223372036854775807), c AS (a || 'x') STORED)",
        "claims": "CREATE TABLE claims (id INTEGER PRIMARY KEY, a DECIMAL(1000,500), b NUMERIC(5,10), c VARCHAR(0), d 'x y', e DECIMAL(76,0))",
    },
    "duckdb": {
        "shapes": "CREATE TABLE shapes (id INT PRIMARY KEY, a STRUCT(x INT), b MAP(INT, VARCHAR), c INT[], d UNION(n INT, s VARCHAR),"
        " e ENUM ('a', 'b''c'), f BIT, g TIME WITH TIME ZONE, h HUGEINT, i UHUGEINT)",
        "spans": "CREATE TABLE spans (id INT PRIMARY KEY, i INTERVAL)",
        "either": "CREATE TABLE either (u UNION(a INT, b VARCHAR))",
        "huge": "CREATE TABLE huge (id HUGEINT PRIMARY KEY, n UHUGEINT DEFAULT 340282366920938463463374607431768211455)",
        "beyond": "CREATE TABLE beyond (id INT PRIMARY KEY, a BIGINT, b BIGINT AS (a * 9), CHECK (a * 2 > 0))",
        "Upper": "CREATE TABLE Upper (Id INT PRIMARY KEY, p INT REFERENCES GOOD (ID))",
        'l\n"q': 'CREATE TABLE "l\n""q" (" x " INT PRIMARY KEY, "a%s" INT)',
    },
    "postgresql": {
        "bare": "CREATE TABLE bare ()",
        "emptied": "CREATE TABLE emptied (a int); ALTER TABLE emptied DROP COLUMN a",
        "spans": "CREATE TABLE spans (id interval PRIMARY KEY)",
        "span_index": "CREATE TABLE span_index (id int PRIMARY KEY, i interval); CREATE INDEX ON span_index (i)",
        "documents": "CREATE TABLE documents (id jsonb PRIMARY KEY)",
        "ranges": "CREATE TABLE ranges (id int4range PRIMARY KEY, p point, EXCLUDE USING gist (p WITH ~=))",
        "odd_types": "CREATE TABLE odd_types (id int PRIMARY KEY, a tsvector, b pg_lsn, c regclass, d xid, e name, f \"char\", g int[], h timetz)",
        "pair": "CREATE TABLE pair (a int, b int, PRIMARY KEY (a, b), UNIQUE (b, a))",
        "to_pair": "CREATE TABLE to_pair (id int PRIMARY KEY, x int, y int, FOREIGN KEY (x, y) REFERENCES pair (b, a) NOT VALID)",
        '" b "': 'CREATE TABLE " b " (" x " int PRIMARY KEY, "a%s" int, ":y" int, "c\nd" int)',
    },
    "mysql": {
        "numbers": "CREATE TABLE numbers (id INT PRIMARY KEY, a INT) WITH SYSTEM VERSIONING",
        "places": "CREATE TABLE places (id INT PRIMARY KEY, g POINT NOT NULL, SPATIAL INDEX (g))",
        "parts": "CREATE TABLE parts (id INT PRIMARY KEY) PARTITION BY HASH (id) PARTITIONS 3",
        "merged": "CREATE TABLE merged (id INT PRIMARY KEY) ENGINE = MRG_MyISAM UNION = (nosuch)",
        "to_nothing": "CREATE TABLE to_nothing (id INT PRIMARY KEY, p INT, FOREIGN KEY (p) REFERENCES nosuch (id))",
        "begins": "CREATE TABLE begins (a TEXT, b INET6, c BIT(64), PRIMARY KEY (a(10)))",
        'l\n"q': 'CREATE TABLE "l\n""q" ("a%s" INT PRIMARY KEY, "c\td" INT)',
    },
}  # fmt: skip
LEFT_OUT: Final[dict[str, tuple[str, ...]]] = {
    "sqlite": ("(no name)",),
    "duckdb": ("either",),
    "postgresql": ("bare", "emptied", "documents"),
    "mysql": ("merged",),
}


def run(database: Database, *statements: str) -> None:
    """Statements that the engine takes, one by one; what it refuses is not there then."""
    for statement in statements:
        try:
            if database.engine == "mysql":
                database.execute("SET foreign_key_checks = 0", statement)
            else:
                database.execute(*statement.split("; "))
        except (duckdb.Error, psycopg.Error, pymysql.Error, sqlite3.Error):
            pass


def draft(database: Database, target: str) -> Draft:
    return scaffold(Asked(database.url, target, database.path.parent if database.path.name else Path()))


@pytest.mark.parametrize("target", ["sqlite", "duckdb"])
def test_an_odd_table_is_left_out_with_its_reason_and_all_others_are_drafted(
    database: Database, target: str, tmp_path: Path
) -> None:
    run(database, GOOD, *ODD[database.engine].values())
    made = draft(database, f"{target}:///{tmp_path}/new.db")
    blocked = {table.name: table.blocked for table in made.tables if table.blocked}
    assert {table.name for table in made.tables} == {"good", *ODD[database.engine]}
    spans = {"spans"} if (database.engine, target) == ("postgresql", "duckdb") else set()
    assert blocked.keys() == {*LEFT_OUT[database.engine], *spans}
    assert all(blocked.values())
    assert "Left out:" in made.text
    path = tmp_path / "draft.yaml"
    path.write_text(made.text)
    at = datetime.now(UTC)
    assert commands.run(Request(load_spec(path), new_run_id(at), at, "run")).status == Status.DONE
    adapter = open_target(database.url)
    try:
        assert unsaid(adapter, made) == []
        listed = any(each.feature.kind not in ("table", "column") for each in made.untranslated if each.table)
        for table in made.tables:
            table.features.clear()
        assert bool(unsaid(adapter, made)) == listed
    finally:
        adapter.close()


def unsaid(adapter: Target, made: Draft) -> list[str]:
    """Properties of the source's catalogue that are neither in the draft nor in a record."""
    found: list[str] = []
    for table in made.tables:
        if table.unread or table.blocked:  # which is a record itself
            continue
        shape, design = adapter.describe(table.source), adapter.design(table.source)
        assert shape is not None
        there = {column.source or column.name: column for column in table.columns}
        left_out = {name for name, _ in table.left_out}
        records = {(each.kind, frozenset(each.columns)) for each in table.features}
        kinds = [each.kind for each in table.features]
        found += [f"column {name}" for name in shape.names if (name in there) == ((name or "(no name)") in left_out)]
        for name, sql in design.defaults:
            said = name not in there or there[name].default or there[name].identity or "NULL" in sql.upper()
            found += [] if said or ("default", frozenset({name})) in records else [f"default of {name}"]
        for name, _ in design.generated:
            said = name not in there or there[name].generated or ("generated", frozenset({name})) in records
            found += [] if said else [f"generated {name}"]
        for column in shape.columns:
            strict = column.name in there and not column.nullable and there[column.name].nullable is not False
            zero = column.name in there and there[column.name].zero_date
            kept = strict and not zero and column.name not in shape.primary_key and not there[column.name].identity
            found += [f"not null of {column.name}"] if kept else []
        sources = {table.sources(group) for group in (table.key, table.primary_key)}
        uniques = {frozenset(each) for each in (*sources, *map(table.sources, table.unique))}
        for unique in shape.uniques:
            found += [] if unique in uniques or ("unique", unique) in records else [f"unique {sorted(unique)}"]
        indexes = {*sources, *map(table.sources, table.indexes)}
        for index in design.indexes:
            said = index in indexes or ("index", frozenset(index)) in records
            found += [] if said else [f"index {index}"]
        keys = {table.sources(key.columns): key for key in table.foreign_keys}
        for key in shape.foreign_keys:
            if key.columns in keys:
                drafted = keys[key.columns]
                acts = (key.on_delete, key.on_update) == (drafted.on_delete, drafted.on_update)
                said = acts or ("foreign_key_action", frozenset(key.columns)) in records
            else:
                said = ("foreign_key", frozenset(key.columns)) in records
            found += [] if said else [f"foreign key {key.columns}"]
        if len(table.checks) + kinds.count("check") < len(design.checks):
            found.append("check")
        found += [f"{each.kind} {each.columns}" for each in design.features if each not in table.features]
    return found


NAMES: Final = st.sampled_from(
    ["a", "A", "b", "select", "x y", 'q"q', "é", "a.b", " c", "c ", "%s", ":d", "n\nl", "日本", "-", "1"]
)
TYPES: Final = {
    "sqlite": ["", "INT", "INTEGER", "TEXT", "REAL", "BLOB", "NUMERIC", "DECIMAL(99,3)", "DECIMAL(3,9)", "CHAR(0)", "JSON", "DATE", "BOOLEAN", "any thing"],
    "duckdb": ["INT", "HUGEINT", "UHUGEINT", "VARCHAR", "VARCHAR COLLATE NOCASE", "INTERVAL", "BLOB", "BIT", "UUID", "INT[]", "STRUCT(a INT)", "UNION(a INT, b VARCHAR)",
               "DECIMAL(38,38)", "TIMESTAMP_NS", "TIMETZ", "JSON", "ENUM ('a', '')"],
    "postgresql": ["int", "numeric", "numeric(5,-2)", "text", "char(3)", "interval", "bytea", "jsonb", "json", "bit(3)", "int[]", "int4range", "point", "timetz", "money",
                   "tsvector", "\"char\"", "name", "xml", "inet", "oid"],
    "mysql": ["INT", "BIGINT UNSIGNED", "DECIMAL(65,30)", "VARCHAR(9)", "CHAR(0)", "TEXT", "LONGBLOB", "BIT(3)", "JSON", "TIME(3)", "YEAR", "TIMESTAMP NULL", "POINT",
              "SET('a','b')", "ENUM('','x')", "INET6", "UUID", "FLOAT(5,2)"],
}  # fmt: skip
DEFAULTS: Final = ["", "NOT NULL", "DEFAULT NULL", "DEFAULT 1", "DEFAULT 'x''\\'", "DEFAULT (1 + 1)", "DEFAULT CURRENT_TIMESTAMP", "UNIQUE", "CHECK (1 = 1)"]  # fmt: skip


@st.composite
def tables(draw: st.DrawFn, engine: str) -> str:
    """CREATE TABLE of any columns, keys and references; the engine need not take it."""
    quote = '"{}"'.format
    names = [quote(each.replace('"', '""')) for each in draw(st.lists(NAMES, min_size=1, max_size=4, unique=True))]
    columns = [f"{each} {draw(st.sampled_from(TYPES[engine]))} {draw(st.sampled_from(DEFAULTS))}" for each in names]
    some = st.lists(st.sampled_from(names), min_size=1, max_size=2, unique=True).map(", ".join)
    if draw(st.booleans()):
        columns.append(f"PRIMARY KEY ({draw(some)})")
    if draw(st.booleans()):
        there = draw(st.sampled_from([names[0], '"good"', '"GOOD"', '"nosuch"']))
        listed = draw(st.sampled_from(["", '("id")', '("ID")', '("nope")', '("id", "name")']))
        columns.append(
            f"FOREIGN KEY ({draw(some)}) REFERENCES {there} {listed} {draw(st.sampled_from(['', 'ON DELETE SET NULL']))}"
        )
    return f"CREATE TABLE {quote(draw(NAMES).replace(chr(34), chr(34) * 2))} ({', '.join(columns)})"


def test_readers_of_the_catalogue_take_whatever_schema_there_is(database: Database, tmp_path: Path) -> None:
    run(database, GOOD)
    dialect = dialect_of(database.engine)  # type: ignore[arg-type]

    @settings(max_examples=6)
    @given(st.lists(tables(database.engine), min_size=1, max_size=3), st.sampled_from(["sqlite", "duckdb"]))
    def holds(statements: list[str], target: str) -> None:
        run(database, *statements)
        adapter = open_target(database.url)
        try:
            there = adapter.tables()
            adapter.besides()
            for table in there:
                try:
                    adapter.describe(table)
                    adapter.design(table)
                except SynclineError:
                    pass
            made = draft(database, f"{target}:///{tmp_path}/new.db")
            assert TableName("good") in there
            assert not next(table for table in made.tables if table.name == "good").blocked
            assert len(made.tables) == len(there)
            assert unsaid(adapter, made) == []
            records = made.untranslated
            assert records == in_order(reversed(records))
            assert {each.table for each in records if each.feature.kind == "table"} == {
                each.name for each in made.tables if each.blocked
            }
        finally:
            adapter.close()
            run(database, *(f"DROP TABLE {spelled_table(each, dialect)}" for each in there if each.name != "good"))

    holds()
