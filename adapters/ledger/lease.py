"""One writer for each side of a migration: a lease in the ledger that ends by itself when its holder dies."""

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

from adapters import interrupts
from adapters.ledger.engine import LedgerEngine, locked
from adapters.ledger.tables import LEASES
from adapters.processes import is_dead, this_machine
from transforms.vocabulary import BusyError, SideName, SynclineError, of_side

log = logging.getLogger(__name__)
Clock = Callable[[], datetime]


def utc_now() -> datetime:
    return datetime.now(UTC)


@dataclass
class Lease:
    """The right to write a side of a migration, until it is released or lost."""

    migration: str
    side: SideName
    holder: str
    seconds: float
    now: Clock
    engine: LedgerEngine = field(repr=False)
    token: str = field(default_factory=lambda: uuid4().hex)
    lost: bool = False
    called: str | None = None

    @property
    def name(self) -> str:
        return of_side(self.migration, self.side)

    def check(self) -> None:
        """BusyError where the lease is not ours any more: then nothing may be written."""
        if self.lost:
            raise BusyError(
                f"The lease on {self.name} ran out and another run took it.", fix="run again when that has ended."
            )

    def renew(self) -> None:
        """Hold it for another `seconds` from now. BusyError where another holder took over."""
        moment = self.now()
        with self.engine.writing() as connection:
            mine = LEASES.update().where(*self._ours)
            done = connection.execute(mine.values(expires_at=moment + timedelta(seconds=self.seconds)))
        self.lost = done.rowcount != 1
        self.check()

    def release(self) -> None:
        """Give it back. Does nothing where it is not ours any more."""
        with self.engine.writing() as connection:
            connection.execute(LEASES.delete().where(*self._ours))

    @property
    def _ours(self) -> tuple[sa.ColumnElement[bool], ...]:
        return (*_on(self.migration, self.side), LEASES.c.token == self.token)


def _on(migration: str, side: SideName) -> tuple[sa.ColumnElement[bool], ...]:
    return LEASES.c.migration == migration, LEASES.c.side == side


def acquire(lease: Lease) -> None:
    """Take a lease, at once or not at all. BusyError names who holds it and since when.

    Leases that ran out, or whose process on this very machine is dead, are taken over.
    """
    moment = lease.now()
    row = {
        "migration": lease.migration, "side": lease.side, "token": lease.token, "holder": lease.holder,
        "host": this_machine(), "pid": os.getpid(),
        "acquired_at": moment, "expires_at": moment + timedelta(seconds=lease.seconds),
    }  # fmt: skip
    with lease.engine.writing() as connection:
        locked(connection, f"lease:{lease.name}")
        on = _on(lease.migration, lease.side)
        found = connection.execute(sa.select(LEASES).where(*on)).mappings().first()
        if found is not None:
            if found["expires_at"] > moment and not is_dead(found["host"], found["pid"]):
                raise _busy(found, lease.called or f"Migration {lease.name}")
            log.warning("Took over the lease on %s from %s, which is gone.", lease.name, found["holder"])
            connection.execute(LEASES.delete().where(*on))
        connection.execute(LEASES.insert().values(row))


def holder_since(engine: LedgerEngine, migration: str, side: SideName, moment: datetime) -> datetime | None:
    """Since when the lease is held by a process that may be alive at `moment`; None where it is free."""
    with engine.reading() as connection:
        found = connection.execute(sa.select(LEASES).where(*_on(migration, side))).mappings().first()
    if found is None or found["expires_at"] <= moment or is_dead(found["host"], found["pid"]):
        return None
    since: datetime = found["acquired_at"]
    return since


@contextmanager
def held(lease: Lease) -> Iterator[Lease]:
    """Hold a lease inside, renewing it in the background, and release it at the end."""
    done, renewing = threading.Event(), None
    try:
        with interrupts.postponed():  # what is acquired is known to be
            acquire(lease)
            renewing = threading.Thread(target=_renew, args=(lease, done), name=f"lease-{lease.name}", daemon=True)
            renewing.start()
        yield lease
    finally:
        done.set()
        if renewing is not None:
            with interrupts.postponed():
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
            log.warning("The lease on %s could not be renewed, trying again: %s", lease.name, error)


def _busy(found: Any, called: str) -> BusyError:
    since, until = (f"{found[name]:%Y-%m-%d %H:%M:%S} UTC" for name in ("acquired_at", "expires_at"))
    host = found["host"].partition("/")[0]
    return BusyError(
        f"{called} is in use by {found['holder']} (process {found['pid']} on {host}) since {since}.",
        fix=f"wait for it, or end that process; an abandoned lease ends at {until}.",
    )
