"""Local Arrow files that hold one side of a table, cut into parts, while a plan is made."""

from __future__ import annotations

import os
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path
from types import TracebackType

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from adapters import private
from transforms.vocabulary import PlanError

_PENDING_ROWS = 16_384  # rows gathered for a part before they are written: fewer make files of slivers
_PENDING_BYTES = 128 * 2**20  # of rows gathered for all parts, before all are written: long texts, or many parts


class Spill:
    """Rows of one schema in `parts` files of a folder, written once, then read part by part.

    Memory: at most 16k rows a part and 128 MiB in all while writing, one part while reading (mapped, not loaded).
    Errors: PlanError where the folder cannot be written, a full disk above all.
    """

    def __init__(self, folder: Path, schema: pa.Schema, parts: int) -> None:
        self.folder, self.schema, self.parts = folder, schema, parts
        self.rows = np.zeros(parts, dtype=np.int64)
        self._pending: list[list[pa.Table]] = [[] for _ in range(parts)]
        self._waiting = np.zeros(parts, dtype=np.int64)
        self._bytes = 0  # of what came since all parts were written last
        self._writers: dict[int, pa.RecordBatchFileWriter] = {}
        self._open = ExitStack()

    def __enter__(self) -> Spill:
        try:
            private.make_folder(self.folder)
        except OSError as error:
            raise _full(self.folder, error) from error
        return self

    def add(self, rows: pa.Table, part: npt.NDArray[np.int64]) -> None:
        """Put each row into the part that `part` says, in the order of the rows."""
        if not rows.num_rows:
            return
        order = np.argsort(part, kind="stable")
        ordered = rows.take(pa.array(order)) if self.parts > 1 else rows
        sizes = np.bincount(part, minlength=self.parts)
        start = 0
        for number in np.flatnonzero(sizes):
            size = int(sizes[number])
            self._pending[number].append(ordered.slice(start, size))
            self._waiting[number] += size
            start += size
            if self._waiting[number] >= _PENDING_ROWS:
                self._flush(int(number))
        self.rows += sizes
        self._bytes += ordered.nbytes
        if self._bytes >= _PENDING_BYTES:
            self._flush_all()

    def _flush_all(self) -> None:
        self._bytes = 0
        for number in range(self.parts):
            if self._pending[number]:
                self._flush(number)

    def _flush(self, number: int) -> None:
        rows = pa.concat_tables(self._pending[number]).combine_chunks()
        self._pending[number], self._waiting[number] = [], 0
        try:
            if number not in self._writers:
                private.make_file(self._path(number))
                writer = pa.ipc.new_file(str(self._path(number)), self.schema)
                self._writers[number] = self._open.enter_context(writer)
            self._writers[number].write_table(rows)
        except OSError as error:
            raise _full(self.folder, error) from error

    def _path(self, number: int) -> Path:
        return self.folder / f"{number:06d}.arrow"

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            if kind is None:
                self._flush_all()
            self._open.close()
        except OSError as fault:
            if kind is None:
                raise _full(self.folder, fault) from fault


def read_part(folder: Path, part: int, schema: pa.Schema) -> pa.Table:
    """One part of a finished spill; no rows where nothing was written."""
    path = folder / f"{part:06d}.arrow"
    if not path.exists():
        return schema.empty_table()
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def write_rows(path: Path, tables: Sequence[pa.Table], schema: pa.Schema) -> None:
    """A small table that tasks of a run share, such as what a lookup may find. What was read of it before stays as it was."""
    new = path.with_name(f"{path.name}.new")
    try:
        private.make_folder(path.parent)
        private.make_file(new)
        with pa.ipc.new_file(str(new), schema) as writer:
            for table in tables:
                writer.write_table(table)
        os.replace(new, path)  # noqa: PTH105 - the old file is mapped into memory
    except OSError as error:
        raise _full(path.parent, error) from error


def add_rows(path: Path, rows: pa.Table) -> None:
    """Rows beside those that a small table has already."""
    known = [read_rows(path)] if path.exists() else []
    write_rows(path, [*known, rows], rows.schema)


def read_rows(path: Path) -> pa.Table:
    """What `write_rows` wrote, mapped into memory."""
    with pa.memory_map(str(path)) as source:
        return pa.ipc.open_file(source).read_all()


def _full(folder: Path, error: OSError) -> PlanError:
    return PlanError(
        f"Cannot write working files to {folder}: {error.strerror or error}. Nothing was written to the target.",
        fix="free space or set `state.store` to another folder.",
    )
