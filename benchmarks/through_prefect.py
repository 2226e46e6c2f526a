"""What Prefect adds: the same run without changes directly, with an API of its own, and against an API that is there."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path
from typing import Final
from urllib.error import URLError
from urllib.request import urlopen

from benchmarks.command import ROOT, Spent
from benchmarks.copying import prepare, run, spec_of
from benchmarks.server import Server

QUIET: Final = {
    "PREFECT_LOGGING_LEVEL": "ERROR",
    "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
    "DO_NOT_TRACK": "1",
    "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
}
PATIENCE: Final = 120  # seconds for a server to start


@dataclass(frozen=True, slots=True)
class Prefect:
    """Runs without changes. `new`: the API's database has to be made first; `own`: the run starts an API and ends it."""

    direct: tuple[Spent, ...]
    server: tuple[Spent, ...]
    own: tuple[Spent, ...]
    new: tuple[Spent, ...]


def measure(server: Server, rows: int, rounds: int, told: Callable[[str], None]) -> Prefect | None:
    """None where this version of Syncline has no flows."""
    if find_spec("flows.orchestrated") is None:
        return None
    prepare(server)
    home = Path(tempfile.mkdtemp(prefix="syncline-bench-"))
    own = {**QUIET, "PREFECT_HOME": str(home)}
    found: dict[str, list[Spent]] = {"direct": [], "server": [], "own": [], "new": []}
    try:
        with spec_of(server) as spec:

            def once(name: str, environment: dict[str, str] | None) -> None:
                told(f"{rows:,} rows without changes, {name}")
                expected = {"source_rows": rows, "insert": 0, "unchanged": rows}
                found[name].append(run(server, spec, expected, direct=environment is None, **(environment or {})))

            run(server, spec, {"source_rows": rows, "insert": rows})
            once("new", own)
            for _ in range(rounds):
                once("own", own)
            with serving_api(own) as url:
                for _ in range(rounds):
                    once("direct", None)
                    once("server", {**own, "PREFECT_API_URL": url})
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return Prefect(*(tuple(found[name]) for name in ("direct", "server", "own", "new")))


@contextmanager
def serving_api(environment: dict[str, str]) -> Iterator[str]:
    """A Prefect server on a free port, as a user would leave one running; its API's URL."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [
        sys.executable,
        "-m",
        "prefect",
        "server",
        "start",
        "--host",
        "127.0.0.1",
        "--port",
        str(port),
        "--no-ui",
    ]
    process = subprocess.Popen(
        command, cwd=ROOT, env={**os.environ, **environment}, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
    )
    try:
        _await(f"http://127.0.0.1:{port}/api/health", process)
        yield f"http://127.0.0.1:{port}/api"
    finally:
        process.terminate()
        process.wait()


def _await(url: str, process: subprocess.Popen[bytes]) -> None:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            with urlopen(url, timeout=5):
                return
        except (URLError, OSError):
            if time.monotonic() > until or process.poll() is not None:
                raise
            time.sleep(0.2)
