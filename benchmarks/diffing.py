"""The diff of two sorted tables, as a ratio to copying the memory of both: `python -m benchmarks.diffing ROWS ROUNDS`."""

from __future__ import annotations

import json
import subprocess
import sys
from dataclasses import asdict, dataclass
from pathlib import Path
from statistics import median
from time import perf_counter
from typing import Any, Final

ROOT: Final = Path(__file__).resolve().parent.parent
CHANGED: Final = 1000  # one row in so many differs


@dataclass(frozen=True, slots=True)
class Diffing:
    """Seconds by round: the copy of both sides, and the diff, in one thread, of rows that were changed in a way."""

    rows: int
    table_bytes: int
    changed: int
    copy: tuple[float, ...]
    diff: dict[str, tuple[float, ...]]

    def ratio(self, way: str) -> float:
        return median(diff / copy for diff, copy in zip(self.diff[way], self.copy, strict=True))


def measure(rows: int, rounds: int) -> Diffing:
    """Run in a process of its own, so that a large memory is given back."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.diffing", str(rows), str(rounds)],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
    )
    found = json.loads(done.stdout)
    return Diffing(**found)


def main() -> None:
    rows, rounds = int(sys.argv[1]), int(sys.argv[2])
    print(json.dumps(asdict(_measured(rows, rounds))))


def _measured(rows: int, rounds: int) -> Diffing:
    import numpy as np

    found, updated = _table(rows), _table(rows, every=CHANGED)
    sides = {"0.1% updated": updated, "0.08% updated, 0.01% inserted, 0.01% deleted": _moved(updated, found)}
    sources = [np.frombuffer(buffer, dtype=np.uint8) for table in (updated, found) for buffer in _buffers(table)]
    addresses = {buffer.__array_interface__["data"][0] for buffer in sources}
    assert len(addresses) == len(sources), "no buffer is shared"
    copies = [np.zeros_like(buffer) for buffer in sources]
    expected = len(range(0, rows, CHANGED))
    copied: list[float] = []
    diffed: dict[str, list[float]] = {way: [] for way in sides}
    for _ in range(rounds + 1):
        began = perf_counter()
        for copy, buffer in zip(copies, sources, strict=True):
            np.copyto(copy, buffer)
        copied.append(perf_counter() - began)
        for way, wanted in sides.items():
            began = perf_counter()
            changed = _diff(wanted, found)
            diffed[way].append(perf_counter() - began)
            if changed != expected:
                raise RuntimeError(f"The diff of {way} found {changed} changes of {expected}.")
    # the first round warmed up: it touched every page of the copies
    return Diffing(
        rows, int(found.nbytes), expected, tuple(copied[1:]), {way: tuple(times[1:]) for way, times in diffed.items()}
    )


def _diff(wanted: Any, found: Any) -> int:
    from transforms.diff import Comparison, diff, windows
    from transforms.vocabulary import TableName

    comparison = Comparison(("id",), tuple(wanted.column_names))
    pairs = windows(wanted, found, ("id",))
    return sum(len(diff(TableName("customer"), left, right, comparison).changes) for left, right in pairs)


def _moved(updated: Any, found: Any) -> Any:
    """Of ten updates one becomes a delete and one an insert, so that the rows of the two sides no longer lie pairwise."""
    import numpy as np
    import pyarrow as pa

    places = np.arange(0, updated.num_rows, CHANGED)
    deleted, inserted = places[1::10], places[2::10]
    keep = np.ones(updated.num_rows, dtype=bool)
    keep[deleted] = False
    rows = updated.filter(pa.array(keep))
    new = found.take(pa.array(inserted))  # the old row as it was, and its new neighbour
    as_was = rows.column("id").to_numpy()
    old = np.isin(as_was, found.column("id").to_numpy()[inserted])
    rows = pa.concat_tables([rows.filter(pa.array(~old)), new, new.set_column(0, "id", _next(new))])
    return rows.sort_by("id").combine_chunks()


def _next(rows: Any) -> Any:
    import pyarrow.compute as pc

    return pc.add(rows.column("id"), 1)


def _table(rows: int, every: int = 0) -> Any:
    """The benchmark's eight columns; `every` so many rows have another balance, half of those another note too."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    random = np.random.default_rng(7)
    cents = random.integers(-(10**9), 10**9, rows)
    numbers = random.integers(0, 65536, rows)
    if every:
        cents[::every] += 1
        numbers[:: every * 2] += 1
    wide = pa.array(cents).cast(pa.decimal128(19, 0))
    names = pc.binary_join_element_wise(
        "customer ", pa.array(random.integers(2**62, 2**63 - 1, rows)).cast(pa.string()), ""
    )
    notes = pc.binary_join_element_wise("note ", pa.array(numbers).cast(pa.string()), "")
    absent = pa.array(random.integers(0, 3, rows) == 0)
    seen = np.int64(1_577_836_800_000_000) + random.integers(0, 2**48, rows)
    return pa.table(
        {
            "id": pa.array(np.arange(rows, dtype=np.int64) * 2),
            "visits": pa.array(random.integers(0, 65536, rows).astype(np.int32)),
            "name": names,
            "balance": pa.Array.from_buffers(pa.decimal128(12, 2), rows, wide.buffers()),
            "seen_at": pa.array(seen).view(pa.timestamp("us", "UTC")),
            "score": pa.array(random.random(rows)),
            "active": pa.array(random.integers(0, 2, rows) == 1),
            "note": pc.if_else(absent, pa.scalar(None, pa.string()), notes),
        }
    )


def _buffers(table: Any) -> list[Any]:
    found = [b for column in table.columns for chunk in column.chunks for b in chunk.buffers() if b is not None]
    return [buffer for buffer in found if buffer.size]


if __name__ == "__main__":
    main()
