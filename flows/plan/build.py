"""Make plans: gather, decide and write down, as plain functions. `flows/apply/plan.py` applies them."""

from __future__ import annotations

import shutil
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace
from itertools import count
from pathlib import Path
from time import perf_counter

from adapters.store.manifest import Manifest, PlannedRoute, PlannedSide, PlannedSpec, PlannedTable
from adapters.store.plan_files import FileEntry
from adapters.store.plans import PlanWriter, plain
from flows.bind.identity import way_name
from flows.bind.own_columns import described
from flows.bind.tables import BoundTable
from flows.plan.consequences.beside import load_order
from flows.plan.cursors import Opened, by_cursors
from flows.plan.decide import Planned, plan_windows
from flows.plan.lookups.identity import identity_files, pair_rows, plan_through_own_map
from flows.plan.lookups.numbers import first_number
from flows.plan.lookups.own_lookups import forget, plan_with_own_lookups
from flows.plan.order.stages import referred_tables, stages_of
from flows.plan.reading.chosen_keys import keys_of
from flows.plan.reading.cross_row_rules import find_offenders
from flows.plan.reading.sealed import context_of, keep_seals, sealed_windows
from flows.plan.reading.window_reader import PlanWork
from flows.plan.reading.windows import gather_lookups, grouped, windows_of
from flows.plan.references.orphans import plan_without_orphans, refer_to_nothing
from flows.plan.references.parents import gather_parents, plan_with_own_parents, refers_to_itself
from flows.plan.request import Request, followed
from flows.plan.settled import Settled, settled_plan
from flows.results.tables import Report, TableReport, planned_table
from flows.session.execute import Execute, here
from flows.session.hooks import listed
from flows.session.memory import Numbers, Samples
from flows.session.retry import retried
from flows.session.session import Job, Session, shared
from flows.session.side import both_read
from flows.session.stores import store_of
from flows.spec.entries import entry_of
from transforms.vocabulary import (
    SIDES,
    Keys,
    Ranges,
    Relation,
    SideName,
    Since,
    Tree,
    of_side,
)


def selected(request: Request, session: Session) -> tuple[BoundTable, ...]:
    """The tables that a plan covers, parents first: those named, else those with a range, else all."""
    names = {entry_of(request.spec, name) for name in request.named or request.spec.tables}
    return tuple(table for table in session.bound.tables if table.name in names | {r.table for r in request.ranges})


def plan(
    request: Request, session: Session, execute: Execute | None = None, *, check_deletes: bool = True
) -> tuple[Report, Job]:
    """Read both sides from one snapshot each and write down what would change. The target is not touched.

    Begun again, from new snapshots and in the same folder, where one was lost. Errors: SpecError, PlanError, DataError
    and GaveUp; the folder then holds no plan.
    """
    tries = count(1)

    def once() -> tuple[Report, Job]:
        return _plan(request, session, execute, check_deletes=check_deletes, again=next(tries) > 1)

    return retried(once, renewed=True, before_again=session.meter.again)


def _plan(
    request: Request, session: Session, execute: Execute | None, *, check_deletes: bool, again: bool
) -> tuple[Report, Job]:
    began = perf_counter()
    folder = request.folder or store_of(request.spec).plan_folder(request.plan_id)
    warnings = [*session.bound.warnings, *session.drift]
    opened = Opened.now(request, session)
    with begun(request, session, folder, again=again) as (session, job):
        request, notices = followed(request, session, job)
        request = by_cursors(request, session, selected(request, session), opened)
        tables, warnings = selected(request, session), [*warnings, *notices]
        planned = plan_tables(request, session, job, tables, execute)
        whole = settled_plan(request, session, job, tables, planned, check_deletes=check_deletes)
        pairs = [entry for bound in tables for entry in identity_files(job, bound, whole.outcomes)]
        marks = {name: session.sides[name].snapshot.mark for name in SIDES}
    report = whole.report(request, folder, perf_counter() - began, tables, warnings)
    return finish(request, job, report, whole, marks, pairs), job


@contextmanager
def begun(request: Request, session: Session, folder: Path, *, again: bool = False) -> Iterator[tuple[Session, Job]]:
    """The session of a plan: with a snapshot of each side and nothing numbered yet. Working files go at the end.

    `again`: what the folder holds is of an earlier try of this very plan.
    """
    PlanWriter(folder, begun=again)
    session.changes.clear()
    with both_read(session.sides) as sides:
        planning = replace(session, sides=sides, numbers=Numbers(), samples=Samples())
        spec = str(request.spec.path.absolute())
        job = Job(
            spec,
            request.plan_id,
            str(folder),
            request.at,
            tokens=sides.tokens,
            proof=request.kind == "verify",
            chosen=request.keys is not None or request.trees is not None,
        )
        try:
            yield planning, job
        finally:
            shutil.rmtree(job.work, ignore_errors=True)


def looked_up(bound: BoundTable, tables: Sequence[BoundTable]) -> bool:
    """Whether some table looks into this one, or refers to it, as the plan will leave it."""
    return any(
        any(bound.name in (looked.planned, looked.through) for looked in table.lookups.values())
        or any(foreign.refers == bound.shape.name for foreign in table.shape.foreign_keys)
        for table in tables
    )


def plan_tables(
    request: Request, session: Session, job: Job, tables: Sequence[BoundTable], execute: Execute | None
) -> dict[str, list[Planned]]:
    """Plan all tables, each after those that it may look into.

    Where foreign keys go in a circle, rows may refer to what no row of a table has that is planned later: they are set aside then,
    and that table is planned anew with all behind it, for others may refer to its rows.
    """
    planned: dict[str, list[Planned]] = {}
    left, tries = list(tables), 2 * len(tables)
    foresee(request, session, tables)
    while left:
        for bound in left:
            before = [outcome for some in planned.values() for outcome in some]
            planned[bound.name] = plan_table(request, session, job, bound.name, before, tables, execute)
            planned_whole(session, bound.name)
        tries -= 1
        left = _to_plan_anew(session, job, tables, planned) if tries else []
        for bound in left:
            forget(job, bound, planned.pop(bound.name))
            session = replace(session, samples=Samples())
    return planned


def foresee(request: Request, session: Session, tables: Sequence[BoundTable]) -> None:
    """Tell who looks on how many rows there will be, where whole tables are planned."""
    if session.meter.silent or request.keys is not None or request.trees is not None or request.ranges:
        return
    source, target = (session.sides[name].snapshot for name in SIDES)
    rows = {
        bound.name: max(
            sum(source.estimate(each.source) for each in bound.sources),
            0 if bound.ddl else target.estimate(bound.there),
        )
        for bound in tables
    }
    session.meter.foresee("plan", rows)


def planned_whole(session: Session, table: str) -> None:
    """Tell who looks on that a table is planned."""
    for phase in ("read", "plan"):
        session.meter.finish(table, phase)


def _to_plan_anew(
    session: Session, job: Job, tables: Sequence[BoundTable], planned: Mapping[str, list[Planned]]
) -> list[BoundTable]:
    """The tables from the first one on of which rows refer to nothing in tables behind it; none where some of these pair keys or
    look into themselves."""
    every = [outcome for some in planned.values() for outcome in some]
    for place, bound in enumerate(tables):
        left = tables[place:]
        if any(each.identity_map is not None or each.looks_into_itself for each in left):
            continue
        later = [each.name for each in left[1:]]
        if refer_to_nothing(session, session.route(job, bound.name), job, every, later):
            return list(left)
    return []


def plan_table(
    request: Request,
    session: Session,
    job: Job,
    table: str,
    before: Sequence[Planned],
    tables: Sequence[BoundTable],
    execute: Execute | None = None,
) -> list[Planned]:
    """Plan one table, window by window; `before` are the windows of the tables that it may look into, and `tables` all of the plan."""
    route = session.route(job, table)
    bound, selection = route.table, request.selection(route.table)
    there = Relation(bound.shape.name)
    target = route.writes.snapshot
    # where some keys are looked at, rows are not counted first
    few = isinstance(selection, Keys | Tree | Since)
    empty = bool(bound.ddl) or (not few and target.estimate(there) == 0)
    work = PlanWork(
        job,
        bound.name,
        (),
        selection,
        target_empty=empty,
        looked_up=looked_up(bound, tables),
        base=bound.name in request.bases and not empty,
        listed=bound.name in request.listed
        and (isinstance(selection, Since) or (isinstance(selection, Ranges) and bool(selection.ranges))),
    )
    gather_lookups(session, route, work, before)
    gather_parents(session, route, work, before)
    if bound.identity_map is not None:
        work = pair_rows(session, route, work)

    def windows(session: Session) -> list[Planned]:
        if bound.identity and not bound.looks_into_itself:
            session.numbers.start(bound.name, first_number(bound, target))
        find_offenders(session, route, work)
        context = context_of(session, route, work)
        known = sealed_windows(session, route, work, context) if context and not request.afresh else None
        cut, aside = known or windows_of(session, route, work)
        sealing = replace(work, sealing=context is not None)
        works = [replace(sealing, windows=each) for each in grouped(cut, request.workers)]
        with shared(job.plan_id, session):
            planned = [outcome for group in run(plan_windows, works, in_order=in_order) for outcome in group]
        planned = sorted([*planned, *aside], key=lambda outcome: outcome.window)
        if context is not None:
            keep_seals(session, route, job, context, planned)
        return planned

    run = execute or here(request.workers, session.watch.policy)
    in_order = bool(bound.identity) and not bound.looks_into_itself  # numbers are given out by this process
    if bound.looks_into_itself:
        return plan_with_own_lookups(session, route, work, windows)
    if any(each.through == bound.name for name, each in bound.lookups.items() if name == way_name(bound.name)):
        return plan_through_own_map(session, route, work, windows)

    def without_lost(session: Session) -> list[Planned]:
        return plan_with_own_parents(session, route, work, windows) if refers_to_itself(bound) else windows(session)

    names = [each.name for each in tables]
    later = names[names.index(table) + 1 :]
    return plan_without_orphans(session, route, job, before, later, without_lost)


def finish(
    request: Request,
    job: Job,
    report: Report,
    whole: Settled,
    marks: Mapping[SideName, str],
    more: Sequence[FileEntry] = (),
    *,
    both_ways: bool = False,
) -> Report:
    """Make the folder a plan; the report, with its tables in the order in which they are written. `more` are files beside the windows'."""
    session, outcomes, beside, order = whole.session, whole.outcomes, whole.beside, whole.order
    known = {each.shape.name: _with_windows(each.planned, outcomes) for each in beside}
    for told in report.of_spec:
        planned = _planned_table(request, session, job, told, outcomes)
        known[planned.table] = planned
    tables = [known[name] for name in load_order(session.bound, report.counts.keys(), beside)]
    entries = [entry for o in outcomes for entry in (o.changes, o.quarantine, o.mapped) if entry is not None]
    writer = PlanWriter(Path(job.folder), begun=True)
    entries += more
    for name, rows in (request.hanging or {}).items():
        if name in request.listed:
            bound = session.bound.table(name)
            entries.append(writer.add_mapped(0, bound.shape.name, keys_of(rows, bound.key)))
    alone = {each.shape.name for each in beside if each.refers_to_itself}
    referred = referred_tables(session.bound) | {each.shape.name for each in beside}
    manifest = replace(
        manifest_of(request, session, report, tables, job.side, marks),
        both_ways=both_ways,
        stages=stages_of(
            tables,
            entries,
            referred,
            needs=order.needs,
            together=order.together,
            in_levels=order.in_levels,
            in_turn=alone,
        ),
    )
    writer.finish(manifest, entries)
    told_of = {told.name: told for told in report.tables}
    return replace(report, tables=tuple(told_of[planned.name] for planned in tables), hooks=manifest.hooks)


def _planned_table(
    request: Request, session: Session, job: Job, report: TableReport, outcomes: Sequence[Planned]
) -> PlannedTable:
    bound, route = session.bound.table(report.name), session.route(job, report.name)
    planned = planned_table(report, bound.shape.name, PlannedRoute(route.reads.name, route.writes.name), bound.schema)
    own = described(bound.shape, bound.unmapped)
    return replace(_with_windows(planned, outcomes), whole=own, base=report.name in request.bases)


def _with_windows(planned: PlannedTable, outcomes: Sequence[Planned]) -> PlannedTable:
    """What the manifest says of a table, with how its windows are written."""
    windows = [each for each in outcomes if each.table == planned.name]
    return replace(
        planned,
        clear=tuple(sorted(each.window for each in windows if each.clear)),
        first=tuple(sorted(each.window for each in windows if each.first)),
        completing=tuple(sorted(each.window for each in windows if each.completing)),
        interim=tuple(sorted(each.window for each in windows if each.interim)),
        levels=tuple(sorted((each.window, each.level) for each in windows if each.level)),
        late=tuple(window for _, window in sorted((e.late, e.window) for e in windows if e.late is not None)),
    )


def manifest_of(
    request: Request,
    session: Session,
    report: Report,
    tables: Iterable[PlannedTable],
    side: SideName,
    marks: Mapping[SideName, str],
) -> Manifest:
    """What a plan that writes a side says of itself. `marks` name the states of the sides that it is about."""
    spec, sides, tables = request.spec, session.sides, tuple(tables)
    source, target = (PlannedSide(sides[name].url, sides[name].engine, marks.get(name)) for name in SIDES)
    return Manifest(
        id=of_side(request.run_id, side),
        run_id=request.run_id,
        migration=spec.name,
        kind=request.kind,
        side=side,
        created_at=request.at,
        spec=PlannedSpec(str(spec.path.absolute()), spec.digest, plain(spec.document)),
        source=source,
        target=target,
        tables=tables,
        taken=spec.taken,
        hooks=listed(spec, tables) if request.hooks and request.kind != "verify" else (),
        ranges=tuple(map(str, request.ranges)),
        tree=report.tree,
        keys=None if request.keys is None else {name: tuple(sorted(some)) for name, some in request.keys.items()},
        seconds=report.seconds,
        warnings=report.warnings,
    )
