"""How the sides of a table meet that have not agreed on anything yet."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from flows.session.route import Route


def nothing_to_choose(route: Route) -> bool:
    """Whether sides that have never met can meet in one way only: rows of one side alone go to the other as they are."""
    bound = route.table
    asked = bound.two_way is not None and bound.two_way.policy.initial == "report"
    return asked and not (route.reads.snapshot.count(bound.source) and route.writes.snapshot.count(bound.there))


def met_by_policy(route: Route) -> Route:
    """The route with a policy by which its sides meet without being asked."""
    two_way = route.table.two_way
    assert two_way is not None, "the table goes both ways"
    policy = replace(two_way.policy, initial="policy")
    return replace(route, table=replace(route.table, two_way=replace(two_way, policy=policy)))


def choices(windows: Iterable[Mapping[str, Mapping[str, int]]]) -> dict[str, dict[str, int]]:
    """What each way to meet would do with a table, by what it would with its windows; nothing where its sides have met, or are equal."""
    found: dict[str, dict[str, int]] = {}
    for window in windows:
        for choice, counts in window.items():
            known = found.setdefault(choice, dict.fromkeys(counts, 0))
            for name, rows in counts.items():
                known[name] += rows
    return found
