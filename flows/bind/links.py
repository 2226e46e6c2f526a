"""How rows of the spec's tables hang below each other: by foreign keys of the target, and by lookups."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass

from flows.bind.tables import Binding, BoundTable
from transforms.mapping.column_mapping import ColumnMapping, LookUp
from transforms.vocabulary import Key


@dataclass(frozen=True, slots=True)
class Link:
    """Rows of `child` hang below rows of `parent`.

    In the target, `own` has what the parent's `there` has; both are empty where the target does not say which row it is.
    `matched` are the pairs by which a lookup finds the parent: a column of the parent, and the one of the source that is
    matched by it. It is None for a foreign key: source rows refer by what `own` is made of.
    """

    child: str
    parent: str
    own: Key
    there: Key
    matched: tuple[tuple[str, str], ...] | None = None

    @property
    def wanted(self) -> Key:
        """The columns of the parent that rows of the source refer to."""
        return self.there if self.matched is None else tuple(looked for looked, _ in self.matched)


def links_of(binding: Binding) -> tuple[Link, ...]:
    """Every link between tables of the spec, lookups first. A foreign key whose column is looked up in the same table is one link."""
    every = (link for bound in binding.tables for part in bound.sources for link in _lookups(part, binding))
    looked = list(dict.fromkeys(every))
    known = {(link.child, link.parent, link.own, link.there) for link in looked}
    names = {bound.shape.name: bound.name for bound in binding.tables}
    declared = (
        Link(bound.name, names[foreign.refers], foreign.columns, foreign.refers_columns)
        for bound in binding.tables
        for foreign in bound.shape.foreign_keys
        if foreign.refers in names
    )
    return (
        *looked,
        *dict.fromkeys(link for link in declared if (link.child, link.parent, link.own, link.there) not in known),
    )


def below(links: Sequence[Link], tables: Collection[str]) -> frozenset[str]:
    """Some tables, and all that may have rows below theirs."""
    return _reached(tables, [(link.parent, link.child) for link in links])


def above(links: Sequence[Link], tables: Collection[str]) -> frozenset[str]:
    """Some tables, and all that their rows may refer to, over however many others."""
    return _reached(tables, [(link.child, link.parent) for link in links])


def _reached(tables: Collection[str], steps: Sequence[tuple[str, str]]) -> frozenset[str]:
    found = set(tables)
    while more := {there for here, there in steps if here in found} - found:
        found |= more
    return frozenset(found)


def _lookups(bound: BoundTable, binding: Binding) -> Iterator[Link]:
    for column in (*bound.mapping.columns, *bound.computed):
        if not isinstance(column.origin, LookUp):
            continue
        parent = bound.lookups[column.origin.name].planned
        if parent is None:
            continue
        own, there = _held(column, column.origin, binding.table(parent))
        yield Link(bound.name, parent, own, there, column.origin.match)


def _held(column: ColumnMapping, lookup: LookUp, parent: BoundTable) -> tuple[Key, Key]:
    """What a looked-up column of the target says of the row that it was taken from: nothing, where that has no unique value."""
    unique = lookup.take == parent.identity or any(each == {lookup.take} for each in parent.shape.uniques)
    plain = column.values is None and column.cast is None
    return ((column.shape.name,), (lookup.take,)) if unique and plain else ((), ())
