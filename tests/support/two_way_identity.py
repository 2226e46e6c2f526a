"""A shop of which both sides number customers and orders by themselves, in step through identity maps, and what people do there."""

from __future__ import annotations

from typing import Any

from scenario import Rows, Scenario

from flows.commands import Status
from flows.session.stores import ledger_of

CUSTOMER: dict[str, Any] = {
    "from": "people",
    "key": {"map": ["id"], "match": ["email"]},
    "columns": {"email": "mail", "name": "name"},
}
ORDER: dict[str, Any] = {
    "from": "orders",
    "key": {"map": ["no"]},
    "columns": {"customer_id": {"lookup": {"table": "customer", "by": "person"}}, "item": "item"},
}


def numbered(shop: Scenario) -> Scenario:
    """Customers and their orders, each numbered on both sides, in windows of two."""
    shop.source.execute(
        "CREATE TABLE people (id integer PRIMARY KEY, mail varchar(30), name varchar(30))",
        "CREATE TABLE orders (no integer PRIMARY KEY, person integer REFERENCES people (id), item varchar(30))",
    )
    shop.target.execute(
        "CREATE TABLE customer (id integer PRIMARY KEY, email varchar(30), name varchar(30))",
        "CREATE TABLE purchase (no integer PRIMARY KEY, customer_id integer REFERENCES customer (id), item varchar(30))",
    )
    write(shop)
    return shop


def write(shop: Scenario, customer: dict[str, Any] | None = None, order: dict[str, Any] | None = None) -> None:
    tables = {"customer": CUSTOMER | (customer or {}), "purchase": ORDER | (order or {})}
    shop.write(tables, direction="two_way", initial="policy", defaults={"window": 2, "delete": {"max_ratio": 1.0}})


def seen(shop: Scenario) -> tuple[Rows, Rows]:
    """The orders with the names of their customers, and all customers: on the source, and on the target."""

    def of(side: Any, query: str) -> list[Any]:
        return sorted(side.ask(query), key=str)

    sides = (
        (shop.source, "people", "mail", "orders", "person"), (shop.target, "customer", "email", "purchase", "customer_id"),
    )  # fmt: skip
    found = [
        [
            of(side, f'SELECT item, name FROM "{orders}" LEFT JOIN "{people}" ON {person} = id'),
            of(side, f'SELECT {mail}, name FROM "{people}"'),
        ]
        for side, people, mail, orders, person in sides
    ]
    return found[0], found[1]


def pairs(shop: Scenario, table: str = "customer") -> dict[str, str]:
    with ledger_of(shop.spec) as ledger:
        return dict(zip(*ledger.identities.pairs("shop", table).to_pydict().values(), strict=True))


def met(shop: Scenario) -> None:
    """Both sides agree: Al is 1 here and 11 there, Bo 2 and 12; each has an order."""
    shop.source.insert("people", [(1, "al@x", "Al"), (2, "bo@x", "Bo")])
    shop.source.insert("orders", [(1, 1, "axe"), (2, 2, "bow")])
    shop.target.insert("customer", [(11, "al@x", "Al"), (12, "bo@x", "Bo")])
    assert shop.run().status is Status.DONE
    assert pairs(shop) == {"[1]": "[11]", "[2]": "[12]"}


def alike(shop: Scenario) -> None:
    """Both sides are equal, and a second run writes nothing."""
    ours, theirs = seen(shop)
    assert ours == theirs
    shop.settled()
    before = shop.source.content(), shop.target.content(), pairs(shop), pairs(shop, "purchase")
    again = shop.run()
    assert (again.status, again.report.pending) == (Status.DONE, False), again.message
    assert (shop.source.content(), shop.target.content(), pairs(shop), pairs(shop, "purchase")) == before


def edit(shop: Scenario) -> None:
    """Each side changes, deletes and creates customers and orders; a new customer has a new order on each."""
    shop.source.execute(
        "UPDATE people SET name = 'Alan' WHERE id = 1",
        "INSERT INTO people VALUES (3, 'cy@x', 'Cy')",
        "INSERT INTO orders VALUES (3, 3, 'cup'), (4, 1, 'ale')",
        "DELETE FROM orders WHERE no = 1",
    )
    shop.target.execute(
        "UPDATE customer SET name = 'Bob' WHERE id = 12",
        "INSERT INTO customer VALUES (13, 'di@x', 'Di'), (14, 'ed@x', 'Ed')",
        "INSERT INTO purchase VALUES (20, 13, 'dip'), (21, 12, 'bun')",
        "DELETE FROM purchase WHERE item = 'bow'",
    )
