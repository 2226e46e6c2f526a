"""The base of two-way tables: the rows that both sides agreed on last, in parts that are cut by key.

agreed/<migration>/<table>/parts.json        what it is a base of, where its parts begin, and the digest of every file
agreed/<migration>/<table>/<digest>.parquet  the rows of a part, ascending where the key has an order; or a patch of a part

A base is replaced by new files beside the old ones, then `parts.json`, then the old ones go: whoever is killed in between leaves the
old base or the new one, whole. Files are named by what is in them, so that a replacement may be done twice.
"""

from __future__ import annotations

import hashlib
import json
from base64 import b64decode
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pyarrow.parquet as pq

from adapters.store.layout import Store
from adapters.store.plans import folder_name
from adapters.store.record_json import Unreadable, from_json
from transforms.vocabulary import Key, KeyValue, PlanError, SideName, TableName
from transforms.vocabulary.arrow import Indices
from transforms.vocabulary.unmet import UNMET, completed, without_idle_marks

FORMAT: Final = 3  # parts of format 1 have no patches, and those of format 2 know of all columns
PARTS: Final = "parts.json"
PLACE: Final = "syncline place"
"""The column of a patch that says where a row goes: at a row of the part, or below 0 behind them; of rows that are gone where they were."""
_TAG: Final = "syncline tag"
_CHUNK: Final = 1 << 20  # bytes


class Damaged(PlanError):
    """A base of which something is missing, or not as it was written. The two sides meet anew."""

    code = "base_lost"


@dataclass(frozen=True, slots=True)
class Agreement:
    """What a base is a base of: digests of how the table is mapped, and of where each side's rows lie; its rows' columns and key.

    `mapping` has digests with colons between: of all of it, of which rows of which table, as known by what, and of which table. Bases of
    earlier versions have the first one or two alone.
    """

    mapping: str
    sides: Mapping[SideName, str]
    schema: pa.Schema = field(hash=False)
    key: Key

    def same_table(self, other: Agreement) -> bool:
        """Whether both are about rows of the same tables, whichever these are and whatever is made of them."""
        both = zip(self.mapping.split(":"), other.mapping.split(":"), strict=False)
        mine, its = list(both)[-1]  # the last that both have
        return self.sides == other.sides and mine == its

    @property
    def keyed(self) -> pa.Schema:
        """The columns by which its rows are known."""
        return pa.schema([self.schema.field(name) for name in self.key])


@dataclass(frozen=True, slots=True)
class Cut:
    """How a base is cut into parts: ascending by all columns of its key in some `order`, each of about `rows`; or, without an
    order, by a hash that has a name, such as that of its library and the number of parts."""

    order: Key = ()
    rows: int = 0
    hashed: str = ""


@dataclass(frozen=True, slots=True)
class Patch:
    """What is otherwise in a part than it was: rows that are `put` where others stood or behind them all, and how many rows are gone."""

    file: str
    put: int
    gone: int
    nbytes: int
    digest: str


@dataclass(frozen=True, slots=True)
class Part:
    """Some rows of a base: those of `file`, which is empty where there are none, and one patch after the other upon them."""

    file: str
    rows: int
    nbytes: int
    digest: str
    patches: tuple[Patch, ...] = ()

    @property
    def files(self) -> tuple[Part | Patch, ...]:
        return (self, *self.patches) if self.file else self.patches


@dataclass(frozen=True, slots=True)
class Written:
    """What `parts.json` says. `starts` are rows of the order's columns, in Arrow's format."""

    table: TableName
    agreement: Agreement
    cut: Cut
    starts: str
    parts: tuple[Part, ...]


@dataclass(frozen=True, slots=True)
class Parts:
    """A base. `starts` has the first key of each part but the first one, in the order's columns; none where parts are hashed.

    `digest` stands for all of it: another base has another one. `elsewhere`: it is for a plan alone, and all of its rows are to be
    written where bases lie.
    """

    folder: Path
    agreement: Agreement
    cut: Cut
    starts: pa.Table = field(hash=False)
    parts: tuple[Part, ...]
    digest: str
    elsewhere: bool = False

    @property
    def rows(self) -> int:
        return sum(part.rows for part in self.parts)

    @property
    def nbytes(self) -> int:
        """What it takes on disk."""
        return sum(file.nbytes for part in self.parts for file in part.files)

    def under(self, agreement: Agreement) -> Parts | None:
        """The same rows as an agreement has them that is about the same tables, and knows rows by the same key; else None.

        In columns that these have not, they have not met (`transforms.vocabulary.unmet`).
        """
        mine = self.agreement
        if not mine.same_table(agreement) or mine.key != agreement.key or mine.keyed.types != agreement.keyed.types:
            return None
        return replace(self, agreement=agreement)

    def cuts(self) -> list[KeyValue]:
        """The keys between its parts, ascending, in the order's columns."""
        columns = [self.starts.column(name).to_pylist() for name in self.starts.column_names]
        return list(zip(*columns, strict=True))


def parts(store: Store, migration: str, table: TableName) -> Parts | None:
    """The base of a table with every file of it checked; None where the two sides never met.

    Errors: Damaged; PlanError where a newer Syncline wrote it.
    """
    known = opened(folder_of(store, migration, table), table)
    if known is not None:
        for file in (each for part in known.parts for each in part.files):
            _check(known.folder, file)
    return known


def base_of(store: Store, migration: str, table: TableName, agreement: Agreement) -> Parts:
    """The base of a table under this agreement, its files not checked yet. Errors: Damaged where there is none."""
    folder = folder_of(store, migration, table)
    there = opened(folder, table)
    known = None if there is None else there.under(agreement)
    if known is None:
        raise damaged(folder / PARTS, "is gone, or of another mapping")
    return known


def read_part(base: Parts, number: int, columns: Sequence[str] | None = None) -> pa.Table:
    """The rows of a part, in the columns and types of the agreement, with UNMET where some have not met; or some of the columns.

    Errors: Damaged.
    """
    schema = base.agreement.schema
    if columns is None:
        return rows_of(base.folder, base.parts[number], schema)
    schema = pa.schema([schema.field(name) for name in columns])
    return rows_of(base.folder, base.parts[number], schema).select(list(columns))


def places(values: pa.Table, starts: pa.Table) -> Indices:
    """How many of the starts, which ascend, are not above each row. In: equal columns and types."""
    tags = np.arange(starts.num_rows + values.num_rows) >= starts.num_rows  # of equals, the start comes first
    both = pa.concat_tables([starts, values]).append_column(_TAG, pa.array(tags.astype(np.int8)))
    order = pc.sort_indices(both, sort_keys=[(name, "ascending") for name in both.column_names]).to_numpy()
    is_start = order < starts.num_rows
    found: Indices = np.empty(len(order), dtype=np.int64)
    found[order] = np.cumsum(is_start)
    return found[starts.num_rows :]


def as_table(keys: Sequence[KeyValue], schema: pa.Schema) -> pa.Table:
    """Keys as rows."""
    columns = zip(*keys, strict=True) if keys else [[] for _ in schema]
    return pa.table(
        [pa.array(list(each), kind.type) for each, kind in zip(columns, schema, strict=True)], schema=schema
    )


def _of_text(text: str) -> pa.Table:
    return pa.ipc.open_stream(b64decode(text, validate=True)).read_all()


def folder_of(store: Store, migration: str, table: TableName) -> Path:
    """Where the base of a table lies."""
    return store.agreed(migration) / folder_name(table)


def opened(folder: Path, table: TableName) -> Parts | None:
    """What `parts.json` says, None where there is none. Errors: as of `parts`."""
    path = folder / PARTS
    try:
        body = json.loads(path.read_bytes())
        digest, form = body.pop("digest"), body["format"]
    except FileNotFoundError:
        return None
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise damaged(path) from error
    if isinstance(form, int) and form > FORMAT:
        raise PlanError(f"{path} was written by a newer Syncline (format {form}).", fix="update Syncline here.")
    if form not in range(1, FORMAT + 1) or digest != digest_of(body):
        raise damaged(path)
    try:
        said = from_json(Written, _newest(body.get("agreed"), form), "agreed")
        starts = _of_text(said.starts)
    except (Unreadable, ValueError, pa.ArrowException) as error:
        raise damaged(path) from error
    if said.table != table:
        raise damaged(path, f"is of {said.table}")
    return Parts(folder, said.agreement, said.cut, starts, said.parts, digest)


def _newest(said: Any, form: int) -> Any:
    """What an earlier format said, as the newest one does."""
    if form > 1 or not isinstance(said, dict):
        return said
    return {**said, "parts": [{**part, "patches": []} for part in said.get("parts", ())]}


def _check(folder: Path, file: Part | Patch) -> None:
    """Damaged where a file is not what was written."""
    digest = hashlib.sha256()
    path = folder / file.file
    try:
        with path.open("rb") as opened:
            while some := opened.read(_CHUNK):
                digest.update(some)
    except OSError as error:
        raise damaged(path, "is missing" if isinstance(error, FileNotFoundError) else "cannot be read") from error
    if digest.hexdigest() != file.digest:
        raise damaged(path)


def rows_of(folder: Path, part: Part, schema: pa.Schema) -> pa.Table:
    """The rows of a part, checked, in these columns, and UNMET. Errors: Damaged. Memory: the rows, and those of its patches."""
    rows = completed(_read(folder, part, schema), schema) if part.file else schema.empty_table()
    if not part.patches:
        return rows
    found = [_read(folder, patch, schema, (PLACE,)) for patch in part.patches]
    placed = [(each.column(PLACE).to_numpy(), patch.put) for each, patch in zip(found, part.patches, strict=True)]
    put = [completed(each.slice(0, number), schema) for each, (_, number) in zip(found, placed, strict=True)]
    whole = pa.concat_tables([rows, *put], promote_options="default")
    return without_idle_marks(whole.take(pa.array(_patched(rows.num_rows, placed))))


def _patched(rows: int, patches: Sequence[tuple[Indices, int]]) -> Indices:
    """Which rows a part has, by their place in its file with the put rows of all patches behind it."""
    at: Indices = np.arange(rows, dtype=np.int64)
    for places_, put in patches:
        into, gone, new = places_[:put], places_[put:], np.arange(rows, rows + put, dtype=np.int64)
        at[into[into >= 0]] = new[into >= 0]
        at = np.concatenate([np.delete(at, gone), new[into < 0]])
        rows += put
    return at


def _read(folder: Path, file: Part | Patch, schema: pa.Schema, more: Sequence[str] = ()) -> pa.Table:
    """What a file has of some columns, of UNMET, and of `more`."""
    path = folder / file.file
    try:
        with pa.OSFile(str(path)) as opened:
            data = opened.read_buffer()
        if hashlib.sha256(data).hexdigest() != file.digest:
            raise damaged(path)
        with pq.ParquetFile(pa.BufferReader(data)) as parquet:
            there = [name for name in (*schema.names, UNMET, *more) if name in parquet.schema_arrow.names]
            return parquet.read(there).select(there)
    except (OSError, pa.ArrowException) as error:
        raise damaged(path, "is missing" if isinstance(error, FileNotFoundError) else "cannot be read") from error


def damaged(path: Path, why: str = "was changed since it was written") -> Damaged:
    """The error of a file of a base."""
    what = f"{path} {why}: what both sides agreed on last is not known any more."
    return Damaged(what, fix="run again: both sides meet anew, as `initial` says.", path=str(path))


def digest_of(body: Mapping[str, Any]) -> str:
    """What stands for all that `parts.json` says."""
    return hashlib.sha256(json.dumps(body, sort_keys=True, separators=(",", ":")).encode()).hexdigest()
