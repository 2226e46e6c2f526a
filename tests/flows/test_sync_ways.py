"""`sync` by every way of every engine: what is edited in a round, deletes, keys that change and all, is on the other side after it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenario import Engine, Scenario
from syncing import followed, install

from flows.follow.following import Asked, Told
from flows.follow.sync import sync

WAYS: list[tuple[Engine, str, Engine]] = [
    ("postgresql", "log", "mysql"),
    ("mysql", "log", "postgresql"),
    ("postgresql", "trigger", "duckdb"),
    ("mysql", "trigger", "sqlite"),
    ("sqlite", "trigger", "postgresql"),
]
TABLES: dict[str, Any] = {
    "customer": {"from": "kunde", "key": ["email"], "columns": {"email": "mail", "fullname": "name"}},
    "orders": {
        "from": "bestellung",
        "key": ["nr"],
        "columns": {"nr": "nr", "email": {"lookup": {"side": "source", "table": "kunde", "match": {"id": "kunde"}, "take": "mail"}},
                    "total": "total"},
    },
}  # fmt: skip
ROUNDS = [
    [
        "INSERT INTO kunde VALUES (3, 'c@x.at', 'Çelik 🎉', 1)",
        "INSERT INTO bestellung VALUES (12, 3, 7), (13, 1, 8)",
        "UPDATE bestellung SET total = 66 WHERE nr = 11",
    ],
    ["UPDATE kunde SET mail = 'anna@x.at' WHERE id = 1", "UPDATE bestellung SET nr = 99 WHERE nr = 12"],
    [
        "DELETE FROM bestellung WHERE kunde = 2",
        "DELETE FROM kunde WHERE id = 2",
        "UPDATE kunde SET shown = 0 WHERE id = 3",
    ],
    ["DELETE FROM bestellung", "INSERT INTO bestellung VALUES (10, 3, 1)", "UPDATE kunde SET shown = 1 WHERE id = 3"],
]


def made(pair: tuple[Engine, Engine], tmp_path: Path, request: pytest.FixtureRequest) -> Scenario:
    shop = Scenario.make(tmp_path, pair, request)
    shop.source.execute(
        "CREATE TABLE kunde (id int PRIMARY KEY, mail varchar(40) NOT NULL, name varchar(40), shown int)",
        "CREATE TABLE bestellung (nr int PRIMARY KEY, kunde int, total int)",
        "INSERT INTO kunde VALUES (1, 'a@x.at', 'Ann', 1), (2, 'b@x.at', 'Bob', 1)",
        "INSERT INTO bestellung VALUES (10, 1, 5), (11, 2, 6)",
    )
    if shop.source.engine == "postgresql":
        shop.source.execute("ALTER TABLE kunde REPLICA IDENTITY FULL")  # rows are told by mail, too
    shop.target.execute(
        "CREATE TABLE customer (email varchar(40) PRIMARY KEY, fullname varchar(40))",
        "CREATE TABLE orders (nr int PRIMARY KEY, email varchar(40), total int)",
    )
    return shop


@pytest.mark.parametrize(("source", "way", "target"), WAYS, ids=lambda each: str(each))
def test_rounds_of_edits_are_followed(
    source: Engine, way: str, target: Engine, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = made((source, target), tmp_path, request)
    customer = {**TABLES["customer"], "where": "shown > 0"}
    shop.write({**TABLES, "customer": customer}, follow={"capture": way, "every": "10ms"})
    if way == "trigger":
        install(shop)
    followed(shop)
    for edits in ROUNDS:
        shop.source.execute(*edits)
        followed(shop)
        shop.settled()
    assert ("anna@x.at", "Ann") in shop.target.rows("customer")


@pytest.mark.parametrize(
    ("pair", "ways"),
    [
        (("postgresql", "mysql"), {"source": "log", "target": "trigger"}),
        (("sqlite", "postgresql"), {"source": "trigger", "target": "log"}),
    ],
    ids=["postgresql-mysql", "sqlite-postgresql"],
)
def test_edits_of_both_sides_are_followed_without_an_echo(
    pair: tuple[Engine, Engine], ways: dict[str, str], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    both = Scenario.make(tmp_path, pair, request)
    both.source.execute(
        "CREATE TABLE person (id int PRIMARY KEY, name varchar(20), age int)",
        "INSERT INTO person VALUES (1, 'Ann', 1), (2, 'Bob', 2), (3, 'Cy', 3)",
    )
    both.target.execute("CREATE TABLE people (id int PRIMARY KEY, full_name varchar(20), age int)")
    both.write(
        {"people": {"from": "person", "key": ["id"], "columns": {"id": "id", "full_name": "name", "age": "age"}}},
        direction="two_way", initial="policy", follow={"capture": ways, "every": "10ms"},
    )  # fmt: skip
    install(both)
    followed(both)

    both.source.execute("UPDATE person SET name = 'ANN' WHERE id = 1", "DELETE FROM person WHERE id = 2")
    both.target.execute("UPDATE people SET age = 11 WHERE id = 1", "INSERT INTO people VALUES (9, 'New', 9)")
    outcome, totals = sync(Asked(both.path, once=True), Told())
    assert outcome is None
    wanted = [(1, "ANN", 11), (3, "Cy", 3), (9, "New", 9)]
    assert (both.source.rows("person"), both.target.rows("people")) == (wanted, wanted)
    assert totals.rows == 4, "each edit is written across once, and what was written is not written back"
    both.settled()


def test_a_side_that_has_no_schema_left_to_follow_says_so(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    shop = made(("sqlite", "sqlite"), tmp_path, request)
    shop.write(TABLES, follow={"capture": "trigger"})
    with pytest.raises(Exception, match="syncline follow install") as error:
        followed(shop)
    assert getattr(error.value, "fix", ""), error.value
