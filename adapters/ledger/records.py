"""What the ledger is given, and answers with.

`side` is the side that is spoken of: of a plan, and of what became of its rows, the one that it writes.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

from transforms.vocabulary import SideName


@dataclass(frozen=True, slots=True)
class RunPlan:
    """A plan that a run applies. It writes one side; `folder` is its place in the store."""

    plan_id: str
    migration: str
    side: SideName
    run_id: str
    folder: str


@dataclass(frozen=True, slots=True)
class Run:
    """A run, which may write `sides`; `plans` are those that it began to apply, by the order of their sides."""

    run_id: str
    migration: str
    kind: str
    spec_digest: str
    status: str
    started_at: datetime
    finished_at: datetime | None = None
    version: int | None = None
    counts: Any = None
    message: str | None = None
    sides: tuple[SideName, ...] = ("target",)
    plans: tuple[RunPlan, ...] = ()


@dataclass(frozen=True, slots=True, kw_only=True)
class NewVersion:
    """An applied plan that changed something on one side, before it has a number.

    `plan` is its folder's place in the store. `source_mark` and `target_mark` are the states that were read, `made_mark` the
    state of `side` that was made of them. `undoes` are the versions that it takes back, oldest first. `windows` are those of a
    plan that was never finished, as [table, window, phase]; None: all. `tree` are the roots of trees that the plan was
    restricted to, as texts; None: it was not. `synchronized_with` is the version of the same run on the other side, None where it
    wrote one side alone. `joined` is the first of the versions that this one is one with for people, None where it stands alone; to
    be numbered, 0: it is such a first one, and another number is asked for: it stands where others came in between.
    """

    migration: str
    side: SideName
    plan_id: str
    plan: str
    run_id: str
    spec_digest: str
    counts: Any = None
    source_mark: str | None = None
    target_mark: str | None = None
    author: str | None = None
    message: str | None = None
    kind: str = "run"
    undoes: Any = None
    made_mark: str | None = None
    windows: Any = None
    tree: Any = None
    synchronized_with: int | None = None
    joined: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Version(NewVersion):
    """A version: numbered, from when it was. `kept` says of tables that the change sets are not whole: keys, off or pruned."""

    version: int
    created_at: datetime
    kept: Any = None


@dataclass(frozen=True, slots=True)
class Base:
    """What a table of a side was at a version, in the Parquet files of a folder; None where it had no rows."""

    migration: str
    side: SideName
    table_name: str
    version: int
    folder: str | None
    rows: int
    made_at: datetime | None = None


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Rows with one key, set aside for one reason. `rows` are several where keys are null or double.

    `code` and `facts` are the reason as data, None where an earlier version set the rows aside.
    """

    migration: str
    side: SideName
    table_name: str
    key: str
    reason: str
    column_name: str | None
    value: str | None
    rows: int
    run_id: str
    first_seen: datetime
    last_seen: datetime
    file: str | None
    code: str | None
    facts: Any


@dataclass(frozen=True, slots=True)
class Conflict:
    """A row that was not as the plan saw it: `before`, `after` and `found`. Or, with a `kind`, one that both sides changed, each in
    its own way, or that a side cannot take: then `fields` are open, and it is as in `base`, `source` and `target`.

    The images are JSON, null where there is no row.
    """

    migration: str
    side: SideName
    table_name: str
    key: str
    op: str
    before: str | None
    after: str | None
    found: str | None
    run_id: str
    seen_at: datetime
    resolved_at: datetime | None = None
    resolution: str | None = None
    kind: str | None = None
    fields: Any = None
    base: str | None = None
    source: str | None = None
    target: str | None = None


@dataclass(frozen=True, slots=True)
class Decision:
    """What somebody decided about a row in conflict: for a field, or for the whole row (None), to `take` the source's, the target's
    or the base's value, or a `value` (as text, None for null).

    It was decided about the row as it was in `base`, `source` and `target`, JSON images. `ended` says what became of it: applied,
    replaced by a later one, or outdated, since the row was not so any more; None where it waits for the next run.
    """

    migration: str
    table_name: str
    key: str
    field: str | None
    take: str
    value: str | None
    kind: str
    base: str | None
    source: str | None
    target: str | None
    decided_by: str | None
    decided_at: datetime
    why: str | None
    ended: str | None = None
    ended_by: str | None = None
    ended_at: datetime | None = None
