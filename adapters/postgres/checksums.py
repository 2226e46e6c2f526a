"""Checksums of windows, by PostgreSQL itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa

from adapters.postgres.types import Travel
from adapters.sql.statements import Expression, column

OWN_ROWS: Final = """
SELECT coalesce(pg_catalog.bool_and(c.relkind IN ('r', 'p')), false) AND NOT pg_catalog.bool_or(pg_catalog.row_security_active(c.oid))
FROM pg_catalog.pg_class c
WHERE c.oid = pg_catalog.to_regclass(%s)
   OR c.oid IN (SELECT p.relid FROM pg_catalog.pg_partition_tree(pg_catalog.to_regclass(%s)) p)"""
"""Whether all rows of a relation are of tables of this database: views may be of anything, and a policy may say more tomorrow."""


def row_hash(columns: Sequence[Travel]) -> Expression:
    """64 bits of a row, by the bytes that its values are sent as, which tell apart whatever a scan does.

    hash_record_extended of the row itself takes 0 and -0 for one, and 1.0 and 1.00, and texts that a collation takes for one.
    """
    values = [column(each.name) if each.reading != "text" else each.read() for each in columns]
    sent = sa.func.pg_catalog.record_send(sa.func.row(*values))
    return sa.func.pg_catalog.hash_record_extended(sa.func.row(sent), sa.literal_column("0"))


def summed(hashes: sa.Select[Any]) -> sa.Select[Any]:
    """Count, exclusive or and sum of the hashes that are selected as `h`; without OFFSET each would be computed twice."""
    each = hashes.offset(sa.literal_column("0")).subquery("hashed").c.h
    text = sa.String()
    both, total = sa.cast(sa.func.bit_xor(each), text), sa.cast(sa.func.sum(each), text)
    return sa.select(sa.func.count().label("rows"), both.label("both"), total.label("total"))
