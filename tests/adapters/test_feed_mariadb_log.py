"""Following MariaDB by its binary log: what the log does not tell, forms that it comes in, and what ends it."""

from __future__ import annotations

import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

import pymysql
import pytest
from databases import Database
from following import Following, Told, drained

from adapters.feeds.feed import ChangeFeed, FeedLost
from transforms.vocabulary import SpecError

if TYPE_CHECKING:
    from breakable import Mariadb

ITEM = "CREATE TABLE item (id BIGINT PRIMARY KEY, name VARCHAR(400), code INT)"


@pytest.fixture
def following(mariadb_url: str) -> Following:
    return Following(Database("mysql", mariadb_url), "log")


def next_of(feed: ChangeFeed, told: Told) -> Told:
    return drained(feed, told.position)


def test_what_foreign_keys_carry_on_unlogged_has_to_be_compared_whole(following: Following) -> None:
    following.execute(
        "CREATE TABLE country (id INT PRIMARY KEY, code CHAR(2) UNIQUE, name VARCHAR(20))",
        "CREATE TABLE city (id INT PRIMARY KEY, country CHAR(2), FOREIGN KEY (country) REFERENCES country (code) ON DELETE CASCADE ON UPDATE CASCADE)",
        "CREATE TABLE street (id INT PRIMARY KEY, city INT, FOREIGN KEY (city) REFERENCES city (id) ON DELETE SET NULL)",
        "CREATE TABLE shop (id INT PRIMARY KEY, city INT, FOREIGN KEY (city) REFERENCES city (id))",
        "CREATE TABLE tree (id INT PRIMARY KEY, above INT, FOREIGN KEY (above) REFERENCES tree (id) ON DELETE CASCADE)",
        "INSERT INTO country VALUES (1, 'de', 'x'), (2, 'fr', 'y')", "INSERT INTO city VALUES (10, 'de'), (20, 'fr')",
        "INSERT INTO street VALUES (100, 10)", "INSERT INTO tree VALUES (1, NULL), (2, 1)",
    )  # fmt: skip
    with following.feed("street", "shop", "tree", "city") as (feed, position):
        following.execute("UPDATE country SET name = 'z'", "INSERT INTO country VALUES (3, 'it', 'z')")
        told = drained(feed, position)
        assert (told.whole, told.keys) == ({}, {})
        following.execute("UPDATE country SET code = 'DE' WHERE id = 1")
        told = next_of(feed, told)
        assert told.whole == {"city": "unseen", "street": "unseen"}
        following.execute("DELETE FROM city WHERE id = 20")
        told = next_of(feed, told)
        assert (told.whole, told.keys) == ({"street": "unseen"}, {"city": {(20,)}})
        following.execute("DELETE FROM country WHERE id = 1")
        told = next_of(feed, told)
        assert told.whole == {"city": "unseen", "street": "unseen"}
        assert following.execute("SELECT city FROM street") == [(None,)]
        following.execute("DELETE FROM tree WHERE id = 1")
        assert next_of(feed, told).whole == {"tree": "unseen"}


def test_a_user_who_may_only_read_sees_what_foreign_keys_carry_on(following: Following) -> None:
    following.execute(
        "CREATE TABLE country (id INT PRIMARY KEY)",
        "CREATE TABLE city (id INT PRIMARY KEY, country INT, FOREIGN KEY (country) REFERENCES country (id) ON DELETE CASCADE)",
        "INSERT INTO country VALUES (1)", "INSERT INTO city VALUES (10, 1)",
    )  # fmt: skip
    ((schema,),) = following.execute("SELECT DATABASE()")
    user = f"r{schema}"
    following.execute(f"CREATE USER {user} IDENTIFIED BY 'x'", f"GRANT SELECT ON {schema}.city TO {user}")
    try:
        feed = following.open(following.watch("city"), url=following.database.url.replace("root:@", f"{user}:x@"))
        with pytest.raises(SpecError) as caught:
            feed.start()
        assert "GRANT SELECT" in caught.value.fix
        following.execute(f"GRANT SELECT ON {schema}.* TO {user}")
        with pytest.raises(SpecError) as caught:
            feed.start()
        assert "REPLICATION SLAVE" in caught.value.fix
        following.execute(f"GRANT REPLICATION SLAVE ON *.* TO {user}")
        feed.close()
        position = feed.start()
        following.execute("INSERT INTO city VALUES (11, 1)", "DELETE FROM country")
        told = drained(feed, position)
        feed.close()
        assert (told.whole, told.keys) == ({"city": "unseen"}, {"city": {(11,)}})
    finally:
        following.execute(f"DROP USER {user}")


def test_rows_come_whatever_form_the_log_has(following: Following) -> None:
    following.execute(
        ITEM,
        "CREATE TABLE old (id INT PRIMARY KEY, v INT) ENGINE = MyISAM",
        "INSERT INTO item VALUES (1, 'a', 1), (2, 'b', 2)",
    )
    with following.feed(following.watch("item"), following.watch("old")) as (feed, position):
        long = "REPEAT('long ', 80)"
        following.execute(
            "SET SESSION binlog_row_image = MINIMAL",
            "UPDATE item SET code = 7 WHERE id = 1",
            "UPDATE item SET id = 3 WHERE id = 2",
            "DELETE FROM item WHERE id = 1",
        )
        following.execute("SET SESSION binlog_row_image = NOBLOB", f"INSERT INTO item (id, name) VALUES (4, {long})")
        following.execute("INSERT INTO old VALUES (1, 1), (2, 2)", "UPDATE old SET id = 5 WHERE id = 2")
        told = drained(feed, position)
        assert told.keys == {"item": {(1,), (2,), (3,), (4,)}, "old": {(1,), (2,), (5,)}}
        following.execute("SET GLOBAL log_bin_compress = ON", "SET GLOBAL log_bin_compress_min_len = 10")
        try:
            following.execute(
                f"INSERT INTO item SELECT seq, {long}, 0 FROM seq_10_to_2000",
                f"UPDATE item SET id = id + 10000, name = {long} WHERE id > 1990",
            )
            told = next_of(feed, told)
            assert told.keys == {"item": {(n,) for n in range(10, 2001)} | {(n + 10000,) for n in range(1991, 2001)}}
            following.execute("TRUNCATE item")
            told = next_of(feed, told)
            assert told.whole == {"item": "truncated"}
        finally:
            following.execute("SET GLOBAL log_bin_compress = OFF", "SET GLOBAL log_bin_compress_min_len = 256")
        following.execute(
            "FLUSH BINARY LOGS",
            "INSERT INTO item VALUES (7, NULL, NULL)",
            "FLUSH BINARY LOGS",
            "INSERT INTO item VALUES (8, NULL, NULL)",
        )
        assert next_of(feed, told).keys == {"item": {(7,), (8,)}}


WIDE = (
    "TINYINT", "SMALLINT UNSIGNED", "MEDIUMINT", "INT", "BIGINT", "FLOAT", "DOUBLE", "DECIMAL(38,10)", "DECIMAL(7,7)", "DECIMAL(9,0)",
    "BIT(1)", "BIT(13)", "YEAR", "DATE", "TIME", "TIME(3)", "DATETIME", "DATETIME(1)", "DATETIME(6)", "TIMESTAMP(2) NULL", "TIMESTAMP NULL",
    "CHAR(3)", "CHAR(200) CHARACTER SET utf8mb4", "VARCHAR(20)", "VARCHAR(300)", "BINARY(5)", "VARBINARY(260)", "TINYBLOB", "BLOB", "MEDIUMTEXT",
    "LONGBLOB", "ENUM('a','b')", "SET('x','y','z')", "JSON", "UUID", "INET6", "POINT", "VARCHAR(50) COMPRESSED", "TEXT COMPRESSED",
    "INT AS (1 + 1) VIRTUAL", "INT AS (2 + 1) STORED", "INT INVISIBLE",
)  # fmt: skip
SOME = (
    "1", "65535", "-5", "2147483647", "-1", "1.5", "-2.25", "-1234567890123456789012345678.0123456789", "0.1234567", "999999999",
    "b'1'", "b'1010101010101'", "1999", "'2024-02-29'", "'-838:59:59'", "'12:13:14.567'", "'2024-01-01 01:02:03'", "'1000-01-01 00:00:00.1'",
    "'9999-12-31 23:59:59.999999'", "'2024-01-01 00:00:00.25'", "'2024-01-01 00:00:00'", "'abc'", "REPEAT('ä', 200)", "'v'", "REPEAT('w', 300)",
    "x'0100'", "REPEAT('b', 260)", "'t'", "REPEAT('q', 300)", "'m'", "'l'", "'b'", "'x,z'", "'{}'", "UUID()", "'::1'", "POINT(1, 2)",
    "REPEAT('c', 50)", "REPEAT('d', 500)", "DEFAULT", "DEFAULT", "7",
)  # fmt: skip


def test_keys_are_found_among_columns_of_every_kind_with_and_without_values(following: Following) -> None:
    """Rows say nothing of where they end: one column whose length is misread, and all behind it is wrong."""
    assert len(WIDE) == len(SOME)
    half = len(WIDE) // 2
    columns = [f"c{i} {kind}" for i, kind in enumerate(WIDE)]
    following.execute(
        f"CREATE TABLE wide ({', '.join([*columns[:half], 'k VARCHAR(40) NOT NULL', *columns[half:], 'n INT NOT NULL'])}, PRIMARY KEY (n, k))"
    )
    names = [f"c{i}" for i in range(len(WIDE))]
    rows = []
    for number in range(60):
        values = [
            "DEFAULT"
            if i >= len(WIDE) - 3 and some == "DEFAULT"
            else "NULL"
            if (i * 7 + number * number) % (number % 5 + 1)
            else some
            for i, some in enumerate(SOME)
        ]
        rows.append(f"({', '.join([*values, repr('k' * (number % 9)), str(number)])})")
    with following.feed("wide") as (feed, position):
        assert feed.way == "log"
        into = f"INSERT INTO wide ({', '.join([*names, 'k', 'n'])}) VALUES "
        following.execute(into + ", ".join(rows[:50]), *(into + row for row in rows[50:]))
        following.execute(
            "UPDATE wide SET c3 = 4, c24 = NULL WHERE n % 3 = 0",
            "UPDATE wide SET k = 'other', c28 = 'x' WHERE n % 10 = 0",
            "DELETE FROM wide WHERE n % 2",
        )
        wanted = {(number, "k" * (number % 9)) for number in range(60)} | {
            (number, "other") for number in range(0, 60, 10)
        }
        assert drained(feed, position, 7, settle=False).keys == {"wide": wanted}
        told = drained(feed, position)
        assert (told.keys, told.whole) == ({"wide": wanted}, {})


def test_a_statement_that_was_logged_as_such_has_everything_compared(following: Following) -> None:
    following.execute(ITEM, "CREATE TABLE other (id INT PRIMARY KEY)")
    both = {"item": "unseen", "other": "unseen"}
    with following.feed("item", "other") as (feed, position):
        following.execute("SET SESSION binlog_format = STATEMENT", "INSERT INTO item VALUES (1, 'a', 1)")
        told = drained(feed, position)
        assert told.whole == both
        following.execute(
            "XA START 'x'", "INSERT INTO item VALUES (2, 'a', 1)", "XA END 'x'", "XA PREPARE 'x'", "XA COMMIT 'x'"
        )
        told = next_of(feed, told)
        assert told.whole == both
        following.execute(
            "CREATE TABLE unlike (id INT)",
            "GRANT SELECT ON item TO root@localhost",
            "ANALYZE TABLE item",
            "DROP TABLE unlike",
        )
        told = next_of(feed, told)
        assert told.whole == {}
        following.execute("ALTER TABLE item ADD COLUMN first INT FIRST, MODIFY id BIGINT NOT NULL AFTER code")
        following.execute("INSERT INTO item (id) VALUES (3)", "RENAME TABLE other TO another")
        told = next_of(feed, told)
        assert told.whole == {"item": "altered", "other": "altered"}
        anew = following.open(following.watch("item"))
        following.execute("INSERT INTO item (id) VALUES (4)")
        assert drained(anew, told.position).keys == {"item": {(4,)}}
        again = drained(anew, position)  # what was before the change has other columns
        anew.close()
        assert again.whole == {"item": "altered"}
        assert again.keys["item"] == {(3,), (4,)}


def test_what_cannot_be_read_out_of_the_log_is_refused(following: Following) -> None:
    following.execute(
        "CREATE TABLE clock (id TIME PRIMARY KEY)", "CREATE TABLE kept (id INT PRIMARY KEY) WITH SYSTEM VERSIONING", ITEM,
        "CREATE VIEW seen AS SELECT * FROM item",
    )  # fmt: skip
    for table, columns in (("clock", ()), ("kept", ()), ("seen", ("id",))):
        feed = following.open(following.watch(table, *columns))
        with pytest.raises(SpecError) as caught:
            feed.start()
        feed.close()
        assert caught.value.problems[0].fix, table
        assert caught.value.problems[0].table == table


@pytest.fixture
def to_break(mariadb_to_break: Mariadb) -> Iterator[Following]:
    following = Following(Database("mysql", mariadb_to_break.side("followed").url), "log")
    following.execute(ITEM)
    yield following
    mariadb_to_break.ask("SET GLOBAL binlog_format = ROW")
    mariadb_to_break.ask("SET GLOBAL binlog_row_image = FULL")


def test_a_server_that_restarts_forgets_nothing_and_one_that_threw_its_log_away_says_so(
    to_break: Following, mariadb_to_break: Mariadb
) -> None:
    ask, watched = mariadb_to_break.ask, to_break.watch("item")
    feed = to_break.open(watched)
    ask("SET GLOBAL binlog_format = MIXED")
    ask("SET GLOBAL binlog_row_image = MINIMAL")
    with pytest.raises(SpecError) as caught:
        feed.start()
    assert "ROW" in caught.value.problems[0].fix
    ask("SET GLOBAL binlog_format = ROW")
    with pytest.raises(SpecError) as caught:
        to_break.open(to_break.watch("item", "code")).start()
    assert "FULL" in caught.value.problems[0].fix
    feed.close()
    with to_break.feed(watched) as (feed, position):
        to_break.execute("INSERT INTO item VALUES (1, 'a', 1)")
        told = drained(feed, position)
        assert told.keys == {"item": {(1,)}}
        to_break.execute("INSERT INTO item VALUES (2, 'a', 1)")
        mariadb_to_break.restart()
        to_break.execute("INSERT INTO item VALUES (3, 'a', 1)")
        again = to_break.open(watched)
        told = drained(again, told.position)
        again.close()
        assert told.keys == {"item": {(2,), (3,)}}
        ask("FLUSH BINARY LOGS")
        ((newest, *_),) = ask("SHOW MASTER STATUS")
        ends = time.monotonic() + 10
        while len(ask("SHOW BINARY LOGS")) > 1 and time.monotonic() < ends:  # not as long as a reader may need it
            ask(f"PURGE BINARY LOGS TO '{newest}'")
            time.sleep(0.05)
        with pytest.raises(FeedLost) as caught_lost:
            drained(feed, told.position)
        assert caught_lost.value.fix
        position = feed.start()
        to_break.execute("INSERT INTO item VALUES (4, 'a', 1)")
        told = drained(feed, position)
        assert told.keys == {"item": {(4,)}}
        to_break.execute("DO SLEEP(1)")  # files are told apart by the second
        ask("RESET MASTER")
        for number in range(5, 30):
            to_break.execute(f"INSERT INTO item VALUES ({number}, '{'x' * 300}', 1)")
        with pytest.raises(FeedLost):
            drained(feed, told.position)
        with pytest.raises(pymysql.Error):
            to_break.execute("INSERT INTO item VALUES (5, 'a', 1)")
