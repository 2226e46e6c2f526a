"""Rows that are open between both sides, and what people decided about them, in every ledger."""

from __future__ import annotations

from typing import Any

import pyarrow as pa
from ledgers import Clock, conflicts, new_version
from ledgers import clock as clock
from ledgers import ledger as ledger
from ledgers import server as server
from ledgers import url as url

from adapters.ledger.ledger import Ledger, RunPlan
from adapters.ledger.open_rows import MADE, OPEN_ROWS


def row(no: int, **more: Any) -> dict[str, Any]:
    told = {
        "key": f"[{no}]",
        "kind": "update/update",
        "fields": ["v"],
        "base": '{"v":"x"}',
        "source": '{"v":"\\u0000é😀"}',
    }
    return {**told, "target": None, **more}


def rows(*lines: dict[str, Any]) -> pa.Table:
    return pa.Table.from_pylist(list(lines), schema=OPEN_ROWS)


def made(no: int, field: str | None, take: str, value: str | None = None) -> dict[str, Any]:
    return {**row(no), "field": field, "take": take, "value": value}


def decide(ledger: Ledger, *lines: dict[str, Any], by: str | None = "ann", why: str | None = None) -> None:
    ledger.open_rows.decide("m", "t", pa.Table.from_pylist(list(lines), schema=MADE), by, why)


def waiting(ledger: Ledger) -> list[tuple[str, str | None, str, str | None]]:
    found = ledger.open_rows.decisions_of("m", "t").to_pylist()
    return sorted((each["key"], each["field"], each["take"], each["value"]) for each in found)


def ends(ledger: Ledger, no: int) -> list[tuple[str | None, str, str | None, str | None]]:
    return [(d.field, d.take, d.ended, d.ended_by) for d in ledger.open_rows.decisions("m", "t", keys=[f"[{no}]"])]


def test_rows_come_back_as_they_were_noted_some_at_a_time(ledger: Ledger) -> None:
    wanted = rows(*(row(no, fields=["v", "w"], target='{"v": "y"}') for no in range(7)))
    assert ledger.open_rows.record("m", "t", wanted, "r1") == 7
    ledger.open_rows.record("m", "other", rows(row(1)), "r1")
    ledger.record_conflicts("m", "target", "t", conflicts(99), "r1")  # of one side, and not open between both
    pages = list(ledger.open_rows.rows("m", "t", size=3))
    assert [page.num_rows for page in pages] == [3, 3, 1]
    assert pa.concat_tables(pages).sort_by("key").equals(wanted)
    assert ledger.count_conflicts("m") == {"other": 1, "t": 8}
    (some,) = ledger.open_rows.rows("m", "t", keys=["[3]", "[99]"])
    assert some["key"].to_pylist() == ["[3]"]
    (one,) = ledger.conflicts("m", "t", keys=["[3]"])
    assert (one.op, one.kind, one.fields, one.before) == ("open", "update/update", ["v", "w"], None)


def test_a_row_that_a_run_leaves_open_again_is_noted_as_it_is_now(ledger: Ledger) -> None:
    ledger.open_rows.record("m", "t", rows(row(1), row(2), row(3)), "r1")
    ledger.open_rows.record("m", "t", rows(row(2, kind="unique", base=None)), "r2")
    assert ledger.open_rows.settle("m", "t", "r2", keys=["[1]", "[2]"]) == 1
    assert ledger.open_rows.settle("m", "t", "r2") == 1
    (left,) = ledger.conflicts("m", "t")
    assert (left.key, left.kind, left.base, left.run_id) == ("[2]", "unique", None, "r2")
    ledger.open_rows.record("m", "t", rows(row(1)), "r3")
    assert [each.key for each in ledger.conflicts("m", "t")] == ["[1]", "[2]"]


def test_what_one_side_met_takes_the_place_of_what_was_open_and_the_other_way_round(ledger: Ledger) -> None:
    ledger.open_rows.record("m", "t", rows(row(1)), "r1")
    ledger.record_conflicts("m", "target", "t", conflicts(1), "r2")
    (one,) = ledger.conflicts("m", "t")
    assert (one.op, one.kind, one.fields, one.source) == ("update", None, None, None)
    ledger.open_rows.record("m", "t", rows(row(1)), "r3")
    (one,) = ledger.conflicts("m", "t")
    assert (one.op, one.kind, one.before) == ("open", "update/update", None)


def test_decisions_wait_until_a_run_applies_them(ledger: Ledger, clock: Clock) -> None:
    ledger.open_rows.record("m", "t", rows(row(1), row(2)), "r1")
    decide(ledger, made(1, None, "source"), made(2, "v", "value", None), why="the shop said so")
    decide(ledger, made(2, "w", "value", "null\x00"))
    assert waiting(ledger) == [
        ("[1]", None, "source", None),
        ("[2]", "v", "value", None),
        ("[2]", "w", "value", "null\\x00"),
    ]
    told = ledger.open_rows.decisions("m", "t", keys=["[1]"])
    assert [(d.decided_by, d.why, d.decided_at, d.source, d.kind) for d in told] == [
        ("ann", "the shop said so", clock(), row(1)["source"], "update/update")
    ]
    ledger.open_rows.record("m", "t", rows(row(2)), "r2")
    ledger.settle_conflicts("m", "target", "t", "r2")
    assert ends(ledger, 1) == [(None, "source", "applied", "r2")]
    assert [end for _, _, end, _ in ends(ledger, 2)] == [None, None]
    assert len(ledger.open_rows.decisions("m", waiting=True)) == 2


def test_a_later_decision_takes_the_place_of_one_that_waits(ledger: Ledger, clock: Clock) -> None:
    decide(ledger, made(1, "v", "source"), made(1, "w", "source"))
    clock.forward(seconds=1)
    decide(ledger, made(1, "v", "target"))
    assert waiting(ledger) == [("[1]", "v", "target", None), ("[1]", "w", "source", None)]
    clock.forward(seconds=1)
    decide(ledger, made(1, None, "base"))
    assert waiting(ledger) == [("[1]", None, "base", None)]
    assert [end for *_, end, _ in ends(ledger, 1)] == ["replaced", "replaced", "replaced", None]


def test_a_decision_about_a_row_that_changed_again_is_outdated(ledger: Ledger) -> None:
    ledger.open_rows.record("m", "t", rows(row(1), row(2)), "r1")
    decide(ledger, made(1, None, "source"), made(2, None, "source"))
    assert ledger.open_rows.outdate("m", "t", ["[1]", "[9]"], "r2") == 1
    assert ledger.open_rows.outdate("m", "t", ["[1]"], "r3") == 0
    ledger.open_rows.settle("m", "t", "r2")
    assert ends(ledger, 1) == [(None, "source", "outdated", "r2")]
    assert ends(ledger, 2) == [(None, "source", "applied", "r2")]


def test_thousands_of_decisions_at_once(ledger: Ledger) -> None:
    keys = range(6_000)
    ledger.open_rows.record("m", "t", rows(*(row(no) for no in keys)), "r1")
    decide(ledger, *(made(no, None, "source") for no in keys))
    assert ledger.open_rows.decisions_of("m", "t").num_rows == 6_000
    assert ledger.open_rows.settle("m", "t", "r2") == 6_000
    assert ledger.open_rows.decisions_of("m", "t").num_rows == 0


def test_versions_of_both_sides_of_a_run_know_each_other(ledger: Ledger) -> None:
    both = new_version("p", side="target"), new_version("p~source", side="source")
    assert ledger.add_versions(*both) == ledger.add_versions(*both) == [1, 2]
    assert ledger.add_version(new_version("q")) == 3
    twins = {version.version: version.synchronized_with for version in ledger.versions("m")}
    assert twins == {1: 2, 2: 1, 3: None}


def test_both_plans_of_a_run_are_begun_at_once(ledger: Ledger) -> None:
    ledger.start_run("r", "m", "run", "d", ["source", "target"])
    plans = [RunPlan(name, "m", side, "r", f"plans/{name}") for name, side in (("p~source", "source"), ("p", "target"))]  # type: ignore[arg-type]
    ledger.begin_applying(*plans)
    run = ledger.run("r")
    assert run is not None and run.status == "applying" and list(run.plans) == plans
