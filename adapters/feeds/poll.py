"""Which rows changed, by a column that grows with each change: on any engine, with no more than the right to read.

A pass asks for all rows from a mark on, less an overlap for changes that are committed later than they say. The mark of times is
the server's own clock, or the latest value where that is earlier, so that a value of the future does not hide what comes before it.
Deletes are not seen. Where nothing is left behind the mark that was there before, or the clock was set back, the table is `unseen`.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from typing import Any, Final
from zoneinfo import ZoneInfo

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.feeds.feed import Batch, Held, Watched, Way, WhyWhole
from adapters.feeds.key_tables import distinct
from adapters.feeds.poll_position import Mark, Marks, as_text, of_text
from adapters.protocol import Inspection, Snapshot, Source
from transforms.vocabulary import (
    INVALID,
    ColumnRange,
    Key,
    KeyRange,
    Relation,
    SpecError,
    TableName,
)

OVERLAP: Final = timedelta(minutes=10)
"""How much later than its own time a change may be committed: longer than transactions last, and clocks differ."""

OVERLAP_NUMBERS: Final = 10_000
"""The same of numbers: how many others may be committed before one that was taken earlier."""

GIVEN: Final = 20_000  # rows of an overlap that are remembered as given; the others of it are given by each read
PAUSE_SECONDS: Final = 1.0  # between two looks
_PLACE: Final = "syncline:place"
CLOCK: Final = Relation(query="SELECT CURRENT_TIMESTAMP AS moment")

Clock = Callable[[Snapshot], datetime]


def server_clock(snapshot: Snapshot) -> datetime:
    """The server's time of now, in UTC."""
    ((value,),) = (batch.columns[0].to_pylist() for batch in snapshot.scan(CLOCK, ["moment"]))
    moment = datetime.fromisoformat(value) if isinstance(value, str) else value
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


def feed(
    source: Source,
    watched: Sequence[Watched],
    *,
    time_zone: str | None = None,
    overlap: timedelta = OVERLAP,
    numbers: int = OVERLAP_NUMBERS,
    clock: Clock = server_clock,
) -> Poll:
    """What tells changes by each table's `cursor`; nothing is connected to yet.

    `time_zone` is that of times without one, UTC where nothing is said. `overlap` is for times and dates, `numbers` for numbers.
    """
    return Poll(source, watched, ZoneInfo(time_zone or "UTC"), overlap, numbers, clock)


@dataclass(frozen=True, slots=True)
class _Cursor:
    """The column that a table is asked by, and what that is compared with."""

    watched: Watched
    name: str
    type: pa.DataType
    nullable: bool
    back: Any

    @property
    def relation(self) -> Relation:
        return Relation(self.watched.table)

    @property
    def order(self) -> Key:
        """What places are told apart by: rows of one value, too, where the table has a primary key."""
        return (self.name, *(each for each in self.watched.shape.primary_key if each != self.name))

    @property
    def told(self) -> Key:
        """The columns that are watched and, last, the cursor."""
        return (*(each for each in self.watched.columns if each != self.name), self.name)

    def of_clock(self, now: datetime, zone: ZoneInfo) -> Any:
        """What a row that changes now would have; None for numbers."""
        if pa.types.is_integer(self.type):
            return None
        if pa.types.is_date(self.type):
            return now.astimezone(zone).date()
        return now if self.type.tz else now.astimezone(zone).replace(tzinfo=None)

    def before(self, value: Any) -> Any:
        """Where the overlap before a value begins: in its type, and never before the first value of that."""
        if pa.types.is_integer(self.type):
            return max(value - self.back, self.first)
        try:
            return value - self.back
        except OverflowError:
            return self.first

    @property
    def first(self) -> Any:
        if pa.types.is_integer(self.type):
            return 0 if pa.types.is_unsigned_integer(self.type) else 1 - 2 ** (self.type.bit_width - 1)
        if pa.types.is_date(self.type):
            return date.min
        return datetime.min.replace(tzinfo=UTC if self.type.tz else None)


class Poll:
    """A ChangeFeed (see the protocol) that reads the tables themselves."""

    way: Way = "poll"

    def __init__(
        self,
        source: Source,
        watched: Sequence[Watched],
        zone: ZoneInfo,
        overlap: timedelta,
        numbers: int,
        clock: Clock,
    ) -> None:
        self._source = source
        self._zone = zone
        self._overlap = overlap
        self._clock = clock
        self._cursors = {each.table: _cursor(each, overlap, numbers) for each in watched}
        self._told = {name: each.watched.shape.schema(each.told) for name, each in self._cursors.items()}
        self._orders = {name: each.watched.shape.schema(each.order) for name, each in self._cursors.items()}

    def start(self) -> str:
        with self._source.snapshot() as snapshot:
            now = self._clock(snapshot)
            for each in self._cursors.values():
                _must_be_filled(snapshot, each)
            marks = {name: self._mark(snapshot, each, now) for name, each in self._cursors.items()}
        return as_text(Marks(now, marks), self._told, self._orders)

    def _mark(self, snapshot: Snapshot, cursor: _Cursor, now: datetime) -> Mark:
        """Where to begin: at the clock, or the largest number; from the first row on where nobody knows that."""
        mark = cursor.of_clock(now, self._zone)
        if mark is None and isinstance(snapshot, Inspection):
            mark = snapshot.highest(cursor.relation, cursor.name)
        return Mark(None if mark is None else cursor.before(mark))

    def read(self, position: str, most: int) -> Batch:
        known = of_text(position, self._told, self._orders)
        keys: dict[TableName, pa.Table] = {}
        whole: dict[TableName, WhyWhole] = {}
        marks: dict[TableName, Mark] = {}
        times: list[datetime] = []
        left = most
        with self._source.snapshot() as snapshot:
            now = self._clock(snapshot)
            back = now < known.clock - self._overlap
            for place, (name, cursor) in enumerate(self._cursors.items()):
                mark = known.marks.get(name)
                if mark is None or (back and not pa.types.is_integer(cursor.type)):
                    whole[name], marks[name] = "unseen", self._mark(snapshot, cursor, now)
                    continue
                share = max(1, left // (len(self._cursors) - place))
                found, marks[name] = self._pass(snapshot, cursor, mark, share, now)
                if marks[name].lost:
                    whole[name], marks[name] = "unseen", self._mark(snapshot, cursor, now)
                if found.num_rows:
                    keys[name] = distinct([found.select(cursor.watched.columns)])
                    times += _moments(cursor, found)
                left = max(0, left - found.num_rows)
        return Batch(
            as_text(Marks(now if back else max(now, known.clock), marks), self._told, self._orders),
            keys,
            whole,
            changes=most - left,
            since=min(times, default=None),
            more=any(each.after is not None for each in marks.values()),
        )

    def _pass(self, snapshot: Snapshot, cursor: _Cursor, mark: Mark, most: int, now: datetime) -> tuple[pa.Table, Mark]:
        """About `most` rows that were not given yet, and where to go on."""
        upto = mark.upto if mark.after is not None else cursor.of_clock(now, self._zone)
        if mark.after is None:
            _must_be_filled(snapshot, cursor)
            if upto is None and isinstance(snapshot, Inspection):
                upto = snapshot.highest(cursor.relation, cursor.name)
        found, seen, after = _taken(cursor, _rows(snapshot, cursor, mark), mark.given, most)
        largest = _larger(mark.largest, pc.max(seen[cursor.name]).as_py())
        if after is not None:
            return found, Mark(mark.floor, after, upto, largest, _kept(seen, mark.given, None, cursor), rows=mark.rows)
        if largest is None:
            return found, Mark(mark.floor, rows=False, lost=mark.rows)
        end = largest if upto is None else min(upto, largest)
        floor = max(cursor.before(end), mark.floor) if mark.floor is not None else cursor.before(end)
        return found, Mark(floor, given=_kept(seen, mark.given, floor, cursor), rows=True)

    def settle(self, position: str) -> None:
        return

    def wait(self, position: str, seconds: float) -> bool:
        time.sleep(min(seconds, PAUSE_SECONDS))
        return False

    def held(self) -> Held | None:
        return None

    def remove(self) -> None:
        return

    def close(self) -> None:
        self._source.close()


def _cursor(watched: Watched, overlap: timedelta, numbers: int) -> _Cursor:
    """SpecError for a table whose cursor is missing, or of a type that does not grow."""
    name = watched.cursor
    column = watched.shape.column(name) if name else None
    if name is None or column is None:
        found = "has no cursor" if name is None else f"has no column {name!r} to be its cursor"
        raise SpecError(
            f"Table {watched.table} {found}: capture by poll asks a column that grows with each change.",
            fix=f"name one of {', '.join(watched.shape.names)} as its cursor, or write another capture.",
        )
    numbered, dated = pa.types.is_integer(column.type), pa.types.is_date(column.type)
    if not (numbered or dated or pa.types.is_timestamp(column.type)):
        raise SpecError(
            f"Column {name!r} of {watched.table} is {column.native}: no number, date or time that grows with each change.",
            fix="name another column as its cursor, or write another capture.",
        )
    days = timedelta(days=-(-overlap // timedelta(days=1)) + 1)  # a day for zones, in which it is another date already
    back = numbers if numbered else days if dated else overlap
    return _Cursor(watched, name, column.type, column.nullable, back)


def _must_be_filled(snapshot: Snapshot, cursor: _Cursor) -> None:
    """Refuse a table with rows that have nothing in the cursor: they would never be given."""
    if not cursor.nullable:
        return
    empty = KeyRange(stop=(cursor.first,), nulls=True)
    if next(iter(snapshot.scan(cursor.relation, [cursor.name], key=(cursor.name,), within=empty)), None) is not None:
        raise _unfit(cursor, "have no value in it")


def _unfit(cursor: _Cursor, why: str) -> SpecError:
    return SpecError(
        f"Rows of {cursor.watched.table} cannot be followed by the column {cursor.name!r}: they {why}.",
        fix=f"fill it in and make it NOT NULL, or write another capture than poll for {cursor.watched.table}.",
    )


def _rows(snapshot: Snapshot, cursor: _Cursor, mark: Mark) -> Iterator[pa.Table]:
    """The rows from where a pass goes on, ascending, in parts."""
    ranges = [ColumnRange(cursor.name, mark.floor)]
    within = KeyRange(mark.after, nulls=False)
    wanted = list(dict.fromkeys((*cursor.told, *cursor.order)))
    for batch in snapshot.scan(cursor.relation, wanted, key=cursor.order, within=within, ranges=ranges):
        part = pa.Table.from_batches([batch])
        if INVALID in part.column_names and part[INVALID].null_count < part.num_rows:
            raise _unfit(cursor, "hold values that cannot be read as what the columns are")
        if not pa.types.is_integer(cursor.type) and _endless(part[cursor.name]):
            raise _unfit(cursor, "have infinity in it")
        yield part.select(wanted)


def _endless(times: pa.ChunkedArray) -> bool:
    """Whether a time or a date is infinity, which stands at either end of what its type holds."""
    width = pa.int32() if pa.types.is_date32(times.type) else pa.int64()
    ends = pc.min_max(pa.chunked_array([each.view(width) for each in times.chunks], width)).as_py()
    end = 2 ** (width.bit_width - 1) - 1
    return bool(ends["max"] is not None and (ends["max"] == end or ends["min"] == -end))


def _taken(
    cursor: _Cursor, parts: Iterator[pa.Table], given: pa.Table | None, most: int
) -> tuple[pa.Table, pa.Table, tuple[Any, ...] | None]:
    """About `most` rows that were not given yet; all that were seen on the way, given or not; and the place of the first row
    behind them, None where there is none. It is never amid rows that the order does not tell apart."""
    schema = cursor.watched.shape.schema(cursor.told)
    fresh, seen = [schema.empty_table()], [schema.empty_table()]
    last: pa.Table | None = None  # enough: goes on through the rows in the place of this one
    left = most
    for part in parts:
        rows = part.select(cursor.told)
        new = _new(rows, given)
        begin, end = 0, part.num_rows
        if last is None and len(new) >= left:
            begin = int(new[left - 1]) + 1
            last = part.slice(begin - 1, 1)
        if last is not None:
            end = begin + _alike(part.slice(begin), last, cursor.order)
        seen.append(rows.slice(0, end))
        fresh.append(rows.take(pa.array(new[new < end])))
        left -= len(fresh[-1])
        if end < part.num_rows:
            (place,) = part.slice(end, 1).select(cursor.order).to_pylist()
            return pa.concat_tables(fresh), pa.concat_tables(seen), tuple(place.values())
    return pa.concat_tables(fresh), pa.concat_tables(seen), None


def _new(rows: pa.Table, given: pa.Table | None) -> np.ndarray[Any, np.dtype[np.int64]]:
    """The rows that are not among those given, by their places, ascending; of alike ones the first."""
    numbered = rows.append_column(_PLACE, pa.array(np.arange(rows.num_rows)))
    if given is not None:
        before = given.append_column(_PLACE, pa.array(np.full(given.num_rows, -1)))
        numbered = pa.concat_tables([before, numbered])
    first = numbered.group_by(rows.column_names).aggregate([(_PLACE, "min")])[f"{_PLACE}_min"].to_numpy()
    new: np.ndarray[Any, np.dtype[np.int64]] = np.sort(first[first >= 0])
    return new


def _alike(rows: pa.Table, last: pa.Table, order: Key) -> int:
    """How many rows, from the first on, are in the place of another one."""
    same = np.ones(rows.num_rows, bool)
    for name in order:
        same &= pc.fill_null(pc.equal(rows[name], last[name][0]), False).to_numpy()
    return rows.num_rows if same.all() else int(np.argmin(same))


def _kept(seen: pa.Table, given: pa.Table | None, floor: Any, cursor: _Cursor) -> pa.Table:
    """What is remembered as given from a value of the cursor on: the latest of it."""
    rows = seen if given is None else pa.concat_tables([given, seen])
    if floor is not None:
        rows = rows.filter(pc.greater_equal(rows[cursor.name], pa.scalar(floor, cursor.type)))
    rows = rows.group_by(rows.column_names).aggregate([]).sort_by(cursor.name)
    return rows.slice(max(0, rows.num_rows - GIVEN))


def _larger(one: Any, other: Any) -> Any:
    return other if one is None else one if other is None else max(one, other)


def _moments(cursor: _Cursor, rows: pa.Table) -> list[datetime]:
    """When the oldest of some rows was changed, as far as a time with a zone tells."""
    if not pa.types.is_timestamp(cursor.type) or cursor.type.tz is None:
        return []
    return [pc.min(rows[cursor.name]).as_py().astimezone(UTC)]
