"""Runs that were cut off, and runs that meet: what the next one makes of them, and who waits for whom."""

from __future__ import annotations

import json
import shutil
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import pytest
from click.testing import CliRunner
from scenario import RING, Scenario, Side, pair_name

from adapters.ledger.lease import Lease
from flows import commands
from flows.apply import windows as applying
from flows.apply.unfinished import Inside, unfinished
from flows.cli.main import main
from flows.commands import Status
from flows.evidence import record
from flows.history.log import asof, shown
from flows.history.version_list import listed
from flows.session import locking
from flows.session.locking import sole_writer
from flows.session.session import connect
from flows.session.stores import ledger_of, store_of
from transforms.vocabulary import BusyError, SynclineError, TransientError, message_of

KEYED_LATER = ("postgresql", "mysql")  # the others cannot add a foreign key to a table that is there
everywhere = pytest.mark.parametrize("shop", RING, indirect=True, ids=pair_name)


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Ten rows in windows of two, into a table that is there."""
    made = Scenario.make(tmp_path, getattr(request, "param", RING[0]), request)
    made.source.execute("CREATE TABLE goods (no integer PRIMARY KEY, title varchar(40))")
    made.source.insert("goods", [(i, f"title {i}") for i in range(10)])
    made.target.execute("CREATE TABLE item (no integer PRIMARY KEY, title varchar(40))")
    write(made)
    return made


def write(shop: Scenario, **defaults: Any) -> None:
    shop.write({"item": {"from": "goods"}}, defaults={"window": 2, "delete": {"max_ratio": 1.0}, **defaults})


def fail_at(monkeypatch: pytest.MonkeyPatch, number: int, error: Exception) -> None:
    """The window whose commit comes as the `number`-th fails, and no later one is tried."""
    commits = iter(range(1, 1000))
    original = applying.archive.note

    def failing(*args: Any) -> None:
        if next(commits) >= number:
            raise error
        original(*args)

    monkeypatch.setattr(applying.archive, "note", failing)


def cut_off(shop: Scenario, windows: int = 2) -> None:
    """A run that fails after so many windows are in."""
    with pytest.MonkeyPatch.context() as patch:
        fail_at(patch, windows + 1, SynclineError("the disk is full"))
        with pytest.raises(SynclineError, match="the disk is full"):
            commands.run(replaced(shop))
    assert shop.target.count("item") == 2 * windows


def replaced(shop: Scenario, **asked: Any) -> Any:
    return replace(shop.request("run"), workers=1, **asked)


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
            commands.run(replaced(shop))
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
    commands.run(replaced(shop))
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
    with pytest.MonkeyPatch.context() as patch:
        fail_at(patch, 3, SynclineError("the disk is full"))
        with pytest.raises(SynclineError):
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
    with pytest.MonkeyPatch.context() as patch:
        fail_at(patch, 1, SynclineError("the disk is full"))
        with pytest.raises(SynclineError, match="the disk is full"):
            commands.run(replaced(shop))
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
            commands.run(replaced(shop))
    with ledger_of(shop.spec) as ledger:
        assert len(ledger.cut_off("shop")) == 1, "the first run; the second one never began"
    assert shop.run().status == Status.DONE
    assert [v["counts"]["insert"] for v in listed(shop.spec)] == [10]


# Two at once


@contextmanager
def held(shop: Scenario) -> Iterator[Callable[[], None]]:
    """Another run of the migration, which is at work until it is let go: by what this gives, or at the end."""
    inside, done = threading.Event(), threading.Event()

    def work() -> None:
        with (
            connect(shop.spec) as session,
            ledger_of(shop.spec) as ledger,
            sole_writer(session, ledger, "THE-OTHER", lambda: datetime.now(UTC), 0),
        ):
            inside.set()
            done.wait(200)

    def let_go() -> None:
        done.set()
        thread.join()

    thread = threading.Thread(target=work)
    thread.start()
    try:
        assert inside.wait(120)
        yield let_go
    finally:
        let_go()


@everywhere
def test_the_second_of_two_runs_leaves_with_who_holds_the_migration_since_when(shop: Scenario) -> None:
    with held(shop):
        with pytest.raises(
            BusyError, match=r"shop is in use by THE-OTHER \(process \d+ on .*\) since 20\d\d-.* UTC\. Fix: wait for it"
        ):
            shop.run()
        assert shop.plan().status == Status.CHANGES, "reading waits for nobody"
        assert shop.verify().status == Status.CHANGES
        assert listed(shop.spec) == []


def test_a_run_waits_as_long_as_it_is_told_to(shop: Scenario, monkeypatch: pytest.MonkeyPatch) -> None:
    pauses: list[float] = []
    with held(shop) as let_go:

        def pause(seconds: float) -> None:
            pauses.append(seconds)
            let_go()

        monkeypatch.setattr(locking, "time", SimpleNamespace(sleep=pause, monotonic=time.monotonic))
        result = CliRunner().invoke(main, ["run", str(shop.path), "--direct", "--yes", "--wait", "60s"])
    assert result.exit_code == 0, result.output
    assert "Waiting up to 60 s: Migration shop is in use by THE-OTHER" in result.output
    assert pauses == [locking.AGAIN_SECONDS]
    shop.settled()


def test_a_wait_that_is_over_says_who_still_holds_it(shop: Scenario) -> None:
    with held(shop):
        result = CliRunner().invoke(main, ["run", str(shop.path), "--direct", "--yes", "--wait", "1s"])
    assert result.exit_code == 1
    assert "error: Migration shop is in use by THE-OTHER" in result.output


def test_a_run_whose_lease_was_taken_over_writes_no_further_window(
    shop: Scenario, monkeypatch: pytest.MonkeyPatch
) -> None:
    checks = iter(range(100))
    real = Lease.check

    def check(lease: Lease) -> None:
        lease.lost = lease.lost or next(checks) >= 2
        real(lease)

    monkeypatch.setattr(Lease, "check", check)
    with pytest.raises(BusyError, match="ran out and another run took it"):
        commands.run(replaced(shop))
    assert shop.target.count("item") == 4
    monkeypatch.undo()
    assert shop.run().status == Status.DONE
    shop.settled()


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
