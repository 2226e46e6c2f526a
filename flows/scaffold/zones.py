"""Where a draft takes naive timestamps to be: the side's own time zone as its server says it, marked as a guess."""

from __future__ import annotations

from zoneinfo import available_timezones

import pyarrow as pa

from adapters.protocol import Catalog
from flows.spec.types import suggested
from transforms.vocabulary import ColumnShape, SideName


def zoned_side(own: ColumnShape, there: ColumnShape) -> SideName | None:
    """The side whose time zone a cast between two columns needs; None where it needs none.

    What becomes an instant is read in the source's zone; what an instant becomes is written in the target's.
    """
    instant_here, instant_there = _is_instant(own.type), _is_instant(there.type)
    if instant_here == instant_there:
        return None
    naive = there.type if instant_here else own.type
    if not (pa.types.is_timestamp(naive) or pa.types.is_date(naive) or pa.types.is_string(naive)):
        return None
    if instant_here:
        return None if pa.types.is_string(naive) else "target"
    return "source"


def _is_instant(kind: pa.DataType) -> bool:
    return bool(pa.types.is_timestamp(kind) and kind.tz is not None)


def cast_to(column: ColumnShape) -> str:
    """The cast that leads to a column, in the time zone of a side where it needs one."""
    return "timestamptz" if _is_instant(column.type) else suggested(column).strip('"')


def guessed_zone(adapter: Catalog) -> tuple[str, str]:
    """A name that a spec takes, and how it was come by."""
    named = adapter.usual_zone()
    if named in available_timezones():
        return str(named), f"a guess, because {adapter.url} is in it itself. Correct it where they are elsewhere."
    why = (
        f"{adapter.url} names none"
        if named is None
        else f"{adapter.url} is in {named}, which is no name of a time zone"
    )
    return "UTC", f"a guess, because {why}. Correct it where they are elsewhere."
