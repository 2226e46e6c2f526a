"""Tables that go both ways and show a part of their origin: some columns, and the rows of a condition on either side."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from scenario import RING, Scenario

from flows.commands import Status

PERSON: dict[str, Any] = {
    "from": "person",
    "where": "region = 'EU' AND shown > 0",
    "owns": "area = 'EU' AND shown > 0",
    "columns": {"id": "id", "fullname": "name", "area": "region", "shown": "shown"},
    "on_source": {"made_by": {"const": "sync"}},
}


@pytest.fixture
def people(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    return peopled(Scenario.make(tmp_path, ("sqlite", "sqlite"), request))


def peopled(made: Scenario) -> Scenario:
    """Two people that are shown, one that is not, and a customer of somebody else's."""
    made.source.execute(
        "CREATE TABLE person (id bigint PRIMARY KEY, name varchar(40), region varchar(9), shown int,"
        " made_by varchar(9) NOT NULL, secret varchar(9))"
    )
    made.target.execute("CREATE TABLE cust (id bigint PRIMARY KEY, fullname varchar(40), area varchar(9), shown int)")
    made.source.insert(
        "person", [(1, "Ann", "EU", 1, "app", "s1"), (2, "Bob", "EU", 1, "app", "s2"), (3, "Cy", "US", 1, "app", "s3")]
    )
    made.target.insert("cust", [(50, "Other", "US", 1)])
    write(made)
    assert made.run().status == Status.DONE
    assert made.target.rows("cust") == [(1, "Ann", "EU", 1), (2, "Bob", "EU", 1), (50, "Other", "US", 1)]
    return made


def write(scenario: Scenario, **rest: Any) -> None:
    scenario.write({"cust": PERSON}, direction="two_way", initial="policy", **rest)


def done_for_good(scenario: Scenario) -> None:
    """A run that leaves nothing to do."""
    assert scenario.run().status == Status.DONE
    again = scenario.run()
    assert (again.status, again.report.pending, again.report.total.quarantined) == (Status.DONE, False, 0)


def test_what_a_projection_does_not_show_stays_as_it_is(people: Scenario) -> None:
    people.target.execute(
        "UPDATE cust SET fullname = 'ANN' WHERE id = 1", "INSERT INTO cust VALUES (9, 'New', 'EU', 2)"
    )
    people.target.execute("DELETE FROM cust WHERE id = 2", "UPDATE cust SET fullname = 'Mine' WHERE id = 50")
    people.source.execute("UPDATE person SET name = 'Cyd' WHERE id = 3")
    done_for_good(people)
    assert people.source.rows("person") == [
        (1, "ANN", "EU", 1, "app", "s1"), (3, "Cyd", "US", 1, "app", "s3"), (9, "New", "EU", 2, "sync", None),
    ]  # fmt: skip
    assert people.target.rows("cust") == [(1, "ANN", "EU", 1), (50, "Mine", "US", 1), (9, "New", "EU", 2)]


@pytest.mark.parametrize(("pair", "value"), [*((pair, "US") for pair in RING), (RING[0], None), (RING[3], None)])
def test_a_row_that_leaves_on_one_side_leaves_on_the_other_and_is_not_deleted(
    pair: Any, value: str | None, tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    people = peopled(Scenario.make(tmp_path, pair, request))
    new = "NULL" if value is None else f"'{value}'"
    people.source.execute(f"UPDATE person SET region = {new}, name = 'Ann gone' WHERE id = 1")
    people.target.execute(f"UPDATE cust SET area = {new}, fullname = 'Bob gone' WHERE id = 2")
    plan = people.plan()
    (table,) = plan.report.tables
    assert (table.counts.delete, table.counts.update, table.back and table.back.update) == (0, 1, 1)
    done_for_good(people)
    assert people.source.rows("person") == [
        (1, "Ann gone", value, 1, "app", "s1"), (2, "Bob gone", value, 1, "app", "s2"), (3, "Cy", "US", 1, "app", "s3"),
    ]  # fmt: skip
    assert people.target.rows("cust") == [(1, "Ann gone", value, 1), (2, "Bob gone", value, 1), (50, "Other", "US", 1)]
    proof = people.verify().report.tables[0].agreement
    assert proof is not None and (proof.base, proof.alike) == ("held", 0)
    people.source.execute("UPDATE person SET name = 'far' WHERE id = 1")
    people.target.execute("UPDATE cust SET fullname = 'away' WHERE id = 2")
    done_for_good(people)  # neither side shows them any more
    assert people.target.ask("SELECT fullname FROM cust WHERE id = 1") == [("Ann gone",)]
    assert people.source.ask("SELECT name FROM person WHERE id = 2") == [("Bob gone",)]
    people.source.execute("UPDATE person SET region = 'EU' WHERE id = 1")
    people.target.execute("UPDATE cust SET area = 'EU' WHERE id = 2")
    done_for_good(people)  # what was done to them meanwhile comes along
    assert people.source.rows("person")[:2] == [(1, "far", "EU", 1, "app", "s1"), (2, "away", "EU", 1, "app", "s2")]
    assert people.target.rows("cust")[:2] == [(1, "far", "EU", 1), (2, "away", "EU", 1)]


def test_a_row_that_comes_back_while_the_other_side_deleted_it_is_a_delete_against_an_edit(people: Scenario) -> None:
    people.source.execute("UPDATE person SET region = 'US' WHERE id = 1")
    done_for_good(people)
    people.target.execute("DELETE FROM cust WHERE id = 1")
    done_for_good(people)
    people.source.execute("UPDATE person SET region = 'EU' WHERE id = 1")
    assert people.run().status == Status.CONFLICTS
    write(people, conflict={"delete": "update_wins"})
    done_for_good(people)
    assert people.target.rows("cust")[0] == (1, "Ann", "EU", 1)


def test_a_row_that_was_never_shared_stays_somebody_elses(people: Scenario) -> None:
    people.source.execute("INSERT INTO person VALUES (50, 'Mine', 'EU', 1, 'app', 's')")
    people.run()
    assert people.target.ask("SELECT fullname FROM cust WHERE id = 50") == [("Other",)]


def test_a_row_that_leaves_and_is_edited_on_the_other_side_keeps_both_edits(people: Scenario) -> None:
    people.source.execute("UPDATE person SET shown = 0 WHERE id = 1")
    people.target.execute("UPDATE cust SET fullname = 'ANN' WHERE id = 1")
    done_for_good(people)
    assert people.source.rows("person")[0] == (1, "ANN", "EU", 0, "app", "s1")
    assert people.target.rows("cust")[0] == (1, "ANN", "EU", 0)


def test_a_row_that_leaves_on_one_side_and_is_deleted_on_the_other_stays_where_it_is(people: Scenario) -> None:
    people.source.execute("UPDATE person SET region = 'US' WHERE id = 1")
    people.target.execute("DELETE FROM cust WHERE id = 1")
    before = people.source.rows("person")
    people.run()
    assert people.source.rows("person") == before
    assert people.target.ask("SELECT count(*) FROM cust WHERE id = 1") == [(0,)]


def test_an_undo_brings_back_what_left(people: Scenario) -> None:
    people.source.execute("UPDATE person SET region = 'US' WHERE id = 1")
    assert people.run().status == Status.DONE
    assert people.undo(people_version(people)).status == Status.DONE
    assert people.target.rows("cust")[0] == (1, "Ann", "EU", 1)


def people_version(scenario: Scenario) -> int:
    """The latest version of the target."""
    from flows.session.stores import ledger_of

    with ledger_of(scenario.spec) as ledger:
        return max(each.version for each in ledger.versions("shop") if each.side == "target")
