"""Keys out of MariaDB's binary log, from a place on, in pieces of about so many changes."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from typing import Final

import pyarrow as pa

from adapters.feeds.feed import WhyWhole
from adapters.mysql.binlog import (
    DELETE_ROWS,
    FORWARD,
    GTID,
    INCIDENT,
    QUERY,
    TABLE_MAP,
    UPDATE_ROWS,
    WRITE_ROWS,
    XA_PREPARE,
    XID,
    Dump,
    Event,
    Place,
    is_alone,
    statement,
)
from adapters.mysql.followed import Name, Tracked, mentioned
from adapters.mysql.row_events import Column, Form, Rows, TableMap, table_map, table_of, taken_apart, values
from transforms.vocabulary import SynclineError, TableName

ROW_BYTES: Final = 16.0  # of a row in an event, until some were seen
PASSED_BYTES: Final = 2**26  # of the log in one piece, whatever it tells

_FIRST: Final = re.compile(r"^(?:\s|/\*.*?\*/|(?:--|#)[^\n]*\n)*(\w+)(?:\s+(\w+))?", re.DOTALL)
HARMLESS: Final = frozenset(
    ("BEGIN", "SAVEPOINT", "RELEASE", "GRANT", "REVOKE", "ANALYZE", "OPTIMIZE", "REPAIR", "FLUSH")
)
"""First words of statements that change no row and no table."""
OF_ROWS: Final = frozenset(("INSERT", "UPDATE", "DELETE", "REPLACE", "LOAD", "WITH", "SELECT", "CALL", "DO", "VALUES"))
"""First words of statements that change rows, and tell nothing of which: they may do more than they name, by triggers and functions."""


@dataclass(slots=True)
class Found:
    """What a piece of the log tells: of each watched table its keys as they are stored, and by what kind of columns."""

    keys: dict[TableName, list[tuple[tuple[Column, ...], pa.Table]]] = field(default_factory=dict)
    whole: dict[TableName, WhyWhole] = field(default_factory=dict)
    changes: int = 0
    since: datetime | None = None
    last: Place | None = None
    redefined: bool = False


_Groups = dict[tuple[Name, TableMap, Form], list[bytes]]


class Reading:
    """The log from a place on. `place` is where it stands, `over` whether that is where the log ended."""

    def __init__(self, dump: Dump, start: Place, tables: Mapping[Name, Tracked]) -> None:
        self.over = False
        self._dump = dump
        self._events = dump.events()
        self._tables = tables
        self._skip = start.done
        self._begun: Place | None = None  # of the transaction that is being read
        self._latest: Place | None = None  # where the latest transaction began
        self._since = 0
        self._done = 0
        self._alone = False
        self._maps: dict[bytes, TableMap] = {}
        self._known: dict[int, TableMap] = {}
        self._row_bytes = ROW_BYTES

    @property
    def place(self) -> Place:
        if self._begun is None:
            return self._dump.place
        return replace(self._begun, done=self._done)

    def close(self) -> None:
        self._events.close()  # type: ignore[attr-defined]
        self._dump.close()

    def take(self, most: int) -> Found:
        """The next changes, about `most` of them as long as there are so many. At the end `over` is true."""
        found, passed = Found(), 0
        while found.changes < most and passed < PASSED_BYTES and not self.over:
            groups: _Groups = {}
            passed += self._gather(groups, (most - found.changes) * self._row_bytes, PASSED_BYTES - passed, found)
            for (name, table, form), rows in groups.items():
                self._read(name, table, form, rows, found)
        return found

    def _gather(self, groups: _Groups, room: float, most: int, found: Found) -> int:
        """Sort the rows of the next events by their form, as long as there is room; how many bytes were passed."""
        taken = passed = 0
        while taken < room and passed < most:
            event = next(self._events, None)
            if event is None:
                self.over = True
                break
            passed += len(event.body)
            if event.kind in (WRITE_ROWS, UPDATE_ROWS, DELETE_ROWS):
                taken += self._rows(event, groups, found)
            else:
                self._control(event, found)
        return passed

    def _control(self, event: Event, found: Found) -> None:
        if event.kind == TABLE_MAP:
            if event.body not in self._maps:
                self._maps[event.body] = table_map(event.body)
            self._known[table_of(event)] = self._maps[event.body]
        elif event.kind == GTID:
            self._begun = self._latest = replace(self._dump.place, at=event.at)
            self._done = 0
            self._since, self._alone = event.when, is_alone(event)
        elif event.kind == QUERY:
            self._query(event, found)
        elif event.kind in (XID, XA_PREPARE):
            self._begun = None
        elif event.kind == INCIDENT:
            self._unseen(found)
        elif event.kind in FORWARD:
            raise SynclineError(
                f"The log has an event of the kind {event.kind}, which is none of MariaDB's.",
                fix="follow by triggers, which `follow:` of the spec says.",
            )

    def _query(self, event: Event, found: Found) -> None:
        schema, text = statement(event)
        match = _FIRST.match(text)
        first, second = ((match[1] or "").upper(), (match[2] or "").upper()) if match else ("", "")
        if self._alone or first == "COMMIT" or (first == "ROLLBACK" and second != "TO"):
            self._begun = None
        if first in HARMLESS or first in ("COMMIT", "ROLLBACK"):
            return
        if first in OF_ROWS or first == "XA":
            if first != "XA" or second == "COMMIT":
                self._unseen(found)
            return
        why: WhyWhole = "truncated" if first == "TRUNCATE" else "altered"
        names = mentioned(text, schema, self._tables, whole_schema=first == "DROP" and second in ("DATABASE", "SCHEMA"))
        for name in names:
            found.redefined = True
            self._whole(self._tables[name], why, found)
        self._dated(found, counted=len(names))

    def _whole(self, table: Tracked, why: WhyWhole, found: Found) -> None:
        if table.watched is not None:
            found.whole[table.watched.table] = why

    def _unseen(self, found: Found) -> None:
        for table in self._tables.values():
            self._whole(table, "unseen", found)
        self._dated(found, counted=1)

    def _dated(self, found: Found, counted: int) -> None:
        """Something that matters was found in the transaction that is being read."""
        if counted:
            when = datetime.fromtimestamp(self._since, UTC) if self._since else None
            found.since = min(filter(None, (found.since, when)), default=None)
            found.last = self._latest

    def _rows(self, event: Event, groups: _Groups, found: Found) -> int:
        """Put the rows of an event to others of its form; how many bytes of them are to be read."""
        self._done += 1
        if self._skip:
            self._skip -= 1
            return 0
        table = self._known.get(table_of(event))
        known = self._tables.get((table.schema, table.table)) if table is not None else None
        if table is None or known is None:
            return 0
        self._dated(found, counted=1)
        if not known.fits(table):
            self._whole(known, "altered", found)
            for child in known.children:
                found.whole.setdefault(child, "unseen")
            return 0
        form, rows = taken_apart(event, known.count)
        groups.setdefault(((table.schema, table.table), table, form), []).append(rows)
        return len(rows)

    def _read(self, name: Name, table: TableMap, form: Form, events: list[bytes], found: Found) -> None:
        known = self._tables[name]
        assert table.columns is not None
        rows = values(events, form, table.columns, known.places)
        self._row_bytes = max(1.0, sum(map(len, events)) / max(1, rows.count))
        if known.children and _carried_on(form, rows):
            for child in known.children:
                found.whole.setdefault(child, "unseen")
        if known.watched is not None:
            found.changes += rows.count
            self._keys(known, table.columns, rows, found)

    def _keys(self, known: Tracked, columns: tuple[Column, ...], rows: Rows, found: Found) -> None:
        assert known.watched is not None
        kinds = tuple(columns[place] for place in known.places)
        wanted = known.watched.columns
        own = [known.columns.index(name) for name in wanted]
        before = [rows.before[i] for i in own]
        images = [before]
        if rows.after is not None:
            images.append([rows.before[i] if rows.after[i] is None else rows.after[i] for i in own])
        for arrays in images:
            if any(each is None for each in arrays):
                self._whole(known, "unseen", found)
            else:
                told = pa.table(arrays, names=list(wanted))
                found.keys.setdefault(known.watched.table, []).append((kinds[: len(own)], told))


def _carried_on(form: Form, rows: Rows) -> bool:
    """Whether foreign keys may carry on what was done to rows: they go, or columns change that others refer to."""
    if form.kind == DELETE_ROWS:
        return rows.count > 0
    if rows.after is None:
        return False
    pairs = zip(rows.before, rows.after, strict=True)
    return any(after is not None and (before is None or not before.equals(after)) for before, after in pairs)
