"""A schema of fifty tables as years of work on MariaDB leave it: drafted and run without a word being changed.

What is in both databases afterwards is asked of both databases by their own drivers, and no code of Syncline's has a part in it.
"""

from __future__ import annotations

import json
from collections import Counter
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any, Final

import pytest
from drafts import scaffold
from scenario import Rows, Scenario, Side

from flows.commands import Status

ROWS: Final = 6
OTHERS: Final = [
    "CREATE TABLE moments (id INT UNSIGNED AUTO_INCREMENT PRIMARY KEY, seen TIMESTAMP NOT NULL DEFAULT CURRENT_TIMESTAMP ON UPDATE"
    " CURRENT_TIMESTAMP, fine TIMESTAMP(6) NULL, due DATETIME NULL, day DATE NULL, clock TIME, span TIME(2), vintage YEAR)",
    "INSERT INTO moments VALUES (1, '2024-03-31 01:30:00', '2037-12-31 23:59:59.999999', '0000-00-00', '2024-02-30' - INTERVAL 1 DAY,"
    " '23:59:59', '-100:00:00.25', 1901), (2, '1999-01-01', NULL, '2024-01-01 10:11:12', '0000-00-00', '00:00:00', '838:59:59', 2155),"
    " (3, '2024-10-27 00:30:00', '2024-10-27 01:30:00', NULL, '0001-01-01', NULL, NULL, NULL)",
    r"CREATE TABLE kinds (code VARCHAR(12) COLLATE utf8mb4_bin PRIMARY KEY, state ENUM('new','it''s','b\c') NOT NULL, tags SET('x','y','z'),"
    " flag TINYINT(1) NOT NULL, loose TINYINT(1), one BIT(1), many BIT(9), doc JSON, raw BLOB, fixed BINARY(4), huge BIGINT UNSIGNED,"
    " money DECIMAL(30,10), near FLOAT, exact DOUBLE, letter CHAR(3), long_text LONGTEXT, who UUID)",
    r"INSERT INTO kinds VALUES ('a', 'new', 'x,z', 0, 0, b'0', b'101010101', JSON_OBJECT('b', JSON_ARRAY(1, 2.5, NULL), 'a', 'é'), x'00ff10', 'ab', 18446744073709551615,"
    " 12345678901234567890.0123456789, 0.1, 0.1, 'x', REPEAT('é', 3000), '6ccd780c-baba-1026-9564-5b8c656024db'),"
    r" ('B ', 'b\c', '', 1, 2, b'1', b'0', '[]', '', NULL, 0, -0.5, -1e20, 1e300, '', '', NULL), ('A', 'it''s', NULL, 1, -1, NULL, NULL, 'null', NULL,"
    " NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL)",
    "CREATE TABLE `select` (`from` VARCHAR(9) COLLATE utf8mb4_bin NOT NULL, `where` INT NOT NULL, `Größe` DECIMAL(9,2) AS (`where` * 1.5) STORED,"
    " `group by` VARCHAR(20) AS (CONCAT(`from`, '-', `where`)) VIRTUAL, PRIMARY KEY (`from`, `where`), KEY `order` (`where`))",
    "INSERT INTO `select` (`from`, `where`) VALUES ('a', 1), ('a', 2), ('A', 1)",
    "CREATE TABLE `order` (id INT AUTO_INCREMENT PRIMARY KEY, f VARCHAR(9) COLLATE utf8mb4_bin, w INT, boss INT, UNIQUE (w, boss),"
    " FOREIGN KEY (f, w) REFERENCES `select` (`from`, `where`) ON DELETE SET NULL, FOREIGN KEY (boss) REFERENCES `order` (id))",
    "INSERT INTO `order` VALUES (1, 'a', 1, NULL), (2, 'A', 1, 1), (3, NULL, NULL, 1), (5, 'a', 2, 2)",
    "CREATE TABLE visits (happened DATETIME NOT NULL, visitor INT NOT NULL, amount DOUBLE, note VARCHAR(30)) ENGINE=MyISAM",
    "INSERT INTO visits SELECT '2024-01-01' + INTERVAL seq % 9 HOUR, seq DIV 9, seq / 3, 'x' FROM seq_0_to_80",
    "CREATE TABLE links (a_id INT, b_id INT, since DATE)",
    "INSERT INTO links VALUES (1, 1, '2024-01-01'), (1, 2, '2024-01-01'), (2, 1, '2024-01-01')",
    "CREATE TABLE never_used (label VARCHAR(9) NOT NULL, never_used_id INT)",
    "CREATE TABLE maybe (email VARCHAR(40), hits INT DEFAULT 0, UNIQUE (email))",
    "INSERT INTO maybe VALUES ('a@x', 1), ('b@x', 1)",
    "CREATE VIEW report AS SELECT id, boss FROM `order`",
    "CREATE TRIGGER noted BEFORE UPDATE ON moments FOR EACH ROW SET NEW.clock = '12:00:00'",
]  # fmt: skip
"""Keys of two columns and to themselves, words that are reserved, tables without a key, dates that are none, columns that are computed."""

PLAIN: Final = 42


def plain(number: int) -> list[str]:
    """One of the many tables that differ in little: each refers to the one before it."""
    parent = f", FOREIGN KEY (parent) REFERENCES t_{number - 1} (id)" if number % 5 else ""
    kinds = ("VARCHAR(20)", "MEDIUMTEXT", "CHAR(20)", "TINYTEXT")
    made = (
        f"CREATE TABLE t_{number} (id INT{' UNSIGNED' if number % 10 >= 5 else ''} AUTO_INCREMENT PRIMARY KEY, name {kinds[number % 4]} NOT NULL,"
        f" parent INT{' UNSIGNED' if number % 10 >= 5 else ''}, price DECIMAL(9,2) DEFAULT 1.50, entered DATETIME, KEY (price){parent})"
        f" ENGINE={'MyISAM' if number % 5 == 4 else 'InnoDB'}"
    )
    rows = f"SELECT seq, CONCAT('n ', seq), seq, seq / 4, '2024-01-01' + INTERVAL seq DAY FROM seq_1_to_{ROWS}"
    return [made, f"INSERT INTO t_{number} {rows}"]


def columns_of(side: Side) -> dict[str, list[tuple[str, str]]]:
    """The tables of the source with their columns and declared types; none of those that no type of Arrow holds."""
    found = side.ask(
        "SELECT c.table_name, column_name, data_type FROM information_schema.columns c JOIN information_schema.tables t USING (table_schema,"
        " table_name) WHERE c.table_schema = database() AND table_type = 'BASE TABLE' ORDER BY table_name, ordinal_position"
    )
    tables: dict[str, list[tuple[str, str]]] = {}
    for table, column, kind in found:
        tables.setdefault(table, []).append((column, "json" if column == "doc" else kind))
    return tables


def content(side: Side, tables: dict[str, list[tuple[str, str]]]) -> dict[str, Counter[Any]]:
    """All rows of a side, each value as its type in the source means it."""
    found = {}
    with side.connected() as run:
        for table, columns in tables.items():
            listed = ", ".join(read(name, kind, side.engine) for name, kind in columns)
            rows: Rows = run(f'SELECT {listed} FROM "{table}"').fetchall()
            kinds = [kind for _, kind in columns]
            found[table] = Counter(tuple(map(meant, row, kinds)) for row in rows)
    return found


def read(name: str, kind: str, engine: str) -> str:
    if kind == "json":  # drivers make one of null in JSON and of NULL
        return f'CAST("{name}" AS CHAR)' if engine == "mysql" else f'CAST("{name}" AS text)'
    return f'"{name}" + 0' if engine == "mysql" and kind in ("bit", "year", "float") else f'"{name}"'


def meant(value: Any, kind: str) -> Any:
    if value is None or (isinstance(value, str) and kind in ("date", "datetime", "timestamp") and "00-00" in value):
        return None  # a date that is none is null, as the draft says
    if kind in ("tinyint", "int", "bigint", "bit", "year"):
        return int(value)
    if kind == "float":
        return f"{float(value):.6g}"
    if kind == "json":
        return json.dumps(json.loads(value), sort_keys=True)
    if kind in ("time", "date", "datetime", "timestamp"):
        return timed(value, kind)
    if kind in ("decimal", "double"):
        return Decimal(str(value)).normalize() if kind == "decimal" else float(value)
    if isinstance(value, bytes | memoryview):
        return bytes(value)
    return str(value).rstrip(" ") if kind == "char" else str(value)


def timed(value: Any, kind: str) -> Any:
    if isinstance(value, str):
        if kind == "time":
            return span(value)
        moment = datetime.fromisoformat(value)
        value = moment.date() if kind == "date" else moment
    if isinstance(value, datetime):
        return value.replace(tzinfo=None)  # every session here is in UTC
    if isinstance(value, timedelta | date):
        return value
    return timedelta(hours=value.hour, minutes=value.minute, seconds=value.second, microseconds=value.microsecond)


def span(text: str) -> timedelta:
    """SQLite's text of a span or of a time of day."""
    sign = -1 if text.startswith("-") else 1
    hours, minutes, seconds = text.lstrip("-+").split(":")
    return sign * timedelta(hours=int(hours), minutes=int(minutes), seconds=float(seconds))


def test_fifty_tables_of_mariadb_move_as_they_are_drafted(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    legacy = Scenario.make(tmp_path, ("mysql", "postgresql"), request)
    loose = ["SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'"]
    made = [statement for number in range(PLAIN) for statement in plain(number)]
    legacy.source.execute(*loose, *made, *(each.replace("`", '"') for each in OTHERS))
    tables = columns_of(legacy.source)
    assert len(tables) == 50
    draft = scaffold(legacy)
    assert not [table for table in draft["tables"] if "left_out" in table]
    done = legacy.run()
    assert (done.status, done.report.total.quarantined) == (Status.DONE, 0)
    assert content(legacy.target, tables) == content(legacy.source, tables)
