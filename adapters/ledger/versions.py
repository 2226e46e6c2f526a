"""Numbering applied plans."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import fields
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
    numbers = [_numbered(connection, each, now) for each in new]
    if len(new) == 2:
        for number, other in (numbers, reversed(numbers)):
            one = VERSIONS.c.migration == migration, VERSIONS.c.version == number
            connection.execute(VERSIONS.update().where(*one).values(synchronized_with=other))
    return numbers


def _numbered(connection: sa.Connection, new: NewVersion, now: datetime) -> int:
    ours = VERSIONS.c.migration == new.migration
    known = connection.scalar(sa.select(VERSIONS.c.version).where(ours, VERSIONS.c.plan == new.plan))
    if known is not None:
        return int(known)
    number = int(connection.scalar(sa.select(sa.func.max(VERSIONS.c.version)).where(ours)) or 0) + 1
    row = {**{each.name: getattr(new, each.name) for each in fields(new)}, "version": number, "created_at": now}
    row |= {name: plain(row[name]) for name in ("counts", "undoes", "windows", "tree")}
    connection.execute(VERSIONS.insert().values(row))
    return number
