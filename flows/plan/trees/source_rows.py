"""What a tree reads of the source: of the rows that hang in it their keys, and the columns by which rows refer to each other."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace

import pyarrow as pa
import pyarrow.compute as pc

from flows.bind.identity import TARGET, way_name
from flows.bind.links import Link, apart, as_read
from flows.bind.tables import BoundTable
from flows.plan.reading.chosen_keys import held_by_source, source_texts, told_by
from flows.plan.reading.window_reader import map_noting
from flows.plan.trees.looked_up import PART, LookedUp
from flows.plan.trees.tree_rows import Pairs, Routes, TargetRows
from transforms import keys
from transforms.mapping import casts
from transforms.mapping.column_mapping import ColumnMapping, Identified, LookUp
from transforms.mapping.identities import places
from transforms.mapping.sources import read_by
from transforms.vocabulary import Key, SideName, TableShape
from transforms.vocabulary.arrow import contiguous

TOLD = "syncline:told"
"""The column that tells rows of the source of a table that is `apart` from each other: what `source_texts` says of them."""
Pairings = tuple[tuple[str, str], ...]
"""Columns of rows of a parent, and the ones of rows of a child that have the same values."""


@dataclass(frozen=True, slots=True)
class SourceRows:
    """Rows of the source, mapped as far as a tree needs them: found by what the mapping makes of the values, turned back.

    Beside what is mapped they have columns as they are read (`as_read`); of tables that are `apart` TOLD, which is their key here, and
    of those with an identity map their keys of the target, as far as the map has them (TARGET before their names).
    `whole` says of tables why they had to be read whole, and `_every` holds what was read of them.
    """

    routes: Routes
    links: Sequence[Link]
    target: TargetRows
    pairs: Pairs
    whole: dict[str, str] = field(default_factory=dict)
    side: SideName = "source"
    _every: dict[tuple[str, str], pa.Table] = field(default_factory=dict)
    _columns: dict[tuple[str, str], tuple[ColumnMapping, ...]] = field(default_factory=dict)

    @property
    def looked_up(self) -> LookedUp:
        return LookedUp(self, self.target)

    def key(self, table: str) -> Key:
        bound = self.routes(table).table
        return (TOLD,) if apart(bound) else bound.key

    def of(self, table: str, wanted: pa.Table) -> pa.Table:
        return self.having(table, wanted)

    def known(self, table: str, wanted: pa.Table) -> pa.Table | None:
        names = self.schema(table).names
        return wanted.select(names) if set(names) <= set(wanted.column_names) else None

    def below(self, link: Link, parents: pa.Table) -> pa.Table:
        found = [self.empty(link.child)]
        for part in self.routes(link.child).table.sources:
            for pairs in self.pairings(link, part):
                values = self.looked_up.values(link.parent, parents, tuple(name for name, _ in pairs))
                if values.num_rows:
                    found.append(self.of_part(part, values.rename_columns([name for _, name in pairs])))
        return pa.concat_tables(found)

    def above(self, link: Link, rows: pa.Table) -> Iterator[pa.Table]:
        """What some rows of the link's child refer to, in columns of the parent; nothing where their mapping does not say."""
        parent = self.schema(link.parent)
        shape = self.routes(link.parent).table.shape
        for part in self.routes(link.child).table.sources:
            for pairs in self.pairings(link, part):
                if not {name for _, name in pairs} <= set(rows.column_names):
                    continue
                made = {}
                for there, name in pairs:
                    column = shape.column(there)
                    cast = casts.Cast(column.type, column.meaning) if column else casts.Cast(parent.field(there).type)
                    made[there] = casts.cast(contiguous(rows.column(name)), cast).values
                yield keys.distinct(pa.table(made).drop_null())

    def maps(self, table: str, names: Sequence[str]) -> bool:
        """Whether rows have some columns."""
        return set(names) <= set(self.schema(table).names)

    def schema(self, table: str) -> pa.Schema:
        """The columns of rows, of whatever source of their table."""
        bound = self.routes(table).table
        fields = {field.name: field for part in bound.sources for field in self._schema_of(part)}
        return pa.schema(fields.values())

    def empty(self, table: str) -> pa.Table:
        return self.schema(table).empty_table()

    def having(self, table: str, values: pa.Table) -> pa.Table:
        """The rows with some values in some columns."""
        found = [self.of_part(part, values) for part in self.routes(table).table.sources]
        return pa.concat_tables([self.empty(table), *found])

    def of_part(self, part: BoundTable, values: pa.Table) -> pa.Table:
        """The rows of a source with some values in some columns, mapped or as they are read, in the schema of the whole table."""
        values = self.looked_up.back(part, values)
        fields = self._schema_of(part)
        if not values.num_rows or not set(values.column_names) <= set(fields.names):
            return self.empty(part.name)
        own = {as_read(part.part, name): name for name in part.source_shape.names}
        as_they_are = {name: own[name] for name in values.column_names if name in own}
        mapped = {
            name: casts.cast(contiguous(values.column(name)), casts.Cast(fields.field(name).type)).values
            for name in values.column_names
            if name not in as_they_are
        }
        wanted = pa.table({name: mapped.get(name, values.column(name)) for name in values.column_names}).drop_null()
        asked = held_by_source(part, wanted, as_they_are)
        if asked.keys is None:
            self.whole.setdefault(part.name, asked.why)
            rows = self._every.get((part.name, part.part))
            if rows is None:
                rows = self._every[part.name, part.part] = self._scanned(part, None)
        else:
            rows = self._scanned(part, asked.keys)
        mine = pa.table(
            {
                name: casts.cast(contiguous(rows.column(name)), casts.Cast(wanted.schema.field(name).type)).values
                for name in wanted.column_names
            }
        )
        return _among(rows, mine, wanted)

    def pairings(self, link: Link, part: BoundTable) -> list[Pairings]:
        """In which ways rows of a source of the link's child say which rows are their parents; none where they do not."""
        columns = {column.shape.name: column for column in part.mapping.columns}
        if link.matched is None:
            if not set(link.own) <= columns.keys():
                return []  # what the target fills by itself no row of the source says
            pairs = tuple(zip(link.there, link.own, strict=True))
        elif link.part != part.part:
            return []
        else:
            pairs = tuple((there, own if own in columns and part.source_shape.column(own) is None else as_read(part.part, own))
                          for there, own in link.matched)  # fmt: skip
        found: dict[Pairings, None] = {}
        for parent in self.routes(link.parent).table.sources:
            every = {column.shape.name: column for column in parent.mapping.columns}
            each = [
                self._pairing(link, part, parent, columns.get(own), every.get(there), (there, own))
                for there, own in pairs
            ]
            if None not in each:
                found[tuple(dict.fromkeys(pair for some in each for pair in some or ()))] = None
        return list(found)

    def _pairing(
        self,
        link: Link,
        part: BoundTable,
        parent: BoundTable,
        own: ColumnMapping | None,
        there: ColumnMapping | None,
        pair: tuple[str, str],
    ) -> Pairings | None:
        """How a pair of columns is compared: two that are looked up in the same way by what they are looked up by. None where another
        link says the same."""
        if own is not None and isinstance(own.origin, LookUp) and link.matched is None:
            looked = part.lookups[own.origin.name]
            straight = looked.planned == link.parent and own.origin.take == pair[0]
            if straight or own.origin.name == way_name(link.parent):
                return None
        if there is not None and isinstance(there.origin, Identified):
            pair = (TARGET + pair[0], pair[1])
        if own is None or not isinstance(own.origin, LookUp):
            return (pair,)
        if there is not None and isinstance(there.origin, LookUp) and _alike(own, there):
            mine = {name: each for name, each in own.origin.match if each not in own.origin.chained}
            theirs = {name: each for name, each in there.origin.match if each not in there.origin.chained}
            if mine.keys() == theirs.keys() and len(mine) == len(own.origin.match):
                return tuple((as_read(parent.part, theirs[each]), as_read(part.part, mine[each])) for each in mine)
        return (pair,)

    def columns(self, part: BoundTable) -> tuple[ColumnMapping, ...]:
        """The mapped columns of a source that are known of its rows without looking anything up: those of the key and of links."""
        place = (part.name, part.part)
        if place not in self._columns:
            wanted = {*part.key, *(part.identity_map.match if part.identity_map is not None else ()), *told_by(part)[1]}
            for link in self.links:
                wanted |= (
                    {*link.there, *(name for name, _ in link.matched or ())} if link.parent == part.name else set()
                )
                wanted |= {*link.own, *(name for _, name in link.matched or ())} if link.child == part.name else set()
            self._columns[place] = tuple(
                column
                for column in part.mapping.columns
                if column.shape.name in wanted and not isinstance(column.origin, LookUp | Identified)
            )
        return self._columns[place]

    def read_beside(self, part: BoundTable) -> Key:
        """The columns of a source that come as they are read: what lookups match by, and what tells rows from each other."""
        looked = [name for column in part.mapping.columns if isinstance(column.origin, LookUp | Identified)
                  for name in read_by(column, part.source_shape.names)]  # fmt: skip
        told = told_by(part)[0] if apart(part) else ()
        return tuple(name for name in part.source_shape.names if name in {*looked, *told})

    def _schema_of(self, part: BoundTable) -> pa.Schema:
        mapped = [(column.shape.name, column.shape.type) for column in self.columns(part)]
        beside = _fields(part.source_shape, self.read_beside(part))
        mapped += [(as_read(part.part, each.name), each.type) for each in beside]
        bound = self.routes(part.name).table
        if apart(bound):
            mapped += [(TOLD, pa.string()), (PART, pa.string())]
        if bound.identity_map is not None:
            mapped += [(TARGET + column.name, column.type) for column in bound.identity_map.target]
        return pa.schema(mapped)

    def _scanned(self, part: BoundTable, asked: pa.Table | None) -> pa.Table:
        """Rows as far as they are mapped; of one whose other columns do not fit, its key and its references count all the same."""
        route, bound = self.routes(part.name), self.routes(part.name).table
        columns, beside = self.columns(part), self.read_beside(part)
        parts = [self.empty(part.name)]
        if asked is not None and not asked.num_rows:
            return parts[0]
        read = {*beside, *(name for column in columns for name in read_by(column, part.source_shape.names))}
        names = [name for name in part.source_shape.names if name in read] or list(part.reads[:1])
        mapping = replace(
            part.mapping, key=() if apart(bound) else part.key, columns=columns, on_invalid="quarantine", checks=()
        )
        for batch in route.reads.scan(part.source, names, keys=asked):
            rows = pa.Table.from_batches([batch])
            own = [contiguous(rows.column(each.name)).cast(each.type) for each in _fields(part.source_shape, beside)]
            if not columns:
                parts.append(self._whole(part, rows.select([]), dict(zip(beside, own, strict=True)), rows.num_rows))
                continue
            mapped, bad = map_noting(rows, mapping, {})
            for some, mask in ((mapped.rows, ~bad), (mapped.rejected_rows, bad)):
                mine = [each.filter(pa.array(mask)) for each in own]
                parts.append(self._whole(part, some, dict(zip(beside, mine, strict=True)), int(mask.sum())))
        return keys.without_null_keys(pa.concat_tables(parts), self.key(part.name))

    def _whole(self, part: BoundTable, mapped: pa.Table, read: dict[str, pa.Array], count: int) -> pa.Table:
        """Rows with all that is kept of them. In: the same rows, as they are mapped and as they are read."""
        bound = self.routes(part.name).table
        made = {name: mapped.column(name) for name in mapped.column_names}
        made |= {as_read(part.part, name): values for name, values in read.items()}
        if apart(bound):
            own = pa.table(read)
            told = source_texts(part, own, mapped)
            null = keys.null_keys(own, told_by(part)[0])
            made[TOLD] = pc.if_else(pa.array(null), pa.scalar(None, pa.string()), told)
            made[PART] = pa.repeat(part.part, count)
        if bound.identity_map is not None:
            pairs, by = self.pairs(bound.name), bound.identity_map.by
            at = places(pa.table(read), pairs, by)
            for column in bound.identity_map.target:
                name = TARGET + column.name
                made[name] = pairs.column(name).take(pa.array(at, mask=at < 0))
        schema = self.schema(part.name)
        columns = [made[each.name] if each.name in made else pa.nulls(count, each.type) for each in schema]
        return pa.table(columns, schema=schema)


def _fields(shape: TableShape, names: Key) -> pa.Schema:
    """The columns of some names, which may be none."""
    return shape.schema(names) if names else pa.schema([])


def _alike(own: ColumnMapping, there: ColumnMapping) -> bool:
    """Whether two columns are looked up in the same way."""
    mine, theirs = own.origin, there.origin
    assert isinstance(mine, LookUp) and isinstance(theirs, LookUp), "both are looked up"
    plain = own.values == there.values and own.cast == there.cast
    return plain and (mine.name, mine.take) == (theirs.name, theirs.take)


def _among(rows: pa.Table, mine: pa.Table, values: pa.Table) -> pa.Table:
    """The rows whose columns, as `mine` has them, are among some values."""
    names: Key = tuple(values.column_names)
    whole = ~keys.null_keys(mine, names)
    rows, mine = rows.filter(pa.array(whole)), mine.filter(pa.array(whole))
    return (
        rows.filter(pa.array(keys.contained(mine, values, names)))
        if rows.num_rows and values.num_rows
        else rows.slice(0, 0)
    )
