"""What a run keeps in memory while it works, each for one purpose. All of it is used by several threads at once."""

from __future__ import annotations

import threading
from typing import Final

from adapters.protocol import Source
from transforms.vocabulary import ChangeSet, PlanError, TableName, TableShape

CACHE_BYTES: Final = (
    32 * 2**20
)  # change sets kept from planning to applying in one process, so that they are not read back


class Numbers:
    """The surrogate keys that one plan gives out, table by table."""

    def __init__(self) -> None:
        self._next: dict[str, int] = {}
        self._lock = threading.Lock()

    def start(self, table: str, first: int) -> None:
        """Number the rows of a table from `first` on."""
        self._next[table] = first

    def reserve(self, table: str, count: int) -> int:
        """The first of `count` consecutive numbers that nobody else gets."""
        with self._lock:
            first = self._next[table]
            self._next[table] = first + count
            return first

    def give_back(self, table: str, count: int) -> None:
        """Take back the last `count` numbers of a table whose keys are numbered here; nothing of another one.

        In: nobody reserved any since, as where one window comes after the other.
        """
        with self._lock:
            if table in self._next:
                self._next[table] -= count


class Samples:
    """How many windows of each table have shown changes of theirs."""

    def __init__(self) -> None:
        self._shown: dict[str, int] = {}
        self._lock = threading.Lock()

    def wanted(self, table: str, most: int) -> bool:
        """Whether fewer than `most` windows of the table have shown some; counts this one."""
        with self._lock:
            self._shown[table] = self._shown.get(table, 0) + 1
            return self._shown[table] <= most


class PlannedChanges:
    """Change sets of the latest plan, as far as they are few: whoever takes one out need not read it from the plan's folder."""

    def __init__(self, most_bytes: int = CACHE_BYTES) -> None:
        self._most, self._bytes = most_bytes, 0
        self._kept: dict[tuple[str, int], ChangeSet] = {}
        self._lock = threading.Lock()

    def keep(self, table: str, window: int, changes: ChangeSet) -> None:
        """Keep a window's changes, in place of what an earlier try planned for it."""
        self.take(table, window)
        with self._lock:
            if self._bytes + changes.nbytes <= self._most:
                self._kept[table, window] = changes
                self._bytes += changes.nbytes

    def take(self, table: str, window: int) -> ChangeSet | None:
        """A window's changes, once: they are not kept any longer. None where they have to be read."""
        with self._lock:
            changes = self._kept.pop((table, window), None)
            self._bytes -= changes.nbytes if changes is not None else 0
            return changes

    def clear(self) -> None:
        """Keep nothing of any window."""
        with self._lock:
            self._kept.clear()
            self._bytes = 0


class Shapes:
    """The tables that plans write without the spec, each looked at once."""

    def __init__(self) -> None:
        self._known: dict[TableName, TableShape] = {}
        self._lock = threading.Lock()

    def of(self, adapter: Source, table: TableName) -> TableShape:
        """The table as it is in the database. PlanError where it is not there."""
        with self._lock:
            if table not in self._known:
                found = adapter.describe(table)
                if found is None:
                    raise PlanError(
                        f"{table} is no longer there. Nothing of it was written.", fix="bring the table back."
                    )
                self._known[table] = found
            return self._known[table]
