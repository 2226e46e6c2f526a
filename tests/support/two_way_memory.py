"""Cases of two ways in memory: the reconciling alone, without databases."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import timedelta
from typing import Any

import pyarrow as pa
from two_way_cases import Case, CaseTable, Column, Line

from transforms.diff import Comparison, diff, patched
from transforms.reconcile import Clock, Policy, Reconciled, Rule, problems, reconcile
from transforms.vocabulary import Meaning, TableName

T = TableName("t")
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
