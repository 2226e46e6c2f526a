"""Feeds of both sides that are open, how far each is, and who is told."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from threading import Event
from typing import Final

from adapters.feeds.channel import Channel
from adapters.feeds.feed import ChangeFeed, FeedLost
from adapters.ledger.ledger import Ledger
from adapters.ledger.records import Decision
from flows.follow.lag import Brought, Totals, write_metrics
from flows.follow.positions import Place, shape_digest
from flows.follow.waiting import Waiting
from flows.follow.watched import Watching
from flows.plan.thresholds import Burst
from flows.results.outcome import Outcome
from flows.session.meter import Meter
from flows.session.session import Session
from flows.spec.follow import Versions
from flows.spec.model import Spec
from transforms.vocabulary import SideName

STOP_SECONDS: Final = 1.0  # between two looks whether to stop
LISTEN_SECONDS: Final = 0.05  # to channels, before feeds are asked again
LOOK_SECONDS: Final = 10.0  # between two looks at what a database keeps for us


@dataclass(frozen=True, slots=True)
class Asked:
    """What `sync` is to do: `once` ends when nothing is left to bring over, `seconds` after that time; else it goes on until stopped.
    `allow_deletes`: whatever share of a table is deleted. `stop`: it ends behind the batch that it is at once this is set.
    """

    spec: Path
    once: bool = False
    seconds: float | None = None
    workers: int | None = None
    allow_deletes: bool = False
    stop: Event = field(default_factory=Event)


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
class Joins:
    """Which version the versions of batches are one with: `first` since a moment, by `time.monotonic`."""

    first: int = 0
    since: float = 0.0

    def now(self, versions: Versions | None) -> int | None:
        """What the next version is one with, as `NewVersion.joined` has it."""
        if versions is None:
            return None
        if time.monotonic() - self.since >= versions.every.total_seconds():
            self.first = 0
        return self.first

    def made(self, first: int | None) -> None:
        """A version was made that is one with this one."""
        if first is not None and first != self.first:
            self.first, self.since = first, time.monotonic()


@dataclass(slots=True)
class Course:
    """Whoever follows, from the start to the end, whatever is opened anew in between. `said` was heard on channels and is not brought
    over yet, `burst` is what was deleted since feeds had nothing more to tell, `joins` says which batches are one version."""

    asked: Asked
    told: Told
    spec: Spec
    ledger: Ledger
    clock: Callable[[], datetime]
    totals: Totals
    deadline: float | None
    said: list[str] = field(default_factory=list)
    burst: Burst = field(default_factory=Burst)
    joins: Joins = field(default_factory=Joins)

    @property
    def workers(self) -> int:
        """How many threads a plan works on."""
        return self.asked.workers or self.spec.workers

    @property
    def over(self) -> bool:
        """Its time is up, or it was told to stop."""
        return self.asked.stop.is_set() or (self.deadline is not None and time.monotonic() >= self.deadline)

    def left(self, seconds: float) -> float:
        """So many seconds, and not beyond the end."""
        if self.asked.stop.is_set():
            return 0.0
        return seconds if self.deadline is None else min(seconds, self.deadline - time.monotonic())


@dataclass(slots=True)
class Following:
    """Feeds that are open, and how far each is."""

    course: Course
    session: Session
    watching: Watching
    feeds: Mapping[SideName, ChangeFeed]
    places: Mapping[SideName, Place]
    channels: Sequence[Channel]
    waiting: Waiting
    positions: dict[SideName, str] = field(default_factory=dict)
    held: dict[SideName, int] = field(default_factory=dict)
    looked: float = 0.0
    warned: set[SideName] = field(default_factory=set)
    decided: set[Decision] = field(default_factory=set)  # what people decided and was tried


def due(following: Following) -> bool:
    """Whether it is time to look at what is looked at now and then."""
    return time.monotonic() - following.looked >= LOOK_SECONDS


def altered_unseen(following: Following) -> bool:
    """Whether a table of a side that is polled is another one than when it was opened: no poll tells."""
    for side in following.feeds:
        if following.course.spec.follow.way(side) != "poll":
            continue
        for each in following.watching.of(side):
            shape = following.session.sides[side].adapter.describe(each.table)
            if shape is None or shape_digest(shape) != shape_digest(each.shape):
                return True
    return False


def look_at_logs(following: Following) -> None:
    """Say where a database keeps much for us, and give it up where that is too much. FeedLost then."""
    now = time.monotonic()
    following.looked, limit = now, following.course.spec.follow.retained
    for side, feed in following.feeds.items():
        held = feed.held()
        if held is None:
            continue
        following.held[side] = held.size
        most = limit.most if held.most is None else min(limit.most, held.most)
        if held.size > limit.most:
            feed.remove()
            following.places[side].forget(following.course.ledger)
            raise FeedLost(
                f"The {side} kept {held.size:,} bytes of log for us, more than {limit.most:,}: they were given up, so that its disk "
                f"does not fill.",
                fix="follow without long pauses, or raise `follow: {retained: {most: …}}`.",
            )
        if held.size > min(limit.warn, most) and side not in following.warned:
            following.warned.add(side)
            following.course.told.notice(
                f"The {side} keeps {held.size:,} bytes of log for us; at {most:,} they are given up."
            )
        elif held.size <= min(limit.warn, most):
            following.warned.discard(side)


def put_figures(following: Following, at: datetime) -> None:
    if following.course.spec.follow.metrics is not None:
        file = following.course.spec.folder / following.course.spec.follow.metrics
        write_metrics(file, following.course.spec.name, following.course.totals, at, following.held)


def pause(following: Following, seconds: float) -> None:
    """Gather what changes, until something is said on a channel, and not beyond the end."""
    ends = time.monotonic() + following.course.left(seconds)
    while (left := ends - time.monotonic()) > 0:
        if not following.channels:
            following.course.asked.stop.wait(left)
            return
        if _said(following, left):
            return


def wait(following: Following, seconds: float) -> None:
    """Wait for something to read, as the first feed does best, or for what is said on a channel; others are looked at in between."""
    side, left = next(iter(following.feeds)), following.course.left(seconds)
    feed, position = following.feeds[side], following.positions[side]
    ends = time.monotonic() + left
    while (left := ends - time.monotonic()) > 0 and not following.course.over:
        if not following.channels:
            if feed.wait(position, min(left, STOP_SECONDS)) or feed.way == "poll":  # which does not know
                return
        elif _said(following, left) or feed.wait(position, 0):
            return


def _said(following: Following, seconds: float) -> bool:
    """Whether something is said on a channel, as soon as it is, and after LISTEN_SECONDS at the latest."""
    first, *others = following.channels
    return first.wait(min(seconds, LISTEN_SECONDS)) or any(each.wait(0) for each in others)
