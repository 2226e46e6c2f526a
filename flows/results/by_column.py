"""In how many rows each column differs, and what share of the rows on both sides is the same in it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from flows.results.shares import percent
from transforms.vocabulary import Counts


@dataclass(frozen=True, slots=True)
class ColumnDifference:
    """A column with the rows in which it differs, `of` those that are on both sides."""

    column: str
    rows: int
    of: int

    @property
    def match(self) -> float:
        """The share of rows that are the same in it."""
        return 1 - self.rows / self.of if self.of else 1.0

    @property
    def rate(self) -> str:
        """The same for people, never rounded up to all or down to none."""
        return percent(self.of - self.rows, self.of)

    def as_dict(self) -> dict[str, Any]:
        return {"column": self.column, "rows": self.rows, "of": self.of, "match": self.match}


def by_column(differing: Mapping[str, int], counts: Counts) -> tuple[ColumnDifference, ...]:
    """The columns that differ, those in most rows first; `counts` are those of the side that the rows are planned for."""
    of = max([counts.update + counts.unchanged, *differing.values()])
    ordered = sorted(differing.items(), key=lambda item: (-item[1], item[0]))
    return tuple(ColumnDifference(column, rows, of) for column, rows in ordered)
