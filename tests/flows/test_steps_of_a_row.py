"""A row whose unique value and whose reference are both given up beforehand, in two steps that come first, one after the other."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario import RING, Engine, Scenario, counts, pair_name

from flows.commands import Status
from flows.history.asof import asof

TARGETS = [pair for pair in RING if pair[1] in ("postgresql", "mysql")]
"""Where keys cannot wait, so that a reference is left empty for a while. The others need no such step."""


@pytest.fixture
def ring(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Stores and their managers, staff and their stores; no two stores have one name."""
    made = Scenario.make(tmp_path, request.param, request)
    made.source.execute(
        "CREATE TABLE store (id integer PRIMARY KEY, name varchar(9), manager integer)",
        "CREATE TABLE staff (id integer PRIMARY KEY, store integer)",
    )
    made.target.execute(
        "CREATE TABLE store (id integer PRIMARY KEY, name varchar(9) NOT NULL UNIQUE, manager integer)",
        "CREATE TABLE staff (id integer PRIMARY KEY, store integer NOT NULL, FOREIGN KEY (store) REFERENCES store (id))",
        "ALTER TABLE store ADD FOREIGN KEY (manager) REFERENCES staff (id)",
    )
    made.source.insert("store", [(1, "red", 10), (2, "blue", 20), (3, "grey", 30)])
    made.source.insert("staff", [(10, 1), (20, 2), (30, 3)])
    made.write({"store": {"from": "store"}, "staff": {"from": "staff"}}, defaults={"window": 1})
    assert made.run().status is Status.DONE
    return made


@pytest.mark.parametrize("ring", TARGETS, indirect=True, ids=pair_name)
def test_a_row_that_goes_gives_up_its_name_and_its_reference_and_comes_back_whole(ring: Scenario) -> None:
    before = ring.target.content()
    ring.source.execute("DELETE FROM store WHERE id < 3", "DELETE FROM staff WHERE id < 30")
    ring.source.insert("store", [(4, "red", 40), (5, "blue", 30)])
    ring.source.insert("staff", [(40, 4)])
    done = ring.run()
    assert done.status is Status.DONE and done.report.version == 2
    assert ring.target.rows("store") == [(3, "grey", 30), (4, "red", 40), (5, "blue", 30)]
    assert counts(done, "store") == {"source_rows": 3, "insert": 2, "delete": 2, "unchanged": 1}
    ring.settled()
    assert sorted(row["id"] for row in asof(ring.spec, 1, "store").to_pylist()) == [1, 2, 3]
    assert ring.undo(2).status is Status.DONE
    assert ring.target.content() == before


@pytest.mark.parametrize("target", ["postgresql", "sqlite"])  # the others take no reference of another type
def test_a_key_that_its_children_could_not_even_hold_goes_as_any_other(
    target: Engine, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    shop = Scenario.make(tmp_path, ("sqlite", target), request)
    shop.source.execute(
        "CREATE TABLE parent (id integer PRIMARY KEY, name varchar(9))",
        "CREATE TABLE child (id integer PRIMARY KEY, parent integer)",
    )
    shop.target.execute(
        "CREATE TABLE parent (id bigint PRIMARY KEY, name varchar(9) UNIQUE)",
        "CREATE TABLE child (id bigint PRIMARY KEY, parent integer REFERENCES parent (id))",
    )
    shop.write({"parent": {"from": "parent"}, "child": {"from": "child"}})
    shop.source.insert("parent", [(1, "one"), (2**40, "far")])
    shop.source.insert("child", [(1, 1)])
    assert shop.run().status is Status.DONE
    shop.source.execute(f"DELETE FROM parent WHERE id = {2**40}", "INSERT INTO parent VALUES (2, 'far')")
    done = shop.run()
    assert done.status is Status.DONE and done.report.version == 2
    assert shop.target.rows("parent") == [(1, "one"), (2, "far")]
    shop.settled()
    assert shop.undo(2).status is Status.DONE
    assert sorted(shop.target.rows("parent")) == [(1, "one"), (2**40, "far")]
