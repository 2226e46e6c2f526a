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
    """Seconds by round. `diff` uses one thread, as one window does."""

    rows: int
    table_bytes: int
    changed: int
    copy: tuple[float, ...]
    diff: tuple[float, ...]

    @property
    def ratio(self) -> float:
        return median(diff / copy for diff, copy in zip(self.diff, self.copy, strict=True))


def measure(rows: int, rounds: int) -> Diffing:
    """Run in a process of its own, so that a large memory is given back."""
    done = subprocess.run(
        [sys.executable, "-m", "benchmarks.diffing", str(rows), str(rounds)],
        cwd=ROOT,
        check=True,
        stdout=subprocess.PIPE,
    )
    found = json.loads(done.stdout)
    return Diffing(found["rows"], found["table_bytes"], found["changed"], tuple(found["copy"]), tuple(found["diff"]))


def main() -> None:
    rows, rounds = int(sys.argv[1]), int(sys.argv[2])
    print(json.dumps(asdict(_measured(rows, rounds))))


def _measured(rows: int, rounds: int) -> Diffing:
    import numpy as np

    from transforms.diff import Comparison, diff, windows
    from transforms.vocabulary import TableName

    wanted, found = _table(rows), _table(rows, every=CHANGED)
    sources = [np.frombuffer(buffer, dtype=np.uint8) for table in (wanted, found) for buffer in _buffers(table)]
    addresses = {buffer.__array_interface__["data"][0] for buffer in sources}
    assert len(addresses) == len(sources), "no buffer is shared"
    copies = [np.zeros_like(buffer) for buffer in sources]
    comparison = Comparison(("id",), tuple(wanted.column_names))
    copied, diffed, changed = [], [], 0
    for _ in range(rounds + 1):
        began = perf_counter()
        for copy, buffer in zip(copies, sources, strict=True):
            np.copyto(copy, buffer)
        copied.append(perf_counter() - began)

        began = perf_counter()
        changed = 0
        for left, right in windows(wanted, found, ("id",)):
            changed += len(diff(TableName("customer"), left, right, comparison).changes)
        diffed.append(perf_counter() - began)
        if changed != len(range(0, rows, CHANGED)):
            raise RuntimeError(f"The diff found {changed} changes of {len(range(0, rows, CHANGED))}.")
    # the first round warmed up: it touched every page of the copies
    return Diffing(rows, int(wanted.nbytes), changed, tuple(copied[1:]), tuple(diffed[1:]))


def _table(rows: int, every: int = 0) -> Any:
    """The benchmark's eight columns; `every` so many rows have another amount. Nothing is shared between two calls."""
    import numpy as np
    import pyarrow as pa
    import pyarrow.compute as pc

    random = np.random.default_rng(7)
    cents = random.integers(-(10**9), 10**9, rows)
    if every:
        cents[::every] += 1
    wide = pa.array(cents).cast(pa.decimal128(19, 0))
    names = pc.binary_join_element_wise(
        "customer ", pa.array(random.integers(2**62, 2**63 - 1, rows)).cast(pa.string()), ""
    )
    notes = pc.binary_join_element_wise("note ", pa.array(random.integers(0, 65536, rows)).cast(pa.string()), "")
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
