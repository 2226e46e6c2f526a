"""Signals that end a command: heeded at any moment, whatever runs, and said in one line.

A signal becomes `Interrupted` in the main thread, once. On its way up transactions roll back, the lease is given back and
files are cleared away. A library may swallow it or turn it into an error of its own, or sit in C code for long; therefore
whoever could go on asks `check`, and a thread watches the time: after GRACE_SECONDS, or at a second Ctrl-C, the process
ends as if it were killed, which every run can go on from.

Imports nothing but the standard library: it is in place before anything else is imported.
"""

from __future__ import annotations

import os
import select
import signal
import sys
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from time import monotonic
from typing import Any, Final

WORDS: Final = {
    getattr(signal, name): word
    for name, word in (("SIGINT", "interrupted"), ("SIGTERM", "terminated"), ("SIGHUP", "hung up"))
    if hasattr(signal, name)
}
GRACE_SECONDS: Final = 8.0
TWICE_SECONDS: Final = 0.5  # a second Ctrl-C this soon is the first one: `timeout -s INT` sends two


class Interrupted(KeyboardInterrupt):
    """A signal asked this process to end."""


@dataclass(slots=True)
class _Windows:
    """How far the rows are in the target: windows that this process is to write, has begun, and knows to be in."""

    writing: bool = False
    expected: int = 0
    begun: int = 0
    inside: int = 0
    lock: threading.Lock = field(default_factory=threading.Lock)


@dataclass(slots=True)
class _State:
    installed: bool = False
    signal: int | None = None  # the first one
    raised: bool = False
    over: bool = False
    said: bool = False
    known: str = ""
    last_rites: list[Callable[[], object]] = field(default_factory=list)
    windows: _Windows = field(default_factory=_Windows)


_state = _State()


def guarded(command: Callable[[], object]) -> int:
    """The exit status of a command that ends by itself or by a signal. Signals are heeded inside and ignored afterwards.

    128 and the signal's number where there was one. Every other exception is the caller's.
    """
    try:
        _install()
        try:
            command()
            status = 0
        except SystemExit as end:
            status = end.code if isinstance(end.code, int) else int(end.code is not None)
        except Exception:
            if received() is None:
                raise
        if received() is not None:
            status = farewell()
        _ignore()
    except KeyboardInterrupt:
        status = farewell()
        _ignore()
    return status


def received() -> int | None:
    """The signal that asked this process to end, None where there was none."""
    return _state.signal


def check() -> None:
    """Interrupted where a signal came, whatever became of the exception that it raised."""
    if _state.signal is not None and not _state.over:
        raise Interrupted(f"{WORDS[_state.signal]}.")


def farewell() -> int:
    """Say in one line, once, what is in the target and how to go on; the exit status."""
    number = _state.signal or signal.SIGINT
    line = f"error: {last_words()}\n"
    if not _state.installed:  # somebody else's process
        sys.stderr.write(line)
    elif not _state.said:
        _state.said, _state.signal = True, number
        with suppress(OSError, ValueError, AttributeError):
            sys.stderr.flush()
        with suppress(OSError):
            os.write(2, (f"\n{line}" if os.isatty(2) else line).encode())  # a terminal shows ^C where the cursor was
    return 128 + number


def last_words() -> str:
    """`interrupted. 3 of 16 windows are in the target and stay; run it again and it goes on.`"""
    windows = _state.windows
    word = WORDS.get(_state.signal or signal.SIGINT, "ended")
    if _state.known:
        return f"{word}. {_state.known}"
    with windows.lock:
        if not windows.writing:
            return f"{word}. Nothing was written to the target; run it again."
        perhaps = windows.begun - windows.inside
        some = f"{windows.inside:,} of {windows.expected:,} windows are in the target and stay"
        if not windows.inside:
            some = "No window is in the target yet" if not perhaps else "No window is surely in the target"
        more = f", {perhaps:,} more may be" if perhaps else ""
        return f"{word}. {some}{more}; run it again and it goes on."


def stop_words(error: BaseException) -> str:
    """What is said of an end that `error` asked for: `last_words` where signals are ours, and elsewhere that it was so."""
    if _state.installed:
        return last_words()
    return "interrupted." if isinstance(error, KeyboardInterrupt) else "terminated."


@contextmanager
def ending() -> Iterator[None]:
    """Inside, whoever asks `check` ends too: somebody else's handler took the signal, and its exception is on its way up."""
    mine = _state.signal is None
    if mine:
        _state.signal = signal.SIGTERM
    try:
        yield
    finally:
        if mine:
            _state.signal = None


def known(told: str) -> None:
    """What is in the target, by the target's own account, and how to go on: says more than counted windows do."""
    _state.known = told if _state.installed else ""


def writing(windows: int = 0) -> None:
    """From now on the target is written to, so many windows more."""
    if not _state.installed:
        return
    with _state.windows.lock:
        _state.windows.writing = True
        _state.windows.expected += windows


@contextmanager
def window() -> Iterator[None]:
    """A window is written inside. Where it is left by an interrupt, nobody knows whether it is in."""
    if not _state.installed:
        yield
        return
    windows = _state.windows
    with windows.lock:
        windows.begun += 1
    try:
        yield
    except Exception:
        with windows.lock:
            windows.begun -= 1
        raise
    with windows.lock:
        windows.inside += 1


@contextmanager
def postponed() -> Iterator[None]:
    """A signal that comes inside is handled where this is left, by whoever handles it: for what must not be torn, and takes no time to
    speak of.

    Python raises between any two steps of the main thread: after a thread has been started, and before it is known to whoever
    waits for it.
    """
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    theirs = {number: handler for number in WORDS if callable(handler := signal.getsignal(number))}
    late: list[int] = []
    inside = False

    def note(number: int, frame: Any) -> None:
        if inside:
            late.append(number)
        else:  # as others of these handlers are set, or set back
            theirs[number](number, frame)

    for number in theirs:
        signal.signal(number, note)
    inside = True
    try:
        yield
    finally:
        inside = False
        for number, handler in theirs.items():
            signal.signal(number, handler)
        for number in late:
            theirs[number](number, None)


def heed(adbc: Any) -> None:
    """Let ADBC's module of connections leave Ctrl-C to us: around each call it would take the signal away from Python.

    What it does with it is of no use here: SQLite's driver cannot cancel, and to cancel while another thread uses the
    statement ends in a segmentation fault.
    """
    adbc._blocking_call = _called


def _called(function: Callable[..., Any], args: Any, options: Any, _cancel: Callable[[], object]) -> Any:
    return function(*args, **options)


def at_sudden_end(rite: Callable[[], object]) -> None:
    """What is to be done where the process ends without closing what is open."""
    _state.last_rites.append(rite)


@contextmanager
def kept_from_children() -> Iterator[None]:
    """Processes that start inside never see Ctrl-C: a terminal sends it to all that it started, helpers too.

    They are ended by whoever started them. This process heeds it all the same, by another thread than this one.
    """
    if not hasattr(signal, "pthread_sigmask"):
        yield
        return
    before = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGINT})
    try:
        yield
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, before)


def _install() -> None:
    if _state.over or threading.current_thread() is not threading.main_thread():
        return
    _state.installed = True
    readable, writable = os.pipe()
    os.set_blocking(writable, False)
    signal.set_wakeup_fd(writable, warn_on_full_buffer=False)
    threading.Thread(target=_watch, args=(readable,), name="interrupts", daemon=True).start()
    sys.unraisablehook = _unraisable
    threading.excepthook = _left_by_thread
    for number in WORDS:
        if signal.getsignal(number) is not signal.SIG_IGN:  # `nohup`, and the shell's `&` in a script
            signal.signal(number, _arrived)


def _ignore() -> None:
    _state.over = True
    for number in WORDS:
        signal.signal(number, signal.SIG_IGN)


def _arrived(number: int, _frame: Any) -> None:
    if _state.over or _state.raised:
        return
    _state.raised = True
    _state.signal = _state.signal or number
    raise Interrupted(f"{WORDS[number]}.")


def _watch(readable: int) -> None:
    """On a thread of its own: notice signals also while the main thread is in C code, and end what does not end by itself."""
    began: float | None = None
    while True:
        left = None if began is None else max(0.0, began + GRACE_SECONDS - monotonic())
        if not select.select([readable], [], [], left)[0]:
            _end_at_once()
        numbers = [number for number in os.read(readable, 64) if number in WORDS]
        if not numbers or _state.over:
            continue
        if began is None:
            began = monotonic()
            _state.signal = _state.signal or numbers[0]
        elif signal.SIGINT in numbers and monotonic() - began > TWICE_SECONDS:
            _end_at_once()


def _end_at_once() -> None:
    if _state.over:
        return
    for rite in _state.last_rites:
        with suppress(Exception):
            rite()
    with suppress(Exception):
        farewell()
    os._exit(128 + (_state.signal or signal.SIGINT))


def _unraisable(told: Any) -> None:
    """An interrupt that was raised where nobody can catch it, as in `__del__`, is raised again; later faults are silent."""
    if isinstance(told.exc_value, KeyboardInterrupt):
        _state.raised = False
        again = threading.Timer(
            0.01, os.kill, (os.getpid(), _state.signal or signal.SIGINT)
        )  # not in here: it would not count
        again.daemon = True
        again.start()
    elif received() is None:
        sys.__unraisablehook__(told)


def _left_by_thread(told: Any) -> None:
    if received() is None:
        threading.__excepthook__(told)
