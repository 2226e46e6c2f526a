"""Read both sides of a comparison window by window: by key ranges where both have an order in common, else once each into files."""

from __future__ import annotations

import shutil
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import chain, pairwise
from pathlib import Path
from threading import Lock
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from adapters.protocol import Snapshot
from adapters.store import spill
from flows.compare.endpoint import Opened
from flows.compare.result import Unread
from flows.session.meter import Meter
from transforms import keys
from transforms.comparing.columns import WHERE, Columns, Where
from transforms.comparing.rows import Meanings, common_keys
from transforms.diff import WINDOW_ROWS
from transforms.mapping import casts
from transforms.vocabulary import INVALID, Key, KeyRange, KeyValue, named_text, reason_of
from transforms.vocabulary.arrow import Indices

CELLS: Final = 2_000_000  # values of a side in a window of a wide table
BYTES: Final = 64 * 2**20  # of a side that are compared at once: windows of long texts are cut further
MOST_PARTS: Final = 512  # open files
MANY_PARTS: Final = 64  # of a window by keys that is larger than BYTES
REASONS: Final = 20  # of rows that cannot travel, which are named


@dataclass(frozen=True, slots=True)
class Window:
    """A part of both sides that holds all rows of its keys: a range of keys, or one of `parts` of the files."""

    number: int
    left: KeyRange = field(default_factory=KeyRange)
    right: KeyRange = field(default_factory=KeyRange)
    part: int | None = None
    parts: int = 1


class UnreadRows:
    """Counts rows that cannot travel, from several threads. Each window counts once, however often it is tried."""

    def __init__(self) -> None:
        self._found: dict[tuple[Where, int], Counter[str]] = {}
        self._lock = Lock()

    def put(self, where: Where, window: int, reasons: Counter[str]) -> None:
        with self._lock:
            self._found[where, window] = reasons

    def of(self, where: Where) -> Unread:
        reasons: Counter[str] = Counter()
        for (side, _), some in self._found.items():
            if side == where:
                reasons.update(some)
        return Unread(reasons.total(), dict(reasons.most_common(REASONS)))


@dataclass(frozen=True, slots=True)
class Reading:
    """Both sides while they are read. `order` is the key as an index of both has it, empty where there is none."""

    sides: Mapping[Where, Opened]
    columns: Columns
    folder: Path
    meter: Meter
    unread: UnreadRows
    order: Key = ()

    def snapshot(self, where: Where) -> Snapshot:
        found = self.sides[where].snapshot
        assert found is not None, "the sides are being read"
        return found

    def schema(self, where: Where) -> pa.Schema:
        return self.sides[where].shape.schema(self.columns.names(where))

    def order_on(self, where: Where) -> Key:
        names = {column.name: column.on(where) for column in self.columns.key}
        return tuple(names[name] for name in self.order)

    @property
    def meanings(self) -> Meanings:
        return {
            where: {each.name: each.meaning for each in self.sides[where].shape.columns if each.meaning != "plain"}
            for where in WHERE
        }

    def pairs(self, window: Window) -> Iterator[tuple[pa.Table, pa.Table]]:
        """The rows of a window, left and right; in pieces by the hash of the key where they are more than BYTES."""
        if window.part is not None:
            left, right = (spill.read_part(self.folder / side, window.part, self.schema(side)) for side in WHERE)
            yield from self._pieces(left, right, window.parts)
            return
        one, two = (self._gathered(where, window) for where in WHERE)
        if isinstance(one, pa.Table) and isinstance(two, pa.Table):
            self._advance(one, two)
            yield one, two
            return
        for part in range(MANY_PARTS):
            left, right = self._part("left", one, part), self._part("right", two, part)
            yield from self._pieces(left, right, MANY_PARTS)
        for each in (one, two):
            if isinstance(each, Path):
                shutil.rmtree(each, ignore_errors=True)

    def _pieces(self, left: pa.Table, right: pa.Table, parts: int) -> Iterator[tuple[pa.Table, pa.Table]]:
        """A part of `parts` by the hash of the key, cut further where it is large. In: files that are mapped, and not loaded."""
        self._advance(left, right)
        count = -(-max(left.nbytes, right.nbytes) // BYTES)
        if count <= 1:
            yield left, right
            return
        numbers = [
            self._parts_of(where, rows, parts * count) // parts
            for where, rows in zip(WHERE, (left, right), strict=True)
        ]
        for piece in range(count):
            yield left.filter(pa.array(numbers[0] == piece)), right.filter(pa.array(numbers[1] == piece))

    def _advance(self, left: pa.Table, right: pa.Table) -> None:
        for where, rows in zip(WHERE, (left, right), strict=True):
            self.meter.advance(where, "compare", rows.num_rows)

    def _part(self, where: Where, found: pa.Table | Path, part: int) -> pa.Table:
        if isinstance(found, Path):
            return spill.read_part(found, part, self.schema(where))
        return found.filter(pa.array(self._parts_of(where, found, MANY_PARTS) == part))

    def _gathered(self, where: Where, window: Window) -> pa.Table | Path:
        """The rows of one side in a range of keys: in memory, or, where they are large, in the files of a folder."""
        schema, folder = self.schema(where), self.folder / where / f"{window.number:06d}"
        within = window.left if where == "left" else window.right
        batches: list[pa.RecordBatch] = []
        size = 0
        scan = self._scan(where, window.number, self.order_on(where), within)
        for batch in scan:
            batches.append(batch)
            size += batch.nbytes
            if size > BYTES:
                break
        if size <= BYTES:
            return pa.Table.from_batches(batches, schema=schema) if batches else schema.empty_table()
        with spill.Spill(folder, schema, MANY_PARTS) as into:
            for batch in chain(batches, scan):
                rows = pa.Table.from_batches([batch])
                into.add(rows, self._parts_of(where, rows, MANY_PARTS))
        return folder

    def _scan(
        self, where: Where, number: int, key: Key = (), within: KeyRange = KeyRange()
    ) -> Iterator[pa.RecordBatch]:
        """What can be read of a side; rows that cannot travel are counted."""
        side, names, reasons = self.sides[where], self.columns.names(where), Counter[str]()
        for batch in self.snapshot(where).scan(side.relation, names, key=key, within=within):
            if INVALID in batch.schema.names:
                good = pc.is_null(batch[INVALID])
                reasons.update(_why(text) for text in batch[INVALID].filter(pc.invert(good)).to_pylist())
                batch = batch.filter(good)
            yield batch.select(list(names))
        if reasons:
            self.unread.put(where, number, reasons)

    def spilled(self, parts: int) -> None:
        """Read both sides once into files, cut by the hash of the key in its common type."""
        for where in WHERE:
            self.meter.expect(where, "read", self.snapshot(where).estimate(self.sides[where].relation))
            with spill.Spill(self.folder / where, self.schema(where), parts) as into:
                for batch in self._scan(where, 0):
                    rows = pa.Table.from_batches([batch])
                    into.add(rows, self._parts_of(where, rows, parts))
                    self.meter.advance(where, "read", rows.num_rows)
            self.meter.finish(where, "read")

    def _parts_of(self, where: Where, rows: pa.Table, parts: int) -> Indices:
        found, _ = common_keys(rows, where, self.columns, self.meanings[where])
        return keys.partition(found, tuple(found.column_names), parts)


def order_of(sides: Mapping[Where, Opened], columns: Columns) -> Key:
    """The key in an order in which both sides have an index, as both sort the same values; empty where there is none."""
    left, right = (sides[where] for where in WHERE)
    if left.relation.query is not None or right.relation.query is not None:
        return ()
    names = {column.left: column for column in columns.key}
    for column in columns.key:
        one, two = left.shape.column(column.left), right.shape.column(column.right)
        assert one is not None and two is not None, "both were matched"
        if not one.travels_like(two) or not casts.keeps_order(one.type, one.meaning, two) or one.padded or two.padded:
            return ()
    for candidate in sorted(left.shape.ordered):
        if set(candidate) == set(names) and tuple(names[n].right for n in candidate) in right.shape.ordered:
            return tuple(names[name].name for name in candidate)
    return ()


def windows_of(reading: Reading) -> tuple[Window, ...]:
    """Cut both sides into windows; those of files are written here."""
    estimates = {where: reading.snapshot(where).estimate(reading.sides[where].relation) for where in WHERE}
    rows = min(WINDOW_ROWS, max(CELLS // len(reading.columns.every), 1))
    if not reading.order:
        for phase in ("read", "compare"):
            reading.meter.foresee(phase, {str(where): rows for where, rows in estimates.items()})
        parts = min(max(1, -(-max(estimates.values()) // rows)), MOST_PARTS)
        reading.spilled(parts)
        _expect_all(reading, estimates)
        return tuple(Window(part, part=part, parts=parts) for part in range(parts))
    cuts = _cuts(reading, estimates, rows)
    _expect_all(reading, estimates)
    starts: list[tuple[KeyValue | None, KeyValue | None]] = [(None, None), *cuts, (None, None)]
    return tuple(
        Window(number, KeyRange(one, one_stop, nulls=number == 0), KeyRange(two, two_stop, nulls=number == 0))
        for number, ((one, two), (one_stop, two_stop)) in enumerate(pairwise(starts))
    )


def _expect_all(reading: Reading, estimates: Mapping[Where, int]) -> None:
    for where in WHERE:
        reading.meter.expect(where, "compare", estimates[where])


def _cuts(reading: Reading, estimates: Mapping[Where, int], rows: int) -> list[tuple[KeyValue, KeyValue]]:
    """The keys between windows in the types of both sides: of the side that has more rows, as far as is known."""
    types = {side: [reading.schema(side).field(name).type for name in reading.order_on(side)] for side in WHERE}
    found: list[KeyValue] = []
    where = other = WHERE[0]
    for where in sorted(WHERE, key=lambda side: -estimates[side]):  # an estimate can be far off
        found = reading.snapshot(where).split(reading.sides[where].relation, reading.order_on(where), rows)
        if found:
            break
    other = WHERE[1] if where == WHERE[0] else WHERE[0]
    cuts = []
    for cut in dict.fromkeys(found):
        there = _converted(cut, types[where], types[other])
        if there is not None:
            cuts.append((cut, there) if where == "left" else (there, cut))
    return cuts


def _converted(cut: KeyValue, types: Sequence[pa.DataType], others: Sequence[pa.DataType]) -> KeyValue | None:
    """A key in the other side's types; None where it is no value of theirs, and two windows become one."""
    values = []
    for value, kind, other in zip(cut, types, others, strict=True):
        result = casts.cast(pa.array([value], kind), casts.Cast(other))
        if result.bad.any():
            return None
        values.append(result.values[0].as_py())
    return tuple(values)


def _why(text: str) -> str:
    """Why a row cannot travel, as it is said of all such rows."""
    return named_text(reason_of(text).without("value", "stored"))
