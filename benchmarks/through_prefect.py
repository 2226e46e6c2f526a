"""What Prefect adds: the same run without changes directly, with an API of its own, and against an API that is there."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from benchmarks.command import Spent
from benchmarks.copying import prepare, run, spec_of
from benchmarks.server import Server
from examples.story import quiet_prefect, serving_prefect


@dataclass(frozen=True, slots=True)
class Prefect:
    """Runs without changes. `new`: the API's database has to be made first; `own`: the run starts an API and ends it."""

    direct: tuple[Spent, ...]
    server: tuple[Spent, ...]
    own: tuple[Spent, ...]
    new: tuple[Spent, ...]


def measure(server: Server, rows: int, rounds: int, told: Callable[[str], None]) -> Prefect | None:
    """None where this version of Syncline has no flows."""
    if find_spec("flows.cli.launch") is None:
        return None
    prepare(server)
    home = Path(tempfile.mkdtemp(prefix="syncline-bench-"))
    own = {**quiet_prefect(home), "PREFECT_LOGGING_LEVEL": "ERROR"}
    found: dict[str, list[Spent]] = {"direct": [], "server": [], "own": [], "new": []}
    try:
        with spec_of(server) as spec:

            def once(name: str, environment: dict[str, str] | None) -> None:
                told(f"{rows:,} rows without changes, {name}")
                expected = {"source_rows": rows, "insert": 0, "unchanged": rows}
                found[name].append(run(server, spec, expected, direct=environment is None, **(environment or {})))

            run(server, spec, {"source_rows": rows, "insert": rows})
            once("new", own)
            for _ in range(rounds):
                once("own", own)
            with serving_prefect(home) as served:
                url = served()
                for _ in range(rounds):
                    once("direct", None)
                    once("server", {**own, "PREFECT_API_URL": url})
    finally:
        shutil.rmtree(home, ignore_errors=True)
    return Prefect(*(tuple(found[name]) for name in ("direct", "server", "own", "new")))
