"""Tables that refer to themselves: each row comes after the one that it refers to, and goes before it, over all windows.

Windows go in at once, each in a transaction of its own. Of a table that refers to itself, those with a row that needs one of an
earlier window go in behind the others, one after the other. Rows that need one of a later window, and all rows that need those,
are taken out of their windows and put into new ones behind all others, parents first (of deletes: children first). All these are
the `late` windows. Rows that refer to each other stay together in one.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise

import numpy as np
import pyarrow as pa

from adapters.capabilities import Capabilities
from transforms import expressions, keys
from transforms.needs import Needs, arranged, misplaced, waiting_windows
from transforms.vocabulary import ChangeSet, ForeignKey, Key, TableName, TableShape
from transforms.vocabulary.arrow import Indices
from transforms.vocabulary.values import same_rows

Compared = Callable[[pa.Table], pa.Table]
"""Columns of the table as its unique indexes compare them."""


@dataclass(frozen=True, slots=True)
class InCircle:
    """Rows that need each other by foreign keys, where the engine takes no two such rows at once."""

    table: TableName
    columns: Key
    rows: int
    first: str

    def __str__(self) -> str:
        return f"{self.rows:,} rows of {self.table} by ({', '.join(self.columns)}), such as {self.first}"


class NoOwnOrder(Exception):
    """There is no order of windows in which each row finds the one that it refers to. `circle` says which rows."""

    def __init__(self, circle: InCircle) -> None:
        super().__init__(str(circle))
        self.circle = circle


@dataclass(frozen=True, slots=True)
class Leaving:
    """Which changes leave a window: for each row of an image the number of the new window, -1 for those that stay."""

    updates: Indices
    inserts: Indices
    deletes: Indices

    @property
    def some(self) -> bool:
        """Whether there are any."""
        return any((rows >= 0).any() for rows in (self.updates, self.inserts, self.deletes))


@dataclass(frozen=True, slots=True)
class OwnOrder:
    """What becomes of windows. `leaving` has those that lose rows; `in_turn` those that go in one after the other, in order.

    New windows are numbered from 0: first `upserts` with inserts and updates, then `deletes` of the others.
    """

    leaving: Mapping[int, Leaving]
    in_turn: tuple[int, ...]
    upserts: int
    deletes: int

    def late(self, start: int) -> tuple[int, ...]:
        """See `PlannedTable.late`; new windows are numbered from `start` on."""
        behind = start + self.upserts
        return (*range(behind + self.deletes - 1, behind - 1, -1), *self.in_turn, *range(start, behind))


def own_keys(shape: TableShape) -> tuple[ForeignKey, ...]:
    """The foreign keys that lead from a table to itself."""
    return tuple(each for each in shape.foreign_keys if each.refers == shape.name)


def own_order(
    shape: TableShape,
    capabilities: Capabilities,
    windows: Mapping[int, ChangeSet],
    key: Key,
    compared: Compared,
    most: int,
) -> OwnOrder:
    """Put the changes of a table that refers to itself into windows that may go in one after the other.

    In: what the windows hold, with the columns of its key and of the foreign keys, as far as they are written; `most` rows come to
    a new window. Errors: NoOwnOrder.
    """
    parts = [(number, windows[number]) for number in sorted(windows)]
    places = {name: _places(parts, name) for name in ("updates", "inserts", "deletes")}
    split = int(places["updates"][-1])
    graph = _Graph(shape, capabilities, parts, key, compared, split)
    numbers = np.array([number for number, _ in parts], dtype=np.int64)

    def of(*names: str) -> Indices:
        return np.concatenate([np.repeat(np.arange(len(parts)), np.diff(places[name])) for name in names])

    written, deleted = of("updates", "inserts"), of("deletes")
    schemas = [changes.schema for _, changes in parts]
    kinds = np.array([schemas.index(each) for each in schemas], dtype=np.int64)
    forth = _Sorted.of(graph, written, kinds[written], graph.needs(), most)
    back = _Sorted.of(graph, -deleted, kinds[deleted], graph.needs_of_deletes(), most, deletes=True)
    leaving: dict[int, Leaving] = {}
    gone = np.where(back.window >= 0, back.window + forth.windows, -1)
    for place, (number, _) in enumerate(parts):
        updates, inserts, deletes = (
            rows[start + places[name][place] : start + places[name][place + 1]]
            for name, rows, start in (
                ("updates", forth.window, 0),
                ("inserts", forth.window, split),
                ("deletes", gone, 0),
            )
        )
        if (each := Leaving(updates, inserts, deletes)).some:
            leaving[number] = each
    in_turn = sorted({*forth.in_turn.tolist(), *(-back.in_turn).tolist()})
    return OwnOrder(leaving, tuple(numbers[in_turn].tolist()), forth.windows, back.windows)


def _places(parts: Sequence[tuple[int, ChangeSet]], name: str) -> Indices:
    """Where the rows of each window begin, one behind the other, and where the last ones end."""
    image = {"updates": "after"}.get(name, name)
    sizes = [getattr(changes, image).num_rows for _, changes in parts]
    return np.concatenate([[0], np.cumsum(np.array(sizes, dtype=np.int64))])


@dataclass(frozen=True, slots=True)
class _Sorted:
    """New windows of changes, -1 for those that stay in theirs, and the places of windows that go in one after the other."""

    window: Indices
    windows: int
    in_turn: Indices

    @classmethod
    def of(
        cls, graph: _Graph, place: Indices, kind: Indices, needs: Needs, most: int, *, deletes: bool = False
    ) -> _Sorted:
        """In: the place of each change's window, in the order in which they come; the kind of its columns, of which a window
        has one alone."""
        needs = replace(needs, apart=needs.apart | (kind[needs.later] != kind[needs.earlier]))
        if not graph.capabilities.whole_trees and (circle := arranged(len(place), needs, most).circle).any():
            raise NoOwnOrder(graph.named(np.flatnonzero(circle), deletes=deletes))
        out = misplaced(place, needs)
        stay = needs.chosen(~out[needs.later] & ~out[needs.earlier])
        rows = np.flatnonzero(out)
        number = np.full(len(place), -1, dtype=np.int64)
        number[rows] = np.arange(len(rows))
        inside = needs.chosen(out[needs.later] & out[needs.earlier])
        inside = Needs(number[inside.later], number[inside.earlier], inside.apart)
        found = arranged(len(rows), inside, most)
        tied = inside.chosen(found.circle[inside.later] & found.circle[inside.earlier])
        if tied.apart.any() and not deletes:
            raise NoOwnOrder(graph.named(rows[found.circle], deletes=deletes))
        kinds = found.window * (kind.max(initial=0) + 1) + kind[rows]
        fresh, number[rows] = np.unique(kinds, return_inverse=True)
        return cls(number, len(fresh), waiting_windows(place, stay))


@dataclass(frozen=True, slots=True)
class _Graph:
    """Who needs whom among the changes of windows. Inserts and updates are numbered, updates first, and deletes by themselves."""

    shape: TableShape
    capabilities: Capabilities
    parts: Sequence[tuple[int, ChangeSet]]
    key: Key
    compared: Compared
    split: int

    def needs(self) -> Needs:
        """Inserts and updates need the rows that they come to refer to, as far as these come, or get that value, too."""
        found = []
        for foreign in own_keys(self.shape):
            own, there = foreign.columns, foreign.refers_columns
            later, earlier = self._matched(self._written(own, own), own, self._written(there, there), there)
            update = later < self.split
            apart = update & ((earlier >= self.split) | (not self.capabilities.whole_trees))
            alone = (later == earlier) & self.capabilities.whole_trees
            found.append(Needs(later[~alone], earlier[~alone], apart[~alone]))
        return Needs.of(found)

    def needs_of_deletes(self) -> Needs:
        """Rows go after those that refer to them. Where the engine would carry a delete further, it finds nothing to carry."""
        found = []
        for foreign in own_keys(self.shape):
            own, there = foreign.columns, foreign.refers_columns
            child, parent = self._matched(self._deleted(own), own, self._deleted(there), there)
            other = child != parent
            apart = np.full(int(other.sum()), bool(foreign.on_delete) or not self.capabilities.whole_trees)
            found.append(Needs(parent[other], child[other], apart))
        return Needs.of(found)

    def named(self, rows: Indices, *, deletes: bool) -> InCircle:
        """What an error says of rows that need each other."""
        known = self._deleted(self.key) if deletes else self._written(self.key, ())
        place = int(np.flatnonzero(known[0] == rows[0])[0])
        columns = tuple(dict.fromkeys(name for each in own_keys(self.shape) for name in each.columns))
        return InCircle(self.shape.name, columns, len(rows), expressions.json_key(known[1], self.key, at=place))

    def _written(self, names: Key, changed: Key) -> tuple[Indices, pa.Table]:
        """Columns of inserts, and of updates that give those in `changed` other values, or of all where that is empty, with their
        numbers."""
        numbers, found = [], []
        updates, inserts = 0, self.split
        for _, changes in self.parts:
            if set(names) <= set(changes.schema.names):
                every = np.ones(changes.after.num_rows, dtype=bool)
                moved = ~same_rows(changes.before, changes.after, changed, {}) if changed else every
                numbers += [updates + np.flatnonzero(moved), inserts + np.arange(changes.inserts.num_rows)]
                found += [
                    changes.after.select(list(names)).filter(pa.array(moved)),
                    changes.inserts.select(list(names)),
                ]
            updates, inserts = updates + changes.after.num_rows, inserts + changes.inserts.num_rows
        return _joined(numbers, found, self.shape, names)

    def _deleted(self, names: Key) -> tuple[Indices, pa.Table]:
        """Columns of deletes, with their numbers."""
        numbers, found, start = [], [], 0
        for _, changes in self.parts:
            if set(names) <= set(changes.deletes.column_names):
                numbers.append(start + np.arange(changes.deletes.num_rows))
                found.append(changes.deletes.select(list(names)))
            start += changes.deletes.num_rows
        return _joined(numbers, found, self.shape, names)

    def _matched(
        self, children: tuple[Indices, pa.Table], own: Key, parents: tuple[Indices, pa.Table], there: Key
    ) -> tuple[Indices, Indices]:
        """Pairs of numbers: rows, and the row whose values they have in the columns that refer."""
        numbers, referring = _whole(*children, own)
        others, referred = _whole(*parents, there)
        if not len(numbers) or not len(others):
            return np.array([], np.int64), np.array([], np.int64)
        names = tuple(map(str, range(len(own))))
        both = [self.compared(each).rename_columns(list(names)) for each in (referring, referred)]
        alike = pa.concat_tables(both, promote_options="permissive")
        at = keys.match(alike.slice(0, len(numbers)), alike.slice(len(numbers)), names)
        met = at >= 0
        return numbers[met], others[at[met]]


def _joined(numbers: list[Indices], found: list[pa.Table], shape: TableShape, names: Key) -> tuple[Indices, pa.Table]:
    none = shape.schema(names).empty_table()
    return np.concatenate([np.array([], np.int64), *numbers]), pa.concat_tables(found) if found else none


def _whole(numbers: Indices, rows: pa.Table, names: Key) -> tuple[Indices, pa.Table]:
    null = keys.null_keys(rows, names)
    return (numbers[~null], rows.filter(pa.array(~null))) if null.any() else (numbers, rows)


def parted(changes: ChangeSet, leaving: Leaving) -> tuple[ChangeSet, dict[str, tuple[pa.Table, Indices]]]:
    """What stays of a window, and of each image the rows that leave it, with the numbers of their new windows."""
    images = {
        "before": leaving.updates,
        "after": leaving.updates,
        "inserts": leaving.inserts,
        "deletes": leaving.deletes,
    }
    away = {
        name: (getattr(changes, name).filter(pa.array(to >= 0)), to[to >= 0])
        for name, to in images.items()
        if (to >= 0).any()
    }
    stays = {name: getattr(changes, name).filter(pa.array(images[name] < 0)) for name in away}
    return replace(changes, **stays), away


def moved(windows: Sequence[ChangeSet], order: OwnOrder) -> list[ChangeSet]:
    """The windows with the new ones behind them. In: all windows, from 0 on."""
    stay = list(windows)
    away: list[dict[str, list[pa.Table]]] = [{} for _ in range(order.upserts + order.deletes)]
    like: dict[int, ChangeSet] = {}
    for number, leaving in order.leaving.items():
        stay[number], found = parted(windows[number], leaving)
        for image, (rows, to) in found.items():
            by_window = np.argsort(to, kind="stable")
            starts = np.flatnonzero(np.diff(to[by_window], prepend=-1))
            sorted_rows = rows.take(pa.array(by_window))
            for start, end in pairwise([*starts.tolist(), len(to)]):
                window = int(to[by_window[start]])
                like.setdefault(window, windows[number].empty)
                away[window].setdefault(image, []).append(sorted_rows.slice(start, end - start))
    new = [
        replace(like[window], **{image: pa.concat_tables(some) for image, some in parts.items()})
        for window, parts in enumerate(away)
    ]
    return [*stay, *new]
