"""What a SQLite table has beyond columns and keys, and statements tried out in memory."""

from __future__ import annotations

import re
import sqlite3
from collections.abc import Collection, Iterator, Sequence
from itertools import pairwise
from typing import Any, Final

from adapters.feeds.triggers import is_log
from adapters.sql.filling import inserted_instead, tokens
from adapters.sqlite.catalog import references
from adapters.sqlite.connection import Connection
from adapters.sqlite.types import quoted
from transforms.vocabulary import Design, Key, TableName
from transforms.vocabulary.features import Feature, in_order

_WORD: Final = re.compile(
    r"""'(?:[^']|'')*'|"(?:[^"]|"")*"|`(?:[^`]|``)*`|\[[^\]]*\]|--[^\n]*|/\*.*?\*/|[^\W\d]\w*|\s+|.""", re.DOTALL
)


def design(connection: Connection, name: TableName) -> Design:
    """Defaults and indexes out of pragmas; generated columns and checks out of the statement that made the table."""
    columns = connection.rows("SELECT * FROM pragma_table_xinfo(?1) WHERE hidden <> 1 ORDER BY cid", (name.name,))
    made = connection.rows(
        "SELECT sql FROM sqlite_schema WHERE type = 'table' AND lower(name) = lower(?1)", (name.name,)
    )
    generated, checks = clauses(made[0]["sql"] or "") if made else ({}, ())
    known = {each.lower(): expression for each, expression in generated.items()}
    indexes, odd = _indexes(connection, name.name)
    triggers = tuple(_triggers(connection, name.name))
    return Design(
        defaults=tuple(
            (row["name"], row["dflt_value"]) for row in columns if row["dflt_value"] is not None and row["hidden"] == 0
        ),
        generated=tuple(
            (row["name"], known[row["name"].lower()])
            for row in columns
            if row["hidden"] in (2, 3) and row["name"].lower() in known
        ),
        checks=tuple(text for _, text in checks),
        indexes=indexes,
        features=in_order(
            *odd,
            *_collations(connection, name.name),
            *_broken(connection, name.name),
            *triggers,
            *_counter(connection, name.name, columns),
        ),
        filled=tuple(_filled(connection, name.name)),
        hooks=in_order(*triggers, *(each for each in odd if each.kind == "unique_index")),
    )


def besides(connection: Connection) -> list[Feature]:
    """Views, and virtual tables, whose rows are elsewhere."""
    found = connection.rows(
        "SELECT CASE type WHEN 'view' THEN 'view' ELSE 'virtual_table' END AS kind, name FROM sqlite_schema "
        "WHERE type = 'view' OR type = 'table' AND sql LIKE 'create virtual %' ORDER BY name"
    )
    return list(in_order(*(Feature(row["kind"], (), {"name": row["name"]}) for row in found)))


def _indexes(connection: Connection, name: str) -> tuple[tuple[Key, ...], tuple[Feature, ...]]:
    """Plain indexes by their columns, and the others as they were made."""
    plain: list[Key] = []
    odd: list[Feature] = []
    made = "SELECT l.*, s.sql FROM pragma_index_list(?1) l JOIN sqlite_schema s ON s.type = 'index' AND s.name = l.name"
    for index in connection.rows(f"{made} WHERE l.origin = 'c' ORDER BY l.seq DESC", (name,)):
        terms = connection.rows("SELECT * FROM pragma_index_xinfo(?1) WHERE key = 1 ORDER BY seqno", (index["name"],))
        usual = all(term["cid"] >= 0 and term["coll"].upper() == "BINARY" and not term["desc"] for term in terms)
        if index["partial"] or not usual:
            facts = {"name": index["name"], "sql": " ".join(index["sql"].split())}
            odd.append(Feature("unique_index" if index["unique"] else "index", (), facts))
        elif not index["unique"]:
            plain.append(tuple(term["name"] for term in terms))
    return tuple(dict.fromkeys(plain)), tuple(odd)


def _collations(connection: Connection, name: str) -> Iterator[Feature]:
    terms = connection.rows(
        "SELECT DISTINCT x.name, x.coll FROM pragma_index_list(?1) l, pragma_index_xinfo(l.name) x "
        "WHERE l.origin <> 'c' AND x.key = 1 AND x.cid >= 0 AND upper(x.coll) <> 'BINARY' ORDER BY x.name",
        (name,),
    )
    return (Feature("collation", (row["name"],), {"name": row["coll"]}) for row in terms)


def _broken(connection: Connection, name: str) -> Iterator[Feature]:
    """Foreign keys that no row can keep, and that a shape does not have: SQLite takes them."""
    for each in references(connection, name):
        if each.broken:
            yield Feature("foreign_key", tuple(each.columns), {"refers": each.parent, "why": each.broken})


def _triggers(connection: Connection, name: str) -> Iterator[Feature]:
    triggers = "SELECT name FROM sqlite_schema WHERE type = 'trigger' AND lower(tbl_name) = lower(?1) ORDER BY name"
    found = (row["name"] for row in connection.rows(triggers, (name,)))
    return (Feature("trigger", (), {"name": each}) for each in found if not is_log(each))


def _counter(connection: Connection, name: str, columns: Sequence[dict[str, Any]]) -> Iterator[Feature]:
    """The next number of AUTOINCREMENT, where the largest value does not tell it."""
    if not connection.rows("SELECT 1 AS n FROM sqlite_schema WHERE name = 'sqlite_sequence'"):
        return
    last = connection.rows("SELECT seq AS n FROM sqlite_sequence WHERE lower(name) = lower(?1)", (name,))
    for column in (row["name"] for row in columns if row["pk"]):
        (largest,) = connection.rows(f"SELECT max({quoted(column)}) AS n FROM {quoted(name)}")  # noqa: S608
        if last and (last[0]["n"] or 0) > max(largest["n"] or 0, 0):
            yield Feature("counter", (column,), {"number": last[0]["n"] + 1})


def _filled(connection: Connection, name: str) -> Iterator[tuple[str, str]]:
    """SQLite lets no trigger change the row that comes: one fills columns by inserting a row of its own, and ignoring that one."""
    known = {
        row["name"].lower(): row["name"] for row in connection.rows("SELECT name FROM pragma_table_info(?1)", (name,))
    }
    triggers = (
        "SELECT name, sql FROM sqlite_schema WHERE type = 'trigger' AND lower(tbl_name) = lower(?1) ORDER BY name"
    )
    for row in connection.rows(triggers, (name,)):
        head = [word.lower() for word in tokens(row["sql"])]
        if "before" not in head[: head.index("begin")] or "insert" not in head[: head.index("begin")]:
            continue
        for column in inserted_instead(row["sql"], name):
            if column.lower() in known:
                yield known[column.lower()], row["name"]


def eased(create: str, names: Collection[str]) -> str:
    """CREATE TABLE with columns that may be null: `names` in small letters."""
    cut: list[tuple[int, int]] = []
    for part in _definitions(create):
        if unquoted(part[0][0]).lower() in names:
            depth = 0
            for (word, start), (following, after) in pairwise(part):
                depth += (word == "(") - (word == ")")
                if depth == 0 and (word.upper(), following.upper()) == ("NOT", "NULL"):
                    cut.append((start, after + len(following)))
    for start, stop in reversed(cut):
        create = create[:start] + create[stop:]
    return create


def tried(statements: Sequence[str]) -> str | None:
    """Why SQLite refuses the statements, None where it does not."""
    connection = sqlite3.connect(":memory:")
    try:
        for statement in statements:
            connection.execute(statement)
    except sqlite3.Error as error:
        return str(error)
    finally:
        connection.close()
    return None


# ---------------------------------------------------------------------------------------------------------------------
# CREATE TABLE, as an engine keeps it


Word = tuple[str, int]
"""A word and where it begins."""


def _definitions(create: str) -> Iterator[list[Word]]:
    """The words of each part between the outer parentheses of CREATE TABLE, without white space and comments."""
    depth, part = 0, list[Word]()
    for found in _WORD.finditer(create):
        word = found[0]
        if word.isspace() or word.startswith(("--", "/*")):
            continue
        depth -= word == ")"
        if depth == 0 and word == ")":
            break
        if depth == 1 and word == ",":
            yield part
            part = []
        elif depth:
            part.append((word, found.start()))
        depth += word == "("
    if part:
        yield part


def clauses(create: str) -> tuple[dict[str, str], tuple[tuple[str, str], ...]]:
    """The expressions of generated columns by name, and those of checks with their names, as CREATE TABLE has them. A check that
    was given no name has an empty one."""
    generated: dict[str, str] = {}
    checks: list[tuple[str, str]] = []
    for part in _definitions(create):
        depth = 0
        for at, (word, _) in enumerate(part):
            opens = at + 1 < len(part) and part[at + 1][0] == "("
            if depth == 0 and opens and word.upper() == "CHECK":
                named = at > 1 and part[at - 2][0].upper() == "CONSTRAINT"
                checks.append((unquoted(part[at - 1][0]) if named else "", _inside(create, part[at + 1 :])))
            if depth == 0 and opens and word.upper() == "AS":
                generated[unquoted(part[0][0])] = _inside(create, part[at + 1 :])
            depth += (word == "(") - (word == ")")
    return generated, tuple(checks)


def _inside(create: str, words: Sequence[Word]) -> str:
    """The text between the parenthesis that comes first and its end, without comments."""
    depth = 0
    for word, start in words:
        depth += (word == "(") - (word == ")")
        if depth == 0:
            text = create[words[0][1] + 1 : start]
            return "".join(" " if each.startswith(("--", "/*")) else each for each in _WORD.findall(text)).strip()
    return create[words[0][1] + 1 :].strip()


def unquoted(name: str) -> str:
    """An identifier as it is, out of any of SQLite's quotes."""
    if name[:1] in ('"', "`"):
        return name[1:-1].replace(name[0] * 2, name[0])
    return name[1:-1] if name[:1] == "[" else name
