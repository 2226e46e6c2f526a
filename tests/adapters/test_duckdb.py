"""What only DuckDB does: its types at their extremes, one process a file, and its way with keys."""

from __future__ import annotations

import subprocess
import sys
import uuid
from collections.abc import Iterator
from decimal import Decimal
from pathlib import Path
from typing import Any

import duckdb
import pyarrow as pa
import pyarrow.compute as pc
import pytest

from adapters.duckdb.adapter import DuckdbAdapter
from adapters.duckdb.types import column_shape
from transforms.vocabulary import (
    Applied,
    ChangeSet,
    ColumnRange,
    ColumnShape,
    ConnectionFailed,
    DataError,
    ForeignKey,
    KeyRange,
    Relation,
    SpecError,
    SynclineError,
    TableName,
    TableShape,
    TransientError,
)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "core.db"


@pytest.fixture
def adapter(path: Path) -> Iterator[DuckdbAdapter]:
    opened = DuckdbAdapter(f"duckdb:///{path}", create=True)
    yield opened
    opened.close()


def run(path: Path, *statements: str) -> list[tuple[Any, ...]]:
    with duckdb.connect(str(path)) as connection:
        for statement in statements:
            connection.execute(statement)
        return connection.fetchall() if connection.description else []


def shape_of(adapter: DuckdbAdapter, name: str, schema: str | None = None) -> TableShape:
    shape = adapter.describe(TableName(name, schema))
    assert shape is not None
    return shape


def read(
    adapter: DuckdbAdapter, name: str, key: tuple[str, ...] = (), schema: str | None = None, **more: Any
) -> pa.Table:
    shape = shape_of(adapter, name, schema)
    with adapter.snapshot() as snapshot:
        return pa.Table.from_batches(
            list(snapshot.scan(Relation(shape.name), shape.names, key=key, **more)), shape.schema()
        )


def change(shape: TableShape, key: tuple[str, ...] = ("id",), **parts: pa.Table) -> ChangeSet:
    none = shape.schema().empty_table()
    return ChangeSet(
        shape.name, key, shape.names, *(parts.get(each, none) for each in ("inserts", "before", "after", "deletes"))
    )


TYPES: list[tuple[str, pa.DataType, str, list[str]]] = [
    ("TINYINT", pa.int8(), "plain", ["-128", "127"]),
    ("UTINYINT", pa.uint8(), "plain", ["0", "255"]),
    ("UINTEGER", pa.uint32(), "plain", ["0", "4294967295"]),
    ("UBIGINT", pa.decimal128(20, 0), "plain", ["0", "18446744073709551615"]),
    ("HUGEINT", pa.string(), "decimal", ["-170141183460469231731687303715884105728", "170141183460469231731687303715884105727"]),
    ("UHUGEINT", pa.string(), "decimal", ["0", "340282366920938463463374607431768211455"]),
    ("FLOAT", pa.float32(), "plain", ["0.1", "'-inf'"]),
    ("DECIMAL(4,1)", pa.decimal128(4, 1), "plain", ["-999.9", "999.9"]),
    ("DECIMAL(38,10)", pa.decimal128(38, 10), "plain", ["-9999999999999999999999999999.9999999999", "0.0000000001"]),
    ("VARCHAR", pa.string(), "plain", ["''", "'🎉' || chr(0)"]),
    ("BLOB", pa.binary(), "plain", ["''", "'\\x00\\xFF'"]),
    ("DATE", pa.date32(), "plain", ["'0001-01-01'", "'5881580-07-10'"]),
    ("TIME", pa.time64("us"), "plain", ["'00:00:00'", "'23:59:59.999999'"]),
    ("TIMESTAMP", pa.timestamp("us"), "plain", ["'0001-01-01'", "'infinity'"]),
    ("TIMESTAMP_S", pa.timestamp("us"), "plain", ["'1900-01-01 00:00:01'", "'2024-01-01'"]),
    ("TIMESTAMP_MS", pa.timestamp("us"), "plain", ["'1900-01-01 00:00:00.001'", "'2024-01-01'"]),
    ("TIMESTAMP_NS", pa.string(), "opaque", ["'2024-01-01 00:00:00.123456789'", "'1970-01-01'"]),
    ("TIMESTAMP WITH TIME ZONE", pa.timestamp("us", "UTC"), "plain", ["'2024-03-10 02:30:00-05'", "'-infinity'"]),
    ("TIME WITH TIME ZONE", pa.string(), "opaque", ["'12:00:00+05:30'", "'00:00:00.5-01'"]),
    ("UUID", pa.string(), "uuid", ["'00000000-0000-0000-0000-000000000000'", "'ffffffff-ffff-ffff-ffff-ffffffffffff'"]),
    ("JSON", pa.string(), "json", ["'{\"a\": [1, null]}'", "'1.10'"]),
    ("INTERVAL", pa.string(), "interval", ["'1 year 2 months 3 days 04:05:06.7'", "'-1 day'"]),
    ("INTEGER[]", pa.string(), "opaque", ["[1, NULL]", "[]"]),
    ("STRUCT(a INTEGER, b VARCHAR)", pa.string(), "opaque", ["{'a': 1, 'b': 'x y'}", "{'a': NULL, 'b': ''}"]),
    ("MAP(VARCHAR, INTEGER)", pa.string(), "opaque", ["MAP {'k': 1}", "MAP {}"]),
    ("BIT", pa.string(), "opaque", ["'0101'", "'1'"]),
    ("ENUM('small', 'it''s, large')", pa.string(), "plain", ["'small'", "'it''s, large'"]),
]  # fmt: skip


@pytest.mark.parametrize(("native", "travel", "meaning", "literals"), TYPES, ids=[each[0] for each in TYPES])
def test_the_native_type_decides_how_a_column_travels(
    native: str, travel: pa.DataType, meaning: str, literals: list[str]
) -> None:
    shape = column_shape("x", native)
    assert (shape.type, shape.meaning) == (travel, meaning)


def test_what_is_tried_out_leaves_nothing_behind_and_no_file_is_opened_for_it(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    opened: list[object] = []
    real = duckdb.connect
    monkeypatch.setattr(duckdb, "connect", lambda *given, **more: opened.append(given) or real(*given, **more))
    for name in ("one", "other", "one"):
        made = DuckdbAdapter(f"duckdb:///{tmp_path}/{name}.db", create=True)
        assert made.tried(["CREATE TABLE t (a INTEGER)", "CREATE INDEX i ON t (a)"]) is None
        assert "t" in str(made.tried(["CREATE TABLE t (a INTEGER)", "CREATE TABLE t (a INTEGER)"]))
        assert made.tables() == []
        assert made.describe(TableName("t")) is None
        made.close()
    assert len(opened) <= 1
    assert list(tmp_path.iterdir()) == []


def test_every_type_travels_exactly_both_ways(adapter: DuckdbAdapter, path: Path) -> None:
    columns = ", ".join(f"x{i} {native}" for i, (native, *_) in enumerate(TYPES))
    values = [", ".join(f"({literals[row]})::{native}" for native, _, _, literals in TYPES) for row in (0, 1)]
    nothing = ", ".join(["NULL"] * len(TYPES))
    run(
        path,
        f"CREATE TABLE t (id INTEGER PRIMARY KEY, {columns})",
        f"INSERT INTO t VALUES (1, {values[0]}), (2, {values[1]}), (3, {nothing})",
        f"CREATE TABLE u (id INTEGER PRIMARY KEY, {columns})",
    )
    shape, other = shape_of(adapter, "t"), shape_of(adapter, "u")
    assert [each.native for each in shape.columns[1:]] == [native for native, *_ in TYPES]
    rows = read(adapter, "t", ("id",))
    assert {rows[name].null_count for name in shape.names[1:]} == {1}
    for empty in (True, False):
        assert adapter.apply(change(other, inserts=rows), other, None, empty=empty) == Applied(inserted=3)
        for name in shape.names:
            differing = f"SELECT count(*) FROM t JOIN u USING (id) WHERE t.{name} IS DISTINCT FROM u.{name}"
            assert run(path, differing) == [(0,)], name
        assert read(adapter, "u", ("id",)).equals(rows)
        assert adapter.apply(change(other, deletes=rows), other, None) == Applied(deleted=3)
    moved = pa.table({"id": rows["id"], **{name: rows[name].take(pa.array([2, 0, 1])) for name in shape.names[1:]}})
    assert adapter.apply(change(shape, before=rows, after=moved), shape, None) == Applied(updated=3)
    with adapter.snapshot() as snapshot:
        for name in shape.names:
            scanned = snapshot.scan(Relation(shape.name), shape.names, key=(name, "id"))
            found = pa.Table.from_batches(list(scanned))
            assert found.take(pc.sort_indices(found["id"])).equals(moved), name
            if name != "id":
                assert found[name].is_null().to_pylist() == [True, False, False], name


def test_an_enum_tells_its_labels_and_orders_by_their_bytes(adapter: DuckdbAdapter, path: Path) -> None:
    run(
        path,
        "CREATE TABLE t (x ENUM('small', 'large', 'it''s'))",
        "INSERT INTO t VALUES ('small'), ('large'), ('it''s')",
    )
    assert shape_of(adapter, "t").columns[0].labels == ("small", "large", "it's")
    assert read(adapter, "t", ("x",))["x"].to_pylist() == ["it's", "large", "small"]
    assert read(adapter, "t", ("x",), within=KeyRange(("large",)))["x"].to_pylist() == ["large", "small"]
    shape = shape_of(adapter, "t")
    with pytest.raises(DataError, match="huge"):
        adapter.apply(change(shape, ("x",), inserts=pa.table({"x": ["huge"]})), shape, None)


def test_huge_numbers_order_as_the_texts_that_they_travel_as(adapter: DuckdbAdapter, path: Path) -> None:
    run(path, "CREATE TABLE t (x HUGEINT)", "INSERT INTO t VALUES (9), (10), (-1)")
    assert read(adapter, "t", ("x",))["x"].to_pylist() == ["-1", "10", "9"]


def test_the_session_zone_changes_nothing(adapter: DuckdbAdapter, path: Path) -> None:
    run(path, 'CREATE TABLE t ("at" TIMESTAMPTZ)', "INSERT INTO t VALUES ('2024-07-01 12:00:00+00')")
    berlin = DuckdbAdapter(f"duckdb:///{path}", time_zone="Europe/Berlin")
    with adapter.snapshot() as utc, berlin.snapshot() as local:
        relation, noon = Relation(TableName("t")), "2024-07-01 12:00:00"
        assert utc.count(relation, [ColumnRange("at", noon)]) == 1
        assert local.count(relation, [ColumnRange("at", noon)]) == 1
        assert local.count(relation, [ColumnRange("at", "2024-07-01 14:00:01")]) == 0
        assert local.count(relation, [ColumnRange("at", "2024-07-01 14:00:00")]) == 1
        assert utc.count(relation, [ColumnRange("at", "2024-07-01 12:00:01")]) == 0
    berlin.close()


def test_the_catalog_tells_keys_defaults_and_generated_columns(adapter: DuckdbAdapter, path: Path) -> None:
    run(
        path,
        "CREATE SCHEMA other",
        'CREATE SEQUENCE other."odd ""seq"',
        """CREATE TABLE other.t (id BIGINT PRIMARY KEY DEFAULT nextval('other."odd ""seq"'), "a, b" INT, "c""d" VARCHAR,
           g INT GENERATED ALWAYS AS ("a, b" + 1), d INT DEFAULT 5, UNIQUE ("a, b", "c""d"))""",
        'CREATE UNIQUE INDEX u ON other.t ("c""d")',
        'CREATE UNIQUE INDEX e ON other.t (lower("c""d"))',
        "CREATE TABLE other.c (id INT, t BIGINT REFERENCES other.t (id))",
        "CREATE VIEW other.v AS SELECT * FROM other.t",
    )
    shape = shape_of(adapter, "t", "other")
    assert shape.names == ("id", "a, b", 'c"d', "g", "d")
    assert [(each.identity, each.generated, each.default, each.nullable) for each in shape.columns] == [
        (True, False, True, False), (False, False, False, True), (False, False, False, True),
        (False, True, False, True), (False, False, True, True),
    ]  # fmt: skip
    assert shape.uniques == {frozenset({"id"}), frozenset({"a, b", 'c"d'}), frozenset({'c"d'})}
    assert shape.ordered == {("id",), ("a, b",), ("a, b", 'c"d'), ('c"d',)}
    child = shape_of(adapter, "c", "other")
    assert [(each.columns, each.refers, each.refers_columns) for each in child.foreign_keys] == [
        (("t",), TableName("t", "other"), ("id",))
    ]
    assert adapter.tables("other") == [TableName("c", "other"), TableName("t", "other")]
    assert adapter.tables() == []
    view = shape_of(adapter, "v", "other")
    assert view.names == shape.names
    written = [each for each in shape.names if each != "g"]
    rows = pa.Table.from_pylist([{"id": 77, "a, b": 1, 'c"d': "x", "d": None}], shape.schema(tuple(written)))
    parts = [rows, *[rows.slice(0, 0)] * 3]
    assert adapter.apply(ChangeSet(shape.name, ("id",), tuple(written), *parts), shape, None, empty=True) == Applied(1)
    adapter.advance_identity(shape.name, "id")
    run(path, 'INSERT INTO other.t ("a, b") VALUES (2)')
    assert read(adapter, "t", ("id",), "other")["g"].to_pylist() == [2, 3]
    assert read(adapter, "t", ("id",), "other")["id"].to_pylist() == [77, 78]


def test_a_column_with_a_collation_is_read_in_binary_order_and_is_a_key_by_its_bytes(
    adapter: DuckdbAdapter, path: Path
) -> None:
    run(
        path,
        "CREATE TABLE t (k VARCHAR COLLATE NOCASE PRIMARY KEY, v INT)",
        "INSERT INTO t VALUES ('b', 1), ('A', 2), ('a', 3)",
    )
    shape = shape_of(adapter, "t")
    assert shape.ordered == frozenset()
    assert read(adapter, "t", ("k",))["k"].to_pylist() == ["A", "a", "b"]
    assert read(adapter, "t", ("k",), within=KeyRange(("B",)))["k"].to_pylist() == ["a", "b"]

    def row(key: str, value: int) -> pa.Table:
        return pa.table({"k": [key], "v": [value]}, schema=shape.schema())

    mixed = change(shape, ("k",), inserts=row("B", 5), before=row("a", 3), after=row("a", 4), deletes=row("A", 2))
    done = adapter.apply(mixed, shape, None)
    assert (done.inserted, done.updated, done.deleted, done.conflicts) == (1, 1, 1, None)
    assert read(adapter, "t", ("k",)).to_pydict() == {"k": ["B", "a", "b"], "v": [5, 4, 1]}
    other = adapter.apply(change(shape, ("k",), before=row("b", 1), after=row("b", 9)), shape, None)
    assert (other.updated, other.conflicts) == (1, None)


def test_a_file_held_by_another_process_is_told_as_such(adapter: DuckdbAdapter, path: Path) -> None:
    program = f"import duckdb, sys; c = duckdb.connect({str(path)!r}); print('open', flush=True); sys.stdin.read()"
    other = subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    try:
        assert other.stdout is not None
        assert other.stdout.readline() == b"open\n"
        with pytest.raises(ConnectionFailed, match="held by another process"):
            adapter.tables()
    finally:
        other.communicate(b"")
    assert adapter.tables() == []


def test_closing_lets_other_processes_in(adapter: DuckdbAdapter, path: Path) -> None:
    run(path, "CREATE TABLE t (a INT)")
    assert adapter.tables() == [TableName("t")]
    adapter.close()
    program = f"import duckdb; duckdb.connect({str(path)!r}).execute('DROP TABLE t')"
    subprocess.run([sys.executable, "-c", program], check=True)
    assert adapter.tables() == []


def test_a_query_names_tables_and_never_python_variables(adapter: DuckdbAdapter, path: Path) -> None:
    rows = pa.table({"a": [1]})
    run(path, "CREATE TABLE t (a INT)")
    with pytest.raises(SynclineError, match="rows"):
        adapter.describe_query("SELECT * FROM rows")
    assert rows.num_rows == 1


def test_a_referenced_row_is_updated_where_its_key_stays(adapter: DuckdbAdapter, path: Path) -> None:
    run(
        path,
        "CREATE TABLE p (id INT PRIMARY KEY, code INT UNIQUE, name VARCHAR)",
        "CREATE TABLE c (id INT PRIMARY KEY, p INT REFERENCES p (id))",
        "INSERT INTO p VALUES (1, 1, 'a'), (2, 2, 'b')",
        "INSERT INTO c VALUES (1, 1)",
    )
    shape = shape_of(adapter, "p")
    rows = read(adapter, "p", ("id",))
    renamed = rows.set_column(2, "name", pa.array(["x", "y"]))
    assert adapter.apply(change(shape, before=rows, after=renamed), shape, None) == Applied(updated=2)
    recoded = renamed.set_column(1, "code", pa.array([5, 6], pa.int32()))
    with pytest.raises(DataError, match="drop the foreign key"):
        adapter.apply(change(shape, before=renamed, after=recoded), shape, None)
    assert read(adapter, "p", ("id",)).equals(renamed)


def test_a_tree_is_inserted_by_generations_beside_rows_that_are_there(adapter: DuckdbAdapter, path: Path) -> None:
    run(path, "CREATE TABLE t (id INT PRIMARY KEY, up INT REFERENCES t (id))", "INSERT INTO t VALUES (1, NULL)")
    shape = shape_of(adapter, "t")
    chain = pa.table({"id": range(2, 52), "up": range(1, 51)}, schema=shape.schema())
    shuffled = chain.take(pa.array([(i * 17) % 50 for i in range(50)]))
    assert adapter.apply(change(shape, inserts=shuffled), shape, None) == Applied(inserted=50)
    circle = pa.table({"id": [60, 61], "up": [61, 60]}, schema=shape.schema())
    with pytest.raises(DataError, match="t in"):
        adapter.apply(change(shape, inserts=circle), shape, None)
    assert read(adapter, "t").num_rows == 51


def test_a_write_conflict_is_transient(adapter: DuckdbAdapter, path: Path) -> None:
    run(path, "CREATE TABLE t (id INT PRIMARY KEY, v INT)", "INSERT INTO t VALUES (1, 1)")
    shape = shape_of(adapter, "t")
    rows = read(adapter, "t")
    with duckdb.connect(str(path)) as other:
        other.execute("BEGIN")
        other.execute("UPDATE t SET v = 2")
        after = rows.set_column(1, "v", pa.array([3], pa.int32()))
        with pytest.raises(TransientError):
            adapter.apply(change(shape, before=rows, after=after), shape, None)
        other.execute("ROLLBACK")
    assert adapter.apply(change(shape, before=rows, after=after), shape, None) == Applied(updated=1)


def test_ranges_take_texts_and_values(adapter: DuckdbAdapter, path: Path) -> None:
    key = uuid.UUID(int=5)
    run(path, "CREATE TABLE t (d DATE, n DECIMAL(9,2), u UUID, b BLOB, y BOOLEAN)",
        f"INSERT INTO t VALUES ('2024-01-02', 1.10, '{key}', '\\x00\\x5C', true)")  # fmt: skip
    with adapter.snapshot() as snapshot:
        for each in (
            ColumnRange("d", "2024-01-02", "2024-01-03"),
            ColumnRange("n", Decimal("1.10"), "1.11"),
            ColumnRange("u", str(key)),
            ColumnRange("b", b"\x00\x5c", b"\x00\x5d"),
            ColumnRange("y", True),
        ):
            assert snapshot.count(Relation(TableName("t")), [each]) == 1


def test_rows_set_aside_come_back_whole(adapter: DuckdbAdapter, path: Path) -> None:
    run(path, "CREATE TABLE t AS SELECT i AS id, 'text ' || i AS x FROM range(300000) r (i)")
    with adapter.snapshot() as snapshot:
        scans = [snapshot.scan(Relation(TableName("t")), ["id", "x"], key=("id",)) for _ in range(3)]
        firsts = [next(scan) for scan in scans]
        wholes = [pa.Table.from_batches([first, *scan]) for first, scan in zip(firsts, scans, strict=True)]
    assert wholes[0].equals(wholes[1])
    assert wholes[1].equals(wholes[2])
    assert wholes[0]["id"].combine_chunks().equals(pa.array(range(300_000)))


def test_columns_named_alike_are_refused(adapter: DuckdbAdapter, path: Path) -> None:
    run(path, "CREATE TABLE t (a INT)")
    with pytest.raises(SpecError, match="two columns named 'a'"):
        adapter.describe_query("SELECT 1 AS a, 2 AS a")


def test_ddl_quotes_the_sequence_of_an_identity() -> None:
    columns = (ColumnShape("i'd", pa.int64(), "", identity=True), ColumnShape("x", pa.uint64(), ""))
    sequence, table = DuckdbAdapter("duckdb:///t.db").ddl(TableShape(TableName('a"b', "s:c"), columns, ("x",)))
    assert sequence == """CREATE SEQUENCE "s:c"."a""b_i'd_seq\""""
    assert """nextval('"s:c"."a""b_i''d_seq"')""" in table


def test_an_error_while_keys_are_read_is_the_one_that_is_raised(adapter: DuckdbAdapter, path: Path) -> None:
    run(
        path, "CREATE TABLE t AS SELECT i::integer AS id, CASE i WHEN 9 THEN 'x' ELSE '1' END AS s FROM range(10) r (i)"
    )
    query, keys = Relation(query="SELECT id, s::integer AS v FROM t"), pa.table({"id": pa.array(range(10), pa.int32())})
    with adapter.snapshot() as snapshot, pytest.raises(SynclineError, match="convert string 'x'"):
        list(snapshot.scan(query, ["id", "v"], keys=keys))
    with adapter.snapshot() as snapshot:
        scan = snapshot.scan(Relation(TableName("t")), ["id"], keys=keys)
        next(scan)
    scan.close()


def test_what_refers_to_a_table_is_told_apart_as_duckdb_does_it(adapter: DuckdbAdapter, path: Path) -> None:
    run(
        path,
        'CREATE TABLE "é" (id integer PRIMARY KEY)',
        'CREATE TABLE "É" (other integer PRIMARY KEY)',
        'CREATE TABLE lower (p integer REFERENCES "é")',
        'CREATE TABLE upper (p integer REFERENCES "É" (OTHER))',
    )
    assert adapter.referrers(TableName("é")) == [TableName("lower")]
    assert adapter.referrers(TableName("É")) == [TableName("upper")]
    assert shape_of(adapter, "upper").foreign_keys == (ForeignKey(("p",), TableName("É"), ("other",)),)
    assert shape_of(adapter, "lower").foreign_keys == (ForeignKey(("p",), TableName("é"), ("id",)),)
