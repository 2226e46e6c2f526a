"""Shapes of foreign keys on every engine: what a run and an undo make of a change that asks for an order of its own.

docs/foreign_keys.md is made of what is found here: `UPDATE_DOCS=1 pytest tests/laws/test_foreign_keys.py` writes it anew. Whatever
the cell says, what is not written is accounted for, and nothing happens to a row that no plan names.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from pathlib import Path

import pytest
from key_shapes import FOUR, SHAPES, Shape
from key_table import Cell, document
from scenario import Engine, Scenario

from flows.commands import Outcome, Status
from transforms.vocabulary import SynclineError

pytestmark = pytest.mark.each_engine
DOCUMENT = Path(__file__).resolve().parents[2] / "docs" / "foreign_keys.md"
Cells = dict[tuple[str, Engine], Cell]


@pytest.fixture(scope="module")
def found() -> Cells:
    return {}


@pytest.mark.parametrize("engine", FOUR)
@pytest.mark.parametrize("shape", SHAPES, ids=[shape.name.replace(" ", "-") for shape in SHAPES])
def test_a_change_keeps_every_foreign_key_or_is_refused(
    shape: Shape, engine: Engine, found: Cells, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if engine not in shape.engines:
        found[shape.name, engine] = Cell("–")
        return
    scenario = made(shape, engine, tmp_path, request)
    found[shape.name, engine] = next(carried_out(shape, scenario), Cell("yes"))


def made(shape: Shape, engine: Engine, folder: Path, request: pytest.FixtureRequest) -> Scenario:
    """The tables, empty, and the source in its first state, which has no foreign keys."""
    scenario = Scenario.make(folder, ("sqlite", engine), request)
    scenario.target.execute(*shape.ddl(engine))
    for table in shape.first:
        plain = shape.tables[table].partition(", FOREIGN KEY")[0]
        scenario.source.execute(f"CREATE TABLE {table} ({plain})")
    scenario.write(
        {table: {"from": table, "key": list(shape.keys.get(table, ["no"]))} for table in shape.first},
        defaults={
            "delete": {"max_ratio": 1.0, "children": shape.children},
            "quarantine": {"max_ratio": 1.0},
            "window": shape.window,
        },
    )
    return scenario


def carried_out(shape: Shape, scenario: Scenario) -> Iterator[Cell]:
    """The first thing that does not go as it should; none where all of it does."""
    first, then = wanted(shape, 0), wanted(shape, 1)
    hold(scenario, shape.first)
    yield from told(scenario, "first load", scenario.run, {table: first[table] for table in shape.first})
    for table, (rows, _) in shape.beside.items():
        scenario.target.insert(table, rows)
    assert scenario.target.content() == first
    hold(scenario, shape.then)
    yield from told(scenario, "", scenario.run, then)
    assert scenario.plan().status == Status.DONE  # nothing is left to do
    yield from told(scenario, "undo", lambda: scenario.undo(2), first)


def told(scenario: Scenario, step: str, doing: object, expected: dict[str, list[object]]) -> Iterator[Cell]:
    """Nothing where a step leads to what is expected; else why it does not, with everything accounted for."""
    before = scenario.target.content()
    try:
        outcome = doing()  # type: ignore[operator]
    except SynclineError as error:
        assert scenario.target.content() == before  # refused means before anything is written
        yield Cell("refused", step, error.what.replace("core.", ""))  # PostgreSQL's schema
        return
    now = scenario.target.content()
    if {table: now[table] for table in expected} == expected and outcome.status == Status.DONE:
        return
    yield Cell("set aside", step, reason_of(outcome))


def reason_of(outcome: Outcome) -> str:
    """Why rows are not as they should be. Rows that differ have to be told of."""
    codes = {reason["code"] for table in outcome.report.tables for reason in table.set_aside}
    notices = {notice.code for notice in outcome.report.warnings}
    if outcome.report.total.conflicts:
        codes.add("conflict")
    assert codes or "rows_stay" in notices, "rows differ, and nobody says so"
    return ", ".join(sorted(f"`{code}`" for code in codes | (notices & {"rows_stay", "refused_rows"})))


def hold(scenario: Scenario, state: dict[str, object]) -> None:
    for table, rows in state.items():
        scenario.source.execute(f"DELETE FROM {table}")
        scenario.source.insert(table, rows)  # type: ignore[arg-type]


def wanted(shape: Shape, state: int) -> dict[str, list[object]]:
    """What the target's tables hold in a state."""
    of_spec = (shape.first, shape.then)[state]
    return {
        **{table: sorted(rows, key=str) for table, rows in of_spec.items()},
        **{table: sorted(rows[state], key=str) for table, rows in shape.beside.items()},
    }


def test_the_documentation_of_foreign_keys_tells_what_was_found(found: Cells) -> None:
    if {engine for _, engine in found} != set(FOUR):
        pytest.skip("some engine is not there")
    page = document(found)
    if os.environ.get("UPDATE_DOCS"):
        DOCUMENT.write_text(page)
    assert DOCUMENT.read_text() == page, "docs/foreign_keys.md is out of date: run the tests once with UPDATE_DOCS=1"
