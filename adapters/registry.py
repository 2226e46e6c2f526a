"""Which adapter an URL names."""

from __future__ import annotations

from importlib import import_module
from typing import Any, Final, Literal, cast

from adapters.protocol import Adapter
from adapters.secrets import masked
from transforms.vocabulary import SpecError

RowSecurity = Literal["refuse", "accept"]
"""Whether rows that PostgreSQL's row-level security hides from the user are an error, or taken for not there."""

_ADAPTERS: Final[dict[str, tuple[str, str]]] = {
    "sqlite": ("adapters.sqlite.adapter", "SqliteAdapter"),
    "duckdb": ("adapters.duckdb.adapter", "DuckdbAdapter"),
    "postgresql": ("adapters.postgres.adapter", "PostgresAdapter"),
    "postgres": ("adapters.postgres.adapter", "PostgresAdapter"),
    "mysql": ("adapters.mysql.adapter", "MysqlAdapter"),
    "mariadb": ("adapters.mysql.adapter", "MysqlAdapter"),
}
_EXTRAS: Final = {"adapters.postgres.adapter": "postgres", "adapters.mysql.adapter": "mysql"}


def open_adapter(
    url: str, *, time_zone: str | None = None, create: bool = False, rls: RowSecurity = "refuse"
) -> Adapter:
    """The adapter for a URL's scheme; nothing is connected to yet.

    `time_zone`: the zone of times without one, where a range compares them with times that have one.
    `create`: the file of a target may be made. A source is never made by reading it. `rls`: see RowSecurity; other
    engines than PostgreSQL have none.
    Errors: SpecError for an unknown scheme and for an engine whose driver is not installed.
    """
    scheme, found, _ = url.partition("://")
    engine = scheme.partition("+")[0].lower()
    if not found or engine not in _ADAPTERS:
        known = ", ".join(f"{each}://" for each in _ADAPTERS)
        raise SpecError(f"No adapter knows the URL {masked(url)!r}. Fix: begin it with one of {known}.")
    module, name = _ADAPTERS[engine]
    try:
        adapter = getattr(import_module(module), name)
    except ModuleNotFoundError as error:
        extra = _EXTRAS.get(module)
        if extra is None or (error.name or "").split(".")[0] in ("adapters", "transforms"):
            raise
        raise SpecError(
            f"{engine} needs the package {error.name}, which is not installed. Fix: pip install 'syncline[{extra}]'."
        ) from error
    if engine in ("sqlite", "duckdb"):
        return cast(Adapter, adapter(url, create=create, time_zone=time_zone))
    secured: dict[str, Any] = {"rls": rls} if name == "PostgresAdapter" else {}
    return cast(Adapter, adapter(url, time_zone=time_zone, **secured))
