"""Where the tests leave their files: in memory, where the machine has room for it, so that no test waits for a disk.

Databases, ledgers and plan stores make sure that what they wrote is on the disk, some hundred times a minute here. A
`TMPDIR` that is set is taken as it is: `TMPDIR=/tmp make test` keeps to the disk, and leaves what failed to be looked at.
"""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
import time
from pathlib import Path

MEMORY = Path("/dev/shm")
ROOM = 6 * 2**30  # bytes; the suite on two workers holds less than 2 GiB at a time
NAME = "syncline-tests-"
LEFT_SECONDS = 12 * 3600  # no session takes so long


def settle() -> None:
    """Let all temporary files of this process and of those that it starts lie in memory, as long as it lives.

    Workers of the same session find TMPDIR set, and so leave cleaning to the one that set it.
    """
    if "TMPDIR" in os.environ or not has_room():
        return
    for left in MEMORY.glob(f"{NAME}*"):  # by a session that was killed
        if time.time() - left.stat().st_mtime > LEFT_SECONDS:
            shutil.rmtree(left, ignore_errors=True)
    folder, owner = Path(tempfile.mkdtemp(prefix=NAME, dir=MEMORY)), os.getpid()
    folder.chmod(0o755)  # PostgreSQL has a user of its own where root runs the tests
    os.environ["TMPDIR"] = tempfile.tempdir = str(folder)

    def clean() -> None:
        if os.getpid() == owner:  # and not a process that a test forked
            shutil.rmtree(folder, ignore_errors=True)

    atexit.register(clean)  # the first to be registered is the last to be called: after what servers leave


def has_room() -> bool:
    """Whether the folder in memory is there, and both it and the memory have room."""
    if not MEMORY.is_dir():
        return False
    try:
        folder = os.statvfs(MEMORY)
        lines = Path("/proc/meminfo").read_text().splitlines()
    except OSError:
        return False
    memory = {name: 1024 * int(size.split()[0]) for name, _, size in (line.partition(":") for line in lines)}
    free = min(folder.f_bavail * folder.f_frsize, memory.get("MemAvailable", 0))
    return free >= ROOM and os.access(MEMORY, os.W_OK | os.X_OK) and not folder.f_flag & os.ST_NOEXEC
