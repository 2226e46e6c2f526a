"""Defaults that are values: worked out by the source, mapped as rows are, and written so that the target reads them exactly."""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal

import pyarrow as pa

from adapters.protocol import Catalog, Target
from adapters.sql.literals import exact_number
from transforms.mapping import casts
from transforms.vocabulary import ColumnShape, Relation, SynclineError, TableShape
from transforms.vocabulary.texts import as_text


def values_of(source: Catalog, shape: TableShape, defaults: Mapping[str, str]) -> dict[str, pa.Array]:
    """What constant defaults are, each as one value of its column's travel type. Only those that are exactly known.

    In: SQL of the source without names and functions. Rows are not read; an error of one says nothing of the others.
    """
    found: dict[str, pa.Array] = {}
    for name, sql in defaults.items():
        column = shape.column(name)
        if column is None or column.refused or (not source.capabilities.exact_catalog and "?" in sql):
            continue
        casting = source.capabilities.casts_as_stored and " COLLATE " not in column.native
        query = f"SELECT {f'CAST(({sql}) AS {column.native})' if casting else f'({sql})'} AS v"
        try:
            told = source.describe_query(query)
            with source.snapshot() as snapshot:  # of its own: an error may end it
                rows = pa.Table.from_batches(list(snapshot.scan(Relation(query=query), ["v"])))
        except SynclineError:
            continue
        if told.columns[0].refused or rows.num_columns > 1 or rows.num_rows != 1:
            continue
        value = _as_column(rows.column(0).combine_chunks(), column)
        if value is not None and (source.capabilities.exact_literals or not _rounded(value)):
            found[name] = value
    return found


def _rounded(value: pa.Array) -> bool:
    """Whether an engine may have made a floating number of it."""
    number = pa.types.is_decimal(value.type) and value[0].is_valid
    return bool(number) and exact_number(as_text(value)[0].as_py().rstrip("0")) is None


def _as_column(value: pa.Array, column: ColumnShape) -> pa.Array | None:
    """A value in the travel type of its column; None where that is not exact."""
    if pa.types.is_binary(value.type) and value[0].is_valid and not pa.types.is_binary(column.type):
        raw = value[0].as_py()
        if not pa.types.is_integer(column.type):
            return None
        value = pa.array([Decimal(int.from_bytes(raw, "big"))], pa.decimal128(38, 0)) if len(raw) <= 8 else value
    if pa.types.is_binary(column.type) and pa.types.is_string(value.type):
        return value.cast(column.type)
    return _cast(value, casts.Cast(column.type, column.meaning))


def _cast(value: pa.Array, wanted: casts.Cast) -> pa.Array | None:
    try:
        done = casts.cast(value, wanted)
    except (pa.ArrowException, SynclineError):
        return None
    return None if done.bad.any() or not done.values.type.equals(wanted.type) else done.values


def written_value(
    value: pa.Array, made: ColumnShape, target: Target, zone: str | None, known: ColumnShape
) -> str | None:
    """The SQL of a value in a column of the target as it will be made; None where no SQL says exactly that.

    In: one value in the travel type of the source's column `known`; `zone` is that of the cast between them.
    """
    timed = pa.types.is_timestamp(value.type) and not zone
    if timed and (value.type.tz is None) != (getattr(made.type, "tz", None) is None):
        return None
    moved = _cast(value, casts.Cast(made.type, made.meaning, time_zone=zone))
    if moved is None or moved[0].is_valid != value[0].is_valid:
        return None
    if not moved[0].is_valid:
        return "NULL"
    try:
        kept = target.kept(made, moved, known.meaning)
    except SynclineError:
        return None
    if not kept[0].is_valid:
        return None
    return target.literal(made, kept)
