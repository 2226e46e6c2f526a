"""Numbers and shares of rows as people read them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

DONE_TO: Final[Mapping[str, str]] = {"insert": "inserted", "update": "updated", "delete": "deleted"}
"""What became of rows, by what was to be done to them."""


def counted(number: int, noun: str) -> str:
    """1 row, 2 rows."""
    return f"{number:,} {noun}{'' if number == 1 else 's'}"


def percent(part: int, whole: int) -> str:
    """A share as people read it: neither is a little nothing, nor nearly all of it all."""
    if 0 < part * 100 < whole:
        return "less than 1 %"
    if part < whole and part * 200 >= whole * 199:
        return "more than 99 %"
    return f"{100 * part / whole:.0f} %" if whole else "0 %"
