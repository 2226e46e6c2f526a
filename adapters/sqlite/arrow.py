"""SQLite's values in Arrow: parsing what a query gave, and the stored form of what is written."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.sql.json_texts import doubtful
from adapters.sql.staged_apply import as_travel
from adapters.sqlite.connection import Connection
from adapters.sqlite.types import (
    EXACT_DIGITS,
    INFINITIES,
    MIRROR,
    NOUN,
    Kind,
    Style,
    kind_of,
    text_affinity,
    travel_of,
    value_sql,
)
from transforms.vocabulary import DATE_INFINITY, TIMESTAMP_INFINITY, ColumnShape, DataError, Meaning, unread
from transforms.vocabulary.decimals import decimals
from transforms.vocabulary.texts import decimal_text, one_number_one_text

Texts = Any  # an Arrow array of strings
_MICROSECONDS: Final = pa.timestamp("us")
SAFE_LENGTH: Final = 300  # of a number in plain digits: a longer one may be too large or too small for a float
NUMERIC: Final = r"^[\s\v]*[-+]?(\d+\.?\d*|\.\d+)([eE][-+]?\d+)?[\s\v]*$"
"""A text of which a numeric column makes a number."""
ROUND_TRIP: Final = r"^(?:0|-?[1-9]\d{0,17})$"
"""A whole number in the one spelling in which SQLite gives it back."""
INTERVAL: Final = r"^((-?\d+ years?)?( ?[+-]?\d+ mons?)?( ?[+-]?\d+ days?)?( ?[+-]?\d{2,10}:[0-5]\d:[0-5]\d(\.\d{1,6})?)?|-?infinity)$"
"""A span of time as PostgreSQL writes it; the empty text, which it takes too, is none."""


def decode(column: ColumnShape, values: pa.Array) -> tuple[pa.Array, dict[int, str]]:
    """The travel form of what `value_sql` gave, and the reasons of the rows where it has none."""
    kind = kind_of(column.native)
    if kind in ("integer", "real", "binary"):
        return values, {}
    if kind == "boolean":
        return values.cast(pa.bool_()), {}
    if kind == "fixed":
        return _from_floats(column, values)
    parse = _PARSERS.get(kind, _unicode)
    parsed, offenders = _parsed(values, lambda texts: parse(texts, column.type), column.type)
    return parsed, {row: _reason(column, kind, values[row]) for row in offenders}


def _reason(column: ColumnShape, kind: Kind, value: pa.Scalar) -> str:
    text = shown(value.cast(pa.binary()).as_py()[:40])
    if kind in ("text", "loose"):
        return unread("undecodable", column.name, text, stored="text", charset="UTF-8")
    wanted = f"a {_number_name(column)}" if kind == "decimal" else NOUN[kind]
    return unread("wrong_type", column.name, text, stored="text", type=wanted)


def offence(columns: Sequence[ColumnShape], found: bytes) -> str:
    """Why a row cannot travel, of what `offence_sql` gave: the column's place, the storage class, and what is stored."""
    place, stored, value = found.split(b":", 2)
    column, kind, text = columns[int(place)], stored.decode(), shown(value)
    wanted = NOUN[kind_of(column.native)]
    if kind == "text":
        return unread("wrong_type", column.name, text, stored=kind, type=wanted)
    text = f"a blob of {text} bytes" if kind == "blob" else f"{kind} {text}"
    return unread("wrong_type", column.name, text, type=wanted)


def compared(collation: str | None, values: pa.ChunkedArray) -> pa.Array:
    """Texts as a unique index with that collation compares them; one of another program's is not known here."""
    whole = values.combine_chunks()
    match (collation or "").upper():
        case "NOCASE":
            return pc.ascii_lower(whole)
        case "RTRIM":
            return pc.utf8_rtrim(whole, characters=" ")
    return whole


def _number_name(column: ColumnShape) -> str:
    return f"numeric({column.type.precision},{column.type.scale})"


def shown(stored: bytes) -> str:
    """Bytes for a message; what is not UTF-8 is written as escapes."""
    return stored.decode("utf-8", "backslashreplace")


def _from_floats(column: ColumnShape, values: pa.Array) -> tuple[pa.Array, dict[int, str]]:
    """Decimals of up to 15 digits out of the floats nearest to them; other floats do not fit."""
    travel = column.type
    floats = values.fill_null(0.0).to_numpy()
    power = 10.0**travel.scale
    with np.errstate(over="ignore", invalid="ignore"):
        whole = np.rint(floats * power)
        fits = (np.abs(whole) < 10.0**travel.precision) & (whole / power == floats)
    places = pa.array(np.where(fits, whole, 0).astype(np.int64)).cast(pa.decimal128(19, 0))
    decimals = pa.Array.from_buffers(travel, len(places), places.buffers())
    wanted, bad = f"a {_number_name(column)}", np.flatnonzero(~fits).tolist()
    offenders = {row: unread("wrong_type", column.name, str(floats[row]), type=wanted) for row in bad}
    if offenders or values.null_count:
        decimals = pc.if_else(pc.and_(pa.array(fits), values.is_valid()), decimals, None)
    return decimals, offenders


def _floats(values: pa.Array) -> pa.Array:
    """The floats nearest to decimals of up to 15 digits; division rounds correctly, Arrow's own cast does not."""
    places = pa.Array.from_buffers(
        pa.decimal128(38, 0), len(values), values.buffers(), values.null_count, values.offset
    )
    whole = places.cast(pa.int64())
    return pa.array(
        whole.fill_null(0).to_numpy() / 10.0**values.type.scale,
        mask=None if not values.null_count else values.is_null().to_numpy(zero_copy_only=False),
    )


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
        moments = texts.cast(_MICROSECONDS)
        days = moments.cast(pa.date32())
        if not days.cast(_MICROSECONDS).equals(moments):
            raise pa.ArrowInvalid("midnight is a date; any other time is none") from None
        return days


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
    _all_match(texts, r"^([+-]?([0-9]+\.?[0-9]*|\.[0-9]+)([eE][+-]?[0-9]{1,5})?|NaN|-?Infinity)$")
    return one_number_one_text(texts)


def _interval(texts: Texts, _: pa.DataType) -> pa.Array:
    _all_match(texts, INTERVAL)
    _all_match(texts, ".")
    return _unicode(texts, _)


_PARSERS: Final[dict[Kind, Callable[[Texts, pa.DataType], pa.Array]]] = {
    "date": _date, "timestamp": _instant, "moment": _instant, "time": _time, "uuid": _uuid, "number": _number,
    "decimal": decimals, "interval": _interval,
}  # fmt: skip


# ---------------------------------------------------------------------------------------------------------------------
# Writing


def stored_value(native: str, value: Any, style: Style) -> Any:
    """One Python value of the travel type as the column would store it."""
    travel, meaning = travel_of(native)
    shape = ColumnShape("", travel, native, meaning=meaning)
    return encode(shape, pa.array([as_travel(value, travel)], travel), style)[0].as_py()


def encode(column: ColumnShape, values: pa.Array, style: Style) -> pa.Array:
    """The stored form of travel values. DataError, naming the column, for a value that SQLite would alter."""
    kind = kind_of(column.native)
    if kind == "boolean":
        return values.cast(pa.int64())
    if kind == "real":
        if pc.any(pc.is_nan(values)).as_py():
            raise DataError(
                f"Column {column.name}: SQLite would store NaN as NULL.", fix="map NaN to a value or to null."
            )
        return values
    if kind == "date":
        return _endless(column, values, DATE_INFINITY, lambda days: days.cast(pa.string()))
    if kind in ("timestamp", "moment"):
        return _endless(column, values, TIMESTAMP_INFINITY, lambda each: _spelled(each, kind, style))
    if kind == "time":
        return _spelled(values, kind, style)
    if kind == "fixed":
        return _floats(values)
    if kind == "decimal":
        return _exact(column, decimal_text(values, trim=False))
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
            f"Column {column.name}: SQLite's dates end with the years 0000 and 9999.",
            fix="map or quarantine the others.",
        )
    texts = spell(pc.if_else(endless, None, values))
    return pc.if_else(most, INFINITIES[0], pc.if_else(least, INFINITIES[1], texts))


def _exact(column: ColumnShape, texts: pa.Array) -> pa.Array:
    """Texts that a numeric column keeps exactly; anything goes where the column keeps texts as they are."""
    if text_affinity(column.native):
        return texts
    numeric, numbers, lost = _numeric(texts)
    if pc.any(lost).as_py():
        value = texts.filter(lost)[0].as_py()
        raise DataError(
            f"Column {column.name}: SQLite's {column.native} would round {value}, which has more than {EXACT_DIGITS}"
            f" digits.",
            fix="declare the column as DECIMAL_TEXT(precision, scale), which keeps it exactly.",
        )
    return pc.if_else(numeric, numbers, texts)


def _numeric(texts: pa.Array) -> tuple[pa.Array, pa.Array, pa.Array]:
    """Where a numeric column would make a number of a text, the shortest of those, and where it would round one."""
    numbers = pc.replace_substring_regex(texts, r"^(-?\d+)(\.0*|(\.\d*[1-9])0*)$", r"\1\3")
    numeric = pc.match_substring_regex(texts, NUMERIC)
    digits = pc.replace_substring_regex(pc.replace_substring(numbers, ".", ""), "^[-+]?0*", "")
    long = pc.or_(pc.greater(pc.binary_length(digits), EXACT_DIGITS), pc.greater(pc.binary_length(texts), SAFE_LENGTH))
    asked = pc.fill_null(pc.and_(numeric, pc.or_(long, pc.match_substring_regex(texts, "[eE]"))), False)
    return numeric, numbers, pc.replace_with_mask(asked, asked, _rounded(numbers.filter(asked)))


def _rounded(asked: pa.Array) -> pa.Array:
    """Where SQLite itself, in memory, gives back another number."""
    return pc.not_equal(one_number_one_text(_given_back(asked)), one_number_one_text(pc.utf8_trim_whitespace(asked)))


def _given_back(texts: pa.Array) -> pa.Array:
    """What a numeric column of SQLite, in memory, makes of texts, read as a text."""
    if not len(texts):
        return texts
    connection = Connection(Path(), "memory")
    try:
        connection.ingest("given", pa.table({"n": range(len(texts)), "v": texts}), temporary=True)
        connection.ask("CREATE TEMP TABLE stored (n INTEGER, v NUMERIC)")
        connection.ask("INSERT INTO stored SELECT n, v FROM given")
        return connection.ask(f"SELECT {value_sql('NUMERIC', 'v')} AS v FROM stored ORDER BY n")["v"].combine_chunks()  # noqa: S608
    finally:
        connection.close()


def kept(column: ColumnShape, values: pa.Array, known: Meaning = "plain") -> pa.Array:
    """What the column gives back for values, null for those that it would round or that break its type's claim."""
    kind = kind_of(column.native)
    good = None
    if kind in ("decimal", "number", "json") and not text_affinity(column.native):
        good = pc.invert(_numeric(decimal_text(values, trim=False) if kind == "decimal" else values)[2])
    if kind == "interval":
        good = pc.and_(pc.match_substring_regex(values, INTERVAL), pc.not_equal(values, ""))
    if kind == "loose":
        numeric, spelled = (pc.match_substring_regex(values, each) for each in (NUMERIC, ROUND_TRIP))
        asked = pc.fill_null(pc.and_not(numeric, spelled), False)
        few = values.filter(asked)
        good = pc.replace_with_mask(pa.repeat(True, len(values)), asked, pc.equal(_given_back(few), few))
    if kind == "json":
        read = _valid_json(values, known)
        good = read if good is None else pc.and_(good, read)
    return values if good is None else pc.if_else(good, values, pa.scalar(None, values.type))


def _valid_json(texts: pa.Array, known: Meaning) -> pa.Array:
    """Where SQLite reads a text as JSON. In: `known` "json" for texts that another engine did."""
    if known == "json":
        doubt = doubtful(texts)
        asked = texts.filter(doubt)
        return pc.replace_with_mask(pa.repeat(True, len(texts)), doubt, _valid_json(asked, "plain"))
    connection = Connection(Path(), "memory")
    try:
        connection.ingest("given", pa.table({"n": range(len(texts)), "v": texts}), temporary=True)
        told = connection.ask("SELECT json_valid(v) AS good FROM given ORDER BY n")["good"]
        return told.cast(pa.bool_()).combine_chunks()
    finally:
        connection.close()


def sort_value(native: str, value: Any) -> Any:
    """What a Python value must become to be compared with `sort_sql`."""
    kind, (travel, _) = kind_of(native), travel_of(native)
    if kind in ("timestamp", "moment", "time"):
        return pa.scalar(as_travel(value, travel), travel).cast(pa.int64()).as_py()
    if kind == "uuid":
        return str(value).replace("-", "").lower()
    if kind == "decimal":
        whole, _, fraction = format(abs(value), "f").partition(".")
        digits = whole.rjust(76, "0") + fraction.ljust(76, "0")
        return "0" + "".join(MIRROR[each] for each in digits) if value < 0 else "1" + digits
    return stored_value(native, value, Style())
