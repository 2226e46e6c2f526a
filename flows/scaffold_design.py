"""Keys, defaults, checks and generated columns of a new table: translated, tried out on the target, or listed."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from typing import Final, TypeVar, cast

import pyarrow as pa
import pyarrow.compute as pc

from adapters.protocol import Adapter, Snapshot
from adapters.sql import Engine, dialect_of
from adapters.sql_design import orphans_query, spelled_table
from flows.created import ddl_of
from flows.scaffold_draft import DraftColumn, DraftTable
from flows.scaffold_sql import Tongues
from flows.typenames import new_column
from transforms import expressions
from transforms.vocabulary import Design, ForeignKey, Key, Relation, SpecError, SynclineError, TableName, TableShape

Piece = TypeVar("Piece")

_NO_DATE: Final = re.compile(r"'(?:0000|\d{4}-00|\d{4}-\d\d-00)")
UNHELD: tuple[str, ...] = ("sqlite", "mysql")
"""Engines in which rows may refer to nothing in spite of a foreign key: the check can be turned off."""


def fill_design(
    table: DraftTable,
    design: Design,
    shape: TableShape,
    tongues: Tongues,
    target: Adapter,
    unlike: Mapping[str, str],
) -> None:
    """Put into the draft what of the source's design the target takes; what it does not take is listed.

    `unlike` says why columns are not computed in the target, beside what that says itself.
    """
    table.untold += design.untold
    numbered = next((column for column in table.columns if column.identity), None)
    if numbered and (refused := target.tried(ddl_of(as_shape(table, generated=False), target))):
        numbered.identity, numbered.nullable = False, False
        table.untold.append(f"identity of {numbered.source}: {refused}")
    if refused := target.tried(ddl_of(as_shape(table, generated=False), target)):
        raise SpecError(f"{table.target} cannot be made in {target.url}: {refused}. Fix: name another target schema.")
    _generate(table, dict(design.generated), shape, tongues, target, unlike)
    for name, sql in design.defaults:
        column = _drafted(table, name)
        if column is not None and not column.identity and sql.strip().upper() != "NULL":
            _default(table, column, sql, tongues, target)
    keys = list(table.unique)
    table.unique = []
    for key in keys:
        _keep(table, table.unique, key, f"unique ({', '.join(key)})", target)
    labelled, table.checks = table.checks, []
    for check in labelled:
        _keep(table, table.checks, check, f"check {check}", target)
    for check in design.checks:
        spoken = tongues.spoken(check)
        if spoken.sql is None:
            table.untold.append(f"check {check}: {spoken.why}")
        else:
            _keep(table, table.checks, spoken.sql, f"check {check}", target)


def _drafted(table: DraftTable, source: str) -> DraftColumn | None:
    return next((column for column in table.columns if column.source == source), None)


def _generate(
    table: DraftTable,
    generated: Mapping[str, str],
    shape: TableShape,
    tongues: Tongues,
    target: Adapter,
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
            why = target.tried(ddl_of(as_shape(table), target)) or ""
            if not why:
                continue
            column.source, column.generated = source, None
        column.notes.append("computed by the source, and a plain column here")
        table.untold.append(f"generated column {computed} ({sql}): {why}")


def _default(table: DraftTable, column: DraftColumn, sql: str, tongues: Tongues, target: Adapter) -> None:
    """A default, tried out by a row that has nothing else."""
    spoken = tongues.spoken(sql, column=column.source)
    why = spoken.why
    if tongues.source == "mysql" and _NO_DATE.match(sql):
        why = "it is no date" + (", and null is what stands for it here" if column.nullable else "")
    elif column.cast and "time_zone" in column.cast and spoken.sql and "CURRENT" in spoken.sql.upper():
        why = "the column is in UTC here, and that in the time zone of the session"
    elif spoken.sql is not None:
        alone = replace(as_shape(table), columns=(new_column(column.name, str(column.type), nullable=True),))
        shape = replace(
            alone, primary_key=(), uniques=frozenset(), design=Design(defaults=((column.name, spoken.sql),))
        )
        there = spelled_table(table.target, dialect_of(cast(Engine, target.engine)))
        nothing = "() VALUES ()" if target.engine == "mysql" else "DEFAULT VALUES"
        why = target.tried([*ddl_of(shape, target), f"INSERT INTO {there} {nothing}"]) or ""
        if not why:
            column.default = spoken.sql
            return
    table.untold.append(f"default {sql} of {column.source}: {why}")


def _keep(table: DraftTable, pieces: list[Piece], piece: Piece, what: str, target: Adapter) -> None:
    """Add a piece to one of the table's lists, if the target takes the table with it."""
    pieces.append(piece)
    if why := target.tried(ddl_of(as_shape(table), target)):
        pieces.remove(piece)
        table.untold.append(f"{what}: {why}")


def as_shape(table: DraftTable, *, generated: bool = True) -> TableShape:
    """The drafted table as it will be made, without foreign keys and indexes."""
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
    )
    uniques = frozenset(map(frozenset, table.unique)) if generated else frozenset()
    bare = design if generated else Design()
    return TableShape(table.target, columns, primary, frozenset(uniques), design=bare)


# ---------------------------------------------------------------------------------------------------------------------
# Rows that stand against it


def orphans(snapshot: Snapshot, source: Adapter, shape: TableShape, foreign: ForeignKey) -> int:
    """How many rows refer to nothing, or to a text that a collation alone takes for theirs, where the source lets them."""
    if source.engine not in UNHELD:
        return 0
    texts = {column.name for column in shape.columns if pa.types.is_string(column.type)}
    query = orphans_query(shape.name, foreign, dialect_of(cast(Engine, source.engine)), texts)
    return snapshot.count(Relation(query=query))


def offenders(
    snapshot: Snapshot, table: TableName, shape: TableShape, checks: Iterable[str], tongues: Tongues
) -> dict[str, int]:
    """How many rows each check would refuse that the source's own reading of it lets in: only those that have some.

    Engines compare differently (MySQL takes 'A' for 'a'), and let in what was there before the check.
    """
    conditions: dict[str, str] = {}
    for check in checks:
        sql = _here(shape, tongues).spoken(check).sql
        if sql is not None and _evaluates(shape, sql):
            conditions[check] = f"NOT ({sql})"
    return {check: count for check, count in _counted(snapshot, table, shape, conditions).items() if count}


def differing(
    snapshot: Snapshot, table: TableName, shape: TableShape, generated: Mapping[str, str], tongues: Tongues
) -> dict[str, str]:
    """Why a column cannot be computed by the target: its expression, as others read it, answers with something else
    than the source, or cannot be worked out here. Only those of which that is true.
    """
    found: dict[str, str] = {}
    conditions: dict[str, str] = {}
    for name, expression in generated.items():
        sql, type_ = _here(shape, tongues).spoken(expression, column=name).sql, tongues.types.get(name, "")
        if sql is None or name not in shape.names:
            continue  # it does not translate, and is told of
        kind = _kind_here(type_)
        own = '"' + name.replace('"', '""') + '"'
        unlike = f"CAST(({sql}) AS {kind}) IS DISTINCT FROM CAST({own} AS {kind})"
        if kind and _evaluates(shape, unlike):
            conditions[name] = unlike
        else:
            found[name] = "it cannot be worked out here whether it gives the same"
    for name, count in _counted(snapshot, table, shape, conditions).items():
        if count:
            found[name] = f"it would give another value in {count:,} rows"
    return found


def _here(shape: TableShape, tongues: Tongues) -> Tongues:
    """Into the SQL of expressions, over the columns of the source."""
    return replace(tongues, target="duckdb", names={name: name for name in _readable(shape)})


def _readable(shape: TableShape) -> tuple[str, ...]:
    return tuple(column.name for column in shape.columns if not column.refused)


def _kind_here(type_: str) -> str:
    """A type of the spec as expressions call it; empty where values of it are not compared by it."""
    if type_.startswith(("varchar", "char", "text")):
        return "VARCHAR"
    if type_.startswith("numeric("):
        return type_.replace("numeric", "DECIMAL")
    plain = ("smallint", "integer", "bigint", "real", "double", "boolean", "date", "time", "timestamp")
    return type_.upper() if type_ in plain else ""


def _evaluates(shape: TableShape, sql: str) -> bool:
    try:
        used = expressions.columns(sql)
        return bool(used) and expressions.check(shape.schema(_readable(shape)), "offends", sql) == pa.bool_()
    except SynclineError:
        return False


def _counted(snapshot: Snapshot, table: TableName, shape: TableShape, conditions: Mapping[str, str]) -> dict[str, int]:
    """How many rows each condition is true for, in one scan. Dates that are none are null, as the draft has them."""
    if not conditions:
        return {}
    columns = [column for column in shape.columns if not column.refused]
    used = tuple(
        column.name for column in columns if any(column.name in expressions.columns(sql) for sql in conditions.values())
    )
    dated = [column.name for column in columns if pa.types.is_date(column.type) or pa.types.is_timestamp(column.type)]
    found = dict.fromkeys(conditions, 0)
    for batch in snapshot.scan(Relation(table, zero_dates=tuple((name, "null") for name in dated)), used):
        rows = pa.Table.from_batches([batch])
        for about, sql in conditions.items():
            answer, _ = expressions.evaluate(rows, "offends", sql)
            found[about] += pc.sum(answer).as_py() or 0
    return found


def indexed(shape: TableShape, design: Design) -> list[Key]:
    """The columns of every key and index, those of foreign keys among them."""
    return [
        shape.primary_key,
        *(tuple(unique) for unique in shape.uniques),
        *(foreign.columns for foreign in shape.foreign_keys),
        *design.indexes,
    ]


def unique_key(shape: TableShape) -> Key:
    """The smallest set of columns without nulls that an index keeps unique; empty where there is none."""
    nullable = {column.name for column in shape.columns if column.nullable}
    whole = [unique for unique in shape.uniques if not unique & nullable]
    ordered = [tuple(name for name in shape.names if name in unique) for unique in whole]
    return min(ordered, key=lambda key: (len(key), [shape.names.index(name) for name in key]), default=())


def in_order(tables: Sequence[DraftTable], cut: Callable[[DraftTable, DraftTable], None]) -> list[DraftTable]:
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
