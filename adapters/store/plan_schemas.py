"""The files of a plan that are no change sets: their columns."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

QUARANTINE: Final = pa.schema(
    [
        pa.field("table", pa.string(), nullable=False),
        pa.field("window", pa.int32(), nullable=False),
        pa.field("reason", pa.string(), nullable=False),
        ("column", pa.string()),
        pa.field("key", pa.string(), nullable=False),
        ("value", pa.string()),
        ("source", pa.string()),
        ("mapped", pa.string()),
        ("code", pa.string()),
        ("facts", pa.string()),
    ]
)
"""Rows set aside: why, by which target column, the key as a JSON array, the value, and as JSON the source row and what
could be mapped of it; and why as data, the facts as JSON. From `mapped` on null in plans of earlier versions."""

IDENTITY: Final = pa.schema(
    [pa.field(name, pa.string(), nullable=False) for name in ("does", "source_key", "target_key")]
)
"""What becomes of pairs of an identity map: `meets`, where both rows are there already, `begins` with the insert of the target's row
and `ends` with its delete. Keys are JSON arrays."""
