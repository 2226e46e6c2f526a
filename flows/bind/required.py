"""Columns of a target table that must have a value: each is mapped, or the target itself fills it."""

from __future__ import annotations

from collections.abc import Sequence

from flows.spec.model import Spec
from flows.spec.problems import meant
from transforms.mapping.column_mapping import ColumnMapping
from transforms.vocabulary import ColumnShape, SpecError, TableShape


def unfilled(shape: TableShape) -> list[ColumnShape]:
    """The columns that take no nulls, and that the engine says nothing of filling."""
    return [each for each in shape.columns if each.required]


def check_required(
    spec: Spec, name: str, shape: TableShape, columns: Sequence[ColumnMapping], identity: str | None
) -> None:
    """SpecError for a column that would be left without a value, and for a wrong name in the spec's `filled`."""
    made = {column.shape.name for column in columns} | {identity}
    filled = spec.tables[name].filled
    for place, column in enumerate(filled):
        where = spec.where("tables", name, "filled", place)
        if shape.column(column) is None:
            raise SpecError(f"{shape.name} has no column {column}. {meant(column, shape.names)}", where=where)
        if column in made:
            raise SpecError(
                f"{column} is mapped, so that nothing else fills it.", fix="take it out of one of both.", where=where
            )
    needed = [column.name for column in unfilled(shape) if column.name not in made and column.name not in filled]
    if needed:
        raise SpecError(
            f"{shape.name}.{needed[0]} takes no nulls, has no default and is not mapped.",
            fix=f"map it in tables.{name}.columns, or name it in tables.{name}.filled where a trigger of the target fills it.",
            where=spec.where("tables", name, "columns"),
        )
