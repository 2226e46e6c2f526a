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
from flows.plan.reading.window_reader import PlanWork, Window, base_folder, created_file, rejected_file
from flows.plan.two_way.bringing import Bringing, End, ways_of
from flows.plan.two_way.edits import write_edits
from flows.plan.two_way.origins import Origin
from flows.plan.two_way.reading import read_both
from flows.plan.two_way.seen import Place
from flows.plan.two_way.sharing import alone, among_others, as_read
from flows.plan.two_way.soft_deletes import as_written
from flows.session.route import Route
from transforms import keys
from transforms.both_ways import BothSides
from transforms.diff import changed_rows
from transforms.expressions import as_json_keys
from transforms.mapping.mapping import Mapped
from transforms.mapping.rejections import encoded, listed
from transforms.reconcile import Reconciled
from transforms.vocabulary import ChangeSet, Counts, Reason, SideName
from transforms.vocabulary.arrow import Indices, Mask, contiguous
from transforms.vocabulary.unmet import UNMET, with_marks
from transforms.vocabulary.values import unequal


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
    origin: Origin | None,
    parts: int,
) -> BothPlanned:
    """Plan a window of both sides. Safe to repeat: files are written anew.

    In: the route to the target, which reads what is written back, too. `keeps_source`: what is read of the source is the beginning of
        its history. `origin`: what it is made of, where other tables of the plan are, too. `parts`: how many windows there are.
    """
    interrupts.check()
    target, source = ends["target"], ends["source"]
    session, bound = target.session, route.table
    there, number = source.route(bound.name).table, window.number
    bringing = Bringing(ends, route, work, ways_of(bound, there, work), decided_by_people)
    read = read_both(session, route, work, window, known)
    if origin is None:
        made = bringing.together(number, read)
        back, number_there = alone(made, bound, there), number
    else:
        made, back = among_others(origin, bringing, Place(session, route, work, window, parts), read)
        number_there = origin.number(bound.name, number)
    rows, outcome, mapped, every = made.rows, made.decided.outcome, made.mapped, made.every
    written = as_written(bound, outcome.target, made.flagged, work.job.at)
    session.watch.decided(bound.name, number, mapped, every, written)
    raw = as_read(made, bound).raw
    assert rows.aside is not None, "what was set aside is known"
    _note_created(ends, bound.name, number, number_there, rows, outcome)
    if work.base and every.num_rows:
        archive.write_base(base_folder(target.job, bound.shape.name), number, every)
    if keeps_source and raw.num_rows:
        archive.write_base(base_folder(source.job, there.shape.name), number_there, raw.select(there.schema.names))
    anew = rows.base is None or (known is not None and known.elsewhere)
    writer, beside = PlanWriter(Path(target.job.folder), begun=True), list[FileEntry]()
    agreed = None if outcome.base is None else _agreed(rows.base, outcome.base, outcome, bound, whole=anew)
    if agreed is not None:
        beside += add_wanted(writer, number, Wanted(outcome.source, outcome.target, *agreed, back.own, back.others))
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
        ways, known_rows = bringing.ways, replace(as_read(made, bound), target=every)
        with_flags = replace(ways, comparison=replace(ways.comparison, compared=bound.comparison.compared))
        beside += write_edits(writer, number, known_rows, outcome, agreed, with_flags, begins)
    session.meter.advance(bound.name, "plan", max(made.source_rows, every.num_rows))
    aside, double = rows.aside, made.double.num_rows
    kept = int(keys.contained(rows.target, aside, bound.key).sum()) if rows.target.num_rows and aside.num_rows else 0
    stay = made.flagged.num_rows - (outcome.target.inserts.num_rows - written.inserts.num_rows)
    unproved = {why: n for why, n in (("quarantined", kept), ("flagged", stay), ("double_key", double)) if n}
    counts = _counts(outcome, written, made.source_rows, mapped, every.num_rows + double, sum(unproved.values()))
    return BothPlanned(
        _planned(target, bound, number, written, counts, mapped, work, unproved),
        _planned(source, there, number_there, back.changes, _back_counts(back.changes, raw), None, work, {}),
        tuple(beside),
        Stretch(number, window.found.start if window.part is None else None, agreed is not None, anew),
        outcome.conflicts.num_rows,
        len(pc.unique(lost["key"])),
        outcome.merged.num_rows,
        made.meeting,
        made.outdated,
    )


def _note_created(
    ends: Mapping[SideName, End], table: str, window: int, there: int, rows: BothSides, outcome: Reconciled
) -> None:  # fmt: skip
    """Write down the rows that both sides created, each in its own way, as either side has them."""
    found = outcome.conflicts
    twice = pc.and_(pc.and_(pc.is_null(found["base"]), pc.is_valid(found["source"])), pc.is_valid(found["target"]))
    key, some = list(outcome.target.key), found["target"].filter(twice)
    keyed = pa.Table.from_struct_array(some).select(key) if len(some) else None
    sides: tuple[tuple[SideName, pa.Table, pa.Table], ...] = (
        ("target", rows.target, rows.target), ("source", rows.source, rows.raw),
    )  # fmt: skip
    for side, mapped, own in sides:
        path = created_file(ends[side].job, ends[side].entry(table), window if side == "target" else there)
        path.unlink(missing_ok=True)
        if keyed is not None:
            here = own.filter(pa.array(keys.contained(mapped, keyed, outcome.target.key)))
            spill.write_rows(path, [here], here.schema)


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


def _back_counts(back: ChangeSet, raw: pa.Table) -> Counts:
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
    compared = tuple(name for name in bound.comparison.compared if name in changes.schema.names)
    _, differing = changed_rows(changes.after, changes.before, replace(bound.comparison, compared=compared))
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
