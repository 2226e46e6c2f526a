"""What a column makes of values by themselves, by its value map and its casts, and of which values it makes some."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace
from typing import Any

import pyarrow as pa

from transforms.mapping import casts
from transforms.mapping.casts import Cast
from transforms.mapping.column_mapping import ColumnMapping, Rename, TableMapping
from transforms.mapping.inverse import turned_back, unlike
from transforms.mapping.mapping import map_rows
from transforms.mapping.rejections import Faults
from transforms.vocabulary import ColumnShape
from transforms.vocabulary.arrow import Mask, contiguous


def mapped_alone(values: pa.Array, column: ColumnMapping) -> tuple[pa.Array, Mask]:
    """What a column makes of values that its origin has given, in their order, and which of them it can make something of."""
    made: list[tuple[pa.Array, Mask]] = []

    def note(rows: pa.Table, faults: Faults) -> None:
        made.append((contiguous(rows.column(0)), faults.which < 0))

    alone = replace(column, origin=Rename("given"))
    map_rows(pa.table({"given": values}), TableMapping("", (), (alone,)), {}, note)
    ((news, good),) = made
    return news, good


def made_of(values: pa.Array, column: ColumnMapping, source: ColumnShape) -> pa.Array | None:
    """Values of `source` of which a column makes some: those, and perhaps more. None where that cannot be said of them.

    In: values of the column, and what its origin gives them from. Out: without null, in the travel type of `source`.
    """
    replacing, plain = column.values, replace(column, origin=Rename(source.name), values=None)
    if replacing is None or replacing.otherwise == "keep":
        if unlike(plain, source):
            return None
        found = [contiguous(turned_back(pa.table({source.name: values}), {source.name: source}).column(0))]
    else:
        found = []
    if replacing is not None:
        if replacing.otherwise == "literal" or any(old is None for old, _ in replacing.pairs):
            return None
        found += listed([old for old, _ in replacing.pairs], source)
    return pa.concat_arrays([pa.nulls(0, source.type), *found]).unique()


def listed(values: list[Any], source: ColumnShape) -> Iterator[pa.Array]:
    """Values of a map as the source's column holds them, none for those that it cannot hold: the mapping reads them in the same way."""
    as_texts = pa.types.is_string(source.type) or any(isinstance(value, str) for value in values)
    for value in values:
        if value is None or (not as_texts and isinstance(value, bool) != pa.types.is_boolean(source.type)):
            continue
        plain = {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
        held = casts.cast(pa.array([plain if as_texts else value]), Cast(source.type, source.meaning))
        if not held.bad.any():
            yield held.values
