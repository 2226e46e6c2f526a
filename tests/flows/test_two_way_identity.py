"""Tables that both sides number by themselves, and that go both ways: rows are born on either side, and pairs say which is which."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenario import RING, Rows, Scenario, pair_name
from two_way_identity import alike, edit, met, numbered, pairs, seen, write

from flows.bind.roots import parse_root
from flows.commands import Status
from flows.plan.trees.chosen_tree import Trees
from transforms.vocabulary import DataError, PlanError, SpecError

everywhere = pytest.mark.parametrize("shop", RING, indirect=True, ids=pair_name)


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    return numbered(Scenario.make(tmp_path, getattr(request, "param", ("sqlite", "sqlite")), request))


@everywhere
def test_rows_that_are_born_on_either_side_get_a_key_on_the_other_and_references_follow(shop: Scenario) -> None:
    met(shop)
    edit(shop)
    outcome = shop.run()
    assert outcome.status is Status.DONE, outcome.message
    alike(shop)
    orders, customers = seen(shop)[0]
    assert orders == [("ale", "Alan"), ("bun", "Bob"), ("cup", "Cy"), ("dip", "Di")]
    assert customers == [("al@x", "Alan"), ("bo@x", "Bob"), ("cy@x", "Cy"), ("di@x", "Di"), ("ed@x", "Ed")]
    assert pairs(shop) == {"[1]": "[11]", "[2]": "[12]", "[3]": "[15]", "[4]": "[13]", "[5]": "[14]"}
    assert len(pairs(shop, "purchase")) == 4
    shop.source.execute("DELETE FROM orders WHERE item = 'dip'", "DELETE FROM people WHERE id = 4")
    shop.target.execute("DELETE FROM purchase WHERE item = 'cup'", "DELETE FROM customer WHERE id = 15")
    shop.source.execute("DELETE FROM people WHERE id = 5")
    shop.target.execute("DELETE FROM customer WHERE id = 14")
    assert shop.run().status is Status.DONE
    alike(shop)
    assert pairs(shop) == {"[1]": "[11]", "[2]": "[12]"}


def test_an_undo_takes_pairs_back_with_the_rows_of_both_sides(shop: Scenario) -> None:
    met(shop)
    edit(shop)
    before = shop.source.content(), shop.target.content(), pairs(shop), pairs(shop, "purchase")
    outcome = shop.run()
    assert outcome.report.version is not None
    first = seen(shop)
    shop.undo(outcome.report.version)
    assert (shop.source.content(), shop.target.content(), pairs(shop), pairs(shop, "purchase")) == before
    assert shop.run().status is Status.DONE
    assert seen(shop) == first
    alike(shop)


@pytest.mark.parametrize("side", ["source", "target"])
def test_an_undo_of_one_side_is_an_edit_of_that_side(shop: Scenario, side: Any) -> None:
    met(shop)
    edit(shop)
    outcome = shop.run()
    assert outcome.report.version is not None
    shop.undo(outcome.report.version, side=side)
    ours, theirs = seen(shop)
    assert shop.run().status is Status.DONE
    alike(shop)
    assert seen(shop)[0] == (ours if side == "source" else theirs)
    assert len(pairs(shop)) == len(seen(shop)[0][1])


def test_sides_that_meet_find_their_rows_and_take_over_those_of_the_other(shop: Scenario) -> None:
    shop.source.insert("people", [(1, "al@x", "Al"), (2, "bo@x", "Bo"), (3, "cy@x", "Cy")])
    shop.target.insert("customer", [(7, "bo@x", "Bo"), (8, "di@x", "Di"), (9, "cy@x", "Cyril")])
    shop.target.insert("purchase", [(5, 8, "dip"), (6, 7, "bow")])
    write(shop, {"initial": "report"})
    assert shop.run().status is Status.CHANGES
    assert pairs(shop) == {}
    write(shop, {"initial": "source"})
    assert shop.run().status is Status.DONE
    alike(shop)
    assert seen(shop)[0] == [[("bow", "Bo"), ("dip", "Di")], [("al@x", "Al"), ("bo@x", "Bo"), ("cy@x", "Cy"), ("di@x", "Di")]]  # fmt: skip
    assert pairs(shop) == {"[1]": "[10]", "[2]": "[7]", "[3]": "[9]", "[4]": "[8]"}


def test_a_side_without_rows_meets_without_a_match_and_rows_of_both_are_new_from_then_on(shop: Scenario) -> None:
    write(shop, {"key": {"map": ["id"]}})
    assert shop.run().status is Status.DONE  # both are empty
    shop.source.insert("people", [(1, "al@x", "Al")])
    shop.target.insert("customer", [(1, "bo@x", "Bo")])
    shop.target.insert("purchase", [(1, 1, "bow")])
    assert shop.run().status is Status.DONE
    alike(shop)
    assert pairs(shop) == {"[1]": "[2]", "[2]": "[1]"}


def test_a_tree_of_a_table_whose_rows_have_another_key_on_each_side_is_refused(shop: Scenario) -> None:
    met(shop)
    with pytest.raises(SpecError, match="have another key on each side"):
        shop.run(trees=Trees((parse_root("customer:11", shop.spec),)))


def test_a_range_of_the_targets_keys_is_brought_together_by_itself(shop: Scenario) -> None:
    met(shop)
    edit(shop)
    before = seen(shop), pairs(shop)
    assert shop.run(ranges=["purchase.no:100..200"]).report.pending is False
    assert (seen(shop), pairs(shop)) == before
    assert shop.run(ranges=["customer.id:13..14"]).status is Status.DONE  # Di, who was born on the target
    assert seen(shop)[1] == before[0][1]
    assert seen(shop)[0][1] == [("al@x", "Alan"), ("bo@x", "Bo"), ("cy@x", "Cy"), ("di@x", "Di")]
    assert pairs(shop) == {"[1]": "[11]", "[2]": "[12]", "[4]": "[13]"}
    assert shop.run(ranges=["customer.id:1..13"]).status is Status.DONE
    assert seen(shop)[1][1] == [("al@x", "Alan"), ("bo@x", "Bob"), ("di@x", "Di"), ("ed@x", "Ed")]
    shop.target.execute("DELETE FROM customer WHERE id = 14")
    assert shop.backfill("customer.id:1..31", "10").status is Status.DONE
    assert [name for _, name in seen(shop)[1][1]] == ["Alan", "Bob", "Cy", "Di"]
    assert shop.run().status is Status.DONE
    alike(shop)
    assert len(pairs(shop)) == len(pairs(shop, "purchase")) == 4


def test_rows_of_both_sides_without_pairs_or_a_match_are_refused(shop: Scenario) -> None:
    write(shop, {"key": {"map": ["id"]}})
    shop.source.insert("people", [(1, "al@x", "Al")])
    shop.target.insert("customer", [(1, "bo@x", "Bo")])
    with pytest.raises(PlanError, match="its identity map has none"):
        shop.run()


def test_rows_in_doubt_stay_as_they_are_on_both_sides(shop: Scenario) -> None:
    met(shop)
    shop.source.insert("people", [(3, "cy@x", "Cy"), (4, "cy@x", "Cyd")])
    shop.target.insert("customer", [(13, "cy@x", "Cyril"), (14, "di@x", "Di")])
    before = shop.source.rows("people", "id, name")
    assert shop.run().status is Status.DONE
    assert shop.target.rows("customer", "id, name") == [(11, "Al"), (12, "Bo"), (13, "Cyril"), (14, "Di")]
    assert shop.source.rows("people", "id, name") == [*before, (5, "Di")]
    shop.source.execute("DELETE FROM people WHERE id = 4")
    assert shop.run().status is Status.CONFLICTS  # both created cy@x, with other names
    shop.target.execute("UPDATE customer SET name = 'Cy' WHERE id = 13")
    assert shop.run().status is Status.DONE
    alike(shop)
    assert pairs(shop)["[3]"] == "[13]"


def test_a_row_that_the_source_refuses_is_open_and_what_refers_to_it_waits(shop: Scenario) -> None:
    met(shop)
    shop.source.execute("CREATE UNIQUE INDEX names ON people (name)")
    shop.target.execute(
        "INSERT INTO customer VALUES (13, 'xy@x', 'Al')",
        "INSERT INTO purchase VALUES (20, 13, 'dip'), (21, 11, 'ape')",
    )
    for _ in range(2):
        outcome = shop.run()
        assert outcome.status is Status.CONFLICTS
        assert shop.source.rows("orders", "item") == [("ape",), ("axe",), ("bow",)]
        assert "[13]" not in pairs(shop).values()
    shop.target.execute("UPDATE customer SET name = 'Other' WHERE id = 13")
    assert shop.run().status is Status.DONE
    alike(shop)


def test_a_customer_that_both_edited_is_open_and_keeps_its_pair(shop: Scenario) -> None:
    met(shop)
    shop.source.execute(
        "UPDATE people SET name = 'Alan' WHERE id = 1",
        "DELETE FROM orders WHERE no = 2",
        "DELETE FROM people WHERE id = 2",
    )
    shop.target.execute(
        "UPDATE customer SET name = 'Alf' WHERE id = 11", "UPDATE customer SET name = 'Bob' WHERE id = 12"
    )
    assert shop.run().status is Status.CONFLICTS
    assert pairs(shop) == {"[1]": "[11]", "[2]": "[12]"}
    shop.source.execute("UPDATE people SET name = 'Alf' WHERE id = 1")
    shop.target.execute("UPDATE customer SET name = 'Bo' WHERE id = 12")
    assert shop.run().status is Status.DONE
    alike(shop)
    assert pairs(shop) == {"[1]": "[11]"}


def test_texts_of_the_sources_key_are_given_by_on_source(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    shop = Scenario.make(tmp_path, ("sqlite", "duckdb"), request)
    shop.source.execute("CREATE TABLE people (no varchar(9) PRIMARY KEY, mail varchar(30))")
    shop.target.execute("CREATE TABLE customer (id uuid PRIMARY KEY, email varchar(30))")
    table: dict[str, Any] = {"from": "people", "key": {"map": ["id"], "match": ["email"]}, "columns": {"email": "mail"}}
    shop.write({"customer": table}, direction="two_way", initial="policy")
    with pytest.raises(SpecError, match=r"nothing numbers no \(varchar\(9\)\) of the source's key"):
        shop.run()
    shop.write(
        {"customer": table | {"on_source": {"no": {"expr": "substr(email, 1, 2)"}}}},
        direction="two_way",
        initial="policy",
    )
    shop.source.insert("people", [("a", "al@x")])
    shop.target.execute("INSERT INTO customer VALUES (uuid(), 'bo@x')")
    assert shop.run().status is Status.DONE
    assert shop.source.rows("people") == [("a", "al@x"), ("bo", "bo@x")]
    assert sorted(pairs(shop)) == ['["a"]', '["bo"]']
    again = shop.run()
    assert (again.status, again.report.pending) == (Status.DONE, False)
    shop.target.execute("INSERT INTO customer VALUES (uuid(), 'bother@x')")
    with pytest.raises(DataError, match="none of its own"):
        shop.run()


def test_a_parent_and_a_child_that_the_target_deleted_go_from_the_source_whatever_finds_the_parent(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = Scenario.make(tmp_path, ("sqlite", "duckdb"), request)
    shop.source.execute(
        "CREATE TABLE people (id integer PRIMARY KEY, mail varchar(9) UNIQUE)",
        "CREATE TABLE orders (no integer PRIMARY KEY, mail varchar(9) REFERENCES people (mail))",
    )
    shop.target.execute(
        "CREATE TABLE customer (id integer PRIMARY KEY, email varchar(9) UNIQUE)",
        "CREATE TABLE purchase (no integer PRIMARY KEY, customer_id integer)",
    )
    found = {"lookup": {"table": "customer", "match": {"email": "mail"}, "take": "id"}}
    shop.write(
        {
            "customer": {"from": "people", "columns": {"id": "id", "email": "mail"}},
            "purchase": {"from": "orders", "columns": {"no": "no", "customer_id": found}},
        },
        direction="two_way",
        initial="policy",
    )
    shop.source.insert("people", [(1, "a@x"), (2, "b@x"), (3, "c@x")])
    shop.source.insert("orders", [(1, "a@x"), (2, "b@x"), (3, "c@x")])
    assert shop.run().status is Status.DONE
    shop.target.execute("DELETE FROM purchase WHERE no = 1", "DELETE FROM customer WHERE id = 1")
    shop.target.execute("DELETE FROM purchase WHERE no = 2", "DELETE FROM customer WHERE id = 2")
    assert shop.run().status is Status.DONE
    assert shop.source.rows("people") == [(3, "c@x")]
    assert shop.source.rows("orders") == [(3, "c@x")]


@pytest.mark.parametrize("pair", [("sqlite", "postgresql"), ("duckdb", "sqlite")], ids=pair_name)
def test_rows_that_refer_to_rows_of_their_own_table_go_both_ways_through_its_map(
    pair: Any, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = Scenario.make(tmp_path, pair, request)
    shop.source.execute("CREATE TABLE staff (no integer PRIMARY KEY, boss integer, name varchar(9) UNIQUE)")
    shop.target.execute("CREATE TABLE person (id integer PRIMARY KEY, chief integer, name varchar(9))")
    found = {"lookup": {"table": "person", "by": "boss"}}
    shop.write(
        {"person": {"from": "staff", "key": {"map": ["id"]}, "columns": {"name": "name", "chief": found}, "window": 2}},
        direction="two_way",
        initial="policy",
    )

    def named() -> list[Rows]:
        sides = ((shop.source, "staff", "boss", "no"), (shop.target, "person", "chief", "id"))
        return [
            sorted(side.ask(f'SELECT a.name, b.name FROM "{t}" a LEFT JOIN "{t}" b ON a.{up} = b.{key}'), key=str)
            for side, t, up, key in sides
        ]

    shop.source.insert("staff", [(1, None, "Al"), (2, 1, "Bo"), (3, 2, "Cy")])
    assert shop.run().status is Status.DONE
    shop.source.execute("INSERT INTO staff VALUES (4, 3, 'Di')", "UPDATE staff SET boss = 1 WHERE no = 3")
    shop.target.execute(
        "INSERT INTO person VALUES (11, NULL, 'Ed'), (12, 11, 'Flo'), (13, 12, 'Gus'), (14, 2, 'Hal')",
        "UPDATE person SET chief = 11 WHERE name = 'Bo'",
    )
    assert shop.run().status is Status.DONE
    ours, theirs = named()
    assert ours == theirs
    assert ours == [
        ("Al", None), ("Bo", "Ed"), ("Cy", "Al"), ("Di", "Cy"), ("Ed", None), ("Flo", "Ed"), ("Gus", "Flo"), ("Hal", "Bo"),
    ]  # fmt: skip
    assert not shop.run().report.pending
    shop.target.execute("INSERT INTO person VALUES (30, NULL, 'Al'), (31, 30, 'Ivy'), (32, 31, 'Jo'), (33, 11, 'Kim')")
    for _ in range(2):  # two of a name are one too many for the source: who works for the second waits with them
        assert shop.run().status is Status.CONFLICTS
        assert shop.source.rows("staff", "name")[-2:] == [("Hal",), ("Kim",)]
    shop.target.execute("UPDATE person SET name = 'Lea' WHERE id = 30")
    assert shop.run().status is Status.DONE
    assert named()[0] == named()[1]
    assert not shop.run().report.pending
