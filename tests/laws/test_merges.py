"""The law of several sources: whatever rows they have, the target is theirs without what clashes, and an undo takes it back."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from hypothesis import given
from hypothesis import strategies as st
from law_examples import examples
from scenario import Scenario, Side, counts

Rows = dict[int, str]

ROWS = st.dictionaries(st.integers(0, 7), st.sampled_from(["a", "b", "ä"]), max_size=6)
STATES = st.lists(st.tuples(ROWS, ROWS), min_size=2, max_size=2)


def put(source: Side, state: tuple[Rows, Rows]) -> None:
    for table, rows in zip(("person", "company"), state, strict=True):
        source.execute(f"DELETE FROM {table}")
        source.insert(table, list(rows.items()))


def expected(state: tuple[Rows, Rows], before: dict[int, Any]) -> dict[int, tuple[str, str]]:
    """What the target holds then: rows of keys that one source has, and what is there of keys that both have."""
    found = {key: (name, kind) for kind, rows in zip("pc", state, strict=True) for key, name in rows.items()}
    clashing = state[0].keys() & state[1].keys()
    return {key: row for key, row in found.items() if key not in clashing} | {
        key: before[key] for key in clashing if key in before
    }


@examples(3)
@given(states=STATES, window=st.integers(1, 4))
def test_two_states_of_two_sources_follow_each_other_and_come_back(
    states: list[tuple[Rows, Rows]], window: int
) -> None:
    with TemporaryDirectory() as name:
        folder = Path(name)
        sides = [Side("sqlite", str(folder / f"{each}.db")) for each in ("legacy", "core")]
        shop = Scenario(folder, sides[0], sides[1])
        for table in ("person", "company"):
            shop.source.execute(f"CREATE TABLE {table} (id integer NOT NULL PRIMARY KEY, name text)")
        shop.target.execute("CREATE TABLE party (id integer NOT NULL PRIMARY KEY, name text, kind text)")
        parts = [{"table": table, "columns": {"kind": {"const": table[0]}}} for table in ("person", "company")]
        entry = {"from": parts, "key": ["id"], "columns": {"id": "id", "name": "name"}}
        shop.write({"party": entry}, defaults={"window": {"rows": window}})
        there: dict[int, Any] = {}
        for state in states:
            put(shop.source, state)
            before, there = there, expected(state, there)
            done = shop.run()
            assert {key: row for key, *row in shop.target.rows("party")} == {
                key: list(row) for key, row in there.items()
            }
            both = Counter(key for rows in state for key in rows)
            assert counts(done, "party").get("quarantined", 0) == 2 * sum(rows == 2 for rows in both.values())
            shop.settled()
        if done.report.version:
            shop.undo(done.report.version)
            assert {key: tuple(row) for key, *row in shop.target.rows("party")} == before
