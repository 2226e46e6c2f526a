"""Staged changes: the set-wise statements that apply one window, the same for every SQL engine.

A window's deletes, updates and inserts are staged in a table each (a temporary table, or a view over Arrow): column
`no` numbers the rows from 0, `a0, a1, …` hold the after image and `b0, b1, …` the before image, by the position of
the column in the change set. Every statement carries its precondition, so its row count says whether all went in;
where it did not, `left_out` says which rows were done already and which are conflicts.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import sqlalchemy as sa

from adapters.sql.statements import Expression, table, trusted
from transforms.vocabulary import Applied, ChangedMeanwhile, ChangeSet, ColumnShape, Key, Op, RowRefused, TableName
from transforms.vocabulary.arrow import contiguous
from transforms.vocabulary.values import same_rows

NO: Final = "syncline_no"
DONE: Final = "syncline_done"
GONE: Final = "syncline_gone"
SWALLOWED: Final = "the target did not keep it, without an error (a trigger or rule?)"


def _as_it_is(value: Expression) -> Expression:
    return value


@dataclass(frozen=True, slots=True)
class Written:
    """A column on the way in: `cast` makes a staged value the column's, `compare` makes two values comparable.

    `match` does so for values of a key, where their index does not serve them as they are. `folded`: the engine's own
    `=` takes different values for one, so that those of a key have to be equal as `compare` makes them, too.
    """

    name: str
    cast: Callable[[Expression], Expression] = _as_it_is
    compare: Callable[[Expression], Expression] = _as_it_is
    match: Callable[[Expression], Expression] = _as_it_is
    folded: bool = False


@dataclass(frozen=True)
class Staging:
    """One window's changes of one table as SQL sees them.

    `columns` are the change set's columns in order. `stages` gives the staged table of each operation; stage
    columns that a statement does not use need not exist (see `staged_rows`). `own_rows`: those of tables that inherit
    from this one are left alone. `owns` as in ChangeSet.
    """

    table: TableName
    columns: tuple[Written, ...]
    key: Key
    compared: tuple[str, ...]
    stages: dict[Op, TableName]
    own_rows: bool = False
    owns: str | None = None

    @cached_property
    def target(self) -> sa.TableClause:
        return table(self.table, [each.name for each in self.columns], own_rows=self.own_rows)

    @cached_property
    def staged_tables(self) -> dict[Op, sa.TableClause]:
        names = [NO, *(f"{image}{i}" for image in "ab" for i in range(len(self.columns)))]
        return {op: table(name, names) for op, name in self.stages.items()}

    def stage(self, op: Op) -> sa.TableClause:
        return self.staged_tables[op]

    def staged(self, op: Op, image: str, name: str) -> Expression:
        """A staged value as the target column's: image "a" is after, "b" is before."""
        position = next(i for i, each in enumerate(self.columns) if each.name == name)
        return self.columns[position].cast(self.stage(op).c[f"{image}{position}"])

    def compare(self, name: str) -> Callable[[Expression], Expression]:
        return next(each.compare for each in self.columns if each.name == name)

    def same_key(self, op: Op) -> Expression:
        image = "a" if op == "insert" else "b"
        columns = {each.name: each for each in self.columns}
        clauses = []
        for name in self.key:
            column, mine, staged = columns[name], self.target.c[name], self.staged(op, image, name)
            clauses.append(column.match(mine) == column.match(staged))
            if column.folded:
                clauses.append(column.compare(mine) == column.compare(staged))
        return sa.and_(*clauses)

    @property
    def owned(self) -> Expression | sa.TextClause:
        """The target row is one of those that the table owns; null is no yes."""
        return trusted(f"(CASE WHEN ({self.owns}\n) THEN 1 ELSE 0 END = 1)") if self.owns else sa.true()

    @property
    def foreign(self) -> Expression | sa.TextClause:
        """The target row is none of those that the table owns."""
        return trusted(f"(CASE WHEN ({self.owns}\n) THEN 1 ELSE 0 END = 0)") if self.owns else sa.false()

    def same_row(self, op: Op, image: str) -> Expression:
        """The target row is the table's own, and its compared columns are those of an image; nulls are equal to nulls."""
        return sa.and_(sa.true(), self.owned, self.same_values(op, image, self.compared))

    def same_values(self, op: Op, image: str, names: Iterable[str]) -> Expression:
        """Some columns of the target row are those of an image, whoever owns it; nulls are equal to nulls."""
        clauses = []
        for name in names:
            if name not in self.key:
                compare = self.compare(name)
                clauses.append(compare(self.target.c[name]).is_not_distinct_from(compare(self.staged(op, image, name))))
        return sa.and_(sa.true(), *clauses)


def staged_rows(changes: ChangeSet, op: Op) -> pa.Table:
    """The rows to stage for an operation: `no`, then the columns that its statements look at."""
    key_and_compared = {*changes.key, *changes.compared}
    arrays: dict[str, Any] = {}
    if op != "delete":
        rows = changes.inserts if op == "insert" else changes.after
        arrays.update({f"a{i}": rows.column(i) for i in range(rows.num_columns)})
    if op != "insert":
        rows = changes.deletes if op == "delete" else changes.before
        names = rows.column_names
        arrays.update({f"b{i}": rows.column(i) for i, name in enumerate(names) if name in key_and_compared})
    return pa.table({NO: pa.array(np.arange(rows.num_rows, dtype=np.int32)), **arrays})


def changed_columns(changes: ChangeSet) -> tuple[str, ...]:
    """The columns that at least one update gives a new value: only these are set."""
    return tuple(name for name in changes.after.column_names if not changes.after[name].equals(changes.before[name]))


def delete(staging: Staging) -> sa.Delete:
    """Delete the rows that are as planned."""
    as_planned = sa.and_(staging.same_key("delete"), staging.same_row("delete", "b"))
    return sa.delete(staging.target).where(as_planned)


def update(staging: Staging, columns: Sequence[str]) -> sa.Update:
    """Set `columns` of the rows that are as planned."""
    values = {staging.target.c[name]: staging.staged("update", "a", name) for name in columns}
    as_planned = sa.and_(staging.same_key("update"), staging.same_row("update", "b"))
    return sa.update(staging.target).values(values).where(as_planned)


def insert(staging: Staging) -> sa.Insert:
    """Insert the rows whose key is free."""
    names = [each.name for each in staging.columns]
    return sa.insert(staging.target).from_select(names, insertable(staging), include_defaults=False)


def insertable(staging: Staging) -> sa.Select[Any]:
    """The staged rows whose key is free, as the target's columns."""
    taken = sa.exists(sa.select(sa.literal_column("1")).select_from(staging.target).where(staging.same_key("insert")))
    stage = staging.stage("insert")
    values = [staging.staged("insert", "a", each.name) for each in staging.columns]
    return sa.select(*values).select_from(stage).where(~taken.correlate(stage))


def left_out(staging: Staging, op: Op, found: Sequence[Expression] = ()) -> sa.Select[Any]:
    """The staged rows that the statement of `op` would leave out: `no`, `done` (already as wanted), `gone`, `found`.

    Those not done are the conflicts, and `found` are expressions over `staging.target` that show what is there
    instead. A row that the table does not own is as good as gone, but its key is taken. To be asked before the
    statement, in its transaction.
    """
    stage, target = staging.stage(op), staging.target
    gone = target.c[staging.key[0]].is_(None)
    none = sa.false()
    as_planned: Expression
    done: Expression
    if op == "delete":
        as_planned, done = sa.and_(~gone, staging.same_row(op, "b")), gone
    elif op == "update":
        as_planned, done = sa.and_(~gone, staging.same_row(op, "b")), sa.and_(~gone, staging.same_row(op, "a"))
    else:
        as_planned, done = gone, sa.and_(~gone, staging.same_row(op, "a"))
    missed = sa.or_(gone, staging.foreign) if staging.owns else gone
    return (
        sa.select(stage.c[NO], sa.func.coalesce(done, none).label(DONE), missed.label(GONE), *found)
        .select_from(stage.outerjoin(target, staging.same_key(op)))
        .where(~sa.func.coalesce(as_planned, none))
    )


@dataclass(frozen=True, slots=True)
class LeftOut:
    """Staged rows that a statement leaves out, by number: done by others, as planned in another spelling, conflicts.

    `found` holds the target's rows that the engine calls different: `no`, then the change set's columns.
    """

    done: list[int]
    alike: list[int]
    conflicts: list[int]
    found: pa.Table


def settled(changes: ChangeSet, op: Op, out: pa.Table, columns: Iterable[ColumnShape]) -> LeftOut:
    """Compare by value what the engine calls different. In: `left_out`, with the target's rows as they travel.

    One value can be stored in several ways: texts of dates, or JSON.
    """
    numbers = out[NO].cast(pa.int64())
    done, gone = (set(numbers.filter(out[name].cast(pa.bool_())).to_pylist()) for name in (DONE, GONE))
    different = out.filter(pc.invert(pc.or_(out[DONE].cast(pa.bool_()), out[GONE].cast(pa.bool_()))))
    different = different.drop_columns([DONE, GONE])
    there = different[NO].cast(pa.int64())
    images = {
        "insert": (None, changes.inserts), "update": (changes.before, changes.after), "delete": (changes.deletes, None),
    }[op]  # fmt: skip
    compared = tuple(name for name in changes.compared if name not in changes.key)
    meanings = {each.name: each.meaning for each in columns}

    def alike(image: pa.Table | None) -> set[int]:
        if image is None or not len(there):
            return set()
        return set(there.filter(pa.array(same_rows(different, image.take(there), compared, meanings))).to_pylist())

    as_planned, as_wanted = map(alike, images)
    done |= as_wanted
    conflicts = (set(there.to_pylist()) | gone) - done - as_planned
    return LeftOut(sorted(done), sorted(as_planned - done), sorted(conflicts), different)


def untouched(changes: ChangeSet, op: Op, left_out: pa.Table, names: str) -> Exception:
    """Why a statement touched fewer rows than it should have. In: `left_out` asked once more, behind the statement.

    Rows that are still as planned were kept out by the target itself: trying again does not help. Else others were faster.
    """
    numbers = set(range(changes.counts[op])) - set(left_out[NO].to_pylist())
    if not numbers:
        return ChangedMeanwhile(f"Table {changes.table}: rows changed meanwhile. Nothing of the window was written.")
    return swallowed(changes, op, numbers, names)


def swallowed(changes: ChangeSet, op: Op, numbers: Collection[int], names: str) -> RowRefused:
    """The target has not done what it was to do with these staged rows, and said nothing."""
    known = {"insert": changes.inserts, "update": changes.before, "delete": changes.deletes}[op]
    some = known.select(list(changes.key)).take(pa.array(sorted(numbers)[:3], pa.int64())).to_pylist()
    shown = "; ".join(", ".join(f"{name} = {value!r}" for name, value in key.items()) for key in some)
    return RowRefused(
        f"Table {changes.table}: the target does not carry out the {op} of {len(numbers):,} rows, such as {shown}: {names} "
        f"takes them away without an error. Nothing of the window was written.",
        SWALLOWED,
        fix="correct or leave out these rows, or the trigger.",
    )


def respelled(changes: ChangeSet, op: Op, left: LeftOut) -> ChangeSet:
    """The changes of rows that are as planned in another spelling, with what is there in the place of what was planned."""
    numbers = pa.array(left.alike, pa.int64())
    place = pc.index_in(numbers, value_set=left.found[NO].cast(pa.int64()).combine_chunks())
    there = left.found.drop_columns([NO]).rename_columns(changes.schema.names).cast(changes.schema).take(place)
    none = changes.schema.empty_table()
    bare = replace(changes, inserts=none, before=none, after=none, deletes=none)
    if op == "delete":
        return replace(bare, deletes=there)
    return replace(bare, before=there, after=changes.after.take(numbers))


def conflict_rows(changes: ChangeSet, op: Op, numbers: Sequence[int], found: pa.Table) -> pa.Table:
    """The rows of Applied.conflicts for the staged rows `numbers`.

    `found` holds the target's rows: `no`, then the change set's columns; a number that is not in it is gone.
    """
    wanted = pa.array(numbers, pa.int64())
    positions = pc.index_in(wanted, value_set=found.column(0).cast(pa.int64()).combine_chunks())
    rows = found.select(list(range(1, found.num_columns))).rename_columns(changes.schema.names)
    there = _structs(rows.cast(changes.schema)).take(positions)
    return unwritten(changes, op, numbers).append_column("found", there)


def by_others(changes: ChangeSet, op: Op, numbers: Sequence[int]) -> pa.Table | None:
    """The rows of Applied.by_others for the staged rows `numbers`; None for none."""
    return unwritten(changes, op, numbers) if numbers else None


def unwritten(changes: ChangeSet, op: Op, numbers: Sequence[int]) -> pa.Table:
    """Staged rows that are not written: op, key, before and after."""
    wanted = pa.array(numbers, pa.int64())
    images = {
        "insert": (None, changes.inserts),
        "update": (changes.before, changes.after),
        "delete": (changes.deletes, None),
    }[op]
    empty = pa.nulls(len(wanted), pa.struct(changes.schema))
    before, after = (empty if image is None else _structs(image.take(wanted)) for image in images)
    known = images[1] if images[0] is None else images[0]
    ops = pa.array([op] * len(wanted), pa.string())
    return pa.table(
        {"op": ops, "key": _structs(known.select(list(changes.key)).take(wanted)), "before": before, "after": after}
    )


def applied(counts: Mapping[Op, int], left: Sequence[tuple[pa.Table | None, pa.Table | None]]) -> Applied:
    """What a window did, where `counts` of its rows were planned and `left` are those that were not written: for each
    operation what was done by others, and conflicts."""
    done = [each for each, _ in left if each is not None]
    conflicts = [each for _, each in left if each is not None]
    written = dict(counts)
    for part in (*done, *conflicts):
        written[part["op"][0].as_py()] -= part.num_rows
    return Applied(
        written["insert"],
        written["update"],
        written["delete"],
        pa.concat_tables(conflicts) if conflicts else None,
        pa.concat_tables(done) if done else None,
    )


def _structs(rows: pa.Table) -> pa.Array:
    """Rows as one array of structs."""
    return contiguous(rows.to_struct_array())
