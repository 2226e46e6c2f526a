"""A PostgreSQL database of a test's own, its adapter, and tables as the adapter sees them."""

from __future__ import annotations

from collections.abc import Iterator

import pyarrow as pa
import pytest

from adapters.postgres.adapter import PostgresAdapter
from transforms.vocabulary import ChangeSet, Relation, TableName, TableShape

psycopg = pytest.importorskip("psycopg")


@pytest.fixture
def db(postgres_url: str) -> Iterator[psycopg.Connection]:
    with psycopg.connect(postgres_url, autocommit=True) as connection:
        yield connection


@pytest.fixture
def adapter(postgres_url: str) -> Iterator[PostgresAdapter]:
    opened = PostgresAdapter(postgres_url)
    yield opened
    opened.close()


def shape_of(adapter: PostgresAdapter, name: str) -> TableShape:
    shape = adapter.describe(TableName(name))
    assert shape is not None
    return shape


def written(shape: TableShape) -> tuple[str, ...]:
    return tuple(each.name for each in shape.columns if not each.generated)


def read(adapter: PostgresAdapter, name: str, columns: tuple[str, ...] = (), key: tuple[str, ...] = ()) -> pa.Table:
    shape = shape_of(adapter, name)
    columns = columns or written(shape)
    with adapter.snapshot() as snapshot:
        batches = list(snapshot.scan(Relation(TableName(name)), columns, key=key))
    return pa.Table.from_batches(batches, shape.schema(columns))


def changes(
    name: str,
    rows: pa.Table,
    *,
    key: tuple[str, ...] = ("id",),
    inserts: pa.Table | None = None,
    before: pa.Table | None = None,
    after: pa.Table | None = None,
    deletes: pa.Table | None = None,
) -> ChangeSet:
    """A change set in the schema of `rows`."""
    none = rows.slice(0, 0)
    parts = [none if each is None else each for each in (inserts, before, after, deletes)]
    return ChangeSet(TableName(name), key, tuple(rows.column_names), *parts)


def edited(rows: pa.Table, name: str, values: list[object]) -> pa.Table:
    position = rows.column_names.index(name)
    return rows.set_column(position, rows.schema.field(name), pa.array(values, rows.schema.field(name).type))
