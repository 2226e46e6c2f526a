"""Three-way reconciling: what each side changed since both agreed, and which changes bring them together again."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms import keys
from transforms.diff import Comparison, diff
from transforms.reconcile.alone import alone
from transforms.reconcile.column_rules import OPEN
from transforms.reconcile.decisions import Decisions
from transforms.reconcile.pairs import Met, met, newer_side
from transforms.reconcile.policy import Policy
from transforms.reconcile.records import Reconciled, conflict_rows, fields_of
from transforms.reconcile.work import Work, fail
from transforms.vocabulary import ChangeSet, SideName, TableName
from transforms.vocabulary.arrow import Indices, Mask, contiguous
from transforms.vocabulary.unmet import UNMET, marked, met_in_all, unmet
from transforms.vocabulary.values import unequal


def reconcile(
    table: TableName,
    base: pa.Table | None,
    source: pa.Table,
    target: pa.Table,
    comparison: Comparison,
    policy: Policy,
    *,
    aside: pa.Table | None = None,
    decisions: Decisions | None = None,
) -> Reconciled:
    """How two sides come together that were edited since they agreed on `base`, in one window.

    In: mapped rows of the source and rows of the target, in any order, with unique keys without nulls. Columns that both have, in
        equal types, are the row; those that one side alone has are there for the clock. `base` has the row's columns, or is None
        where the sides have not met: rows on one side only are then new, never deleted. It may have UNMET: in those columns a row
        meets field by field (`new_columns`). `policy` has no `problems`. `aside` holds keys of rows that nothing is known of on some
        side (in quarantine): both sides and the base stay as they are. `decisions` are about what the policy leaves open.
    Out: rows that are equal, as the diff sees it, are not written; fields that are equal keep the spelling of their side. A field
        that one side alone changed is taken from there, one that both changed alike is agreed on; the others go by the policy.
    Errors: DataError for the first row in conflict where the policy says `fail`, and for a function that fails.
    Memory: the window, its changes and the new base. Inputs are never mutated.
    Laws: once the changes are in, a second reconciling with the new base writes nothing and has the same conflicts; what the
        policy overruled is listed; with sides and policy exchanged, the outcome is exchanged.
    """
    names = [name for name in target.column_names if name in source.column_names]
    one, other = source.select(names), target.select(names)
    if base is not None:
        base = base.select([*names, *(name for name in base.column_names if name == UNMET)])
    held = other.slice(0, 0)
    if aside is not None and aside.num_rows:
        one, other = (each.filter(pa.array(~keys.contained(each, aside, comparison.key))) for each in (one, other))
        held = held if base is None else base.filter(pa.array(keys.contained(base, aside, comparison.key)))
    apart = diff(table, one, other, comparison)
    changes = apart.changes
    work = Work(table, comparison, policy, base, source, target, decisions)
    if base is None and policy.initial == "report":
        return replace(_reported(work, changes), unchanged=apart.unchanged)
    in_base = _places(base, (changes.before, changes.inserts, changes.deletes), comparison)
    outcomes = [
        *_pairs(work, changes, in_base[0]),
        alone(work, "source", changes.inserts, in_base[1]),
        alone(work, "target", changes.deletes, in_base[2]),
    ]
    whole = _together(work, outcomes)
    touched = [changes.before, changes.deletes]
    return replace(whole, base=_new_base(other, touched, whole.base, held, comparison), unchanged=apart.unchanged)


def prospects(
    table: TableName, source: pa.Table, target: pa.Table, comparison: Comparison, policy: Policy
) -> Mapping[str, Reconciled]:
    """What each choice of `initial` would do at the first meeting of two sides; `newer` only where there is a clock."""
    choices: tuple[Any, ...] = ("policy", "source", "target", *(() if policy.clock is None else ("newer",)))
    return {
        choice: reconcile(table, None, source, target, comparison, replace(policy, initial=choice))
        for choice in choices
    }


def _places(base: pa.Table | None, parts: tuple[pa.Table, ...], comparison: Comparison) -> list[Indices]:
    """Where the rows of some tables are in the base, -1 where they are not."""
    keyed = pa.concat_tables([part.select(list(comparison.key)) for part in parts])
    place = np.full(keyed.num_rows, -1, dtype=np.int64) if base is None else keys.match(keyed, base, comparison.key)
    return np.split(place, np.cumsum([part.num_rows for part in parts])[:-1])


def _pairs(work: Work, changes: ChangeSet, place: Indices) -> list[Reconciled]:
    """Rows that both sides hold, and that are not equal. `place` is where the base has them."""
    source, target = changes.after, changes.before
    if not source.num_rows:
        return []
    known = place >= 0
    parts = [(known, work.of_base(target, place), "update/update", work.policy)]
    parts += [(mask, None, "insert/insert", policy) for mask, policy in _created(work, target, ~known)]
    outcomes = []
    for mask, old, kind, policy in parts:
        if mask.any():
            some = pa.array(mask)
            meets = {} if old is None else unmet(old)
            both = Met(old, source.filter(some), target.filter(some), meeting=work.base is None, unmet=meets)
            outcomes.append(_of_pairs(work, both, kind, policy))
    return outcomes


def _created(work: Work, rows: pa.Table, created: Mask) -> list[tuple[Mask, Policy]]:
    """What decides rows that both sides hold and the base does not; at a first meeting `initial` does, as far as it can."""
    policy = work.policy
    if work.base is not None or policy.initial == "policy":
        return [(created, policy.of_created())]
    if policy.initial != "newer":
        return [(created, policy.of_whole_rows("source_wins" if policy.initial == "source" else "target_wins"))]
    assert policy.clock is not None, "`initial: newer` has a clock"
    tie = newer_side(rows, policy.clock, work.comparison.key, work.source, work.target) == OPEN
    return [(created & ~tie, policy.of_whole_rows("newer_wins")), (created & tie, policy.of_created())]


def _of_pairs(work: Work, both: Met, kind: str, policy: Policy) -> Reconciled:
    key, none = work.comparison.key, work.none(both.source)
    result = met(both, work.comparison, policy, (work.source, work.target), kind, work.decisions)
    if result.failing.any():
        failing = pa.array(result.failing)
        fail(work, both.target.filter(failing), kind, result.fields.filter(failing))
    open_ = pa.array(result.open)
    old = None if both.base is None else both.base.filter(open_)
    was = None if old is None else met_in_all(old)
    conflicts = conflict_rows(
        key, kind, result.fields.filter(open_), was, both.source.filter(open_), both.target.filter(open_)
    )
    to_source, to_target = (pa.array(each) for each in (result.to_source, result.to_target))
    agreed = [result.target.filter(pa.array(~result.open))]
    if old is not None:
        agreed.append(_with_agreed(old, both.target.filter(open_), result.alike, result.open))
    return replace(
        none,
        source=replace(none.source, before=both.source.filter(to_source), after=result.source.filter(to_source)),
        target=replace(none.target, before=both.target.filter(to_target), after=result.target.filter(to_target)),
        conflicts=conflicts,
        overruled=result.overruled,
        base=_joined(agreed),
        merged=both.target.select(list(key)).filter(pa.array(result.merged)),
    )


def _with_agreed(old: pa.Table, target: pa.Table, alike: Mapping[str, Mask], open_: Mask) -> pa.Table:
    """The base's rows of a conflict, with the fields that both sides hold alike: who edits one of those later edits it alone."""
    rows = met_in_all(old)
    columns = [
        _chosen(alike[name][open_], contiguous(target.column(name)), contiguous(rows.column(name)))
        if name in alike
        else target.column(name)
        for name in rows.column_names
    ]
    unlike = {name: mask & ~alike[name][open_] for name, mask in unmet(old).items() if name in alike}
    return marked(pa.table(columns, schema=rows.schema), unlike)


def _chosen(mask: Mask, yes: pa.Array, no: pa.Array) -> pa.Array:
    return yes if mask.all() else no if not mask.any() else pc.if_else(pa.array(mask), yes, no)


def _reported(work: Work, changes: ChangeSet) -> Reconciled:
    """A first meeting that is only looked at: the unlike rows are conflicts, and nothing is written."""
    rows = changes.after
    masks = {}
    for name in work.comparison.compared:
        if name not in work.comparison.key:
            pair = (contiguous(rows.column(name)), contiguous(changes.before.column(name)))
            mask = unequal(*pair, work.comparison.tolerance.get(name), work.comparison.meanings.get(name, "plain"))
            if mask is not None:
                masks[name] = mask
    fields = fields_of(list(masks), list(masks.values()), np.ones(rows.num_rows, dtype=bool))
    conflicts = conflict_rows(work.comparison.key, "insert/insert", fields, None, rows, changes.before)
    return replace(work.none(rows), conflicts=conflicts, base=None)


def _together(work: Work, outcomes: list[Reconciled]) -> Reconciled:
    def changes(side: SideName) -> ChangeSet:
        parts = [each.side(side) for each in outcomes]
        return replace(
            parts[0],
            inserts=pa.concat_tables([each.inserts for each in parts]),
            before=pa.concat_tables([each.before for each in parts]),
            after=pa.concat_tables([each.after for each in parts]),
            deletes=pa.concat_tables([each.deletes for each in parts]),
        )

    return Reconciled(
        changes("source"),
        changes("target"),
        pa.concat_tables([each.conflicts for each in outcomes]),
        pa.concat_tables([each.overruled for each in outcomes]),
        _joined([each.base for each in outcomes if each.base is not None]),
        unchanged=0,
        merged=pa.concat_tables([each.merged for each in outcomes]),
    )


def _new_base(
    target: pa.Table, touched: list[pa.Table], agreed: pa.Table, held: pa.Table, comparison: Comparison
) -> pa.Table:
    """The target's rows that are equal on both sides, what the others became, and the base's rows that nobody looked at."""
    gone = pa.concat_tables([rows.select(list(comparison.key)) for rows in touched])
    if gone.num_rows:
        target = target.filter(pa.array(keys.match(target, gone, comparison.key) < 0))
    return _joined([target, *(rows for rows in (agreed, held) if rows.num_rows)])


def _joined(rows: list[pa.Table]) -> pa.Table:
    """Rows that are agreed on, of which some may have UNMET."""
    return pa.concat_tables(rows, promote_options="default")
