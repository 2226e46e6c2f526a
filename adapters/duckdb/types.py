"""DuckDB's types: those that travel in Arrow as they are, and those that travel as exact text."""

from __future__ import annotations

import re
from decimal import Decimal
from typing import Any, Final

import pyarrow as pa
import sqlalchemy as sa

from adapters.sql.staging import Written
from adapters.sql.statements import Expression, Named, Operand, column, rendered
from adapters.sql.statements import dialect_of as dialect
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
    "INTERVAL": "interval",
}
_CAST_TO_READ: Final[dict[str, str]] = {
    "UBIGINT": "DECIMAL(20,0)",
    "TIMESTAMP_S": "TIMESTAMP",
    "TIMESTAMP_MS": "TIMESTAMP",
}
_FIRST_TIMESTAMP: Final = -9_223_372_022_400_000_000  # 290309-12-22 BC, in microseconds; the last one is Arrow's too
_LIMITS: Final[dict[str, dict[str, Any]]] = {
    "UBIGINT": {"least": Decimal(0), "most": Decimal(2**64 - 1)},
    "HUGEINT": {"number": (39, 0), "nan": False},
    "UHUGEINT": {"number": (39, 0), "nan": False},
    "BIGNUM": {"number": (10_000_000, 0), "nan": False},
    "TIMESTAMP": {"least": _FIRST_TIMESTAMP},
    "TIMESTAMP_S": {"least": _FIRST_TIMESTAMP, "digits": 0},
    "TIMESTAMP_MS": {"least": _FIRST_TIMESTAMP, "digits": 3},
    "TIMESTAMP WITH TIME ZONE": {"least": _FIRST_TIMESTAMP},
}
_UNTOLD: Final = re.compile(r"\b(UNION\(|VARIANT\b)")
COLLATED: Final = "VARCHAR COLLATE "
"""How the native name of a column begins whose collation is not binary; the catalog itself says only VARCHAR."""


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


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
        refused=_refused(native),
        **_LIMITS.get(native, {}),
    )


def _refused(native: str) -> str | None:
    """Types whose texts do not tell all: whether 1 is a number or a text."""
    found = _UNTOLD.search(re.sub(r""""[^"]*"|'[^']*'""", "", native))
    if found is None:
        return None
    kind = found[1].rstrip("(")
    return (
        f"the text of a {kind} does not say of which type a value is. "
        f"Fix: take it apart in a query (`from: {{query: …}}`), such as with CAST or union_extract."
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


def _interval_text(value: Expression) -> Expression:
    """An interval as PostgreSQL writes it: 1 mon for 1 month, -1 days for -1 day, and a + behind what is negative."""
    text: Expression = sa.cast(value, Named("VARCHAR"))
    for pattern, by in ((r"\bmonth", "mon"), (r"(-1 (year|mon|day))( |$)", r"\1s\3"), (r"(-\d+ \w+ )(\d)", r"\1+\2")):
        text = sa.func.regexp_replace(text, *(sa.literal(each, sa.String()) for each in (pattern, by, "g")))
    return text


def _spelled(shape: ColumnShape, text: Expression) -> Expression:
    """A text as DuckDB's cast to the column's type reads it."""
    if shape.native != "INTERVAL":
        return text
    for old, new in (("mon", "month"), ("+", "")):
        text = sa.func.replace(text, sa.literal(old, sa.String()), sa.literal(new, sa.String()))
    return text


def is_asked(shape: ColumnShape) -> bool:
    """Whether only DuckDB can tell which texts the column takes."""
    return (
        pa.types.is_string(shape.type)
        and shape.native not in _NATIVE
        and shape.labels is None
        and not shape.native.startswith(COLLATED)
    )


def kept(shape: ColumnShape, text: Expression) -> Expression:
    """What the column gives back for a text, null where it gives back another value or cannot read it."""
    cast = _spelled(shape, text).op("AS")(sa.literal_column(sql_type(shape.native).replace(":", r"\:")))
    back = reading(shape, sa.func.try_cast(cast))
    return back if shape.meaning == "json" else sa.case((back == text, text))


def reading(shape: ColumnShape, own: Expression | None = None) -> Expression:
    """What a query selects, so that the answer arrives in the travel type."""
    value = column(shape.name) if own is None else own
    if shape.native in _CAST_TO_READ:
        return sa.cast(value, Named(_CAST_TO_READ[shape.native]))
    if shape.native in _NATIVE or pa.types.is_decimal(shape.type):
        return value
    return _interval_text(value) if shape.native == "INTERVAL" else sa.cast(value, Named("VARCHAR"))


def operand(shape: ColumnShape, known: Any) -> Operand:
    """How key windows compare and order the column. `known` turns a bound into a Python value of the travel type."""
    if sortable(shape):
        own: Expression = column(shape.name)
        named = Named(sql_type(shape.native))
        return Operand(
            own, lambda value: sa.cast(sa.literal(spelled(known(value)), sa.String()), named), shape.nullable
        )
    # Bytes, because a collation may call different texts equal, and labels and numbers have an order of their own.
    text = sa.func.encode(reading(shape))
    return Operand(text, lambda value: sa.func.encode(sa.literal(spelled(known(value)), sa.String())), shape.nullable)


def keyed(shape: ColumnShape, key: Expression) -> tuple[Expression, Expression]:
    """A column and a key of its own, in its travel type, as they are equal where their travel forms are."""
    if sortable(shape):
        return column(shape.name), sa.cast(key, Named(sql_type(shape.native)))
    return sa.func.encode(reading(shape)), sa.func.encode(sa.cast(key, Named("VARCHAR")))


def compared(one: ColumnShape, other: ColumnShape) -> tuple[Expression, Expression]:
    """Two columns of one travel type as they are equal where their travel forms are."""
    if sortable(one) and sortable(other):
        return column(one.name), column(other.name)
    return sa.func.encode(reading(one)), sa.func.encode(reading(other))


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
    own = Named(sql_type(shape.native))
    if shape.native == "INTERVAL":  # 1 mon and 30 days are equal to DuckDB
        return Written(shape.name, lambda value: sa.cast(_spelled(shape, value), own), _interval_text)
    if shape.native.startswith(COLLATED):  # indexes look at the bytes, comparisons do not
        return Written(shape.name, lambda value: sa.cast(value, own), sa.func.encode, sa.func.encode)
    return Written(shape.name, lambda value: sa.cast(value, own))


def nudged(shape: ColumnShape, column_written: Written) -> Written:
    """The column on its way in, a microsecond beside its value where DuckDB passes over an update to an equal one."""
    if shape.native != "INTERVAL":
        return column_written

    def cast(value: Expression) -> Expression:
        own = column_written.cast(value)
        tick: Expression = sa.literal_column("INTERVAL 1 microsecond")
        return sa.case((own > sa.literal_column("INTERVAL 0 days"), own - tick), else_=own + tick)

    return Written(shape.name, cast, column_written.compare)


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
    if pa.types.is_duration(travel):
        return "INTERVAL"
    if pa.types.is_large_binary(travel) or pa.types.is_fixed_size_binary(travel):
        return "BLOB"
    return {"uuid": "UUID", "json": "JSON", "interval": "INTERVAL"}.get(shape.meaning, "VARCHAR")


def as_travel_array(values: pa.Array | pa.ChunkedArray, shape: ColumnShape) -> pa.Array | pa.ChunkedArray:
    """The travel type of what `reading` gave; times with a zone carry the session's, whatever the value."""
    try:
        return values.cast(shape.type)
    except pa.ArrowInvalid as error:
        raise SynclineError(
            f"Column {shape.name}: {shape.native} does not fit {shape.type}: {error}.",
            fix="cast it in a view, and name that.",
        ) from error


def text_of(statement: sa.ClauseElement) -> str:
    """A statement with its values written out."""
    return rendered(statement, DIALECT)
