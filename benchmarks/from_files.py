"""Files into PostgreSQL, beside COPY of the same rows from a CSV file.

    python -m benchmarks.from_files [--rows 5000000] [--rounds 3]

A table of the size of `benchmarks.copying` is written as one CSV file and as one Parquet file, ascending by its key. The limit is
`COPY … FROM STDIN (FORMAT csv)` of that CSV file into an empty table with its primary key, by psycopg. Beside it
`syncline run --direct` of each file, with the types of CSV declared, as a process of its own. A round that leaves other rows than
the source has is a wrong result.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median
from typing import Final

import psycopg
import pyarrow.csv as csv
import pyarrow.parquet as pq

from benchmarks.command import Spent
from benchmarks.copying import Piped, prepare, run, spec_of, timed_pipe
from benchmarks.server import Server, make_templates, serving

CHUNK_BYTES: Final = 1024 * 1024
KINDS: Final = ("csv", "parquet")
FILES: Final = (
    "{{types: {{id: bigint, visits: int, name: text, balance: 'decimal(12,2)', seen_at: timestamptz, score: double, "
    "active: boolean, note: text}}}}"
)
SPEC: Final = """
version: 1
name: benchmark
source: {{url: "KIND:///FOLDER/customer.KIND", files: FILES}}
target: {{url: "{target}"}}
state: {{url: "sqlite:///{folder}/ledger.db", store: "{folder}/store"}}
tables:
  customer: {{from: customer, key: [id]}}
"""


@dataclass(frozen=True, slots=True)
class FromFiles:
    """What each kind of file cost in each round, and the COPY of the same round."""

    rows: int
    raw: tuple[Piped, ...]
    spent: dict[str, tuple[Spent, ...]]

    def ratios(self, kind: str) -> tuple[float, float]:
        """Of seconds and of processor time: the median of the rounds' own."""
        both = list(zip(self.spent[kind], self.raw, strict=True))
        return median(one.seconds / raw.seconds for one, raw in both), median(one.cpu / raw.cpu for one, raw in both)


def measure(rows: int, rounds: int) -> FromFiles:
    with serving() as server, tempfile.TemporaryDirectory(prefix="syncline-bench-") as name:
        folder = Path(name)
        make_templates(server, rows)
        prepare(server)
        _write(server, folder)
        raw: list[Piped] = []
        spent: dict[str, list[Spent]] = {kind: [] for kind in KINDS}
        counts = {"source_rows": rows, "insert": rows, "update": 0, "delete": 0, "unchanged": 0}
        for _ in range(rounds):
            prepare(server)
            raw.append(timed_pipe(server, lambda server, _, to: _copy(server, folder / "customer.csv", to)))
            for kind in KINDS:
                prepare(server)
                told = FILES if kind == "csv" else "null"
                text = SPEC.replace("KIND", kind).replace("FOLDER", str(folder)).replace("FILES", told)
                with spec_of(server, text) as spec:
                    spent[kind].append(run(server, spec, counts))
        return FromFiles(rows, tuple(raw), {kind: tuple(each) for kind, each in spent.items()})


def _write(server: Server, folder: Path) -> None:
    """Both files, by the server's own COPY and from it."""
    path = folder / "customer.csv"
    with psycopg.connect(server.url("source")) as connection, path.open("wb") as file:
        ordered = "COPY (SELECT * FROM customer ORDER BY id) TO STDOUT (FORMAT csv, HEADER)"
        with connection.cursor().copy(ordered) as copy:
            for data in copy:
                file.write(data)
    with (
        csv.open_csv(path, convert_options=_options()) as rows,
        pq.ParquetWriter(folder / "customer.parquet", rows.schema) as out,
    ):
        for batch in rows:
            out.write_batch(batch)


def _options() -> csv.ConvertOptions:
    import pyarrow as pa

    kinds = {
        "visits": pa.int32(),
        "balance": pa.decimal128(12, 2),
        "seen_at": pa.timestamp("us", "UTC"),
        "score": pa.float64(),
    }
    return csv.ConvertOptions(
        column_types={**kinds, "active": pa.bool_(), "note": pa.string()},
        true_values=["t"],
        false_values=["f"],
        strings_can_be_null=True,
    )


def _copy(server: Server, file: Path, to: str) -> None:
    copied = "COPY customer FROM STDIN (FORMAT csv, HEADER)"
    with (
        psycopg.connect(server.url(to)) as connection,
        file.open("rb") as rows,
        connection.cursor().copy(copied) as copy,
    ):
        while chunk := rows.read(CHUNK_BYTES):
            copy.write(chunk)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--rows", type=int, default=5_000_000)
    parser.add_argument("--rounds", type=int, default=3)
    asked = parser.parse_args()
    found = measure(asked.rows, asked.rounds)
    print(f"{found.rows:,} rows; COPY of a CSV file {median(each.seconds for each in found.raw):.1f} s")
    for kind in KINDS:
        seconds, cpu = found.ratios(kind)
        took = median(each.seconds for each in found.spent[kind])
        memory = max(each.mebibytes for each in found.spent[kind])
        print(
            f"{kind}: {took:.1f} s, {seconds:.2f} times COPY ({cpu:.2f} times its processor time), at most {memory:,.0f} MiB"
        )


if __name__ == "__main__":
    main()
