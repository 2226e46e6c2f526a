"""The adapter contract: values of every type arrive as they left, whatever the engine."""

from __future__ import annotations

import math
from datetime import UTC, date, datetime, time
from decimal import Decimal
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from contract import (
    ID,
    MICROSECONDS,
    ZONED,
    a_shape,
    change,
    col,
    edited,
    fitting,
    load,
    make,
    numbered,
    numbers,
    read,
    rows_of,
)

from adapters.protocol import Target
from transforms.mapping.column_limits import misfits
from transforms.vocabulary import DATE_INFINITY, TIMESTAMP_INFINITY, Applied, Meaning, Relation, SynclineError

VALUES: list[tuple[str, pa.DataType, Meaning, list[Any]]] = [
    ("int8", pa.int8(), "plain", [-128, 127, 0]),
    ("int16", pa.int16(), "plain", [-(2**15), 2**15 - 1, 0]),
    ("int32", pa.int32(), "plain", [-(2**31), 2**31 - 1, 0]),
    ("int64", pa.int64(), "plain", [-(2**63), 2**63 - 1, 2**53 + 1]),
    ("uint32", pa.uint32(), "plain", [0, 2**32 - 1, 1]),
    ("uint64", pa.uint64(), "plain", [0, 2**64 - 1, 2**63]),
    ("bool", pa.bool_(), "plain", [True, False, True]),
    ("float32", pa.float32(), "plain", [1.5, -0.25, 3.4028234663852886e38]),
    ("float64", pa.float64(), "plain", [0.1, 5e-324, 1.7976931348623157e308]),
    ("infinite", pa.float64(), "plain", [math.inf, -math.inf, 0.0]),
    ("money", pa.decimal128(9, 2), "plain", [Decimal("1.10"), Decimal("-9999999.99"), Decimal("0.00")]),
    ("wide", pa.decimal128(38, 10), "plain", [Decimal("0.0000000001"), Decimal("-" + "9" * 28 + ".9"), Decimal(0)]),
    ("whole", pa.decimal128(30, 0), "plain", [Decimal("9" * 30), Decimal(-1), Decimal(0)]),
    ("text", pa.string(), "plain", ["", "NULL", "a  "]),
    ("letters", pa.string(), "plain", ["é", "e\u0301", "🎉 \\ ' \" % : ?"]),
    ("large", pa.string(), "plain", ["x" * 2**20, "ß" * 2**19, "\n\r\t"]),
    ("bytes", pa.binary(), "plain", [b"", b"\x00\xff", bytes(range(256))]),
    ("day", pa.date32(), "plain", [date(1, 1, 1), date(9999, 12, 31), date(2024, 2, 29)]),
    (
        "naive", MICROSECONDS, "plain",
        [datetime(1, 1, 1), datetime(9999, 12, 31, 23, 59, 59, 999999), datetime(2024, 1, 1, 0, 0, 0, 1)],
    ),
    (
        "zoned", ZONED, "plain",
        [datetime(1900, 1, 1, tzinfo=UTC), datetime(2024, 3, 10, 7, 30, 0, 500000, UTC), datetime(2024, 7, 1, tzinfo=UTC)],
    ),
    ("clock", pa.time64("us"), "plain", [time(0), time(23, 59, 59, 999999), time(12, 30)]),
    ("uuid", pa.string(), "uuid", [f"{first}-9abc-4def-8123-456789abcdef" for first in ("00000000", "ffffffff", "12345678")]),
]  # fmt: skip


@pytest.mark.parametrize(("name", "travel", "meaning", "values"), VALUES, ids=[each[0] for each in VALUES])
@pytest.mark.parametrize("empty", [True, False], ids=["straight", "staged"])
def test_values_of_every_type_arrive_as_they_left(
    roomy: Target, name: str, travel: pa.DataType, meaning: Meaning, values: list[Any], empty: bool
) -> None:
    shape = make(roomy, a_shape(f"{name} {next(numbers)}", [ID, col("value", travel, meaning)]))
    rows = numbered(shape, fitting(values, travel, shape.columns[1]))
    assert roomy.apply(change(shape, inserts=rows), shape, None, empty=empty) == Applied(inserted=len(rows))
    assert read(roomy, shape, ("id",)).equals(rows)
    if roomy.engine != "mysql":  # there, the limits of the columns are told
        assert rows["value"].cast(travel).to_pylist() == [*pa.array(values, travel).to_pylist(), None]


@pytest.mark.parametrize("roomy", ["parquet files", "arrow files", "csv files", "jsonl files"], indirect=True)
def test_files_are_read_in_the_values_that_were_written(roomy: Target) -> None:
    texts = roomy.kind in ("csv", "jsonl")  # type: ignore[attr-defined]
    held = [each for each in VALUES if not (texts and pa.types.is_binary(each[1]))]
    shape = a_shape("all", [ID, *(col(name, travel, meaning) for name, travel, meaning, _ in held)])
    written = pa.table([range(4), *([*values, None] for *_, values in held)], schema=shape.schema())
    made = make(roomy, shape)
    load(roomy, shape, written)
    rows = read(roomy, made, ("id",))
    for name, travel, meaning, _ in held:
        assert rows[name].cast(travel).equals(written[name]), name
        column = made.column(name)
        assert column is not None and (column.meaning == meaning or not texts)


@pytest.mark.parametrize(("name", "travel", "meaning", "values"), VALUES, ids=[each[0] for each in VALUES])
def test_values_of_every_type_are_updated_and_deleted_under_their_precondition(
    roomy: Target, name: str, travel: pa.DataType, meaning: Meaning, values: list[Any]
) -> None:
    shape = make(roomy, a_shape(f"{name} {next(numbers)}", [ID, col("value", travel, meaning)]))
    rows = numbered(shape, fitting(values, travel, shape.columns[1]))
    load(roomy, shape, rows)
    after = edited(rows, "value", [None, *rows["value"].to_pylist()[:-1]])
    assert roomy.apply(change(shape, before=rows, after=after), shape, None) == Applied(updated=len(rows))
    assert read(roomy, shape, ("id",)).equals(after)
    assert roomy.apply(change(shape, deletes=after), shape, None) == Applied(deleted=len(rows))
    assert read(roomy, shape).num_rows == 0


@pytest.mark.parametrize("empty", [True, False], ids=["straight", "staged"])
def test_part_of_rows_arrives_as_it_is_whatever_stands_before_it(adapter: Target, empty: bool) -> None:
    columns = [col(name, travel, meaning) for name, travel, meaning, _ in VALUES if name != "large"]
    shape = make(adapter, a_shape(f"part {next(numbers)}", [ID, *columns]))
    given = {name: values for name, _, _, values in VALUES}
    made = [pa.array(range(4), shape.columns[0].type)]
    for each, wanted in zip(shape.columns[1:], columns, strict=True):
        values = fitting(given[each.name], wanted.type, each).drop_null().to_pylist()
        made.append(pa.array([None, *(values * 3)[:3]], each.type))
    rows = pa.table(made, schema=shape.schema()).slice(1)
    assert adapter.apply(change(shape, inserts=rows), shape, None, empty=empty) == Applied(inserted=3)
    assert read(adapter, shape, ("id",)).equals(rows)
    assert adapter.apply(change(shape, deletes=rows.slice(1, 1)), shape, None) == Applied(deleted=1)
    assert read(adapter, shape, ("id",))["id"].to_pylist() == [1, 3]


def test_a_described_table_is_made_again_as_it_is(adapter: Target) -> None:
    columns = [col(name, travel, meaning) for name, travel, meaning, _ in VALUES]
    columns += [col("json", pa.string(), "json"), col("must", pa.string(), nullable=False)]
    uniques = frozenset({frozenset({"id"})} | (set() if adapter.engine == "parquet" else {frozenset({"must"})}))
    first = make(adapter, a_shape("first", [ID, *columns], uniques=uniques))
    again = make(adapter, a_shape("again", first.columns, first.primary_key, uniques=first.uniques))
    assert again.columns == first.columns
    assert again.primary_key == first.primary_key == ("id",)
    assert again.uniques == first.uniques == uniques
    assert {each.name: each.meaning for each in first.columns if each.meaning != "plain"} == {
        "uuid": "uuid",
        "json": "json",
    }
    assert [each.name for each in first.columns if not each.nullable] == ["id", "must"]
    for (_, travel, _, values), found in zip(VALUES, first.columns[1:], strict=False):
        if not pa.types.is_duration(found.type):
            assert pa.array(values, travel).cast(found.type).cast(travel).equals(pa.array(values, travel))


def test_zero_and_minus_zero_are_equal(adapter: Target) -> None:
    shape = make(adapter, a_shape("zero", [ID, col("f", pa.float64())]))
    load(adapter, shape, rows_of(shape, {"id": 1, "f": -0.0}))
    assert read(adapter, shape)["f"].to_pylist() == [0.0]
    assert adapter.apply(change(shape, deletes=rows_of(shape, {"id": 1, "f": 0.0})), shape, None) == Applied(deleted=1)


def test_nan_is_kept_or_refused_but_never_lost(adapter: Target) -> None:
    shape = make(adapter, a_shape("nan", [ID, col("f", pa.float64())]))
    rows = rows_of(shape, {"id": 1, "f": math.nan})
    column = shape.column("f")
    assert column is not None
    if not column.nan:
        for empty in (True, False):
            with pytest.raises(SynclineError, match="NaN"):
                adapter.apply(change(shape, inserts=rows), shape, None, empty=empty)
        return
    load(adapter, shape, rows)
    assert math.isnan(read(adapter, shape)["f"][0].as_py())
    assert adapter.apply(change(shape, deletes=rows), shape, None) == Applied(deleted=1)


@pytest.mark.parametrize("sign", [1, -1])
def test_infinite_dates_and_times_travel_by_the_shared_convention(roomy: Target, sign: int) -> None:
    shape = make(
        roomy, a_shape(f"ends {next(numbers)}", [ID, col("d", pa.date32()), col("t", MICROSECONDS), col("z", ZONED)])
    )
    moment = pa.array([sign * TIMESTAMP_INFINITY, 0])
    day = pa.array([sign * DATE_INFINITY, 0], pa.int32())
    arrays = [pa.array([1, 2]), day.view(pa.date32()), moment.view(MICROSECONDS), moment.view(ZONED)]
    rows = pa.table(arrays, schema=shape.schema())
    if roomy.engine == "mysql":
        for column in shape.columns[1:]:
            ((bad, _),) = misfits(rows[column.name].combine_chunks(), column)
            assert bad[0]
        with pytest.raises(SynclineError):
            load(roomy, shape, rows)
        return
    load(roomy, shape, rows)
    for key in ("id", "d", "t", "z"):
        found = read(roomy, shape, (key,))
        assert found.take(pc.sort_indices(found["id"])).equals(rows)
        if key != "id":
            assert found["id"].to_pylist() == ([2, 1] if sign > 0 else [1, 2])
    with roomy.snapshot() as snapshot:
        assert snapshot.split(Relation(shape.name), ("d",), 1) in ([], [(date(1970, 1, 1),)])
    assert roomy.apply(change(shape, deletes=rows), shape, None) == Applied(deleted=2)


def test_json_compares_by_value_or_by_its_text_but_finds_its_row(adapter: Target) -> None:
    shape = make(adapter, a_shape("doc", [ID, col("j", pa.string(), "json")]))
    load(adapter, shape, rows_of(shape, {"id": 1, "j": '{"b": 1, "a": [1.5, null, "ä"]}'}))
    rows = read(adapter, shape)
    assert adapter.apply(change(shape, before=rows, after=edited(rows, "j", ['{"a": 2}'])), shape, None) == Applied(
        updated=1
    )
    other = edited(rows, "j", ['{ "a":2 }'])
    assert adapter.apply(change(shape, deletes=other), shape, None) == Applied(deleted=1)
