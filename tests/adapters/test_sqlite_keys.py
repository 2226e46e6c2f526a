"""Keys in SQLite: spellings, mixed classes, collations, and the indexes that serve windows."""

from __future__ import annotations

import sqlite3
from contextlib import closing
from datetime import datetime
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from sqlite_tables import adapter as adapter
from sqlite_tables import change, read, run, shape_of
from sqlite_tables import path as path

from adapters.sqlite.adapter import SqliteAdapter
from transforms.vocabulary import Applied, DataError, KeyRange, Relation, TableName

SPELLINGS = {
    "blank": ["2024-01-01 10:00:00", "2024-01-01 10:00:00.500000", "2024-01-02 00:00:00"],
    "always six digits": ["2024-01-01 10:00:00.000000", "2024-01-01 10:00:00.500000", "2024-01-02 00:00:00.000000"],
    "T": ["2024-01-01T10:00:00", "2024-01-01T10:00:00.500000", "2024-01-02T00:00:00"],
    "milliseconds": ["2024-01-01T10:00:00.000", "2024-01-01T10:00:00.500", "2024-01-02T00:00:00.000"],
}


@pytest.mark.parametrize("spelling", SPELLINGS)
def test_a_key_of_timestamps_is_found_in_the_spelling_of_its_column(
    adapter: SqliteAdapter, path: Path, spelling: str
) -> None:
    texts = SPELLINGS[spelling]
    run(
        path,
        "CREATE TABLE t (at TIMESTAMP PRIMARY KEY, v TEXT)",
        "INSERT INTO t VALUES (?, 'x')",
        values=[(t,) for t in texts],
    )
    shape = shape_of(adapter, "t")
    moments = [datetime(2024, 1, 1, 10), datetime(2024, 1, 1, 10, 0, 0, 500000), datetime(2024, 1, 2)]
    assert ("at",) in shape.ordered
    assert [row["at"] for row in read(adapter, "t", ("at",))] == moments
    assert [row["at"] for row in read(adapter, "t", ("at",), within=KeyRange((moments[1],), (moments[2],)))] == [
        moments[1]
    ]
    rows = pa.Table.from_pylist([{"at": each, "v": "x"} for each in moments], shape.schema())
    after = rows.set_column(1, "v", pa.array(["a", "b", "c"]))
    assert adapter.apply(change(shape, ("at",), before=rows, after=after), shape, None) == Applied(updated=3)
    assert adapter.apply(change(shape, ("at",), inserts=after), shape, None).conflicts is None
    with closing(sqlite3.connect(path)) as connection:
        assert [text for (text,) in connection.execute("SELECT at FROM t ORDER BY 1")] == texts


def test_timestamps_in_mixed_spellings_are_read_in_order_but_not_written_by(adapter: SqliteAdapter, path: Path) -> None:
    texts = [
        "2024-01-01T10:00:00",
        "2024-01-01 11:00:00",
        "2024-01-01 09:00",
        "infinity",
        "2024-01-01T10:30:00.5",
        "-infinity",
    ]
    run(
        path,
        "CREATE TABLE t (at TIMESTAMP PRIMARY KEY, id INT)",
        "INSERT INTO t VALUES (?, ?)",
        values=list(zip(texts, range(6), strict=True)),
    )
    assert [row["id"] for row in read_ids(adapter, "t", ("at",))] == [5, 2, 0, 4, 1, 3]
    window = KeyRange((datetime(2024, 1, 1, 10),), (datetime(2024, 1, 1, 11),))
    assert [row["id"] for row in read_ids(adapter, "t", ("at",), window)] == [0, 4]
    shape = shape_of(adapter, "t")
    rows = pa.Table.from_pylist([{"at": datetime(2024, 1, 1, 10), "id": 0}], shape.schema())
    with pytest.raises(DataError, match="in several ways"):
        adapter.apply(change(shape, ("at",), deletes=rows), shape, None)


def read_ids(
    adapter: SqliteAdapter, name: str, key: tuple[str, ...], within: KeyRange = KeyRange()
) -> list[dict[str, Any]]:
    with adapter.snapshot() as snapshot:
        batches = snapshot.scan(Relation(TableName(name)), ["id"], key=key, within=within)
        return [row for batch in batches for row in batch.to_pylist()]


def test_mixed_classes_in_a_key_are_in_one_window_each(adapter: SqliteAdapter, path: Path) -> None:
    values: list[Any] = [3, "x", 1, None, 2.5, 2, b"b", -5]
    run(
        path,
        "CREATE TABLE t (k INTEGER, id INT)",
        "INSERT INTO t VALUES (?, ?)",
        values=list(zip(values, range(8), strict=True)),
    )
    with adapter.snapshot() as snapshot:
        cuts = snapshot.split(Relation(TableName("t")), ("k",), 2)
        assert cuts == [(2,)]
    found = [read_ids(adapter, "t", ("k",), each) for each in (KeyRange(stop=(2,)), KeyRange((2,), nulls=False))]
    assert sorted(row["id"] for part in found for row in part) == list(range(8))
    assert [row["id"] for row in found[1]] == [5, 0]


def test_windows_are_cut_around_keys_that_are_no_values(adapter: SqliteAdapter, path: Path) -> None:
    run(path, "CREATE TABLE t (at TIMESTAMP NOT NULL PRIMARY KEY)",
        "INSERT INTO t VALUES ('2024-01-01 00:00:00Z'), ('2024-01-02 00:00:00'), ('2024-01-03 00:00:00'), ('never')")  # fmt: skip
    with adapter.snapshot() as snapshot:
        assert snapshot.split(Relation(TableName("t")), ("at",), 1) == [
            (datetime(2024, 1, 2),),
            (datetime(2024, 1, 3),),
        ]


def test_a_key_without_case_is_ordered_and_found_by_its_bytes(adapter: SqliteAdapter, path: Path) -> None:
    run(path, "CREATE TABLE t (k TEXT COLLATE NOCASE, id INT)", "CREATE INDEX i ON t (k)", "INSERT INTO t VALUES (?, ?)",
        values=[("b", 1), ("A", 2), ("a", 3), ("B", 4)])  # fmt: skip
    shape = shape_of(adapter, "t")
    assert shape.ordered == frozenset()
    assert [row["k"] for row in read(adapter, "t", ("k",))] == ["A", "B", "a", "b"]
    rows = pa.Table.from_pylist([{"k": "a", "id": 3}], shape.schema())
    assert adapter.apply(change(shape, ("k",), deletes=rows), shape, None) == Applied(deleted=1)
    assert [row["k"] for row in read(adapter, "t", ("k",))] == ["A", "B", "b"]


def test_indexes_tell_what_is_unique_and_what_is_ordered(adapter: SqliteAdapter, path: Path) -> None:
    run(
        path,
        "CREATE TABLE t (a TEXT, b INT, c TEXT COLLATE NOCASE, d DECIMAL(30,2), e INT, PRIMARY KEY (a, b)) WITHOUT ROWID",
        "CREATE UNIQUE INDEX u1 ON t (b, c)",
        "CREATE UNIQUE INDEX u2 ON t (e) WHERE e > 0",
        "CREATE INDEX i3 ON t (lower(a))",
        "CREATE INDEX i4 ON t (d)",
        "CREATE INDEX i5 ON t (e DESC)",
        "CREATE INDEX i6 ON t (c COLLATE BINARY)",
    )
    shape = shape_of(adapter, "t")
    assert shape.primary_key == ("a", "b")
    assert shape.uniques == {frozenset({"a", "b"}), frozenset({"b", "c"})}
    assert shape.ordered == {("a",), ("a", "b"), ("b",), ("c",)}
    assert [each.nullable for each in shape.columns] == [False, False, True, True, True]


def test_an_ordered_window_uses_its_index(adapter: SqliteAdapter, path: Path) -> None:
    from adapters.sql.statements import bound, select
    from adapters.sqlite.snapshot import DIALECT

    run(
        path,
        "CREATE TABLE t (a TEXT NOT NULL, b INT NOT NULL, v TEXT, PRIMARY KEY (a, b))",
        "INSERT INTO t VALUES ('x', 1, 'v')",
    )
    relation = Relation(TableName("t"))
    with adapter.snapshot() as snapshot:
        operands = snapshot._operands(relation, ("a", "b"))
        statement = select(relation, [operands[0].expression], key=operands, within=KeyRange(("a", 1), ("z", 1)))
        sql, parameters = bound(statement, DIALECT)
        plan = [row["detail"] for row in snapshot._connection.rows(f"EXPLAIN QUERY PLAN {sql}", parameters)]
    assert len(plan) == 1
    assert plan[0].startswith("SEARCH t USING")


def test_generated_columns_are_read_and_known_as_generated(adapter: SqliteAdapter, path: Path) -> None:
    run(path, "CREATE TABLE t (a INTEGER PRIMARY KEY, b INT GENERATED ALWAYS AS (a * 2), c INT AS (a + 1) STORED, d INT DEFAULT 5)",
        "INSERT INTO t (a) VALUES (4)")  # fmt: skip
    shape = shape_of(adapter, "t")
    assert [(each.identity, each.generated, each.default) for each in shape.columns] == [
        (True, False, False), (False, True, False), (False, True, False), (False, False, True),
    ]  # fmt: skip
    assert read(adapter, "t") == [{"a": 4, "b": 8, "c": 5, "d": 5}]


MIXED: dict[str, tuple[str, list[Any]]] = {
    "date": ("DATE", ["0000-03-01", "2020-01-01", "2020-01-02 00:00:00", "infinity"]),
    "timestamp": ("DATETIME", ["2020-01-01 00:00:00", "2020-01-01T00:00:01.5", "2020-01-01 10:00", "infinity", "-infinity"]),
    "moment": ("TIMESTAMPTZ", ["2020-01-01 00:00:00+0100", "2020-01-01T00:00:00Z", "infinity"]),
    "time": ("TIME", ["10:00:00", "11:00:00.5", "12:00"]),
    "uuid": ("UUID", ["00000000-0000-0000-0000-00000000000a", "0123456789ABCDEF0123456789ABCDEF"]),
    "number": ("NUMERIC", [1.5, 12345678901234567890.0, 7]),
    "number in texts": ("DECIMAL_TEXT", ["1.50", "15e-1", "-.5", "2"]),
    "decimal": ("DECIMAL_TEXT(30, 4)", ["1.5", "-2.0000", "+3"]),
    "long decimal": ("DECIMAL_TEXT(50, 2)", ["1.5", "-2.00"]),
    "json": ("JSON_TEXT", ['{"a": 1}', '{"a":1}']),
}  # fmt: skip


@pytest.mark.parametrize("relation", [Relation(TableName("t")), Relation(query="SELECT id, part, k FROM t")])
@pytest.mark.parametrize("kind", MIXED)
def test_keys_are_found_in_whatever_spelling_their_column_has(
    adapter: SqliteAdapter, path: Path, kind: str, relation: Relation
) -> None:
    declared, stored = MIXED[kind]
    run(
        path,
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, part TEXT, k {declared})",
        "INSERT INTO t VALUES (?, ?, ?)",
        values=[(number, "ab"[number % 2], value) for number, value in enumerate(stored)],
    )
    with adapter.snapshot() as snapshot:
        rows = pa.Table.from_batches(list(snapshot.scan(relation, ["id", "part", "k"], key=("id",))))
        assert rows["k"].null_count == 0
        for names in (["k"], ["part", "k"]):
            for wanted in (rows, rows.slice(1, 1)):
                keys = wanted.select(names).group_by(names).aggregate([]).select(names)
                ids = [each for batch in snapshot.scan(relation, ["id"], keys=keys) for each in batch["id"].to_pylist()]
                alike = pa.Table.join(rows, keys, names, join_type="inner")["id"].to_pylist() if kind != "json" else ids
                assert sorted(ids) == sorted(alike)
                assert set(wanted["id"].to_pylist()) <= set(ids)
            assert not list(snapshot.scan(relation, ["id"], keys=rows.select(names).slice(0, 0)))


def test_batches_of_wide_rows_are_small_whoever_asks_for_them(
    adapter: SqliteAdapter, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, b BLOB)", "INSERT INTO t VALUES (?, zeroblob(10000))",
        values=[(number,) for number in range(400)])  # fmt: skip
    monkeypatch.setattr("adapters.sqlite.snapshot.BATCH_BYTES", 1_000_000)
    keys = pa.table({"id": pa.array(range(400), pa.int64())})
    with adapter.snapshot() as snapshot:
        sizes = [batch.nbytes for batch in snapshot.scan(Relation(TableName("t")), ["id", "b"], keys=keys)]
    assert sum(sizes) > 4_000_000
    assert max(sizes) < 1_100_000


def test_lists_of_keys_are_dropped_once_they_are_read(adapter: SqliteAdapter, path: Path) -> None:
    run(path, "CREATE TABLE t (id INTEGER PRIMARY KEY)", "INSERT INTO t VALUES (1), (2)")
    keys = pa.table({"id": pa.array([1, 2], pa.int64())})
    with adapter.snapshot() as snapshot:
        first, second = (snapshot.scan(Relation(TableName("t")), ["id"], keys=keys) for _ in range(2))
        assert next(first).num_rows == next(second).num_rows == 2
        first.close()
        assert not list(second)
        assert snapshot._connection.rows("SELECT name FROM sqlite_temp_schema") == []
        unread = snapshot.scan(Relation(TableName("t")), ["id"], keys=keys)
        next(unread)
    unread.close()
