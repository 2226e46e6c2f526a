"""One SQLite file for all who write: held, full, read-only or left by a killed writer, and what its rows refuse."""

from __future__ import annotations

import sqlite3
import subprocess
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest
from sqlite_tables import adapter as adapter
from sqlite_tables import change, read, run, shape_of
from sqlite_tables import path as path

from adapters.sqlite import connection
from adapters.sqlite.adapter import SqliteAdapter
from transforms.vocabulary import (
    Applied,
    ConnectionFailed,
    DataError,
    Relation,
    RowRefused,
    SpecError,
    SynclineError,
    TableName,
    TransientError,
)


def test_what_cannot_change_is_asked_once(adapter: SqliteAdapter, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    run(
        path,
        "CREATE TABLE parent (id INTEGER PRIMARY KEY)",
        "CREATE TABLE t (id INTEGER PRIMARY KEY, p INTEGER REFERENCES parent)",
        "INSERT INTO t VALUES (1, NULL)",
    )
    asked: list[str] = []
    real = connection.Connection.ask

    def asking(self: connection.Connection, sql: str, *given: Any) -> pa.Table:
        asked.append(sql)
        return real(self, sql, *given)

    def times(text: str) -> int:
        return sum(text in each for each in asked)

    monkeypatch.setattr(connection.Connection, "ask", asking)
    shape = shape_of(adapter, "t")
    assert [each.refers.name for each in shape.foreign_keys] == ["parent"]
    assert times("pragma_foreign_key_list") == 1
    with adapter.snapshot() as snapshot:
        for _ in range(3):
            assert snapshot.estimate(Relation(shape.name)) == 1
            assert sum(batch.num_rows for batch in snapshot.scan(Relation(shape.name), ["id"])) == 1
    assert times("max(rowid)") == times("page_count") == 1


def test_a_held_file_is_transient(adapter: SqliteAdapter, path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(connection, "BUSY_TIMEOUT_MS", 50)
    run(path, "CREATE TABLE t (id INTEGER PRIMARY KEY)")
    shape = shape_of(adapter, "t")
    rows = pa.table({"id": [1]})
    # Through the same library: two copies of SQLite in one process do not see each other's locks.
    other = connection.Connection(path, "rw")
    other.run("BEGIN IMMEDIATE")
    with pytest.raises(TransientError, match=r"legacy\.db is held"):
        adapter.apply(change(shape, inserts=rows), shape, None)
    other.abandon()
    other.close()
    assert adapter.apply(change(shape, inserts=rows), shape, None) == Applied(inserted=1)


@pytest.mark.parametrize("journal", ["DELETE", "WAL"])
def test_what_a_killed_writer_left_is_undone_by_the_next_reader(tmp_path: Path, path: Path, journal: str) -> None:
    run(path, f"PRAGMA journal_mode={journal}")
    run(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)", "INSERT INTO t VALUES (?, ?)",
        values=[(i, "x" * 500) for i in range(2000)])  # fmt: skip
    killed = tmp_path / "killed.db"
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        writer.execute("PRAGMA cache_size = 1")  # so that the unfinished work reaches the file
        writer.execute("BEGIN")
        writer.execute("UPDATE t SET x = 'y'")
        for suffix in ("", "-journal", "-wal"):
            if (there := path.with_name(path.name + suffix)).exists():
                killed.with_name(killed.name + suffix).write_bytes(there.read_bytes())
        writer.execute("ROLLBACK")
    left = SqliteAdapter(f"sqlite:///{killed}")
    assert {row["x"] for row in read(left, "t")} == {"x" * 500}


WRITER = """
import sqlite3, sys
lite = sqlite3.connect(sys.argv[1], timeout=0)
try:
    lite.execute("UPDATE t SET v = v + 1")
    lite.commit()
except sqlite3.OperationalError:
    print("held")
"""


@pytest.mark.parametrize("journal", ["delete", "wal"])
def test_a_snapshot_keeps_others_from_changing_what_it_reads(adapter: SqliteAdapter, path: Path, journal: str) -> None:
    run(path, f"PRAGMA journal_mode = {journal}", "CREATE TABLE t (id INTEGER PRIMARY KEY, v INTEGER)")
    run(path, "INSERT INTO t VALUES (1, 1)")

    def written() -> str:
        return subprocess.run([sys.executable, "-c", WRITER, path], check=True, capture_output=True, text=True).stdout

    with adapter.snapshot() as snapshot, adapter.snapshot() as other:
        assert snapshot.mark == other.mark
        assert written().strip() == ("held" if journal == "delete" else "")
        values = [row for batch in snapshot.scan(Relation(TableName("t")), ["v"]) for row in batch["v"].to_pylist()]
        assert values == [1]
    assert written() == ""
    with adapter.snapshot() as snapshot:
        assert snapshot.mark != other.mark or journal == "wal"  # whose change counter stands still


def test_columns_named_alike_are_refused(adapter: SqliteAdapter, path: Path) -> None:
    run(path, "CREATE TABLE t (a INT)")
    with pytest.raises(SpecError, match="two columns named 'a'"):
        adapter.describe_query("SELECT 1 AS a, 2 AS a")


def test_a_full_disk_is_told_as_such_and_nothing_is_kept(
    adapter: SqliteAdapter, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(path, "CREATE TABLE t (id INTEGER PRIMARY KEY, x TEXT)")
    shape = shape_of(adapter, "t")
    rows = pa.table({"id": list(range(1000)), "x": ["x" * 100] * 1000})
    plain = connection.Connection.__init__

    def small(self: connection.Connection, there: Path, mode: str) -> None:
        plain(self, there, mode)
        self.ask("PRAGMA max_page_count = 5")  # SQLite's own way to be out of space

    monkeypatch.setattr(connection.Connection, "__init__", small)
    for empty in (True, False):
        with pytest.raises(SynclineError, match="is full"):
            adapter.apply(change(shape, inserts=rows), shape, None, empty=empty)
    assert read(adapter, "t") == []


def test_a_read_only_file_cannot_be_written(
    adapter: SqliteAdapter, path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    run(path, "CREATE TABLE t (id INTEGER PRIMARY KEY)")
    shape = shape_of(adapter, "t")
    plain = connection.Connection.__init__
    monkeypatch.setattr(connection.Connection, "__init__", lambda self, there, mode: plain(self, there, "ro"))
    with pytest.raises(ConnectionFailed, match="readonly"):
        adapter.apply(change(shape, inserts=pa.table({"id": [1]})), shape, None)


def test_a_missing_parent_is_named(adapter: SqliteAdapter, path: Path) -> None:
    run(path, "CREATE TABLE p (id INTEGER PRIMARY KEY)", "CREATE TABLE c (id INTEGER PRIMARY KEY, p INT REFERENCES p)")
    shape = shape_of(adapter, "c")
    assert shape.foreign_keys[0].refers_columns == ("id",)
    with pytest.raises(DataError, match="rowid 9 refers to no row of p"):
        adapter.apply(change(shape, inserts=pa.table({"id": [9], "p": [1]})), shape, None)
    parent = shape_of(adapter, "p")
    adapter.apply(change(parent, inserts=pa.table({"id": [1]})), parent, None)
    adapter.apply(change(shape, inserts=pa.table({"id": [9], "p": [1]})), shape, None)
    with pytest.raises(DataError, match="FOREIGN KEY"):
        adapter.apply(change(parent, deletes=pa.table({"id": [1]})), parent, None)


def test_a_trigger_that_swallows_rows_is_found(adapter: SqliteAdapter, path: Path) -> None:
    run(path, "CREATE TABLE t (id INTEGER PRIMARY KEY)",
        "CREATE TRIGGER g BEFORE INSERT ON t WHEN new.id = 2 BEGIN SELECT RAISE(IGNORE); END")  # fmt: skip
    shape = shape_of(adapter, "t")
    for empty in (True, False):
        with pytest.raises(RowRefused, match="t"):
            adapter.apply(change(shape, inserts=pa.table({"id": [1, 2, 3]})), shape, None, empty=empty)
    assert read(adapter, "t") == []


def test_urls_that_name_no_file_are_refused() -> None:
    for url in ("sqlite://", "sqlite:///:memory:", "sqlite:///x.db?mode=ro", "sqlite://host/x.db"):
        with pytest.raises(SpecError, match="sqlite:///"):
            SqliteAdapter(url)


def test_a_token_is_refused(adapter: SqliteAdapter, path: Path) -> None:
    run(path, "CREATE TABLE t (a INT)")
    with pytest.raises(SynclineError, match="snapshot"), adapter.snapshot("token"):
        pass
