"""A table of a source of files: what it holds, and of which types."""

from __future__ import annotations

from typing import Any

from adapters.protocol import Source
from transforms.vocabulary import Relation, TableName

T = TableName("t")


def read(source: Source, **more: Any) -> list[dict[str, Any]]:
    """The rows of T by its first column, in all columns that travel; the source is closed."""
    shape = source.describe(T)
    assert shape is not None
    names = [each.name for each in shape.columns if not each.refused]
    with source.snapshot() as snapshot:
        batches = list(snapshot.scan(Relation(T), names, key=(names[0],), **more))
    source.close()
    return [row for batch in batches for row in batch.to_pylist()]


def kinds(source: Source) -> dict[str, str]:
    shape = source.describe(T)
    assert shape is not None
    return {each.name: each.native for each in shape.columns}
