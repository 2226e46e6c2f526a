"""`sync` on a bad night: zero dates, keys that are none, a log that is gone, rights that are missing, a second one that follows."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pytest
from breakable import Mariadb
from command_line import answer, syncline
from scenario import Scenario, Side, quarantine
from syncing import followed, install

from flows.follow.following import Asked, Told
from flows.follow.lag import Brought
from flows.follow.sync import sync
from flows.history.version_list import listed
from flows.session.stores import ledger_of
from transforms.vocabulary import BusyError, SynclineError

ALL = {"*": "*"}


class Heard(Told):
    def __init__(self) -> None:
        self.batches: list[Brought] = []
        self.notices: list[str] = []

    def brought(self, brought: Brought) -> None:
        self.batches.append(brought)

    def notice(self, text: str) -> None:
        self.notices.append(text)


def heard(shop: Scenario) -> Heard:
    told = Heard()
    outcome, _ = sync(Asked(shop.path, once=True), told)
    assert outcome is None
    return told


@pytest.mark.parametrize("way", ["log", "trigger"])
def test_zero_dates_and_emoji_and_tables_without_rows(way: str, tmp_path: Path, request: pytest.FixtureRequest) -> None:
    shop = Scenario.make(tmp_path, ("mysql", "postgresql"), request)
    shop.source.execute(
        "CREATE TABLE item (name varchar(40) COLLATE utf8mb4_bin PRIMARY KEY, day date)",
        "CREATE TABLE kept (day date PRIMARY KEY, n int)",
        "CREATE TABLE none (id int PRIMARY KEY)",
        "INSERT INTO kept VALUES ('2020-01-01', 1)",
    )
    shop.target.execute(
        "CREATE TABLE item (name varchar(40) PRIMARY KEY, day date)",
        "CREATE TABLE kept (day date PRIMARY KEY, n int)",
        "CREATE TABLE none (id int PRIMARY KEY)",
    )
    tables = {name: {"from": name, "columns": ALL} for name in ("item", "kept", "none")}
    shop.write(tables, follow={"capture": way, "every": "10ms"})
    if way == "trigger":
        install(shop)
    followed(shop)
    shop.source.execute(
        "SET sql_mode = ''",
        "INSERT INTO item VALUES ('👩‍👩‍👧‍👦', '2020-01-01'), ('👍🏽', '0000-00-00'), ('é', '2020-01-00')",
        "REPLACE INTO kept VALUES ('0000-00-00', 2)",
        "UPDATE kept SET n = n + 1",
        "INSERT INTO none VALUES (1)",
        "DELETE FROM none",
    )
    followed(shop)
    aside = quarantine(shop)
    assert [(table, key) for table, key, _ in aside] == [("item", ["é"]), ("item", ["👍🏽"]), ("kept", [None])]
    assert [row[0] for row in shop.target.rows("item")] == ["👩‍👩‍👧‍👦"]
    assert [row[1] for row in shop.target.rows("kept")] == [2]
    shop.source.execute("UPDATE item SET day = '2021-01-01', name = '🇦🇹' WHERE name = '👍🏽'")
    followed(shop)
    assert [row[0] for row in shop.target.rows("item")] == ["🇦🇹", "👩‍👩‍👧‍👦"]
    before = shop.target.content()
    shop.run(full=True)
    assert shop.target.content() == before
    assert len(quarantine(shop)) == 2


def test_keys_of_which_none_can_be_made_are_counted_and_their_rows_leave(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = Scenario.make(tmp_path, ("sqlite", "sqlite"), request)
    shop.source.execute(
        "CREATE TABLE a (id int PRIMARY KEY, code text, n int)", "INSERT INTO a VALUES (1, '1', 1), (2, '2', 2)"
    )
    shop.target.execute("CREATE TABLE b (code int PRIMARY KEY, n int)")
    columns = {"code": {"from": "code", "cast": "int"}, "n": "n"}
    shop.write(
        {"b": {"from": "a", "key": ["code"], "columns": columns}}, follow={"capture": "trigger", "every": "10ms"}
    )
    install(shop)
    followed(shop)
    shop.source.execute(
        "INSERT INTO a VALUES (3, NULL, 3), (4, 'x', 4), (5, '5', 5)", "UPDATE a SET code = 'bad' WHERE id = 2"
    )
    (batch,) = heard(shop).batches
    assert (batch.unmapped, batch.as_dict()["unmapped"]) == (3, 3)
    assert shop.target.rows("b") == [(1, 1), (5, 5)]
    shop.source.execute("UPDATE a SET code = '7' WHERE id = 4", "UPDATE a SET code = '2' WHERE id = 2")
    done = syncline("sync", shop.path, "--once")
    assert "2 without a key" in done.stdout, "which were so before"
    before = shop.target.rows("b")
    shop.run(full=True)
    assert shop.target.rows("b") == before == [(1, 1), (2, 2), (5, 5), (7, 4)]


def purge(side: Side) -> None:
    """Throw away all but the newest log; a server keeps one as long as somebody who has gone still counts as its reader."""
    side.execute("FLUSH BINARY LOGS")
    (last, *_) = side.ask("SHOW MASTER STATUS")[0]
    until = time.monotonic() + 10
    while len(side.ask("SHOW BINARY LOGS")) > 1:
        assert time.monotonic() < until
        side.execute(f"PURGE BINARY LOGS TO '{last}'")
        time.sleep(0.05)


def test_a_log_that_was_purged_while_nobody_followed_is_made_good_by_a_comparison(
    tmp_path: Path, mariadb_to_break: Mariadb, request: pytest.FixtureRequest
) -> None:
    target = Side("sqlite", str(tmp_path / "core.db"))
    shop = Scenario(tmp_path, mariadb_to_break.side("purged"), target)
    shop.source.execute("CREATE TABLE a (id int PRIMARY KEY, n int)", "INSERT INTO a VALUES (1, 1), (2, 2)")
    target.execute("CREATE TABLE b (id int PRIMARY KEY, n int)")
    shop.write({"b": {"from": "a", "columns": ALL}}, follow={"capture": "log", "every": "10ms"})
    followed(shop)
    shop.source.execute("DELETE FROM a WHERE id = 1", "INSERT INTO a VALUES (3, 3)")
    purge(shop.source)
    told = heard(shop)
    assert any("compared in full" in text for text in told.notices), told.notices
    assert target.rows("b") == [(2, 2), (3, 3)]
    shop.source.execute("DELETE FROM a WHERE id = 2")
    followed(shop)
    assert target.rows("b") == [(3, 3)], "and it goes on by the log"
    shop.write({"b": {"from": "a", "columns": ALL}}, follow={"capture": "log", "lost": "stop"})
    followed(shop)
    shop.source.execute("DELETE FROM a")
    purge(shop.source)
    with pytest.raises(SynclineError) as stopped:
        heard(shop)
    assert stopped.value.code == "feed_lost"


def user_without_rights(side: Side) -> dict[str, Any]:
    """An endpoint of a user who may read the tables, and nothing else."""
    parsed = urlsplit(side.url)
    if side.engine == "mysql":
        side.execute(
            "CREATE USER IF NOT EXISTS reader IDENTIFIED BY 'pw'", f"GRANT SELECT ON {parsed.path[1:]}.* TO reader"
        )
        return {"url": f"mysql://reader:pw@127.0.0.1:{parsed.port}{parsed.path}"}
    with psycopg.connect(side.url, autocommit=True) as connection:
        connection.execute("DROP ROLE IF EXISTS reader_only")
        connection.execute("CREATE ROLE reader_only LOGIN")
        connection.execute(f"GRANT USAGE ON SCHEMA {side.schema} TO reader_only".encode())
        connection.execute(f"GRANT SELECT ON ALL TABLES IN SCHEMA {side.schema} TO reader_only".encode())
    return {**side.endpoint, "url": side.url.replace("//postgres:", "//reader_only:", 1)}


@pytest.mark.parametrize("engine", ["postgresql", "mysql"])
def test_who_may_not_read_the_log_is_told_what_to_grant(
    engine: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = Scenario.make(tmp_path, (engine, "sqlite"), request)
    shop.source.execute("CREATE TABLE a (id int PRIMARY KEY, n int)", "INSERT INTO a VALUES (1, 1)")
    shop.target.execute("CREATE TABLE b (id int PRIMARY KEY, n int)")
    reader = user_without_rights(shop.source)
    for way in ("log", "trigger"):
        shop.write({"b": {"from": "a", "columns": ALL}}, source=reader, follow={"capture": way})
        with pytest.raises(SynclineError) as refused:
            heard(shop)
        assert refused.value.fix or refused.value.problems[0].fix
        assert "Traceback" not in str(refused.value)
        assert not shop.target.rows("b"), "nothing is loaded where it cannot be followed"


def test_a_ledger_on_a_server_keys_alone_as_history_and_two_at_once(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = Scenario.make(tmp_path, ("sqlite", "sqlite"), request)
    shop.source.execute("CREATE TABLE a (id int PRIMARY KEY, n int)", "INSERT INTO a VALUES (1, 1)")
    shop.target.execute("CREATE TABLE b (id int PRIMARY KEY, n int)")
    name = f"night{os.getpid()}"
    shop.write(
        {"b": {"from": "a", "columns": ALL}},
        name=name,
        state={"url": request.getfixturevalue("postgres_url"), "store": "store"},
        defaults={"history": "keys"},
        follow={"capture": "trigger", "every": "10ms", "versions": {"every": "1h"}},
    )
    install(shop)
    followed(shop)

    class Twice(Told):
        left = 2

        def brought(self, brought: Brought) -> None:
            if self.left:
                self.left -= 1
                shop.source.execute(
                    f"INSERT INTO a VALUES ({10 + self.left}, 1)", "UPDATE a SET n = n + 1 WHERE id = 1"
                )

    shop.source.execute("UPDATE a SET n = 5 WHERE id = 1")
    sync(Asked(shop.path, once=True), Twice())
    assert [line.get("versions") for line in listed(shop.spec)] == [[2, 3, 4], None]
    told = answer("show", shop.path, 3)["changes"]
    assert {each["key"] for each in told} == {"[1]", "[10]", "[11]"}
    with pytest.raises(SynclineError, match="only keys are kept"):
        shop.undo(3)
    with (
        ledger_of(shop.spec) as ledger,
        ledger.lease(f"{name}~follows", "target", "sync"),
        pytest.raises(BusyError) as busy,
    ):
        heard(shop)
    assert "~" not in str(busy.value)
