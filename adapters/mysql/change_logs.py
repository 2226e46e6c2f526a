# ruff: noqa: S608 - SQL is made of quoted identifiers, numbers and names that are made here
"""The logs that triggers of MariaDB and MySQL write to: how they are made, and what the catalog says of them.

What a foreign key does to the rows of a table (ON DELETE, ON UPDATE) fires no trigger of theirs. So triggers of the table that is
referred to write down which they are, and, where a table that refers to that one is reached in more steps, that all have to be
compared.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from hashlib import blake2b
from typing import Any, Final

from adapters.feeds.feed import Watched
from adapters.feeds.triggers import Seen, logged_names, mark_of
from adapters.mysql.catalog import ACTIONS, COLUMNS, FOREIGN_KEYS, TABLE, Alphabets, described
from adapters.mysql.connection import Connection, Server, rows
from adapters.mysql.load_data import name_of
from transforms.vocabulary import Key, SpecError, TableName, TransientError

TRIGGERS: Final = """
SELECT EVENT_OBJECT_SCHEMA, TRIGGER_NAME, EVENT_OBJECT_TABLE, ACTION_TIMING, EVENT_MANIPULATION, ACTION_STATEMENT,
    CAST(CREATED AS CHAR), DEFINER
FROM information_schema.TRIGGERS WHERE LEFT(TRIGGER_NAME, %s) = %s ORDER BY TRIGGER_NAME"""

LOGS: Final = """
SELECT TABLE_SCHEMA, TABLE_NAME, TABLE_COMMENT, AUTO_INCREMENT, coalesce(DATA_LENGTH, 0)
FROM information_schema.TABLES WHERE TABLE_SCHEMA IN %s AND LEFT(TABLE_NAME, %s) = %s ORDER BY TABLE_NAME"""

STORED: Final = """
SELECT i.TABLE_ID FROM information_schema.{} i JOIN (SELECT CONCAT(CONVERT(CAST(CONVERT(%s USING filename) AS BINARY) USING utf8mb4), '/',
    CONVERT(CAST(CONVERT(%s USING filename) AS BINARY) USING utf8mb4)) AS name) f
WHERE BINARY i.NAME = BINARY f.name
    OR BINARY LEFT(i.NAME, CHAR_LENGTH(f.name) + 3) IN (BINARY CONCAT(f.name, '#P#'), BINARY CONCAT(f.name, '#p#'))
ORDER BY i.TABLE_ID"""
"""The numbers of a table's storage, or of that of its partitions, which InnoDB calls as files are called."""

ACTING: Final = ("CASCADE", "SET NULL", "SET DEFAULT")


@dataclass(frozen=True, slots=True)
class Link:
    """A foreign key that changes rows of `child` with those of `parent`: of what it refers to, `deletes` and `updates`."""

    child: TableName
    columns: Key
    parent: TableName
    refers: Key
    deletes: str
    updates: str


@dataclass(frozen=True, slots=True)
class Log:
    """A log that is there: how it was made, and the number that its next row would have. `size` is in bytes."""

    name: TableName
    made: str
    next: int
    size: int


def logs(connection: Connection, schemas: Sequence[str], prefix: str) -> dict[TableName, Log]:
    """The logs whose names begin so."""
    found = rows(connection, LOGS, [tuple(schemas), len(prefix), prefix])
    return {
        TableName(name, schema): Log(TableName(name, schema), made, int(number or 0), int(size))
        for schema, name, made, number, size in found
    }


def seen_of(connection: Connection, server: Server, table: TableName, log: Log | None, triggers: Sequence[Any]) -> Seen:
    """See Seen, but for whether it is fit. In: the table with its schema, and the triggers that write to its log."""
    columns = rows(connection, COLUMNS, [table.schema, table.name])
    links = [rows(connection, each, [table.schema, table.name]) for each in (FOREIGN_KEYS, ACTIONS)]
    identity = digest((stored(connection, server, log.name) if log else "", *triggers))
    return Seen(False, identity, digest((columns, links)), stored(connection, server, table))


def digest(found: object) -> str:
    return blake2b(repr(found).encode(), digest_size=12).hexdigest()


def stored(connection: Connection, server: Server, table: TableName) -> str:
    """The numbers of the table's storage, which TRUNCATE changes and no trigger sees. Takes the right PROCESS."""
    catalog = "INNODB_SYS_TABLES" if server.mariadb else "INNODB_TABLES"
    found = rows(connection, STORED.format(catalog), [table.schema, table.name])
    if not found:
        raise TransientError(f"InnoDB does not say where {table} is stored.")
    return " ".join(str(number) for (number,) in found)


def placed(connection: Connection, table: TableName) -> TableName | None:
    """The table with its schema, None where it is not there, or not of InnoDB: others keep no transactions, and no triggers that
    could tell what was rolled back."""
    found = rows(connection, TABLE, [table.schema, table.name])
    if not found or found[0][2] != "InnoDB":
        return None
    return TableName(found[0][1], found[0][0])


def must_be_a_table(place: TableName | None, table: TableName, url: str) -> TableName:
    """SpecError for what cannot be followed by triggers."""
    if place is None:
        raise SpecError(
            f"{url}: {table} is no table of InnoDB that is there.",
            fix="ALTER TABLE … ENGINE=InnoDB, follow the tables that a view is made of, or write another capture.",
        )
    return place


def links_of(connection: Connection, child: TableName) -> list[Link]:
    """The foreign keys of a table that change its rows."""
    rules = {
        name: (deletes, updates) for name, updates, deletes in rows(connection, ACTIONS, [child.schema, child.name])
    }
    keys: dict[str, list[Any]] = {}
    for name, own, schema, parent, there in rows(connection, FOREIGN_KEYS, [child.schema, child.name]):
        keys.setdefault(name, []).append((own, TableName(parent, schema), there))
    found = [
        Link(child, tuple(own for own, _, _ in each), each[0][1], tuple(there for _, _, there in each), *rules[name])
        for name, each in sorted(keys.items())
    ]
    return [each for each in found if each.deletes in ACTING or each.updates in ACTING]


def statements(
    connection: Connection, server: Server, alphabets: Alphabets, watched: Watched, table: TableName, log: TableName
) -> list[str]:
    """What makes a log and its triggers; its comment says how, and how many triggers there are to be."""
    travels = described(connection, server, alphabets, watched.table)
    assert travels is not None
    names = logged_names(watched)
    types = [_wider(travels.travels[each].staged_type(key=True)) for each in watched.columns]
    columns = ", ".join(f"{name} {kind}" for name, kind in zip(names, types, strict=True))
    head = (
        f"CREATE TABLE {name_of(log)} (seq BIGINT NOT NULL AUTO_INCREMENT PRIMARY KEY, "
        f"at TIMESTAMP(6) NOT NULL DEFAULT CURRENT_TIMESTAMP(6), unseen TINYINT NOT NULL DEFAULT 0, {columns}) ENGINE=InnoDB"
    )
    made = [*_own(watched, table, log), *_of_others(connection, watched, table, log)]
    return [f"{head} COMMENT='{mark_of([head, *made])} {len(made)}'", *made]


def _wider(kind: str) -> str:
    """Of integers the widest, so that a table that is altered goes on."""
    return re.sub(r"^(smallint|mediumint|int)\b(\(\d+\))?(?!.*zerofill)", "bigint", kind)


def _trigger(log: TableName, letter: str, when: str, table: TableName, *body: str) -> str:
    name = name_of(TableName(f"{log.name}_{letter}", table.schema))
    text = body[0] if len(body) == 1 else f"BEGIN {' '.join(f'{each};' for each in body)} END"
    return f"CREATE TRIGGER {name} {when} ON {name_of(table)} FOR EACH ROW {text}"


def _into(watched: Watched, log: TableName) -> str:
    return f"INSERT INTO {name_of(log)} ({', '.join(logged_names(watched))})"


def _own(watched: Watched, table: TableName, log: TableName) -> Iterator[str]:
    """The triggers of the table itself."""
    into = _into(watched, log)
    new, old = (
        f"{into} VALUES ({', '.join(f'{row}.{name_of(each)}' for each in watched.columns)})" for row in ("NEW", "OLD")
    )
    yield _trigger(log, "i", "AFTER INSERT", table, new)
    same = f"IF NOT ({_unchanged(watched.columns)}) THEN {old}; END IF"
    yield _trigger(log, "u", "AFTER UPDATE", table, new, same)
    yield _trigger(log, "d", "AFTER DELETE", table, old)


def _unchanged(columns: Sequence[str]) -> str:
    """Also where the column takes several spellings for one."""
    return " AND ".join(
        f"OLD.{c} <=> NEW.{c} AND CAST(OLD.{c} AS BINARY) <=> CAST(NEW.{c} AS BINARY)" for c in map(name_of, columns)
    )


def _of_others(connection: Connection, watched: Watched, table: TableName, log: TableName) -> Iterator[str]:
    """Triggers of tables from which foreign keys carry changes on to this one.

    Where links come back to the table itself, rows that one of them changes may change others of it: then all are compared.
    """
    near = links_of(connection, table)
    far: list[Link] = []
    known, waiting = {table}, [each.parent for each in near]
    while waiting:
        child = waiting.pop(0)
        if child not in known:
            known.add(child)
            found = links_of(connection, child)
            far += found
            waiting += [each.parent for each in found]
    comes_back = any(each.parent == table for each in (*near, *far))
    for number, link in enumerate(near, 1):
        if comes_back:
            yield from _marking(log, f"s{number}", link)
        else:
            yield from _carrying(watched, log, number, link)
    for number, link in enumerate(far, 1):
        yield from _marking(log, f"m{number}", link)


def _there(link: Link, row: str) -> str:
    pairs = zip(link.columns, link.refers, strict=True)
    return " AND ".join(f"c.{name_of(own)} = {row}.{name_of(there)}" for own, there in pairs)


def _marking(log: TableName, letter: str, link: Link) -> Iterator[str]:
    """Where rows of the child change, that all has to be compared."""
    mark = (
        f"IF EXISTS (SELECT 1 FROM {name_of(link.child)} c WHERE {_there(link, 'OLD')}) "
        f"THEN INSERT INTO {name_of(log)} (unseen) VALUES (1); END IF"
    )
    if link.deletes in ACTING:
        yield _trigger(log, f"{letter}d", "BEFORE DELETE", link.parent, mark)
    if link.updates in ACTING:
        changed = f"IF NOT ({_unchanged(link.refers)}) THEN {mark}; END IF"
        yield _trigger(log, f"{letter}u", "BEFORE UPDATE", link.parent, changed)


def _carrying(watched: Watched, log: TableName, number: int, link: Link) -> Iterator[str]:
    """Rows of the child as they are and, where what is watched changes, as they will be."""
    into, there = _into(watched, log), f"FROM {name_of(link.child)} c WHERE {_there(link, 'OLD')}"
    old = f"{into} SELECT {', '.join(f'c.{name_of(each)}' for each in watched.columns)} {there}"

    def after(rule: str) -> list[str]:
        if not set(link.columns) & set(watched.columns) or (rule == "CASCADE" and not link.refers):
            return []
        to = {
            own: f"NEW.{name_of(name)}" if rule == "CASCADE" else "NULL"
            for own, name in zip(link.columns, link.refers, strict=True)
        }
        return [f"{into} SELECT {', '.join(to.get(each, f'c.{name_of(each)}') for each in watched.columns)} {there}"]

    if link.deletes in ACTING:
        gone = [] if link.deletes == "CASCADE" else after(link.deletes)
        yield _trigger(log, f"c{number}d", "BEFORE DELETE", link.parent, old, *gone)
    if link.updates in ACTING:
        body = "; ".join([old, *after(link.updates)])
        changed = f"IF NOT ({_unchanged(link.refers)}) THEN {body}; END IF"
        yield _trigger(log, f"c{number}u", "BEFORE UPDATE", link.parent, changed)
