"""Plan windows: read both sides, map, diff, and write the changes down. Nothing is written to the target."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from adapters import interrupts
from adapters.store import archive, plan_files, plans, spill
from adapters.store.plan_files import FileEntry
from adapters.store.seals import Proof, Seal
from flows.bind.tables import BoundTable
from flows.plan.lookups.numbers import number_of
from flows.plan.reading.owns import keys_outside
from flows.plan.reading.refusals import without_refused
from flows.plan.reading.sealing import seal
from flows.plan.reading.sifting import sifted
from flows.plan.reading.unproved import counted, first_keys, uncompared
from flows.plan.reading.waiting import waiting
from flows.plan.reading.window_reader import (
    PlanWork,
    Window,
    base_folder,
    read_found,
    read_wanted,
    rejected_file,
    spill_folder,
)
from flows.plan.totals import tally
from flows.plan.two_way.held import hold_window
from flows.session.route import Route
from flows.session.session import Job, Session, session_of
from transforms import expressions, keys
from transforms.diff import Difference, diff
from transforms.mapping.mapping import REJECTED, Mapped
from transforms.mapping.origins import without_origin
from transforms.mapping.rejections import encoded, listed
from transforms.range_filter import all_inside, touching
from transforms.reconcile.held import Held
from transforms.vocabulary import (
    AccountingError,
    All,
    Broken,
    ChangeSet,
    ColumnRange,
    Counts,
    Reason,
    Sample,
    Tally,
    Why,
)
from transforms.vocabulary.texts import as_text

SAMPLES = 10  # changes of each kind that a table shows
KEYS = 3  # keys that a message names


@dataclass(frozen=True, slots=True)
class Planned:
    """What planning a window found. `clear` says that no row of the target was in the window's range."""

    table: str
    window: int
    counts: Counts
    changes: FileEntry | None
    quarantine: FileEntry | None
    mapped: FileEntry | None
    clear: bool
    differing: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[Reason, int] = field(default_factory=dict)
    mended: Mapping[Reason, int] = field(default_factory=dict)
    samples: tuple[Sample, ...] = ()
    broken: tuple[Broken, ...] = ()
    tally: Tally = field(default_factory=Tally)
    unproved: Mapping[Why, int] = field(default_factory=dict)
    waiting: int = 0  # rows that were set aside for what other tables lack
    first: bool = False  # it comes before all else
    late: int | None = None  # its place among those that come behind the others of the table, one after the other
    level: int = 0  # above 0 it comes behind all those, in turn with the same level of other tables
    completing: bool = False  # it comes behind the inserts and updates of all tables
    interim: bool = False  # steps of rows whose real change, which counts, is in another window
    held: Held | None = None  # of a table that goes both ways, in a verification
    seal: Seal | None = None  # of a table whose windows are sealed: under what, where nothing is to do
    sealed: bool = False  # it was not read: both sides are as they were when it was sealed
    double: tuple[str, ...] = ()  # the first keys that several rows of the target have, as JSON


def plan_windows(work: PlanWork) -> tuple[Planned, ...]:
    """Plan each window of the work. Safe to repeat: files are written anew."""
    session = session_of(work.job)
    return tuple(_plan_window(session, work, window) for window in work.windows)


def _plan_window(session: Session, work: PlanWork, window: Window) -> Planned:
    interrupts.check()
    route = session.route(work.job, work.table)
    bound = route.table
    kept: pa.Table | None = None
    if window.part is None:
        mapped = read_wanted(route, work, window, session.watch)
        found = read_found(route, work, window)
        outside = keys_outside(route, work, window.found, bound.order)
    else:
        folder = spill_folder(work.job, work.table)
        wanted = spill.read_part(folder / "wanted", window.part, bound.mapped_schema)
        kept = spill.read_part(folder / "kept", window.part, bound.kept_schema)
        found = spill.read_part(folder / "found", window.part, bound.schema)
        outside = spill.read_part(folder / "outside", window.part, bound.key_schema)
        mapped = Mapped(wanted, REJECTED.empty_table(), wanted.slice(0, 0))
    if bound.soft is not None and bound.two_way is not None:  # people make such rows, and nobody clears their flags
        found = bound.soft.filled(found)
    source_rows = mapped.rows.num_rows + mapped.rejected.num_rows
    mapped, found, double = sifted(session, route, mapped, found, outside, kept)
    planned = decide(session, route, work, WindowRows(window.number, mapped, found, source_rows, kept, double))
    if work.sealing and window.part is None:
        return replace(planned, seal=seal(route, window, _proof(planned)))
    if not work.job.proof or bound.two_way is None or not isinstance(work.selection, All):
        return planned
    apart = None if planned.changes is None else read_changes(work.job, planned.changes)
    return replace(planned, held=hold_window(session, session.bound.table(bound.name), mapped, found, kept, apart))


def _proof(planned: Planned) -> Proof | None:
    """What a window is sealed with; None where anything is to do in it, or to be told of it each time."""
    counts = planned.counts
    quiet = Counts(source_rows=counts.unchanged, target_rows=counts.unchanged, unchanged=counts.unchanged)
    told = (
        planned.changes or planned.quarantine or planned.mapped or planned.waiting or planned.double or planned.broken
    )
    return None if counts != quiet or told else Proof(counts.unchanged, planned.tally, planned.mended)


@dataclass(frozen=True, slots=True)
class WindowRows:
    """A window as both sides are read: `source_rows` rows came to those that are `mapped`, and `found` are the target's.

    `kept` holds keys of rows that were set aside earlier, `double` rows of the target whose key is not theirs alone.
    """

    number: int
    mapped: Mapped
    found: pa.Table
    source_rows: int
    kept: pa.Table | None = None
    double: pa.Table | None = None


def decide(session: Session, route: Route, work: PlanWork, read: WindowRows) -> Planned:
    """Diff one window and write its changes and its quarantine to the plan's folder."""
    bound, number, mapped, found, kept = route.table, read.number, read.mapped, read.found, read.kept
    wanted, keep, result = _difference(session, work, bound, mapped, found, kept)
    accepted = without_refused(session, work.job, route, number, mapped, result.changes)
    if accepted is not None:
        mapped = accepted
        session.numbers.give_back(bound.name, result.changes.inserts.num_rows)  # the others are numbered anew
        wanted, keep, result = _difference(session, work, bound, mapped, found, kept)
    if work.base and found.num_rows:
        base = base_folder(work.job, bound.shape.name)
        archive.write_base(base, number, found)
    told = result.changes.inserts.num_rows + result.changes.after.num_rows + result.unchanged
    if read.source_rows != told + mapped.rejected.num_rows:
        raise AccountingError(
            f"{bound.name} window {number}: {read.source_rows} rows were read, and {told} + {mapped.rejected.num_rows} accounted "
            f"for. Nothing was written. This is a defect: please report it."
        )
    changes, flagged = _softened(result.changes, bound, work)
    double = found.slice(0, 0) if read.double is None else read.double
    rest = uncompared(bound, wanted, found, result.changes, result.unchanged)
    ranges = tuple(wanted for wanted in work.ranges if wanted.column not in bound.key)
    if ranges:
        changes = touching(ranges, changes)
        mapped = _rejected_inside(mapped, ranges)
    session.watch.decided(bound.name, number, mapped, found, changes)
    seen = [each.filter(pa.array(all_inside(each, ranges))) if ranges else each for each in (rest, double, flagged)]
    unproved = counted(bound, seen[0], double=seen[1], flagged=seen[2], held=keep)
    counts = _counts(bound, ranges, mapped, changes, found, result.unchanged)
    counts = replace(counts, target_rows=counts.target_rows + seen[1].num_rows, unproved=sum(unproved.values()))
    writer = plans.PlanWriter(Path(work.job.folder), begun=True)
    entry = writer.add(number, changes) if len(changes) else None
    if entry is not None:
        session.changes.keep(bound.name, number, changes)
    reasons, numbers = encoded(mapped.rejected.column("why"))
    aside = writer.add_quarantine(number, bound.shape.name, listed(mapped.rejected)) if reasons else None
    released: FileEntry | None = None
    if work.listed and mapped.rows.num_rows:
        within = mapped.rows.filter(pa.array(all_inside(mapped.rows, ranges))) if ranges else mapped.rows
        released = writer.add_mapped(number, bound.shape.name, expressions.as_json_keys(within, bound.key))
    if work.looked_up and mapped.rejected_rows.num_rows:
        path = rejected_file(work.job, bound.name, number)
        spill.write_rows(path, [mapped.rejected_rows], mapped.rejected_rows.schema)
    session.meter.advance(bound.name, "plan", max(counts.source_rows, counts.target_rows))
    return Planned(
        bound.name,
        number,
        counts,
        entry,
        aside,
        released,
        clear=found.num_rows == 0 and bound.owns is None,
        differing=dict(result.differing),
        reasons=dict(zip(reasons, np.bincount(numbers).tolist(), strict=True)) if reasons else {},
        mended=mapped.mended,
        samples=samples(changes) if len(changes) and session.samples.wanted(bound.name, SAMPLES) else (),
        broken=tuple(_broken(bound, changes)) if len(changes) else (),
        tally=tally(
            bound,
            wanted,
            pa.concat_tables([found, double]),
            [rest, double, *([result.changes.deletes] if bound.soft else [])],
            changed=len(changes) > 0,
            proof=work.job.proof or (work.sealing and not len(changes)),
        )
        if session.spec.checkpoint(bound.name).reconcile
        else Tally(),
        unproved=unproved,
        waiting=waiting(bound, reasons, numbers),
        double=first_keys(bound, double, KEYS),
    )


def _difference(
    session: Session, work: PlanWork, bound: BoundTable, mapped: Mapped, found: pa.Table, kept: pa.Table | None
) -> tuple[pa.Table, pa.Table, Difference]:
    """The wanted rows, the keys of rejected ones, whose rows in the target stay as they are, and what turns those that
    were found into those that are wanted."""
    keep = keys.without_null_keys(mapped.rejected_rows.select(list(bound.key)), bound.key)
    if kept is not None and kept.num_rows:
        keep = pa.concat_tables([keep, kept.select(list(bound.key))])
    numbered = {bound.identity: number_of(session, work.job, bound)} if bound.identity else {}
    wanted = without_origin(mapped.rows)
    wanted = wanted if bound.soft is None else bound.soft.marked(wanted)
    delete = bound.delete != "ignore" and work.selection.covers
    result = diff(bound.shape.name, wanted, found, bound.comparison, keep=keep, delete=delete, numbered=numbered)
    return wanted, keep, result


def written_rows(bound: BoundTable, changes: ChangeSet) -> pa.Table:
    """The rows of a change set as they will be in the target: inserted or updated, and not flagged as deleted."""
    after = changes.after
    if bound.soft is not None:
        after = after.filter(pa.array(~bound.soft.flagged(after)))
    return pa.concat_tables([changes.inserts, after])


def _broken(bound: BoundTable, changes: ChangeSet) -> Iterator[Broken]:
    if not bound.checks.watched:
        return
    rows = written_rows(bound, changes)
    for check in bound.checks.watched:
        bad = rows.filter(pa.array(check.failing(rows)))
        if bad.num_rows:
            first = expressions.as_json_keys(bad.slice(0, KEYS), bound.key)
            yield Broken(check.rule.number, bad.num_rows, tuple(first.to_pylist()))


def read_changes(job: Job, entry: FileEntry) -> ChangeSet:
    """A change set of the job's plan, finished or not. Errors: as of `read_changes` of the store."""
    return plan_files.read_changes(Path(job.folder), entry)


def samples(changes: ChangeSet, most: int = SAMPLES) -> tuple[Sample, ...]:
    """The first changes of each kind, old beside new."""

    def text(table: pa.Table, row: int) -> dict[str, str | None]:
        return {
            name: as_text(table.column(name).slice(row, 1).combine_chunks())[0].as_py() for name in table.column_names
        }

    def key_of(values: Mapping[str, str | None]) -> str:
        return ", ".join(str(values[name]) for name in changes.key)

    shown: list[Sample] = []
    for row in range(min(most, changes.deletes.num_rows)):
        before = text(changes.deletes, row)
        shown.append(Sample("delete", key_of(before), before, None))
    for row in range(min(most, changes.after.num_rows)):
        before, after = text(changes.before, row), text(changes.after, row)
        names = [name for name in after if before[name] != after[name]]
        shown.append(Sample("update", key_of(after), {n: before[n] for n in names}, {n: after[n] for n in names}))
    for row in range(min(most, changes.inserts.num_rows)):
        after = text(changes.inserts, row)
        shown.append(Sample("insert", key_of(after), None, after))
    return tuple(shown)


def _counts(
    bound: BoundTable,
    ranges: tuple[ColumnRange, ...],
    mapped: Mapped,
    changes: ChangeSet,
    found: pa.Table,
    unchanged: int,
) -> Counts:
    """What became of each row; with ranges over other columns than the key, of the rows that are inside or touch them."""
    updates = changes.after
    if bound.soft is not None:
        updates = updates.filter(pa.array(~bound.soft.flagged(updates)))
    if ranges:
        inside = int(all_inside(mapped.rows, ranges).sum())
        unchanged = inside - changes.inserts.num_rows - int(all_inside(updates, ranges).sum())
    insert, update, quarantined = changes.inserts.num_rows, updates.num_rows, mapped.rejected.num_rows
    return Counts(
        source_rows=insert + update + unchanged + quarantined,
        target_rows=int(all_inside(found, ranges).sum()) if ranges else found.num_rows,
        insert=insert,
        update=update,
        delete=changes.deletes.num_rows + changes.after.num_rows - update,
        unchanged=unchanged,
        quarantined=quarantined,
    )


def _rejected_inside(mapped: Mapped, ranges: tuple[ColumnRange, ...]) -> Mapped:
    """Rejected rows count for ranges only where their values are known to be inside."""
    inside = pa.array(all_inside(mapped.rejected_rows, ranges))
    rejected, rows = mapped.rejected.filter(inside), mapped.rejected_rows.filter(inside)
    return replace(mapped, rejected=rejected, rejected_rows=rows)


def _softened(changes: ChangeSet, bound: BoundTable, work: PlanWork) -> tuple[ChangeSet, pa.Table]:
    """Turn deletes into updates of the flag column; rows flagged earlier stay as they are, and stand apart."""
    gone = changes.deletes
    if bound.soft is None or not gone.num_rows:
        return changes, gone.slice(0, 0)
    flagged = bound.soft.flagged(gone)
    changes = replace(changes, deletes=gone.filter(pa.array(~flagged)))
    return bound.soft.softened(changes, gone.slice(0, 0), work.job.at), gone.filter(pa.array(flagged))
