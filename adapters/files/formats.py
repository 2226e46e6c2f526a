"""How texts of files are written: what is declared of them, and what is not."""

from __future__ import annotations

import codecs
import json
import re
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field, fields, replace
from typing import Any, Final

from transforms.vocabulary import SpecError

DECLARED: Final = "declared"
"""The option of a URL that holds all that a spec declares, as JSON: a format, and `tables` with one for each."""

_TYPES: Final[Mapping[str, str]] = {
    "text": "VARCHAR", "varchar": "VARCHAR", "string": "VARCHAR", "tinyint": "TINYINT", "smallint": "SMALLINT",
    "int": "INTEGER", "integer": "INTEGER", "bigint": "BIGINT", "double": "DOUBLE", "double precision": "DOUBLE",
    "boolean": "BOOLEAN", "bool": "BOOLEAN", "date": "DATE", "timestamp": "TIMESTAMP", "time": "TIME", "uuid": "UUID",
    "timestamptz": "TIMESTAMP WITH TIME ZONE", "timestamp with time zone": "TIMESTAMP WITH TIME ZONE", "json": "JSON",
}  # fmt: skip
_DECIMAL: Final = re.compile(r"(?:decimal|numeric)\s*\(\s*(\d+)\s*(?:,\s*(\d+)\s*)?\)")
_MOST_DIGITS: Final = 38


@dataclass(frozen=True, slots=True)
class Format:
    """What is None is found out from the file itself.

    `nulls` are the texts that stand for null where they are not quoted; `dates` and `timestamps` are formats of strptime, ISO 8601
    where None; `header` says whether the first line has the names, or what the names are; `types` are those of columns, as DuckDB
    names them.
    """

    delimiter: str | None = None
    quote: str = '"'
    escape: str | None = None
    encoding: str | None = None
    nulls: tuple[str, ...] = ("",)
    decimal: str | None = None
    dates: str | None = None
    timestamps: str | None = None
    header: bool | tuple[str, ...] | None = None
    types: Mapping[str, str] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """What is known of it, as a spec says it."""
        told = {name: value for name, value in asdict(self).items() if value != getattr(Format(), name) and value != ()}
        told["types"] = {name: _spelled(each) for name, each in self.types.items()}
        return {name: list(value) if isinstance(value, tuple) else value for name, value in told.items()}


@dataclass(frozen=True, slots=True)
class Formats:
    """`common` holds for every table that has none of its own."""

    common: Format = field(default_factory=Format)
    tables: Mapping[str, Format] = field(default_factory=dict)

    def of(self, table: str) -> Format:
        return self.tables.get(table, self.common)


def formats_of(options: tuple[tuple[str, str], ...]) -> Formats:
    """What the options of a URL say: each by its name, or all as DECLARED. SpecError for what is not one of them."""
    told: dict[str, Any] = {name: value for name, value in options if name != DECLARED}
    if "nulls" in told:
        told["nulls"] = told["nulls"].split(",")
    if told.get("header") in ("true", "false"):
        told["header"] = told["header"] == "true"
    for name, value in options:
        if name == DECLARED:
            told |= json.loads(value)
    tables = told.pop("tables", {})
    common = _format(told, Format())
    return Formats(common, {name: _format(each, common) for name, each in tables.items()})


def _format(told: Mapping[str, Any], common: Format) -> Format:
    known = [each.name for each in fields(Format)]
    if wrong := [each for each in told if each not in known]:
        raise SpecError(f"{wrong[0]} is nothing that a format of files has.", fix=f"write one of {', '.join(known)}.")
    values: dict[str, Any] = {
        name: tuple(value) if isinstance(value, list) else value for name, value in told.items() if value is not None
    }
    if "types" in values:
        values["types"] = {**common.types, **{name: native(each) for name, each in values["types"].items()}}
    if "encoding" in values:
        _known_encoding(values["encoding"])
    for name in ("delimiter", "quote", "escape", "decimal"):
        if len(values.get(name) or "x") != 1:
            raise SpecError(f"{name} is {values[name]!r}.", fix="write a single character.")
    return replace(common, **values)


def _known_encoding(name: str) -> None:
    try:
        codecs.lookup(name)
    except LookupError as error:
        raise SpecError(
            f"There is no encoding {name!r}.", fix="write one such as utf-8, utf-16, latin-1 or cp1252."
        ) from error


def _spelled(native_type: str) -> str:
    """A type as a spec names it."""
    names = {"VARCHAR": "text", "TIMESTAMP WITH TIME ZONE": "timestamptz"}
    return names.get(native_type, native_type.lower())


def native(name: str) -> str:
    """A type of a spec as DuckDB names it. SpecError for others than those that texts are read as."""
    plain = " ".join(name.lower().split())
    if plain in _TYPES:
        return _TYPES[plain]
    if found := _DECIMAL.fullmatch(plain):
        precision, scale = int(found[1]), int(found[2] or 0)
        if 0 <= scale <= precision <= _MOST_DIGITS and precision:
            return f"DECIMAL({precision},{scale})"
    raise SpecError(f"{name!r} is no type of texts in files.", fix=f"write decimal(p,s) or one of {', '.join(_TYPES)}.")
