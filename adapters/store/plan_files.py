"""The files of a plan: what each is, and reading it. A file that is not what was written is refused."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final, Literal, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from adapters.store.changesets import change_schema, change_set, images_of, taken_apart
from transforms.vocabulary import ChangeSet, PlanError, TableName

Kind = Literal[
    "changes",
    "quarantine",
    "mapped",
    "identity",
    "undone",
    "agreed",
    "before",
    "wanted",
    "pairs",
    "open",
    "overruled",
    "edits",
    "unagreed",
]
KINDS: Final[tuple[Kind, ...]] = get_args(Kind)
BESIDE: Final[frozenset[Kind]] = frozenset({"agreed", "before", "wanted", "pairs", "open", "overruled"})
"""What a plan of two ways has beside its changes, and what goes with them once they are forgotten."""


@dataclass(frozen=True, slots=True)
class FileEntry:
    """One file of a plan. `path` is relative to the plan's folder."""

    kind: Kind
    table: TableName
    window: int
    path: str
    digest: str
    nbytes: int
    counts: Mapping[str, int] = field(hash=False, default_factory=dict)

    def has(self, *ops: str) -> bool:
        """Whether it holds changes of one of these operations."""
        return any(self.counts.get(op) for op in ops)


def read_changes(folder: Path, entry: FileEntry) -> ChangeSet:
    """The changes of one window of a plan, finished or not. ChangedPlan where the file is not what was written."""
    return change_set(read_rows(folder, entry), entry.table)


def read_written(folder: Path, entry: FileEntry, columns: Sequence[str]) -> pa.Table | None:
    """Some columns of the rows that a window updates and inserts, in that order; None where it has not all of them.

    Only these are read, so the file is not checked against its digest.
    """
    return _image(folder, entry, columns, "after", entry.counts.get("delete", 0))


def read_expected(folder: Path, entry: FileEntry, columns: Sequence[str]) -> pa.Table | None:
    """Some columns of the rows that a window deletes and updates, in that order, as they are before. Else as `read_written`."""
    return _image(folder, entry, columns, "before", 0, sum(entry.counts.get(op, 0) for op in ("delete", "update")))


def _image(folder: Path, entry: FileEntry, columns: Sequence[str], image: str, *rows: int) -> pa.Table | None:
    wanted, images = _images(folder, entry, columns, image)
    return images_of(images.column(image).slice(*rows), wanted) if len(wanted) == len(columns) else None


def read_narrow(folder: Path, entry: FileEntry, columns: Sequence[str]) -> ChangeSet:
    """The changes of a window in some columns, as far as it has those, read as by `read_written`. It says nothing of its key."""
    wanted, images = _images(folder, entry, columns, "before", "after")
    none = wanted.empty_table()
    return taken_apart(images, wanted, entry.counts, ChangeSet(entry.table, (), (), none, none, none, none))


def _images(folder: Path, entry: FileEntry, columns: Sequence[str], *images: str) -> tuple[pa.Schema, pa.Table]:
    """Of some columns those that a window has, and these images of them."""
    path = folder / entry.path
    try:
        with pq.ParquetFile(path) as file:  # pq.read_table takes a column's name for a path, and flattens
            schema = change_schema(file.schema_arrow)
            wanted = pa.schema([schema.field(name) for name in columns if name in schema.names])
            return wanted, file.read(columns=[f"{image}.{name}" for image in images for name in wanted.names])
    except (OSError, pa.ArrowException) as error:
        raise changed(path) from error


def read_rows(folder: Path, entry: FileEntry) -> pa.Table:
    """The rows of a file of a plan, finished or not. ChangedPlan where it is not what was written."""
    try:
        # pq.read_table has a scanner whose threads may free the last of it while Python ends, which aborts
        with pq.ParquetFile(pa.BufferReader(bytes_of(folder, entry))) as file:
            return file.read()
    except pa.ArrowException as error:
        raise changed(folder / entry.path) from error


def bytes_of(folder: Path, entry: FileEntry) -> pa.Buffer:
    """What a file holds, checked against its digest."""
    path = folder / entry.path
    try:
        with pa.OSFile(str(path)) as file:
            data = file.read_buffer()
    except OSError as error:
        raise changed(path) from error
    if hashlib.sha256(data).hexdigest() != entry.digest:
        raise changed(path)
    return data


class ChangedPlan(PlanError):
    """A file of a plan is missing, or is not as it was written."""

    code = "changed_plan"


def changed(path: Path, where: str = "") -> PlanError:
    """The error of a file that is not as it was written. `where` in it, where that is known."""
    at = f" ({where})" if where else ""
    what = f"{path}{at} was changed after planning, so this plan is not applied."
    return ChangedPlan(what, fix="plan again.", path=f"{path}{at}")
