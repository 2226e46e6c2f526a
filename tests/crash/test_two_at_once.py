"""Two runs of a migration at once: who waits for whom, and what the one that lost its lease leaves alone."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from types import SimpleNamespace

import pytest
from click.testing import CliRunner
from cutting_off import one_by_one
from cutting_off import shop as shop
from scenario import RING, Scenario, pair_name

from adapters.ledger.lease import Lease
from flows import commands
from flows.cli.main import main
from flows.commands import Status
from flows.history.version_list import listed
from flows.session import locking
from flows.session.locking import sole_writer
from flows.session.session import connect
from flows.session.stores import ledger_of
from transforms.vocabulary import BusyError

everywhere = pytest.mark.parametrize("shop", RING, indirect=True, ids=pair_name)


@contextmanager
def held(shop: Scenario) -> Iterator[Callable[[], None]]:
    """Another run of the migration, which is at work until it is let go: by what this gives, or at the end."""
    inside, done = threading.Event(), threading.Event()

    def work() -> None:
        with (
            connect(shop.spec) as session,
            ledger_of(shop.spec) as ledger,
            sole_writer(session, ledger, "THE-OTHER", lambda: datetime.now(UTC), 0),
        ):
            inside.set()
            done.wait(200)

    def let_go() -> None:
        done.set()
        thread.join()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert inside.wait(120)
        yield let_go
    finally:
        let_go()


@everywhere
def test_the_second_of_two_runs_leaves_with_who_holds_the_migration_since_when(shop: Scenario) -> None:
    with held(shop):
        with pytest.raises(
            BusyError, match=r"shop is in use by THE-OTHER \(process \d+ on .*\) since 20\d\d-.* UTC\. Fix: wait for it"
        ):
            shop.run()
        assert shop.plan().status == Status.CHANGES, "reading waits for nobody"
        assert shop.verify().status == Status.CHANGES
        assert listed(shop.spec) == []


def test_a_run_waits_as_long_as_it_is_told_to(shop: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    with held(shop) as let_go:

        def pause(seconds: float) -> None:
            pauses.append(seconds)
            let_go()

        monkeypatch.setattr(locking, "time", SimpleNamespace(sleep=pause, monotonic=time.monotonic))
        result = CliRunner().invoke(main, ["run", str(shop.path), "--direct", "--yes", "--wait", "60s"])
    assert result.exit_code == 0, result.output
    assert "Waiting up to 60 s: Migration shop is in use by THE-OTHER" in result.output
    assert pauses == [locking.AGAIN_SECONDS]
    shop.settled()


def test_a_wait_that_is_over_says_who_still_holds_it(shop: Scenario) -> None:
    with held(shop):
        result = CliRunner().invoke(main, ["run", str(shop.path), "--direct", "--yes", "--wait", "1s"])
    assert result.exit_code == 1
    assert "error: Migration shop is in use by THE-OTHER" in result.output


def test_a_run_whose_lease_was_taken_over_writes_no_further_window(
    shop: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = iter(range(100))
    real = Lease.check

    def check(lease: Lease) -> None:
        lease.lost = lease.lost or next(checks) >= 2
        real(lease)

    monkeypatch.setattr(Lease, "check", check)
    with pytest.raises(BusyError, match="ran out and another run took it"):
        commands.run(one_by_one(shop))
    assert shop.target.count("item") == 4
    monkeypatch.undo()
    assert shop.run().status == Status.DONE
    shop.settled()
