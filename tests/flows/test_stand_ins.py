"""A value that stands in for another stays with no row: not where a row was edited between plan and apply, nor where one stays."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from scenario import RING, Scenario, counts, pair_name

from flows import commands
from flows.commands import Outcome, Status
from flows.history.asof import asof
from flows.session.meter import Meter
from transforms.vocabulary import SynclineError

kinds = pytest.mark.parametrize(
    ("shop", "null"),
    [*((pair, " NOT NULL") for pair in RING), (RING[3], "")],
    indirect=["shop"],
    ids=[*(f"{pair_name(pair)}-not-null" for pair in RING), f"{pair_name(RING[3])}-nullable"],
)


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    return Scenario.make(tmp_path, getattr(request, "param", RING[0]), request)


def entered(shop: Scenario, rows: Sequence[tuple[int, int, str]]) -> None:
    shop.source.execute("DELETE FROM seat")
    shop.source.insert("seat", rows)


def seats(shop: Scenario, null: str, rows: Sequence[tuple[int, int, str]], window: int = 1) -> None:
    """Seats whose codes are unique, the same on both sides."""
    table = f"CREATE TABLE seat (id integer PRIMARY KEY, price integer, code varchar(60){null}"
    shop.source.execute(f"{table})")
    shop.target.execute(f"{table}, UNIQUE (code))")
    shop.write({"seat": {"from": "seat"}}, defaults={"window": window, "delete": {"max_ratio": 1.0}})
    entered(shop, rows)
    shop.run()


def applied_after(shop: Scenario, *edits: str) -> Outcome:
    """Plan, let somebody edit the target, and apply the plan."""
    plan = shop.plan()
    shop.target.execute(*edits)
    return shop.apply(plan.report.plan)


def brought_on(shop: Scenario) -> None:
    """The next run makes both sides the same."""
    assert shop.run().status == Status.DONE
    assert shop.target.content() == shop.source.content()
    shop.settled()


def as_of_latest(shop: Scenario, done: Outcome) -> list[dict[str, Any]]:
    found = asof(shop.spec, done.report.version or 1, "seat")
    return sorted(found.select(["id", "code"]).to_pylist(), key=str)


@kinds
def test_who_was_to_trade_with_an_edited_row_keeps_its_value(shop: Scenario, null: str) -> None:
    seats(shop, null, [(1, 1, "a"), (2, 1, "b"), (3, 1, "c")])
    entered(shop, [(1, 1, "b"), (2, 1, "a"), (3, 2, "c")])
    done = applied_after(shop, "UPDATE seat SET price = 9 WHERE id = 2")
    assert shop.target.rows("seat") == [(1, 1, "a"), (2, 9, "b"), (3, 2, "c")]
    found = counts(done, "seat")
    assert (found["update"], found["conflicts"], found["quarantined"]) == (1, 1, 1)
    assert as_of_latest(shop, done) == [{"id": 1, "code": "a"}, {"id": 2, "code": "b"}, {"id": 3, "code": "c"}]
    brought_on(shop)


@pytest.mark.parametrize(("shop", "null", "edited"), [(RING[0], "", 1), (RING[3], " NOT NULL", 3)], indirect=["shop"])
def test_a_rotation_with_an_edited_row_stays_as_it_was(shop: Scenario, null: str, edited: int) -> None:
    seats(shop, null, [(1, 1, "a"), (2, 1, "b"), (3, 1, "c")])
    entered(shop, [(1, 1, "b"), (2, 1, "c"), (3, 1, "a")])
    done = applied_after(shop, f"UPDATE seat SET price = 9 WHERE id = {edited}")
    assert [code for _, _, code in shop.target.rows("seat")] == ["a", "b", "c"]
    assert (done.report.total.update, done.report.total.conflicts, done.report.version) == (0, 1, None)
    brought_on(shop)


@kinds
def test_an_undo_with_an_edited_row_leaves_no_stand_in(shop: Scenario, null: str) -> None:
    seats(shop, null, [(1, 1, "a"), (2, 1, "b"), (3, 1, "c")])
    entered(shop, [(1, 1, "b"), (2, 1, "a"), (3, 1, "c")])
    number = shop.run().report.version
    assert number is not None
    shop.target.execute("UPDATE seat SET price = 9 WHERE id = 2")
    try:
        assert shop.undo(number).status == Status.CONFLICTS
    except SynclineError:  # where one window lets them trade without steps, it is written whole or not at all
        assert shop.target.engine != "sqlite"
    assert shop.target.rows("seat") == [(1, 1, "b"), (2, 9, "a"), (3, 1, "c")]
    brought_on(shop)


class Edit(Meter):
    """Somebody edits a row while a plan is applied, once its steps on the way are in; `dies`: and the run ends there."""

    def __init__(self, shop: Scenario, edit: str, *, dies: bool = False) -> None:
        self.shop, self.edit, self.dies, self.stages = shop, edit, dies, 0

    def expect(self, table: str, what: str, rows: int) -> None:
        self.stages += what == "apply"
        if self.stages == 2 and what == "apply":
            self.shop.target.execute(self.edit)
            if self.dies:
                raise ConnectionAbortedError


@kinds
@pytest.mark.parametrize("dies", [False, True], ids=["goes-on", "dies"])
def test_a_row_that_is_edited_behind_its_step_has_its_value_again_and_the_edit(
    shop: Scenario, null: str, dies: bool
) -> None:
    seats(shop, null, [(1, 1, "a"), (2, 1, "b")])
    entered(shop, [(1, 1, "b"), (2, 1, "a")])
    folder = Path(str(shop.plan().report.plan))
    meter = Edit(shop, "UPDATE seat SET price = 9", dies=dies)
    try:
        done = commands.apply_plan(folder, meter=meter)
        assert (done.status, done.report.total.update, done.report.total.conflicts) == (Status.CONFLICTS, 0, 2)
        assert not dies
    except ConnectionAbortedError:
        commands.run(shop.request("run", ranges=["seat.id:100..200"]))  # which brings it to its end
    assert shop.target.rows("seat") == [(1, 9, "a"), (2, 9, "b")]
    brought_on(shop)


def test_a_row_whose_value_another_row_has_by_now_is_named(shop: Scenario) -> None:
    seats(shop, "", [(1, 1, "a"), (2, 1, "b")])
    entered(shop, [(1, 1, "b"), (2, 1, "a")])
    folder = Path(str(shop.plan().report.plan))
    done = commands.apply_plan(folder, meter=Edit(shop, "UPDATE seat SET price = 9 WHERE id = 1"))
    assert shop.target.rows("seat") == [(1, 9, None), (2, 1, "a")]
    (notice,) = [each for each in done.report.warnings if each.code == "stand_in_stays"]
    assert (notice.table, dict(notice.facts)) == ("seat", {"rows": 1, "columns": ["code"], "keys": ["[1]"]})
    assert "Fix: " in notice.text
    assert as_of_latest(shop, done) == [{"id": 1, "code": None}, {"id": 2, "code": "a"}]
    brought_on(shop)


@pytest.mark.parametrize(
    "shop", [each for each in RING if each[1] in ("mysql", "sqlite")], indirect=True, ids=pair_name
)
def test_a_row_that_stays_since_it_is_referred_to_has_its_value_again(shop: Scenario) -> None:
    seats(shop, " NOT NULL", [(1, 1, "a"), (2, 1, "b")])
    for side in (shop.source, shop.target):
        side.execute(
            "CREATE TABLE guest (id integer PRIMARY KEY, seat integer, FOREIGN KEY (seat) REFERENCES seat (id))"
        )
        side.insert("guest", [(1, 1)])
    shop.write({"seat": {"from": "seat"}, "guest": {"from": "guest"}}, defaults={"delete": {"max_ratio": 1.0}})
    shop.source.execute("DELETE FROM guest")
    entered(shop, [(2, 1, "a")])
    done = applied_after(shop, "INSERT INTO guest VALUES (7, 1)", "UPDATE seat SET price = 9 WHERE id = 2")
    assert shop.target.rows("seat") == [(1, 1, "a"), (2, 9, "b")]
    assert done.status in (Status.CONFLICTS, Status.QUARANTINE)
    brought_on(shop)
