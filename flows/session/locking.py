"""One writer for each side of a migration: the ledger's lease of it, and its own lock where its engine has one."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import AbstractContextManager, ExitStack, contextmanager
from dataclasses import replace
from datetime import datetime
from functools import partial
from typing import Final, TypeVar

from adapters.ledger.ledger import Ledger
from flows.session.retry import retried
from flows.session.session import Guard, Session
from transforms.vocabulary import SIDES, BusyError, SideName, of_side

Held = TypeVar("Held")

AGAIN_SECONDS: Final = 0.5
GRACE_SECONDS: Final = 5.0  # in which a server notices that the process that held its lock is dead


@contextmanager
def sole_writer(
    session: Session,
    ledger: Ledger,
    run_id: str,
    now: Callable[[], datetime],
    wait: float,
    sides: Sequence[SideName] = ("target",),
) -> Iterator[Session]:
    """Be the only one who writes these sides of the migration inside. BusyError says who else does, and since when, after `wait`
    seconds.

    The session inside holds them: windows ask before each commit whether the lease of their side still holds.
    """
    name, guards = session.spec.name, dict[SideName, Guard]()
    with ExitStack() as stack:
        for side in (each for each in SIDES if each in sides):  # in one order, so that no two wait for each other
            lease = partial(ledger.lease, name, side, run_id, now)
            guards[side] = _patient(session, wait, lease, stack).check
            # with the lease in hand, whoever holds the lock is about to end, or knows another ledger
            lock = partial(session.sides.written(side).adapter.lock, of_side(name, side))
            _patient(session, max(wait, GRACE_SECONDS), lock, stack)
        yield replace(session, guards=guards)


def _patient(
    session: Session, wait: float, entered: Callable[[], AbstractContextManager[Held]], stack: ExitStack
) -> Held:
    deadline = time.monotonic() + wait
    told = wait <= GRACE_SECONDS
    while True:
        try:
            return retried(lambda: stack.enter_context(entered()))
        except BusyError as error:
            if time.monotonic() >= deadline:
                raise
            if not told:
                session.meter.notice(f"Waiting up to {wait:.0f} s: {error}")
                told = True
            time.sleep(AGAIN_SECONDS)
