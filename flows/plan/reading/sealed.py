"""Sealed windows: where both sides are as they were when the plan of a window was empty, it is empty now, and nothing is read.

Law: a plan is the same with and without. A window's plan follows from its rows on both sides, which checksums name, and from the
context: all else that planning looks at when nothing changes. Where that cannot be named, nothing is sealed (`context_of`).
"""

from __future__ import annotations

import hashlib
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, replace
from importlib.metadata import version
from pathlib import Path
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from adapters.pools import pool
from adapters.store import seals, spill
from adapters.store.plans import folder_name
from adapters.store.seals import Seal
from flows.bind.tables import BoundTable
from flows.plan.decide import Planned
from flows.plan.reading.sealing import checksums, source_side, target_side
from flows.plan.reading.window_reader import PlanWork, Window, lookup_file, order_schemas
from flows.plan.reading.windows import between, on_both_sides
from flows.session.route import Route
from flows.session.session import Job, Session
from flows.session.stores import store_of
from flows.session.watch import Watch
from transforms import expressions
from transforms.mapping.column_mapping import ColumnMapping, Constant, Expression, KeyUuid, LookUp, Rename
from transforms.vocabulary import All, Counts, KeyValue, TableShape

MADE_BY: Final = ("syncline", "duckdb", "pyarrow", "numpy", "tzdata")
"""Whose versions may make something else of the same rows."""
GROWN: Final = 2  # windows of rows of which a window has more are cut again


def context_of(session: Session, route: Route, work: PlanWork) -> str | None:
    """What windows of a table are sealed under: a digest of all that their plan follows from, beside their rows. None where the
    table cannot be sealed: something else is looked at, or may answer otherwise when it is asked again.

    In: what the table's lookups may find was gathered.
    """
    bound, spec = route.table, session.spec
    if not (spec.seal(bound.name) and _whole(session, work) and _nameable(bound)):
        return None
    digest = hashlib.sha256()
    written = [spec.tables[bound.name], spec.defaults, *(spec.endpoint(side) for side in ("source", "target"))]
    for each in (
        spec.digest,
        *(one.model_dump_json(exclude={"url"}) for one in written),
        *map(_version, MADE_BY),
        _in_order(bound.shape),
        _in_order(bound.source_shape),
        bound.order,
        bound.reads,
        bound.images,
        bound.comparison.compared,
    ):
        digest.update(f"{each!r}\n".encode())
    for name in sorted(bound.lookups):
        for kind in ("rows", "quarantined"):
            digest.update(_digest(lookup_file(work.job, bound.name, name, kind)))
    return digest.hexdigest()


def _in_order(shape: TableShape) -> tuple[object, ...]:
    """A shape with its sets in one order, which differs from process to process."""
    sets = (sorted(map(sorted, each)) for each in (shape.uniques, shape.nulls_alike, shape.ordered))
    return (*sets, replace(shape, uniques=frozenset(), nulls_alike=frozenset(), ordered=frozenset()))


def _whole(session: Session, work: PlanWork) -> bool:
    """Whether whole tables are looked at, for nobody who wants to see the rows."""
    looked_at = work.target_empty or work.base or work.listed or work.doubtful
    return isinstance(work.selection, All) and not looked_at and type(session.watch) is Watch


def _nameable(bound: BoundTable) -> bool:
    """Whether a window follows from its rows and the context."""
    changing = bound.ddl or bound.adds or bound.parts or bound.two_way or bound.identity_map
    where = bound.source.where
    filtered = (
        bound.owns
        or bound.source.table is None
        or (where and not expressions.timeless(where, bound.source_shape.names))
    )
    asked = bound.checks.aside_across or any(each.check is None for each in bound.checks.rows)
    return (
        bool(bound.order)
        and not (changing or filtered or asked or bound.looks_into_itself)
        and all(_is_steady(bound, each) for each in bound.mapping.columns)
    )


def _is_steady(bound: BoundTable, made: ColumnMapping) -> bool:
    """Whether a column is always the same of the same row. A function may look at anything, a domain be made another one."""
    if made.kept is not None and made.shape.declared:
        return False
    match made.origin:
        case Rename() | Constant() | KeyUuid() | LookUp():
            return True
        case Expression(sql):
            return expressions.steady(sql, bound.source_shape.names)
    return False


def _version(name: str) -> str:
    with suppress(ImportError):
        return f"{name} {version(name)}"
    return name


def _digest(path: Path) -> bytes:
    """What names the rows of a file of a lookup, whatever their order."""
    if not path.exists():
        return b"none"
    rows = spill.read_rows(path).combine_chunks()
    order = [(str(place), "ascending") for place in range(rows.num_columns)]
    plain = rows.rename_columns([name for name, _ in order])
    with suppress(pa.ArrowException):  # of types that have no order, that of the rows counts
        plain = plain.take(pc.sort_indices(plain, sort_keys=order))
    digest = hashlib.sha256(str(rows.schema).encode())
    sink = pa.BufferOutputStream()
    with pa.ipc.new_stream(sink, plain.schema) as writer:
        writer.write_table(plain.combine_chunks())
    digest.update(sink.getvalue())
    return digest.digest()


@dataclass(frozen=True, slots=True)
class _Known:
    """The windows that a table was sealed in, and of those with a seal, by their places, what both sides are now."""

    seals: Sequence[Seal]
    windows: Sequence[Window]
    asked: Sequence[int]
    source: pa.Table
    target: pa.Table

    @property
    def same(self) -> frozenset[int]:
        """The places of those that are as they were."""
        was = [(self.seals[place].source, self.seals[place].target) for place in self.asked]
        now = zip(*(each["checksum"].to_pylist() for each in (self.source, self.target)), strict=True)
        return frozenset(place for place, one, other in zip(self.asked, was, now, strict=True) if one == other)

    @property
    def rows(self) -> dict[int, int | None]:
        """How many rows the larger side has, None where nobody counted."""
        sides = zip(*(each["rows"].to_pylist() for each in (self.source, self.target)), strict=True)
        return {p: None if None in two else max(two) for p, two in zip(self.asked, sides, strict=True)}


def sealed_windows(
    session: Session, route: Route, work: PlanWork, context: str
) -> tuple[tuple[Window, ...], tuple[Planned, ...]] | None:
    """The windows that a table was sealed in, ascending: those that have to be read, and those that are as they were, planned.

    Both sides are asked for their checksums at once. None where nothing is sealed, or windows are better cut anew.
    """
    known = _known(route, seals.read(_file(session, work.job, route.table), context))
    if known is None:
        return None
    same, rows = known.same, known.rows
    changed = [place for place in known.asked if place not in same]
    if any(rows[place] is None for place in changed):
        return None
    starts: list[tuple[KeyValue | None, KeyValue | None]] = []
    kept: dict[int, Seal] = {}
    for place, window in enumerate(known.windows):
        if place in same:
            kept[len(starts)] = known.seals[place]
        starts.append((window.wanted.start, window.found.start))
        if place in changed and (rows[place] or 0) > GROWN * route.table.window_rows:
            starts += _cuts(
                route, window, of_target=known.target["rows"][known.asked.index(place)].as_py() == rows[place]
            )
    session.meter.expect(route.table.name, "plan", len(starts) * route.table.window_rows)
    windows = between(starts)
    planned = tuple(_planned(session, route.table, number, each) for number, each in kept.items())
    return tuple(each for each in windows if each.number not in kept), planned


def _known(route: Route, found: Sequence[Seal]) -> _Known | None:
    """What both sides are now; None where there is no seal, or a side cannot say."""
    windows, asked = (
        between([(each.wanted, each.found) for each in found]),
        [n for n, each in enumerate(found) if each.proof],
    )
    if not asked:
        return None
    with pool(2) as threads:
        source = threads.submit(checksums, source_side(route), [windows[place].wanted for place in asked])
        target = threads.submit(checksums, target_side(route), [windows[place].found for place in asked])
        both = source.result(), target.result()
    if both[0] is None or both[1] is None:
        return None
    return _Known(found, windows, asked, *both)


def _cuts(route: Route, window: Window, *, of_target: bool) -> list[tuple[KeyValue, KeyValue]]:
    """The keys that cut a window which has grown."""
    (snapshot, relation, _, key), within = (
        (target_side(route), window.found) if of_target else (source_side(route), window.wanted)
    )
    cuts = snapshot.split(relation, key, route.table.window_rows, within)
    return on_both_sides(route.table, cuts, of_target=of_target)


def _planned(session: Session, bound: BoundTable, number: int, known: Seal) -> Planned:
    """What planning a window found, and finds again."""
    proof = known.proof
    assert proof is not None, "only what was proved is sealed"
    counts = Counts(source_rows=proof.rows, target_rows=proof.rows, unchanged=proof.rows)
    session.meter.advance(bound.name, "plan", proof.rows)
    return Planned(
        bound.name, number, counts, None, None, None,
        clear=not proof.rows, mended=proof.mended, tally=proof.tally, seal=known, sealed=True,
    )  # fmt: skip


def keep_seals(session: Session, route: Route, job: Job, context: str, planned: Sequence[Planned]) -> None:
    """Put the seals of a table's windows into the store, for the next plan. Where it cannot be written, that one reads."""
    known = [each.seal for each in sorted(planned, key=lambda each: each.window) if each.seal is not None]
    if known and known[0].wanted is None:
        with suppress(OSError):
            seals.write(_file(session, job, route.table), context, known, *order_schemas(route.table))


def _file(session: Session, job: Job, bound: BoundTable) -> Path:
    """Where the seals of a table lie; those that prove computed columns, too, have a place of their own."""
    proof = ".proof" if job.proof and bound.computed else ""
    folder = store_of(session.spec).seals(session.spec.name)
    return folder / f"{folder_name(bound.shape.name)}{proof}.arrow"
