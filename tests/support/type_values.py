"""Values as the engines' own drivers tell them, brought to one form in which what is equal is equal."""

from __future__ import annotations

import json
import re
from collections.abc import Sequence
from decimal import Decimal
from typing import Any

from scenario import Side
from type_samples import Family

DAYS_OF_400_YEARS = 146_097


def quoted(name: str) -> str:
    return '"' + name.replace('"', '""') + '"'


def told(side: Side, table: str, columns: Sequence[str]) -> dict[int, dict[str, str | None]]:
    """The rows of a table by their id, every value as text."""
    rows = texts(side, table, ["id", *columns])
    return {int(str(row[0])): dict(zip(columns, row[1:], strict=True)) for row in rows}


def texts(side: Side, table: str, columns: Sequence[str]) -> list[tuple[str | None, ...]]:
    """The rows of a table, every value as text. Floats are widened first, bytes are hexadecimal."""
    natives = declared(side, table)
    shown = [_shown(side.engine, natives[name], quoted(name)) for name in columns]
    text = {"sqlite": _sqlite_text, "mysql": _mysql_text}.get(side.engine, _text)
    with side.connected() as run:
        if side.engine in ("postgresql", "duckdb"):
            run("SET TimeZone = 'UTC'")
        rows = run(f"SELECT {', '.join(shown)} FROM {quoted(table)}").fetchall()
    return [tuple(map(text, row)) for row in rows]


def declared(side: Side, table: str) -> dict[str, str]:
    """The type of each column in its engine's own words."""
    if side.engine == "sqlite":
        return dict(side.ask(f"SELECT name, type FROM pragma_table_info('{table}')"))
    if side.engine == "duckdb":
        return dict(side.ask(f"SELECT column_name, data_type FROM duckdb_columns() WHERE table_name = '{table}'"))
    if side.engine == "mysql":
        charset = "if(character_set_name <> 'utf8mb4', concat(' CHARACTER SET ', character_set_name), '')"
        query = f"SELECT column_name, concat(column_type, coalesce({charset}, '')) FROM information_schema.columns"
        query += f" WHERE table_schema = database() AND table_name = '{table}' ORDER BY ordinal_position"
        return dict(side.ask(query))
    query = "SELECT attname::text, format_type(atttypid, atttypmod) FROM pg_attribute WHERE attrelid = '{}'::regclass AND attnum > 0"
    return dict(side.ask(query.format(quoted(table))))


def _shown(engine: str, native: str, column: str) -> str:
    if engine == "postgresql":
        if native == "bytea":
            return f"encode({column}, 'hex')"
        return f"{column}::float8::text" if native == "real" else f"{column}::text"
    if engine == "duckdb":
        if native == "BLOB":
            return f"hex({column})"
        return f"{column}::DOUBLE::VARCHAR" if native == "FLOAT" else f"{column}::VARCHAR"
    if engine == "mysql":
        if native.startswith(("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob")):
            return f"hex({column})"
        if native.startswith(("float", "double")):
            return f"{column} + 0e0"
        return f"CAST({column} + 0 AS CHAR)" if native.startswith("bit") else f"CAST({column} AS CHAR)"
    kind = f"CASE typeof({column}) WHEN 'text' THEN 't' WHEN 'blob' THEN 'b' END"
    return f"coalesce({kind} || hex({column}), {column})"


def _sqlite_text(found: Any) -> str | None:
    """Texts and blobs come as their bytes, because a text may hold anything."""
    if isinstance(found, str):
        return bytes.fromhex(found[1:]).decode("utf-8", "replace") if found[0] == "t" else found[1:]
    return repr(found) if isinstance(found, float) else None if found is None else str(found)


def _text(found: Any) -> str | None:
    return None if found is None else str(found)


def _mysql_text(found: Any) -> str | None:
    return repr(found) if isinstance(found, float) else None if found is None else str(found)


def value(family: Family, text: str | None) -> Any:
    """What a text of either side stands for."""
    if text is None:
        return None
    match family:
        case "number":
            number = Decimal(text)
            return "NaN" if number.is_nan() else number
        case "float":
            return "NaN" if text.lower() == "nan" else float(text)
        case "boolean":
            return text.lower() in ("t", "true", "1")
        case "padded":
            return text.rstrip(" ")
        case "bytes":
            return text.lower()
        case "uuid":
            return text.lower().replace("-", "")
        case "json":
            return "json", json_value(text)  # JSON's null is not SQL's
        case "interval":
            return interval(text)
        case "date" | "timestamp" | "instant" | "time":
            return moment(text, family)
    return text


def json_value(text: str) -> Any:
    """JSON as a value that can be a key: objects are sets of pairs, true is no 1, and every digit counts."""

    def frozen(found: Any) -> Any:
        if isinstance(found, dict):
            return "object", frozenset((name, frozen(each)) for name, each in found.items())
        if isinstance(found, list):
            return "array", tuple(map(frozen, found))
        return ("boolean", found) if isinstance(found, bool) else found

    return frozen(json.loads(text, parse_float=Decimal, parse_int=Decimal))


_MOMENT = re.compile(
    r"(?:(?P<year>-?\d+)-(?P<month>\d\d)-(?P<day>\d\d))?(?P<bc> \(BC\))?[ T]?"
    r"(?:(?P<h>\d+):(?P<m>\d\d)(?::(?P<s>\d\d)(?:\.(?P<f>\d+))?)?)?"
    r"(?:(?P<z>Z)|(?P<zs>[+-])(?P<zh>\d\d)(?::?(?P<zm>\d\d))?)?(?P<era> BC)?"
)


def moment(text: str, family: Family) -> Any:
    """Microseconds since 1970, or of the day, whatever the calendar's year; infinity is itself."""
    if "infinity" in text:
        return text
    part = _MOMENT.fullmatch(text)
    assert part, text
    clock = (int(part["h"] or 0) * 60 + int(part["m"] or 0)) * 60 + int(part["s"] or 0)
    micros = clock * 1_000_000 + int((part["f"] or "").ljust(6, "0"))
    if family == "time":
        return micros
    year = int(part["year"])
    if part["bc"] or part["era"]:
        year = 1 - year
    offset = 0
    if part["zs"]:
        offset = (int(part["zh"]) * 60 + int(part["zm"] or 0)) * (-60 if part["zs"] == "-" else 60)
    return micros + (days(year, int(part["month"]), int(part["day"])) * 86_400 - offset) * 1_000_000


def days(year: int, month: int, day: int) -> int:
    """Days since 1970-01-01 in the Gregorian calendar without an end."""
    year, month = (year, month) if month > 2 else (year - 1, month + 12)
    return 365 * year + year // 4 - year // 100 + year // 400 + (153 * (month - 3) + 2) // 5 + day - 719_469


_UNITS = {"year": 12, "mon": 1, "month": 1}


def interval(text: str) -> Any:
    """Months, days and microseconds."""
    if "infinity" in text:
        return text
    months = days_ = micros = 0
    for number, unit in re.findall(r"([+-]?\d+) ([a-z]+?)s?(?= |$)", text):
        if unit == "day":
            days_ += int(number)
        else:
            months += int(number) * _UNITS[unit]
    clock = re.search(r"([+-]?)(\d+):(\d\d):(\d\d)(?:\.(\d+))?$", text)
    if clock:
        seconds = (int(clock[2]) * 60 + int(clock[3])) * 60 + int(clock[4])
        micros = (seconds * 1_000_000 + int((clock[5] or "").ljust(6, "0"))) * (-1 if clock[1] == "-" else 1)
    return months, days_, micros
