"""Load a plan: between its two checkpoints, write its rows, and put down what was done."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa

from adapters import interrupts
from adapters.ledger.ledger import APPLYING, CUT_OFF, Base, Ledger, Move, NewVersion, RunPlan
from adapters.store import archive
from adapters.store.plans import Plan, folder_name
from flows.apply import identity, refused_rows, unstable
from flows.apply.plan import AppliedPlan, apply, constrained, stages_for, with_tables
from flows.apply.sweep import settle, sweep
from flows.apply.unfinished import cut_off
from flows.plan.reading.emptied import remember_filled
from flows.plan.thresholds import over_limit
from flows.plan.totals import Reconciled, reconciled
from flows.plan.two_way.build import meeting
from flows.plan.written import written_changes
from flows.proof import checkpoints, orphans
from flows.proof.drift import remember
from flows.results import conflicts as conflicting
from flows.results.checkpoint import Checkpoint
from flows.results.outcome import Outcome, Status
from flows.results.shares import counted
from flows.results.tables import Report
from flows.results.untranslated import text_of
from flows.session.author import author
from flows.session.execute import Execute
from flows.session.retry import retried
from flows.session.session import Job, Session
from flows.session.stores import store_of
from flows.spec.model import Spec
from transforms.vocabulary import Notice, SideName, SynclineError, TableName
from transforms.vocabulary.features import Feature


@dataclass(frozen=True, slots=True)
class Loading:
    """What plans are loaded with. `joins`: their versions are one with others for people (see `NewVersion.joined`). `around`:
    what else happens around what writes a plan."""

    session: Session
    ledger: Ledger
    execute: Execute | None = None
    workers: int = 2
    message: str = ""
    joins: int | None = None
    around: Callable[[Writing], Writing] = lambda writing: writing

    @property
    def spec(self) -> Spec:
        return self.session.spec


Writing = Callable[[Plan, Report, Job, Loading], tuple[Outcome, Session]]


@contextmanager
def failures(session: Session, ledger: Ledger, run_id: str) -> Iterator[None]:
    """A run that fails says so in the ledger. One that fails while it writes is finished by the next; until then the error
    and its page say what is in the target."""
    try:
        yield
    except BaseException as error:
        text = str(error) if isinstance(error, SynclineError) else f"{type(error).__name__}: {error}"
        interrupted = not isinstance(error, Exception) or interrupts.received() is not None
        if interrupted:
            text = interrupts.stop_words(error)
        with suppress(Exception if interrupted else SynclineError):  # what went wrong first is what counts
            put_down = partial(_note_failure, ledger, run_id, text)
            if put_down() if interrupted else retried(put_down):  # nobody waits for a ledger after Ctrl-C
                cut_off(session, ledger, run_id, error)
                interrupts.known(" ".join(getattr(error, "__notes__", ())))
            elif not isinstance(error, Exception):
                error.add_note("Nothing was written to the target.")
        raise


def _note_failure(ledger: Ledger, run_id: str, text: str) -> bool:
    """Put down that a run failed; whether it had begun to write."""
    known = ledger.run(run_id)
    writing = known is not None and known.status == APPLYING
    ledger.finish_run(run_id, CUT_OFF if writing else "failed", message=text)
    return writing


def load(
    plan: Plan, report: Report, job: Job, loading: Loading, *, step: bool = False, writing: Writing | None = None
) -> tuple[Outcome, Session]:
    """Apply a plan between its two checkpoints. Nothing is written where the first one, or the quarantine, says no.

    `writing` writes it, or both plans of a two-way run; `write`, if it is not given.

    Out: how it ended, and the session, bound to the tables as they are then.
    `step`: it is one step of several, whose quarantine is looked at together in the end.
    """
    spec, session, ledger = loading.spec, loading.session, loading.ledger
    # keys that were in quarantine say nothing of the table
    over = over_limit(spec, report.shares, step=step) if plan.manifest.keys is None else ""
    if over:
        ledger.finish_run(report.run_id, "quarantine", counts=report.as_dict(), message=over)
        return Outcome(report, Status.QUARANTINE, over), session
    if why := meeting(report):
        ledger.finish_run(report.run_id, "done", counts=report.as_dict(), message=why)
        return Outcome(report, Status.CHANGES, why), session
    report = _with_checks(report, checkpoints.planned(plan, report, session))
    if why := checkpoints.stopped(report.checkpoints):
        why = f"The planned checkpoint failed: {why}. Nothing was written. Fix: mend the rows, or the rule in {spec.path}."
        ledger.finish_run(report.run_id, "checkpoint", counts=report.as_dict(), message=why)
        return Outcome(report, Status.CHECKPOINT, why), session
    outcome, session = (writing or write)(plan, report, job, loading)
    found = checkpoints.loaded(plan, outcome.report, session)
    outcome = replace(outcome, report=_reconciled(_with_checks(outcome.report, found), plan, session))
    if why := checkpoints.stopped(found):
        why = f"The loaded checkpoint failed: {why}. The rows are in the target. Fix: look at them, mend the source and run again."
        ledger.finish_run(report.run_id, "checkpoint", message=why)
        return replace(outcome, status=Status.CHECKPOINT, message=why), session
    return outcome, session


def write(plan: Plan, report: Report, job: Job, loading: Loading) -> tuple[Outcome, Session]:
    """Write the rows of a plan that may be written, and what comes after the rows; put down what was done.

    Out: how it ended, and the session, bound to the tables as they are then.

    Safe to repeat after whatever end: windows that are in are passed over, and everything is put down once.
    """
    retried(lambda: identity.must_fit(plan, loading.spec, loading.ledger))
    retried(lambda: loading.ledger.begin_applying(run_plan(plan, loading.spec)))
    interrupts.writing()
    stages = stages_for(plan, loading.session)
    made = replace(loading, session=with_tables(plan, loading.session, stages))
    applied = apply(plan, job, made.session, stages, loading.execute, loading.workers)
    outcome = retried(lambda: record(plan, report, applied, made))
    session = constrained(plan, made.session, stages)
    names = [table.name for table in report.of_spec]
    retried(lambda: remember(loading.ledger, session, names, report.run_id))
    if not plan.manifest.tree:  # of which the rest of the source is not looked at
        retried(lambda: remember_filled(loading.ledger, session, names))
    return outcome, session


def record(plan: Plan, report: Report, applied: AppliedPlan, loading: Loading, undoes: Sequence[int] = ()) -> Outcome:
    """Put what was done into the ledger: conflicts, quarantine, a version where something changed, what is kept of it."""
    spec, ledger, manifest = loading.spec, loading.ledger, plan.manifest
    soft = {} if undoes else {table.name: table.soft for table in loading.session.bound.tables}
    tables = tuple(
        replace(table, counts=applied.counts(table.name, table.counts, soft.get(table.name))) for table in report.tables
    )
    report = refused_rows.told(replace(report, tables=tables), applied.done)
    report = replace(report, warnings=(*report.warnings, *applied.notices))
    rewritten = ((done.table, each) for done in applied.done for each in done.unstable)
    names = {planned.name: planned.table for planned in manifest.tables}
    report = unstable.noticed(report, rewritten, lambda name: _hooks(loading.session, manifest.side, names[name]))
    clashes = 0
    for done in applied.done:
        if done.conflicts is not None:
            clashes += ledger.record_conflicts(spec.name, manifest.side, done.table, done.conflicts, report.run_id)
    undone = bool(undoes) or manifest.kind == "undo"
    met = conflicting.first_of(ledger, spec, report.run_id, undone=undone) if clashes else ()
    report = replace(report, met=met)
    if not undoes:
        refused_rows.record(applied.done, ledger, run_plan(plan, spec))
        record_quarantine(plan, report, loading)
        for table in report.tables:
            if table.in_spec:
                settle(plan, table.name, loading.session, ledger, manifest.side)
            elif manifest.unrestricted:
                ledger.settle_conflicts(spec.name, manifest.side, table.name, report.run_id)
    identity.record_pairs(plan, spec, ledger)
    version, moves = None, cursor_moves(plan)
    if report.total.changes or applied.wrote:
        new = replace(
            new_version(plan, spec, report.total.as_dict()),
            message=loading.message,
            kind="run" if manifest.kind == "plan" else manifest.kind,
            undoes=list(undoes) or None,
            made_mark=_mark(loading.session, plan.manifest.side),
            joined=loading.joins,
        )
        version = ledger.add_version(new, moves)
    elif moves:
        ledger.move_cursors(spec.name, moves)
    report = replace(report, version=version, applied=True)
    finish(plan, version, loading, report, clashes)
    if not clashes:
        return refused_rows.settled(Outcome(report, Status.DONE), applied.done, spec)
    was = "was" if clashes == 1 else "were"
    again = "undo what came after first" if undoes else "run again: the source's values win then"
    conflicts = Outcome(
        report,
        Status.CONFLICTS,
        f"{counted(clashes, 'row')} changed in the target after planning and {was} left as found, such as "
        f"{met[0].table} {met[0].key}. Fix: look at them with `syncline conflicts SPEC list`, then {again}.",
    )
    return refused_rows.settled(conflicts, applied.done, spec)


def cursor_moves(plan: Plan) -> list[Move]:
    """How the marks of cursors move once a plan is in."""
    known = ((each, each.cursor) for each in plan.manifest.tables)
    return [
        Move(each.name, cursor.began, cursor.reached, whole=cursor.since is None)
        for each, cursor in known
        if cursor is not None
    ]


def run_plan(plan: Plan, spec: Spec) -> RunPlan:
    """A plan as the ledger knows it."""
    manifest = plan.manifest
    return RunPlan(manifest.id, spec.name, manifest.side, manifest.run_id, store_of(spec).named(plan.folder))


def new_version(plan: Plan, spec: Spec, counts: Mapping[str, int]) -> NewVersion:
    """A version of the rows that a plan wrote, made by whoever runs this."""
    known, manifest = run_plan(plan, spec), plan.manifest
    return NewVersion(
        migration=spec.name,
        side=known.side,
        plan_id=known.plan_id,
        plan=known.folder,
        run_id=known.run_id,
        spec_digest=manifest.spec.digest,
        counts=dict(counts),
        source_mark=manifest.source.mark,
        target_mark=manifest.target.mark,
        author=author(),
        kind=manifest.kind,
        undoes=list(manifest.undoes) or None,
        tree=list(manifest.tree) or None,
    )


def finish(plan: Plan, version: int | None, loading: Loading, report: Report | None = None, clashes: int = 0) -> None:
    """The last of what a run puts down: of the history what the spec wants to keep, and that the run is done."""
    keep(plan, version, loading)
    counts = report.as_dict() if report else None
    status = "conflicts" if clashes else "done"
    loading.ledger.finish_run(plan.manifest.run_id, status, counts=counts, version=version)


def keep(plan: Plan, version: int | None, loading: Loading) -> None:
    """Keep of the history of a plan that is in what the spec wants."""
    keep_bases(plan, version, loading)
    if version is not None:
        _thin(plan, version, loading)
    store_of(loading.spec).mark_latest(loading.spec.name, plan.manifest.side, plan.manifest.id)


def _mark(session: Session, side: SideName) -> str:
    """What names the state of a side that was made."""
    with session.sides[side].adapter.snapshot() as made:
        return made.mark


def record_quarantine(plan: Plan, report: Report, loading: Loading) -> None:
    """Put the rows that the plan set aside into the ledger, and forget those that it did not set aside again."""
    spec, ledger = loading.spec, loading.ledger
    for table in report.of_spec:
        for rows in plan.quarantined(spec.target_table(table.name)):
            # the ledger speaks of tables as the spec names them
            named = rows.set_column(0, "table", pa.repeat(pa.scalar(table.name), rows.num_rows))
            ledger.record_quarantine(
                spec.name, plan.manifest.side, named, report.run_id, store_of(spec).named(plan.folder)
            )
        sweep(plan, table.name, loading.session, ledger)
    for table in report.tables if plan.manifest.unrestricted else ():
        if not table.in_spec:  # what was refused of it earlier was planned again
            ledger.sweep_quarantine(spec.name, plan.manifest.side, table.name, report.run_id)


def keep_bases(plan: Plan, version: int | None, loading: Loading) -> None:
    """Where the history of a table begins: what it was before the first run that looked at all of it."""
    spec, ledger, manifest = loading.spec, loading.ledger, plan.manifest
    if not manifest.unrestricted or manifest.kind == "undo":
        return
    known = ledger.bases(spec.name, manifest.side)
    wanted = [planned for planned in manifest.tables if planned.in_spec and str(planned.table) not in known]
    if not wanted or _outdated(plan, version, ledger):
        return
    before = version - 1 if version is not None else max((v.version for v in ledger.versions(spec.name)), default=0)
    for planned in wanted:
        table = planned.table
        rows = planned.counts.target_rows - planned.unproved.get("null_key", 0)
        made = plan.folder / "base" / folder_name(table)
        if not rows:
            ledger.set_base(Base(spec.name, manifest.side, str(table), before, None, 0))
        elif planned.base:
            place = archive.base_folder(store_of(spec).bases(spec.name, manifest.side), table, before)
            if made.exists():
                archive.move_base(made, place)
            ledger.set_base(Base(spec.name, manifest.side, str(table), before, store_of(spec).named(place), rows))


def _outdated(plan: Plan, version: int | None, ledger: Ledger) -> bool:
    """Whether others wrote to the side after the plan was asked for: what it saw is then not what its own version came upon."""
    manifest = plan.manifest
    since = (each for each in ledger.versions(manifest.migration) if each.created_at > manifest.created_at)
    return any(each.version != version and each.side == manifest.side for each in since)


def _thin(plan: Plan, version: int, loading: Loading) -> None:
    """Keep of each table's change sets what the spec says: all, the keys, or nothing."""
    spec, ledger = loading.spec, loading.ledger
    names = {spec.target_table(name): spec.history(name) for name in spec.tables}
    for table in {entry.table for entry in plan.windows()}:
        kept = names.get(table, spec.defaults.history)
        if kept == "full":
            continue
        if kept == "keys":
            archive.keep_keys(plan, table, written_changes(plan, table))
        ledger.note_kept(spec.name, version, {str(table): kept})
        archive.forget(plan.folder, table)


def _with_checks(report: Report, found: Sequence[Checkpoint]) -> Report:
    warnings = (*report.warnings, *checkpoints.noticed(found))
    return replace(report, checkpoints=(*report.checkpoints, *found), warnings=warnings)


def _reconciled(report: Report, plan: Plan, session: Session) -> Report:
    """The report with the totals of both sides."""
    tallies = {told.name: told.tally for told in report.of_spec if told.back is None and told.looked_whole}
    if plan.manifest.keys is not None or plan.manifest.tree:
        return report  # some keys say nothing of the whole table
    found = tuple(reconciled(session, tallies, plan.manifest.ranges))
    counts = report.counts
    planned = {table.name: table.counts.quarantined for table in plan.manifest.tables}
    refused = {name: each.quarantined - planned.get(name, 0) for name, each in counts.items()}

    def why(each: Reconciled) -> Notice:
        hooks = tuple(map(text_of, _hooks(session, "target", session.spec.target_table(each.table))))
        text = each.told(counts[each.table].conflicts, refused[each.table], hooks)
        return Notice("not_reconciled", text, each.table, {"differences": list(each.differences)})

    def named(each: Reconciled) -> bool:
        """Whether all that differs is in columns that are named as unstable already."""
        return {column for column, _ in each.differences} <= unstable.columns_of(report, each.table)

    told = (why(each) for each in found if each.differences and not named(each))
    warnings = (*report.warnings, *told)
    return with_orphans(replace(report, reconciled=found, warnings=warnings), session, plan.manifest.ranges)


def _hooks(session: Session, side: SideName, table: TableName) -> Sequence[Feature]:
    """What a table of a side has that may do something else with a row than it is told."""
    return session.sides.written(side).adapter.design(table).hooks


def with_orphans(report: Report, session: Session, ranges: Sequence[str]) -> Report:
    """The report with the target's rows that refer to what is not there."""
    found = orphans.orphans(session, [told.name for told in report.tables if told.looked_whole], ranges)
    return replace(report, orphans=found, warnings=(*report.warnings, *(each.notice for each in found if each.rows)))
