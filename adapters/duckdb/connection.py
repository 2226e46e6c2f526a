"""A DuckDB file and its cursors, and an empty database in memory for what must not touch it."""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path
from typing import Final

import duckdb

from adapters.duckdb.refusals import translated
from adapters.duckdb.snapshot import set_up
from adapters.sql.staged_apply import must_exist
from transforms.vocabulary import ConnectionFailed

_guard: Final = threading.Lock()
_trying: Final = threading.Lock()


@cache
def _empty() -> duckdb.DuckDBPyConnection:
    """An empty database that a process keeps: each new one takes 25 ms. What is done in it is rolled back."""
    return duckdb.connect()


def _nowhere() -> duckdb.DuckDBPyConnection:
    """A cursor of the empty database."""
    with _guard:
        return _empty().cursor()


class Files:
    """The file at `path`, opened when it is needed, until `close`. `create`: the first write makes it."""

    def __init__(self, path: Path, *, create: bool) -> None:
        self.path = path
        self._create = create
        self._lock = threading.Lock()
        self._root: duckdb.DuckDBPyConnection | None = None

    def cursor(self, *, write: bool) -> duckdb.DuckDBPyConnection:
        """A cursor of its own. Errors: ConnectionFailed where the file is another process's, or none of DuckDB's."""
        with self._lock:
            if self._root is None:
                must_exist(self.path, create=self._create)
                if not write and not self.path.exists():
                    return set_up(_nowhere())  # nothing is there yet, and reading does not make it
                writable = not self.path.exists() or os.access(self.path, os.W_OK)
                try:
                    self._root = duckdb.connect(str(self.path), read_only=not writable)
                except duckdb.Error as error:
                    failure = translated(error, str(self.path))
                    raise ConnectionFailed(str(failure)) from error
            return set_up(self._root.cursor())

    @contextmanager
    def trial(self) -> Iterator[duckdb.DuckDBPyConnection]:
        """A cursor of an empty database, whose transaction is rolled back: one at a time."""
        with _trying, _nowhere() as cursor:
            cursor.execute("BEGIN TRANSACTION")
            try:
                yield cursor
            finally:
                cursor.execute("ROLLBACK")

    def close(self) -> None:
        """Let go of the file. Idempotent."""
        with self._lock:
            if self._root is not None:
                self._root.close()
            self._root = None
