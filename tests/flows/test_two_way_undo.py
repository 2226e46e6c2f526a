"""What an undo of runs that write both sides leaves: both are as they were, and what each side had done by then is still to be brought
over. No edit of a side is taken for a wish to undo what the other one did."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest
from command_line import answer, syncline
from scenario import Scenario, halves

from adapters.store.both_ways import source_folder
from flows import commands
from flows.apply import agreed as applying
from flows.commands import Status
from flows.history import prune
from flows.session.stores import store_of
from transforms.vocabulary import PlanError

one_half, other_half = halves("shop")
FIRST = [(n, f"v{n}", 10 * n) for n in range(1, 6)]


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Five rows on both sides, in windows of two, that have met."""
    made = Scenario.make(tmp_path, getattr(request, "param", ("sqlite", "sqlite")), request)
    made.source.execute("CREATE TABLE old (no integer PRIMARY KEY, v varchar(9), n integer)")
    made.target.execute("CREATE TABLE t (id integer PRIMARY KEY, v varchar(9), n integer)")
    made.write(
        {"t": {"from": "old", "columns": {"id": "no", "v": "v", "n": "n"}}},
        direction="two_way",
        defaults={"window": 2, "delete": {"max_ratio": 1.0}},
    )
    made.source.insert("old", FIRST)
    assert made.run().status is Status.DONE
    return made


def both(shop: Scenario) -> tuple[list[tuple[object, ...]], list[tuple[object, ...]]]:
    return shop.source.rows("old"), shop.target.rows("t")


def edit(shop: Scenario) -> None:
    """Each side changes, deletes and creates a row; one row is changed on both, in other fields."""
    shop.source.execute(
        "UPDATE old SET v = 'S' WHERE no = 1", "DELETE FROM old WHERE no = 2", "INSERT INTO old VALUES (6, 'six', 0)"
    )
    shop.target.execute(
        "UPDATE t SET n = 99 WHERE id = 1",
        "UPDATE t SET v = 'T' WHERE id = 3",
        "DELETE FROM t WHERE id = 4",
        "INSERT INTO t VALUES (7, 'sev', 0)",
    )


MET = [(1, "S", 99), (3, "T", 30), (5, "v5", 50), (6, "six", 0), (7, "sev", 0)]


@one_half
def test_a_run_after_an_undo_brings_over_again_what_both_sides_had_done(shop: Scenario) -> None:
    edit(shop)
    edited = both(shop)
    version = shop.run().report.version
    assert both(shop) == (MET, MET)
    assert shop.undo(version or 0).status is Status.DONE
    assert both(shop) == edited
    assert shop.run().status is Status.DONE
    assert both(shop) == (MET, MET)
    assert shop.verify().status is Status.DONE


@other_half
def test_a_run_after_an_undo_of_a_version_of_one_side_does_not_undo_the_edits_of_the_other(shop: Scenario) -> None:
    shop.source.execute("UPDATE old SET v = 'S' WHERE no = 1", "DELETE FROM old WHERE no = 2")
    ours = shop.source.rows("old")
    assert shop.undo(shop.run().report.version or 0).status is Status.DONE
    assert both(shop) == (ours, FIRST)
    shop.target.execute("UPDATE t SET n = 7 WHERE id = 5")
    assert shop.run().status is Status.DONE
    assert both(shop) == ([*ours[:-1], (5, "v5", 7)], [*ours[:-1], (5, "v5", 7)])


@one_half
def test_what_a_first_meeting_brought_over_is_no_deletion_once_it_is_taken_back(shop: Scenario) -> None:
    assert shop.undo(1).status is Status.DONE
    assert both(shop) == (FIRST, [])
    assert shop.run().status is Status.DONE
    assert both(shop) == (FIRST, FIRST)


def test_of_several_versions_the_oldest_says_what_both_sides_agree_on_again(shop: Scenario) -> None:
    shop.source.execute("UPDATE old SET v = 'S' WHERE no = 1")
    shop.run()
    shop.target.execute("UPDATE t SET n = 77 WHERE id = 4", "DELETE FROM t WHERE id = 5")
    shop.run()
    shop.source.execute("UPDATE old SET v = 'S2' WHERE no = 1", "DELETE FROM old WHERE no = 3")
    shop.run()
    assert shop.undo(1, to=True).status is Status.DONE
    ours, theirs = both(shop)
    assert ours == [(1, "S2", 10), (2, "v2", 20), (4, "v4", 40), (5, "v5", 50)]
    assert theirs == [(1, "v1", 10), (2, "v2", 20), (3, "v3", 30), (4, "v4", 77)]
    assert shop.run().status is Status.DONE
    met = [(1, "S2", 10), (2, "v2", 20), (4, "v4", 77)]
    assert both(shop) == (met, met)


def test_a_row_that_was_edited_after_a_run_is_open_once_the_run_is_taken_back(shop: Scenario) -> None:
    shop.source.execute("INSERT INTO old VALUES (6, 'six', 0)")
    version = shop.run().report.version or 0
    shop.target.execute("UPDATE t SET n = 66 WHERE id = 6")
    assert shop.undo(version).status is Status.CONFLICTS
    assert shop.run().status is Status.CONFLICTS
    ours, theirs = both(shop)
    assert (ours[-1], theirs[-1]) == ((6, "six", 0), (6, "six", 66))


def test_an_undo_that_dies_between_its_sides_loses_nothing(shop: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    edit(shop)
    version = shop.run().report.version or 0
    begun = commands._Applying.done

    def dies(self, **more):  # type: ignore[no-untyped-def]
        if self.plan.manifest.side == "target":
            raise RuntimeError("killed")
        return begun(self, **more)

    monkeypatch.setattr(commands._Applying, "done", dies)
    with pytest.raises(RuntimeError, match="killed"):
        shop.undo(version)
    monkeypatch.undo()
    assert shop.run().status is Status.DONE
    assert both(shop) == (MET, MET)


def test_an_undo_that_dies_before_it_is_agreed_on_again_is_finished_by_the_next_run(
    shop: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    edit(shop)
    version = shop.run().report.version or 0
    monkeypatch.setattr(applying, "patch_base", lambda *_: (_ for _ in ()).throw(RuntimeError("killed")))
    with pytest.raises(RuntimeError, match="killed"):
        shop.undo(version)
    monkeypatch.undo()
    assert shop.run().status is Status.DONE
    assert both(shop) == (MET, MET)


def test_where_the_plan_of_a_run_is_gone_one_side_alone_can_be_taken_back(shop: Scenario) -> None:
    shop.target.execute("UPDATE t SET v = 'T' WHERE id = 3")  # of which the source alone has a version
    version = shop.run().report.version or 0
    known = store_of(shop.spec)
    prune.prune(shop.spec, prune._now())
    folders = [each for each in known.plans() if source_folder(each).exists()]
    assert folders, "what an undo needs is not swept away"
    for each in folders:
        shutil.rmtree(each)
    with pytest.raises(PlanError, match="--side"):
        shop.undo(version)


def test_where_the_spec_fits_the_tables_no_more_both_sides_meet_anew_and_are_told_so(shop: Scenario) -> None:
    shop.source.execute("ALTER TABLE old RENAME COLUMN n TO m")
    done = shop.undo(1)
    assert (done.status, shop.target.rows("t")) == (Status.DONE, [])
    assert "base_lost" in [notice.code for notice in done.report.warnings]
    assert not list(store_of(shop.spec).agreed(shop.spec.name).rglob("parts.json"))


def test_what_would_be_taken_back_is_shown_of_both_sides_and_of_one_alone(shop: Scenario) -> None:
    edit(shop)
    version = shop.run().report.version or 0
    of_target = "+ t 2\n    id=2, v=v2, n=20"
    of_source = "in the source, old:\n+ old 4\n    no=4, v=v4, n=40", "~ old 3\n    v: T -> v3", "- old 7"
    line = "1 to insert, 1 to update, 1 to delete. In the source 1 to insert, 2 to update, 1 to delete."
    text = syncline("undo", shop.path, version, "--dry-run", status=2).stdout
    assert of_target in text and all(each in text for each in of_source) and line in text
    text = syncline("undo", shop.path, version, "--side", "source", "--dry-run", status=2).stdout
    assert of_target not in text and all(each in text for each in of_source)
    assert "0 to insert, 0 to update, 0 to delete. In the source 1 to insert, 2 to update, 1 to delete." in text
    text = syncline("undo", shop.path, version, "--side", "target", "--dry-run", status=2).stdout
    assert of_target in text and "in the source" not in text
    for side, counts, back in (
        ("target", (1, 1, 1), None),
        ("source", (0, 0, 0), {"insert": 1, "update": 2, "delete": 1}),
    ):
        told = answer("undo", shop.path, version, "--side", side, "--dry-run", status=2)["tables"]["t"]
        assert (tuple(told[op] for op in ("insert", "update", "delete")), told.get("back")) == (counts, back)


def test_what_is_taken_back_on_one_side_is_an_edit_of_that_side(shop: Scenario) -> None:
    edit(shop)
    version = shop.run().report.version or 0
    done = shop.undo(version, side="source")
    page = Path(str(done.report.page)).read_text("utf-8")
    assert "<b>1</b> inserted, <b>2</b> updated, <b>1</b> deleted" in page[page.index("in the source") :]
    told = answer("verify", shop.path, status=2)["tables"]["t"]["agreement"]
    assert told == {"base": "held", "agreed": 2, "alike": 0, "source": 4, "target": 0, "both": 0, "open": 0}
    assert shop.run().status is Status.DONE
    taken_back = [(1, "S", 10), (3, "v3", 30), (4, "v4", 40), (5, "v5", 50), (6, "six", 0)]
    assert both(shop) == (taken_back, taken_back)
    life = answer("log", shop.path, "t", "--key", 3)["changes"]
    assert [(each["side"], each["came_from"]) for each in life] == [
        ("target", "source"),
        ("source", "target"),
        ("source", None),
        ("target", "source"),
    ]
