"""Shapes of tables: columns, keys, and what hangs on them."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import pyarrow as pa

from transforms.vocabulary.features import Feature
from transforms.vocabulary.names import Key, Meaning, TableName


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
    what makes the column's unique indexes take different texts for one, see `Target.alike`.
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

    def travels_like(self, other: ColumnShape) -> bool:
        """Whether values of both columns can be compared as they travel."""
        if pa.types.is_integer(self.type) and pa.types.is_integer(other.type):
            return True
        return bool(self.type.equals(other.type)) and self.meaning == other.meaning


@dataclass(frozen=True, slots=True)
class ForeignKey:
    """`columns` here refer to `refers_columns` in `refers`, pairwise.

    `deferred`: in a table that is yet to be made it can wait for the end of a transaction, because keys go in a circle.
    `deferrable`: in one that is there it can.
    `on_delete` and `on_update` are what becomes of rows here (CASCADE, SET NULL, …), empty where that is NO ACTION.
    `full`: of several columns all are null or none is (MATCH FULL). `name` is that of the constraint, empty where it has none.
    """

    columns: Key
    refers: TableName
    refers_columns: Key
    deferred: bool = field(default=False, compare=False)
    deferrable: bool = field(default=False, compare=False)
    on_delete: str = field(default="", compare=False)
    on_update: str = field(default="", compare=False)
    full: bool = field(default=False, compare=False)
    name: str = field(default="", compare=False)


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

    `uniques` holds the column sets that an index keeps unique, the primary key included; in those of `nulls_alike`, too, two
    nulls are one value. `ordered` holds the
    column tuples by which key windows are cheap and come in binary order, as Arrow orders them. `design` is for
    tables that are yet to be made; `Catalog.design` reads it of one that is there. `hidden_by` says what keeps rows from
    this user, where it is a part of the table that is seen and written; None where it is all. `unwritable` says why its rows
    can be compared and not be written, and the fix; None where they can. `unread` are columns that have no value in some rows,
    since it cannot be read (such a row is INVALID), as far as that is known of a source before its rows are read.
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
    nulls_alike: frozenset[frozenset[str]] = frozenset()
    unread: frozenset[str] = frozenset()

    def column(self, name: str) -> ColumnShape | None:
        return next((column for column in self.columns if column.name == name), None)

    @property
    def names(self) -> tuple[str, ...]:
        return tuple(column.name for column in self.columns)

    def schema(self, names: tuple[str, ...] | None = None) -> pa.Schema:
        """The Arrow schema in which `names` (all columns where None) travel, in that order."""
        by_name = {column.name: column for column in self.columns}
        return pa.schema([pa.field(name, by_name[name].type) for name in (names or self.names)])
