"""Columns of the spec bound to live columns: names, types, casts, lookups and functions."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import replace
from functools import partial

import pyarrow as pa

from adapters.protocol import Source, Target
from flows.bind.constants import constant_fits
from flows.bind.create_table import free_column, identity_column, takes_nulls, wanted_column
from flows.bind.evolve import is_added, plain
from flows.bind.functions import load_function
from flows.bind.identity import IdentityMap
from flows.bind.identity_columns import identity_map, through_map
from flows.bind.lookup_source import LookupSource, as_it_is
from flows.bind.same_named import same_named
from flows.bind.time_zones import local_zone
from flows.bind.value_maps import values_of, values_type
from flows.spec.columns import Cast as CastSpec
from flows.spec.columns import Column
from flows.spec.model import Spec
from flows.spec.problems import meant
from flows.spec.tables import REST
from flows.spec.types import parse_type, storable, suggested, type_name
from transforms import expressions
from transforms.mapping import casts
from transforms.mapping.column_mapping import (
    ColumnMapping,
    Constant,
    Expression,
    Function,
    KeyUuid,
    LookUp,
    Rename,
    Values,
)
from transforms.vocabulary import (
    ColumnShape,
    Meaning,
    Problem,
    SpecError,
    TableShape,
)

Origin = Rename | Expression | Constant | KeyUuid | LookUp | Function
Typed = tuple[Origin, pa.DataType | None, Meaning]


class _Circle(SpecError):
    """Columns of a table that need each other."""


class ColumnBinder:
    """Binds the columns of one table. All problems of the table are raised together, a line each."""

    def __init__(
        self,
        spec: Spec,
        name: str,
        source_shape: TableShape,
        target_shape: TableShape | None,
        source: Source,
        target: Target,
        planned: Mapping[str, tuple[TableShape, tuple[str, ...]]],
        maps: Mapping[str, IdentityMap],
    ) -> None:
        self.spec, self.name = spec, name
        self.source_shape, self.target_shape = source_shape, target_shape
        self.source, self.target = source, target
        self._planned, self._maps = planned, maps
        self.identity_map: IdentityMap | None = None
        self._reads: dict[str, None] = {}
        self._zero_dates: dict[str, str] = {}
        self.lookups: dict[str, LookupSource] = {}
        self.added: list[str] = []  # columns that the target lacks and a run adds
        self.given: dict[str, Column] = {}
        self._bound: dict[str, ColumnMapping] = {}
        self._under_way: list[str] = []

    def reads(self) -> tuple[str, ...]:
        """The source columns that the mapping needs, in the source's order."""
        return tuple(name for name in self.source_shape.names if name in self._reads)

    def zero_dates(self) -> tuple[tuple[str, str], ...]:
        """What dates that are none are read as, where the spec says (see Relation)."""
        return tuple(self._zero_dates.items())

    def columns(self) -> tuple[tuple[ColumnMapping, ...], str | None]:
        """The mapped columns, and the name of the generated identity column if there is one."""
        given = self.given = self._listed(self.spec.tables[self.name].columns)
        problems: list[Problem] = []
        mapped: list[ColumnMapping] = []
        identity: str | None = None
        if self.spec.tables[self.name].identity is not None:
            self.identity_map = identity_map(self)
            mapped += self.identity_map.columns
        paired = self.identity_map.key if self.identity_map else ()
        for column, wanted in given.items():
            try:
                if column in paired:
                    continue
                if wanted.generate == "identity":
                    identity = self._identity(column)
                    continue
                mapped.append(self.bound_column(column))
            except SpecError as error:
                problems += [each.within(self._at(column), f"{column}: ") for each in error.problems]
        if problems:
            raise SpecError.of(problems)
        if self.target_shape is not None:
            order = {name: place for place, name in enumerate(self.target_shape.names)}
            mapped.sort(key=lambda column: order.get(column.shape.name, len(order)))
        return tuple(mapped), identity

    def _listed(self, columns: Mapping[str, Column] | None) -> dict[str, Column]:
        """What the spec says of each column; those that it does not name are renamed to themselves where it says so."""
        if columns is not None and REST not in columns:
            return dict(columns)
        named = {name: column for name, column in (columns or {}).items() if name != REST}
        left_out = list((columns or {})[REST].except_ or ()) if columns else []
        for column in left_out:
            if column not in self.source_shape.names:
                raise SpecError(
                    f"the source has no column {column}. {meant(column, self.source_shape.names)}",
                    where=self.spec.where("tables", self.name, "columns", REST, "except"),
                )
        names = self.target.capabilities.names
        try:
            rest = same_named(self.source_shape, self.target_shape, names, named, left_out)
        except SpecError as error:
            where = self.spec.where("tables", self.name)
            raise SpecError.of(each.within(where) for each in error.problems) from error
        return named | {own: Column.model_validate({"from": name}) for own, name in rest.items()}

    def bound_column(self, name: str) -> ColumnMapping:
        """The column, bound once; a lookup that matches by another column of the table binds that one first."""
        if name not in self._bound:
            self._under_way.append(name)
            try:
                self._bound[name] = self._column(name, self.given[name])
            finally:
                self._under_way.pop()
        return self._bound[name]

    def _at(self, column: str) -> str:
        return self.spec.where("tables", self.name, "columns", column)

    def _identity(self, column: str) -> str:
        if self.target_shape is not None:
            shape = self.target_column(column)
            if not pa.types.is_integer(shape.type):
                raise SpecError(
                    f"generate: identity makes whole numbers and the column is {shape.native}.",
                    fix="use uuid, or another column.",
                )
        return column

    def _column(self, name: str, wanted: Column) -> ColumnMapping:
        origin, kind, meaning = self._origin(name, wanted)
        self._note_zero_dates(wanted)
        values = values_of(wanted)
        if values is not None:
            kind, meaning = values_type(values, kind, meaning)
        cast = None
        if wanted.cast is not None:
            cast = self._cast(wanted.cast, kind, origin)
            kind, meaning = cast.type, cast.meaning
        added = self.target_shape and is_added(self.spec, self.name, name, wanted, self.source_shape, self.target_shape)
        there = self.target_shape is not None and not added
        fixed = self.target_column(name) if there else self._created_column(name, origin, values)
        shape = fixed or self._new_column(name, origin, kind, meaning, values)
        if added:
            shape = plain(shape)
            self.added.append(name)
        if isinstance(origin, Constant) and fixed:
            constant_fits(origin, cast, shape, self.target)
        elif kind is not None and not casts.implicit(kind if fixed else storable(kind), meaning, shape):
            raise SpecError(
                f"{_described(origin)} is {type_name(kind, meaning)} and the target column is {shape.native}.",
                fix=f"say how with `cast:`, such as `cast: {suggested(shape)}`, or convert it in an `expr`.",
            )
        kept = self._kept(shape, origin, cast, values)
        return ColumnMapping(shape, origin, cast, values, strip_nul=wanted.nul == "strip", kept=kept)

    def _kept(
        self, shape: ColumnShape, origin: Origin, cast: casts.Cast | None, values: Values | None
    ) -> Callable[[ColumnShape, pa.Array], pa.Array] | None:
        """How the target is asked what it keeps; not at all for values that it, or one like it, has told itself."""
        source, target = self.source, self.target
        if not isinstance(origin, Rename) or cast is not None or values is not None:
            return target.kept
        read = self.source_shape.column(origin.source)
        assert read is not None
        alike = (read.native, read.collation) == (shape.native, shape.collation) and not shape.declared
        if source.engine == target.engine and alike:
            return None
        return partial(target.kept, known=read.meaning)

    def _note_zero_dates(self, wanted: Column) -> None:
        """A source column is read in one way, whatever is made of it."""
        if "zero_date" not in wanted.model_fields_set:
            return
        read = [wanted.from_] if wanted.from_ else expressions.columns(wanted.expr or "")
        for source in read:
            if source is None or self._zero_dates.setdefault(source, wanted.zero_date) == wanted.zero_date:
                continue
            raise SpecError(
                f"zero_date is {wanted.zero_date} here and {self._zero_dates[source]} in another column that reads {source}.",
                fix="say the same in both.",
            )

    def _created_column(self, name: str, origin: Origin, values: Values | None) -> ColumnShape | None:
        """The column as it will be made, where `create:` says its type."""
        shape = wanted_column(self.spec, self.name, name, self._nullable(origin, values))
        return self.target.made(shape) if shape else None

    def _new_column(
        self, name: str, origin: Origin, kind: pa.DataType | None, meaning: Meaning, values: Values | None
    ) -> ColumnShape:
        """The column as it will be made for the values that the mapping gives it."""
        if kind is None:
            raise SpecError(
                "the target column is yet to be made and nothing tells its type.", fix="add `cast: <type>`."
            )
        nullable = takes_nulls(self.spec, self.name, name, self._nullable(origin, values))
        return self.target.made(free_column(name, kind, meaning, nullable))

    def _nullable(self, origin: Origin, values: Values | None) -> bool:
        source = self.source_shape.column(origin.source) if isinstance(origin, Rename) and values is None else None
        return source is None or source.nullable

    def _origin(self, name: str, wanted: Column) -> Typed:
        if wanted.from_ is not None:
            renamed = self.source_column(wanted.from_)
            return Rename(renamed.name), renamed.type, renamed.meaning
        if wanted.expr is not None:
            return self._expression(name, wanted.expr)
        if wanted.generate == "uuid":
            return KeyUuid(), pa.string(), "uuid"
        if wanted.lookup is not None:
            return self._lookup(wanted)
        if wanted.python is not None:
            columns = tuple(self.source_column(column).name for column in wanted.columns or self.source_shape.names)
            return Function(load_function(wanted.python, self.spec.folder), columns, wanted.python), None, "plain"
        kind = None if wanted.const is None else pa.scalar(wanted.const).type
        return Constant(wanted.const), kind, "plain"

    def _expression(self, name: str, sql: str) -> Typed:
        by_lower = {column.lower(): column for column in self.source_shape.names}
        used = []
        for column in expressions.columns(sql):
            if column.lower() not in by_lower:
                raise SpecError(f"the source has no column {column}. {meant(column, self.source_shape.names)}")
            used.append(by_lower[column.lower()])
            self.source_column(used[-1])
        kind, meaning = expressions.typed(self.source_shape.schema(tuple(used) or None), name, sql)
        if not used:
            self._reads[next(each.name for each in self.source_shape.columns if not each.refused)] = None
        return Expression(sql), kind, meaning

    def _lookup(self, wanted: Column) -> Typed:
        lookup = wanted.lookup
        assert lookup is not None
        if lookup.by is not None:
            return through_map(self, self._maps, lookup, wanted.missing)
        planned = lookup.table if lookup.side == "target" and lookup.table in self.spec.tables else None
        if planned == self.name:
            table = self.spec.target_table(self.name)
            known = {name: self._own(name) for name in (*lookup.matched, lookup.take) if name in self.given}
        elif planned is not None:
            if planned not in self._planned:
                raise SpecError(
                    f"{planned} has problems of its own, so it cannot be looked into.",
                    fix=f"mend those of {planned} first.",
                )
            shape, images = self._planned[planned]
            table, known = shape.name, {c.name: c for c in shape.columns if c.name in images}
        else:
            table, known = as_it_is(lookup, self.spec, self.source, self.target)
        for column in (*lookup.matched, lookup.take):
            if column not in known:
                all_of_it = self.given if planned == self.name else known
                raise SpecError(f"lookup: {lookup.table} has no column {column}. {meant(column, all_of_it)}")
        pairs = []
        chained = set()
        for looked, source in lookup.matched.items():
            if self.source_shape.column(source) is None and source in self.given:
                mine = self._matched(source)
                chained.add(source)
            else:
                mine = self.source_column(source)
            if not casts.implicit(mine.type, mine.meaning, replace(known[looked], nullable=True)):
                raise SpecError(
                    f"lookup: {source} is {mine.native} and {lookup.table}.{looked} is {known[looked].native}, so they never match.",
                    fix="match columns of like types; `from: {query: …}` can convert one.",
                )
            pairs.append((looked, mine.name))
        name = lookup.table if lookup.side == "target" else f"source.{lookup.table}"
        earlier = self.lookups.get(name)
        columns = tuple(dict.fromkeys((*(earlier.columns if earlier else ()), *lookup.matched, lookup.take)))
        self.lookups[name] = LookupSource(lookup.side, table, planned, columns)
        taken = known[lookup.take]
        return LookUp(name, tuple(pairs), lookup.take, wanted.missing, frozenset(chained)), taken.type, taken.meaning

    def _matched(self, name: str) -> ColumnShape:
        """A column of this table that a lookup matches by: the source has none of that name."""
        if self.given[name].generate and name not in self._under_way:
            raise SpecError(f"lookup: {name} is generated, and not known yet.", fix="match by a column of the source.")
        return self._own(name)

    def _own(self, name: str) -> ColumnShape:
        """A column of this table that a lookup of it needs."""
        if name in self._under_way:
            circle = " -> ".join([*self._under_way[self._under_way.index(name) :], name])
            raise _Circle(f"lookups match by each other in a circle: {circle}.", fix="match by columns of the source.")
        try:
            if self.given[name].generate == "identity":
                return identity_column(self.spec, self.name, self._identity(name), self.target_shape, self.target)
            return self.bound_column(name).shape
        except _Circle:
            raise
        except SpecError as error:
            raise SpecError(
                f"lookup: {name} has problems of its own, so nothing can be matched by it.",
                fix=f"mend those of {name} first.",
            ) from error

    def _cast(self, wanted: CastSpec, kind: pa.DataType | None, origin: Origin) -> casts.Cast:
        target, meaning = parse_type(wanted.type)
        is_time = pa.types.is_temporal
        if kind is not None and _counts(kind) != _counts(target) and is_time(kind) != is_time(target):
            raise SpecError(
                f"{type_name(kind, 'plain')} is no {wanted.type} unless it is said what is counted.",
                fix="say it in an `expr`, such as epoch_ms(…), make_timestamp(…) or epoch_us(…).",
            )
        read = self.lookups[origin.name].side if isinstance(origin, LookUp) else "source"
        zone = wanted.time_zone or local_zone(kind, target, read, self.spec)
        change = {"quarantine": "fault", "raise": "fault"}
        return casts.Cast(
            target,
            meaning,
            zone,
            change.get(wanted.ambiguous, wanted.ambiguous),
            change.get(wanted.nonexistent, wanted.nonexistent),
            wanted.format,
        )

    def source_column(self, name: str) -> ColumnShape:
        column = self.source_shape.column(name)
        if column is None:
            raise SpecError(f"the source has no column {name}. {meant(name, self.source_shape.names)}")
        return self._read(column)

    def _read(self, column: ColumnShape) -> ColumnShape:
        if column.refused:
            raise SpecError(
                f"the source column {column.name} ({column.native}) cannot be read exactly: {column.refused}"
            )
        self._reads[column.name] = None
        return column

    def target_column(self, name: str) -> ColumnShape:
        assert self.target_shape is not None
        column = self.target_shape.column(name)
        if column is None:
            raise SpecError(f"{self.target_shape.name} has no column {name}. {meant(name, self.target_shape.names)}")
        if column.refused:
            raise SpecError(f"the target column {name} ({column.native}) cannot be written exactly: {column.refused}")
        return column


def _counts(kind: pa.DataType) -> bool:
    return bool(pa.types.is_integer(kind) or pa.types.is_floating(kind) or pa.types.is_decimal(kind))


def _described(origin: Origin) -> str:
    match origin:
        case Rename(source):
            return source
        case Expression(sql):
            return f"`{sql}`"
        case LookUp() as lookup:
            return f"{lookup.name}.{lookup.take}"
        case _:
            return "the value"
