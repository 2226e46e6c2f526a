"""Triggers that write down which rows changed: what is made, what they see, and what is noticed where they cannot."""

from __future__ import annotations

import time
from contextlib import closing
from importlib import import_module
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pymysql
import pytest
from databases import Database
from following import Following, drained, with_triggers

from adapters.feeds.feed import FeedLost
from adapters.registry import open_target, open_triggers
from transforms.vocabulary import BusyError, SpecError

ITEM = "CREATE TABLE item (id BIGINT PRIMARY KEY, code VARCHAR(40) UNIQUE)"
ENGINES = ["sqlite", "postgresql", "mysql"]


@pytest.fixture(params=ENGINES)
def following(request: pytest.FixtureRequest, tmp_path: Path) -> Following:
    return of_engine(request.param, request, tmp_path)


def of_engine(engine: str, request: pytest.FixtureRequest, tmp_path: Path) -> Following:
    fixtures = {"postgresql": "postgres_url", "pg15": "pg15_url", "mysql": "mariadb_url"}
    url = request.getfixturevalue(fixtures[engine]) if engine in fixtures else f"sqlite:///{tmp_path}/source.db"
    if engine == "sqlite":
        Path(tmp_path, "source.db").touch()
    return Following(Database("postgresql" if engine == "pg15" else engine, url), "trigger", with_triggers)


@pytest.fixture
def postgres(postgres_url: str) -> Following:
    return Following(Database("postgresql", postgres_url), "trigger", with_triggers)


@pytest.fixture
def sqlite(request: pytest.FixtureRequest, tmp_path: Path) -> Following:
    return of_engine("sqlite", request, tmp_path)


def test_triggers_are_made_once_and_go_without_a_trace(following: Following) -> None:
    following.execute(ITEM, "CREATE TABLE other (id INT PRIMARY KEY)")
    item, other = following.watch("item"), following.watch("other")
    with pytest.raises(SpecError, match="no triggers") as caught:
        following.open(item).start()
    assert "syncline follow install" in caught.value.fix
    with closing(open_triggers(following.database.url, [item], "one")) as triggers:
        made = triggers.installing()
        assert any("CREATE TRIGGER" in each for each in made) and triggers.missing() == [item.table]
        triggers.execute(made)
        assert triggers.installing() == [] and triggers.missing() == []
    with closing(open_triggers(following.database.url, [item, other], "one")) as triggers:
        assert triggers.missing() == [other.table]
        with pytest.raises(SpecError, match="other"):
            triggers.start()
        triggers.execute(triggers.installing())
        position = triggers.start()
        following.execute("INSERT INTO other VALUES (1)", "INSERT INTO item VALUES (1, 'a')")
        assert drained(triggers, position).keys == {"item": {(1,)}, "other": {(1,)}}
    with_triggers(following.database.url, [item], "two")
    with closing(open_target(following.database.url)) as adapter:
        assert adapter.tables() == [item.table, other.table], "logs are not the user's tables"
        design = adapter.design(item.table)
        assert (design.hooks, [each for each in design.features if each.kind == "trigger"], adapter.besides()) == (
            (),
            [],
            [],
        )
    with closing(open_triggers(following.database.url, [item], "one")) as triggers:
        triggers.execute(triggers.uninstalling())
        assert triggers.uninstalling() == [] and triggers.missing() == [item.table]
    following.execute("INSERT INTO item VALUES (2, 'b')")
    with closing(open_triggers(following.database.url, [item], "two")) as triggers:
        assert triggers.missing() == [], "another follower's stay"
        triggers.execute(triggers.uninstalling())
    assert left_behind(following) == []


def left_behind(following: Following) -> list[object]:
    if following.engine == "sqlite":
        return following.execute("SELECT name FROM sqlite_schema WHERE name LIKE 'syncline%'")
    if following.engine == "mysql":
        return following.execute(
            "SELECT TABLE_NAME FROM information_schema.TABLES WHERE TABLE_SCHEMA = DATABASE() AND TABLE_NAME LIKE 'syncline%'"
            " UNION ALL SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE()"
        )
    return following.execute(
        "SELECT relname FROM pg_class WHERE relname LIKE 'syncline%' UNION ALL SELECT tgname FROM pg_trigger WHERE tgname LIKE"
        " 'syncline%' UNION ALL SELECT proname FROM pg_proc WHERE proname LIKE 'syncline%'"
    )


def trigger_names(following: Following) -> list[str]:
    query = {
        "sqlite": "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND name LIKE 'syncline%' ORDER BY name",
        "mysql": "SELECT TRIGGER_NAME FROM information_schema.TRIGGERS WHERE TRIGGER_SCHEMA = DATABASE() ORDER BY 1",
        "postgresql": "SELECT tgname FROM pg_trigger WHERE tgname LIKE 'syncline%' ORDER BY tgname",
    }
    return [name for (name,) in following.execute(query[following.engine])]


def test_triggers_that_were_dropped_or_made_anew_lose_the_feed(following: Following) -> None:
    following.execute(ITEM)
    with following.feed("item") as (feed, position):
        dropped = trigger_names(following)[0]
        on = " ON item" if following.engine == "postgresql" else ""
        following.execute(f'DROP TRIGGER "{dropped}"{on}')
        with pytest.raises(FeedLost) as caught:
            feed.read(position, 10)
        assert "syncline follow install" in caught.value.fix
        with pytest.raises(SpecError, match="no triggers"):
            feed.start()
        with_triggers(following.database.url, [following.watch("item")], "one")
        with pytest.raises(FeedLost):
            feed.read(position, 10)
        position = feed.start()
        following.execute("INSERT INTO item VALUES (1, 'a')")
        assert drained(feed, position).keys == {"item": {(1,)}}
        following.execute("DROP TABLE item", ITEM)
        with pytest.raises(FeedLost):
            feed.read(position, 10)


def test_a_log_that_grew_too_large_is_emptied_and_its_room_is_free(following: Following) -> None:
    following.execute(ITEM)
    with following.feed("item") as (feed, position):
        numbers = ", ".join(f"({number}, NULL)" for number in range(5000))
        following.execute(f"INSERT INTO item VALUES {numbers}")
        full = feed.held()
        assert full is not None and (full.size > 50_000 or following.engine == "mysql")
        feed.remove()
        left = feed.held()
        assert left is not None and left.size < 50_000
        with pytest.raises(FeedLost):
            feed.read(position, 10)
        position = feed.start()
        following.execute("DELETE FROM item WHERE id > 0")
        assert len(drained(feed, position).keys["item"]) == 4999


def test_triggers_of_the_application_and_of_several_followers_work_beside_each_other(following: Following) -> None:
    following.execute(ITEM, "CREATE TABLE seen (id BIGINT PRIMARY KEY)")
    if following.engine == "postgresql":
        body = "BEGIN INSERT INTO seen VALUES (NEW.id); RETURN NEW; END"
        following.execute(
            f"CREATE FUNCTION own() RETURNS trigger LANGUAGE plpgsql AS '{body}'",
            "CREATE TRIGGER own AFTER INSERT ON item FOR EACH ROW EXECUTE FUNCTION own()",
        )
    else:
        each = " FOR EACH ROW" if following.engine == "mysql" else ""
        body = "INSERT INTO seen VALUES (NEW.id)"
        body = body if following.engine == "mysql" else f"BEGIN {body}; END"
        following.execute(f"CREATE TRIGGER own AFTER INSERT ON item{each} {body}")
    with following.feed("item", "seen") as (feed, position), following.feed("item", name="two") as (two, at_two):
        following.execute("INSERT INTO item VALUES (1, 'a'), (2, 'b')")
        assert drained(feed, position).keys == {"item": {(1,), (2,)}, "seen": {(1,), (2,)}}
        assert drained(two, at_two).keys == {"item": {(1,), (2,)}}


def test_columns_that_are_no_key_are_told_as_they_were_and_are(following: Following) -> None:
    following.execute(ITEM, "INSERT INTO item VALUES (1, 'a'), (2, NULL)")
    with following.feed(following.watch("item", "code", "id")) as (feed, position):
        following.execute("UPDATE item SET code = 'A' WHERE id = 1", "UPDATE item SET code = 'b' WHERE id = 2")
        told = drained(feed, position)
        assert told.keys == {"item": {("a", 1), ("A", 1), (None, 2), ("b", 2)}}
        following.execute("UPDATE item SET code = code")
        assert drained(feed, told.position).keys == {"item": {("A", 1), ("b", 2)}}


def test_rows_that_replace_takes_away_are_told(sqlite: Following) -> None:
    sqlite.execute(ITEM, "INSERT INTO item VALUES (1, 'a'), (2, 'b'), (3, 'c')")
    with sqlite.feed("item") as (feed, position):
        sqlite.execute(
            "INSERT OR REPLACE INTO item VALUES (4, 'a')", "UPDATE OR REPLACE item SET code = 'c' WHERE id = 2"
        )
        assert drained(feed, position).keys == {"item": {(1,), (2,), (3,), (4,)}}
        assert sqlite.execute("SELECT id FROM item ORDER BY id") == [(2,), (4,)]


def test_a_table_that_was_built_anew_has_lost_its_triggers(sqlite: Following) -> None:
    sqlite.execute(ITEM)
    with sqlite.feed("item") as (feed, position):
        sqlite.execute("CREATE TABLE anew AS SELECT * FROM item", "DROP TABLE item", "ALTER TABLE anew RENAME TO item")
        with pytest.raises(FeedLost):
            feed.read(position, 10)


PARTS = (
    "CREATE TABLE item (id INT PRIMARY KEY, v INT) PARTITION BY RANGE (id)",
    "CREATE TABLE low PARTITION OF item FOR VALUES FROM (0) TO (100)",
    "CREATE TABLE high PARTITION OF item FOR VALUES FROM (100) TO (200)",
)


@pytest.mark.parametrize("engine", ["postgresql", "pg15"])
def test_partitions_tell_what_is_written_past_their_table(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    following = of_engine(engine, request, tmp_path)
    following.execute(*PARTS, "CREATE TABLE later (id INT PRIMARY KEY, v INT)", "INSERT INTO later VALUES (201)")
    with following.feed("item", following.watch("low")) as (feed, position):
        following.execute("INSERT INTO low VALUES (1, 1)", "INSERT INTO item VALUES (2, 2), (150, 1)")
        following.execute("UPDATE item SET id = 101 WHERE id = 2")
        told = drained(feed, position)
        assert told.keys == {"item": {(1,), (2,), (101,), (150,)}, "low": {(1,), (2,)}}
        following.execute("TRUNCATE high")
        told = drained(feed, told.position)
        assert told.whole == {"item": "truncated"}
        following.execute("ALTER TABLE item ATTACH PARTITION later FOR VALUES FROM (200) TO (300)")
        told = drained(feed, told.position)
        assert told.whole == {"item": "altered"}
        following.execute("INSERT INTO later VALUES (250)")
        assert drained(feed, told.position).keys == {"item": {(250,)}}


def test_postgres_tells_cascades_merges_copies_and_replicas_for_writers_without_rights(postgres: Following) -> None:
    postgres.execute(
        ITEM,
        "CREATE TABLE line (id INT PRIMARY KEY, item BIGINT REFERENCES item ON DELETE CASCADE ON UPDATE CASCADE)",
        "INSERT INTO item VALUES (1, 'a'), (2, 'b')",
        "INSERT INTO line VALUES (10, 1), (11, 1), (20, 2), (30, NULL)",
    )
    with postgres.feed("item", "line") as (feed, position):
        postgres.execute("DELETE FROM item WHERE id = 1", "UPDATE item SET id = 3 WHERE id = 2")
        told = drained(feed, position)
        assert told.keys == {"item": {(1,), (2,), (3,)}, "line": {(10,), (11,), (20,)}}
        merge = "MERGE INTO line USING (VALUES (20), (21)) s (id) ON s.id = line.id WHEN MATCHED THEN DELETE WHEN NOT MATCHED THEN INSERT VALUES (s.id)"
        postgres.execute(
            "SET session_replication_role = replica", "INSERT INTO item VALUES (4) ON CONFLICT DO NOTHING", merge
        )
        with (
            psycopg.connect(postgres.database.url) as connection,
            connection.cursor().copy("COPY item (id) FROM STDIN") as copy,
        ):
            copy.write("5\n6\n")
        told = drained(feed, told.position)
        assert told.keys == {"item": {(4,), (5,), (6,)}, "line": {(20,), (21,)}}
        role = f"writer_{urlsplit(postgres.database.url).path[1:]}"
        postgres.execute(f"CREATE ROLE {role}", f"GRANT INSERT ON item TO {role}")
        try:
            postgres.execute(f"SET ROLE {role}", "INSERT INTO item VALUES (7)")
            assert drained(feed, told.position).keys == {"item": {(7,)}}
        finally:
            postgres.execute(f"DROP OWNED BY {role}", f"DROP ROLE {role}")


def test_a_trigger_that_was_off_for_a_while_loses_the_feed(postgres: Following) -> None:
    postgres.execute(ITEM)
    with postgres.feed("item") as (feed, position):
        name = trigger_names(postgres)[0]
        postgres.execute(f'ALTER TABLE item DISABLE TRIGGER "{name}"')
        postgres.execute("INSERT INTO item VALUES (1)", f'ALTER TABLE item ENABLE ALWAYS TRIGGER "{name}"')
        with pytest.raises(FeedLost):
            feed.read(position, 10)


def test_who_may_not_make_triggers_is_told_what_it_takes(postgres: Following) -> None:
    postgres.execute(ITEM)
    role = f"reader_{urlsplit(postgres.database.url).path[1:]}"
    postgres.execute(f"CREATE ROLE {role} LOGIN", f"GRANT SELECT ON item TO {role}")
    url = postgres.database.url.replace("postgres:", f"{role}:", 1)
    try:
        with closing(open_triggers(url, [postgres.watch("item")], "one")) as triggers:
            with pytest.raises(SpecError, match="cannot be made") as caught:
                triggers.execute(triggers.installing())
            assert "owner" in caught.value.fix
    finally:
        postgres.execute(f"DROP OWNED BY {role}", f"DROP ROLE {role}")


@pytest.fixture
def mariadb(mariadb_url: str) -> Following:
    return Following(Database("mysql", mariadb_url), "trigger", with_triggers)


FAMILY = (
    "CREATE TABLE grand (id INT PRIMARY KEY)",
    "CREATE TABLE parent (id INT PRIMARY KEY, g INT, v INT, FOREIGN KEY (g) REFERENCES grand (id) ON DELETE CASCADE)",
    "CREATE TABLE child (id INT, p INT, q INT, PRIMARY KEY (id), FOREIGN KEY (p) REFERENCES parent (id) ON DELETE CASCADE"
    " ON UPDATE CASCADE, FOREIGN KEY (q) REFERENCES parent (id) ON DELETE SET NULL ON UPDATE SET NULL)",
    "CREATE TABLE tree (id INT PRIMARY KEY, up INT, FOREIGN KEY (up) REFERENCES tree (id) ON DELETE CASCADE)",
    "INSERT INTO grand VALUES (1), (2)",
    "INSERT INTO parent VALUES (1, 1, 0), (2, 1, 0), (3, 2, 0), (4, NULL, 0)",
    "INSERT INTO child VALUES (10, 1, 2), (11, 1, NULL), (20, 2, NULL), (30, 3, 4), (40, 4, NULL)",
    "INSERT INTO tree VALUES (1, NULL), (2, 1), (3, 2), (4, NULL)",
)


def test_mariadb_tells_which_rows_foreign_keys_change(mariadb: Following) -> None:
    mariadb.execute(*FAMILY)
    with mariadb.feed(mariadb.watch("child", "id", "p", "q"), "tree") as (feed, position):
        mariadb.execute("UPDATE parent SET v = 1", "DELETE FROM tree WHERE id = 4")
        told = drained(feed, position)
        assert (told.keys, told.whole) == ({"tree": {(4,)}}, {}), "nothing else changed"
        mariadb.execute("UPDATE parent SET id = 9 WHERE id = 2")
        told = drained(feed, told.position)
        assert told.keys["child"] >= {(20, 2, None), (20, 9, None), (10, 1, 2), (10, 1, None)} and not told.whole
        mariadb.execute("DELETE FROM parent WHERE id = 4")
        told = drained(feed, told.position)
        assert told.keys["child"] >= {(40, 4, None), (30, 3, 4), (30, 3, None)} and not told.whole
        mariadb.execute("DELETE FROM grand WHERE id = 1", "DELETE FROM tree WHERE id = 1")
        assert mariadb.execute("SELECT id FROM child UNION SELECT id FROM tree") == [(30,)]
        assert drained(feed, told.position).whole == {"child": "unseen", "tree": "unseen"}


def _reached(mariadb: Following) -> Any:
    """A connection of its own, for what is not committed yet."""
    url = urlsplit(mariadb.database.url)
    return pymysql.connect(
        host=url.hostname, port=url.port, user=url.username, database=url.path[1:], ssl_disabled=True
    )


def test_mariadb_forgets_what_was_read_beside_those_who_write(mariadb: Following) -> None:
    mariadb.execute(ITEM)
    with mariadb.feed("item") as (feed, position):
        with closing(_reached(mariadb)) as early, closing(_reached(mariadb)) as late:
            early.query("INSERT INTO item VALUES (1, 'a')")
            mariadb.execute(f"INSERT INTO item VALUES {', '.join(f'({number}, NULL)' for number in range(10, 50))}")
            late.query("INSERT INTO item VALUES (2, 'b')")
            begun = time.monotonic()
            told = drained(feed, position)
            assert told.keys == {"item": {(number,) for number in range(10, 50)}}
            assert time.monotonic() - begun < 5, "nobody waits for a transaction that is open"
            early.commit()
            late.commit()
        assert drained(feed, told.position).keys == {"item": {(1,), (2,)}}


def test_who_may_make_no_triggers_on_mariadb_is_told_what_it_takes(mariadb: Following) -> None:
    mariadb.execute(ITEM)
    url = urlsplit(mariadb.database.url)
    user, schema = f"u{url.path[-8:]}", url.path[1:]
    mariadb.execute(f"CREATE USER {user} IDENTIFIED BY 'x'", f"GRANT ALL ON {schema}.* TO {user}")
    limited = f"mysql://{user}:x@{url.hostname}:{url.port}/{schema}"
    try:
        with closing(open_triggers(limited, [mariadb.watch("item")], "one")) as triggers:
            with pytest.raises(SpecError) as caught:
                triggers.installing()
            assert "PROCESS" in caught.value.fix
            mariadb.execute(f"GRANT PROCESS ON *.* TO {user}")
        with closing(open_triggers(limited, [mariadb.watch("item")], "one")) as triggers:
            with pytest.raises(SpecError) as caught:
                triggers.execute(triggers.installing())
            assert "log_bin_trust_function_creators" in caught.value.fix
    finally:
        mariadb.execute(f"DROP USER {user}")


@pytest.mark.parametrize("engine", ["postgresql", "mysql"])
def test_triggers_wait_for_open_transactions_no_longer_than_writers_may_wait_for_them(
    engine: str, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    package = "postgres" if engine == "postgresql" else "mysql"
    monkeypatch.setattr(import_module(f"adapters.{package}.trigger_feed"), "LOCK_SECONDS", 1)
    following = of_engine(engine, request, tmp_path)
    following.execute(ITEM)
    opened = psycopg.connect(following.database.url) if engine == "postgresql" else _reached(following)
    with closing(opened), closing(open_triggers(following.database.url, [following.watch("item")], "one")) as triggers:
        opened.cursor().execute("INSERT INTO item VALUES (1, 'a')")
        with pytest.raises(BusyError) as caught:
            triggers.execute(triggers.installing())
        assert caught.value.fix
        opened.commit()
        triggers.execute(triggers.installing())
        assert not triggers.missing()


def test_the_application_is_told_of_its_statements_what_it_is_told_without_triggers(following: Following) -> None:
    numbered = {
        "sqlite": "INTEGER PRIMARY KEY AUTOINCREMENT",
        "mysql": "BIGINT AUTO_INCREMENT PRIMARY KEY",
        "postgresql": "SERIAL PRIMARY KEY",
    }[following.engine]
    last = {"sqlite": "last_insert_rowid()", "mysql": "last_insert_id()", "postgresql": "lastval()"}[following.engine]
    following.execute(
        f"CREATE TABLE numbered (id {numbered}, v INT)", ITEM, "INSERT INTO item VALUES (1, 'a'), (2, 'b'), (3, 'c')"
    )
    with following.feed("numbered", "item"):
        change = ["INSERT INTO numbered (v) VALUES (1), (2)", "UPDATE item SET id = id + 10", f"SELECT {last}"]
        told = following.execute(*change)
        again = following.execute("UPDATE item SET id = id + 10", "DELETE FROM item WHERE id = 21", *change)
    assert (told, again) == (([(1,)], [(3,)]) if following.engine == "mysql" else ([(2,)], [(4,)]))


def test_a_cut_goes_between_rows_of_a_transaction_however_small_the_batch(following: Following) -> None:
    following.execute(ITEM)
    with following.feed("item") as (feed, position):
        following.execute(f"INSERT INTO item VALUES {', '.join(f'({number}, NULL)' for number in range(40))}")
        following.execute("INSERT INTO item VALUES (100, 'a')")
        told = drained(feed, position, 1)
        assert told.keys == {"item": {*((number,) for number in range(40)), (100,)}}
        assert len(told.batches) > 15


def test_what_is_published_of_all_tables_does_not_keep_a_log_from_being_read(postgres: Following) -> None:
    postgres.execute(ITEM, "CREATE PUBLICATION everything FOR ALL TABLES")
    with postgres.feed("item") as (feed, position):
        postgres.execute("INSERT INTO item VALUES (1)")
        told = drained(feed, position)
        assert told.keys == {"item": {(1,)}}


def test_mariadb_tells_that_tables_of_any_name_were_emptied(mariadb: Following) -> None:
    names = ["tüb-le x", "日本", "ta$ble", "tab'le"]
    mariadb.execute(
        *(f'CREATE TABLE "{name}" (id INT PRIMARY KEY)' for name in names),
        "CREATE TABLE parted (id INT PRIMARY KEY) PARTITION BY RANGE (id)"
        " (PARTITION a VALUES LESS THAN (10), PARTITION b VALUES LESS THAN (20))",
    )
    with mariadb.feed(*names, "parted") as (feed, position):
        mariadb.execute(*(f'INSERT INTO "{name}" VALUES (1)' for name in names))
        told = drained(feed, position)
        assert (set(told.keys), told.whole) == (set(names), {})
        mariadb.execute(*(f'TRUNCATE TABLE "{name}"' for name in names), "ALTER TABLE parted TRUNCATE PARTITION b")
        assert drained(feed, told.position).whole == dict.fromkeys((*names, "parted"), "truncated")


def test_names_are_what_they_are(following: Following) -> None:
    table, column, other = "we\"i%r'd; Ünï", 'K "e%y', "new"
    spelled, key, value = (f'"{each.replace(chr(34), 2 * chr(34))}"' for each in (table, column, other))
    following.execute(
        f"CREATE TABLE {spelled} ({key} INT PRIMARY KEY, {value} VARCHAR(9) UNIQUE, seq INT, at INT, xid INT)"
    )
    with following.feed(following.watch(table, column, other, "seq", "at")) as (feed, position):
        following.execute(f"INSERT INTO {spelled} VALUES (1, 'a', 2, 3, 4)", f"UPDATE {spelled} SET {key} = 5, at = 6")
        assert drained(feed, position).keys == {table: {(1, "a", 2, 3), (5, "a", 2, 6)}}


def test_an_owner_of_tables_without_other_rights_makes_triggers_and_follows(postgres: Following) -> None:
    role = f"owner_{urlsplit(postgres.database.url).path[1:]}"
    postgres.execute(f"CREATE ROLE {role} LOGIN", f"CREATE SCHEMA AUTHORIZATION {role}")
    url = postgres.database.url.replace("postgres:", f"{role}:", 1)
    owned = Following(Database("postgresql", url), "trigger", with_triggers)
    try:
        owned.execute(ITEM)
        with owned.feed("item") as (feed, position):
            owned.execute("INSERT INTO item VALUES (1, 'a')")
            postgres.execute(f"INSERT INTO {role}.item VALUES (2, 'b')")
            assert drained(feed, position).keys == {"item": {(1,), (2,)}}
    finally:
        postgres.execute(f"DROP OWNED BY {role} CASCADE", f"DROP ROLE {role}")
