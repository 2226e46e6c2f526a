"""Rows that cannot be mapped: the first fault of each, and what is kept of it."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import numpy.typing as npt
import pyarrow as pa

from transforms import casts
from transforms.casts import Cast
from transforms.keys import Mask

REJECTED = pa.schema(
    [
        ("reason", pa.string()),
        ("column", pa.string()),
        ("key", pa.string()),
        ("value", pa.string()),
        ("source", pa.string()),
    ]
)
"""Why rows were set aside: the reason, the target column, the key as JSON array, the value, the source row as JSON."""


@dataclass(slots=True)
class Faults:
    """The first fault of each row, collected column by column."""

    size: int
    which: npt.NDArray[np.int32] = field(init=False)
    reasons: list[tuple[str, str, pa.Array | None]] = field(default_factory=list)

    def __post_init__(self) -> None:
        self.which = np.full(self.size, -1, dtype=np.int32)

    def add(self, bad: Mask, column: str, reason: str, values: pa.Array | None = None) -> None:
        fresh = bad & (self.which < 0)
        if fresh.any():
            self.which[fresh] = len(self.reasons)
            self.reasons.append((column, reason, values))

    def checked(self, values: pa.Array, wanted: Cast, column: str) -> pa.Array:
        """The values cast exactly; those that cannot be are faults of their rows."""
        result = casts.cast(values, wanted)
        self.add(result.bad, column, result.reason, values)
        return result.values
