"""Follow what changes, batch by batch, until it is stopped.

Feeds say which rows may have changed, a plan of those keys says what, and the plan is applied as any other: under the migration's lock,
with a version. A position moves only once its plan is in, so whatever dies in between, keys are told again and find nothing to do.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from typing import Final

from adapters import interrupts
from adapters.feeds.feed import Batch, ChangeFeed, FeedLost, WhyWhole
from adapters.ledger.ledger import Ledger
from flows import commands
from flows.apply.load import Loading
from flows.follow.again import decisions, held_back, whole_tables
from flows.follow.following import Asked, Following, Told, look_at_logs, pause, put_figures, wait
from flows.follow.lag import Brought, Totals
from flows.follow.positions import Place
from flows.follow.waiting import Waiting
from flows.follow.watched import watching
from flows.history.recover import recover
from flows.plan.request import Request, new_run_id, spelled
from flows.plan.trees.changed import Changed
from flows.plan.trees.chosen_tree import Trees
from flows.plan.two_way.parts import NotMet
from flows.proof.drift import watched
from flows.results.outcome import Outcome, Status
from flows.session.feeds import feed_of
from flows.session.locking import sole_writer
from flows.session.retry import GaveUp
from flows.session.stores import ledger_of
from flows.spec.model import Spec, load_spec
from transforms.vocabulary import (
    SIDES,
    BusyError,
    ConnectionFailed,
    Counts,
    SideName,
    SynclineError,
    TableName,
    TransientError,
)

PASSING: Final = (TransientError, ConnectionFailed, GaveUp)
"""What a server that restarts makes of whoever follows it: it is waited for."""

AGAIN_SECONDS: Final = 2.0  # between two tries to reach a server
BUSY_SECONDS: Final = 600.0  # that a batch waits for another command to end
KEEP_SECONDS: Final = 5.0  # between two positions that nothing was read between
FOLLOWER: Final = "~follows"
"""What the lease of whoever follows a migration is called, behind its name: there is one at a time, beside those who write."""

WHY_WHOLE: Final[Mapping[WhyWhole, str]] = {
    "truncated": "its rows went all at once",
    "altered": "its definition changed",
    "unseen": "the feed cannot tell what happened to it",
}


class _Altered(Exception):
    """A table is another one than it was when both sides were opened."""


def sync(
    asked: Asked, told: Told | None = None, now: Callable[[], datetime] | None = None
) -> tuple[Outcome | None, Totals]:
    """Follow both sides. Out: what it ended with where a plan was stopped (None elsewhere), and what was done.

    Errors: SpecError where a side cannot be followed so; BusyError where somebody else follows this migration; DriftError where a
    schema changed that the spec maps. A server that is away is waited for.
    """
    told, clock = told or Told(), now or (lambda: datetime.now(UTC))
    spec, totals = load_spec(asked.spec), Totals(clock())
    deadline = None if asked.seconds is None else time.monotonic() + asked.seconds
    with ledger_of(spec) as ledger, ledger.lease(f"{spec.name}{FOLLOWER}", "target", "sync", clock):
        while True:
            try:
                return _followed(asked, told, spec, ledger, totals, deadline, clock), totals
            except PASSING as error:
                if asked.once or (deadline is not None and time.monotonic() >= deadline):
                    raise
                interrupts.check()
                told.notice(f"Waiting: {error}")
                time.sleep(AGAIN_SECONDS)
            except _Altered:
                continue
            except FeedLost as error:
                if spec.follow.lost == "stop":
                    raise
                told.notice(f"{error} Both sides are compared in full now.")


def _followed(
    asked: Asked,
    told: Told,
    spec: Spec,
    ledger: Ledger,
    totals: Totals,
    deadline: float | None,
    clock: Callable[[], datetime],
) -> Outcome | None:
    with _opened(asked, told, spec, ledger, totals, deadline) as following:
        known = {side: place.known(ledger) for side, place in following.places.items()}
        first = None in known.values()
        told.began(first)
        if not first:
            return _go_on(following, known, clock)
        positions = {side: known[side] or feed.start() for side, feed in following.feeds.items()}
        outcome = _compared(following, (), clock)
        if outcome is not None:
            return outcome
        for side, position in positions.items():
            following.places[side].keep(ledger, position)
    with _opened(asked, told, spec, ledger, totals, deadline) as following:  # the tables are there by now
        return _go_on(following, positions, clock)


@contextmanager
def _opened(
    asked: Asked, told: Told, spec: Spec, ledger: Ledger, totals: Totals, deadline: float | None
) -> Iterator[Following]:
    """Both sides bound, and a feed of each that has something to tell."""
    with ExitStack() as stack:
        session = stack.enter_context(watched(spec, (), told.meter, writes=True))
        seen = watching(session)
        feeds: dict[SideName, ChangeFeed] = {}
        places: dict[SideName, Place] = {}
        for side in SIDES:
            tables, way = seen.of(side), spec.follow.way(side)
            if not tables:
                continue
            feeds[side] = feed_of(session, side, tables)
            stack.callback(feeds[side].close)
            places[side] = Place(spec, side, way, tables)
        yield Following(
            asked, told, spec, session, ledger, seen, feeds, places, totals, deadline, Waiting.of(spec, ledger)
        )


def _compared(following: Following, tables: tuple[str, ...], clock: Callable[[], datetime]) -> Outcome | None:
    """Compare some tables, or all, and bring over what differs. Out: where a plan was stopped."""
    spec, at = following.spec, clock()
    request = Request(
        spec,
        new_run_id(at),
        at,
        tables=tables,
        workers=following.workers,
        wait=BUSY_SECONDS,
        full=True,
    )
    outcome = commands.run(request, meter=following.told.meter, message="sync: compared in full", now=clock)
    following.told.compared(outcome)
    if _stopped(outcome):
        return outcome
    following.waiting.compared(outcome, tables)
    return None


def _stopped(outcome: Outcome) -> bool:
    """Whether a plan was not brought over, for the good of the target."""
    return outcome.status not in (Status.DONE, Status.CONFLICTS)


def _go_on(
    following: Following, positions: Mapping[SideName, str | None], clock: Callable[[], datetime]
) -> Outcome | None:
    """Batch after batch, from positions that are known of every side. Out: where a plan was stopped."""
    following.positions.update({side: position for side, position in positions.items() if position is not None})
    every, kept = following.spec.follow.every.total_seconds(), time.monotonic()
    while True:
        began = time.monotonic()
        look_at_logs(following)
        batches = {side: _read(following, side) for side in following.feeds}
        changes: dict[SideName, int] = {side: batch.changes for side, batch in batches.items()}
        decided = decisions(following.session, following.ledger, following.decided, following.spec.follow.most)
        busy = any(changes.values()) or bool(decided.tables)
        if decided.tables or any(batch.keys or batch.whole for batch in batches.values()):
            outcome = _bring_over(following, batches, decided, changes, clock)
            if outcome is not None:
                return outcome
        moved = {side: batch.position for side, batch in batches.items() if batch.position != following.positions[side]}
        whole = any(batch.whole for batch in batches.values())
        if moved and (whole or any(changes.values()) or began - kept > KEEP_SECONDS):
            kept = began
            for side, position in moved.items():
                following.places[side].keep(following.ledger, position)
                following.feeds[side].settle(position)
        following.positions.update(moved)
        more = any(batch.more for batch in batches.values())
        if any("altered" in batch.whole.values() for batch in batches.values()):
            raise _Altered
        if following.over or (following.asked.once and not more and not busy):
            return None
        if more:
            continue
        if busy:
            pause(following, began + every - time.monotonic())
        else:
            wait(following, max(every, 0.05))


def _read(following: Following, side: SideName) -> Batch:
    try:
        return following.feeds[side].read(following.positions[side], following.spec.follow.most)
    except FeedLost:
        following.places[side].forget(following.ledger)
        raise


def _bring_over(
    following: Following,
    batches: Mapping[SideName, Batch],
    decided: Changed,
    changes: Mapping[SideName, int],
    clock: Callable[[], datetime],
) -> Outcome | None:
    """Plan the keys of all sides, and of rows that people decided about, and apply the plan. Out: where it was stopped."""
    read = clock()
    whole = _whole(following, {side: batch.whole for side, batch in batches.items()})
    if whole:
        outcome = _compared(following, whole, clock)
        if outcome is not None:
            return outcome
    told = [following.watching.changed(side, batch.keys) for side, batch in batches.items()]
    done: list[Outcome] = []
    try:
        for some in _steps(following, Changed.together([*told, decided])):
            done += _brought_over(following, some, clock)
            if _stopped(done[-1]):
                break
    except NotMet as error:
        following.told.notice(f"{error.what} Both sides are compared in full now.")
        outcome = _compared(following, (), clock)
        if outcome is not None:
            return outcome
    if done and _stopped(done[-1]):
        return done[-1]
    at, reports = clock(), [outcome.report for outcome in done]
    oldest = min((batch.since for batch in batches.values() if batch.since is not None), default=read)
    brought = Brought(
        at,
        changes,
        sum((report.total for report in reports), Counts()),
        sum((told.back for report in reports for told in report.of_spec if told.back is not None), Counts()),
        max(0.0, (at - min(oldest, read)).total_seconds()),
        max((report.version for report in reports if report.version is not None), default=None),
        reports[-1].total.quarantined if reports else 0,
        max((report.total.conflicts for report in reports), default=0),
        whole,
    )
    following.totals.add(brought)
    following.told.brought(brought)
    put_figures(following, at)
    return None


def _whole(following: Following, told: Mapping[SideName, Mapping[TableName, WhyWhole]]) -> tuple[str, ...]:
    """The tables of the spec that have to be compared whole. DriftError where a schema changed that they map, FeedLost where the spec
    would rather stop."""
    names: dict[str, None] = {}
    for side, tables in told.items():
        for table, why in tables.items():
            text = f"The {side}'s {table} has to be compared in full: {WHY_WHOLE[why]}."
            if following.spec.follow.lost == "stop":
                raise FeedLost(text, fix="run the migration, then follow again; or write `lost: compare`.")
            following.told.notice(text)
            names.update(dict.fromkeys(following.watching.tables_of(side, [table])))
    return tuple(names)


def _steps(following: Following, changed: Changed) -> Iterator[Changed | tuple[str, ...]]:
    """What is planned in turn: keys, about as many as a plan is made of, and tables that are planned whole."""
    whole = whole_tables(following.session.bound, changed.tables)
    if whole:
        yield whole
    few = changed.only(changed.tables.difference(whole))
    order = [bound.name for bound in following.session.bound.tables]
    if few.tables:
        yield from few.slices(following.spec.follow.most, order)


def _brought_over(
    following: Following, some: Changed | tuple[str, ...], clock: Callable[[], datetime]
) -> Iterator[Outcome]:
    """Plan keys, or whole tables, and apply the plan; then once more rows that others stood against: these may be other ones by now.
    Ends where a plan was stopped."""
    with _writing(following, clock) as loading:
        for asked in _asked(following, some, clock):
            done = commands.bring_over(spelled(asked, following.session), loading)
            if _stopped(done):
                yield done
                return
            noted = following.waiting.tried if asked.keys is not None else following.waiting.brought
            noted(done)
            yield done


def _asked(
    following: Following, some: Changed | tuple[str, ...], clock: Callable[[], datetime]
) -> Iterator[Request]:  # fmt: skip
    session, most = following.session, following.spec.follow.most
    if isinstance(some, tuple):
        yield replace(_request(following, clock), tables=some, full=True)
        return
    yield replace(_request(following, clock), trees=_trees(some))
    whole = whole_tables(session.bound, session.spec.tables)
    by_keys = tuple(name for name in session.spec.tables if name not in whole)
    waiting = following.waiting.again(_request(following, clock), most, by_keys)
    if waiting is not None:
        yield waiting
    held = held_back(session, following.ledger, most).only(by_keys)
    if held.tables:
        yield replace(_request(following, clock), trees=_trees(held))


def _trees(changed: Changed) -> Trees:
    return Trees((), with_parents=True, gone=True, changed=changed)


def _request(following: Following, clock: Callable[[], datetime]) -> Request:
    at = clock()
    asked = Request(following.spec, new_run_id(at), at, workers=following.workers, live=True)
    return spelled(asked, following.session)


@contextmanager
def _writing(following: Following, clock: Callable[[], datetime]) -> Iterator[Loading]:
    """Hold both sides for a batch. DriftError, rather than what came of it, where a schema changed that the spec maps."""
    session, spec, ledger = following.session, following.spec, following.ledger
    try:
        with sole_writer(session, ledger, "sync", clock, BUSY_SECONDS, session.sides.writable) as writing:
            _, loading = recover(Loading(writing, ledger, None, following.workers, "sync"), clock())
            yield loading
    except (*PASSING, BusyError):
        raise
    except SynclineError:
        with watched(spec, (), writes=True):
            raise
