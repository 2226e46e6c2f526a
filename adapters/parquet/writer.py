# ruff: noqa: S608 - SQL is made of quoted identifiers and quoted literals
"""One window written to a table of Parquet files: parts are changed in memory and written anew, into the state that is to come."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import duckdb
import pyarrow as pa

from adapters.duckdb.design import literal
from adapters.duckdb.snapshot import Session
from adapters.duckdb.types import as_travel_array, operand, quoted, reading, text_of
from adapters.duckdb.writer import Window
from adapters.parquet.ddl import definition, shape_of
from adapters.parquet.files import Folder, State, check_whole, finished
from adapters.parquet.manifest import Manifest, Part, ends_of, with_parts
from adapters.parquet.parts import PART_BYTES, PART_ROWS, SMALL_ROWS, Touched, touched
from adapters.sql.staged_apply import apply_staged, column_of
from transforms.vocabulary import Applied, ChangeSet, ConnectionFailed, SynclineError, TableShape

ROW_GROUP: Final = 65_536  # rows that a reader of a range passes over together
OPTIONS: Final = f"FORMAT parquet, COMPRESSION zstd, ROW_GROUP_SIZE {ROW_GROUP}"

Opened = Callable[[], AbstractContextManager[Session]]


@dataclass(slots=True)
class Rewriting:
    """A state of a table in the making: `folder` is that of `Folder.begin`, `state` the one before."""

    files: Folder
    folder: Path
    state: State
    opened: Opened
    parts: list[Part] = field(default_factory=list)
    ends: list[pa.Table] = field(default_factory=list)

    @property
    def manifest(self) -> Manifest:
        return self.state.manifest

    def apply(self, changes: ChangeSet, shape: TableShape) -> Applied:
        """Change the parts that a window touches, and take the others over."""
        known, ends = self.manifest.filled, ends_of(self.manifest)
        done: list[Applied] = []
        at = 0
        for each in touched(changes, self.manifest.key, known, ends):
            stop = each.first + 1 if each.fresh else max(each.first, 0)
            self._keep(known, ends, at, stop)
            done.append(self._change(each, known, shape))
            at = max(at, each.last + 1)
        self._keep(known, ends, at, len(known))
        return _together(done)

    def widen(self) -> None:
        """Write all parts anew in the manifest's columns: those that a part does not have are null."""
        for part in self.manifest.filled:
            check_whole(self.state, part)
            there = set(self._columns(part))
            names = [each.name for each in self.manifest.columns]
            with self.opened() as session:
                session.execute(definition(self.manifest, self.manifest.table, temporary=True))
                own = ", ".join(quoted(name) for name in names if name in there)
                self._load(session, part, own)
                self._write(session, part.nbytes)

    def finish(self) -> Manifest:
        """The manifest of the state, once all of its parts are there."""
        for name in self.manifest.sealed:
            self.files.keep(self.folder, self.state, name)
        if not self.parts:
            with self.opened() as session:
                session.execute(definition(self.manifest, self.manifest.table, temporary=True))
                self.parts.append(self._copy(session, f"SELECT * FROM {quoted(self.manifest.table)}", 0))
        schema = shape_of(self.manifest).schema(self.manifest.key)
        ends = pa.concat_tables([schema.empty_table(), *self.ends])
        return with_parts(self.manifest, self.parts, ends)

    def _keep(self, known: Sequence[Part], ends: pa.Table | None, start: int, stop: int) -> None:
        for number in range(start, stop):
            assert ends is not None, "there are parts"
            self.files.keep(self.folder, self.state, known[number].file)
            self.parts.append(known[number])
            self.ends.append(ends.slice(2 * number, 2))

    def _change(self, each: Touched, known: Sequence[Part], shape: TableShape) -> Applied:
        with self.opened() as session:
            session.execute(definition(self.manifest, self.manifest.table, temporary=True))
            columns = [column_of(shape, name) for name in each.changes.schema.names]
            window = Window(session, each.changes, shape, columns)
            nbytes = each.changes.inserts.nbytes + each.changes.after.nbytes
            if each.fresh:
                done = Applied(inserted=window.load())
            else:
                for part in known[max(each.first, 0) : each.last + 1]:
                    check_whole(self.state, part)
                    self._load(session, part)
                    nbytes += part.nbytes
                done = apply_staged(window, window.staging(), each.changes, shape)
            self._write(session, nbytes)
        return done

    def _load(self, session: Session, part: Part, columns: str = "", *, where: Path | None = None) -> None:
        path = literal(str((where or self.state.folder) / part.file))
        listed = columns or ", ".join(quoted(each.name) for each in self.manifest.columns)
        session.execute(
            f"INSERT INTO {quoted(self.manifest.table)} ({listed}) "
            f"SELECT {listed} FROM read_parquet({path}, hive_partitioning = false)"
        )

    def _columns(self, part: Part) -> list[str]:
        path = literal(str(self.state.folder / part.file))
        with self.opened() as session:
            rows = session.rows(f"DESCRIBE SELECT * FROM read_parquet({path}, hive_partitioning = false)")
        return [row["column_name"] for row in rows]

    def _write(self, session: Session, nbytes: int) -> None:
        """Write the rows of the session's table as parts, in the order of the key. `nbytes`: about what they take."""
        table = quoted(self.manifest.table)
        rows = session.execute(f"SELECT count(*) FROM {table}")
        beside = self.parts[-1] if self.parts else None
        if (
            beside is not None
            and 0 < rows < SMALL_ROWS
            and beside.rows + rows <= PART_ROWS
            and beside.nbytes + nbytes <= PART_BYTES
        ):
            small, _ = self.parts.pop(), self.ends.pop()
            self._load(session, small, where=self.folder)
            (self.folder / small.file).unlink()
            rows += small.rows
        if not rows:
            return
        order = f"ORDER BY {self._order()}"
        pieces = min(rows, max(-(-rows // PART_ROWS), -(-nbytes // PART_BYTES)))
        if pieces == 1:
            self.parts.append(self._copy(session, f"SELECT * FROM {table} {order}", rows))
            self.ends.append(self._ends(session, f"SELECT {self._keys()} FROM {table} {order} LIMIT 1", order))
            return
        session.execute(f"CREATE TEMP TABLE syncline_sorted AS SELECT * FROM {table} {order}")
        for piece in range(pieces):
            start, stop = rows * piece // pieces, rows * (piece + 1) // pieces
            within = f"rowid >= {start} AND rowid < {stop}"
            self.parts.append(
                self._copy(session, f"SELECT * FROM syncline_sorted WHERE {within} ORDER BY rowid", stop - start)
            )
            both = f"SELECT {self._keys()} FROM syncline_sorted WHERE rowid IN ({start}, {stop - 1}) ORDER BY rowid"
            found = self._asked(session, both)
            self.ends.append(found if found.num_rows == 2 else pa.concat_tables([found, found]))

    def _copy(self, session: Session, query: str, rows: int) -> Part:
        """Write one part. Its name is no other part's of any state that is still there."""
        number = len(list(self.folder.glob(f"part-{self.folder.name}-*")))
        path = self.folder / f"part-{self.folder.name}-{number:04}.parquet"
        try:
            session.execute(f"COPY ({query}) TO {literal(str(path))} ({OPTIONS})")
        except SynclineError as error:
            if not isinstance(error.__cause__, duckdb.IOException):
                raise
            why = " ".join(str(error.__cause__).split())
            raise ConnectionFailed(
                f"Cannot write {path}: {why}. Nothing was changed.", fix="free space, or let this user write there."
            ) from error
        return finished(path, rows)

    def _ends(self, session: Session, first: str, order: str) -> pa.Table:
        table = quoted(self.manifest.table)
        last = f"SELECT {self._keys()} FROM {table} ORDER BY {self._order(down=True)} LIMIT 1"
        return pa.concat_tables([self._asked(session, first), self._asked(session, last)])

    def _asked(self, session: Session, query: str) -> pa.Table:
        columns = [column_of(shape_of(self.manifest), name) for name in self.manifest.key]
        found = session.ask(query)
        arrays = [as_travel_array(found.column(i), each) for i, each in enumerate(columns)]
        return pa.table(arrays, names=list(self.manifest.key))

    def _keys(self) -> str:
        columns = [column_of(shape_of(self.manifest), name) for name in self.manifest.key]
        return ", ".join(f"{text_of(reading(each))} AS {quoted(f'k{i}')}" for i, each in enumerate(columns))

    def _order(self, *, down: bool = False) -> str:
        columns = [column_of(shape_of(self.manifest), name) for name in self.manifest.key]
        ordered = [text_of(operand(each, str).expression) for each in columns]
        return ", ".join(f"{each} DESC" if down else each for each in ordered)


def _together(done: Sequence[Applied]) -> Applied:
    """What a window did, of what it did to each part."""

    def joined(tables: Sequence[pa.Table | None]) -> pa.Table | None:
        some = [each for each in tables if each is not None]
        return pa.concat_tables(some) if some else None

    return Applied(
        sum(each.inserted for each in done),
        sum(each.updated for each in done),
        sum(each.deleted for each in done),
        joined([each.conflicts for each in done]),
        joined([each.by_others for each in done]),
    )
