"""Compare two sides: open, match columns, read window by window, add up. Nothing is written but temporary files."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass, replace
from functools import reduce
from itertools import islice
from operator import add
from pathlib import Path
from time import perf_counter
from typing import Any, Final

import pyarrow as pa

from adapters.processes import temporary_folder
from adapters.store import spill
from flows.compare.endpoint import Endpoint, opened
from flows.compare.matching import Matched, Wanted, matched
from flows.compare.reading import Reading, UnreadRows, Window, order_of, windows_of
from flows.compare.result import Result
from flows.session.execute import here
from flows.session.meter import Meter
from flows.session.retry import retried
from flows.session.session import steady_memory
from flows.spec.model import WORKERS
from transforms.comparing.columns import WHERE, Columns
from transforms.comparing.rows import KINDS, Compared, compare, shown_schema
from transforms.vocabulary import PlanError, SynclineError

TOGETHER: Final = 2_000  # rows that are made into objects at once
GROUPS: Final = 64


@dataclass(frozen=True, slots=True)
class Asked:
    """Two sides, what is compared of them, and how many rows that differ are to be named, all where None."""

    left: Endpoint
    right: Endpoint
    wanted: Wanted
    where: str | None = None
    rows: int | None = 0


@dataclass(frozen=True, slots=True)
class Apart:
    """A row that is not the same on both sides: of one that differs, the columns that do; else the row of the side that has it.

    `key` is a JSON array; values are texts that read back.
    """

    kind: str
    key: str
    left: dict[str, str | None] | None
    right: dict[str, str | None] | None


@dataclass(frozen=True, slots=True)
class _Work:
    """Windows that one thread compares."""

    table: str
    windows: tuple[Window, ...]


def compare_tables(
    asked: Asked, *, meter: Meter | None = None, seen: Callable[[Iterator[Apart]], Any] | None = None
) -> Result:
    """Compare all rows of two sides, each in one state of its database.

    `seen` is given the rows that are to be named while they are there, by key in each window. Begun again from new snapshots where one
    was lost. Errors: SpecError for what does not fit, ConnectionFailed, GaveUp.
    """
    meter, began, zone = meter or Meter(), perf_counter(), asked.wanted.time_zone
    steady_memory()
    with ExitStack() as stack:
        folder = stack.enter_context(temporary_folder("compare")) / "work"
        left = stack.enter_context(opened(asked.left, asked.where, zone))
        right = stack.enter_context(opened(asked.right, asked.where, zone))
        fits = matched(left.shape, right.shape, asked.wanted)
        sides = dict(zip(WHERE, (left, right), strict=True))
        reading = Reading(sides, fits.columns, folder, meter, UnreadRows(), order_of(sides, fits.columns))

        def once() -> tuple[Compared, Reading, int]:
            shutil.rmtree(folder, ignore_errors=True)
            return _compared(replace(reading, unread=UnreadRows()), asked.rows)

        try:
            found, reading, windows = retried(once, renewed=True, before_again=meter.again)
        except PlanError as error:  # of temporary files
            error.fix = "free space there, or set TMPDIR to another folder."
            raise
        except SynclineError as error:
            if asked.where is not None and not error.fix:
                error.fix = "correct --where, which is SQL of both sides' engines."
            raise
        if seen is not None:
            seen(islice(_apart(folder, fits.columns, windows), asked.rows))
    return _result(reading, fits, found, perf_counter() - began)


def _compared(reading: Reading, most: int | None) -> tuple[Compared, Reading, int]:
    with ExitStack() as stack:
        sides = {
            where: replace(side, snapshot=stack.enter_context(side.adapter.snapshot()))
            for where, side in reading.sides.items()
        }
        reading = replace(reading, sides=sides)
        windows = windows_of(reading)
        works = [_Work("tables", windows[start::GROUPS]) for start in range(min(GROUPS, len(windows)))]

        def work(some: _Work) -> Sequence[Compared]:
            return [_window(reading, window, most) for window in some.windows]

        every = (found for group in here(WORKERS)(work, works) for found in group)
        found = reduce(add, every, Compared())
        for where in WHERE:
            reading.meter.finish(where, "compare")
        return found, reading, len(windows)


def _window(reading: Reading, window: Window, most: int | None) -> Compared:
    found, shown = Compared(), shown_schema(reading.columns).empty_table()
    for left, right in reading.pairs(window):
        piece = compare(left, right, reading.columns, reading.meanings, None if most is None else most - shown.num_rows)
        found += piece
        if piece.rows is not None:
            shown = pa.concat_tables([shown, piece.rows])
    if shown.num_rows:
        spill.write_rows(_shown_file(reading.folder, window.number), [shown], shown.schema)
    return found


def _shown_file(folder: Path, window: int) -> Path:
    return folder / "apart" / f"{window:06d}.arrow"


def _apart(folder: Path, columns: Columns, windows: int) -> Iterator[Apart]:
    """The rows that were written down, window by window. Memory: TOGETHER rows as objects."""
    names = [(column.left, column.right) for column in columns.every]
    for number in range(windows):
        path = _shown_file(folder, number)
        if not path.exists():
            continue
        rows = spill.read_rows(path)
        for start in range(0, rows.num_rows, TOGETHER):
            yield from _objects(rows.slice(start, TOGETHER), names)


def _objects(rows: pa.Table, names: Sequence[tuple[str, str]]) -> Iterator[Apart]:
    places = range(len(names))
    texts = [[rows.column(f"{side}{place}").to_pylist() for place in places] for side in "lr"]
    kinds, keys, lists = (rows.column(name).to_pylist() for name in ("kind", "key", "differs"))
    for row, (kind, key, differs) in enumerate(zip(kinds, keys, lists, strict=True)):
        shown = differs if KINDS[kind] == "different" else places
        left, right = (
            {names[place][side]: texts[side][place][row] for place in shown} if alone != kind else None
            for side, alone in ((0, 2), (1, 0))
        )
        yield Apart(KINDS[kind], key, left, right)


def _result(reading: Reading, fits: Matched, found: Compared, seconds: float) -> Result:
    left, right = (reading.sides[where] for where in WHERE)
    natives = {side: {each.name: each.native for each in reading.sides[side].shape.columns} for side in WHERE}
    unread = {where: reading.unread.of(where) for where in WHERE}
    counts = {
        where: replace(getattr(found, where), rows=getattr(found, where).rows + unread[where].rows) for where in WHERE
    }
    return Result(
        left.shown,
        right.shown,
        fits.columns.key,
        fits.columns.values,
        {c.name: (natives["left"][c.left], natives["right"][c.right]) for c in fits.columns.every},
        fits.only,
        fits.unlike,
        replace(found, left=counts["left"], right=counts["right"]),
        unread,
        seconds,
        tolerated=any(column.tolerance is not None for column in fits.columns.values),
    )
