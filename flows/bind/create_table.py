"""Target tables that are yet to be made: their shape, and what is added to them once the rows are in."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Literal

import pyarrow as pa

from adapters.protocol import Catalog, Definitions, Target
from flows.spec.create import Create, NewColumn
from flows.spec.model import Spec
from flows.spec.tables import table_name
from flows.spec.types import new_column, storable, type_name
from transforms.mapping.column_mapping import ColumnMapping
from transforms.vocabulary import (
    ColumnShape,
    Design,
    ForeignKey,
    Key,
    Meaning,
    Notice,
    Problem,
    SpecError,
    TableName,
    TableShape,
)


@dataclass(frozen=True, slots=True)
class Later:
    """A statement that comes after the rows, and the table that it needs beside its own."""

    statement: str
    refers: TableName | None = None


@dataclass(frozen=True, slots=True)
class AfterLoad:
    """What the plan adds once the rows are in (`lacking`), and the statements whose work is done already."""

    lacking: tuple[Later, ...] = ()
    done: frozenset[str] = frozenset()
    warnings: tuple[Notice, ...] = ()


def wanted_column(spec: Spec, table: str, name: str, nullable: bool) -> ColumnShape | None:
    """A column as `create:` wants it, None where that says no type. `nullable` is what the source is."""
    wanted = _create(spec, table).columns.get(name, NewColumn())
    if wanted.type is None:
        return None
    shape = new_column(name, wanted.type, nullable=takes_nulls(spec, table, name, nullable))
    return replace(shape, identity=wanted.identity, generated=wanted.generated is not None)


def free_column(name: str, kind: pa.DataType, meaning: Meaning, nullable: bool) -> ColumnShape:
    """A column whose type nobody says: what holds the values that the mapping gives it."""
    kind = storable(kind)
    known = (pa.types.is_primitive, pa.types.is_string, pa.types.is_binary, pa.types.is_decimal128)
    if not any(is_one(kind) for is_one in known):
        raise SpecError(f"no column type is known for {kind}.", fix="add `cast: text` or another type.")
    plain: Meaning = "plain" if meaning == "opaque" else meaning
    return ColumnShape(name, kind, type_name(kind, meaning), nullable, plain)


def takes_nulls(spec: Spec, table: str, name: str, nullable: bool) -> bool:
    """Whether a new column takes nulls, where those of the source are `nullable`."""
    create = _create(spec, table)
    said = create.columns.get(name, NewColumn()).nullable
    return (nullable if said is None else said) and name not in (create.primary_key or ())


def new_shape(spec: Spec, name: str, columns: Sequence[ColumnMapping], identity: str | None, key: Key) -> TableShape:
    """The shape of a table that is yet to be made, in the types that were asked for.

    Foreign keys and indexes are all in it; `ddl_shape` leaves out what comes later.
    """
    create = _create(spec, name)
    shapes = [_asked_for(spec, name, column, key) for column in columns]
    if identity:
        shapes.insert(0, _new_identity(create, identity))
    for computed, wanted in create.columns.items():
        if wanted.generated and wanted.type:
            place = _place(create, computed, [shape.name for shape in shapes])
            made = new_column(computed, wanted.type, nullable=wanted.nullable is not False)
            shapes.insert(place, replace(made, generated=True))
    primary = tuple(create.primary_key) if create.primary_key is not None else (identity,) if identity else key
    uniques = {frozenset(primary), frozenset(key), *map(frozenset, create.unique)} - {frozenset[str]()}
    design = Design(
        defaults=tuple((each, column.default) for each, column in create.columns.items() if column.default),
        generated=tuple((each, column.generated) for each, column in create.columns.items() if column.generated),
        checks=tuple(create.checks),
        indexes=tuple(tuple(each) for each in create.indexes),
    )
    return TableShape(
        spec.target_table(name),
        tuple(shapes),
        primary,
        frozenset(uniques),
        foreign_keys(spec, name),
        frozenset({key}),
        design if spec.tables[name].create else None,
    )


def identity_column(spec: Spec, table: str, name: str, there: TableShape | None, target: Definitions) -> ColumnShape:
    """The column that a table's rows are numbered by, as it is there or will be made. In: the table has it, if it is there."""
    found = there.column(name) if there is not None else target.made(_new_identity(_create(spec, table), name))
    assert found is not None, "binding has found the column"
    return found


def new_key_column(
    spec: Spec, table: str, name: str, given: Literal["number", "uuid"], target: Definitions, *, alone: bool
) -> ColumnShape:
    """A column of the key of a table that is yet to be made, which new rows get a number or a UUID for. `alone`: it is all of the
    key, so that the target can number it itself."""
    if given == "number" and alone:
        return target.made(_new_identity(_create(spec, table), name))
    kind = _create(spec, table).columns.get(name, NewColumn()).type or ("bigint" if given == "number" else "uuid")
    return target.made(new_column(name, kind, nullable=False))


def _new_identity(create: Create, name: str) -> ColumnShape:
    kind = create.columns.get(name, NewColumn()).type or "bigint"
    return replace(new_column(name, kind, nullable=False), identity=True)


def _create(spec: Spec, table: str) -> Create:
    return spec.tables[table].create or Create()


def _asked_for(spec: Spec, table: str, column: ColumnMapping, key: Key) -> ColumnShape:
    """A mapped column as the target is asked to make it; keys take no nulls."""
    made = column.shape
    wanted = wanted_column(spec, table, made.name, made.nullable) or ColumnShape(
        made.name, made.type, made.native, made.nullable, made.meaning
    )
    said = _create(spec, table).columns.get(made.name, NewColumn())
    return replace(
        wanted,
        nullable=wanted.nullable and made.name not in key,
        identity=said.identity or made.identity,
        default=said.default is not None,
    )


def _place(create: Create, computed: str, names: Sequence[str]) -> int:
    """Where a computed column goes: behind the one that `create:` names before it."""
    listed = list(create.columns)
    before = [name for name in listed[: listed.index(computed)] if name in names]
    return names.index(before[-1]) + 1 if before else len(names)


def ddl_of(shape: TableShape, target: Definitions) -> tuple[str, ...]:
    """The statements that make the table before its rows go in."""
    if not target.capabilities.adds_foreign_keys:
        return tuple(target.ddl(shape))
    return tuple(target.ddl(replace(target.sized(shape), foreign_keys=())))


def as_made(shape: TableShape, target: Definitions) -> TableShape:
    """The shape as the target will describe it."""
    return replace(shape, columns=tuple(map(target.made, target.sized(shape).columns)), design=None)


def fitted(columns: Sequence[ColumnMapping], shape: TableShape) -> tuple[ColumnMapping, ...]:
    """The mapped columns in the shapes that the whole table gives them: an index may limit a text's length."""
    shapes = {column.name: column for column in shape.columns}
    return tuple(replace(column, shape=shapes[column.shape.name]) for column in columns)


def after_load(shape: TableShape, found: TableShape | None, target: Target) -> AfterLoad:
    """What is added to the table once the rows are in. `shape` as `new_shape` gives it, `found` what is there."""
    if shape.design is None:
        return AfterLoad()
    bare = replace(shape, foreign_keys=(), design=Design())
    lacking: list[Later] = []
    done: set[str] = set()
    warnings: list[Notice] = []
    for foreign in shape.foreign_keys:
        there = found is not None and any(_same(foreign, each) for each in found.foreign_keys)
        statements = target.constraints(replace(bare, foreign_keys=(foreign,)))
        if target.capabilities.adds_foreign_keys and there:
            done.update(statements)
        elif target.capabilities.adds_foreign_keys or found is None:
            lacking += [Later(statement, foreign.refers) for statement in statements]
        elif not there:
            text = (
                f"{shape.name} has no foreign key ({', '.join(foreign.columns)}) to {foreign.refers}, and {target.engine} "
                f"cannot add one to a table that is there."
            )
            key = {"target": str(shape.name), "columns": list(foreign.columns), "refers": str(foreign.refers)}
            warnings.append(Notice("no_foreign_key", text, facts=key))
    known = _indexes(shape.name, found, target) if found is not None and shape.design.indexes else set()
    for columns in shape.design.indexes:
        statements = target.constraints(replace(bare, design=Design(indexes=(columns,))))
        if columns in known:
            done.update(statements)
        else:
            lacking += map(Later, statements)
    return AfterLoad(tuple(dict.fromkeys(lacking)), frozenset(done), tuple(warnings))


def unlike_ends(foreign: ForeignKey, shape: TableShape, parent: TableShape | None, target: Definitions) -> str | None:
    """Why the target makes no foreign key between the columns of two tables as they are or will be made."""
    for own, there in zip(foreign.columns, foreign.refers_columns, strict=True):
        ends = shape.column(own), parent.column(there) if parent else None
        if ends[0] is not None and ends[1] is not None and (why := target.unlinked(ends[0], ends[1])):
            return why
    return None


def refused(
    spec: Spec, made: Mapping[str, tuple[TableShape, Sequence[str], AfterLoad]], target: Target
) -> list[Problem]:
    """What `create:` asks for and the target would refuse once the rows are in, before any is written.

    In: the shape of each table of the spec as it is or will be made, the statements that make it, and what comes after.
    """
    problems: list[Problem] = []
    shapes = {shape.name: shape for shape, _, _ in made.values()}
    for name, (shape, _, after) in made.items():
        waiting = {later.refers for later in after.lacking}
        for number, foreign in enumerate(_direct(spec, name)):
            if lacking := {foreign.on_delete, foreign.on_update} & target.capabilities.lacks_actions:
                where = spec.where("tables", name, "create", "foreign_keys", number)
                what = f"{target.engine} has no {min(lacking)} of foreign keys."
                problems.append(Problem(what, "leave it out.", where))
            if foreign.refers not in waiting:
                continue
            parent = shapes.get(foreign.refers) or target.describe(foreign.refers)
            if why := unlike_ends(foreign, shape, parent, target):
                where = spec.where("tables", name, "create", "foreign_keys", number)
                fix = "give both ends one type under `create.columns`, or leave the key out."
                problems.append(Problem(f"{shape.name}: {why}.", fix, where))
    ddl = [statement for _, statements, _ in made.values() for statement in statements]
    new = {shape.name for shape, statements, _ in made.values() if statements}
    parents = {key.refers for shape, statements, _ in made.values() if statements for key in shape.foreign_keys}
    if not target.capabilities.adds_foreign_keys and not parents <= new:
        return problems  # in memory there are no tables but the new ones
    late = {
        name: [each.statement for each in after.lacking if each.refers is None or each.refers in new]
        for name, (_, statements, after) in made.items()
        if statements
    }
    if (
        problems
        or not any(late.values())
        or target.tried([*ddl, *(each for some in late.values() for each in some)]) is None
    ):
        return problems
    for name, statements in late.items():
        for statement in statements:
            if why := target.tried([*ddl, statement]):
                what = f"{target.engine} refuses {statement}: {why}."
                problems.append(
                    Problem(what, "leave it out, or change the types.", spec.where("tables", name, "create"))
                )
    return problems


def _same(one: ForeignKey, other: ForeignKey) -> bool:
    pairs = [set(zip(each.columns, each.refers_columns, strict=True)) for each in (one, other)]
    schemas = {one.refers.schema, other.refers.schema}
    return pairs[0] == pairs[1] and one.refers.name == other.refers.name and (len(schemas) == 1 or None in schemas)


def _indexes(table: TableName, found: TableShape, target: Catalog) -> set[Key]:
    """The columns of the indexes that the table has, those of its keys too."""
    return {*target.design(table).indexes, *found.ordered}


def foreign_keys(spec: Spec, name: str) -> tuple[ForeignKey, ...]:
    """The foreign keys that `create:` names, those marked that belong to a circle."""
    own = spec.target_table(name)
    direct = list(_direct(spec, name))
    if not direct:
        return ()
    parents = {spec.target_table(each): {key.refers for key in _direct(spec, each)} for each in spec.tables}
    return tuple(replace(key, deferred=key.refers != own and own in _reached(parents, key.refers)) for key in direct)


def _direct(spec: Spec, name: str) -> Iterator[ForeignKey]:
    for reference in _create(spec, name).foreign_keys:
        actions = [each.upper().replace("NO ACTION", "") for each in (reference.on_delete, reference.on_update)]
        own, there = tuple(reference.columns), tuple(reference.refers)
        yield ForeignKey(own, refers(spec, reference.table), there, on_delete=actions[0], on_update=actions[1])


def refers(spec: Spec, text: str) -> TableName:
    """The target table that a foreign key names: an entry of the spec, or any table of the target."""
    if text in spec.tables:
        return spec.target_table(text)
    try:
        return table_name(text, spec.target.schema_name)
    except ValueError as error:
        raise SpecError(f"{error}.", fix='write names with dots as "a.b", in quotes.') from error


def _reached(parents: dict[TableName, set[TableName]], start: TableName) -> set[TableName]:
    found: set[TableName] = set()
    waiting = [start]
    while waiting:
        here = waiting.pop()
        if here not in found:
            found.add(here)
            waiting += parents.get(here, ())
    return found
