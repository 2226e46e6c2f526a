"""How each side can be followed, what that needs, and what it costs."""

from __future__ import annotations

from contextlib import closing
from dataclasses import replace

from flows.check.findings import SideWay
from flows.session.feeds import feed_of
from flows.session.session import Session
from transforms.vocabulary import SIDES


def ways_told(session: Session) -> tuple[SideWay, ...]:
    """The ways of a spec that says how it is followed; none of others."""
    if "follow" not in session.spec.model_fields_set:
        return ()
    return tuple(_with_log(session, each) if each.taken else each for each in capture_ways(session))


def _with_log(session: Session, way: SideWay) -> SideWay:
    """The same with what the database keeps for us by now."""
    if way.way != "log":
        return way
    with closing(feed_of(session, way.side, ())) as feed:
        held = feed.held()
    return way if held is None else replace(way, kept_bytes=held.size, most_bytes=held.most)


def capture_ways(session: Session) -> tuple[SideWay, ...]:
    """Of each side that is followed: the target only where tables go both ways."""
    sides = SIDES if session.spec.writes_source else SIDES[:1]
    follow = session.spec.follow
    return tuple(
        SideWay(side, each.way, each.way == follow.way(side), each.rights, each.writers)
        for side in sides
        for each in session.sides[side].adapter.capabilities.ways
    )
