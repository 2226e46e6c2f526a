"""What a table of Parquet files is: its columns and key, its parts, and which windows are in.

It lies beside the parts as `_syncline.json`, which readers of Parquet pass over.
"""

from __future__ import annotations

import io
import json
import os
from base64 import b64decode, b64encode
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Final
from uuid import uuid4

import pyarrow as pa

from adapters.store.record_json import Unreadable, from_json, to_json
from transforms.vocabulary import Key, Marker, SynclineError
from transforms.vocabulary.names import Phase

NAME: Final = "_syncline.json"
FORMAT: Final = 1
MOST_MARKED: Final = 500  # markers in a manifest, which is written with each window


@dataclass(frozen=True, slots=True)
class Column:
    """A column; `native` is its type as DuckDB names it."""

    name: str
    native: str
    nullable: bool


@dataclass(frozen=True, slots=True)
class Part:
    """A file of the table. `digest` is its SHA-256; `written` is when it was written last, in nanoseconds, as the file system has it."""

    file: str
    rows: int
    nbytes: int
    digest: str
    written: int


@dataclass(frozen=True, slots=True)
class Marked:
    """Markers that are alike but for their windows, which are ranges of numbers, both ends included, ascending."""

    writer: str
    plan: str
    table: str
    phase: Phase
    windows: tuple[tuple[int, int], ...]

    def has(self, marker: Marker) -> bool:
        return self._of(marker) and any(first <= marker.window <= last for first, last in self.windows)

    def _of(self, marker: Marker) -> bool:
        return (self.writer, self.plan, self.table, self.phase) == (
            marker.writer,
            marker.plan,
            marker.table,
            marker.phase,
        )

    def markers(self) -> Iterable[Marker]:
        for first, last in self.windows:
            for number in range(first, last + 1):
                yield Marker(self.writer, self.plan, self.table, number, self.phase)

    def with_marker(self, marker: Marker) -> Marked:
        """The same with one more window."""
        joined: list[tuple[int, int]] = []
        for first, last in sorted((*self.windows, (marker.window, marker.window))):
            if joined and first <= joined[-1][1] + 1:
                joined[-1] = (joined[-1][0], max(joined[-1][1], last))
            else:
                joined.append((first, last))
        return replace(self, windows=tuple(joined))


@dataclass(frozen=True, slots=True)
class Manifest:
    """A table in one state. Parts are in the order of the key, and none overlaps another.

    `ends` has two rows of the key's columns for each part that has rows, its first and its last key, in Arrow's format. A table
    without rows has one part without rows, so that readers know its columns.
    """

    table: str
    columns: tuple[Column, ...]
    key: Key
    parts: tuple[Part, ...]
    ends: str
    markers: tuple[Marked, ...] = ()
    sealed: tuple[str, ...] = ()
    """Files beside it with more markers, which are never written again: whoever follows a source leaves a plan a second."""

    def marked(self, marker: Marker) -> Manifest:
        """The same with a marker in it."""
        alike = [i for i, each in enumerate(self.markers) if each._of(marker)]
        if not alike:
            own = Marked(marker.writer, marker.plan, marker.table, marker.phase, ((marker.window, marker.window),))
            return replace(self, markers=(*self.markers, own))
        known = list(self.markers)
        known[alike[0]] = known[alike[0]].with_marker(marker)
        return replace(self, markers=tuple(known))

    @property
    def filled(self) -> tuple[Part, ...]:
        """The parts that have rows, those that `ends` speaks of."""
        return tuple(each for each in self.parts if each.rows)


@dataclass(frozen=True, slots=True)
class _Sealed:
    markers: tuple[Marked, ...]


def with_parts(manifest: Manifest, parts: Sequence[Part], ends: pa.Table) -> Manifest:
    """The table with other parts. `ends` as `ends_of` gives them."""
    sink = io.BytesIO()
    with pa.ipc.new_stream(sink, ends.schema) as stream:
        stream.write_table(ends.combine_chunks())
    return replace(manifest, parts=tuple(parts), ends=b64encode(sink.getvalue()).decode())


def ends_of(manifest: Manifest) -> pa.Table | None:
    """The first and the last key of each part that has rows; None where nothing was ever written."""
    return pa.ipc.open_stream(b64decode(manifest.ends)).read_all() if manifest.ends else None


def write(folder: Path, manifest: Manifest) -> None:
    """Put it into a folder, to last. Errors: OSError."""
    if len(manifest.markers) > MOST_MARKED:
        name = f"_markers-{uuid4().hex}.json"
        _put(folder / name, to_json(_Sealed, _Sealed(manifest.markers)))
        manifest = replace(manifest, markers=(), sealed=(*manifest.sealed, name))
    _put(folder / NAME, {"format": FORMAT, **to_json(Manifest, manifest)})


def _put(path: Path, body: Any) -> None:
    with path.open("x", encoding="utf-8") as file:
        json.dump(body, file, ensure_ascii=False, indent=1)
        file.flush()
        os.fsync(file.fileno())


def markers_of(folder: Path, manifest: Manifest) -> Iterator[Marked]:
    """All markers of a state."""
    yield from manifest.markers
    for name in manifest.sealed:
        yield from _UNSEALED.of(folder / name)


class _Unsealed:
    """What files of markers say, by their names, which no two share."""

    def __init__(self) -> None:
        self._known: dict[str, tuple[Marked, ...]] = {}

    def of(self, path: Path) -> tuple[Marked, ...]:
        if path.name not in self._known:
            self._known[path.name] = from_json(_Sealed, json.loads(path.read_text(encoding="utf-8"))).markers
        return self._known[path.name]


def read(folder: Path) -> Manifest:
    """What a folder says of itself. Errors: FileNotFoundError, and SynclineError for what nobody here wrote."""
    path = folder / NAME
    try:
        body: Any = json.loads(path.read_text(encoding="utf-8"))
        if not isinstance(body, dict) or body.pop("format", None) != FORMAT:
            raise Unreadable("format", f"should be {FORMAT}")
        return from_json(Manifest, body)
    except ValueError as error:
        raise SynclineError(
            f"{path} cannot be read: {error}.",
            fix="restore the table's folder from a backup, or update Syncline if a newer one wrote it.",
        ) from error


_UNSEALED: Final = _Unsealed()
