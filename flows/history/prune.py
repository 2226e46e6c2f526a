"""Keep history bounded: changes of old versions are added up into what tables were, and forgotten."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import uuid4

import pyarrow as pa

from adapters.ledger.ledger import Base, Ledger, Version
from adapters.store import archive
from adapters.store.both_ways import forget_beside, forget_edits, target_folder
from adapters.store.layout import EVIDENCE, Store
from adapters.store.plans import Plan, folder_name
from flows.apply.load import Loading
from flows.history.asof import edited_tables, own_tables, runs_of, table_at
from flows.history.recover import recover
from flows.history.versions import opened_version
from flows.session.locking import sole_writer
from flows.session.session import connect
from flows.session.stores import ledger_of, store_of
from flows.spec.model import Spec
from transforms.vocabulary import SIDES, PlanError, SideName, TableName

PART_ROWS = 250_000  # of a file


@dataclass(slots=True)
class Pruned:
    """What is gone: the changes of so many versions, plans that were never applied, the evidence and pages of `reports`; `freed` bytes.
    `bases`: rows by table."""

    versions: int = 0
    plans: int = 0
    reports: int = 0
    freed: int = 0
    bases: dict[str, int] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return asdict(self)


def prune(spec: Spec, before: datetime, *, wait: float = 0) -> Pruned:
    """Forget the changes of versions that were made before a moment, plans older than it that were never applied, and the evidence of
    runs before it, but for the latest one's.

    Each table that they changed is written down as it stood after the last of them, so that versions that are kept can be
    asked for, shown and undone as ever. Safe to repeat, and to be killed: what is still needed goes last.
    """
    run_id = f"prune-{uuid4().hex[:8]}"
    with (
        connect(spec) as session,
        ledger_of(spec) as ledger,
        sole_writer(session, ledger, run_id, _now, wait, session.sides.writable) as writing,
    ):
        recover(Loading(writing, ledger), _now())
        versions = sorted(ledger.versions(spec.name), key=lambda v: v.version)
        done = Pruned()
        young = {v.joined for v in versions if v.created_at >= before and v.joined is not None}
        old = [v for v in versions if v.created_at < before and v.joined not in young]  # those that are one go as one
        old = _not_needed(spec, old, versions)
        for side in SIDES:  # of the source, too, where a spec that goes one way by now wrote it once
            if old:
                _forget(spec, ledger, side, old, done)
            _sweep_bases(spec, ledger, side, done)
        _forget_beside(spec, ledger, done)
        _sweep_plans(spec, ledger, before, done)
        _sweep_evidence(spec, before, done)
    return done


def _now() -> datetime:
    return datetime.now(UTC)


def _not_needed(spec: Spec, old: list[Version], versions: list[Version]) -> list[Version]:
    """Old versions but for those that came in while the plan of a younger one waited: what it met is known by them."""
    store, ends = store_of(spec), {each.version for each in old}
    since = datetime.max.replace(tzinfo=UTC)
    for each in versions:
        if each.version not in ends:
            with suppress(PlanError):  # it cannot be opened, and so needs none
                since = min(since, opened_version(store, each).plan.manifest.created_at)
    return [each for each in old if each.created_at < since]


def _forget(spec: Spec, ledger: Ledger, side: SideName, old: list[Version], done: Pruned) -> None:
    """Forget what old versions changed on a side, and what people had done there by then. In: versions of both sides, oldest first."""
    store, last = store_of(spec), old[-1].version
    bases = ledger.bases(spec.name, side)
    mine = [version for version in old if version.side == side]
    runs = [Plan.open(run, only="edits") for run in runs_of(store, old) if (run / "edits").exists()]
    changed: dict[str, TableName] = {str(table): table for plan in runs for table in edited_tables(spec, plan, side)}
    for version in mine:
        changed |= {str(table): table for table in opened_version(store, version).tables}
    for name, table in changed.items():
        base = bases.get(name)
        if base is None or base.version >= last:
            continue
        try:
            rows = table_at(spec, last, table, side=side, whole=False)
        except PlanError:
            continue  # some of its changes were never kept, so that nothing of it can be asked for anyway
        place = archive.base_folder(store.bases(spec.name, side), table, last)
        _write_base(store.work(spec.name, side), place, rows)
        folder = store.named(place) if rows.num_rows else None
        ledger.set_base(Base(spec.name, side, name, last, folder, rows.num_rows))
        if base.folder:
            done.freed += _removed(store.folder(base.folder))
        done.bases[name] = rows.num_rows
        for plan in runs:
            done.freed += sum(forget_edits(plan, own, side) for own in own_tables(spec, plan, table, side))
    for version in mine:
        kept = version.kept or {}
        plan = Plan.open(store.folder(version.plan), kept)
        tables = [table for table in {entry.table for entry in plan.windows()} if str(table) not in kept]
        if tables:
            ledger.note_kept(spec.name, version.version, {str(table): "pruned" for table in tables})
            done.versions += 1
        for table in tables:
            done.freed += _removed(plan.folder / "changes" / folder_name(table))


def _forget_beside(spec: Spec, ledger: Ledger, done: Pruned) -> None:
    """Forget what plans of two ways keep for an undo, of runs of which no version can be taken back any more."""
    store, kept = store_of(spec), dict[Path, bool]()
    for version in ledger.versions(spec.name):
        run = target_folder(store.folder(version.plan))
        kept[run] = kept.get(run, True) and "pruned" in (version.kept or {}).values()
    done.freed += sum(forget_beside(run) for run, pruned in kept.items() if pruned)


def _write_base(work: Path, place: Path, rows: pa.Table) -> None:
    if not rows.num_rows:
        return
    made = work / uuid4().hex
    for number, start in enumerate(range(0, rows.num_rows, PART_ROWS)):
        archive.write_base(made, number, rows.slice(start, PART_ROWS))
    archive.move_base(made, place)


def _sweep_bases(spec: Spec, ledger: Ledger, side: SideName, done: Pruned) -> None:
    """What a killed prune of a side left behind."""
    store = store_of(spec)
    known = {store.folder(base.folder) for base in ledger.bases(spec.name, side).values() if base.folder}
    for folder in store.bases(spec.name, side).glob("*"):
        if folder not in known:
            done.freed += _removed(folder)


def _sweep_plans(spec: Spec, ledger: Ledger, before: datetime, done: Pruned) -> None:
    """Plans of this migration that no version and no quarantined row needs."""
    store = store_of(spec)
    needed = {store.folder(v.plan) for v in ledger.versions(spec.name)} | {
        store.folder(f) for f in ledger.quarantine_files(spec.name)
    }
    needed |= {target_folder(each) for each in needed}  # where an undo of the source finds what both sides agreed on
    needed |= {store.folder(plan.folder) for run in ledger.cut_off(spec.name) for plan in run.plans}
    for folder in _plans(store, spec.name, before):
        if folder not in needed:
            done.freed += _removed(folder)
            done.plans += 1


def _sweep_evidence(spec: Spec, before: datetime, done: Pruned) -> None:
    """Evidence of runs, with their pages: of all but the latest one, however old that is."""
    store = store_of(spec)
    for run_id in list(store.evidence_runs(spec.name))[1:]:
        folder = store.evidence_folder(run_id)
        if datetime.fromtimestamp((folder / EVIDENCE).stat().st_mtime, UTC) < before:
            done.freed += _removed(folder)
            done.reports += 1


def _plans(store: Store, migration: str, before: datetime) -> Iterator[Path]:
    for folder in store.plans():
        try:
            manifest = Plan.open(folder).manifest
        except PlanError:
            continue  # somebody changed it: not ours to throw away
        if manifest.migration == migration and manifest.created_at < before:
            yield folder


def _removed(folder: Path) -> int:
    size = archive.size(folder)
    shutil.rmtree(folder, ignore_errors=True)
    return size
