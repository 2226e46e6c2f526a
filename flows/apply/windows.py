"""Apply windows of a finished plan, each in one transaction of the target."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa

from adapters import interrupts
from adapters.store import archive
from adapters.store.plan_files import FileEntry
from flows.apply.cascades import Carrying, held_back
from flows.apply.trials import Sifted, refusal_of, sift, trial_of, withheld
from flows.apply.unstable import Unstable, unstable_columns
from flows.plan.decide import read_changes
from flows.session.session import Job, Session, session_of
from flows.session.writers import writer_of
from transforms import expressions, keys
from transforms.net_changes import as_found
from transforms.vocabulary import (
    AccountingError,
    Applied,
    ChangeSet,
    Marker,
    Phase,
    PlanError,
    Reason,
    TableName,
    other_side,
    reason_of,
    text_of,
)
from transforms.vocabulary.arrow import Mask

WAITS: Final = "another row has kept a unique value that this one was to get, since it was changed after planning"


LEFT_OUT: Final = "syncline left out"
"""The column that says why a row is left out, a Reason as JSON, beside those of its key."""
LeftOut = Mapping[str, pa.Table]
"""By the name of a table the keys of rows that a side is not to get although they are planned, each with the reason (LEFT_OUT)."""


@dataclass(frozen=True, slots=True)
class ApplyWindow:
    """One change set to apply. `clear`: the plan saw no target row in the window's range."""

    number: int
    changes: FileEntry
    clear: bool


@dataclass(frozen=True, slots=True)
class ApplyWork:
    """Windows of one table and phase, applied one after the other by one task. `carrying` would carry its changes further.

    `turns` are all windows of a table whose rows are written in several steps, by the step that they are; `beside` are windows
    of tables that refer to this one by some of `carrying`, and are not in before it. `kept_back`: see there. `left_out` are the
    rows of the table that are not to be written (`LeftOut`).
    """

    job: Job
    table: str
    phase: Phase
    windows: tuple[ApplyWindow, ...]
    carrying: tuple[Carrying, ...] = ()
    turns: tuple[tuple[int, ...], ...] = ()
    beside: tuple[FileEntry, ...] = ()
    kept_back: pa.Table | None = None
    left_out: pa.Table | None = None


@dataclass(frozen=True, slots=True)
class Done:
    """What applying a window came to. `rows` were planned; `conflicts` and `by_others` are as in Applied, `refused`
    is as in Sifted; `unstable` are columns of rows that the target itself made something else of.

    `already`: its marker was there, so it did nothing, and the rest is what was written down when it went in.
    """

    table: str
    window: int
    phase: Phase
    rows: int
    already: bool
    conflicts: pa.Table | None = None
    by_others: pa.Table | None = None
    refused: pa.Table | None = None
    unstable: tuple[Unstable, ...] = ()

    @property
    def written(self) -> int:
        """How many rows it wrote itself."""
        left = (self.conflicts, self.by_others, self.refused)
        return self.rows - sum(len(rows) for rows in left if rows is not None)


def apply_windows(work: ApplyWork) -> tuple[Done, ...]:
    """Apply each window of the work. Safe to repeat: a marker says which windows are in."""
    return tuple(_apply_window(work, window) for window in work.windows)


@dataclass(frozen=True, slots=True)
class ApplyInTurn:
    """Works of several tables or phases, of a window each, applied one after the other by one task."""

    job: Job
    table: str
    windows: tuple[ApplyWork, ...]


def apply_in_turn(work: ApplyInTurn) -> tuple[Done, ...]:
    """Apply works one after the other. Safe to repeat."""
    return tuple(done for each in work.windows for done in apply_windows(each))


def _apply_window(work: ApplyWork, window: ApplyWindow) -> Done:
    interrupts.check()
    session = session_of(work.job)
    table, target = window.changes.table, session.sides.written(work.job.side).adapter
    shape = session.shape(work.job, work.table, table)
    part = planned_part(session, work, window)
    marker, notes = marker_of(session, work, window), notes_of(work, window)
    tried = withheld(part, staying(work, window, part) | waiting(work, part) | left_out(work, part))

    def write(sifted: Sifted) -> Applied:
        def known(applied: Applied) -> None:
            session.guard(work.job.side)
            refused = refused_of(tried, sifted)
            applied = accounted(sifted.good, applied)
            if work.job.bare and refused is not None:  # an undo sets no row aside
                applied, refused = replace(applied, conflicts=as_conflicts(refused, applied.conflicts)), None
            notes.take(applied, refused, marked=marker is not None)

        session.sides.written(work.job.side).pace.take(len(sifted.good))
        with interrupts.window():
            return target.apply(sifted.good, shape, marker, empty=window.clear, before_commit=known)

    done: list[Applied] = []
    if work.job.bare:  # an undo is done whole or not at all
        done.append(write(Sifted(tried.good)))
    elif (why := refusal_of(lambda some: done.append(write(Sifted(some))), tried.good)) is not None:
        session.guard(work.job.side)
        done.append(write(sift(tried.good, shape, trial_of(target, shape, empty=window.clear), why)))
    session.meter.advance(work.table, "apply", len(part))
    return outcome_of(work, window, part, already=done[0].already)


def marker_of(session: Session, work: ApplyWork, window: ApplyWindow) -> Marker | None:
    """The row that says that a window is in, None where the spec does without."""
    if not session.spec.state.marker:
        return None
    writer = writer_of(session.spec, session.sides[other_side(work.job.side)], work.table)
    return Marker(writer, work.job.plan_id, str(window.changes.table), window.number, work.phase)


def notes_of(work: ApplyWork, window: ApplyWindow) -> Notes:
    return Notes(Path(work.job.folder), window.changes.table, window.number, work.phase)


def refused_of(*sifted: Sifted) -> pa.Table | None:
    """All rows that do not go in, None for none."""
    refused = [each.refused for each in sifted if each.refused is not None]
    return pa.concat_tables(refused) if refused else None


def outcome_of(work: ApplyWork, window: ApplyWindow, part: ChangeSet, *, already: bool) -> Done:
    """What a window that is in came to, by the notes of it. `part` is what the work writes of it."""
    session, table, notes = session_of(work.job), window.changes.table, notes_of(work, window)
    bare = work.job.bare or work.table not in session.spec.tables
    tolerance = {} if bare else session.bound.table(work.table).comparison.tolerance
    shape = session.shape(work.job, work.table, table)
    unstable = unstable_columns(notes.of("rewritten"), part, shape, tolerance)
    return Done(work.table, window.number, work.phase, len(part), already, *notes.not_written(), unstable)


def _as_left_before(work: ApplyWork, window: int, changes: ChangeSet) -> ChangeSet:
    """The changes of a window, which expect of rows that an earlier step wrote what the target made of them."""
    for turn in work.turns:
        if window in turn:
            break
        for number in turn:
            if (made := archive.made_of(Path(work.job.folder), changes.table, number)) is not None:
                changes = as_found(changes, made)
    return changes


def planned_part(session: Session, work: ApplyWork, window: ApplyWindow) -> ChangeSet:
    """What the work writes of a window."""
    changes = session.changes.take(work.table, window.number) if work.phase == "all" else None
    if changes is None:
        changes = read_changes(work.job, window.changes)
    return _as_left_before(work, window.number, changes.phase(work.phase))


def staying(
    work: ApplyWork, window: ApplyWindow, part: ChangeSet | None = None, *, together: bool = False
) -> dict[int, Reason]:
    """Why changes of a window cannot go in now (see `held_back`). `part`: what the work writes of it, where that is known.

    Errors: PlanError in an undo, which is done whole or not at all.
    """
    if not work.carrying:
        return {}
    session, table = session_of(work.job), window.changes.table
    shape, target = session.shape(work.job, work.table, table), session.sides.written(work.job.side).adapter
    part = part if part is not None else planned_part(session, work, window)

    def planned(name: TableName) -> list[ChangeSet]:
        return [read_changes(work.job, entry) for entry in work.beside if entry.table == name]

    held = held_back(target, shape, part, work.carrying, planned, together=together)
    if held and work.job.bare:
        tried = withheld(part, held)
        assert tried.refused is not None, "there are rows that stay"
        raise PlanError(
            f"{table} row {expressions.json_key(pa.Table.from_struct_array(tried.refused['key']))} is to be {tried.refused['op'][0]}d, and "
            f"{text_of(reason_of(tried.refused['why'][0].as_py()))}. This window was not written.",
            fix="delete those rows, or let them refer to others.",
        )
    return held


def waiting(work: ApplyWork, part: ChangeSet) -> dict[int, Reason]:
    """Why changes of a window are not tried: others have kept the values that they were to get, by number as of `withheld`."""
    if work.kept_back is None:
        return {}
    why = Reason("refused_on_write", None, {"message": WAITS, "kind": "double"})
    rows = _keyed(part)
    mine = keys.contained(rows, work.kept_back, part.key) if rows.num_rows else np.zeros(0, dtype=bool)
    return dict.fromkeys(np.flatnonzero(mine).tolist(), why)


def left_out(work: ApplyWork, part: ChangeSet) -> dict[int, Reason]:
    """Why changes of a window are not written, since the other side does not get its part of their rows: by number, as of `withheld`."""
    rows = _keyed(part)
    if work.left_out is None or not rows.num_rows:
        return {}
    place = keys.match(rows, work.left_out.select(list(part.key)).cast(rows.schema), part.key)
    whys = work.left_out[LEFT_OUT].to_pylist()
    return {number: reason_of(whys[place[number]]) for number in np.flatnonzero(place >= 0).tolist()}


def _keyed(part: ChangeSet) -> pa.Table:
    return pa.concat_tables([each.select(list(part.key)) for each in (part.deletes, part.after, part.inserts)])


def as_conflicts(refused: pa.Table, conflicts: pa.Table | None) -> pa.Table:
    """Rows that were not tried as conflicts, which are as they were planned to be; behind other ones."""
    rows = refused.select(["op", "key", "before", "after"]).append_column("found", refused["before"])
    return rows if conflicts is None else pa.concat_tables([conflicts, rows.cast(conflicts.schema)])


def accounted(part: ChangeSet, applied: Applied) -> Applied:
    """AccountingError where rows of a window are neither written nor known to be left."""
    left = [rows.num_rows for rows in (applied.conflicts, applied.by_others) if rows is not None]
    if applied.inserted + applied.updated + applied.deleted + sum(left) != len(part):
        raise AccountingError(
            f"{part.table}: {len(part):,} changes were planned, and {applied} does not come to that. The window was rolled back. "
            f"This is a defect: please report it."
        )
    return applied


@dataclass(frozen=True, slots=True)
class Notes:
    """What the plan's folder knows of one window: the rows that it did not write, and those that the target changed."""

    folder: Path
    table: TableName
    window: int
    phase: Phase

    def of(self, kind: archive.Noted) -> pa.Table | None:
        return archive.noted(self.folder, kind, self.table, self.window, self.phase)

    def not_written(self) -> tuple[pa.Table | None, pa.Table | None, pa.Table | None]:
        """Conflicts, rows that others had brought to what was planned, and refused ones; None for none."""
        conflicts, others, refused = map(self.of, archive.NOT_WRITTEN)
        return conflicts, others if others is not None and others.num_rows else None, refused

    def take(self, applied: Applied, refused: pa.Table | None, *, marked: bool) -> None:
        """Write down what a window is about to leave, before it commits.

        Without a marker nobody knows whether an earlier try was committed after it had come this far. What is as planned
        now, and was not then, is taken for its work, and so is what is as the target had made it then: what is left of a
        transaction is all of it.
        """
        conflicts, others, rewritten = applied.conflicts, applied.by_others, applied.rewritten
        if not marked:
            earlier = self.of("others")
            others = others if others is not None else _NOBODY
            if earlier is not None:
                others = _both(others, earlier) if earlier.num_rows else earlier
            if (made := self.of("rewritten")) is not None:
                conflicts, kept = _still_made(made, conflicts, others)
                rewritten = kept if rewritten is None else pa.concat_tables([kept, rewritten])
        left: dict[archive.Noted, pa.Table | None] = {"applied": conflicts, "others": others, "refused": refused}
        archive.note(self.folder, self.table, self.window, self.phase, left | {"rewritten": rewritten})


def _still_made(made: pa.Table, conflicts: pa.Table | None, others: pa.Table) -> tuple[pa.Table | None, pa.Table]:
    """Conflicts without those rows that are as the target had made them of what was written, and these rows and those of
    `others`, as they were `made`."""
    there = np.zeros(made.num_rows, dtype=bool)
    if others.num_rows:
        there |= _contained(made, others, "key")
    if conflicts is not None:
        there |= _contained(made, conflicts, "found")
        theirs = ~_contained(conflicts, made, "found")
        conflicts = conflicts.filter(pa.array(theirs)) if theirs.any() else None
    return conflicts, made.filter(pa.array(there))


def _contained(rows: pa.Table, others: pa.Table, image: str) -> Mask:
    """Which rows have the image of one of the others."""
    these, those = (pa.Table.from_struct_array(each[image]) for each in (rows, others))
    return keys.contained(these, those, tuple(these.column_names))


_NOBODY: Final = pa.Table.from_batches([], pa.schema([("op", pa.string())]))  # the one way that imports no pandas


def _both(others: pa.Table, earlier: pa.Table) -> pa.Table:
    """Those rows of `others` that are in `earlier`, too."""
    return others.filter(pa.array(_contained(others, earlier, "key"))) if others.num_rows else others
