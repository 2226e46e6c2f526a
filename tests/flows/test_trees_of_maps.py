"""Trees through identity maps and lookups of every kind: keys of several columns, maps that are gone back through, lookups that match by
others, and rows that find each other by their values."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenario import Scenario, Status, balanced, counts, quarantine

from flows import commands
from flows.bind.roots import parse_root
from flows.commands import Outcome
from flows.plan.trees.chosen_tree import Trees


@pytest.fixture
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    return Scenario.make(tmp_path, ("sqlite", "sqlite"), request)


def tree(scenario: Scenario, *roots: str, kind: Any = "run") -> Outcome:
    request = scenario.request(kind, trees=Trees(tuple(parse_root(text, scenario.spec) for text in roots)))
    return balanced(commands.verify(request) if kind == "verify" else commands.run(request))


def test_maps_of_keys_of_several_columns_lead_to_rows_that_refer_by_all_of_them(small: Scenario) -> None:
    small.source.execute(
        "CREATE TABLE customers (site integer, no text, name text, PRIMARY KEY (site, no))",
        "CREATE TABLE orders (no integer PRIMARY KEY, site integer, cust text, v text)",
    )

    def customer(take: str) -> dict[str, Any]:
        return {"lookup": {"table": "customer", "by": ["site", "cust"], "take": take}}

    foreign = {"columns": ["tenant", "customer_id"], "table": "customer", "refers": ["tenant", "id"]}
    small.write(
        {
            "customer": {"from": "customers", "key": {"map": ["tenant", "id"]}, "columns": {"tenant": "site", "name": "name"}},
            "purchase": {
                "from": "orders", "key": ["no"], "create": {"foreign_keys": [foreign]},
                "columns": {"no": "no", "tenant": customer("tenant"), "customer_id": customer("id"), "v": "v"},
            },
        }
    )  # fmt: skip
    small.source.insert("customers", [(1, "a", "1a"), (1, "b", "1b"), (2, "a", "2a")])
    small.source.insert("orders", [(1, 1, "a", "x"), (2, 1, "b", "x"), (3, 2, "a", "x")])
    key = '{"site":1,"no":"a"}'
    assert tree(small, f"customer:[{key},{key}]").report.total.insert == 2
    assert small.target.rows("purchase", "no") == [(1,)]
    small.run()
    small.settled()
    small.source.execute("UPDATE orders SET v = 'y'", "DELETE FROM orders WHERE no = 2")
    known = {
        name: f"customer:[{site},{number}]"
        for site, number, name in small.target.ask("SELECT tenant, id, name FROM customer")
    }
    assert counts(tree(small, known["1b"]), "purchase") == {"delete": 1}
    assert counts(tree(small, known["2a"]), "purchase") == {"source_rows": 1, "update": 1}
    assert small.target.rows("purchase", "no, v") == [(1, "x"), (3, "y")]


def test_rows_that_refer_by_the_key_of_the_target_hang_below_it_through_the_map(small: Scenario) -> None:
    small.source.execute(
        "CREATE TABLE customers (no text PRIMARY KEY, name text)",
        "CREATE TABLE links (id integer PRIMARY KEY, theirs integer, v text)",
    )
    customer = {"lookup": {"table": "customer", "by": "theirs", "to": "source"}}
    small.write(
        {
            "customer": {"from": "customers", "key": {"map": ["id"]}, "columns": {"name": "name"}},
            "link": {"from": "links", "key": ["id"], "columns": {"id": "id", "ours": customer, "v": "v"}},
        }
    )
    small.source.insert("customers", [("a", "a"), ("b", "b")])
    small.run()
    known = dict(small.target.ask("SELECT name, id FROM customer"))
    small.source.insert("links", [(1, known["a"], "x"), (2, known["b"], "x")])
    assert counts(tree(small, f"customer:{known['a']}"), "link") == {"source_rows": 1, "insert": 1}
    small.run()
    small.source.execute("DELETE FROM links")
    assert counts(tree(small, f"customer:{known['a']}"), "link") == {"delete": 1}
    assert small.target.rows("link") == [(2, "b", "x")]


def test_lookups_that_match_by_other_lookups_are_followed_in_both_directions(small: Scenario) -> None:
    small.source.execute(
        "CREATE TABLE orders (no text PRIMARY KEY, v text)",
        "CREATE TABLE items (order_no text, pos integer, v text, PRIMARY KEY (order_no, pos))",
        "CREATE TABLE marks (order_no text, pos integer, nr integer, v text, PRIMARY KEY (order_no, pos, nr))",
    )
    order = {"lookup": {"table": "purchase", "match": {"no": "order_no"}, "take": "id"}}
    line = {"lookup": {"table": "line", "match": {"purchase_id": "purchase_id", "pos": "pos"}, "take": "id"}}
    number = {"generate": "identity"}
    small.write(
        {
            "purchase": {
                "from": "orders", "key": ["no"], "columns": {"id": number, "no": "no", "v": "v"}, "create": {"unique": [["id"]]},
            },
            "line": {
                "from": "items", "key": ["purchase_id", "pos"], "create": {"unique": [["id"]]},
                "columns": {"id": number, "purchase_id": order, "pos": "pos", "v": "v"},
            },
            "mark": {
                "from": "marks", "key": ["line_id", "nr"],
                "columns": {"purchase_id": order, "line_id": line, "nr": "nr", "v": "v"},
            },
        }
    )  # fmt: skip

    def insert(no: str) -> None:
        small.source.insert("orders", [(no, "x")])
        small.source.insert("items", [(no, 1, "x"), (no, 2, "x")])
        small.source.insert("marks", [(no, 1, 1, "x"), (no, 2, 1, "x")])

    insert("a")
    insert("b")
    assert counts(tree(small, "purchase:a"), "mark") == {"source_rows": 2, "insert": 2}
    small.run()
    small.settled()
    small.source.execute("UPDATE marks SET v = 'y'", "DELETE FROM marks WHERE pos = 2")
    insert("c")
    assert counts(tree(small, "purchase:b"), "mark") == {"source_rows": 1, "update": 1, "delete": 1}
    known = dict(small.target.ask("SELECT no, id FROM purchase"))
    assert counts(tree(small, f"line:[{known['a']},1]"), "mark") == {"source_rows": 1, "update": 1}
    assert counts(tree(small, "purchase:c"), "mark") == {"source_rows": 2, "insert": 2}
    assert tree(small, "purchase:c", kind="verify").status is Status.DONE
    assert tree(small, "purchase:a", kind="verify").status is Status.CHANGES


def test_rows_of_a_tree_find_each_other_by_their_values_as_those_of_a_whole_run_do(small: Scenario) -> None:
    small.source.execute("CREATE TABLE customers (no text PRIMARY KEY, email text, name text)")
    small.target.execute(
        "CREATE TABLE customer (id integer PRIMARY KEY, email text, name text)",
        "INSERT INTO customer VALUES (5, 'e1', 'x'), (6, 'e2', 'x'), (7, 'e2', 'x'), (8, NULL, 'x'), (9, 'e4', 'x')",
    )
    small.source.insert("customers", list(zip("abcdef", ["e1", "e2", "e3", None, "e4", "e4"], "yyyyyy", strict=True)))
    columns = {"email": "email", "name": "name"}
    small.write({"customer": {"from": "customers", "key": {"map": ["id"], "match": ["email"]}, "columns": columns}})
    assert counts(tree(small, "customer:5"), "customer") == {"source_rows": 1, "update": 1}
    assert counts(tree(small, 'customer:[{"no":"c"}]'), "customer") == {"source_rows": 1, "insert": 1}
    for no in "bde":  # two rows of the target have its value; it has none; another row outside of the tree has it
        assert counts(tree(small, f'customer:[{{"no":"{no}"}}]'), "customer").get("quarantined"), no
    assert [key for _, key, _ in quarantine(small)][:3] == [[{"no": "b"}], [{"no": "d"}], [{"no": "e"}]]
    before = small.target.content()
    assert [row[0] for row in before["customer"]] == [10, 5, 6, 7, 8, 9]
    small.run()
    assert small.target.content() == before
