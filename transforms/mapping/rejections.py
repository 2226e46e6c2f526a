"""Rows that cannot be mapped: the first fault of each, or all of them, and what is kept of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa
import pyarrow.compute as pc

from transforms.keys import Mask, as_mask
from transforms.mapping import casts
from transforms.mapping.casts import Cast
from transforms.vocabulary import Key

REJECTED = pa.schema(
    [
        ("reason", pa.string()),
        ("column", pa.string()),
        ("key", pa.string()),
        ("value", pa.string()),
        ("source", pa.string()),
        ("mapped", pa.string()),
    ]
)
"""Why rows were set aside: the reason, the target column, the key as JSON array, the value, and as JSON the source row
and what could be mapped of it."""


@dataclass(frozen=True, slots=True)
class Fault:
    """The rows of a batch that share a reason. `column` is the target's; `values` are those that did not fit.

    Where the reader could not read rows, `column` and `reason` are empty, and `values` says why, row by row.
    """

    rows: Mask
    column: str
    reason: str
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
    reasons: list[tuple[str, str, pa.Array | None]] = field(default_factory=list)
    found: list[Fault] = field(default_factory=list)
    noted: list[Fault] = field(default_factory=list)
    _faulty: dict[str, Mask] = field(default_factory=dict)
    _unread: Mask | None = None

    def __post_init__(self) -> None:
        self.which = np.full(self.size, -1, dtype=np.int32)

    def unread(self, reasons: pa.Array) -> None:
        """Rows that the reader could not read, each with its own reason; null for all others."""
        encoded = reasons.dictionary_encode()
        codes = pc.fill_null(encoded.indices, -1).to_numpy(zero_copy_only=False)
        unread: Mask = codes >= 0
        if not unread.any():
            return
        fresh = unread & (self.which < 0)
        self.which[fresh] = codes[fresh] + len(self.reasons)
        self.reasons += [("", text, None) for text in encoded.dictionary.to_pylist()]
        if self.every:
            self._unread = unread
            self.found.append(Fault(unread, "", "", reasons))

    def add(self, bad: Mask, column: str, reason: str, values: pa.Array | None = None, of: Key = ()) -> None:
        """Rows that have a fault. `of`: the columns that it is about, where it is not `column` alone."""
        fresh = bad & (self.which < 0)
        if fresh.any():
            self.which[fresh] = len(self.reasons)
            self.reasons.append((column, reason, values))
        if self.every and bad.any():
            self._keep(bad, column, reason, values, of or (column,))

    def note(self, rows: Mask, column: str, reason: str, values: pa.Array | None = None) -> None:
        """Rows that have no fault only because the spec says what to do with such values."""
        if rows.any():
            self.noted.append(Fault(rows, column, reason, values))

    def checked(self, values: pa.Array, wanted: Cast, column: str) -> pa.Array:
        """The values cast exactly; those that cannot be are faults of their rows."""
        result = casts.cast(values, wanted)
        for bad, reason in result.apart or ((result.bad, result.reason),):
            self.add(bad, column, reason, values)
        return result.values

    def _keep(self, bad: Mask, column: str, reason: str, values: pa.Array | None, of: Key) -> None:
        left_null = np.zeros(self.size, dtype=bool) if self._unread is None else self._unread.copy()
        for name in of:
            left_null |= self._faulty.get(name, False)
        if values is not None:
            left_null &= ~as_mask(pc.is_valid(values))
        bad = bad & ~left_null
        if bad.any():
            self._faulty[column] = self._faulty.get(column, False) | bad
            self.found.append(Fault(bad, column, reason, values))
