"""Runs that write both sides: what each one becomes, what is left open, and that a run which dies anywhere ends as one that does not."""

from __future__ import annotations

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from scenario import RING, Scenario, halves, pair_name

from adapters.ledger.ledger import Ledger
from flows.apply import both_ways
from flows.apply import windows as applying
from flows.cli.main import main
from flows.commands import Status
from flows.session.stores import ledger_of, store_of
from transforms.vocabulary import PlanError, SpecError

everywhere = pytest.mark.parametrize("shop", RING, indirect=True, ids=pair_name)
one_half, other_half = halves("shop")
State = tuple[Any, Any, list[Any]]


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Customers and their orders on both sides, under other names, in windows of two; both sides have met."""
    made = Scenario.make(tmp_path, getattr(request, "param", ("sqlite", "sqlite")), request)
    made.source.execute(
        "CREATE TABLE customer (no integer PRIMARY KEY, name varchar(40), mail varchar(40) UNIQUE, note varchar(40))",
        "CREATE TABLE bill (no integer PRIMARY KEY, customer integer NOT NULL REFERENCES customer (no), total integer)",
    )
    made.target.execute(
        "CREATE TABLE client (id integer PRIMARY KEY, label varchar(40), mail varchar(40) UNIQUE, note varchar(40))",
        "CREATE TABLE invoice (id integer PRIMARY KEY, client integer NOT NULL REFERENCES client (id), total integer)",
    )
    made.source.insert("customer", [(n, f"name {n}", f"{n}@x", "-") for n in range(1, 6)])
    made.source.insert("bill", [(10 * n, n, n) for n in range(1, 6)])
    write(made)
    assert made.run().status is Status.DONE
    return made


def write(shop: Scenario, resolve: str = "merge", initial: str = "policy", **more: Any) -> None:
    shop.write(
        {
            "client": {"from": "customer", "columns": {"id": "no", "label": "name", "mail": "mail", "note": "note"}},
            "invoice": {"from": "bill", "columns": {"id": "no", "client": "customer", "total": "total"}},
        },
        direction="two_way",
        initial=initial,
        conflict={"resolve": resolve, **more},
        defaults={"window": 2, "delete": {"max_ratio": 1.0}},
    )


def state(shop: Scenario) -> State:
    with ledger_of(shop.spec) as ledger:
        found = [(each.table_name, json.loads(each.key), each.kind) for each in ledger.conflicts(shop.spec.name)]
    return shop.source.content(), shop.target.content(), sorted(found)


def equal(shop: Scenario) -> bool:
    ours, theirs = shop.source.content(), shop.target.content()
    return (ours["customer"], ours["bill"]) == (theirs["client"], theirs["invoice"])


def edit(shop: Scenario) -> None:
    """Each side changes, deletes and creates rows; nobody the same field."""
    shop.source.execute(
        "UPDATE customer SET name = 'Ada' WHERE no = 1",
        "DELETE FROM bill WHERE no = 20",
        "DELETE FROM customer WHERE no = 2",
        "INSERT INTO customer VALUES (6, 'Six', '6@x', NULL)",
        "INSERT INTO bill VALUES (60, 6, 66)",
    )
    shop.target.execute(
        "UPDATE client SET note = 'good' WHERE id = 1",
        "UPDATE client SET label = 'Tom' WHERE id = 3",
        "DELETE FROM invoice WHERE id = 40",
        "INSERT INTO client VALUES (7, 'Sev', '7@x', 'new')",
        "INSERT INTO invoice VALUES (70, 7, 77)",
    )


@everywhere
def test_edits_of_both_sides_come_together_and_a_second_run_is_empty(shop: Scenario) -> None:
    assert equal(shop)
    edit(shop)
    outcome = shop.run()
    assert outcome.status is Status.DONE, outcome.message
    assert equal(shop)
    assert shop.source.rows("customer") == [
        (1, "Ada", "1@x", "good"), (3, "Tom", "3@x", "-"), (4, "name 4", "4@x", "-"), (5, "name 5", "5@x", "-"),
        (6, "Six", "6@x", None), (7, "Sev", "7@x", "new"),
    ]  # fmt: skip
    told = outcome.report.as_dict()["tables"]
    assert (told["client"]["insert"], told["client"]["update"], told["client"]["delete"]) == (1, 1, 1)
    assert told["client"]["back"] == {"insert": 1, "update": 2, "delete": 0}
    assert told["client"]["merged"] == 1
    assert told["invoice"]["back"] == {"insert": 1, "update": 0, "delete": 1}
    again = shop.run()
    assert (again.status, again.report.pending, again.report.version) == (Status.DONE, False, None)
    assert shop.verify().status is Status.DONE


@other_half
def test_a_field_that_both_sides_changed_is_left_open_until_the_sides_are_alike(shop: Scenario) -> None:
    shop.source.execute("UPDATE customer SET name = 'Ada', note = 's' WHERE no = 1")
    shop.target.execute("UPDATE client SET label = 'Eve' WHERE id = 1", "UPDATE client SET note = 't' WHERE id = 2")
    outcome = shop.run()
    assert outcome.status is Status.CONFLICTS
    assert state(shop)[2] == [("client", [1], "update/update")]
    assert shop.source.rows("customer")[:2] == [(1, "Ada", "1@x", "s"), (2, "name 2", "2@x", "t")]
    assert shop.target.rows("client")[:2] == [(1, "Eve", "1@x", "-"), (2, "name 2", "2@x", "t")]
    before = state(shop)
    again = shop.run()
    assert (again.status, again.report.pending, state(shop)) == (Status.CONFLICTS, False, before)
    shop.target.execute("UPDATE client SET label = 'Ada' WHERE id = 1")
    assert shop.run().status is Status.DONE
    assert equal(shop)
    assert state(shop)[2] == []


@everywhere
def test_a_row_that_the_other_side_refuses_is_a_conflict_and_both_keep_their_rows(shop: Scenario) -> None:
    shop.source.execute("INSERT INTO customer VALUES (8, 'Oct', 'same@x', NULL)")
    shop.target.execute("INSERT INTO client VALUES (9, 'Nine', 'same@x', NULL)")
    shop.source.execute("DELETE FROM bill WHERE no = 20", "DELETE FROM customer WHERE no = 2")
    shop.target.execute("INSERT INTO invoice VALUES (21, 2, 5)")
    assert shop.run().status is Status.CONFLICTS
    after = state(shop)
    assert after[2] == [
        ("client", [2], "foreign_key"), ("client", [8], "unique"), ("client", [9], "unique"), ("invoice", [21], "foreign_key"),
    ]  # fmt: skip
    assert (8, "Oct", "same@x", None) in shop.source.rows("customer")
    assert (21, 2, 5) in shop.target.rows("invoice")
    assert (shop.source.count("customer"), shop.target.count("client")) == (5, 6)
    again = shop.run()
    assert (again.status, state(shop)) == (Status.CONFLICTS, after)
    shop.target.execute("UPDATE client SET mail = '9@x' WHERE id = 9", "DELETE FROM invoice WHERE id = 21")
    assert shop.run().status is Status.DONE
    assert equal(shop)


def test_a_first_meeting_deletes_nothing_and_one_that_is_only_looked_at_writes_nothing(shop: Scenario) -> None:
    shop.target.execute("DELETE FROM invoice WHERE id = 10")
    shop.source.execute("DELETE FROM bill WHERE no = 50")
    for path in store_of(shop.spec).agreed(shop.spec.name).rglob("parts.json"):
        path.unlink()
    outcome = shop.run()
    assert [notice.code for notice in outcome.report.warnings] == ["base_lost", "base_lost"]
    assert equal(shop)
    assert shop.source.count("bill") == 5


@pytest.mark.parametrize("resolve", ["source_wins", "target_wins"])
def test_what_is_overruled_is_counted_and_kept(shop: Scenario, resolve: str) -> None:
    write(shop, resolve)
    shop.source.execute("UPDATE customer SET name = 'S' WHERE no = 1")
    shop.target.execute("UPDATE client SET label = 'T' WHERE id = 1")
    outcome = shop.run()
    assert outcome.status is Status.DONE
    assert equal(shop)
    assert {row[1] for row in shop.source.rows("customer")} >= {"S" if resolve == "source_wins" else "T"}
    assert outcome.report.as_dict()["tables"]["client"]["overruled"] == 1


@one_half
@pytest.mark.parametrize("side", ["source", "target"])
def test_an_edit_between_plan_and_apply_is_a_conflict_and_no_edit_is_lost(shop: Scenario, side: str) -> None:
    edit(shop)
    planned = shop.plan()
    assert planned.status is Status.CHANGES
    if side == "source":
        shop.source.execute("UPDATE customer SET note = 'late' WHERE no = 3")
    else:
        shop.target.execute("UPDATE client SET note = 'late' WHERE id = 1")
    done = shop.apply(planned.report.plan)
    assert done.status is Status.CONFLICTS
    outcome = shop.run()
    if side == "source":
        assert outcome.status is Status.DONE, outcome.message
        assert equal(shop)
        assert (3, "Tom", "3@x", "late") in shop.source.rows("customer")
    else:
        # the target's edit is one of a field that went to the source already as it was planned
        assert outcome.status is Status.DONE, outcome.message
        assert equal(shop)
        assert (1, "Ada", "1@x", "late") in shop.source.rows("customer")


class Killed(BaseException):
    pass


def kill_at_commit(monkeypatch: pytest.MonkeyPatch, number: int) -> None:
    """The window whose commit comes as the `number`-th dies before it."""
    commits = iter(range(1, 1000))
    original = applying.archive.note

    def failing(*args: Any) -> None:
        if next(commits) >= number:
            raise Killed
        original(*args)

    monkeypatch.setattr(applying.archive, "note", failing)


def kill_around(monkeypatch: pytest.MonkeyPatch, owner: Any, name: str, *, before: bool, at: int = 1) -> None:
    original, calls = getattr(owner, name), iter(range(1, 1000))

    def dying(*args: Any, **named: Any) -> Any:
        dies = next(calls) == at
        if dies and before:
            raise Killed
        result = original(*args, **named)
        if dies:
            raise Killed
        return result

    monkeypatch.setattr(owner, name, dying)


KILLS: dict[str, Callable[[pytest.MonkeyPatch], None]] = {
    "before the plans are in the ledger": lambda m: kill_around(m, Ledger, "begin_applying", before=True),
    "before anything is written": lambda m: kill_around(m, Ledger, "begin_applying", before=False),
    **{f"at commit {n}": lambda m, n=n: kill_at_commit(m, n) for n in (1, 3, 6, 9)},
    "before a base is replaced": lambda m: kill_around(m, both_ways, "replace_agreed", before=True),
    "between two bases": lambda m: kill_around(m, both_ways, "replace_agreed", before=False),
    "before the ledger knows the base": lambda m: kill_around(m, Ledger, "set_fact", before=True),
    "before the versions": lambda m: kill_around(m, Ledger, "add_versions", before=True),
    "after the versions": lambda m: kill_around(m, Ledger, "add_versions", before=False),
    "before the end": lambda m: kill_around(m, Ledger, "finish_run", before=True),
}


@pytest.mark.parametrize("kill", KILLS.values(), ids=KILLS.keys())
def test_a_run_that_dies_anywhere_ends_as_one_that_does_not(
    shop: Scenario, kill: Callable[[pytest.MonkeyPatch], None], monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(shop)
    shop.target.execute("UPDATE client SET label = 'Eve' WHERE id = 5")
    shop.source.execute("UPDATE customer SET name = 'Adam' WHERE no = 5")
    with monkeypatch.context() as patched:
        kill(patched)
        with pytest.raises(Killed):
            shop.run()
    again = shop.run()
    assert again.status is Status.CONFLICTS, again.message
    ended = state(shop)
    assert ended[2] == [("client", [5], "update/update")]
    assert shop.source.rows("customer", "no, name") == [
        (1, "Ada"), (3, "Tom"), (4, "name 4"), (5, "Adam"), (6, "Six"), (7, "Sev"),
    ]  # fmt: skip
    assert shop.target.rows("client", "id, label") == [
        (1, "Ada"), (3, "Tom"), (4, "name 4"), (5, "Eve"), (6, "Six"), (7, "Sev"),
    ]  # fmt: skip
    assert ended[0]["bill"] == ended[1]["invoice"] == [(10, 1, 1), (30, 3, 3), (50, 5, 5), (60, 6, 66), (70, 7, 77)]
    with ledger_of(shop.spec) as ledger:
        made = [(each.side, each.synchronized_with) for each in ledger.versions("shop")]
        assert made[:2] == [("source", 2), ("target", 3)], made
        assert len(made) == 3
    assert not shop.run().report.pending
    assert state(shop) == ended


def test_a_plan_whose_other_half_is_missing_is_not_applied(shop: Scenario) -> None:
    edit(shop)
    before = shop.source.content(), shop.target.content()
    planned = shop.plan()
    other = Path(str(planned.report.plan) + "~source")
    (other / "manifest.json").unlink()
    with pytest.raises(PlanError):
        shop.apply(planned.report.plan)
    assert (shop.source.content(), shop.target.content()) == before


@other_half
def test_an_undo_takes_both_sides_back_and_a_run_then_has_nothing_to_do(shop: Scenario) -> None:
    first = shop.source.content(), shop.target.content()
    edit(shop)
    edited = shop.source.content(), shop.target.content()
    number = shop.run().report.version
    assert number is not None
    undone = shop.undo(number)
    assert undone.status is Status.DONE, undone.message
    assert (shop.source.content(), shop.target.content()) == edited
    assert undone.report.as_dict()["tables"]["client"]["back"] == {"insert": 0, "update": 2, "delete": 1}
    with pytest.raises(SpecError):
        shop.undo(number)
    assert first != edited


def test_an_undo_of_one_side_is_an_edit_of_that_side(shop: Scenario) -> None:
    shop.source.execute("UPDATE customer SET name = 'Ada' WHERE no = 1")
    shop.target.execute("UPDATE client SET note = 'good' WHERE id = 1")
    number = shop.run().report.version
    assert number is not None
    assert shop.undo(number, side="target").status is Status.DONE
    assert shop.target.rows("client")[0] == (1, "name 1", "1@x", "good")
    assert shop.source.rows("customer")[0] == (1, "Ada", "1@x", "good")
    assert shop.run().status is Status.DONE
    assert equal(shop)
    assert shop.source.rows("customer")[0] == (1, "name 1", "1@x", "good")


def test_sides_that_meet_and_are_only_looked_at_stay_as_they_are(shop: Scenario) -> None:
    shop.source.execute("UPDATE customer SET name = 'S' WHERE no = 1", "DELETE FROM bill WHERE no = 50")
    for path in store_of(shop.spec).agreed(shop.spec.name).rglob("parts.json"):
        path.unlink()
    write(shop, initial="report")
    before = shop.source.content(), shop.target.content()
    outcome = shop.run()
    assert outcome.status is Status.CHANGES
    told = outcome.report.as_dict()["tables"]
    assert told["client"]["meeting"]["target"]["back"] == {"insert": 0, "update": 1, "delete": 0}
    assert told["client"]["meeting"]["source"]["update"] == 1
    assert told["client"]["meeting"]["policy"]["conflicts"] == 1
    assert told["invoice"]["meeting"]["policy"]["back"] == {"insert": 1, "update": 0, "delete": 0}
    assert (shop.source.content(), shop.target.content()) == before
    assert shop.run().status is Status.CHANGES
    write(shop, initial="source")
    assert shop.run().status is Status.DONE
    assert equal(shop)
    assert shop.target.rows("client")[0] == (1, "S", "1@x", "-")


@pytest.mark.parametrize(("take", "wins"), [("source", "Ada"), ("target", "Eve")])
def test_what_people_decided_is_done_by_the_next_run_unless_the_row_changed_again(
    shop: Scenario, take: str, wins: str
) -> None:
    shop.source.execute("UPDATE customer SET name = 'Ada' WHERE no IN (1, 2)")
    shop.target.execute("UPDATE client SET label = 'Eve' WHERE id IN (1, 2)")
    assert shop.run().status is Status.CONFLICTS
    decided = CliRunner().invoke(main, ["conflicts", str(shop.path), "resolve", "--table", "client", "--take", take])
    assert decided.exit_code in (0, 5), decided.output
    shop.target.execute("UPDATE client SET label = 'Eva' WHERE id = 2")
    outcome = shop.run()
    assert outcome.status is Status.CONFLICTS
    assert state(shop)[2] == [("client", [2], "update/update")]
    assert "resolution_outdated" in [notice.code for notice in outcome.report.warnings]
    assert (shop.source.rows("customer")[0][1], shop.target.rows("client")[0][1]) == (wins, wins)


def test_a_row_that_goes_from_the_source_alone_does_not_count_as_one_that_the_target_loses(shop: Scenario) -> None:
    shop.source.execute("INSERT INTO customer VALUES (6, 'Six', '6@x', NULL)")
    shop.target.execute("DELETE FROM invoice WHERE client = 4", "DELETE FROM client WHERE id = 4")

    assert shop.run().status is Status.DONE
    assert equal(shop)
    assert [row[0] for row in shop.source.content()["customer"]] == [1, 2, 3, 5, 6]


def test_a_run_that_wrote_nothing_and_cannot_go_on_leaves_what_both_sides_agree_on(
    shop: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    shop.target.execute("DELETE FROM invoice WHERE id = 50", "UPDATE client SET note = 'theirs' WHERE id = 1")

    def stopped(*_: object) -> None:
        raise PlanError("The plan does not fit any more.", fix="plan again.")

    with monkeypatch.context() as patch:
        patch.setattr(both_ways, "rehearse", stopped)
        with pytest.raises(PlanError):
            shop.run()
        assert run_after_recovery_fails(shop)

    assert shop.run().status is Status.DONE
    assert equal(shop)
    assert [row[0] for row in shop.source.content()["bill"]] == [10, 20, 30, 40], "a deleted row stays deleted"


def run_after_recovery_fails(shop: Scenario) -> bool:
    """Whether a second run puts the first one down, and then stops as the first one did."""
    with pytest.raises(PlanError):
        shop.run()
    return True
