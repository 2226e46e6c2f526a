"""Keys by which a table refers to itself and that carry changes on: rows that go and change together do so once, as planned."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario import RING, Engine, Rows, Scenario, pair_name

from flows.commands import Status

RINGED = [(1, 2), (2, 3), (3, 1), (4, 1), (5, 5), (6, None)]
CHAINED = [(1, 2), (2, 3), (3, None), (4, 3), (5, 4), (6, None)]
ACTIONS = ("", "ON DELETE CASCADE", "ON DELETE SET NULL", "ON UPDATE CASCADE", "ON DELETE CASCADE ON UPDATE CASCADE")


@pytest.mark.parametrize("pair", RING, ids=pair_name)
def test_rows_that_refer_to_each_other_go_and_come_back(
    pair: tuple[Engine, Engine], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = Scenario.make(tmp_path, pair, request)
    actions = ACTIONS if pair[1] != "duckdb" else ACTIONS[:1]
    cases = [(action, window) for action in actions for window in (2, 100)]
    tables = {f"t{number}": case for number, case in enumerate(cases)}
    first = CHAINED if pair[1] == "duckdb" else RINGED
    for name, (action, _) in tables.items():
        shop.source.execute(f"CREATE TABLE {name} (id integer PRIMARY KEY, boss integer)")
        shop.source.insert(name, first)
        shop.target.execute(
            f"CREATE TABLE {name} (id integer PRIMARY KEY, boss integer, FOREIGN KEY (boss) REFERENCES {name} (id) {action})"
        )
    shop.write({name: {"from": name, "window": window} for name, (_, window) in tables.items()})

    def holds(rows: Rows) -> None:
        assert {case: shop.target.rows(name) for name, case in tables.items()} == dict.fromkeys(cases, rows)

    assert shop.run().status is Status.DONE
    holds(first)
    for name in tables:
        shop.source.execute(f"DELETE FROM {name} WHERE id <> 6")
        shop.source.insert(name, [(7, 6)])
    done = shop.run()
    assert done.status is Status.DONE
    holds([(6, None), (7, 6)])
    shop.settled()
    assert done.report.version is not None
    assert shop.undo(done.report.version).status is Status.DONE
    holds(first)
    assert shop.undo(1).status is Status.DONE
    holds([])


@pytest.mark.parametrize("edited", [False, True])
@pytest.mark.parametrize("pair", [RING[0], RING[3]], ids=pair_name)
def test_rows_that_go_in_one_transaction_with_those_below_them_go_in_one_run(
    pair: tuple[Engine, Engine], edited: bool, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = Scenario.make(tmp_path, pair, request)
    late = "DEFERRABLE" if pair[1] == "postgresql" else ""
    shop.source.execute(
        "CREATE TABLE a (id integer PRIMARY KEY, ring integer, boss integer)",
        "CREATE TABLE b (id integer PRIMARY KEY, ring integer)",
    )
    shop.target.execute(
        "CREATE TABLE a (id integer PRIMARY KEY, ring integer NOT NULL, boss integer REFERENCES a (id) ON DELETE CASCADE)",
        f"CREATE TABLE b (id integer PRIMARY KEY, ring integer NOT NULL REFERENCES a (id) {late})",
    )
    if pair[1] == "postgresql":
        shop.target.execute("ALTER TABLE a ADD FOREIGN KEY (ring) REFERENCES b (id) DEFERRABLE")
    else:
        shop.target.execute(
            "DROP TABLE a",
            "CREATE TABLE a (id integer PRIMARY KEY, ring integer NOT NULL REFERENCES b (id), "
            "boss integer REFERENCES a (id) ON DELETE CASCADE)",
        )
    first = {"a": [(0, 0, 0), (3, 0, 0), (5, 3, 3)], "b": [(0, 0), (3, 0), (4, 3)]}
    for name, rows in first.items():
        shop.source.insert(name, rows)
    shop.write({name: {"from": name} for name in first}, defaults={"window": 1})
    assert shop.run().status is Status.DONE
    shop.source.execute("DELETE FROM a WHERE id > 0", "DELETE FROM b WHERE id > 0")
    plan = shop.plan()
    if edited:
        shop.target.execute("UPDATE a SET ring = 0 WHERE id = 5")
    done = shop.apply(plan.report.plan)
    if edited:  # who is left alone keeps the row that would take it along
        assert [row[0] for row in shop.target.rows("a")] == [0, 3, 5]
        return
    assert done.status is Status.DONE
    assert {name: shop.target.rows(name) for name in first} == {"a": [(0, 0, 0)], "b": [(0, 0)]}
    shop.settled()
    assert shop.undo(done.report.version or 0).status is Status.DONE
    assert {name: shop.target.rows(name) for name in first} == first
    assert shop.undo(3).status is Status.DONE
    assert {name: shop.target.rows(name) for name in first} == {"a": [(0, 0, 0)], "b": [(0, 0)]}
