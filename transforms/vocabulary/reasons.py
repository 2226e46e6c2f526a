"""Why a row is set aside or refused."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Refusal:
    """Why an engine would not take a row, whatever the other rows are, and the columns that it looks at, where they are known."""

    reason: str
    columns: tuple[str, ...] = ()
