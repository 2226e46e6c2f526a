"""A row whose unique value and whose reference are both given up beforehand, in two steps that come first, one after the other."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario import RING, Scenario, counts, pair_name

from flows.commands import Status
from flows.history.log import asof

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
