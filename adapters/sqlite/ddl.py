"""Tables that are yet to be made: the types that SQLite declares for travel types, and the DDL."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import pyarrow as pa

from adapters.sql.ddl import adding_statements, index_statements, spelled_table
from adapters.sql.literals import exact_number, hex_literal, text_literal
from adapters.sql.names import check_names
from adapters.sql.statements import Engine, Named, create_statement, new_table
from adapters.sqlite.arrow import encode
from adapters.sqlite.capabilities import CAPABILITIES
from adapters.sqlite.snapshot import DIALECT
from adapters.sqlite.types import Style, column_shape, declared
from transforms.vocabulary import ColumnShape, SpecError, SynclineError, TableShape


def create_table(shape: TableShape) -> list[str]:
    """See `Target.ddl`."""
    numbered = [each.name for each in shape.columns if each.identity]
    if numbered and shape.design and shape.primary_key != (*numbered,):
        raise SpecError(
            f"{shape.name}: SQLite numbers a column only where it is the primary key, all of it, and {numbered[0]} is not.",
            fix="remove `identity`, or make it the primary key.",
        )
    check_names(shape, CAPABILITIES.names)
    return [create_statement(new_table(shape, "sqlite", type_of=_type_of), DIALECT)]


def add_columns(shape: TableShape, names: Sequence[str]) -> list[str]:
    """See `Target.adding`."""
    check_names(shape, CAPABILITIES.names)
    return adding_statements(shape, names, "sqlite", _type_of)


def constraints(shape: TableShape) -> list[str]:
    """Indexes, and for keys that were deferred a look at whether they hold now; foreign keys cannot be added."""
    late = any(foreign.deferred for foreign in shape.foreign_keys)
    look = f"PRAGMA foreign_key_check({spelled_table(replace(shape.name, schema=None), DIALECT)})"
    return [*index_statements(shape, DIALECT), *([look] if late else [])]


def made(column: ColumnShape) -> ColumnShape:
    """See `Target.made`."""
    return column_shape(
        column.name,
        declared(column),
        nullable=column.nullable,
        generated=column.generated,
        identity=column.identity,
        default=column.default,
    )


def _type_of(column: ColumnShape, _: Engine) -> Named:
    return Named(declared(column))


def literal(column: ColumnShape, value: pa.Array) -> str | None:
    """See `Definitions.literal`: the value as SQLite stores it, whatever its column says."""
    try:
        stored = encode(column, value, Style())[0].as_py()
    except SynclineError:
        return None
    if isinstance(stored, bool | int):
        return str(int(stored))
    if isinstance(stored, float):
        return exact_number(repr(stored)) if abs(stored) < float("inf") else None
    return hex_literal(stored) if isinstance(stored, bytes) else text_literal(str(stored), "sqlite")
