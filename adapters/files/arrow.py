"""Arrow files as rows: staged once, because a file of Arrow says nothing of where its values lie."""

from __future__ import annotations

import pyarrow as pa
import pyarrow.dataset as ds
from pyarrow.fs import FSSpecHandler, PyFileSystem

from adapters.duckdb.snapshot import Session
from adapters.duckdb.types import quoted
from adapters.files.listing import File, Files
from adapters.files.parquet import alike
from adapters.files.rows import Column, Rows, as_read, distinct_names
from adapters.files.staged import ascending, partition
from transforms.vocabulary import DataError

_MOST_DIGITS = 38
_VIEW = "syncline arrow"


def rows(session: Session, table: Files) -> Rows:
    """Errors: DataError for a file that is cut off or none of Arrow's, and for one with other columns than the first."""
    first = table.files[0]
    opened = [(each, _dataset(table, each)) for each in table.files]
    schema = opened[0][1].schema
    keys = [key for key, _ in first.partitions]
    distinct_names([*schema.names, *keys], first.path)
    for file, each in opened[1:]:
        alike(schema, each.schema, first.path, file.path)
    refused = {field.name: why for field in schema if (why := _refused(field.type))}
    names = [name for name in schema.names if name not in refused]
    staged = f"syncline staged {table.name}"
    for number, (file, dataset) in enumerate(opened):
        into = f"INSERT INTO {quoted(staged)} " if number else f"CREATE TABLE {quoted(staged)} AS "
        listed = [quoted(each) for each in names] + [partition(key, value, table) for key, value in file.partitions]
        session.register(_VIEW, dataset.scanner(columns=names).to_reader())
        try:
            session.execute(f"{into}SELECT {', '.join(listed) or '1'} FROM {quoted(_VIEW)}")  # noqa: S608
        finally:
            session.unregister(_VIEW)
    natives = session.rows(f"SELECT column_name, column_type FROM (DESCRIBE {quoted(staged)})")  # noqa: S608
    read = {row["column_name"]: as_read(row["column_name"], row["column_type"]) for row in natives}
    columns = [
        read.get(each) or Column(each, "VARCHAR", "NULL", None, True, refused[each]) for each in [*schema.names, *keys]
    ]
    return Rows(quoted(staged), tuple(columns), ascending(session, staged, names[:1]))


def _dataset(table: Files, file: File) -> ds.Dataset:
    try:
        system = PyFileSystem(FSSpecHandler(table.address.system)) if table.address.remote else None
        return ds.dataset(file.path, format="ipc", filesystem=system)
    except (pa.ArrowException, OSError) as error:
        what = "is empty" if not file.stamp.size else f"is cut off, or no Arrow file: {error}"
        raise DataError(
            f"{file.path} {what.rstrip('.')}.", fix="write it again as a whole, as an Arrow IPC file."
        ) from error


def _refused(kind: pa.DataType) -> str | None:
    if pa.types.is_decimal(kind) and kind.precision > _MOST_DIGITS:
        return f"{kind} has more than {_MOST_DIGITS} digits. Fix: write it with fewer digits, or as text."
    if pa.types.is_duration(kind) and kind.unit == "ns":
        return f"{kind} has nanoseconds, which no span of time here has. Fix: write it in microseconds."
    return None
