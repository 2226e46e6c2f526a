"""Keys that a statement carries along, some hundreds at a time, and fewer of long ones.

A read-only transaction makes no temporary table, and not every user may make one. Nothing is lost by it: 100,000 keys took 2.1 s
in lists of 500 and 1.6 s in a join, and two columns 6.3 s and 7.0 s, each key read by the index once.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import Final

import pyarrow as pa
import sqlalchemy as sa

from adapters.mysql.types import Travel
from adapters.sql.staged_apply import python_values
from adapters.sql.statements import Expression, dialect_of, rendered

AT_ONCE: Final = 500  # of a thousand, MariaDB makes a table, and a plan of its own
CHARACTERS: Final = 200_000  # of up to four bytes: a server may be set to take no more than a megabyte

Written = Sequence[str]
"""A key in SQL: for each expression that it is compared with a literal."""


def with_keys(travels: Sequence[Travel], keys: pa.Table) -> Iterator[Expression]:
    """The clauses that keep the rows with one of the keys, exactly: one after the other, they give each row once.

    In: a column of `keys` for each of `travels`, in its travel type, no key twice.
    """
    rows = zip(*(python_values(column) for column in keys.columns), strict=True)
    whole = (row for row in rows if None not in row)  # what Python has no value for, these servers have neither
    compared = [each.keyed() for each in travels]
    own = [rendered(expression, dialect_of("mysql")) for pairs in compared for expression, _ in pairs]
    writers = [[write for _, write in pairs] for pairs in compared]
    written = ([write(value) for some, value in zip(writers, row, strict=True) for write in some] for row in whole)
    clause = _listed if len(travels) == 1 else _paired
    for some in _parts(written):
        # written by hand: SQLAlchemy takes a tenth of a millisecond for a key
        yield sa.literal_column(f"({clause(own, some)})")


def _parts(keys: Iterable[Written]) -> Iterator[list[Written]]:
    """The keys, as many at a time as a statement carries well: one at least."""
    part: list[Written] = []
    size = 0
    for key in keys:
        length = sum(map(len, key))
        if part and (len(part) == AT_ONCE or size + length > CHARACTERS):
            yield part
            part, size = [], 0
        part.append(key)
        size += length
    if part:
        yield part


def _listed(own: Sequence[str], keys: Sequence[Written]) -> str:
    return " AND ".join(
        f"{each} IN ({', '.join(texts)})" for each, texts in zip(own, zip(*keys, strict=True), strict=True)
    )


def _paired(own: Sequence[str], keys: Sequence[Written]) -> str:
    def equal(key: Written) -> str:
        return " AND ".join(f"{each} = {text}" for each, text in zip(own, key, strict=True))

    return " OR ".join(f"({equal(key)})" for key in keys)
