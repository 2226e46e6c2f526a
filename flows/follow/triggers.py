"""What sides are followed by: triggers that are there or missing, what a database keeps for us, and the statements that make it
and take it away.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, field
from typing import Any

from adapters.feeds.feed import ChangeFeed, Keeping, Watched, Way
from adapters.feeds.triggers import TriggerFeed
from adapters.registry import open_feed, open_triggers, ways
from flows.check.findings import SideWay
from flows.check.following import capture_ways
from flows.follow.watched import watching
from flows.proof.drift import watched
from flows.session.feeds import feed_name, feed_of
from flows.session.session import Session, connect
from flows.spec.model import Spec
from transforms.vocabulary import SIDES, SideName, SpecError


@dataclass(frozen=True, slots=True)
class Statements:
    """What is to be run on a side, of one way of following it. `url` is without the password."""

    side: SideName
    url: str
    statements: tuple[str, ...]
    way: Way = "trigger"

    def as_dict(self) -> dict[str, Any]:
        return {"side": self.side, "url": self.url, "statements": list(self.statements)}


@dataclass(frozen=True, slots=True)
class TableStatus:
    """A table that is watched, by which columns, and whether its triggers are there; None where they are not asked for."""

    table: str
    columns: tuple[str, ...]
    installed: bool | None


@dataclass(frozen=True, slots=True)
class SideStatus:
    """How a side is followed, and how much log it keeps for that, in bytes: that of its triggers, or its own."""

    side: SideName
    url: str
    way: str
    tables: tuple[TableStatus, ...]
    kept: int | None

    def as_dict(self) -> dict[str, Any]:
        tables = [
            {"table": each.table, "columns": list(each.columns), "installed": each.installed} for each in self.tables
        ]
        return {"side": self.side, "url": self.url, "capture": self.way, "tables": tables, "kept_bytes": self.kept}


@dataclass(frozen=True, slots=True)
class Triggers:
    """The sides of a migration with the feeds by which their triggers are made and taken away, and those by whose logs something
    may be kept.
    """

    feeds: Mapping[SideName, TriggerFeed]
    urls: Mapping[SideName, str]
    logs: Mapping[SideName, ChangeFeed] = field(default_factory=dict)

    def installing(self) -> list[Statements]:
        """What is missing, by side; nothing where all is there."""
        return self._of({side: feed.installing() for side, feed in self.feeds.items()})

    def uninstalling(self) -> list[Statements]:
        """What is there, by side, of tables that the spec names no more, too, and what a database keeps of its log for us."""
        kept = [(side, feed.removing()) for side, feed in self.logs.items() if isinstance(feed, Keeping)]
        logs = [Statements(side, self.urls[side], tuple(each), "log") for side, each in kept if each]
        return [*self._of({side: feed.uninstalling() for side, feed in self.feeds.items()}), *logs]

    def _of(self, found: Mapping[SideName, Sequence[str]]) -> list[Statements]:
        return [Statements(side, self.urls[side], tuple(each)) for side, each in found.items() if each]

    def execute(self, planned: Sequence[Statements]) -> None:
        """Run them, side by side. SpecError where the user may not."""
        for each in planned:
            if each.way == "log":
                self.logs[each.side].remove()
            else:
                self.feeds[each.side].execute(each.statements)


@contextmanager
def to_install(spec: Spec, side: SideName | None) -> Iterator[Triggers]:
    """The sides that the spec follows by triggers, or the one that is named, with the tables that are watched there.

    SpecError where there is none, where the engine has no triggers, and where the spec does not fit the schemas.
    """
    with watched(spec, (), writes=False) as session, ExitStack() as stack:
        seen = watching(session)
        chosen = [side] if side else [each for each in SIDES if session.spec.follow.way(each) == "trigger"]
        feeds = {each: seen.of(each) for each in chosen if seen.of(each)}
        if not feeds:
            what = f"nothing of the {side} is followed" if side else "no side is followed by triggers"
            raise SpecError(f"{spec.name}: {what}.", fix="write `follow: {capture: trigger}` in the spec, or --side.")
        yield Triggers(
            {each: _opened(stack, spec, session, each, tables) for each, tables in feeds.items()},
            {each: session.sides[each].url for each in feeds},
        )


@contextmanager
def to_uninstall(spec: Spec, side: SideName | None) -> Iterator[Triggers]:
    """Both sides, or the one that is named, as far as their engines have triggers; the spec need not fit the schemas any more."""
    with connect(spec) as session, ExitStack() as stack:
        sides: list[SideName] = [side] if side else list(SIDES)
        addresses = {each: session.sides[each].address for each in sides}
        logs: dict[SideName, ChangeFeed] = {
            each: open_feed(address, "log", (), feed_name(spec, each))
            for each, address in addresses.items()
            if "log" in ways(address)
        }
        for feed in logs.values():
            stack.callback(feed.close)
        yield Triggers(
            {each: _opened(stack, spec, session, each, ()) for each in sides if "trigger" in ways(addresses[each])},
            {each: session.sides[each].url for each in sides},
            logs,
        )


def status(spec: Spec, side: SideName | None) -> tuple[list[SideStatus], tuple[SideWay, ...]]:
    """How each side is followed that has something to tell, and how it could be."""
    with watched(spec, (), writes=False) as session, ExitStack() as stack:
        seen = watching(session)
        sides = [each for each in ([side] if side else SIDES) if seen.of(each)]
        found = [_status(stack, spec, session, each, seen.of(each)) for each in sides]
        return found, tuple(each for each in capture_ways(session) if each.side in sides)


def _status(stack: ExitStack, spec: Spec, session: Session, side: SideName, tables: Sequence[Watched]) -> SideStatus:
    opened, way = session.sides[side], spec.follow.way(side)
    feed = _opened(stack, spec, session, side, tables) if way == "trigger" else None
    missing = feed.missing() if feed else ()
    asked = feed or feed_of(session, side, tables)
    stack.callback(asked.close)
    held = asked.held()
    lines = [TableStatus(str(each.table), each.columns, each.table not in missing if feed else None) for each in tables]
    return SideStatus(side, opened.url, way, tuple(lines), held.size if held else None)


def _opened(stack: ExitStack, spec: Spec, session: Session, side: SideName, tables: Sequence[Watched]) -> TriggerFeed:
    feed = open_triggers(session.sides[side].address, tables, feed_name(spec, side))
    stack.callback(feed.close)
    return feed
