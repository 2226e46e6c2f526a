"""DuckDB in memory, where rows are read, compared and changed on their way from part to part: one for the process."""

from __future__ import annotations

import os
import tempfile
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from functools import cache
from itertools import count
from pathlib import Path
from typing import Final

import duckdb

from adapters.duckdb.snapshot import Session, set_up

LIMIT: Final = "2GB"  # of rows of parts at work; what is more waits in temporary files

_guard: Final = threading.Lock()
_numbers: Final = count(1)


@cache
def _memory(process: int) -> duckdb.DuckDBPyConnection:
    """That of a process: a forked one must not use its parent's. To make one takes as long as to write a window."""
    spilled = Path(tempfile.gettempdir()) / f"syncline-parquet-{process}"
    return duckdb.connect(config={"memory_limit": LIMIT, "temp_directory": str(spilled)})


@contextmanager
def opened(where: str) -> Iterator[Session]:
    """A connection with temporary tables and views of its own; `where` is what its errors speak of."""
    with _guard:
        session = Session(set_up(_memory(os.getpid()).cursor()), where)
    try:
        yield session
    finally:
        session.close()


@contextmanager
def apart(where: str) -> Iterator[Session]:
    """A connection to an empty database of its own."""
    name = f"syncline_{next(_numbers)}"
    with opened(where) as session:
        session.execute(f"ATTACH ':memory:' AS {name}")
        session.execute(f"USE {name}")
        try:
            yield session
        finally:
            session.execute("USE memory")
            session.execute(f"DETACH {name}")
