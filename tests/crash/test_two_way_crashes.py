"""Two-way runs that are killed after any step that lasts: the next run ends as an undisturbed one would have, on both sides."""

from __future__ import annotations

import os
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scenario import RING, Engine, Scenario, pair_name
from two_way_crashes import edit, killed_after, outcome_of, shop, steps_of
from two_way_identity import alike, met, numbered, pairs, seen
from two_way_identity import edit as edit_numbered

from flows.commands import Status

EVERY = os.environ.get("CRASH_ROUNDS") == "all"  # a kill after each single step takes minutes
ALIKE: tuple[Engine, Engine] = ("sqlite", "sqlite")
CHAIN = ("begin_applying", "commit on target", "commit on source", "agreed/", "parts.json", "add_versions")
"""Steps one after the other: the run that goes on after a kill is killed after the next one."""


def fresh(folder: Path, pair: tuple[Engine, Engine], request: pytest.FixtureRequest, number: int) -> Scenario:
    """The shop, edited on both sides, with databases of its own."""
    place = folder / str(number)
    place.mkdir()
    made = Scenario.make(place, pair, request)
    for name in ("source", "target"):
        side = getattr(made, name)
        if side.schema is not None:
            side = replace(side, schema=f"{side.schema}_{number}")
            side.execute()
            setattr(made, name, side)
    edit(shop(made))
    return made


def ended(made: Scenario) -> dict[str, Any]:
    """What it ends with; a run after that writes nothing."""
    found = outcome_of(made)
    again = made.run()
    assert again.status == Status.CONFLICTS
    assert not again.report.pending
    assert outcome_of(made) == found
    return found


@pytest.fixture(scope="module")
def undisturbed(tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest) -> tuple[list[str], Any]:
    """The steps of a run that nobody kills, and how it ends, the same on every pair."""
    made = fresh(tmp_path_factory.mktemp("undisturbed"), ALIKE, request, 0)
    return steps_of(made), ended(made)


@pytest.mark.parametrize("pair", [ALIKE, *RING], ids=pair_name)
def test_a_run_that_is_killed_again_and_again_ends_as_an_undisturbed_one(
    pair: tuple[Engine, Engine], tmp_path: Path, request: pytest.FixtureRequest, undisturbed: tuple[list[str], Any]
) -> None:
    made = fresh(tmp_path, pair, request, 1)
    for step in CHAIN:
        assert killed_after(made, step), step
    assert made.run().status == Status.CONFLICTS
    assert ended(made) == undisturbed[1]


def test_a_kill_after_any_step_changes_nothing_of_how_it_ends(
    tmp_path: Path, request: pytest.FixtureRequest, undisturbed: tuple[list[str], Any]
) -> None:
    steps, expected = undisturbed
    first = {step: number for number, step in reversed(list(enumerate(steps, start=1)))}
    numbers = range(1, len(steps)) if EVERY else [first["commit on target"] + 1, first["commit on source"]]
    for number in numbers:
        made = fresh(tmp_path, ALIKE, request, number)
        assert killed_after(made, number), steps[number - 1]
        outcome = made.run()
        assert outcome.status == Status.CONFLICTS, (number, steps[number - 1], outcome.message)
        assert ended(made) == expected, f"killed after step {number}: {steps[number - 1]}"


@pytest.mark.parametrize("steps", [CHAIN, *((step,) for step in CHAIN[1:3])], ids=lambda steps: "-".join(steps))
def test_a_row_that_is_born_on_one_side_has_no_twin_after_a_kill(
    steps: tuple[str, ...], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    ends = []
    for number in range(2):
        (tmp_path / str(number)).mkdir()
        made = numbered(Scenario.make(tmp_path / str(number), ALIKE, request))
        met(made)
        edit_numbered(made)
        for step in steps if number else ():
            assert killed_after(made, step), step
        assert made.run().status == Status.DONE
        alike(made)
        ends.append((seen(made), pairs(made), pairs(made, "purchase")))
    assert ends[0] == ends[1]
