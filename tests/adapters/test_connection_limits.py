"""Time that runs out and locks that others hold: waited for, tried again, or told with what to change."""

from __future__ import annotations

import subprocess
import sys
import threading
import time
from contextlib import ExitStack
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from breakable import APPLY, WINDOW, Trap, done, only_whole_windows, while_reading
from connection_shop import EACH, ITEM, PAIRS, WANTED, Patch, everywhere, limited, refused, servers
from connection_shop import shop as shop
from connection_shop import short_pauses as short_pauses
from scenario import Scenario, Side, pair_name

from adapters.mysql import connection as mysql_connect
from adapters.mysql.adapter import MysqlAdapter
from adapters.sqlite import connection as sqlite_files
from flows.commands import Status
from flows.session import retry
from transforms.vocabulary import SynclineError, TransientError


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
        while_reading(monkeypatch, shop.source, "things", Trap(lambda: time.sleep(1.2), 2))
        while_reading(monkeypatch, shop.target, "item", Trap(lambda: time.sleep(1.2), 2))
        outcome = shop.run()
    assert not caplog.records
    done(shop, outcome, WANTED)


def in_time(side: Side, most: str) -> dict[str, Any]:
    """The side, where statements may take so long as its URL says."""
    return side.endpoint | {"url": f"{side.url}&options=-c%20statement_timeout%3D{most}"}


def slow(side: Side, seconds: float = 0.6) -> str:
    """A condition that is true of every row, and takes its time over one."""
    wait = {"postgresql": f"pg_sleep({seconds}) IS NOT NULL", "mysql": f"sleep({seconds}) = 0"}[side.engine]
    return f"(k <> 170 OR {wait})"


@pytest.mark.parametrize("shop", [PAIRS[0]], indirect=True, ids=pair_name)
def test_a_statement_that_takes_longer_than_the_url_allows_is_not_tried_again(
    shop: Scenario, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    before = shop.target.content()
    tables, window = {"item": {**ITEM, "where": slow(shop.source)}}, {"window": {"rows": 10_000}}
    shop.write(tables, defaults=window, source=in_time(shop.source, "500ms"))
    said = refused(shop)
    assert "canceling statement due to statement timeout" in said
    assert "raise statement_timeout" in said
    assert not [record for record in caplog.records if "Trying again" in record.message]
    assert shop.target.content() == before
    shop.write(tables, defaults=window)
    source, _ = servers(shop, request)
    with limited(source, ["statement_timeout"], "0.5"):  # of the server: it does not hold for us
        outcome = shop.run()
    shop.write({"item": ITEM})
    done(shop, outcome, WANTED)


@pytest.mark.parametrize("shop", [PAIRS[1]], indirect=True, ids=pair_name)
def test_a_statement_that_takes_longer_than_the_target_allows_rolls_its_window_back(
    shop: Scenario, request: pytest.FixtureRequest, caplog: pytest.LogCaptureFixture
) -> None:
    shop.target.execute(
        "CREATE FUNCTION dawdle() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN PERFORM pg_sleep(2); RETURN NEW; END $$",
        "CREATE TRIGGER dawdle BEFORE UPDATE ON item FOR EACH ROW WHEN (NEW.k = 170) EXECUTE FUNCTION dawdle()",
    )
    shop.write({"item": ITEM}, defaults={"window": {"rows": EACH}}, target=in_time(shop.target, "1s"))
    said = refused(shop)
    assert "statement timeout" in said
    assert not [record for record in caplog.records if "Trying again" in record.message]
    assert only_whole_windows(shop) < 5
    shop.target.execute("DROP TRIGGER dawdle ON item")
    shop.write({"item": ITEM}, defaults={"window": {"rows": EACH}})
    done(shop, shop.run(), WANTED)


@pytest.mark.parametrize("shop", [PAIRS[1]], indirect=True, ids=pair_name)
def test_mariadbs_limit_on_statements_does_not_hold_for_long_reads(
    shop: Scenario, request: pytest.FixtureRequest
) -> None:
    shop.write({"item": {**ITEM, "where": slow(shop.source)}}, defaults={"window": {"rows": 10_000}})
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
        mysql_connect.run(connection, "SET STATEMENT max_statement_time = 0.2 FOR SELECT sleep(5)")


class Holder:
    """Another session that holds a row of the target locked until it is told to let go."""

    def __init__(self, side: Side) -> None:
        self._stack = ExitStack()
        self.execute = self._stack.enter_context(side.connected())

    def let_go(self) -> None:
        self.execute("ROLLBACK")
        self._stack.close()


LOCKS: dict[str, tuple[list[str], str]] = {
    "postgresql": (["lock_timeout"], "0.2"),
    "mysql": (["innodb_lock_wait_timeout"], "1"),
}
"""What limits how long a lock is waited for, and seconds."""


WAITING = {  # sessions that wait for a lock
    "postgresql": "SELECT count(*) FROM pg_locks WHERE NOT granted",
    "mysql": "SELECT count(*) FROM information_schema.innodb_trx WHERE trx_state = 'LOCK WAIT'",
}


@everywhere
def test_a_row_that_another_session_holds_for_a_while_is_waited_for(
    shop: Scenario, request: pytest.FixtureRequest, monkeypatch: Patch
) -> None:
    _, target = servers(shop, request)
    with limited(target, *LOCKS[shop.target.engine]):
        holder, pauses = Holder(shop.target), list[float]()
        holder.execute("UPDATE item SET n = n WHERE k = 170")

        def pause(seconds: float) -> None:
            pauses.append(seconds)
            if len(pauses) == 1:
                holder.let_go()

        monkeypatch.setattr(retry, "POLICY", replace(retry.POLICY, sleep=pause))
        outcome = shop.run()
    assert len(pauses) == 1
    done(shop, outcome, WANTED)


@everywhere
def test_a_row_that_another_session_does_not_let_go_ends_the_run_after_some_tries(
    shop: Scenario, request: pytest.FixtureRequest, monkeypatch: Patch
) -> None:
    monkeypatch.setattr(retry, "POLICY", replace(retry.POLICY, attempts=2))
    _, target = servers(shop, request)
    with limited(target, *LOCKS[shop.target.engine]):
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
    _, target = servers(shop, request)
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
        values = [mark.writer, mark.plan, mark.table, mark.window, mark.phase]
        names = "migration, plan, table_name, window_no, phase"
        holder.execute(f"INSERT INTO syncline_marker ({names}) VALUES (%s, %s, %s, %s, %s)", values)
        holder.let_go()

    write = WINDOW[shop.target.engine].change
    patience = ["deadlock_timeout"] if shop.target.engine == "postgresql" else []

    def crossing(self: Any) -> Any:
        if marks and not waiting and 170 in self._changes.after["k"].to_pylist():
            waiting.append(threading.Thread(target=want))
            waiting[0].start()
            while not target.ask(WAITING[shop.target.engine])[0][0]:
                time.sleep(0.01)
        return write(self)

    monkeypatch.setattr(WINDOW[shop.target.engine], "change", crossing)
    with limited(target, patience, "0.1"):
        outcome = shop.run()
    waiting[0].join()
    assert "deadlock" in caplog.text.lower()
    done(shop, outcome, WANTED)


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
        monkeypatch.setattr(retry, "POLICY", replace(retry.POLICY, sleep=lambda _: holding.communicate()))
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
