"""Every scalar type of every engine cast to double, real, text and decimal: what an oracle says, or set aside.

docs/casts.md is made of what is found here: `UPDATE_DOCS=1 pytest tests/laws/test_cast_matrix.py` writes it anew.
"""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from cast_oracle import ASIDE, CASTS, MORE, arrived, expected, is_scalar, same
from cast_table import Cell, document
from sample_tables import TABLE, fill, rows_of
from scenario import Engine, Scenario, Side, empty_mariadb
from type_samples import SAMPLES, Sample
from type_values import told

from adapters.registry import open_target
from flows import commands
from flows.bind.tables import bind
from flows.history import quarantine
from transforms.vocabulary import SpecError

pytestmark = pytest.mark.each_engine
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "casts.md"
ENGINES: tuple[Engine, ...] = ("postgresql", "mysql", "sqlite", "duckdb")
LONG = 60  # characters of a literal: longer values say nothing about casts


Cells = dict[tuple[str, str], Cell]  # by type and cast


def samples(engine: Engine) -> tuple[Sample, ...]:
    """Scalar types, their values at the ends, and those where casts go wrong."""
    found = (each for each in SAMPLES[engine] if is_scalar(each))
    short = (replace(each, values=tuple(value for value in each.values if len(value) <= LONG)) for each in found)
    return tuple(
        replace(each, values=(*each.values, *MORE.get((engine, each.name), ()))) for each in short if each.values
    )


@pytest.fixture(scope="module")
def database_of_casts(postgres_server: str) -> Iterator[str]:
    import psycopg

    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute("CREATE DATABASE cast_matrix")
        yield postgres_server.replace("/postgres?", "/cast_matrix?")
        connection.execute("DROP DATABASE cast_matrix WITH (FORCE)")


@pytest.fixture(scope="module")
def found() -> dict[Engine, Cells]:
    return {}


@pytest.mark.parametrize("engine", ENGINES)
def test_every_value_is_what_the_oracle_says_or_set_aside(
    engine: Engine, found: dict[Engine, Cells], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    source = Side(engine, str(tmp_path / "source.db"))
    if engine == "postgresql":
        source = Side(engine, request.getfixturevalue("database_of_casts"), "source")
    elif engine == "mysql":
        source = empty_mariadb(request.getfixturevalue("mariadb_server"), "cast_source")
    chosen = samples(engine)
    fill(source, chosen)
    scenario = Scenario(tmp_path, source, Side("duckdb", str(tmp_path / "target.db")))
    cells: Cells = {(each.name, cast): Cell() for each in chosen for cast in CASTS}
    for (name, cast), reason in refusals(scenario, chosen):
        cells[name, cast].refused = reason
    write(scenario, {cast: [each for each in chosen if not cells[each.name, cast].refused] for cast in CASTS})
    commands.run(scenario.request())
    before = told(source, TABLE, [each.name for each in chosen])
    set_aside = quarantined(scenario)
    wrong = []
    for cast in CASTS:
        taken = [each for each in chosen if not cells[each.name, cast].refused]
        after = told(scenario.target, cast, [each.name for each in taken])
        for number, sample, literal in rows_of(chosen):
            if sample not in taken or (text := before[number][sample.name]) is None:
                continue
            reason = set_aside.get((cast, number))
            unread = reason is not None and reason.startswith(f"column {sample.name}: ")  # which is no cast's doing
            wanted = ASIDE if unread else expected(engine, sample, text, cast)
            if reason is not None:
                plain = reason.removeprefix(f"column {sample.name}: ")
                cells[sample.name, cast].aside.setdefault(plain, []).append(literal)
                if wanted is not ASIDE:
                    wrong.append((sample.name, cast, text[:LONG], reason))
            elif wanted is ASIDE or not same(arrived(sample, after[number][sample.name], cast), wanted):
                wrong.append((sample.name, cast, text[:LONG], f"{after[number][sample.name]!r} and not {wanted!r}"))
    assert "\n".join(map(str, wrong)) == ""
    found[engine] = cells


def test_the_documentation_of_casts_tells_what_was_found(found: dict[Engine, Cells]) -> None:
    if found.keys() != set(ENGINES):
        pytest.skip("some engine is not there")
    page = document({engine: (samples(engine), found[engine]) for engine in ENGINES})
    if os.environ.get("UPDATE_DOCS"):
        DOCUMENT.write_text(page)
    assert DOCUMENT.read_text() == page, "docs/casts.md is out of date: run the tests once with UPDATE_DOCS=1"


def write(scenario: Scenario, chosen: dict[str, list[Sample]]) -> None:
    """A table of the target for each cast, with a column for each type."""
    tables = {
        cast: {"from": TABLE, "key": ["id"],
               "columns": {"id": "id"} | {each.name: {"from": each.name, "cast": CASTS[cast]} for each in samples_}}
        for cast, samples_ in chosen.items()
    }  # fmt: skip
    scenario.write(tables)


def refusals(scenario: Scenario, chosen: tuple[Sample, ...]) -> Iterator[tuple[tuple[str, str], str]]:
    """What `check` says of columns that cannot be cast at all, found without a row."""
    source, target = open_target(scenario.source.url), open_target(scenario.target.url, create=True)
    try:
        for cast in CASTS:
            write(scenario, {cast: list(chosen)})
            try:
                bind(scenario.spec, source, target)
            except SpecError as error:
                for line in str(error).splitlines():
                    name = next(each.name for each in chosen if f": {each.name}: " in line)
                    yield (name, cast), line.partition(f": {name}: ")[2]
    finally:
        source.close()
        target.close()


def quarantined(scenario: Scenario) -> dict[tuple[str, int], str]:
    rows, _ = quarantine.listed(scenario.spec, quarantine.Filter(), 5000)
    return {(row["table_name"], json.loads(row["key"])[0]): row["reason"] for row in rows}
