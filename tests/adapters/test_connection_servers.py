"""Servers that restart or stay away: waited for where that helps, else a clear error and whole windows only."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from dataclasses import replace

import pytest
from breakable import Trap, after_window, before_commit, behind_commit, done, only_whole_windows, while_reading
from connection_shop import WANTED, Patch, each_engine, refused, servers
from connection_shop import shop as shop
from connection_shop import short_pauses as short_pauses
from scenario import Scenario

from flows.session import retry

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
    there = threading.Event()
    there.set()

    def restart() -> None:
        there.clear()
        server.restart()
        there.set()

    def pause(seconds: float) -> None:
        time.sleep(seconds)
        there.wait(120)  # while one thread restarts the server, the others wait for as long as that takes here

    monkeypatch.setattr(retry, "POLICY", replace(retry.POLICY, sleep=pause))
    trap = MOMENTS[moment](monkeypatch, shop, Trap(restart, 3))
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
    back, waited = threading.Timer(1, server.start), list[float]()

    def pause(seconds: float) -> None:
        time.sleep(seconds)
        waited.append(seconds)
        if sum(waited) > 4:  # two threads, and a server that takes its time to start where much else goes on
            back.join(120)

    monkeypatch.setattr(retry, "POLICY", replace(retry.POLICY, sleep=pause))

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
        # behind a commit, windows of other threads may get in before the server is away
        most = 5 if moment == "behind-commit" else 4
        assert only_whole_windows(shop) <= most
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
