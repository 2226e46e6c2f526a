"""Rows that cannot be read: set aside in the source, and named where they stand in the target's way."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from contract import simple
from scenario import Engine, Scenario, counts, quarantine

from adapters.protocol import Snapshot, Target
from flows.session import scan
from transforms.vocabulary import DataError, Relation

UNREADABLE: dict[Engine, tuple[str, str, str]] = {
    "sqlite": ("integer", "'abc'", "text 'abc' is not an integer"),
    "postgresql": ("timestamp", "'294276-12-31'", "the timestamp is beyond 294247-01-10"),
}


@pytest.fixture(params=UNREADABLE)
def scenario(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """An engine's table with a row that cannot travel, and a like one without."""
    engine: Engine = request.param
    made = Scenario.make(tmp_path, (engine, engine), request)
    for side in (made.source, made.target):
        side.execute(f"CREATE TABLE t (id integer PRIMARY KEY, v {UNREADABLE[engine][0]})")
    made.write({"t": {"from": "t"}})
    return made


def put(side: Any, engine: Engine) -> None:
    side.execute(f"INSERT INTO t VALUES (1, {UNREADABLE[engine][1]})", "INSERT INTO t VALUES (2, NULL)")


def test_a_source_row_that_cannot_be_read_is_set_aside_with_its_reason(scenario: Scenario) -> None:
    engine = scenario.source.engine
    put(scenario.source, engine)
    assert counts(scenario.run(), "t") == {"source_rows": 2, "insert": 1, "quarantined": 1}
    ((table, key, reason),) = quarantine(scenario)
    assert (table, key) == ("t", [1])
    assert reason.startswith(f"column v: {UNREADABLE[engine][2]}")


def test_a_target_row_that_cannot_be_read_stops_the_plan_and_is_named(scenario: Scenario) -> None:
    engine = scenario.target.engine
    put(scenario.target, engine)
    assert scenario.target.count("t") == 2
    with pytest.raises(DataError, match=r"t in the target key \[1\]: column v: .*Fix: correct them in the target"):
        scenario.plan()
    assert scenario.target.count("t") == 2


def test_rows_are_read_by_their_keys(roomy: Target) -> None:
    shape, rows = simple(roomy, "looked up", 12)
    with roomy.snapshot() as snapshot:
        for wanted in ([], [1], [12, 3, 7, 8], [*range(1, 13)], [5, 99, -1], [99]):
            asked = pa.table({"id": pa.array(wanted, pa.int64())})
            found = scan.rows_by_key(snapshot, shape, ["name"], asked, ("id",)).sort_by("id")
            assert found.to_pylist() == [
                {"id": row["id"], "name": row["name"]} for row in rows.to_pylist() if row["id"] in wanted
            ]


class Forgetful:
    """A snapshot that finds every other key alone by its value."""

    def __init__(self, snapshot: Snapshot) -> None:
        self.snapshot = snapshot

    def scan(self, relation: Relation, columns: list[str], keys: pa.Table | None = None) -> Iterator[pa.RecordBatch]:
        few = None if keys is None else keys.take(pa.array(range(0, keys.num_rows, 2)))
        return self.snapshot.scan(relation, columns, keys=few)


def test_rows_that_are_not_found_by_their_keys_are_looked_for_in_all_rows(roomy: Target) -> None:
    shape, _ = simple(roomy, "looked up twice", 12)
    with roomy.snapshot() as snapshot:
        asked = pa.table({"id": pa.array([3, 5, 7, 9, 99], pa.int64())})
        found = scan.rows_by_key(Forgetful(snapshot), shape, ["name"], asked, ("id",))  # type: ignore[arg-type]
    assert sorted(found["id"].to_pylist()) == [3, 5, 7, 9]
