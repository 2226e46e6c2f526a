"""A unique value passes from one row to another while rows that no plan may empty meanwhile refer to it: it is refused, with the reason."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario import Engine, Scenario

from flows.commands import Status
from transforms.vocabulary import PlanError

ENGINES: tuple[Engine, ...] = ("sqlite", "postgresql", "mysql")
STEPS = ("UPDATE site SET code = 'x' WHERE no = 1", "UPDATE site SET code = 'a' WHERE no = 2")


def made(folder: Path, engine: Engine, request: pytest.FixtureRequest, device: str, *, named: bool = False) -> Scenario:
    """Two sites whose codes devices of the target refer to; the spec names the devices where asked."""
    shop = Scenario.make(folder, ("sqlite", engine), request)
    shop.source.execute(
        "CREATE TABLE site (no integer PRIMARY KEY, code varchar(5))",
        "CREATE TABLE device (no integer PRIMARY KEY, site varchar(5))",
    )
    shop.target.execute(
        "CREATE TABLE site (no integer PRIMARY KEY, code varchar(5) NOT NULL UNIQUE)",
        f"CREATE TABLE device (no integer PRIMARY KEY, site {device}, "
        "FOREIGN KEY (site) REFERENCES site (code) ON UPDATE CASCADE)",
    )
    shop.source.insert("site", [(1, "a"), (2, "b")])
    tables = {name: {"from": name, "key": "no"} for name in ("site", "device")[: 1 + named]}
    shop.write(tables, defaults={"delete": {"children": "plan"}, "window": 1})
    assert shop.run().status == Status.DONE
    return shop


def refused(shop: Scenario) -> PlanError:
    before = shop.target.content()
    with pytest.raises(PlanError) as planning:
        shop.plan()
    with pytest.raises(PlanError) as running:
        shop.run()
    assert str(planning.value) == str(running.value)
    assert shop.target.content() == before
    return running.value


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("null", ["", " NOT NULL"])
def test_rows_beside_the_spec_stand_in_its_way(
    engine: Engine, null: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = made(tmp_path, engine, request, f"varchar(5){null}")
    shop.target.insert("device", [(11, "a"), (12, "b")])
    shop.source.execute(*STEPS)
    error = refused(shop)
    assert "(code) passes from one row to another, and 1 row of" in str(error)
    assert "by (site), such as [11]" in str(error)
    assert ("be null" in error.fix) == bool(null)
    if null:
        return
    shop.source.execute("UPDATE site SET code = 'b' WHERE no = 2")
    assert shop.run().status == Status.DONE
    shop.source.execute(STEPS[1])
    assert shop.run().status == Status.DONE
    assert shop.target.content() == {"site": [(1, "x"), (2, "a")], "device": [(11, "x"), (12, "a")]}
    assert shop.undo(1, to=True).status == Status.DONE
    assert shop.target.content() == {"site": [(1, "a"), (2, "b")], "device": [(11, "a"), (12, "b")]}


@pytest.mark.parametrize("engine", ENGINES)
def test_rows_of_the_spec_that_may_not_be_null_stand_in_its_way(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = made(tmp_path, engine, request, "varchar(5) NOT NULL", named=True)
    shop.source.insert("device", [(11, "a"), (12, "b")])
    assert shop.run().status == Status.DONE
    shop.source.execute(*STEPS, "UPDATE device SET site = CASE no WHEN 11 THEN 'x' ELSE 'a' END")
    error = refused(shop)
    assert "device (site)" in str(error) and "be null" in error.fix


@pytest.mark.parametrize("engine", ENGINES)
def test_an_undo_that_would_pass_it_back_is_refused(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = made(tmp_path, engine, request, "varchar(5)")
    for step in STEPS:
        shop.source.execute(step)
        assert shop.run().status == Status.DONE
    shop.target.insert("device", [(11, "x"), (12, "a")])
    before = shop.target.content()
    with pytest.raises(PlanError, match="device"):
        shop.undo(1, to=True)
    assert shop.target.content() == before
