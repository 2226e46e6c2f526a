"""Replication slots and publications: what it takes to follow tables by the log, made, looked at and taken away.

Each start makes a slot and a publication of one name that is never used again, so that one made anew is never taken for the old.
"""

from __future__ import annotations

import hashlib
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Final

import psycopg
from psycopg import errors

from adapters.feeds.feed import FeedLost, Held, Watched
from adapters.postgres.catalog import table_rows
from adapters.postgres.types import Travel, travel
from adapters.postgres.writer import spelled_name
from transforms.vocabulary import Problem, SpecError, TransientError

PREFIX: Final = "syncline_"
PAGE: Final = 8192
HEADERS: Final = (24, 40)  # of a page of the log: where one begins, nothing stands before them

SETTINGS: Final = """
SELECT pg_catalog.current_setting('wal_level'), pg_catalog.pg_is_in_recovery(), rolreplication OR rolsuper,
    pg_catalog.has_database_privilege(pg_catalog.current_database(), 'CREATE'), pg_catalog.current_database()::text,
    current_user::text
FROM pg_catalog.pg_roles WHERE rolname = current_user"""

IDENTITIES: Final = """
WITH c AS (SELECT * FROM pg_catalog.pg_class WHERE oid = to_regclass(%s)),
parts AS (SELECT oid FROM c UNION SELECT relid FROM c, pg_catalog.pg_partition_tree(c.oid) WHERE isleaf)
SELECT p.oid::regclass::text, p.relkind::text, p.relpersistence = 'p', pg_catalog.pg_has_role(p.relowner, 'USAGE'),
    p.relreplident = 'f',
    ARRAY(SELECT a.attname::text FROM pg_catalog.pg_index i
          CROSS JOIN LATERAL unnest(i.indkey::int[]) WITH ORDINALITY k (number, place)
          JOIN pg_catalog.pg_attribute a ON a.attrelid = i.indrelid AND a.attnum = k.number
          WHERE i.indrelid = p.oid AND i.indisvalid AND i.indimmediate AND k.place <= i.indnkeyatts
            AND CASE p.relreplident WHEN 'd' THEN i.indisprimary WHEN 'i' THEN i.indisreplident ELSE false END
          ORDER BY k.place),
    ARRAY(SELECT attname::text FROM pg_catalog.pg_attribute WHERE attrelid = p.oid AND attgenerated <> '')
FROM parts JOIN pg_catalog.pg_class p USING (oid) ORDER BY p.oid <> (SELECT oid FROM c), 1"""

PUBLISHED: Final = """
SELECT w.place::int, t.oid::bigint,
    (SELECT p.attnames::text[] FROM pg_catalog.pg_publication_tables p
     WHERE p.pubname = %s AND p.schemaname = n.nspname AND p.tablename = t.relname AND p.rowfilter IS NULL),
    ARRAY(SELECT ARRAY[attname::text, pg_catalog.format_type(atttypid, atttypmod)] FROM pg_catalog.pg_attribute
          WHERE attrelid = t.oid AND attnum > 0 AND NOT attisdropped),
    CASE WHEN t.relkind = 'p' THEN
        (SELECT pg_catalog.md5(pg_catalog.string_agg(
            pg_catalog.concat_ws(' ', part.relid::oid, pg_catalog.pg_relation_filenode(part.relid)), ',' ORDER BY part.relid::oid))
         FROM pg_catalog.pg_partition_tree(t.oid) part) END
FROM unnest(%s::text[]) WITH ORDINALITY w (name, place)
JOIN pg_catalog.pg_class t ON t.oid = to_regclass(w.name)
JOIN pg_catalog.pg_namespace n ON n.oid = t.relnamespace"""

STATE: Final = """
SELECT s.slot_name IS NOT NULL AND s.wal_status <> 'lost', pg_catalog.pg_current_wal_insert_lsn() - '0/0'::pg_lsn,
    pg_catalog.pg_current_wal_flush_lsn() - '0/0'::pg_lsn
FROM (SELECT) one LEFT JOIN pg_catalog.pg_replication_slots s ON s.slot_name = %s"""

ADVANCE: Final = """
SELECT pg_catalog.pg_replication_slot_advance(slot_name, %(place)s::pg_lsn) FROM pg_catalog.pg_replication_slots
WHERE slot_name = %(slot)s AND wal_status <> 'lost' AND confirmed_flush_lsn < %(place)s::pg_lsn"""

HELD: Final = """
SELECT max(pg_catalog.pg_current_wal_lsn() - s.restart_lsn)::bigint,
    (SELECT setting::bigint FROM pg_catalog.pg_settings WHERE name = 'max_slot_wal_keep_size')
FROM pg_catalog.pg_replication_slots s WHERE s.slot_name ^@ %s AND s.database = pg_catalog.current_database()"""

SLOTS: Final = """
SELECT slot_name::text FROM pg_catalog.pg_replication_slots
WHERE slot_name ^@ %s AND database = pg_catalog.current_database()"""
PUBLICATIONS: Final = "SELECT pubname::text FROM pg_catalog.pg_publication WHERE pubname ^@ %s"

ANEW: Final = "follow anew, which compares everything first."


@dataclass(frozen=True, slots=True)
class State:
    """Where the log ends: what is `written` may be committed, what is `flushed` can be decoded."""

    written: int
    flushed: int


@dataclass(frozen=True, slots=True)
class Seen:
    """A watched table as it is: its oid, whether its columns are those of its shape, and of one with partitions a text that is another
    one where a partition came, went, or was emptied, which is not in the log.
    """

    oid: int
    same: bool
    parts: str | None = None


def prefix_of(name: str) -> str:
    """How the slots and publications of whoever follows by that name begin."""
    return f"{PREFIX}{hashlib.sha256(name.encode()).hexdigest()[:16]}_"


def new_token() -> str:
    return secrets.token_hex(4)


def must_be_followable(connection: psycopg.Connection[Any], url: str, watched: Sequence[Watched]) -> None:
    """Refuse what cannot be followed by the log, all of it at once. SpecError."""
    found = connection.execute(SETTINGS).fetchone()
    assert found is not None
    level, standby, replicates, creates, database, user = found
    problems = []
    if standby:
        problems.append(Problem(f"{url} is a standby, on which nothing can be published.", "follow its primary."))
    elif level != "logical":
        problems.append(
            Problem(
                f"The log of {url} does not tell rows: wal_level is {level}.",
                "ALTER SYSTEM SET wal_level = 'logical', and restart the server; or capture by trigger.",
            )
        )
    if not replicates:
        problems.append(Problem(f"The user {user} may not read the log of {url}.", f'ALTER ROLE "{user}" REPLICATION.'))
    if not creates:
        problems.append(
            Problem(
                f"The user {user} may publish nothing on {url}.", f'GRANT CREATE ON DATABASE "{database}" TO "{user}".'
            )
        )
    problems += [problem for each in watched for problem in _of_table(connection, each)]
    if problems:
        raise SpecError.of(problems)


def _of_table(connection: psycopg.Connection[Any], watched: Watched) -> list[Problem]:
    """Why a table cannot be published so that updates and deletes tell the watched columns, and the application's still work."""
    rows = connection.execute(IDENTITIES, [spelled_name(watched.table)]).fetchall()
    table = watched.table
    if not rows:
        return [Problem(f"There is no table {table} to follow.", "correct its name or schema.", table=table.name)]
    problems = []
    for part, kind, logged, owned, full, identity, generated in rows:
        if kind not in "rp" or not logged:
            why, fix = f"{part} is not in the log: it is no plain and permanent table.", "follow the tables behind it."
        elif not owned:
            why, fix = (
                f"The user may not publish {part}.",
                "follow as its owner, or as a member of the role that owns it.",
            )
        elif set(watched.columns) & set(generated):
            why, fix = (
                f"{part}: a generated column is not in the log.",
                "choose a key without it, or capture by trigger.",
            )
        elif not full and not set(watched.columns) <= set(identity):
            told = f"only {', '.join(identity)}" if identity else "nothing"
            why = f"{part}: its updates and deletes tell {told} of the old row, and not {', '.join(watched.columns)}."
            how = "FULL, or USING INDEX with a unique index of these columns"
            fix = f"ALTER TABLE {part} REPLICA IDENTITY {how}; or capture by trigger."
        else:
            continue
        problems.append(Problem(why, fix, table=table.name))
    return problems


def publish(connection: psycopg.Connection[Any], name: str, watched: Sequence[Watched]) -> None:
    """Make a publication of the tables: of each only the columns that its replica identity has, so that the application's updates
    work as before. Before the slot, which would not know it otherwise.
    """
    entries = []
    for each in watched:
        spelled = spelled_name(each.table)
        rows = connection.execute(IDENTITIES, [spelled]).fetchall()
        root = rows[0]
        only = "" if root[1] == "p" else "ONLY "
        full = any(row[4] for row in rows)
        told = dict.fromkeys(name for row in rows for name in row[5])
        columns = "" if full else f" ({', '.join(map(spelled_name, told))})"
        entries.append(f"TABLE {only}{spelled}{columns}")
    connection.execute(
        f"CREATE PUBLICATION {spelled_name(name)} FOR {', '.join(entries)} "
        "WITH (publish_via_partition_root = true)".encode()
    )


def make_slot(connection: psycopg.Connection[Any], name: str, url: str) -> int:
    """Make a slot; the place from which it tells. Waits until every transaction that is writing has ended."""
    try:
        found = connection.execute(
            "SELECT lsn - '0/0'::pg_lsn FROM pg_catalog.pg_create_logical_replication_slot(%s, 'pgoutput')", [name]
        ).fetchone()
    except errors.ConfigurationLimitExceeded as error:
        raise SpecError(
            f"{url} has no replication slot left.",
            fix="raise max_replication_slots and restart the server, or drop a slot that nobody needs.",
        ) from error
    assert found is not None
    return int(found[0])


def state(connection: psycopg.Connection[Any], slot: str, url: str) -> State:
    """Where the log ends. FeedLost where the slot is gone, or the log that it was to keep."""
    found = connection.execute(STATE, [slot]).fetchone()
    assert found is not None
    there, written, flushed = found
    if not there:
        raise FeedLost(f"The replication slot {slot} of {url} is gone, or the log that it was to keep.", fix=ANEW)
    inside = int(written) % PAGE
    return State(int(written) - inside * (inside in HEADERS), int(flushed))


def seen(connection: psycopg.Connection[Any], publication: str, watched: Sequence[Watched], url: str) -> list[Seen]:
    """The watched tables as they are. FeedLost where one is not published any more as it was, for nothing may be told of it."""
    names = [spelled_name(each.table) for each in watched]
    found = {row[0]: row[1:] for row in connection.execute(PUBLISHED, [publication, names])}
    tables = []
    for place, each in enumerate(watched, 1):
        oid, published, columns, parts = found.get(place, (0, None, [], None))
        if not published or not set(each.columns) <= set(published):
            raise FeedLost(f"{each.table} on {url} is not followed any more as it was.", fix=ANEW)
        tables.append(Seen(oid, dict(columns) == {column.name: column.native for column in each.shape.columns}, parts))
    return tables


def parts_of(tables: Sequence[Seen]) -> str:
    """What tells whether the partitions of watched tables are as they were; empty where none has any."""
    told = [each.parts for each in tables if each.parts is not None]
    return hashlib.sha256(" ".join(told).encode()).hexdigest()[:12] if told else ""


def advance(connection: psycopg.Connection[Any], slot: str, place: str) -> None:
    """Let the database forget the log before a place. Nothing where it has already, or the slot is gone."""
    connection.execute(ADVANCE, {"slot": slot, "place": place})


def held(connection: psycopg.Connection[Any], name: str) -> Held | None:
    found = connection.execute(HELD, [prefix_of(name)]).fetchone()
    if found is None or found[0] is None:
        return None
    size, most = found
    return Held(int(size), int(most) * 2**20 if most is not None and most >= 0 else None)


def dropping(connection: psycopg.Connection[Any], name: str) -> list[str]:
    """The statements that drop the slots and publications of that name, slots first."""
    found = [connection.execute(query, [prefix_of(name)]).fetchall() for query in (SLOTS, PUBLICATIONS)]
    dropped = [f"SELECT pg_catalog.pg_drop_replication_slot('{slot}')" for (slot,) in found[0]]
    return dropped + [f"DROP PUBLICATION IF EXISTS {spelled_name(publication)}" for (publication,) in found[1]]


def drop(connection: psycopg.Connection[Any], name: str, url: str) -> None:
    """Drop them. TransientError while somebody reads from a slot. In: a connection outside of transactions."""
    for statement in dropping(connection, name):
        try:
            connection.execute(statement.encode())
        except errors.ObjectInUse as error:
            raise TransientError(f"A replication slot of {url} is in use: {error}") from error
        except errors.UndefinedObject:  # somebody was faster
            continue


def travels(connection: psycopg.Connection[Any], watched: Watched, oid: int) -> list[Travel]:
    """How the watched columns travel in the table's shape."""
    texts = {each.name for each in watched.shape.columns if each.meaning == "decimal"}
    encoding = connection.info.parameter_status("server_encoding") or "UTF8"
    rows = {row[0]: row for row in table_rows(connection, oid)}
    return [travel(rows[name], nan=name in texts, encoding=encoding) for name in watched.columns]
