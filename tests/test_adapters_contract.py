"""One suite over every adapter: each promise of adapters/protocol.py, on SQLite, DuckDB, PostgreSQL and MariaDB alike."""

from __future__ import annotations

import itertools
import math
import random
import re
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, date, datetime, time
from decimal import Decimal
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc
import pytest
from conftest import Database
from hypothesis import given, settings
from hypothesis import strategies as st

from adapters.protocol import Adapter, Snapshot
from adapters.registry import open_adapter
from transforms.limits import misfits
from transforms.vocabulary import (
    DATE_INFINITY,
    TIMESTAMP_INFINITY,
    Applied,
    ChangeSet,
    ColumnRange,
    ColumnShape,
    ConnectionFailed,
    ForeignKey,
    Key,
    KeyRange,
    Marker,
    Meaning,
    PlanError,
    Relation,
    SpecError,
    SynclineError,
    TableName,
    TableShape,
)

MICROSECONDS = pa.timestamp("us")
ZONED = pa.timestamp("us", "UTC")
ODD_NAMES = [
    'Or"der',
    "two words",
    "select",
    "Größe",
    "UPPER",
    "per%cent",
    "co:lon",
    "semi;colon",
    "back\\slash",
    "a'b",
]


@pytest.fixture
def adapter(database: Database) -> Iterator[Adapter]:
    opened = open_adapter(database.url, create=True)
    yield opened
    opened.close()


@pytest.fixture(scope="module", params=["sqlite", "duckdb", "postgresql", "mysql"])
def roomy(request: pytest.FixtureRequest, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Adapter]:
    """One database for the tests of this module that only need a table of their own."""
    url = f"{request.param}:///{tmp_path_factory.mktemp('roomy')}/target.db"
    if request.param == "postgresql":
        url = request.getfixturevalue("postgres_server")
    elif request.param == "mysql":
        url = request.getfixturevalue("mariadb_server")
    opened = open_adapter(url, create=True)
    yield opened
    opened.close()


_numbers = itertools.count(1)


def a_shape(name: str, columns: Sequence[ColumnShape], key: Key = ("id",), **more: Any) -> TableShape:
    return TableShape(TableName(name), tuple(columns), key, **more)


def col(name: str, travel: pa.DataType, meaning: Meaning = "plain", **more: Any) -> ColumnShape:
    return ColumnShape(name, travel, "", meaning=meaning, **more)


ID = col("id", pa.int64(), nullable=False)


def make(adapter: Adapter, shape: TableShape) -> TableShape:
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


def load(adapter: Adapter, shape: TableShape, rows: pa.Table, key: Key = ("id",)) -> Applied:
    return adapter.apply(change(shape, key, inserts=rows), shape, None, empty=True)


def read(adapter: Adapter, shape: TableShape, key: Key = (), **more: Any) -> pa.Table:
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


def in_dialect(adapter: Adapter, query: str) -> str:
    """A query as the engine spells it."""
    if adapter.engine != "mysql":
        return query
    return re.sub(r"(\w+) \|\| ('[^']*')", r"concat(\1, \2)", query).replace('"', "`")


def simple(adapter: Adapter, name: str = "simple", count: int = 3) -> tuple[TableShape, pa.Table]:
    """A table of `id` and `name` with rows 1, 2, … in it."""
    shape = make(adapter, a_shape(name, [ID, col("name", pa.string()), col("n", pa.int64())]))
    rows = rows_of(shape, *({"id": i, "name": f"row {i}", "n": i * 10} for i in range(1, count + 1)))
    load(adapter, shape, rows)
    return shape, rows


# ---------------------------------------------------------------------------------------------------------------------
# Shapes and types

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
    roomy: Adapter, name: str, travel: pa.DataType, meaning: Meaning, values: list[Any], empty: bool
) -> None:
    shape = make(roomy, a_shape(f"{name} {next(_numbers)}", [ID, col("value", travel, meaning)]))
    rows = numbered(shape, fitting(values, travel, shape.columns[1]))
    assert roomy.apply(change(shape, inserts=rows), shape, None, empty=empty) == Applied(inserted=len(rows))
    assert read(roomy, shape, ("id",)).equals(rows)
    if roomy.engine != "mysql":  # there, the limits of the columns are told
        assert rows["value"].cast(travel).to_pylist() == [*pa.array(values, travel).to_pylist(), None]


@pytest.mark.parametrize(("name", "travel", "meaning", "values"), VALUES, ids=[each[0] for each in VALUES])
def test_values_of_every_type_are_updated_and_deleted_under_their_precondition(
    roomy: Adapter, name: str, travel: pa.DataType, meaning: Meaning, values: list[Any]
) -> None:
    shape = make(roomy, a_shape(f"{name} {next(_numbers)}", [ID, col("value", travel, meaning)]))
    rows = numbered(shape, fitting(values, travel, shape.columns[1]))
    load(roomy, shape, rows)
    after = edited(rows, "value", [None, *rows["value"].to_pylist()[:-1]])
    assert roomy.apply(change(shape, before=rows, after=after), shape, None) == Applied(updated=len(rows))
    assert read(roomy, shape, ("id",)).equals(after)
    assert roomy.apply(change(shape, deletes=after), shape, None) == Applied(deleted=len(rows))
    assert read(roomy, shape).num_rows == 0


def test_a_described_table_is_made_again_as_it_is(adapter: Adapter) -> None:
    columns = [col(name, travel, meaning) for name, travel, meaning, _ in VALUES]
    columns += [col("json", pa.string(), "json"), col("must", pa.string(), nullable=False)]
    first = make(adapter, a_shape("first", [ID, *columns], uniques=frozenset({frozenset({"id"}), frozenset({"must"})})))
    again = make(adapter, a_shape("again", first.columns, first.primary_key, uniques=first.uniques))
    assert again.columns == first.columns
    assert again.primary_key == first.primary_key == ("id",)
    assert again.uniques == first.uniques == {frozenset({"id"}), frozenset({"must"})}
    assert {each.name: each.meaning for each in first.columns if each.meaning != "plain"} == {
        "uuid": "uuid",
        "json": "json",
    }
    assert [each.name for each in first.columns if not each.nullable] == ["id", "must"]
    for (_, travel, _, values), found in zip(VALUES, first.columns[1:], strict=False):
        if not pa.types.is_duration(found.type):
            assert pa.array(values, travel).cast(found.type).cast(travel).equals(pa.array(values, travel))


def test_a_missing_table_is_none(adapter: Adapter) -> None:
    assert adapter.describe(TableName("nothing")) is None
    assert adapter.tables() == []


def test_foreign_keys_are_described(adapter: Adapter) -> None:
    make(
        adapter,
        a_shape("parent", [ID, col("code", pa.string(), nullable=False)], uniques=frozenset({frozenset({"code"})})),
    )
    foreign = (ForeignKey(("code",), TableName("parent"), ("code",)),)
    shape = make(adapter, a_shape("child", [ID, col("code", pa.string())], foreign_keys=foreign))
    assert [(each.columns, each.refers.name, each.refers_columns) for each in shape.foreign_keys] == [
        (("code",), "parent", ("code",))
    ]


def test_identifiers_are_kept_exactly(adapter: Adapter) -> None:
    names = ODD_NAMES
    columns = [ID, *(col(name, pa.string()) for name in names)]
    for name in names:
        shape = make(adapter, a_shape(name, columns))
        assert shape.names == ("id", *names)
        row = rows_of(shape, {"id": 1, **{each: each for each in names}})
        load(adapter, shape, row)
        after = edited(row, name, ["new"])
        assert adapter.apply(change(shape, before=row, after=after), shape, Marker("m", name, name, 0)).updated == 1
        assert adapter.applied(name) == {Marker("m", name, name, 0)}
        assert read(adapter, shape, (name,), within=KeyRange(("a",))).equals(after)
    assert [each.name for each in adapter.tables()] == sorted(names)


def test_a_query_is_described_and_read(adapter: Adapter) -> None:
    simple(adapter)
    query = in_dialect(adapter, "SELECT id AS a, name || ':%' AS \"two words\" FROM simple WHERE n > 10; -- the end")
    shape = adapter.describe_query(query.replace("; --", " --"))
    assert shape.names == ("a", "two words")
    assert [each.type for each in shape.columns] == [pa.int64(), pa.string()]
    assert (shape.primary_key, shape.uniques, shape.ordered) == ((), frozenset(), frozenset())
    relation = Relation(query=query.replace("; --", " --"), where="a < 3")
    with adapter.snapshot() as snapshot:
        found = pa.Table.from_batches(list(snapshot.scan(relation, ["two words", "a"], key=("a",))))
        assert found.to_pylist() == [{"two words": "row 2:%", "a": 2}]
        assert snapshot.count(relation) == 1


# ---------------------------------------------------------------------------------------------------------------------
# Order and windows

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
def test_rows_come_in_binary_key_order_with_nulls_first(roomy: Adapter, kind: str) -> None:
    travel, meaning, values = KEYS[kind]
    shape = make(roomy, a_shape(f"keyed {next(_numbers)}", [ID, col("k", travel, meaning)]))
    expected = fitting(values, travel, shape.columns[1]).drop_null()
    mixed = [*range(len(expected)), None, None]
    random.Random(7).shuffle(mixed)
    load(roomy, shape, numbered(shape, expected.take(pa.array(mixed, pa.int64()))))
    expected = expected.take(pc.sort_indices(expected)).to_pylist()
    assert read(roomy, shape, ("k",))["k"].to_pylist() == [None, None, *expected]
    with roomy.snapshot() as snapshot:
        for (low, high), nulls in itertools.product(
            itertools.combinations_with_replacement(expected, 2), (True, False)
        ):
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


def test_a_primary_key_is_ordered_and_cheap(adapter: Adapter) -> None:
    columns = [col("a", pa.string(), nullable=False), col("b", pa.int64(), nullable=False), col("c", pa.float64())]
    shape = make(adapter, a_shape("composite", columns, ("a", "b")))
    if adapter.engine != "postgresql":  # there the database's collation decides
        assert ("a", "b") in shape.ordered
    assert ("c",) not in shape.ordered


PAIRS = st.tuples(
    st.one_of(st.none(), st.sampled_from(["", "a", "a|b", "A", "ä", "b"])), st.one_of(st.none(), st.integers(-12, 12))
)


@settings(max_examples=15)
@given(
    rows=st.lists(PAIRS, max_size=25),
    cuts=st.lists(st.tuples(st.sampled_from(["", "a", "aa", "ä"]), st.integers(-12, 12)), max_size=4),
    size=st.integers(1, 6),
)
def test_windows_hold_every_row_exactly_once(roomy: Adapter, rows: list[Any], cuts: list[Any], size: int) -> None:
    key = ("a", "b")
    shape = make(roomy, a_shape(f"pairs{next(_numbers)}", [ID, col("a", pa.string()), col("b", pa.int64())]))
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


def test_split_windows_have_the_size_asked_for(adapter: Adapter) -> None:
    shape, _ = simple(adapter, count=1000)
    relation = Relation(shape.name)
    with adapter.snapshot() as snapshot:
        cuts = snapshot.split(relation, ("id",), 100)
        assert cuts == [(i,) for i in range(101, 1001, 100)]
        assert snapshot.split(relation, ("id",), 400, KeyRange((201,), (901,))) == [(601,)]
        assert snapshot.split(relation, ("id",), 5000) == []
        assert snapshot.split(Relation(shape.name, where="id > 990"), ("id",), 4) == [(995,), (999,)]
        assert all(isinstance(each, int) for cut in cuts for each in cut)


def test_counts_estimates_and_the_highest_number(adapter: Adapter) -> None:
    shape, _ = simple(adapter, count=500)
    bare = make(adapter, a_shape("bare", [ID, col("n", pa.int64())]))
    relation = Relation(shape.name)
    with adapter.snapshot() as snapshot:
        assert isinstance(snapshot, Snapshot)
        assert snapshot.mark
        assert snapshot.count(relation) == 500
        assert snapshot.count(relation, [ColumnRange("id", 10, 20), ColumnRange("n", 150)]) == 5
        assert snapshot.count(Relation(shape.name, where="n > 4990"), [ColumnRange("name", "row")]) == 1
        assert snapshot.estimate(relation) > 0
        assert snapshot.estimate(Relation(query=in_dialect(adapter, 'SELECT * FROM "simple"'))) > 0
        assert snapshot.highest(relation, "n") == 5000
        assert snapshot.highest(Relation(bare.name), "id") is None
        assert snapshot.count(Relation(bare.name)) == 0
        assert list(snapshot.scan(Relation(bare.name), ["id"])) == []


def test_a_scan_streams_batches_of_bounded_size(adapter: Adapter) -> None:
    shape = make(adapter, a_shape("many", [ID, col("n", pa.int64())]))
    count = 200_000
    rows = pa.table({"id": range(count), "n": [None] * count}, schema=shape.schema())
    load(adapter, shape, rows)
    with adapter.snapshot() as snapshot:
        sizes = [batch.num_rows for batch in snapshot.scan(Relation(shape.name), ["n", "id"], key=("id",))]
    assert sum(sizes) == count
    assert 0 < min(sizes) <= max(sizes) <= 65_536


# ---------------------------------------------------------------------------------------------------------------------
# Snapshots


def test_a_snapshot_sees_one_state_while_others_write(adapter: Adapter, database: Database) -> None:
    shape, rows = simple(adapter)
    if database.engine == "sqlite":  # without a write-ahead log SQLite lets the writer wait instead
        database.execute("PRAGMA journal_mode=WAL")
    other = open_adapter(database.url)
    with adapter.snapshot() as snapshot:
        more = rows_of(shape, {"id": 4, "name": "late", "n": None})
        other.apply(change(shape, inserts=more, deletes=rows.slice(0, 1)), shape, None)
        assert snapshot.count(Relation(shape.name)) == 3
        assert pa.Table.from_batches(list(snapshot.scan(Relation(shape.name), shape.names, key=("id",)))).equals(rows)
    other.close()
    assert read(adapter, shape, ("id",))["id"].to_pylist() == [2, 3, 4]


def test_the_mark_names_the_state_that_was_read(adapter: Adapter) -> None:
    shape, rows = simple(adapter)
    with adapter.snapshot() as snapshot:
        before = snapshot.mark
    adapter.apply(change(shape, deletes=rows.slice(0, 1)), shape, None)
    with adapter.snapshot() as snapshot:
        assert snapshot.mark != before


def test_scans_of_one_snapshot_may_be_interleaved(adapter: Adapter) -> None:
    shape = make(adapter, a_shape("many", [ID]))
    count = 150_000
    load(adapter, shape, pa.table({"id": range(count)}, schema=shape.schema()))
    relation = Relation(shape.name)
    with adapter.snapshot() as snapshot:
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


def test_a_snapshot_serves_several_threads(adapter: Adapter) -> None:
    shape = make(adapter, a_shape("many", [ID, col("t", pa.string())]))
    count = 40_000
    load(adapter, shape, pa.table({"id": range(count), "t": [f"t{i}" for i in range(count)]}, schema=shape.schema()))
    windows = [KeyRange((i,), (i + 5000,)) for i in range(0, count, 5000)]
    with adapter.snapshot() as snapshot, ThreadPoolExecutor(4) as pool:

        def total(window: KeyRange) -> int:
            found = snapshot.scan(Relation(shape.name), ["id", "t"], key=("id",), within=window)
            return sum(pc.sum(batch["id"]).as_py() for batch in found)

        assert sum(pool.map(total, windows)) == count * (count - 1) // 2


def test_a_scan_left_early_leaves_the_snapshot_usable(adapter: Adapter) -> None:
    shape = make(adapter, a_shape("many", [ID]))
    load(adapter, shape, pa.table({"id": range(100_000)}, schema=shape.schema()))
    with adapter.snapshot() as snapshot:
        for _ in range(3):
            batches = snapshot.scan(Relation(shape.name), ["id"], key=("id",))
            assert next(batches)["id"][0].as_py() == 0
            batches.close()  # type: ignore[attr-defined]
        assert snapshot.count(Relation(shape.name)) == 100_000


def test_a_snapshot_ends_over_a_scan_that_is_still_open(adapter: Adapter) -> None:
    shape = make(adapter, a_shape("many", [ID]))
    load(adapter, shape, pa.table({"id": range(100_000)}, schema=shape.schema()))
    with adapter.snapshot() as snapshot:
        batches = snapshot.scan(Relation(shape.name), ["id"], key=("id",))
        next(batches)
    batches.close()  # type: ignore[attr-defined]
    adapter.apply(change(shape, inserts=rows_of(shape, {"id": -1})), shape, None)
    assert read(adapter, shape).num_rows == 100_001


def test_an_unknown_column_is_named(adapter: Adapter) -> None:
    shape, _ = simple(adapter)
    with adapter.snapshot() as snapshot, pytest.raises(SynclineError, match="nmae"):
        list(snapshot.scan(Relation(shape.name), ["id", "nmae"]))


# ---------------------------------------------------------------------------------------------------------------------
# Applying


def test_inserts_updates_and_deletes_go_in_together(adapter: Adapter) -> None:
    shape, rows = simple(adapter)
    after = edited(rows.slice(0, 1), "name", ["new"])
    more = rows_of(shape, {"id": 9, "name": None, "n": 0})
    applied = adapter.apply(
        change(shape, inserts=more, before=rows.slice(0, 1), after=after, deletes=rows.slice(1, 1)), shape, None
    )
    assert applied == Applied(1, 1, 1)
    assert read(adapter, shape, ("id",)).to_pylist() == [
        *after.to_pylist(),
        *rows.slice(2).to_pylist(),
        *more.to_pylist(),
    ]


def test_only_compared_columns_are_a_precondition(adapter: Adapter, database: Database) -> None:
    shape, rows = simple(adapter)
    database.execute("UPDATE simple SET n = -1")
    changes = change(shape, before=rows, after=edited(rows, "name", ["x", "y", "z"]), compared=("id", "name"))
    assert adapter.apply(changes, shape, None) == Applied(updated=3)
    assert read(adapter, shape, ("id",))["n"].to_pylist() == [-1, -1, -1]  # what was not changed was not written


CHANGED: dict[str, Callable[[TableShape, pa.Table], ChangeSet]] = {
    "update": lambda shape, rows: change(shape, before=rows, after=edited(rows, "name", ["a", "b", "c"])),
    "delete": lambda shape, rows: change(shape, deletes=rows),
    "insert": lambda shape, rows: change(shape, inserts=edited(rows, "name", ["a", "b", "c"])),
}


@pytest.mark.parametrize("op", CHANGED)
def test_a_row_that_is_not_as_planned_becomes_a_conflict_and_is_left_alone(
    adapter: Adapter, database: Database, op: str
) -> None:
    shape, rows = simple(adapter)
    if op == "insert":
        database.execute("DELETE FROM simple WHERE id <> 2")
    database.execute("UPDATE simple SET name = 'edited' WHERE id = 2")
    applied = adapter.apply(CHANGED[op](shape, rows), shape, None)
    assert (applied.inserted, applied.updated, applied.deleted) == tuple(
        2 * (op == each) for each in ("insert", "update", "delete")
    )
    assert applied.conflicts is not None
    (conflict,) = applied.conflicts.to_pylist()
    assert applied.conflicts.column_names == ["op", "key", "before", "after", "found"]
    assert (conflict["op"], conflict["key"]) == (op, {"id": 2})
    assert conflict["found"] == {"id": 2, "name": "edited", "n": 20}
    assert conflict["before"] == (None if op == "insert" else {"id": 2, "name": "row 2", "n": 20})
    assert conflict["after"] == (None if op == "delete" else {"id": 2, "name": "b", "n": 20})
    there = {row["id"]: row["name"] for row in read(adapter, shape).to_pylist()}
    assert there == ({2: "edited"} if op == "delete" else {1: "a", 2: "edited", 3: "c"})


def test_an_update_of_a_row_that_is_gone_is_a_conflict_without_a_found_row(
    adapter: Adapter, database: Database
) -> None:
    shape, rows = simple(adapter)
    database.execute("DELETE FROM simple WHERE id = 3")
    applied = adapter.apply(CHANGED["update"](shape, rows), shape, None)
    assert applied.updated == 2
    assert applied.conflicts is not None
    assert applied.conflicts["found"].to_pylist() == [None]
    assert applied.conflicts["key"].to_pylist() == [{"id": 3}]


def test_a_delete_whose_row_is_gone_is_done(adapter: Adapter, database: Database) -> None:
    shape, rows = simple(adapter)
    database.execute("DELETE FROM simple WHERE id = 3")
    assert adapter.apply(change(shape, deletes=rows), shape, None).conflicts is None
    assert read(adapter, shape).num_rows == 0


@pytest.mark.parametrize("op", CHANGED)
def test_applying_again_changes_nothing_and_is_no_conflict(adapter: Adapter, database: Database, op: str) -> None:
    shape, rows = simple(adapter)
    if op == "insert":
        database.execute("DELETE FROM simple")
    changes = CHANGED[op](shape, rows)
    first = adapter.apply(changes, shape, None)
    there = read(adapter, shape, ("id",))
    assert adapter.apply(changes, shape, None) == first
    assert read(adapter, shape, ("id",)).equals(there)


def test_null_is_a_value_of_a_precondition(adapter: Adapter, database: Database) -> None:
    shape, _ = simple(adapter)
    database.execute("UPDATE simple SET name = NULL WHERE id = 1", "UPDATE simple SET name = '' WHERE id = 2")
    rows = read(adapter, shape, ("id",))
    assert rows["name"].to_pylist() == [None, "", "row 3"]
    swapped = edited(rows, "name", ["", None, "NULL"])
    assert adapter.apply(change(shape, before=rows, after=swapped), shape, None) == Applied(updated=3)
    assert adapter.apply(change(shape, deletes=rows), shape, None).conflicts is not None
    assert read(adapter, shape, ("id",)).equals(swapped)


def test_a_marked_window_is_applied_once(adapter: Adapter) -> None:
    shape, rows = simple(adapter)
    markers = [
        Marker("m", "plan 1", "t", 0, "upsert"),
        Marker("m", "plan 1", "t", 0, "delete"),
        Marker("m", "plan 1", "t", 1),
    ]
    assert adapter.applied("plan 1") == set()
    gone = change(shape, deletes=rows)
    for marker, part in zip(markers, range(3), strict=True):
        assert adapter.apply(change(shape, deletes=rows.slice(part, 1)), shape, marker) == Applied(deleted=1)
    back = change(shape, inserts=rows)
    assert adapter.apply(back, shape, None) == Applied(inserted=3)
    for marker in markers:
        assert adapter.apply(gone, shape, marker) == Applied(already=True)
    assert read(adapter, shape).num_rows == 3
    assert adapter.applied("plan 1") == set(markers)
    assert adapter.applied("plan 2") == set()
    assert [each.name for each in adapter.tables()] == ["simple"]


@pytest.mark.parametrize("taken", ["by the same row", "by another"])
def test_a_straight_load_falls_back_where_a_key_is_taken(adapter: Adapter, taken: str) -> None:
    shape, rows = simple(adapter)
    more = rows_of(
        shape,
        {"id": 3, "name": "row 3" if taken == "by the same row" else "x", "n": 30},
        {"id": 4, "name": "d", "n": 1},
    )
    applied = adapter.apply(change(shape, inserts=more), shape, Marker("m", "p", "t", 0), empty=True)
    assert read(adapter, shape, ("id",)).slice(0, 3).equals(rows)
    assert read(adapter, shape).num_rows == 4
    assert (applied.conflicts is None) == (taken == "by the same row")
    assert adapter.applied("p") == {Marker("m", "p", "t", 0)}


def everything_there(database: Database) -> list[tuple[Any, ...]]:
    """All relations, temporary ones too, as another connection sees them."""
    catalog = {
        "sqlite": "SELECT name FROM sqlite_schema UNION ALL SELECT name FROM sqlite_temp_schema ORDER BY 1",
        "duckdb": "SELECT table_name FROM duckdb_tables() UNION ALL SELECT view_name FROM duckdb_views() WHERE NOT internal ORDER BY 1",
        "postgresql": "SELECT relname FROM pg_class JOIN pg_namespace n ON n.oid = relnamespace "
        "WHERE nspname NOT IN ('pg_catalog', 'information_schema', 'pg_toast') ORDER BY 1",
        "mysql": "SELECT table_name FROM information_schema.tables WHERE table_schema = DATABASE() ORDER BY 1",
    }  # fmt: skip
    return database.execute(catalog[database.engine])


@pytest.mark.parametrize("empty", [True, False], ids=["straight", "staged"])
def test_an_error_rolls_back_and_leaves_nothing_behind(adapter: Adapter, database: Database, empty: bool) -> None:
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


def test_ddl_that_fails_leaves_nothing_behind(adapter: Adapter, database: Database) -> None:
    shape, _ = simple(adapter)
    before = everything_there(database)
    with pytest.raises(SynclineError, match="simple"):
        adapter.execute_ddl([*adapter.ddl(a_shape("fresh", [ID])), *adapter.ddl(shape)])
    assert everything_there(database) == before


def test_two_rows_swap_a_unique_value(adapter: Adapter) -> None:
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


def test_a_unique_value_passes_from_a_deleted_row_to_an_updated_and_on_to_a_new_one(adapter: Adapter) -> None:
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


def test_a_tree_loads_in_one_window_whatever_its_order(adapter: Adapter) -> None:
    foreign = (ForeignKey(("parent",), TableName("tree"), ("id",)),)
    shape = make(adapter, a_shape("tree", [ID, col("parent", pa.int64())], foreign_keys=foreign))
    rows = rows_of(
        shape, {"id": 1, "parent": 3}, {"id": 2, "parent": 1}, {"id": 3, "parent": None}, {"id": 4, "parent": 2}
    )
    assert load(adapter, shape, rows) == Applied(inserted=4)
    assert read(adapter, shape, ("id",)).equals(rows)


def test_a_missing_parent_is_an_error_and_nothing_stays(adapter: Adapter) -> None:
    make(adapter, a_shape("parent", [ID]))
    foreign = (ForeignKey(("parent",), TableName("parent"), ("id",)),)
    shape = make(adapter, a_shape("child", [ID, col("parent", pa.int64())], foreign_keys=foreign))
    for empty in (True, False):
        with pytest.raises(SynclineError, match="child"):
            adapter.apply(change(shape, inserts=rows_of(shape, {"id": 1, "parent": 7})), shape, None, empty=empty)
    assert read(adapter, shape).num_rows == 0


def test_composite_keys_are_tuples(adapter: Adapter) -> None:
    columns = [col("a", pa.string(), nullable=False), col("b", pa.string(), nullable=False), col("v", pa.int64())]
    shape = make(adapter, a_shape("tuples", columns, ("a", "b")))
    rows = rows_of(
        shape,
        {"a": "a|b", "b": "c", "v": 1},
        {"a": "a", "b": "b|c", "v": 2},
        {"a": "1", "b": "23", "v": 3},
        {"a": "12", "b": "3", "v": 4},
    )
    load(adapter, shape, rows, ("a", "b"))
    changes = change(
        shape, ("a", "b"), before=rows.slice(0, 1), after=edited(rows.slice(0, 1), "v", [9]), deletes=rows.slice(2, 1)
    )
    assert adapter.apply(changes, shape, None) == Applied(updated=1, deleted=1)
    assert read(adapter, shape, ("a", "b")).to_pylist() == [
        {"a": "12", "b": "3", "v": 4}, {"a": "a", "b": "b|c", "v": 2}, {"a": "a|b", "b": "c", "v": 9},
    ]  # fmt: skip


def test_keys_without_an_index_work_too(adapter: Adapter) -> None:
    shape, rows = simple(adapter, count=2000)
    changes = change(shape, ("name",), before=rows, after=edited(rows, "n", [0] * 2000))
    assert adapter.apply(changes, shape, None, empty=True) == Applied(updated=2000)


def test_zero_and_minus_zero_are_equal(adapter: Adapter) -> None:
    shape = make(adapter, a_shape("zero", [ID, col("f", pa.float64())]))
    load(adapter, shape, rows_of(shape, {"id": 1, "f": -0.0}))
    assert read(adapter, shape)["f"].to_pylist() == [0.0]
    assert adapter.apply(change(shape, deletes=rows_of(shape, {"id": 1, "f": 0.0})), shape, None) == Applied(deleted=1)


def test_nan_is_kept_or_refused_but_never_lost(adapter: Adapter) -> None:
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
def test_infinite_dates_and_times_travel_by_the_shared_convention(roomy: Adapter, sign: int) -> None:
    shape = make(
        roomy, a_shape(f"ends {next(_numbers)}", [ID, col("d", pa.date32()), col("t", MICROSECONDS), col("z", ZONED)])
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


def test_json_compares_by_value_or_by_its_text_but_finds_its_row(adapter: Adapter) -> None:
    shape = make(adapter, a_shape("doc", [ID, col("j", pa.string(), "json")]))
    load(adapter, shape, rows_of(shape, {"id": 1, "j": '{"b": 1, "a": [1.5, null, "ä"]}'}))
    rows = read(adapter, shape)
    assert adapter.apply(change(shape, before=rows, after=edited(rows, "j", ['{"a": 2}'])), shape, None) == Applied(
        updated=1
    )
    other = edited(rows, "j", ['{ "a":2 }'])
    assert adapter.apply(change(shape, deletes=other), shape, None) == Applied(deleted=1)


def test_identity_values_are_kept_and_the_sequence_moves_past_them(adapter: Adapter, database: Database) -> None:
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


def test_what_a_window_did_is_told_before_it_is_committed(adapter: Adapter) -> None:
    shape = make(adapter, a_shape("told", [ID, col("name", pa.string())]))
    told: list[Applied] = []
    rows = rows_of(shape, {"id": 1, "name": "a"}, {"id": 2, "name": "b"})
    marker = Marker("m", "p", "told", 0)
    for empty in (True, False):
        adapter.apply(change(shape, inserts=rows), shape, marker, empty=empty, before_commit=told.append)
    assert [each.inserted for each in told] == [2], "a window that is in is not told again"
    assert read(adapter, shape).num_rows == 2

    def refused(applied: Applied) -> None:
        assert applied.conflicts is not None and applied.conflicts.num_rows == 1
        raise PlanError("no room")

    other = rows_of(shape, {"id": 2, "name": "other"}, {"id": 3, "name": "c"})
    with pytest.raises(PlanError, match="no room"):
        adapter.apply(change(shape, inserts=other), shape, Marker("m", "p", "told", 1), before_commit=refused)
    assert read(adapter, shape).num_rows == 2
    assert adapter.applied("p") == {marker}


def test_windows_may_be_applied_from_several_threads(adapter: Adapter) -> None:
    shape = make(adapter, a_shape("shared", [ID, col("t", pa.string())]))

    def apply(window: int) -> int:
        rows = rows_of(shape, *({"id": window * 100 + i, "t": "x"} for i in range(100)))
        return adapter.apply(change(shape, inserts=rows), shape, Marker("m", "p", "shared", window)).inserted

    with ThreadPoolExecutor(4) as pool:
        assert sum(pool.map(apply, range(8))) == 800
    assert read(adapter, shape).num_rows == 800
    assert len(adapter.applied("p")) == 8


# ---------------------------------------------------------------------------------------------------------------------
# Opening and closing


@pytest.mark.parametrize("engine", ["sqlite", "duckdb"])
def test_a_source_is_never_made_by_reading_it(engine: str, tmp_path: Path) -> None:
    for folder, create in ((tmp_path, False), (tmp_path / "missing", False), (tmp_path / "missing", True)):
        opened = open_adapter(f"{engine}:///{folder}/none.db", create=create)
        with pytest.raises(ConnectionFailed, match=r"none\.db"):
            opened.tables()
        with pytest.raises(ConnectionFailed, match=r"none\.db"), opened.snapshot():
            pass
        opened.close()
    target = open_adapter(f"{engine}:///{tmp_path}/new.db", create=True)
    assert target.describe(TableName("t")) is None
    with target.snapshot() as snapshot:
        assert snapshot.count(Relation(query="SELECT 1 AS a")) == 1
    assert list(tmp_path.iterdir()) == []
    make(target, a_shape("t", [ID]))
    target.close()
    assert (tmp_path / "new.db").exists()


@pytest.mark.parametrize("engine", ["sqlite", "duckdb"])
def test_what_is_no_database_is_refused(engine: str, tmp_path: Path) -> None:
    (tmp_path / "x.db").write_bytes(b"this is a text and no database at all" * 200)
    opened = open_adapter(f"{engine}:///{tmp_path}/x.db")
    with pytest.raises(ConnectionFailed, match=r"x\.db"):
        opened.tables()


@pytest.mark.parametrize(
    ("scheme", "driver"), [("postgresql", "psycopg"), ("mysql", "pymysql"), ("mariadb+pymysql", "pymysql")]
)
def test_an_unreachable_server_is_named_without_its_password(scheme: str, driver: str) -> None:
    pytest.importorskip(driver)
    opened = open_adapter(f"{scheme}://me:hunter2@127.0.0.1:1/db?connect_timeout=2")
    assert "hunter2" not in opened.url
    with pytest.raises(ConnectionFailed) as caught:
        opened.tables()
    assert "hunter2" not in str(caught.value)
    assert "127.0.0.1" in str(caught.value)


def test_an_unknown_scheme_is_told_the_known_ones() -> None:
    with pytest.raises(SpecError, match=r"sqlite://.*duckdb://.*postgresql://.*mysql://.*mariadb://") as caught:
        open_adapter("mongodb://me:hunter2@host/db")
    assert "hunter2" not in str(caught.value)


@pytest.mark.parametrize(
    ("scheme", "extra", "driver"), [("postgresql", "postgres", "psycopg"), ("mysql", "mysql", "pymysql")]
)
def test_a_missing_driver_says_what_to_install(
    monkeypatch: pytest.MonkeyPatch, scheme: str, extra: str, driver: str
) -> None:
    import sys

    for name in [each for each in sys.modules if each.startswith((f"adapters.{extra}", f"{driver}."))]:
        monkeypatch.delitem(sys.modules, name)
    monkeypatch.setitem(sys.modules, driver, None)
    with pytest.raises(SpecError, match=rf"pip install 'syncline\[{extra}\]'"):
        open_adapter(f"{scheme}://host/db")


def test_opening_connects_to_nothing_and_closing_twice_is_harmless(database: Database) -> None:
    opened = open_adapter(database.url, create=True)
    assert isinstance(opened, Adapter)
    assert opened.engine == database.engine
    opened.close()
    opened.close()


def test_a_lock_is_given_back(adapter: Adapter) -> None:
    for _ in range(2):
        with adapter.lock("migration"):
            pass
