"""The type names of a spec, and the types of tables that are yet to be made, in Arrow."""

from __future__ import annotations

import re

import pyarrow as pa

from transforms.mapping.casts import name_of
from transforms.vocabulary import ColumnShape, Meaning

_PLAIN: dict[str, tuple[pa.DataType, Meaning]] = {
    "text": (pa.string(), "plain"),
    "smallint": (pa.int16(), "plain"),
    "integer": (pa.int32(), "plain"),
    "bigint": (pa.int64(), "plain"),
    "real": (pa.float32(), "plain"),
    "double": (pa.float64(), "plain"),
    "boolean": (pa.bool_(), "plain"),
    "date": (pa.date32(), "plain"),
    "time": (pa.time64("us"), "plain"),
    "timestamp": (pa.timestamp("us"), "plain"),
    "timestamptz": (pa.timestamp("us", "UTC"), "plain"),
    "numeric": (pa.string(), "decimal"),
    "uuid": (pa.string(), "uuid"),
    "json": (pa.string(), "json"),
    "interval": (pa.string(), "interval"),
    "bytea": (pa.binary(), "plain"),
}


_NUMERIC = re.compile(r"numeric\((\d+),(\d+)\)")
_SIZED = re.compile(r"(varchar|char)\((\d+)\)")


def parse_type(name: str) -> tuple[pa.DataType, Meaning]:
    """`numeric(12,2)` and the like, as the spec writes them; a numeric beyond 38 digits travels as text."""
    if _SIZED.fullmatch(name):
        return pa.string(), "plain"
    if match := _NUMERIC.fullmatch(name):
        precision, scale = int(match[1]), int(match[2])
        return (pa.decimal128(precision, scale), "plain") if precision <= 38 else (pa.string(), "decimal")
    return _PLAIN[name]


def new_column(name: str, type_: str, *, nullable: bool) -> ColumnShape:
    """A column of that type, to be made."""
    kind, meaning = parse_type(type_)
    sized = _SIZED.fullmatch(type_)
    length = int(sized[2]) if sized else None
    ends = _NUMERIC.fullmatch(type_) if meaning == "decimal" else None
    return ColumnShape(
        name,
        kind,
        type_,
        nullable,
        meaning,
        length=length,
        padded=bool(sized) and type_[0] == "c",
        number=(int(ends[1]), int(ends[2])) if ends else None,
    )


def storable(kind: pa.DataType) -> pa.DataType:
    """The nearest type, never a narrower one, that every engine has a column for."""
    types = pa.types
    if types.is_dictionary(kind):
        return storable(kind.value_type)
    if types.is_null(kind) or types.is_large_string(kind) or types.is_string_view(kind):
        return pa.string()
    if types.is_large_binary(kind) or types.is_fixed_size_binary(kind) or types.is_binary_view(kind):
        return pa.binary()
    if types.is_int8(kind) or types.is_uint8(kind):
        return pa.int16()
    if types.is_uint16(kind):
        return pa.int32()
    if types.is_uint32(kind):
        return pa.int64()
    if types.is_uint64(kind):
        return pa.decimal128(20, 0)
    if types.is_float16(kind):
        return pa.float32()
    if types.is_timestamp(kind):
        return pa.timestamp("us", "UTC" if kind.tz else None)
    if types.is_date64(kind):
        return pa.date32()
    return kind


_MEANT: dict[Meaning, str] = {"decimal": "numeric", "json": "json", "uuid": "uuid", "interval": "interval"}
_NAMES: dict[pa.DataType, str] = {
    kind: name for name, (kind, meaning) in _PLAIN.items() if meaning == "plain" and kind != pa.timestamp("us", "UTC")
} | {pa.int8(): "smallint", pa.duration("us"): "interval"}


def type_name(kind: pa.DataType, meaning: Meaning) -> str:
    """A type as messages call it."""
    if pa.types.is_int8(kind) or pa.types.is_unsigned_integer(kind):
        return name_of(kind)  # Arrow's int8 is not what PostgreSQL calls so
    return _MEANT.get(meaning, str(kind))


def suggested(shape: ColumnShape) -> str:
    """The cast that leads to a column, as the spec writes it."""
    kind = shape.type
    if pa.types.is_string(kind):
        return _MEANT.get(shape.meaning, "text")
    if pa.types.is_decimal(kind):
        return f'"numeric({kind.precision},{kind.scale})"'
    if pa.types.is_timestamp(kind) and kind.tz:
        return "{type: timestamptz, time_zone: …}"
    return _NAMES.get(storable(kind), "text")
