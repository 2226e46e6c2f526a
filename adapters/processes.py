"""Whether the process that left something behind still lives, and folders whose files are in nobody's way afterwards."""

from __future__ import annotations

import os
import platform
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Final

from adapters import private

_OWNER: Final = "owner"


def this_machine() -> str:
    """The host and, where there are such, the namespace in which process numbers count."""
    space = ""
    with suppress(OSError):
        space = str(Path("/proc/self/ns/pid").readlink()).partition("[")[2].rstrip("]")
    return f"{platform.node()}/{space}"


def is_dead(host: str, pid: int) -> bool:
    """Whether a process is surely gone, or killed and only not yet collected by its parent; one of another machine never is.

    Another process that got its number meanwhile passes for it: when a process began is known by the wall clock alone, and
    a lease taken from a living run because that clock was set would do harm, while one that is kept ends by itself.
    """
    if host != this_machine():
        return False
    import psutil  # commands that meet nothing left behind start without it

    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True
    except psutil.Error:
        return False


def stamp() -> str:
    """What a process leaves to be known by."""
    return f"{os.getpid()} {this_machine()}"


def left_by_the_dead(stamped: Path) -> bool:
    """Whether the process is surely gone that left this file, with its stamp in it."""
    try:
        pid, machine = stamped.read_text().split(" ", 1)
        return is_dead(machine, int(pid))
    except (OSError, ValueError):
        return False


@contextmanager
def temporary_folder(purpose: str) -> Iterator[Path]:
    """A folder for files that nobody needs afterwards. Those of processes that were killed are cleared away first."""
    prefix = f"syncline-{purpose}-"
    for owner in Path(tempfile.gettempdir()).glob(f"{prefix}*/{_OWNER}"):
        if left_by_the_dead(owner):
            shutil.rmtree(owner.parent, ignore_errors=True)
    with tempfile.TemporaryDirectory(prefix=prefix) as folder:
        private.write(Path(folder) / _OWNER, stamp().encode())
        yield Path(folder)
