"""Where the rows of a table are read, and where they go."""

from __future__ import annotations

from dataclasses import dataclass

from flows.bind.tables import BoundTable
from flows.session.side import Side, WrittenSide


@dataclass(frozen=True, slots=True)
class Route:
    """A way that rows of a table take: from the side that is read, through the table's mapping, to the side that is written.

    A plan wants the rows of `reads` as they are mapped, and finds those of `writes` as they are. `table` is bound for this way:
    its source is on `reads`, its shape is that of `writes`.
    """

    reads: Side
    writes: WrittenSide
    table: BoundTable
