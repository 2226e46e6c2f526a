"""What `syncline check` takes: every row is read, mapped and looked at, and nothing is written."""

from __future__ import annotations

import shutil
import sqlite3
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Final

import psycopg

from benchmarks.command import Spent, spend
from benchmarks.copying import SPEC, WrongResult, prepare
from benchmarks.server import Server

# SQLite has no types of its own for these: texts and numbers as an old system would hold them.
LITE: Final = """
CREATE TABLE customer (
    id integer PRIMARY KEY, visits integer NOT NULL, name text NOT NULL, balance numeric(12,2) NOT NULL,
    seen_at timestamptz NOT NULL, score double NOT NULL, active boolean NOT NULL, note text)"""
ROWS: Final = """
SELECT id, visits, name, balance::text, to_char(seen_at AT TIME ZONE 'UTC', 'YYYY-MM-DD HH24:MI:SS.US') || '+00:00', score,
       active::int, note
FROM customer"""
NARROW: Final = "ALTER TABLE customer ALTER name TYPE varchar(10), ALTER visits TYPE smallint"


@dataclass(frozen=True, slots=True)
class Checking:
    """What each kind of check cost, round by round."""

    rows: int
    spent: dict[str, tuple[Spent, ...]]


def measure(server: Server, rows: int, rounds: int, told: Callable[[str], None]) -> Checking:
    """Into an empty table that takes every row, from each source; and into one that takes none."""
    prepare(server)
    folder = Path(tempfile.mkdtemp(prefix="syncline-bench-"))
    found: dict[str, list[Spent]] = {"from PostgreSQL": [], "from SQLite": [], "from PostgreSQL, no row fits": []}
    try:
        lite = folder / "legacy.db"
        told(f"check: {rows:,} rows to SQLite")
        _copy(server, lite)
        sources = dict(zip(found, (server.url("source"), f"sqlite:///{lite}", server.url("source")), strict=True))
        for name, source in sources.items():
            fits = "no row" not in name
            if not fits:
                server.run("target", NARROW)
            server.settle("source", "target")
            path = folder / "spec.yaml"
            path.write_text(SPEC.format(source=source, target=server.url("target"), folder=folder))
            for number in range(rounds):
                told(f"check {name}, round {number + 1} of {rounds}")
                found[name].append(_check(server, path, rows, fits=fits))
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return Checking(rows, {name: tuple(spent) for name, spent in found.items()})


def _copy(server: Server, path: Path) -> None:
    with psycopg.connect(server.url("source")) as there, closing(sqlite3.connect(path)) as here, here:
        here.execute(LITE)
        with there.cursor("rows") as rows:
            rows.itersize = 50_000
            here.executemany("INSERT INTO customer VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows.execute(ROWS))


def _check(server: Server, spec: Path, rows: int, *, fits: bool) -> Spent:
    before = server.cpu()
    spent = spend(["check", str(spec)])
    spent = replace(spent, cpu=spent.cpu + server.cpu() - before)
    counts = spent.answer.get("tables", {}).get("customer", {}).get("counts")
    expected = {"source_rows": rows, "insert": rows if fits else 0, "quarantined": 0 if fits else rows}
    # where nothing fits a run would stop, and so says the check
    if (
        spent.status != (0 if fits else 1)
        or counts is None
        or any(counts[name] != count for name, count in expected.items())
    ):
        raise WrongResult(f"syncline check left with {spent.status}: {spent.answer.get('error', counts)}")
    return spent
