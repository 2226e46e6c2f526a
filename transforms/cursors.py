"""How far rows were read by a cursor: the column that says when a row was written, or in which order rows came.

A *mark* is the highest value that was read. The next run begins below it, by the overlap: rows are stamped before they are committed, so
that one may come to light with a stamp that was passed. A mark is never ahead of the clock, or of the oldest transaction that was still
open: what is written from now on would be missed.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Final
from zoneinfo import ZoneInfo

import pyarrow as pa
import pyarrow.compute as pc

Overlap = timedelta | int
SAMPLED: Final = timedelta(days=30)  # no zone sets its clocks back and forth again in less


@dataclass(frozen=True, slots=True)
class Scale:
    """The values of a cursor column: their type, and the zone of those times and dates that say none; None for numbers."""

    type: pa.DataType
    zone: str | None

    @property
    def is_time(self) -> bool:
        return bool(pa.types.is_timestamp(self.type) or pa.types.is_date(self.type))

    def start(self, mark: Any, overlap: Overlap, now: datetime) -> Any:
        """From where on rows may have been written after `mark` was the highest value.

        Where clocks were set back since then, as they are each autumn, that much lower.
        """
        if not self.is_time:
            return mark - overlap
        assert isinstance(overlap, timedelta), "binding has seen to it"
        if isinstance(mark, datetime):
            if mark.tzinfo is not None:
                return mark - overlap
            zone = ZoneInfo(str(self.zone))
            began = mark.replace(tzinfo=zone).astimezone(UTC) - overlap
            moments = [began, now]
            while (later := moments[-2] + SAMPLED) < now:
                moments.insert(-1, later)
            least = min(each.astimezone(zone).utcoffset() or timedelta() for each in moments)
            return (began + least).replace(tzinfo=None)
        return mark - timedelta(days=-(-overlap // timedelta(days=1)))

    def ahead(self, moment: datetime) -> Any:
        """A moment as a value of the column; None where it has no times."""
        if not self.is_time:
            return None
        if pa.types.is_timestamp(self.type) and self.type.tz is not None:
            return moment
        local = moment.astimezone(ZoneInfo(str(self.zone))).replace(tzinfo=None)
        return local if pa.types.is_timestamp(self.type) else local.date()

    def highest(self, columns: Iterable[pa.Array]) -> pa.Scalar:
        """The highest of all values, null where there is none."""
        ends = [pa.array([], self.type), *(pa.array([pc.max(each)], self.type) for each in columns)]
        return pc.max(pa.chunked_array(ends, self.type))

    def mark(self, highest: pa.Scalar, moment: datetime) -> Any:
        """The mark of rows up to `highest`: never ahead of a moment. None where there is no value."""
        if not highest.is_valid:
            return None
        cap = self.ahead(moment)
        if cap is not None and pc.greater(highest, pa.scalar(cap, self.type)).as_py():
            return cap
        if pa.types.is_timestamp(self.type):
            highest = highest.cast(pa.timestamp("us", self.type.tz), safe=False)
        try:
            return highest.as_py()
        except (OverflowError, ValueError):  # minus infinity, and nothing above it
            return None

    def below(self, highest: pa.Scalar, mark: Any) -> bool:
        """Whether no value is as high as a mark, as where clocks were set back."""
        return not highest.is_valid or bool(pc.less(highest, pa.scalar(mark, self.type)).as_py())

    def written(self, mark: Any) -> str:
        """A mark as text."""
        return str(mark.isoformat()) if isinstance(mark, date) else str(mark)

    def read(self, text: str) -> Any:
        """The mark that was written as a text. ValueError where it is none of this column."""
        if pa.types.is_timestamp(self.type):
            mark = datetime.fromisoformat(text)
            if (mark.tzinfo is None) != (self.type.tz is None):
                raise ValueError(text)
            return mark
        if pa.types.is_date(self.type):
            return date.fromisoformat(text)
        return int(text) if pa.types.is_integer(self.type) else Decimal(text)
