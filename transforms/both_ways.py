"""One window of a two-way table decided whole: what each side is to become, the source in its own columns.

Reconciling says what both sides should hold, `put` what the source's columns have to be for that. A row that a side cannot take, as
far as that is known before anything is written, becomes a conflict, and both sides keep what they have.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms import keys
from transforms.diff import Comparison
from transforms.mapping.column_mapping import TableMapping
from transforms.mapping.mapping import stored
from transforms.mapping.put import Backward, Put, put, put_new
from transforms.mapping.rejections import encoded
from transforms.mapping.renamed import stale_references
from transforms.mapping.taken_along import LACKING
from transforms.mapping.ways_back import WayBack
from transforms.reconcile import Decisions, Policy, Reconciled, left_open, reconcile
from transforms.reconcile.records import keys_of
from transforms.vocabulary import ChangeSet, Key, Reason, SideName, TableName
from transforms.vocabulary.arrow import Mask, as_mask, contiguous
from transforms.vocabulary.unmet import met_in_all
from transforms.vocabulary.values import unequal

Refusals = Callable[[SideName, ChangeSet], Mapping[int, Reason]]
"""Which rows a side would not take, by their place in the inserts of its changes and, behind those, in the after images."""


@dataclass(frozen=True, slots=True)
class OnSource:
    """The source's table as changes of it are written: `columns` are those of its images, with their types. `given` makes of rows that
    were born on the target what source columns get that no column goes back to."""

    table: TableName
    key: Key
    columns: pa.Schema
    compared: Key
    given: Callable[[pa.Table], pa.Table]


@dataclass(frozen=True, slots=True)
class BothWays:
    """How a table goes both ways."""

    table: TableName
    comparison: Comparison
    policy: Policy
    back: Backward
    there: OnSource


@dataclass(frozen=True, slots=True)
class BothSides:
    """A window of both sides: `source` as it is mapped, with the `raw` rows that it is mapped from, row by row, and the `target`.

    `base` and `aside` as of `reconcile`. `lacking` are rows of the source in which a value could not be made (`map_along`), and
    `decided` the keys, as JSON arrays, of rows that people decided about.
    """

    base: pa.Table | None
    source: pa.Table
    raw: pa.Table
    target: pa.Table
    aside: pa.Table | None = None
    lacking: pa.Table | None = None
    decided: pa.Array | None = None


@dataclass(frozen=True, slots=True)
class Decided:
    """What becomes of a window. `outcome` has both changes in the target's shape, `back` those of the source in its own columns:
    row by row the same, its inserts, updates and deletes."""

    outcome: Reconciled
    back: ChangeSet


What = tuple[str, Key]
"""What a conflict is of a row that a side cannot take: its kind, and the columns that it is about."""


@dataclass(frozen=True, slots=True)
class _Fault:
    """Rows of a window that a side cannot take: their keys, and what that is."""

    keyed: pa.Table
    what: What


NO_WAY_BACK: Final = frozenset(
    {"no_inverse", "inverse_differs", "unlisted_value", "no_match", "merged_keys", "expression_failed"}
)


_NO_PARENT: Final = frozenset({"no_match", "parent_quarantined"})
_KINDS: Final = {"reference": "foreign_key", "double": "unique"}


def what_of(reason: Reason) -> What:
    """What a conflict is of a row that a side cannot take for this reason. Rows are taken apart by it: reasons may be as many as they."""
    return kind_of(reason), reason.columns


def by_what(whats: Iterable[What]) -> dict[What, list[int]]:
    """The places of equal ones, in the order in which they come first."""
    found: dict[What, list[int]] = {}
    for place, what in enumerate(whats):
        found.setdefault(what, []).append(place)
    return found


def as_in_target(reason: Reason, ways: Mapping[str, WayBack]) -> Reason:
    """A reason of the source's, about the columns of the target that go back to those that it names, where there are any."""
    named = tuple(name for name, way in ways.items() if set(way.writes) & set(reason.columns))
    return reason.without("columns").of(named) if named else reason


def kind_of(reason: Reason) -> str:
    """What a conflict is called of a row that a side cannot take."""
    match reason.code:
        case "null":
            return "not_null"
        case "parent_quarantined" | "no_parent" | "partly_null" | "referred":
            return "foreign_key"
        case "refused_on_write" | "refused" if reason.facts.get("kind") in _KINDS:
            return _KINDS[reason.facts["kind"]]
        case code if code in NO_WAY_BACK:
            return "no_inverse"
    return "check"


def decide(
    window: BothSides, ways: BothWays, refusals: Refusals | None = None, decisions: Decisions | None = None
) -> Decided:
    """Bring the two sides of a window together.

    Errors: as of `reconcile` and `put`. Memory: as of `reconcile`, and the changes of the source once more.
    """
    outcome = reconcile(
        ways.table,
        window.base,
        window.source,
        window.target,
        ways.comparison,
        ways.policy,
        aside=window.aside,
        decisions=decisions,
    )
    outcome = _left_open(outcome, list(_lacking(outcome, window)), window)
    outcome = _with_stale(outcome, window, ways.back)
    while True:
        back, updated, faults = _written_back(outcome, window, ways)
        faults += _unfit(outcome.target, ways.back.mapping)
        if not faults and refusals is not None:
            faults = list(_refused(refusals, outcome, back, ways.back.ways))
        if not faults:
            return Decided(_with_derived(outcome, updated, window, ways), back)
        outcome = _left_open(outcome, faults, window)


def _left_open(outcome: Reconciled, faults: Iterable[_Fault], window: BothSides) -> Reconciled:
    """The outcome without rows that have faults: each is open once, for its first."""
    seen: list[pa.Table] = []
    key = outcome.target.key
    for fault in faults:
        keyed, (kind, columns) = fault.keyed, fault.what
        if seen:
            keyed = keyed.filter(pa.array(~_held(keyed, pa.concat_tables(seen), key)))
        outcome = left_open(outcome, keyed, kind, columns, window.base, window.source, window.target)
        seen.append(keyed)
    return outcome


def _with_stale(outcome: Reconciled, window: BothSides, back: Backward) -> Reconciled:
    """The outcome with updates of the source's rows that stay as they are, and name rows which are called otherwise from now on."""
    if outcome.base is None or not any(rows.num_rows for rows in back.renamed.values()):
        return outcome
    changes = outcome.source
    key, stale = changes.key, np.zeros(window.source.num_rows, dtype=bool)
    for mask in stale_references(window.source, window.raw, back.mapping, back.renamed).values():
        stale |= mask
    rows = window.source.filter(pa.array(stale))
    told = keys_of(rows.select(list(key)))
    stays = ~as_mask(pc.is_in(told, value_set=contiguous(outcome.conflicts["key"])))
    for others in (changes.after, changes.deletes, window.aside):
        if others is not None and others.num_rows:
            stays &= ~_held(rows, others, key)
    rows = rows.filter(pa.array(stays)).select(changes.schema.names).cast(changes.schema)
    before, after = (pa.concat_tables([some, rows]) for some in (changes.before, changes.after))
    return replace(outcome, source=replace(changes, before=before, after=after))


def _lacking(outcome: Reconciled, window: BothSides) -> Iterator[_Fault]:
    """Rows of which the source has a value that cannot be mapped: that value is its edit, whatever becomes of the rest of the row.

    One that is open stays as it is. One for which people chose the target's row is written over, as far as it can be.
    """
    if window.lacking is None or not window.lacking.num_rows:
        return
    key = outcome.target.key
    told = keys_of(window.lacking.select(list(key)))
    stays = ~as_mask(pc.is_in(told, value_set=contiguous(outcome.conflicts["key"])))
    if window.decided is not None and len(window.decided):
        overwritten = pa.concat_tables(
            [each.select(list(key)) for each in (outcome.source.after, outcome.source.deletes)]
        )
        brought = pa.concat_tables([each.select(list(key)) for each in _images(outcome.target)])
        chosen = as_mask(pc.is_in(told, value_set=window.decided))
        stays &= ~(chosen & _held(window.lacking, overwritten, key) & ~_held(window.lacking, brought, key))
    rows = window.lacking.filter(pa.array(stays))
    reasons, numbers = encoded(rows[LACKING])
    whats = (("foreign_key" if each.code in _NO_PARENT else "check", each.columns) for each in reasons)
    for what, some in by_what(whats).items():
        yield _Fault(rows.select(list(key)).filter(pa.array(np.isin(numbers, some))), what)


def _unfit(changes: ChangeSet, mapping: TableMapping) -> Iterator[_Fault]:
    """Rows that get a value which its column of the target cannot hold."""
    rows = pa.concat_tables([changes.inserts, changes.after])
    for column in mapping.columns if rows.num_rows else ():
        _, unfit = stored(contiguous(rows.column(column.shape.name)), column)
        for bad, reason in unfit:
            yield _Fault(rows.filter(pa.array(bad)).select(list(changes.key)), what_of(reason))


def _images(changes: ChangeSet) -> tuple[pa.Table, ...]:
    return changes.inserts, changes.after, changes.deletes


def _written_back(outcome: Reconciled, window: BothSides, ways: BothWays) -> tuple[ChangeSet, Put | None, list[_Fault]]:
    """The source's changes in its own columns, what its updates are mapped to, and the rows that cannot be written back."""
    changes, key, there = outcome.source, ways.comparison.key, ways.there
    names, none = there.columns.names, there.columns.empty_table()
    faults: list[_Fault] = []

    def raw(rows: pa.Table) -> pa.Table:
        return window.raw.take(pa.array(keys.match(rows, window.source, key)))

    def noted(made: Put, rows: pa.Table) -> Put:
        for what, numbers in by_what(what_of(reason) for reason, _ in made.faults.reasons).items():
            some = pa.array(np.isin(made.faults.which, numbers))
            faults.append(_Fault(rows.select(list(key)).filter(some), what))
        return made

    before, after, inserts, updated = none, none, none, None
    if changes.after.num_rows:
        current = raw(changes.before)
        updated = noted(put(changes.after, changes.before, current, ways.back), changes.after)
        before, after = current.select(names), updated.rows.select(names)
    if changes.inserts.num_rows:
        made = noted(put_new(changes.inserts, there.given(changes.inserts), ways.back), changes.inserts)
        lacking = [field for field in there.columns if field.name not in made.rows.column_names]  # others show those
        inserts = made.rows
        for field in lacking:
            inserts = inserts.append_column(field, pa.nulls(inserts.num_rows, field.type))
        inserts = inserts.select(names)
    deletes = raw(changes.deletes).select(names) if changes.deletes.num_rows else none
    inserts, before, after, deletes = (each.cast(there.columns) for each in (inserts, before, after, deletes))
    return ChangeSet(there.table, there.key, there.compared, inserts, before, after, deletes), updated, faults


def _refused(refusals: Refusals, outcome: Reconciled, back: ChangeSet, ways: Mapping[str, WayBack]) -> Iterator[_Fault]:
    key = list(outcome.target.key)
    sides: Iterable[tuple[SideName, ChangeSet]] = (("target", outcome.target), ("source", back))
    for side, changes in sides:
        if not (changes.inserts.num_rows or changes.after.num_rows):
            continue
        ours = outcome.side(side)  # in the target's shape, row by row
        keyed = pa.concat_tables([ours.inserts.select(key), ours.after.select(key)])
        found = refusals(side, changes)
        reasons = (as_in_target(each, ways) if side == "source" else each for each in found.values())
        refused = keyed.take(pa.array(list(found), pa.int64()))
        for what, places in by_what(map(what_of, reasons)).items():
            yield _Fault(refused.take(pa.array(places)), what)


def _with_derived(outcome: Reconciled, updated: Put | None, window: BothSides, ways: BothWays) -> Reconciled:
    """The outcome with what the mapping makes of the source's updated rows: columns that are computed of others follow them."""
    changes, key = outcome.source, ways.comparison.key
    if updated is None:
        return outcome
    unlike = np.zeros(changes.after.num_rows, dtype=bool)
    made: dict[str, pa.Array] = {name: contiguous(changes.after.column(name)) for name in changes.schema.names}
    for name in updated.mapped.column_names:
        if name not in ways.comparison.compared or name in key:
            continue
        pair = made[name], contiguous(updated.mapped.column(name))
        mask = unequal(*pair, ways.comparison.tolerance.get(name), ways.comparison.meanings.get(name, "plain"))
        if mask is not None and mask.any():
            unlike |= mask
            made[name] = pc.if_else(pa.array(mask), pair[1].cast(pair[0].type), pair[0])
    if not unlike.any():
        return outcome
    after = pa.table(made, schema=changes.schema)
    rows = after.filter(pa.array(unlike))
    target = outcome.target
    stays = pa.array(~_held(target.after, rows, key))
    before = window.target.select(target.schema.names).take(pa.array(keys.match(rows, window.target, key)))
    agreed = outcome.base
    if agreed is not None:
        kept = agreed.filter(pa.array(~_held(agreed, rows, key)))
        agreed = pa.concat_tables([kept, rows.select(met_in_all(agreed).column_names)], promote_options="default")
    return replace(
        outcome,
        source=replace(changes, after=after),
        target=replace(
            target,
            before=pa.concat_tables([target.before.filter(stays), before]),
            after=pa.concat_tables([target.after.filter(stays), rows]),
        ),
        base=agreed,
    )


def _held(rows: pa.Table, some: pa.Table, key: Key) -> Mask:
    return keys.contained(rows, some, key) if rows.num_rows else np.zeros(0, dtype=bool)
