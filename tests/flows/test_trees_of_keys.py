"""Trees of tables whose key alone does not say which row of the source is meant: it is looked up, the target gives it, or there are
several sources."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenario import RING, Rows, Scenario, Status, balanced, counts, explained, halves, pair_name, quarantine

from flows import commands
from flows.bind.roots import parse_root
from flows.commands import Outcome
from flows.plan.trees.chosen_tree import Trees
from transforms.vocabulary import SynclineError

ONE = pytest.mark.parametrize("pair", RING[3:], indirect=True, ids=pair_name)
"""For what has nothing to do with engines."""
one_half, other_half = halves("pair")


@pytest.fixture(params=RING, ids=pair_name)
def pair(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    return Scenario.make(tmp_path, request.param, request)


def tree(scenario: Scenario, *roots: str, kind: Any = "run", with_parents: bool = False) -> Outcome:
    asked = Trees(tuple(parse_root(text, scenario.spec) for text in roots), with_parents)
    request = scenario.request(kind, trees=asked)
    if kind == "verify":
        return explained(balanced(commands.verify(request)), {})
    return balanced(commands.run(request))


def undo(scenario: Scenario, version: int | None, *roots: str) -> Outcome:
    asked = Trees(tuple(parse_root(text, scenario.spec) for text in roots)) if roots else None
    return balanced(commands.undo(scenario.request("undo", trees=asked), int(str(version))))


def merged(made: Scenario) -> None:
    """Customers with invoices and receipts, which are vouchers in the target, and notes below vouchers."""
    made.source.execute(
        "CREATE TABLE customer (id integer PRIMARY KEY, code varchar(9) NOT NULL UNIQUE, name varchar(9))",
        "CREATE TABLE invoice (no integer PRIMARY KEY, customer integer, v varchar(9))",
        "CREATE TABLE receipt (id integer PRIMARY KEY, code varchar(9), v varchar(9))",
        "CREATE TABLE note (id integer PRIMARY KEY, kind varchar(9), no integer, v varchar(9))",
    )
    made.target.execute(
        "CREATE TABLE customer (id integer PRIMARY KEY, code varchar(9) NOT NULL UNIQUE, name varchar(9))",
        "CREATE TABLE voucher (kind varchar(9) NOT NULL, no integer NOT NULL, customer_id integer, v varchar(9), PRIMARY KEY (kind, no), "
        "FOREIGN KEY (customer_id) REFERENCES customer (id))",
        "CREATE TABLE note (id integer PRIMARY KEY, kind varchar(9), no integer, v varchar(9), "
        "FOREIGN KEY (kind, no) REFERENCES voucher (kind, no))",
    )
    made.source.insert("customer", [(n, f"C{n}", "x") for n in (1, 2, 3)])
    made.source.insert("invoice", [(10 * n + k, n, "x") for n in (1, 2, 3) for k in (0, 1)])
    made.source.insert("receipt", [(10 * n + k, f"C{n}", "x") for n in (1, 2, 3) for k in (1, 2)])
    made.source.insert("note", [(100 + 10 * n, "in", 10 * n, "x") for n in (1, 2, 3)])
    made.source.insert("note", [(200 + 10 * n, "re", 10 * n + 1, "x") for n in (1, 2, 3)])
    lookup = {"lookup": {"table": "customer", "match": {"code": "code"}, "take": "id"}}
    parts = [
        {"table": "invoice", "columns": {"kind": {"const": "in"}, "no": "no", "customer_id": "customer", "v": "v"}},
        {"table": "receipt", "columns": {"kind": {"const": "re"}, "no": "id", "customer_id": lookup, "v": "v"}},
    ]
    made.write(
        {"customer": {"from": "customer"}, "voucher": {"from": parts, "key": ["kind", "no"]}, "note": {"from": "note"}}
    )


@one_half
def test_a_tree_goes_through_a_table_of_several_sources(pair: Scenario) -> None:
    merged(pair)
    with pytest.raises(SynclineError, match="voucher refers to customer"):
        tree(pair, 'voucher:["re",21]')
    done = tree(pair, "customer:2")
    assert counts(done, "voucher") == {"source_rows": 4, "insert": 4}
    assert pair.target.rows("voucher", "kind, no") == [("in", 20), ("in", 21), ("re", 21), ("re", 22)]
    assert pair.target.rows("note", "id") == [(120,), (220,)]
    pair.run()
    before = pair.target.content()
    pair.source.execute(
        "UPDATE invoice SET v = 'y'", "UPDATE receipt SET v = 'y'", "DELETE FROM note WHERE id IN (110, 120)"
    )
    pair.source.execute("DELETE FROM receipt WHERE id IN (12, 22)", "DELETE FROM invoice WHERE no IN (10, 20)")
    done = tree(pair, "customer:2", "note:220")
    assert counts(done, "voucher") == {"source_rows": 2, "update": 2, "delete": 2}
    assert counts(done, "note") == {"source_rows": 1, "delete": 1, "unchanged": 1}
    assert not done.report.warning_texts
    assert [row for row in pair.target.rows("voucher") if row[2] != 2] == [
        row for row in before["voucher"] if row[2] != 2
    ]
    assert pair.target.rows("voucher", "kind, no, v")[2:4] == [("in", 21, "y"), ("in", 30, "x")]
    assert tree(pair, "customer:2", kind="verify").status == Status.DONE
    assert tree(pair, "customer:1", kind="verify").status == Status.CHANGES
    assert undo(pair, done.report.version).status == Status.DONE
    assert pair.target.content() == before


@ONE
def test_parents_of_rows_of_several_sources_come_along(pair: Scenario) -> None:
    merged(pair)
    assert tree(pair, "note:210", with_parents=True).report.total.insert == 3
    assert pair.target.content() == {
        "customer": [(1, "C1", "x")], "note": [(210, "re", 11, "x")], "voucher": [("re", 11, 1, "x")],
    }  # fmt: skip


def looked_up(made: Scenario) -> None:
    """Clients with orders with lines with marks, matched by the numbers that the target gives orders."""
    number = "GENERATED BY DEFAULT AS IDENTITY" if made.target.engine == "postgresql" else ""
    own = "integer PRIMARY KEY" if made.target.engine == "sqlite" else f"bigint {number} PRIMARY KEY"
    made.source.execute(
        "CREATE TABLE client (id integer PRIMARY KEY, name varchar(9))",
        "CREATE TABLE orders (no varchar(9) PRIMARY KEY, client integer, v varchar(9))",
        "CREATE TABLE items (order_no varchar(9), pos integer, v varchar(9), PRIMARY KEY (order_no, pos))",
        "CREATE TABLE marks (order_no varchar(9), pos integer, nr integer, v varchar(9), PRIMARY KEY (order_no, pos, nr))",
    )
    made.target.execute(
        "CREATE TABLE client (id integer PRIMARY KEY, name varchar(9))",
        f"CREATE TABLE purchase (id {own}, no varchar(9) NOT NULL UNIQUE, client integer, v varchar(9), "
        "FOREIGN KEY (client) REFERENCES client (id))",
        "CREATE TABLE line (purchase_id bigint NOT NULL, pos integer NOT NULL, v varchar(9), PRIMARY KEY (purchase_id, pos), "
        "FOREIGN KEY (purchase_id) REFERENCES purchase (id))",
        "CREATE TABLE mark (purchase_id bigint NOT NULL, pos integer NOT NULL, nr integer NOT NULL, v varchar(9), "
        "PRIMARY KEY (purchase_id, pos, nr), FOREIGN KEY (purchase_id, pos) REFERENCES line (purchase_id, pos))",
    )
    made.source.insert("client", [(n, "x") for n in (1, 2, 3)])
    for n in (3, 1, 2):
        made.source.insert("orders", [(f"{n}a", n, "x"), (f"{n}b", n, "x")])
        made.source.insert("items", [(f"{n}a", 1, "x"), (f"{n}a", 2, "x"), (f"{n}b", 1, "x")])
        made.source.insert("marks", [(f"{n}a", 1, 1, "x"), (f"{n}b", 1, 1, "x")])
    order = {"lookup": {"table": "purchase", "match": {"no": "order_no"}, "take": "id"}}
    made.write(
        {
            "client": {"from": "client"},
            "purchase": {
                "from": "orders", "key": ["no"], "columns": {"id": {"generate": "identity"}, "no": "no", "client": "client", "v": "v"},
            },
            "line": {"from": "items", "key": ["purchase_id", "pos"], "columns": {"purchase_id": order, "pos": "pos", "v": "v"}},
            "mark": {
                "from": "marks", "key": ["purchase_id", "pos", "nr"],
                "columns": {"purchase_id": order, "pos": "pos", "nr": "nr", "v": "v"},
            },
        }
    )  # fmt: skip


def numbers(made: Scenario) -> dict[str, int]:
    return {no: int(number) for no, number in made.target.ask("SELECT no, id FROM purchase")}


def of_orders(made: Scenario) -> Rows:
    """The lines and marks of the target by what the source calls their orders."""
    lines = "SELECT p.no, l.pos, l.v FROM line l JOIN purchase p ON p.id = l.purchase_id"
    marks = "SELECT p.no, m.pos, m.nr, m.v FROM mark m JOIN purchase p ON p.id = m.purchase_id"
    return sorted([*made.target.ask(lines), *made.target.ask(marks)], key=str)


@other_half
def test_a_tree_goes_through_keys_that_are_looked_up(pair: Scenario) -> None:
    looked_up(pair)
    done = tree(pair, "client:2")
    assert {name: each.insert for name, each in done.report.counts.items()} == {
        "client": 1,
        "purchase": 2,
        "line": 3,
        "mark": 2,
    }
    assert of_orders(pair) == [("2a", 1, "x"), ("2a", 1, 1, "x"), ("2a", 2, "x"), ("2b", 1, "x"), ("2b", 1, 1, "x")]
    pair.run()
    pair.settled()
    before = pair.target.content()
    pair.source.execute(
        "UPDATE items SET v = 'y'", "UPDATE marks SET v = 'y'", "DELETE FROM marks WHERE order_no LIKE '%a'"
    )
    pair.source.execute("DELETE FROM items WHERE order_no LIKE '%a'", "DELETE FROM orders WHERE no LIKE '%a'")
    pair.source.insert("orders", [("1c", 1, "new"), ("2c", 2, "new")])
    pair.source.insert("items", [("2c", 7, "new"), ("2b", 8, "new"), ("1b", 8, "new")])
    pair.source.insert("marks", [("2c", 7, 1, "new"), ("2b", 8, 1, "new")])
    done = tree(pair, "client:2")
    assert counts(done, "line") == {"source_rows": 3, "insert": 2, "update": 1, "delete": 2}
    assert counts(done, "mark") == {"source_rows": 3, "insert": 2, "update": 1, "delete": 1}
    now = of_orders(pair)
    assert [row for row in now if row[0][0] == "2"] == [
        ("2b", 1, "y"), ("2b", 1, 1, "y"), ("2b", 8, "new"), ("2b", 8, 1, "new"), ("2c", 7, "new"), ("2c", 7, 1, "new"),
    ]  # fmt: skip
    assert {row[-1] for row in now if row[0][0] != "2"} == {"x"}
    assert tree(pair, "client:2", kind="verify").status == Status.DONE
    assert tree(pair, "client:1", kind="verify").status == Status.CHANGES
    assert undo(pair, done.report.version).status == Status.DONE
    assert pair.target.content() == before


@one_half
def test_a_row_with_a_looked_up_key_is_a_root_and_brings_its_parents(pair: Scenario) -> None:
    looked_up(pair)
    with pytest.raises(SynclineError, match="line refers to purchase"):
        tree(pair, 'line:[{"order_no":"2a"},1]')
    done = tree(pair, 'line:[{"order_no":"2a"},1]', with_parents=True)
    assert {name: each.insert for name, each in done.report.counts.items()} == {
        "client": 1,
        "purchase": 1,
        "line": 1,
        "mark": 1,
    }
    pair.run()
    pair.source.execute(
        "UPDATE items SET v = 'y'", "UPDATE marks SET v = 'y'", "DELETE FROM marks WHERE order_no = '3b'"
    )
    pair.source.execute("DELETE FROM items WHERE order_no = '3b'")
    known = numbers(pair)
    done = tree(pair, f"line:[{known['3b']},1]", f"mark:[{known['1a']},1,1]")
    assert counts(done, "line") == {"delete": 1}
    assert counts(done, "mark") == {"source_rows": 1, "update": 1, "delete": 1}
    assert [row for row in of_orders(pair) if row[-1] == "y"] == [("1a", 1, 1, "y")]
    for wrong in ("[99,1]", '[{"order_no":"zz"},1]', '[{"pos":1},1]', '[{"nothing":1},1]'):
        with pytest.raises(SynclineError, match="line has no row with the key"):
            tree(pair, f"line:{wrong}")
    pair.source.execute("DELETE FROM items WHERE order_no = '1b'", "DELETE FROM marks WHERE order_no = '1b'")
    assert counts(tree(pair, 'line:[{"order_no":"1b"},1]'), "mark") == {"delete": 1}, (
        "what the source has lost is known by its order"
    )


@ONE
def test_rows_that_waited_for_their_order_leave_quarantine_with_its_tree(pair: Scenario) -> None:
    looked_up(pair)
    pair.source.execute("DELETE FROM orders WHERE no = '2a'")
    pair.run()
    waiting = [(table, key) for table, key, _ in quarantine(pair)]
    assert ("line", [{"order_no": "2a"}, 1]) in waiting
    pair.source.insert("orders", [("2a", 2, "back")])
    assert counts(tree(pair, "client:2"), "line") == {"source_rows": 3, "insert": 2, "unchanged": 1}
    assert quarantine(pair) == []


def regions(made: Scenario, **behind: Any) -> None:
    """Regions with sites with visits, whose keys are made of what the region's code is looked up as."""
    made.source.execute(
        "CREATE TABLE region (id integer PRIMARY KEY, code varchar(9))",
        "CREATE TABLE site (code varchar(9), no integer, v varchar(9), PRIMARY KEY (code, no))",
        "CREATE TABLE visit (code varchar(9), no integer, nr integer, v varchar(9), PRIMARY KEY (code, no, nr))",
    )
    made.target.execute(
        "CREATE TABLE region (id integer PRIMARY KEY, code varchar(9))",
        "CREATE TABLE site (region varchar(9) NOT NULL, no integer NOT NULL, v varchar(9), PRIMARY KEY (region, no))",
        "CREATE TABLE visit (region varchar(9) NOT NULL, no integer NOT NULL, nr integer NOT NULL, v varchar(9), "
        "PRIMARY KEY (region, no, nr), FOREIGN KEY (region, no) REFERENCES site (region, no))",
    )
    region = {"lookup": {"table": "region", "match": {"code": "code"}, "take": "id"}} | behind
    named = {"region": region, "no": "no", "v": "v"}
    made.write(
        {
            "region": {"from": "region"},
            "site": {"from": "site", "key": ["region", "no"], "columns": named},
            "visit": {"from": "visit", "key": ["region", "no", "nr"], "columns": named | {"nr": "nr"}},
        }
    )
    made.source.insert("region", [(1, "north"), (2, "south")])
    made.source.insert("site", [("north", 7, "x"), ("south", 7, "x"), ("south", 8, "x")])
    made.source.insert(
        "visit", [("north", 7, 1, "x"), ("south", 7, 1, "x"), ("south", 8, 1, "x"), ("south", 8, 2, "x")]
    )


@other_half
def test_a_tree_goes_through_keys_that_are_made_of_what_is_looked_up(pair: Scenario) -> None:
    regions(pair, cast="text")
    goes_through_regions(pair, "2")


@ONE
@pytest.mark.parametrize(
    ("behind", "south"), [({"map": {1: "N", 2: "S"}}, "S"), ({"map": {2: 20}, "default": "keep", "cast": "text"}, "20")]
)
def test_a_tree_goes_through_keys_that_a_map_makes_of_what_is_looked_up(
    pair: Scenario, behind: dict[str, Any], south: str
) -> None:
    regions(pair, **behind)
    goes_through_regions(pair, south)


def goes_through_regions(pair: Scenario, south: str) -> None:
    with pytest.raises(SynclineError, match="visit refers to site"):
        tree(pair, f'visit:["{south}",8,1]')
    done = tree(pair, f'visit:["{south}",8,1]', with_parents=True)
    assert {name: each.insert for name, each in done.report.counts.items()} == {"region": 1, "site": 1, "visit": 1}
    done = tree(pair, "region:2")
    assert {name: each.insert for name, each in done.report.counts.items()} == {"region": 0, "site": 1, "visit": 2}
    pair.run()
    pair.settled()
    before = pair.target.content()
    pair.source.execute("UPDATE site SET v = 'y'", "UPDATE visit SET v = 'y'", "DELETE FROM visit WHERE nr = 2")
    pair.source.insert("visit", [("south", 8, 3, "new"), ("north", 7, 3, "new")])
    done = tree(pair, f'site:["{south}",8]')
    assert (counts(done, "site"), counts(done, "visit")) == (
        {"source_rows": 1, "update": 1},
        {"source_rows": 2, "insert": 1, "update": 1, "delete": 1},
    )
    assert tree(pair, f'site:["{south}",8]', kind="verify").status == Status.DONE
    assert tree(pair, "region:1", kind="verify").status == Status.CHANGES
    assert undo(pair, done.report.version).status == Status.DONE
    assert pair.target.content() == before


@ONE
def test_a_key_that_does_not_say_what_it_was_looked_up_as_is_in_no_tree(pair: Scenario) -> None:
    regions(pair, map={1: "N"}, default="S")
    with pytest.raises(SynclineError, match="does not say what it was made of"):
        tree(pair, 'site:["S",8]')


def identity(made: Scenario, **customer: Any) -> None:
    made.source.execute(
        "CREATE TABLE customers (no varchar(9) PRIMARY KEY, email varchar(30), up varchar(9), name varchar(30))",
        "CREATE TABLE orders (no integer PRIMARY KEY, cust varchar(9), item varchar(30))",
    )
    up = {"up_id": {"lookup": {"table": "customer", "by": "up"}}}
    made.write(
        {
            "customer": {
                "from": "customers", "key": {"map": ["id"], "match": ["email"]},
                "columns": {"email": "email", "name": "name", **up}, "create": {"unique": [["email"]]},
            } | customer,
            "purchase": {
                "from": "orders", "key": {"map": ["id"]},
                "columns": {"customer_id": {"lookup": {"table": "customer", "by": "cust"}}, "item": "item"},
            },
        },
        defaults={"window": {"rows": 2}},
    )  # fmt: skip
    made.source.insert("customers", [("c1", "e1", None, "x"), ("c2", "e2", "c1", "x"), ("c3", "e3", None, "x")])
    made.source.insert("orders", [(10 * n + k, f"c{n}", "x") for n in (1, 2, 3) for k in (1, 2)])


def there(made: Scenario) -> Rows:
    found = 'SELECT c.email, c.name, p.item FROM "customer" c LEFT JOIN "purchase" p ON p.customer_id = c.id'
    return sorted(made.target.ask(found), key=str)


@other_half
def test_a_tree_goes_through_identity_maps(pair: Scenario) -> None:
    identity(pair)
    pair.run()
    pair.settled()
    before = pair.target.content()
    known = dict(pair.target.ask("SELECT email, id FROM customer"))
    pair.source.execute(
        "UPDATE customers SET name = 'y'", "UPDATE orders SET item = 'y'", "DELETE FROM orders WHERE no IN (11, 31)"
    )
    pair.source.insert("orders", [(13, "c1", "new"), (33, "c3", "new")])
    pair.source.insert("customers", [("c4", "e4", "c1", "new"), ("c5", "e5", "c3", "new")])
    pair.source.insert("orders", [(41, "c4", "new")])
    done = tree(pair, f"customer:{known['e1']}")
    assert counts(done, "customer") == {"source_rows": 3, "insert": 1, "update": 2}
    assert counts(done, "purchase") == {"source_rows": 5, "insert": 2, "update": 3, "delete": 1}
    assert there(pair) == [
        ("e1", "y", "new"), ("e1", "y", "y"), ("e2", "y", "y"), ("e2", "y", "y"), ("e3", "x", "x"), ("e3", "x", "x"), ("e4", "new", "new"),
    ]  # fmt: skip
    assert tree(pair, f"customer:{known['e1']}", kind="verify").status == Status.DONE
    assert tree(pair, f"customer:{known['e3']}", kind="verify").status == Status.CHANGES
    assert undo(pair, done.report.version).status == Status.DONE
    assert pair.target.content() == before
    pair.run()
    pair.settled()


@ONE
def test_new_rows_of_an_identity_map_are_named_by_the_key_of_the_source(pair: Scenario) -> None:
    identity(pair)
    with pytest.raises(SynclineError, match="purchase refers to customer"):
        tree(pair, 'purchase:[{"no":21}]')
    done = tree(pair, 'purchase:[{"no":21}]', with_parents=True)
    assert (counts(done, "customer"), counts(done, "purchase")) == (
        {"source_rows": 2, "insert": 2},
        {"source_rows": 1, "insert": 1},
    )
    assert there(pair) == [("e1", "x", None), ("e2", "x", "x")]
    assert counts(tree(pair, 'customer:[{"no":"c3"}]'), "purchase") == {"source_rows": 2, "insert": 2}
    for wrong in ('{"no":"c9"}', '{"name":"x"}', '{"nothing":1}'):
        with pytest.raises(SynclineError, match="customer has no row with the key"):
            tree(pair, f"customer:[{wrong}]")
    assert counts(pair.run(), "customer") == {"source_rows": 3, "unchanged": 3}
    pair.settled()


def test_an_object_is_no_key_of_a_table_whose_key_both_sides_have(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    made = Scenario.make(tmp_path, ("sqlite", "sqlite"), request)
    made.source.execute("CREATE TABLE t (k text PRIMARY KEY)", "CREATE TABLE n (id integer PRIMARY KEY)")
    made.source.insert("t", [('[{"a":1}]',)])
    made.write({"t": {"from": "t"}, "n": {"from": "n"}})
    assert tree(made, 't:[{"a":1}]').report.total.insert == 1
    with pytest.raises(SynclineError, match=r"is no value of n\.id"):
        tree(made, 'n:[{"id":1}]')
