"""Follow several clients or targets of a spec at once, each on a thread: one that ends, or is away, keeps no other from going on."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from contextvars import copy_context
from dataclasses import dataclass, replace
from typing import Final

from adapters import interrupts
from flows.follow.following import Asked, Told
from flows.follow.lag import Totals
from flows.follow.sync import sync
from flows.results.outcome import Outcome, Status
from flows.session.members import Chosen, away
from flows.spec.members import going_over
from transforms.vocabulary import SynclineError

JOIN_SECONDS: Final = 0.2
ENDING_SECONDS: Final = (
    5.0  # that batches have to end in where a signal came; what dies then goes on with the next start
)


@dataclass(frozen=True, slots=True)
class Ended:
    """How following one ended: with a plan that was stopped, with an error, or since it was away; else it came to its end."""

    totals: Totals | None = None
    outcome: Outcome | None = None
    error: Exception | None = None
    away: str = ""

    @property
    def status(self) -> Status:
        if self.outcome is not None:
            return self.outcome.status
        return Status.ERROR if self.error is not None else Status.DONE


def sync_each(asked: Asked, some: Chosen, told: Callable[[str], Told]) -> Mapping[str, Ended]:
    """Follow some clients or targets of a spec until all have ended. In: `told` makes, by name, who is told of one.

    One that is away is waited for, and with `once` passed over. An error of one is told as a notice, and the others go on.
    """
    ended: dict[str, Ended] = {}
    asked = replace(asked, stop=threading.Event())

    def follow(name: str, ears: Told) -> None:
        ended[name] = _followed(asked, some, name, ears)

    with going_over(some.spec, some.family):
        threads = [
            threading.Thread(
                target=copy_context().run, args=(follow, name, told(name)), name=f"sync {name}", daemon=True
            )
            for name in some.names
        ]
    started = []
    try:
        for thread in threads:
            with interrupts.postponed():
                thread.start()
                started.append(thread)
        while any(thread.is_alive() for thread in threads):
            for thread in threads:
                thread.join(JOIN_SECONDS)
    finally:
        asked.stop.set()
        for thread in started:
            thread.join(ENDING_SECONDS / len(threads))
    return {name: ended.get(name, Ended(error=RuntimeError("it ended without a word"))) for name in some.names}


def _followed(asked: Asked, some: Chosen, name: str, told: Told) -> Ended:
    try:
        if asked.once and (why := away(some, name)):
            told.notice(f"It is away, and catches up when it is back: {why}")
            return Ended(away=why)
        outcome, totals = sync(replace(asked, spec=some.own(name)), told)
    except Exception as error:  # whatever it is: it is this one's
        text = str(error) if isinstance(error, SynclineError) else f"{type(error).__name__}: {error}"
        told.notice(f"error: {text}")
        return Ended(error=error)
    if outcome is not None:
        told.notice(f"error: sync stopped. {outcome.message}")
    return Ended(totals, outcome)
