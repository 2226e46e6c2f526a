"""Runs that are killed: at every named point on every engine, and at any time. What follows is as if nothing had been.

`docs/crashes.md` is what these tests saw; with UPDATE_DOCS=1 they write it.
"""

from __future__ import annotations

import os
import random
import re
import signal
import time
from collections.abc import Sequence
from contextlib import suppress
from functools import cache
from pathlib import Path
from typing import Any

import pytest
from crashing import POINTS, edit, killed_at, left_behind, migration, outcome_of, started
from scenario import Engine, Scenario

from flows.runs import Status
from transforms.vocabulary import SpecError

PAIRS: tuple[tuple[Engine, Engine], ...] = (
    ("sqlite", "sqlite"), ("sqlite", "duckdb"), ("sqlite", "postgresql"), ("sqlite", "mysql"),
)  # fmt: skip
NAMES = {"sqlite": "SQLite", "duckdb": "DuckDB", "postgresql": "PostgreSQL", "mysql": "MariaDB"}
PAGE = Path(__file__).parent.parent / "docs" / "crashes.md"
ROUNDS = int(os.environ.get("CRASH_ROUNDS", "1"))  # of random kills, for each engine
KILLS = 6  # in a row, before a run is let be
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
@pytest.mark.parametrize("turn", range(ROUNDS))
def test_runs_that_are_killed_at_any_time_end_as_undisturbed_ones(
    shop: Scenario, pair: tuple[Engine, Engine], undisturbed: Any, turn: int
) -> None:
    chance = random.Random(f"{pair} {turn}")
    began = time.monotonic()
    run_to(shop, 2)
    takes = time.monotonic() - began
    killed = killed_at_times(shop, 2, [chance.uniform(0, 0.6 * takes) for _ in range(KILLS)])
    assert shop.run().status == Status.DONE
    assert outcome_of(shop) == undisturbed(2)
    killed += killed_at_times(shop, 3, [chance.uniform(0, 0.6 * takes) for _ in range(KILLS)])
    with suppress(SpecError):  # one of them may have come to its end
        assert shop.undo(2).status == Status.DONE
    assert outcome_of(shop) == undisturbed(3)
    assert left_behind(shop) == []
    told(ANY, pair[1], f"{killed + kills_told(pair[1]) if turn else killed} kills; the same end")


def killed_at_times(shop: Scenario, turn: int, times: Sequence[float]) -> int:
    """Start a run for each time, and kill it then; how many were still alive."""
    killed = 0
    for seconds in times:
        process = started(shop, turn)
        process.join(seconds)
        if process.is_alive():
            os.kill(process.pid, signal.SIGKILL)
            killed += 1
        process.join(60)
    return killed


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
            "`tests/test_crashes.py` kills runs (SIGKILL) at each of these points, on each engine as the target, and writes down what",
            "was in the target then. *The same end*: the next run ended with the same rows, the same versions with the same changes and",
            "counts as a run that nobody disturbs, and nothing was left behind in the target, the store or the ledger.",
            "The last row is of runs that were killed at any time, again and again, before one was let be.",
            "",
            f"| killed | {' | '.join(NAMES.values())} |",
            "|---|" + "---|" * len(NAMES),
        )
    )
    rows = [
        f"| {point} | {' | '.join(table.get((point, engine), '') for engine in NAMES)} |" for point in (*POINTS, ANY)
    ]
    PAGE.write_text("\n".join([head, *rows, ""]))
