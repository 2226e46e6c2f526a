"""Writing MariaDB and MySQL: one window's changes in one transaction, by LOAD DATA LOCAL and set-wise statements."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from functools import cached_property, partial
from typing import Any, Final

import pyarrow as pa
import pyarrow.compute as pc
import pymysql
import sqlalchemy as sa

from adapters.feeds.triggers import is_log
from adapters.mysql.arrow import arrived
from adapters.mysql.catalog import Described
from adapters.mysql.connection import UNFIT, Connection, code_of, refused, rows, run
from adapters.mysql.load_data import first_warning, load, name_of
from adapters.mysql.references import BROKEN, Reference, carries, children_first, holds, known, referring, unchecked
from adapters.mysql.snapshot import spelled
from adapters.mysql.types import Travel
from adapters.mysql.wire import MARK, Answer, cut
from adapters.sql.read_back import Asked, left_behind, rewritten, with_rewritten
from adapters.sql.refused import FIX
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
    left_out,
    respelled,
    settled,
    staged_rows,
    untouched,
)
from transforms.vocabulary import (
    Applied,
    ChangeSet,
    DataError,
    ForeignKey,
    Op,
    Relation,
    RowRefused,
    SynclineError,
    TableName,
    TransientError,
)
from transforms.vocabulary.times import finer

ORDER: Final[tuple[Op, ...]] = ("delete", "update", "insert")
MOVED: Final = TableName("syncline_moved")
MOVED_NO: Final = "syncline no"
Left = tuple[pa.Table | None, pa.Table | None]
"""What a statement left out: rows that others had brought to what was planned, and conflicts, as in Applied."""

HASHING: Final = 4
HELD: Final = 1451  # rows refer to it
TAKEN: Final = 1062  # another row has that unique value
TRIGGERED: Final = """SELECT TRIGGER_NAME FROM information_schema.TRIGGERS
WHERE EVENT_OBJECT_SCHEMA = COALESCE(%s, DATABASE()) AND EVENT_OBJECT_TABLE = %s"""
SHOWN: Final = 80  # characters of a value in a message

_STAGED: Final = re.compile(r"['`]([ab])(\d+)['`]")
_ROW: Final = re.compile(r"at row (\d+)")


class Window:
    """The changes of one window on their way in, inside the transaction of `connection`."""

    def __init__(self, connection: Connection, changes: ChangeSet, described: Described, *, again: int = 0) -> None:
        self._connection = connection
        self._again_no = again
        self._stages: Mapping[Op, TableName] = {op: TableName(f"syncline_{op}{again or ''}") for op in ORDER}
        self._unwritten: dict[Op, Collection[int]] = {}  # of each operation that was staged: the rows that it left out
        self._changes = changes
        self._described, self._shape = described, described.shape
        self._indexes = described.indexes
        self._mariadb = any(each.server.mariadb for each in described.travels.values())
        missing = [name for name in changes.schema.names if name not in described.travels]
        if missing:
            raise SynclineError(
                f"Table {changes.table} has no column {missing[0]!r}, which the plan writes.",
                fix="plan again; the table was changed since.",
            )
        self._travels = [described.travels[name] for name in changes.schema.names]
        self._stored = tuple(name for name, each in described.travels.items() if not each.shape.generated)
        # of these a trigger has to make something, and it is only let do so where null is given
        self._filled = [
            each.name for each in self._shape.columns if each.required and each.name not in changes.schema.names
        ]
        for each in self._travels:
            self._must_fit(each)

    def _must_fit(self, travel: Travel) -> None:
        """Refuse what the server would round, or has no notation for."""
        arrives = self._changes.schema.field(travel.name).type
        where = f"Table {self._changes.table}, column {travel.name!r}"
        if arrives != travel.shape.type:
            raise SynclineError(
                f"{where}: the plan writes {arrives}, but the column takes {travel.shape.type}.",
                fix="plan again; the table was changed since.",
            )
        for rows_ in (self._changes.inserts, self._changes.after):
            values, digits = rows_[travel.name], travel.shape.digits
            if pa.types.is_floating(arrives) and not pc.all(pc.is_finite(values), min_count=0).as_py():
                raise DataError(
                    f"{where}: NaN and infinities cannot be stored.", fix="quarantine or replace them in the mapping."
                )
            if digits is not None and pc.any(finer(values, digits)).as_py():
                raise DataError(
                    f"{where}: a time has more than {digits} fractional digits, and {travel.shape.native} would round it.",
                    fix="round it in the mapping.",
                )

    def load(self) -> bool:
        """Load the inserts straight into the table. False, with nothing done, where a row does not go in."""
        if self._filled:
            return False
        run(self._connection, "SAVEPOINT syncline_load")
        rows_ = self._changes.inserts
        loaded = load(self._connection, self._changes.table, rows_.column_names, self._travels, rows_)
        if loaded.warning is None and loaded.count == rows_.num_rows:
            return True
        run(self._connection, "ROLLBACK TO SAVEPOINT syncline_load")
        return False

    def change(self) -> Applied:
        """Stage the changes and apply them: deletes, updates, inserts; what is not as planned becomes a conflict."""
        self._join_by_hashing(not any(each.columns[0] in self._changes.key for each in self._indexes))
        counts = self._changes.counts
        left: list[Left] = []
        for op in ORDER:
            if counts[op]:
                self._stage(op)
                left.append(self._apply(op))
        return applied(counts, left)

    def as_left(self, applied: Applied) -> Applied:
        """What `change` did, with the rows that triggers made something else of. RowRefused where one gave a written row another
        key. Lets go of what was staged."""
        if self._unwritten and self.triggered:
            applied = with_rewritten(applied, [self._read_back(op) for op in self._unwritten])
        self._drop()
        return applied

    def _drop(self) -> None:
        dropped = ", ".join(map(name_of, [*(self._stages[op] for op in self._unwritten), MOVED]))
        run(self._connection, f"DROP TEMPORARY TABLE IF EXISTS {dropped}")

    def _join_by_hashing(self, wanted: bool) -> None:
        """How a key without an index is joined. MariaDB would do so where there is one, too, and be slower by far."""
        if self._mariadb:
            run(self._connection, f"SET SESSION join_cache_level = {HASHING if wanted else 'DEFAULT'}")

    # Staging

    @cached_property
    def _staging(self) -> Staging:
        columns = tuple(each.written() for each in self._travels)
        return Staging(
            self._changes.table,
            columns,
            self._changes.key,
            self._changes.compared,
            dict(self._stages),
            owns=self._changes.owns,
        )

    def _stage(self, op: Op) -> None:
        rows_, stage = staged_rows(self._changes, op), self._stages[op]
        names = [name for name in rows_.column_names if name != NO]
        travels = [self._travels[int(name[1:])] for name in names]
        types = [
            f"{name_of(name)} {each.staged_type(key=each.name in self._changes.key)}"
            for name, each in zip(names, travels, strict=True)
        ]
        listed = ", ".join([f"{NO} INT NOT NULL PRIMARY KEY", *types])
        run(self._connection, f"DROP TEMPORARY TABLE IF EXISTS {name_of(stage)}")
        run(self._connection, f"CREATE TEMPORARY TABLE {name_of(stage)} ({listed}) ENGINE=InnoDB")
        loaded = load(self._connection, stage, rows_.column_names, [None, *travels], rows_)
        if loaded.warning is not None or loaded.count != rows_.num_rows:
            raise self._refused(loaded.warning or (0, f"{rows_.num_rows - loaded.count} rows were left out"), op, rows_)

    def _refused(self, warning: tuple[int, str], op: Op, staged: pa.Table) -> RowRefused:
        """What the server said of a staged row, in the words of the table: column, key and value."""
        column, row = _STAGED.search(warning[1]), _ROW.search(warning[1])
        text = _STAGED.sub(lambda each: repr(self._travels[int(each[2])].name), warning[1])
        at = int(row[1]) - 1 if row else -1
        if column and 0 <= at < staged.num_rows:
            image = "a" if op == "insert" else "b"
            names = self._changes.schema.names
            key = ", ".join(
                f"{name} = {_shown(staged[f'{image}{names.index(name)}'], at)}" for name in self._changes.key
            )
            text += f"; {key}, value {_shown(staged[column[1] + column[2]], at)}"
        kind = refused(warning[0])
        return RowRefused(f"Table {self._changes.table}: {text}.", warning[1], kind=kind, fix=FIX[kind])

    # Applying

    def _apply(self, op: Op) -> Left:
        """Run the statement of `op`. Out: what needed no writing, and the conflicts, where it could not do all of it."""
        planned = self._changes.counts[op]
        run(self._connection, "SAVEPOINT syncline_op")
        try:
            if self._run(op) == planned:
                self._unwritten[op] = ()
                return None, None
        except pymysql.Error as error:
            if op == "delete" or code_of(error) != TAKEN:
                raise
        run(self._connection, "ROLLBACK TO SAVEPOINT syncline_op")
        left = settled(self._changes, op, self._left_out(op), self._shape.columns)
        try:
            done = self._run(op)
        except pymysql.Error as error:
            if op != "update" or code_of(error) != TAKEN:
                raise
            run(self._connection, "ROLLBACK TO SAVEPOINT syncline_op")
            done = self._replace(error)
        expected = planned - len(left.done) - len(left.alike) - len(left.conflicts)
        if done > expected:
            raise DataError(
                f"Table {self._changes.table}: several rows have one key ({', '.join(self._changes.key)}).",
                fix="choose a key that is unique in the target.",
            )
        if done < expected:
            raise untouched(self._changes, op, self._left_out(op), "a trigger")
        self._unwritten[op] = [*left.done, *left.conflicts]
        if left.alike:
            self._again(op, left)
        conflicts = conflict_rows(self._changes, op, left.conflicts, left.found) if left.conflicts else None
        return by_others(self._changes, op, left.done), conflicts

    def _read_back(self, op: Op) -> pa.Table | None:
        behind = self._looked_at(partial(left_behind, self._staging, op), (NO, GONE))
        return rewritten(self._changes, op, behind, self._unwritten[op], self._shape.columns, "a trigger")

    @cached_property
    def triggered(self) -> bool:
        """Whether the table has triggers that this user may see, and that may do something with a row."""
        name = self._changes.table
        return any(not is_log(str(each)) for (each,) in rows(self._connection, TRIGGERED, [name.schema, name.name]))

    def _again(self, op: Op, left: LeftOut) -> None:
        """Write the rows that are as planned in another spelling, where they are still as they were found."""
        respelled_ = respelled(self._changes, op, left)
        window = Window(self._connection, respelled_, self._described, again=self._again_no + 1)
        again = window.change()
        window._drop()
        if again.conflicts is not None or again.by_others is not None:
            raise TransientError(
                f"Table {self._changes.table}: rows changed meanwhile. Nothing of the window was written."
            )

    def _run(self, op: Op) -> int:
        """One set-wise statement over the staged rows; how many rows it touched."""
        staging, target = self._staging, name_of(self._changes.table)
        stage = name_of(self._stages[op])
        if op == "insert":
            gone = spelled(staging.target.c[self._changes.key[0]].is_(None))
            rows_ = f"FROM {stage} LEFT JOIN {target} ON {spelled(staging.same_key(op))} WHERE {gone}"
            names = [*self._changes.schema.names, *self._filled]
            given = [spelled(staging.staged(op, "a", name)) for name in self._changes.schema.names]
            listed = ", ".join([*given, *["NULL" for _ in self._filled]])
            return self._referred(op, f"{self._inserting(names)} SELECT {listed} {rows_}")
        # the order of the join is said, because the server knows nothing of the staged rows yet
        joined = f"{stage} STRAIGHT_JOIN {target} ON {spelled(staging.same_key(op))}"
        as_planned = spelled(staging.same_row(op, "b"))
        if op == "delete":
            if self._within and not known(self._staging, self._referring):
                return children_first(self._touched, self._changes, self._within, joined, as_planned)
            return self._referred(op, f"DELETE FROM {target} USING {joined} WHERE {as_planned}")  # noqa: S608
        changed = changed_columns(self._changes)
        renewed = [each.name for each in self._travels if each.declared.renewed and each.name not in changed]
        changed += tuple(renewed) if changed else ()  # what is not set would get the time of the update
        values = ", ".join(f"{target}.{name_of(name)} = {spelled(staging.staged(op, 'a', name))}" for name in changed)
        return self._referred(op, f"UPDATE {joined} SET {values} WHERE {as_planned}") if changed else 0  # noqa: S608

    def _inserting(self, names: Any) -> str:
        return f"INSERT INTO {name_of(self._changes.table)} ({', '.join(map(name_of, names))})"

    def _referred(self, op: Op, statement: str) -> int:
        """Run a statement. Where rows of the table refer to each other, they are looked at when all are done."""
        if carries(op, self._within) and known(self._staging, self._referring):
            with unchecked(self._connection):
                done = self._touched(statement)
            if not holds(self._connection, self._staging, op, self._shape, self._referring):
                text = f"rows still refer to what the {op} takes away"
                raise RowRefused(
                    f"Table {self._changes.table}: {text}.", text, kind=refused(HELD), fix=FIX[refused(HELD)]
                )
            return done
        try:
            return self._touched(statement)
        except pymysql.Error as error:
            if code_of(error) not in BROKEN or not self._within:
                raise
            if op != "insert" and not known(self._staging, self._referring):
                raise
            with unchecked(self._connection):
                done = self._touched(statement)
            if not holds(self._connection, self._staging, op, self._shape, self._referring):
                raise
            return done

    @cached_property
    def _within(self) -> tuple[ForeignKey, ...]:
        """The foreign keys by which rows of the table refer to each other."""
        return tuple(key for key in self._shape.foreign_keys if key.refers == self._changes.table)

    def _touched(self, statement: str) -> int:
        """How many rows a statement touched. It may warn of nothing that is an error in a value."""
        count = run(self._connection, statement)
        if self._connection._result.warning_count:
            code, text = first_warning(self._connection)
            if code in UNFIT:
                raise RowRefused(
                    f"Table {self._changes.table}: {text}.", text, kind=refused(code), fix=FIX[refused(code)]
                )
        return count

    @cached_property
    def _referring(self) -> tuple[Reference, ...]:
        return referring(self._connection, self._changes.table)

    def _left_out(self, op: Op) -> pa.Table:
        """The staged rows that the statement of `op` leaves out, with the target's rows as they travel."""
        return self._looked_at(partial(left_out, self._staging, op), (NO, DONE, GONE))

    def _looked_at(self, asked: Asked, facts: Sequence[str]) -> pa.Table:
        """The answer to a question about staged rows: `facts` of each, which are numbers, then the target's row as it travels."""
        target, count = self._staging.target, len(facts)
        found = [each.read(target.c[each.name]).label(f"syncline:{i}") for i, each in enumerate(self._travels)]
        answer = Answer(self._connection, f"SELECT {MARK}, q.* FROM ({spelled(asked(found))}) q")  # noqa: S608
        schema = pa.schema(
            [*((name, pa.int64()) for name in facts), *((each.name, each.shape.type) for each in self._travels)]
        )
        parts = [schema.empty_table()]
        while (block := answer.block()) is not None:
            arrays = cut(block, count + len(self._travels))
            images = [
                arrived(array, each, Relation(self._changes.table))[0]
                for array, each in zip(arrays[count:], self._travels, strict=True)
            ]
            numbers = (each.cast(pa.string()).cast(pa.int64()) for each in arrays[:count])
            parts.append(pa.table([*numbers, *images], schema=schema))
        return pa.concat_tables(parts)

    def _replace(self, error: pymysql.Error) -> int:
        """Update rows that trade unique values: take them out and put them back changed, all columns kept.

        A unique index is looked at row by row, so that a swap fails in one UPDATE.
        """
        changed = changed_columns(self._changes)
        if any(set(changed) & set(each.refers) for each in self._referring):
            raise RowRefused(
                f"Table {self._changes.table}: {error.args[1]}. Rows that trade unique values cannot be replaced, because "
                "foreign keys refer to these values.",
                str(error.args[1]),
                fix="correct the rows, or remove the foreign keys meanwhile.",
            ) from error
        staging, stage, target, moved = (
            self._staging,
            name_of(self._stages["update"]),
            name_of(self._changes.table),
            name_of(MOVED),
        )
        same = sa.and_(staging.same_key("update"), staging.same_row("update", "b"))
        joined = f"{stage} STRAIGHT_JOIN {target} ON {spelled(same)}"
        kept = ", ".join(f"{target}.{name_of(name)}" for name in self._stored)
        no = f"{stage}.{NO} AS {name_of(MOVED_NO)}"
        taken = run(self._connection, f"CREATE TEMPORARY TABLE {moved} ENGINE=InnoDB SELECT {no}, {kept} FROM {joined}")  # noqa: S608
        with unchecked(self._connection):  # what is referred to comes back at once, and is checked then in its turn
            if self._touched(f"DELETE FROM {target} USING {joined}") != taken:  # noqa: S608
                raise TransientError(
                    f"Table {self._changes.table}: rows changed meanwhile. Nothing of the window was written."
                )
        values = ", ".join(
            spelled(staging.staged("update", "a", name)) if name in changed else f"{moved}.{name_of(name)}"
            for name in self._stored
        )
        back = f"{moved} STRAIGHT_JOIN {stage} ON {moved}.{name_of(MOVED_NO)} = {stage}.{NO}"
        return self._referred("update", f"{self._inserting(self._stored)} SELECT {values} FROM {back}")  # noqa: S608


def _shown(values: pa.ChunkedArray, at: int) -> str:
    """A value as a message shows it."""
    one = values.slice(at, 1)
    if pa.types.is_binary(one.type):
        return f"x'{(one[0].as_py() or b'')[: SHOWN // 2].hex()}'"
    return repr(one.cast(pa.string())[0].as_py())[:SHOWN]
