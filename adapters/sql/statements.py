"""What SQL engines share: statements from relations and windows, DDL from shapes, staged changes, masking.

Statements are SQLAlchemy Core; identifiers are always quoted and values are always bind parameters, which `bound`
hands to a driver and `rendered` writes out as literals.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import cache
from typing import Any, Final, Literal

import sqlalchemy as sa
from sqlalchemy.dialects import mysql, postgresql, sqlite
from sqlalchemy.dialects.mysql.base import MySQLCompiler
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.schema import CreateTable
from sqlalchemy.sql.compiler import SQLCompiler

from adapters.feeds.triggers import is_log
from transforms.vocabulary import (
    ColumnRange,
    ColumnShape,
    Design,
    ForeignKey,
    Key,
    KeyRange,
    Relation,
    TableName,
    TableShape,
)

Engine = Literal["postgresql", "mysql", "sqlite", "duckdb"]
Expression = sa.ColumnElement[Any]

MARKER: Final = "syncline_marker"
"""The table of applied windows in the target's default schema; adapters leave it out of `tables`."""


def is_own(name: str) -> bool:
    """Whether a table is Syncline's, and not the user's: that of markers, and logs that triggers write to."""
    return name == MARKER or is_log(name)


LONGEST_LABEL: Final = (
    10_000  # labels are names of columns, which SQLAlchemy would cut some letters below what the engine takes
)


@cache
def dialect_of(engine: Engine) -> sa.Dialect:
    """How an engine spells SQL: SQLite and MySQL with ? parameters, PostgreSQL and DuckDB (much the same SQL) with $1."""
    made: sa.Dialect
    if engine == "sqlite":
        made = sqlite.dialect(paramstyle="qmark")
    elif engine == "mysql":
        made = mysql.dialect(paramstyle="qmark")
        made.statement_compiler = _MysqlCompiler  # type: ignore[assignment]
    else:
        made = _standard_strings(postgresql.dialect, paramstyle="numeric_dollar")
    made.label_length = LONGEST_LABEL
    return made


class _MysqlCompiler(MySQLCompiler):
    """MySQL knows no NULLS FIRST: nulls come first whenever the order ascends."""

    def visit_nulls_first_op_unary_modifier(self, unary: Any, modifier: Any, **options: Any) -> str:
        return str(self.process(unary.element, **options))


def _standard_strings(make: Callable[..., Any], **options: Any) -> sa.Dialect:
    """A dialect in whose literals a backslash stands for itself; SQLAlchemy learns that only by connecting."""
    made = make(**options)
    made._backslash_escapes = False
    dialect: sa.Dialect = made
    return dialect


def bound(statement: sa.ClauseElement, dialect: sa.Dialect) -> tuple[str, tuple[Any, ...]]:
    """The statement and its parameters, in the order in which it takes them."""
    compiled = statement.compile(dialect=dialect, compile_kwargs={"render_postcompile": True})
    assert isinstance(compiled, SQLCompiler)
    values = compiled.params
    return str(compiled), tuple(values[name] for name in compiled.positiontup or ())


def rendered(statement: sa.ClauseElement, dialect: sa.Dialect) -> str:
    """The statement with every value written out as a quoted literal."""
    return str(statement.compile(dialect=dialect, compile_kwargs={"literal_binds": True}))


def quoted(name: str) -> sa.quoted_name:
    """An identifier that is always quoted and never folded."""
    return sa.quoted_name(name, quote=True)


def column(name: str, type_: sa.types.TypeEngine[Any] | None = None) -> sa.ColumnClause[Any]:
    return sa.column(quoted(name), type_)


class OwnRows(sa.TableClause):
    """A PostgreSQL table without the rows of the tables that inherit from it: FROM ONLY."""

    inherit_cache = True


@compiles(OwnRows)
def _only(element: OwnRows, compiler: SQLCompiler, *, asfrom: bool = False, **options: Any) -> str:
    spelled = str(compiler.visit_table(element, asfrom=asfrom, **options))  # type: ignore[no-untyped-call]
    return f"ONLY {spelled}" if asfrom else spelled


def table(name: TableName, columns: Sequence[str] = (), *, own_rows: bool = False) -> sa.TableClause:
    """A table by name, without any catalog look-up. `own_rows`: see OwnRows."""
    schema = quoted(name.schema) if name.schema else None
    made = OwnRows if own_rows else sa.TableClause
    return made(quoted(name.name), *(column(each) for each in columns), schema=schema)


# ---------------------------------------------------------------------------------------------------------------------
# Reading


@dataclass(frozen=True, slots=True)
class Operand:
    """How a column is compared and ordered: its expression, and what a value must become to be compared with it."""

    expression: Expression
    bind: Callable[[Any], Expression] = sa.literal
    nullable: bool = True


def source(relation: Relation, *, own_rows: bool = False) -> sa.FromClause:
    """What a relation reads from: its table, or its trusted query as a subquery."""
    if relation.table is not None:
        return table(relation.table, own_rows=own_rows)
    query = (relation.query or "").strip().rstrip(";")
    return trusted(query + "\n").columns().subquery(quoted("relation"))


def trusted(text: str) -> sa.TextClause:
    """Trusted SQL as it stands, without parameters of its own.

    Callers end it with a line break, which keeps a trailing comment from swallowing the closing parenthesis.
    """
    return sa.text(text.replace(":", r"\:"))


def select(
    relation: Relation,
    columns: Sequence[Expression],
    *,
    key: Sequence[Operand] = (),
    within: KeyRange = KeyRange(),
    ranges: Sequence[tuple[Operand, ColumnRange]] = (),
    chosen: Expression | None = None,
    ordered: bool = True,
    row_values: bool = True,
    own_rows: bool = False,
) -> sa.Select[Any]:
    """SELECT `columns` of a relation inside a key window and column ranges, ascending by `key` with nulls first.

    `chosen` is a clause that keeps the rows with some keys.
    """
    statement = sa.select(*columns).select_from(source(relation, own_rows=own_rows))
    if relation.where:
        statement = statement.where(trusted(f"({relation.where}\n)"))
    for clause in (*in_window(key, within, row_values=row_values), *in_ranges(ranges)):
        statement = statement.where(clause)
    if chosen is not None:
        statement = statement.where(chosen)
    if ordered and key:
        statement = statement.order_by(*ordering(key, within))
    return statement


def along_index(key: Key, shape: TableShape, relation: Relation, ranges: Sequence[ColumnRange]) -> bool:
    """Whether an index serves the order of the key, and skips what is outside the ranges."""
    return key in shape.ordered and bool(relation.table) and all(each.column == key[0] for each in ranges)


def ordering(key: Sequence[Operand], within: KeyRange = KeyRange()) -> list[Expression]:
    """Ascending by key. Nulls come first, said only where there can be any: an index serves the plain order."""
    return [
        each.expression.asc().nulls_first() if each.nullable and within.nulls else each.expression.asc() for each in key
    ]


def in_window(key: Sequence[Operand], within: KeyRange, *, row_values: bool = True) -> list[Expression]:
    """The clauses that keep the rows of one window.

    A row with a null anywhere in its key is in the window where `within.nulls` is set, and only there: windows
    that cut up a range, one of them with nulls, hold every row once.
    `row_values`: say `(a, b) >= (x, y)`, which an index serves; otherwise spell the comparison out.
    """
    clauses: list[Expression] = []
    if within.start is not None:
        clauses.append(_compare(key, within.start, from_start=True, row_values=row_values))
    if within.stop is not None:
        clauses.append(_compare(key, within.stop, from_start=False, row_values=row_values))
    nullable = [each.expression for each in key if each.nullable]
    if not nullable or (within.nulls and not clauses):
        return clauses
    if not within.nulls:
        return [*clauses, *(each.is_not(None) for each in nullable)]
    # `OR any IS NULL` also takes in the rows that a tuple comparison answers with unknown.
    return [sa.or_(sa.and_(*clauses), *(each.is_(None) for each in nullable))]


def _compare(key: Sequence[Operand], values: Sequence[Any], *, from_start: bool, row_values: bool) -> Expression:
    sides = [(each.expression, each.bind(value)) for each, value in zip(key, values, strict=True)]
    if len(sides) == 1:
        left, right = sides[0]
        return left >= right if from_start else left < right
    if row_values:
        mine, theirs = sa.tuple_(*(left for left, _ in sides)), sa.tuple_(*(right for _, right in sides))
        return mine >= theirs if from_start else mine < theirs
    (left, right), *rest = reversed(sides)
    clause: Expression = left >= right if from_start else left < right
    for left, right in rest:
        beyond = left > right if from_start else left < right
        clause = sa.or_(beyond, sa.and_(left == right, clause))
    return clause


def in_ranges(ranges: Sequence[tuple[Operand, ColumnRange]]) -> list[Expression]:
    """The clauses that keep the rows inside every range; a null value is where the range says."""
    clauses: list[Expression] = []
    for operand, each in ranges:
        ends: list[Expression] = []
        if each.start is not None:
            ends.append(operand.expression >= operand.bind(each.start))
        if each.stop is not None:
            ends.append(operand.expression < operand.bind(each.stop))
        if not each.nulls:
            clauses += ends or [operand.expression.is_not(None)]
        elif ends:
            clauses.append(sa.or_(sa.and_(*ends), operand.expression.is_(None)))
    return clauses


# ---------------------------------------------------------------------------------------------------------------------
# DDL


def marker_table(schema: str | None = None) -> sa.Table:
    """The windows that are in: written in the transaction that writes their rows."""
    return sa.Table(
        quoted(MARKER),
        sa.MetaData(),
        sa.Column("migration", sa.Text, nullable=False),
        sa.Column("plan", sa.Text, primary_key=True),
        sa.Column("table_name", sa.Text, primary_key=True),
        sa.Column("window_no", sa.Integer, primary_key=True, autoincrement=False),
        sa.Column("phase", sa.Text, primary_key=True),
        sa.Column("applied_at", sa.DateTime(timezone=True), nullable=False, server_default=sa.func.current_timestamp()),
        schema=quoted(schema) if schema else None,
    )


class Named(sa.types.UserDefinedType[Any]):
    """A column type by its own name."""

    cache_ok = True

    def __init__(self, name: str) -> None:
        self.name = name

    def get_col_spec(self, **_: object) -> str:
        return self.name


def new_table(
    shape: TableShape,
    engine: Engine,
    *,
    type_of: Callable[[ColumnShape, Engine], sa.types.TypeEngine[Any]],
    identity_default: str | None = None,
) -> sa.Table:
    """The table to create for a shape: an identity column is its primary key, and its own key is unique.

    A shape with a design has the primary key that it says. `identity_default` is the SQL default of an identity
    column, where the engine has no identity columns (DuckDB).
    """
    identities = tuple(each.name for each in shape.columns if each.identity)
    primary = shape.primary_key if shape.design else identities[:1] or shape.primary_key
    design = shape.design or Design()
    filled, computed = dict(design.defaults), dict(design.generated) if engine != "duckdb" else {}
    columns = []
    for each in shape.columns:
        extra: list[sa.schema.SchemaItem] = []
        if each.name in identities and engine == "postgresql":
            extra.append(sa.Identity(always=False))
        if each.name in computed:
            extra.append(sa.Computed(trusted(computed[each.name]), persisted=True))
        default = identity_default if each.name in identities else None
        if each.name in filled:
            default = f"({filled[each.name]})".replace(":", r"\:")
        columns.append(
            sa.Column(
                quoted(each.name),
                type_of(each, engine),
                *extra,
                nullable=each.nullable and each.name not in primary,
                autoincrement=each.name in identities and engine != "duckdb",
                server_default=sa.text(default) if default else None,
            )
        )
    metadata = sa.MetaData()
    schema = quoted(shape.name.schema) if shape.name.schema else None
    created = sa.Table(quoted(shape.name.name), metadata, *columns, schema=schema)
    if primary:
        created.append_constraint(sa.PrimaryKeyConstraint(*(created.c[name] for name in primary)))
    uniques = {frozenset(shape.primary_key), *shape.uniques} - {frozenset(primary), frozenset()}
    for unique in sorted(sorted(each) for each in uniques):
        created.append_constraint(sa.UniqueConstraint(*(created.c[name] for name in shape.names if name in unique)))
    for check in design.checks:
        created.append_constraint(sa.CheckConstraint(trusted(check)))
    for foreign in shape.foreign_keys:
        _refer(created, foreign)
    return created


def _refer(created: sa.Table, foreign: ForeignKey) -> None:
    """Add a foreign key; the table it refers to is named, not looked up."""
    schema = quoted(foreign.refers.schema) if foreign.refers.schema else None
    there = sa.Table(quoted(foreign.refers.name), created.metadata, schema=schema, keep_existing=True)
    for name in foreign.refers_columns:
        if name not in there.c:
            there.append_column(sa.Column(quoted(name), sa.Integer))
    refers = [there.c[name] for name in foreign.refers_columns]
    own = [created.c[name] for name in foreign.columns]
    late = "DEFERRED" if foreign.deferred else None
    created.append_constraint(
        sa.ForeignKeyConstraint(
            own,
            refers,
            deferrable=bool(late) or None,
            initially=late,
            ondelete=foreign.on_delete or None,
            onupdate=foreign.on_update or None,
        )
    )


def create_statement(created: sa.Table, dialect: sa.Dialect, *, if_not_exists: bool = False) -> str:
    """CREATE TABLE, as one statement."""
    return str(CreateTable(created, if_not_exists=if_not_exists).compile(dialect=dialect)).strip()


# ---------------------------------------------------------------------------------------------------------------------
# Masking
