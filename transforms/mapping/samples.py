"""What values that do not fit have in common: the longest, the ends, the most digits, and which they are."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from transforms.vocabulary.texts import as_text, decimal_text

DISTINCT = 1_000  # different values that are counted one by one


@dataclass(slots=True)
class Evidence:
    """What is known of a set of values, added up batch by batch.

    `characters` and `octets` are those of the longest text; `smallest` and `largest` are numbers or times as texts;
    `whole` and `behind` the most digits before and behind the point, and `worded` how many texts are no such number.
    `counted` says how often each value is there, None where there are more than DISTINCT.
    """

    characters: int | None = None
    octets: int | None = None
    whole: int | None = None
    behind: int | None = None
    worded: int = 0
    counted: Counter[str] | None = field(default_factory=Counter)
    _ends: pa.Array | None = None

    def add(self, values: pa.Array, *, listed: bool = False) -> None:
        """Take more values in; `listed`: each of them is counted. Nulls tell nothing."""
        values = values.drop_null()
        if not len(values):
            return
        kind = values.type
        if pa.types.is_string(kind):
            self.characters = _more(self.characters, pc.utf8_length(values))
        if pa.types.is_string(kind) or pa.types.is_binary(kind):
            self.octets = _more(self.octets, pc.binary_length(values))
        if pa.types.is_decimal(kind) or pa.types.is_string(kind):
            self._count_digits(decimal_text(values, trim=True) if pa.types.is_decimal(kind) else values)
        if pa.types.is_integer(kind) or pa.types.is_decimal(kind) or pa.types.is_floating(kind) or _is_time(kind):
            self._widen(values)
        if listed and self.counted is not None:
            for each in pc.value_counts(as_text(values)).to_pylist():
                self.counted[each["values"]] += each["counts"]
            self.counted = self.counted if len(self.counted) <= DISTINCT else None

    def _widen(self, values: pa.Array) -> None:
        if self._ends is not None and self._ends.type == values.type:
            values = pa.concat_arrays([self._ends, values])
        span = pa.types.is_duration(values.type)  # Arrow compares these only as numbers
        ends = pc.min_max(values.view(pa.int64()) if span else values)
        both = pa.array([ends["min"], ends["max"]], pa.int64() if span else values.type)
        self._ends = both.view(values.type) if span else both

    def _count_digits(self, texts: pa.Array) -> None:
        numbers = texts.filter(pc.match_substring_regex(texts, r"^-?\d+(\.\d+)?$"))
        self.worded += len(texts) - len(numbers)
        if not len(numbers):
            return
        parts = pc.extract_regex(numbers, r"^-?0*(?P<whole>\d*?)(?:\.(?P<behind>\d*?)0*)?$")
        self.whole = _more(self.whole, pc.utf8_length(pc.struct_field(parts, "whole")))
        self.behind = _more(self.behind, pc.utf8_length(pc.struct_field(parts, "behind")))

    @property
    def smallest(self) -> str | None:
        return None if self._ends is None else as_text(self._ends)[0].as_py()

    @property
    def largest(self) -> str | None:
        return None if self._ends is None else as_text(self._ends)[1].as_py()


def _is_time(kind: pa.DataType) -> bool:
    return bool(pa.types.is_temporal(kind))


def _more(known: int | None, sizes: Any) -> int:
    largest = int(pc.max(sizes).as_py() or 0)
    return largest if known is None else max(known, largest)
