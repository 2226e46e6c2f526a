"""What a ledger notes of runs, versions, conflicts, steps and facts is found again, once and in order."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict
from decimal import Decimal

import pytest
from ledgers import START, Clock, conflicts, new_version, version
from ledgers import clock as clock
from ledgers import ledger as ledger
from ledgers import server as server
from ledgers import url as url

from adapters.ledger.ledger import Base, Ledger, RunPlan, Version
from transforms.vocabulary import SynclineError


def test_a_run_is_remembered_from_start_to_end(ledger: Ledger, clock: Clock) -> None:
    ledger.start_run("r1", "m", "plan", "digest")
    assert ledger.runs("m")[0].status == "running"
    clock.forward(seconds=2)
    ledger.finish_run("r1", "done", counts={"flight": {"insert": 1, "ratio": Decimal("0.10")}}, version=3)
    run = ledger.run("r1")
    assert run is not None
    assert (run.kind, run.status, run.sides, run.plans, run.version) == ("plan", "done", ("target",), (), 3)
    assert run.counts == {"flight": {"insert": 1, "ratio": "0.10"}}
    assert (run.started_at, run.finished_at) == (START, clock.moment)
    ledger.start_run("r2", "m", "apply", "digest")
    ledger.start_run("other", "n", "apply", "digest")
    assert [run.run_id for run in ledger.runs("m")] == ["r2", "r1"]
    assert [run.run_id for run in ledger.runs("m", limit=1)] == ["r2"]
    assert ledger.run("none") is None


def test_a_run_that_never_began_cannot_end(ledger: Ledger) -> None:
    with pytest.raises(SynclineError, match="Run r1 is not in the ledger"):
        ledger.finish_run("r1", "done")


def test_runs_that_never_ended_are_known_oldest_first(ledger: Ledger, clock: Clock) -> None:
    for name in ("planning", "applying", "failed", "done"):
        ledger.start_run(name, "m", "run", "digest")
        clock.forward(seconds=1)
    ledger.start_run("elsewhere", "n", "run", "digest")
    for name in ("applying", "failed", "done"):
        ledger.begin_applying(RunPlan(f"plan of {name}", "m", "target", name, f"plans/{name}"))
    ledger.finish_run("failed", "cut off", message="lost")
    ledger.finish_run("done", "done")
    assert [(run.run_id, run.status, [each.folder for each in run.plans]) for run in ledger.cut_off("m")] == [
        ("planning", "running", []),
        ("applying", "applying", ["plans/applying"]),
        ("failed", "cut off", ["plans/failed"]),
    ]


def test_a_run_begins_a_plan_for_each_side_that_it_writes(ledger: Ledger) -> None:
    both = [RunPlan("r1~source", "m", "source", "r1", "plans/s"), RunPlan("r1", "m", "target", "r1", "plans/t")]
    ledger.start_run("r1", "m", "run", "digest", ("source", "target"))
    ledger.start_run("r2", "m", "run", "digest", ("source",))
    for plan in (*reversed(both), both[0]):
        ledger.begin_applying(plan)
    assert [run.run_id for run in ledger.cut_off("m", ("source",))] == ["r2"], (
        "the other one may live, and hold the target"
    )
    (run, _) = ledger.cut_off("m")
    assert (run.sides, run.plans) == (("source", "target"), tuple(both))
    ledger.start_run("r1", "m", "run", "digest", ("source", "target"))
    assert ledger.run("r1").plans == (), "begun again, it has begun none"


def test_versions_count_from_one_and_a_plan_keeps_its_number(ledger: Ledger) -> None:
    assert [version(ledger, plan) for plan in ("a", "b", "a", "c")] == [1, 2, 1, 3]
    assert version(ledger, "a", "other") == 1
    assert [each.version for each in ledger.versions("m")] == [3, 2, 1]
    assert ledger.version("m", 2) == Version(version=2, created_at=START, **asdict(new_version("b")))
    assert ledger.version("m", 4) is None


def test_a_version_says_what_it_undoes_and_what_is_kept_of_it(ledger: Ledger) -> None:
    undo = {"kind": "undo", "undoes": [1, 2], "made_mark": "9", "windows": [["flight", 3, "all"]]}
    number = ledger.add_version(new_version("a", side="source", **undo))
    ledger.note_kept("m", number, {"flight": "keys"})
    ledger.note_kept("m", number, {"airport": "off"})
    found = ledger.version("m", number)
    assert found is not None
    assert (found.kind, found.undoes, found.made_mark, found.side) == ("undo", [1, 2], "9", "source")
    assert (found.windows, found.kept) == ([["flight", 3, "all"]], {"flight": "keys", "airport": "off"})


def test_the_base_of_a_table_is_replaced_by_a_later_one(ledger: Ledger) -> None:
    ledger.set_base(Base("m", "target", "flight", 0, None, 0))
    ledger.set_base(Base("m", "target", "airport", 1, "base/a", 5))
    ledger.set_base(Base("m", "target", "flight", 7, "base/f", 3))
    ledger.set_base(Base("other", "target", "flight", 1, None, 0))
    found = {name: (base.version, base.folder, base.rows) for name, base in ledger.bases("m", "target").items()}
    assert found == {"flight": (7, "base/f", 3), "airport": (1, "base/a", 5)}


def test_versions_from_many_threads_have_no_gaps(url: str) -> None:
    first, second = Ledger(url), Ledger(url)
    with ThreadPoolExecutor(8) as threads:
        numbers = list(threads.map(lambda at: version((first, second)[at % 2], f"plan {at % 20}"), range(40)))
    assert sorted(set(numbers)) == list(range(1, 21))
    assert numbers[:20] == numbers[20:]
    first.close()
    second.close()


# Conflicts


def test_a_conflict_stays_open_until_a_later_run_has_settled_it(ledger: Ledger, clock: Clock) -> None:
    assert ledger.record_conflicts("m", "target", "flight", conflicts(1, 2, 3), "r1") == 3
    ledger.record_conflicts("m", "target", "airport", conflicts(1), "r1")
    first = ledger.conflicts("m", "flight")[0]
    assert (first.key, first.op, first.found, first.run_id, first.seen_at) == ("[1]", "update", None, "r1", START)
    assert first.before == '{"id": 1, "at": "infinity", "price": "1.10"}'
    ledger.record_conflicts("m", "target", "flight", conflicts(3), "r2")
    assert ledger.settle_conflicts("m", "target", "flight", "r2") == 2
    assert [each.key for each in ledger.conflicts("m", "flight")] == ["[3]"]
    assert ledger.conflicts("m", "flight", resolved=True)[0].resolution == "settled by run r2"
    assert [(each.table_name, each.key) for each in ledger.conflicts("m")] == [("airport", "[1]"), ("flight", "[3]")]


def test_a_conflict_that_comes_back_is_open_again_and_listed_once(ledger: Ledger, clock: Clock) -> None:
    ledger.record_conflicts("m", "target", "flight", conflicts(1), "r1")
    ledger.settle_conflicts("m", "target", "flight", "r2")
    clock.forward(hours=1)
    ledger.record_conflicts("m", "target", "flight", conflicts(1, 1, op="delete"), "r2")
    (again,) = ledger.conflicts("m", resolved=True)
    assert (again.op, again.run_id, again.seen_at, again.resolved_at) == ("delete", "r2", clock.moment, None)


# Steps and facts


def test_steps_of_a_backfill_are_done_once_for_each_spec_and_range(ledger: Ledger) -> None:
    for _ in range(2):
        ledger.add_step("m", "d1", "flight.day:a..c", "a", "b", "r1")
    ledger.add_step("m", "d1", "flight.day:a..c", "b", "c", "r2")
    assert ledger.steps_done("m", "d1", "flight.day:a..c") == {("a", "b"), ("b", "c")}
    assert ledger.steps_done("m", "d2", "flight.day:a..c") == set()
    assert ledger.steps_done("m", "d1", "flight.day:a..d") == set()


def test_the_last_fact_counts(ledger: Ledger) -> None:
    assert ledger.fact("m", "watermark", "flight") == {}
    ledger.set_fact("m", "watermark", "flight", {"source": "1", "target": "1"})
    ledger.set_fact("m", "watermark", "flight", {"target": "2"})
    assert ledger.fact("m", "watermark", "flight") == {"source": "1", "target": "2"}
