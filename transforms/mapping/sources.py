"""Which columns of the source a mapped column is made of."""

from __future__ import annotations

from collections.abc import Sequence

from transforms import expressions
from transforms.mapping.column_mapping import ColumnMapping, Expression, Function, Identified, LookUp, Rename


def read_by(column: ColumnMapping, names: Sequence[str]) -> tuple[str, ...]:
    """What a mapped column reads. In: `names` of the source's columns, for those that an expression may spell in another case."""
    match column.origin:
        case Rename(source):
            return (source,)
        case Expression(sql):
            return expressions.named(sql, names)
        case LookUp(match=pairs):
            return tuple(source for _, source in pairs)
        case Identified(by=by):
            return by
        case Function(columns=columns):
            return columns
        case _:
            return ()
