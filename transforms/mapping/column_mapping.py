"""What a mapping is made of: where each target column comes from, and what is done to it on the way."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Literal, Protocol

import pyarrow as pa

from transforms.mapping.casts import Cast
from transforms.vocabulary import ColumnShape, Key, Reason
from transforms.vocabulary.arrow import Mask

if TYPE_CHECKING:
    import pandas as pd  # half a second that only `python:` columns need


@dataclass(frozen=True, slots=True)
class Rename:
    source: str


@dataclass(frozen=True, slots=True)
class Expression:
    sql: str


@dataclass(frozen=True, slots=True)
class Constant:
    value: Any


@dataclass(frozen=True, slots=True)
class KeyUuid:
    """A UUID made from the key: the same key always gives the same UUID."""


@dataclass(frozen=True, slots=True)
class LookUp:
    """`take` from the row of `table` whose columns equal the source's; `match` is (looked-up column, source column).

    `name` finds the rows in the lookups given to `map_rows`. A match with a null in it gives null and misses nothing.
    `chained`: those of the matching columns that are not the source's, but mapped columns of the table itself.
    """

    name: str
    match: tuple[tuple[str, str], ...]
    take: str
    missing: Literal["null", "quarantine", "fail"] = "quarantine"
    chained: frozenset[str] = frozenset()


@dataclass(frozen=True, slots=True)
class Identified:
    """A column of the key that the target has a row by, as the table's identity map says.

    `name` finds the map in the lookups given to `map_rows`: with the columns `by` of the source's key, the column `take`, and what
    is wrong with a row. `match` are the mapped columns by which rows find each other that are not in the map.
    """

    name: str
    by: tuple[str, ...]
    take: str
    match: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Function:
    """A pandas function of the named source columns: a DataFrame in, a Series of the same length out."""

    call: Callable[[pd.DataFrame], pd.Series[Any]]
    columns: tuple[str, ...]
    name: str = "function"


@dataclass(frozen=True, slots=True)
class Values:
    """Replace each value by another. `otherwise` is what to do with values not listed: "error", "keep" or "literal"."""

    pairs: tuple[tuple[Any, Any], ...]
    otherwise: Literal["error", "keep", "literal"] = "error"
    literal: Any = None


@dataclass(frozen=True, slots=True)
class ColumnMapping:
    """How one target column is made. `written` is false for columns that the target computes itself.

    `strip_nul` takes NUL characters out of texts, which PostgreSQL cannot store. `kept` answers with what the column
    gives back for values, null for those that it cannot store as they are.
    """

    shape: ColumnShape
    origin: Rename | Expression | Constant | KeyUuid | LookUp | Identified | Function
    cast: Cast | None = None
    values: Values | None = None
    written: bool = True
    strip_nul: bool = False
    kept: Callable[[ColumnShape, pa.Array], pa.Array] | None = None


class RowCheck(Protocol):
    """A rule that every mapped row has to keep. `reason` is why a row is set aside that does not."""

    @property
    def reason(self) -> Reason: ...

    @property
    def columns(self) -> tuple[str, ...]: ...

    def failing(self, rows: pa.Table) -> Mask:
        """True for every row that breaks the rule."""
        ...


@dataclass(frozen=True, slots=True)
class TableMapping:
    """How rows of one target table are made, and which of them are set aside although each value fits.

    Surrogate numbers are not made here: they need the target's rows.
    """

    table: str
    key: Key
    columns: tuple[ColumnMapping, ...]
    on_invalid: Literal["quarantine", "fail"] = "quarantine"
    checks: tuple[RowCheck, ...] = ()

    @property
    def schema(self) -> pa.Schema:
        return pa.schema([pa.field(column.shape.name, column.shape.type) for column in self.columns])


@dataclass(frozen=True, slots=True)
class LookupRows:
    """What a lookup may find: `rows` as they will be, and `quarantined` rows, which will not be there."""

    rows: pa.Table
    quarantined: pa.Table | None = None
