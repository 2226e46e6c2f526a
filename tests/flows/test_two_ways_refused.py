"""Rows that a side of two ways does not take: open, for what it holds against them, and as they are on both sides."""

from __future__ import annotations

from pathlib import Path
from time import perf_counter

import pytest
from scenario import Scenario

from flows.commands import Status
from flows.session.stores import ledger_of

MANY = 4_000


def test_many_rows_that_a_side_refuses_take_no_longer_than_few(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    """One at a time, these took a minute and a half; all at once, they take a fraction of a second."""
    made = Scenario.make(tmp_path, ("sqlite", "sqlite"), request)
    made.source.execute("CREATE TABLE t (id integer PRIMARY KEY, n integer)")
    made.target.execute("CREATE TABLE t (id integer PRIMARY KEY, n integer CHECK (n < 10))")
    made.write({"t": {"from": "t"}}, direction="two_way", initial="policy", conflict={"resolve": "merge"})
    made.source.insert("t", [(number, 1) for number in range(MANY)])
    assert made.run().status is Status.DONE
    made.source.execute("UPDATE t SET n = id + 10")
    made.target.execute("UPDATE t SET n = 2 WHERE id = 1")

    began = perf_counter()
    outcome = made.run()

    assert perf_counter() - began < 20
    assert outcome.status is Status.CONFLICTS
    with ledger_of(made.spec) as ledger:
        kinds = [each.kind for each in ledger.conflicts(made.spec.name, limit=MANY + 1)]
    assert sorted(map(str, kinds)) == ["check"] * (MANY - 1) + ["update/update"]
