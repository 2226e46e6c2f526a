"""Ledgers of earlier formats become today's: a step for each format, in one transaction, as alembic operations."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Final

import sqlalchemy as sa

from adapters.ledger.tables import BASES, FORMAT, VERSIONS

if TYPE_CHECKING:
    from alembic.operations import Operations

Step = Callable[["Operations", str | None], None]


def upgrade(connection: sa.Connection, found: int, schema: str | None) -> None:
    """Bring a ledger of format `found` to today's, inside the caller's transaction."""
    from alembic.migration import MigrationContext
    from alembic.operations import Operations

    operations = Operations(MigrationContext.configure(connection))
    for number in range(found, FORMAT):
        STEPS[number](operations, schema)


def _with_history(operations: Operations, schema: str | None) -> None:
    """1 to 2: versions say what they are, and tables have a base. The windows that nobody read are gone."""
    for name in ("side", "kind", "undoes", "made_mark", "windows", "kept"):
        operations.add_column("versions", sa.Column(name, VERSIONS.c[name].type), schema=schema)
    versions = sa.table("versions", sa.column("side"), sa.column("kind"), schema=schema)
    operations.execute(sa.update(versions).values(side="target", kind="run"))
    columns = [sa.Column(c.name, c.type, primary_key=c.primary_key, nullable=c.nullable) for c in BASES.columns]
    operations.create_table("bases", *columns, schema=schema)
    operations.drop_table("windows", schema=schema)


STEPS: Final[Mapping[int, Step]] = {1: _with_history}
