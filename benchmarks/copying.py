"""PostgreSQL to PostgreSQL: Syncline beside the raw pipe of two COPY commands, round by round on the same server."""

from __future__ import annotations

import resource
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Final

from benchmarks.command import Spent, spend
from benchmarks.server import Server, edit, make_templates, pipe_psql, pipe_psycopg

STEPS: Final = ("full copy", "second run, no changes", "1% updates, 0.5% inserts, 0.5% deletes")
SPEC: Final = """
version: 1
name: benchmark
source: {{url: "{source}"}}
target: {{url: "{target}"}}
state: {{url: "sqlite:///{folder}/ledger.db", store: "{folder}/store"}}
tables:
  customer: {{from: customer, key: [id]}}
"""


class WrongResult(Exception):
    """A step did not do what it was timed for, so its time means nothing."""


@dataclass(frozen=True, slots=True)
class Piped:
    """What the raw pipe cost: seconds, and processor time of its clients and the server."""

    seconds: float
    cpu: float


@dataclass(frozen=True, slots=True)
class Step:
    """One step over all rounds; `raw` is the pipe in the same rounds."""

    name: str
    spent: tuple[Spent, ...]
    raw: tuple[Piped, ...]

    def ratio(self, of: Callable[[Spent], float], pick: Callable[[list[float]], float] = median) -> float:
        """Of the rounds' own ratios: what slows the machine down slows both sides of a round."""
        return pick([of(spent) / raw.seconds for spent, raw in zip(self.spent, self.raw, strict=True)])

    @property
    def cpu_ratio(self) -> float:
        return median(spent.cpu / raw.cpu for spent, raw in zip(self.spent, self.raw, strict=True))


@dataclass(frozen=True, slots=True)
class Copying:
    rows: int
    table_bytes: int
    pipe: str
    raw: tuple[Piped, ...]
    steps: tuple[Step, ...]


def measure(server: Server, rows: int, rounds: int, told: Callable[[str], None]) -> Copying:
    """Each round is the raw pipe and Syncline's three steps, all on fresh copies of the same databases."""
    told(f"making {rows:,} rows")
    size = make_templates(server, rows)
    name, pipe = fastest_pipe(server)
    raw: list[Piped] = []
    spent: dict[str, list[Spent]] = {step: [] for step in STEPS}
    for number in range(rounds):
        told(f"{rows:,} rows, round {number + 1} of {rounds}")
        prepare(server)
        if number % 2:  # neither side is always the first
            for step, cost in _three_steps(server, rows):
                spent[step].append(cost)
            prepare(server)
        raw.append(timed_pipe(server, pipe))
        if not number % 2:
            for step, cost in _three_steps(server, rows):
                spent[step].append(cost)
    steps = tuple(Step(step, tuple(costs), tuple(raw)) for step, costs in spent.items())
    return Copying(rows, size, name, tuple(raw), steps)


def prepare(server: Server) -> None:
    """Fresh databases `source`, `target` and `piped`; the source's pages are in memory as after any use."""
    for database, template in (("source", "filled"), ("target", "empty"), ("piped", "empty")):
        server.replace(database, template)
    server.fingerprint("source")


def timed_pipe(server: Server, pipe: Callable[[Server, str, str], None]) -> Piped:
    server.settle()
    cpu, began = server.cpu() + _clients_cpu(), perf_counter()
    pipe(server, "source", "piped")
    seconds = perf_counter() - began
    spent = Piped(seconds, server.cpu() + _clients_cpu() - cpu)
    if server.fingerprint("piped") != server.fingerprint("source"):
        raise WrongResult("The raw pipe did not copy the rows.")
    server.run("postgres", "DROP DATABASE piped")
    return spent


def _clients_cpu() -> float:
    """Of this process and of those that it started and that have ended."""
    return sum(sum(resource.getrusage(who)[:2]) for who in (resource.RUSAGE_SELF, resource.RUSAGE_CHILDREN))


def fastest_pipe(server: Server) -> tuple[str, Callable[[Server, str, str], None]]:
    """The faster of the pipes there are, each tried once."""
    pipes = {"psycopg copy to copy": pipe_psycopg}
    if server.psql is not None:
        pipes["psql | psql"] = pipe_psql
    seconds = {}
    for name, pipe in pipes.items():
        prepare(server)
        seconds[name] = timed_pipe(server, pipe).seconds
    best = min(seconds, key=lambda name: seconds[name])
    return best, pipes[best]


@contextmanager
def spec_of(server: Server, text: str = SPEC) -> Iterator[Path]:
    """A spec whose ledger and plans are new; the columns are mapped to their own names. `text` has places for what is the server's."""
    folder = Path(tempfile.mkdtemp(prefix="syncline-bench-"))
    try:
        path = folder / "spec.yaml"
        path.write_text(text.format(source=server.url("source"), target=server.url("target"), folder=folder))
        yield path
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def _three_steps(server: Server, rows: int) -> Iterator[tuple[str, Spent]]:
    counts = {"source_rows": rows, "insert": rows, "update": 0, "delete": 0, "unchanged": 0}
    with spec_of(server) as spec:
        yield STEPS[0], run(server, spec, counts)
        unchanged = {**counts, "insert": 0, "unchanged": rows}
        yield STEPS[1], run(server, spec, unchanged)
        edits = edit(server, "source", rows)
        after = rows + edits["insert"] - edits["delete"]
        yield (
            STEPS[2],
            run(server, spec, {"source_rows": after, **edits, "unchanged": rows - edits["update"] - edits["delete"]}),
        )


def run(server: Server, spec: Path, expected: dict[str, int], *, direct: bool = True, **environment: str) -> Spent:
    """One `syncline run`, held against the counts it must report and the rows it must leave behind.

    Its processor time is that of the work and of the server.
    """
    server.settle("source", "target")
    before = server.cpu()
    spent = spend(["run", str(spec), *(["--direct"] if direct else [])], environment)
    spent = replace(spent, cpu=spent.cpu + server.cpu() - before)
    if spent.status:
        raise WrongResult(f"syncline run left with {spent.status}: {spent.answer.get('error', '')}")
    counts: dict[str, Any] = spent.answer["tables"]["customer"]
    wrong = {name: counts[name] for name, count in expected.items() if counts[name] != count}
    if wrong:
        raise WrongResult(f"The run reports {wrong}, and it must be { ({name: expected[name] for name in wrong}) }.")
    if server.fingerprint("target") != server.fingerprint("source"):
        raise WrongResult("The run left other rows in the target than the source has.")
    return spent
