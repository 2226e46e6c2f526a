"""One window written to SQLite: what is staged, compared and changed, in one transaction."""

from __future__ import annotations

from collections.abc import Sequence
from contextlib import suppress
from dataclasses import dataclass, field, replace
from functools import partial
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from adapters.protocol import BeforeCommit
from adapters.sql.keys import among
from adapters.sql.read_back import Asked, left_behind
from adapters.sql.refused import FIX
from adapters.sql.staged_apply import apply_staged, as_left, column_of, is_marked, mark
from adapters.sql.staging import DONE, GONE, NO, Staging, Written, changed_columns, insert, left_out, update
from adapters.sql.statements import create_statement, marker_table, rendered
from adapters.sqlite.arrow import encode
from adapters.sqlite.connection import Connection, EvaluationFailed
from adapters.sqlite.keys import awaited_of, broken, hold_all, hold_foreign_keys, loads_whole, sound
from adapters.sqlite.snapshot import DIALECT, batches, is_binary, style_of, travel
from adapters.sqlite.types import Style, offence_sql, quoted, spelled_in_styles, value_sql
from transforms.vocabulary import (
    Applied,
    ChangeSet,
    ColumnShape,
    DataError,
    Marker,
    Op,
    RowRefused,
    SynclineError,
    TableName,
    TableShape,
)
from transforms.vocabulary.arrow import contiguous

UNREAD: Final = "syncline_unread"
MANY: Final = 5_000  # numbers in one IN (…)


def write(
    connection: Connection,
    changes: ChangeSet,
    shape: TableShape,
    marker: Marker | None,
    *,
    empty: bool,
    before_commit: BeforeCommit,
    trial: bool,
) -> Applied:
    """See `Target.apply`."""
    fresh = empty and len(changes) == changes.inserts.num_rows
    awaited = awaited_of(connection, changes.table, shape) if fresh else set()
    connection.ask(f"PRAGMA foreign_keys = {'OFF' if awaited else 'ON'}")
    with connection.transaction():
        connection.ask("PRAGMA defer_foreign_keys = ON")
        if marker is not None and marked(connection, marker):
            return Applied(already=True)
        checked = sound(connection) if trial else ()
        before = broken(connection, checked, changes.table, awaited) if trial else 0
        applied = apply_window(connection, changes, shape, empty=empty)
        if trial:
            hold_all(connection, checked, changes.table, awaited, before)
        elif shape.foreign_keys:
            hold_foreign_keys(connection, changes.table, awaited)
        before_commit(applied)
        return applied


def marked(connection: Connection, marker: Marker) -> bool:
    """Whether the window is in; if not, say so from now on."""
    connection.ask(create_statement(marker_table(), DIALECT, if_not_exists=True))
    if len(connection.rows(rendered(is_marked(marker), DIALECT))) > 0:
        return True
    connection.ask(rendered(mark(marker), DIALECT))
    return False


def apply_window(connection: Connection, changes: ChangeSet, shape: TableShape, *, empty: bool) -> Applied:
    columns = [column_of(shape, name) for name in changes.schema.names]
    styles = {name: _key_style(connection, changes.table, column_of(shape, name)) for name in changes.key}
    window = Window(connection, changes, shape, columns, styles)
    guarded = any(unique <= set(changes.key) for unique in shape.uniques)
    if empty and guarded and len(changes) == changes.inserts.num_rows and loads_whole(connection, changes.table):
        loaded = window.load(changes.inserts)
        if loaded is not None:
            return Applied(inserted=loaded)
    written = tuple(Written(each.name, _binary) if _is_text(each) else Written(each.name) for each in columns)
    stages: dict[Op, TableName] = {op: window.stage_of(op) for op in ("delete", "update", "insert")}
    table = replace(changes.table, schema=changes.table.schema or "main")
    staging = Staging(table, written, changes.key, changes.compared, stages, owns=changes.owns)
    return as_left(window, staging, changes, shape, apply_staged(window, staging, changes, shape))


def _key_style(connection: Connection, table: TableName, column: ColumnShape) -> Style:
    if not spelled_in_styles(column.native):
        return Style()
    style = style_of(connection, table, column)
    if style is None:
        raise DataError(
            f"{table}: the key column {column.name} spells its {column.native} values in several ways, so that rows "
            f"cannot be found by it.",
            fix="bring the column to one spelling first.",
        )
    return style


def _place(staging: Staging, column: ColumnShape) -> str:
    return f"{quoted(staging.table.schema or 'main')}.{quoted(staging.table.name)}.{quoted(column.name)}"


def _is_text(column: ColumnShape) -> bool:
    return bool(pa.types.is_string(column.type))


def _binary(value: sa.ColumnElement[Any]) -> sa.ColumnElement[Any]:
    return value.collate("BINARY")


@dataclass(slots=True)
class Window:
    """One window's transaction: rows are staged in temporary tables in the forms that SQLite stores."""

    connection: Connection
    changes: ChangeSet
    shape: TableShape
    columns: list[ColumnShape]
    styles: dict[str, Style] = field(default_factory=dict)

    def stage_of(self, op: Op) -> TableName:
        return TableName(f"syncline_{op}", "temp")

    def stage(self, op: Op, rows: pa.Table) -> None:
        arrays = {NO: rows[NO]}
        for name in rows.column_names[1:]:
            arrays[name] = self._stored(self.columns[int(name[1:])], rows[name])
        self.connection.ingest(self.stage_of(op).name, pa.table(arrays), temporary=True)

    def _stored(self, column: ColumnShape, values: pa.ChunkedArray) -> pa.Array:
        return encode(column, contiguous(values).cast(column.type), self.styles.get(column.name, Style()))

    def load(self, rows: pa.Table) -> int | None:
        """Load straight into the table; None where a row was in the way."""
        arrays = {each.name: self._stored(each, rows[each.name]) for each in self.columns}
        self.connection.ask("SAVEPOINT syncline_load")
        try:
            loaded = self.connection.ingest(self.changes.table.name, pa.table(arrays), temporary=False)
        except (DataError, EvaluationFailed):
            self.connection.ask("ROLLBACK TO syncline_load")
            loaded = None
        self.connection.ask("RELEASE syncline_load")
        return loaded

    def _run(self, statement: sa.ClauseElement) -> int:
        try:
            return self.connection.run(rendered(statement, DIALECT))
        except EvaluationFailed as error:  # by a trigger, or an index: another row may be well
            where = f"{self.changes.table}: SQLite failed for a row: {error.reason}. The window was rolled back."
            raise RowRefused(where, error.reason, fix=FIX["row"]) from error

    def _count(self, table: sa.TableClause) -> int:
        counted = rendered(sa.select(sa.func.count().label("n")).select_from(table), DIALECT)
        return int(self.connection.ask(counted)["n"][0].as_py())

    def discard(self, staging: Staging, op: Op, numbers: Sequence[int]) -> None:
        stage = staging.stage(op)
        for at in range(0, len(numbers), MANY):
            self._run(sa.delete(stage).where(stage.c[NO].in_(numbers[at : at + MANY])))

    def left_out(self, staging: Staging, op: Op) -> pa.Table:
        return self._looked_at(staging, partial(left_out, staging, op), (DONE, GONE))

    def left_behind(self, staging: Staging, op: Op) -> pa.Table | None:
        if loads_whole(self.connection, self.changes.table):
            return None
        own = ", ".join(f"{_place(staging, each)} AS {quoted(each.name)}" for each in self.columns)
        bad = f"(SELECT ({offence_sql(self.columns)}) IS NOT NULL FROM (SELECT {own}))"  # noqa: S608
        unread: sa.ColumnElement[Any] = sa.literal_column(bad).label(None)

        def asked(read: Sequence[sa.ColumnElement[Any]]) -> sa.Select[Any]:
            return left_behind(staging, op, [unread, *read])

        found = self._looked_at(staging, asked, (GONE, UNREAD))
        gone = pc.or_(found[GONE], found[UNREAD])  # what nobody can read is not kept
        return found.drop_columns([GONE, UNREAD]).add_column(1, GONE, gone)

    def _looked_at(self, staging: Staging, asked: Asked, marks: Sequence[str]) -> pa.Table:
        """The answer to a question about staged rows: their numbers, `marks`, then the target's rows as they travel."""
        read: list[sa.ColumnElement[Any]] = [
            sa.literal_column(value_sql(each.native, _place(staging, each))).label(None) for each in self.columns
        ]
        flags = (ColumnShape(name, pa.bool_(), "BOOLEAN") for name in marks)
        columns = [ColumnShape(NO, pa.int64(), "INTEGER"), *flags, *self.columns]
        found = batches(self.connection, columns, rendered(asked(read), DIALECT))
        return pa.Table.from_batches(list(found), travel(columns))

    def write(self, staging: Staging, op: Op, changes: ChangeSet) -> int:
        if op == "delete":
            return self._run(self._delete(staging))
        if op == "insert":
            return self._run(insert(staging).prefix_with("OR ABORT"))  # whatever clauses the table has
        changed = changed_columns(changes)
        if not changed:
            return self._count(staging.stage(op))
        self.connection.ask("SAVEPOINT syncline_update")
        try:
            return self._run(update(staging, changed).prefix_with("OR ABORT"))
        except RowRefused as error:
            unique = [name for name in changed if any(name in each for each in self.shape.uniques)]
            if error.kind != "double" or not unique:
                raise
            self.connection.ask("ROLLBACK TO syncline_update")
            self._park(staging, unique)
            return self._run(update(staging, changed).prefix_with("OR ABORT"))
        finally:
            with suppress(SynclineError):
                self.connection.ask("RELEASE syncline_update")

    def _delete(self, staging: Staging) -> sa.Delete:
        """Delete by key: SQLite has no DELETE … USING, and IN compares as its left side does."""
        plain = [staging.target.c[name] for name in staging.key]
        doomed = sa.select(*plain).select_from(staging.target.join(staging.stage("delete"), staging.same_key("delete")))
        shapes_of_key = [column_of(self.shape, name) for name in staging.key]
        keys = [
            each if is_binary(self.connection, self.changes.table, shape) else _binary(each)
            for each, shape in zip(plain, shapes_of_key, strict=True)
        ]
        return sa.delete(staging.target).where(among(keys, doomed))

    def _park(self, staging: Staging, names: Sequence[str]) -> None:
        """Give unique columns values that nobody has: SQLite checks row by row, and two rows may swap theirs."""
        number = staging.stage("update").c[NO]
        for name in names:
            text = pa.types.is_string(column_of(self.shape, name).type)
            parked = sa.literal("syncline:").op("||")(number) if text else sa.literal_column(str(-(2**63) + 1)) + number
            self._run(
                sa.update(staging.target).values({staging.target.c[name]: parked}).where(staging.same_key("update"))
            )
