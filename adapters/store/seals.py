"""Seals on disk: what both sides' windows were when a plan of them was empty. Losing one costs reading, and nothing else."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Final

import pyarrow as pa

from adapters.store.plans import put
from adapters.store.record_json import Unreadable, from_json, to_json
from transforms.vocabulary import KeyValue, Reason, Tally

FORMAT: Final = "1"


@dataclass(frozen=True, slots=True)
class Proof:
    """What was found of a window in which nothing was to do: its rows, their totals, and what the spec changed in their values."""

    rows: int
    tally: Tally = field(default_factory=Tally)
    mended: Mapping[Reason, int] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Seal:
    """A window from a key of each side on, up to the next one's; the first is from None on.

    `source` and `target` are the checksums that its rows had in the snapshots in which `proof` was found; None where nothing was
    proved, so that the window has to be read.
    """

    wanted: KeyValue | None
    found: KeyValue | None
    source: str | None = None
    target: str | None = None
    proof: Proof | None = None


def write(path: Path, context: str, seals: Sequence[Seal], wanted: pa.Schema, found: pa.Schema) -> None:
    """Put the seals of all windows of a table in place, ascending; `context` names all that they go by beside the rows.

    In: the types of the keys of both sides. Errors: OSError.
    """
    arrays, names = [], []
    for side, schema in (("wanted", wanted), ("found", found)):
        for place, kind in enumerate(schema.types):
            starts = [getattr(each, side) for each in seals]
            arrays.append(pa.array([None if start is None else start[place] for start in starts], kind))
            names.append(f"{side} {place}")
    proofs = [None if each.proof is None else json.dumps(to_json(Proof, each.proof)) for each in seals]
    arrays += [pa.array(texts, pa.string()) for texts in ([s.source for s in seals], [s.target for s in seals], proofs)]
    rows = pa.table(arrays, names=[*names, "source", "target", "proof"])
    rows = rows.replace_schema_metadata({"format": FORMAT, "context": context})
    sink = pa.BufferOutputStream()
    with pa.ipc.new_file(sink, rows.schema) as writer:
        writer.write_table(rows)
    put(path, sink.getvalue(), sync=False)


def read(path: Path, context: str) -> list[Seal]:
    """The seals that were written under that very context; none where there are no such, or nothing can be made of them."""
    with suppress(OSError, pa.ArrowException, Unreadable, ValueError, KeyError), path.open("rb") as file:
        rows = pa.ipc.open_file(file).read_all()
        known = rows.schema.metadata or {}
        if known.get(b"format") != FORMAT.encode() or known.get(b"context") != context.encode():
            return []
        starts = [_starts(rows, side) for side in ("wanted", "found")]
        proofs = [
            None if text is None else from_json(Proof, json.loads(text)) for text in rows.column("proof").to_pylist()
        ]
        checksums = [rows.column(name).to_pylist() for name in ("source", "target")]
        return [Seal(*each) for each in zip(*starts, *checksums, proofs, strict=True)]
    return []


def _starts(rows: pa.Table, side: str) -> list[KeyValue | None]:
    columns = [rows.column(name).to_pylist() for name in rows.column_names if name.startswith(f"{side} ")]
    return [None if None in key else key for key in zip(*columns, strict=True)]
