"""Rows whose order goes back and forth between the tables of a circle, whose keys can neither wait nor be null: they go in level by level."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from cutting_off import full_disk_at
from scenario import Scenario, counts, quarantine

from adapters.store.plans import Plan
from flows import commands
from flows.commands import Outcome, Status
from flows.history import quarantine as quarantining
from flows.history.quarantine import Filter
from flows.history.version_list import listed
from transforms.vocabulary import PlanError

ENGINES = ["postgresql", "mysql"]  # SQLite's keys can wait, DuckDB has no circles of keys
RING = (("store", "staff"), ("staff", "store"))


@pytest.fixture(params=ENGINES)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Stores and their staff, each with a row that has been there since before the keys."""
    shop = Scenario.make(tmp_path, ("sqlite", request.param), request)
    for side, kind in ((shop.source, "integer"), (shop.target, "bigint")):
        for name, _ in RING:
            side.execute(f"CREATE TABLE {name} (id {kind} PRIMARY KEY, r {kind} NOT NULL, title varchar(20) UNIQUE)")
            side.insert(name, [(0, 0, "root")])
    for name, other in RING:
        shop.target.execute(f"ALTER TABLE {name} ADD FOREIGN KEY (r) REFERENCES {other} (id)")
    write(shop)
    return shop


def write(shop: Scenario, rows: int = 2, **rest: Any) -> None:
    shop.write(
        {name: {"from": name, "key": ["id"]} for name, _ in RING},
        defaults={"window": rows, "delete": {"max_ratio": 1.0}},
        **rest,
    )


def fill(shop: Scenario, stores: Sequence[Any], staff: Sequence[Any]) -> None:
    shop.source.execute("DELETE FROM store WHERE id > 0", "DELETE FROM staff WHERE id > 0")
    shop.source.insert("store", stores)
    shop.source.insert("staff", staff)


def chain(length: int, start: int = 1) -> tuple[list[Any], list[Any]]:
    """Stores and staff of which each needs the one before it: store 1, staff 1, store 2, staff 2, and so on."""
    ids = range(start, start + length)
    return [(i, 0 if i == start else i - 1, f"s{i}") for i in ids], [(i, i, f"p{i}") for i in ids]


def done(shop: Scenario) -> int:
    """A run brings the target to the source, and leaves nothing to do. Its version."""
    ran = shop.run()
    assert (ran.status, shop.target.content()) == (Status.DONE, shop.source.content())
    shop.settled()
    assert ran.report.version is not None
    return ran.report.version


def test_rows_go_in_and_out_level_by_level_and_come_back(shop: Scenario) -> None:
    seen = [shop.target.content()]
    stores, staff = chain(4)
    for some in (
        (stores, staff),
        # 4 moves to the root, 5 and 6 hang below it, and titles change places between the levels
        ([(1, 0, "s2"), (2, 1, "s1"), (4, 0, "s4"), (5, 4, "s5")], [(1, 1, "p1"), (4, 4, "p6"), (6, 5, "p4")]),
        ([(7, 8, "s7")], [(8, 0, "p8")]),
        ([], []),
        (stores, staff),
    ):
        fill(shop, *some)
        assert done(shop) == len(seen)
        seen.append(shop.target.content())
    for step in range(4):
        assert shop.undo(5 - step).status is Status.DONE
        assert shop.target.content() == seen[4 - step]
    assert shop.undo(6, to=True).status is Status.DONE, "the last three undos are undone, in one go"
    assert shop.target.content() == seen[4]
    assert shop.undo(0, to=True).status is Status.DONE
    assert shop.target.content() == seen[0]


def test_a_plan_shows_the_levels_and_is_applied_as_it_is(shop: Scenario) -> None:
    fill(shop, *chain(3))
    folder = shop.plan().report.plan
    plan = Plan.open(Path(folder))
    assert plan.manifest.stages is not None
    written = [str(each.table) for each in plan.manifest.stages if each.do == "write"]
    assert [name.rpartition(".")[2] for name in written] == ["store", "staff"] * 3, "and not one of them more"
    assert shop.apply(folder).status is Status.DONE
    assert shop.target.content() == shop.source.content()


def test_only_rows_in_a_circle_are_refused_and_named(shop: Scenario) -> None:
    stores, staff = chain(3)
    fill(shop, [*stores, (8, 9, "s8")], [*staff, (9, 8, "p9")])
    with pytest.raises(PlanError, match=r"Rows of .* need each other") as refused:
        shop.run()
    assert all(f"such as [{key}]" in str(refused.value) for key in (8, 9))
    assert str(refused.value).count("1 row of") == 2
    assert "Nothing was written" in str(refused.value)
    assert (shop.target.count("store"), shop.target.count("staff")) == (1, 1)
    fill(shop, stores, staff)
    done(shop)


def test_a_row_that_the_target_refuses_stays_out_with_those_that_need_it(shop: Scenario) -> None:
    shop.target.execute("ALTER TABLE staff ADD CHECK (title <> 'p2')")
    fill(shop, *chain(4))
    ran = shop.run()
    assert [row[0] for row in shop.target.rows("store")] == [0, 1, 2]
    assert [row[0] for row in shop.target.rows("staff")] == [0, 1]
    assert counts(ran, "store") == {"source_rows": 5, "insert": 2, "unchanged": 1, "quarantined": 2}
    assert counts(ran, "staff") == {"source_rows": 5, "insert": 1, "unchanged": 1, "quarantined": 3}
    assert len(quarantine(shop)) == 5
    shop.source.execute("UPDATE staff SET title = 'good' WHERE id = 2")
    assert retried(shop).status is Status.DONE, "rows of both tables, in the same levels"
    assert shop.target.content() == shop.source.content()
    assert quarantine(shop) == []
    shop.settled()


def retried(shop: Scenario) -> Outcome:
    request = quarantining.retry(shop.request(), Filter())
    assert request is not None
    return commands.run(request)


def test_a_run_that_ends_between_two_levels_is_finished_by_the_next_as_one_version(shop: Scenario) -> None:
    fill(shop, *chain(3))
    with full_disk_at(4):
        shop.run()
    assert (shop.target.count("store"), shop.target.count("staff")) == (3, 2)
    shop.run()
    assert shop.target.content() == shop.source.content()
    assert [(each["version"], each["counts"]["insert"]) for each in listed(shop.spec)] == [(1, 6)]
    shop.settled()
    assert shop.undo(1).status is Status.DONE
    assert (shop.target.count("store"), shop.target.count("staff")) == (1, 1)


def test_many_levels_share_what_tables_hold_and_no_window_is_larger_than_it_may_be(shop: Scenario) -> None:
    stores, staff = chain(1)
    wide = [(100 + i, 1, f"w{i}") for i in range(5)]
    fill(shop, [*stores, *wide], [*staff, *((200 + i, 100 + i, f"v{i}") for i in range(5))])
    plan = Plan.open(Path(shop.plan().report.plan))
    assert all(sum(each.counts.values()) <= 2 for each in plan.windows())
    done(shop)
