"""What a tree reads of both sides: of the rows that hang in it their keys, and the columns by which rows refer to each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass, field, replace
from typing import Protocol

import pyarrow as pa

from flows.bind.links import Link
from flows.bind.tables import BoundTable
from flows.plan.reading.chosen_keys import held_by_source, held_by_target
from flows.plan.references.referrers import compared, inside
from flows.session.route import Route
from flows.session.scan import readable, scan_planned
from transforms import keys
from transforms.mapping import casts
from transforms.mapping.column_mapping import ColumnMapping, LookUp, Rename
from transforms.mapping.inverse import turned_back
from transforms.mapping.mapping import map_rows
from transforms.mapping.sources import read_by
from transforms.vocabulary import ColumnShape, Key, SideName, SpecError
from transforms.vocabulary.arrow import contiguous

Routes = Callable[[str], Route]
AS_READ = "source: "
"""Before the name of a column that is the source's own, beside mapped ones."""


class SideRows(Protocol):
    """Rows of one side. Tables of rows have the key's columns, and those by which rows refer to each other."""

    @property
    def side(self) -> SideName:
        """Which side it is."""

    def of(self, table: str, wanted: pa.Table) -> pa.Table:
        """The rows of a table with one of some keys, as far as they are there."""

    def below(self, link: Link, parents: pa.Table) -> pa.Table:
        """The rows that hang below some rows of the link's parent."""

    def known(self, table: str, wanted: pa.Table) -> pa.Table | None:
        """What `of` would give, where the keys alone say enough of rows that may not be there; None where they do not."""


@dataclass(frozen=True, slots=True)
class TargetRows:
    """Rows of the target, found by the indexes of its columns, and compared as it compares them."""

    routes: Routes
    links: Sequence[Link]
    side: SideName = "target"

    def columns(self, table: str) -> Key:
        """The key, and what others refer to."""
        asked = [name for link in self.links if link.parent == table for name in link.there]
        return tuple(dict.fromkeys([*self.routes(table).table.key, *asked]))

    def of(self, table: str, wanted: pa.Table) -> pa.Table:
        return self.having(table, wanted)

    def known(self, table: str, wanted: pa.Table) -> pa.Table | None:
        names = self.columns(table)
        return wanted.select(list(names)) if set(names) <= set(wanted.column_names) else None

    def lacking(self, table: str, values: pa.Table) -> pa.Table:
        """Those of some values that no row has in the columns of those names."""
        route = self.routes(table)
        bound, names = route.table, tuple(values.column_names)
        asked = held_by_target(route, values)
        if bound.ddl or not asked.num_rows:
            return values
        found = [asked.slice(0, 0)]
        rows = scan_planned(route.writes.snapshot, bound, names, keys=asked)
        found += _tables(readable(rows, bound.shape.name, route.writes.name, ()))
        target = route.writes.adapter
        there = compared(target, bound.shape, pa.concat_tables(found).drop_null(), names)
        return values.filter(pa.array(~inside(compared(target, bound.shape, values, names, there.schema), there)))

    def below(self, link: Link, parents: pa.Table) -> pa.Table:
        if not link.own:
            return self.empty(link.child)
        values = keys.distinct(parents.select(list(link.there)).drop_null())
        return self.having(link.child, values.rename_columns(list(link.own)))

    def empty(self, table: str) -> pa.Table:
        return self.routes(table).table.shape.schema(self.columns(table)).empty_table()

    def having(self, table: str, values: pa.Table) -> pa.Table:
        """The rows with some values in some columns, as the engine finds them."""
        route = self.routes(table)
        bound, names = route.table, self.columns(table)
        parts = [self.empty(table)]
        absent = {added.column.name for added in bound.adds}
        if values.num_rows and not bound.ddl and not absent & set(values.column_names):
            asked = held_by_target(route, values)
            found = scan_planned(route.writes.snapshot, bound, names, keys=asked)
            parts += _tables(readable(found, bound.shape.name, route.writes.name, bound.key))
        return keys.without_null_keys(pa.concat_tables(parts), bound.key)


@dataclass(frozen=True, slots=True)
class SourceRows:
    """Rows of the source, mapped as far as a tree needs them: found by what the mapping makes of the values, turned back.

    `whole` says of tables why they had to be read whole, and `_every` holds what was read of them.
    """

    routes: Routes
    links: Sequence[Link]
    whole: dict[str, str] = field(default_factory=dict)
    side: SideName = "source"
    _every: dict[str, pa.Table] = field(default_factory=dict)
    _mappings: dict[str, tuple[ColumnMapping, ...]] = field(default_factory=dict)

    def of(self, table: str, wanted: pa.Table) -> pa.Table:
        return self.having(table, wanted)

    def known(self, table: str, wanted: pa.Table) -> pa.Table | None:
        names = [column.shape.name for column in self.columns(table)]
        return wanted.select(names) if set(names) <= set(wanted.column_names) else None

    def below(self, link: Link, parents: pa.Table) -> pa.Table:
        bound = self.routes(link.child).table
        if not set(link.wanted) <= set(parents.column_names):
            return self.empty(link.child)
        values = keys.distinct(parents.select(list(link.wanted)).drop_null())
        if link.matched is None:
            mapped = {column.shape.name: column for column in bound.mapping.columns}
            if not set(link.own) <= mapped.keys():
                return self.empty(link.child)  # what the target fills by itself no row of the source says
            looked_up = [name for name in link.own if isinstance(mapped[name].origin, LookUp)]
            if looked_up:
                raise _not_followed(link, looked_up[0])
            return self.having(link.child, values.rename_columns(list(link.own)))
        sources = {looked: _shape(bound, source) for looked, source in link.matched}
        if None in sources.values():
            raise _not_followed(link, next(source for looked, source in link.matched if sources[looked] is None))
        asked = turned_back(values, {looked: shape for looked, shape in sources.items() if shape is not None})
        rows = self._scanned(link.child, asked)
        mine = pa.table(
            [
                casts.cast(
                    contiguous(rows.column(AS_READ + source)), casts.Cast(values.schema.field(looked).type)
                ).values
                for looked, source in link.matched
            ],
            names=list(link.wanted),
        )
        return _among(rows, mine, values)

    def above(self, link: Link, rows: pa.Table) -> pa.Table | None:
        """What some rows of the link's child refer to, in the parent's columns `wanted`; None where their mapping does not say."""
        parent = self.routes(link.parent).table.shape
        own = link.own if link.matched is None else tuple(AS_READ + source for _, source in link.matched)
        if not set(own) <= set(rows.column_names):
            return None
        made = {}
        for name, there in zip(own, link.wanted, strict=True):
            shape = parent.column(there)
            assert shape is not None, "binding knows the column"
            made[there] = casts.cast(contiguous(rows.column(name)), casts.Cast(shape.type, shape.meaning)).values
        return keys.distinct(pa.table(made).drop_null())

    def maps(self, table: str, names: Sequence[str]) -> bool:
        """Whether rows have some columns of the target."""
        return set(names) <= {column.shape.name for column in self.columns(table)}

    def empty(self, table: str) -> pa.Table:
        return pa.schema([(column.shape.name, column.shape.type) for column in self.columns(table)]).empty_table()

    def having(self, table: str, values: pa.Table) -> pa.Table:
        """The rows with some values in some mapped columns."""
        bound = self.routes(table).table
        if not values.num_rows:
            return self.empty(table)
        like = pa.schema([(column.shape.name, column.shape.type) for column in bound.mapping.columns])
        made = [
            casts.cast(contiguous(values.column(name)), casts.Cast(like.field(name).type)).values
            for name in values.column_names
        ]
        wanted = pa.table(made, names=values.column_names).drop_null()
        asked = held_by_source(bound, wanted)
        if asked.keys is None:
            self.whole.setdefault(table, asked.why)
            rows = self._every.get(table)
            if rows is None:
                rows = self._every[table] = self._scanned(table, None)
        else:
            rows = self._scanned(table, asked.keys)
        return _among(rows, rows.select(wanted.column_names), wanted)

    def columns(self, table: str) -> tuple[ColumnMapping, ...]:
        """The mapped columns of the key and of links, and those that lookups match by as the source has them."""
        if table not in self._mappings:
            self._mappings[table] = tuple(self._columns(self.routes(table).table))
        return self._mappings[table]

    def _columns(self, bound: BoundTable) -> Iterator[ColumnMapping]:
        linked = [name for link in self.links if link.parent == bound.name for name in link.wanted]
        linked += [name for link in self.links if link.child == bound.name for name in link.own if link.matched is None]
        matched: dict[str, ColumnShape] = {}
        for column in bound.mapping.columns:
            if isinstance(column.origin, LookUp):
                for source in read_by(column, bound.source_shape.names):
                    if (shape := _shape(bound, source)) is not None:
                        matched[source] = shape
                if column.shape.name in bound.key:
                    raise SpecError(
                        f"{bound.name}: key column {column.shape.name} is looked up, and no tree is followed to such rows yet.",
                        fix="leave out --tree, or run the tables with --range.",
                    )
            elif column.shape.name in (*bound.key, *linked):
                yield column
        for source, shape in matched.items():
            yield ColumnMapping(replace(shape, name=AS_READ + source), Rename(source))

    def _scanned(self, table: str, asked: pa.Table | None) -> pa.Table:
        """Rows as far as they are mapped; of one whose other columns do not fit, its key and its references count all the same."""
        route = self.routes(table)
        bound, columns = route.table, self.columns(table)
        if asked is not None and not asked.num_rows:
            return self.empty(table)
        read = {name for column in columns for name in read_by(column, bound.source_shape.names)}
        names = [name for name in bound.source_shape.names if name in read] or list(bound.reads[:1])
        mapping = replace(bound.mapping, columns=columns, on_invalid="quarantine", checks=())
        parts = [self.empty(table)]
        for batch in _tables(route.reads.snapshot.scan(bound.source, names, keys=asked)):
            mapped = map_rows(batch, mapping, {})
            parts += [mapped.rows, mapped.rejected_rows]
        return keys.without_null_keys(pa.concat_tables(parts), bound.key)


def _shape(bound: BoundTable, source: str) -> ColumnShape | None:
    return bound.source_shape.column(source)


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


def _tables(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    return (pa.Table.from_batches([batch]) for batch in batches)


def _not_followed(link: Link, column: str) -> SpecError:
    return SpecError(
        f"{link.child}: which rows of the source hang below {link.parent} cannot be followed: {column} is looked up itself.",
        fix="leave out --tree, or let a lookup match by columns of the source.",
    )
