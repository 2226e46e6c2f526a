"""What a plan says of itself: a record, written to and read from `manifest.json`.

The newest format is written, and every format is read: an older one goes step by step (`_STEPS`) to the newest. Types are
checked while a manifest is read, so that nobody who has one looks for what may be missing.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from datetime import datetime
from typing import Any, Final, Literal

import pyarrow as pa

from adapters.store.record_json import from_json, to_json
from transforms.vocabulary import Broken, Counts, Notice, Reason, Sample, SideName, Stage, TableName, Tally, Why

FORMAT: Final = 2

PlanKind = Literal["plan", "verify", "run", "backfill", "retry", "undo"]


@dataclass(frozen=True, slots=True)
class PlannedSide:
    """A side as the plan saw it: its URL without the password, its engine, and what names the state that was read.

    An undo reads no source: the mark is that of the state which the target comes back to, None where nobody knows.
    """

    url: str
    engine: str
    mark: str | None


@dataclass(frozen=True, slots=True)
class PlannedSpec:
    """The spec as it was then. `document` is the text's own, with references to secrets and no secret."""

    path: str
    digest: str
    document: Any


@dataclass(frozen=True, slots=True)
class PlannedRoute:
    """The side that a table's rows are read from, and the one that they go to; of an undo those of what it takes back."""

    reads: SideName
    writes: SideName


@dataclass(frozen=True, slots=True)
class PlannedCursor:
    """How far a plan reads a table by its cursor: `rows` of about `of` in the source, from `since` on, as people read it.

    None: it reads all of them, and `why` says why. `began` is the mark that the ledger had, and `reached` the one that it gets once
    the plan is in, both as the ledger keeps them; None where there is no row that has a value. `nulls` of the rows have none: they are
    read each time.
    """

    column: str
    since: str | None
    why: str | None
    began: str | None
    reached: str | None
    rows: int = 0
    of: int = 0
    nulls: int = 0

    def as_dict(self) -> dict[str, Any]:
        """As it is told, without what is the ledger's own."""
        told = {"column": self.column, "since": self.since, "full": self.why}
        return told if self.since is None else told | {"rows": self.rows, "of": self.of, "nulls": self.nulls}


@dataclass(frozen=True, slots=True)
class PlannedHook:
    """What else happens where the plan is applied: before or after it, or the rows of a `table`, and then at some ends alone (`on`;
    at all where it is empty). `does` is source or target for SQL, else command, webhook or block; `what` is fit to be shown.
    """

    when: Literal["before", "after"]
    table: str | None
    does: str
    what: str
    on: tuple[str, ...] = ()

    def as_dict(self) -> dict[str, Any]:
        return {**asdict(self), "on": list(self.on)}


@dataclass(frozen=True, slots=True)
class PlannedTable:
    """What a plan holds for one table, which the spec calls `name`.

    Before the rows: `ddl` makes the table, `adds` are columns that it gets, each with its statement. After them: `after_load` are
    foreign keys and indexes, and `drop` the statements that had made a table which is dropped. `schema` has the columns that
    are written; `whole` are those that a deleted row has beside them, with their types. Of the `windows`, no target row was in
    the range of those in `clear`, and those in `first` come before all others. Those in `late` come after the table's others, one
    after the other: inserts and updates in this order, deletes in the opposite one. Those in `levels`, pairs of a window and its
    level from 1 on, come behind these, level by level over all tables whose rows need each other. Those in `completing` come
    behind the inserts and updates of all tables. Those in `interim` hold steps on the way: each of their rows has its real change,
    which counts, in another window. `base`: what was in the target is kept as the beginning of the table's history. The others say
    how its rows are accounted for, as reports show it; `back` of a table that goes both ways what is to change in the source. `cursor`
    says which rows were read, where the table has one. One that is not `in_spec` changes because of rows of others alone: the spec
    does not name it.
    """

    name: str
    table: TableName
    route: PlannedRoute
    schema: pa.Schema
    counts: Counts
    ddl: tuple[str, ...] = ()
    adds: tuple[tuple[str, str], ...] = ()
    after_load: tuple[str, ...] = ()
    drop: tuple[str, ...] = ()
    whole: tuple[tuple[str, str], ...] = ()
    base: bool = False
    in_spec: bool = True
    windows: int = 0
    clear: tuple[int, ...] = ()
    first: tuple[int, ...] = ()
    late: tuple[int, ...] = ()
    levels: tuple[tuple[int, int], ...] = ()
    completing: tuple[int, ...] = ()
    interim: tuple[int, ...] = ()
    differing: Mapping[str, int] = field(default_factory=dict)
    reasons: Mapping[Reason, int] = field(default_factory=dict)
    unproved: Mapping[Why, int] = field(default_factory=dict)
    waiting: int = 0
    broken: tuple[Broken, ...] = ()
    samples: tuple[Sample, ...] = ()
    tally: Tally = field(default_factory=Tally)
    back: Counts | None = None
    merged: int = 0
    overruled: int = 0
    cursor: PlannedCursor | None = None

    @property
    def columns(self) -> tuple[tuple[str, str], ...]:
        """The columns that are written, each with the name of its type."""
        return columns_of(self.schema)


@dataclass(frozen=True, slots=True)
class Manifest:
    """A plan but for its rows. `id` is the plan's own, `run_id` that of the run which made it. It writes one `side`.

    `ranges` (as texts), `keys` (as JSON, by table) and `tree`, the roots of trees (as texts), restrict it to some rows; without
    them it looks at all rows of its tables. Which rows hung in the trees, the files of the keys that it looked at say.
    `hooks` run where it is applied, in their order; `taken` are the tables that `tables: "*"` stood for.
    `both_ways`: it is one of the two plans of a run, the other of which writes the other side.
    `undoes` are the versions that it takes back; `partly`: not all of their rows, but those whose keys are in files of their own.
    `stages` are how it is applied, in order; None in plans of format 1, which leave
    it to whoever applies them.
    """

    id: str
    run_id: str
    migration: str
    kind: PlanKind
    side: SideName
    created_at: datetime
    spec: PlannedSpec
    source: PlannedSide
    target: PlannedSide
    tables: tuple[PlannedTable, ...]
    ranges: tuple[str, ...] = ()
    keys: Mapping[str, tuple[str, ...]] | None = None
    undoes: tuple[int, ...] = ()
    stages: tuple[Stage, ...] | None = None
    seconds: float = 0.0
    warnings: tuple[Notice, ...] = ()
    tree: tuple[str, ...] = ()
    partly: bool = False
    both_ways: bool = False
    hooks: tuple[PlannedHook, ...] = ()
    taken: tuple[str, ...] = ()

    @property
    def unrestricted(self) -> bool:
        """Whether it looked at all rows of its tables."""
        return not self.ranges and self.keys is None and not self.tree

    @property
    def total(self) -> Counts:
        return sum((each.counts for each in self.tables), Counts())

    def __getitem__(self, table: TableName) -> PlannedTable:
        """What it says of a table of its own."""
        return next(each for each in self.tables if each.table == table)

    def named(self, name: str) -> PlannedTable:
        """What it says of a table of its own, by the name that the spec has for it."""
        return next(each for each in self.tables if each.name == name)

    def of(self, table: TableName) -> PlannedTable | None:
        """What it says of a table, None where it did not look at it."""
        return next((each for each in self.tables if each.table == table), None)


def columns_of(schema: pa.Schema) -> tuple[tuple[str, str], ...]:
    """The columns of a schema, each with the name of its type: what tells whether a table is as it was."""
    return tuple((each.name, str(each.type)) for each in schema)


def manifest_json(manifest: Manifest) -> dict[str, Any]:
    """The manifest as it is written, in the newest format."""
    return dict(to_json(Manifest, manifest))


def read_manifest(written: Any, form: int) -> Manifest:
    """The manifest that was written in a format up to the newest. Errors: Unreadable, which says where."""
    for older in range(form, FORMAT):
        written = _STEPS[older].taken(written)
    return from_json(Manifest, _SINCE.taken(written))


@dataclass(frozen=True, slots=True)
class _Fields:
    """What becomes of the fields of an object from one format to the next.

    `new` are those that it may lack, with what they were when nobody wrote them, `copied` new ones that have the value of
    another, and `made` those that are written otherwise; `gone` are not written any more.
    """

    new: Mapping[str, Any]
    copied: Mapping[str, str] = field(default_factory=dict)
    gone: frozenset[str] = frozenset()
    made: Mapping[str, Callable[[Any], Any]] = field(default_factory=dict)

    def taken(self, written: Any) -> Any:
        if not isinstance(written, dict):
            return written  # whoever reads it says so, and where it is
        kept = {name: value for name, value in written.items() if name not in self.gone}
        copied = {name: written[other] for name, other in self.copied.items() if other in written}
        made = {name: make(written[name]) for name, make in self.made.items() if name in written}
        return {**self.new, **copied, **kept, **made}


def _untyped(written: Any) -> Any:
    """Reasons that were texts alone."""
    if not isinstance(written, dict):
        return written  # whoever reads it says so
    return {Reason("untyped", None, {"text": text}).as_json(): rows for text, rows in written.items()}


def _notices(written: Any) -> Any:
    """Warnings that were texts alone."""
    if not isinstance(written, list):
        return written
    return [{"code": "untyped", "text": text, "table": None, "facts": {}} for text in written]


def _counted(written: Any) -> Any:
    """Counts that did not have all of today's names."""
    return {**Counts().as_dict(), **written} if isinstance(written, dict) else written


@dataclass(frozen=True, slots=True)
class _Step:
    """From one format to the next."""

    plan: _Fields
    table: _Fields

    def taken(self, written: Any) -> Any:
        made = self.plan.taken(written)
        if isinstance(made, dict) and isinstance(made.get("tables"), list):
            made["tables"] = [self.table.taken(each) for each in made["tables"]]
        return made


_STEPS: Final[Mapping[int, _Step]] = {
    1: _Step(
        # one plan a run, always of the target; markers had the run's id
        plan=_Fields(
            new={"side": "target", "undoes": [], "stages": None},
            copied={"id": "run_id"},
            made={"warnings": _notices},
            gone=frozenset({"steps"}),
        ),
        table=_Fields(
            new={
                "route": {"reads": "source", "writes": "target"},
                "adds": [],
                "drop": [],
                "whole": [],
                "base": False,
                "first": [],
                "after_load": [],
                "differing": {},
                "unproved": {},
                "waiting": 0,
                "broken": [],
                "tally": to_json(Tally, Tally()),
            },
            made={"reasons": _untyped, "counts": _counted},
            gone=frozenset({"target", "columns"}),  # both are in others: `table` and `schema`
        ),
    )
}


def _staged(written: Any) -> Any:
    """Stages that did not have all of today's names."""
    if not isinstance(written, list):
        return written  # none, or whoever reads it says so
    return [{"together": 0, **each} if isinstance(each, dict) else each for each in written]


_SINCE: Final = _Step(
    plan=_Fields(
        new={"tree": [], "partly": False, "both_ways": False, "hooks": [], "taken": []}, made={"stages": _staged}
    ),
    table=_Fields(
        new={
            "late": [],
            "levels": [],
            "completing": [],
            "interim": [],
            "in_spec": True,
            "back": None,
            "merged": 0,
            "overruled": 0,
            "cursor": None,
        }
    ),
)
"""What came to be written into the newest format later."""
