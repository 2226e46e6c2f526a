"""How a client or target differs from what its spec makes it, and since when."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any

from flows.results.shares import counted


@dataclass(frozen=True, slots=True)
class Differing:
    """`rows` that are other ones on both sides, by table. `equal_at`: when a run or a verification, `equal_by`, found or left both
    equal the last time; None where none did. `edited`: files that were changed since, and when they were changed last."""

    rows: Mapping[str, int]
    equal_at: datetime | None = None
    equal_by: str | None = None
    edited: Mapping[str, datetime] = field(default_factory=dict)

    @property
    def total(self) -> int:
        return sum(self.rows.values())

    @property
    def text(self) -> str:
        """`differs in 2 rows (app 2) since 2026-11-29 19:00:01 UTC, when run 7 left both equal; web.yaml was edited at …`"""
        if not self.total:
            return "equal"
        listed = ", ".join(f"{name} {rows:,}" for name, rows in self.rows.items() if rows)
        when = "; no run or verification has found both equal"
        if self.equal_at is not None:
            when = f" since {_shown(self.equal_at)}, when {self.equal_by} left both equal"
        edits = "".join(f"; {path} was edited at {_shown(at)}" for path, at in self.edited.items())
        return f"differs in {counted(self.total, 'row')} ({listed}){when}{edits}"

    def as_dict(self) -> dict[str, Any]:
        return {
            "rows": dict(self.rows),
            "since": None if self.equal_at is None else self.equal_at.isoformat(),
            "equal_by": self.equal_by,
            "edited": {path: at.isoformat() for path, at in self.edited.items()},
        }


def _shown(at: datetime) -> str:
    return f"{at.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"
