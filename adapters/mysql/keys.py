"""Keys that a statement carries along, some hundreds at a time.

A read-only transaction makes no temporary table, and not every user may make one. Nothing is lost by it: 100,000 keys took 2.1 s
in lists of 500 and 1.6 s in a join, and two columns 6.3 s and 7.0 s, each key read by the index once.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from itertools import islice
from typing import Any, Final

import pyarrow as pa
import sqlalchemy as sa

from adapters.mysql.types import Travel
from adapters.sql.staged_apply import python_values
from adapters.sql.statements import Expression, dialect_of, rendered
from transforms.vocabulary import KeyValue

AT_ONCE: Final = 500  # of a thousand, MariaDB makes a table, and a plan of its own

Compared = Sequence[Sequence[tuple[str, Callable[[Any], str]]]]
"""For each column of a key what it is compared with, in SQL, and how a value is written."""


def with_keys(travels: Sequence[Travel], keys: pa.Table) -> Iterator[Expression]:
    """The clauses that keep the rows with one of the keys, exactly: one after the other, they give each row once.

    In: a column of `keys` for each of `travels`, in its travel type, no key twice.
    """
    rows = zip(*(python_values(column) for column in keys.columns), strict=True)
    whole = (row for row in rows if None not in row)  # what Python has no value for, these servers have neither
    compared = [[(rendered(own, dialect_of("mysql")), write) for own, write in each.keyed()] for each in travels]
    clause = _listed if len(travels) == 1 else _paired
    while some := list(islice(whole, AT_ONCE)):
        # written by hand: SQLAlchemy takes a tenth of a millisecond for a key
        yield sa.literal_column(f"({clause(compared, some)})")


def _listed(compared: Compared, rows: Sequence[KeyValue]) -> str:
    return " AND ".join(f"{own} IN ({', '.join(write(value) for (value,) in rows)})" for own, write in compared[0])


def _paired(compared: Compared, rows: Sequence[KeyValue]) -> str:
    def equal(row: KeyValue) -> str:
        pairs = zip(compared, row, strict=True)
        return " AND ".join(f"{own} = {write(value)}" for each, value in pairs for own, write in each)

    return " OR ".join(f"({equal(row)})" for row in rows)
