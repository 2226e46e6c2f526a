"""What keeping history costs: a first load with each way of keeping it, and what one can ask of it afterwards."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

from benchmarks.checkpoints import spec_with
from benchmarks.command import Spent, spend
from benchmarks.copying import WrongResult, prepare, run
from benchmarks.server import Server, edit

WAYS: Final = ("full", "keys", "off")
ASKED: Final = ("asof, into a Parquet file", "undo of the second version", "prune of both")


@dataclass(frozen=True, slots=True)
class Keeping:
    """Rounds of a first load, and the bytes that its change sets take, by way; then what was asked of the full history."""

    rows: int
    spent: dict[str, tuple[Spent, ...]]
    nbytes: dict[str, int]
    asked: dict[str, tuple[Spent, ...]]
    pruned_bytes: int


def measure(server: Server, rows: int, rounds: int, told: Callable[[str], None]) -> Keeping:
    """Each round is one first load a way, into a fresh target; with `full` an edit, and the questions, come after it."""
    found: dict[str, list[Spent]] = {way: [] for way in WAYS}
    asked: dict[str, list[Spent]] = {name: [] for name in ASKED}
    nbytes: dict[str, int] = {}
    pruned = 0
    for number in range(rounds):
        told(f"history of {rows:,} rows, round {number + 1} of {rounds}")
        for way in WAYS[:: -1 if number % 2 else 1]:
            prepare(server)
            with spec_with(server, {"history": way}) as spec:
                found[way].append(run(server, spec, {"source_rows": rows, "insert": rows}))
                nbytes[way] = _kept(spec)
                if way == "full":
                    edit(server, "source", rows)
                    run(server, spec, {})
                    for name, spent in zip(ASKED, _questions(spec, rows), strict=True):
                        asked[name].append(spent)
                    pruned = _kept(spec)
    return Keeping(rows, _fixed(found), nbytes, _fixed(asked), pruned)


def lines(keeping: Keeping) -> list[tuple[str, ...]]:
    """Name, seconds of work, ratio to a full history, processor time, peak memory, and what the store holds then."""
    whole = keeping.spent["full"]
    told = [
        (
            f"first load, history: {way}",
            f"{median(s.work for s in spent):.2f}",
            f"{median(s.work / w.work for s, w in zip(spent, whole, strict=True)):.2f}",
            f"{median(s.cpu for s in spent):.2f}",
            f"{max(s.mebibytes for s in spent):.0f}",
            f"{keeping.nbytes[way] / 2**20:.1f}",
        )
        for way, spent in keeping.spent.items()
    ]
    for name, spent in keeping.asked.items():
        kept = f"{keeping.pruned_bytes / 2**20:.1f}" if name == ASKED[2] else ""
        told.append(
            (
                name,
                f"{median(s.work for s in spent):.2f}",
                "",
                f"{median(s.cpu for s in spent):.2f}",
                f"{max(s.mebibytes for s in spent):.0f}",
                kept,
            )
        )
    return told


def _questions(spec: Path, rows: int) -> list[Spent]:
    file = spec.parent / "then.parquet"
    then = _done(spend(["asof", str(spec), "1", "customer", "-o", str(file)]))
    if then.answer["total"] != rows:
        raise WrongResult(f"The table as it stood has {then.answer['total']:,} rows, and had {rows:,}.")
    undone = _done(spend(["undo", str(spec), "2", "--direct", "--yes"]))
    pruned = _done(spend(["prune", str(spec), "--keep", "0s", "--yes"]))
    if pruned.answer["bases"] != {"customer": rows}:
        raise WrongResult(f"Pruning wrote down {pruned.answer['bases']}, and the table has {rows:,} rows again.")
    return [then, undone, pruned]


def _done(spent: Spent) -> Spent:
    if spent.status:
        raise WrongResult(f"A question left with {spent.status}: {spent.answer.get('error', '')}")
    return spent


def _kept(spec: Path) -> int:
    """Bytes of change sets, keys and bases."""
    store = spec.parent / "store"
    files = [
        path for part in ("plans/*/changes", "plans/*/keys", "bases") for path in store.glob(f"{part}/**/*.parquet")
    ]
    return sum(path.stat().st_size for path in files)


def _fixed(found: dict[str, list[Spent]]) -> dict[str, tuple[Spent, ...]]:
    return {name: tuple(spent) for name, spent in found.items()}
