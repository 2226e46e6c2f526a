"""Files and folders for their owner alone, whatever the umask says: they hold rows.

They are made so, and not narrowed afterwards: there is no moment in which somebody else could open them.
"""

from __future__ import annotations

import os
from contextlib import suppress
from pathlib import Path
from typing import Final

FILE: Final = 0o600
FOLDER: Final = 0o700
OTHERS: Final = 0o077


def make_folder(folder: Path) -> None:
    """Make a folder and what is missing above it; one that is there stays as it is. Errors: OSError."""
    missing = [folder]
    while not missing[-1].parent.exists():
        missing.append(missing[-1].parent)
    for each in reversed(missing):
        try:
            each.mkdir(FOLDER)
        except FileExistsError:
            if not each.is_dir():
                raise


def make_file(path: Path) -> None:
    """An empty file, for libraries that open files by their names; one that is there is narrowed. Errors: OSError."""
    try:
        os.close(os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, FILE))
    except FileExistsError:
        if path.is_file():
            narrow(path)


def write(path: Path, data: bytes) -> None:
    """Write a file of our own inside a folder of our own. Errors: OSError."""
    make_file(path)
    path.write_bytes(data)


def narrow(*paths: Path) -> None:
    """Take from others what earlier versions, or libraries, let them do; what is somebody else's stays as it is."""
    for path in paths:
        with suppress(OSError):
            mode = path.stat().st_mode
            if mode & OTHERS:
                path.chmod(mode & ~OTHERS & 0o7777)


def narrow_all(folder: Path) -> None:
    """A folder and all in it."""
    narrow(folder, *folder.rglob("*"))
