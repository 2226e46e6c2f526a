"""What an assessment notes down while a plan is made: every fault of every row, counted, with a few samples."""

from __future__ import annotations

import threading
from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from functools import partial

import numpy as np
import pyarrow as pa

from flows.bind.tables import BoundTable
from flows.check.constraint_checks import Integrity
from flows.check.findings import Sample
from flows.check.fixes import lists
from flows.results.shares import counted
from flows.session.retry import ONCE
from flows.session.watch import Watch
from transforms import expressions
from transforms.mapping.column_mapping import Function, Rename
from transforms.mapping.mapping import Mapped, Noted
from transforms.mapping.rejections import Fault, Faults, encoded
from transforms.mapping.samples import Evidence
from transforms.mapping.sources import read_by
from transforms.vocabulary import ChangeSet, Reason
from transforms.vocabulary.texts import as_text

LATE = 2**62  # samples of a whole window come after those of its batches

At = tuple[int, int]
"""Where a sample was seen: its window, and its place there. Earlier ones are kept, whatever thread is first."""


@dataclass(frozen=True, slots=True)
class About:
    """What rows have in common. `source` is the column that could not be read, where that is why.

    `noted`: the rows are mended as the spec says, and stay. `refused`: the target's engine would refuse them.
    """

    table: str
    columns: tuple[str, ...]
    reason: Reason
    source: str | None = None
    noted: bool = False
    refused: bool = False


@dataclass(slots=True)
class Gathered:
    """How many rows, what is known of their values, and the first samples."""

    rows: int = 0
    evidence: Evidence = field(default_factory=Evidence)
    _samples: list[tuple[At, Sample]] = field(default_factory=list)

    def wants(self, at: At, most: int) -> bool:
        return len(self._samples) < most or (most > 0 and at < self._samples[-1][0])

    def keep(self, at: At, samples: Sequence[Sample], most: int) -> None:
        together = [*self._samples, *((at, sample) for sample in samples)]
        self._samples = sorted(together, key=lambda each: each[0])[:most]

    @property
    def samples(self) -> tuple[Sample, ...]:
        return tuple(sample for _, sample in self._samples)


class Gathering(Watch):
    """Counts the faults of the tables that it is told of: once each, so that no window is tried again alone."""

    policy = ONCE
    counts = True

    def __init__(self, tables: Sequence[BoundTable], samples: int, integrity: Integrity) -> None:
        self.found: dict[About, Gathered] = {}
        self._tables = {table.name: table for table in tables}
        self._readers = {(table.name, part.part): readers(part) for table in tables for part in table.sources}
        self._most = samples
        self._integrity = integrity
        self._batches: Counter[tuple[str, int]] = Counter()
        self._lock = threading.Lock()

    def noting(self, table: str, window: int) -> Noted | None:
        with self._lock:
            self._batches[table, window] += 1
            return partial(self._noted, table, (window, self._batches[table, window]))

    def refused(self, table: str, window: int, rows: pa.Table, why: Sequence[Reason]) -> None:
        told = expressions.as_json_keys(rows, self._tables[table].key).to_pylist()
        places: dict[Reason, list[int]] = {}
        for place, each in enumerate(why):
            places.setdefault(each, []).append(place)
        for each, at in places.items():
            first = at[: self._most]
            values: list[str | None] = [None] * len(first)
            if each.column is not None and each.column in rows.column_names:
                chosen = rows.column(each.column).take(pa.array(first, pa.int64()))
                values = as_text(chosen.combine_chunks()).to_pylist()
            samples = [Sample(told[place], value) for place, value in zip(first, values, strict=True)]
            with self._lock:
                into = self.found.setdefault(About(table, each.columns, each, refused=True), Gathered())
                into.rows += len(at)
                into.keep((window, LATE), samples, self._most)

    def decided(self, table: str, window: int, mapped: Mapped, found: pa.Table, changes: ChangeSet) -> None:
        bound = self._tables[table]
        self._integrity.add(bound, window, found, changes)
        reasons, numbers = encoded(mapped.rejected.column("why"))
        for place, reason in enumerate(reasons):
            if reason.code in ("duplicate_key", "colliding_key"):
                rows = mapped.rejected.filter(pa.array(numbers == place))
                told = rows.column("key").to_pylist()
                met = rows.column("value").to_pylist()
                samples = _repeated(told) if reason.code == "duplicate_key" else _side_by_side(told, met)
                with self._lock:
                    into = self.found.setdefault(About(table, bound.key, reason), Gathered())
                    into.rows += len(told)
                    into.keep((window, LATE), samples[: self._most], self._most)

    def _noted(self, table: str, at: At, rows: pa.Table, faults: Faults) -> None:
        for fault in faults.found:
            columns, source = fault.reason.columns, fault.reason.facts.get("source")
            if source is not None:
                reader = self._readers[table, source_of(fault.reason)].get(source)
                columns = (reader,) if reader is not None else ()
            self._take(About(table, columns, fault.reason.without("source"), source), at, rows, fault)
        for fault in faults.noted:
            self._take(About(table, fault.reason.columns, fault.reason, noted=True), at, rows, fault)

    def _take(self, about: About, at: At, rows: pa.Table, fault: Fault) -> None:
        bad = fault.values.filter(pa.array(fault.rows)) if fault.values is not None else None
        with self._lock:
            into = self.found.setdefault(about, Gathered())
            into.rows += int(fault.rows.sum())
            if bad is not None and about.source is None:
                into.evidence.add(bad, listed=lists(about.reason))
            wants = into.wants(at, self._most)
        if wants:
            first = pa.array(np.flatnonzero(fault.rows)[: self._most])
            told = expressions.as_json_keys(rows.take(first), self._tables[about.table].key).to_pylist()
            values = [None] * len(told) if bad is None else as_text(bad.slice(0, self._most)).to_pylist()
            samples = [Sample(key, value) for key, value in zip(told, values, strict=True)]
            with self._lock:
                into.keep(at, samples, self._most)


def source_of(reason: Reason) -> str:
    """Which source of its table a reason is about; empty where there is one alone, or several are meant."""
    names = reason.facts.get("from", ())
    return str(names[0]) if len(names) == 1 else ""


def readers(table: BoundTable) -> dict[str, str]:
    """The target column that each source column goes to: as it is, or through an expression or a lookup."""
    columns = table.mapping.columns
    found = {column.origin.source: column.shape.name for column in columns if isinstance(column.origin, Rename)}
    for column in columns:
        if not isinstance(column.origin, Function):  # which may read all of the source
            for source in read_by(column, table.reads):
                found.setdefault(source, column.shape.name)
    return found


def _repeated(told: Sequence[str]) -> list[Sample]:
    """Keys that several rows have, with how many."""
    return [Sample(key, counted(rows, "row")) for key, rows in sorted(Counter(told).items())]


def _side_by_side(told: Sequence[str], met: Sequence[str]) -> list[Sample]:
    """Keys that collide, each with one that it meets; two that meet each other are told once."""
    pairs = {tuple(sorted(pair)): pair for pair in sorted(zip(told, met, strict=True), reverse=True)}
    return [Sample(key, other=Sample(other)) for key, other in sorted(pairs.values())]
