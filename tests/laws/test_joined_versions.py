"""Law of versions that are one: to take them back is to take each of them back, the newest first, whatever came before and after."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from contextlib import closing
from pathlib import Path

import pytest
from hypothesis import given, note
from hypothesis import strategies as st
from law_examples import slow_examples
from scenario import Scenario, Side

from flows.history.version_list import listed
from transforms.vocabulary import SpecError

TABLE = {"b": {"from": "a", "key": ["id"], "columns": {"id": "id", "n": "n"}}}
KEYS = range(1, 5)
EDITS = st.lists(st.tuples(*[st.sampled_from(("same", "new", "gone"))] * len(KEYS)), min_size=3, max_size=6)
"""What each state does to each row. A value never comes back: an undo would take its row for one that nobody changed since."""


def states_of(edits: list[tuple[str, ...]]) -> list[dict[int, int]]:
    states, now = list[dict[int, int]](), dict[int, int]()
    for number, some in enumerate(edits):
        for key, edit in zip(KEYS, some, strict=True):
            if edit == "new":
                now[key] = number
            elif edit == "gone":
                now.pop(key, None)
        states.append(dict(now))
    return states


@slow_examples(4)
@given(edits=EDITS, data=st.data())
def test_taking_back_what_is_one_is_taking_back_each(edits: list[tuple[str, ...]], data: st.DataObject) -> None:
    states = states_of(edits)
    with tempfile.TemporaryDirectory() as folder:
        shop = made(Path(folder), states)
        last = listed(shop.spec)[0]["version"] if listed(shop.spec) else 0
        if last < 2:
            return
        first = data.draw(st.integers(1, last - 1))
        some = range(first, data.draw(st.integers(first + 1, last)) + 1)
        note((states, some))
        kept = Path(folder) / "kept"
        shutil.copytree(shop.folder, kept)
        join(shop.folder, some)
        shop.undo(data.draw(st.sampled_from(some)))
        found = shop.target.rows("b")
        newest = listed(shop.spec)[0]
        if newest["undoes"] == list(some) and not left_alone(shop):  # else they were nothing together
            with pytest.raises(SpecError):
                shop.undo(some[0])
            shop.undo(newest["version"])
            assert shop.target.rows("b") == sorted(states[-1].items(), key=str), "and back again"
        for name in ("core.db", "ledger.db"):
            shutil.copy(kept / name, shop.folder / name)
        shutil.rmtree(shop.folder / "store")
        shutil.copytree(kept / "store", shop.folder / "store")
        for number in reversed(some):
            shop.undo(number)
        assert shop.target.rows("b") == found


def left_alone(shop: Scenario) -> bool:
    """Whether the newest run left rows as they were."""
    with closing(sqlite3.connect(shop.folder / "ledger.db")) as ledger:
        status = ledger.execute("SELECT status FROM runs ORDER BY started_at DESC, run_id DESC LIMIT 1").fetchone()
    return bool(status[0] == "conflicts")


def made(folder: Path, states: list[dict[int, int]]) -> Scenario:
    """A table that was brought to each of some states."""
    place = folder / "shop"
    place.mkdir()
    shop = Scenario(place, Side("sqlite", str(place / "legacy.db")), Side("sqlite", str(place / "core.db")))
    shop.source.execute("CREATE TABLE a (id integer PRIMARY KEY, n int)")
    shop.target.execute("CREATE TABLE b (id integer PRIMARY KEY, n int)")
    shop.write(TABLE)
    for state in states:
        shop.source.execute("DELETE FROM a")
        shop.source.insert("a", list(state.items()))
        shop.run()
    return shop


def join(folder: Path, some: range) -> None:
    """What batches of following do to their versions."""
    with closing(sqlite3.connect(folder / "ledger.db")) as ledger, ledger:
        ledger.execute("UPDATE versions SET joined = ? WHERE version BETWEEN ? AND ?", (some[0], some[0], some[-1]))
