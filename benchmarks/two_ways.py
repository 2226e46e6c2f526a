"""Two ways: both sides are edited and come together, as a ratio to reading both once."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Final

import psycopg

from benchmarks.command import Spent, spend
from benchmarks.copying import WrongResult, spec_of
from benchmarks.server import Server

SPEC: Final = """
version: 1
name: benchmark
direction: two_way
initial: policy
conflict: {{resolve: newer_wins, clock: seen_at, tie: source, delete: update_wins}}
source: {{url: "{source}"}}
target: {{url: "{target}"}}
state: {{url: "sqlite:///{folder}/ledger.db", store: "{folder}/store"}}
tables:
  customer: {{from: customer, key: [id]}}
"""
STEPS: Final = ("they meet", "no edits", "1% edited on each side", "the same, all in one place")
SPREAD: Final = (
    "UPDATE customer SET balance = balance + 1, seen_at = seen_at + interval '1 day' WHERE id / 2 % 100 = {part}"
)
BESIDE: Final = "UPDATE customer SET balance = balance + 1, seen_at = seen_at + interval '1 day' WHERE id > {first} AND id <= {last}"


@dataclass(frozen=True, slots=True)
class TwoWays:
    """Rounds: seconds of reading both sides by COPY, one after the other; of a one-way run without changes; and of each step."""

    rows: int
    base_bytes: int
    raw: tuple[float, ...]
    reading: tuple[Spent, ...]
    spent: dict[str, tuple[Spent, ...]]


def measure(server: Server, rows: int, rounds: int, told: Callable[[str], None]) -> TwoWays:
    """Both sides begin as copies of one database. WrongResult where they are not equal after a step."""
    found: dict[str, list[Spent]] = {step: [] for step in STEPS}
    raw, reading = list[float](), list[Spent]()
    base_bytes = 0
    for number in range(rounds):
        told(f"two sides of {rows:,} rows, round {number + 1} of {rounds}")
        for database in ("source", "target"):
            server.replace(database, "filled")
            server.settle(database)
        with spec_of(server, SPEC) as spec:
            raw.append(_read(server))
            reading.append(_one_way(spec))
            for step, changes in zip(STEPS, _edits(rows), strict=True):
                for database, statement in changes.items():
                    server.run(database, statement)
                    server.settle(database)
                found[step].append(_synchronized(server, spec))
            base_bytes = sum(file.stat().st_size for file in (spec.parent / "store" / "agreed").rglob("*.parquet"))
    return TwoWays(rows, base_bytes, tuple(raw), tuple(reading), {step: tuple(each) for step, each in found.items()})


def lines(found: TwoWays) -> list[tuple[str, ...]]:
    """Name, seconds of work, ratios to the raw reading and to Syncline's own, processor time, peak memory."""
    own = found.reading
    listed = [("raw: both sides by COPY, binary", f"{median(found.raw):.2f}", "1.00", "", "", "")]
    for name, spent in (("Syncline: one way, no changes", own), *found.spent.items()):
        listed.append(
            (
                name,
                f"{median(each.work for each in spent):.2f}",
                f"{median(each.work / raw for each, raw in zip(spent, found.raw, strict=True)):.2f}",
                f"{median(each.work / one.work for each, one in zip(spent, own, strict=True)):.2f}",
                f"{median(each.cpu for each in spent):.2f}",
                f"{max(each.mebibytes for each in spent):.0f}",
            )
        )
    return listed


def _edits(rows: int) -> Iterator[dict[str, str]]:
    """What happens before each step, by database; some rows are edited on both sides."""
    yield {}
    yield {}
    yield {"source": SPREAD.format(part=7), "target": SPREAD.format(part=8)}
    part = rows // 100 * 2  # keys are even
    yield {"source": BESIDE.format(first=0, last=part), "target": BESIDE.format(first=part // 2, last=part // 2 * 3)}


def _read(server: Server) -> float:
    began = perf_counter()
    for database in ("source", "target"):
        with (
            psycopg.connect(server.url(database)) as connection,
            connection.cursor().copy("COPY customer TO STDOUT (FORMAT binary)") as rows,
        ):
            for _ in rows:
                pass
    return perf_counter() - began


def _one_way(spec: Path) -> Spent:
    path = spec.with_name("one_way.yaml")
    text = (
        spec.read_text()
        .replace("direction: two_way\ninitial: policy\n", "")
        .replace("name: benchmark", "name: reading")
    )
    path.write_text("\n".join(line for line in text.splitlines() if not line.startswith("conflict:")))
    return _done(spend(["run", str(path), "--direct"]))


def _synchronized(server: Server, spec: Path) -> Spent:
    spent = _done(spend(["run", str(spec), "--direct"]))
    if server.fingerprint("source") != server.fingerprint("target"):
        raise WrongResult("Both sides came together, and are not equal.")
    return spent


def _done(spent: Spent) -> Spent:
    if spent.status:
        raise WrongResult(f"A run left with {spent.status}: {spent.answer.get('error', '')}")
    return spent
