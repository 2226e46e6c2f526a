"""What a feed of changes promises: which rows of some tables may have changed, and never what they are now.

The source says *which* rows, a plan of those keys says *what*, so that an event that is doubled or out of order costs a read and
never a row. One contract suite (tests/adapters/test_feed_*.py) holds every way of every engine to it.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Literal, Protocol, get_args, runtime_checkable

import pyarrow as pa

from transforms.vocabulary import Key, SynclineError, TableName, TableShape

Way = Literal["log", "trigger", "poll"]
"""By the log that the engine writes anyway; by triggers that write down keys; or by asking a column that grows with each change."""

WAYS: tuple[Way, ...] = get_args(Way)

WhyWhole = Literal["truncated", "altered", "unseen"]
"""Why a table has to be compared whole: its rows went at once, its definition changed, or the feed cannot tell what happened to it."""


class FeedLost(SynclineError):
    """What was to be read from a position on is gone (a slot that was dropped or fell behind, a log that was purged, triggers that
    were dropped and may have missed a change). Only a new start and a full comparison settle it.
    """

    code = "feed_lost"


@dataclass(frozen=True, slots=True)
class Watched:
    """A table that a feed watches. `columns` say which row it is that changed, `cursor` is what a poll asks.

    The columns need not be a key of the table: of a row in which one of them changes, the feed gives the values before and after.
    """

    shape: TableShape
    columns: Key
    cursor: str | None = None

    @property
    def table(self) -> TableName:
        return self.shape.name


@dataclass(frozen=True, slots=True)
class Batch:
    """What a feed has read, and where to go on.

    `keys` has by table the columns that are watched, in their travel types, each combination of values once, and only tables with
    rows. `whole` are the tables that have to be compared whole, and why. `changes` counts what was read, repeats too. `since` is
    when the oldest of it was committed, as far as the way knows, in UTC; None where it does not. `more`: another read would find
    something at once.
    """

    position: str
    keys: Mapping[TableName, pa.Table] = field(default_factory=dict)
    whole: Mapping[TableName, WhyWhole] = field(default_factory=dict)
    changes: int = 0
    since: datetime | None = None
    more: bool = False


@dataclass(frozen=True, slots=True)
class Held:
    """What the database keeps for a feed and would otherwise let go: bytes of log, and how many it keeps at most (None: no end)."""

    size: int
    most: int | None = None


@runtime_checkable
class ChangeFeed(Protocol):
    """The keys of rows that may have changed since a position, in batches, at least once each.

    A position is a text that the feed names and takes back; whoever follows keeps it, and only once what it led to is in. Used by
    one thread. Every method raises ConnectionFailed or TransientError where the server cannot be reached, and SpecError, with
    what to do about it, where it lacks a right, a setting or an object.
    """

    way: Way

    def start(self) -> str:
        """The position of now: every change that is committed after this call is found from it; earlier ones may be.

        What the way needs in the database, and may make by itself (a replication slot), is there afterwards. Taken before the
        snapshot of a first load, so that what overlaps is read twice and nothing is missed.
        """

    def read(self, position: str, most: int) -> Batch:
        """The next changes from a position on, about `most` of them; a larger transaction may be cut, or come whole.

        Everything in the batch is visible to a snapshot that is opened after the call. Changes committed before the call and not
        in it are in one of the next while `more`. The same position can be read again until it is settled. Bounded memory.
        Errors: FeedLost.
        """

    def settle(self, position: str) -> None:
        """What is before a position will not be asked for again: the database may forget it. Idempotent."""

    def wait(self, position: str, seconds: float) -> bool:
        """Whether there is something to read behind a position, as soon as there is, and after `seconds` at the latest. A way that
        does not know answers no, after a while."""

    def held(self) -> Held | None:
        """What the database keeps because of this feed; None where it keeps nothing, or nothing that could fill a disk."""

    def remove(self) -> None:
        """Take away what the feed keeps in the database (a slot, a publication, the rows of logs that triggers write to), and with it
        every position. Idempotent. The triggers themselves go by `syncline follow`.
        """

    def close(self) -> None:
        """Give back every connection. Idempotent; the position stays good."""


@runtime_checkable
class Keeping(Protocol):
    """A ChangeFeed that keeps something in the database as long as it is followed, and can say how that is taken away."""

    def removing(self) -> list[str]:
        """The statements that `remove` runs; none where nothing is kept."""
