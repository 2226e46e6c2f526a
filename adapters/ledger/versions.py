"""Numbering applied plans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields, replace
from datetime import datetime

import sqlalchemy as sa

from adapters.ledger.engine import locked
from adapters.ledger.records import NewVersion
from adapters.ledger.tables import VERSIONS
from adapters.store.plans import plain


def add_versions(connection: sa.Connection, new: Sequence[NewVersion], now: datetime) -> list[int]:
    """The numbers of applied plans of one run: 1, 2, 3 without gaps in a migration. The same plan keeps the number that it has."""
    migration = new[0].migration
    locked(connection, f"versions:{migration}")
    numbers: list[int] = []
    joined = new[0].joined
    for each in new:
        number, joined = _numbered(connection, replace(each, joined=joined), now)
        numbers.append(number)
    if len(new) == 2:
        for number, other in (numbers, reversed(numbers)):
            one = VERSIONS.c.migration == migration, VERSIONS.c.version == number
            connection.execute(VERSIONS.update().where(*one).values(synchronized_with=other))
    return numbers


def _numbered(connection: sa.Connection, new: NewVersion, now: datetime) -> tuple[int, int | None]:
    """The number of an applied plan, and the first of those that it is one with."""
    ours = VERSIONS.c.migration == new.migration
    wanted = sa.select(VERSIONS.c.version, VERSIONS.c.joined).where(ours)
    known = connection.execute(wanted.where(VERSIONS.c.plan == new.plan)).first()
    if known is not None:
        return known.version, known.joined
    newest = connection.execute(wanted.order_by(VERSIONS.c.version.desc()).limit(1)).first()
    number = newest.version + 1 if newest is not None else 1
    if new.joined is not None and (newest is None or newest.joined != new.joined):
        new = replace(new, joined=number)
    row = {**{each.name: getattr(new, each.name) for each in fields(new)}, "version": number, "created_at": now}
    row |= {name: plain(row[name]) for name in ("counts", "undoes", "windows", "tree")}
    connection.execute(VERSIONS.insert().values(row))
    return number, new.joined
