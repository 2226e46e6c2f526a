"""What both sides agree on once both plans are in, with the rows that a side did not take."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa

from adapters.ledger.ledger import Ledger
from adapters.store import archive, spill
from adapters.store.agreed import Agreement, Damaged, base_of, folder_of, read_part
from adapters.store.agreed_writing import Window, forget
from adapters.store.both_ways import Stretch, Wanted, pairs_of, stretches, unagreed, wanted_keys, wanted_of
from adapters.store.manifest import PlannedTable
from adapters.store.plans import Plan
from flows.apply.plan import AppliedPlan
from flows.apply.refused_rows import whys
from flows.bind.mirror import origins
from flows.bind.tables import BoundTable
from flows.plan.reading.windows import MOST_PARTS
from flows.plan.written import written_changes
from flows.session.agreed import agreement_of, cut_of, known_base, patch_base, replace_base
from flows.session.session import Session, with_binding
from flows.session.stores import store_of
from flows.spec.model import Spec
from transforms import keys
from transforms.both_ways import What, as_in_target, by_what, what_of
from transforms.mapping.rejections import encoded
from transforms.mapping.ways_back import WayBack
from transforms.reconcile import OVERRULED, Reconciled, agreed_after, left_open
from transforms.reconcile.records import conflict_schema
from transforms.vocabulary import SIDES, ChangeSet, Key, Notice, Reason, SideName, SpecError, TableName
from transforms.vocabulary.arrow import Mask
from transforms.vocabulary.unmet import UNMET, completed, with_marks

PATCH_BYTES: Final = 64 << 20
MOST_ROWS: Final = 4  # times as many rows as a window, from where on parts of a hash are cut anew
HELD: Final = what_of(Reason("referred"))
"""Of what a row stays that others refer to, or that was to be deleted while they do."""


@dataclass(frozen=True, slots=True)
class Missed:
    """Rows that a side did not take, by their keys in the target's shape: `changed` since they were planned, or `refused`, by what
    that is."""

    changed: pa.Table
    refused: tuple[tuple[pa.Table, What], ...] = ()

    @property
    def keys(self) -> pa.Table:
        return pa.concat_tables([self.changed, *(rows for rows, _ in self.refused)])


@dataclass(frozen=True, slots=True)
class AgreedTable:
    """A two-way table of a plan that is in: its windows, and what each side missed."""

    name: str
    table: TableName
    like: ChangeSet
    stretches: tuple[Stretch, ...]
    missed: Mapping[SideName, Missed]

    def window(self, plan: Plan, number: int) -> Wanted:
        return wanted_of(plan, self.table, number, self.like)

    def left(self, plan: Plan) -> pa.Table | None:
        """The rows that a side refused, as conflicts; None where there are none."""
        if not any(each.refused for each in self.missed.values()):
            return None
        found = []
        for each in self.stretches:
            if each.changed:
                found.append(_left_of(self.window(plan, each.window), self.missed))
        return pa.concat_tables(found) if found else None


def agreed_tables(
    session: Session, plans: Mapping[SideName, Plan], applied: Mapping[SideName, AppliedPlan]
) -> Iterator[AgreedTable]:
    """The two-way tables of both plans, which are in."""
    plan, entries = plans["target"], origins(session.bound)
    for planned in plan.manifest.tables:
        if planned.back is None:
            continue
        bound = session.bound.table(planned.name)
        none = bound.schema.empty_table()
        like = ChangeSet(planned.table, bound.key, bound.comparison.compared, none, none, none, none)
        windows = tuple(stretches(plan, planned.table))
        wanted = [(side, _wanted_keys(plan, planned.table, side, bound.key_schema, windows)) for side in SIDES]
        assert bound.two_way is not None, "it goes both ways"
        ways = bound.two_way.back.ways
        missed = {
            side: _missed(plans[side], name, ours, theirs, applied[side], ways if side == "source" else {})
            for (side, (ours, theirs)), name in zip(wanted, (entries[planned.name], planned.name), strict=True)
        }
        yield AgreedTable(planned.name, planned.table, like, windows, missed)


def replace_agreed(session: Session, ledger: Ledger, plan: Plan, known: AgreedTable) -> None:
    """Put what both sides agree on now into the store. Safe to repeat. Where it cannot be read any more, both sides are to meet anew.

    Memory: what changes in a window, or PATCH_BYTES, and a part.
    """
    changed = [each for each in known.stretches if each.changed]
    if not changed:
        return
    bound = session.bound.table(known.name)
    agreement = agreement_of(session, bound, bound.schema)
    if not any(each.whole for each in changed):
        try:
            _patch(session, ledger, plan, known, bound, agreement)
        except Damaged:
            forget(store_of(session.spec), session.spec.name, bound.shape.name)
        return

    def rows(stretch: Stretch) -> pa.Table | None:
        return _agreed(known.window(plan, stretch.window), known.missed, bound) if stretch.changed else None

    if bound.order:
        windows = (Window(each.start, rows(each)) for each in known.stretches)
        replace_base(session.spec, ledger, bound, agreement, cut_of(bound, 0), windows)
        return
    made = (part for part in map(rows, known.stretches) if part is not None)
    _replace_hashed(session, ledger, plan, bound, agreement, made, len(known.stretches))


def _replace_hashed(
    session: Session, ledger: Ledger, plan: Plan, bound: BoundTable, agreement: Agreement, rows: Iterable[pa.Table], parts: int
) -> None:  # fmt: skip
    """Put the base of a table without an order into so many parts. In: all its rows."""
    folder = plan.folder / "work" / "agreed"
    try:
        schema = pa.schema([*(each.with_nullable(True) for each in bound.schema), pa.field(UNMET, pa.string())])
        with spill.Spill(folder, schema, parts) as made:
            for each in rows:
                made.add(with_marks(each).cast(schema), keys.partition(each, bound.key, parts))
        hashed = (Window(None, spill.read_part(folder, part, schema)) for part in range(parts))
        replace_base(session.spec, ledger, bound, agreement, cut_of(bound, parts), hashed)
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _patch(
    session: Session, ledger: Ledger, plan: Plan, known: AgreedTable, bound: BoundTable, agreement: Agreement
) -> None:  # fmt: skip
    """Put what changes in some windows into the base. Errors: Damaged."""
    # it is not held to what the ledger has of it: whoever was killed here had put down the one and not the other
    base = base_of(store_of(session.spec), session.spec.name, bound.shape.name, agreement)
    waiting: list[tuple[pa.Table, pa.Table]] = []
    changed = [each for each in known.stretches if each.changed]
    for each in changed:
        wanted = known.window(plan, each.window)
        rows = _agreed(wanted, known.missed, bound)
        touched = [some.select(list(bound.key)) for some in (wanted.before, wanted.after) if some is not None]
        waiting.append((keys.distinct(pa.concat_tables([some.cast(bound.key_schema) for some in touched])), rows))
        if each is changed[-1] or sum(some.nbytes for pair in waiting for some in pair) > PATCH_BYTES:
            gone, put = (pa.concat_tables(some, promote_options="default") for some in zip(*waiting, strict=True))
            base = patch_base(session.spec, ledger, bound, base, gone, put)
            waiting.clear()
    if not bound.order and base.rows > MOST_ROWS * bound.window_rows * len(base.parts):
        parts = min(-(-base.rows // bound.window_rows), MOST_PARTS)
        rows_of_all = (read_part(base, number) for number in range(len(base.parts)))
        _replace_hashed(session, ledger, plan, bound, agreement, rows_of_all, parts)


def agree_again(plan: Plan, session: Session, ledger: Ledger) -> list[Notice]:
    """Once an undo has taken rows back, both sides agree on what they agreed on before them: what each side had done by then is to be
    brought over again, and is no wish to undo what the other had done. Safe to repeat.

    Out: that they meet anew, where the spec cannot be bound, or rows have another key by now, and nobody can say what they agree on.
    """
    again = list(unagreed(plan))
    if not again:
        return []
    try:
        session = with_binding(session)
    except SpecError:
        return forget_agreed(session.spec)
    two_way = {each.shape.name: each for each in session.bound.tables if each.two_way is not None}
    lost = list[Notice]()
    for table, gone, before in again:
        if (bound := two_way.get(table)) is None:
            continue
        found = known_base(session.spec, ledger, bound, agreement_of(session, bound, bound.schema))
        known = found.parts or found.other_key
        if known is not None and not set(known.agreement.key) <= set(gone.column_names):
            lost += forget_agreed(session.spec, [bound.name])  # the undone rows are told by another key
        elif known is not None:
            none = known.agreement.schema.empty_table()
            patch_base(session.spec, ledger, bound, known, gone, none if before is None else before)
    return lost


def forget_agreed(spec: Spec, names: Iterable[str] = ()) -> list[Notice]:
    """Forget what both sides agree on in some tables, or in all, where nobody can say it any more: they meet anew, which is what comes
    out."""
    lost = []
    for name in names or spec.tables:
        table = spec.target_table(name)
        if folder_of(store_of(spec), spec.name, table).exists():
            forget(store_of(spec), spec.name, table)
            lost.append(name)
    if not lost:
        return []
    text = f"What both sides agreed on in {', '.join(lost)} is not known any more: they meet anew, as `initial` says."
    return [Notice("base_lost", text, facts={"why": "forgotten"})]


def _agreed(wanted: Wanted, missed: Mapping[SideName, Missed], bound: BoundTable) -> pa.Table:
    """What is agreed on in a window, or of the rows of which it changes."""
    after = completed(wanted.after, bound.schema)
    before = None if wanted.before is None else completed(wanted.before, bound.schema)
    some = {side: each.keys for side, each in missed.items() if each.keys.num_rows}
    return agreed_after(_reconciled(wanted, after), before, some) if some else after


def _reconciled(wanted: Wanted, base: pa.Table) -> Reconciled:
    none = pa.table({})
    keyed = wanted.target.schema.empty_table().select(list(wanted.target.key))
    return Reconciled(wanted.source, wanted.target, none, OVERRULED.empty_table(), base, 0, keyed)


def _wanted_keys(
    plan: Plan, table: TableName, side: SideName, key: pa.Schema, windows: tuple[Stretch, ...]
) -> tuple[pa.Table, pa.Table]:
    """The keys of the rows that were to change on a side: in the target's shape, and, row by row, in that of the side."""
    if side == "source":
        pairs = pairs_of(plan, table, others=True)
        if pairs is None:
            return key.empty_table(), key.empty_table()
        return pairs.target.cast(key), pairs.source
    found = wanted_keys(plan, table, [each.window for each in windows if each.changed])
    keyed = pa.concat_tables([key.empty_table(), *(each.cast(key) for each in found)])
    return keyed, keyed


def _missed(
    plan: Plan, name: str, ours: pa.Table, theirs: pa.Table, applied: AppliedPlan, ways: Mapping[str, WayBack]
) -> Missed:
    """Which of the rows that were to change on a side did not. In: their keys, and as the side has them; of the source, how columns
    of the target go back to its own."""
    none = ours.slice(0, 0)
    if not ours.num_rows:
        return Missed(none)
    planned = next(each for each in plan.manifest.tables if each.name == name)
    if not _may_miss(plan, planned, ours.num_rows):
        return Missed(none)
    names = tuple(theirs.column_names)

    def mine(rows: pa.Table) -> Mask:
        return keys.contained(theirs, rows.select(list(names)).cast(theirs.schema), names)

    taken = np.zeros(ours.num_rows, dtype=bool)
    for changes in written_changes(plan, planned.table, ("applied", "refused")):
        for rows in (changes.inserts, changes.after, changes.deletes):
            if rows.num_rows:
                taken |= mine(rows)
    refused: list[tuple[pa.Table, What]] = []
    changed = np.zeros(ours.num_rows, dtype=bool)
    rest = ~taken
    for done in applied.done:
        if done.table == name and done.refused is not None and done.refused.num_rows:
            reasons, numbers = encoded(whys(done.refused))
            keyed = pa.Table.from_struct_array(done.refused["key"])
            since = np.isin(numbers, [at for at, each in enumerate(reasons) if each.code == "changed_meanwhile"])
            changed |= mine(keyed.filter(pa.array(since))) & rest
            rest &= ~changed
            for what, alike in by_what(what_of(as_in_target(each, ways)) for each in reasons).items():
                some = mine(keyed.filter(pa.array(np.isin(numbers, alike)))) & rest
                refused.append((ours.filter(pa.array(some)), what))
                rest &= ~some
    for done in applied.done:
        if done.table == name and done.conflicts is not None and done.conflicts.num_rows:
            changed |= mine(pa.Table.from_struct_array(done.conflicts["key"])) & rest
    rest &= ~changed
    if rest.any():  # the plan itself let them stay, since others refer to them
        refused.append((ours.filter(pa.array(rest)), HELD))
    return Missed(ours.filter(pa.array(changed)), tuple((rows, what) for rows, what in refused if rows.num_rows))


def _may_miss(plan: Plan, planned: PlannedTable, wanted: int) -> bool:
    """Whether a side may not have taken all rows; nothing is read where it has."""
    real = [entry for entry in plan.windows(planned.table) if entry.window not in planned.interim]
    if sum(sum(entry.counts.values()) for entry in real) != wanted:
        return True
    return any(archive.all_noted(plan.folder, kind, planned.table) for kind in ("applied", "refused"))


def _left_of(wanted: Wanted, missed: Mapping[SideName, Missed]) -> pa.Table:
    """The rows of a window that a side refused, as conflicts."""
    key = wanted.target.key
    target = _as_they_are(wanted.target, wanted.source, key)
    source = _as_they_are(wanted.source, wanted.target, key)
    none = conflict_schema(wanted.target.schema).empty_table()
    found = replace(_reconciled(wanted, wanted.after), base=None, conflicts=none)
    mine = pa.concat_tables([target.select(list(key)), source.select(list(key))])
    seen = mine.slice(0, 0)
    for side in reversed(SIDES):  # what the source went without since the target did is refused by the target
        for rows, (kind, columns) in missed[side].refused:
            some = rows.filter(pa.array(keys.contained(rows, mine, key))) if mine.num_rows else rows.slice(0, 0)
            if seen.num_rows and some.num_rows:
                some = some.filter(pa.array(~keys.contained(some, seen, key)))
            if some.num_rows:
                before = wanted.before
                found = left_open(found, some, kind, columns, before, source, target)
                seen = pa.concat_tables([seen, some])
    return found.conflicts


def _as_they_are(own: ChangeSet, other: ChangeSet, key: Key) -> pa.Table:
    """The rows of a side that are to change on one of both, as they are before: where only the other side was to change, they are as
    that one was to become."""
    here = pa.concat_tables([own.before, own.deletes])
    mine = pa.concat_tables([here.select(list(key)), own.inserts.select(list(key))])
    there = pa.concat_tables([other.after, other.inserts])
    if mine.num_rows and there.num_rows:
        there = there.filter(pa.array(~keys.contained(there, mine, key)))
    return pa.concat_tables([here, there])
