"""Laws of tables that refer to themselves: any state becomes any other, window by window, with constraints on; undo gives it back."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any
from uuid import uuid4

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scenario import Engine, Scenario

from flows.commands import Status

ENGINES: tuple[Engine, ...] = ("sqlite", "duckdb", "postgresql", "mysql")
Row = tuple[int, int | None, int | None, str]
State = dict[int, Row]


@dataclass(frozen=True)
class Two:
    """Two states of a table, and how many rows a window has."""

    first: State
    second: State
    window: int


def state(draw: st.DrawFn, ids: list[int], *, circles: bool) -> State:
    """Rows of a forest by `above`, whose keys are in any order; `beside` leads to any row, where circles may be."""
    chosen = draw(st.permutations(draw(st.lists(st.sampled_from(ids), unique=True, max_size=len(ids)))))
    rows: State = {}
    for place, number in enumerate(chosen):
        earlier = chosen[: place + 1] if circles else chosen[:place]
        above = draw(st.sampled_from([None, *chosen[:place]]))
        beside = draw(st.sampled_from([None, *(chosen if circles else earlier)]))
        rows[number] = (number, above, beside, draw(st.sampled_from("xy")))
    return rows


@st.composite
def two_states(draw: st.DrawFn, *, circles: bool, still: bool) -> Two:
    """`still`: rows that somebody refers to keep what they refer to themselves, because the engine takes no other value."""
    ids = list(range(1, draw(st.integers(2, 9))))
    first, second = (state(draw, ids, circles=circles) for _ in range(2))
    if still:
        second = _still(first, second)
    return Two(first, second, draw(st.integers(1, 3)))


def _still(first: State, second: State) -> State:
    referred = {each for row in (*first.values(), *second.values()) for each in row[1:3]}
    kept = {n: (n, *first[n][1:3], row[3]) if n in first and n in referred else row for n, row in second.items()}
    while True:  # without rows that now lack what they refer to, or wait for themselves
        lacking = {n for n, row in kept.items() if any(each is not None and each not in kept for each in row[1:3])}
        lacking |= _waiting(kept)
        if not lacking:
            return kept
        kept = {n: row for n, row in kept.items() if n not in lacking}


def _waiting(rows: State) -> set[int]:
    done: set[int] = set()
    while more := {n for n, row in rows.items() if n not in done and {*row[1:3]} - {None} <= done}:
        done |= more
    return set(rows) - done


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


@settings(max_examples=3)
@given(st.data())
def test_any_state_becomes_any_other_and_comes_back(shop: Scenario, data: st.DataObject) -> None:
    simple = shop.target.engine == "duckdb"
    two = data.draw(two_states(circles=not simple, still=simple))
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
