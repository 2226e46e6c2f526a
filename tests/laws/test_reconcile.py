"""Laws of reconciling: whatever both sides did, they come together, nothing is lost unseen, and no side is preferred."""

from __future__ import annotations

import json
import math
from dataclasses import replace
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any

import pandas as pd
import pyarrow as pa
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from transforms.diff import Comparison, diff, patched
from transforms.reconcile import Clock, Policy, Reconciled, Rule, problems, reconcile
from transforms.vocabulary import Meaning, TableName

T = TableName("t")
FEW = settings(max_examples=20)
KEY = ("a", "b")
AT = [datetime(2024, 2, 29, 1, 30), datetime(2024, 2, 29, 1, 30, 4), datetime(2024, 3, 1), datetime.min]
VALUES: dict[str, tuple[pa.DataType, list[Any]]] = {
    "whole": (pa.int16(), [None, 0, 1, 32767, -3]),
    "real": (pa.float64(), [None, 0.0, -0.0, 1.5, math.nan, math.inf]),
    "money": (pa.decimal128(4, 2), [None, Decimal("0"), Decimal("99.99"), Decimal("-1.5")]),
    "note": (pa.string(), [None, "", "x", "x y", "NULL", "é"]),
    "tags": (pa.string(), [None, "", "a", "a,b", "b, c", "c,a"]),
    "doc": (pa.string(), [None, "[]", "[1]", "[1, 2]", '["a", 1]', '{"a": 1}']),
    "at": (pa.timestamp("us"), [None, *AT]),
}
MEANINGS: dict[str, Meaning] = {"doc": "json"}
SCHEMA = pa.schema([("a", pa.int32()), ("b", pa.string()), *((name, kind) for name, (kind, _) in VALUES.items())])
COMPARISON = Comparison(KEY, tuple(SCHEMA.names), meanings=MEANINGS)

Rows = dict[tuple[int, str], dict[str, Any]]
some_keys = st.tuples(st.integers(0, 3), st.sampled_from(["", "a|b"]))
some_rows = st.fixed_dictionaries({name: st.sampled_from(values) for name, (_, values) in VALUES.items()})
some_edits = st.dictionaries(
    some_keys,
    st.none()
    | st.lists(st.sampled_from(sorted(VALUES)), max_size=3).flatmap(
        lambda names: st.fixed_dictionaries({name: st.sampled_from(VALUES[name][1]) for name in names})
    ),
    max_size=5,
)


def edited(rows: Rows, edits: dict[tuple[int, str], dict[str, Any] | None]) -> Rows:
    """Rows after edits: None deletes, all else changes a row or creates one."""
    blank = {name: values[1] for name, (_, values) in VALUES.items()}
    after = dict(rows)
    for key, edit in edits.items():
        if edit is None:
            after.pop(key, None)
        else:
            after[key] = {**after.get(key, blank), **edit}
    return after


def table(rows: Rows) -> pa.Table:
    listed = [{"a": a, "b": b, **row} for (a, b), row in rows.items()]
    return pa.Table.from_pylist(listed, schema=SCHEMA)


@st.composite
def three_tables(draw: st.DrawFn) -> tuple[pa.Table | None, pa.Table, pa.Table]:
    rows = draw(st.dictionaries(some_keys, some_rows, max_size=5))
    source, target = (table(edited(rows, draw(some_edits))) for _ in range(2))
    return (None if draw(st.integers(0, 5)) == 0 else table(rows)), source, target


def highest(base: pd.Series[Any], source: pd.Series[Any], target: pd.Series[Any]) -> pd.Series[Any]:
    return source.fillna(-9).combine(target.fillna(-9), max)


RULES: dict[str, list[Rule]] = {
    "whole": [Rule("larger"), Rule("sum"), Rule("python", function=highest), Rule("source_wins")],
    "real": [Rule("larger"), Rule("smaller"), Rule("newer")],
    "money": [Rule("smaller"), Rule("target_wins"), Rule("sum")],
    "note": [Rule("longer"), Rule("joined", " / "), Rule("newer")],
    "tags": [Rule("union"), Rule("longer")],
    "doc": [Rule("union"), Rule("source_wins"), Rule("newer")],
    "at": [Rule("larger"), Rule("newer")],
}
NEVER_OPEN = {
    name: [rule for rule in rules if rule.kind != "sum" and (name, rule.kind) != ("doc", "union")]
    for name, rules in RULES.items()
}


@st.composite
def policies(draw: st.DrawFn, *, open_ends: bool = True) -> Policy:
    """Any policy; without `open_ends` one that leaves nothing open."""
    rules = RULES if open_ends else NEVER_OPEN
    ties = ["source", "target", *(["manual"] if open_ends else [])]
    resolve = draw(
        st.sampled_from(["merge", "source_wins", "target_wins", "newer_wins", *(["manual"] if open_ends else [])])
    )
    named = (
        sorted(rules)
        if resolve == "merge" and not open_ends
        else draw(st.lists(st.sampled_from(sorted(rules)), unique=True))
    )
    policy = Policy(
        resolve,
        None if resolve == "merge" else draw(st.sampled_from(["row", "field"])),
        Clock("at", "at", timedelta(seconds=draw(st.sampled_from([0, 5]))), draw(st.sampled_from(ties))),
        {name: draw(st.sampled_from(rules[name])) for name in named},
        draw(st.sampled_from(["delete_wins", "update_wins", *([None, "manual"] if open_ends else [])])),
        draw(st.sampled_from([None, "source_wins", "target_wins", "newer_wins"])),
        draw(st.sampled_from(["policy", "source", "target", "newer"])),
    )
    assert not list(problems(policy, KEY, SCHEMA, SCHEMA, MEANINGS))
    return policy


def after(tables: tuple[Any, pa.Table, pa.Table], policy: Policy) -> tuple[Reconciled, pa.Table, pa.Table]:
    base, source, target = tables
    outcome = reconcile(T, base, source, target, COMPARISON, policy)
    return outcome, patched(source, outcome.source), patched(target, outcome.target)


def shown(rows: pa.Table) -> list[str]:
    return sorted(map(repr, rows.to_pylist()))


def equal(one: pa.Table, other: pa.Table) -> bool:
    return not len(diff(T, one, other, COMPARISON).changes)


@FEW
@given(three_tables(), policies())
def test_a_second_reconciling_writes_nothing_and_leaves_the_same_open(tables: Any, policy: Policy) -> None:
    first, source, target = after(tables, policy)
    again, _, _ = after((first.base, source, target), policy)
    assert not len(again.source) and not len(again.target) and not again.overruled.num_rows
    for column in ("key", "fields", "source", "target"):
        assert shown(again.conflicts.select([column])) == shown(first.conflicts.select([column]))
    assert again.base is not None and first.base is not None and equal(again.base, first.base)


@FEW
@given(three_tables(), policies(open_ends=False))
def test_a_policy_that_leaves_nothing_open_brings_both_sides_together_at_once(tables: Any, policy: Policy) -> None:
    outcome, source, target = after(tables, policy)
    assert not outcome.conflicts.num_rows
    assert equal(source, target)
    assert outcome.base is not None and equal(outcome.base, target)


def exchanged(policy: Policy) -> Policy:
    """The policy with source and target exchanged."""
    other: dict[Any, Any] = {
        "source": "target",
        "target": "source",
        "source_wins": "target_wins",
        "target_wins": "source_wins",
    }

    def turned(rule: Rule) -> Rule:
        function = rule.function
        swapped = None if function is None else lambda base, source, target: function(base, target, source)
        return replace(rule, kind=other.get(rule.kind, rule.kind), function=swapped)

    assert policy.clock is not None
    return replace(
        policy,
        resolve=other.get(policy.resolve, policy.resolve),
        clock=Clock(policy.clock.target, policy.clock.source, policy.clock.skew, other.get(policy.clock.tie, "manual")),
        columns={name: turned(rule) for name, rule in policy.columns.items()},
        create=other.get(policy.create, policy.create),
        initial=other.get(policy.initial, policy.initial),
    )


@FEW
@given(three_tables(), policies())
def test_with_sides_and_policy_exchanged_so_is_the_outcome(tables: Any, policy: Policy) -> None:
    base, one, other = tables
    outcome, source, target = after((base, one, other), policy)
    turned, target_there, source_there = after((base, other, one), exchanged(policy))
    assert shown(source) == shown(source_there)
    assert shown(target) == shown(target_there)
    assert shown(outcome.conflicts.select(["key", "fields"])) == shown(turned.conflicts.select(["key", "fields"]))
    kinds = {"/".join(reversed(kind.split("/"))) for kind in turned.conflicts.column("kind").to_pylist()}
    assert kinds == set(outcome.conflicts.column("kind").to_pylist())
    sides = {"source": "target", "target": "source"}
    lost = [(row["key"], row["column"], sides[row["side"]], row["lost"]) for row in turned.overruled.to_pylist()]
    assert sorted(map(repr, lost)) == sorted(
        repr((row["key"], row["column"], row["side"], row["lost"])) for row in outcome.overruled.to_pylist()
    )


def by_key(rows: pa.Table | None) -> dict[str, dict[str, Any]]:
    listed = [] if rows is None else rows.to_pylist()
    return {json.dumps([row["a"], row["b"]], separators=(",", ":")): row for row in listed}


def same(column: str, one: Any, other: Any) -> bool:
    kind = VALUES[column][0]
    row = {"a": 0, "b": ""}
    return equal(
        *(
            pa.Table.from_pylist([{**row, column: pa.scalar(each, kind).as_py()}], schema=SCHEMA)
            for each in (one, other)
        )
    )


@FEW
@given(three_tables(), policies())
def test_every_edit_is_on_both_sides_or_open_or_listed_as_overruled(tables: Any, policy: Policy) -> None:
    base, source, target = tables
    outcome, *there = after(tables, policy)
    final = [by_key(each) for each in there]
    old, sides = by_key(base), {"source": by_key(source), "target": by_key(target)}
    open_ = set(outcome.conflicts.column("key").to_pylist())
    lost = {(row["key"], row["column"], row["side"]) for row in outcome.overruled.to_pylist()}
    summed = {name for name, rule in policy.columns.items() if rule.kind in ("sum", "union", "joined")}
    for side, rows in sides.items():
        for key in {*rows, *old} - open_:
            row, was = rows.get(key), old.get(key)
            if row is None and was is not None:
                assert all(key not in each for each in final) or (key, None, side) in lost
                continue
            assert row is not None
            for name in VALUES:
                if was is not None and same(name, row[name], was[name]):
                    continue
                kept = all(key in each and same(name, row[name], each[key][name]) for each in final)
                assert kept or (key, name, side) in lost or name in summed, (key, name, side)


@FEW
@given(three_tables(), policies())
def test_what_one_side_alone_edited_is_taken_whatever_the_policy_says(tables: Any, policy: Policy) -> None:
    base, source, _ = tables
    assume(base is not None)
    outcome, _, target = after((base, source, base), policy)
    assert equal(target, source)
    assert not len(outcome.source) and not outcome.conflicts.num_rows and not outcome.overruled.num_rows


@FEW
@given(three_tables(), policies())
def test_a_row_in_conflict_stays_as_it_is_on_both_sides_and_in_the_base(tables: Any, policy: Policy) -> None:
    outcome, *there = after(tables, policy)
    for row in outcome.conflicts.to_pylist():
        for side, rows in zip(("source", "target"), there, strict=True):
            assert repr(by_key(rows).get(row["key"])) == repr(row[side])
        assert row["fields"]
        assert (row["base"] is None) == (row["key"] not in by_key(outcome.base))
        for name in row["fields"] if row["base"] else ():
            assert repr(by_key(outcome.base)[row["key"]][name]) == repr(row["base"][name])


@FEW
@given(three_tables(), policies(), st.randoms(use_true_random=False))
def test_neither_the_order_of_rows_nor_the_windows_matter(tables: Any, policy: Policy, random: Any) -> None:
    whole, source, target = after(tables, policy)
    mixed = [
        None if each is None else each.take(pa.array(random.sample(range(len(each)), len(each)), pa.int64()))
        for each in tables
    ]
    parts = [
        after(tuple(None if each is None else each.filter(pa.compute.equal(each["a"], a)) for each in mixed), policy)
        for a in range(4)
    ]
    assert shown(pa.concat_tables([each[1] for each in parts])) == shown(source)
    assert shown(pa.concat_tables([each[2] for each in parts])) == shown(target)
    for name in ("conflicts", "overruled", "base"):
        assert shown(pa.concat_tables([getattr(each[0], name) for each in parts])) == shown(getattr(whole, name))
