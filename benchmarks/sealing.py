"""What sealed windows save: a run without changes that reads both sides, one that seals them on the way, and one that finds the seals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from statistics import median
from typing import Final

from benchmarks.checkpoints import spec_with
from benchmarks.command import Spent
from benchmarks.copying import WrongResult, prepare, run
from benchmarks.server import Server

WAYS: Final = {"no seals": False, "seals are made": True, "seals are found": True}


@dataclass(frozen=True, slots=True)
class SealedRuns:
    """Rounds of a run without changes, by way."""

    rows: int
    spent: dict[str, tuple[Spent, ...]]


def measure(server: Server, rows: int, rounds: int, told: Callable[[str], None]) -> SealedRuns:
    """Each round is a first load, and a run of each way after it."""
    found: dict[str, list[Spent]] = {way: [] for way in WAYS}
    for number in range(rounds):
        told(f"sealed windows of {rows:,} rows, round {number + 1} of {rounds}")
        prepare(server)
        with spec_with(server, {}) as spec:
            run(server, spec, {"insert": rows})
            plain = spec.read_text()
            for way, seal in WAYS.items():
                spec.write_text(f"{plain}defaults: {{seal: true}}\n" if seal else plain)
                spent = run(server, spec, {"unchanged": rows})
                share = spent.answer["tables"]["customer"].get("sealed", {"rows": None})["rows"]
                if share != {"no seals": None, "seals are made": 0}.get(way, rows):
                    raise WrongResult(f"{way}: {share} rows were sealed.")
                found[way].append(spent)
    return SealedRuns(rows, {way: tuple(spent) for way, spent in found.items()})


def lines(sealed: SealedRuns) -> list[tuple[str, ...]]:
    """Name, seconds of work and their ratio to reading both sides, the same of processor time, and peak memory."""
    whole = sealed.spent["no seals"]
    return [
        (
            f"a run without changes, {way}",
            f"{median(s.work for s in spent):.2f}",
            f"{median(s.work / w.work for s, w in zip(spent, whole, strict=True)):.2f}",
            f"{median(s.cpu for s in spent):.2f}",
            f"{median(s.cpu / w.cpu for s, w in zip(spent, whole, strict=True)):.2f}",
            f"{max(s.mebibytes for s in spent):.0f}",
        )
        for way, spent in sealed.spent.items()
    ]
