"""What following has done, and how far behind it is: for a person, a program, and Prometheus' textfile collector."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from tempfile import NamedTemporaryFile
from typing import Any

from transforms.vocabulary import SIDES, Counts, SideName


@dataclass(frozen=True, slots=True)
class Brought:
    """A batch that is in: how many changes were told of, and how many rows of either side were written.

    `lag` is the time in seconds from the commit of its oldest change, or from when that was read where nobody knows, until it was in.
    `waiting` counts rows that were set aside, `open` those in conflict, `named` the rows and tables that somebody named,
    `unmapped` the keys that were told of and of which none can be made: a run of all sets their rows aside.
    """

    at: datetime
    changes: Mapping[SideName, int]
    target: Counts
    source: Counts
    lag: float
    version: int | None = None
    waiting: int = 0
    open: int = 0
    whole: tuple[str, ...] = ()
    named: int = 0
    unmapped: int = 0

    @property
    def told(self) -> int:
        """How many changes were told of, by feeds and by name."""
        return sum(self.changes.values()) + self.named

    @property
    def rows(self) -> int:
        """Rows that were written, on both sides."""
        return self.target.changes + self.source.changes

    def as_dict(self) -> dict[str, Any]:
        """The same as JSON."""

        def counts(made: Counts) -> dict[str, int]:
            return {"insert": made.insert, "update": made.update, "delete": made.delete}

        return {
            "at": self.at.isoformat(timespec="milliseconds"), "changes": dict(self.changes), **counts(self.target),
            "back": counts(self.source), "lag": round(self.lag, 3), "version": self.version, "quarantined": self.waiting,
            "conflicts": self.open, "compared": list(self.whole), "named": self.named, "unmapped": self.unmapped,
        }  # fmt: skip


@dataclass(slots=True)
class Totals:
    """All that following did since it began."""

    began: datetime
    batches: int = 0
    changes: dict[SideName, int] = field(default_factory=lambda: dict.fromkeys(SIDES, 0))
    rows: int = 0
    comparisons: int = 0
    last: Brought | None = None

    def add(self, brought: Brought) -> None:
        self.batches += 1
        for side, count in brought.changes.items():
            self.changes[side] += count
        self.rows += brought.rows
        self.comparisons += bool(brought.whole)
        self.last = brought


def write_metrics(file: Path, migration: str, totals: Totals, at: datetime, held: Mapping[SideName, int]) -> None:
    """Write what Prometheus' textfile collector reads, whole or not at all."""
    last = totals.last
    label = migration.replace("\\", "\\\\").replace('"', '\\"')
    lines = [
        *_metric("syncline_lag_seconds", "gauge", "Age of the oldest change of the latest batch once it was in.",
                 {f'migration="{label}"': round(last.lag, 3) if last else 0}),
        *_metric("syncline_changes_total", "counter", "Changes that feeds told of.",
                 {f'migration="{label}",side="{side}"': count for side, count in totals.changes.items()}),
        *_metric("syncline_rows_total", "counter", "Rows that were written.", {f'migration="{label}"': totals.rows}),
        *_metric("syncline_batches_total", "counter", "Batches that are in.", {f'migration="{label}"': totals.batches}),
        *_metric("syncline_comparisons_total", "counter", "Tables or migrations that were compared in full.",
                 {f'migration="{label}"': totals.comparisons}),
        *_metric("syncline_quarantined_rows", "gauge", "Rows that the latest batch set aside.",
                 {f'migration="{label}"': last.waiting if last else 0}),
        *_metric("syncline_held_log_bytes", "gauge", "Bytes of log that a database keeps for us.",
                 {f'migration="{label}",side="{side}"': size for side, size in held.items()}),
        *_metric("syncline_alive_timestamp_seconds", "gauge", "When this was written.",
                 {f'migration="{label}"': round(at.timestamp(), 3)}),
    ]  # fmt: skip
    file.parent.mkdir(parents=True, exist_ok=True)
    with NamedTemporaryFile("w", dir=file.parent, prefix=f".{file.name}.", delete=False, encoding="utf-8") as made:
        made.write("\n".join(lines) + "\n")
    Path(made.name).chmod(0o644)
    Path(made.name).replace(file)


def _metric(name: str, kind: str, about: str, values: Mapping[str, float]) -> list[str]:
    lines = [f"# HELP {name} {about}", f"# TYPE {name} {kind}"]
    return [*lines, *(f"{name}{{{labels}}} {value}" for labels, value in values.items())]
