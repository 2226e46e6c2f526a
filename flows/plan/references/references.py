"""Foreign keys that changes would break, in the end or on the way: asked before a row is written, of the target as it is."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import numpy as np
import pyarrow as pa

from adapters.protocol import Catalog
from flows.plan.order.stages import Step
from flows.plan.references.foreseen import Foreseen, Rows, foresee
from flows.session.scan import readable
from transforms import expressions, keys
from transforms.vocabulary import ChangeSet, ForeignKey, Key, Relation, TableName, TableShape
from transforms.vocabulary.arrow import Indices, Mask
from transforms.vocabulary.values import same_rows


@dataclass(frozen=True, slots=True)
class Broken:
    """Rows of `child` that would refer to no row of `parent`; `edited` of them are not as the changes expect, and stay."""

    child: TableName
    parent: TableName
    rows: int
    first: str
    edited: int

    def __str__(self) -> str:
        kept = f" ({self.edited:,} of them changed since, and would stay as they are)" if self.edited else ""
        return f"{self.rows:,} rows of {self.child} without their {self.parent}, such as {self.first}{kept}"


@dataclass(frozen=True, slots=True)
class Need:
    """A step that a foreign key of `child` wants before another one, because of `rows` rows of `child`, such as `first`.

    A row that comes wants the one that it refers to before it; where that one is to go, or gets another value, the row is to go or
    to let go of it before. `values` are what those rows are referred to by.
    """

    earlier: Step
    later: Step
    child: TableName
    foreign: ForeignKey
    values: pa.Table = field(compare=False, repr=False)
    rows: int
    first: str

    @property
    def comes(self) -> bool:
        """It is about rows that come, or come to refer to another one."""
        return self.later == Step(self.child, "upsert") and self.earlier.table == self.foreign.refers

    @property
    def waits(self) -> bool:
        """The key can be looked at when both steps are done, and does nothing by itself in between."""
        acts = self.foreign.on_delete if self.later.phase == "delete" else self.foreign.on_update
        return self.foreign.deferrable and (self.comes or not acts)

    def __str__(self) -> str:
        rows = "1 row" if self.rows == 1 else f"{self.rows:,} rows"
        return f"{rows} of {self.child} by ({', '.join(self.foreign.columns)}), such as {self.first}"


@dataclass(frozen=True, slots=True)
class Looked:
    """What foreign keys say of changes: which they would break, in which order steps have to come, and what each table's will do."""

    broken: tuple[Broken, ...]
    needs: tuple[Need, ...]
    foreseen: Mapping[TableName, Foreseen]


def related(target: Catalog, tables: Sequence[TableName]) -> dict[TableName, TableShape]:
    """Some tables of the target, and those that foreign keys link to them; what is not there is left out."""
    referrers = [name for table in tables for name in target.referrers(table)]
    found = {name: target.describe(name) for name in dict.fromkeys([*tables, *referrers])}
    own = [shape for table in tables if (shape := found[table]) is not None]
    parents = dict.fromkeys(foreign.refers for shape in own for foreign in shape.foreign_keys)
    found |= {name: target.describe(name) for name in parents if name not in found}
    return {name: shape for name, shape in found.items() if shape is not None}


def referring(
    snapshot: Rows, shapes: Mapping[TableName, TableShape], table: TableName, rows: pa.Table
) -> Iterator[tuple[tuple[TableName, ForeignKey], Mask]]:
    """For each foreign key to a table, with the one that has it, which of some rows it refers to now.

    All of them, where the rows do not have the columns that are referred to.
    """
    for child in shapes.values():
        for foreign in child.foreign_keys:
            if foreign.refers != table:
                continue
            if not set(foreign.refers_columns) <= set(rows.column_names):
                yield (child.name, foreign), np.ones(rows.num_rows, dtype=bool)
                continue
            values = keys.without_null_keys(_scanned(snapshot, child, list(foreign.columns)), foreign.columns)
            yield (child.name, foreign), having(rows, foreign.refers_columns, values, foreign.columns)


def look_at_references(
    snapshot: Rows,
    shapes: Mapping[TableName, TableShape],
    changes: Mapping[TableName, Sequence[ChangeSet]],
    *,
    whole_trees: bool = True,
) -> Looked:
    """Hold changes to the foreign keys of the target, given the rows that it holds now.

    In: `shapes` of all tables that may refer to each other; `changes` in sets as `foresee` takes them; `whole_trees` as of the
        target's adapter. Rows that are not as
        the changes expect stay as they are. A key that would carry a change further (CASCADE, SET NULL) is taken for one that
        forbids it: nothing is written that was not planned.
    Memory: the rows that the changes are about, and the keys of tables that refer to them.
    """
    links = [
        (shape, shapes[foreign.refers], foreign)
        for shape in shapes.values()
        for foreign in shape.foreign_keys
        if foreign.refers in shapes and (shape.name in changes or foreign.refers in changes)
    ]
    asked: dict[TableName, list[Key]] = {}
    for child, parent, foreign in links:
        asked.setdefault(child.name, []).append(foreign.columns)
        asked.setdefault(parent.name, []).append(foreign.refers_columns)
    known = {
        name: foresee(snapshot, shapes[name], part, asked[name]) for name, part in changes.items() if name in asked
    }
    broken: list[Broken] = []
    needs: list[Need] = []
    for child, parent, foreign in links:
        mine, theirs = known.get(child.name), known.get(parent.name)
        lost = _lost(snapshot, child, parent, foreign, mine, theirs)
        if lost is not None and lost.num_rows:
            edited = keys.contained(lost, mine.left, mine.changes.key).sum() if mine and mine.left.num_rows else 0
            broken.append(Broken(child.name, parent.name, lost.num_rows, expressions.json_key(lost), int(edited)))
        needs += needs_of(snapshot, child, parent, foreign, mine, theirs, whole_trees=whole_trees)
    return Looked(tuple(broken), tuple(needs), known)


def _lost(
    snapshot: Rows,
    child: TableShape,
    parent: TableShape,
    foreign: ForeignKey,
    mine: Foreseen | None,
    theirs: Foreseen | None,
) -> pa.Table | None:
    """The keys of rows that would refer to nothing."""
    key = _key_of(child, foreign, mine)
    gone = _gone(theirs, foreign.refers_columns)
    found: list[pa.Table] = []
    if gone is not None and gone.num_rows:
        wanted = list(dict.fromkeys([*key, *foreign.columns]))
        rows = _scanned(snapshot, child, wanted, _called(gone, foreign.refers_columns, foreign.columns))
        for part in _replaced(mine, foreign.columns):
            if rows.num_rows and part.num_rows:
                rows = rows.filter(pa.array(~keys.contained(rows, _typed(part.select(list(key)), rows), key)))
        found.append(
            rows.filter(pa.array(having(rows, foreign.columns, gone, foreign.refers_columns))).select(list(key))
        )
    come = _come(mine, foreign.columns)
    if come is not None and come.num_rows:
        names = foreign.refers_columns
        asked = _called(come, foreign.columns, names)
        there = keys.without_null_keys(_scanned(snapshot, parent, list(names), asked), names)
        if gone is not None and gone.num_rows and there.num_rows:
            there = there.filter(pa.array(~keys.contained(there, _typed(gone, there), names)))
        there = pa.concat_tables([there, _typed(_brought(theirs, names, there), there)])
        alone = ~keys.null_keys(come, foreign.columns) & ~having(come, foreign.columns, there, names)
        found.append(come.filter(pa.array(alone)).select(list(key)))
    return pa.concat_tables([found[0], *(_typed(each, found[0]) for each in found[1:])]) if found else None


def needs_of(
    snapshot: Rows,
    child: TableShape,
    parent: TableShape,
    foreign: ForeignKey,
    mine: Foreseen | None,
    theirs: Foreseen | None,
    *,
    whole_trees: bool,
) -> Iterator[Need]:
    """In which order the rows of both tables have to come and to go, each window being a transaction of its own."""
    if theirs is None:
        return
    here, there, names = child.name, parent.name, foreign.refers_columns

    def need(earlier: Step, later: Step, rows: pa.Table, values: pa.Table) -> Iterator[Need]:
        chosen = rows.filter(pa.array(having(rows, foreign.columns, values, names)))
        if chosen.num_rows:
            named = chosen.select(list(mine.changes.key)) if mine is not None else chosen
            yield Need(earlier, later, here, foreign, values, chosen.num_rows, expressions.json_key(named))

    if mine is None:
        return
    moved = _moved(theirs, names)
    if (
        moved is not None and moved.num_rows
    ):  # who refers to the old value stands in the way until it has gone elsewhere
        yield from need(Step(here, "upsert"), Step(there, "upsert"), _leaving(mine, foreign.columns), moved)
        yield from need(Step(here, "delete"), Step(there, "upsert"), mine.deleted, moved)
    come = _come(mine, foreign.columns)
    if (
        here != there
        and come is not None
        and come.num_rows
        and having(come, foreign.columns, _offered(theirs, names), names).any()
    ):
        offered = _offered(theirs, names)
        new = _brought(theirs, names, _scanned(snapshot, parent, list(names), offered))
        new = pa.concat_tables([new, _typed(_passed_on(theirs, names), new)])
        yield from need(Step(there, "upsert"), Step(here, "upsert"), come, new)
    gone = _gone(theirs, names)
    if gone is not None and here != there:
        yield from need(Step(here, "delete"), Step(there, "delete"), mine.deleted, gone)
    rewritten = _updated(mine, foreign.columns)
    if here == there and not whole_trees and rewritten is not None and rewritten.num_rows:
        wanted = list(dict.fromkeys([*mine.changes.key, *foreign.columns, *names]))
        rows = _scanned(snapshot, child, wanted, rewritten.select(list(mine.changes.key)))
        held = rows.filter(
            pa.array(keys.contained(rows, _typed(rewritten.select(list(mine.changes.key)), rows), mine.changes.key))
        )
        yield from need(Step(here, "upsert"), Step(here, "upsert"), rows, held.select(list(names)))


def _key_of(child: TableShape, foreign: ForeignKey, mine: Foreseen | None) -> Key:
    return mine.changes.key if mine is not None else child.primary_key or foreign.columns


def _moved(table: Foreseen, names: Key) -> pa.Table | None:
    """The values that updates take away from columns, None where they write others."""
    if not set(names) <= set(table.changes.schema.names):
        return None
    changed = _changed(table.changes, names)
    return keys.without_null_keys(table.changes.before.filter(pa.array(changed)).select(list(names)), names)


def _replaced(mine: Foreseen | None, columns: Key) -> tuple[pa.Table, ...]:
    """The rows whose reference will not be what it is now."""
    if mine is None:
        return ()
    written = set(columns) <= set(mine.changes.schema.names)
    return (mine.changes.deletes, mine.changes.before) if written else (mine.changes.deletes,)


def _gone(theirs: Foreseen | None, names: Key) -> pa.Table | None:
    """The values of columns that go and do not come back; deleted rows are looked at as they are now."""
    if theirs is None:
        return None
    changes = theirs.changes
    went = theirs.deleted.select(list(names))
    if set(names) <= set(changes.schema.names):
        went = pa.concat_tables([went, _typed(changes.before.select(list(names)), went)])
        came = pa.concat_tables([changes.inserts.select(list(names)), changes.after.select(list(names))])
        went, came = keys.without_null_keys(went, names), keys.without_null_keys(_typed(came, went), names)
        if went.num_rows and came.num_rows:
            return went.filter(pa.array(~keys.contained(went, came, names)))
    return keys.without_null_keys(went, names)


def _leaving(mine: Foreseen, columns: Key) -> pa.Table:
    """The updated rows that give up the values that they have in columns, with those."""
    if not set(columns) <= set(mine.changes.schema.names):
        return mine.deleted.slice(0, 0)
    names = list(dict.fromkeys([*mine.changes.key, *columns]))
    return mine.changes.before.filter(pa.array(_changed(mine.changes, columns))).select(names)


def _offered(theirs: Foreseen, names: Key) -> pa.Table:
    """The values of columns in all rows that come or are updated; none where they write others."""
    if not set(names) <= set(theirs.changes.schema.names):
        return theirs.there.select(list(names)).slice(0, 0)
    rows = pa.concat_tables([theirs.changes.inserts, theirs.changes.after]).select(list(names))
    return keys.without_null_keys(rows, names)


def _brought(theirs: Foreseen | None, names: Key, there: pa.Table) -> pa.Table:
    """The values of columns that come and are not there yet."""
    if theirs is None or not set(names) <= set(theirs.changes.schema.names):
        return there.slice(0, 0)
    parts = (theirs.changes.inserts, theirs.changes.after)
    new = keys.without_null_keys(_typed(pa.concat_tables([part.select(list(names)) for part in parts]), there), names)
    known = keys.without_null_keys(there, names)
    return new.filter(pa.array(~keys.contained(new, known, names))) if new.num_rows and known.num_rows else new


def _passed_on(theirs: Foreseen, names: Key) -> pa.Table:
    """The values of columns that one row gives up before another one has them: rows that go, or that make way for new ones."""
    gone = keys.without_null_keys(theirs.deleted.select(list(names)), names)
    moved = _moved(theirs, names)
    if moved is None:
        return gone.slice(0, 0)
    inserts, after = (_typed(rows.select(list(names)), gone) for rows in (theirs.changes.inserts, theirs.changes.after))
    moved = _typed(moved, gone)
    pairs = ((gone, pa.concat_tables([inserts, after])), (moved, inserts))
    return pa.concat_tables([given.filter(pa.array(having(given, names, come, names))) for given, come in pairs])


def _come(mine: Foreseen | None, columns: Key) -> pa.Table | None:
    """The rows that get a reference that they did not have."""
    if mine is None or not set(columns) <= set(mine.changes.schema.names):
        return None
    names = list(dict.fromkeys([*mine.changes.key, *columns]))
    updated = _updated(mine, columns)
    return pa.concat_tables([mine.changes.inserts.select(names), *([updated] if updated is not None else [])])


def _updated(mine: Foreseen, columns: Key) -> pa.Table | None:
    """The updated rows that get other values in columns, with their keys; None where those are not written."""
    if not set(columns) <= set(mine.changes.schema.names):
        return None
    names = list(dict.fromkeys([*mine.changes.key, *columns]))
    return mine.changes.after.filter(pa.array(_changed(mine.changes, columns))).select(names)


def _changed(changes: ChangeSet, columns: Key) -> Mask:
    return ~same_rows(changes.before, changes.after, columns, {})


def having(rows: pa.Table, columns: Key, others: pa.Table, names: Key) -> Mask:
    """Which rows have, in `columns`, the values of a row of `others` in `names`; a row with a null has none.

    Both may be of different types, as a key of integers that refers to one of long integers: the wider one counts.
    """
    inside = np.zeros(rows.num_rows, dtype=bool)
    whole = ~keys.null_keys(rows, columns)
    there = keys.without_null_keys(others, names).select(list(names))
    if whole.any() and there.num_rows:
        asked = pa.table([rows.filter(pa.array(whole)).column(name) for name in columns], names=list(names))
        inside[whole] = keys.contained(*_alike(asked, there), names)
    return inside


def met(rows: pa.Table, columns: Key, others: pa.Table, names: Key) -> tuple[Indices, Indices]:
    """Places of rows, and of those of the others that they refer to: as `having`. In: no two of the others are alike."""
    whole, there = (np.flatnonzero(~keys.null_keys(some, by)) for some, by in ((rows, columns), (others, names)))
    if not len(whole) or not len(there):
        return whole[:0], there[:0]
    asked = pa.table([rows.column(name).take(pa.array(whole)) for name in columns], names=list(names))
    place = keys.match(*_alike(asked, others.select(list(names)).take(pa.array(there))), names)
    return whole[place >= 0], there[place[place >= 0]]


def _alike(rows: pa.Table, others: pa.Table) -> tuple[pa.Table, pa.Table]:
    """Both in the wider of their types; the first ones in those of the others where there is none, as of a number and a text."""
    try:
        types = pa.unify_schemas([rows.schema, others.schema], promote_options="permissive")
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        types = others.schema
    return rows.cast(types), others.cast(types)


def _typed(rows: pa.Table, like: pa.Table) -> pa.Table:
    return rows.cast(pa.schema([like.schema.field(name) for name in rows.column_names]))


def _called(rows: pa.Table, columns: Key, names: Key) -> pa.Table:
    """Some columns of rows by other names."""
    return rows.select(list(columns)).rename_columns(list(names))


def _scanned(snapshot: Rows, shape: TableShape, names: Sequence[str], asked: pa.Table | None = None) -> pa.Table:
    """Columns of a table: of rows with the values of `asked`, which may come with others, or of all."""
    batches = list(readable(snapshot.scan(Relation(shape.name), names, keys=asked), shape.name, "target", ()))
    return pa.Table.from_batches(batches) if batches else shape.schema(tuple(names)).empty_table()
