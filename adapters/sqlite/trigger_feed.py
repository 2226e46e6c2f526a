# ruff: noqa: S608 - SQL is made of quoted identifiers, numbers and names that are made here
"""Which rows of a SQLite file changed, by triggers: one writer at a time makes the order of a log that of commits."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import blake2b
from typing import Final
from uuid import uuid4

import pyarrow as pa
import pyarrow.compute as pc

from adapters.feeds.feed import FeedLost, Watched
from adapters.feeds.key_tables import distinct
from adapters.feeds.triggers import (
    Found,
    Seen,
    TriggerFeed,
    log_name,
    logged,
    logged_names,
    prefix_of,
    share_of,
)
from adapters.sql.staged_apply import file_of, must_exist
from adapters.sqlite.adapter import SqliteAdapter
from adapters.sqlite.connection import Connection, open_to_read
from adapters.sqlite.types import quoted
from transforms.vocabulary import Key, TableName

ROW_BYTES: Final = 48  # of a log, at a guess
_SINCE_1970: Final = 2_440_587.5  # days, as julianday counts them
_EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)
_MADE: Final = re.compile(r"/\* syncline [0-9a-f]+ \*/")


def feed(url: str, watched: Sequence[Watched], name: str) -> TriggerFeed:
    """What tells changes of a file by triggers; nothing is opened yet."""
    return TriggerFeed(SqliteLog(url, watched, name))


class SqliteLog:
    """A ChangeLog (see the protocol)."""

    def __init__(self, url: str, watched: Sequence[Watched], name: str) -> None:
        self.url = url
        self.watched = watched
        self._path = file_of(url)
        self._adapter = SqliteAdapter(url)
        self._prefix = prefix_of(name)
        self._logs = {each.table: log_name(name, each.table) for each in watched}

    @contextmanager
    def _reading(self) -> Iterator[Connection]:
        must_exist(self._path, create=False)
        connection = open_to_read(self._path)
        try:
            yield connection
        finally:
            connection.close()

    @contextmanager
    def _writing(self) -> Iterator[Connection]:
        must_exist(self._path, create=False)
        connection = Connection(self._path, "rw")
        try:
            with connection.transaction():
                yield connection
        finally:
            connection.close()

    def seen(self) -> Mapping[TableName, Seen]:
        with self._reading() as connection:
            return {each.table: self._seen(connection, each) for each in self.watched}

    def _seen(self, connection: Connection, watched: Watched) -> Seen:
        """A trigger is made with a number of its own, so that one that is made again is another one."""
        log = self._logs[watched.table]
        there = connection.rows(
            "SELECT name, sql FROM sqlite_schema WHERE name = ?1 OR name LIKE ?1 || '\\__' ESCAPE '\\' ORDER BY name",
            (log,),
        )
        table = connection.rows(
            "SELECT sql FROM sqlite_schema WHERE name = ?1 COLLATE NOCASE AND type = 'table'", (watched.table.name,)
        )
        found = {row["name"]: row["sql"] for row in there}
        made = {name: _MADE.sub("", sql) for name, sql in found.items()}
        wanted = {name: _MADE.sub("", sql) for name, sql in _statements(watched, log).items()}
        identity = blake2b(repr(sorted(found.items())).encode(), digest_size=12).hexdigest()
        return Seen(bool(table) and made == wanted, identity, table[0]["sql"] if table else "")

    def now(self) -> dict[str, int]:
        with self._reading() as connection:
            return {log: _last(connection, log) for log in self._logs.values()}

    def read(self, at: dict[str, int], most: int) -> Found:
        keys: dict[TableName, pa.Table] = {}
        doubtful: set[TableName] = set()
        times: list[datetime] = []
        changes = 0
        to, more = self._upto(at, most)  # before the snapshot, which then has all of it
        with self._adapter.snapshot() as snapshot:
            for each in self.watched:
                log = self._logs[each.table]
                after = at.get(log, to[log])
                if after == to[log]:
                    continue
                where = f"seq > {after} AND seq <= {to[log]}"
                found = logged(snapshot, TableName(log, each.table.schema), each, where, ("at",))
                if not found.whole:
                    doubtful.add(each.table)
                if found.keys.num_rows:
                    keys[each.table] = distinct([found.keys])
                    times.append(_EPOCH + timedelta(days=pc.min(found.own["at"]).as_py() - _SINCE_1970))
                changes += found.keys.num_rows
        return Found(to, keys, changes, min(times, default=None), more, frozenset(doubtful))

    def _upto(self, at: dict[str, int], most: int) -> tuple[dict[str, int], bool]:
        """Up to where to read each log, and whether there is something behind that."""
        to: dict[str, int] = {}
        left, more = most, False
        with self._reading() as connection:
            for place, each in enumerate(self.watched):
                log, share = self._logs[each.table], share_of(left, len(self.watched) - place)
                last = _last(connection, log)
                after = at.get(log, last)
                if after > last:
                    raise FeedLost(
                        f"{self.url}: the log of {each.table} is an older one than was read.",
                        fix="run sync again: it compares both sides first.",
                    )
                to[log] = _place(connection, log, after, share) or last
                more = more or to[log] < last
                left = max(0, left - (to[log] - after))
        return to, more

    def waiting(self, at: dict[str, int]) -> bool:
        with self._reading() as connection:
            return any(_last(connection, log) > at.get(log, 0) for log in self._logs.values())

    def settle(self, at: dict[str, int]) -> None:
        with self._reading() as connection:
            there = [log for log in at if connection.rows(_THERE, (log,))]
            full = [
                log
                for log in there
                if connection.rows(f"SELECT 1 AS n FROM {quoted(log)} WHERE seq <= {int(at[log])} LIMIT 1")
            ]
        if full:
            with self._writing() as connection:
                for log in full:
                    connection.ask(f"DELETE FROM {quoted(log)} WHERE seq <= {int(at[log])}")

    def size(self) -> int:
        with self._reading() as connection:
            there = [log for log in self._logs.values() if connection.rows(_THERE, (log,))]
            counts = [connection.rows(f"SELECT count(*) AS n FROM {quoted(log)}")[0]["n"] for log in there]
        return ROW_BYTES * sum(map(int, counts))

    def installing(self, watched: Watched) -> list[str]:
        log = self._logs[watched.table]
        return [*self._dropping(log), *_statements(watched, log).values()]

    def uninstalling(self) -> list[str]:
        return self._dropping(self._prefix)

    def _dropping(self, beginning: str) -> list[str]:
        with self._reading() as connection:
            found = connection.rows(
                "SELECT type, name FROM sqlite_schema WHERE type IN ('table', 'trigger') AND substr(name, 1, length(?1)) = ?1 "
                "ORDER BY type DESC, name",
                (beginning,),
            )
        return [f"DROP {row['type'].upper()} {quoted(row['name'])}" for row in found]

    def execute(self, statements: Sequence[str]) -> None:
        with self._writing() as connection:
            for statement in statements:
                connection.ask(statement)

    def empty(self) -> None:
        """Anew, since a log that was emptied would not be told from one that was read."""
        with self._reading() as connection:
            there = [each for each in self.watched if connection.rows(_THERE, (self._logs[each.table],))]
        self.execute([statement for each in there for statement in self.installing(each)])

    def close(self) -> None:
        self._adapter.close()


_THERE: Final = "SELECT 1 AS n FROM sqlite_schema WHERE name = ?1 AND type = 'table'"


def _last(connection: Connection, log: str) -> int:
    """The number that the latest row of a log had, though it be gone."""
    if not connection.rows(_THERE, (log,)):
        return 0
    found = connection.rows("SELECT seq FROM sqlite_sequence WHERE name = ?1", (log,))
    return int(found[0]["seq"]) if found else 0


def _place(connection: Connection, log: str, after: int, rows: int) -> int | None:
    """The number of the last of so many rows; None where there are fewer."""
    query = f"SELECT seq FROM {quoted(log)} WHERE seq > {after} ORDER BY seq LIMIT 1 OFFSET {rows - 1}"
    found = connection.rows(query)
    return int(found[0]["seq"]) if found else None


def _statements(watched: Watched, log: str) -> dict[str, str]:
    """What makes a log and its triggers, by name, in order."""
    made = f"/* syncline {uuid4().hex[:12]} */"
    table, into = quoted(watched.table.name), quoted(log)
    names = logged_names(watched)
    natives = [column.native for each in watched.columns if (column := watched.shape.column(each))]
    columns = ", ".join(f"{name} {native}".rstrip() for name, native in zip(names, natives, strict=True))
    insert = f"INSERT INTO {into} ({', '.join(names)})"

    def of(row: str) -> str:
        return ", ".join(f"{row}.{quoted(each)}" for each in watched.columns)

    other = " OR ".join(
        f"OLD.{c} COLLATE BINARY IS NOT NEW.{c} COLLATE BINARY OR typeof(OLD.{c}) <> typeof(NEW.{c})"
        for c in map(quoted, watched.columns)
    )
    new, old = f"{insert} VALUES ({of('NEW')});", f"{insert} VALUES ({of('OLD')});"

    def trigger(letter: str, when: str, *body: str) -> tuple[str, str]:
        name = f"{log}_{letter}"
        return name, f"CREATE TRIGGER {quoted(name)} {when} ON {table} BEGIN {made} {' '.join(body)} END"

    removing = [f"{insert} SELECT {of('r')} FROM {table} r WHERE {_same(each)};" for each in _others(watched)]
    moved = ", ".join(quoted(each) for each in sorted({name for key in _others(watched) for name in key}))
    return dict(
        [
            (
                log,
                f"CREATE TABLE {into} ({made} seq INTEGER PRIMARY KEY AUTOINCREMENT, at REAL NOT NULL DEFAULT (julianday('now')), "
                f"{columns})",
            ),
            trigger("i", "AFTER INSERT", new),
            trigger("u", "AFTER UPDATE", new, f"{insert} SELECT {of('OLD')} WHERE {other};"),
            trigger("d", "AFTER DELETE", old),
            *([trigger("r", "BEFORE INSERT", *removing)] if removing else []),
            *([trigger("s", f"BEFORE UPDATE OF {moved}", *removing)] if removing else []),
        ]
    )


def _others(watched: Watched) -> list[Key]:
    """The unique columns by which REPLACE may remove a row that is watched as another one: SQLite fires no trigger for that."""
    shape = watched.shape
    spelled = {each.name for each in shape.columns if each.collation is not None}
    return [
        tuple(sorted(each))
        for each in sorted(shape.uniques, key=sorted)
        if not set(watched.columns) <= each or spelled & set(watched.columns)
    ]


def _same(key: Key) -> str:
    return " AND ".join(f"r.{quoted(each)} = NEW.{quoted(each)}" for each in key)
