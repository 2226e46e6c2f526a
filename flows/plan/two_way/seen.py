"""A window of a projection as other projections of its origin leave it, before anything of that is written."""

from __future__ import annotations

from dataclasses import dataclass, replace

import duckdb
import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flows.bind.tables import BoundTable
from flows.plan.reading.collisions import parts_of
from flows.plan.reading.window_reader import PlanWork, Window
from flows.plan.two_way.origins import Inside, Origin
from flows.plan.two_way.reading import Others, Part, Read, mapped_parts, whole, within_keys
from flows.session.route import Route
from flows.session.session import Session
from transforms import expressions, keys
from transforms.both_ways import BothWays
from transforms.changes_in_turn import with_effect
from transforms.mapping.put import put
from transforms.net_changes import changed_keys
from transforms.vocabulary import ChangeSet
from transforms.vocabulary.arrow import Mask, as_mask, contiguous


@dataclass(frozen=True, slots=True)
class Place:
    """A window of a projection among those of its table, in a plan: of so many `parts`, where its key has no order."""

    session: Session
    route: Route
    work: PlanWork
    window: Window
    parts: int

    @property
    def bound(self) -> BoundTable:
        return self.route.table

    def inside(self, origin: Origin) -> Inside | None:
        """Which rows of the origin are in the window, by their key; None where that does not say."""
        order = tuple(self.bound.renamed.get(name, "") for name in self.bound.order)
        if self.window.part is not None or not order or not set(order) <= set(origin.key):
            return None
        schema = self.bound.source_shape.schema(order)
        return lambda keyed: within_keys(keyed.select(list(order)), self.window.wanted, schema)

    def mine(self, rows: pa.Table) -> Mask:
        """Which mapped rows are in the window."""
        if self.window.part is not None:
            return np.asarray(parts_of(self.route, rows, self.parts) == self.window.part)
        return within_keys(rows, self.window.found, self.bound.shape.schema(self.bound.order))


def as_others_leave(place: Place, read: Read, changes: ChangeSet, shown: pa.Table) -> Read:
    """The window with rows of the origin as `changes` leave them: they are in it, or have left the projection, or are gone.

    In: the rows that the source shows of the window, by their key there. Memory: those rows and the changes.
    """
    if not len(changes):
        return read
    touched = changed_keys(changes)
    there = keys.contained(read.raw, touched, changes.key) if read.raw.num_rows else np.zeros(0, dtype=bool)
    known = Part(read.mapped, read.raw, read.lacking)
    before, rest = _only(known, there, place.bound), _only(known, ~there, place.bound)
    rows = pa.concat_tables([changes.inserts, changes.after])
    mask = _shown(place.bound, rows, changes, shown)
    inside, outside = (_mapped(place, rows.filter(pa.array(some))) for some in (mask, ~mask))
    now = whole(place.bound, [rest, inside])
    others = Others(touched, outside, before)
    return replace(read, mapped=now.mapped, raw=now.raw, lacking=now.lacking, others=others)


def _only(part: Part, some: Mask, bound: BoundTable) -> Part:
    """Some of the rows of a part, with what was set aside."""
    rows, lacking = part.mapped.rows.filter(pa.array(some)), part.lacking
    if lacking.num_rows:
        lacking = lacking.filter(pa.array(keys.contained(lacking, rows, bound.key)))
    return Part(replace(part.mapped, rows=rows), part.raw.filter(pa.array(some)), lacking)


def _mapped(place: Place, rows: pa.Table) -> Part:
    """Rows of the origin, mapped: those of the window."""
    bound = place.bound
    made = whole(bound, list(mapped_parts(place.session, bound, place.work, [rows], place.window.number)))
    mine = _only(made, place.mine(made.mapped.rows), bound)
    if place.window.part:  # nobody knows where rows without a key belong: the first window has them
        none = made.mapped.rejected_rows.slice(0, 0)
        mine = mine._replace(
            mapped=replace(mine.mapped, rejected=made.mapped.rejected.slice(0, 0), rejected_rows=none, mended={})
        )
    return mine


def readable_condition(bound: BoundTable) -> tuple[str, ...] | None:
    """The columns that the condition of a table's source is about; None where not every engine reads it alike."""
    where = bound.source.where
    if where is None or not expressions.means_the_same(where):
        return None
    shapes = {column.name: column for column in bound.source_shape.columns}
    names = expressions.named(where, shapes)
    if len(names) < len(expressions.columns(where)) or any(shapes[name].collation for name in names):
        return None
    return names


def _shown(bound: BoundTable, rows: pa.Table, changes: ChangeSet, shown: pa.Table) -> Mask:
    """Which of inserts and after images the condition of the projection holds for. Where only its engine can say that, rows stay where
    they were, and new ones are for the next run."""
    if bound.source.where is None:
        return np.ones(rows.num_rows, dtype=bool)
    if names := readable_condition(bound):
        try:
            ours = expressions.select(rows.select(names), {"ours": f"coalesce(({bound.source.where}\n), false)"})
            return as_mask(ours.column(0))
        except duckdb.Error:
            pass  # the source's engine reads it, and another one need not
    return keys.contained(rows, shown.select(list(changes.key)), changes.key)


def with_adopted(place: Place, origin: Origin, read: Read, born: ChangeSet, ways: BothWays) -> tuple[Read, ChangeSet]:
    """The window in which rows that this projection and earlier ones created have in the origin what it alone gives of them, beside what
    those do; and these changes, on top of theirs. In: the earlier changes in the window."""
    rows, raw, key = read.mapped.rows, read.raw, place.bound.key
    if not born.inserts.num_rows or not rows.num_rows or not read.found.num_rows:
        return read, origin.like
    twice = keys.contained(raw, born.inserts, origin.key) & keys.contained(rows, read.found, key)
    if read.base is not None and read.base.num_rows:
        twice &= ~keys.contained(rows, read.base, key)
    if not twice.any():
        return read, origin.like
    ours, current = rows.filter(pa.array(twice)), raw.filter(pa.array(twice))
    theirs = read.found.take(pa.array(keys.match(ours, read.found, key)))
    made = put(_union(place, origin, ours, theirs, current, ways), ours, current, ways.back)
    good = pa.array(~made.refused)
    after = made.rows.select(origin.like.schema.names).cast(origin.like.schema)
    changes = with_effect(replace(origin.like, before=current.filter(good), after=after.filter(good)))
    new = keys.contained(raw, changes.after, origin.key)
    mine = pa.array(keys.contained(after, changes.after, origin.key))
    return replace(
        read,
        mapped=replace(
            read.mapped,
            rows=pa.concat_tables(
                [rows.filter(pa.array(~new)), made.mapped.filter(mine).select(rows.column_names).cast(rows.schema)]
            ),
        ),
        raw=pa.concat_tables([raw.filter(pa.array(~new)), after.filter(mine).select(raw.column_names)]),
    ), changes


def _union(
    place: Place, origin: Origin, ours: pa.Table, theirs: pa.Table, current: pa.Table, ways: BothWays
) -> pa.Table:  # fmt: skip
    """Rows that several projections created, with what this one alone gives. In: as the origin has them, and as the target does."""
    inside = place.inside(origin)
    touched = {
        name: keys.contained(current, changed_keys(origin.changes([name], inside)), origin.key)
        for name in origin.before(place.bound.name)
    }
    columns: dict[str, pa.Array] = {name: contiguous(ours.column(name)) for name in ours.column_names}
    for name, way in ways.back.ways.items():
        if name in ways.comparison.key or way.why_not or name not in columns:
            continue
        given = np.zeros(ours.num_rows, dtype=bool)
        for each, some in touched.items():
            if origin.shows[each] & set(way.writes):
                given |= some
        mine = contiguous(theirs.column(name)).cast(columns[name].type)
        columns[name] = pc.if_else(pa.array(given), columns[name], mine)
    return pa.table(columns, schema=ours.schema)
