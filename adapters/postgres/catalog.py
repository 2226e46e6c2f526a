"""What PostgreSQL's catalogs say of tables and queries: their columns, their indexes, and how both travel."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import psycopg
import sqlalchemy as sa
from psycopg import errors

from adapters.postgres.snapshot import spelled
from adapters.postgres.types import COLUMNS, QUERY_ROWS, TABLE_ROWS, Travel, bounded_numeric, travel
from adapters.postgres.writer import spelled_name
from adapters.sql.statements import column, source
from transforms.vocabulary import ForeignKey, Key, Relation, SpecError, TableName, TableShape

TABLES: Final = """
SELECT c.relname::text FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE n.nspname = coalesce(%s, pg_catalog.current_schema()) AND c.relkind IN ('r', 'p')
  AND (NOT c.relispartition OR n.oid <> (
      SELECT root.relnamespace FROM pg_catalog.pg_class root WHERE root.oid = pg_catalog.pg_partition_root(c.oid)))"""

FOUND: Final = """
SELECT oid::bigint, relkind IN ('r', 'f'), pg_catalog.row_security_active(oid),
    ARRAY(SELECT attname::text FROM pg_catalog.pg_attribute
          WHERE attrelid = c.oid AND attnum > 0 AND NOT attisdropped
            AND NOT pg_catalog.has_column_privilege(c.oid, attnum, 'SELECT')),
    relkind = 'm'
FROM pg_catalog.pg_class c WHERE oid = to_regclass(%s) AND relkind IN ('r', 'p', 'v', 'm', 'f')"""

DENIED: Final = "the user may not read it. Fix: GRANT SELECT on the column, or leave it out"

UNWRITABLE: Final = (
    "is a materialized view, of which PostgreSQL takes no rows: it can be compared, and not be written. "
    "Fix: name the table that it is made of."
)

POLICIES: Final = """
SELECT polname::text FROM pg_catalog.pg_policy
WHERE polrelid = %s AND (polroles = '{0}' OR EXISTS (
    SELECT FROM unnest(polroles) r (oid) WHERE pg_catalog.pg_has_role(current_user, r.oid, 'USAGE')))
ORDER BY polname"""

INDEXES: Final = """
SELECT array_agg(a.attname::text ORDER BY k.place)
FROM pg_catalog.pg_index i
JOIN pg_catalog.pg_class c ON c.oid = i.indexrelid
JOIN pg_catalog.pg_am m ON m.oid = c.relam AND m.amname = 'btree'
CROSS JOIN LATERAL unnest(i.indkey::int[], i.indoption::int[], i.indcollation::oid[])
    WITH ORDINALITY k (attnum, option, coll, place)
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.attnum
WHERE i.indrelid = %s AND i.indisunique AND i.indisvalid AND i.indpred IS NULL AND k.place <= i.indnkeyatts
GROUP BY i.indexrelid
HAVING bool_and(k.attnum > 0 AND k.option = 0 AND k.coll IS NOT DISTINCT FROM a.attcollation)"""

UNIQUES: Final = """
SELECT indisprimary, ARRAY(
    SELECT attname::text FROM unnest(indkey::int[]) WITH ORDINALITY k (number, place)
    JOIN pg_catalog.pg_attribute ON attrelid = indrelid AND attnum = k.number
    WHERE k.place <= indnkeyatts ORDER BY k.place),
    coalesce(pg_catalog.to_jsonb(i) ->> 'indnullsnotdistinct' = 'true', false)
FROM pg_catalog.pg_index i
WHERE indrelid = %s AND indisunique AND indisvalid AND indpred IS NULL AND indexprs IS NULL"""
"""What is unique of all rows by plain columns: constraints and indexes, except those whose building failed."""

FOREIGN_KEYS: Final = """
SELECT
    ARRAY(SELECT attname::text FROM unnest(conkey) WITH ORDINALITY k (number, place)
          JOIN pg_catalog.pg_attribute ON attrelid = conrelid AND attnum = k.number ORDER BY k.place),
    n.nspname::text, pg_catalog.pg_table_is_visible(confrelid), r.relname::text,
    ARRAY(SELECT attname::text FROM unnest(confkey) WITH ORDINALITY k (number, place)
          JOIN pg_catalog.pg_attribute ON attrelid = confrelid AND attnum = k.number ORDER BY k.place),
    confdeltype::text, confupdtype::text,
    ARRAY(SELECT quote_ident(attname) FROM jsonb_array_elements_text(
              nullif(to_jsonb(c) -> 'confdelsetcols', 'null')) WITH ORDINALITY k (number, place)
          JOIN pg_catalog.pg_attribute ON attrelid = conrelid AND attnum = k.number::int ORDER BY k.place),
    condeferrable, confmatchtype = 'f', conname::text
FROM pg_catalog.pg_constraint c
JOIN pg_catalog.pg_class r ON r.oid = confrelid
JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
WHERE conrelid = %s AND contype = 'f' AND NOT EXISTS (
    SELECT FROM pg_catalog.pg_constraint whole WHERE whole.oid = c.conparentid AND whole.conrelid = c.conrelid)
ORDER BY conname"""
"""Foreign keys; to a partitioned table it is one, and not one more to each partition."""

REFERRERS: Final = """
SELECT DISTINCT n.nspname::text, pg_catalog.pg_table_is_visible(r.oid), r.relname::text
FROM pg_catalog.pg_constraint c
JOIN pg_catalog.pg_class r ON r.oid = conrelid
JOIN pg_catalog.pg_namespace n ON n.oid = r.relnamespace
WHERE confrelid = to_regclass(%s) AND contype = 'f' AND NOT r.relispartition"""

ACTIONS: Final = {"a": "", "r": "RESTRICT", "c": "CASCADE", "n": "SET NULL", "d": "SET DEFAULT"}


@dataclass(frozen=True, slots=True)
class Identified:
    """A relation as the catalog knows it: its number, None for a query.

    `own_rows`: other tables may inherit from it. A partitioned table is one with its partitions, and read and written
    whole. `secured`: policies of row-level security hold for this user. `denied` are columns that it may not read.
    """

    oid: int | None = None
    own_rows: bool = False
    secured: bool = False
    denied: Sequence[str] = ()
    materialized: bool = False

    @property
    def unwritable(self) -> str | None:
        """Why no row can be written, whatever it is."""
        return UNWRITABLE if self.materialized else None


def identified(connection: psycopg.Connection[Any], table: TableName) -> Identified | None:
    """The table or view of that name, None where there is none."""
    row = connection.execute(FOUND, [spelled_name(table)]).fetchone()
    return Identified(*row) if row else None


def hidden_by(connection: psycopg.Connection[Any], there: sa.FromClause, known: Identified) -> str | None:
    """What of row-level security hides rows of `there` from this user, or may; None where nothing does.

    Of views and queries only PostgreSQL itself knows: it refuses to run them where it may not leave rows out.
    """
    if known.secured:
        found = [name for (name,) in connection.execute(POLICIES, [known.oid])]
        return f"policies {', '.join(found)}" if found else "no policy shows it any"
    if known.own_rows:
        return None
    asked = spelled(sa.select(sa.literal_column("1")).select_from(there).limit(0))
    try:
        _run(connection, "off", asked)
    except errors.InsufficientPrivilege as error:
        _run(connection, "on", asked)  # raises where it is a right that is missing
        return error.diag.message_primary
    return None


def _run(connection: psycopg.Connection[Any], row_security: str, statement: str) -> None:
    with connection.transaction(force_rollback=True):
        connection.execute(f"SET LOCAL row_security = {row_security}")
        connection.execute(statement)


def table_rows(connection: psycopg.Connection[Any], oid: int | None) -> list[tuple[Any, ...]]:
    return connection.execute(COLUMNS.format(rows=TABLE_ROWS), [oid]).fetchall()


def query_rows(connection: psycopg.Connection[Any], relation: Relation) -> list[tuple[Any, ...]]:
    cursor = connection.execute(spelled(sa.select(sa.text("*")).select_from(source(relation)).limit(0)))
    columns = cursor.description or []
    names = [each.name for each in columns]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SpecError(f"A query answers with two columns named {twice!r}.", fix="name them apart with AS.")
    modifiers = [each._fmod for each in columns]
    return connection.execute(
        COLUMNS.format(rows=QUERY_ROWS), [names, [each.type_code for each in columns], modifiers]
    ).fetchall()


def travels_of(
    connection: psycopg.Connection[Any], there: sa.FromClause, rows: Sequence[Sequence[Any]], denied: Sequence[str] = ()
) -> dict[str, Travel]:
    """How the columns travel. A numeric(p,s) is asked whether it holds NaN, all of them in one pass over the rows.

    In: `denied` are columns that the user may not read, so that they do not travel.
    """
    asked = [row[0] for row in rows if bounded_numeric(row) and row[0] not in denied]
    holding: Sequence[Any] = ()
    if asked:
        nans = [sa.func.bool_or(column(name) == sa.literal_column("'NaN'")) for name in asked]
        holding = connection.execute(spelled(sa.select(*nans).select_from(there))).fetchone() or ()
    with_nan = {name for name, found in zip(asked, holding, strict=True) if found}
    encoding = connection.info.parameter_status("server_encoding") or "UTF8"
    made = {row[0]: travel(row, nan=row[0] in with_nan, encoding=encoding) for row in rows}
    for name in denied:
        made[name] = replace(made[name], shape=replace(made[name].shape, refused=DENIED))
    return made


def as_shaped(rows: Sequence[Sequence[Any]], shape: TableShape) -> Mapping[str, Travel]:
    """How the columns travel in a shape made earlier: a numeric(p,s) in which it saw NaN travels as text."""
    texts = {each.name for each in shape.columns if each.meaning == "decimal"}
    return {row[0]: travel(row, nan=row[0] in texts) for row in rows}


def with_keys(
    connection: psycopg.Connection[Any], shape: TableShape, oid: int | None, schema: str | None
) -> TableShape:
    """A table with its primary key, what is unique, and its foreign keys. Others' schemas are named as `schema` is, or where they
    must be."""
    found = connection.execute(UNIQUES, [oid]).fetchall()
    foreign = []
    for own, other_schema, visible, name, there, gone, changed, lost, late, full, called in connection.execute(
        FOREIGN_KEYS, [oid]
    ):
        refers = TableName(name, other_schema if not visible or other_schema == schema else None)
        on_delete = f"{ACTIONS[gone]} ({', '.join(lost)})" if lost else ACTIONS[gone]
        on_update = ACTIONS[changed]
        foreign.append(
            ForeignKey(
                tuple(own),
                refers,
                tuple(there),
                deferrable=late,
                on_delete=on_delete,
                on_update=on_update,
                full=full,
                name=called,
            )
        )
    return replace(
        shape,
        primary_key=next((tuple(names) for is_primary, names, _ in found if is_primary), ()),
        uniques=frozenset(frozenset(names) for _, names, _ in found),
        nulls_alike=frozenset(frozenset(names) for _, names, alike in found if alike),
        foreign_keys=tuple(foreign),
    )


def referrers(connection: psycopg.Connection[Any], table: TableName) -> list[TableName]:
    """See `Catalog.referrers`. A partition refers as its table does."""
    found = connection.execute(REFERRERS, [spelled_name(table)]).fetchall()
    return sorted(
        TableName(name, schema if not visible or schema == table.schema else None) for schema, visible, name in found
    )


def prefixes(indexes: Sequence[Key], travels: Mapping[str, Travel]) -> Iterator[Key]:
    """The leading columns of indexes as far as they sort as Arrow does."""
    for names in indexes:
        for length in range(1, len(names) + 1):
            if not travels[names[length - 1]].sortable:
                break
            yield names[:length]
