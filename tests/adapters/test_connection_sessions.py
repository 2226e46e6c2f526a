"""Sessions that end at any moment of a run: what was lost is read or written again, and nothing twice."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import pytest
from breakable import (
    Trap,
    after,
    after_window,
    ahead_of,
    before_commit,
    behind_commit,
    done,
    engine_of,
    only_whole_windows,
    while_reading,
)
from click.testing import CliRunner
from connection_shop import EACH, ITEM, PAIRS, ROWS, WANTED, Patch, each_engine, everywhere, servers
from connection_shop import shop as shop
from connection_shop import short_pauses as short_pauses
from scenario import Scenario, counts, pair_name

from adapters.ledger.engine import LedgerEngine
from flows.cli.main import main
from flows.commands import Status
from flows.history.version_list import listed


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

    # at the second batch of all, the thread that read it has a third one to read
    trap = while_reading(monkeypatch, shop.source, "things", Trap(end, 2))
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
