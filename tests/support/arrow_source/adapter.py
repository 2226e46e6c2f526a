"""A source that is no database: a folder of Arrow files, a table each, read with what `Source` and `Snapshot` ask for and no more."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.feather as feather

from adapters.capabilities import Capabilities, Names
from transforms import keys as arrow_keys
from transforms.range_filter import all_inside
from transforms.vocabulary import (
    ColumnRange,
    ColumnShape,
    Key,
    KeyRange,
    KeyValue,
    Relation,
    SpecError,
    TableName,
    TableShape,
)

BATCH_ROWS = 1_000


class ArrowSource:
    engine = "arrow"
    capabilities = Capabilities(Names("arrow", "Arrow"))

    def __init__(self, url: str, *, time_zone: str | None = None) -> None:
        self.url = url
        self.folder = Path(url.removeprefix("feather://"))

    def tables(self, schema: str | None = None) -> list[TableName]:
        return sorted(TableName(file.stem, schema) for file in self.folder.glob("*.arrow"))

    def named(self, table: TableName) -> TableName:
        return table

    def describe(self, table: TableName) -> TableShape | None:
        """Files whose first column ascends have windows by it."""
        file = self.folder / f"{table.name}.arrow"
        if not file.exists():
            return None
        rows = feather.read_table(file)
        columns = tuple(ColumnShape(field.name, field.type, str(field.type)) for field in rows.schema)
        first = rows.column_names[0]
        values = rows[first].to_pylist()
        ascending = None not in values and all(a < b for a, b in pairwise(values))
        return TableShape(table, columns, ordered=frozenset([(first,)] if ascending else []))

    def describe_query(self, query: str) -> TableShape:
        raise SpecError(f"{self.url} takes no queries. Fix: name a table.")

    @contextmanager
    def snapshot(self, token: str | None = None) -> Iterator[ArrowSnapshot]:
        tables = {name.name: feather.read_table(self.folder / f"{name.name}.arrow") for name in self.tables()}
        yield ArrowSnapshot(tables)

    def close(self) -> None:
        pass


class ArrowSnapshot:
    token = None
    mark = "as read"

    def __init__(self, tables: dict[str, pa.Table]) -> None:
        self._tables = tables

    def estimate(self, relation: Relation) -> int:
        return self.count(relation)

    def count(self, relation: Relation, ranges: Sequence[ColumnRange] = ()) -> int:
        return int(self._rows(relation, ranges).num_rows)

    def split(
        self,
        relation: Relation,
        key: Key,
        rows: int,
        within: KeyRange = KeyRange(),
        *,
        ranges: Sequence[ColumnRange] = (),
    ) -> list[KeyValue]:
        inside = _within(self._rows(relation, ranges), key, within)
        return [arrow_keys.key_at(inside, key, at) for at in range(rows, inside.num_rows, rows)]

    def scan(
        self,
        relation: Relation,
        columns: Sequence[str],
        *,
        key: Key = (),
        within: KeyRange = KeyRange(),
        ranges: Sequence[ColumnRange] = (),
        keys: pa.Table | None = None,
    ) -> Iterator[pa.RecordBatch]:
        rows = _within(self._rows(relation, ranges), key, within)
        if keys is not None:
            rows = rows.filter(pa.array(arrow_keys.contained(rows, keys, tuple(keys.column_names))))
        for batch in rows.select(list(columns)).to_batches(BATCH_ROWS):
            if batch.num_rows:
                yield batch

    def _rows(self, relation: Relation, ranges: Sequence[ColumnRange]) -> pa.Table:
        assert relation.table is not None
        rows = self._tables[relation.table.name]
        return rows.filter(pa.array(all_inside(rows, tuple(ranges)))) if ranges else rows


def _within(rows: pa.Table, key: Key, within: KeyRange) -> pa.Table:
    if not key:
        return rows
    null: Any = arrow_keys.null_keys(rows, key)
    whole = arrow_keys.ascending(rows.filter(pa.array(~null)), key)
    start = 0 if within.start is None else arrow_keys.position(whole, key, within.start)
    stop = whole.num_rows if within.stop is None else arrow_keys.position(whole, key, within.stop)
    inside = whole.slice(start, max(stop - start, 0))
    return pa.concat_tables([rows.filter(pa.array(null)), inside]) if within.nulls and np.any(null) else inside
