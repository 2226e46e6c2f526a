"""Keys, defaults, checks and generated columns of a new table: translated, tried out on the target, or listed."""

from __future__ import annotations

import re
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeVar, cast

import pyarrow as pa

from adapters.protocol import Target
from adapters.sql.ddl import spelled_table
from adapters.sql.statements import Engine, dialect_of
from flows.bind.create_table import ddl_of
from flows.scaffold.translate import Spoken, Tongues
from flows.scaffold.values import written_value
from flows.scaffold.yaml import DraftColumn, DraftTable
from flows.spec.types import new_column
from transforms.vocabulary import ColumnShape, Design, Key, SpecError, TableShape
from transforms.vocabulary.features import Feature

Piece = TypeVar("Piece")

_NO_DATE: Final = re.compile(r"'(?:0000|\d{4}-00|\d{4}-\d\d-00)")


def fill_design(
    table: DraftTable,
    design: Design,
    shape: TableShape,
    tongues: Tongues,
    target: Target,
    unlike: Mapping[str, str],
    values: Mapping[str, pa.Array],
) -> None:
    """Put into the draft what of the source's design the target takes; what it does not take is listed.

    `unlike` says why columns are not computed in the target, beside what that says itself; `values` are the defaults of
    columns that are values.
    """
    table.features += design.features
    numbered = next((column for column in table.columns if column.identity), None)
    if numbered and (refused := refusal(as_shape(table, generated=False), target)):
        numbered.identity, numbered.nullable = False, False
        table.features.append(Feature("identity", (str(numbered.source),), {"why": refused}))
    if refused := refusal(as_shape(table, generated=False), target):
        raise SpecError(
            f"{table.target} cannot be made in {target.url}: {refused}",
            fix="make it there by hand, and scaffold again.",
        )
    _generate(table, dict(design.generated), shape, tongues, target, unlike)
    for name, sql in design.defaults:
        column, known = _drafted(table, name), shape.column(name)
        if column is not None and known is not None and not column.identity and sql.strip().upper() != "NULL":
            _default(table, column, sql, known, values.get(name), tongues, target)
    uniques, table.unique = table.unique, []
    _keep(table, table.unique, [(each, Feature("unique", each)) for each in uniques], target)
    checks, table.checks = [(check, Feature("check", (), {"sql": check})) for check in table.checks], []
    for check in design.checks:
        spoken = tongues.spoken(check)
        if spoken.sql is None:
            table.features.append(Feature("check", (), {"sql": check, "why": spoken.why}))
        else:
            checks.append((spoken.sql, Feature("check", (), {"sql": check})))
    _keep(table, table.checks, checks, target)
    indexes, table.indexes = table.indexes, []
    _keep(table, table.indexes, [(each, Feature("index", each)) for each in indexes], target)


def refusal(shape: TableShape, target: Target, *then: str) -> str:
    """Why the target does not make the table with its indexes, or take statements `then`; empty where it does. Foreign keys are not
    asked about."""
    try:
        late = target.constraints(replace(shape, foreign_keys=())) if shape.design and shape.design.indexes else []
        return target.tried([*ddl_of(shape, target), *late, *then]) or ""
    except SpecError as error:
        return str(error)


def _drafted(table: DraftTable, source: str) -> DraftColumn | None:
    return next((column for column in table.columns if column.source == source), None)


def _generate(
    table: DraftTable,
    generated: Mapping[str, str],
    shape: TableShape,
    tongues: Tongues,
    target: Target,
    unlike: Mapping[str, str],
) -> None:
    """Columns that the source computes: computed by the target too, or else filled with what the source computed."""
    for computed in [column.name for column in shape.columns if column.generated]:
        column, sql = _drafted(table, computed), generated.get(computed)
        if column is None:
            continue
        spoken = tongues.spoken(sql, column=computed) if sql else None
        why = spoken.why if spoken else "its expression is not known"
        if column.name in table.key:
            why = "rows are matched by it"
        elif computed in unlike:
            why = unlike[computed]
        elif spoken and spoken.sql:
            source, column.source, column.generated = column.source, None, spoken.sql
            why = refusal(as_shape(table), target)
            if not why:
                continue
            column.source, column.generated = source, None
        column.notes.append("computed by the source, and a plain column here")
        table.features.append(Feature("generated", (computed,), {"sql": sql or "", "why": why}))


def _default(
    table: DraftTable,
    column: DraftColumn,
    sql: str,
    known: ColumnShape,
    value: pa.Array | None,
    tongues: Tongues,
    target: Target,
) -> None:
    """A default, tried out by a row that has nothing else. `value` is what it is, where it is a value."""
    assert column.source is not None
    wanted, why = _wanted_default(column, sql, known, value, tongues, target)
    if tongues.source == "mysql" and _NO_DATE.match(sql):
        why = "it is no date" + (", and null is what stands for it here" if column.nullable else "")
    elif wanted == "NULL":
        return
    elif wanted is not None:
        alone = replace(as_shape(table), columns=(new_column(column.name, str(column.type), nullable=True),))
        shape = replace(alone, primary_key=(), uniques=frozenset(), design=Design(defaults=((column.name, wanted),)))
        there = spelled_table(table.target, dialect_of(cast(Engine, target.engine)))
        nothing = "() VALUES ()" if target.engine == "mysql" else "DEFAULT VALUES"
        why = refusal(shape, target, f"INSERT INTO {there} {nothing}")
        if not why:
            column.default = wanted
            return
    table.features.append(Feature("default", (column.source,), {"sql": sql, "why": why}))


def _wanted_default(
    column: DraftColumn, sql: str, known: ColumnShape, value: pa.Array | None, tongues: Tongues, target: Target
) -> tuple[str | None, str]:
    """The target's SQL for a default of the source's, or why there is none."""
    made = target.made(new_column(column.name, str(column.type), nullable=True))
    zone = column.zone or None
    spoken = tongues.spoken(sql, column=column.source)
    if clock := tongues.clock(sql):
        return _now(clock, known, made, zone, spoken, tongues)
    if not tongues.constant(sql):
        return spoken.sql, spoken.why
    written = written_value(value, made, target, zone, known) if value is not None else None
    if written is not None:
        return written, ""
    if tongues.source == tongues.target and not zone and made.type.equals(known.type):
        return spoken.sql, spoken.why
    return None, f"no value of {column.type} in {target.engine} is known to be exactly that"


def _now(
    clock: str, known: ColumnShape, made: ColumnShape, zone: str | None, spoken: Spoken, tongues: Tongues
) -> tuple[str | None, str]:
    """The present time: SQLite tells it in UTC, the others in the time zone of the session."""
    lite = {"sqlite"} & {tongues.source, tongues.target}
    if tongues.source == tongues.target and not zone:
        return spoken.sql, spoken.why
    if zone:
        return None, f"the column is in {zone} here, and that in the time zone of the session"
    if clock == "date":
        same = not lite and pa.types.is_date(made.type)
        return (spoken.sql, spoken.why) if same else (None, "it is the date in another time zone")
    if not pa.types.is_timestamp(made.type):
        return None, "its text is another one in each engine"
    if made.type.tz is not None:
        aware = (pa.types.is_timestamp(known.type) and known.type.tz is not None) or tongues.source == "sqlite"
        here = "strftime('%Y-%m-%d %H:%M:%f+00:00', 'now')" if tongues.target == "sqlite" else spoken.sql
        return (here, "") if aware else (None, "it is the time in the time zone of the session")
    if tongues.source == "sqlite":
        return ("UTC_TIMESTAMP()" if tongues.target == "mysql" else "CURRENT_TIMESTAMP AT TIME ZONE 'UTC'"), ""
    if tongues.target == "sqlite":
        return None, "it is the time in the time zone of the session, and in SQLite that in UTC"
    return spoken.sql, spoken.why


def _keep(table: DraftTable, kept: list[Piece], pieces: Sequence[tuple[Piece, Feature]], target: Target) -> None:
    """Add pieces to one of the table's lists: all that the target takes the table with. The others are listed."""
    if not pieces:
        return
    kept += [piece for piece, _ in pieces]
    if not refusal(as_shape(table), target):
        return
    kept.clear()
    for piece, feature in pieces:
        kept.append(piece)
        if why := refusal(as_shape(table), target):
            kept.pop()
            table.features.append(feature.because(why))


def as_shape(table: DraftTable, *, generated: bool = True) -> TableShape:
    """The drafted table as it will be made, without foreign keys."""
    primary = table.primary_key or table.key
    columns = tuple(
        replace(
            new_column(each.name, str(each.type), nullable=each.nullable is not False and each.name not in primary),
            identity=each.identity,
            generated=each.generated is not None,
        )
        for each in table.columns
        if generated or each.generated is None
    )
    design = Design(
        defaults=tuple((each.name, each.default) for each in table.columns if each.default is not None),
        generated=tuple((each.name, each.generated) for each in table.columns if each.generated is not None),
        checks=tuple(table.checks),
        indexes=tuple(table.indexes),
    )
    uniques = frozenset(map(frozenset, table.unique)) if generated else frozenset()
    bare = design if generated else Design()
    return TableShape(table.target, columns, primary, frozenset(uniques), design=bare)


def indexed(shape: TableShape, design: Design) -> list[Key]:
    """The columns of every key and index, those of foreign keys among them."""
    return [
        shape.primary_key,
        *(tuple(unique) for unique in shape.uniques),
        *(foreign.columns for foreign in shape.foreign_keys),
        *design.indexes,
    ]


def in_shape_order(shape: TableShape, names: Collection[str]) -> Key:
    """Columns in the order that the table has them in."""
    return tuple(name for name in shape.names if name in names)


def unique_key(shape: TableShape) -> Key:
    """The smallest set of columns without nulls that an index keeps unique; empty where there is none."""
    nullable = {column.name for column in shape.columns if column.nullable}
    whole = [unique for unique in shape.uniques if not unique & nullable]
    ordered = [in_shape_order(shape, unique) for unique in whole]
    return min(ordered, key=lambda key: (len(key), [shape.names.index(name) for name in key]), default=())


def parents_first(tables: Sequence[DraftTable], cut: Callable[[DraftTable, DraftTable], None]) -> list[DraftTable]:
    """Parents before children, else as given; `cut` is told of each pair that refers to each other in a circle."""
    by_name = {table.name: table for table in tables}
    placed: list[DraftTable] = []
    state: dict[str, str] = {}

    def place(table: DraftTable) -> None:
        state[table.name] = "open"
        for name in dict.fromkeys(key.table for key in table.foreign_keys):
            parent = by_name.get(name)
            if parent is None or parent is table:
                continue
            if state.get(name) == "open":
                cut(table, parent)
            elif name not in state:
                place(parent)
        state[table.name] = "placed"
        placed.append(table)

    for table in tables:
        if table.name not in state:
            place(table)
    return placed
