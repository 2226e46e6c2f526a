"""What is added to a table that is there, as statements: columns, and after the rows foreign keys and indexes."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import Any, Final, cast

import sqlalchemy as sa

from adapters.sql.statements import Engine, dialect_of, quoted
from transforms.vocabulary import ColumnShape, ForeignKey, Key, TableName, TableShape

NAME_BYTES: Final = 60  # of an index: what every engine takes
_SEQUENCE: Final = re.compile(r"CREATE SEQUENCE (.+)", re.DOTALL)


def spelled_table(name: TableName, dialect: sa.Dialect) -> str:
    """A table's name, every part of it quoted."""
    quote = dialect.identifier_preparer.quote_identifier
    return ".".join(quote(part) for part in (name.schema, name.name) if part)


def _listed(names: Sequence[str], dialect: sa.Dialect) -> str:
    return ", ".join(map(dialect.identifier_preparer.quote_identifier, names))


def drop_statements(table: TableName, made: Sequence[str], engine: str) -> list[str]:
    """What takes away a table, and the sequences that were made with it by the statements `made`."""
    dialect = dialect_of(cast(Engine, engine))
    sequences = [found[1] for statement in made if (found := _SEQUENCE.match(statement))]
    return [f"DROP TABLE {spelled_table(table, dialect)}", *(f"DROP SEQUENCE {sequence}" for sequence in sequences)]


def foreign_key_statements(shape: TableShape, dialect: sa.Dialect) -> list[str]:
    """A statement for each foreign key; the engine names them."""
    return [
        f"ALTER TABLE {spelled_table(shape.name, dialect)} ADD {_clause(each, dialect)}" for each in shape.foreign_keys
    ]


def adding_statements(
    shape: TableShape, names: Sequence[str], engine: Engine, type_of: Callable[[ColumnShape, Engine], Any]
) -> list[str]:
    """A statement for each of the columns that adds it to the table, nullable."""
    from alembic.ddl.base import AddColumn  # a quarter of a second that only this needs

    schema = quoted(shape.name.schema) if shape.name.schema else None
    columns = [sa.Column(quoted(c.name), type_of(c, engine), nullable=True) for c in shape.columns if c.name in names]
    # compiled here: alembic's own operations would write a tab in a name as blanks
    return [
        str(AddColumn(quoted(shape.name.name), column, schema).compile(dialect=dialect_of(engine)))
        for column in columns
    ]


def _clause(foreign: ForeignKey, dialect: sa.Dialect) -> str:
    there = f"{spelled_table(foreign.refers, dialect)} ({_listed(foreign.refers_columns, dialect)})"
    actions = f" ON DELETE {foreign.on_delete}" if foreign.on_delete else ""
    actions += f" ON UPDATE {foreign.on_update}" if foreign.on_update else ""
    late = " DEFERRABLE" if foreign.deferred and dialect.name == "postgresql" else ""
    return f"FOREIGN KEY ({_listed(foreign.columns, dialect)}) REFERENCES {there}{actions}{late}"


def index_statements(
    shape: TableShape, dialect: sa.Dialect, *, named: bool = True, lengths: Mapping[str, int] | None = None
) -> list[str]:
    """A statement for each plain index of the shape's design. `named` false: the engine finds the name.

    `lengths` are the columns of which an index holds the beginning only.
    """
    known = lengths or {}
    quote = dialect.identifier_preparer.quote_identifier
    found = []
    for columns in shape.design.indexes if shape.design else ():
        name = f"{quote(index_name(shape.name, columns))} " if named else ""
        listed = ", ".join(f"{quote(each)}({known[each]})" if each in known else quote(each) for each in columns)
        found.append(f"CREATE INDEX {name}ON {spelled_table(shape.name, dialect)} ({listed})")
    return found


def index_name(table: TableName, columns: Key) -> str:
    """The same for the same columns; a digest ends it where it would be too long."""
    name = "_".join([table.name, *columns, "idx"])
    if len(name.encode()) <= NAME_BYTES:
        return name
    digest = hashlib.sha256(name.encode()).hexdigest()[:10]
    return name.encode()[: NAME_BYTES - 11].decode(errors="ignore") + "_" + digest


def orphans_query(child: TableName, foreign: ForeignKey, dialect: sa.Dialect, texts: Collection[str] = ()) -> str:
    """A query for the rows whose foreign key refers to nothing; a key with a null in it refers to nothing rightly.

    `texts` are columns of the key that have to be the same byte by byte, whatever their collation takes for one.
    """
    quote = dialect.identifier_preparer.quote_identifier
    pairs = list(zip(foreign.columns, foreign.refers_columns, strict=True))
    whole = " AND ".join(f"c.{quote(own)} IS NOT NULL" for own, _ in pairs)
    equal = [f"p.{quote(there)} = c.{quote(own)}" for own, there in pairs]  # which an index finds
    binary = "BINARY" if dialect.name == "mysql" else "BLOB"
    equal += [
        f"CAST(p.{quote(there)} AS {binary}) = CAST(c.{quote(own)} AS {binary})" for own, there in pairs if own in texts
    ]
    same = " AND ".join(equal)
    return (
        f"SELECT 1 AS orphan FROM {spelled_table(child, dialect)} c WHERE {whole} AND NOT EXISTS "  # noqa: S608
        f"(SELECT 1 FROM {spelled_table(foreign.refers, dialect)} p WHERE {same})"
    )
