"""Tables that look up their own rows by values, and that go both ways: a category and its parent, by code here and by number there."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenario import RING, Rows, Scenario, Side, pair_name

from flows.commands import Status
from flows.session.stores import ledger_of
from transforms.vocabulary import SpecError

everywhere = pytest.mark.parametrize("shop", RING, indirect=True, ids=pair_name)

PARENT = {"lookup": {"table": "category", "match": {"code": "parent"}, "take": "id"}}


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Categories in windows of two: a1 below a, and b."""
    made = Scenario.make(tmp_path, getattr(request, "param", ("sqlite", "sqlite")), request)
    made.source.execute(
        "CREATE TABLE cats (code varchar(20) PRIMARY KEY, title varchar(20), parent varchar(20) REFERENCES cats (code))"
    )
    made.target.execute(
        "CREATE TABLE category (id integer PRIMARY KEY, code varchar(20) NOT NULL UNIQUE, name varchar(20), "
        "parent_id integer REFERENCES category (id))"
    )
    made.source.insert("cats", [("a", "A", None), ("a1", "A1", "a"), ("b", "B", None)])
    write(made)
    assert made.run().status is Status.DONE
    return made


def write(shop: Scenario, **table: Any) -> None:
    columns = {"id": {"generate": "identity"}, "code": "code", "name": "title", "parent_id": PARENT}
    entry = {"from": "cats", "key": ["code"], "columns": columns} | table
    defaults = {"window": 2, "delete": {"max_ratio": 1.0}}
    shop.write({"category": entry}, direction="two_way", initial="policy", defaults=defaults)


def tree(side: Side) -> Rows:
    """Each category as code, name and the code of its parent."""
    if "cats" in side.tables():
        return side.rows("cats")
    query = "SELECT c.code, c.name, p.code FROM category c LEFT JOIN category p ON c.parent_id = p.id"
    return sorted(side.ask(query), key=str)


def alike(shop: Scenario) -> None:
    """Both sides are equal, and a second run writes nothing."""
    assert tree(shop.source) == tree(shop.target)
    shop.settled()
    before = shop.source.content(), shop.target.content()
    again = shop.run()
    assert (again.status, again.report.pending) == (Status.DONE, False), again.message
    assert (shop.source.content(), shop.target.content()) == before


@everywhere
def test_rows_and_their_parents_are_born_moved_and_deleted_on_either_side(shop: Scenario) -> None:
    numbers = dict(shop.target.ask("SELECT code, id FROM category"))
    shop.source.execute(
        "INSERT INTO cats VALUES ('c', 'C', 'b')",
        "INSERT INTO cats VALUES ('c1', 'C1', 'c')",
        "UPDATE cats SET title = 'AA' WHERE code = 'a'",
        "UPDATE cats SET parent = 'b' WHERE code = 'a1'",
    )
    shop.target.execute(
        f"INSERT INTO category VALUES (70, 'd', 'D', {numbers['a']})",
        "INSERT INTO category VALUES (71, 'd1', 'D1', 70)",
        "UPDATE category SET name = 'Aha' WHERE code = 'a1'",
    )
    before = shop.source.content(), shop.target.content()
    outcome = shop.run()
    assert outcome.status is Status.DONE, outcome.message
    alike(shop)
    assert tree(shop.source) == [
        ("a", "AA", None), ("a1", "Aha", "b"), ("b", "B", None), ("c", "C", "b"), ("c1", "C1", "c"), ("d", "D", "a"), ("d1", "D1", "d"),
    ]  # fmt: skip
    after = shop.source.content(), shop.target.content()
    assert outcome.report.version is not None
    shop.undo(outcome.report.version)
    assert (shop.source.content(), shop.target.content()) == before
    assert shop.run().status is Status.DONE
    assert (shop.source.content(), shop.target.content()) == after
    shop.source.execute("DELETE FROM cats WHERE code = 'd1'", "DELETE FROM cats WHERE code = 'd'")
    shop.target.execute("DELETE FROM category WHERE code = 'c1'", "DELETE FROM category WHERE code = 'c'")
    assert shop.run().status is Status.DONE
    alike(shop)
    assert [code for code, _, _ in tree(shop.source)] == ["a", "a1", "b"]


def copied(shop: Scenario) -> None:
    """Both sides have the same ids, rows are known by them, and a parent is named by its code on the source, which may change."""
    shop.source.execute(
        "CREATE TABLE nodes (no integer PRIMARY KEY, code varchar(20) UNIQUE, title varchar(20), parent varchar(20))"
    )
    shop.source.insert("nodes", [(1, "a", "A", None), (2, "a1", "A1", "a"), (3, "b", "B", None)])
    shop.target.execute("DELETE FROM category WHERE parent_id IS NOT NULL", "DELETE FROM category")
    columns = {"id": "no", "code": "code", "name": "title", "parent_id": PARENT}
    write(shop, **{"from": "nodes", "key": ["id"], "columns": columns})
    assert shop.run().status is Status.DONE


def named(side: Side) -> Rows:
    if "nodes" in side.tables():
        return side.rows("nodes")
    query = "SELECT c.id, c.code, c.name, p.code FROM category c LEFT JOIN category p ON c.parent_id = p.id"
    return sorted(side.ask(query), key=str)


def same(shop: Scenario) -> None:
    assert named(shop.source) == named(shop.target)
    shop.settled()
    again = shop.run()
    assert (again.status, again.report.pending) == (Status.DONE, False), again.message


def test_a_parent_that_is_called_otherwise_on_either_side_keeps_its_children(shop: Scenario) -> None:
    copied(shop)
    shop.source.execute(
        "UPDATE nodes SET code = 'x' WHERE no = 1",
        "UPDATE nodes SET parent = 'x' WHERE no = 2",
        "INSERT INTO nodes VALUES (4, 'b1', 'B1', 'b')",
    )
    shop.target.execute(
        "UPDATE category SET code = 'y' WHERE id = 3",
        "INSERT INTO category VALUES (5, 'x2', 'X2', 1), (6, 'y2', 'Y2', 3)",
    )
    outcome = shop.run()
    assert outcome.status is Status.DONE, outcome.message
    shop.source.execute("UPDATE nodes SET parent = 'y' WHERE parent = 'b'")  # as a key with ON UPDATE does
    assert shop.run().status is Status.DONE
    same(shop)
    assert named(shop.source) == [
        (1, "x", "A", None), (2, "a1", "A1", "x"), (3, "y", "B", None), (4, "b1", "B1", "y"), (5, "x2", "X2", "x"), (6, "y2", "Y2", "y"),
    ]  # fmt: skip


def test_rows_below_one_that_is_left_open_wait_on_both_sides(shop: Scenario) -> None:
    copied(shop)
    shop.source.execute(
        "CREATE UNIQUE INDEX titles ON nodes (title)",
        "INSERT INTO nodes VALUES (10, 'n', 'N', 'a'), (11, 'n1', 'N1', 'n'), (12, 'n2', 'N2', 'n1')",
    )
    shop.target.execute("CREATE UNIQUE INDEX names ON category (name)")
    shop.target.execute(
        "INSERT INTO category VALUES (20, 't', 'N1', 1), (21, 't1', 'T1', 20), (22, 't2', 'T2', 21), (23, 'u', 'U', 1)"
    )
    for _ in range(2):
        outcome = shop.run()
        assert outcome.status is Status.CONFLICTS
        assert sorted(shop.source.ask("SELECT no FROM nodes")) == [(1,), (2,), (3,), (10,), (11,), (12,), (23,)]
        assert sorted(shop.target.ask("SELECT id FROM category")) == [
            (1,),
            (2,),
            (3,),
            (10,),
            (20,),
            (21,),
            (22,),
            (23,),
        ]
    with ledger_of(shop.spec) as ledger:
        kinds = {each.key: each.kind for each in ledger.conflicts("shop")}
    assert kinds == {"[11]": "unique", "[20]": "unique", **dict.fromkeys(["[12]", "[21]", "[22]"], "foreign_key")}
    shop.target.execute("UPDATE category SET name = 'T' WHERE id = 20")
    assert shop.run().status is Status.DONE
    same(shop)


def test_a_parent_that_both_renamed_is_open_and_its_children_go_by_what_each_side_calls_it(shop: Scenario) -> None:
    copied(shop)
    shop.source.execute(
        "UPDATE nodes SET code = 'x' WHERE no = 1",
        "UPDATE nodes SET parent = 'x' WHERE no = 2",
        "INSERT INTO nodes VALUES (4, 'x4', 'X4', 'x')",
    )
    shop.target.execute("UPDATE category SET code = 'y' WHERE id = 1", "INSERT INTO category VALUES (5, 'y5', 'Y5', 1)")
    assert shop.run().status is Status.CONFLICTS
    assert shop.source.rows("nodes") == [
        (1, "x", "A", None), (2, "a1", "A1", "x"), (3, "b", "B", None), (4, "x4", "X4", "x"), (5, "y5", "Y5", "x"),
    ]  # fmt: skip
    assert shop.target.rows("category", "id, code, parent_id") == [
        (1, "y", None), (2, "a1", 1), (3, "b", None), (4, "x4", 1), (5, "y5", 1),
    ]  # fmt: skip


def test_a_range_of_a_table_that_looks_itself_up_finds_parents_outside_of_it(shop: Scenario) -> None:
    copied(shop)
    shop.source.execute("INSERT INTO nodes VALUES (10, 'n', 'N', 'b'), (30, 'z', 'Z', 'n')")
    shop.target.execute("INSERT INTO category VALUES (11, 'm', 'M', 3), (31, 'w', 'W', 11)")
    assert shop.run(ranges=["category.id:10..20"]).status is Status.DONE
    assert sorted(shop.target.ask("SELECT id FROM category")) == [(1,), (2,), (3,), (10,), (11,), (31,)]
    assert sorted(shop.source.ask("SELECT no FROM nodes")) == [(1,), (2,), (3,), (10,), (11,), (30,)]
    assert shop.run().status is Status.DONE
    same(shop)


def test_a_lookup_of_what_was_looked_up_in_the_table_before_is_refused(shop: Scenario) -> None:
    shop.target.execute("ALTER TABLE category ADD COLUMN above integer")
    above = {"lookup": {"table": "category", "match": {"code": "parent"}, "take": "parent_id"}}
    columns = {"id": {"generate": "identity"}, "code": "code", "name": "title", "parent_id": PARENT, "above": above}
    with pytest.raises(SpecError, match="above is looked up in category itself by what is looked up there before"):
        write(shop, columns=columns)
        shop.run()
