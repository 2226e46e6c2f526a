"""Tables that both sides number by themselves: rows are matched by an identity map."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenario import RING, Rows, Scenario, counts, pair_name

from flows.commands import Status
from flows.session.stores import ledger_of

everywhere = pytest.mark.parametrize("shop", RING, indirect=True, ids=pair_name)
CUSTOMER: dict[str, Any] = {
    "from": "customers",
    "key": {"map": ["id"], "match": ["email"]},
    "columns": {"email": "email", "name": "name"},
}
ORDER: dict[str, Any] = {
    "from": "orders",
    "key": {"map": ["id"]},
    "columns": {"customer_id": {"lookup": {"table": "customer", "by": "cust"}}, "item": "item"},
}


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    made = Scenario.make(tmp_path, getattr(request, "param", ("sqlite", "sqlite")), request)
    made.source.execute(
        "CREATE TABLE customers (no varchar(9) PRIMARY KEY, email varchar(30), name varchar(30))",
        "CREATE TABLE orders (no integer PRIMARY KEY, cust varchar(9), item varchar(30))",
    )
    made.write({"customer": CUSTOMER, "purchase": ORDER}, defaults={"window": {"rows": 2}})
    return made


def fill(shop: Scenario, customers: Rows, orders: Rows = ()) -> None:  # type: ignore[assignment]
    shop.source.execute("DELETE FROM orders", "DELETE FROM customers")
    shop.source.insert("customers", customers)
    shop.source.insert("orders", orders)


def there(shop: Scenario) -> Rows:
    """The orders of the target with the names of their customers."""
    found = shop.target.ask(
        'SELECT item, name FROM "purchase" LEFT JOIN "customer" ON "purchase".customer_id = "customer".id'
    )
    return sorted(found, key=str)


def pairs(shop: Scenario, table: str = "customer") -> dict[str, str]:
    with ledger_of(shop.spec) as ledger:
        return dict(zip(*ledger.identities.pairs("shop", table).to_pydict().values(), strict=True))


@everywhere
def test_rows_keep_the_numbers_that_the_target_gave_them_and_children_follow(shop: Scenario) -> None:
    fill(
        shop,
        [("c3", "e3", "Cy"), ("c1", "e1", "Al"), ("c2", "e2", "Bo")],
        [(7, "c1", "x"), (8, "c3", "y"), (9, None, "z")],
    )
    first = shop.run()
    assert counts(first, "customer") == {"source_rows": 3, "insert": 3}
    assert there(shop) == [("x", "Al"), ("y", "Cy"), ("z", None)]
    assert sorted(pairs(shop).values()) == ["[1]", "[2]", "[3]"]
    shop.settled()
    before, known = shop.target.content(), pairs(shop)
    fill(
        shop,
        [("c4", "e4", "Di"), ("c1", "new", "Alf"), ("c3", "e3", "Cy")],
        [(7, "c4", "x"), (8, "c3", "y"), (5, "c1", "w")],
    )
    done = shop.run()
    assert counts(done, "customer") == {"source_rows": 3, "insert": 1, "update": 1, "delete": 1, "unchanged": 1}
    assert counts(done, "purchase") == {"source_rows": 3, "insert": 1, "update": 1, "delete": 1, "unchanged": 1}
    assert there(shop) == [("w", "Alf"), ("x", "Di"), ("y", "Cy")]
    assert pairs(shop) == {'["c1"]': known['["c1"]'], '["c3"]': known['["c3"]'], '["c4"]': "[4]"}
    shop.settled()
    assert done.report.version is not None
    assert shop.undo(done.report.version).status == Status.DONE
    assert shop.target.content() == before
    assert pairs(shop) == known
