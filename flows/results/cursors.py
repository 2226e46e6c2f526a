"""Which rows of a table were read, where it has a cursor, as people read it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

from adapters.store.manifest import PlannedCursor
from flows.results.shares import counted, percent

WHY: Final[Mapping[str, str]] = {
    "asked": "as asked",
    "first": "no run has read it by its cursor yet",
    "spec": "the spec is not as it was when it was read last",
    "shapes": "its columns, or the databases, are not those of when it was read last",
    "target": "the target has no rows of it",
    "waiting": "too many rows are in quarantine or in conflict to be looked at by their keys",
    "many": "so many rows are new that to read all is less work than to look for them by their keys",
    "clock": "no row is as new as the newest one of the last run, which was deleted, or clocks were set back",
}


def line(cursor: PlannedCursor) -> str:
    """`read since 2026-11-29 09:50:00 by updated_at: 12 of about 1,000 rows (1 %); no deletes are decided`."""
    if cursor.since is None:
        return f"all rows were read, and not what is new by {cursor.column}: {WHY[cursor.why or 'asked']}"
    nulls = f", {counted(cursor.nulls, 'row')} without a value among them" if cursor.nulls else ""
    return (
        f"read since {cursor.since} by {cursor.column}: {cursor.rows:,} of about {cursor.of:,} rows "
        f"({percent(cursor.rows, cursor.of)}){nulls}; deletes are for a full pass (--full)"
    )
