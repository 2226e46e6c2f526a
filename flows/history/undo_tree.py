"""Which rows of trees an undo takes back: those that hang below the roots now, or did as the versions saw or left them."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import TopologicalSorter

import pyarrow as pa

from adapters.protocol import Snapshot, Target
from flows.bind.links import Link, above, below
from flows.bind.order import linked
from flows.bind.roots import Root, typed_roots
from flows.bind.spelling import speller
from flows.history.taken_back import among
from flows.history.undo_order import listed
from flows.history.undone import Undone
from flows.history.versions import table_of
from flows.plan.reading.chosen_keys import as_held
from flows.plan.references.references import having
from flows.plan.references.referrers import compared
from flows.plan.trees.chosen_tree import Trees, named_keys
from flows.plan.trees.tree import Hanging
from flows.session.scan import readable
from flows.spec.model import Spec
from transforms import keys
from transforms.net_changes import IMAGES, shaped
from transforms.vocabulary import ChangeSet, Key, PlanError, Relation, SideName, TableName, TableShape


def of_trees(spec: Spec, target: Target, snapshot: Snapshot, undone: Undone, trees: Trees) -> Undone:
    """What is left of an undo that takes back the rows of trees alone.

    Foreign keys of the target and lookups of the spec lead from row to row, in tables of the spec and in those that the versions
    wrote. What is read of the target are keys and references of rows that hang in the trees, of no other tables than lead from a
    root to one that was written. Memory: those, and the changes of the versions.
    Errors: SpecError for a key that is none; PlanError for a root that is not there and that no version knew.
    """
    entries = {name: target.named(spec.target_table(name)) for name in spec.tables}
    written = {str(table): table for table in undone.tables}
    named = dict.fromkeys([*entries.values(), *undone.tables])
    shapes = {str(table): shape for table in named if (shape := target.describe(table)) is not None}
    links = _links(spec, target, shapes, entries)
    by_table: dict[str, list[Root]] = {}
    for root in trees.roots:
        by_table.setdefault(str(target.named(table_of(spec, root.table, undone.versions))), []).append(root)
    if gone := [name for name in by_table if name not in shapes]:
        raise PlanError(
            f"{gone[0]} is no longer there, and no tree begins in it. Nothing was written.",
            fix="name a row of a table that is there, or undo without --tree.",
        )
    reached = (below(links, by_table) & above(links, written)) | by_table.keys()
    links = tuple(link for link in links if {link.child, link.parent} <= reached)
    changes = {
        name: [part for each in undone.versions for part in each.changes(written[name])]
        for name in reached & written.keys()
    }
    key_of = {
        name: changes[name][-1].key if changes.get(name) else _key(spec, target, shapes[name], entries)
        for name in _parents_first(reached, links)
    }
    known = _Tables(target, shapes, key_of, links)
    images = {name: _images(known, name, parts) for name, parts in changes.items() if parts}
    hanging = Hanging(key_of, links, (_Rows(known, snapshot, images),))
    roots = {name: typed_roots(some, name, shapes[name], key_of[name], target) for name, some in by_table.items()}
    for name, wanted in roots.items():
        there = hanging.there(name, wanted)
        if there.num_rows < wanted.num_rows:
            lost = wanted.filter(pa.array(~keys.contained(wanted, there, key_of[name])))
            raise PlanError(
                f"{name} has no row with the key {named_keys(lost)} in the target, and version {listed(undone.numbers)} knows of "
                f"none: no tree begins there. Nothing was written.",
                fix=f"look at the key, which is ({', '.join(key_of[name])}) as the target has it.",
            )
    hanging.grow(roots)
    return replace(undone, tree={written[name]: hanging.keys[name] for name in changes if name in hanging.keys})


def _links(
    spec: Spec, target: Target, shapes: Mapping[str, TableShape], entries: Mapping[str, TableName]
) -> tuple[Link, ...]:
    """By what rows of the target hang below each other: foreign keys, and columns that hold a looked-up value, unique in its table."""
    found = [
        Link(name, str(foreign.refers), foreign.columns, foreign.refers_columns)
        for name, shape in shapes.items()
        for foreign in shape.foreign_keys
        if str(foreign.refers) in shapes
    ]
    for name, table in spec.tables.items():
        columns = [each for part in table.parts for each in (part.columns or {}).items()]
        for column, made in columns:
            lookup = made.lookup
            if lookup is None or lookup.side != "target" or made.cast or made.map or lookup.table not in entries:
                continue
            taken = lookup.take or (spec.tables[lookup.table].key or [""])[0]  # by an identity map: its only column
            child, parent = str(entries[name]), str(entries[lookup.table])
            if lookup.to == "source" or not {child, parent} <= shapes.keys():
                continue
            own = _column(target, shapes[child], column)
            take = _column(target, shapes[parent], taken)
            known = shapes[parent].column(take)
            unique = known is not None and (known.identity or frozenset({take}) in shapes[parent].uniques)
            if unique and own in shapes[child].names:
                found.append(Link(child, parent, (own,), (take,)))
    return tuple(dict.fromkeys(found))


def _key(spec: Spec, target: Target, shape: TableShape, entries: Mapping[str, TableName]) -> Key:
    """By what rows of a table are matched, as the spec says today."""
    said = next((spec.tables[name].key for name, table in entries.items() if table == shape.name), None)
    return tuple(_column(target, shape, name) for name in said) if said else shape.primary_key


def _column(target: Target, shape: TableShape, name: str) -> str:
    return speller(shape.names, target.capabilities.names.columns, str(shape.name))(name)


def _parents_first(tables: frozenset[str], links: Sequence[Link]) -> list[str]:
    graph: dict[str, set[str]] = {name: set() for name in tables}
    for link in links:
        if link.child != link.parent:
            linked(graph, link.child, link.parent)
    return list(TopologicalSorter(graph).static_order())


@dataclass(frozen=True, slots=True)
class _Tables:
    """Tables of the target by their names, how their rows are matched, and how they hang below each other."""

    target: Target
    shapes: Mapping[str, TableShape]
    key_of: Mapping[str, Key]
    links: Sequence[Link]

    def columns(self, table: str) -> Key:
        """The key, and what others refer to."""
        asked = [name for link in self.links if link.parent == table for name in link.there]
        return tuple(dict.fromkeys([*self.key_of[table], *asked]))


@dataclass(frozen=True, slots=True)
class _Rows:
    """The rows of the target as they are, and as versions saw and left them: of one row as many as it has been.

    `images` are those of the tables that were written, in the columns of the key and of links.
    """

    tables: _Tables
    snapshot: Snapshot
    images: Mapping[str, pa.Table]
    side: SideName = "target"
    _compared: dict[Link, pa.Table] = field(default_factory=dict)

    def of(self, table: str, wanted: pa.Table) -> pa.Table:
        return pa.concat_tables([self._now(table, wanted), self._then(table, wanted)])

    def known(self, table: str, wanted: pa.Table) -> pa.Table | None:
        now = self._now_known(table, wanted)
        return None if now is None else pa.concat_tables([now, self._then(table, wanted)])

    def key(self, table: str) -> Key:
        return self.tables.key_of[table]

    def below(self, link: Link, parents: pa.Table) -> pa.Table:
        values, key = keys.distinct(parents.select(list(link.there)).drop_null()), self.tables.key_of[link.child]
        now = self._now(link.child, values.rename_columns(list(link.own)))
        was = self._was_below(link, values)
        elsewhere = was.filter(pa.array(~among(was, now, key)))
        there = self._now_known(link.child, elsewhere)
        now = pa.concat_tables([now, there if there is not None else self._now(link.child, elsewhere)])
        return pa.concat_tables([now, self._then(link.child, pa.concat_tables([now.select(list(key)), was]))])

    def _now(self, table: str, wanted: pa.Table) -> pa.Table:
        """The rows with some values in some columns, as the engine finds them."""
        shape, names, key = self.tables.shapes[table], self.tables.columns(table), self.tables.key_of[table]
        parts = [shape.schema(names).empty_table()]
        asked = as_held(shape, self.tables.target, wanted)
        if asked.num_rows:
            found = self.snapshot.scan(Relation(shape.name), names, keys=asked)
            parts += [pa.Table.from_batches([each]) for each in readable(found, shape.name, "target", key)]
        return keys.without_null_keys(pa.concat_tables(parts), key)

    def _now_known(self, table: str, wanted: pa.Table) -> pa.Table | None:
        names = self.tables.columns(table)
        if not set(names) <= set(wanted.column_names):
            return None
        return wanted.select(list(names)).cast(self.tables.shapes[table].schema(names))

    def _then(self, table: str, wanted: pa.Table) -> pa.Table:
        """The images of rows with some keys."""
        names, rows = self.tables.columns(table), self.images.get(table)
        if rows is None:
            return self.tables.shapes[table].schema(names).empty_table()
        return rows.select(list(names)).filter(pa.array(among(rows, wanted, self.tables.key_of[table])))

    def _was_below(self, link: Link, values: pa.Table) -> pa.Table:
        """The keys of rows of a link's child that referred to some values of its parent."""
        target, shapes, key = self.tables.target, self.tables.shapes, self.tables.key_of[link.child]
        rows = self.images.get(link.child)
        if rows is None or not rows.num_rows or not values.num_rows:
            return shapes[link.child].schema(key).empty_table()
        if link not in self._compared:
            self._compared[link] = compared(target, shapes[link.child], rows, link.own)
        mine, theirs = self._compared[link], compared(target, shapes[link.parent], values, link.there)
        names = tuple(mine.column_names)
        return keys.distinct(rows.select(list(key)).filter(pa.array(having(mine, names, theirs, names))))


def _images(known: _Tables, table: str, parts: Sequence[ChangeSet]) -> pa.Table:
    """The rows of a table as changes saw and left them, in the columns of its key and of links. What is not known is null."""
    own = [name for link in known.links if link.child == table for name in link.own]
    schema = known.shapes[table].schema(tuple(dict.fromkeys([*known.columns(table), *own])))
    images = [getattr(part, name) for part in parts for name in IMAGES]
    rows = [
        shaped(rows.select([name for name in schema.names if name in rows.column_names]), schema, parts[0].table)
        for rows in images
    ]
    return keys.distinct(pa.concat_tables(rows))
