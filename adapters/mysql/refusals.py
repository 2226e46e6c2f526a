"""What MariaDB and MySQL name where a row breaks a constraint: their texts have the name in the same quotes in every language."""

from __future__ import annotations

import re
from typing import Final

_NULL: Final = 1048
_COLUMN: Final = re.compile(r"'([^']*)'")
_KEY: Final = re.compile(r"'([^']+)'\s*\Z")  # behind the value, which may have any quotes in it
_FOREIGN: Final = re.compile(r"CONSTRAINT `((?:[^`]|``)+)`")
_NAMED: Final = {
    4025: re.compile(r"`((?:[^`]|``)+)`"),  # a check of MariaDB: CONSTRAINT `name` failed for `database`.`table`
    3819: re.compile(r"'(.+)'"),  # one of MySQL
    1062: _KEY,
    1586: _KEY,
    1451: _FOREIGN,
    1452: _FOREIGN,
}
"""Where an error has the name of a constraint, by its number."""


def constraint_of(code: int | None, text: str) -> str:
    """The constraint that an error names: a check, a unique index or a foreign key; empty where it names none."""
    known = _NAMED.get(code or 0)
    found = known.search(text) if known else None
    return found[1].replace("``", "`") if found else ""


def columns_of(code: int | None, text: str) -> tuple[str, ...]:
    """The column that takes no null, where that is the error."""
    found = _COLUMN.search(text) if code == _NULL else None
    return (found[1],) if found else ()
