"""One writer for each migration: a lease in the ledger that ends by itself when its holder dies."""

from __future__ import annotations

import logging
import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import uuid4

import sqlalchemy as sa

from adapters.ledger.engine import LedgerEngine, locked
from adapters.ledger.tables import LEASES
from adapters.processes import is_dead, this_machine
from transforms.vocabulary import BusyError, SynclineError

log = logging.getLogger(__name__)
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Lease:
    """The right to write a migration, until it is released or lost."""

    migration: str
    holder: str
    seconds: float
    now: Clock
    engine: LedgerEngine = field(repr=False)
    token: str = field(default_factory=lambda: uuid4().hex)
    lost: bool = False

    def check(self) -> None:
        """BusyError where the lease is not ours any more: then nothing may be written."""
        if self.lost:
            raise BusyError(
                f"The lease on {self.migration} ran out and another run took it. Fix: run again when that has ended."
            )

    def renew(self) -> None:
        """Hold it for another `seconds` from now. BusyError where another holder took over."""
        moment = self.now()
        with self.engine.writing() as connection:
            mine = LEASES.update().where(LEASES.c.migration == self.migration, LEASES.c.token == self.token)
            done = connection.execute(mine.values(expires_at=moment + timedelta(seconds=self.seconds)))
        self.lost = done.rowcount != 1
        self.check()

    def release(self) -> None:
        """Give it back. Does nothing where it is not ours any more."""
        with self.engine.writing() as connection:
            ours = LEASES.c.migration == self.migration, LEASES.c.token == self.token
            connection.execute(LEASES.delete().where(*ours))


def acquire(engine: LedgerEngine, migration: str, holder: str, now: Clock, seconds: float) -> Lease:
    """Take the lease, at once or not at all. BusyError names who holds it and since when.

    Leases that ran out, or whose process on this very machine is dead, are taken over.
    """
    lease = Lease(migration, holder, seconds, now, engine)
    moment = now()
    row = {
        "migration": migration, "token": lease.token, "holder": holder, "host": this_machine(), "pid": os.getpid(),
        "acquired_at": moment, "expires_at": moment + timedelta(seconds=seconds),
    }  # fmt: skip
    with engine.writing() as connection:
        locked(connection, f"lease:{migration}")
        found = connection.execute(sa.select(LEASES).where(LEASES.c.migration == migration)).mappings().first()
        if found is not None:
            if found["expires_at"] > moment and not is_dead(found["host"], found["pid"]):
                raise _busy(found)
            log.warning("Took over the lease on %s from %s, which is gone.", migration, found["holder"])
            connection.execute(LEASES.delete().where(LEASES.c.migration == migration))
        connection.execute(LEASES.insert().values(row))
    return lease


def holder_since(engine: LedgerEngine, migration: str, moment: datetime) -> datetime | None:
    """Since when the lease is held by a process that may be alive at `moment`; None where it is free."""
    with engine.reading() as connection:
        found = connection.execute(sa.select(LEASES).where(LEASES.c.migration == migration)).mappings().first()
    if found is None or found["expires_at"] <= moment or is_dead(found["host"], found["pid"]):
        return None
    since: datetime = found["acquired_at"]
    return since


@contextmanager
def held(engine: LedgerEngine, migration: str, holder: str, now: Clock, seconds: float) -> Iterator[Lease]:
    """Hold the lease inside, renewing it in the background, and release it at the end."""
    lease = acquire(engine, migration, holder, now, seconds)
    done = threading.Event()
    renewing = threading.Thread(target=_renew, args=(lease, done), name=f"lease-{migration}", daemon=True)
    renewing.start()
    try:
        yield lease
    finally:
        done.set()
        renewing.join()
        with suppress(SynclineError):  # it ends by itself; the run's own outcome matters more
            lease.release()


def _renew(lease: Lease, done: threading.Event) -> None:
    while not done.wait(lease.seconds / 3):
        try:
            lease.renew()
        except BusyError as error:
            log.error("%s", error)  # noqa: TRY400 - whoever calls check() gets the traceback
            return
        except SynclineError as error:
            log.warning("The lease on %s could not be renewed, trying again: %s", lease.migration, error)


def _busy(found: Any) -> BusyError:
    since, until = (f"{found[name]:%Y-%m-%d %H:%M:%S} UTC" for name in ("acquired_at", "expires_at"))
    host = found["host"].partition("/")[0]
    return BusyError(
        f"Migration {found['migration']} is in use by {found['holder']} "
        f"(process {found['pid']} on {host}) since {since}. "
        f"Fix: wait for it, or end that process; an abandoned lease ends at {until}."
    )
