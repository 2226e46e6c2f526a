"""Mapped rows that are set aside after all, because of other rows or of the target: rejected with their reason."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np
import pyarrow as pa

from transforms import expressions, keys
from transforms.mapping.column_mapping import TableMapping
from transforms.mapping.mapping import Mapped
from transforms.mapping.origins import ORIGIN, of_sources, sharing, whys, without_origin
from transforms.mapping.rejections import REJECTED
from transforms.vocabulary import DataError, Reason, text_of
from transforms.vocabulary.arrow import Mask, contiguous
from transforms.vocabulary.texts import as_text


def without_duplicates(mapped: Mapped, mapping: TableMapping, *, also: pa.Table | None = None) -> Mapped:
    """Reject every row whose key another row of the window has too, since nobody can say which one is right.

    `also` holds keys of rows that were rejected earlier. Of a table with several sources, the reason names those that the rows
    of the key come from. The source image of a duplicate is its mapped image: the batches are gone by then.
    """
    rows = mapped.rows
    twice = keys.duplicates(rows, mapping.key)
    key = [*mapping.key, *([ORIGIN] if ORIGIN in rows.column_names else [])]
    rejected = [table.select(key) for table in (mapped.rejected_rows, also) if table is not None]
    whole = keys.without_null_keys(pa.concat_tables(rejected), mapping.key)
    if whole.num_rows and rows.num_rows:
        twice = twice | keys.contained(rows, whole, mapping.key)
    reason = Reason("duplicate_key", None, {"table": mapping.table})
    if ORIGIN not in rows.column_names or not twice.any():
        return set_aside(mapped, twice, reason, mapping)
    double = rows.filter(pa.array(twice))
    for same, names in sharing(double.select(key), whole, mapping.key):
        bad = keys.contained(mapped.rows, double.filter(pa.array(same)), mapping.key)
        mapped = set_aside(mapped, bad, of_sources(reason, names), mapping, told=True)
    return mapped


def set_aside(
    mapped: Mapped,
    bad: Mask,
    reason: Reason,
    mapping: TableMapping,
    values: pa.ChunkedArray | None = None,
    *,
    told: bool = False,
) -> Mapped:
    """Reject mapped rows for a reason that lies in their keys, with a value of each. DataError where the mapping says `fail`.

    `told`: of rows of several sources, the reason says already which are meant.
    """
    if not bad.any():
        return mapped
    rows = mapped.rows.filter(pa.array(bad))
    if mapping.on_invalid == "fail":
        raise DataError(
            f"{mapping.table} key {expressions.json_key(rows, mapping.key)}: {text_of(reason)}.",
            fix="mend the source rows, choose a longer key, or set `on_invalid: quarantine`.",
        )
    count, image = rows.num_rows, without_origin(rows)
    info = pa.table(
        [
            whys(image if told else rows, [reason.of(mapping.key)], pa.array(np.zeros(count, dtype=np.int64))),
            expressions.as_json_keys(rows, mapping.key).cast(pa.string()),
            pa.nulls(count, pa.string()) if values is None else values.cast(pa.string()),
            *[expressions.as_json(image).cast(pa.string())] * 2,
        ],
        schema=REJECTED,
    )
    return replace(
        mapped,
        rows=mapped.rows.filter(pa.array(~bad)),
        rejected=pa.concat_tables([mapped.rejected, info]),
        rejected_rows=pa.concat_tables([mapped.rejected_rows, rows]),
    )


def set_refused_aside(mapped: Mapped, refusals: Mapping[int, Reason], mapping: TableMapping) -> Mapped:
    """Reject mapped rows, by their places, that the target would refuse. DataError where the mapping says `fail`."""
    places = pa.array(sorted(refusals), pa.int64())
    rows = mapped.rows.take(places)
    why = [refusals[place] for place in places.to_pylist()]
    told = expressions.as_json_keys(rows, mapping.key).cast(pa.string())
    if mapping.on_invalid == "fail":
        named = ".".join(part for part in (mapping.table, ", ".join(why[0].columns)) if part)
        raise DataError(
            f"{named} key {told[0].as_py()}: {text_of(why[0])}; {len(why)} such rows here.",
            fix="mend the source rows, or set `on_invalid: quarantine`.",
        )
    values: list[str | None] = [None] * len(why)
    texts: dict[str, list[str | None]] = {}
    for row, each in enumerate(why):
        name = each.column
        if name is not None and name in rows.column_names:
            if name not in texts:
                texts[name] = as_text(contiguous(rows.column(name))).to_pylist()
            values[row] = texts[name][row]
    image = expressions.as_json(without_origin(rows)).cast(pa.string())
    reasons = list(dict.fromkeys(why))
    places_of = {each: place for place, each in enumerate(reasons)}
    which = pa.array([places_of[each] for each in why], pa.int64())
    info = pa.table([whys(rows, reasons, which), told, pa.array(values, pa.string()), image, image], schema=REJECTED)
    bad = np.zeros(mapped.rows.num_rows, dtype=bool)
    bad[places.to_numpy()] = True
    return replace(
        mapped,
        rows=mapped.rows.filter(pa.array(~bad)),
        rejected=pa.concat_tables([mapped.rejected, info]),
        rejected_rows=pa.concat_tables([mapped.rejected_rows, rows]),
    )
