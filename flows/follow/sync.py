"""Follow what changes, batch by batch, until it is stopped.

Feeds say which rows may have changed, a plan of those keys says what, and the plan is applied as any other: under the migration's lock,
with a version. A position moves only once its plan is in, so whatever dies in between, keys are told again and find nothing to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from datetime import UTC, datetime
from typing import Final

from adapters import interrupts
from adapters.feeds.channel import Channel
from adapters.feeds.feed import Batch, ChangeFeed, FeedLost
from flows.follow.again import decisions
from flows.follow.bring import ALTERED, PASSING, bring_over, compared, compared_whole
from flows.follow.following import Asked, Course, Following, Told, altered_unseen, due, look_at_logs, pause, wait
from flows.follow.lag import Totals
from flows.follow.named import named
from flows.follow.positions import Place, keep_burst, known_burst
from flows.follow.waiting import Waiting
from flows.follow.watched import watching
from flows.plan.thresholds import Burst
from flows.proof.drift import watched
from flows.results.outcome import Outcome
from flows.session.feeds import channel_of, feed_of
from flows.session.stores import ledger_of
from flows.spec.model import load_spec
from transforms.vocabulary import SIDES, PlanError, SideName, SpecError

AGAIN_SECONDS: Final = 2.0  # between two tries to reach a server
KEEP_SECONDS: Final = 5.0  # between two positions that nothing was read between
FOLLOWER: Final = "~follows"
"""What the lease of whoever follows a migration is called, behind its name: there is one at a time, beside those who write."""


class _Altered(Exception):
    """A table is another one than it was when both sides were opened."""


def sync(
    asked: Asked, told: Told | None = None, now: Callable[[], datetime] | None = None
) -> tuple[Outcome | None, Totals]:
    """Follow both sides. Out: what it ended with where a plan was stopped (None elsewhere), and what was done.

    Errors: SpecError where a side cannot be followed so; BusyError where somebody else follows this migration; DriftError where a
    schema changed that the spec maps; PlanError where more would be deleted than the spec allows. A server that is away is waited for.
    """
    told, clock = told or Told(), now or (lambda: datetime.now(UTC))
    spec = load_spec(asked.spec)
    deadline = None if asked.seconds is None else time.monotonic() + asked.seconds
    called = f"The follower's place of {spec.name}"
    with (
        ledger_of(spec) as ledger,
        ledger.lease(f"{spec.name}{FOLLOWER}", "target", "sync", clock, called=called),
    ):
        course = Course(asked, told, spec, ledger, clock, Totals(clock()), deadline, burst=known_burst(spec, ledger))
        while True:
            try:
                return _followed(course), course.totals
            except PASSING as error:
                if asked.once or course.over:
                    raise
                interrupts.check()
                told.notice(f"Waiting: {error}")
                asked.stop.wait(AGAIN_SECONDS)
            except PlanError:
                keep_burst(spec, ledger, course.burst)
                raise
            except _Altered:
                continue
            except FeedLost as error:
                if spec.follow.lost == "stop":
                    raise
                told.notice(f"{error} Both sides are compared in full now.")


def _followed(course: Course) -> Outcome | None:
    with _opened(course) as following:
        known = {side: place.known(course.ledger) for side, place in following.places.items()}
        first = None in known.values()
        course.told.began(first)
        if not first:
            altered = {
                side: dict.fromkeys(place.altered(course.ledger), ALTERED) for side, place in following.places.items()
            }
            if not any(altered.values()):
                return _go_on(following, known)
            outcome = compared_whole(following, altered)
            if outcome is not None:
                return outcome
            for side, position in known.items():
                following.places[side].keep(course.ledger, str(position))
            raise _Altered
        positions = {side: known[side] or feed.start() for side, feed in following.feeds.items()}
        outcome = compared(following, ())
        if outcome is not None:
            return outcome
        for side, position in positions.items():
            following.places[side].keep(course.ledger, position)
    with _opened(course) as following:  # the tables are there by now
        if "target" in positions:
            following.places["target"].keep(course.ledger, positions["target"])
        return _go_on(following, positions)


@contextmanager
def _opened(course: Course) -> Iterator[Following]:
    """Both sides bound, a feed of each that has something to tell, and what is listened to there."""
    spec = course.spec
    with ExitStack() as stack:
        session = stack.enter_context(watched(spec, (), course.told.meter, writes=True))
        seen = watching(session)
        feeds: dict[SideName, ChangeFeed] = {}
        places: dict[SideName, Place] = {}
        channels: list[Channel] = []
        for side in SIDES:
            tables, way = seen.of(side), spec.follow.way(side)
            if not tables:
                continue
            feeds[side] = feed_of(session, side, tables)
            stack.callback(feeds[side].close)
            places[side] = Place(spec, side, way, tables)
            if (channel := channel_of(session, side)) is not None:
                stack.callback(channel.close)
                channel.open()
                channels.append(channel)
        if spec.follow.listen is not None and not channels:
            raise SpecError(
                f"`listen: {spec.follow.listen}` names a channel, and no side that is followed is a PostgreSQL, which alone has such.",
                fix="leave it out, or have programs call `syncline notify`.",
                where=spec.where("follow", "listen"),
            )
        yield Following(course, session, seen, feeds, places, channels, Waiting.of(spec, course.ledger))


def _go_on(following: Following, positions: Mapping[SideName, str | None]) -> Outcome | None:
    """Batch after batch, from positions that are known of every side. Out: where a plan was stopped."""
    following.positions.update({side: position for side, position in positions.items() if position is not None})
    course, follow = following.course, following.course.spec.follow
    every, kept = follow.every.total_seconds(), time.monotonic()
    while True:
        began = time.monotonic()
        if due(following):
            look_at_logs(following)
            if altered_unseen(following):
                raise _Altered
        batches = {side: _read(following, side) for side in following.feeds}
        changes = any(batch.changes for batch in batches.values())
        decided = decisions(following.session, course.ledger, following.decided, follow.most)
        for channel in following.channels:
            course.said += channel.take(follow.most)
        said = named(course, following.session)
        busy = changes or bool(decided.tables) or bool(said.count)
        if decided.tables or said.count or any(batch.keys or batch.whole for batch in batches.values()):
            outcome = bring_over(following, batches, decided, said)
            if outcome is not None:
                return outcome
        course.said.clear()
        moved = {side: batch.position for side, batch in batches.items() if batch.position != following.positions[side]}
        whole = any(batch.whole for batch in batches.values())
        if moved and (whole or changes or began - kept > KEEP_SECONDS):
            kept = began
            for side, position in moved.items():
                following.places[side].keep(course.ledger, position)
                following.feeds[side].settle(position)
        following.positions.update(moved)
        more = any(batch.more for batch in batches.values())
        if any("altered" in batch.whole.values() for batch in batches.values()):
            raise _Altered
        if course.over or (course.asked.once and not more and not busy):
            return None
        if not more:
            _end_burst(course)
        if more or course.asked.once:
            continue
        if busy:
            pause(following, began + every - time.monotonic())
        else:
            wait(following, max(every, 0.05))


def _end_burst(course: Course) -> None:
    if course.burst.deletes:
        course.burst = Burst()
        if known_burst(course.spec, course.ledger).deletes:
            keep_burst(course.spec, course.ledger, course.burst)


def _read(following: Following, side: SideName) -> Batch:
    try:
        return following.feeds[side].read(following.positions[side], following.course.spec.follow.most)
    except FeedLost:
        following.places[side].forget(following.course.ledger)
        raise
