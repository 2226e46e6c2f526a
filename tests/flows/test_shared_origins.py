"""Several projections of one table of the source: what is edited on one is on the others after the same run, or open, and nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from command_line import answer, syncline
from scenario import Engine, Scenario, pair_name

from flows.commands import Outcome, Status

PAIRS: list[tuple[Engine, Engine]] = [("sqlite", "sqlite"), ("mysql", "postgresql"), ("postgresql", "duckdb")]


@pytest.fixture
def staff(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Persons, what the public sees of them and what is paid, and desks that refer to what the public sees."""
    made = Scenario.make(tmp_path, getattr(request, "param", ("sqlite", "sqlite")), request)
    made.source.execute(
        "CREATE TABLE person (id integer PRIMARY KEY, name varchar(40), mail varchar(40), salary integer)",
        "CREATE TABLE desk (id integer PRIMARY KEY, person integer NOT NULL REFERENCES person (id))",
    )
    made.target.execute(
        "CREATE TABLE public_person (id integer PRIMARY KEY, name varchar(40), mail varchar(40))",
        "CREATE TABLE paid_person (id integer PRIMARY KEY, name varchar(40), salary integer)",
        "CREATE TABLE desk (id integer PRIMARY KEY, person integer NOT NULL REFERENCES public_person (id))",
    )
    made.source.insert("person", [(n, f"name {n}", f"{n}@x", n * 100) for n in (1, 2, 3)])
    made.source.insert("desk", [(10, 1), (30, 3)])
    write(made)
    assert made.run().status is Status.DONE
    return made


def write(staff: Scenario, **conflict: Any) -> None:
    staff.write(
        {
            "public_person": {"from": "person", "columns": {"id": "id", "name": "name", "mail": "mail"}},
            "paid_person": {"from": "person", "columns": {"id": "id", "name": "name", "salary": "salary"}},
            "desk": {"from": "desk"},
        },
        direction="two_way", initial="policy", conflict={"resolve": "merge", **conflict},
        defaults={"window": 2, "delete": {"max_ratio": 1.0}},
    )  # fmt: skip


def shown(staff: Scenario) -> dict[int, Any]:
    """What everybody shows of each person, after looking that the projections show what the origin does."""
    rows = {key: rest for key, *rest in staff.source.rows("person")}
    public = {key: rest for key, *rest in staff.target.rows("public_person")}
    paid = {key: rest for key, *rest in staff.target.rows("paid_person")}
    assert public == {key: [name, mail] for key, (name, mail, _) in rows.items()}
    assert paid == {key: [name, salary] for key, (name, _, salary) in rows.items()}
    assert sorted(staff.source.rows("desk")) == sorted(staff.target.rows("desk"))
    return rows


def changed(outcome: Outcome) -> bool:
    return outcome.report.pending


@pytest.mark.parametrize("staff", PAIRS, indirect=True, ids=pair_name)
def test_edits_of_each_projection_are_on_the_origin_and_the_others_after_one_run(staff: Scenario) -> None:
    staff.target.execute(
        "UPDATE public_person SET mail = 'new@x' WHERE id = 1",
        "UPDATE paid_person SET salary = 7, name = 'Eve' WHERE id = 1",
    )
    staff.target.execute("INSERT INTO public_person VALUES (4, 'Pub', '4@x')", "INSERT INTO desk VALUES (40, 4)")
    staff.target.execute("INSERT INTO paid_person VALUES (5, 'Pay', 5)", "DELETE FROM paid_person WHERE id = 2")
    staff.source.execute("UPDATE person SET salary = 300 + 1 WHERE id = 3")
    assert staff.run().status is Status.DONE
    assert shown(staff) == {
        1: ["Eve", "new@x", 7], 3: ["name 3", "3@x", 301], 4: ["Pub", "4@x", None], 5: ["Pay", None, 5],
    }  # fmt: skip
    again = staff.run()
    assert again.status is Status.DONE and not changed(again)
    assert staff.verify().status is Status.DONE


def test_two_projections_that_edit_a_column_differently_are_in_conflict(staff: Scenario) -> None:
    staff.target.execute(
        "UPDATE public_person SET name = 'Pub' WHERE id = 1",
        "UPDATE paid_person SET name = 'Pay', salary = 1 WHERE id = 1",
    )
    outcome = staff.run()
    assert outcome.status is Status.CONFLICTS
    (row,) = answer("conflicts", staff.path, "list")["conflicts"]
    assert (row["table"], row["key"], row["source"]["name"], row["target"]["name"]) == (
        "paid_person",
        [1],
        "Pub",
        "Pay",
    )
    assert staff.source.ask("SELECT name FROM person WHERE id = 1") == [("Pub",)]
    syncline("conflicts", staff.path, "resolve", "--table", "paid_person", "--key", "1", "--take", "target")
    assert staff.run().status is Status.DONE
    assert shown(staff)[1] == ["Pay", "1@x", 1]


def test_a_policy_decides_between_projections_as_between_sides(staff: Scenario) -> None:
    write(staff, resolve="target_wins")
    staff.target.execute(
        "UPDATE public_person SET name = 'Pub' WHERE id = 1", "UPDATE paid_person SET name = 'Pay' WHERE id = 1"
    )
    assert staff.run().status is Status.DONE
    assert shown(staff)[1][0] == "Pay"


def test_a_row_that_both_projections_create_comes_together(staff: Scenario) -> None:
    staff.target.execute(
        "INSERT INTO public_person VALUES (7, 'Sam', '7@x')", "INSERT INTO paid_person VALUES (7, 'Sam', 70)"
    )
    outcome = staff.run()
    if (
        outcome.status is Status.CONFLICTS
    ):  # the origin has no salary yet, and the projection 70: that is for people to say
        syncline("conflicts", staff.path, "resolve", "--all", "--take", "target")
        assert staff.run().status is Status.DONE
    assert shown(staff)[7] == ["Sam", "7@x", 70]


def test_a_delete_on_one_projection_against_an_edit_on_another_goes_by_the_policy(staff: Scenario) -> None:
    staff.target.execute("DELETE FROM public_person WHERE id = 2", "UPDATE paid_person SET salary = 9 WHERE id = 2")
    assert staff.run().status is Status.CONFLICTS
    assert staff.target.ask("SELECT salary FROM paid_person WHERE id = 2") == [(9,)]
    write(staff, delete="update_wins")
    assert staff.run().status is Status.DONE
    assert 2 in shown(staff) and shown(staff)[2][2] == 9


def test_a_plan_says_that_the_others_follow(staff: Scenario) -> None:
    staff.target.execute("UPDATE paid_person SET salary = 9 WHERE id = 2")
    outcome = staff.plan()
    assert [notice.facts["tables"] for notice in outcome.report.warnings if notice.code == "projections_in_turn"] == [
        ["public_person", "paid_person"]
    ]


def test_a_run_of_one_projection_alone_leaves_the_others_for_later(staff: Scenario) -> None:
    staff.target.execute("UPDATE paid_person SET name = 'Pay' WHERE id = 2")
    assert staff.run(tables=("paid_person",)).status is Status.DONE
    assert staff.source.ask("SELECT name FROM person WHERE id = 2") == [("Pay",)]
    assert staff.run().status is Status.DONE
    assert shown(staff)[2][0] == "Pay"


def test_a_round_that_dies_is_finished_by_the_next_run(staff: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    from flows import commands

    staff.target.execute(
        "UPDATE public_person SET mail = 'new@x' WHERE id = 1",
        "UPDATE paid_person SET name = 'Eve', salary = 7 WHERE id = 1",
    )
    load = commands.load

    def dies(plan: Any, report: Any, *rest: Any, **more: Any) -> Any:
        if report.run_id.endswith("-0001"):
            raise RuntimeError("killed")
        return load(plan, report, *rest, **more)

    monkeypatch.setattr(commands, "load", dies)
    with pytest.raises(RuntimeError):
        staff.run()
    monkeypatch.undo()
    assert staff.run().status is Status.DONE
    assert shown(staff)[1] == ["Eve", "new@x", 7]
