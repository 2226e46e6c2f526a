"""The adapter contract: constraints of the target hold, and what breaks one leaves nothing behind."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
import pytest
from contract import ID, a_shape, change, col, constrained, edited, load, make, read, rows_of, simple
from databases import Database

from adapters.protocol import Target
from transforms.vocabulary import Applied, ChangeSet, ForeignKey, Marker, SynclineError, TableName


def everything_there(database: Database) -> list[tuple[Any, ...]]:
    """All relations, temporary ones too, as another connection sees them."""
    catalog = {
        "sqlite": "SELECT name FROM sqlite_schema UNION ALL SELECT name FROM sqlite_temp_schema ORDER BY 1",
        "parquet": "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database() ORDER BY 1",
        "duckdb": "SELECT table_name FROM duckdb_tables() UNION ALL SELECT view_name FROM duckdb_views() WHERE NOT internal ORDER BY 1",
        "postgresql": "SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace "
        "WHERE nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') ORDER BY 1",
        "mysql": "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY 1",
    }  # fmt: skip
    return database.execute(catalog[database.engine])


@pytest.mark.parametrize("empty", [True, False], ids=["straight", "staged"])
def test_an_error_rolls_back_and_leaves_nothing_behind(adapter: Target, database: Database, empty: bool) -> None:
    shape = make(adapter, a_shape("strict", [ID, col("must", pa.string(), nullable=False)]))
    rows = rows_of(shape, {"id": 1, "must": "a"})
    adapter.apply(change(shape, inserts=rows), shape, Marker("m", "p", "t", 0))
    before = everything_there(database)
    bad = pa.table({"id": [2, 3], "must": ["b", None]}, schema=shape.schema())
    changes = change(shape, inserts=bad, deletes=None if empty else rows)
    with pytest.raises(SynclineError, match="must"):
        adapter.apply(changes, shape, Marker("m", "p", "t", 1), empty=empty)
    assert everything_there(database) == before
    assert read(adapter, shape).equals(rows)
    assert adapter.applied("p") == {Marker("m", "p", "t", 0)}
    good = change(shape, inserts=edited(bad, "must", ["b", "c"]))
    assert adapter.apply(good, shape, Marker("m", "p", "t", 1), empty=empty) == Applied(inserted=2)


def test_ddl_that_fails_leaves_nothing_behind(adapter: Target, database: Database) -> None:
    shape, _ = simple(adapter)
    before = everything_there(database)
    with pytest.raises(SynclineError, match="simple"):
        adapter.execute_ddl([*adapter.ddl(a_shape("fresh", [ID])), *adapter.ddl(shape)])
    assert everything_there(database) == before


@constrained
def test_two_rows_swap_a_unique_value(adapter: Target) -> None:
    columns = [ID, col("code", pa.string(), nullable=False), col("n", pa.int64()), col("other", pa.string())]
    uniques = frozenset({frozenset({"code"}), frozenset({"n"})})
    shape = make(adapter, a_shape("swap", columns, uniques=uniques))
    rows = rows_of(shape, *({"id": i, "code": f"c{i}", "n": i, "other": "kept"} for i in range(1, 5)))
    load(adapter, shape, rows)
    after = edited(edited(rows, "code", ["c2", "c1", "c4", "c3"]), "n", [2, 3, 4, 1])
    written = tuple(name for name in shape.names if name != "other")
    parts = [each.select(written) for each in (rows.slice(0, 0), rows, after, rows.slice(0, 0))]
    changes = ChangeSet(shape.name, ("id",), written, *parts)
    assert adapter.apply(changes, shape, None) == Applied(updated=4)
    assert read(adapter, shape, ("id",)).equals(after)


@constrained
def test_a_unique_value_passes_from_a_deleted_row_to_an_updated_and_on_to_a_new_one(adapter: Target) -> None:
    columns = [ID, col("code", pa.string(), nullable=False)]
    shape = make(adapter, a_shape("pass", columns, uniques=frozenset({frozenset({"code"})})))
    rows = rows_of(shape, {"id": 1, "code": "a"}, {"id": 2, "code": "b"})
    load(adapter, shape, rows)
    changes = change(
        shape,
        deletes=rows.slice(0, 1),
        before=rows.slice(1),
        after=edited(rows.slice(1), "code", ["a"]),
        inserts=rows_of(shape, {"id": 3, "code": "b"}),
    )
    assert adapter.apply(changes, shape, None) == Applied(1, 1, 1)
    assert read(adapter, shape, ("id",)).to_pylist() == [{"id": 2, "code": "a"}, {"id": 3, "code": "b"}]


@constrained
def test_a_tree_loads_in_one_window_whatever_its_order(adapter: Target) -> None:
    foreign = (ForeignKey(("parent",), TableName("tree"), ("id",)),)
    shape = make(adapter, a_shape("tree", [ID, col("parent", pa.int64())], foreign_keys=foreign))
    rows = rows_of(
        shape, {"id": 1, "parent": 3}, {"id": 2, "parent": 1}, {"id": 3, "parent": None}, {"id": 4, "parent": 2}
    )
    assert load(adapter, shape, rows) == Applied(inserted=4)
    assert read(adapter, shape, ("id",)).equals(rows)


@constrained
def test_a_missing_parent_is_an_error_and_nothing_stays(adapter: Target) -> None:
    make(adapter, a_shape("parent", [ID]))
    foreign = (ForeignKey(("parent",), TableName("parent"), ("id",)),)
    shape = make(adapter, a_shape("child", [ID, col("parent", pa.int64())], foreign_keys=foreign))
    for empty in (True, False):
        with pytest.raises(SynclineError, match="child"):
            adapter.apply(change(shape, inserts=rows_of(shape, {"id": 1, "parent": 7})), shape, None, empty=empty)
    assert read(adapter, shape).num_rows == 0


@constrained
def test_identity_values_are_kept_and_the_sequence_moves_past_them(adapter: Target, database: Database) -> None:
    columns = [col("id", pa.int64(), nullable=False, identity=True), col("code", pa.string(), nullable=False)]
    shape = make(adapter, a_shape('Or"der', columns, ("code",)))
    identity = shape.column("id")
    assert identity is not None
    assert identity.identity
    assert shape.primary_key == ("id",)
    assert frozenset({"code"}) in shape.uniques
    adapter.advance_identity(shape.name, "id")
    rows = rows_of(shape, {"id": 7, "code": "a"}, {"id": 41, "code": "b"})
    load(adapter, shape, rows, ("code",))
    for _ in range(2):
        adapter.advance_identity(shape.name, "id")
    database.execute('INSERT INTO "Or""der" (code) VALUES (\'c\')')
    assert read(adapter, shape, ("id",))["id"].to_pylist() == [7, 41, 42]
    adapter.advance_identity(shape.name, "code" if database.engine == "sqlite" else "id")
    far = rows_of(shape, {"id": 10**12, "code": "far"})
    load(adapter, shape, far, ("code",))
    adapter.advance_identity(shape.name, "id")
    database.execute('INSERT INTO "Or""der" (code) VALUES (\'next\')')
    assert read(adapter, shape, ("id",))["id"].to_pylist()[-1] == 10**12 + 1
