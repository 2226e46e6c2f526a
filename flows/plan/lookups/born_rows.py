"""Rows that were born on the target of tables with an identity map that go both ways: the key that each gets in the source.

They are the rows of the target that no pair has, and that are no row of the source by their values. Their keys are given when the plan
is made, as those of rows that are born on the source: a pair begins with the insert of its row, on either side.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.ledger.identity import PAIRS
from adapters.store import spill
from adapters.store.plan_files import FileEntry
from adapters.store.plans import IDENTITY, PlanWriter
from flows.bind.identity import TARGET, IdentityMap, ends_of, way_name
from flows.bind.tables import BoundTable
from flows.plan.decide import Planned
from flows.plan.lookups.identity_texts import KNOWN, STATE, changed_texts, texts_of
from flows.plan.lookups.numbers import must_hold
from flows.plan.lookups.own_rows import rows_there, rows_with
from flows.plan.reading.window_reader import PlanWork, lookup_file
from flows.session.route import Route
from flows.session.session import Job
from flows.session.side import WrittenSide
from transforms import expressions, keys
from transforms.mapping.identities import WHY
from transforms.mapping.mapping import uuids_of
from transforms.vocabulary import DataError, Relation
from transforms.vocabulary.arrow import Mask, as_mask

BORN = "born"
"""What `STATE` says of a pair that begins with an insert of the source."""
GONE = "gone"
"""What it says of a pair of which neither side has the row any more."""


def with_born(route: Route, work: PlanWork, pairs: pa.Table, rows: pa.Table, doubtful: pa.Table) -> pa.Table:
    """The map with all pairs, and with those of rows that were born on the target.

    In: the pairs of the ledger, the map of the source's rows, and the keys of rows of the target that are in doubt.
    Memory: the keys of the target.
    """
    known, bound = _known(route.table), route.table
    others = pairs.filter(pa.array(~keys.contained(pairs, rows, known.by))) if pairs.num_rows else pairs
    there = rows_there(route, work, list(known.key)).cast(pa.schema([(c.name, c.type) for c in known.target]))
    state = np.full(others.num_rows, KNOWN, dtype=object)
    if others.num_rows and bound.source.where is None and bound.owns is None:
        state[~keys.contained(ends_of(others, known.key), there, known.key)] = GONE
    others = others.select(known.schema.names).append_column(PAIRS.field("source_key"), others.column("source_key"))
    whole = pa.concat_tables([rows, _with_state(others, state).select(rows.column_names)])
    if not there.num_rows:
        return whole
    paired = keys.without_null_keys(ends_of(whole, known.key), known.key)
    new = ~keys.contained(there, paired, known.key) if paired.num_rows else np.ones(there.num_rows, dtype=bool)
    if doubtful.num_rows:
        new &= ~keys.contained(there, doubtful.select(list(known.key)).cast(there.schema), known.key)
    born = there.filter(pa.array(new))
    if not born.num_rows:
        return whole
    made, born = _given(route, born, whole)
    mine = pa.Table.from_arrays([*made.columns, *born.columns], schema=known.schema)
    mine = mine.append_column(PAIRS.field("source_key"), texts_of(made, known.by))
    return pa.concat_tables(
        [whole, _with_state(mine, np.full(born.num_rows, BORN, dtype=object)).select(whole.column_names)]
    )


def _known(bound: BoundTable) -> IdentityMap:
    assert bound.identity_map is not None, "the table has an identity map"
    return bound.identity_map


def _with_state(pairs: pa.Table, state: np.ndarray) -> pa.Table:
    none = pa.nulls(pairs.num_rows, pa.string())
    return pairs.append_column(WHY, none).append_column(STATE, pa.array(state, pa.string()))


def _given(route: Route, born: pa.Table, known_rows: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The keys that rows get in the source, and their own, row by row. Errors: DataError for a key that `on_source` gives twice, PlanError
    for a number that the source does not hold."""
    bound, known = route.table, _known(route.table)
    assert bound.two_way is not None, "the table goes both ways"
    source, table = route.reads, bound.source.table
    assert isinstance(source, WrittenSide), "the source is written, too"
    assert table is not None, "its rows are a table's"
    given = {name: each for name, each in bound.two_way.on_source.items() if name in known.by}
    rows = born
    if given:
        rows = rows_with(route, list(bound.schema.names), None)
        rows = rows.filter(pa.array(keys.contained(rows.select(list(known.key)).cast(born.schema), born, known.key)))
        born = rows.select(list(known.key)).cast(born.schema)
    made: list[pa.Array] = []
    for column in known.source:
        if column.name in given:
            made.append(given[column.name].of(rows).cast(column.type))
        elif pa.types.is_integer(column.type):
            highest = source.snapshot.highest(Relation(table), column.name)
            first = max(0, highest or 0, pc.max(known_rows.column(column.name)).as_py() or 0) + 1
            must_hold(table, column, first + born.num_rows - 1)
            made.append(pa.array(first + np.arange(born.num_rows)).cast(column.type))
        else:
            made.append(uuids_of(texts_of(born, known.key)).cast(column.type))
    found = pa.Table.from_arrays(made, schema=pa.schema([(c.name, c.type) for c in known.source]))
    if given:
        _must_be_new(bound, found, known_rows)
    return found, born


def _must_be_new(bound: BoundTable, found: pa.Table, known_rows: pa.Table) -> None:
    """Errors: DataError for keys of the source that are null, given twice, or another row's."""
    by = _known(bound).by
    bad = keys.null_keys(found, by)
    whole = np.flatnonzero(~bad)
    some = found.take(pa.array(whole))
    if some.num_rows:
        bad[whole] = keys.duplicates(some, by) | keys.contained(some, known_rows, by)
    if bad.any():
        key = expressions.json_key(found.filter(pa.array(bad)), by)
        raise DataError(
            f"{bound.name}: on_source gives a row that was born on the target the key {key} of the source, which is none of its own. "
            f"Nothing was written.",
            fix="let the expression make a key of its own for each row.",
        )


def without_open(job: Job, bound: BoundTable, there: BoundTable, back: Path, planned: Sequence[Planned]) -> None:
    """Take the pairs of rows that do not come to the source out of the map: nothing may refer to them there. In: the folder of the
    source's plan, and its windows of the table, whose rows have the keys of `there`."""
    known = _known(bound)
    path = lookup_file(job, bound.name, known.name, "rows")
    rows = spill.read_rows(path)
    born = pc.equal(rows.column(STATE), BORN)
    if not pc.any(born).as_py():
        return
    come = pc.is_in(rows.column("source_key"), value_set=_texts(back, planned, there, "insert"))
    spill.write_rows(path, [rows.filter(pc.or_(pc.invert(born), come))], rows.schema)


def open_own_map(job: Job, bound: BoundTable) -> bool:
    """Write down what a table finds of its own rows through its map: all that have a partner. Whether it looks for any."""
    known, name = _known(bound), way_name(bound.name)
    if name not in bound.lookups:
        return False
    rows = spill.read_rows(lookup_file(job, bound.name, known.name, "rows"))
    _write_way(
        job, bound, rows.select(known.schema.names), keys.null_keys(rows, tuple(TARGET + each for each in known.key))
    )
    return True


def without_waiting(
    job: Job, bound: BoundTable, there: BoundTable, back: Path, both: tuple[Sequence[Planned], Sequence[Planned]]
) -> bool:
    """Take out of that what rows may not refer to yet: rows that were born on a side and do not come to the other one. Whether there are
    more of them than before. In: as of `without_open`, and the windows of both plans, those of the target first."""
    known, path = _known(bound), lookup_file(job, bound.name, way_name(bound.name), "rows")
    rows, way = spill.read_rows(lookup_file(job, bound.name, known.name, "rows")), spill.read_rows(path)
    target, source = both
    texts = texts_of(ends_of(rows, known.key), known.key)
    comes = {
        "begins": pc.is_in(texts, value_set=_texts(Path(job.folder), target, bound, "insert")),
        BORN: pc.is_in(rows.column("source_key"), value_set=_texts(back, source, there, "insert")),
    }
    waits = np.zeros(rows.num_rows, dtype=bool)
    for state, come in comes.items():
        waits |= as_mask(pc.and_(pc.equal(rows.column(STATE), state), pc.invert(come)))
    waiting = rows.filter(pa.array(waits)).select(known.schema.names)
    gone = (
        keys.contained(way, waiting, known.by)
        if way.num_rows and waiting.num_rows
        else np.zeros(way.num_rows, dtype=bool)
    )
    if not gone.any():
        return False
    away = lookup_file(job, bound.name, way_name(bound.name), "quarantined")
    every = pa.concat_tables([way, spill.read_rows(away)])
    _write_way(job, bound, every, np.concatenate([gone, np.ones(every.num_rows - way.num_rows, dtype=bool)]))
    return True


def _write_way(job: Job, bound: BoundTable, pairs: pa.Table, away: Mask) -> None:
    for kind, mask in (("rows", ~away), ("quarantined", away)):
        some = pairs.filter(pa.array(mask))
        spill.write_rows(lookup_file(job, bound.name, way_name(bound.name), kind), [some], some.schema)


def back_files(
    job: Job, bound: BoundTable, there: BoundTable, back: Path, planned: Sequence[Planned]
) -> Iterator[FileEntry]:  # fmt: skip
    """Write down what becomes of pairs with the windows of the source's plan. In: as of `without_open`."""
    known = _known(bound)
    rows = spill.read_rows(lookup_file(job, bound.name, known.name, "rows"))
    texts = texts_of(ends_of(rows, known.key), known.key)
    source = rows.column("source_key")
    comes, goes = (pc.is_in(source, value_set=_texts(back, planned, there, op)) for op in ("insert", "delete"))
    begins = pc.and_(pc.equal(rows.column(STATE), BORN), comes)
    does = pc.if_else(begins, "begins", pc.if_else(goes, "ends", None))
    every = pa.table([does, source, texts], IDENTITY.names).filter(pc.is_valid(does))
    if every.num_rows:
        yield PlanWriter(back, begun=True).add_identity(there.shape.name, every)


def _texts(folder: Path, planned: Sequence[Planned], there: BoundTable, op: str) -> pa.Array:
    entries = [each.changes for each in planned if each.table == there.name and each.changes is not None]
    return changed_texts(folder, entries, there.key, op)
