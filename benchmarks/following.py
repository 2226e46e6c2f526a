"""What triggers cost those who write, and how fast what they wrote down is read: `python -m benchmarks.following [--rows N]`."""

from __future__ import annotations

import argparse
import sqlite3
import sys
import tempfile
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Final
from urllib.parse import urlsplit

import psycopg
import pymysql

from adapters.feeds.feed import Watched
from adapters.registry import open_target, open_triggers
from benchmarks.copying import WrongResult
from benchmarks.server import serving
from examples.legacyshop.server import daemon, mariadb
from transforms.vocabulary import TableName

CREATE: Final = "CREATE TABLE customer (id bigint PRIMARY KEY, visits int NOT NULL, name varchar(40) NOT NULL, amount decimal(12,2))"
NUMBERS: Final = {
    "PostgreSQL": "SELECT i FROM generate_series(1, {rows}) n (i)",
    "MariaDB": "SELECT seq AS i FROM seq_1_to_{rows}",
    "SQLite": "WITH RECURSIVE n (i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n WHERE i < {rows}) SELECT i FROM n",
}
FILL: Final = "INSERT INTO customer SELECT i, i % 100, 'customer', i % 1000 FROM ({numbers}) x"
STEPS: Final = ("insert", "update", "delete", "one row a transaction")
ALONE: Final = 500  # transactions of one row
BATCH: Final = 50_000


@dataclass(frozen=True, slots=True)
class Following:
    """Of an engine: seconds of each step without triggers and with them, round by round, and rows of the log read a second."""

    rows: int
    plain: dict[str, tuple[float, ...]]
    watched: dict[str, tuple[float, ...]]
    read: tuple[float, ...]


def measure(rows: int, rounds: int, told: Callable[[str], None]) -> dict[str, Following]:
    """By engine. WrongResult where a change is not told."""
    found: dict[str, Following] = {}
    with ExitStack() as stack:
        for engine, url in _databases(stack):
            told(f"{rows:,} rows in {engine}, with triggers and without")
            with _connected(engine, url) as run:
                run(CREATE)
                spent: dict[bool, dict[str, list[float]]] = {
                    each: {step: [] for step in STEPS} for each in (False, True)
                }
                read: list[float] = []
                for number in range(rounds):
                    for watched in (False, True) if number % 2 else (True, False):
                        if watched:
                            read.append(_with_triggers(engine, url, run, rows, spent[True]))
                        else:
                            _steps(engine, run, rows, spent[False])
            plain, slower = ({step: tuple(each) for step, each in spent[kind].items()} for kind in (False, True))
            found[engine] = Following(rows, plain, slower, tuple(read))
    return found


def _databases(stack: ExitStack) -> Iterator[tuple[str, str]]:
    yield "PostgreSQL", stack.enter_context(serving()).uri
    if daemon() is not None:
        yield "MariaDB", stack.enter_context(mariadb("--innodb-buffer-pool-size=1G"))
    folder = stack.enter_context(tempfile.TemporaryDirectory())
    Path(folder, "bench.db").touch()
    yield "SQLite", f"sqlite:///{folder}/bench.db"


Run = Callable[[str], Any]


@contextmanager
def _connected(engine: str, url: str) -> Iterator[Run]:
    """What runs a statement in a transaction of its own."""
    if engine == "PostgreSQL":
        with psycopg.connect(url, autocommit=True) as connection:
            yield lambda statement: connection.execute(statement.encode())
    elif engine == "MariaDB":
        at = urlsplit(url)
        reached = {"host": at.hostname, "port": at.port, "user": at.username, "database": at.path[1:]}
        with closing(pymysql.connect(**reached, autocommit=True, ssl_disabled=True)) as there:
            yield there.query
    else:
        with closing(sqlite3.connect(url.removeprefix("sqlite:///"), isolation_level=None)) as file:
            file.execute("PRAGMA journal_mode = WAL")
            yield file.execute


def _steps(engine: str, run: Run, rows: int, spent: dict[str, list[float]]) -> None:
    fill = FILL.format(numbers=NUMBERS[engine].format(rows=rows))
    statements = {
        "insert": [fill],
        "update": ["UPDATE customer SET visits = visits + 1"],
        "one row a transaction": [f"UPDATE customer SET visits = 0 WHERE id = {each}" for each in range(1, ALONE + 1)],
        "delete": ["DELETE FROM customer WHERE id > 0"],
    }
    for step, each in statements.items():
        begun = perf_counter()
        for statement in each:
            run(statement)
        spent[step].append(perf_counter() - begun)


def _with_triggers(engine: str, url: str, run: Run, rows: int, spent: dict[str, list[float]]) -> float:
    """Install, write, read, and take away; rows of the log that were read a second."""
    with closing(open_target(url)) as adapter:
        shape = adapter.describe(TableName("customer"))
    assert shape is not None
    with closing(open_triggers(url, [Watched(shape, ("id",))], "benchmark")) as feed:
        feed.execute(feed.installing())
        position = feed.start()
        _steps(engine, run, rows, spent)
        begun, changes, more = perf_counter(), 0, True
        while more:
            batch = feed.read(position, BATCH)
            feed.settle(batch.position)
            position, more, changes = batch.position, batch.more, changes + batch.changes
        seconds = perf_counter() - begun
        feed.execute(feed.uninstalling())
    if changes != 3 * rows + ALONE:
        raise WrongResult(f"{engine}: {changes:,} changes were told of {3 * rows + ALONE:,}.")
    return changes / seconds


def lines(found: dict[str, Following]) -> str:
    """A line for each engine and step."""
    told = [f"{'':32}{'plain s':>9}{'with s':>9}{'ratio':>7}"]
    for engine, each in found.items():
        for step in STEPS:
            plain, slower = median(each.plain[step]), median(each.watched[step])
            told.append(f"  {engine + ', ' + step:30}{plain:9.2f}{slower:9.2f}{slower / plain:7.2f}")
        told.append(f"  {engine}: {median(each.read):,.0f} rows of the log read and forgotten a second")
    return "\n".join(told)


def main() -> int:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.following", description="Measure triggers.")
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    print(lines(measure(asked.rows, asked.rounds, lambda text: print(f"... {text}", file=sys.stderr, flush=True))))
    return 0


if __name__ == "__main__":
    sys.exit(main())
