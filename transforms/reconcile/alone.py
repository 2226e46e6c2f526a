"""Rows that one side alone holds: created there, or deleted on the other side."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pyarrow as pa

from transforms.diff import differing_columns
from transforms.reconcile.records import Overruling, Reconciled, conflict_rows, fields_of
from transforms.reconcile.work import Work, fail
from transforms.vocabulary import SIDES, SideName, other_side
from transforms.vocabulary.arrow import Indices, Mask, contiguous
from transforms.vocabulary.unmet import filled


def alone(work: Work, side: SideName, rows: pa.Table, place: Indices) -> Reconciled:
    """Rows that one side alone holds: created there, or deleted on the other side."""
    none = work.none(rows)
    if not rows.num_rows:
        return none
    comparison = work.comparison
    known, base = place >= 0, work.of_base(rows, place)
    created, left = rows.filter(pa.array(~known)), rows.filter(pa.array(known))
    base = filled(base, left)
    edited = np.zeros(left.num_rows, dtype=bool)
    masks = dict(differing_columns(left, base, comparison))
    for mask in masks.values():
        edited |= mask
    kind = "update/delete" if side == "source" else "delete/update"
    other = other_side(side)
    key = comparison.key
    fates, by_people = _fates(work, side, left.select(list(key)), edited)
    fields = fields_of(list(masks), list(masks.values()), edited)
    if fates["fail"].any():
        some = pa.array(fates["fail"])
        fail(work, left.filter(some), kind, fields.filter(pa.array(fates["fail"][edited])))
    back, old, open_ = (pa.array(fates[fate]) for fate in ("update", "base", "manual"))
    inserts = pa.concat_tables([created, left.filter(back), base.filter(old)])
    edits = []
    for some, rule in ((~by_people, work.policy.delete or work.policy.resolve), (by_people, "decision")):
        came_back = pa.array(some & (fates["update"] | fates["base"]))
        edits.append(Overruling(key, other, kind, rule).listed(left.filter(came_back)))
        for fate in ("delete", "base"):
            for name, mask in masks.items():
                lost = pa.array(some & mask & fates[fate])
                was, own = (contiguous(rows.column(name)).filter(lost) for rows in (base, left))
                won = None if fate == "delete" else was
                edits.append(Overruling(key, side, kind, rule).listed(left.filter(lost), name, was, won, own))
    here = replace(
        none.side(side),
        before=left.filter(old),
        after=base.filter(old),
        deletes=left.filter(pa.array(~edited | fates["delete"])),
    )
    there = replace(none.side(other), inserts=inserts)
    in_conflict = left.filter(open_)
    is_source = side == "source"
    return replace(
        none,
        source=here if is_source else there,
        target=there if is_source else here,
        conflicts=conflict_rows(
            key,
            kind,
            fields.filter(pa.array(fates["manual"][edited])),
            base.filter(open_),
            in_conflict if is_source else None,
            None if is_source else in_conflict,
        ),
        overruled=pa.concat_tables(edits),
        base=pa.concat_tables([inserts, base.filter(open_)]),
    )


def _fates(work: Work, side: SideName, keyed: pa.Table, edited: Mask) -> tuple[dict[str, Mask], Mask]:
    """What becomes of rows that one side deleted and `side` edited, and which of them people decided: the update or the deletion
    stands, or the base comes back on both sides."""
    none = np.zeros(len(edited), dtype=bool)
    fates = dict.fromkeys(("update", "delete", "base", "manual", "fail"), none)
    chosen = work.policy.of_deleted(side)
    fates[chosen] = edited
    by_people = none
    if work.decisions is None or chosen in ("update", "delete"):
        return fates, by_people
    for decided in work.decisions.about(keyed):
        if decided.field is None and decided.take in (*SIDES, "base"):
            some = decided.rows & edited
            fate = "base" if decided.take == "base" else "update" if decided.take == side else "delete"
            fates = {name: mask & ~some for name, mask in fates.items()}
            fates[fate] = fates[fate] | some
            by_people = by_people | some
    return fates, by_people
