"""What both sides agree on where only one of them took its part of a row."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms import keys
from transforms.reconcile.records import Reconciled
from transforms.vocabulary import SIDES, ChangeSet, Key, SideName, other_side
from transforms.vocabulary.arrow import Mask, contiguous
from transforms.vocabulary.unmet import completed, marked, met_in_all, unmet
from transforms.vocabulary.values import unequal


def agreed_after(outcome: Reconciled, base: pa.Table | None, missed: Mapping[SideName, pa.Table]) -> pa.Table:
    """The base after both sides were written, but for some rows that a side did not take: it was edited since, or it refused them.

    In: `missed` has the keys of those by side, `base` is what was reconciled with.
    Out: of a row that one side missed and the other took, what the side that missed it held before. All of that has gone into what the
        other holds now, as far as it did not lose: whatever the one does to it later is an edit of its own, and what the other has
        beyond it is what the one has still to get. Of other rows the base stays, with the fields in which both sides were alike.
    Law: the next reconciling brings both sides to what it had brought them to, had the later edit been made before or after both.
    """
    assert outcome.base is not None, "sides that did not meet have written nothing"
    key = outcome.target.key
    left = keys.distinct(pa.concat_tables([rows.select(list(key)) for rows in missed.values()]))
    if not left.num_rows:
        return outcome.base
    now = outcome.base
    gone = keys.contained(now, left, key)
    whole, now = now.filter(pa.array(~gone)), met_in_all(now.filter(pa.array(gone)))
    held = pa.concat_tables([_held_before(outcome, side, missed, now.schema) for side in SIDES])
    found = [whole, held]
    if base is not None:
        old = completed(base, now.schema)
        old = old.filter(pa.array(keys.contained(old, left, key) & ~keys.contained(old, held, key)))
        found.append(_with_alike(old, now, outcome, missed, key))
    return pa.concat_tables(found, promote_options="default")


def _held_before(
    outcome: Reconciled, side: SideName, missed: Mapping[SideName, pa.Table], schema: pa.Schema
) -> pa.Table:
    """The rows that a side held and that were to change on both sides, of which it missed its part and the other one did not."""
    changes, other = outcome.side(side), outcome.side(other_side(side))
    taken = pa.concat_tables([each.select(list(other.key)) for each in (other.after, other.inserts)])
    there = _among(changes.before, missed.get(side), changes.key) & _among(changes.before, taken, changes.key)
    there &= ~_among(changes.before, missed.get(other_side(side)), changes.key)
    return changes.before.filter(pa.array(there)).select(schema.names).cast(schema)


def _with_alike(
    old: pa.Table, now: pa.Table, outcome: Reconciled, missed: Mapping[SideName, pa.Table], key: Key
) -> pa.Table:
    """Rows of the base, with the fields that no side was to get another value of: both held them alike."""
    rows, meets, place = met_in_all(old), unmet(old), keys.match(old, now, key)
    images = [_missed_of(outcome.side(side), missed.get(side)) for side in SIDES]
    for at, name in enumerate(rows.column_names):
        value = contiguous(now.column(name)).take(pa.array(place, mask=place < 0))
        alike = np.zeros(old.num_rows, dtype=bool)
        written = np.zeros(old.num_rows, dtype=bool)
        for some in images:
            found = keys.match(old, some, key)
            was = contiguous(some.column(name)).take(pa.array(found, mask=found < 0))
            unlike = unequal(was, value)
            alike |= found >= 0
            if unlike is not None:
                written |= unlike & (found >= 0)
        alike &= ~written & (place >= 0)
        if alike.any():
            chosen = pc.if_else(pa.array(alike), value, contiguous(rows.column(name)))
            rows = rows.set_column(at, rows.schema.field(at), chosen)
            if name in meets:
                meets[name] &= ~alike
    return marked(rows, meets)


def _missed_of(changes: ChangeSet, missed: pa.Table | None) -> pa.Table:
    """What a side held of the rows that it was to get otherwise, and missed."""
    return changes.before.filter(pa.array(_among(changes.before, missed, changes.key)))


def _among(rows: pa.Table, some: pa.Table | None, key: Key) -> Mask:
    if some is None or not some.num_rows or not rows.num_rows:
        return np.zeros(rows.num_rows, dtype=bool)
    return keys.contained(rows, some, key)
