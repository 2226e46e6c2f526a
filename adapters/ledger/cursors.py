"""Up to where tables were read by their cursors. A mark moves in the transaction that records what it led to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Final

import sqlalchemy as sa

from adapters.ledger.engine import upsert
from adapters.ledger.tables import FACTS

KIND: Final = "cursor"
"""The kind of the ledger's facts that are marks, each under its table's name, and of the source."""


@dataclass(frozen=True, slots=True)
class Move:
    """A table's mark becomes `reached`. `began`: what it was when the plan was made, which had no more to read than what came later.

    Where it is not that any more, somebody else moved it or took it away: it stays as it is, since what lies between is not known
    to be in. `whole`: the plan has read all rows, whatever the mark was. Without `reached` there is none.
    """

    table: str
    began: str | None
    reached: str | None
    whole: bool


def move(connection: sa.Connection, migration: str, moves: Sequence[Move], now: datetime) -> None:
    """Move marks, inside the caller's transaction."""
    for each in moves:
        one = _marks(migration, each.table)
        if each.reached is None:
            if each.whole:
                connection.execute(FACTS.delete().where(*one))
        elif each.whole:
            row = {"migration": migration, "side": "source", "kind": KIND, "name": each.table, "value": each.reached}
            upsert(connection, FACTS, [{**row, "seen_at": now}])
        else:
            as_then = FACTS.update().where(*one, FACTS.c.value == each.began)
            connection.execute(as_then.values(value=each.reached, seen_at=now))


def forget(connection: sa.Connection, migration: str) -> None:
    """Forget all marks: the next runs read all rows."""
    own = FACTS.c
    connection.execute(FACTS.delete().where(own.migration == migration, own.side == "source", own.kind == KIND))


def _marks(migration: str, table: str) -> list[sa.ColumnElement[bool]]:
    own = FACTS.c
    return [own.migration == migration, own.side == "source", own.kind == KIND, own.name == table]
