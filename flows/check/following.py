"""How each side can be followed, what that needs, and what it costs."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace

from flows.bind.links import whole_tables
from flows.check.findings import Assessment, SideWay
from flows.session.feeds import feed_of
from flows.session.session import Session
from transforms.vocabulary import SIDES, Notice


def with_following(found: Assessment, session: Session) -> Assessment:
    """What was found, with the ways and costs of a spec that says how it is followed; as it is for others."""
    if "follow" not in session.spec.model_fields_set:
        return found
    ways = tuple(_with_log(session, each) if each.taken else each for each in capture_ways(session))
    return replace(found, ways=ways, warnings=(*found.warnings, *_planned_whole(session)))


def _planned_whole(session: Session) -> Iterator[Notice]:
    """What following costs where keys of one side do not say which rows of the other are meant."""
    names = whole_tables(session.bound, session.spec.tables)
    tables = [session.bound.table(name) for name in names]
    if not tables:
        return
    with session.sides.target.adapter.snapshot() as snapshot:
        rows = sum(snapshot.estimate(each.there) for each in tables if not each.ddl)
    text = (
        f"{', '.join(names)}: their rows, or those of tables they hang together with, have another key on each side and go both ways. "
        f"Each batch of `sync` that has to do with one of them compares all of them whole, about {rows:,} rows of the target."
    )
    yield Notice("followed_whole", text, facts={"tables": list(names), "rows": rows})


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
