"""Runs that are killed: at every named point on every engine, and at any time. What follows is as if nothing had been.

`docs/crashes.md` is what these tests saw; with UPDATE_DOCS=1 they write it.
"""

from __future__ import annotations

import os
import random
import re
from itertools import zip_longest
from pathlib import Path
from typing import Any

import pytest
from crashing import POINTS, edit, killed_at, left_behind, migration, outcome_of
from lives import assert_law, born, lived, taken
from scenario import Engine, Scenario

from flows.commands import Status

PAIRS: tuple[tuple[Engine, Engine], ...] = (
    ("sqlite", "sqlite"), ("sqlite", "duckdb"), ("sqlite", "postgresql"), ("sqlite", "mysql"), ("sqlite", "parquet"),
)  # fmt: skip
NAMES = {"sqlite": "SQLite", "duckdb": "DuckDB", "postgresql": "PostgreSQL", "mysql": "MariaDB", "parquet": "Parquet"}
PAGE = Path(__file__).parents[2] / "docs" / "crashes.md"
ROUNDS = int(os.environ.get("CRASH_ROUNDS", "1"))  # of lives with random kills, for each engine
COMMANDS = 5  # of a life, before a run comes to its end
ANY = "killed at any time"
TURNS = (1, 2, 3)
CHAINS = [
    tuple(point for point in points if point)
    for points in zip_longest(*([point for point, (at, _) in POINTS.items() if at == turn] for turn in TURNS))
]
"""A point of each turn, one after the other in one migration; the last ones end after a turn or two."""

everywhere = pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: NAMES[pair[1]])


@pytest.fixture
def shop(pair: tuple[Engine, Engine], tmp_path: Path, request: pytest.FixtureRequest) -> Scenario:
    return migration(Scenario.make(tmp_path, pair, request))


def again(shop: Scenario, turn: int) -> Status:
    return shop.undo(2).status if turn == 3 else shop.run().status


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> list[dict[str, Any]]:
    """What each turn ends with where nobody is killed. Rows and history are the same on every engine."""
    shop = migration(Scenario.make(tmp_path_factory.mktemp("undisturbed"), ("sqlite", "sqlite"), request))
    ends = []
    for turn in TURNS:
        if turn == 2:
            edit(shop)
        assert again(shop, turn) == Status.DONE
        if turn < 3:
            shop.settled()
        ends.append(outcome_of(shop))
    return ends


@everywhere
@pytest.mark.parametrize("points", CHAINS, ids=", ".join)
def test_a_run_that_is_killed_is_finished_by_the_next_as_if_nothing_had_been(
    shop: Scenario, pair: tuple[Engine, Engine], points: tuple[str, ...], undisturbed: list[dict[str, Any]]
) -> None:
    for turn, point, expected in zip(TURNS, points, undisturbed, strict=False):
        if turn == 2:
            edit(shop)
        before = shop.target.content()
        assert killed_at(shop, point), f"the run never came to {point}"
        dead = shop.target.content()
        assert again(shop, turn) == Status.DONE, point
        assert outcome_of(shop) == expected, point
        assert left_behind(shop) == [], point
        seen = (
            "nothing was written"
            if dead == before
            else "all rows were in"
            if dead == expected["rows"]
            else "a part was in"
        )
        told(point, pair[1], f"{seen}; the same end")


def test_every_point_is_in_a_chain() -> None:
    assert sorted(point for chain in CHAINS for point in chain) == sorted(POINTS)


@everywhere
@pytest.mark.parametrize("life", range(ROUNDS))
def test_history_adds_up_whatever_was_killed(
    pair: tuple[Engine, Engine], life: int, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    chance = random.Random(f"{pair} {life}")
    shop = born(Scenario.make(tmp_path, pair, request), chance, there=life % 2 == 0)
    first, said = taken(shop), list[str]()
    try:
        killed = lived(shop, chance, COMMANDS, said.append)
        assert_law(shop, first, chance)
    except AssertionError as error:
        error.add_note("\n".join(said))
        raise
    assert left_behind(shop, but_plans=True) == []
    told(ANY, pair[1], f"{killed + kills_told(pair[1]) if life else killed} kills; history adds up")


# The page


def told(point: str, engine: str, outcome: str) -> None:
    """Hold an outcome to the page, or write it there."""
    table = page()
    if os.environ.get("UPDATE_DOCS"):
        table[point, engine] = outcome
        write(table)
    elif point in POINTS:
        assert table.get((point, engine)) == outcome, "docs/crashes.md says otherwise; UPDATE_DOCS=1 writes it"


def kills_told(engine: str) -> int:
    return int((page().get((ANY, engine)) or "0").split()[0])


def page() -> dict[tuple[str, str], str]:
    found = {}
    lines = PAGE.read_text().splitlines() if PAGE.exists() else []
    for line in lines:
        cells = [cell.strip() for cell in re.split(r"(?<!\\)\|", line)[1:-1]]
        if len(cells) == len(NAMES) + 1 and cells[0] in (*POINTS, ANY):
            found |= {(cells[0], engine): cell for engine, cell in zip(NAMES, cells[1:], strict=True)}
    return found


def write(table: dict[tuple[str, str], str]) -> None:
    head = "\n".join(
        (
            "# What a crash leaves, and what the next run makes of it",
            "",
            "`tests/crash/test_crashes.py` kills runs (SIGKILL) at each of these points, on each engine as the target, and writes down what",
            "was in the target then. *The same end*: the next run ended with the same rows, the same versions with the same changes and",
            "counts as a run that nobody disturbs, and nothing was left behind in the target, the store or the ledger.",
            "The last row is of lives: runs, applies, backfills, undos, retries and prunes in any order, most of them killed at any time.",
            "*History adds up*: inserts less deletes of all versions are the rows that came, `asof` of each version is what the target",
            "held right after it, `log` agrees, and taking all versions back gives what was there before the first one.",
            "",
            f"| killed | {' | '.join(NAMES.values())} |",
            "|---|" + "---|" * len(NAMES),
        )
    )
    rows = [
        f"| {point} | {' | '.join(table.get((point, engine), '') for engine in NAMES)} |" for point in (*POINTS, ANY)
    ]
    PAGE.write_text("\n".join([head, *rows, ""]))
