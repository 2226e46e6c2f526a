"""Keys of rows that wait for other tables: where a lookup into the key finds nothing, what it was asked for stands in for it.

So do the source's own columns for a key that the target gives: which one it gives a new row is not said until that is written.

So rows that wait for different parents have different keys, and are known again once their parents are there.
"""

from __future__ import annotations

from collections.abc import Collection, Iterator
from itertools import combinations

import pyarrow as pa
import pyarrow.compute as pc

from transforms import expressions
from transforms.mapping.column_mapping import Identified, LookUp, TableMapping
from transforms.vocabulary.arrow import contiguous


def looked_up_keys(mapping: TableMapping) -> dict[str, tuple[str, ...]]:
    """The columns of the key that are looked up, and the source's columns that they are looked up by, in the end."""
    origins = {column.shape.name: column.origin for column in mapping.columns}

    def sources(lookup: LookUp) -> Iterator[str]:
        for _, name in lookup.match:
            origin = origins.get(name) if name in lookup.chained else None
            if isinstance(origin, LookUp):
                yield from sources(origin)
            elif name not in lookup.chained:
                yield name

    found = {name: origin for name in mapping.key if isinstance(origin := origins.get(name), LookUp)}
    given = {name: origin.by for name in mapping.key if isinstance(origin := origins.get(name), Identified)}
    return {name: tuple(dict.fromkeys(sources(lookup))) for name, lookup in found.items()} | given


def key_texts(source: pa.Table, mapped: pa.Table, mapping: TableMapping) -> pa.Array:
    """The key of each row as a JSON array, with an object of the source's values where a lookup has left a null, or an identity
    map gives the key.

    In: the same rows as they are read and as far as they are mapped.
    """
    looked = looked_up_keys(mapping)
    given = {column.shape.name for column in mapping.columns if isinstance(column.origin, Identified)} & looked.keys()
    if not given and not any(mapped.column(name).null_count for name in looked):
        return contiguous(expressions.as_json_keys(mapped, mapping.key).cast(pa.string()))
    wanting = {name for name in looked if mapped.column(name).null_count}
    return _texts(source, mapped, mapping, looked, wanting | given, always=given)


def possible_texts(source: pa.Table, mapped: pa.Table, mapping: TableMapping) -> Iterator[pa.Array]:
    """What `key_texts` may have made of rows when some of their lookups found nothing, in every way."""
    looked = looked_up_keys(mapping)
    for size in range(1, len(looked) + 1):
        for names in combinations(looked, size):
            yield _texts(source, mapped, mapping, looked, names, always=names)


def _texts(
    source: pa.Table,
    mapped: pa.Table,
    mapping: TableMapping,
    looked: dict[str, tuple[str, ...]],
    names: Collection[str],
    *,
    always: Collection[str],
) -> pa.Array:
    """The key with an object for some columns that are looked up: where they are null, or for those of `always` in every row."""
    parts = []
    for name in mapping.key:
        own = pc.utf8_slice_codeunits(contiguous(expressions.as_json_keys(mapped, (name,)).cast(pa.string())), 1, -1)
        asked = [each for each in looked.get(name, ()) if each in source.column_names]
        if name in names and asked:
            stands_in = contiguous(expressions.as_json(source.select(asked)).cast(pa.string()))
            own = (
                stands_in if name in always else pc.if_else(pc.is_null(contiguous(mapped.column(name))), stands_in, own)
            )
        parts.append(own)
    joined = pc.binary_join_element_wise(*parts, ",")
    return pc.binary_join_element_wise("[", joined, "]", "")
