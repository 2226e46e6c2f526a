"""Columns that are looked up, followed in both directions: what rows of the source get for one, and which rows get some values.

Lookups see the target as the plan will leave it: a row of the source as it is mapped, one of the target where the source has none.
What a new row will be numbered nobody knows yet: so rows that refer to it are found by what its number is looked up by.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import pyarrow as pa
import pyarrow.compute as pc

from flows.bind.identity import TARGET, ends_of
from flows.bind.links import apart, as_read
from flows.bind.tables import BoundTable
from flows.plan.reading.chosen_keys import held
from flows.plan.trees.tree_rows import TargetRows
from flows.session.scan import readable
from transforms import keys
from transforms.mapping import casts
from transforms.mapping.column_mapping import ColumnMapping, Identified, LookUp
from transforms.mapping.one_column import made_of, mapped_alone
from transforms.vocabulary import ColumnShape, Key, Relation, SpecError
from transforms.vocabulary.arrow import contiguous

if TYPE_CHECKING:
    from flows.plan.trees.source_rows import SourceRows

PART = "syncline:part"
"""The name of the source that a row of a table that is `apart` is of."""


@dataclass(frozen=True, slots=True)
class LookedUp:
    """Rows of both sides, and what lookups lead from one to the other."""

    source: SourceRows
    target: TargetRows

    def values(self, table: str, rows: pa.Table, names: Key) -> pa.Table:
        """What rows of the source have in some columns, without nulls; nothing where nothing says it of a column."""
        rows = self._with(table, rows, names)
        if not set(names) <= set(rows.column_names):
            return rows.select([]).slice(0, 0)
        return keys.distinct(rows.select(list(names)).drop_null())

    def back(self, part: BoundTable, values: pa.Table) -> pa.Table:
        """Values of some columns with what those are looked up by instead of looked-up ones, and with the keys of the source instead
        of those that an identity map gives. SpecError where a value that is made of what is looked up
        does not say what that was."""
        columns = {column.shape.name: column for column in part.mapping.columns}
        given = {
            name for name in values.column_names if name in columns and isinstance(columns[name].origin, Identified)
        }
        if given:
            assert part.identity_map is not None, "it gives the columns"
            known = self.source.pairs(part.name).select(part.identity_map.schema.names)
            known = known.rename_columns(list(map(_among_rows, known.column_names)))
            others = [name for name in part.identity_map.key if name not in given]
            values = _joined(values, known.drop_columns(others), tuple(given))
        while looked := next(
            (columns[n] for n in values.column_names if n in columns and _looked_up(columns[n])), None
        ):
            values = self._behind(part, looked, values)
        return values.drop_columns(list(given))

    def with_target_keys(self, table: str, rows: pa.Table) -> pa.Table:
        """Rows of the source with the keys that the target has them by beside them (TARGET before the names), as far as that is known."""
        bound = self.source.routes(table).table
        if bound.identity_map is not None:
            return self._met(bound, rows)
        if {TARGET + name for name in bound.key} <= set(rows.column_names):
            return rows
        if apart(bound):
            some = [self._with_key(part, rows) for part in bound.sources]
            rows = pa.concat_tables([each.select(some[0].column_names) for each in some])
        for name in bound.key:
            rows = rows.append_column(TARGET + name, rows.column(name))
        return rows

    def keys_of(self, part: BoundTable, values: pa.Table) -> pa.Table:
        """The keys of the target of what has some values in columns of a source, beside the mapped ones of its key."""
        for column in part.mapping.columns:
            name, lookup = column.shape.name, column.origin
            if name not in part.key or name in values.column_names or not isinstance(lookup, LookUp):
                continue
            if not _read_by(part, lookup) <= set(values.column_names):
                return part.key_schema.empty_table()
            values = self._with_looked_up(part, values, name)
        if (known := part.identity_map) is not None:
            by = tuple(as_read("", name) for name in known.by)
            if not set(by) <= set(values.column_names):
                return part.key_schema.empty_table()
            pairs = self.source.pairs(part.name).select(known.schema.names)
            values = _joined(values, pairs.rename_columns(list(map(_among_rows, pairs.column_names))), by)
        return keys.distinct(values.select(list(part.key)).drop_null())

    def of_target(self, table: str, wanted: pa.Table) -> pa.Table:
        """The rows of the source that are those of the target with some keys, which they have beside them."""
        bound = self.source.routes(table).table
        wanted = keys.distinct(wanted.select(list(bound.key)))
        found = self.with_target_keys(table, self.source.having(table, wanted))
        ends = tuple(TARGET + name for name in bound.key)
        asked = wanted.rename_columns(list(ends))
        if apart(bound) and found.num_rows:
            found = _joined(found, asked, ends)
        if bound.identity_map is None or not bound.identity_map.match:
            return found
        match = bound.identity_map.match
        there = self.target.read(table, self._unpaired(bound, wanted), match)
        if not there.num_rows:
            return found
        rows = self._with(table, self.source.having(table, keys.distinct(there.select(list(match)).drop_null())), match)
        rows = rows.filter(pc.is_null(rows.column(ends[0]))).drop_columns(list(ends))
        met = _joined(
            rows, there.rename_columns([TARGET + n if n in bound.key else n for n in there.column_names]), match
        )
        return pa.concat_tables([found, met.select(found.column_names)])

    def partners(self, side: str, table: str, rows: pa.Table) -> pa.Table:
        """The rows that the other side has of some rows of one side."""
        bound = self.source.routes(table).table
        if side == "target":
            return self.of_target(table, rows).select(self.source.schema(table).names)
        ends = ends_of(self.with_target_keys(table, rows), bound.key).drop_null()
        return self.target.having(table, keys.distinct(ends))

    def _behind(self, part: BoundTable, column: ColumnMapping, values: pa.Table) -> pa.Table:
        """The values with what a column is looked up by instead of it."""
        lookup, name = column.origin, column.shape.name
        assert isinstance(lookup, LookUp), "it is looked up"
        own = {looked: _own(part, lookup, each) for looked, each in lookup.match}
        asked = keys.distinct(values.select([name])).rename_columns([lookup.take]).drop_null()
        if column.cast is not None or column.values is not None:
            made_from = made_of(contiguous(asked.column(0)), column, self._taken(part, lookup))
            if made_from is None:
                raise not_followed(part, name)
            asked = pa.table({lookup.take: made_from})
        found = _made(self._left(part, lookup, asked, (lookup.take, *own)), column, lookup.take)
        found = found.rename_columns([name, *own.values()])
        beside = tuple(each for each in own.values() if each in values.column_names)
        return _joined(values, found, (name, *beside)).drop_columns([name])

    def _with(self, table: str, rows: pa.Table, names: Sequence[str]) -> pa.Table:
        """Rows of the source with some columns more, as far as these are known: rows of which one is not are left out."""
        bound = self.source.routes(table).table
        for name in names:
            if name in rows.column_names:
                continue
            parts = [
                part
                for part in bound.sources
                if any(c.shape.name == name and _looked_up(c) for c in part.mapping.columns)
            ]
            if parts:
                rows = pa.concat_tables([self._with_looked_up(part, rows, name) for part in parts])
            elif bound.shape.column(name) is not None and name in (bound.identity, *bound.key):
                rows = self._with_own(table, rows, name)
        return rows

    def _with_own(self, table: str, rows: pa.Table, name: str) -> pa.Table:
        """Rows of the source with a column that the target gives."""
        bound = self.source.routes(table).table
        rows = self.with_target_keys(table, rows)
        ends = [TARGET + each for each in bound.key]
        there = self.target.read(table, keys.distinct(ends_of(rows, bound.key).drop_null()), (name,))
        beside = pa.table([*(there.column(each) for each in bound.key), there.column(name)], names=[*ends, name])
        return _joined(rows, beside, tuple(ends))

    def _with_key(self, part: BoundTable, rows: pa.Table) -> pa.Table:
        """The rows of one source with those columns of their key that are looked up."""
        rows = rows.filter(pc.equal(rows.column(PART), part.part))
        kept = [name for name in rows.column_names if name not in part.key]
        for column in part.mapping.columns:
            name = column.shape.name
            if name in part.key and _looked_up(column):
                rows = self._with_looked_up(part, rows.select([n for n in rows.column_names if n != name]), name)
        return rows.select([*kept, *part.key])

    def _with_looked_up(self, part: BoundTable, rows: pa.Table, name: str) -> pa.Table:
        column = next(column for column in part.mapping.columns if column.shape.name == name)
        lookup = column.origin
        assert isinstance(lookup, LookUp), "it is looked up"
        own = {looked: _own(part, lookup, each) for looked, each in lookup.match}
        rows = self._with(part.name, rows, tuple(own.values()))
        asked = keys.distinct(rows.select(list(own.values())).drop_null()).rename_columns(list(own))
        found = self._left(part, lookup, asked, (*own, lookup.take)).rename_columns([*own.values(), name])
        return _made(_joined(rows, found, tuple(own.values())), column, name)

    def _left(self, part: BoundTable, lookup: LookUp, values: pa.Table, names: Key) -> pa.Table:
        """What rows have in some columns that a lookup may find: those with some values in some of them, as the plan leaves them."""
        looked = part.lookups[lookup.name]
        if looked.through is not None:
            return self._paired(looked.through, values, names)
        if looked.planned is not None:
            return self._planned(looked.planned, values, names)
        side = self.source.routes(part.name).reads if looked.side == "source" else self.source.routes(part.name).writes
        shape = side.adapter.describe(looked.table)
        assert shape is not None, "binding has found the table"
        columns = tuple(dict.fromkeys(names))
        scanned = side.scan(Relation(looked.table), columns, keys=held(shape, values)) if values.num_rows else ()
        batches = list(readable(scanned, looked.table, looked.side, ()))
        return pa.Table.from_batches(batches, schema=shape.schema(columns)).select(list(names)).drop_null()

    def _taken(self, part: BoundTable, lookup: LookUp) -> ColumnShape:
        """The column that a lookup takes its values from."""
        looked = part.lookups[lookup.name]
        known = looked.planned or looked.through
        if known is None:
            routes = self.source.routes(part.name)
            shape = (routes.reads if looked.side == "source" else routes.writes).adapter.describe(looked.table)
        else:
            bound = self.source.routes(known).table
            of_target = looked.planned is not None or lookup.take.startswith(TARGET)
            shape = bound.shape if of_target else bound.source_shape
        taken = shape.column(lookup.take.removeprefix(TARGET)) if shape is not None else None
        assert taken is not None, "binding has found the column"
        return taken

    def _planned(self, table: str, values: pa.Table, names: Key) -> pa.Table:
        bound = self.source.routes(table).table
        schema = bound.shape.schema(names)
        if not values.num_rows:
            return schema.empty_table()
        mapped = {column.shape.name for column in bound.mapping.columns if not isinstance(column.origin, Identified)}
        there = self.target.read(table, values, names)
        mine = self.of_target(table, there)
        asked = mine if not set(values.column_names) <= mapped else self.source.having(table, values)
        rest = there
        if there.num_rows and mine.num_rows:
            ends = ends_of(mine, bound.key)
            rest = there.filter(pa.array(~keys.contained(there, ends.cast(bound.key_schema), bound.key)))
        parts = [rest.select(list(names)).drop_null()]
        asked = self._with(table, asked, names)
        if set(names) <= set(asked.column_names):
            parts.append(asked.select(list(names)).cast(schema).drop_null())
        return keys.distinct(pa.concat_tables(parts))

    def _paired(self, table: str, values: pa.Table, names: Key) -> pa.Table:
        """What pairs of an identity map have in some of its columns: those that are known, and those that rows have found by now."""
        bound = self.source.routes(table).table
        known = bound.identity_map
        assert known is not None, "binding has found the map"
        pairs = self.source.pairs(table).select(known.schema.names)
        if known.match and values.num_rows:
            asked = values.rename_columns(list(map(_among_rows, values.column_names)))
            if any(name.startswith(TARGET) for name in values.column_names):
                rows = self.of_target(table, self.target.read(table, asked, ()))
            else:
                rows = self.with_target_keys(table, self.source.of_part(bound, asked))
            beside = [as_read("", n) if n in known.by else n for n in known.schema.names]
            pairs = pa.concat_tables([pairs, rows.select(beside).rename_columns(known.schema.names).cast(known.schema)])
        return keys.distinct(_joined(pairs, values, tuple(values.column_names)).select(list(names)).drop_null())

    def _met(self, bound: BoundTable, rows: pa.Table) -> pa.Table:
        """Rows of a table with an identity map that the target has: by their pairs, and by the values that they have in common."""
        known = bound.identity_map
        assert known is not None, "the table has an identity map"
        ends = tuple(TARGET + name for name in known.key)
        new = keys.null_keys(rows, ends)
        found = rows.filter(pa.array(~new))
        if not known.match or not new.any():
            return found
        fresh = self._with(bound.name, rows.filter(pa.array(new)).drop_columns(list(ends)), known.match)
        asked = keys.distinct(fresh.select(list(known.match)).drop_null())
        there = self._unpaired(bound, self.target.read(bound.name, asked, known.match))
        there = there.rename_columns([TARGET + n if n in known.key else n for n in there.column_names])
        return pa.concat_tables([found, _joined(fresh, there, known.match).select(found.column_names)])

    def _unpaired(self, bound: BoundTable, rows: pa.Table) -> pa.Table:
        """Those rows of the target that are in no pair."""
        known = bound.identity_map
        assert known is not None, "the table has an identity map"
        ends = ends_of(self.source.pairs(bound.name), known.key)
        if not rows.num_rows or not ends.num_rows:
            return rows
        return rows.filter(pa.array(~keys.contained(rows, ends.cast(rows.select(list(known.key)).schema), known.key)))


def _made(rows: pa.Table, column: ColumnMapping, name: str) -> pa.Table:
    """Rows with what a column makes of what it is looked up as, in the place of that: those of which it can make something."""
    values, good = mapped_alone(contiguous(rows.column(name)), column)
    return rows.set_column(rows.column_names.index(name), name, values).filter(pa.array(good))


def _looked_up(column: ColumnMapping) -> bool:
    return isinstance(column.origin, LookUp)


def _among_rows(name: str) -> str:
    """What a column of an identity map is called among rows: of the target, where it is the target's, else of the source."""
    return name.removeprefix(TARGET) if name.startswith(TARGET) else as_read("", name)


def _own(part: BoundTable, lookup: LookUp, name: str) -> str:
    """What a column that a lookup matches by is called among rows of the source."""
    return name if name in lookup.chained else as_read(part.part, name)


def _read_by(part: BoundTable, lookup: LookUp) -> set[str]:
    """What columns are called by which a lookup matches, and by which those are looked up that it matches by."""
    found: set[str] = set()
    for _, name in lookup.match:
        if name not in lookup.chained:
            found.add(as_read(part.part, name))
            continue
        column = next(column for column in part.mapping.columns if column.shape.name == name)
        found |= _read_by(part, column.origin) if isinstance(column.origin, LookUp) else {name}
    return found


def _joined(left: pa.Table, right: pa.Table, names: Key) -> pa.Table:
    """Rows of both with the same values in some columns, which are of the types that `left` has."""
    if not left.num_rows or not right.num_rows:
        left = left.slice(0, 0)
    for name in names:
        kind = left.schema.field(name).type
        if right.schema.field(name).type != kind:
            values = casts.cast(contiguous(right.column(name)), casts.Cast(kind)).values
            right = right.set_column(right.column_names.index(name), name, values)
    return keys.joined(left, right, names)


def not_followed(part: BoundTable, column: str) -> SpecError:
    return SpecError(
        f"{part.name}: rows of the source are not found by what {column} is in the target: it is looked up, and made into "
        f"another value that does not say what it was made of.",
        fix="leave out --tree, or make it by a `map` that lists every value, or a cast that can be taken back.",
        table=part.name,
    )
