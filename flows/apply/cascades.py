"""Foreign keys by which an engine itself would carry a change further (CASCADE, SET NULL and their like): it never does here.

A plan keeps the rows that others refer to, or says what becomes of those. Who came to refer to one since then is asked before its
window is written.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
import pyarrow as pa

from adapters.protocol import Target
from flows.plan.references.foreseen import Whole, foresee
from flows.plan.references.references import related
from flows.plan.references.referrers import compared, inside, looked_through, values_of
from transforms import keys
from transforms.vocabulary import ChangeSet, ForeignKey, Reason, TableName, TableShape
from transforms.vocabulary.arrow import Mask
from transforms.vocabulary.values import same_rows


@dataclass(frozen=True, slots=True)
class Carrying:
    """A foreign key of `child` that would carry a delete further, or an update of what it refers to."""

    child: TableShape
    foreign: ForeignKey
    op: Literal["delete", "update"] = "delete"

    @property
    def reason(self) -> Reason:
        """Why a row of the table that is referred to cannot be deleted, or given other values."""
        facts = {"table": str(self.child.name), "by": list(self.foreign.columns)}
        if self.op == "delete":
            return Reason("referred", None, {**facts, "on_delete": self.foreign.on_delete})
        return Reason("referred", None, {**facts, "on_update": self.foreign.on_update})


def carrying(
    target: Target, losing: Collection[TableName], changing: Mapping[TableName, Collection[str]]
) -> dict[TableName, tuple[Carrying, ...]]:
    """The foreign keys to tables that would carry changes of theirs further; nothing is asked where there are no tables.

    In: the tables that lose rows, and the columns of others, or the same, that updates may change.
    """
    found: dict[TableName, tuple[Carrying, ...]] = {}
    tables = list(dict.fromkeys([*losing, *changing]))
    for shape in related(target, tables).values() if tables else ():
        for foreign in shape.foreign_keys:
            links = found.get(foreign.refers, ())
            if foreign.refers in losing and foreign.on_delete:
                links = (*links, Carrying(shape, foreign))
            if foreign.on_update and not set(foreign.refers_columns).isdisjoint(changing.get(foreign.refers, ())):
                links = (*links, Carrying(shape, foreign, "update"))
            if links:
                found[foreign.refers] = links
    return found


Planned = Callable[[TableName], Sequence[ChangeSet]]
"""What a plan does to a table; nothing where that is done before, or does not matter."""


def held_back(
    target: Target,
    shape: TableShape,
    changes: ChangeSet,
    links: Sequence[Carrying],
    planned: Planned,
    *,
    together: bool = False,
) -> dict[int, Reason]:
    """Why deletes and updates of a window cannot go in now, by number, deletes first: rows refer to them that the engine would
    change with them.

    Rows that go with the same window do not count, nor do those that are `planned` to go or to refer to others, and are still as
    that expects; of the table itself only where its windows go in `together`: else those that come before are in. In: `links` are
    those of the table. Reads the columns that refer, from a new snapshot.
    """
    found: dict[int, Reason] = {}
    gone = changes.deletes.num_rows
    for link in links:
        if link.op == "delete":
            rows, places = changes.deletes, np.arange(gone)
        else:
            mine = tuple(name for name in link.foreign.refers_columns if name in changes.schema.names)
            moved = ~same_rows(changes.before, changes.after, mine, {})
            rows, places = changes.before.filter(pa.array(moved)), gone + np.flatnonzero(moved)
        if rows.num_rows:
            alone = link.op == "delete" and link.child.name == shape.name and not together
            others = None if alone else planned(link.child.name)
            referred = _referred(target, shape, changes, rows, link, others)
            found |= dict.fromkeys(places[referred].tolist(), link.reason)
    return found


def _referred(
    target: Target,
    shape: TableShape,
    changes: ChangeSet,
    rows: pa.Table,
    link: Carrying,
    planned: Sequence[ChangeSet] | None,
) -> Mask:
    """Which of some rows others refer to by this key that stay; all of them where the others cannot be read.

    Without `planned`, those that are deleted with them are all that go.
    """
    child, foreign, key = link.child, link.foreign, changes.key

    def known(names: Sequence[str]) -> pa.Table | None:
        return rows.select(list(names)) if set(names) <= set(rows.column_names) else None

    with target.snapshot() as now:
        values = values_of(target, now, shape, key, known, foreign.refers_columns)
        if planned is None:
            away = changes.deletes.select(list(key))
        else:
            away = (
                _letting_go(foresee(Whole(now), child, planned, [foreign.columns]).changes, foreign)
                if planned
                else None
            )
    theirs = tuple(away.column_names) if away is not None else ()

    def referring(some: pa.Table) -> pa.Table:
        whole = keys.without_null_keys(some, foreign.columns)
        if away is not None and whole.num_rows:
            own = whole.select(list(theirs)).cast(away.schema)
            whole = whole.filter(pa.array(~keys.contained(own, away, theirs)))
        named = compared(target, child, whole, foreign.columns, values.schema)
        return named.filter(pa.array(inside(named, values)))

    seen = looked_through(target, child, list(dict.fromkeys([*theirs, *foreign.columns])), referring)
    return inside(values, values if seen is None else pa.concat_tables([values.slice(0, 0), *seen]))


def _letting_go(changes: ChangeSet, foreign: ForeignKey) -> pa.Table:
    """The keys of rows that go, or will refer to others."""
    key, written = list(changes.key), tuple(name for name in foreign.columns if name in changes.schema.names)
    moved = pa.array(~same_rows(changes.before, changes.after, written, {}))
    return pa.concat_tables([changes.deletes.select(key), changes.before.filter(moved).select(key)])
