"""Checksums of windows, by DuckDB itself."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import pyarrow as pa
import sqlalchemy as sa

from adapters.duckdb.types import reading
from adapters.sql.statements import Expression
from transforms.vocabulary import ColumnShape

OWN_ROWS: Final = """
SELECT count(*) AS n FROM duckdb_tables()
WHERE database_name = current_database() AND schema_name = coalesce($1, current_schema()) AND table_name = $2"""


def row_hash(columns: Sequence[ColumnShape]) -> Expression:
    """64 bits of a row, by the values that a scan reads. hash takes 0 and -0 for one.

    That of several values combines theirs by an exclusive or, in which swaps between rows are lost: it is hashed again.
    """
    values: list[Expression] = []
    for each in columns:
        values.append(reading(each))
        if pa.types.is_floating(each.type):
            values.append(sa.func.signbit(reading(each)))
    return sa.func.hash(sa.func.hash(*values))


def summed(hashes: sa.Select[Any]) -> sa.Select[Any]:
    """Count, exclusive or and sum of the hashes that are selected as `h`."""
    each = hashes.subquery("hashed").c.h
    both, total = (sa.cast(made(each), sa.String()) for made in (sa.func.bit_xor, sa.func.sum))
    return sa.select(sa.func.count().label("rows"), both.label("both"), total.label("total"))
