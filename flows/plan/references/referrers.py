"""Who refers to some rows of the target: values compared as its engine compares them, whatever the plan knows of the tables."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Final, TypeVar

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.protocol import Snapshot, Target
from flows.session.scan import readable
from transforms import keys
from transforms.vocabulary import (
    INVALID,
    ConnectionFailed,
    Key,
    Relation,
    SynclineError,
    TableShape,
    TransientError,
)
from transforms.vocabulary.arrow import Mask

PASSING: Final = (TransientError, ConnectionFailed)
Taken = TypeVar("Taken")
Columns = Callable[[Sequence[str]], pa.Table | None]
"""Some columns of rows, None where they are not known."""


def values_of(target: Target, snapshot: Snapshot, shape: TableShape, key: Key, rows: Columns, names: Key) -> pa.Table:
    """What rows of a table hold in `names`, in their order, as the engine compares it.

    `rows` knows their key. Columns that it does not know are read; they are null where the row is not there.
    """
    known = rows(names)
    if known is None:
        wanted = rows(key)
        assert wanted is not None, "rows have their key"
        columns = list(dict.fromkeys([*key, *names]))
        batches = readable(snapshot.scan(Relation(shape.name), columns), shape.name, "target", key)
        there = pa.Table.from_batches(batches, schema=shape.schema(tuple(columns)))
        there = keys.without_null_keys(there, key)
        place = keys.match(wanted, there.select(list(key)).cast(wanted.schema), key)
        known = there.select(list(names)).take(pa.array(place, mask=place < 0))
    return compared(target, shape, known, names)


def compared(target: Target, shape: TableShape, rows: pa.Table, names: Key, like: pa.Schema | None = None) -> pa.Table:
    """Columns as the engine compares them, in the order of `names`, called by their place."""
    chosen = rows.select(list(names))
    if chosen.num_rows and any(column.collation for column in shape.columns if column.name in names):
        chosen = pa.table(target.alike(shape.name, chosen), names=list(names))
    chosen = chosen.rename_columns([str(place) for place in range(len(names))])
    return chosen.cast(like) if like is not None else chosen


def inside(rows: pa.Table, others: pa.Table) -> Mask:
    """Which rows are among others. In: the same columns; a row with a null is among none."""
    names: Key = tuple(rows.column_names)
    found = np.zeros(rows.num_rows, dtype=bool)
    whole = ~keys.null_keys(rows, names)
    if whole.any() and others.num_rows:
        found[whole] = keys.contained(rows.filter(pa.array(whole)), keys.without_null_keys(others, names), names)
    return found


def looked_through(
    target: Target,
    shape: TableShape,
    names: Sequence[str],
    taken: Callable[[pa.Table], Taken],
    asked: pa.Table | None = None,
) -> list[Taken] | None:
    """What is taken of a table that no plan is about, batch by batch, of rows that can be read; None where this user may not
    read it. `asked`: only rows with some values in some columns, as `Snapshot.scan` takes them.

    From a snapshot of its own, which an error would end.
    """
    found = []
    try:
        with target.snapshot() as apart:
            for batch in apart.scan(Relation(shape.name), names, keys=asked):
                rows = pa.Table.from_batches([batch])
                if INVALID in rows.column_names:
                    rows = rows.filter(pc.is_null(rows[INVALID])).select(list(names))
                found.append(taken(rows))
    except PASSING:
        raise
    except SynclineError:
        return None
    return found
