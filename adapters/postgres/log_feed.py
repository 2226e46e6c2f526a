"""Which rows changed, by PostgreSQL's log: a replication slot and pgoutput, read by SQL functions.

What is looked at is never taken: the slot moves when what was read is settled. A look goes over PEEKED messages, is kept open and
handed out in pieces, because each new one decodes the log from the slot's beginning.
"""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import replace
from select import POLLIN, poll
from typing import Any, Final

import numpy as np
import numpy.typing as npt
import psycopg
import pyarrow as pa

from adapters.feeds.feed import Batch, FeedLost, Held, Watched, Way, WhyWhole
from adapters.feeds.key_tables import distinct
from adapters.postgres import slots
from adapters.postgres.connection import Connections, answer, close_quietly, stream
from adapters.postgres.decoding import Decoded, Place
from adapters.postgres.key_texts import travelled
from adapters.postgres.pgoutput import Read
from adapters.postgres.types import Travel
from transforms.vocabulary import Key, SynclineError, TableName

PEEKED: Final = 250_000  # messages in one look: the server keeps about 50 bytes of each key in a temporary file
POLL_SECONDS: Final = 0.02
FLUSH_SECONDS: Final = 1.0  # wal_writer_delay is 0.2: what is committed without waiting is on disk after three of them
SOON_SECONDS: Final = 0.03
VISIBLE_SECONDS: Final = 1.0
SETTLE_SECONDS: Final = 5.0

PEEK: Final = (
    "SELECT data FROM pg_catalog.pg_logical_slot_peek_binary_changes({slot}, {upto}, {most}, "
    "'proto_version', '1', 'publication_names', {publication})"
)
PUSH: Final = "SELECT pg_catalog.pg_logical_emit_message(true, 'syncline', '')"
SNAPSHOT: Final = "SELECT pg_catalog.pg_current_snapshot()::text"


def feed(url: str, watched: Sequence[Watched], name: str) -> PostgresLogFeed:
    return PostgresLogFeed(url, watched, name)


class PostgresLogFeed:
    """A ChangeFeed (see the protocol) over logical decoding."""

    way: Way = "log"

    def __init__(self, url: str, watched: Sequence[Watched], name: str) -> None:
        self._connections = Connections(url)
        self._watched = tuple(watched)
        self._name = name
        self._open: _Look | None = None
        self._asker: psycopg.Connection[Any] | None = None
        self._known: dict[slots.Seen, list[Travel]] = {}
        self._moved = time.monotonic()

    def start(self) -> str:
        self._leave()
        with self._asking("Looking at what can be followed") as connection:
            slots.must_be_followable(connection, self._connections.url, self._watched)
        self.remove()
        token = slots.new_token()
        slot = self._slot(token)
        with self._asking("Publishing tables") as connection:
            slots.publish(connection, slot, self._watched)
        try:
            with self._asking("Making a replication slot") as connection:
                place = slots.make_slot(connection, slot, self._connections.url)
            with self._asking("Looking at what is published") as connection:
                tables = slots.seen(connection, slot, self._watched, self._connections.url)
        except BaseException:
            self.remove()
            raise
        return str(Place(token, place, parts=slots.parts_of(tables)))

    def read(self, position: str, most: int) -> Batch:
        at = Place.parsed(position)
        found = self._on(at, most)
        more = found is not None  # an earlier look does not know what came since
        if found is None:
            found = self._anew(at, most)
        if found is None or self._open is None:
            return Batch(position)
        look = self._open.decoded
        tables, travels = self._tables(at)
        if not self._visible(found):
            self._leave()
            return Batch(position)
        more = more or not look.over or look.limited
        if look.over:
            self._leave()
        keys, unseen = self._keys(found, tables, travels)
        look.place = replace(look.place, parts=slots.parts_of([seen for _, seen in tables]))
        if look.place.parts != at.parts:
            unseen |= {each.table for each, seen in tables if seen.parts is not None}
        whole: dict[TableName, WhyWhole] = dict.fromkeys(unseen, "unseen")
        whole |= {each.table: "altered" for each, seen in tables if not seen.same or seen.oid in found.altered}
        whole |= {each.table: "truncated" for each, seen in tables if seen.oid in found.truncated}
        return Batch(str(look.place), keys, whole, found.changes, found.since, more)

    def settle(self, position: str) -> None:
        """Moving a slot decodes the log from the slot's beginning: that is done now and then while a look is open."""
        at = Place.parsed(position)
        if self._open is not None and time.monotonic() < self._moved + SETTLE_SECONDS:
            return
        self._moved = time.monotonic()
        with self._asking("Moving a replication slot") as connection:
            slots.advance(connection, self._slot(at.token), at.log)

    def wait(self, position: str, seconds: float) -> bool:
        at = Place.parsed(position)
        ends = time.monotonic() + seconds
        while self._open is None and not at.done and self._state(at).written <= at.lsn:
            left = ends - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(POLL_SECONDS, left))
        return True

    def held(self) -> Held | None:
        with self._asking("Asking how much log is kept") as connection:
            return slots.held(connection, self._name)

    def remove(self) -> None:
        self._leave()
        with self._asking(f"Dropping the replication slots of {self._name!r}") as connection:
            slots.drop(connection, self._name, self._connections.url)

    def removing(self) -> list[str]:
        with self._asking(f"Looking for the replication slots of {self._name!r}") as connection:
            return slots.dropping(connection, self._name)

    def close(self) -> None:
        self._leave()
        self._hush()
        self._connections.close()

    def _slot(self, token: str) -> str:
        """The name of the slot and of the publication of a position."""
        return f"{slots.prefix_of(self._name)}{token}"

    @contextmanager
    def _asking(self, where: str) -> Iterator[psycopg.Connection[Any]]:
        """The connection for short questions, outside of transactions; another one after an error or where the server closed it."""
        with self._connections.translated(where):
            if self._asker is not None and _speaks(self._asker):
                self._hush()
            connection = self._asker = self._asker or self._connections.own()
            try:
                yield connection
            except BaseException:
                self._hush()
                raise

    def _hush(self) -> None:
        if self._asker is not None:
            self._asker.close()
            self._asker = None

    def _state(self, at: Place) -> slots.State:
        with self._asking("Looking at a replication slot") as connection:
            found = slots.state(connection, self._slot(at.token), self._connections.url)
        if found.written + slots.PAGE < at.lsn:
            raise FeedLost(f"{self._connections.url} is at an earlier state than what was read of it.", fix=slots.ANEW)
        return found

    def _upto(self, at: Place) -> int:
        """How far the log can be decoded, and at least as far as what is committed by now."""
        found, begun, pushed = self._state(at), time.monotonic(), False
        written = found.written
        while at.lsn < written and found.flushed < written and time.monotonic() < begun + FLUSH_SECONDS:
            if not pushed and time.monotonic() > begun + SOON_SECONDS:
                self._push()
                pushed = True
            else:
                time.sleep(POLL_SECONDS / 4)
            found = self._state(at)
        return found.flushed if written > at.lsn else at.lsn

    def _push(self) -> None:
        """Have the log flushed as it is, by a message in it that nobody looks at.

        What was written without a commit may lie there unflushed for 15 s, and a look that comes to it waits all that time.
        """
        with suppress(SynclineError), self._asking("Flushing the log") as connection:  # a standby takes none, and waits
            connection.execute(PUSH)

    def _on(self, at: Place, most: int) -> Read | None:
        """The next of the look that is open; None where it does not stand there, or has come to its end."""
        if self._open is None or self._open.decoded.place != at:
            return None
        found = self._taken(self._open, at, most)
        return found if self._open.decoded.place != at else None

    def _anew(self, at: Place, most: int) -> Read | None:
        """The first of a new look; None where nothing was written since. What was read and not settled is passed over."""
        self._leave()
        upto, limit = self._upto(at), PEEKED
        while upto > at.lsn or at.done:
            look = self._open = self._look(at, upto, limit)
            found = self._taken(look, at, most)
            if look.decoded.place != at or not look.decoded.limited:
                return found
            self._leave()
            limit *= 4
        return None

    def _taken(self, look: _Look, at: Place, most: int) -> Read:
        with self._peeking(at):
            return look.decoded.take(most)

    def _look(self, at: Place, upto: int, most: int) -> _Look:
        tables, _ = self._tables(at)
        slot = self._slot(at.token)
        query = PEEK.format(
            slot=psycopg.sql.quote(slot),
            upto=psycopg.sql.quote(Place(at.token, upto).log),
            most=most,
            publication=psycopg.sql.quote(slot),
        )
        watched = {seen.oid: each.columns for each, seen in tables}
        with self._peeking(at):
            return _Look(self._connections, query, at, upto, most, watched)

    @contextmanager
    def _peeking(self, at: Place) -> Iterator[None]:
        """A fault while looking into the slot is of the slot where that is gone, whatever the driver says."""
        try:
            with self._connections.translated("Reading the log"):
                yield
        except SynclineError:
            self._leave()
            self._state(at)
            self._tables(at)
            raise

    def _tables(self, at: Place) -> tuple[list[tuple[Watched, slots.Seen]], dict[int, list[Travel]]]:
        """What is watched as it is, and how the watched columns of a table travel that is as its shape has it."""
        with self._asking("Looking at what is followed") as connection:
            found = slots.seen(connection, self._slot(at.token), self._watched, self._connections.url)
            tables = list(zip(self._watched, found, strict=True))
            for each, seen in tables:
                if seen.same and seen not in self._known:
                    self._known[seen] = slots.travels(connection, each, seen.oid)
        return tables, {seen.oid: self._known[seen] for _, seen in tables if seen.same}

    def _visible(self, found: Read) -> bool:
        """Wait until a new snapshot sees all transactions: a commit is in the log before it is seen. False where one stays unseen."""
        ends = time.monotonic() + VISIBLE_SECONDS
        numbers = np.unique(np.concatenate(found.transactions)) if found.transactions else np.empty(0, np.int64)
        while len(numbers):
            with self._asking("Looking at what is visible") as connection:
                row = connection.execute(SNAPSHOT).fetchone()
            assert row is not None
            numbers = unseen_by(str(row[0]), numbers)
            if len(numbers) and time.monotonic() > ends:
                return False
            if len(numbers):
                time.sleep(0.001)
        return True

    def _keys(
        self, found: Read, tables: Sequence[tuple[Watched, slots.Seen]], travels: Mapping[int, Sequence[Travel]]
    ) -> tuple[dict[TableName, pa.Table], set[TableName]]:
        """The keys by table, and the tables of which some cannot be told."""
        keys: dict[TableName, pa.Table] = {}
        unseen = {each.table for each, seen in tables if seen.oid in found.unseen}
        for each, seen in tables:
            if seen.oid not in found.values or seen.oid not in travels:
                continue
            made = travelled(distinct(found.values[seen.oid]), travels[seen.oid], self._answer)
            if made is None:
                unseen.add(each.table)
            else:
                keys[each.table] = made
        return keys, unseen

    def _answer(self, query: str) -> pa.Table:
        with self._connections.translated("Reading keys of the log"):
            connection = self._connections.reader()
            try:
                return answer(connection, query)
            finally:
                self._connections.give_back(connection)

    def _leave(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


def _speaks(connection: psycopg.Connection[Any]) -> bool:
    """Whether a connection that rests has something to say: that it is closed."""
    waiting = poll()
    waiting.register(connection.fileno(), POLLIN)
    return bool(waiting.poll(0))


class _Look:
    """One look into the slot, with a connection of its own as long as it is open."""

    def __init__(
        self, connections: Connections, query: str, at: Place, upto: int, most: int, watched: Mapping[int, Key]
    ) -> None:
        self._connections = connections
        self._connection = connections.reader()
        self._batches = stream(self._connection, query)
        self.decoded = Decoded((batch.column(0) for batch in self._batches), at, upto, most, watched)

    def close(self) -> None:
        """Give the connection back; of a look that was not read to its end it is closed."""
        if self.decoded.over:
            self._connections.give_back(self._connection)
        else:
            close_quietly(self._connection)


def unseen_by(snapshot: str, numbers: npt.NDArray[np.int64]) -> npt.NDArray[np.int64]:
    """The transactions that a snapshot does not see, of ended ones by the lower 32 bits of their numbers.

    In: the snapshot as PostgreSQL writes it, xmin:xmax:xip,…; the full number of a transaction is the one nearest to xmax.
    """
    least, most, running = snapshot.split(":")
    behind = (int(most) - numbers) & 0xFFFFFFFF
    full = int(most) - np.where(behind >= 2**31, behind - 2**32, behind)
    open_ones = np.array([int(each) for each in running.split(",") if each], np.int64)
    return numbers[(full >= int(most)) | ((full >= int(least)) & np.isin(full, open_ones))]
