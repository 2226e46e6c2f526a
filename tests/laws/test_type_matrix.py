"""Every native type from every engine to every engine: each value arrives exactly, or is named with its reason.

docs/types.md is made of what is found here: `UPDATE_DOCS=1 pytest tests/laws/test_type_matrix.py` writes it anew.
"""

from __future__ import annotations

import json
import os
import re
from collections.abc import Iterator, Set
from dataclasses import dataclass, field
from itertools import product
from pathlib import Path
from typing import Any

import pytest
from sample_tables import TABLE, fill, rows_of
from scenario import Engine, Scenario, Side, balanced, empty_mariadb
from type_samples import SAMPLES, Sample
from type_table import Cell, document
from type_values import declared, quoted, told, value

from flows import commands
from flows.compare.compare import Apart, Asked, compare_tables
from flows.compare.endpoint import endpoint
from flows.compare.matching import Wanted
from flows.history import quarantine
from transforms.vocabulary import SpecError

DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "types.md"
ENGINES: tuple[Engine, ...] = ("postgresql", "mysql", "sqlite", "duckdb")
PAIRS = tuple(product(ENGINES, ENGINES))


@dataclass
class Matrix:
    """The cells of each pair of engines, found when they are first asked for. A source is filled once."""

    folder: Path
    request: pytest.FixtureRequest
    sources: dict[Engine, Side] = field(default_factory=dict)
    known: dict[tuple[Engine, Engine], dict[str, Cell]] = field(default_factory=dict)
    scenarios: dict[tuple[Engine, Engine], Scenario] = field(default_factory=dict)

    def side(self, engine: Engine, name: str) -> Side:
        if engine == "postgresql":
            made = Side(engine, self.request.getfixturevalue("database_of_all_pairs"), name)
            made.execute()
            return made
        if engine == "mysql":
            return empty_mariadb(self.request.getfixturevalue("mariadb_server"), f"matrix_{name}")
        return Side(engine, str(self.folder / f"{name}.db"))

    def cells(self, pair: tuple[Engine, Engine]) -> dict[str, Cell]:
        if pair not in self.known:
            source, target = pair
            if source not in self.sources:
                self.sources[source] = self.side(source, f"{source}_source")
                fill(self.sources[source], SAMPLES[source])
            folder = self.folder / f"{source}-to-{target}"
            folder.mkdir()
            scenario = Scenario(folder, self.sources[source], self.side(target, f"{source}_to_{target}"))
            self.scenarios[pair] = scenario
            self.known[pair] = cells(scenario, SAMPLES[source])
        return self.known[pair]


@pytest.fixture(scope="module")
def database_of_all_pairs(postgres_server: str) -> Iterator[str]:
    import psycopg

    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE type_matrix")
        yield postgres_server.replace("/postgres?", "/type_matrix?")
        connection.execute("DROP DATABASE type_matrix WITH (FORCE)")


@pytest.fixture(scope="module")
def matrix(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Matrix:
    return Matrix(tmp_path_factory.mktemp("types"), request)


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair[0]}-to-{pair[1]}")
def test_every_value_of_every_type_arrives_exactly_or_is_named(matrix: Matrix, pair: tuple[Engine, Engine]) -> None:
    assert matrix.cells(pair).keys() == {sample.name for sample in SAMPLES[pair[0]]}


@pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: f"{pair[0]}-to-{pair[1]}")
def test_what_has_arrived_is_the_same_by_value(matrix: Matrix, pair: tuple[Engine, Engine]) -> None:
    matrix.cells(pair)
    sides = (matrix.scenarios[pair].source, matrix.scenarios[pair].target)
    left, right = (endpoint(f"{side.url}#{f'{side.schema}.' if side.schema else ''}{TABLE}") for side in sides)
    rows: list[Apart] = []
    told = compare_tables(Asked(left, right, Wanted(("id",)), rows=None), seen=rows.extend)
    assert [row for row in rows if row.kind != "only_left"] == []
    assert (told.unlike, told.only.get("right", ())) == ({}, ())
    there, back = told.found, compare_tables(Asked(right, left, Wanted(("id",)))).found
    assert (back.same, back.only_right, back.left, back.right) == (there.same, there.only_left, there.right, there.left)
    assert there.same


def test_the_documentation_tells_what_was_found(matrix: Matrix) -> None:
    found = document({pair: matrix.cells(pair) for pair in PAIRS})
    if os.environ.get("UPDATE_DOCS"):
        DOCUMENT.parent.mkdir(exist_ok=True)
        DOCUMENT.write_text(found)
    assert DOCUMENT.read_text() == found, "docs/types.md is out of date: run the tests once with UPDATE_DOCS=1"


def migrate(scenario: Scenario, samples: tuple[Sample, ...]) -> dict[str, tuple[str, str]]:
    """Run with the target's tables made by Syncline. What was refused, with the cast that was then taken, if any."""
    scenario.write({TABLE: {"from": TABLE}})
    try:
        commands.run(scenario.request())
    except SpecError as error:
        refused = dict(refusals(str(error), samples))
    else:
        return {}
    columns: dict[str, Any] = {"id": "id"} | {each.name: each.name for each in samples if each.name not in refused}
    columns |= {name: {"from": name, "cast": cast} for name, (_, cast) in refused.items() if cast}
    scenario.write({TABLE: {"from": TABLE, "columns": columns}})
    commands.run(scenario.request())
    return refused


def refusals(message: str, samples: tuple[Sample, ...]) -> Iterator[tuple[str, tuple[str, str]]]:
    """Each refused column with the reason and the cast that it suggests."""
    for line in message.splitlines():
        name = next(each.name for each in samples if f": {each.name}: " in line)
        reason = line.partition(f": {name}: ")[2]
        cast = re.search(r"`cast: ([^`]*)`", reason)
        yield name, (reason, cast[1] if cast else "")


def cells(scenario: Scenario, samples: tuple[Sample, ...]) -> dict[str, Cell]:
    """What became of each type: after the first load, and after rows and values that were lost are brought back.

    Both leave the same rows, and so one look is enough at whether there is anything left to do.
    """
    refused = migrate(scenario, samples)
    natives = declared(scenario.target, TABLE)
    made = {each.name: Cell(natives.get(each.name, ""), *refused.get(each.name, ("", ""))) for each in samples}
    arrived = tuple(each for each in samples if each.name in natives)
    rows, _ = quarantine.listed(scenario.spec, quarantine.Filter(), 1000)
    aside = {json.loads(row["key"])[0]: (row["column_name"], row["reason"]) for row in rows}
    for number, sample, literal in rows_of(samples):
        if number in aside:
            column, reason = aside[number]
            assert column == sample.name or reason.startswith(f"column {sample.name}: ")
            made[sample.name].aside.setdefault(reason, []).append(literal)
    assert differing(scenario, samples, arrived, aside.keys()) == []
    scenario.target.execute(
        f"DELETE FROM {TABLE} WHERE id % 2 = 0",
        f"UPDATE {TABLE} SET {', '.join(f'{quoted(each.name)} = NULL' for each in arrived)}",
    )
    commands.run(scenario.request())
    assert differing(scenario, samples, arrived, aside.keys()) == []
    settled(scenario)
    return made


def settled(scenario: Scenario) -> None:
    """`verify`, which plans anew, finds nothing to do."""
    report = balanced(commands.verify(scenario.request("verify"))).report
    assert report.total.changes == 0
    assert not report.pending


def differing(
    scenario: Scenario, samples: tuple[Sample, ...], arrived: tuple[Sample, ...], aside: Set[int]
) -> list[tuple[str, ...]]:
    """The values of the target that are not the source's, as the engines' own drivers tell both."""
    wanted, found = (told(side, TABLE, [each.name for each in arrived]) for side in (scenario.source, scenario.target))
    assert found.keys() == wanted.keys() - aside
    wrong = []
    for number, sample, literal in rows_of(samples):
        if sample not in arrived or number in aside:
            continue
        before, after = (side[number][sample.name] for side in (wanted, found))
        alone = all(each is None for name, each in found[number].items() if name != sample.name)
        if not alone or value(sample.family, before) != value(sample.family, after):
            wrong.append((sample.name, literal[:60], str(before)[:60], str(after)[:60]))
    return wrong
