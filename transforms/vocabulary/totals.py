"""Totals of rows: what is known of them all together, exactly, whatever their order and their batches."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from decimal import Decimal
from fractions import Fraction

End = int | float | Decimal | bytes | None
"""The least or the greatest value of a column; None where it has no values."""


@dataclass(frozen=True, slots=True)
class ColumnTotals:
    """What is known of a column: how many values and nulls, the ends, and the exact sum.

    `least` and `most` compare as the column does: texts by their bytes, times as numbers. Of texts and bytes they are the
    first 1,024 bytes, which stand in the same order, and the sum is that of all lengths in bytes. NaN and infinities are
    counted apart, and are in neither ends nor sum.
    """

    values: int = 0
    nulls: int = 0
    least: End = None
    most: End = None
    total: Fraction | None = None
    odd: Mapping[str, int] = field(default_factory=dict)

    def __add__(self, other: ColumnTotals) -> ColumnTotals:
        sums = [each for each in (self.total, other.total) if each is not None]
        odd = {name: self.odd.get(name, 0) + other.odd.get(name, 0) for name in (*self.odd, *other.odd)}
        return ColumnTotals(
            self.values + other.values,
            self.nulls + other.nulls,
            _end(min, self.least, other.least),
            _end(max, self.most, other.most),
            sum(sums, Fraction(0)) if sums else None,
            odd,
        )


@dataclass(frozen=True, slots=True)
class Totals:
    """What is known of some rows: how many, how many distinct keys, and the totals of each column."""

    rows: int = 0
    distinct_keys: int = 0
    columns: Mapping[str, ColumnTotals] = field(default_factory=dict)

    def __add__(self, other: Totals) -> Totals:
        """The totals of both. In: no key is in both."""
        names = dict.fromkeys([*self.columns, *other.columns])
        none = ColumnTotals()
        columns = {name: self.columns.get(name, none) + other.columns.get(name, none) for name in names}
        return Totals(self.rows + other.rows, self.distinct_keys + other.distinct_keys, columns)


@dataclass(frozen=True, slots=True)
class Tally:
    """Totals of a window or a table: of the rows that the mapping wants, of those that stay in the target besides
    (set aside, or never deleted), and of the target as it was, None where that is about to change."""

    wanted: Totals = field(default_factory=Totals)
    kept: Totals = field(default_factory=Totals)
    found: Totals | None = field(default_factory=Totals)

    def __add__(self, other: Tally) -> Tally:
        both = None if self.found is None or other.found is None else self.found + other.found
        return Tally(self.wanted + other.wanted, self.kept + other.kept, both)


def _end(choose: Callable[..., End], one: End, other: End) -> End:
    if one is None or other is None:
        return other if one is None else one
    return choose(one, other)
