"""Parquet files as rows: their types as they are, and what their statistics say of their order."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from datetime import date
from itertools import pairwise
from typing import Any, Final

import pyarrow as pa
import pyarrow.parquet as pq

from adapters.duckdb.design import literal
from adapters.duckdb.snapshot import Session
from adapters.duckdb.types import quoted
from adapters.files.listing import File, Files
from adapters.files.rows import Column, Rows, as_read, distinct_names
from transforms.vocabulary import DataError, Key

_WHOLE: Final = re.compile(r"-?(0|[1-9]\d{0,17})")
_MOST_DIGITS: Final = 38  # of a decimal that DuckDB reads; it makes doubles of wider ones


def rows(session: Session, table: Files) -> Rows:
    """Errors: DataError for a file that is cut off or none of Parquet's, and for one with other columns than the first."""
    metadata = [(each, _metadata(table, each)) for each in table.files]
    schema = metadata[0][1].schema.to_arrow_schema()
    distinct_names([*schema.names, *(key for key, _ in table.files[0].partitions)], table.files[0].path)
    for file, found in metadata[1:]:
        alike(schema, found.schema.to_arrow_schema(), table.files[0].path, file.path)
    origin = f"read_parquet([{', '.join(map(literal, table.paths))}], union_by_name = true{_hive(table)})"
    described = session.rows(f"SELECT column_name, column_type FROM (DESCRIBE FROM {origin})")  # noqa: S608
    columns = tuple(_column(schema, row["column_name"], row["column_type"]) for row in described)
    return Rows(origin, columns, frozenset(_ordered([each for _, each in metadata], schema)))


def _column(schema: pa.Schema, name: str, native: str) -> Column:
    if (place := schema.get_field_index(name)) < 0:
        return as_read(name, native)
    field = schema.field(place)
    if pa.types.is_decimal(field.type) and field.type.precision > _MOST_DIGITS:
        refused = f"{field.type} has more than {_MOST_DIGITS} digits. Fix: write it with fewer digits, or as text."
        return Column(name, native, quoted(name), None, field.nullable, refused)
    return as_read(name, native, nullable=field.nullable)


def _metadata(table: Files, file: File) -> pq.FileMetaData:
    try:
        with table.address.system.open(file.path, "rb") as opened:
            return pq.read_metadata(opened)
    except (pa.ArrowException, OSError) as error:
        what = "is empty" if not file.stamp.size else f"is cut off, or no Parquet file: {error}"
        raise DataError(
            f"{file.path} {what.rstrip('.')}.",
            fix="copy or write it again as a whole; write new files beside the folder and rename them into place.",
        ) from error


def alike(first: pa.Schema, other: pa.Schema, first_path: str, path: str) -> None:
    """DataError where a file has other columns than the first one of its table, in whatever order."""
    for name in [*first.names, *other.names]:
        mine, theirs = ([each.field(name).type] if name in each.names else [] for each in (first, other))
        if mine != theirs:
            what = " and ".join(
                f"{type_[0] if type_ else 'missing'} in {file}" for type_, file in ((mine, first_path), (theirs, path))
            )
            raise DataError(
                f"Files of one table have unlike columns: {name} is {what}.",
                fix="write them alike, or name each kind by a glob or folder of its own.",
            )


def _hive(table: Files) -> str:
    """How the partitions in paths are read: whole numbers and dates where each of a key is one, texts otherwise."""
    keys = [key for key, _ in table.files[0].partitions]
    if not keys:
        return ", hive_partitioning = false"
    values: Mapping[str, list[str | None]] = {key: [dict(each.partitions)[key] for each in table.files] for key in keys}
    types = ", ".join(f"{literal(key)}: {literal(partition_type(values[key]))}" for key in keys)
    return f", hive_partitioning = true, hive_types = {{{types}}}"


def partition_type(values: list[str | None]) -> str:
    """BIGINT, DATE or VARCHAR."""
    told = [each for each in values if each is not None]
    if told and all(_WHOLE.fullmatch(each) for each in told):
        return "BIGINT"
    return "DATE" if told and all(map(_is_date, told)) else "VARCHAR"


def _is_date(text: str) -> bool:
    try:
        return date.fromisoformat(text).isoformat() == text
    except ValueError:
        return False


def _ordered(files: list[pq.FileMetaData], schema: pa.Schema) -> Iterator[Key]:
    """The columns that have no nulls and ascend from one row group to the next, so that windows by them skip the others."""
    groups = [each.row_group(number) for each in files for number in range(each.num_row_groups)]
    if not groups:
        return
    for name in schema.names:
        ends = [_ends(group, name) for group in groups]
        known = [each for each in ends if each is not None]
        if len(known) == len(groups) and all(before[1] <= after[0] for before, after in pairwise(known)):
            yield (name,)


def _ends(group: pq.RowGroupMetaData, name: str) -> tuple[Any, Any] | None:
    for number in range(group.num_columns):
        column = group.column(number)
        if column.path_in_schema != name:
            continue
        found = column.statistics
        if found is None or not found.has_min_max or not found.has_null_count or found.null_count:
            return None
        return (found.min, found.max) if isinstance(found.min, int | str | date) else None
    return None
