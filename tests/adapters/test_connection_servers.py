"""Servers that restart or stay away: waited for where that helps, else a clear error and whole windows only."""

from __future__ import annotations

import threading
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
    # while one thread restarts the server, the others have to wait for as long as that takes
    monkeypatch.setattr(retry, "POLICY", replace(retry.POLICY, pause=0.1))
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
        # behind a commit, windows of other threads may get in before the server is away
        most = 5 if moment == "behind-commit" else 4
        assert 0 < only_whole_windows(shop) <= most
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
