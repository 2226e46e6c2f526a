"""The columns that a table's rows are matched by."""

from __future__ import annotations

from collections.abc import Sequence

from flows.spec.model import Spec
from flows.spec.problems import meant
from transforms.mapping.column_mapping import ColumnMapping, Rename
from transforms.mapping.own_lookups import own_depths
from transforms.vocabulary import Key, SpecError, TableShape


def key_of(spec: Spec, name: str, source_shape: TableShape, columns: Sequence[ColumnMapping]) -> Key:
    table = spec.tables[name]
    made = {column.shape.name for column in columns}
    if table.key is not None:
        for column in table.key:
            if column not in made:
                raise SpecError(
                    f"key column {column} is not mapped. {meant(column, made)}", where=spec.where("tables", name, "key")
                )
        return tuple(table.key)
    if not source_shape.primary_key:
        raise SpecError(
            f"{spec.source_relation(name)} has no primary key, so rows cannot be matched.",
            fix=f"name the columns that tell its rows apart in tables.{name}.key.",
            where=spec.where("tables", name),
        )
    by_source = {c.origin.source: c.shape.name for c in columns if isinstance(c.origin, Rename)}
    missing = [column for column in source_shape.primary_key if column not in by_source]
    if missing:
        raise SpecError(
            f"the primary key column {missing[0]} of the source is not mapped, so rows cannot be matched.",
            fix=f"map it, or name other columns in tables.{name}.key.",
            where=spec.where("tables", name),
        )
    return tuple(by_source[column] for column in source_shape.primary_key)


def check_key(spec: Spec, name: str, shape: TableShape, key: Key, columns: Sequence[ColumnMapping]) -> None:
    """SpecError for a key that rows cannot be matched by.

    A value of JSON has many texts, and an engine may give back another one than it was given. A value that is looked up in the
    table itself is known once its rows are matched, and not before.
    """
    depths = own_depths(name, columns)
    for each in key:
        if depths.get(each):
            raise SpecError(
                f"key column {each} is looked up in {name} itself, whose rows are matched by it.",
                fix="choose a key of other columns, such as the source's own; or look the value up in the source (`side: source`).",
                where=spec.where("tables", name, "key"),
            )
    for column in shape.columns:
        if column.name in key and column.meaning == "json":
            raise SpecError(
                f"key column {column.name} is JSON ({column.native}), whose values have more than "
                f"one text, so rows cannot be matched by it.",
                fix="choose another key, or make it a text with `cast: text`.",
                where=spec.where("tables", name, "key"),
            )
