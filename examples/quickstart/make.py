"""Make the quickstart's legacy database: `python make.py`. Then, for pages of the documentation:

`edit` lets its owners go on working, `core` and `twin` make targets that are there before, and `both` edits a customer on both sides.
"""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

import duckdb

LEGACY = Path(__file__).parent / "legacy.db"

TABLES = """
CREATE TABLE customers (id INTEGER PRIMARY KEY, name TEXT, born TEXT, kind TEXT, since TEXT);
INSERT INTO customers VALUES
  (1, 'Ada Lovelace',   '1815-12-10', 'P', '2012-01-31 09:00:00'),
  (2, 'Škoda & Co',     NULL,         'C', '2013-05-02 13:30:00'),
  (3, 'Grace Hopper',   '1906-12-09', 'P', '2013-11-03 01:30:00'),
  (4, 'Old Import',     '1899-02-30', 'P', '2014-02-01 08:15:00');
CREATE TABLE orders (number INTEGER PRIMARY KEY, customer INTEGER, cents INTEGER);
INSERT INTO orders VALUES (100, 1, 1999), (101, 2, 250000), (102, 4, 500), (103, 9, 42);
"""
EDITS = """
UPDATE customers SET name = 'Ada King' WHERE id = 1;
UPDATE customers SET born = '1899-02-28' WHERE id = 4;
DELETE FROM orders WHERE number = 101;
INSERT INTO orders VALUES (104, 2, 990);
"""

CORE = """
CREATE TABLE kind (kind_id INTEGER PRIMARY KEY, name VARCHAR NOT NULL UNIQUE);
INSERT INTO kind VALUES (10, 'person'), (20, 'company');
CREATE TABLE party (
  party_no BIGINT PRIMARY KEY, full_name VARCHAR NOT NULL, kind_id INTEGER REFERENCES kind (kind_id), region VARCHAR NOT NULL);
INSERT INTO party VALUES (1, 'Ada Lovelace', 10, 'west'), (900, 'Entered here', 10, 'east');
"""


def legacy(statements: str) -> None:
    with closing(sqlite3.connect(LEGACY)) as database:
        database.executescript(statements)


def core(statements: str) -> None:
    with duckdb.connect(LEGACY.with_name("core.db")) as database:
        database.execute(statements)


if __name__ == "__main__":
    match sys.argv[1:]:
        case ["edit"]:
            legacy(EDITS)
            print("legacy.db edited")
        case ["core"]:
            core(CORE)
            print("core.db made")
        case ["twin"]:
            core("CREATE TABLE customer (customer_id BIGINT PRIMARY KEY, name VARCHAR)")
            print("core.db made, with an empty customer")
        case ["both"]:
            legacy(
                "UPDATE customers SET name = 'Ada King' WHERE id = 1; UPDATE customers SET name = 'Skoda' WHERE id = 2;"
            )
            core("UPDATE customer SET name = 'Ada Byron' WHERE customer_id = 1")
            print("Ada has another name on either side, Škoda on one")
        case _:
            LEGACY.unlink(missing_ok=True)
            legacy(TABLES)
            print("legacy.db made")
