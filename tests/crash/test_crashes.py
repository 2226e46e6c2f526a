"""Runs that are killed: at every named point on every engine, and at any time. What follows is as if nothing had been.

`docs/crashes.md` is what these tests saw; with UPDATE_DOCS=1 they write it.
"""

from __future__ import annotations

import os
import random
import re
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from crashing import POINTS, edit, killed_at, left_behind, migration, outcome_of
from lives import assert_law, born, lived, taken
from scenario import Engine, Scenario

from flows.commands import Status

PAIRS: tuple[tuple[Engine, Engine], ...] = (
    ("sqlite", "sqlite"), ("sqlite", "duckdb"), ("sqlite", "postgresql"), ("sqlite", "mysql"),
)  # fmt: skip
NAMES = {"sqlite": "SQLite", "duckdb": "DuckDB", "postgresql": "PostgreSQL", "mysql": "MariaDB"}
PAGE = Path(__file__).parents[2] / "docs" / "crashes.md"
ROUNDS = int(os.environ.get("CRASH_ROUNDS", "1"))  # of lives with random kills, for each engine
COMMANDS = 5  # of a life, before a run comes to its end
ANY = "killed at any time"

everywhere = pytest.mark.parametrize("pair", PAIRS, ids=lambda pair: NAMES[pair[1]])


@pytest.fixture
def shop(pair: tuple[Engine, Engine], tmp_path: Path, request: pytest.FixtureRequest) -> Scenario:
    return migration(Scenario.make(tmp_path, pair, request))


def run_to(shop: Scenario, turn: int) -> None:
    """The runs before a turn, undisturbed."""
    if turn > 1:
        assert shop.run().status == Status.DONE
        edit(shop)
    if turn > 2:
        assert shop.run().status == Status.DONE


def again(shop: Scenario, turn: int) -> Status:
    return shop.undo(2).status if turn == 3 else shop.run().status


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> Any:
    """What each turn ends with where nobody is killed. Rows and history are the same on every engine."""

    @cache
    def ended(turn: int) -> dict[str, Any]:
        shop = migration(Scenario.make(tmp_path_factory.mktemp("undisturbed"), ("sqlite", "sqlite"), request))
        run_to(shop, turn)
        assert again(shop, turn) == Status.DONE
        if turn < 3:
            shop.settled()
        return outcome_of(shop)

    return ended


@everywhere
@pytest.mark.parametrize("point", POINTS)
def test_a_run_that_is_killed_is_finished_by_the_next_as_if_nothing_had_been(
    shop: Scenario, pair: tuple[Engine, Engine], point: str, undisturbed: Any
) -> None:
    turn = POINTS[point][0]
    run_to(shop, turn)
    before = shop.target.content()
    assert killed_at(shop, point), "the run never came there"
    dead = shop.target.content()
    assert again(shop, turn) == Status.DONE
    expected = undisturbed(turn)
    assert outcome_of(shop) == expected
    assert left_behind(shop) == []
    seen = (
        "nothing was written" if dead == before else "all rows were in" if dead == expected["rows"] else "a part was in"
    )
    told(point, pair[1], f"{seen}; the same end")


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
