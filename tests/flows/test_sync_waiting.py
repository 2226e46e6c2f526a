"""`sync`: rows that others keep from being where they belong are looked at again once those let them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest
from scenario import Engine, Scenario, quarantine
from syncing import followed, install

from flows.follow.following import Asked, Told
from flows.follow.sync import sync
from transforms.vocabulary import PlanError

COPY = {"id": "id", "name": "name"}
PARENTS = {
    "parent": {"from": "a", "key": ["id"], "columns": COPY},
    "child": {"from": "c", "key": ["nr"], "columns": {"nr": "nr", "parent": "a", "v": "v"}},
}
CODED: dict[str, Any] = {
    "from": "a",
    "key": ["code"],
    "columns": {"id": {"generate": "identity"}, "code": "code", "name": "name"},
}


def of_parent(by: str) -> dict[str, Any]:
    return {"lookup": {"table": "parent", "match": {"code": by}, "take": "id"}}


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    return Scenario.make(tmp_path, ("sqlite", "sqlite"), request)


def follow(shop: Scenario, tables: dict[str, Any], rounds: Sequence[Sequence[str]]) -> None:
    """After each round of edits a run of all finds nothing to do, and nothing else to set aside."""
    shop.write(tables, follow={"capture": "trigger", "every": "10ms"})
    install(shop)
    followed(shop)
    for edits in rounds:
        shop.source.execute(*edits)
        followed(shop)
        left, aside = shop.target.content(), [(table, key) for table, key, _ in quarantine(shop)]
        shop.run(full=True)
        assert shop.target.content() == left, edits
        assert [(table, key) for table, key, _ in quarantine(shop)] == aside, edits


def test_a_row_that_others_referred_to_goes_once_they_let_go(shop: Scenario) -> None:
    shop.source.execute(
        "CREATE TABLE a (id int PRIMARY KEY, name text)",
        "CREATE TABLE c (nr int PRIMARY KEY, a int, v int)",
        "INSERT INTO a VALUES (1, 'a'), (2, 'b')",
        "INSERT INTO c VALUES (1, 1, 1), (2, 3, 1)",
    )
    shop.target.execute(
        "CREATE TABLE parent (id int PRIMARY KEY, name text NOT NULL CHECK (name <> 'bad'))",
        "CREATE TABLE child (nr int PRIMARY KEY, parent int REFERENCES parent (id), v int CHECK (v < 10))",
    )
    follow(
        shop,
        PARENTS,
        [
            ["INSERT INTO c VALUES (5, 5, 5)"],
            ["INSERT INTO a VALUES (5, 'five'), (3, NULL)"],
            ["UPDATE a SET name = 'good' WHERE id = 3", "UPDATE c SET v = 100 WHERE nr = 5"],
            ["DELETE FROM a WHERE id = 5"],
            ["UPDATE c SET v = 1, a = 1"],
            ["UPDATE a SET id = id + 100"],
            ["DELETE FROM c", "DELETE FROM a"],
        ],
    )
    assert not shop.target.rows("parent")


def test_a_row_that_rows_of_its_own_table_looked_up_goes_once_they_let_go(shop: Scenario) -> None:
    shop.source.execute(
        "CREATE TABLE a (code text PRIMARY KEY, name text, boss text)",
        "INSERT INTO a VALUES ('x', 'X', NULL), ('y', 'Y', 'x'), ('z', 'Z', 'w')",
    )
    shop.target.execute(
        "CREATE TABLE parent (id integer PRIMARY KEY, code text NOT NULL UNIQUE, name text, boss int REFERENCES parent (id))"
    )
    follow(
        shop,
        {"parent": {**CODED, "columns": {**CODED["columns"], "boss": of_parent("boss")}}},
        [
            ["INSERT INTO a VALUES ('w', 'in a circle', 'z')"],
            ["DELETE FROM a WHERE code = 'x'"],
            ["INSERT INTO a VALUES ('x', 'again', 'y')"],
            ["UPDATE a SET code = 'xx' WHERE code = 'x'"],
            ["UPDATE a SET boss = NULL"],
        ],
    )
    assert [code for _, code, *_ in shop.target.rows("parent")] == ["y", "w", "z", "xx"]


def test_rows_come_and_go_by_keys_of_which_a_part_is_looked_up(shop: Scenario) -> None:
    shop.source.execute(
        "CREATE TABLE a (code text PRIMARY KEY, name text)",
        "CREATE TABLE c (no int PRIMARY KEY, a text, nr int, v int)",
        "INSERT INTO a VALUES ('x', 'X'), ('y', 'Y')",
        "INSERT INTO c VALUES (1, 'x', 1, 1), (2, 'w', 2, 1), (3, 'y', 3, 3)",
    )
    shop.target.execute(
        "CREATE TABLE parent (id integer PRIMARY KEY, code text NOT NULL UNIQUE, name text)",
        "CREATE TABLE child (parent int NOT NULL REFERENCES parent (id), nr int, v int, PRIMARY KEY (parent, nr))",
    )
    columns = {"parent": of_parent("a"), "nr": {"expr": "nr * 10"}, "v": "v"}
    follow(
        shop,
        {"parent": CODED, "child": {"from": "c", "key": ["parent", "nr"], "columns": columns}},
        [
            ["INSERT INTO a VALUES ('w', 'W')"],
            ["DELETE FROM c WHERE nr = 1"],
            ["UPDATE c SET a = 'x' WHERE nr = 3", "UPDATE c SET nr = 7 WHERE nr = 2"],
            ["UPDATE a SET code = 'xx' WHERE code = 'x'"],
            ["UPDATE c SET a = 'xx'"],
            ["DELETE FROM a"],
            ["INSERT INTO a VALUES ('xx', 'again')", "DELETE FROM c WHERE nr = 7"],
        ],
    )
    assert [row[1:] for row in shop.target.rows("child")] == [(30, 3)]


def test_rows_come_and_go_by_keys_that_are_looked_up_by_what_is_looked_up(shop: Scenario) -> None:
    shop.source.execute(
        "CREATE TABLE a (code text PRIMARY KEY, name text)",
        "CREATE TABLE town (no int PRIMARY KEY, a text, name text)",
        "CREATE TABLE c (no int PRIMARY KEY, a text, town text, v int)",
        "INSERT INTO a VALUES ('x', 'X'), ('y', 'Y')",
        "INSERT INTO town VALUES (1, 'x', 'Ham'), (2, 'y', 'Ham')",
        "INSERT INTO c VALUES (1, 'x', 'Ham', 1), (2, 'y', 'Ham', 2)",
    )
    shop.target.execute(
        "CREATE TABLE parent (id integer PRIMARY KEY, code text NOT NULL UNIQUE, name text)",
        "CREATE TABLE town (id integer PRIMARY KEY, no int NOT NULL UNIQUE, parent int REFERENCES parent (id), name text)",
        "CREATE TABLE child (town int PRIMARY KEY REFERENCES town (id), parent int, v int)",
    )
    columns = {"id": {"generate": "identity"}, "no": "no", "name": "name", "parent": of_parent("a")}
    town = {"lookup": {"table": "town", "match": {"name": "town", "parent": "parent"}, "take": "id"}}
    follow(
        shop,
        {
            "parent": CODED,
            "town": {"from": "town", "key": ["no"], "columns": columns},
            "child": {"from": "c", "key": ["town"], "columns": {"town": town, "parent": of_parent("a"), "v": "v"}},
        },
        [
            ["UPDATE c SET v = 9 WHERE no = 2"],
            ["DELETE FROM c WHERE no = 1"],
            ["UPDATE c SET a = 'x'"],
            ["DELETE FROM c"],
        ],
    )


@pytest.mark.parametrize("pair", [("sqlite", "sqlite"), ("postgresql", "mysql")], ids=str)
def test_more_deletes_than_a_run_may_make_stop_it_in_however_many_batches_they_come(
    pair: tuple[Engine, Engine], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = Scenario.make(tmp_path, pair, request)
    rows = ", ".join(f"({number}, {number})" for number in range(200))
    shop.source.execute("CREATE TABLE a (id int PRIMARY KEY, name int)", f"INSERT INTO a VALUES {rows}")
    shop.target.execute("CREATE TABLE parent (id int PRIMARY KEY, name int)")
    limit = {"delete": {"max_ratio": 0.2, "at_least": 10}}
    shop.write({"parent": PARENTS["parent"]}, defaults=limit, follow={"capture": "trigger", "every": "10ms", "most": 8})
    install(shop)
    followed(shop)
    for start in (0, 38):  # each fifth row of the table may go at once, and again once feeds are at their end
        shop.source.execute(f"DELETE FROM a WHERE id BETWEEN {start} AND {start + 30}")
        followed(shop)
    assert shop.target.count("parent") == 138
    shop.source.execute("UPDATE a SET name = 7 WHERE id = 199", "DELETE FROM a WHERE id < 150")
    for _ in range(2):
        with pytest.raises(PlanError, match="max_ratio") as stopped:
            followed(shop)
        assert "--allow-deletes" in stopped.value.fix
        assert 100 < shop.target.count("parent") <= 138, "it stops again, and not one batch later each time"
    outcome, _ = sync(Asked(shop.path, once=True, allow_deletes=True), Told())
    assert outcome is None
    assert shop.target.rows("parent") == shop.source.rows("a")
    shop.settled()
    if shop.source.engine == "postgresql":
        shop.source.execute("TRUNCATE a")
        with pytest.raises(PlanError, match="max_ratio"):
            followed(shop)
        assert shop.target.count("parent") == 50
        assert sync(Asked(shop.path, once=True, allow_deletes=True), Told())[0] is None
        assert shop.target.count("parent") == 0


@pytest.mark.parametrize("emptied", ["source", "target"])
def test_so_it_is_on_each_side_of_tables_that_go_both_ways(
    emptied: str, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = Scenario.make(tmp_path, ("sqlite", "sqlite"), request)
    rows = ", ".join(f"({number}, {number})" for number in range(100))
    shop.source.execute("CREATE TABLE a (id int PRIMARY KEY, name int)", f"INSERT INTO a VALUES {rows}")
    shop.target.execute("CREATE TABLE parent (id int PRIMARY KEY, name int)")
    limit = {"delete": {"max_ratio": 0.2, "at_least": 10}}
    shop.write(
        {"parent": PARENTS["parent"]}, defaults=limit, direction="two_way", initial="policy",
        follow={"capture": "trigger", "every": "10ms", "most": 8},
    )  # fmt: skip
    install(shop)
    followed(shop)
    table, other = ("a", shop.target) if emptied == "source" else ("parent", shop.source)
    getattr(shop, emptied).execute(f"DELETE FROM {table} WHERE id < 60")
    for _ in range(2):
        with pytest.raises(PlanError, match="max_ratio"):
            followed(shop)
        assert 75 < other.count("parent" if emptied == "source" else "a") <= 100
    assert sync(Asked(shop.path, once=True, allow_deletes=True), Told())[0] is None
    assert shop.target.rows("parent") == shop.source.rows("a")
    assert shop.target.count("parent") == 40
