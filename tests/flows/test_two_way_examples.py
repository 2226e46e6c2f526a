"""Both sides of a migration are edited: what each gets of the other, what stays open, on every pair of engines."""

from __future__ import annotations

import os
from pathlib import Path

import pytest
from scenario import RING, Engine, Scenario, pair_name
from two_way_cases import Case, cases
from two_ways import TwoWays

from flows.commands import Status

ONLY = os.environ.get("TWO_WAY_CASE", "")  # to look at some cases alone: a part of their names
ALL = os.environ.get("TWO_WAY_PAIRS") == "all"  # all cases on all pairs, which takes a quarter of an hour
ENGINES: tuple[Engine, ...] = ("sqlite", "duckdb", "postgresql", "mysql")
PAIRS = tuple((one, other) for one in ENGINES for other in ENGINES) if ALL else RING
SOME = [case for case in cases() if ONLY in case.name]
ONCE = [case for case in SOME if case.rounds == 1]
MORE = [case for case in SOME if case.rounds > 1]


def share(some: list[Case], pair: tuple[Engine, Engine]) -> list[Case]:
    """The cases of a pair: each is on one of them, and with its sides exchanged on SQLite."""
    if ALL or ONLY:
        return some
    turn = PAIRS.index(pair)
    return [case for number, case in enumerate(some) if number % len(PAIRS) == turn]


def ends_well(made: TwoWays) -> None:
    """Every round ends as the cases say; a run without edits writes nothing and has the same open rows."""
    made.meet()
    for number in range(max(case.rounds for case in made.cases)):
        made.edit(number)
        outcome = made.synchronize()
        wrong = list(made.wrong(number, outcome))
        assert not wrong, "\n".join([f"round {number}", *wrong])
        assert outcome.status == (Status.CONFLICTS if made.open_rows() else Status.DONE), outcome.message
        before, open_rows = made.now, made.open_rows()
        again = made.synchronize()
        left = [(table.name, table.counts, table.back) for table in again.report.tables]
        assert not again.report.pending, [each for each in left if each[1].changes or (each[2] and each[2].changes)]
        assert made.now == before
        assert made.open_rows() == open_rows
        assert again.status == outcome.status


@pytest.mark.parametrize("pair", PAIRS, ids=pair_name)
@pytest.mark.parametrize("some", [ONCE, MORE], ids=["at once", "and afterwards"])
def test_both_sides_come_together(
    pair: tuple[Engine, Engine], some: list[Case], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    if mine := share(some, pair):
        ends_well(TwoWays(Scenario.make(tmp_path, pair, request), mine))


@pytest.mark.parametrize("some", [ONCE, MORE], ids=["at once", "and afterwards"])
def test_with_both_sides_exchanged_and_the_policy_with_them_the_outcome_is_exchanged(
    some: list[Case], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    exchanged = [case.exchanged() for case in some]
    if exchanged:
        ends_well(TwoWays(Scenario.make(tmp_path, ("sqlite", "sqlite"), request), exchanged, own_names=True))
