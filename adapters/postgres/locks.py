"""Advisory locks: one writer for each name, held by a session of the server."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import psycopg

from adapters.postgres.connection import Connections, driver_of
from transforms.vocabulary import BusyError

LOG: Final = logging.getLogger(__name__)

HOLDER: Final = """
SELECT a.pid, a.application_name, a.query_start
FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'advisory' AND l.granted AND l.objsubid = 1
  AND l.database = (SELECT oid FROM pg_catalog.pg_database WHERE datname = pg_catalog.current_database())
  AND (l.classid::bigint << 32) | l.objid::bigint = %s"""


@contextmanager
def held(connections: Connections, name: str) -> Iterator[None]:
    """See `Target.lock`."""
    number = lock_number(name)
    with connections.connected() as pooled:
        with connections.translated(f"Locking {name}"):
            connection = driver_of(pooled)
            got = connection.execute("SELECT pg_try_advisory_lock(%s)", [number]).fetchone()
            if got is None or not got[0]:
                raise _busy(connection, connections.url, name, number)
            connection.commit()  # the lock is the session's: no transaction stays open meanwhile
        try:
            yield
        finally:
            try:
                connection.execute("SELECT pg_advisory_unlock(%s)", [number])
                connection.commit()
            except psycopg.Error:
                LOG.warning("The lock of %s ended early: the connection that held it was lost.", name)
                pooled.invalidate()


def _busy(connection: psycopg.Connection[Any], url: str, name: str, number: int) -> BusyError:
    holder = connection.execute(HOLDER, [number]).fetchone()
    who = "a run that ended just now"
    if holder:
        who = f"application {holder[1]!r}, process {holder[0]}, since {holder[2]:%Y-%m-%d %H:%M:%S %Z}"
    return BusyError(f"{name} is held on {url} by {who}.", fix="wait until that run ends, or end it.")


def lock_number(name: str) -> int:
    """A name as an advisory lock's number, the same in every process."""
    return int.from_bytes(hashlib.blake2b(f"syncline:{name}".encode(), digest_size=8).digest(), signed=True)
