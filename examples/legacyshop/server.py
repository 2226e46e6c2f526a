"""A MariaDB of one's own: Debian's `mariadbd` on a free port, its files in a folder that goes with it."""

from __future__ import annotations

import getpass
import shutil
import socket
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import pymysql

START_SECONDS = 30
QUICK = (  # nothing here outlives a power cut
    "--skip-innodb-doublewrite",
    "--innodb-flush-log-at-trx-commit=0",
    "--sync-binlog=0",
    "--innodb-buffer-pool-size=256M",
)


def daemon() -> str | None:
    """Where mariadbd is; None where it is not installed."""
    return shutil.which("mariadbd") or next((path for path in ("/usr/sbin/mariadbd",) if Path(path).exists()), None)


@contextmanager
def mariadb(*options: str) -> Iterator[str]:
    """Start a server with a row binlog and an empty database `test`; its URL. Stopped and removed at the end."""
    binary = daemon()
    if binary is None:
        raise FileNotFoundError("mariadbd is not installed. Fix: apt-get install mariadb-server.")
    folder = Path(tempfile.mkdtemp(prefix="syncline-mariadb-"))
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    (folder / "tmp").mkdir(mode=0o777)  # in a common one, a server that starts removes what it takes for left over
    user, data = f"--user={getpass.getuser()}", f"--datadir={folder}/data"
    install = shutil.which("mariadb-install-db") or "mariadb-install-db"
    made = [install, "--no-defaults", user, data, "--auth-root-authentication-method=normal", "--skip-test-db"]
    subprocess.run(made, check=True, capture_output=True)
    heard = (
        "--bind-address=127.0.0.1",
        f"--port={port}",
        f"--socket={folder}/socket",
        f"--pid-file={folder}/pid",
        f"--tmpdir={folder}/tmp",
    )
    logged = ("--log-bin", "--binlog-format=ROW", "--server-id=1", "--local-infile=1", f"--log-error={folder}/log")
    command = [binary, "--no-defaults", user, data, *heard, *logged, *QUICK, *options]
    server = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    try:
        _wait(server, port, folder / "log")
        yield f"mysql://root:@127.0.0.1:{port}/test"
    finally:
        server.kill()
        server.wait()
        shutil.rmtree(folder, ignore_errors=True)


def _wait(server: subprocess.Popen[bytes], port: int, log: Path) -> None:
    ends = time.monotonic() + START_SECONDS
    while server.poll() is None and time.monotonic() < ends:
        try:
            with pymysql.connect(host="127.0.0.1", port=port, user="root", autocommit=True) as connection:
                connection.cursor().execute("CREATE DATABASE IF NOT EXISTS test CHARACTER SET utf8mb4")
            return
        except pymysql.Error:
            time.sleep(0.1)
    raise RuntimeError(f"mariadbd did not start: {log.read_text() if log.exists() else 'it left no log'}")
