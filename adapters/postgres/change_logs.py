# ruff: noqa: S608 - SQL is made of quoted identifiers, numbers and names that are made here
"""The logs that triggers of PostgreSQL write to: how they are made, and what the catalog says of them.

A trigger for each statement, with all rows that it changed, costs the writer the least. It sees nothing of what is written past the
table that it is on: into a partition of it, by one of which it is a part, or by a subscription. There each row has a trigger.

A log has no sequence of its own: `lastval()` of the application's session would answer with its numbers.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
import pyarrow as pa

from adapters.feeds.feed import Watched
from adapters.feeds.triggers import Seen, logged_names, mark_of
from adapters.postgres.writer import spelled_name
from transforms.vocabulary import ColumnShape, SpecError, TableName

PLACED: Final = """
SELECT x.spelled, c.oid::bigint, n.nspname::text, c.relname::text, c.relkind::text,
    c.relkind = 'p' OR EXISTS (SELECT FROM pg_catalog.pg_inherits i WHERE i.inhrelid = c.oid)
        OR EXISTS (SELECT FROM pg_catalog.pg_subscription_rel s WHERE s.srrelid = c.oid),
    (SELECT l.oid FROM pg_catalog.pg_class l WHERE l.relnamespace = c.relnamespace AND l.relname = x.log)::bigint
FROM unnest(%(tables)s::text[], %(logs)s::text[]) x (spelled, log)
JOIN pg_catalog.pg_class c ON c.oid = to_regclass(x.spelled) JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace"""

SEEN: Final = """
SELECT x.oid,
    pg_catalog.obj_description(x.log::oid, 'pg_class'),
    (SELECT pg_catalog.array_agg(t.tgname::text || t.tgenabled::text ORDER BY t.tgname)
     FROM pg_catalog.pg_trigger t WHERE t.tgrelid = x.oid AND pg_catalog.starts_with(t.tgname::text, x.name)),
    pg_catalog.concat_ws(' ', x.log, pg_catalog.pg_relation_filenode(x.log::oid::regclass),
        pg_catalog.left(pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_insert_lsn()), 8),
        (SELECT pg_catalog.string_agg(t.oid || ':' || t.xmin, ' ' ORDER BY t.oid) FROM pg_catalog.pg_trigger t
         WHERE t.tgrelid IN (SELECT y.relid FROM {tree} y) AND pg_catalog.starts_with(t.tgname::text, x.name)
           AND t.tgparentid = 0),
        (SELECT p.oid || ':' || p.xmin FROM pg_catalog.pg_proc p
         WHERE p.proname = x.name AND p.pronamespace = (SELECT relnamespace FROM pg_catalog.pg_class WHERE oid = x.oid))),
    pg_catalog.concat_ws(' ',
        (SELECT pg_catalog.md5(pg_catalog.string_agg(pg_catalog.concat_ws(' ', a.attnum, a.attname, a.atttypid, a.atttypmod,
             a.attnotnull, a.attcollation), ',' ORDER BY a.attnum))
         FROM pg_catalog.pg_attribute a WHERE a.attrelid = x.oid AND a.attnum > 0 AND NOT a.attisdropped),
        (SELECT pg_catalog.md5(pg_catalog.string_agg(t.relid::bigint::text, ' ' ORDER BY t.relid)) FROM {tree} t)),
    (SELECT pg_catalog.md5(pg_catalog.string_agg(pg_catalog.pg_relation_filenode(t.relid)::text, ' ' ORDER BY t.relid))
     FROM {tree} t),
    NOT EXISTS (SELECT FROM {tree} t WHERE t.relid <> x.oid::oid AND NOT EXISTS (
        SELECT FROM pg_catalog.pg_trigger own WHERE own.tgrelid = t.relid AND own.tgenabled = 'A'
          AND pg_catalog.starts_with(own.tgname::text, x.name)))
FROM unnest(%(oids)s::bigint[], %(logs)s::bigint[], %(names)s::text[]) x (oid, log, name)
""".replace(
    "{tree}", "(SELECT relid FROM pg_catalog.pg_partition_tree(x.oid::oid::regclass) UNION SELECT x.oid::oid::regclass)"
)
"""Of a table, its log and triggers: how they were made, those there are and whether they work, and what tells them from others,
such as the file of the log, and the timeline, which is another one after a failover and a restore;
the table's columns and partitions; the files of all of it; and whether all partitions have their own."""

FOUND: Final = """
SELECT 'DROP TRIGGER ' || pg_catalog.quote_ident(t.tgname) || ' ON ' || pg_catalog.quote_ident(n.nspname) || '.'
    || pg_catalog.quote_ident(c.relname), 1
FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE t.tgparentid = 0 AND pg_catalog.starts_with(t.tgname::text, %(prefix)s)
UNION ALL
SELECT 'DROP FUNCTION ' || pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(p.proname) || '()', 2
FROM pg_catalog.pg_proc p JOIN pg_catalog.pg_namespace n ON n.oid = p.pronamespace
WHERE pg_catalog.starts_with(p.proname::text, %(prefix)s)
UNION ALL
SELECT 'DROP TABLE ' || pg_catalog.quote_ident(n.nspname) || '.' || pg_catalog.quote_ident(c.relname), 3
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind = 'r' AND pg_catalog.starts_with(c.relname::text, %(prefix)s)
ORDER BY 2, 1"""

# Where two values that = takes for one are one text, too: elsewhere values are compared as texts.
_EXACT: Final = (
    "smallint",
    "integer",
    "bigint",
    "uuid",
    "boolean",
    "date",
    "text",
    "bytea",
    "character varying",
    "timestamp",
)
_WIDER: Final = {"smallint": "bigint", "integer": "bigint"}


@dataclass(frozen=True, slots=True)
class Place:
    """A table, where its log is. `by_row`: a trigger of statements would not see all. `logged`: the number of its log."""

    oid: int
    schema: str
    name: str
    kind: str
    by_row: bool
    logged: int | None
    log: str


def placed(connection: psycopg.Connection[Any], logs: Mapping[TableName, str]) -> dict[TableName, Place | None]:
    """Where some tables are, by what their logs are called; None where there is no such table."""
    asked = {spelled_name(table): log for table, log in logs.items()}
    rows = connection.execute(PLACED, {"tables": list(asked), "logs": list(asked.values())})
    found = {
        spelled: Place(oid, schema, name, kind, by_row, logged, asked[spelled])
        for spelled, oid, schema, name, kind, by_row, logged in rows
    }
    return {table: found.get(spelled_name(table)) for table in logs}


def must_be_a_table(place: Place | None, table: TableName, url: str) -> Place:
    """SpecError for what has no triggers of its own."""
    if place is None or place.kind not in ("r", "p"):
        what = "is not there" if place is None else "is no table, but a view or a foreign table"
        raise SpecError(f"{url}: {table} {what}.", fix="follow the tables that it is made of.")
    return place


def seen_of(
    connection: psycopg.Connection[Any], watched: Sequence[Watched], places: Mapping[TableName, Place | None]
) -> dict[TableName, Seen]:
    """See Seen. A partition that was attached, or the file of one that was emptied, is seen here alone."""
    there = [
        each for each in places.values() if each is not None and each.logged is not None and each.kind in ("r", "p")
    ]
    asked = {"oids": [p.oid for p in there], "logs": [p.logged for p in there], "names": [p.log for p in there]}
    found = {oid: rest for oid, *rest in connection.execute(SEEN, asked)}
    return {each.table: _seen(each, places[each.table], found) for each in watched}


def _seen(watched: Watched, place: Place | None, found: Mapping[int, Sequence[Any]]) -> Seen:
    if place is None or place.oid not in found:
        return Seen(False, "", "")
    made, triggers, identity, definition, storage, everywhere = found[place.oid]
    wanted = sorted(f"{name}A" for name in _triggers(place))
    fit = made == mark_of(_made(watched, place)) and triggers == wanted and (everywhere or not place.by_row)
    return Seen(fit, identity, definition, storage)


def made_by(connection: psycopg.Connection[Any], prefix: str) -> list[str]:
    """The statements that drop whatever has a name that begins so."""
    return [str(statement) for statement, _ in connection.execute(FOUND, {"prefix": prefix})]


def statements(watched: Watched, place: Place) -> list[str]:
    """What makes a log and its triggers."""
    made = _made(watched, place)
    log = spelled_name(TableName(place.log, place.schema))
    return [*made, f"COMMENT ON TABLE {log} IS '{mark_of(made)}'"]


def _triggers(place: Place) -> dict[str, str]:
    """What each trigger is for, by its name."""
    if place.by_row:
        return {f"{place.log}_r": "INSERT OR UPDATE OR DELETE"}
    return {f"{place.log}_{letter}": event for letter, event in zip("iud", ("INSERT", "UPDATE", "DELETE"), strict=True)}


_ROWS: Final = {
    "INSERT": "REFERENCING NEW TABLE AS syncline_new",
    "UPDATE": "REFERENCING OLD TABLE AS syncline_old NEW TABLE AS syncline_new",
    "DELETE": "REFERENCING OLD TABLE AS syncline_old",
}


def _made(watched: Watched, place: Place) -> list[str]:
    table, log = (spelled_name(TableName(each, place.schema)) for each in (place.name, place.log))
    shapes = [column for each in watched.columns if (column := watched.shape.column(each))]
    columns = ", ".join(f"{name} {_kept(each)}" for name, each in zip(logged_names(watched), shapes, strict=True))
    body = _by_row(watched, log) if place.by_row else _by_statement(watched, log, shapes)
    made = [
        f"CREATE TABLE {log} (xid bigint NOT NULL DEFAULT pg_current_xact_id()::text::bigint, "
        f"at timestamptz NOT NULL DEFAULT clock_timestamp(), {columns})",
        f"CREATE INDEX ON {log} (xid, at)",
        f"ALTER TABLE {log} REPLICA IDENTITY FULL",  # or a publication of all tables would let nobody delete from it
        f"CREATE FUNCTION {log}() RETURNS trigger LANGUAGE plpgsql SECURITY DEFINER "
        f"SET search_path = pg_catalog, pg_temp AS $syncline${body}$syncline$",
        f"REVOKE ALL ON FUNCTION {log}() FROM PUBLIC",
    ]
    for name, event in _triggers(place).items():
        quoted = spelled_name(name)
        each = "FOR EACH ROW" if place.by_row else f"{_ROWS[event]} FOR EACH STATEMENT"
        made.append(f"CREATE TRIGGER {quoted} AFTER {event} ON {table} {each} EXECUTE FUNCTION {log}()")
        made.append(f"ALTER TABLE {table} ENABLE ALWAYS TRIGGER {quoted}")
    return made


def _kept(column: ColumnShape) -> str:
    """The type of a log's column: of integers and texts the widest, so that a table that is altered goes on."""
    if column.native.startswith("character varying"):
        return "text"
    return _WIDER.get(column.native, column.native)


def _of(row: str, watched: Watched) -> str:
    return ", ".join(f"{row}.{spelled_name(each)}" for each in watched.columns)


def _by_statement(watched: Watched, log: str, shapes: list[ColumnShape]) -> str:
    into = f"INSERT INTO {log} ({', '.join(logged_names(watched))})"
    new, old = (f"SELECT {_of(each, watched)} FROM {each}" for each in ("syncline_new", "syncline_old"))
    if all(_is_exact(each) for each in shapes):
        left = f"{old} EXCEPT {new}"
    else:
        same = f'ROW({_of("syncline_new", watched)})::text = ROW({_of("syncline_old", watched)})::text COLLATE "C"'
        left = f"{old} WHERE NOT EXISTS (SELECT FROM syncline_new WHERE {same})"
    return (
        f" BEGIN IF TG_OP = 'DELETE' THEN {into} {old}; ELSE {into} {new}; "
        f"IF TG_OP = 'UPDATE' THEN {into} {left}; END IF; END IF; RETURN NULL; END "
    )


def _by_row(watched: Watched, log: str) -> str:
    into = f"INSERT INTO {log} ({', '.join(logged_names(watched))})"
    other = f'ROW({_of("OLD", watched)})::text COLLATE "C" IS DISTINCT FROM ROW({_of("NEW", watched)})::text'
    return (
        f" BEGIN IF TG_OP <> 'DELETE' THEN {into} VALUES ({_of('NEW', watched)}); END IF; "
        f"IF TG_OP = 'DELETE' THEN {into} VALUES ({_of('OLD', watched)}); "
        f"ELSIF TG_OP = 'UPDATE' AND {other} THEN {into} VALUES ({_of('OLD', watched)}); END IF; RETURN NULL; END "
    )


def _is_exact(column: ColumnShape) -> bool:
    """Whether values that are equal are the same."""
    return (
        column.collation is None
        and not column.declared
        and not pa.types.is_floating(column.type)
        and column.native.startswith(_EXACT)
    )
