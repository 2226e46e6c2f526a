"""Runs that were cut off: what they began is finished, or put down as far as it went, before anything new is written.

A run that was killed before it wrote leaves nothing but files, and they go. One that was killed while it wrote has a
whole plan in the store, and its markers in the target say which windows are in: the others are applied now, and the
version is the one that an undisturbed run would have made. Where the plan cannot be applied any more, because the spec
or the tables changed, the version holds the windows that are in.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import datetime

from adapters import interrupts
from adapters.ledger.ledger import Run, RunPlan, Version
from adapters.store.plan_files import ChangedPlan
from adapters.store.plans import MANIFEST, Plan
from flows.apply.agreed import forget_agreed
from flows.apply.both_ways import settle, write_both
from flows.apply.identity import record_pairs
from flows.apply.load import Loading, finish, keep_bases, new_version, write
from flows.apply.once import each_once
from flows.apply.refused_rows import quarantine_rows
from flows.apply.stand_ins import take_back
from flows.apply.unfinished import in_part, inside, keep_evidence, written
from flows.apply.windows import Done, Notes
from flows.history.undo import undoing
from flows.results.shares import counted
from flows.results.tables import report_of
from flows.session.retry import GaveUp, retried
from flows.session.session import Job, Session, with_binding
from flows.session.stores import store_of
from transforms.vocabulary import (
    OPS,
    ConnectionFailed,
    Notice,
    Phase,
    SpecError,
    SynclineError,
    TransientError,
    of_side,
)

PASSING = (TransientError, GaveUp, ConnectionFailed)


def recover(loading: Loading, at: datetime, but: str | None = None) -> tuple[list[Notice], Loading]:
    """Bring every run to an end that was cut off and wrote what the session holds; a line for each that had written.

    What is loaded with after that is bound to the tables as they are then, if it was bound before. `but` is the run that is
    about to go on by itself.
    """
    lines: list[Notice] = []
    for run in loading.ledger.cut_off(loading.spec.name, tuple(loading.session.guards)):
        if run.run_id != but:
            lines += [Notice("cut_off_run", text, facts={"run": run.run_id}) for text in _end(run, loading, at)]
    store = store_of(loading.spec)
    for folder in (*store.abandoned(), *(store.work(loading.spec.name, side) for side in loading.session.guards)):
        shutil.rmtree(folder, ignore_errors=True)
    if lines and loading.session.binding is not None:
        loading = replace(loading, session=with_binding(loading.session))
    return lines, loading


def _end(run: Run, loading: Loading, at: datetime) -> Iterator[str]:
    """Bring a run to its end, plan by plan."""
    store, ledger = store_of(loading.spec), loading.ledger
    if not run.plans:
        for side in run.sides if run.kind != "apply" else ():  # such a plan is somebody's, who may still want it
            shutil.rmtree(store.plan_folder(of_side(run.run_id, side)), ignore_errors=True)
        ledger.finish_run(run.run_id, "abandoned", message="It ended before it wrote anything.")
    if len(run.plans) > 1:
        yield from _end_both(run, loading, at)
        return
    for plan in run.plans:
        yield from _end_plan(run, plan, loading, at)


def _end_both(run: Run, loading: Loading, at: datetime) -> Iterator[str]:
    """Bring a run to its end that writes both sides."""
    store, ledger = store_of(loading.spec), loading.ledger
    begun = next(plan for plan in run.plans if plan.side == "target")
    folders = {plan.side: store.folder(plan.folder) for plan in run.plans}
    known = {v.plan: v for v in ledger.versions(loading.spec.name)}
    made = {plan.side: known[plan.folder] for plan in run.plans if plan.folder in known}
    try:
        plans = {side: Plan.open(folders[side], (made[side].kept or {}) if side in made else ()) for side in folders}
        if made:  # all rows are in on both sides, and what they agree on is kept
            settle(plans, {side: version.version for side, version in made.items()}, run.run_id, loading)
            numbers = ", ".join(str(made[side].version) for side in made)
            yield f"Run {run.run_id} was cut off after its rows were in on both sides: they are version {numbers}."
            return
        plans["target"].verify()
        job = Job(str(loading.spec.path.absolute()), begun.plan_id, str(folders["target"]), at)
        bound = replace(loading, session=with_binding(loading.session))
        outcome, session = loading.around(write_both)(plans["target"], report_of(plans["target"]), job, bound)
    except PASSING:
        raise  # the plans are as good as they were
    except SynclineError as error:
        interrupts.check()
        if isinstance(error.__cause__, PASSING):
            raise
        written_to = not loading.spec.state.marker or any(
            loading.session.sides.written(each.side).adapter.applied(each.plan_id) for each in run.plans
        )
        yield from (_put_down(run, each, loading, str(error)) for each in run.plans)
        if written_to:  # else both sides are as they were
            yield from (each.text for each in forget_agreed(loading.spec))
        return
    about = f"It was cut off while it wrote, and finished by a later run. {outcome.message}".strip()
    keep_evidence(plans["target"], outcome.report, session, outcome.status.name.lower(), about)
    clashes = outcome.report.total.conflicts
    clash = f", with {counted(clashes, 'row')} in conflict" if clashes else ""
    yield f"Run {run.run_id} was cut off while it wrote. The rest of it is in on both sides now{clash}."


def _end_plan(run: Run, begun: RunPlan, loading: Loading, at: datetime) -> Iterator[str]:
    ledger, folder = loading.ledger, store_of(loading.spec).folder(begun.folder)
    if not (folder / MANIFEST).exists():
        ledger.finish_run(run.run_id, "lost", message=f"{folder} is gone.")
        yield (
            f"Run {run.run_id} was cut off while it wrote, and its plan {folder} is gone: what it wrote is in the target, and in no "
            f"version."
        )
        return
    known = next((v for v in ledger.versions(loading.spec.name) if v.plan == begun.folder), None)
    try:
        yield _finished(run, begun, known, loading, at)
    except PASSING:
        raise  # the plan is as good as it was
    except SynclineError as error:
        interrupts.check()  # whatever a library made of it: the plan is as good as it was
        if isinstance(error.__cause__, PASSING):
            raise
        yield _put_down(run, begun, loading, str(error))


def _finished(run: Run, begun: RunPlan, known: Version | None, loading: Loading, at: datetime) -> str:
    folder = store_of(loading.spec).folder(begun.folder)
    plan = Plan.open(folder, (known.kept or {}) if known else ())
    if known is not None:  # all rows are in: only what is kept of it was still to be settled
        finish(plan, known.version, loading)
        return f"Run {run.run_id} was cut off after its rows were in: they are version {known.version}."
    plan.verify()
    job = Job(
        str(loading.spec.path.absolute()),
        begun.plan_id,
        str(folder),
        at,
        begun.side,
        bare=plan.manifest.kind == "undo",
    )
    report = report_of(plan)
    made = loading if job.bare else replace(loading, session=with_binding(loading.session))
    outcome, session = loading.around(undoing if job.bare else write)(plan, report, job, made)
    loading = replace(loading, session=session)
    total = outcome.report.total
    what = f"version {outcome.report.version}" if outcome.report.version is not None else "no version"
    clash = f", {counted(total.conflicts, 'conflict')}" if total.conflicts else ""
    about = f"It was cut off while it wrote, and finished by a later run. {outcome.message}".strip()
    keep_evidence(plan, outcome.report, loading.session, outcome.status.name.lower(), about)
    return (
        f"Run {run.run_id} was cut off while it wrote. The rest of it is in now, and it is {what}: {total.insert:,} inserted, "
        f"{total.update:,} updated, {total.delete:,} deleted{clash}."
    )


def _put_down(run: Run, begun: RunPlan, loading: Loading, why: str) -> str:
    """Make a version of the windows that are in, where the plan cannot go on."""
    folder = store_of(loading.spec).folder(begun.folder)
    try:
        plan = Plan.open(folder)
    except ChangedPlan as error:  # nobody can say what it held
        loading.ledger.finish_run(run.run_id, "lost", message=str(error))
        return (
            f"Run {run.run_id} was cut off while it wrote, and its plan cannot be used: what it wrote is in the target, and in no "
            f"version. {error}"
        )
    entries = {(str(entry.table), entry.window): entry for entry in plan.windows()}
    marked = loading.session.sides.written(begun.side).adapter.applied(begun.plan_id)
    windows = sorted((m.table, m.window, m.phase) for m in marked if (m.table, m.window) in entries)
    if windows:
        retried(lambda: take_back(plan, loading.session, plan.manifest.stages or (), windows))
    there = inside(plan, marked)
    counts: dict[str, int] = {op: sum(getattr(each, op) for each in there) for op in OPS}
    ledger, spec = loading.ledger, loading.spec
    if not windows and spec.state.marker:  # else nobody knows
        ledger.finish_run(run.run_id, "abandoned", message=why)
        return (
            f"Run {run.run_id} was cut off before a window of it was in, and cannot go on: nothing of it is in. {why}"
        )
    clashes = _record_conflicts(plan, begun, windows, loading)
    record_pairs(plan, spec, ledger, set(windows))
    version = None
    if any(written(plan, entries[table, window], phase).total() for table, window, phase in windows):
        new = new_version(plan, spec, {**counts, "conflicts": clashes})
        version = ledger.add_version(replace(new, message="cut off", windows=windows))
    keep_bases(plan, version, loading)
    ledger.finish_run(run.run_id, "partly", version=version, message=why)
    what = f"version {version} has the {len(windows)} windows that are in" if version else "it wrote nothing"
    line = f"Run {run.run_id} was cut off while it wrote, and cannot go on: {what}. {why}"
    keep_evidence(plan, in_part(plan, there, version), _bound(loading.session), "partly", line)
    return line


def _bound(session: Session) -> Session:
    """The session with its spec bound, for a page that shows the mapping; as it is where the spec does not fit any more."""
    try:
        return session if session.binding is not None else with_binding(session)
    except SpecError:
        return session


def _record_conflicts(plan: Plan, begun: RunPlan, windows: Sequence[tuple[str, int, Phase]], loading: Loading) -> int:
    """Put down the rows that the windows which are in left alone, and those that were refused; how many conflicts there are."""
    names = {str(planned.table): planned.name for planned in plan.manifest.tables}
    tables = {str(entry.table): entry.table for entry in plan.windows()}

    def done(table: str, window: int, phase: Phase) -> Done:
        conflicts, others, refused = Notes(plan.folder, tables[table], window, phase).not_written()
        return Done(names.get(table, table), window, phase, 0, True, conflicts, others, refused)

    ledger, migration, clashes = loading.ledger, loading.spec.name, 0
    for each in each_once([done(*window) for window in windows], plan):
        if each.refused is not None:
            rows = quarantine_rows(each.table, each.window, each.refused)
            ledger.record_quarantine(migration, begun.side, rows, begun.run_id, begun.folder)
        if each.conflicts is not None and each.conflicts.num_rows:
            clashes += ledger.record_conflicts(migration, begun.side, each.table, each.conflicts, begun.run_id)
    return clashes
