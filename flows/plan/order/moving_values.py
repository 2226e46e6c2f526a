"""Unique values that move from row to row: who has one gives it up before another row takes it.

A window deletes, then updates, then inserts, so that much needs nothing more. For all else there are windows that come first: a
row that goes and that nothing refers to goes there. Any other row gets, in a step on the way, values that nobody has; its real
change then expects those. So chains, swaps and rotations need no order, however long they are and wherever their rows lie.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from pathlib import Path

import numpy as np
import pyarrow as pa

from adapters.protocol import Snapshot, Target
from adapters.store.plan_files import FileEntry, read_expected, read_written
from adapters.store.plans import PlanWriter
from flows.plan.decide import Planned, read_changes
from flows.plan.order.parked import Parking, put
from flows.plan.references.references import having, referring, related
from flows.plan.references.referrers import compared
from flows.session.route import Route
from flows.session.session import Job, Session
from transforms import expressions, keys
from transforms.vocabulary import ChangeSet, Counts, ForeignKey, Key, PlanError, TableName, TableShape
from transforms.vocabulary.arrow import Indices, Mask
from transforms.vocabulary.values import same_rows

Columns = Callable[[Key], pa.Table | None]
"""Some columns of rows, None where they do not have them all."""


@dataclass(frozen=True, slots=True)
class Window:
    """A window of changes, of which no more is read than is asked for. `first`: it comes before others.

    `moves` says whether updates may change some columns; `expected` are the rows that are deleted and updated, as they are
    before, and `written` those that are updated and inserted, as they will be, in that order.
    """

    number: int
    counts: Mapping[str, int]
    moves: Callable[[Key], bool]
    expected: Columns
    written: Columns
    changes: Callable[[], ChangeSet]
    first: bool = False

    def of(self, op: str) -> int:
        return self.counts.get(op, 0)


@dataclass(frozen=True, slots=True)
class Freed:
    """What frees unique values: windows that are others now, and those that come before all others: real changes (`early`), and
    steps on the way (`interim`)."""

    changed: Mapping[int, ChangeSet] = field(default_factory=dict)
    early: Sequence[ChangeSet] = ()
    interim: Sequence[ChangeSet] = ()


def settled(
    session: Session,
    job: Job,
    route: Route,
    planned: Sequence[Planned],
    let_go: Mapping[tuple[TableName, ForeignKey], pa.Table],
    *,
    shared_out: bool = False,
) -> list[Planned]:
    """The windows of a table, with those that free unique values before all others. `let_go` as of `Table`.

    `shared_out`: its rows will be put into other windows than they are in, so that no order of theirs frees anything.
    Nothing is read where no row gives up a unique value. Memory: the unique columns of what the plan writes, and a window.
    Errors: PlanError for a row that can neither go first nor have another value meanwhile.
    """
    bound = route.table
    if bound.ddl or bound.unwritable:
        return list(planned)
    referred = bound.name in session.bound.referred
    shape = replace(bound.shape, design=bound.design)
    table = Table(route.writes.adapter, route.writes.snapshot, shape, bound.key, referred, let_go, shared_out)
    freed = table.freed(
        [window_of_plan(job, each, each.changes) for each in planned if each.changes is not None and not each.interim]
    )
    writer = PlanWriter(Path(job.folder), begun=True)

    def write(number: int, changes: ChangeSet) -> FileEntry | None:
        session.changes.take(bound.name, number)
        if not len(changes):
            return None
        session.changes.keep(bound.name, number, changes)
        return writer.add(number, changes)

    now = {number: write(number, changes) for number, changes in freed.changed.items()}
    found = [replace(each, changes=now.get(each.window, each.changes)) for each in planned]
    for place, changes in enumerate((*freed.early, *freed.interim)):
        number = max(each.window for each in found) + 1
        entry, interim = write(number, changes), place >= len(freed.early)
        found.append(Planned(bound.name, number, Counts(), entry, None, None, clear=False, first=True, interim=interim))
    return found


def window_of_plan(job: Job, planned: Planned, entry: FileEntry) -> Window:
    """A window whose changes are in a plan's folder."""
    folder = Path(job.folder)
    return Window(
        planned.window,
        entry.counts,
        lambda names: any(planned.differing.get(name) for name in names),
        lambda names: read_expected(folder, entry, names),
        lambda names: read_written(folder, entry, names),
        lambda: read_changes(job, entry),
        first=planned.first,
    )


def window_of(number: int, changes: ChangeSet, *, first: bool) -> Window:
    """A window whose changes are in memory."""

    def columns(*parts: pa.Table) -> Columns:
        def some(names: Key) -> pa.Table | None:
            filled = [part for part in parts if part.num_rows] or [parts[0]]
            if any(not set(names) <= set(part.column_names) for part in filled):
                return None
            return pa.concat_tables([part.select(list(names)) for part in filled])

        return some

    return Window(
        number,
        {str(op): count for op, count in changes.counts.items()},
        lambda names: changes.after.num_rows > 0,
        columns(changes.deletes, changes.before),
        columns(changes.after, changes.inserts),
        lambda: changes,
        first,
    )


@dataclass(frozen=True)
class Table:
    """A table that is written. `referred`: its deletes come behind the inserts and updates of all tables. `let_go` are values that
    rows do not refer to any more by foreign keys of other tables, once its first windows are written. `shared_out`: rows will be
    put into other windows than they are in."""

    target: Target
    snapshot: Snapshot
    shape: TableShape
    key: Key
    referred: bool
    let_go: Mapping[tuple[TableName, ForeignKey], pa.Table] = field(default_factory=dict)
    shared_out: bool = False

    @cached_property
    def uniques(self) -> list[Key]:
        """What must be unique besides the key."""
        found = [each for each in self.shape.uniques if each and not set(self.key) <= each]
        return sorted(tuple(name for name in self.shape.names if name in each) for each in found)

    @cached_property
    def related(self) -> Mapping[TableName, TableShape]:
        return related(self.target, [self.shape.name])

    def freed(self, windows: Sequence[Window]) -> Freed:
        """What has to be free before windows are written, and is not by their own order. Errors: as `settled`."""
        needs: dict[int, dict[Key, Mask]] = {}
        for unique in self.uniques:
            for number, mask in self._needed(windows, unique).items():
                needs.setdefault(number, {})[unique] = mask
        if not needs:
            return Freed()
        related = {name: self._still_referring(shape) for name, shape in self.related.items()}
        parking = Parking(self.target, self.snapshot, self.shape, self.key, self.uniques, related, self._given(windows))
        concerned = [window for window in windows if window.number in needs]
        held = self._held(concerned, {number: _any(masks) for number, masks in needs.items()})
        changed: dict[int, ChangeSet] = {}
        early: list[ChangeSet] = []
        interim: list[ChangeSet] = []
        for window in concerned:
            changes, masks = window.changes(), needs[window.number]
            gone = changes.deletes.num_rows
            if not self.target.capabilities.changes_parents:
                masks = self._changeable(changes, masks, held[window.number])
            alone = _any(masks)[:gone] & ~held[window.number][:gone]
            if alone.any():
                early.append(replace(changes.empty, deletes=changes.deletes.filter(pa.array(alone))))
            stays = np.concatenate([~alone, np.ones(changes.before.num_rows, dtype=bool)])
            left = replace(changes, deletes=changes.deletes.filter(pa.array(~alone)))
            needed = {each: mask[stays] for each, mask in masks.items()}
            changed[window.number], steps, whole = _stepped(left, needed, parking)
            interim += [steps] if len(steps) else []
            early += [whole] if len(whole) else []
        return Freed(changed, early, interim)

    def _needed(self, windows: Sequence[Window], unique: Key) -> dict[int, Mask]:
        """Which rows that windows delete and update, in that order, have a value that another row takes and does not find free."""
        if not any(each.moves(unique) or (each.of("delete") and not each.first) for each in windows):
            return {}
        moves = [each for window in windows if (each := self._moves(window, unique)) is not None]
        if not any(len(each.given_up) for each in moves):
            return {}
        given_up = [each.given_up for each in moves]
        like = next(each.schema for each in given_up if each.num_rows)
        codes = keys.codes(
            [each.cast(like) for each in [*given_up, *(each.taken for each in moves)]], tuple(like.names)
        )
        mine, theirs = codes[: len(moves)], codes[len(moves) :]
        takers = np.bincount(np.concatenate(theirs), minlength=1 + max(each.max(initial=0) for each in codes))
        trades = self._trades and not any({*foreign.refers_columns} & {*unique} for _, foreign in self.let_go)
        found = {}
        for each, held, taken in zip(moves, mine, theirs, strict=True):
            updated, inserted = _count(taken[: each.updates], held), _count(taken[each.updates :], held)
            after_delete = 0 if self.referred or self.shared_out else updated + inserted
            after_update = 0 if self._shared_out else inserted + (updated if trades else 0)
            free = np.where(each.deleted, after_delete, after_update)
            if (short := takers[held] > free).any():
                found[each.number] = np.isin(np.arange(each.rows), each.place[short])
        return found

    def _moves(self, window: Window, unique: Key) -> _Moves | None:
        """What rows of a window give up and take of some columns; None where it says nothing of them."""
        gone, updates, inserts = map(window.of, ("delete", "update", "insert"))
        moved = window.moves(unique)
        if not (gone or moved or inserts):
            return None
        expected, written = window.expected(unique), window.written(unique)
        if expected is None or written is None:
            return None
        held, taken = (compared(self.target, self.shape, each, unique) for each in (expected, written))
        names = tuple(held.column_names)
        none = np.zeros(updates, dtype=bool)
        other = ~same_rows(held.slice(gone), taken.slice(0, updates), names, {}) if moved else none
        gives_up = ~keys.null_keys(held, names) & np.concatenate([np.full(gone, not window.first), other])
        takes = ~keys.null_keys(taken, names) & np.concatenate([other, np.ones(inserts, dtype=bool)])
        place = np.flatnonzero(gives_up)
        return _Moves(
            window.number,
            gone + updates,
            place,
            place < gone,
            held.filter(pa.array(gives_up)),
            taken.filter(pa.array(takes)),
            int(takes[:updates].sum()),
        )

    def _still_referring(self, shape: TableShape) -> TableShape:
        """The table without the foreign keys by which rows let go of what they refer to."""
        left = tuple(each for each in shape.foreign_keys if (shape.name, each) not in self.let_go)
        return replace(shape, foreign_keys=left)

    @cached_property
    def _shared_out(self) -> bool:
        """Whether rows may be put into other windows than they are in, because they refer to each other."""
        return self.shared_out or any(each.refers == self.shape.name for each in self.shape.foreign_keys)

    @cached_property
    def _trades(self) -> bool:
        """Whether one window's updates may take values from each other."""
        trades = self.target.capabilities.trades
        return trades == "any" or (trades == "unreferred" and not self._is_referred)

    @cached_property
    def _is_referred(self) -> bool:
        return any(each.refers == self.shape.name for shape in self.related.values() for each in shape.foreign_keys)

    def _held(self, windows: Sequence[Window], needs: Mapping[int, Mask]) -> dict[int, Mask]:
        """Which of the rows that windows delete and update, and that are needed, others refer to now."""
        found = {window.number: np.zeros(len(needs[window.number]), dtype=bool) for window in windows}
        if not self._is_referred:
            return found
        foreign = [
            each for shape in self.related.values() for each in shape.foreign_keys if each.refers == self.shape.name
        ]
        names = tuple(dict.fromkeys(name for each in foreign for name in each.refers_columns))
        rows = {window.number: window.expected(names) for window in windows}
        known = {n: each.filter(pa.array(needs[n])) for n, each in rows.items() if each is not None}
        for number in rows.keys() - known.keys():
            found[number][:] = True  # whatever refers to columns that the plan does not know
        if known:
            every = pa.concat_tables(known.values())
            held = np.zeros(every.num_rows, dtype=bool)
            for link, mask in referring(self.snapshot, self.related, self.shape.name, every):
                gone = self.let_go.get(link)
                held |= (
                    mask
                    if gone is None
                    else mask & ~having(every, tuple(gone.column_names), gone, tuple(gone.column_names))
                )
            for number, part in zip(
                known, np.split(held, np.cumsum([each.num_rows for each in known.values()])), strict=False
            ):
                found[number][needs[number]] = part
        return found

    def _changeable(self, changes: ChangeSet, masks: Mapping[Key, Mask], held: Mask) -> dict[Key, Mask]:
        """What is needed of rows that nothing refers to: others cannot be changed, on the way or in the end."""
        gone = changes.deletes.num_rows
        if (stuck := _any(masks)[:gone] & held[:gone]).any():
            key = expressions.json_key(changes.deletes.filter(pa.array(stuck)), self.key)
            raise PlanError(
                f"{self.shape.name}: row {key} is to be deleted, another row takes a unique value of it, and rows still refer to it, "
                f"so that {self.target.capabilities.names.title} lets it neither go nor change before them. Nothing was written.",
                fix=f"in the target, let those rows refer to another row, or give row {key} another value; then do it again.",
            )
        return {unique: mask & ~held for unique, mask in masks.items()}

    def _given(self, windows: Sequence[Window]) -> Callable[[Key], pa.Table]:
        """All values of some columns that windows write, as the engine compares them."""

        def given(unique: Key) -> pa.Table:
            parts = [rows for window in windows if (rows := window.written(unique)) is not None]
            return compared(self.target, self.shape, pa.concat_tables(parts), unique)

        return given


@dataclass(frozen=True, slots=True)
class _Moves:
    """What rows of a window do with the values of some columns, as the engine compares them.

    `given_up` is what the rows at `place` hold now, of the `rows` that are deleted and updated; `deleted` of those are deleted.
    `taken` is what others get: updated rows first, so many as `updates`.
    """

    number: int
    rows: int
    place: Indices
    deleted: Mask
    given_up: pa.Table
    taken: pa.Table
    updates: int


def _count(among: Indices, of: Indices) -> Indices:
    """How often each of some numbers is among others."""
    ordered = np.sort(among)
    found: Indices = np.searchsorted(ordered, of, "right") - np.searchsorted(ordered, of, "left")
    return found


def _any(masks: Mapping[Key, Mask]) -> Mask:
    found: Mask = np.logical_or.reduce(list(masks.values()))
    return found


def _stepped(
    changes: ChangeSet, needed: Mapping[Key, Mask], parking: Parking
) -> tuple[ChangeSet, ChangeSet, ChangeSet]:
    """A window whose needed rows, of those that it deletes and updates, have given up their values before; that step; and updates
    that need no such step, since the values that they end with are as free."""
    gone = changes.deletes.num_rows
    mask = _any(needed)
    parts = [rows.filter(pa.array(each)) for rows, each in _halves(changes, mask) if rows.num_rows]
    rows = pa.concat_tables(parts) if parts else changes.empty.before
    parked = parking.parked(rows, {unique: each[mask] for unique, each in needed.items()}) if rows.num_rows else rows
    first = int(mask[:gone].sum())
    places = np.flatnonzero(mask[gone:])
    ends = changes.after.take(pa.array(places))
    same = same_rows(parked.slice(first), ends, tuple(ends.column_names), {})
    on_the_way = pa.array(np.concatenate([np.ones(first, dtype=bool), ~same]))
    none = rows.slice(0, 0)
    compared_ = tuple(name for name in changes.compared if name in rows.column_names)
    step = replace(changes, compared=compared_, inserts=none, deletes=none)
    deletes = put(changes.deletes, np.flatnonzero(mask[:gone]), parked.slice(0, first))
    before = put(changes.before, places, parked.slice(first))
    stays = np.ones(changes.after.num_rows, dtype=bool)
    stays[places[same]] = False
    left = replace(
        changes, deletes=deletes, before=before.filter(pa.array(stays)), after=changes.after.filter(pa.array(stays))
    )
    return (
        left,
        replace(step, before=rows.filter(on_the_way), after=parked.filter(on_the_way)),
        replace(step, before=rows.slice(first).filter(pa.array(same)), after=ends.filter(pa.array(same))),
    )


def _halves(changes: ChangeSet, mask: Mask) -> Iterator[tuple[pa.Table, Mask]]:
    yield changes.deletes, mask[: changes.deletes.num_rows]
    yield changes.before, mask[changes.deletes.num_rows :]
