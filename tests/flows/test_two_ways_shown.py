"""What people and programs see of a plan that writes both sides: the source's rows as the target's, and those left open."""

from __future__ import annotations

import csv
import io
import json
from pathlib import Path
from typing import Any

import pytest
from command_line import answer, syncline
from scenario import Scenario

from flows.commands import Status


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Customers under other names on both sides, which have met; then each side edits some, and both the second one's town."""
    made = Scenario.make(tmp_path, ("sqlite", "sqlite"), request)
    made.source.execute("CREATE TABLE kunden (nr integer PRIMARY KEY, nam varchar(40), ort varchar(40))")
    made.target.execute("CREATE TABLE customer (id integer PRIMARY KEY, name varchar(40), city varchar(40))")
    made.source.insert("kunden", [(n, f"name {n}", "Ulm") for n in range(1, 6)])
    write(made)
    assert made.run().status is Status.DONE
    made.source.execute(
        "UPDATE kunden SET nam = 'Ada' WHERE nr = 1",
        "UPDATE kunden SET ort = 'Bonn' WHERE nr = 2",
    )
    made.target.execute(
        "UPDATE customer SET city = 'Köln' WHERE id = 2",
        "UPDATE customer SET name = 'Bob' WHERE id = 3",
        "DELETE FROM customer WHERE id = 4",
        "INSERT INTO customer VALUES (6, 'Six', 'Trier')",
    )
    return made


def write(shop: Scenario, origin: str = "kunden", **defaults: Any) -> None:
    shop.write(
        {"customer": {"from": origin, "columns": {"id": "nr", "name": "nam", "city": "ort"}}},
        direction="two_way",
        defaults={"delete": {"max_ratio": 1.0}, **defaults},
    )


def shown(shop: Scenario, command: str, *arguments: str, status: int = 2) -> str:
    return syncline(command, shop.path, *arguments, status=status).stdout


def test_a_plan_shows_what_changes_in_the_source_in_the_sources_own_columns(shop: Scenario) -> None:
    before = shop.source.content()
    text = shown(shop, "plan")
    target, source = text.split("in the source, kunden:")
    assert "~ customer 1\n    name: name 1 -> Ada" in target
    assert "kunden: 1 to update, by what differs\n          1  nam (75 % the same)" in source
    assert "+ kunden 6\n    nr=6, nam=Six, ort=Trier" in source
    assert "~ kunden 3\n    nam: name 3 -> Bob" in source
    assert "- kunden 4" in source
    assert shop.source.content() == before


def test_a_plan_names_the_rows_that_both_sides_changed(shop: Scenario) -> None:
    text = shown(shop, "plan")
    assert "Conflicts: 1 row open between both sides\n  ! customer [2] update/update" in text
    assert "city: base Ulm, source Bonn, target Köln" in text
    told = answer("plan", shop.path, status=2)
    assert [(each["key"], each["kind"], each["fields"]) for each in told["conflicts"]] == [
        ("[2]", "update/update", ["city"])
    ]


def test_a_run_says_the_same_of_its_conflicts_as_its_plan(shop: Scenario) -> None:
    def conflicts(text: str) -> str:
        return text.split("Conflicts:")[1].split("\n\n")[0]

    planned = conflicts(shown(shop, "plan"))
    assert conflicts(shown(shop, "run", "--direct", status=5)) == planned


def test_json_has_the_rows_of_the_source_beside_those_of_the_target(shop: Scenario) -> None:
    told = answer("plan", shop.path, status=2)
    assert [(row["op"], row["key"]) for row in told["rows"]] == [("update", [1])]
    changed = {(row["op"], row["key"][0]): row["after"] for row in told["back_rows"]}
    assert changed == {
        ("delete", 4): None,
        ("update", 3): {"nam": "Bob"},
        ("insert", 6): {"nr": "6", "nam": "Six", "ort": "Trier"},
    }
    table = told["tables"]["customer"]
    assert (table["back"], table["back_differing"]) == ({"insert": 1, "update": 1, "delete": 1}, {"nam": 1})
    assert table["back_by_column"] == [{"column": "nam", "rows": 1, "of": 4, "match": 0.75}]
    limited = answer("plan", shop.path, "--limit", "1", status=2)
    assert (limited["rows_left_off"], limited["back_rows_left_off"], len(limited["back_rows"])) == (0, 2, 1)


def test_rows_for_programs_say_of_which_side_they_are(shop: Scenario) -> None:
    rows: list[dict[str, Any]] = json.loads(shown(shop, "plan", "--rows", "--format", "json"))
    expected = [("target", 1), ("source", 4), ("source", 3), ("source", 6)]
    assert [(row["side"], row["key"][0]) for row in rows] == expected
    lines = csv.DictReader(io.StringIO(shown(shop, "plan", "--rows", "--format", "csv")))
    found = list(dict.fromkeys((line["side"], json.loads(line["key"])[0]) for line in lines))
    assert found == expected


def test_rows_for_people_are_those_of_the_target_and_then_those_of_the_source(shop: Scenario) -> None:
    text = shown(shop, "plan", "--rows")
    target, source = text.split("in the target:\n")[1].split("in the source:\n")
    assert target.startswith("~ customer [1]")
    assert [line[0] for line in source.splitlines()[:6] if line[:1] in "+~-"] == ["-", "~", "+"]
    assert "4 rows named." in text
    assert "1 row named, 3 more were left off by --limit." in shown(shop, "plan", "--rows", "--limit", "1")


def test_the_page_of_a_run_says_what_changed_in_the_source(shop: Scenario) -> None:
    done = shop.run()
    page = Path(str(done.report.page)).read_text("utf-8")
    at = page.index("in the source")
    assert "kunden" in page[at : at + 200]
    assert [f"<b>1</b> {label}" in page[at : at + 400] for label in ("inserted", "updated", "deleted")] == [True] * 3


def test_history_says_which_side_a_version_wrote_where_there_are_both(shop: Scenario) -> None:
    assert "side" not in shown(shop, "history", status=0).split()
    shop.run()
    head, *versions = (line.split() for line in shown(shop, "history", status=0).splitlines())
    assert head[:2] == ["version", "side"]
    assert sorted(each[1] for each in versions) == ["source", "target", "target"]


def test_the_life_of_a_row_has_what_was_left_alone_on_the_source(shop: Scenario) -> None:
    planned = shop.plan()
    shop.source.execute("UPDATE kunden SET ort = 'late' WHERE nr = 3")
    assert shop.apply(planned.report.plan).status is Status.CONFLICTS
    lines = json.loads(shown(shop, "log", "customer", "--key", "3", "--json", status=0))["changes"]
    (left,) = (each for each in lines if "found" in each)
    assert (left["table"], left["op"]) == ("customer", "update")
    assert (left["after"]["nam"], left["found"]["ort"]) == ("Bob", "late")


def test_versions_that_keep_keys_alone_call_a_table_of_the_source_as_the_spec_does(shop: Scenario) -> None:
    write(shop, "Kunden", history="keys")
    shop.run()
    told = json.loads(shown(shop, "show", "3", "--json", status=0))
    assert (told["side"], {each["table"] for each in told["changes"]}) == ("source", {"customer"})
    lines = json.loads(shown(shop, "log", "customer", "--key", "6", "--json", status=0))["changes"]
    assert [(each["version"], each["side"], each["table"]) for each in lines] == [(3, "source", "customer")]


def test_the_difference_of_versions_has_what_changed_in_the_source_apart(tmp_path: Path, request: Any) -> None:
    """Both sides call the table alike, with keys of other names."""
    made = Scenario.make(tmp_path, ("sqlite", "sqlite"), request)
    made.source.execute("CREATE TABLE item (nr integer PRIMARY KEY, nam varchar(40))")
    made.target.execute("CREATE TABLE item (id integer PRIMARY KEY, name varchar(40))")
    made.source.insert("item", [(1, "one"), (2, "two")])
    made.write(
        {"thing": {"from": "item", "target": "item", "columns": {"id": "nr", "name": "nam"}}}, direction="two_way"
    )
    made.run()
    made.source.execute("UPDATE item SET nam = 'Ada' WHERE nr = 1")
    made.target.execute("UPDATE item SET name = 'Bob' WHERE id = 2")
    made.run()
    for named in ((), ("--table", "thing"), ("--table", "item")):
        told = json.loads(shown(made, "diff", "1", "3", *named, "--json", status=0))
        one = {"thing": {"insert": 0, "update": 1, "delete": 0}}
        assert (told["tables"], told["back_tables"]) == (one, one)
        assert [(each["key"], each["after"]) for each in told["changes"]] == [("[1]", {"name": "Ada"})]
        assert [(each["key"], each["after"]) for each in told["back_changes"]] == [("[2]", {"nam": "Bob"})]
    target, source = shown(made, "diff", "0", "3", status=0).split("in the source:")
    assert "+ thing [1]" in target and "Bob" not in target and "nam: two -> Bob" in source
    assert "No changes." not in shown(made, "diff", "2", "3", status=0)
