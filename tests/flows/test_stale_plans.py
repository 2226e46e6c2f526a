"""A plan that is applied after another run has written: what history says of its version, and of those before and behind it."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario import Engine, Rows, Scenario, pair_name

from flows import commands
from flows.commands import Status
from flows.history.asof import asof
from flows.history.log import LEFT, difference, life
from flows.session.stores import ledger_of
from transforms.net_changes import rolled

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
