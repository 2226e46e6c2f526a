"""What is compared: a table, a view or a query behind a URL."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

from adapters.protocol import Snapshot, Source
from adapters.registry import open_source
from adapters.secrets import masked
from flows.session.retry import retried
from flows.spec.problems import meant
from flows.spec.tables import table_name
from flows.spec.urls import Url, resolve_url
from transforms.vocabulary import Relation, SpecError, SynclineError, TableName, TableShape

HOW: Final = "write URL#table, URL#schema.table or 'URL#(SELECT …)'."

_QUERY: Final = re.compile(
    r"(?P<url>.*?)#\((?P<query>[\s(]*(?:select|with|values|from|table)\b.*)\)", re.DOTALL | re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Endpoint:
    """One side as it was asked for: where it is, and which table or query; neither where the URL is to have one table alone."""

    url: str = field(repr=False)
    table: TableName | None = None
    query: str | None = None

    @property
    def address(self) -> str:
        """The URL to connect to, with its password: relative files lie in the working folder."""
        return resolve_url(Url(self.url, Path()))

    @property
    def shown(self) -> str:
        """The URL without its password."""
        return masked(self.url)

    def of(self, table: TableName | None) -> str:
        """What is read, as people read it."""
        return f"{self.shown}#{f'({self.query})' if table is None else table}"


@dataclass(frozen=True, slots=True)
class Opened:
    """One side with its adapter, what it looks like, and what is read; `snapshot` while it is read."""

    shown: str
    adapter: Source
    shape: TableShape
    relation: Relation
    snapshot: Snapshot | None = None


def endpoint(text: str, query: str | None = None) -> Endpoint:
    """Take apart what a command line says: `URL#table` or `URL#(SELECT …)`. `query` is that of a URL that names neither.

    The name begins behind the last #, a query behind the first # that a parenthesis and the beginning of one follow. A password may
    have a # in it, too. SpecError for what is neither.
    """
    whole = text.strip()
    if (query_in := _QUERY.fullmatch(whole)) is not None:
        return Endpoint(_url(query_in["url"]), query=query_in["query"])
    address, found, name = whole.rpartition("#")
    if not found or ("@" in name and not name.startswith('"')):
        return Endpoint(_url(whole), query=query)
    try:
        return Endpoint(_url(address), table_name(name))
    except ValueError as error:
        raise SpecError(f"{error}.", fix=HOW) from error


def _url(text: str) -> str:
    if "://" not in text:
        raise SpecError(f"{masked(text)!r} is no URL.", fix=HOW)
    return text


@contextmanager
def opened(asked: Endpoint, where: str | None, time_zone: str | None) -> Iterator[Opened]:
    """The adapter of a side, closed at the end, and what it looks like. SpecError where there is no such table."""
    adapter = open_source(asked.address, time_zone=time_zone)
    try:
        try:
            shape, relation = retried(lambda: _described(asked, adapter, where))
        except SynclineError as error:
            if asked.query is not None and not error.fix:
                error.fix = f"correct the query, which is SQL of {adapter.engine}: {asked.query}"
            raise
        yield Opened(asked.of(relation.table), adapter, shape, relation)
    finally:
        adapter.close()


def _described(asked: Endpoint, adapter: Source, where: str | None) -> tuple[TableShape, Relation]:
    if asked.query is not None:
        return adapter.describe_query(asked.query), Relation(query=asked.query, where=where)
    table = asked.table or _only_table(asked, adapter)
    named = adapter.named(table)
    shape = adapter.describe(named)
    if shape is None:
        there = {str(each) for each in adapter.tables(table.schema)}
        known = meant(table.name, there) if there else "It has no tables."
        raise SpecError(f"{asked.shown} has no table {table}. {known}", fix=HOW)
    return shape, Relation(named, where=where)


def _only_table(asked: Endpoint, adapter: Source) -> TableName:
    tables = adapter.tables()
    if len(tables) != 1:
        has = f"it has {', '.join(map(str, tables))}" if tables else "it has no tables"
        raise SpecError(f"{asked.shown} names no table; {has}.", fix=HOW)
    return tables[0]
