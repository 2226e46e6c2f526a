"""Files as a source: what a URL names is read as tables by a DuckDB in memory."""

from __future__ import annotations

import shutil
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Final

import duckdb

from adapters.duckdb import catalog as shapes
from adapters.duckdb.snapshot import Session, set_up
from adapters.files import listing, parquet
from adapters.files.address import Address, address_of
from adapters.files.capabilities import CAPABILITIES
from adapters.files.listing import Files
from adapters.files.snapshot import FilesSnapshot, Read, Views
from adapters.parquet.adapter import ParquetAdapter
from adapters.parquet.files import OWN
from adapters.protocol import Source
from adapters.sql.names import folded
from transforms.vocabulary import Design, SynclineError, TableName, TableShape
from transforms.vocabulary.features import Feature

MEMORY: Final = "2GB"  # of rows that are sorted or staged; what is more waits in temporary files
_READERS: Final[dict[str, Read]] = {"parquet": parquet.rows}


def source(url: str, *, time_zone: str | None = None) -> Source:
    """Files to be read. A folder of tables that Syncline wrote itself is read as it is written."""
    address = address_of(url)
    if address.kind == "parquet" and not address.remote and Path(address.path, OWN).is_dir():
        return ParquetAdapter(url, time_zone=time_zone)
    return FilesAdapter(address, time_zone=time_zone)


class FilesAdapter:
    """The tables of an address (see `listing.tables`). Nothing is kept open between calls."""

    engine = CAPABILITIES.names.engine
    capabilities = CAPABILITIES

    def __init__(self, address: Address, *, time_zone: str | None = None) -> None:
        self.url = address.url
        self._address = address
        self._zone = time_zone
        self._lock = threading.Lock()
        self._known: dict[tuple[str, str], TableShape] = {}

    @contextmanager
    def _views(self) -> Iterator[Views]:
        """A DuckDB of its own, and what spills out of its memory, until the end."""
        spilled = tempfile.mkdtemp(prefix="syncline-files-")
        try:
            with duckdb.connect(config={"memory_limit": MEMORY, "temp_directory": spilled}) as root:
                if self._address.remote:
                    root.register_filesystem(self._address.system)
                session = Session(set_up(root.cursor()), self.url)
                try:
                    yield Views(session, listing.tables(self._address), _READERS[self._address.kind])
                finally:
                    session.close()
        finally:
            shutil.rmtree(spilled, ignore_errors=True)

    def tables(self, schema: str | None = None) -> list[TableName]:
        return [TableName(name) for name in listing.tables(self._address)] if schema is None else []

    def named(self, table: TableName) -> TableName:
        fold = CAPABILITIES.names.tables
        there = listing.tables(self._address)
        own = [each for each in there if folded(each, fold) == folded(table.name, fold)]
        return TableName(own[0], table.schema) if own and table.name not in there else table

    def describe(self, table: TableName) -> TableShape | None:
        found = listing.tables(self._address).get(table.name) if table.schema is None else None
        if found is None:
            return None
        known = (found.name, found.state)
        with self._lock:
            if known not in self._known:
                self._known[known] = self._described(found)
            return self._known[known]

    def _described(self, table: Files) -> TableShape:
        with self._views() as views:
            rows = views.rows(table.name)
            assert rows is not None
            return rows.shape(table.name)

    def describe_query(self, query: str) -> TableShape:
        with self._views() as views:
            views.named_in(query)
            return shapes.describe_query(views.session, query)

    @contextmanager
    def snapshot(self, token: str | None = None) -> Iterator[FilesSnapshot]:
        """The files as they are now. SnapshotLost at the end, too, where one of those that were read has changed."""
        if token is not None:
            raise SynclineError(f"{self.url}: files have no snapshots to join.", fix="read in one process.")
        with self._views() as views:
            mark = ", ".join(f"{each.name} {each.state}" for each in views.tables.values())
            yield FilesSnapshot(views, mark, self._zone)
            views.all_unchanged()

    def design(self, table: TableName) -> Design:
        return Design()

    def referrers(self, table: TableName) -> list[TableName]:
        return []

    def besides(self, schema: str | None = None) -> list[Feature]:
        return []

    def usual_zone(self) -> str | None:
        return None

    def close(self) -> None:
        """Nothing is open."""
