"""The mapping of a two-way table changes between runs: what both sides agreed on outlives it, and so do deletions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenario import Rows, Scenario, pair_name

from flows.commands import Outcome, Status

PAIRS = (("sqlite", "sqlite"), ("mysql", "postgresql"), ("postgresql", "duckdb"), ("duckdb", "mysql"))
OLD = ["k", "v", "n"]


@pytest.fixture
def made(tmp_path: Path, request: pytest.FixtureRequest) -> Scenario:
    """Both sides agree on v and n of twelve rows; each has a column x, which the mapping does not show."""
    made = Scenario.make(tmp_path, getattr(request, "param", ("sqlite", "sqlite")), request)
    for side in (made.source, made.target):
        side.execute("CREATE TABLE t (k varchar(9) PRIMARY KEY, v varchar(9), n integer, x varchar(9))")
    made.source.insert("t", [(f"r{n:02}", f"v{n}", n, None) for n in range(12)])
    write(made)
    assert made.run().status == Status.DONE
    return made


def write(made: Scenario, columns: list[str] = OLD, initial: str = "policy", **more: Any) -> None:
    conflict = more.pop("conflict", {"resolve": "merge"})
    entry = {"from": "t", "columns": {name: name for name in columns}, "key": ["k"], "conflict": conflict, **more}
    window = {"defaults": {"window": 5, "delete": {"max_ratio": 1.0}}}
    made.write({"t": entry}, direction="two_way", initial=initial, **window)


def told(outcome: Outcome) -> list[str]:
    return [notice.code for notice in outcome.report.warnings]


def both(made: Scenario, columns: str = "k, v, n, x") -> Rows:
    """What both sides hold alike."""
    rows = made.source.rows("t", columns)
    assert made.target.rows("t", columns) == rows
    return rows


def set_x(made: Scenario, values: dict[str, tuple[str | None, str | None]]) -> None:
    for key, pair in values.items():
        for side, value in zip((made.source, made.target), pair, strict=True):
            if value is not None:
                side.execute(f"UPDATE t SET x = '{value}' WHERE k = '{key}'")


@pytest.mark.parametrize("made", PAIRS, indirect=True, ids=pair_name)
def test_sides_meet_in_a_new_column_field_by_field_and_all_else_is_what_they_agreed_on(made: Scenario) -> None:
    set_x(made, {"r00": ("s", "t"), "r01": ("s", "t"), "r02": ("s", None), "r03": (None, "t"), "r04": ("b", "b")})
    set_x(made, {"r05": ("s", "t"), "r06": ("s", "t"), "r07": ("s", None), "r08": (None, "t")})
    made.source.execute("DELETE FROM t WHERE k = 'r00'", "UPDATE t SET v = 'edited' WHERE k IN ('r05', 'r08')")
    made.target.execute("DELETE FROM t WHERE k = 'r01'", "UPDATE t SET n = 70 WHERE k IN ('r05', 'r07')")
    write(made, [*OLD, "x"], conflict={"resolve": "source_wins", "delete": "manual"})
    outcome = made.run()
    assert (outcome.status, told(outcome)) == (Status.DONE, ["new_columns"])
    assert both(made)[:8] == [
        ("r02", "v2", 2, "s"), ("r03", "v3", 3, "t"), ("r04", "v4", 4, "b"), ("r05", "edited", 5, "s"),
        ("r06", "v6", 6, "s"), ("r07", "v7", 70, "s"), ("r08", "edited", 8, "t"), ("r09", "v9", 9, None),
    ]  # fmt: skip
    again = made.run()
    assert (told(again), again.report.pending) == ([], False)
    made.target.execute("DELETE FROM t WHERE k = 'r05'", "UPDATE t SET x = 'later' WHERE k = 'r06'")
    assert not made.run().status
    assert [row[3] for row in both(made) if row[0] in ("r05", "r06")] == ["later"]


def test_what_the_sides_have_not_met_in_stays_so_where_a_row_is_open_or_was_not_looked_at(made: Scenario) -> None:
    set_x(made, {f"r{n:02}": ("s", "t") for n in range(12)})
    write(made, [*OLD, "x"])  # nothing decides
    proof = made.verify().report.tables[0].agreement
    assert proof is not None
    assert (proof.base, proof.alike, proof.source + proof.target + proof.both) == ("held", 0, 12)
    made.target.execute("UPDATE t SET n = 70 WHERE k = 'r07'")
    outcome = made.run(ranges=["t.k:r00..r03"])
    assert (outcome.status, outcome.report.total.conflicts) == (Status.CONFLICTS, 3)
    outcome = made.run()
    assert (outcome.status, outcome.report.total.conflicts) == (Status.CONFLICTS, 12)
    assert (made.source.rows("t")[7][2], made.target.rows("t")[7][2]) == (7, 70)
    made.source.execute("DELETE FROM t WHERE k = 'r01'", "UPDATE t SET x = 't' WHERE k = 'r02'")
    made.target.execute("DELETE FROM t WHERE k = 'r11'")
    write(made, [*OLD, "x"], "target")
    assert made.run().status == Status.DONE
    assert both(made) == [(f"r{n:02}", f"v{n}", 70 if n == 7 else n, "t") for n in range(12) if n not in (1, 11)]


@pytest.mark.parametrize(
    ("initial", "conflict", "found"),
    [
        ("source", {"resolve": "merge"}, "s"), ("target", {"resolve": "source_wins"}, "t"),
        ("newer", {"resolve": "manual", "clock": "n"}, "t"), ("policy", {"resolve": "merge", "columns": {"x": "longer"}}, "t"),
        ("report", {"resolve": "merge", "create": "source_wins"}, "s"),
    ],
)  # fmt: skip
def test_unlike_values_of_a_new_column_go_by_initial_or_by_the_policy_and_no_null_takes_the_place_of_a_value(
    made: Scenario, initial: str, conflict: dict[str, Any], found: str
) -> None:
    set_x(made, {"r00": ("s", "t"), "r01": ("s", None), "r02": (None, "t")})
    made.target.execute("UPDATE t SET n = 100 WHERE k < 'r03'", "UPDATE t SET v = 'own' WHERE k = 'r00'")
    write(made, [*OLD, "x"], initial, conflict=conflict)
    outcome = made.run()
    assert outcome.status == Status.DONE
    assert [row[1:] for row in both(made)[:3]] == [("own", 100, found), ("v1", 100, "s"), ("v2", 100, "t")]
    assert sum(told.overruled for told in outcome.report.tables) == 1


def test_a_column_that_is_taken_out_leaves_the_rest_and_may_come_back(made: Scenario) -> None:
    write(made, ["k", "n"])
    made.source.execute("DELETE FROM t WHERE k = 'r00'", "UPDATE t SET v = 's' WHERE k IN ('r02', 'r03')")
    made.target.execute("DELETE FROM t WHERE k = 'r01'", "UPDATE t SET n = 20 WHERE k = 'r02'")
    outcome = made.run()
    assert (outcome.status, told(outcome)) == (Status.DONE, [])
    assert both(made, "k, n")[:2] == [("r02", 20), ("r03", 3)]
    write(made)
    made.target.execute("DELETE FROM t WHERE k = 'r04'")
    made.run()
    assert both(made, "k")[:3] == [("r02",), ("r03",), ("r05",)]


def test_rows_that_are_shown_no_more_are_not_deleted_and_those_shown_anew_meet(made: Scenario) -> None:
    below = {"where": "n < 6", "owns": "n < 6"}
    made.source.execute("DELETE FROM t WHERE k = 'r00'")
    made.target.execute("DELETE FROM t WHERE k = 'r01'", "DELETE FROM t WHERE k = 'r08'")
    write(made, **below)
    outcome = made.run()
    assert (outcome.status, told(outcome)) == (Status.DONE, [])
    assert made.source.rows("t", "k")[0] == ("r02",)
    assert (made.source.count("t"), made.target.count("t")) == (10, 9)
    made.source.execute("DELETE FROM t WHERE k = 'r02'", "UPDATE t SET v = 's' WHERE k = 'r07'")
    write(made)
    outcome = made.run()
    assert (outcome.status, told(outcome)) == (Status.DONE, [])
    assert [row[0] for row in both(made)] == ["r03", "r04", "r05", "r06", "r07", "r09", "r10", "r11"]
    assert both(made)[4][1] == "s"


def test_rows_that_neither_condition_showed_meet_as_rows_that_both_created(made: Scenario) -> None:
    write(made, where="n < 6", owns="n < 6")
    made.source.execute("INSERT INTO t VALUES ('s', 'alone', 20, NULL), ('u', 'one', 21, NULL)")
    made.target.execute("INSERT INTO t VALUES ('u', 'other', 21, NULL)")
    assert made.run().status == Status.DONE
    write(made, conflict={"resolve": "merge", "create": "target_wins"})
    assert made.run().status == Status.DONE
    assert both(made)[-2:] == [("s", "alone", 20, None), ("u", "other", 21, None)]
