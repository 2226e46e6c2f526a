"""What the target's own constraints would refuse of a plan: values that must be unique, and references to nothing."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters import spill
from flows import created
from flows.assessment import Finding, Sample
from flows.binding import BoundTable
from flows.collisions import alike, as_indexed, collation_of
from flows.session import Session
from transforms import casts, expressions, keys
from transforms.keys import Mask, as_mask, contiguous
from transforms.texts import as_text
from transforms.vocabulary import ChangeSet, ColumnShape, ForeignKey, Relation, TableName

PART_ROWS = 250_000  # of one side, held in memory while a constraint is looked at
MOST_PARTS = 256


@dataclass(slots=True)
class _Pile:
    """Rows on disk, cut into parts by the hash of their first `width` columns. Rows may come from several threads."""

    folder: Path
    parts: int
    width: int
    schema: pa.Schema | None = None
    _spill: spill.Spill | None = None
    _open: ExitStack = field(default_factory=ExitStack)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def add(self, rows: pa.Table) -> None:
        by = tuple(rows.column_names[: self.width])
        rows = rows.filter(pa.array(~keys.null_keys(rows, by)))
        if not rows.num_rows:
            return
        part = keys.partition(rows, by, self.parts)
        with self._lock:
            if self._spill is None:
                self.schema = rows.schema
                self._spill = self._open.enter_context(spill.Spill(self.folder, rows.schema, self.parts))
            self._spill.add(rows.cast(self.schema), part)

    def filled(self) -> list[int]:
        """The parts that have rows. Nothing may be added any more."""
        self._open.close()
        return [] if self._spill is None else [int(part) for part in np.flatnonzero(self._spill.rows)]

    def part(self, number: int) -> pa.Table | None:
        """The rows of one part, None where it has none."""
        if number not in self.filled() or self.schema is None:
            return None
        return spill.read_part(self.folder, number, self.schema)


@dataclass(frozen=True, slots=True)
class _Unique:
    table: BoundTable
    columns: tuple[str, ...]
    pile: _Pile


@dataclass(frozen=True, slots=True)
class _Reference:
    """`parent` is None where no table of the plan is referred to: the target's rows are what they are."""

    table: BoundTable
    key: ForeignKey
    parent: BoundTable | None
    children: _Pile
    parents: _Pile


class Integrity:
    """Gathers, window by window, what the target will hold in its unique and referring columns after a run.

    Memory: one part of a constraint. Disk: the columns of constraints.
    """

    def __init__(self, session: Session, folder: Path, tables: Sequence[BoundTable], rows: int) -> None:
        self._session = session
        parts = min(max(1, -(-rows // PART_ROWS)), MOST_PARTS)
        numbers = iter(range(1_000_000))

        def pile(width: int) -> _Pile:
            return _Pile(folder / f"{next(numbers):06d}", parts, width)

        by_name = {table.shape.name: table for table in tables}
        self._uniques = [_Unique(table, each, pile(len(each))) for table in tables for each in _uniques(table)]
        self._references = [
            _Reference(table, key, by_name.get(key.refers), pile(len(key.columns)), pile(len(key.columns)))
            for table in tables
            for key in _foreign_keys(session, table)
            if _checkable(table, key, by_name.get(key.refers))
        ]

    def add(self, bound: BoundTable, found: pa.Table, changes: ChangeSet) -> None:
        """Take in what a window leaves in the target."""
        uniques = [each for each in self._uniques if each.table.name == bound.name]
        references = [each for each in self._references if each.table.name == bound.name]
        parents = [each for each in self._references if each.parent and each.parent.name == bound.name]
        if not (uniques or references or parents):
            return
        rows, new = _after(bound, found, changes)
        for unique in uniques:
            compared = alike(self._session, bound, rows, unique.columns)
            unique.pile.add(_noted(bound, rows, unique.columns, compared, new))
        for each in references:
            compared = self._compared(each, rows.select(list(each.key.columns)))
            each.children.add(_noted(bound, rows, each.key.columns, compared, new))
        for each in parents:
            each.parents.add(self._compared(each, rows.select(list(each.key.refers_columns))))

    def _compared(self, reference: _Reference, rows: pa.Table) -> pa.Table:
        """Values of either end of a reference in one type, and as the index of the parent compares them: c0, c1, …"""
        shape = reference.parent.shape if reference.parent else self._session.target.describe(reference.key.refers)
        arrays, collated = [], False
        for own, there, column in zip(reference.key.columns, reference.key.refers_columns, rows.columns, strict=True):
            child, parent = reference.table.shape.column(own), shape.column(there) if shape else None
            arrays.append(_in_common(contiguous(column), child, parent))
            collated = collated or (parent is not None and parent.collation is not None)
        if shape is not None and collated and rows.num_rows:
            moved = pa.table(arrays, names=list(reference.key.refers_columns))
            new = reference.parent is not None and bool(reference.parent.ddl)
            arrays = as_indexed(self._session, shape, moved, new=new)
        return pa.table(arrays, names=[f"c{i}" for i in range(len(arrays))])

    def findings(self, samples: int, blocked: Sequence[str]) -> Iterator[tuple[str, Finding]]:
        """What would be refused, by table. `blocked` tables are not known to the end, and nothing is said of them."""
        for unique in self._uniques:
            if unique.table.name not in blocked:
                yield from ((unique.table.name, each) for each in _twice(unique, samples))
        for each in self._references:
            if each.table.name not in blocked and not (each.parent and each.parent.name in blocked):
                self._read_parents(each)
                yield from ((each.table.name, found) for found in _orphans(each, samples))

    def _read_parents(self, reference: _Reference) -> None:
        """The target's rows, where the plan does not touch the table that is referred to."""
        if reference.parent is not None:
            return
        names = list(reference.key.refers_columns)
        if self._session.target.describe(reference.key.refers) is None:
            return
        for batch in self._session.reading[1].scan(Relation(reference.key.refers), names):
            reference.parents.add(self._compared(reference, pa.Table.from_batches([batch]).select(names)))


def _noted(bound: BoundTable, rows: pa.Table, columns: tuple[str, ...], compared: pa.Table, new: Mask) -> pa.Table:
    """The columns as they are compared (c0…), as they are (v0…), the key (k0…), and whether the plan writes them."""
    arrays = {f"c{i}": compared.column(i) for i in range(len(columns))}
    arrays |= {f"v{i}": rows.column(name) for i, name in enumerate(columns)}
    arrays |= {f"k{i}": rows.column(name) for i, name in enumerate(bound.key)}
    return pa.table({**arrays, "new": pa.array(new)})


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


def _foreign_keys(session: Session, table: BoundTable) -> list[ForeignKey]:
    """Those that the table has, and those of `create:` that a run adds once the rows are in."""
    there = list(table.shape.foreign_keys)
    if session.target.engine in created.ADDS_KEYS:
        known = {(frozenset(zip(key.columns, key.refers_columns, strict=True)), key.refers.name) for key in there}
        for key in created.foreign_keys(session.spec, table.name):
            if (frozenset(zip(key.columns, key.refers_columns, strict=True)), key.refers.name) not in known:
                there.append(key)
    return there


def _checkable(table: BoundTable, key: ForeignKey, parent: BoundTable | None) -> bool:
    mapped = set(key.columns) <= set(table.images)
    return mapped and (parent is None or set(key.refers_columns) <= set(parent.images))


def _after(bound: BoundTable, found: pa.Table, changes: ChangeSet) -> tuple[pa.Table, Mask]:
    """The rows that a window leaves behind, and which of them the plan writes."""
    gone = pa.concat_tables([changes.before.select(list(bound.key)), changes.deletes.select(list(bound.key))])
    stays = found
    if gone.num_rows and found.num_rows:
        stays = found.filter(pa.array(~keys.contained(found, gone, bound.key)))
    rows = pa.concat_tables([stays.select(list(bound.images)), changes.inserts.select(list(bound.images)),
                             changes.after.select(list(bound.images))])  # fmt: skip
    return rows, np.arange(rows.num_rows) >= stays.num_rows


def _twice(unique: _Unique, samples: int) -> Iterator[Finding]:
    """Rows that share their values, and rows whose values only the collation takes for one."""
    counts = {False: 0, True: 0}
    shown: dict[bool, list[Sample]] = {False: [], True: []}
    width = len(unique.columns)
    compared, plain = (tuple(f"{letter}{i}" for i in range(width)) for letter in "cv")
    for part in unique.pile.filled():
        rows = unique.pile.part(part)
        assert rows is not None, "it is filled"
        (numbers,) = keys.codes([rows], compared)
        many = np.bincount(numbers)[numbers] > 1
        fresh = np.bincount(numbers, weights=as_mask(rows.column("new")))[numbers] > 0
        bad = rows.filter(pa.array(many & fresh))
        if not bad.num_rows:
            continue
        group, exact = keys.codes([bad], compared)[0], keys.codes([bad], plain)[0]
        pairs = np.unique(np.stack([group, exact]), axis=1)
        differing = np.bincount(pairs[0])[group] > 1
        for differs in (False, True):
            mine = differing == differs
            counts[differs] += int((mine & as_mask(bad.column("new"))).sum())
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
                "error",
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


def _orphans(reference: _Reference, samples: int) -> Iterator[Finding]:
    """Rows that refer to what will not be there."""
    key = reference.key
    names = tuple(f"c{i}" for i in range(len(key.columns)))
    count = 0
    shown: list[Sample] = []
    for part in reference.children.filled():
        rows, there = reference.children.part(part), reference.parents.part(part)
        assert rows is not None, "it is filled"
        lost = ~keys.contained(rows, there, names) if there is not None else np.ones(rows.num_rows, dtype=bool)
        count += int(lost.sum())
        if lost.any() and len(shown) < samples:
            few = keys.ascending(rows.filter(pa.array(lost)), tuple(f"k{i}" for i in range(len(reference.table.key))))
            shown += _samples(few.slice(0, samples), len(key.columns), len(reference.table.key))
    if count:
        wanted = ", ".join(key.refers_columns)
        yield Finding(
            "error",
            key.columns,
            f"refers to {key.refers}, where no row will have this {wanted}",
            count,
            _mended(reference, key.refers),
            tuple(shown[:samples]),
            {"refers": str(key.refers)},
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
