"""Which lines of the quarantine are meant, as clauses of the ledger's SQL: all of them need not fit in memory."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

import sqlalchemy as sa

from adapters.ledger.engine import LedgerEngine
from adapters.ledger.tables import QUARANTINE, digest
from transforms.vocabulary import SideName

Clause = sa.ColumnElement[bool]


@dataclass(frozen=True, slots=True)
class Choice:
    """Lines of a side, or of both, of some tables, with one of some keys (as they are stored) and one of some codes, whose reason
    has a text in it."""

    tables: tuple[str, ...] = ()
    keys: tuple[str, ...] = ()
    reason: str | None = None
    side: SideName | None = None
    codes: tuple[str, ...] = ()

    def clauses(self, migration: str) -> list[Clause]:
        """All of them hold. Of a reason, letters from A to Z are one with small ones, and others where the ledger's
        database takes them for one."""
        made: list[Clause] = [QUARANTINE.c.migration == migration]
        if self.side is not None:
            made.append(QUARANTINE.c.side == self.side)
        if self.tables:
            made.append(QUARANTINE.c.table_name.in_(self.tables))
        if self.keys:
            made.append(QUARANTINE.c.key_digest.in_([digest(key) for key in self.keys]))
        if self.codes:
            known = QUARANTINE.c.code.in_(self.codes)
            made.append(sa.or_(known, QUARANTINE.c.code.is_(None)) if "untyped" in self.codes else known)
        if self.reason is not None:
            own = QUARANTINE.c.reason
            folded = sa.func.lower(own).contains(self.reason.lower(), autoescape=True)
            made.append(sa.or_(folded, own.contains(self.reason, autoescape=True)))
        return made


def count_chosen(engine: LedgerEngine, migration: str, choice: Choice) -> dict[str, int]:
    """How many rows a choice stands for, by table."""
    wanted = sa.select(QUARANTINE.c.table_name, sa.func.sum(QUARANTINE.c.rows)).where(*choice.clauses(migration))
    with engine.reading() as connection:
        found = connection.execute(wanted.group_by(QUARANTINE.c.table_name).order_by(QUARANTINE.c.table_name))
        return {table: int(rows) for table, rows in found}


def chosen_keys(engine: LedgerEngine, migration: str, choice: Choice) -> Iterator[tuple[str, str]]:
    """Table and key of each line, each once, in no order."""
    wanted = sa.select(QUARANTINE.c.table_name, QUARANTINE.c.key).where(*choice.clauses(migration)).distinct()
    with engine.reading() as connection:
        for some in connection.execution_options(yield_per=10_000).execute(wanted).partitions():
            yield from ((table, key) for table, key in some)


def drop_chosen(engine: LedgerEngine, migration: str, choice: Choice) -> int:
    """Forget the lines of a choice; how many rows they stood for."""
    clauses: list[Any] = choice.clauses(migration)
    with engine.writing() as connection:
        rows = connection.scalar(sa.select(sa.func.sum(QUARANTINE.c.rows)).where(*clauses))
        connection.execute(QUARANTINE.delete().where(*clauses))
    return int(rows or 0)
