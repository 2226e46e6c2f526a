"""Plans of tables that refer to themselves: their windows in an order in which each row finds the one that it refers to."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import pyarrow as pa

from adapters.store.plan_files import read_narrow
from flows.plan.decide import Planned
from flows.plan.order.own_order import NoOwnOrder, own_keys, own_order
from flows.plan.order.sharing import Share
from flows.plan.reading.collisions import alike
from flows.session.route import Route
from flows.session.session import Job, Session
from transforms.vocabulary import Counts, PlanError


def in_own_order(session: Session, job: Job, route: Route, planned: Sequence[Planned]) -> list[Planned]:
    """The windows of a table in an order in which its own foreign keys hold: see `flows/plan/order/own_order.py`.

    Memory: of each change the key and the columns that refer, and a window. Errors: PlanError where rows go in a circle that
    the engine does not take.
    """
    bound, target = route.table, route.writes.adapter
    own = own_keys(bound.shape)
    if not own or (bound.ddl and target.capabilities.adds_foreign_keys):  # keys come after the rows
        return list(planned)
    names = list(dict.fromkeys([*bound.key, *(n for each in own for n in (*each.columns, *each.refers_columns))]))
    folder = Path(job.folder)
    windows = {
        each.window: read_narrow(folder, each.changes, names)
        for each in planned
        if each.changes is not None and not each.first and not each.completing
    }
    if not windows:
        return list(planned)

    def compared(rows: pa.Table) -> pa.Table:
        return alike(route, rows, tuple(rows.column_names))

    try:
        order = own_order(bound.shape, target.capabilities, windows, bound.key, compared, bound.window_rows)
    except NoOwnOrder as error:
        raise PlanError(
            f"{bound.name}: rows need each other by foreign keys that go in a circle ({error.circle}), and {target.engine} takes no "
            f"such rows. Nothing was written.",
            fix="let one of these rows refer to nothing in the source, or drop the foreign key in the target.",
        ) from error
    start = max(each.window for each in planned) + 1
    late = {window: place for place, window in enumerate(order.late(start))}
    clear = all(each.clear for each in planned if each.window in order.leaving)
    left, new = {}, []
    if order.leaving:
        share = Share(session, job, bound.name, order, "late")
        left = {each.window: share.taken(each) for each in planned if each.window in order.leaving}
        for number, entry in share.new(start):
            new.append(Planned(bound.name, number, Counts(), entry, None, None, clear=clear, late=late[number]))
    kept = (replace(each, changes=left.get(each.window, each.changes), late=late.get(each.window)) for each in planned)
    return [*kept, *new]
