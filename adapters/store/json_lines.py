"""JSON that people read and that is made at once: objects on top have a line for each field, and their lists one for each item."""

from __future__ import annotations

import json
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
