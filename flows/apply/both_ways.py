"""Write both plans of a two-way run: the target's whole, then the source's, then what both sides agree on, then what was done.

Whatever dies in between, both plans are in the ledger before the first row is written, markers say which windows are in, and what is
agreed on is made of the plans and of what they could not write: a later run ends as an undisturbed one would have.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from functools import partial

import pyarrow as pa

from adapters import interrupts
from adapters.store.both_ways import pairs_of, rows_of, source_folder, stretches
from adapters.store.plans import Plan
from flows.apply import sweep
from flows.apply.agreed import AgreedTable, agreed_tables, replace_agreed
from flows.apply.identity import must_fit, record_pairs
from flows.apply.load import Loading, Writing, keep, new_version, record_quarantine, run_plan, write
from flows.apply.merged import either, merged_rows, refused_by_source, refused_by_target
from flows.apply.plan import AppliedPlan, apply, constrained, stages_for, with_tables
from flows.apply.rehearsal import rehearse
from flows.apply.windows import Done, as_conflicts
from flows.bind.mirror import origins
from flows.plan.two_way.build import back_session
from flows.proof.drift import remember
from flows.results import conflicts as conflicting
from flows.results.outcome import Outcome, Status
from flows.results.shares import counted
from flows.results.tables import Report, TableReport
from flows.session.open_rows import note_open
from flows.session.retry import retried
from flows.session.session import Job, Session
from transforms import keys
from transforms.vocabulary import SIDES, Counts, PlanError, SideName, of_side


@dataclass(frozen=True, slots=True)
class _End:
    """A plan of one side with what applying it did."""

    plan: Plan
    applied: AppliedPlan
    session: Session


def source_plan(plan: Plan) -> Plan:
    """The plan of the source that belongs to one of the target. PlanError where it is missing, or another one's."""
    made = Plan.open(source_folder(plan.folder))
    if made.manifest.run_id != plan.manifest.run_id or made.manifest.side != "source":
        raise PlanError(
            f"{made.folder} is not the plan of the source that was made together with {plan.folder}. Nothing was written.",
            fix="plan again.",
        )
    return made


def writing_of(plan: Plan) -> Writing:
    """What writes a plan: alone, or with the other one of its run."""
    return write_both if plan.manifest.both_ways else write


def write_both(plan: Plan, report: Report, job: Job, loading: Loading) -> tuple[Outcome, Session]:
    """Write the rows of both plans; put down what was done. In: the target's plan; the source's lies beside it.

    Out: as of `flows.apply.load.write`. Safe to repeat after whatever end.
    """
    spec, ledger = loading.spec, loading.ledger
    back = source_plan(plan)
    back.verify()
    for made in (plan, back):
        retried(partial(must_fit, made, spec, ledger))
    back_job = replace(job, plan_id=of_side(job.plan_id, "source"), folder=str(back.folder), side="source")
    retried(lambda: ledger.begin_applying(run_plan(plan, spec), run_plan(back, spec)))
    interrupts.writing()
    stages = stages_for(plan, loading.session)
    session = with_tables(plan, loading.session, stages)
    mirror = back_session(session, [planned.name for planned in plan.manifest.tables])
    back_stages = stages_for(back, mirror)
    with_tables(back, mirror, back_stages)
    retried(lambda: rehearse(back, mirror))
    merged = list(merged_rows(session, plan))
    without = retried(lambda: refused_by_source(merged, session, plan, back, back_job, mirror))
    there = apply(plan, job, session, stages, loading.execute, loading.workers, without["target"])
    rest = either(without["source"], refused_by_target(merged, there))
    # other processes would bind the spec as it goes to the target
    here = apply(back, back_job, mirror, back_stages, None, loading.workers, rest)
    ends: dict[SideName, _End] = {"target": _End(plan, there, session), "source": _End(back, here, mirror)}
    plans = {side: end.plan for side, end in ends.items()}
    tables = list(agreed_tables(session, plans, {side: end.applied for side, end in ends.items()}))
    for each in tables:
        retried(partial(replace_agreed, session, ledger, plan, each))
    outcome = retried(lambda: _record(ends, report, replace(loading, session=session), tables))
    session = constrained(plan, session, stages)
    names = [table.name for table in report.of_spec]
    retried(lambda: remember(ledger, session, names, report.run_id))
    return outcome, session


def _record(ends: Mapping[SideName, _End], report: Report, loading: Loading, tables: Sequence[AgreedTable]) -> Outcome:
    """Put what was done into the ledger: rows in conflict, quarantine, a version for each side that changed."""
    spec, ledger, plan = loading.spec, loading.ledger, ends["target"].plan
    known = {each.name: each for each in tables}
    clashes = 0
    for side, end in ends.items():
        for done in end.applied.done:
            if done.conflicts is not None and done.conflicts.num_rows:
                clashes += ledger.record_conflicts(spec.name, side, done.table, done.conflicts, report.run_id)
    counts: dict[str, TableReport] = {}
    shares = _shares(plan, ends["target"].session, ends["source"].applied)
    for told in report.tables:
        refused = None
        if told.back is not None:
            bound, name = ends["target"].session.bound.table(told.name), plan.manifest.named(told.name).table
            refused = known[told.name].left(plan)
            for rows in (rows_of(plan, "open", name), refused):
                if rows is not None and rows.num_rows:
                    note_open(spec, ledger, bound, rows, report.run_id)
        applied: dict[SideName, AppliedPlan] = {
            "target": ends["target"].applied,
            "source": shares.get(told.name, ends["source"].applied),
        }
        counts[told.name] = _counted(told, applied, 0 if refused is None else refused.num_rows)
    report = replace(report, tables=tuple(counts[told.name] for told in report.tables))
    notices = [notice for end in ends.values() for notice in end.applied.notices]
    report = replace(report, warnings=(*report.warnings, *notices))
    for notice in plan.manifest.warnings:
        if notice.code == "resolution_outdated":
            ledger.open_rows.outdate(spec.name, str(notice.table), notice.facts["keys"], report.run_id)
    record_quarantine(plan, report, loading)
    for end in ends.values():
        record_pairs(end.plan, spec, ledger)
    for told in report.of_spec:
        for side in SIDES:
            sweep.settle(plan, told.name, ends["target"].session, ledger, side)
    versions = _versions(ends, report, loading)
    made = versions.get("target", versions.get("source"))
    open_ = sum(told.counts.conflicts for told in report.tables)
    met = conflicting.first_of(ledger, spec, report.run_id) if open_ else ()
    report = replace(report, version=made, applied=True, met=met)
    settle({side: end.plan for side, end in ends.items()}, versions, report.run_id, loading, report)
    if not open_:
        return Outcome(report, Status.DONE)
    return Outcome(report, Status.CONFLICTS, _message(report, open_, clashes))


def settle(
    plans: Mapping[SideName, Plan],
    versions: Mapping[SideName, int],
    run_id: str,
    loading: Loading,
    report: Report | None = None,
) -> None:
    """The last of what a run puts down: of the history of both sides what the spec wants to keep, and that the run is done."""
    for side, plan in plans.items():
        keep(plan, versions.get(side), loading)
    open_ = (
        report.total.conflicts
        if report is not None
        else loading.ledger.conflicts(loading.spec.name, run_id=run_id, limit=1)
    )
    loading.ledger.finish_run(
        run_id,
        "conflicts" if open_ else "done",
        counts=report.as_dict() if report is not None else None,
        version=versions.get("target", versions.get("source")),
    )


def _message(report: Report, open_: int, clashes: int) -> str:
    first = f", such as {report.met[0].table} {report.met[0].key}" if report.met else ""
    since = f" {counted(clashes, 'row')} changed after planning." if clashes else ""
    stay = "is in conflict and stays as it is" if open_ == 1 else "are in conflict and stay as they are"
    return (
        f"{counted(open_, 'row')} {stay} on both sides{first}.{since} "
        f"Fix: look at them with `syncline conflicts SPEC list`, decide, and run again."
    )


def _shares(plan: Plan, session: Session, applied: AppliedPlan) -> dict[str, AppliedPlan]:
    """What applying the plan of the source did, by the tables that go both ways, under their names. Where several are made of one table
    there, a row is told of the last one that changes it."""
    entries, found = origins(session.bound), dict[str, AppliedPlan]()
    tables = [each for each in plan.manifest.tables if each.back is not None]
    for entry in dict.fromkeys(entries[each.name] for each in tables):
        rest = [replace(done, table="") for done in applied.done if done.table == entry]
        mine = [each for each in tables if entries[each.name] == entry]
        order = sorted(mine, key=lambda each: list(entries).index(each.name), reverse=True)
        for each in order:
            last = each is order[-1]
            pairs = None if last else pairs_of(plan, each.table)
            share = rest if last else [_with_keys(done, pairs and pairs.source, inside=True) for done in rest]
            rest = [] if last else [_with_keys(done, pairs and pairs.source, inside=False) for done in rest]
            found[each.name] = replace(applied, done=tuple(replace(done, table=each.name) for done in share))
    return found


def _with_keys(done: Done, keyed: pa.Table | None, *, inside: bool) -> Done:
    """The rows of a window that were not written and have some keys, or have none of them."""

    def some(rows: pa.Table | None) -> pa.Table | None:
        if rows is None or not rows.num_rows:
            return rows
        if keyed is None or not keyed.num_rows:
            return rows.slice(0, 0) if inside else rows
        own = pa.Table.from_struct_array(rows["key"]).select(keyed.column_names).cast(keyed.schema)
        return rows.filter(pa.array(keys.contained(own, keyed, tuple(keyed.column_names)) == inside))

    return replace(done, conflicts=some(done.conflicts), by_others=some(done.by_others), refused=some(done.refused))


def _counted(told: TableReport, applied: Mapping[SideName, AppliedPlan], refused: int) -> TableReport:
    """What became of a table's rows on both sides. Rows that a side refused are in conflict, and in no quarantine."""
    planned = told.counts.conflicts
    clashes = [
        each.conflicts.num_rows
        for end in applied.values()
        for each in end.done
        if each.table == told.name and each.conflicts is not None
    ]
    if told.back is None:
        return replace(told, counts=applied["target"].counts(told.name, told.counts))
    after = _as_conflicts(applied["target"]).counts(told.name, told.counts)
    back = _as_conflicts(applied["source"]).counts(told.name, told.back)
    after = replace(after, conflicts=planned + sum(clashes) + refused)
    return replace(told, counts=after, back=replace(back, conflicts=0))


def _as_conflicts(applied: AppliedPlan) -> AppliedPlan:
    def one(done: Done) -> Done:
        if done.refused is None:
            return done
        return replace(done, conflicts=as_conflicts(done.refused, done.conflicts), refused=None)

    return replace(applied, done=tuple(map(one, applied.done)))


def _versions(ends: Mapping[SideName, _End], report: Report, loading: Loading) -> dict[SideName, int]:
    """A version for each side that changed; or for the target where neither did, and both were edited alike: the history of both sides
    knows of that by the run's plan."""
    changed = {side: end.applied.wrote or _counts(report, side).changes for side, end in ends.items()}
    if not any(changed.values()):
        changed["target"] = _agreed_anew(ends["target"].plan)
    new = {}
    for side, end in ends.items():
        if changed[side]:
            with end.session.sides[side].adapter.snapshot() as there:
                mark = there.mark
            made = new_version(end.plan, loading.spec, _counts(report, side).as_dict())
            kind = "run" if end.plan.manifest.kind == "plan" else end.plan.manifest.kind
            new[side] = replace(made, message=loading.message, kind=kind, made_mark=mark, joined=loading.joins)
    numbers = loading.ledger.add_versions(*new.values()) if new else []
    return dict(zip(new, numbers, strict=True))


def _counts(report: Report, side: SideName) -> Counts:
    if side == "target":
        return report.total
    return sum((told.back for told in report.tables if told.back is not None), Counts())


def _agreed_anew(plan: Plan) -> bool:
    """Whether both sides agree on something else now that people have done to them, in a table of which the history is kept."""
    edited = {each.table for each in Plan.open(plan.folder, only="edits").files}
    return any(each.changed for table in edited for each in stretches(plan, table))
