"""Rows that cannot be mapped: the first fault of each, or all of them, and what is kept of it."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.mapping import casts
from transforms.mapping.casts import Cast
from transforms.vocabulary import Reason, reason_of, text_of
from transforms.vocabulary.arrow import Mask, as_mask, contiguous

REJECTED = pa.schema(
    [
        ("why", pa.string()),
        ("key", pa.string()),
        ("value", pa.string()),
        ("source", pa.string()),
        ("mapped", pa.string()),
    ]
)
"""Rows that were set aside: why (a Reason as JSON), the key as JSON array, the value, and as JSON the source row and what
could be mapped of it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The rows of a batch that share a reason; `values` are those that did not fit."""

    rows: Mask
    reason: Reason
    values: pa.Array | None = None


@dataclass(slots=True)
class Faults:
    """The first fault of each row, collected column by column.

    With `every`, `found` has all faults of all rows besides, and `noted` what was mended because the spec says so.
    A null that an earlier fault of its column left behind is no fault of its own.
    """

    size: int
    every: bool = False
    which: npt.NDArray[np.int32] = field(init=False)
    reasons: list[tuple[Reason, pa.Array | None]] = field(default_factory=list)
    found: list[Fault] = field(default_factory=list)
    noted: list[Fault] = field(default_factory=list)
    _faulty: dict[str, Mask] = field(default_factory=dict)
    _unread: Mask | None = None

    def __post_init__(self) -> None:
        self.which = np.full(self.size, -1, dtype=np.int32)

    def unread(self, invalid: pa.Array) -> None:
        """Rows that the reader could not read: its INVALID column."""
        reasons, numbers = encoded(invalid)
        unread: Mask = numbers >= 0
        if not unread.any():
            return
        fresh = unread & (self.which < 0)
        self.which[fresh] = numbers[fresh] + len(self.reasons)
        self.reasons += [(reason, None) for reason in reasons]
        if self.every:
            self._unread = unread
            self.found += unread_faults(invalid)

    def add(self, bad: Mask, reason: Reason, values: pa.Array | None = None) -> None:
        """Rows that have a fault. In: a reason with its columns."""
        fresh = bad & (self.which < 0)
        if fresh.any():
            self.which[fresh] = len(self.reasons)
            self.reasons.append((reason, values))
        if self.every and bad.any():
            self._keep(bad, reason, values)

    def note(self, rows: Mask, reason: Reason, values: pa.Array | None = None) -> None:
        """Rows that have no fault only because the spec says what to do with such values."""
        if rows.any():
            self.noted.append(Fault(rows, reason, values))

    def checked(self, values: pa.Array, wanted: Cast, column: str) -> pa.Array:
        """The values cast exactly; those that cannot be are faults of their rows."""
        result = casts.cast(values, wanted)
        for bad, reason in result.faults:
            self.add(bad, reason.of((column,)), values)
        return result.values

    def _keep(self, bad: Mask, reason: Reason, values: pa.Array | None) -> None:
        left_null = np.zeros(self.size, dtype=bool) if self._unread is None else self._unread.copy()
        for name in reason.columns:
            left_null |= self._faulty.get(name, False)
        if values is not None:
            left_null &= ~as_mask(pc.is_valid(values))
        bad = bad & ~left_null
        if bad.any():
            if reason.column is not None:
                self._faulty[reason.column] = self._faulty.get(reason.column, False) | bad
            self.found.append(Fault(bad, reason, values))


def encoded(whys: pa.Array | pa.ChunkedArray) -> tuple[list[Reason], npt.NDArray[np.int64]]:
    """Reasons written as JSON: each once, and for each row the place of its own; -1 for null."""
    if isinstance(whys, pa.ChunkedArray):
        whys = contiguous(whys)
    found = whys.dictionary_encode()
    numbers = pc.fill_null(found.indices, -1).to_numpy(zero_copy_only=False)
    return [reason_of(text) for text in found.dictionary.to_pylist()], numbers


def listed(rejected: pa.Table) -> pa.Table:
    """Rejected rows with their reasons as people read them, and as data beside: reason, column, code and facts for `why`."""
    reasons, numbers = encoded(rejected.column("why"))
    told = {
        "reason": [text_of(reason) for reason in reasons],
        "column": [", ".join(reason.columns) for reason in reasons],
        "code": [None if reason.code == "untyped" else reason.code for reason in reasons],
        "facts": [json.dumps(reason.facts, ensure_ascii=False) for reason in reasons],
    }
    rows = rejected.drop_columns(["why"])
    for name, texts in told.items():
        rows = rows.append_column(name, pa.array(texts, pa.string()).take(pa.array(numbers)))
    return rows


def unread_faults(invalid: pa.Array) -> Iterator[Fault]:
    """What a scan's INVALID column says, by the column of the source and what is wrong with it; `values` are those that it
    holds, as people read them."""
    reasons, numbers = encoded(invalid)
    places: dict[Reason, list[int]] = {}
    for place, reason in enumerate(reasons):
        places.setdefault(reason.without("value", "stored"), []).append(place)
    values = pa.array([reason.facts.get("value") for reason in reasons], pa.string())
    shown = values.take(pa.array(numbers, mask=numbers < 0))
    for reason, some in places.items():
        yield Fault(np.isin(numbers, some), reason, shown)
