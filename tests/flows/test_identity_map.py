"""Tables that both sides number by themselves: rows are matched by an identity map."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from click.testing import CliRunner
from scenario import RING, Rows, Scenario, counts, halves, pair_name, quarantine

from adapters.ledger.identity import PAIRS
from flows import commands
from flows.bind.roots import parse_root
from flows.cli.main import main
from flows.commands import Status
from flows.history import identity as maps
from flows.plan.trees.chosen_tree import Trees
from flows.session.stores import ledger_of
from transforms.vocabulary import PlanError, SynclineError

everywhere = pytest.mark.parametrize("shop", RING, indirect=True, ids=pair_name)
one_half, other_half = halves("shop")
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


def lose(shop: Scenario, table: str) -> None:
    """What a ledger knows that was lost."""
    with ledger_of(shop.spec) as ledger:
        ledger.identities.replace("shop", table, PAIRS.empty_table(), "lost")


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


@one_half
def test_an_undo_of_a_tree_follows_the_map_and_takes_back_the_pairs_of_its_rows_alone(shop: Scenario) -> None:
    fill(shop, [("c1", "e1", "Al"), ("c2", "e2", "Bo")], [(7, "c1", "x"), (8, "c2", "y")])
    shop.run()
    first, customers, orders = shop.target.content(), pairs(shop), pairs(shop, "purchase")
    fill(
        shop,
        [("c1", "e1", "Alf"), ("c3", "e3", "Cy"), ("c4", "e4", "Di")],
        [(7, "c1", "x"), (9, "c3", "z"), (10, "c4", "w")],
    )
    shop.run()
    now, bought = pairs(shop), pairs(shop, "purchase")
    root = "customer:" + now['["c3"]'].strip("[]")
    trees = Trees((parse_root(root, shop.spec),))
    assert commands.undo(shop.request("undo", trees=trees), 2).status == Status.DONE
    assert there(shop) == [("w", "Di"), ("x", "Alf")], "no order stays without its customer"
    assert pairs(shop) == {source: key for source, key in now.items() if source != '["c3"]'}
    assert pairs(shop, "purchase") == {source: key for source, key in bought.items() if source != "[9]"}
    assert shop.undo(3).status == Status.DONE
    assert (pairs(shop), pairs(shop, "purchase")) == (now, bought)
    assert shop.undo(2).status == Status.DONE
    assert (shop.target.content(), pairs(shop), pairs(shop, "purchase")) == (first, customers, orders)


@other_half
def test_rows_that_are_on_both_sides_find_each_other_by_their_values_and_the_ledger_may_be_lost(shop: Scenario) -> None:
    fill(shop, [("c1", "e1", "Al"), ("c2", "e2", "Bo")], [(7, "c1", "x")])
    shop.run()
    shop.target.execute("DELETE FROM purchase")
    lose(shop, "customer")
    lose(shop, "purchase")
    known = dict(shop.target.ask("SELECT email, id FROM customer"))
    fill(shop, [("k9", "e1", "Al"), ("k8", "e2", "Bob"), ("k7", "e3", "Cy")], [(7, "k9", "x")])
    done = shop.run()
    assert counts(done, "customer") == {"source_rows": 3, "insert": 1, "update": 1, "unchanged": 1}
    assert dict(shop.target.ask("SELECT email, id FROM customer")) == {**known, "e3": 3}
    assert there(shop) == [("x", "Al")]
    assert pairs(shop)['["k8"]'] == f"[{known['e2']}]"
    shop.settled()


def test_values_that_several_rows_have_and_nulls_are_set_aside_and_the_targets_rows_stay(shop: Scenario) -> None:
    shop.target.execute(
        "CREATE TABLE customer (id integer PRIMARY KEY, email varchar(30), name varchar(30))",
        "INSERT INTO customer VALUES (5, 'e1', 'Al'), (6, 'e1', 'Alf'), (7, 'e2', 'Bo'), (8, NULL, 'Cy'), (9, 'gone', 'x')",
    )
    fill(
        shop,
        [("c1", "e1", "Al"), ("c2", "e2", "Bo"), ("c3", "e2", "Bob"), ("c4", None, "Cy"), ("c5", "e5", "Di")],
        [(1, "c2", "x")],
    )
    done = shop.run()
    assert counts(done, "customer") == {"source_rows": 5, "insert": 1, "delete": 1, "quarantined": 4, "unproved": 4}
    assert [(key, why) for table, key, why in quarantine(shop) if table == "customer"] == [
        ([{"no": "c1"}], "several rows of a side have its (email), so which row of the target it is cannot be said"),
        ([{"no": "c2"}], "several rows of a side have its (email), so which row of the target it is cannot be said"),
        ([{"no": "c3"}], "several rows of a side have its (email), so which row of the target it is cannot be said"),
        ([{"no": "c4"}], "has a null in (email), so which row of the target it is cannot be said"),
    ]
    assert sorted(number for (number,) in shop.target.ask("SELECT id FROM customer")) == [5, 6, 7, 8, 10]
    assert counts(done, "purchase") == {"source_rows": 1, "quarantined": 1}
    shop.settled()


def test_a_table_with_rows_and_no_pairs_is_refused_unless_values_tell(shop: Scenario) -> None:
    fill(shop, [("c1", "e1", "Al")], [(1, "c1", "x")])
    shop.run()
    lose(shop, "purchase")
    before = shop.target.content()
    with pytest.raises(PlanError, match="nothing says which rows of the source they are"):
        shop.run()
    assert shop.target.content() == before


def test_a_map_is_rebuilt_from_history_from_a_column_or_from_a_file(shop: Scenario, tmp_path: Path) -> None:
    columns = {**CUSTOMER["columns"], "legacy_no": "no"}
    shop.write({"customer": {**CUSTOMER, "key": {"map": ["id"]}, "columns": columns}, "purchase": ORDER})
    fill(shop, [("c1", "e1", "Al"), ("c2", "e2", "Bo"), ("c3", "e3", "Cy")], [(1, "c1", "x")])
    shop.run()
    fill(shop, [("c1", "e1", "Al"), ("c3", "e3", "Cy"), ("c4", "e4", "Di")], [(1, "c1", "x")])
    shop.run()
    known, spec = pairs(shop), shop.spec
    assert maps.exported(spec, "customer", tmp_path / "pairs.parquet") == 3
    shop.path.with_name("ledger.db").rename(tmp_path / "lost.db")
    assert maps.rebuilt_from_history(spec, "customer") == 3
    assert maps.rebuilt_from_history(spec, "purchase") == 1
    assert pairs(shop) == known
    shop.settled()
    for rebuild in (
        lambda: maps.rebuilt_from_history(spec, "customer"),
        lambda: maps.rebuilt_from_column(spec, "customer", ["legacy_no"]),
        lambda: maps.imported(spec, "customer", tmp_path / "pairs.parquet"),
    ):
        lose(shop, "customer")
        assert rebuild() == 3
        assert pairs(shop) == known
        shop.settled()


def test_an_import_with_two_partners_a_lost_row_or_another_partner_is_refused(shop: Scenario, tmp_path: Path) -> None:
    fill(shop, [("c1", "e1", "Al"), ("c2", "e2", "Bo")])
    shop.run()
    known = pairs(shop)
    for number, (source, target, why) in enumerate((
        (['["c1"]', '["c3"]'], ["[1]", "[1]"], "several partners"),
        (['["c1"]'], ["[77]"], r"does not have the row, such as \[77\]"),
        (['["c3"]'], ["[1]"], "do not fit the identity map"),
        (['["c1"]'], ["x"], "no JSON"),
        (['["c1"]'], ['["x"]'], "is no key"),
    )):  # fmt: skip
        file = tmp_path / f"{number}.parquet"
        pq.write_table(pa.table({"source_key": source, "target_key": target}), file)
        with pytest.raises(SynclineError, match=why):
            maps.imported(shop.spec, "customer", file)
        assert pairs(shop) == known


def test_of_two_plans_of_the_same_new_row_only_one_is_applied(shop: Scenario) -> None:
    fill(shop, [("c1", "e1", "Al")])
    first, second = (shop.plan(folder=shop.folder / name) for name in ("one", "two"))
    shop.apply(first.report.plan)
    fill(shop, [("c1", "e1", "Al"), ("c2", "e2", "Bo")])
    third, fourth = (shop.plan(folder=shop.folder / name) for name in ("three", "four"))
    shop.target.execute("DELETE FROM customer")
    lose(shop, "customer")
    shop.apply(second.report.plan)
    assert shop.target.count("customer") == 1
    shop.apply(third.report.plan)
    with ledger_of(shop.spec) as ledger:
        ledger.identities.record("shop", "customer", pa.table([['["c2"]'], ["[9]"]], PAIRS), PAIRS.empty_table(), "r")
    with pytest.raises(PlanError, match="another partner"):
        shop.apply(fourth.report.plan)


@one_half
def test_keys_of_several_columns_on_both_sides_and_a_row_that_refers_to_its_own_table(shop: Scenario) -> None:
    shop.source.execute(
        "CREATE TABLE staff (site varchar(3), no integer, boss_site varchar(3), boss integer, pay varchar(9), PRIMARY KEY (site, no))"
    )
    columns = {
        "site": "site", "pay": {"from": "pay", "cast": "integer"},
        "boss_site": {"lookup": {"table": "person", "by": ["boss_site", "boss"], "take": "site"}},
        "boss_id": {"lookup": {"table": "person", "by": ["boss_site", "boss"], "take": "id"}},
    }  # fmt: skip
    shop.write(
        {"person": {"from": "staff", "key": {"map": ["site", "id"]}, "columns": columns}},
        defaults={"window": {"rows": 2}},
    )
    rows = [
        ("a", 1, None, None, "1"),
        ("b", 1, "a", 1, "2"),
        ("a", 2, "b", 1, "3"),
        ("b", 9, "a", 5, "4"),
        ("a", 5, None, None, "no"),
    ]
    shop.source.insert("staff", rows)
    done = shop.run()
    assert counts(done, "person") == {"source_rows": 5, "insert": 3, "quarantined": 2}
    found = dict(shop.target.ask("SELECT pay, id FROM person"))
    bosses = shop.target.ask("SELECT pay, boss_site, boss_id FROM person")
    assert sorted(bosses) == [(1, None, None), (2, "a", found[1]), (3, "b", found[2])]
    shop.settled()


def test_the_command_lists_exports_and_rebuilds(shop: Scenario, tmp_path: Path) -> None:
    fill(shop, [("c1", "e1", "Al")])
    shop.run()

    def said(*words: str) -> dict[str, Any]:
        done = CliRunner().invoke(main, ["identity", str(shop.path), *words, "--json"])
        assert done.exit_code == 0, done.output
        return dict(json.loads(done.output))

    pair = {"table": "customer", "source_key": '["c1"]', "target_key": "[1]"}
    assert said("list") == {"migration": "shop", "maps": {"customer": 1, "purchase": 0}, "pairs": [pair]}
    file = str(tmp_path / "pairs.parquet")
    told = {"migration": "shop", "table": "customer", "pairs": 1}
    assert said("export", "--table", "customer", "--file", file) == told
    lose(shop, "customer")
    assert said("import", "--table", "customer", "--file", file) == told
    assert said("rebuild", "--table", "customer", "--history") == told
    wrong = CliRunner().invoke(
        main, ["identity", str(shop.path), "rebuild", "--table", "customer", "--column", "name", "--json"]
    )
    assert wrong.exit_code == 0 and pairs(shop) == {'["Al"]': "[1]"}
