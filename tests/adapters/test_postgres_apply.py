"""The ways rows go into PostgreSQL, what it compares and refuses, and what it leaves behind."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import datetime

import pyarrow as pa
import pytest
from postgres_tables import adapter as adapter
from postgres_tables import changes, edited, read, shape_of
from postgres_tables import db as db

from adapters.postgres.adapter import PostgresAdapter
from transforms.vocabulary import DataError, Marker, SynclineError, TableName

psycopg = pytest.importorskip("psycopg")


def test_a_load_into_an_empty_window_falls_back_when_a_key_is_taken(
    db: psycopg.Connection, adapter: PostgresAdapter
) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY, x text)")
    shape = shape_of(adapter, "t")
    rows = pa.table({"id": pa.array([1, 2, 3], pa.int32()), "x": ["a", "b", "c"]})
    db.execute("INSERT INTO t VALUES (2, 'other'), (3, 'c')")
    applied = adapter.apply(changes("t", rows, inserts=rows), shape, Marker("m", "p", "t", 0), empty=True)
    assert (applied.inserted, applied.already) == (1, False)
    assert applied.by_others is not None and applied.by_others["key"].to_pylist() == [{"id": 3}]
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
    assert (applied.inserted, applied.conflicts) == (1, None)
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


def test_a_plan_made_for_another_type_is_refused(db: psycopg.Connection, adapter: PostgresAdapter) -> None:
    db.execute("CREATE TABLE t (id bigint PRIMARY KEY, x double precision)")
    rows = pa.table({"id": [1], "x": pa.array([1], pa.int64())})
    with pytest.raises(SynclineError, match=r"'x': the plan writes int64, but the column takes double"):
        adapter.apply(changes("t", rows, inserts=rows), shape_of(adapter, "t"), None)
    rows = pa.table({"id": [1], "y": [1]})
    with pytest.raises(SynclineError, match=r"no column 'y'"):
        adapter.apply(changes("t", rows, inserts=rows), shape_of(adapter, "t"), None)


@pytest.mark.parametrize("empty", [True, False])
def test_rows_that_a_trigger_swallows_are_named_and_trying_again_is_not_offered(
    db: psycopg.Connection, adapter: PostgresAdapter, empty: bool
) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY, x text)")
    db.execute(
        "CREATE FUNCTION kept_out() RETURNS trigger LANGUAGE plpgsql AS "
        "$$ BEGIN IF coalesce(new.x, old.x) = 'bad' THEN RETURN NULL; END IF; RETURN coalesce(new, old); END $$"
    )
    db.execute("CREATE TRIGGER keeper BEFORE INSERT OR DELETE ON t FOR EACH ROW EXECUTE FUNCTION kept_out()")
    rows = pa.table({"id": pa.array([1, 2, 3], pa.int32()), "x": ["a", "bad", "c"]})
    with pytest.raises(DataError, match=r"the insert of 1 rows, such as id = 2"):
        adapter.apply(changes("t", rows, inserts=rows), shape_of(adapter, "t"), None, empty=empty)
    assert db.execute("SELECT count(*) FROM t").fetchone() == (0,)
    db.execute("SET session_replication_role = replica")
    db.execute("INSERT INTO t VALUES (1, 'a'), (2, 'bad')")
    db.execute("RESET session_replication_role")
    with pytest.raises(DataError, match=r"the delete of 1 rows, such as id = 2"):
        adapter.apply(changes("t", rows, deletes=rows.slice(0, 2)), shape_of(adapter, "t"), None)
    assert db.execute("SELECT count(*) FROM t").fetchone() == (2,)
