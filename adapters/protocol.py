"""What an engine promises. One contract suite (tests/adapters/test_contract_*.py) holds every adapter to it."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import AbstractContextManager
from datetime import datetime
from typing import Literal, Protocol, runtime_checkable

import pyarrow as pa

from adapters.capabilities import Capabilities
from transforms.vocabulary import (
    Applied,
    ChangeSet,
    ColumnRange,
    ColumnShape,
    Design,
    ForeignKey,
    Key,
    KeyRange,
    KeyValue,
    Marker,
    Meaning,
    Reason,
    Relation,
    TableName,
    TableShape,
)
from transforms.vocabulary.features import Feature

RowSecurity = Literal["refuse", "accept"]
"""Whether rows that PostgreSQL's row-level security hides from the user are an error, or taken for not there."""

BeforeCommit = Callable[[Applied], None]

CHECKSUMS = pa.schema([("rows", pa.int64()), ("checksum", pa.string())])
"""How many rows a window has, null where nobody counted them, and what tells these rows from all others."""


def committed(applied: Applied) -> None:
    """What is done before a commit where nobody wants to know."""


@runtime_checkable
class Snapshot(Protocol):
    """A frozen view of a database. Safe to use from several threads at once."""

    token: str | None
    """What another process gives to `Source.snapshot` to see the same rows; None where the engine cannot."""

    mark: str
    """A text that names the state that was read (a log position, a transaction number, a change counter)."""

    def estimate(self, relation: Relation) -> int:
        """About how many rows, at once. Never 0 for a relation that has rows."""

    def count(self, relation: Relation, ranges: Sequence[ColumnRange] = ()) -> int:
        """Exactly how many rows."""

    def split(
        self,
        relation: Relation,
        key: Key,
        rows: int,
        within: KeyRange = KeyRange(),
        *,
        ranges: Sequence[ColumnRange] = (),
    ) -> list[KeyValue]:
        """The keys that cut the rows of a window and of column ranges into parts of `rows` rows, ascending, without its own ends.

        Window 0 is before the first key, the last window starts at the last key. Null keys are not looked at.
        """

    def scan(
        self,
        relation: Relation,
        columns: Sequence[str],
        *,
        key: Key = (),
        within: KeyRange = KeyRange(),
        ranges: Sequence[ColumnRange] = (),
        keys: pa.Table | None = None,
    ) -> Iterator[pa.RecordBatch]:
        """Yield non-empty batches of `columns` in their travel types, plus INVALID where a row cannot travel,
        and STANDS_IN for columns with stand-ins.

        In: `within` is over `key`; `ranges` are and-ed to it; values are bound, never pasted. `keys`: only rows whose columns of
            those names have the values of one of its rows, of which there may be any number, in the columns' travel types, none
            twice, and each a value that its column can hold. They are found by an index of these columns, each once; a null is
            equal to nothing. Rows whose keys the engine takes for equal to one of them may come along.
        Order: ascending by `key` in binary order, nulls first; any order where `key` is empty or `keys` are given.
        Memory: one batch (at most some 64k rows), whatever the size of the table.
        Errors: TransientError for a lost connection, SynclineError naming table and column otherwise.
        """


@runtime_checkable
class Sealing(Protocol):
    """A snapshot whose engine can say in short what rows are there, so that they need not be read to see that none has changed."""

    def checksums(
        self, relation: Relation, columns: Sequence[str], key: Key, windows: Sequence[KeyRange]
    ) -> pa.Table | None:
        """The checksum of each window of a table, or of those of its rows that a `where` keeps, in their order.

        Out: CHECKSUMS. Where two checksums of one side are the same text, `scan` of these columns and that window yields the same
            rows, whatever others did meanwhile: a checksum also says how it was made and of which types. Rows that scan tells apart
            have different ones, and what swaps, shifts or doubles values between rows is not lost. That two are different says
            nothing. None where the engine cannot promise that: of what is no base table of its own, of columns that it computes.
        In: `columns` with those of `key`, in any order; a `where` that answers for the same row always the same.
        """


@runtime_checkable
class Inspection(Snapshot, Protocol):
    """A snapshot of a database that can be asked of its rows what keys and references come to."""

    def highest(self, relation: Relation, column: str) -> int | None:
        """The largest value of an integer column, None where there is none."""

    def orphans(self, table: TableName, reference: ForeignKey) -> Relation | None:
        """The rows of `table` whose `reference` finds no row, as a relation to be counted and scanned.

        A row with a null in the reference is none of them. Values are compared as they travel, or, where the table
        declares this foreign key, as the engine itself compares them. None where there can be none, because the
        engine holds a foreign key that the table declares. SQLite lets one lead to a table that is not there: no
        row finds any then.
        In: at both ends columns of one travel type and meaning, or integers.
        """

    def unkeyed(self, table: TableName, key: Key, most: int | None = None) -> Relation:
        """The rows that `key` does not tell from all others, as a relation to be counted and scanned: those with a null in
        it, and those whose values another row has too, of `most` such values where that is not None.

        Values are compared as they travel. There are none exactly where the key is unique and never null.
        In: columns that travel; none of JSON.
        """


@runtime_checkable
class Source(Protocol):
    """What rows are read from, behind one URL. Opening it does not connect; every method raises ConnectionFailed if it cannot."""

    engine: str
    """postgresql, mysql (MariaDB too), sqlite, duckdb or parquet: a name to show, and that of its SQL, which is DuckDB's for
    parquet. What an engine does is in `capabilities`."""

    capabilities: Capabilities

    url: str
    """Without the password: fit for messages, manifests and reports."""

    def tables(self, schema: str | None = None) -> list[TableName]:
        """The base tables of a schema, sorted."""

    def named(self, table: TableName) -> TableName:
        """The table as the catalog spells it, or as it will once it is made: another name only where the engine takes both for one."""

    def describe(self, table: TableName) -> TableShape | None:
        """The table's shape, None where there is no such table."""

    def describe_query(self, query: str) -> TableShape:
        """The columns that a query answers with; nothing is known of its keys."""

    def snapshot(self, token: str | None = None) -> AbstractContextManager[Snapshot]:
        """All reads inside see one state of the database. A token joins another process's open snapshot."""

    def close(self) -> None:
        """Give back every connection. Idempotent."""


@runtime_checkable
class RowVersions(Source, Protocol):
    """A source whose rows say which transaction wrote them, and which knows what is still being written."""

    row_version: str
    """What the version of a row is called in its SQL."""

    def position(self, state: str) -> int:
        """Up to which transaction all are in a state of the database, which the `mark` of a snapshot names."""

    def written_since(self, position: int, now: int) -> tuple[str, str] | None:
        """Clauses over the rows of a table: those that were written since a position, and the others.

        None where so much was written until the position of `now` that it cannot be told any more.
        """

    def oldest_writer(self) -> datetime | None:
        """When the oldest transaction began that may still write, or else what time it is: what comes to light later was not stamped
        earlier by the server's clock. None where the user may not know.
        """


@runtime_checkable
class Catalog(Source, Protocol):
    """A source that also knows how its tables were made, and which of them belong together."""

    def snapshot(self, token: str | None = None) -> AbstractContextManager[Inspection]: ...

    def design(self, table: TableName) -> Design:
        """What the table has beyond its shape, in the engine's own SQL. Slow: for scaffolding only."""

    def referrers(self, table: TableName) -> list[TableName]:
        """The tables whose declared foreign keys lead to the table, itself too, in whatever schema, sorted.

        A schema is None where it is that of `table`, and `table` has none.
        """

    def besides(self, schema: str | None = None) -> list[Feature]:
        """What a schema holds beside tables and what hangs on them, such as views and routines."""

    def usual_zone(self) -> str | None:
        """The time zone that sessions are in which say nothing of it, as the engine names it: `Europe/Vienna`, `CEST`, `+02:00`.
        None where an engine has none.
        """


@runtime_checkable
class Definitions(Protocol):
    """How tables are defined that are yet to be made. Nothing here writes."""

    engine: str
    """postgresql, mysql (MariaDB too), sqlite, duckdb or parquet: a name to show, and that of its SQL, which is DuckDB's for
    parquet. What an engine does is in `capabilities`."""

    capabilities: Capabilities

    def ddl(self, shape: TableShape) -> list[str]:
        """The statements that create a table of that shape: travel types decide, `native` is not looked at.

        An identity column becomes the primary key and numbers itself; the table's own key becomes unique. Foreign
        keys of the shape are made with it; of its `design` the defaults, generated columns and checks.
        """

    def adding(self, shape: TableShape, names: Sequence[str]) -> list[str]:
        """A statement for each of the columns that adds it to the table, in the type of `ddl`: nullable, no default.

        `shape` is the table with them. SpecError for names as in `ddl`.
        """

    def constraints(self, shape: TableShape) -> list[str]:
        """The statements that add the shape's foreign keys and its design's indexes to a table that has neither.

        SQLite and DuckDB cannot add foreign keys to a table that is there: they answer with the indexes alone, and
        SQLite with a look at whether those hold that were deferred.
        """

    def sized(self, shape: TableShape) -> TableShape:
        """The shape as `ddl` makes it: with a length for texts and binaries of indexes, where an engine's are limited."""

    def made(self, column: ColumnShape) -> ColumnShape:
        """The column as `describe` will answer for one that `ddl` makes of `column`: SQLite has no int32, for one."""

    def literal(self, column: ColumnShape, value: pa.Array) -> str | None:
        """The SQL of a value in a column that is made with that shape; None where no SQL says exactly that.

        In: one value of the column's travel type that the column keeps (see `Target.kept`), not null.
        """

    def tried(self, statements: Sequence[str]) -> str | None:
        """Why the engine refuses statements of `ddl` and `constraints`; None where it does not, or cannot be asked.

        They run in a transaction that is rolled back, or in memory. Nothing is left behind.
        """

    def unlinked(self, own: ColumnShape, there: ColumnShape) -> str | None:
        """Why no foreign key leads from one column to another, where `tried` cannot tell; None where one may."""


@runtime_checkable
class Target(Catalog, Definitions, Protocol):
    """What rows are written to: read as any source, asked what it would take, and changed a window at a time."""

    def kept(self, column: ColumnShape, values: pa.Array, known: Meaning = "plain") -> pa.Array:
        """What a column gives back for values, where a ColumnShape's limits do not say it all.

        In: values of the column's travel type, in one array; `known` says what they were read as: JSON is JSON.
        Out: the same, except for those that the engine itself has to be asked about (texts of its own notation,
        JSON, domains): they come back as a scan would read them, null for what cannot be stored, or would be stored
        as another value. Writes nothing.
        """

    def alike(self, table: TableName, rows: pa.Table) -> list[pa.Array]:
        """What the table's unique indexes compare, in place of the values.

        In: some columns of the table, in their travel types. Out: an array for each, in their order; two values are
        one to a unique index exactly where these are equal. A column without a `collation` comes back as it is.
        Reads nothing of the table's rows and writes nothing that outlives the call.
        """

    def refused(self, shape: TableShape, changes: ChangeSet, *, new: bool = False) -> Mapping[int, Reason]:
        """The rows of a change set that the table would not take, each by itself: by their place in its inserts, and
        behind those in its after images.

        They are tried out in a temporary table with the table's own checks, generated columns and bounds of partitions,
        and in a transaction that is rolled back: exactly what the engine refuses is refused. What other rows have to do
        with it (unique values, foreign keys) is not looked at. Columns that the changes do not have are what the
        table has, or their defaults. Nothing is asked of a table that demands nothing of its rows.
        `new`: the table is yet to be made as `ddl` makes it. Writes nothing that outlives the call.
        """

    def untried(self, table: TableName) -> str | None:
        """Why the rows of a table that demands something of them cannot be tried out (see `refused`), and how to change that.

        None where they can be, where the table demands nothing, and where it is not there.
        """

    def execute_ddl(self, statements: Sequence[str]) -> None:
        """Run them in one transaction where the engine can; what exists already is an error."""

    def apply(
        self,
        changes: ChangeSet,
        shape: TableShape,
        marker: Marker | None,
        *,
        empty: bool = False,
        before_commit: BeforeCommit = committed,
        trial: bool = False,
    ) -> Applied:
        """Apply one window in one transaction, its marker row with it.

        Deletes go first, then updates, then inserts. Each change is a precondition checked in the database: a row
        that is neither as its `before` image says (compared columns only) nor already as its `after` image becomes
        a conflict, is reported and left alone; so does an insert whose key is taken by a different row, and a
        delete of a row that is different. A row that is already as its `after` image, and a delete whose row is
        gone, are somebody else's work: they are reported in `Applied.by_others` and not counted as written.
        `empty`: the plan saw no row in the window's range, so a load straight into the table may be tried first.
        Identity columns take the values given. Where the marker row is there already nothing is done, and
        Applied.already is true. On any error the transaction is rolled back and nothing is left behind.
        `before_commit` is told of what was done, last thing before COMMIT; what it raises rolls the window back.
        `trial`: it will raise, and wants to know whether the rest would be committed: what is deferred until then is
        looked at before. Errors: RowRefused where the engine refuses rows or does not keep them.
        """

    def advance_identity(self, table: TableName, column: str) -> None:
        """Move the column's sequence past its largest value. Idempotent; does nothing where there is no sequence."""

    def applied(self, plan: str) -> set[Marker]:
        """The markers of that plan; empty where the marker table is not there yet."""

    def writers(self, table: TableName) -> set[str]:
        """Who has written to a table, as markers say; empty where there are none."""

    def plans_by(self, writer: str, table: TableName) -> set[str]:
        """The plans by which a writer has, as markers say; empty where there are none."""

    def lock(self, name: str) -> AbstractContextManager[None]:
        """One writer for each migration, held by the engine itself; BusyError where another holds it.

        Engines without advisory locks do nothing: the ledger's lease stands in.
        """


class Joint(Protocol):
    """Windows of several tables inside one transaction."""

    def apply(
        self,
        changes: ChangeSet,
        shape: TableShape,
        marker: Marker | None,
        *,
        empty: bool = False,
        trial: bool = False,
    ) -> Applied:
        """Apply one window as `Target.apply` does, but for the commit: foreign keys that can wait are not looked at.

        On an error, and after a `trial`, the transaction is as it was before.
        """

    def hold(self) -> None:
        """Look at the foreign keys that have waited. RowRefused where one does not hold; the transaction is as it was before."""


class Waiting(Joint, Protocol):
    """The same, where foreign keys can wait."""

    def unmet(self, shape: TableShape, names: Sequence[str], foreign: ForeignKey) -> pa.Table:
        """Some columns of the rows of a table that refer by one of its foreign keys to no row, as the transaction has them now."""


@runtime_checkable
class Joining(Protocol):
    """A target that takes windows of several tables in one transaction."""

    def together(self) -> AbstractContextManager[Joint]:
        """Committed at the end, all or nothing: on any error it is rolled back."""


@runtime_checkable
class Deferring(Joining, Protocol):
    """One whose foreign keys can wait for the end of a transaction (`Capabilities.defers_foreign_keys`)."""

    def together(self) -> AbstractContextManager[Waiting]:
        """With foreign keys deferred as far as they can be. Errors: RowRefused where a key does not hold in the end."""
