"""Runs one Syncline command in a process of its own and says where its time went.

`spend` starts this module as that process: it loads what the command needs, looks at the clock, and runs the real
command line.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
ALWAYS: Final = (
    "flows.cli.main",
    "flows.commands",
    "flows.cli.terminal.report",
    "adapters.postgres.adapter",
    "pandas",
    "duckdb",
)


@dataclass(frozen=True, slots=True)
class Spent:
    """What a command cost. `seconds` is all of it; `started` of them passed before the command's `work` could begin.

    `cpu` is the processor time of the work.
    """

    seconds: float
    started: float
    work: float
    cpu: float
    mebibytes: float
    status: int
    answer: dict[str, Any]


def spend(arguments: Sequence[str], environment: Mapping[str, str] | None = None) -> Spent:
    """Run `syncline ARGUMENTS --json`; the peak memory is that of this one process, as the kernel counted it."""
    with tempfile.TemporaryDirectory(prefix="syncline-bench-") as folder:
        clock, printed = Path(folder) / "clock.json", Path(folder) / "printed.json"
        began = time.monotonic()
        with printed.open("wb") as output:
            process = subprocess.Popen(
                [sys.executable, "-m", "benchmarks.command", str(began), str(clock), *arguments, "--json"],
                stdout=output,
                cwd=ROOT,
                env={**os.environ, **(environment or {})},
            )
            _, waited, usage = os.wait4(process.pid, 0)
        seconds = time.monotonic() - began
        process.returncode = status = os.waitstatus_to_exitcode(waited)
        answer = json.loads(printed.read_text() or "{}")
        if not clock.exists():
            raise RuntimeError(f"syncline {' '.join(arguments)} left with {status}: {answer.get('error', '')}")
        times = json.loads(clock.read_text())
    return Spent(
        seconds,
        times["ready"] - began,
        times["done"] - times["ready"],
        times["cpu"],
        usage.ru_maxrss / (1024 if sys.platform != "darwin" else 1024**2),
        status,
        answer,
    )


def main() -> None:
    clock, arguments = Path(sys.argv[2]), sys.argv[3:]
    for name in ALWAYS if "--direct" in arguments else (*ALWAYS, "flows.cli.launch"):
        import_module(name)
    ready, cpu = time.monotonic(), time.process_time()
    try:
        import_module("flows.cli.main").main(arguments)
    finally:
        clock.write_text(json.dumps({"ready": ready, "done": time.monotonic(), "cpu": time.process_time() - cpu}))


if __name__ == "__main__":
    main()
