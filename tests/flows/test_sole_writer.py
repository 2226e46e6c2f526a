"""Who writes a side of a migration holds that side, and ends what was cut off there; the other side is not his."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pytest
from scenario import Scenario

from adapters.registry import open_target
from flows.apply.load import Loading
from flows.history.recover import recover
from flows.session.locking import sole_writer
from flows.session.session import Session, connect
from flows.session.side import Sides, WrittenSide
from flows.session.stores import ledger_of
from transforms.vocabulary import SIDES, BusyError, SideName


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Two schemas of one database."""
    made = Scenario.make(tmp_path, ("postgresql", "postgresql"), request)
    made.source.execute("CREATE TABLE goods (no integer PRIMARY KEY)")
    made.write({"item": {"from": "goods"}})
    return made


@contextmanager
def session_of(shop: Scenario) -> Iterator[Session]:
    """A session that may write both sides."""
    with connect(shop.spec) as session, ExitStack() as stack:
        side = session.sides.source
        adapter = open_target(side.address)
        stack.callback(adapter.close)
        written = WrittenSide("source", adapter, side.time_zone, side.rls, side.address)
        yield replace(session, sides=Sides(written, session.sides.target))


def now() -> datetime:
    return datetime.now(UTC)


def test_each_side_has_one_writer_and_one_may_hold_both(shop: Scenario) -> None:
    sides: list[tuple[SideName, ...]] = [("source",), ("target",)]
    with session_of(shop) as mine, session_of(shop) as other, ledger_of(shop.spec) as ledger:
        with (
            sole_writer(mine, ledger, "r1", now, 0, sides[0]) as one,
            sole_writer(other, ledger, "r2", now, 0, sides[1]) as two,
        ):
            assert [tuple(each.guards) for each in (one, two)] == sides
            for side in SIDES:
                one.guard(side)
            for held in (*sides, SIDES):
                with pytest.raises(BusyError), sole_writer(mine, ledger, "r3", now, 0, held):
                    pass
        with sole_writer(mine, ledger, "r4", now, 0, ("target", "source")) as both:
            assert tuple(both.guards) == SIDES


def test_a_run_that_may_be_alive_on_the_other_side_is_not_ended(shop: Scenario) -> None:
    with session_of(shop) as session, ledger_of(shop.spec) as ledger:
        for run_id, held in (("s", ("source",)), ("t", ("target",)), ("both", SIDES)):
            ledger.start_run(run_id, "shop", "run", shop.spec.digest, held)
        for held, left in ((("target",), ["both", "s"]), (SIDES, [])):
            with sole_writer(session, ledger, "next", now, 0, held) as writing:
                recover(Loading(writing, ledger), now())
            assert sorted(run.run_id for run in ledger.cut_off("shop")) == left
