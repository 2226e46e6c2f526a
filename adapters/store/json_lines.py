"""JSON that people read and that is made at once: objects on top have a line for each field, and their lists one for each item."""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping
from datetime import date, datetime, time
from typing import Any


def in_lines(value: Any, depth: int = 3, *, allow_nan: bool = True, indent: int = 0) -> str:
    """The value as JSON. Objects have a line for each field, down to a depth; an item of a list has one line, whatever it is.

    What `json.dumps` indents is encoded in Python, twenty times as slowly: a manifest of many windows is mostly its files.
    """

    def one(item: Any) -> str:
        return json.dumps(item, ensure_ascii=False, allow_nan=allow_nan)

    if not depth or not value or not isinstance(value, dict | list | tuple):
        return one(value)
    start, end = "\n" + " " * (indent + 1), "\n" + " " * indent
    if isinstance(value, dict):
        below = {
            name: in_lines(item, depth - 1, allow_nan=allow_nan, indent=indent + 1) for name, item in value.items()
        }
        return f"{{{start}{f',{start}'.join(f'{one(name)}: {text}' for name, text in below.items())}{end}}}"
    return f"[{start}{f',{start}'.join(map(one, value))}{end}]"


def plain(value: Any) -> Any:
    """The value as JSON can hold it: decimals, dates and everything else exact as text."""
    if value is None or isinstance(value, bool | int | str):
        return value
    if isinstance(value, float):
        return value if value - value == 0 else str(value)
    if isinstance(value, Mapping):
        return {key if isinstance(key, str) else str(plain(key)): plain(item) for key, item in value.items()}
    if isinstance(value, bytes):
        return value.hex()
    if isinstance(value, datetime | date | time):
        return value.isoformat()
    if isinstance(value, Iterable):
        return [plain(item) for item in value]
    return str(value)
