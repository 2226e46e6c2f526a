"""What of a plan's changes was really written."""

from __future__ import annotations

from collections.abc import Iterator

from adapters.store import archive
from adapters.store.plans import Plan
from transforms.net_changes import without
from transforms.vocabulary import ChangeSet, TableName


def written_changes(plan: Plan, table: TableName) -> Iterator[ChangeSet]:
    """The changes of a table that a plan whose windows are all in really wrote."""
    left = archive.keys_not_written(plan.folder, table)
    for entry in plan.windows(table):
        changes = plan.changes(entry)
        yield changes if left is None else without(changes, left)
