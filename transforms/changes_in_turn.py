"""Changes on top of others: what two change sets come to that one after the other changed rows of one window."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from transforms import keys
from transforms.net_changes import changed_keys, without
from transforms.vocabulary import ChangeSet
from transforms.vocabulary.arrow import Indices, Mask
from transforms.vocabulary.values import same_rows


def on_top(earlier: ChangeSet, later: ChangeSet) -> ChangeSet:
    """The rows of `later`, from what they were before `earlier` changed them.

    In: changes of equal schemas and keys; `later` was made of rows as `earlier` leaves them. Out: at most one change a key; a row that
    was inserted and deleted is in none, one that is what it was again is an update all the same (`back_again`).
    Law: `earlier` without the rows of `later`, and the result, do together what both do one after the other.
    """
    born, lost = _at(later.before, earlier.inserts, later), _at(later.deletes, earlier.inserts, later)
    moved, dropped = _at(later.before, earlier.after, later), _at(later.deletes, earlier.after, later)
    again = _at(later.inserts, earlier.deletes, later)
    stays = pa.array(born < 0)
    updates = pa.concat_tables(
        [_instead(later.before, earlier.before, moved).filter(stays), _taken(earlier.deletes, again)]
    )
    after = pa.concat_tables([later.after.filter(stays), later.inserts.filter(pa.array(again >= 0))])
    return replace(
        later,
        inserts=pa.concat_tables([later.inserts.filter(pa.array(again < 0)), later.after.filter(pa.array(born >= 0))]),
        before=updates,
        after=after,
        deletes=_instead(later.deletes, earlier.before, dropped).filter(pa.array(lost < 0)),
    )


def both(earlier: ChangeSet, later: ChangeSet) -> ChangeSet:
    """What two change sets come to. In: as of `on_top`."""
    return joined(without(earlier, changed_keys(later)), on_top(earlier, later))


def joined(one: ChangeSet, other: ChangeSet) -> ChangeSet:
    """The changes of both. In: equal schemas; no key is in both."""
    return replace(
        one,
        inserts=pa.concat_tables([one.inserts, other.inserts]),
        before=pa.concat_tables([one.before, other.before]),
        after=pa.concat_tables([one.after, other.after]),
        deletes=pa.concat_tables([one.deletes, other.deletes]),
    )


def latest(earlier: ChangeSet, later: ChangeSet) -> ChangeSet:
    """The changes of both where each says of its rows what they come to from the beginning: those of `later`, and the rest of `earlier`."""
    return joined(without(earlier, changed_keys(later)), later)


def back_again(changes: ChangeSet) -> Mask:
    """Which updates leave the row as it is."""
    return same_rows(changes.before, changes.after, tuple(changes.schema.names), {})


def with_effect(changes: ChangeSet) -> ChangeSet:
    """The changes without such updates."""
    moved = pa.array(~back_again(changes))
    return replace(changes, before=changes.before.filter(moved), after=changes.after.filter(moved))


def rows_after(rows: pa.Table, changes: ChangeSet) -> pa.Table:
    """Rows as changes leave them, in no particular order."""
    changed = changed_keys(changes)
    there = [changes.inserts, changes.after]
    if rows.num_rows and changed.num_rows:
        rows = rows.filter(pa.array(~keys.contained(rows, changed.cast(_key_of(rows, changes)), changes.key)))
    return pa.concat_tables([rows, *(each.select(rows.column_names).cast(rows.schema) for each in there)])


def _key_of(rows: pa.Table, changes: ChangeSet) -> pa.Schema:
    return pa.schema([rows.schema.field(name) for name in changes.key])


def _at(rows: pa.Table, others: pa.Table, like: ChangeSet) -> Indices:
    """Where rows are among others, by key; -1 where they are not."""
    if not rows.num_rows or not others.num_rows:
        return np.full(rows.num_rows, -1, dtype=np.int64)
    return keys.match(rows, others, like.key)


def _taken(rows: pa.Table, places: Indices) -> pa.Table:
    return rows.take(pa.array(places[places >= 0]))


def _instead(rows: pa.Table, others: pa.Table, places: Indices) -> pa.Table:
    """Rows, with others in the place of those that have one."""
    if not (places >= 0).any():
        return rows
    chosen = np.where(places >= 0, rows.num_rows + places, np.arange(rows.num_rows))
    return pa.concat_tables([rows, others]).take(pa.array(chosen))
