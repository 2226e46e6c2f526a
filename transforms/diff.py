"""Differencing: which changes turn what was found into what is wanted."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from transforms import keys
from transforms.vocabulary import ChangeSet, Key, Meaning, TableName
from transforms.vocabulary.arrow import Indices, Mask, contiguous
from transforms.vocabulary.values import Tolerance, unequal

WINDOW_ROWS = 100_000  # rows a side: the merge stays in the processor's cache and in some 50 MiB


@dataclass(frozen=True, slots=True)
class Comparison:
    """How two images of a row compare.

    `compared` names the columns that decide; the others travel along. `tolerance` says for columns of numbers how far two
    may be apart and still count as equal. `meanings` says what texts stand for: numbers and JSON
    compare by value. `owns` is the condition under which a row of the target may be changed, see ChangeSet.
    """

    key: Key
    compared: tuple[str, ...]
    tolerance: Mapping[str, Tolerance] = field(default_factory=dict)
    meanings: Mapping[str, Meaning] = field(default_factory=dict)
    owns: str | None = None


@dataclass(frozen=True, slots=True)
class Difference:
    """The changes of a window, how many rows were equal, and in which columns the updated ones differ."""

    changes: ChangeSet
    unchanged: int
    differing: Mapping[str, int]


Number = Callable[[pa.Table], Indices]
"""The numbers of new rows, given their keys, in their order."""


def diff(
    table: TableName,
    wanted: pa.Table,
    found: pa.Table,
    comparison: Comparison,
    *,
    keep: pa.Table | None = None,
    delete: bool = True,
    numbered: Mapping[str, Number] | None = None,
) -> Difference:
    """The changes that turn `found` into `wanted`, in one window.

    In: unique keys without nulls on each side, in any order; the columns of `wanted` in `found`'s types. `found`
        may have more columns: those in `numbered` are surrogate keys, which updated rows keep and new rows are
        given in the order of `wanted`; `keep` holds keys whose found rows are not to be deleted (their source rows are in
        quarantine).
    Out: each part of the change set in the order of its side, at most one change a key; all parts have the
        columns of `found`, in its order.
    Memory: the window and its changes. Inputs are never mutated.
    Law: applying the changes to `found` gives `wanted`, and a second diff is empty.
    """
    numbered = numbered or {}
    place = keys.match(wanted, found, comparison.key)
    new = place < 0
    complete = _with_numbers(wanted, found, place, comparison.key, numbered)

    if not new.any() and wanted.num_rows == found.num_rows and bool(np.all(place == np.arange(len(place)))):
        aligned_wanted, aligned_found = complete, found
    elif new.all():
        aligned_wanted, aligned_found = complete.slice(0, 0), found.slice(0, 0)
    else:
        both = np.flatnonzero(~new)
        aligned_wanted, aligned_found = complete.take(pa.array(both)), found.take(pa.array(place[both]))

    changed, differing = changed_rows(aligned_wanted, aligned_found, comparison)
    inserts = complete if new.all() else complete.filter(pa.array(new)) if new.any() else complete.slice(0, 0)
    rows = pa.array(np.flatnonzero(changed))
    gone = _gone(place, found, comparison.key, keep) if delete else np.zeros(found.num_rows, dtype=bool)
    changes = ChangeSet(
        table,
        comparison.key,
        comparison.compared,
        inserts=inserts,
        before=aligned_found.take(rows) if len(rows) else found.slice(0, 0),
        after=aligned_wanted.take(rows) if len(rows) else found.slice(0, 0),
        deletes=found
        if len(gone) and gone.all()
        else found.filter(pa.array(gone))
        if gone.any()
        else found.slice(0, 0),
        owns=comparison.owns,
    )
    return Difference(changes, int(aligned_wanted.num_rows - len(rows)), differing)


def windows(
    wanted: pa.Table, found: pa.Table, key: Key, rows: int = WINDOW_ROWS
) -> Iterator[tuple[pa.Table, pa.Table]]:
    """Cut two ascending tables at the same keys, so that each window can be diffed on its own.

    In: ascending unique keys without nulls. Out: pairs of slices (no copies) that cover both tables.
    """
    side = wanted if wanted.num_rows >= found.num_rows else found
    cuts = [keys.key_at(side, key, row) for row in range(rows, side.num_rows, rows)]
    ends_wanted = [keys.position(wanted, key, cut) for cut in cuts] + [wanted.num_rows]
    ends_found = [keys.position(found, key, cut) for cut in cuts] + [found.num_rows]
    start_wanted = start_found = 0
    for end_wanted, end_found in zip(ends_wanted, ends_found, strict=True):
        yield wanted.slice(start_wanted, end_wanted - start_wanted), found.slice(start_found, end_found - start_found)
        start_wanted, start_found = end_wanted, end_found


def patched(found: pa.Table, changes: ChangeSet) -> pa.Table:
    """What `found` becomes when the changes are applied; rows in no particular order."""
    gone = pa.concat_tables([changes.before, changes.deletes])
    stays = keys.match(found, gone, changes.key) < 0 if gone.num_rows else np.ones(found.num_rows, dtype=bool)
    return pa.concat_tables([found.filter(pa.array(stays)), changes.after, changes.inserts])


def _with_numbers(
    wanted: pa.Table, found: pa.Table, place: Indices, key: Key, numbered: Mapping[str, Number]
) -> pa.Table:
    """`wanted` with the surrogate keys of `found`, and new ones for new rows."""
    columns, schema = [], found.schema
    new = np.flatnonzero(place < 0)
    for field_ in schema:
        if field_.name not in numbered:
            columns.append(wanted.column(field_.name))
            continue
        given = np.zeros(len(place), dtype=np.int64)
        if len(new):
            given[new] = numbered[field_.name](wanted.select(list(key)).take(pa.array(new)))
        kept = np.flatnonzero(place >= 0)
        if len(kept):
            values = contiguous(found.column(field_.name)).cast(pa.int64())
            given[kept] = values.to_numpy(zero_copy_only=False)[place[kept]]
        columns.append(pa.chunked_array([pa.array(given).cast(field_.type)]))
    return pa.table(columns, schema=schema)


def differing_columns(wanted: pa.Table, found: pa.Table, comparison: Comparison) -> Iterator[tuple[str, Mask]]:
    """The compared columns beside the key in which rows may differ, in their order, each with the rows that do.

    In: the same rows on both sides, in one order. A column that is alike in all of them may be left out.
    """
    for name in comparison.compared:
        if name in comparison.key:
            continue
        mask = unequal(
            contiguous(wanted.column(name)),
            contiguous(found.column(name)),
            comparison.tolerance.get(name),
            comparison.meanings.get(name, "plain"),
        )
        if mask is not None:
            yield name, mask


def changed_rows(wanted: pa.Table, found: pa.Table, comparison: Comparison) -> tuple[Mask, dict[str, int]]:
    """Which rows differ, side by side, and in which columns how many of them do."""
    changed = np.zeros(wanted.num_rows, dtype=bool)
    differing: dict[str, int] = {}
    for name, mask in differing_columns(wanted, found, comparison):
        differing[name] = int(mask.sum())
        changed |= mask
    return changed, differing


def _gone(place: Indices, found: pa.Table, key: Key, keep: pa.Table | None) -> Mask:
    gone = np.ones(found.num_rows, dtype=bool)
    gone[place[place >= 0]] = False
    if keep is not None and keep.num_rows and gone.any():
        gone &= ~keys.contained(found, keep, key)
    return gone
