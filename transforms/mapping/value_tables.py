"""Value maps as tables: each value of the source that is listed, and what the target's column holds for it."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import Any

import pyarrow as pa
import pyarrow.compute as pc

from transforms.mapping import casts
from transforms.mapping.casts import Cast
from transforms.mapping.column_mapping import ColumnMapping, Rename, TableMapping
from transforms.mapping.mapping import map_rows
from transforms.mapping.rejections import Faults
from transforms.vocabulary import ColumnShape
from transforms.vocabulary.arrow import contiguous


@dataclass(frozen=True, slots=True)
class ValueTable:
    """`news` has, for each of `olds`, what it becomes: no value twice, and null for null unless that is listed.

    `permutes`: no value of the source that is not listed becomes one of `news` where the map keeps it.
    """

    olds: pa.Array
    news: pa.Array
    permutes: bool


def value_table(column: ColumnMapping, source: ColumnShape) -> ValueTable | None:
    """The value map of a column that is renamed; None where two values of the source become one."""
    assert column.values is not None, f"{column.shape.name} has a value map"
    olds = pc.unique(
        pa.concat_arrays([pa.nulls(1, source.type), *_listed([old for old, _ in column.values.pairs], source)])
    )
    alone = replace(column, origin=Rename("old"))
    mapped: list[tuple[pa.Array, pa.Array]] = []

    def note(rows: pa.Table, faults: Faults) -> None:
        mapped.append((contiguous(rows.column(0)), pa.array(faults.which < 0)))

    map_rows(pa.table({"old": olds}), TableMapping("", (), (alone,)), {}, note)
    ((news, good),) = mapped
    olds, news = olds.filter(good), news.filter(good)
    if len(pc.unique(news)) < len(news):
        return None
    kept = casts.cast(news, Cast(source.type, source.meaning))
    permutes = pc.all(pc.or_(pc.is_in(kept.values, value_set=olds), pa.array(kept.bad)), min_count=0).as_py()
    return ValueTable(olds, news, bool(permutes))


def _listed(values: list[Any], source: ColumnShape) -> Iterator[pa.Array]:
    """Values of a map as the source's column holds them, none for those that it cannot hold: the mapping reads them in the same way."""
    as_texts = pa.types.is_string(source.type) or any(isinstance(value, str) for value in values)
    for value in values:
        if value is None or (not as_texts and isinstance(value, bool) != pa.types.is_boolean(source.type)):
            continue
        plain = {True: "true", False: "false"}[value] if isinstance(value, bool) else str(value)
        held = casts.cast(pa.array([plain if as_texts else value]), Cast(source.type, source.meaning))
        if not held.bad.any():
            yield held.values
