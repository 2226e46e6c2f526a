"""Apply windows of a finished plan, each in one transaction of the target."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from adapters.planstore import FileEntry
from flows.planning import read_changes
from flows.session import Job, session_of
from transforms.vocabulary import Marker, Phase


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
    bound = session.bound.table(work.table)
    changes = session.kept(work.table, window.number) if work.phase == "all" else None
    if changes is None:
        changes = read_changes(work.job, window.changes)
    part = changes.phase(work.phase)
    marker = None
    if session.spec.state.marker:
        marker = Marker(session.spec.name, work.job.run_id, str(bound.shape.name), window.number, work.phase)
    applied = session.target.apply(part, bound.shape, marker, empty=window.clear)
    conflicts = applied.conflicts if applied.conflicts is not None and applied.conflicts.num_rows else None
    session.meter.advance(work.table, "apply", len(part))
    return Done(work.table, window.number, work.phase, len(part), applied.already, conflicts)
