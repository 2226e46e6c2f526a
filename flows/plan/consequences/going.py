"""Rows that are to be deleted, and the rows that refer to them once the plans are in."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Literal

import numpy as np
import pyarrow as pa

from adapters.store.plan_files import read_written
from flows.bind.tables import BoundTable
from flows.plan.decide import Planned, read_changes
from flows.plan.reading.chosen_keys import held
from flows.plan.references.referrers import compared, inside, looked_through, values_of
from flows.session.scan import readable
from flows.session.session import Job
from flows.session.side import WrittenSide
from transforms import keys
from transforms.vocabulary import ChangeSet, ForeignKey, Key, Relation, TableName, TableShape
from transforms.vocabulary.arrow import Indices, Mask

Does = Literal["hold", "follow", "let_go"]
"""What rows do that refer to one that is to be deleted: they hold it, where they stay; they are deleted with it; or they let it
go, since their references are changed."""


@dataclass(slots=True)
class Going:
    """The deletes of a table by window, and which of them all, in that order, are not to go.

    `bound` is the table as the spec has it, None of one that the spec does not name: its rows go because of others alone. Those
    in `idle` stay because none of the others goes.
    """

    shape: TableShape
    key: Key
    windows: dict[int, ChangeSet]
    bound: BoundTable | None = None
    stays: Mask = field(init=False)
    idle: Mask = field(init=False)

    def __post_init__(self) -> None:
        self.stays, self.idle = np.zeros(self.rows, dtype=bool), np.zeros(self.rows, dtype=bool)

    @property
    def rows(self) -> int:
        return sum(changes.deletes.num_rows for changes in self.windows.values())

    def columns(self, names: Sequence[str]) -> pa.Table | None:
        """Some columns of the rows; None where the plan does not have them all."""
        if any(not set(names) <= set(changes.schema.names) for changes in self.windows.values()):
            return None
        return pa.concat_tables([changes.deletes.select(list(names)) for changes in self.windows.values()])

    def values(self, side: WrittenSide, names: Key) -> pa.Table:
        """What the rows hold in columns, as the engine compares it."""
        return values_of(side.adapter, side.snapshot, self.shape, self.key, self.columns, names)

    def asked_by(self, child: TableShape, foreign: ForeignKey) -> pa.Table | None:
        """What rows of `child` are asked for that refer to these, in its own columns; None where all of them have to be seen:
        the plan does not know the values, or a collation takes others for the same."""
        known = self.columns(foreign.refers_columns)
        ends = [(self.shape, name) for name in foreign.refers_columns] + [(child, name) for name in foreign.columns]
        columns = [shape.column(name) for shape, name in ends]
        if known is None or any(column is None or column.collation for column in columns):
            return None
        return held(child, keys.distinct(known.rename_columns(list(foreign.columns))))

    def without(self, number: int) -> Mask:
        """Which deletes of a window are not to go."""
        starts = np.cumsum([0, *(changes.deletes.num_rows for changes in self.windows.values())])
        at = list(self.windows).index(number)
        return self.stays[starts[at] : starts[at + 1]]


@dataclass(frozen=True, slots=True)
class Referring:
    """Rows of a table that refer to others: their keys, and the values that they refer to as the engine compares them."""

    keys: pa.Table
    values: pa.Table

    def filter(self, mask: Mask) -> Referring:
        chosen = pa.array(mask)
        return Referring(self.keys.filter(chosen), self.values.filter(chosen))


@dataclass(frozen=True, slots=True)
class Link:
    """A foreign key to rows that are to go: their `values`, row by row, and who refers to them once the plans are in.

    `place` says which of its own table's deletes a row is that refers, -1 for none. `why` the rows that refer cannot be planned,
    where the spec wants them to be.
    """

    child: TableShape
    foreign: ForeignKey
    values: pa.Table
    referring: Referring
    place: Indices
    does: Does = "hold"
    why: str = ""

    def staying(self, going: Mapping[TableName, Going], *, idle: bool = True) -> Referring:
        """The rows that refer and stay, as far as that is known now; with or without those that stay `idle`."""
        stays = self.place < 0
        if (own := going.get(self.child.name)) is not None:
            known = np.maximum(self.place, 0)
            stays |= own.stays[known] if idle else own.stays[known] & ~own.idle[known]
        return self.referring.filter(stays)

    def referred(self, going: Mapping[TableName, Going]) -> Mask:
        """Which rows that refer do so to one that goes, as far as that is known now."""
        return inside(self.referring.values, self.values.filter(pa.array(~going[self.foreign.refers].stays)))


def going_of(job: Job, bound: BoundTable, planned: Sequence[Planned]) -> Going | None:
    """The deletes of a table of the spec; None where it has none."""
    windows = {
        each.window: read_changes(job, each.changes) for each in planned if each.changes and each.changes.has("delete")
    }
    return Going(bound.shape, bound.key, windows, bound) if windows else None


def linked(
    side: WrittenSide,
    job: Job,
    child: TableShape,
    foreign: ForeignKey,
    going: Mapping[TableName, Going],
    own: BoundTable | None,
    windows: Sequence[Planned],
    key: Key,
) -> Iterator[Link]:
    """The link of a foreign key; none where nobody refers to what is to go.

    In: `own` and `windows`, the plan of the table that has it, where there is one; `key` tells its rows apart. All of it is taken
    for referred to where only the engine may look, and would carry the delete further.
    """
    values = going[foreign.refers].values(side, foreign.refers_columns)
    names = list(dict.fromkeys([*key, *foreign.columns]))
    taken = referring_to(side, child, foreign, key, values)
    asked = going[foreign.refers].asked_by(child, foreign) if job.chosen else None
    if own is not None:
        batches = readable(side.snapshot.scan(Relation(child.name), names, keys=asked), child.name, side.name, key)
        found = [taken(pa.Table.from_batches([batch])) for batch in batches]
        found = list(_as_planned(job, windows, found, names, key, taken))
    elif (seen := looked_through(side.adapter, child, names, taken, asked)) is not None:
        found = seen
    else:
        found = [Referring(values, values)] if foreign.on_delete else []
    if not any(each.values.num_rows for each in found):
        return
    whole = Referring(pa.concat_tables([each.keys for each in found]), pa.concat_tables([e.values for e in found]))
    place = np.full(whole.values.num_rows, -1, dtype=np.int64)
    if (gone := going.get(child.name)) is not None:
        deleted = gone.columns(key)
        known = ~keys.null_keys(whole.keys, key)
        if deleted is not None and known.any():
            place[known] = keys.match(whole.keys.filter(pa.array(known)).cast(deleted.schema), deleted, key)
    yield Link(child, foreign, values, whole, place)


def referring_to(
    side: WrittenSide, child: TableShape, foreign: ForeignKey, key: Key, values: pa.Table
) -> Callable[[pa.Table], Referring]:
    """What chooses, of rows of a table, those that refer to some values; `key` are the columns that are kept of them."""

    def taken(rows: pa.Table) -> Referring:
        whole = keys.without_null_keys(rows, foreign.columns)
        named = compared(side.adapter, child, whole, foreign.columns, values.schema)
        return Referring(whole.select(list(key)), named).filter(inside(named, values))

    return taken


def _as_planned(
    job: Job,
    windows: Sequence[Planned],
    found: Sequence[Referring],
    names: Sequence[str],
    key: Key,
    taken: Callable[[pa.Table], Referring],
) -> Iterator[Referring]:
    """Rows that refer, as the plan's inserts and updates will leave them."""
    left = list(found)
    for each in windows:
        if each.changes is None or not each.changes.has("insert", "update"):
            continue
        written = read_written(Path(job.folder), each.changes, names)
        if written is None:  # they keep the references that they have
            continue
        left = [old.filter(~inside(old.keys, written.select(list(key)))) for old in left]
        yield taken(written)
    yield from left
