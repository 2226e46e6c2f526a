"""Which mapped columns can be written back to the source: those whose values say which source values they were made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Final, Literal

import pyarrow as pa

from transforms.mapping import casts
from transforms.mapping.casts import Cast
from transforms.mapping.column_mapping import (
    ColumnMapping,
    Constant,
    Expression,
    Function,
    Identified,
    KeyUuid,
    LookUp,
    Rename,
    TableMapping,
)
from transforms.mapping.value_tables import value_table
from transforms.vocabulary import ColumnShape, Meaning

Inverse = Mapping[str, str]
"""Columns of the source, and the DuckDB SQL over the target's columns that they are made of: `inverse` of a column."""

WhyNot = Literal[
    "expression", "function", "constant", "generated", "several_values", "unlisted_values", "merging_map", "own_lookup", "computed",
    "no_column",
]  # fmt: skip
WHY_NOT: Final[Mapping[WhyNot, str]] = {
    "expression": "is made by an expression without an `inverse`",
    "function": "is made by a function",
    "constant": "is a constant",
    "generated": "is made of the key",
    "several_values": "may be made of several values of {source}: {given} as {wanted}",
    "unlisted_values": "gets one value for all that its value map does not list",
    "merging_map": "gets one value for several by its value map",
    "own_lookup": "is looked up by columns of the table itself",
    "computed": "is made of {source}, which the source computes itself",
    "no_column": "goes back to {source}, which the source does not have",
}
"""Why a column cannot be written back, with what the facts say put in."""


@dataclass(frozen=True, slots=True)
class WayBack:
    """How a column goes back: `writes` are the source's columns; `why_not` says why it cannot, and None that it can.

    One that can keeps two laws, for values that both sides can hold: what is written back is mapped to what was wanted, and what
    was mapped is written back as it was. Of a lookup with `missing: null` the second holds for what is found.
    """

    column: str
    writes: tuple[str, ...] = ()
    why_not: WhyNot | None = None
    facts: Mapping[str, Any] = field(default_factory=dict)

    @property
    def text(self) -> str:
        """Why it cannot, for people; empty where it can."""
        return WHY_NOT[self.why_not].format_map(dict(self.facts)) if self.why_not else ""


def ways_back(
    mapping: TableMapping, sources: Mapping[str, ColumnShape], inverses: Mapping[str, Inverse] | None = None
) -> dict[str, WayBack]:
    """How each mapped column goes back. In: the source's columns by name, and the `inverse` of columns that have one."""
    known = inverses or {}
    return {column.shape.name: _way_back(column, sources, known.get(column.shape.name)) for column in mapping.columns}


def _way_back(column: ColumnMapping, sources: Mapping[str, ColumnShape], inverse: Inverse | None) -> WayBack:
    name = column.shape.name
    if inverse is not None:
        return _writable(name, tuple(inverse), sources)
    match column.origin:
        case Rename(source):
            way = _writable(name, (source,), sources)
            return way if way.why_not else _of_rename(column, sources[source])
        case LookUp(match=pairs, chained=chained):
            if chained:
                return WayBack(name, why_not="own_lookup")
            if column.values is not None:
                return WayBack(name, why_not="merging_map")
            return _writable(name, tuple(source for _, source in pairs), sources)
        case Constant():
            return WayBack(name, why_not="constant")
        case Identified(by=by):
            return _writable(name, by, sources)
        case KeyUuid():
            return WayBack(name, why_not="generated")
        case Expression():
            return WayBack(name, why_not="expression")
        case Function():
            return WayBack(name, why_not="function")


def _writable(name: str, writes: tuple[str, ...], sources: Mapping[str, ColumnShape]) -> WayBack:
    for each in writes:
        if each not in sources:
            return WayBack(name, why_not="no_column", facts={"source": each})
        if sources[each].generated:
            return WayBack(name, why_not="computed", facts={"source": each})
    return WayBack(name, writes)


def _of_rename(column: ColumnMapping, source: ColumnShape) -> WayBack:
    way = WayBack(column.shape.name, (source.name,))
    values = column.values
    if values is not None:
        if values.otherwise == "literal":
            return WayBack(way.column, why_not="unlisted_values")
        table = value_table(column, source)
        if table is None or (values.otherwise == "keep" and not (_one_to_one(source, column) and table.permutes)):
            return WayBack(way.column, why_not="merging_map")
        return way
    if _one_to_one(source, column):
        return way
    kinds = {"given": casts.name_of(source.type), "wanted": casts.name_of(column.shape.type)}
    return WayBack(way.column, why_not="several_values", facts={"source": source.name, **kinds})


@dataclass(frozen=True, slots=True)
class _Form:
    """A type of value on its way: what it holds, and in which engine's notation."""

    type: pa.DataType
    meaning: Meaning
    native: str


def _one_to_one(source: ColumnShape, column: ColumnMapping) -> bool:
    """Whether different values of the source column that can be mapped are different values of the target's."""
    target, cast = column.shape, column.cast
    if (column.strip_nul and source.nul) or (target.padded and not source.padded):
        return False
    given, wanted = _Form(source.type, source.meaning, source.native), _Form(target.type, target.meaning, target.native)
    if cast is None:
        return _keeps_apart(given, wanted, None)
    between = _Form(cast.type, cast.meaning, "")
    return _keeps_apart(given, between, cast) and _keeps_apart(between, wanted, None)


def _keeps_apart(given: _Form, wanted: _Form, cast: Cast | None) -> bool:
    types = pa.types
    one, other = _family(given), _family(wanted)
    exact = types.is_integer(given.type) or types.is_decimal(given.type)
    match one, other:
        case _ if cast is not None and cast.format is not None:
            return False
        case "opaque", "opaque":
            return given.native == wanted.native
        case "moment", "instant":  # what a change of clocks repeats or skips is set aside, or two times are one
            return cast is None or (cast.ambiguous == "fault" and cast.nonexistent == "fault")
        case ("number", "boolean") | ("number", "text"):
            return bool(exact)
    return one == other or (one, other) in _APART


_APART: Final = {
    ("boolean", "number"), ("boolean", "text"), ("date", "text"), ("uuid", "text"), ("date", "moment"), ("time", "duration"),
}  # fmt: skip
"""Families of which each value is another one in the other family."""


def _family(form: _Form) -> str:
    kind, types = form.type, pa.types
    if types.is_string(kind):
        return {"plain": "text", "decimal": "number"}.get(form.meaning, form.meaning)
    families = (
        ("number", types.is_integer(kind) or types.is_decimal(kind) or types.is_floating(kind)),
        ("boolean", types.is_boolean(kind)),
        ("date", types.is_date(kind)),
        ("time", types.is_time(kind)),
        ("duration", types.is_duration(kind)),
        ("bytes", types.is_binary(kind)),
    )
    if types.is_timestamp(kind):
        return "moment" if kind.tz is None else "instant"
    return next((name for name, holds in families if holds), str(kind))
