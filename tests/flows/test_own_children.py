"""Rows that go or let go because of others, in tables that refer to themselves, that are cut into parts, or whose keys are not held."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenario import Engine, Scenario, quarantine

from flows.commands import Status

ENGINES: tuple[Engine, ...] = ("sqlite", "duckdb", "postgresql", "mysql")


def beside(folder: Path, engine: Engine, request: pytest.FixtureRequest, children: str, rows: list[Any]) -> Scenario:
    """Two shops, of which the source has lost the first; and a tree beside the spec, rows of which refer to shops."""
    made = Scenario.make(folder, ("sqlite", engine), request)
    made.source.execute("CREATE TABLE shop (no integer PRIMARY KEY)")
    made.target.execute(
        "CREATE TABLE shop (no integer PRIMARY KEY)",
        "CREATE TABLE node (no integer PRIMARY KEY, shop integer, up integer, "
        "FOREIGN KEY (shop) REFERENCES shop (no), FOREIGN KEY (up) REFERENCES node (no))",
    )
    made.target.insert("shop", [(1,), (2,)])
    for row in rows:
        made.target.insert("node", [row])
    made.source.insert("shop", [(2,)])
    defaults = {"delete": {"children": children, "max_ratio": 1.0}}
    made.write({"shop": {"from": "shop", "key": "no"}}, defaults=defaults)
    return made


@pytest.mark.parametrize("engine", ENGINES)
def test_a_tree_beside_the_spec_goes_whole_from_any_of_its_rows_on(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    tree = [(1, 1, None), (2, None, 1), (3, None, 2), (4, None, 3), (5, 1, 4), (6, 2, None), (7, 1, 6), (8, 2, 1)]
    made = beside(tmp_path, engine, request, "plan", tree)
    before = made.target.content()
    assert made.run().status == Status.DONE
    assert made.target.content() == {"shop": [(2,)], "node": [(6, 2, None)]}
    assert made.plan().status == Status.DONE
    assert made.undo(1).status == Status.DONE
    assert made.target.content() == before


@pytest.mark.parametrize("engine", ["sqlite", "postgresql", "mysql"])  # DuckDB changes no row that others refer to
def test_rows_of_a_tree_beside_the_spec_let_go_wherever_they_stand(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    made = beside(tmp_path, engine, request, "detach", [(1, 1, None), (2, 1, 1), (5, 1, 2), (6, 2, 1)])
    before = made.target.content()
    assert made.run().status == Status.DONE
    assert made.target.rows("node") == [(1, None, None), (2, None, 1), (5, None, 2), (6, 2, 1)]
    assert made.plan().status == Status.DONE
    assert made.undo(1).status == Status.DONE
    assert made.target.content() == before


def test_partitions_refer_and_are_referred_to_and_a_key_that_is_not_valid_yet_is_followed(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = Scenario.make(tmp_path, ("sqlite", "postgresql"), request)
    shop.source.execute(
        "CREATE TABLE site (no integer PRIMARY KEY, v integer)",
        "CREATE TABLE device (no integer PRIMARY KEY, site integer)",
    )
    shop.target.execute(
        "CREATE TABLE site (no integer PRIMARY KEY, v integer) PARTITION BY RANGE (no)",
        "CREATE TABLE site_1 PARTITION OF site FOR VALUES FROM (0) TO (10)",
        "CREATE TABLE site_2 PARTITION OF site FOR VALUES FROM (10) TO (100)",
        "CREATE TABLE device (no integer PRIMARY KEY, site integer REFERENCES site (no)) PARTITION BY HASH (no)",
        "CREATE TABLE device_1 PARTITION OF device FOR VALUES WITH (MODULUS 1, REMAINDER 0)",
        "CREATE TABLE note (no integer PRIMARY KEY, site integer)",
    )
    shop.target.insert("note", [(1, 77), (2, 1)])
    shop.target.execute("ALTER TABLE note ADD FOREIGN KEY (site) REFERENCES site (no) NOT VALID")
    shop.source.insert("site", [(1, 1), (2, 2), (20, 2), (30, 3)])
    shop.source.insert("device", [(1, 1), (2, 20), (3, 30)])
    tables = {name: {"from": name, "key": "no"} for name in ("site", "device")}
    shop.write(tables, defaults={"delete": {"max_ratio": 1.0, "children": "plan"}})
    assert shop.run().status == Status.DONE
    before = shop.target.content()
    shop.source.execute(
        "DELETE FROM site WHERE no IN (1, 20)", "UPDATE device SET site = 2 WHERE no = 2", "DELETE FROM device WHERE no = 1"
    )  # fmt: skip
    assert shop.run().status == Status.DONE
    assert quarantine(shop) == []
    now = shop.target.content()
    assert (now["site"], now["device"], now["note"]) == ([(2, 2), (30, 3)], [(2, 2), (3, 30)], [(1, 77)])
    assert shop.plan().status == Status.DONE
    assert shop.undo(2).status == Status.DONE
    assert shop.target.content() == before
