"""Values looked up in other tables by matching columns."""

from __future__ import annotations

import numpy as np
import pyarrow as pa

from transforms import keys
from transforms.mapping import casts
from transforms.mapping.casts import Cast
from transforms.mapping.column_mapping import LookUp, LookupRows, TableMapping
from transforms.mapping.rejections import Faults
from transforms.vocabulary import DataError, Reason, SpecError, text_of
from transforms.vocabulary.arrow import Mask, contiguous
from transforms.vocabulary.texts import as_text


def look_up(
    rows: pa.Table, lookup: LookUp, found: LookupRows, column: str, faults: Faults, mapping: TableMapping
) -> pa.Array:
    """The values of the looked-up column, null where nothing matches; what that means for a row goes to `faults`.

    Errors: SpecError where a row matches twice; DataError where `missing` says `fail`.
    """
    names = [f"k{i}" for i in range(len(lookup.match))]
    looked = found.rows.select([name for name, _ in lookup.match]).rename_columns(names)
    asked = as_asked(rows, lookup, looked.schema, names)
    given = ~keys.null_keys(rows, tuple(source for _, source in lookup.match))
    known = ~keys.null_keys(asked, tuple(names))  # a value that the looked-up column cannot hold matches nothing
    usable = np.flatnonzero(~keys.null_keys(looked, tuple(names)))
    place = np.full(rows.num_rows, -1, dtype=np.int64)
    if known.any() and len(usable):
        left, right = keys.codes([asked.filter(pa.array(known)), looked.take(pa.array(usable))], tuple(names))
        size = int(max(left.max(), right.max())) + 1
        times = np.bincount(right, minlength=size)
        if (times[left] > 1).any():
            row = int(np.flatnonzero(known)[np.flatnonzero(times[left] > 1)[0]])
            value = ", ".join(repr(asked.column(name)[row].as_py()) for name in names)
            raise SpecError(
                f"{mapping.table}.{column}: the lookup into {lookup.name} matches more than one row for "
                f"({', '.join(name for name, _ in lookup.match)}) = ({value}).",
                fix="match on columns that are unique there.",
            )
        at = np.full(size, -1, dtype=np.int64)
        at[right] = usable
        place[known] = at[left]
    missed = given & (place < 0)
    if missed.any():
        values = as_text(contiguous(rows.column(lookup.match[0][1])))
        orphaned = _orphaned(asked, lookup, found.quarantined, missed)
        faults.add(orphaned, Reason("parent_quarantined", column, {"table": lookup.name}), values)
        _miss(missed & ~orphaned, values, lookup, column, faults, mapping)
    taken = contiguous(found.rows.column(lookup.take))
    return taken.take(pa.array(place, mask=place < 0))


def as_asked(rows: pa.Table, lookup: LookUp, looked: pa.Schema, names: list[str]) -> pa.Table:
    """The source's match columns in the types of the looked-up ones, null where they cannot be."""
    columns = [
        casts.cast(contiguous(rows.column(source)), Cast(looked.field(name).type)).values
        for name, (_, source) in zip(names, lookup.match, strict=True)
    ]
    return pa.table(columns, names=names)


def _orphaned(asked: pa.Table, lookup: LookUp, quarantined: pa.Table | None, missed: Mask) -> Mask:
    """Which of the rows that found nothing ask for a row that is in quarantine.

    Such a row takes its children along, whatever `missing` says: a null there would lose the reference for good.
    """
    orphaned = np.zeros(len(missed), dtype=bool)
    if quarantined is None or not quarantined.num_rows:
        return orphaned
    names = tuple(asked.column_names)
    away = quarantined.select([name for name, _ in lookup.match]).rename_columns(asked.column_names)
    away = keys.without_null_keys(away, names)
    sure = missed & ~keys.null_keys(asked, names)
    orphaned[sure] = keys.contained(asked.filter(pa.array(sure)), away, names)
    return orphaned


def _miss(missed: Mask, values: pa.Array, lookup: LookUp, column: str, faults: Faults, mapping: TableMapping) -> None:
    """Do with rows that a lookup found nothing for what its `missing` says. DataError where that is `fail`."""
    reason = Reason("no_match", column, {"table": lookup.name, "match": [name for name, _ in lookup.match]})
    if lookup.missing == "quarantine":
        faults.add(missed, reason, values)
    elif lookup.missing == "null":
        faults.note(missed, reason, values)
    elif lookup.missing == "fail" and missed.any():
        row = int(np.flatnonzero(missed)[0])
        raise DataError(
            f"{mapping.table}.{column}: {text_of(reason)}: {values[row].as_py()!r}.",
            fix="add the row there, or set `missing: null` or `missing: quarantine`.",
        )
