"""Many small tables in one migration, a pair of engines at a time: each test of a trap looks at its own table.

A module names its tables in a tuple; the first test that asks for a pair fills the source, assesses it, runs the
migration and verifies. All of that is done through the product; rows are looked at through the engines'
own drivers.
"""

from __future__ import annotations

import json
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from datetime import UTC, datetime
from itertools import product
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from scenario import RING as RING
from scenario import Engine, Scenario, Side, accounted, counts, empty_mariadb, pair_name

from flows.check.assess import assess
from flows.check.findings import Assessment, Finding
from flows.commands import Outcome
from flows.history import quarantine

Declared = str | Mapping[str, str]
"""The inside of a CREATE TABLE: one for all engines, or by engine."""


@dataclass(frozen=True)
class Trap:
    """A table `name` of the source with rows, and how the spec maps it.

    `target`, where it is not empty, is a table that is there before, with `there` in it; else Syncline makes it.
    `spec` is the entry of the spec, or several entries by their names; `setup` is SQL by engine that comes first.
    `more` is SQL for what drivers cannot bind; it comes last in the source.
    `sources` and `targets` are the engines that the table is for.
    """

    name: str
    source: Declared
    rows: Sequence[Sequence[Any]] | Mapping[str, Sequence[Sequence[Any]]]
    spec: Mapping[str, Any] = field(default_factory=dict)
    target: Declared = ""
    there: Sequence[Sequence[Any]] | Mapping[str, Sequence[Sequence[Any]]] = ()
    setup: Mapping[str, Sequence[str]] = field(default_factory=dict)
    more: Sequence[str] | Mapping[str, Sequence[str]] = ()
    sources: tuple[str, ...] = ("sqlite", "duckdb", "postgresql", "mysql")
    targets: tuple[str, ...] = ("sqlite", "duckdb", "postgresql", "mysql")

    def concerns(self, pair: tuple[Engine, Engine]) -> bool:
        return pair[0] in self.sources and pair[1] in self.targets


@dataclass(frozen=True)
class Migrated:
    """What became of the tables of one pair of engines."""

    scenario: Scenario
    assessed: Assessment
    first: Outcome
    verified: Outcome
    aside: list[dict[str, Any]]

    @property
    def source(self) -> Side:
        return self.scenario.source

    @property
    def target(self) -> Side:
        return self.scenario.target

    def counts(self, table: str) -> dict[str, int]:
        """What the first run did."""
        return counts(self.first, table)

    def quarantined(self, table: str) -> list[tuple[Any, str, str | None, str]]:
        """Key, column, value and reason of each row that was set aside."""
        rows = [each for each in self.aside if each["table_name"] == table]
        told = [(json.loads(each["key"]), each["column_name"], each["value"], each["reason"]) for each in rows]
        return sorted(told, key=str)

    def reasons(self, table: str) -> dict[str, str]:
        """Why each row was set aside, by its key, of one column, as text."""
        return {str(key[0]): reason for key, _, _, reason in self.quarantined(table)}

    def findings(self, table: str) -> list[Finding]:
        """What `check` said before anything was loaded."""
        return [each for own in self.assessed.tables if own.name == table for each in own.findings]

    def counted(self, table: str) -> dict[str, int]:
        """How many rows `check` counted, by reason."""
        return {each.reason: each.rows for each in self.findings(table)}

    def settled(self, table: str) -> None:
        """The first run accounts for every row, and `verify`, which plans anew, has nothing to do for the table."""
        for outcome in (self.first, self.verified):
            (own,) = (each for each in outcome.report.tables if each.name == table)
            assert accounted(own.counts), own.counts
        assert own.counts.changes == 0, (own.differing, own.samples)
        assert not (own.ddl or own.adds or own.after_load)
        assert own.counts.quarantined == self.counts(table).get("quarantined", 0)


def qualified(side: Side, table: str) -> str:
    """A table as a query of the source names it."""
    return f"{side.schema}.{table}" if side.schema else table


def pairs(sources: Sequence[Engine], targets: Sequence[Engine]) -> list[tuple[Engine, Engine]]:
    """Each of the sources with each of the targets."""
    return list(product(sources, targets))


def pick(declared: Any, engine: Engine) -> Any:
    """What is for an engine: its own, or what all others have under no name."""
    return declared.get(engine, declared.get("")) if isinstance(declared, Mapping) else declared


def named(rows: Sequence[tuple[Any, ...]]) -> list[tuple[Any, ...]]:
    """Each row with a text that tells which one it is."""
    return [(*row, f"row {number}") for number, row in enumerate(rows)]


def create(side: Side, table: str, inside: str) -> None:
    side.execute(f'CREATE TABLE "{table}" ({inside})')


def migrated(scenario: Scenario, traps: Sequence[Trap], **rest: Any) -> Migrated:
    """Fill both sides, then check, run and verify."""
    pair = scenario.source.engine, scenario.target.engine
    entries: dict[str, Any] = {}
    for trap in (each for each in traps if each.concerns(pair)):
        for side in (scenario.source, scenario.target):
            side.execute(*trap.setup.get(side.engine, ()))
        create(scenario.source, trap.name, pick(trap.source, pair[0]))
        rows = pick(trap.rows, pair[0])
        if rows:
            scenario.source.insert(trap.name, rows)
        scenario.source.execute(*(pick(trap.more, pair[0]) or ()))
        if inside := pick(trap.target, pair[1]) if trap.target else "":
            create(scenario.target, trap.name, inside)
            scenario.target.insert(trap.name, pick(trap.there, pair[1]) or ())
        given = dict(trap.spec) if trap.spec else {"from": trap.name}
        entries |= {trap.name: given} if "from" in given else given
    for entry in entries.values():
        if isinstance(entry["from"], dict):
            name = entry["from"]["query"]
            entry["from"] = {"query": f"SELECT * FROM {qualified(scenario.source, name)}"}
    scenario.write(entries, **rest)
    assessed = assess(scenario.spec, datetime.now(UTC))
    first = scenario.run()
    aside, _ = quarantine.listed(scenario.spec, quarantine.Filter(), 10_000)
    return Migrated(scenario, assessed, first, scenario.verify(), aside)


def empty_postgresql(server: str, database: str, schema: str, template: str = "template1") -> Side:
    """A new database of a server that lives no longer than the tests."""
    import psycopg

    with psycopg.connect(server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {database} TEMPLATE {template}")
    made = Side("postgresql", server.replace("/postgres?", f"/{database}?"), schema)
    made.execute()
    return made


class Migrations:
    """The migrations of a module, each made when it is first asked for."""

    def __init__(
        self, folder: Path, traps: Sequence[Trap], request: pytest.FixtureRequest, rest: Mapping[str, Any]
    ) -> None:
        self._folder, self._traps, self._request, self._rest = folder, traps, request, rest
        self._known: dict[tuple[Engine, Engine], Migrated | BaseException] = {}

    def between(self, pair: tuple[Engine, Engine]) -> Migrated:
        if pair not in self._known:
            try:
                self._known[pair] = migrated(self._scenario(pair), self._traps, **self._rest)
            except Exception as error:
                self._known[pair] = error
        found = self._known[pair]
        if isinstance(found, BaseException):
            raise found
        return found

    def _scenario(self, pair: tuple[Engine, Engine]) -> Scenario:
        folder = self._folder / pair_name(pair)
        folder.mkdir()
        return Scenario(folder, *(self._side(*each, folder) for each in zip(pair, ("legacy", "core"), strict=True)))

    def _side(self, engine: Engine, name: str, folder: Path) -> Side:
        unique = f"{name}_{uuid4().hex[:12]}"
        if engine == "postgresql":
            return empty_postgresql(self._request.getfixturevalue("postgres_server"), unique, name)
        if engine == "mysql":
            return empty_mariadb(self._request.getfixturevalue("mariadb_server"), unique)
        return Side(engine, str(folder / f"{name}.db"))


@contextmanager
def migrations(traps: Sequence[Trap], request: pytest.FixtureRequest, **rest: Any) -> Iterator[Migrations]:
    """What a module's fixture gives; `rest` is for the spec."""
    with tempfile.TemporaryDirectory(prefix="syncline-traps-") as folder:
        yield Migrations(Path(folder), traps, request, rest)
