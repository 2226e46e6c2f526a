"""Reading files as tables: each is looked at when it is asked for, and found out where it changes while it is read."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import replace
from queue import Empty, LifoQueue

import pyarrow as pa
import pyarrow.compute as pc

from adapters.duckdb.snapshot import DuckdbSnapshot, Session
from adapters.duckdb.types import quoted
from adapters.files.listing import Files
from adapters.files.rows import BEHIND, TORN, UNREAD, Rows
from transforms.vocabulary import (
    INVALID,
    ColumnRange,
    ForeignKey,
    Key,
    KeyRange,
    KeyValue,
    Relation,
    SynclineError,
    TableName,
    TableShape,
)

Read = Callable[[Session, Files], Rows]
"""What makes rows of the files of a table. It may stage them, and then answers with the rows of what it staged."""


class Views:
    """The tables of an address in a DuckDB of their own, each made when it is asked for: views, and what they stage."""

    def __init__(self, session: Session, tables: dict[str, Files], read: Read) -> None:
        self.tables = tables
        self._session, self._read = session, read
        self._made: dict[str, Rows] = {}
        session.execute(f"CREATE SCHEMA {quoted(BEHIND)}")

    def rows(self, name: str) -> Rows | None:
        """None where there is no such table."""
        with self._session.lock:
            if name not in self._made and name in self.tables:
                with self.unchanged([name]):
                    made = self._read(self._session, self.tables[name])
                    for statement in made.views(name):
                        self._session.execute(statement)
                self._made[name] = made
            return self._made.get(name)

    def named_in(self, query: str) -> list[str]:
        """The tables that a query may be about, made."""
        names = [name for name in self.tables if _named(name, query)]
        return [name for name in names if self.rows(name) is not None]

    def shape_behind(self, table: TableName) -> TableShape | None:
        rows = self.rows(table.name)
        return rows.shape_behind(table.name) if rows is not None else None

    @contextmanager
    def unchanged(self, names: Sequence[str]) -> Iterator[None]:
        """SnapshotLost where files of these tables are no more at the end as they were when they were listed, whatever else it
        came to."""
        try:
            yield
        except SynclineError as error:
            try:
                self._compare(names)
            except SynclineError as changed:
                raise changed from error
            raise
        self._compare(names)

    def _compare(self, names: Sequence[str]) -> None:
        for name in names:
            self.tables[name].unchanged()

    def all_unchanged(self) -> None:
        """As far as they were read."""
        self._compare(list(self._made))


class FilesSnapshot(DuckdbSnapshot):
    """Files as they were when the snapshot began. `more` opens another session, since one has a single open answer at a time."""

    def __init__(
        self, session: Session, views: Views, mark: str, time_zone: str | None, more: Callable[[], Session]
    ) -> None:
        super().__init__(session, mark, time_zone, views.shape_behind)
        self._views, self._more = views, more
        self._idle: LifoQueue[Session] = LifoQueue()

    @contextmanager
    def _reader(self) -> Iterator[Session]:
        try:
            session = self._idle.get_nowait()
        except Empty:
            session = self._more()
        try:
            yield session
        finally:
            self._idle.put(session)

    def close(self) -> None:
        """Close what scans read by."""
        while not self._idle.empty():
            self._idle.get().close()

    def count(self, relation: Relation, ranges: Sequence[ColumnRange] = ()) -> int:
        behind, names = self._behind(relation)
        with self._views.unchanged(names):
            return super().count(behind, ranges)

    def split(
        self,
        relation: Relation,
        key: Key,
        rows: int,
        within: KeyRange = KeyRange(),
        *,
        ranges: Sequence[ColumnRange] = (),
    ) -> list[KeyValue]:
        behind, names = self._behind(relation)
        with self._views.unchanged(names):
            return super().split(behind, key, rows, within, ranges=ranges)

    def highest(self, relation: Relation, column_name: str) -> int | None:
        return super().highest(self._behind(relation)[0], column_name)

    def orphans(self, table: TableName, reference: ForeignKey) -> Relation | None:
        there = replace(reference, refers=self._table(reference.refers))
        return super().orphans(self._table(table), there)

    def unkeyed(self, table: TableName, key: Key, most: int | None = None) -> Relation:
        return super().unkeyed(self._table(table), key, most)

    def checksums(
        self, relation: Relation, columns: Sequence[str], key: Key, windows: Sequence[KeyRange]
    ) -> pa.Table | None:
        behind, names = self._behind(relation)
        if behind.table is None or self._unread(behind.table, columns, relation.where):
            return None
        with self._views.unchanged(names):
            return super().checksums(behind, columns, key, windows)

    def scan(
        self,
        relation: Relation,
        columns: Sequence[str],
        *,
        key: Key = (),
        within: KeyRange = KeyRange(),
        ranges: Sequence[ColumnRange] = (),
        keys: pa.Table | None = None,
    ) -> Iterator[pa.RecordBatch]:
        behind, names = self._behind(relation)
        unread = self._unread(behind.table, columns, relation.where) if behind.table else []
        with self._views.unchanged(names):
            for batch in super().scan(behind, [*columns, *unread], key=key, within=within, ranges=ranges, keys=keys):
                yield _told(batch, len(columns))

    def _behind(self, relation: Relation) -> tuple[Relation, list[str]]:
        """The relation as it is scanned, and the tables that it is about."""
        if relation.table is None:
            return relation, self._views.named_in(f"{relation.query} {relation.where or ''}")
        there = self._table(relation.table)
        if relation.where is None:
            return replace(relation, table=there), [there.name]
        unread = "".join(f" OR {quoted(each)} IS NOT NULL" for each in self._unread(there, (), relation.where))
        where = f"({relation.where}\n){unread}" if unread else relation.where
        return replace(relation, table=there, where=where), [there.name, *self._views.named_in(relation.where)]

    def _table(self, table: TableName) -> TableName:
        """SpecError where there is no such table."""
        there = TableName(table.name, BEHIND)
        self._shapes.of(Relation(there))
        return there

    def _unread(self, table: TableName, columns: Sequence[str], where: str | None) -> list[str]:
        """The columns that say why rows cannot travel: whole ones, for values of these columns, and for those that `where` is about:
        whether it keeps such a row nobody knows."""
        there = self._shapes.of(Relation(table)).names
        asked = [each for each in there if each in columns or (where and _named(each, where))]
        return [each for each in (TORN, *(f"{UNREAD}{name}" for name in asked)) if each in there]


def _named(name: str, text: str) -> bool:
    return re.search(rf"(?<!\w){re.escape(name.casefold())}(?!\w)", text.casefold()) is not None


def _told(batch: pa.RecordBatch, columns: int) -> pa.RecordBatch:
    """A batch with INVALID instead of what is said of each column, where a row cannot travel."""
    kept = batch.select(range(columns))
    why = [batch.column(number) for number in range(columns, batch.num_columns)]
    if not why or all(each.null_count == len(each) for each in why):
        return kept
    return kept.append_column(INVALID, pc.coalesce(*why))
