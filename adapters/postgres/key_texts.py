"""Keys that come as PostgreSQL's own texts, as they travel: by Arrow where the text says it all, else by the server itself."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from adapters.feeds.key_tables import distinct
from adapters.postgres.arrow import arrived, lost
from adapters.postgres.snapshot import spelled
from adapters.postgres.types import Travel
from adapters.sql.statements import Named

ROWS: Final = 100_000  # in one question to the server, and no more than BYTES of texts
BYTES: Final = 16 * 2**20

Ask = Callable[[str], pa.Table]
"""The whole answer to a query."""


def travelled(texts: pa.Table, travels: Sequence[Travel], ask: Ask) -> pa.Table | None:
    """The values in their travel types, each row once; None where one of them cannot travel.

    In: binary columns of what each type's output function wrote, in the order of `travels`, each row once.
    """
    try:
        decoded = [column.combine_chunks().cast(pa.string()) for column in texts.columns]
    except pa.ArrowInvalid:  # of a database that checks no encoding
        return None
    names = texts.column_names
    if all(_says_all(each) for each in travels):
        arrays = [array.cast(each.shape.type) for array, each in zip(decoded, travels, strict=True)]
        return pa.table(arrays, names=names)
    parts = []
    for part in _parts(pa.table(decoded, names=names)):
        read = ask(_question(part, travels))
        columns = [column.combine_chunks() for column in read.columns]
        arrays = [arrived(array, each) for array, each in zip(columns, travels, strict=True)]
        if lost(columns, arrays, travels) is not None:
            return None
        parts.append(pa.table(arrays, names=names))
    return distinct(parts)


def _says_all(travel: Travel) -> bool:
    """Whether Arrow makes the value of the text."""
    if travel.reading == "native":
        return bool(pa.types.is_integer(travel.shape.type) or pa.types.is_string(travel.shape.type))
    return travel.reading == "text" and travel.kind in ("uuid", "enum", "name")


def _parts(texts: pa.Table) -> Iterator[pa.Table]:
    rows = max(1, min(ROWS, BYTES * texts.num_rows // max(1, texts.nbytes)))
    for start in range(0, texts.num_rows, rows):
        yield texts.slice(start, rows)


def _question(texts: pa.Table, travels: Sequence[Travel]) -> str:
    """The query that reads the texts as values of their types, as a scan reads them of a table."""
    names = [f"k{i}" for i in range(len(travels))]
    arrays = [sa.cast(sa.literal(_array(column), sa.String()), Named("text[]")) for column in texts.columns]
    unnest = sa.func.unnest if len(arrays) > 1 else sa.func.pg_catalog.unnest
    carried = unnest(*arrays).table_valued(*names, name="syncline keys").render_derived()
    values = [each.read(sa.cast(carried.c[name], Named(each.base))) for each, name in zip(travels, names, strict=True)]
    return spelled(sa.select(*(value.label(name) for value, name in zip(values, names, strict=True))))


def _array(texts: pa.ChunkedArray) -> str:
    """An array of text as PostgreSQL writes it."""
    escaped = pc.replace_substring(pc.replace_substring(texts.combine_chunks(), "\\", "\\\\"), '"', '\\"')
    items = pc.fill_null(pc.binary_join_element_wise('"', escaped, '"', ""), "NULL")
    joined = pc.binary_join(pa.ListArray.from_arrays(pa.array([0, len(items)], pa.int32()), items), ",")
    return f"{{{joined[0].as_py()}}}"
