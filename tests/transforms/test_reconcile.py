"""Reconciling, case by case: who changed what, what is written on either side, what stays open, and what the base becomes."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from datetime import datetime, timedelta

import pyarrow as pa
import pytest

from transforms.diff import Comparison, patched
from transforms.reconcile import Clock, Policy, Reconciled, Rule, left_open, prospects, reconcile
from transforms.vocabulary import DataError, TableName
from transforms.vocabulary.values import Tolerance

T = TableName("boat")
SCHEMA = pa.schema([("no", pa.int64()), ("name", pa.string()), ("berth", pa.int32()), ("at", pa.timestamp("us"))])
COMPARISON = Comparison(("no",), ("no", "name", "berth", "at"))
ONE, TWO, THREE = (datetime(2024, 5, 1, hour) for hour in (1, 2, 3))
CLOCK = Clock("at", "at")

Row = tuple[int, str | None, int | None, datetime | None]


def row(no: int, name: str | None = "Elsa", berth: int | None = 4, at: datetime | None = ONE) -> Row:
    return no, name, berth, at


def table(rows: list[Row]) -> pa.Table:
    return pa.table([pa.array([each[i] for each in rows], field.type) for i, field in enumerate(SCHEMA)], schema=SCHEMA)


def rows_of(rows: pa.Table) -> list[Row]:
    return sorted(tuple(each.values()) for each in rows.to_pylist())


@dataclass(frozen=True)
class Case:
    """`source` and `target` are edited rows, `after` what both hold then, or what each holds where that is not the same;
    `open` are conflicts by number, `lost` the overruled edits as (number, column, side)."""

    title: str
    base: list[Row] | None
    source: list[Row]
    target: list[Row]
    policy: Policy
    after: list[Row] | tuple[list[Row], list[Row]]
    open: dict[int, str] | None = None
    lost: tuple[tuple[int, str | None, str], ...] = ()


MANUAL, MERGE = Policy("manual", initial="policy"), Policy("merge", initial="policy")
SOURCE, TARGET = Policy("source_wins", initial="policy"), Policy("target_wins", initial="policy")
NEWER = Policy("newer_wins", clock=CLOCK, initial="policy")
UP, DOWN = row(1, "Ada"), row(1, "Eva")

CASES = [
    Case("nobody edited anything", [row(1)], [row(1)], [row(1)], MANUAL, [row(1)]),
    Case("the source alone", [row(1)], [UP], [row(1)], MANUAL, [UP]),
    Case("the target alone", [row(1)], [row(1)], [UP], MANUAL, [UP]),
    Case("both alike", [row(1)], [UP], [UP], MANUAL, [UP]),
    Case("both alike in one field, and one side in another", [row(1)], [UP], [row(1, "Ada", 5)], MANUAL, [row(1, "Ada", 5)]),
    Case("one side in another row each", [row(1), row(2)], [UP, row(2)], [row(1), row(2, berth=9)], MANUAL, [UP, row(2, berth=9)]),
    Case("both differently, by hand", [row(1)], [UP], [DOWN], MANUAL, ([UP], [DOWN]), {1: "update/update"}),
    Case("fields of their own are a conflict of rows", [row(1)], [UP], [row(1, berth=5)], MANUAL,
         ([UP], [row(1, berth=5)]), {1: "update/update"}),
    Case("fields of their own are none field by field", [row(1)], [UP], [row(1, berth=5)], replace(MANUAL, by="field"),
         [row(1, "Ada", 5)]),
    Case("merged, field by field", [row(1)], [UP], [row(1, berth=None)], MERGE, [row(1, "Ada", None)]),
    Case("merged, but for one open field, which holds the row", [row(1)], [UP], [row(1, "Eva", 5)], MERGE,
         ([UP], [row(1, "Eva", 5)]), {1: "update/update"}),
    Case("null and the empty text are two values", [row(1)], [row(1, None)], [row(1, "")], MERGE,
         ([row(1, None)], [row(1, "")]), {1: "update/update"}),
    Case("merged by a rule of the column", [row(1)], [row(1, "Ada", 6)], [row(1, berth=9)],
         replace(MERGE, columns={"berth": Rule("sum")}), [row(1, "Ada", 11)]),
    Case("a clock that both moved takes the later time", [row(1)], [row(1, "Ada", at=TWO)], [row(1, berth=5, at=THREE)],
         replace(MERGE, clock=CLOCK), [row(1, "Ada", 5, THREE)], lost=((1, "at", "source"),)),
    Case("no clock is a column like others", [row(1)], [row(1, "Ada", at=TWO)], [row(1, berth=5, at=THREE)], MERGE,
         ([row(1, "Ada", at=TWO)], [row(1, berth=5, at=THREE)]), {1: "update/update"}),
    Case("the source wins the whole row", [row(1)], [UP], [row(1, "Eva", 5)], SOURCE, [UP],
         lost=((1, "berth", "target"), (1, "name", "target"))),
    Case("the source wins field by field", [row(1)], [UP], [row(1, "Eva", 5)], replace(SOURCE, by="field"), [row(1, "Ada", 5)],
         lost=((1, "name", "target"),)),
    Case("the target wins", [row(1)], [UP], [DOWN], TARGET, [DOWN], lost=((1, "name", "source"),)),
    Case("a column with a rule of its own stands apart from its row", [row(1)], [row(1, "Ada", 6)], [row(1, "Eva", 5)],
         replace(SOURCE, columns={"berth": Rule("smaller")}), [row(1, "Ada", 5)],
         lost=((1, "berth", "source"), (1, "name", "target"))),
    Case("the newer row wins", [row(1)], [row(1, "Ada", at=TWO)], [row(1, "Eva", 5, THREE)], NEWER, [row(1, "Eva", 5, THREE)],
         lost=((1, "at", "source"), (1, "name", "source"))),
    Case("a tie is open", [row(1)], [row(1, "Ada", at=TWO)], [row(1, "Eva", at=TWO)], NEWER,
         ([row(1, "Ada", at=TWO)], [row(1, "Eva", at=TWO)]), {1: "update/update"}),
    Case("a tie within the skew goes by the policy", [row(1)], [row(1, "Ada", at=TWO)], [row(1, "Eva", at=THREE)],
         replace(NEWER, clock=Clock("at", "at", timedelta(hours=1), "source")), [row(1, "Ada", at=TWO)],
         lost=((1, "at", "target"), (1, "name", "target"))),
    Case("no clock is older than any", [row(1)], [row(1, "Ada", at=None)], [row(1, "Eva", at=TWO)], NEWER, [row(1, "Eva", at=TWO)],
         lost=((1, "at", "source"), (1, "name", "source"))),
    Case("a clock that alone was moved is no edit of the row", [row(1)], [row(1, "Ada", at=TWO)], [row(1, at=THREE)],
         replace(MANUAL, clock=CLOCK), [row(1, "Ada", at=THREE)], lost=((1, "at", "source"),)),
    Case("deleted on one side", [row(1), row(2)], [row(2)], [row(1), row(2)], MANUAL, [row(2)]),
    Case("each side deleted another row", [row(1), row(2)], [row(2)], [row(1)], MANUAL, []),
    Case("deleted on both sides", [row(1), row(2)], [row(2)], [row(2)], MANUAL, [row(2)]),
    Case("deleted and edited", [row(1)], [], [UP], MANUAL, ([], [UP]), {1: "delete/update"}),
    Case("edited and deleted", [row(1)], [UP], [], MERGE, ([UP], []), {1: "update/delete"}),
    Case("a deletion has no clock", [row(1)], [UP], [], NEWER, ([UP], []), {1: "update/delete"}),
    Case("edited and deleted, the source wins", [row(1)], [UP], [], SOURCE, [UP], lost=((1, None, "target"),)),
    Case("edited and deleted, the target wins", [row(1)], [UP], [], TARGET, [], lost=((1, "name", "source"),)),
    Case("deletions win", [row(1)], [], [UP], replace(TARGET, delete="delete_wins"), [], lost=((1, "name", "target"),)),
    Case("updates win", [row(1)], [], [UP], replace(SOURCE, delete="update_wins"), [UP], lost=((1, None, "source"),)),
    Case("created on each side", [], [row(1)], [row(2)], MANUAL, [row(1), row(2)]),
    Case("one key created on both, alike", [], [row(1)], [row(1)], MANUAL, [row(1)]),
    Case("one key created on both, unlike", [], [UP], [DOWN], MERGE, ([UP], [DOWN]), {1: "insert/insert"}),
    Case("created on both, with a rule for it", [], [UP], [DOWN], replace(MERGE, create="target_wins"), [DOWN],
         lost=((1, "name", "source"),)),
    Case("sums of rows that both created are sums of all", [], [row(1, berth=2)], [row(1, berth=3)],
         replace(MERGE, columns={"berth": Rule("sum")}), [row(1, berth=5)]),
    Case("first met: rows on one side only are new", None, [row(1), row(2)], [row(2), row(3)], MANUAL, [row(1), row(2), row(3)]),
    Case("first met: unlike rows go by the policy", None, [UP, row(2)], [DOWN], SOURCE, [UP, row(2)], lost=((1, "name", "target"),)),
    Case("first met: unlike rows by another choice", None, [UP], [DOWN, row(2)], replace(SOURCE, initial="target"), [DOWN, row(2)],
         lost=((1, "name", "source"),)),
    Case("first met: without a base no sum, but the larger one", None, [row(1, berth=2)], [row(1, berth=3)],
         replace(MERGE, columns={"berth": Rule("sum")}), [row(1, berth=3)], lost=((1, "berth", "source"),)),
    Case("first met: the newer row", None, [row(1, "Ada", at=TWO)], [DOWN, row(2)],
         replace(MANUAL, clock=CLOCK, initial="newer"), [row(1, "Ada", at=TWO), row(2)],
         lost=((1, "at", "target"), (1, "name", "target"))),
    Case("first met: of rows of one time the policy's", None, [UP], [DOWN], replace(TARGET, clock=CLOCK, initial="newer"), [DOWN],
         lost=((1, "name", "source"),)),
    Case("a row that came back as it was", [], [row(1)], [], MANUAL, [row(1)]),
]  # fmt: skip


def reconciled(case: Case) -> Reconciled:
    base = None if case.base is None else table(case.base)
    return reconcile(T, base, table(case.source), table(case.target), COMPARISON, case.policy)


@pytest.mark.parametrize("case", CASES, ids=lambda case: case.title)
def test_case(case: Case) -> None:
    outcome = reconciled(case)
    source, target = patched(table(case.source), outcome.source), patched(table(case.target), outcome.target)
    after = case.after if isinstance(case.after, tuple) else (case.after, case.after)
    assert (rows_of(source), rows_of(target)) == after
    assert {json.loads(each["key"])[0]: each["kind"] for each in outcome.conflicts.to_pylist()} == (case.open or {})
    lost = [(json.loads(each["key"])[0], each["column"], each["side"]) for each in outcome.overruled.to_pylist()]
    assert sorted(lost, key=repr) == sorted(case.lost, key=repr)
    again = reconcile(T, outcome.base, source, target, COMPARISON, case.policy)
    assert not len(again.source) and not len(again.target)
    assert again.conflicts.column("key").to_pylist() == outcome.conflicts.column("key").to_pylist()


def test_a_conflict_shows_the_rows_of_the_base_and_of_both_sides() -> None:
    case = Case("", [row(1), row(2)], [UP, row(2, berth=5)], [row(1, "Eva", 5)], MERGE, [])
    first, second = sorted(reconciled(case).conflicts.to_pylist(), key=lambda each: each["key"])
    assert (first["key"], first["kind"], first["fields"]) == ("[1]", "update/update", ["name"])
    assert [tuple(first[side].values()) for side in ("base", "source", "target")] == [row(1), UP, row(1, "Eva", 5)]
    assert (second["key"], second["kind"], second["fields"]) == ("[2]", "update/delete", ["berth"])
    assert second["target"] is None and tuple(second["source"].values()) == row(2, berth=5)


def test_an_overruled_edit_has_its_value_and_the_one_that_won() -> None:
    (lost,) = reconciled(Case("", [row(1)], [UP], [DOWN], SOURCE, [])).overruled.to_pylist()
    assert lost == {"key": "[1]", "column": "name", "side": "target", "kind": "update/update", "rule": "source_wins",
                    "base": "Elsa", "won": "Ada", "lost": "Eva"}  # fmt: skip


def test_an_open_row_keeps_its_base_but_for_fields_that_both_sides_hold_alike() -> None:
    """Or a later edit of such a field on one side alone would look as if both had edited it."""
    source, target = row(1, "Ada", 7), row(1, "Eva", 7)
    outcome = reconciled(Case("", [row(1)], [source], [target], MERGE, []))
    assert rows_of(outcome.base) == [row(1, berth=7)]
    later = reconcile(T, outcome.base, table([row(1, "Eva", 8)]), table([target]), COMPARISON, MERGE)
    assert rows_of(patched(table([target]), later.target)) == [row(1, "Eva", 8)]


def test_the_sides_meet_in_a_report_without_a_word_written() -> None:
    case = Case("", None, [UP, row(2)], [DOWN, row(3)], replace(NEWER, initial="report"), [])
    outcome = reconciled(case)
    assert not len(outcome.source) and not len(outcome.target) and outcome.base is None
    assert outcome.conflicts.column("key").to_pylist() == ["[1]"]
    choices = prospects(T, table(case.source), table(case.target), COMPARISON, case.policy)
    counts = {name: (len(each.source), len(each.target), each.conflicts.num_rows) for name, each in choices.items()}
    assert counts == {"policy": (1, 1, 1), "source": (1, 2, 0), "target": (2, 1, 0), "newer": (1, 1, 1)}


def test_fail_stops_at_the_first_conflict_and_at_no_other_edit() -> None:
    fail = Policy("fail")
    assert len(reconciled(Case("", [row(1)], [UP], [row(1)], fail, [])).target) == 1
    for source, target in (([UP], [DOWN]), ([UP], []), ([], [DOWN])):
        with pytest.raises(DataError) as error:
            reconciled(Case("", [row(1)], source, target, fail, []))
        assert "boat" in error.value.what and "name" in error.value.what and error.value.fix
    one_column = Policy(columns={"berth": Rule("fail")})
    with pytest.raises(DataError):
        reconciled(Case("", [row(1)], [row(1, berth=5)], [row(1, berth=6)], one_column, []))


def test_rows_that_are_set_aside_stay_out_of_it_and_in_the_base() -> None:
    aside = pa.table({"no": pa.array([1, 2], pa.int64())})
    base, source, target = table([row(1), row(2), row(3)]), table([row(3)]), table([UP, row(2), row(3, "Ada")])
    outcome = reconcile(T, base, source, target, COMPARISON, MANUAL, aside=aside)
    assert not len(outcome.target) and not outcome.conflicts.num_rows
    assert rows_of(outcome.source.after) == [row(3, "Ada")]
    assert rows_of(outcome.base) == [row(1), row(2), row(3, "Ada")]


def test_values_within_the_tolerance_are_one_and_keep_their_digits() -> None:
    close = replace(COMPARISON, tolerance={"berth": Tolerance(absolute=1)})
    source, target = table([row(1, "Ada", 5)]), table([row(1, berth=4)])
    outcome = reconcile(T, table([row(1)]), source, target, close, MERGE)
    assert rows_of(outcome.target.after) == [row(1, "Ada", 4)]
    assert not len(outcome.source)


def test_two_edits_within_the_tolerance_of_the_base_but_not_of_each_other_are_edits() -> None:
    close = replace(COMPARISON, tolerance={"berth": Tolerance(absolute=1)})
    source, target = table([row(1, berth=5)]), table([row(1, berth=3)])
    assert reconcile(T, table([row(1)]), source, target, close, MERGE).conflicts.num_rows == 1
    larger = reconcile(T, table([row(1)]), source, target, close, replace(MERGE, columns={"berth": Rule("larger")}))
    assert rows_of(larger.target.after) == [row(1, berth=5)]


def test_clocks_may_be_columns_that_only_one_side_has() -> None:
    names = ("no", "name", "berth")
    compared = Comparison(("no",), names)
    source = table([row(1, "Ada", at=TWO), row(2, "Ada", at=THREE)]).rename_columns([*names, "changed"])
    target = table([row(2, "Eva", at=TWO), row(1, "Eva", at=THREE)]).rename_columns([*names, "updated"])
    base = table([row(1), row(2)]).select(list(names))
    policy = Policy("newer_wins", clock=Clock("changed", "updated"))
    outcome = reconcile(T, base, source, target, compared, policy)
    assert outcome.target.after.to_pylist() == [{"no": 2, "name": "Ada", "berth": 4}]
    assert outcome.source.after.to_pylist() == [{"no": 1, "name": "Eva", "berth": 4}]


def test_columns_that_are_not_compared_travel_along() -> None:
    compared = Comparison(("no",), ("no", "name"))
    base, source, target = (
        table([row(1)]),
        table([row(1, "Ada", 5), row(2, berth=6)]),
        table([row(1, berth=7), row(3, berth=8)]),
    )
    outcome = reconcile(T, base, source, target, compared, MANUAL)
    assert rows_of(outcome.target.after) == [row(1, "Ada", 7)]
    assert rows_of(outcome.target.inserts) == [row(2, berth=6)]
    assert rows_of(outcome.source.inserts) == [row(3, berth=8)]


def test_rows_that_a_side_cannot_take_become_conflicts_in_which_both_keep_what_they_have() -> None:
    base = table([row(1), row(2), row(3), row(4)])
    source, target = table([UP, row(2), row(4, berth=5)]), table([row(1), row(2), row(3), row(4, "Ada"), row(5)])
    whole = reconcile(T, base, source, target, COMPARISON, MERGE)
    refused = pa.table({"no": pa.array([1, 3, 4, 5], pa.int64())})
    outcome = left_open(whole, refused, "unique", ["name"], base, source, target)
    assert not len(outcome.source) and not len(outcome.target)
    assert not outcome.merged.num_rows and whole.merged.to_pylist() == [{"no": 4}]
    assert rows_of(outcome.base) == rows_of(base)
    listed = {each["key"]: each for each in outcome.conflicts.to_pylist()}
    assert {each["kind"] for each in listed.values()} == {"unique"}
    assert listed["[3]"]["source"] is None and tuple(listed["[3]"]["target"].values()) == row(3)
    assert listed["[5]"]["base"] is None and listed["[1]"]["fields"] == ["name"]
    some = left_open(whole, refused.slice(0, 1), "unique", ["name"], base, source, target)
    assert len(some.target) == len(whole.target) - 1 and len(some.source) == len(whole.source)
