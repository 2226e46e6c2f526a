"""Rows of the target written back: what the source's columns have to be so that the mapping makes those rows of them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from transforms import expressions, keys
from transforms.diff import Comparison
from transforms.mapping import casts
from transforms.mapping.casts import Cast
from transforms.mapping.column_limits import misfits
from transforms.mapping.column_mapping import ColumnMapping, Identified, LookUp, LookupRows, Rename, TableMapping
from transforms.mapping.identities import places
from transforms.mapping.mapping import map_rows
from transforms.mapping.rejections import Faults
from transforms.mapping.renamed import Renamed, stale_references
from transforms.mapping.value_tables import value_table
from transforms.mapping.ways_back import Inverse, WayBack
from transforms.vocabulary import ColumnShape, Reason
from transforms.vocabulary.arrow import Mask, as_mask, contiguous
from transforms.vocabulary.values import unequal


@dataclass(frozen=True, slots=True)
class Backward:
    """What writes rows of a table back: its mapping, the source's columns, how values compare, the `inverse` of columns that have one,
    what lookups find, how each column goes back (`ways_back`), and which rows that lookups find are called otherwise on the source from
    now on."""

    mapping: TableMapping
    sources: Mapping[str, ColumnShape]
    comparison: Comparison
    inverses: Mapping[str, Inverse]
    lookups: Mapping[str, LookupRows]
    ways: Mapping[str, WayBack]
    renamed: Renamed = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class Put:
    """Rows written back, in the order of the rows that were wanted.

    `rows` are the source's columns: of rows that were there all that was given, of new ones those that a column goes back to and
    those that `given` fills. `written` are the columns that differ anywhere. `mapped` is what the mapping makes of the rows now:
    columns that are computed of others follow them. `faults` says of each row whether it can be written back, and why not; what
    `rows` and `mapped` have in its place is of no use.
    """

    rows: pa.Table
    written: tuple[str, ...]
    mapped: pa.Table
    faults: Faults

    @property
    def refused(self) -> Mask:
        """The rows that cannot be written back."""
        return self.faults.which >= 0


def put(wanted: pa.Table, before: pa.Table, current: pa.Table, backward: Backward) -> Put:
    """Rows that are there written back: of the source only the columns that changed columns are made of, and those that refer to rows
    which are called otherwise from now on.

    In: rows in the target's shape as they are `wanted`, and as the mapping makes them of `current`: row by row the source's columns
        that the mapping reads or that are written back.
    Out: columns of `current`, changed where a changed column goes back. A row has a fault where a changed column has no way back,
        where the source cannot hold a value, and where the mapping would make another value of what was written back.
    Errors: as of map_rows; SpecError for an inverse that is wrong for every row.
    """
    changed = {name: _unlike(wanted, before, name, backward.comparison) for name in backward.mapping.schema.names}
    for name, stale in stale_references(wanted, current, backward.mapping, backward.renamed).items():
        changed[name] |= stale
    return _put(wanted, current, changed, backward)


def put_new(wanted: pa.Table, given: pa.Table, backward: Backward) -> Put:
    """Rows that were born on the target written back. In: `given`, row by row, what source columns get that no column goes back to."""
    every = np.ones(wanted.num_rows, dtype=bool)
    columns = {name: pa.nulls(wanted.num_rows, shape.type) for name, shape in backward.sources.items()}
    blank = pa.table({**columns, **{name: given.column(name) for name in given.column_names}})
    result = _put(wanted, blank, dict.fromkeys(backward.mapping.schema.names, every), backward)
    own = {name for way in backward.ways.values() if not way.why_not for name in way.writes} | set(given.column_names)
    names = [name for name in result.rows.column_names if name in own]
    return replace(result, rows=result.rows.select(names), written=tuple(names))


def round_trips(current: pa.Table, mapped: pa.Table, backward: Backward) -> Put:
    """The other law, on data: rows as they are mapped, written back as if all of them had changed.

    In: source rows, and what the mapping makes of them, row by row. Out: `faults` of rows that do not come back as they were.
    """
    every = np.ones(mapped.num_rows, dtype=bool)
    ways = backward.ways
    names = [name for name in backward.mapping.schema.names if not ways[name].why_not]
    result = _put(mapped, current, dict.fromkeys(names, every), backward)
    for name in names:
        for source in ways[name].writes:
            shape = backward.sources[source]
            there, back = (contiguous(rows.column(source)) for rows in (current, result.rows))
            unlike = unequal(there, back, meaning=shape.meaning)
            if unlike is not None:
                result.faults.add(
                    unlike, Reason("inverse_differs", name, {"source": source}), contiguous(mapped.column(name))
                )
    return result


def _put(wanted: pa.Table, current: pa.Table, changed: Mapping[str, Mask], backward: Backward) -> Put:
    faults = Faults(wanted.num_rows)
    ways = backward.ways
    made = {name: contiguous(current.column(name)) for name in current.column_names}
    evaluated = _inverses(wanted, changed, backward, faults)
    for column in backward.mapping.columns:
        name = column.shape.name
        rows = changed.get(name)
        if rows is None or not rows.any() or ways[name].why_not:
            continue
        if name in backward.inverses:
            back = {source: evaluated[name, source] for source in backward.inverses[name]}
        else:
            back = _back(wanted, column, rows, backward, faults)
        for source, values in back.items():
            fitting = _stored(values, backward.sources[source], rows, name, faults)
            made[source] = fitting if rows.all() else pc.if_else(pa.array(rows), fitting, made[source])
    source_rows = pa.table(made)
    written = tuple(name for name in made if not made[name].equals(contiguous(current.column(name))))
    mapped = _again(source_rows, backward, faults)
    for name, rows in changed.items():
        why = ways[name].why_not
        reason = Reason("no_inverse", name, {"why": why}) if why else Reason("inverse_differs", name)
        faults.add(_unlike(mapped, wanted, name, backward.comparison) & rows, reason, contiguous(wanted.column(name)))
    return Put(source_rows, written, mapped, faults)


def _unlike(one: pa.Table, other: pa.Table, name: str, comparison: Comparison) -> Mask:
    mask = unequal(
        contiguous(one.column(name)),
        contiguous(other.column(name)),
        comparison.tolerance.get(name),
        comparison.meanings.get(name, "plain"),
    )
    return np.zeros(one.num_rows, dtype=bool) if mask is None else mask


def _again(rows: pa.Table, backward: Backward, faults: Faults) -> pa.Table:
    """What the mapping makes of rows; what it sets aside is a fault."""
    seen: list[pa.Table] = []

    def note(mapped: pa.Table, found: Faults) -> None:
        seen.append(mapped)
        for number, (reason, values) in enumerate(found.reasons):
            faults.add(found.which == number, reason, values)

    map_rows(rows, replace(backward.mapping, on_invalid="quarantine"), backward.lookups, note)
    return seen[0]


def _inverses(
    wanted: pa.Table, changed: Mapping[str, Mask], backward: Backward, faults: Faults
) -> dict[tuple[str, str], pa.Array]:
    """What the inverse of each changed column makes of the rows, in the source's types."""
    made: dict[tuple[str, str], pa.Array] = {}
    for name, inverse in backward.inverses.items():
        rows = changed.get(name)
        if rows is None or not rows.any() or backward.ways[name].why_not:
            continue
        for source, sql in inverse.items():
            values, bad = expressions.evaluate(wanted, source, sql)
            for message in sorted(set(bad.values())):
                mask = np.zeros(wanted.num_rows, dtype=bool)
                mask[[row for row, why in bad.items() if why == message]] = True
                faults.add(mask & rows, Reason("expression_failed", name, {"message": message}))
            shape = backward.sources[source]
            made[name, source] = _cast(contiguous(values), Cast(shape.type, shape.meaning), rows, name, faults)
    return made


def _back(
    wanted: pa.Table, column: ColumnMapping, rows: Mask, backward: Backward, faults: Faults
) -> dict[str, pa.Array]:
    """What the source's columns of a column have to be, from its values alone."""
    values = contiguous(wanted.column(column.shape.name))
    match column.origin:
        case Rename(source):
            return {source: _renamed(values, column, backward.sources[source], rows, faults)}
        case LookUp() as lookup:
            return _looked_up(values, column, lookup, rows, backward, faults)
        case Identified() as identified:
            return _partners(wanted, identified, backward)
    raise AssertionError(f"{column.shape.name} has no way back")


def _renamed(values: pa.Array, column: ColumnMapping, source: ColumnShape, rows: Mask, faults: Faults) -> pa.Array:
    name = column.shape.name
    zone = column.cast.time_zone if column.cast is not None else None
    back = Cast(source.type, source.meaning, zone)
    if column.values is None:
        return _through(values, column, back, rows, faults)
    table = value_table(column, source)
    assert table is not None, f"the value map of {name} is one to one"
    at = pc.index_in(values, value_set=table.news)
    listed = table.olds.take(at)
    unlisted = as_mask(pc.is_null(at))
    if column.values.otherwise != "keep":
        faults.add(unlisted & rows, Reason("unlisted_value", name), values)
        return listed
    kept = _cast(values, back, rows & unlisted, name, faults)
    return pc.if_else(pa.array(unlisted), kept, listed)


def _through(values: pa.Array, column: ColumnMapping, back: Cast, rows: Mask, faults: Faults) -> pa.Array:
    """Back through both casts of a column: from its own type to the one that the spec names, and on to the source's."""
    name = column.shape.name
    if column.cast is not None and column.cast.time_zone is None:
        values = _cast(values, Cast(column.cast.type, column.cast.meaning), rows, name, faults)
    return _cast(values, back, rows, name, faults)


def _looked_up(
    values: pa.Array, column: ColumnMapping, lookup: LookUp, rows: Mask, backward: Backward, faults: Faults
) -> dict[str, pa.Array]:
    """The source's columns of the row that the lookup takes the value of; null for null."""
    name = column.shape.name
    found = backward.lookups[lookup.name].rows
    taken = contiguous(found.column(lookup.take))
    asked = pa.table({lookup.take: _cast(values, Cast(taken.type), rows, name, faults)})
    whole = np.flatnonzero(as_mask(pc.is_valid(taken)))
    listed = found.take(pa.array(whole))
    several = keys.duplicates(listed.select([lookup.take]), (lookup.take,))
    given = as_mask(pc.is_valid(asked.column(0)))
    place = np.full(len(values), -1, dtype=np.int64)
    if given.any():
        once = np.flatnonzero(~several)
        at = keys.match(asked.filter(pa.array(given)), listed.take(pa.array(once)), (lookup.take,))
        place[given] = np.where(at < 0, -1, whole[once[at]] if len(once) else -1)
    lost = given & (place < 0) & rows
    waits = lost & _among(asked, backward.lookups[lookup.name].quarantined, lookup.take)
    table = {"table": lookup.name, "match": [lookup.take]}
    faults.add(waits, Reason("parent_quarantined", name, {"table": lookup.name}), values)
    faults.add(lost & ~waits, Reason("no_match", name, table), values)
    back = {}
    for looked, source in lookup.match:
        shape = backward.sources[source]
        parts = contiguous(found.column(looked)).take(pa.array(place, mask=place < 0))
        back[source] = _cast(parts, Cast(shape.type, shape.meaning), rows, name, faults)
    return back


def _among(asked: pa.Table, rows: pa.Table | None, name: str) -> Mask:
    """Which values are those of some rows that wait."""
    found = np.zeros(asked.num_rows, dtype=bool)
    some = keys.without_null_keys(rows.select([name]), (name,)) if rows is not None else asked.slice(0, 0)
    given = ~keys.null_keys(asked, (name,))
    if some.num_rows and given.any():
        found[given] = keys.contained(asked.filter(pa.array(given)), some.cast(asked.schema), (name,))
    return found


def _partners(wanted: pa.Table, identified: Identified, backward: Backward) -> dict[str, pa.Array]:
    """The source's keys of rows, by their own and the identity map; null for a row that no pair has."""
    found = backward.lookups[identified.name].rows
    takes = {
        each.shape.name: each.origin.take
        for each in backward.mapping.columns
        if isinstance(each.origin, Identified) and each.origin.name == identified.name
    }
    own = wanted.select(list(takes)).rename_columns(list(takes.values()))
    pairs = found.filter(pa.array(~keys.null_keys(found, tuple(takes.values()))))
    place = places(own, pairs, tuple(takes.values()))
    at = pa.array(place, mask=place < 0)
    return {source: contiguous(pairs.column(source)).take(at) for source in identified.by}


def _cast(values: pa.Array, wanted: Cast, rows: Mask, column: str, faults: Faults) -> pa.Array:
    """Values cast exactly; faults are those of the rows alone."""
    result = casts.cast(values, wanted)
    for bad, reason in result.faults:
        faults.add(bad & rows, reason.of((column,)), values)
    return result.values


def _stored(values: pa.Array, source: ColumnShape, rows: Mask, column: str, faults: Faults) -> pa.Array:
    """The values as the source's column gives them back; those that it cannot hold are faults."""
    if source.padded and pa.types.is_string(values.type):
        values = pc.utf8_rtrim(values, " ")
    for bad, reason in misfits(values, source):
        faults.add(bad & rows, replace(reason, column=column), values)
    return values
