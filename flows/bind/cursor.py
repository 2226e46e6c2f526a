"""The cursor of a table: the source's column by which runs find what is new."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import timedelta
from typing import Final

import pyarrow as pa

from adapters.protocol import RowVersions, Source
from flows.bind.sources import BoundSource
from flows.bind.spelling import speller
from flows.spec.model import Spec
from flows.spec.problems import meant
from transforms.cursors import Overlap, Scale
from transforms.mapping.column_mapping import Rename
from transforms.vocabulary import ColumnShape, SpecError

OVERLAP: Final = timedelta(minutes=10)


@dataclass(frozen=True, slots=True)
class BoundCursor:
    """The cursor of one source of a table. `shape` is None where not a column but the row's own version is looked at."""

    column: str
    shape: ColumnShape | None
    scale: Scale
    overlap: Overlap


def bound_cursors(spec: Spec, name: str, sources: Sequence[BoundSource], source: Source) -> tuple[BoundCursor, ...]:
    """The cursor of each source of a table; none where the table is read whole: a column of the defaults need not be there.

    Errors: SpecError for one that rows cannot be found by.
    """
    wanted = spec.cursor(name)
    if wanted is None or wanted.column is None:
        return ()
    own = spec.tables[name].cursor is not None
    at = spec.where(*(("tables", name, "cursor") if own else ("defaults", "cursor")))
    if spec.two_way(name):
        if not own:
            return ()
        raise SpecError(
            "cursor is for changes that go one way: of a table that goes both ways, both sides are read whole.",
            fix="remove it.",
            where=at,
        )
    found = []
    for each in sources:
        spelled = speller(each.shape.names, source.capabilities.names.columns, str(each.relation), at)(wanted.column)
        column = each.shape.column(spelled)
        versions = isinstance(source, RowVersions) and wanted.column == source.row_version
        if column is None and not (versions and each.relation.table is not None):
            if not own:
                return ()
            raise _missing(spec, name, each, wanted.column, at)
        try:
            found.append(
                BoundCursor(wanted.column, None, Scale(pa.int64(), None), 0)
                if column is None
                else _of_column(spec, column, wanted.overlap)
            )
        except SpecError as error:
            if not own:
                return ()
            raise SpecError(error.what, fix=error.fix, where=at) from error
    return tuple(found)


def _missing(spec: Spec, name: str, source: BoundSource, column: str, at: str) -> SpecError:
    made = next((each for each in source.columns if each.shape.name == column), None)
    if made is not None and isinstance(made.origin, Rename):
        return SpecError(
            f"{source.relation} has no column {column}: that is the target's.",
            fix=f"name the source's own, {made.origin.source}.",
            where=at,
        )
    return SpecError(
        f"{source.relation} has no column {column} to find new rows by. {meant(column, source.shape.names)}", where=at
    )


def _of_column(spec: Spec, column: ColumnShape, overlap: Overlap | None) -> BoundCursor:
    kind, zone = column.type, spec.source.time_zone
    numbers = pa.types.is_integer(kind) or pa.types.is_decimal(kind)
    times = pa.types.is_timestamp(kind) or pa.types.is_date(kind)
    if column.refused or column.meaning != "plain" or not (numbers or times):
        raise SpecError(
            f"{column.name} is {column.native}: no number, date or time that grows with each change.",
            fix="take a column of when rows were changed, or the number of an insert.",
        )
    if times and not (pa.types.is_timestamp(kind) and kind.tz is not None) and zone is None:
        raise SpecError(
            f"{column.name} is {column.native}, and nothing says in which time zone: whether a time is ahead of the clock, or clocks "
            f"were set back, cannot be told.",
            fix="give source.time_zone, such as UTC.",
        )
    if overlap is not None and isinstance(overlap, timedelta) != times:
        raise SpecError(
            f"overlap is a {'number' if times else 'time'}, and {column.name} is {column.native}.",
            fix="write a time such as 10m." if times else "write a plain number, such as 1000.",
        )
    usual: Overlap = OVERLAP if times else 0
    return BoundCursor(column.name, column, Scale(kind, zone), usual if overlap is None else overlap)
