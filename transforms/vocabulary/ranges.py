"""Ranges of keys and of columns."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from transforms.vocabulary.names import KeyValue


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Keys from `start` (inclusive) to `stop` (exclusive), compared as tuples; None is unbounded.

    Rows with a null in the key belong to the range only where `nulls` is set.
    """

    start: KeyValue | None = None
    stop: KeyValue | None = None
    nulls: bool = True


@dataclass(frozen=True, slots=True)
class ColumnRange:
    """Values of one column in `[start, stop)`; None is unbounded, null values are outside unless `nulls` says otherwise."""

    column: str
    start: Any = None
    stop: Any = None
    nulls: bool = False
