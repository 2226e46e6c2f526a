"""Tables whose foreign keys go in a circle: rows that need each other go in together, or in two steps, or not at all."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from scenario import Scenario

from flows.commands import Status
from transforms.vocabulary import PlanError

DEFAULTS = {"window": 2, "delete": {"max_ratio": 1.0}}
DEFERRABLE = ("", " DEFERRABLE", " DEFERRABLE INITIALLY DEFERRED")


def circle(shop: Scenario, *, null: str = "", late: Sequence[str] = ("", "")) -> None:
    """Stores and their staff; `null` is the column that may be, `late` is how the keys of both are deferred."""
    for side, kind in ((shop.source, "integer"), (shop.target, "bigint")):
        makes = []
        for (name, column, other), when in zip(TABLES, late, strict=True):
            need = "" if null == column else " NOT NULL"
            key = f", FOREIGN KEY ({column}) REFERENCES {other} (id){when}"
            made = key if side.engine == "sqlite" and side is shop.target else ""
            makes.append(f"CREATE TABLE {name} (id {kind} PRIMARY KEY, {column} {kind}{need}, title varchar(20){made})")
        side.execute(*makes)
    if shop.target.engine != "sqlite":
        for (name, column, other), when in zip(TABLES, late, strict=True):
            shop.target.execute(f"ALTER TABLE {name} ADD FOREIGN KEY ({column}) REFERENCES {other} (id){when}")
    shop.write({name: {"from": name, "key": ["id"]} for name, _, _ in TABLES}, defaults=DEFAULTS)


TABLES = (("store", "manager", "staff"), ("staff", "store", "store"))


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """The target's engine, by the test's parameter."""
    return Scenario.make(tmp_path, ("sqlite", request.param), request)


def fill(shop: Scenario, stores: Sequence[Any], staff: Sequence[Any]) -> None:
    shop.source.execute("DELETE FROM store", "DELETE FROM staff")
    shop.source.insert("store", stores)
    shop.source.insert("staff", staff)


def states(shop: Scenario, *, hole: bool = False) -> None:
    """Rows that need each other come, change partners and go, by windows of two; each time nothing is left to do, and all of it
    can be taken back."""
    empty = shop.target.content()
    none = None if hole else 1
    seen = [empty]
    for stores, staff in (
        ([(1, 1, "a"), (2, 3, "b"), (3, none, "c")], [(1, 1, "x"), (2, 1, "y"), (3, 2, "z"), (4, 3, "w")]),
        ([(1, 4, "a"), (3, 1, "c"), (4, 5, "d")], [(1, 3, "x"), (2, 1, "y"), (4, 4, "W"), (5, 4, "v")]),
        ([(7, 7, "n")], [(7, 7, "n")]),
        ([], []),
    ):
        fill(shop, stores, staff)
        done = shop.run()
        assert done.status == Status.DONE
        assert shop.target.rows("store") == sorted(stores, key=str)
        assert shop.target.rows("staff") == sorted(staff, key=str)
        assert not shop.plan().report.pending
        shop.settled()
        seen.append(shop.target.content())
    version = len(seen) - 1
    for step in range(version):
        assert shop.undo(version - step).status == Status.DONE
        assert shop.target.content() == seen[-2 - step]
    assert shop.undo(version + 1, to=True).status == Status.DONE, "all but the last undo are undone, in one go"
    assert shop.target.content() == seen[-2]


@pytest.mark.parametrize(
    ("shop", "late"),
    [("postgresql", ("", each)) for each in DEFERRABLE[1:]] + [("sqlite", ("", ""))],
    indirect=["shop"],
)
def test_rows_that_need_each_other_go_together_where_a_key_can_wait(shop: Scenario, late: Sequence[str]) -> None:
    circle(shop, late=late)
    states(shop)


@pytest.mark.parametrize("shop", ["postgresql", "mysql"], indirect=True)
@pytest.mark.parametrize("null", ["manager", "store"])
def test_rows_that_need_each_other_go_in_two_steps_where_a_column_may_be_null(shop: Scenario, null: str) -> None:
    circle(shop, null=null)
    states(shop, hole=null == "manager")


@pytest.mark.parametrize("shop", ["postgresql", "mysql"], indirect=True)
def test_rows_that_need_each_other_are_refused_where_nothing_helps(shop: Scenario) -> None:
    circle(shop)
    fill(shop, [(1, 1, "a")], [(1, 1, "x")])
    with pytest.raises(PlanError) as refused:
        shop.run()
    first = "make the foreign key " if shop.target.engine == "postgresql" else "let "
    assert "1 row of" in str(refused.value)
    assert f"Fix: in the target, {first}" in str(refused.value)
    assert "store.manager or" in str(refused.value) or "staff.store or" in str(refused.value)
    assert shop.target.count("store") == shop.target.count("staff") == 0
