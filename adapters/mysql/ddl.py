"""Tables that are yet to be made: the types that MariaDB and MySQL have for travel types, and the DDL."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import replace
from typing import Any, Final

import pyarrow as pa
import sqlalchemy as sa
from sqlalchemy.dialects import mysql

from adapters.mysql.capabilities import CAPABILITIES
from adapters.mysql.connection import Server
from adapters.mysql.types import Declared, travel
from adapters.sql.ddl import adding_statements, foreign_key_statements, index_statements
from adapters.sql.literals import typed_literal
from adapters.sql.names import check_names
from adapters.sql.statements import Engine, Named, create_statement, dialect_of, new_table
from transforms.vocabulary import ColumnShape, Key, SynclineError, TableShape
from transforms.vocabulary.texts import as_text

NAME_CHARACTERS: Final = 64
INDEX_BYTES: Final = 3072  # the most that an index has
OTHER_BYTES: Final = 20  # of an index, for a column that is neither text nor binary, or the length of one that is
CHARACTER_BYTES: Final = 4
LONGEST_VARCHAR: Final = 4095  # in characters: all columns of a row together have some 64 KiB
LONGEST_CHAR: Final = 255
DECIMAL_DIGITS: Final = (65, 30)  # precision and scale

_MADE: Final = {
    pa.bool_(): "tinyint(1)", pa.int8(): "tinyint", pa.int16(): "smallint", pa.int32(): "int", pa.int64(): "bigint",
    pa.uint8(): "tinyint unsigned", pa.uint16(): "smallint unsigned", pa.uint32(): "int unsigned", pa.uint64(): "bigint unsigned",
    pa.float32(): "float", pa.float64(): "double", pa.date32(): "date", pa.duration("us"): "time(6)",
}  # fmt: skip


_WHOLE: Final[dict[str, Callable[..., sa.types.TypeEngine[Any]]]] = {
    "tinyint": mysql.TINYINT,
    "smallint": mysql.SMALLINT,
    "int": mysql.INTEGER,
}
_TEXTS: Final = ("char", "varchar", "tinytext", "text", "mediumtext", "longtext")
_BINARIES: Final = ("binary", "varbinary", "tinyblob", "blob", "mediumblob", "longblob")
JSON_PREFIX: Final = 191  # characters of a JSON text that an index of MariaDB holds


def new_declared(column: ColumnShape, server: Server) -> Declared:
    """The column that is made for a shape, as it will be described: travel types decide, `native` is not looked at."""
    plain = Declared(
        column.name,
        "",
        "",
        nullable=column.nullable,
        identity=column.identity,
        generated=column.generated,
        default=column.default,
    )
    travel = column.type
    if travel in _MADE or pa.types.is_timestamp(travel) or pa.types.is_time(travel):
        native = _MADE.get(travel) or _timed(travel)
        if native == "tinyint" and column.native == "tinyint(1)":
            native = column.native  # what is called a boolean here stays one
        return replace(
            plain, kind=native.split()[0].split("(")[0], native=native, digits=6 if "(6)" in native else None
        )
    if pa.types.is_decimal(travel) and travel.scale >= 0 and travel.scale <= DECIMAL_DIGITS[1] >= 0:
        return _decimal(plain, travel.precision, travel.scale)
    if pa.types.is_binary(travel) or pa.types.is_large_binary(travel):
        if column.octets and column.octets <= INDEX_BYTES:
            return replace(plain, kind="varbinary", native=f"varbinary({column.octets})", length=column.octets)
        return replace(plain, kind="longblob", native="longblob")
    return _text(plain, column, server)


def _timed(travel: pa.DataType) -> str:
    if pa.types.is_time(travel):
        return "time(6)"
    return "timestamp(6)" if travel.tz is not None else "datetime(6)"


def _decimal(plain: Declared, precision: int, scale: int) -> Declared:
    precision = max(precision, scale)
    return replace(plain, kind="decimal", native=f"decimal({precision},{scale})", precision=precision, scale=scale)


def _text(plain: Declared, column: ColumnShape, server: Server) -> Declared:
    if column.meaning == "decimal" and column.number is not None:
        precision, scale = column.number
        if precision <= DECIMAL_DIGITS[0] and 0 <= scale <= min(DECIMAL_DIGITS[1], precision):
            return _decimal(plain, precision, scale)
    if column.meaning == "json":
        return replace(plain, kind="json", native="json")
    if column.meaning == "uuid" and server.has_uuid:
        return replace(plain, kind="uuid", native="uuid")
    length = 36 if column.meaning == "uuid" else column.length if column.meaning == "plain" else None
    text = replace(plain, charset="utf8mb4", collation=server.exact_collation, length=length)
    if length is None or length > LONGEST_VARCHAR:
        return replace(text, kind="longtext", native="longtext", length=None)
    kind = "char" if column.padded and length <= LONGEST_CHAR else "varchar"
    return replace(text, kind=kind, native=f"{kind}({length})")


# ---------------------------------------------------------------------------------------------------------------------
# DDL


def sized(shape: TableShape, server: Server) -> TableShape:
    """The shape with a length for each text and binary of an index: as much as the index has room for."""
    lengths: dict[str, int] = {}
    by_name = {column.name: column for column in shape.columns}
    for index in _indexed(shape):
        columns = [by_name[name] for name in index if name in by_name]
        made = {column.name: new_declared(column, server) for column in columns}
        unsized = [name for name, each in made.items() if each.kind in ("longtext", "longblob")]
        taken = sum(
            OTHER_BYTES + (each.length or 0) * (CHARACTER_BYTES if each.charset else 1)
            for name, each in made.items()
            if name not in unsized
        )
        if unsized:
            room = (INDEX_BYTES - taken) // len(unsized)
            if len(made) > 1:
                room -= OTHER_BYTES
            for name in unsized:
                length = room // CHARACTER_BYTES if made[name].charset else room
                lengths[name] = min(length, lengths.get(name, length))
    return replace(shape, columns=tuple(_with_length(each, lengths.get(each.name)) for each in shape.columns))


def _with_length(column: ColumnShape, length: int | None) -> ColumnShape:
    if length is None:
        return column
    binary = pa.types.is_binary(column.type) or pa.types.is_large_binary(column.type)
    if binary:
        return replace(column, octets=min(length, column.octets or length))
    return replace(column, meaning="plain", length=min(length, column.length or length))


def _indexed(shape: TableShape) -> Iterator[Key]:
    yield shape.primary_key
    for unique in shape.uniques:
        yield tuple(unique)
    for foreign in shape.foreign_keys:
        yield foreign.columns
    yield from shape.design.indexes if shape.design else ()


def create_table(shape: TableShape, server: Server) -> str:
    """CREATE TABLE for a shape."""
    _check_names([shape.name.name, *shape.names])
    check_names(shape, CAPABILITIES.names)

    def type_of(column: ColumnShape, _: Engine) -> sa.types.TypeEngine[Any]:
        declared = new_declared(column, server)
        if column.identity:
            return _WHOLE.get(declared.kind, mysql.BIGINT)(unsigned=declared.unsigned)
        return Named(declared.native + (" NULL" if declared.kind == "timestamp" and column.nullable else ""))

    # MariaDB takes no NOT NULL for a generated column, and neither knows deferred constraints
    columns = tuple(
        replace(each, nullable=each.nullable or (each.generated and server.mariadb))
        for each in sized(shape, server).columns
    )
    plain = replace(
        shape, columns=columns, foreign_keys=tuple(replace(each, deferred=False) for each in shape.foreign_keys)
    )
    made = new_table(plain, "mysql", type_of=type_of)
    made.dialect_kwargs.update(
        mysql_engine="InnoDB", mysql_default_charset="utf8mb4", mysql_collate=server.exact_collation
    )
    return create_statement(made, dialect_of("mysql"))


def _check_names(names: Iterable[str]) -> None:
    for name in names:
        if len(name) > NAME_CHARACTERS:
            raise SynclineError(
                f"{name!r} has {len(name)} characters; names in MySQL have at most {NAME_CHARACTERS}.",
                fix="choose a shorter one.",
            )


def add_columns(shape: TableShape, names: Sequence[str], server: Server) -> list[str]:
    """See `Target.adding`."""
    check_names(shape, CAPABILITIES.names)
    return adding_statements(shape, names, "mysql", lambda each, _: _added_type(each, server))


def _added_type(column: ColumnShape, server: Server) -> Named:
    """The type of a column that is added to a table, whose own character set may be another one."""
    declared = new_declared(column, server)
    if declared.charset:
        return Named(f"{declared.native} CHARACTER SET {declared.charset} COLLATE {declared.collation}")
    return Named(declared.native + (" NULL" if declared.kind == "timestamp" else ""))


def constraints(shape: TableShape, server: Server) -> list[str]:
    """See `Target.constraints`."""
    dialect, lengths = dialect_of("mysql"), _prefixes(shape, server)
    return [*foreign_key_statements(shape, dialect), *index_statements(shape, dialect, lengths=lengths)]


def made(column: ColumnShape, server: Server) -> ColumnShape:
    """See `Target.made`."""
    return travel(new_declared(column, server), server).shape


def _prefixes(shape: TableShape, server: Server) -> dict[str, int]:
    """How many characters of which columns an index holds: of JSON, which is a long text in MariaDB."""
    made = {column.name: new_declared(column, server) for column in shape.columns} if server.mariadb else {}
    return {name: JSON_PREFIX for name, each in made.items() if each.kind == "json"}


def unlinked(own: ColumnShape, there: ColumnShape) -> str | None:
    """InnoDB asks for the same type at both ends; texts may differ in length, and not in what they compare."""
    if _family(own) == _family(there):
        return None
    return f"{own.name} is {own.native} and {there.name} is {there.native}: MariaDB and MySQL ask for one type at both ends"


def _family(column: ColumnShape) -> tuple[Any, ...]:
    base = column.native.lower().partition("(")[0].split()[0]
    if base in _TEXTS:
        return "text", column.collation, column.characters
    if base in _BINARIES:
        return ("binary",)
    if base in ("tinyint", "smallint", "mediumint", "int", "bigint", "year"):  # whatever width is shown
        return base, "unsigned" in column.native.lower()
    return (column.native.lower(),)


def literal(column: ColumnShape, value: pa.Array) -> str | None:
    """See `Definitions.literal`."""
    if pa.types.is_timestamp(column.type) and column.type.tz is not None:
        return None  # it would be read in the zone of whatever session inserts
    if pa.types.is_floating(column.type):
        return as_text(value)[0].as_py() if abs(value[0].as_py()) < float("inf") else None
    return typed_literal(column, value, "mysql")
