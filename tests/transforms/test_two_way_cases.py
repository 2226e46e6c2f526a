"""The cases of two ways that need no database: what the reconciling alone makes of them."""

from __future__ import annotations

import json
from typing import Any

import pyarrow as pa
import pytest
from two_way_cases import Case, CaseTable, Line, cases
from two_way_memory import Sides, arrow_type

from transforms.reconcile import Reconciled
from transforms.vocabulary.texts import as_text

PLAIN = [case for case in cases() if not case.constrained]


def ended(rounds: tuple[tuple[Line, ...], ...]) -> list[Line]:
    return list({line.key: line for lines in rounds for line in lines}.values())


def open_rows(outcome: Reconciled) -> list[tuple[Any, str]]:
    rows = outcome.conflicts.select(["key", "kind"]).to_pylist()
    return sorted((tuple(json.loads(row["key"])), row["kind"]) for row in rows)


def lost(outcome: Reconciled) -> set[tuple[Any, ...]]:
    rows = outcome.overruled.select(["key", "column", "side", "lost"]).to_pylist()
    return {(tuple(json.loads(row["key"])), row["column"], row["side"], row["lost"]) for row in rows}


def expected_lost(table: CaseTable) -> set[tuple[Any, ...]]:
    types = {each.name: arrow_type(each) for each in table.columns}
    return {
        (line.key, column, side, None if column is None else as_text(pa.array([value], types[column]))[0].as_py())
        for line in table.rounds[0]
        for column, side, value in line.overruled(table.others)
        if column not in table.spellings
    }


@pytest.mark.parametrize("exchanged", [False, True], ids=["as it is", "exchanged"])
@pytest.mark.parametrize("case", PLAIN, ids=lambda case: case.name)
def test_what_comes_of_both_sides(case: Case, exchanged: bool) -> None:
    case = case.exchanged() if exchanged else case
    (table,) = case.tables.values()
    sides = Sides(case, table)
    for number in range(case.rounds):
        if number:
            sides.edit(table.rounds[number])
        outcome = sides.synchronize()
        lines = ended(table.rounds[: number + 1])
        for side in ("source", "target"):
            assert sides.differs(side, lines) == [[], [], [], []], (side, number)
        assert open_rows(outcome) == sorted((line.key, line.kind) for line in lines if line.kind), number
        assert number or lost(outcome) >= expected_lost(table)
        again = sides.synchronize()
        assert not len(again.source) and not len(again.target) and not again.overruled.num_rows
        assert open_rows(again) == open_rows(outcome)
