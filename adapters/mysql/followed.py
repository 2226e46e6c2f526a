"""Which tables of the binary log matter to who follows: those that are watched, and those whose deletes reach them unlogged."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Final

import pymysql

from adapters.feeds.feed import Watched
from adapters.mysql.catalog import TABLE, Alphabets, Described, described
from adapters.mysql.connection import Connection, Server, code_of, rows
from adapters.mysql.load_data import name_of
from adapters.mysql.row_events import TableMap
from adapters.mysql.row_values import KINDS
from adapters.mysql.types import Travel
from transforms.vocabulary import Key, Problem, SpecError, TableName

SETTINGS: Final = "SELECT @@log_bin, @@global.binlog_format, @@global.binlog_row_image"
KIND: Final = """
SELECT TABLE_TYPE FROM information_schema.TABLES WHERE TABLE_SCHEMA = coalesce(%s, DATABASE()) AND TABLE_NAME = %s"""
FILTERS: Final = "SHOW MASTER STATUS"
FORBIDDEN_DUMP: Final = 1227  # a right is missing

REFERENCES: Final = """
SELECT k.CONSTRAINT_NAME, k.TABLE_SCHEMA, k.TABLE_NAME, k.REFERENCED_TABLE_SCHEMA, k.REFERENCED_TABLE_NAME,
    GROUP_CONCAT(k.REFERENCED_COLUMN_NAME SEPARATOR '\\0')
FROM information_schema.KEY_COLUMN_USAGE k WHERE k.TABLE_SCHEMA = %s AND k.TABLE_NAME = %s
    AND k.REFERENCED_TABLE_NAME IS NOT NULL GROUP BY 1, 2, 3, 4, 5"""
POSITIONS: Final = """
SELECT COLUMN_NAME FROM information_schema.COLUMNS WHERE TABLE_SCHEMA = %s AND TABLE_NAME = %s ORDER BY ORDINAL_POSITION"""
_CARRIED: Final = re.compile(r"ON (?:DELETE|UPDATE) (?:CASCADE|SET NULL|SET DEFAULT)")

Name = tuple[str, str]
"""A table as the log names it: schema and table."""


@dataclass(slots=True)
class Tracked:
    """A table of which row events are read: `places` are those of the columns that are read in its rows, of which it has `count`.

    `watched`: whose keys are told, with how they travel, and whether the table is as its shape says. `children` are watched tables
    that lose or change rows, unlogged, with a row of this one that goes, or whose columns change.
    """

    columns: Key
    places: tuple[int, ...]
    count: int
    watched: Watched | None = None
    travels: tuple[Travel, ...] = ()
    same: bool = True
    children: frozenset[TableName] = frozenset()

    def fits(self, table: TableMap) -> bool:
        """Whether rows of the log are of the table as it is known here."""
        if table.columns is None or len(table.columns) != self.count:
            return False
        kinds = [table.columns[place].kind for place in self.places]
        return all(kind in KINDS[each.kind] for kind, each in zip(kinds, self.travels, strict=False))


def must_be_followable(connection: Connection, server: Server, url: str, watched: Sequence[Watched]) -> None:
    """Refuse what cannot be followed by the log, all of it at once. SpecError."""
    if not server.mariadb:
        raise SpecError(f"{url} is MySQL, whose log is not read.", fix="capture by trigger, or by poll.")
    ((logs, form, image),) = rows(connection, SETTINGS)
    problems = []
    if not logs:
        problems.append(Problem(f"{url} keeps no binary log.", "start the server with log_bin, or capture by trigger."))
    if form != "ROW":
        problems.append(
            Problem(
                f"The binary log of {url} does not tell rows: binlog_format is {form}.",
                "SET GLOBAL binlog_format = ROW, also in the server's configuration, and let sessions that are open connect anew.",
            )
        )
    for each in watched:
        problems += _of_table(connection, each, image)
    problems += _filtered(connection, url)
    if problems:
        raise SpecError.of(problems)


def _of_table(connection: Connection, watched: Watched, image: str) -> list[Problem]:
    table = watched.table
    found = rows(connection, KIND, [table.schema, table.name])
    if not found:
        return [Problem(f"There is no table {table} to follow.", "correct its name or schema.", table=table.name)]
    ((kind,),) = found
    if kind != "BASE TABLE":
        return [
            Problem(
                f"{table} is a {kind.lower()}, of which the log does not tell rows.",
                "capture by poll.",
                table=table.name,
            )
        ]
    if not image.startswith("FULL") and not set(watched.columns) <= set(watched.shape.primary_key):
        why = f"{table}: of a row that goes the log has its primary key, and not {', '.join(watched.columns)}."
        return [Problem(why, "SET GLOBAL binlog_row_image = FULL, or capture by trigger.", table=table.name)]
    return []


def _filtered(connection: Connection, url: str) -> list[Problem]:
    """Databases that are left out of the log, where the user may ask for them."""
    try:
        found = rows(connection, FILTERS)
    except pymysql.Error as error:
        if code_of(error) != FORBIDDEN_DUMP:
            raise
        return []
    left_out = [text for row in found for text in row[2:4] if text]
    if not left_out:
        return []
    return [
        Problem(
            f"The binary log of {url} leaves databases out.",
            "start the server without binlog_do_db and binlog_ignore_db.",
        )
    ]


def tracked(
    connection: Connection, server: Server, alphabets: Alphabets, watched: Sequence[Watched]
) -> dict[Name, Tracked]:
    """What of the log is read, by its name there."""
    found: dict[Name, Tracked] = {}
    names: dict[Name, TableName] = {}
    for each in watched:
        known = described(connection, server, alphabets, each.table)
        if known is None:
            continue
        name = _name(connection, each.table)
        names[name] = each.table
        found[name] = _watched(each, known)
    for name, table in names.items():
        _add_parents(connection, name, table, found)
    return found


def _name(connection: Connection, table: TableName) -> Name:
    places = rows(connection, TABLE, [table.schema, table.name])
    schema, name, _ = next((row for row in places if row[1] == table.name), places[0])
    return str(schema), str(name)


def _watched(watched: Watched, known: Described) -> Tracked:
    if any(name not in known.travels for name in watched.columns):
        return Tracked((), (), len(known.travels), watched, same=False)
    travels = tuple(known.travels[name] for name in watched.columns)
    for each in travels:
        if each.kind not in KINDS:
            raise SpecError(
                f"{watched.table}: {each.name} is {each.declared.native}, which is not read out of the log.",
                fix="choose a key without it, or capture by trigger.",
                table=watched.table.name,
            )
    order = list(known.travels)
    same = [(each.name, each.native) for each in known.shape.columns] == [
        (each.name, each.native) for each in watched.shape.columns
    ]
    return Tracked(
        watched.columns, tuple(order.index(name) for name in watched.columns), len(order), watched, travels, same
    )


def _add_parents(connection: Connection, name: Name, table: TableName, found: dict[Name, Tracked]) -> None:
    """Add what reaches a watched table by foreign keys that carry deletes and updates on: what they do is not in the log."""
    seen, ahead = {name}, [name]
    while ahead:
        child = ahead.pop()
        references = rows(connection, REFERENCES, [*child])
        for constraint, _, _, schema, parent, columns in references:
            if not _carries(connection, child, str(constraint)):
                continue
            there = (str(schema), str(parent))
            _add_parent(connection, there, tuple(str(columns).split("\0")), table, found)
            if there not in seen:
                seen.add(there)
                ahead.append(there)


def _carries(connection: Connection, child: Name, constraint: str) -> bool:
    """Whether a foreign key carries on; its rules alone are not shown to a user who may only read."""
    schema, table = child
    ((_, text),) = rows(connection, f"SHOW CREATE TABLE {name_of(schema)}.{name_of(table)}")
    begins = f"CONSTRAINT {name_of(constraint)} FOREIGN KEY"
    lines = [line for line in str(text).splitlines() if line.strip().startswith(begins)]
    return not lines or any(_CARRIED.search(line) for line in lines)


def _add_parent(connection: Connection, name: Name, columns: Key, child: TableName, found: dict[Name, Tracked]) -> None:
    order = [str(column) for (column,) in rows(connection, POSITIONS, [*name])]
    if not set(columns) <= set(order):
        raise SpecError(
            f"{child} loses rows with rows of {'.'.join(name)}, which the user may not see.",
            fix="GRANT SELECT on it to the user, or capture by trigger.",
            table=child.name,
        )
    known = found.setdefault(name, Tracked((), (), len(order)))
    added = [each for each in columns if each not in known.columns]
    known.columns += tuple(added)
    known.places += tuple(order.index(each) for each in added)
    known.children |= {child}


def mentioned(text: str, schema: str, tables: Mapping[Name, Any], *, whole_schema: bool) -> list[Name]:
    """The tables that a statement may be about: those whose name stands in it. Of names that are not plain ASCII, all."""
    folded = text.casefold()
    return [
        (where, name)
        for where, name in tables
        if name.casefold() in folded
        or not name.isascii()
        or "`" in name
        or (whole_schema and (where.casefold() in folded or where == schema))
    ]
