"""Tables that are yet to be made: the types that DuckDB has for travel types, and the DDL."""

from __future__ import annotations

from collections.abc import Sequence

import pyarrow as pa

from adapters.duckdb.capabilities import CAPABILITIES
from adapters.duckdb.design import literal as quoted_text
from adapters.duckdb.types import DIALECT, column_shape, declared, quoted
from adapters.sql.ddl import adding_statements, index_statements
from adapters.sql.literals import typed_literal
from adapters.sql.names import check_names
from adapters.sql.statements import Engine, Named, create_statement, new_table
from transforms.vocabulary import ColumnShape, SpecError, TableShape


def create_table(shape: TableShape) -> list[str]:
    """See `Target.ddl`: the sequence of an identity column, and the table."""
    _check_indexed(shape)
    check_names(shape, CAPABILITIES.names)
    identity = next((each.name for each in shape.columns if each.identity), None)
    sequence = ".".join(
        quoted(part) for part in (shape.name.schema, f"{shape.name.name}_{identity}_seq") if part is not None
    )
    computed = dict(shape.design.generated) if shape.design else {}

    def type_of(each: ColumnShape, _: Engine) -> Named:
        virtual = f" GENERATED ALWAYS AS ({computed[each.name]}) VIRTUAL" if each.name in computed else ""
        return Named(declared(each) + virtual)

    created = new_table(
        shape,
        "duckdb",
        type_of=type_of,
        identity_default=f"nextval({quoted_text(sequence)})".replace(":", r"\:"),
    )
    statements = [f"CREATE SEQUENCE {sequence}"] if identity else []
    return [*statements, create_statement(created, DIALECT)]


def add_columns(shape: TableShape, names: Sequence[str]) -> list[str]:
    """See `Target.adding`."""
    check_names(shape, CAPABILITIES.names)
    return adding_statements(shape, names, "duckdb", lambda each, _: Named(declared(each)))


def constraints(shape: TableShape) -> list[str]:
    """Indexes alone: foreign keys cannot be added."""
    return index_statements(shape, DIALECT)


def made(column: ColumnShape) -> ColumnShape:
    """See `Target.made`."""
    return column_shape(
        column.name,
        declared(column),
        nullable=column.nullable,
        generated=column.generated,
        identity=column.identity,
        default=column.default or column.identity,
    )


def _check_indexed(shape: TableShape) -> None:
    """DuckDB has no index over spans of time, and so no key of them."""
    indexes = [shape.primary_key, *shape.uniques, *(shape.design.indexes if shape.design else ())]
    indexed = {name for index in indexes for name in index}
    for column in shape.columns:
        if column.name in indexed and declared(column) == "INTERVAL":
            raise SpecError(
                f"{shape.name}: {column.name} is an interval, of which DuckDB can make no key or index.",
                fix="give it `cast: text`, or `cast: time` where it holds times of the day.",
            )


def literal(column: ColumnShape, value: pa.Array) -> str | None:
    """See `Definitions.literal`."""
    return typed_literal(
        column, value, "duckdb", lambda raw: f"'{''.join(f'{chr(92)}x{each:02X}' for each in raw)}'::BLOB"
    )
