"""Foreign keys by which an engine itself would carry a delete further (ON DELETE CASCADE and its like): it never does here.

A plan keeps the rows that others refer to. Who came to refer to one since then is asked before its window is written.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from adapters.protocol import Target
from flows.plan.references import related
from flows.plan.referrers import compared, inside, looked_through, values_of
from transforms import keys
from transforms.vocabulary import ChangeSet, ForeignKey, Reason, TableName, TableShape
from transforms.vocabulary.arrow import Mask


@dataclass(frozen=True, slots=True)
class Carrying:
    """A foreign key of `child` that would carry a delete further."""

    child: TableShape
    foreign: ForeignKey

    @property
    def reason(self) -> Reason:
        """Why a row of the table that is referred to cannot be deleted."""
        by, further = list(self.foreign.columns), self.foreign.on_delete
        return Reason("referred", None, {"table": str(self.child.name), "by": by, "on_delete": further})


def carrying(target: Target, tables: Collection[TableName]) -> dict[TableName, tuple[Carrying, ...]]:
    """The foreign keys to tables that would carry a delete of theirs further; nothing is asked where there are no tables."""
    found: dict[TableName, tuple[Carrying, ...]] = {}
    for shape in related(target, list(tables)).values() if tables else ():
        for foreign in shape.foreign_keys:
            if foreign.refers in tables and foreign.on_delete:
                found[foreign.refers] = (*found.get(foreign.refers, ()), Carrying(shape, foreign))
    return found


def held_back(target: Target, shape: TableShape, changes: ChangeSet, links: Sequence[Carrying]) -> dict[int, Reason]:
    """Why deletes of a window cannot go now, by number: rows refer to them that the engine would change with them.

    Rows that go with the same window do not count. In: `links` are those of the table. Reads the columns that refer, from a
    new snapshot.
    """
    found: dict[int, Reason] = {}
    for link in links if changes.deletes.num_rows else ():
        found |= dict.fromkeys(np.flatnonzero(_referred(target, shape, changes, link)).tolist(), link.reason)
    return found


def _referred(target: Target, shape: TableShape, changes: ChangeSet, link: Carrying) -> Mask:
    """Which deletes rows refer to by this key that stay; all of them where the rows cannot be read."""
    child, foreign, key = link.child, link.foreign, changes.key
    itself = child.name == shape.name
    gone = changes.deletes.select(list(key))

    def known(names: Sequence[str]) -> pa.Table | None:
        return changes.deletes.select(list(names)) if set(names) <= set(changes.schema.names) else None

    with target.snapshot() as now:
        values = values_of(target, now, shape, key, known, foreign.refers_columns)

    def referring(rows: pa.Table) -> pa.Table:
        whole = keys.without_null_keys(rows, foreign.columns)
        if itself and whole.num_rows:
            own = whole.select(list(key)).cast(gone.schema)
            whole = whole.filter(pa.array(~keys.contained(own, gone, key)))
        named = compared(target, child, whole, foreign.columns, values.schema)
        return named.filter(pa.array(inside(named, values)))

    names = list(dict.fromkeys([*(key if itself else ()), *foreign.columns]))
    seen = looked_through(target, child, names, referring)
    return inside(values, values if seen is None else pa.concat_tables([values.slice(0, 0), *seen]))
