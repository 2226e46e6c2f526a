"""The law of circles: whatever two states a ring of tables has, a run turns one into the other, and an undo turns it back."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from law_examples import examples
from scenario import Engine, Scenario

from flows.commands import Status

RING = (("a", "b"), ("b", "c"), ("c", "a"))
State = dict[str, dict[int, int | None]]
"""Of each table the rows: the key, and the row of the next table that it refers to."""


@st.composite
def states(draw: st.DrawFn) -> State:
    """Rows of which each refers to one that is there. Those of `c` may refer to nothing."""
    ids = {name: draw(st.sets(st.integers(1, 4), min_size=1, max_size=3)) for name, _ in RING}
    if draw(st.sampled_from([False, False, False, True])):
        return {name: {} for name, _ in RING}

    def other(name: str, refers: str) -> int | None:
        there = st.sampled_from(sorted(ids[refers]))
        return draw(st.one_of(there, st.none()) if name == "c" else there)

    return {name: {key: other(name, refers) for key in ids[name]} for name, refers in RING}


def make(shop: Scenario, engine: Engine) -> None:
    for side in (shop.source, shop.target):
        for name, refers in RING:
            key = f", FOREIGN KEY (r) REFERENCES {refers} (id)" if engine == "sqlite" and side is shop.target else ""
            null = "" if name == "c" else " NOT NULL"
            side.execute(f"CREATE TABLE {name} (id integer PRIMARY KEY, r integer{null}{key})")
    for name, refers in RING if engine != "sqlite" else ():
        shop.target.execute(f"ALTER TABLE {name} ADD FOREIGN KEY (r) REFERENCES {refers} (id)")
    if engine == "postgresql":  # the one that takes no nulls can wait
        shop.target.execute("ALTER TABLE b DROP CONSTRAINT b_r_fkey, ADD FOREIGN KEY (r) REFERENCES c DEFERRABLE")
    shop.write({name: {"from": name} for name, _ in RING}, defaults={"window": 2})


@pytest.mark.parametrize("engine", ["postgresql", "mysql", "sqlite"])
def test_any_state_of_a_ring_becomes_any_other_and_back(
    engine: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = Scenario.make(tmp_path, ("sqlite", engine), request)
    make(shop, engine)
    versions: list[Any] = [0]

    def come(state: State) -> None:
        shop.source.execute(*(f"DELETE FROM {name}" for name, _ in RING))
        for name, rows in state.items():
            shop.source.insert(name, list(rows.items()))
        done = shop.run()
        assert done.status == Status.DONE
        assert shop.target.content() == {name: sorted(rows.items(), key=str) for name, rows in state.items()}
        assert not shop.plan().report.pending
        versions[0] = done.report.version or versions[0]

    @examples(2)
    @given(states(), states())
    def law(one: State, other: State) -> None:
        come(one)
        before, was = shop.target.content(), versions[0]
        come(other)
        if versions[0] != was:
            done = shop.undo(versions[0])
            assert shop.target.content() == before
            versions[0] = done.report.version

    law()
