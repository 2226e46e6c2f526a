"""What a value of a key stands for that comes from a lookup: `purchase(no=p9)` says more than its number."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

Row = Mapping[str, str | None]


@dataclass(frozen=True, slots=True)
class Stands:
    """A row of a table that the spec calls so, by the columns in `by`, as texts."""

    table: str
    by: Row

    def __str__(self) -> str:
        inside = ", ".join(f"{name}={'null' if value is None else value}" for name, value in self.by.items())
        return f"{self.table}({inside})"


StandsFor = Mapping[str, Stands]
"""By the columns of a key that are looked up, as far as it is known what they stand for."""


def in_words(stands: StandsFor) -> str:
    """As people read it: `order_id → purchase(no=p9)`; nothing where nothing is known."""
    return ", ".join(f"{column} → {each}" for column, each in stands.items())


def as_dict(stands: StandsFor) -> dict[str, Any]:
    """JSON-ready: `{"order_id": {"table": "purchase", "by": {"no": "p9"}}}`."""
    return {column: {"table": each.table, "by": dict(each.by)} for column, each in stands.items()}


def from_dict(told: Mapping[str, Any]) -> StandsFor:
    """What `as_dict` gave."""
    return {column: Stands(each["table"], each["by"]) for column, each in told.items()}
