"""Rows that a mapping cannot make whole, of tables that go both ways: taken along as far as they are mapped, not set aside.

What becomes of such a row depends on what the other side did with it. A value that the target cannot hold stands in its row as it
is; one that could not be made is null there, and the row is known by its key.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Final, get_args

import numpy as np
import pyarrow as pa

from transforms import keys
from transforms.mapping.column_mapping import LookupRows, TableMapping
from transforms.mapping.mapping import Mapped, Noted, map_rows
from transforms.mapping.rejections import Faults
from transforms.vocabulary.arrow import Mask
from transforms.vocabulary.reasons import UNREAD, Code, Limit, OtherRows

LACKING: Final = "syncline lacking"
"""The column that holds why a value of a row could not be made, a Reason as JSON, beside the columns of the key."""
ASIDE: Final[frozenset[Code]] = frozenset(
    [*UNREAD, *get_args(OtherRows), "null_key", "breaks_rule", "identity_ambiguous", "identity_unknown"]
)
"""Why rows are set aside all the same: nothing sure is known of them, or the spec does not want them."""
_LIMITS: Final[frozenset[Code]] = frozenset(get_args(Limit))


@dataclass(frozen=True, slots=True)
class TakenAlong:
    """A batch as of `map_rows`, with most rows that have a fault among its `rows`. `aside`: which of the batch are not.

    `lacking` has the keys of rows in which a value could not be made, with the reason (LACKING).
    """

    mapped: Mapped
    aside: Mask
    lacking: pa.Table


def lacking_schema(mapping: TableMapping) -> pa.Schema:
    return pa.schema([*(mapping.schema.field(name) for name in mapping.key), pa.field(LACKING, pa.string())])


def map_along(
    rows: pa.Table, mapping: TableMapping, lookups: Mapping[str, LookupRows], noted: Noted | None = None
) -> TakenAlong:
    """Map a batch as `map_rows` does. Rows whose key is at fault are set aside: nobody can say which row of the target they are."""
    seen: list[tuple[pa.Table, Faults]] = []

    def note(every: pa.Table, faults: Faults) -> None:
        seen.append((every, faults))
        if noted is not None:
            noted(every, faults)

    mapped = map_rows(rows, mapping, lookups, note)
    every, faults = seen[0]
    none = lacking_schema(mapping).empty_table()
    if not faults.reasons:
        return TakenAlong(mapped, np.zeros(rows.num_rows, dtype=bool), none)
    aside = keys.null_keys(every, mapping.key)
    which = np.full(rows.num_rows, -1, dtype=np.int64)
    for number, fault in enumerate(faults.found):
        if fault.reason.code in ASIDE or set(fault.reason.columns) & set(mapping.key):
            aside = aside | fault.rows
        elif fault.reason.code not in _LIMITS:
            which[fault.rows & (which < 0)] = number
    bad = faults.which >= 0
    of_bad, stays = pa.array(aside[bad]), pa.array(~aside)
    along = Mapped(
        every.filter(stays), mapped.rejected.filter(of_bad), mapped.rejected_rows.filter(of_bad), mapped.mended
    )
    lacking = ~aside & (which >= 0)
    if lacking.any():
        whys = pa.array([fault.reason.as_json() for fault in faults.found], pa.string())
        keyed = every.filter(pa.array(lacking)).select(list(mapping.key))
        none = keyed.append_column(LACKING, whys.take(pa.array(which[lacking]))).cast(none.schema)
    return TakenAlong(along, aside, none)
