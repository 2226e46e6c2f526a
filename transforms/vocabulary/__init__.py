"""The nouns that every room speaks: names, shapes, keys, ranges, changes and errors."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from typing import Any, Final, Literal

import pyarrow as pa

from transforms.vocabulary.features import Feature

Key = tuple[str, ...]
"""The columns by which rows are matched, in order."""

KeyValue = tuple[Any, ...]
"""One value for each column of a Key, as Python objects of the column's Arrow type."""

Op = Literal["insert", "update", "delete"]
Phase = Literal["all", "upsert", "delete"]
Meaning = Literal["plain", "decimal", "json", "uuid", "interval", "opaque"]
"""What a text stands for: itself, an exact number, JSON, a UUID, a span of time, or an engine's own notation."""

INVALID: Final = "syncline:invalid"
"""A string column that a scan may append: why the row cannot travel, null where it can."""

STANDS_IN: Final = "syncline:stands in for a date:"
"""How the name of a truth column begins that a scan may append, behind which comes the column that it is about: whether the
value is what `zero_dates` puts in a date's place that is none."""

# Infinity has no Arrow value of its own; these are DuckDB's conventions, so that expressions see infinity too.
TIMESTAMP_INFINITY: Final = 2**63 - 1  # microseconds; minus infinity is its negative
DATE_INFINITY: Final = 2**31 - 1  # days; minus infinity is its negative


class SynclineError(Exception):
    """What went wrong, where, and how to fix it, in one or two lines."""


def message_of(error: BaseException) -> str:
    """What an error says, with the notes that were added on its way up, in one line."""
    text, notes = str(error), getattr(error, "__notes__", ())
    end = "." if notes and text[-1:].isalnum() else ""
    return " ".join([f"{text}{end}", *notes])


class SpecError(SynclineError):
    """The spec is wrong in itself, or does not fit the schemas it names.

    `problems` are those that lie in tables of the spec: (table, what is wrong), the table None for others.
    """

    def __init__(self, message: str, problems: tuple[tuple[str | None, str], ...] = ()) -> None:
        super().__init__(message)
        self.problems = problems


class DriftError(SpecError):
    """The schemas are no longer as the latest run of the spec left them."""


class PlanError(SynclineError):
    """A plan could not be made, or may not be applied."""


class DataError(SynclineError):
    """A value cannot be carried, and the spec says `fail`."""


class RowRefused(DataError):
    """The target refused rows while they were written, or did not keep them: another choice of rows may go in.

    `reason` is the engine's own, and `columns` are those that it names.
    """

    def __init__(self, message: str, reason: str = "", columns: tuple[str, ...] = ()) -> None:
        super().__init__(message)
        self.reason = reason or message
        self.columns = columns


class AccountingError(SynclineError):
    """A run could not account for every row."""


class BusyError(SynclineError):
    """Another run holds the migration."""


class ConnectionFailed(SynclineError):
    """A server cannot be reached or refused us."""


class TransientError(SynclineError):
    """A fault that may pass: a lost connection, a deadlock, a serialization failure."""


class ChangedMeanwhile(TransientError):
    """Rows were not as they had been a moment before: others were faster, or a trigger of the target changed them."""


class SnapshotLost(TransientError):
    """The state of a database that was being read is gone, with the session that held it. Only a new snapshot helps."""


@dataclass(frozen=True, slots=True, order=True)
class TableName:
    """A table in a schema; a None schema is the connection's default."""

    name: str
    schema: str | None = None

    def __str__(self) -> str:
        return f"{self.schema}.{self.name}" if self.schema else self.name


@dataclass(frozen=True, slots=True)
class Relation:
    """What is read: a table, or a trusted query of the spec; `where` is in the engine's dialect.

    `zero_dates` says for columns what a date that is none (MySQL's 0000-00-00 and 2020-02-00) is read as: "null",
    "fail" (DataError), or the ISO text of a date or timestamp. In other columns its row is INVALID.
    """

    table: TableName | None = None
    query: str | None = None
    where: str | None = None
    zero_dates: tuple[tuple[str, str], ...] = ()

    def __str__(self) -> str:
        return str(self.table) if self.table else "(query)"


@dataclass(frozen=True, slots=True)
class ColumnShape:
    """A column: how the engine names its type, and how its values travel in Arrow.

    `type` is the travel type: values outside an engine's native whitelist travel as exact text, and then
    `meaning` says what the text stands for. `refused` says why its values cannot travel at all, and what would help.

    The others are limits, None where the travel type is limit enough. `length` is the longest text in characters,
    `octets` the longest text or binary in bytes, `characters` the inside of an RE2 class of what its character set
    holds, `labels` the values of an enum. `least` and `most` are the ends of the range, inclusive, as Python values
    of the travel type; `digits` is how many of a second's fraction are kept, `number` the precision and scale of a
    decimal text. `nan` and `nul` say whether NaN (and infinities) and NUL characters can be stored. `collation` names
    what makes the column's unique indexes take different texts for one, see `Adapter.alike`.
    """

    name: str
    type: pa.DataType
    native: str
    nullable: bool = True
    meaning: Meaning = "plain"
    generated: bool = False  # computed by the engine: never written
    identity: bool = False  # numbered by the engine when not given
    default: bool = False  # the engine fills it when not given
    length: int | None = None
    padded: bool = False  # CHAR(n): trailing blanks are padding
    labels: tuple[str, ...] | None = None
    nan: bool = True
    nul: bool = True
    refused: str | None = None
    octets: int | None = None
    characters: str | None = None
    least: Any = None
    most: Any = None
    digits: int | None = None
    number: tuple[int, int] | None = None
    collation: str | None = None
    declared: bool = False  # a type of the database's own, such as a domain: one of the same name elsewhere may differ
    inferred: bool = False  # no type is declared: it is that of the values that are there

    @property
    def required(self) -> bool:
        """It takes no nulls, and the engine says nothing of filling it."""
        return not (self.nullable or self.default or self.identity or self.generated)


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """`columns` here refer to `refers_columns` in `refers`, pairwise.

    `deferred`: in a table that is yet to be made it holds at the end of a transaction, because keys go in a circle.
    `on_delete` and `on_update` are what becomes of rows here (CASCADE, SET NULL, …), empty where that is NO ACTION.
    """

    columns: Key
    refers: TableName
    refers_columns: Key
    deferred: bool = field(default=False, compare=False)
    on_delete: str = field(default="", compare=False)
    on_update: str = field(default="", compare=False)


@dataclass(frozen=True, slots=True)
class Design:
    """What a table has beyond columns and keys, in its engine's own SQL: what `ddl` makes besides.

    `defaults` and `generated` are (column, expression), `indexes` the columns of each plain index that is not unique.
    `features` are what the table has that no field here can say (triggers, partial indexes and so on).
    `hooks` are those of them that may refuse, swallow or change rows when they are written, and not before.
    `filled` are (column, trigger): what a trigger gives a value before a row is inserted, as far as its text says.
    """

    defaults: tuple[tuple[str, str], ...] = ()
    generated: tuple[tuple[str, str], ...] = ()
    checks: tuple[str, ...] = ()
    indexes: tuple[Key, ...] = ()
    features: tuple[Feature, ...] = ()
    hooks: tuple[Feature, ...] = ()
    filled: tuple[tuple[str, str], ...] = ()


@dataclass(frozen=True, slots=True)
class TableShape:
    """A table as its engine describes it.

    `uniques` holds the column sets that an index keeps unique, the primary key included. `ordered` holds the
    column tuples by which key windows are cheap and come in binary order, as Arrow orders them. `design` is for
    tables that are yet to be made; `Adapter.design` reads it of one that is there. `hidden_by` says what keeps rows from
    this user, where it is a part of the table that is seen and written; None where it is all. `unwritable` says why its rows
    can be compared and not be written, and the fix; None where they can.
    """

    name: TableName
    columns: tuple[ColumnShape, ...]
    primary_key: Key = ()
    uniques: frozenset[frozenset[str]] = frozenset()
    foreign_keys: tuple[ForeignKey, ...] = ()
    ordered: frozenset[Key] = frozenset()
    design: Design | None = None
    hidden_by: str | None = None
    unwritable: str | None = None

    def column(self, name: str) -> ColumnShape | None:
        return next((column for column in self.columns if column.name == name), None)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def schema(self, names: tuple[str, ...] | None = None) -> pa.Schema:
        """The Arrow schema in which `names` (all columns where None) travel, in that order."""
        by_name = {column.name: column for column in self.columns}
        return pa.schema([pa.field(name, by_name[name].type) for name in (names or self.names)])


@dataclass(frozen=True, slots=True)
class KeyRange:
    """Keys from `start` (inclusive) to `stop` (exclusive), compared as tuples; None is unbounded.

    Rows with a null in the key belong to the range only where `nulls` is set.
    """

    start: KeyValue | None = None
    stop: KeyValue | None = None
    nulls: bool = True


@dataclass(frozen=True, slots=True)
class ColumnRange:
    """Values of one column in `[start, stop)`; None is unbounded, null values are outside."""

    column: str
    start: Any = None
    stop: Any = None


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
class Refusal:
    """Why an engine would not take a row, whatever the other rows are, and the columns that it looks at, where they are known."""

    reason: str
    columns: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Marker:
    """The row that says, in the target itself, that a window is in."""

    migration: str
    plan: str
    table: str
    window: int
    phase: Phase = "all"


@dataclass(frozen=True, slots=True)
class Applied:
    """What one window's transaction did: how many rows it wrote itself, and which it did not write.

    `conflicts` has the columns op, key, before, after and found: the rows that were not as the plan saw them and
    were left alone. `found` is null where the row is gone. `by_others` has the same columns without found: the rows
    that somebody else had brought to what was planned, so that nothing was left to write.
    `already` is true where the marker was there before.
    """

    inserted: int = 0
    updated: int = 0
    deleted: int = 0
    conflicts: pa.Table | None = None
    by_others: pa.Table | None = None
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
    def balanced(self) -> bool:
        left = self.source_rows - self.insert - self.update - self.unchanged - self.quarantined
        return 0 <= left <= self.conflicts

    @property
    def changes(self) -> int:
        return self.insert + self.update + self.delete

    def as_dict(self) -> dict[str, int]:
        return {name: getattr(self, name) for name in self.__slots__}
