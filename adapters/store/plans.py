"""Plans on disk: a manifest, a Parquet change set for each window, and the rows that were set aside.

    plan/manifest.json                              what was planned, and the digest of every file
    plan/changes/<table>/<window>.parquet           op, key, before, after
    plan/quarantine/<table>/<window>.parquet        QUARANTINE
    plan/identity/<table>/000000.parquet            IDENTITY
    plan/mapped/<table>/<window>.parquet            keys of rows that a run may release from quarantine
    plan/undone/<table>/<window>.parquet            keys of rows that an undo takes back, where it does not take back all
    plan/{agreed,before,wanted,pairs,open,overruled,edits,unagreed}/<table>/<window>.parquet   of two ways: see `adapters.store.both_ways`

What was planned is what is applied: a file that was changed, removed or added since is refused.
"""

from __future__ import annotations

import errno
import hashlib
import json
import os
import re
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path, PurePosixPath
from typing import Any, Final
from urllib.parse import quote
from uuid import uuid4

import pyarrow as pa
import pyarrow.parquet as pq

from adapters import private
from adapters.processes import stamp
from adapters.store.changesets import change_set, change_table
from adapters.store.json_lines import in_lines, plain
from adapters.store.manifest import FORMAT, Manifest, manifest_json, read_manifest
from adapters.store.plan_files import (
    BESIDE,
    KINDS,
    FileEntry,
    Kind,
    bytes_of,
    changed,
    read_changes,
    read_rows,
    read_written,
)
from adapters.store.plan_schemas import IDENTITY, QUARANTINE
from adapters.store.record_json import Unreadable, from_json, to_json
from transforms.vocabulary import ChangeSet, PlanError, TableName

__all__ = ["FORMAT", "IDENTITY", "QUARANTINE", "Plan", "PlanWriter", "change_set", "change_table", "plain"]

MANIFEST: Final = "manifest.json"
BEGUN: Final = "begun"  # by which process, as long as nobody else may want the plan
_PLAIN: Final = re.compile(r"[a-z0-9_][a-z0-9_-]{0,62}")
_OURS: Final = re.compile(r"\d{6,}\.parquet|\.\d{6,}\.parquet\.[0-9a-f]{32}")


class PlanWriter:
    """Writes a plan's files, from any number of threads; processes that share a folder pass their entries on.

    The folder must be empty, or absent; `begun` says that it is the folder of this very plan, so that files of an
    earlier attempt are replaced. A folder without a manifest is no plan, whatever it holds.
    """

    def __init__(self, folder: Path, *, begun: bool = False) -> None:
        self.folder = folder
        self._lock = threading.Lock()
        self._entries: dict[str, FileEntry] = {}
        with written(folder):
            private.make_folder(folder)
            private.narrow(folder)
            if (folder / MANIFEST).exists():
                raise PlanError(f"{folder} holds a finished plan.", fix="choose another folder.")
            if not begun:
                if any(folder.iterdir()):
                    raise PlanError(f"{folder} is not empty.", fix="choose a new folder for the plan.")
                private.write(folder / BEGUN, stamp().encode())

    def add(self, window: int, changes: ChangeSet) -> FileEntry:
        """Write one window. A second call for the same window replaces the first.

        Memory: one encoded window. 1M rows of 8 columns take some 0.2 s.
        """
        counts = {str(op): count for op, count in changes.counts.items()}
        return self.add_rows("changes", changes.table, window, change_table(changes), counts)

    def add_quarantine(self, window: int, table: TableName, rows: pa.Table) -> FileEntry:
        """Write the rows of a window that were set aside: the columns of QUARANTINE but for table and window."""
        count = rows.num_rows
        told: dict[str, Any] = {"table": str(table), "window": window}

        def column(wanted: pa.Field) -> pa.Array | pa.ChunkedArray:
            if wanted.name in told or wanted.name not in rows.schema.names:
                return pa.repeat(pa.scalar(told.get(wanted.name), wanted.type), count)
            return rows[wanted.name].cast(wanted.type)

        typed = [column(wanted) for wanted in QUARANTINE]
        whole = pa.Table.from_arrays(typed, schema=QUARANTINE)
        return self.add_rows("quarantine", table, window, whole, {"quarantined": count})

    def add_mapped(self, window: int, table: TableName, keys: pa.ChunkedArray) -> FileEntry:
        """Write keys that leave quarantine unless they are set aside again, as JSON arrays: of a window's rows that were mapped
        well, or of all rows of trees."""
        return self.add_rows("mapped", table, window, pa.table({"key": keys}), {"mapped": len(keys)})

    def add_identity(self, table: TableName, pairs: pa.Table) -> FileEntry:
        """Write what becomes of pairs of a table's identity map (IDENTITY)."""
        return self.add_rows("identity", table, 0, pairs.cast(IDENTITY), {"pairs": pairs.num_rows})

    def add_undone(self, window: int, table: TableName, keys: pa.Table) -> FileEntry:
        """Write keys of rows that an undo takes back, in the key's columns."""
        return self.add_rows("undone", table, window, keys, {"undone": keys.num_rows})

    def finish(self, manifest: Manifest, entries: Iterable[FileEntry] = (), *, temporary: bool = False) -> Path:
        """Write the manifest and with it make the folder a plan, all or nothing. Returns the manifest's path.

        `entries` are those that other processes wrote. A `temporary` plan is abandoned when this process dies, until it is `taken`.
        """
        files = {entry.path: entry for entry in entries} | self._entries
        with written(self.folder):
            for leftover in _listing(self.folder) - set(files):
                if _OURS.fullmatch(PurePosixPath(leftover).name):
                    (self.folder / leftover).unlink()
            body = {
                "format": FORMAT,
                "manifest": manifest_json(manifest),
                "files": [to_json(FileEntry, files[path]) for path in sorted(files)],
            }
            text = in_lines({"digest": _digest_of(body), **body}, allow_nan=False)
            path = self.folder / MANIFEST
            put(path, text.encode(), sync=True)
            if not temporary:
                taken(self.folder)
        return path

    def add_rows(self, kind: Kind, table: TableName, window: int, rows: pa.Table, counts: dict[str, int]) -> FileEntry:
        """Write a file of some kind. A second call for the same window replaces the first."""
        sink = pa.BufferOutputStream()
        # without dictionaries and statistics, which nobody reads: 1M rows in 0.15 s and not 0.7 s
        repeated = {"changes": ["op"], "quarantine": ["reason", "column", "table", "code", "facts"]}
        try:
            pq.write_table(
                rows, sink, compression="lz4", use_dictionary=repeated.get(kind, False), write_statistics=False
            )
        except pa.ArrowException as error:
            what = f"Changes of {table} cannot be kept as Parquet: {error}."
            raise PlanError(what, fix="cast that column.") from error
        data = sink.getvalue()
        path = f"{kind}/{folder_name(table)}/{window:06d}.parquet"
        with written(self.folder):
            put(self.folder / path, data, sync=False)
        entry = FileEntry(kind, table, window, path, hashlib.sha256(data).hexdigest(), data.size, counts)
        with self._lock:
            self._entries[path] = entry
        return entry


def taken(folder: Path) -> None:
    """From now on the plan stays, whoever dies."""
    if (folder / BEGUN).exists():  # a plan that is applied may lie where nobody writes
        with written(folder):
            (folder / BEGUN).unlink(missing_ok=True)


@dataclass(frozen=True)
class Plan:
    """A finished plan. Reading a window checks it against the manifest first."""

    folder: Path
    manifest: Manifest
    files: tuple[FileEntry, ...]
    digest: str

    @classmethod
    def open(cls, folder: Path, thinned: Collection[str] = (), only: Kind | None = None) -> Plan:
        """The plan of a folder. PlanError where it is none, was changed since, or needs a newer Syncline.

        `thinned` names tables whose change sets were taken out of an applied plan: the plan then has none of them.
        `only` looks at files of that kind, whatever became of the others.
        """
        path = folder / MANIFEST
        try:
            body = json.loads(path.read_bytes())
            digest, form = body.pop("digest"), body["format"]
        except (FileNotFoundError, NotADirectoryError) as error:
            what, fix = f"{folder} holds no finished plan.", "name the folder that `plan` printed."
            raise PlanError(what, fix=fix, path=str(folder)) from error
        except OSError as error:
            raise PlanError(
                f"{path} cannot be read: {error.strerror}.", fix="give this user the right to read it."
            ) from error
        except json.JSONDecodeError as error:
            raise changed(path, f"line {error.lineno}, column {error.colno}") from error
        except (ValueError, KeyError, TypeError, AttributeError) as error:
            raise changed(path) from error
        if isinstance(form, int) and form > FORMAT:
            raise PlanError(f"{folder} was planned by a newer Syncline (format {form}).", fix="update Syncline here.")
        if form not in range(1, FORMAT + 1) or digest != _digest_of(body):
            raise changed(path)
        try:
            manifest = read_manifest(body.get("manifest"), form)
            files = from_json(tuple[FileEntry, ...], body.get("files"), "files")
        except Unreadable as error:
            raise changed(path, str(error)) from error
        gone = {entry.path for entry in files if entry.kind == "changes" and str(entry.table) in thinned}
        if thinned and only is None:
            gone |= {entry.path for entry in files if entry.kind in BESIDE and not (folder / entry.path).exists()}
        gone |= {entry.path for entry in files if only not in (None, entry.kind)}
        edits = {entry.path for entry in files if entry.kind == "edits"}  # which `prune` takes out
        for odd in sorted((_listing(folder, only) ^ {entry.path for entry in files}) - gone - edits):
            raise changed(folder / odd)
        gone |= edits if only is None else set()  # no apply and no undo needs them
        return cls(folder, manifest, tuple(entry for entry in files if entry.path not in gone), digest)

    @cached_property
    def _places(self) -> dict[tuple[Kind, TableName, int], FileEntry]:
        return {(entry.kind, entry.table, entry.window): entry for entry in self.files}

    def rows_at(self, kind: Kind, table: TableName, window: int) -> pa.Table | None:
        """The rows of one file; None where the plan has none such."""
        entry = self._places.get((kind, table, window))
        return None if entry is None else read_rows(self.folder, entry)

    def windows(self, table: TableName | None = None) -> list[FileEntry]:
        """The change sets, of one table or of all, by table and window."""
        return [entry for entry in self.files if entry.kind == "changes" and table in (None, entry.table)]

    def changes(self, entry: FileEntry) -> ChangeSet:
        """The changes of one window, exactly as planned."""
        return read_changes(self.folder, entry)

    def written(self, entry: FileEntry, columns: Sequence[str]) -> pa.Table | None:
        """See `read_written`."""
        return read_written(self.folder, entry, columns)

    def quarantined(self, table: TableName | None = None) -> Iterator[pa.Table]:
        """The rows that were set aside, in the QUARANTINE schema, a window at a time."""
        for rows in self.rows("quarantine", table):
            for name in QUARANTINE.names[rows.num_columns :]:
                rows = rows.append_column(name, pa.nulls(rows.num_rows, pa.string()))
            yield rows.cast(QUARANTINE)

    def mapped_keys(self, table: TableName) -> Iterator[pa.ChunkedArray]:
        """What `add_mapped` wrote of a table, a window at a time; nothing where keys were not noted."""
        return (rows.column("key") for rows in self.rows("mapped", table))

    def identity(self, table: TableName) -> pa.Table:
        """What becomes of pairs of a table's identity map (IDENTITY); nothing where it has none."""
        return pa.concat_tables([IDENTITY.empty_table(), *self.rows("identity", table)])

    def undone_keys(self, table: TableName) -> Iterator[pa.Table]:
        """What `add_undone` wrote of a table."""
        return self.rows("undone", table)

    def rows(self, kind: Kind, table: TableName | None) -> Iterator[pa.Table]:
        """The rows of each file of a kind, of one table or of all."""
        mine = (entry for entry in self.files if entry.kind == kind and table in (None, entry.table))
        return (read_rows(self.folder, entry) for entry in mine)

    def verify(self) -> None:
        """Check every file against the manifest."""
        for entry in self.files:
            bytes_of(self.folder, entry)


def folder_name(table: TableName) -> str:
    """A folder for a table, one to one, on any file system.

    Plain names stay as they are; others keep what can be kept, and a digest tells them apart.
    """
    parts = [table.schema, table.name] if table.schema else [table.name]
    if all(_PLAIN.fullmatch(part) for part in parts):
        return ".".join(parts)
    exact = hashlib.sha256(json.dumps([table.schema, table.name]).encode()).hexdigest()[:12]
    return f"{quote('.'.join(parts), safe=' ').replace(' ', '_').strip('.')[:60]}~{exact}"


def _digest_of(body: Mapping[str, Any]) -> str:
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()


def _listing(folder: Path, only: Kind | None = None) -> set[str]:
    kinds = KINDS if only is None else (only,)
    found = (path for kind in kinds for path in (folder / kind).rglob("*") if not path.is_dir())
    return {path.relative_to(folder).as_posix() for path in found}


def put(path: Path, data: bytes | pa.Buffer, *, sync: bool) -> None:
    """Put the whole file in place, for its owner alone, or leave what was there."""
    private.make_folder(path.parent)
    temporary = path.with_name(f".{path.name}.{uuid4().hex}")
    try:
        private.make_file(temporary)
        with temporary.open("wb") as file:
            file.write(data)
            if sync:
                file.flush()
                os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        with suppress(OSError):
            temporary.unlink()
        raise


@contextmanager
def written(folder: Path) -> Iterator[None]:
    """What cannot be written inside is a PlanError that names the folder."""
    try:
        yield
    except OSError as error:
        full = error.errno in (errno.ENOSPC, errno.EDQUOT)
        what = f"Nothing can be written to {folder}: {'the disk is full' if full else error.strerror or error}."
        raise PlanError(what, fix="free space or choose another folder.") from error
