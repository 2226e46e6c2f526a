"""Cases of two ways: what both sides agreed on, what each made of it, and what must come out. `two_way_cases.yaml` says how they
are written."""

from __future__ import annotations

import csv
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import date, datetime
from decimal import Decimal
from functools import cache
from pathlib import Path
from typing import Any

import yaml

FILE = Path(__file__).with_suffix(".yaml")
DAY = "2024-02-29"
MISSING = object()
OTHER = {"source": "target", "target": "source"}
EXCHANGED = {"source": "target", "target": "source", "source_wins": "target_wins", "target_wins": "source_wins"}

Values = tuple[Any, ...]


@dataclass(frozen=True)
class Column:
    name: str
    type: str
    key: bool = False

    def value(self, text: str) -> Any:
        if text == "null":
            return None
        match self.type.partition("(")[0]:
            case "integer" | "bigint":
                return int(text)
            case "decimal":
                return Decimal(text)
            case "double":
                return float(text)
            case "boolean":
                return text == "true"
            case "date":
                return date.fromisoformat(text)
            case "timestamp":
                return datetime.fromisoformat(f"{DAY} {text}" if len(text) < 10 else text)
        return text


@dataclass(frozen=True)
class Line:
    """A row by its key: what is there beside the key, None where no row is, and how it ends. `kind`: what it is a conflict of."""

    key: Values
    agreed: Values | None
    source: Values | None
    target: Values | None
    ends: tuple[Values | None, Values | None]
    kind: str | None = None

    def overruled(self, names: Sequence[str]) -> set[tuple[str | None, str, Any]]:
        """Edits that lost against what the other side has: the column of `names`, none for a deletion, the side, and the value."""
        if self.kind is not None:
            return set()
        lost: set[tuple[str | None, str, Any]] = set()
        for side, own, other, end in (
            ("source", self.source, self.target, self.ends[0]),
            ("target", self.target, self.source, self.ends[1]),
        ):
            if own is None and self.agreed is not None and end is not None and end == other != self.agreed:
                lost.add((None, side, None))
            if own is None or (other is None and end is not None) or (other is None and self.agreed is None):
                continue
            before: Values = (MISSING,) * len(own) if self.agreed is None else self.agreed
            for name, was, value, beside, ended in zip(names, before, own, other or own, end or own, strict=True):
                if value != was and (end is None or value != ended == beside):
                    lost.add((name, side, value))
        return lost

    def exchanged(self) -> Line:
        kind = self.kind and "/".join(reversed(self.kind.split("/")))
        return replace(self, source=self.target, target=self.source, ends=(self.ends[1], self.ends[0]), kind=kind)


@dataclass(frozen=True)
class CaseTable:
    """One table of a case; `rounds` has its lines, those of what happens afterwards behind the first. Names of `refers` are tables of the
    case."""

    columns: tuple[Column, ...]
    rounds: tuple[tuple[Line, ...], ...]
    unique: tuple[str, ...] = ()
    refers: Mapping[str, str] = field(default_factory=dict)
    on_delete: str = ""
    check: Mapping[str, str] = field(default_factory=dict)
    not_null: Mapping[str, list[str]] = field(default_factory=dict)

    @property
    def key(self) -> tuple[str, ...]:
        return tuple(each.name for each in self.columns if each.key)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(each.name for each in self.columns)

    @property
    def others(self) -> tuple[str, ...]:
        return tuple(each.name for each in self.columns if not each.key)

    @property
    def spellings(self) -> set[str]:
        """Columns whose values are equal in many spellings."""
        return {each.name for each in self.columns if each.type == "json"}

    def exchanged(self) -> CaseTable:
        rounds = tuple(tuple(line.exchanged() for line in lines) for lines in self.rounds)
        check, not_null = ({OTHER[side]: each for side, each in made.items()} for made in (self.check, self.not_null))
        return replace(self, rounds=rounds, check=check, not_null=not_null)


@dataclass(frozen=True)
class Case:
    """Tables and the policy that they come together by; `initial` where they have not met."""

    name: str
    policy: Mapping[str, Any]
    tables: Mapping[str, CaseTable]
    initial: str | None = None

    @property
    def rounds(self) -> int:
        return max(len(each.rounds) for each in self.tables.values())

    @property
    def constrained(self) -> bool:
        """Whether what a database refuses has a part in it."""
        return any(each.unique or each.refers or each.check or each.not_null for each in self.tables.values())

    def exchanged(self) -> Case:
        """The same with source and target exchanged."""
        tables = {name: each.exchanged() for name, each in self.tables.items()}
        return replace(
            self,
            policy=_exchanged(self.policy),
            tables=tables,
            initial=EXCHANGED.get(self.initial or "", self.initial),
        )


def _exchanged(policy: Mapping[str, Any]) -> dict[str, Any]:
    made = {
        name: EXCHANGED.get(value, value) if isinstance(value, str) and name in ("resolve", "create", "tie") else value
        for name, value in policy.items()
    }
    if isinstance(policy.get("clock"), Mapping):
        made["clock"] = {OTHER[side]: name for side, name in policy["clock"].items()}
    if "columns" in policy:
        made["columns"] = {
            name: EXCHANGED.get(rule, rule) if isinstance(rule, str) else rule
            for name, rule in policy["columns"].items()
        }
    return made


@cache
def cases() -> tuple[Case, ...]:
    return tuple(map(case_of, yaml.safe_load(FILE.read_text(encoding="utf-8"))))


def case_of(said: dict[str, Any]) -> Case:
    """A case as it is written."""
    policy = said["policy"] if isinstance(said["policy"], dict) else {"resolve": said["policy"]}
    tables = said.get("tables") or {
        "t": {name: each for name, each in said.items() if name not in ("case", "policy", "initial")}
    }
    met = "initial" not in said
    made = {name: _table(each, met=met) for name, each in tables.items()}
    return Case(said["case"], policy, made, said.get("initial"))


def _table(said: dict[str, Any], *, met: bool) -> CaseTable:
    columns = tuple(
        Column(each[1], each[3], key="*" in each[2])
        for each in re.finditer(r"(\w+)([*]?) (\w+(?:\([\d,]+\))?)(?:, |$)", said["columns"])
    )
    rounds = [tuple(_lines(said["rows"], columns, met=met))]
    for text in said.get("then", ()):
        rounds.append(tuple(_later(text, columns, rounds)))
    beside = {name: said[name] for name in ("refers", "on_delete", "check", "not_null") if name in said}
    return CaseTable(columns, tuple(rounds), tuple(said.get("unique", ())), **beside)


def _lines(text: str, columns: tuple[Column, ...], *, met: bool) -> Iterator[Line]:
    for key, cells, outcome in _cells(text, columns):
        agreed = _row(cells[0], columns, None) if met else None
        source, target = (_row(cell, columns, agreed) for cell in cells[-2:])
        yield _line(key, agreed, source, target, outcome, columns)


def _later(text: str, columns: tuple[Column, ...], rounds: list[tuple[Line, ...]]) -> Iterator[Line]:
    ended = {line.key: line.ends for lines in rounds for line in lines}
    for key, cells, outcome in _cells(text, columns):
        source, target = (
            _row(cell, columns, before) for cell, before in zip(cells, ended.get(key, (None, None)), strict=True)
        )
        yield _line(key, None, source, target, outcome, columns)


def _cells(text: str, columns: tuple[Column, ...]) -> Iterator[tuple[Values, list[str], str]]:
    for written in text.strip().splitlines():
        key, *cells, outcome = re.split(r"\s+\|\s+", written.strip())
        yield _values(key, [each for each in columns if each.key]), cells, outcome


def _line(
    key: Values,
    agreed: Values | None,
    source: Values | None,
    target: Values | None,
    outcome: str,
    columns: tuple[Column, ...],
) -> Line:
    if outcome.startswith("open "):
        return Line(key, agreed, source, target, (source, target), outcome[5:])
    end = {"source": source, "target": target, "agreed": agreed, "gone": None}
    row = end[outcome] if outcome in end else _row(outcome, columns, None)
    return Line(key, agreed, source, target, (row, row))


def _row(cell: str, columns: tuple[Column, ...], before: Values | None) -> Values | None:
    if cell in (".", "-", "+"):
        return {".": before, "-": None, "+": ()}[cell]
    return _values(cell, [each for each in columns if not each.key])


def _values(text: str, columns: list[Column]) -> Values:
    (texts,) = csv.reader([text], quotechar="'", skipinitialspace=True)
    return tuple(column.value(each) for column, each in zip(columns, texts, strict=True))
