"""Feeds of changes as a spec opens them."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import closing

from adapters.feeds.channel import Channel
from adapters.feeds.feed import ChangeFeed, Watched
from adapters.registry import open_channel, open_feed
from flows.session.session import Session
from flows.session.side import both_open
from flows.spec.model import Spec
from transforms.vocabulary import SIDES, SideName


def feed_name(spec: Spec, side: SideName) -> str:
    """As whom a side's feed knows the migration."""
    return f"{spec.name} {side}"


def feed_of(session: Session, side: SideName, tables: Sequence[Watched]) -> ChangeFeed:
    """The feed by which the spec says that a side is followed; nothing is connected to yet."""
    opened, spec = session.sides[side], session.spec
    way, name = spec.follow.way(side), feed_name(spec, side)
    return open_feed(opened.address, way, tables, name, time_zone=opened.time_zone)


def say(spec: Spec, texts: Sequence[str]) -> bool:
    """Tell whoever follows, on the channel that the spec says is listened to. Whether there is one."""
    name = spec.follow.listen
    with both_open(spec) as sides:
        for side in SIDES if spec.writes_source else SIDES[:1]:
            channel = None if name is None else open_channel(sides[side].address, name)
            if channel is not None:
                with closing(channel):
                    channel.say(texts)
                return True
    return False


def channel_of(session: Session, side: SideName) -> Channel | None:
    """The channel of a side that the spec says is listened to; nothing is connected to yet. None where there is none."""
    name = session.spec.follow.listen
    return None if name is None else open_channel(session.sides[side].address, name)
