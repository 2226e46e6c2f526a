"""Which engine a URL names, and how it is opened."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from contextlib import AbstractContextManager
from importlib import import_module
from types import ModuleType
from typing import Any, Final, NamedTuple, cast

from adapters.feeds import poll
from adapters.feeds.channel import Channel
from adapters.feeds.feed import ChangeFeed, Watched, Way
from adapters.feeds.triggers import TriggerFeed
from adapters.protocol import RowSecurity, Source, Target
from adapters.secrets import masked
from adapters.sql.access import Access
from transforms.vocabulary import SpecError


class Engine(NamedTuple):
    """An engine's package, its adapter there, what that takes beside a URL and a time zone, and the extra that brings its
    driver. `accessible`: SQLAlchemy has a way into it, which its `access` module opens. `feeds`: the modules of its ways to tell
    which rows changed, each with a `feed(url, watched, name)`. `channel`: the module of its channels, if it has some, with a
    `channel(url, name)`.
    """

    package: str
    adapter: str
    takes: tuple[str, ...] = ()
    extra: str | None = None
    accessible: bool = True
    feeds: Mapping[Way, str] = {}
    channel: str | None = None


_POSTGRES: Final = Engine(
    "adapters.postgres", "PostgresAdapter", ("rls",), "postgres", channel="channel",
    feeds={"log": "log_feed", "trigger": "trigger_feed"},
)  # fmt: skip
_MYSQL: Final = Engine(
    "adapters.mysql", "MysqlAdapter", (), "mysql", feeds={"log": "log_feed", "trigger": "trigger_feed"}
)
_DOCUMENTS: Final = Engine("adapters.documents", "DocumentAdapter", ("create",), "documents", accessible=False)

TARGETS: Final[dict[str, Engine]] = {
    "sqlite": Engine("adapters.sqlite", "SqliteAdapter", ("create",), feeds={"trigger": "trigger_feed"}),
    "duckdb": Engine("adapters.duckdb", "DuckdbAdapter", ("create",), accessible=False),
    "parquet": Engine("adapters.parquet", "ParquetAdapter", ("create",), accessible=False),
    "postgresql": _POSTGRES,
    "postgres": _POSTGRES,
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
    **dict.fromkeys(("yaml", "json", "toml", "ini", "env"), _DOCUMENTS),
}
"""By the scheme of a URL: what is read from and written to."""

SOURCES: Final[dict[str, Engine]] = {
    kind: Engine("adapters.files", "source", accessible=False) for kind in ("parquet", "csv", "jsonl", "arrow")
}
"""By the scheme of a URL: what is only read from, or read by another adapter than it is written by."""


def open_source(url: str, *, time_zone: str | None = None, rls: RowSecurity = "refuse") -> Source:
    """What a URL names, to be read from; nothing is connected to yet, and no file is made.

    `time_zone`: the zone of times without one, where a range compares them with times that have one. `rls`: see RowSecurity;
    engines without row-level security do not look at it.
    Errors: SpecError for an unknown scheme and for an engine whose driver is not installed.
    """
    return cast(Source, _opened(url, TARGETS | SOURCES, time_zone=time_zone, rls=rls))


def open_target(url: str, *, time_zone: str | None = None, create: bool = False, rls: RowSecurity = "refuse") -> Target:
    """What a URL names, to be written to; see `open_source`. `create`: where it is a file, the first write may make it."""
    return cast(Target, _opened(url, TARGETS, time_zone=time_zone, create=create, rls=rls))


def open_access(url: str, *, rls: RowSecurity = "refuse") -> AbstractContextManager[Access] | None:
    """A read-only way into a database by SQLAlchemy, with a connection of its own; None where the engine has none."""
    engine = _engine(url, TARGETS | SOURCES)
    if not engine.accessible:
        return None
    opened = _imported(url, engine, "access").access(url, **_taken(engine, {"rls": rls}))
    return cast(AbstractContextManager[Access], opened)


def ways(url: str) -> tuple[Way, ...]:
    """The ways in which an engine can tell which rows changed, whatever its settings and the user's rights."""
    return (*_engine(url, TARGETS | SOURCES).feeds, "poll")


def open_feed(url: str, way: Way, watched: Sequence[Watched], name: str, *, time_zone: str | None = None) -> ChangeFeed:
    """What tells which rows of some tables change; nothing is connected to yet.

    `name` is that of whoever follows: two of different names never see or move each other's positions. It may be any text.
    `time_zone` is that of times without one, which a poll compares with the server's clock.
    Errors: SpecError for a way that the engine does not have.
    """
    engine = _engine(url, TARGETS | SOURCES)
    if way == "poll":
        return poll.feed(open_source(url, time_zone=time_zone), watched, time_zone=time_zone)
    if way not in engine.feeds:
        raise SpecError(
            f"{_scheme(url, TARGETS | SOURCES)} cannot be followed by {way}.",
            fix=f"write capture: {' or '.join(ways(url))}.",
        )
    return cast(ChangeFeed, _imported(url, engine, engine.feeds[way]).feed(url, watched, name))


def open_channel(url: str, name: str) -> Channel | None:
    """A channel of a database by which programs can tell something; nothing is connected to yet. None where the engine has none."""
    engine = _engine(url, TARGETS | SOURCES)
    return None if engine.channel is None else cast(Channel, _imported(url, engine, engine.channel).channel(url, name))


def open_triggers(url: str, watched: Sequence[Watched], name: str) -> TriggerFeed:
    """The feed of that name by triggers, which can be made and taken away through it; see `open_feed`."""
    return cast(TriggerFeed, open_feed(url, "trigger", watched, name))


def _opened(url: str, engines: Mapping[str, Engine], *, time_zone: str | None, **options: Any) -> Any:
    engine = _engine(url, engines)
    adapter = getattr(_imported(url, engine, "adapter"), engine.adapter)
    return adapter(url, time_zone=time_zone, **_taken(engine, options))


def _engine(url: str, engines: Mapping[str, Engine]) -> Engine:
    return engines[_scheme(url, engines)]


def _taken(engine: Engine, options: Mapping[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in options.items() if name in engine.takes}


def _scheme(url: str, known: Collection[str]) -> str:
    scheme, found, _ = url.partition("://")
    name = scheme.partition("+")[0].lower()
    if not found or name not in known:
        schemes = ", ".join(f"{each}://" for each in known)
        raise SpecError(f"No adapter knows the URL {masked(url)!r}.", fix=f"begin it with one of {schemes}.")
    return name


def _imported(url: str, engine: Engine, module: str) -> ModuleType:
    """A module of the engine's package. SpecError where its driver is not installed."""
    try:
        return import_module(f"{engine.package}.{module}")
    except ModuleNotFoundError as error:
        if engine.extra is None or (error.name or "").split(".")[0] in ("adapters", "transforms"):
            raise
        raise SpecError(
            f"{_scheme(url, TARGETS)} needs the package {error.name}, which is not installed.",
            fix=f"pip install 'syncline[{engine.extra}]'.",
        ) from error
