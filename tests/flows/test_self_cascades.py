"""Keys by which a table refers to itself and that carry changes on: rows that go and change together do so once, as planned."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario import RING, Scenario, pair_name

from flows.commands import Status

RINGED = [(1, 2), (2, 3), (3, 1), (4, 1), (5, 5), (6, None)]
CHAINED = [(1, 2), (2, 3), (3, None), (4, 3), (5, 4), (6, None)]
ACTIONS = ("", "ON DELETE CASCADE", "ON DELETE SET NULL", "ON UPDATE CASCADE", "ON DELETE CASCADE ON UPDATE CASCADE")
CASES = [(pair, action) for pair in RING for action in (ACTIONS if pair[1] != "duckdb" else ACTIONS[:1])]


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    pair, action = request.param
    made = Scenario.make(tmp_path, pair, request)
    made.source.execute("CREATE TABLE t (id integer PRIMARY KEY, boss integer)")
    made.target.execute(
        f"CREATE TABLE t (id integer PRIMARY KEY, boss integer, FOREIGN KEY (boss) REFERENCES t (id) {action})"
    )
    made.write({"t": {"from": "t"}})
    return made


@pytest.mark.parametrize("window", [2, 100])
@pytest.mark.parametrize("shop", CASES, indirect=True, ids=lambda each: f"{pair_name(each[0])} {each[1]}".strip())
def test_rows_that_refer_to_each_other_go_and_come_back(shop: Scenario, window: int) -> None:
    first = CHAINED if shop.target.engine == "duckdb" else RINGED
    shop.write({"t": {"from": "t"}}, defaults={"window": window})
    shop.source.insert("t", first)
    assert shop.run().status is Status.DONE
    assert shop.target.rows("t") == first
    shop.source.execute("DELETE FROM t WHERE id <> 6")
    shop.source.insert("t", [(7, 6)])
    done = shop.run()
    assert done.status is Status.DONE
    assert shop.target.rows("t") == [(6, None), (7, 6)]
    shop.settled()
    assert done.report.version is not None
    assert shop.undo(done.report.version).status is Status.DONE
    assert shop.target.rows("t") == first
    assert shop.undo(1).status is Status.DONE
    assert shop.target.rows("t") == []
