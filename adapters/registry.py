"""Which engine a URL names, and how it is opened."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final, NamedTuple, cast

from adapters.protocol import RowSecurity, Source, Target
from adapters.secrets import masked
from transforms.vocabulary import SpecError


class Engine(NamedTuple):
    """Where an engine's adapter is, what it takes beside a URL and a time zone, and the extra that brings its driver."""

    module: str
    adapter: str
    takes: tuple[str, ...] = ()
    extra: str | None = None


_POSTGRES: Final = Engine("adapters.postgres.adapter", "PostgresAdapter", ("rls",), "postgres")
_MYSQL: Final = Engine("adapters.mysql.adapter", "MysqlAdapter", (), "mysql")

TARGETS: Final[dict[str, Engine]] = {
    "sqlite": Engine("adapters.sqlite.adapter", "SqliteAdapter", ("create",)),
    "duckdb": Engine("adapters.duckdb.adapter", "DuckdbAdapter", ("create",)),
    "postgresql": _POSTGRES,
    "postgres": _POSTGRES,
    "mysql": _MYSQL,
    "mariadb": _MYSQL,
}
"""By the scheme of a URL: what is read from and written to."""

SOURCES: Final[dict[str, Engine]] = {}
"""By the scheme of a URL: what is only read from."""


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


def _opened(url: str, engines: dict[str, Engine], *, time_zone: str | None, **options: Any) -> Any:
    scheme, found, _ = url.partition("://")
    name = scheme.partition("+")[0].lower()
    if not found or name not in engines:
        known = ", ".join(f"{each}://" for each in engines)
        raise SpecError(f"No adapter knows the URL {masked(url)!r}. Fix: begin it with one of {known}.")
    engine = engines[name]
    try:
        adapter = getattr(import_module(engine.module), engine.adapter)
    except ModuleNotFoundError as error:
        if engine.extra is None or (error.name or "").split(".")[0] in ("adapters", "transforms"):
            raise
        raise SpecError(
            f"{name} needs the package {error.name}, which is not installed. Fix: pip install 'syncline[{engine.extra}]'."
        ) from error
    return adapter(url, time_zone=time_zone, **{each: options[each] for each in engine.takes if each in options})
