"""Rows that two ways left open, and what people decided about them.

Keys are JSON arrays, images JSON objects, as the plan that met the rows wrote them. Every method is one transaction.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any, Final

import pyarrow as pa
import sqlalchemy as sa

from adapters.ledger.conflicts import CHUNK, put_lines, settle_conflicts
from adapters.ledger.engine import LedgerEngine, upsert
from adapters.ledger.lease import Clock
from adapters.ledger.records import Decision
from adapters.ledger.tables import CONFLICTS, DECISIONS, digest

_text = pa.string()
OPEN_ROWS: Final = pa.schema(
    [
        pa.field("key", _text, nullable=False),
        pa.field("kind", _text, nullable=False),
        pa.field("fields", pa.list_(_text), nullable=False),
        ("base", _text),
        ("source", _text),
        ("target", _text),
    ]
)
"""Rows in conflict: the key as a JSON array, what each side did or why a side cannot take the row, the fields that are open, and
the row as it is in the base and on each side, as JSON objects, null where there is none."""

MADE: Final = pa.schema(
    [
        pa.field("key", _text, nullable=False),
        ("field", _text),
        pa.field("take", _text, nullable=False),
        ("value", _text),
        pa.field("kind", _text, nullable=False),
        ("base", _text),
        ("source", _text),
        ("target", _text),
    ]
)
"""Decisions: the key; the field, null for the row as a whole; source, target, base or value; of a value its text, null for null;
and the conflict that was decided, as in OPEN_ROWS."""

BOTH: Final = "open"  # the operation of conflicts that are of both sides
_SIDE: Final = "target"  # the side that they stand with in the ledger


class OpenRows:
    """The rows of a migration that are open between both sides. Memory: what is given or asked for."""

    def __init__(self, engine: LedgerEngine, now: Clock) -> None:
        self._engine, self._now = engine, now

    def record(self, migration: str, table: str, rows: pa.Table, run_id: str) -> int:
        """Note rows that a run left open (OPEN_ROWS), in place of what was noted of them before. 50,000 take some seconds."""
        of_all = {
            "migration": migration, "side": _SIDE, "table_name": table, "op": BOTH, "run_id": run_id, "seen_at": self._now(),
            "before": None, "after": None, "found": None, "resolved_at": None, "resolution": None,
        }  # fmt: skip
        for some in rows.select(OPEN_ROWS.names).to_batches(CHUNK):
            put_lines(
                self._engine, ({**of_all, **line, "key_digest": digest(line["key"])} for line in some.to_pylist())
            )
        return int(rows.num_rows)

    def settle(self, migration: str, table: str, run_id: str, keys: Sequence[str] | None = None) -> int:
        """Close the rows of a table that a run did not leave open again: all, or those of some keys. How many were closed.

        What was decided about them, and is not outdated, is applied.
        """
        return settle_conflicts(self._engine, migration, _SIDE, table, run_id, self._now(), keys)

    def rows(self, migration: str, table: str, *, keys: Sequence[str] = (), size: int = CHUNK) -> Iterator[pa.Table]:
        """The open rows of a table (OPEN_ROWS), by key, some at a time: of some keys, or all."""
        own = CONFLICTS.c
        wanted = sa.select(*(own[name] for name in OPEN_ROWS.names), own.key_digest).where(
            own.migration == migration, own.table_name == table, own.resolved_at.is_(None), own.kind.is_not(None)
        )
        if keys:
            wanted = wanted.where(own.key_digest.in_([digest(key) for key in keys]))
        last = ""
        while True:
            page = wanted.where(own.key_digest > last).order_by(own.key_digest).limit(size)
            with self._engine.reading() as connection:
                found = [dict(row) for row in connection.execute(page).mappings()]
            if not found:
                return
            last = found[-1]["key_digest"]
            yield pa.Table.from_pylist(found, schema=OPEN_ROWS)

    def decide(self, migration: str, table: str, made: pa.Table, by: str | None, why: str | None) -> int:
        """Note decisions (MADE), at most one for a field of a key and one for its row; how many.

        A later decision takes the place of one that waits: of the same field, or of all of a row.
        """
        moment = self._now()
        of_all = {
            "migration": migration, "table_name": table, "decided_by": by, "decided_at": moment, "why": why,
            "ended": None, "ended_by": None, "ended_at": None,
        }  # fmt: skip
        waiting = DECISIONS.c.migration == migration, DECISIONS.c.table_name == table, DECISIONS.c.ended.is_(None)
        replaced = {"ended": "replaced", "ended_at": moment}
        with self._engine.writing() as connection:
            for some in made.select(MADE.names).to_batches(CHUNK):
                lines = [
                    {**of_all, **line, "field": line["field"] or "", "key_digest": digest(line["key"])}
                    for line in some.to_pylist()
                ]
                for field in {line["field"] for line in lines}:
                    about = [line["key_digest"] for line in lines if line["field"] == field]
                    same = () if not field else (DECISIONS.c.field == field,)
                    older = (*waiting, DECISIONS.c.key_digest.in_(about), DECISIONS.c.decided_at < moment, *same)
                    connection.execute(DECISIONS.update().where(*older).values(**replaced))
                upsert(connection, DECISIONS, lines)
        return int(made.num_rows)

    def decisions_of(self, migration: str, table: str) -> pa.Table:
        """The decisions about rows of a table that wait for a run (MADE)."""
        own = DECISIONS.c
        wanted = sa.select(*(own[name] for name in MADE.names)).where(
            own.migration == migration, own.table_name == table, own.ended.is_(None)
        )
        with self._engine.reading() as connection:
            found = [{**row, "field": row["field"] or None} for row in connection.execute(wanted).mappings()]
        return pa.Table.from_pylist(found, schema=MADE)

    def outdate(self, migration: str, table: str, keys: Sequence[str], run_id: str) -> int:
        """End decisions about rows that a run met otherwise than they were decided; how many."""
        own = DECISIONS.c
        ended = {"ended": "outdated", "ended_by": run_id, "ended_at": self._now()}
        digests = [digest(key) for key in keys]
        count = 0
        with self._engine.writing() as connection:
            for start in range(0, len(digests), CHUNK):
                some = own.key_digest.in_(digests[start : start + CHUNK])
                mine = own.migration == migration, own.table_name == table, own.ended.is_(None), some
                count += int(connection.execute(DECISIONS.update().where(*mine).values(**ended)).rowcount)
        return count

    def decisions(
        self, migration: str, table: str | None = None, *, keys: Sequence[str] = (), waiting: bool = False
    ) -> list[Decision]:
        """What was decided, oldest first: about rows of a table, or of some keys, or all; only what still waits, if asked for."""
        own = DECISIONS.c
        wanted = sa.select(*(own[name] for name in Decision.__slots__)).where(own.migration == migration)
        if table is not None:
            wanted = wanted.where(own.table_name == table)
        if keys:
            wanted = wanted.where(own.key_digest.in_([digest(key) for key in keys]))
        if waiting:
            wanted = wanted.where(own.ended.is_(None))
        order = own.decided_at, own.table_name, own.key, own.field
        with self._engine.reading() as connection:
            found: list[Any] = list(connection.execute(wanted.order_by(*order)).mappings())
        return [Decision(**{**row, "field": row["field"] or None}) for row in found]
