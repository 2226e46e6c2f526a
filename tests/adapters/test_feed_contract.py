"""What every way to be told of changes promises (adapters/feeds/feed.py), on real servers."""

from __future__ import annotations

import datetime as dt
import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from decimal import Decimal
from itertools import count
from pathlib import Path
from threading import Event
from typing import Any

import psycopg
import pymysql
import pytest
from databases import Database
from following import Following, Told, beside, drained, with_triggers

from adapters.feeds.feed import FeedLost
from adapters.registry import open_target
from transforms.vocabulary import Relation, TableName

WAYS = [
    ("postgresql", "log"), ("mysql", "log"),
    ("sqlite", "trigger"), ("postgresql", "trigger"), ("mysql", "trigger"),
]  # fmt: skip
DATABASES = {"postgresql": "postgres_url", "mysql": "mariadb_url"}


@pytest.fixture(params=WAYS, ids="-".join)
def following(request: pytest.FixtureRequest, tmp_path: Path) -> Following:
    engine, way = request.param
    url = f"sqlite:///{tmp_path}/source.db" if engine == "sqlite" else request.getfixturevalue(DATABASES[engine])
    if engine == "sqlite":
        sqlite3.connect(tmp_path / "source.db").execute("PRAGMA journal_mode = WAL").connection.close()
    prepare = with_triggers if way == "trigger" else None
    return Following(Database(engine, url), way, prepare)


ITEM = "CREATE TABLE item (id BIGINT PRIMARY KEY, name VARCHAR(40))"


def test_each_change_tells_which_row_it_was_and_is(following: Following) -> None:
    following.execute(ITEM, "CREATE TABLE other (id INT PRIMARY KEY)", "INSERT INTO item VALUES (1, 'a'), (2, 'b')")
    with following.feed("item") as (feed, position):
        assert drained(feed, position).keys == {}, "nothing happened since the start"
        following.execute("INSERT INTO item VALUES (3, NULL), (4, 'd')", "INSERT INTO other VALUES (9)")
        following.execute("UPDATE item SET name = 'x' WHERE id = 1", "UPDATE item SET id = 20 WHERE id = 2")
        following.execute("DELETE FROM item WHERE id = 4")
        told = drained(feed, position)
        assert told.keys == {"item": {(1,), (2,), (20,), (3,), (4,)}}
        assert not told.whole
        (batch,) = (each for each in told.batches if each.keys)
        assert batch.changes >= 5
        assert batch.since is not None
        assert abs((dt.datetime.now(dt.UTC) - batch.since).total_seconds()) < 60
        (table,) = batch.keys.values()
        assert table.schema == following.watch("item").shape.schema(("id",))
        assert drained(feed, told.position).keys == {}


def test_what_was_rolled_back_did_not_change(following: Following) -> None:
    following.execute(ITEM)
    with following.feed("item") as (feed, position):
        following.execute("INSERT INTO item VALUES (1, 'a')", "ROLLBACK", "INSERT INTO item VALUES (2, 'b')")
        following.execute(
            "INSERT INTO item VALUES (3, 'a')", "SAVEPOINT s", "INSERT INTO item VALUES (4, 'a')",
            "ROLLBACK TO SAVEPOINT s", "INSERT INTO item VALUES (5, 'a')",
        )  # fmt: skip
        assert drained(feed, position).keys == {"item": {(2,), (3,), (5,)}}


def test_a_position_can_be_read_again_until_it_is_settled_by_another_process_too(following: Following) -> None:
    following.execute(ITEM)
    watched = following.watch("item")
    with following.feed(watched) as (feed, position):
        for number in range(4):
            following.execute(f"INSERT INTO item VALUES ({2 * number}, 'a'), ({2 * number + 1}, 'b')")
        first = drained(feed, position, 3, settle=False)
        assert first.keys == {"item": {(number,) for number in range(8)}}
        assert len(first.batches) > 1
        assert drained(feed, position, 3, settle=False).keys == first.keys
        one, two, *_ = first.batches
        feed.settle(one.position)
        feed.settle(one.position)
        again = following.open(watched)
        try:
            second = Told(one.position)
            second.add(again.read(one.position, 3))
            if (following.engine, following.way) != (
                "mysql",
                "trigger",
            ):  # whose places are what is left of what was read
                assert second.position == two.position
            assert second.keys == {
                table.name: {(n,) for n in rows["id"].to_pylist()} for table, rows in two.keys.items()
            }
            rest = drained(again, one.position, 100)
        finally:
            again.close()
        assert rest.keys["item"] >= first.keys["item"] - set(map(tuple, zip(one_keys(one), strict=True)))
        assert drained(feed, rest.position).keys == {}


def one_keys(batch: Any) -> list[int]:
    return [number for rows in batch.keys.values() for number in rows["id"].to_pylist()]


KEYS: dict[str, list[tuple[str, list[tuple[str, Any]]]]] = {
    "postgresql": [
        ("int", [("-1", -1), ("2147483647", 2**31 - 1)]),
        ("text", [("'a😀'", "a😀"), (r"""'q"\,{}'""", r'q"\,{}'), ("''", ""), ("' x '", " x "), ("'NULL'", "NULL")]),
        ("uuid", [("'6E0E5D51-4C9F-4CE1-9E57-0D3F0A8E2F11'", "6e0e5d51-4c9f-4ce1-9e57-0d3f0a8e2f11")]),
        ("bytea", [(r"'\x00ff'", b"\x00\xff"), ("''", b"")]),
        ("numeric(9,2)", [("1.5", Decimal("1.50")), ("-0.01", Decimal("-0.01"))]),
        ("numeric", [("1.500", "1.5"), ("1e30", "1" + 30 * "0")]),
        ("date", [("'2024-02-29'", dt.date(2024, 2, 29))]),
        ("timestamp", [("'2024-02-29 01:02:03.000004'", dt.datetime(2024, 2, 29, 1, 2, 3, 4))]),
        ("timestamptz", [("'2024-02-29 01:02:03+02'", dt.datetime(2024, 2, 28, 23, 2, 3, tzinfo=dt.UTC))]),
        ("boolean", [("true", True), ("false", False)]),
        ("float8", [("0.1", 0.1)]),
        ("char(4)", [("'ab'", "ab")]),
        ("inet", [("'10.0.0.1'", "10.0.0.1/32")]),
    ],
    "sqlite": [
        ("INTEGER", [("-1", -1), ("9223372036854775807", 2**63 - 1)]),
        ("TEXT", [("'a😀'", "a😀"), ("''", ""), ("' x '", " x "), ("'12'", "12")]),
        ("TEXT COLLATE NOCASE", [("'Ab'", "Ab")]),
        ("BLOB", [("x'00ff'", b"\x00\xff"), ("x''", b"")]),
        ("DECIMAL(9,2)", [("1.5", Decimal("1.50")), ("-0.01", Decimal("-0.01"))]),
        ("DATE", [("'2024-02-29'", dt.date(2024, 2, 29))]),
        ("TIMESTAMP", [("'2024-02-29 01:02:03.000004'", dt.datetime(2024, 2, 29, 1, 2, 3, 4))]),
        ("BOOLEAN", [("1", True), ("0", False)]),
        ("REAL", [("0.1", 0.1), ("2", 2.0)]),
        ("UUID", [("'6E0E5D51-4C9F-4CE1-9E57-0D3F0A8E2F11'", "6e0e5d51-4c9f-4ce1-9e57-0d3f0a8e2f11")]),
    ],
    "mysql": [
        ("INT", [("-1", -1), ("2147483647", 2**31 - 1)]),
        ("TINYINT UNSIGNED", [("255", 255)]),
        ("SMALLINT", [("-2", -2)]),
        ("MEDIUMINT", [("-8388608", -8388608), ("8388607", 8388607)]),
        ("MEDIUMINT UNSIGNED", [("16777215", 16777215)]),
        ("BIGINT UNSIGNED", [("18446744073709551615", 2**64 - 1), ("0", 0)]),
        ("VARCHAR(60) COLLATE utf8mb4_bin", [("'a😀'", "a😀"), ("'q\"'", 'q"'), ("''", "")]),
        ("VARCHAR(60) CHARACTER SET latin1", [("'café'", "café")]),
        ("CHAR(36)", [("'6e0e5d51-4c9f-4ce1-9e57-0d3f0a8e2f11'", "6e0e5d51-4c9f-4ce1-9e57-0d3f0a8e2f11")]),
        ("UUID", [("'6E0E5D51-4C9F-4CE1-9E57-0D3F0A8E2F11'", "6e0e5d51-4c9f-4ce1-9e57-0d3f0a8e2f11")]),
        ("VARBINARY(8)", [("x'00ff'", b"\x00\xff"), ("''", b"")]),
        ("BINARY(4)", [("x'0100'", b"\x01\x00\x00\x00"), ("x'00000000'", b"\0\0\0\0")]),
        ("DECIMAL(9,2)", [("1.5", Decimal("1.50")), ("-0.01", Decimal("-0.01")), ("-1234567.89", Decimal("-1234567.89"))]),
        ("DATE", [("'2024-02-29'", dt.date(2024, 2, 29))]),
        ("DATETIME(6)", [("'2024-02-29 01:02:03.000004'", dt.datetime(2024, 2, 29, 1, 2, 3, 4))]),
        ("DATETIME", [("'2024-02-29 01:02:03'", dt.datetime(2024, 2, 29, 1, 2, 3))]),
        ("TIMESTAMP(3) NOT NULL DEFAULT 0", [("'2024-02-29 01:02:03.5'", dt.datetime(2024, 2, 29, 1, 2, 3, 500000, tzinfo=dt.UTC))]),
        ("ENUM('a','ß')", [("'ß'", "ß")]),
        ("YEAR", [("1999", 1999)]),
    ],
}  # fmt: skip


def test_keys_of_every_type_are_what_a_scan_reads(following: Following) -> None:
    kinds = KEYS[following.engine]
    tables = [f"t{i}" for i in range(len(kinds))]
    following.execute(
        *(
            f"CREATE TABLE {table} (k {kind} , v INT, PRIMARY KEY (k))"
            for table, (kind, _) in zip(tables, kinds, strict=True)
        )
    )
    with following.feed(*tables) as (feed, position):
        for table, (_, values) in zip(tables, kinds, strict=True):
            following.execute(*(f"INSERT INTO {table} VALUES ({text}, 1)" for text, _ in values))
        told = drained(feed, position)
        wanted = {table: {(value,) for _, value in values} for table, (_, values) in zip(tables, kinds, strict=True)}
        assert told.keys == wanted
        adapter = open_target(following.database.url)
        try:
            with adapter.snapshot() as snapshot:
                for table, rows in ((table, rows) for batch in told.batches for table, rows in batch.keys.items()):
                    found = list(snapshot.scan(Relation(TableName(table.name)), ["k"], keys=rows))
                    assert sum(batch.num_rows for batch in found) == rows.num_rows, table
                    assert found[0].schema == rows.schema, table
        finally:
            adapter.close()
        for table, (_, values) in zip(tables, kinds, strict=True):
            following.execute(f"UPDATE {table} SET v = 2 WHERE k = {values[0][0]}", f"DELETE FROM {table}")
        assert drained(feed, told.position).keys == wanted


def test_a_key_of_several_columns_comes_whole_in_the_order_that_was_asked_for(following: Following) -> None:
    following.execute("CREATE TABLE line (b INT, v INT, a VARCHAR(20), c DECIMAL(6,1), PRIMARY KEY (a, b, c))")
    with following.feed("line") as (feed, position):
        following.execute("INSERT INTO line VALUES (1, 0, 'a|b', 1.0), (11, 0, 'a', 2.5)", "UPDATE line SET v = 1")
        following.execute("UPDATE line SET b = 12 WHERE b = 11")
        told = drained(feed, position)
        assert told.keys == {"line": {("a|b", 1, Decimal("1.0")), ("a", 11, Decimal("2.5")), ("a", 12, Decimal("2.5"))}}
        assert told.batches[0].keys[TableName("line")].column_names == ["a", "b", "c"]


def test_a_table_that_was_emptied_or_changed_has_to_be_compared_whole(following: Following) -> None:
    following.execute(ITEM, "CREATE TABLE other (id INT PRIMARY KEY)", "INSERT INTO item VALUES (1, 'a')")
    with following.feed("item", "other") as (feed, position):
        following.execute("INSERT INTO other VALUES (1)")
        following.execute("DELETE FROM item" if following.engine == "sqlite" else "TRUNCATE TABLE item")
        following.execute("INSERT INTO other VALUES (2)")
        told = drained(feed, position)
        if following.engine == "sqlite":  # whose triggers see rows that go at once
            assert (told.whole, told.keys.pop("item")) == ({}, {(1,)})
        else:
            assert told.whole == {"item": "truncated"}
        assert told.keys == {"other": {(1,), (2,)}}
        following.execute("ALTER TABLE item ADD COLUMN more INT")
        following.execute("INSERT INTO item VALUES (2, 'a', 1)")
        assert drained(feed, told.position).whole == {"item": "altered"}
        anew = following.open(following.watch("item"), following.watch("other"))
        try:
            following.execute("INSERT INTO item VALUES (3, 'a', 1)")
            told = drained(anew, drained(feed, told.position).position)
            following.execute("INSERT INTO item VALUES (4, 'a', 1)")
            told = drained(anew, told.position)
            assert (told.whole, told.keys) == ({}, {"item": {(4,)}})
        finally:
            anew.close()


def test_two_who_follow_do_not_see_each_other(following: Following) -> None:
    following.execute(ITEM)
    with following.feed("item", name="one") as (one, at_one):
        following.execute("INSERT INTO item VALUES (1, 'a')")
        with following.feed("item", name="Ünusual name; with everything " + 80 * "x") as (two, at_two):
            following.execute("INSERT INTO item VALUES (2, 'a')")
            assert drained(two, at_two).keys["item"] >= {(2,)}
            assert drained(one, at_one, settle=False).keys == {"item": {(1,), (2,)}}
        assert drained(one, at_one).keys == {"item": {(1,), (2,)}}


def test_waiting_ends_with_a_change_or_the_time(following: Following) -> None:
    following.execute(ITEM)
    with following.feed("item") as (feed, position):
        position = drained(feed, position).position
        begun = time.monotonic()

        def late(stop: Event) -> None:
            stop.wait(0.3)
            following.execute("INSERT INTO item VALUES (1, 'a')")

        with beside(late):
            while not (told := drained(feed, position)).keys and time.monotonic() < begun + 10:
                position = told.position
                feed.wait(position, 5)
        assert told.keys == {"item": {(1,)}}
        assert time.monotonic() - begun < 4


def writers(following: Following) -> Iterator[None]:
    """Threads that insert a row a transaction, of which some are slow, as fast as they can."""
    numbers = count(1)

    def write(stop: Event) -> None:
        connection = connected(following)
        try:
            with closing(connection.cursor()) as cursor:
                while not stop.is_set():
                    number = next(numbers)
                    cursor.execute(f"INSERT INTO item VALUES ({number}, 'a')")
                    if number % 50 == 0:
                        time.sleep(0.02)
                    if following.engine != "sqlite":
                        connection.commit()
        finally:
            connection.close()

    with beside(write, 4):
        yield


def connected(following: Following) -> Any:
    if following.engine == "postgresql":
        return psycopg.connect(following.database.url)
    if following.engine == "sqlite":
        import adbc_driver_sqlite.dbapi as sqlite  # another library of SQLite would take this one's locks away

        connection = sqlite.connect(
            f"file:{following.database.url.removeprefix('sqlite:///')}?mode=rw", autocommit=True
        )
        with connection.cursor() as cursor:
            cursor.execute("PRAGMA busy_timeout = 30000")
        return connection
    from urllib.parse import urlsplit

    url = urlsplit(following.database.url)
    return pymysql.connect(
        host=url.hostname, port=url.port, user=url.username, database=url.path[1:], ssl_disabled=True
    )


def present(snapshot: Any) -> set[tuple[Any, ...]]:
    batches = snapshot.scan(Relation(TableName("item")), ["id"])
    return {(number,) for batch in batches for number in batch.column(0).to_pylist()}


def test_nothing_is_missed_while_others_write_and_what_is_told_can_be_seen(following: Following) -> None:
    following.execute(ITEM)
    adapter = open_target(following.database.url)
    writing = writers(following)
    next(writing)
    try:
        with following.feed("item") as (feed, position):
            with adapter.snapshot() as snapshot:  # a first load, while writers go on
                known = present(snapshot)
            told, ends = Told(position), time.monotonic() + 1.0
            while time.monotonic() < ends:
                batch = feed.read(told.position, 200)
                keys = {(number,) for rows in batch.keys.values() for number in rows["id"].to_pylist()}
                with adapter.snapshot() as snapshot:
                    assert keys <= present(snapshot), "told, and not yet to be seen"
                told.add(batch)
                feed.settle(batch.position)
            next(writing, None)
            rest = drained(feed, told.position)
            with adapter.snapshot() as snapshot:
                there = present(snapshot)
            assert there == known | told.keys.get("item", set()) | rest.keys.get("item", set())
            assert len(there) > len(known) > 0
    finally:
        writing.close()
        adapter.close()


def test_a_burst_comes_in_pieces(following: Following) -> None:
    following.execute(ITEM)
    with following.feed("item") as (feed, position):
        numbers = "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < 20000) "
        set_up = ["SET max_recursive_iterations = 100000"] if following.engine == "mysql" else []
        into = "INSERT INTO item " + numbers + "SELECT i, 'a' FROM n"
        following.execute(*set_up, into)
        following.execute("UPDATE item SET name = 'b' WHERE id <= 1000")
        told = drained(feed, position, 5000)
        assert told.keys == {"item": {(number,) for number in range(1, 20_001)}}
        assert max(each.num_rows for batch in told.batches for each in batch.keys.values()) <= 10_000
        assert sum(batch.changes for batch in told.batches) == 21_000


def test_what_a_feed_keeps_goes_with_it_and_its_positions_are_lost(following: Following) -> None:
    following.execute(ITEM)
    with following.feed("item") as (feed, position):
        following.execute("INSERT INTO item VALUES (1, 'a')")
        held = feed.held()
        assert held is None or held.size >= 0
        feed.remove()
        feed.remove()
        if held is not None:
            with pytest.raises(FeedLost) as caught:
                feed.read(position, 10)
            assert caught.value.fix
        after = feed.held()
        assert following.way == "trigger" or after is None
        position = feed.start()
        following.execute("INSERT INTO item VALUES (2, 'a')")
        assert drained(feed, position).keys == {"item": {(2,)}}
