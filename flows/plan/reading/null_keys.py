"""Target rows with a null in their key: no source row is theirs, so they are told of and left as they are."""

from __future__ import annotations

from dataclasses import dataclass

import pyarrow as pa

from flows.bind.tables import BoundTable
from flows.session.route import Route
from flows.session.scan import readable
from transforms import expressions, keys
from transforms.vocabulary import Counts, Notice


@dataclass(frozen=True, slots=True)
class Keyless:
    """How many such rows a table has, and the key of one of them as a JSON array."""

    rows: int
    sample: str

    def told(self, bound: BoundTable) -> Notice:
        text = (
            f"{bound.name}: {self.rows:,} rows of the target have a null in the key ({', '.join(bound.key)}), such as "
            f"{self.sample}. They are matched with nothing and left as they are. Fix: give them a key, or delete them."
        )
        return Notice("null_keys", text, bound.name, {"rows": self.rows, "columns": list(bound.key)})


def keyless(route: Route, counts: Counts) -> Keyless | None:
    """What the plan of a whole table has not seen of the target: `counts.target_rows` are the rows that have a key."""
    bound = route.table
    shapes = [column for column in bound.shape.columns if column.name in bound.key]
    if bound.ddl or not any(column.nullable for column in shapes):
        return None
    there, target = bound.there, route.writes.snapshot
    rows = target.count(there) - counts.target_rows
    if rows <= 0:
        return None
    for column in (column.name for column in shapes if column.nullable):
        batches = target.scan(there, list(bound.key), key=(column,))  # nulls come first
        first = next(iter(readable(batches, bound.shape.name, route.writes.name, bound.key)), None)
        if first is not None and first.column(column).null_count:
            found = pa.Table.from_batches([first])
            found = found.filter(pa.array(keys.null_keys(found, bound.key)))
            return Keyless(rows, expressions.json_key(found, bound.key))
    return None
