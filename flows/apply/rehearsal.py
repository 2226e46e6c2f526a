"""Whether a side can be written at all, asked before the other side of a run is: rights, above all."""

from __future__ import annotations

from contextlib import suppress
from dataclasses import replace

from adapters.store.plans import Plan
from flows.apply.trials import trial_of
from flows.session.session import Session
from flows.session.writers import writer_of
from transforms.vocabulary import ChangedMeanwhile, ChangeSet, DataError, Marker, other_side


def rehearse(plan: Plan, session: Session) -> None:
    """Write a row of each kind of change to each table, with its marker, and take it back; the table of markers is made.

    Nothing is said of the rows: what they meet is found where they are written. Errors: those that keep the side from being
    written, such as of a user who may not.
    """
    target = session.sides.written(plan.manifest.side).adapter
    reads = session.sides[other_side(plan.manifest.side)]
    for bound in session.bound.tables:
        writer = writer_of(session.spec, reads, bound.name)
        left = {"insert", "update", "delete"}
        for entry in plan.windows(bound.shape.name):
            kinds = {kind for kind in left if entry.counts.get(kind)}
            if not kinds:
                continue
            left -= kinds
            marker = Marker(writer, plan.manifest.id, str(entry.table), entry.window)
            with suppress(DataError, ChangedMeanwhile):
                write = trial_of(target, bound.shape, marker=marker if session.spec.state.marker else None)
                write(_first(plan.changes(entry)))


def _first(changes: ChangeSet) -> ChangeSet:
    """The first row of each kind."""
    parts = ("inserts", "before", "after", "deletes")
    return replace(changes, **{part: getattr(changes, part).slice(0, 1) for part in parts})
