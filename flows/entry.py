"""Where the command `syncline` begins: signals are heeded before anything else is imported."""

from __future__ import annotations

import atexit
import io
import os
import signal
import stat
import sys
from contextlib import suppress
from typing import Any


def main() -> None:
    """Run the command line of this process and end with its exit status."""
    atexit.register(_leave)  # the first to be registered is the last to be called
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # `nohup`, and the shell's `&` in a script
            signal.signal(number, _end_before_the_beginning)

    from adapters import interrupts

    status = interrupts.guarded(_command)
    try:
        sys.stdout.flush()
    except OSError as error:
        sys.stderr.write(f"error: the output cannot be written: {error.strerror}.\n")
        status = status or 1
    _statuses.append(status)
    sys.exit(status)


def _command() -> None:
    from flows.cli.main import main as commands

    for number, name in ((1, "stdout"), (2, "stderr")):
        _be_patient(number, name)
    commands(sys.argv[1:])


class _Pipe(io.FileIO):
    """Output that nobody reads any more, as behind `| head`, is no error of the command."""

    def write(self, data: Any) -> int:
        try:
            return int(super().write(data) or 0)
        except BrokenPipeError:
            nowhere = os.open(os.devnull, os.O_WRONLY)
            os.dup2(nowhere, self.fileno())
            os.close(nowhere)
            return len(data)


def _be_patient(number: int, name: str) -> None:
    """Let a stream take each letter, as an escape where its encoding lacks it, and outlive whoever reads it."""
    stream = getattr(sys, name)
    if not isinstance(stream, io.TextIOWrapper):
        return
    if stat.S_ISFIFO(os.fstat(number).st_mode):
        raw = io.BufferedWriter(_Pipe(number, "w", closefd=False))
        stream = io.TextIOWrapper(raw, encoding=stream.encoding, line_buffering=number == 2, write_through=number == 2)
        setattr(sys, name, stream)
    stream.reconfigure(errors="backslashreplace")


_statuses: list[int] = []


def _leave() -> None:
    """End here, with everything closed, and not while Python takes itself apart: threads of Arrow that free memory of
    Python then abort the process."""
    if not _statuses:
        return  # an error of which Python shows the traceback
    for stream in (sys.stdout, sys.stderr):
        with suppress(OSError, ValueError, AttributeError):
            stream.flush()
    os._exit(_statuses[-1])


def _end_before_the_beginning(number: int, _frame: object) -> None:
    """Nothing is open yet, so there is nothing to close."""
    word = "interrupted" if number == signal.SIGINT else "terminated"
    os.write(2, f"error: {word}. Nothing was written to the target; run it again.\n".encode())
    os._exit(128 + number)


if __name__ == "__main__":
    main()
