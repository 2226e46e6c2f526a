"""Identity maps bound to both sides: which columns are the keys, and what a new row gets for one."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import pyarrow as pa

from transforms.mapping.column_mapping import ColumnMapping, Identified
from transforms.vocabulary import ColumnShape, Key

Given = Literal["number", "uuid"]
TARGET = "target "
"""What columns of the target's key are called in a map, beside those of the source."""


@dataclass(frozen=True, slots=True)
class IdentityMap:
    """The identity map of a table: `target` are the columns of its key there, `source` those of the key in the source.

    A row that is not in the map is the one of the target with the same values in the columns `match`, if these are given; else it
    is new, and each column of its key gets what the mapping gives it (`mapped`), or a number or UUID (`generated`).
    """

    table: str
    source: tuple[ColumnShape, ...]
    target: tuple[ColumnShape, ...]
    match: Key
    mapped: tuple[ColumnMapping, ...]
    generated: Mapping[str, Given]

    @property
    def name(self) -> str:
        """What lookups call it."""
        return map_name(self.table)

    @property
    def by(self) -> Key:
        """The columns of the source's key."""
        return tuple(column.name for column in self.source)

    @property
    def key(self) -> Key:
        """The columns of the target's key."""
        return tuple(column.name for column in self.target)

    @property
    def columns(self) -> tuple[ColumnMapping, ...]:
        """The columns of the target's key, as the map gives them."""
        by, match = self.by, self.match
        return tuple(ColumnMapping(each, Identified(self.name, by, TARGET + each.name, match)) for each in self.target)

    @property
    def schema(self) -> pa.Schema:
        """The columns of a pair: of the source's key, and behind them of the target's, under names of their own."""
        pairs = [(column.name, column.type) for column in self.source]
        return pa.schema([*pairs, *((TARGET + column.name, column.type) for column in self.target)])


def ends_of(pairs: pa.Table, key: Key) -> pa.Table:
    """The target's keys of some pairs, or of rows that have these beside them, as the target calls the columns."""
    return pairs.select([TARGET + name for name in key]).rename_columns(list(key))


def way_name(table: str) -> str:
    """What lookups through the identity map of a table are called."""
    return f"{table} (by identity)"


def map_name(table: str) -> str:
    """What lookups call the identity map of a table."""
    return f"{table} (identity map)"
