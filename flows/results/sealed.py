"""How much of a table was not read, since both sides are as they were."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from flows.plan.decide import Planned
from flows.results.shares import counted


@dataclass(frozen=True, slots=True)
class Sealed:
    """How many windows of a table were not read, of how many, and how many rows they have on each side: they are as they were when
    nothing was to do in them."""

    windows: int
    of: int
    rows: int

    def __str__(self) -> str:
        was = "was" if self.windows == 1 else "were"
        return f"{self.windows:,} of {counted(self.of, 'window')} {was} as sealed, with {counted(self.rows, 'row')}, and not read"


def sealed_of(planned: Sequence[Planned]) -> Sealed | None:
    """What windows of a table say of it; None where they are not sealed."""
    windows = [each for each in planned if each.seal is not None]
    passed = [each.counts.source_rows for each in windows if each.sealed]
    return Sealed(len(passed), len(windows), sum(passed)) if windows else None
