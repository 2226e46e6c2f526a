"""What is kept of applied plans besides their change sets: conflicts, keys alone, and tables as they once were.

plan/applied/<table>/<window>.<phase>.parquet   the rows that were left alone: Applied.conflicts
plan/others/<table>/<window>.<phase>.parquet    the rows that needed no writing any more: Applied.by_others
plan/refused/<table>/<window>.<phase>.parquet   the rows that the target refused, or did not keep: op, key, before, after, reason, column
plan/rewritten/<table>/<window>.<phase>.parquet the rows that the target made something else of: Applied.rewritten
plan/keys/<table>.parquet                       OP and key, where the change sets were not to be kept
store/bases/<side>/<table>@<version>/           rows of a table as they stood at a version
"""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping
from pathlib import Path
from typing import Final, Literal, get_args

import pyarrow as pa
import pyarrow.parquet as pq

from adapters import private
from adapters.store.plan_files import ChangedPlan
from adapters.store.plans import Plan, folder_name, put, written
from transforms.vocabulary import ChangeSet, Phase, PlanError, TableName

COMPRESSION: Final = "zstd"
OP: Final = "syncline op"  # the column of kept keys that says what became of a row


NotWritten = Literal["applied", "others", "refused"]
Noted = NotWritten | Literal["rewritten"]
NOT_WRITTEN: Final[tuple[NotWritten, ...]] = get_args(NotWritten)


def note(folder: Path, table: TableName, window: int, phase: Phase, left: Mapping[Noted, pa.Table | None]) -> None:
    """Write down the rows that a window is about not to write, or that became something else, before it commits; None takes back
    what was written down.

    So whatever is in the target is known to the plan's folder, however a run ends.
    """
    with written(folder):
        for kind, rows in left.items():
            path = _noted(folder, kind, table, window, phase)
            if rows is None:
                path.unlink(missing_ok=True)
            else:
                _put(path, rows)


def noted(folder: Path, kind: Noted, table: TableName, window: int, phase: Phase) -> pa.Table | None:
    """What `note` wrote down of a window, None where it wrote nothing."""
    path = _noted(folder, kind, table, window, phase)
    return _read(path) if path.exists() else None


def all_noted(folder: Path, kind: Noted, table: TableName, window: int | None = None) -> list[pa.Table]:
    """What `note` wrote down of the windows of a table, or of one. Their images have the columns of each window's change set."""
    named = "*.parquet" if window is None else f"{window:06d}.*.parquet"
    return [_read(path) for path in sorted((folder / kind / folder_name(table)).glob(named))]


def made_of(folder: Path, table: TableName, window: int) -> pa.Table | None:
    """What the target made of rows that a window wrote: their images, whole; None where they are as they were written."""
    parts = [pa.Table.from_struct_array(rows["found"]) for rows in all_noted(folder, "rewritten", table, window)]
    return pa.concat_tables(parts) if parts else None


def keys_not_written(
    folder: Path, table: TableName, window: int, kinds: Iterable[Noted] = NOT_WRITTEN
) -> pa.Table | None:
    """The keys of all rows that a window of a plan did not write, for one of some reasons, in the columns of the table's key.

    None where there are none. A row may have been written by another window.
    """
    left = (rows for kind in kinds for rows in all_noted(folder, kind, table, window))
    parts = [pa.Table.from_struct_array(rows["key"]) for rows in left if rows.num_rows]
    return pa.concat_tables(parts) if parts else None


def keep_keys(plan: Plan, table: TableName, changes: Iterable[ChangeSet]) -> None:
    """Keep of a table's changes which keys were changed and how. Without changes, it does nothing."""
    parts = [_keys(each) for each in changes]
    if parts:
        with written(plan.folder):
            _put(plan.folder / "keys" / f"{folder_name(table)}.parquet", pa.concat_tables(parts))


def forget(folder: Path, table: TableName) -> None:
    """Delete the change sets of a table, once the ledger says that they are not kept."""
    for kind in ("changes", "rewritten"):
        shutil.rmtree(folder / kind / folder_name(table), ignore_errors=True)


def kept_keys(folder: Path, table: TableName) -> pa.Table | None:
    """The keys of a table's changes, with the columns OP and those of the key; None where they were not kept."""
    path = folder / "keys" / f"{folder_name(table)}.parquet"
    return _read(path) if path.exists() else None


def write_base(folder: Path, number: int, rows: pa.Table) -> None:
    """Write a part of a table as it is, under a number of its own."""
    with written(folder):
        _put(folder / f"{number:06d}.parquet", rows)


def read_base(folder: Path) -> Iterator[pa.Table]:
    """The parts of a table as it was."""
    files = sorted(folder.glob("*.parquet"))
    if not files:
        raise PlanError(f"{folder} is missing, and with it what its table was.", fix="bring it back from a backup.")
    return map(_read, files)


def base_folder(bases: Path, table: TableName, version: int) -> Path:
    """Where a table of a side lies as it stood at a version; `bases` is the side's folder in the store."""
    return bases / f"{folder_name(table)}@{version}"


def move_base(made: Path, place: Path) -> None:
    """Put a base in its place, whole or not at all."""
    with written(place):
        private.make_folder(place.parent)
        shutil.rmtree(place, ignore_errors=True)
        made.rename(place)


def write_parquet(path: Path, rows: pa.Table) -> None:
    """Write rows to a file of the user's, which replaces one that is there."""
    with written(path.parent):
        _put(path, rows)


def _keys(changes: ChangeSet) -> pa.Table:
    key = list(changes.key)
    parts = []
    for op, rows in (("insert", changes.inserts), ("update", changes.before), ("delete", changes.deletes)):
        narrow = rows.select(key)
        parts.append(narrow.add_column(0, OP, pa.array([op] * narrow.num_rows, pa.string())))
    return pa.concat_tables(parts)


def _noted(folder: Path, kind: Noted, table: TableName, window: int, phase: Phase) -> Path:
    return folder / kind / folder_name(table) / f"{window:06d}.{phase}.parquet"


def _put(path: Path, rows: pa.Table) -> None:
    sink = pa.BufferOutputStream()
    pq.write_table(rows, sink, compression=COMPRESSION)
    put(path, sink.getvalue(), sync=False)


def _read(path: Path) -> pa.Table:
    try:
        return pq.ParquetFile(path).read()
    except (OSError, pa.ArrowException) as error:
        fix = "bring it back from a backup."
        raise ChangedPlan(f"{path} cannot be read: {error}.", fix=fix, path=str(path)) from error


def size(folder: Path) -> int:
    """How many bytes a folder takes."""
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
