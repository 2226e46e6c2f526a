"""Which rows changed, by MariaDB's binary log: read as a replica reads it, and of its rows only the keys."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, Final

import pyarrow as pa
import pymysql

from adapters.feeds.feed import Batch, Held, Watched, Way, WhyWhole
from adapters.feeds.key_tables import distinct
from adapters.mysql.binlog import Dump, Place
from adapters.mysql.catalog import Alphabets
from adapters.mysql.connection import Connections, code_of, rows, run
from adapters.mysql.followed import FORBIDDEN_DUMP, Name, Tracked, must_be_followable, tracked
from adapters.mysql.log_reading import Found, Reading
from adapters.mysql.row_values import travelled
from adapters.mysql.wire import Answer, cut
from transforms.vocabulary import SpecError, TableName, TransientError

POLL_SECONDS: Final = 0.02
VISIBLE_SECONDS: Final = 1.0
STATUS: Final = "SHOW STATUS LIKE 'binlog_snapshot_%'"


def feed(url: str, watched: Sequence[Watched], name: str) -> MysqlLogFeed:
    """See `open_feed`. Nothing is kept on the server, so that the name is of no account."""
    return MysqlLogFeed(url, watched)


class MysqlLogFeed:
    """A ChangeFeed (see the protocol) over the binary log of MariaDB."""

    way: Way = "log"

    def __init__(self, url: str, watched: Sequence[Watched]) -> None:
        self._connections = Connections(url)
        self._watched = tuple(watched)
        self._alphabets = Alphabets()
        self._known: dict[Name, Tracked] | None = None
        self._open: Reading | None = None

    def start(self) -> str:
        self._leave()
        connections = self._connections
        with connections.begin("Looking at what can be followed") as connection:
            must_be_followable(connection, connections.server, connections.url, self._watched)
        self._known = None
        self._tables()
        place = self._seen()
        with connections.translated("Reading the log"):
            dump = Dump(connections, place)
            try:
                for _ in dump.events():  # the file's description comes first, and says when it was made
                    break
            except pymysql.Error as error:
                if code_of(error) != FORBIDDEN_DUMP:
                    raise
                raise SpecError(
                    f"The user may not read the log of {connections.url}.",
                    fix="GRANT REPLICATION SLAVE ON *.* to the user.",
                ) from error
            finally:
                dump.close()
        return str(Place(place.file, place.at, dump.began))

    def read(self, position: str, most: int) -> Batch:
        at = Place.parsed(position)
        found = self._on(at, most)
        more = found is not None  # an earlier look does not know what came since
        if found is None:
            found = self._anew(at, most)
        if found is None or self._open is None:
            return Batch(position)
        reading, tables = self._open, self._tables()
        if not self._visible(found):
            self._leave()
            return Batch(position)
        place = reading.place
        more = more or not reading.over
        if reading.over:
            self._leave()
        if found.redefined:
            self._leave()
            self._known = None
        keys = self._keys(found, tables)
        whole: dict[TableName, WhyWhole] = dict(found.whole)
        whole |= {each: "altered" for each in self._altered() if each not in whole}
        return Batch(str(place), keys, whole, found.changes, found.since, more)

    def settle(self, position: str) -> None:
        """The server keeps its log for as long as it is set to, whoever reads it."""
        Place.parsed(position)

    def wait(self, position: str, seconds: float) -> bool:
        at = Place.parsed(position)
        ends = time.monotonic() + seconds
        while self._open is None and not at.done and self._ends().order == at.order:
            left = ends - time.monotonic()
            if left <= 0:
                return False
            time.sleep(min(POLL_SECONDS, left))
        return True

    def held(self) -> Held | None:
        return None

    def remove(self) -> None:
        self._leave()

    def close(self) -> None:
        self._leave()
        self._connections.close()

    def _ends(self) -> Place:
        """Where the log ends by now: behind all that is committed."""
        with self._connections.begin("Asking where the log ends") as connection:
            return _place(connection)

    def _seen(self) -> Place:
        """The place up to which a new snapshot sees what is in the log: it may not see yet what is written behind it."""
        with self._connections.translated("Looking at what is visible"), self._connections.connected() as connection:
            run(connection, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
            run(connection, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
            seen = _place(connection)
            run(connection, "COMMIT")
        return seen

    def _on(self, at: Place, most: int) -> Found | None:
        """The next of the look that is open; None where it does not stand there, or has come to its end."""
        if self._open is None or self._open.place != at:
            return None
        try:
            found = self._taken(self._open, most)
        except TransientError:  # a server waits only so long for a reader
            return None
        return found if self._open.place != at else None

    def _anew(self, at: Place, most: int) -> Found | None:
        """The first of a new look; None where nothing was written since."""
        self._leave()
        if self._ends().order == at.order and not at.done:  # one that ends before that is another log
            return None
        tables = self._tables()
        with self._connections.translated("Reading the log"):
            look = self._open = Reading(Dump(self._connections, at), at, tables)
        return self._taken(look, most)

    def _taken(self, look: Reading, most: int) -> Found:
        with self._connections.translated("Reading the log"):
            return look.take(most)

    def _tables(self) -> dict[Name, Tracked]:
        if self._known is None:
            with self._connections.begin("Looking at what is followed") as connection:
                server = self._connections.server
                self._known = tracked(connection, server, self._alphabets, self._watched)
        return self._known

    def _altered(self) -> list[TableName]:
        """The watched tables that are not as their shapes say, or not there."""
        same = {each.watched.table for each in self._tables().values() if each.watched is not None and each.same}
        return [each.table for each in self._watched if each.table not in same]

    def _visible(self, found: Found) -> bool:
        """Wait until a new snapshot sees what was found: a transaction is in the log before it is seen. False where it takes long."""
        ends = time.monotonic() + VISIBLE_SECONDS
        while found.last is not None:
            with (
                self._connections.translated("Looking at what is visible"),
                self._connections.connected() as connection,
            ):
                run(connection, "SET TRANSACTION ISOLATION LEVEL REPEATABLE READ")
                run(connection, "START TRANSACTION WITH CONSISTENT SNAPSHOT, READ ONLY")
                seen = _place(connection)
                run(connection, "COMMIT")
            if seen.order > found.last.order:
                return True
            if time.monotonic() > ends:
                return False
            time.sleep(0.001)
        return True

    def _keys(self, found: Found, tables: Mapping[Name, Tracked]) -> dict[TableName, pa.Table]:
        """The keys by table; a table of which one cannot travel is to be compared whole."""
        keys: dict[TableName, pa.Table] = {}
        known = {each.watched.table: each for each in tables.values() if each.watched is not None}
        for table, pieces in found.keys.items():
            parts = []
            for columns in dict.fromkeys(columns for columns, _ in pieces):
                raw = distinct([rows for each, rows in pieces if each == columns])
                arrays = [
                    travelled(array.combine_chunks(), column, travel, self._answer)
                    for array, column, travel in zip(raw.columns, columns, known[table].travels, strict=True)
                ]
                if any(each is None for each in arrays):
                    found.whole.setdefault(table, "unseen")
                else:
                    parts.append(pa.table(arrays, names=raw.column_names))
            if parts:
                keys[table] = distinct(parts)
        return keys

    def _answer(self, query: str) -> pa.Array:
        with self._connections.begin("Reading keys of the log") as connection:
            answer, parts = Answer(connection, query), []
            while (block := answer.block()) is not None:
                parts.append(cut(block, 1)[0])
        return pa.concat_arrays(parts)

    def _leave(self) -> None:
        if self._open is not None:
            self._open.close()
            self._open = None


def _place(connection: Any) -> Place:
    status = dict(rows(connection, STATUS))
    return Place(status["Binlog_snapshot_file"], int(status["Binlog_snapshot_position"]))
