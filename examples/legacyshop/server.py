"""A MariaDB of one's own: Debian's `mariadbd` on a free port, its files in a folder that goes with it."""

from __future__ import annotations

import getpass
import random
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pymysql

START_SECONDS = 120
SERVER_PORTS = (20_000, 32_000)  # systems give their clients those above
QUICK = (  # nothing here outlives a power cut
    "--skip-innodb-doublewrite",
    "--innodb-flush-log-at-trx-commit=0",
    "--sync-binlog=0",
    "--innodb-buffer-pool-size=256M",
)


def daemon() -> str | None:
    """Where mariadbd is; None where it is not installed."""
    return shutil.which("mariadbd") or next((path for path in ("/usr/sbin/mariadbd",) if Path(path).exists()), None)


@dataclass
class Server:
    """A MariaDB whose files lie in `folder`; it can be stopped, and started again on the same port."""

    folder: Path
    port: int
    options: tuple[str, ...] = QUICK
    process: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        return f"mysql://root:@127.0.0.1:{self.port}/test"

    def install(self) -> None:
        (self.folder / "tmp").mkdir(
            mode=0o777
        )  # in a common one, a server that starts removes what it takes for left over
        install = shutil.which("mariadb-install-db") or "mariadb-install-db"
        made = [install, "--no-defaults", *self._place, "--auth-root-authentication-method=normal", "--skip-test-db"]
        subprocess.run(made, check=True, capture_output=True)

    @property
    def _place(self) -> tuple[str, str]:
        return f"--user={getpass.getuser()}", f"--datadir={self.folder}/data"

    def start(self) -> None:
        """Start it with a row binlog, and wait until it answers."""
        heard = (
            "--bind-address=127.0.0.1",
            f"--port={self.port}",
            f"--socket={self.folder}/socket",
            f"--pid-file={self.folder}/pid",
            f"--tmpdir={self.folder}/tmp",
        )
        logged = ("--log-bin", "--binlog-format=ROW", "--server-id=1", "--local-infile=1")
        log = self.folder / "log"
        command = [str(daemon()), "--no-defaults", *self._place, *heard, *logged, f"--log-error={log}", *self.options]
        self.process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        _wait(self.process, self.port, log)

    def stop(self, *, at_once: bool = True) -> None:
        """End it: at once, as by a crash, or as an administrator does."""
        if self.process is not None:
            self.process.kill() if at_once else self.process.terminate()
            self.process.wait()


@contextmanager
def mariadb(*options: str) -> Iterator[str]:
    """Start a server with a row binlog and an empty database `test`; its URL. Stopped and removed at the end."""
    with served((*QUICK, *options)) as server:
        yield server.url


@contextmanager
def served(options: tuple[str, ...]) -> Iterator[Server]:
    """The same, with nothing but these options, as a Server that can be stopped in between."""
    if daemon() is None:
        raise FileNotFoundError("mariadbd is not installed. Fix: apt-get install mariadb-server.")
    server = Server(Path(tempfile.mkdtemp(prefix="syncline-mariadb-")), free_port(), options)
    try:
        server.install()
        server.start()
        yield server
    finally:
        server.stop()
        shutil.rmtree(server.folder, ignore_errors=True)


def free_port() -> int:
    """A port that nobody listens on, and that no client gets for its end of a connection before the server starts."""
    while True:
        port = random.randrange(*SERVER_PORTS)
        with socket.socket() as tried, suppress(OSError):
            tried.bind(("127.0.0.1", port))
            return port


def _wait(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    ends = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < ends:
        try:
            with pymysql.connect(
                host="127.0.0.1", port=port, user="root", autocommit=True, ssl_disabled=True
            ) as connection:
                connection.cursor().execute("CREATE DATABASE IF NOT EXISTS test CHARACTER SET utf8mb4")
            return
        except pymysql.Error:
            time.sleep(0.05)
    raise RuntimeError(f"mariadbd did not start: {log.read_text() if log.exists() else 'it left no log'}")
