# ruff: noqa: S608 - SQL is made of quoted identifiers and literals
"""Foreign keys of SQLite while a window goes in: which of them hold already, and which row breaks one."""

from __future__ import annotations

import json
from collections.abc import Collection
from string import ascii_lowercase, ascii_uppercase
from typing import Final

from adapters.sql.refused import FIX
from adapters.sqlite.catalog import references
from adapters.sqlite.connection import Connection
from adapters.sqlite.types import literal, quoted
from transforms.vocabulary import RowRefused, TableName, TableShape

_LOWER: Final = str.maketrans(ascii_uppercase, ascii_lowercase)  # what SQLite's lower() does


def awaited_of(connection: Connection, table: TableName, shape: TableShape) -> set[str]:
    """The tables of a circle that this one refers to and that have no rows yet: their rows come after its own."""
    circle = _circle(connection, table.name) if shape.foreign_keys else set()
    return {name for name in circle if not connection.rows(f"SELECT 1 AS n FROM {quoted(name)} LIMIT 1")}


def hold_foreign_keys(connection: Connection, table: TableName, awaited: Collection[str] = ()) -> None:
    """COMMIT would only say that some foreign key fails: name the row while it can be seen."""
    later = ", ".join(map(literal, awaited))
    row = connection.rows(
        f"SELECT rowid AS r, parent AS p FROM pragma_foreign_key_check({literal(table.name)}) "
        f"WHERE lower(parent) NOT IN ({later}) LIMIT 1"
    )
    if row:
        raise RowRefused(
            f"{table}: the row with rowid {row[0]['r']} refers to no row of {row[0]['p']}. The window was rolled back.",
            f"FOREIGN KEY constraint failed: it refers to no row of {row[0]['p']}",
            kind="reference",
            fix=FIX["reference"],
        )


def sound(connection: Connection) -> tuple[str, ...]:
    """The tables with foreign keys that SQLite can check; it gives up at the first one whose columns have no pairs."""
    rows = connection.rows(
        "SELECT DISTINCT t.name FROM sqlite_schema t, pragma_foreign_key_list(t.name) f WHERE t.type = 'table' ORDER BY t.name"
    )
    names = (str(row["name"]) for row in rows)
    return tuple(name for name in names if not any(each.broken for each in references(connection, name)))


def broken(connection: Connection, checked: tuple[str, ...], table: TableName, awaited: set[str]) -> int:
    """How many references of these tables find no row, but for those of `table` to tables that are awaited."""
    later = ", ".join(map(literal, awaited))
    found = connection.rows(
        "SELECT count(*) AS n FROM json_each(?1) t, pragma_foreign_key_check(t.value) f "
        f"WHERE NOT (lower(t.value) = lower({literal(table.name)}) AND lower(f.parent) IN ({later}))",
        (json.dumps(checked),),
    )
    return int(found[0]["n"])


def hold_all(
    connection: Connection, checked: tuple[str, ...], table: TableName, awaited: set[str], before: int
) -> None:
    """What COMMIT would say, where more references find no row than did before."""
    if broken(connection, checked, table, awaited) > before:
        text = "FOREIGN KEY constraint failed"
        raise RowRefused(f"{table}: {text}. The window was rolled back.", text, kind="reference", fix=FIX["reference"])


def loads_whole(connection: Connection, table: TableName) -> bool:
    """Whether a load straight into the table writes every row or fails: no trigger and no ON CONFLICT clause takes some away."""
    listed = connection.rows(
        "SELECT 1 AS n FROM sqlite_schema WHERE lower(tbl_name) = lower(?1) "
        "AND (type = 'trigger' OR (type = 'table' AND sql LIKE '%conflict%')) LIMIT 1",
        (table.name,),
    )
    return not listed


def _circle(connection: Connection, name: str) -> set[str]:
    """The other tables that this one refers to and that lead back to it, in lower case."""
    rows = connection.rows(
        'SELECT DISTINCT lower(t.name) AS child, lower(f."table") AS parent FROM sqlite_schema t, '
        "pragma_foreign_key_list(t.name) f WHERE t.type = 'table'"
    )
    parents: dict[str, set[str]] = {}
    for row in rows:
        parents.setdefault(row["child"], set()).add(row["parent"])
    own = name.translate(_LOWER)
    return {parent for parent in parents.get(own, ()) if parent != own and own in _reached(parents, parent)}


def _reached(parents: dict[str, set[str]], start: str) -> set[str]:
    found: set[str] = set()
    waiting: list[str] = [start]
    while waiting:
        here = waiting.pop()
        if here not in found:
            found.add(here)
            waiting += parents.get(here, ())
    return found
