"""Value maps as tables: each value of the source that is listed, and what the target's column holds for it."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa
import pyarrow.compute as pc

from transforms.mapping import casts
from transforms.mapping.casts import Cast
from transforms.mapping.column_mapping import ColumnMapping
from transforms.mapping.one_column import listed, mapped_alone
from transforms.vocabulary import ColumnShape


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
        pa.concat_arrays([pa.nulls(1, source.type), *listed([old for old, _ in column.values.pairs], source)])
    )
    news, able = mapped_alone(olds, column)
    good = pa.array(able)
    olds, news = olds.filter(good), news.filter(good)
    if len(pc.unique(news)) < len(news):
        return None
    kept = casts.cast(news, Cast(source.type, source.meaning))
    permutes = pc.all(pc.or_(pc.is_in(kept.values, value_set=olds), pa.array(kept.bad)), min_count=0).as_py()
    return ValueTable(olds, news, bool(permutes))
