"""Changes of rows, what became of them, and how every row is accounted for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Literal

import pyarrow as pa

from transforms.vocabulary.names import Key, Op, Phase, TableName


@dataclass(frozen=True, slots=True)
class ChangeSet:
    """The changes of one window of one table.

    The four tables have one schema: the written columns in the target's order and travel types. `before` and
    `after` are pairwise the images of updated rows. `compared` names the columns that a precondition looks at. `owns` is a
    trusted condition in the target's dialect: a row that it does not hold for is none of the table's, as if it were gone.
    """

    table: TableName
    key: Key
    compared: tuple[str, ...]
    inserts: pa.Table
    before: pa.Table
    after: pa.Table
    deletes: pa.Table
    owns: str | None = None

    @property
    def schema(self) -> pa.Schema:
        schema: pa.Schema = self.inserts.schema
        return schema

    @property
    def counts(self) -> dict[Op, int]:
        return {"insert": self.inserts.num_rows, "update": self.after.num_rows, "delete": self.deletes.num_rows}

    def __len__(self) -> int:
        return sum(self.counts.values())

    @property
    def nbytes(self) -> int:
        return int(self.inserts.nbytes + self.before.nbytes + self.after.nbytes + self.deletes.nbytes)

    @property
    def empty(self) -> ChangeSet:
        """The same without any change."""
        return replace(
            self,
            inserts=self.inserts.slice(0, 0),
            before=self.before.slice(0, 0),
            after=self.after.slice(0, 0),
            deletes=self.deletes.slice(0, 0),
        )

    def phase(self, phase: Phase) -> ChangeSet:
        """Only the part that `phase` writes."""
        none = self.inserts.slice(0, 0)
        if phase == "upsert":
            return replace(self, deletes=none)
        if phase == "delete":
            return replace(self, inserts=none, before=none, after=none)
        return self

    def inverse(self) -> ChangeSet:
        """The change set that takes this one back."""
        return replace(self, inserts=self.deletes, before=self.after, after=self.before, deletes=self.inserts)


@dataclass(frozen=True, slots=True)
class Marker:
    """The row that says, in the side that is written itself, that a window is in, and who wrote it."""

    writer: str
    plan: str
    table: str
    window: int
    phase: Phase = "all"


@dataclass(frozen=True, slots=True)
class Applied:
    """What one window's transaction did: how many rows it wrote itself, and which it did not write.

    `conflicts` has the columns op, key, before, after and found: the rows that were not as the plan saw them and
    were left alone. `found` is null where the row is gone. `by_others` has the same columns without found: the rows
    that somebody else had brought to what was planned, so that nothing was left to write. `rewritten` are rows that were
    written, and that the target itself (a trigger) made something else of in the same transaction: the columns of `conflicts`.
    `already` is true where the marker was there before.
    """

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    conflicts: pa.Table | None = None
    by_others: pa.Table | None = None
    rewritten: pa.Table | None = None
    already: bool = False


@dataclass(frozen=True, slots=True)
class Counts:
    """How every row of a table was accounted for.

    Law: source_rows = insert + update + unchanged + quarantined, and of a plan that was applied + the conflicts of inserts
    and updates (those of deletes have no source row). `unproved` are target rows that were compared with nothing and stay:
    in plans of whole tables target_rows = update + delete + unchanged + unproved.
    """

    source_rows: int = 0
    target_rows: int = 0
    insert: int = 0
    update: int = 0
    delete: int = 0
    unchanged: int = 0
    quarantined: int = 0
    conflicts: int = 0
    unproved: int = 0

    def __add__(self, other: Counts) -> Counts:
        return Counts(**{name: getattr(self, name) + getattr(other, name) for name in self.__slots__})

    @property
    def changes(self) -> int:
        return self.insert + self.update + self.delete

    def as_dict(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.__slots__}


Why = Literal["quarantined", "ignored", "flagged", "null_key", "double_key", "referred"]
"""Why target rows stay that a plan compares with nothing."""


@dataclass(frozen=True, slots=True)
class Sample:
    """One change as people read it; values are texts, `before` and `after` hold only what differs in an update."""

    op: Op
    key: str
    before: Mapping[str, str | None] | None
    after: Mapping[str, str | None] | None


@dataclass(frozen=True, slots=True)
class Broken:
    """Rows about to be written that break the row rule `number` of `expect`; `keys` are the first of them, as JSON."""

    number: int
    rows: int
    keys: tuple[str, ...]
