"""`syncline follow`: the triggers by which `sync` follows are shown, made, looked at and taken away."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from command_line import answer, syncline
from scenario import Engine, Scenario

TABLES: dict[str, Any] = {
    "customer": {"from": "kunde", "key": ["id"], "columns": {"id": "id", "name": "name"}},
    "orders": {"from": "bestellung", "key": ["nr"], "columns": {"nr": "nr", "total": "total"}},
}
MADE = (
    "CREATE TABLE kunde (id int PRIMARY KEY, name varchar(20))",
    "CREATE TABLE bestellung (nr int PRIMARY KEY, total int, kunde int)",
    "INSERT INTO kunde VALUES (1, 'Ann'), (2, 'Bob')",
    "INSERT INTO bestellung VALUES (10, 5, 1)",
)


@pytest.fixture(params=["sqlite", "postgresql", "mysql"])
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    return of_engine(request.param, request, tmp_path)


def of_engine(engine: Engine, request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    made = Scenario.make(tmp_path, (engine, "sqlite"), request)
    made.source.execute(*MADE)
    made.target.execute(
        "CREATE TABLE customer (id int PRIMARY KEY, name varchar(20))",
        "CREATE TABLE orders (nr int PRIMARY KEY, total int)",
    )
    made.write(TABLES, follow={"capture": "trigger", "every": "50ms"})
    return made


def test_triggers_are_made_followed_by_and_taken_away(shop: Scenario) -> None:
    told = syncline("sync", shop.path, "--once", status=1)
    assert "syncline follow install" in told.output
    found = answer("follow", "status", shop.path)
    assert [(t["table"].split(".")[-1], t["columns"], t["installed"]) for t in found["sides"][0]["tables"]] == [
        ("bestellung", ["nr"], False), ("kunde", ["id"], False),
    ]  # fmt: skip
    assert {each["way"] for each in found["ways"]} >= {"trigger", "poll"}
    shown = syncline("follow", "install", shop.path).output
    assert "CREATE TRIGGER" in shown and "On the source" in shown and shown.index("CREATE TABLE") < shown.index(" run.")
    assert "All triggers are there." in syncline("follow", "install", shop.path).output
    syncline("sync", shop.path, "--once")
    shop.source.execute(
        "INSERT INTO kunde VALUES (3, 'Cy')", "UPDATE kunde SET id = 20, name = 'Bo' WHERE id = 2",
        "DELETE FROM bestellung WHERE nr = 10",
    )  # fmt: skip
    syncline("sync", shop.path, "--once")
    assert shop.target.content() == {"customer": [(1, "Ann"), (20, "Bo"), (3, "Cy")], "orders": []}
    shop.settled()
    status = syncline("follow", "status", shop.path).output
    assert "installed" in status and "missing" not in status and "bytes" in status
    checked = answer("check", shop.path, "--schema-only")["follow"]
    assert [each["way"] for each in checked if each["taken"]] == ["trigger"]
    assert "as the spec says" in syncline("check", shop.path, "--schema-only").output

    shop.write({"customer": TABLES["customer"]}, follow={"capture": "poll"})
    gone = answer("follow", "uninstall", shop.path)["sides"][0]["statements"]
    assert sum("bestellung" in each or "DROP TABLE" in each for each in gone) >= 2, (
        "of tables that went from the spec, too"
    )
    assert "nothing to take away" in syncline("follow", "uninstall", shop.path).output
    shop.source.execute("INSERT INTO kunde VALUES (4, 'Di')")


def test_triggers_that_were_dropped_make_it_compare_in_full(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    shop = of_engine("sqlite", request, tmp_path)
    syncline("follow", "install", shop.path)
    syncline("sync", shop.path, "--once")
    ((name,),) = shop.source.ask("SELECT name FROM sqlite_schema WHERE type = 'trigger' AND tbl_name = 'kunde' LIMIT 1")
    shop.source.execute(f'DROP TRIGGER "{name}"', "INSERT INTO kunde VALUES (5, 'Eve')")
    told = syncline("sync", shop.path, "--once", status=1)
    assert "syncline follow install" in told.output, "it can be followed no more, and that is said"
    syncline("follow", "install", shop.path)
    told = syncline("sync", shop.path, "--once")
    assert "compared in full" in told.output
    assert (5, "Eve") in shop.target.rows("customer")
    shop.settled()


def test_both_sides_of_a_table_that_goes_both_ways_are_followed(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    shop = of_engine("postgresql", request, tmp_path)
    shop.write({"customer": TABLES["customer"]}, direction="two_way", initial="source", follow={"capture": "trigger"})
    installed = answer("follow", "install", shop.path)["sides"]
    assert [each["side"] for each in installed] == ["source", "target"]
    syncline("sync", shop.path, "--once")
    shop.source.execute("UPDATE kunde SET name = 'Anna' WHERE id = 1")
    shop.target.execute("INSERT INTO customer VALUES (7, 'Gil')", "DELETE FROM customer WHERE id = 2")
    syncline("sync", shop.path, "--once")
    wanted = [(1, "Anna"), (7, "Gil")]
    assert (shop.source.rows("kunde"), shop.target.rows("customer")) == (wanted, wanted)
    last = syncline("sync", shop.path, "--once").output
    syncline("sync", shop.path, "--once")
    assert shop.source.rows("kunde") == wanted, last
    gone = answer("follow", "uninstall", shop.path, "--side", "target")["sides"]
    assert [each["side"] for each in gone] == ["target"]
    shop.settled()


def test_what_a_database_keeps_of_its_log_is_told_and_taken_away(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    shop = of_engine("postgresql", request, tmp_path)
    shop.write(TABLES, follow={"capture": "log"})
    syncline("sync", shop.path, "--once")
    shop.source.execute("INSERT INTO kunde VALUES (3, 'Cy')", "SET synchronous_commit = on", "DELETE FROM bestellung")
    syncline("sync", shop.path, "--once")
    assert shop.target.content() == {"customer": [(1, "Ann"), (2, "Bob"), (3, "Cy")], "orders": []}
    (side,) = answer("follow", "status", shop.path)["sides"]
    assert (side["capture"], side["kept_bytes"] > 0) == ("log", True)
    (taken,) = [each for each in answer("check", shop.path, "--schema-only")["follow"] if each["taken"]]
    assert taken["kept_bytes"] > 0
    assert "bytes of its log" in syncline("check", shop.path, "--schema-only").output
    told = syncline("follow", "uninstall", shop.path).output
    assert "pg_drop_replication_slot" in told and "DROP PUBLICATION" in told
    assert shop.source.ask("SELECT count(*) FROM pg_replication_slots WHERE database = current_database()") == [(0,)]
    assert "nothing to take away" in syncline("follow", "uninstall", shop.path).output
    shop.source.execute("INSERT INTO kunde VALUES (4, 'Di')")
    assert "compared in full" in syncline("sync", shop.path, "--once").output
    assert (4, "Di") in shop.target.rows("customer")
    syncline("follow", "uninstall", shop.path)


def test_a_spec_that_follows_by_no_trigger_says_what_to_write(request: pytest.FixtureRequest, tmp_path: Path) -> None:
    shop = of_engine("sqlite", request, tmp_path)
    shop.write(TABLES)
    told = syncline("follow", "install", shop.path, status=1).output
    assert "capture: trigger" in told
    assert len(answer("follow", "install", shop.path, "--side", "source")["sides"]) == 1
    assert "followed" not in syncline("check", shop.path, "--schema-only").output
