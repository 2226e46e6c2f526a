"""Whether the process that left something behind still lives."""

from __future__ import annotations

import os
import platform
from contextlib import suppress
from pathlib import Path


def this_machine() -> str:
    """The host and, where there are such, the namespace in which process numbers count."""
    space = ""
    with suppress(OSError):
        space = str(Path("/proc/self/ns/pid").readlink()).partition("[")[2].rstrip("]")
    return f"{platform.node()}/{space}"


def is_dead(host: str, pid: int) -> bool:
    """Whether a process is surely gone; one of another machine never is."""
    if host != this_machine() or os.name != "posix":
        return False
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    except OSError:
        return False
    return False
