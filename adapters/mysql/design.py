"""What a MariaDB or MySQL table has beyond columns and keys, and counters moved on."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from typing import Any, Final, cast

import pymysql

from adapters.feeds.triggers import is_log
from adapters.mysql.catalog import INDEXES, TABLE, Alphabets, Described, described
from adapters.mysql.connection import Connection, Server, rows, run
from adapters.mysql.load_data import name_of
from adapters.sql.filling import assigned
from adapters.sql.filling import name_of as unquoted
from transforms.vocabulary import Design, TableName
from transforms.vocabulary.features import Feature, Kind, in_order

COUNTER: Final = """
SELECT t.AUTO_INCREMENT FROM information_schema.TABLES t
JOIN information_schema.COLUMNS c ON c.TABLE_SCHEMA = t.TABLE_SCHEMA AND c.TABLE_NAME = t.TABLE_NAME
WHERE t.TABLE_SCHEMA = coalesce(%s, DATABASE()) AND t.TABLE_NAME = %s AND c.COLUMN_NAME = %s AND c.EXTRA LIKE '%%auto_increment%%'"""


EXPRESSIONS: Final = """
SELECT COLUMN_NAME, DATA_TYPE, COLUMN_DEFAULT, EXTRA, GENERATION_EXPRESSION, COLUMN_COMMENT FROM information_schema.COLUMNS
WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s ORDER BY ORDINAL_POSITION"""

CHECKS: Final = """
SELECT CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = %s AND {table} ORDER BY CONSTRAINT_NAME"""
OF_TABLE: Final = "TABLE_NAME = %s"
OF_CONSTRAINTS: Final = """CONSTRAINT_NAME IN (
    SELECT t.CONSTRAINT_NAME FROM information_schema.TABLE_CONSTRAINTS t
    WHERE t.CONSTRAINT_SCHEMA = CHECK_CONSTRAINTS.CONSTRAINT_SCHEMA AND t.TABLE_NAME = %s AND t.CONSTRAINT_TYPE = 'CHECK')"""

PARTITIONS: Final = """
SELECT PARTITION_METHOD, PARTITION_EXPRESSION, PARTITION_NAME FROM information_schema.PARTITIONS
WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s AND PARTITION_NAME IS NOT NULL ORDER BY PARTITION_ORDINAL_POSITION"""

OTHERS: Final = """
SELECT ENGINE, TABLE_TYPE, TABLE_COMMENT, CREATE_OPTIONS, TABLE_COLLATION FROM information_schema.TABLES
WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s"""

TRIGGERS: Final = """
SELECT TRIGGER_NAME, ACTION_TIMING, EVENT_MANIPULATION, ACTION_STATEMENT FROM information_schema.TRIGGERS
WHERE EVENT_OBJECT_SCHEMA = %s AND EVENT_OBJECT_TABLE = %s"""
"""Those of Syncline, which write keys down and change no row, are left out by who asks."""

BESIDES: Final = """
SELECT 'view', TABLE_NAME FROM information_schema.VIEWS WHERE TABLE_SCHEMA = coalesce(%(schema)s, DATABASE())
UNION ALL
SELECT 'sequence', TABLE_NAME FROM information_schema.TABLES
WHERE TABLE_SCHEMA = coalesce(%(schema)s, DATABASE()) AND TABLE_TYPE = 'SEQUENCE'
UNION ALL
SELECT IF(ROUTINE_TYPE = 'FUNCTION', 'function', 'procedure'), ROUTINE_NAME FROM information_schema.ROUTINES
WHERE ROUTINE_SCHEMA = coalesce(%(schema)s, DATABASE())
UNION ALL
SELECT 'event', EVENT_NAME FROM information_schema.EVENTS WHERE EVENT_SCHEMA = coalesce(%(schema)s, DATABASE())"""

_WRITTEN_OUT: Final = re.compile(r"^(?:current_timestamp|now|null\b|b'|x'|0x|[-+]?[\d.])", re.IGNORECASE)
_ON_UPDATE: Final = re.compile(r"on update \w+(?:\(\d*\))?", re.IGNORECASE)
_ROW_FORMAT: Final = re.compile(r"row_format=(\w+)", re.IGNORECASE)
_ESCAPED: Final = re.compile(r"\\(.)", re.DOTALL)
_CREATE: Final = re.compile(r"\ACREATE TABLE ((?:`(?:[^`]|``)+`\.)?`(?:[^`]|``)+`)")


def design(connection: Connection, server: Server, alphabets: Alphabets, table: TableName) -> Design:
    """Out of information_schema. The checks that make a text JSON are part of its type."""
    place = next((row for row in rows(connection, TABLE, [table.schema, table.name]) if row[1] == table.name), None)
    found = described(connection, server, alphabets, table)
    if place is None or found is None:
        return Design()
    where = [place[0], place[1]]
    facts = [tuple(map(_text, row)) for row in rows(connection, EXPRESSIONS, where)]
    clauses = rows(connection, CHECKS.format(table=OF_TABLE if server.mariadb else OF_CONSTRAINTS), where)
    json = {f"json_valid({name_of(name)})" for name, each in found.travels.items() if each.kind == "json"}
    documents = {name for name, each in found.travels.items() if each.kind == "json"}
    whole = [each for each in found.indexes if each.plain or (each.begun and {*each.begun} <= documents)]
    acting = [tuple(map(_text, row)) for row in rows(connection, TRIGGERS, where) if not is_log(str(row[0]))]
    triggers = [
        Feature("trigger", (), {"name": name, "timing": timing, "event": event}) for name, timing, event, _ in acting
    ]
    by_lower = {column.name.lower(): column.name for column in found.shape.columns}
    computed = {name for name, _, _, _, made, _ in facts if made}
    return Design(
        defaults=tuple(
            (name, _default(kind, default, extra, server))
            for name, kind, default, extra, _, _ in facts
            if name not in computed and default and default.upper() != "NULL"
        ),
        generated=tuple((name, _expression(made, server)) for name, _, _, _, made, _ in facts if made),
        checks=tuple(
            text for text in (_expression(_text(clause), server) for (clause,) in clauses) if text not in json
        ),
        indexes=tuple(dict.fromkeys(each.columns for each in whole if not each.unique and each.name != "PRIMARY")),
        features=in_order(
            *(each for name, _, _, extra, _, comment in facts for each in _of_column(name, extra, comment)),
            *_collations(found),
            *_odd_indexes(
                [row for row in rows(connection, INDEXES, where) if row[0] not in {each.name for each in whole}]
            ),
            *_partitions(rows(connection, PARTITIONS, where)),
            *(each for row in rows(connection, OTHERS, where) for each in _of_table(*map(_text, row))),
            *triggers,
            *_counter(connection, TableName(where[1], where[0]), found),
        ),
        hooks=in_order(*triggers),
        filled=tuple(
            (by_lower[column], name)
            for name, timing, event, body in acting
            if (timing, event) == ("BEFORE", "INSERT")
            for token in assigned(body)
            if (column := unquoted(token).lower()) in by_lower
        ),
    )


def besides(connection: Connection, schema: str | None) -> list[Feature]:
    """What a schema holds beside tables."""
    found = (tuple(map(_text, row)) for row in rows(connection, BESIDES, {"schema": schema}))
    return list(in_order(*(Feature(cast(Kind, kind), (), {"name": name}) for kind, name in found)))


def _text(value: object) -> str:
    return "" if value is None else value.decode() if isinstance(value, bytes) else str(value)


def _default(kind: str, default: str, extra: str, server: Server) -> str:
    """A default as SQL: MariaDB tells it so, MySQL tells the text of a literal without its quotes."""
    if server.mariadb:
        return default
    if "DEFAULT_GENERATED" in extra.upper():
        return _expression(default, server)
    if _WRITTEN_OUT.match(default):
        return default
    return "'" + default.replace("\\", "\\\\").replace("'", "''") + "'"


def _expression(text: str, server: Server) -> str:
    """An expression as SQL: MySQL tells it as if it were the inside of a literal, with a backslash before each quote."""
    return text if server.mariadb else _ESCAPED.sub(r"\1", text)


def _of_column(name: str, extra: str, comment: str) -> Iterator[Feature]:
    """What a column does besides holding values."""
    if update := _ON_UPDATE.search(extra):
        yield Feature("on_update", (name,), {"sql": update[0].upper().replace("()", "")})
    if "INVISIBLE" in extra.upper():
        yield Feature("invisible", (name,))
    if comment:
        yield Feature("comment", (name,), {"sql": comment})


def _of_table(engine: str, kind: str, comment: str, options: str, collation: str) -> Iterator[Feature]:
    """What a table is besides its columns."""
    charset = collation.partition("_")[0]
    if charset not in ("", "utf8mb4"):
        yield Feature("charset", (), {"name": charset})
    if stored := _ROW_FORMAT.search(options):
        yield Feature("row_format", (), {"name": stored[1].upper()})
    if engine != "InnoDB":
        yield Feature("engine", (), {"name": engine})
    if kind == "SYSTEM VERSIONED":
        yield Feature("past")
    if comment:
        yield Feature("comment", (), {"sql": comment})


def _counter(connection: Connection, table: TableName, found: Described) -> Iterator[Feature]:
    """The next number, where the largest value does not tell it: a table that is made anew goes on behind that."""
    for column in (each.name for each in found.shape.columns if each.identity):
        counter = rows(connection, COUNTER, [table.schema, table.name, column])
        ((largest,),) = rows(connection, f"SELECT MAX({name_of(column)}) FROM {name_of(table)}")  # noqa: S608
        if counter and (counter[0][0] or 0) > max(largest or 0, 0) + 1:
            yield Feature("counter", (column,), {"number": int(counter[0][0])})


def _collations(found: Described) -> Iterator[Feature]:
    """Key columns in which different texts are one."""
    keyed = {name for key in found.shape.uniques for name in key}
    for name, each in found.travels.items():
        collation = each.declared.collation or ""
        padding = each.kind == "char" and collation.endswith("_bin")  # its blanks are padding in any case
        if name in keyed and each.shape.collation and not padding:
            what = (
                "blanks at the end count for nothing" if collation.endswith("_bin") else "upper and lower case are one"
            )
            yield Feature("collation", (name,), {"name": collation, "why": f"in keys {what}"})


def _odd_indexes(found: Sequence[Sequence[Any]]) -> Iterator[Feature]:
    """Indexes that a list of columns does not say: of other kinds, of beginnings, of expressions, descending."""
    grouped: dict[str, list[Sequence[Any]]] = {}
    for row in found:
        grouped.setdefault(str(row[0]), []).append(row)
    for name, parts in grouped.items():
        whole = all(column is not None and length is None for _, _, column, length, _, _ in parts)
        unique, kind = not parts[0][1], str(parts[0][5])
        plain = kind == "BTREE" and all(order == "A" for *_, order, _ in parts)
        if whole and (unique or plain):  # a key is one whatever holds it
            continue
        terms = [
            f"{column or 'an expression'}{f'({length})' if length else ''}{' DESC' if order == 'D' else ''}"
            for _, _, column, length, order, _ in parts
        ]
        made = f"{'UNIQUE ' if unique else ''}{'' if kind == 'BTREE' else kind + ' '}({', '.join(terms)})"
        yield Feature("unique_index" if unique else "index", (), {"name": name, "sql": made})


def _partitions(found: Sequence[Sequence[Any]]) -> Iterator[Feature]:
    if found:
        method, expression, _ = found[0]
        names = ", ".join(dict.fromkeys(str(name) for _, _, name in found))
        yield Feature("partitions", (), {"sql": f"{_text(method)} ({_text(expression)})", "parts": names})


def tried(connection: Connection, statements: Sequence[str]) -> str | None:
    """Why the server refuses the statements, None where it does not; in temporary tables, which know no foreign keys."""
    made: list[str] = []
    try:
        for statement in statements:
            create = _CREATE.match(statement)
            if "FOREIGN KEY" in statement or not (create or made):
                continue
            run(connection, statement.replace("CREATE TABLE", "CREATE TEMPORARY TABLE", 1) if create else statement)
            made += [create[1]] if create else []
    except (
        pymysql.ProgrammingError,
        pymysql.OperationalError,
        pymysql.NotSupportedError,
        pymysql.InternalError,
        pymysql.DataError,
        pymysql.IntegrityError,
    ) as error:
        if error.args[0] in (2006, 2013):
            raise
        return " ".join(str(error.args[1]).split())
    finally:
        if made:
            run(connection, f"DROP TEMPORARY TABLE IF EXISTS {', '.join(made)}")
    return None


def advance(connection: Connection, table: TableName, column: str) -> None:
    """Move the column's counter past its largest value. InnoDB does so for rows that are inserted, but not for updates."""
    found = rows(connection, COUNTER, [table.schema, table.name, column])
    if not found:
        return
    ((largest,),) = rows(connection, f"SELECT MAX({name_of(column)}) FROM {name_of(table)}")  # noqa: S608
    if largest is not None and (found[0][0] or 0) <= largest:
        run(connection, f"ALTER TABLE {name_of(table)} AUTO_INCREMENT = {largest + 1}")
