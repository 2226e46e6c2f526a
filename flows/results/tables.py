"""What a command did, table by table, as it is printed, stored and shown."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import reduce
from itertools import islice
from operator import add
from typing import Any, Final

import pyarrow as pa

from adapters.store.manifest import PlannedCursor, PlannedHook, PlannedRoute, PlannedTable
from adapters.store.plans import Plan
from flows.bind.tables import BoundTable
from flows.plan.decide import KEYS, SAMPLES, Planned
from flows.plan.totals import Reconciled, together
from flows.results.agreement import AgreementProof
from flows.results.by_column import ColumnDifference, by_column
from flows.results.checkpoint import Checkpoint
from flows.results.conflicts import Met
from flows.results.orphans import Orphans
from flows.results.overruled import Overruled, overruled_in
from flows.results.sealed import Sealed, sealed_of
from flows.results.shares import percent
from transforms.reconcile.held import Held
from transforms.vocabulary import (
    OPS,
    Broken,
    Counts,
    Notice,
    Reason,
    Sample,
    TableName,
    Tally,
    Why,
    named_text,
    text_of,
)
from transforms.vocabulary.reasons import UNREAD

LISTED: Final = (
    200  # reasons of a table that JSON and evidence hold as data: messages of engines may be as many as rows
)


BESIDE: Final = "* no table of the spec: its rows change with those that they refer to, or did"


@dataclass(frozen=True, slots=True)
class TableReport:
    """What a plan holds for one table."""

    name: str
    target: str
    counts: Counts
    ddl: tuple[str, ...] = ()
    differing: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[Reason, int] = field(default_factory=dict)
    samples: tuple[Sample, ...] = ()
    windows: int = 0
    after_load: tuple[str, ...] = ()
    broken: tuple[Broken, ...] = ()
    tally: Tally = field(default_factory=Tally)
    adds: tuple[tuple[str, str], ...] = ()  # columns that the table gets before the rows, each with its statement
    unproved: Mapping[Why, int] = field(default_factory=dict)  # target rows that were compared with nothing, and why
    waiting: int = 0  # rows that were set aside for what other tables lack
    in_spec: bool = True  # else its rows change because of rows of others alone
    back: Counts | None = None  # of a table that goes both ways: what becomes of the source's rows
    back_table: str = ""  # and of which table of the source
    back_differing: Mapping[str, int] = field(default_factory=dict)  # in the source's columns, as the samples
    back_samples: tuple[Sample, ...] = ()
    merged: int = 0  # rows in which edits of both sides came together
    overruled: int = 0  # rows with an edit that lost
    overruled_edits: tuple[Overruled, ...] = ()  # the first of those edits
    sealed: Sealed | None = None  # None where its windows are not sealed
    held: Held | None = None  # in a verification: how the rows stand to what both sides agreed on
    agreement: AgreementProof | None = None  # and what that proves
    cursor: PlannedCursor | None = None  # which rows were read, where the table has one
    # what each way to meet would do, where both sides meet and are only looked at
    meeting: Mapping[str, Mapping[str, int]] = field(default_factory=dict)

    @property
    def looked_whole(self) -> bool:
        """Whether all rows were read, as far as the plan is not about some alone."""
        return self.cursor is None or self.cursor.since is None

    @property
    def busy(self) -> bool:
        """Whether there is more to say of it than that its rows are as they should be."""
        counts, back = self.counts, self.back
        return bool(
            counts.changes or counts.quarantined or counts.conflicts or counts.unproved or self.ddl or self.adds or self.after_load
            or self.merged or self.overruled or (back is not None and back.changes)
        )  # fmt: skip

    @property
    def title(self) -> str:
        """Its name as people read it, with a mark where the spec does not name it."""
        return self.name if self.in_spec else f"{self.name}*"

    @property
    def reason_texts(self) -> dict[str, int]:
        """Why rows were set aside, as people read it, and how many."""
        texts: dict[str, int] = {}
        for reason, rows in self.reasons.items():
            text = named_text(reason)
            texts[text] = texts.get(text, 0) + rows
        return texts

    @property
    def set_aside(self) -> list[dict[str, Any]]:
        """Why rows were set aside, as data: the first LISTED, most rows first, those that could not be read whatever value they
        hold."""
        found: Counter[Reason] = Counter()
        for reason, rows in self.reasons.items():
            found[reason.without("value", "stored") if reason.code in UNREAD else reason] += rows
        return [
            {
                "code": reason.code,
                "columns": list(reason.columns),
                "facts": dict(reason.facts),
                "reason": text_of(reason),
                "rows": rows,
            }
            for reason, rows in found.most_common(LISTED)
        ]

    @property
    def by_column(self) -> tuple[ColumnDifference, ...]:
        """In how many rows each column of the target differs, most rows first."""
        return by_column(self.differing, self.counts)

    @property
    def back_by_column(self) -> tuple[ColumnDifference, ...]:
        """The same of the source, where changes go both ways."""
        return () if self.back is None else by_column(self.back_differing, self.back)

    def as_dict(self) -> dict[str, Any]:
        """The counts, in how many rows each column differs (`by_column`: and of how many), why target rows are kept that were
        compared with nothing, why source rows are set aside, `in_spec` where the spec does not name the table, and `sealed` where its
        windows are."""
        return {
            **self.counts.as_dict(),
            "differing": dict(self.differing),
            "by_column": [each.as_dict() for each in self.by_column],
            "kept": dict(self.unproved),
            "set_aside": self.set_aside,
            **({} if self.in_spec else {"in_spec": False}),
            **({} if self.cursor is None else {"cursor": self.cursor.as_dict()}),
            **({} if self.sealed is None else {"sealed": asdict(self.sealed)}),
            **self._both_ways,
        }

    @property
    def _both_ways(self) -> dict[str, Any]:
        if self.agreement is not None:
            return {"agreement": self.agreement.as_dict()}
        if self.back is None:
            return {}
        back = {op: getattr(self.back, op) for op in OPS}
        told: dict[str, Any] = {"back": back, "back_differing": dict(self.back_differing)}
        told["back_by_column"] = [each.as_dict() for each in self.back_by_column]
        told |= {"merged": self.merged, "overruled": self.overruled}
        told["overruled_edits"] = [each.as_dict() for each in self.overruled_edits]
        if self.meeting:
            told["meeting"] = {choice: _choice(counts) for choice, counts in self.meeting.items()}
        return told


def _choice(counts: Mapping[str, int]) -> dict[str, Any]:
    """What a way to meet would do, with what it would do to the source apart."""
    told: dict[str, Any] = {name: count for name, count in counts.items() if not name.startswith("back_")}
    return told | {"back": {op: counts[f"back_{op}"] for op in OPS}}


@dataclass(frozen=True, slots=True)
class Report:
    """What a command did, as it is printed and stored."""

    migration: str
    run_id: str
    plan: str | None
    version: int | None
    seconds: float
    tables: tuple[TableReport, ...]
    warnings: tuple[Notice, ...] = ()
    checkpoints: tuple[Checkpoint, ...] = ()
    reconciled: tuple[Reconciled, ...] = ()
    orphans: tuple[Orphans, ...] = ()  # every reference that was looked at
    met: tuple[Met, ...] = ()  # the first conflicts
    page: str | None = None  # the report as a page to read
    chosen: bool = False  # only keys that were in quarantine were looked at: shares say nothing of the table
    applied: bool = False  # the plan was applied: its tables were made, even where it had no rows
    data_docs: str | None = None  # Great Expectations' own pages, where they were asked for
    hooks: tuple[PlannedHook, ...] = ()  # what else happens where the plan is applied
    tree: tuple[str, ...] = ()  # the roots of the trees that were looked at, instead of whole tables

    @property
    def total(self) -> Counts:
        return sum((table.counts for table in self.tables), Counts())

    @property
    def back_changes(self) -> int:
        """How many rows change in the source, where changes go both ways."""
        return sum(table.back.changes for table in self.tables if table.back is not None)

    @property
    def aside(self) -> str:
        """How many source rows are in quarantine, with their share of the tables; empty where none is."""
        total = self.total
        if not total.quarantined:
            return ""
        share = "" if self.chosen else f" ({percent(total.quarantined, self.of_rows)} of the source rows)"
        return f"{total.quarantined:,} in quarantine{share}"

    @property
    def warning_texts(self) -> tuple[str, ...]:
        return tuple(map(str, self.warnings))

    @property
    def counts(self) -> dict[str, Counts]:
        return {table.name: table.counts for table in self.tables}

    @property
    def shares(self) -> dict[str, Counts]:
        """The counts that shares are taken of: where not all rows were read, of about as many as the source has."""
        of = {table.name: table.cursor.of if table.cursor is not None else 0 for table in self.tables}
        return {name: replace(each, source_rows=max(each.source_rows, of[name])) for name, each in self.counts.items()}

    @property
    def of_rows(self) -> int:
        """The rows that shares of all tables are taken of."""
        return sum(each.source_rows for each in self.shares.values())

    @property
    def of_spec(self) -> tuple[TableReport, ...]:
        """The tables that the spec names: the others change because of rows of these."""
        return tuple(table for table in self.tables if table.in_spec)

    @property
    def pending(self) -> bool:
        """Whether the plan would change anything, rows or tables."""
        return (self.total.changes + self.back_changes) > 0 or any(
            table.ddl or table.adds or table.after_load for table in self.tables
        )

    def as_dict(self) -> dict[str, Any]:
        """The contract's JSON object."""
        return {
            "migration": self.migration,
            "run_id": self.run_id,
            "plan": self.plan,
            "tree": list(self.tree),
            "version": self.version,
            "seconds": round(self.seconds, 3),
            "tables": {table.name: table.as_dict() for table in self.tables},
            "total": self.total.as_dict(),
            "checkpoints": [each.as_dict() for each in self.checkpoints],
            "warnings": list(self.warning_texts),
            "notices": [asdict(each) for each in self.warnings],
            "hooks": [each.as_dict() for each in self.hooks],
            "report": self.page,
            "data_docs": self.data_docs,
            "reconciled": {each.table: each.as_dict() for each in self.reconciled},
            "orphans": [each.as_dict() for each in self.orphans],
            "conflicts": [asdict(each) for each in self.met],
        }


def table_report(bound: BoundTable, planned: Sequence[Planned]) -> TableReport:
    """The windows of one table, added up; the first samples of each kind stand for the rest."""
    differing: Counter[str] = Counter()
    reasons: Counter[Reason] = Counter()
    unproved: Counter[Why] = Counter()
    for outcome in planned:
        differing.update(outcome.differing)
        reasons.update(outcome.reasons)
        unproved.update(outcome.unproved)
    return TableReport(
        bound.name,
        str(bound.shape.name),
        sum((outcome.counts for outcome in planned), Counts()),
        bound.ddl,
        dict(differing),
        dict(reasons),
        first_samples(sample for outcome in planned for sample in outcome.samples),
        len(planned),
        broken=tuple(_broken(planned)),
        tally=together(outcome.tally for outcome in planned),
        adds=tuple((added.column.name, added.statement) for added in bound.adds),
        unproved=dict(unproved),
        waiting=sum(outcome.waiting for outcome in planned),
        sealed=sealed_of(planned),
        held=_held(planned),
    )


def _held(planned: Sequence[Planned]) -> Held | None:
    """How the rows of a table stand to what both sides agreed on; None where some window says nothing of that."""
    found = [outcome.held for outcome in planned if outcome.held is not None]
    return reduce(add, found) if found else None


def first_samples(samples: Iterable[Sample]) -> tuple[Sample, ...]:
    """The first SAMPLES of each operation, inserts before updates before deletes."""
    every = list(samples)
    return tuple(each for op in OPS for each in islice((one for one in every if one.op == op), SAMPLES))


def with_keyless(report: TableReport, rows: int) -> TableReport:
    """The report with target rows that have a null in their key."""
    counts = report.counts
    counts = replace(counts, target_rows=counts.target_rows + rows, unproved=counts.unproved + rows)
    return replace(report, counts=counts, unproved={**report.unproved, "null_key": rows})


def _broken(planned: Sequence[Planned]) -> Iterator[Broken]:
    """What breaks a rule, by rule, added up over the windows."""
    every = [each for outcome in planned for each in outcome.broken]
    for number in sorted({each.number for each in every}):
        same = [each for each in every if each.number == number]
        first = tuple(key for each in same for key in each.keys)[:KEYS]
        yield Broken(number, sum(each.rows for each in same), first)


def planned_table(report: TableReport, table: TableName, route: PlannedRoute, schema: pa.Schema) -> PlannedTable:
    """What a manifest says of a table that is reported: where it lies, and which columns are written."""
    return PlannedTable(
        name=report.name,
        table=table,
        route=route,
        schema=schema,
        counts=report.counts,
        ddl=report.ddl,
        adds=report.adds,
        after_load=report.after_load,
        windows=report.windows,
        differing=report.differing,
        reasons=report.reasons,
        unproved=report.unproved,
        waiting=report.waiting,
        broken=report.broken,
        samples=report.samples,
        tally=report.tally,
        in_spec=report.in_spec,
        back=report.back,
        merged=report.merged,
        overruled=report.overruled,
        cursor=report.cursor,
    )


def report_of(plan: Plan) -> Report:
    """The report of a plan that was made earlier, from its manifest. It shows no samples: rows may have changed since."""
    manifest = plan.manifest
    tables = tuple(
        TableReport(
            name=planned.name,
            target=str(planned.table),
            counts=planned.counts,
            ddl=planned.ddl,
            differing=planned.differing,
            reasons=planned.reasons,
            windows=planned.windows,
            after_load=planned.after_load,
            broken=planned.broken,
            tally=planned.tally,
            adds=planned.adds,
            unproved=planned.unproved,
            waiting=planned.waiting,
            in_spec=planned.in_spec,
            back=planned.back,
            merged=planned.merged,
            overruled=planned.overruled,
            cursor=planned.cursor,
            overruled_edits=overruled_in(plan, planned.table, planned.name) if planned.overruled else (),
        )
        for planned in manifest.tables
    )
    return Report(
        manifest.migration,
        manifest.run_id,
        str(plan.folder),
        None,
        0.0,
        tables,
        manifest.warnings,
        chosen=manifest.keys is not None,
        tree=manifest.tree,
        hooks=manifest.hooks,
    )
