"""One window of a two-way table, planned: both change sets, and what both sides agree on once they are in."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters import interrupts
from adapters.store import archive, spill
from adapters.store.agreed import Parts
from adapters.store.both_ways import Stretch, Wanted, add_wanted
from adapters.store.plan_files import FileEntry
from adapters.store.plans import PlanWriter
from flows.bind.tables import BoundTable
from flows.plan.decide import SAMPLES, Planned, samples
from flows.plan.lookups.own_rows import back_rows, renamed_rows
from flows.plan.reading.refusals import refused_rows
from flows.plan.reading.sifting import sifted
from flows.plan.reading.window_reader import PlanWork, Window, base_folder, created_file, lookup_rows, rejected_file
from flows.plan.two_way.edits import write_edits
from flows.plan.two_way.leaving import Left, joined, left_in_source, left_on_both, with_left_in_target
from flows.plan.two_way.numbered import with_numbers
from flows.plan.two_way.reading import Read, aligned, read_both
from flows.plan.two_way.soft_deletes import as_written, living, with_flag
from flows.session.route import Route
from flows.session.session import Job, Session
from transforms import keys
from transforms.both_ways import BothSides, BothWays, Decided, OnSource, decide
from transforms.diff import changed_rows
from transforms.expressions import as_json_keys
from transforms.mapping.mapping import Mapped
from transforms.mapping.rejections import encoded, listed
from transforms.reconcile import Reconciled, prospects, weighed
from transforms.vocabulary import AccountingError, ChangeSet, Counts, Reason, SideName
from transforms.vocabulary.arrow import Indices, Mask, contiguous
from transforms.vocabulary.unmet import UNMET, with_marks
from transforms.vocabulary.values import unequal


@dataclass(frozen=True, slots=True)
class End:
    """What plans of one side are made with: its session, whose binding is of that side, and its job."""

    session: Session
    job: Job

    def route(self, name: str) -> Route:
        return self.session.route(self.job, name)


@dataclass(frozen=True, slots=True)
class BothPlanned:
    """A window of both plans. `beside` are files of the target's plan that say what is agreed on, left open and overruled."""

    target: Planned
    source: Planned
    beside: tuple[FileEntry, ...]
    stretch: Stretch
    open: int = 0
    overruled: int = 0
    merged: int = 0
    meeting: Mapping[str, Mapping[str, int]] = field(default_factory=dict)
    outdated: tuple[str, ...] = ()


def plan_window(
    ends: Mapping[SideName, End],
    route: Route,
    work: PlanWork,
    window: Window,
    known: Parts | None,
    *,
    keeps_source: bool,
    decided_by_people: pa.Table,
) -> BothPlanned:
    """Plan a window of both sides. Safe to repeat: files are written anew.

    In: the route to the target, which reads what is written back, too. `keeps_source`: what is read of the source is the beginning of
        its history.
    """
    interrupts.check()
    target, source = ends["target"], ends["source"]
    session, bound = target.session, route.table
    back_route = source.route(bound.name)
    there = back_route.table
    read = read_both(session, route, work, window, known)
    there_now, flagged = living(bound, read.found)
    read = with_left_in_target(route, replace(read, found=there_now))
    read = replace(read, found=living(bound, read.found)[0])
    left = left_in_source(route, work, read)
    source_rows = read.mapped.rows.num_rows + read.mapped.rejected.num_rows + (left.rows.num_rows if left else 0)
    every = pa.concat_tables([read.found, flagged])
    mapped, every, double = sifted(session, route, read.mapped, every, read.outside, read.kept)
    found, flagged = living(bound, every)
    mapped, raw = joined(mapped, aligned(read.raw, read.mapped.rows, mapped.rows, bound), left)
    aside = pa.concat_tables([_aside(bound, mapped, read, double, left), left_on_both(route, work, read)])

    def refusals(side: SideName, changes: ChangeSet) -> Mapping[int, Reason]:
        end = ends[side]
        return refused_rows(end.session, end.job, route if side == "target" else back_route, changes)

    lacking = read.lacking
    if lacking.num_rows:  # the rest of them was set aside after all
        lacking = lacking.filter(pa.array(keys.contained(lacking, mapped.rows, bound.key)))
    numbered = with_flag(bound, with_numbers(session, work.job, bound, mapped.rows, every, read.base))
    rows = BothSides(read.base, _with_clock(bound, numbered, raw), raw, found, aside, lacking)
    ways = ways_of(bound, there, work)
    decisions, outdated = None, list[str]()
    if decided_by_people.num_rows:
        known_rows = weighed(decided_by_people, rows.base, rows.source, rows.target, bound.key)
        fitting = known_rows.met.filter(pc.invert(pc.is_in(known_rows.met, value_set=known_rows.outdated)))
        rows, decisions = replace(rows, base=known_rows.base, decided=fitting), known_rows.decisions
        outdated = known_rows.outdated.to_pylist()
    decided = decide(rows, ways, refusals, decisions)
    outcome = decided.outcome
    meeting: dict[str, dict[str, int]] = {}
    if outcome.base is None:
        outcome, meeting = _met(rows, ways, outcome)
        decided = replace(decided, outcome=outcome)
    _must_account(bound, window.number, rows, outcome)
    written = as_written(bound, outcome.target, flagged, work.job.at)
    session.watch.decided(bound.name, window.number, mapped, every, written)
    number = window.number
    _note_created(ends, bound.name, number, rows, outcome)
    if work.base and every.num_rows:
        archive.write_base(base_folder(target.job, bound.shape.name), number, every)
    if keeps_source and raw.num_rows:
        archive.write_base(base_folder(source.job, there.shape.name), number, raw.select(there.schema.names))
    anew = rows.base is None or (known is not None and known.elsewhere)
    writer, beside = PlanWriter(Path(target.job.folder), begun=True), list[FileEntry]()
    agreed = None if outcome.base is None else _agreed(rows.base, outcome.base, outcome, bound, whole=anew)
    if agreed is not None:
        pairs = _keys_of(outcome.source), _keys_of(decided.back)
        beside += add_wanted(writer, number, Wanted(outcome.source, outcome.target, *agreed, pairs))
    if outcome.conflicts.num_rows:
        beside.append(
            writer.add_rows("open", bound.shape.name, number, outcome.conflicts, {"open": outcome.conflicts.num_rows})
        )
    lost = outcome.overruled.filter(pc.not_equal(outcome.overruled["rule"], "clock"))
    if outcome.overruled.num_rows and session.spec.history(bound.name) == "full":
        count = outcome.overruled.num_rows
        beside.append(writer.add_rows("overruled", bound.shape.name, number, outcome.overruled, {"overruled": count}))
    if outcome.base is not None and session.spec.history(bound.name) == "full":
        sides: tuple[tuple[SideName, bool], ...] = (("target", work.base), ("source", keeps_source))
        begins = frozenset(side for side, begun in sides if begun)
        with_flags = replace(ways, comparison=replace(ways.comparison, compared=bound.comparison.compared))
        beside += write_edits(writer, number, replace(rows, target=every), outcome, agreed, with_flags, begins)
    session.meter.advance(bound.name, "plan", max(source_rows, every.num_rows))
    kept = int(keys.contained(found, aside, bound.key).sum()) if found.num_rows and aside.num_rows else 0
    stay = flagged.num_rows - (outcome.target.inserts.num_rows - written.inserts.num_rows)
    unproved = {why: n for why, n in (("quarantined", kept), ("flagged", stay), ("double_key", double.num_rows)) if n}
    counts = _counts(outcome, written, source_rows, mapped, every.num_rows + double.num_rows, sum(unproved.values()))
    return BothPlanned(
        _planned(target, bound, number, written, counts, mapped, work, unproved),
        _planned(source, there, number, decided.back, _back_counts(decided, raw), None, work, {}),
        tuple(beside),
        Stretch(number, window.found.start if window.part is None else None, agreed is not None, anew),
        outcome.conflicts.num_rows,
        len(pc.unique(lost["key"])),
        outcome.merged.num_rows,
        meeting,
        tuple(outdated),
    )


def _met(rows: BothSides, ways: BothWays, outcome: Reconciled) -> tuple[Reconciled, dict[str, dict[str, int]]]:
    """What each way to meet would do, where both sides meet for the first time and are only looked at. Sides that are equal have met."""
    source, target = (
        side.filter(pa.array(~keys.contained(side, rows.aside, ways.comparison.key)))
        if rows.aside is not None and rows.aside.num_rows and side.num_rows
        else side
        for side in (rows.source, rows.target)
    )
    choices = prospects(ways.table, source, target, ways.comparison, ways.policy)
    policy = choices["source"]
    if not (len(policy.source) or len(policy.target)):
        return replace(outcome, base=policy.base), {}
    return outcome, {name: _would(each) for name, each in choices.items()}


def _would(made: Reconciled) -> dict[str, int]:
    counts = {str(op): count for op, count in made.target.counts.items()}
    back = {f"back_{op}": count for op, count in made.source.counts.items()}
    return {**counts, **back, "conflicts": made.conflicts.num_rows}


def ways_of(bound: BoundTable, there: BoundTable, work: PlanWork) -> BothWays:
    """How a table goes both ways. In: the table, and the source's as it is written."""
    two_way = bound.two_way
    assert two_way is not None, "the table goes both ways"
    on_source = OnSource(there.shape.name, there.key, there.schema, there.comparison.compared, two_way.given)
    back = two_way.back
    if bound.lookups:
        lookups = lookup_rows(bound, work.job) | back_rows(bound, work.job)
        back = replace(back, lookups=lookups, renamed=renamed_rows(bound, work.job))
    return BothWays(bound.shape.name, two_way.comparison, two_way.policy, back, on_source)


def _with_clock(bound: BoundTable, rows: pa.Table, raw: pa.Table) -> pa.Table:
    """The mapped rows with the source's clock, where that is no column of them."""
    clock = bound.two_way.policy.clock if bound.two_way is not None else None
    if clock is None or clock.source in rows.column_names:
        return rows
    return rows.append_column(clock.source, raw.column(clock.source))


def _aside(bound: BoundTable, mapped: Mapped, read: Read, double: pa.Table, left: Left | None) -> pa.Table:
    """The keys of rows that nothing is known of on some side."""
    key = list(bound.key)
    parts = [keys.without_null_keys(mapped.rejected_rows.select(key), bound.key), double.select(key)]
    if read.kept is not None:
        parts.append(read.kept.select(key))
    if left is not None:
        parts.append(left.aside)
    return pa.concat_tables([part.cast(bound.key_schema) for part in parts])


def _note_created(ends: Mapping[SideName, End], table: str, window: int, rows: BothSides, outcome: Reconciled) -> None:
    """Write down the rows that both sides created, each in its own way, as either side has them."""
    found = outcome.conflicts
    twice = pc.and_(pc.and_(pc.is_null(found["base"]), pc.is_valid(found["source"])), pc.is_valid(found["target"]))
    key, some = list(outcome.target.key), found["target"].filter(twice)
    keyed = pa.Table.from_struct_array(some).select(key) if len(some) else None
    sides: tuple[tuple[SideName, pa.Table, pa.Table], ...] = (
        ("target", rows.target, rows.target), ("source", rows.source, rows.raw),
    )  # fmt: skip
    for side, mapped, own in sides:
        path = created_file(ends[side].job, table, window)
        path.unlink(missing_ok=True)
        if keyed is not None:
            here = own.filter(pa.array(keys.contained(mapped, keyed, outcome.target.key)))
            spill.write_rows(path, [here], here.schema)


def _must_account(bound: BoundTable, number: int, rows: BothSides, outcome: Reconciled) -> None:
    """AccountingError where a row that one side alone has is neither brought to the other side, nor deleted, nor left open."""
    if outcome.base is None:
        return
    one, other = (
        each.filter(pa.array(~keys.contained(each, rows.aside, bound.key)))
        if rows.aside is not None and each.num_rows
        else each
        for each in (rows.source.select(list(bound.key)), rows.target.select(list(bound.key)))
    )
    met = int((keys.match(one, other, bound.key) >= 0).sum())
    here, there = (pc.is_valid(outcome.conflicts[name]) for name in ("source", "target"))
    alone = (pc.sum(pc.and_not(here, there)).as_py() or 0, pc.sum(pc.and_not(there, here)).as_py() or 0)
    known = (
        outcome.target.inserts.num_rows + outcome.source.deletes.num_rows + alone[0],
        outcome.source.inserts.num_rows + outcome.target.deletes.num_rows + alone[1],
    )
    if (one.num_rows - met, other.num_rows - met) != known:
        raise AccountingError(
            f"{bound.name} window {number}: {one.num_rows - met} rows are on the source alone and {other.num_rows - met} on the target "
            f"alone, and {known[0]} and {known[1]} are accounted for. Nothing was written. This is a defect: please report it."
        )


def _agreed(
    base: pa.Table | None, agreed: pa.Table, outcome: Reconciled, bound: BoundTable, *, whole: bool
) -> tuple[pa.Table | None, pa.Table] | None:
    """What both sides agreed on before and agree on now, of the rows that are to change on a side or of which they agree on something
    else, in whatever column; or all rows, where the whole is written. None where there are none."""
    if base is None:
        return None, agreed
    if UNMET in base.column_names or UNMET in agreed.column_names:
        base, agreed = with_marks(base), with_marks(agreed)
    old = base.select(agreed.column_names)
    if whole:
        return old, agreed
    touched = pa.concat_tables([_keys_of(outcome.source), _keys_of(outcome.target)])
    place = keys.match(agreed, old, bound.key)
    known = np.flatnonzero(place >= 0)
    now = keys.contained(agreed, touched, bound.key) | (place < 0)
    now[known] |= _unlike(agreed, old, known, place[known])
    before = keys.contained(old, touched, bound.key)
    gone = np.ones(old.num_rows, dtype=bool)
    gone[place[known]] = False
    before[place[now & (place >= 0)]] = True
    before |= gone
    if not now.any() and not before.any():
        return None
    return old.filter(pa.array(before)), agreed.filter(pa.array(now))


def _unlike(rows: pa.Table, others: pa.Table, at: Indices, there: Indices) -> Mask:
    """Which rows are not as others. In: where either are."""
    if len(at) != rows.num_rows:
        rows = rows.take(pa.array(at))
    if len(there) != others.num_rows or not np.array_equal(there, np.arange(len(there))):
        others = others.take(pa.array(there))
    unlike = np.zeros(len(at), dtype=bool)
    for name in rows.column_names:
        mask = unequal(contiguous(rows.column(name)), contiguous(others.column(name)))
        if mask is not None:
            unlike |= mask
    return unlike


def _keys_of(changes: ChangeSet) -> pa.Table:
    """The keys of the rows of a change set: inserts, updates, deletes."""
    key = list(changes.key)
    return pa.concat_tables(
        [each.select(key) for each in (changes.inserts, changes.after, changes.deletes)]
    ).combine_chunks()


def _counts(
    outcome: Reconciled, written: ChangeSet, source_rows: int, mapped: Mapped, target_rows: int, unproved: int
) -> Counts:
    """What becomes of the source's rows in the target. Law: source_rows = insert + update + unchanged + quarantined + the rows in
    conflict that the source has + the rows that go from the source."""
    target, rejected = outcome.target, mapped.rejected.num_rows
    insert = written.inserts.num_rows
    update = target.after.num_rows + target.inserts.num_rows - insert
    here = pc.sum(pc.is_valid(outcome.conflicts["source"])).as_py() or 0
    unchanged = source_rows - rejected - insert - update - here - outcome.source.deletes.num_rows
    return Counts(
        source_rows=source_rows,
        target_rows=target_rows,
        insert=insert,
        update=update,
        delete=target.deletes.num_rows,
        unchanged=unchanged,
        quarantined=rejected,
        conflicts=outcome.conflicts.num_rows,
        unproved=unproved,
    )


def _back_counts(decided: Decided, raw: pa.Table) -> Counts:
    back = decided.back
    insert, update, delete = back.inserts.num_rows, back.after.num_rows, back.deletes.num_rows
    unchanged = raw.num_rows - update - delete
    return Counts(insert + update + unchanged, raw.num_rows, insert, update, delete, unchanged)


def _planned(
    end: End,
    bound: BoundTable,
    number: int,
    changes: ChangeSet,
    counts: Counts,
    mapped: Mapped | None,
    work: PlanWork,
    unproved: Mapping[str, int],
) -> Planned:
    """A window of one side, written down."""
    session, writer = end.session, PlanWriter(Path(end.job.folder), begun=True)
    entry = writer.add(number, changes) if len(changes) else None
    if entry is not None:
        session.changes.keep(bound.name, number, changes)
    aside, reasons = None, dict[Reason, int]()
    if mapped is not None and mapped.rejected.num_rows:
        found, numbers = encoded(mapped.rejected.column("why"))
        reasons = dict(zip(found, np.bincount(numbers).tolist(), strict=True))
        aside = writer.add_quarantine(number, bound.shape.name, listed(mapped.rejected))
        if work.looked_up and mapped.rejected_rows.num_rows:
            path = rejected_file(end.job, bound.name, number)
            spill.write_rows(path, [mapped.rejected_rows], mapped.rejected_rows.schema)
    released = None
    if mapped is not None and work.listed and mapped.rows.num_rows:
        released = writer.add_mapped(number, bound.shape.name, as_json_keys(mapped.rows, bound.key))
    _, differing = changed_rows(changes.after, changes.before, bound.comparison)
    return Planned(
        bound.name,
        number,
        counts,
        entry,
        aside,
        released,
        clear=False,
        differing={name: rows for name, rows in differing.items() if rows},
        reasons=reasons,
        mended=mapped.mended if mapped is not None else {},
        samples=samples(changes) if len(changes) and session.samples.wanted(bound.name, SAMPLES) else (),
        unproved=unproved,  # type: ignore[arg-type]
    )
