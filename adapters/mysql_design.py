"""What a MariaDB or MySQL table has beyond columns and keys, and counters moved on."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Final

import pymysql

from adapters.mysql_connect import Connection, Server, rows, run
from adapters.mysql_load import name_of
from adapters.mysql_shapes import TABLE, described
from transforms.vocabulary import Design, TableName

COUNTER: Final = """
SELECT t.AUTO_INCREMENT FROM information_schema.TABLES t
JOIN information_schema.COLUMNS c ON c.TABLE_SCHEMA = t.TABLE_SCHEMA AND c.TABLE_NAME = t.TABLE_NAME
WHERE t.TABLE_SCHEMA = coalesce(%s, DATABASE()) AND t.TABLE_NAME = %s AND c.COLUMN_NAME = %s AND c.EXTRA LIKE '%%auto_increment%%'"""


EXPRESSIONS: Final = """
SELECT COLUMN_NAME, DATA_TYPE, COLUMN_DEFAULT, EXTRA, GENERATION_EXPRESSION FROM information_schema.COLUMNS
WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s ORDER BY ORDINAL_POSITION"""

CHECKS: Final = """
SELECT CHECK_CLAUSE FROM information_schema.CHECK_CONSTRAINTS WHERE CONSTRAINT_SCHEMA = %s AND {table} ORDER BY CONSTRAINT_NAME"""
OF_TABLE: Final = "TABLE_NAME = %s"
OF_CONSTRAINTS: Final = """CONSTRAINT_NAME IN (
    SELECT t.CONSTRAINT_NAME FROM information_schema.TABLE_CONSTRAINTS t
    WHERE t.CONSTRAINT_SCHEMA = CHECK_CONSTRAINTS.CONSTRAINT_SCHEMA AND t.TABLE_NAME = %s AND t.CONSTRAINT_TYPE = 'CHECK')"""

UNTOLD: Final = """
SELECT CONCAT('trigger ', TRIGGER_NAME) FROM information_schema.TRIGGERS
WHERE EVENT_OBJECT_SCHEMA = %(schema)s AND EVENT_OBJECT_TABLE = %(name)s
UNION ALL
SELECT CONCAT('partition ', PARTITION_NAME) FROM information_schema.PARTITIONS
WHERE TABLE_SCHEMA = %(schema)s AND TABLE_NAME = %(name)s AND PARTITION_NAME IS NOT NULL
UNION ALL
SELECT CONCAT('storage engine ', ENGINE) FROM information_schema.TABLES
WHERE TABLE_SCHEMA = %(schema)s AND TABLE_NAME = %(name)s AND ENGINE <> 'InnoDB'
UNION ALL
SELECT CONCAT('foreign key ', CONSTRAINT_NAME, ': ON UPDATE ', UPDATE_RULE, ' ON DELETE ', DELETE_RULE)
FROM information_schema.REFERENTIAL_CONSTRAINTS
WHERE CONSTRAINT_SCHEMA = %(schema)s AND TABLE_NAME = %(name)s
  AND (UPDATE_RULE NOT IN ('NO ACTION', 'RESTRICT') OR DELETE_RULE NOT IN ('NO ACTION', 'RESTRICT'))
UNION ALL
SELECT CONCAT('index ', INDEX_NAME, ' (', INDEX_TYPE, ')',
              IF(MAX(SUB_PART) IS NULL, '', ': of the first characters'), IF(MAX(COLLATION = 'D'), ': descending', ''))
FROM information_schema.STATISTICS
WHERE TABLE_SCHEMA = %(schema)s AND TABLE_NAME = %(name)s
GROUP BY INDEX_NAME, INDEX_TYPE
HAVING INDEX_TYPE NOT IN ('BTREE', 'HASH') OR MAX(SUB_PART) IS NOT NULL OR MAX(COLLATION = 'D') OR MAX(COLUMN_NAME IS NULL)"""

_WRITTEN_OUT: Final = re.compile(r"^(?:current_timestamp|now|null\b|b'|x'|0x|[-+]?[\d.])", re.IGNORECASE)
_CREATE: Final = re.compile(r"\ACREATE TABLE ((?:`(?:[^`]|``)+`\.)?`(?:[^`]|``)+`)")


def design(connection: Connection, server: Server, table: TableName) -> Design:
    """Out of information_schema. The checks that make a text JSON are part of its type."""
    place = next((row for row in rows(connection, TABLE, [table.schema, table.name]) if row[1] == table.name), None)
    found = described(connection, server, table)
    if place is None or found is None:
        return Design()
    where = [place[0], place[1]]
    facts = [tuple(map(_text, row)) for row in rows(connection, EXPRESSIONS, where)]
    clauses = rows(connection, CHECKS.format(table=OF_TABLE if server.mariadb else OF_CONSTRAINTS), where)
    json = {f"json_valid({name_of(name)})" for name, each in found.travels.items() if each.kind == "json"}
    own = {key.columns for key in found.shape.foreign_keys}
    untold = rows(connection, UNTOLD, {"schema": where[0], "name": where[1]})
    computed = {name for name, *_, made in facts if made}
    updated = [f"column {name}: {extra}" for name, _, _, extra, _ in facts if "on update" in extra.lower()]
    return Design(
        defaults=tuple(
            (name, _default(kind, default, extra, server))
            for name, kind, default, extra, _ in facts
            if name not in computed and default and default.upper() != "NULL"
        ),
        generated=tuple((name, made) for name, *_, made in facts if made),
        checks=tuple(text for text in (_text(clause) for (clause,) in clauses) if text not in json),
        indexes=tuple(
            dict.fromkeys(
                each.columns
                for each in found.indexes
                if each.plain and not each.unique and each.name != "PRIMARY" and each.columns not in own
            )
        ),
        untold=(*updated, *(_text(line) for (line,) in untold)),
    )


def _text(value: object) -> str:
    return "" if value is None else value.decode() if isinstance(value, bytes) else str(value)


def _default(kind: str, default: str, extra: str, server: Server) -> str:
    """A default as SQL: MariaDB tells it so, MySQL tells the text of a literal without its quotes."""
    if server.mariadb or "DEFAULT_GENERATED" in extra.upper() or _WRITTEN_OUT.match(default):
        return default
    return "'" + default.replace("\\", "\\\\").replace("'", "''") + "'"


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
