"""What a command did, table by table, as it is printed, stored and shown."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

from flows.binding import BoundTable
from flows.planning import SAMPLES, Planned, Sample
from transforms.vocabulary import Counts


@dataclass(frozen=True, slots=True)
class TableReport:
    """What a plan holds for one table."""

    name: str
    target: str
    counts: Counts
    ddl: tuple[str, ...] = ()
    differing: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[str, int] = field(default_factory=dict)
    samples: tuple[Sample, ...] = ()
    windows: int = 0
    after_load: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Report:
    """What a command did, as it is printed and stored."""

    migration: str
    run_id: str
    plan: str | None
    version: int | None
    seconds: float
    tables: tuple[TableReport, ...]
    warnings: tuple[str, ...] = ()

    @property
    def total(self) -> Counts:
        return sum((table.counts for table in self.tables), Counts())

    @property
    def pending(self) -> bool:
        """Whether the plan would change anything, rows or tables."""
        return self.total.changes > 0 or any(table.ddl or table.after_load for table in self.tables)

    def as_dict(self) -> dict[str, Any]:
        """The contract's JSON object."""
        return {
            "migration": self.migration,
            "run_id": self.run_id,
            "plan": self.plan,
            "version": self.version,
            "seconds": round(self.seconds, 3),
            "tables": {table.name: table.counts.as_dict() for table in self.tables},
        }


def table_report(bound: BoundTable, planned: Sequence[Planned]) -> TableReport:
    """The windows of one table, added up; the first samples of each kind stand for the rest."""
    differing: dict[str, int] = {}
    reasons: dict[str, int] = {}
    shown: dict[str, list[Sample]] = {"insert": [], "update": [], "delete": []}
    for outcome in planned:
        for totals, part in ((differing, outcome.differing), (reasons, outcome.reasons)):
            for name, count in part.items():
                totals[name] = totals.get(name, 0) + count
        for sample in outcome.samples:
            if len(shown[sample.op]) < SAMPLES:
                shown[sample.op].append(sample)
    return TableReport(
        bound.name,
        str(bound.shape.name),
        sum((outcome.counts for outcome in planned), Counts()),
        bound.ddl,
        differing,
        reasons,
        tuple(sample for samples in shown.values() for sample in samples),
        len(planned),
    )


def mended(bound: BoundTable, planned: Sequence[Planned]) -> list[str]:
    """A line for each column whose values differ from the source's because the spec says so, with their number."""
    found: dict[tuple[str, str], int] = {}
    for outcome in planned:
        for told, count in outcome.mended.items():
            found[told] = found.get(told, 0) + count
    return [
        f"{bound.name}.{column}: {reason} in {count:,} of the rows that were read, as the spec says."
        for (column, reason), count in sorted(found.items())
    ]
