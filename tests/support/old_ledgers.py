"""Ledgers as earlier versions of Syncline made them, statement by statement; kept as they were."""

from __future__ import annotations

import sqlite3
from pathlib import Path
from typing import Final

import psycopg

_IN_BOTH: Final = (
    "CREATE TABLE syncline_format (version integer NOT NULL PRIMARY KEY)",
    "CREATE TABLE runs (run_id text NOT NULL PRIMARY KEY, migration text NOT NULL, kind text NOT NULL, "
    "spec_digest text NOT NULL, status text NOT NULL, started_at {moment} NOT NULL, finished_at {moment}, plan text, "
    "version integer, counts json, message text)",
    "CREATE INDEX runs_by_time ON runs (migration, started_at)",
    "CREATE TABLE versions (migration text NOT NULL, version integer NOT NULL, plan text NOT NULL, run_id text NOT NULL, "
    "spec_digest text NOT NULL, created_at {moment} NOT NULL, counts json, source_mark text, target_mark text, "
    "author text, message text, PRIMARY KEY (migration, version), UNIQUE (migration, plan))",
    "CREATE TABLE quarantine (migration text NOT NULL, table_name text NOT NULL, key_digest text NOT NULL, "
    "reason_digest text NOT NULL, key text NOT NULL, reason text NOT NULL, column_name text, value text, rows integer NOT NULL, "
    "run_id text NOT NULL, first_seen {moment} NOT NULL, last_seen {moment} NOT NULL, file text, "
    "PRIMARY KEY (migration, table_name, key_digest, reason_digest))",
    "CREATE TABLE conflicts (migration text NOT NULL, table_name text NOT NULL, key_digest text NOT NULL, key text NOT NULL, "
    "op text NOT NULL, before text, after text, found text, run_id text NOT NULL, seen_at {moment} NOT NULL, "
    "resolved_at {moment}, resolution text, PRIMARY KEY (migration, table_name, key_digest))",
    "CREATE TABLE steps (migration text NOT NULL, spec_digest text NOT NULL, range_text text NOT NULL, start text NOT NULL, "
    "stop text NOT NULL, run_id text NOT NULL, finished_at {moment} NOT NULL, "
    "PRIMARY KEY (migration, spec_digest, range_text, start, stop))",
    "CREATE TABLE facts (migration text NOT NULL, kind text NOT NULL, name text NOT NULL, value text NOT NULL, "
    "seen_at {moment} NOT NULL, PRIMARY KEY (migration, kind, name))",
    "CREATE TABLE leases (migration text NOT NULL PRIMARY KEY, token text NOT NULL, holder text NOT NULL, host text NOT NULL, "
    "pid integer NOT NULL, acquired_at {moment} NOT NULL, expires_at {moment} NOT NULL)",
)

FORMAT_1: Final = (
    *_IN_BOTH,
    "INSERT INTO syncline_format VALUES (1)",
    'CREATE TABLE windows (plan text NOT NULL, table_name text NOT NULL, "window" integer NOT NULL, phase text NOT NULL, '
    "run_id text NOT NULL, status text NOT NULL, counts json, finished_at {moment} NOT NULL, "
    'PRIMARY KEY (plan, table_name, "window", phase))',
    "INSERT INTO versions VALUES ('m', 1, 'a', 'a', 'd', '2026-01-31T12:00:00.123456+00:00', '{{\"flight\": "
    "{{\"insert\": 1}}}}', '7', NULL, 'me', NULL)",
)

_MOMENT: Final = "'2026-01-31T12:00:00.123456+00:00'"
_SHAPES: Final = (
    '{{"spec": "d", "since": "run a", "tables": {{"flight": {{"source": {{"at": 1}}, "target": {{"at": 2}}}}, '
    '"plane": {{"source": {{"at": 3}}}}}}}}'
)

FORMAT_2: Final = (
    *_IN_BOTH,
    "INSERT INTO syncline_format VALUES (1)",
    "INSERT INTO syncline_format VALUES (2)",
    "ALTER TABLE versions ADD COLUMN side text",
    "ALTER TABLE versions ADD COLUMN kind text",
    "ALTER TABLE versions ADD COLUMN undoes json",
    "ALTER TABLE versions ADD COLUMN made_mark text",
    "ALTER TABLE versions ADD COLUMN windows json",
    "ALTER TABLE versions ADD COLUMN kept json",
    "CREATE TABLE bases (migration text NOT NULL, table_name text NOT NULL, version integer NOT NULL, folder text, "
    "rows bigint NOT NULL, made_at {moment} NOT NULL, PRIMARY KEY (migration, table_name))",
    f"INSERT INTO runs VALUES ('a', 'm', 'run', 'd', 'done', {_MOMENT}, {_MOMENT}, 'plans/a', 1, '{{{{\"total\": 1}}}}', NULL)",
    f"INSERT INTO runs VALUES ('b', 'm', 'run', 'd', 'applying', {_MOMENT}, NULL, 'plans/b', NULL, NULL, NULL)",
    f"INSERT INTO runs VALUES ('c', 'm', 'plan', 'd', 'running', {_MOMENT}, NULL, NULL, NULL, NULL, NULL)",
    f"INSERT INTO versions VALUES ('m', 1, 'plans/a', 'a', 'd', {_MOMENT}, '{{{{\"total\": 1}}}}', '7', NULL, 'me', NULL, 'target', "
    "'undo', '[3, 4]', '8', NULL, '{{\"flight\": \"keys\"}}')",
    f"INSERT INTO bases VALUES ('m', 'flight', 1, 'bases/m/flight@1', 5, {_MOMENT})",
    f"INSERT INTO quarantine VALUES ('m', 'flight', 'k', 'r', '[1]', 'late', 'day', '7', 2, 'a', {_MOMENT}, {_MOMENT}, 'plans/a')",
    f"INSERT INTO conflicts VALUES ('m', 'flight', 'k', '[2]', 'update', '{{{{}}}}', NULL, NULL, 'a', {_MOMENT}, NULL, NULL)",
    f"INSERT INTO steps VALUES ('m', 'd', 'flight.day:1..3', '1', '2', 'a', {_MOMENT})",
    f"INSERT INTO facts VALUES ('m', 'shape', 'tables', '{_SHAPES}', {_MOMENT})",
    "INSERT INTO leases VALUES ('m', 't', 'ann', 'elsewhere', 1, " + _MOMENT + ", '2199-01-01T00:00:00.000000+00:00')",
)


def made(url: str, statements: tuple[str, ...]) -> None:
    """Make an old ledger at a URL where there is nothing yet."""
    moment = "varchar(32)" if url.startswith("sqlite") else "timestamptz"
    if url.startswith("sqlite"):
        Path(url.removeprefix("sqlite:///")).parent.mkdir()
        statements_of(url, *(each.format(moment=moment) for each in statements))
    else:
        statements_of(url, "CREATE SCHEMA syncline", *(each.format(moment=moment) for each in statements))


def statements_of(url: str, *statements: str) -> None:
    """Run statements in a ledger's database, past the ledger."""
    if url.startswith("sqlite"):
        connection = sqlite3.connect(url.removeprefix("sqlite:///"))
        for statement in statements:
            connection.execute(statement)
        connection.commit()
        connection.close()
    else:
        with psycopg.connect(url, autocommit=True) as server:
            server.execute("SET search_path = syncline")
            for statement in statements:
                server.execute(statement)
