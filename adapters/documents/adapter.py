"""Documents: a file is a table of its values, a folder has a table for each. Each read is of an image in memory, in SQLite."""

from __future__ import annotations

import threading
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import pyarrow as pa

from adapters.documents.capabilities import CAPABILITIES
from adapters.documents.files import DocumentFile
from adapters.documents.formats import format_of
from adapters.documents.options import address, shown
from adapters.documents.table import DocumentTable, Part
from adapters.plain_files import PlainTarget
from adapters.protocol import BeforeCommit, committed
from adapters.sql.names import folded
from adapters.sql.trials import given, refusal
from adapters.sqlite import catalog, ddl
from adapters.sqlite.arrow import compared, kept
from adapters.sqlite.connection import Connection
from adapters.sqlite.snapshot import SqliteSnapshot
from adapters.sqlite.types import quoted
from adapters.sqlite.writer import write
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

_NO_TABLES = "write what is to be in a document as rows of its table; a table is there once its file is."


class DocumentAdapter(PlainTarget):
    """A document, or a folder of them. `create`: a document that is not there is empty, and made by the first write."""

    engine = CAPABILITIES.names.engine
    capabilities = CAPABILITIES

    def __init__(self, url: str, *, create: bool = False, time_zone: str | None = None) -> None:
        self.url = shown(url)
        self._address = address(url)
        self._format = format_of(self._address.scheme)
        self._create = create
        self._zone = time_zone
        self._turn = threading.Lock()

    def _tables(self) -> dict[str, DocumentTable]:
        """The documents by the names of their tables."""
        path = self._address.file
        if path.is_dir():
            files = sorted(each for each in path.iterdir() if self._is_ours(each))
            return {name: self._table(each) for each in files if (name := _name_of(each))}
        if not self._create and not path.is_file():
            raise ConnectionFailed(f"There is no file {path}.", fix="correct the path in the URL.")
        if not path.parent.is_dir():
            raise ConnectionFailed(
                f"There is no folder {path.parent} for {path.name}.", fix="create it or correct the URL."
            )
        return {_name_of(path): self._table(path)}

    def _is_ours(self, path: Path) -> bool:
        known = (path.suffix or path.name).lower() in self._format.suffixes
        return known and path.is_file() and (not path.name.startswith(".") or path.name == ".env")

    def _table(self, path: Path) -> DocumentTable:
        secret = bool(self._address.documents.secret)
        return DocumentTable(DocumentFile(path, create=self._create, private=secret), self._format, self._address)

    def _named(self, table: TableName) -> tuple[str, DocumentTable] | None:
        if table.schema not in (None, "main"):
            return None
        own = folded(table.name, CAPABILITIES.names.tables)
        return next(
            (each for each in self._tables().items() if folded(each[0], CAPABILITIES.names.tables) == own), None
        )

    @contextmanager
    def _image(self, tables: Mapping[str, DocumentTable]) -> Iterator[tuple[Connection, dict[str, Part]]]:
        """A database in memory with the documents as they are now."""
        parts = {name: table.read() for name, table in tables.items()}
        connection = Connection(self._address.file, "memory")
        try:
            for name, table in tables.items():
                connection.ask(f"CREATE TABLE {quoted(name)} {table.create}")
                rows = table.arrow(parts[name])
                if rows.num_rows:
                    connection.ingest(name, rows, temporary=False)
            yield connection, parts
        finally:
            connection.close()

    def tables(self, schema: str | None = None) -> list[TableName]:
        return [TableName(name, schema) for name in sorted(self._tables())] if schema in (None, "main") else []

    def changed(self) -> dict[str, datetime]:
        paths = [table.file.path for table in self._tables().values()]
        return {str(path): datetime.fromtimestamp(path.stat().st_mtime, UTC) for path in paths if path.is_file()}

    def named(self, table: TableName) -> TableName:
        found = self._named(table)
        return replace(table, name=found[0]) if found is not None else table

    def describe(self, table: TableName) -> TableShape | None:
        found = self._named(table)
        if found is None:
            return None
        with self._image(dict([found])) as (connection, _):
            shape = catalog.describe(connection, table)
        return shape and replace(shape, unwritable=found[1].file.unwritable() if self._create else None)

    def describe_query(self, query: str) -> TableShape:
        with self._image(self._tables()) as (connection, _):
            return catalog.describe_query(connection, query)

    @contextmanager
    def snapshot(self, token: str | None = None) -> Iterator[SqliteSnapshot]:
        """All documents as they were when it began."""
        if token is not None:
            raise SynclineError(f"{self.url}: documents have no snapshots to join.", fix="read in one process.")
        tables = self._tables()
        with self._image(tables) as (connection, parts):
            mark = ", ".join(f"{name} {tables[name].mark_of(part)}" for name, part in parts.items())
            yield SqliteSnapshot(connection, mark or "no documents", self._zone)

    def ddl(self, shape: TableShape) -> list[str]:
        raise SpecError(f"There is no document for the table {shape.name.name}.", fix=_NO_TABLES)

    def adding(self, shape: TableShape, names: Sequence[str]) -> list[str]:
        raise SpecError(f"The table {shape.name.name} of a document has columns of its own.", fix=_NO_TABLES)

    def constraints(self, shape: TableShape) -> list[str]:
        return []

    def unlinked(self, own: ColumnShape, there: ColumnShape) -> str | None:
        return "a document has no foreign keys"

    def literal(self, column: ColumnShape, value: pa.Array) -> str | None:
        return ddl.literal(column, value)

    def made(self, column: ColumnShape) -> ColumnShape:
        return ddl.made(column)

    def tried(self, statements: Sequence[str]) -> str | None:
        return None

    def kept(self, column: ColumnShape, values: pa.Array, known: Meaning = "plain") -> pa.Array:
        return kept(column, values, known)

    def refused(self, shape: TableShape, changes: ChangeSet, *, new: bool = False) -> Mapping[int, Reason]:
        """What no document of the format can have. Of a value without its kind that is what the document has there."""
        found = self._named(shape.name)
        if found is None:
            return {}
        _, table = found
        rows = given(changes).rows
        there = {path: value.kind for path, (_, value) in table.read().rows.items()} if table.format.typed else {}
        names = set(rows.column_names)
        paths = rows["path"].to_pylist()
        texts = rows["value"].to_pylist() if "value" in names else None
        kinds = rows["kind"].to_pylist() if "kind" in names else [there.get(path) for path in paths]
        refused: dict[int, Reason] = {}
        for at, path in enumerate(paths):
            why = table.refusal(path, texts[at], kinds[at]) if texts is not None else None
            if why is not None:
                refused[at] = refusal(why)
        return refused

    def alike(self, table: TableName, rows: pa.Table) -> list[pa.Array]:
        return [compared(None, each) for each in rows.columns]

    def execute_ddl(self, statements: Sequence[str]) -> None:
        if statements:
            raise SpecError("Documents take no DDL.", fix=_NO_TABLES)

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
        found = self._named(changes.table)
        if found is None:
            raise SpecError(f"There is no document for the table {changes.table}.", fix="plan anew.")
        name, table = found
        with self._turn, table.file.writing():
            if marker is not None and marker in table.file.markers():
                return Applied(already=True)
            with self._image({name: table}) as (connection, parts):

                def replace_document(applied: Applied) -> None:
                    rows = connection.ask(f"SELECT * FROM {quoted(name)}")  # noqa: S608 - a quoted name
                    ready = table.ready(parts[name], rows)
                    before_commit(applied)
                    table.write(parts[name], ready, marker)

                return write(connection, changes, shape, None, empty=empty, before_commit=replace_document, trial=trial)

    def applied(self, plan: str) -> set[Marker]:
        return {each for each in self._markers() if each.plan == plan}

    def writers(self, table: TableName) -> set[str]:
        return {each.writer for each in self._markers() if each.table == str(table)}

    def plans_by(self, writer: str, table: TableName) -> set[str]:
        return {each.plan for each in self._markers() if (each.writer, each.table) == (writer, str(table))}

    def _markers(self) -> list[Marker]:
        return [marker for table in self._tables().values() for marker in table.file.markers()]

    @contextmanager
    def lock(self, name: str) -> Iterator[None]:
        yield

    def close(self) -> None:
        return None


def _name_of(path: Path) -> str:
    return path.name.removeprefix(".") if path.name == ".env" else path.name.removesuffix(path.suffix)
