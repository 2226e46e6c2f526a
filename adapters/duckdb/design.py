# ruff: noqa: S608 - SQL is made of quoted identifiers and quoted literals
"""What a DuckDB table has beyond columns and keys, statements tried out in memory, and sequences moved on."""

from __future__ import annotations

from collections.abc import Sequence

import duckdb

from adapters.duckdb.catalog import HERE, Asking, filled, indexed, name_parts, sequence_of, spelled_as
from adapters.duckdb.types import quoted
from transforms.vocabulary import Design, Key, TableName
from transforms.vocabulary.features import Feature, in_order

NUMBERS_AT_ONCE = 10_000_000  # taken from a sequence in a third of a second


def design(session: Asking, name: TableName) -> Design:
    """Out of the catalog."""
    here = [name.name, name.schema]
    columns = filled(session, here)
    checks = session.rows(
        f"SELECT expression AS e FROM duckdb_constraints() WHERE {HERE} AND constraint_type = 'CHECK' ORDER BY constraint_index",
        here,
    )
    keys = session.rows(
        f"SELECT constraint_column_names AS c FROM duckdb_constraints() WHERE {HERE} AND constraint_type = 'PRIMARY KEY'",
        here,
    )
    known = [row["n"] for row in session.rows(f"SELECT column_name AS n FROM duckdb_columns() WHERE {HERE}", here)]
    own = [row["n"] for row in columns if not row["g"] and sequence_of(row["d"]) is not None]
    plain: list[Key] = []
    numbered = [spelled_as(row["c"], known) for row in keys]
    features = [Feature("default", (name,), {"sql": "nextval"}) for name in own if (name,) not in numbered]
    indexes = f"SELECT index_name AS n, sql, is_unique AS u FROM duckdb_indexes() WHERE {HERE} ORDER BY index_oid"
    for row in session.rows(indexes, here):
        listed = spelled_as(indexed(row["sql"]), known)
        if not all(each in known for each in listed):
            facts = {"name": row["n"], "sql": row["sql"].rstrip(";")}
            features.append(Feature("unique_index" if row["u"] else "index", (), facts))
        elif not row["u"]:
            plain.append(listed)
    remarks = (
        f"SELECT NULL AS n, comment AS c FROM duckdb_tables() WHERE {HERE} AND comment IS NOT NULL "
        f"UNION ALL SELECT column_name, comment FROM duckdb_columns() WHERE {HERE} AND comment IS NOT NULL"
    )
    for row in session.rows(remarks, here):
        features.append(Feature("comment", (row["n"],) if row["n"] is not None else (), {"sql": row["c"]}))
    return Design(
        defaults=tuple((row["n"], row["d"]) for row in columns if not row["g"] and sequence_of(row["d"]) is None),
        generated=tuple((row["n"], row["d"]) for row in columns if row["g"]),
        checks=tuple(row["e"] for row in checks),
        indexes=tuple(dict.fromkeys(plain)),
        features=in_order(*features),
        hooks=in_order(*(each for each in features if each.kind == "unique_index")),
    )


def besides(session: Asking, schema: str | None) -> list[Feature]:
    """Views and macros."""
    here = "database_name = current_database() AND schema_name = coalesce($1, current_schema())"
    found = session.rows(
        f"SELECT 'view' AS kind, view_name AS name FROM duckdb_views() WHERE {here} AND NOT internal UNION ALL "
        f"SELECT DISTINCT 'macro', function_name FROM duckdb_functions() WHERE {here} AND NOT internal "
        "AND function_type IN ('macro', 'table_macro')",
        [schema],
    )
    return list(in_order(*(Feature(row["kind"], (), {"name": row["name"]}) for row in found)))


def tried(cursor: duckdb.DuckDBPyConnection, statements: Sequence[str], schemas: Sequence[str]) -> str | None:
    """Why DuckDB refuses the statements in an empty database, None where it does not."""
    try:
        for schema in schemas:
            cursor.execute(f"CREATE SCHEMA IF NOT EXISTS {quoted(schema)}")
        for statement in statements:
            cursor.execute(statement)
    except duckdb.Error as error:
        return " ".join(str(error).split())
    return None


def numbers_missing(session: Asking, table: TableName, column: str) -> tuple[str, int, int] | None:
    """The column's sequence, how far it is, and its largest value, where the sequence has to be moved on."""
    rows = session.rows(
        f"SELECT column_default AS d FROM duckdb_columns() WHERE {HERE} AND column_name = $3",
        [table.name, table.schema, column],
    )
    sequence = sequence_of(rows[0]["d"]) if rows and rows[0]["d"] else None
    if sequence is None:
        return None
    *schema, name = name_parts(sequence)
    state = session.rows(
        "SELECT last_value AS last, start_value AS first FROM duckdb_sequences() WHERE database_name = "
        "current_database() AND sequence_name = $1 AND schema_name = coalesce($2, current_schema())",
        [name, schema[-1] if schema else None],
    )[0]
    highest = session.rows(f"SELECT max({quoted(column)}) AS n FROM {spelled(table)}")[0]["n"]
    last = state["last"] if state["last"] is not None else state["first"] - 1
    return (sequence, last, int(highest)) if highest is not None and highest > last else None


def literal(text: str) -> str:
    return "'" + text.replace("'", "''") + "'"


def spelled(table: TableName) -> str:
    return ".".join(quoted(part) for part in (table.schema, table.name) if part)
