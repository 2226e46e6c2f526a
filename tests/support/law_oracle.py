"""What a column of an engine holds, reckoned here a second time and without Syncline; None where only the engine knows."""

from __future__ import annotations

import re
import struct
from datetime import date, datetime
from decimal import Decimal
from typing import Any

from scenario import Engine
from type_samples import Family
from type_values import days

DAY = 86_400_000_000
FIRST_PG = days(-4713, 11, 24) * DAY
LAST_MICROSECOND = 2**63 - 2
YEAR_0, YEAR_1, YEAR_10000 = (days(year, 1, 1) * DAY for year in (0, 1, 10_000))

_WHOLE = {
    "postgresql": {"smallint": 16, "integer": 32, "bigint": 64},
    "duckdb": {"TINYINT": 8, "SMALLINT": 16, "INTEGER": 32, "BIGINT": 64, "HUGEINT": 128},
    "sqlite": {"INTEGER": 64, "BIGINT": 64},
    "mysql": {"tinyint": 8, "smallint": 16, "mediumint": 24, "int": 32, "bigint": 64},
}  # fmt: skip
_UNSIGNED = {"UTINYINT": 8, "USMALLINT": 16, "UINTEGER": 32, "UBIGINT": 64, "UHUGEINT": 128}
_TEXT = {
    "postgresql": ("text",), "duckdb": ("VARCHAR",), "mysql": ("longtext", "mediumtext", "text"),
    "sqlite": ("TEXT", "", "DECIMAL_TEXT"),
}  # fmt: skip
_PADDED = re.compile(r"(char|character)\(\d+\)")
_LIMITED = re.compile(r"(?:varchar|char|character varying|character)\((\d+)\)")
_EXACT = re.compile(r"(?:numeric|decimal|decimal_text)\((\d+),\s*(\d+)\)( unsigned)?", re.I)


def is_padded(engine: Engine, native: str) -> bool:
    return engine != "sqlite" and _PADDED.match(native) is not None


def is_text(native: str) -> bool:
    """Whether a column orders as texts do, whatever its values stand for."""
    return re.sub(r"\(.*", "", native).lower() in ("", "text", "longtext", "varchar", "character varying")


def is_carried(engine: Engine, native: str, family: Family, value: Any) -> bool:
    """Whether Syncline can read it: PostgreSQL's timestamps go on where microseconds of 64 bits end."""
    return family not in ("timestamp", "instant") or isinstance(value, str) or value <= LAST_MICROSECOND


def holds(engine: Engine, native: str, family: Family, value: Any) -> bool | None:
    """Whether a column of that type holds a value of the family, in the form that `type_values.value` gives it."""
    if value is None:
        return True  # whether the column takes nulls is asked elsewhere
    if family not in ("text", "padded") and native in _TEXT[engine]:
        return True
    match family:
        case "number":
            return _number(engine, native, value)
        case "float":
            return _float(engine, native, value)
        case "text" | "padded":
            return _text(engine, native, value)
        case "date" | "timestamp" | "instant":
            return _moment(engine, native, family, value)
        case "time":
            return _finer(native, value) and (engine in ("postgresql", "duckdb", "mysql") or value < DAY)
        case "boolean":
            return True
        case "uuid":  # MariaDB takes none of the oldest variant that has one of the newest versions
            return engine != "mysql" or value[12] in "01234567" or value[16] in "89abcdef"
        case "bytes":
            limit = re.match(r"(?:var)?binary\((\d+)\)", native) if engine == "mysql" else None
            return not limit or (len(value) // 2 <= int(limit[1]) if native.startswith("var") else None)
        case "json":
            return None if native == "JSON" and engine == "sqlite" else True
    return None


DOUBLES = ("double precision", "DOUBLE", "REAL", "double")


def as_double(number: Decimal) -> Decimal:
    """The double that a large whole number, or the shortest text of one, stands for. Others stay as they are."""
    whole = number.is_finite() and number == number.to_integral_value() and 2**53 < abs(number) < 2**1023
    return Decimal(float(number)) if whole else number


def _number(engine: Engine, native: str, value: Any) -> bool | None:
    endless = value == "NaN" or value.is_infinite()
    name = re.sub(r"(?<=int|ear)\(\d+\)", "", native) if engine == "mysql" else native
    plain = name.removesuffix(" unsigned")
    bits = _UNSIGNED.get(native) or _WHOLE[engine].get(plain)
    if bits:
        signed = native not in _UNSIGNED and plain == name
        low, high = (-(2 ** (bits - 1)), 2 ** (bits - 1)) if signed else (0, 2**bits)
        return not endless and value == value.to_integral_value() and low <= value < high
    if found := _EXACT.fullmatch(native):
        precision, scale = int(found[1]), int(found[2])
        if endless:
            return None if value == "NaN" else False
        if found[3] and value < 0:
            return False
        whole, _, fraction = format(value, "f").lstrip("-").partition(".")
        return len(whole.lstrip("0")) <= precision - scale and len(fraction.rstrip("0")) <= scale
    if plain == "year":
        return value == 0 or bool(not endless and value == value.to_integral_value() and 1901 <= value <= 2155)
    if native in ("numeric", "BIGNUM"):
        return engine == "postgresql" or None
    if native in DOUBLES and not endless and value == value.to_integral_value():
        if abs(value) <= 2**53:
            return True
        return False if abs(value) > 2**1023 or Decimal(float(value)) != value else None
    return None


def _float(engine: Engine, native: str, value: Any) -> bool | None:
    if value == "NaN":
        return engine in ("postgresql", "duckdb")
    if abs(value) == float("inf"):
        return engine != "mysql"
    if native in ("real", "FLOAT", "float"):
        try:
            return bool(struct.unpack("f", struct.pack("f", value))[0] == value)
        except OverflowError:
            return False
    return True


def _text(engine: Engine, native: str, value: str) -> bool | None:
    if "\0" in value and engine == "postgresql":
        return False
    if engine == "sqlite":
        return True
    if native.startswith("ENUM("):
        return value in [each.replace("''", "'") for each in re.findall(r"'((?:[^']|'')*)'", native)]
    if found := _LIMITED.fullmatch(native):
        return len(value) <= int(found[1]) or (None if len(value.rstrip(" ")) <= int(found[1]) else False)
    if native == "tinytext":
        return len(value.encode()) <= 255
    return True if native in _TEXT[engine] or native.endswith("citext") else None


def _moment(engine: Engine, native: str, family: Family, value: Any) -> bool | None:
    if isinstance(value, str):
        return engine != "mysql"
    if engine == "sqlite":
        return bool(YEAR_0 <= value < YEAR_10000)
    if engine == "duckdb":
        return _finer(native, value) and (family == "date" or value >= -9_223_372_022_400_000_000)
    if engine == "postgresql":
        return (
            _finer(native, value) and value >= FIRST_PG and (family != "date" or value <= days(5874897, 12, 31) * DAY)
        )
    if native.startswith("timestamp"):
        last = days(2038, 1, 19) * DAY + (3 * 3600 + 14 * 60 + 8) * 1_000_000
        return None if value >= last else _finer(native, value) and value >= 1_000_000
    return _finer(native, value) and bool(YEAR_1 <= value < YEAR_10000)


def _finer(native: str, value: int) -> bool:
    """Whether the column's digits of a second are enough."""
    found = re.search(r"(time|timestamp|datetime)\((\d)\)", native)
    digits = (
        int(found[2])
        if found
        else {"TIMESTAMP_S": 0, "TIMESTAMP_MS": 3, "datetime": 0, "timestamp": 0, "time": 0}.get(native, 6)
    )
    return value % 10 ** (6 - digits) == 0


def spelled(family: Family, value: Any) -> str | None:
    """A value as the end of a range; None where ranges cannot be made of it."""
    match family:
        case "number" if value != "NaN" and value.is_finite():
            return format(value, "f")
        case "text" if (
            value == value.strip() and value and ".." not in value and "\0" not in value and not value.startswith(".")
        ):
            return None if value.endswith(".") else str(value)
        case "date" if not isinstance(value, str) and YEAR_1 <= value < YEAR_10000:
            return str(date.fromordinal(value // DAY + date(1970, 1, 1).toordinal()))
        case "timestamp" | "instant" if not isinstance(value, str) and YEAR_1 <= value < YEAR_10000:
            at = datetime.fromordinal(value // DAY + date(1970, 1, 1).toordinal())
            micros = value % DAY
            clock = f"{micros // 3_600_000_000:02}:{micros // 60_000_000 % 60:02}:{micros // 1_000_000 % 60:02}.{micros % 1_000_000:06}"
            return f"{at:%Y}".rjust(4, "0") + f"-{at:%m-%d} {clock}" + ("+00:00" if family == "instant" else "")
    return None


def rank(family: Family, value: Any) -> Any:
    """A value by which ranges compare: texts in binary order, infinity behind everything."""
    if family == "text":
        return value.encode()
    if isinstance(value, str):  # infinity, -infinity, NaN
        return Decimal("-Infinity") if value.startswith("-") else Decimal("Infinity")
    return Decimal(value)
