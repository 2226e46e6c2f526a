"""Conflicts that people decided, and the base where only one side took its part of a row."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from transforms.diff import Comparison, patched
from transforms.reconcile import DECISIONS, Decisions, Policy, Reconciled, Rule, agreed_after, reconcile
from transforms.vocabulary import DataError, SideName, TableName

T = TableName("boat")
SCHEMA = pa.schema([("no", pa.int64()), ("name", pa.string()), ("berth", pa.int32())])
COMPARISON = Comparison(("no",), ("no", "name", "berth"))
MERGE, MANUAL = Policy("merge"), Policy("manual")

Row = tuple[int, str | None, int | None]


def table(*rows: Row) -> pa.Table:
    return pa.table([pa.array([each[i] for each in rows], field.type) for i, field in enumerate(SCHEMA)], schema=SCHEMA)


def rows_of(rows: pa.Table) -> list[Row]:
    return sorted(tuple(each.values()) for each in rows.to_pylist())


def decided(*made: tuple[int, str | None, str, str | None]) -> Decisions:
    rows = [{"key": f"[{no}]", "field": field, "take": take, "value": value} for no, field, take, value in made]
    return Decisions(pa.Table.from_pylist(rows, schema=DECISIONS))


def after(
    base: pa.Table | None, source: pa.Table, target: pa.Table, policy: Policy, decisions: Decisions
) -> tuple[Reconciled, list[Row], list[Row]]:
    outcome = reconcile(T, base, source, target, COMPARISON, policy, decisions=decisions)
    left, right = patched(source, outcome.source), patched(target, outcome.target)
    again = reconcile(T, outcome.base, left, right, COMPARISON, policy)
    assert not len(again.source) and not len(again.target)
    assert again.conflicts["key"].to_pylist() == outcome.conflicts["key"].to_pylist()
    return outcome, rows_of(left), rows_of(right)


BASE, SOURCE, TARGET = table((1, "Elsa", 4)), table((1, "Ada", 5)), table((1, "Eva", 6))


@pytest.mark.parametrize(
    ("decision", "row"),
    [
        (decided((1, None, "source", None)), (1, "Ada", 5)),
        (decided((1, None, "target", None)), (1, "Eva", 6)),
        (decided((1, None, "base", None)), (1, "Elsa", 4)),
        (decided((1, "name", "source", None), (1, "berth", "target", None)), (1, "Ada", 6)),
        (decided((1, None, "source", None), (1, "berth", "value", "9")), (1, "Ada", 9)),
        (decided((1, "name", "value", None), (1, "berth", "base", None)), (1, None, 4)),
    ],
)
@pytest.mark.parametrize("policy", [MERGE, MANUAL])
def test_a_decision_is_written_on_both_sides(policy: Policy, decision: Decisions, row: Row) -> None:
    outcome, source, target = after(BASE, SOURCE, TARGET, policy, decision)
    assert source == target == [row]
    assert not outcome.conflicts.num_rows
    lost = {(each["column"], each["side"], each["lost"]) for each in outcome.overruled.to_pylist()}
    edits = {("name", "source", "Ada"), ("name", "target", "Eva"), ("berth", "source", "5"), ("berth", "target", "6")}
    kept = {("name", row[1]), ("berth", str(row[2]))}
    assert lost == {each for each in edits if (each[0], each[2]) not in kept}
    assert {each["rule"] for each in outcome.overruled.to_pylist()} == {"decision"}


def test_a_row_with_a_field_that_nobody_decided_stays_open() -> None:
    some = decided((1, "name", "source", None), (1, None, "value", "7"), (7, None, "base", None))
    outcome, source, target = after(BASE, SOURCE, TARGET, MERGE, some)
    assert (source, target) == (rows_of(SOURCE), rows_of(TARGET))
    assert outcome.conflicts["fields"].to_pylist() == [["berth"]]
    assert not outcome.overruled.num_rows


def test_what_a_rule_decides_is_not_decided_again() -> None:
    larger = Policy("merge", columns={"berth": Rule("larger")})
    _, source, target = after(BASE, SOURCE, TARGET, larger, decided((1, None, "source", None)))
    assert source == target == [(1, "Ada", 6)]


@pytest.mark.parametrize(("take", "rows"), [("source", [(1, "Ada", 5)]), ("target", []), ("base", [(1, "Elsa", 4)])])
def test_a_decision_about_a_deleted_row_lets_the_update_the_deletion_or_neither_stand(
    take: str, rows: list[Row]
) -> None:
    outcome, source, target = after(BASE, SOURCE, BASE.slice(0, 0), MERGE, decided((1, None, take, None)))
    assert source == target == rows and not outcome.conflicts.num_rows
    lost = {(each["column"], each["side"]) for each in outcome.overruled.to_pylist()}
    edits, deletion = {("name", "source"), ("berth", "source")}, {(None, "target")}
    assert lost == {"source": deletion, "target": edits, "base": edits | deletion}[take]
    _, left, right = after(BASE, BASE.slice(0, 0), TARGET, MERGE, decided((1, None, "source", None)))
    assert left == right == []


def test_a_value_that_is_none_of_the_column_is_an_error() -> None:
    with pytest.raises(DataError) as error:
        after(BASE, SOURCE, TARGET, MERGE, decided((1, "berth", "value", "nine")))
    assert "berth" in error.value.what and "nine" in error.value.what


def test_two_created_rows_have_no_base_to_take() -> None:
    outcome, source, _ = after(BASE.slice(0, 0), SOURCE, TARGET, MERGE, decided((1, None, "base", None)))
    assert outcome.conflicts.num_rows == 1 and source == rows_of(SOURCE)


def as_taken(rows: pa.Table, outcome: Reconciled, side: SideName, missed: list[int]) -> pa.Table:
    """A side after its changes but for those of some rows."""
    changes = outcome.side(side)
    stays = pa.compute.invert(pa.compute.is_in(changes.after["no"], value_set=pa.array(missed, pa.int64())))
    return patched(rows, replace(changes, before=changes.before.filter(stays), after=changes.after.filter(stays)))


@settings(max_examples=30)
@given(
    st.tuples(st.sampled_from(["Ada", "Elsa"]), st.integers(4, 6)),
    st.tuples(st.sampled_from(["Elsa", "Eva"]), st.integers(4, 6)),
    st.sampled_from(["source", "target"]),
    st.tuples(st.sampled_from(["Elsa", "Ina"]), st.integers(4, 7)),
)
def test_an_edit_between_plan_and_apply_is_an_edit_of_its_own_the_next_time(
    one: Any, other: Any, side: SideName, edit: Any
) -> None:
    """Whatever the side that did take its part was given counts as agreed on: only the new edit is one."""
    policy = Policy("merge", columns={"berth": Rule("source_wins"), "name": Rule("target_wins")})
    base, source, target = (
        table((1, "Elsa", 4), (2, "x", 1)),
        table((1, *one), (2, "y", 1)),
        table((1, *other), (2, "x", 1)),
    )
    outcome = reconcile(T, base, source, target, COMPARISON, policy)
    there = {"source": source, "target": target}
    missed = [1] if outcome.side(side).after.num_rows and 1 in outcome.side(side).after["no"].to_pylist() else []
    now = {name: as_taken(rows, outcome, name, missed if name == side else []) for name, rows in there.items()}
    if missed:
        now[side] = pa.concat_tables([now[side].filter(pa.compute.not_equal(now[side]["no"], 1)), table((1, *edit))])
    after_all = agreed_after(outcome, base, {side: pa.table({"no": pa.array(missed, pa.int64())})})
    if not missed:
        assert rows_of(after_all) == rows_of(outcome.base)
    known = {no: rest for no, *rest in rows_of(after_all)}
    for name, rows in now.items():
        if (
            missed and name != side
        ):  # what this side holds of the other is agreed on; its own edits may be still to come
            mine = {no: rest for no, *rest in rows_of(rows)}[1]
            given_ = {no: rest for no, *rest in rows_of(there[name])}[1]
            assert all(known[1][at] == mine[at] for at in (0, 1) if mine[at] != given_[at])
    again = reconcile(T, after_all, now["source"], now["target"], COMPARISON, policy)
    left, right = (patched(now[name], again.side(name)) for name in ("source", "target"))
    assert rows_of(left) == rows_of(right)


def test_the_base_knows_what_one_side_was_given_although_the_other_missed_its_part() -> None:
    source, target = table((1, "Ada", 4)), table((1, "Elsa", 6))
    outcome = reconcile(T, BASE, source, target, COMPARISON, MERGE)
    keys = pa.table({"no": pa.array([1], pa.int64())})
    assert rows_of(agreed_after(outcome, BASE, {"target": keys})) == [(1, "Elsa", 6)]
    assert rows_of(agreed_after(outcome, BASE, {"source": keys})) == [(1, "Ada", 4)]
    assert rows_of(agreed_after(outcome, BASE, {"source": keys, "target": keys})) == rows_of(BASE)
    edited = table((1, "Elsa", 7))  # on the target, between plan and apply: the source has 6 by now
    again = reconcile(T, table((1, "Elsa", 6)), table((1, "Ada", 6)), edited, COMPARISON, MERGE)
    assert not again.conflicts.num_rows
    assert rows_of(patched(edited, again.target)) == [(1, "Ada", 7)]


def test_a_row_that_one_side_alone_was_to_get_and_missed_keeps_its_base() -> None:
    outcome = reconcile(T, BASE, table((1, "Ada", 4), (2, "x", 1)), BASE, COMPARISON, MERGE)
    both = pa.table({"no": pa.array([1, 2], pa.int64())})
    assert rows_of(agreed_after(outcome, BASE, {"target": both})) == rows_of(BASE)
    assert not agreed_after(outcome, None, {"target": both}).num_rows


elements = st.sets(st.sampled_from(["b", "c", "d", "e"]))
berths = st.integers(5, 15)


@settings(max_examples=60)
@given(
    st.sampled_from(["source", "target"]), st.booleans(), elements, elements, elements, berths, berths, berths
)  # fmt: skip
def test_what_came_together_on_one_side_alone_counts_once_when_the_other_gets_it(
    side: SideName, born: bool, ours: set[str], theirs: set[str], later: set[str], one: int, other: int, then: int
) -> None:
    """One side is edited again before it gets its part of a row that both sides changed, or created: no edit is lost, none counts twice."""

    def joined(some: set[str]) -> str:
        return ",".join(["a", *sorted(some)])

    policy = Policy("merge", columns={"berth": Rule("sum"), "name": Rule("union")})
    base = table((2, "x", 1)) if born else table((1, "a", 10), (2, "x", 1))
    now = {
        "source": table((1, joined(ours), one), (2, "x", 1)),
        "target": table((1, joined(theirs), other), (2, "x", 1)),
    }
    outcome = reconcile(T, base, now["source"], now["target"], COMPARISON, policy)
    assert not outcome.conflicts.num_rows
    if not outcome.merged.num_rows or not all(outcome.side(each).after.num_rows for each in now):
        return
    mine = (ours, one) if side == "source" else (theirs, other)
    for name, rows in now.items():
        now[name] = patched(rows, outcome.side(name)) if name != side else rows  # type: ignore[arg-type]
    now[side] = table((1, joined(mine[0] | later), then), (2, "x", 1))
    known = agreed_after(outcome, base, {side: pa.table({"no": pa.array([1], pa.int64())})})
    again = reconcile(T, known, now["source"], now["target"], COMPARISON, policy)
    assert not again.conflicts.num_rows
    left, right = (patched(now[name], again.side(name)) for name in ("source", "target"))  # type: ignore[arg-type]
    assert rows_of(left) == rows_of(right)
    whole = one + other - (0 if born else 10)
    ((_, name, berth), _) = rows_of(left)
    assert (set(name.split(",")), berth) == ({"a"} | ours | theirs | later, whole + then - mine[1])
