"""Databases of tests, with a way in that is not Syncline's."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit


@dataclass(frozen=True)
class Database:
    """An empty database of one engine, with a way in that is not Syncline's."""

    engine: str
    url: str

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        """Run statements, committed together; the rows of the last one."""
        if self.engine == "postgresql":
            import psycopg

            with psycopg.connect(self.url) as connection:
                for statement in statements:
                    cursor = connection.execute(statement)
                return cursor.fetchall() if cursor.description else []
        if self.engine == "mysql":
            import pymysql

            url = urlsplit(self.url)
            reached = {
                "host": url.hostname,
                "port": url.port or 3306,
                "user": url.username,
                "password": url.password or "",
                "ssl_disabled": True,  # which takes longer than most statements
            }
            plain = "SET time_zone = '+00:00', sql_mode = CONCAT(@@sql_mode, ',ANSI_QUOTES')"  # "names" as elsewhere
            settings = {"charset": "utf8mb4", "init_command": plain}
            connection = pymysql.connect(**reached, **settings, database=url.path[1:])
            with connection, connection.cursor() as cursor:
                for statement in statements:
                    cursor.execute(statement)
                connection.commit()
                return list(cursor.fetchall())
        if self.engine == "duckdb":
            from duckdb_files import opened

            with opened(self.path) as there:
                for statement in statements:
                    there.execute(statement)
                return there.fetchall() if there.description else []
        if self.engine == "parquet":
            from parquet_tables import opened as folder

            with folder(self.path) as tables:
                for statement in statements:
                    tables.execute(statement)
                return tables.fetchall() if tables.description else []
        import sqlite3

        lite = sqlite3.connect(self.path)
        try:
            with lite:
                for statement in statements:
                    rows = lite.execute(statement).fetchall()
            return rows
        finally:
            lite.close()

    @property
    def path(self) -> Path:
        return Path(self.url.partition("///")[2])
