"""What the ledger answers with."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any


@dataclass(frozen=True, slots=True)
class Run:
    run_id: str
    migration: str
    kind: str
    spec_digest: str
    status: str
    started_at: datetime
    finished_at: datetime | None = None
    plan: str | None = None
    version: int | None = None
    counts: Any = None
    message: str | None = None


@dataclass(frozen=True, slots=True)
class Version:
    """An applied plan that changed something on one side.

    `source_mark` and `target_mark` are the states that were read, `made_mark` the state of the target that was made
    of them. `undoes` are the versions that it takes back, oldest first. `windows` are those of a plan that was never finished, as
    [table, window, phase]; None: all. `kept` says of tables that the change sets are not whole: keys, off or pruned.
    """

    migration: str
    version: int
    plan: str
    run_id: str
    spec_digest: str
    created_at: datetime
    counts: Any = None
    source_mark: str | None = None
    target_mark: str | None = None
    author: str | None = None
    message: str | None = None
    side: str | None = "target"
    kind: str | None = "run"
    undoes: Any = None
    made_mark: str | None = None
    windows: Any = None
    kept: Any = None


@dataclass(frozen=True, slots=True)
class Base:
    """What a table of the target was at a version, in the Parquet files of a folder; None where it had no rows."""

    migration: str
    table_name: str
    version: int
    folder: str | None
    rows: int
    made_at: datetime


@dataclass(frozen=True, slots=True)
class Quarantined:
    """Rows with one key, set aside for one reason. `rows` are several where keys are null or double."""

    migration: str
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


@dataclass(frozen=True, slots=True)
class Conflict:
    """A row that was not as the plan saw it. The images are JSON, null where there is no row."""

    migration: str
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
