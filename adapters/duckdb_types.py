"""DuckDB's types: those that travel in Arrow as they are, and those that travel as exact text."""

from __future__ import annotations

import re
from typing import Any, Final

import pyarrow as pa
import sqlalchemy as sa

from adapters.sql import Expression, Named, Operand, column, rendered
from adapters.sql import dialect_of as dialect
from adapters.sql_changes import Written
from transforms.vocabulary import ColumnShape, Meaning, SynclineError

DIALECT: Final = dialect("duckdb")
_MICROSECONDS: Final = pa.timestamp("us")
_NATIVE: Final[dict[str, pa.DataType]] = {
    "BOOLEAN": pa.bool_(),
    "TINYINT": pa.int8(),
    "SMALLINT": pa.int16(),
    "INTEGER": pa.int32(),
    "BIGINT": pa.int64(),
    "UTINYINT": pa.uint8(),
    "USMALLINT": pa.uint16(),
    "UINTEGER": pa.uint32(),
    "UBIGINT": pa.decimal128(20, 0),
    "FLOAT": pa.float32(),
    "DOUBLE": pa.float64(),
    "VARCHAR": pa.string(),
    "BLOB": pa.binary(),
    "DATE": pa.date32(),
    "TIME": pa.time64("us"),
    "TIMESTAMP": _MICROSECONDS,
    "TIMESTAMP_S": _MICROSECONDS,
    "TIMESTAMP_MS": _MICROSECONDS,
    "TIMESTAMP WITH TIME ZONE": pa.timestamp("us", "UTC"),
}
_MEANINGS: Final[dict[str, Meaning]] = {
    "UUID": "uuid",
    "JSON": "json",
    "HUGEINT": "decimal",
    "UHUGEINT": "decimal",
    "BIGNUM": "decimal",
}
_CAST_TO_READ: Final[dict[str, str]] = {
    "UBIGINT": "DECIMAL(20,0)",
    "TIMESTAMP_S": "TIMESTAMP",
    "TIMESTAMP_MS": "TIMESTAMP",
}
COLLATED: Final = "VARCHAR COLLATE "
"""How the native name of a column begins whose collation is not binary; the catalog itself says only VARCHAR."""


def column_shape(
    name: str,
    native: str,
    *,
    nullable: bool = True,
    generated: bool = False,
    identity: bool = False,
    default: bool = False,
) -> ColumnShape:
    """A column by its native type."""
    travel, meaning, labels = travel_of(native)
    return ColumnShape(
        name,
        travel,
        native,
        nullable=nullable,
        meaning=meaning,
        generated=generated,
        identity=identity,
        default=default,
        labels=labels,
    )


def travel_of(native: str) -> tuple[pa.DataType, Meaning, tuple[str, ...] | None]:
    if native in _NATIVE:
        return _NATIVE[native], "plain", None
    if native.startswith(COLLATED):
        return pa.string(), "plain", None
    if decimal := re.fullmatch(r"DECIMAL\((\d+),\s*(\d+)\)", native):
        return pa.decimal128(int(decimal[1]), int(decimal[2])), "plain", None
    if native.startswith("ENUM("):
        labels = tuple(each.replace("''", "'") for each in re.findall(r"'((?:[^']|'')*)'", native))
        return pa.string(), "plain", labels
    return pa.string(), _MEANINGS.get(native, "opaque"), None


def sql_type(native: str) -> str:
    """The type as a cast spells it."""
    return "VARCHAR" if native.startswith(COLLATED) else native


def sortable(shape: ColumnShape) -> bool:
    """The column itself orders as its travel form does."""
    return shape.native in _NATIVE or shape.native == "UUID" or pa.types.is_decimal(shape.type)


def reading(shape: ColumnShape, own: Expression | None = None) -> Expression:
    """What a query selects, so that the answer arrives in the travel type."""
    value = column(shape.name) if own is None else own
    if shape.native in _CAST_TO_READ:
        return sa.cast(value, Named(_CAST_TO_READ[shape.native]))
    if shape.native in _NATIVE or pa.types.is_decimal(shape.type):
        return value
    return sa.cast(value, Named("VARCHAR"))


def operand(shape: ColumnShape, known: Any) -> Operand:
    """How key windows compare and order the column. `known` turns a bound into a Python value of the travel type."""
    if sortable(shape):
        own: Expression = column(shape.name)
        named = Named(sql_type(shape.native))
        return Operand(
            own, lambda value: sa.cast(sa.literal(spelled(known(value)), sa.String()), named), shape.nullable
        )
    # Bytes, because a collation may call different texts equal, and labels and numbers have an order of their own.
    text = sa.func.encode(sa.cast(column(shape.name), Named("VARCHAR")))
    return Operand(text, lambda value: sa.func.encode(sa.literal(spelled(known(value)), sa.String())), shape.nullable)


def spelled(value: Any) -> str:
    """A Python value as DuckDB reads it in a cast."""
    if isinstance(value, bytes):
        return "".join(f"\\x{each:02X}" for each in value)
    if hasattr(value, "isoformat"):
        return (
            str(value.isoformat(" ")) if hasattr(value, "hour") and hasattr(value, "year") else str(value.isoformat())
        )
    return format(value, "f") if type(value).__name__ == "Decimal" else str(value)


def written(shape: ColumnShape) -> Written:
    """How a staged value becomes the column's own."""
    if shape.native in _NATIVE and shape.native not in _CAST_TO_READ:
        return Written(shape.name)
    return Written(shape.name, lambda value: sa.cast(value, Named(sql_type(shape.native))))


def declared(shape: ColumnShape) -> str:
    """The type that keeps a travel type exactly, and is read back as it."""
    travel = shape.type
    exact = next((native for native, each in _NATIVE.items() if each == travel and native not in _CAST_TO_READ), None)
    if exact and not pa.types.is_string(travel):
        return exact
    if travel == pa.uint64():
        return "DECIMAL(20,0)"  # what UBIGINT travels as
    if pa.types.is_decimal(travel):
        whole = 0 <= travel.scale <= travel.precision <= 38
        return f"DECIMAL({travel.precision},{travel.scale})" if whole else "VARCHAR"
    if pa.types.is_timestamp(travel):
        return "TIMESTAMP" if travel.tz is None else "TIMESTAMP WITH TIME ZONE"
    if pa.types.is_date(travel):
        return "DATE"
    if pa.types.is_time(travel):
        return "TIME"
    if pa.types.is_large_binary(travel) or pa.types.is_fixed_size_binary(travel):
        return "BLOB"
    return {"uuid": "UUID", "json": "JSON"}.get(shape.meaning, "VARCHAR")


def as_travel_array(values: pa.Array | pa.ChunkedArray, shape: ColumnShape) -> pa.Array | pa.ChunkedArray:
    """The travel type of what `reading` gave; times with a zone carry the session's, whatever the value."""
    try:
        return values.cast(shape.type)
    except pa.ArrowInvalid as error:
        raise SynclineError(f"Column {shape.name}: {shape.native} does not fit {shape.type}: {error}") from error


def text_of(statement: sa.ClauseElement) -> str:
    """A statement with its values written out."""
    return rendered(statement, DIALECT)
