"""One source table that goes into several target tables, and target tables that several specs write to."""

from __future__ import annotations

import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from scenario import Scenario, counts, halves

from flows import commands
from flows.check.assess import assess
from flows.commands import Status
from flows.plan.request import trees_of
from transforms.vocabulary import PlanError, SpecError

one_half, other_half = halves("small")

MEMBERS = [
    (1, "person", "Ada", None),
    (2, "company", "Acme", 1),
    (3, "company", "Bohm", 1),
    (4, "person", "Emmy", None),
]


@pytest.fixture
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    made = Scenario.make(tmp_path, getattr(request, "param", ("sqlite", "sqlite")), request)
    made.source.execute(
        "CREATE TABLE member (id integer NOT NULL PRIMARY KEY, kind varchar(10), name varchar(40), owner integer)"
    )
    made.source.insert("member", MEMBERS)
    made.target.execute(
        "CREATE TABLE person (id integer NOT NULL PRIMARY KEY, name varchar(40))",
        "CREATE TABLE company (id integer NOT NULL PRIMARY KEY, title varchar(40), owner integer REFERENCES person(id))",
    )
    return made


def split(scenario: Scenario) -> None:
    person = {"from": "member", "key": ["id"], "where": "kind = 'person'", "columns": {"id": "id", "name": "name"}}
    company = {"id": "id", "title": "name", "owner": "owner"}
    scenario.write(
        {
            "company": {"from": "member", "key": ["id"], "where": "kind = 'company'", "columns": company},
            "person": person,
        }
    )


@one_half
def test_one_table_goes_into_two_that_refer_to_each_other(small: Scenario) -> None:
    split(small)
    done = small.run()
    assert counts(done, "person") == {"source_rows": 2, "insert": 2}
    assert counts(done, "company") == {"source_rows": 2, "insert": 2}
    assert small.target.rows("company") == [(2, "Acme", 1), (3, "Bohm", 1)]
    small.settled()


@other_half
def test_a_row_that_moves_is_deleted_here_and_inserted_there_and_an_undo_takes_it_back(small: Scenario) -> None:
    split(small)
    small.run()
    before = small.target.content()
    small.source.execute(
        "UPDATE member SET kind = 'company', owner = 1 WHERE id = 4",
        "UPDATE member SET kind = 'person', owner = NULL WHERE id = 3",
        "UPDATE member SET owner = 3 WHERE id = 2",  # whom it refers to moves with it
    )
    done = small.run()
    assert counts(done, "person") == {"source_rows": 2, "insert": 1, "delete": 1, "unchanged": 1}
    assert counts(done, "company") == {"source_rows": 2, "insert": 1, "update": 1, "delete": 1}
    assert small.target.rows("person") == [(1, "Ada"), (3, "Bohm")]
    assert small.target.rows("company") == [(2, "Acme", 3), (4, "Emmy", 1)]
    small.settled()
    small.undo(done.report.version or 0)
    assert small.target.content() == before


def test_a_tree_and_a_backfill_through_the_pieces(small: Scenario) -> None:
    split(small)
    asked = trees_of(small.spec, ["person:1"], (), ())
    done = small.run(trees=asked)
    assert counts(done, "person") == {"source_rows": 1, "insert": 1}
    assert counts(done, "company") == {"source_rows": 2, "insert": 2}
    assert small.target.rows("person") == [(1, "Ada")]
    small.run()
    small.source.execute("UPDATE member SET name = 'new'")
    small.backfill("company.id:2..3")
    assert small.target.rows("company") == [(2, "new", 1), (3, "Bohm", 1)]
    assert small.target.rows("person") == [(1, "Ada"), (4, "Emmy")]


def another(scenario: Scenario, name: str, *, within: str = "", **table: Any) -> Scenario:
    """A spec of another name, with a ledger and a store of its own, that writes to the target's `person`."""
    folder = scenario.folder / (within or name)
    folder.mkdir(exist_ok=True)
    made = replace(scenario, folder=folder)
    entry = {"from": "member", "key": ["id"], "columns": {"id": "id", "name": "name"}} | table
    made.write({"person": entry}, name=name)
    return made


@one_half
def test_two_specs_that_say_which_rows_are_theirs_leave_each_other_alone(small: Scenario) -> None:
    low = another(small, "low", where="id < 3", owns="id < 3")
    high = another(small, "high", where="id >= 3", owns="id >= 3")
    low.run()
    done = high.run()
    assert counts(done, "person") == {"source_rows": 2, "insert": 2}
    low.settled()
    high.settled()
    small.source.execute("DELETE FROM member WHERE id IN (2, 4)")
    assert counts(low.run(), "person") == {"source_rows": 1, "delete": 1, "unchanged": 1}
    assert small.target.rows("person") == [(1, "Ada"), (3, "Bohm"), (4, "Emmy")]
    last = high.run()
    assert counts(last, "person") == {"source_rows": 1, "delete": 1, "unchanged": 1}
    high.undo(last.report.version or 0)
    assert small.target.rows("person") == [(1, "Ada"), (3, "Bohm"), (4, "Emmy")]


@other_half
def test_a_spec_that_does_not_say_which_rows_are_its_own_deletes_none_of_another_one(small: Scenario) -> None:
    low = another(small, "low", where="id < 3")
    high = another(small, "high", where="id >= 3", delete="ignore")
    low.run()
    high.run()
    before = small.target.content()
    with pytest.raises(PlanError, match=r"would delete 2 rows of .*person.*, which high writes to as well.*owns:"):
        low.plan()
    found = assess(low.spec, low.request().at)
    assert any("high writes to as well" in each.reason for each in found.tables[0].findings)
    with pytest.raises(PlanError, match="high writes to as well"):
        low.run()
    assert small.target.content() == before
    low.run(allow_deletes=True)
    assert small.target.rows("person") == [(1, "Ada"), (2, "Acme")]


@one_half
def test_a_spec_that_does_not_say_which_rows_are_its_own_changes_none_of_another_one(small: Scenario) -> None:
    another(small, "first").run()
    second = another(small, "second", delete="ignore", columns={"id": "id", "name": {"expr": "upper(name)"}})
    before = small.target.content()
    refused = r"would update 4 rows of .*person.*, which first writes to as well.*Nothing was written.*owns:"
    for command in (
        second.plan,
        second.run,
        lambda: second.run(allow_deletes=True),
        lambda: second.run(keys={"person": frozenset(("[1]",))}),
    ):
        with pytest.raises(PlanError, match=refused.replace("4", "[14]")):
            command()
    found = assess(second.spec, second.request().at)
    assert any("first writes to as well" in each.reason for each in found.tables[0].findings)
    assert small.target.content() == before
    small.source.insert("member", [(5, "person", "Zoe", None)])
    folder = second.folder / "of_its_own"
    folder.mkdir()
    own = another(replace(small, folder=folder), "second", where="id > 4", owns="id > 4")
    assert counts(own.run(), "person") == {"source_rows": 1, "insert": 1}


@other_half
def test_two_specs_of_one_name_are_told_apart_by_their_rows_and_a_spec_is_known_again_without_its_ledger(
    small: Scenario,
) -> None:
    mine = another(small, "shop", where="id < 3")
    mine.run()
    small.source.execute("DELETE FROM member WHERE id = 2")
    shutil.rmtree(mine.folder / "store")
    (mine.folder / "ledger.db").unlink()
    assert counts(mine.run(), "person") == {"source_rows": 1, "delete": 1, "unchanged": 1}

    theirs = another(small, "shop", within="theirs", where="id > 3")
    refused = r"would delete 1 rows of .*person.*, which another shop.* writes to as well.*owns:.*two names"
    with pytest.raises(PlanError, match=refused):
        theirs.run()
    assert any("another shop" in each.reason for each in assess(theirs.spec, theirs.request().at).tables[0].findings)
    assert small.target.rows("person") == [(1, "Ada")]
    their_rows = another(small, "shop", within="with_owns", where="id > 3", owns="id > 3")
    assert counts(their_rows.run(), "person") == {"source_rows": 1, "insert": 1}

    with pytest.raises(PlanError, match="another shop"):
        mine.run()
    mine.run(allow_deletes=True)
    assert small.target.rows("person") == [(1, "Ada")]


@one_half
def test_a_spec_whose_rows_are_others_from_now_on_knows_by_its_ledger_that_it_wrote_the_former(small: Scenario) -> None:
    another(small, "shop", where="id < 4").run()
    now = another(small, "shop", where="id > 1")
    assert counts(now.run(), "person") == {"source_rows": 3, "insert": 1, "delete": 1, "unchanged": 2}
    small.source.execute("DELETE FROM member WHERE id = 4")
    assert counts(now.run(), "person") == {"source_rows": 2, "delete": 1, "unchanged": 2}
    now.undo(3)
    with pytest.raises(PlanError, match="another shop"):
        another(small, "shop", within="elsewhere", where="id > 1 AND id < 4").run()


def test_a_spec_that_says_all_rows_are_its_own_deletes_what_others_left(small: Scenario) -> None:
    another(small, "earlier").run()
    now = another(small, "now", where="id < 3", owns="1 = 1")
    done = now.run()
    assert done.status == Status.DONE
    assert small.target.rows("person") == [(1, "Ada"), (2, "Acme")]


def test_two_entries_of_one_target_table_are_an_error_that_names_the_way(small: Scenario) -> None:
    entry = {"from": "member", "key": ["id"], "columns": {"id": "id", "name": "name"}, "target": "person"}
    small.write({"one": entry | {"owns": "id < 3"}, "two": entry | {"owns": "id > 1"}})
    with pytest.raises(SpecError, match=r"tables.two writes person, and so does tables.one.*from: \[\{table.*`owns:`"):
        commands.run(small.request())
