"""A plan that is applied after another run has written: what history says of its version, and of those before and behind it."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path

import pytest
from scenario import Engine, Rows, Scenario, pair_name

from flows import commands
from flows.commands import Status
from flows.history.asof import asof
from flows.history.log import LEFT, difference, life
from flows.history.prune import prune
from flows.session.stores import ledger_of
from transforms.net_changes import rolled
from transforms.vocabulary import SIDES, SideName

PAIRS: tuple[tuple[Engine, Engine], ...] = (("sqlite", "duckdb"), ("sqlite", "mysql"))


@pytest.fixture(params=PAIRS, ids=pair_name)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Rows that come, change and go, in windows of three."""
    made = Scenario.make(tmp_path, request.param, request)
    made.source.execute("CREATE TABLE goods (no integer PRIMARY KEY, n integer)")
    made.target.execute("CREATE TABLE item (no integer PRIMARY KEY, n integer)")
    made.source.insert("goods", [(no, no) for no in range(1, 13)])
    made.write({"item": {"from": "goods"}}, defaults={"window": 3, "delete": {"max_ratio": 1.0}})
    return made


def at(shop: Scenario, number: int) -> Rows:
    found = asof(shop.spec, number, "item")
    return sorted(((row["no"], row["n"]) for row in found.to_pylist()), key=str)


def lived(shop: Scenario, first: str) -> list[Rows]:
    """The target before all versions, and after each: of a run over `first`, of a part of the rows while a plan of all waits, of that
    plan, and of all rows."""
    states = [shop.target.rows("item")]

    def keep(version: int | None) -> None:
        assert version == len(states)
        states.append(shop.target.rows("item"))

    keep(shop.run(ranges=[first] if first else []).report.version)
    edits = ("UPDATE goods SET n = n + 100 WHERE no IN (1, 2, 7)", "DELETE FROM goods WHERE no IN (3, 4, 8)")
    shop.source.execute(*edits, "INSERT INTO goods VALUES (0, 0), (-1, -1)")
    planned = commands.plan(shop.request("plan", bases=frozenset({"item"}))).report.plan
    later = ("UPDATE goods SET n = n + 1000 WHERE no IN (2, 0, 5)", "INSERT INTO goods VALUES (4, 44)")
    shop.source.execute(*later)
    keep(shop.run(ranges=["item.no:-9..7"]).report.version)
    done = shop.apply(planned)
    assert done.status is Status.CONFLICTS
    keep(done.report.version)
    shop.source.execute("UPDATE goods SET n = n + 5 WHERE no IN (1, 6)", "UPDATE goods SET n = 2 WHERE no = 2")
    keep(shop.run().report.version)
    return states


@pytest.mark.parametrize("first", ["", "item.no:1..11"], ids=["forwards", "backwards"])
def test_each_version_is_known_as_it_was_whichever_way_history_is_reckoned(shop: Scenario, first: str) -> None:
    states = lived(shop, first)
    with ledger_of(shop.spec) as ledger:
        (base,) = ledger.bases(shop.spec.name, "target").values()
    assert base.version == (3 if first else 0), "history begins on the other side of the plan that waited"
    assert [at(shop, number) for number in range(5)] == states
    for one in range(5):
        for other in range(5):
            changes = [part for _, part in difference(shop.spec, one, other)]
            rows = asof(shop.spec, one, "item")
            led = rolled(rows, changes, rows.schema) if changes else rows
            assert sorted(map(tuple, (row.values() for row in led.to_pylist())), key=str) == states[other]
    lines = [(line["version"], line["op"]) for line in life(shop.spec, "item", "1") if line["why"] != LEFT]
    assert lines == [(1, "insert"), (2, "update"), (4, "update")], "the plan that waited did nothing to it"
    for number in (3, 2, 1):
        assert shop.undo(number).status is (Status.DONE if number == 3 else Status.CONFLICTS)
        states.append(shop.target.rows("item"))
    assert dict(states[-1]) == {1: 106, 6: 11}, "what a later version has changed stays"
    assert [at(shop, number) for number in range(8)] == states


def test_both_sides_are_known_as_they_were_where_a_plan_of_two_ways_had_waited(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = Scenario.make(tmp_path, ("sqlite", "duckdb"), request)
    shop.source.execute("CREATE TABLE goods (no integer PRIMARY KEY, v varchar(9), n integer)")
    shop.target.execute("CREATE TABLE item (no integer PRIMARY KEY, v varchar(9), n integer)")
    shop.source.insert("goods", [(no, f"v{no}", no) for no in range(1, 10)])
    shop.write({"item": {"from": "goods"}}, direction="two_way", defaults={"window": 2})
    states: dict[int, tuple[Rows, Rows]] = {}

    def keep() -> int:
        with ledger_of(shop.spec) as ledger:
            newest = max(each.version for each in ledger.versions(shop.spec.name))
        states[newest] = shop.source.rows("goods"), shop.target.rows("item")
        return newest

    def wrong() -> list[tuple[int, SideName]]:
        return [
            (number, side)
            for number, both in states.items()
            for side, rows in zip(SIDES, both, strict=True)
            if sorted(tuple(row.values()) for row in asof(shop.spec, number, "item", side=side).to_pylist()) != rows
        ]

    shop.run()
    keep()
    shop.source.execute("UPDATE goods SET v = 'S' WHERE no IN (1, 2)", "DELETE FROM goods WHERE no = 3")
    shop.target.execute("UPDATE item SET v = 'T' WHERE no IN (4, 5)", "DELETE FROM item WHERE no = 6")
    planned = commands.plan(shop.request("plan")).report.plan
    shop.source.execute("UPDATE goods SET v = 'later' WHERE no = 2", "INSERT INTO goods VALUES (3, 'again', 3)")
    shop.target.execute("UPDATE item SET v = 'T2' WHERE no = 5", "UPDATE item SET n = 50 WHERE no IN (1, 8)")
    shop.run()
    between = keep()
    assert shop.apply(planned).status is Status.CONFLICTS
    waited = keep()
    assert waited > between
    shop.target.execute("UPDATE item SET v = 'end' WHERE no = 7")
    cut = datetime.now(UTC)
    assert shop.run().status is Status.DONE
    last = keep()
    assert wrong() == []
    assert prune(shop.spec, _made_at(shop, waited)).versions <= 1, "what came in while it waited is needed"
    states = {number: both for number, both in states.items() if number >= between}
    assert wrong() == []
    prune(shop.spec, cut)
    states = {last: states[last]}
    assert wrong() == []


def _made_at(shop: Scenario, number: int) -> datetime:
    with ledger_of(shop.spec) as ledger:
        return next(each.created_at for each in ledger.versions(shop.spec.name) if each.version == number)
