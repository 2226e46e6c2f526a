"""Writing the base of two-way tables (`agreed`): window by window, in parts that are neither large nor small."""

from __future__ import annotations

import hashlib
from base64 import b64encode
from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import replace
from itertools import pairwise
from pathlib import Path
from typing import Final, NamedTuple

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from adapters.store.agreed import (
    FORMAT,
    PARTS,
    PLACE,
    Agreement,
    Cut,
    Damaged,
    Part,
    Parts,
    Patch,
    Written,
    as_table,
    damaged,
    digest_of,
    folder_of,
    opened,
    places,
    read_part,
    rows_of,
)
from adapters.store.json_lines import in_lines
from adapters.store.layout import Store
from adapters.store.plans import put, written
from adapters.store.record_json import to_json
from transforms.vocabulary import Key, KeyValue, TableName
from transforms.vocabulary.arrow import Indices
from transforms.vocabulary.unmet import completed


class Window(NamedTuple):
    """A stretch of keys from `start` on up to the next window, and what both sides agree on in it; None: what it was.

    The first window starts with None, at the beginning. Of a hashed base, windows are its parts, and none has a start.
    """

    start: KeyValue | None
    rows: pa.Table | None


class Change(NamedTuple):
    """What is otherwise in a part: rows that are put at the `place` of others, below 0 behind them, and where rows are `gone`.

    Places are those in the rows of the part as it is read.
    """

    put: pa.Table
    place: Indices
    gone: Indices


MOST_PATCHES: Final = 8
FEWEST: Final = 8  # times as many rows as its patches a part has at least


def replace_parts(
    store: Store, migration: str, table: TableName, agreement: Agreement, cut: Cut, windows: Iterable[Window]
) -> Parts:
    """Put a base in the place of the one that is there, if any; the new one.

    In: windows in ascending order, or the parts by number, that cover the whole table. Rows are in any order, and have unique keys. A
        window without rows stays as it is in a base of the same agreement and cut; where windows lie does not matter.
    Parts of more than twice the cut's rows are split, and small neighbours joined, where one of them is written anyway.
    Memory: a window, and a part. Disk: the new parts beside the old ones. Safe to be killed and to be done again.
    Errors: Damaged where a part that stays cannot be read; PlanError where the folder cannot be written.
    """
    folder = folder_of(store, migration, table)
    with written(folder):
        old = _there(folder, table)
        if old is not None and (old.cut.order, old.cut.hashed) != (cut.order, cut.hashed):
            old = None
        old = None if old is None else old.under(agreement)
        making = _Making(folder, agreement, cut)
        if cut.order:
            _cut_by_key(making, old, windows)
        else:
            _cut_by_hash(making, old, windows)
        made = making.finished(table)
        _sweep(folder, made)
    return made


def patch_parts(
    store: Store, migration: str, table: TableName, known: Parts, changes: Iterable[Change | None]
) -> Parts:
    """Put rows of a base in the place of others, and take rows away; the new base.

    In: a change for each part of the base, None where it stays.
    A part is written anew once its patches have an eighth of its rows, or are MOST_PATCHES; else the change becomes a patch beside it.
    Memory: a change, and a part. Else as `replace_parts`, and PlanError where the base is not there any more.
    """
    folder = folder_of(store, migration, table)
    with written(folder):
        making = _Making(folder, known.agreement, known.cut)
        starts = (None, *(known.cuts() if known.cut.order else [None] * (len(known.parts) - 1)))
        for start, part, change in zip(starts, known.parts, changes, strict=True):
            rows = part if change is None else making.changed(part, change)
            if known.cut.order:
                making.add(start, rows)
            else:
                making.put(start, rows if isinstance(rows, Part) else making.part(rows))
        making.flush()
        made = making.finished(table)
        _sweep(folder, made)
    return made


def _there(folder: Path, table: TableName) -> Parts | None:
    """The base that is to be replaced: where it is damaged, all windows are given."""
    try:
        return opened(folder, table)
    except Damaged:
        return None


def forget(store: Store, migration: str, table: TableName) -> None:
    """Take a base away: the two sides meet anew. Without one, it does nothing."""
    folder = folder_of(store, migration, table)
    with written(folder):
        (folder / PARTS).unlink(missing_ok=True)
        _sweep(folder)


def _cut_by_hash(making: _Making, old: Parts | None, windows: Iterable[Window]) -> None:
    for number, window in enumerate(windows):
        if window.rows is None:
            making.put(None, _kept(old, making.folder).parts[number])
        else:
            making.put(None, making.part(window.rows))


def _cut_by_key(making: _Making, old: Parts | None, windows: Iterable[Window]) -> None:
    cuts = old.cuts() if old is not None else []
    rest = iter(windows)
    window = next(rest, None)
    while window is not None:
        following = next(rest, None)
        stop = None if following is None else following.start
        if window.rows is not None:
            making.add(window.start, window.rows)
        else:
            for start, part in _within(_kept(old, making.folder), cuts, window.start, stop):
                making.add(start, part)
        window = following
    making.flush()


def _kept(old: Parts | None, folder: Path) -> Parts:
    """The base of which some part stays."""
    if old is None:
        raise damaged(folder / PARTS, "is gone, or of another mapping, while a part of it was to stay")
    return old


def _within(
    old: Parts, cuts: list[KeyValue], start: KeyValue | None, stop: KeyValue | None
) -> Iterator[tuple[KeyValue | None, Part | pa.Table]]:
    """The parts of a stretch of keys; of those that reach beyond it, the rows inside."""
    schema = old.starts.schema
    first = 0 if start is None else bisect_right(cuts, start)
    last = len(cuts) if stop is None else bisect_left(cuts, stop)
    for number in range(first, last + 1):
        begins = None if number == 0 else cuts[number - 1]
        from_start = number > first or begins == start
        to_stop = number < last or (
            number == len(cuts) if stop is None else number < len(cuts) and cuts[number] == stop
        )
        if from_start and to_stop:
            yield begins, old.parts[number]
            continue
        rows = read_part(old, number)
        ends = [each for each in (start, stop) if each is not None]
        inside = places(rows.select(schema.names), as_table(ends, schema)) == (start is not None)
        yield (begins if from_start else start), rows.filter(pa.array(inside))


class _Making:
    """A base that is being written, part by part: the last one waits for what may be joined to it."""

    def __init__(self, folder: Path, agreement: Agreement, cut: Cut) -> None:
        self.folder, self.agreement, self.cut = folder, agreement, cut
        self._starts: list[KeyValue] = []
        self._parts: list[Part] = []
        self._last: tuple[KeyValue | None, Part | pa.Table] | None = None

    def add(self, start: KeyValue | None, rows: Part | pa.Table) -> None:
        """The rows from a key on: as they are in a part, or to be written."""
        if self._last is not None:
            known, last = self._last
            size = _size(last) + _size(rows)
            fresh = isinstance(last, pa.Table) or isinstance(rows, pa.Table)
            if not _size(last):
                start = known
            elif not _size(rows):
                return
            elif fresh and size <= self.cut.rows and min(_size(last), _size(rows)) * 4 <= self.cut.rows:
                both = [self._rows(last), self._rows(rows)]
                self._last = known, pa.concat_tables(both, promote_options="default")
                return
            else:
                self.flush()
        self._last = start, rows

    def flush(self) -> None:
        """Write what waits: in several parts where it is large."""
        if self._last is None:
            return
        start, rows = self._last
        self._last = None
        if isinstance(rows, Part):
            self.put(start, rows)
            return
        order = pc.sort_indices(rows, sort_keys=[(name, "ascending") for name in self.cut.order])
        rows = rows.take(order)
        pieces = -(-rows.num_rows // self.cut.rows) if rows.num_rows > 2 * self.cut.rows else 1
        starts = {rows.num_rows * number // pieces: start for number in range(pieces)}
        starts |= {begin: _key_at(rows, self.cut.order, begin) for begin in starts if begin}
        begins = [begin for begin, first in starts.items() if first is not None or not begin]
        for begin, end in pairwise([*begins, rows.num_rows] if rows.num_rows else [0, 0]):
            self.put(starts[begin], self.part(rows.slice(begin, end - begin)))

    def put(self, start: KeyValue | None, part: Part) -> None:
        if self._parts and start is not None:
            self._starts.append(start)
        self._parts.append(part)

    def part(self, rows: pa.Table) -> Part:
        """Rows, written."""
        if not rows.num_rows:
            return Part("", 0, 0, "")
        file, nbytes, digest = self._file(completed(rows, self.agreement.schema))
        return Part(file, rows.num_rows, nbytes, digest)

    def changed(self, part: Part, change: Change) -> Part | pa.Table:
        """A part with a change, as a patch that is written beside it, or as rows that are to be written."""
        patch = self._patch(change)
        rows = part.rows + int((change.place < 0).sum()) - len(change.gone)
        more = replace(part, rows=rows, patches=(*part.patches, patch))
        size = sum(each.put + each.gone for each in more.patches)
        if len(more.patches) > MOST_PATCHES or size * FEWEST > rows:
            return rows_of(self.folder, more, self.agreement.schema)
        return more

    def _patch(self, change: Change) -> Patch:
        rows, gone = completed(change.put, self.agreement.schema), len(change.gone)
        columns = [
            pa.concat_arrays([*rows.column(each.name).chunks, pa.nulls(gone, each.type)]) for each in rows.schema
        ]
        place = pa.array(np.concatenate([change.place, change.gone]), pa.int64())
        file, nbytes, digest = self._file(pa.table([*columns, place], names=[*rows.column_names, PLACE]))
        return Patch(file, rows.num_rows, gone, nbytes, digest)

    def _file(self, rows: pa.Table) -> tuple[str, int, str]:
        """Rows as a file: its name, size and digest."""
        sink = pa.BufferOutputStream()
        pq.write_table(rows, sink, compression="zstd", use_dictionary=False, write_statistics=False)
        data = sink.getvalue()
        digest = hashlib.sha256(data).hexdigest()
        file = f"{digest[:32]}.parquet"
        put(self.folder / file, data, sync=True)
        return file, data.size, digest

    def finished(self, table: TableName) -> Parts:
        order = pa.schema([self.agreement.schema.field(name) for name in self.cut.order])
        starts = as_table(self._starts, order)
        said = Written(table, self.agreement, self.cut, _as_text(starts), tuple(self._parts))
        body = {"format": FORMAT, "agreed": to_json(Written, said)}
        digest = digest_of(body)
        put(self.folder / PARTS, in_lines({"digest": digest, **body}, allow_nan=False).encode(), sync=True)
        return Parts(self.folder, self.agreement, self.cut, starts, said.parts, digest)

    def _rows(self, rows: Part | pa.Table) -> pa.Table:
        schema = self.agreement.schema
        if isinstance(rows, Part):
            return rows_of(self.folder, rows, schema)
        return completed(rows, schema)


def _key_at(rows: pa.Table, order: Key, at: int) -> KeyValue | None:
    """The key of a row, None where Python has no such value: no part begins there."""
    try:
        return tuple(rows.column(name)[at].as_py() for name in order)
    except (OverflowError, ValueError):
        return None


def _size(rows: Part | pa.Table) -> int:
    return rows.rows if isinstance(rows, Part) else int(rows.num_rows)


def _as_text(rows: pa.Table) -> str:
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, rows.schema) as writer:
        writer.write_table(rows)
    return b64encode(sink.getvalue()).decode()


def _sweep(folder: Path, made: Parts | None = None) -> None:
    """Remove what a base is not made of any more, and what was left by somebody who was killed."""
    stay = set() if made is None else {PARTS, *(file.file for part in made.parts for file in part.files)}
    for path in folder.glob("*"):
        if path.name not in stay:
            path.unlink(missing_ok=True)
