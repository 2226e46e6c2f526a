"""What MariaDB and MySQL tell of their tables: columns, keys and indexes out of information_schema, and queries' columns."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Any, Final

import pymysql
import sqlalchemy as sa
from pymysql.constants import FIELD_TYPE, FLAG

from adapters.mysql.capabilities import CAPABILITIES
from adapters.mysql.connection import UNSEEN, Connection, Server, code_of, rows
from adapters.mysql.load_data import name_of
from adapters.mysql.types import Declared, Travel, travel
from adapters.sql.names import folded
from adapters.sql.statements import dialect_of, rendered, source
from transforms.vocabulary import ForeignKey, Key, Relation, SpecError, TableName, TableShape

TABLES: Final = """
SELECT TABLE_NAME FROM information_schema.TABLES
WHERE TABLE_SCHEMA = coalesce(%s, DATABASE()) AND TABLE_TYPE IN ('BASE TABLE', 'SYSTEM VERSIONED')"""

UNSAFE: Final = frozenset(("MyISAM", "Aria", "MEMORY", "ARCHIVE", "CSV", "MRG_MyISAM", "BLACKHOLE", "FEDERATED"))
"""Storage engines without transactions."""

TABLE: Final = """
SELECT TABLE_SCHEMA, TABLE_NAME, ENGINE FROM information_schema.TABLES
WHERE TABLE_SCHEMA = coalesce(%s, DATABASE()) AND TABLE_NAME = %s"""

COLUMNS: Final = """
SELECT COLUMN_NAME, DATA_TYPE, COLUMN_TYPE, IS_NULLABLE = 'YES', CHARACTER_MAXIMUM_LENGTH, NUMERIC_PRECISION, NUMERIC_SCALE,
       DATETIME_PRECISION, CHARACTER_SET_NAME, COLLATION_NAME, EXTRA, COLUMN_DEFAULT
FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s ORDER BY ORDINAL_POSITION"""

INDEXES: Final = """
SELECT INDEX_NAME, NON_UNIQUE, COLUMN_NAME, SUB_PART, COLLATION, INDEX_TYPE
FROM information_schema.STATISTICS WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s ORDER BY INDEX_NAME, SEQ_IN_INDEX"""

FOREIGN_KEYS: Final = """
SELECT CONSTRAINT_NAME, COLUMN_NAME, REFERENCED_TABLE_SCHEMA, REFERENCED_TABLE_NAME, REFERENCED_COLUMN_NAME
FROM information_schema.KEY_COLUMN_USAGE
WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s AND REFERENCED_TABLE_NAME IS NOT NULL
ORDER BY CONSTRAINT_NAME, ORDINAL_POSITION"""

ACTIONS: Final = """
SELECT CONSTRAINT_NAME, UPDATE_RULE, DELETE_RULE FROM information_schema.REFERENTIAL_CONSTRAINTS
WHERE CONSTRAINT_SCHEMA = %s AND TABLE_NAME = %s"""

JSON_CHECKS: Final = """
SELECT CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS
WHERE CONSTRAINT_SCHEMA = %s AND TABLE_NAME = %s AND CHECK_CLAUSE LIKE 'json\\_valid(%%'"""

_JSON: Final = re.compile(r"json_valid\(`((?:[^`]|``)*)`\)")
_WIDTH: Final = re.compile(r"^(tinyint|smallint|mediumint|int|bigint|year)\(\d+\)")


@dataclass(frozen=True, slots=True)
class Index:
    """An index over columns, in their order; `plain` where it is over whole columns, ascending and of a tree.

    `begun` are columns of such a one of which it holds the beginning only.
    """

    name: str
    columns: Key
    unique: bool
    plain: bool
    begun: Key = ()


@dataclass(frozen=True, slots=True)
class Described:
    """A relation's shape, how each of its columns travels, and the indexes of a table."""

    shape: TableShape
    travels: Mapping[str, Travel]
    indexes: tuple[Index, ...] = ()


@dataclass(slots=True)
class Alphabets:
    """What a server's character sets hold, and which number stands for which collation: each asked for once."""

    held: dict[str, str | None] = field(default_factory=dict)
    numbers: dict[int, tuple[str, str, int]] = field(default_factory=dict)

    def characters(self, connection: Connection, charset: str) -> str | None:
        """See `characters`."""
        if charset not in self.held:
            self.held[charset] = characters(connection, charset)
        return self.held[charset]

    def collations(self, connection: Connection, server: Server) -> Mapping[int, tuple[str, str, int]]:
        """Character set, collation and the most bytes of a character, by the number in which answers name them."""
        if not self.numbers:
            self.numbers = _collations(connection, server)
        return self.numbers


def named(connection: Connection, cases: int, table: TableName) -> TableName:
    """A table as the catalog spells it. `cases` is the server's lower_case_table_names: 0 tells names apart by case, 1 keeps
    them in small letters, 2 as they are written."""
    if not cases:
        return table
    found = rows(connection, TABLE, [table.schema, table.name])
    schema, name = found[0][:2] if found else (table.schema, table.name)
    if cases == 1 and not found:
        schema, name = (each and folded(each, CAPABILITIES.names.columns) for each in (schema, name))
    return TableName(name, None if table.schema is None else schema)


def described(connection: Connection, server: Server, alphabets: Alphabets, table: TableName) -> Described | None:
    """What is known of a table or view; None where there is none of that name."""
    found = rows(connection, TABLE, [table.schema, table.name])
    place = next((row for row in found if row[1] == table.name), found[0] if found else None)
    if place is None:
        return None
    schema, name, storage = place
    _must_show_all(connection, table)
    names = {str(each) for (each,) in rows(connection, JSON_CHECKS, [schema, name])} if server.mariadb else set()
    json = {match[1].replace("``", "`") for match in map(_JSON.fullmatch, names) if match}
    facts = [_declared(row, json) for row in rows(connection, COLUMNS, [schema, name])]
    travels = _travels(connection, server, alphabets, facts)
    indexes = tuple(_indexes(rows(connection, INDEXES, [schema, name])))
    shape = TableShape(
        table,
        tuple(each.shape for each in travels.values()),
        next((each.columns for each in indexes if each.name == "PRIMARY"), ()),
        frozenset(frozenset(each.columns) for each in indexes if each.unique),
        _foreign_keys(
            rows(connection, FOREIGN_KEYS, [schema, name]),
            rows(connection, ACTIONS, [schema, name]),
            schema,
            table.schema,
        ),
        frozenset(_prefixes(indexes, travels)),
        unwritable=_unsafe(name, storage),
    )
    return Described(shape, travels, indexes)


def _unsafe(name: str, storage: str | None) -> str | None:
    """Why no window can be written into a table: rows that are in stay, whatever comes after them."""
    if storage not in UNSAFE:
        return None
    return (
        f"is stored by {storage}, which has no transactions, so that a window could be left half done. Fix: ALTER TABLE "
        f"{name_of(name)} ENGINE = InnoDB."
    )


def _must_show_all(connection: Connection, table: TableName) -> None:
    """Refuse a table of which the user sees some columns only: the catalog does not show it that there are others."""
    statement = sa.select(sa.text("*")).select_from(source(Relation(table))).limit(0)
    try:
        rows(connection, rendered(statement, dialect_of("mysql")))
    except pymysql.Error as error:
        if code_of(error) not in UNSEEN:
            raise
        raise SpecError(
            f"{table}: the user may not read all of it ({error.args[1]}).",
            fix=(
                "GRANT SELECT on the table, or read the columns that are wanted by a query (`from: {query: SELECT …}`)."
            ),
        ) from error


def _declared(row: Sequence[Any], json: Iterable[str]) -> Declared:
    name, kind, native, nullable, length, precision, scale, digits, charset, collation, extra, default = row
    kind, native, extra = str(kind).lower(), str(native), str(extra).upper()
    if "zerofill" not in native and not native.startswith(("tinyint(1)", "year(2)")):
        native = _WIDTH.sub(r"\1", native)  # the width of what is shown: new servers do not tell it
    is_json = kind == "json" or (kind == "longtext" and name in json)
    filled = default is not None and str(default).upper() != "NULL"
    return Declared(
        name,
        "json" if is_json else kind,
        "json" if is_json else native,
        nullable=bool(nullable),
        length=length,
        precision=precision,
        scale=scale,
        digits=digits,
        charset=charset,
        collation=collation,
        identity="AUTO_INCREMENT" in extra,
        generated="VIRTUAL GENERATED" in extra or "STORED GENERATED" in extra,
        default=filled,
        renewed="ON UPDATE" in extra,
    )


def _travels(
    connection: Connection, server: Server, alphabets: Alphabets, facts: Sequence[Declared]
) -> dict[str, Travel]:
    told = {each: alphabets.characters(connection, each) for each in {fact.charset for fact in facts} if each}
    return {each.name: travel(replace(each, characters=told.get(each.charset or "")), server) for each in facts}


def characters(connection: Connection, charset: str) -> str | None:
    """The inside of an RE2 class of what a character set holds; None where that is all, or not known."""
    if charset in ("utf8mb3", "utf8", "ucs2"):
        return r"\x{0}-\x{FFFF}"
    if charset in ("utf8mb4", "utf16", "utf16le", "utf32"):
        return None
    ((longest,),) = rows(
        connection, "SELECT MAXLEN FROM information_schema.CHARACTER_SETS WHERE CHARACTER_SET_NAME = %s", [charset]
    )
    if longest != 1:
        return None
    every = bytes(range(256)).hex()
    ((known,),) = rows(connection, f"SELECT HEX(CONVERT(_{charset} x'{every}' USING utf32))")
    points = [int(known[8 * i : 8 * i + 8], 16) for i in range(256)]
    return _class({point for code, point in enumerate(points) if point != ord("?") or code == ord("?")})


def _class(points: Iterable[int]) -> str:
    """The inside of an RE2 class of code points."""
    spans: list[list[int]] = []
    for point in sorted(points):
        if spans and point == spans[-1][1] + 1:
            spans[-1][1] = point
        else:
            spans.append([point, point])
    return "".join(rf"\x{{{first:X}}}" + (rf"-\x{{{last:X}}}" if last > first else "") for first, last in spans)


def _indexes(found: Sequence[Sequence[Any]]) -> Iterator[Index]:
    """The indexes over columns; none of those over expressions."""
    grouped: dict[str, list[Sequence[Any]]] = {}
    for row in found:
        grouped.setdefault(str(row[0]), []).append(row)
    for name, parts in grouped.items():
        columns = tuple(part[2] for part in parts)
        if None in columns:
            continue
        whole = all(part[3] is None for part in parts)
        tree = all(part[4] == "A" and part[5] == "BTREE" for part in parts)
        begun = tuple(part[2] for part in parts if part[3] is not None) if tree else ()
        yield Index(name, columns, unique=not parts[0][1] and whole, plain=whole and tree, begun=begun)


def _prefixes(indexes: Iterable[Index], travels: Mapping[str, Travel]) -> Iterator[Key]:
    """The leading columns of indexes as far as they sort as Arrow does."""
    for index in indexes:
        for length in range(1, len(index.columns) + 1) if index.plain else ():
            if not travels[index.columns[length - 1]].sortable:
                break
            yield index.columns[:length]


def _foreign_keys(
    found: Sequence[Sequence[Any]], rules: Sequence[Sequence[Any]], here: str, asked: str | None
) -> tuple[ForeignKey, ...]:
    actions = {str(name): [_action(update), _action(delete)] for name, update, delete in rules}
    grouped: dict[str, list[Sequence[Any]]] = {}
    for row in found:
        grouped.setdefault(str(row[0]), []).append(row)
    keys = []
    for parts in grouped.values():
        _, _, schema, name, _ = parts[0]
        refers = TableName(name, asked if schema == here else schema)
        update, delete = actions.get(str(parts[0][0]), ["", ""])
        own, there = tuple(part[1] for part in parts), tuple(part[4] for part in parts)
        keys.append(ForeignKey(own, refers, there, on_delete=delete, on_update=update, name=str(parts[0][0])))
    return tuple(keys)


def _action(rule: str) -> str:
    """RESTRICT is what NO ACTION is here."""
    return "" if rule in ("NO ACTION", "RESTRICT") else rule


# ---------------------------------------------------------------------------------------------------------------------
# Queries

_INTEGERS: Final = {
    FIELD_TYPE.TINY: "tinyint", FIELD_TYPE.SHORT: "smallint", FIELD_TYPE.INT24: "mediumint", FIELD_TYPE.LONG: "int",
    FIELD_TYPE.LONGLONG: "bigint",
}  # fmt: skip
_PLAIN: Final = {
    FIELD_TYPE.FLOAT: "float", FIELD_TYPE.DOUBLE: "double", FIELD_TYPE.YEAR: "year", FIELD_TYPE.DATE: "date",
    FIELD_TYPE.NEWDATE: "date", FIELD_TYPE.DATETIME: "datetime", FIELD_TYPE.TIMESTAMP: "timestamp", FIELD_TYPE.TIME: "time",
    FIELD_TYPE.JSON: "json", FIELD_TYPE.BIT: "bit", FIELD_TYPE.GEOMETRY: "geometry", FIELD_TYPE.NULL: "varchar",
}  # fmt: skip
_COLLATIONS: Final = """
SELECT {columns}, c.MAXLEN FROM information_schema.{view} a
JOIN information_schema.CHARACTER_SETS c ON c.CHARACTER_SET_NAME = a.CHARACTER_SET_NAME WHERE a.ID IS NOT NULL"""
_ANY_DIGITS: Final = 31  # what an expression answers whose digits are not known
_NO_CHARSET: Final = 63


def described_query(connection: Connection, server: Server, alphabets: Alphabets, relation: Relation) -> Described:
    """The columns of a query, by what the server tells of its answer; none of its rows is read."""
    statement = sa.select(sa.text("*")).select_from(source(relation)).limit(0)
    with connection.cursor() as cursor:
        cursor.execute(rendered(statement, dialect_of("mysql")))
        fields = cursor._result.fields
    names = [field.name for field in fields]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SpecError(f"A query answers with two columns named {twice!r}.", fix="name them apart with AS.")
    texts = any(field.charsetnr != _NO_CHARSET for field in fields)
    collations = alphabets.collations(connection, server) if texts else {}
    travels = _travels(connection, server, alphabets, [_answered(field, collations) for field in fields])
    return Described(TableShape(TableName(str(relation)), tuple(each.shape for each in travels.values())), travels)


def _collations(connection: Connection, server: Server) -> dict[int, tuple[str, str, int]]:
    full = server.mariadb and server.version >= (10, 10)
    view = "COLLATION_CHARACTER_SET_APPLICABILITY" if full else "COLLATIONS"
    name = "a.FULL_COLLATION_NAME" if full else "a.COLLATION_NAME"
    found = rows(connection, _COLLATIONS.format(view=view, columns=f"a.ID, a.CHARACTER_SET_NAME, {name}"))
    return {number: (charset, collation, longest) for number, charset, collation, longest in found}


def _answered(field: Any, collations: Mapping[int, tuple[str, str, int]]) -> Declared:
    """A column of an answer as it would be declared."""
    code, unsigned = field.type_code, " unsigned" if field.flags & FLAG.UNSIGNED else ""
    zerofill = " zerofill" if field.flags & FLAG.ZEROFILL else ""
    if code in _INTEGERS:
        kind = _INTEGERS[code]
        width = "(1)" if kind == "tinyint" and field.length == 1 else ""
        return Declared(field.name, kind, f"{kind}{width}{unsigned}{zerofill}")
    if code in (FIELD_TYPE.DECIMAL, FIELD_TYPE.NEWDECIMAL):
        precision = field.length - (field.scale > 0) - (not unsigned)
        native = f"decimal({precision},{field.scale}){unsigned}{zerofill}"
        return Declared(field.name, "decimal", native, precision=precision, scale=field.scale)
    if code in _PLAIN:
        kind = _PLAIN[code]
        timed = kind in ("datetime", "timestamp", "time")
        digits = field.scale if timed and field.scale < _ANY_DIGITS else 6 if timed else None
        native = f"{kind}({digits})" if digits else kind
        more: dict[str, Any] = {}
        if kind == "bit":
            native, more = f"bit({field.length})", {"precision": field.length}
        elif kind == "varchar":
            native, more = "varchar(0)", {"length": 0, "charset": "utf8mb4", "collation": "utf8mb4_bin"}
        return Declared(field.name, kind, native + unsigned + zerofill, digits=digits, **more)
    return _answered_text(field, collations)


def _answered_text(field: Any, collations: Mapping[int, tuple[str, str, int]]) -> Declared:
    blob = field.type_code in (FIELD_TYPE.TINY_BLOB, FIELD_TYPE.MEDIUM_BLOB, FIELD_TYPE.LONG_BLOB, FIELD_TYPE.BLOB)
    if field.charsetnr == _NO_CHARSET:
        if blob:
            return Declared(field.name, "longblob", "longblob")
        kind = "binary" if field.type_code == FIELD_TYPE.STRING and field.flags & FLAG.BINARY else "varbinary"
        return Declared(field.name, kind, f"{kind}({field.length})", length=field.length)
    charset, collation, widest = collations[field.charsetnr]
    length = field.length // widest
    texts: dict[str, Any] = {"charset": charset, "collation": collation}
    if field.flags & (FLAG.ENUM | FLAG.SET):
        return Declared(field.name, "varchar", f"varchar({length})", length=length, **texts)
    if blob:
        return Declared(field.name, "longtext", "longtext", **texts)
    kind = "char" if field.type_code == FIELD_TYPE.STRING else "varchar"
    return Declared(field.name, kind, f"{kind}({length})", length=length, **texts)
