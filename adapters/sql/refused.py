"""What to do about rows that an engine refuses: the row itself is wrong, or it came before or without another one."""

from __future__ import annotations

from typing import Final, Literal

Refused = Literal["row", "reference", "double"]

FIX: Final[dict[Refused, str]] = {
    "row": "correct or quarantine the row, then plan again.",
    "reference": (
        "the row need not be wrong: one that it refers to is not there yet, or one that others refer to was to go first. Plan "
        "these tables together (without --table and --range), or make the constraint DEFERRABLE; where the other row is in quarantine, "
        "take the column from a `lookup`, so that this row waits with it."
    ),
    "double": (
        "another row of the target has this value. Where it is to give it up in the same run, run in two steps: first without the "
        "new row (`where:`), then with it; else one of the two is to be corrected at the source."
    ),
}
