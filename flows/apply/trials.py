"""Which rows of a window the target refuses, or does not keep: found by trials that are rolled back."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adapters import interrupts
from adapters.protocol import Target
from adapters.sql.staging import unwritten
from transforms.vocabulary import (
    Applied,
    ChangedMeanwhile,
    ChangeSet,
    DataError,
    Marker,
    Op,
    Reason,
    RowRefused,
    SynclineError,
    TableShape,
)
from transforms.vocabulary.reason_texts import target_text

MOST: Final = 1000  # rows of a window that are looked for one by one
Rows = npt.NDArray[np.int64]
Write = Callable[[ChangeSet], object]
"""Writes changes as a window is written. Errors: RowRefused, ChangedMeanwhile, and all that has nothing to do with rows."""


@dataclass(frozen=True, slots=True)
class Sifted:
    """A window's changes in two parts: `good` go in together, `refused` do not, each for its reason.

    `refused` has the columns op, key, before, after and why (a Reason as JSON); None for none.
    """

    good: ChangeSet
    refused: pa.Table | None = None


class _Tried(SynclineError):
    """A trial came to its end, and is rolled back."""


def trial_of(
    target: Target,
    shape: TableShape,
    *,
    empty: bool = False,
    marker: Marker | None = None,
    known: Callable[[Applied], object] | None = None,
) -> Write:
    """Writes changes as a window of a table is written, and leaves nothing behind; with a marker, the table of markers. `known` is given
    what a trial came to."""

    def call_off(applied: Applied) -> None:
        if known is not None:
            known(applied)
        raise _Tried("Only tried.")

    def trial(some: ChangeSet) -> None:
        with suppress(_Tried), interrupts.window():
            target.apply(some, shape, marker, empty=empty, before_commit=call_off, trial=True)

    return trial


def refusal_of(write: Write, changes: ChangeSet) -> Reason | None:
    """Why the target does not take these changes, None where it does.

    Rows that change under the statement twice in a row are changed by the target itself, and by nobody else.
    """
    try:
        write(changes)
    except ChangedMeanwhile:
        try:
            write(changes)
        except ChangedMeanwhile as error:
            return Reason("changed_by_target", None, {"message": str(error)})
        except RowRefused as error:
            return _refused(error)
    except RowRefused as error:
        return _refused(error)
    return None


def _refused(error: RowRefused) -> Reason:
    named = {"constraint": error.constraint} if error.constraint else {}
    if error.kind != "row":
        named["kind"] = error.kind
    return Reason("refused_on_write", None, {"message": error.reason, **named}).of(error.columns)


def sift(changes: ChangeSet, shape: TableShape, trial: Write, why: Reason, most: int = MOST) -> Sifted:
    """Take the rows apart that the target refuses. In: `why` it does not take all of them; `trial` leaves nothing behind.

    Errors: DataError where more than `most` rows are refused; nothing of the window is written then.
    """
    found = _Search(changes, trial, most)
    everything = np.arange(len(changes))
    found.apart(everything, why)
    if _lean_on_each_other(changes, shape):
        found.together(sorted(found.refused))
    good = found.without(everything)
    told = refusal_of(trial, _chosen(changes, good))
    if told is not None:  # each is well by itself, and some of them are not with each other
        found.accepted = np.array([], np.int64)
        found.together(good.tolist(), told)
        good = found.without(everything)
    return Sifted(_chosen(changes, good), _told(changes, found.refused))


def withheld(changes: ChangeSet, why: Mapping[int, Reason]) -> Sifted:
    """Changes without some rows, which are not tried at all: `why` has their reasons, by number, deletes first, then updates, then
    inserts."""
    if not why:
        return Sifted(changes)
    left = np.setdiff1d(np.arange(len(changes)), np.array(sorted(why), np.int64))
    return Sifted(_chosen(changes, left), _told(changes, why))


@dataclass
class _Search:
    """`accepted` are the rows that went in together so far, `refused` those that did not, by number: deletes first, then
    updates, then inserts."""

    changes: ChangeSet
    trial: Write
    most: int
    refused: dict[int, Reason] = field(default_factory=dict)
    accepted: Rows = field(default_factory=lambda: np.array([], np.int64))

    def apart(self, rows: Rows, why: Reason | None = None) -> None:
        """Halve rows that are refused until each of those stands alone. `why`: they are known to be."""
        waiting = [(rows, why)]
        while waiting:
            some, known = waiting.pop()
            told = known or self._asked(some)
            if told is None:
                continue
            if len(some) == 1:
                self._refuse(int(some[0]), told)
            else:
                waiting += [(half, None) for half in reversed(np.array_split(some, 2))]

    def together(self, rows: Sequence[int], why: Reason | None = None) -> None:
        """Add to what goes in together as many of these rows as there are; until no more of them do.

        Rows need others of their window: a child its parent, one of two that trade unique values the other.
        """
        self.accepted = self.without(np.arange(len(self.changes))) if why is None else self.accepted
        left = list(rows)
        while left:
            before = len(self.accepted)
            waiting: list[tuple[Rows, Reason | None]] = [(np.array(left, np.int64), why)]
            while waiting:
                some, known = waiting.pop()
                told = known or self._asked(np.sort(np.concatenate([self.accepted, some])))
                if told is None:
                    self.accepted = np.concatenate([self.accepted, some])
                    for row in some.tolist():
                        self.refused.pop(row, None)
                elif len(some) == 1:
                    self._refuse(int(some[0]), told)
                else:
                    waiting += [(half, None) for half in reversed(np.array_split(some, 2))]
            left = [row for row in left if row in self.refused]
            why = None
            if len(self.accepted) == before:
                break

    def without(self, rows: Rows) -> Rows:
        """These rows but for those that are refused."""
        return rows[~np.isin(rows, np.fromiter(self.refused, np.int64, len(self.refused)))]

    def _asked(self, rows: Rows) -> Reason | None:
        interrupts.check()
        return refusal_of(self.trial, _chosen(self.changes, rows))

    def _refuse(self, row: int, why: Reason) -> None:
        self.refused[row] = why
        if len(self.refused) > self.most:
            raise DataError(
                f"Table {self.changes.table}: the target refuses more than {self.most:,} rows of a window, such as one for this: "
                f"{target_text(why)}. Nothing of the window was written.",
                fix="mend the rows, or what the target demands of them.",
            )


def _chosen(changes: ChangeSet, rows: Rows) -> ChangeSet:
    """The changes of these rows, by number: deletes first, then updates, then inserts."""
    updates = changes.deletes.num_rows
    inserts = updates + changes.after.num_rows
    taken = pa.array(rows[(rows >= updates) & (rows < inserts)] - updates)
    return replace(
        changes,
        deletes=changes.deletes.take(pa.array(rows[rows < updates])),
        before=changes.before.take(taken),
        after=changes.after.take(taken),
        inserts=changes.inserts.take(pa.array(rows[rows >= inserts] - inserts)),
    )


def _lean_on_each_other(changes: ChangeSet, shape: TableShape) -> bool:
    """Whether a row that is refused alone may go in with others of its window."""
    itself = any(foreign.refers == shape.name for foreign in shape.foreign_keys)
    return itself or (len(changes) > 1 and changes.inserts.num_rows < len(changes))


def _told(changes: ChangeSet, refused: Mapping[int, Reason]) -> pa.Table | None:
    if not refused:
        return None
    numbers = np.array(sorted(refused), np.int64)
    updates = changes.deletes.num_rows
    inserts = updates + changes.after.num_rows
    bounds: tuple[tuple[Op, int, int], ...] = (
        ("delete", 0, updates),
        ("update", updates, inserts),
        ("insert", inserts, len(changes)),
    )
    rows = [
        unwritten(changes, op, (numbers[(numbers >= first) & (numbers < stop)] - first).tolist())
        for op, first, stop in bounds
    ]
    why = pa.array([refused[int(number)].as_json() for number in numbers], pa.string())
    return pa.concat_tables(rows).append_column("why", why)
