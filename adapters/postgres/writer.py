"""Writing PostgreSQL: one window's changes in one transaction, by binary COPY and set-wise statements."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, Final

import psycopg
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa
from psycopg import errors

from adapters.feeds.triggers import LOG_PREFIX
from adapters.postgres.arrow import copy_data, found_values, wire
from adapters.postgres.snapshot import spelled
from adapters.postgres.types import Travel
from adapters.sql.read_back import Asked, left_behind, rewritten, with_rewritten
from adapters.sql.staging import (
    DONE,
    GONE,
    NO,
    LeftOut,
    Staging,
    applied,
    by_others,
    changed_columns,
    conflict_rows,
    delete,
    insertable,
    left_out,
    respelled,
    settled,
    staged_rows,
    untouched,
    update,
)
from adapters.sql.statements import Expression, dialect_of, quoted, table
from transforms.vocabulary import (
    Applied,
    ChangeSet,
    DataError,
    Op,
    RowRefused,
    SynclineError,
    TableName,
    TableShape,
    TransientError,
)
from transforms.vocabulary.times import finer

ORDER: Final[tuple[Op, ...]] = ("delete", "update", "insert")
MOVED: Final = TableName("syncline_moved")
TRIGGERED: Final = """
WITH of_it (oid) AS (SELECT %s::regclass UNION SELECT relid FROM pg_catalog.pg_partition_tree(%s::regclass))
SELECT EXISTS (SELECT FROM pg_catalog.pg_trigger WHERE tgrelid IN (SELECT oid FROM of_it) AND NOT tgisinternal AND tgenabled <> 'D'
               AND NOT pg_catalog.starts_with(tgname::text, {own}))
    OR EXISTS (SELECT FROM pg_catalog.pg_rewrite WHERE ev_class IN (SELECT oid FROM of_it) AND ev_type <> '1')""".replace(
    "{own}", f"'{LOG_PREFIX}'"
)
REPLACED: Final = (errors.UniqueViolation, errors.GeneratedAlways)
"""What one UPDATE cannot do, and taking rows out and putting them back can."""
Left = tuple[pa.Table | None, pa.Table | None]
"""What a statement left out: rows that others had brought to what was planned, and conflicts, as in Applied."""


def spelled_name(name: str | TableName) -> str:
    """An identifier or a table's full name, quoted."""
    if isinstance(name, TableName):
        return ".".join(spelled_name(each) for each in (name.schema, name.name) if each)
    return dialect_of("postgresql").identifier_preparer.quote(quoted(name))


class Window:
    """The changes of one window on their way in, inside the transaction of `connection`."""

    def __init__(
        self,
        connection: psycopg.Connection[Any],
        changes: ChangeSet,
        travels: Mapping[str, Travel],
        *,
        own_rows: bool,
        again: int = 0,
    ) -> None:
        self._known, self._own_rows, self._again_no = travels, own_rows, again
        self._unwritten: dict[Op, Collection[int]] = {}  # of each operation that was staged: the rows that it left out
        self._connection = connection
        self._changes = changes
        missing = [name for name in changes.schema.names if name not in travels]
        if missing:
            raise SynclineError(
                f"Table {changes.table} has no column {missing[0]!r}, which the plan writes.",
                fix="plan again; the table was changed since.",
            )
        self._travels = [travels[name] for name in changes.schema.names]
        for each in self._travels:
            self._must_fit(each)

    def _must_fit(self, travel: Travel) -> None:
        """Refuse what the wire format would misread and what the column would round."""
        arrives = self._changes.schema.field(travel.name).type
        if arrives != travel.shape.type:
            raise SynclineError(
                f"Table {self._changes.table}, column {travel.name!r}: the plan writes {arrives}, but the column takes "
                f"{travel.shape.type}.",
                fix="plan again; the table was changed since.",
            )
        for rows in (self._changes.inserts, self._changes.after):
            digits = travel.shape.digits
            if digits is not None and pc.any(finer(rows[travel.name], digits)).as_py():
                raise DataError(
                    f"Table {self._changes.table}, column {travel.name!r}: a time has more than {digits} "
                    f"fractional digits, and {travel.shape.native} would round it.",
                    fix="round it in the mapping.",
                )

    def write(self, shape: TableShape, *, empty: bool) -> Applied:
        """Load the changes where they may go straight into the table, else stage and apply them."""
        only_inserts = not self._changes.after.num_rows and not self._changes.deletes.num_rows
        unique = any(each and each <= frozenset(self._changes.key) for each in shape.uniques)
        plain = unique and not shape.hidden_by  # COPY does not go by policies
        if empty and only_inserts and plain and not self.triggered and self.load():
            return Applied(inserted=self._changes.inserts.num_rows)
        return self.change()

    def load(self) -> bool:
        """Copy the inserts straight into the table. False, with nothing done, where that cannot be or a key is taken."""
        arrays = [wire(self._changes.inserts[each.name], each) for each in self._travels]
        if any(array is None for array in arrays):
            return False
        names = self._changes.schema.names
        try:
            with self._connection.transaction() as attempt:
                if self._copy(self._changes.table, pa.table(arrays, names=names)) == self._changes.inserts.num_rows:
                    return True
                raise psycopg.Rollback(attempt)  # the target kept rows out: the careful way says which
        except errors.UniqueViolation:
            return False
        return False

    def _copy(self, target: TableName, rows: pa.Table) -> int:
        """Copy rows into a table; how many went in, as the server counts them."""
        names = ", ".join(spelled_name(name) for name in rows.column_names)
        statement = f"COPY {spelled_name(target)} ({names}) FROM STDIN (FORMAT binary)"
        cursor = self._connection.cursor()
        with cursor.copy(statement) as copy:
            for data in copy_data(rows):
                copy.write(data)
        return cursor.rowcount

    def change(self) -> Applied:
        """Stage the changes and apply them: deletes, updates, inserts; what is not as planned becomes a conflict."""
        counts = self._changes.counts
        left: list[Left] = []
        for op in ORDER:
            if counts[op]:
                self._stage(op)
                left.append(self._apply(op))
        return applied(counts, left)

    def as_left(self, applied: Applied) -> Applied:
        """What `change` did, with the rows that triggers made something else of. To be asked when all of them have fired,
        deferred ones included. RowRefused where they took written rows away again, or put deleted ones back."""
        if not self._unwritten or not self.triggered:
            return applied
        return with_rewritten(applied, map(self._read_back, self._unwritten))

    @cached_property
    def _staged(self) -> dict[Op, pa.Table]:
        return {op: staged_rows(self._changes, op) for op in ORDER if self._changes.counts[op]}

    @cached_property
    def _wired(self) -> dict[Op, dict[str, pa.Array | None]]:
        """The staged columns as the binary COPY of their own types takes them, None where it cannot."""
        return {
            op: {name: wire(rows[name], self._travel(name)) for name in rows.column_names if name != NO}
            for op, rows in self._staged.items()
        }

    @cached_property
    def _texts(self) -> frozenset[str]:
        """The positions of the columns that are staged as text and cast on the way in."""
        columns = [each for arrays in self._wired.values() for each in arrays.items()]
        return frozenset(name[1:] for name, array in columns if array is None)

    def _travel(self, staged: str) -> Travel:
        return self._travels[int(staged[1:])]

    @cached_property
    def _staging(self) -> Staging:
        return Staging(
            self._changes.table,
            tuple(each.written(wired=str(i) not in self._texts) for i, each in enumerate(self._travels)),
            self._changes.key,
            self._changes.compared,
            {op: TableName(f"syncline_{op}{self._again_no or ''}") for op in ORDER},
            self._own_rows,
            self._changes.owns,
        )

    def _stage(self, op: Op) -> None:
        rows, wired = self._staged[op], self._wired[op]
        table_name = self._staging.stages[op]
        types = [f"{name} {self._travel(name).staged_type(wired=name[1:] not in self._texts)}" for name in wired]
        arrays = [rows[name] if name[1:] in self._texts else array for name, array in wired.items()]
        columns = ", ".join([f"{NO} integer", *types])
        self._connection.execute(f"CREATE TEMPORARY TABLE {spelled_name(table_name)} ({columns}) ON COMMIT DROP")
        self._copy(table_name, pa.table([rows[NO], *arrays], names=[NO, *wired]))
        self._connection.execute(f"ANALYZE {spelled_name(table_name)} ({NO})")

    def _apply(self, op: Op) -> Left:
        """Run the statement of `op`. Out: what needed no writing, and the conflicts, where it could not do all of it."""
        planned = self._changes.counts[op]
        try:
            with self._connection.transaction() as attempt:
                if self._run(op) == planned:
                    self._unwritten[op] = ()
                    return None, None
                raise psycopg.Rollback(attempt)
        except REPLACED:
            if op == "delete":
                raise
        left = settled(self._changes, op, self._left_out(op), [each.shape for each in self._travels])
        out = len(left.done) + len(left.alike) + len(left.conflicts)
        try:
            with self._connection.transaction():
                done = self._run(op)
        except REPLACED as error:
            if op != "update":
                raise
            if self._is_referred_to():
                raise RowRefused(
                    f"Table {self._changes.table}: {error.diag.message_primary} ({error.diag.message_detail}). Rows that "
                    "trade unique values, or get back a number that is GENERATED ALWAYS, cannot be replaced, because foreign keys "
                    "refer to the table.",
                    str(error.diag.message_primary),
                    fix="make that constraint DEFERRABLE, or correct the rows.",
                ) from error
            done = self._replace()
        if done > planned - out:
            raise DataError(
                f"Table {self._changes.table}: several rows have one key ({', '.join(self._changes.key)}).",
                fix="choose a key that is unique in the target.",
            )
        if done < planned - out:
            raise untouched(self._changes, op, self._left_out(op), "a trigger or rule")
        self._unwritten[op] = [*left.done, *left.conflicts]
        if left.alike:
            self._again(op, left)
        conflicts = conflict_rows(self._changes, op, left.conflicts, left.found) if left.conflicts else None
        return by_others(self._changes, op, left.done), conflicts

    def _read_back(self, op: Op) -> pa.Table | None:
        columns = [each.shape for each in self._travels]
        behind = self._looked_at(partial(left_behind, self._staging, op), {NO: pa.int64(), GONE: pa.bool_()})
        return rewritten(self._changes, op, behind, self._unwritten[op], columns, "a trigger")

    @cached_property
    def triggered(self) -> bool:
        """Whether triggers or rules of the table, or of one of its partitions, may do something else with a row."""
        found = self._connection.execute(TRIGGERED, [spelled_name(self._changes.table)] * 2).fetchone()
        return bool(found and found[0])

    def _again(self, op: Op, left: LeftOut) -> None:
        """Write the rows that are as planned in another spelling, where they are still as they were found."""
        respelled_ = respelled(self._changes, op, left)
        number = self._again_no + 1
        window = Window(self._connection, respelled_, self._known, own_rows=self._own_rows, again=number)
        again = window.change()
        self._connection.execute(f"DROP TABLE {spelled_name(window._staging.stages[op])}")
        if again.conflicts is not None or again.by_others is not None:
            raise TransientError(
                f"Table {self._changes.table}: rows changed meanwhile. Nothing of the window was written."
            )

    def _left_out(self, op: Op) -> pa.Table:
        """The staged rows that the statement of `op` leaves out, with the target's rows as they travel."""
        flags = {NO: pa.int64(), DONE: pa.bool_(), GONE: pa.bool_()}
        return self._looked_at(partial(left_out, self._staging, op), flags)

    def _looked_at(self, asked: Asked, facts: Mapping[str, pa.DataType]) -> pa.Table:
        """The answer to a question about staged rows: `facts` of each, then the target's row as it travels."""
        names = [each.found(self._staging.target.c[each.name]) for each in self._travels]
        rows = self._connection.execute(spelled(asked(names))).fetchall()
        count = len(facts)
        told = zip(*(row[:count] for row in rows), strict=True) if rows else ((),) * count
        arrays = [pa.array(values, kind) for values, kind in zip(told, facts.values(), strict=True)]
        found = found_values([row[count:] for row in rows], self._travels)
        return pa.table([*arrays, *found], names=[*facts, *self._changes.schema.names])

    def _run(self, op: Op) -> int:
        """One set-wise statement over the staged rows; how many rows it touched."""
        if op == "delete":
            return self._count(spelled(delete(self._staging)))
        if op == "insert":
            return self._count(self._insert(self._changes.schema.names, spelled(insertable(self._staging))))
        changed = changed_columns(self._changes)
        return self._count(spelled(update(self._staging, changed))) if changed else 0

    def _insert(self, names: Sequence[str], rows: str) -> str:
        columns = ", ".join(spelled_name(name) for name in names)
        return f"INSERT INTO {spelled_name(self._changes.table)} ({columns}) OVERRIDING SYSTEM VALUE {rows}"

    def _count(self, statement: str) -> int:
        return self._connection.execute(statement).rowcount

    def _is_referred_to(self) -> bool:
        query = "SELECT 1 FROM pg_catalog.pg_constraint WHERE contype = 'f' AND confrelid = %s::regclass"
        return self._connection.execute(query, [spelled_name(self._changes.table)]).fetchone() is not None

    def _replace(self) -> int:
        """Update rows that trade unique values: take them out and put them back changed, all columns kept.

        PostgreSQL checks a unique index row by row, so that a swap fails in one UPDATE.
        """
        staging, target = self._staging, self._changes.table
        columns = self._connection.execute(
            "SELECT attname::text FROM pg_catalog.pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 "
            "AND NOT attisdropped AND attgenerated = '' ORDER BY attnum",
            [spelled_name(target)],
        ).fetchall()
        names = [str(name) for (name,) in columns]
        stage = staging.stage("update")
        as_planned = sa.and_(staging.same_key("update"), staging.same_row("update", "b"))
        whole: Expression = sa.literal_column(f"{spelled_name(target)}.*")
        moved = sa.select(stage.c[NO].label("syncline no"), whole).where(as_planned).with_for_update(of=staging.target)
        self._connection.execute(f"CREATE TEMPORARY TABLE {spelled_name(MOVED)} ON COMMIT DROP AS {spelled(moved)}")
        taken = sa.delete(staging.target).where(as_planned)
        self._connection.execute(spelled(taken))
        kept = table(MOVED, ["syncline no", *names])
        changed = set(changed_columns(self._changes))
        values = [staging.staged("update", "a", name) if name in changed else kept.c[name] for name in names]
        back = sa.select(*values).select_from(kept.join(stage, kept.c["syncline no"] == stage.c[NO]))
        return self._count(self._insert(names, spelled(back)))
