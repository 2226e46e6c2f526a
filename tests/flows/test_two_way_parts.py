"""Parts of tables that go both ways: ranges of keys, trees, and rows of quarantine, each brought together by itself."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from scenario import RING, Rows, Scenario, pair_name

from flows import commands
from flows.bind.roots import parse_root
from flows.cli.main import main
from flows.commands import Outcome, Status
from flows.history import quarantine as quarantining
from flows.plan.trees.chosen_tree import Trees
from flows.session.stores import ledger_of
from transforms.vocabulary import PlanError, SpecError

TABLES: dict[str, Any] = {
    "customer": {"from": "people", "columns": {"id": "id", "name": "name"}},
    "purchase": {"from": "orders", "columns": {"no": "no", "customer_id": "person", "item": "item"}},
}


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Six customers with an order each, on both sides, which have met."""
    made = Scenario.make(tmp_path, getattr(request, "param", ("sqlite", "sqlite")), request)
    made.source.execute(
        "CREATE TABLE people (id integer PRIMARY KEY, name varchar(30))",
        "CREATE TABLE orders (no integer PRIMARY KEY, person integer REFERENCES people (id), item varchar(30))",
    )
    made.target.execute(
        "CREATE TABLE customer (id integer PRIMARY KEY, name varchar(30))",
        "CREATE TABLE purchase (no integer PRIMARY KEY, customer_id integer REFERENCES customer (id), item varchar(30))",
    )
    made.source.insert("people", [(n, f"name {n}") for n in range(1, 7)])
    made.source.insert("orders", [(10 * n, n, "axe") for n in range(1, 7)])
    write(made)
    return made


def write(shop: Scenario, **purchase: Any) -> None:
    tables = TABLES | {"purchase": TABLES["purchase"] | purchase}
    shop.write(tables, direction="two_way", initial="policy", defaults={"window": 2, "delete": {"max_ratio": 1.0}})


def edit(shop: Scenario) -> None:
    """Both sides edit, delete and create orders of the customers 2 and 5, and edit those."""
    for who in (2, 5):
        shop.source.execute(
            f"UPDATE people SET name = 'source {who}' WHERE id = {who}",
            f"INSERT INTO orders VALUES ({10 * who + 1}, {who}, 'born here')",
        )
        shop.target.execute(
            f"UPDATE purchase SET item = 'target' WHERE no = {10 * who}",
            f"INSERT INTO purchase VALUES ({10 * who + 2}, {who}, 'born there')",
        )
    shop.source.execute("DELETE FROM orders WHERE person IN (1, 6)", "DELETE FROM people WHERE id = 6")
    shop.target.execute("DELETE FROM purchase WHERE customer_id IN (3)", "DELETE FROM customer WHERE id = 3")


def rows(shop: Scenario) -> tuple[tuple[Rows, Rows], tuple[Rows, Rows]]:
    """Customers and orders of the source, and of the target."""
    one, other = shop.source, shop.target
    return (one.rows("people"), one.rows("orders")), (other.rows("customer"), other.rows("purchase"))


def of(some: tuple[Rows, Rows], who: int) -> tuple[Rows, Rows]:
    """A customer and their orders."""
    return [each for each in some[0] if each[0] == who], [each for each in some[1] if each[1] == who]


def tree(shop: Scenario, *roots: str, **more: Any) -> Outcome:
    return shop.run(trees=Trees(tuple(parse_root(root, shop.spec) for root in roots), gone=True, **more))


def ends_whole(shop: Scenario) -> None:
    """A whole run brings the rest together, and the next one writes nothing."""
    assert shop.run().status is Status.DONE
    ours, theirs = rows(shop)
    assert ours == theirs
    assert [each[0] for each in ours[0]] == [1, 2, 4, 5]
    assert [each[0] for each in ours[1]] == [20, 21, 22, 40, 50, 51, 52]
    again = shop.run()
    assert (again.status, again.report.pending, rows(shop)) == (Status.DONE, False, (ours, theirs))


@pytest.mark.parametrize("shop", RING, indirect=True, ids=pair_name)
def test_a_tree_is_brought_together_by_itself_and_all_else_stays(shop: Scenario) -> None:
    assert shop.run().status is Status.DONE
    edit(shop)
    before = rows(shop)
    outcome = tree(shop, "customer:2")
    assert outcome.status is Status.DONE, outcome.message
    ours, theirs = rows(shop)
    assert (
        of(ours, 2)
        == of(theirs, 2)
        == ([(2, "source 2")], [(20, 2, "target"), (21, 2, "born here"), (22, 2, "born there")])
    )
    for who in (1, 3, 4, 5, 6):
        assert [of(side, who) for side in (ours, theirs)] == [of(side, who) for side in before], who
    again = tree(shop, "customer:2")
    assert (again.status, again.report.pending) == (Status.DONE, False)
    assert outcome.report.version is not None
    shop.undo(outcome.report.version)
    assert rows(shop) == before
    assert tree(shop, "customer:3").status is Status.DONE  # the target deleted it, with what hangs below
    assert of(rows(shop)[0], 3) == ([], [])
    ends_whole(shop)


@pytest.mark.parametrize("window", [2, 100])
def test_a_range_of_keys_is_brought_together_by_itself_and_all_else_stays(shop: Scenario, window: int) -> None:
    assert shop.run().status is Status.DONE
    edit(shop)
    before = rows(shop)
    assert shop.run(ranges=["purchase.no:20..30"]).status is Status.DONE
    ours, theirs = rows(shop)
    assert of(ours, 2)[1] == of(theirs, 2)[1] == [(20, 2, "target"), (21, 2, "born here"), (22, 2, "born there")]
    for who in (1, 3, 4, 5, 6):
        assert [of(side, who) for side in (ours, theirs)] == [of(side, who) for side in before], who
    assert shop.backfill("purchase.no:1..61", "20").status is Status.DONE
    assert rows(shop)[0][1] == rows(shop)[1][1]
    ends_whole(shop)


def test_a_row_that_both_edited_is_open_in_a_part_too(shop: Scenario) -> None:
    assert shop.run().status is Status.DONE
    shop.source.execute("UPDATE orders SET item = 'mug' WHERE no = 20")
    shop.target.execute("UPDATE purchase SET item = 'jug' WHERE no = 20")
    before = rows(shop)
    for outcome in (tree(shop, "customer:2"), shop.run(ranges=["purchase.no:20..30"])):
        assert (outcome.status, rows(shop)) == (Status.CONFLICTS, before)
    shop.target.execute("UPDATE purchase SET item = 'mug' WHERE no = 20")
    assert tree(shop, "customer:2").status is Status.DONE
    assert shop.run().status is Status.DONE


def test_conflicts_that_a_part_settles_are_listed_no_more_and_others_stay(shop: Scenario) -> None:
    def listed() -> list[str]:
        with ledger_of(shop.spec) as ledger:
            return [each.key for each in ledger.conflicts("shop")]

    assert shop.run().status is Status.DONE
    shop.source.execute("UPDATE orders SET item = 'mug'")
    shop.target.execute("UPDATE purchase SET item = 'jug'")
    assert shop.run().status is Status.CONFLICTS
    shop.target.execute(
        "UPDATE purchase SET item = 'mug' WHERE no IN (20, 60)", "DELETE FROM purchase WHERE no IN (30, 40)"
    )
    shop.source.execute("DELETE FROM orders WHERE no IN (30, 40)")
    assert tree(shop, "customer:2").status is Status.DONE
    assert listed() == ["[10]", "[30]", "[40]", "[50]", "[60]"]
    assert shop.run(ranges=["purchase.no:30..51"]).status is Status.CONFLICTS
    assert listed() == ["[10]", "[50]", "[60]"]
    CliRunner().invoke(
        main, ["conflicts", str(shop.path), "resolve", "--all", "--take", "source"], catch_exceptions=False
    )
    assert shop.run(ranges=["purchase.no:50..51"]).status is Status.DONE
    assert listed() == ["[10]", "[60]"]


def test_rows_in_quarantine_are_tried_again_on_both_sides(shop: Scenario) -> None:
    write(
        shop,
        expect=[
            {
                "type": "expect_column_value_lengths_to_be_between",
                "column": "item",
                "max_value": 9,
                "severity": "warning",
            }
        ],
    )
    assert shop.run().status is Status.DONE
    shop.source.execute("UPDATE orders SET item = 'too long for it' WHERE no IN (20, 50)")
    shop.target.execute("UPDATE purchase SET customer_id = 4 WHERE no = 20")
    shop.run()
    lines, _ = quarantining.listed(shop.spec, quarantining.Filter(), 9)
    assert sorted(line["key"] for line in lines) == ["[20]", "[50]"]
    shop.source.execute("UPDATE orders SET item = 'short' WHERE no IN (20, 50)")
    asked = quarantining.retry(shop.request("run"), quarantining.Filter(keys=("[20]",)))
    assert asked is not None
    assert commands.run(asked).status is Status.DONE
    assert shop.target.rows("purchase")[1] == shop.source.rows("orders")[1] == (20, 4, "short")
    assert (50, 5, "axe") in shop.target.rows("purchase")
    lines, _ = quarantining.listed(shop.spec, quarantining.Filter(), 9)
    assert [line["key"] for line in lines] == ["[50]"]
    assert shop.run(ranges=["purchase.no:50..51"]).status is Status.DONE
    assert not quarantining.listed(shop.spec, quarantining.Filter(), 9)[0]
    assert shop.source.rows("orders") == shop.target.rows("purchase")


def test_parts_that_say_nothing_for_sure_are_refused(shop: Scenario) -> None:
    with pytest.raises(PlanError, match="have not agreed on anything yet"):
        tree(shop, "customer:2")
    shop.target.execute("CREATE TABLE numbered (id integer PRIMARY KEY, no integer UNIQUE)")
    numbered = {"from": "orders", "key": ["no"], "columns": {"id": {"generate": "identity"}, "no": "no"}}
    shop.write({"numbered": numbered}, direction="two_way", initial="policy")
    assert shop.run().status is Status.DONE
    with pytest.raises(SpecError, match="id is given by the target"):
        shop.run(ranges=["numbered.id:1..2"])


def test_a_range_of_another_column_has_the_rows_that_are_inside_on_either_side(shop: Scenario) -> None:
    assert shop.run().status is Status.DONE
    shop.source.execute(
        "UPDATE orders SET item = 'saw' WHERE no = 10",  # leaves the range, which it is in on the target
        "UPDATE orders SET item = 'bow' WHERE no = 20",
        "INSERT INTO orders VALUES (71, 1, 'ball'), (72, 1, 'zip')",
        "DELETE FROM orders WHERE no = 30",
    )
    shop.target.execute(
        "UPDATE purchase SET customer_id = 6 WHERE no = 20",
        "UPDATE purchase SET item = 'zoo' WHERE no = 40",  # on the source it is in the range still
        "INSERT INTO purchase VALUES (73, 2, 'bat'), (74, 2, 'zen')",
        "DELETE FROM purchase WHERE no = 50",
    )
    outcome = shop.run(ranges=["purchase.item:a..c"])
    assert outcome.status is Status.DONE, outcome.message
    both = [(10, 1, "saw"), (20, 6, "bow"), (40, 4, "zoo"), (60, 6, "axe"), (71, 1, "ball"), (73, 2, "bat")]
    (_, ours), (_, theirs) = rows(shop)
    assert (ours, theirs) == ([*both[:5], (72, 1, "zip"), both[5]], [*both, (74, 2, "zen")])
    shop.source.execute("UPDATE orders SET person = 3 WHERE no = 72")
    assert shop.backfill("purchase.customer_id:1..7", "2").status is Status.DONE
    (_, ours), (_, theirs) = rows(shop)
    assert ours == theirs and (72, 3, "zip") in theirs and (74, 2, "zen") in ours
    assert not shop.run().report.pending
