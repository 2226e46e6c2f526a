"""What a table of files is to DuckDB: where its rows come from, and what becomes of each column."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Final

from adapters.duckdb.design import literal
from adapters.duckdb.types import column_shape, quoted
from adapters.files.formats import Format
from adapters.files.texts import not_finite
from transforms.vocabulary import ColumnShape, DataError, Key, TableName, TableShape

BEHIND: Final = "syncline files"
"""The schema of the views that are scanned: those of the plain names fail where a value cannot be read, for queries."""
UNREAD: Final = "syncline:unread:"
"""How the name of a column begins, behind which comes the column of which it says why a row's value cannot travel."""
TORN: Final = "syncline:torn"
"""The column that says why a whole row cannot travel."""

_FINE: Final = {"TIMESTAMP_NS": "TIMESTAMP", "TIMESTAMPTZ_NS": "TIMESTAMP WITH TIME ZONE", "TIME_NS": "TIME"}
_MOST_SHOWN: Final = 200  # characters of a value
_NANOSECONDS: Final = 1000  # in the microsecond that is the finest that travels


@dataclass(frozen=True, slots=True)
class Column:
    """`native` is the type of `value`, which is SQL over the rows; `unread` is SQL, too: a text where the value cannot travel."""

    name: str
    native: str
    value: str
    unread: str | None = None
    nullable: bool = True
    refused: str | None = None

    @property
    def shape(self) -> ColumnShape:
        made = column_shape(self.name, self.native, nullable=self.nullable)
        return replace(made, refused=self.refused) if self.refused else made


@dataclass(frozen=True, slots=True)
class Rows:
    """`origin` is what stands behind FROM; `ordered` and `unread` as of TableShape; `format` how texts are written, None for typed
    files; `torn` is SQL over the rows: a text where the row has no values at all."""

    origin: str
    columns: tuple[Column, ...]
    ordered: frozenset[Key] = frozenset()
    format: Format | None = None
    unread: frozenset[str] = frozenset()
    torn: str | None = None

    def shape(self, table: str) -> TableShape:
        columns = tuple(each.shape for each in self.columns)
        return TableShape(TableName(table), columns, ordered=self.ordered, unread=self.unread)

    def shape_behind(self, table: str) -> TableShape:
        """With the columns that say why."""
        told = [TORN, *(f"{UNREAD}{each.name}" for each in self.columns if each.unread)]
        why = tuple(column_shape(each, "VARCHAR") for each in told if each != TORN or self.torn)
        return TableShape(
            TableName(table, BEHIND), (*(each.shape for each in self.columns), *why), ordered=self.ordered
        )

    def views(self, table: str) -> list[str]:
        """The statements that make both views of a table."""
        behind = [f"{each.value} AS {quoted(each.name)}" for each in self.columns]
        behind += [f"{each.unread} AS {quoted(UNREAD + each.name)}" for each in self.columns if each.unread]
        behind += [f"{self.torn} AS {quoted(TORN)}"] if self.torn else []
        plain = [quoted(each.name) if each.unread is None else _or_fail(each.name) for each in self.columns]
        there = f"{quoted(BEHIND)}.{quoted(table)}"
        why = quoted(TORN)
        whole = f" WHERE CASE WHEN {why} IS NULL THEN true ELSE error({why}) END" if self.torn else ""
        return [
            f"CREATE VIEW {there} AS SELECT {', '.join(behind)} FROM {self.origin}",  # noqa: S608
            f"CREATE VIEW main.{quoted(table)} AS SELECT {', '.join(plain)} FROM {there}{whole}",  # noqa: S608
        ]


def _or_fail(name: str) -> str:
    own, why = quoted(name), quoted(UNREAD + name)
    return f"CASE WHEN {why} IS NULL THEN {own} ELSE error({why}) END AS {own}"


def as_read(name: str, native: str, *, nullable: bool = True) -> Column:
    """A column of a typed file. Lists and structs travel as JSON, nanoseconds as microseconds where none is lost."""
    own = quoted(name)
    if native in _FINE:
        rest = f"epoch_ns({own}) % {_NANOSECONDS} <> 0"
        why = unread("wrong_type", name, f"CAST({own} AS VARCHAR)", "a time of whole microseconds")
        value = f"CASE WHEN {rest} THEN NULL ELSE CAST({own} AS {_FINE[native]}) END"
        return Column(name, _FINE[native], value, f"CASE WHEN {rest} THEN {why} END", nullable)
    if native.startswith("ENUM("):
        return Column(name, "VARCHAR", f"CAST({own} AS VARCHAR)", None, nullable)
    if is_nested(native):
        if re.search(r"\b(BLOB|BIT|UNION|VARIANT)\b", re.sub(r'"[^"]*"', "", native)):
            refused = (
                f"{native} has values that JSON does not tell apart. "
                f"Fix: take it apart in a query (`from: {{query: …}}`), or leave the column out."
            )
            return Column(name, native, own, None, nullable, refused)
        if not re.search(r"\b(DOUBLE|FLOAT)\b", native):
            return Column(name, "JSON", f"to_json({own})", None, nullable)
        text = f"CAST(to_json({own}) AS VARCHAR)"
        why = unread("wrong_type", name, f"left({text}, {_MOST_SHOWN})", "JSON, which has neither NaN nor infinities")
        bad = not_finite(text)
        return Column(
            name, "JSON", f"CASE WHEN NOT {bad} THEN to_json({own}) END", f"CASE WHEN {bad} THEN {why} END", nullable
        )
    return Column(name, native, own, None, nullable)


def is_nested(native: str) -> bool:
    return native.endswith("]") or native.startswith(("STRUCT(", "MAP("))


def unread(code: str, column: str, value: str, type_: str) -> str:
    """SQL of the text that `vocabulary.unread` makes; `value` is SQL."""
    told = f"json_object('source', {literal(column)}, 'value', {value}, 'type', {literal(type_)})"
    return f"CAST(json_array({literal(code)}, NULL, {told}) AS VARCHAR)"


def torn_row(value: str, how: str) -> str:
    """SQL of the text that a Reason `torn_row` makes; both are SQL."""
    return f"CAST(json_array('torn_row', NULL, json_object('value', {value}, 'how', {how})) AS VARCHAR)"


def distinct_names(names: Sequence[str], path: str, line: str = "") -> None:
    """DataError where a file has two columns of a name, or of names that differ in the case of letters alone."""
    known: dict[str, str] = {}
    for name in names:
        if (other := known.setdefault(name.lower(), name)) is not name or names.count(name) > 1:
            raise DataError(
                f"{path}{line} has two columns called {other!r}{'' if other == name else f' and {name!r}'}.",
                fix="give each column a name of its own.",
            )
