"""What every adapter promises of types: columns are made as they are described, and only what they keep is kept."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from databases import Database

from adapters.protocol import Target
from adapters.registry import open_target
from transforms.vocabulary import ChangeSet, ColumnShape, KeyRange, Meaning, Relation, SpecError, TableName, TableShape

TYPES: tuple[tuple[pa.DataType, Meaning], ...] = (
    *((each, "plain") for each in (
        pa.int8(), pa.int16(), pa.int32(), pa.int64(), pa.uint8(), pa.uint16(), pa.uint32(), pa.uint64(), pa.float32(), pa.float64(),
        pa.bool_(), pa.string(), pa.binary(), pa.date32(), pa.time64("us"), pa.timestamp("us"), pa.timestamp("us", "UTC"), pa.duration("us"),
        pa.decimal128(9, 2), pa.decimal128(38, 10), pa.decimal128(15, 15),
    )),
    (pa.string(), "decimal"), (pa.string(), "json"), (pa.string(), "uuid"), (pa.string(), "interval"),
)  # fmt: skip


@pytest.fixture
def adapter(database: Database) -> Iterator[Target]:
    opened = open_target(database.url, create=True)
    yield opened
    opened.close()


def made(adapter: Target, travel: pa.DataType, meaning: Meaning = "plain") -> ColumnShape:
    return adapter.made(ColumnShape("c", travel, "", meaning=meaning))


def test_a_made_column_is_described_as_made_with_all_its_limits(adapter: Target) -> None:
    columns = [ColumnShape(f"c{i}", travel, "", meaning=meaning) for i, (travel, meaning) in enumerate(TYPES)]
    key = ColumnShape("id", pa.int64(), "", nullable=False)
    shape = TableShape(TableName("t"), (key, *columns), ("id",))
    adapter.execute_ddl(adapter.ddl(shape))
    found = adapter.describe(shape.name)
    assert found is not None
    for asked, each in zip(columns, found.columns[1:], strict=True):
        assert replace(each, collation=None) == adapter.made(asked), asked


def test_an_added_column_is_described_as_one_of_a_new_table_and_takes_nulls(adapter: Target) -> None:
    columns = [ColumnShape(f'c"{i}', travel, "", meaning=meaning) for i, (travel, meaning) in enumerate(TYPES)]
    key = ColumnShape("id", pa.int64(), "", nullable=False)
    shape = TableShape(TableName("t"), (key, *columns), ("id",))
    adapter.execute_ddl(adapter.ddl(replace(shape, columns=(key,))))
    statements = adapter.adding(shape, [column.name for column in columns])
    assert len(statements) == len(columns)
    adapter.execute_ddl(statements)
    found = adapter.describe(shape.name)
    assert found is not None
    assert found.names == shape.names
    for asked, each in zip(columns, found.columns[1:], strict=True):
        assert replace(each, collation=None) == adapter.made(asked), asked
        assert each.nullable
    again = replace(shape, columns=(*shape.columns, ColumnShape("x" * 70, pa.int64(), "")))
    if adapter.engine in ("postgresql", "mysql"):
        with pytest.raises(SpecError, match="has a name of 70"):
            adapter.adding(again, ["x" * 70])


KEPT: tuple[tuple[Meaning, list[str | None], list[bool]], ...] = (
    ("json", ['{"a": 1}', "{", "", '"x"', None, "nul"], [True, False, False, True, False, False]),
    (
        "interval",
        ["1 mon -2 days +00:00:01", "soon", "100:00:00", "1 month", None, ""],
        [True, False, True, False, False, False],
    ),
    ("plain", ["anything", "", None, "{"], [True, True, False, True]),
)


@pytest.mark.parametrize(("meaning", "values", "fits"), KEPT, ids=[each[0] for each in KEPT])
def test_texts_that_only_the_engine_can_judge_are_asked_about(
    adapter: Target, meaning: Meaning, values: list[Any], fits: list[bool]
) -> None:
    shape = made(adapter, pa.string(), meaning)
    kept = adapter.kept(shape, pa.array(values, pa.string()))
    if shape.meaning != meaning:  # MariaDB has no type for it but text
        fits = [each is not None for each in values]
    assert [each is not None for each in kept.to_pylist()] == fits
    assert len(adapter.kept(shape, pa.array([], pa.string()))) == 0
    assert adapter.kept(shape, pa.nulls(3, pa.string())).null_count == 3


def test_what_is_no_text_is_not_asked_about(adapter: Target) -> None:
    for travel in (pa.int64(), pa.float64(), pa.timestamp("us"), pa.binary(), pa.decimal128(38, 10)):
        values = pa.nulls(2, travel)
        assert adapter.kept(made(adapter, travel), values) is values


def test_intervals_that_an_engine_calls_equal_stay_apart(adapter: Target) -> None:
    """1 mon and 30 days are equal to PostgreSQL and DuckDB: an update is none the less one, and so is a conflict."""
    key = ColumnShape("id", pa.int64(), "", nullable=False)
    shape = TableShape(TableName("t"), (key, ColumnShape("c", pa.string(), "", meaning="interval")), ("id",))
    adapter.execute_ddl(adapter.ddl(shape))
    found = adapter.describe(shape.name)
    assert found is not None

    def rows(*spans: str) -> pa.Table:
        return pa.table({"id": range(len(spans)), "c": spans}, schema=found.schema())

    def changes(inserts: pa.Table, before: pa.Table, after: pa.Table) -> ChangeSet:
        return ChangeSet(shape.name, ("id",), ("id", "c"), inserts, before, after, inserts.slice(0, 0))

    none, months, days = rows(), rows("1 mon", "-1 mons +1 day"), rows("30 days", "-29 days")
    for empty in (True, False):
        inserted = adapter.apply(changes(months, none, none), found, None, empty=empty)
        assert (inserted.inserted, inserted.conflicts) == (2 if empty else 0, None)
    assert adapter.apply(changes(none, months, days), found, None).updated == 2
    with adapter.snapshot() as snapshot:
        assert pa.Table.from_batches(snapshot.scan(Relation(shape.name), ("id", "c"), key=("id",))).equals(days)
    refused = adapter.apply(changes(none, months, rows("1 day", "1 day")), found, None)
    assert refused.updated == 0
    assert refused.conflicts is not None
    assert refused.conflicts.num_rows == 2


def test_a_name_as_long_as_any_engine_takes_names_a_key(adapter: Target) -> None:
    name = "é" + "x" * 61  # 63 bytes
    shape = TableShape(TableName(name), (ColumnShape(name, pa.int64(), "", nullable=False),), (name,))
    adapter.execute_ddl(adapter.ddl(shape))
    found, rows = adapter.describe(shape.name), pa.table({name: range(10)})
    assert found is not None
    none = rows.slice(0, 0)
    assert adapter.apply(ChangeSet(shape.name, (name,), (name,), rows, none, none, none), found, None).inserted == 10
    with adapter.snapshot() as snapshot:
        assert snapshot.split(Relation(shape.name), (name,), 4) == [(4,), (8,)]
        within = KeyRange((4,), (8,))
        scanned = snapshot.scan(Relation(shape.name), (name,), key=(name,), within=within)
        assert pa.Table.from_batches(scanned)[name].to_pylist() == [4, 5, 6, 7]
