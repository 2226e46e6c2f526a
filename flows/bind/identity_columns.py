"""Columns that have to do with identity maps: the keys of tables that have one, and lookups that go through one."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, replace
from typing import Literal, Protocol

import pyarrow as pa

from adapters.protocol import Target
from flows.bind.create_table import new_key_column
from flows.bind.identity import TARGET, Given, IdentityMap, way_name
from flows.bind.lookup_source import LookupSource
from flows.spec.columns import Column, Lookup
from flows.spec.model import Spec
from flows.spec.problems import meant
from transforms.mapping import casts
from transforms.mapping.column_mapping import ColumnMapping, LookUp
from transforms.vocabulary import ColumnShape, Key, Meaning, SpecError, TableName, TableShape


class Binder(Protocol):
    """Who binds the columns of a table."""

    spec: Spec
    name: str
    source_shape: TableShape
    target_shape: TableShape | None
    target: Target
    given: dict[str, Column]
    identity_map: IdentityMap | None
    lookups: dict[str, LookupSource]

    def source_column(self, name: str) -> ColumnShape:
        """A column of the source, which is read from now on. SpecError where there is none."""

    def target_column(self, name: str) -> ColumnShape:
        """A column of the target, which is there. SpecError where there is none."""

    def bound_column(self, name: str) -> ColumnMapping:
        """A mapped column. SpecError where it has problems."""


def identity_map(binder: Binder) -> IdentityMap:
    """The table's identity map. SpecError with what is wrong with it."""
    spec, table = binder.spec, binder.name
    said = spec.tables[table].identity
    assert said is not None, "the table has one"
    with _within(binder, "key"):
        source = tuple(map(binder.source_column, source_key(spec, table, binder.source_shape)))
        if unknown := [name for name in said.match if name not in binder.given]:
            raise SpecError(f"match: {unknown[0]} is not among the columns. {meant(unknown[0], binder.given)}")
    target: list[ColumnShape] = []
    mapped: list[ColumnMapping] = []
    generated: dict[str, Given] = {}
    for name in said.map:
        with _within(binder, "columns", name) if name in binder.given else _within(binder, "key"):
            there = binder.target_column(name) if binder.target_shape is not None else None
            if how := generated_by(name, binder.given.get(name), there):
                generated[name] = how
                alone = len(said.map) == 1
                target.append(there or new_key_column(spec, table, name, how, binder.target, alone=alone))
            else:
                mapped.append(binder.bound_column(name))
                target.append(mapped[-1].shape)
    return IdentityMap(table, source, tuple(target), tuple(said.match), tuple(mapped), generated)


@contextmanager
def _within(binder: Binder, *path: str) -> Iterator[None]:
    """Problems of a place in the table's entry."""
    try:
        yield
    except SpecError as error:
        where = binder.spec.where("tables", binder.name, *path)
        raise SpecError.of(each.within(where) for each in error.problems) from error


def through_map(
    binder: Binder, maps: Mapping[str, IdentityMap], lookup: Lookup, missing: Literal["null", "quarantine", "fail"]
) -> tuple[LookUp, pa.DataType, Meaning]:
    """The key that a row has on the other side, through the identity map of its table. SpecError where it has none."""
    assert lookup.by is not None, "it goes through a map"
    own = lookup.table == binder.name
    step = through(lookup, binder.identity_map if own else maps.get(lookup.table))
    for source, there in zip(map(binder.source_column, lookup.by), step.looked, strict=True):
        if not casts.implicit(source.type, source.meaning, replace(there, nullable=True)):
            raise SpecError(
                f"lookup: {source.name} is {source.native} and the key of {lookup.table} is {there.native}, so they never match.",
                fix="match columns of like types; `from: {query: …}` can convert one.",
            )
    name, table = way_name(lookup.table), binder.spec.target_table(lookup.table)
    binder.lookups[name] = LookupSource("target", table, None if own else lookup.table, (), lookup.table)
    pairs = tuple(zip(step.names, lookup.by, strict=True))
    return LookUp(name, pairs, step.take, missing), step.taken.type, step.taken.meaning


def map_lookup(known: IdentityMap | None, table: TableName) -> Mapping[str, LookupSource]:
    """What the columns of a table's key read, where it has an identity map."""
    return {known.name: LookupSource("target", table, None, (), known.table)} if known is not None else {}


def source_key(spec: Spec, table: str, source: TableShape) -> Key:
    """The columns of the source's key of a table with an identity map. SpecError where nothing says which they are."""
    said = spec.tables[table].identity
    assert said is not None, "the table has an identity map"
    if said.source is not None:
        return tuple(said.source)
    if not source.primary_key:
        raise SpecError(
            f"{spec.source_relation(table)} has no primary key, so nothing tells its rows apart in an identity map.",
            fix=f"name the columns of its key in tables.{table}.key, as `source: […]`.",
            where=spec.where("tables", table, "key"),
        )
    return source.primary_key


def generated_by(name: str, wanted: Column | None, shape: ColumnShape | None) -> Given | None:
    """How a new row gets a column of its key: None where the mapping says it. `shape` is None where the column is yet to be made.

    SpecError where nobody numbers the column.
    """
    if wanted is not None and wanted.generate is None:
        return None
    asked = wanted.generate if wanted is not None else None
    if shape is None:
        return "uuid" if asked == "uuid" else "number"
    if pa.types.is_integer(shape.type) and asked != "uuid":
        return "number"
    if asked == "uuid" or shape.meaning == "uuid":
        return "uuid"
    raise SpecError(
        f"{name} is {shape.native}, which nobody numbers: nothing says what key a new row gets.",
        fix=f"say it under `columns:`, as `{name}: {{generate: uuid}}` or what else new rows get.",
    )


@dataclass(frozen=True, slots=True)
class Step:
    """A lookup through an identity map: by which columns of the map, and which of them is taken."""

    looked: tuple[ColumnShape, ...]
    names: tuple[str, ...]
    taken: ColumnShape
    take: str


def through(lookup: Lookup, known: IdentityMap | None) -> Step:
    """What a lookup `by` a key needs of the map of its table. SpecError where there is none, or where it does not fit."""
    assert lookup.by is not None, "it goes through a map"
    if known is None:
        raise SpecError(
            f"lookup: {lookup.table} has no identity map that `by` could go through.",
            fix="give it `key: {map: […]}`, or say with `match` and `take` how rows are found.",
        )
    sides = (known.source, known.by), (known.target, tuple(TARGET + name for name in known.key))
    (looked, names), (ends, takes) = sides if lookup.to != "source" else sides[::-1]
    if len(lookup.by) != len(looked):
        listed = ", ".join(column.name for column in looked)
        raise SpecError(
            f"lookup: by names {len(lookup.by)} columns, and the key of {lookup.table} has {len(looked)} ({listed}).",
            fix="name as many, in that order.",
        )
    if not lookup.take and len(ends) > 1:
        raise SpecError(
            f"lookup: the key of {lookup.table} has several columns ({', '.join(each.name for each in ends)}).",
            fix="say with `take:` which one is meant.",
        )
    take = lookup.take or ends[0].name
    place = next((at for at, column in enumerate(ends) if column.name == take), None)
    if place is None:
        known_names = [column.name for column in ends]
        raise SpecError(f"lookup: {take} is not in the key of {lookup.table}. {meant(take, known_names)}")
    return Step(looked, names, ends[place], takes[place])
