"""DuckDB SQL over Arrow batches, with every way out of the process shut."""

from __future__ import annotations

import json
import re
import threading
from collections.abc import Collection, Iterable, Iterator, Mapping
from functools import cache

import duckdb
import pyarrow as pa

from transforms.vocabulary import Meaning, SpecError

_local = threading.local()
_guard = threading.Lock()
_SOURCE = "source"
_TEXT = "{}::VARCHAR"
_AS_TEXT: dict[str, tuple[Meaning, str]] = {
    "INTERVAL": (  # as PostgreSQL writes it: 1 mon for 1 month, -1 days for -1 day, and a + behind what is negative
        "interval",
        r"""regexp_replace(regexp_replace(regexp_replace({}::VARCHAR, '\bmonth', 'mon', 'g'),
        '(-1 (year|mon|day))( |$)', '\1s\3', 'g'), '(-\d+ \w+ )(\d)', '\1+\2', 'g')""",
    ),
    "BIGNUM": ("decimal", _TEXT),
    "BIT": ("plain", _TEXT),
    "TIME WITH TIME ZONE": ("plain", _TEXT),
}
"""Types of DuckDB that travel as text: what is meant, and the SQL."""
_ROW_FAULTS = (duckdb.ConversionException, duckdb.OutOfRangeException, duckdb.InvalidInputException)


def quoted(name: str) -> str:
    """A name as DuckDB reads it back unchanged."""
    return '"' + name.replace('"', '""') + '"'


@cache
def _database() -> duckdb.DuckDBPyConnection:
    """A DuckDB in memory: external access off, no view of Python variables, settings locked. Each thread works for itself."""
    database = duckdb.connect(":memory:", config={"threads": 1})
    database.execute("SET GLOBAL TimeZone = 'UTC'")
    database.execute("SET GLOBAL python_enable_replacements = false")
    database.execute("SET autoinstall_known_extensions = false")
    database.execute("SET autoload_known_extensions = false")
    database.execute("SET enable_external_access = false")
    database.execute("SET lock_configuration = true")
    return database


def _connection() -> duckdb.DuckDBPyConnection:
    """One connection a thread, all to the same DuckDB: every run has new threads, and a new DuckDB takes them 25 ms."""
    connection: duckdb.DuckDBPyConnection | None = getattr(_local, "connection", None)
    if connection is None:
        with _guard:
            connection = _local.connection = _database().cursor()
    return connection


def select(rows: pa.Table, expressions: Mapping[str, str]) -> pa.Table:
    """Evaluate each SQL expression once a row.

    In: expressions over the columns of `rows`, trusted as the spec is.
    Out: one column an expression, under its name, in DuckDB's type for it, or as text (_AS_TEXT). Order: that of `rows`.
    Errors: duckdb.Error as it comes, also where a single row cannot be evaluated (see `evaluate`).
    """
    connection = _connection()
    wanted = ", ".join(f"({sql}\n) AS {quoted(name)}" for name, sql in expressions.items())
    connection.register(_SOURCE, rows)
    try:
        relation = connection.sql(f"SELECT {wanted} FROM {_SOURCE}")  # noqa: S608
        kinds = list(map(str, relation.types))
        if any(kind in _AS_TEXT for kind in kinds):
            spelled = (
                _AS_TEXT.get(kind, ("plain", "{}"))[1].replace("{}", quoted(name))
                for name, kind in zip(relation.columns, kinds, strict=True)
            )
            relation = relation.project(
                ", ".join(f"{text} AS {quoted(name)}" for name, text in zip(relation.columns, spelled, strict=True))
            )
        result: pa.Table = relation.to_arrow_table()
    finally:
        connection.unregister(_SOURCE)
    return result


def check(rows: pa.Schema, name: str, sql: str) -> pa.DataType:
    """The type of one expression over columns of that schema; see `typed`."""
    return typed(rows, name, sql)[0]


def typed(rows: pa.Schema, name: str, sql: str) -> tuple[pa.DataType, Meaning]:
    """The type of one expression over columns of that schema, and its meaning; SpecError where it cannot be bound.

    An expression answers for each row on its own: aggregates and windows would make the result depend on how
    the rows were cut, and are refused.
    """
    connection = _connection()
    try:
        two = pa.table([pa.nulls(2, field.type) for field in rows], schema=rows)
        result = select(two, {name: sql})
        kinds = connection.execute("SELECT json_serialize_sql(?)", [f"SELECT {sql}"]).fetchall()
    except duckdb.Error as error:
        raise SpecError(_first_line(error)) from error
    if result.num_columns != 1:
        raise SpecError(
            f"Expression {sql!r} gives {result.num_columns} columns.", fix="write one column a target column."
        )
    if result.num_rows < 2:
        raise SpecError(f"Expression {sql!r} aggregates over rows.", fix="use an expression of a single row.")
    if result.num_rows > 2 or '"function_name":"unnest"' in str(kinds[0][0]).lower():
        raise SpecError(f"Expression {sql!r} makes several rows of one.", fix="use an expression of a single row.")
    if '"class":"WINDOW"' in str(kinds[0][0]) or '"class":"SUBQUERY"' in str(kinds[0][0]):
        raise SpecError(f"Expression {sql!r} looks at other rows.", fix="use an expression of a single row.")
    kind: pa.DataType = result.schema.field(0).type
    native = _native(two, sql)
    if not _travels(kind):
        raise SpecError(
            f"Expression {sql!r} gives a {native}, which no column takes.",
            fix="make a text of it there, such as to_json(…)::VARCHAR.",
        )
    return kind, _AS_TEXT.get(native, ("plain", ""))[0]


def _native(rows: pa.Table, sql: str) -> str:
    """DuckDB's own name of an expression's type."""
    connection = _connection()
    connection.register(_SOURCE, rows)
    try:
        return str(connection.sql(f"SELECT ({sql}\n) FROM {_SOURCE}").types[0])  # noqa: S608
    finally:
        connection.unregister(_SOURCE)


def _travels(kind: pa.DataType) -> bool:
    types = pa.types
    if types.is_list(kind) or types.is_large_list(kind):
        return _travels(kind.value_type)
    nested = types.is_nested(kind) or types.is_fixed_size_list(kind) or isinstance(kind, pa.BaseExtensionType)
    return not (nested or types.is_interval(kind))


_COMPARING = {"COMPARISON", "CONJUNCTION", "OPERATOR", "BETWEEN", "CONSTANT", "COLUMN_REF"}


def means_the_same(sql: str) -> bool:
    """Whether a condition only compares columns with constants, so that every engine reads it alike (but for collations)."""
    try:
        answer = _connection().execute("SELECT json_serialize_sql(?)", [f"SELECT {sql}"]).fetchall()
    except duckdb.Error:
        return False
    tree = json.loads(answer[0][0])
    if tree.get("error"):
        return False
    (wanted,) = tree["statements"][0]["node"]["select_list"]

    def classes(node: object) -> Iterator[str]:
        inner = node if isinstance(node, list) else list(node.values()) if isinstance(node, dict) else []
        if isinstance(node, dict) and "class" in node:
            yield str(node["class"])
        for each in inner:
            yield from classes(each)

    return set(classes(wanted)) <= _COMPARING


_TODAY = re.compile(r"\b(now|today|tomorrow|yesterday)\b", re.IGNORECASE)
CLOCKED = frozenset({"age"})
"""Functions that read the clock in one of their forms, although DuckDB calls them consistent."""


def steady(sql: str, names: Collection[str]) -> bool:
    """Whether an expression over columns of some names gives the same for the same values whenever it is asked: false where it may
    not, and where nobody can tell."""
    answer = _connection().execute("SELECT json_serialize_sql(?)", [f"SELECT {sql}"]).fetchall()
    tree = json.loads(answer[0][0])
    known = {name.lower() for name in names}
    return not tree.get("error") and all(
        _is_steady(function) if function else column in known for column, function in _named_in(tree, frozenset())
    )


def timeless(condition: str, names: Collection[str]) -> bool:
    """Whether a condition, in whatever engine's SQL, answers for the same row always the same: it compares columns of some names
    with constants, none of which PostgreSQL takes for a time of today."""
    return means_the_same(condition) and steady(condition, names) and not _TODAY.search(condition)


def _named_in(node: object, own: frozenset[str]) -> Iterator[tuple[str, str]]:
    """The columns and functions that a parsed expression names, in lower case, one of both empty; not the parameters of its lambdas."""
    if isinstance(node, list):
        for each in node:
            yield from _named_in(each, own)
    elif isinstance(node, dict):
        if node.get("class") == "LAMBDA":
            own |= {column for column, _ in _named_in(node.get("lhs"), frozenset()) if column}
        if node.get("class") == "COLUMN_REF" and (name := str(node["column_names"][0]).lower()) not in own:
            yield name, ""  # CURRENT_DATE and the like are parsed as columns
        if function := node.get("function_name"):
            yield "", str(function).lower()
        for each in node.values():
            yield from _named_in(each, own)


@cache
def _is_steady(function: str) -> bool:
    query = "SELECT stability, macro_definition, parameters FROM duckdb_functions() WHERE function_name = ?"
    found = _connection().execute(query, [function]).fetchall()
    return (
        bool(found)
        and function not in CLOCKED
        and all(
            stability == "CONSISTENT" if macro is None else steady(macro, parameters)
            for stability, macro, parameters in found
        )
    )


def columns(sql: str) -> set[str]:
    """The columns that an expression names; SpecError where it cannot be parsed."""
    try:
        answer = _connection().execute("SELECT json_serialize_sql(?)", [f"SELECT {sql}"]).fetchall()
    except duckdb.Error as error:
        raise SpecError(_first_line(error)) from error
    tree = json.loads(answer[0][0])
    if tree.get("error"):
        raise SpecError(f"Expression {sql!r} cannot be parsed: {tree.get('error_message', '')}".strip())
    found: set[str] = set()
    lambdas: set[str] = set()

    def walk(node: object) -> None:
        if isinstance(node, list):
            for item in node:
                walk(item)
        elif isinstance(node, dict):
            if node.get("class") == "COLUMN_REF":
                found.add(str(node["column_names"][-1]))
            if node.get("class") == "LAMBDA":
                walk_lambda(node)
            for item in node.values():
                walk(item)

    def walk_lambda(node: dict[str, object]) -> None:
        left = node.get("lhs")
        if isinstance(left, dict) and left.get("class") == "COLUMN_REF":
            lambdas.update(str(name) for name in left.get("column_names", []))

    walk(tree)
    return found - lambdas


def named(sql: str, names: Iterable[str]) -> tuple[str, ...]:
    """Those of some columns that an expression names, in their own order: DuckDB finds them in any case."""
    read = {name.lower() for name in columns(sql)}
    return tuple(name for name in names if name.lower() in read)


def evaluate(rows: pa.Table, name: str, sql: str) -> tuple[pa.ChunkedArray, dict[int, str]]:
    """One expression over all rows, and the rows that it cannot be evaluated for.

    Out: the values, null in faulty rows; the fault of each such row by its position.
    The faulty rows are found by halving, so that one bad value in a hundred thousand costs some 17 evaluations.
    Errors: SpecError where the expression is wrong for every row alike.
    """
    try:
        return select(rows, {name: sql}).column(0), {}
    except _ROW_FAULTS as error:
        if rows.num_rows <= 1:
            kind = check(rows.schema, name, sql)
            return pa.chunked_array([pa.nulls(rows.num_rows, kind)]), {0: _first_line(error)}
        middle = rows.num_rows // 2
        left, left_faults = evaluate(rows.slice(0, middle), name, sql)
        right, right_faults = evaluate(rows.slice(middle), name, sql)
        faults = left_faults | {middle + row: fault for row, fault in right_faults.items()}
        return pa.chunked_array([*left.chunks, *right.chunks], type=left.type), faults
    except duckdb.Error as error:
        raise SpecError(
            f"Expression {sql!r} of column {name}: {_first_line(error)}",
            fix="correct the SQL: DuckDB's, over the source's columns.",
        ) from error


def as_json(rows: pa.Table) -> pa.ChunkedArray:
    """Each row as one JSON object, for people to read in quarantine."""
    if not rows.num_rows or not rows.num_columns:
        return pa.chunked_array([pa.array(["{}"] * rows.num_rows, pa.string())])
    fields = ", ".join(f"{quoted(name)} := {_json_value(rows.schema.field(name))}" for name in rows.column_names)
    return select(rows, {"json": f"to_json(struct_pack({fields}))::VARCHAR"}).column(0)


def as_json_keys(rows: pa.Table, key: tuple[str, ...]) -> pa.ChunkedArray:
    """The key of each row as a JSON array, so that ('a|b', 'c') and ('a', 'b|c') stay different."""
    values = ", ".join(_json_value(rows.schema.field(name)) for name in key)
    return select(rows, {"key": f"json_array({values})::VARCHAR"}).column(0)


def json_key(rows: pa.Table, key: tuple[str, ...] | None = None, *, at: int = 0) -> str:
    """The key of one row, as `as_json_keys` writes it; without `key` all its columns."""
    return str(as_json_keys(rows.slice(at, 1), tuple(rows.column_names) if key is None else key)[0].as_py())


def from_json_keys(texts: pa.Array, schema: pa.Schema) -> pa.Table:
    """The keys that `as_json_keys` wrote of rows of that schema; null for a value that is none of its type."""
    connection = _connection()
    connection.register(_SOURCE, schema.empty_table())
    try:
        kinds = list(map(str, connection.sql(f"SELECT * FROM {_SOURCE}").types))  # noqa: S608
    finally:
        connection.unregister(_SOURCE)
    values = {
        name: f"TRY_CAST(json_extract_string(key, '$[{at}]') AS {kind})"
        for at, (name, kind) in enumerate(zip(schema.names, kinds, strict=True))
    }
    return select(pa.table({"key": texts}), values).cast(schema)


def _json_value(field: pa.Field) -> str:
    numbers = pa.types.is_integer(field.type) or pa.types.is_boolean(field.type)
    return quoted(field.name) if numbers else f"{quoted(field.name)}::VARCHAR"


def _first_line(error: duckdb.Error) -> str:
    return str(error).strip().splitlines()[0]
