"""What changes that were applied one after the other come to: net changes, and rows as they stood."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from dataclasses import replace
from typing import Final, Literal

import numpy as np
import pyarrow as pa

from transforms import keys
from transforms.diff import Comparison, diff
from transforms.mapping import casts
from transforms.vocabulary import ChangeSet, Key, PlanError, TableName
from transforms.vocabulary.arrow import Indices, Mask, contiguous
from transforms.vocabulary.values import same_rows

IMAGES: Final = ("inserts", "before", "after", "deletes")


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


def changed_keys(changes: ChangeSet) -> pa.Table:
    """The keys of all rows that are changed."""
    key = list(changes.key)
    return pa.concat_tables([rows.select(key) for rows in (changes.inserts, changes.before, changes.deletes)])


def without(changes: ChangeSet, left_alone: pa.Table) -> ChangeSet:
    """The changes but for those of some keys, which became conflicts.

    In: `left_alone` has the key's columns; its keys may be in no part of the change set.
    """
    if not left_alone.num_rows:
        return changes
    return filtered(changes, lambda rows: ~keys.contained(rows, left_alone, changes.key))


def as_made(changes: ChangeSet, made: pa.Table) -> ChangeSet:
    """The changes with what the target itself made of rows that were inserted or updated, in the place of what was written.

    In: `made` are whole images, no key twice; keys that are not in the change set do not count.
    """
    return _with_images(changes, made, ("inserts", "after"))


def as_found(changes: ChangeSet, made: pa.Table) -> ChangeSet:
    """The changes with what the target itself had made of rows before they are updated or deleted, as of `as_made`."""
    return _with_images(changes, made, ("before", "deletes"))


def _with_images(changes: ChangeSet, made: pa.Table, images: Sequence[str]) -> ChangeSet:
    known = made.select(changes.schema.names).cast(changes.schema)

    def there(rows: pa.Table) -> pa.Table:
        place = keys.match(rows, known, changes.key) if rows.num_rows else np.array([], np.int64)
        if not (place >= 0).any():
            return rows
        chosen = np.where(place >= 0, rows.num_rows + place, np.arange(rows.num_rows))
        return pa.concat_tables([rows, known]).take(pa.array(chosen))

    return replace(changes, **{image: there(getattr(changes, image)) for image in images})


def with_effect(changes: ChangeSet) -> ChangeSet:
    """The changes without updates of rows that the target itself brought back to what they were. Rows that were deleted and came
    back may have other columns than before: those are not what they were."""
    if changes.before.column_names != changes.after.column_names:
        return changes
    same = same_rows(changes.before, changes.after, tuple(changes.schema.names), {})
    moved = pa.array(~same)
    return (
        replace(changes, before=changes.before.filter(moved), after=changes.after.filter(moved))
        if same.any()
        else changes
    )


def together(windows: Sequence[ChangeSet]) -> list[ChangeSet]:
    """Windows of one plan's table in as few change sets as there are schemas: no key is in two windows. Rows are shared, not copied."""
    alike: list[list[ChangeSet]] = []
    for window in windows:
        some = next((each for each in alike if each[0].schema.equals(window.schema)), None)
        if some is None:
            alike.append(some := [])
        some.append(window)
    return [_joined(some) for some in alike]


def _joined(windows: Sequence[ChangeSet]) -> ChangeSet:
    parts = {name: pa.concat_tables([getattr(each, name) for each in windows]) for name in IMAGES}
    return replace(windows[0], **parts)


def net(parts: Sequence[ChangeSet], schema: pa.Schema | None = None, *, idle: bool = False) -> list[ChangeSet]:
    """Change sets that do together what `parts` do one after the other. `idle`: rows that come back to what they were are in them, too.

    In: changes of one table by one key, oldest first; within a part each key at most once. Each part has the columns that it
        knows: it says nothing of others. `schema` says in which types values are wanted; else the newest part that has a column.
    Out: at most one change a key in all of them; a row that comes back to what it was is in none. An image has each column
        that is known of the row at that time: before, what the first part saw that knows it, up to where the row was first
        deleted; after, what the last part wrote, back to where it was last inserted. So rows that were deleted and came back may
        have other columns in `before` than in `after`, alone of all change sets; they are in sets of their own.
    Errors: PlanError where the key changed, or a column's type so that a value cannot be carried over.
    Law: applying the result does what applying the parts in turn does.
    """
    newest = parts[-1]
    table, key = newest.table, newest.key
    for part in parts:
        if part.key != key:
            raise PlanError(
                f"{table}: rows were matched by {_named(part.key)} and later by {_named(key)}, so that changes of both times "
                f"cannot be added up.",
                fix="choose versions on one side of that change.",
            )
    if len(parts) == 1 and (schema is None or newest.schema.equals(schema)):
        return [newest] if len(newest) else []
    if not any(map(len, parts)):
        return []
    return list(_Lives(parts, schema).changes(idle=idle))


class _Lives:
    """The changes of each key in their order: a line for each, grouped by key.

    `first` and `last` say for each key and each way in which columns are known the line whose image counts, or -1.
    """

    def __init__(self, parts: Sequence[ChangeSet], schema: pa.Schema | None) -> None:
        self.parts, newest = parts, parts[-1]
        named = {field.name: field for part in parts for field in part.schema} | {f.name: f for f in schema or ()}
        order = dict.fromkeys([*newest.schema.names, *named])
        self.fields = {name: named[name] for name in order}
        known = {name: tuple(name in part.schema.names for part in parts) for name in self.fields}
        ways = list(dict.fromkeys(known.values()))
        self.way = {name: ways.index(each) for name, each in known.items()}
        blocks = [
            (number, getattr(part, image), image in ("before", "deletes"), image in ("before", "inserts"))
            for number, part in enumerate(parts)
            for image in ("before", "inserts", "deletes")
        ]
        sizes = [rows.num_rows for _, rows, _, _ in blocks]
        self.part = np.repeat(np.array([number for number, *_ in blocks]), sizes)
        self.had = {
            "before": np.repeat(np.array([was for *_, was, _ in blocks]), sizes),
            "after": np.repeat(np.array([now for *_, now in blocks]), sizes),
        }
        lines = [rows.select(list(newest.key)) for _, rows, _, _ in blocks]
        keyed = pa.schema([self.fields[name] for name in newest.key])
        codes = keys.codes([pa.concat_tables([shaped(each, keyed, newest.table) for each in lines])], newest.key)[0]
        self._follow(codes, [self._knows(way) for way in ways])

    def _knows(self, way: Sequence[bool]) -> Mask:
        """Which lines are of parts that have the columns of a way."""
        found: Mask = np.array(way)[self.part]
        return found

    def _follow(self, codes: Indices, known: Sequence[Mask]) -> None:
        by_key = np.argsort(codes, kind="stable")
        starts = np.flatnonzero(np.diff(codes[by_key], prepend=-1))
        ends = np.append(starts[1:], len(by_key)) - 1
        group = np.repeat(np.arange(len(starts)), ends - starts + 1)
        had, has = self.had["before"][by_key], self.had["after"][by_key]
        gone = np.cumsum(had & ~has)
        until = gone - (had & ~has)  # how often rows went before this line
        at_first, at_last = had & (until == until[starts][group]), has & (gone == gone[ends][group])
        self.existed, self.exists = had[starts], has[ends]
        self.first = [_ends(by_key, group, at_first & each[by_key], len(starts))[0] for each in known]
        self.last = [_ends(by_key, group, at_last & each[by_key], len(starts))[1] for each in known]
        for found in self.first:
            found[~self.existed] = -1
        for found in self.last:
            found[~self.exists] = -1
        self.known = known
        self.order = np.argsort(by_key[starts], kind="stable")

    def changes(self, *, idle: bool) -> Iterator[ChangeSet]:
        """The net changes, in sets of one schema; with rows that come back to what they were where `idle`."""
        knew, knows = self._ways(self.first), self._ways(self.last)
        both = self.existed & self.exists
        for way in np.unique(np.concatenate([knew[self.existed], knows[self.exists]])):
            deletes = self._images("before", self._chosen(self.existed & ~self.exists & (knew == way)), way)
            inserts = self._images("after", self._chosen(self.exists & ~self.existed & (knows == way)), way)
            kept = self._chosen(both & (knew == way) & (knows == way))
            before, after = self._images("before", kept, way), self._images("after", kept, way)
            if not idle:
                compared = Comparison(self.parts[-1].key, tuple(before.column_names))
                moved = diff(self.parts[-1].table, after, before, compared).changes
                before, after = moved.before, moved.after
            found = self._set(inserts, before, after, deletes)
            if len(found):
                yield found
        for knew_way, knows_way in np.unique(np.stack([knew, knows])[:, both & (knew != knows)], axis=1).T:
            chosen = self._chosen(both & (knew == knew_way) & (knows == knows_way))
            before, after = self._images("before", chosen, knew_way), self._images("after", chosen, knows_way)
            yield self._set(after.slice(0, 0), before, after, before.slice(0, 0))

    def _ways(self, lines: Sequence[Indices]) -> Indices:
        """In which ways the columns of each key are known: a bit for each."""
        found = np.zeros(len(self.order), np.int64)
        for place, line in enumerate(lines):
            found |= (line >= 0).astype(np.int64) << place
        return found

    def _set(self, inserts: pa.Table, before: pa.Table, after: pa.Table, deletes: pa.Table) -> ChangeSet:
        names = {*before.column_names, *after.column_names}
        newest = {name: part for part in self.parts for name in part.schema.names}
        compared = tuple(name for name in self.fields if name in names and name in newest[name].compared)
        last = self.parts[-1]
        return ChangeSet(last.table, last.key, compared, inserts, before, after, deletes, last.owns)

    def _chosen(self, mask: Mask) -> Indices:
        """Groups in the order in which their keys came first."""
        found: Indices = self.order[mask[self.order]]
        return found

    def _images(self, side: Literal["before", "after"], groups: Indices, way: int) -> pa.Table:
        """The images of some keys, in the columns that are known of them."""
        lines = self.first if side == "before" else self.last
        columns = {}
        for name, field in self.fields.items():
            mine = self.way[name]
            if not way >> mine & 1:
                continue
            there = self.had[side] & self.known[mine]
            place = np.cumsum(there) - 1
            values = [
                _carried(contiguous(getattr(part, image).column(name)), field, part.table)
                for part in self.parts
                if name in part.schema.names
                for image in (("before", "deletes") if side == "before" else ("after", "inserts"))
            ]
            columns[name] = pa.chunked_array(values, field.type).take(pa.array(place[lines[mine][groups]]))
        return pa.Table.from_arrays(list(columns.values()), schema=pa.schema([self.fields[name] for name in columns]))


def rolled(rows: pa.Table, parts: Sequence[ChangeSet], schema: pa.Schema) -> pa.Table:
    """Rows after changes that were applied one after the other. The last image of a key counts, whatever the rows had.

    In: unique whole keys. Out: `schema`, in no particular order; a column that nobody knows of a row is null. Memory: the
        rows and the changes.
    """
    if not parts:
        return rows
    table, key = parts[-1].table, parts[-1].key
    rows = shaped(rows, schema, table)
    found = net(parts, schema, idle=True)
    touched = pa.concat_tables([shaped(changed_keys(each), _narrow(schema, key), table) for each in parts])
    if rows.num_rows and touched.num_rows:
        rows = rows.filter(pa.array(~keys.contained(rows, touched, key)))
    return pa.concat_tables(
        [rows, *(shaped(image, schema, table) for each in found for image in (each.after, each.inserts))]
    )


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
            f"{table}.{field.name} was {values.type} and became {field.type}, and {bad} cannot be carried over.",
            fix="choose versions on one side of that change.",
        )
    return cast.values


def _ends(by_key: Indices, group: Indices, chosen: Mask, groups: int) -> tuple[Indices, Indices]:
    """For each group the first and the last of its chosen lines, -1 where it has none. In: lines as they follow each other."""
    lines, of = by_key[chosen], group[chosen]
    first, last = np.full(groups, -1, dtype=np.int64), np.full(groups, -1, dtype=np.int64)
    last[of] = lines  # of several assignments to one place the latter counts
    first[of[::-1]] = lines[::-1]
    return first, last


def _narrow(schema: pa.Schema, names: Key) -> pa.Schema:
    return pa.schema([schema.field(name) for name in names])


def _named(key: Key) -> str:
    return f"({', '.join(key)})"
