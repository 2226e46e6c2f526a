"""Checksums of windows, by MariaDB and MySQL themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from adapters.mysql.types import Travel
from adapters.sql.statements import Expression

OWN_ROWS: Final = """
SELECT ENGINE = 'InnoDB' AND TABLE_TYPE = 'BASE TABLE' FROM information_schema.TABLES
WHERE TABLE_SCHEMA = coalesce(%s, database()) AND TABLE_NAME = %s"""
"""Whether a snapshot is of what is there: other engines show what others write meanwhile, and views may be of anything."""
MOST: Final[Expression] = sa.literal_column("18446744073709551615")


def row_hash(columns: Sequence[Travel]) -> Expression:
    """64 bits of a row, by the texts in which a scan reads its values, each with its length; null where the server can join no
    text of that length.

    CRC32 would be linear: what rows swap is lost in its exclusive or. CONCAT_WS leaves nulls out and separates nothing.
    """
    values = [each.read() for each in columns]
    empty: Expression = sa.literal_column("x''")
    comma: Expression = sa.literal_column("','")
    sizes = [
        part
        for each in values
        for part in (sa.func.ifnull(sa.func.octet_length(each), sa.literal_column("'-'")), comma)
    ]
    texts = [sa.func.ifnull(each, empty) for each in values]
    digest = sa.func.sha1(sa.func.concat(empty, *sizes, *texts))
    half = sa.func.left(digest, sa.literal_column("16"))
    return sa.cast(sa.func.conv(half, sa.literal_column("16"), sa.literal_column("10")), mysql.BIGINT(unsigned=True))


def summed(hashes: sa.Select[Any]) -> sa.Select[Any]:
    """Rows, hashes of them, their exclusive or and their sum; `hashes` selects them as `h`, which without LIMIT would be computed twice."""
    each = hashes.limit(MOST).subquery("hashed").c.h
    return sa.select(sa.func.count(), sa.func.count(each), sa.func.bit_xor(each), sa.func.sum(each))
