"""Several projections of one table of the source: what is edited on one is on the others after the same run, or open, and nothing is lost."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from command_line import answer, syncline
from scenario import Engine, Scenario, pair_name

from flows.apply import both_ways
from flows.commands import Outcome, Status
from flows.history.asof import asof
from transforms.vocabulary import SpecError

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


def test_a_row_that_both_projections_create_is_one_row_with_what_each_gives(staff: Scenario) -> None:
    staff.target.execute(
        "INSERT INTO public_person VALUES (7, 'Sam', '7@x'), (8, 'Kim', '8@x')",
        "INSERT INTO paid_person VALUES (7, 'Sam', 70), (8, 'Jim', 80)",
    )
    assert staff.run().status is Status.CONFLICTS
    (row,) = answer("conflicts", staff.path, "list")["conflicts"]
    assert (row["table"], row["key"], row["fields"]) == ("paid_person", [8], ["name"])
    assert staff.source.ask("SELECT * FROM person WHERE id > 6 ORDER BY id") == [
        (7, "Sam", "7@x", 70),
        (8, "Kim", "8@x", 80),
    ]
    syncline("conflicts", staff.path, "resolve", "--all", "--take", "target")
    assert staff.run().status is Status.DONE
    assert shown(staff)[8] == ["Jim", "8@x", 80]


def test_a_delete_on_one_projection_against_an_edit_on_another_goes_by_the_policy(staff: Scenario) -> None:
    staff.target.execute("DELETE FROM public_person WHERE id = 2", "UPDATE paid_person SET salary = 9 WHERE id = 2")
    assert staff.run().status is Status.CONFLICTS
    assert staff.target.ask("SELECT salary FROM paid_person WHERE id = 2") == [(9,)]
    write(staff, delete="update_wins")
    assert staff.run().status is Status.DONE
    assert shown(staff)[2][2] == 9
    staff.target.execute("DELETE FROM desk WHERE id = 30", "DELETE FROM public_person WHERE id = 3")
    staff.target.execute("UPDATE paid_person SET salary = 8 WHERE id = 3")
    assert staff.run().status is Status.DONE
    assert shown(staff)[3] == ["name 3", "3@x", 8]  # what the other one alone had shown of it stays, too


@pytest.mark.parametrize("staff", PAIRS, indirect=True, ids=pair_name)
def test_a_default_of_the_origin_is_its_own_where_no_projection_gives_a_value(staff: Scenario) -> None:
    staff.source.execute("ALTER TABLE person ADD grade integer DEFAULT 3")
    staff.target.execute("ALTER TABLE paid_person ADD grade integer")
    tables = {
        "public_person": {"from": "person", "columns": {"id": "id", "name": "name", "mail": "mail"}},
        "paid_person": {
            "from": "person",
            "columns": {"id": "id", "name": "name", "salary": "salary", "grade": "grade"},
        },
    }
    staff.write(tables, direction="two_way", initial="policy", conflict={"resolve": "merge"})
    assert staff.run().status is Status.DONE
    staff.target.execute(
        "INSERT INTO public_person VALUES (7, 'Sam', '7@x'), (8, 'Kim', '8@x')",
        "INSERT INTO paid_person VALUES (8, 'Kim', 80, 5)",
    )
    assert staff.run().status is Status.DONE
    assert staff.source.ask("SELECT id, grade FROM person WHERE id > 6 ORDER BY id") == [(7, 3), (8, 5)]
    assert staff.run().status is Status.DONE
    assert staff.target.ask("SELECT id, grade FROM paid_person WHERE id > 6 ORDER BY id") == [(7, 3), (8, 5)]


def test_a_plan_says_what_happens_to_all_projections_and_applying_it_does_that(staff: Scenario) -> None:
    staff.target.execute(
        "UPDATE paid_person SET salary = 9, name = 'Eve' WHERE id = 2",
        "INSERT INTO public_person VALUES (4, 'Pub', '4@x')",
    )
    before = (staff.source.rows("person"), staff.target.rows("public_person"), staff.target.rows("paid_person"))
    report = staff.plan().report
    told = {each.name: (each.counts.changes, each.back and each.back.changes) for each in report.tables}
    assert told == {"public_person": (1, 1), "paid_person": (1, 1), "desk": (0, 0)}
    assert (staff.source.rows("person"), staff.target.rows("public_person"), staff.target.rows("paid_person")) == before
    staff.target.execute("INSERT INTO paid_person VALUES (6, 'late', 6)")  # it comes with the next plan
    assert staff.apply(report.plan).status is Status.DONE
    assert staff.source.ask("SELECT * FROM person WHERE id IN (2, 4, 6)") == [
        (2, "Eve", "2@x", 9),
        (4, "Pub", "4@x", None),
    ]
    assert staff.target.ask("SELECT name FROM public_person WHERE id = 2") == [("Eve",)]
    assert staff.target.ask("SELECT name, salary FROM paid_person WHERE id = 4") == [("Pub", None)]
    assert staff.run().status is Status.DONE
    assert set(shown(staff)) == {1, 2, 3, 4, 6}


def test_projections_with_other_keys_are_refused(staff: Scenario) -> None:
    staff.source.execute("CREATE UNIQUE INDEX by_mail ON person (mail)")
    staff.target.execute("CREATE TABLE box (mail varchar(40) PRIMARY KEY, name varchar(40))")
    tables = {
        "public_person": {"from": "person", "columns": {"id": "id", "name": "name", "mail": "mail"}},
        "box": {"from": "person", "key": ["mail"], "columns": {"mail": "mail", "name": "name"}},
    }
    staff.write(tables, direction="two_way", initial="policy")
    with pytest.raises(SpecError, match="its key goes back to mail of the source"):
        staff.plan()


def test_a_run_of_one_projection_alone_leaves_the_others_for_later(staff: Scenario) -> None:
    staff.target.execute("UPDATE paid_person SET name = 'Pay' WHERE id = 2")
    assert staff.run(tables=("paid_person",)).status is Status.DONE
    assert staff.source.ask("SELECT name FROM person WHERE id = 2") == [("Pay",)]
    assert staff.run().status is Status.DONE
    assert shown(staff)[2][0] == "Pay"


def test_what_dies_between_both_sides_is_finished_by_the_next_run(
    staff: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:  # fmt: skip
    staff.target.execute(
        "UPDATE public_person SET mail = 'new@x' WHERE id = 1",
        "UPDATE paid_person SET name = 'Eve', salary = 7 WHERE id = 1",
        "INSERT INTO public_person VALUES (7, 'Sam', '7@x')",
        "INSERT INTO paid_person VALUES (7, 'Sam', 70)",
    )
    apply = both_ways.apply

    def dies(plan: Any, *rest: Any) -> Any:
        if plan.manifest.side == "source":
            raise RuntimeError("killed")
        return apply(plan, *rest)

    monkeypatch.setattr(both_ways, "apply", dies)
    with pytest.raises(RuntimeError):
        staff.run()
    monkeypatch.undo()
    assert staff.target.ask("SELECT name FROM public_person WHERE id = 1") == [("Eve",)]
    assert staff.run().status is Status.DONE
    assert shown(staff)[1] == ["Eve", "new@x", 7] and shown(staff)[7] == ["Sam", "7@x", 70]


def test_the_source_of_projections_is_known_as_it_stood(staff: Scenario) -> None:
    states = {0: staff.source.rows("person")}

    def run() -> int:
        assert staff.run().status is Status.DONE
        number = max(each["version"] for each in answer("history", staff.path)["versions"])
        states[number] = staff.source.rows("person")
        return number

    staff.source.execute("UPDATE person SET salary = 5 WHERE id = 3", "INSERT INTO person VALUES (9, 'Nine', '9@x', 9)")
    staff.target.execute("UPDATE public_person SET mail = 'new@x' WHERE id = 3")
    run()
    staff.target.execute("UPDATE paid_person SET salary = 1 WHERE id = 1", "DELETE FROM public_person WHERE id = 2")
    staff.target.execute("INSERT INTO paid_person VALUES (5, 'Pay', 5)")
    newest = run()
    for number, rows in states.items():
        known = asof(staff.spec, number, "public_person", side="source").select(["id", "name", "mail", "salary"])
        assert sorted(zip(*known.to_pydict().values(), strict=True)) == rows, number
    assert staff.undo(newest).status is Status.DONE
    staff.target.execute("UPDATE paid_person SET salary = 11 WHERE id = 1")
    assert staff.run().status is Status.DONE
    assert shown(staff)[1] == ["name 1", "1@x", 11]
