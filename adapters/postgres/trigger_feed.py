# ruff: noqa: S608 - SQL is made of quoted identifiers, numbers and names that are made here
"""Which rows of PostgreSQL tables changed, by triggers, and by snapshots that say which transactions are yet to be read.

A log keeps the number of each transaction that wrote to it. A place is a snapshot: what it does not show and the next one does is
read, so nothing is missed whatever the order of commits, and nobody waits for a transaction that is open.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any, Final

import psycopg
import pyarrow as pa
import pyarrow.compute as pc

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
from adapters.postgres.adapter import PostgresAdapter
from adapters.postgres.change_logs import Place, made_by, must_be_a_table, placed, seen_of, statements
from adapters.postgres.connection import Connections
from adapters.postgres.writer import spelled_name
from transforms.vocabulary import BusyError, SpecError, TableName

Row = tuple[int, str]
"""The place of rows of a log: the number of their transaction, and when they were written."""

RIGHTS: Final = "install as the owner of the tables, with CREATE on their schemas: a trigger that always works is its owner's to make"


def feed(url: str, watched: Sequence[Watched], name: str) -> TriggerFeed:
    """What tells changes of a database by triggers; nothing is connected to yet."""
    return TriggerFeed(PostgresLog(url, watched, name))


class PostgresLog:
    """A ChangeLog (see the protocol). A place has `from` and, where a pass through the logs was left, `to`, the logs that are
    `done` and after which row to go on in others.
    """

    def __init__(self, url: str, watched: Sequence[Watched], name: str) -> None:
        self.watched = watched
        self._connections = Connections(url)
        self.url = self._connections.url
        self._adapter = PostgresAdapter(url)
        self._prefix = prefix_of(name)
        self._logs = {each.table: log_name(name, each.table) for each in watched}
        self._placed: dict[TableName, Place | None] = {}

    def seen(self) -> Mapping[TableName, Seen]:
        with self._connections.begin("Looking for triggers") as connection:
            self._placed = placed(connection, self._logs)
            return seen_of(connection, self.watched, self._placed)

    def now(self) -> dict[str, Any]:
        with self._connections.begin("Asking for the snapshot of now") as connection:
            return {"from": _one(connection, "SELECT pg_current_snapshot()::text")}

    def read(self, at: dict[str, Any], most: int) -> Found:
        keys: dict[TableName, pa.Table] = {}
        doubtful: set[TableName] = set()
        times: list[datetime] = []
        changes, left = 0, most
        with self._adapter.snapshot() as snapshot:
            begun, now = at["from"], snapshot.mark
            if _end(begun) > _end(now):
                raise FeedLost(f"{self.url}: the database is an older one than was read from.", fix="compare all.")
            to = at.get("to", now)
            behind: dict[str, Row | None] = dict(at.get("behind", {}))
            waiting = self._with_rows(_between(begun, to))
            for number, each in enumerate(self.watched):
                log = self._logs[each.table]
                if (log in behind and behind[log] is None) or each.table not in waiting:
                    behind[log] = None
                    continue
                own = _between(begun, to)
                if (after := behind.get(log)) is not None:
                    own += f" AND (xid, at) >= {_spelled(after)}"
                share = share_of(left, len(self.watched) - number)
                behind[log] = next_one = self._next(each.table, own, share)
                if next_one is not None:
                    own += f" AND (xid, at) < {_spelled(next_one)}"
                there = self._log_of(each.table)
                found = logged(snapshot, there, each, own, ("at",))
                if not found.whole:
                    doubtful.add(each.table)
                if found.keys.num_rows:
                    keys[each.table] = distinct([found.keys])
                    times.append(pc.min(found.own["at"]).as_py())
                changes += found.keys.num_rows
                left = max(0, left - found.keys.num_rows)
        done = all(each is None for each in behind.values())
        place = {"from": to} if done else {"from": begun, "to": to, "behind": behind}
        return Found(place, keys, changes, min(times, default=None), not done or to != now, frozenset(doubtful))

    def _with_rows(self, where: str) -> set[TableName]:
        """The tables in whose logs there is something."""
        looks = [
            f"EXISTS (SELECT FROM {spelled_name(self._log_of(each.table))} WHERE {where})" for each in self.watched
        ]
        with self._connections.begin("Looking for changes") as connection:
            found = _one(connection, f"SELECT ARRAY[{', '.join(looks)}]::boolean[]")
        return {each.table for each, there in zip(self.watched, found, strict=True) if there}

    def _log_of(self, table: TableName) -> TableName:
        place = self._placed.get(table)
        if place is None:
            raise FeedLost(f"{self.url}: {table} is not there any more.", fix="correct the spec, and compare all.")
        return TableName(self._logs[table], place.schema)

    def _next(self, table: TableName, where: str, rows: int) -> Row | None:
        """The place behind about so many rows; None where there is none. Rows of one place stay together."""
        log = spelled_name(self._log_of(table))
        query = f"SELECT xid, at::text FROM {log} WHERE {where} ORDER BY xid, at LIMIT 1"
        with self._connections.begin(f"Reading the log of {table}") as connection:
            first, found = (_row(connection, f"{query}{skip}") for skip in ("", f" OFFSET {rows}"))
            if found is None or found != first:
                return found
            return _row(connection, query.replace(" ORDER", f" AND (xid, at) > {_spelled(found)} ORDER", 1))

    def waiting(self, at: dict[str, Any]) -> bool:
        if "to" in at:
            return True
        looks = [f"EXISTS (SELECT FROM {log} WHERE {_not_in(at['from'])})" for log in self._there()]
        with self._connections.begin("Looking for changes") as connection:
            return bool(looks) and bool(_one(connection, f"SELECT {' OR '.join(looks)}"))

    def settle(self, at: dict[str, Any]) -> None:
        shown = f"xid < {_end(at['from'])} AND pg_visible_in_snapshot(xid::text::xid8, '{at['from']}')"
        for log in self._there():
            with self._connections.begin("Forgetting changes") as connection:
                connection.execute(f"DELETE FROM {log} WHERE {shown}".encode())

    def _there(self) -> list[str]:
        """The logs, spelled, of those tables that are there."""
        if len(self._placed) < len(self.watched):
            self.seen()
        return [spelled_name(self._log_of(table)) for table, place in self._placed.items() if place and place.logged]

    def size(self) -> int:
        with self._connections.begin("Measuring logs") as connection:
            sizes = [
                _one(connection, "SELECT pg_total_relation_size(to_regclass(%s))", [each]) for each in self._there()
            ]
        return sum(int(each or 0) for each in sizes)

    def installing(self, watched: Watched) -> list[str]:
        with self._connections.begin(f"Looking at {watched.table}") as connection:
            self._placed = placed(connection, self._logs)
            place = must_be_a_table(self._placed[watched.table], watched.table, self.url)
            return [*made_by(connection, self._logs[watched.table]), *statements(watched, place)]

    def uninstalling(self) -> list[str]:
        with self._connections.begin("Looking for triggers") as connection:
            return made_by(connection, self._prefix)

    def execute(self, statements: Sequence[str]) -> None:
        with self._connections.begin("Installing triggers") as connection:
            connection.execute(f"SET LOCAL lock_timeout = '{LOCK_SECONDS}s'".encode())
            try:
                for statement in statements:
                    connection.execute(statement.encode())
            except psycopg.errors.LockNotAvailable as error:
                raise BusyError(f"{self.url}: transactions that are open hold the tables.", fix=BUSY_FIX) from error
            except psycopg.errors.InsufficientPrivilege as error:
                told = error.diag.message_primary
                raise SpecError(f"{self.url}: triggers cannot be made: {told}.", fix=f"{RIGHTS}.") from error

    def empty(self) -> None:
        if there := self._there():
            self.execute([f"TRUNCATE {', '.join(there)}"])

    def close(self) -> None:
        self._adapter.close()
        self._connections.close()


def _one(connection: psycopg.Connection[Any], query: str, values: Iterable[Any] | None = None) -> Any:
    row = connection.execute(query.encode(), list(values) if values is not None else None).fetchone()
    assert row is not None
    return row[0]


def _row(connection: psycopg.Connection[Any], query: str) -> Row | None:
    found = connection.execute(query.encode()).fetchone()
    return (int(found[0]), str(found[1])) if found else None


def _spelled(row: Row) -> str:
    return f"({int(row[0])}, timestamptz '{row[1]}')"


def _begin(snapshot: str) -> int:
    """The first transaction that a snapshot may not show."""
    return int(snapshot.split(":")[0])


def _end(snapshot: str) -> int:
    """The first transaction of which, and of all behind it, a snapshot shows nothing."""
    return int(snapshot.split(":")[1])


def _not_in(snapshot: str) -> str:
    """Rows of transactions that a snapshot does not show, of which those that are not committed are not there."""
    shown = f"pg_visible_in_snapshot(xid::text::xid8, '{snapshot}')"
    return f"xid >= {_begin(snapshot)} AND (xid >= {_end(snapshot)} OR NOT {shown})"


def _between(begun: str, to: str) -> str:
    return f"{_not_in(begun)} AND xid < {_end(to)} AND pg_visible_in_snapshot(xid::text::xid8, '{to}')"
