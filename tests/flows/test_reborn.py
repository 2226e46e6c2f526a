"""Unique values that pass from a row that goes to one that comes, in a table that others refer to."""

from __future__ import annotations

from pathlib import Path

import pytest
from scenario import RING, Scenario, halves, pair_name

from flows.commands import Status
from transforms.vocabulary import PlanError

everywhere = pytest.mark.parametrize("shop", RING, indirect=True, ids=pair_name)
one_half, _ = halves("shop")


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """People with unique addresses, and orders of one of them."""
    made = Scenario.make(tmp_path, getattr(request, "param", RING[0]), request)
    person = "CREATE TABLE person (id integer PRIMARY KEY, mail varchar(20) UNIQUE)"
    purchase = "CREATE TABLE purchase (id integer PRIMARY KEY, person integer"
    made.source.execute(person, f"{purchase})")
    made.target.execute(person, f"{purchase}, FOREIGN KEY (person) REFERENCES person (id))")
    made.source.insert("person", [(1, "a@x"), (2, "b@x"), (3, None), (4, "d@x"), (5, None)])
    made.source.insert("purchase", [(1, 1), (2, 4)])
    made.write(
        {"person": {"from": "person"}, "purchase": {"from": "purchase"}},
        defaults={"window": 2, "delete": {"max_ratio": 1.0}},
    )
    assert made.run().report.version == 1
    return made


@everywhere
def test_a_row_that_is_entered_anew_under_another_key_comes_in_one_run_and_is_taken_back(shop: Scenario) -> None:
    first = shop.target.content()
    shop.source.execute(
        "DELETE FROM person WHERE id IN (2, 3)",
        "INSERT INTO person VALUES (12, 'b@x')",
        "INSERT INTO purchase VALUES (3, 5)",
    )
    done = shop.run()
    assert (done.status, done.report.total.insert, done.report.total.delete) == (Status.DONE, 2, 2)
    second = shop.target.content()
    assert second["person"] == shop.source.rows("person")
    shop.settled()
    assert shop.undo(2).status == Status.DONE
    assert shop.target.content() == first
    assert shop.undo(3).status == Status.DONE
    assert shop.target.content() == second


@one_half
def test_a_row_that_others_still_refer_to_gives_its_value_up_before_it_goes(shop: Scenario) -> None:
    before = shop.target.content()
    shop.source.execute(
        "UPDATE purchase SET person = 5 WHERE id = 2",
        "DELETE FROM person WHERE id = 4",
        "INSERT INTO person VALUES (14, 'd@x')",
    )
    if shop.target.engine == "duckdb":  # which changes no unique value of such a row
        for _ in range(2):
            with pytest.raises(
                PlanError, match=r"person: row \[4\] is to be deleted, another row takes a unique value of it"
            ):
                shop.run()
            assert shop.target.content() == before
        assert shop.verify().status == Status.CHANGES
        shop.target.execute("UPDATE purchase SET person = 5 WHERE id = 2")
        assert shop.run().status == Status.DONE, "as the message says"
        shop.settled()
        return
    done = shop.run()
    assert (done.status, done.report.total.changes, done.report.total.delete) == (Status.DONE, 3, 1)
    assert shop.target.content() == shop.source.content()
    shop.settled()
    assert shop.undo(2).status == Status.DONE
    assert shop.target.content() == before
