"""What of a plan's changes was really written."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from adapters.store import archive
from adapters.store.plan_files import FileEntry
from adapters.store.plans import Plan
from flows.plan.order.interim import whole_changes
from transforms.net_changes import without
from transforms.vocabulary import ChangeSet, TableName


def written_changes(
    plan: Plan, table: TableName, kinds: Sequence[archive.NotWritten] = archive.NOT_WRITTEN
) -> Iterator[ChangeSet]:
    """The changes of a table that a plan whose windows are all in really wrote, each row at most once. `kinds` says which rows that it
    did not write are left out."""

    def written(entry: FileEntry) -> ChangeSet:
        changes, left = plan.changes(entry), archive.keys_not_written(plan.folder, table, entry.window, kinds)
        return changes if left is None else without(changes, left)

    return whole_changes(plan, table, written)
