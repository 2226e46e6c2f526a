"""A plan is known by an id of its own, wherever it is spoken of: nothing takes the id of its run for it."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from click.testing import CliRunner
from cutting_off import full_disk_at, one_by_one
from scenario import RING, Scenario, counts, quarantine

from adapters.store.plans import Plan
from flows import commands
from flows.apply.unfinished import unfinished
from flows.cli.main import main
from flows.commands import Status
from flows.history import quarantine as aside
from flows.history.asof import asof
from flows.history.log import life
from flows.history.version_list import listed
from flows.session.session import connect
from flows.session.stores import ledger_of, store_of
from transforms.vocabulary import names

APART = "~plan"


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Scenario:
    """Rows in windows of two, one of which cannot be mapped; plans of the target have other ids than their runs."""
    monkeypatch.setitem(names._OF_SIDE, "target", APART)
    made = Scenario.make(tmp_path, RING[0], request)
    made.source.execute("CREATE TABLE goods (no integer PRIMARY KEY, title varchar(40), price varchar(40))")
    made.source.insert("goods", [(i, f"title {i}", str(i)) for i in range(5)] + [(5, "title 5", "dear")])
    made.target.execute("CREATE TABLE item (no integer PRIMARY KEY, title varchar(40), price integer)")
    columns = {"no": "no", "title": "title", "price": {"from": "price", "cast": "integer"}}
    made.write({"item": {"from": "goods", "columns": columns}}, defaults={"window": 2})
    return made


def cut_off(shop: Scenario) -> str:
    """A run that fails after its first window is in; its id."""
    request = one_by_one(shop)
    with full_disk_at(2):
        commands.run(request)
    return request.run_id


def test_a_run_that_was_cut_off_is_found_and_finished_by_the_id_of_its_plan(shop: Scenario) -> None:
    run_id = cut_off(shop)
    (open_,) = unfinished(shop.spec)
    assert (open_.run_id, open_.plan_id, open_.side, open_.windows) == (run_id, run_id + APART, "target", 1)
    with connect(shop.spec) as session:
        applied = session.sides.target.adapter.applied
        assert (len(applied(run_id + APART)), applied(run_id)) == (1, set())
    finished = shop.run().report.warning_texts[0]
    assert (
        f"Run {run_id} was cut off while it wrote. The rest of it is in now, and it is version 1: 5 inserted"
        in finished
    )
    assert [(v["run_id"], v["plan_id"], v["side"]) for v in listed(shop.spec)] == [(run_id, run_id + APART, "target")]
    shop.settled()


def test_a_run_that_was_killed_before_it_wrote_leaves_no_plan(shop: Scenario) -> None:
    request = shop.request("run")
    made = Path(str(commands.plan(request).report.plan))
    assert made.name == request.run_id + APART
    with ledger_of(shop.spec) as ledger:
        ledger.start_run(request.run_id, "shop", "run", shop.spec.digest)
    assert shop.run().status == Status.DONE
    assert not made.exists()


def test_history_quarantine_and_undo_go_from_the_run_to_its_plan(shop: Scenario) -> None:
    first = shop.run().report
    folder = store_of(shop.spec).plan_folder(first.run_id + APART)
    manifest = Plan.open(folder).manifest
    assert (str(folder), manifest.id, manifest.run_id) == (first.plan, first.run_id + APART, first.run_id)
    assert Path(str(first.page)).parent.name == first.run_id, "a page is about a run"
    assert quarantine(shop) == [("item", [5], "text that is no integer without loss")]
    assert aside.shown(shop.spec, aside.Filter(), 9)[0]["source"]["title"] == "title 5"
    shop.source.execute("UPDATE goods SET title = 'other' WHERE no = 1")
    second = shop.run().report
    assert [line["run"] for line in life(shop.spec, "item", "1")] == [first.run_id, second.run_id]
    assert asof(shop.spec, 1, "item").num_rows == 5
    undone = shop.undo(2)
    assert counts(undone, "item")["update"] == 1
    assert [v["plan_id"] for v in listed(shop.spec)] == [
        each + APART for each in (undone.report.run_id, second.run_id, first.run_id)
    ]
    pruned = CliRunner().invoke(main, ["prune", str(shop.path), "--keep", "0d", "--json"])
    assert json.loads(pruned.output)["versions"] == 3
    assert asof(shop.spec, 3, "item").num_rows == 5


def test_a_plan_that_was_made_before_is_applied_as_the_run_that_made_it(shop: Scenario) -> None:
    planned = shop.plan().report
    done = shop.apply(planned.plan)
    assert (done.report.run_id, done.report.version) == (planned.run_id, 1)
    with ledger_of(shop.spec) as ledger:
        run = ledger.run(planned.run_id)
    assert run is not None
    assert [(plan.plan_id, plan.side) for plan in run.plans] == [(planned.run_id + APART, "target")]
    shop.settled()
