"""The cases of two ways that need no database: what the reconciling alone makes of them."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pyarrow as pa
import pytest
from two_way_cases import Case, CaseTable, Column, Line, cases

from transforms.diff import Comparison, diff, patched
from transforms.reconcile import Clock, Policy, Reconciled, Rule, problems, reconcile
from transforms.vocabulary import Meaning, TableName

T = TableName("t")
PLAIN = [case for case in cases() if not case.constrained]
TYPES = {
    "integer": pa.int32(), "bigint": pa.int64(), "text": pa.string(), "json": pa.string(), "timestamp": pa.timestamp("us"),
    "date": pa.date32(), "double": pa.float64(), "boolean": pa.bool_(),
}  # fmt: skip
SECONDS = {"s": 1, "m": 60}


def arrow_type(column: Column) -> pa.DataType:
    if column.type.startswith("decimal"):
        return pa.decimal128(*map(int, re.findall(r"\d+", column.type)))
    return TYPES[column.type]


def policy_of(case: Case) -> Policy:
    said = dict(case.policy)
    clock, skew = said.pop("clock", None), said.pop("skew", "0s")
    names = clock if isinstance(clock, Mapping) else {"source": clock, "target": clock}
    columns = {
        name: Rule(rule) if isinstance(rule, str) else Rule(*next(iter(rule.items())))
        for name, rule in said.pop("columns", {}).items()
    }
    apart = timedelta(seconds=int(skew[:-1]) * SECONDS[skew[-1]])
    return Policy(
        **{"resolve": "merge", **{name: each for name, each in said.items() if name != "tie"}},
        clock=Clock(**names, skew=apart, tie=said.get("tie", "manual")) if clock else None,
        columns=columns,
        initial=case.initial or "report",
    )


class Sides:
    """Both sides of a table and the base, in memory."""

    def __init__(self, case: Case, table: CaseTable) -> None:
        self.table, self.policy = table, policy_of(case)
        self.schema = pa.schema([(each.name, arrow_type(each)) for each in table.columns])
        meanings: dict[str, Meaning] = {each.name: "json" for each in table.columns if each.type == "json"}
        self.comparison = Comparison(table.key, table.names, meanings=meanings)
        assert not list(problems(self.policy, table.key, self.schema, self.schema, meanings))
        self.base = None if case.initial else self.rows("agreed")
        self.source, self.target = self.rows("source"), self.rows("target")

    def rows(self, side: str) -> pa.Table:
        return self.listed([(line.key, getattr(line, side)) for line in self.table.rounds[0]])

    def listed(self, rows: list[tuple[Any, Any]]) -> pa.Table:
        whole = [self.whole(key, row) for key, row in rows if row is not None]
        return pa.Table.from_pylist([dict(zip(self.table.names, row, strict=True)) for row in whole], self.schema)

    def whole(self, key: tuple[Any, ...], row: tuple[Any, ...]) -> list[Any]:
        keyed, rest = iter(key), iter(row)
        return [next(keyed if each.key else rest) for each in self.table.columns]

    def edit(self, lines: tuple[Line, ...]) -> None:
        """Both sides as lines have them, in the rows of these."""
        keys = {line.key for line in lines}
        for side in ("source", "target"):
            there = getattr(self, side).to_pylist()
            kept = [row for row in there if tuple(row[name] for name in self.table.key) not in keys]
            made = self.listed([(line.key, getattr(line, side)) for line in lines])
            setattr(self, side, pa.concat_tables([pa.Table.from_pylist(kept, self.schema), made]))

    def synchronize(self) -> Reconciled:
        outcome = reconcile(T, self.base, self.source, self.target, self.comparison, self.policy)
        self.source = patched(self.source, outcome.source)
        self.target = patched(self.target, outcome.target)
        self.base = outcome.base
        return outcome

    def differs(self, side: str, lines: list[Line]) -> Any:
        wanted = self.listed([(line.key, line.ends[side == "target"]) for line in lines])
        changes = diff(T, wanted, getattr(self, side), self.comparison).changes
        return [part.to_pylist() for part in (changes.inserts, changes.before, changes.after, changes.deletes)]


def ended(rounds: tuple[tuple[Line, ...], ...]) -> list[Line]:
    return list({line.key: line for lines in rounds for line in lines}.values())


def open_rows(outcome: Reconciled) -> list[tuple[Any, str]]:
    rows = outcome.conflicts.select(["key", "kind"]).to_pylist()
    return sorted((tuple(json.loads(row["key"])), row["kind"]) for row in rows)


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
        again = sides.synchronize()
        assert not len(again.source) and not len(again.target) and not again.overruled.num_rows
        assert open_rows(again) == open_rows(outcome)
