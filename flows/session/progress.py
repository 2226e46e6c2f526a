"""How far a run is, in rows that add up: one account for terminals, logs, other programs and Prefect."""

from __future__ import annotations

import threading
from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from time import monotonic
from typing import Any

from flows.session.meter import Meter


@dataclass(frozen=True, slots=True)
class Part:
    """The work on a table in one phase. `of`: how many rows it will be in all, at least those that are done; exact once finished."""

    table: str
    what: str
    done: int = 0
    of: int = 0
    seconds: float = 0.0
    begun: bool = False
    finished: bool = False

    @property
    def rate(self) -> float:
        """Rows a second since it began; 0 where that was just now."""
        return self.done / self.seconds if self.seconds else 0.0

    @property
    def remaining(self) -> float | None:
        """Seconds until the rest is through at that rate, None where nothing is yet."""
        return 0.0 if self.finished else (self.of - self.done) / self.rate if self.rate else None

    def as_dict(self) -> dict[str, Any]:
        left = self.remaining
        return {
            "table": self.table, "phase": self.what, "rows": self.done, "of": self.of, "finished": self.finished,
            "seconds": round(self.seconds, 3), "rows_per_second": round(self.rate),
            "seconds_left": None if left is None else round(left, 1),
        }  # fmt: skip


@dataclass(frozen=True, slots=True)
class Step:
    """The part of a longer work that runs now; `number` counts from 1."""

    number: int
    of: int
    what: str

    def __str__(self) -> str:
        return f"step {self.number:,} of {self.of:,}, {self.what}"

    @property
    def share(self) -> float:
        """Which share of all steps was through when this one began."""
        return (self.number - 1) / self.of


class Progress(Meter):
    """Adds up what threads report.

    Rows that are expected add up too, as where stages write to one table by turns. A part that was only foreseen, or had finished, begins
    anew when rows are expected of it again.
    """

    silent = False

    def __init__(self, clock: Callable[[], float] = monotonic) -> None:
        self._clock = clock
        self._lock = threading.Lock()
        self._parts: dict[tuple[str, str], Part] = {}
        self._starts: dict[tuple[str, str], float] = {}
        self._step: Step | None = None

    def foresee(self, what: str, tables: Mapping[str, int]) -> None:
        with self._lock:
            for table, rows in tables.items():
                self._parts.setdefault((table, what), Part(table, what, of=rows))
        self.changed(None)

    def expect(self, table: str, what: str, rows: int) -> None:
        with self._lock:
            known = self._parts.get((table, what))
            if known is None or not known.begun or known.finished:
                self._starts[table, what] = self._clock()
                known = Part(table, what, begun=True)
            part = self._put(replace(known, of=known.of + rows))
        self.changed(part)

    def advance(self, table: str, what: str, rows: int) -> None:
        with self._lock:
            known = self._of(table, what)
            part = self._put(replace(known, done=known.done + rows, of=max(known.of, known.done + rows)))
        self.changed(part)

    def finish(self, table: str, what: str) -> None:
        with self._lock:
            known = self._parts.get((table, what))
            if known is None or known.finished:
                return
            part = self._put(replace(self._of(table, what), of=known.done, finished=True))
        self.changed(part)

    def step(self, number: int, of: int, what: str) -> None:
        with self._lock:
            self._parts.clear()
            self._step = Step(number, of, what)
        self.changed(None)

    def again(self) -> None:
        with self._lock:
            self._parts.clear()
        self.changed(None)

    def changed(self, part: Part | None) -> None:
        """Told after each change, by the thread that made it: of a part, or (None) of all of them."""

    @property
    def parts(self) -> list[Part]:
        """In the order in which they were heard of."""
        with self._lock:
            return list(self._parts.values())

    @property
    def now(self) -> Step | None:
        """The step that runs, of a work of several."""
        return self._step

    @property
    def share(self) -> float:
        """Of all rows that are known to come, in this step and by steps in all; 1 where all parts have finished."""
        parts, step = self.parts, self._step
        of = sum(part.of for part in parts)
        done = sum(part.done for part in parts)
        own = done / of if of else float(bool(parts) and all(part.finished for part in parts))
        return own if step is None else step.share + own / step.of

    def _of(self, table: str, what: str) -> Part:
        """The part as it is. One that nobody expected begins now."""
        known = self._parts.get((table, what))
        if known is None or not known.begun:
            self._starts[table, what] = self._clock()
            return replace(known or Part(table, what), begun=True)
        return known

    def _put(self, part: Part) -> Part:
        part = replace(part, seconds=self._clock() - self._starts[part.table, part.what])
        self._parts[part.table, part.what] = part
        return part
