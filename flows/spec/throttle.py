"""`throttle:` of a spec: how much a run may ask of both databases."""

from __future__ import annotations

from typing import Any

from pydantic import Field, model_validator

from flows.spec.columns import Strict

LEAST_WINDOW = 1_000  # rows, below which windows would be more work than what is in them


class Throttle(Strict):
    """How many rows a second are read from the source and written to the target."""

    rows_per_second: int = Field(
        ge=1,
        examples=[5000],
        description="Rows that are read from the source or written, of all workers of a process together.",
    )

    @model_validator(mode="before")
    @classmethod
    def _short(cls, value: Any) -> Any:
        return {"rows_per_second": value} if isinstance(value, int | str) else value

    def window(self, rows: int) -> int:
        """How many rows a window has that may have `rows`: no more than come in a second, so that nothing is written in bursts."""
        return min(rows, max(self.rows_per_second, LEAST_WINDOW))
