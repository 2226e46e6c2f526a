"""Laws of two ways, over databases: whatever both sides do in whatever order, they are equal after one run, and nothing is lost unseen."""

from __future__ import annotations

import json
import tempfile
from datetime import datetime
from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from law_examples import examples, slow_examples
from scenario import Engine, pair_name
from two_way_cases import Case, CaseTable, Column, Line
from two_ways import TwoWays, empty

from adapters.store.both_ways import rows_of
from adapters.store.plans import Plan
from flows.commands import Outcome, Status

COLUMNS = (
    Column("a", "integer", key=True),
    Column("b", "text", key=True),
    Column("v", "text"),
    Column("n", "integer"),
    Column("total", "integer"),
    Column("at", "timestamp"),
)
KEYS = [(a, b) for a in (1, 2) for b in ("", "é")]
MOMENTS = [None, datetime(2024, 2, 29, 1, 30), datetime(2024, 2, 29, 1, 30, 1), datetime(2024, 3, 1)]
some_rows = st.tuples(
    st.sampled_from([None, "", "x", "y"]), st.sampled_from([None, 0, 7]), st.integers(0, 9), st.sampled_from(MOMENTS)
)
some_states = st.dictionaries(st.sampled_from(KEYS), some_rows, max_size=4)
SUMS = {"total": "sum"}
POLICIES: dict[str, dict[str, Any]] = {
    "merge": {
        "resolve": "merge", "clock": "at", "tie": "source", "delete": "update_wins",
        "columns": {"v": "longer", "n": "larger", "at": "newer", **SUMS},
    },
    "the source": {"resolve": "source_wins"},
    "the target, field by field": {"resolve": "target_wins", "by": "field", "columns": SUMS},
    "the later": {"resolve": "newer_wins", "clock": "at", "tie": "target", "delete": "delete_wins"},
}  # fmt: skip


@st.composite
def histories(draw: st.DrawFn) -> Case:
    """What both sides hold, round by round; before the first one they have not met."""
    rounds = []
    for _ in range(draw(st.integers(2, 3))):
        sides = {side: draw(some_states) for side in ("source", "target")}
        touched = draw(st.sets(st.sampled_from(KEYS), max_size=4))
        rounds.append(
            tuple(
                Line(key, None, sides["source"].get(key), sides["target"].get(key), (None, None))
                for key in sorted(touched)
            )
        )
    policy = draw(st.sampled_from(sorted(POLICIES)))
    initial = draw(st.sampled_from(["policy", "source", "target"]))
    return Case(policy, POLICIES[policy], {"t": CaseTable(COLUMNS, tuple(rounds))}, initial)


def lived(case: Case, pair: tuple[Engine, Engine], request: pytest.FixtureRequest, *, own_names: bool) -> list[Any]:
    """What both sides hold after each round, which is held to the laws."""
    with tempfile.TemporaryDirectory(prefix="syncline-law-") as folder:
        made = TwoWays(empty(Path(folder), pair, request), [case], own_names=own_names)
        held = []
        for number in range(case.rounds):
            before = {side: dict(rows["t_0"]) for side, rows in made.now.items()}
            made.edit(number)
            edited = {side: dict(rows["t_0"]) for side, rows in made.now.items()}
            outcome = made.synchronize()
            assert outcome.status == Status.DONE, outcome.message
            together = made.now["source"]["t_0"]
            assert together == made.now["target"]["t_0"]
            nothing_vanished(before, edited, together, overruled(outcome))
            again = made.synchronize()
            assert not again.report.pending
            assert made.now["source"]["t_0"] == made.now["target"]["t_0"] == together
            held.append(together)
        made.scenario.settled()
        return held


def overruled(outcome: Outcome) -> set[tuple[str, str | None, str]]:
    """The edits that lost: key, column, side."""
    plan = Plan.open(Path(str(outcome.report.plan)))
    tables = {entry.table for entry in plan.files if entry.kind == "overruled"}
    found = (rows_of(plan, "overruled", table) for table in tables)
    return {(row["key"], row["column"], row["side"]) for rows in found if rows is not None for row in rows.to_pylist()}


def nothing_vanished(before: Any, edited: Any, together: Any, lost: set[tuple[str, str | None, str]]) -> None:
    """Each field that a side edited is on both sides then, or among the edits that lost; `total` is the sum of both."""
    names = [each.name for each in COLUMNS if not each.key]
    for side in ("source", "target"):
        for key, row in edited[side].items():
            was, now = before[side].get(key), together.get(key)
            for at, name in enumerate(names):
                changed = was is None or was[at] != row[at]
                kept = now is not None and now[at] == row[at]
                said = any(column == name and of == side and _same(text, key) for text, column, of in lost)
                assert not changed or kept or said or (name == "total" and now is not None), (side, key, name)
        for key in before[side].keys() - edited[side].keys():
            said = any(column is None and of == side and _same(text, key) for text, column, of in lost)
            assert key not in together or said, (side, key)


def _same(text: str, key: tuple[int, str]) -> bool:
    return bool(json.loads(text) == list(key))


@examples(4)
@given(histories())
def test_both_sides_come_together_and_no_edit_is_lost_unseen(request: pytest.FixtureRequest, case: Case) -> None:
    held = lived(case, ("sqlite", "sqlite"), request, own_names=False)
    assert lived(case.exchanged(), ("sqlite", "sqlite"), request, own_names=True) == held, "sides were preferred"


@pytest.mark.parametrize("pair", [("mysql", "postgresql")], ids=pair_name)
@slow_examples(2)
@given(case=histories())
def test_so_they_do_between_servers(pair: tuple[Engine, Engine], request: pytest.FixtureRequest, case: Case) -> None:
    pytest.importorskip("psycopg")
    lived(case, pair, request, own_names=True)
