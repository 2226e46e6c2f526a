"""The adapter contract: what a table would refuse is known before anything is written, and is what it really refuses."""

from __future__ import annotations

from itertools import product
from typing import Any

import pytest
from contract import change, constrained, edited, rows_of
from databases import Database

from adapters.protocol import Target
from adapters.registry import open_target
from transforms.vocabulary import Design, TableName, TableShape, text_of

VALUES = (-1, 0, 5, 7, 50, 1000, None)
TEXTS = ("1", "x", None)
ROWS = [{"id": number, "v": v, "w": w} for number, (v, w) in enumerate(product(VALUES, TEXTS), 1)]

COLUMNS = "id integer PRIMARY KEY, v integer, w {text}"
DEMANDS: dict[str, list[str]] = {  # what is made beside the columns, and how the table ends
    "sqlite": [
        "CHECK (v > 0), CONSTRAINT small CHECK (v < id * 10)|",
        "g integer GENERATED ALWAYS AS (json_extract(w, '$.a')) STORED, CHECK (w <> 'x' OR v IS NULL)|",
        "g integer GENERATED ALWAYS AS (v + 1) VIRTUAL NOT NULL CHECK (g <> 6)|STRICT",
        "extra integer DEFAULT 5 CHECK (v > extra)|WITHOUT ROWID",
    ],
    "duckdb": [
        "CHECK (v > 0), CHECK (v < id * 10)|",
        "g integer GENERATED ALWAYS AS (v + 1), CHECK (w <> 'x' OR v > 3)|",
        "CHECK (CAST(w AS integer) > 0)|",
        "extra integer DEFAULT 5, CHECK (v > extra)|",
    ],
    "postgresql": [
        "CHECK (v > 0), CONSTRAINT small CHECK (v < id * 10)|",
        "CHECK (w <> 'x' OR v > 3), g integer GENERATED ALWAYS AS (100 / v) STORED|",
        "g integer GENERATED ALWAYS AS (v + 1) STORED NOT NULL CHECK (g <> 6), serial serial, made integer GENERATED ALWAYS AS IDENTITY|",
        "extra integer DEFAULT 5 NOT NULL, CHECK (v > extra)|",
        "CHECK (w::jsonb IS NOT NULL)|",
    ],
    "mysql": [
        "CHECK (v > 0), FULLTEXT KEY words (w), KEY v (v)|COMMENT 'FULLTEXT KEY `x` (`w`)'",
        "a date DEFAULT '2020-01-01', b date DEFAULT '2020-01-02', PERIOD FOR valid (a, b), CHECK (v > 0), "
        "UNIQUE (v, valid WITHOUT OVERLAPS)|",
        "CHECK (v > 0), CONSTRAINT small CHECK (v < id * 10)|",
        "CHECK (w <> 'x' OR v > 3), g tinyint AS (v * 100) STORED|",
        "extra integer DEFAULT 5 NOT NULL, CHECK (v > extra)|",
        "u varchar(20) AS (concat(w, v)) VIRTUAL, CHECK (u <> 'x7')|",
        "|PARTITION BY RANGE (id) (PARTITION a VALUES LESS THAN (5), PARTITION b VALUES LESS THAN (20))",
        "|PARTITION BY LIST (id) (PARTITION a VALUES IN (1, 2, 3), PARTITION b VALUES IN (7))",
        "CHECK (v > 0)|PARTITION BY RANGE COLUMNS (id) (PARTITION a VALUES LESS THAN (9), PARTITION b VALUES LESS THAN (17))",
        "CHECK (v > 0)|PARTITION BY RANGE (id) (PARTITION a VALUES LESS THAN (9), PARTITION b VALUES LESS THAN MAXVALUE)",
        "CHECK (v > 0)|PARTITION BY HASH (id) PARTITIONS 3",
    ],
}
PARTITIONS = (
    "CREATE TABLE t (id integer PRIMARY KEY, v integer, w text, CHECK (v <> 7)) PARTITION BY RANGE (id)",
    "CREATE TABLE t1 PARTITION OF t FOR VALUES FROM (1) TO (9)",
    "CREATE TABLE t2 PARTITION OF t (CHECK (v < 50)) FOR VALUES FROM (9) TO (17)",
    "CREATE TABLE t3 PARTITION OF t FOR VALUES FROM (17) TO (40) PARTITION BY LIST (id)",
    "CREATE TABLE t4 PARTITION OF t3 FOR VALUES IN (17, 18, 30)",
)


def taken(database: Database, row: dict[str, Any]) -> bool:
    """Whether the engine takes a row, as it says itself."""
    said = {name: "NULL" if value is None else repr(value) for name, value in row.items()}
    strict = ["SET sql_mode = 'STRICT_ALL_TABLES,ANSI_QUOTES'"] if database.engine == "mysql" else []
    insert = f"INSERT INTO t ({', '.join(said)}) VALUES ({', '.join(said.values())})"
    computed = [f"SELECT * FROM t WHERE id = {row['id']}"]  # a virtual column is computed when it is read
    try:
        database.execute(*strict, insert, *computed)
    except Exception:  # each driver has its own
        return False
    database.execute("DELETE FROM t")
    return True


def refused(adapter: Target, *, updates: bool = False) -> dict[int, str]:
    """By id, why the adapter says that the table would refuse the rows."""
    shape = adapter.describe(TableName("t"))
    assert shape is not None
    mapped = TableShape(shape.name, tuple(each for each in shape.columns if each.name in ("id", "v", "w")))
    rows = rows_of(mapped, *ROWS)
    asked = (
        change(mapped, before=rows, after=edited(rows, "w", rows["w"].to_pylist()))
        if updates
        else change(mapped, inserts=rows)
    )
    told = adapter.refused(shape, asked)
    return {int(ROWS[place]["id"]): text_of(refusal) for place, refusal in told.items()}


def made(database: Database) -> list[tuple[str, ...]]:
    """The statements that make each table to be tried."""
    text = "varchar(20)" if database.engine == "mysql" else "text"
    columns = COLUMNS.format(text=text)
    tables = []
    for each in DEMANDS[database.engine]:
        inside, _, end = each.partition("|")
        tables.append((f"CREATE TABLE t ({columns}{', ' if inside else ''}{inside}) {end}",))
    return [*tables, *([PARTITIONS] if database.engine == "postgresql" else [])]


@constrained
def test_what_is_said_to_be_refused_is_what_the_table_refuses(database: Database) -> None:
    for statements in made(database):
        database.execute(*statements)
        opened = open_target(database.url)
        try:
            told = refused(opened)
        finally:
            opened.close()
        assert {row["id"] for row in ROWS if not taken(database, row)} == set(told), statements
        assert told, statements
        database.execute("DROP TABLE t")


@constrained
def test_columns_that_are_not_written_are_what_the_table_has(database: Database) -> None:
    text = "varchar(20)" if database.engine == "mysql" else "text"
    extra = f"{COLUMNS.format(text=text)}, extra integer DEFAULT 5, CHECK (v > extra)"
    database.execute(f"CREATE TABLE t ({extra})")
    values = ", ".join(f"({row['id']}, 100, 'w', {(row['id'] % 4) * 10})" for row in ROWS)
    database.execute(f"INSERT INTO t (id, v, w, extra) VALUES {values}")
    opened = open_target(database.url)
    try:
        told = refused(opened, updates=True)
    finally:
        opened.close()
    wanted = {row["id"] for row in ROWS if row["v"] is not None and not row["v"] > (row["id"] % 4) * 10}
    assert set(told) == wanted
    assert database.execute("SELECT count(*) FROM t WHERE v = 100") == [(len(ROWS),)]


@constrained
def test_a_table_that_is_yet_to_be_made_is_tried_by_its_design(database: Database, adapter: Target) -> None:
    shape = adapter.made  # the types that the engine makes
    import pyarrow as pa
    from contract import a_shape, col

    columns = [shape(col("id", pa.int64(), nullable=False)), shape(col("v", pa.int32())), shape(col("w", pa.string()))]
    design = Design(checks=("v > 0", "v < 1000"))
    told = adapter.refused(a_shape("t", columns, design=design), change(a_shape("t", columns), inserts=rows_of(a_shape("t", columns), *ROWS)), new=True)  # fmt: skip
    assert {ROWS[place]["v"] for place in told} == {-1, 0, 1000}
    assert {text_of(refusal).split("check ")[1] for refusal in told.values()} == {"(v > 0)", "(v < 1000)"}
    assert {refusal.columns for refusal in told.values()} == {("v",)}
    assert adapter.describe(TableName("t")) is None


def test_a_table_without_demands_is_not_asked(
    database: Database, adapter: Target, monkeypatch: pytest.MonkeyPatch
) -> None:
    text = "varchar(20)" if database.engine == "mysql" else "text"
    database.execute(f"CREATE TABLE t ({COLUMNS.format(text=text)})")
    from adapters.sql import trials

    monkeypatch.setattr(trials, "refused", lambda *_: pytest.fail("rows were tried"))
    assert refused(adapter) == {}
