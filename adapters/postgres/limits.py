"""What PostgreSQL's columns hold: the limits of their types, and the types made for travel types."""

from __future__ import annotations

import re
from typing import Any, Final

import pyarrow as pa

from transforms.vocabulary import ColumnShape

# The ends of the calendar, from 1970. Behind 294246 timestamps go on where Arrow's microseconds end.
FIRST_DATE: Final = -2_440_588  # 4714-11-24 BC
LAST_DATE: Final = 2_145_042_905  # 5874897-12-31
FIRST_TIMESTAMP: Final = -210_866_803_200_000_000
NAME_BYTES: Final = 63


def limits_of(kind: str, modifier: int, *, as_text: bool) -> dict[str, Any]:
    """The limits that a column of a built-in type has beyond its travel type, as fields of a ColumnShape."""
    digits = modifier if 0 <= modifier < 6 else None
    match kind:
        case "date":
            return {"least": FIRST_DATE, "most": LAST_DATE}
        case "timestamp" | "timestamptz":
            return {"least": FIRST_TIMESTAMP, "digits": digits}
        case "time":
            return {"digits": digits}
        case "numeric" if as_text and modifier > 4:
            return {"number": precision_of(modifier)}
        case "name" | "char":
            return {"octets": NAME_BYTES if kind == "name" else 1}
    return {}


def precision_of(modifier: int) -> tuple[int, int]:
    """Precision and scale in a numeric's modifier; the scale may be negative, or larger than the precision."""
    return (modifier - 4) >> 16 & 0xFFFF, ((modifier - 4) & 0x7FF ^ 1024) - 1024


_MADE: Final[dict[pa.DataType, tuple[str, str]]] = {
    pa.int8(): ("smallint", "int2"), pa.int16(): ("smallint", "int2"), pa.uint8(): ("smallint", "int2"),
    pa.int32(): ("integer", "int4"), pa.uint16(): ("integer", "int4"),
    pa.int64(): ("bigint", "int8"), pa.uint32(): ("bigint", "int8"),
    pa.float32(): ("real", "float4"), pa.float64(): ("double precision", "float8"),
    pa.bool_(): ("boolean", "bool"), pa.date32(): ("date", "date"), pa.time64("us"): ("time without time zone", "time"),
    pa.duration("us"): ("interval", "interval"), pa.binary(): ("bytea", "bytea"),
}  # fmt: skip
_MEANT: Final = {"decimal": "numeric", "uuid": "uuid", "json": "jsonb", "interval": "interval"}


def made_of(column: ColumnShape) -> tuple[str, str, int]:
    """The type that is made for a column: its SQL name, its short name and its modifier."""
    travel = column.type
    if travel in _MADE:
        return *_MADE[travel], -1
    if travel == pa.uint64() or pa.types.is_decimal(travel):
        precision, scale = (20, 0) if travel == pa.uint64() else (travel.precision, travel.scale)
        return f"numeric({precision},{scale})", "numeric", (precision << 16 | scale & 0x7FF) + 4
    if pa.types.is_timestamp(travel):
        zoned = travel.tz is not None
        return f"timestamp with{'' if zoned else 'out'} time zone", "timestamptz" if zoned else "timestamp", -1
    if pa.types.is_time(travel):
        return *_MADE[pa.time64("us")], -1
    if pa.types.is_large_binary(travel):
        return *_MADE[pa.binary()], -1
    if column.meaning in _MEANT:
        return _MEANT[column.meaning], _MEANT[column.meaning], -1
    if column.length and column.meaning == "plain":
        name, kind = ("character", "bpchar") if column.padded else ("character varying", "varchar")
        return f"{name}({column.length})", kind, column.length + 4
    return "text", "text", -1


def unmodified(native: str) -> str:
    """A type's name without its modifiers: timestamp(3) without time zone becomes timestamp without time zone."""
    return re.sub(r"\(-?\d+(,-?\d+)?\)", "", native)
