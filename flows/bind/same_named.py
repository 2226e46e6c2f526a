"""Source columns that the spec does not name, and the target columns of their names."""

from __future__ import annotations

from collections.abc import Collection

from adapters.capabilities import Names
from adapters.sql.names import folded
from flows.bind.spelling import speller
from transforms.mapping import casts
from transforms.vocabulary import ColumnShape, SpecError, TableShape


def same_named(
    source: TableShape, target: TableShape | None, names: Names, named: Collection[str], left_out: Collection[str]
) -> dict[str, str]:
    """Target columns and the source columns that go to them, each under its own name; in any case where the target's engine takes
    them for one. Not those that the spec names or leaves out, nor those that the target computes in a type that is not the source's.

    Errors: SpecError for two source columns that are one for the target.
    """
    there = {folded(each.name, names.columns): each for each in target.columns} if target is not None else {}
    spell = speller(target.names if target is not None else (), names.columns, "the target")
    taken = {folded(each, names.columns) for each in named}
    met: dict[str, str] = {}
    found: dict[str, str] = {}
    for column in source.columns:
        one = folded(column.name, names.columns)
        if column.name in left_out or not _meets(column, there.get(one)):
            continue
        if one in met:
            raise SpecError(
                f"{names.engine} takes columns {met[one]} and {column.name} of the source for one.",
                fix=(f'give one of them another name under `columns:`, beside `"*": {{except: [{column.name}]}}`.'),
            )
        met[one] = column.name
        if one not in taken:
            found[spell(column.name)] = column.name
    return found


def _meets(column: ColumnShape, own: ColumnShape | None) -> bool:
    if own is None or not own.generated:
        return True
    return not (column.refused or own.refused) and casts.implicit(column.type, column.meaning, own)
