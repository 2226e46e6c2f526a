"""A feed by a column that grows with each change: on every engine, each change is given, and rows of the overlap once."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import closing
from datetime import UTC, date, datetime, timedelta
from itertools import count
from threading import Event
from typing import Any

import psycopg
import pyarrow as pa
import pytest
from contract import ID, ZONED, a_shape, change, col, edited, load, make, numbers, rows_of
from databases import Database
from following import beside

from adapters.feeds.feed import Batch, ChangeFeed, Watched
from adapters.feeds.poll import feed, server_clock
from adapters.protocol import Snapshot, Target
from adapters.registry import open_feed, open_target, ways
from transforms.vocabulary import Relation, SpecError, TableName, TableShape

NOON = datetime(2026, 5, 1, 12, tzinfo=UTC)
MINUTE = timedelta(minutes=1)
MARKED = col("name", pa.string(), length=40)


class Clock:
    """A server's clock that a test sets."""

    def __init__(self) -> None:
        self.now = NOON

    def __call__(self, snapshot: Snapshot) -> datetime:
        return self.now


def a_table(adapter: Target, cursor: pa.DataType = ZONED, **more: Any) -> TableShape:
    columns = [ID, MARKED, col("at", cursor, nullable=False, **more)]
    return make(adapter, a_shape(f"polled_{next(numbers)}", columns))


def rows(shape: TableShape, *ids_at: tuple[int, Any]) -> pa.Table:
    return rows_of(shape, *({"id": number, "name": f"row {number}", "at": at} for number, at in ids_at))


def polled(adapter: Target, *shapes: TableShape, **options: Any) -> ChangeFeed:
    return feed(adapter, [Watched(each, ("id",), "at") for each in shapes], **options)


def ids(batch: Batch, table: TableName) -> list[int]:
    return sorted(batch.keys[table]["id"].to_pylist()) if table in batch.keys else []


def through(follow: ChangeFeed, position: str, table: TableName, most: int) -> tuple[list[int], str]:
    """All that there is to read, in batches."""
    found: list[int] = []
    for _ in range(1000):
        batch = follow.read(position, most)
        position = batch.position
        found += ids(batch, table)
        assert batch.changes <= max(most, 1)
        if not batch.more:
            return found, position
    raise AssertionError("there is always more")


def test_changes_of_one_time_come_once_in_batches_and_late_ones_within_the_overlap_too(roomy: Target) -> None:
    shape, clock = a_table(roomy), Clock()
    load(roomy, shape, rows(shape, (0, NOON - 60 * MINUTE)))
    follow = polled(roomy, shape, clock=clock)
    begun = follow.start()
    assert follow.read(begun, 10).keys == {}, "what is older than the overlap is of before"
    load(roomy, shape, rows(shape, *((number, NOON) for number in range(1, 101)), (101, NOON + MINUTE)))
    clock.now = NOON + MINUTE
    found, position = through(follow, begun, shape.name, 7)
    assert sorted(found) == list(range(1, 102)) and len(found) == 101, "ties are cut, and each comes once"
    again, _ = through(follow, begun, shape.name, 30)
    assert sorted(again) == sorted(found), "a position is read again until it is settled"
    assert not follow.read(position, 10).changes, "what was given is not given by each read"
    late = rows(shape, (200, NOON - 5 * MINUTE), (201, NOON + MINUTE))
    load(roomy, shape, late)
    batch = follow.read(position, 10)
    assert ids(batch, shape.name) == [200, 201] and not batch.more and batch.since == NOON - 5 * MINUTE
    before = rows(shape, (0, NOON - 60 * MINUTE))
    after = edited(before, "at", [NOON + 20 * MINUTE])
    roomy.apply(change(shape, before=before, after=after), shape, None)
    clock.now = NOON + 20 * MINUTE
    batch = follow.read(batch.position, 10)
    assert ids(batch, shape.name) == [0] and not batch.whole


def test_a_time_of_the_future_hides_no_change(roomy: Target) -> None:
    shape, clock = a_table(roomy), Clock()
    follow = polled(roomy, shape, clock=clock)
    position = follow.start()
    load(roomy, shape, rows(shape, (1, NOON + 600 * MINUTE)))
    found, position = through(follow, position, shape.name, 10)
    load(roomy, shape, rows(shape, (2, NOON)))
    clock.now += MINUTE
    more, position = through(follow, position, shape.name, 10)
    assert (found, more) == ([1], [2])


def test_a_change_that_is_committed_late_while_a_pass_is_cut_is_given_by_the_next(roomy: Target) -> None:
    shape, clock = a_table(roomy), Clock()
    follow = polled(roomy, shape, clock=clock)
    position = follow.start()
    load(roomy, shape, rows(shape, *((number, NOON + number * MINUTE) for number in range(1, 61))))
    clock.now = NOON + 60 * MINUTE
    batch = follow.read(position, 50)
    assert batch.more
    load(roomy, shape, rows(shape, (99, NOON + 49 * MINUTE + MINUTE / 2), (100, NOON + 52 * MINUTE)))
    rest, position = through(follow, batch.position, shape.name, 50)
    found = {*ids(batch, shape.name), *rest}
    later, _ = through(follow, position, shape.name, 50)
    assert found | set(later) >= {*range(1, 61), 100}
    assert 99 not in found | set(later), "it was committed later than the overlap: 10 minutes and more behind the mark"


@pytest.mark.parametrize(
    ("travel", "value"),
    [(pa.int64(), lambda step: 1000 + step), (pa.date32(), lambda step: date(2026, 5, 1) + step * timedelta(days=5))],
    ids=["numbers", "dates"],
)
def test_a_cursor_may_be_a_number_or_a_date(roomy: Target, travel: pa.DataType, value: Callable[[int], Any]) -> None:
    shape, clock = a_table(roomy, travel), Clock()
    load(roomy, shape, rows(shape, (1, value(0))))
    follow = polled(roomy, shape, clock=clock, numbers=3)
    _, position = through(follow, follow.start(), shape.name, 10)
    for step in (1, 2):
        clock.now += timedelta(days=5)
        load(roomy, shape, rows(shape, (step + 1, value(5 * step))))
        found, position = through(follow, position, shape.name, 10)
        assert found == [step + 1]


def test_rows_that_went_and_a_clock_set_back_make_a_table_unseen_once(roomy: Target) -> None:
    shape, counted, clock = a_table(roomy), a_table(roomy, pa.int64()), Clock()
    load(roomy, shape, rows(shape, (1, NOON)))
    load(roomy, counted, rows(counted, (1, 5), (2, 6)))
    follow = polled(roomy, shape, counted, clock=clock)
    position = follow.read(follow.start(), 10).position
    clock.now -= 60 * MINUTE
    batch = follow.read(position, 10)
    assert batch.whole == {shape.name: "unseen"}
    assert not follow.read(batch.position, 10).whole
    clock.now += 60 * MINUTE
    position = follow.read(batch.position, 10).position
    roomy.apply(change(counted, deletes=rows(counted, (1, 5), (2, 6))), counted, None)
    batch = follow.read(position, 10)
    assert batch.whole == {counted.name: "unseen"}
    load(roomy, counted, rows(counted, (3, 1)))
    assert ids(follow.read(batch.position, 10), counted.name) == [3]
    fewer = polled(roomy, shape, clock=clock)
    position = fewer.start()
    follow = polled(roomy, shape, counted, clock=clock)
    assert follow.read(position, 10).whole == {counted.name: "unseen"}, "a table that was not followed till now"


def test_no_table_waits_for_a_busier_one(roomy: Target) -> None:
    busy, quiet, clock = a_table(roomy), a_table(roomy), Clock()
    follow = polled(roomy, busy, quiet, clock=clock)
    position = follow.start()
    load(roomy, busy, rows(busy, *((number, NOON) for number in range(100))))
    load(roomy, quiet, rows(quiet, (1, NOON)))
    batch = follow.read(position, 10)
    assert len(ids(batch, busy.name)) == 5 and ids(batch, quiet.name) == [1] and batch.more


def test_what_cannot_be_polled_is_refused_with_what_to_do(roomy: Target) -> None:
    shape = a_table(roomy)
    for cursor in (None, "nothing", "name"):
        with pytest.raises(SpecError, match=r"cursor|grows"):
            feed(roomy, [Watched(shape, ("id",), cursor)])
    nullable = make(roomy, a_shape(f"polled_{next(numbers)}", [ID, MARKED, col("at", ZONED)]))
    follow = polled(roomy, nullable)
    position = follow.start()
    load(roomy, nullable, rows(nullable, (1, None)))
    for fails in (follow.start, lambda: follow.read(position, 10)):
        with pytest.raises(SpecError, match="no value"):
            fails()


def test_every_engine_can_be_polled_by_the_clock_of_its_server(database: Database) -> None:
    with closing(open_target(database.url, create=True)) as adapter:
        shape = a_table(adapter)
        with adapter.snapshot() as snapshot:
            assert abs(server_clock(snapshot) - datetime.now(UTC)) < MINUTE
        assert tuple(each.way for each in adapter.capabilities.ways) == ways(database.url), (
            "what check says of them is of these"
        )
    watched = [Watched(shape, ("id",), "at")]
    with closing(open_feed(database.url, "poll", watched, "someone", time_zone="Europe/Vienna")) as follow:
        assert follow.way == "poll" and not follow.read(follow.start(), 10).changes


def test_a_poll_misses_nothing_while_others_write(postgres_url: str) -> None:
    with closing(open_target(postgres_url)) as adapter:
        shape = a_table(adapter)
        table, ids_of = f'"{shape.name.name}"', count(1)

        def write(stop: Event) -> None:
            with psycopg.connect(postgres_url) as connection:
                while not stop.is_set():
                    number = next(ids_of)
                    connection.execute(f"INSERT INTO {table} VALUES ({number}, 'x', now())".encode())
                    stop.wait(0.15 if number % 20 == 0 else 0)  # its time is by then one that others have gone past
                    connection.commit()

        follow = feed(adapter, [Watched(shape, ("id",), "at")], overlap=timedelta(seconds=2))
        position, found = follow.start(), list[int]()
        with beside(write, 4):
            ends = time.monotonic() + 1.5
            while time.monotonic() < ends:
                batch = follow.read(position, 50)
                position, found = batch.position, found + ids(batch, shape.name)
        found += through(follow, position, shape.name, 50)[0]
        with adapter.snapshot() as snapshot:
            there = [
                number for part in snapshot.scan(Relation(shape.name), ["id"]) for number in part["id"].to_pylist()
            ]
        assert sorted(found) == sorted(there), "each once"
        assert len(there) > 100
