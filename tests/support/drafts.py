"""What the tests of `scaffold` share: a shop in every engine, the command, and looks at the draft that it leaves."""

from __future__ import annotations

import json
from typing import Any

import yaml
from command_line import syncline
from scenario import Scenario, Side

from adapters.registry import open_target
from transforms.vocabulary import TableName, TableShape

SHOP: dict[str, list[str]] = {
    "sqlite": [
        "CREATE TABLE country (code CHAR(2) PRIMARY KEY NOT NULL, name VARCHAR(60) NOT NULL UNIQUE) WITHOUT ROWID",
        "CREATE TABLE store (id INTEGER PRIMARY KEY, manager INT NOT NULL UNIQUE REFERENCES staff DEFERRABLE INITIALLY DEFERRED,"
        " country CHAR(2) DEFAULT 'AT' REFERENCES country)",
        "CREATE TABLE staff (id INTEGER PRIMARY KEY AUTOINCREMENT, store INT NOT NULL REFERENCES store ON DELETE CASCADE DEFERRABLE INITIALLY DEFERRED,"
        " name TEXT NOT NULL DEFAULT ('O''Hara: 100%'), kind VARCHAR(5) CHECK (kind IN ('boss', 'other')),"
        " since TIMESTAMP DEFAULT CURRENT_TIMESTAMP)",
        "CREATE INDEX by_name ON staff (name, store)",
        "CREATE INDEX half ON staff (name) WHERE store > 1",
        "CREATE TABLE product (id INTEGER PRIMARY KEY, price DECIMAL(10,2) NOT NULL DEFAULT 0.5 CHECK (price >= 0), number INT,"
        " total DECIMAL(12,2) GENERATED ALWAYS AS (price * number) STORED, low TEXT AS (lower('A')) STORED)",
    ],
    "duckdb": [
        "CREATE SEQUENCE numbers",
        "CREATE TABLE country (code VARCHAR PRIMARY KEY, name VARCHAR NOT NULL UNIQUE)",
        "CREATE TABLE staff (id BIGINT PRIMARY KEY DEFAULT nextval('numbers'), store INTEGER NOT NULL,"
        " name VARCHAR NOT NULL DEFAULT 'O''Hara: 100%', kind ENUM ('boss', 'other'), since TIMESTAMP DEFAULT current_timestamp)",
        "CREATE INDEX by_name ON staff (name, store)",
        "CREATE INDEX half ON staff (lower(name))",
        "CREATE TABLE store (id INTEGER PRIMARY KEY, manager INTEGER NOT NULL UNIQUE, country VARCHAR DEFAULT 'AT'"
        " REFERENCES country (code))",
        "CREATE TABLE product (id BIGINT PRIMARY KEY, price DECIMAL(10,2) NOT NULL DEFAULT 0.5 CHECK (price >= 0),"
        " number INTEGER, total DECIMAL(12,2) GENERATED ALWAYS AS (price * number), low VARCHAR AS (lower('A')))",
    ],
    "postgresql": [
        "CREATE TYPE kinds AS ENUM ('boss', 'other')",
        "CREATE TABLE country (code char(2) PRIMARY KEY, name varchar(60) NOT NULL UNIQUE)",
        "CREATE TABLE store (id int PRIMARY KEY, manager int NOT NULL UNIQUE, country char(2) DEFAULT 'AT' REFERENCES country)",
        "CREATE TABLE staff (id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, store int NOT NULL REFERENCES store ON DELETE"
        " CASCADE, name text NOT NULL DEFAULT 'O''Hara: 100%', kind kinds DEFAULT 'boss', since timestamp DEFAULT now())",
        "ALTER TABLE store ADD FOREIGN KEY (manager) REFERENCES staff",
        "CREATE INDEX by_name ON staff (name, store)",
        "CREATE INDEX half ON staff (name) WHERE store > 1",
        "CREATE TABLE product (id serial PRIMARY KEY, price numeric(10,2) NOT NULL DEFAULT 0.5 CHECK (price >= 0), number int,"
        " total numeric(12,2) GENERATED ALWAYS AS (price * number) STORED, low text GENERATED ALWAYS AS (lower('A' || number::text)) STORED)",
    ],
    "mysql": [
        "CREATE TABLE country (code CHAR(2) PRIMARY KEY, name VARCHAR(60) NOT NULL UNIQUE)",
        "CREATE TABLE staff (id BIGINT AUTO_INCREMENT PRIMARY KEY, store INT NOT NULL,"
        " name VARCHAR(40) NOT NULL DEFAULT 'O''Hara: 100%', kind ENUM('boss', 'other') DEFAULT 'boss',"
        " since DATETIME DEFAULT current_timestamp(), KEY by_name (name, store), KEY half (name(3)))",
        "CREATE TABLE store (id INT PRIMARY KEY, manager BIGINT NOT NULL UNIQUE REFERENCES staff (id),"
        " country CHAR(2) DEFAULT 'AT' REFERENCES country (code))",
        "ALTER TABLE staff ADD FOREIGN KEY (store) REFERENCES store (id) ON DELETE CASCADE",
        "CREATE TABLE product (id INT AUTO_INCREMENT PRIMARY KEY, price DECIMAL(10,2) NOT NULL DEFAULT 0.5 CHECK (price >= 0),"
        " number INT, total DECIMAL(12,2) AS (price * number) STORED, low VARCHAR(40) AS (lower(concat('A', number))) VIRTUAL)",
    ],
}  # fmt: skip
COMMON = [
    'CREATE TABLE "Odd: ""name"" & co" ("select" int NOT NULL, "Größe" varchar(9), "a.b" int NOT NULL, PRIMARY KEY ("select", "a.b"))',
    "CREATE TABLE blank (id int PRIMARY KEY, day date, note text)",
]
ROWS = [
    "INSERT INTO country VALUES ('AT', 'Austria'), ('JP', '日本')",
    "INSERT INTO product (id, price, number) VALUES (3, 2.5, 4), (7, 0, NULL)",
    'INSERT INTO "Odd: ""name"" & co" VALUES (1, \'ß\', 1), (1, NULL, 2)',
    "INSERT INTO staff (id, store, name, kind) {over} VALUES (10, 1, 'Ann', 'boss'), (20, 2, 'Bob', 'other')",
    "INSERT INTO store VALUES (1, 10, 'AT'), (2, 20, NULL)",
]


def fill(side: Side) -> None:
    """A shop with a circle of foreign keys, in the engine's own SQL."""
    over = "OVERRIDING SYSTEM VALUE" if side.engine == "postgresql" else ""
    side.execute(*SHOP[side.engine], *COMMON)
    with side.connected() as run:  # rows of a circle come one after the other
        if side.engine == "postgresql":
            run("SET session_replication_role = replica")
        if side.engine == "mysql":
            run("SET foreign_key_checks = 0")
        for row in ROWS:
            run(row.replace("{over}", over))


def scaffold(scenario: Scenario, *more: Any, status: int = 0) -> dict[str, Any]:
    """Run the command with --json; the draft lies where the scenario has its spec."""
    sides: list[Any] = []
    for name, side in (("--schema", scenario.source), ("--target-schema", scenario.target)):
        sides += [name, side.schema] if side.schema else []
    done = syncline(
        "scaffold",
        scenario.source.url,
        scenario.target.url,
        "-o",
        scenario.path,
        "--json",
        *sides,
        *more,
        status=status,
    )
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def shape(side: Side, table: str) -> TableShape:
    adapter = open_target(side.url)
    try:
        found = adapter.describe(TableName(table, side.schema))
    finally:
        adapter.close()
    assert found is not None
    return found


def untold(draft: dict[str, Any], table: str | None) -> list[str]:
    return [each["what"] for each in draft["untranslated"] if each["table"] == table]


def typed(scenario: Scenario, table: str = "t") -> dict[str, Any]:
    """The types of the draft's new columns."""
    created = yaml.safe_load(scenario.path.read_text())["tables"][table]["create"]["columns"]
    return {name: column["type"] if isinstance(column, dict) else column for name, column in created.items()}


def noted(draft: dict[str, Any], column: str) -> str:
    return "; ".join(each["why"] for each in draft["decisions"] if each["column"] == column)
