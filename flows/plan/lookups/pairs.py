"""Pairs of keys that the ledger has of a table with an identity map."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pyarrow as pa

from adapters.ledger.identity import PAIRS
from flows.bind.tables import BoundTable
from flows.session.session import Session
from flows.session.stores import ledger_of
from transforms import expressions, keys
from transforms.vocabulary.arrow import Mask, contiguous


def known_pairs(session: Session, bound: BoundTable) -> pa.Table:
    """The pairs of a table in the columns of its map, with their texts (PAIRS); without those whose keys are none of these types."""
    known = bound.identity_map
    assert known is not None, "the table has an identity map"
    with ledger_of(session.spec) as ledger:
        pairs = ledger.identities.pairs(session.spec.name, bound.name) if ledger.there() else PAIRS.empty_table()
    texts = [contiguous(pairs.column(name)) for name in PAIRS.names]
    of_source = expressions.from_json_keys(texts[0], pa.schema([(c.name, c.type) for c in known.source]))
    of_target = expressions.from_json_keys(texts[1], pa.schema([(c.name, c.type) for c in known.target]))
    made = pa.Table.from_arrays([*of_source.columns, *of_target.columns], schema=known.schema)
    for name, column in zip(PAIRS.names, texts, strict=True):
        made = made.append_column(PAIRS.field(name), column)
    return keys.without_null_keys(made, tuple(known.schema.names))


def asked_pairs(pairs: pa.Table, asked: Sequence[pa.Table]) -> Mask:
    """Which pairs have some values that were asked for, in columns of the map."""
    found = np.zeros(pairs.num_rows, dtype=bool)
    for values in asked:
        names = tuple(values.column_names)
        wanted = keys.without_null_keys(values, names)
        if wanted.num_rows and pairs.num_rows:
            kinds = pa.schema([pairs.schema.field(name) for name in names])
            found |= keys.contained(pairs, wanted.cast(kinds), names)
    return found
