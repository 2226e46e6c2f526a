"""Apply windows of a finished plan, each in one transaction of the target."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa

from adapters import history
from adapters.planstore import FileEntry
from flows.planning import read_changes
from flows.session import Job, session_of
from transforms.vocabulary import Applied, Marker, Phase


@dataclass(frozen=True, slots=True)
class ApplyWindow:
    """One change set to apply. `clear`: the plan saw no target row in the window's range."""

    number: int
    changes: FileEntry
    clear: bool


@dataclass(frozen=True, slots=True)
class ApplyWork:
    """Windows of one table and phase, applied one after the other by one task."""

    job: Job
    table: str
    phase: Phase
    windows: tuple[ApplyWindow, ...]


@dataclass(frozen=True, slots=True)
class Done:
    """What applying a window did. `already`: its marker was there, so it did nothing. `conflicts` as in Applied."""

    table: str
    window: int
    phase: Phase
    rows: int
    already: bool
    conflicts: pa.Table | None = None


def apply_windows(work: ApplyWork) -> tuple[Done, ...]:
    """Apply each window of the work. Safe to repeat: a marker says which windows are in."""
    return tuple(_apply_window(work, window) for window in work.windows)


def _apply_window(work: ApplyWork, window: ApplyWindow) -> Done:
    session = session_of(work.job)
    table = window.changes.table
    shape = session.shape(work.job, work.table, table)
    changes = session.kept(work.table, window.number) if work.phase == "all" else None
    if changes is None:
        changes = read_changes(work.job, window.changes)
    part = changes.phase(work.phase)
    marker = None
    if session.spec.state.marker:
        marker = Marker(session.spec.name, work.job.run_id, str(table), window.number, work.phase)

    def known(applied: Applied) -> None:
        session.guard()
        history.note_conflicts(Path(work.job.folder), table, window.number, work.phase, applied.conflicts)

    applied = session.target.apply(part, shape, marker, empty=window.clear, before_commit=known)
    session.meter.advance(work.table, "apply", len(part))
    conflicts = history.conflicts_of(Path(work.job.folder), table, window.number, work.phase)
    return Done(work.table, window.number, work.phase, len(part), applied.already, conflicts)
