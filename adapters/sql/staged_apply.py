"""What engines inside this process share: the file in a URL, the cuts of a range, and applying a staged window."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import datetime
from pathlib import Path
from typing import Any, Final, Protocol
from zoneinfo import ZoneInfo

import pyarrow as pa
import sqlalchemy as sa

from adapters.sql.read_back import rewritten, with_rewritten
from adapters.sql.staging import SWALLOWED, Staging, applied, by_others, conflict_rows, settled, staged_rows
from adapters.sql.statements import Expression, Operand, column, marker_table, ordering, select
from transforms.vocabulary import (
    AccountingError,
    Applied,
    ChangeSet,
    ColumnRange,
    ColumnShape,
    ConnectionFailed,
    KeyRange,
    Marker,
    Op,
    Relation,
    RowRefused,
    SpecError,
    SynclineError,
    TableName,
    TableShape,
)

ORDER: Final[tuple[Op, ...]] = ("delete", "update", "insert")


def file_of(url: str) -> Path:
    """The file that a URL such as sqlite:///folder/file.db names; a fourth slash makes the path absolute."""
    parsed = sa.make_url(url)
    if parsed.host or parsed.query or parsed.database in (None, "", ":memory:"):
        raise SpecError(
            f"{url} does not name a file.",
            fix=(
                f"write {parsed.drivername}:///relative/path or "
                f"{parsed.drivername}:////absolute/path, without options; memory is not shared between connections."
            ),
        )
    return Path(str(parsed.database))


def last_written(path: Path) -> str:
    """When a database's file or its log was written last. DuckDB counts transactions anew each time it is opened."""
    logs = [each for each in (path, path.with_name(path.name + ".wal")) if each.exists()]
    latest = max((each.stat().st_mtime_ns for each in logs), default=0)
    return f"file of {latest}"


def must_exist(path: Path, *, create: bool) -> None:
    """Reading never creates a database, and nothing creates a folder."""
    if not path.parent.is_dir():
        raise ConnectionFailed(
            f"There is no folder {path.parent} for {path.name}.", fix="create it or correct the URL."
        )
    if not create and not path.is_file():
        raise ConnectionFailed(f"There is no file {path}.", fix="correct the path in the URL.")


def as_travel(value: Any, travel: pa.DataType, zone: str | None = None) -> Any:
    """A bound of a range in the column's type: a text is parsed, and a time without a zone is one of `zone`, or UTC."""
    aware = pa.types.is_timestamp(travel) and travel.tz is not None
    if isinstance(value, str) and not pa.types.is_string(travel):
        try:
            value = pa.scalar(value).cast(travel).as_py()
        except pa.ArrowInvalid:
            if not aware:
                raise
            value = pa.scalar(value).cast(pa.timestamp("us")).as_py()
    if aware and isinstance(value, datetime) and value.tzinfo is None:
        return value.replace(tzinfo=ZoneInfo(zone or "UTC"))
    return value


def python_values(values: pa.ChunkedArray) -> list[Any]:
    """Python objects, None for what Python has no object for: infinite dates, and years beyond 9999."""
    try:
        found: list[Any] = values.to_pylist()
    except (OverflowError, ValueError):
        return [_python_value(value) for value in values]
    return found


def _python_value(value: pa.Scalar) -> Any:
    try:
        return value.as_py()
    except (OverflowError, ValueError):
        return None


def cuts(
    relation: Relation,
    key: Sequence[tuple[Operand, Expression]],
    rows: int,
    within: KeyRange,
    ranges: Sequence[tuple[Operand, ColumnRange]],
) -> sa.Select[Any]:
    """The key of every `rows`-th row after the first, ascending, as columns k0, k1, … in the forms given."""
    operands = [operand for operand, _ in key]
    number = sa.func.row_number().over(order_by=ordering(operands)).label("syncline_row")
    taken = [shown.label(f"k{i}") for i, (_, shown) in enumerate(key)]
    inside = replace(within, nulls=False)
    chosen = select(relation, [*taken, number], key=operands, within=inside, ranges=ranges, ordered=False)
    numbered = chosen.subquery("numbered")
    every: Expression = sa.literal_column(f"syncline_row > 1 AND (syncline_row - 1) % {int(rows)} = 0")
    names = [column(f"k{i}") for i in range(len(key))]
    return sa.select(*names).select_from(numbered).where(every).order_by(column("syncline_row"))


class KnownShapes:
    """The shapes of what a snapshot reads, looked up once."""

    def __init__(
        self,
        describe: Callable[[TableName], TableShape | None],
        describe_query: Callable[[str], TableShape],
        where: object,
    ) -> None:
        self._describe, self._describe_query, self._where = describe, describe_query, where
        self._known: dict[Relation, TableShape] = {}

    def of(self, relation: Relation) -> TableShape:
        """SpecError where there is no such table."""
        if relation not in self._known:
            found = self._describe(relation.table) if relation.table else self._describe_query(relation.query or "")
            if found is None:
                raise SpecError(f"There is no table {relation} in {self._where}.", fix="correct its name.")
            self._known[relation] = found
        return self._known[relation]

    def columns(self, relation: Relation, names: Sequence[str]) -> list[ColumnShape]:
        """The named columns, in that order; SpecError where one is not there."""
        shape = self.of(relation)
        missing = [name for name in names if shape.column(name) is None]
        if missing:
            raise SpecError(
                f"{relation} has no column {missing[0]!r}; it has {', '.join(shape.names)}.",
                fix="plan again: the table is another one now.",
            )
        by_name = {each.name: each for each in shape.columns}
        return [by_name[name] for name in names]


# Applying


def column_of(shape: TableShape, name: str) -> ColumnShape:
    """A column that a plan writes. SynclineError where it is gone."""
    found = shape.column(name)
    if found is None:
        raise SynclineError(
            f"{shape.name} has no column {name!r} any more; it has {', '.join(shape.names)}.", fix="plan anew."
        )
    return found


class Session(Protocol):
    """A connection inside the transaction of one window."""

    def stage(self, op: Op, rows: pa.Table) -> None:
        """Put rows into the staging table of an operation, in the engine's own forms."""

    def left_out(self, staging: Staging, op: Op) -> pa.Table:
        """`sql_changes.left_out`: no, done, gone, then the target's rows in the change set's columns as they travel."""

    def write(self, staging: Staging, op: Op, changes: ChangeSet) -> int:
        """Apply all that is left in a staging table; how many rows it changed."""

    def discard(self, staging: Staging, op: Op, numbers: Sequence[int]) -> None:
        """Take rows out of a staging table."""

    def left_behind(self, staging: Staging, op: Op) -> pa.Table | None:
        """`read_back.left_behind`: no, gone, then the target's rows in the change set's columns as they travel, of the rows that
        are in the staging table; None where the table has no triggers."""


def apply_staged(session: Session, staging: Staging, changes: ChangeSet, shape: TableShape) -> Applied:
    """Deletes, then updates, then inserts; what is not as planned is left alone and reported.

    The engine's comparison settles nearly all rows. Those that it finds different are read and compared once more
    as they travel, because one value can be stored in several ways: texts of dates, or JSON.
    """
    notes: list[tuple[pa.Table | None, pa.Table | None]] = []
    bare = replace(staging, compared=staging.key)  # what differs has left the stage before a statement runs
    for op in ORDER:
        rows = staged_rows(changes, op)
        if not rows.num_rows:
            continue
        session.stage(op, rows)
        out = settled(changes, op, session.left_out(staging, op), shape.columns)
        session.discard(staging, op, [*out.done, *out.conflicts])
        left = rows.num_rows - len(out.done) - len(out.conflicts)
        touched = session.write(bare, op, changes)
        if (
            touched < left and op != "update"
        ):  # a trigger may have inserted them, or a key of the table have taken them along
            done = settled(changes, op, session.left_out(staging, op), shape.columns).done
            touched = left if len(done) == left else touched
        if touched < left:
            raise RowRefused(
                f"{staging.table}: the {op} of {left} rows touched {touched}. The window was rolled back.",
                SWALLOWED,
                fix="correct or leave out the rows that a trigger takes away, or the trigger.",
            )
        if touched > left:
            raise AccountingError(
                f"{staging.table}: the {op} of {left} rows touched {touched}. The window was rolled back.",
                fix=f"look for a key {changes.key} that is not unique.",
            )
        conflicts = conflict_rows(changes, op, out.conflicts, out.found) if out.conflicts else None
        notes.append((by_others(changes, op, out.done), conflicts))
    return applied(changes.counts, notes)


def as_left(session: Session, staging: Staging, changes: ChangeSet, shape: TableShape, done: Applied) -> Applied:
    """What `apply_staged` did, with the rows that triggers made something else of. To be asked when all of them have fired.

    Errors: RowRefused where they took written rows away again, or put deleted ones back.
    """

    def read_back(op: Op) -> pa.Table | None:
        behind = session.left_behind(staging, op)
        return rewritten(changes, op, behind, (), shape.columns, "a trigger") if behind is not None else None

    return with_rewritten(done, [read_back(op) for op in ORDER if changes.counts[op]])


# ---------------------------------------------------------------------------------------------------------------------
# Markers


def is_marked(marker: Marker) -> sa.Select[Any]:
    """One row where the window is in."""
    there = marker_table()
    return sa.select(there.c.plan).where(
        there.c.plan == marker.plan,
        there.c.table_name == marker.table,
        there.c.window_no == marker.window,
        there.c.phase == marker.phase,
    )


def mark(marker: Marker) -> sa.Insert:
    """The row that says that the window is in."""
    return sa.insert(marker_table()).values(
        migration=marker.writer,
        plan=marker.plan,
        table_name=marker.table,
        window_no=marker.window,
        phase=marker.phase,
    )


def markers_of(plan: str) -> sa.Select[Any]:
    """The markers of a plan, in the fields of Marker."""
    there = marker_table()
    return sa.select(there.c.migration, there.c.plan, there.c.table_name, there.c.window_no, there.c.phase).where(
        there.c.plan == plan
    )


def writers_of(table: TableName) -> sa.Select[Any]:
    """Who has markers of a table."""
    there = marker_table()
    return sa.select(there.c.migration).where(there.c.table_name == str(table)).distinct()


def plans_of(writer: str, table: TableName) -> sa.Select[Any]:
    """The plans by which somebody has markers of a table."""
    there = marker_table()
    return sa.select(there.c.plan).where(there.c.migration == writer, there.c.table_name == str(table)).distinct()


def as_markers(rows: pa.Table | None) -> set[Marker]:
    """What `markers_of` found; nothing where there is no table of markers (None)."""
    return {
        Marker(row["migration"], row["plan"], row["table_name"], row["window_no"], row["phase"])
        for row in (rows.to_pylist() if rows is not None else ())
    }


def as_texts(rows: pa.Table | None) -> set[str]:
    """What `writers_of` or `plans_of` found; nothing where there is no table of markers (None)."""
    return set(rows.column(0).to_pylist()) if rows is not None else set()
