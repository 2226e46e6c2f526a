"""The adapter contract: rows come in the order of their key, each in one window, and a snapshot is of one state."""

from __future__ import annotations

import itertools
import math
import random
from concurrent.futures import ThreadPoolExecutor
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
    fitting,
    in_dialect,
    load,
    make,
    numbered,
    numbers,
    read,
    rows_of,
    simple,
)
from databases import Database
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.protocol import Snapshot, Target
from adapters.registry import open_target
from transforms.vocabulary import ColumnRange, KeyRange, Meaning, Relation, SynclineError, TableName

KEYS: dict[str, tuple[pa.DataType, Meaning, list[Any]]] = {
    "text": (pa.string(), "plain", ["a", "B", "ä", "Z", "", "🎉", "aa", "A", " a", "a ", "é", "e\u0301", "_"]),
    "integer": (pa.int64(), "plain", [0, -1, 1, -(2**63), 2**63 - 1, 10, 9, -10, -9]),
    "float": (pa.float64(), "plain", [0.5, -0.5, math.inf, -math.inf, 1e300, 5e-324, 10.0, 9.0]),
    "decimal": (pa.decimal128(9, 2), "plain", [Decimal(each) for each in ("1.10", "-1.10", "10", "9.99", "-10", "-9.99")]),
    "wide decimal": (
        pa.decimal128(38, 10), "plain",
        [Decimal(each) for each in ("1.10", "-1.10", "10", "9.99", "-10", "-9.99", "1E+27", "-1E+27", "1E-10", "0")],
    ),
    "date": (pa.date32(), "plain", [date(2024, 1, 1), date(1, 1, 1), date(9999, 12, 31), date(999, 1, 1), date(1969, 12, 31)]),
    "timestamp": (
        MICROSECONDS, "plain",
        [*(datetime(2024, 1, 1, 0, 0, 0, tick) for tick in (0, 1, 100000)), datetime(1, 1, 1), datetime(9999, 1, 1)],
    ),
    "zoned": (ZONED, "plain", [datetime(2024, 1, 1, hour, 0, 0, tick, UTC) for hour in (0, 9, 10) for tick in (0, 5, 100000)]),
    "time": (pa.time64("us"), "plain", [time(1), time(1, 0, 0, 1), time(23, 59), time(0)]),
    "bytes": (pa.binary(), "plain", [b"", b"\x00", b"\xff", b"a", b"ab"]),
    "bool": (pa.bool_(), "plain", [True, False]),
    "uuid": (pa.string(), "uuid", [f"{first}-0000-4000-8000-000000000000" for first in ("ffffffff", "00000000", "80000000", "7fffffff")]),
}  # fmt: skip


@pytest.mark.parametrize("kind", KEYS)
def test_rows_come_in_binary_key_order_with_nulls_first(roomy: Target, kind: str) -> None:
    travel, meaning, values = KEYS[kind]
    shape = make(roomy, a_shape(f"keyed {next(numbers)}", [ID, col("k", travel, meaning)]))
    expected = fitting(values, travel, shape.columns[1]).drop_null()
    mixed = [*range(len(expected)), None, None]
    random.Random(7).shuffle(mixed)
    load(roomy, shape, numbered(shape, expected.take(pa.array(mixed, pa.int64()))))
    expected = expected.take(pc.sort_indices(expected)).to_pylist()
    assert read(roomy, shape, ("k",))["k"].to_pylist() == [None, None, *expected]
    with roomy.snapshot() as snapshot:
        ends = itertools.combinations_with_replacement(expected, 2)
        for (low, high), nulls in zip(ends, itertools.cycle((True, False)), strict=False):
            window = KeyRange((low,), (high,), nulls)
            scanned = snapshot.scan(Relation(shape.name), ["k"], key=("k",), within=window)
            found = [value for batch in scanned for value in batch["k"].to_pylist()]
            inside = [
                value for value in expected if expected.index(low) <= expected.index(value) < expected.index(high)
            ]
            assert found == [None] * (2 * nulls) + inside
    with roomy.snapshot() as snapshot:
        assert snapshot.split(Relation(shape.name), ("k",), 1) == [(each,) for each in expected[1:]]
        assert snapshot.count(Relation(shape.name), [ColumnRange("k", expected[1])]) == len(expected) - 1
        assert snapshot.count(Relation(shape.name), [ColumnRange("k", None, expected[1])]) == 1
        assert snapshot.count(Relation(shape.name), [ColumnRange("k")]) == len(expected)
        assert snapshot.count(Relation(shape.name), [ColumnRange("k", expected[1], nulls=True)]) == len(expected) + 1
        assert snapshot.count(Relation(shape.name), [ColumnRange("k", None, expected[1], nulls=True)]) == 3
        assert snapshot.count(Relation(shape.name), [ColumnRange("k", nulls=True)]) == len(expected) + 2


@pytest.mark.parametrize("kind", KEYS)
def test_rows_are_found_by_their_keys(roomy: Target, kind: str) -> None:
    travel, meaning, values = KEYS[kind]
    shape = make(roomy, a_shape(f"asked {next(numbers)}", [ID, col("k", travel, meaning)]))
    held = fitting(values, travel, shape.columns[1])
    load(roomy, shape, numbered(shape, held))
    rows = [row for row in read(roomy, shape).to_pylist() if row["k"] is not None]
    for wanted in (rows, rows[::2], rows[:1]):
        for key in (("k",), ("k", "id")):
            keys = pa.Table.from_pylist(wanted, shape.schema()).select(list(key))
            found = read(roomy, shape, keys=keys).to_pylist()
            assert all(row in found for row in wanted)
            assert all(row in rows for row in found)
            if travel not in (pa.string(),):
                assert len(found) == len(wanted)


def test_keys_may_be_none_or_many_or_not_there(roomy: Target) -> None:
    shape, _ = simple(roomy, f"asked {next(numbers)}", count=1000)
    for asked, there in ((range(0), 0), (range(-5, 1), 0), (range(990, 990 + 2**16 + 1), 11)):
        rows = read(roomy, shape, keys=pa.table({"id": pa.array(asked, pa.int64())}))
        assert sorted(rows["id"].to_pylist()) == list(range(990, 990 + there))
    pairs = pa.table({"id": pa.array([1, 2, None], pa.int64()), "n": pa.array([10, None, 30], pa.int64())})
    assert read(roomy, shape, keys=pairs)["id"].to_pylist() == [1]
    windowed = read(roomy, shape, ("id",), keys=pa.table({"id": [3, 2, 1]}), within=KeyRange((2,), (4,)))
    assert sorted(windowed["id"].to_pylist()) == [2, 3]  # no order is promised


@pytest.mark.parametrize("engine", ["mysql", "postgresql"], indirect=True)
def test_keys_that_are_long_together_are_found_each_once(database: Database) -> None:
    collated = "text" if database.engine == "postgresql" else "varchar(3000) COLLATE utf8mb4_general_ci"
    letters, count = (2**18, 20) if database.engine == "postgresql" else (3_000, 500)
    texts = [f"{n:03}".ljust(letters, "🔑") for n in range(count + 1)]
    held = (0, count // 2, count - 1, count)
    database.execute(
        f"CREATE TABLE f (k {collated} NOT NULL, n integer NOT NULL)",
        *(f"INSERT INTO f VALUES ('{texts[n]}', {n})" for n in held),
    )
    adapter = open_target(database.url)
    with adapter.snapshot() as snapshot:
        found = snapshot.scan(Relation(TableName("f")), ["n"], keys=pa.table({"k": texts[:count]}))
        assert sorted(n for batch in found for n in batch["n"].to_pylist()) == list(held[:-1])
    adapter.close()


@pytest.mark.parametrize("engine", ["mysql", "sqlite"], indirect=True)
def test_a_row_comes_once_however_many_keys_its_collation_takes_for_its_own(database: Database) -> None:
    collate = {"mysql": "utf8mb4_general_ci", "sqlite": "NOCASE"}[database.engine]
    database.execute(
        f"CREATE TABLE f (k varchar(20) COLLATE {collate} NOT NULL, n integer NOT NULL, UNIQUE (k, n))",
        *(f"INSERT INTO f VALUES ('{k}', {n})" for k, n in (("Abc", 1), ("abc", 2), ("b", 1))),
    )
    adapter = open_target(database.url)
    shape = adapter.describe(TableName("f"))
    assert shape is not None
    fill = [f"x{i}" for i in range(600)]  # some engines ask for some hundreds at a time
    keys = pa.table({"k": ["Abc", *fill, "ABC", "abc"]})
    both = pa.table({"k": ["abc", *fill, "ABC", "abc"], "n": pa.array([1, *([1] * 600), 1, 2], pa.int32())})
    for asked, exact in ((keys, ["Abc", "abc"]), (both, ["abc"])):
        found = read(adapter, shape, keys=asked.cast(shape.schema(tuple(asked.column_names))))["k"].to_pylist()
        assert len(found) == len(set(found)) <= 2
        assert set(exact) <= set(found)
    adapter.close()


PAIRS = st.tuples(
    st.one_of(st.none(), st.sampled_from(["", "a", "a|b", "A", "ä", "b"])), st.one_of(st.none(), st.integers(-12, 12))
)


@settings(max_examples=15)
@given(
    rows=st.lists(PAIRS, max_size=25),
    cuts=st.lists(st.tuples(st.sampled_from(["", "a", "aa", "ä"]), st.integers(-12, 12)), max_size=4),
    size=st.integers(1, 6),
)
def test_windows_hold_every_row_exactly_once(roomy: Target, rows: list[Any], cuts: list[Any], size: int) -> None:
    key = ("a", "b")
    shape = make(roomy, a_shape(f"pairs{next(numbers)}", [ID, col("a", pa.string()), col("b", pa.int64())]))
    load(roomy, shape, rows_of(shape, *({"id": i, "a": a, "b": b} for i, (a, b) in enumerate(rows))))
    relation = Relation(shape.name)
    with roomy.snapshot() as snapshot:
        for bounds in (
            sorted(set(cuts), key=lambda pair: (pair[0].encode(), pair[1])),
            snapshot.split(relation, key, size),
        ):
            ends = [None, *bounds, None]
            windows = [KeyRange(ends[i], ends[i + 1], i == 0) for i in range(len(ends) - 1)]
            found = [
                [
                    row["id"]
                    for batch in snapshot.scan(relation, ["id"], key=key, within=window)
                    for row in batch.to_pylist()
                ]
                for window in windows
            ]
            assert sorted(itertools.chain(*found)) == list(range(len(rows)))
            whole = {i for i, pair in enumerate(rows) if None not in pair}
            order = [rows[i] for i in itertools.chain(*found) if i in whole]
            assert order == sorted(order, key=lambda pair: (pair[0].encode(), pair[1]))
            assert {i for i in range(len(rows)) if i not in whole} <= set(found[0])


def test_split_windows_have_the_size_asked_for(reader: Target) -> None:
    shape, _ = simple(reader, count=1000)
    relation = Relation(shape.name)
    with reader.snapshot() as snapshot:
        cuts = snapshot.split(relation, ("id",), 100)
        assert cuts == [(i,) for i in range(101, 1001, 100)]
        assert snapshot.split(relation, ("id",), 400, KeyRange((201,), (901,))) == [(601,)]
        assert snapshot.split(relation, ("id",), 5000) == []
        assert snapshot.split(Relation(shape.name, where="id > 990"), ("id",), 4) == [(995,), (999,)]
        assert all(isinstance(each, int) for cut in cuts for each in cut)


def test_windows_are_cut_inside_column_ranges_only(reader: Target) -> None:
    shape, _ = simple(reader, count=1000)
    relation = Relation(shape.name)
    with reader.snapshot() as snapshot:
        on_key, on_other = [ColumnRange("id", 101, 401)], [ColumnRange("n", 1010, 4010)]
        for ranges in (on_key, on_other, [*on_key, *on_other]):
            assert snapshot.split(relation, ("id",), 100, ranges=ranges) == [(201,), (301,)]
            assert snapshot.split(relation, ("id",), 300, ranges=ranges) == []
        assert snapshot.split(relation, ("id",), 100, KeyRange((251,), None), ranges=on_key) == [(351,)]
        assert snapshot.split(relation, ("id",), 100, ranges=[ColumnRange("id", 801)]) == [(901,)]
        assert snapshot.split(relation, ("id",), 1, ranges=[ColumnRange("id", 5000)]) == []


def test_counts_estimates_and_the_highest_number(reader: Target) -> None:
    shape, _ = simple(reader, count=500)
    bare = make(reader, a_shape("bare", [ID, col("n", pa.int64())]))
    relation = Relation(shape.name)
    with reader.snapshot() as snapshot:
        assert isinstance(snapshot, Snapshot)
        assert snapshot.mark
        assert snapshot.count(relation) == 500
        assert snapshot.count(relation, [ColumnRange("id", 10, 20), ColumnRange("n", 150)]) == 5
        assert snapshot.count(Relation(shape.name, where="n > 4990"), [ColumnRange("name", "row")]) == 1
        assert snapshot.estimate(relation) > 0
        assert snapshot.estimate(Relation(query=in_dialect(reader, 'SELECT * FROM "simple"'))) > 0
        assert snapshot.highest(relation, "n") == 5000
        assert snapshot.highest(Relation(bare.name), "id") is None
        assert snapshot.count(Relation(bare.name)) == 0
        assert list(snapshot.scan(Relation(bare.name), ["id"])) == []


def test_a_scan_streams_batches_of_bounded_size(reader: Target) -> None:
    shape = make(reader, a_shape("many", [ID, col("n", pa.int64())]))
    count = 100_000
    rows = pa.table({"id": range(count), "n": [None] * count}, schema=shape.schema())
    load(reader, shape, rows)
    with reader.snapshot() as snapshot:
        sizes = [batch.num_rows for batch in snapshot.scan(Relation(shape.name), ["n", "id"], key=("id",))]
    assert sum(sizes) == count
    assert 0 < min(sizes) <= max(sizes) <= 65_536


# Snapshots


def test_a_snapshot_sees_one_state_while_others_write(adapter: Target, database: Database) -> None:
    shape, rows = simple(adapter)
    if database.engine == "sqlite":  # without a write-ahead log SQLite lets the writer wait instead
        database.execute("PRAGMA journal_mode=WAL")
    other = open_target(database.url)
    with adapter.snapshot() as snapshot:
        more = rows_of(shape, {"id": 4, "name": "late", "n": None})
        other.apply(change(shape, inserts=more, deletes=rows.slice(0, 1)), shape, None)
        assert snapshot.count(Relation(shape.name)) == 3
        assert pa.Table.from_batches(list(snapshot.scan(Relation(shape.name), shape.names, key=("id",)))).equals(rows)
    other.close()
    assert read(adapter, shape, ("id",))["id"].to_pylist() == [2, 3, 4]


def test_the_mark_names_the_state_that_was_read(reader: Target) -> None:
    shape, rows = simple(reader)
    with reader.snapshot() as snapshot:
        before = snapshot.mark
    reader.apply(change(shape, deletes=rows.slice(0, 1)), shape, None)
    with reader.snapshot() as snapshot:
        assert snapshot.mark != before


def test_scans_of_one_snapshot_may_be_interleaved(reader: Target) -> None:
    shape = make(reader, a_shape("many", [ID]))
    count = 150_000
    load(reader, shape, pa.table({"id": range(count)}, schema=shape.schema()))
    relation = Relation(shape.name)
    with reader.snapshot() as snapshot:
        up = snapshot.scan(relation, ["id"], key=("id",))
        first = next(up)
        halves = [
            snapshot.scan(relation, ["id"], key=("id",), within=each)
            for each in (KeyRange(stop=(70_000,)), KeyRange((70_000,)))
        ]
        there = [next(each) for each in halves]
        assert snapshot.count(relation) == count
        rest = pa.Table.from_batches([first, *up])["id"].combine_chunks()
        assert rest.equals(pa.array(range(count)))
        sizes = [
            each.num_rows + sum(batch.num_rows for batch in half) for each, half in zip(there, halves, strict=True)
        ]
        assert sizes == [70_000, 80_000]


def test_a_snapshot_serves_several_threads(reader: Target) -> None:
    shape = make(reader, a_shape("many", [ID, col("t", pa.string())]))
    count = 40_000
    load(reader, shape, pa.table({"id": range(count), "t": [f"t{i}" for i in range(count)]}, schema=shape.schema()))
    windows = [KeyRange((i,), (i + 5000,)) for i in range(0, count, 5000)]
    with reader.snapshot() as snapshot, ThreadPoolExecutor(4) as pool:

        def total(window: KeyRange) -> int:
            found = snapshot.scan(Relation(shape.name), ["id", "t"], key=("id",), within=window)
            return sum(pc.sum(batch["id"]).as_py() for batch in found)

        assert sum(pool.map(total, windows)) == count * (count - 1) // 2


def test_a_scan_left_early_leaves_the_snapshot_usable(reader: Target) -> None:
    shape = make(reader, a_shape("many", [ID]))
    load(reader, shape, pa.table({"id": range(100_000)}, schema=shape.schema()))
    with reader.snapshot() as snapshot:
        for _ in range(3):
            batches = snapshot.scan(Relation(shape.name), ["id"], key=("id",))
            assert next(batches)["id"][0].as_py() == 0
            batches.close()  # type: ignore[attr-defined]
        assert snapshot.count(Relation(shape.name)) == 100_000


def test_a_snapshot_ends_over_a_scan_that_is_still_open(reader: Target) -> None:
    shape = make(reader, a_shape("many", [ID]))
    load(reader, shape, pa.table({"id": range(100_000)}, schema=shape.schema()))
    with reader.snapshot() as snapshot:
        batches = snapshot.scan(Relation(shape.name), ["id"], key=("id",))
        next(batches)
    batches.close()  # type: ignore[attr-defined]
    reader.apply(change(shape, inserts=rows_of(shape, {"id": -1})), shape, None)
    assert read(reader, shape).num_rows == 100_001


def test_an_unknown_column_is_named(reader: Target) -> None:
    shape, _ = simple(reader)
    with reader.snapshot() as snapshot, pytest.raises(SynclineError, match="nmae"):
        list(snapshot.scan(Relation(shape.name), ["id", "nmae"]))
