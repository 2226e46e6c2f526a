"""What a PostgreSQL table has beyond columns and keys, statements tried out, and sequences moved on."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final

import psycopg

from adapters.feeds.triggers import LOG_PREFIX
from adapters.postgres.writer import spelled_name
from adapters.sql.filling import assigned, name_of
from transforms.vocabulary import Design, TableName
from transforms.vocabulary.features import Feature, in_order

EXPRESSIONS: Final = """
SELECT a.attname::text, a.attgenerated <> '', pg_catalog.pg_get_expr(f.adbin, f.adrelid)
FROM pg_catalog.pg_attrdef f
JOIN pg_catalog.pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
WHERE f.adrelid = %s AND a.attidentity = '' AND pg_catalog.pg_get_expr(f.adbin, f.adrelid) NOT LIKE 'nextval(%%'
ORDER BY a.attnum"""

CHECKS: Final = """
SELECT pg_catalog.pg_get_expr(conbin, conrelid) FROM pg_catalog.pg_constraint
WHERE conrelid = %s AND contype = 'c' ORDER BY conname"""

INDEXES: Final = """
SELECT c.relname::text, pg_catalog.pg_get_indexdef(i.indexrelid), i.indisunique,
       m.amname = 'btree' AND i.indpred IS NULL AND i.indexprs IS NULL AND i.indisvalid AND i.indnatts = i.indnkeyatts
           AND pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct' IS DISTINCT FROM 'true'
           AND NOT EXISTS (SELECT FROM unnest(i.indoption::int[]) o (flags) WHERE flags <> 0),
       (SELECT array_agg(a.attname::text ORDER BY k.place)
        FROM unnest(i.indkey::int[]) WITH ORDINALITY k (attnum, place)
        JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum)
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_am m ON m.oid = c.relam
WHERE i.indrelid = %s AND NOT i.indisprimary AND NOT i.indisexclusion
ORDER BY c.relname"""

FEATURES: Final = """
SELECT 'exclusion', NULL::text, conname::text, pg_catalog.pg_get_constraintdef(oid)
FROM pg_catalog.pg_constraint WHERE conrelid = %(table)s AND contype = 'x'
UNION ALL
SELECT CASE confmatchtype WHEN 's' THEN 'foreign_key_timing' ELSE 'foreign_key_match' END, NULL, conname,
    pg_catalog.pg_get_constraintdef(oid)
FROM pg_catalog.pg_constraint WHERE conrelid = %(table)s AND contype = 'f'
    AND (confmatchtype <> 's' OR condeferrable OR NOT convalidated)
UNION ALL
SELECT 'domain', a.attname, pg_catalog.format_type(t.oid, NULL), string_agg(pg_catalog.pg_get_constraintdef(d.oid), ' ')
FROM pg_catalog.pg_attribute a
JOIN pg_catalog.pg_type t ON t.oid = a.atttypid AND t.typtype = 'd'
JOIN pg_catalog.pg_constraint d ON d.contypid = t.oid
WHERE a.attrelid = %(table)s AND a.attnum > 0 AND NOT a.attisdropped
GROUP BY a.attname, t.oid
UNION ALL
SELECT 'comment', a.attname, NULL, d.description
FROM pg_catalog.pg_description d
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = d.objoid AND a.attnum = d.objsubid AND d.objsubid > 0
WHERE d.objoid = %(table)s AND d.classoid = 'pg_catalog.pg_class'::regclass
UNION ALL
SELECT 'trigger', NULL, tgname, NULL FROM pg_catalog.pg_trigger
WHERE tgrelid = %(table)s AND NOT tgisinternal AND NOT pg_catalog.starts_with(tgname::text, {own})
UNION ALL
SELECT 'policy', NULL, polname, NULL FROM pg_catalog.pg_policy WHERE polrelid = %(table)s
UNION ALL
SELECT 'rule', NULL, rulename, NULL FROM pg_catalog.pg_rewrite WHERE ev_class = %(table)s AND rulename <> '_RETURN'
UNION ALL
SELECT 'partitions', NULL, NULL, pg_catalog.pg_get_partkeydef(%(table)s)
FROM pg_catalog.pg_partitioned_table WHERE partrelid = %(table)s
UNION ALL
SELECT 'inherited', NULL, inhrelid::regclass::text, NULL FROM pg_catalog.pg_inherits
WHERE inhparent = %(table)s AND NOT EXISTS (SELECT FROM pg_catalog.pg_partitioned_table WHERE partrelid = %(table)s)
UNION ALL
SELECT 'inherits', NULL, inhparent::regclass::text, NULL FROM pg_catalog.pg_inherits WHERE inhrelid = %(table)s""".replace(
    "{own}", f"'{LOG_PREFIX}'"
)

HOOKS: Final = """
SELECT 'trigger', tgname::text FROM pg_catalog.pg_trigger
WHERE tgrelid = %(table)s AND NOT tgisinternal AND tgenabled <> 'D' AND NOT pg_catalog.starts_with(tgname::text, {own})
UNION ALL
SELECT 'rule', rulename FROM pg_catalog.pg_rewrite
WHERE ev_class = %(table)s AND rulename <> '_RETURN' AND ev_enabled <> 'D'
UNION ALL
SELECT 'exclusion', conname FROM pg_catalog.pg_constraint WHERE conrelid = %(table)s AND contype = 'x'
UNION ALL
SELECT 'policy', p.polname FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
WHERE p.polrelid = %(table)s AND c.relrowsecurity""".replace("{own}", f"'{LOG_PREFIX}'")
"""What may refuse, swallow or change rows. Triggers that write keys down for those who follow do none of that."""

BEFORE_INSERT: Final = """
SELECT t.tgname::text, p.prosrc FROM pg_catalog.pg_trigger t
JOIN pg_catalog.pg_proc p ON p.oid = t.tgfoid
JOIN pg_catalog.pg_language l ON l.oid = p.prolang AND l.lanname = 'plpgsql'
WHERE t.tgrelid = %s AND NOT t.tgisinternal AND t.tgenabled IN ('O', 'A') AND t.tgtype & 7 = 7 ORDER BY t.tgname"""
"""Those that are run for each row: bits 1, 2 and 4 of `tgtype` are ROW, BEFORE and INSERT."""

SEQUENCE: Final = """
SELECT coalesce(
    pg_catalog.pg_get_serial_sequence(%(table)s, %(column)s)::regclass,
    (SELECT s.oid::regclass
     FROM pg_catalog.pg_attrdef f
     JOIN pg_catalog.pg_attribute a ON a.attrelid = f.adrelid AND a.attnum = f.adnum
     JOIN pg_catalog.pg_depend d ON d.classid = 'pg_attrdef'::regclass AND d.objid = f.oid
     JOIN pg_catalog.pg_class s ON d.refclassid = 'pg_class'::regclass AND s.oid = d.refobjid AND s.relkind = 'S'
     WHERE f.adrelid = %(table)s::regclass AND a.attname = %(column)s LIMIT 1))::text"""


BESIDES: Final = """
WITH here AS (SELECT oid FROM pg_catalog.pg_namespace WHERE nspname = coalesce(%(schema)s, pg_catalog.current_schema()))
SELECT CASE c.relkind WHEN 'v' THEN 'view' WHEN 'm' THEN 'materialized_view' WHEN 'f' THEN 'foreign_table' ELSE 'sequence' END,
    c.relname::text
FROM pg_catalog.pg_class c
WHERE c.relnamespace = (SELECT oid FROM here) AND c.relkind IN ('v', 'm', 'f', 'S')
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                    WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid AND d.deptype IN ('a', 'i', 'e'))
UNION ALL
SELECT CASE p.prokind WHEN 'p' THEN 'procedure' WHEN 'a' THEN 'aggregate' ELSE 'function' END, p.oid::regprocedure::text
FROM pg_catalog.pg_proc p
WHERE p.pronamespace = (SELECT oid FROM here) AND NOT pg_catalog.starts_with(p.proname::text, {own})
    AND NOT EXISTS (SELECT FROM pg_catalog.pg_depend d
                    WHERE d.classid = 'pg_proc'::regclass AND d.objid = p.oid AND d.deptype = 'e')""".replace(
    "{own}", f"'{LOG_PREFIX}'"
)


def design(connection: psycopg.Connection[Any], oid: int | None) -> Design:
    """Out of the catalogs, with every name and cast as PostgreSQL writes them."""
    expressions = connection.execute(EXPRESSIONS, [oid]).fetchall()
    indexes = connection.execute(INDEXES, [oid]).fetchall()
    before = connection.execute(BEFORE_INSERT, [oid]).fetchall()
    plain = [tuple(columns) for _, _, unique, usual, columns in indexes if usual and not unique]
    return Design(
        defaults=tuple((name, text) for name, computed, text in expressions if not computed),
        generated=tuple((name, text) for name, computed, text in expressions if computed),
        checks=tuple(text for (text,) in connection.execute(CHECKS, [oid])),
        indexes=tuple(dict.fromkeys(plain)),
        features=in_order(
            *(
                Feature("unique_index" if unique else "index", (), {"name": name, "sql": made})
                for name, made, unique, usual, _ in indexes
                if not usual
            ),
            *(
                Feature(
                    kind,
                    (column,) if column else (),
                    {what: text for what, text in (("name", name), ("sql", sql)) if text is not None},
                )
                for kind, column, name, sql in connection.execute(FEATURES, {"table": oid})
            ),
        ),
        filled=tuple((_folded(token), name) for name, body in before for token in assigned(body)),
        hooks=in_order(
            *(Feature(kind, (), {"name": name}) for kind, name in connection.execute(HOOKS, {"table": oid})),
            *(
                Feature("unique_index", (), {"name": name})
                for name, _, unique, usual, _ in indexes
                if unique and not usual
            ),
        ),
    )


def _folded(token: str) -> str:
    """A name as PostgreSQL reads it: without quotes in small letters."""
    return name_of(token) if token.startswith('"') else token.lower()


def besides(connection: psycopg.Connection[Any], schema: str | None) -> list[Feature]:
    """What a schema holds beside tables."""
    found = connection.execute(BESIDES, {"schema": schema})
    return list(in_order(*(Feature(kind, (), {"name": name}) for kind, name in found)))


def tried(connection: psycopg.Connection[Any], statements: Sequence[str]) -> str | None:
    """Why PostgreSQL refuses the statements, None where it does not. They are rolled back in either case."""
    try:
        with connection.transaction(force_rollback=True):
            for statement in statements:
                connection.execute(statement)
    except psycopg.Error as error:
        if error.sqlstate is None:  # the connection itself is gone
            raise
        return " ".join((error.diag.message_primary or str(error)).split())
    return None


def advance(connection: psycopg.Connection[Any], table: TableName, column: str) -> None:
    """Move the column's sequence past its largest value; nothing where there is no sequence, or it is past it.

    Tables that inherit from this one number their rows by the same sequence, so that theirs count too.
    """
    row = connection.execute(SEQUENCE, {"table": spelled_name(table), "column": column}).fetchone()
    if row is None or row[0] is None:
        return
    connection.execute(
        f"SELECT setval(%s::regclass, largest, true) FROM {row[0]}, "  # noqa: S608
        f"(SELECT max({spelled_name(column)}) FROM {spelled_name(table)}) t (largest) "
        "WHERE largest >= last_value + is_called::int",
        [row[0]],
    )
