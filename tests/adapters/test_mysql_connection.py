"""One connection to MariaDB or MySQL: large values, nested scans, faults, locks, and what the server refuses."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor

import pyarrow as pa
import pytest
from databases import Database
from mysql_tables import adapter as adapter
from mysql_tables import database as database
from mysql_tables import described, inserts, kill, read

from adapters.mysql.adapter import MysqlAdapter
from transforms.vocabulary import (
    BusyError,
    DataError,
    KeyRange,
    Marker,
    Relation,
    SynclineError,
    TableName,
    TransientError,
)


def test_values_of_more_than_a_packet_travel(adapter: MysqlAdapter, database: Database) -> None:
    database.execute("CREATE TABLE t (id int primary key, b longblob, t longtext)")
    shape = described(adapter)
    pattern = bytes(range(256)) * (17 * 2**12)  # 17 MiB
    rows = pa.table([[1, 2, 3], [pattern, b"\x01\xff", None], ["x" * (16 * 2**20), "", None]], schema=shape.schema())
    for empty in (True, False):
        database.execute("DELETE FROM t")
        adapter.apply(inserts(shape, rows), shape, None, empty=empty)
        assert read(adapter).equals(rows)


def test_scans_nest_and_threads_share_one_connection(adapter: MysqlAdapter, database: Database) -> None:
    database.execute(
        "CREATE TABLE t (id int primary key, v varchar(99))",
        "INSERT INTO t SELECT seq, repeat('x', 90) FROM seq_1_to_60000",
    )
    relation = Relation(TableName("t"))
    with adapter.snapshot() as snapshot:
        outer = snapshot.scan(relation, ["id", "v"], key=("id",))
        first = next(outer)
        inner = sum(
            batch.num_rows for batch in snapshot.scan(relation, ["id"], key=("id",), within=KeyRange((100,), (200,)))
        )
        assert inner == 100
        with ThreadPoolExecutor(4) as pool:
            sums = pool.map(lambda _: sum(b.num_rows for b in snapshot.scan(relation, ["id", "v"])), range(4))
            assert list(sums) == [60_000] * 4
        assert first.num_rows + sum(batch.num_rows for batch in outer) == 60_000


def test_a_killed_connection_is_a_passing_fault(adapter: MysqlAdapter, database: Database) -> None:
    database.execute(
        "CREATE TABLE t (id int primary key, v varchar(999))",
        "INSERT INTO t SELECT seq, repeat('x', 900) FROM seq_1_to_50000",
    )
    with pytest.raises(TransientError), adapter.snapshot() as snapshot:
        batches = snapshot.scan(Relation(TableName("t")), ["id", "v"])
        next(batches)
        for (number,) in database.execute(
            "SELECT id FROM information_schema.processlist WHERE id <> connection_id() AND db = database()"
        ):
            kill(database.execute, number)
        list(batches)
    assert read(adapter).num_rows == 50_000


def test_a_lock_names_its_holder(adapter: MysqlAdapter, database: Database) -> None:
    other = MysqlAdapter(database.url)
    with adapter.lock("shop"):
        with pytest.raises(BusyError, match=r"shop is held on .* by connection \d+, user root"), other.lock("shop"):
            pass
        with other.lock("another"):
            pass
    with other.lock("shop"):
        pass
    other.close()


def test_a_table_without_transactions_is_not_written(adapter: MysqlAdapter, database: Database) -> None:
    database.execute("CREATE TABLE t (id int primary key) ENGINE=MyISAM")
    shape = described(adapter)
    with pytest.raises(SynclineError, match="ENGINE = InnoDB"):
        adapter.apply(inserts(shape, pa.table([[1]], schema=shape.schema())), shape, Marker("m", "p", "t", 0))


def test_a_load_that_the_server_would_alter_is_refused(adapter: MysqlAdapter, database: Database) -> None:
    database.execute("CREATE TABLE t (id int primary key, v varchar(3), e enum('a','b'), CHECK (id < 100))")
    shape = described(adapter)
    for row in ((1, "long", "a"), (1, "x", "z"), (100, "x", "a")):
        rows = pa.table([[each] for each in row], schema=shape.schema())
        for empty in (True, False):
            with pytest.raises(DataError):
                adapter.apply(inserts(shape, rows), shape, None, empty=empty)
    assert database.execute("SELECT count(*) FROM t") == [(0,)]


def test_a_server_that_asks_for_another_file_gets_nothing(adapter: MysqlAdapter, database: Database) -> None:
    database.execute("CREATE TABLE t (v text)")
    connection = adapter._connections.take()
    with pytest.raises(RuntimeError, match="LOAD_LOCAL"):
        connection.query("LOAD DATA LOCAL INFILE '/etc/hostname' INTO TABLE t")
    connection._force_close()


def test_a_user_who_may_not_write_is_told_what_to_grant(adapter: MysqlAdapter, database: Database) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY, v varchar(9))")
    database.execute(
        "CREATE USER IF NOT EXISTS reader@'%' IDENTIFIED BY 'hunter2'", "GRANT SELECT ON *.* TO reader@'%'"
    )
    reader = MysqlAdapter(database.url.replace("root:@", "reader:hunter2@"))
    shape = described(reader)
    rows = pa.table({"id": [1], "v": ["a"]}, schema=shape.schema())
    with pytest.raises(SynclineError, match=r"denied.*Fix: GRANT .*CREATE TEMPORARY TABLES") as caught:
        reader.apply(inserts(shape, rows), shape, None)
    assert "hunter2" not in str(caught.value)
    reader.close()
    database.execute("DROP USER reader@'%'")


def test_a_table_of_which_a_user_sees_some_columns_only_is_refused(database: Database) -> None:
    database.execute("CREATE TABLE t (id int PRIMARY KEY, v varchar(9), w int)")
    name = database.url.rpartition("/")[2]
    database.execute(
        "CREATE USER IF NOT EXISTS partial@'%' IDENTIFIED BY ''", f"GRANT SELECT (id, v) ON {name}.t TO partial@'%'"
    )
    reader = MysqlAdapter(database.url.replace("root:@", "partial:@"))
    with pytest.raises(SynclineError, match=r"may not read all of it .*Fix: GRANT SELECT on the table"):
        described(reader)
    assert reader.describe_query("SELECT id, v FROM t").names == ("id", "v")
    reader.close()
    database.execute("DROP USER partial@'%'")
