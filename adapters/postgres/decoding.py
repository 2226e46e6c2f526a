"""One look into a slot: its messages from a position on, in pieces of about so many changes."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from typing import Self

import numpy as np
import pyarrow as pa

from adapters.feeds.feed import FeedLost
from adapters.postgres.pgoutput import (
    BEGIN,
    CHANGES,
    COMMIT,
    RELATION,
    TRUNCATE,
    Described,
    Messages,
    Places,
    Read,
    described,
    truncated,
    values_of,
    when,
)
from transforms.vocabulary import Key


@dataclass(frozen=True, slots=True)
class Place:
    """A place in the log: behind `lsn`, and of the first transaction that is committed behind it, behind `done` changes.

    `token` is the slot's: of another slot, the numbers would say nothing. `parts` is of partitions, which the log does not tell of.
    """

    token: str
    lsn: int
    done: int = 0
    parts: str = ""

    @classmethod
    def parsed(cls, text: str) -> Self:
        try:
            place, _, parts = text.partition("@")
            token, lsn, done = place.split(":")
            high, low = lsn.split("/")
            return cls(token, int(high, 16) << 32 | int(low, 16), int(done), parts)
        except (TypeError, ValueError) as error:
            raise FeedLost(
                f"{text!r} is no position in a log of PostgreSQL.", fix="follow anew, which compares everything first."
            ) from error

    @property
    def log(self) -> str:
        """As PostgreSQL writes a place in its log."""
        return f"{self.lsn >> 32:X}/{self.lsn & 0xFFFFFFFF:X}"

    def __str__(self) -> str:
        return f"{self.token}:{self.log}:{self.done}" + (f"@{self.parts}" if self.parts else "")


class Decoded:
    """The messages that one look gave, from a place on. `place` is where reading stands."""

    def __init__(
        self, pieces: Iterator[pa.Array], start: Place, upto: int, most: int, watched: Mapping[int, Key]
    ) -> None:
        """In: pieces of binary messages; all up to the place `upto` of the log, or less where they are `most` and more."""
        self.place = start
        self.over = False
        self._pieces = pieces
        self._behind = start.lsn  # transactions whose commit stands before it were read before
        self._skip = start.done
        self._upto = upto
        self._most = most
        self._seen = 0
        self._watched = watched
        self._tables: dict[int, Described] = {}
        self._rest: pa.Array | None = None
        self._now: tuple[int, int, int] = (
            0,
            0,
            0,
        )  # of the transaction that is being read: its commit, time and number
        self._lsn, self._done = start.lsn, 0  # counted again, from the transaction's beginning

    def take(self, most: int) -> Read:
        """The next changes, `most` of them as long as there are so many. At the end `over` is true."""
        found = Read()
        while found.changes < most and not self.over:
            piece = self._rest if self._rest is not None else next(self._pieces, None)
            self._rest = None
            if piece is None:
                self._end()
            elif len(piece):
                self._piece(piece, most, found)
        self.place = replace(self.place, lsn=self._lsn, done=self._done)
        return found

    @property
    def limited(self) -> bool:
        """Whether the look may have ended before the place that it was to come to."""
        return self._seen >= self._most

    def _end(self) -> None:
        self.over = True
        if not self.limited:
            self._lsn, self._done = max(self._upto, self._lsn), 0

    def _piece(self, piece: pa.Array, most: int, found: Read) -> None:
        """Read a piece as far as there is room in `found`, and keep the rest."""
        messages = Messages(piece)
        begins = np.flatnonzero(messages.kinds == BEGIN)
        last = np.searchsorted(begins, np.arange(len(messages)), side="right")  # which BEGIN a message stands behind
        places = messages.places[begins]
        commits = np.append(self._now[0], messages.number(places + 1, 8))
        times = np.append(self._now[1], messages.number(places + 9, 8))
        numbers = np.append(self._now[2], messages.number(places + 17, 4))
        fresh = commits[last] >= self._behind
        changed = np.isin(messages.kinds, CHANGES) & fresh
        count = np.cumsum(changed)
        skipped = min(self._skip, int(count[-1]))
        room = skipped + most - found.changes
        stop = int(np.searchsorted(count, room, side="right"))  # before the first change that has no room
        kept = np.flatnonzero(changed[:stop])
        self._settle(messages, np.flatnonzero(fresh[:stop]), kept)
        chosen = kept[skipped:]
        self._skip -= skipped
        if len(chosen):
            of = np.unique(last[chosen])
            found.transactions.append(numbers[of])
            oldest = when(int(times[of].min()))
            found.since = min(found.since or oldest, oldest)
            found.changes += len(chosen)
        self._read(messages, piece, stop, chosen, found)
        if stop:
            at = last[stop - 1]
            self._now = int(commits[at]), int(times[at]), int(numbers[at])
        self._seen += stop
        if stop < len(messages):
            self._rest = piece.slice(stop)

    def _settle(self, messages: Messages, fresh: Places, kept: Places) -> None:
        """Where the place is behind these messages."""
        ends = fresh[messages.kinds[fresh] == COMMIT]
        if len(ends):
            (self._lsn,) = map(int, messages.number(messages.places[ends[-1:]] + 10, 8))
            self._done = int((kept > ends[-1]).sum())
        else:
            self._done += len(kept)

    def _read(self, messages: Messages, piece: pa.Array, stop: int, chosen: Places, found: Read) -> None:
        """The keys of the chosen changes; where a table is described anew, what comes before it is read first."""
        start = 0
        for at in map(int, np.flatnonzero(messages.kinds[:stop] == RELATION)):
            oid, table = described(piece[at].as_py())
            if oid in self._tables and self._tables[oid] != table:
                self._values(messages, chosen[(chosen >= start) & (chosen < at)], found)
                found.altered.add(oid)
                start = at
            self._tables[oid] = table
        self._values(messages, chosen[chosen >= start], found)
        for at in map(int, chosen[messages.kinds[chosen] == TRUNCATE]):
            found.truncated.update(truncated(piece[at].as_py()))

    def _values(self, messages: Messages, chosen: Places, found: Read) -> None:
        rows = chosen[messages.kinds[chosen] != TRUNCATE]
        if len(rows):
            values_of(messages, rows, self._tables, self._watched, found)
