"""Plans that leave nothing behind: of what feeds tell most, in the end, is what was written by ourselves."""

from __future__ import annotations

from typing import Final

import pyarrow as pa

from adapters.ledger.ledger import Choice, Ledger
from adapters.ledger.open_rows import OPEN_ROWS
from adapters.store.both_ways import source_folder
from adapters.store.plan_files import Kind
from adapters.store.plans import Plan
from flows.apply.sweep import looked_at
from flows.plan.request import Request
from flows.results.tables import Report
from flows.session.session import Session
from transforms.reconcile import open_rows

_IDLE: Final[frozenset[Kind]] = frozenset({"mapped", "open"})


def leaves_nothing(plan: Plan, report: Report, request: Request, session: Session, ledger: Ledger) -> bool:
    """Whether what a plan of some keys would do is done: no row changes on either side, nor what they agree on, and of the rows that it
    looked at those are in quarantine or open that the ledger has so already. Memory: the keys of these.
    """
    if (
        report.pending
        or report.total.quarantined
        or any(each.code == "resolution_outdated" for each in report.warnings)
    ):
        return False
    plans = [plan, Plan.open(source_folder(plan.folder))] if plan.manifest.both_ways else [plan]
    if any(entry.kind not in _IDLE for each in plans for entry in each.files):
        return False
    return all(_as_noted(plan, name, session, ledger) for name in _named(plan, request))


def _named(plan: Plan, request: Request) -> list[str]:
    """The tables of which rows are open by the plan, or may be by the ledger."""
    met = {entry.table for entry in plan.files if entry.kind == "open"}
    return [each.name for each in plan.manifest.tables if each.name in request.listed or each.table in met]


def _as_noted(plan: Plan, name: str, session: Session, ledger: Ledger) -> bool:
    """Whether what is open of a table's rows that the plan looked at is noted so, and nothing else of them is."""
    migration = session.spec.name
    table = plan.manifest.named(name).table
    met = pa.concat_tables(
        [OPEN_ROWS.empty_table(), *(open_rows(rows).cast(OPEN_ROWS) for rows in plan.rows("open", table))]
    )
    listed = ledger.conflict_keys(migration, name)
    seen = {key for some in looked_at(plan, name, session, listed) for key in (listed if some is None else some)}
    aside = {key for _, key in ledger.chosen_keys(migration, Choice((name,), side="target"))}
    mine = sorted(seen.intersection(listed).union(met.column("key").to_pylist()))
    if seen & aside or len(mine) != met.num_rows:
        return False
    if not mine:
        return True
    known = pa.concat_tables([OPEN_ROWS.empty_table(), *ledger.open_rows.rows(migration, name, keys=mine)])
    return bool(known.sort_by("key").equals(met.sort_by("key")))
