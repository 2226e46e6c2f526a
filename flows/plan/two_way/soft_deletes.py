"""Rows of the target that are flagged as deleted, in tables that go both ways: for people they are gone, and for a plan, too.

So flagging a row is deleting it, and clearing its flag is creating it. What a plan deletes it flags, and where it creates a row
that is flagged, that one comes back.
"""

from __future__ import annotations

from dataclasses import replace
from datetime import datetime

import pyarrow as pa

from flows.bind.tables import BoundTable
from transforms.vocabulary import ChangeSet


def living(bound: BoundTable, found: pa.Table) -> tuple[pa.Table, pa.Table]:
    """The rows of the target that are there, and those that are flagged as deleted."""
    if bound.soft is None or not found.num_rows:
        return found, found.slice(0, 0)
    flagged = bound.soft.flagged(found)
    return (
        (found.filter(pa.array(~flagged)), found.filter(pa.array(flagged)))
        if flagged.any()
        else (found, found.slice(0, 0))
    )


def with_flag(bound: BoundTable, rows: pa.Table) -> pa.Table:
    """Rows of the source as the target has them: not flagged."""
    return rows if bound.soft is None else bound.soft.marked(rows)


def as_written(bound: BoundTable, changes: ChangeSet, flagged: pa.Table, at: datetime) -> ChangeSet:
    """The changes of the target as they are written: flags are set where rows go, and cleared where one comes that is flagged."""
    if bound.soft is None:
        return changes
    return replace(bound.soft.softened(changes, flagged, at), compared=bound.comparison.compared)
