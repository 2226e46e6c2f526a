"""Identity maps: which key of the source is which key of the target, for tables that both sides number by themselves.

Keys are JSON arrays, as `expressions.as_json_keys` writes them. In a map each key has one partner: a pair that is recorded ends
the pairs that its keys had before.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from pyarrow import csv

from adapters.ledger.engine import LedgerEngine, locked
from adapters.ledger.lease import Clock
from adapters.ledger.tables import IDENTITIES
from transforms.vocabulary import SideName, SynclineError

PAIRS: Final = pa.schema(
    [pa.field("source_key", pa.string(), nullable=False), pa.field("target_key", pa.string(), nullable=False)]
)
"""Pairs of a map: the key of the source and that of the target, each a JSON array."""
LONGEST: Final = 2_000  # bytes of a key, which an index of PostgreSQL has to hold
_BATCH: Final = 50_000
_ARRIVING: Final = sa.table("syncline_arriving", sa.column("source_key"), sa.column("target_key"))
_MADE: Final = "CREATE TEMPORARY TABLE syncline_arriving (source_key text, target_key text)"


class IdentityMaps:
    """The identity maps of a ledger. Every method is one transaction. Memory: the pairs that are given or asked for."""

    def __init__(self, engine: LedgerEngine, now: Clock) -> None:
        self._engine, self._now = engine, now

    def sizes(self, migration: str) -> dict[str, int]:
        """How many pairs there are, by table."""
        name = IDENTITIES.c.table_name
        wanted = sa.select(name, sa.func.count()).where(IDENTITIES.c.migration == migration)
        with self._engine.reading() as connection:
            return {table: int(rows) for table, rows in connection.execute(wanted.group_by(name).order_by(name))}

    def pairs(
        self,
        migration: str,
        table: str,
        *,
        of: SideName = "source",
        keys: pa.Array | None = None,
        limit: int | None = None,
    ) -> pa.Table:
        """The pairs of a map (PAIRS), by the source's key: all, or those whose key of a side is among `keys`."""
        own = IDENTITIES.c
        wanted = sa.select(own.source_key, own.target_key).where(*_of(migration, table))
        wanted = wanted.order_by(own.source_key).limit(limit)
        with self._engine.reading() as connection:
            if keys is None:
                return _fetched(connection, wanted)
            with _arriving(connection, pa.table([keys, keys], schema=PAIRS)):
                asked = own.source_key if of == "source" else own.target_key
                return _fetched(connection, wanted.where(asked.in_(sa.select(_ARRIVING.c.source_key))))

    def record(self, migration: str, table: str, pairs: pa.Table, ended: pa.Table, run_id: str) -> None:
        """End some pairs, and note others (both PAIRS) in place of what their keys were paired with before. Safe to repeat.

        Errors: SynclineError for a key that has two partners among `pairs`, or that is longer than LONGEST.
        """
        self._put(migration, table, pairs, ended, run_id)

    def replace(self, migration: str, table: str, pairs: pa.Table, run_id: str) -> None:
        """Make a map of these pairs alone. Errors: as of `record`."""
        self._put(migration, table, pairs, None, run_id)

    def _put(self, migration: str, table: str, pairs: pa.Table, ended: pa.Table | None, run_id: str) -> None:
        """Without `ended` all that is known ends."""
        if why := unusable(pairs):
            raise SynclineError(f"The identity map of {table} cannot be kept: {why}.", fix="mend the pairs.")
        own, ours = IDENTITIES.c, _of(migration, table)
        same = sa.and_(own.source_key == _ARRIVING.c.source_key, own.target_key == _ARRIVING.c.target_key)
        known = sa.exists(sa.select(sa.literal(1)).select_from(_ARRIVING).where(same).correlate(IDENTITIES))
        with self._engine.writing() as connection:
            locked(connection, f"identities:{migration}")
            if ended is None:
                connection.execute(IDENTITIES.delete().where(*ours))
            elif ended.num_rows:
                with _arriving(connection, ended):
                    connection.execute(IDENTITIES.delete().where(*ours, known))
            if not pairs.num_rows:
                return
            with _arriving(connection, pairs):
                for theirs in (  # apart: of two conditions joined by `or` PostgreSQL makes no join
                    own.source_key.in_(sa.select(_ARRIVING.c.source_key)),
                    own.target_key.in_(sa.select(_ARRIVING.c.target_key)),
                ):
                    connection.execute(IDENTITIES.delete().where(*ours, theirs, ~known))
                told = {"migration": migration, "table_name": table, "run_id": run_id, "made_at": self._now()}
                there = sa.exists(
                    sa.select(sa.literal(1)).select_from(IDENTITIES).where(*ours, same).correlate(_ARRIVING)
                )
                literals = [sa.literal(value, own[name].type) for name, value in told.items()]
                rows = sa.select(*literals, _ARRIVING.c.source_key, _ARRIVING.c.target_key).where(~there)
                connection.execute(IDENTITIES.insert().from_select([*told, *PAIRS.names], rows))


def unusable(pairs: pa.Table) -> str:
    """Why pairs are no map: a key with two partners, or one that is too long; empty where they are one."""
    for name, of in zip(PAIRS.names, ("source", "target"), strict=True):
        column = pairs.column(name)
        if column.null_count:
            return f"a key of the {of} is null"
        counts = column.value_counts() if pairs.num_rows else None
        if counts is not None and len(counts) < pairs.num_rows:
            key = counts.field("values").filter(pc.greater(counts.field("counts"), 1))[0].as_py()
            other = PAIRS.names[1 - PAIRS.names.index(name)]
            partners = pairs.filter(pc.equal(column, key)).column(other).slice(0, 2).to_pylist()
            return f"the key {key} of the {of} has several partners ({', '.join(partners)})"
        if pairs.num_rows and pc.max(pc.binary_length(column)).as_py() > LONGEST:
            return f"a key of the {of} is longer than {LONGEST:,} bytes"
    return ""


def _of(migration: str, table: str) -> tuple[sa.ColumnElement[bool], ...]:
    return IDENTITIES.c.migration == migration, IDENTITIES.c.table_name == table


def _fetched(connection: sa.Connection, wanted: sa.Select[tuple[str, str]]) -> pa.Table:
    parts = [PAIRS.empty_table()]
    for some in connection.execute(wanted.execution_options(yield_per=_BATCH)).partitions():
        parts.append(pa.table([list(column) for column in zip(*some, strict=True)], schema=PAIRS))
    return pa.concat_tables(parts)


@contextmanager
def _arriving(connection: sa.Connection, pairs: pa.Table) -> Iterator[None]:
    """Pairs in a temporary table of the ledger, loaded in bulk."""
    connection.exec_driver_sql(_MADE)
    raw: Any = connection.connection.dbapi_connection
    if connection.dialect.name == "sqlite":
        for part in pairs.to_batches(max_chunksize=_BATCH):
            rows = list(zip(*(column.to_pylist() for column in part.columns), strict=True))
            raw.cursor().executemany("INSERT INTO syncline_arriving VALUES (?, ?)", rows)
    else:
        options = csv.WriteOptions(include_header=False, quoting_style="all_valid")
        with raw.cursor() as cursor, cursor.copy("COPY syncline_arriving FROM STDIN (FORMAT csv)") as copying:
            for part in pairs.to_batches(max_chunksize=_BATCH):
                sink = pa.BufferOutputStream()
                csv.write_csv(part, sink, options)
                copying.write(sink.getvalue().to_pybytes())
    connection.exec_driver_sql("CREATE INDEX syncline_arriving_by_source ON syncline_arriving (source_key)")
    try:
        yield
    finally:
        if not connection.invalidated:
            connection.exec_driver_sql("DROP TABLE syncline_arriving")
