"""What people decided about rows that both sides changed is done by the next run, unless a row has changed again."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from command_line import answer, syncline
from scenario import Scenario, halves

from flows.commands import Status

one_half, other_half = halves("small")
ROWS = [(1, "a", 1), (2, "b", 2), (3, "c", 3), (4, "d", 4)]


@pytest.fixture
def small(tmp_path: Path, request: pytest.FixtureRequest) -> Scenario:
    """Rows 1, 2 and 3 are open: two that both sides changed, in one and in two fields, and one that the source deleted."""
    made = Scenario.make(tmp_path, getattr(request, "param", ("sqlite", "sqlite")), request)
    for side in (made.source, made.target):
        side.execute("CREATE TABLE t (k integer PRIMARY KEY, v varchar(20), n integer)")
        side.insert("t", ROWS)
    made.write({"t": {"from": "t"}}, direction="two_way", initial="policy", conflict={"resolve": "merge"})
    assert made.run().status is Status.DONE
    made.source.execute("UPDATE t SET v = 's1' WHERE k = 1", "UPDATE t SET v = 's2', n = 20 WHERE k = 2")
    made.source.execute("DELETE FROM t WHERE k = 3")
    made.target.execute("UPDATE t SET v = 't1' WHERE k = 1", "UPDATE t SET v = 't2', n = 22 WHERE k = 2")
    made.target.execute("UPDATE t SET v = 't3' WHERE k = 3")
    assert made.run().status is Status.CONFLICTS
    return made


def resolve(small: Scenario, *words: str) -> None:
    syncline("conflicts", small.path, "resolve", *words)


def both(small: Scenario) -> list[Any]:
    one, other = small.source.rows("t"), small.target.rows("t")
    assert one == other
    return [tuple(row) for row in one]


@one_half
def test_rows_and_fields_become_what_was_decided_on_both_sides(small: Scenario) -> None:
    resolve(small, "--key", "1", "--take", "source", "--why", "they know")
    resolve(small, "--key", "2", "--field", "v", "--take", "both 😀")
    resolve(small, "--key", "2", "--field", "n", "--take", "base")
    resolve(small, "--key", "3", "--take", "target")
    outcome = small.run()
    assert outcome.status is Status.DONE, outcome.message
    assert both(small) == [(1, "s1", 1), (2, "both 😀", 2), (3, "t3", 3), (4, "d", 4)]
    assert answer("conflicts", small.path, "list")["open"] == {}
    lines = answer("log", small.path, "t", "--key", "1")["changes"]
    (made,) = [line for line in lines if line["op"] == "decision"]
    assert (made["ended"], made["why"], made["decision"]["take"], bool(made["author"])) == (
        "applied", "they know", "source", True,
    )  # fmt: skip
    again = small.run()
    assert again.status is Status.DONE and again.report.version is None


@other_half
def test_a_decision_about_a_row_that_changed_again_is_not_applied_and_said_so(small: Scenario) -> None:
    resolve(small, "--all", "--take", "source")
    small.target.execute("UPDATE t SET v = 'again' WHERE k = 1")
    planned = small.plan()
    assert "resolution_outdated" in [notice.code for notice in planned.report.warnings]
    outcome = small.run()
    assert outcome.status is Status.CONFLICTS
    assert "resolution_outdated" in [notice.code for notice in outcome.report.warnings]
    told = answer("conflicts", small.path, "list")
    assert [(row["key"], row["target"]["v"], row["decided"]) for row in told["conflicts"]] == [([1], "again", [])]
    assert small.source.rows("t")[0][1] == "s1" and small.target.rows("t")[0][1] == "again"
    assert [row[0] for row in small.target.rows("t")] == [1, 2, 4]  # the others are done
    assert "outdated by run" in syncline("log", small.path, "t", "--key", "1").output
    assert "resolution_outdated" not in [notice.code for notice in small.run().report.warnings]


def test_a_row_with_one_field_that_nobody_decided_stays_open_and_its_decision_waits(small: Scenario) -> None:
    resolve(small, "--key", "2", "--field", "v", "--take", "target")
    assert small.run().status is Status.CONFLICTS
    (row,) = answer("conflicts", small.path, "list", "--key", "2")["conflicts"]
    assert row["fields"] == ["n"] and [each["field"] for each in row["decided"]] == ["v"]
    resolve(small, "--key", "2", "--field", "n", "--take", "source")
    small.run()
    assert small.source.rows("t")[1] == small.target.rows("t")[1] == (2, "t2", 20)


def test_rows_that_are_alike_by_hand_settle_the_conflict_and_what_was_decided_is_not_applied(small: Scenario) -> None:
    resolve(small, "--key", "1", "--take", "target")
    small.target.execute("UPDATE t SET v = 's1' WHERE k = 1")
    small.run()
    assert small.source.rows("t")[0] == small.target.rows("t")[0] == (1, "s1", 1)
    assert "[1]" not in syncline("conflicts", small.path, "list").output
    assert "outdated" in syncline("log", small.path, "t", "--key", "1").output


def test_a_row_that_the_other_side_refuses_is_decided_as_well(small: Scenario) -> None:
    small.target.execute("CREATE UNIQUE INDEX one_name ON t (v)")
    small.source.execute("INSERT INTO t VALUES (7, 't1', 7)")
    assert small.run().status is Status.CONFLICTS
    told = {row["key"][0]: row["kind"] for row in answer("conflicts", small.path, "list")["conflicts"]}
    assert told[7] == "unique"
    resolve(small, "--key", "7", "--take", "target")
    small.run()
    assert [row[0] for row in small.source.rows("t")] == [1, 2, 4]
