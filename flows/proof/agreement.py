"""Both sides held to what they agreed on last: the proof of a verification, from what its windows found."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from pathlib import Path

import pyarrow as pa
import pyarrow.compute as pc

from adapters.ledger.ledger import Ledger
from adapters.store.plans import Plan
from flows.plan.build import selected
from flows.plan.request import Request
from flows.results.agreement import AgreementProof
from flows.results.tables import Report, TableReport
from flows.session.agreed import Known, agreement_of, known_base
from flows.session.session import Session
from flows.session.stores import ledger_of
from transforms.net_changes import changed_keys
from transforms.reconcile.records import keys_of
from transforms.vocabulary import TableName


def bases(request: Request, session: Session) -> Mapping[str, Known]:
    """What both sides agreed on of each table that goes both ways, every file checked, before they are read. Nothing where only some rows
    are asked for: of those that are gone the base says nothing then."""
    if not request.whole:
        return {}
    with ledger_of(request.spec) as ledger:
        there = ledger.there()
        return {
            bound.name: known_base(request.spec, ledger, bound, agreement_of(session, bound, bound.schema))
            if there
            else Known(None)
            for bound in selected(request, session)
            if bound.two_way is not None
        }


def held(request: Request, report: Report, known: Mapping[str, Known]) -> Report:
    """The report of a verification with how both sides stand to what they agreed on. In: `bases`. Memory: the keys of open rows."""
    if not known:
        return report
    plan = Plan.open(Path(str(report.plan)), only="changes")
    with ledger_of(request.spec) as ledger:
        tables = [
            _with(request, ledger, plan, told, known[told.name]) if told.name in known else told
            for told in report.tables
        ]
    told = [notice for each in known.values() for notice in (each.lost, *each.told) if notice is not None]
    return replace(report, tables=tuple(tables), warnings=(*report.warnings, *told))


def _with(request: Request, ledger: Ledger, plan: Plan, told: TableReport, known: Known) -> TableReport:
    base, found = known.parts, told.held
    if known.other_key is not None:
        return replace(told, agreement=AgreementProof("other_key"))
    if base is None:
        return replace(told, agreement=AgreementProof("never" if known.lost is None else "lost"))
    if found is None or found.digest != base.digest:
        return replace(told, agreement=AgreementProof("replaced"))
    table = request.spec.tables[told.name]
    # rows that have left a projection are shown by neither side, and still there
    gone = 0 if table.owns is not None or table.where is not None else base.rows - found.known
    unlike = found.source + found.target + found.both
    proof = AgreementProof(
        "held",
        told.counts.unchanged - found.alike,
        found.alike + gone,
        found.source,
        found.target,
        found.both,
        _open(request, ledger, plan, told) if unlike else 0,
    )
    return replace(told, agreement=proof)


def _open(request: Request, ledger: Ledger, plan: Plan, told: TableReport) -> int:
    """How many of the rows that differ are open."""
    texts = [each["key"].cast(pa.string()) for each in ledger.open_rows.rows(request.spec.name, told.name)]
    listed = pa.chunked_array([pa.array([], pa.string()), *(chunk for each in texts for chunk in each.chunks)])
    if not len(listed):
        return 0
    table = next(each.table for each in plan.manifest.tables if each.name == told.name)
    return sum(pc.sum(pc.is_in(each, value_set=listed.combine_chunks())).as_py() or 0 for each in _unlike(plan, table))


def _unlike(plan: Plan, table: TableName) -> Iterator[pa.Array]:
    """The keys of the rows that differ, as JSON arrays, window by window."""
    for entry in plan.windows(table):
        yield keys_of(changed_keys(plan.changes(entry)))
