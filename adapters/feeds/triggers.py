"""Which rows changed, by triggers that write down keys: what such feeds of all engines have in common.

Each follower has a log of its own for each table, with the columns that are watched in types of their own, and each change writes
there what they were and what they are. What the catalog says of log, triggers and table is part of a position, so that what
triggers cannot see (that they were dropped or switched off, another definition of the table, rows that all went at once) is seen.
"""

from __future__ import annotations

import json
import time
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field
from datetime import datetime
from hashlib import blake2b
from typing import Any, Final, Protocol

import pyarrow as pa

from adapters.feeds.feed import Batch, FeedLost, Held, Watched, Way, WhyWhole
from adapters.protocol import Snapshot
from transforms.vocabulary import INVALID, Key, Relation, SpecError, TableName

LOG_PREFIX: Final = "syncline_log_"
"""How the name of every log begins, and of whatever writes to it."""

INSTALL: Final = "syncline follow install SPEC"
LOCK_SECONDS: Final = 10  # that making a trigger waits for those who write, while others wait for it
BUSY_FIX: Final = "run it again once they are over; the longest of them is what it waits for."
LOOK_SECONDS: Final = 0.05  # between two looks of one who waits


def prefix_of(name: str) -> str:
    """How the names of a follower's logs begin: the same for the same follower, of 26 letters that every engine takes."""
    return f"{LOG_PREFIX}{_digest(name)}_"


def log_name(name: str, table: TableName) -> str:
    """The log of a table and a follower; triggers are called as that with a letter behind it: less than 63 bytes."""
    return f"{prefix_of(name)}{_digest(repr((table.schema, table.name)))}"


def is_log(name: str) -> bool:
    """Whether a table is one of these, and not the user's."""
    return name.startswith(LOG_PREFIX)


def _digest(text: str) -> str:
    return blake2b(text.encode(), digest_size=6).hexdigest()


def mark_of(statements: Sequence[str]) -> str:
    """What a log says of how it and its triggers were made, so that one that is to be another now is known."""
    return f"syncline {blake2b(chr(0).join(statements).encode(), digest_size=12).hexdigest()}"


def logged_names(watched: Watched) -> Key:
    """The columns of a log that hold those that are watched, whatever these are called."""
    return tuple(f"k{place}" for place in range(1, len(watched.columns) + 1))


@dataclass(frozen=True, slots=True)
class Seen:
    """What the catalog has of a table that is watched.

    `fit`: log and triggers are there as they are to be, and work. `identity` is another one once they were made anew or switched
    off and on, `definition` once the table was altered, `storage` once its rows went at once.
    """

    fit: bool
    identity: str
    definition: str
    storage: str = ""


@dataclass(frozen=True, slots=True)
class Found:
    """What a log has from a place on, and the place to go on from, as JSON. `doubtful`: with values that cannot be told."""

    at: Any
    keys: Mapping[TableName, pa.Table] = field(default_factory=dict)
    changes: int = 0
    since: datetime | None = None
    more: bool = False
    doubtful: frozenset[TableName] = frozenset()


class ChangeLog(Protocol):
    """The logs of one follower in one database, as an engine keeps them."""

    url: str
    watched: Sequence[Watched]

    def seen(self) -> Mapping[TableName, Seen]:
        """Of every table that is watched."""

    def now(self) -> Any:
        """The place behind all that is committed."""

    def read(self, at: Any, most: int) -> Found:
        """See `ChangeFeed.read`. FeedLost where the place is none of this database."""

    def waiting(self, at: Any) -> bool:
        """Whether there is something behind a place."""

    def settle(self, at: Any) -> None:
        """Forget what is before a place."""

    def size(self) -> int:
        """How many bytes the logs take."""

    def installing(self, name: Watched) -> list[str]:
        """The statements that make log and triggers of a table anew, whatever is there of them."""

    def uninstalling(self) -> list[str]:
        """The statements that take away whatever there is of this follower, of tables that are watched no more, too."""

    def execute(self, statements: Sequence[str]) -> None:
        """Run them, in one transaction where the engine can. BusyError where others hold the tables for too long."""

    def empty(self) -> None:
        """Take all rows out of the logs, so that their room is free, and every place in them is lost."""

    def close(self) -> None:
        """Give back every connection. Idempotent."""


class TriggerFeed:
    """A ChangeFeed (see the protocol) of what triggers wrote down."""

    way: Way = "trigger"

    def __init__(self, log: ChangeLog) -> None:
        self._log = log

    def missing(self) -> list[TableName]:
        """The tables whose triggers are not there, or not as they are to be."""
        return [name for name, each in self._log.seen().items() if not each.fit]

    def installing(self) -> list[str]:
        """The statements that make what is missing; none where nothing is."""
        missing = self.missing()
        return [
            statement for each in self._log.watched if each.table in missing for statement in self._log.installing(each)
        ]

    def uninstalling(self) -> list[str]:
        """The statements that take away all that there is; none where nothing is."""
        return self._log.uninstalling()

    def execute(self, statements: Sequence[str]) -> None:
        """Run such statements. SpecError, with what to do, where the user lacks a right."""
        self._log.execute(statements)

    def start(self) -> str:
        seen = self._log.seen()
        self._must_fit([name for name, each in seen.items() if not each.fit])
        return _position(seen, self._log.now())

    def _must_fit(self, missing: Sequence[TableName]) -> None:
        if missing:
            raise SpecError(
                f"{self._log.url}: no triggers write down what changes in {', '.join(map(str, missing))}.",
                fix=f"run `{INSTALL}`, which shows them first, or write another capture.",
            )

    def read(self, position: str, most: int) -> Batch:
        place = json.loads(position)
        seen = self._log.seen()
        whole = self._compared(seen, {TableName(name, schema): Seen(**each) for schema, name, each in place["seen"]})
        found = self._log.read(place["at"], most)
        whole |= dict.fromkeys(found.doubtful, "unseen")
        return Batch(_position(seen, found.at), found.keys, whole, found.changes, found.since, found.more)

    def _compared(self, seen: Mapping[TableName, Seen], before: Mapping[TableName, Seen]) -> dict[TableName, WhyWhole]:
        """Which tables have to be compared whole. FeedLost where triggers were not there all the time."""
        lost = [name for name, each in before.items() if name in seen and seen[name].identity != each.identity]
        unfit = [name for name, each in seen.items() if not each.fit]
        if lost or any(name in before for name in unfit):
            tables = ", ".join(map(str, sorted({*lost, *unfit})))
            raise FeedLost(
                f"{self._log.url}: triggers that write down what changes in {tables} were dropped, switched off or made anew, "
                "or the table was.",
                fix=f"run `{INSTALL}` where they are missing; what changed meanwhile is found by a full comparison.",
            )
        self._must_fit(unfit)
        whole: dict[TableName, WhyWhole] = {}
        for name, each in seen.items():
            if name not in before:
                whole[name] = "unseen"
            elif each.definition != before[name].definition:
                whole[name] = "altered"
            elif each.storage != before[name].storage:
                whole[name] = "truncated"
        return whole

    def settle(self, position: str) -> None:
        self._log.settle(json.loads(position)["at"])

    def wait(self, position: str, seconds: float) -> bool:
        at, end = json.loads(position)["at"], time.monotonic() + seconds
        while not (there := self._log.waiting(at)) and (left := end - time.monotonic()) > 0:
            time.sleep(min(left, LOOK_SECONDS))
        return there

    def held(self) -> Held | None:
        return Held(self._log.size())

    def remove(self) -> None:
        self._log.empty()

    def close(self) -> None:
        self._log.close()


def _position(seen: Mapping[TableName, Seen], at: Any) -> str:
    return json.dumps({"seen": [(name.schema, name.name, asdict(each)) for name, each in seen.items()], "at": at})


@dataclass(frozen=True, slots=True)
class Logged:
    """Rows of a log: the columns that are watched, each in its travel type, and beside them, row by row, some of the log's own, whose
    names may be the same. `whole`: all could be told; rows that cannot are left out.
    """

    keys: pa.Table
    own: pa.Table
    whole: bool


def logged(snapshot: Snapshot, log: TableName, watched: Watched, where: str, more: Key) -> Logged:
    """What a log has where a condition holds, with some of its own columns."""
    names = logged_names(watched)
    schema = watched.shape.schema(watched.columns)
    keys, own, whole = [schema.empty_table()], list[pa.Table](), True
    for batch in snapshot.scan(Relation(log, where=where), (*names, *more)):
        part = pa.Table.from_batches([batch])
        if INVALID in part.column_names:
            fine = part[INVALID].is_null()
            whole = whole and bool(fine.to_numpy().all())
            part = part.filter(fine)
        try:
            keys.append(
                pa.table([part[name].cast(each.type) for name, each in zip(names, schema, strict=True)], schema=schema)
            )
        except pa.ArrowInvalid:  # the table was altered, and this is no value of what it had been
            whole, part = False, part.slice(0, 0)
        own.append(part.select(more))
    return Logged(
        pa.concat_tables(keys), pa.concat_tables(own) if own else pa.table({each: [] for each in more}), whole
    )


def share_of(left: int, tables: int) -> int:
    """How many rows one of several tables that are yet to be read may give."""
    return max(1, left // tables)
