"""Named locks: one writer for each name, held by a connection to the server."""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Final

import pymysql

from adapters.mysql.connection import Connection, Connections, drop, rows
from transforms.vocabulary import BusyError

LOG: Final = logging.getLogger(__name__)

LOCK: Final = "SELECT GET_LOCK(%s, 0)"
HOLDER: Final = """
SELECT p.ID, p.USER, p.HOST FROM information_schema.PROCESSLIST p WHERE p.ID = IS_USED_LOCK(%s)"""


@contextmanager
def held(connections: Connections, name: str) -> Iterator[None]:
    """See `Target.lock`."""
    with connections.translated(f"Locking {name}"):
        connection = connections.take()
        try:
            ((got,),) = rows(connection, LOCK, [_lock_name(name)])
            if not got:
                raise _busy(connection, connections.url, name)  # noqa: TRY301
        except BaseException:
            drop(connection)
            raise
    try:
        yield
    finally:
        try:
            ((still,),) = rows(connection, "SELECT RELEASE_LOCK(%s)", [_lock_name(name)])
        except (pymysql.Error, OSError):
            still = None
        if still:
            connections.give_back(connection)
        else:
            LOG.warning("The lock of %s ended early: the connection that held it was lost.", name)
            drop(connection)


def _busy(connection: Connection, url: str, name: str) -> BusyError:
    holder = rows(connection, HOLDER, [_lock_name(name)])
    who = "a run that ended just now"
    if holder:
        who = "connection {}, user {} from {}".format(*holder[0])
    return BusyError(f"{name} is held on {url} by {who}.", fix="wait until that run ends, or end it.")


def _lock_name(name: str) -> str:
    """A named lock's name: the same in every process, and not longer than 64 characters."""
    return "syncline:" + hashlib.blake2b(name.encode(), digest_size=20).hexdigest()
