"""What the target would refuse of an undo, asked before a row is written: an undo is refused as a whole, or done."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import suppress
from dataclasses import dataclass

import numpy as np
import pyarrow as pa

from adapters.protocol import Joining, Snapshot, Target
from adapters.store.plan_files import FileEntry
from adapters.store.plans import Plan
from flows.history.undo_order import listed
from flows.plan.references.foreseen import ByValue, foresee
from flows.plan.references.referrers import compared
from transforms import expressions, keys
from transforms.vocabulary import (
    ChangeSet,
    Key,
    PlanError,
    Relation,
    RowRefused,
    Stage,
    SynclineError,
    TableName,
    TableShape,
    text_of,
)
from transforms.vocabulary.arrow import Mask
from transforms.vocabulary.values import same_rows

AGAIN = "or undo what came after it as well"


def must_be_taken(
    numbers: Sequence[int],
    target: Target,
    snapshot: Snapshot,
    shapes: Mapping[TableName, TableShape],
    changes: Mapping[TableName, Sequence[ChangeSet]],
) -> None:
    """PlanError where a check would refuse rows that come back, or rows that stay have their unique values by now.

    In: the changes that take versions back, each row at most once. Reads of a table those rows that have unique values which come
    back; of one with checks all that comes back is tried out in a temporary table.
    """
    for table, parts in changes.items():
        if table in shapes and parts:
            _Table(listed(numbers), target, snapshot, shapes[table], parts).must_be_taken()


@dataclass(frozen=True, slots=True)
class _Table:
    undone: str
    target: Target
    snapshot: Snapshot
    shape: TableShape
    parts: Sequence[ChangeSet]

    @property
    def key(self) -> Key:
        return self.parts[0].key

    def must_be_taken(self) -> None:
        for part in self.parts:
            refused = self.target.refused(self.shape, part)
            if refused and (place := self._first_written(part, sorted(refused))) is not None:
                row = pa.concat_tables([part.inserts, part.after]).slice(place, 1)
                raise self._refusal(row, text_of(refused[place]), "change what the target demands of rows")
        for unique in sorted(tuple(n for n in self.shape.names if n in each) for each in self.shape.uniques):
            if (
                unique
                and not {*self.key} <= {*unique}
                and all({*unique} <= {*part.schema.names} for part in self.parts)
            ):
                self._must_be_free(unique)

    def _first_written(self, part: ChangeSet, places: Sequence[int]) -> int | None:
        """The first of some rows, by their place in what comes back, that is not left as somebody else has changed it."""
        whole = pa.concat_tables([part.inserts, part.after])
        written = foresee(self._rows, self.shape, [part], []).changes
        come = pa.concat_tables([written.inserts, written.after])
        inside = keys.contained(whole, come, self.key) if come.num_rows else np.zeros(whole.num_rows, dtype=bool)
        return next((place for place in places if inside[place]), None)

    def _must_be_free(self, unique: Key) -> None:
        """PlanError where a row that stays has values of unique columns that come back."""
        come = pa.concat_tables([_coming(part, unique) for part in self.parts])
        if not come.num_rows or not (there := self._having(unique, come)).num_rows:
            return
        images = [image for part in self.parts for image in (part.deletes, part.before)]
        own = pa.concat_tables([image.select(list(self.key)) for image in images])
        if own.num_rows:  # those that the undo is about give the value up, or are conflicts, and are met as such
            there = there.filter(pa.array(~keys.contained(there, own, self.key)))
        if not there.num_rows:
            return
        come = _coming(foresee(self._rows, self.shape, self.parts, [unique]).changes, unique)
        held, taken = (compared(self.target, self.shape, rows, unique) for rows in (there, come))
        if not held.num_rows or not taken.num_rows:
            return
        names = tuple(held.column_names)
        if (met := keys.match(taken.cast(held.schema), keys.distinct(held), names) >= 0).any():
            row = come.filter(pa.array(met)).slice(0, 1)
            first = compared(self.target, self.shape, row, unique).cast(held.schema)
            other = there.filter(pa.array(keys.contained(held, first, names)))
            why = f"row {expressions.json_key(other, self.key)} has its value of ({', '.join(unique)}), which is unique"
            raise self._refusal(row, why, "in the target, give that row another value, or delete it")

    @property
    def _rows(self) -> ByValue:
        return ByValue(self.target, self.snapshot, {self.shape.name: self.shape})

    def _having(self, unique: Key, come: pa.Table) -> pa.Table:
        """The rows of the table with some values in unique columns: these and the key."""
        names = list(dict.fromkeys([*self.key, *unique]))
        schema = self.shape.schema(tuple(names))
        values = keys.distinct(come.select(list(unique)))
        batches = self._rows.scan(Relation(self.shape.name), names, keys=values)
        return pa.Table.from_batches([each.select(names).cast(schema) for each in batches], schema=schema)

    def _refusal(self, row: pa.Table, why: str, fix: str) -> PlanError:
        key = expressions.json_key(row, self.key)
        return PlanError(
            f"Undoing version {self.undone} would bring row {key} of {self.shape.name} back, and the target would "
            f"refuse it: {why}. Nothing was written.",
            fix=f"{fix}; {AGAIN}.",
        )


def _coming(changes: ChangeSet, unique: Key) -> pa.Table:
    """The key and unique columns of rows that come, or get other values in these, without those of which one is null."""
    names = list(dict.fromkeys([*changes.key, *unique]))
    after = changes.after.filter(pa.array(_moved(changes, unique)))
    return keys.without_null_keys(pa.concat_tables([changes.inserts.select(names), after.select(names)]), unique)


def _moved(changes: ChangeSet, unique: Key) -> Mask:
    return ~same_rows(changes.before, changes.after, unique, {})


class _Tried(SynclineError):
    """The rehearsal came to its end, and is rolled back."""


def rehearse(plan: Plan, target: Target, shapes: Mapping[TableName, TableShape], stages: Sequence[Stage]) -> None:
    """Write all that is left of an undo in one transaction that is rolled back, where a table has what refuses rows only when
    they are written: triggers, rules, exclusions, policies, unique indexes of expressions, of computed columns or of some rows.

    Engines that cannot write several tables in one transaction are not asked. Errors: PlanError where a row is refused.
    """
    writes = list(_writes(plan, stages))
    tables = {entry.table for _, entry in writes if entry.table in shapes}
    if not isinstance(target, Joining) or not any(_refuses_late(target, shapes[table]) for table in tables):
        return
    marked = {(mark.table, mark.window, mark.phase) for mark in target.applied(plan.manifest.id)}
    table = None
    try:
        with suppress(_Tried), target.together() as joint:
            for stage, entry in writes:
                if (str(entry.table), entry.window, stage.phase) not in marked:
                    table = entry.table
                    joint.apply(plan.changes(entry).phase(stage.phase), shapes[table], None)
            joint.hold()
            raise _Tried("Only tried.")
    except RowRefused as error:
        raise PlanError(
            f"Undoing version {listed(plan.manifest.undoes)} would write rows of {table} that the target refuses: {error.reason}. "
            f"Nothing was written.",
            fix=f"change those rows of the target, or what it demands of them; {AGAIN}.",
        ) from error


def _refuses_late(target: Target, shape: TableShape) -> bool:
    computed = {column.name for column in shape.columns if column.generated}
    return any(unique & computed for unique in shape.uniques) or bool(target.design(shape.name).hooks)


def _writes(plan: Plan, stages: Sequence[Stage]) -> Iterator[tuple[Stage, FileEntry]]:
    entries = {(entry.table, entry.window): entry for entry in plan.windows()}
    for stage in stages:
        if stage.do == "write":
            yield from ((stage, entries[stage.table, number]) for number in stage.windows)
