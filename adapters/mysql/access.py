"""A read-only way into MariaDB and MySQL for a library that speaks SQLAlchemy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from pymysql.constants import FIELD_TYPE

from adapters.mysql.connection import Connection, Connections, run
from adapters.sql.access import Access, meaning_of, number


@contextmanager
def access(url: str) -> Iterator[Access]:
    """Closed at the end. Errors: ConnectionFailed."""
    connections = Connections(url, read_only=True)

    def connect() -> Connection:
        connection = connections.take()
        run(connection, "SET SESSION character_set_results = utf8mb4")  # texts are read here, not copied
        run(connection, "SET SESSION TRANSACTION READ ONLY")
        connection.decoders |= {FIELD_TYPE.DECIMAL: number, FIELD_TYPE.NEWDECIMAL: number}
        return connection

    engine = sa.create_engine("mysql+pymysql://", creator=connect)
    try:
        with connections.connected():
            pass
        yield Access(url, engine, meaning_of(connections.translated))
    finally:
        engine.dispose()
        connections.close()
