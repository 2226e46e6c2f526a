"""`drift: evolve`: columns that the target lacks are added to it, and nothing else is ever guessed."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from scenario import PAIRS, RING, Scenario, changes, counts, pair_name

from adapters.registry import open_target
from adapters.store.plans import Plan
from flows.cli.main import main
from flows.commands import Outcome, Status
from transforms.vocabulary import DriftError, PlanError, SpecError, TableName, TableShape

everywhere = pytest.mark.parametrize("shop", RING, indirect=True, ids=pair_name)
BY_NAME: dict[str, Any] = {"item": {"from": "item", "key": ["id"]}}
EVOLVE: dict[str, Any] = {"defaults": {"drift": "evolve"}}


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Four items, moved by name yesterday; since then the source has a number, a text and a time more."""
    made = Scenario.make(tmp_path, getattr(request, "param", PAIRS[0]), request)
    for side in (made.source, made.target):
        side.execute("CREATE TABLE item (id bigint PRIMARY KEY, name varchar(40))")
    made.source.insert("item", [(n, f"item {n}") for n in range(1, 5)])
    made.write(BY_NAME, **EVOLVE)
    assert made.run().status == Status.DONE
    made.source.execute(
        "ALTER TABLE item ADD COLUMN price decimal(8,2)",
        "ALTER TABLE item ADD COLUMN note varchar(40)",
        "ALTER TABLE item ADD COLUMN seen timestamp NULL",
        "UPDATE item SET price = id * 1.25, note = 'Füße 🦶', seen = '2024-02-29 12:30:00' WHERE id < 4",
        "INSERT INTO item (id, name, price, note) VALUES (5, 'item 5', 9.99, NULL)",
    )
    return made


def shape(scenario: Scenario, table: str) -> TableShape:
    adapter = open_target(scenario.target.url)
    try:
        found = adapter.describe(TableName(table, scenario.target.schema))
    finally:
        adapter.close()
    assert found is not None
    return found


def added(outcome: Outcome, table: str = "item") -> list[tuple[str, str]]:
    """Columns and statements of a plan, as its manifest has them."""
    manifest = Plan.open(Path(str(outcome.report.plan))).manifest
    (found,) = [each.adds for each in manifest.tables if each.name == table]
    return list(found)


@everywhere
def test_columns_that_are_new_in_the_source_are_added_and_filled(shop: Scenario) -> None:
    before = shop.target.content()
    plan = shop.plan()
    assert shop.target.content() == before
    assert [column for column, _ in added(plan)] == ["price", "note", "seen"]
    assert counts(plan, "item") == {"source_rows": 5, "insert": 1, "update": 3, "unchanged": 1}
    assert [row[2:] for row in changes(plan)["item"]["before"]] == [(None, None, None)] * 3
    done = shop.apply(plan.report.plan)
    assert done.status == Status.DONE
    assert counts(done, "item") == {"source_rows": 5, "insert": 1, "update": 3, "unchanged": 1}
    assert shape(shop, "item").names == ("id", "name", "price", "note", "seen")
    assert all(column.nullable and not column.default for column in shape(shop, "item").columns[2:])
    (row,) = shop.target.ask("SELECT note FROM item WHERE id = 2")
    assert row == ("Füße 🦶",)
    shop.settled()
    again = shop.run()
    assert (again.status, again.report.version) == (Status.DONE, None)


@everywhere
def test_an_added_column_is_of_the_type_that_a_new_table_would_get(shop: Scenario) -> None:
    shop.run()
    evolved = {column.name: column for column in shape(shop, "item").columns[2:]}
    shop.target.execute("DROP TABLE item")
    shop.write(BY_NAME)
    shop.run()
    assert {column.name: column for column in shape(shop, "item").columns[2:]} == evolved


@everywhere
def test_columns_that_the_spec_names_and_the_target_lacks_are_added(shop: Scenario) -> None:
    columns = {
        "id": "id",
        "name": "name",
        "cents": {"expr": "(price * 100)::bigint"},
        "kind": {"const": "thing"},
        "token": {"generate": "uuid"},
        "remark": {"from": "note", "map": {"Füße 🦶": "feet"}, "default": "keep"},
    }
    shop.write({"item": {**BY_NAME["item"], "columns": columns}}, **EVOLVE)
    assert shop.run().status == Status.DONE
    assert shape(shop, "item").names == ("id", "name", "cents", "kind", "token", "remark")
    assert shop.target.rows("item", "id, cents, kind, remark")[0] == (1, 125, "thing", "feet")
    shop.settled()
    shop.write(
        {"item": {**BY_NAME["item"], "columns": {**columns, "much": {"from": "price", "cast": "double"}}}}, **EVOLVE
    )
    assert shop.run().status == Status.DONE
    assert shop.target.ask('SELECT much FROM "item" WHERE id = 2') == [(2.5,)]
    shop.settled()


def test_create_says_the_type_of_an_added_column_and_indexes_it(shop: Scenario) -> None:
    create = {
        "columns": {"price": {"type": "numeric(12,4)", "nullable": False, "default": "0"}},
        "indexes": [["price"]],
    }
    shop.write({"item": {**BY_NAME["item"], "create": create}}, **EVOLVE)
    shop.run()
    made = shape(shop, "item").column("price")
    assert made is not None
    assert (made.native, made.nullable, made.default) == ("DECIMAL(12, 4)", True, False)
    assert shop.run().status == Status.DONE
    shop.settled()


@pytest.mark.parametrize("shop", [PAIRS[2], PAIRS[5]], indirect=True, ids=pair_name)
def test_not_null_and_computed_columns_of_the_source_become_plain_ones(shop: Scenario) -> None:
    computed = "ADD COLUMN twice bigint GENERATED ALWAYS AS (id * 2) " + (
        "VIRTUAL" if shop.source.engine == "sqlite" else "STORED"
    )
    shop.source.execute(f"ALTER TABLE item {computed}", "ALTER TABLE item ADD COLUMN must bigint NOT NULL DEFAULT 7")
    assert shop.run().status == Status.DONE
    for name in ("twice", "must"):
        column = shape(shop, "item").column(name)
        assert column is not None
        assert (column.nullable, column.generated, column.default) == (True, False, False)
    assert shop.target.ask("SELECT twice, must FROM item WHERE id = 4") == [(8, 7)]
    shop.settled()


@everywhere
def test_names_are_kept_as_they_are(shop: Scenario) -> None:
    odd = 'Größe "%s" \t:x'
    shop.write(
        {"item": {**BY_NAME["item"], "columns": {"id": "id", "name": "name", odd: "price", "order": "note"}}}, **EVOLVE
    )
    assert shop.run().status == Status.DONE
    assert shape(shop, "item").names == ("id", "name", odd, "order")
    shop.settled()


@everywhere
def test_a_run_that_was_killed_between_the_columns_and_the_rows_is_simply_run_again(shop: Scenario) -> None:
    plan = shop.plan()
    first, *rest = [statement for _, statement in added(plan)]
    adapter = open_target(shop.target.url)
    adapter.execute_ddl([first])
    assert [column for column, _ in added(shop.plan())] == ["note", "seen"]
    adapter.execute_ddl(rest)
    adapter.close()
    assert shop.run().status == Status.DONE
    shop.settled()


def test_a_plan_that_was_cut_off_behind_its_columns_is_applied_again(shop: Scenario) -> None:
    plan = shop.plan()
    adapter = open_target(shop.target.url)
    adapter.execute_ddl([added(plan)[0][1]])
    adapter.close()
    assert shop.apply(plan.report.plan).status == Status.DONE
    shop.settled()


@everywhere
def test_a_table_without_new_values_gets_its_columns_too(shop: Scenario) -> None:
    shop.run()
    shop.source.execute("ALTER TABLE item ADD COLUMN blank varchar(10)")
    plan = shop.plan()
    assert (plan.status, plan.report.total.changes) == (Status.CHANGES, 0)
    assert shop.run().status == Status.DONE
    assert shape(shop, "item").names[-1] == "blank"
    shop.settled()


@everywhere
def test_what_was_renamed_retyped_or_dropped_is_never_guessed(shop: Scenario) -> None:
    shop.run()
    shop.source.execute("ALTER TABLE item RENAME COLUMN note TO remark")
    before = shop.target.content()
    with pytest.raises(DriftError, match=r"renamed\?"):
        shop.run()
    shop.source.execute("ALTER TABLE item RENAME COLUMN remark TO note", "ALTER TABLE item DROP COLUMN seen")
    with pytest.raises(DriftError, match=r"column seen .* is gone"):
        shop.run()
    shop.source.execute("ALTER TABLE item ADD COLUMN seen varchar(40)")
    with pytest.raises(DriftError, match="column seen was "):
        shop.run()
    assert shop.target.content() == before


def test_a_plan_that_was_made_before_a_column_came_is_refused(shop: Scenario) -> None:
    plan = shop.plan()
    shop.source.execute("ALTER TABLE item ADD COLUMN later text")
    before = shop.target.content()
    with pytest.raises(PlanError, match=r"has no column later(?s:.*)Fix: plan again"):
        shop.apply(plan.report.plan)
    assert shop.target.content() == before


def test_columns_that_number_themselves_and_keys_are_never_added(shop: Scenario) -> None:
    for column in ({"generate": "identity"}, "id"):
        columns = {"id": "id", "name": "name", "number": column}
        key = ["number"] if column == "id" else ["id"]
        shop.write({"item": {"from": "item", "key": key, "columns": columns}}, **EVOLVE)
        with pytest.raises(SpecError, match="has no column number"):
            shop.run()
    shop.source.execute("CREATE TABLE log (no integer PRIMARY KEY, id bigint NOT NULL UNIQUE)")
    shop.target.execute("CREATE TABLE log (id bigint PRIMARY KEY)")
    shop.write({"log": {"from": "log", "key": ["id"]}}, **EVOLVE)
    with pytest.raises(SpecError, match="has no column no, and columns that number"):
        shop.run()


def test_a_name_that_the_target_takes_for_another_one_is_refused(shop: Scenario) -> None:
    shop.write({"item": {**BY_NAME["item"], "columns": {"id": "id", "name": "name", "NAME": "note"}}}, **EVOLVE)
    with pytest.raises(SpecError, match="takes columns name and NAME for one"):
        shop.plan()


@everywhere
def test_a_lookup_sees_a_column_that_is_yet_to_be_added(shop: Scenario) -> None:
    shop.source.execute(
        "CREATE TABLE sale (no bigint PRIMARY KEY, item bigint)", "INSERT INTO sale VALUES (1, 2), (2, 4)"
    )
    shop.target.execute("CREATE TABLE sale (no bigint PRIMARY KEY)")
    lookup = {"lookup": {"table": "item", "match": {"id": "item"}, "take": "note"}, "missing": "null"}
    columns = {"no": "no", "note": lookup}
    shop.write({**BY_NAME, "sale": {"from": "sale", "key": ["no"], "columns": columns}}, **EVOLVE)
    assert shop.run().status == Status.DONE
    assert shop.target.rows("sale") == [(1, "Füße 🦶"), (2, None)]
    shop.settled()


@pytest.mark.parametrize("shop", [PAIRS[5]], indirect=True, ids=pair_name)
def test_a_text_is_added_in_a_character_set_that_holds_it(shop: Scenario) -> None:
    shop.target.execute("ALTER TABLE item DEFAULT CHARACTER SET latin1")
    assert shop.run().status == Status.DONE
    assert shop.target.ask("SELECT note FROM item WHERE id = 1") == [("Füße 🦶",)]
    shop.settled()


def test_a_target_that_lacks_a_column_is_not_equal_though_all_its_values_are_null(shop: Scenario) -> None:
    shop.run()
    shop.source.execute("ALTER TABLE item ADD COLUMN blank text")
    assert shop.verify().status == Status.CHANGES
    shop.run()
    assert shop.verify().status == Status.DONE


def test_verify_and_check_read_a_target_that_lacks_columns(shop: Scenario) -> None:
    verified = shop.verify()
    assert verified.status == Status.CHANGES
    assert counts(verified, "item")["update"] == 3
    assert CliRunner().invoke(main, ["check", str(shop.path)]).exit_code == 0


def test_the_columns_are_shown_by_plan_and_told_by_run(shop: Scenario) -> None:
    shown = CliRunner().invoke(main, ["plan", str(shop.path)])
    assert 'item will get columns:\nALTER TABLE "item" ADD COLUMN "price" DECIMAL(8, 2)\n' in shown.stdout
    assert "column price (decimal(8,2)) was added" in shown.stdout
    assert CliRunner().invoke(main, ["drift", str(shop.path)]).exit_code == 2
    ran = CliRunner().invoke(main, ["run", "--direct", str(shop.path)])
    assert "item: added price, note, seen." in ran.stdout
    assert CliRunner().invoke(main, ["drift", str(shop.path)]).exit_code == 0
