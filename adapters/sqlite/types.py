"""SQLite's declared types: what each of them accepts, how it is read and ordered, and how its texts are spelled.

SQLite lets any value into any column, so a declared type is a claim. `value_sql` reads only what keeps the claim, in
one storage class, and `offence_sql` says why the rest cannot travel.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from typing import Any, Final, Literal

import pyarrow as pa

from transforms.vocabulary import TIMESTAMP_INFINITY, ColumnShape, Meaning

Kind = Literal[
    "integer", "boolean", "real", "text", "binary", "decimal", "fixed", "number", "date", "timestamp", "moment", "time",
    "interval", "uuid", "json", "loose",
]  # fmt: skip
"""`loose` is text in a column of which SQLite makes numbers of texts that look like one: STRING, or any word that it does not know."""

EXACT_DIGITS: Final = 15  # a decimal of so many digits survives SQLite's floating point; one more may not
INFINITIES: Final = ("infinity", "-infinity")
_PLAIN: Final[dict[Kind, pa.DataType]] = {
    "integer": pa.int64(), "boolean": pa.bool_(), "real": pa.float64(), "text": pa.string(), "binary": pa.binary(),
    "number": pa.string(), "date": pa.date32(), "timestamp": pa.timestamp("us"), "moment": pa.timestamp("us", "UTC"),
    "time": pa.time64("us"), "interval": pa.string(), "uuid": pa.string(), "json": pa.string(),
    "loose": pa.string(),
}  # fmt: skip
_MEANING: Final[dict[Kind, Meaning]] = {"number": "decimal", "interval": "interval", "uuid": "uuid", "json": "json"}
# SQLite's own functions know the years 0000 to 9999; dates are stored as texts, in whose order others would be lost.
_DAY: Final = 86_400_000_000  # in microseconds
_FIRST_DAY, _LAST_DAY = -719_528, 2_932_896
_MOMENTS: Final = {"least": _FIRST_DAY * _DAY, "most": (_LAST_DAY + 1) * _DAY - 1}
_LIMITS: Final[dict[Kind, dict[str, Any]]] = {
    "real": {"nan": False},  # SQLite stores NaN as NULL
    "date": {"least": _FIRST_DAY, "most": _LAST_DAY}, "timestamp": _MOMENTS, "moment": _MOMENTS,
    "time": {"least": 0, "most": _DAY - 1},
}  # fmt: skip
NOUN: Final[dict[Kind, str]] = {
    "integer": "an integer", "boolean": "a boolean (0 or 1)", "real": "a number that a float can hold",
    "text": "text", "binary": "a blob", "decimal": "a number", "fixed": "a number",
    "number": "a number", "date": "a date (YYYY-MM-DD)",
    "timestamp": "a timestamp (YYYY-MM-DD HH:MM:SS, at most microseconds, without a zone)",
    "moment": "a timestamp with its offset from UTC", "time": "a time of day",
    "interval": "a span of time (1 mon -2 days +03:04:05)", "uuid": "a UUID", "json": "JSON",
    "loose": "text",
}  # fmt: skip
_BEGINNINGS: Final[tuple[tuple[str, Kind], ...]] = (
    ("DECIMAL_TEXT", "decimal"), ("JSON", "json"), ("UUID", "uuid"), ("TIMESTAMPTZ", "moment"),
    ("TIMESTAMP WITH TIME ZONE", "moment"), ("TIMESTAMP", "timestamp"), ("DATETIME", "timestamp"), ("DATE", "date"),
    ("TIME", "time"), ("INTERVAL", "interval"), ("POINT", "loose"), ("ENUM", "loose"),
)  # fmt: skip
_PARTS: Final[tuple[tuple[str, Kind], ...]] = (
    ("INT", "integer"), ("BOOL", "boolean"), ("CHAR", "text"), ("CLOB", "text"), ("TEXT", "text"), ("BLOB", "binary"),
    ("BINARY", "binary"), ("REAL", "real"), ("FLOA", "real"), ("DOUB", "real"), ("DECIMAL", "decimal"),
    ("NUM", "decimal"),
)  # fmt: skip


def kind_of(native: str) -> Kind:
    """What a declared type claims to hold."""
    name = native.upper().strip()
    begins = [kind for start, kind in _BEGINNINGS if name.startswith(start)]
    contains = [kind for part, kind in _PARTS if part in name]
    unknown: Kind = "loose" if name else "text"
    kind = [*begins, *contains, unknown][0]
    if kind != "decimal":
        return kind
    digits = _digits(native)
    if digits is None:
        return "number"
    return "fixed" if digits[0] <= EXACT_DIGITS and not text_affinity(native) else "decimal"


def _digits(native: str) -> tuple[int, int] | None:
    found = re.search(r"\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)", native)
    precision, scale = (int(found[1]), int(found[2] or 0)) if found else (0, 0)
    return (precision, scale) if 0 < precision <= 76 and scale <= precision else None


def travel_of(native: str) -> tuple[pa.DataType, Meaning]:
    """The travel type of a declared type, and what its texts stand for."""
    kind, digits = kind_of(native), _digits(native)
    if kind in ("decimal", "fixed") and digits:
        return (pa.decimal128 if digits[0] <= 38 else pa.decimal256)(*digits), "plain"
    return _PLAIN[kind], _MEANING.get(kind, "plain")


def column_shape(
    name: str,
    native: str,
    *,
    nullable: bool = True,
    generated: bool = False,
    identity: bool = False,
    default: bool = False,
    collation: str | None = None,
    inferred: bool = False,
) -> ColumnShape:
    """A column by its declared type."""
    travel, meaning = travel_of(native)
    return ColumnShape(
        name,
        travel,
        native,
        nullable=nullable,
        meaning=meaning,
        generated=generated,
        identity=identity,
        default=default,
        collation=collation,
        inferred=inferred,
        **_LIMITS.get(kind_of(native), {}),
    )


def text_affinity(native: str) -> bool:
    """SQLite keeps texts as they are in such a column; in a numeric one it turns those that look like numbers."""
    name = native.upper()
    return "INT" not in name and any(part in name for part in ("CHAR", "CLOB", "TEXT"))


# ---------------------------------------------------------------------------------------------------------------------
# Reading


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


_FITS: Final[dict[Kind, str]] = {
    "integer": "typeof({c})='integer'",
    "boolean": "typeof({c})='integer' AND {c} IN (0, 1)",
    "real": "typeof({c})='real' OR (typeof({c})='integer' AND {c} BETWEEN -9007199254740992 AND 9007199254740992)",
    "binary": "typeof({c})='blob'",
    "fixed": "typeof({c}) IN ('integer', 'real')",
    "decimal": "typeof({c}) IN ('integer', 'real', 'text')",
    "number": "typeof({c}) IN ('integer', 'real', 'text')",
    "loose": "typeof({c}) IN ('integer', 'real', 'text')",
    "json": "typeof({c}) IN ('integer', 'real') OR (typeof({c})='text' AND json_valid({c}))",
}
# A float's 15 digits are the decimal that was stored, where they lead back to the same float.
_EXACT: Final = (
    "CASE typeof({c}) WHEN 'integer' THEN CAST({c} AS TEXT) WHEN 'real' THEN"
    " CASE WHEN CAST(printf('%!.15g', {c}) AS REAL)={c} THEN printf('%!.15g', {c}) ELSE printf('%!.17g', {c}) END"
    " ELSE {c} END"
)
_FLOAT: Final = "CAST({c} AS REAL)"
_TAKE: Final[dict[Kind, str]] = {
    "real": _FLOAT, "fixed": _FLOAT, "decimal": _EXACT, "number": _EXACT, "json": _EXACT, "loose": _EXACT,
}  # fmt: skip
_SAMPLE: Final[dict[Kind, str]] = {"integer": "0", "boolean": "0", "real": "0.0", "fixed": "0.0", "binary": "x''"}


def _fits(kind: Kind, c: str) -> str:
    return _FITS.get(kind, "typeof({c})='text'").format(c=c)


def value_sql(native: str, c: str) -> str:
    """The value of column `c` in one storage class, NULL where it breaks the claim of its declared type."""
    kind = kind_of(native)
    return f"CASE WHEN {_fits(kind, c)} THEN {_TAKE.get(kind, '{c}').format(c=c)} END"


def sample_sql(native: str) -> str:
    """A literal in the storage class of `value_sql`: it fixes the type of an Arrow column before the first row."""
    return _SAMPLE.get(kind_of(native), "''")


def offence_sql(columns: list[ColumnShape]) -> str:
    """Why a row cannot travel, as `offence` reads it, NULL where it can; the first offending column speaks."""
    cases = []
    for place, column in enumerate(columns):
        kind, c = kind_of(column.native), quoted(column.name)
        shown = f"CASE typeof({c}) WHEN 'text' THEN substr({c}, 1, 40) WHEN 'blob' THEN length({c}) ELSE {c} END"
        offence = f"'{place}:' || typeof({c}) || ':' || {shown}"
        cases.append(f"WHEN {c} IS NOT NULL AND NOT ({_fits(kind, c)}) THEN {offence}")
    return f"CASE {' '.join(cases)} END" if cases else "NULL"


def clean_sql(native: str, c: str, style: Style) -> str:
    """True for values whose stored form orders and compares as their travel form does."""
    kind = kind_of(native)
    return f"{c} IS NULL OR ({_fits(kind, c)}{style.condition(kind, c)})"


def raw_order(native: str) -> bool:
    """The stored form orders as the travel form does, for clean values."""
    return kind_of(native) not in ("decimal", "number", "json", "loose")


def spelled_in_styles(native: str) -> bool:
    """Whether one value may be stored in several ways, of which a `Style` is one."""
    return kind_of(native) in ("date", "timestamp", "moment", "time", "uuid")


def sort_sql(native: str, c: str) -> str:
    """An expression that orders any stored forms as their travel form does; `sort_value` is its Python side."""
    kind = kind_of(native)
    if kind == "date":
        return f"substr({value_sql(native, c)}, 1, 10)"
    if kind in ("timestamp", "moment", "time"):
        day = "'1970-01-01 ' || " if kind == "time" else ""
        at = 9 if kind == "time" else 20
        fraction = f"CASE substr({c}, {at}, 1) WHEN '.' THEN round(CAST('0' || substr({c}, {at}, 7) AS REAL) * 1e6) END"
        micros = f"CAST(strftime('%s', {day}{c}) AS INTEGER) * 1000000 + CAST(coalesce({fraction}, 0) AS INTEGER)"
        most = f"WHEN {c}='infinity' THEN {TIMESTAMP_INFINITY} WHEN {c}='-infinity' THEN -{TIMESTAMP_INFINITY}"
        return f"CASE {most} WHEN typeof({c})='text' THEN {micros} END"
    if kind == "uuid":
        return f"CASE WHEN typeof({c})='text' THEN lower(replace({c}, '-', '')) END"
    if kind == "decimal":
        return _sortable_decimal(f"({value_sql(native, c)})")
    return value_sql(native, c)


def _sortable_decimal(x: str) -> str:
    """Digits padded to one width behind a sign; those of negative numbers mirrored, so that text order is theirs."""
    zeros = "0" * 76
    bare = f"ltrim({x}, '+-')"
    point = f"instr({bare} || '.', '.')"
    whole = f"substr('{zeros}' || substr({bare}, 1, {point} - 1), -76)"
    digits = f"{whole} || substr(substr({bare}, {point} + 1) || '{zeros}', 1, 76)"
    mirrored = digits
    for digit in "0123456789":
        mirrored = f"replace({mirrored}, '{digit}', '{MIRROR[digit]}')"
    negative = f"substr({x}, 1, 1)='-' AND trim({x}, '-0.')<>''"
    return f"CASE WHEN {x} IS NULL THEN NULL WHEN {negative} THEN '0' || {mirrored} ELSE '1' || {digits} END"


MIRROR: Final = dict(zip("0123456789", "jihgfedcba", strict=True))


# ---------------------------------------------------------------------------------------------------------------------
# Texts in keys


@dataclass(frozen=True, slots=True)
class Style:
    """How a column spells its texts: one style for all of them lets texts stand for values in keys.

    `digits`: fraction digits that are always there; 0 where a fraction is written only if there is one, then with 6.
    """

    separator: str = " "
    digits: int = 0
    suffix: str = "+00:00"
    upper: bool = False
    dashes: bool = True

    def condition(self, kind: Kind, c: str) -> str:
        """SQL to and to a test of the storage class."""
        day, clock = "dddd-dd-dd", "dd:dd:dd"
        if kind == "date":
            return f" AND ({c} IN {INFINITIES} OR {_glob(c, day)})"
        if kind in ("timestamp", "moment", "time"):
            start = clock if kind == "time" else day + self.separator + clock
            end = self.suffix if kind == "moment" else ""
            if self.digits:
                return f" AND ({c} IN {INFINITIES} OR {_glob(c, start + '.' + 'd' * self.digits + end)})"
            trimmed = f"{_glob(c, start + '.dddddd' + end)} AND substr({c}, {len(start) + 1}, 7)<>'.000000'"
            return f" AND ({c} IN {INFINITIES} OR {_glob(c, start + end)} OR ({trimmed}))"
        if kind == "uuid":
            one = "[0-9A-F]" if self.upper else "[0-9a-f]"
            dash = "-" if self.dashes else ""
            return f" AND {c} GLOB '{dash.join(one * n for n in (8, 4, 4, 4, 12))}'"
        return ""


def _glob(c: str, pattern: str) -> str:
    return f"{c} GLOB '{pattern.replace('d', '[0-9]')}'"


def styles(native: str) -> list[Style]:
    """The ways in which a column of that type may spell its texts, the usual one first."""
    kind = kind_of(native)
    if kind == "uuid":
        return [Style(dashes=dashes, upper=upper) for dashes in (True, False) for upper in (False, True)]
    if kind not in ("timestamp", "moment", "time"):
        return [Style()]
    separators = (" ",) if kind == "time" else (" ", "T")
    suffixes = ("+00:00", "Z") if kind == "moment" else ("",)
    return [Style(each, digits, end) for end in suffixes for each in separators for digits in (0, 6, 3)]


# ---------------------------------------------------------------------------------------------------------------------
# DDL


def declared(column: ColumnShape) -> str:
    """The declared type that keeps a travel type exactly, and is read back as it."""
    travel = column.type
    if pa.types.is_boolean(travel):
        return "BOOLEAN"
    if pa.types.is_integer(travel):
        return "DECIMAL_TEXT(20, 0)" if travel == pa.uint64() else "INTEGER"
    if pa.types.is_floating(travel):
        return "REAL"
    if pa.types.is_decimal(travel):
        exact = travel.precision <= EXACT_DIGITS and travel.scale >= 0
        return f"{'DECIMAL' if exact else 'DECIMAL_TEXT'}({travel.precision}, {max(travel.scale, 0)})"
    if pa.types.is_date(travel):
        return "DATE"
    if pa.types.is_timestamp(travel):
        return "TIMESTAMP" if travel.tz is None else "TIMESTAMPTZ"
    if pa.types.is_time(travel):
        return "TIME"
    if pa.types.is_binary(travel) or pa.types.is_large_binary(travel) or pa.types.is_fixed_size_binary(travel):
        return "BLOB"
    if pa.types.is_duration(travel):
        return "INTERVAL"
    if column.meaning in _DECLARED:
        return _DECLARED[column.meaning]
    if column.length and column.meaning == "plain":
        return f"{'CHAR' if column.padded else 'VARCHAR'}({column.length})"
    return "TEXT"


_DECLARED: Final[dict[Meaning, str]] = {
    "decimal": "DECIMAL_TEXT", "interval": "INTERVAL", "json": "JSON_TEXT", "uuid": "UUID",
}  # fmt: skip
