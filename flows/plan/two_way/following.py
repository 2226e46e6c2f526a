"""A window of a projection that was planned before others of its origin, and follows what they make of its rows."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from flows.bind.tables import BoundTable
from flows.plan.two_way.bringing import Bringing, Brought
from flows.plan.two_way.reading import Read, whole
from flows.plan.two_way.seen import Place, as_others_leave
from transforms import keys
from transforms.changes_in_turn import both, rows_after
from transforms.mapping.mapping import REJECTED, Mapped
from transforms.net_changes import changed_keys
from transforms.reconcile.records import keys_of
from transforms.vocabulary import ChangeSet


def with_followed(bringing: Bringing, place: Place, first: Brought, late: ChangeSet) -> Brought:
    """The window with what later projections make of its rows, as if they had come after it was written.

    In: their changes in the window. A row that is still to go to the source for that stays as it was brought together before.
    """
    if not len(late) or first.decided.outcome.base is None:
        return first
    read, keyed = _read_again(place, first, late)
    second = bringing.together(place.window.number, read)
    if len(second.decided.outcome.source):
        ours = changed_keys(second.decided.outcome.source)
        read = _of_keys(read, keyed.filter(pa.array(~keys.contained(keyed, ours, place.bound.key))), place.bound)
        second = bringing.together(place.window.number, read)
    return _merged(place.bound, first, second, read)


def _read_again(place: Place, first: Brought, late: ChangeSet) -> tuple[Read, pa.Table]:
    """The rows of which later projections made something, as they are once the first planning of the window is in; and their keys."""
    bound, outcome = place.bound, first.decided.outcome
    none = whole(bound, [])
    empty = Mapped(none.mapped.rows, REJECTED.empty_table(), none.mapped.rejected_rows)
    found = pa.concat_tables([rows_after(first.rows.target, outcome.target), first.flagged])
    assert outcome.base is not None, "both sides have met"
    blank = Read(empty, none.raw, found, first.read.outside, outcome.base, none.lacking, first.read.kept)
    read = as_others_leave(place, blank, late, first.rows.raw)
    touched = changed_keys(late)
    here = keys.contained(first.rows.raw, touched, late.key) if first.rows.raw.num_rows else np.zeros(0, dtype=bool)
    assert read.others is not None, "there are late changes"
    some = [first.rows.source.filter(pa.array(here)), read.mapped.rows, read.others.outside.mapped.rows]
    key = list(bound.key)
    keyed = keys.distinct(pa.concat_tables([each.select(key).cast(bound.key_schema) for each in some]))
    return _of_keys(read, keyed, bound), keyed


def _of_keys(read: Read, keyed: pa.Table, bound: BoundTable) -> Read:
    def some(rows: pa.Table) -> pa.Table:
        return rows.filter(pa.array(keys.contained(rows, keyed, bound.key))) if rows.num_rows else rows

    mine = keys.contained(read.mapped.rows, keyed, bound.key) if read.mapped.rows.num_rows else np.zeros(0, dtype=bool)
    return replace(
        read,
        mapped=replace(read.mapped, rows=read.mapped.rows.filter(pa.array(mine))),
        raw=read.raw.filter(pa.array(mine)),
        found=some(read.found),
        outside=some(read.outside),
        base=None if read.base is None else some(read.base),
        lacking=some(read.lacking),
        kept=None if read.kept is None else some(read.kept),
    )


def _merged(bound: BoundTable, first: Brought, second: Brought, read: Read) -> Brought:
    """Both plannings of a window as one."""
    one, other = first.decided.outcome, second.decided.outcome
    key = bound.key
    assert one.base is not None and other.base is not None and read.base is not None, "both sides have met"
    again = pa.concat_tables([each.select(list(key)) for each in (read.base, read.found, read.mapped.rows)])
    again = keys.distinct(again)

    def rest(rows: pa.Table) -> pa.Table:
        return rows.filter(pa.array(~keys.contained(rows, again, key))) if rows.num_rows else rows

    open_before = one.conflicts.filter(pc.invert(pc.is_in(one.conflicts["key"], value_set=keys_of(again))))
    outcome = replace(
        one,
        target=both(one.target, other.target),
        conflicts=pa.concat_tables([open_before, other.conflicts]),
        overruled=pa.concat_tables([one.overruled, other.overruled]),
        base=pa.concat_tables([rest(one.base), other.base.select(one.base.column_names)]),
    )
    rows = replace(
        first.mapped,
        rows=pa.concat_tables([rest(first.mapped.rows), second.mapped.rows]),
        rejected=pa.concat_tables([first.mapped.rejected, second.mapped.rejected]),
        rejected_rows=pa.concat_tables([first.mapped.rejected_rows, second.mapped.rejected_rows]),
    )
    here = first.mapped.rows.num_rows - rest(first.mapped.rows).num_rows
    return replace(
        first,
        mapped=rows,
        source_rows=first.source_rows - here + second.source_rows,
        decided=replace(first.decided, outcome=outcome),
        again=read,
    )
