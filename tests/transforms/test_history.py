"""Changes one after the other: what they come to, what takes them back, and rows as they stood in between."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import pyarrow as pa
import pytest
from hypothesis import given
from hypothesis import strategies as st

from transforms.net_changes import net, rolled, shaped, together, without
from transforms.vocabulary import ChangeSet, PlanError, TableName

SCHEMA = pa.schema([("a", pa.int64()), ("b", pa.string()), ("v", pa.string())])
KEY = ("a", "b")
State = dict[tuple[int, str], str | None]

keys = st.tuples(st.integers(0, 3), st.sampled_from(["x", "y"]))
states = st.dictionaries(keys, st.sampled_from([None, "p", "q", ""]))


def rows(state: State, schema: pa.Schema = SCHEMA) -> pa.Table:
    return pa.Table.from_pylist([{"a": a, "b": b, "v": v} for (a, b), v in state.items()], schema=schema)


def between(old: State, new: State) -> ChangeSet:
    both = [key for key in old if key in new and old[key] != new[key]]
    return ChangeSet(
        TableName("t"),
        KEY,
        SCHEMA.names,
        inserts=rows({key: value for key, value in new.items() if key not in old}),
        before=rows({key: old[key] for key in both}),
        after=rows({key: new[key] for key in both}),
        deletes=rows({key: value for key, value in old.items() if key not in new}),
    )


def state_of(table: pa.Table) -> State:
    found = {(row["a"], row["b"]): row["v"] for row in table.to_pylist()}
    assert len(found) == table.num_rows, "one row a key"
    return found


def same(found: list[ChangeSet], other: ChangeSet) -> bool:
    """One change set, or none where there is no change."""
    assert len(found) == (1 if len(other) else 0)
    parts = ("inserts", "before", "after", "deletes")
    return all(state_of(getattr(one, part)) == state_of(getattr(other, part)) for one in found for part in parts)


def steps(course: list[State]) -> list[ChangeSet]:
    return [between(old, new) for old, new in pairwise(course)]


@given(st.lists(states, min_size=2, max_size=6))
def test_net_changes_lead_from_the_first_state_to_the_last(course: list[State]) -> None:
    parts = steps(course)
    assert same(net(parts), between(course[0], course[-1]))
    assert state_of(rolled(rows(course[0]), parts, SCHEMA)) == course[-1]


@given(st.lists(states, min_size=2, max_size=6))
def test_the_inverses_in_reverse_lead_back(course: list[State]) -> None:
    back = [part.inverse() for part in reversed(steps(course))]
    assert same(net(back), between(course[-1], course[0]))
    assert state_of(rolled(rows(course[-1]), back, SCHEMA)) == course[0]


@given(states, states, states)
def test_windows_of_one_version_are_one_change_set(old: State, new: State, _: State) -> None:
    left = {key for key in {*old, *new} if key[0] < 2}

    def part(state: State, *, inside: bool) -> State:
        return {key: value for key, value in state.items() if (key in left) == inside}

    windows = [between(part(old, inside=inside), part(new, inside=inside)) for inside in (True, False)]
    (whole,) = together(windows)
    assert same([whole] if len(whole) else [], between(old, new))


@given(states, states, st.sets(keys))
def test_rows_that_were_left_alone_are_no_change(old: State, new: State, alone: set[tuple[int, str]]) -> None:
    left = pa.Table.from_pylist([{"a": a, "b": b} for a, b in alone], schema=pa.schema([SCHEMA.field(n) for n in KEY]))
    kept = {key: old[key] for key in alone if key in old} | {
        key: value for key, value in new.items() if key not in alone
    }
    changes = without(between(old, new), left)
    assert same([changes] if len(changes) else [], between(old, kept))


def test_a_column_that_came_later_is_null_before() -> None:
    wider = SCHEMA.append(pa.field("w", pa.int32()))
    added = ChangeSet(
        TableName("t"), KEY, wider.names, wider.empty_table(),
        before=pa.Table.from_pylist([{"a": 1, "b": "x", "v": "p"}], schema=wider),
        after=pa.Table.from_pylist([{"a": 1, "b": "x", "v": "p", "w": 5}], schema=wider),
        deletes=wider.empty_table(),
    )  # fmt: skip
    first = between({}, {(1, "x"): "p", (2, "x"): "q"})
    assert rolled(SCHEMA.empty_table(), [first, added], wider).sort_by("a").to_pylist() == [
        {"a": 1, "b": "x", "v": "p", "w": 5},
        {"a": 2, "b": "x", "v": "q", "w": None},
    ]
    came = {tuple(each.schema.names): each.inserts.to_pylist() for each in net([first, added])}
    assert came == {
        ("a", "b", "v", "w"): [{"a": 1, "b": "x", "v": "p", "w": 5}],
        ("a", "b", "v"): [{"a": 2, "b": "x", "v": "q"}],
    }, "of a row that it was never written to nothing is said"


def test_a_column_of_another_type_is_carried_over_where_nothing_is_lost() -> None:
    wide = pa.schema([("a", pa.int64()), ("b", pa.string()), ("v", pa.int32())])
    assert shaped(rows({(1, "x"): "12"}), wide, TableName("t"))["v"].to_pylist() == [12]
    with pytest.raises(PlanError, match=r"t\.v was string and became int32, and p cannot be carried over"):
        shaped(rows({(1, "x"): "p"}), wide, TableName("t"))


def test_changes_by_different_keys_are_not_added_up() -> None:
    one: Any = between({}, {(1, "x"): "p"})
    other = ChangeSet(one.table, ("a",), SCHEMA.names, one.inserts, one.before, one.after, one.deletes)
    with pytest.raises(PlanError, match=r"matched by \(a, b\) and later by \(a\)"):
        net([one, other])


OWN = SCHEMA.append(pa.field("own", pa.string()))
Row = tuple[str | None, str | None]  # what is mapped, and the target's own column
moves = st.tuples(
    keys, st.sampled_from(["write", "update", "delete", "give back", "edit"]), st.sampled_from([None, "p", "q", ""])
)


def part(op: str, key: tuple[int, str], was: Row | None, now: Row | None) -> ChangeSet:
    """A change of one row: deletes, and rows that are given back, have all columns."""
    schema = OWN if op in ("delete", "give back") else SCHEMA

    def image(row: Row | None, *, there: bool) -> pa.Table:
        named = [{"a": key[0], "b": key[1], "v": row[0], "own": row[1]}] if row is not None and there else []
        return pa.Table.from_pylist(named, schema=OWN).select(schema.names)

    both = was is not None and now is not None
    return ChangeSet(
        TableName("t"), KEY, tuple(schema.names), image(now, there=not both), image(was, there=both),
        image(now, there=both), image(was, there=not both),
    )  # fmt: skip


@given(st.dictionaries(keys, st.tuples(*[st.sampled_from([None, "p", "q"])] * 2)), st.lists(moves, max_size=14))
def test_rows_come_back_with_the_columns_that_nobody_wrote(
    begin: dict[tuple[int, str], Row], course: list[tuple[tuple[int, str], str, str | None]]
) -> None:
    """Somebody's own columns change between the parts, too: what was there when a row went is what comes back."""
    state, parts = dict(begin), []
    expected = dict(begin)  # the first state, as far as parts were to know it
    gone: set[tuple[int, str]] = set()
    for key, op, value in course:
        row = state.get(key)
        if op == "edit" and row is not None:
            state[key] = (row[0], value)
            if key in expected and key not in gone:
                expected[key] = (expected[key][0], value)
            continue
        now = {
            "write": (value, "by default") if row is None else None,
            "give back": (value, value) if row is None else None,
            "update": (value, row[1]) if row is not None else None,
            "delete": None,
        }.get(op)
        if (op == "delete") is (row is None) or (op != "delete" and now is None):
            continue
        parts.append(part(op, key, row, now))
        state.pop(key, None)
        if now is not None:
            state[key] = now
        else:
            gone.add(key)
    if not parts:
        return
    seen: set[tuple[int, str]] = set()
    for changes in net(parts):
        back = changes.inverse()
        for old, new in ((back.deletes, None), (back.before, back.after), (None, back.inserts)):
            for number in range((new if old is None else old).num_rows):
                was = old.slice(number, 1).to_pylist()[0] if old is not None else None
                now = new.slice(number, 1).to_pylist()[0] if new is not None else None
                key = (known := was or now)["a"], known["b"]
                assert key not in seen, "at most one change a key"
                seen.add(key)
                assert (key in state) is (was is not None)
                there = dict(zip(("v", "own"), state.pop(key, (None, None)), strict=True))
                if was is not None:
                    assert was["v"] == there["v"]
                if now is not None:
                    whole = {**there, **now} if was is not None else now
                    assert "own" in whole, "who comes back does so with all columns"
                    state[key] = (whole["v"], whole["own"])
    assert state == expected
