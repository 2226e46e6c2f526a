"""Make the plans of both sides out of one reconciling: each side read from one snapshot, each plan in a folder of its own."""

from __future__ import annotations

import shutil
from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from itertools import count
from pathlib import Path
from time import perf_counter

from adapters.store.agreed import Parts
from adapters.store.both_ways import add_stretches
from adapters.store.plans import FileEntry, PlanWriter
from flows.bind.mirror import mirrored
from flows.bind.tables import Binding, BoundTable
from flows.plan import build
from flows.plan.build import begun, finish, looked_up, plan_table, selected
from flows.plan.decide import Planned
from flows.plan.reading.window_reader import PlanWork
from flows.plan.reading.windows import gather_lookups
from flows.plan.references.parents import gather_parents
from flows.plan.request import Request
from flows.plan.settled import settled_plan
from flows.plan.two_way.reading import both_windows
from flows.plan.two_way.window import BothPlanned, End, plan_window
from flows.results.tables import Report
from flows.session.agreed import agreement_of, known_base
from flows.session.execute import Execute
from flows.session.memory import PlannedChanges
from flows.session.retry import retried
from flows.session.session import Job, Session
from flows.session.stores import ledger_of, store_of
from transforms.vocabulary import SIDES, All, Counts, Notice, SideName, SpecError, of_side


@dataclass(frozen=True, slots=True)
class PlannedBoth:
    """Both plans: the report, which speaks of the target, and the job of each side."""

    report: Report
    jobs: Mapping[SideName, Job]


@dataclass(slots=True)
class _Table:
    """What is known of a table while its windows are planned."""

    bound: BoundTable
    hashed: int = 0  # into how many parts it is cut where its key has no order
    windows: list[BothPlanned] = field(default_factory=list)
    aside: list[Planned] = field(default_factory=list)
    known: Parts | None = None

    @property
    def of_target(self) -> list[Planned]:
        return [*(each.target for each in self.windows), *self.aside]


def planned(request: Request, session: Session, execute: Execute | None = None) -> tuple[Report, Job]:
    """The plan of a request, or both plans where tables go both ways; the job is that of the target's."""
    if not both_ways(session):
        return build.plan(request, session, execute)
    made = plan_both(request, session)
    return made.report, made.jobs["target"]


def back_session(session: Session) -> Session:
    """The session of what is written to the source: bound to the source's tables as they are."""
    source = session.sides.written("source").adapter
    binding = retried(lambda: mirrored(session.spec, session.bound, source))
    return replace(session, binding=binding, changes=PlannedChanges())


def plan_both(request: Request, session: Session) -> PlannedBoth:
    """Read both sides from one snapshot each, bring them together, and write down what would change on either. Nothing is written
    to them.

    Errors: as of `flows.plan.build.plan`, and of the policy (DataError).
    """
    if request.ranges or request.trees is not None or request.keys is not None:
        raise SpecError(
            "Tables that go both ways are brought together whole: which rows a side has deleted, a part of them does not say.",
            fix="run without --range and --tree; `retry` and `backfill` are for tables that go one way.",
        )
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


def source_folder(folder: Path) -> Path:
    """Where the plan of the source lies that belongs to one of the target."""
    return folder.with_name(of_side(folder.name, "source"))


def _plan(request: Request, session: Session, *, again: bool) -> PlannedBoth:
    began = perf_counter()
    where = folders(request)
    warnings = [*session.bound.warnings, *session.drift]
    with begun(request, session, where["target"], again=again) as (session, job), _back(where["source"], again=again):
        mirror = back_session(session)
        session = replace(session, binding=_reading_back(session.bound, mirror.bound))
        back_job = replace(job, plan_id=of_side(request.run_id, "source"), folder=str(where["source"]), side="source")
        ends: dict[SideName, End] = {"target": End(session, job), "source": End(mirror, back_job)}
        chosen = selected(request, session)
        made, notices = list[_Table](), list[Notice]()
        with ledger_of(request.spec) as ledger:
            kept = ledger.bases(request.spec.name, "source") if ledger.there() else {}
            for bound in chosen:
                bound = session.bound.table(bound.name)
                before = [each for some in made for each in some.of_target]
                if bound.two_way is None:
                    windows = plan_table(request, session, job, bound.name, before, looked_up(bound, chosen))
                    made.append(_Table(bound, aside=windows))
                    continue
                known = known_base(request.spec, ledger, bound, agreement_of(session, bound, bound.schema))
                notices += [known.lost] if known.lost is not None else []
                looked = looked_up(bound, chosen)
                made.append(_plan_table(request, ends, bound, before, known.parts, looked=looked, kept=kept))
        both = [each for each in made if each.bound.two_way is not None]
        marks = {name: session.sides[name].snapshot.mark for name in SIDES}
        planned: dict[SideName, dict[str, list[Planned]]] = {
            "target": {each.bound.name: each.of_target for each in made},
            "source": {each.bound.name: [w.source for w in each.windows] for each in both},
        }
        whole = {
            side: settled_plan(
                request,
                end.session,
                end.job,
                [end.session.bound.table(each) for each in planned[side]],
                planned[side],
            )
            for side, end in ends.items()
        }
    beside = [entry for each in both for entry in _files_of(each, job)]
    reports: dict[SideName, Report] = {}
    for side, end in ends.items():
        tables = [end.session.bound.table(name) for name in planned[side]]
        told = (*warnings, *notices) if side == "target" else ()
        report = whole[side].report(request, where[side], perf_counter() - began, tables, told)
        at = replace(end.session, binding=whole[side].session.binding)
        asked = request if side == "target" else replace(request, bases=_bases(request, both, kept))
        told_both = _told(report, both, planned["source"]) if side == "target" else report
        reports[side] = finish(
            asked, at, end.job, told_both, whole[side], marks, beside if side == "target" else (), both_ways=bool(both)
        )
    return PlannedBoth(reports["target"], {side: end.job for side, end in ends.items()})


@contextmanager
def _back(folder: Path, *, again: bool) -> Iterator[None]:
    """The folder of the source's plan, begun."""
    PlanWriter(folder, begun=again)
    try:
        yield
    finally:
        shutil.rmtree(folder / "work", ignore_errors=True)


def _reading_back(binding: Binding, mirror: Binding) -> Binding:
    """The binding whose two-way tables read of the source what is written back, too."""

    def reading(bound: BoundTable) -> BoundTable:
        if bound.two_way is None:
            return bound
        return replace(bound, reads=tuple(dict.fromkeys([*bound.two_way.reads, *mirror.table(bound.name).images])))

    return replace(binding, tables=tuple(map(reading, binding.tables)))


def _plan_table(
    request: Request,
    ends: Mapping[SideName, End],
    bound: BoundTable,
    before: Sequence[Planned],
    known: Parts | None,
    *,
    looked: bool,
    kept: Collection[str],
) -> _Table:
    """Plan a table, window by window."""
    end = ends["target"]
    route = end.route(bound.name)
    work = PlanWork(
        end.job, bound.name, (), All(), target_empty=bool(bound.ddl), looked_up=looked, base=bound.name in request.bases
    )
    gather_lookups(end.session, route, work, before)
    gather_parents(end.session, route, work, before)
    windows, aside = both_windows(end.session, route, work, known)
    keeps = bool(_bases(request, [_Table(bound)], kept))
    planned = [plan_window(ends, route, work, each, known, keeps_source=keeps) for each in windows]
    return _Table(bound, 0 if bound.order else len(windows), planned, list(aside), known)


def _bases(request: Request, tables: Sequence[_Table], kept: Collection[str]) -> frozenset[str]:
    """Of which tables what the source holds now is kept as the beginning of its history."""
    return frozenset(
        each.bound.name
        for each in tables
        if str(each.bound.source.table) not in kept
        and request.whole
        and request.spec.history(each.bound.name) == "full"
    )


def _files_of(table: _Table, job: Job) -> Iterator[FileEntry]:
    """The files that say what is agreed on in a table, left open and overruled."""
    for each in table.windows:
        yield from each.beside
    stretches = [each.stretch for each in table.windows]
    if table.known is None or any(each.changed for each in stretches):
        bound = table.bound
        order = bound.shape.schema(bound.order)
        yield add_stretches(PlanWriter(Path(job.folder), begun=True), bound.shape.name, stretches, order)


def _told(report: Report, both: Sequence[_Table], back: Mapping[str, Sequence[Planned]]) -> Report:
    """The report of the target's plan, with what happens to the source."""
    tables = {each.name: each for each in report.tables}
    for each in both:
        name = each.bound.name
        tables[name] = replace(
            tables[name],
            back=sum((window.counts for window in back[name]), Counts()),
            merged=sum(window.merged for window in each.windows),
            overruled=sum(window.overruled for window in each.windows),
        )
    return replace(report, tables=tuple(tables.values()))
