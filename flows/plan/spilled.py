"""Read both sides of a table once into local files, cut by the key's hash: where they have no order in common, or some rows alone are
looked at.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final

import pyarrow as pa

from adapters.store import spill
from flows.plan.decide import Planned, WindowRows, decide
from flows.plan.reading.chosen_keys import Arrived
from flows.plan.reading.collisions import parts_of
from flows.plan.reading.owns import scan_outside
from flows.plan.reading.window_reader import (
    PlanWork,
    doubt_file,
    map_source,
    mended_values,
    scan_target,
    spill_folder,
    within_ranges,
)
from flows.session.route import Route
from flows.session.session import Session
from transforms import keys
from transforms.mapping.mapping import Mapped
from transforms.vocabulary import All, KeyRange, Older, Since

REJECTED_BYTES: Final = 32 * 2**20  # rejected rows of a spilled table that wait to be written down


def spill_table(session: Session, route: Route, work: PlanWork, parts: int) -> tuple[Planned, ...]:
    """Read both sides once into `parts` files by the key's hash; rejected rows are written down on the way.

    Out: what was rejected or mended, as windows of the numbers `parts`, `parts + 1` and so on; none where nothing was.
    Memory: REJECTED_BYTES of rejected rows, and a batch.
    """
    bound = route.table
    folder = spill_folder(work.job, work.table)
    rejected: list[Mapped] = []
    aside: list[Planned] = []
    arrived = Arrived(bound, work.selection)
    with (
        spill.Spill(folder / "wanted", bound.mapped_schema, parts) as wanted,
        spill.Spill(folder / "kept", bound.kept_schema, parts) as kept,
    ):
        for mapped in _mapped(session, route, work, arrived):
            mapped = within_ranges(mapped, bound, work.ranges)
            wanted.add(mapped.rows, parts_of(route, mapped.rows, parts))
            arrived.add(mapped)
            if mapped.rejected.num_rows or mapped.mended:
                rejected.append(replace(mapped, rows=mapped.rows.slice(0, 0)))
                whole = keys.without_null_keys(mapped.rejected_rows.select(bound.kept_schema.names), bound.key)
                kept.add(whole, parts_of(route, whole, parts))
            if sum(each.rejected.nbytes + each.rejected_rows.nbytes for each in rejected) >= REJECTED_BYTES:
                aside.append(set_rejected_aside(session, route, work, parts + len(aside), rejected))
                rejected = []
            session.meter.advance(bound.name, "read", mapped.rows.num_rows + mapped.rejected.num_rows)
        if work.doubtful:
            rows = spill.read_rows(doubt_file(work.job, bound.name))
            kept.add(rows, parts_of(route, rows, parts))
    with (
        spill.Spill(folder / "found", bound.schema, parts) as found,
        spill.Spill(folder / "outside", bound.key_schema, parts) as outside,
    ):
        for some in arrived.selections():
            asked = replace(work, selection=some)
            if not work.target_empty:
                for batch in scan_target(route, asked, KeyRange(nulls=False), order=()):
                    rows = pa.Table.from_batches([batch])
                    found.add(rows, parts_of(route, rows, parts))
            for rows in scan_outside(route, asked):
                outside.add(rows, parts_of(route, rows, parts))
    if rejected:
        aside.append(set_rejected_aside(session, route, work, parts + len(aside), rejected))
    return tuple(aside)


def set_rejected_aside(
    session: Session, route: Route, work: PlanWork, number: int, rejected: Sequence[Mapped]
) -> Planned:
    """Rows that were rejected before anything was cut into windows, as a window of their own."""
    bound = route.table
    whole = Mapped(
        rejected[0].rows,
        pa.concat_tables([m.rejected for m in rejected]),
        pa.concat_tables([m.rejected_rows for m in rejected]),
        mended_values(rejected),
    )
    none = bound.schema.empty_table()
    return decide(
        session, route, replace(work, selection=All()), WindowRows(number, whole, none, whole.rejected.num_rows)
    )


def _mapped(session: Session, route: Route, work: PlanWork, arrived: Arrived) -> Iterator[Mapped]:
    """The rows that are looked at, mapped. Behind what is new come those that wait, and, where several rows may have one key, the older
    ones with the same keys."""
    yield from map_source(route, work, KeyRange(), (), session.watch)
    if isinstance(since := work.selection, Since):
        again = since.wait if since.unique else arrived.with_texts(since.wait)
        if again.rows:
            older = replace(work, selection=Older(again, since))
            yield from map_source(route, older, KeyRange(), (), session.watch)
