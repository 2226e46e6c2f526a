"""Whether indexes lead to the rows that hang below others: without one, each level of a tree goes through a whole table."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from adapters.protocol import Catalog
from flows.bind.links import Link, links_of
from flows.bind.tables import BoundTable
from flows.session.session import Session
from transforms.mapping.column_mapping import LookUp, Rename
from transforms.vocabulary import SIDES, Key, Notice, SideName, TableName, TableShape


def without_index(session: Session, tables: Collection[str]) -> Iterator[Notice]:
    """A notice for each side on which rows of a table refer to others by columns that no index begins with."""
    for link in links_of(session.bound):
        if link.child not in tables:
            continue
        bound = session.bound.table(link.child)
        for name in SIDES:
            adapter, names = session.sides[name].adapter, _referring(bound, link, name)
            shape, table = bound.source_shape, bound.source.table
            if name == "target":
                shape, table = bound.shape, None if bound.ddl else bound.shape.name
            if not names or table is None or not isinstance(adapter, Catalog):
                continue
            if not indexed(adapter, table, shape, names):
                yield _notice(link, name, table, names)


def _referring(bound: BoundTable, link: Link, side: SideName) -> Key:
    """The columns by which rows refer to others, as a side has them; none where it is not asked by columns of its own."""
    if side == "target":
        return link.own
    if link.matched is not None:
        return tuple(source for _, source in link.matched)
    mapped = {column.shape.name: column.origin for column in bound.mapping.columns}
    origins = [mapped.get(name) for name in link.own]
    if any(isinstance(origin, LookUp) for origin in origins):
        return ()
    return tuple(origin.source for origin in origins if isinstance(origin, Rename))


def indexed(adapter: Catalog, table: TableName, shape: TableShape, names: Key) -> bool:
    """Whether an index of a table begins with one of some columns."""
    begins = [shape.primary_key[:1], *(index[:1] for index in adapter.design(table).indexes)]
    return any(first and first[0] in names for first in begins) or any(unique <= set(names) for unique in shape.uniques)


def _notice(link: Link, side: SideName, table: TableName, names: Key) -> Notice:
    columns = ", ".join(names)
    text = (
        f"{link.child}: no index of {table} in the {side} begins with one of ({columns}), by which its rows hang below "
        f"{link.parent}: to find them, the engine goes through the table. Fix: make an index of ({columns})."
    )
    return Notice("no_index", text, link.child, {"side": side, "columns": list(names), "below": link.parent})
