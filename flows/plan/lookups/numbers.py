"""Surrogate keys of new rows: the next numbers, or those that a pass over the whole table has given out before."""

from __future__ import annotations

from pathlib import Path
from urllib.parse import quote

import numpy as np
import pyarrow as pa

from adapters.protocol import Inspection
from adapters.store import spill
from flows.bind.tables import BoundTable
from flows.session.session import Job, Session
from transforms import expressions, keys
from transforms.diff import Number
from transforms.vocabulary import ColumnShape, DataError, PlanError, Relation, TableName
from transforms.vocabulary.arrow import Indices, contiguous


def numbers_file(job: Job, table: str) -> Path:
    """Where the numbers of new rows are written down by key, for a table that looks them up itself."""
    return job.work / "numbers" / f"{quote(table, safe='')}.arrow"


def first_number(bound: BoundTable, target: Inspection) -> int:
    """What the first new row of a table with a generated number gets."""
    assert bound.identity is not None, "its rows are numbered"
    highest = None if bound.ddl else target.highest(Relation(bound.shape.name), bound.identity)
    return (highest or 0) + 1


def numbered_column(bound: BoundTable) -> ColumnShape:
    """The column of a table that has the numbers of its rows."""
    column = bound.shape.column(bound.identity) if bound.identity is not None else None
    assert column is not None, "its rows are numbered"
    return column


def must_hold(table: TableName, column: ColumnShape, last: int) -> None:
    """PlanError where a column of whole numbers does not hold those that new rows get, of which `last` is the highest."""
    bits = column.type.bit_width - (1 if pa.types.is_signed_integer(column.type) else 0)
    most = column.most if isinstance(column.most, int) else 2**bits - 1
    if last > most:
        raise PlanError(
            f"{table}.{column.name}: new rows would get numbers up to {last:,}, and its {column.native} ends at {most:,}. "
            f"Nothing was written.",
            fix="give the column a wider type in the target, or its rows lower numbers.",
        )


def number_of(session: Session, job: Job, bound: BoundTable) -> Number:
    """How new rows of a window are numbered."""

    def next_ones(new: pa.Table) -> Indices:
        count = new.num_rows
        first = session.numbers.reserve(bound.name, count)
        must_hold(bound.shape.name, numbered_column(bound), first + count - 1)
        return first + np.arange(count, dtype=np.int64)

    def written_down(new: pa.Table) -> Indices:
        known = spill.read_rows(numbers_file(job, bound.name))
        place = keys.match(new, known, bound.key)
        if (place < 0).any():
            lost = expressions.json_key(new.filter(pa.array(place < 0)), bound.key)
            raise DataError(
                f"{bound.name} key {lost}: the row was another one, or was set aside, when it was read a moment before.",
                fix="let `python:` functions answer alike for the same row; else run again.",
            )
        given: Indices = contiguous(known.column(bound.identity)).cast(pa.int64()).to_numpy(zero_copy_only=False)
        return given[place]

    return written_down if bound.looks_into_itself else next_ones
