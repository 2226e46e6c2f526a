"""The adapter contract: changes go in together and once, and a row that is not as planned becomes a conflict."""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest
from contract import ID, a_shape, change, col, edited, load, make, read, rows_of, simple
from databases import Database

from adapters.protocol import Target
from transforms.vocabulary import Applied, ChangeSet, Marker, PlanError, TableName, TableShape


def test_inserts_updates_and_deletes_go_in_together(adapter: Target) -> None:
    shape, rows = simple(adapter)
    after = edited(rows.slice(0, 1), "name", ["new"])
    more = rows_of(shape, {"id": 9, "name": None, "n": 0})
    applied = adapter.apply(
        change(shape, inserts=more, before=rows.slice(0, 1), after=after, deletes=rows.slice(1, 1)), shape, None
    )
    assert applied == Applied(1, 1, 1)
    assert read(adapter, shape, ("id",)).to_pylist() == [
        *after.to_pylist(),
        *rows.slice(2).to_pylist(),
        *more.to_pylist(),
    ]


def test_only_compared_columns_are_a_precondition(adapter: Target, database: Database) -> None:
    shape, rows = simple(adapter)
    database.execute("UPDATE simple SET n = -1")
    changes = change(shape, before=rows, after=edited(rows, "name", ["x", "y", "z"]), compared=("id", "name"))
    assert adapter.apply(changes, shape, None) == Applied(updated=3)
    assert read(adapter, shape, ("id",))["n"].to_pylist() == [-1, -1, -1]  # what was not changed was not written


CHANGED: dict[str, Callable[[TableShape, pa.Table], ChangeSet]] = {
    "update": lambda shape, rows: change(shape, before=rows, after=edited(rows, "name", ["a", "b", "c"])),
    "delete": lambda shape, rows: change(shape, deletes=rows),
    "insert": lambda shape, rows: change(shape, inserts=edited(rows, "name", ["a", "b", "c"])),
}


@pytest.mark.parametrize("op", CHANGED)
def test_a_row_that_is_not_as_planned_becomes_a_conflict_and_is_left_alone(
    adapter: Target, database: Database, op: str
) -> None:
    shape, rows = simple(adapter)
    if op == "insert":
        database.execute("DELETE FROM simple WHERE id <> 2")
    database.execute("UPDATE simple SET name = 'edited' WHERE id = 2")
    applied = adapter.apply(CHANGED[op](shape, rows), shape, None)
    assert (applied.inserted, applied.updated, applied.deleted) == tuple(
        2 * (op == each) for each in ("insert", "update", "delete")
    )
    assert applied.conflicts is not None
    (conflict,) = applied.conflicts.to_pylist()
    assert applied.conflicts.column_names == ["op", "key", "before", "after", "found"]
    assert (conflict["op"], conflict["key"]) == (op, {"id": 2})
    assert conflict["found"] == {"id": 2, "name": "edited", "n": 20}
    assert conflict["before"] == (None if op == "insert" else {"id": 2, "name": "row 2", "n": 20})
    assert conflict["after"] == (None if op == "delete" else {"id": 2, "name": "b", "n": 20})
    there = {row["id"]: row["name"] for row in read(adapter, shape).to_pylist()}
    assert there == ({2: "edited"} if op == "delete" else {1: "a", 2: "edited", 3: "c"})


def test_an_update_of_a_row_that_is_gone_is_a_conflict_without_a_found_row(adapter: Target, database: Database) -> None:
    shape, rows = simple(adapter)
    database.execute("DELETE FROM simple WHERE id = 3")
    applied = adapter.apply(CHANGED["update"](shape, rows), shape, None)
    assert applied.updated == 2
    assert applied.conflicts is not None
    assert applied.conflicts["found"].to_pylist() == [None]
    assert applied.conflicts["key"].to_pylist() == [{"id": 3}]


OTHERS = {  # what somebody else does to row 3 just as it is planned
    "update": "UPDATE simple SET name = 'c' WHERE id = 3",
    "delete": "DELETE FROM simple WHERE id = 3",
    "insert": "INSERT INTO simple VALUES (3, 'c', 30)",
}


@pytest.mark.parametrize("op", CHANGED)
@pytest.mark.parametrize("empty", [False, True])
def test_what_somebody_else_did_just_as_planned_is_not_counted_as_written(
    adapter: Target, database: Database, op: str, empty: bool
) -> None:
    shape, rows = simple(adapter)
    if op == "insert":
        database.execute("DELETE FROM simple")
    database.execute(OTHERS[op])
    applied = adapter.apply(CHANGED[op](shape, rows), shape, None, empty=empty)
    assert (applied.inserted, applied.updated, applied.deleted) == tuple(
        2 * (op == each) for each in ("insert", "update", "delete")
    )
    assert applied.conflicts is None
    assert applied.by_others is not None
    (theirs,) = applied.by_others.to_pylist()
    assert (theirs["op"], theirs["key"]) == (op, {"id": 3})
    assert theirs["before"] == (None if op == "insert" else {"id": 3, "name": "row 3", "n": 30})
    assert theirs["after"] == (None if op == "delete" else {"id": 3, "name": "c", "n": 30})
    assert read(adapter, shape).num_rows == (0 if op == "delete" else 3)


@pytest.mark.parametrize("op", CHANGED)
def test_applying_again_writes_nothing_and_is_no_conflict(adapter: Target, database: Database, op: str) -> None:
    shape, rows = simple(adapter)
    if op == "insert":
        database.execute("DELETE FROM simple")
    changes = CHANGED[op](shape, rows)
    adapter.apply(changes, shape, None)
    there = read(adapter, shape, ("id",))
    again = adapter.apply(changes, shape, None)
    assert (again.inserted, again.updated, again.deleted, again.conflicts) == (0, 0, 0, None)
    assert again.by_others is not None and again.by_others.num_rows == 3
    assert read(adapter, shape, ("id",)).equals(there)


def test_null_is_a_value_of_a_precondition(adapter: Target, database: Database) -> None:
    shape, _ = simple(adapter)
    database.execute("UPDATE simple SET name = NULL WHERE id = 1", "UPDATE simple SET name = '' WHERE id = 2")
    rows = read(adapter, shape, ("id",))
    assert rows["name"].to_pylist() == [None, "", "row 3"]
    swapped = edited(rows, "name", ["", None, "NULL"])
    assert adapter.apply(change(shape, before=rows, after=swapped), shape, None) == Applied(updated=3)
    assert adapter.apply(change(shape, deletes=rows), shape, None).conflicts is not None
    assert read(adapter, shape, ("id",)).equals(swapped)


def test_a_marked_window_is_applied_once(adapter: Target) -> None:
    shape, rows = simple(adapter)
    markers = [
        Marker("m", "plan 1", "t", 0, "upsert"),
        Marker("m", "plan 1", "t", 0, "delete"),
        Marker("m", "plan 1", "t", 1),
    ]
    assert adapter.applied("plan 1") == set()
    assert adapter.writers(TableName("t")) == adapter.plans_by("m", TableName("t")) == set()
    gone = change(shape, deletes=rows)
    for marker, part in zip(markers, range(3), strict=True):
        assert adapter.apply(change(shape, deletes=rows.slice(part, 1)), shape, marker) == Applied(deleted=1)
    back = change(shape, inserts=rows)
    assert adapter.apply(back, shape, None) == Applied(inserted=3)
    for marker in markers:
        assert adapter.apply(gone, shape, marker) == Applied(already=True)
    assert read(adapter, shape).num_rows == 3
    assert adapter.applied("plan 1") == set(markers)
    assert adapter.applied("plan 2") == set()
    assert adapter.writers(TableName("t")) == {"m"}
    assert adapter.writers(TableName("u")) == set()
    assert adapter.plans_by("m", TableName("t")) == {"plan 1"}
    assert adapter.plans_by("m", TableName("u")) == adapter.plans_by("n", TableName("t")) == set()
    assert [each.name for each in adapter.tables()] == ["simple"]


@pytest.mark.parametrize("taken", ["by the same row", "by another"])
def test_a_straight_load_falls_back_where_a_key_is_taken(adapter: Target, taken: str) -> None:
    shape, rows = simple(adapter)
    more = rows_of(
        shape,
        {"id": 3, "name": "row 3" if taken == "by the same row" else "x", "n": 30},
        {"id": 4, "name": "d", "n": 1},
    )
    applied = adapter.apply(change(shape, inserts=more), shape, Marker("m", "p", "t", 0), empty=True)
    assert read(adapter, shape, ("id",)).slice(0, 3).equals(rows)
    assert read(adapter, shape).num_rows == 4
    assert (applied.conflicts is None) == (taken == "by the same row")
    assert adapter.applied("p") == {Marker("m", "p", "t", 0)}


def test_composite_keys_are_tuples(adapter: Target) -> None:
    columns = [col("a", pa.string(), nullable=False), col("b", pa.string(), nullable=False), col("v", pa.int64())]
    shape = make(adapter, a_shape("tuples", columns, ("a", "b")))
    rows = rows_of(
        shape,
        {"a": "a|b", "b": "c", "v": 1},
        {"a": "a", "b": "b|c", "v": 2},
        {"a": "1", "b": "23", "v": 3},
        {"a": "12", "b": "3", "v": 4},
    )
    load(adapter, shape, rows, ("a", "b"))
    changes = change(
        shape, ("a", "b"), before=rows.slice(0, 1), after=edited(rows.slice(0, 1), "v", [9]), deletes=rows.slice(2, 1)
    )
    assert adapter.apply(changes, shape, None) == Applied(updated=1, deleted=1)
    assert read(adapter, shape, ("a", "b")).to_pylist() == [
        {"a": "12", "b": "3", "v": 4}, {"a": "a", "b": "b|c", "v": 2}, {"a": "a|b", "b": "c", "v": 9},
    ]  # fmt: skip


def test_keys_without_an_index_work_too(adapter: Target) -> None:
    shape, rows = simple(adapter, count=2000)
    changes = change(shape, ("name",), before=rows, after=edited(rows, "n", [0] * 2000))
    assert adapter.apply(changes, shape, None, empty=True) == Applied(updated=2000)


def test_what_a_window_did_is_told_before_it_is_committed(adapter: Target) -> None:
    shape = make(adapter, a_shape("told", [ID, col("name", pa.string())]))
    told: list[Applied] = []
    rows = rows_of(shape, {"id": 1, "name": "a"}, {"id": 2, "name": "b"})
    marker = Marker("m", "p", "told", 0)
    for empty in (True, False):
        adapter.apply(change(shape, inserts=rows), shape, marker, empty=empty, before_commit=told.append)
    assert [each.inserted for each in told] == [2], "a window that is in is not told again"
    assert read(adapter, shape).num_rows == 2

    def refused(applied: Applied) -> None:
        assert applied.conflicts is not None and applied.conflicts.num_rows == 1
        raise PlanError("no room")

    other = rows_of(shape, {"id": 2, "name": "other"}, {"id": 3, "name": "c"})
    with pytest.raises(PlanError, match="no room"):
        adapter.apply(change(shape, inserts=other), shape, Marker("m", "p", "told", 1), before_commit=refused)
    assert read(adapter, shape).num_rows == 2
    assert adapter.applied("p") == {marker}


def test_windows_may_be_applied_from_several_threads(adapter: Target) -> None:
    shape = make(adapter, a_shape("shared", [ID, col("t", pa.string())]))

    def apply(window: int) -> int:
        rows = rows_of(shape, *({"id": window * 100 + i, "t": "x"} for i in range(100)))
        return adapter.apply(change(shape, inserts=rows), shape, Marker("m", "p", "shared", window)).inserted

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(apply, range(8))) == 800
    assert read(adapter, shape).num_rows == 800
    assert len(adapter.applied("p")) == 8
