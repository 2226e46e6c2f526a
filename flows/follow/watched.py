"""What feeds watch of each side, and what keys that they tell of are keys of."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field

import pyarrow as pa

from adapters.feeds.feed import Watched
from flows.bind.tables import BoundTable
from flows.plan.reading.chosen_keys import told_by
from flows.plan.trees.changed import Changed
from flows.session.session import Session
from transforms import keys
from transforms.mapping.column_mapping import LookUp
from transforms.mapping.sources import read_by
from transforms.vocabulary import Key, SideName, SpecError, TableName, TableShape


@dataclass(frozen=True, slots=True)
class _Use:
    """What the values of some watched columns are: keys of a table's source, or what its rows look up in a table that is in no plan.

    `called` are the names by which a plan knows them, in the order of `columns`.
    """

    table: str
    part: str
    columns: Key
    called: Key
    looked_up: bool = False


@dataclass(slots=True)
class _Watching:
    """A table of a side, the columns of it that are watched, and what for."""

    shape: TableShape
    cursor: str | None = None
    uses: list[_Use] = field(default_factory=list)

    @property
    def watched(self) -> Watched:
        names = {name for use in self.uses for name in use.columns}
        return Watched(self.shape, tuple(name for name in self.shape.names if name in names), self.cursor)


@dataclass(frozen=True, slots=True)
class Watching:
    """Both sides' tables that are watched. The target's are those of tables that go both ways."""

    sides: Mapping[SideName, Mapping[TableName, _Watching]]

    def of(self, side: SideName) -> tuple[Watched, ...]:
        """What a feed of a side is to watch; nothing where it has none to tell of."""
        return tuple(each.watched for _, each in sorted(self.sides[side].items()))

    def changed(self, side: SideName, told: Mapping[TableName, pa.Table]) -> Changed:
        """The keys that a feed told of, as a plan takes them."""
        source: dict[tuple[str, str], pa.Table] = {}
        target: dict[str, pa.Table] = {}
        looked: dict[tuple[str, str], list[pa.Table]] = {}
        for table, rows in told.items():
            for use in self.sides[side][table].uses:
                values = keys.distinct(rows.select(list(use.columns)).rename_columns(list(use.called)))
                if side == "target":
                    target[use.table] = values.drop_null()
                elif use.looked_up:
                    looked.setdefault((use.table, use.part), []).append(values.drop_null())
                else:
                    source[use.table, use.part] = values
        return Changed(source, target, looked)

    def tables_of(self, side: SideName, tables: Sequence[TableName]) -> tuple[str, ...]:
        """The tables of the spec that have to do with some tables of a side."""
        return tuple(sorted({use.table for table in tables for use in self.sides[side][table].uses}))


def watching(session: Session) -> Watching:
    """What has to be watched so that every change of the mapped rows is told. SpecError for a table that cannot be followed."""
    source: dict[TableName, _Watching] = {}
    target: dict[TableName, _Watching] = {}
    cursor = session.spec.follow.cursor
    for bound in session.bound.tables:
        for part in bound.sources:
            if part.source.table is None:
                raise SpecError(
                    f"{bound.name} is read by a query, and which of its rows change cannot be told.",
                    fix="name a table in `from`, or leave this table to runs of their own.",
                    where=session.spec.where("tables", bound.name),
                    table=bound.name,
                )
            asked = session.spec.cursor(bound.name)
            own = _watch(source, part.source_shape, part.source.table, asked.column if asked else cursor)
            names = _told_by(part)
            own.uses.append(_Use(bound.name, part.part, names, names))
            for use, table in _looked_up(part):
                if table not in source:
                    shape = session.sides.source.adapter.describe(table)
                    assert shape is not None, "binding knows the table"
                    _watch(source, shape, table, cursor)
                source[table].uses.append(use)
        if bound.two_way is not None:
            _watch(target, bound.shape, bound.shape.name, cursor).uses.append(
                _Use(bound.name, "", bound.key, bound.key)
            )
    return Watching({"source": source, "target": target})


def _watch(known: dict[TableName, _Watching], shape: TableShape, table: TableName, cursor: str | None) -> _Watching:
    return known.setdefault(table, _Watching(shape, cursor if cursor in shape.names else None))


def _told_by(part: BoundTable) -> Key:
    """The columns of a source that the key of its rows is made of; those of its own key, where that is made of none."""
    own, made = told_by(part)
    read = [read_by(column, part.source_shape.names) for column in part.mapping.columns if column.shape.name in made]
    names = {*own, *(name for each in read for name in each)}
    return tuple(name for name in part.source_shape.names if name in names) or part.source_shape.primary_key


def _looked_up(part: BoundTable) -> Iterator[tuple[_Use, TableName]]:
    """What rows look up in tables of the source that are in no plan."""
    for column in part.mapping.columns:
        if not isinstance(column.origin, LookUp):
            continue
        looked = part.lookups[column.origin.name]
        if looked.side == "source" and looked.planned is None and looked.through is None:
            pairs = [(there, own) for there, own in column.origin.match if own not in column.origin.chained]
            if pairs:
                there, own = tuple(zip(*pairs, strict=True))
                yield _Use(part.name, part.part, there, own, looked_up=True), looked.table
