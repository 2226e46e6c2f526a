"""Tables that are yet to be made: the types that PostgreSQL has for travel types, and the DDL."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import pyarrow as pa
import sqlalchemy as sa

from adapters.postgres.capabilities import CAPABILITIES
from adapters.postgres.limits import made_of
from adapters.sql.ddl import adding_statements, foreign_key_statements, index_statements
from adapters.sql.literals import typed_literal
from adapters.sql.names import check_names
from adapters.sql.statements import Engine, Named, create_statement, dialect_of, new_table
from transforms.vocabulary import ColumnShape, TableShape


def create_table(shape: TableShape) -> list[str]:
    """See `Target.ddl`."""
    check_names(shape, CAPABILITIES.names)
    return [create_statement(new_table(shape, "postgresql", type_of=_type_of), dialect_of("postgresql"))]


def add_columns(shape: TableShape, names: Sequence[str]) -> list[str]:
    """See `Target.adding`."""
    check_names(shape, CAPABILITIES.names)
    return adding_statements(shape, names, "postgresql", _type_of)


def constraints(shape: TableShape) -> list[str]:
    """See `Target.constraints`."""
    dialect = dialect_of("postgresql")
    return [*foreign_key_statements(shape, dialect), *index_statements(shape, dialect, named=False)]


def _type_of(column: ColumnShape, _: Engine) -> sa.types.TypeEngine[Any]:
    """The type that is made for a column; SQLAlchemy numbers only columns of its own types."""
    if not column.identity:
        return Named(made_of(column)[0])
    numbered: dict[str, sa.types.TypeEngine[Any]] = {"int2": sa.SmallInteger(), "int4": sa.Integer()}
    return numbered.get(made_of(column)[1], sa.BigInteger())


def literal(column: ColumnShape, value: pa.Array) -> str | None:
    """See `Definitions.literal`."""
    return typed_literal(column, value, "postgresql", lambda raw: f"'\\x{raw.hex()}'::bytea")
