"""What only PostgreSQL does: its types at their extremes, its snapshots, locks, collations, and the ways rows go in."""

from __future__ import annotations

import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pytest

from adapters.postgres import PostgresAdapter
from adapters.postgres_read import spelled
from adapters.protocol import Adapter, Snapshot
from adapters.sql import select
from transforms.vocabulary import (
    DATE_INFINITY,
    INVALID,
    TIMESTAMP_INFINITY,
    BusyError,
    ChangeSet,
    ColumnRange,
    ColumnShape,
    ConnectionFailed,
    DataError,
    KeyRange,
    Marker,
    Relation,
    SpecError,
    SynclineError,
    TableName,
    TableShape,
    TransientError,
)

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


def same(left: pa.Table, right: pa.Table) -> bool:
    """Equal to the bit: NaN is like itself."""
    bits = {pa.float32(): pa.int32(), pa.float64(): pa.int64()}
    plain = [
        [each.combine_chunks().view(bits.get(each.type, each.type)) for each in table.columns]
        for table in (left, right)
    ]
    return left.schema == right.schema and all(a.equals(b) for a, b in zip(*plain, strict=True))


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


# A column, its type, and its values in the rows 1 to 3; row 4 holds nulls.
EVERYTHING = [
    ("small", "smallint", "-32768", "32767", "0"),
    ("whole", "integer", "-2147483648", "2147483647", "0"),
    ("big", "bigint", "-9223372036854775808", "9223372036854775807", "0"),
    ("one", "real", "-Infinity", "NaN", "-0"),
    ("two", "double precision", "NaN", "Infinity", "5e-324"),
    ("yes", "boolean", "true", "false", None),
    ("words", "text", "", "a\\b'\"\t\n%:x", "NULL"),
    ("short", "varchar(5)", "", "ünïçø", "é"),
    ("fixed", "char(6)", "", "ab", "x "),
    ("raw", "bytea", "", "\\x00ff27", "\\x"),
    ("day", "date", "-infinity", "infinity", "0044-03-15 BC"),
    ("clock", "time", "00:00", "24:00", "12:34:56.789012"),
    ("moment", "timestamp", "-infinity", "infinity", "4713-01-01 BC"),
    ("instant", "timestamptz", "-infinity", "infinity", "294246-12-31 23:59:59.999999"),
    ("money_like", "numeric(12,2)", "-9999999999.99", "9999999999.99", "0"),
    ("most", "numeric(18,18)", "-0.999999999999999999", "0.999999999999999999", "0"),
    ("wide", "numeric(38,4)", f"-{'9' * 34}.9999", f"{'9' * 34}.9999", "0.0001"),
    ("widest", "numeric(60,5)", "NaN", "1e50", "0.00001"),
    ("rounded", "numeric(6,-2)", "-999900", "12300", "0"),
    ("free", "numeric", "NaN", "-Infinity", "1.1"),
    ("holed", "numeric(9,2)", "NaN", "1.10", None),
    ("tag", "uuid", "00000000-0000-0000-0000-000000000000", "FFFFFFFF-ffff-ffff-ffff-ffffffffffff", str(uuid.uuid4())),
    ("doc", "json", '{"b": 1,  "a":1}', '"x\\u00e9"', "[1, 2]"),
    ("docb", "jsonb", '{"b": 1,  "a":1}', "null", '{"k": [1.10, 1e2]}'),
    ("list", "integer[]", "{}", "{NULL,1,-1}", "[0:1]={1,2}"),
    ("texts", "text[]", "{}", '{"a,b","",NULL,"NULL","q\\""}', "{{a,b},{c,d}}"),
    ("spread", "int4range", "empty", "[1,5)", "(,)"),
    ("many", "int4multirange", "{}", "{[1,2),[4,6)}", "{(,)}"),
    ("period", "tstzrange", "empty", "[2020-01-01 00:00+02,infinity)", "(,)"),
    ("host", "inet", "0.0.0.0", "::1/64", "192.168.0.1"),
    ("net", "cidr", "0.0.0.0/0", "10.0.0.0/8", "::/0"),
    ("mac", "macaddr", "00:00:00:00:00:00", "ff:ff:ff:ff:ff:ff", "08:00:2b:01:02:03"),
    ("span", "interval", "-178000000 years", "1 mon -1 day 100:00:00.000001", "-00:00:00.000001"),
    ("zoned", "timetz", "00:00:00+14", "23:59:59.999999-14:30", "12:00Z"),
    ("cash", "money", "-92233720368547758.08", "92233720368547758.07", "1234.56"),
    ("bits", "bit(5)", "00000", "11111", "10101"),
    ("morebits", "bit varying", "", "1", "101"),
    ("mood", "mood", "sad", "so so", "ok"),
    ("moods", "mood[]", "{}", '{"so so",NULL}', "{sad,ok}"),
    ("positive", "positive", "1", "2147483647", "7"),
    ("code", "code", "x", "AB", "abc"),
    ("spot", "point", "(0,0)", "(1e300,-1e-300)", "(NaN,Infinity)"),
    ("vec", "tsvector", "", "a b:1A", "x"),
    ("lsn", "pg_lsn", "0/0", "FFFFFFFF/FFFFFFFF", "1/0"),
    ("nm", "name", "n", "N", "é"),
    ("num", "oid", "0", "4294967295", "1"),
    ("pair", "pair", "(,)", '("(,",1)', "(a,)"),
]


def make_everything(db: psycopg.Connection, name: str) -> None:
    columns = ", ".join(f"{column} {kind}" for column, kind, *_ in EVERYTHING)
    db.execute(
        f"CREATE TABLE {name} (id bigint PRIMARY KEY, {columns}, "
        "twice bigint GENERATED ALWAYS AS (whole::bigint * 2) STORED, thrice bigint GENERATED ALWAYS AS (small * 3))"
    )


@pytest.fixture
def everything(db: psycopg.Connection) -> None:
    db.execute("CREATE TYPE mood AS ENUM ('sad', 'ok', 'so so'); CREATE TYPE pair AS (a text, b int)")
    db.execute("CREATE DOMAIN positive AS integer CHECK (VALUE > 0); CREATE DOMAIN code AS varchar(3) DEFAULT 'x'")
    make_everything(db, "src")
    names, marks = ", ".join(each[0] for each in EVERYTHING), ", ".join("%s" for _ in EVERYTHING)
    for number in range(3):
        db.execute(
            f"INSERT INTO src (id, {names}) VALUES ({number + 1}, {marks})", [each[2 + number] for each in EVERYTHING]
        )
    db.execute("INSERT INTO src (id, code) VALUES (4, NULL)")


def texts(db: psycopg.Connection, name: str) -> list[str]:
    db.execute("SET extra_float_digits = 3; SET TimeZone = 'Asia/Tokyo'")
    return [row for (row,) in db.execute(f'SELECT t::text FROM "{name}" t ORDER BY id')]


def test_the_adapter_and_its_snapshot_keep_the_protocol(adapter: PostgresAdapter) -> None:
    assert isinstance(adapter, Adapter)
    with adapter.snapshot() as snapshot:
        assert isinstance(snapshot, Snapshot)


@pytest.mark.parametrize("empty", [True, False])
def test_every_type_at_its_extremes_arrives_as_it_left(
    db: psycopg.Connection, adapter: PostgresAdapter, everything: None, empty: bool
) -> None:
    make_everything(db, "dst")
    rows = read(adapter, "src", key=("id",))
    shape = shape_of(adapter, "dst")
    if shape.schema(written(shape)) != rows.schema:  # the empty target has no NaN in its numeric(9,2)
        db.execute("INSERT INTO dst (id, holed) VALUES (0, 'NaN')")
        shape = shape_of(adapter, "dst")
        db.execute("DELETE FROM dst")
    applied = adapter.apply(changes("dst", rows, inserts=rows), shape, None, empty=empty)
    assert applied.inserted == 4
    assert texts(db, "dst") == texts(db, "src")
    assert same(read(adapter, "dst", key=("id",)), rows)


@pytest.mark.parametrize("row", [0, 1, 2])
def test_every_type_is_updated_and_deleted_under_its_precondition(
    db: psycopg.Connection, adapter: PostgresAdapter, everything: None, row: int
) -> None:
    shape = shape_of(adapter, "src")
    rows = read(adapter, "src", key=("id",))
    before = rows.slice(3, 1)
    after = edited(rows.slice(row, 1), "id", [4])
    assert adapter.apply(changes("src", rows, before=before, after=after), shape, None).updated == 1
    found = texts(db, "src")
    assert found[3].removeprefix("(4,") == found[row].removeprefix(f"({row + 1},")
    again = adapter.apply(changes("src", rows, before=before, after=after), shape, None)
    assert (again.updated, again.conflicts) == (1, None)
    gone = adapter.apply(changes("src", rows, deletes=after), shape, None)
    assert (gone.deleted, gone.conflicts) == (1, None)
    assert len(texts(db, "src")) == 3


def test_a_conflict_shows_the_row_that_was_found_in_travel_types(
    db: psycopg.Connection, adapter: PostgresAdapter, everything: None
) -> None:
    shape = shape_of(adapter, "src")
    rows = read(adapter, "src", key=("id",))
    planned = edited(rows.slice(0, 3), "whole", [10, 11, 12])
    applied = adapter.apply(
        changes("src", rows, before=planned, after=edited(planned, "words", ["x"] * 3)), shape, None
    )
    assert applied.updated == 0 and applied.conflicts is not None
    found = pa.Table.from_struct_array(applied.conflicts["found"].combine_chunks())
    assert same(found, rows.slice(0, 3))


def test_infinity_travels_by_the_shared_convention(adapter: PostgresAdapter, everything: None) -> None:
    rows = read(adapter, "src", ("day", "moment", "instant"), key=("id",))
    assert rows["day"].cast(pa.int32()).to_pylist()[:2] == [-DATE_INFINITY, DATE_INFINITY]
    for name in ("moment", "instant"):
        assert rows[name].cast(pa.int64()).to_pylist()[:2] == [-TIMESTAMP_INFINITY, TIMESTAMP_INFINITY]


def test_a_timestamp_beyond_arrow_is_invalid_and_never_wrapped(
    db: psycopg.Connection, adapter: PostgresAdapter
) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY, moment timestamp)")
    db.execute("INSERT INTO t VALUES (1, '294276-12-31 23:59:59.999999'), (2, 'infinity'), (3, NULL)")
    with adapter.snapshot() as snapshot:
        (batch,) = snapshot.scan(Relation(TableName("t")), ["id", "moment"], key=("id",))
        assert snapshot.split(Relation(TableName("t")), ("moment",), 1) == []
    assert batch["moment"].view(pa.int64()).to_pylist() == [None, TIMESTAMP_INFINITY, None]
    told = batch[INVALID].to_pylist()
    assert told[0].startswith("column moment: the timestamp is beyond 294247-01-10")
    assert told[1:] == [None, None]


def test_shapes_tell_how_columns_travel(adapter: PostgresAdapter, everything: None) -> None:
    columns = {each.name: each for each in shape_of(adapter, "src").columns}
    assert columns["money_like"].type == pa.decimal128(12, 2)
    assert columns["wide"].type == pa.decimal128(38, 4)
    assert (columns["widest"].type, columns["widest"].meaning) == (pa.string(), "decimal")
    assert (columns["free"].type, columns["free"].meaning) == (pa.string(), "decimal")
    assert (columns["holed"].type, columns["holed"].meaning) == (pa.string(), "decimal")
    assert columns["tag"].meaning == "uuid"
    assert columns["doc"].meaning == columns["docb"].meaning == "json"
    assert columns["list"].meaning == columns["cash"].meaning == "opaque"
    assert columns["span"].meaning == "interval"
    assert (columns["mood"].meaning, columns["mood"].labels) == ("plain", ("sad", "ok", "so so"))
    assert (columns["fixed"].padded, columns["fixed"].length, columns["short"].length) == (True, 6, 5)
    assert columns["positive"].type == pa.int32()
    assert (columns["code"].length, columns["code"].native, columns["code"].default) == (3, "code", True)
    assert columns["twice"].generated
    assert not columns["words"].nul
    assert columns["instant"].type == pa.timestamp("us", "UTC")
    assert columns["moment"].type == pa.timestamp("us")
    assert not columns["id"].nullable


def test_char_travels_without_its_padding(adapter: PostgresAdapter, everything: None) -> None:
    assert read(adapter, "src", ("fixed",), key=("id",))["fixed"].to_pylist() == ["", "ab", "x", None]


def test_a_nan_that_came_after_the_description_is_an_error(db: psycopg.Connection, adapter: PostgresAdapter) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY, a numeric(9,2), b numeric(30,2))")
    db.execute("INSERT INTO t VALUES (1, 1.5, 2.5)")
    shape = shape_of(adapter, "t")
    assert shape.schema().types == [pa.int32(), pa.decimal128(9, 2), pa.decimal128(30, 2)]
    db.execute("INSERT INTO t VALUES (2, 'NaN', 1), (3, 1, 'NaN')")
    for name in ("a", "b"):
        with adapter.snapshot() as snapshot, pytest.raises(SynclineError, match="NaN"):
            list(snapshot.scan(Relation(TableName("t")), (name,)))
    assert shape_of(adapter, "t").schema().types == [pa.int32(), pa.string(), pa.string()]
    assert read(adapter, "t", ("a", "b"), key=("id",))["a"].to_pylist() == ["1.5", "NaN", "1"]


def test_a_query_is_described_and_read_by_its_columns(db: psycopg.Connection, adapter: PostgresAdapter) -> None:
    db.execute('CREATE TABLE t (id int PRIMARY KEY, a numeric(9,2), "odd "" % :name" uuid)')
    db.execute("INSERT INTO t VALUES (1, 1.5, 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')")
    query = 'SELECT id * 2 AS twice, a, "odd "" % :name", \'50% :x\'::text AS odd, now() FROM t -- all of it'
    shape = adapter.describe_query(query)
    assert shape.schema().types == [
        pa.int32(),
        pa.decimal128(9, 2),
        pa.string(),
        pa.string(),
        pa.timestamp("us", "UTC"),
    ]
    relation = Relation(query=query, where="odd LIKE '50%' -- yes")
    with adapter.snapshot() as snapshot:
        (batch,) = snapshot.scan(relation, ("a", 'odd " % :name', "odd"), key=("twice",), within=KeyRange((2,), (3,)))
        assert snapshot.count(relation) == 1
        assert snapshot.highest(relation, "twice") == 2
        assert snapshot.estimate(relation) >= 1
    assert batch.to_pylist() == [
        {"a": Decimal("1.50"), 'odd " % :name': "a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11", "odd": "50% :x"}
    ]
    with pytest.raises(SpecError, match="two columns named 'x'"):
        adapter.describe_query("SELECT 1 AS x, 2 AS x")


def test_only_binary_collations_are_ordered_and_every_text_key_comes_in_binary_order(
    db: psycopg.Connection, adapter: PostgresAdapter
) -> None:
    db.execute('CREATE TABLE t (a text COLLATE "C", b text, n int, u uuid, e interval)')
    db.execute("CREATE UNIQUE INDEX ON t (a, n, b)")
    db.execute("CREATE UNIQUE INDEX ON t (u, e)")
    db.execute("CREATE UNIQUE INDEX ON t (b)")
    db.execute("CREATE UNIQUE INDEX ON t (n DESC)")
    db.execute("CREATE UNIQUE INDEX ON t (n) WHERE n > 0")
    db.execute("CREATE UNIQUE INDEX ON t ((n + 1))")
    shape = shape_of(adapter, "t")
    (collation,) = db.execute("SELECT datcollate FROM pg_database WHERE datname = current_database()").fetchone() or (
        "",
    )
    by_default = {("a", "n", "b"), ("b",)} if collation in ("C", "POSIX") else set()
    assert shape.ordered == {("a",), ("a", "n"), ("u",)} | by_default
    assert shape.uniques == {frozenset("anb"), frozenset("ue"), frozenset("b"), frozenset("n")}
    values = ["b", "B", "é", "e", "", "Z", "a b", "ab", "𝄞", "\uffff"]
    for number, value in enumerate(values):
        db.execute("INSERT INTO t (a, b, n) VALUES (%s, %s, %s)", [value, value, number])
    for name in "ab":
        assert read(adapter, "t", (name,), (name,))[name].to_pylist() == sorted(values, key=str.encode)
        with adapter.snapshot() as snapshot:
            found = snapshot.scan(Relation(TableName("t")), (name,), key=(name,), within=KeyRange(("Z",), ("e",)))
            assert [each for batch in found for each in batch[0].to_pylist()] == ["Z", "a b", "ab", "b"]


def test_windows_hold_every_row_once_whatever_the_key(db: psycopg.Connection, adapter: PostgresAdapter) -> None:
    db.execute("CREATE TABLE t (a int, b text, c numeric(6,2), d uuid, e numeric, f timestamptz, UNIQUE (a, c))")
    db.execute(
        "INSERT INTO t SELECT nullif(i % 7, 3), nullif((i * 37 % 101)::text, '5'), nullif(i % 90, 5) / 7.0, "
        "md5((i % 50)::text)::uuid, nullif(i % 33, 4) * 1.10, timestamptz '2020-01-01' + i % 40 * interval '1 hour' "
        "FROM generate_series(1, 500) i"
    )
    relation = Relation(TableName("t"))
    for key in [("a",), ("a", "c"), ("c", "b"), ("b", "a"), ("d",), ("e", "a"), ("f", "e", "a"), ("d", "f")]:
        with adapter.snapshot() as snapshot:
            cuts = snapshot.split(relation, key, 60)
            assert cuts == sorted(set(cuts), key=cuts.index)
            ends = [None, *cuts, None]
            windows = [KeyRange(*ends[i : i + 2], nulls=i == 0) for i in range(len(ends) - 1)]
            found = [
                row
                for each in windows
                for batch in snapshot.scan(relation, key, key=key, within=each)
                for row in zip(*(column.to_pylist() for column in batch.columns), strict=True)
            ]
            whole = [
                row
                for batch in snapshot.scan(relation, key, key=key)
                for row in zip(*(column.to_pylist() for column in batch.columns), strict=True)
            ]
        assert len(found) == 500
        assert sorted(map(repr, found)) == sorted(map(repr, whole))
        assert whole == sorted(whole, key=lambda row: [(each is not None, each) for each in row])


def test_an_index_serves_the_windows_of_its_key(db: psycopg.Connection, adapter: PostgresAdapter) -> None:
    db.execute('CREATE TABLE t (u uuid, n numeric(30,2) NOT NULL, x text COLLATE "C", PRIMARY KEY (u, n, x))')
    db.execute("INSERT INTO t SELECT gen_random_uuid(), i, i FROM generate_series(1, 2000) i; ANALYZE t")
    db.execute("SET enable_seqscan = off; SET enable_sort = off; SET enable_bitmapscan = off")  # the table is small
    relation = Relation(TableName("t"))
    with adapter.snapshot() as snapshot:
        for key in [("u", "n", "x"), ("u", "n"), ("u",)]:
            assert key in shape_of(adapter, "t").ordered
            cuts = snapshot.split(relation, key, 500)
            rows = list(snapshot.scan(relation, key, key=key, within=KeyRange(cuts[0], cuts[1], nulls=False)))
            assert sum(batch.num_rows for batch in rows) == 500
            operands = [snapshot._travel(relation, name).operand() for name in key]
            query = spelled(select(relation, [operands[0].expression], key=operands, within=KeyRange(cuts[0], cuts[1])))
            plan = "\n".join(line for (line,) in db.execute(f"EXPLAIN {query}"))
            assert "Index Cond" in plan and "Sort" not in plan


def test_windows_by_an_ordered_key_have_as_many_rows_as_asked(db: psycopg.Connection, adapter: PostgresAdapter) -> None:
    db.execute('CREATE TABLE t (a text COLLATE "C", b int, PRIMARY KEY (a, b))')
    db.execute("INSERT INTO t SELECT chr(65 + i % 4), i FROM generate_series(1, 1000) i")
    relation = Relation(TableName("t"))
    with adapter.snapshot() as snapshot:
        assert len(snapshot.split(relation, ("a", "b"), 100)) == 9
        cuts = snapshot.split(relation, ("a", "b"), 100, KeyRange(("B", 0), ("D", 0)))
        assert cuts == [("B", 401), ("B", 801), ("C", 202), ("C", 602)]
        assert snapshot.split(relation, ("a",), 100) == [("A",), ("B",), ("C",), ("D",)]
        assert snapshot.split(relation, ("a", "b"), 1000) == []


def test_ranges_compare_as_the_column_does(db: psycopg.Connection, postgres_url: str) -> None:
    adapter = PostgresAdapter(postgres_url, time_zone="Asia/Tokyo")
    db.execute("CREATE TABLE t (id int PRIMARY KEY, free numeric, span interval, instant timestamptz)")
    db.execute(
        "INSERT INTO t VALUES (1, 9, '9 hours', '2020-01-01 00:00+09'), (2, 10, '10 hours', '2020-01-01 00:00+00'),"
        "(3, NULL, NULL, NULL)"
    )

    def ids(*ranges: ColumnRange) -> list[int]:
        with adapter.snapshot() as snapshot:
            found = snapshot.scan(Relation(TableName("t")), ("id",), key=("id",), ranges=ranges)
            listed = [each for batch in found for each in batch[0].to_pylist()]
            assert snapshot.count(Relation(TableName("t")), ranges) == len(listed)
        return listed

    assert ids(ColumnRange("free", "9", "10")) == [1]
    assert ids(ColumnRange("span", "9 hours", "10 hours")) == [1]
    assert ids(ColumnRange("free")) == [1, 2]
    for midnight in ("2020-01-01", "2020-01-01 00:00:00", datetime(2020, 1, 1), datetime(2019, 12, 31, 15, tzinfo=UTC)):
        assert ids(ColumnRange("instant", midnight, "2020-01-01T00:00:01+09:00")) == [1]
    adapter.close()


def test_a_snapshot_sees_one_state_also_through_its_token(
    db: psycopg.Connection, adapter: PostgresAdapter, postgres_url: str
) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY)")
    db.execute("INSERT INTO t SELECT generate_series(1, 10)")
    relation, other = Relation(TableName("t")), PostgresAdapter(postgres_url)
    with adapter.snapshot() as snapshot:
        assert snapshot.token is not None and snapshot.mark
        db.execute("INSERT INTO t VALUES (11)")
        with other.snapshot(snapshot.token) as joined:
            assert joined.mark == snapshot.mark
            with ThreadPoolExecutor(4) as threads:
                asked = [threads.submit(each.count, relation) for each in [snapshot, joined] * 4]
                assert {each.result() for each in asked} == {10}
            assert sum(batch.num_rows for batch in joined.scan(relation, ("id",))) == 10
    with adapter.snapshot() as fresh:
        assert fresh.count(relation) == 11
    with pytest.raises(SynclineError, match="snapshot"), other.snapshot("00000003-0000001B-1"):
        pass
    other.close()


def test_a_scan_that_is_left_early_leaves_the_snapshot_usable(db: psycopg.Connection, adapter: PostgresAdapter) -> None:
    db.execute("CREATE TABLE t AS SELECT i AS id, repeat('x', 100) AS x FROM generate_series(1, 300000) i")
    with adapter.snapshot() as snapshot:
        batches = snapshot.scan(Relation(TableName("t")), ("id", "x"))
        first = next(batches)
        assert 0 < first.num_rows <= 65_536
        batches.close()
        assert snapshot.count(Relation(TableName("t"))) == 300_000


def test_an_error_of_the_reader_of_batches_stays_its_own(db: psycopg.Connection, adapter: PostgresAdapter) -> None:
    db.execute("CREATE TABLE t AS SELECT 1 AS id")
    with pytest.raises(FileNotFoundError), adapter.snapshot() as snapshot:
        for _ in snapshot.scan(Relation(TableName("t")), ("id",)):
            raise FileNotFoundError
    with pytest.raises(FileNotFoundError), adapter.lock("m"):
        raise FileNotFoundError


def test_a_lost_connection_is_transient_and_the_next_try_succeeds(
    db: psycopg.Connection, adapter: PostgresAdapter
) -> None:
    db.execute("CREATE TABLE t AS SELECT 1 AS id")
    kill = "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE application_name = 'syncline'"
    kill += " AND datname = current_database()"
    relation = Relation(TableName("t"))
    with pytest.raises(TransientError), adapter.snapshot() as snapshot:
        snapshot.count(relation)
        db.execute(kill)
        snapshot.count(relation)
    rows = read(adapter, "t")
    db.execute(kill)
    assert adapter.tables() == [TableName("t")]
    assert read(adapter, "t").equals(rows)


def test_an_unreachable_server_is_named_without_its_password() -> None:
    adapter = PostgresAdapter("postgresql://u:s3cr%40t@127.0.0.1:1/db?connect_timeout=2")
    for attempt in (adapter.tables, lambda: adapter.describe(TableName("t")), lambda: adapter.applied("p")):
        with pytest.raises(ConnectionFailed) as caught:
            attempt()
        assert "127.0.0.1" in str(caught.value) and "Fix:" in str(caught.value)
        assert "s3cr" not in str(caught.value)
    assert adapter.url == "postgresql://u:***@127.0.0.1:1/db?connect_timeout=2"
    with pytest.raises(ConnectionFailed, match=r"\*\*\*|127"), adapter.snapshot():
        pass
    adapter.close()


def test_a_refused_password_says_so(db: psycopg.Connection, postgres_url: str) -> None:
    name = f"u{uuid.uuid4().hex[:8]}"
    adapter = PostgresAdapter(postgres_url.replace("postgres:@", f"{name}:hunter2@"))
    with pytest.raises(ConnectionFailed, match=name) as caught:
        adapter.tables()
    assert "hunter2" not in str(caught.value)


def test_a_url_that_is_none_is_refused_without_its_password() -> None:
    with pytest.raises(SpecError, match="Fix: write postgresql://") as caught:
        PostgresAdapter("postgresql://u:hunter2@h:port:5/db?nonsense=1")
    assert "hunter2" not in str(caught.value)


def test_a_statement_error_shows_no_password(db: psycopg.Connection, postgres_url: str) -> None:
    adapter = PostgresAdapter(postgres_url.replace("postgres:@", "postgres:hunter2@"))
    db.execute("CREATE TABLE t (id int PRIMARY KEY)")
    relation = Relation(TableName("t"), where="nonsense = 'hunter2'")
    with adapter.snapshot() as snapshot, pytest.raises(SynclineError, match="nonsense") as caught:
        snapshot.count(relation)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in adapter.url
    adapter.close()


def test_a_held_lock_names_its_holder(adapter: PostgresAdapter, postgres_url: str) -> None:
    other = PostgresAdapter(f"{postgres_url}&application_name=nightly")
    held = r"flights is held .* by application 'nightly', process \d+, since 2.*Fix:"
    with other.lock("flights"):
        with pytest.raises(BusyError, match=held), adapter.lock("flights"):
            pass
        with adapter.lock("hotels"):
            pass
    with adapter.lock("flights"), pytest.raises(BusyError, match="syncline"), other.lock("flights"):
        pass
    other.close()


def test_a_load_into_an_empty_window_falls_back_when_a_key_is_taken(
    db: psycopg.Connection, adapter: PostgresAdapter
) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY, x text)")
    shape = shape_of(adapter, "t")
    rows = pa.table({"id": pa.array([1, 2, 3], pa.int32()), "x": ["a", "b", "c"]})
    db.execute("INSERT INTO t VALUES (2, 'other'), (3, 'c')")
    applied = adapter.apply(changes("t", rows, inserts=rows), shape, Marker("m", "p", "t", 0), empty=True)
    assert (applied.inserted, applied.already) == (2, False)
    assert applied.conflicts is not None
    assert applied.conflicts.to_pylist() == [
        {
            "op": "insert",
            "key": {"id": 2},
            "before": None,
            "after": {"id": 2, "x": "b"},
            "found": {"id": 2, "x": "other"},
        }
    ]
    assert db.execute("SELECT * FROM t ORDER BY 1").fetchall() == [(1, "a"), (2, "other"), (3, "c")]
    assert adapter.apply(changes("t", rows, inserts=rows), shape, Marker("m", "p", "t", 0), empty=True).already


def test_a_load_is_not_tried_where_nothing_keeps_the_key_unique(
    db: psycopg.Connection, adapter: PostgresAdapter
) -> None:
    db.execute("CREATE TABLE t (id int, x text)")
    db.execute("INSERT INTO t VALUES (1, 'a')")
    rows = pa.table({"id": pa.array([1, 2], pa.int32()), "x": ["a", "b"]})
    applied = adapter.apply(changes("t", rows, inserts=rows), shape_of(adapter, "t"), None, empty=True)
    assert (applied.inserted, applied.conflicts) == (2, None)
    assert db.execute("SELECT count(*) FROM t").fetchone() == (2,)
    db.execute("INSERT INTO t VALUES (1, 'a')")
    twice = changes("t", rows, before=rows, after=edited(rows, "x", ["y", "z"]))
    with pytest.raises(DataError, match="several rows have one key"):
        adapter.apply(twice, shape_of(adapter, "t"), None)
    assert db.execute("SELECT count(*) FROM t WHERE x IN ('y', 'z')").fetchone() == (0,)


def test_two_unique_values_trade_places(db: psycopg.Connection, adapter: PostgresAdapter) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY, code text UNIQUE, kept text DEFAULT 'k')")
    db.execute("INSERT INTO t VALUES (1, 'a', 'one'), (2, 'b', 'two'), (3, 'c', 'three')")
    rows = pa.table({"id": pa.array([1, 2, 3], pa.int32()), "code": ["a", "b", "wrong"]})
    swapped = edited(rows, "code", ["b", "a", "d"])
    applied = adapter.apply(changes("t", rows, before=rows, after=swapped), shape_of(adapter, "t"), None)
    assert applied.updated == 2 and applied.conflicts is not None and applied.conflicts.num_rows == 1
    assert db.execute("SELECT * FROM t ORDER BY 1").fetchall() == [(1, "b", "one"), (2, "a", "two"), (3, "c", "three")]
    db.execute("CREATE TABLE child (t_id int REFERENCES t)")
    back = changes("t", rows, before=swapped.slice(0, 2), after=rows.slice(0, 2))
    with pytest.raises(DataError, match=r"DEFERRABLE"):
        adapter.apply(back, shape_of(adapter, "t"), None)
    db.execute("ALTER TABLE t DROP CONSTRAINT t_code_key, ADD UNIQUE (code) DEFERRABLE")
    assert adapter.apply(back, shape_of(adapter, "t"), None).updated == 2


def test_json_compares_by_its_text_and_jsonb_by_value(db: psycopg.Connection, adapter: PostgresAdapter) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY, j json, b jsonb, u uuid)")
    db.execute("INSERT INTO t VALUES (1, '{\"a\": 1}', '{\"a\": 1, \"b\": 2}', 'a0eebc99-9c0b-4ef8-bb6d-6bb9bd380a11')")
    rows = read(adapter, "t")
    other = edited(rows, "b", ['{"b":2,"a":1}'])
    other = edited(other, "u", ["A0EEBC999C0B4EF8BB6D6BB9BD380A11"])
    applied = adapter.apply(
        changes("t", rows, before=other, after=edited(rows, "j", ["[]"])), shape_of(adapter, "t"), None
    )
    assert (applied.updated, applied.conflicts) == (1, None)
    stale = adapter.apply(
        changes("t", rows, before=rows, after=edited(rows, "j", ["{}"])), shape_of(adapter, "t"), None
    )
    assert stale.updated == 0


def test_values_that_do_not_fit_are_refused_and_nothing_stays(db: psycopg.Connection, adapter: PostgresAdapter) -> None:
    db.execute(
        "CREATE TABLE t (id int PRIMARY KEY, short varchar(3), at timestamp(0), bits bit(3), n int CHECK (n > 0), free numeric)"
    )
    shape = shape_of(adapter, "t")
    values = [1, "abc", None, "101", 1, "1.5"]
    schema = shape.schema()
    good = pa.table([pa.array([each], kind) for each, kind in zip(values, schema.types, strict=True)], schema=schema)
    cases = {
        "short": "abcd",
        "at": datetime(2020, 1, 1, 0, 0, 0, 5),
        "bits": "1011",
        "n": 0,
        "free": "x",
    }
    for name, value in cases.items():
        for empty in (True, False):
            rows = edited(good, name, [value])
            with pytest.raises(DataError):
                adapter.apply(changes("t", rows, inserts=rows), shape, Marker("m", "p", "t", 0), empty=empty)
    nul = edited(good, "short", ["a\0"])
    with pytest.raises(DataError, match="0x00"):
        adapter.apply(changes("t", nul, inserts=nul), shape, None)
    assert db.execute("SELECT count(*) FROM t").fetchone() == (0,)
    assert adapter.applied("p") == set()
    assert adapter.apply(changes("t", good, inserts=good), shape, None, empty=True).inserted == 1


def test_staging_tables_do_not_outlive_their_window(db: psycopg.Connection, adapter: PostgresAdapter) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY, x int UNIQUE)")
    shape = shape_of(adapter, "t")
    rows = pa.table({"id": pa.array([1, 2], pa.int32()), "x": pa.array([1, 2], pa.int32())})
    adapter.apply(changes("t", rows, inserts=rows), shape, None)
    with pytest.raises(DataError):
        bad = edited(rows, "id", [3, 4])
        adapter.apply(changes("t", bad, inserts=bad), shape, None)
    assert db.execute("SELECT relname FROM pg_class WHERE relname LIKE 'syncline%'").fetchall() == []


def test_the_marker_table_is_made_once_by_many(postgres_url: str, db: psycopg.Connection) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY)")
    adapters = [PostgresAdapter(postgres_url) for _ in range(4)]

    def one(number: int) -> int:
        rows = pa.table({"id": pa.array([number], pa.int32())})
        mine = adapters[number % 4]
        return mine.apply(changes("t", rows, inserts=rows), shape_of(mine, "t"), Marker("m", "p", "t", number)).inserted

    assert adapters[0].applied("p") == set()
    with ThreadPoolExecutor(4) as threads:
        assert sum(threads.map(one, range(8))) == 8
    assert adapters[1].applied("p") == {Marker("m", "p", "t", number) for number in range(8)}
    assert adapters[1].tables() == [TableName("t")]
    for each in adapters:
        each.close()


def test_identity_columns_keep_given_values_and_move_their_sequence_on(
    db: psycopg.Connection, adapter: PostgresAdapter
) -> None:
    db.execute('CREATE TABLE "T x" (id int GENERATED ALWAYS AS IDENTITY PRIMARY KEY, "Ser" serial, x text)')
    shape = shape_of(adapter, "T x")
    assert [each.identity for each in shape.columns] == [True, True, False]
    rows = pa.table({"id": pa.array([7], pa.int32()), "Ser": pa.array([9], pa.int32()), "x": ["a"]})
    for number, empty in ((7, True), (8, False)):
        mine = edited(rows, "id", [number])
        assert adapter.apply(changes("T x", mine, inserts=mine), shape, None, empty=empty).inserted == 1
    for _ in range(2):
        for column in ("id", "Ser", "x"):
            adapter.advance_identity(TableName("T x"), column)
    assert db.execute('INSERT INTO "T x" (x) VALUES (\'b\') RETURNING id, "Ser"').fetchone() == (9, 10)
    adapter.advance_identity(TableName("T x"), "id")
    assert db.execute("INSERT INTO \"T x\" (x) VALUES ('b') RETURNING id").fetchone() == (10,)


def test_ddl_makes_a_table_that_describes_as_the_shape_asked(db: psycopg.Connection, adapter: PostgresAdapter) -> None:
    name = TableName('odd "name" %')
    shape = TableShape(
        name,
        (
            ColumnShape("id", pa.int64(), "", nullable=False, identity=True),
            ColumnShape("Key", pa.string(), "", nullable=False, length=10),
            ColumnShape("d", pa.decimal128(12, 2), ""),
            ColumnShape("free", pa.string(), "", meaning="decimal"),
            ColumnShape("at", pa.timestamp("us", "UTC"), ""),
            ColumnShape("doc", pa.string(), "", meaning="json"),
            ColumnShape("tag", pa.string(), "", meaning="uuid"),
            ColumnShape("raw", pa.binary(), ""),
        ),
        ("Key",),
        frozenset({frozenset({"Key"}), frozenset({"d", "tag"})}),
    )
    adapter.execute_ddl(adapter.ddl(shape))
    found = adapter.describe(name)
    assert found is not None
    assert (found.primary_key, found.uniques) == (("id",), shape.uniques | {frozenset({"id"})})
    assert found.schema() == shape.schema()
    assert [each.meaning for each in found.columns] == [each.meaning for each in shape.columns]
    with pytest.raises(SynclineError, match="already exists"):
        adapter.execute_ddl(adapter.ddl(shape))


def test_foreign_keys_and_other_schemas_are_described(db: psycopg.Connection, adapter: PostgresAdapter) -> None:
    db.execute("CREATE SCHEMA other; CREATE TABLE other.parent (a int, b int, PRIMARY KEY (b, a))")
    db.execute("CREATE TABLE child (x int, y int, FOREIGN KEY (x, y) REFERENCES other.parent (a, b))")
    shape = shape_of(adapter, "child")
    (foreign,) = shape.foreign_keys
    assert (foreign.columns, foreign.refers, foreign.refers_columns) == (
        ("x", "y"),
        TableName("parent", "other"),
        ("a", "b"),
    )
    assert adapter.tables("other") == [TableName("parent", "other")]
    parent = adapter.describe(TableName("parent", "other"))
    assert parent is not None and parent.primary_key == ("b", "a")
    assert adapter.describe(TableName("parent")) is None
    assert adapter.describe(TableName("nowhere", "no schema")) is None


def test_views_are_described_and_indexes_are_not(db: psycopg.Connection, adapter: PostgresAdapter) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY); CREATE VIEW v AS SELECT id, id + 1 AS next FROM t")
    shape = shape_of(adapter, "v")
    assert (shape.names, shape.primary_key, shape.ordered) == (("id", "next"), (), frozenset())
    assert adapter.describe(TableName("t_pkey")) is None
    assert adapter.tables() == [TableName("t")]


@pytest.mark.parametrize(("encoding", "bytes_of_it"), [("LATIN1", b"\xe9"), ("SQL_ASCII", b"\xc3\xa9")])
def test_text_of_other_encodings_is_read_or_refused(postgres_server: str, encoding: str, bytes_of_it: bytes) -> None:
    name = f"e{uuid.uuid4().hex[:12]}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name} ENCODING {encoding} LOCALE 'C' TEMPLATE template0")
    url = postgres_server.replace("/postgres?", f"/{name}?")
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute("CREATE TABLE t (id int PRIMARY KEY, x text)")
        connection.execute("INSERT INTO t VALUES (1, convert_from(%s, getdatabaseencoding()::name))", [bytes_of_it])
        adapter = PostgresAdapter(url)
        assert read(adapter, "t")["x"].to_pylist() == ["é"]
        assert adapter.describe(TableName("t")) is not None
        if encoding == "SQL_ASCII":
            connection.execute("INSERT INTO t VALUES (2, convert_from(%s, getdatabaseencoding()::name))", [b"\xff"])
            with pytest.raises(DataError, match=r"Reading t.*invalid byte sequence"):
                read(adapter, "t")
        adapter.close()


def test_a_plan_made_for_another_type_is_refused(db: psycopg.Connection, adapter: PostgresAdapter) -> None:
    db.execute("CREATE TABLE t (id bigint PRIMARY KEY, x double precision)")
    rows = pa.table({"id": [1], "x": pa.array([1], pa.int64())})
    with pytest.raises(SynclineError, match=r"'x': the plan writes int64, but the column takes double"):
        adapter.apply(changes("t", rows, inserts=rows), shape_of(adapter, "t"), None)
    rows = pa.table({"id": [1], "y": [1]})
    with pytest.raises(SynclineError, match=r"no column 'y'"):
        adapter.apply(changes("t", rows, inserts=rows), shape_of(adapter, "t"), None)


def test_midnight_at_the_end_of_a_day_cuts_no_window(db: psycopg.Connection, adapter: PostgresAdapter) -> None:
    db.execute("CREATE TABLE t (at time PRIMARY KEY); INSERT INTO t VALUES ('00:00'), ('23:00'), ('24:00')")
    with adapter.snapshot() as snapshot:
        assert len(snapshot.split(Relation(TableName("t")), ("at",), 1)) == 1


def test_a_read_only_adapter_cannot_write(db: psycopg.Connection, postgres_url: str) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY)")
    adapter = PostgresAdapter(postgres_url, read_only=True)
    rows = pa.table({"id": pa.array([1], pa.int32())})
    with pytest.raises(SynclineError, match="read-only"):
        adapter.apply(changes("t", rows, inserts=rows), shape_of(adapter, "t"), None)
    adapter.close()


def test_closing_twice_is_harmless(adapter: PostgresAdapter) -> None:
    adapter.tables()
    adapter.close()
    adapter.close()
    assert adapter.tables() == []
