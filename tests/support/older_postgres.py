"""A PostgreSQL before 16, the newest that the machine has installed: what Debian's servers do, and later ones do otherwise."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

INSTALLED = Path("/usr/lib/postgresql")
BEFORE = 16
SYSTEM_USER = "postgres"  # made by the package; PostgreSQL does not run as root
QUICK = ("fsync", "synchronous_commit", "full_page_writes")  # nothing here outlives a power cut


def binaries() -> Path | None:
    """The folder of the newest server's binaries below version 16; None where none is installed."""
    found = {int(each.parent.name): each for each in INSTALLED.glob("*/bin") if each.parent.name.isdigit()}
    usable = [version for version, each in found.items() if version < BEFORE and (each / "initdb").exists()]
    return found[max(usable)] if usable else None


@contextmanager
def older_postgres(folder_of_programs: Path) -> Iterator[str]:
    """Start a server on a Unix socket with an empty database `postgres`; its URL. Stopped and removed at the end."""
    folder = Path(tempfile.mkdtemp(prefix="syncline-older-"))
    folder.chmod(0o755)
    owner: dict[str, Any] = {}
    if os.geteuid() == 0:
        owner = {"user": SYSTEM_USER, "group": SYSTEM_USER, "extra_groups": []}
        shutil.chown(folder, SYSTEM_USER, SYSTEM_USER)

    def program(name: str, *arguments: str) -> None:
        command = [str(folder_of_programs / name), "-D", str(folder / "data"), *arguments]
        done = subprocess.run(command, stdin=subprocess.DEVNULL, capture_output=True, text=True, cwd=folder, **owner)
        if done.returncode:
            log = folder / "log"
            raise RuntimeError(f"{name} failed: {done.stderr}{log.read_text() if log.exists() else ''}")

    settings = [
        "-c",
        "wal_level=logical",
        "-h",
        "''",
        "-k",
        str(folder),
        *(word for name in QUICK for word in ("-c", f"{name}=off")),
    ]
    try:
        program("initdb", "--auth=trust", "--encoding=UTF8", "--locale=C.UTF-8", "--no-sync", "-U", "postgres")
        program("pg_ctl", "-w", "-l", str(folder / "log"), "-o", " ".join(settings), "start")
        try:
            yield f"postgresql://postgres:@/postgres?host={folder}"
        finally:
            program("pg_ctl", "-w", "-m", "immediate", "stop")
    finally:
        shutil.rmtree(folder, ignore_errors=True)
