"""What came of checks at a checkpoint, as it is printed and stored."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from adapters.expectations.run import Checked


@dataclass(frozen=True, slots=True)
class Checkpoint:
    """What came of one table's checks at one checkpoint; `rows` is how many were looked at, None where it was in SQL.

    `notes` say what was not looked at, and why.
    """

    name: str  # planned or loaded
    table: str
    rows: int | None
    results: tuple[Checked, ...]
    notes: tuple[str, ...] = ()

    @property
    def failed(self) -> tuple[Checked, ...]:
        return tuple(each for each in self.results if not each.passed)

    def __str__(self) -> str:
        passed = f"{len(self.results) - len(self.failed)} of {len(self.results)} checks passed"
        over = "in SQL" if self.rows is None else f"over {self.rows:,} rows"
        return f"{self.name} checkpoint, {self.table}: {passed} {over}"

    @property
    def critical(self) -> tuple[Checked, ...]:
        return tuple(each for each in self.failed if each.severity == "critical")

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "results": [each.as_dict() for each in self.results]}
