"""What planning both ways reads of a window: source rows mapped, with the rows that they are mapped from, the target's, and the base."""

from __future__ import annotations

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final, NamedTuple, TypeVar

import numpy as np
import pyarrow as pa

from adapters.pools import pool
from adapters.store import spill
from adapters.store.agreed import Parts, as_table, places, read_part
from flows.bind.tables import BoundTable
from flows.plan.decide import Planned
from flows.plan.reading.collisions import parts_of
from flows.plan.reading.owns import keys_outside, scan_outside
from flows.plan.reading.window_reader import (
    PlanWork,
    Window,
    doubt_file,
    lookup_rows,
    mended_values,
    read_found,
    scan_source,
    scan_target,
    spill_folder,
)
from flows.plan.reading.windows import MOST_PARTS, windows_of
from flows.plan.spilled import REJECTED_BYTES, set_rejected_aside
from flows.plan.two_way.parts import chosen_rows, inside_on_a_side, of_part
from flows.session.route import Route
from flows.session.session import Session
from transforms import keys
from transforms.mapping.mapping import REJECTED, Mapped
from transforms.mapping.taken_along import lacking_schema, map_along
from transforms.vocabulary import KeyRange
from transforms.vocabulary.arrow import Mask
from transforms.vocabulary.unmet import UNMET, with_marks, without_idle_marks

Rows = TypeVar("Rows", pa.Table, pa.Table | None)

RAW: Final = "syncline raw "
"""What names of columns begin with that hold what a row is mapped from, beside those that it is mapped to."""


@dataclass(frozen=True, slots=True)
class Read:
    """A window as it is read. `raw` is what the mapped rows are mapped from, row by row; `base` is None where the sides have not met.

    `lacking` are rows in which a value could not be made (`map_along`).
    """

    mapped: Mapped
    raw: pa.Table
    found: pa.Table
    outside: pa.Table
    base: pa.Table | None
    lacking: pa.Table
    kept: pa.Table | None = None
    others: Others | None = None


@dataclass(frozen=True, slots=True)
class Others:
    """What other projections of its origin made of a window's rows: the keys of all these in the source, `touched`, and those of them that
    the source still has but does not show any more, `outside` its condition. `before` has the rows as they were read."""

    touched: pa.Table
    outside: Part
    before: Part


def raw_schema(bound: BoundTable) -> pa.Schema:
    """The columns that are read of the source, with their types."""
    return bound.source_shape.schema(bound.reads)


def both_windows(
    session: Session, route: Route, work: PlanWork, known: Parts | None
) -> tuple[tuple[Window, ...], tuple[Planned, ...]]:
    """The windows of a table, ascending where its key has an order, and what was set aside while it was spilled."""
    if route.table.order and work.keys is None:
        return windows_of(session, route, work)
    bound = route.table
    source_rows, target_rows = route.reads.snapshot.estimate(bound.source), route.writes.snapshot.estimate(bound.there)
    rows = max(source_rows, target_rows, known.rows if known is not None else 0)
    rows = rows if work.keys is None else work.keys.rows
    session.meter.expect(bound.name, "plan", rows)
    parts = min(max(1, -(-rows // bound.window_rows)), MOST_PARTS)
    aside = _spilled(session, route, work, known, parts)
    return tuple(Window(part, part=part) for part in range(parts)), aside


def read_both(session: Session, route: Route, work: PlanWork, window: Window, known: Parts | None) -> Read:
    """Everything that there is of a window, or of those of its rows that the plan looks at."""
    read, bound = _read_both(session, route, work, window, known), route.table
    inside = inside_on_a_side((read.mapped.rows, read.found), bound, work.selection)
    if inside is None:
        return read

    def some(rows: pa.Table) -> pa.Array:
        return pa.array(keys.contained(rows, inside, bound.key) if rows.num_rows else np.zeros(0, dtype=bool))

    mine = some(read.mapped.rows)
    return replace(
        read,
        mapped=replace(read.mapped, rows=read.mapped.rows.filter(mine)),
        raw=read.raw.filter(mine),
        found=read.found.filter(some(read.found)),
        base=None if read.base is None else read.base.filter(some(read.base)),
        lacking=read.lacking.filter(some(read.lacking)),
    )


def _read_both(session: Session, route: Route, work: PlanWork, window: Window, known: Parts | None) -> Read:
    bound = route.table
    if window.part is None:
        with pool(1, "target") as threads:  # both sides are read at the same time
            there = threads.submit(read_found, route, work, window)
            parts = list(_mapped(session, route, work, window.wanted, bound.order, window.number))
            mapped, raw, lacking = whole(bound, parts)
            base = _of_plan(_base_of(known, window.found), bound, work)
            found = there.result()
        return Read(mapped, raw, found, keys_outside(route, work, window.found, bound.order), base, lacking)
    folder = spill_folder(work.job, work.table)
    wide = spill.read_part(folder / "wanted", window.part, _wide_schema(bound))
    names = bound.mapped_schema.names
    raw = wide.select([RAW + name for name in bound.reads]).rename_columns(list(bound.reads))
    mapped = Mapped(wide.select(names), REJECTED.empty_table(), wide.select(names).slice(0, 0))
    kept = spill.read_part(folder / "kept", window.part, bound.kept_schema)
    found = spill.read_part(folder / "found", window.part, bound.schema)
    outside = spill.read_part(folder / "outside", window.part, bound.key_schema)
    base = None
    if known is not None:
        base = without_idle_marks(spill.read_part(folder / "base", window.part, _base_schema(known)))
    lacking = spill.read_part(folder / "lacking", window.part, lacking_schema(bound.mapping))
    return Read(mapped, raw, found, outside, base, lacking, kept)


def aligned(raw: pa.Table, before: pa.Table, after: pa.Table, bound: BoundTable) -> pa.Table:
    """The rows that mapped rows are mapped from, once some were set aside. In: the mapped rows, `before` and `after` that."""
    if after.num_rows == before.num_rows:
        return raw
    return raw.take(pa.array(keys.match(after, before, bound.key)))


class Part(NamedTuple):
    """Rows of the source: mapped, with the rows that they are mapped from, row by row, and those that lack a value."""

    mapped: Mapped
    raw: pa.Table
    lacking: pa.Table


def _mapped(
    session: Session, route: Route, work: PlanWork, within: KeyRange, order: tuple[str, ...], number: int
) -> Iterator[Part]:
    """Batches of the source, mapped, each with the rows that it is mapped from."""
    batches = scan_source(route, work, within, order)
    return mapped_parts(session, route.table, work, map(_as_table, batches), number)


def _as_table(batch: pa.RecordBatch) -> pa.Table:
    return pa.Table.from_batches([batch])


def mapped_parts(
    session: Session, bound: BoundTable, work: PlanWork, batches: Iterable[pa.Table], number: int
) -> Iterator[Part]:
    """Rows of the source, mapped: of a plan of some rows those alone."""
    lookups, noted = lookup_rows(bound, work.job), session.watch.noting(bound.name, number)
    for rows in batches:
        made = map_along(rows, bound.mapping, lookups, noted)
        raw = rows.filter(pa.array(~made.aside)) if made.aside.any() else rows
        raw = raw.select(list(bound.reads))
        if work.selection.whole:
            yield Part(made.mapped, raw, made.lacking)
            continue
        mapped, mine = of_part(made.mapped, rows, made.aside, bound, work)
        lacking = made.lacking.filter(pa.array(chosen_rows(made.lacking, bound, work)))
        yield Part(mapped, raw.filter(pa.array(mine)), lacking)


def whole(bound: BoundTable, parts: Sequence[Part]) -> Part:
    """Parts as one."""
    if not parts:
        empty = bound.mapped_schema.empty_table()
        none = lacking_schema(bound.mapping).empty_table()
        return Part(Mapped(empty, REJECTED.empty_table(), empty), raw_schema(bound).empty_table(), none)
    made = [part.mapped for part in parts]
    mapped = Mapped(
        pa.concat_tables([each.rows for each in made]),
        pa.concat_tables([each.rejected for each in made]),
        pa.concat_tables([each.rejected_rows for each in made]),
        mended_values(made),
    )
    raw, lacking = (pa.concat_tables(some) for some in zip(*((each.raw, each.lacking) for each in parts), strict=True))
    return Part(mapped, raw, lacking)


def _base_of(known: Parts | None, within: KeyRange) -> pa.Table | None:
    """The base's rows in a range of keys, None where the sides have not met."""
    if known is None:
        return None
    cuts, start, stop = known.cuts(), within.start, within.stop
    first = 0 if start is None else bisect_right(cuts, start)
    last = len(cuts) if stop is None else bisect_left(cuts, stop)
    parts = [read_part(known, number) for number in range(first, last + 1)]
    rows = pa.concat_tables(parts, promote_options="default")
    return rows.filter(pa.array(within_keys(rows, within, known.starts.schema)))


def within_keys(rows: pa.Table, within: KeyRange, order: pa.Schema) -> Mask:
    """Which rows are in a range of keys. In: the columns of the keys, as they are ordered."""
    ends = [each for each in (within.start, within.stop) if each is not None]
    if not ends:
        return np.ones(rows.num_rows, dtype=bool)
    at = places(rows.select(order.names).cast(order), as_table(ends, order))
    inside: Mask = at == (within.start is not None)
    return inside


def _base_schema(known: Parts) -> pa.Schema:
    """The columns of spilled rows of the base, in which some may not have met."""
    loose = [each if each.name in known.agreement.key else each.with_nullable(True) for each in known.agreement.schema]
    return pa.schema([*loose, pa.field(UNMET, pa.string())])


def _of_plan(base: Rows, bound: BoundTable, work: PlanWork) -> Rows:
    """What is agreed on of the rows that a plan looks at."""
    if base is None or work.selection.whole:
        return base
    return base.filter(pa.array(chosen_rows(base, bound, work)))


def _wide_schema(bound: BoundTable) -> pa.Schema:
    return pa.schema([*bound.mapped_schema, *(field.with_name(RAW + field.name) for field in raw_schema(bound))])


def _spilled(session: Session, route: Route, work: PlanWork, known: Parts | None, parts: int) -> tuple[Planned, ...]:
    """Read both sides and the base once into `parts` files by the key's hash. Out: what was set aside, as windows of its own.

    Memory: REJECTED_BYTES of rejected rows, a batch, and a part of the base.
    """
    bound = route.table
    folder = spill_folder(work.job, work.table)
    rejected: list[Mapped] = []
    aside: list[Planned] = []

    def set_aside() -> None:
        aside.append(set_rejected_aside(session, route, work, parts + len(aside), rejected))
        rejected.clear()

    wide = _wide_schema(bound)
    with (
        spill.Spill(folder / "wanted", wide, parts) as wanted,
        spill.Spill(folder / "kept", bound.kept_schema, parts) as kept,
        spill.Spill(folder / "lacking", lacking_schema(bound.mapping), parts) as lacking,
    ):
        for mapped, raw, unmade in _mapped(session, route, work, KeyRange(), (), 0):
            rows = pa.table([*mapped.rows.columns, *raw.columns], schema=wide)
            wanted.add(rows, parts_of(route, mapped.rows, parts))
            if unmade.num_rows:
                lacking.add(unmade, parts_of(route, unmade, parts))
            if mapped.rejected.num_rows or mapped.mended:
                rejected.append(replace(mapped, rows=mapped.rows.slice(0, 0)))
                away = keys.without_null_keys(mapped.rejected_rows.select(bound.kept_schema.names), bound.key)
                kept.add(away, parts_of(route, away, parts))
            if sum(each.rejected.nbytes + each.rejected_rows.nbytes for each in rejected) >= REJECTED_BYTES:
                set_aside()
            session.meter.advance(bound.name, "read", rows.num_rows + mapped.rejected.num_rows)
        if work.doubtful:
            doubtful = spill.read_rows(doubt_file(work.job, bound.name))
            kept.add(doubtful, parts_of(route, doubtful, parts))
    with spill.Spill(folder / "found", bound.schema, parts) as found:
        for batch in scan_target(route, work, KeyRange(nulls=False), order=()):
            rows = pa.Table.from_batches([batch])
            found.add(rows, parts_of(route, rows, parts))
    with spill.Spill(folder / "outside", bound.key_schema, parts) as outside:
        for rows in scan_outside(route, work):
            outside.add(rows, parts_of(route, rows, parts))
    if known is not None:
        schema = _base_schema(known)
        with spill.Spill(folder / "base", schema, parts) as base:
            for number in range(len(known.parts)):
                rows = _of_plan(with_marks(read_part(known, number)).cast(schema), bound, work)
                base.add(rows, parts_of(route, rows, parts))
    if rejected:
        set_aside()
    return tuple(aside)
