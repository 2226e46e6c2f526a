"""One writer for each migration: the ledger's lease, and the target's own lock where it has one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from typing import Final, TypeVar

from adapters.ledger.ledger import Ledger
from flows.session.retry import retried
from flows.session.session import Session
from transforms.vocabulary import BusyError

Held = TypeVar("Held")

AGAIN_SECONDS: Final = 0.5
GRACE_SECONDS: Final = 5.0  # in which a server notices that the process that held its lock is dead


@contextmanager
def sole_writer(
    session: Session, ledger: Ledger, run_id: str, now: Callable[[], datetime], wait: float
) -> Iterator[Session]:
    """Be the only one who writes the migration inside. BusyError says who else does, and since when, after `wait` seconds.

    The session inside has the lease's guard: windows ask it before each commit whether the lease still holds.
    """
    with ExitStack() as stack:
        lease = _patient(
            session,
            wait,
            lambda: retried(lambda: stack.enter_context(ledger.lease(session.spec.name, "target", run_id, now))),
        )
        # with the lease in hand, whoever holds the lock is about to end, or knows another ledger
        _patient(
            session,
            max(wait, GRACE_SECONDS),
            lambda: retried(lambda: stack.enter_context(session.sides.target.adapter.lock(session.spec.name))),
        )
        yield replace(session, guard=lease.check)


def _patient(session: Session, wait: float, enter: Callable[[], Held]) -> Held:
    deadline = time.monotonic() + wait
    told = wait <= GRACE_SECONDS
    while True:
        try:
            return enter()
        except BusyError as error:
            if time.monotonic() >= deadline:
                raise
            if not told:
                session.meter.notice(f"Waiting up to {wait:.0f} s: {error}")
                told = True
            time.sleep(AGAIN_SECONDS)
