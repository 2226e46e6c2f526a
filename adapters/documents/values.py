"""Values of documents as a kind and a text that says exactly which value it is."""

from __future__ import annotations

import base64
import math
import re
from dataclasses import dataclass
from datetime import date
from decimal import Decimal
from typing import Final

KINDS: Final = ("text", "int", "float", "bool", "null", "date", "time", "datetime", "binary", "map", "list")
"""map and list are those that are empty: others are what is in them."""

EMPTY: Final = frozenset({"map", "list", "null"})
"""Kinds whose value is null: the kind says it all."""

_INT: Final = re.compile(r"0|-?[1-9][0-9]*")
_TIME: Final = r"([01]\d|2[0-3]):[0-5]\d:([0-5]\d|60)(\.\d+)?"
_CLOCK: Final = re.compile(_TIME)
_MOMENT: Final = re.compile(rf"(\d{{4}}-\d{{2}}-\d{{2}})T{_TIME}(Z|[+-]([01]\d|2[0-3]):[0-5]\d)?")
_DAY: Final = re.compile(r"\d{4}-\d{2}-\d{2}")


@dataclass(frozen=True, slots=True)
class Value:
    """A value: its kind, and its text, None for kinds that are EMPTY. 1, 1.0, "1", true and null are five values."""

    kind: str
    text: str | None


def integer(digits: str) -> Value:
    """A whole number of any size, as Python or TOML or YAML write it."""
    clean = digits.replace("_", "").lower()
    base = {"0x": 16, "0o": 8, "0b": 2}.get(clean.lstrip("+-")[:2], 10)
    sign = "-" if clean.startswith("-") else ""
    body = clean.lstrip("+-")
    body = (
        body.lstrip("0") or "0" if base == 10 else str(int(body, base))
    )  # Python reads no more than 4,300 decimal digits
    return Value("int", "0" if body == "0" else sign + body)


def floating(text: str) -> Value:
    """A number with a point or an exponent: the shortest text of the double, or all of its digits where no double is it."""
    clean = text.replace("_", "").lower()
    name = clean.lstrip("+-.")
    if name in ("nan", "inf", "infinity"):
        return Value("float", "nan" if name == "nan" else ("-inf" if clean.startswith("-") else "inf"))
    exact, near = Decimal(clean), float(clean)
    if not math.isinf(near) and Decimal(repr(near)) == exact:
        return Value("float", repr(near))
    return Value("float", str(exact).lower())


def moment(text: str) -> Value:
    """A date, a time of day, or both, out of what TOML and YAML write."""
    clean = text.strip()
    if _DAY.fullmatch(clean):
        return Value("date", clean)
    day, _, rest = re.sub(r"[Tt \t]+", "T", clean, count=1).partition("T")
    if not rest:
        return Value("time", clean if clean.count(":") == 2 else f"{clean}:00")
    hours, zone = re.fullmatch(r"([0-9:.]+)\s*([Zz]|[+-][0-9:]+)?", rest).groups()  # type: ignore[union-attr]
    hours = hours if hours.count(":") == 2 else f"{hours}:00"
    hours = hours.zfill(8) if "." not in hours and len(hours) < 8 else hours
    if zone and zone not in "Zz":
        ahead, _, minutes = zone[1:].partition(":")
        zone = f"{zone[0]}{ahead.zfill(2)}:{minutes or '00'}"
    return Value("datetime", f"{day}T{hours}{(zone or '').upper()}")


def kind_of_bare(word: str) -> str | None:
    """What a value is of which only its text is known, and that it is no text; None where it is nothing."""
    if word in ("true", "false"):
        return "bool"
    if word == "null":
        return "null"
    for kind in ("int", "date", "time", "datetime", "float"):
        if is_canonical(Value(kind, word)):
            return kind
    return None


def is_canonical(value: Value) -> bool:
    """Whether this is how the value of a document is read, and not another spelling, or no such value."""
    if value.kind in EMPTY or value.text is None:
        return value.kind in EMPTY and value.text is None
    test = _TESTS.get(value.kind)
    return test is not None and test(value.text)


def _is_float(text: str) -> bool:
    if _INT.fullmatch(text):
        return False
    if text not in ("nan", "inf", "-inf") and not re.fullmatch(r"-?\d+(\.\d+)?(e[+-]?\d+)?", text):
        return False
    return floating(text).text == text


def _is_day(text: str) -> bool:
    try:
        return bool(_DAY.fullmatch(text)) and bool(date.fromisoformat(text))
    except ValueError:
        return False


def _is_moment(text: str) -> bool:
    found = _MOMENT.fullmatch(text)
    return found is not None and _is_day(found[1])


def _is_binary(text: str) -> bool:
    try:
        return base64.b64encode(base64.b64decode(text, validate=True)).decode() == text
    except ValueError:
        return False


def _is_text(text: str) -> bool:
    return not any("\ud800" <= each <= "\udfff" for each in text)


_TESTS: Final = {
    "text": _is_text,
    "int": lambda text: bool(_INT.fullmatch(text)),
    "float": _is_float,
    "bool": lambda text: text in ("true", "false"),
    "date": _is_day,
    "time": lambda text: bool(_CLOCK.fullmatch(text)),
    "datetime": _is_moment,
    "binary": _is_binary,
}
