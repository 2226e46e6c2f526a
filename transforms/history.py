"""What changes that were applied one after the other come to: net changes, and rows as they stood."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import replace

import numpy as np
import pyarrow as pa

from transforms import casts, keys
from transforms.diff import Comparison, diff
from transforms.keys import Mask, contiguous
from transforms.vocabulary import ChangeSet, Key, PlanError, TableName


def filtered(changes: ChangeSet, chosen: Callable[[pa.Table], Mask]) -> ChangeSet:
    """Only the changes of some rows: `chosen` is asked by the rows that are inserted, deleted, or about to be updated."""

    def some(rows: pa.Table, by: pa.Table) -> pa.Table:
        return rows.filter(pa.array(chosen(by))) if by.num_rows else rows

    return replace(
        changes,
        inserts=some(changes.inserts, changes.inserts),
        before=some(changes.before, changes.before),
        after=some(changes.after, changes.before),
        deletes=some(changes.deletes, changes.deletes),
    )


def without(changes: ChangeSet, left_alone: pa.Table) -> ChangeSet:
    """The changes but for those of some keys, which became conflicts.

    In: `left_alone` has the key's columns; its keys may be in no part of the change set.
    """
    if not left_alone.num_rows:
        return changes
    return filtered(changes, lambda rows: ~keys.contained(rows, left_alone, changes.key))


def together(windows: Sequence[ChangeSet]) -> ChangeSet:
    """Windows of one plan's table as one change set: no key is in two of them. Rows are shared, not copied."""

    def joined(name: str) -> pa.Table:
        return pa.concat_tables([getattr(window, name) for window in windows])

    return replace(
        windows[0],
        inserts=joined("inserts"),
        before=joined("before"),
        after=joined("after"),
        deletes=joined("deletes"),
    )


def net(parts: Sequence[ChangeSet], schema: pa.Schema | None = None) -> ChangeSet:
    """One change set that does what `parts` do one after the other.

    In: changes of one table by one key, oldest first; within a part each key at most once. Images may have other columns
        in each part: a column that a part does not have is null there.
    Out: at most one change a key, in `schema` or the newest part's; a row that comes back to what it was is in none.
        The newest part says which columns are compared.
    Errors: PlanError where the key changed, or a column's type so that a value cannot be carried over.
    Law: applying the result does what applying the parts in turn does.
    """
    newest = parts[-1]
    schema = schema or newest.schema
    table, key = newest.table, newest.key
    for part in parts:
        if part.key != key:
            raise PlanError(
                f"{table}: rows were matched by {_named(part.key)} and later by {_named(key)}, so that changes of both times "
                f"cannot be added up. Fix: choose versions on one side of that change."
            )
    if len(parts) == 1 and newest.schema.equals(schema):
        return newest
    lines: list[pa.Table] = []
    old: list[pa.Table] = []
    new: list[pa.Table] = []
    was: list[Mask] = []
    is_: list[Mask] = []
    for part in parts:
        for before, after in ((part.before, part.after), (None, part.inserts), (part.deletes, None)):
            known = before if before is not None else after
            assert known is not None
            lines.append(shaped(known.select(list(key)), _narrow(schema, key), table))
            was.append(np.full(known.num_rows, before is not None))
            is_.append(np.full(known.num_rows, after is not None))
            old += [shaped(before, schema, table)] if before is not None else []
            new += [shaped(after, schema, table)] if after is not None else []
    whole = pa.concat_tables(lines)
    if not whole.num_rows:
        return replace(newest, **dict.fromkeys(("inserts", "before", "after", "deletes"), schema.empty_table()))
    first, last = _ends(keys.codes([whole], key)[0])
    found = _taken(old, np.concatenate(was), first)
    wanted = _taken(new, np.concatenate(is_), last)
    every = Comparison(key, tuple(name for name in schema.names if name not in key))
    changes = diff(table, wanted, found, every).changes
    return replace(changes, compared=tuple(name for name in newest.compared if name in schema.names))


def rolled(rows: pa.Table, parts: Sequence[ChangeSet], schema: pa.Schema) -> pa.Table:
    """Rows after changes that were applied one after the other.

    In: unique whole keys. Out: `schema`, in no particular order. Memory: the rows and the changes.
    """
    if not parts:
        return rows
    changes = net(parts, schema)
    rows = shaped(rows, schema, changes.table)
    key = list(changes.key)
    touched = pa.concat_tables([part.select(key) for part in (changes.before, changes.inserts, changes.deletes)])
    if rows.num_rows and touched.num_rows:
        rows = rows.filter(pa.array(~keys.contained(rows, touched, changes.key)))
    return pa.concat_tables([rows, changes.after, changes.inserts])


def shaped(rows: pa.Table, schema: pa.Schema, table: TableName) -> pa.Table:
    """Rows in another shape: a column that they lack is null, one that the schema lacks is left out.

    Errors: PlanError where a value cannot be carried into a column's type without loss.
    """
    if rows.schema.equals(schema):
        return rows
    columns = [
        _carried(contiguous(rows.column(field.name)), field, table)
        if field.name in rows.column_names
        else pa.nulls(rows.num_rows, field.type)
        for field in schema
    ]
    return pa.Table.from_arrays(columns, schema=schema)


def _carried(values: pa.Array, field: pa.Field, table: TableName) -> pa.Array:
    if values.type == field.type:
        return values
    cast = casts.cast(values, casts.Cast(field.type))
    if cast.bad.any():
        bad = values[int(np.flatnonzero(cast.bad)[0])]
        raise PlanError(
            f"{table}.{field.name} was {values.type} and became {field.type}, and {bad} cannot be carried over. "
            f"Fix: choose versions on one side of that change."
        )
    return cast.values


def _ends(numbers: keys.Indices) -> tuple[keys.Indices, keys.Indices]:
    """For each distinct number from 0 the positions where it comes first and where it comes last."""
    size = int(numbers.max()) + 1
    positions = np.arange(len(numbers), dtype=np.int64)
    first = np.empty(size, dtype=np.int64)
    last = np.empty(size, dtype=np.int64)
    last[numbers] = positions  # of several assignments to one place the latter counts
    first[numbers[::-1]] = positions[::-1]
    order = np.argsort(first, kind="stable")
    return first[order], last[order]


def _taken(images: Iterable[pa.Table], there: Mask, lines: keys.Indices) -> pa.Table:
    """The images of some lines, as far as they have one. In: `there` says of each line whether `images` has a row for it."""
    place = np.cumsum(there) - 1
    return pa.concat_tables(list(images)).take(pa.array(place[lines[there[lines]]]))


def _narrow(schema: pa.Schema, names: Key) -> pa.Schema:
    return pa.schema([schema.field(name) for name in names])


def _named(key: Key) -> str:
    return f"({', '.join(key)})"
