"""Undo where versions have two sides: each side is taken back by a plan and a run of its own, the source's first.

Both sides agree then on what they agreed on before those versions: what each side had done by then is brought over by the next run,
as after an undo of one way. The plan that is applied first says so. An undo of one side alone leaves it: that is an edit of the side.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Final

import pyarrow as pa

from adapters.ledger.ledger import Ledger, Version
from adapters.store.both_ways import Unagreed, rows_of, source_folder, target_folder, touched
from adapters.store.plan_files import Kind
from adapters.store.plans import Plan
from flows.history import undo
from flows.history.taken_back import TakenBack, already, taken_back
from flows.history.undone import Undone
from flows.history.versions import one_with, opened_version, version_of, versions_after
from flows.plan.request import Request
from flows.results.outcome import Outcome
from flows.results.tables import Report, TableReport
from flows.session.session import Session
from flows.session.stores import store_of
from flows.spec.model import Spec
from transforms import keys
from transforms.vocabulary import Counts, PlanError, SideName, SpecError, TableName
from transforms.vocabulary.unmet import completed, met_in_all

_BY_OTHER_KEY: Final = pa.Table.from_batches([], pa.schema([("syncline other key", pa.int64())]))  # imports no pandas
"""Where rows were known by one key in some versions and by another in others: nobody can say then what both agreed on."""


def taken_by_side(
    ledger: Ledger, spec: Spec, version: int, *, to: bool, side: SideName | None = None
) -> dict[SideName, list[Version]]:
    """The versions that an undo takes back, oldest first, by the side that they wrote: one with the other of its run and with those that
    are one with it, or all that came after these. Errors: SpecError where there are none, and where a version is taken back already."""
    if to:
        last = one_with(ledger, spec, version_of(ledger, spec, version))[-1].version if version else 0
        taken = versions_after(ledger, spec, last)
        if not taken:
            raise SpecError(
                f"Version {version} is the newest of {spec.name}: there is nothing after it to take back.",
                fix="name an earlier one of `syncline history`.",
            )
    else:
        one = version_of(ledger, spec, version)
        twin = None if one.synchronized_with is None else version_of(ledger, spec, one.synchronized_with)
        alone = [each for each in (one, twin) if each is not None]
        taken = alone if one.joined is None else one_with(ledger, spec, one)
        taken = [each for each in taken if side in (None, each.side)]
        by = {each.version: taken_back(ledger, spec, each.version) for each in taken}
        left = [each for each in taken if by[each.version] is None]
        if taken and not left:
            raise already(version, tuple(each.version for each in by.values() if each is not None))
        taken = left
    found: dict[SideName, list[Version]] = {}
    for each in taken:
        if side in (None, each.side):
            found.setdefault(each.side, []).append(each)
    if not found:
        raise SpecError(
            f"Version {version} changed nothing of the {side}.", fix="leave out --side, or name the other one."
        )
    return found


def undone(ledger: Ledger, spec: Spec, versions: Sequence[Version], *, to: bool, drop: bool) -> Undone:
    """What an undo of versions of one side takes back."""
    before = ledger.version(spec.name, versions[0].version - 1)
    known = None if to else TakenBack.known(ledger, spec, [each.version for each in versions])
    store = store_of(spec)
    mark = before.source_mark if before else None
    return Undone(tuple(opened_version(store, each) for each in versions), drop, mark, known)


def plan_undo_both(
    request: Request,
    session: Session,
    ledger: Ledger,
    taken: Mapping[SideName, Sequence[Version]],
    *,
    to: bool,
    drop: bool,
    temporary: bool,
    side: SideName | None = None,
) -> Report:
    """Write down what takes versions back; where they are of both sides, the plan of the source lies beside that of the target.

    `side`: the one that alone is asked for.
    """
    spec = request.spec

    alone = side is not None
    agreed = () if alone else tuple(_agreed_before(spec, taken))

    def planned(side: SideName, request: Request, *, both_ways: bool = False) -> Report:
        of_side = undone(ledger, spec, taken[side], to=to, drop=drop)
        first = side == "source" or len(taken) == 1
        return undo.plan_undo(
            request,
            session,
            of_side,
            temporary=temporary,
            both_ways=both_ways,
            agreed=agreed if first else (),
            alone=alone,
        )

    if len(taken) == 1:
        (single,) = taken
        report = planned(single, request)
        return of_source(report) if single == "source" else report
    if request.trees is not None:
        raise SpecError(
            "The rows of a tree are taken back on one side, and these versions changed both.", fix="give --side target."
        )
    folder = request.folder or store_of(spec).plan_folder(request.plan_id)
    back = planned("source", replace(request, run_id=f"{request.run_id}-source", folder=source_folder(folder)))
    return with_back(planned("target", replace(request, folder=folder), both_ways=True), of_source(back))


def _agreed_before(spec: Spec, taken: Mapping[SideName, Sequence[Version]]) -> Iterator[Unagreed]:
    """What both sides agreed on before versions, of the rows that these changed. Memory: those rows."""
    store, latest = store_of(spec), dict[Path, int]()
    for version in (each for some in taken.values() for each in some):
        plan = opened_version(store, version).plan
        if plan.manifest.both_ways:
            latest[target_folder(plan.folder)] = version.version
    gone, rows = dict[TableName, pa.Table](), dict[TableName, pa.Table | None]()
    for folder in sorted(latest, key=lambda folder: -latest[folder]):  # of several the oldest decides
        wanted, agreed = _opened(folder, "wanted"), _opened(folder, "before")
        for table in (planned.table for planned in wanted.manifest.tables):
            if (changed := touched(wanted, table)) is None:
                continue
            key = tuple(changed.column_names)
            changed = keys.distinct(changed)
            before, known = rows_of(agreed, "before", table), rows.get(table)
            if table in gone and gone[table].column_names != changed.column_names:
                gone[table], rows[table] = _BY_OTHER_KEY, None
                continue
            if before is not None:  # it has rows, too, that both sides had changed alike
                before = before.filter(pa.array(keys.contained(before, changed, key)))
            if known is not None:
                known = known.filter(pa.array(~keys.contained(known, changed, key)))
            some = [each for each in (known, before) if each is not None]
            rows[table] = _joined(some) if some else None
            if table in gone:
                changed = pa.concat_tables(
                    [gone[table].filter(pa.array(~keys.contained(gone[table], changed, key))), changed]
                )
            gone[table] = changed
    for table, some_keys in gone.items():
        yield table, some_keys, rows[table]


def _joined(some: Sequence[pa.Table]) -> pa.Table:
    """Rows that both sides agreed on, of mappings that may have had other columns."""
    fields = {field.name: field for each in some for field in met_in_all(each).schema}
    schema = pa.schema([field.with_nullable(True) for field in fields.values()])
    return pa.concat_tables([completed(each, schema) for each in some], promote_options="default")


def _opened(folder: Path, kind: Kind) -> Plan:
    try:
        return Plan.open(folder, only=kind)
    except PlanError as error:
        raise PlanError(
            f"What both sides agreed on before is not known, since the plan {folder} cannot be read. Nothing was written.",
            fix="undo one side alone with --side: that is an edit of that side, which the next run brings to the other.",
        ) from error


def of_source(report: Report) -> Report:
    """The report of an undo of the source, told as what happens to the source."""
    tables = (
        replace(
            told,
            counts=Counts(conflicts=told.counts.conflicts),
            differing={},
            samples=(),
            back=replace(told.counts, conflicts=0),
            back_table=told.target,
            back_differing=told.differing,
            back_samples=told.samples,
        )
        for told in report.tables
    )
    return replace(report, tables=tuple(tables))


def with_back(report: Report, back: Report) -> Report:
    """The report of the target's undo, with what happens to the source (`of_source`)."""
    there = {told.name: told for told in back.tables}
    tables = [_with_back(told, there.pop(told.name)) if told.name in there else told for told in report.tables]
    warnings = (*report.warnings, *(each for each in back.warnings if each not in report.warnings))
    return replace(report, tables=(*tables, *there.values()), warnings=warnings, met=(*report.met, *back.met))


def _with_back(told: TableReport, there: TableReport) -> TableReport:
    return replace(
        told,
        counts=told.counts + there.counts,
        back=there.back,
        back_table=there.back_table,
        back_differing=there.back_differing,
        back_samples=there.back_samples,
    )


def undone_on(plan: Plan, outcome: Outcome) -> Outcome:
    """How an undo of one side ended, told as what happened to that side."""
    return outcome if plan.manifest.side == "target" else replace(outcome, report=of_source(outcome.report))


def on_both(target: Outcome, source: Outcome) -> Outcome:
    """How an undo of both sides ended. In: how each of both did."""
    message = " ".join(dict.fromkeys(each for each in (source.message, target.message) if each))
    return Outcome(with_back(target.report, source.report), max(target.status, source.status), message)
