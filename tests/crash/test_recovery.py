"""Runs that were cut off: what the next one makes of them."""

from __future__ import annotations

import json
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from cutting_off import cut_off, fail_at, full_disk_at, one_by_one, write
from cutting_off import shop as shop
from scenario import RING, Scenario, Side, pair_name

from flows import commands
from flows.apply import windows as applying
from flows.apply.unfinished import Inside, unfinished
from flows.cli.main import main
from flows.commands import Status
from flows.evidence import record
from flows.history.asof import asof
from flows.history.log import shown
from flows.history.version_list import listed
from flows.session.stores import ledger_of, store_of
from transforms.vocabulary import SynclineError, TransientError, message_of

KEYED_LATER = ("postgresql", "mysql")  # the others cannot add a foreign key to a table that is there
everywhere = pytest.mark.parametrize("shop", RING, indirect=True, ids=pair_name)


@everywhere
def test_a_run_that_failed_while_it_wrote_is_finished_by_the_next_as_one_version(shop: Scenario) -> None:
    cut_off(shop)
    done = shop.run()
    assert (done.status, done.report.version) == (Status.DONE, None)
    assert any(
        "was cut off while it wrote. The rest of it is in now, and it is version 1: 10 inserted" in w
        for w in done.report.warning_texts
    )
    assert [(v["version"], v["counts"]["insert"], v["windows"]) for v in listed(shop.spec)] == [(1, 10, None)]
    shop.settled()


@everywhere
def test_a_run_that_failed_while_it_wrote_says_at_once_what_is_in_the_target(shop: Scenario) -> None:
    with pytest.MonkeyPatch.context() as patch:
        fail_at(patch, 3, SynclineError("the disk is full"))
        with pytest.raises(SynclineError, match="the disk is full") as caught:
            commands.run(one_by_one(shop))
    said = "In the target are: item 2 of 5 windows (4 inserted). They stay; the next run goes on from there."
    assert message_of(caught.value) == f"the disk is full. {said}"

    (run,) = unfinished(shop.spec)
    assert (run.status, run.message, run.tables) == (
        "interrupted",
        "the disk is full",
        (Inside("item", 2, 5, 4, 0, 0),),
    )
    listing = CliRunner().invoke(main, ["history", str(shop.path)])
    assert "was interrupted while it wrote" in listing.output
    assert "in the target: item 2 of 5 windows (4 inserted)" in listing.output
    assert "No run has changed anything" not in listing.output
    told = json.loads(CliRunner().invoke(main, ["history", str(shop.path), "--json"]).output)
    assert (told["versions"], [each["run_id"] for each in told["unfinished"]]) == ([], [run.run_id])

    kept = record.kept(store_of(shop.spec), "shop", run.run_id)
    assert (kept["status"], kept["tables"][0]["counts"]["insert"]) == ("interrupted", 4)
    assert said in kept["message"]

    shop.run()
    assert unfinished(shop.spec) == []
    kept = record.kept(store_of(shop.spec), "shop", run.run_id)
    assert (kept["status"], kept["version"], kept["tables"][0]["counts"]["insert"]) == ("done", 1, 10)
    assert "finished by a later run" in kept["message"]


def test_a_run_that_is_at_work_is_no_interrupted_one(shop: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    seen = []
    original = applying.archive.note

    def looking(*args: Any) -> None:
        seen.extend(each.status for each in unfinished(shop.spec))
        original(*args)

    monkeypatch.setattr(applying.archive, "note", looking)
    commands.run(one_by_one(shop))
    assert set(seen) == {"running"}


def test_what_changed_at_the_source_meanwhile_is_a_version_of_its_own(shop: Scenario) -> None:
    cut_off(shop)
    shop.source.execute("DELETE FROM goods WHERE no = 0", "UPDATE goods SET title = 'new' WHERE no = 9")
    assert shop.run().report.version == 2
    assert [(v["version"], v["counts"]["insert"], v["counts"]["delete"]) for v in listed(shop.spec)] == [
        (2, 0, 1),
        (1, 10, 0),
    ]
    shop.settled()


@everywhere
def test_a_plan_that_cannot_go_on_is_put_down_as_far_as_it_went(shop: Scenario) -> None:
    cut_off(shop)
    write(shop, on_invalid="fail")  # another spec: the plan is of the old one
    done = shop.run()
    assert any(
        "cannot go on: version 1 has the 2 windows that are in" in warning for warning in done.report.warning_texts
    )
    versions = listed(shop.spec)
    assert [(v["version"], v["counts"]["insert"]) for v in versions] == [(2, 6), (1, 4)]
    assert len(shown(shop.spec, 1)[1]) == 4
    assert asof(shop.spec, 0, "item").num_rows == 0
    assert asof(shop.spec, 1, "item").column("no").to_pylist() == [0, 1, 2, 3]
    with ledger_of(shop.spec) as ledger:
        (partly,) = ledger.runs("shop", status="partly")
    kept = record.kept(store_of(shop.spec), "shop", partly.run_id)
    assert (kept["status"], kept["version"], kept["tables"][0]["counts"]["insert"]) == ("partly", 1, 4)
    shop.settled()
    assert shop.undo(1).status == Status.DONE
    assert shop.target.count("item") == 6


def test_a_plan_of_a_table_that_the_spec_does_not_name_any_more_is_put_down(shop: Scenario) -> None:
    cut_off(shop)
    shop.source.execute("CREATE TABLE other (no integer PRIMARY KEY)")
    shop.write({"other": {"from": "other"}})
    done = shop.run()
    assert any(
        "cannot go on: version 1 has the 2 windows that are in" in warning for warning in done.report.warning_texts
    )
    with ledger_of(shop.spec) as ledger:
        (partly,) = ledger.runs("shop", status="partly")
    (told,) = record.kept(store_of(shop.spec), "shop", partly.run_id)["tables"]
    assert (told["name"], told["counts"]["insert"], told["mapping"]) == ("item", 4, [])


def test_a_plan_of_which_nothing_is_in_leaves_no_run_that_is_partly_done(shop: Scenario) -> None:
    cut_off(shop, windows=0)
    write(shop, on_invalid="fail")
    done = shop.run()
    assert any("cannot go on: nothing of it is in" in warning for warning in done.report.warning_texts)
    with ledger_of(shop.spec) as ledger:
        assert [run.status for run in ledger.runs("shop")] == ["done", "abandoned"]
    assert [v["counts"]["insert"] for v in listed(shop.spec)] == [10]


@pytest.mark.parametrize("shop", [pair for pair in RING if pair[1] in KEYED_LATER], indirect=True, ids=pair_name)
def test_a_run_goes_on_in_the_steps_that_it_began_with_whatever_keys_came_since(shop: Scenario) -> None:
    shop.source.execute("CREATE TABLE note (id integer PRIMARY KEY, item integer)")
    shop.target.execute("CREATE TABLE note (id integer PRIMARY KEY, item integer)")
    shop.write({"item": {"from": "goods"}, "note": {"from": "note"}}, defaults={"window": 2})
    cut_off(shop)
    shop.target.execute("ALTER TABLE note ADD FOREIGN KEY (item) REFERENCES item (no)")
    assert shop.run().status == Status.DONE
    assert [(v["version"], v["counts"]["insert"], v["windows"]) for v in listed(shop.spec)] == [(1, 10, None)]
    assert len(shown(shop.spec, 1)[1]) == 10
    assert shop.undo(1).status == Status.DONE
    assert shop.target.count("item") == 0


def test_rows_that_a_cut_off_run_left_alone_are_told_by_the_one_that_finishes_it(shop: Scenario) -> None:
    shop.run()
    shop.source.execute("UPDATE goods SET title = 'changed'")
    planned = Path(str(shop.plan().report.plan))
    shop.target.execute("UPDATE item SET title = 'mine' WHERE no = 0")
    with full_disk_at(3):
        commands.apply_plan(planned)
    done = shop.run()
    assert any("9 updated" in w or "10 updated, 0 deleted, 1 conflict" in w for w in done.report.warning_texts)
    with ledger_of(shop.spec) as ledger:  # settled by the rest of the same run, which looked at the whole table
        assert [(c.key, c.resolved_at is not None) for c in ledger.conflicts("shop", resolved=True)] == [("[0]", True)]
    assert {change.key for change in shown(shop.spec, 2)[1]} == {f"[{no}]" for no in range(1, 10)}
    shop.settled()


def test_a_plan_whose_folder_is_gone_is_said_to_be_lost(shop: Scenario) -> None:
    cut_off(shop)
    with ledger_of(shop.spec) as ledger:
        (run,) = ledger.cut_off("shop")
    shutil.rmtree(shop.folder / "store" / run.plans[0].folder)
    done = shop.run()
    assert any("its plan" in warning and "is gone" in warning for warning in done.report.warning_texts)
    assert shop.target.count("item") == 10
    assert [v["counts"]["insert"] for v in listed(shop.spec)] == [6]
    shop.settled()


def test_a_plan_that_cannot_be_read_any_more_stops_no_later_run(shop: Scenario) -> None:
    cut_off(shop)
    with ledger_of(shop.spec) as ledger:
        (run,) = ledger.cut_off("shop")
    with (shop.folder / "store" / run.plans[0].folder / "manifest.json").open("a") as manifest:
        manifest.write("}")
    done = shop.run()
    assert any("its plan cannot be used" in warning for warning in done.report.warning_texts)
    with ledger_of(shop.spec) as ledger:
        assert [run.status for run in ledger.runs("shop")] == ["done", "lost"]
    shop.settled()


def test_what_is_said_of_drifted_schemas_outlives_a_recovery(shop: Scenario) -> None:
    write(shop, drift="evolve")
    assert shop.run().status == Status.DONE
    shop.source.execute("UPDATE goods SET title = 'new'")
    with full_disk_at(1):
        commands.run(one_by_one(shop))
    shop.source.execute("ALTER TABLE goods ADD COLUMN colour varchar(10)")
    done = shop.run()
    assert any("cut off" in warning for warning in done.report.warning_texts)
    assert any("colour" in warning for warning in done.report.warning_texts)


@pytest.mark.parametrize("shop", [pair for pair in RING if pair[1] in KEYED_LATER], indirect=True, ids=pair_name)
def test_a_plan_is_refused_where_a_foreign_key_came_since_that_its_deletes_break(shop: Scenario) -> None:
    for side in (shop.source, shop.target):
        side.execute("CREATE TABLE note (id integer PRIMARY KEY, item integer)")
        side.insert("note", [(1, 3)])
    shop.write({"item": {"from": "goods"}, "note": {"from": "note"}}, defaults={"delete": {"max_ratio": 1.0}})
    assert shop.run().status == Status.DONE
    shop.source.execute("DELETE FROM note", "DELETE FROM goods WHERE no = 3")
    folder = Path(str(shop.plan().report.plan))
    shop.target.execute("ALTER TABLE note ADD FOREIGN KEY (item) REFERENCES item (no)")
    with pytest.raises(SynclineError, match=r"item is referred to by a foreign key.*Fix: plan again"):
        shop.apply(folder)
    assert shop.run().status == Status.DONE
    shop.settled()


def test_a_fault_that_may_pass_leaves_the_plan_as_good_as_it_was(
    shop: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("flows.session.retry.POLICY", type(commands.retried.__globals__["POLICY"])(attempts=1))
    cut_off(shop)
    with pytest.MonkeyPatch.context() as patch:
        fail_at(patch, 2, TransientError("the connection was lost"))
        with pytest.raises(TransientError):
            commands.run(one_by_one(shop))
    with ledger_of(shop.spec) as ledger:
        assert len(ledger.cut_off("shop")) == 1, "the first run; the second one never began"
    assert shop.run().status == Status.DONE
    assert [v["counts"]["insert"] for v in listed(shop.spec)] == [10]


# Going on


def test_another_machine_that_shares_ledger_and_store_goes_on(postgres_url: str, tmp_path: Path) -> None:
    """The spec, the ledger and the store lie under another path there; the databases are the same."""
    here = tmp_path / "here"
    here.mkdir()
    core = Side("postgresql", postgres_url, "core")
    core.execute("CREATE TABLE item (no integer PRIMARY KEY, title varchar(40))")
    shop = Scenario(here, Side("sqlite", str(tmp_path / "legacy.db")), core)
    shop.source.execute("CREATE TABLE goods (no integer PRIMARY KEY, title varchar(40))")
    shop.source.insert("goods", [(i, f"title {i}") for i in range(10)])
    write(shop)
    cut_off(shop)
    there = replace(shop, folder=tmp_path / "there")
    here.rename(there.folder)
    done = there.run()
    assert any(
        "The rest of it is in now, and it is version 1: 10 inserted" in warning for warning in done.report.warning_texts
    )
    assert len(shown(there.spec, 1)[1]) == 10
    there.settled()
    assert there.undo(1).status == Status.DONE
    assert core.count("item") == 0


def test_a_store_that_cannot_be_written_stops_an_undo_before_it_writes(shop: Scenario) -> None:
    shop.run()
    before = shop.target.content()
    plans = shop.folder / "store" / "plans"
    plans.rename(plans.with_name("kept"))
    plans.write_text("no folder")
    with pytest.raises(SynclineError, match=r"cannot be used: .* was changed or is missing"):
        shop.undo(1)
    plans.unlink()
    plans.symlink_to("/proc")  # there, and nobody writes to it
    with pytest.raises(SynclineError):
        shop.undo(1)
    assert shop.target.content() == before
    plans.unlink()
    plans.with_name("kept").rename(plans)
    assert shop.undo(1).status == Status.DONE
