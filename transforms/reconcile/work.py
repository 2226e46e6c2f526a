"""What a window is reconciled with."""

from __future__ import annotations

from dataclasses import dataclass, replace

import pyarrow as pa

from transforms.diff import Comparison
from transforms.reconcile.decisions import Decisions
from transforms.reconcile.policy import Policy
from transforms.reconcile.records import OVERRULED, Reconciled, conflict_schema
from transforms.vocabulary import ChangeSet, DataError, TableName
from transforms.vocabulary.arrow import Indices


@dataclass(frozen=True, slots=True)
class Work:
    """What a window is reconciled with; `source` and `target` as they were given, with their clocks."""

    table: TableName
    comparison: Comparison
    policy: Policy
    base: pa.Table | None
    source: pa.Table
    target: pa.Table
    decisions: Decisions | None = None

    def of_base(self, rows: pa.Table, place: Indices) -> pa.Table:
        """The base's rows at those places; `rows` are of its kind."""
        return rows.slice(0, 0) if self.base is None else self.base.take(pa.array(place[place >= 0]))

    def none(self, rows: pa.Table) -> Reconciled:
        """Nothing, of rows of that kind."""
        empty = rows.slice(0, 0)
        comparison = self.comparison
        changes = ChangeSet(self.table, comparison.key, comparison.compared, empty, empty, empty, empty)
        nothing = conflict_schema(rows.schema).empty_table()
        at_target, keyed = replace(changes, owns=comparison.owns), empty.select(list(comparison.key))
        return Reconciled(changes, at_target, nothing, OVERRULED.empty_table(), empty, 0, keyed)


def fail(work: Work, rows: pa.Table, kind: str, fields: pa.Array) -> None:
    """DataError for the first of some rows."""
    named = ", ".join(str(rows.column(name)[0].as_py()) for name in work.comparison.key)
    raise DataError(
        f"{work.table} key ({named}): both sides changed the row ({kind}): {', '.join(fields[0].as_py())}.",
        fix="bring the sides together by hand, or choose another `resolve` than fail.",
    )
