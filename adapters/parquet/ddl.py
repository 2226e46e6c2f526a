"""Tables that are yet to be made: their statements are DuckDB's, and what they come to is told by an empty DuckDB in memory."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import replace

import pyarrow as pa

from adapters.duckdb import catalog
from adapters.duckdb import ddl as duckdb_ddl
from adapters.duckdb.snapshot import Session
from adapters.duckdb.types import column_shape, declared, quoted, sortable
from adapters.parquet import memory
from adapters.parquet.manifest import Column, Manifest
from transforms.vocabulary import ColumnShape, Design, Key, SpecError, SynclineError, TableName, TableShape

TABLE = TableName("t")


def create_table(shape: TableShape) -> list[str]:
    """See `Definitions.ddl`. SpecError for what a folder of Parquet files cannot hold to."""
    refuse(shape)
    return duckdb_ddl.create_table(replace(shape, columns=tuple(map(stored, shape.columns))))


def add_columns(shape: TableShape, names: Sequence[str]) -> list[str]:
    """See `Definitions.adding`."""
    return duckdb_ddl.add_columns(replace(shape, columns=tuple(map(stored, shape.columns))), names)


def made(column: ColumnShape) -> ColumnShape:
    """See `Definitions.made`."""
    return replace(duckdb_ddl.made(stored(column)), identity=False, default=False)


def stored(column: ColumnShape) -> ColumnShape:
    """The column as it is asked of DuckDB: spans of time are texts, because Parquet has none of both signs."""
    if declared(column) == "INTERVAL":
        return replace(column, type=pa.string(), meaning="plain", native="VARCHAR")
    return column


def refuse(shape: TableShape) -> None:
    """SpecError for keys, checks and columns that need a database to hold to."""
    design = shape.design or Design()
    numbered = next((each.name for each in shape.columns if each.identity), None)
    key = frozenset(shape.primary_key)
    other = next((each for each in sorted(map(sorted, shape.uniques)) if frozenset(each) != key), None)
    found: Mapping[str, object] = {
        "a schema": shape.name.schema,
        "foreign keys": shape.foreign_keys,
        "indexes": design.indexes,
        "checks": design.checks,
        "defaults": design.defaults,
        "generated columns": design.generated,
        f"numbers of its own ({numbered})": numbered,
        f"unique columns beside its key ({', '.join(other or ())})": other,
    }
    wanted = next((what for what, there in found.items() if there), None)
    if wanted is not None:
        raise SpecError(
            f"{shape.name}: a table of Parquet files has no {wanted}.",
            fix="leave that out.",
        )
    if not key:
        raise SpecError(f"{shape.name}: a table of Parquet files needs a key.", fix="name it as `primary_key`.")


def after(statements: Sequence[str], known: Mapping[str, Manifest]) -> dict[str, Manifest]:
    """The tables as they are once the statements have run, by their names; those that are new have no parts.

    Errors: SynclineError as DuckDB refuses the statements, SpecError for tables that Parquet files cannot be.
    """
    with _empty(known) as session:
        for statement in statements:
            session.execute(statement)
        tables = {name: table_of(session, name) for name in catalog.tables(session, None)}
    return {
        name: replace(known[name], columns=found.columns, key=found.key) if name in known else found
        for name, found in tables.items()
    }


def tried(statements: Sequence[str], known: Mapping[str, Manifest]) -> str | None:
    """See `Definitions.tried`."""
    try:
        after(statements, known)
    except SynclineError as error:
        return " ".join(str(error.__cause__ or error).split())
    return None


def shape_of(manifest: Manifest, *, unwritable: str | None = None) -> TableShape:
    """What `describe` answers."""
    columns = tuple(column_shape(each.name, each.native, nullable=each.nullable) for each in manifest.columns)
    by_name = {each.name: each for each in columns}
    prefixes = [manifest.key[:length] for length in range(1, len(manifest.key) + 1)]
    return TableShape(
        TableName(manifest.table),
        columns,
        manifest.key,
        frozenset({frozenset(manifest.key)}),
        ordered=frozenset(each for each in prefixes if all(sortable(by_name[name]) for name in each)),
        unwritable=unwritable,
    )


def definition(manifest: Manifest, name: str, *, temporary: bool = False) -> str:
    """The statement that makes an empty table of DuckDB with its columns and its key."""
    columns = [f"{quoted(each.name)} {each.native}{'' if each.nullable else ' NOT NULL'}" for each in manifest.columns]
    key = f"PRIMARY KEY ({', '.join(map(quoted, manifest.key))})"
    return f"CREATE {'TEMP ' if temporary else ''}TABLE {quoted(name)} ({', '.join([*columns, key])})"


@contextmanager
def _empty(known: Mapping[str, Manifest]) -> Iterator[Session]:
    with memory.apart("a folder of Parquet files") as session:
        for name, manifest in known.items():
            session.execute(definition(manifest, name))
        yield session


def table_of(session: Session, name: str) -> Manifest:
    """A table of DuckDB as one of Parquet files, without parts."""
    shape = catalog.describe(session, TableName(name))
    assert shape is not None, "it is listed"
    refuse(replace(shape, primary_key=_key(shape), ordered=frozenset()))
    for each in shape.columns:
        if column_shape(each.name, declared(each)).native != each.native or each.generated or each.default:
            raise SpecError(
                f"{name}.{each.name}: a table of Parquet files has no column of {each.native}.",
                fix=f"make it {declared(each)}, without a default.",
            )
    columns = tuple(Column(each.name, each.native, each.nullable) for each in shape.columns)
    return Manifest(name, columns, _key(shape), (), "")


def _key(shape: TableShape) -> Key:
    if shape.primary_key:
        return shape.primary_key
    least = min(map(sorted, shape.uniques), default=[])
    return tuple(name for name in shape.names if name in least)
