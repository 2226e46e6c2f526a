"""Following PostgreSQL by its log: what it needs, what it leaves alone, and what ends it."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from contextlib import suppress
from typing import TYPE_CHECKING, Any

import numpy as np
import psycopg
import pyarrow as pa
import pytest
from databases import Database
from following import Following, drained

from adapters.feeds.feed import FeedLost
from adapters.postgres import log_feed
from adapters.postgres.decoding import Decoded, Place
from adapters.postgres.log_feed import unseen_by
from transforms.vocabulary import SpecError

if TYPE_CHECKING:
    from breakable import Postgres

ITEM = "CREATE TABLE item (id BIGINT PRIMARY KEY, name VARCHAR(40), code INT NOT NULL DEFAULT 0)"


@pytest.fixture(params=["postgres_url", "pg15_url"], ids=["18", "15"])
def following(request: pytest.FixtureRequest) -> Following:
    return Following(Database("postgresql", request.getfixturevalue(request.param)), "log")


def left(following: Following) -> list[Any]:
    """What a feed keeps in the database."""
    return following.execute(
        "SELECT pubname FROM pg_publication UNION ALL "
        "SELECT slot_name FROM pg_replication_slots WHERE database = current_database()"
    )


def test_what_the_log_does_not_tell_is_refused_and_writers_are_left_alone(following: Following) -> None:
    following.execute(
        ITEM, "CREATE TABLE keyless (id INT, v INT)", "CREATE UNLOGGED TABLE passing (id INT PRIMARY KEY)",
        "CREATE TABLE full_one (id INT PRIMARY KEY, v INT NOT NULL, w INT)", "ALTER TABLE full_one REPLICA IDENTITY FULL",
        "CREATE TABLE late (id INT PRIMARY KEY DEFERRABLE)", "CREATE TABLE indexed (id INT PRIMARY KEY, code INT NOT NULL UNIQUE, v INT)",
        "ALTER TABLE indexed REPLICA IDENTITY USING INDEX indexed_code_key",
        "INSERT INTO keyless VALUES (1, 1)", "INSERT INTO full_one VALUES (1, 1, 1)", "INSERT INTO indexed VALUES (1, 10, 0)",
        "CREATE TABLE computed (id INT, twice INT GENERATED ALWAYS AS (id * 2) STORED, PRIMARY KEY (id, twice))",
    )  # fmt: skip
    refused = {
        "keyless": following.watch("keyless", "id"), "passing": following.watch("passing"),
        "item": following.watch("item", "code"), "late": following.watch("late"), "indexed": following.watch("indexed", "id"),
        "computed": following.watch("computed"),
    }  # fmt: skip
    feed = following.open(*refused.values())
    with pytest.raises(SpecError) as caught:
        feed.start()
    assert sorted(each.table or "" for each in caught.value.problems) == sorted(refused)
    assert all(each.fix for each in caught.value.problems)
    feed.close()
    assert left(following) == []
    following.execute("UPDATE keyless SET v = 2")
    told_of = following.watch("full_one", "v", "w"), following.watch("indexed", "code"), following.watch("item")
    with following.feed(*told_of) as (feed, position):
        following.execute("UPDATE full_one SET v = 7", "UPDATE indexed SET v = 1", "UPDATE indexed SET code = 11")
        following.execute("INSERT INTO item VALUES (1, 'a', 1)", "UPDATE item SET code = 2", "UPDATE item SET id = 3")
        following.execute("DELETE FROM full_one", "DELETE FROM indexed", "DELETE FROM item")
        assert drained(feed, position).keys == {
            "full_one": {(1, 1), (7, 1)}, "indexed": {(10,), (11,)}, "item": {(1,), (3,)}
        }  # fmt: skip


def test_rights_that_are_missing_are_named_with_what_grants_them(following: Following) -> None:
    role = f"reader_{following.database.url.partition('/t')[2][:8]}"
    following.execute(ITEM, f"CREATE ROLE {role} LOGIN", f"GRANT SELECT ON item TO {role}")
    try:
        watched = following.watch("item")
        feed = following.open(watched, url=following.database.url.replace("postgres:@", f"{role}:@"))
        with pytest.raises(SpecError) as caught:
            feed.start()
        assert len(caught.value.problems) == 3, caught.value
        assert all(each.fix for each in caught.value.problems)
        (name,) = following.execute("SELECT current_database()")[0]
        following.execute(
            f"ALTER ROLE {role} REPLICATION",
            f"GRANT CREATE ON DATABASE {name} TO {role}",
            f"ALTER TABLE item OWNER TO {role}",
        )
        position = feed.start()
        following.execute("INSERT INTO item VALUES (1, 'a')")
        assert drained(feed, position).keys == {"item": {(1,)}}
        feed.remove()
        feed.close()
        assert left(following) == []
    finally:
        following.execute("ALTER TABLE item OWNER TO postgres", f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_partitions_children_and_long_keys_are_told_by_their_table(following: Following) -> None:
    following.execute(
        "CREATE TABLE part (id INT, day DATE, v INT, PRIMARY KEY (id, day)) PARTITION BY RANGE (day)",
        "CREATE TABLE part_1 PARTITION OF part FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')",
        "CREATE TABLE part_2 PARTITION OF part DEFAULT",
        "CREATE TABLE parent (id INT PRIMARY KEY)",
        "CREATE TABLE child (id INT PRIMARY KEY, parent INT REFERENCES parent ON DELETE CASCADE ON UPDATE CASCADE)",
        "CREATE TABLE heir () INHERITS (parent)", "CREATE TABLE wide (k TEXT PRIMARY KEY, v INT)",
        "ALTER TABLE wide ALTER k SET STORAGE EXTERNAL",
        "INSERT INTO parent VALUES (1), (2)", "INSERT INTO child VALUES (10, 1), (20, 2)",
        "INSERT INTO wide SELECT string_agg(md5(i::text), '') FROM generate_series(1, 75) i",
    )  # fmt: skip
    ((long,),) = following.execute("SELECT k FROM wide")
    with following.feed("part", "parent", "child", "wide") as (feed, position):
        following.execute(
            "INSERT INTO part VALUES (1, '2024-06-01', 0)", "INSERT INTO part_2 VALUES (2, '2020-01-01', 0)"
        )
        following.execute(
            "UPDATE part SET day = '2021-01-01' WHERE id = 1",
            "DELETE FROM parent WHERE id = 1",
            "INSERT INTO heir VALUES (9)",
        )
        following.execute("UPDATE parent SET id = 3 WHERE id = 2", "UPDATE wide SET v = 1")
        told = drained(feed, position)
        days = {tuple(map(str, row)) for row in told.keys.pop("part")}
        assert days == {("1", "2024-06-01"), ("1", "2021-01-01"), ("2", "2020-01-01")}
        assert told.keys == {"parent": {(1,), (2,), (3,)}, "child": {(10,), (20,)}, "wide": {(long,)}}
        following.execute("INSERT INTO part VALUES (3, '2024-07-01', 0)")
        told = drained(feed, told.position)
        assert told.whole == {}
        for unseen in (
            "TRUNCATE part_1", "ALTER TABLE part DETACH PARTITION part_1", "DROP TABLE part_1",
            "CREATE TABLE part_3 PARTITION OF part FOR VALUES FROM ('2024-01-01') TO ('2025-01-01')",
        ):  # fmt: skip
            following.execute(unseen)
            first, told = told.position, drained(feed, told.position)
            assert told.whole == ({} if unseen.startswith("DROP") else {"part": "unseen"}), unseen
            again = following.open(*(following.watch(each) for each in ("part", "parent", "child", "wide")))
            assert drained(again, first).whole == told.whole
            again.close()
        following.execute("TRUNCATE part")
        assert drained(feed, told.position).whole == {"part": "truncated"}


def test_keys_that_the_log_cannot_tell_have_the_table_compared(following: Following) -> None:
    server, _, rest = following.database.url.partition("/t")
    name = f"e{rest[:12]}"
    following.execute(
        "CREATE TABLE full_one (id INT PRIMARY KEY, v INT NOT NULL)", "ALTER TABLE full_one REPLICA IDENTITY FULL"
    )
    with following.feed(following.watch("full_one", "v")) as (feed, position):
        following.execute("INSERT INTO full_one VALUES (1, 2)", "UPDATE full_one SET v = 3")
        told = drained(feed, position)
        assert (told.keys, told.whole) == ({"full_one": {(2,), (3,)}}, {})
        following.execute("ALTER TABLE full_one REPLICA IDENTITY DEFAULT", "UPDATE full_one SET v = 4")
        assert drained(feed, told.position).whole == {"full_one": "unseen"}
    with psycopg.connect(following.database.url, autocommit=True) as admin:
        admin.execute(f"CREATE DATABASE {name} ENCODING 'SQL_ASCII' TEMPLATE template0 LOCALE 'C'".encode())
        try:
            there = Following(Database("postgresql", f"{server}/{name}{rest[12:]}"), "log")
            there.execute("CREATE TABLE item (k TEXT PRIMARY KEY)")
            with there.feed("item") as (feed, position):
                there.execute(r"INSERT INTO item VALUES (E'\xc3\xa9')")
                told = drained(feed, position)
                assert (told.keys, told.whole) == ({"item": {("é",)}}, {})
                there.execute(r"INSERT INTO item VALUES (E'\xe9')")
                assert drained(feed, told.position).whole == {"item": "unseen"}
        finally:
            admin.execute(f"DROP DATABASE {name} WITH (FORCE)".encode())


def test_a_slot_or_publication_that_is_gone_is_never_taken_for_no_change(following: Following) -> None:
    following.execute(ITEM)
    with following.feed("item") as (feed, position):
        for drop in (
            "DO $$ BEGIN EXECUTE (SELECT format('DROP PUBLICATION %I', pubname) FROM pg_publication); END $$",
            "DO $$ BEGIN EXECUTE (SELECT format('ALTER PUBLICATION %I DROP TABLE item', pubname) FROM pg_publication); END $$",
            "SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots WHERE database = current_database()",
            "DROP TABLE item",
        ):
            following.execute(
                drop, *[ITEM] * drop.startswith("DROP"), "INSERT INTO item VALUES (1, 'a')", "DELETE FROM item"
            )
            with pytest.raises(FeedLost) as caught:
                drained(feed, position)
            assert caught.value.fix
            position = feed.start()
            assert len(left(following)) == 2
        following.execute("INSERT INTO item VALUES (2, 'a')")
        told = drained(feed, position)
        assert told.keys == {"item": {(2,)}}
        with pytest.raises(FeedLost):
            feed.read(position.partition(":")[0] + ":FF/0:0", 10)  # the server was put back to what it was before


def test_the_stream_can_be_cut_and_taken_up_anywhere(following: Following) -> None:
    """However it comes in pieces, and wherever reading begins again, the same changes are told in the same order."""
    following.execute(ITEM, "CREATE TABLE other (a TEXT, b INT, PRIMARY KEY (a, b))")
    with following.feed("item", "other") as (feed, position):
        for number in range(6):
            following.execute(
                f"INSERT INTO item SELECT i, 'a' FROM generate_series({100 * number}, {100 * number + number}) i",
                *[f"INSERT INTO other VALUES ('x{number}', 1), ('y', {number})"] * (number % 2),
                *["UPDATE item SET id = id + 1000 WHERE id < 1000 AND id % 2 = 0"] * (number == 4),
                *["TRUNCATE other"] * (number == 3),
            )
        drained(feed, position, settle=False)  # waits until all of it is on disk
        (slot,) = following.execute("SELECT slot_name FROM pg_replication_slots WHERE database = current_database()")[0]
        peek = f"SELECT data FROM pg_logical_slot_peek_binary_changes('{slot}', NULL, NULL, 'proto_version', '1', 'publication_names', '{slot}')"
        messages = pa.array([data for (data,) in following.execute(peek)], pa.binary())
        oids = following.execute("SELECT 'item'::regclass::oid::int, 'other'::regclass::oid::int")[0]
        watched = {oids[0]: ("id",), oids[1]: ("a", "b")}
        start, end = Place.parsed(position), 1 << 40

        def told(most: int, piece: int, again: int) -> list[Any]:
            """A new look begins after `again` pieces."""
            found: list[Any] = []
            place = start
            while True:
                pieces = [messages.slice(at, piece) for at in range(0, len(messages), piece)]
                look = Decoded(iter(pieces), place, end, 10**9, watched)
                for _ in range(again):
                    read = look.take(most)
                    assert read.changes <= most
                    for oid in sorted(read.values):
                        found += [(oid, row) for table in read.values[oid] for row in table.to_pylist()]
                    found += [(oid, "all") for oid in sorted(read.truncated)]
                    if look.over:
                        return found
                place = Place.parsed(str(look.place))

        whole = told(10**6, 10**6, 1)
        assert len(whole) > 30
        for most, piece, again in [
            (1, 1, 1),
            (1, 7, 2),
            (2, 3, 1),
            (5, 2, 3),
            (3, 1000, 1),
            (1, 1000, 10**6),
            (4, 11, 10**6),
        ]:
            assert sorted(map(repr, told(most, piece, again))) == sorted(map(repr, whole)), (most, piece, again)


def test_what_is_read_ahead_and_never_settled_does_not_hold_the_reader_up(
    following: Following, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(log_feed, "PEEKED", 10)
    following.execute(ITEM)
    with following.feed("item") as (feed, position):
        for number in range(40):
            following.execute(f"INSERT INTO item VALUES ({number}, 'a')")
        told = drained(feed, position, 3, settle=False)
        assert told.keys == {"item": {(number,) for number in range(40)}}
        assert sum(batch.changes for batch in told.batches) == 40


def test_numbers_of_transactions_are_told_apart_after_four_thousand_million_of_them() -> None:
    """The log has the lower 32 bits of a transaction's number, a snapshot all of them."""
    first = 5 << 32
    snapshot = f"{first - 2}:{first + 3}:{first - 2},{first + 1}"
    numbers = np.array([(first + each) & 0xFFFFFFFF for each in (-3, -2, -1, 0, 1, 2, 3)])
    assert unseen_by(snapshot, numbers).tolist() == [each & 0xFFFFFFFF for each in (-2, 1, 3)]
    assert unseen_by("10:10:", np.array([9])).tolist() == []


@pytest.fixture
def to_break(postgres_to_break: Postgres) -> Iterator[Following]:
    side = postgres_to_break.side("followed")
    following = Following(Database("postgresql", side.url), "log")
    following.execute(ITEM)
    yield following
    for name in ("wal_level", "max_slot_wal_keep_size", "synchronous_standby_names"):
        postgres_to_break.ask(f"ALTER SYSTEM RESET {name}")
    postgres_to_break.ask("SELECT pg_drop_replication_slot(slot_name) FROM pg_replication_slots")
    postgres_to_break.restart()


def test_a_server_that_restarts_forgets_nothing_and_one_that_threw_its_log_away_says_so(
    to_break: Following, postgres_to_break: Postgres
) -> None:
    ask, watched = postgres_to_break.ask, to_break.watch("item")
    feed = to_break.open(watched)
    with pytest.raises(SpecError) as caught:
        feed.start()
    assert "wal_level" in caught.value.problems[0].fix
    feed.close()
    ask("ALTER SYSTEM SET wal_level = logical")
    ask("CHECKPOINT")  # on this server commits wait for nothing: what comes back is what was on disk
    postgres_to_break.restart()
    with to_break.feed(watched) as (feed, position):
        to_break.execute("INSERT INTO item VALUES (1, 'a')")
        told = drained(feed, position)
        assert told.keys == {"item": {(1,)}}
        to_break.execute("INSERT INTO item VALUES (2, 'a')")
        ask("CHECKPOINT")
        postgres_to_break.restart()
        again = to_break.open(watched)
        told = drained(again, told.position)
        again.close()
        assert (2,) in told.keys["item"]
        _hidden_until_a_standby_has_it(to_break, postgres_to_break, feed, told.position)
        postgres_to_break.configure(max_slot_wal_keep_size="'1MB'")
        held = feed.held()
        assert held is not None
        assert held.most == 2**20
        for _ in range(3):
            ask("SELECT pg_switch_wal()")
            ask("CREATE TABLE IF NOT EXISTS noise (v TEXT)")
            ask("INSERT INTO noise SELECT repeat('x', 1000) FROM generate_series(1, 1000)")
        ask("CHECKPOINT")
        with pytest.raises(FeedLost):
            drained(feed, told.position)
        position = feed.start()
        to_break.execute("INSERT INTO item VALUES (5, 'a')")
        assert drained(feed, position).keys == {"item": {(5,)}}


def _hidden_until_a_standby_has_it(following: Following, server: Postgres, feed: Any, position: str) -> None:
    """A commit that waits for a standby is in the log, and nobody sees it: it is told once it can be seen."""
    server.configure(synchronous_standby_names="'nobody'")

    def write() -> None:
        with suppress(psycopg.Error), psycopg.connect(following.database.url) as connection:
            connection.execute("SET synchronous_commit = on")
            connection.execute("INSERT INTO item VALUES (3, 'a')")

    writer = threading.Thread(target=write)
    writer.start()
    try:
        time.sleep(0.3)
        batch = feed.read(position, 10)
        assert (batch.keys, batch.position, batch.more) == ({}, position, False)
        assert following.execute("SELECT count(*) FROM item WHERE id = 3") == [(0,)]
    finally:
        server.configure(synchronous_standby_names="DEFAULT")
        writer.join()
    assert drained(feed, position, settle=False).keys == {"item": {(3,)}}
