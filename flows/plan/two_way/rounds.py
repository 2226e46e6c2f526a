"""Several projections of one table of the source: which tables a run brings together at once, and which one after the other.

Each projection meets its origin by itself, as clients meet their server: what one brings to it, the next one finds there. So an edit on one
reaches the others in the same run, and two edits of one column are a conflict like any other. All else goes along each time, so that
whatever refers to rows of a projection, or is referred to, has them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from flows.bind.tables import BoundTable
from flows.plan.build import selected
from flows.plan.request import Request
from flows.results.tables import Report
from flows.session.session import Session
from transforms.vocabulary import Notice


def projections(tables: Sequence[BoundTable]) -> dict[str, tuple[str, ...]]:
    """The origins that several two-way tables are made of, each with the names of these, in their order."""
    found: dict[str, tuple[str, ...]] = {}
    for bound in tables:
        if bound.two_way is not None:
            origin = str(bound.source)
            found[origin] = (*found.get(origin, ()), bound.name)
    return {origin: names for origin, names in found.items() if len(names) > 1}


def rounds(request: Request, session: Session) -> tuple[Request, ...]:
    """The requests that a request comes to, one after the other: itself where no two tables share an origin."""
    tables = selected(request, session)
    shared = projections(tables)
    if not shared:
        return (request,)
    parts = []
    for number in range(max(map(len, shared.values()))):
        left_out = {name for names in shared.values() for name in names if name != names[min(number, len(names) - 1)]}
        parts.append(tuple(bound.name for bound in tables if bound.name not in left_out))
    return tuple(_numbered(request, number, names) for number, names in enumerate(dict.fromkeys(parts)))


def again(request: Request, session: Session, parts: Sequence[Request], done: Sequence[Report]) -> tuple[Request, ...]:
    """The rounds that have to be done once more, since later ones brought something to their origins."""
    shared = projections(selected(request, session))
    origin_of = {name: origin for origin, names in shared.items() for name in names}
    changed: set[str] = set()
    late: list[Request] = []
    for part, report in reversed(list(zip(parts, done, strict=True))):
        if any(origin_of.get(name) in changed for name in part.tables):
            late.append(part)
        changed |= {
            origin_of[told.name]
            for told in report.tables
            if told.name in origin_of and told.back is not None and told.back.changes
        }
    return tuple(_numbered(request, len(parts) + number, part.tables) for number, part in enumerate(reversed(late)))


def _numbered(request: Request, number: int, names: tuple[str, ...]) -> Request:
    return replace(request, run_id=f"{request.run_id}-{number:04d}", tables=names)


def in_turn(request: Request, session: Session) -> tuple[Notice, ...]:
    """What a plan says that covers some of the projections alone."""
    return tuple(
        Notice(
            "projections_in_turn",
            f"{', '.join(names)} are made of the source's {origin}: a run brings them together with it one after the other, and this plan "
            f"the first of them.",
            facts={"origin": origin, "tables": list(names)},
        )
        for origin, names in projections(selected(request, session)).items()
    )
