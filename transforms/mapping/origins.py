"""Rows of one table that come from several sources: which one each row is of, in a column beside the mapped ones and in the
facts of why it is set aside."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms import keys
from transforms.mapping.mapping import Mapped, Noted
from transforms.mapping.rejections import Fault, Faults, encoded
from transforms.vocabulary import Key, Reason
from transforms.vocabulary.arrow import Mask, contiguous

ORIGIN: Final = "syncline:origin"
"""A column of mapped rows of several sources, with the name of each row's."""


def with_origin(schema: pa.Schema) -> pa.Schema:
    return schema.append(pa.field(ORIGIN, pa.string()))


def without_origin(rows: pa.Table) -> pa.Table:
    """The mapped columns alone."""
    return rows.drop_columns([ORIGIN]) if ORIGIN in rows.column_names else rows


def origins_of(rows: pa.Table) -> pa.Array | None:
    """The source of each row, None where there is one alone."""
    return contiguous(rows.column(ORIGIN)) if ORIGIN in rows.column_names else None


def from_source(mapped: Mapped, name: str) -> Mapped:
    """Rows of the source of that name. In: rows that do not say where they are from."""

    def told(rows: pa.Table) -> pa.Table:
        return rows.append_column(pa.field(ORIGIN, pa.string()), pa.repeat(pa.scalar(name), rows.num_rows))

    rejected = mapped.rejected
    if rejected.num_rows:
        reasons, numbers = encoded(rejected.column("why"))
        whys = pa.array([of_sources(reason, [name]).as_json() for reason in reasons], pa.string())
        rejected = rejected.set_column(0, "why", whys.take(pa.array(numbers)))
    return replace(mapped, rows=told(mapped.rows), rejected=rejected, rejected_rows=told(mapped.rejected_rows))


def noting_source(noted: Noted | None, name: str) -> Noted | None:
    """Told of rows of the source of that name, `noted` hears it with every fault; as it is where they are of the only one."""
    if noted is None or not name:
        return noted

    def told(some: list[Fault]) -> list[Fault]:
        return [replace(fault, reason=of_sources(fault.reason, [name])) for fault in some]

    def note(rows: pa.Table, faults: Faults) -> None:
        noted(rows, replace(faults, found=told(faults.found), noted=told(faults.noted)))

    return note


def of_sources(reason: Reason, names: Sequence[str]) -> Reason:
    """The reason with the sources of the rows that it is about among its facts, in their order; as it is where there are none."""
    return replace(reason, facts={**reason.facts, "from": list(names)}) if names else reason


def whys(rows: pa.Table, reasons: Sequence[Reason], which: pa.Array) -> pa.Array:
    """For each row its reason as JSON, with the source that the row is of. In: the place of each row's reason."""
    found = origins_of(rows)
    if found is None:
        return pa.array([reason.as_json() for reason in reasons], pa.string()).take(which)
    coded = found.dictionary_encode()
    names, of = coded.dictionary.to_pylist(), coded.indices
    told = [of_sources(reason, [name]).as_json() for reason in reasons for name in names]
    return pa.array(told, pa.string()).take(pc.add(pc.multiply(which, len(names)), of.cast(pa.int64())))


def sharing(rows: pa.Table, others: pa.Table, key: Key) -> list[tuple[Mask, list[str]]]:
    """Which rows share their keys with rows of which sources, their own among them: a mask for each set of names.

    In: keys without nulls, and the ORIGIN of each row. Memory: a number a row.
    """
    both = keys.codes([rows, others], key)
    origin = pc.dictionary_encode(pa.concat_arrays([contiguous(each.column(ORIGIN)) for each in (rows, others)]))
    names = origin.dictionary.to_pylist()
    of = origin.indices.to_numpy(zero_copy_only=False).astype(np.int64)
    every = np.concatenate(both)
    pairs = np.unique(every * len(names) + of)  # each source of each key, once
    starts = np.flatnonzero(np.diff(pairs // len(names), prepend=-1))
    sets = np.array(["\0".join(map(str, each)) for each in np.split(pairs % len(names), starts[1:])], dtype=object)
    place = np.searchsorted(pairs[starts] // len(names), both[0])
    own = sets[place]
    return [(own == each, sorted(names[int(n)] for n in each.split("\0"))) for each in dict.fromkeys(own.tolist())]
