"""Law of history: a table as of a version is what it held when the version was written down, whatever was planned, applied late, run and
taken back in between."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import chain
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st
from law_examples import slow_examples
from scenario import Engine, Rows, Scenario

from flows import commands
from flows.history.asof import asof
from flows.session.stores import ledger_of
from transforms.vocabulary import PlanError, SpecError

KEYS = range(6)
Step = tuple[str, int, dict[int, int | None]]
"""What is done, to which plan, version or part of the rows, and what people make of rows before it (None: they delete them)."""

steps = st.tuples(
    st.sampled_from(["plan", "apply", "part", "part", "undo"]),
    st.integers(0, 3),
    st.dictionaries(st.sampled_from(KEYS), st.one_of(st.none(), st.integers(0, 2)), max_size=4),
)


class Life:
    """A migration of one table, and what it held after each version."""

    def __init__(self, folder: Path, pair: tuple[Engine, Engine], request: pytest.FixtureRequest) -> None:
        self.shop = Scenario.make(folder, pair, request)
        self.shop.source.execute("CREATE TABLE goods (no integer PRIMARY KEY, n integer)")
        self.shop.target.execute("CREATE TABLE item (no integer PRIMARY KEY, n integer)")
        self.shop.write({"item": {"from": "goods"}}, defaults={"window": 3})
        self.plans: list[str | None] = []
        self.states: dict[int, Rows] = {0: []}

    def take(self, what: str, number: int, edits: dict[int, int | None]) -> None:
        self.shop.source.execute(*chain.from_iterable(_edited(no, n) for no, n in edits.items()))
        shop, at = self.shop, 3 * (number % 2)
        if what == "plan":
            self.plans.append(commands.plan(shop.request("plan")).report.plan)
        elif what == "apply" and self.plans:
            shop.apply(self.plans.pop(number % len(self.plans)))
        elif what == "run":
            shop.run()
        elif what == "part":
            shop.run(ranges=[f"item.no:{at}..{at + 3}"])
        elif what == "undo" and len(self.states) > 1:
            try:
                shop.undo(1 + number % (len(self.states) - 1))
            except (SpecError, PlanError):
                return  # it is taken back already, or did nothing
        self.keep()

    def keep(self) -> None:
        with ledger_of(self.shop.spec) as ledger:
            newest = max((each.version for each in ledger.versions(self.shop.spec.name)), default=0)
        now = self.shop.target.rows("item")
        assert self.states.setdefault(newest, now) == now, "what changes a table is a version"

    def wrong(self) -> list[str]:
        return [
            f"as of {number}: {found} and not {rows}"
            for number, rows in self.states.items()
            if (found := self._at(number)) != rows
        ]

    def _at(self, number: int) -> Rows:
        found = asof(self.shop.spec, number, "item")
        return sorted(zip(*found.select(["no", "n"]).to_pydict().values(), strict=True), key=str)


def _edited(no: int, n: int | None) -> list[str]:
    gone = f"DELETE FROM goods WHERE no = {no}"
    return [gone] if n is None else [gone, f"INSERT INTO goods VALUES ({no}, {n})"]


LATE: list[Step] = [("part", 0, {1: 1}), ("plan", 0, {1: 2, 2: 0, 4: 0}), ("part", 0, {}), ("apply", 0, {})]
"""A plan comes in late: of its rows another run has written some already."""


@example(lived=LATE, whole=False)
@example(lived=[*LATE, ("part", 0, {1: 1})], whole=True)
@slow_examples(4)
@given(lived=st.lists(steps, min_size=4, max_size=9), whole=st.booleans())
def test_a_table_as_of_a_version_is_what_it_held_then(
    lived: Sequence[Step], whole: bool, tmp_path_factory: pytest.TempPathFactory, request: pytest.FixtureRequest
) -> None:
    life = Life(tmp_path_factory.mktemp("life"), ("sqlite", "sqlite"), request)
    if whole:  # history begins before all versions, else behind them
        life.take("run", 0, {})
    for step in lived:
        life.take(*step)
    if len(life.states) == 1:
        return
    life.take("run", 0, {0: 9})
    assert life.wrong() == []
