"""Not faster than asked for: one bucket of rows for all workers of a process."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from functools import cache
from pathlib import Path
from typing import Final

from adapters import interrupts
from flows.spec.members import family
from flows.spec.model import Spec

SPARE_SECONDS: Final = 0.1  # how much of what nobody took is kept for later
LOOKS_SECONDS: Final = 0.2  # how often somebody who waits looks whether a signal came


class Pace:
    """A bucket that fills with `rate` rows a second, from which many threads take; without a rate it is never empty.

    Whoever takes rows waits until all that were taken are paid for: n rows last (n / rate - SPARE_SECONDS) or longer, whoever
    takes them, and in portions of any size.
    """

    def __init__(
        self,
        rate: float | None = None,
        clock: Callable[[], float] = time.monotonic,
        sleep: Callable[[float], None] = time.sleep,
    ) -> None:
        self.rate = rate
        self._clock, self._sleep = clock, sleep
        self._lock = threading.Lock()
        self._paid = clock()

    def take(self, rows: int) -> None:
        """Wait until so many more rows are paid for. Errors: Interrupted where a signal comes meanwhile."""
        if self.rate is None or not rows:
            return
        with self._lock:
            self._paid = due = max(self._paid, self._clock() - SPARE_SECONDS) + rows / self.rate
        while (left := due - self._clock()) > 0:
            interrupts.check()
            self._sleep(min(left, LOOKS_SECONDS))


def pace_of(spec: Spec) -> Pace:
    """The pace of a spec in this process: one for all of its runs, clients and targets. Processes of a Dask cluster have a share each."""
    if spec.throttle is None:
        return Pace()
    apart = spec.workers if spec.defaults.runner.kind == "dask" else 1
    return _shared(spec.folder, family(spec.name), spec.throttle.rows_per_second / apart)


@cache
def _shared(_folder: Path, _migration: str, rate: float) -> Pace:
    return Pace(rate)
