"""Keys that the target gives: which row of the target each row of the source is, before its windows are planned.

The columns of the source's key are read once, with those by which rows find each other. A row whose key is in the ledger's map has
its partner's key; else it may find its partner by its values; else it is new, and gets the key that its insert will have. That is
written down as for any other lookup, so that windows map and compare as ever. Memory: these columns, and the pairs of the table.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
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
from flows.plan.lookups.born_rows import GONE, with_born
from flows.plan.lookups.identity_texts import KNOWN, STATE, changed_texts, texts_of
from flows.plan.lookups.numbers import must_hold
from flows.plan.lookups.own_lookups import forget
from flows.plan.lookups.own_rows import rows_there, rows_with
from flows.plan.lookups.pairs import asked_pairs, known_pairs
from flows.plan.reading.chosen_keys import held_by_source, held_by_target, of_source
from flows.plan.reading.window_reader import PlanWork, doubt_file, lookup_file, lookup_rows, rejected_file
from flows.plan.trees.chosen_tree import asked_of_lookup
from flows.session.memory import Samples
from flows.session.route import Route
from flows.session.session import Job, Session
from flows.session.watch import UNWATCHED
from transforms import keys
from transforms.mapping.column_mapping import ColumnMapping, LookUp
from transforms.mapping.identities import WHY, meet, places
from transforms.mapping.mapping import map_rows, uuids_of
from transforms.mapping.rejections import Faults
from transforms.mapping.sources import read_by
from transforms.vocabulary import PlanError, Relation, Tree
from transforms.vocabulary.arrow import Mask, contiguous


def pair_rows(session: Session, route: Route, work: PlanWork, *, had_none: bool = False) -> PlanWork:
    """Find out which row of the target each row of the source is, and write it down; the work, which knows whether rows are in doubt.

    In: `had_none`: both sides have met, and had no rows then.
    Errors: PlanError where the target has rows, and nothing says which rows of the source they are.
    """
    bound = route.table
    known = bound.identity_map
    assert known is not None, "the table has an identity map"
    pairs = known_pairs(session, bound)
    asked = of_source(bound, work.selection).keys if isinstance(work.selection, Tree) else None
    asking = _Asking.read(route, work, known, asked)
    if asked is not None:
        asking = asking.among(asked)
    # where some rows are looked at, others are not counted first
    empty = bool(bound.ddl) or (asked is None and route.writes.snapshot.estimate(Relation(bound.shape.name)) == 0)
    alone = bound.two_way is not None and (
        had_none or not asking.rows.num_rows
    )  # then the target's rows are born there
    if not (pairs.num_rows or known.match or empty or alone) and route.writes.snapshot.count(bound.there):
        raise PlanError(
            f"{bound.name}: {bound.shape.name} has rows, and its identity map has none: nothing says which rows of the source they are. "
            f"Nothing was written.",
            fix=f"name columns by which they find each other (`key: {{map: […], match: […]}}`), or fill the map with `syncline identity "
            f"{session.spec.path.name} rebuild` or `import`.",
        )
    rows, doubtful = asking.paired(route, work, pairs, empty=empty)
    if bound.two_way is not None:
        rows = with_born(route, work, pairs, rows, doubtful)
    name = known.name
    spill.write_rows(lookup_file(work.job, bound.name, name, "rows"), [rows], rows.schema)
    spill.write_rows(lookup_file(work.job, bound.name, name, "known"), [pairs], pairs.schema)
    if doubtful.num_rows:
        spill.write_rows(doubt_file(work.job, bound.name), [doubtful], doubtful.schema)
    return replace(work, doubtful=doubtful.num_rows > 0)


@dataclass(frozen=True, slots=True)
class _Asking:
    """The rows of the source that want a partner, one for each key: `rows` has the columns of the source's key, and beside them the
    mapped ones that say what new rows get, and by which they find each other. `twice`: several rows have the key. `bad`: one of the
    mapped columns cannot be made."""

    known: IdentityMap
    rows: pa.Table
    twice: Mask
    bad: Mask

    @classmethod
    def read(cls, route: Route, work: PlanWork, known: IdentityMap, asked: pa.Table | None) -> _Asking:
        """Read the source: all of it, or the rows with some values in some of its columns."""
        bound = route.table
        columns = _wanted(bound, known)
        reads = {*known.by, *(name for column in columns for name in read_by(column, bound.reads))}
        names = [name for name in bound.reads if name in reads]
        mapping = replace(bound.mapping, key=(), columns=tuple(columns), on_invalid="quarantine", checks=())
        others = {name: each for name, each in bound.lookups.items() if each.through != bound.name}
        lookups = lookup_rows(replace(bound, lookups=others), work.job) if columns else {}
        shape = bound.source_shape.schema(known.by)
        fields = [*shape, *(pa.field(_MADE + each.shape.name, each.shape.type) for each in columns)]
        parts, bads = [pa.schema(fields).empty_table()], [np.zeros(0, dtype=bool)]
        for batch in route.reads.scan(bound.source, names, keys=asked):
            rows = pa.Table.from_batches([batch])
            own = rows.select(list(known.by)).cast(shape)
            bad = np.zeros(rows.num_rows, dtype=bool)
            made: list[pa.Table] = []
            if columns:

                def note(every: pa.Table, faults: Faults, bad: Mask = bad, made: list[pa.Table] = made) -> None:
                    bad[:] = faults.which >= 0
                    made.append(every)

                map_rows(rows, mapping, lookups, note)
            parts.append(
                pa.Table.from_arrays([*own.columns, *(made[0].columns if made else ())], schema=pa.schema(fields))
            )
            bads.append(bad)
        every, bad = pa.concat_tables(parts).combine_chunks(), np.concatenate(bads)
        whole = ~keys.null_keys(every, known.by)
        every, bad = every.filter(pa.array(whole)), bad[whole]
        if not every.num_rows:
            return cls(known, every, bad, bad)
        (numbers,) = keys.codes([every], known.by)
        first = np.sort(np.unique(numbers, return_index=True)[1])
        twice = np.bincount(numbers)[numbers] > 1
        return cls(known, every.take(pa.array(first)), twice[first], bad[first])

    def among(self, asked: pa.Table) -> _Asking:
        """Those with one of some keys: engines may take others for the same."""
        by = self.known.by
        mine = keys.contained(self.rows, asked.select(list(by)).cast(self.rows.select(list(by)).schema), by)
        return _Asking(self.known, self.rows.filter(pa.array(mine)), self.twice[mine], self.bad[mine])

    def paired(self, route: Route, work: PlanWork, pairs: pa.Table, *, empty: bool) -> tuple[pa.Table, pa.Table]:
        """The map as windows look it up, and the keys of rows of the target that are in doubt."""
        known, bound = self.known, route.table
        place = places(self.rows, pairs, known.by)
        ends = ends_of(pairs, known.key)
        found = ends.take(pa.array(place, mask=place < 0))
        count = self.rows.num_rows
        state = np.where(place >= 0, KNOWN, "begins").astype(object)
        whys = np.full(count, None, dtype=object)
        whys[self.twice] = "duplicate_key"
        fresh = place < 0
        doubtful = bound.schema.empty_table().select(list(bound.key))
        met = np.full(count, -1, dtype=np.int64)
        there = ends.slice(0, 0)
        if known.match and not empty and fresh.any():
            rows = self._partners(route, work, fresh)
            if rows.num_rows and ends.num_rows:
                rows = rows.filter(
                    pa.array(~keys.contained(rows.select(list(known.key)).cast(ends.schema), ends, known.key))
                )
            if rows.num_rows:
                asked = np.flatnonzero(fresh)
                wanted = pa.concat_tables([self._values.take(pa.array(asked)), self._beside(route, work, rows, pairs)])
                meeting = meet(wanted, rows.select(list(known.match)), known.match).of_first(len(asked))
                met[asked] = meeting.place
                there = rows.select(list(known.key)).cast(ends.schema)
                unsure = [
                    (meeting.ambiguous, "identity_ambiguous"),
                    (meeting.unknown & ~self.bad[asked], "identity_unknown"),
                ]
                for mask, code in unsure:
                    whys[asked[mask]] = code
                    fresh[asked[mask]] = False
                doubtful = there.filter(pa.array(meeting.doubtful)).select(list(bound.key)).cast(doubtful.schema)
        state[met >= 0] = "meets"
        fresh &= (met < 0) & ~self.bad
        texts = texts_of(self.rows, known.by)
        new = self._new(route, pairs, fresh, texts)
        columns = []
        for column in known.target:
            parts = [
                found.column(column.name),
                there.column(column.name).take(pa.array(met, mask=met < 0)),
                new[column.name],
            ]
            columns.append(pc.coalesce(*(contiguous(part) for part in parts)))
        made = pa.Table.from_arrays([*self.rows.select(list(known.by)).columns, *columns], schema=known.schema)
        made = made.append_column(WHY, pa.array(whys, pa.string())).append_column(STATE, pa.array(state, pa.string()))
        return made.append_column(PAIRS.field("source_key"), texts), doubtful

    @property
    def _values(self) -> pa.Table:
        """What rows find each other by."""
        return self.rows.select([_MADE + name for name in self.known.match]).rename_columns(list(self.known.match))

    def _partners(self, route: Route, work: PlanWork, fresh: Mask) -> pa.Table:
        """The rows of the target that new rows may be: all there are, or of trees those with the same values; where a row has a null
        among these, whether it is a new one hangs on all rows."""
        known = self.known
        names = list(dict.fromkeys([*known.key, *known.match]))
        values = self._values.filter(pa.array(fresh))
        if not isinstance(work.selection, Tree) or keys.null_keys(values, known.match).any():
            return rows_there(route, replace(work, target_empty=False), names)
        asked = held_by_target(route, keys.distinct(values))
        return rows_with(route, names, asked)

    def _beside(self, route: Route, work: PlanWork, found: pa.Table, pairs: pa.Table) -> pa.Table:
        """What other rows of the source are found by that are in no pair: of trees those outside of them, which may have the values of
        some rows of the target, too. Without trees there are none."""
        known, none = self.known, self._values.slice(0, 0)
        if not isinstance(work.selection, Tree):
            return none
        values = keys.distinct(keys.without_null_keys(found.select(list(known.match)), known.match))
        others = _Asking.read(route, work, known, held_by_source(route.table, values).keys)
        mine = keys.contained(others.rows, self.rows, known.by) | (places(others.rows, pairs, known.by) >= 0)
        return others._values.filter(pa.array(~mine)).cast(none.schema)

    def _new(self, route: Route, pairs: pa.Table, fresh: Mask, texts: pa.Array) -> dict[str, pa.Array]:
        """What new rows get, null for others."""
        known, count = self.known, self.rows.num_rows
        made: dict[str, pa.Array] = {}
        for column in known.target:
            how = known.generated.get(column.name)
            if how == "number":
                first = _first(route, column.name, pairs.column(TARGET + column.name))
                new = int(fresh.sum())
                must_hold(route.table.shape.name, column, first + new - 1)
                values = np.zeros(count, dtype=np.int64)
                values[fresh] = first + np.arange(new)
                made[column.name] = pa.array(values, mask=~fresh).cast(column.type)
            elif how == "uuid":
                made[column.name] = pc.if_else(pa.array(fresh), uuids_of(texts), pa.scalar(None, pa.string()))
            else:
                given = contiguous(self.rows.column(_MADE + column.name))
                made[column.name] = pc.if_else(pa.array(fresh), given, pa.scalar(None, given.type))
        return made


_MADE = "made "  # what mapped columns are called beside those of the source's key


def _wanted(bound: BoundTable, known: IdentityMap) -> list[ColumnMapping]:
    """The mapped columns that pairing needs: what new rows get, what rows find each other by, and what these are looked up by."""
    by_name = {column.shape.name: column for column in bound.mapping.columns}
    by_name |= {column.shape.name: column for column in known.mapped}
    wanted = [*(column.shape.name for column in known.mapped), *known.match]
    found: dict[str, ColumnMapping] = {}
    while wanted:
        column = by_name[wanted.pop()]
        found[column.shape.name] = column
        wanted += [
            name for name in (column.origin.chained if isinstance(column.origin, LookUp) else ()) if name not in found
        ]
    return list(found.values())


def _first(route: Route, name: str, paired: pa.ChunkedArray) -> int:
    """The first number that no row has or had: behind those of the target and of the map."""
    bound = route.table
    highest = None if bound.ddl else route.writes.snapshot.highest(Relation(bound.shape.name), name)
    return max(0, highest or 0, pc.max(paired).as_py() or 0) + 1


def pairs_known(session: Session, job: Job, bound: BoundTable) -> tuple[pa.Table, pa.Table]:
    """All pairs of a table's map as its plan has them, or of the ledger where it is not planned, and rows without a partner that are
    set aside; in the columns of the map."""
    known = bound.identity_map
    assert known is not None, "the table has an identity map"
    names = known.schema.names
    path = lookup_file(job, bound.name, known.name, "rows")
    if not path.exists():
        pairs = known_pairs(session, bound).select(names)
        return pairs, pairs.slice(0, 0)
    rows, ledger = spill.read_rows(path), spill.read_rows(lookup_file(job, bound.name, known.name, "known"))
    others = ledger.select(names)
    if others.num_rows and rows.num_rows:
        others = others.filter(pa.array(~keys.contained(others, rows, known.by)))
    lacking = keys.null_keys(rows, tuple(TARGET + name for name in known.key))
    mine = rows.select(names)
    return pa.concat_tables([mine.filter(pa.array(~lacking)), others]), mine.filter(pa.array(lacking))


def plan_through_own_map(
    session: Session, route: Route, work: PlanWork, plan: Callable[[Session], list[Planned]]
) -> list[Planned]:
    """Plan the windows of a table that looks into itself through its identity map, by `plan`: again, as long as rows are set aside
    that others refer to and that the target does not have."""
    bound, job = route.table, work.job
    known = bound.identity_map
    assert known is not None, "it looks through its own map"
    rows = spill.read_rows(lookup_file(job, bound.name, known.name, "rows"))
    away = keys.null_keys(rows, tuple(TARGET + name for name in known.key))
    names = list(known.schema.names)
    ends = ends_of(rows, known.key)
    beside = _beside_trees(route, work, rows)
    stays = None
    if not work.target_empty and not bound.ddl:
        of_trees = isinstance(work.selection, Tree)
        stays = (
            rows_with(route, list(known.key), ends.drop_null())
            if of_trees
            else rows_there(route, work, list(known.key))
        )
    held = np.zeros(rows.num_rows, dtype=bool)
    if stays is not None and stays.num_rows and (~away).any():
        held[~away] = keys.contained(ends.filter(pa.array(~away)).cast(stays.schema), stays, known.key)
    while True:
        for kind, mask in (("rows", ~away), ("quarantined", away)):
            some = rows.select(names).filter(pa.array(mask))
            some = pa.concat_tables([some, beside]) if kind == "rows" else some
            spill.write_rows(lookup_file(job, bound.name, way_name(bound.name), kind), [some], some.schema)
        quiet = replace(session, watch=UNWATCHED) if session.watch.counts else session
        planned = plan(replace(quiet, samples=Samples()))
        fallen = ~away & ~held & _set_aside(work, bound, ends, away, planned)
        if not fallen.any():
            return plan(replace(session, samples=Samples())) if session.watch.counts else planned
        away |= fallen
        forget(job, bound, planned)


def _beside_trees(route: Route, work: PlanWork, rows: pa.Table) -> pa.Table:
    """The pairs of rows outside of trees that rows in them look up, and that the target has; none without trees."""
    bound, known = route.table, route.table.identity_map
    assert known is not None, "it looks through its own map"
    asked = asked_of_lookup(work.job, bound.name, way_name(bound.name)) if isinstance(work.selection, Tree) else None
    if asked is None or bound.ddl:
        return known.schema.empty_table()
    pairs = spill.read_rows(lookup_file(work.job, bound.name, known.name, "known")).select(known.schema.names)
    pairs = pairs.filter(pa.array(asked_pairs(pairs, asked)))
    pairs = pairs.filter(pa.array(~keys.contained(pairs, rows, known.by)))
    ends = ends_of(pairs, known.key)
    there = rows_with(route, list(known.key), held_by_target(route, ends)) if pairs.num_rows else ends
    return pairs.filter(pa.array(keys.contained(ends, there.cast(ends.schema), known.key)))


def _set_aside(work: PlanWork, bound: BoundTable, ends: pa.Table, away: Mask, planned: Sequence[Planned]) -> Mask:
    """Which pairs have rows that windows have set aside."""
    files = [rejected_file(work.job, bound.name, each.window) for each in planned]
    parts = [spill.read_rows(path).select(list(bound.key)) for path in files if path.exists()]
    found = np.zeros(ends.num_rows, dtype=bool)
    rejected = keys.without_null_keys(pa.concat_tables(parts), bound.key) if parts else ends.slice(0, 0)
    if rejected.num_rows and (~away).any():
        found[~away] = keys.contained(
            ends.filter(pa.array(~away)), rejected.select(ends.column_names).cast(ends.schema), bound.key
        )
    return found


def identity_files(job: Job, bound: BoundTable, planned: Iterable[Planned]) -> Iterator[FileEntry]:
    """Write down what becomes of the pairs of a table's identity map with its windows; nothing where nothing does."""
    known = bound.identity_map
    if known is None:
        return
    entries = [each.changes for each in planned if each.table == bound.name and each.changes is not None]
    names = lookup_file(job, bound.name, known.name, "rows"), lookup_file(job, bound.name, known.name, "known")
    rows, ledger = map(spill.read_rows, names)
    key, folder = known.key, Path(job.folder)
    inserted, deleted = (changed_texts(folder, entries, key, op) for op in ("insert", "delete"))
    whole = ~keys.null_keys(rows, tuple(TARGET + name for name in key))
    rows = rows.filter(pa.array(whole))
    ends = ends_of(rows, key)
    texts = texts_of(ends, key)
    new = pc.and_(pc.equal(rows.column(STATE), "begins"), pc.is_in(texts, value_set=inserted))
    happens = pc.or_(new, pc.equal(rows.column(STATE), "meets"))
    begins = pa.table([rows.column(STATE), rows.column("source_key"), texts], IDENTITY.names).filter(happens)
    lost = texts.filter(pc.equal(rows.column(STATE), GONE))
    deleted = pa.concat_arrays([deleted, contiguous(lost)])
    gone = ledger.select(PAIRS.names).filter(pc.is_in(ledger.column("target_key"), value_set=deleted))
    ended = pa.table([pa.repeat("ends", gone.num_rows), *gone.columns], IDENTITY.names)
    every = pa.concat_tables([ended.cast(IDENTITY), begins.cast(IDENTITY)])
    if every.num_rows:
        yield PlanWriter(folder, begun=True).add_identity(bound.shape.name, every)
