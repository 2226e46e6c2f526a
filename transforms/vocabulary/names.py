"""Names: tables, keys, and what texts stand for."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Final, Literal, get_args

Key = tuple[str, ...]
"""The columns by which rows are matched, in order."""

KeyValue = tuple[Any, ...]
"""One value for each column of a Key, as Python objects of the column's Arrow type."""

SideName = Literal["source", "target"]
"""One of the two databases of a migration, by what it is to the spec, whichever way rows go."""

SIDES: Final[tuple[SideName, SideName]] = ("source", "target")

Op = Literal["insert", "update", "delete"]
OPS: Final[tuple[Op, ...]] = get_args(Op)
Phase = Literal["all", "upsert", "delete"]
Meaning = Literal["plain", "decimal", "json", "uuid", "interval", "opaque"]
"""What a text stands for: itself, an exact number, JSON, a UUID, a span of time, or an engine's own notation."""

INVALID: Final = "syncline:invalid"
"""A string column that a scan may append: why the row cannot travel, as `unread` writes it; null where it can."""

STANDS_IN: Final = "syncline:stands in for a date:"
"""How the name of a truth column begins that a scan may append, behind which comes the column that it is about: whether the
value is what `zero_dates` puts in a date's place that is none."""

# Infinity has no Arrow value of its own; these are DuckDB's conventions, so that expressions see infinity too.
TIMESTAMP_INFINITY: Final = 2**63 - 1  # microseconds; minus infinity is its negative
DATE_INFINITY: Final = 2**31 - 1  # days; minus infinity is its negative


@dataclass(frozen=True, slots=True)
class TableName:
    """A table in a schema; a None schema is the connection's default, and sorts before the others."""

    name: str
    schema: str | None = None

    def __lt__(self, other: TableName) -> bool:
        return (self.name, self.schema or "") < (other.name, other.schema or "")

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name


def other_side(side: SideName) -> SideName:
    """The side across from one."""
    return "target" if side == "source" else "source"


def of_side(name: str, side: SideName) -> str:
    """The name of a run or of a migration as the name of one of its sides, where a name alone tells things apart: plans,
    locks, folders. The target's is the plain one. No name that a user gives has a ~.
    """
    return f"{name}{_OF_SIDE[side]}"


_OF_SIDE: Final[dict[SideName, str]] = {"source": "~source", "target": ""}
