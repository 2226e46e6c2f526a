"""What the target's own constraints would refuse of a plan: values that must be unique, and references to nothing.

A run sets such rows aside while it writes: of rows that share a value the first goes in, and what refers to a row that does not
go in stays out with it. Foreign keys that are added to the table once its rows are in end the run.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flows.bind import create_table
from flows.bind.tables import BoundTable
from flows.check.beside_trees import Hanging, outside, referred
from flows.check.findings import Finding, Level, Sample
from flows.plan.reading.collisions import alike, as_indexed, collation_of
from flows.plan.reading.piles import Pile
from flows.session.route import Route
from flows.session.session import Session
from transforms import expressions, keys
from transforms.mapping import casts
from transforms.vocabulary import ChangeSet, ColumnShape, ForeignKey, Relation, TableName
from transforms.vocabulary.arrow import Mask, as_mask, contiguous
from transforms.vocabulary.texts import as_text

PART_ROWS = 250_000  # of one side, held in memory while a constraint is looked at
MOST_PARTS = 256


STAYS, UPDATED, NEW, BEFORE, DELETED = range(5)
"""What becomes of a row: `op` in a pile. BEFORE is how an updated row is now, and stays where its update is refused."""
WRITTEN: Final = (UPDATED, NEW)
OP, WINDOW = "syncline:op", "syncline:window"


@dataclass(frozen=True, slots=True)
class Refused:
    """How many of the changes of a table the target will refuse, by what they are; `most` inserts and updates in one window."""

    inserts: int = 0
    updates: int = 0
    most: int = 0


@dataclass(frozen=True, slots=True)
class _Unique:
    table: BoundTable
    columns: tuple[str, ...]
    pile: Pile


@dataclass(frozen=True, slots=True)
class _Reference:
    """`parent` is None where no table of the plan is referred to: the target's rows are what they are. `late`: it is added once
    the rows are in."""

    table: BoundTable
    key: ForeignKey
    parent: BoundTable | None
    children: Pile
    parents: Pile
    late: bool


class Integrity:
    """Gathers, window by window, what the target will hold in its unique and referring columns after a run.

    In: of trees, the keys of each table in them. Memory: one part of a constraint. Disk: the columns of constraints.
    """

    def __init__(
        self, session: Session, folder: Path, tables: Sequence[BoundTable], rows: int, hanging: Hanging = None
    ) -> None:
        self._sides, self._hanging = session.sides, hanging
        parts = min(max(1, -(-rows // PART_ROWS)), MOST_PARTS)
        numbers = iter(range(1_000_000))

        def pile(width: int) -> Pile:
            return Pile(folder / f"{next(numbers):06d}", parts, width)

        by_name = {table.shape.name: table for table in tables}
        self._uniques = [_Unique(table, each, pile(len(each))) for table in tables for each in _uniques(table)]
        self._references = [
            _Reference(table, key, by_name.get(key.refers), pile(len(key.columns)), pile(len(key.columns)), late)
            for table in tables
            for key, late in _foreign_keys(session, table)
            if _checkable(table, key, by_name.get(key.refers))
        ]
        self._aside: dict[str, pa.Table] = {}
        self._because: dict[int, pa.Table] = {}  # by the pile of the constraint

    def add(self, bound: BoundTable, window: int, found: pa.Table, changes: ChangeSet) -> None:
        """Take in what a window leaves in the target."""
        uniques = [each for each in self._uniques if each.table.name == bound.name]
        references = [each for each in self._references if each.table.name == bound.name]
        parents = [each for each in self._references if each.parent and each.parent.name == bound.name]
        if not (uniques or references or parents):
            return
        rows = _after(bound, window, found, changes)
        for unique in uniques:
            compared = alike(Route(self._sides.source, self._sides.target, bound), rows, unique.columns)
            unique.pile.add(_noted(bound, rows, unique.columns, compared))
        for each in references:
            compared = self._compared(each, rows.select(list(each.key.columns)))
            each.children.add(_noted(bound, rows, each.key.columns, compared))
        for each in parents:
            compared = self._compared(each, rows.select(list(each.key.refers_columns)))
            each.parents.add(_noted(bound, rows, each.key.refers_columns, compared))

    def _compared(self, reference: _Reference, rows: pa.Table) -> pa.Table:
        """Values of either end of a reference in one type, and as the index of the parent compares them: c0, c1, …"""
        shape = (
            reference.parent.shape if reference.parent else self._sides.target.adapter.describe(reference.key.refers)
        )
        arrays, collated = [], False
        for own, there, column in zip(reference.key.columns, reference.key.refers_columns, rows.columns, strict=True):
            child, parent = reference.table.shape.column(own), shape.column(there) if shape else None
            arrays.append(_in_common(contiguous(column), child, parent))
            collated = collated or (parent is not None and parent.collation is not None)
        if shape is not None and collated and rows.num_rows:
            moved = pa.table(arrays, names=list(reference.key.refers_columns))
            new = reference.parent is not None and bool(reference.parent.ddl)
            arrays = as_indexed(self._sides.target.adapter, shape, moved, new=new)
        return pa.table(arrays, names=[f"c{i}" for i in range(len(arrays))])

    def findings(self, samples: int, blocked: Sequence[str]) -> Iterator[tuple[str, Finding]]:
        """What will be refused, by table. `blocked` tables are not known to the end, and nothing is said of them."""
        uniques = [each for each in self._uniques if each.table.name not in blocked]
        references = [
            each
            for each in self._references
            if each.table.name not in blocked and not (each.parent and each.parent.name in blocked)
        ]
        for each in references:
            self._read_parents(each)
        while self._more_aside(uniques, references):  # what refers to a row that stays out stays out itself
            pass
        for unique in uniques:
            if (lost := self._because.get(id(unique.pile))) is not None:
                yield from ((unique.table.name, each) for each in _twice(unique, lost, samples))
        for each in references:
            yield from ((each.table.name, found) for found in self._orphans(each, samples))

    def _more_aside(self, uniques: Sequence[_Unique], references: Sequence[_Reference]) -> bool:
        """Find the rows that the target refuses, given those that are known to stay out; whether there are more of them."""
        more = False
        for unique in uniques:
            for part in unique.pile.filled():
                more |= self._put_aside(unique.table, unique.pile, self._second(unique, part))
        for each in references:
            for part in each.children.filled() if not each.late else ():
                more |= self._put_aside(each.table, each.children, self._lost(each, part, written=True))
        return more

    def _put_aside(self, table: BoundTable, pile: Pile, rows: pa.Table) -> bool:
        if not rows.num_rows:
            return False
        few = rows.select([*key_names(table), "op", "w"])
        for known, place in ((self._aside, table.name), (self._because, id(pile))):
            known[place] = pa.concat_tables([known[place], few]) if place in known else few  # type: ignore[index]
        return True

    def _alive(self, table: BoundTable, pile: Pile, part: int) -> pa.Table:
        """The rows that will be there, without those that stay out and with what they would have replaced."""
        rows = pile.part(part)
        op = rows.column("op").to_numpy()
        out = self._out(table, rows)
        return rows.filter(pa.array((op == STAYS) | (np.isin(op, WRITTEN) & ~out) | ((op == BEFORE) & out)))

    def _second(self, unique: _Unique, part: int) -> pa.Table:
        return _second(self._alive(unique.table, unique.pile, part), len(unique.columns))

    def _out(self, table: BoundTable, rows: pa.Table) -> Mask:
        aside = self._aside.get(table.name)
        if aside is None or not rows.num_rows:
            return np.zeros(rows.num_rows, dtype=bool)
        return keys.contained(rows, aside, key_names(table))

    def _lost(self, each: _Reference, part: int, *, written: bool) -> pa.Table:
        """The rows of a part that refer to nothing: those that are written, or those that are there and stay."""
        rows = self._alive(each.table, each.children, part)
        rows = rows.filter(pa.array(np.isin(rows.column("op").to_numpy(), WRITTEN) == written))
        if each.parents.schema is None or not rows.num_rows:
            return rows
        there = self._alive(each.parent, each.parents, part) if each.parent else each.parents.part(part)
        return rows.filter(pa.array(~keys.contained(rows, there, _compared_names(each))))

    def _orphans(self, each: _Reference, samples: int) -> Iterator[Finding]:
        """Rows that refer to what will not be there."""
        key, names = each.key, key_names(each.table)
        lost: dict[bool, list[pa.Table]] = {True: [], False: []}
        for part in each.children.filled():
            lost[False].append(self._lost(each, part, written=False))
            if each.late:
                lost[True].append(self._lost(each, part, written=True))
            elif (because := self._because.get(id(each.children))) is not None:
                rows = each.children.part(part)
                out = np.isin(rows.column("op").to_numpy(), WRITTEN) & keys.contained(rows, because, names)
                lost[True].append(rows.filter(pa.array(out)))
        for written, parts in lost.items():
            if count := sum(rows.num_rows for rows in parts):
                few = keys.ascending(pa.concat_tables(parts), names).slice(0, samples)
                yield _orphaned(each, count, tuple(_samples(few, len(key.columns), len(names))), written=written)

    def refused(self, table: str) -> Refused:
        """How many changes of a table are refused, once `findings` has been asked."""
        rows = self._aside.get(table)
        if rows is None:
            return Refused()
        ops, windows = rows.column("op").to_pylist(), Counter(rows.column("w").to_pylist())
        return Refused(ops.count(NEW), ops.count(UPDATED), max(windows.values()))

    def _read_parents(self, reference: _Reference) -> None:
        """The target's rows, where the plan does not touch the table that is referred to, or not all of its rows."""
        parent, names = reference.parent, list(reference.key.refers_columns)
        shape = self._sides.target.adapter.describe(reference.key.refers)
        if shape is None or (parent is not None and self._hanging is None):
            return
        columns = [*dict.fromkeys([*(parent.key if parent else ()), *names])]
        asked = None if self._hanging is None else referred(reference.children, shape, names)
        for batch in self._sides.target.snapshot.scan(Relation(reference.key.refers), columns, keys=asked):
            rows = pa.Table.from_batches([batch]).select(columns)
            if parent is None:
                reference.parents.add(self._compared(reference, rows))
                continue
            rows = outside(rows, parent, self._hanging)
            rows = rows.append_column(OP, pa.array(np.full(rows.num_rows, STAYS, np.int8)))
            rows = rows.append_column(WINDOW, pa.array(np.full(rows.num_rows, -1, np.int32)))
            compared = self._compared(reference, rows.select(names))
            reference.parents.add(_noted(parent, rows, reference.key.refers_columns, compared))


def key_names(table: BoundTable) -> tuple[str, ...]:
    return tuple(f"k{i}" for i in range(len(table.key)))


def _noted(bound: BoundTable, rows: pa.Table, columns: tuple[str, ...], compared: pa.Table) -> pa.Table:
    """The columns as they are compared (c0…), as they are (v0…), the key (k0…), and what becomes of the row in which window."""
    arrays = {f"c{i}": compared.column(i) for i in range(len(columns))}
    arrays |= {f"v{i}": rows.column(name) for i, name in enumerate(columns)}
    arrays |= {f"k{i}": rows.column(name) for i, name in enumerate(bound.key)}
    return pa.table({**arrays, "op": rows.column(OP), "w": rows.column(WINDOW)})


def _in_common(values: pa.Array, child: ColumnShape | None, parent: ColumnShape | None) -> pa.Array:
    """The values as they are where both ends are of one type; else numbers in their canonical text, and texts."""
    if child is None or parent is None or child.type.equals(parent.type):
        return values
    number = pa.types.is_integer(values.type) or pa.types.is_decimal(values.type)
    return casts.cast(values, casts.Cast(pa.string(), "decimal")).values if number else as_text(values)


def _uniques(table: BoundTable) -> list[tuple[str, ...]]:
    """The column sets that must be unique besides the key, where a run writes all of them."""
    found = [
        unique
        for unique in table.shape.uniques
        if unique <= set(table.images) and not set(table.key) <= unique and table.identity not in unique
    ]
    return sorted(tuple(name for name in table.shape.names if name in unique) for unique in found)


def _foreign_keys(session: Session, table: BoundTable) -> list[tuple[ForeignKey, bool]]:
    """Those that the table has, and those of `create:`; whether a run adds them once the rows are in."""
    adds = session.sides.target.adapter.capabilities.adds_foreign_keys
    there = [(key, adds and bool(table.ddl)) for key in table.shape.foreign_keys]
    if adds:
        known = {(frozenset(zip(key.columns, key.refers_columns, strict=True)), key.refers.name) for key, _ in there}
        for key in create_table.foreign_keys(session.spec, table.name):
            if (frozenset(zip(key.columns, key.refers_columns, strict=True)), key.refers.name) not in known:
                there.append((key, True))
    return there


def _checkable(table: BoundTable, key: ForeignKey, parent: BoundTable | None) -> bool:
    mapped = set(key.columns) <= set(table.images)
    return mapped and (parent is None or set(key.refers_columns) <= set(parent.images))


def _after(bound: BoundTable, window: int, found: pa.Table, changes: ChangeSet) -> pa.Table:
    """The rows of a window as they are and will be, with what becomes of them (OP) and the window (WINDOW)."""
    gone = pa.concat_tables([changes.before.select(list(bound.key)), changes.deletes.select(list(bound.key))])
    stays = found
    if gone.num_rows and found.num_rows:
        stays = found.filter(pa.array(~keys.contained(found, gone, bound.key)))
    parts = {
        STAYS: stays, UPDATED: changes.after, NEW: changes.inserts, BEFORE: changes.before, DELETED: changes.deletes
    }  # fmt: skip
    rows = pa.concat_tables([part.select(list(bound.images)) for part in parts.values()])
    ops = np.repeat(np.array(list(parts), np.int8), [part.num_rows for part in parts.values()])
    return rows.append_column(OP, pa.array(ops)).append_column(WINDOW, pa.array(np.full(len(ops), window, np.int32)))


def _compared_names(reference: _Reference) -> tuple[str, ...]:
    return tuple(f"c{i}" for i in range(len(reference.key.columns)))


def _second(rows: pa.Table, width: int) -> pa.Table:
    """The rows of a part that are written and share their values with one that stays, or that is written before them."""
    compared = tuple(f"c{i}" for i in range(width))
    (group,) = keys.codes([rows], compared)
    if not len(group) or np.bincount(group).max() < 2:
        return rows.slice(0, 0)
    written = np.isin(rows.column("op").to_numpy(), WRITTEN)
    order = ("written", "w", "op", *(name for name in rows.column_names if name.startswith("k")))
    ordered = keys.ascending(rows.append_column("written", pa.array(written)), order)
    (group,) = keys.codes([ordered], compared)
    later = np.ones(len(group), dtype=bool)
    later[np.unique(group, return_index=True)[1]] = False
    return ordered.filter(pa.array(later & as_mask(ordered.column("written")))).drop_columns("written")


def _twice(unique: _Unique, lost: pa.Table, samples: int) -> Iterator[Finding]:
    """Rows that share their values, and rows whose values only the collation takes for one. `lost` stay out for it."""
    counts = {False: 0, True: 0}
    shown: dict[bool, list[Sample]] = {False: [], True: []}
    width = len(unique.columns)
    compared, plain = (tuple(f"{letter}{i}" for i in range(width)) for letter in "cv")
    for part in unique.pile.filled():
        rows = unique.pile.part(part)
        op, out = rows.column("op").to_numpy(), keys.contained(rows, lost, key_names(unique.table))
        rows = rows.append_column("out", pa.array(out & np.isin(op, WRITTEN)))
        rows = rows.filter(pa.array((op < BEFORE) | ((op == BEFORE) & out)))
        (numbers,) = keys.codes([rows], compared)
        bad = rows.filter(pa.array(np.bincount(numbers, weights=as_mask(rows.column("out")))[numbers] > 0))
        if not bad.num_rows:
            continue
        group, exact = keys.codes([bad], compared)[0], keys.codes([bad], plain)[0]
        pairs = np.unique(np.stack([group, exact]), axis=1)
        differing = np.bincount(pairs[0])[group] > 1
        for differs in (False, True):
            mine = differing == differs
            counts[differs] += int((mine & as_mask(bad.column("out"))).sum())
            if mine.any() and len(shown[differs]) < samples:
                shown[differs] += _pairs(bad.filter(pa.array(mine)), width, len(unique.table.key), samples)
    named = ", ".join(unique.columns)
    collation = collation_of(unique.table, unique.columns)
    for differs, count in counts.items():
        if count:
            told = (
                f"different values are one under the collation {collation}" if differs else "several rows have the same"
            )
            yield Finding(
                "quarantine",
                unique.columns,
                f"({named}) is unique: {told}",
                count,
                f"make them differ in the source, merge these rows with a query, or drop UNIQUE ({named}) in the target",
                tuple(sorted(shown[differs], key=lambda sample: (sample.value or "", sample.key))[:samples]),
            )


def _pairs(rows: pa.Table, width: int, key: int, most: int) -> list[Sample]:
    """Two rows of each of the first groups that meet: rows that differ, where some do."""
    names = [*(f"{letter}{i}" for letter in "cv" for i in range(width)), *(f"k{i}" for i in range(key))]
    ordered = keys.ascending(rows, tuple(names))
    (group,) = keys.codes([ordered], tuple(names[:width]))
    starts = np.flatnonzero(np.diff(group, prepend=-1))
    ends = np.append(starts[1:], len(group)) - 1
    first, second = (_samples(ordered.take(pa.array(at[:most])), width, key) for at in (starts, ends))
    return [Sample(a.key, a.value, b) for a, b in zip(first, second, strict=True)]


def _samples(rows: pa.Table, width: int, key: int) -> list[Sample]:
    names = tuple(f"k{i}" for i in range(key))
    told = expressions.as_json_keys(rows, names).to_pylist()
    values = [as_text(contiguous(rows.column(f"v{i}"))) for i in range(width)]
    joined = pc.binary_join_element_wise(*(pc.fill_null(v, "null") for v in values), ", ")
    return [Sample(each, value) for each, value in zip(told, joined.to_pylist(), strict=True)]


def _orphaned(reference: _Reference, rows: int, samples: tuple[Sample, ...], *, written: bool) -> Finding:
    """What is said of rows that refer to nothing, and what a run does: of those that are `written`, or that are there."""
    key = reference.key
    wanted = ", ".join(key.refers_columns)
    level: Level = "error" if reference.late else "quarantine"
    reason = f"refers to {key.refers}, where no row will have this {wanted}"
    if not written and not reference.late:
        level, reason = "note", f"refers to a row of {key.refers} that the source does not have, and that stays for it"
    return Finding(
        level, key.columns, reason, rows, _mended(reference, key.refers), samples, {"refers": str(key.refers)}
    )


def _mended(reference: _Reference, refers: TableName) -> str:
    parent = reference.parent
    rows = (
        f"mend what is set aside of {parent.name}, or add the rows to its source"
        if parent
        else f"add the rows to {refers}"
    )
    name = reference.key.columns[0]
    return f"{rows}; or take {name} from a `lookup` with `missing: null`, or leave these rows out with `where:`"
