"""What SQLite tells about its tables, in pragmas."""

from __future__ import annotations

import re
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any, Final

import pyarrow as pa

from adapters.sqlite.connection import Connection
from adapters.sqlite.types import column_shape, kind_of, quoted, raw_order
from transforms.vocabulary import ColumnShape, ForeignKey, Key, SpecError, TableName, TableShape

QUERY_VIEW: Final = "syncline_query"
WIDE: Final = r"\x{0}-\x{FFFD}\x{10000}-\x{10FFFF}"
"""What UTF-16 of SQLite holds, as a class of RE2."""
# What PRAGMA table_xinfo calls the type of an expression, or nothing at all: its values must be looked at.
_UNDECLARED: Final = ("", "NUM", "BLOB")
COLUMNS_AT_ONCE: Final = 200  # a query of SQLite has 2,000 columns at most
EXACT_FLOAT: Final = 2**53  # up to here, a float is every integer


def tables(connection: Connection) -> list[str]:
    """Base tables and virtual ones; not the shadow tables in which those keep their rows."""
    rows = connection.rows(
        "SELECT name FROM sqlite_schema WHERE type = 'table' AND name NOT LIKE 'sqlite!_%' ESCAPE '!' AND name NOT IN "
        "(SELECT name FROM pragma_table_list WHERE schema = 'main' AND type = 'shadow') ORDER BY name"
    )
    return [row["name"] for row in rows]


def named(connection: Connection, name: TableName) -> TableName:
    """A table or view as it was made, whatever the case that is asked for: NOCASE is what SQLite itself goes by."""
    there = "SELECT name FROM sqlite_schema WHERE type IN ('table', 'view') AND name = ?1 COLLATE NOCASE"
    found = connection.rows(there, (name.name,))
    main = name.schema is not None and folded(name.schema) == "main"
    return TableName(found[0]["name"] if found else name.name, "main" if main else name.schema)


def describe(connection: Connection, name: TableName) -> TableShape | None:
    """The shape of a table or a view."""
    if name.schema not in (None, "main"):
        return None
    found = connection.rows("SELECT type, wr FROM pragma_table_list(?1) WHERE schema = 'main'", (name.name,))
    if not found or found[0]["type"] not in ("table", "view", "virtual"):
        return None
    view, without_rowid = found[0]["type"] == "view", bool(found[0]["wr"])
    columns = connection.rows("SELECT * FROM pragma_table_xinfo(?1) WHERE hidden <> 1 ORDER BY cid", (name.name,))
    primary = tuple(row["name"] for row in sorted((row for row in columns if row["pk"]), key=lambda row: row["pk"]))
    indexes = _indexes(connection, name.name)
    collations = {name: collation for index in indexes if index["unique"] for name, collation in index["collations"]}
    natives = declared = {row["name"]: row["type"] or "" for row in columns}
    unknown = {each for each, native in declared.items() if native in (_UNDECLARED if view else ("",))}
    natives = _inferred(connection, quoted(name.name), declared, unknown)
    # A rowid table whose single INTEGER key has no index of its own is keyed by the rowid itself.
    rowid_key = (
        len(primary) == 1
        and not without_rowid
        and declared[primary[0]].upper() == "INTEGER"
        and not any(index["origin"] == "pk" for index in indexes)
    )
    shapes = tuple(
        column_shape(
            row["name"],
            natives[row["name"]],
            nullable=not (row["notnull"] or (row["pk"] and (without_rowid or rowid_key))),
            generated=row["hidden"] in (2, 3),
            identity=bool(row["pk"]) and rowid_key,
            default=row["dflt_value"] is not None,
            collation=collations.get(row["name"]),
            inferred=row["name"] in unknown,
        )
        for row in columns
    )
    wide = _is_wide(connection)
    shapes = tuple(_of_wide(each) for each in shapes) if wide else shapes
    uniques = {frozenset(index["columns"]) for index in indexes if index["unique"]}
    ordered = {key for index in indexes for key in _binary_prefixes(index, natives, wide=wide)}
    if primary:
        uniques.add(frozenset(primary))
    if rowid_key:
        ordered.add(primary)
    links = references(connection, name.name)
    return TableShape(
        name,
        shapes,
        primary,
        frozenset(uniques),
        _foreign_keys(links, name),
        frozenset(ordered),
        unwritable=_unheld(links),
    )


def describe_query(connection: Connection, query: str) -> TableShape:
    """The columns of a query, as a temporary view shows them; what has no declared type is told by its values."""
    connection.ask(f"CREATE TEMP VIEW {QUERY_VIEW} AS {query.strip().rstrip(';')}\n")
    try:
        columns = connection.rows("SELECT name, type FROM pragma_table_xinfo(?1) ORDER BY cid", (QUERY_VIEW,))
        names = {row["name"] for row in columns}
        twice = next((name for name in sorted(names) if re.sub(r":\d+$", "", name) in names - {name}), None)
        if twice is not None:  # SQLite calls the second of two columns `a` `a:1`
            raise SpecError(
                f"A query answers with two columns named {twice.rpartition(':')[0]!r}.", fix="name them apart with AS."
            )
        declared = {row["name"]: row["type"] or "" for row in columns}
        unknown = {name for name, native in declared.items() if native in _UNDECLARED}
        natives = _inferred(connection, QUERY_VIEW, declared, unknown)
    finally:
        connection.ask(f"DROP VIEW {QUERY_VIEW}")
    shapes = (column_shape(each, natives[each], inferred=each in unknown) for each in natives)
    return TableShape(TableName("(query)"), tuple(shapes))


def _inferred(
    connection: Connection, source: str, natives: Mapping[str, str], unknown: Collection[str]
) -> dict[str, str]:
    """A declared type for each of the columns that have none: that of most of its values. The others are read as broken claims.

    Numbers are REAL where one of them is, but for integers that no float holds: then NUMERIC.
    """
    kinds = [f"typeof({{c}}) = '{each}'" for each in ("integer", "real", "text", "blob")]
    kinds.append(f"typeof({{c}}) = 'integer' AND {{c}} NOT BETWEEN -{EXACT_FLOAT} AND {EXACT_FLOAT}")
    names, found = [name for name in natives if name in unknown], dict(natives)
    for some in (names[i : i + COLUMNS_AT_ONCE] for i in range(0, len(names), COLUMNS_AT_ONCE)):
        tests = [f"coalesce(sum({test.format(c=quoted(name))}), 0)" for name in some for test in kinds]
        listed = ", ".join(f"{test} AS t{i}" for i, test in enumerate(tests))
        counts = iter(connection.ask(f"SELECT {listed} FROM {source}").to_pylist()[0].values())  # noqa: S608 - quoted
        found |= {name: _most(*(int(next(counts)) for _ in kinds)) for name in some}
    return found


def _most(integers: int, reals: int, texts: int, blobs: int, beyond: int) -> str:
    if integers + reals > max(texts, blobs):
        return "INTEGER" if not reals else "NUMERIC" if beyond else "REAL"
    return "BLOB" if blobs > texts else "TEXT"


def _indexes(connection: Connection, name: str) -> list[dict[str, Any]]:
    """Indexes over plain columns of all rows."""
    found = []
    for index in connection.rows("SELECT * FROM pragma_index_list(?1) WHERE partial = 0", (name,)):
        terms = connection.rows("SELECT * FROM pragma_index_xinfo(?1) WHERE key = 1 ORDER BY seqno", (index["name"],))
        if all(term["cid"] >= 0 for term in terms):
            binary = [term["coll"].upper() == "BINARY" and not term["desc"] for term in terms]
            columns = tuple(term["name"] for term in terms)
            collations = [(term["name"], term["coll"]) for term in terms if term["coll"].upper() != "BINARY"]
            unique = bool(index["unique"])
            found.append(
                {
                    "columns": columns,
                    "binary": binary,
                    "unique": unique,
                    "origin": index["origin"],
                    "collations": collations,
                }
            )
    return found


def _is_wide(connection: Connection) -> bool:
    """Whether texts are stored as UTF-16: compared by those bytes, and without U+FFFE and U+FFFF, which become U+FFFD."""
    return str(connection.rows("PRAGMA encoding")[0]["encoding"]) != "UTF-8"


def _of_wide(column: ColumnShape) -> ColumnShape:
    return replace(column, characters=WIDE) if pa.types.is_string(column.type) else column


def _binary_prefixes(index: dict[str, Any], natives: dict[str, str], *, wide: bool) -> list[Key]:
    """The leading columns of an index whose order is the binary order of the travel form. `wide`: texts are UTF-16."""
    prefixes: list[Key] = []
    for position, (name, binary) in enumerate(zip(index["columns"], index["binary"], strict=True)):
        if not binary or not raw_order(natives[name]) or (wide and kind_of(natives[name]) == "text"):
            break
        prefixes.append(index["columns"][: position + 1])
    return prefixes


@dataclass(frozen=True, slots=True)
class Reference:
    """A foreign key as it was declared. `broken` says why its columns have no pairs; `there` is not to be looked at then."""

    columns: Key
    parent: str
    there: Key
    on_update: str = "NO ACTION"
    on_delete: str = "NO ACTION"
    broken: str = ""


def references(connection: Connection, name: str) -> list[Reference]:
    """The foreign keys of a table, in the order of their declaration, with every name as its table spells it.

    SQLite takes any: one to a table or to columns that are not there, or to fewer columns than refer to them.
    """
    grouped: dict[int, list[dict[str, Any]]] = {}
    for row in connection.rows("SELECT * FROM pragma_foreign_key_list(?1) ORDER BY id, seq", (name,)):
        grouped.setdefault(row["id"], []).append(row)
    found = []
    for _, rows in sorted(grouped.items()):
        own, told = tuple(str(row["from"]) for row in rows), str(rows[0]["table"])
        actions = (str(rows[0]["on_update"]), str(rows[0]["on_delete"]))
        here = connection.rows(
            "SELECT name FROM pragma_table_list(?1) WHERE schema = 'main' AND type <> 'shadow'", (told,)
        )
        if not here:
            there = tuple(str(row["to"]) for row in rows)
            why = "there is no such table" if any(row["to"] is None for row in rows) else ""
            found.append(Reference(own, told, there, *actions, why))
            continue
        parent = str(here[0]["name"])
        columns = connection.rows("SELECT name, pk FROM pragma_table_xinfo(?1)", (parent,))
        spelled = {folded(row["name"]): str(row["name"]) for row in columns}
        if any(row["to"] is None for row in rows):  # REFERENCES parent, without columns: its primary key
            primary = sorted((row for row in columns if row["pk"]), key=lambda row: row["pk"])
            there = tuple(str(row["name"]) for row in primary)
            why = "it has no primary key" if not there else "its primary key has another number of columns"
            found.append(Reference(own, parent, there, *actions, "" if len(there) == len(own) else why))
            continue
        there = tuple(spelled.get(folded(row["to"]), str(row["to"])) for row in rows)
        lost = [each for each in there if folded(each) not in spelled]
        why = f"it has no column {lost[0]}" if lost else ""
        if not why and set(there) not in _unique_columns(connection, parent, columns):
            why = f"it has no unique index over ({', '.join(there)})"
        found.append(Reference(own, parent, there, *actions, why))
    return found


def referrers(connection: Connection, table: TableName) -> list[TableName]:
    """See `Catalog.referrers`."""
    rows = connection.rows(
        "SELECT DISTINCT m.name FROM sqlite_schema m, pragma_foreign_key_list(m.name) f "
        """WHERE m.type = 'table' AND f."table" = ?1 COLLATE NOCASE""",
        (table.name,),
    )
    return sorted(TableName(row["name"], table.schema) for row in rows)


def _unique_columns(connection: Connection, name: str, columns: Sequence[Mapping[str, Any]]) -> list[set[str]]:
    """The column sets of a table that foreign keys can refer to."""
    rows = connection.rows(
        'SELECT l.seq AS number, x.name FROM pragma_index_list(?1) l, pragma_index_xinfo(l.name) x WHERE l."unique" = 1 '
        "AND l.partial = 0 AND x.key = 1",
        (name,),
    )
    grouped: dict[int, set[str]] = {}
    for row in rows:
        grouped.setdefault(row["number"], set()).add(str(row["name"]))
    return [{str(row["name"]) for row in columns if row["pk"]}, *grouped.values()]


def _unheld(links: Sequence[Reference]) -> str | None:
    """Why SQLite refuses whatever is written into a table, once it heeds foreign keys."""
    for each in links:
        if each.broken:
            return (
                f"has a foreign key ({', '.join(each.columns)}) to {each.parent}, of which SQLite says a mismatch with every row: "
                f"{each.broken}. Fix: make that unique in {each.parent}, or take the foreign key away."
            )
    return None


def _foreign_keys(links: Sequence[Reference], name: TableName) -> tuple[ForeignKey, ...]:
    """Those whose columns have pairs, in a table that is not there too: no row finds one there."""
    return tuple(
        ForeignKey(
            each.columns,
            TableName(each.parent, name.schema),
            each.there,
            deferrable=True,  # PRAGMA defer_foreign_keys takes any
            on_delete=each.on_delete.replace("NO ACTION", ""),
            on_update=each.on_update.replace("NO ACTION", ""),
        )
        for each in links
        if not each.broken
    )


def folded(name: str) -> str:
    """A name as SQLite compares it: the case of ASCII letters counts for nothing."""
    return "".join(each.lower() if each.isascii() else each for each in name)
