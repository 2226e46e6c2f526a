"""What both sides agree on where only one of them took its part of a row."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms import keys
from transforms.reconcile.records import Reconciled
from transforms.vocabulary import SideName
from transforms.vocabulary.arrow import contiguous
from transforms.vocabulary.unmet import completed, marked, met_in_all, unmet
from transforms.vocabulary.values import unequal


def agreed_after(outcome: Reconciled, base: pa.Table | None, missed: Mapping[SideName, pa.Table]) -> pa.Table:
    """The base after both sides were written, but for some rows that a side did not take: it was edited since, or it refused them.

    In: `missed` has the keys of those by side, `base` is what was reconciled with.
    Out: of such rows the base stays, but for the fields that the other side did take: the value that it has now is the one that
        this side had, so that the next edit of this side is an edit of its own and no conflict.
    """
    assert outcome.base is not None, "sides that did not meet have written nothing"
    key = outcome.target.key
    left = keys.distinct(pa.concat_tables([rows.select(list(key)) for rows in missed.values()]))
    if not left.num_rows:
        return outcome.base
    whole = outcome.base.filter(pa.array(~keys.contained(outcome.base, left, key)))
    if base is None:
        return whole
    base = completed(base, met_in_all(whole).schema)
    base = base.filter(pa.array(keys.contained(base, left, key)))
    old, meets = met_in_all(base), unmet(base)
    sides: tuple[SideName, SideName] = ("source", "target")
    for side in sides:
        changes = outcome.side(side)
        taken = keys.match(old, changes.after, key)
        if side in missed and missed[side].num_rows:
            taken = np.where(keys.contained(old, missed[side], key), -1, taken)
        before, after = (rows.take(pa.array(taken, mask=taken < 0)) for rows in (changes.before, changes.after))
        for at, name in enumerate(old.column_names):
            one, other = contiguous(before.column(name)), contiguous(after.column(name))
            written = unequal(one, other)
            if written is not None:
                value = pc.if_else(pa.array(written), other, contiguous(old.column(name)))
                old = old.set_column(at, old.schema.field(at), value)
                if name in meets:
                    meets[name] &= ~written
    return pa.concat_tables([whole, marked(old, meets)], promote_options="default")
