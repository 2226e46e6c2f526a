"""Nobody should wonder whether anything happens: while a command prints nothing, a line on standard error says that it works."""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from time import monotonic
from typing import Final

FIRST: Final = 0.5  # seconds until the first line on a terminal: importing what a command needs takes as long
EVERY: Final = 2.0  # seconds of silence, until the next one
UNWATCHED: Final = 10.0  # in a pipe or a log, where nobody waits: the first line, and each after twice the time
RAREST: Final = 60.0  # up to this

Say = Callable[[str], None]


class Watch:
    """Says what goes on through `say`, whenever nothing was `heard` for a while, until it is `over`.

    In seconds: `first` until the first line, `every` until each other; None: each comes after twice the time of the one before.
    """

    def __init__(self, what: str, say: Say, *, first: float, every: float | None) -> None:
        self.what, self.say = what, say
        self._began = self._last = monotonic()
        self._patience, self._every = first, every
        self._over = threading.Event()
        self._saying = threading.RLock()
        self.held = 0
        self._thread = threading.Thread(target=self._keep, name="silence", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def heard(self) -> None:
        """Something was shown just now."""
        self._last = monotonic()

    def over(self) -> None:
        """Say nothing more: the outcome is about to be shown. What is being said is said before this returns."""
        with self._saying:
            self._over.set()

    def _keep(self) -> None:
        while not self._over.wait(max(0.0, self._last + self._patience - monotonic())):
            if self.held:
                self.heard()
            if monotonic() - self._last < self._patience:
                continue
            with self._saying:
                if self._over.is_set():
                    return
                self.say(f"{self.what}: {monotonic() - self._began:.0f} s")
            self.heard()
            self._patience = min(2 * self._patience, RAREST) if self._every is None else self._every


_watches: list[Watch] = []


def heard() -> None:
    """A line was printed."""
    for watch in _watches:
        watch.heard()


def over() -> None:
    """The outcome is about to be printed: no line may come into it."""
    for watch in _watches:
        watch.over()


@contextmanager
def watching(what: str, *, quiet: bool) -> Iterator[None]:
    """While the block, a command, works, say so where it prints nothing. `quiet`: never."""
    watched = sys.stderr.isatty()
    watch = Watch(what, _to_standard_error, first=FIRST if watched else UNWATCHED, every=EVERY if watched else None)
    if quiet:
        yield
        return
    _watches.append(watch)
    watch.start()
    try:
        yield
    finally:
        watch.over()
        _watches.remove(watch)


@contextmanager
def through(say: Say) -> Iterator[None]:
    """What is said is said by `say` in the block, whose end is the time of the outcome."""
    before = [(watch, watch.say) for watch in _watches]
    for watch, _ in before:
        watch.say = say
    try:
        yield
    finally:
        for watch, said in before:
            watch.say = said
            watch.over()


@contextmanager
def doing(what: str) -> Iterator[None]:
    """What goes on in the block, in words."""
    before = [(watch, watch.what) for watch in _watches]
    for watch, _ in before:
        watch.what = what
    try:
        yield
    finally:
        for watch, words in before:
            watch.what = words


@contextmanager
def held() -> Iterator[None]:
    """Nothing is said in the block: a person is being asked."""
    watches = list(_watches)
    for watch in watches:
        watch.held += 1
    try:
        yield
    finally:
        for watch in watches:
            watch.held -= 1


def _to_standard_error(text: str) -> None:
    print(text, file=sys.stderr, flush=True)  # noqa: T201
