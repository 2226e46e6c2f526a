"""What DuckDB's catalog tells about its tables."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Any, Final, Literal, Protocol

from adapters.duckdb.capabilities import CAPABILITIES
from adapters.duckdb.types import COLLATED, column_shape, quoted, sortable
from adapters.sql.names import folded
from transforms.vocabulary import ColumnShape, ForeignKey, Key, SpecError, TableName, TableShape

HERE: Final = "database_name = current_database() AND table_name = $1 AND schema_name = coalesce($2, current_schema())"
_COMPUTING: Final = re.compile(r"GENERATED ALWAYS AS", re.IGNORECASE)  # in a default's text it may stand, too
_NAME: Final = r'(?:"((?:[^"]|"")*)"|([^\s".,()]+))'


class Asking(Protocol):
    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]: ...


def tables(session: Asking, schema: str | None) -> list[str]:
    rows = session.rows(
        "SELECT table_name FROM duckdb_tables() WHERE database_name = current_database() AND NOT internal "
        "AND NOT temporary AND schema_name = coalesce($1, current_schema()) ORDER BY encode(table_name)",
        [schema],
    )
    return [row["table_name"] for row in rows]


def named(session: Asking, name: TableName) -> TableName:
    """A table or view as the catalog spells it, whatever the case that is asked for."""
    own = folded(name.name, CAPABILITIES.names.tables)
    found = _named(session, name, "table")
    if not any(folded(row["t"], CAPABILITIES.names.tables) == own for row in found if row["t"] is not None):
        found += _named(session, name, "view")  # after the tables: see `_computed`
    schema = spelled_as([name.schema or ""], (row["s"] for row in found))[0] if name.schema is not None else None
    return TableName(spelled_as([name.name], (row["t"] for row in found if row["t"] is not None))[0], schema)


def _named(session: Asking, name: TableName, kind: Literal["table", "view"]) -> list[dict[str, Any]]:
    """Schemas `s` with that name, and tables or views `t` in them."""
    return session.rows(
        "SELECT schema_name AS s, NULL AS t FROM duckdb_schemas() WHERE database_name = current_database() "  # noqa: S608
        f"AND lower(schema_name) = lower($2) UNION ALL SELECT schema_name, {kind}_name FROM duckdb_{kind}s() "
        f"WHERE database_name = current_database() AND lower({kind}_name) = lower($1) "
        "AND lower(schema_name) = lower(coalesce($2, current_schema()))",
        [name.name, name.schema],
    )


def filled(session: Asking, here: Sequence[Any]) -> list[dict[str, Any]]:
    """The columns with a default or an expression: name `n`, its text `d`, and `g`, whether they are generated."""
    made = session.rows(f"SELECT database_name AS d, schema_name AS s FROM duckdb_tables() WHERE {HERE}", here)  # noqa: S608
    if made and not any(row["column_default"] for row in _columns(session, [made[0]["d"], made[0]["s"], here[0]])):
        return []  # without the answer that takes its time: see `_computed`
    return session.rows(
        "SELECT column_name AS n, column_default AS d, is_generated AS g FROM duckdb_columns() "  # noqa: S608
        f"WHERE {HERE} AND column_default IS NOT NULL ORDER BY column_index",
        here,
    )


def describe(session: Asking, name: TableName) -> TableShape | None:
    """The shape of a table or a view."""
    here = [name.name, name.schema]
    made = session.rows(
        f"SELECT database_name AS d, schema_name AS s, sql FROM duckdb_tables() WHERE {HERE}",  # noqa: S608
        here,
    )
    columns = _columns(session, [made[0]["d"], made[0]["s"], name.name]) if made else _computed(session, here)
    if made and any(row["column_default"] for row in columns) and _COMPUTING.search(made[0]["sql"]):
        columns = _computed(session, here)
    if not columns:
        return None
    constraints = session.rows(
        "SELECT constraint_type AS kind, constraint_name AS called, constraint_column_names AS columns, referenced_table AS refers, "  # noqa: S608
        f"referenced_column_names AS refers_columns FROM duckdb_constraints() WHERE {HERE} ORDER BY constraint_index",
        here,
    )
    primary = next((tuple(row["columns"]) for row in constraints if row["kind"] == "PRIMARY KEY"), ())
    primary = spelled_as(primary, [row["column_name"] for row in columns])
    collations = _collations(made[0]["sql"]) if made else {}
    shapes = tuple(_column(row, primary, collations) for row in columns)
    names = [each.name for each in shapes]
    indexes = [spelled_as(row["columns"], names) for row in constraints if row["kind"] in ("PRIMARY KEY", "UNIQUE")]
    indexes += _unique_indexes(session, here, names)
    foreign = tuple(_foreign_key(session, name, names, row) for row in constraints if row["kind"] == "FOREIGN KEY")
    by_name = {each.name: each for each in shapes}
    ordered = {
        each[:length]
        for each in indexes
        for length in range(1, len(each) + 1)
        if all(sortable(by_name[column]) for column in each[:length])
    }
    return TableShape(name, shapes, primary, frozenset(map(frozenset, indexes)), foreign, frozenset(ordered))


def _columns(session: Asking, parts: Sequence[str]) -> list[dict[str, Any]]:
    """The columns of a table by its full name; for computed ones the expression stands where others have their default."""
    return session.rows(
        'SELECT name AS column_name, type AS data_type, NOT "notnull" AS is_nullable, dflt_value AS column_default, '
        "false AS is_generated FROM pragma_table_info($1) ORDER BY cid",
        [".".join(map(quoted, parts))],
    )


def _computed(session: Asking, here: Sequence[Any]) -> list[dict[str, Any]]:
    """The columns of a table or view, and which of them are computed.

    To answer, DuckDB prepares every view of its own catalogs: the first time this takes as long as to open a file.
    """
    return session.rows(
        "SELECT column_name, data_type, is_nullable, column_default, is_generated FROM duckdb_columns() "  # noqa: S608
        f"WHERE {HERE} ORDER BY column_index",
        here,
    )


def _foreign_key(session: Asking, name: TableName, names: Sequence[str], row: dict[str, Any]) -> ForeignKey:
    """A foreign key, with every name as its table spells it: the catalog has them as the statement did."""
    listed = session.rows(
        "SELECT database_name AS d, schema_name AS s, table_name AS t FROM duckdb_tables() WHERE database_name = "
        "current_database() AND lower(table_name) = lower($1) AND schema_name = coalesce($2, current_schema())",
        [row["refers"], name.schema],
    )
    own = folded(row["refers"], CAPABILITIES.names.tables)
    there = [each for each in listed if folded(each["t"], CAPABILITIES.names.tables) == own]
    refers = TableName(there[0]["t"] if there else row["refers"], name.schema)
    known = [each["column_name"] for each in (_columns(session, list(there[0].values())) if there else ())]
    columns, there_columns = spelled_as(row["columns"], names), spelled_as(row["refers_columns"], known)
    return ForeignKey(columns, refers, there_columns, name=row["called"] or "")


def referrers(session: Asking, table: TableName) -> list[TableName]:
    """See `Catalog.referrers`: foreign keys stay in their schema."""
    rows = session.rows(
        "SELECT DISTINCT table_name AS n, referenced_table AS refers FROM duckdb_constraints() "
        "WHERE database_name = current_database() AND constraint_type = 'FOREIGN KEY' "
        "AND schema_name = coalesce($1, current_schema())",
        [table.schema],
    )
    fold = CAPABILITIES.names.tables  # lower() goes further: it takes É and é for one letter
    own = folded(table.name, fold)
    return sorted({TableName(row["n"], table.schema) for row in rows if folded(row["refers"], fold) == own})


def spelled_as(told: Iterable[str], names: Iterable[str]) -> Key:
    """Names in any case as those are spelled that DuckDB takes them for; others as they are."""
    known = {folded(each, CAPABILITIES.names.columns): each for each in names}
    return tuple(known.get(folded(each, CAPABILITIES.names.columns), each) for each in told)


def describe_query(session: Asking, query: str) -> TableShape:
    rows = session.rows(f"SELECT column_name, column_type FROM (DESCRIBE {query.strip().rstrip(';')}\n)")  # noqa: S608
    names = [row["column_name"] for row in rows]
    twice = next((name for name in names if names.count(name) > 1), None)
    if twice is not None:
        raise SpecError(f"A query answers with two columns named {twice!r}.", fix="name them apart with AS.")
    return TableShape(TableName("(query)"), tuple(column_shape(row["column_name"], row["column_type"]) for row in rows))


def _column(row: dict[str, Any], primary: Key, collations: dict[str, str]) -> ColumnShape:
    name, default = row["column_name"], row["column_default"]
    native = row["data_type"]
    if native == "VARCHAR" and name in collations:
        native = COLLATED + collations[name]
    sequence = default is not None and sequence_of(default) is not None
    return column_shape(
        name,
        native,
        nullable=row["is_nullable"] and name not in primary,
        generated=bool(row["is_generated"]),
        identity=sequence and primary == (name,),
        default=default is not None and not row["is_generated"],
    )


def _collations(create: str) -> dict[str, str]:
    """The columns whose collation is not binary: only the CREATE TABLE statement tells."""
    found = re.findall(rf"[(,]\s*{_NAME}\s+VARCHAR\s+COLLATE\s+\"?(\w+)\"?", create)
    return {quoted.replace('""', '"') or bare: collation for quoted, bare, collation in found}


def _unique_indexes(session: Asking, here: list[Any], names: list[str]) -> list[Key]:
    rows = session.rows(f"SELECT sql FROM duckdb_indexes() WHERE {HERE} AND is_unique", here)  # noqa: S608
    found = [spelled_as(indexed(row["sql"]), names) for row in rows]
    return [columns for columns in found if columns and all(each in names for each in columns)]


def indexed(create: str) -> Key:
    """The columns of an index; what is no column of the table tells of an expression."""
    listed = re.search(r"\sON\s+.*?\((.*)\);?\s*$", create, re.DOTALL)
    return tuple(quoted.replace('""', '"') or bare for quoted, bare in re.findall(_NAME, listed[1] if listed else ""))


def sequence_of(default: str) -> str | None:
    """The name of the sequence in a default, quoted as it stands there."""
    found = re.fullmatch(r"nextval\('((?:[^']|'')*)'\)", default.strip())
    return found[1].replace("''", "'") if found else None


def name_parts(quoted: str) -> list[str]:
    """The parts of a dotted, perhaps quoted name."""
    return [inner.replace('""', '"') or bare for inner, bare in re.findall(_NAME, quoted)]
