# ruff: noqa: S608 - SQL is made of quoted identifiers, numbers and names that are made here
"""Which rows of MariaDB and MySQL tables changed, by triggers.

Numbers of a log come in another order than commits, and no trigger knows its transaction. So a place is the rows that were read and are
still there: whatever else is there is yet to be read, and what was read is deleted by its numbers and nothing else.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pymysql
import sqlalchemy as sa

from adapters.feeds.feed import FeedLost, Watched
from adapters.feeds.key_tables import distinct
from adapters.feeds.triggers import (
    BUSY_FIX,
    LOCK_SECONDS,
    Found,
    Seen,
    TriggerFeed,
    log_name,
    logged,
    prefix_of,
    share_of,
)
from adapters.mysql.adapter import MysqlAdapter
from adapters.mysql.catalog import Alphabets
from adapters.mysql.change_logs import TRIGGERS, Log, logs, must_be_a_table, placed, seen_of, statements
from adapters.mysql.connection import DDL_SECONDS, FORBIDDEN, Connection, Connections, code_of, rows, run
from adapters.mysql.load_data import name_of
from transforms.vocabulary import BusyError, Relation, SpecError, TableName

Ranges = list[tuple[int, int]]
"""Numbers from the first to the last, each pair of them."""

NO_TRUST: Final = 1419
WAITED: Final = 1205
ALONE: Final = 8  # so many rows are deleted one by one
LOOKED_AT: Final = 50  # ranges that a look leaves out; of more there is something to read sooner or later
RIGHTS: Final = (
    "GRANT TRIGGER, CREATE, DROP, SELECT, INSERT, DELETE on the database to the user, and PROCESS ON *.*, which shows "
    "that a table was emptied"
)
TRUST: Final = "SET GLOBAL log_bin_trust_function_creators = 1, or install as a user with SUPER"


def feed(url: str, watched: Sequence[Watched], name: str) -> TriggerFeed:
    """What tells changes of a database by triggers; nothing is connected to yet."""
    return TriggerFeed(MysqlLog(url, watched, name))


class MysqlLog:
    """A ChangeLog (see the protocol). A place is, by log, what was read of it and was still there, and the number behind it all."""

    def __init__(self, url: str, watched: Sequence[Watched], name: str) -> None:
        own = f"{name}\0{sa.make_url(url).database}"  # one server has many databases, each with its followers
        self.watched = watched
        self._connections = Connections(url)
        self.url = self._connections.url
        self._adapter = MysqlAdapter(url)
        self._alphabets = Alphabets()
        self._prefix = prefix_of(own)
        self._logs = {each.table: log_name(own, each.table) for each in watched}
        self._wanted: dict[TableName, tuple[str, str]] = {}  # by what a table is like, how its log is to be made

    def seen(self) -> Mapping[TableName, Seen]:
        with self._allowed("Looking for triggers") as connection:
            there = self._there(connection)
            triggers = rows(connection, TRIGGERS, [len(self._prefix), self._prefix])
            return {each.table: self._seen(connection, each, there, triggers) for each in self.watched}

    def _seen(
        self, connection: Connection, watched: Watched, there: Mapping[TableName, Log], triggers: Sequence[Any]
    ) -> Seen:
        table = placed(connection, watched.table)
        if table is None:
            return Seen(False, "", "")
        log = there.get(TableName(self._logs[watched.table], table.schema))
        own = [each for each in triggers if each[1].startswith(self._logs[watched.table])]
        seen = seen_of(connection, self._connections.server, table, log, own)
        known = self._wanted.get(watched.table)
        if known is None or known[0] != seen.definition:
            comment = self._statements(connection, watched)[0].rpartition(" COMMENT=")[2].strip("'")
            known = self._wanted[watched.table] = seen.definition, comment
        fit = log is not None and log.made == known[1] and known[1].endswith(f" {len(own)}")
        return replace(seen, fit=fit)

    def _there(self, connection: Connection, more: Collection[str] = ()) -> dict[TableName, Log]:
        """The logs of this follower, by their names, in the schemas of tables that are watched and in some `more`."""
        schemas = {*more, *(each.table.schema for each in self.watched if each.table.schema)}
        ((here,),) = rows(connection, "SELECT DATABASE()")
        return logs(connection, sorted({*schemas, *([here] if here else [])}), self._prefix)

    def _found(self, connection: Connection) -> dict[TableName, tuple[TableName, Log]]:
        """By the table that is watched, its log."""
        there = {name.name: (name, log) for name, log in self._there(connection).items()}
        return {table: there[log] for table, log in self._logs.items() if log in there}

    def now(self) -> dict[str, Any]:
        """What is there was committed before, and goes with what is settled first."""
        with self._allowed("Reading logs") as connection:
            there = self._found(connection)
        place = {}
        with self._adapter.snapshot() as snapshot:
            for log, known in there.values():
                parts = [batch.column(0).to_numpy() for batch in snapshot.scan(Relation(log), ["seq"])]
                read = _ranges(np.concatenate(parts)) if parts else []
                place[log.name] = {"read": read, "next": max([known.next, *(last + 1 for _, last in read[-1:])])}
        return place

    def read(self, at: dict[str, Any], most: int) -> Found:
        keys: dict[TableName, pa.Table] = {}
        doubtful: set[TableName] = set()
        times: list[datetime] = []
        to: dict[str, Any] = {}
        changes, left, more = 0, most, False
        with self._allowed("Reading logs") as connection:
            there = self._found(connection)
        with self._adapter.snapshot() as snapshot:
            for number, each in enumerate(self.watched):
                if each.table not in there:
                    raise FeedLost(f"{self.url}: the log of {each.table} is gone.", fix="compare all.")
                (log, known), place = there[each.table], at.get(self._logs[each.table], {"read": [], "next": 0})
                if known.next and known.next < place["next"]:
                    raise FeedLost(
                        f"{self.url}: the log of {each.table} is an older one than was read.", fix="compare all."
                    )
                share = share_of(left, len(self.watched) - number)
                end = self._end(log, place["read"], share)
                more = more or end is not None
                where = "TRUE" if end is None else f"seq < {end}"
                found = logged(snapshot, log, each, where, ("seq", "unseen", "at"))
                seqs = found.own["seq"].to_numpy()
                fresh = ~_within(seqs, place["read"])
                marked = found.own["unseen"].to_numpy() == 1
                if not found.whole or (fresh & marked).any():
                    doubtful.add(each.table)
                told = pa.array(fresh & ~marked)
                if pc.any(told).as_py():
                    keys[each.table] = distinct([found.keys.filter(told)])
                    times.append(pc.min(found.own["at"].filter(told)).as_py())
                changes += int(fresh.sum())
                left = max(0, left - int(fresh.sum()))
                last = max(place["next"], int(seqs.max()) + 1 if len(seqs) else 0)
                to[log.name] = {"read": _ranges(seqs), "next": last}
        return Found(to, keys, changes, min(times, default=None), more, frozenset(doubtful))

    def _end(self, log: TableName, read: Ranges, most: int) -> int | None:
        """The number of the row behind so many that were not read; None where there are fewer."""
        with self._allowed("Reading logs") as connection:
            before = 0
            if read:
                ((before,),) = rows(connection, f"SELECT count(*) FROM {name_of(log)} WHERE seq <= {int(read[-1][1])}")
            found = rows(connection, f"SELECT seq FROM {name_of(log)} ORDER BY seq LIMIT 1 OFFSET {int(before) + most}")
        return int(found[0][0]) if found else None

    def waiting(self, at: dict[str, Any]) -> bool:
        with self._allowed("Looking for changes") as connection:
            for log, _ in self._found(connection).values():
                read: Ranges = at.get(log.name, {"read": []})["read"]
                if len(read) > LOOKED_AT:
                    return True
                where = " AND ".join(f"seq NOT BETWEEN {int(a)} AND {int(b)}" for a, b in read) or "TRUE"
                if rows(connection, f"SELECT 1 FROM {name_of(log)} WHERE {where} LIMIT 1"):
                    return True
        return False

    def settle(self, at: dict[str, Any]) -> None:
        with self._allowed("Forgetting changes") as connection:
            there = [log for log, _ in self._found(connection).values()]
        for log in there:
            for first, last in at.get(log.name, {"read": []})["read"]:
                self._forget(log, int(first), int(last))

    def _forget(self, log: TableName, first: int, last: int) -> None:
        """Delete rows that are all there, or all gone. Many at once may come to one that is being written; then one by one."""
        if last - first >= ALONE:
            try:
                with self._connections.connected() as connection:
                    run(
                        connection,
                        "SET STATEMENT innodb_lock_wait_timeout = 0 FOR " * self._mariadb + _many(log, first, last),
                    )
            except pymysql.OperationalError as error:
                if code_of(error) != WAITED:
                    raise self._connections.meaning(error, "Forgetting changes") from error
            else:
                return
        with self._allowed("Forgetting changes") as connection, connection.cursor() as cursor:
            cursor.executemany(f"DELETE FROM {name_of(log)} WHERE seq = %s", [(seq,) for seq in range(first, last + 1)])

    @property
    def _mariadb(self) -> bool:
        return self._connections.server.mariadb

    def size(self) -> int:
        with self._allowed("Measuring logs") as connection:
            return sum(log.size for _, log in self._found(connection).values())

    def installing(self, watched: Watched) -> list[str]:
        with self._allowed(f"Looking at {watched.table}") as connection:
            return [*self._dropping(connection, self._logs[watched.table]), *self._statements(connection, watched)]

    def _statements(self, connection: Connection, watched: Watched) -> list[str]:
        table = must_be_a_table(placed(connection, watched.table), watched.table, self.url)
        log = TableName(self._logs[watched.table], table.schema)
        return statements(connection, self._connections.server, self._alphabets, watched, table, log)

    def uninstalling(self) -> list[str]:
        with self._allowed("Looking for triggers") as connection:
            return self._dropping(connection, self._prefix)

    def _dropping(self, connection: Connection, beginning: str) -> list[str]:
        triggers = rows(connection, TRIGGERS, [len(beginning), beginning])
        there = [
            each for each in self._there(connection, {each[0] for each in triggers}) if each.name.startswith(beginning)
        ]
        return [
            *(f"DROP TRIGGER {name_of(TableName(each[1], each[0]))}" for each in triggers),
            *(f"DROP TABLE {name_of(each)}" for each in there),
        ]

    def execute(self, statements: Sequence[str]) -> None:
        """One by one: the server commits each. One that is cut off is made anew by the next."""
        with self._allowed("Installing triggers") as connection:
            run(connection, f"SET SESSION lock_wait_timeout = {LOCK_SECONDS}")
            try:
                for statement in statements:
                    run(connection, statement)
            except pymysql.Error as error:
                if code_of(error) == WAITED:
                    raise BusyError(f"{self.url}: transactions that are open hold the tables.", fix=BUSY_FIX) from error
                raise
            run(connection, f"SET SESSION lock_wait_timeout = {DDL_SECONDS}")  # after an error the connection is closed

    def empty(self) -> None:
        with self._allowed("Looking for logs") as connection:
            there = [log for log, _ in self._found(connection).values()]
        self.execute([f"TRUNCATE TABLE {name_of(log)}" for log in there])

    @contextmanager
    def _allowed(self, where: str) -> Iterator[Connection]:
        """A connection, and errors of missing rights with what to do about them."""
        with self._connections.translated(where), self._connections.connected() as connection:
            try:
                yield connection
            except pymysql.Error as error:
                if code_of(error) == NO_TRUST:
                    raise SpecError(
                        f"{self.url}: the server lets this user make no triggers.", fix=f"{TRUST}."
                    ) from error
                if code_of(error) in FORBIDDEN:
                    told = self._connections.meaning(error, where).what
                    raise SpecError(told, fix=f"{RIGHTS}.") from error
                raise

    def close(self) -> None:
        self._adapter.close()
        self._connections.close()


def _many(log: TableName, first: int, last: int) -> str:
    return f"DELETE FROM {name_of(log)} WHERE seq BETWEEN {first} AND {last} ORDER BY seq LIMIT {last - first + 1}"


def _ranges(seqs: np.ndarray[Any, Any]) -> Ranges:
    """Numbers as ranges of those that follow each other."""
    if not len(seqs):
        return []
    ordered = np.sort(seqs)
    ends = np.flatnonzero(np.diff(ordered) != 1)
    firsts, lasts = ordered[np.r_[0, ends + 1]], ordered[np.r_[ends, len(ordered) - 1]]
    return list(zip(firsts.tolist(), lasts.tolist(), strict=True))


def _within(seqs: np.ndarray[Any, Any], ranges: Ranges) -> np.ndarray[Any, Any]:
    """Which numbers are in one of some ranges, which ascend."""
    if not ranges:
        return np.zeros(len(seqs), bool)
    firsts, lasts = np.array(ranges).T
    place = np.searchsorted(firsts, seqs, side="right") - 1
    within: np.ndarray[Any, Any] = (place >= 0) & (seqs <= lasts[place])
    return within
