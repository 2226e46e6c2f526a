"""Make two small databases whose tables should hold the same products, and do not quite: legacy.db (SQLite) and core.db (DuckDB)."""

from __future__ import annotations

import sqlite3
from pathlib import Path

import duckdb

HERE = Path.cwd()


def main() -> None:
    for name in ("legacy.db", "core.db"):
        (HERE / name).unlink(missing_ok=True)
    legacy = sqlite3.connect(HERE / "legacy.db")
    legacy.executescript(
        """
        CREATE TABLE product (id INTEGER PRIMARY KEY, name TEXT, price NUMERIC(9,2), sold_on TEXT);
        INSERT INTO product VALUES
            (1, 'Lamp', 19.99, '2024-01-31'), (2, 'Chair', 45, '2024-02-01'), (3, 'Rug', 120.5, NULL), (4, 'Bowl', 7, '2024-02-02');
        CREATE TABLE scan (code TEXT, weight REAL);
        INSERT INTO scan VALUES ('007', 1.5), ('8', 2.25), ('8', 2.5), (NULL, 1), ('n/a', 3);
        """
    )
    legacy.close()
    with duckdb.connect(str(HERE / "core.db")) as core:
        core.execute(
            """
            CREATE TABLE product (id BIGINT PRIMARY KEY, name VARCHAR, price DECIMAL(12,4), sold_on DATE, colour VARCHAR);
            INSERT INTO product VALUES
                (1, 'Lamp', 19.99, '2024-01-31', 'red'), (2, 'chair', 45.001, '2024-02-01', NULL), (4, 'Bowl', 7, '2024-02-03', NULL),
                (5, 'Vase', 30, NULL, 'blue');
            CREATE TABLE weight (code INTEGER, weight DOUBLE);
            INSERT INTO weight VALUES (7, 1.5), (8, 2.5), (8, 2.25), (8, 9), (NULL, 1);
            """
        )
    print("legacy.db and core.db made")


if __name__ == "__main__":
    main()
