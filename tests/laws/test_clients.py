"""Law of clients: whoever edits what, whoever runs when and whoever was away, all that have synchronized are equal in the end."""

from __future__ import annotations

import tempfile
from itertools import count
from pathlib import Path

from hypothesis import given
from hypothesis import strategies as st
from law_examples import examples
from many_clients import SERVER, Office, written

from flows.commands import Status

NAMES = ("graz", "linz", "wien")
PLACES = (*NAMES, SERVER)
LARGER = {"resolve": "merge", "delete": "delete_wins", "columns": {"n": "larger", "m": "larger"}}

edits = st.tuples(st.sampled_from(PLACES), st.sampled_from(["insert", "n", "m", "delete"]), st.integers(0, 9))
runs = st.tuples(st.sampled_from(NAMES), st.just("run"), st.just(0))


@examples(6)
@given(st.lists(st.one_of(edits, edits, runs), min_size=4, max_size=14))
def test_all_that_synchronized_are_equal_and_hold_every_edit(steps: list[tuple[str, str, int]]) -> None:
    """Each edit sets a field to more than any before, and the larger value wins: so the last of each field has to be there."""
    with tempfile.TemporaryDirectory() as folder:
        office = Office.make(Path(folder), NAMES, tables={"t": {"from": "t", "conflict": LARGER}})
        last: dict[str, dict[str, int]] = {}
        gone: set[str] = set()
        clock = count(1)
        for place, act, pick in steps:
            if act == "run":
                assert office.run(place).status is Status.DONE
                continue
            if act == "insert":
                number = next(clock)
                key = f"{place} {number}"
                office.execute(place, "INSERT INTO t VALUES (?, ?, ?)", [(key, number, number)])
                last[key] = {"n": number, "m": number}
                continue
            there = [row[0] for row in office.rows(place)]
            if not there:
                continue
            key = there[pick % len(there)]
            if act == "delete":
                office.execute(place, "DELETE FROM t WHERE k = ?", [(key,)])
                gone.add(key)
            else:
                last[key][act] = next(clock)
                office.execute(place, f"UPDATE t SET {act} = ? WHERE k = ?", [(last[key][act], key)])
        for _ in range(2):  # from each to the server, and from the server to those that ran before
            assert all(outcome.status is Status.DONE for outcome in office.run_all())
        wanted = sorted((key, each["n"], each["m"]) for key, each in last.items() if key not in gone)
        assert {place: office.rows(place) for place in PLACES} == dict.fromkeys(PLACES, wanted)
        assert [written(outcome) for outcome in office.run_all()] == [0] * len(NAMES)
