"""A MariaDB database of a test's own, its adapter, and tables as the adapter sees them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import pyarrow as pa
import pytest
from databases import Database

from adapters.mysql.adapter import MysqlAdapter
from transforms.vocabulary import ChangeSet, Key, Relation, TableName, TableShape

ER_NO_SUCH_THREAD = 1094


@pytest.fixture
def database(mariadb_url: str) -> Database:
    return Database("mysql", mariadb_url)


@pytest.fixture
def adapter(database: Database) -> Iterator[MysqlAdapter]:
    opened = MysqlAdapter(database.url)
    yield opened
    opened.close()


def kill(execute: Callable[[str], Any], number: int) -> None:
    """End a session, which may have ended by itself since it was listed."""
    import pymysql

    try:
        execute(f"KILL {number}")
    except pymysql.OperationalError as error:
        if error.args[0] != ER_NO_SUCH_THREAD:
            raise


def described(adapter: MysqlAdapter, name: str = "t") -> TableShape:
    shape = adapter.describe(TableName(name))
    assert shape is not None
    return shape


def read(adapter: MysqlAdapter, name: str = "t", key: Key = ("id",), **told: Any) -> pa.Table:
    shape = described(adapter, name)
    with adapter.snapshot() as snapshot:
        batches = list(snapshot.scan(Relation(shape.name, **told), shape.names, key=key))
    return pa.Table.from_batches(batches)


def inserts(shape: TableShape, rows: pa.Table, key: Key = ("id",)) -> ChangeSet:
    none = shape.schema().empty_table()
    return ChangeSet(shape.name, key, shape.names, rows, none, none, none)
