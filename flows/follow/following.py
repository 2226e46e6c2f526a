"""Feeds of both sides that are open, how far each is, and who is told."""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import Final

from adapters.feeds.feed import ChangeFeed, FeedLost
from adapters.ledger.ledger import Ledger
from adapters.ledger.records import Decision
from flows.follow.lag import Brought, Totals, write_metrics
from flows.follow.positions import Place
from flows.follow.waiting import Waiting
from flows.follow.watched import Watching
from flows.results.outcome import Outcome
from flows.session.meter import Meter
from flows.session.session import Session
from flows.spec.model import Spec
from transforms.vocabulary import SideName

LOOK_SECONDS: Final = 10.0  # between two looks at what a database keeps for us


@dataclass(frozen=True, slots=True)
class Asked:
    """What `sync` is to do: `once` ends when nothing is left to bring over, `seconds` after that time; else it goes on until stopped."""

    spec: Path
    once: bool = False
    seconds: float | None = None
    workers: int | None = None


class Told:
    """Is told what happens while it goes on. This one keeps silent."""

    meter: Meter | None = None

    def began(self, first: bool) -> None:
        """Feeds are open; `first`: there is no position to go on from, so both sides are compared in full."""

    def compared(self, outcome: Outcome) -> None:
        """Both sides, or some tables, were compared in full, and what differed was brought over."""

    def brought(self, brought: Brought) -> None:
        """A batch is in."""

    def notice(self, text: str) -> None:
        """Something a person may want to know."""


@dataclass(slots=True)
class Following:
    """Feeds that are open, and how far each is."""

    asked: Asked
    told: Told
    spec: Spec
    session: Session
    ledger: Ledger
    watching: Watching
    feeds: Mapping[SideName, ChangeFeed]
    places: Mapping[SideName, Place]
    totals: Totals
    deadline: float | None
    waiting: Waiting
    positions: dict[SideName, str] = field(default_factory=dict)
    held: dict[SideName, int] = field(default_factory=dict)
    looked: float = 0.0
    warned: set[SideName] = field(default_factory=set)
    decided: set[Decision] = field(default_factory=set)  # what people decided and was tried

    @property
    def workers(self) -> int:
        """How many threads a plan works on."""
        return self.asked.workers or self.spec.workers

    @property
    def over(self) -> bool:
        """Its time is up."""
        return self.deadline is not None and time.monotonic() >= self.deadline


def look_at_logs(following: Following) -> None:
    """Say where a database keeps much for us, and give it up where that is too much. FeedLost then."""
    now = time.monotonic()
    if now - following.looked < LOOK_SECONDS:
        return
    following.looked, limit = now, following.spec.follow.retained
    for side, feed in following.feeds.items():
        held = feed.held()
        if held is None:
            continue
        following.held[side] = held.size
        most = limit.most if held.most is None else min(limit.most, held.most)
        if held.size > limit.most:
            feed.remove()
            following.places[side].forget(following.ledger)
            raise FeedLost(
                f"The {side} kept {held.size:,} bytes of log for us, more than {limit.most:,}: they were given up, so that its disk "
                f"does not fill.",
                fix="follow without long pauses, or raise `follow: {retained: {most: …}}`.",
            )
        if held.size > min(limit.warn, most) and side not in following.warned:
            following.warned.add(side)
            following.told.notice(f"The {side} keeps {held.size:,} bytes of log for us; at {most:,} they are given up.")
        elif held.size <= min(limit.warn, most):
            following.warned.discard(side)


def put_figures(following: Following, at: datetime) -> None:
    if following.spec.follow.metrics is not None:
        file = following.spec.folder / following.spec.follow.metrics
        write_metrics(file, following.spec.name, following.totals, at, following.held)


def pause(following: Following, seconds: float) -> None:
    """Sleep, and not beyond the end."""
    left = seconds if following.deadline is None else min(seconds, following.deadline - time.monotonic())
    if left > 0:
        time.sleep(left)


def wait(following: Following, seconds: float) -> None:
    """Wait for something to read, as the first feed does best, and look at the others in between."""
    left = seconds if following.deadline is None else min(seconds, following.deadline - time.monotonic())
    if left <= 0:
        return
    side = next(iter(following.feeds))
    following.feeds[side].wait(following.positions[side], left)
