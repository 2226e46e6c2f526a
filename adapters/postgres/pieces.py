"""A table of PostgreSQL in pieces, by the pages that its rows lie on."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from itertools import pairwise
from typing import Any, Final

import psycopg

from adapters.sql.statements import dialect_of, table
from transforms.vocabulary import Relation

BY_PAGES: Final = 140_000  # the version from which on a range of pages is read without the others
LEAST_PAGES: Final = 4_096  # of a piece, 32 MB: a connection more costs some milliseconds
PAGES: Final = """
SELECT pg_catalog.pg_relation_size(c.oid) / pg_catalog.current_setting('block_size')::int
FROM pg_catalog.pg_class c WHERE c.oid = pg_catalog.to_regclass(%s) AND c.relkind = 'r'"""


def pieces(connection: psycopg.Connection[Any], relation: Relation, most: int) -> Sequence[Relation]:
    """See `InPieces`. In: a relation that is read without those that inherit from it. A page that comes later is of the last one."""
    if relation.table is None or connection.info.server_version < BY_PAGES:
        return [relation]
    name = dialect_of("postgresql").identifier_preparer.format_table(table(relation.table))
    row = connection.execute(PAGES, [name]).fetchone()
    pages = int(row[0]) if row is not None else 0
    count = min(most, pages // LEAST_PAGES)
    if count < 2:
        return [relation]
    cuts = [f"CAST('({number * pages // count},0)' AS pg_catalog.tid)" for number in range(1, count)]
    inside = [
        " AND ".join(told for cut, told in ((start, f"ctid >= {start}"), (stop, f"ctid < {stop}")) if cut)
        for start, stop in pairwise(["", *cuts, ""])
    ]
    own = f"({relation.where}\n) AND " if relation.where else ""
    return [replace(relation, where=f"{own}{each}") for each in inside]
