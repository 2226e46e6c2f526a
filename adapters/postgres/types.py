"""How PostgreSQL's types travel: read natively where that is exact, and as text everywhere else.

A `Travel` joins a column's shape with its ways in and out: the expression that reads it, the comparison that windows
use, the type that stages it, and the Arrow fix-ups where the wire format and Arrow disagree.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal

import pyarrow as pa
import sqlalchemy as sa

from adapters.postgres.encodings import held, is_foreign
from adapters.postgres.limits import limits_of, made_of, precision_of, unmodified
from adapters.sql.staging import Written
from adapters.sql.statements import Expression, Named, Operand, column
from transforms.vocabulary import DATE_INFINITY, TIMESTAMP_INFINITY, ColumnShape, Meaning, SynclineError

Reading = Literal["native", "padded", "scaled", "digits", "number", "text"]
"""How a column is read: as it is, as CHAR(n) without its padding, as a scaled bigint, as the text of a numeric(p,s),
as the shortest text of a number, or as the type's own text."""

SCALED_DIGITS: Final = 18  # the most decimal digits that always fit a bigint
ARROW_DIGITS: Final = 38  # the most that fit a decimal128

NATIVE: Final[dict[str, pa.DataType]] = {
    "int2": pa.int16(),
    "int4": pa.int32(),
    "int8": pa.int64(),
    "float4": pa.float32(),
    "float8": pa.float64(),
    "bool": pa.bool_(),
    "text": pa.string(),
    "varchar": pa.string(),
    "bytea": pa.binary(),
    "date": pa.date32(),
    "time": pa.time64("us"),
    "timestamp": pa.timestamp("us"),
    "timestamptz": pa.timestamp("us", "UTC"),
}
MEANINGS: Final[dict[str, Meaning]] = {
    "uuid": "uuid",
    "json": "json",
    "jsonb": "json",
    "numeric": "decimal",
    "citext": "plain",
    "name": "plain",
    "interval": "interval",
}
WIRED: Final = frozenset({"uuid", "json", "jsonb", "citext", "name"})
"""Types that travel as text and whose binary COPY format is made of that text without asking the server."""
INCOMPARABLE: Final = frozenset({"json", "citext", "interval"})
"""Types without an equality, or with one that calls different values equal: 1 mon and 30 days."""

CITEXT: Final = "citext"
BLANK_PADDED: Final = "char"
"""Collations by the names of their types: upper and lower case are one, trailing blanks do not count."""

COLUMNS: Final = """
WITH RECURSIVE col (no, name, oid, mod, not_null, numbered, computed, filled, coll, base, basemod) AS (
    {rows}
  UNION ALL
    SELECT no, name, col.oid, mod, not_null OR t.typnotnull, numbered, computed,
           filled OR t.typdefault IS NOT NULL, coll, t.typbasetype, t.typtypmod
    FROM col JOIN pg_catalog.pg_type t ON t.oid = col.base AND t.typtype = 'd'
)
SELECT col.name, pg_catalog.format_type(col.oid, col.mod), pg_catalog.format_type(col.base, -1), t.typname,
       t.typnamespace = 'pg_catalog'::regnamespace, t.typtype = 'e', basemod, not_null, numbered, computed, filled,
       d.encoding IN (pg_char_to_encoding('UTF8'), pg_char_to_encoding('SQL_ASCII')) AND
       coalesce(c.collname IN ('C', 'POSIX') AND c.collprovider = 'c' OR c.collprovider = 'b'
                OR c.collprovider = 'd' AND d.datlocprovider = 'b'
                OR c.collprovider = 'd' AND d.datlocprovider = 'c' AND d.datcollate IN ('C', 'POSIX'), false),
       (SELECT array_agg(e.enumlabel::text ORDER BY e.enumsortorder)
        FROM pg_catalog.pg_enum e WHERE e.enumtypid = t.oid),
       CASE WHEN NOT c.collisdeterministic THEN c.oid::regcollation::text END
FROM col
JOIN pg_catalog.pg_type t ON t.oid = col.base AND t.typtype <> 'd'
JOIN pg_catalog.pg_database d ON d.datname = pg_catalog.current_database()
LEFT JOIN pg_catalog.pg_collation c ON c.oid = col.coll
ORDER BY no"""

TABLE_ROWS: Final = """
    SELECT a.attnum::int, a.attname::text, a.atttypid, a.atttypmod, a.attnotnull,
           a.attidentity <> '' OR coalesce(pg_catalog.pg_get_expr(f.adbin, f.adrelid) LIKE 'nextval(%%', false),
           a.attgenerated <> '', a.atthasdef AND a.attgenerated = '', a.attcollation, a.atttypid, a.atttypmod
    FROM pg_catalog.pg_attribute a
    LEFT JOIN pg_catalog.pg_attrdef f ON f.adrelid = a.attrelid AND f.adnum = a.attnum
    WHERE a.attrelid = %s AND a.attnum > 0 AND NOT a.attisdropped"""

QUERY_ROWS: Final = """
    SELECT no::int, name, type, mod, false, false, false, false, 0::oid, type, mod
    FROM unnest(%s::text[], %s::oid[], %s::int[]) WITH ORDINALITY q (name, type, mod, no)"""


@dataclass(frozen=True, slots=True)
class Travel:
    """A column and how its values go in and out.

    `base` is its type's SQL name, without modifiers and domains; `kind` the same in the catalog's short form, or enum.
    """

    shape: ColumnShape
    reading: Reading
    base: str
    kind: str
    binary: bool = True  # a text that sorts by its bytes where it stands
    wired: bool = True  # goes into a binary COPY of the column itself
    encoding: str = "UTF8"  # of the database

    @property
    def name(self) -> str:
        return self.shape.name

    @property
    def sortable(self) -> bool:
        """Whether an index over the column has the order that Arrow gives to its travel type."""
        if self.reading == "text":
            return self.kind == "uuid"
        return self.reading != "number" and self.binary

    def read(self, own: Expression | None = None) -> Expression:
        """What a scan selects, of `own` (the column where None); `arrived` makes the travel type of what comes back."""
        own = column(self.name) if own is None else own
        if self.reading == "scaled":
            power: Expression = sa.literal_column(str(10**self.shape.type.scale))
            return sa.cast(own * power if self.shape.type.scale else own, Named("bigint"))
        if self.reading == "number":
            return sa.cast(sa.func.pg_catalog.trim_scale(own), Named("text"))
        return own if self.reading == "native" else sa.cast(own, Named("text"))

    def found(self, own: Expression) -> Expression:
        """What a driver fetches as a plain Python value of any size: dates as numbers since 1970, decimals as text."""
        if self.shape.type == pa.date32():
            return _finite(own, own - sa.literal_column("date '1970-01-01'"), DATE_INFINITY, "integer")
        if pa.types.is_timestamp(self.shape.type):
            return _finite(own, sa.extract("epoch", own) * 1_000_000, TIMESTAMP_INFINITY, "bigint")
        if pa.types.is_time64(self.shape.type):
            return sa.cast(sa.extract("epoch", own) * 1_000_000, Named("bigint"))
        return sa.cast(own, Named("text")) if pa.types.is_decimal(self.shape.type) else self.read(own)

    def operand(self, zone: str | None = None) -> Operand:
        """How key windows compare and order the column: in the order of its travel type."""
        own: Expression = column(self.name)
        if self.carried_as_bytes:
            # neither the order of its bytes is ours, nor can it be given every text to compare with
            text = sa.cast(own, Named("text"))
            return Operand(sa.func.pg_catalog.convert_to(text, sa.literal("UTF8")), _bytes, self.shape.nullable)
        if self.reading == "number" or (self.reading == "text" and self.kind != "uuid"):
            return Operand(
                self.read().collate(sa.quoted_name("C", True)), self._bind("text", zone), self.shape.nullable
            )
        if pa.types.is_string(self.shape.type) and self.reading != "digits" and self.kind != "uuid" and not self.binary:
            own = own.collate(sa.quoted_name("C", True))
        return Operand(own, self._bind(self.base, zone), self.shape.nullable)

    def range_operand(self, zone: str | None = None) -> Operand:
        """How column ranges compare it: as the engine does, except that texts compare in binary order."""
        if self.reading == "number" or (self.reading == "text" and self.shape.meaning in ("opaque", "interval")):
            return Operand(column(self.name), self._bind(self.base, zone), self.shape.nullable)
        return self.operand(zone)

    @property
    def carried_as_bytes(self) -> bool:
        """Whether texts of it are compared by what they are in UTF-8: not every text can be told to a database of another encoding."""
        return (
            pa.types.is_string(self.shape.type) and is_foreign(self.encoding) and self.kind not in ("uuid", "numeric")
        )

    @property
    def tells_apart(self) -> bool:
        """Whether the engine takes values for different wherever their travel type does."""
        if self.shape.collation is not None or pa.types.is_floating(self.shape.type):  # 0 and -0
            return False
        return self.reading not in ("text", "number") or self.kind in ("uuid", "enum", "name")

    def keyed(self, text: Expression) -> tuple[Expression, Expression]:
        """The column, and a key of its own that comes as text: as the engine compares them, so that its index serves."""
        if self.carried_as_bytes:
            return self.operand().expression, sa.cast(text, Named("bytea"))
        return column(self.name), sa.cast(text, Named(self.base))

    def _bind(self, base: str, zone: str | None) -> Callable[[Any], Expression]:
        def bind(value: Any) -> Expression:
            text = sa.literal(literal_text(value, self.name), sa.String())
            if zone and base == "timestamp with time zone" and not _has_zone(value):
                return sa.func.pg_catalog.timezone(sa.literal(zone, sa.String()), sa.cast(text, Named("timestamp")))
            return sa.cast(text, Named(base))

        return bind

    def staged_type(self, *, wired: bool) -> str:
        """The type of its staging column: its own where the wire format allows, else text that is cast later."""
        return self.base if self.travels_natively or wired else "text"

    @property
    def travels_natively(self) -> bool:
        return self.reading in ("native", "padded", "scaled", "digits")

    def written(self, *, wired: bool) -> Written:
        """How staged values are cast and compared; types without an equality of their own compare by their text."""
        own = Named(self.base)

        def cast(value: Expression) -> Expression:
            return value if self.staged_type(wired=wired) == self.base else sa.cast(value, own)

        def compare(value: Expression) -> Expression:
            if self.reading == "text" and (self.shape.meaning == "opaque" or self.kind in INCOMPARABLE):
                return sa.cast(value, Named("text"))
            if self.reading == "native" and pa.types.is_string(self.shape.type):
                return value.collate(sa.quoted_name("C", True))  # a collation may call different texts equal
            return value

        return Written(self.name, cast, compare)


def _bytes(value: Any) -> Expression:
    """A text as the bytes that it has in UTF-8."""
    return sa.cast(sa.literal("\\x" + str(value).encode().hex(), sa.String()), Named("bytea"))


def _finite(own: Expression, number: Expression, infinity: int, base: str) -> Expression:
    """The number of a date, or plus or minus `infinity`; extract() is exact, because it answers in numeric."""
    limit = sa.case(
        (own > sa.literal_column("'epoch'"), sa.literal_column(str(infinity))), else_=sa.literal_column(str(-infinity))
    )
    return sa.case((sa.func.pg_catalog.isfinite(own), sa.cast(number, Named(base))), else_=limit)


def travel(row: Sequence[Any], *, nan: bool = False, encoding: str = "UTF8") -> Travel:
    """A column of the catalog query as it travels. `nan`: its numeric(p,s) holds NaN, which no decimal128 can.

    `encoding` is that of its database.
    """
    name, native, base, kind, builtin, is_enum, modifier = row[:7]
    not_null, identity, generated, filled, binary, labels, collation = row[7:]
    reading: Reading = "text"
    type_ = pa.string()
    meaning: Meaning = "opaque"
    length: int | None = None
    if is_enum:
        meaning = "plain"
    elif builtin and kind in NATIVE:
        reading, type_, meaning = "native", NATIVE[kind], "plain"
        length = modifier - 4 if kind == "varchar" and modifier > 4 else None
    elif builtin and kind == "bpchar":
        reading, meaning, length = "padded", "plain", modifier - 4 if modifier > 4 else None
        collation = collation or BLANK_PADDED
    elif builtin and kind == "numeric":
        precision, scale = precision_of(modifier)
        if modifier > 4 and not nan and 0 <= scale <= precision <= ARROW_DIGITS:
            reading = "scaled" if precision <= SCALED_DIGITS else "digits"
            type_, meaning = pa.decimal128(precision, scale), "plain"
        else:
            reading, meaning = "number", "decimal"
    elif builtin or kind == "citext":
        meaning = MEANINGS.get(kind, "opaque")
        collation = CITEXT if kind == CITEXT else collation
    shape = ColumnShape(
        name,
        type_,
        native,
        nullable=not not_null,
        meaning=meaning,
        generated=generated,
        identity=identity,
        default=filled,
        length=length,
        padded=reading == "padded",
        labels=tuple(labels) if is_enum else None,
        nul=not pa.types.is_string(type_),
        collation=collation,
        characters=held(encoding) if pa.types.is_string(type_) else None,
        declared=not is_enum and (not builtin or unmodified(native) != unmodified(base)),
        **(limits_of(kind, modifier, as_text=reading == "number") if builtin else {}),
    )
    text = pa.types.is_string(type_) and reading in ("native", "padded")
    wired = reading != "number" and (reading != "text" or is_enum or kind in WIRED)
    return Travel(shape, reading, base, "enum" if is_enum else kind, not text or binary, wired, encoding)


def new_travel(column: ColumnShape, encoding: str = "UTF8") -> Travel:
    """A column that is made for a travel type, as the catalog will describe it."""
    native, kind, modifier = made_of(column)
    filled = column.default or column.identity
    row = (
        native,
        kind,
        True,
        False,
        modifier,
        not column.nullable,
        column.identity,
        column.generated,
        filled,
        True,
        None,
        None,
    )
    return travel((column.name, native, *row), encoding=encoding)


def bounded_numeric(row: Sequence[Any]) -> bool:
    """Whether a column of the catalog query is a numeric(p,s): it may hold NaN, and has to be asked."""
    return travel(row).reading in ("scaled", "digits")


def _has_zone(value: Any) -> bool:
    if isinstance(value, dt.datetime):
        return value.tzinfo is not None
    return re.search(r":\S*([zZ]|[+-]\d\d(:?\d\d)?)$|infinity", str(value)) is not None


def literal_text(value: Any, name: str) -> str:
    """A Python value as PostgreSQL reads it."""
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, bytes):
        return "\\x" + value.hex()
    if isinstance(value, dt.datetime | dt.date | dt.time):
        return value.isoformat()
    if isinstance(value, Decimal):
        return format(value, "f")
    text = str(value)
    if "\0" in text:
        raise SynclineError(
            f"Column {name!r} is compared with a text that holds a NUL character, which PostgreSQL cannot store.",
            fix="quarantine or strip such keys in the mapping.",
        )
    return text
