"""Undos of trees that are killed: the same undo again ends as if nothing had been, and a later one takes back the rest, once."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from crashing import edit, killed_at, left_behind, migration
from scenario import PAIRS, Rows, Scenario, Side

from flows import commands
from flows.bind.roots import parse_root
from flows.commands import Status
from flows.history.version_list import listed
from flows.plan.trees.chosen_tree import Trees

TREES = {
    "after an undo is planned": 57,
    "after the COMMIT of an undone window": 5,
    "before the version of an undo": 500,
}
"""Where an undo dies, and the customer of its tree: 57 was deleted with its sales, 5 was renamed, 500 is new."""


def of_customers(target: Side) -> dict[Any, tuple[Rows, Rows]]:
    """By customer the customer and its sales."""
    found: dict[Any, tuple[Rows, Rows]] = {}
    for place, table in enumerate(("customer", "sale")):
        for row in target.rows(table, "customer_id, name" if table == "customer" else "customer_id, label, cents"):
            found.setdefault(row[0], ([], []))[place].append(row)
    return found


def test_an_undo_of_a_tree_that_is_killed_is_done_by_the_next_one(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    shop = migration(Scenario.make(tmp_path, PAIRS[0], request))
    shop.run()
    first = of_customers(shop.target)
    edit(shop)
    shop.run()
    wanted = of_customers(shop.target)
    for number, (point, customer) in enumerate(TREES.items(), 3):
        root = f"customer:{customer}"
        assert killed_at(shop, point, root), f"the undo never came to {point}"
        asked = shop.request("undo", trees=Trees((parse_root(root, shop.spec),)))
        assert commands.undo(asked, 2).status is Status.DONE, point
        wanted.pop(customer, None)
        wanted |= {customer: first[customer]} if customer in first else {}
        assert of_customers(shop.target) == wanted, point
        known = listed(shop.spec)[0]
        assert (known["version"], known["undoes"], known["tree"]) == (number, [2], [root]), point
        assert not left_behind(shop), point
    assert shop.undo(2).status is Status.DONE
    assert of_customers(shop.target) == first
