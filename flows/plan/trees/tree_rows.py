"""What a tree reads of the target: of the rows that hang in it their keys, and the columns by which rows refer to each other."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import Protocol

import pyarrow as pa

from flows.bind.identity import ends_of
from flows.bind.links import Link, as_read
from flows.bind.tables import BoundTable
from flows.plan.reading.chosen_keys import held_by_target
from flows.plan.references.referrers import compared, inside
from flows.session.route import Route
from flows.session.scan import readable, scan_planned
from transforms import keys
from transforms.vocabulary import Key, SideName

Routes = Callable[[str], Route]
Pairs = Callable[[str], pa.Table]
"""The pairs of the identity map of a table, in its columns."""


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

    def key(self, table: str) -> Key:
        """The columns by which its rows are told apart."""


@dataclass(frozen=True, slots=True)
class TargetRows:
    """Rows of the target, found by the indexes of its columns, and compared as it compares them.

    Those of a table with an identity map have their keys of the source beside them, as far as the map has them.
    """

    routes: Routes
    links: Sequence[Link]
    pairs: Pairs
    side: SideName = "target"

    def key(self, table: str) -> Key:
        return self.routes(table).table.key

    def columns(self, table: str) -> Key:
        """The key, and what others refer to."""
        bound = self.routes(table).table
        known = bound.identity_map
        paired = {as_read("", name) for name in known.by} if known is not None else set()
        asked = [name for link in self.links if link.parent == table for name in link.there if name not in paired]
        return tuple(dict.fromkeys([*bound.key, *asked]))

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

    def having(self, table: str, values: pa.Table) -> pa.Table:
        """The rows with some values in some columns, as the engine finds them."""
        return self._paired(self.routes(table).table, self.read(table, values, self.columns(table)))

    def empty(self, table: str) -> pa.Table:
        bound = self.routes(table).table
        return self._paired(bound, bound.shape.schema(self.columns(table)).empty_table())

    def read(self, table: str, values: pa.Table, names: Key) -> pa.Table:
        """Some columns of the rows with some values in some columns, as the engine finds them."""
        route = self.routes(table)
        bound = route.table
        names = tuple(dict.fromkeys([*bound.key, *names]))
        parts = [bound.shape.schema(names).empty_table()]
        if values.num_rows and not bound.ddl:
            asked = held_by_target(route, values)
            found = scan_planned(route.writes.snapshot, bound, names, keys=asked)
            parts += _tables(readable(found, bound.shape.name, route.writes.name, bound.key))
        return keys.without_null_keys(pa.concat_tables(parts), bound.key)

    def _paired(self, bound: BoundTable, rows: pa.Table) -> pa.Table:
        if bound.identity_map is None:
            return rows
        known, pairs = bound.identity_map, self.pairs(bound.name)
        ends = ends_of(pairs, known.key).cast(bound.shape.schema(known.key))
        at = keys.match(rows, ends, known.key)
        for name in known.by:
            rows = rows.append_column(as_read("", name), pairs.column(name).take(pa.array(at, mask=at < 0)))
        return rows


def _tables(batches: Iterable[pa.RecordBatch]) -> Iterator[pa.Table]:
    return (pa.Table.from_batches([batch]) for batch in batches)
