"""Numbers and shares of rows as people read them."""

from __future__ import annotations


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
