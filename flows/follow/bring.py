"""Bring over what feeds told of: plans of keys, and of tables that are compared whole, each applied under the migration's lock."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import replace
from typing import Final

from adapters.feeds.feed import Batch, FeedLost, WhyWhole
from flows import commands
from flows.apply.load import Loading
from flows.bind.links import whole_tables
from flows.follow.again import held_back
from flows.follow.following import Following, put_figures
from flows.follow.lag import Brought
from flows.follow.named import Named
from flows.history.recover import recover
from flows.plan.request import Request, new_run_id, spelled
from flows.plan.trees.changed import Changed
from flows.plan.trees.chosen_tree import Trees
from flows.plan.two_way.parts import NotMet
from flows.proof.drift import watched
from flows.results.outcome import Outcome, Status
from flows.session.locking import sole_writer
from flows.session.retry import GaveUp
from transforms.vocabulary import (
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

BUSY_SECONDS: Final = 600.0  # that a batch waits for another command to end

WHY_WHOLE: Final[Mapping[WhyWhole, str]] = {
    "truncated": "its rows went all at once",
    "altered": "its definition changed",
    "unseen": "the feed cannot tell what happened to it",
}

ALTERED: Final[WhyWhole] = "altered"

Step = Changed | Trees | tuple[str, ...]
"""What one plan is made of: keys that may have changed, rows that somebody named, or tables that are planned whole."""


def compared(following: Following, tables: tuple[str, ...]) -> Outcome | None:
    """Compare some tables, or all, and bring over what differs. Out: where a plan was stopped."""
    spec, at = following.course.spec, following.course.clock()
    request = Request(
        spec,
        new_run_id(at),
        at,
        tables=tables,
        workers=following.course.workers,
        wait=BUSY_SECONDS,
        full=True,
        hooks=False,
        allow_deletes=following.course.asked.allow_deletes,
    )
    outcome = commands.run(
        request, meter=following.course.told.meter, message="sync: compared in full", now=following.course.clock
    )
    following.course.told.compared(outcome)
    if _stopped(outcome):
        return outcome
    following.waiting.compared(outcome, tables)
    return None


def _stopped(outcome: Outcome) -> bool:
    """Whether a plan was not brought over, for the good of the target."""
    return outcome.status not in (Status.DONE, Status.CONFLICTS)


def bring_over(
    following: Following, batches: Mapping[SideName, Batch], decided: Changed, named: Named
) -> Outcome | None:
    """Plan the keys of all sides, and rows that people decided about or that somebody named, and apply the plans. Out: where one was
    stopped."""
    read = following.course.clock()
    whole = _whole(following, {side: batch.whole for side, batch in batches.items()})
    if whole and (outcome := compared(following, whole)) is not None:
        return outcome
    told = [following.watching.changed(side, batch.keys) for side, batch in batches.items()]
    done: list[Outcome] = []
    try:
        for some in _steps(following, Changed.together([*told, decided]), named):
            done += _brought_over(following, some)
            if _stopped(done[-1]):
                break
    except NotMet as error:
        following.course.told.notice(f"{error.what} Both sides are compared in full now.")
        outcome = compared(following, ())
        if outcome is not None:
            return outcome
    if done and _stopped(done[-1]):
        return done[-1]
    at, reports = following.course.clock(), [outcome.report for outcome in done]
    oldest = min((batch.since for batch in batches.values() if batch.since is not None), default=read)
    brought = Brought(
        at,
        {side: batch.changes for side, batch in batches.items()},
        sum((report.total for report in reports), Counts()),
        sum((told.back for report in reports for told in report.of_spec if told.back is not None), Counts()),
        max(0.0, (at - min(oldest, read)).total_seconds()),
        max((report.version for report in reports if report.version is not None), default=None),
        reports[-1].total.quarantined if reports else 0,
        max((report.total.conflicts for report in reports), default=0),
        whole,
        named.count,
        sum(each.facts["keys"] for report in reports for each in report.warnings if each.code == "unmapped_keys"),
    )
    following.course.totals.add(brought)
    following.course.told.brought(brought)
    put_figures(following, at)
    return None


def compared_whole(following: Following, told: Mapping[SideName, Mapping[TableName, WhyWhole]]) -> Outcome | None:
    """Compare what has to do with tables of both sides. Out: where a plan was stopped. Errors: as of `_whole`."""
    whole = _whole(following, told)
    return compared(following, whole) if whole else None


def _whole(following: Following, told: Mapping[SideName, Mapping[TableName, WhyWhole]]) -> tuple[str, ...]:
    """The tables of the spec that have to be compared whole. DriftError where a schema changed that they map, FeedLost where the spec
    would rather stop."""
    names: dict[str, None] = {}
    for side, tables in told.items():
        for table, why in tables.items():
            text = f"The {side}'s {table} has to be compared in full: {WHY_WHOLE[why]}."
            if following.course.spec.follow.lost == "stop":
                raise FeedLost(text, fix="run the migration, then follow again; or write `lost: compare`.")
            following.course.told.notice(text)
            names.update(dict.fromkeys(following.watching.tables_of(side, [table])))
    return tuple(names)


def _steps(following: Following, changed: Changed, named: Named) -> Iterator[Step]:
    """What is planned in turn: keys and rows, about as many as a plan is made of, and tables that are planned whole."""
    bound, most = following.session.bound, following.course.spec.follow.most
    whole = whole_tables(bound, changed.tables | named.all_tables)
    if asked := {*whole, *named.tables}:
        yield tuple(each.name for each in bound.tables if each.name in asked)
    few = changed.only(changed.tables.difference(asked))
    if few.tables:
        yield from few.slices(most, [each.name for each in bound.tables])
    roots = [root for root in named.roots if root.table not in asked]
    for start in range(0, len(roots), most):
        yield Trees(tuple(roots[start : start + most]), with_parents=True, gone=True)


def _brought_over(following: Following, some: Step) -> Iterator[Outcome]:
    """Plan keys, or whole tables, and apply the plan; then once more rows that others stood against: these may be other ones by now.
    Ends where a plan was stopped."""
    with _writing(following) as loading:
        for asked in _asked(following, some):
            done = commands.bring_over(spelled(asked, following.session), loading)
            if _stopped(done):
                yield done
                return
            noted = following.waiting.tried if asked.keys is not None else following.waiting.brought
            noted(done)
            _count_deletes(following, done)
            if loading.joins is not None and done.report.version is not None:
                made = following.course.ledger.version(following.course.spec.name, done.report.version)
                following.course.joins.made(made.joined if made is not None else None)
                loading = replace(loading, joins=following.course.joins.first)
            yield done


def _count_deletes(following: Following, done: Outcome) -> None:
    for told in done.report.of_spec:
        following.course.burst.add("target", told.name, told.counts.delete)
        if told.back is not None:
            following.course.burst.add("source", told.name, told.back.delete)


def _asked(following: Following, some: Step) -> Iterator[Request]:
    session, most = following.session, following.course.spec.follow.most
    if isinstance(some, tuple):
        yield replace(_request(following), tables=some, full=True)
        return
    yield replace(_request(following), trees=some if isinstance(some, Trees) else _trees(some))
    whole = whole_tables(session.bound, session.spec.tables)
    by_keys = tuple(name for name in session.spec.tables if name not in whole)
    waiting = following.waiting.again(_request(following), most, by_keys)
    if waiting is not None:
        yield waiting
    held = held_back(session, following.course.ledger, most).only(by_keys)
    if held.tables:
        yield replace(_request(following), trees=_trees(held))


def _trees(changed: Changed) -> Trees:
    return Trees((), with_parents=True, gone=True, changed=changed)


def _request(following: Following) -> Request:
    at = following.course.clock()
    course = following.course
    asked = Request(
        course.spec,
        new_run_id(at),
        at,
        workers=course.workers,
        live=True,
        hooks=False,
        burst=course.burst,
        allow_deletes=course.asked.allow_deletes,
    )
    return spelled(asked, following.session)


@contextmanager
def _writing(following: Following) -> Iterator[Loading]:
    """Hold both sides for a batch. DriftError, rather than what came of it, where a schema changed that the spec maps."""
    session, spec, ledger = following.session, following.course.spec, following.course.ledger
    try:
        with sole_writer(
            session, ledger, "sync", following.course.clock, BUSY_SECONDS, session.sides.writable
        ) as writing:
            course = following.course
            _, loading = recover(Loading(writing, ledger, None, course.workers, "sync"), course.clock())
            yield replace(loading, joins=course.joins.now(spec.follow.versions))
    except (*PASSING, BusyError):
        raise
    except SynclineError:
        with watched(spec, (), writes=True):
            raise
