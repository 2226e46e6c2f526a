"""Versions: the change sets of applied plans, as they really went into the target."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from typing import Final

import pyarrow as pa
import pyarrow.compute as pc

from adapters.ledger.ledger import Ledger, Version
from adapters.store import archive
from adapters.store.layout import Store
from adapters.store.manifest import PlannedTable
from adapters.store.plan_files import ChangedPlan, FileEntry
from adapters.store.plans import Plan
from flows.plan.order.interim import in_turn, whole_changes
from flows.spec.entries import entry_name, entry_of, nearest
from flows.spec.model import Spec
from flows.spec.problems import meant
from transforms.net_changes import as_made, together, without
from transforms.vocabulary import OPS, ChangeSet, Op, Phase, PlanError, SpecError, TableName

NOT_KEPT = {
    "keys": "of which only keys are kept (history: keys)",
    "off": "of which nothing is kept (history: off)",
    "pruned": "whose changes were pruned",
}

MET: Final[tuple[archive.NotWritten, ...]] = ("applied", "others")
"""Why rows were left alone: they were not as the plan had seen them."""


@dataclass(frozen=True, slots=True)
class AppliedVersion:
    """A version with its plan."""

    version: Version
    plan: Plan

    @property
    def tables(self) -> list[TableName]:
        """The tables that the plan writes or creates, in its order."""
        planned = self.plan.manifest.tables
        return [each.table for each in planned if each.counts.changes or each.ddl or each.drop]

    def name_of(self, spec: Spec, table: TableName) -> str:
        """What the spec calls a table that the version wrote: of several that are made of one source table the one that it planned."""
        planned = self.planned_table(table)
        if planned is not None and self.version.side == "source" and planned.name in spec.tables:
            return planned.name
        return entry_name(spec, table, self.version.side)

    def planned_table(self, table: TableName) -> PlannedTable | None:
        """What the plan held for a table, None where it did not look at it."""
        return self.plan.manifest.of(table)

    def changes(self, table: TableName, ops: Sequence[Op] = OPS) -> Iterator[ChangeSet]:
        """The changes of a table window by window, without rows that were left alone and windows that never came in.

        Each row is there at most once, whatever steps it took. Windows with none of `ops` may be left out.
        Errors: PlanError where they are not kept, missing, or not as they were written.
        """
        self._must_be_kept(table)

        def written(entry: FileEntry) -> ChangeSet:
            changes = self._planned(entry)
            left = archive.keys_not_written(self.plan.folder, table, entry.window)
            return changes if left is None else without(changes, left)

        for changes in whole_changes(self.plan, table, written, ops):
            if len(changes):
                yield changes

    def key(self, table: TableName) -> tuple[str, ...] | None:
        """The columns that the version knew rows of a table by; None where nothing of them is kept."""
        if (table_keys := archive.kept_keys(self.plan.folder, table)) is not None:
            return tuple(name for name in table_keys.column_names if name != archive.OP)
        kept = (self.version.kept or {}).get(str(table))
        return None if kept else next((changes.key for changes in self.changes(table)), None)

    def left(self, table: TableName) -> pa.Table | None:
        """The keys of the rows of a table that were not as the plan had seen them, and so were left alone; None where there are none."""
        rows = [each for kind in MET for each in archive.all_noted(self.plan.folder, kind, table)]
        parts = [pa.Table.from_struct_array(each["key"]) for each in rows if each.num_rows]
        return pa.concat_tables(parts) if parts else None

    def _must_be_kept(self, table: TableName) -> None:
        kept = (self.version.kept or {}).get(str(table))
        if kept:
            raise PlanError(
                f"Version {self.version.version} changed {table}, {NOT_KEPT[kept]}.",
                fix="choose another version or table.",
            )

    def _planned(self, entry: FileEntry) -> ChangeSet:
        """The changes of a window as they were planned, as far as they came in; of rows that the target itself changed, what it
        made of them."""
        try:
            changes = self.plan.changes(entry)
        except ChangedPlan as error:
            raise unusable(self.version, error) from error
        made = archive.made_of(self.plan.folder, entry.table, entry.window)
        inside = self._inside(entry, changes)
        return inside if made is None else as_made(inside, made)

    def parts(self, table: TableName) -> list[ChangeSet]:
        """All changes of a table, in one change set for each schema: no key is in two of them."""
        return together(list(self.changes(table)))

    def met(self, table: TableName) -> list[ChangeSet]:
        """What led from the rows that the plan saw to those that it left: its own changes, and those of others that it met.

        In order: no key is twice in one of them. For tables as they stood; what the run itself did is in `changes`.
        """
        self._must_be_kept(table)
        found: list[ChangeSet] = []
        for entries in in_turn(self.planned_table(table), self.plan.windows(table)):
            found += together([part for entry in entries for part in self._met(entry)])
        return [changes for changes in found if len(changes)]

    def _met(self, entry: FileEntry) -> Iterator[ChangeSet]:
        """What a window did, and what others had done to the rows that it left."""
        folder, planned = self.plan.folder, self._planned(entry)
        left = archive.keys_not_written(folder, entry.table, entry.window, ("applied", "refused"))
        yield planned if left is None else without(planned, left)
        for rows in archive.all_noted(folder, "applied", entry.table, entry.window):
            yield _edits(rows, planned)

    def _inside(self, entry: FileEntry, changes: ChangeSet) -> ChangeSet:
        if self.version.windows is None:
            return changes
        phases: list[Phase] = [
            p for table, no, p in self.version.windows if (table, no) == (str(entry.table), entry.window)
        ]
        if "all" in phases or {"upsert", "delete"} <= set(phases):
            return changes
        return changes.phase(phases[0]) if phases else changes.empty


def _edits(conflicts: pa.Table, like: ChangeSet) -> ChangeSet:
    """What others did to rows of a window that were left alone: from what the plan saw to what was found."""
    was, is_ = pc.is_valid(conflicts["before"]), pc.is_valid(conflicts["found"])

    def images(name: str, chosen: pa.ChunkedArray) -> pa.Table:
        rows = conflicts.filter(chosen)[name]
        return pa.Table.from_struct_array(rows).cast(like.schema) if len(rows) else like.schema.empty_table()

    return replace(
        like,
        inserts=images("found", pc.and_(pc.invert(was), is_)),
        before=images("before", pc.and_(was, is_)),
        after=images("found", pc.and_(was, is_)),
        deletes=images("before", pc.and_(was, pc.invert(is_))),
    )


def unusable(version: Version, error: PlanError) -> PlanError:
    """A version's plan that cannot be opened, or not be read: an error that says so of the version."""
    what = f"The changes of version {version.version} cannot be used:"
    if not error.path:
        return PlanError(f"{what} {error.what}", fix=error.fix)
    return PlanError(
        f"{what} {error.path} was changed or is missing since it was written.",
        fix="bring it back from a backup of the store; other versions are as they were.",
        path=error.path,
    )


def opened_version(store: Store, version: Version) -> AppliedVersion:
    """A version with its plan. PlanError where that is missing or was edited."""
    try:
        return AppliedVersion(version, Plan.open(store.folder(version.plan), version.kept or ()))
    except PlanError as error:
        raise unusable(version, error) from error


def version_of(ledger: Ledger, spec: Spec, number: int) -> Version:
    """The version of that number. SpecError where there is none."""
    found = ledger.version(spec.name, number)
    if found is None:
        known = [version.version for version in ledger.versions(spec.name)]
        there = f"It has 1 to {max(known)}" if known else "It has none yet"
        raise SpecError(
            f"{spec.name} has no version {number}. {there}.", fix="name one of those that `syncline history` lists."
        )
    return found


def one_with(ledger: Ledger, spec: Spec, version: Version) -> list[Version]:
    """The versions of both sides that are one with a version for people, oldest first; itself alone where it stands alone."""
    if version.joined is None:
        return [version]
    return sorted((v for v in ledger.versions(spec.name) if v.joined == version.joined), key=lambda v: v.version)


def versions_after(ledger: Ledger, spec: Spec, number: int) -> list[Version]:
    """The versions after a number, oldest first; 0 is what was before the first one. SpecError where there is none such."""
    if number:
        version_of(ledger, spec, number)
    return sorted((v for v in ledger.versions(spec.name) if v.version > number), key=lambda v: v.version)


def table_of(spec: Spec, name: str, versions: Sequence[AppliedVersion] = ()) -> TableName:
    """The target table that a person names, in any case where only one has that name: an entry of the spec, a target table of
    it, or one that a version wrote. What versions wrote is spelled as the target's catalog had it."""
    written = {str(table): table for version in versions for table in version.tables}
    known = {str(spec.target_table(each)): spec.target_table(each) for each in spec.tables} | written
    try:
        found = spec.target_table(entry_of(spec, name))
    except SpecError as error:
        text = nearest(name, known)
        if text not in known:
            raise SpecError(f"{spec.name} has no table {name}. {meant(name, [*spec.tables, *known])}") from error
        found = known[text]
    claimed = {str(spec.target_table(each)) for each in spec.tables} - {str(found)}
    return written.get(nearest(str(found), written.keys() - claimed), found)


def as_kept(table: TableName, known: Iterable[str]) -> TableName:
    """The table in the spelling of the ledger's names, where one of them differs in case alone."""
    text, cut = nearest(str(table), known), len(table.schema or "")
    return TableName(text[cut + 1 :], text[:cut]) if cut else TableName(text)


def on_source(spec: Spec, name: str, versions: Sequence[AppliedVersion]) -> TableName | None:
    """The source's table that changes of an entry's go back to, as versions spelled it that wrote it; None where they do not."""
    there = spec.source_relation(name).table if name in spec.tables and spec.two_way(name) else None
    return there and as_kept(there, [str(t) for v in versions if v.version.side == "source" for t in v.tables])
