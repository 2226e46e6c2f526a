"""Where the command `syncline` begins: signals are heeded before anything else is imported."""

from __future__ import annotations

import atexit
import os
import signal
import sys
from contextlib import suppress


def main() -> None:
    """Run the command line of this process and end with its exit status."""
    atexit.register(_leave)  # the first to be registered is the last to be called
    for number in (signal.SIGINT, signal.SIGTERM):
        if signal.getsignal(number) is not signal.SIG_IGN:  # `nohup`, and the shell's `&` in a script
            signal.signal(number, _end_before_the_beginning)

    from adapters import interrupts

    _statuses.append(interrupts.guarded(_command))
    sys.exit(_statuses[-1])


def _command() -> None:
    from flows.cli import main as commands

    commands(sys.argv[1:])


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
