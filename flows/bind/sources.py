"""The sources of a target table: each bound by itself, and then made to give the same columns."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import NoReturn

import pyarrow as pa

from adapters.protocol import Source, Target
from flows.bind.columns import ColumnBinder
from flows.bind.create_table import fitted, free_column, takes_nulls
from flows.bind.identity import IdentityMap
from flows.bind.identity_columns import map_lookup
from flows.bind.keys import key_of
from flows.bind.lookup_source import LookupSource
from flows.spec.model import Spec
from flows.spec.problems import meant
from transforms.mapping import casts
from transforms.mapping.column_mapping import ColumnMapping, Constant, Rename
from transforms.vocabulary import ColumnShape, Key, Problem, Relation, SpecError, TableShape


@dataclass(frozen=True, slots=True)
class BoundSource:
    """One source of a table, and what is made of its rows.

    `name` tells it apart from the others, and is empty where it is the only one. `spec` is the spec as this source sees it.
    `computed` are mapped columns that the target computes itself, `added` those that it lacks and a run adds.
    """

    name: str
    spec: Spec
    relation: Relation
    shape: TableShape
    columns: tuple[ColumnMapping, ...]
    computed: tuple[ColumnMapping, ...]
    identity: str | None
    reads: tuple[str, ...]
    lookups: Mapping[str, LookupSource]
    added: tuple[str, ...]
    identity_map: IdentityMap | None

    @property
    def renamed(self) -> dict[str, str]:
        """Target columns, and the source columns that they copy in an order-keeping way."""
        zero_dates = dict(self.relation.zero_dates)
        return {
            c.shape.name: c.origin.source
            for c in self.columns
            if isinstance(c.origin, Rename)
            and c.values is None
            and c.cast is None
            and _keeps(self.shape, c)
            # what stands for a date that is none, or is left of a text, lies elsewhere in the order
            and not c.strip_nul
            and zero_dates.get(c.origin.source, "null") in ("null", "quarantine", "fail")
        }

    def order(self, key: Key, target: TableShape, *, new: bool) -> Key:
        """The key in an order in which both sides have an index, or () where windows cannot be pushed down."""
        renamed = self.renamed
        if self.relation.query is not None or any(column not in renamed for column in key):
            return ()
        if not new and any(shape.collation for shape in target.columns if shape.name in key):
            return ()  # keys that collide must meet, and lie in different windows
        back = {renamed[column]: column for column in key}
        for candidate in sorted(self.shape.ordered):
            if set(candidate) != set(back):
                continue
            order = tuple(back[column] for column in candidate)
            if new or order in target.ordered:
                return order
        return ()

    def fitted(self, shape: TableShape) -> BoundSource:
        """The source with its columns in the shapes that the whole table gives them."""
        return replace(self, columns=fitted(self.columns, shape), computed=fitted(self.computed, shape))


def bound_sources(
    spec: Spec,
    name: str,
    found: Sequence[TableShape | None],
    there: TableShape | None,
    source: Source,
    target: Target,
    planned: Mapping[str, tuple[TableShape, tuple[str, ...]]],
    maps: Mapping[str, IdentityMap],
) -> tuple[BoundSource, ...]:
    """The sources of a table, which all give the same columns. SpecError with every problem, a line each."""
    bound: list[BoundSource] = []
    problems: dict[Problem, None] = {}
    names = spec.part_names(name) or ("",)
    for called, own, shape in zip(names, spec.parts_of(name), found, strict=True):
        try:
            relation = own.source_relation(name)
            binder = ColumnBinder(
                own, name, shape or _no_source(own, name, relation, source), there, source, target, planned, maps
            )
            columns, identity = binder.columns()
        except SpecError as error:
            problems |= dict.fromkeys(error.problems)
            continue
        bound.append(
            BoundSource(
                name=called,
                spec=own,
                relation=replace(relation, zero_dates=binder.zero_dates()),
                shape=binder.source_shape,
                columns=tuple(column for column in columns if not column.shape.generated),
                computed=tuple(column for column in columns if column.shape.generated),
                identity=identity,
                reads=binder.reads(),
                lookups={**binder.lookups, **map_lookup(binder.identity_map, spec.target_table(name))},
                added=tuple(binder.added),
                identity_map=binder.identity_map,
            )
        )
    if problems:
        raise SpecError.of(problems)
    return tuple(bound) if len(bound) == 1 else _alike(spec, name, bound, there, target)


def key_of_sources(spec: Spec, name: str, sources: Sequence[BoundSource]) -> Key:
    """The columns by which the rows of all sources are matched. SpecError where they have no such columns in common."""
    found = {key_of(each.spec, name, each.shape, each.columns): each for each in sources}
    if len(found) > 1:
        said = " and ".join(f"({', '.join(key)}) of {each.name}" for key, each in found.items())
        raise SpecError(
            f"the primary keys of its sources are not the same columns: {said}.",
            fix=f"name the columns that tell rows apart in tables.{name}.key.",
            where=spec.where("tables", name, "from"),
        )
    return next(iter(found))


def lookups_of(sources: Iterable[BoundSource]) -> dict[str, LookupSource]:
    """What the lookups of all sources read, each table once."""
    found: dict[str, LookupSource] = {}
    for name, looked in (item for each in sources for item in each.lookups.items()):
        earlier = found[name].columns if name in found else ()
        found[name] = replace(looked, columns=tuple(dict.fromkeys((*earlier, *looked.columns))))
    return found


def _alike(
    spec: Spec, name: str, sources: Sequence[BoundSource], there: TableShape | None, target: Target
) -> tuple[BoundSource, ...]:
    """Several sources with the same columns in the same order: one that does not name a column gives null."""
    at = spec.where("tables", name, "from")
    if spec.tables[name].identity is not None:
        raise SpecError(
            "a table with several sources has no identity map: a key of one source may be a key of another.",
            fix="read the sources by one query, with a key of all of them: `from: {query: …}`.",
            where=at,
        )
    if any(looked.planned == name for looked in lookups_of(sources).values()):
        raise SpecError(
            "a table with several sources cannot be looked up in itself.",
            fix="look the value up in the source (`side: source`), or read the sources by one query: `from: {query: …}`.",
            where=at,
        )
    numbered = {each.identity: each.name for each in sources}
    if len(numbered) > 1:
        number = next(each for each in numbered if each)
        other = next(each.name for each in sources if each.identity != number)
        raise SpecError(
            f"{number} is generated for {numbered[number]} and not for {other}, and a table has one way to number rows.",
            fix="say so in the columns of the table, which all its sources share.",
            where=at,
        )
    given: dict[str, list[tuple[BoundSource, ColumnMapping]]] = {}
    for each in sources:
        for made in each.columns:
            given.setdefault(made.shape.name, []).append((each, made))
    if there is not None:
        order = {each: place for place, each in enumerate(there.names)}
        given = {each: given[each] for each in sorted(given, key=lambda each: order.get(each, len(order)))}
    added = {each for source in sources for each in source.added}
    problems: list[Problem] = []
    shapes: dict[str, ColumnShape] = {}
    for column, makers in given.items():
        lacking = [each.name for each in sources if each not in [source for source, _ in makers]]
        new = there is None or column in added
        try:
            shapes[column] = _common(spec, name, makers, lacking=lacking, target=target) if new else makers[0][1].shape
        except SpecError as error:
            problems += [each.within(at) for each in error.problems]
            continue
        if lacking and (not shapes[column].nullable or column in (spec.tables[name].key or ())):
            what = f"{lacking[0]} gives no {column}, which takes no nulls."
            fix = "add it to the columns of that source, or to those of the table, which all its sources share."
            problems.append(Problem(what, fix, at))
    if problems:
        raise SpecError.of(problems)
    proved = [{column.shape.name for column in each.computed} for each in sources]
    return tuple(
        replace(
            each,
            columns=tuple(_in_shape(each, shape) for shape in shapes.values()),
            computed=tuple(column for column in each.computed if all(column.shape.name in some for some in proved)),
            added=tuple(column for column in shapes if column in added),
        )
        for each in sources
    )


def _in_shape(source: BoundSource, shape: ColumnShape) -> ColumnMapping:
    own = next((column for column in source.columns if column.shape.name == shape.name), None)
    return ColumnMapping(shape, Constant(None)) if own is None else replace(own, shape=shape)


def _common(
    spec: Spec,
    name: str,
    makers: Sequence[tuple[BoundSource, ColumnMapping]],
    *,
    lacking: Sequence[str],
    target: Target,
) -> ColumnShape:
    """A column that is yet to be made, for what several sources give; those that are `lacking` give nothing."""
    shapes = [column.shape for _, column in makers]
    first = shapes[0]
    nullable = any(each.nullable for each in shapes) or (bool(lacking) and takes_nulls(spec, name, first.name, True))
    if all((each.type, each.native, each.meaning) == (first.type, first.native, first.meaning) for each in shapes):
        return replace(first, nullable=nullable)
    wide = _widest([each.type for each in shapes])
    if wide is not None and all(each.meaning == first.meaning for each in shapes):
        made = target.made(free_column(first.name, wide, first.meaning, nullable))
        if all(casts.implicit(each.type, each.meaning, made) for each in shapes):
            return made
    said = " and ".join(f"{column.shape.native} of {source.name}" for source, column in makers)
    raise SpecError(
        f"{first.name} is {said}, and the target column is yet to be made.",
        fix=f"say its type with `cast:`, or under `create.columns` of tables.{name}.",
    )


def _widest(kinds: Sequence[pa.DataType]) -> pa.DataType | None:
    """A type that holds the numbers of all types; None where they are not all numbers."""
    numbers = (pa.types.is_integer, pa.types.is_floating, pa.types.is_decimal)
    if not all(any(is_one(kind) for is_one in numbers) for kind in kinds):
        return None
    try:
        fields = [pa.schema([pa.field("column", kind)]) for kind in kinds]
        return pa.unify_schemas(fields, promote_options="permissive").field(0).type
    except (pa.ArrowInvalid, pa.ArrowTypeError):
        return None


def _keeps(source_shape: TableShape, column: ColumnMapping) -> bool:
    assert isinstance(column.origin, Rename)
    source = source_shape.column(column.origin.source)
    return source is not None and casts.keeps_order(source.type, source.meaning, column.shape)


def _no_source(spec: Spec, name: str, relation: Relation, source: Source) -> NoReturn:
    assert relation.table is not None
    there = {str(table.name) for table in source.tables(relation.table.schema)}
    raise SpecError(
        f"the source has no table {relation.table}. {meant(relation.table.name, there)}",
        where=spec.where("tables", name, "from"),
    )
