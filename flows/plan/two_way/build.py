"""Make the plans of both sides out of one reconciling: each side read from one snapshot, each plan in a folder of its own."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, replace
from itertools import count
from pathlib import Path
from time import perf_counter

import pyarrow as pa

from adapters.ledger.open_rows import MADE
from adapters.store.agreed import Parts
from adapters.store.both_ways import add_stretches, source_folder
from adapters.store.plan_files import FileEntry
from adapters.store.plans import PlanWriter
from flows.bind.mirror import mirrored, origins
from flows.bind.tables import Binding, BoundTable
from flows.plan import build
from flows.plan.build import begun, finish, foresee, looked_up, plan_table, planned_whole, selected
from flows.plan.decide import Planned
from flows.plan.lookups.born_rows import back_files, open_own_map, without_open, without_waiting
from flows.plan.lookups.identity import identity_files, pair_rows
from flows.plan.lookups.numbers import first_number
from flows.plan.reading.cross_row_rules import find_offenders
from flows.plan.reading.window_reader import PlanWork
from flows.plan.reading.windows import gather_lookups
from flows.plan.references.parents import gather_parents
from flows.plan.request import Request, followed
from flows.plan.settled import settled_plan
from flows.plan.two_way.bringing import End
from flows.plan.two_way.constraints import bring_in_step, forget_all, held_to_constraints, hold_circles
from flows.plan.two_way.deleted_parents import add_deleted_parents
from flows.plan.two_way.meeting import met_by_policy, nothing_to_choose
from flows.plan.two_way.origins import Origin, origins_of
from flows.plan.two_way.origins import unfit as origins_apart
from flows.plan.two_way.own_lookups import through_own_lookups
from flows.plan.two_way.parts import must_have_met, of_the_source, unfit
from flows.plan.two_way.reading import both_windows
from flows.plan.two_way.rekeyed import rekeyed
from flows.plan.two_way.seen import readable_condition
from flows.plan.two_way.table import Before, TableOfBoth, windows_by_side
from flows.plan.two_way.telling import told_of_both, with_lost
from flows.plan.two_way.window import BothPlanned, plan_window
from flows.results.tables import Report
from flows.session.agreed import Known, agreement_of, known_base
from flows.session.execute import Execute
from flows.session.memory import PlannedChanges
from flows.session.retry import retried
from flows.session.session import Job, Session
from flows.session.stores import ledger_of, store_of
from transforms.vocabulary import SIDES, Notice, Ranges, SideName, SpecError, of_side


@dataclass(frozen=True, slots=True)
class PlannedBoth:
    """Both plans: the report, which speaks of the target, and the job of each side."""

    report: Report
    jobs: Mapping[SideName, Job]


def planned(request: Request, session: Session, execute: Execute | None = None) -> tuple[Report, Job]:
    """The plan of a request, or both plans where tables go both ways; the job is that of the target's."""
    if not both_ways(session):
        return build.plan(request, session, execute)
    made = plan_both(request, session)
    return made.report, made.jobs["target"]


def back_session(session: Session, names: Collection[str]) -> Session:
    """The session of what is written to the source of some tables: bound to the source's tables as they were seen."""
    source = session.sides.written("source").adapter
    binding = retried(lambda: mirrored(session.spec, session.bound, source, names))
    return replace(session, binding=binding, changes=PlannedChanges())


def plan_both(request: Request, session: Session) -> PlannedBoth:
    """Read both sides from one snapshot each, bring them together, and write down what would change on either. Nothing is written
    to them.

    Errors: as of `flows.plan.build.plan`, and of the policy (DataError).
    """
    tries = count(1)

    def once() -> PlannedBoth:
        return _plan(request, session, again=next(tries) > 1)

    return retried(once, renewed=True, before_again=session.meter.again)


def both_ways(session: Session) -> bool:
    """Whether a run of the session's spec writes both sides."""
    return any(table.two_way is not None for table in session.bound.tables)


def folders(request: Request) -> dict[SideName, Path]:
    """Where the plans of a request lie."""
    if request.folder is not None:
        return {"target": request.folder, "source": source_folder(request.folder)}
    store = store_of(request.spec)
    return {side: store.plan_folder(of_side(request.run_id, side)) for side in SIDES}


def _plan(request: Request, session: Session, *, again: bool) -> PlannedBoth:
    began = perf_counter()
    where = folders(request)
    warnings = [*session.bound.warnings, *session.drift]
    with begun(request, session, where["target"], again=again) as (session, job), _back(where["source"], again=again):
        request, followed_notices = followed(request, session, job)
        warnings += followed_notices
        chosen = selected(request, session)
        if problems := [*unfit(request, session, chosen), *origins_apart(session.bound, session.spec)]:
            raise SpecError.of(problems)
        mirror = back_session(session, [bound.name for bound in chosen])
        entries = origins(session.bound)
        session = replace(session, binding=_reading_back(session.bound, mirror.bound, entries))
        back_job = replace(job, plan_id=of_side(request.run_id, "source"), folder=str(where["source"]), side="source")
        ends: dict[SideName, End] = {"target": End(session, job), "source": End(mirror, back_job, entries)}
        shared = origins_of([session.bound.table(bound.name) for bound in chosen], mirror.bound, job)
        made, notices = list[TableOfBoth](), list[Notice]()
        with ledger_of(request.spec) as ledger:
            kept = ledger.bases(request.spec.name, "source") if ledger.there() else {}
            foresee(request, session, chosen)
            for bound in chosen:
                bound = session.bound.table(bound.name)
                before = windows_by_side(made)
                if bound.two_way is None:
                    windows = plan_table(request, session, job, bound.name, before["target"], chosen)
                    made.append(TableOfBoth(bound, aside=windows))
                    planned_whole(session, bound.name)
                    continue
                agreement = agreement_of(session, bound, bound.schema)
                known = known_base(request.spec, ledger, bound, agreement)
                must_have_met(request, bound, known)
                if known.other_key is not None:
                    known = rekeyed(known, bound, agreement, job.work / "rekeyed" / bound.name)
                notices += [*([known.lost] if known.lost is not None else []), *known.told]
                looked = looked_up(bound, chosen)
                decided = (
                    ledger.open_rows.decisions_of(request.spec.name, bound.name)
                    if ledger.there()
                    else MADE.empty_table()
                )
                later = [each.name for each in chosen[len(made) + 1 :]]
                bases = {each.bound.name: each.known for each in made if each.known is not None}
                made.append(
                    _plan_table(
                        request,
                        ends,
                        bound,
                        before,
                        later,
                        known,
                        decided,
                        looked=looked,
                        kept=kept,
                        bases=bases,
                        origin=(origin := shared.get(bound.name)),
                    )
                )
                if origin is not None and not origin.after(bound.name):
                    bring_in_step(ends, made, origin, later)
                planned_whole(session, bound.name)
                notices += _outdated(made[-1])
        hold_circles(ends, made)
        both = [each for each in made if each.bound.two_way is not None]
        marks = {name: session.sides[name].snapshot.mark for name in SIDES}
        planned: dict[SideName, dict[str, list[Planned]]] = {
            "target": {each.bound.name: each.of_target for each in made},
            "source": {
                entry: [w.source for each in both if entries[each.bound.name] == entry for w in each.windows]
                for entry in dict.fromkeys(entries[each.bound.name] for each in both)
            },
        }
        whole = {
            side: settled_plan(
                request if side == "target" else of_the_source(request),
                end.session,
                end.job,
                [end.session.bound.table(each) for each in planned[side]],
                planned[side],
            )
            for side, end in ends.items()
        }
        beside: dict[SideName, list[FileEntry]] = {"target": [], "source": []}
        for each in made:
            beside["target"] += identity_files(job, each.bound, whole["target"].outcomes)
        for each in both:
            beside["target"] += _files_of(each, job)
            if each.bound.identity_map is not None:
                there = ends["source"].route(each.bound.name).table
                beside["source"] += back_files(job, each.bound, there, where["source"], whole["source"].outcomes)
    reports: dict[SideName, Report] = {}
    for side, end in ends.items():  # the report of the target says what happens to the source
        tables = [end.session.bound.table(name) for name in planned[side]]
        told = (*warnings, *notices) if side == "target" else ()
        mine = request if side == "target" else of_the_source(request)
        report = whole[side].report(mine, where[side], perf_counter() - began, tables, told)
        asked = (
            request if side == "target" else replace(request, bases=_bases(request, both, kept, entries), hanging=None)
        )
        told_both = told_of_both(report, both, whole["source"].reports, entries) if side == "target" else report
        reports[side] = finish(asked, end.job, told_both, whole[side], marks, beside[side], both_ways=bool(both))
    return PlannedBoth(with_lost(reports["target"], where["target"]), {side: end.job for side, end in ends.items()})


@contextmanager
def _back(folder: Path, *, again: bool) -> Iterator[None]:
    """The folder of the source's plan, begun."""
    PlanWriter(folder, begun=again)
    try:
        yield
    finally:
        shutil.rmtree(folder / "work", ignore_errors=True)


def _reading_back(binding: Binding, mirror: Binding, entries: Mapping[str, str]) -> Binding:
    """The binding whose two-way tables read of the source what is written back, too. In: the names that their origins go by.

    Those that are made of one table of it read the same, with what their conditions are about.
    """
    reads = {each.name: dict.fromkeys(each.images) for each in mirror.tables}
    for bound in binding.tables:
        if bound.two_way is not None and (known := reads.get(entries[bound.name])) is not None:
            known |= dict.fromkeys([*bound.two_way.reads, *(readable_condition(bound) or ())])

    def reading(bound: BoundTable) -> BoundTable:
        if bound.two_way is None or entries[bound.name] not in reads:
            return bound
        wanted = reads[entries[bound.name]]
        return replace(bound, reads=tuple(name for name in bound.source_shape.names if name in wanted))

    return replace(binding, tables=tuple(map(reading, binding.tables)))


def _plan_table(
    request: Request,
    ends: Mapping[SideName, End],
    bound: BoundTable,
    before: Before,
    later: Sequence[str],
    agreed: Known,
    decided: pa.Table,
    *,
    looked: bool,
    kept: Collection[str],
    bases: Mapping[str, Parts],
    origin: Origin | None,
) -> TableOfBoth:
    """Plan a table, window by window."""
    end, known = ends["target"], agreed.parts
    route = end.route(bound.name)
    if known is None and agreed.lost is None and nothing_to_choose(route):
        route = met_by_policy(route)
    selection = request.selection(bound)
    work = PlanWork(
        end.job,
        bound.name,
        (),
        selection,
        target_empty=bool(bound.ddl),
        looked_up=looked,
        base=bound.name in request.bases,
        listed=bound.name in request.listed and isinstance(selection, Ranges) and bool(selection.ranges),
    )
    gather_lookups(end.session, route, work, before["target"])
    add_deleted_parents(end.session, end.job, bound, bases)
    gather_parents(end.session, route, work, before["target"])
    if bound.identity_map is not None:
        work = pair_rows(end.session, route, work, had_none=known is not None and not known.rows)
    if bound.identity is not None:
        end.session.numbers.start(bound.name, first_number(bound, route.writes.snapshot))
    find_offenders(end.session, route, work)
    keeps = bool(_bases(request, [TableOfBoth(bound)], kept, ends["source"].entries))

    def once() -> TableOfBoth:
        windows, aside = both_windows(end.session, route, work, known)
        numbered = {each.number: each for each in windows}
        if origin is not None:
            origin.begin(bound.name, len(windows))

        def plan(number: int) -> BothPlanned:
            return plan_window(
                ends,
                route,
                work,
                numbered[number],
                known,
                keeps_source=keeps,
                decided_by_people=decided,
                origin=origin,
                parts=len(windows),
            )

        planned = held_to_constraints(ends, bound.name, before, later, list(map(plan, numbered)), plan)
        return TableOfBoth(bound, 0 if bound.order else len(windows), planned, list(aside), known, plan)

    def with_own() -> TableOfBoth:
        return through_own_lookups(ends, route, work, known, once) if bound.looks_into_itself else once()

    return with_own() if bound.identity_map is None else _through_map(ends, bound, with_own)


def _through_map(ends: Mapping[SideName, End], bound: BoundTable, plan: Callable[[], TableOfBoth]) -> TableOfBoth:
    """Plan a table with an identity map: where it looks for its own rows there again, as long as rows wait that others refer to."""
    job, back = ends["target"].job, ends["source"]
    there, folder = back.route(bound.name).table, Path(back.job.folder)
    own = open_own_map(job, bound)
    while True:
        made = plan()
        source = [each.source for each in made.windows]
        if not own or not without_waiting(job, bound, there, folder, (made.of_target, source)):
            without_open(job, bound, there, folder, source)
            return made
        forget_all(ends, made)


def _bases(
    request: Request, tables: Sequence[TableOfBoth], kept: Collection[str], entries: Mapping[str, str]
) -> frozenset[str]:  # fmt: skip
    """Of which tables, by the names that they go by there, what the source holds now is kept as the beginning of its history."""
    return frozenset(
        entries[each.bound.name]
        for each in tables
        if str(each.bound.source.table) not in kept
        and request.whole
        and request.spec.history(each.bound.name) == "full"
    )


def _files_of(table: TableOfBoth, job: Job) -> Iterator[FileEntry]:
    """The files that say what is agreed on in a table, left open and overruled."""
    meets = any(each.meeting for each in table.windows)  # then nothing is agreed on yet
    anew = not meets and (table.known is None or any(each.stretch.changed for each in table.windows))
    for each in table.windows:
        yield from (entry for entry in each.beside if anew or entry.kind in ("open", "overruled", "edits"))
    if anew:
        stretches = [each.stretch for each in table.windows]
        bound = table.bound
        order = bound.shape.schema(bound.order)
        yield add_stretches(PlanWriter(Path(job.folder), begun=True), bound.shape.name, stretches, order)


def _outdated(table: TableOfBoth) -> Iterator[Notice]:
    """A line where people decided about rows that are not as they were then."""
    some = [key for window in table.windows for key in window.outdated]
    if some:
        rows = "A row was" if len(some) == 1 else f"{len(some):,} rows were"
        text = (
            f"{table.bound.name}: {rows} changed since people decided about it, such as {some[0]}: it stays open. "
            f"Fix: look at it and decide again."
        )
        yield Notice("resolution_outdated", text, table.bound.name, {"keys": some})


def meeting(report: Report) -> str:
    """Why nothing is written where sides meet that are only looked at (`initial: report`); empty where all have met."""
    met = [told.name for told in report.tables if told.meeting]
    if not met:
        return ""
    return (
        f"Both sides of {', '.join(met)} hold rows and have not agreed on anything yet (`initial: report`). Nothing was written. "
        f"Fix: choose with `initial:` how they meet: policy, source, target or newer; `--json` says what each would do."
    )
