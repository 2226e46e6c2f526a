"""Undo of trees: of a version the changes of a row and of what hangs below it are taken back, and all others stay."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from rows_read import rows_read
from scenario import RING, Rows, Scenario, Status, counts, halves, pair_name

from flows import commands
from flows.bind.roots import parse_root
from flows.cli.main import main
from flows.commands import Outcome
from flows.history.asof import asof
from flows.history.log import difference, life
from flows.history.version_list import listed
from flows.plan.trees.chosen_tree import Trees
from transforms.vocabulary import PlanError, SpecError, SynclineError

ONE = pytest.mark.parametrize("shop", RING[3:], indirect=True, ids=pair_name)
"""For what has nothing to do with engines."""
one_half, other_half = halves("shop")
TABLES = ("customer", "purchase", "line", "memo")
DEFAULTS = {"window": 2, "delete": {"max_ratio": 1.0}}


@pytest.fixture(params=RING, ids=pair_name)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Customers with purchases with lines by foreign keys, and memos that a lookup hangs below customers; version 1 is in."""
    made = Scenario.make(tmp_path, request.param, request)
    for side in (made.source, made.target):
        side.execute(
            "CREATE TABLE customer (id integer PRIMARY KEY, code varchar(10) NOT NULL UNIQUE, name varchar(20))",
            "CREATE TABLE purchase (nr integer PRIMARY KEY, customer_id integer, note varchar(20)"
            f"{refers('customer_id', 'customer (id)', side is made.target)})",
            "CREATE TABLE line (nr integer NOT NULL, pos integer NOT NULL, item varchar(20), PRIMARY KEY (nr, pos)"
            f"{refers('nr', 'purchase (nr)', side is made.target)})",
            "CREATE INDEX by_customer ON purchase (customer_id)",
        )
    made.source.execute("CREATE TABLE memo (id integer PRIMARY KEY, customer varchar(10), txt varchar(20))")
    made.target.execute("CREATE TABLE memo (id integer PRIMARY KEY, customer_id integer, txt varchar(20))")
    for n in (1, 2, 3):
        made.source.insert("customer", [(n, f"C{n}", "old")])
        made.source.insert("purchase", [(10 * n, n, "old"), (10 * n + 1, n, "old")])
        made.source.insert("line", [(10 * n, 1, "old"), (10 * n, 2, "old"), (10 * n + 1, 1, "old")])
        made.source.insert("memo", [(n, f"C{n}", "old")])
    lookup = {"lookup": {"table": "customer", "match": {"code": "customer"}, "take": "id"}}
    plain: dict[str, Any] = {name: {"from": name} for name in TABLES}
    memo = {"from": "memo", "columns": {"id": "id", "txt": "txt", "customer_id": lookup}}
    made.write(plain | {"memo": memo}, defaults=DEFAULTS)
    assert made.run().report.version == 1
    return made


def refers(column: str, to: str, held: bool) -> str:
    """A foreign key of the target: the source has none, as DuckDB would keep it from being edited."""
    return f", FOREIGN KEY ({column}) REFERENCES {to}" if held else ""


def second_version(shop: Scenario) -> None:
    """Every row of every customer changes, comes or goes: below 1, 2 and 3 alike."""
    shop.source.execute(
        "UPDATE customer SET name = 'new'", "UPDATE purchase SET note = 'new' WHERE nr IN (10, 20, 30)",
        "DELETE FROM line WHERE pos = 1", "DELETE FROM purchase WHERE nr IN (11, 21, 31)", "UPDATE memo SET txt = 'new'",
    )  # fmt: skip
    for n in (1, 2, 3):
        shop.source.insert("purchase", [(10 * n + 5, n, "new")])
        shop.source.insert("line", [(10 * n + 5, 7, "new")])
    assert shop.run().report.version == 2


def undo(shop: Scenario, version: int, *roots: str, **asked: Any) -> Outcome:
    trees = Trees(tuple(parse_root(text, shop.spec) for text in roots)) if roots else None
    return commands.undo(shop.request("undo", trees=trees), version, **asked)


def of(content: dict[str, Rows], customer: int) -> dict[str, Rows]:
    """What a state has of a customer and of all that hangs below it."""
    its = {row[0] for row in content["purchase"] if row[1] == customer}
    return {
        "customer": [row for row in content["customer"] if row[0] == customer],
        "purchase": [row for row in content["purchase"] if row[1] == customer],
        "line": [row for row in content["line"] if row[0] in its],
        "memo": [row for row in content["memo"] if row[1] == customer],
    }


def mixed(shop: Scenario, first: dict[str, Rows], second: dict[str, Rows], back: tuple[int, ...]) -> None:
    """The target holds some customers as they were first, and the others as they were second."""
    now = shop.target.content()
    for customer in (1, 2, 3):
        assert of(now, customer) == of(first if customer in back else second, customer), customer


def test_the_rows_of_a_tree_are_taken_back_and_then_the_rest_and_nothing_twice(shop: Scenario) -> None:
    first = shop.target.content()
    second_version(shop)
    second = shop.target.content()
    done = undo(shop, 2, "customer:2")
    assert (done.status, done.report.version) == (Status.DONE, 3)
    assert {name: counts(done, name) for name in TABLES} == {
        "customer": {"source_rows": 1, "update": 1},
        "purchase": {"source_rows": 2, "insert": 1, "update": 1, "delete": 1},
        "line": {"source_rows": 2, "insert": 2, "delete": 1},
        "memo": {"source_rows": 1, "update": 1},
    }
    mixed(shop, first, second, (2,))
    assert (listed(shop.spec)[0]["undoes"], listed(shop.spec)[0]["tree"]) == ([2], ["customer:2"])
    # whatever became of the tree since stays: the rest of the version is taken back, and nothing twice
    shop.run(tables=["customer"])
    assert shop.target.rows("customer", "name") == [("new",)] * 3
    rest = undo(shop, 2)
    assert (rest.status, counts(rest, "customer")) == (Status.DONE, {"source_rows": 2, "update": 2})
    assert shop.target.rows("customer", "id, name") == [(1, "old"), (2, "new"), (3, "old")]
    assert undo(shop, 4).status == Status.DONE
    assert shop.target.content() == first
    with pytest.raises(SpecError, match="Version 2 is taken back already, by version 5"):
        undo(shop, 2)


@ONE
def test_history_knows_what_was_taken_back_of_a_tree(shop: Scenario) -> None:
    states = [shop.target.content()]
    second_version(shop)
    states.append(shop.target.content())
    undo(shop, 2, "customer:2")
    states.append(shop.target.content())
    undo(shop, 2, "customer:1", "purchase:21")
    states.append(shop.target.content())
    for version, state in enumerate(states, 1):
        for table in TABLES:
            rows = [tuple(row.values()) for row in asof(shop.spec, version, table).to_pylist()]
            assert sorted(map(sorted, (map(str, row) for row in rows))) == sorted(
                map(sorted, (map(str, row) for row in state[table]))
            )
    assert life(shop.spec, "customer", "2")[-1]["why"] == "undo of version 2 for customer:2"
    assert not [changes for _, changes in difference(shop.spec, 3, 1, "customer") if changes.counts["update"] != 2]
    assert undo(shop, 3, to=True).status == Status.DONE
    assert shop.target.content() == states[2]
    assert undo(shop, 1, to=True).status == Status.DONE
    assert shop.target.content() == states[0]


@ONE
def test_undoing_what_was_taken_back_of_a_tree_brings_it_back(shop: Scenario) -> None:
    first = shop.target.content()
    second_version(shop)
    second = shop.target.content()
    undo(shop, 2, "customer:2")
    assert undo(shop, 3).status == Status.DONE
    assert shop.target.content() == second
    assert undo(shop, 2).status == Status.DONE, "nothing of it is taken back any more"
    assert shop.target.content() == first
    assert undo(shop, 5, "customer:3").status == Status.DONE, "a tree of an undo"
    mixed(shop, first, second, (1, 2))
    assert undo(shop, 2).status == Status.DONE, "what an undo was taken back of is there to be taken back"
    assert shop.target.content() == first
    with pytest.raises(SpecError, match="taken back already"):
        undo(shop, 2)


@ONE
def test_several_versions_of_a_tree_are_taken_back_at_once(shop: Scenario) -> None:
    first = shop.target.content()
    second_version(shop)
    second = shop.target.content()
    shop.source.execute("UPDATE customer SET name = 'old'", "UPDATE purchase SET note = 'newer'")
    shop.run()
    third = shop.target.content()
    assert undo(shop, 1, "customer:1", to=True).status == Status.DONE
    mixed(shop, first, third, (1,))
    assert undo(shop, 3).status == Status.DONE, "of the tree it is taken back, also where nothing was to be written"
    mixed(shop, first, second, (1,))
    assert undo(shop, 2).status == Status.DONE
    assert shop.target.content() == first


@one_half
def test_rows_that_moved_into_a_tree_or_out_of_it_belong_to_it(shop: Scenario) -> None:
    if shop.target.engine == "duckdb":  # it gives no other parent to a row that others refer to
        shop.source.execute("DELETE FROM line WHERE nr IN (10, 21)")
        shop.run()
    before = shop.target.content()
    shop.source.execute(
        "UPDATE purchase SET customer_id = 2 WHERE nr = 10", "UPDATE purchase SET customer_id = 3 WHERE nr = 21",
        "UPDATE purchase SET note = 'new' WHERE nr = 30", "UPDATE memo SET customer = 'C3' WHERE id = 2",
    )  # fmt: skip
    version = shop.run().report.version
    done = undo(shop, int(str(version)), "customer:2")
    assert done.status == Status.DONE
    assert {**shop.target.content(), "purchase": []} == {**before, "purchase": []}
    assert shop.target.rows("purchase") == [(30, 3, "new") if row[0] == 30 else row for row in before["purchase"]], (
        "what moved out of the tree and into it came back, and nothing else"
    )


@other_half
def test_a_row_outside_of_the_tree_that_needs_one_of_it_is_named_and_nothing_is_written(shop: Scenario) -> None:
    shop.source.execute("INSERT INTO customer VALUES (4, 'C4', 'new')", "INSERT INTO purchase VALUES (40, 4, 'new')")
    assert shop.run().report.version == 2
    shop.source.execute("INSERT INTO purchase VALUES (41, 4, 'newer')")
    assert shop.run().report.version == 3
    before = shop.target.content()
    with pytest.raises(PlanError, match=r"would leave 1 rows of \S*purchase without their \S*customer, such as \[41\]"):
        undo(shop, 2, "customer:4")
    shop.source.execute("UPDATE customer SET name = 'newer' WHERE id = 4")
    shop.run()
    assert undo(shop, 2, "purchase:40").status == Status.DONE
    assert shop.target.rows("purchase") == [row for row in before["purchase"] if row[0] != 40]
    done = undo(shop, 1, "customer:4", to=True)
    assert done.status == Status.DONE
    assert [row[0] for row in shop.target.rows("customer")] == [1, 2, 3]


@one_half
def test_a_row_of_the_tree_that_somebody_edited_is_a_conflict_and_tried_again(shop: Scenario) -> None:
    first = shop.target.content()
    second_version(shop)
    second = shop.target.content()
    shop.target.execute("UPDATE customer SET name = 'mine' WHERE id = 2")
    done = undo(shop, 2, "customer:2")
    assert done.status == Status.CONFLICTS
    assert counts(done, "customer") == {"source_rows": 1, "conflicts": 1}
    shop.target.execute("UPDATE customer SET name = 'new' WHERE id = 2")
    again = undo(shop, 2, "customer:2")
    assert (again.status, again.report.total.changes) == (Status.DONE, 1)
    mixed(shop, first, second, (2,))


def test_rows_that_a_lookup_of_one_of_several_sources_hangs_below_a_root_belong_to_its_tree(
    request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    made = Scenario.make(tmp_path, ("sqlite", "sqlite"), request)
    for side, memos in ((made.source, ("one", "two")), (made.target, ("memo",))):
        side.execute("CREATE TABLE customer (id integer PRIMARY KEY, code varchar(9) UNIQUE)")
        for name in memos:
            of = "customer_id integer" if name == "memo" else "code varchar(9)"
            side.execute(f"CREATE TABLE {name} (id integer PRIMARY KEY, {of}, txt varchar(9))")
    lookup = {"lookup": {"table": "customer", "match": {"code": "code"}, "take": "id"}}
    parts = [{"table": name, "columns": {"id": "id", "txt": "txt", "customer_id": lookup}} for name in ("one", "two")]
    made.write({"customer": {"from": "customer"}, "memo": {"from": parts, "key": ["id"]}})
    made.source.insert("customer", [(1, "C1"), (2, "C2")])
    made.source.insert("one", [(1, "C1", "old"), (2, "C2", "old")])
    made.source.insert("two", [(3, "C1", "old"), (4, "C2", "old")])
    made.run()
    made.source.execute("UPDATE one SET txt = 'new'", "UPDATE two SET txt = 'new'")
    made.run()
    assert undo(made, 2, "customer:2").status == Status.DONE
    assert made.target.rows("memo", "id, txt") == [(1, "new"), (2, "old"), (3, "new"), (4, "old")]


@ONE
def test_bad_roots_are_named_and_nothing_is_written(shop: Scenario) -> None:
    second_version(shop)
    before = shop.target.content(), listed(shop.spec)
    for root, why in (
        ("customer:77", r"customer has no row with the key \[77\] in the target, and version 2 knows of none"),
        ("customer:x", "is no value of"), ('line:["20"]', r"the key of line is \(nr, pos\)"), ("people:1", "no table people"),
    ):  # fmt: skip
        with pytest.raises(SynclineError, match=why):
            undo(shop, 2, root)
    with pytest.raises(SpecError, match="dropped whole"):
        undo(shop, 2, "customer:2", drop=True)
    assert (shop.target.content(), listed(shop.spec)) == before
    assert undo(shop, 2, "line:[20,1]").report.total.changes == 1, "what the version deleted is a root"
    nothing = undo(shop, 2, "line:[20,1]")
    assert (nothing.status, nothing.report.tables) == (Status.DONE, ())


@ONE
def test_the_command_line_takes_back_trees(shop: Scenario) -> None:
    first = shop.target.content()
    second_version(shop)
    second = shop.target.content()
    shown = CliRunner().invoke(main, ["undo", str(shop.path), "2", "--tree", "customer:2", "--dry-run", "--json"])
    assert shown.exit_code == 2
    assert json.loads(shown.stdout)["tree"] == ["customer:2"]
    assert shop.target.content() == second
    plan = json.loads(shown.stdout)["plan"]
    assert CliRunner().invoke(main, ["apply", plan, "--direct", "--json"]).exit_code == 0
    mixed(shop, first, second, (2,))
    asked = ["undo", str(shop.path), "2", "--tree", "customer:1", "--tree", "customer:2", "--direct", "--json"]
    assert CliRunner().invoke(main, asked).exit_code == 0
    mixed(shop, first, second, (1, 2))
    told = CliRunner().invoke(main, ["history", str(shop.path)])
    assert "takes back 2 of customer:1, customer:2" in told.stdout


@pytest.mark.parametrize("engine", ["postgresql", "mysql", "sqlite"])  # DuckDB goes through what it finds few keys in
def test_rows_outside_of_a_tree_are_not_read(
    engine: Any, request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    made = Scenario.make(tmp_path, (engine, engine), request)
    for side in (made.source, made.target):
        side.execute(
            "CREATE TABLE customer (id integer PRIMARY KEY, v varchar(9))",
            "CREATE TABLE purchase (nr integer PRIMARY KEY, customer_id integer, v varchar(9), "
            "FOREIGN KEY (customer_id) REFERENCES customer (id))",
            "CREATE INDEX by_customer ON purchase (customer_id)",
        )
    number = ", ".join(f"({n}, 'x')" for n in range(1, 1001))
    made.source.execute(f"INSERT INTO customer VALUES {number}")
    number = ", ".join(f"({n}, {(n + 2) // 3}, 'x')" for n in range(1, 3001))
    made.source.execute(f"INSERT INTO purchase VALUES {number}")
    made.write({"customer": {"from": "customer"}, "purchase": {"from": "purchase"}})
    made.run()
    made.source.execute("UPDATE purchase SET v = 'new'", "INSERT INTO purchase VALUES (9000, 7, 'new')")
    made.source.execute("DELETE FROM purchase WHERE nr = 20")
    assert made.run().report.version == 2
    if engine == "postgresql":
        made.target.execute("ANALYZE customer", "ANALYZE purchase")
    read = rows_read(made, ("customer", "purchase"), monkeypatch)
    done = undo(made, 2, "customer:7")
    found = read()
    assert done.report.total.changes == 4
    assert found["source"] == 0
    assert found["target"] < 300
    assert made.target.ask("SELECT count(*) FROM purchase WHERE v = 'x'") == [(3,)]
