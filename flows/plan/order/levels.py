"""Rows that have an order only if it goes back and forth between tables: each has a level, and levels go in one after the other.

Rows that need none of the others stay in their windows, which come first. All that need one leave them for new windows behind
those, each with rows of one level.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Final

import numpy as np
import pyarrow as pa

from flows.plan.order.own_order import Leaving, OwnOrder, own_keys
from flows.plan.order.stages import Step
from flows.plan.references.foreseen import Foreseen
from flows.plan.references.references import Need, met
from transforms import expressions, keys
from transforms.needs import Needs, levels
from transforms.vocabulary import ChangeSet, ForeignKey, Key, Phase, TableName, TableShape
from transforms.vocabulary.arrow import Indices
from transforms.vocabulary.values import same_rows

IMAGES: Final[Mapping[Phase, tuple[str, ...]]] = {"upsert": ("after", "inserts"), "delete": ("deletes",)}
"""Where a change set has the rows of a step."""

Some = tuple[Indices, pa.Table]
"""Some rows of a step: their numbers, and columns of them."""


class InRowCircle(Exception):
    """Rows need each other, and not only their tables. `needs` are of these rows alone."""

    def __init__(self, needs: Sequence[Need]) -> None:
        super().__init__("; ".join(map(str, needs)))
        self.needs = needs


@dataclass(frozen=True, slots=True)
class Levels:
    """How the rows of some steps follow each other: of each step the keys of those that need others, with levels from 1 on."""

    steps: frozenset[Step]
    behind: Mapping[Step, tuple[pa.Table, Indices]]


@dataclass(frozen=True, slots=True)
class Leveling:
    """Finds the levels of rows. In: what is foreseen of the tables that are written, in the columns of their foreign keys."""

    shapes: Mapping[TableName, TableShape]
    known: Mapping[TableName, Foreseen]

    def of(self, steps: frozenset[Step], needs: Sequence[Need]) -> Levels:
        """The levels of the rows of steps, all of one phase, of which some are wanted before others. Errors: InRowCircle.

        Memory: some numbers a row and a reference.
        """
        rows = {step: self._keys(step) for step in sorted(steps)}
        ends = np.cumsum([0, *map(len, rows.values())])
        start = dict(zip(rows, ends.tolist(), strict=False))
        wanted = [each for each in needs if each.child != each.foreign.refers]
        between = [(need, self._pairs(need, start)) for need in wanted]
        within = [self._own_pairs(step, key, start[step]) for step in rows for key in own_keys(self.shapes[step.table])]
        order = levels(int(ends[-1]), Needs.of([*(pairs for _, pairs in between), *within]))
        if order.circle.any():
            named = [
                self._of_circle(
                    need, pairs.chosen(order.circle[pairs.later] & order.circle[pairs.earlier]), rows, start
                )
                for need, pairs in between
            ]
            raise InRowCircle([each for each in named if each is not None] or list(wanted))
        level = dict(zip(rows, np.split(order.window, ends[1:-1]), strict=True))
        behind = {
            step: (each.filter(pa.array(level[step] > 0)), level[step][level[step] > 0]) for step, each in rows.items()
        }
        return Levels(steps, behind)

    def _keys(self, step: Step) -> pa.Table:
        changes = self.known[step.table].changes
        if step.phase == "delete":
            return self.known[step.table].deleted.select(list(changes.key))
        return pa.concat_tables([getattr(changes, image).select(list(changes.key)) for image in IMAGES["upsert"]])

    def _pairs(self, need: Need, start: Mapping[Step, int]) -> Needs:
        """Which rows of the need's later step come after which of its earlier one."""
        child, parent, foreign = need.child, need.foreign.refers, need.foreign
        if need.comes:
            later, earlier = _met(
                self._coming(child, foreign.columns), self._coming(parent, foreign.refers_columns), foreign
            )
        elif need.later.phase == "delete":
            earlier, later = _met(
                self._deleted(child, foreign.columns), self._deleted(parent, foreign.refers_columns), foreign
            )
        else:
            earlier, later = _met(
                self._leaving(child, foreign.columns), self._leaving(parent, foreign.refers_columns), foreign
            )
        return Needs(later + start[need.later], earlier + start[need.earlier], np.ones(len(later), dtype=bool))

    def _own_pairs(self, step: Step, foreign: ForeignKey, start: int) -> Needs:
        """Which rows of a step come after others of it, because the table refers to itself; rows of a circle may go in at once."""
        table, own, there = step.table, foreign.columns, foreign.refers_columns
        if step.phase == "delete":
            earlier, later = _met(self._deleted(table, own), self._deleted(table, there), foreign)
            apart = np.full(len(later), bool(foreign.on_delete))
        else:
            updates = self.known[table].changes.after.num_rows
            child, parent = _met(self._coming(table, own), self._coming(table, there), foreign)
            before, behind = _met(self._leaving(table, own), self._leaving(table, there), foreign)
            later, earlier = np.concatenate([child, behind]), np.concatenate([parent, before])
            apart = (later < updates) != (earlier < updates)
        other = later != earlier
        return Needs(later[other] + start, earlier[other] + start, apart[other])

    def _coming(self, table: TableName, names: Key) -> Some:
        """The rows that get values in columns that they did not have."""
        changes, moved = self.known[table].changes, self._moved(table, names)
        if moved is None:
            return np.array([], np.int64), self.shapes[table].schema(names).empty_table()
        new = changes.after.num_rows + np.arange(changes.inserts.num_rows)
        rows = [changes.after.select(list(names)).take(pa.array(moved)), changes.inserts.select(list(names))]
        return np.concatenate([moved, new]), pa.concat_tables(rows)

    def _leaving(self, table: TableName, names: Key) -> Some:
        """The rows that give up values of columns, with those."""
        changes, moved = self.known[table].changes, self._moved(table, names)
        if moved is None:
            return np.array([], np.int64), self.shapes[table].schema(names).empty_table()
        return moved, changes.before.select(list(names)).take(pa.array(moved))

    def _moved(self, table: TableName, names: Key) -> Indices | None:
        """The updates that change columns; None where nothing writes those."""
        changes = self.known[table].changes
        if not set(names) <= set(changes.schema.names):
            return None
        return np.flatnonzero(~same_rows(changes.before, changes.after, names, {}))

    def _deleted(self, table: TableName, names: Key) -> Some:
        rows = self.known[table].deleted.select(list(names))
        return np.arange(rows.num_rows), rows

    def _of_circle(
        self, need: Need, pairs: Needs, rows: Mapping[Step, pa.Table], start: Mapping[Step, int]
    ) -> Need | None:
        """The need of rows in a circle alone; None where it has none."""
        if not len(pairs):
            return None
        mine = np.unique(pairs.later - start[need.later] if need.comes else pairs.earlier - start[need.earlier])
        own = rows[need.later if need.comes else need.earlier]
        return replace(need, rows=len(mine), first=expressions.json_key(own, at=int(mine[0])))


def _met(children: Some, parents: Some, foreign: ForeignKey) -> tuple[Indices, Indices]:
    """Numbers of rows, and of those that they refer to."""
    child, parent = met(children[1], foreign.columns, parents[1], foreign.refers_columns)
    return children[0][child], parents[0][parent]


def shared_out(
    found: Sequence[Levels], table: TableName, windows: Mapping[int, ChangeSet], most: int
) -> tuple[OwnOrder, tuple[int, ...]]:
    """Which rows of a table leave its windows for new ones, and the level of each new window.

    In: what the windows hold, at least the key; `most` rows come to a new window, and none of other columns than the others'.
    """
    numbers = sorted(windows)
    schemas = [windows[number].schema for number in numbers]
    kinds = np.array([schemas.index(each) for each in schemas], dtype=np.int64)
    to: dict[str, list[Indices]] = {}
    made: list[int] = []
    counts = {}
    for phase, images in IMAGES.items():
        parts = [getattr(windows[number], image) for image in images for number in numbers]
        level = np.concatenate([np.array([], np.int64), *_levels_of(found, Step(table, phase), parts)])
        kind = np.repeat(np.tile(kinds, len(images)), [part.num_rows for part in parts])
        number, fresh = _numbered(level, kind, most)
        number[number >= 0] += len(made)
        counts[phase] = len(fresh)
        made += fresh
        pieces = np.split(number, np.cumsum([part.num_rows for part in parts])[:-1])
        to |= {image: pieces[place * len(numbers) : (place + 1) * len(numbers)] for place, image in enumerate(images)}
    leaving = {
        number: each
        for place, number in enumerate(numbers)
        if (each := Leaving(to["after"][place], to["inserts"][place], to["deletes"][place])).some
    }
    return OwnOrder(leaving, (), counts["upsert"], counts["delete"]), tuple(made)


def _levels_of(found: Sequence[Levels], step: Step, parts: Sequence[pa.Table]) -> Iterator[Indices]:
    """The level of each row of some parts, 0 for those that need nothing."""
    behind = next((each.behind[step] for each in found if step in each.steps), None)
    if behind is None or not len(behind[1]):
        yield from (np.zeros(part.num_rows, dtype=np.int64) for part in parts)
        return
    rows, level = behind
    asked = pa.concat_tables([part.select(rows.column_names) for part in parts]).cast(rows.schema)
    place = keys.match(asked, rows, tuple(rows.column_names))
    yield np.where(place >= 0, level[place], 0)


def _numbered(level: Indices, kind: Indices, most: int) -> tuple[Indices, list[int]]:
    """A new window for each row above level 0, -1 for others, and the level of each window: ascending."""
    number = np.full(len(level), -1, dtype=np.int64)
    order = np.lexsort((kind, level))
    order = order[level[order] > 0]
    if not len(order):
        return number, []
    together = np.flatnonzero((np.diff(level[order], prepend=-1) != 0) | (np.diff(kind[order], prepend=-1) != 0))
    within = np.arange(len(order)) - np.repeat(together, np.diff(np.append(together, len(order))))
    starts = within % max(most, 1) == 0
    number[order] = np.cumsum(starts) - 1
    return number, level[order][starts].tolist()
