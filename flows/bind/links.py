"""How rows of the spec's tables hang below each other: by foreign keys of the target, and by lookups."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Sequence
from dataclasses import dataclass, replace

from flows.bind.identity import TARGET, way_name
from flows.bind.tables import Binding, BoundTable
from transforms.mapping.column_mapping import ColumnMapping, LookUp
from transforms.mapping.waiting_keys import looked_up_keys
from transforms.vocabulary import Key


@dataclass(frozen=True, slots=True)
class Link:
    """Rows of `child` hang below rows of `parent`.

    In the target, `own` has what the parent's `there` has; both are empty where the target does not say which row it is, or
    where another link says the same of it. `matched` are the pairs by which a lookup of the source `part` finds the parent: a column
    of the parent, and the one of the source that is matched by it. It is None for a foreign key: source rows refer by what `own` is
    made of. Columns of the parent's source are called `as_read`, where an identity map pairs them.
    """

    child: str
    parent: str
    own: Key
    there: Key
    matched: tuple[tuple[str, str], ...] | None = None
    part: str = ""


def as_read(part: str, column: str) -> str:
    """What a column of a table's source is called beside mapped ones; `part` is the name of the source, where there are several."""
    return f"source {part}: {column}" if part else f"source: {column}"


def apart(bound: BoundTable) -> bool:
    """Whether a key of the target does not say by itself which row of the source it is: it is looked up, or the target gives it."""
    return any(looked_up_keys(each.mapping) for each in bound.sources)


def links_of(binding: Binding) -> tuple[Link, ...]:
    """Every link between tables of the spec, lookups first. A foreign key whose column is looked up in the same table is one link."""
    names = {bound.shape.name: bound.name for bound in binding.tables}
    looked = list(
        dict.fromkeys(link for bound in binding.tables for part in bound.sources for link in _lookups(part, binding))
    )
    declared = dict.fromkeys(
        Link(bound.name, names[foreign.refers], foreign.columns, foreign.refers_columns)
        for bound in binding.tables
        for foreign in bound.shape.foreign_keys
        if foreign.refers in names
    )
    sources = {bound.name: len(bound.sources) for bound in binding.tables}
    by = {place: [link.part for link in looked if _place(link) == place] for place in map(_place, looked)}
    # a source that does not look the column up refers by the foreign key
    kept = [link for link in declared if len(set(by.get(_place(link), ()))) < sources[link.child]]
    known = set(map(_place, kept))
    found: list[Link] = []
    for link in looked:
        found.append(replace(link, own=(), there=()) if _place(link) in known else link)
        known.add(_place(link))
    return (*found, *kept)


def _place(link: Link) -> tuple[str, str, Key, Key]:
    return link.child, link.parent, link.own, link.there


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
        looked = bound.lookups[column.origin.name]
        parent = looked.planned or looked.through
        if parent is None:
            continue
        own, there = _held(column, column.origin, binding.table(parent))
        pairs = column.origin.match
        if looked.through is not None:
            pairs = tuple((_paired(name), source) for name, source in pairs)
        yield Link(bound.name, parent, own, there, pairs, bound.part)


def _paired(name: str) -> str:
    """What a column of an identity map is called among the rows of its table."""
    return name if name.startswith(TARGET) else as_read("", name)


def _held(column: ColumnMapping, lookup: LookUp, parent: BoundTable) -> tuple[Key, Key]:
    """What a looked-up column of the target says of the row that it was taken from: nothing, where that has no unique value."""
    if column.values is not None or column.cast is not None:
        return (), ()
    known = parent.identity_map
    if known is not None and lookup.name == way_name(parent.name):
        ends = {TARGET + name: name for name in known.key} if len(known.key) == 1 else {}
        ends |= {name: as_read("", name) for name in known.by} if len(known.by) == 1 else {}
        return ((column.shape.name,), (ends[lookup.take],)) if lookup.take in ends else ((), ())
    unique = lookup.take == parent.identity or any(each == {lookup.take} for each in parent.shape.uniques)
    return ((column.shape.name,), (lookup.take,)) if unique else ((), ())


def whole_tables(binding: Binding, names: Collection[str]) -> tuple[str, ...]:
    """The tables that are planned whole where something changes in some: those that hang together with these, where one of them goes both
    ways and its rows have another key on each side. A key of one side does not say there which row of the other is meant.
    """
    links, found = links_of(binding), set[str]()
    for name in names:
        together = {name}
        while (
            more := {
                each for link in links for each in (link.parent, link.child) if together & {link.parent, link.child}
            }
            - together
        ):
            together |= more
        tables = [bound for bound in binding.tables if bound.name in together]
        if any(bound.two_way is not None and apart(bound) for bound in tables):
            found |= together
    return tuple(bound.name for bound in binding.tables if bound.name in found)
