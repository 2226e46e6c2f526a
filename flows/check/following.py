"""How each side can be followed, what that needs, and what it costs."""

from __future__ import annotations

from flows.check.findings import SideWay
from flows.session.session import Session
from transforms.vocabulary import SIDES


def ways_told(session: Session) -> tuple[SideWay, ...]:
    """The ways of a spec that says how it is followed; none of others."""
    return capture_ways(session) if "follow" in session.spec.model_fields_set else ()


def capture_ways(session: Session) -> tuple[SideWay, ...]:
    """Of each side that is followed: the target only where tables go both ways."""
    sides = SIDES if session.spec.writes_source else SIDES[:1]
    follow = session.spec.follow
    return tuple(
        SideWay(side, each.way, each.way == follow.way(side), each.rights, each.writers)
        for side in sides
        for each in session.sides[side].adapter.capabilities.ways
    )
