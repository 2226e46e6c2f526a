"""SQLite databases of UTF-16: other bytes, in another order, and two characters less."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from itertools import product
from pathlib import Path

import pytest
from scenario import Scenario, counts, quarantine

LETTERS = "aZéЖāĀ\u0201日\ue000\uffee😀𐀀"  # whose order is another one in each encoding
WORDS = sorted({"".join(pair) for pair in product(LETTERS, repeat=2)})


def wide(small: Scenario, role: str, encoding: str) -> None:
    """Make one side a database of UTF-16, which only an empty one can become."""
    side = small.source if role == "source" else small.target
    with closing(sqlite3.connect(side.place)) as database:
        database.execute(f"PRAGMA encoding = '{encoding}'")
        database.execute("CREATE TABLE other (id integer)")
        database.commit()


@pytest.mark.parametrize(("role", "encoding"), [("source", "UTF-16le"), ("target", "UTF-16be")])
def test_windows_over_texts_of_utf_16_come_to_the_same(
    role: str, encoding: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    small = Scenario.make(tmp_path, ("sqlite", "sqlite"), request)
    wide(small, role, encoding)
    for side in (small.source, small.target):
        side.execute("CREATE TABLE t (k TEXT NOT NULL PRIMARY KEY, v TEXT)")
    small.source.insert("t", [(word, "new") for word in WORDS])
    small.target.insert("t", [(word, "old") for word in WORDS[::3]] + [("gone", "old")])
    small.write({"t": {"from": "t", "window": 7}})
    done = counts(small.run(), "t")
    updated = len(WORDS[::3])
    assert done == {"source_rows": len(WORDS), "insert": len(WORDS) - updated, "update": updated, "delete": 1}
    assert small.target.rows("t") == small.source.rows("t")
    small.settled()
    small.undo(1)
    assert small.target.count("t") == updated + 1


def test_what_utf_16_does_not_hold_is_set_aside(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    small = Scenario.make(tmp_path, ("sqlite", "sqlite"), request)
    wide(small, "target", "UTF-16le")
    for side in (small.source, small.target):
        side.execute("CREATE TABLE t (k INTEGER PRIMARY KEY, v TEXT, j JSON)")
    texts = ["\ufffd", "a\ufffe", "\uffff", "\U0010ffff", "a\0b", None]
    small.source.insert("t", [(number, text, '"\uffff"' if number == 5 else None) for number, text in enumerate(texts)])
    small.write({"t": {"from": "t"}})
    small.run()
    assert [key for _, key, _ in quarantine(small)] == [[1], [2], [5]]
    assert small.target.rows("t", "v") == sorted([("\ufffd",), ("\U0010ffff",), ("a\0b",)], key=str)
    small.settled()
