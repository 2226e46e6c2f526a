"""Seconds behind: how long a change takes to the other side, and how a burst is caught up with, beside the server's own replication.

    python -m benchmarks.live [--rows 100000]

Both sides are PostgreSQL servers of their own. A commit of one row, and of a hundred, is followed until a query sees it on the target;
then `--rows` rows are updated in transactions of 1,000 while nobody follows, and the time is taken until they are on the other side: by
`syncline sync`, of whose time the start of a process is no part, and by a subscription of PostgreSQL's logical replication, which copies
rows as they are.
"""

from __future__ import annotations

import argparse
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from statistics import median

import psycopg

from examples.story import fresh_postgres
from flows.follow.following import Asked, Told
from flows.follow.sync import sync

SPEC = """
version: 1
name: bench
source: {{url: "{source}"}}
target: {{url: "{target}"}}
state: {{url: "sqlite:///{folder}/ledger.db", store: "{folder}/store"}}
follow: {{capture: log, every: {every}, most: 20000}}
tables:
  goods: {{from: ware, key: [id], columns: {{id: id, name: bezeichnung, price: {{expr: "cent / 100.0", cast: "decimal(12,2)"}}}}}}
"""
ROUNDS = 15
PATIENCE = 300.0


@dataclass(frozen=True)
class Live:
    """Seconds from commit to the other side, by rows of the transaction; and those of a burst by who brought it over."""

    latency: dict[int, list[float]]
    burst: dict[str, float]
    rows: int


def lines(found: Live) -> Iterator[str]:
    yield "Following PostgreSQL by its log, seconds from commit to the other side"
    for rows, seconds in found.latency.items():
        yield f"  {rows:>4} rows   median {median(seconds):.3f}   at most {max(seconds):.3f}"
    own = found.burst["the server's own replication"]
    yield f"A burst of {found.rows:,} updated rows, seconds until they are on the other side"
    for who, seconds in found.burst.items():
        yield f"  {who:<30} {seconds:6.2f}  ratio {seconds / own:5.2f}  {found.rows / seconds:9,.0f} rows/s"


def measure(rows: int = 100_000) -> Live:
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        folder.chmod(0o755)
        source = fresh_postgres(folder / "a", "shop", logical=True)
        target = fresh_postgres(folder / "b", "shop")
        with psycopg.connect(source) as old, psycopg.connect(target) as new:
            old.execute("CREATE TABLE ware (id int PRIMARY KEY, bezeichnung text, cent int)")
            old.execute("INSERT INTO ware SELECT n, 'Ware ' || n, n FROM generate_series(1, %s) n", [rows])
            new.execute("CREATE TABLE goods (id int PRIMARY KEY, name text, price numeric(12, 2))")
            new.execute("CREATE TABLE ware (id int PRIMARY KEY, bezeichnung text, cent int)")
        spec = folder / "spec.yaml"
        spec.write_text(SPEC.format(source=source, target=target, folder=folder, every="10ms"))
        sync(Asked(spec, once=True), Told())
        latency = _latencies(spec, source, target)
        _update(source, rows, 7)
        began = time.monotonic()
        sync(Asked(spec, once=True), Told())
        burst = {"syncline sync": time.monotonic() - began}
        _must_be(target, "SELECT count(*) FROM goods WHERE name LIKE '%!7'", rows)
        burst["the server's own replication"] = _replicated(source, target, rows)
        return Live(latency, burst, rows)


def _latencies(spec: Path, source: str, target: str) -> dict[int, list[float]]:
    found: dict[int, list[float]] = {}
    with _following(spec), psycopg.connect(source) as old, psycopg.connect(target, autocommit=True) as new:
        for size in (1, 100):
            for turn in range(ROUNDS + 1):
                old.execute("UPDATE ware SET bezeichnung = %s WHERE id <= %s", [f"{size} {turn}", size])
                old.commit()
                began = time.monotonic()
                asked = "SELECT count(*) FROM goods WHERE id <= %s AND name = %s"
                _until(lambda: (new.execute(asked, [size, f"{size} {turn}"]).fetchone() or (0,))[0] == size)  # noqa: B023
                if turn:  # the first one waits until following has begun
                    found.setdefault(size, []).append(time.monotonic() - began)
                time.sleep(0.05)
    return found


@contextmanager
def _following(spec: Path) -> Iterator[None]:
    """Somebody follows inside, in this process."""
    thread = threading.Thread(target=lambda: sync(Asked(spec, seconds=20), Told()), daemon=True)
    thread.start()
    yield
    thread.join()


def _update(url: str, rows: int, mark: int) -> None:
    with psycopg.connect(url) as shop:
        for first in range(0, rows, 1000):
            shop.execute(
                "UPDATE ware SET bezeichnung = 'Ware ' || id || %s WHERE id > %s AND id <= %s",
                [f"!{mark}", first, first + 1000],
            )
            shop.commit()


def _replicated(source: str, target: str, rows: int) -> float:
    with psycopg.connect(source, autocommit=True) as old, psycopg.connect(target, autocommit=True) as new:
        old.execute("CREATE PUBLICATION bench FOR TABLE ware")
        new.execute(f"CREATE SUBSCRIPTION bench CONNECTION '{source}' PUBLICATION bench".encode())
        _until(lambda: (new.execute("SELECT count(*) FROM ware").fetchone() or (0,))[0] == rows)
        new.execute("ALTER SUBSCRIPTION bench DISABLE")
        _update(source, rows, 8)
        began = time.monotonic()
        new.execute("ALTER SUBSCRIPTION bench ENABLE")
        _until(
            lambda: (
                (new.execute("SELECT count(*) FROM ware WHERE bezeichnung LIKE '%!8'").fetchone() or (0,))[0] == rows
            )
        )
        seconds = time.monotonic() - began
        new.execute("DROP SUBSCRIPTION bench")
    return seconds


def _must_be(url: str, query: str, count: int) -> None:
    with psycopg.connect(url) as shop:
        found = (shop.execute(query.encode()).fetchone() or (0,))[0]
    if found != count:
        raise SystemExit(f"{query} counts {found:,}, not {count:,}.")


def _until(there: Callable[[], bool]) -> None:
    ends = time.monotonic() + PATIENCE
    while not there():
        if time.monotonic() > ends:
            raise SystemExit("It did not come over.")
        time.sleep(0.001)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=100_000)
    for line in lines(measure(parser.parse_args().rows)):
        print(line)


if __name__ == "__main__":
    main()
