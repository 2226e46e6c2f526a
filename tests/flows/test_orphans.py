"""Orphans: rows of the target that refer to what is not there are told by every run and verification."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from scenario import PAIRS, Scenario, pair_name

from flows.cli.main import main
from flows.commands import Outcome, Status
from flows.evidence.page import verdict
from flows.results.orphans import Orphans

everywhere = pytest.mark.parametrize("shop", PAIRS, indirect=True, ids=pair_name)
LOOKUP = {"lookup": {"table": "customer", "match": {"code": "customer"}, "take": "customer_id"}}
TABLES: dict[str, Any] = {
    "customer": {
        "from": "customers",
        "key": ["code"],
        "columns": {"customer_id": {"generate": "identity"}, "code": "code"},
    },
    "sale": {"from": "sales", "columns": {"id": "id", "customer_id": LOOKUP | {"missing": "null"}}},
}


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Customers are numbered by the target, and sales look the number up; no foreign key holds them."""
    made = Scenario.make(tmp_path, getattr(request, "param", PAIRS[0]), request)
    made.source.execute(
        "CREATE TABLE customers (code varchar(9) PRIMARY KEY)",
        "CREATE TABLE sales (id bigint PRIMARY KEY, customer varchar(9))",
    )
    made.source.insert("customers", [("ann",), ("bob",)])
    made.source.insert("sales", [(1, "ann"), (2, "bob"), (3, None)])
    made.target.execute(
        "CREATE TABLE customer (customer_id bigint PRIMARY KEY, code varchar(9) NOT NULL UNIQUE)",
        "CREATE TABLE sale (id bigint PRIMARY KEY, customer_id bigint)",
    )
    made.write(TABLES, defaults={"delete": {"policy": "ignore"}})
    return made


def found(outcome: Outcome) -> dict[str, tuple[str, int, tuple[str, ...], bool]]:
    """By column: how it refers, how many orphans there are and which, and whether the engine holds it."""
    return {
        f"{each.table}.{','.join(each.columns)}": (each.by, each.rows, each.keys, each.held)
        for each in outcome.report.orphans
    }


@everywhere
def test_rows_that_somebody_else_left_without_a_parent_are_a_warning(shop: Scenario) -> None:
    done = shop.run()
    assert found(done) == {"sale.customer_id": ("lookup", 0, (), False)}
    shop.target.execute("INSERT INTO sale VALUES (8, 77), (9, 77)")
    for again in (shop.run(), shop.verify()):
        assert again.status == Status.DONE
        assert found(again) == {"sale.customer_id": ("lookup", 2, ("[8]", "[9]"), False)}
        (told,) = [warning for warning in again.report.warning_texts if "not there" in warning]
        assert "sale: 2 rows" in told and "customer_id" in told and "[8], [9]" in told


@everywhere
def test_a_foreign_key_that_the_engine_holds_is_not_read(shop: Scenario) -> None:
    shop.target.execute(
        "DROP TABLE sale",
        "CREATE TABLE sale (id bigint PRIMARY KEY, customer_id bigint, FOREIGN KEY (customer_id) REFERENCES customer (customer_id))",
    )
    done = shop.run()
    held = shop.target.engine != "sqlite"
    assert found(done) == {"sale.customer_id": ("foreign key", 0, (), held)}
    assert found(shop.verify()) == found(done)


def test_evidence_page_and_json_tell_of_orphans(shop: Scenario) -> None:
    shop.run()
    shop.target.execute("INSERT INTO sale VALUES (8, 77)")
    told = json.loads(CliRunner().invoke(main, ["run", "--direct", "--json", str(shop.path)]).stdout)
    assert told["orphans"] == [
        {
            "table": "sale", "columns": ["customer_id"], "refers": "customer", "refers_columns": ["customer_id"],
            "by": "lookup", "rows": 1, "keys": ["[8]"], "held": False,
        }
    ]  # fmt: skip
    page = Path(told["report"])
    evidence = json.loads((page.parent / "evidence.json").read_text())
    assert evidence["orphans"] == told["orphans"]
    assert verdict(evidence).tone == "warn" and "refer to" in verdict(evidence).title
    assert "customer_id" in page.read_text().partition('id="references"')[2]
    del evidence["orphans"]  # as an earlier version kept it
    (page.parent / "evidence.json").write_text(json.dumps(evidence))
    assert CliRunner().invoke(main, ["report", str(shop.path), told["run_id"]]).exit_code == 0


def test_a_range_is_looked_at_alone_and_steps_add_up(shop: Scenario) -> None:
    shop.target.execute("INSERT INTO sale VALUES (2, 77), (8, 77), (9, 78)")
    assert found(shop.verify(ranges=["sale.id:1..9"]))["sale.customer_id"][1:3] == (2, ("[2]", "[8]"))
    filled = shop.backfill("sale.id:8..12", "1")
    assert found(filled)["sale.customer_id"][1:3] == (2, ("[8]", "[9]"))


def test_a_run_of_the_parents_looks_at_their_children(shop: Scenario) -> None:
    shop.run()
    shop.source.execute("DELETE FROM customers WHERE code = 'bob'")
    shop.write(TABLES)
    done = shop.run(tables=["customer"])
    assert found(done) == {"sale.customer_id": ("lookup", 1, ("[2]",), False)}


def test_a_spec_without_reconciliation_does_without_orphans(shop: Scenario) -> None:
    shop.target.execute("INSERT INTO sale VALUES (8, 77)")
    shop.write(TABLES, defaults={"delete": {"policy": "ignore"}, "checkpoint": {"reconcile": False}})
    for outcome in (shop.run(), shop.verify()):
        assert outcome.report.orphans == () and not outcome.report.warning_texts


def test_values_that_are_mapped_on_refer_to_nothing(shop: Scenario) -> None:
    tables = json.loads(json.dumps(TABLES))
    tables["sale"]["columns"]["customer_id"]["map"] = {1: 100, 2: 200}
    shop.write(tables)
    assert found(shop.run()) == {}


def test_tables_that_are_yet_to_be_made_have_no_orphans(shop: Scenario) -> None:
    shop.target.execute("DROP TABLE sale")
    assert found(shop.verify()) == {}
    assert found(shop.run()) == {"sale.customer_id": ("lookup", 0, (), False)}


def test_one_orphan_is_told_in_the_singular() -> None:
    one = Orphans("sale", ("a", "b"), "customer", ("x", "y"), "foreign key", 1, ("[7]",))
    assert one.told.startswith(
        "sale: 1 row of the target refers by (a, b) to a row of customer (x, y) that is not there"
    )
