"""How far a command is, on standard error: bars on a terminal, lines in a pipe, JSON lines for other programs."""

from __future__ import annotations

import json
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Any, Final

import click
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.text import Text

from flows.cli.options import progress_asked
from flows.cli.terminal.rows import console
from flows.results import silence
from flows.results.visible import in_json, visible
from flows.session import progress
from flows.session.meter import Meter
from flows.session.progress import Part

MOST_BARS: Final = 8  # tables at work at a time that are shown
JSON_EVERY: Final = 0.5  # seconds between two lines of a part


class _Left(ProgressColumn):
    """Rows a second and the time that remains at that rate."""

    def render(self, task: Task) -> Text:
        left, rate = task.fields["left"], task.fields["rate"]
        ahead = "" if left is None else f"  {_time(left)} left"
        return Text(f"{rate:,.0f} rows/s{ahead}" if rate else "")


class _Asking(Meter):
    """Asks a person on the terminal, where `asks`."""

    asks = False

    def still(self, text: str) -> None:
        """Nothing was shown for a while."""
        self.notice(text)

    def approves(self, question: str) -> bool:
        with silence.held():
            return not self.asks or click.confirm(question, err=True)


class Quiet(_Asking):
    """Says nothing."""


class Bars(_Asking, progress.Progress):
    """A bar for each table at work, and one for all of them, in rows."""

    def __init__(self, shown: Progress) -> None:
        super().__init__()
        self._shown = shown
        self._bars: dict[str, TaskID] = {}
        self._drawing = threading.Lock()
        self._began = monotonic()
        self._all = shown.add_task("", total=1, left=None, rate=0.0, rows=(0, 0), visible=False)

    def notice(self, text: str) -> None:
        silence.heard()
        self._shown.console.print(text, markup=False)

    def still(self, text: str) -> None:
        if not self._bars:  # they are there to be seen
            super().still(text)

    def approves(self, question: str) -> bool:
        self._shown.stop()
        try:
            return super().approves(question)
        finally:
            self._shown.start()

    def changed(self, part: Part | None) -> None:
        with self._drawing:
            if part is None:
                self._clear()
            else:
                self._draw(part)
            self._draw_all()

    def _draw(self, part: Part) -> None:
        if part.finished:
            if (bar := self._bars.pop(part.table, None)) is not None:
                self._shown.remove_task(bar)
            return
        if part.table not in self._bars:
            if len(self._bars) == MOST_BARS:
                return
            self._bars[part.table] = self._shown.add_task("", left=None, rate=0.0, rows=(0, 0), visible=False)
        self._shown.update(
            self._bars[part.table],
            description=f"{part.what:<5} {escape(visible(part.table))}",
            completed=part.done, total=max(part.of, 1), left=part.remaining, rate=part.rate, rows=(part.done, part.of),
            visible=True,
        )  # fmt: skip

    def _draw_all(self) -> None:
        parts, step = self.parts, self.now
        done, of = sum(part.done for part in parts), sum(part.of for part in parts)
        seconds, share = monotonic() - self._began, self.share
        self._shown.update(
            self._all,
            description=f"{step}" if step else "all  ",
            completed=share, total=1, left=seconds * (1 - share) / share if share else None,
            rate=done / seconds if seconds else 0.0, rows=(done, of),
            visible=step is not None or len({part.table for part in parts}) > 1,
        )  # fmt: skip

    def _clear(self) -> None:
        for bar in self._bars.values():
            self._shown.remove_task(bar)
        self._bars.clear()


class Lines(_Asking, progress.Progress):
    """A line when work on a table of `least` rows or more begins, and one for each step: enough for a log."""

    def __init__(self, least: int = 1) -> None:
        super().__init__()
        self._least = least

    def notice(self, text: str) -> None:
        _say(text)

    def expect(self, table: str, what: str, rows: int) -> None:
        super().expect(table, what, rows)
        if rows >= self._least:
            _say(f"{what} {table}: about {rows:,} rows")

    def still(self, text: str) -> None:
        busy = [each for each in self.parts if each.begun and not each.finished]
        rows = ", ".join(
            f"{each.what} {each.table} {each.done:,} of about {each.of:,} rows" for each in busy[:MOST_BARS]
        )
        super().still(f"{text}, {rows}" if rows else text)

    def step(self, number: int, of: int, what: str) -> None:
        super().step(number, of, what)
        _say(str(self.now))


class JsonLines(_Asking, progress.Progress):
    """A JSON object on a line of its own for each part that got on, every half a second and when it ends."""

    def __init__(self) -> None:
        super().__init__()
        self._told: dict[tuple[str, str], float] = {}
        self._telling = threading.Lock()

    def notice(self, text: str) -> None:
        self._tell({"notice": text})

    def changed(self, part: Part | None) -> None:
        if part is None:
            return
        now, key = monotonic(), (part.table, part.what)
        with self._telling:
            if not part.finished and now - self._told.get(key, -JSON_EVERY) < JSON_EVERY:
                return
            self._told[key] = now
        step = self.now
        steps = {} if step is None else {"step": {"number": step.number, "of": step.of, "what": step.what}}
        self._tell({**part.as_dict(), "share": round(self.share, 4), **steps})

    def _tell(self, facts: dict[str, Any]) -> None:
        with self._telling:
            print(in_json(json.dumps(facts, ensure_ascii=False)), file=sys.stderr, flush=True)  # noqa: T201


@contextmanager
def metered(*, as_json: bool, least: int = 1, ask: bool = False) -> Iterator[Meter]:
    """The meter for standard error: what `--progress` asks for, else bars on a terminal, else lines, and nothing beside JSON.

    `least`: tables of fewer rows have no line. `ask`: what needs a yes is asked on a terminal, unless output is JSON.
    """
    with _shown(as_json=as_json, least=least) as meter:
        meter.asks = ask and not as_json and sys.stdin.isatty()
        with silence.through(meter.still):
            yield meter


@contextmanager
def _shown(*, as_json: bool, least: int) -> Iterator[_Asking]:
    asked = progress_asked(as_json=as_json)
    if asked == "bars":
        with drawn(console(error=True)) as shown:
            yield Bars(shown)
    else:
        yield JsonLines() if asked == "json" else Lines(least) if asked == "lines" else Quiet()


def drawn(where: Console) -> Progress:
    """What bars are drawn by; they go when it ends."""
    rows = TextColumn("{task.fields[rows][0]:,}/{task.fields[rows][1]:,}", justify="right")
    columns = (TextColumn("{task.description}"), BarColumn(bar_width=16), rows, _Left())
    return Progress(*columns, console=where, transient=True)


def _say(text: str) -> None:
    silence.heard()
    print(visible(text), file=sys.stderr, flush=True)  # noqa: T201


def _time(seconds: float) -> str:
    minutes, rest = divmod(round(seconds), 60)
    hours, minutes = divmod(minutes, 60)
    return f"{hours}:{minutes:02}:{rest:02}" if hours else f"{minutes}:{rest:02}"
