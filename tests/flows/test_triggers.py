"""Triggers of the target that change what was written: named in that very run, true in history, and no harm to undo."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import chain
from pathlib import Path
from typing import Any

import pytest
from scenario import Scenario, counts
from triggers import ENGINES, making, unstable

from flows.commands import Status
from flows.history.asof import asof
from flows.history.log import life

TABLE = "CREATE TABLE t (k int PRIMARY KEY, v varchar(9), w varchar(9))"


FAMILY: dict[str, tuple[str, Callable[[Any], Any]]] = {
    "up": ("upper(new.up)", lambda value: value and value.upper()),
    "trimmed": ("trim(new.trimmed)", lambda value: value and value.strip(" ")),
    "whole": ("round(new.whole)", lambda value: value and round(value)),
    "least": ("CASE WHEN new.least > 100 THEN 100 ELSE new.least END", lambda value: value and min(value, 100)),
    "gone": ("CASE WHEN new.gone = 'x' THEN NULL ELSE new.gone END", lambda value: None if value == "x" else value),
}
"""What triggers make of columns, and the same in Python."""
MANY = (
    "CREATE TABLE t (k int PRIMARY KEY, up varchar(9), trimmed varchar(9), whole decimal(9,2), least int, gone varchar(9), "
    "at varchar(40), same varchar(9))"
)
WANTED = [
    (1, "one", " a ", 1.25, 7, "x", "then", "s"),
    (2, "TWO", "b", 2, 700, "y", "then", "s"),
    (3, None, None, None, None, None, None, None),
    (4, "five", "c", 4, 100, "x", "then", "s"),
    (5, "SIX", "d", 5, 5, "z", "then", "s"),
]
THERE = [
    (4, "FOUR", "c", 4, 4, None, "long ago", "old"),
    (5, "SIX", "d", 5, 5, "z", "then", "s"),
    (6, "SEVEN", "e", 6, 6, "z", "long ago", "gone"),
]


def law_tables(small: Scenario, **spec: Any) -> None:
    for side in (small.source, small.target):
        side.execute("DROP TABLE t", MANY)
    small.source.insert("t", WANTED)
    small.target.insert("t", THERE)
    now = {
        "sqlite": "'now ' || strftime('%s', 'now')",
        "mysql": "concat('now ', unix_timestamp())",
        "postgresql": "'now ' || extract(epoch from now())",
    }
    values = {name: made for name, (made, _) in FAMILY.items()} | {"at": now[small.target.engine]}
    small.target.execute(*chain.from_iterable(making(small.target.engine, *each) for each in values.items()))
    small.write({"t": {"from": "t", "key": ["k"], **spec}})


def rewritten_of(rows: Sequence[Sequence[Any]]) -> dict[str, tuple[int, str]]:
    """Of each column how many of these rows the triggers change, and the first of them; every one of them has a new time."""
    found = {"t.at": (len(rows), f"[{rows[0][0]}]")}
    for place, (name, (_, made)) in enumerate(FAMILY.items(), 1):
        changed = [row[0] for row in rows if made(row[place]) != row[place]]
        if changed:
            found[f"t.{name}"] = (len(changed), f"[{changed[0]}]")
    return found


def but_time(rows: Sequence[Sequence[Any]]) -> list[Any]:
    return [(*row[:6], row[7]) for row in rows]


@pytest.fixture(params=ENGINES)
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    made = Scenario.make(tmp_path, ("sqlite", request.param), request)
    for side in (made.source, made.target):
        side.execute(TABLE)
    made.source.insert("t", [(1, "one", "a"), (2, "TWO", "b"), (3, "three", "c")])
    made.write({"t": {"from": "t", "key": ["k"]}})
    return made


def test_what_a_trigger_made_of_rows_is_named_by_the_run_and_true_in_history(small: Scenario) -> None:
    small.target.insert("t", [(2, "OLD", "b"), (9, "GONE", "z")])
    small.target.execute(*making(small.target.engine, "v", "upper(new.v)"))
    before = small.target.rows("t")
    done = small.run()
    assert done.status == Status.DONE
    assert counts(done, "t") == {"source_rows": 3, "insert": 2, "update": 1, "delete": 1}
    assert unstable(done) == {"t.v": (2, "[1]")}
    (notice,) = done.report.warnings
    assert "'one' was written, and 'ONE' is there" in notice.text
    assert notice.facts["by"] and all("trigger" in each for each in notice.facts["by"])
    assert small.target.rows("t", "v") == [("ONE",), ("THREE",), ("TWO",)]
    assert sorted(asof(small.spec, 1, "t").to_pylist(), key=lambda row: row["k"])[0] == {"k": 1, "v": "ONE", "w": "a"}
    (born,) = life(small.spec, "t", "1")
    assert born["after"]["v"] == "ONE"
    assert small.verify().report.pending
    again = small.run()  # the source's value wins, and the target's trigger again
    assert counts(again, "t") == {"source_rows": 3, "update": 2, "unchanged": 1}
    assert unstable(again) == {"t.v": (2, "[1]")}
    undone = small.undo(1)
    assert undone.status == Status.DONE, undone.message
    assert small.target.rows("t") == before


def test_whatever_a_trigger_does_exactly_the_columns_and_rows_that_differ_are_named_and_an_undo_takes_all_back(
    small: Scenario,
) -> None:
    law_tables(small)
    before = small.target.rows("t")
    done = small.run()
    assert counts(done, "t") == {"source_rows": 5, "insert": 3, "update": 1, "delete": 1, "unchanged": 1}
    written = [WANTED[3], *WANTED[:3]]  # updates go before inserts
    assert unstable(done) == rewritten_of(written)
    undone = small.undo(1)
    assert undone.status == Status.DONE, undone.message
    assert but_time(small.target.rows("t")) == but_time(before)
    assert unstable(undone) == {"t.at": (2, "[4]")}  # the time that was cannot be brought back, and that is said
    assert small.undo(2).status == Status.DONE
    assert small.undo(3).status == Status.DONE
    assert but_time(small.target.rows("t")) == but_time(before)


def test_what_is_ignored_is_not_named_not_written_again_and_undone_all_the_same(small: Scenario) -> None:
    law_tables(small, ignore=[*FAMILY, "at"])
    before = small.target.rows("t")
    assert unstable(small.run()) == {}
    again = small.run()
    assert (again.report.version, unstable(again)) == (None, {})
    small.settled()
    assert small.undo(1).status == Status.DONE
    assert but_time(small.target.rows("t")) == but_time(before)
