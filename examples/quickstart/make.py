"""Make the quickstart's legacy database, and with `edit` let its owners go on working: `python make.py [edit]`."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path

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

if __name__ == "__main__":
    edit = sys.argv[1:] == ["edit"]
    if not edit:
        LEGACY.unlink(missing_ok=True)
    with closing(sqlite3.connect(LEGACY)) as database:
        database.executescript(EDITS if edit else TABLES)
    print("legacy.db edited" if edit else "legacy.db made")
