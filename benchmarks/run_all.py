"""Measure and print everything: `python -m benchmarks.run_all [--json FILE]`.

A time never fails anything; a step that does not do what it is timed for does.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from collections.abc import Callable, Sequence
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from statistics import median
from typing import Any

from benchmarks.capture import HEADINGS as CAPTURE_HEADINGS
from benchmarks.capture import Capture
from benchmarks.capture import lines as capture_lines
from benchmarks.capture import measure as measure_capture
from benchmarks.checking import Checking
from benchmarks.checking import measure as measure_check
from benchmarks.checkpoints import Guarding
from benchmarks.checkpoints import measure as measure_guard
from benchmarks.command import Spent
from benchmarks.copying import Copying, Step, WrongResult, measure
from benchmarks.diffing import Diffing
from benchmarks.diffing import measure as measure_diff
from benchmarks.keeping import Keeping
from benchmarks.keeping import lines as keeping_lines
from benchmarks.keeping import measure as measure_keeping
from benchmarks.mariadb import Mariadb
from benchmarks.mariadb import lines as mariadb_ways
from benchmarks.mariadb import measure as measure_mariadb
from benchmarks.sealing import SealedRuns
from benchmarks.sealing import lines as sealed_lines
from benchmarks.sealing import measure as measure_sealed
from benchmarks.server import make_templates, serving
from benchmarks.through_prefect import Prefect
from benchmarks.through_prefect import measure as measure_prefect
from benchmarks.two_ways import TwoWays
from benchmarks.two_ways import lines as two_ways_lines
from benchmarks.two_ways import measure as measure_two_ways

PACKAGES = (
    "pyarrow",
    "duckdb",
    "psycopg",
    "pymysql",
    "adbc-driver-postgresql",
    "pgpq",
    "sqlalchemy",
    "prefect",
    "numpy",
    "pandas",
)


def main() -> int:
    asked = _arguments()
    found: dict[str, Any] = {}
    try:
        with serving() as server:
            machine = _machine(server.settings())
            found["machine"] = machine
            print(_machine_lines(machine), flush=True)
            copying = measure(server, asked.rows, asked.rounds, _told)
            found["copying"] = asdict(copying)
            print(_copying_lines(copying), flush=True)
            if asked.large:
                large = measure(server, asked.large, 1, _told)
                found["large"] = asdict(large)
                print(_large_lines(large), flush=True)
                make_templates(server, asked.rows)
            checking = measure_check(server, asked.rows, min(asked.rounds, 3), _told)
            found["checking"] = asdict(checking)
            print(_checking_lines(checking), flush=True)
            guarding = measure_guard(server, asked.rows, min(asked.rounds, 3), _told)
            found["checkpoints"] = asdict(guarding)
            print(_guarding_lines(guarding), flush=True)
            keeping = measure_keeping(server, asked.rows, min(asked.rounds, 3), _told)
            found["history"] = asdict(keeping)
            print(_keeping_lines(keeping), flush=True)
            sealed = measure_sealed(server, asked.rows, min(asked.rounds, 3), _told)
            found["sealed"] = asdict(sealed)
            print(_sealed_lines(sealed), flush=True)
            two_ways = measure_two_ways(server, asked.rows, min(asked.rounds, 3), _told)
            found["two_ways"] = asdict(two_ways)
            print(_two_ways_lines(two_ways), flush=True)
            prefect = None if asked.no_prefect else measure_prefect(server, asked.rows, 3, _told)
            if prefect is not None:
                found["prefect"] = asdict(prefect)
            print(_prefect_lines(prefect), flush=True)
        there = measure_mariadb(asked.rows, min(asked.rounds, 3), _told)
        if there is not None:
            found["mariadb"] = asdict(there)
        print(_mariadb_lines(there), flush=True)
        capture = measure_capture(asked.rows // 5, min(asked.rounds, 3), _told)
        found["capture"] = asdict(capture)
        print(_capture_lines(capture), flush=True)
        _told(f"two tables of {asked.diff_rows:,} rows in memory")
        diffing = measure_diff(asked.diff_rows, asked.rounds)
        found["diff"] = asdict(diffing)
        print(_diff_lines(diffing), flush=True)
    except WrongResult as error:
        print(f"error: {error}", file=sys.stderr)
        return 1
    if asked.json:
        asked.json.write_text(json.dumps(found, indent=1))
    return 0


def _arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.run_all", description="Measure Syncline on this machine."
    )
    parser.add_argument("--rows", type=int, default=1_000_000, help="rows of the PostgreSQL table (1,000,000)")
    parser.add_argument("--rounds", type=int, default=5, help="rounds, of which the median is printed (5)")
    parser.add_argument(
        "--large", type=int, default=0, metavar="ROWS", help="one more round with so many rows, for its memory"
    )
    parser.add_argument(
        "--diff-rows", type=int, default=5_000_000, help="rows of the tables diffed in memory (5,000,000)"
    )
    parser.add_argument("--no-prefect", action="store_true", help="leave out the runs through Prefect")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write every measured value to FILE")
    return parser.parse_args()


def _told(what: str) -> None:
    print(f"... {what}", file=sys.stderr, flush=True)


def _machine(settings: dict[str, str]) -> dict[str, Any]:
    return {
        "cores": len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count(),
        "processor": _processor(),
        "system": f"{platform.system()} {platform.machine()}",
        "busy": os.getloadavg()[0] if hasattr(os, "getloadavg") else None,
        "python": platform.python_version(),
        "packages": {name: version(name) for name in PACKAGES},
        "postgresql": settings,
    }


def _processor() -> str:
    try:
        lines = Path("/proc/cpuinfo").read_text().splitlines()
    except OSError:
        return platform.processor() or "unknown"
    return next((line.partition(": ")[2] for line in lines if line.startswith("model name")), "unknown")


def _machine_lines(machine: dict[str, Any]) -> str:
    settings = dict(machine["postgresql"])
    packages = ", ".join(f"{name} {number}" for name, number in machine["packages"].items())
    busy = "" if machine["busy"] is None else f", load average before {machine['busy']:.1f}"
    return (
        f"machine: {machine['cores']} cores ({machine['processor']}), {machine['system']}, Python {machine['python']}{busy}\n"
        f"packages: {packages}\n"
        f"PostgreSQL {settings.pop('server_version')} on a local socket, its defaults: "
        + ", ".join(f"{name} {value}" for name, value in settings.items())
    )


def _copying_lines(copying: Copying) -> str:
    rounds = len(copying.raw)
    raw = f"{median(piped.seconds for piped in copying.raw):.2f}"
    cpu = f"{median(piped.cpu for piped in copying.raw):.2f}"
    header = ("", "work s", "ratio", "best", "CPU s", "ratio", "start s", "all s", "peak MiB")
    lines: list[tuple[str, ...]] = [
        (f"raw: {copying.pipe}, COPY binary", raw, "1.00", "1.00", cpu, "1.00", "", raw, ""),
        *(_step_line(step) for step in copying.steps),
    ]
    return (
        f"\nPostgreSQL to PostgreSQL, {copying.rows:,} rows of 8 columns ({copying.table_bytes / 2**20:.0f} MiB), into a "
        f"table with a primary key; medians of {rounds} rounds\n"
        + _aligned(header, lines)
        + "\nwork: from connecting to the result. ratio: the median of the rounds' own ratios to the raw pipe. best: the "
        "smallest of them.\nCPU: of the work, in all processes, PostgreSQL's too. start: Python and imports. all: the "
        "process from start to end.\npeak: the largest of the Syncline process, in any round."
    )


def _step_line(step: Step) -> tuple[str, ...]:
    spent = step.spent
    return (
        f"Syncline: {step.name}",
        f"{median(s.work for s in spent):.2f}",
        f"{step.ratio(lambda s: s.work):.2f}",
        f"{step.ratio(lambda s: s.work, min):.2f}",
        f"{median(s.cpu for s in spent):.2f}",
        f"{step.cpu_ratio:.2f}",
        f"{median(s.started for s in spent):.2f}",
        f"{median(s.seconds for s in spent):.2f}",
        f"{max(s.mebibytes for s in spent):.0f}",
    )


def _large_lines(large: Copying) -> str:
    raw = large.raw[0]
    lines: list[tuple[str, ...]] = [
        (f"raw: {large.pipe}, COPY binary", f"{raw.seconds:.2f}", "1.00", f"{raw.cpu:.2f}", "1.00", "")
    ]
    for step in large.steps:
        spent = step.spent[0]
        ratios = step.ratio(lambda s: s.work), step.cpu_ratio
        figures = (
            f"{spent.work:.2f}",
            f"{ratios[0]:.2f}",
            f"{spent.cpu:.2f}",
            f"{ratios[1]:.2f}",
            f"{spent.mebibytes:.0f}",
        )
        lines.append((f"Syncline: {step.name}", *figures))
    title = f"\nThe same with {large.rows:,} rows ({large.table_bytes / 2**20:.0f} MiB), one round\n"
    return title + _aligned(("", "work s", "ratio", "CPU s", "ratio", "peak MiB"), lines)


def _checking_lines(checking: Checking) -> str:
    lines = [
        (
            f"check {name}",
            f"{median(s.work for s in spent):.2f}",
            f"{median(s.cpu for s in spent):.2f}",
            f"{median(s.seconds for s in spent):.2f}",
            f"{max(s.mebibytes for s in spent):.0f}",
        )
        for name, spent in checking.spent.items()
    ]
    rounds = max(len(spent) for spent in checking.spent.values())
    title = f"\ncheck, {checking.rows:,} rows of 8 columns, before they go into an empty PostgreSQL table; medians of {rounds} rounds\n"
    return title + _aligned(("", "work s", "CPU s", "all s", "peak MiB"), lines)


def _guarding_lines(guarding: Guarding) -> str:
    lines = [
        (
            name,
            f"{median(s.work for s in spent):.2f}",
            f"{guarding.ratio(name, lambda s: s.work):.2f}",
            f"{median(s.cpu for s in spent):.2f}",
            f"{guarding.ratio(name, lambda s: s.cpu):.2f}",
            f"{median(s.seconds for s in spent):.2f}",
            f"{max(s.mebibytes for s in spent):.0f}",
        )
        for name, spent in guarding.spent.items()
    ]
    rounds = len(guarding.imported)
    seconds, cpu = (f"{median(each[of] for each in guarding.imported):.2f}" for of in (0, 1))
    lines.append(("of those with rules, loading Great Expectations", seconds, "", cpu, "", "", ""))
    title = (
        f"\nCheckpoints: PostgreSQL to PostgreSQL, {guarding.rows:,} rows of 8 columns, six rules of rows (three critical, three "
        f"warnings), seven rules after the load; medians of {rounds} rounds\n"
    )
    return title + _aligned(("", "work s", "ratio", "CPU s", "ratio", "all s", "peak MiB"), lines)


def _keeping_lines(keeping: Keeping) -> str:
    rounds = len(keeping.spent["full"])
    title = f"\nHistory: PostgreSQL to PostgreSQL, {keeping.rows:,} rows of 8 columns; medians of {rounds} rounds\n"
    return title + _aligned(("", "work s", "ratio", "CPU s", "peak MiB", "kept MiB"), keeping_lines(keeping))


def _sealed_lines(found: SealedRuns) -> str:
    rounds = len(found.spent["no seals"])
    title = (
        f"\nSealed windows: PostgreSQL to PostgreSQL, {found.rows:,} rows of 8 columns; medians of {rounds} rounds\n"
    )
    return title + _aligned(("", "work s", "ratio", "CPU s", "ratio", "peak MiB"), sealed_lines(found))


def _two_ways_lines(found: TwoWays) -> str:
    title = (
        f"\nTwo ways: two PostgreSQL databases of {found.rows:,} rows of 8 columns, a base of {found.base_bytes / 2**20:.0f} MiB; "
        f"medians of {len(found.raw)} rounds\n"
    )
    header = ("", "work s", "to raw", "to one way", "CPU s", "peak MiB")
    return title + _aligned(header, two_ways_lines(found))


def _prefect_lines(prefect: Prefect | None) -> str:
    if prefect is None:
        return "\nThrough Prefect: not measured."
    runs: list[tuple[str, tuple[Spent, ...]]] = [
        ("directly (--direct)", prefect.direct),
        ("through a Prefect server that is there", prefect.server),
        ("through an API that the run starts and ends", prefect.own),
        ("the same, and its database has to be made", prefect.new),
    ]
    columns: list[Callable[[Spent], float]] = [lambda s: s.started, lambda s: s.work, lambda s: s.seconds]
    lines = [
        (name, *(f"{median(of(s) for s in spent):.2f}" for of in columns), f"{max(s.mebibytes for s in spent):.0f}")
        for name, spent in runs
    ]
    return f"\nWhat Prefect adds: a run without changes, medians of {len(prefect.own)} rounds\n" + _aligned(
        ("", "start s", "work s", "all s", "peak MiB"), lines
    )


def _mariadb_lines(found: Mariadb | None) -> str:
    if found is None:
        return "\nMariaDB: not measured, it is not installed."
    size, rounds = found.table_bytes / 2**20, len(next(iter(found.reading.values())))
    title = (
        f"\nMariaDB, {found.rows:,} rows of 8 columns ({size:.0f} MiB) on a local port; medians of {rounds} rounds\n"
    )
    ways = [*mariadb_ways(found, found.reading), *mariadb_ways(found, found.writing)]
    return title + _aligned(("", "s", "ratio", "Mrow/s"), ways)


def _capture_lines(found: Capture) -> str:
    title = f"\nCapture: which of {found.rows:,} rows changed, a thousand in each transaction\n"
    return title + _aligned(CAPTURE_HEADINGS, capture_lines(found))


def _diff_lines(diffing: Diffing) -> str:
    copy = median(diffing.copy)
    lines: list[tuple[str, ...]] = [("copying the memory of both sides", f"{copy:.3f}", "1.0", "")]
    for way, times in diffing.diff.items():
        seconds = median(times)
        rate = f"{diffing.rows / seconds / 1e6:.1f}"
        lines.append((f"Syncline: {way}", f"{seconds:.3f}", f"{diffing.ratio(way):.1f}", rate))
    return (
        f"\nDiff in memory: two sorted tables of {diffing.rows:,} rows of 8 columns ({diffing.table_bytes / 2**20:.0f} MiB each, "
        f"nothing shared), {diffing.changed:,} changes, one thread\n" + _aligned(("", "s", "ratio", "Mrow/s"), lines)
    )


def _aligned(header: Sequence[str], lines: Sequence[Sequence[str]]) -> str:
    widths = [max(len(row[i]) for row in (header, *lines)) for i in range(len(header))]
    return "\n".join(
        "  "
        + "  ".join(
            cell.ljust(w) if i == 0 else cell.rjust(w) for i, (cell, w) in enumerate(zip(row, widths, strict=True))
        ).rstrip()
        for row in (header, *lines)
    )


if __name__ == "__main__":
    sys.exit(main())
