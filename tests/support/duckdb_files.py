"""DuckDB's files, looked into from outside Syncline. To make a new DuckDB for each look would take twenty times as long."""

from __future__ import annotations

import os
import threading
from collections import Counter
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from pathlib import Path

import duckdb

_guard = threading.RLock()
_attached: Counter[str] = Counter()


@cache
def _looking(_process: int) -> duckdb.DuckDBPyConnection:
    """The DuckDB that looks into files; a forked process must not use its parent's."""
    _attached.clear()
    return duckdb.connect()


@contextmanager
def opened(path: Path | str) -> Iterator[duckdb.DuckDBPyConnection]:
    """A connection to a file, under the name that it has by itself. Nobody holds the file when all of them are closed."""
    file, name = str(path), '"' + Path(path).stem.replace('"', '""') + '"'
    with _guard:
        looking = _looking(os.getpid())
        try:
            if not _attached[file]:
                looking.execute("ATTACH '{}' AS {}".format(file.replace("'", "''"), name))
            _attached[file] += 1
        except duckdb.Error:  # Syncline has it open in this process; or it is no database, which the next line says
            looking = None
    if looking is None:
        with duckdb.connect(file) as connection:
            yield connection
        return
    connection = looking.cursor()
    try:
        connection.execute(f"USE {name}")
        yield connection
    finally:
        connection.close()
        with _guard:
            _attached[file] -= 1
            if not _attached[file]:
                looking.execute(f"DETACH {name}")
