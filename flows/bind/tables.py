"""The spec bound to both live schemas: every name resolved, every type checked, the tables in load order."""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass, field, replace
from graphlib import CycleError, TopologicalSorter

import pyarrow as pa

from adapters.protocol import Source, Target
from adapters.sql.names import taken_for_one
from flows.bind import create_table, evolve, unread_keys, untried
from flows.bind.create_table import AfterLoad
from flows.bind.cursor import BoundCursor, bound_cursors
from flows.bind.evolve import Added
from flows.bind.hidden_rows import hidden_rows
from flows.bind.identity import IdentityMap
from flows.bind.inspect import Shapes, look
from flows.bind.keys import check_key
from flows.bind.lookup_source import LookupSource
from flows.bind.one_way import of_both_ways
from flows.bind.order import circle_warnings, linked, referred
from flows.bind.own_columns import own_columns
from flows.bind.required import check_required
from flows.bind.rules import Checks, bound_checks, validate_checks
from flows.bind.soft_delete import Soft, soft_flag
from flows.bind.sources import BoundSource, bound_sources, key_of_sources, lookups_of
from flows.bind.spelling import namesakes
from flows.bind.tolerance import tolerances
from flows.bind.two_way import TwoWay, bind_two_way
from flows.spec.model import Spec
from transforms.diff import Comparison
from transforms.mapping.column_mapping import ColumnMapping, TableMapping
from transforms.mapping.origins import with_origin
from transforms.vocabulary import ColumnShape, Design, Key, Notice, Problem, Relation, SpecError, TableShape


@dataclass(frozen=True, slots=True)
class BoundTable:
    """One entry of the spec's tables, ready to be planned.

    `shape` is the target's, as it is or as `ddl` will create it, with the columns that `adds` will add at its end;
    `after_load` is added to it once the rows are in.
    `design` is what `ddl` makes beside the columns. `images` are the columns that change sets hold; `computed` are mapped
    columns that the target computes itself.
    `renamed` maps target columns to the source columns that they copy in an order-keeping way. `order` is the key
    in the order of both sides' indexes where key windows can be pushed down to both, else empty. `unwritable` says why rows
    can be compared and not written, and how to mend it; empty where they can. `unmapped` are the other columns of a whole row.

    A table of several sources has one of its `parts` for each, which is called `part`, and is of the first one where nothing else
    is said: all parts have the same columns. What reads the source goes over `sources`. `two_way`: how its changes go back; None where
    they go to the target alone. `cursor` finds rows of a source that are new; None where all are read.
    """

    name: str
    shape: TableShape
    ddl: tuple[str, ...]
    after_load: AfterLoad
    source: Relation
    source_shape: TableShape
    reads: tuple[str, ...]
    mapping: TableMapping
    comparison: Comparison
    images: tuple[str, ...]
    identity: str | None
    renamed: Mapping[str, str]
    order: Key
    window_rows: int
    delete: str
    max_ratio: float
    at_least: int
    soft: Soft | None
    lookups: Mapping[str, LookupSource]
    computed: tuple[ColumnMapping, ...] = ()
    checks: Checks = field(default_factory=Checks)
    adds: tuple[Added, ...] = ()
    unwritable: Problem | None = None
    owns: str | None = None
    design: Design | None = None
    unmapped: Key = ()
    parts: tuple[BoundTable, ...] = ()
    part: str = ""
    identity_map: IdentityMap | None = None
    two_way: TwoWay | None = None
    cursor: BoundCursor | None = None

    @property
    def sources(self) -> tuple[BoundTable, ...]:
        """The table as each of its sources makes rows of it."""
        return self.parts or (self,)

    @property
    def origin(self) -> str:
        """What its rows come from, as people read it."""
        return ", ".join(str(each.source) for each in self.sources)

    @property
    def mapped_schema(self) -> pa.Schema:
        """Of its rows as they are mapped: with what says which source each is of, where there are several."""
        return with_origin(self.mapping.schema) if self.parts else self.mapping.schema

    @property
    def key_schema(self) -> pa.Schema:
        return self.shape.schema(self.key)

    @property
    def kept_schema(self) -> pa.Schema:
        """Of the keys of rows that are set aside: with the source of each, as `mapped_schema`."""
        return with_origin(self.key_schema) if self.parts else self.key_schema

    def of_each(self, made: Callable[[BoundTable], BoundTable]) -> BoundTable:
        """The table with a change to what it makes of its sources, in all of its parts."""
        return replace(made(self), parts=tuple(map(made, self.parts)))

    def proving(self) -> BoundTable:
        """The table with its computed columns too: they are compared, and never written."""
        return self.of_each(BoundTable._proving) if self.computed else self

    def _proving(self) -> BoundTable:
        names = {column.shape.name for column in self.computed}
        return replace(
            self,
            mapping=replace(self.mapping, columns=(*self.mapping.columns, *self.computed)),
            images=tuple(name for name in self.shape.names if name in names or name in self.images),
            comparison=_comparing(self.comparison, [column.shape for column in self.computed]),
        )

    @property
    def there(self) -> Relation:
        """The rows of the target that are this table's."""
        return Relation(self.shape.name, where=self.owns)

    @property
    def key(self) -> Key:
        return self.mapping.key

    @property
    def looks_into_itself(self) -> bool:
        """Whether lookups of the table read the table as the plan will leave it."""
        return any(looked.planned == self.name for looked in self.lookups.values())

    @property
    def patient_mapping(self) -> TableMapping:
        """The mapping with rows set aside where the spec would have them fail."""
        return replace(self.mapping, on_invalid="quarantine")

    @property
    def schema(self) -> pa.Schema:
        return self.shape.schema(self.images)

    @property
    def numbered(self) -> tuple[str, ...]:
        """The columns that the target numbers where no value is given, as here one is."""
        return tuple(
            c.name for c in self.shape.columns if c.name in self.images and (c.identity or c.name == self.identity)
        )


@dataclass(frozen=True, slots=True)
class Binding:
    """All tables, parents before children, and the names of those whose deletes come behind inserts: rows may refer to them."""

    tables: tuple[BoundTable, ...]
    referred: frozenset[str]
    warnings: tuple[Notice, ...] = ()

    def table(self, name: str) -> BoundTable:
        return next(table for table in self.tables if table.name == name)


def bind(spec: Spec, source: Source, target: Target, shapes: Shapes | None = None, *, asking: bool = True) -> Binding:
    """Resolve and check everything that can be known without reading rows. `shapes`: what was seen of both sides, and the spec
    in their spelling. `asking`: the target is asked whether it takes keys and indexes that come after the rows.

    Errors: SpecError with every problem, a line each.
    """
    if early := list(of_both_ways(spec)):
        raise SpecError.of(early)
    if twins := taken_for_one(map(spec.target_table, spec.tables), target.capabilities.names):
        name = next(name for name in spec.tables if spec.target_table(name) == twins[1])
        raise SpecError(
            f"{target.engine} takes {twins[0]} and {twins[1]} for one table.",
            fix="give one of them another name with `target:`.",
            where=spec.where("tables", name),
            table=name,
        )
    seen = shapes or look(spec, source, target)
    spec = seen.spec
    problems = namesakes(spec, [name for name in spec.tables if seen.targets[name] is None], target)
    bound: dict[str, BoundTable] = {}
    for name in _lookup_order(spec):
        try:
            made_of = _bind_table(spec, name, seen.sources[name], seen.targets[name], source, target, bound)
            bound[name] = unread_keys.without_deletes(made_of)
        except SpecError as error:
            problems += error.of_table(name)
    if problems:
        raise SpecError.of(problems)
    warnings = [*seen.notices, *(warning for table in bound.values() for warning in table.after_load.warnings)]
    warnings += [Notice("unwritable", str(table.unwritable), name) for name, table in bound.items() if table.unwritable]
    withheld = [unread_keys.deletes_withheld(table, spec.delete_policy(name).policy) for name, table in bound.items()]
    warnings += [warning for warning in withheld if warning]
    warnings += dict.fromkeys(hidden_rows(spec, bound.values(), source, target))
    written = [seen.targets[name] for name, table in bound.items() if not table.unwritable]
    warnings += untried.untried(written if asking else (), target)
    order = _load_order(spec, seen.targets, warnings, target)
    made = {name: (bound[name].shape, bound[name].ddl, bound[name].after_load) for name in order}
    if asking and (refused := create_table.refused(spec, made, target)):
        raise SpecError.of(refused)
    names = {spec.target_table(name): name for name in spec.tables}
    return Binding(tuple(bound[name] for name in order), referred(names, seen.targets), tuple(warnings))


def validate(spec: Spec, binding: Binding, tables: Collection[str] = ()) -> None:
    """What a run needs beyond a comparison: tables that can be written, of those in `tables` or of all, and checks that Great
    Expectations knows. Slow where there are checks; SpecError with every problem."""
    problems = [
        table.unwritable for table in binding.tables if table.unwritable and (not tables or table.name in tables)
    ]
    for table in binding.tables:
        try:
            validate_checks(spec, table.name, table.checks, table.images, table.shape.names)
        except SpecError as error:
            problems += error.problems
    if problems:
        raise SpecError.of(problems)


def _lookup_parents(spec: Spec) -> dict[str, set[str]]:
    """For each table the other tables of the spec that its lookups read."""
    parents: dict[str, set[str]] = {name: set() for name in spec.tables}
    for name, table in spec.tables.items():
        for column in (each for part in table.parts for each in (part.columns or {}).values()):
            lookup = column.lookup
            if lookup and lookup.side == "target" and lookup.table in spec.tables and lookup.table != name:
                parents[name].add(lookup.table)
    return parents


def _lookup_order(spec: Spec) -> list[str]:
    """Tables after the tables that their lookups read; SpecError for a circle."""
    try:
        return list(TopologicalSorter(_lookup_parents(spec)).static_order())
    except CycleError as error:
        circle = " -> ".join(error.args[1])
        raise SpecError(
            f"lookups go in a circle: {circle}.",
            fix="make one of them a lookup into the source (`side: source`).",
            where=spec.where("tables", error.args[1][0]),
        ) from error


def _load_order(
    spec: Spec, shapes: Mapping[str, TableShape | None], warnings: list[Notice], target: Target
) -> list[str]:
    """Parents first, by foreign keys and by lookups. A circle of foreign keys is cut, with a warning."""
    names = {spec.target_table(name): name for name in spec.tables}
    parents = _lookup_parents(spec)
    graph = {name: parents[name] for name in _lookup_order(spec)}
    for name, shape in shapes.items():
        for key in shape.foreign_keys if shape else create_table.foreign_keys(spec, name):
            parent = names.get(key.refers)
            if parent is not None and parent != name:
                linked(graph, name, parent)
    # of tables that are made, keys hold once all rows are in
    warnings += circle_warnings(names, shapes, defers=target.capabilities.defers_foreign_keys)
    return list(TopologicalSorter(graph).static_order())


def _bind_table(
    spec: Spec,
    name: str,
    found: Sequence[TableShape | None],
    shape: TableShape | None,
    source: Source,
    target: Target,
    bound: Mapping[str, BoundTable],
) -> BoundTable:
    table, at = spec.tables[name], ("tables", name)
    planned = {other: (b.shape, b.images) for other, b in bound.items()}
    maps = {other: b.identity_map for other, b in bound.items() if b.identity_map is not None}
    sources = bound_sources(spec, name, found, shape, source, target, planned, maps)
    columns, identity = sources[0].columns, sources[0].identity
    key = key_of_sources(spec, name, sources)

    ddl: tuple[str, ...] = ()
    adds: tuple[Added, ...] = ()
    design, unwritable = None, None
    wanted = create_table.new_shape(spec, name, columns, identity, key)
    after = create_table.after_load(wanted, shape, target)
    if shape is None:
        ddl, design = create_table.ddl_of(wanted, target), wanted.design
        shape = create_table.as_made(wanted, target)
        sources = tuple(each.fitted(shape) for each in sources)
    elif not any(unique == frozenset(key) for unique in shape.uniques):
        unwritable = Problem(
            f"{shape.name} has no unique constraint on exactly ({', '.join(key)}), so a key could stand for several rows: "
            f"it can be compared, and not be written.",
            f"add UNIQUE ({', '.join(key)}) to the target, name the table where it is a view, or choose another key.",
            spec.where(*at, "key"),
            name,
        )
    elif shape.unwritable:
        unwritable = Problem(f"{shape.name} {shape.unwritable}", "", spec.where(*at), name)
    elif sources[0].added:
        shape, adds = evolve.extended(shape, wanted, sources[0].added, target)
        sources = tuple(each.fitted(shape) for each in sources)
    columns, computed = sources[0].columns, sources[0].computed
    check_key(spec, name, shape, key, columns)
    check_required(spec, name, shape, columns, identity)
    soft = soft_flag(spec, name, shape, columns)

    made = {column.shape.name for column in columns}
    extra = {soft.column} if soft else set()
    images = tuple(c.name for c in shape.columns if c.name in made | extra | ({identity} if identity else set()))
    compared = tuple(name for name in images if name not in table.ignore and name != identity)
    comparison = _comparing(
        Comparison(key, (), tolerances(spec, name, shape), owns=table.owns),
        [c for c in shape.columns if c.name in compared],
    )
    policy, cursors = spec.delete_policy(name), bound_cursors(spec, name, sources, source)
    mapping = TableMapping(name, key, columns, spec.on_invalid(name))
    checks = bound_checks(spec, name, mapping.schema, key)
    mapping = replace(mapping, checks=checks.aside)
    made_of = BoundTable(
        name=name,
        shape=shape,
        ddl=ddl,
        after_load=after,
        source=sources[0].relation,
        source_shape=sources[0].shape,
        reads=sources[0].reads,
        mapping=mapping,
        comparison=comparison,
        images=images,
        identity=identity,
        renamed=sources[0].renamed,
        order=sources[0].order(key, shape, new=bool(ddl)),
        window_rows=spec.window_rows(name),
        delete=policy.policy,
        max_ratio=policy.max_ratio,
        at_least=policy.floor,
        soft=soft,
        lookups=lookups_of(sources),
        computed=tuple(column for column in computed if column.shape.name not in table.ignore),
        checks=checks,
        adds=adds,
        unwritable=unwritable,
        owns=table.owns,
        design=design,
        unmapped=own_columns(spec, name, shape, {*images, *(column.shape.name for column in computed)}),
        identity_map=sources[0].identity_map,
        cursor=cursors[0] if cursors else None,
    )
    if spec.two_way(name):
        return replace(made_of, two_way=bind_two_way(spec, made_of))
    return made_of if len(sources) == 1 else _merged(made_of, sources, cursors)


def _merged(table: BoundTable, sources: Sequence[BoundSource], cursors: Sequence[BoundCursor]) -> BoundTable:
    """A table of several sources: `table` is bound to the first of them."""
    of_each = cursors or (None,) * len(sources)
    parts = tuple(
        replace(
            table,
            source=each.relation,
            source_shape=each.shape,
            reads=each.reads,
            mapping=replace(table.mapping, columns=each.columns),
            renamed=each.renamed,
            order=(),
            computed=tuple(
                column for column in each.computed if column.shape.name in [c.shape.name for c in table.computed]
            ),
            part=each.name,
            cursor=cursor,
        )
        for each, cursor in zip(sources, of_each, strict=True)
    )
    return replace(parts[0], renamed={}, part="", parts=parts)


def _comparing(comparison: Comparison, columns: Sequence[ColumnShape]) -> Comparison:
    """The comparison over more columns."""
    told = {column.name: column.meaning for column in columns if column.meaning in ("json", "decimal")}
    names = tuple(column.name for column in columns)
    return replace(comparison, compared=(*comparison.compared, *names), meanings={**comparison.meanings, **told})
