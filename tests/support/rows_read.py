"""How many rows of tables each side's server reads: by its own counts, or by what it says of each statement."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import pytest
from scenario import Scenario, Side

from adapters.duckdb import snapshot as duckdb_snapshot
from adapters.sqlite import connection as sqlite_connection

SCANNED = 20_000  # what going through a table of SQLite counts for, which counts no rows
LOOKED_UP = 7  # and looking rows up in one


def rows_read(
    scenario: Scenario, tables: Sequence[str], monkeypatch: pytest.MonkeyPatch
) -> Callable[[], dict[str, int]]:
    """How many rows of some tables each side's server has read since."""
    sides = {"source": scenario.source, "target": scenario.target}
    seen = dict.fromkeys(sides, 0)
    if scenario.source.engine in ("sqlite", "duckdb"):
        explain = {"sqlite": _explained_by_sqlite, "duckdb": _explained_by_duckdb}[scenario.source.engine]
        explain(monkeypatch, {str(side.place): name for name, side in sides.items()}, seen, tables)
        return lambda: seen
    read = {"postgresql": _read_on_postgresql, "mysql": _read_on_mariadb}[scenario.source.engine]
    before = {name: read(side, tables) for name, side in sides.items()}
    return lambda: {name: read(side, tables) - before[name] for name, side in sides.items()}


def _read_on_postgresql(side: Side, tables: Sequence[str]) -> int:
    """What the server counts of tables, once the sessions that read it have ended."""
    others = "SELECT count(*) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()"
    with side.connected() as run:
        while run(others).fetchone() != (0,):
            run("SELECT pg_stat_clear_snapshot(), pg_sleep(0.02)")
        run("SELECT pg_stat_clear_snapshot()")
        (rows,) = run(
            "SELECT sum(seq_tup_read + idx_tup_fetch) FROM pg_stat_user_tables "
            f"WHERE relname IN ({_listed(tables)}) AND schemaname = '{side.schema}'"
        ).fetchone()
        return int(rows)


def _read_on_mariadb(side: Side, tables: Sequence[str]) -> int:
    asked = (
        "SELECT sum(rows_read) FROM information_schema.table_statistics "
        f"WHERE table_schema = database() AND table_name IN ({_listed(tables)})"
    )
    with side.connected() as run:
        run("SET GLOBAL userstat = 1")
        found = run(asked).fetchone()
        return int(found[0] or 0)


def _explained_by_sqlite(
    monkeypatch: pytest.MonkeyPatch, names: dict[str, str], seen: dict[str, int], tables: Sequence[str]
) -> None:
    """SQLite counts no rows, and says of each statement whether it goes through a table or looks rows up in it."""
    ask = sqlite_connection.Connection.ask

    def note(self: Any, sql: str, parameters: Sequence[Any] = ()) -> None:
        if sql.startswith("SELECT") and any(table in sql for table in tables):
            steps = ask(self, f"EXPLAIN QUERY PLAN {sql}", parameters)["detail"].to_pylist()
            through = [step for step in steps if step.split()[0] == "SCAN" and step.split()[1] in tables]
            looked_up = [step for step in steps if step.split()[0] == "SEARCH" and step.split()[1] in tables]
            seen[names[str(self.path)]] += SCANNED * len(through) + LOOKED_UP * len(looked_up)

    for name in ("ask", "stream"):
        monkeypatch.setattr(sqlite_connection.Connection, name, _noting(sqlite_connection.Connection, name, note))


def _explained_by_duckdb(
    monkeypatch: pytest.MonkeyPatch, names: dict[str, str], seen: dict[str, int], tables: Sequence[str]
) -> None:
    """DuckDB counts the rows that each statement scans when it is asked to."""

    def scanned(step: dict[str, Any]) -> Iterator[int]:
        if str(step.get("extra_info", {}).get("Table", "")).rpartition(".")[2] in tables:
            yield int(step["rows_scanned"])
        for each in step.get("children", ()):
            yield from scanned(each)

    def note(self: Any, sql: str, parameters: Sequence[Any] = ()) -> None:
        if sql.startswith("SELECT") and any(table in sql for table in tables):
            asked = f"EXPLAIN (ANALYZE, FORMAT JSON) {sql}"
            ((_, answer),) = self._cursor.execute(asked, list(parameters) or None).fetchall()
            seen[names[str(self.where).rpartition(" in ")[2]]] += sum(
                n for each in json.loads(answer).get("operator", ()) for n in scanned(each)
            )

    for name in ("stream", "rows"):
        monkeypatch.setattr(duckdb_snapshot.Session, name, _noting(duckdb_snapshot.Session, name, note))


def _noting(kind: type, name: str, note: Callable[..., None]) -> Callable[..., Any]:
    own = getattr(kind, name)

    def noted(self: Any, sql: str, *rest: Any, **named: Any) -> Any:
        note(self, sql, *rest[:1])
        return own(self, sql, *rest, **named)

    return noted


def _listed(tables: Sequence[str]) -> str:
    return ", ".join(f"'{table}'" for table in tables)
