"""How values live in SQLite: declared types, what each of them accepts, and the way to and from Arrow.

SQLite lets any value into any column, so a declared type is a claim. `value_sql` reads only what keeps the claim,
in one storage class; `offence_sql` says why the rest cannot travel; `decode` parses texts and finds what SQL let pass.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Final, Literal

import pyarrow as pa
import pyarrow.compute as pc

from transforms.vocabulary import DATE_INFINITY, TIMESTAMP_INFINITY, ColumnShape, DataError, Meaning

Kind = Literal[
    "integer", "boolean", "real", "text", "binary", "decimal", "number", "date", "timestamp", "moment", "time",
    "uuid", "json",
]  # fmt: skip
Texts = pa.StringArray

EXACT_DIGITS: Final = 15  # a decimal of so many digits survives SQLite's floating point; one more may not
INFINITIES: Final = ("infinity", "-infinity")
_MICROSECONDS: Final = pa.timestamp("us")
_PLAIN: Final[dict[Kind, pa.DataType]] = {
    "integer": pa.int64(), "boolean": pa.bool_(), "real": pa.float64(), "text": pa.string(), "binary": pa.binary(),
    "number": pa.string(), "date": pa.date32(), "timestamp": _MICROSECONDS, "moment": pa.timestamp("us", "UTC"),
    "time": pa.time64("us"), "uuid": pa.string(), "json": pa.string(),
}  # fmt: skip
_MEANING: Final[dict[Kind, Meaning]] = {"number": "decimal", "uuid": "uuid", "json": "json"}
_NOUN: Final[dict[Kind, str]] = {
    "integer": "an integer", "boolean": "a boolean (0 or 1)", "real": "a number that a float can hold",
    "text": "text", "binary": "a blob", "decimal": "a number", "number": "a number", "date": "a date (YYYY-MM-DD)",
    "timestamp": "a timestamp (YYYY-MM-DD HH:MM:SS, at most microseconds, without a zone)",
    "moment": "a timestamp with its offset from UTC", "time": "a time of day", "uuid": "a UUID", "json": "JSON",
}  # fmt: skip
_BEGINNINGS: Final[tuple[tuple[str, Kind], ...]] = (
    ("DECIMAL_TEXT", "decimal"), ("JSON", "json"), ("UUID", "uuid"), ("TIMESTAMPTZ", "moment"),
    ("TIMESTAMP WITH TIME ZONE", "moment"), ("TIMESTAMP", "timestamp"), ("DATETIME", "timestamp"), ("DATE", "date"),
    ("TIME", "time"), ("INTERVAL", "text"), ("POINT", "text"),
)  # fmt: skip
_PARTS: Final[tuple[tuple[str, Kind], ...]] = (
    ("INT", "integer"), ("BOOL", "boolean"), ("CHAR", "text"), ("CLOB", "text"), ("TEXT", "text"), ("BLOB", "binary"),
    ("BINARY", "binary"), ("REAL", "real"), ("FLOA", "real"), ("DOUB", "real"), ("DECIMAL", "decimal"),
    ("NUM", "decimal"),
)  # fmt: skip


def kind_of(native: str) -> Kind:
    """What a declared type claims to hold."""
    name = native.upper().strip()
    kind = next((kind for start, kind in _BEGINNINGS if name.startswith(start)), None)
    kind = kind or next((kind for part, kind in _PARTS if part in name), "text")
    return "number" if kind == "decimal" and _digits(native) is None else kind


def _digits(native: str) -> tuple[int, int] | None:
    found = re.search(r"\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)", native)
    precision, scale = (int(found[1]), int(found[2] or 0)) if found else (0, 0)
    return (precision, scale) if 0 < precision <= 76 and scale <= precision else None


def travel_of(native: str) -> tuple[pa.DataType, Meaning]:
    """The travel type of a declared type, and what its texts stand for."""
    kind, digits = kind_of(native), _digits(native)
    if kind == "decimal" and digits:
        return (pa.decimal128 if digits[0] <= 38 else pa.decimal256)(*digits), "plain"
    return _PLAIN[kind], _MEANING.get(kind, "plain")


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
    "decimal": "typeof({c}) IN ('integer', 'real', 'text')",
    "number": "typeof({c}) IN ('integer', 'real', 'text')",
    "json": "typeof({c}) IN ('integer', 'real') OR (typeof({c})='text' AND json_valid({c}))",
}
# A float's 15 digits are the decimal that was stored, where they lead back to the same float.
_EXACT: Final = (
    "CASE typeof({c}) WHEN 'integer' THEN CAST({c} AS TEXT) WHEN 'real' THEN"
    " CASE WHEN CAST(printf('%!.15g', {c}) AS REAL)={c} THEN printf('%!.15g', {c}) ELSE printf('%!.17g', {c}) END"
    " ELSE {c} END"
)
_TAKE: Final[dict[Kind, str]] = {"real": "CAST({c} AS REAL)", "decimal": _EXACT, "number": _EXACT, "json": _EXACT}
_SAMPLE: Final[dict[Kind, str]] = {"integer": "0", "boolean": "0", "real": "0.0", "binary": "x''"}


def _fits(kind: Kind, c: str) -> str:
    return _FITS.get(kind, "typeof({c})='text'").format(c=c)


def value_sql(native: str, name: str) -> str:
    """The column's value in one storage class, NULL where it breaks the claim of its declared type."""
    kind, c = kind_of(native), quoted(name)
    return f"CASE WHEN {_fits(kind, c)} THEN {_TAKE.get(kind, '{c}').format(c=c)} END"


def sample_sql(native: str) -> str:
    """A literal in the storage class of `value_sql`: it fixes the type of an Arrow column before the first row."""
    return _SAMPLE.get(kind_of(native), "''")


def offence_sql(columns: list[ColumnShape]) -> str:
    """Why a row cannot travel, NULL where it can; the first offending column speaks."""
    cases = []
    for column in columns:
        kind, c = kind_of(column.native), quoted(column.name)
        shown = (
            f"CASE typeof({c}) WHEN 'text' THEN 'text ''' || substr({c}, 1, 40) || ''''"
            f" WHEN 'blob' THEN 'a blob of ' || length({c}) || ' bytes' ELSE typeof({c}) || ' ' || {c} END"
        )
        reason = f"{literal(f'column {column.name}: ')} || {shown} || {literal(f' is not {_NOUN[kind]}')}"
        cases.append(f"WHEN {c} IS NOT NULL AND NOT ({_fits(kind, c)}) THEN {reason}")
    return f"CASE {' '.join(cases)} END" if cases else "NULL"


def clean_sql(native: str, name: str, style: Style) -> str:
    """True for values whose stored form orders and compares as their travel form does."""
    kind, c = kind_of(native), quoted(name)
    return f"{c} IS NULL OR ({_fits(kind, c)}{style.condition(kind, c)})"


def raw_order(native: str) -> bool:
    """The stored form orders as the travel form does, for clean values."""
    kind, digits = kind_of(native), _digits(native)
    if kind == "decimal":
        return not text_affinity(native) and digits is not None and digits[0] <= EXACT_DIGITS
    return kind not in ("number", "json")


def sort_sql(native: str, name: str) -> str:
    """An expression that orders any stored forms as their travel form does; `sort_value` is its Python side."""
    kind, c = kind_of(native), quoted(name)
    if kind == "date":
        return f"substr({value_sql(native, name)}, 1, 10)"
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
        return _sortable_decimal(f"({value_sql(native, name)})")
    return value_sql(native, name)


def _sortable_decimal(x: str) -> str:
    """Digits padded to one width behind a sign; those of negative numbers mirrored, so that text order is theirs."""
    zeros = "0" * 76
    bare = f"ltrim({x}, '+-')"
    point = f"instr({bare} || '.', '.')"
    whole = f"substr('{zeros}' || substr({bare}, 1, {point} - 1), -76)"
    digits = f"{whole} || substr(substr({bare}, {point} + 1) || '{zeros}', 1, 76)"
    mirrored = digits
    for digit in "0123456789":
        mirrored = f"replace({mirrored}, '{digit}', '{_MIRROR[digit]}')"
    negative = f"substr({x}, 1, 1)='-' AND trim({x}, '-0.')<>''"
    return f"CASE WHEN {x} IS NULL THEN NULL WHEN {negative} THEN '0' || {mirrored} ELSE '1' || {digits} END"


_MIRROR: Final = dict(zip("0123456789", "jihgfedcba", strict=True))


def sort_value(native: str, value: Any) -> Any:
    """What a Python value must become to be compared with `sort_sql`."""
    kind, (travel, _) = kind_of(native), travel_of(native)
    if kind in ("timestamp", "moment", "time"):
        return pa.scalar(value, travel).cast(pa.int64()).as_py()
    if kind == "uuid":
        return str(value).replace("-", "").lower()
    if kind == "decimal":
        whole, _, fraction = format(abs(value), "f").partition(".")
        digits = whole.rjust(76, "0") + fraction.ljust(76, "0")
        return "0" + "".join(_MIRROR[each] for each in digits) if value < 0 else "1" + digits
    return stored_value(native, value, Style())


def decode(column: ColumnShape, values: pa.Array) -> tuple[pa.Array, dict[int, str]]:
    """The travel form of what `value_sql` gave, and the reasons of the rows where it has none."""
    kind = kind_of(column.native)
    if kind in ("integer", "real", "binary"):
        return values, {}
    if kind == "boolean":
        return values.cast(pa.bool_()), {}
    parse = _PARSERS.get(kind, _unicode)
    parsed, offenders = _parsed(values, lambda texts: parse(texts, column.type), column.type)
    return parsed, {row: _reason(column, kind, values[row]) for row in offenders}


def _reason(column: ColumnShape, kind: Kind, value: pa.Scalar) -> str:
    stored = value.cast(pa.binary()).as_py()
    noun = "valid UTF-8" if kind == "text" else f"a {column.type}" if kind == "decimal" else _NOUN[kind]
    return f"column {column.name}: text {shown(stored[:40])} is not {noun}"


def shown(stored: bytes) -> str:
    """Bytes for a message; what is not UTF-8 is written as escapes."""
    return "'" + stored.decode("utf-8", "backslashreplace") + "'"


def _parsed(
    texts: Texts, parse: Callable[[Texts], pa.Array], travel: pa.DataType, first: int = 0
) -> tuple[pa.Array, list[int]]:
    """Parse all at once; where that fails, halve until the offenders stand alone. They become null."""
    try:
        return parse(texts), []
    except (pa.ArrowInvalid, UnicodeDecodeError):
        if len(texts) == 1:
            return pa.nulls(1, travel), [first]
    middle = len(texts) // 2
    left, left_out = _parsed(texts[:middle], parse, travel, first)
    right, right_out = _parsed(texts[middle:], parse, travel, first + middle)
    return pa.concat_arrays([left, right]), left_out + right_out


def _unicode(texts: Texts, _: pa.DataType) -> pa.Array:
    return texts.cast(pa.binary()).cast(pa.string())


def _finite(texts: Texts, travel: pa.DataType, infinity: int, parse: Callable[[Texts], pa.Array]) -> pa.Array:
    """Parse what is finite, and put the conventional numbers for infinity into the rest."""
    try:
        return parse(texts)
    except pa.ArrowInvalid:
        most, least = (pc.equal(texts, each) for each in INFINITIES)
        endless = pc.or_(most, least)
        if not pc.any(endless).as_py():
            raise
        whole = pa.int32() if travel == pa.date32() else pa.int64()
        numbers = parse(pc.if_else(endless, None, texts)).view(whole)
        numbers = pc.if_else(most, pa.scalar(infinity, whole), numbers)
        return pc.if_else(least, pa.scalar(-infinity, whole), numbers).view(travel)


def _days(texts: Texts) -> pa.Array:
    try:
        return texts.cast(pa.date32())
    except pa.ArrowInvalid:
        return texts.cast(_MICROSECONDS).cast(pa.date32())  # midnight is a date; any other time is an error


def _date(texts: Texts, travel: pa.DataType) -> pa.Array:
    return _finite(texts, travel, DATE_INFINITY, _days)


def _instant(texts: Texts, travel: pa.DataType) -> pa.Array:
    return _finite(texts, travel, TIMESTAMP_INFINITY, lambda finite: finite.cast(travel))


def _time(texts: Texts, travel: pa.DataType) -> pa.Array:
    return pc.binary_join_element_wise("1970-01-01", texts, "T").cast(_MICROSECONDS).cast(travel)


def _all_match(texts: Texts, pattern: str) -> None:
    if not pc.all(pc.match_substring_regex(texts, pattern), min_count=0).as_py():
        raise pa.ArrowInvalid(f"not {pattern}")


def _uuid(texts: Texts, _: pa.DataType) -> pa.Array:
    bare = pc.utf8_lower(pc.replace_substring(texts, "-", ""))
    _all_match(bare, "^[0-9a-f]{32}$")
    return pc.replace_substring_regex(bare, "^(.{8})(.{4})(.{4})(.{4})(.{12})$", r"\1-\2-\3-\4-\5")


def _number(texts: Texts, _: pa.DataType) -> pa.Array:
    _all_match(texts, r"^([+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]+)?|NaN|-?Infinity)$")
    return texts


def _decimal(texts: Texts, travel: pa.DataType) -> pa.Array:
    return texts.cast(travel)


_PARSERS: Final[dict[Kind, Callable[[Texts, pa.DataType], pa.Array]]] = {
    "date": _date, "timestamp": _instant, "moment": _instant, "time": _time, "uuid": _uuid, "number": _number,
    "decimal": _decimal,
}  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------------
# Writing


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


def stored_value(native: str, value: Any, style: Style) -> Any:
    """One Python value of the travel type as the column would store it."""
    travel, meaning = travel_of(native)
    shape = ColumnShape("", travel, native, meaning=meaning)
    return encode(shape, pa.array([value], travel), style)[0].as_py()


def encode(column: ColumnShape, values: pa.Array, style: Style) -> pa.Array:
    """The stored form of travel values. DataError, naming the column, for a value that SQLite would alter."""
    kind = kind_of(column.native)
    if kind == "boolean":
        return values.cast(pa.int64())
    if kind == "real":
        if pc.any(pc.is_nan(values)).as_py():
            raise DataError(f"Column {column.name}: SQLite would store NaN as NULL. Fix: map NaN to a value or to null.")
        return values
    if kind == "date":
        return _endless(column, values, DATE_INFINITY, lambda days: days.cast(pa.string()))
    if kind in ("timestamp", "moment"):
        return _endless(column, values, TIMESTAMP_INFINITY, lambda each: _spelled(each, kind, style))
    if kind == "time":
        return _spelled(values, kind, style)
    if kind == "decimal":
        return _exact(column, decimal_text(values))
    if kind in ("number", "json"):
        return _exact(column, values)
    if kind == "uuid":
        texts = values if style.dashes else pc.replace_substring(values, "-", "")
        return pc.utf8_upper(texts) if style.upper else pc.utf8_lower(texts)
    return values


def _spelled(values: pa.Array, kind: Kind, style: Style) -> pa.Array:
    texts = values.cast(pa.string())  # YYYY-MM-DD HH:MM:SS.ffffff, with a Z where there is a zone
    if style.digits == 3:
        texts = pc.replace_substring_regex(texts, r"(\.\d{3})000(Z?)$", r"\1\2")
    elif style.digits == 0:
        texts = pc.replace_substring_regex(texts, r"\.000000(Z?)$", r"\1")
    if style.separator != " ":
        texts = pc.replace_substring(texts, " ", style.separator)
    return pc.replace_substring(texts, "Z", style.suffix) if kind == "moment" else texts


def _endless(column: ColumnShape, values: pa.Array, infinity: int, spell: Callable[[pa.Array], pa.Array]) -> pa.Array:
    whole = pa.int32() if column.type == pa.date32() else pa.int64()
    most, least = (pc.equal(values.view(whole), sign * infinity) for sign in (1, -1))
    endless = pc.or_(most, least)
    years = pc.year(pc.if_else(endless, None, values))
    if pc.any(pc.or_(pc.less(years, 0), pc.greater(years, 9999))).as_py():
        raise DataError(
            f"Column {column.name}: SQLite's dates end with the years 0000 and 9999. Fix: map or quarantine the others."
        )
    texts = spell(pc.if_else(endless, None, values))
    return pc.if_else(most, INFINITIES[0], pc.if_else(least, INFINITIES[1], texts))


def decimal_text(values: pa.Array) -> pa.Array:
    """Decimals as plain digits with all their places: never an exponent."""
    wide, scale = pa.types.is_decimal256(values.type), values.type.scale
    if not scale:
        return values.cast(pa.string())
    whole = pa.decimal256(76, 0) if wide else pa.decimal128(38, 0)
    places = pa.Array.from_buffers(whole, len(values), values.buffers(), values.null_count, values.offset)
    texts = places.cast(pa.string())
    digits = pc.utf8_lpad(pc.utf8_ltrim(texts, "-"), scale + 1, "0")
    sign = pc.if_else(pc.starts_with(texts, "-"), "-", "")
    before = pc.utf8_slice_codeunits(digits, 0, -scale)
    return pc.binary_join_element_wise(sign, before, ".", pc.utf8_slice_codeunits(digits, -scale), "")


def _exact(column: ColumnShape, texts: pa.Array) -> pa.Array:
    """Texts that a numeric column keeps exactly; anything goes where the column keeps texts as they are."""
    if text_affinity(column.native):
        return texts
    numbers = pc.replace_substring_regex(texts, r"^(-?\d+)(\.0*|(\.\d*[1-9])0*)$", r"\1\3")
    digits = pc.replace_substring_regex(pc.replace_substring_regex(numbers, r"[-+.]|[eE].*$", ""), "^0+", "")
    numeric = pc.match_substring_regex(texts, r"^\s*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?\s*$")
    whole = pc.match_substring_regex(numbers, r"^-?\d{1,18}$")
    lost = pc.and_(numeric, pc.and_not(pc.greater(pc.utf8_length(digits), EXACT_DIGITS), whole))
    if pc.any(lost).as_py():
        value = texts.filter(lost)[0].as_py()
        raise DataError(
            f"Column {column.name}: SQLite's {column.native} would round {value}, which has more than {EXACT_DIGITS}"
            f" digits. Fix: declare the column as DECIMAL_TEXT(precision, scale), which keeps it exactly."
        )
    return pc.if_else(numeric, numbers, texts)
