"""Trees: a root row and all that hangs below it, on both sides, and nothing else."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from scenario import RING, Scenario, Status, counts, halves, pair_name

from flows import commands
from flows.bind.roots import parse_root
from flows.cli.main import main
from flows.commands import Outcome
from flows.plan.request import Request
from flows.plan.trees.chosen_tree import Trees
from transforms.vocabulary import SynclineError

ONE = pytest.mark.parametrize("shop", RING[:1], indirect=True, ids=pair_name)
"""For what has nothing to do with engines."""
one_half, other_half = halves("shop")


def trees(scenario: Scenario, *roots: str, with_parents: bool = False, kind: Any = "run") -> Request:
    asked = Trees(tuple(parse_root(text, scenario.spec) for text in roots), with_parents)
    return scenario.request(kind, trees=asked)


@pytest.fixture(params=RING, ids=pair_name)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Customers with orders with lines by foreign keys, and notes that a lookup hangs below customers."""
    made = Scenario.make(tmp_path, request.param, request)
    for side in (made.source, made.target):
        side.execute(
            "CREATE TABLE customer (id integer PRIMARY KEY, code varchar(10) NOT NULL UNIQUE, name varchar(20))",
            "CREATE TABLE purchase (nr integer PRIMARY KEY, customer_id integer, note varchar(20), "
            "FOREIGN KEY (customer_id) REFERENCES customer (id))",
            "CREATE TABLE line (nr integer NOT NULL, pos integer NOT NULL, item varchar(20), PRIMARY KEY (nr, pos), "
            "FOREIGN KEY (nr) REFERENCES purchase (nr))",
            "CREATE INDEX by_customer ON purchase (customer_id)",
        )
    made.source.execute("CREATE TABLE memo (id integer PRIMARY KEY, customer varchar(10), txt varchar(20))")
    made.target.execute("CREATE TABLE memo (id integer PRIMARY KEY, customer_id integer, txt varchar(20))")
    for n in (1, 2, 3):
        made.source.insert("customer", [(n, f"C{n}", f"name {n}")])
        made.source.insert("purchase", [(10 * n, n, "a"), (10 * n + 1, n, "b")])
        made.source.insert("line", [(10 * n, 1, "x"), (10 * n, 2, "y"), (10 * n + 1, 1, "z")])
        made.source.insert("memo", [(n, f"C{n}", "hello")])
    made.source.insert("purchase", [(99, None, "nobody's")])
    made.write(
        {
            "customer": {"from": "customer", "key": ["id"]},
            "purchase": {"from": "purchase", "key": ["nr"]},
            "line": {"from": "line", "key": ["nr", "pos"]},
            "memo": {
                "from": "memo",
                "key": ["id"],
                "columns": {
                    "id": "id",
                    "txt": "txt",
                    "customer_id": {"lookup": {"table": "customer", "match": {"code": "customer"}, "take": "id"}},
                },
            },
        }
    )
    return made


def run(scenario: Scenario, *roots: str, **more: Any) -> Outcome:

    return commands.run(trees(scenario, *roots, **more))


def test_a_tree_is_brought_over_and_nothing_else(shop: Scenario) -> None:
    done = run(shop, "customer:2")
    assert done.status == Status.DONE
    assert counts(done, "customer") == {"source_rows": 1, "insert": 1}
    assert shop.target.rows("customer") == [(2, "C2", "name 2")]
    assert shop.target.rows("purchase") == [(20, 2, "a"), (21, 2, "b")]
    assert shop.target.rows("line") == [(20, 1, "x"), (20, 2, "y"), (21, 1, "z")]
    assert shop.target.rows("memo") == [(2, 2, "hello")]


def everything(scenario: Scenario) -> None:
    """Both sides are alike."""
    assert scenario.run().status == Status.DONE


@one_half
def test_rows_outside_of_a_tree_stay_as_they_are_whatever_was_done_to_them(shop: Scenario) -> None:
    everything(shop)
    for side, text in ((shop.source, "s"), (shop.target, "t")):
        side.execute(
            f"UPDATE customer SET name = '{text}'",
            f"UPDATE purchase SET note = '{text}'",
            f"UPDATE line SET item = '{text}'",
            f"UPDATE memo SET txt = '{text}'",
        )
    others = {table: shop.target.rows(table) for table in ("customer", "purchase", "line", "memo")}
    done = run(shop, "customer:1")
    assert {name: counts(done, name) for name in others} == {
        "customer": {"source_rows": 1, "update": 1},
        "purchase": {"source_rows": 2, "update": 2},
        "line": {"source_rows": 3, "update": 3},
        "memo": {"source_rows": 1, "update": 1},
    }
    assert shop.target.rows("customer") == [(1, "C1", "s"), *others["customer"][1:]]
    assert shop.target.rows("purchase") == [(10, 1, "s"), (11, 1, "s"), *others["purchase"][2:]]
    assert shop.target.rows("memo") == [(1, 1, "s"), *others["memo"][1:]]
    assert commands.verify(trees(shop, "customer:1", kind="verify")).status == Status.DONE
    assert commands.verify(trees(shop, "customer:2", kind="verify")).status == Status.CHANGES


@other_half
def test_a_tree_that_only_the_target_has_is_deleted_children_first(shop: Scenario) -> None:
    everything(shop)
    shop.source.execute(
        "DELETE FROM line WHERE nr IN (20, 21)", "DELETE FROM purchase WHERE customer_id = 2",
        "DELETE FROM memo WHERE id = 2", "DELETE FROM customer WHERE id = 2", "DELETE FROM line WHERE nr = 30",
    )  # fmt: skip
    done = run(shop, "customer:2")
    assert done.report.total.delete == 1 + 2 + 3 + 1
    assert [row[0] for row in shop.target.rows("customer")] == [1, 3]
    assert [row[0] for row in shop.target.rows("line")] == [10, 10, 11, 30, 30, 31]
    shop.undo(done.report.version)
    assert shop.target.rows("line", "nr, pos") == [
        (nr, pos) for nr in (10, 11, 20, 21, 30, 31) for pos in ((1, 2) if nr % 10 == 0 else (1,))
    ]


@one_half
def test_a_row_that_moved_into_a_tree_or_out_of_it_is_updated(shop: Scenario) -> None:
    if "duckdb" in (shop.source.engine, shop.target.engine):  # it gives no other parent to a row that others refer to
        shop.source.execute("DELETE FROM line WHERE nr IN (10, 21)")
    everything(shop)
    shop.source.execute(
        "UPDATE purchase SET customer_id = 2 WHERE nr = 10", "UPDATE purchase SET customer_id = 3 WHERE nr = 21"
    )
    lines = shop.source.ask("SELECT count(*) FROM line WHERE nr IN (10, 20, 21)")[0][0]
    done = run(shop, "customer:2")
    assert counts(done, "purchase") == {"source_rows": 3, "update": 2, "unchanged": 1}
    assert counts(done, "line")["source_rows"] == lines  # what hung below it on either side comes along
    assert shop.target.rows("purchase", "nr, customer_id") == [
        (10, 2), (11, 1), (20, 2), (21, 3), (30, 3), (31, 3), (99, None)
    ]  # fmt: skip


@ONE
def test_roots_may_share_rows_and_be_named_twice(shop: Scenario) -> None:
    done = run(shop, "customer:1", "purchase:[10]", "purchase:10", "customer:1", "customer:3", "line:[31,1]")
    assert counts(done, "customer") == {"source_rows": 2, "insert": 2}
    assert counts(done, "purchase") == {"source_rows": 4, "insert": 4}
    assert counts(done, "line") == {"source_rows": 6, "insert": 6}
    assert done.report.as_dict()["tree"][:2] == ["customer:1", "purchase:[10]"]


@ONE
def test_a_root_that_no_side_has_is_an_error(shop: Scenario) -> None:
    with pytest.raises(SynclineError, match="customer has no row with the key"):
        run(shop, "customer:1", "customer:77")
    assert shop.target.count("customer") == 0


@other_half
def test_parents_that_the_target_lacks_come_along_or_are_named(shop: Scenario) -> None:
    with pytest.raises(SynclineError) as refused:
        run(shop, "purchase:20")
    assert "purchase refers to customer [2] by (customer_id)" in str(refused.value)
    assert "--with-parents" in str(refused.value.fix)
    assert shop.target.count("purchase") == 0
    done = run(shop, "line:[20,1]", with_parents=True)
    assert [done.report.total.insert, done.report.total.source_rows] == [3, 3]
    assert shop.target.rows("line") == [(20, 1, "x")]
    assert shop.target.rows("purchase") == [(20, 2, "a")]
    assert shop.target.rows("customer") == [(2, "C2", "name 2")]
    assert run(shop, "memo:2").report.total.insert == 1  # its customer is there


@ONE
def test_the_command_line_names_trees_in_its_json(shop: Scenario) -> None:
    options = ["--tree", "customer:1", "--json"]
    planned = CliRunner().invoke(main, ["plan", str(shop.path), *options])
    assert planned.exit_code == 2
    assert json.loads(planned.stdout)["tree"] == ["customer:1"]
    assert CliRunner().invoke(main, ["check", str(shop.path), *options]).exit_code == 0
    assert CliRunner().invoke(main, ["run", str(shop.path), *options, "--direct"]).exit_code == 0
    assert CliRunner().invoke(main, ["verify", str(shop.path), *options]).exit_code == 0
    both = CliRunner().invoke(main, ["run", str(shop.path), *options, "--table", "line"])
    assert both.exit_code == 1
    assert json.loads(both.stdout)["fix"] == "give --tree without --table and --range."
