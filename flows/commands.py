"""Whole commands: a plan, a run, a backfill, a verification, each with its record in the ledger."""

from __future__ import annotations

import shutil
from collections.abc import Callable, Hashable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from pathlib import Path
from time import perf_counter
from typing import TypeVar

from adapters.ledger.ledger import Version
from adapters.processes import temporary_folder
from adapters.store.both_ways import source_folder
from adapters.store.plans import Plan, taken
from flows.apply.both_ways import writing_of
from flows.apply.hooked import Hooked
from flows.apply.idle import leaves_nothing
from flows.apply.load import Loading, failures, load, with_orphans
from flows.apply.plan import same_spec
from flows.bind.ranges import RangeText, steps
from flows.bind.tables import validate
from flows.evidence.outcome import with_evidence
from flows.history.recover import recover
from flows.history.taken import with_history
from flows.history.taken_back import now_taken_back
from flows.history.undo import undoing
from flows.history.undo_both import on_both, plan_undo_both, taken_by_side, undone_on
from flows.history.versions import opened_version
from flows.plan import build
from flows.plan.listing import listing, with_bases
from flows.plan.request import Request, spelled
from flows.plan.thresholds import over_limit
from flows.plan.totals import reconciled
from flows.plan.two_way.build import meeting, planned
from flows.proof import agreement
from flows.proof.drift import watched
from flows.proof.outcome import proved
from flows.proof.together import steps_together
from flows.results.conflicts import open_in
from flows.results.outcome import Outcome, Status, deletes_asked, noting, timed
from flows.results.tables import Report, report_of
from flows.session.execute import Execute
from flows.session.hooks import fitting
from flows.session.locking import sole_writer
from flows.session.meter import Meter
from flows.session.retry import retried
from flows.session.session import Job, Session, connect
from flows.session.stores import ledger_of, store_of
from flows.spec.model import Spec, load_spec
from transforms.vocabulary import Declined, Notice, SideName, SpecError

__all__ = ["Outcome", "Status", "apply_plan", "backfill", "plan", "run", "undo", "verify"]

UNWRITABLE = "It cannot be applied: a table can be compared and not be written, as the warnings say."

Clock = Callable[[], datetime]
Name = TypeVar("Name", bound=Hashable)


def utc_now() -> datetime:
    return datetime.now(UTC)


@contextmanager
def _bound(request: Request, meter: Meter | None, *, writes: bool) -> Iterator[tuple[Request, Session]]:
    """The session that a request asks for, bound, and the request in the spelling of its catalogs. Errors: as of `watched`."""
    with watched(request.spec, request.named, meter, writes=writes) as session:
        yield spelled(request, session), session


def plan(request: Request, *, execute: Execute | None = None, meter: Meter | None = None) -> Outcome:
    """Write a plan down; the target is not touched. CHANGES where there are any, else DONE."""
    fitting(request.spec)
    with _bound(request, meter, writes=False) as (request, session):
        report, _ = planned(listing(request), session, execute)
        unwritable = any(session.bound.table(table.name).unwritable for table in report.of_spec)
    return _planned(request, report, UNWRITABLE if unwritable else "")


def verify(
    request: Request,
    *,
    execute: Execute | None = None,
    meter: Meter | None = None,
    seen: Callable[[Plan], object] | None = None,
) -> Outcome:
    """Plan into a folder of its own that is thrown away: both sides are equal when the plan is empty. `seen` is given the plan while it
    is there, for whoever wants its rows.

    A value that the target's own computed column could not even hold is a difference, too, and so is a missing column. Of tables that
    go both ways, both sides are held to what they agreed on last.
    """
    with temporary_folder("verify") as folder, _bound(request, meter, writes=False) as (request, session):
        asked, known = replace(request, kind="verify", folder=folder / "plan"), agreement.bases(request, session)
        report = agreement.held(asked, build.plan(asked, session, execute, check_deletes=False)[0], known)
        if seen is not None:
            seen(Plan.open(Path(str(report.plan))))
        computed = {f"{each.name}.{column.shape.name}" for each in session.bound.tables for column in each.computed}
        apart = any(f"{told.name}.{reason.column}" in computed for told in report.tables for reason in told.reasons)
        apart = apart or any(told.adds for told in report.tables)  # mapped columns that the target does not even have
        held = reconciled(session, {told.name: told.tally for told in report.tables})
        report = replace(report, plan=None, reconciled=tuple(held))
        if request.trees is None:  # whether others refer to what is not there, rows of a tree do not say
            report = with_orphans(report, session, list(map(str, request.ranges)))
        return with_evidence(proved(request.spec, report, apart=apart), session, "verify", request.at, request.ranges)


def _planned(request: Request, report: Report, message: str = "") -> Outcome:
    """How a plan ends that is not applied now."""
    if any(table.counts.conflicts for table in report.tables):
        report = replace(report, met=open_in(Plan.open(Path(str(report.plan)))))
    if over := over_limit(request.spec, report.shares):
        return Outcome(report, Status.QUARANTINE, over)
    waits = meeting(report)
    return (
        Outcome(report, Status.CHANGES, waits or message) if report.pending or waits else Outcome(report, Status.DONE)
    )


def run(
    request: Request,
    *,
    execute: Execute | None = None,
    meter: Meter | None = None,
    message: str = "",
    now: Clock = utc_now,
) -> Outcome:
    """Plan and apply under the migration's lock, between its hooks."""
    hooked = _hooked(request, meter)

    def whole() -> Outcome:
        with (
            _bound(request, meter, writes=True) as (asked, session),
            ledger_of(asked.spec) as ledger,
            sole_writer(session, ledger, asked.run_id, now, asked.wait, session.sides.writable) as writing,
        ):
            loading = Loading(writing, ledger, execute, asked.workers, message, around=hooked.writing)
            return hooked.inside(lambda: _recovered(asked, loading, now))

    return hooked.whole(whole)


def _recovered(request: Request, loading: Loading, now: Clock) -> Outcome:
    """Bring what was cut off to its end, then plan and apply."""
    ended, loading = recover(loading, now())
    return _run(request, loading, ended)[0]


def _hooked(request: Request, meter: Meter | None) -> Hooked:
    return Hooked(request.spec, request.kind, request.run_id, meter or Meter(), request.hooks)


def backfill(
    request: Request,
    every: str | None = None,
    *,
    again: bool = False,
    execute: Execute | None = None,
    meter: Meter | None = None,
    now: Clock = utc_now,
) -> Outcome:
    """Run one range step by step. A step that an earlier backfill of the same spec and range finished is passed over, unless
    all are to be run `again`. One whose rows wait for rows of other tables, or are in conflict, is not finished.
    """
    if len(request.ranges) != 1:
        raise SpecError("A backfill takes exactly one range.", fix="give one --range.")
    began = perf_counter()
    list(steps(request.ranges[0], every))  # a step that does not fit the range is told before anything is connected to
    hooked = _hooked(request, meter)

    def whole() -> Outcome:
        with (
            _bound(request, meter, writes=True) as (asked, session),
            ledger_of(asked.spec) as ledger,
            sole_writer(session, ledger, asked.run_id, now, asked.wait) as writing,
        ):
            loading = Loading(writing, ledger, execute, asked.workers, around=hooked.writing)

            def filled() -> Outcome:
                parts = list(steps(asked.ranges[0], every))
                outcomes = list(_filled(asked, parts, loading, now, again=again))
                return steps_together(asked, outcomes, len(parts), perf_counter() - began)

            return hooked.inside(filled)

    return hooked.whole(whole)


def _filled(
    request: Request, parts: Sequence[RangeText], loading: Loading, now: Clock, *, again: bool
) -> Iterator[Outcome]:
    """Run the steps of a backfill, but for those that are done already, up to the first that was stopped."""
    spec, text, ledger = request.spec, request.ranges[0], loading.ledger
    ended, loading = recover(loading, now())
    done = set() if again else ledger.steps_done(spec.name, spec.digest, str(text))
    for number, part in enumerate(parts):
        if (part.start, part.stop) in done:
            continue
        step = replace(
            request,
            run_id=f"{request.run_id}-{number:04d}" if len(parts) > 1 else request.run_id,
            ranges=(part,),
            step=len(parts) > 1,
        )
        loading.session.meter.step(number + 1, len(parts), str(part))
        outcome, session = _run(step, replace(loading, message=f"backfill {part}"), ended)
        loading, ended = replace(loading, session=session), []
        waiting = any(table.waiting for table in outcome.report.tables)
        if outcome.status is Status.DONE and not waiting:  # others are tried again
            ledger.add_step(spec.name, spec.digest, str(text), part.start, part.stop, step.run_id)
        yield outcome
        if outcome.status not in (Status.DONE, Status.CONFLICTS):
            return


def apply_plan(
    folder: Path,
    *,
    execute: Execute | None = None,
    meter: Meter | None = None,
    message: str = "",
    wait: float = 0,
    now: Clock = utc_now,
    data_docs: bool = False,
) -> Outcome:
    """Apply a plan that was made earlier, exactly: one of the spec's, or one of an undo."""
    plans = [Plan.open(folder)]
    if plans[0].manifest.both_ways and plans[0].manifest.kind == "undo":
        plans.insert(0, Plan.open(source_folder(folder)))
    for plan in plans:
        plan.verify()
    last, spec = plans[-1].manifest, load_spec(Path(plans[-1].manifest.spec.path))
    hooked = Hooked(spec, "undo" if last.kind == "undo" else "apply", last.run_id, meter or Meter())

    def whole() -> Outcome:
        done = []
        for number, plan in enumerate(plans, 1):
            applying = _Applying(spec, plan, hooked, execute, meter, message, wait, now, data_docs)
            done.append(applying.done(ends=number == len(plans)))
        return done[-1] if len(done) == 1 else on_both(done[1], done[0])

    return hooked.whole(whole)


@dataclass(frozen=True, slots=True)
class _Applying:
    """How a plan is applied that was made earlier."""

    spec: Spec
    plan: Plan
    hooked: Hooked
    execute: Execute | None
    meter: Meter | None
    message: str
    wait: float
    now: Clock
    data_docs: bool

    def done(self, *, ends: bool) -> Outcome:
        """Apply it. `ends`: no other plan is applied behind it."""
        spec, plan, began = self.spec, self.plan, perf_counter()
        report, undo = report_of(plan), plan.manifest.kind == "undo"
        names = [table.name for table in (report.tables if undo else report.of_spec)]
        with ExitStack() as stack:
            opened = connect(spec, self.meter) if undo else watched(spec, names, self.meter, writes=True, planned=names)
            session = stack.enter_context(opened)
            ledger = stack.enter_context(ledger_of(spec))
            if not undo:
                same_spec(plan, session)
            self.hooked.must_be_planned(plan, session.spec)
            sides = session.sides.writable
            writing = stack.enter_context(sole_writer(session, ledger, report.run_id, self.now, self.wait, sides))
            loading = Loading(writing, ledger, self.execute, spec.workers, self.message, around=self.hooked.writing)
            return self.hooked.inside(lambda: self._recovered(report, loading, names, sides, began), ends=ends)

    def _recovered(
        self, report: Report, loading: Loading, names: Sequence[str], sides: Sequence[SideName], began: float
    ) -> Outcome:
        spec, plan, ledger = self.spec, self.plan, loading.ledger
        ended, loading = recover(loading, self.now(), report.run_id)
        session, undo = loading.session, plan.manifest.kind == "undo"
        kind = "undo" if undo else "apply"
        retried(lambda: ledger.start_run(report.run_id, spec.name, kind, spec.digest, sides))
        taken(plan.folder)
        with failures(session, ledger, report.run_id):
            at, manifest = self.now(), plan.manifest
            job = Job(str(spec.path.absolute()), manifest.id, str(plan.folder), at, manifest.side, bare=undo)
            if undo:
                outcome, session = loading.around(undoing)(plan, report, job, loading)
                outcome = timed(noting(undone_on(plan, outcome), ended), began)
                return with_evidence(outcome, session, "undo", self.now(), undoes=manifest.undoes)
            validate(spec, session.bound, names)
            outcome, session = load(plan, report, job, loading, writing=loading.around(writing_of(plan)))
            outcome = timed(noting(outcome, ended), began)
            return with_evidence(outcome, session, "apply", self.now(), manifest.ranges, self.data_docs)


def undo(
    request: Request,
    version: int,
    *,
    to: bool = False,
    drop: bool = False,
    side: SideName | None = None,
    execute: Execute | None = None,
    meter: Meter | None = None,
    now: Clock = utc_now,
) -> Outcome:
    """Take back a version, or with `to` all that came after it; `drop` takes away tables that were created, too. Of a version that
    belongs to one of the other side both are taken back, or the one that wrote `side`."""
    began = perf_counter()
    made = plan_undo(request, version, to=to, drop=drop, side=side, temporary=True, meter=meter, now=now)
    if made.status is Status.DONE:
        return timed(made, began)
    done = apply_plan(Path(str(made.report.plan)), execute=execute, meter=meter, wait=request.wait, now=now)
    return timed(noting(done, made.report.warnings), began)


def plan_undo(
    request: Request,
    version: int,
    *,
    to: bool = False,
    drop: bool = False,
    side: SideName | None = None,
    temporary: bool = False,
    meter: Meter | None = None,
    now: Clock = utc_now,
) -> Outcome:
    """Write down what would take versions back: CHANGES where there is anything, and the plan's folder can be applied.

    `temporary`: the plan is thrown away when this process dies before it applies it.
    Where a run was cut off, it is brought to its end first: it may be what is to be undone. Of trees that the request
    names only the rows are taken back. SpecError for what is taken back already.
    """
    spec = with_history(request.spec)
    request = replace(request, spec=spec)
    if request.trees is not None and drop:
        raise SpecError("Rows of trees are taken back, and tables are dropped whole.", fix="give --tree or --drop.")
    with connect(spec, meter) as session, ledger_of(spec) as ledger:
        ended: list[Notice] = []
        if ledger.cut_off(spec.name):
            with sole_writer(session, ledger, request.run_id, now, request.wait, session.sides.writable) as writing:
                ended, _ = recover(Loading(writing, ledger, workers=request.workers), now())
            roots = request.trees.texts if request.trees is not None else ()
            if ended and not to and (by := now_taken_back(ledger, spec, version, roots)):
                return noting(
                    Outcome(_report_of(spec, by), Status.DONE, f"It is taken back by version {by.version}."), ended
                )
        taken = taken_by_side(ledger, spec, version, to=to, side=side)
        report = plan_undo_both(request, session, ledger, taken, to=to, drop=drop, temporary=temporary, side=side)
    return noting(Outcome(report, Status.CHANGES if report.tables else Status.DONE), ended)


def _report_of(spec: Spec, version: Version) -> Report:
    plan = opened_version(store_of(spec), version).plan
    return replace(report_of(plan), version=version.version)


def bring_over(request: Request, loading: Loading) -> Outcome:
    """Plan and apply for whoever holds the sides already: a `live` request leaves nothing behind where there is nothing to do."""
    return _run(request, loading)[0]


def _run_live(request: Request, loading: Loading) -> tuple[Outcome, Session]:
    spec, session, ledger = request.spec, loading.session, loading.ledger
    asked = listing(request)
    report, job = planned(asked, session, loading.execute)
    plan = Plan.open(Path(str(report.plan)))
    if asked.keys is None and leaves_nothing(plan, report, asked, session, ledger):
        for folder in (plan.folder, source_folder(plan.folder)):
            shutil.rmtree(folder, ignore_errors=True)
        return Outcome(report, Status.CONFLICTS if report.total.conflicts else Status.DONE), session
    retried(lambda: ledger.start_run(request.run_id, spec.name, request.kind, spec.digest, session.sides.writable))
    with failures(session, ledger, request.run_id):
        return load(plan, report, job, loading, writing=loading.around(writing_of(plan)))


def _run(request: Request, loading: Loading, ended: Sequence[Notice] = ()) -> tuple[Outcome, Session]:
    """Plan and apply; the session is bound to the tables as they are then."""
    if request.live:
        return _run_live(request, loading)
    began = perf_counter()
    spec, session, ledger = request.spec, loading.session, loading.ledger
    retried(lambda: ledger.start_run(request.run_id, spec.name, request.kind, spec.digest, session.sides.writable))
    with failures(session, ledger, request.run_id):
        validate(spec, session.bound, request.named)
        report, job = planned(listing(with_bases(request, ledger)), session, loading.execute)
        plan = Plan.open(Path(str(report.plan)))
        if request.kind == "run" and (question := deletes_asked(report)) and not session.meter.approves(question):
            raise Declined(
                "Nothing was written: the deletes were declined.", fix=f"look at them: syncline show {report.plan}."
            )
        outcome, session = load(plan, report, job, loading, step=request.step, writing=loading.around(writing_of(plan)))
        outcome = timed(noting(outcome, ended), began)
        return with_evidence(outcome, session, request.kind, request.at, request.ranges, request.data_docs), session
