"""Keys of identity maps as the ledger writes them: JSON arrays. And those of the rows that windows insert or delete."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pyarrow as pa

from adapters.store import plan_files
from adapters.store.plan_files import FileEntry
from transforms import expressions
from transforms.vocabulary import Key
from transforms.vocabulary.arrow import contiguous

STATE = "state"
"""The column of a map that says of a pair whether it is known, `meets` with this plan, or `begins` with an insert of it."""
KNOWN = "known"


def texts_of(rows: pa.Table, key: Key) -> pa.Array:
    """The keys of rows."""
    return contiguous(expressions.as_json_keys(rows, key).cast(pa.string()))


def changed_texts(folder: Path, entries: Sequence[FileEntry], key: Key, op: str) -> pa.Array:
    """The keys of the rows that windows insert or delete."""
    found: list[pa.Array] = []
    for entry in entries:
        if not (count := entry.counts.get(op, 0)):
            continue
        if op == "delete":
            images = plan_files.read_expected(folder, entry, key)
            rows = images.slice(0, count) if images is not None else None
        else:
            images = plan_files.read_written(folder, entry, key)
            rows = images.slice(images.num_rows - count) if images is not None else None
        assert rows is not None, "change sets have the key"
        found += expressions.as_json_keys(rows, key).cast(pa.string()).chunks
    return pa.chunked_array(found, pa.string()).combine_chunks()
