"""Files as a source: what a URL names is read as tables by a DuckDB in memory."""

from __future__ import annotations

import shutil
import tempfile
import threading
import weakref
from collections.abc import Iterator, Mapping, Sequence
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any, Final

import duckdb

from adapters.duckdb import catalog as shapes
from adapters.duckdb.snapshot import Session, set_up
from adapters.files import arrow, delimited, json_lines, listing, parquet
from adapters.files.address import Address, address_of
from adapters.files.capabilities import CAPABILITIES
from adapters.files.formats import Formats, formats_of
from adapters.files.listing import Files
from adapters.files.rows import Rows
from adapters.files.snapshot import FilesSnapshot, Views
from adapters.parquet.adapter import ParquetAdapter
from adapters.parquet.files import OWN
from adapters.plain_files import PlainSource
from adapters.protocol import Source
from adapters.sql.names import folded
from transforms.vocabulary import SynclineError, TableName, TableShape

MEMORY: Final = "2GB"  # of rows that are sorted or staged; what is more waits in temporary files


def source(url: str, *, time_zone: str | None = None) -> Source:
    """Files to be read. A folder of tables that Syncline wrote itself is read as it is written."""
    address = address_of(url)
    if address.kind == "parquet" and not address.remote and Path(address.path, OWN).is_dir():
        return ParquetAdapter(url, time_zone=time_zone)
    return FilesAdapter(address, time_zone=time_zone)


class Read:
    """A state of the files, read into a DuckDB in memory; what spills out of it lies in a folder of its own."""

    def __init__(self, address: Address, tables: dict[str, Files], formats: Formats) -> None:
        self._folder = tempfile.mkdtemp(prefix="syncline-files-")
        self._clear = weakref.finalize(
            self, shutil.rmtree, self._folder, ignore_errors=True
        )  # at the latest with the process
        self._root = duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": self._folder})
        if address.remote:
            self._root.register_filesystem(address.system)
        self.state = [(each.name, each.state) for each in tables.values()]
        self.users = 0
        self._address, self._formats = address, formats
        self.views = Views(self.session(), tables, self._rows)

    def session(self) -> Session:
        return Session(set_up(self._root.cursor()), self._address.url)

    def _rows(self, session: Session, table: Files) -> Rows:
        typed = {"parquet": parquet.rows, "arrow": arrow.rows}
        if read := typed.get(self._address.kind):
            return read(session, table)
        texts = {"csv": delimited.rows, "jsonl": json_lines.rows}[self._address.kind]
        return texts(session, table, self._formats.of(table.name), self._folder)

    def close(self) -> None:
        self._root.close()
        self._clear()


class FilesAdapter(PlainSource):
    """The tables of an address (see `listing.tables`). What is read of them is kept until the files change, or `close`."""

    engine = CAPABILITIES.names.engine
    capabilities = CAPABILITIES

    def __init__(self, address: Address, *, time_zone: str | None = None) -> None:
        self.url = address.url
        self._address = address
        self._formats = formats_of(address.options)
        self._zone = time_zone
        self._lock = threading.Lock()
        self._latest: Read | None = None

    @contextmanager
    def _reading(self) -> Iterator[Read]:
        """The files as they are now. Those of an earlier state are given up once nobody reads them."""
        tables = listing.tables(self._address)
        with self._lock:
            state = [(each.name, each.state) for each in tables.values()]
            if self._latest is None or self._latest.state != state:
                self._give_up()
                self._latest = Read(self._address, tables, self._formats)
            reading = self._latest
            reading.users += 1
        try:
            yield reading
        finally:
            with self._lock:
                reading.users -= 1
                if reading is not self._latest and not reading.users:
                    reading.close()

    def _give_up(self) -> None:
        if self._latest is not None and not self._latest.users:
            self._latest.close()
        self._latest = None

    def tables(self, schema: str | None = None) -> list[TableName]:
        return [TableName(name) for name in listing.tables(self._address)] if schema is None else []

    def named(self, table: TableName) -> TableName:
        fold = CAPABILITIES.names.tables
        there = listing.tables(self._address)
        own = [each for each in there if folded(each, fold) == folded(table.name, fold)]
        return TableName(own[0], table.schema) if own and table.name not in there else table

    def describe(self, table: TableName) -> TableShape | None:
        if table.schema is not None:
            return None
        with self._reading() as reading:
            rows = reading.views.rows(table.name)
            return rows.shape(table.name) if rows is not None else None

    def describe_query(self, query: str) -> TableShape:
        with self._reading() as reading, closing(reading.session()) as session:
            reading.views.named_in(query)
            return shapes.describe_query(session, query)

    @contextmanager
    def snapshot(self, token: str | None = None) -> Iterator[FilesSnapshot]:
        """The files as they are now. SnapshotLost at the end, too, where one of those that were read has changed."""
        if token is not None:
            raise SynclineError(f"{self.url}: files have no snapshots to join.", fix="read in one process.")
        with self._reading() as reading, closing(reading.session()) as session:
            mark = ", ".join(f"{name} {state}" for name, state in reading.state)
            with closing(FilesSnapshot(session, reading.views, mark, self._zone, reading.session)) as found:
                yield found
            reading.views.all_unchanged()

    def declared(self, tables: Sequence[TableName]) -> Mapping[str, Any]:
        with self._reading() as reading:
            read = {each.name: reading.views.rows(each.name) for each in tables}
        known = {name: rows.format.as_json() for name, rows in read.items() if rows is not None and rows.format}
        return {"tables": known} if known else {}

    def close(self) -> None:
        with self._lock:
            self._give_up()
