"""What PostgreSQL's columns hold: the limits of their types, the types made for travel types, and texts that it reads."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from adapters.sql import Engine, Expression, Named
from transforms.vocabulary import ColumnShape

# The ends of the calendar, from 1970. Behind 294246 timestamps go on where Arrow's microseconds end.
FIRST_DATE: Final = -2_440_588  # 4714-11-24 BC
LAST_DATE: Final = 2_145_042_905  # 5874897-12-31
FIRST_TIMESTAMP: Final = -210_866_803_200_000_000
NAME_BYTES: Final = 63

ASKED_BYTES: Final = 16 * 2**20  # of one question

_KNOWN: Final = (
    "smallint", "integer", "bigint", "real", "double precision", "numeric", "boolean", "text", "character", "character varying",
    "bytea", "date", "time without time zone", "timestamp without time zone", "timestamp with time zone", "uuid", "name",
    '"char"', "citext",
)  # fmt: skip
"""Types whose limits a ColumnShape tells."""
_WIDENED: Final = (
    "json", "jsonb", "inet", "cidr", "macaddr", "macaddr8", "bit", "bit varying", "oid", "int4range", "int8range", "daterange",
    "int4multirange", "int8multirange", "datemultirange", "pg_lsn",
)  # fmt: skip
"""Types that read a text without loss, however it is spelled: [1,2] is the range [1,3)."""


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


def new_type(column: ColumnShape, _: Engine) -> sa.types.TypeEngine[Any]:
    """The type that is made for a column; SQLAlchemy numbers only columns of its own types."""
    if not column.identity:
        return Named(made_of(column)[0])
    numbered: dict[str, sa.types.TypeEngine[Any]] = {"int2": sa.SmallInteger(), "int4": sa.Integer()}
    return numbered.get(made_of(column)[1], sa.BigInteger())


# ---------------------------------------------------------------------------------------------------------------------
# Asking


def is_asked(column: ColumnShape) -> bool:
    """Whether only the server can tell which values it takes: types that read a text, and domains with their checks."""
    return column.labels is None and not pa.types.is_temporal(column.type) and _base(column.native) not in _KNOWN


def _base(native: str) -> str:
    """A type's name without its modifiers: timestamp(3) without time zone becomes timestamp without time zone."""
    return re.sub(r"\(-?\d+(,-?\d+)?\)", "", native)


def questions(column: ColumnShape, texts: pa.Array) -> Iterator[sa.Select[Any]]:
    """Queries that answer, together and in order, with the text that the column gives back for each of `texts`.

    Out: null for null, for what is no value of the type, and for what it would give back as another value.
    """
    text, own = sa.String(), Named(column.native)
    for part in _parts(texts):
        given = sa.func.unnest(sa.cast(sa.literal(_array_literal(part), text), Named("text[]")))
        rows = given.table_valued(sa.column("v", text), with_ordinality="n", name="given").render_derived()
        valid = sa.func.pg_catalog.pg_input_is_valid(rows.c.v, sa.literal(column.native, text))
        back: Expression = rows.c.v if column.meaning == "json" else sa.cast(sa.cast(rows.c.v, own), Named("text"))
        if column.meaning in ("opaque", "interval") and _base(column.native) not in _WIDENED:
            back = sa.case((back == rows.c.v, rows.c.v))
        yield sa.select(sa.case((valid, back)).label("kept")).order_by(rows.c.n)


def is_doubtful(json: pa.Array) -> pa.Array:
    """Where PostgreSQL may not take what is JSON: for \\u0000, half a pair of surrogates, or a number out of all bounds."""
    return pc.fill_null(pc.match_substring_regex(json, r"\\u|[0-9][eE][+-]?[0-9]{3}"), False)


def _parts(texts: pa.Array) -> Iterator[pa.Array]:
    rows = max(1, len(texts) * ASKED_BYTES // max(1, texts.nbytes))
    return (texts.slice(start, rows) for start in range(0, len(texts), rows))


def _array_literal(texts: pa.Array) -> str:
    """Texts as PostgreSQL reads an array; it knows no NUL characters, so that a text with one becomes null."""
    escaped = pc.replace_substring(pc.replace_substring(texts, "\\", "\\\\"), '"', '\\"')
    quoted = pc.binary_join_element_wise('"', escaped, '"', "")
    known = pc.if_else(pc.match_substring(texts, "\x00"), pa.scalar(None, pa.string()), quoted)
    filled = pc.fill_null(known, "NULL")
    whole = pc.binary_join(pa.ListArray.from_arrays(pa.array([0, len(filled)], pa.int32()), filled), ",")
    return f"{{{whole[0].as_py()}}}"
