"""Row events of the binary log: where in them the values of columns stand, many rows at a time.

Rows say nothing of their length, so that the second begins where the columns of the first end. All events of one form are walked
at once: step by step, one row of each.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adapters.feeds.key_tables import cut_out
from adapters.mysql.binlog import UPDATE_ROWS, Event, unpacked

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]

DECIMAL, ENUM, SET, STRING = 246, 247, 248, 254
WIDTHS: Final = {1: 1, 2: 2, 3: 4, 4: 4, 5: 8, 6: 0, 8: 8, 9: 3, 10: 3, 13: 1, 14: 3}
"""Bytes of a value of the kinds whose length the kind alone says."""
FRACTIONS: Final = {17: 4, 18: 5, 19: 3}  # times: bytes before those of the fraction
BLOBS: Final = (140, 245, 249, 250, 251, 252, 255)
NAMED: Final = (15, 141, 253)  # texts whose greatest length is told
TOLD_IN_ONE: Final = (4, 5, *FRACTIONS, *BLOBS)
TOLD_IN_TWO: Final = (16, DECIMAL, ENUM, SET, STRING, *NAMED)
GROUP: Final = (0, 1, 1, 2, 2, 3, 3, 4, 4, 4)  # bytes of so many decimal digits
MAPPED: Final = 8  # bytes of a row event before its columns
DATABASE: Final = 8  # where the names in a TABLE_MAP begin


@dataclass(frozen=True, slots=True)
class Column:
    """A column in a row event: its kind, what else is told of it, and the bytes of a value, or of the length before it."""

    kind: int
    told: int
    width: int
    varies: bool


@dataclass(frozen=True, slots=True)
class TableMap:
    """What a TABLE_MAP event says of a table. `columns` are None where there is one of which nobody knows how long it is."""

    schema: str
    table: str
    columns: tuple[Column, ...] | None


def table_map(body: bytes) -> TableMap:
    """The body of a TABLE_MAP event."""
    at = DATABASE
    schema = body[at + 1 : at + 1 + body[at]]
    at += body[at] + 2
    table = body[at + 1 : at + 1 + body[at]]
    at += body[at] + 2
    count, at = _length(body, at)
    kinds = body[at : at + count]
    _, at = _length(body, at + count)
    columns: list[Column] | None = []
    for kind in kinds:
        size = 2 if kind in TOLD_IN_TWO else 1 if kind in TOLD_IN_ONE else 0
        column = _column(kind, body[at : at + size])
        columns = None if column is None or columns is None else [*columns, column]
        at += size
    return TableMap(schema.decode(), table.decode(), None if columns is None else tuple(columns))


def _length(body: bytes, at: int) -> tuple[int, int]:
    """A number of one, three, four or nine bytes, and where the next thing stands."""
    size = {252: 2, 253: 3, 254: 8}.get(body[at], 0)
    return (int.from_bytes(body[at + 1 : at + 1 + size], "little"), at + 1 + size) if size else (body[at], at + 1)


def _column(kind: int, told: bytes) -> Column | None:
    number = int.from_bytes(told, "little")
    if kind in WIDTHS:
        return Column(kind, number, WIDTHS[kind], varies=False)
    if kind in FRACTIONS:
        return Column(kind, number, FRACTIONS[kind] + (number + 1) // 2, varies=False)
    if kind in BLOBS:
        return Column(kind, number, number, varies=True)
    if kind in NAMED:
        return Column(kind, number, 1 if number < 256 else 2, varies=True)
    if kind == 16:  # BIT
        return Column(kind, number, told[1] + (told[0] > 0), varies=False)
    if kind == DECIMAL:
        return Column(kind, number, _decimal_bytes(*told), varies=False)
    if kind == STRING:
        real = told[0] | 0x30
        if told[0] in (ENUM, SET):
            return Column(told[0], told[1], told[1], varies=False)
        most = told[1] | ((told[0] & 0x30) ^ 0x30) << 4
        return Column(STRING, most, 1 if most < 256 else 2, varies=True) if real == STRING else None
    return None  # times as MySQL 5.5 stored them, and kinds to come


def _decimal_bytes(precision: int, scale: int) -> int:
    return sum(4 * (digits // 9) + GROUP[digits % 9] for digits in (precision - scale, scale))


@dataclass(frozen=True, slots=True)
class Form:
    """What row events have in common that are walked together: the kind, and of the columns those that are there, before and after."""

    kind: int
    before: tuple[bool, ...]
    after: tuple[bool, ...]


def taken_apart(event: Event, count: int) -> tuple[Form, bytes]:
    """A row event of a table of `count` columns: its form, and its rows."""
    body = event.body
    size = (count + 7) // 8
    _, at = _length(body, MAPPED)
    before = _bits(body[at : at + size], count)
    at += size
    after = before
    if event.kind == UPDATE_ROWS:
        after = _bits(body[at : at + size], count)
        at += size
    return Form(event.kind, before, after), unpacked(body[at:]) if event.compressed else body[at:]


def table_of(event: Event) -> int:
    """The number by which a TABLE_MAP or row event names its table."""
    return int.from_bytes(event.body[:6], "little")


def _bits(data: bytes, count: int) -> tuple[bool, ...]:
    return tuple(bool(data[i >> 3] >> (i & 7) & 1) for i in range(count))


@dataclass(frozen=True, slots=True)
class Rows:
    """The wanted columns of rows, binary as they were stored; of updates before and after, row by row. None: it was not there."""

    count: int
    before: tuple[pa.Array | None, ...]
    after: tuple[pa.Array | None, ...] | None


def values(rows: Sequence[bytes], form: Form, columns: Sequence[Column], wanted: Sequence[int]) -> Rows:
    """The wanted columns, by their places, of the rows of events that have one form."""
    wire = np.frombuffer(b"".join(rows), np.uint8)
    ends: Places = np.cumsum([len(each) for each in rows])
    at = np.concatenate([[0], ends[:-1]])
    alive = at < ends
    at, ends = at[alive], ends[alive]
    images = [form.before] if form.kind != UPDATE_ROWS else [form.before, form.after]
    steps: list[list[_Image]] = [[] for _ in images]
    while len(at):
        for found, present in zip(steps, images, strict=True):
            image, at = _image(wire, at, present, columns, wanted)
            found.append(image)
        alive = at < ends
        at, ends = at[alive], ends[alive]
    arrays = [_arrays(wire, found, present, wanted) for found, present in zip(steps, images, strict=True)]
    count = sum(len(next(iter(each.values()))[0]) if each else 0 for each in steps[0])
    return Rows(count, arrays[0], arrays[1] if len(arrays) > 1 else None)


_Image = dict[int, tuple[Places, Places, npt.NDArray[np.bool_]]]
"""By a column's place where its values begin and end, and which are null; under -1 where the rows begin."""


def _image(
    wire: Bytes, at: Places, present: Sequence[bool], columns: Sequence[Column], wanted: Sequence[int]
) -> tuple[_Image, Places]:
    """One row of each event: where the wanted values stand, and where the rows end."""
    begins, found = at, {}
    at = at + (sum(present) + 7) // 8
    bit = 0
    for place, column in enumerate(columns):
        if not present[place]:
            continue
        null = (wire[begins + (bit >> 3)] >> (bit & 7) & 1).astype(bool)
        bit += 1
        start, size = at, np.where(null, 0, column.width)
        if column.varies:
            start = at + size
            length = np.zeros(len(at), np.int64)
            known = ~null
            for i in range(column.width):
                length[known] |= wire[at[known] + i].astype(np.int64) << 8 * i
            size = length
        at = start + size
        if place in wanted:
            found[place] = (start, at, null)
    found[-1] = (begins, at, np.zeros(len(at), bool))
    return found, at


def _arrays(
    wire: Bytes, steps: Sequence[_Image], present: Sequence[bool], wanted: Sequence[int]
) -> tuple[pa.Array | None, ...]:
    """The wanted values of all steps, in the order in which the rows stand in the wire."""
    if not steps:
        return tuple(pa.nulls(0, pa.binary()) if present[place] else None for place in wanted)
    order = np.argsort(np.concatenate([each[-1][0] for each in steps]), kind="stable")

    def array(place: int) -> pa.Array:
        starts, ends, null = (np.concatenate([each[place][i] for each in steps])[order] for i in range(3))
        return cut_out(wire, starts, ends, null)

    return tuple(array(place) if present[place] else None for place in wanted)
