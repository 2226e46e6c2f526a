"""A plan of one side held to what the spec and the side's constraints allow: in steps and orders that keep every constraint."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import cache, partial
from pathlib import Path

from flows.bind.tables import BoundTable
from flows.plan.consequences.beside import Beside, besides, binding_with
from flows.plan.consequences.kept_rows import without_referred
from flows.plan.consequences.on_update import moved_children
from flows.plan.consequences.whole_rows import with_whole_deletes
from flows.plan.decide import KEYS, Planned
from flows.plan.lookups.own_lookups import own_ancestors
from flows.plan.order.circles import Order
from flows.plan.order.in_circles import arranged, written_tables
from flows.plan.order.moving_values import settled
from flows.plan.order.own_references import in_own_order
from flows.plan.order.passed_on import passed_on_by_plan, with_steps
from flows.plan.reading.chosen_keys import read_whole
from flows.plan.reading.emptied import hold_emptied
from flows.plan.reading.null_keys import keyless
from flows.plan.reading.unproved import double_warning
from flows.plan.request import Request
from flows.plan.thresholds import hold_deletes, hold_others
from flows.plan.unstable_columns import latest_of, rewritten
from flows.results.mended import mended
from flows.results.tables import Report, TableReport, table_report, with_keyless
from flows.session.route import Route
from flows.session.session import Job, Session
from transforms.vocabulary import (
    Counts,
    Keys,
    Notice,
    Since,
    Tree,
)


@dataclass(frozen=True, slots=True)
class Settled:
    """A plan of one side but for its manifest: its windows in steps and orders that keep every constraint, a report for each table,
    what happens to tables that the spec does not name, and the session that knows those tables, too."""

    session: Session
    outcomes: tuple[Planned, ...]
    reports: tuple[TableReport, ...]
    warnings: tuple[Notice, ...]
    beside: tuple[Beside, ...]
    order: Order

    def report(
        self, request: Request, folder: Path, seconds: float, tables: Sequence[BoundTable], warnings: Sequence[Notice]
    ) -> Report:
        return Report(
            request.spec.name,
            request.run_id,
            str(folder),
            None,
            seconds,
            (
                *(
                    replace(told, after_load=_after_load(request, self.session, told.name, tables))
                    for told in self.reports
                ),
                *(each.report for each in self.beside),
            ),
            (*warnings, *self.warnings),
            chosen=request.keys is not None,
            tree=request.trees.texts if request.trees is not None else (),
        )


def settled_plan(
    request: Request,
    session: Session,
    job: Job,
    tables: Sequence[BoundTable],
    planned: dict[str, list[Planned]],
    *,
    check_deletes: bool = True,
) -> Settled:
    """Hold planned windows of one side to what the spec and the side's constraints allow, and put them in order."""
    outcomes: list[Planned] = []
    reports: list[TableReport] = []
    warnings: list[Notice] = []
    beside: tuple[Beside, ...] = ()
    order = Order()
    latest_plan = cache(partial(latest_of, request.spec, session.sides.written(job.side)))  # opened once for all tables
    if check_deletes:
        passing = passed_on_by_plan(session, job, tables, planned)
        kept = without_referred(session, job, tables, planned, passing)
        planned, warnings = kept.planned, [*kept.warnings]
        moved = moved_children(session, job, tables, planned, kept.going, passing)
        beside = besides(session, job, kept, moved, allow_deletes=request.allow_deletes)
        session = replace(session, binding=binding_with(session.bound, beside))
        outcomes += (window for each in beside for window in each.windows)
    for bound in tables:
        windows = planned[bound.name]
        route = session.route(job, bound.name)
        if check_deletes:
            hold(request, route, sum((each.counts for each in windows), Counts()))
            let_go = {(each.child.name, each.foreign): each.values for each in passing}
            windows = settled(session, job, route, with_whole_deletes(session, job, route, windows), let_go)
            windows = in_own_order(session, job, route, windows)
        outcomes += windows
        reports.append(replace(table_report(bound, windows), cursor=request.cursors.get(bound.name)))
        if request.selection(bound).whole and (found := keyless(route, reports[-1].counts)):
            warnings.append(found.told(bound))
            reports[-1] = with_keyless(reports[-1], found.rows)
        if some := [key for outcome in windows for key in outcome.double][:KEYS]:
            warnings.append(double_warning(bound, reports[-1].unproved["double_key"], some))
        warnings += [*mended(bound, windows), *rewritten(latest_plan, job, route, windows)]
        warnings += own_ancestors(job, bound)
        selection = request.selection(bound)
        asked = selection.wait if isinstance(selection, Since) else selection
        if isinstance(asked, Keys | Tree) and asked.rows:
            warnings += read_whole(bound, asked)
    if check_deletes:
        outcomes = with_steps(session, job, tables, passing, outcomes)
        outcomes, order = arranged(session, job, written_tables(tables, beside, outcomes), outcomes)
    return Settled(session, tuple(outcomes), tuple(reports), tuple(warnings), beside, order)


def hold(request: Request, route: Route, counts: Counts) -> None:
    """Hold what a plan deletes of a table, and changes of rows that others may have written, to what the spec allows.

    Errors: PlanError where it is more.
    """
    bound = route.table
    held = (request.keys is None or request.live) and not request.allow_deletes
    counts = counts if held else replace(counts, delete=0)
    # how many rows hang in a tree, or have some keys, says nothing of how many the table has
    some = request.trees is not None or request.keys is not None
    of, burst = (partial(route.writes.snapshot.estimate, bound.there), request.burst) if some else (None, None)
    hold_deletes(request.spec, bound, counts, route.writes.name, part=not request.whole, of=of, burst=burst)
    hold_others(request.spec, route, counts)
    if held and request.whole:
        hold_emptied(request.spec, bound, counts, route.reads.snapshot)


def _after_load(request: Request, session: Session, name: str, tables: Sequence[BoundTable]) -> tuple[str, ...]:
    """What comes after the rows of a table; nothing where a range leaves rows out, nor what refers to a missing table."""
    if not request.selection(session.bound.table(name)).whole:
        return ()
    planned = {table.name for table in tables}
    missing = {table.shape.name for table in session.bound.tables if table.ddl and table.name not in planned}
    lacking = session.bound.table(name).after_load.lacking
    return tuple(later.statement for later in lacking if later.refers not in missing)
