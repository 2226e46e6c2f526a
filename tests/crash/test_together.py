"""A run that is killed while windows of several tables are written in one transaction: all of them are in, or none is."""

from __future__ import annotations

from pathlib import Path

import pytest
from crashing import killed_at
from scenario import Engine, Scenario

from adapters.store.plans import Plan
from flows.commands import Status

TABLES = (("store", "manager", "staff"), ("staff", "store", "store"))
STATES = (
    {"store": [(n, n) for n in range(1, 7)], "staff": [(n, n) for n in range(1, 7)]},
    {"store": [(n, 7 - n) for n in (1, 2, 3, 4)] + [(9, 9)], "staff": [(n, 1) for n in range(1, 7)] + [(9, 9)]},
)
POINTS = ("before the COMMIT of a window", "all windows in, before the ledger", "before the version")


def states(shop: Scenario, state: dict[str, list[tuple[int, int]]]) -> None:
    for name, rows in state.items():
        shop.source.execute(f"DELETE FROM {name}")
        shop.source.insert(name, rows)


@pytest.mark.parametrize("engine", ["postgresql", "sqlite"])
@pytest.mark.parametrize("point", POINTS)
def test_rows_that_need_each_other_are_all_in_or_none_is(
    engine: Engine, point: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = Scenario.make(tmp_path, ("sqlite", engine), request)
    for name, column, other in TABLES:
        shop.source.execute(f"CREATE TABLE {name} (id integer PRIMARY KEY, {column} integer)")
        key = f", FOREIGN KEY ({column}) REFERENCES {other} (id)" if engine == "sqlite" else ""
        shop.target.execute(f"CREATE TABLE {name} (id integer PRIMARY KEY, {column} integer NOT NULL{key})")
    for name, column, other in TABLES if engine == "postgresql" else ():
        shop.target.execute(f"ALTER TABLE {name} ADD FOREIGN KEY ({column}) REFERENCES {other} (id) DEFERRABLE")
    shop.write({name: {"from": name} for name, _, _ in TABLES}, defaults={"window": 2})
    states(shop, STATES[0])
    assert any(stage.together for stage in Plan.open(Path(str(shop.plan().report.plan))).manifest.stages or ())
    assert shop.run().status == Status.DONE
    first = shop.target.content()
    states(shop, STATES[1])
    assert any(stage.together for stage in Plan.open(Path(str(shop.plan().report.plan))).manifest.stages or ())
    assert killed_at(shop, point), "it never came there"
    if point == POINTS[0]:
        assert shop.target.content() == first, "nothing of the transaction is in"
    shop.run()
    assert {name: sorted(rows) for name, rows in STATES[1].items()} == {
        name: sorted(shop.target.rows(name)) for name in STATES[1]
    }
    shop.settled()
    assert shop.undo(2).status == Status.DONE
    assert shop.target.content() == first
