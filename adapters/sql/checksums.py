"""What the checksums of all SQL engines have in common."""

from __future__ import annotations

import hashlib
from collections.abc import Sequence

import pyarrow as pa

from adapters.protocol import CHECKSUMS
from transforms.vocabulary import ColumnShape


def way(engine: str, expression: str, columns: Sequence[ColumnShape]) -> str:
    """What names how checksums are made: the engine with its version, the SQL, and the types of the columns."""
    types = [(each.name, each.native, str(each.type), each.collation) for each in columns]
    return hashlib.sha256(repr((engine, expression, types)).encode()).hexdigest()[:32]


def checksums(made: str, found: Sequence[tuple[int, object, object]]) -> pa.Table:
    """CHECKSUMS of windows: how many rows, and the exclusive or and the sum of a hash of each."""
    rows = [{"rows": rows, "checksum": f"{made}:{rows}:{both}:{total}"} for rows, both, total in found]
    return pa.Table.from_pylist(rows, schema=CHECKSUMS)
