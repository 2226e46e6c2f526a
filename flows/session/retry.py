"""What is tried again: faults that may pass, a few times and with growing pauses. Everything else ends at once.

Three things are tried again, each of which leaves nothing behind where it fails: a window (a transaction, or files that
are written anew), a step of the run's own that can be repeated, and planning as a whole where its snapshot is lost.
"""

from __future__ import annotations

import logging
import random
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Final, TypeVar

from adapters import interrupts
from transforms.vocabulary import SnapshotLost, SynclineError, TransientError

LOG: Final = logging.getLogger(__name__)

Result = TypeVar("Result")


class GaveUp(SynclineError):
    """A fault that may pass did not. The cause is the last one; whoever sees it does not try again."""

    code = "gave_up"


@dataclass(frozen=True, slots=True)
class Policy:
    """How often something is tried in all, and how long the pauses between are, in seconds.

    The first pause is `pause` long and each one is twice the one before it, up to `jitter` of it longer by chance: those
    that met in a deadlock do not meet again.
    """

    attempts: int = 6
    pause: float = 0.5  # 0.5, 1, 2, 4, 8: 15 to 23 s in all, and a server that restarts takes some
    jitter: float = 0.5
    sleep: Callable[[float], None] = time.sleep
    chance: Callable[[], float] = random.random

    def pauses(self) -> Iterator[float]:
        for number in range(self.attempts - 1):
            yield self.pause * 2**number * (1 + self.jitter * self.chance())


POLICY: Final = Policy()
ONCE: Final = Policy(attempts=1)


def retried(
    work: Callable[[], Result],
    policy: Policy | None = None,
    *,
    renewed: bool = False,
    before_again: Callable[[], None] | None = None,
) -> Result:
    """The result of `work`, which is safe to repeat: called again as long as it ends in a fault that may pass.

    A lost snapshot is such a fault only where `work` opens one of its own (`renewed`). `before_again` is called ahead of
    every further try. Errors: GaveUp behind the last of several tries; every other error at once.
    """
    policy = policy or POLICY
    for number, pause in enumerate(policy.pauses(), 2):
        try:
            return work()
        except TransientError as error:
            interrupts.check()
            if isinstance(error, SnapshotLost) and not renewed:
                raise
            LOG.warning("Trying again in %.1f s (%d of %d): %s", pause, number, policy.attempts, error)
        policy.sleep(pause)
        if before_again is not None:
            before_again()
    try:
        return work()
    except TransientError as error:
        if policy.attempts == 1 or (isinstance(error, SnapshotLost) and not renewed):
            raise
        raise gave_up(error, policy.attempts) from error


def gave_up(error: TransientError, attempts: int) -> GaveUp:
    """What is said where the last of several tries ended in `error`."""
    fix = error.fix or "see to the server, then run again; no window is half done."
    what = error.what if error.fix else f"{error.what.rstrip('.')}."
    return GaveUp(f"Tried {attempts} times: {what}", fix=fix)
