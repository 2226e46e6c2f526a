"""What planning reads of both sides: source rows mapped, and target rows as they are."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc

from adapters.store import plans, spill
from flows.bind.rules import KnownOffenders
from flows.bind.tables import BoundTable
from flows.plan.reading.chosen_keys import among, of_source, of_target, source_texts
from flows.session.route import Route
from flows.session.scan import readable, scan_planned
from flows.session.session import Job
from flows.session.watch import UNWATCHED, Watch
from transforms import keys
from transforms.mapping.column_mapping import LookupRows, TableMapping
from transforms.mapping.mapping import REJECTED, Mapped, Noted, map_rows
from transforms.mapping.origins import from_source, noting_source
from transforms.mapping.rejections import Faults
from transforms.mapping.waiting_keys import possible_texts
from transforms.range_filter import inside
from transforms.vocabulary import (
    Clause,
    ColumnRange,
    KeyRange,
    Keys,
    Older,
    Ranges,
    Reason,
    Relation,
    Selection,
    Since,
    TableName,
    Tree,
)
from transforms.vocabulary.arrow import Mask


@dataclass(frozen=True, slots=True)
class Window:
    """A part of a table: key ranges over each side's own columns, or a part of a spill."""

    number: int
    wanted: KeyRange = field(default_factory=KeyRange)
    found: KeyRange = field(default_factory=lambda: KeyRange(nulls=False))
    part: int | None = None


@dataclass(frozen=True, slots=True)
class PlanWork:
    """Windows of one table, planned one after the other by one task."""

    job: Job
    table: str
    windows: tuple[Window, ...]
    selection: Selection
    target_empty: bool = False
    looked_up: bool = False
    base: bool = False  # what is found in the target is kept in the `base_folder`
    doubtful: bool = False  # some rows of the target may be partners of rows that are set aside, and stay
    sealing: bool = False  # windows in which nothing is to do are sealed
    listed: bool = (
        False  # the table has rows in quarantine or conflict: which keys are mapped well is kept with the plan
    )

    @property
    def ranges(self) -> tuple[ColumnRange, ...]:
        """The ranges that rows are inside; none where it is not ranges that choose them."""
        return self.selection.ranges if isinstance(self.selection, Ranges) else ()

    @property
    def keys(self) -> Keys | Tree | None:
        """The keys that rows have; None where it is not keys that choose them."""
        if isinstance(self.selection, Older):
            return self.selection.keys
        return self.selection if isinstance(self.selection, Keys | Tree) else None


def order_schemas(bound: BoundTable) -> tuple[pa.Schema, pa.Schema]:
    """The key of both sides in the table's order, source first."""
    source_key = tuple(bound.renamed[name] for name in bound.order)
    return bound.source_shape.schema(source_key), bound.shape.schema(bound.order)


def base_folder(job: Job, table: TableName) -> Path:
    return Path(job.folder) / "base" / plans.folder_name(table)


def lookup_file(job: Job, table: str, lookup: str, kind: str) -> Path:
    return job.work / "lookups" / quote(table, safe="") / f"{quote(lookup, safe='')}.{kind}.arrow"


def doubt_file(job: Job, table: str) -> Path:
    """The keys of rows of the target that may be partners of rows which are set aside (`PlanWork.doubtful`)."""
    return job.work / "doubt" / f"{quote(table, safe='')}.arrow"


def spill_folder(job: Job, table: str) -> Path:
    return job.work / "spill" / quote(table, safe="")


def rejected_file(job: Job, table: str, window: int) -> Path:
    return job.work / "rejected" / quote(table, safe="") / f"{window:06d}.arrow"


def read_wanted(route: Route, work: PlanWork, window: Window, watch: Watch) -> Mapped:
    """The rows that a window wants: those that the route reads, mapped, and those of them that are set aside."""
    bound = route.table
    batches = map_source(route, work, window.wanted, bound.order, watch, window.number)
    parts = [within_ranges(mapped, bound, work.ranges) for mapped in batches]
    if not parts:
        empty = bound.mapped_schema.empty_table()
        return Mapped(empty, REJECTED.empty_table(), empty)
    return Mapped(
        pa.concat_tables([m.rows for m in parts]),
        pa.concat_tables([m.rejected for m in parts]),
        pa.concat_tables([m.rejected_rows for m in parts]),
        mended_values(parts),
    )


def mended_values(parts: Iterable[Mapped]) -> dict[Reason, int]:
    return dict(sum((Counter(part.mended) for part in parts), Counter()))


def read_found(route: Route, work: PlanWork, window: Window) -> pa.Table:
    """The rows of a window that are on the side which the route writes."""
    bound = route.table
    if work.target_empty:
        return bound.schema.empty_table()
    batches = list(scan_target(route, work, window.found, order=bound.order))
    return pa.Table.from_batches(batches, schema=bound.schema) if batches else bound.schema.empty_table()


def map_source(
    route: Route,
    work: PlanWork,
    within: KeyRange,
    order: tuple[str, ...],
    watch: Watch = UNWATCHED,
    number: int = 0,
) -> Iterator[Mapped]:
    """What a route reads, mapped batch by batch; in the table's `order`, if one is given, one source after the other."""
    for part in route.table.sources:
        for mapped in _map_one(replace(route, table=part), work, within, order, watch, number):
            yield from_source(mapped, part.part) if part.part else mapped


def _map_one(
    route: Route, work: PlanWork, within: KeyRange, order: tuple[str, ...], watch: Watch, number: int
) -> Iterator[Mapped]:
    bound = route.table
    lookups, mapping = lookup_rows(bound, work.job), _with_offenders(bound, work.job)
    for batch in scan_source(route, work, within, order):
        rows, noted = pa.Table.from_batches([batch]), noting_source(watch.noting(bound.name, number), bound.part)
        if work.keys is None:
            yield map_rows(rows, mapping, lookups, noted)
        else:
            mapped, bad = map_noting(rows, mapping, lookups, noted)
            yield of_keys(mapped, bound, work.keys, rows, bad)


def map_noting(
    rows: pa.Table, mapping: TableMapping, lookups: Mapping[str, LookupRows], noted: Noted | None = None
) -> tuple[Mapped, Mask]:
    """`map_rows`, and which of the rows are set aside."""
    bad = np.zeros(rows.num_rows, dtype=bool)

    def note(every: pa.Table, faults: Faults) -> None:
        bad[:] = faults.which >= 0
        if noted is not None:
            noted(every, faults)

    return map_rows(rows, mapping, lookups, note), bad


def scan_source(route: Route, work: PlanWork, within: KeyRange, order: tuple[str, ...]) -> Iterator[pa.RecordBatch]:
    """What a route reads of one source, batch by batch; in the table's `order`, if one is given. Of a plan of some keys it may be more."""
    bound = route.table
    key = tuple(bound.renamed[name] for name in order)
    asked = of_source(bound, work.keys).keys if work.keys is not None else None
    relation, ranges = bound.source, source_ranges(bound, work)
    if isinstance(work.selection, Older) and not _has_older(bound, work.selection):
        return
    if isinstance(work.selection, Since | Older):
        relation, ranges = by_cursor(bound, work.selection)
    yield from route.reads.scan(relation, bound.reads, key=key, within=within, ranges=ranges, keys=asked)


def _has_older(bound: BoundTable, selection: Older) -> bool:
    """Whether a cursor leaves any row of a source out."""
    newer = selection.since.newer[bound.part]
    return isinstance(newer, Clause) or newer.start is not None


def by_cursor(bound: BoundTable, selection: Since | Older) -> tuple[Relation, list[ColumnRange]]:
    """The rows of a source that a cursor names, or the others."""
    older = isinstance(selection, Older)
    newer = (selection.since if isinstance(selection, Older) else selection).newer[bound.part]
    if isinstance(newer, Clause):
        clause = newer.others if older else newer.named
        where = clause if bound.source.where is None else f"({bound.source.where}\n) AND {clause}"
        return replace(bound.source, where=where), []
    return bound.source, [ColumnRange(newer.column, None, newer.start) if older else newer]


def source_ranges(bound: BoundTable, work: PlanWork) -> list[ColumnRange]:
    """What the source can be asked for of the ranges; rows outside them are dropped when they are mapped."""
    from flows.bind.ranges import pushed

    return [found for each in target_ranges(bound, work) if (found := pushed(each, bound)) is not None]


def target_ranges(bound: BoundTable, work: PlanWork) -> list[ColumnRange]:
    return [each for each in work.ranges if each.column in bound.key]


def scan_target(route: Route, work: PlanWork, within: KeyRange, order: tuple[str, ...]) -> Iterable[pa.RecordBatch]:
    """What is on the side that a route writes, batch by batch; in the table's `order`, if one is given."""
    bound = route.table
    found = _found(route, work, within, order)
    if work.keys is None:
        yield from found
        return
    for batch in found:
        rows = pa.Table.from_batches([batch])
        few = batch.filter(among(rows, bound.key, work.keys))
        if few.num_rows:
            yield few


def of_keys(mapped: Mapped, bound: BoundTable, wanted: Keys | Tree | None, source: pa.Table, bad: Mask) -> Mapped:
    """Only the rows whose keys were asked for; all, where it is not keys that choose them.

    In: the rows as they were read, and which of them are set aside.
    """
    if wanted is None:
        return mapped
    rows = _asked_for(mapped.rows, source.filter(pa.array(~bad)), bound, wanted)
    rejected = _asked_for(mapped.rejected_rows, source.filter(pa.array(bad)), bound, wanted)
    return replace(
        mapped,
        rows=mapped.rows.filter(rows),
        rejected=mapped.rejected.filter(rejected),
        rejected_rows=mapped.rejected_rows.filter(rejected),
    )


def _asked_for(rows: pa.Table, source: pa.Table, bound: BoundTable, wanted: Keys | Tree) -> pa.Array | pa.ChunkedArray:
    """Which rows have one of some keys, or had it while their lookups found nothing."""
    if isinstance(wanted, Tree) and wanted.source is not None:
        return pc.is_in(source_texts(bound, source, rows), value_set=wanted.source.texts)
    asked = among(rows, bound.key, wanted)
    if isinstance(wanted, Keys):
        texts = pa.array(wanted.texts, pa.string())
        for each in possible_texts(source, rows, bound.mapping):
            asked = pc.or_(asked, pc.is_in(each, value_set=texts))
    return asked


def _found(route: Route, work: PlanWork, within: KeyRange, order: tuple[str, ...]) -> Iterable[pa.RecordBatch]:
    bound, there = route.table, route.writes.snapshot
    ranges = target_ranges(bound, work)
    key = order or bound.key
    if not order:
        # no order is needed, but a null key is no row that could be matched
        asked = of_target(route, work.keys).keys if work.keys is not None else None
        found = scan_planned(there, bound, bound.images, ranges=ranges, keys=asked)
        for batch in readable(found, bound.shape.name, route.writes.name, bound.key):
            null = keys.null_keys(pa.Table.from_batches([batch]), bound.key)
            yield batch.filter(pa.array(~null)) if null.any() else batch
        return
    found = scan_planned(there, bound, bound.images, key=key, within=within, ranges=ranges)
    yield from readable(found, bound.shape.name, route.writes.name, bound.key)


def within_ranges(mapped: Mapped, bound: BoundTable, ranges: tuple[ColumnRange, ...]) -> Mapped:
    """Only rows inside the ranges over key columns; a rejected row counts where its value is known to be inside."""
    for wanted in ranges:
        if wanted.column not in bound.key:
            continue
        rows, rejected = inside(mapped.rows, wanted), inside(mapped.rejected_rows, wanted)
        mapped = replace(
            mapped,
            rows=mapped.rows.filter(pa.array(rows)),
            rejected=mapped.rejected.filter(pa.array(rejected)),
            rejected_rows=mapped.rejected_rows.filter(pa.array(rejected)),
        )
    return mapped


def lookup_rows(bound: BoundTable, job: Job) -> dict[str, LookupRows]:
    """What the lookups of a table may find, as it was written down."""
    found = {}
    for name in bound.lookups:
        away = lookup_file(job, bound.name, name, "quarantined")
        rows = spill.read_rows(lookup_file(job, bound.name, name, "rows"))
        found[name] = LookupRows(rows, spill.read_rows(away) if away.exists() else None)
    return found


def padded(rows: pa.Table, columns: list[str], schema: pa.Schema) -> pa.Table:
    """Rejected rows have no surrogate keys: those columns are null."""
    return pa.table(
        [rows.column(n) if n in rows.column_names else pa.nulls(rows.num_rows, schema.field(n).type) for n in columns],
        names=columns,
    )


def parents_file(job: Job, table: str, number: int) -> Path:
    """What rows may not refer to by a foreign key of the table, by its number: nothing will hold it."""
    return job.work / "parents" / quote(table, safe="") / f"{number:06d}.arrow"


def orphans_file(job: Job, table: str, number: int) -> Path:
    """What rows may not refer to by a foreign key of the table, by its number, in the columns that refer: no row has it."""
    return job.work / "orphans" / quote(table, safe="") / f"{number:06d}.arrow"


def created_file(job: Job, table: str, window: int) -> Path:
    """The rows of a window that both sides created, each in its own way, as the side has them."""
    return job.work / "created" / quote(table, safe="") / f"{window:06d}.arrow"


def doubles_file(job: Job, table: str, number: int) -> Path:
    """The keys of rows that would get a unique value which another row has: by the number of the unique columns."""
    return job.work / "doubles" / quote(table, safe="") / f"{number:06d}.arrow"


def offenders_file(job: Job, table: str, number: int) -> Path:
    return job.work / "offenders" / quote(table, safe="") / f"{number:06d}.arrow"


def _with_offenders(bound: BoundTable, job: Job) -> TableMapping:
    """The mapping with its rules across rows, whose offenders were found in a pass of their own."""
    found = [(check, offenders_file(job, bound.name, check.rule.number)) for check in bound.checks.aside_across]
    known = tuple(KnownOffenders(check, spill.read_rows(path)) for check, path in found if path.exists())
    return replace(bound.mapping, checks=(*bound.mapping.checks, *known)) if known else bound.mapping
