"""Schema drift: the shape of a table as it was taken down, and what is different about it now."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict, dataclass
from typing import Any, Literal

from transforms.vocabulary import ColumnShape, Key, TableShape

Kind = Literal["table", "added", "gone", "renamed", "type", "nullable", "generated", "identity", "primary_key"]
"""What is different: the table is gone; a column was added, is gone, is perhaps renamed, or is another one; the key."""


@dataclass(frozen=True, slots=True)
class ColumnPrint:
    """What is taken down of a column. `type` is the engine's own name; None where only the values tell it."""

    name: str
    type: str | None
    nullable: bool = True
    generated: bool = False
    identity: bool = False

    def __str__(self) -> str:
        return f"{self.name} ({self.type})" if self.type else self.name


@dataclass(frozen=True, slots=True)
class TablePrint:
    """What is taken down of a table or a query: its columns in order, and its primary key."""

    columns: tuple[ColumnPrint, ...]
    primary_key: Key = ()

    def as_dict(self) -> dict[str, Any]:
        return {"columns": [asdict(column) for column in self.columns], "primary_key": list(self.primary_key)}

    @classmethod
    def of_dict(cls, told: Mapping[str, Any]) -> TablePrint:
        return cls(tuple(ColumnPrint(**column) for column in told["columns"]), tuple(told["primary_key"]))


@dataclass(frozen=True, slots=True)
class Change:
    """One difference. `column` is the one as it was taken down, or the one that was added; None for a whole table."""

    kind: Kind
    column: str | None
    told: str

    @property
    def additive(self) -> bool:
        """Whether nothing that was there is another now."""
        return self.kind == "added"


def fingerprint(shape: TableShape) -> TablePrint:
    """What is taken down of a live table. Travel types and limits are not: they may depend on the rows."""
    return TablePrint(tuple(map(_column, shape.columns)), shape.primary_key)


def changes(was: TablePrint, now: TablePrint | None) -> tuple[Change, ...]:
    """What is different, columns first in the order in which they were and are, then the primary key.

    The order of the columns alone is no difference. A column that went and one of the same type that came in its place
    are told together, as perhaps renamed; nothing is made of it.
    """
    if now is None:
        return (Change("table", None, "it is gone"),)
    renamed = _renamed(was.columns, now.columns)
    there = {column.name: column for column in now.columns}
    found: list[Change] = []
    for column in was.columns:
        if column.name in there:
            found += _differences(column, there[column.name])
        elif column in renamed:
            told = f"column {column} is gone, and {renamed[column]} was added in its place (renamed?)"
            found.append(Change("renamed", column.name, told))
        else:
            found.append(Change("gone", column.name, f"column {column} is gone"))
    known = {column.name for column in (*was.columns, *renamed.values())}
    found += [Change("added", c.name, f"column {c} was added") for c in now.columns if c.name not in known]
    if was.primary_key != now.primary_key:
        told = f"its primary key was {_key(was.primary_key)} and is {_key(now.primary_key)}"
        found.append(Change("primary_key", None, told))
    return tuple(found)


def _column(column: ColumnShape) -> ColumnPrint:
    native = None if column.inferred else column.native
    return ColumnPrint(column.name, native, column.nullable, column.generated, column.identity)


def _differences(was: ColumnPrint, now: ColumnPrint) -> Iterator[Change]:
    if was.type != now.type:
        yield Change(
            "type", was.name, f"column {was.name} was {was.type or 'of no type'} and is {now.type or 'of none'}"
        )
    if was.nullable != now.nullable:
        how = "took no nulls and takes them" if now.nullable else "took nulls and takes none"
        yield Change("nullable", was.name, f"column {was.name} {how}")
    if was.generated != now.generated:
        how = "was not computed by the database and is" if now.generated else "was computed by the database and is not"
        yield Change("generated", was.name, f"column {was.name} {how}")
    if was.identity != now.identity:
        how = "did not number itself and does" if now.identity else "numbered itself and does not"
        yield Change("identity", was.name, f"column {was.name} {how}")


def _renamed(was: Sequence[ColumnPrint], now: Sequence[ColumnPrint]) -> dict[ColumnPrint, ColumnPrint]:
    """Columns that went, each with the one of its type that came between the same neighbours, where as many came."""
    kept = {column.name for column in was} & {column.name for column in now}
    went, came = _between(was, kept), _between(now, kept)
    pairs: dict[ColumnPrint, ColumnPrint] = {}
    for place, gone in went.items():
        added = came.get(place, [])
        if len(gone) == len(added):
            pairs |= {one: other for one, other in zip(gone, added, strict=True) if one.type == other.type}
    return pairs


def _between(columns: Sequence[ColumnPrint], kept: set[str]) -> dict[str | None, list[ColumnPrint]]:
    """The columns that are not kept, by the kept one before them."""
    found: dict[str | None, list[ColumnPrint]] = {}
    place: str | None = None
    for column in columns:
        if column.name in kept:
            place = column.name
        else:
            found.setdefault(place, []).append(column)
    return found


def _key(columns: Key) -> str:
    return f"({', '.join(columns)})" if columns else "none"
