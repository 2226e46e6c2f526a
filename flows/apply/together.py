"""Apply windows of several tables in one transaction, whose foreign keys are looked at in its end: rows that need each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa

from adapters import interrupts
from adapters.protocol import Deferring, Waiting
from flows.apply.trials import MOST, Sifted, refusal_of, sift, withheld
from flows.apply.windows import (
    ApplyWindow,
    ApplyWork,
    Done,
    accounted,
    left_out,
    marker_of,
    notes_of,
    outcome_of,
    planned_part,
    refused_of,
    staying,
)
from flows.plan.references.references import having, related
from flows.session.session import Session, session_of
from transforms.vocabulary import (
    Applied,
    ChangeSet,
    DataError,
    ForeignKey,
    Key,
    Reason,
    RowRefused,
    SynclineError,
    TableName,
    TableShape,
)

Aside = dict[tuple[str, int, str], dict[int, Reason]]
"""Rows that stay out, by table, window and phase, then by number, each with its reason."""


def apply_together(works: Sequence[ApplyWork]) -> tuple[Done, ...]:
    """Apply all windows of some works in one transaction: all of them are in then, with their markers, or none is.

    A row that the target refuses is set aside, and so are those that need it; all others go in. Safe to repeat.
    Memory: one window, and the keys of rows that are set aside.
    """
    session = session_of(works[0].job)
    aside: Aside = {
        _place(work, window): staying(work, window, together=True) | _left_out(session, work, window)
        for work in works
        for window in work.windows
    }
    many = sum(sum(window.changes.counts.values()) for work in works for window in work.windows)
    session.sides.written(works[0].job.side).pace.take(many)
    while True:
        interrupts.check()
        try:
            with ExitStack() as windows:
                for _ in aside:
                    windows.enter_context(interrupts.window())
                return _Transaction(works, aside).done()
        except _Once as again:
            for place, rows in again.aside.items():
                aside.setdefault(place, {}).update(rows)
            _must_be_few(works, aside)


class _Once(SynclineError):
    """The transaction is rolled back, and done again without some rows, which are set `aside`."""

    aside: Aside


@dataclass(frozen=True, slots=True)
class _Written:
    """What the transaction did of a window, which is not committed yet."""

    work: ApplyWork
    window: ApplyWindow
    rows: int
    good: ChangeSet
    applied: Applied
    refused: pa.Table | None


@dataclass
class _Transaction:
    """One try. `aside` are rows that stay out of it."""

    works: Sequence[ApplyWork]
    aside: Aside
    session: Session = field(init=False)

    def __post_init__(self) -> None:
        self.session = session_of(self.works[0].job)

    def done(self) -> tuple[Done, ...]:
        job = self.works[0].job
        target = self.session.sides.written(job.side).adapter
        assert isinstance(target, Deferring), "an engine without deferrable keys gets no such stage"
        with target.together() as joint:
            found = [self._write(joint, work, window) for work in self.works for window in work.windows]
            self._hold(joint)
            self.session.guard(job.side)
            marked = bool(self.session.spec.state.marker)
            for each in found:
                if not each.applied.already:
                    applied = accounted(each.good, each.applied)
                    notes_of(each.work, each.window).take(applied, each.refused, marked=marked)
        for each in found:
            self.session.meter.advance(each.work.table, "apply", each.rows)
        return tuple(
            replace(outcome_of(each.work, each.window, each.good, already=each.applied.already), rows=each.rows)
            for each in found
        )

    def _shape(self, work: ApplyWork, window: ApplyWindow) -> TableShape:
        return self.session.shape(work.job, work.table, window.changes.table)

    def _part(self, work: ApplyWork, window: ApplyWindow) -> ChangeSet:
        return planned_part(self.session, work, window)

    def _write(self, joint: Waiting, work: ApplyWork, window: ApplyWindow) -> _Written:
        part, shape = self._part(work, window), self._shape(work, window)
        marker = marker_of(self.session, work, window)
        known = withheld(part, self.aside.get(_place(work, window), {}))
        found: list[Applied] = []

        def write(some: ChangeSet) -> None:
            found.append(joint.apply(some, shape, marker, empty=window.clear))

        def trial(some: ChangeSet) -> None:
            joint.apply(some, shape, None, empty=window.clear, trial=True)

        sifted = Sifted(known.good)
        if work.job.bare:  # an undo is done whole or not at all
            write(known.good)
        elif (why := refusal_of(write, known.good)) is not None:
            sifted = sift(known.good, shape, trial, why)
            write(sifted.good)
        return _Written(work, window, len(part), sifted.good, found[0], refused_of(known, sifted))

    # Rows that refer to nothing

    def _hold(self, joint: Waiting) -> None:
        """Look at the foreign keys that have waited. Errors: _Once where rows that were written break some."""
        try:
            joint.hold()
        except RowRefused:
            if self.works[0].job.bare:
                raise
            found: Aside = {}
            for child, foreign, lost in self._lost(joint):
                for place, rows in self._to_blame(child, foreign, lost):
                    found.setdefault(place, {}).update(rows)
            if not any(found.values()):
                raise
            again = _Once("Only tried.")
            again.aside = found
            raise again from None

    def _lost(self, joint: Waiting) -> Iterator[tuple[TableShape, ForeignKey, pa.Table]]:
        """The rows of each table that refer to nothing by a foreign key from or to what is written here, with their keys."""
        written = {window.changes.table: self._keys(work, window) for work in self.works for window in work.windows}
        target = self.session.sides.written(self.works[0].job.side).adapter
        for shape in related(target, list(written)).values():
            for foreign in shape.foreign_keys:
                if shape.name in written or foreign.refers in written:
                    names = list(dict.fromkeys([*written.get(shape.name, ()), *foreign.columns]))
                    lost = joint.unmet(shape, names, foreign)
                    if lost.num_rows:
                        yield shape, foreign, lost

    def _keys(self, work: ApplyWork, window: ApplyWindow) -> Key:
        return self._part(work, window).key

    def _to_blame(
        self, child: TableShape, foreign: ForeignKey, lost: pa.Table
    ) -> Iterator[tuple[tuple[str, int, str], Mapping[int, Reason]]]:
        """Which rows of which windows are the reason that rows refer to nothing: they themselves, or who took their parent away."""
        text = f"it refers by ({', '.join(foreign.columns)}) to no row of {foreign.refers}"
        alone = Reason("refused_on_write", None, {"message": text, "kind": "reference"}).of(foreign.columns)
        for work, window, part in self._windows_of(child.name):
            came = pa.concat_tables([part.after, part.inserts]).select(list(part.key))
            own = having(came, part.key, lost, part.key)
            numbers = np.flatnonzero(own) + part.deletes.num_rows
            yield _place(work, window), dict.fromkeys(numbers.tolist(), alone)
            lost = lost.filter(pa.array(~having(lost, part.key, came.filter(pa.array(own)), part.key)))
        text = f"rows of {child.name} refer to it by ({', '.join(foreign.columns)})"
        still = Reason("refused_on_write", None, {"message": text, "kind": "reference"}).of(foreign.refers_columns)
        for work, window, part in self._windows_of(foreign.refers):
            if set(foreign.refers_columns) <= set(part.schema.names):
                went = pa.concat_tables([part.deletes, part.before]).select(list(foreign.refers_columns))
                gone = having(went, foreign.refers_columns, lost, foreign.columns)
                yield _place(work, window), dict.fromkeys(np.flatnonzero(gone).tolist(), still)

    def _windows_of(self, table: TableName) -> Iterator[tuple[ApplyWork, ApplyWindow, ChangeSet]]:
        for work in self.works:
            for window in work.windows:
                if window.changes.table == table:
                    yield work, window, self._part(work, window)


def _left_out(session: Session, work: ApplyWork, window: ApplyWindow) -> dict[int, Reason]:
    return left_out(work, planned_part(session, work, window)) if work.left_out is not None else {}


def _place(work: ApplyWork, window: ApplyWindow) -> tuple[str, int, str]:
    return work.table, window.number, work.phase


def _must_be_few(works: Sequence[ApplyWork], aside: Aside) -> None:
    """DataError where more rows stay out than a window may leave out: something else is wrong then."""
    if sum(map(len, aside.values())) > MOST:
        tables = ", ".join(dict.fromkeys(work.table for work in works))
        raise DataError(
            f"Tables {tables}: the target refuses more than {MOST:,} of the rows that need each other. Nothing of them was written.",
            fix="mend the rows, or what the target demands of them.",
        )
