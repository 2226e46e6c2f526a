"""The flow `migrate` into a target that takes its time from the third window on: a run that can be stopped in the middle."""

from __future__ import annotations

import os
from pathlib import Path
from time import monotonic, sleep
from typing import Any

from adapters import interrupts
from adapters.sqlite.adapter import SqliteAdapter
from flows.migrate import migrate

__all__ = ["migrate"]

real = SqliteAdapter.apply


def slow(self: SqliteAdapter, changes: Any, shape: Any, marker: Any, **how: Any) -> Any:
    """Say that the middle is reached, by a file, and wait until the process is to end."""
    if marker.window >= 2:
        Path(os.environ["IN_THE_MIDDLE"]).touch()
        until = monotonic() + 20
        while interrupts.received() is None and monotonic() < until:
            sleep(0.05)
    return real(self, changes, shape, marker, **how)


SqliteAdapter.apply = slow  # type: ignore[method-assign]
