"""A law of two ways: the mapping changes between rounds, and whatever both sides do, they are equal after one run, and no deleted row is back."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any, NamedTuple

import pytest
from hypothesis import given
from hypothesis import strategies as st
from law_examples import examples
from scenario import Scenario
from two_ways import empty

from flows.commands import Status

KEYS = range(1, 7)
COLUMNS = ("a", "b", "x")
POLICIES: tuple[dict[str, Any], ...] = (
    {"resolve": "merge", "columns": {"a": "longer", "b": "larger", "x": "smaller"}, "delete": "delete_wins"},
    {"resolve": "source_wins", "delete": "update_wins"},
    {"resolve": "target_wins", "by": "field"},
)
Row = tuple[str | None, int, int | None]


class Mapping(NamedTuple):
    """Which columns a spec shows beside the key, which rows, and by which key."""

    columns: tuple[str, ...]
    below: int | None
    key: str


class Round(NamedTuple):
    mapping: Mapping
    edits: tuple[dict[int, Row | None], dict[int, Row | None]]


rows = st.tuples(st.sampled_from([None, "", "p", "long"]), st.integers(0, 9), st.sampled_from([None, 1, 2]))
edits = st.dictionaries(st.sampled_from(KEYS), st.none() | rows, max_size=4)
mappings = st.builds(
    Mapping,
    st.sampled_from([("a", "b"), ("a", "b", "x"), ("b",), ("b", "x")]),
    st.sampled_from([None, None, 4, 7]),
    st.sampled_from(["k", "k", "id"]),
)
rounds = st.lists(st.builds(Round, mappings, st.tuples(edits, edits)), min_size=2, max_size=4)


def write(made: Scenario, mapping: Mapping, policy: dict[str, Any], initial: str) -> None:
    shown = ["k", "id", *mapping.columns]
    columns = {name: rule for name, rule in policy.get("columns", {}).items() if name in shown}
    entry: dict[str, Any] = {"from": "t", "key": [mapping.key], "columns": {name: name for name in shown}}
    entry["conflict"] = {**policy, "columns": columns}
    if mapping.below is not None:
        entry |= dict.fromkeys(("where", "owns"), f"k < {mapping.below}")
    made.write({"t": entry}, direction="two_way", initial=initial, defaults={"window": 2, "delete": {"max_ratio": 1.0}})


def edit(made: Scenario, both: tuple[dict[int, Row | None], dict[int, Row | None]]) -> None:
    for side, some in zip((made.source, made.target), both, strict=True):
        with side.connected() as run:
            for key, row in some.items():
                here = run("SELECT count(*) FROM t WHERE k = ?", [key]).fetchone()[0]
                if row is None:
                    run("DELETE FROM t WHERE k = ?", [key])
                elif here:
                    run("UPDATE t SET a = ?, b = ?, x = ? WHERE k = ?", [*row, key])
                else:
                    run("INSERT INTO t VALUES (?, ?, ?, ?, ?)", [key, key + 100, *row])


@examples(5)
@given(rounds, st.sampled_from(range(len(POLICIES))), st.sampled_from(["policy", "source", "target"]))
def test_sides_come_together_whatever_the_mapping_is_by_then_and_what_was_deleted_stays_so(
    request: pytest.FixtureRequest, history: list[Round], policy: int, initial: str
) -> None:
    with tempfile.TemporaryDirectory(prefix="syncline-law-") as folder:
        made = empty(Path(folder), ("sqlite", "sqlite"), request)
        for side in (made.source, made.target):
            side.execute(
                "CREATE TABLE t (k integer PRIMARY KEY, id integer UNIQUE NOT NULL, a varchar(9), b integer, x integer)"
            )
        made.source.insert("t", [(key, key + 100, "p", 0, None) for key in KEYS])
        write(made, Mapping(("a", "b"), None, "k"), POLICIES[policy], initial)
        assert made.run().status == Status.DONE
        agreed = {row[0]: row for row in made.source.rows("t")}
        for mapping, both in history:
            edit(made, both)
            write(made, mapping, POLICIES[policy], initial)
            shown = f"k, id, {', '.join(mapping.columns)}"
            before = [{row[0]: row for row in side.rows("t")} for side in (made.source, made.target)]
            outcome = made.run()
            assert outcome.status == Status.DONE, outcome.message
            below = mapping.below or 99
            after = [
                {row[0]: row for row in side.rows("t", shown) if row[0] < below} for side in (made.source, made.target)
            ]
            assert after[0] == after[1]
            for key, was in agreed.items():
                here, there = (side.get(key) for side in before)
                one = here if there is None else there
                unedited = one is None or one == was
                if key < below and (here is None or there is None) and unedited:
                    assert key not in after[0], f"{key} is back"
            again = made.run()
            assert not again.report.pending
            assert [notice.code for notice in again.report.warnings if notice.code in ("base_lost", "new_key")] == []
            agreed = {row[0]: row for row in made.source.rows("t") if row[0] < below and row in made.target.rows("t")}
