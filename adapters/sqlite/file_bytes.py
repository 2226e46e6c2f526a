"""The bytes of a SQLite file, read through a descriptor that SQLite itself has open.

Whoever opens the file anew and closes it again takes away all locks that this process has on it (POSIX): its snapshots would
see what others write from then on.
"""

from __future__ import annotations

import hashlib
import os
from contextlib import suppress
from pathlib import Path
from typing import Final

DESCRIPTORS: Final = Path("/dev/fd")
CHUNK: Final = 4 * 2**20


def descriptor(path: Path) -> int | None:
    """A descriptor of this process that has the file open; None where there is none, or none can be found here."""
    with suppress(OSError):
        wanted = path.stat()
        for each in DESCRIPTORS.iterdir():
            with suppress(OSError, ValueError):
                if os.path.samestat(os.fstat(int(each.name)), wanted):
                    return int(each.name)
    return None


def read(path: Path, size: int, start: int) -> bytes:
    """Some bytes of a file that this process has open; none where they cannot be read."""
    found = descriptor(path)
    with suppress(OSError):
        return b"" if found is None else os.pread(found, size, start)
    return b""


def digest(path: Path) -> str | None:
    """SHA-256 of a file that this process has open; None where it cannot be read."""
    found = descriptor(path)
    if found is None:
        return None
    known, place = hashlib.sha256(), 0
    try:
        while chunk := os.pread(found, CHUNK, place):
            known.update(chunk)
            place += len(chunk)
    except OSError:
        return None
    return known.hexdigest()


def log_bytes(path: Path) -> int:
    """How large the write-ahead log of the file is; 0 where there is none."""
    log = path.with_name(path.name + "-wal")
    return log.stat().st_size if log.exists() else 0
