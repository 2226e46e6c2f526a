"""Rows that both sides hold and that are not equal: who changed which field, and what becomes of each."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms import keys
from transforms.diff import Comparison
from transforms.reconcile.column_rules import (
    FAIL,
    MADE,
    OPEN,
    SAME,
    SOURCE,
    TARGET,
    Cells,
    Choices,
    decide,
    later,
    within,
)
from transforms.reconcile.decisions import Decisions, as_values
from transforms.reconcile.new_columns import rules, who_brings
from transforms.reconcile.policy import Clock, Policy, Rule
from transforms.reconcile.records import OVERRULED, Overruling, fields_of
from transforms.vocabulary import Key, Meaning, SideName
from transforms.vocabulary.arrow import Mask, as_mask, contiguous
from transforms.vocabulary.values import Tolerance, unequal


@dataclass(frozen=True, slots=True)
class Met:
    """The same rows of three tables, row by row; `base` is None for rows that it does not have. `meeting`: there is no base yet.

    `unmet`: the columns in which some rows have not met, each with these.
    """

    base: pa.Table | None
    source: pa.Table
    target: pa.Table
    meeting: bool = False
    unmet: Mapping[str, Mask] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Outcome:
    """What becomes of rows on both sides. Where a row is open, `source` and `target` hold it as it was.

    `to_source` and `to_target` are the rows that change there, `merged` those in which edits of both sides came together. `fields`
    are the open ones of each row; `alike` says of columns in which some rows differ where both sides agree.
    """

    source: pa.Table
    target: pa.Table
    to_source: Mask
    to_target: Mask
    open: Mask
    failing: Mask
    merged: Mask
    fields: pa.Array
    alike: Mapping[str, Mask]
    overruled: pa.Table


@dataclass(slots=True)
class _Field:
    """One column: where the sides differ, who changed it, and what is taken; where the policy for whole rows decided that, and
    which `rules` did. `meets`: where the sides have not met in it."""

    name: str
    base: pa.Array | None
    source: pa.Array
    target: pa.Array
    differs: Mask
    by_source: Mask
    by_target: Mask
    meets: Mask
    choices: Choices = field(init=False)
    whole: Mask = field(init=False)
    by_people: Mask = field(init=False)
    made: pa.Array | None = None
    lost: tuple[Mask, Mask] | None = None
    rules: list[tuple[Mask, str]] = field(default_factory=list)

    def __post_init__(self) -> None:
        alone = [self.by_source & ~self.by_target, self.by_target & ~self.by_source]
        self.choices = np.select([*alone, self.differs], [SOURCE, TARGET, OPEN], SAME).astype(np.int8)
        self.whole, self.by_people = _none(len(self.differs)), _none(len(self.differs))

    @property
    def contested(self) -> Mask:
        """Where both sides changed the field, each to another value, and no row was decided as a whole."""
        return self.by_source & self.by_target & ~self.whole

    def of(self, side: SideName) -> pa.Array:
        return self.source if side == "source" else self.target

    @property
    def value(self) -> pa.Array:
        """What is taken, and of what is the same or open the target's."""
        value = self.target if self.made is None else _where(self.choices == MADE, self.made, self.target)
        return _where(self.choices == SOURCE, self.source, value)


def met(
    rows: Met,
    comparison: Comparison,
    policy: Policy,
    clocks: tuple[pa.Table, pa.Table],
    kind: str,
    decisions: Decisions | None = None,
) -> Outcome:
    """Decide rows, field by field or as a whole, as the policy says, and what it leaves open as people decided.

    In: `clocks` are tables of the source and of the target that hold the rows with their clocks; `kind` is what each side did.
    """
    fields = _fields(rows, comparison)
    newer = None if policy.clock is None else newer_side(rows.target, policy.clock, comparison.key, *clocks)
    if not policy.by_field:
        _decide_whole(fields, policy, newer, rows.target.num_rows)
    for each in fields:
        contested = each.contested
        for mask, rule in rules(policy, each.name, contested & each.meets, newer):
            _decide_contested(each, mask, rule, comparison, newer, meeting=True)
        _decide_contested(
            each, contested & ~each.meets, policy.rule(each.name), comparison, newer, meeting=rows.meeting
        )
    if decisions is not None:
        _decide_open(fields, decisions, rows.target.select(list(comparison.key)), comparison)
    return _outcome(rows, fields, policy, comparison, kind)


def _fields(rows: Met, comparison: Comparison) -> list[_Field]:
    """The columns in which some rows differ."""
    fields = []
    none = np.zeros(rows.target.num_rows, dtype=bool)
    for name in comparison.compared:
        if name in comparison.key:
            continue
        one, other = contiguous(rows.source.column(name)), contiguous(rows.target.column(name))
        tolerance, meaning = comparison.tolerance.get(name), comparison.meanings.get(name, "plain")
        differs = unequal(one, other, tolerance, meaning)
        if differs is None:
            continue
        old = None if rows.base is None else contiguous(rows.base.column(name))
        by_source = by_target = differs
        if old is not None:
            by_source, by_target = (_changed(each, old, tolerance, meaning, none) & differs for each in (one, other))
            unsure = differs & ~by_source & ~by_target
            if unsure.any():  # each within the tolerance of the base, but not of each other: then every digit counts
                by_source, by_target = (
                    by | (_changed(each, old, None, meaning, none) & unsure)
                    for by, each in ((by_source, one), (by_target, other))
                )
        meets = rows.unmet.get(name, none)
        if meets.any():
            brings = who_brings(one, other, differs)
            by_source, by_target = (
                np.where(meets, brought, by) for brought, by in zip(brings, (by_source, by_target), strict=True)
            )
        fields.append(_Field(name, old, one, other, differs, by_source, by_target, meets))
    return fields


def _changed(now: pa.Array, old: pa.Array, tolerance: Tolerance | None, meaning: Meaning, none: Mask) -> Mask:
    mask = unequal(now, old, tolerance, meaning)
    return none if mask is None else mask


def newer_side(rows: pa.Table, clock: Clock, key: Key, source: pa.Table, target: pa.Table) -> Choices:
    """Whose clock is ahead in each row; for a tie what the policy says."""
    one, other = (
        contiguous(side.column(name)).take(pa.array(keys.match(rows, side, key)))
        for side, name in ((source, clock.source), (target, clock.target))
    )
    order = later(one, other)
    if clock.skew:
        order = np.where(within(one, other, clock.skew), 0, order)
    there = [as_mask(pc.is_valid(each)).astype(np.int64) for each in (one, other)]
    order = np.where((there[0] & there[1]).astype(bool), order, there[0] - there[1])
    tie = {"source": SOURCE, "target": TARGET, "manual": OPEN}[clock.tie]
    return np.select([order > 0, order < 0], [SOURCE, TARGET], tie).astype(np.int8)


def _decide_whole(fields: list[_Field], policy: Policy, newer: Choices | None, size: int) -> None:
    """Rows that both sides changed, decided as a whole. Fields with rules of their own stand apart; a clock alone is no edit."""
    clocks = () if policy.clock is None else policy.clock.names
    whole = [each for each in fields if each.name not in policy.columns]
    edits = [each for each in whole if each.name not in clocks]
    none = np.zeros(size, dtype=bool)
    by_source = np.logical_or.reduce([none, *(each.by_source & ~each.meets for each in edits)])
    by_target = np.logical_or.reduce([none, *(each.by_target & ~each.meets for each in edits)])
    contested = by_source & by_target
    winner = _WINNERS.get(policy.resolve, newer)
    assert winner is not None, "newer_wins has a clock"
    for each in whole:
        each.whole = contested & each.differs & ~each.meets
        each.choices = np.where(each.whole, winner, each.choices).astype(np.int8)


_SIDE: Final[dict[SideName, np.int8]] = {"source": SOURCE, "target": TARGET}
_WINNERS: Final = {"source_wins": SOURCE, "target_wins": TARGET, "manual": OPEN, "fail": FAIL}


def _decide_contested(
    each: _Field, contested: Mask, rule: Rule, comparison: Comparison, newer: Choices | None, *, meeting: bool
) -> None:
    """Let a rule decide fields that are contested, and no others."""
    if not contested.any():
        return
    some = pa.array(np.flatnonzero(contested))
    cells = Cells(
        each.name,
        None if each.base is None or meeting else each.base.take(some),
        each.source.take(some),
        each.target.take(some),
        comparison.meanings.get(each.name, "plain"),
        None if newer is None else newer[contested],
        meeting,
    )
    decided = decide(rule, cells)
    each.choices[contested] = decided.choices
    each.rules.append((contested, rule.kind))
    if decided.made is not None:
        spread = np.zeros(len(contested), dtype=np.int64)
        spread[contested] = np.arange(len(some))
        made = decided.made.take(pa.array(spread, mask=~contested))
        each.made = made if each.made is None else _where(contested, made, each.made)
    if decided.lost is not None:
        lost = np.zeros((2, len(contested)), dtype=bool) if each.lost is None else np.array(each.lost)
        lost[:, contested] = decided.lost
        each.lost = (lost[0], lost[1])


def _decide_open(fields: list[_Field], decisions: Decisions, keyed: pa.Table, comparison: Comparison) -> None:
    """Take for open fields what people decided."""
    were_open = {each.name: (each.choices == OPEN) | (each.choices == FAIL) for each in fields}
    for decided in decisions.about(keyed):
        for each in fields:
            some = decided.rows & were_open[each.name]
            if decided.take == "base":
                some &= ~each.meets
            if not some.any() or not decided.says(each.name) or (decided.take == "base" and each.base is None):
                continue
            each.by_people = each.by_people | some
            if decided.take in ("source", "target"):
                each.choices[some] = SOURCE if decided.take == "source" else TARGET
                continue
            meaning, kind = comparison.meanings.get(each.name, "plain"), each.target.type
            values = each.base if decided.take == "base" else as_values(decided.values, some, kind, meaning, each.name)
            each.made = _where(some, values, pa.nulls(len(some), kind) if each.made is None else each.made)
            each.choices[some] = MADE
            lost = [_changed(own, each.made, None, meaning, _none(len(some))) for own in (each.source, each.target)]
            known = (_none(len(some)), _none(len(some))) if each.lost is None else each.lost
            each.lost = (np.where(some, lost[0], known[0]), np.where(some, lost[1], known[1]))


def _outcome(rows: Met, fields: list[_Field], policy: Policy, comparison: Comparison, kind: str) -> Outcome:
    none = np.zeros(rows.target.num_rows, dtype=bool)
    open_ = np.logical_or.reduce([none, *(each.choices == OPEN for each in fields)])
    failing = np.logical_or.reduce([none, *(each.choices == FAIL for each in fields)])
    left = open_ | failing
    images: dict[SideName, pa.Table] = {"source": rows.source, "target": rows.target}
    changed: dict[SideName, Mask] = {"source": none, "target": none}
    combined = none
    edits: list[pa.Table] = []
    sides: tuple[tuple[SideName, SideName], ...] = (("source", "target"), ("target", "source"))
    for each in fields:
        value = each.value
        at = rows.target.schema.get_field_index(each.name)
        made = (each.choices == MADE) & ~left
        combined = combined | made
        for side, other in sides:
            own = each.of(side)
            writes = (each.choices == _SIDE[other]) & ~left
            if made.any():
                unlike = unequal(value, own, meaning=comparison.meanings.get(each.name, "plain"))
                writes = writes | (made & (none if unlike is None else unlike))
            if writes.any():
                changed[side] = changed[side] | writes
                images[side] = images[side].set_column(at, rows.target.schema.field(at), _where(writes, value, own))
        edits += _overruled(rows.target, each, value, ~left, policy, comparison.key, kind)
    merged = combined | (changed["source"] & changed["target"])
    return Outcome(
        images["source"],
        images["target"],
        changed["source"],
        changed["target"],
        open_,
        failing,
        merged,
        fields_of(
            [each.name for each in fields],
            [(each.choices == OPEN) | (each.choices == FAIL) for each in fields],
            none | True,
        ),
        {each.name: ~each.differs for each in fields},
        pa.concat_tables(edits) if edits else OVERRULED.empty_table(),
    )


def _overruled(
    target: pa.Table, each: _Field, value: pa.Array, decided: Mask, policy: Policy, key: Key, kind: str
) -> Iterator[pa.Table]:
    """The edits of a column that lost: to the policy for whole rows, to the column's rule, or to somebody's decision."""
    sides: tuple[tuple[SideName, pa.Array, Mask, np.int8, int], ...] = (
        ("source", each.source, each.by_source, TARGET, 0),
        ("target", each.target, each.by_target, SOURCE, 1),
    )
    for side, own, by, other, at in sides:
        lost = by & decided & (each.choices == other)
        if each.lost is not None:
            lost |= by & decided & (each.choices == MADE) & each.lost[at]
        machine = lost & ~each.by_people
        for mask, rule in (
            (machine & each.whole, policy.resolve),
            *((machine & mask, kind) for mask, kind in each.rules),
            (lost & each.by_people, "decision"),
        ):
            if mask.any():
                some = pa.array(mask)
                was = None if each.base is None else each.base.filter(some)
                told = Overruling(key, side, kind, rule)
                yield told.listed(target.filter(some), each.name, was, value.filter(some), own.filter(some))


def _none(size: int) -> Mask:
    return np.zeros(size, dtype=bool)


def _where(mask: Mask, yes: pa.Array, no: pa.Array) -> pa.Array:
    """The first values where the mask is true, and the others elsewhere."""
    if not mask.any():
        return no
    return yes if mask.all() else pc.if_else(pa.array(mask), yes, no)
