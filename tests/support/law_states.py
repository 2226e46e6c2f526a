"""What a migration must leave in the target, plan and set aside, reckoned from what the engines' own drivers tell."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from decimal import Decimal
from pathlib import Path
from typing import Any

from law_cases import NUMBER, Case, Row, Table
from law_oracle import DOUBLES, as_double, holds, is_carried, is_padded, is_text, rank, spelled
from scenario import Engine, Rows, Scenario
from type_values import declared, quoted, texts, value

from adapters.store.plans import Plan
from flows.commands import Outcome
from transforms.vocabulary import TableName

Key = tuple[Any, ...]
Inside = Callable[[Key], bool]


@dataclass
class State:
    """A table's source as its own driver tells it, and what the target must make of it."""

    scenario: Scenario
    table: Table
    case: Case
    rows: dict[int, Row]
    told: dict[int, tuple[Any, ...]]
    natives: dict[str, str] = field(default_factory=dict)

    @classmethod
    def of(cls, scenario: Scenario, table: Table, case: Case, rows: dict[int, Row]) -> State:
        state = cls(scenario, table, case, rows, {})
        if case.made != "by Syncline":
            state.look_again()
        else:
            with suppress(Exception):
                state.look_again()
        names = [NUMBER, *(column.name for column in table.columns)]
        natives = declared(scenario.source, table.name)
        assert list(natives) == names, natives
        for number, *found in texts(scenario.source, table.name, names):
            state.told[int(str(number))] = tuple(state.values(found, rows[int(str(number))]))
        return state

    def look_again(self) -> None:
        self.natives = declared(self.scenario.target, self.table.name)

    def values(self, found: Rows, cells: Row | None = None) -> Iterator[Any]:
        """Texts as values by which both sides compare; what breaks the claim of its type stays a text of its own."""
        for place, (column, text) in enumerate(zip(self.table.columns, found, strict=True)):
            if cells is not None and cells[place].broken:
                yield Broken(str(text))
            else:
                native = self.natives.get(column.name, "")
                padded = column.kind.family == "text" and is_padded(self.scenario.target.engine, native)
                found_value = value("padded" if padded else column.kind.family, text)
                if column.kind.family == "number" and native in DOUBLES and isinstance(found_value, Decimal):
                    found_value = as_double(found_value)
                yield found_value

    def key(self, values: tuple[Any, ...]) -> Key:
        return values[: self.table.key]

    def target_rows(self) -> dict[Key, tuple[Any, ...]]:
        """The target's rows by key, each with its number behind its values."""
        names = [NUMBER, *(column.name for column in self.table.columns)]
        rows = [
            (*self.values(found), int(str(number)))
            for number, *found in texts(self.scenario.target, self.table.name, names)
        ]
        by_key = {self.key(row): row for row in rows}
        assert len(by_key) == len(rows), "the target has a key twice"
        return by_key

    def judged(self) -> tuple[set[int], set[int]]:
        """The rows that must be set aside, and those of which only the engine knows."""
        keys = Counter(self.key(values) for values in self.told.values())
        must, may = set(), set()
        for number, values in self.told.items():
            answers = [self._held(place, each) for place, each in enumerate(values)]
            key = self.key(values)
            if False in answers or None in key or keys[key] > 1:
                must.add(number)
            elif None in answers:
                may.add(number)
        return must, may

    def _held(self, place: int, each: Any) -> bool | None:
        column, (source, target) = self.table.columns[place], self._engines
        native = self.natives[column.name]
        if isinstance(each, Broken) or (
            each is not None and not is_carried(source, column.kind.native, column.kind.family, each)
        ):
            return False
        if each is None and place < self.table.key:
            return False
        if self.case.made == "alike":
            late = each == "NaN" and native.startswith("numeric(")  # which travels as a decimal until it holds one
            return None if late else True
        collated = native.endswith("citext") or is_padded(target, native) or target == "mysql"
        if (
            place < self.table.key
            and self.case.made == "by hand"
            and column.kind.family in ("text", "padded")
            and collated
        ):
            return None
        return holds(target, native, column.kind.family, each)

    @property
    def _engines(self) -> tuple[Engine, Engine]:
        return self.scenario.source.engine, self.scenario.target.engine

    def expected(
        self, found: dict[Key, tuple[Any, ...]], aside: set[int], inside: Inside
    ) -> tuple[dict[Key, tuple[Any, ...]], dict[str, list[int]], list[Key]]:
        """The target's rows after a run, the numbers of the rows that it changes, and the keys that it does not."""
        source = {n: values for n, values in self.told.items() if inside(self.key(values))}
        held = {self.key(values): (*values, n) for n, values in source.items() if n not in aside}
        kept = {self.key(self.told[n]) for n in aside}  # what is set aside is not deleted
        gone = {key for key in found if inside(key) and key not in held and key not in kept}
        after = {key: row for key, row in found.items() if key not in gone} | held
        same = [key for key in held if key in found and found[key] == held[key]]
        named = {
            "insert": sorted(row[-1] for key, row in held.items() if key not in found),
            "update": sorted(row[-1] for key, row in held.items() if key in found and key not in same),
            "delete": sorted(found[key][-1] for key in gone),
        }
        return after, named, same

    def check(
        self,
        outcome: Outcome,
        found: dict[Key, tuple[Any, ...]],
        inside: Inside = lambda _: True,
        *,
        written: bool = True,
    ) -> None:
        """Hold what a plan or run did of this table against what it should have done."""
        aside = {number for number, _, _ in self.set_aside(outcome)}
        must, may = self.judged()
        mine = {n for n, values in self.told.items() if inside(self.key(values))}
        assert must & mine <= aside, self._described(must & mine - aside, "should be set aside")
        assert aside <= must | may, self._described(aside - must - may, "should not be set aside", outcome)
        after, named, kept = self.expected(found, aside, inside)
        told = next(table.counts for table in outcome.report.tables if table.name == in_spec(self.table.name))
        counts = {name: len(numbers) for name, numbers in named.items()} | {
            "unchanged": len(kept),
            "quarantined": len(aside & mine),
        }
        assert {name: getattr(told, name) for name in counts} == counts
        assert told.source_rows == len(mine)
        assert self.planned(outcome) == named
        if written:
            now = self.target_rows()
            for key in after.keys() | now.keys():
                assert now.get(key) == after.get(key), (key, now.get(key), after.get(key))

    def planned(self, outcome: Outcome) -> dict[str, list[int]]:
        """The numbers of the rows that a plan inserts, updates and deletes."""
        plan = Plan.open(Path(str(outcome.report.plan)))
        parts = [plan.changes(entry) for entry in plan.windows(self.target)]
        named = {
            "insert": [part.inserts for part in parts],
            "update": [part.after for part in parts],
            "delete": [part.deletes for part in parts],
        }
        return {op: sorted(n for rows in each for n in rows[NUMBER].to_pylist()) for op, each in named.items()}

    @property
    def target(self) -> TableName:
        return self.scenario.spec.target_table(in_spec(self.table.name))

    def set_aside(self, outcome: Outcome) -> Iterator[tuple[int, str, str]]:
        """The number of each row in quarantine, with its column and reason."""
        plan = Plan.open(Path(str(outcome.report.plan)))
        names = {column.name for column in self.table.columns}
        for part in plan.quarantined(self.target):
            for row in part.to_pylist():
                reason, column = row["reason"], row["column"]
                assert reason
                assert column in names or any(f"column {name}" in reason or name in (column or "") for name in names), (
                    row
                )
                yield json.loads(row["source"])[NUMBER], column, reason

    def _described(self, numbers: set[int], what: str, outcome: Outcome | None = None) -> str:
        reasons = {} if outcome is None else {n: (column, reason) for n, column, reason in self.set_aside(outcome)}
        told = [(n, self.told[n], reasons.get(n)) for n in sorted(numbers)]
        return f"{self.table.name} {self.natives}: {what}: {told}"


@dataclass(frozen=True)
class Broken:
    """What is no value of its column's type, and so equal to none."""

    text: str


def range_of(
    table: Table, states: dict[str, State], found: dict[str, dict[Key, Any]], between: tuple[int, int]
) -> tuple[str, Inside] | None:
    """A range over the first key column from one row's value to another's, where texts can say it."""
    column = table.columns[0]
    names = (table.name, column.name)
    if column.kind.family != "text" and is_text(states[table.name].natives[column.name]):
        return None  # numbers and times in texts have the order of texts
    if any(sign in name for name in names for sign in '.:"') or names[0] != names[0].strip():
        return None
    keys = [*map(states[table.name].key, states[table.name].told.values()), *found[table.name]]
    values = (
        sorted(
            {key[0] for key in keys if key[0] is not None and not isinstance(key[0], Broken)},
            key=lambda each: rank(column.kind.family, each),
        )
        if column.kind.family in ("number", "text", "date", "timestamp", "instant")
        else []
    )
    if len(values) < 2:
        return None
    low, high = sorted(each % len(values) for each in between)
    ends = [spelled(column.kind.family, values[each]) for each in (low, high)]
    if None in ends or low == high:
        return None
    first, last = (rank(column.kind.family, values[each]) for each in (low, high))

    def inside(key: Key) -> bool:
        if key[0] is None or isinstance(key[0], Broken) or (column.kind.family != "text" and key[0] == "NaN"):
            return False
        return bool(first <= rank(column.kind.family, key[0]) < last)

    return f"{table.name}.{column.name}:{ends[0]}..{ends[1]}", inside


def in_spec(name: str) -> str:
    return quoted(name) if "." in name or '"' in name else name
