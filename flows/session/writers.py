"""Who writes a table, as its markers say: a migration by its name, and where its rows come from.

A name alone does not tell: two specs may have one, each with a ledger of its own.
"""

from __future__ import annotations

import hashlib
import json
from typing import Any, Final

import sqlalchemy as sa

from adapters.protocol import Target
from flows.session.side import Side
from flows.session.stores import ledger_of
from flows.spec.model import Spec
from transforms.vocabulary import TableName

APART: Final = " "  # no name of a migration has one
_PLACE: Final = (
    "host",
    "port",
    "service",
    "unix_socket",
    "database",
    "dbname",
)  # what of a URL's query says where it is


def writer_of(spec: Spec, reads: Side, entry: str) -> str:
    """What the markers of an entry's table say of who writes it: `shop 1c22…`, with a digest of which rows of which database they are.

    It is the same with another ledger, another user or password, and other columns. `reads` is the side that rows come from.
    """
    text = json.dumps([_place(spec, reads), _rows(spec, reads, entry)])
    return f"{spec.name}{APART}{hashlib.sha256(text.encode()).hexdigest()[:16]}"


def migration_of(writer: str) -> str:
    """The name in it; markers of earlier versions have the name alone."""
    return writer.partition(APART)[0]


def others_of(spec: Spec, reads: Side, written: Target, entry: str, table: TableName) -> tuple[set[str], bool]:
    """The names of other migrations that have written to a table, and whether one of this very name is another one.

    It is another one where it takes other rows, or those of another database, by plans that the ledger does not know of.
    """
    mine, writers = writer_of(spec, reads, entry), written.writers(table)
    names = {migration_of(each) for each in writers} - {spec.name}
    doubtful = {each for each in writers if migration_of(each) == spec.name and each not in (spec.name, mine)}
    plans = {plan for each in doubtful for plan in written.plans_by(each, table)}
    if not plans:
        return names, False
    with ledger_of(spec) as ledger:
        return names, not (ledger.there() and plans <= ledger.known_plans(spec.name, plans))


def _place(spec: Spec, side: Side) -> list[Any]:
    """Where a database is, whoever connects to it."""
    url = sa.make_url(side.address)
    asked = {name: url.query[name] for name in _PLACE if name in url.query}
    return [side.engine, url.host, url.port, url.database, asked, spec.endpoint(side.name).schema_name]


def _rows(spec: Spec, side: Side, entry: str) -> list[Any]:
    """Which rows of it an entry takes; of a table that the spec does not name, nothing is said."""
    table = spec.tables.get(entry)
    if table is None:
        return []
    if side.name == "target":
        return [str(spec.target_table(entry)), table.owns]
    return [[part.from_.table, part.from_.query, part.where] for part in table.parts]
