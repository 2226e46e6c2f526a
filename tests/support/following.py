"""Feeds of changes on real databases: what is watched, what was told, and writers beside them."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass, field
from threading import Event, Thread
from typing import Any

from databases import Database

from adapters.feeds.feed import Batch, ChangeFeed, Watched, Way
from adapters.registry import open_feed, open_target, open_triggers
from transforms.vocabulary import TableName

Rows = set[tuple[Any, ...]]


@dataclass
class Told:
    """What a feed has told: by table its keys, what is to be compared whole, how many changes, and where to go on."""

    position: str
    keys: dict[str, Rows] = field(default_factory=dict)
    whole: dict[str, str] = field(default_factory=dict)
    batches: list[Batch] = field(default_factory=list)

    def add(self, batch: Batch) -> None:
        self.position = batch.position
        self.batches.append(batch)
        for table, rows in batch.keys.items():
            assert rows.num_rows
            assert rows.num_rows == rows.group_by(rows.column_names).aggregate([]).num_rows, "a key came twice"
            self.keys.setdefault(table.name, set()).update(tuple(row.values()) for row in rows.to_pylist())
        self.whole.update({table.name: why for table, why in batch.whole.items()})


@dataclass
class Following:
    """A database and a way to follow it. `prepare` makes what the way needs there and does not make by itself."""

    database: Database
    way: Way
    prepare: Callable[[str, list[Watched], str], None] | None = None

    @property
    def engine(self) -> str:
        return self.database.engine

    def execute(self, *statements: str) -> list[tuple[Any, ...]]:
        return self.database.execute(*statements)

    def watch(self, table: str, *columns: str) -> Watched:
        adapter = open_target(self.database.url)
        try:
            shape = adapter.describe(TableName(table))
        finally:
            adapter.close()
        assert shape is not None, table
        return Watched(shape, columns or shape.primary_key)

    def open(self, *watched: Watched, name: str = "one", url: str | None = None) -> ChangeFeed:
        return open_feed(url or self.database.url, self.way, watched, name)

    @contextmanager
    def feed(self, *tables: str | Watched, name: str = "one") -> Iterator[tuple[ChangeFeed, str]]:
        """A feed of tables by their primary keys, and the position at which it starts. Removed at the end."""
        watched = [self.watch(each) if isinstance(each, str) else each for each in tables]
        if self.prepare is not None:
            self.prepare(self.database.url, watched, name)
        with ExitStack() as stack:
            feed = self.open(*watched, name=name)
            stack.callback(feed.close)
            stack.callback(feed.remove)
            yield feed, feed.start()


def with_triggers(url: str, watched: list[Watched], name: str) -> None:
    """Make the triggers that a follower needs."""
    with closing(open_triggers(url, watched, name)) as triggers:
        triggers.execute(triggers.installing())
        assert triggers.installing() == [], "what was made is as it is to be"


def drained(feed: ChangeFeed, position: str, most: int = 10_000, *, settle: bool = True) -> Told:
    """All that there is to read from a position on."""
    told = Told(position)
    while True:
        batch = feed.read(told.position, most)
        assert batch.position != told.position or not batch.more, "no step, though there is more"
        told.add(batch)
        if settle:
            feed.settle(batch.position)
        if not batch.more:
            return told


@contextmanager
def beside(work: Callable[[Event], None], threads: int = 1) -> Iterator[None]:
    """Threads that work until the event is set, which is at the end. What one raises is raised here."""
    stop = Event()
    failed: list[BaseException] = []

    def run() -> None:
        try:
            work(stop)
        except BaseException as error:
            failed.append(error)

    started = [Thread(target=run) for _ in range(threads)]
    for each in started:
        each.start()
    try:
        yield
    finally:
        stop.set()
        for each in started:
            each.join()
    if failed:
        raise failed[0]
