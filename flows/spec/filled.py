"""What `${target.region}` becomes, by where it stands: a literal of SQL, a name, a part of a URL, or the value as it is.

Values may come from a database, so that none is ever SQL: there each is a whole literal, by the rules of the engine that reads it.
"""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Final, Literal, NamedTuple
from urllib.parse import quote

Value = str | int | float | bool
"""What a variable is."""

Place = Literal["value", "text", "column", "table", "url", "source", "target", "duckdb"]
"""How a place is written: as it is, as text, as a name, as a URL, or as SQL of the source, the target or DuckDB."""


class Variable(NamedTuple):
    """`${target.region}`, in a text."""

    name: str


Pieces = Sequence[str | Variable]
"""A text with variables in it: what stands around them has the environment in it already."""

_OF_COLUMN: Final[dict[str, Place]] = {
    "": "column", ".from": "column", ".const": "value", ".default": "value", ".map.*": "value", ".expr": "duckdb",
    ".lookup.table": "table",
}  # fmt: skip
_OF_PART: Final[dict[str, Place]] = {".table": "table", ".query": "source", ".where": "source"}
_OF_HOOK: Final[dict[str, Place]] = {
    ".source": "source", ".source.*": "source", ".target": "target", ".target.*": "target", ".command.*": "text", ".url": "url",
}  # fmt: skip
"""A text for a shell is none of them: a value could be more than a word of it."""
_HOOKS: Final = [f"{of}{when}{one}" for of in ("", "tables.*.") for when in ("before", "after") for one in ("", ".*")]
_PLACES: Final[dict[str, Place]] = {
    **{f"{hook}{key}": place for hook in _HOOKS for key, place in _OF_HOOK.items()},
    **{f"{side}.{key}": "text" for side in ("source", "target") for key in ("schema", "name", "time_zone")},
    "source.url": "url",
    "target.url": "url",
    "tables.*.where": "source",
    "tables.*.owns": "target",
    "tables.*.target": "table",
    "tables.*.from": "table",
    **{f"tables.*.from{key}": place for key, place in _OF_PART.items()},
    "tables.*.from.*": "table",
    **{f"tables.*.from.*{key}": place for key, place in _OF_PART.items()},
    **{f"tables.*.columns.*{key}": place for key, place in _OF_COLUMN.items()},
    **{f"tables.*.from.*.columns.*{key}": place for key, place in _OF_COLUMN.items()},
}
_PATTERNS: Final = [(tuple(pattern.split(".")), place) for pattern, place in _PLACES.items()]

_HOLE: Final = "\0"  # where a variable stands in a text that is looked at
_QUOTED: Final = re.compile(r"'(?:[^']|'')*'|\"(?:[^\"]|\"\")*\"|`[^`]*`|--[^\n]*|/\*.*?\*/|(\$\w*\$).*?\1", re.DOTALL)
_TOUCHED: Final = re.compile(rf"[\w'\"`$@&\\]{_HOLE}|{_HOLE}[\w'\"`$@{_HOLE}]")
_NO_PART: Final = re.compile(r"[\x00-\x20/?#@]")  # of a host, a port or the name of a database
_FILES: Final = re.compile(r"^\w+(\+\w+)?:///")


class Unfit(ValueError):
    """A value or its place does not do: what is wrong, and how to mend it."""

    def __init__(self, what: str, fix: str) -> None:
        super().__init__(what)
        self.fix = fix


@dataclass(frozen=True, slots=True)
class Fill:
    """The variables of a client or target: `word` says which it is. `engines` are the schemes of both sides' URLs,
    empty where a secret has it."""

    word: str
    name: str
    values: Mapping[str, Value]
    engines: Mapping[str, str]

    def __call__(self, path: tuple[object, ...], pieces: Pieces) -> Value:
        """The text at `path` of a spec with its variables. Errors: Unfit."""
        values = [piece if isinstance(piece, str) else self._value(piece.name) for piece in pieces]
        place = _place(path)
        if place is None:
            raise Unfit(
                f"${{{self.word}.…}} cannot stand here",
                "use it in URLs, schemas, tables, source columns, where, owns, queries, expr, const, default, map and hooks",
            )
        if place == "value" and len(pieces) == 1:
            return values[0]
        if place in ("source", "target", "duckdb"):
            return _sql(pieces, values, self.engines.get(place, place))
        if place == "url":
            return _url(pieces, values)
        if place in ("table", "column"):
            _check_names(pieces, values, place)
        return "".join(map(str, values))

    def _value(self, name: str) -> Value:
        if name == "name":
            return self.name
        if name not in self.values:
            known = ", ".join(sorted(self.values)) or "none"
            raise Unfit(f"the {self.word} {self.name} has no variable {name}; it has {known}", f"give it a {name}")
        return self.values[name]


def _place(path: tuple[object, ...]) -> Place | None:
    for pattern, place in _PATTERNS:
        if len(pattern) == len(path) and all(each in ("*", part) for each, part in zip(pattern, path, strict=True)):
            return place
    return None


def _sql(pieces: Pieces, values: Sequence[Value], engine: str) -> str:
    holed = "".join(piece if isinstance(piece, str) else _HOLE for piece in pieces)
    rest = _QUOTED.sub("", holed)
    if rest.count(_HOLE) != holed.count(_HOLE) or re.search(r"['\"`]|/\*", rest) or "\\'" in holed:
        raise Unfit("has a variable in quotes or in a comment", "leave the quotes out: a variable is a whole literal")
    if _TOUCHED.search(holed):
        raise Unfit("has a variable that touches what stands beside it", "put a blank between: it is a whole literal")
    return "".join(
        piece if isinstance(piece, str) else _literal(value, engine)
        for piece, value in zip(pieces, values, strict=True)
    )


def _literal(value: Value, engine: str) -> str:
    """A value as SQL of an engine: numbers and truth values as they are, all else as text."""
    if isinstance(value, bool):
        return "TRUE" if value else "FALSE"
    if isinstance(value, int | float):
        return f"({value!r})" if value < 0 else repr(value)
    if "\0" in value:
        raise Unfit("has a variable with a NUL character, which no SQL has", "take it out")
    if "\\" in value and not engine:
        raise Unfit("has a variable with a backslash, and a secret URL does not say whose SQL it is", "take it out")
    if engine in ("mysql", "mariadb"):
        value = value.replace("\\", "\\\\")  # whose sessions take it for an escape
    return "'" + value.replace("'", "''") + "'"


def _check_names(pieces: Pieces, values: Sequence[Value], place: Place) -> None:
    for piece, value in zip(pieces, values, strict=True):
        if isinstance(piece, str):
            continue
        text = str(value)
        if not text.strip() or "\0" in text or (place == "table" and re.search(r'["\s.]', text)):
            raise Unfit(f"has {text!r} for {piece.name}, which is no part of a name", "correct the value")
        if place == "column" and len(pieces) == 1 and text == "*":
            raise Unfit("has * for a column, which stands for all of them", "name one")


def _url(pieces: Pieces, values: Sequence[Value]) -> str:
    """In user and password, and behind the question mark, signs are encoded; elsewhere none may change what the URL means."""
    holed = "".join(piece if isinstance(piece, str) else _HOLE for piece in pieces)
    scheme, _, rest = holed.partition("://")
    if _HOLE in scheme or not rest:
        raise Unfit("has a variable in the place of the scheme", "begin it like postgresql://, or name URLs as `url`")
    user = holed.rfind("@", 0, (holed + "?").index("?"))
    asked = (holed + "?").index("?")
    made, at = "", 0
    for piece, value in zip(pieces, values, strict=True):
        text = str(value)
        if not isinstance(piece, str):
            if at < user or at > asked:
                text = quote(text, safe="")
            elif ("?" in text or "\0" in text) if _FILES.match(holed) else _NO_PART.search(text):
                raise Unfit(f"has a {piece.name} with signs that mean something else in a URL", "correct the value")
        made += text
        at += len(piece) if isinstance(piece, str) else 1
    return made
