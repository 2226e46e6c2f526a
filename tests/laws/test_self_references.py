"""Laws of tables that refer to themselves: any state becomes any other, window by window, with constraints on; undo gives it back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st
from law_examples import examples
from scenario import Engine, Scenario

from flows.commands import Status

ENGINES: tuple[Engine, ...] = ("sqlite", "postgresql", "mysql")
"""DuckDB takes no other reference of a row that others refer to: what it does is tested in tests/flows/test_self_references.py."""
Row = tuple[int, int | None, int | None, str]
State = dict[int, Row]


@dataclass(frozen=True)
class Two:
    """Two states of a table, and how many rows a window has."""

    first: State
    second: State
    window: int


def state(draw: st.DrawFn, ids: list[int]) -> State:
    """Rows of a forest by `above`, whose keys are in any order; `beside` leads to any row, in circles too."""
    chosen = draw(st.permutations(draw(st.lists(st.sampled_from(ids), unique=True, max_size=len(ids)))))
    rows: State = {}
    for place, number in enumerate(chosen):
        above = draw(st.sampled_from([None, *chosen[:place]]))
        rows[number] = (number, above, draw(st.sampled_from([None, *chosen])), draw(st.sampled_from("xy")))
    return rows


@st.composite
def two_states(draw: st.DrawFn) -> Two:
    ids = list(range(1, draw(st.integers(2, 9))))
    first, second = (state(draw, ids) for _ in range(2))
    return Two(first, second, draw(st.integers(1, 3)))


@pytest.fixture(params=ENGINES)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    return Scenario.make(tmp_path, ("sqlite", request.param), request)


def made(shop: Scenario, window: int, table: str) -> None:
    key = f"FOREIGN KEY (above) REFERENCES {table} (id), FOREIGN KEY (beside) REFERENCES {table} (id)"
    columns = "id integer PRIMARY KEY, above integer, beside integer, title varchar(9)"
    shop.source.execute(f"CREATE TABLE {table} ({columns})")
    shop.target.execute(f"CREATE TABLE {table} ({columns}, {key})")
    shop.write({table: {"from": table}}, defaults={"window": window}, name=table)


def filled(shop: Scenario, table: str, rows: State) -> None:
    with shop.source.connected() as run:
        run(f"DELETE FROM {table}")
        for row in rows.values():
            run(f"INSERT INTO {table} VALUES (?, ?, ?, ?)", row)


def there(shop: Scenario, table: str) -> Any:
    return sorted(shop.target.rows(table))


@examples(3)
@given(st.data())
def test_any_state_becomes_any_other_and_comes_back(shop: Scenario, data: st.DataObject) -> None:
    two = data.draw(two_states())
    table = f"t{uuid4().hex[:8]}"
    made(shop, two.window, table)
    for rows in (two.first, two.second):
        filled(shop, table, rows)
        done = shop.run()
        assert done.status == Status.DONE, done.message
        assert there(shop, table) == sorted(rows.values())
        assert not shop.plan().report.pending
    if done.report.version is not None:
        assert shop.undo(done.report.version).status == Status.DONE
        assert there(shop, table) == sorted(two.first.values())
