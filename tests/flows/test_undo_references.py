"""Undo and foreign keys: what would break one is refused before a row is written; what some order allows is done in that order."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenario import RING, Scenario, counts, pair_name

from flows import commands
from flows.commands import Status
from flows.history.version_list import listed
from transforms.vocabulary import PlanError

ACTIONS = ("NO ACTION", "CASCADE", "SET NULL")
everywhere = pytest.mark.parametrize("shop", RING, indirect=True, ids=pair_name)
circles = pytest.mark.parametrize(  # DuckDB has none
    "shop", [pair for pair in RING if pair[1] != "duckdb"], indirect=True, ids=pair_name
)

DEFAULTS = {"window": 2, "delete": {"max_ratio": 1.0}}


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Parents with children and, in the target alone, notes about parents; a first version is in."""
    made = Scenario.make(tmp_path, getattr(request, "param", RING[0]), request)
    made.source.execute(
        "CREATE TABLE a (id integer PRIMARY KEY, title varchar(20))",
        "CREATE TABLE parent (id integer PRIMARY KEY, title varchar(20))",
        "CREATE TABLE child (id integer PRIMARY KEY, parent integer, title varchar(20))",
        "INSERT INTO a VALUES (1, 'old')",
        "INSERT INTO parent VALUES (1, 'one')",
        "INSERT INTO child VALUES (1, 1, 'c')",
    )
    made.target.execute(
        "CREATE TABLE a (id integer PRIMARY KEY, title varchar(20))",
        "CREATE TABLE parent (id integer PRIMARY KEY, title varchar(20))",
        "CREATE TABLE child (id integer PRIMARY KEY, parent integer, title varchar(20), FOREIGN KEY (parent) REFERENCES parent (id))",
    )
    made.write({name: {"from": name} for name in ("a", "parent", "child")}, defaults=DEFAULTS)
    assert made.run().report.version == 1
    return made


def second_version(shop: Scenario) -> None:
    """A new parent, to which the child moves, and a change beside it."""
    shop.source.execute(
        "INSERT INTO parent VALUES (2, 'two')", "UPDATE child SET parent = 2", "UPDATE a SET title = 'new'"
    )
    assert shop.run().report.version == 2


def refused(shop: Scenario, version: int, why: str, **asked: Any) -> None:
    """An undo that writes nothing, and leaves nothing but what was there."""
    before, versions = shop.target.content(), listed(shop.spec)
    with pytest.raises(PlanError, match=why):
        shop.undo(version, **asked)
    assert shop.target.content() == before
    assert listed(shop.spec) == versions


@everywhere
def test_a_row_that_came_since_keeps_its_parent_and_is_named(shop: Scenario) -> None:
    second_version(shop)
    shop.source.execute("INSERT INTO child VALUES (20, 2, 'late')")
    shop.run()
    refused(
        shop,
        2,
        r"Undoing version 2 would leave 1 rows of \S*child without their \S*parent, such as \[20\]\. Nothing was written\. "
        r"Fix: change those rows first, or undo what came after it as well \(--to 1\)",
    )
    assert shop.undo(1, to=True).status == Status.DONE


@everywhere
def test_a_child_that_somebody_edited_since_keeps_its_parent_and_is_named(shop: Scenario) -> None:
    second_version(shop)
    planned = commands.plan_undo(shop.request("undo"), 2)
    shop.target.execute("UPDATE child SET title = 'by hand'")
    why = r"such as \[1\] \(1 of them changed since, and would stay as they are\)\. Nothing was written\. Fix: take those edits"
    refused(shop, 2, why)
    before = shop.target.content()
    with pytest.raises(PlanError, match=why):
        shop.apply(planned.report.plan)
    assert shop.target.content() == before, "a plan that was made before the edit"
    shop.target.execute("UPDATE child SET title = 'c'")
    assert shop.undo(2).status == Status.DONE
    assert shop.target.rows("child") == [(1, 1, "c")]


@everywhere
def test_a_parent_that_somebody_edited_since_stays_with_its_children(shop: Scenario) -> None:
    second_version(shop)
    shop.target.execute("UPDATE parent SET title = 'by hand' WHERE id = 2")
    shop.target.execute("INSERT INTO child VALUES (9, 2, 'theirs')")
    done = shop.undo(2)
    assert done.status == Status.CONFLICTS
    assert shop.target.rows("parent") == [(1, "one"), (2, "by hand")]
    assert shop.target.rows("child") == [(1, 1, "c"), (9, 2, "theirs")]


@pytest.mark.parametrize(
    ("shop", "action"),
    [(pair, each) for pair in RING for each in ACTIONS if pair[1] != "duckdb" or each == "NO ACTION"],
    indirect=["shop"],
)
def test_rows_of_tables_that_the_spec_does_not_name_are_never_carried_along(shop: Scenario, action: str) -> None:
    second_version(shop)
    shop.target.execute(
        "CREATE TABLE note (id integer PRIMARY KEY, about integer, "
        f"FOREIGN KEY (about) REFERENCES parent (id) ON DELETE {action})",
        "INSERT INTO note VALUES (7, 2), (8, 1)",
    )
    refused(shop, 2, r"would leave 1 rows of \S*note without their \S*parent, such as \[7\]")


@everywhere
def test_references_by_columns_that_the_spec_does_not_map_are_held_too(shop: Scenario) -> None:
    numbered = {
        "sqlite": "integer PRIMARY KEY", "duckdb": "bigint PRIMARY KEY DEFAULT nextval('no')",
        "postgresql": "bigint GENERATED BY DEFAULT AS IDENTITY PRIMARY KEY", "mysql": "bigint AUTO_INCREMENT PRIMARY KEY",
    }[shop.target.engine]  # fmt: skip
    if shop.target.engine == "duckdb":
        shop.target.execute("CREATE SEQUENCE no")
    shop.target.execute(
        f"CREATE TABLE person (no {numbered}, id integer NOT NULL UNIQUE, title varchar(20))",
        "CREATE TABLE letter (id integer PRIMARY KEY, person bigint, FOREIGN KEY (person) REFERENCES person (no))",
    )
    shop.write(
        {"person": {"from": "parent", "key": "id", "columns": {"id": "id", "title": "title"}}}, defaults=DEFAULTS
    )
    shop.run()
    shop.target.execute("INSERT INTO letter SELECT 5, no FROM person")
    refused(shop, 2, r"would leave 1 rows of \S*letter without their \S*person, such as \[5\]")
    shop.target.execute("DELETE FROM letter")
    assert shop.undo(2).status == Status.DONE


@everywhere
def test_a_table_that_refers_to_itself_is_taken_back_and_brought_again(shop: Scenario) -> None:
    """In windows of one row, and of all."""
    trees = {"tree": 1, "whole_tree": 100}
    for name in trees:
        shop.source.execute(f"CREATE TABLE {name} (id integer PRIMARY KEY, above integer)")
        shop.target.execute(
            f"CREATE TABLE {name} (id integer PRIMARY KEY, above integer, FOREIGN KEY (above) REFERENCES {name} (id))"
        )
        shop.source.insert(name, [(4, None), (3, 4), (1, 3), (2, 1)])
    shop.write({name: {"from": name, "window": window} for name, window in trees.items()}, defaults=DEFAULTS)
    assert shop.run().report.version == 2
    first = shop.target.content()
    shop.source.execute(*(f"UPDATE {name} SET above = 3 WHERE id = 2" for name in trees))
    assert shop.run().report.version == 3
    shop.source.execute(*(f"DELETE FROM {name} WHERE id = 1" for name in trees))
    assert shop.run().report.version == 4
    last = shop.target.content()
    assert shop.undo(2, to=True).status == Status.DONE, "1 comes again, and then 2 refers to it"
    assert shop.target.content() == first
    assert shop.undo(2).status == Status.DONE
    assert [shop.target.count(name) for name in trees] == [0, 0]
    assert shop.undo(6).status == Status.DONE
    assert shop.undo(5).status == Status.DONE
    assert shop.target.content() == last


def circle(shop: Scenario) -> None:
    """Two tables that refer to each other, made with their rows."""
    shop.source.execute(
        "CREATE TABLE store (id integer PRIMARY KEY, manager integer)",
        "CREATE TABLE staff (id integer PRIMARY KEY, store integer)",
    )

    def made(column: str, other: str) -> dict[str, Any]:
        return {"foreign_keys": [{"columns": column, "table": other, "refers": "id"}]}

    shop.write(
        {
            "store": {"from": "store", "create": made("manager", "staff")},
            "staff": {"from": "staff", "create": made("store", "store")},
        },
        defaults=DEFAULTS,
    )


@circles
def test_rows_that_need_each_other_are_taken_back_and_brought_again(shop: Scenario) -> None:
    circle(shop)
    shop.source.insert("store", [(1, 1), (2, None)])
    shop.source.insert("staff", [(1, 1), (2, 1)])
    assert shop.run().status == Status.DONE
    full = shop.target.content()
    assert counts(shop.undo(2), "store") == {"delete": 2}
    assert shop.target.count("store") == shop.target.count("staff") == 0
    assert counts(shop.undo(3), "store") == {"source_rows": 2, "insert": 2}
    assert shop.target.content() == full


@circles
@pytest.mark.parametrize("stores_first", [True, False])
def test_a_circle_of_keys_is_no_matter_where_the_rows_have_an_order(shop: Scenario, stores_first: bool) -> None:
    circle(shop)
    assert shop.run().status == Status.DONE, "tables without rows"
    empty = shop.target.content()
    shop.source.insert("store", [(1, None if stores_first else 1)])
    shop.source.insert("staff", [(1, 1 if stores_first else None)])
    for name in ("store", "staff") if stores_first else ("staff", "store"):
        assert shop.run(tables=(name,)).status == Status.DONE
    full = shop.target.content()
    newest = listed(shop.spec)[0]["version"]
    assert shop.undo(newest - 2, to=True).status == Status.DONE
    assert shop.target.content() == empty
    assert shop.undo(newest + 1).status == Status.DONE
    assert shop.target.content() == full


@everywhere
def test_an_undo_of_parents_and_children_goes_in_order_in_both_directions(shop: Scenario) -> None:
    first = shop.target.content()
    second_version(shop)
    second = shop.target.content()
    done = shop.undo(2)
    assert counts(done, "child") == {"source_rows": 1, "update": 1}
    assert shop.target.content() == first
    assert shop.undo(3).status == Status.DONE
    assert shop.target.content() == second
    assert shop.undo(0, to=True).status == Status.DONE
    assert shop.target.count("parent") == 0


@everywhere
def test_a_reference_of_which_one_column_alone_is_written_is_known_whole(shop: Scenario) -> None:
    shop.source.execute(
        "CREATE TABLE place (k integer, j integer, PRIMARY KEY (k, j))",
        "CREATE TABLE visit (id integer PRIMARY KEY, k integer)",
        "INSERT INTO place VALUES (1, 1), (2, 1)",
        "INSERT INTO visit VALUES (1, 2), (2, 1)",
    )
    shop.target.execute(
        "CREATE TABLE place (k integer NOT NULL, j integer NOT NULL, PRIMARY KEY (k, j))",
        "CREATE TABLE visit (id integer PRIMARY KEY, k integer, j integer DEFAULT 1, FOREIGN KEY (k, j) REFERENCES place (k, j))",
    )
    shop.write({"place": {"from": "place"}, "visit": {"from": "visit"}}, defaults=DEFAULTS)
    shop.run()
    before = shop.target.content()
    shop.source.execute("UPDATE visit SET k = NULL WHERE id = 1", "DELETE FROM place WHERE k = 2")
    shop.run()
    after = shop.target.content()
    assert shop.target.rows("visit") == [(1, None, 1), (2, 1, 1)]
    assert shop.undo(3).status is Status.DONE and shop.target.content() == before
    assert shop.undo(4).status is Status.DONE and shop.target.content() == after
