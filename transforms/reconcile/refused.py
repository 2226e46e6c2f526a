"""Rows that a side cannot take after all: conflicts of their own, in which both sides keep what they have."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms import keys
from transforms.reconcile.records import Reconciled, conflict_images, keys_of
from transforms.vocabulary import ChangeSet, Key
from transforms.vocabulary.arrow import Mask
from transforms.vocabulary.unmet import UNMET


def left_open(
    outcome: Reconciled,
    refused: pa.Table,
    kind: str,
    columns: Sequence[str],
    base: pa.Table | None,
    source: pa.Table,
    target: pa.Table,
) -> Reconciled:
    """The outcome without some rows, which become conflicts: neither side is written, and the base stays what it was.

    In: `refused` are the keys of rows that were to change; `kind` says why they cannot, as in unique, foreign_key, check, not_null
        or no_inverse; `columns` are those that it is about. `base`, `source` and `target` as they were reconciled.
    """
    key = outcome.target.key
    refused = keys.distinct(refused.select(list(key)))
    if not refused.num_rows:
        return outcome
    row = outcome.target.schema
    images = [
        None if rows is None else _images(rows.select(row.names), refused, key) for rows in (base, source, target)
    ]
    fields = pa.array([list(columns)] * refused.num_rows, pa.list_(pa.string()))
    conflicts = conflict_images(refused, kind, fields, row, images)
    agreed = outcome.base
    if agreed is not None:
        agreed = _without(agreed, refused, key)
        if base is not None:
            old = base.select([name for name in base.column_names if name in row.names or name == UNMET])
            old = old.filter(pa.array(keys.contained(old, refused, key)))
            agreed = pa.concat_tables([agreed, old], promote_options="default")
    told = keys_of(refused)
    return replace(
        outcome,
        source=_kept(outcome.source, refused),
        target=_kept(outcome.target, refused),
        conflicts=pa.concat_tables([outcome.conflicts, conflicts]),
        overruled=outcome.overruled.filter(pc.invert(pc.is_in(outcome.overruled.column("key"), value_set=told))),
        base=agreed,
        merged=_without(outcome.merged, refused, key),
    )


def _images(rows: pa.Table, refused: pa.Table, key: Key) -> tuple[pa.Table, Mask]:
    """The row of each key, and where there is none."""
    place = keys.match(refused, rows, key)
    missing: Mask = place < 0
    return rows.take(pa.array(place, mask=missing)), missing


def _kept(changes: ChangeSet, refused: pa.Table) -> ChangeSet:
    key = changes.key
    stays = pa.array(~_held(changes.after, refused, key))
    return replace(
        changes,
        inserts=_without(changes.inserts, refused, key),
        before=changes.before.filter(stays),
        after=changes.after.filter(stays),
        deletes=_without(changes.deletes, refused, key),
    )


def _without(rows: pa.Table, refused: pa.Table, key: Key) -> pa.Table:
    held = _held(rows, refused, key)
    return rows.filter(pa.array(~held)) if held.any() else rows


def _held(rows: pa.Table, refused: pa.Table, key: Key) -> Mask:
    return keys.contained(rows, refused, key) if rows.num_rows else np.zeros(0, dtype=bool)
