"""Parquet: a folder of tables, each a folder of parts that is replaced as a whole."""

from __future__ import annotations

import re
import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from pathlib import Path
from typing import Any, Final

import pyarrow as pa

from adapters.duckdb import catalog as shapes
from adapters.duckdb import ddl as duckdb_ddl
from adapters.duckdb import probe
from adapters.duckdb.design import literal
from adapters.duckdb.snapshot import DuckdbSnapshot, Session
from adapters.duckdb.types import is_asked, quoted
from adapters.parquet import ddl, memory
from adapters.parquet.capabilities import CAPABILITIES
from adapters.parquet.files import Folder, State, check, file_name
from adapters.parquet.manifest import Manifest, Marked
from adapters.parquet.writer import Rewriting
from adapters.plain_files import PlainTarget
from adapters.protocol import BeforeCommit, committed
from adapters.sql.names import folded
from adapters.sql.staged_apply import file_of
from transforms.vocabulary import (
    Applied,
    ChangeSet,
    ColumnShape,
    ConnectionFailed,
    Marker,
    Meaning,
    Reason,
    SpecError,
    SynclineError,
    TableName,
    TableShape,
)

_WORDS: Final = re.compile(r"\w+")


class ParquetAdapter(PlainTarget):
    """A folder of tables. `create`: the first write makes it."""

    engine = CAPABILITIES.names.engine
    capabilities = CAPABILITIES

    def __init__(self, url: str, *, create: bool = False, time_zone: str | None = None) -> None:
        self.url = url
        self._files = Folder(file_of(url), create=create)
        self._zone = time_zone

    def _session(self) -> AbstractContextManager[Session]:
        return memory.opened(str(self._files.root))

    def _states(self) -> list[State]:
        return [state for name in self._files.tables() if (state := self._files.state(name)) is not None]

    def _known(self, statements: Sequence[str]) -> dict[str, Manifest]:
        """The tables that statements name: no other one has to do with them."""
        names = named_in("\n".join(statements), self._files.tables())
        found = (self._files.state(name) for name in names)
        return {each.manifest.table: each.manifest for each in found if each is not None}

    def tables(self, schema: str | None = None) -> list[TableName]:
        return [TableName(name) for name in self._files.tables()] if schema is None else []

    def named(self, table: TableName) -> TableName:
        own = folded(table.name, CAPABILITIES.names.tables)
        found = [each for each in self._files.tables() if folded(each, CAPABILITIES.names.tables) == own]
        return TableName(found[0], table.schema) if found and table.name not in found else table

    def describe(self, table: TableName) -> TableShape | None:
        if table.schema is not None:
            return None
        state = self._files.state(self.named(table).name)
        if state is None:
            self._free(table.name)
        return _shape(state) if state is not None else None

    def _free(self, name: str) -> None:
        """SpecError where somebody else's files have the name of a table."""
        if self._files.taken(name):
            raise SpecError(
                f"{self._files.root / file_name(name)} is there, and no table of Syncline's. Nothing was written.",
                fix="choose another folder or name for the target, or move it away; files of others are only read.",
            )

    def describe_query(self, query: str) -> TableShape:
        with self._viewed() as (session, _):
            return shapes.describe_query(session, query)

    @contextmanager
    def snapshot(self, token: str | None = None) -> Iterator[DuckdbSnapshot]:
        """The tables as they are now. What they were made of stays until the end."""
        if token is not None:
            raise SynclineError(f"{self.url}: files have no snapshots to join.", fix="read in one process.")
        with self._viewed() as (session, states):
            described = {folded(each.manifest.table, CAPABILITIES.names.tables): each for each in states}
            mark = ", ".join(f"{each.manifest.table} {each.folder.name}" for each in states)

            def shape(name: TableName) -> TableShape | None:
                found = described.get(folded(name.name, CAPABILITIES.names.tables)) if not name.schema else None
                return _shape(found) if found is not None else None

            yield DuckdbSnapshot(session, mark or "no tables", self._zone, shape)

    @contextmanager
    def _viewed(self) -> Iterator[tuple[Session, list[State]]]:
        """A connection in which the tables as they are now are views, looked at once a statement names them."""
        with self._files.reading(), self._session() as session:
            states = self._states()
            waiting = {each.manifest.table: each for each in states}

            def made(sql: str) -> None:
                for name in named_in(sql, waiting):
                    check(waiting[name])
                    session.execute(_view(waiting[name]))
                    del waiting[name]

            session.asked = made
            yield session, states

    def ddl(self, shape: TableShape) -> list[str]:
        return ddl.create_table(shape)

    def adding(self, shape: TableShape, names: Sequence[str]) -> list[str]:
        return ddl.add_columns(shape, names)

    def constraints(self, shape: TableShape) -> list[str]:
        if shape.foreign_keys or (shape.design and shape.design.indexes):
            ddl.refuse(shape)
        return []

    def unlinked(self, own: ColumnShape, there: ColumnShape) -> str | None:
        return "a table of Parquet files has no foreign keys"

    def literal(self, column: ColumnShape, value: pa.Array) -> str | None:
        return duckdb_ddl.literal(column, value)

    def made(self, column: ColumnShape) -> ColumnShape:
        return ddl.made(column)

    def tried(self, statements: Sequence[str]) -> str | None:
        return ddl.tried(statements, self._known(statements))

    def kept(self, column: ColumnShape, values: pa.Array, known: Meaning = "plain") -> pa.Array:
        if not is_asked(column):
            return values
        with self._session() as session:
            return probe.kept_values(session, column, values, known)

    def refused(self, shape: TableShape, changes: ChangeSet, *, new: bool = False) -> Mapping[int, Reason]:
        return {}  # a table demands nothing but what its columns' shapes say

    def alike(self, table: TableName, rows: pa.Table) -> list[pa.Array]:
        return [values.combine_chunks() for values in rows.columns]

    def execute_ddl(self, statements: Sequence[str]) -> None:
        known = self._known(statements)
        wanted = ddl.after(statements, known)
        changed = {name: each for name, each in wanted.items() if known.get(name) != each}
        gone = [name for name in known if name not in wanted]
        with ExitStack() as stack:
            for name in sorted({*changed, *gone}):
                stack.enter_context(self._files.writing(name))
            ready = [(name, *stack.enter_context(self._draft(name, each))) for name, each in changed.items()]
            for name, folder, manifest in ready:
                with self._files.refusing():
                    self._files.commit(name, folder, manifest)
            for name in gone:
                self._files.drop(name)
        for name in changed:
            self._files.tidy(name)

    @contextmanager
    def _draft(self, name: str, manifest: Manifest) -> Iterator[tuple[Path, Manifest]]:
        """A state of a table in other columns, or of a new one, ready to hold."""
        self._free(name)
        there = self._files.state(name)
        _writable(there)
        with self._begun(name, there) as folder:
            before = State(there.folder if there is not None else folder, manifest, own=there is not None)
            making = Rewriting(self._files, folder, before, self._session)
            with self._files.refusing():
                making.widen()
                manifest = making.finish()
            yield folder, manifest

    @contextmanager
    def _begun(self, name: str, there: State | None) -> Iterator[Path]:
        """An empty folder for the next state, which goes away where it did not come to hold."""
        folder = self._files.begin(name, there)
        try:
            yield folder
        except BaseException:
            now = self._files.state(name)
            if now is None or now.folder != folder.resolve():
                shutil.rmtree(folder, ignore_errors=True)
            raise

    def apply(
        self,
        changes: ChangeSet,
        shape: TableShape,
        marker: Marker | None,
        *,
        empty: bool = False,
        before_commit: BeforeCommit = committed,
        trial: bool = False,
    ) -> Applied:
        name = self.named(changes.table).name
        with self._files.writing(name):
            there = self._files.state(name)
            if there is None:
                raise SpecError(f"There is no table {name} in {self._files.root}.", fix="plan anew.")
            if marker is not None and there.has(marker):
                return Applied(already=True)
            _writable(there)
            check(there)
            with self._begun(name, there) as folder:
                making = Rewriting(self._files, folder, there, self._session)
                with self._files.refusing():
                    applied = making.apply(changes, shape)
                    manifest = making.finish()
                before_commit(applied)
                with self._files.refusing():
                    self._files.commit(name, folder, manifest.marked(marker) if marker is not None else manifest)
        self._files.tidy(name)
        return applied

    def applied(self, plan: str) -> set[Marker]:
        return {marker for marked in self._marked() if marked.plan == plan for marker in marked.markers()}

    def writers(self, table: TableName) -> set[str]:
        return {marked.writer for marked in self._marked() if marked.table == str(table)}

    def plans_by(self, writer: str, table: TableName) -> set[str]:
        own = (writer, str(table))
        return {marked.plan for marked in self._marked() if (marked.writer, marked.table) == own}

    def _marked(self) -> list[Marked]:
        if not self._files.root.exists():
            return []
        with self._files.reading():
            return [marked for state in self._states() for marked in state.markers()]

    def lock(self, name: str) -> AbstractContextManager[None]:
        return self._files.held(name)

    def close(self) -> None:
        return None  # nothing is held between two calls


def _shape(state: State) -> TableShape:
    return ddl.shape_of(state.manifest, unwritable=None if state.own else _copied(state))


def _copied(state: State) -> str:
    return f"is a copy of a table of Parquet files, without its states: {state.folder} is no link. Fix: write to another folder."


def _writable(state: State | None) -> None:
    if state is not None and not state.own:
        raise ConnectionFailed(f"{state.manifest.table} {_copied(state)}")


def named_in(sql: str, names: Iterable[str]) -> list[str]:
    """The tables that stand in a text of SQL, in whatever case, as far as can be seen without reading it: rather too many."""
    text = folded(sql, CAPABILITIES.names.tables)
    words = {*_WORDS.findall(text)}
    return [name for name in names if (own := folded(name, CAPABILITIES.names.tables)) in words or quoted(own) in text]


def _view(state: State) -> str:
    files: Any = ", ".join(literal(str(each)) for each in state.paths())
    columns = ", ".join(f"{quoted(each.name)}::{each.native} AS {quoted(each.name)}" for each in state.manifest.columns)
    return (
        f"CREATE TEMP VIEW {quoted(state.manifest.table)} AS SELECT {columns} "  # noqa: S608 - quoted names and texts
        f"FROM read_parquet([{files}], hive_partitioning = false)"
    )
