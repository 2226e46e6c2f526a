"""Runs that are not at their end: which of their windows are in the target, as its own markers say."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any, Literal

from adapters.ledger.ledger import Ledger, Run, RunPlan
from adapters.store import archive
from adapters.store.plan_files import FileEntry
from adapters.store.plans import Plan, plain
from flows.evidence.record import evidence, evident
from flows.plan.order.stages import WRITES
from flows.results.shares import DONE_TO
from flows.results.tables import Report, report_of
from flows.session.session import Session, connect
from flows.session.stores import ledger_of, store_of
from flows.spec.model import Spec
from transforms.vocabulary import OPS, SIDES, Marker, Phase, SideName, SynclineError, message_of


@dataclass(frozen=True, slots=True)
class Inside:
    """How far a plan is in a table of the target: `windows` of `planned` are in, and wrote so many rows."""

    table: str
    windows: int
    planned: int
    insert: int
    update: int
    delete: int

    def __str__(self) -> str:
        counts = ((getattr(self, op), done) for op, done in DONE_TO.items())
        rows = ", ".join(f"{rows:,} {done}" for rows, done in counts if rows) or "no rows"
        return f"{self.table} {self.windows:,} of {self.planned:,} windows ({rows})"


@dataclass(frozen=True, slots=True)
class Unfinished:
    """A plan of a run that has begun to write its side and has not come to an end.

    `running`: a live process is at work on it. `plan` is the plan's folder in the store. `tables` are those that the plan writes,
    in its order; None where the side or the plan cannot be asked now, and `message` then says why.
    """

    run_id: str
    kind: str
    status: Literal["running", "interrupted"]
    started_at: datetime
    message: str | None
    plan: str
    plan_id: str
    side: SideName
    tables: tuple[Inside, ...] | None

    def as_dict(self) -> dict[str, Any]:
        """JSON-ready."""
        return dict(plain(asdict(self)))

    @property
    def windows(self) -> int:
        """How many windows are in the target."""
        return sum(each.windows for each in self.tables or ())


def unfinished(spec: Spec) -> list[Unfinished]:
    """The runs of a migration that began to write and did not end, oldest first. The target is asked only where there are some."""
    with ledger_of(spec) as ledger:
        if not ledger.there():
            return []
        plans = [(run, plan) for run in ledger.cut_off(spec.name) for plan in run.plans]
        if not plans:
            return []
        since = {side: ledger.writing_since(spec.name, side) for side in SIDES}
        with connect(spec) as session:
            return [_looked_at(run, plan, session, since[plan.side]) for run, plan in plans]


def _looked_at(run: Run, known: RunPlan, session: Session, held_since: datetime | None) -> Unfinished:
    message, tables = run.message, None
    try:
        plan = Plan.open(store_of(session.spec).folder(known.folder))
        tables = inside(plan, session.sides.written(known.side).adapter.applied(known.plan_id))
    except SynclineError as error:
        message = f"{message} " if message else ""
        message += f"Which of its windows are in the {known.side} is not known now: {error}"
    live = held_since is not None and run.started_at >= held_since
    status: Literal["running", "interrupted"] = "running" if live else "interrupted"
    return Unfinished(
        run.run_id, run.kind, status, run.started_at, message, known.folder, known.plan_id, known.side, tables
    )


def inside(plan: Plan, markers: Iterable[Marker]) -> tuple[Inside, ...]:
    """What of a plan is in the target: of each table that it writes how many windows, and how many rows they wrote themselves."""
    marked = list(markers)
    found = []
    for table in dict.fromkeys(entry.table for entry in plan.windows()):
        entries = {entry.window: entry for entry in plan.windows(table)}
        mine = [each for each in marked if each.table == str(table) and each.window in entries]
        planned = plan.manifest.of(table)
        steps = planned.interim if planned else ()  # whose rows count where their real change is
        real = [each for each in mine if each.window not in steps]
        counts = sum((written(plan, entries[each.window], each.phase) for each in real), Counter[str]())
        name = planned.name if planned else str(table)
        found.append(
            Inside(name, len({each.window for each in mine}), len(entries), *(counts.get(op, 0) for op in OPS))
        )
    return tuple(found)


def written(plan: Plan, entry: FileEntry, phase: Phase) -> Counter[str]:
    """How many rows a window that is in the target wrote, by operation: those that were planned but for those it left."""
    counts = Counter({str(op): entry.counts.get(op, 0) for op in WRITES[phase]})
    for kind in archive.NOT_WRITTEN:
        left = archive.noted(plan.folder, kind, entry.table, entry.window, phase)
        if left is not None and left.num_rows:
            counts -= Counter(left.column("op").to_pylist())
    return counts


def cut_off(session: Session, ledger: Ledger, run_id: str, error: BaseException) -> None:
    """Let the error of a run that fails while it writes say, in a note of its own, what is in the target; so does a page."""
    run = ledger.run(run_id)
    for known in run.plans if run is not None else ():
        _say_what_is_in(known, session, error)


def _say_what_is_in(known: RunPlan, session: Session, error: BaseException) -> None:
    try:
        plan = Plan.open(store_of(session.spec).folder(known.folder))
        tables = inside(plan, session.sides.written(known.side).adapter.applied(known.plan_id))
    except SynclineError:
        error.add_note(
            f"Which of its windows are in the {known.side} could not be asked; `syncline history` says so once it can be reached."
        )
        return
    parts = "; ".join(str(each) for each in tables if each.windows)
    note = f"In the {known.side} are: {parts}. They stay" if parts else f"None of its windows is in the {known.side}"
    error.add_note(f"{note}; the next run goes on from there.")
    keep_evidence(plan, in_part(plan, tables), session, "interrupted", message_of(error))


def in_part(plan: Plan, there: Sequence[Inside], version: int | None = None) -> Report:
    """The report of a plan of which only some windows are in: its counts are of what they wrote."""
    whole = report_of(plan)
    rows = {each.table: {op: getattr(each, op) for op in OPS} for each in there}
    none = dict.fromkeys(OPS, 0)
    tables = (replace(each, counts=replace(each.counts, **rows.get(each.name, none))) for each in whole.tables)
    return replace(whole, version=version, tables=tuple(tables))


def keep_evidence(plan: Plan, report: Report, session: Session, status: str, message: str) -> None:
    """Leave the evidence and the page of a run that did not come to its own end."""
    manifest = plan.manifest
    told = evidence(
        session,
        report,
        manifest.kind,
        manifest.created_at,
        status,
        message,
        manifest.ranges,
        manifest.undoes,
    )
    evident(report, store_of(session.spec), told)
