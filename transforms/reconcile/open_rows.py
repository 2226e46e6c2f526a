"""Rows in conflict as they are remembered until somebody decides, and whether what was decided still fits the rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms import expressions, keys
from transforms.reconcile.decisions import DECISIONS, Decisions
from transforms.reconcile.records import keys_of
from transforms.vocabulary import Key, SideName
from transforms.vocabulary.arrow import Indices, Mask, as_mask, contiguous
from transforms.vocabulary.texts import as_text
from transforms.vocabulary.unmet import marked, met_in_all, unmet

IMAGES: Final = ("base", "source", "target")


@dataclass(frozen=True, slots=True)
class Weighed:
    """What becomes of decisions in a window.

    `decisions` are for `reconcile`, with `base`: it is the window's own but for rows that a side could not take, in which what
    people decided for counts as the only edit. `met` are the keys of decisions about rows of this window, as JSON arrays, and
    `outdated` those of them whose rows are not as they were when it was decided; these are not applied.
    """

    decisions: Decisions
    base: pa.Table | None
    met: pa.Array
    outdated: pa.Array


def open_rows(conflicts: pa.Table) -> pa.Table:
    """The conflicts of a reconciling with their images as texts: JSON objects, null where there is no row."""
    texts = {}
    for name in IMAGES:
        images = contiguous(conflicts.column(name))
        there = as_mask(pc.is_valid(images))
        rows = pa.table(images.flatten(), schema=pa.schema(list(images.type)))
        texts[name] = _objects(rows, np.where(there, np.arange(len(there)), -1))
    plain = {name: conflicts.column(name) for name in conflicts.column_names if name not in IMAGES}
    return pa.table(plain | texts)


def weighed(decided: pa.Table, base: pa.Table | None, source: pa.Table, target: pa.Table, key: Key) -> Weighed:
    """Which decisions are about rows of a window that are still as they were.

    In: decisions with the columns of DECISIONS, and of the conflict that each is about its `kind` and the images `source` and `target`,
        as `open_rows` writes them; then what is about to be reconciled, in the same types.
    """
    names = [name for name in target.column_names if name in source.column_names]
    told = contiguous(decided["key"])
    there, same = np.zeros(len(told), dtype=bool), np.ones(len(told), dtype=bool)
    images: tuple[tuple[str, pa.Table | None], ...] = (("base", base), ("source", source), ("target", target))
    for name, rows in images:
        place = _place(told, rows, key)
        there |= place >= 0
        if rows is not None and name != "base":
            same &= _alike(_objects(rows.select(names), place), contiguous(decided[name]))
    fits = decided.filter(pa.array(there & same))
    of_policy = pc.match_substring(fits["kind"], "/")
    return Weighed(
        Decisions(fits.filter(of_policy).select(DECISIONS.names).cast(DECISIONS)),
        _rebased(fits.filter(pc.invert(of_policy)), base, {"source": source, "target": target}, key),
        pc.unique(told.filter(pa.array(there))),
        pc.unique(told.filter(pa.array(there & ~same))),
    )


def _rebased(decided: pa.Table, base: pa.Table | None, sides: Mapping[SideName, pa.Table], key: Key) -> pa.Table | None:
    """The base to which a row, or a field of it, was changed by that side alone which people decided for.

    Where they took the base, that is the side that did not change the row; where both did, the row stays open.
    """
    if base is None or not decided.num_rows:
        return base
    told = contiguous(decided["key"])
    meets = {name: mask & ~as_mask(pc.is_in(_keys(base, key), value_set=told)) for name, mask in unmet(base).items()}
    base, keyed = met_in_all(base), base.select(list(key))
    then = _objects(base, _place(told, base, key))
    pairs: tuple[tuple[SideName, SideName], ...] = (("source", "target"), ("target", "source"))
    for side, other in pairs:
        rows, lost = sides[side].select(base.column_names), sides[other].select(base.column_names).cast(base.schema)
        unchanged = _alike(_objects(rows, _place(told, rows, key)), then)
        taken = as_mask(pc.equal(decided["take"], side))
        taken |= as_mask(pc.equal(decided["take"], "base")) & unchanged
        for field in pc.unique(decided["field"]).to_pylist():
            of_field = pc.is_null(decided["field"]) if field is None else pc.equal(decided["field"], field)
            some = told.filter(pa.array(taken & as_mask(of_field)))
            base = _with_rows(base, lost, some, key) if field is None else _with_field(base, lost, some, field, key)
    place = keys.match(base, keyed, key)
    return marked(base, {name: mask[place] & (place >= 0) for name, mask in meets.items()})


def _with_rows(base: pa.Table, rows: pa.Table, some: pa.Array, key: Key) -> pa.Table:
    """The base with some rows as they are in others, or without them, where they are not there."""
    if not len(some):
        return base
    stays = pc.invert(pc.is_in(_keys(base, key), value_set=some))
    return pa.concat_tables([base.filter(stays), rows.filter(pc.is_in(_keys(rows, key), value_set=some))])


def _with_field(base: pa.Table, rows: pa.Table, some: pa.Array, field: str, key: Key) -> pa.Table:
    """The base with a field of some rows as it is in others."""
    if not len(some) or field not in base.column_names:
        return base
    at = keys.match(base.select(list(key)), rows.select(list(key)), key)
    chosen = as_mask(pc.is_in(_keys(base, key), value_set=some)) & (at >= 0)
    values = contiguous(rows[field].take(pa.array(at, mask=at < 0)))
    place = base.schema.get_field_index(field)
    made = pc.if_else(pa.array(chosen), values, contiguous(base[field]))
    return base.set_column(place, base.schema.field(place), made)


def _keys(rows: pa.Table, key: Key) -> pa.Array:
    return keys_of(rows.select(list(key)))


def _place(told: pa.Array, rows: pa.Table | None, key: Key) -> Indices:
    """Where the row of each key is, -1 where there is none."""
    if rows is None or not rows.num_rows:
        return np.full(len(told), -1, dtype=np.int64)
    place = pc.fill_null(pc.index_in(told, value_set=_keys(rows, key)), -1)
    found: Indices = contiguous(place).to_numpy(zero_copy_only=False).astype(np.int64)
    return found


def _alike(one: pa.Array, other: pa.Array) -> Mask:
    """Where two texts are the same, or neither is there."""
    both_null = pc.and_(pc.is_null(one), pc.is_null(other))
    return as_mask(pc.fill_null(pc.equal(one, other), False)) | as_mask(both_null)


def _objects(rows: pa.Table, place: Indices) -> pa.Array:
    """The rows at some places as JSON objects, null where the place is -1."""
    there = place >= 0
    texts = contiguous(expressions.as_json(_as_texts(rows.take(pa.array(place[there]))))).cast(pa.string())
    spread = np.cumsum(there) - 1
    return texts.take(pa.array(spread, mask=~there)) if there.any() else pa.nulls(len(place), pa.string())


def _as_texts(rows: pa.Table) -> pa.Table:
    """Whole numbers and truth values as they are, and all else as texts that read back exactly."""

    def told(column: pa.ChunkedArray) -> pa.Array:
        values = contiguous(column)
        plain = pa.types.is_integer(values.type) or pa.types.is_boolean(values.type)
        return values if plain else as_text(values).cast(pa.string())

    return pa.table([told(column) for column in rows.columns], names=rows.column_names)
