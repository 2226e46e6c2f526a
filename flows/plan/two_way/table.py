"""What is known of a table of a plan of both sides while its windows are planned."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field

from adapters.store.agreed import Parts
from flows.bind.tables import BoundTable
from flows.plan.decide import Planned
from flows.plan.two_way.window import BothPlanned
from transforms.vocabulary import SideName

Before = Mapping[SideName, Sequence[Planned]]
"""The windows of other tables, by side."""


@dataclass(slots=True)
class TableOfBoth:
    """A table and its windows; those `aside` write the target alone. `hashed`: into how many parts it is cut where its key has no order.
    `known` is what both sides agreed on, and `plan` plans a window again, by its number."""

    bound: BoundTable
    hashed: int = 0
    windows: list[BothPlanned] = field(default_factory=list)
    aside: list[Planned] = field(default_factory=list)
    known: Parts | None = None
    plan: Callable[[int], BothPlanned] | None = None

    @property
    def of_target(self) -> list[Planned]:
        return [*(each.target for each in self.windows), *self.aside]


def windows_by_side(tables: Sequence[TableOfBoth]) -> Before:
    """The windows of tables."""
    return {
        "target": [each for some in tables for each in some.of_target],
        "source": [each.source for some in tables for each in some.windows],
    }
