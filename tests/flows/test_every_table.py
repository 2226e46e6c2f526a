"""`tables: "*"`: whatever tables both sides have when a command looks, each with its own columns and its key."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import jsonschema
import pytest
import yaml
from command_line import answer, syncline
from scenario import Scenario, counts, pair_name
from specs import HEAD, problems

from adapters.store.plans import Plan
from flows.commands import Status
from flows.spec.json_schema import json_schema
from transforms.vocabulary import DriftError, SpecError


def table(shop: Scenario, name: str, *, source: str = "", target: str = "", there: bool = True) -> None:
    columns = "id integer PRIMARY KEY, name varchar(20)"
    shop.source.execute(f"CREATE TABLE {name} ({columns}{source})")
    if there:
        shop.target.execute(f"CREATE TABLE {name} ({columns}{target})")
    shop.source.execute(
        f"INSERT INTO {name} (id, name) VALUES (1, 'a')", f"INSERT INTO {name} (id, name) VALUES (2, 'b')"
    )


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    made = Scenario.make(tmp_path, getattr(request, "param", ("sqlite", "sqlite")), request)
    for name in ("customer", "item"):
        table(made, name)
    return made


def write(shop: Scenario, tables: Any = "*", **rest: Any) -> None:
    shop.write({}, **rest)
    document = yaml.safe_load(shop.path.read_text())
    shop.path.write_text(yaml.safe_dump(document | {"tables": tables}, sort_keys=False))


def names(outcome: Any) -> list[str]:
    return sorted(told.name for told in outcome.report.tables)


def warned(outcome: Any) -> list[str]:
    return [each.text for each in outcome.report.warnings if each.code == "not_taken"]


SOME = (("postgresql", "duckdb"), ("duckdb", "mysql"), ("mysql", "sqlite"))


@pytest.mark.parametrize("shop", SOME, indirect=True, ids=pair_name)
def test_all_tables_of_both_sides_are_brought_over_and_one_that_comes_later_in_the_next_run(shop: Scenario) -> None:
    write(shop)
    first = shop.run()
    assert (first.status, names(first)) == (Status.DONE, ["customer", "item"])
    assert Plan.open(Path(str(first.report.plan))).manifest.taken == ("customer", "item")
    table(shop, "later")
    shop.source.execute("DELETE FROM item WHERE id = 1")
    again = shop.run()
    assert (names(again), counts(again, "later")["insert"], counts(again, "item")["delete"]) == (
        ["customer", "item", "later"], 2, 1,
    )  # fmt: skip
    shop.settled()
    assert shop.undo(2).status is Status.DONE
    assert (shop.target.count("later"), shop.target.count("item"), shop.target.count("customer")) == (0, 2, 2)


def test_entries_stand_instead_and_what_is_excepted_stays_where_it_is(shop: Scenario) -> None:
    table(shop, "Log_2023")
    table(shop, "log_2024")
    renamed = {"from": "item", "key": ["id"], "columns": {"id": "id", "name": {"expr": "upper(name)"}}}
    write(shop, {"*": {"except": ["LOG_*"]}, "item": renamed})
    outcome = shop.run()
    assert (names(outcome), warned(outcome)) == (["customer", "item"], [])
    assert shop.target.rows("item") == [(1, "A"), (2, "B")]
    write(shop, {"*": "*", "client": {"from": "customer", "target": "item", "key": ["id"]}}, **{"except": "log_2024"})
    assert names(shop.plan()) == ["Log_2023", "client"]  # what reads or writes one of both stands for it
    write(shop, **{"except": ["log_????", "iten"]})
    planned = shop.plan()
    assert names(planned) == ["customer", "item"]
    assert warned(planned) == ["`except` names iten, and the source has no such table. Did you mean item?"]


def test_what_does_not_map_is_named_with_what_to_do(shop: Scenario) -> None:
    table(shop, "only_here", there=False)
    table(shop, "wider", source=", note varchar(9), seen integer", target=", made integer")
    shop.source.execute("CREATE TABLE loose (a integer, b integer)")
    shop.target.execute("CREATE TABLE loose (a integer UNIQUE, b integer)")
    write(shop)
    outcome = shop.run()
    assert names(outcome) == ["customer", "item", "wider"]
    absent, keyless, left = warned(outcome)
    assert absent.startswith(
        "Not in the target, and not brought over: only_here. Fix: create it there (`syncline scaffold`"
    )
    assert keyless.startswith(
        "Without a primary key that both sides have, and not brought over: loose. Fix: write an entry"
    )
    assert left.startswith(
        "wider: not in the target, and not brought over: note, seen. Fix: add the column there, or write"
    )
    assert shop.target.rows("wider", "id, name, made") == [(1, "a", None), (2, "b", None)]
    told = answer("verify", shop.path)
    assert {each["code"] for each in told["notices"]} == {"not_taken"}
    entry = {"from": "loose", "key": ["a"], "columns": {"a": "a", "b": "b"}}
    shop.source.execute("INSERT INTO loose VALUES (1, 2)")
    write(shop, {"*": {"except": ["only_here", "wider"]}, "loose": entry})
    outcome = shop.run()
    assert (names(outcome), warned(outcome)) == (["customer", "item", "loose"], [])
    shop.target.execute("CREATE TABLE strict (id integer PRIMARY KEY, need integer NOT NULL)")
    shop.source.execute("CREATE TABLE strict (id integer PRIMARY KEY)")
    with pytest.raises(SpecError, match=r"strict\.need takes no nulls, has no default and is not mapped"):
        shop.run()


def test_a_table_that_goes_is_drift_until_it_is_accepted(shop: Scenario) -> None:
    write(shop)
    shop.run()
    table(shop, "later")
    folder = shop.plan().report.plan
    shop.source.execute("DROP TABLE item")
    with pytest.raises(DriftError, match=r"item: in the source's item it is gone(.|\n)*syncline drift .* --accept"):
        shop.run()
    with pytest.raises(DriftError, match=r"item: in the source's item it is gone(.|\n)*syncline drift .* --accept"):
        shop.apply(folder)
    assert shop.target.count("item") == 2
    shop.target.execute("DROP TABLE item")
    found = answer("drift", shop.path, status=2)["drift"]
    assert [(each["table"], each["side"], each["kind"], each["stops"]) for each in found] == [
        ("item", "source", "table", True), ("item", "target", "table", True),
    ]  # fmt: skip
    syncline("drift", shop.path, "--accept")
    with pytest.raises(SpecError, match="the source has no table item"):
        shop.apply(folder)  # which looked at it
    assert (names(shop.run()), shop.target.count("later")) == (["customer", "later"], 2)
    shop.settled()


def test_a_plan_whose_table_went_before_any_run_is_refused(shop: Scenario) -> None:
    write(shop)
    folder = shop.plan().report.plan
    shop.source.execute("DROP TABLE item")
    with pytest.raises(SpecError, match="item"):
        shop.apply(folder)
    assert shop.target.count("customer") == 0


@pytest.mark.parametrize("shop", [("sqlite", "postgresql")], indirect=True, ids=pair_name)
def test_tables_are_named_as_those_of_entries_are(shop: Scenario) -> None:
    write(shop)
    assert names(shop.run(tables=["CUSTOMER"])) == ["customer"]
    with pytest.raises(SpecError, match=r"The spec has no table custmer\. Did you mean customer\?"):
        shop.run(tables=["custmer"])
    answer("backfill", "--direct", shop.path, "--range", "item.id:1..2")
    assert shop.target.rows("item") == [(1, "a")]
    answer("run", "--direct", shop.path, "--tree", "item:2")
    assert shop.target.count("item") == 2
    shop.source.execute("UPDATE customer SET name = 'x' WHERE id = 1")
    shop.run()
    assert len(answer("log", shop.path, "customer", "--key", "1")["changes"]) >= 1
    assert "customer" in syncline("show", shop.path, "4", "customer").stdout
    assert len(answer("asof", shop.path, "1", "customer")["rows"]) == 2
    assert answer("diff", shop.path, "1", "4", "--table", "customer")["tables"]
    syncline("asof", shop.path, "1", "custmer", status=1)
    assert "item" in syncline("check", shop.path).stdout
    answer("undo", "--direct", "--yes", shop.path, "3", "--tree", "item:2")
    assert shop.target.rows("item") == [(1, "a")]


def test_both_ways_and_following_go_over_all_tables(shop: Scenario) -> None:
    write(shop, direction="two_way", initial="source", follow="trigger")
    assert shop.run().status is Status.DONE
    shop.target.execute("UPDATE item SET name = 'back' WHERE id = 1")
    shop.source.execute("UPDATE customer SET name = 'there' WHERE id = 2")
    assert shop.run().status is Status.DONE
    assert (shop.source.rows("item")[0], shop.target.rows("customer")[1]) == ((1, "back"), (2, "there"))
    shop.target.execute("UPDATE item SET name = 'followed' WHERE id = 2")
    table(shop, "later")
    syncline("follow", "install", "--yes", shop.path)
    syncline("sync", "--once", shop.path)
    assert (shop.source.rows("item")[1], shop.target.count("later")) == ((2, "followed"), 2)
    shop.source.execute("UPDATE later SET name = 'kept' WHERE id = 1")
    syncline("sync", "--once", shop.path)
    assert shop.target.rows("later")[0] == (1, "kept")
    lived = answer("log", shop.path, "item", "--key", "1")["changes"]
    assert [each for each in lived if each.get("side") == "source"], lived
    assert len(answer("asof", shop.path, "1", "item", "--side", "source")["rows"]) == 2
    assert shop.undo(1, to=True).status is Status.DONE


def test_editors_know_all_tables_in_a_word() -> None:
    validator = jsonschema.Draft202012Validator(json_schema())
    head = yaml.safe_load(HEAD)
    for tables in ("*", {"*": "*"}, {"*": {"except": "a"}, "t": {"from": "t"}}):
        assert not [*validator.iter_errors({**head, "tables": tables, "except": ["b"]})]
    for wrong in ("all", {}, {"*": {"from": "t"}}):
        assert [*validator.iter_errors({**head, "tables": wrong})]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("tables: {}", 'spec.yaml:5: tables is empty. Fix: name tables, or write `tables: "*"` for all that both sides have.'),
        ("tables: all", "spec.yaml:5: tables must be a mapping, not 'all'."),
        ('tables: {"*": {exept: [a]}}', 'spec.yaml:5: tables.* takes "*" or {except: […]}. Fix: write what holds for all tables in '
         "`defaults:`, and an entry of its own for one that differs."),
        ('tables: {"*": {except: {a: 1}}}', "spec.yaml:5: tables.*.except must be a list of names."),
        ('tables: {"*": {except: [a]}}\nexcept: [b]', "spec.yaml:6: except is said twice. Fix: leave one out."),
        ("tables: {t: {from: t}}\nexcept: [b]", 'spec.yaml:6: except is for `tables: "*"`. Fix: leave it out.'),
        ('tables: "*"\nexcept: [1]', "spec.yaml:6: except[0] must be text. Fix: put it in quotes."),
    ],
)  # fmt: skip
def test_what_is_wrong_with_all_tables_is_said_with_its_line(tmp_path: Path, text: str, message: str) -> None:
    found = problems(tmp_path, f"{HEAD}{text}\n")
    assert message in found, found
