"""`sync` where changes go both ways: what no feed tells of, echoes that leave nothing behind, and tables whose rows have two keys."""

from __future__ import annotations

import os
import shutil
import sqlite3
from collections import Counter
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from command_line import answer
from scenario import Engine, Scenario
from two_way_identity import CUSTOMER, ORDER, numbered, seen

from flows.follow.following import Asked, Told
from flows.follow.lag import Totals
from flows.follow.sync import sync
from flows.follow.triggers import to_install
from flows.history.decisions import Choice, decide, verdict_of
from flows.session.stores import ledger_of

PEOPLE: dict[str, Any] = {
    "people": {"from": "person", "key": ["id"], "columns": {"id": "id", "full_name": "name", "age": "age"}}
}
FOLLOW = {"capture": "trigger", "every": "10ms"}


class Heard(Told):
    """Keeps what was said."""

    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)


def followed(both: Scenario, told: Told | None = None) -> Totals:
    outcome, totals = sync(Asked(both.path, once=True), told or Told())
    assert outcome is None, outcome
    return totals


def begun(both: Scenario, tables: dict[str, Any], **more: Any) -> Scenario:
    """Both sides in step, with triggers that tell of what comes."""
    both.write(tables, direction="two_way", initial="policy", follow=FOLLOW, **more)
    with to_install(both.spec, None) as triggers:
        triggers.execute(triggers.installing())
    followed(both)
    return both


def people(pair: tuple[Engine, Engine], tmp_path: Path, request: pytest.FixtureRequest, **more: Any) -> Scenario:
    both = Scenario.make(tmp_path, pair, request)
    both.source.execute(
        "CREATE TABLE person (id int PRIMARY KEY, name varchar(20), age int)",
        "INSERT INTO person VALUES (1, 'Ann', 1), (2, 'Bob', 2), (3, 'Cy', 3)",
    )
    both.target.execute("CREATE TABLE people (id int PRIMARY KEY, full_name varchar(20) UNIQUE, age int)")
    return begun(both, PEOPLE, **more)


def left_behind(both: Scenario) -> Counter[str]:
    """How many lines the ledger's tables have, and files and folders the store."""
    with closing(sqlite3.connect(both.folder / "ledger.db")) as ledger:
        names = [name for (name,) in ledger.execute("SELECT name FROM sqlite_schema WHERE type = 'table'")]
        found = Counter({name: ledger.execute(f'SELECT count(*) FROM "{name}"').fetchone()[0] for name in names})
    for _, folders, files in os.walk(both.folder / "store"):
        found["store"] += len(folders) + len(files)
    return found


def test_batches_that_change_nothing_leave_nothing_behind(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    both = people(("sqlite", "sqlite"), tmp_path, request)
    both.source.execute("UPDATE person SET name = 'S' WHERE id = 2")
    both.target.execute("UPDATE people SET full_name = 'T' WHERE id = 2")
    followed(both)
    before = left_behind(both)
    for name in ("X", "Ann"):
        both.source.execute("UPDATE person SET age = age", "UPDATE person SET name = 'S' WHERE id = 2")
        both.target.execute(f"UPDATE people SET full_name = '{name}' WHERE id = 1")
        both.target.execute("UPDATE people SET full_name = 'Ann' WHERE id = 1")
        assert followed(both).batches, "it was told of"
    assert left_behind(both) == before, (
        "neither echoes nor a row that is open as it was leave a plan, a run or a version"
    )
    both.target.execute("UPDATE people SET age = 5 WHERE id = 2")
    followed(both)
    with ledger_of(both.spec) as ledger:
        (open_,) = ledger.conflicts("shop")
    assert '"age":5' in str(open_.target), "an open row that somebody edits is noted as it is now"


@pytest.mark.parametrize("pair", [("sqlite", "sqlite"), ("mysql", "postgresql")], ids=str)
def test_what_people_decide_is_applied_by_the_next_batch(
    pair: tuple[Engine, Engine], tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    both = people(pair, tmp_path, request)
    both.source.execute("UPDATE person SET name = 'S' WHERE id = 1", "DELETE FROM person WHERE id = 3")
    both.target.execute("UPDATE people SET full_name = 'T' WHERE id = 1", "UPDATE people SET age = 33 WHERE id = 3")
    followed(both)
    decide(both.spec, Choice(keys=("1",)), verdict_of("target"), by="ada")
    decide(both.spec, Choice(keys=("3",)), verdict_of("source"), by="ada")
    followed(both)
    wanted = [(1, "T", 1), (2, "Bob", 2)]
    assert (both.source.rows("person"), both.target.rows("people")) == (wanted, wanted)
    with ledger_of(both.spec) as ledger:
        assert [each.ended for each in ledger.open_rows.decisions("shop")] == ["applied", "applied"]
        assert not ledger.conflicts("shop")
    both.settled()


def test_a_decision_about_a_row_that_changed_again_is_outdated_and_tried_once(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    both = people(("sqlite", "sqlite"), tmp_path, request)
    both.source.execute("UPDATE person SET name = 'S' WHERE id = 1")
    both.target.execute("UPDATE people SET full_name = 'T' WHERE id = 1")
    followed(both)
    decide(both.spec, Choice(keys=("1",)), verdict_of("target"), by="ada")
    both.target.execute("UPDATE people SET full_name = 'U' WHERE id = 1")
    followed(both)
    assert both.source.rows("person")[0] == (1, "S", 1)
    with ledger_of(both.spec) as ledger:
        assert [each.ended for each in ledger.open_rows.decisions("shop")] == ["outdated"]
    assert not followed(both).batches


def test_a_row_that_another_one_stood_against_comes_once_that_is_gone(
    tmp_path: Path, request: pytest.FixtureRequest
) -> None:
    both = people(("sqlite", "sqlite"), tmp_path, request)
    both.source.execute("INSERT INTO person VALUES (4, 'Bob', 4)")
    followed(both)
    with ledger_of(both.spec) as ledger:
        assert [each.kind for each in ledger.conflicts("shop")] == ["unique"]
    both.target.execute("UPDATE people SET full_name = 'Rob' WHERE id = 2")
    followed(both)
    wanted = [(1, "Ann", 1), (2, "Rob", 2), (3, "Cy", 3), (4, "Bob", 4)]
    assert (both.source.rows("person"), both.target.rows("people")) == (wanted, wanted)
    both.settled()


def test_rows_that_each_side_numbers_by_itself_are_followed(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    both = numbered(Scenario.make(tmp_path, ("sqlite", "sqlite"), request))
    both.source.execute("INSERT INTO people VALUES (1, 'a@x', 'Ann'), (2, 'b@x', 'Bob')")
    both.source.execute("INSERT INTO orders VALUES (10, 1, 'hat')")
    begun(both, {"customer": CUSTOMER, "purchase": ORDER})
    (told,) = (each for each in answer("check", both.path)["notices"] if each["code"] == "followed_whole")
    assert told["facts"] == {"tables": ["customer", "purchase"], "rows": 3}, "check says what a batch costs"
    both.source.execute("UPDATE people SET name = 'S' WHERE id = 2", "INSERT INTO orders VALUES (11, 2, 'cap')")
    both.target.execute(
        "INSERT INTO customer VALUES (77, 'n@x', 'New')", "INSERT INTO purchase VALUES (99, 77, 'shoe')"
    )
    followed(both)
    one, other = seen(both)
    assert one == other == [
        [("cap", "S"), ("hat", "Ann"), ("shoe", "New")], [("a@x", "Ann"), ("b@x", "S"), ("n@x", "New")],
    ]  # fmt: skip
    before = left_behind(both)
    both.source.execute("UPDATE people SET name = name")
    assert followed(both).batches
    assert left_behind(both) == before
    both.source.execute("DELETE FROM orders WHERE item = 'shoe'")
    both.target.execute("UPDATE purchase SET item = 'top hat' WHERE item = 'hat'")
    followed(both)
    assert seen(both)[0] == seen(both)[1] == [[("cap", "S"), ("top hat", "Ann")], one[1]]
    both.settled()


def test_sides_whose_base_was_lost_are_compared_in_full(tmp_path: Path, request: pytest.FixtureRequest) -> None:
    both, heard = people(("sqlite", "sqlite"), tmp_path, request), Heard()
    shutil.rmtree(both.folder / "store" / "agreed")
    both.target.execute("UPDATE people SET age = 9 WHERE id = 1", "INSERT INTO people VALUES (5, 'Di', 5)")
    followed(both, heard)
    assert any("compared in full" in text for text in heard.notices)
    assert (5, "Di", 5) in both.source.rows("person")
