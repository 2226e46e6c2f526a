"""How PostgreSQL's rows are read: queries, collations, windows, indexes and snapshots."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime
from decimal import Decimal

import pyarrow as pa
import pytest
from postgres_tables import adapter as adapter
from postgres_tables import db as db
from postgres_tables import read, shape_of

from adapters.in_pieces import InPieces
from adapters.postgres import pieces
from adapters.postgres.adapter import PostgresAdapter
from adapters.postgres.snapshot import spelled
from adapters.sql.statements import select
from transforms.vocabulary import ColumnRange, KeyRange, Relation, SpecError, SynclineError, TableName

psycopg = pytest.importorskip("psycopg")


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


def test_what_is_cheap_to_read_is_counted_and_only_the_rest_estimated(
    db: psycopg.Connection, adapter: PostgresAdapter
) -> None:
    db.execute("CREATE TABLE few AS SELECT n FROM generate_series(1, 3) AS n")  # the planner takes it for 2,550 rows
    db.execute("CREATE TABLE bare (n int)")
    db.execute("CREATE FUNCTION many() RETURNS SETOF int ROWS 7000000 LANGUAGE sql VOLATILE AS 'SELECT 1'")
    with adapter.snapshot() as snapshot:
        assert snapshot.estimate(Relation(TableName("few"))) == 3
        assert snapshot.estimate(Relation(TableName("few"), where="n > 1")) == 2
        assert snapshot.estimate(Relation(TableName("bare"))) == 0
        assert snapshot.estimate(Relation(query="SELECT n FROM many() AS n")) == 7_000_000


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


def test_midnight_at_the_end_of_a_day_cuts_no_window(db: psycopg.Connection, adapter: PostgresAdapter) -> None:
    db.execute("CREATE TABLE t (at time PRIMARY KEY); INSERT INTO t VALUES ('00:00'), ('23:00'), ('24:00')")
    with adapter.snapshot() as snapshot:
        assert len(snapshot.split(Relation(TableName("t")), ("at",), 1)) == 1


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


def test_a_large_table_is_read_in_pieces_that_hold_each_row_once(
    db: psycopg.Connection, adapter: PostgresAdapter, monkeypatch: pytest.MonkeyPatch
) -> None:
    db.execute('CREATE TABLE "odd T" (n int PRIMARY KEY, a text)')
    db.execute("INSERT INTO \"odd T\" SELECT n, repeat('x', 500) FROM generate_series(1, 3000) AS n")
    db.execute('CREATE TABLE heir () INHERITS ("odd T")')
    db.execute("INSERT INTO heir VALUES (-1, '')")
    db.execute('CREATE VIEW seen AS SELECT * FROM "odd T"')
    db.execute("CREATE TABLE parted (n int) PARTITION BY RANGE (n)")
    whole = Relation(TableName("odd T"))
    with adapter.snapshot() as snapshot:
        assert isinstance(snapshot, InPieces)
        assert snapshot.pieces(whole, 3) == [whole], "a connection more is not worth it"
        monkeypatch.setattr(pieces, "LEAST_PAGES", 10)
        db.execute("INSERT INTO \"odd T\" SELECT n, 'late' FROM generate_series(4000, 9000) AS n")
        for where, count in ((None, 3000), ("n > 100 -- or so", 2900)):
            cut = snapshot.pieces(Relation(TableName("odd T"), where=where), 3)
            found = [[n for b in snapshot.scan(each, ("n",)) for n in b["n"].to_pylist()] for each in cut]
            assert len(cut) == 3 and all(found)
            assert sorted(n for some in found for n in some) == list(range(3001 - count, 3001))
        for other in (Relation(TableName("seen")), Relation(TableName("parted")), Relation(query="SELECT 1 AS n")):
            assert snapshot.pieces(other, 3) == [other]
        assert snapshot.pieces(whole, 1) == [whole]
