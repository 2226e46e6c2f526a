"""The target as its own driver sees it, without Syncline: what proves that a run left it alone."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractContextManager
from typing import Any

# Every table that is not the engine's own, Syncline's marker among them.
_TABLES = """
SELECT table_schema, table_name FROM information_schema.tables
WHERE table_type = 'BASE TABLE' AND table_schema NOT IN ('pg_catalog', 'information_schema') ORDER BY 1, 2"""
# All rows as text, in the order of their bytes, each on a line of its own.
_POSTGRES = """
SELECT count(*), encode(sha256(convert_to(coalesce(string_agg(t::text, chr(10) ORDER BY t::text COLLATE "C"), ''), 'UTF8')), 'hex')
FROM {table} t"""
_DUCKDB = """
SELECT count(*), sha256(coalesce(string_agg(t::varchar, chr(10) ORDER BY t::varchar), '')) FROM {table} t"""


def digests(url: str) -> dict[str, tuple[int, str]]:
    """By table of the database: how many rows it has, and the SHA-256 of all of them, worked out by the database.

    In: the URL of a PostgreSQL, or `duckdb:///FILE`.
    """
    opened, query = _opened(url)
    with opened as database:
        run: Callable[[str], Any] = database.execute
        tables = [f'"{schema}"."{name}"' for schema, name in run(_TABLES).fetchall()]
        return {table.replace('"', ""): run(query.format(table=table)).fetchone() for table in tables}


def _opened(url: str) -> tuple[AbstractContextManager[Any], str]:
    if url.startswith("duckdb:///"):
        import duckdb

        return duckdb.connect(url.removeprefix("duckdb:///"), read_only=True), _DUCKDB
    import psycopg

    return psycopg.connect(url), _POSTGRES
