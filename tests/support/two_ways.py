"""Databases for cases of two ways: both sides as a case has them, edited from outside as people do, brought together and looked at."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Sequence
from datetime import date, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any

import pytest
from scenario import Engine, Scenario, Side
from two_way_cases import Case, CaseTable, Column, Values

from flows.commands import Outcome
from flows.session.stores import ledger_of
from transforms.vocabulary import SIDES, SideName

Content = dict[str, dict[Values, Values]]
NATIVE = {
    ("timestamp", "mysql"): "datetime(6)", ("json", "postgresql"): "jsonb", ("double", "postgresql"): "double precision",
}  # fmt: skip


def empty(folder: Path, pair: tuple[Engine, Engine], request: pytest.FixtureRequest) -> Scenario:
    """Databases that no other example has used."""
    made = Scenario.make(folder, pair, request)
    for side in (made.source, made.target):
        if side.schema:
            side.execute(f"DROP SCHEMA {side.schema} CASCADE", f"CREATE SCHEMA {side.schema}")
    return made


def native(column: Column, engine: Engine) -> str:
    return "varchar(60)" if column.type == "text" else NATIVE.get((column.type, engine), column.type)


class TwoWays:
    """Some cases in one migration: a table of a case is called after it and the case's number, and `old_` there on a source that has names
    of its own."""

    def __init__(self, scenario: Scenario, cases: Sequence[Case], *, own_names: bool = False) -> None:
        self.scenario, self.cases, self.prefix = scenario, cases, "old_" if own_names else ""
        self.tables = {
            f"{name}_{number}": (case, table, number)
            for number, case in enumerate(cases)
            for name, table in case.tables.items()
        }
        self.now: dict[SideName, Content] = {side: {name: {} for name in self.tables} for side in SIDES}
        for side in SIDES:
            self._side(side).execute(*(self._create(side, name) for name in self.tables))
        scenario.write(
            {name: self._entry(name) for name in self.tables},
            direction="two_way",
        )

    # What there is

    def _side(self, side: SideName) -> Side:
        return self.scenario.source if side == "source" else self.scenario.target

    def _named(self, side: SideName, name: str) -> str:
        return f"{self.prefix}{name}" if side == "source" else name

    def _create(self, side: SideName, name: str) -> str:
        _, table, number = self.tables[name]

        def listed(names: Sequence[str]) -> str:
            return ", ".join(f'"{self._named(side, each)}"' for each in names)

        needed = {*table.key, *table.not_null.get(side, ())}
        parts = [
            f"{listed([each.name])} {native(each, self._side(side).engine)}{' NOT NULL' * (each.name in needed)}"
            for each in table.columns
        ]
        parts.append(f"PRIMARY KEY ({listed(table.key)})")
        parts += [f"UNIQUE ({listed([each])})" for each in table.unique]
        if side in table.check:
            parts.append(f"CHECK ({self._named(side, table.check[side])})")
        for column, other in table.refers.items():
            parent = f"{other}_{number}"
            refers = listed(self.tables[parent][1].key)
            further = f" ON DELETE {table.on_delete}" * bool(table.on_delete and self._side(side).engine != "duckdb")
            parts.append(
                f'FOREIGN KEY ({listed([column])}) REFERENCES "{self._named(side, parent)}" ({refers}){further}'
            )
        return f'CREATE TABLE "{self._named(side, name)}" ({", ".join(parts)})'

    def _entry(self, name: str) -> dict[str, Any]:
        case, table, _ = self.tables[name]
        return {
            "from": self._named("source", name),
            "key": list(table.key),
            "columns": {each.name: self._mapped(each) for each in table.columns},
            "conflict": dict(case.policy),
            "initial": case.initial or "policy",
        }

    def _mapped(self, column: Column) -> Any:
        """MariaDB has no booleans, so that the spec says what its numbers are."""
        name = self._named("source", column.name)
        is_number = column.type == "boolean" and self.scenario.source.engine == "mysql"
        return {"from": name, "cast": "boolean"} if is_number else name

    # What people do

    def edit(self, number: int | None) -> None:
        """Bring both sides to where a round has them; None: to what both agreed on."""
        for side in SIDES:
            wanted = {name: dict(rows) for name, rows in self.now[side].items()}
            for name, (case, table, _) in self.tables.items():
                if number is None and case.initial is None:
                    wanted[name] = {line.key: line.agreed for line in table.rounds[0] if line.agreed is not None}
                elif number is not None:
                    for line in table.rounds[number] if number < len(table.rounds) else ():
                        row = getattr(line, side)
                        wanted[name].pop(line.key, None)
                        if row is not None:
                            wanted[name][line.key] = row
            self._bring(side, wanted)

    def _bring(self, side: SideName, wanted: Content) -> None:
        """Rows as they shall be: children go first, parents come first, and values that are unique are let go before they are taken."""
        there = self.now[side]
        statements: list[tuple[str, Sequence[Any]]] = []
        for name in reversed(self.tables):
            gone = there[name].keys() - wanted[name].keys()
            statements += [self._delete(side, name, key) for key in sorted(gone, key=str, reverse=True)]
        for name, (_, table, _) in self.tables.items():
            for column in table.unique:
                at = table.others.index(column)
                statements += [
                    self._update(side, name, key, [column], [None])
                    for key, row in there[name].items()
                    if key in wanted[name] and wanted[name][key][at] != row[at]
                ]
        for name, (_, table, _) in self.tables.items():
            for key, row in wanted[name].items():
                if key not in there[name]:
                    statements.append(self._insert(side, name, key, row))
                elif there[name][key] != row:
                    statements.append(self._update(side, name, key, table.others, row))
        self._run(side, statements)
        self.now[side] = wanted

    def _run(self, side: SideName, statements: Sequence[tuple[str, Sequence[Any]]]) -> None:
        at = self._side(side)
        mark = "%s" if at.engine in ("postgresql", "mysql") else "?"
        with at.connected() as run:
            for statement, values in statements:
                run(statement.replace("?", mark), [_given(value, at.engine) for value in values])

    def _insert(self, side: SideName, name: str, key: Values, row: Values) -> tuple[str, Sequence[Any]]:
        whole = list(_whole(self.tables[name][1], key, row))
        return f'INSERT INTO "{self._named(side, name)}" VALUES ({", ".join("?" * len(whole))})', whole

    def _update(
        self, side: SideName, name: str, key: Values, columns: Sequence[str], row: Sequence[Any]
    ) -> tuple[str, Sequence[Any]]:
        sets = ", ".join(f'"{self._named(side, each)}" = ?' for each in columns)
        return f'UPDATE "{self._named(side, name)}" SET {sets} WHERE {self._where(side, name)}', [*row, *key]

    def _delete(self, side: SideName, name: str, key: Values) -> tuple[str, Sequence[Any]]:
        return f'DELETE FROM "{self._named(side, name)}" WHERE {self._where(side, name)}', list(key)

    def _where(self, side: SideName, name: str) -> str:
        return " AND ".join(f'"{self._named(side, each)}" = ?' for each in self.tables[name][1].key)

    # What Syncline does

    def meet(self) -> None:
        """The run in which both sides agreed: those that have never met are not among its tables."""
        self.edit(None)
        known = [name for name, (case, _, _) in self.tables.items() if case.initial is None]
        if known:
            outcome = self.scenario.run(tables=known)
            assert not outcome.status, outcome.message

    def synchronize(self) -> Outcome:
        outcome = self.scenario.run()
        for side in SIDES:
            self.now[side] = self.content(side)
        return outcome

    # What comes of it

    def content(self, side: SideName) -> Content:
        found: Content = {}
        for name, (_, table, _) in self.tables.items():
            names = ", ".join(f'"{self._named(side, each)}"' for each in (*table.key, *table.others))
            at = len(table.key)
            columns = [next(each for each in table.columns if each.name == n) for n in (*table.key, *table.others)]
            rows = self._side(side).ask(f'SELECT {names} FROM "{self._named(side, name)}"')
            whole = [tuple(_read(value, each) for value, each in zip(row, columns, strict=True)) for row in rows]
            found[name] = {row[:at]: row[at:] for row in whole}
        return found

    def open_rows(self) -> dict[tuple[str, Values], str]:
        """What is open by the ledger: the kind of each row."""
        with ledger_of(self.scenario.spec) as ledger:
            return {
                (each.table_name, self._key(each.table_name, each.key)): str(each.kind)
                for each in ledger.conflicts(self.scenario.spec.name)
            }

    def _key(self, name: str, text: str) -> Values:
        columns = [each for each in self.tables[name][1].columns if each.key]
        return tuple(each.value(str(value)) for each, value in zip(columns, json.loads(text), strict=True))

    def wrong(self, number: int, outcome: Outcome) -> Iterator[str]:
        """Where a round did not end as its case says."""
        found = self.open_rows()
        reports = {table.name: table.counts for table in outcome.report.tables}
        content = {side: self.content(side) for side in SIDES}
        for name, (case, table, _) in self.tables.items():
            lines = {line.key: line for lines in table.rounds[: number + 1] for line in lines}
            for at, side in enumerate(SIDES):
                wanted = {key: line.ends[at] for key, line in lines.items() if line.ends[at] is not None}
                yield from _apart(
                    f"{case.name}: {name}, {side}", _alike(table, wanted), _alike(table, content[side][name])
                )
            open_ = {key: line.kind for key, line in lines.items() if line.kind}
            yield from _apart(
                f"{case.name}: {name}, open", open_, {key: kind for (of, key), kind in found.items() if of == name}
            )
            if reports[name].conflicts != len(open_):
                yield f"{case.name}: {name}: {reports[name].conflicts} conflicts are counted, and not {len(open_)}"


def _apart(what: str, wanted: dict[Values, Any], found: dict[Values, Any]) -> Iterator[str]:
    for key in sorted(wanted.keys() | found.keys(), key=str):
        if wanted.get(key, "none") != found.get(key, "none"):
            yield f"{what}: {key} is {found.get(key, 'none')} and not {wanted.get(key, 'none')}"


def _alike(table: CaseTable, rows: dict[Values, Any]) -> dict[Values, Any]:
    """Rows in which values that are equal in many spellings have one."""
    kinds = [each for each in table.columns if not each.key]
    return {
        key: tuple(
            json.loads(value) if value is not None and column.name in table.spellings else value
            for column, value in zip(kinds, row, strict=True)
        )
        for key, row in rows.items()
    }


def _whole(table: CaseTable, key: Values, row: Values) -> Iterator[Any]:
    keyed, rest = iter(key), iter(row)
    return (next(keyed if each.key else rest) for each in table.columns)


def _given(value: Any, engine: Engine) -> Any:
    if engine == "sqlite" and isinstance(value, Decimal | date):
        return str(value)
    return value


_READ: dict[str, Callable[[Any], Any]] = {
    "decimal": lambda value: Decimal(str(value)),
    "boolean": bool,
    "timestamp": lambda value: datetime.fromisoformat(value) if isinstance(value, str) else value,
    "date": lambda value: date.fromisoformat(value) if isinstance(value, str) else value,
    "json": lambda value: value if isinstance(value, str) else json.dumps(value),
}


def _read(value: Any, column: Column) -> Any:
    read = _READ.get(column.type.partition("(")[0])
    return value if value is None or read is None else read(value)
