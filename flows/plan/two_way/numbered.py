"""Surrogate keys that the target alone has (`generate: identity`), in tables that go both ways: they follow the row, and go nowhere."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.store import spill
from flows.bind.tables import BoundTable
from flows.plan.lookups.numbers import must_hold, numbered_column, numbers_file
from flows.session.session import Job, Session
from transforms import keys
from transforms.vocabulary.arrow import contiguous


def with_numbers(
    session: Session, job: Job, bound: BoundTable, rows: pa.Table, found: pa.Table, base: pa.Table | None
) -> pa.Table:  # fmt: skip
    """Rows of the source with the numbers that they have on the target, or had when both sides agreed; others get those that
    were given to them before the table's windows, where its rows look each other up, or the next ones.

    In: rows with unique keys. Errors: PlanError where the column does not hold them.
    """
    if bound.identity is None:
        return rows
    column = numbered_column(bound)
    given = spill.read_rows(numbers_file(job, bound.name)) if bound.looks_into_itself else None
    rows = with_known_numbers(bound, rows, found, base, given)
    values = contiguous(rows.column(column.name))
    if not (count := values.null_count):
        return rows
    first = session.numbers.reserve(bound.name, count)
    must_hold(bound.shape.name, column, first + count - 1)
    new = np.zeros(rows.num_rows, dtype=np.int64)
    new[values.is_null().to_numpy(zero_copy_only=False)] = first + np.arange(count)
    at = rows.schema.get_field_index(column.name)
    return rows.set_column(at, rows.schema.field(at), pc.coalesce(values, pa.array(new).cast(column.type)))


def with_known_numbers(bound: BoundTable, rows: pa.Table, *others: pa.Table | None) -> pa.Table:
    """Rows with the numbers that they have in the first of the others where they have one, null where they have none yet."""
    if bound.identity is None:
        return rows
    column, key = numbered_column(bound), list(bound.key)
    values = pa.nulls(rows.num_rows, column.type)
    for there in others:
        if there is not None and there.num_rows and rows.num_rows:
            place = keys.match(rows, there.select(key).cast(rows.select(key).schema), bound.key)
            own = contiguous(there.column(column.name)).take(pa.array(place, mask=place < 0)).cast(column.type)
            values = pc.coalesce(values, own)
    return rows.append_column(pa.field(column.name, column.type), values)
