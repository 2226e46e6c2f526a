"""Connections that break, servers that restart, time and locks that run out: tried again where that helps, else a clear
error, and in the target whole windows only. The servers are real and so are the faults; only their moment is chosen."""

from __future__ import annotations

import pwd
import random
import shutil
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pymysql
import pytest
from breakable import (
    APPLY,
    PASSWORD,
    WINDOW,
    Mariadb,
    Postgres,
    Server,
    Trap,
    after,
    after_window,
    ahead_of,
    before_commit,
    behind_commit,
    between,
    done,
    engine_of,
    mariadb,
    only_whole_windows,
    plan_of,
    postgres,
    while_reading,
)
from click.testing import CliRunner
from scenario import Engine, Scenario, Side, counts, pair_name

from adapters import mysql_connect, sqlite_files
from adapters.ledger_engine import LedgerEngine
from adapters.mysql import MysqlAdapter
from flows import retrying
from flows.cli import main
from flows.history import listed
from flows.runs import Status
from transforms.vocabulary import SynclineError, TransientError

Patch = pytest.MonkeyPatch
Pair = tuple[Engine, Engine]
PAIRS: tuple[Pair, ...] = (("postgresql", "mysql"), ("mysql", "postgresql"))
ALONE: tuple[Pair, ...] = (("postgresql", "postgresql"), ("mysql", "mysql"))
everywhere = pytest.mark.parametrize("shop", PAIRS, indirect=True, ids=pair_name)
each_engine = pytest.mark.parametrize("shop", ALONE, indirect=True, ids=pair_name)

ROWS, EACH = 300, 50
ITEM: dict[str, Any] = {"from": "things", "key": ["k"]}
WANTED = [(n, f"v{n}", n % 7) for n in range(ROWS)]


@pytest.fixture(scope="session")
def postgres_to_break() -> Iterator[Postgres]:
    with postgres() as server:
        yield server


@pytest.fixture(scope="session")
def mariadb_to_break() -> Iterator[Mariadb]:
    with mariadb() as server:
        yield server


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: Patch) -> None:
    monkeypatch.setattr(retrying, "POLICY", replace(retrying.POLICY, pause=0.02))


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Six windows of source rows, one of them equal; in the others, rows are missing in the target, stale or too many."""
    made = between(tmp_path, request.param, request)
    for side, table in ((made.source, "things"), (made.target, "item")):
        side.execute(f"CREATE TABLE {table} (k bigint PRIMARY KEY, v varchar(4000), n integer)")
    made.source.insert("things", WANTED)
    found = [(n, f"v{n}" if n < 150 else "stale", n % 7) for n in range(75, 225)] + [(999, "gone", 0)]
    made.target.insert("item", found)
    for side, table in ((made.source, "things"), (made.target, "item")):  # so that estimates are right
        side.execute(f"ANALYZE {'TABLE ' if side.engine == 'mysql' else ''}{table}")
    made.write({"item": ITEM}, defaults={"window": {"rows": EACH}})
    return made


def servers(shop: Scenario, request: pytest.FixtureRequest) -> tuple[Server, Server]:
    return engine_of(shop.source.engine, request), engine_of(shop.target.engine, request)


def refused(shop: Scenario, command: str = "run") -> str:
    """What a command says that cannot go on: one line, exit status 1, no password."""
    told = CliRunner().invoke(main, [command, *(["--direct"] if command == "run" else []), str(shop.path)])
    assert told.exit_code == 1, told.output
    lines = [line for line in told.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, told.stderr
    assert PASSWORD not in told.output + told.stderr
    assert "Traceback" not in told.stderr
    assert "unexpected; --debug" not in told.stderr
    assert "Fix:" in lines[0]
    return lines[0]


# --- sessions that are ended


@everywhere
@pytest.mark.parametrize("nth", [3])
def test_a_session_that_ends_while_the_source_is_read(
    shop: Scenario, request: pytest.FixtureRequest, monkeypatch: Patch, nth: int
) -> None:
    source, _ = servers(shop, request)
    trap = while_reading(monkeypatch, shop.source, "things", Trap(lambda: source.end_sessions(shop.source), nth))
    outcome = shop.run()
    assert trap.sprung
    assert counts(outcome, "item") == {"source_rows": ROWS, "insert": 150, "update": 75, "delete": 1, "unchanged": 75}
    done(shop, outcome, WANTED)


@everywhere
@pytest.mark.parametrize("nth", [3])
def test_a_session_that_ends_while_the_target_is_read(
    shop: Scenario, request: pytest.FixtureRequest, monkeypatch: Patch, nth: int
) -> None:
    _, target = servers(shop, request)
    trap = while_reading(monkeypatch, shop.target, "item", Trap(lambda: target.end_sessions(shop.target), nth))
    outcome = shop.run()
    assert trap.sprung
    done(shop, outcome, WANTED)


@pytest.mark.parametrize("shop", [PAIRS[0]], indirect=True, ids=pair_name)
def test_a_reader_that_ends_joins_the_snapshot_again_and_nothing_else_is_repeated(
    shop: Scenario, request: pytest.FixtureRequest, monkeypatch: Patch
) -> None:
    """PostgreSQL lends its snapshot: as long as the session that exported it lives, only the window is read again."""
    source, _ = servers(shop, request)
    ended: list[int] = []

    def end() -> None:
        # what comes later is not in the snapshot, so that a plan from another one would show it
        shop.source.insert("things", [(5000, "late", 0)])
        ended.append(source.end_sessions(shop.source, like="%syncline:0%"))

    while_reading(monkeypatch, shop.source, "things", Trap(end, 2))
    outcome = shop.run()
    assert ended[0] >= 1
    assert counts(outcome, "item")["source_rows"] == ROWS
    assert sorted(shop.target.rows("item")) == WANTED


@everywhere
def test_a_plan_whose_snapshot_is_lost_is_made_again_from_a_new_one(
    shop: Scenario, request: pytest.FixtureRequest, monkeypatch: Patch
) -> None:
    """With fewer windows than before, so that files of the first try are left over, and other rows in them."""
    source, _ = servers(shop, request)

    def end() -> None:
        shop.source.execute("DELETE FROM things WHERE k >= 100", "UPDATE things SET v = 'newer' WHERE k = 99")
        source.end_sessions(shop.source)

    trap = while_reading(monkeypatch, shop.source, "things", Trap(end, 3))
    outcome = shop.run()
    assert trap.sprung
    assert counts(outcome, "item") == {"source_rows": 100, "insert": 75, "update": 1, "delete": 126, "unchanged": 24}
    done(shop, outcome, [*WANTED[:99], (99, "newer", 1)])


@everywhere
def test_numbers_of_a_plan_that_is_made_again_have_no_gaps(
    shop: Scenario, request: pytest.FixtureRequest, monkeypatch: Patch
) -> None:
    source, _ = servers(shop, request)
    columns = {"id": {"generate": "identity"}, "code": "k", "v": "v"}
    shop.write({"fresh": {**ITEM, "key": ["code"], "columns": columns}}, defaults={"window": {"rows": EACH}})
    while_reading(monkeypatch, shop.source, "things", Trap(lambda: source.end_sessions(shop.source), 4))
    outcome = shop.run()
    assert outcome.status == Status.DONE
    assert sorted(shop.target.ask("SELECT id, code FROM fresh")) == [(n + 1, n) for n in range(ROWS)]
    shop.settled()


@everywhere
@pytest.mark.parametrize("nth", [1, 5])
def test_a_session_that_ends_before_a_window_is_committed(
    shop: Scenario, request: pytest.FixtureRequest, monkeypatch: Patch, nth: int
) -> None:
    _, target = servers(shop, request)
    trap = before_commit(monkeypatch, shop.target, Trap(lambda: target.end_sessions(shop.target), nth))
    outcome = shop.run()
    assert trap.sprung
    done(shop, outcome, WANTED)


@everywhere
@pytest.mark.parametrize("nth", [3])
def test_sessions_that_end_between_windows(
    shop: Scenario, request: pytest.FixtureRequest, monkeypatch: Patch, nth: int
) -> None:
    _, target = servers(shop, request)
    trap = after_window(monkeypatch, shop.target, Trap(lambda: target.end_sessions(shop.target), nth))
    outcome = shop.run()
    assert trap.sprung
    done(shop, outcome, WANTED)


@everywhere
def test_a_commit_whose_answer_is_lost_is_not_made_twice(
    shop: Scenario, request: pytest.FixtureRequest, monkeypatch: Patch
) -> None:
    _, target = servers(shop, request)
    trap = behind_commit(monkeypatch, shop.target, Trap(lambda: target.end_sessions(shop.target), 2))
    outcome = shop.run()
    assert trap.sprung
    assert only_whole_windows(shop) == 5
    done(shop, outcome, WANTED)


@everywhere
def test_conflicts_of_a_commit_whose_answer_is_lost_are_still_told(
    shop: Scenario, request: pytest.FixtureRequest, monkeypatch: Patch
) -> None:
    _, target = servers(shop, request)
    shop.write({"item": ITEM}, defaults={"window": {"rows": 10_000}})
    planned = shop.plan()
    shop.target.execute("UPDATE item SET v = 'mine' WHERE k = 200", "INSERT INTO item VALUES (250, 'mine too', 1)")
    trap = behind_commit(monkeypatch, shop.target, Trap(lambda: target.end_sessions(shop.target)))
    outcome = shop.apply(planned.report.plan)
    assert trap.sprung
    assert (outcome.status, outcome.report.tables[0].counts.conflicts) == (Status.CONFLICTS, 2)
    mine = {200: (200, "mine", 4), 250: (250, "mine too", 1)}
    assert sorted(shop.target.rows("item")) == [mine.get(row[0], row) for row in WANTED]


@everywhere
@pytest.mark.parametrize("moment", ["snapshot", "execute_ddl", "advance_identity", "applied"])
def test_a_session_that_ends_around_a_step_of_the_runs_own(
    shop: Scenario, request: pytest.FixtureRequest, monkeypatch: Patch, moment: str
) -> None:
    """Opening a snapshot, making a table and its index, moving its numbers on."""
    _, target = servers(shop, request)
    create = {"indexes": [["v"]], "columns": {"v": {"type": "varchar(40)"}}}
    columns = {"id": {"generate": "identity"}, "code": "k", "v": "v"}
    tables = {"fresh": {**ITEM, "key": ["code"], "columns": columns, "create": create}}
    shop.write(tables, defaults={"window": {"rows": EACH}})
    ahead = Trap(lambda: target.end_sessions(shop.target))
    behind = Trap(lambda: target.end_sessions(shop.target))
    ahead_of(monkeypatch, shop.target, moment, ahead)
    if moment not in ("snapshot", "applied"):
        after(monkeypatch, shop.target, moment, behind)
    outcome = shop.run()
    assert outcome.status == Status.DONE
    assert sorted(shop.target.ask("SELECT id, code, v FROM fresh")) == [(n + 1, n, f"v{n}") for n in range(ROWS)]
    shop.settled()


@each_engine
def test_sessions_that_end_while_both_sides_are_verified(
    shop: Scenario, request: pytest.FixtureRequest, monkeypatch: Patch
) -> None:
    server, _ = servers(shop, request)
    shop.run()
    trap = while_reading(monkeypatch, shop.target, "item", Trap(lambda: server.end_sessions(shop.target), 2))
    assert shop.verify().status == Status.DONE
    assert trap.sprung


@each_engine
def test_rows_are_counted_once_where_an_assessment_is_disturbed(
    shop: Scenario, request: pytest.FixtureRequest, monkeypatch: Patch
) -> None:
    server, _ = servers(shop, request)
    columns = {"k": "k", "v": {"from": "v", "cast": "integer"}, "n": "n"}
    shop.target.execute("ALTER TABLE item DROP COLUMN v", "ALTER TABLE item ADD COLUMN v integer")
    shop.write({"item": {**ITEM, "columns": columns}}, defaults={"window": {"rows": EACH}})
    trap = while_reading(monkeypatch, shop.source, "things", Trap(lambda: server.end_sessions(shop.source), 4))
    told = CliRunner().invoke(main, ["check", str(shop.path)])
    assert trap.sprung, told.output
    assert "300 rows" in told.output


# --- servers that restart or stay away

MOMENTS: dict[str, Callable[..., Trap]] = {
    "source-read": lambda patch, shop, trap: while_reading(patch, shop.source, "things", trap),
    "target-read": lambda patch, shop, trap: while_reading(patch, shop.target, "item", trap),
    "before-commit": lambda patch, shop, trap: before_commit(patch, shop.target, trap),
    "behind-commit": lambda patch, shop, trap: behind_commit(patch, shop.target, trap),
    "between-windows": lambda patch, shop, trap: after_window(patch, shop.target, trap),
}


@each_engine
@pytest.mark.parametrize("moment", MOMENTS)
def test_a_server_that_restarts_in_the_middle(
    shop: Scenario, request: pytest.FixtureRequest, monkeypatch: Patch, moment: str
) -> None:
    server, _ = servers(shop, request)
    trap = MOMENTS[moment](monkeypatch, shop, Trap(server.restart, 3))
    outcome = shop.run()
    assert trap.sprung
    done(shop, outcome, WANTED)


@each_engine
@pytest.mark.parametrize("moment", ["before-commit"])
def test_a_server_that_is_away_for_seconds_is_waited_for(
    shop: Scenario, request: pytest.FixtureRequest, monkeypatch: Patch, moment: str
) -> None:
    monkeypatch.undo()  # pauses as they are
    server, _ = servers(shop, request)
    back = threading.Timer(2, server.start)

    def away() -> None:
        server.stop()
        back.start()

    try:
        trap = MOMENTS[moment](monkeypatch, shop, Trap(away, 2))
        outcome = shop.run()
    finally:
        back.join()
    assert trap.sprung
    done(shop, outcome, WANTED)


@each_engine
@pytest.mark.parametrize("moment", ["source-read", "before-commit", "behind-commit"])
def test_a_server_that_stays_away_ends_the_run_with_whole_windows_and_a_rerun_goes_on(
    shop: Scenario, request: pytest.FixtureRequest, monkeypatch: Patch, moment: str
) -> None:
    server, _ = servers(shop, request)
    before = shop.target.content()
    with monkeypatch.context() as patch:
        trap = MOMENTS[moment](patch, shop, Trap(server.stop, 3))
        try:
            said = refused(shop)
        finally:
            server.start()
    assert trap.sprung
    assert "Tried 6 times: " in said
    if moment in ("source-read", "target-read"):
        assert shop.target.content() == before
    else:
        assert 0 < only_whole_windows(shop) < 5
    done(shop, shop.run(), WANTED)


@each_engine
def test_a_server_that_is_not_there_at_all_is_told_at_once(shop: Scenario, request: pytest.FixtureRequest) -> None:
    server, _ = servers(shop, request)
    server.stop()
    try:
        said = refused(shop)
    finally:
        server.start()
    assert "Cannot connect to " in said
    assert "Tried" not in said


# --- what a session's answer breaks off in, and what must not end a session


def many(shop: Scenario) -> list[tuple[Any, ...]]:
    """More rows than fit between server and client, in one window."""
    numbers = {"postgresql": "generate_series(1, 60000) g (seq)", "mysql": "seq_1_to_60000"}[shop.source.engine]
    shop.source.execute(
        "DELETE FROM things", f"INSERT INTO things SELECT seq, repeat('x', 300), seq % 7 FROM {numbers}"
    )
    shop.write({"item": ITEM}, defaults={"window": {"rows": 100_000}})
    return [(n, "x" * 300, n % 7) for n in range(1, 60_001)]


@everywhere
def test_an_answer_that_breaks_off(shop: Scenario, request: pytest.FixtureRequest, monkeypatch: Patch) -> None:
    wanted = many(shop)
    source, target = servers(shop, request)
    first = while_reading(monkeypatch, shop.source, "things", Trap(lambda: source.end_sessions(shop.source)))
    assert shop.run().status == Status.DONE
    assert first.sprung
    assert sorted(shop.target.rows("item")) == wanted
    again = while_reading(monkeypatch, shop.target, "item", Trap(lambda: target.end_sessions(shop.target)))
    assert shop.verify().status == Status.DONE
    assert again.sprung


@everywhere
def test_sessions_that_only_wait_are_not_ended_by_the_servers_limits(
    shop: Scenario, request: pytest.FixtureRequest, monkeypatch: Patch, caplog: pytest.LogCaptureFixture
) -> None:
    source, target = servers(shop, request)
    limits: dict[str, list[str]] = {
        "postgresql": ["idle_in_transaction_session_timeout", "idle_session_timeout"],
        "mysql": ["idle_transaction_timeout", "idle_readonly_transaction_timeout", "wait_timeout"],
    }
    with limited(source, limits[shop.source.engine], "1"), limited(target, limits[shop.target.engine], "1"):
        while_reading(monkeypatch, shop.source, "things", Trap(lambda: time.sleep(1.5), 2))
        while_reading(monkeypatch, shop.target, "item", Trap(lambda: time.sleep(1.5), 2))
        outcome = shop.run()
    assert not caplog.records
    done(shop, outcome, WANTED)


@contextmanager
def limited(server: Server, names: list[str], value: str) -> Iterator[None]:
    """Settings of the whole server: seconds, which PostgreSQL wants to be told."""
    mysql = isinstance(server, Mariadb)
    before = {name: server.ask(f"SELECT @@GLOBAL.{name}")[0][0] for name in names} if mysql else {}

    def settle(value_of: Callable[[str], str]) -> None:
        for name in names:
            server.ask(
                f"SET GLOBAL {name} = {value_of(name)}" if mysql else f"ALTER SYSTEM SET {name} = {value_of(name)}"
            )
        if not mysql:
            server.ask("SELECT pg_reload_conf()")

    settle(lambda _: value if mysql else f"'{value}s'")
    try:
        yield
    finally:
        settle(lambda name: str(before[name]) if mysql else "DEFAULT")


# --- time that runs out, locks that others hold


def slow(side: Side, seconds: int = 2) -> str:
    """A condition that is true of every row, and takes its time over one."""
    wait = {"postgresql": f"pg_sleep({seconds}) IS NOT NULL", "mysql": f"sleep({seconds}) = 0"}[side.engine]
    return f"(k <> 170 OR {wait})"


@pytest.mark.parametrize("shop", [PAIRS[0]], indirect=True, ids=pair_name)
def test_a_statement_that_takes_longer_than_the_source_allows_is_not_tried_again(
    shop: Scenario, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    before = shop.target.content()
    shop.write({"item": {**ITEM, "where": slow(shop.source)}}, defaults={"window": {"rows": 10_000}})
    source, _ = servers(shop, request)
    with limited(source, ["statement_timeout"], "1"):
        said = refused(shop)
    assert "canceling statement due to statement timeout" in said
    assert "raise statement_timeout" in said
    assert not [record for record in caplog.records if "Trying again" in record.message]
    assert shop.target.content() == before
    done(shop, shop.run(), WANTED)


@pytest.mark.parametrize("shop", [PAIRS[1]], indirect=True, ids=pair_name)
def test_a_statement_that_takes_longer_than_the_target_allows_rolls_its_window_back(
    shop: Scenario, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    shop.target.execute(
        "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(2); RETURN NEW; END $$",
        "CREATE TRIGGER dawdle BEFORE UPDATE ON item FOR EACH ROW WHEN (NEW.k = 170) EXECUTE FUNCTION dawdle()",
    )
    _, target = servers(shop, request)
    with limited(target, ["statement_timeout"], "1"):
        said = refused(shop)
    assert "statement timeout" in said
    assert not [record for record in caplog.records if "Trying again" in record.message]
    assert only_whole_windows(shop) < 5
    done(shop, shop.run(), WANTED)


@pytest.mark.parametrize("shop", [PAIRS[1]], indirect=True, ids=pair_name)
def test_mariadbs_limit_on_statements_does_not_hold_for_long_reads(
    shop: Scenario, request: pytest.FixtureRequest
) -> None:
    shop.write({"item": {**ITEM, "where": slow(shop.source, 1)}}, defaults={"window": {"rows": 10_000}})
    source, _ = servers(shop, request)
    with limited(source, ["max_statement_time"], "0.3"):
        outcome = shop.run()
        adapter = MysqlAdapter(shop.source.url)
        with pytest.raises(SynclineError, match=r"max_statement_time exceeded.*Fix: raise") as caught:
            run_limited(adapter)
        adapter.close()
    assert not isinstance(caught.value, TransientError)
    assert outcome.status == Status.DONE


def run_limited(adapter: MysqlAdapter) -> None:
    with adapter._connections.begin("Reading things") as connection:
        mysql_connect.run(connection, "SET STATEMENT max_statement_time = 0.2 FOR SELECT sleep(2)")


class Holder:
    """Another session that holds a row of the target locked until it is told to let go."""

    def __init__(self, side: Side) -> None:
        self._stack = ExitStack()
        self.execute = self._stack.enter_context(side.connected())

    def let_go(self) -> None:
        self.execute("ROLLBACK")
        self._stack.close()


LOCKS: dict[str, list[str]] = {"postgresql": ["lock_timeout"], "mysql": ["innodb_lock_wait_timeout"]}


@everywhere
def test_a_row_that_another_session_holds_for_a_while_is_waited_for(
    shop: Scenario, request: pytest.FixtureRequest, monkeypatch: Patch
) -> None:
    _, target = servers(shop, request)
    with limited(target, LOCKS[shop.target.engine], "1"):
        holder, pauses = Holder(shop.target), list[float]()
        holder.execute("UPDATE item SET n = n WHERE k = 170")

        def pause(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 1:
                holder.let_go()

        monkeypatch.setattr(retrying, "POLICY", replace(retrying.POLICY, sleep=pause))
        outcome = shop.run()
    assert len(pauses) == 1
    done(shop, outcome, WANTED)


@everywhere
def test_a_row_that_another_session_does_not_let_go_ends_the_run_after_some_tries(
    shop: Scenario, request: pytest.FixtureRequest, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(retrying, "POLICY", replace(retrying.POLICY, attempts=2))
    _, target = servers(shop, request)
    with limited(target, LOCKS[shop.target.engine], "1"):
        holder = Holder(shop.target)
        holder.execute("UPDATE item SET n = n WHERE k = 170")
        said = refused(shop)
        holder.let_go()
    assert "Tried 2 times: Writing " in said
    assert "timeout" in said
    only_whole_windows(shop)
    done(shop, shop.run(), WANTED)


@everywhere
def test_a_deadlock_that_the_server_ends_at_our_cost(
    shop: Scenario, request: pytest.FixtureRequest, monkeypatch: Patch, caplog: pytest.LogCaptureFixture
) -> None:
    """The other session holds a row that the window wants, and waits for the marker that the window has written."""
    kind: Any = APPLY[shop.target.engine]
    marks: list[Any] = []
    apply = kind.apply

    def marked(self: Any, changes: Any, shape: Any, marker: Any, **how: Any) -> Any:
        if 170 in changes.after["k"].to_pylist():
            marks.append(marker)
        return apply(self, changes, shape, marker, **how)

    monkeypatch.setattr(kind, "apply", marked)
    holder = Holder(shop.target)
    if shop.target.engine == "postgresql":
        holder.execute("SET deadlock_timeout = '1h'")  # so that it is not the one to find out
        holder.execute("SET search_path TO shop, public")
    else:
        holder.execute("CREATE TABLE much AS SELECT seq FROM seq_1_to_5000")
        holder.execute("START TRANSACTION")
        holder.execute("UPDATE much SET seq = seq + 1")  # so that it has more to lose
    holder.execute("UPDATE item SET n = n WHERE k = 170")
    waiting: list[threading.Thread] = []

    def want() -> None:
        mark = marks[-1]
        values = [mark.migration, mark.plan, mark.table, mark.window, mark.phase]
        names = "migration, plan, table_name, window_no, phase"
        holder.execute(f"INSERT INTO syncline_marker ({names}) VALUES (%s, %s, %s, %s, %s)", values)
        holder.let_go()

    write = WINDOW[shop.target.engine].change

    def crossing(self: Any) -> Any:
        if marks and not waiting and 170 in self._changes.after["k"].to_pylist():
            waiting.append(threading.Thread(target=want))
            waiting[0].start()
            time.sleep(0.3)  # it waits by now
        return write(self)

    monkeypatch.setattr(WINDOW[shop.target.engine], "change", crossing)
    outcome = shop.run()
    waiting[0].join()
    assert "deadlock" in caplog.text.lower()
    done(shop, outcome, WANTED)


# --- disks that are full


@dataclass(frozen=True)
class Disk:
    """A file system of its own, in a folder that servers can reach."""

    place: Path

    def resize(self, size: str) -> None:
        subprocess.run(["mount", "-o", f"remount,size={size}", str(self.place)], check=True)


@contextmanager
def mounted(place: Path, size: str, user: str | None = None) -> Iterator[Disk]:
    owner = f",uid={pwd.getpwnam(user).pw_uid},mode=0700" if user else ""
    command = ["mount", "-t", "tmpfs", "-o", f"size={size}{owner}", "tmpfs", str(place)]
    if subprocess.run(command, capture_output=True, check=False).returncode != 0:
        pytest.skip("mounting needs root")
    try:
        yield Disk(place)
    finally:
        subprocess.run(["umount", "-l", str(place)], check=True)


@pytest.fixture
def folder_of_all() -> Iterator[Path]:
    folder = Path(tempfile.mkdtemp(prefix="syncline-cramped-"))
    folder.chmod(0o755)
    yield folder
    shutil.rmtree(folder, ignore_errors=True)


def wide(shop: Scenario) -> list[tuple[Any, ...]]:
    """Some 450 kB of texts that do not compress."""
    chance = random.Random(1)
    rows = [(n, chance.randbytes(750).hex(), n % 7) for n in range(ROWS)]
    shop.source.execute("DROP TABLE things", "CREATE TABLE things (k bigint NOT NULL, v varchar(1600), n integer)")
    shop.source.insert("things", rows)
    return rows


NEW: str = "CREATE TABLE item (k bigint PRIMARY KEY, v varchar(1600), n integer)"


@pytest.mark.parametrize("shop", [PAIRS[1]], indirect=True, ids=pair_name)
def test_a_full_disk_of_the_target(shop: Scenario, request: pytest.FixtureRequest, folder_of_all: Path) -> None:
    target = engine_of("postgresql", request)
    rows = wide(shop)
    with mounted(folder_of_all, "256k", target.user) as disk:
        target.ask(f"CREATE TABLESPACE cramped LOCATION '{disk.place}'")
        shop.target.execute("DROP TABLE item", f"{NEW} TABLESPACE cramped")
        try:
            said = refused(shop)
            assert "No space left on device" in said
            assert "Fix: free space" in said
            assert "Tried" not in said
            assert only_whole_windows(shop) < len(plan_of(shop).windows())
            disk.resize("8m")
            done(shop, shop.run(), rows)
        finally:
            shop.target.execute("DROP TABLE item")
            target.ask("DROP TABLESPACE cramped")


@pytest.mark.parametrize("shop", [PAIRS[0]], indirect=True, ids=pair_name)
def test_a_full_tablespace_of_the_target(shop: Scenario) -> None:
    """InnoDB's own, which may not grow: on a file system that is full, MariaDB 10.11 dies."""
    rows = wide(shop)
    with mariadb("--innodb-file-per-table=0", "--innodb-data-file-path=ibdata1:12M:autoextend:max:16M") as small:
        shop.target = small.side("core")
        shop.target.execute(NEW)
        shop.target.execute("CREATE TABLE filler (v varchar(3000))")
        with pytest.raises(pymysql.OperationalError, match="is full"):
            while True:
                shop.target.execute("INSERT INTO filler SELECT repeat('x', 3000) FROM seq_1_to_30")
        shop.target.execute("DELETE FROM filler LIMIT 60")
        shop.write({"item": ITEM}, defaults={"window": {"rows": EACH}})
        said = refused(shop)
        assert "is full" in said
        assert "Fix: free space" in said
        assert "Tried" not in said
        assert only_whole_windows(shop) < len(plan_of(shop).windows())
        shop.target.execute("DROP TABLE filler")
        small.ask("SET GLOBAL innodb_max_purge_lag_wait = 0")  # returns when what was dropped has been freed
        done(shop, shop.run(), rows)


@everywhere
def test_a_full_disk_of_the_source(shop: Scenario, request: pytest.FixtureRequest, folder_of_all: Path) -> None:
    """Where it puts what does not fit into its memory while it sorts."""
    source, _ = servers(shop, request)
    rows = wide(shop)
    before = shop.target.content()
    with ExitStack() as stack:
        if isinstance(source, Postgres):
            disk = stack.enter_context(mounted(folder_of_all, "128k", source.user))
            source.ask(f"CREATE TABLESPACE cramped LOCATION '{disk.place}'")
            stack.callback(source.ask, "DROP TABLESPACE cramped")
            name = urlsplit(shop.source.place).path[1:]
            source.ask(f"ALTER DATABASE {name} SET temp_tablespaces = 'cramped'")
            source.ask(f"ALTER DATABASE {name} SET work_mem = '64kB'")
        else:
            disk = stack.enter_context(mounted(source.server.folder / "tmp", "128k"))
            stack.enter_context(limited(source, ["sort_buffer_size"], "200000"))
        name = f"{shop.source.schema}.things" if shop.source.schema else "things"
        item = {**ITEM, "from": {"query": f"SELECT k, v, n FROM {name} ORDER BY v LIMIT 1000"}}
        shop.write({"item": item}, defaults={"window": {"rows": 10_000}})
        said = refused(shop)
        assert "No space left on device" in said
        assert "Tried" not in said
        assert "Fix: free space" in said
        assert shop.target.content() == before
        disk.resize("8m")
        done(shop, shop.run(), rows)


# --- SQLite files that others hold


@pytest.mark.parametrize("held", ["source", "target"])
@pytest.mark.parametrize("released", [True, False])
def test_a_sqlite_file_that_another_process_holds(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: Patch, held: str, released: bool
) -> None:
    monkeypatch.setattr(sqlite_files, "BUSY_TIMEOUT_MS", 50)
    shop = Scenario.make(tmp_path, ("sqlite", "sqlite"), request)
    shop.source.execute("CREATE TABLE things (k bigint PRIMARY KEY, v text, n integer)")
    shop.target.execute("CREATE TABLE item (k bigint PRIMARY KEY, v text, n integer)")
    shop.source.insert("things", WANTED)
    shop.write({"item": ITEM}, defaults={"window": {"rows": EACH}})
    side = shop.source if held == "source" else shop.target
    holding = subprocess.Popen(
        [sys.executable, "-c", HOLDING, side.place], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True
    )  # in another process: two SQLite libraries in one do not see each other's locks
    assert holding.stdout is not None
    assert holding.stdout.readline() == "held\n"
    if released:
        monkeypatch.setattr(retrying, "POLICY", replace(retrying.POLICY, sleep=lambda _: holding.communicate()))
        done(shop, shop.run(), WANTED)
        return
    said = refused(shop)
    holding.communicate()
    assert "Tried 6 times: " in said
    assert "is held by another connection" in said
    assert shop.target.count("item") == 0
    done(shop, shop.run(), WANTED)


HOLDING = """
import sqlite3, sys
other = sqlite3.connect(sys.argv[1], isolation_level=None)
other.execute("BEGIN EXCLUSIVE")
print("held", flush=True)
sys.stdin.read()
"""


# --- the ledger


@pytest.mark.parametrize("nth", range(1, 7))
def test_a_ledger_whose_sessions_end(
    tmp_path: Path, request: pytest.FixtureRequest, monkeypatch: Patch, nth: int
) -> None:
    server = engine_of("postgresql", request)
    ledger = server.side("ledger")
    shop = Scenario.make(tmp_path, ("sqlite", "sqlite"), request)
    shop.source.execute("CREATE TABLE things (k bigint PRIMARY KEY, v text, n integer)")
    shop.target.execute("CREATE TABLE item (k bigint PRIMARY KEY, v text, n integer)")
    shop.source.insert("things", WANTED)
    shop.write({"item": ITEM}, state={"url": ledger.url, "store": "store"})
    shop.run()
    shop.source.execute("DELETE FROM things WHERE k = 7")
    name = urlsplit(ledger.place).path[1:]
    writing, passed = LedgerEngine.writing, Trap(lambda: server.end_all(name), nth)

    @contextmanager
    def broken(self: LedgerEngine) -> Iterator[Any]:
        with writing(self) as connection:
            yield connection
            passed.step()

    monkeypatch.setattr(LedgerEngine, "writing", broken)
    assert shop.run().status == Status.DONE
    assert [version["version"] for version in listed(shop.spec)] == [2, 1]
    assert sorted(shop.target.rows("item")) == [row for row in WANTED if row[0] != 7]
