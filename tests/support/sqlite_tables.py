"""An SQLite file of a test's own, its adapter, and tables as the adapter sees them."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path
from typing import Any

import pyarrow as pa
import pytest

from adapters.sqlite.adapter import SqliteAdapter
from transforms.vocabulary import ChangeSet, Relation, TableName, TableShape


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "legacy.db"


@pytest.fixture
def adapter(path: Path) -> Iterator[SqliteAdapter]:
    opened = SqliteAdapter(f"sqlite:///{path}", create=True)
    yield opened
    opened.close()


def run(path: Path, *statements: str, values: list[tuple[Any, ...]] | None = None) -> None:
    """Run statements; the last one for each of `values`."""
    with closing(sqlite3.connect(path)) as connection, connection:
        for statement in statements[: -1 if values else None]:
            connection.execute(statement)
        if values:
            connection.executemany(statements[-1], values)


def shape_of(adapter: SqliteAdapter, name: str) -> TableShape:
    shape = adapter.describe(TableName(name))
    assert shape is not None
    return shape


def read(adapter: SqliteAdapter, name: str, key: tuple[str, ...] = (), **more: Any) -> list[dict[str, Any]]:
    shape = shape_of(adapter, name)
    with adapter.snapshot() as snapshot:
        batches = list(snapshot.scan(Relation(shape.name), shape.names, key=key, **more))
        for batch in batches:
            assert batch.select(shape.names).schema == shape.schema()
    return [row for batch in batches for row in batch.to_pylist()]


def change(shape: TableShape, key: tuple[str, ...] = ("id",), **parts: pa.Table) -> ChangeSet:
    none = shape.schema().empty_table()
    return ChangeSet(
        shape.name, key, shape.names, *(parts.get(each, none) for each in ("inserts", "before", "after", "deletes"))
    )
