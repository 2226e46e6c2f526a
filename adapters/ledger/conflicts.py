"""Rows that were not as a plan saw them, in the ledger."""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Sequence
from datetime import datetime
from itertools import islice
from typing import Any, Final

import pyarrow as pa
import sqlalchemy as sa

from adapters.ledger.engine import LedgerEngine, upsert
from adapters.ledger.records import Conflict
from adapters.ledger.tables import CONFLICTS, DECISIONS, digest
from adapters.store.plans import plain
from transforms.vocabulary import TIMESTAMP_INFINITY, SideName

CHUNK: Final = 5_000  # lines in one statement
_NOT_OPEN: Final = dict.fromkeys(("kind", "fields", "base", "source", "target"))


def record_conflicts(
    engine: LedgerEngine, migration: str, side: SideName, table: str, rows: pa.Table, run_id: str, now: datetime
) -> int:
    """See `Ledger.record_conflicts`."""
    lines = {}
    for at in range(rows.num_rows):
        key = _json(list((_image(rows["key"][at]) or {}).values()))
        images = {name: _json(_image(rows[name][at])) for name in ("before", "after", "found")}
        told = {"op": rows["op"][at].as_py(), "run_id": run_id, "seen_at": now}
        lines[key] = {
            "migration": migration, "side": side, "table_name": table, "key_digest": digest(str(key)), "key": key,
            **told, **images, "resolved_at": None, "resolution": None, **_NOT_OPEN,
        }  # fmt: skip
    put_lines(engine, lines.values())
    return len(lines)


def put_lines(engine: LedgerEngine, lines: Iterable[dict[str, Any]]) -> None:
    """Write lines of CONFLICTS, in place of those of the same keys."""
    known = list(lines)
    with engine.writing() as connection:
        for start in range(0, len(known), CHUNK):
            upsert(connection, CONFLICTS, known[start : start + CHUNK])


def chosen_conflicts(
    migration: str, table: str | None, *, resolved: bool, run_id: str | None, keys: Sequence[str]
) -> sa.Select[Any]:
    """See `Ledger.conflicts`."""
    wanted = sa.select(*(CONFLICTS.c[name] for name in Conflict.__slots__)).where(CONFLICTS.c.migration == migration)
    if table is not None:
        wanted = wanted.where(CONFLICTS.c.table_name == table)
    if run_id is not None:
        wanted = wanted.where(CONFLICTS.c.run_id == run_id)
    if keys:
        wanted = wanted.where(CONFLICTS.c.key_digest.in_([digest(key) for key in keys]))
    return wanted if resolved else wanted.where(CONFLICTS.c.resolved_at.is_(None))


def count_conflicts(engine: LedgerEngine, migration: str) -> dict[str, int]:
    """See `Ledger.count_conflicts`."""
    name = CONFLICTS.c.table_name
    open_ = sa.select(name, sa.func.count()).where(CONFLICTS.c.migration == migration)
    with engine.reading() as connection:
        found = connection.execute(open_.where(CONFLICTS.c.resolved_at.is_(None)).group_by(name).order_by(name))
        return {table: int(rows) for table, rows in found}


def settle_conflicts(
    engine: LedgerEngine, migration: str, side: SideName, table: str, run_id: str, now: datetime,
    keys: Sequence[str] | None = None,
) -> int:  # fmt: skip
    """See `Ledger.settle_conflicts`; of some keys alone, where they are given. What was decided about those rows is applied."""
    own, decided = CONFLICTS.c, DECISIONS.c
    older = (
        own.migration == migration,
        own.side == side,
        own.table_name == table,
        own.resolved_at.is_(None),
        own.run_id != run_id,
    )
    waiting = decided.migration == migration, decided.table_name == table, decided.ended.is_(None)
    closed = {"resolved_at": now, "resolution": f"settled by run {run_id}"}
    applied = {"ended": "applied", "ended_by": run_id, "ended_at": now}
    mine = None if keys is None else {digest(key) for key in keys}
    count = 0
    with engine.writing() as connection:
        # in two steps: a server that has no statistics of tables that are new would join them row by row
        known = (
            connection.scalars(sa.select(decided.key_digest).where(*waiting).distinct()).all()
            if side == "target"
            else ()
        )
        for each in _chunks(known if mine is None else mine.intersection(known)):
            going = connection.scalars(sa.select(own.key_digest).where(*older, own.key_digest.in_(each))).all()
            connection.execute(DECISIONS.update().where(*waiting, decided.key_digest.in_(going)).values(**applied))
        for some in [()] if mine is None else [(own.key_digest.in_(each),) for each in _chunks(mine)]:
            count += int(connection.execute(CONFLICTS.update().where(*older, *some).values(**closed)).rowcount)
    return count


def _chunks(texts: Iterable[str]) -> Iterator[list[str]]:
    rest = iter(texts)
    while chunk := list(islice(rest, CHUNK)):
        yield chunk


def _json(value: Any) -> str | None:
    return None if value is None else json.dumps(plain(value), ensure_ascii=False)


def _image(struct: pa.StructScalar) -> dict[str, Any] | None:
    """A row as Python values; times that Python cannot hold become text."""
    if not struct.is_valid:
        return None
    return {name: _value(struct[name]) for name in struct.type.names}


def _value(scalar: pa.Scalar) -> Any:
    try:
        return scalar.as_py()
    except (OverflowError, ValueError):
        number = scalar.cast(pa.int64() if pa.types.is_timestamp(scalar.type) else pa.int32()).as_py()
        infinite = abs(number) >= TIMESTAMP_INFINITY or not pa.types.is_timestamp(scalar.type)
        return f"{'-' if number < 0 else ''}infinity" if infinite else str(scalar.cast(pa.string()))
