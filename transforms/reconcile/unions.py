"""Unions of sets: JSON arrays, arrays as PostgreSQL writes them, and texts that are cut at a separator."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms import expressions
from transforms.reconcile.policy import SEPARATORS
from transforms.vocabulary import Meaning
from transforms.vocabulary.arrow import Indices, Mask, as_mask, contiguous

_ELEMENT: Final = r'"(?:[^"\\]|\\.)*"|[^",{}]+'
_JSON: Final = "CASE WHEN json_valid(v) AND json_type(v) = 'ARRAY' THEN json_extract(v, '$[*]')::VARCHAR[] END"
_ARRAY: Final = (
    rf"CASE WHEN regexp_full_match(v, '\{{(({_ELEMENT})(,({_ELEMENT}))*)?\}}') "
    rf"THEN regexp_extract_all(v[2:-2], '{_ELEMENT}') END"
)


@dataclass(frozen=True, slots=True)
class United:
    """The sets of both sides together; `unable` where a value is none. `lost`: where the source, or the target, had taken an
    element out that is there again."""

    values: pa.Array
    unable: Mask
    lost: tuple[Mask, Mask]


def united(
    base: pa.Array | None, source: pa.Array, target: pa.Array, meaning: Meaning, separator: str | None = None
) -> United:
    """The elements of both sides, each once: those of the base first, in its order, then the others, ascending.

    In: texts, row by row. A null is an empty set, and so is an empty text.
    """
    kind, size = source.type, len(source)
    separator = SEPARATORS["union"] if separator is None else separator
    given = [pa.nulls(size, kind) if base is None else base, source, target]
    sets = [_elements(each, meaning, separator) for each in given]
    unable = np.zeros(size, dtype=bool)
    for values, elements in zip(given, sets, strict=True):
        unable |= as_mask(pc.and_(pc.is_valid(values), pc.is_null(elements)))

    parts = [each.flatten() for each in sets]
    encoded = pa.concat_arrays(parts).dictionary_encode(null_encoding="encode")
    numbers = np.split(
        encoded.indices.to_numpy(zero_copy_only=False).astype(np.int64), np.cumsum([len(each) for each in parts])[:-1]
    )
    many = max(len(encoded.dictionary), 1)
    of_base, *of_sides = (
        np.repeat(np.arange(size, dtype=np.int64), _lengths(each)) * many + found
        for each, found in zip(sets, numbers, strict=True)
    )
    together = np.unique(np.concatenate(of_sides))
    order = _order(together, of_base, encoded.dictionary, many)
    together = together[order]
    elements = encoded.dictionary.take(pa.array(together % many))
    ends = np.concatenate([[0], np.cumsum(np.bincount(together // many, minlength=size))]).astype(np.int32)
    made = pa.ListArray.from_arrays(pa.array(ends), elements)

    back = np.intersect1d(together, of_base)
    lost = tuple(np.bincount(np.setdiff1d(back, one) // many, minlength=size) > 0 for one in of_sides)
    return United(_written(made, meaning, separator), unable, (lost[0], lost[1]))


def _order(together: Indices, of_base: Indices, elements: pa.Array, many: int) -> Indices:
    """The places of elements by row, and within it those of the base first."""
    ranks = np.empty(max(len(elements), 1), dtype=np.int64)
    ranks[pc.sort_indices(elements).to_numpy(zero_copy_only=False).astype(np.int64)] = np.arange(len(elements))
    rank = len(of_base) + ranks[together % many]
    known, first = np.unique(of_base, return_index=True)
    at = np.searchsorted(known, together)
    if len(known):
        of = known[np.minimum(at, len(known) - 1)] == together
        rank[of] = first[at[of]]
    return np.lexsort((rank, together // many))


def _elements(values: pa.Array, meaning: Meaning, separator: str) -> pa.Array:
    """Values as lists of their elements; null, or empty, for a null, and null for what is no set."""
    if meaning == "plain":
        filled = pc.not_equal(pc.utf8_trim_whitespace(values), "")
        cut = pc.split_pattern(pc.if_else(filled, values, pa.scalar(None, values.type)), separator)
        ends = np.concatenate([[0], np.cumsum(_lengths(cut))]).astype(np.int32)
        return pa.ListArray.from_arrays(pa.array(ends), pc.utf8_trim_whitespace(cut.flatten()))
    sql = _JSON if meaning == "json" else _ARRAY
    return contiguous(expressions.select(pa.table({"v": values}), {"elements": sql}).column(0))


def _lengths(lists: pa.Array) -> Indices:
    lengths: Indices = pc.fill_null(pc.list_value_length(lists), 0).to_numpy(zero_copy_only=False).astype(np.int64)
    return lengths


def _written(lists: pa.Array, meaning: Meaning, separator: str) -> pa.Array:
    if meaning == "plain":
        return pc.binary_join(lists, separator)
    begin, end = ("[", "]") if meaning == "json" else ("{", "}")
    return pc.binary_join_element_wise(begin, pc.binary_join(lists, ","), end, "")
