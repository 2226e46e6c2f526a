"""How tests of the adapter contract (adapters/protocol.py) make tables, fill them, change them and read them back."""

from __future__ import annotations

import itertools
import re
from collections.abc import Sequence
from contextlib import closing
from typing import Any

import pyarrow as pa
import pytest

from adapters.protocol import Target
from adapters.registry import open_target
from transforms.mapping.column_limits import misfits
from transforms.vocabulary import Applied, ChangeSet, ColumnShape, Key, Meaning, Relation, TableName, TableShape

MICROSECONDS = pa.timestamp("us")
ZONED = pa.timestamp("us", "UTC")

numbers = itertools.count(1)

constrained = pytest.mark.parametrize("engine", ["sqlite", "duckdb", "postgresql", "mysql"], indirect=True)
"""The engines that hold to unique values beside the key, foreign keys, checks and numbers of their own: those of SQL."""


def a_shape(name: str, columns: Sequence[ColumnShape], key: Key = ("id",), **more: Any) -> TableShape:
    return TableShape(TableName(name), tuple(columns), key, **more)


def col(name: str, travel: pa.DataType, meaning: Meaning = "plain", **more: Any) -> ColumnShape:
    return ColumnShape(name, travel, "", meaning=meaning, **more)


ID = col("id", pa.int64(), nullable=False)


def make(adapter: Target, shape: TableShape) -> TableShape:
    """Create a table, and describe it as the engine has it."""
    adapter.execute_ddl(adapter.ddl(shape))
    found = adapter.describe(shape.name)
    assert found is not None
    return found


def rows_of(shape: TableShape, *rows: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(rows), schema=shape.schema())


def change(
    shape: TableShape,
    key: Key = ("id",),
    *,
    inserts: pa.Table | None = None,
    before: pa.Table | None = None,
    after: pa.Table | None = None,
    deletes: pa.Table | None = None,
    compared: Key | None = None,
) -> ChangeSet:
    none = shape.schema().empty_table()
    given_tables = [each if each is not None else none for each in (inserts, before, after, deletes)]
    return ChangeSet(shape.name, key, compared or shape.names, *given_tables)


def load(adapter: Target, shape: TableShape, rows: pa.Table, key: Key = ("id",)) -> Applied:
    return adapter.apply(change(shape, key, inserts=rows), shape, None, empty=True)


def insert_one_by_one(url: str, start: int) -> None:
    """Twenty rows into the table of `simple`, each in a transaction: what another process does meanwhile."""
    with closing(open_target(url)) as opened:
        shape = opened.describe(TableName("simple"))
        assert shape is not None
        for number in range(20):
            load(opened, shape, rows_of(shape, {"id": start + number, "name": "x", "n": number}))


def read(adapter: Target, shape: TableShape, key: Key = (), **more: Any) -> pa.Table:
    with adapter.snapshot() as snapshot:
        batches = list(snapshot.scan(Relation(shape.name), shape.names, key=key, **more))
    return pa.Table.from_batches(batches, shape.schema())


def edited(rows: pa.Table, name: str, values: Sequence[Any]) -> pa.Table:
    position = rows.schema.get_field_index(name)
    return rows.set_column(position, rows.schema.field(name), pa.array(values, rows.schema.field(name).type))


def fitting(values: Sequence[Any], travel: pa.DataType, column: ColumnShape) -> pa.Array:
    """Those of `values` that a column made for `travel` can hold, in the type in which it has them, and a null."""
    array = pa.array([*values, None], travel)
    if pa.types.is_time(travel) and pa.types.is_duration(column.type):
        array = array.view(pa.int64()).view(column.type)
    array = array.cast(column.type)
    for bad, _ in misfits(array, column):
        array = array.filter(pa.array(~bad))
    return array


def numbered(shape: TableShape, values: pa.Array) -> pa.Table:
    """Rows of `id` and one more column."""
    return pa.table([pa.array(range(len(values))), values], schema=shape.schema())


def in_dialect(adapter: Target, query: str) -> str:
    """A query as the engine spells it."""
    if adapter.engine != "mysql":
        return query
    return re.sub(r"(\w+) \|\| ('[^']*')", r"concat(\1, \2)", query).replace('"', "`")


def simple(adapter: Target, name: str = "simple", count: int = 3) -> tuple[TableShape, pa.Table]:
    """A table of `id` and `name` with rows 1, 2, … in it."""
    shape = make(adapter, a_shape(name, [ID, col("name", pa.string()), col("n", pa.int64())]))
    rows = rows_of(shape, *({"id": i, "name": f"row {i}", "n": i * 10} for i in range(1, count + 1)))
    load(adapter, shape, rows)
    return shape, rows
