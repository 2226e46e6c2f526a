"""How the types of MariaDB and MySQL travel: what is read of a column, how it is compared, and what it is staged as.

A `Declared` is a column as the catalog, the metadata of a query or a new table's DDL says it; a `Travel` joins it with
its shape and its ways in and out.
"""

from __future__ import annotations

import datetime as dt
import re
from collections.abc import Callable
from dataclasses import dataclass
from decimal import Decimal
from typing import Any, Final, Literal
from zoneinfo import ZoneInfo

import pyarrow as pa
import sqlalchemy as sa

from adapters.mysql.connection import Server
from adapters.sql.staging import Written
from adapters.sql.statements import Expression, Operand, column
from transforms.vocabulary import ColumnShape, Meaning

Reading = Literal["own", "number", "double", "converted"]
"""How a column is read: by its own text, as a number, as a double, or converted to utf8mb4."""

ARROW_DIGITS: Final = 38  # the most decimal digits of a decimal128
UNICODE: Final = ("utf8mb4", "utf8mb3", "utf8")
"""Character sets whose bytes are UTF-8 as they are stored."""
ORDERED: Final = re.compile(r"(utf8mb4|utf8mb3|utf8|ascii)_nopad_bin|utf8mb4_0900_bin")
"""Collations in which texts compare and sort by their bytes in UTF-8, and nothing is padded."""
EXACT: Final = re.compile(r".*_nopad_bin|utf8mb4_0900_bin")

LONGEST_TIME: Final = dt.timedelta(hours=838, minutes=59, seconds=59, microseconds=999_999)
FIRST_INSTANT: Final = dt.datetime(1970, 1, 1, 0, 0, 1, tzinfo=dt.UTC)
LAST_INSTANT: Final = dt.datetime(2038, 1, 19, 3, 14, 7, 999_999, tzinfo=dt.UTC)
LAST_INSTANT_UNSIGNED: Final = dt.datetime(2106, 2, 7, 6, 28, 15, 999_999, tzinfo=dt.UTC)  # MariaDB since 11.5
LARGEST: Final = {"float": 3.4028234663852886e38, "double": 1.7976931348623157e308}
FIRST_YEAR: Final = 1901  # of a YEAR, besides 0
LAST_YEAR: Final = 2155

_SIGNED: Final = {
    "tinyint": pa.int8(),
    "smallint": pa.int16(),
    "mediumint": pa.int32(),
    "int": pa.int32(),
    "bigint": pa.int64(),
}
_UNSIGNED: Final = {
    "tinyint": pa.uint8(), "smallint": pa.uint16(), "mediumint": pa.uint32(), "int": pa.uint32(), "bigint": pa.uint64(),
}  # fmt: skip
_BITS: Final = {8: pa.uint8(), 16: pa.uint16(), 32: pa.uint32(), 63: pa.int64(), 64: pa.uint64()}
_TEXTS: Final = {
    "char": None,
    "varchar": None,
    "tinytext": 2**8 - 1,
    "text": 2**16 - 1,
    "mediumtext": 2**24 - 1,
    "longtext": None,
}
_BINARIES: Final = {
    "binary": None, "varbinary": None, "tinyblob": 2**8 - 1, "blob": 2**16 - 1, "mediumblob": 2**24 - 1, "longblob": None,
}  # fmt: skip
_NOTATIONS: Final[dict[str, Meaning]] = {"uuid": "uuid", "json": "json", "inet4": "opaque", "inet6": "opaque"}
_SHAPES: Final = ("geometry", "point", "linestring", "polygon", "geomcollection")


@dataclass(frozen=True, slots=True)
class Declared:
    """A column as it is declared. `kind` is its type's plain name; `length` counts characters, or bytes of a binary.

    `renewed`: an UPDATE that does not set it gives it the time (ON UPDATE CURRENT_TIMESTAMP).
    """

    name: str
    kind: str
    native: str
    nullable: bool = True
    length: int | None = None
    precision: int | None = None
    scale: int | None = None
    digits: int | None = None
    charset: str | None = None
    collation: str | None = None
    characters: str | None = None
    identity: bool = False
    generated: bool = False
    default: bool = False
    renewed: bool = False

    @property
    def unsigned(self) -> bool:
        return "unsigned" in self.native


Keyed = tuple[Expression, Callable[[Any], str]]


@dataclass(frozen=True, slots=True)
class Travel:
    """A column and how its values go in and out."""

    shape: ColumnShape
    declared: Declared
    reading: Reading
    server: Server

    @property
    def name(self) -> str:
        return self.shape.name

    @property
    def kind(self) -> str:
        return self.declared.kind

    @property
    def is_text(self) -> bool:
        return self.kind in _TEXTS or self.kind in ("enum", "set")

    @property
    def sortable(self) -> bool:
        """Whether an index over the column has the order that Arrow gives to its travel type."""
        if self.kind in ("varchar", "tinytext", "text", "mediumtext", "longtext"):
            return ORDERED.fullmatch(self.declared.collation or "") is not None
        return not pa.types.is_string(self.shape.type) and self.kind not in ("year", "bit")

    def read(self, own: Expression | None = None) -> Expression:
        """What is selected, of `own` (the column where None); `mysql_arrow` makes the travel type of what comes back."""
        own = column(self.name) if own is None else own
        if self.reading == "number":
            return own + sa.literal_column("0")
        if self.reading == "double":
            return own + sa.literal_column("0e0")
        return _converted(own) if self.reading == "converted" else own

    def operand(self, zone: str | None = None) -> Operand:
        """How key windows compare and order the column: in the order of its travel type."""
        own: Expression = column(self.name)
        if pa.types.is_string(self.shape.type):
            if not self.sortable:
                if self.declared.charset not in UNICODE:
                    own = sa.func.convert(own.op("USING")(sa.literal_column("utf8mb4")))
                return Operand(sa.cast(own, sa.LargeBinary()), self._binary, self.shape.nullable)
        elif self.kind == "year":
            own = own + sa.literal_column("0")  # compared with a YEAR, 50 would be 2050
        return Operand(own, self._bind(zone), self.shape.nullable)

    def range_operand(self, zone: str | None = None) -> Operand:
        """How column ranges compare it: as the engine does, except that texts compare in binary order."""
        if self.shape.meaning in ("opaque", "uuid"):
            return Operand(column(self.name), self._bind(zone), self.shape.nullable)
        return self.operand(zone)

    def keyed(self) -> tuple[Keyed, ...]:
        """What a key of its own is compared with, and how it is written: as the column's index compares, and where that takes
        different texts for one, exactly, too."""
        if not self.is_text:
            return ((self.range_operand().expression, literal),)
        found: Keyed = (column(self.name), literal)
        return (found, (self.operand().expression, _in_bytes)) if self.folded else (found,)

    def _binary(self, value: Any) -> Expression:
        return sa.literal_column(_in_bytes(value))

    def _bind(self, zone: str | None) -> Any:
        def bind(value: Any) -> Expression:
            return sa.literal_column(literal(self._moved(value, zone)))

        return bind

    def _moved(self, value: Any, zone: str | None) -> Any:
        """A time without a zone, compared with instants, as the instant that it is in `zone`."""
        if self.kind == "timestamp" and isinstance(value, dt.datetime) and value.tzinfo is None and zone:
            return value.replace(tzinfo=ZoneInfo(zone))
        return value

    def staged_type(self, *, key: bool) -> str:
        """The type of its staging column. Texts and binaries beside the key are long ones: a row has room for few others."""
        native = "longtext" if self.kind == "json" and self.server.mariadb else self.declared.native
        # an ENUM's empty value, which is none of its own, is no error in a text
        if not key and self.kind in ("enum", "set", "varchar", "tinytext", "text", "mediumtext"):
            native = "longtext"
        if not key and self.kind in ("varbinary", "tinyblob", "blob", "mediumblob"):
            native = "longblob"
        if self.declared.charset:
            native += f" CHARACTER SET {self.declared.charset} COLLATE {self.declared.collation}"
        return f"{native} NULL"

    @property
    def converts(self) -> bool:
        """Whether it has to be told that what is loaded is text in utf8mb4, and no bytes of its own."""
        if self.is_text:
            return self.declared.charset not in UNICODE
        return self.kind in _NOTATIONS

    @property
    def folded(self) -> bool:
        """Whether `=` takes different texts for one: upper and lower case, or blanks at the end."""
        return self.is_text and not EXACT.fullmatch(self.declared.collation or "")

    def written(self) -> Written:
        """How staged values compare with the column's: texts by their bytes, all others as they are.

        MariaDB's JSON is a text: two spellings are compared by value once they are read. JSON_NORMALIZE makes doubles of numbers.
        """

        def compare(value: Expression) -> Expression:
            if self.kind == "json" and self.server.mariadb:
                return sa.cast(value, sa.LargeBinary())
            if not self.folded:
                return value
            if self.server.mariadb:
                return value.collate(f"{self.declared.charset}_nopad_bin")
            return sa.cast(value, sa.LargeBinary())

        return Written(self.name, compare=compare, folded=self.folded)


def _converted(own: Expression) -> Expression:
    """A text in utf8mb4, or what is no UTF-8 at all, ff and its bytes, where a character has none in Unicode.

    The server puts a question mark in the place of such a character: there are more of them than there were.
    """
    text = sa.func.convert(own.op("USING")(sa.literal_column("utf8mb4")))

    def without(value: Expression) -> Expression:
        return sa.func.char_length(sa.func.replace(value, sa.literal_column("'?'"), sa.literal_column("''")))

    whole = sa.or_(
        sa.func.locate(sa.literal_column("'?'"), text) == sa.literal_column("0"), without(text) == without(own)
    )
    raw = sa.func.concat(sa.literal_column("x'ff'"), sa.cast(own, sa.LargeBinary()))
    told = sa.func.ifnull(sa.func.if_(whole, text, raw), sa.literal_column("x'ff'"))
    return sa.func.if_(own.is_(None), sa.null(), told)


def literal(value: Any) -> str:
    """A Python value as SQL. Texts and binaries in hexadecimal digits: nothing in them can be taken for SQL."""
    match value:
        case bool():
            return str(int(value))
        case int():
            return str(value)
        case float():
            return _double(value)
        case Decimal():
            return format(value, "f")
        case bytes():
            return f"x'{value.hex()}'"
        case dt.datetime():
            naive = value.astimezone(dt.UTC).replace(tzinfo=None) if value.tzinfo else value
            return f"TIMESTAMP'{naive.isoformat(' ')}'"
        case dt.date():
            return f"DATE'{value.isoformat()}'"
        case dt.time():
            return f"TIME'{value.isoformat()}'"
        case dt.timedelta():
            return f"TIME'{time_text(value)}'"
    return f"_utf8mb4 x'{str(value).encode().hex()}'"


def _in_bytes(value: Any) -> str:
    """A text as the bytes that it has in UTF-8."""
    return f"x'{str(value).encode().hex()}'"


def _double(value: float) -> str:
    """A double exactly. The largest ones stand for infinity, which no column holds."""
    if value in (float("inf"), float("-inf")):
        return "1.7976931348623157e308" if value > 0 else "-1.7976931348623157e308"
    text = repr(value)
    return text if "e" in text else text + "e0"


def time_text(value: dt.timedelta) -> str:
    """A TIME, which ends at 838:59:59.999999 on both sides."""
    within = min(max(value, -LONGEST_TIME), LONGEST_TIME)
    seconds, micros = divmod(abs(within) // dt.timedelta(microseconds=1), 1_000_000)
    sign = "-" if within < dt.timedelta(0) else ""
    return f"{sign}{seconds // 3600:02}:{seconds // 60 % 60:02}:{seconds % 60:02}.{micros:06}"


# ---------------------------------------------------------------------------------------------------------------------
# From a declaration to a shape


def travel(declared: Declared, server: Server) -> Travel:
    """How a declared column travels."""
    kind = declared.kind
    reading: Reading = "own"
    limits: dict[str, Any] = {}
    if kind in _SIGNED:
        type_ = (_UNSIGNED if declared.unsigned else _SIGNED)[kind]
        if kind == "mediumint":
            limits = {"least": 0, "most": 2**24 - 1} if declared.unsigned else {"least": -(2**23), "most": 2**23 - 1}
        reading = "number" if "zerofill" in declared.native else "own"
    elif kind in ("float", "double"):
        type_ = pa.float32() if kind == "float" else pa.float64()
        reading = "double" if kind == "float" or "zerofill" in declared.native else "own"
        largest = LARGEST[kind]
        limits = {"least": 0.0 if declared.unsigned else -largest, "most": largest}
    elif kind == "decimal":
        precision, scale = declared.precision or 10, declared.scale or 0
        reading = "number" if "zerofill" in declared.native else "own"
        if precision <= ARROW_DIGITS:
            type_ = pa.decimal128(precision, scale)
            limits = {"least": Decimal(0)} if declared.unsigned else {}
        else:
            type_, limits = pa.string(), {"meaning": "decimal", "number": (precision, scale)}
    elif kind == "bit":
        bits = declared.precision or 1
        reading, type_ = "number", next(type_ for most, type_ in _BITS.items() if most >= bits)
        limits = {"least": 0, "most": 2**bits - 1}
    elif kind == "year" and "(2)" in declared.native:
        type_ = pa.int16()
        limits = {"refused": "of a year of two digits nobody knows the century. Fix: make it a YEAR."}
    elif kind == "year":
        type_, limits = pa.int16(), {"least": 0, "most": LAST_YEAR}
    elif kind in ("date", "datetime", "timestamp", "time"):
        type_, limits = _temporal(declared, server)
    elif kind in _BINARIES:
        type_, limits = pa.binary(), {"octets": declared.length if _BINARIES[kind] is None else _BINARIES[kind]}
        if kind == "longblob":
            limits = {}
    elif kind in _TEXTS or kind in ("enum", "set"):
        type_, limits = pa.string(), _text_limits(declared)
        reading = "own" if declared.charset in UNICODE else "converted"
    elif kind in _NOTATIONS:
        type_, limits = pa.string(), {"meaning": _NOTATIONS[kind]}
    else:
        read = "ST_AsText(…)" if kind in _SHAPES or kind.startswith("multi") else "a text of it"
        type_ = pa.binary()
        limits = {
            "refused": f"no type of Arrow holds {declared.native} values. Fix: read {read} in a query, or leave it out."
        }
    shape = ColumnShape(
        declared.name,
        type_,
        declared.native,
        nullable=declared.nullable,
        generated=declared.generated,
        identity=declared.identity,
        default=declared.default,
        **({"nan": False} | limits),
    )
    return Travel(shape, declared, reading, server)


def _temporal(declared: Declared, server: Server) -> tuple[pa.DataType, dict[str, Any]]:
    digits = declared.digits or 0
    fraction = {"digits": digits} if digits < 6 else {}
    if declared.kind == "date":
        return pa.date32(), {"least": dt.date(1, 1, 1), "most": dt.date(9999, 12, 31)}
    if declared.kind == "time":
        return pa.duration("us"), {"least": -LONGEST_TIME, "most": LONGEST_TIME, **fraction}
    if declared.kind == "timestamp":
        last = LAST_INSTANT_UNSIGNED if server.mariadb and server.version >= (11, 5) else LAST_INSTANT
        return pa.timestamp("us", "UTC"), {"least": FIRST_INSTANT, "most": last, **fraction}
    ends = {"least": dt.datetime(1, 1, 1), "most": dt.datetime(9999, 12, 31, 23, 59, 59, 999_999)}
    return pa.timestamp("us"), {**ends, **fraction}


def _text_limits(declared: Declared) -> dict[str, Any]:
    kind, collation = declared.kind, declared.collation or ""
    limits: dict[str, Any] = {"characters": declared.characters}
    if kind in ("char", "varchar"):
        limits |= {"length": declared.length, "padded": kind == "char"}
    elif kind == "enum":
        limits["labels"] = labels_of(declared.native)
    elif kind in _TEXTS:
        limits["octets"] = _TEXTS[kind]
    if kind in _TEXTS and (kind == "char" or not EXACT.fullmatch(collation)):
        limits["collation"] = collation
    return limits


_LABEL: Final = re.compile(r"'((?:[^'\\]|''|\\.)*)'")
_ESCAPES: Final = {"0": "\0", "n": "\n", "r": "\r", "t": "\t", "b": "\b", "Z": "\x1a"}


def labels_of(native: str) -> tuple[str, ...] | None:
    """The labels of enum('a','b') and set('a','b'); None where the catalog cannot tell them: it has no 4-byte characters."""

    def plain(label: str) -> str:
        return re.sub(
            r"''|\\(.)", lambda each: _ESCAPES.get(each[1], each[1]) if each[1] else "'", label, flags=re.DOTALL
        )

    labels = tuple(plain(each) for each in _LABEL.findall(native))
    return None if any("?" in label for label in labels) else labels
