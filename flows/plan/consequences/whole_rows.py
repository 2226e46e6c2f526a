"""Rows that go, whole: with the columns that the spec does not map, so that they are guarded and can come back.

A change set has one schema. Inserts and updates have the columns that the spec maps, whatever else the table has. Deletes of
a table with more columns than those are change sets of their own, in windows of their own behind all others, whose images
have every column that the engine does not compute itself: all of them are compared before such a row goes, and all come back
with an undo. Those columns are read of the rows that go, by their keys, and of no others. Where nothing refers to a table, its
deletes come `first`; else they come behind all inserts and updates, as everywhere.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from functools import cache
from pathlib import Path

import pyarrow as pa

from adapters.protocol import Catalog, Snapshot
from adapters.store.plans import PlanWriter
from flows.bind.own_columns import beside, described, how_to_lose, lost, must_travel
from flows.plan.decide import SAMPLES, Planned, read_changes, samples
from flows.session.route import Route
from flows.session.scan import rows_by_key
from flows.session.session import Job, Session
from flows.spec.model import Spec
from transforms import keys
from transforms.vocabulary import ChangeSet, Counts, Key, PlanError, TableShape


def with_whole_deletes(session: Session, job: Job, route: Route, planned: Sequence[Planned]) -> list[Planned]:
    """The windows of a table, with its deletes in windows of their own, whole.

    Memory: one window. Errors: DataError where a column of such a row cannot be read.
    """
    bound = route.table
    going = [each for each in planned if each.changes is not None and each.changes.has("delete")]
    if not going or not bound.unmapped:
        return list(planned)
    must_travel(bound.shape, bound.unmapped, sum(_deletes(each) for each in going))
    writer = PlanWriter(Path(job.folder), begun=True)
    first = bound.name not in session.bound.referred
    found = {each.window: each for each in planned}
    for number, each in enumerate(going, max(found) + 1):
        assert each.changes is not None
        changes = session.changes.take(bound.name, each.window) or read_changes(job, each.changes)
        gone = whole(route.writes.snapshot, bound.shape, changes.phase("delete"), bound.unmapped)
        rest = changes.phase("upsert")
        entry = writer.add(each.window, rest) if len(rest) else None
        for window, part in ((each.window, rest), (number, gone)):
            if len(part):
                session.changes.keep(bound.name, window, part)
        shown = tuple(sample for sample in each.samples if sample.op != "delete")
        found[each.window] = replace(each, changes=entry, samples=shown)
        deletes = writer.add(number, gone)
        found[number] = Planned(
            bound.name, number, Counts(), deletes, None, None, clear=False, first=first,
            samples=samples(gone, SAMPLES) if len(shown) < len(each.samples) else (),
        )  # fmt: skip
    return list(found.values())


def whole(snapshot: Snapshot, shape: TableShape, deletes: ChangeSet, names: Key) -> ChangeSet:
    """Deletes with more columns, which are read of the rows that are to go: they are compared too.

    In: the deletes' own images have the columns that are known; `names` are the others. Out: in the table's order. A row that
    is not there any more has none. Errors: DataError where one cannot be read.
    """
    known = deletes.deletes
    schema = shape.schema(tuple(name for name in shape.names if name in known.column_names or name in names))
    fields = [known.schema.field(name) if name in known.column_names else schema.field(name) for name in schema.names]
    there = rows_by_key(
        snapshot, shape, names, known.select(list(deletes.key)), deletes.key, how_to_lose(shape.name, names)
    )
    place = keys.match(known, there, deletes.key)
    taken = there.take(pa.array(place, mask=place < 0))
    columns = [known.column(name) if name in known.column_names else taken.column(name) for name in schema.names]
    rows = pa.Table.from_arrays(columns, schema=pa.schema(fields))
    none = rows.slice(0, 0)
    compared = tuple(name for name in rows.column_names if name in deletes.compared or name in names)
    return replace(deletes, compared=compared, inserts=none, before=none, after=none, deletes=rows)


@dataclass(frozen=True, slots=True)
class WholeRows:
    """What whole rows of a table have beside the columns that plans write: `names`, in the table's order."""

    shape: TableShape
    names: Key

    @classmethod
    def of(cls, spec: Spec, shape: TableShape, written: Iterable[str]) -> WholeRows:
        """As an undo needs it, which knows what was written, whatever the spec maps today."""
        gone = lost(spec, shape.name)
        return cls(shape, tuple(name for name in beside(shape, list(written)) if name not in gone))

    @property
    def described(self) -> tuple[tuple[str, str], ...]:
        return described(self.shape, self.names)

    def must_be(self, planned: tuple[tuple[str, str], ...]) -> None:
        """PlanError where a plan that deletes rows knew the table with other columns."""
        if planned != self.described:
            was, now = (
                ", ".join(f"{name} {kind}" for name, kind in each) or "none" for each in (planned, self.described)
            )
            raise PlanError(
                f"{self.shape.name} has changed since this was planned: beside the columns that are written it had {was}, and now "
                f"has {now}, which rows would be deleted with. Nothing was written.",
                fix="plan again.",
            )

    def filled(self, target: Catalog, snapshot: Snapshot, windows: Iterable[ChangeSet]) -> Iterator[ChangeSet]:
        """Windows of an undo, with rows that go in windows of their own, whole.

        What is not known of such a row is read now. A column that nobody fills when a row is inserted was null when it was: where
        it is not, somebody has edited the row since, and it is a conflict. What the target may have filled itself is as it is there.
        """
        born_null = cache(lambda: self._born_null(target))  # asked where it is needed, and once
        for changes in windows:
            lacking = tuple(n for n in self.names if n not in changes.deletes.column_names)
            if changes.deletes.num_rows and lacking:
                must_travel(self.shape, lacking, changes.deletes.num_rows)
                gone = whole(snapshot, self.shape, changes.phase("delete"), lacking)
                yield replace(gone, deletes=_without(gone.deletes, born_null() & set(lacking)))
                changes = changes.phase("upsert")
            lacking = tuple(n for n in changes.after.column_names if n not in changes.before.column_names)
            if changes.before.num_rows and lacking:
                changes = self._replaced(snapshot, changes, lacking, born_null())
            if len(changes):
                yield changes

    def _replaced(self, snapshot: Snapshot, changes: ChangeSet, lacking: Key, empty: frozenset[str]) -> ChangeSet:
        """Rows that were deleted and came back: what they have now in the columns that they are to get back."""
        none = changes.before.slice(0, 0)
        gone = replace(changes, inserts=none, before=none, after=none, deletes=changes.before)
        was = whole(snapshot, self.shape, gone, lacking)
        before = _without(was.deletes, empty & set(lacking))
        after = pa.table(
            [(changes.after if n in changes.after.column_names else before).column(n) for n in before.column_names],
            before.schema,
        )
        nothing = after.slice(0, 0)
        return replace(changes, compared=was.compared, inserts=nothing, before=before, after=after, deletes=nothing)

    def _born_null(self, target: Catalog) -> frozenset[str]:
        """The columns that are null in a row that is inserted without them."""
        if any(each.kind in ("trigger", "rule") for each in target.design(self.shape.name).hooks):
            return frozenset()  # one of these may have filled them
        return frozenset(
            c.name for c in self.shape.columns if c.nullable and not (c.default or c.identity or c.generated)
        )


def _without(rows: pa.Table, names: Collection[str]) -> pa.Table:
    """Rows with nulls in some columns."""
    columns = [
        pa.nulls(rows.num_rows, field.type) if field.name in names else rows.column(field.name) for field in rows.schema
    ]
    return pa.Table.from_arrays(columns, schema=rows.schema)


def _deletes(planned: Planned) -> int:
    return planned.changes.counts.get("delete", 0) if planned.changes else 0
