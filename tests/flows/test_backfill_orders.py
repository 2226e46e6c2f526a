"""A backfill writes step by step: circles of foreign keys and unique values that move inside a step find their order as in a run."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario import Engine, Scenario

from flows import commands
from flows.commands import Status

ENGINES: tuple[Engine, ...] = ("postgresql", "sqlite", "mysql", "duckdb")


@pytest.mark.parametrize("engine", ["postgresql", "sqlite"])
def test_rows_of_a_circle_are_backfilled_with_those_that_they_need_already_there(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = Scenario.make(tmp_path, ("sqlite", engine), request)
    shop.source.execute("CREATE TABLE node (id integer PRIMARY KEY, up integer, other integer)")
    late = " DEFERRABLE" if engine == "postgresql" else ""
    shop.target.execute(
        "CREATE TABLE node (id integer PRIMARY KEY, up integer, other integer, "
        f"FOREIGN KEY (up) REFERENCES node (id){late}, FOREIGN KEY (other) REFERENCES node (id){late})"
    )
    rows = [(1, 2, None), (2, 1, 1), (3, 4, 1), (4, 3, 2), (5, 6, 3), (6, 5, 4)]
    shop.source.insert("node", rows)
    shop.write({"node": {"from": "node"}}, defaults={"window": 1})
    done = shop.backfill("node.id:1..7", "2")
    assert done.status == Status.DONE and shop.target.rows("node") == sorted(rows, key=str)
    shop.settled()


@pytest.mark.parametrize("engine", ENGINES)
def test_unique_values_that_trade_places_inside_a_step_are_backfilled(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = Scenario.make(tmp_path, ("sqlite", engine), request)
    shop.source.execute("CREATE TABLE t (id integer PRIMARY KEY, v integer)")
    shop.target.execute("CREATE TABLE t (id integer PRIMARY KEY, v integer UNIQUE)")
    shop.source.insert("t", [(n, n) for n in range(1, 9)])
    shop.write({"t": {"from": "t"}}, defaults={"window": 1})
    assert shop.backfill("t.id:1..9", "4").status == Status.DONE
    shop.source.execute(
        "UPDATE t SET v = CASE id WHEN 1 THEN 3 WHEN 2 THEN 1 WHEN 3 THEN 2 ELSE id END WHERE id < 5",
        "DELETE FROM t WHERE id = 5",
        "UPDATE t SET v = 5 WHERE id = 8",
    )
    done = commands.backfill(shop.request("backfill", ranges=["t.id:1..9"]), "4", again=True)
    assert done.status == Status.DONE
    assert sorted(shop.target.rows("t")) == [(1, 3), (2, 1), (3, 2), (4, 4), (6, 6), (7, 7), (8, 5)]
    shop.settled()
