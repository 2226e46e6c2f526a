"""A read-only way into a SQLite file for a library that speaks SQLAlchemy."""

from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import contextmanager
from urllib.parse import quote

import sqlalchemy as sa

from adapters.sql.access import Access
from adapters.sql.staged_apply import file_of, must_exist
from adapters.sqlite.connection import BUSY_TIMEOUT_MS, translated


@contextmanager
def access(url: str) -> Iterator[Access]:
    """Closed at the end. Errors: ConnectionFailed where there is no such file."""
    path = file_of(url)
    must_exist(path, create=False)
    uri = f"file:{quote(str(path.absolute()))}?mode=ro"

    def connect() -> sqlite3.Connection:
        return sqlite3.connect(uri, uri=True, timeout=BUSY_TIMEOUT_MS / 1000)

    engine = sa.create_engine("sqlite://", creator=connect, poolclass=sa.StaticPool)
    try:
        yield Access(url, engine, lambda error, _: translated(error, path))
    finally:
        engine.dispose()
