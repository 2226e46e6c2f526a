"""The messages of PostgreSQL's logical decoding (pgoutput, protocol 1, values as text), many at a time: which keys changed.

Each message is one value of a binary Arrow array. What is read of them are numbers by numpy, and values as Arrow arrays over the
bytes that came; nothing here goes from message to message but for the few that describe a table.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Final

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from adapters.feeds.key_tables import cut_out
from transforms.vocabulary import Key

BEGIN, COMMIT, RELATION, INSERT, UPDATE, DELETE, TRUNCATE = b"BCRIUDT"
OLD_KEY, OLD_ROW = b"KO"
NULL, UNCHANGED = b"nu"
CHANGES: Final = (INSERT, UPDATE, DELETE, TRUNCATE)
EPOCH: Final = datetime(2000, 1, 1, tzinfo=UTC)

Bytes = npt.NDArray[np.uint8]
Places = npt.NDArray[np.int64]


@dataclass(frozen=True, slots=True)
class Described:
    """A table as the stream describes it: its columns in order, and those of which an update or delete tells the old values."""

    columns: Key
    identity: frozenset[str]


@dataclass(slots=True)
class Read:
    """What was found in messages: by table (its oid) the values of its watched columns as texts, null where they are null, as
    they came. `unseen` are tables of which something came that does not tell which row it is.
    """

    values: dict[int, list[pa.Table]] = field(default_factory=dict)
    truncated: set[int] = field(default_factory=set)
    unseen: set[int] = field(default_factory=set)
    altered: set[int] = field(default_factory=set)
    transactions: list[Places] = field(default_factory=list)
    changes: int = 0
    since: datetime | None = None


class Messages:
    """A piece of the stream. `kinds` and `places` are of each message: its first byte, and where that stands in `wire`."""

    def __init__(self, data: pa.Array) -> None:
        _, offsets, values = data.buffers()
        ends = np.frombuffer(offsets, np.int32)[data.offset : data.offset + len(data) + 1]
        self.wire: Bytes = np.frombuffer(values, np.uint8) if values is not None else np.empty(0, np.uint8)
        self.places: Places = ends[:-1].astype(np.int64)
        self.ends: Places = ends[1:].astype(np.int64)
        self.kinds: Bytes = self.wire[self.places]

    def __len__(self) -> int:
        return len(self.places)

    def number(self, at: Places, width: int) -> Places:
        """The unsigned numbers of `width` bytes that stand at these places of the wire."""
        value = np.zeros(len(at), np.int64)
        for i in range(width):
            value = value << 8 | self.wire[at + i]
        return value


def described(message: bytes) -> tuple[int, Described]:
    """A RELATION message: the table's oid, and what it is."""
    oid = int.from_bytes(message[1:5])
    _, _, rest = message[5:].split(b"\0", 2)
    count, at = int.from_bytes(rest[1:3]), 3
    names, identity = [], []
    for _ in range(count):
        stop = rest.index(b"\0", at + 1)
        name = rest[at + 1 : stop].decode()
        names.append(name)
        identity += [name] * (rest[at] & 1)
        at = stop + 9  # its type and the type's modifier
    return oid, Described(tuple(names), frozenset(identity))


def truncated(message: bytes) -> list[int]:
    """A TRUNCATE message: the oids of its tables."""
    return [int.from_bytes(message[at : at + 4]) for at in range(6, len(message), 4)]


def when(ticks: int) -> datetime:
    """A time of the stream, which counts microseconds from 2000."""
    return EPOCH + timedelta(microseconds=ticks)


def values_of(
    messages: Messages, chosen: Places, tables: Mapping[int, Described], watched: Mapping[int, Key], into: Read
) -> None:
    """Add the keys of some changes to what was read.

    In: the places among `messages` of inserts, updates and deletes, ascending; of each table, the same columns in all of them.
    """
    oids = messages.number(messages.places[chosen] + 1, 4)
    for oid in map(int, np.unique(oids)):
        if oid in watched and oid in tables:
            _values_of_table(messages, chosen[oids == oid], tables[oid], watched[oid], oid, into)


def _values_of_table(messages: Messages, chosen: Places, table: Described, columns: Key, oid: int, into: Read) -> None:
    if not set(columns) <= table.identity:
        into.unseen.add(oid)
        return
    places = [table.columns.index(name) for name in columns]
    tags = messages.wire[messages.places[chosen] + 5]
    first, ends = _tuples(messages, messages.places[chosen] + 6, len(table.columns), places)
    both = (messages.kinds[chosen] == UPDATE) & ((tags == OLD_KEY) | (tags == OLD_ROW))
    if any(each.unchanged.any() for each in first):
        into.unseen.add(oid)
        return
    arrays = [cut_out(messages.wire, each.starts, each.ends, each.null) for each in first]
    into.values.setdefault(oid, []).append(pa.table(arrays, names=list(columns)))
    if both.any():
        later, _ = _tuples(messages, ends[both] + 1, len(table.columns), places)
        old = [array.filter(pa.array(both)) for array in arrays]
        new = [
            pc.if_else(pa.array(each.unchanged), before, cut_out(messages.wire, each.starts, each.ends, each.null))
            for before, each in zip(old, later, strict=True)
        ]
        into.values[oid].append(pa.table(new, names=list(columns)))


@dataclass(frozen=True, slots=True)
class _Column:
    """Where the values of a column begin and end in the wire; both at one place for those that are not there."""

    starts: Places
    ends: Places
    null: npt.NDArray[np.bool_]
    unchanged: npt.NDArray[np.bool_]


def _tuples(messages: Messages, at: Places, count: int, wanted: Sequence[int]) -> tuple[list[_Column], Places]:
    """The wanted columns of rows that begin at these places, all of `count` columns, and where the rows end."""
    if not np.array_equal(messages.number(at, 2), np.full(len(at), count)):
        raise ValueError("rows of the stream have not the columns that it described")
    at = at + 2
    found: dict[int, _Column] = {}
    for place in range(count):
        kind = messages.wire[at]
        null, unchanged = kind == NULL, kind == UNCHANGED
        there = ~(null | unchanged)
        starts = at + 1 + 4 * there
        lengths = np.zeros(len(at), np.int64)
        lengths[there] = messages.number(at[there] + 1, 4)
        at = starts + lengths
        if place in wanted:
            found[place] = _Column(starts, at, null, unchanged)
    return [found[place] for place in wanted], at
