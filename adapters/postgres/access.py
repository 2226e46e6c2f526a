"""A read-only way into PostgreSQL for a library that speaks SQLAlchemy."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import sqlalchemy as sa
from psycopg.adapt import Buffer, Loader

from adapters.postgres.catalog import identified
from adapters.postgres.connection import Connections
from adapters.protocol import RowSecurity
from adapters.sql.access import Access, meaning_of, number
from transforms.vocabulary import TableName


class NumberLoader(Loader):
    def load(self, data: Buffer) -> int | float:
        return number(bytes(data).decode())


@contextmanager
def access(url: str, *, rls: RowSecurity = "refuse") -> Iterator[Access]:
    """Closed at the end. Errors: ConnectionFailed."""
    connections = Connections(url, read_only=True, rls=rls)
    sa.event.listen(
        connections.engine, "connect", lambda driver, _: driver.adapters.register_loader("numeric", NumberLoader)
    )

    def own_rows(table: TableName) -> bool:
        with connections.begin(f"Looking at {table}") as connection:
            known = identified(connection, table)
            return known is not None and known.own_rows

    try:
        with connections.connected():
            pass
        yield Access(url, connections.engine, meaning_of(connections.translated), own_rows)
    finally:
        connections.close()
