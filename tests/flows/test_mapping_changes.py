"""The mapping of a two-way table changes between runs: what both sides agreed on outlives it, and so do deletions."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenario import Rows, Scenario, pair_name

from flows.commands import Outcome, Status
from transforms.vocabulary import PlanError

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


def unique(made: Scenario, column: str) -> None:
    for side in (made.source, made.target):
        side.execute(f"CREATE UNIQUE INDEX by_{column} ON t ({column})")


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


@pytest.mark.parametrize("made", PAIRS, indirect=True, ids=pair_name)
def test_what_both_agreed_on_is_known_by_the_new_key_where_that_tells_rows_apart(made: Scenario) -> None:
    made.source.execute("DELETE FROM t WHERE k = 'r00'", "UPDATE t SET v = 's' WHERE k = 'r05'")
    made.target.execute("DELETE FROM t WHERE k = 'r01'", "UPDATE t SET k = 'moved' WHERE k = 'r05'")
    unique(made, "n")
    write(made, key=["n"])
    with pytest.raises(PlanError, match="another key"):
        made.run(ranges=["t.n:0..4"])
    proof = made.verify().report.tables[0].agreement
    assert proof is not None and proof.base == "other_key"
    assert made.plan().status == Status.CHANGES
    outcome = made.run()
    assert (outcome.status, told(outcome)) == (Status.DONE, ["new_key"])
    assert [row[:3] for row in both(made)[:5]] == [
        ("moved", "s", 5), ("r02", "v2", 2), ("r03", "v3", 3), ("r04", "v4", 4), ("r06", "v6", 6),
    ]  # fmt: skip
    made.target.execute("DELETE FROM t WHERE n = 7")
    again = made.run()
    assert (told(again), made.source.count("t")) == ([], 9)
    made.undo(1, to=True)
    assert (made.source.count("t"), made.target.count("t")) == (11, 10)
    assert made.run().status == Status.DONE
    assert len(both(made)) == 9
    made.settled()


@pytest.mark.parametrize(
    ("key", "why"), [("v", "not unique"), ("x", "says nothing of x"), ("n", "not all of its rows have n")]
)
def test_a_key_that_does_not_tell_apart_what_both_agreed_on_is_a_first_meeting_that_says_so(
    made: Scenario, key: str, why: str
) -> None:
    for side in (made.source, made.target):
        side.execute("UPDATE t SET v = 'twice' WHERE n > 9", "UPDATE t SET n = NULL WHERE k = 'r08'")
    assert made.run().status == Status.DONE
    for side in (made.source, made.target):
        side.execute("UPDATE t SET v = k WHERE n > 9", "UPDATE t SET n = 8 WHERE n IS NULL", "UPDATE t SET x = k")
    made.source.execute("DELETE FROM t WHERE k = 'r00'")
    unique(made, key)
    write(made, [*OLD, "x"], key=[key])
    outcome = made.run()
    (lost,) = (notice for notice in outcome.report.warnings if notice.code == "base_lost")
    assert lost.facts == {"why": "other_key"}
    assert f"(k, now {key})" in lost.text and why in lost.text
    assert made.source.count("t") == 12


def test_an_undo_of_versions_that_knew_rows_by_other_keys_lets_both_sides_meet_anew_and_says_so(made: Scenario) -> None:
    made.source.execute("UPDATE t SET v = 'early' WHERE k = 'r03'")
    made.run()
    unique(made, "n")
    write(made, key=["n"])
    made.target.execute("UPDATE t SET v = 'late' WHERE k = 'r04'")
    made.run()
    outcome = made.undo(1, to=True)
    assert [notice.facts["why"] for notice in outcome.report.warnings if notice.code == "base_lost"] == ["forgotten"]
    assert (made.target.rows("t")[3][1], made.source.rows("t")[4][1]) == ("v3", "v4")
