"""Rows on their way in: LOAD DATA LOCAL straight from Arrow's buffers, with no file, and nothing passed over in silence.

LOCAL makes warnings of errors: rows that do not fit are altered or left out. So whatever the server warns of is refused.
"""

from __future__ import annotations

import secrets
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final

import numpy as np
import pyarrow as pa
import pyarrow.compute as pc
import pymysql
from pymysql.constants import COMMAND
from pymysql.protocol import LoadLocalPacketWrapper, OKPacketWrapper

from adapters.mysql.connection import Connection, rows
from adapters.mysql.types import Travel
from adapters.sql.statements import dialect_of
from transforms.vocabulary import SynclineError, TableName
from transforms.vocabulary.texts import duration_text

PART_BYTES: Final = 8 * 2**20  # of rows made into text at a time
PART_ROWS: Final = 65_536
PACKET_BYTES: Final = 128 * 2**10

_FORBIDDEN: Final = (1148, 3948, 4166)


@dataclass(frozen=True, slots=True)
class Loaded:
    """How many rows went in, and the first warning: its number and its text."""

    count: int
    warning: tuple[int, str] | None = None


def name_of(name: str | TableName) -> str:
    """An identifier or a table's full name, quoted."""
    quote = dialect_of("mysql").identifier_preparer.quote_identifier
    parts = (name.schema, name.name) if isinstance(name, TableName) else (name,)
    return ".".join(quote(part) for part in parts if part)


def load(
    connection: Connection, table: TableName, names: Sequence[str], travels: Sequence[Travel | None], columns: pa.Table
) -> Loaded:
    """Load `columns` into the columns `names` of a table, each as its Travel says; those without one are numbers.

    Where the answer has a warning, rows may be missing or altered, and the caller has to take everything back.
    """
    whose = secrets.token_hex(16)  # asked for any other file, nothing is sent
    listed, made = [], []
    for i, (name, each) in enumerate(zip(names, travels, strict=True)):
        value = _made_of(f"@v{i}", each)
        listed.append(name_of(name) if value is None else f"@v{i}")
        if value is not None:
            made.append(f"{name_of(name)} = {value}")
    statement = (
        f"LOAD DATA LOCAL INFILE '{whose}' INTO TABLE {name_of(table)} CHARACTER SET binary "
        r"FIELDS TERMINATED BY '\t' ESCAPED BY '\\' LINES TERMINATED BY '\n' "
        f"({', '.join(listed)})" + (f" SET {', '.join(made)}" if made else "")
    )
    connection._execute_command(COMMAND.COM_QUERY, statement)
    try:
        asked = connection._read_packet()
    except pymysql.Error as error:
        if error.args[0] in _FORBIDDEN:
            raise SynclineError(
                f"Writing {table}: the server takes no LOAD DATA LOCAL ({error.args[1]}).",
                fix="SET GLOBAL local_infile = 1.",
            ) from error
        raise
    if not asked.is_load_local_packet() or LoadLocalPacketWrapper(asked).filename != whose.encode():
        raise SynclineError(
            f"Writing {table}: the server asked for a file that is not ours.", fix="do not trust this server."
        )
    for part in _parts(columns):
        data = memoryview(_lines([_field(part.column(i), each) for i, each in enumerate(travels)]))
        for start in range(0, len(data), PACKET_BYTES):
            connection.write_packet(bytes(data[start : start + PACKET_BYTES]))
    connection.write_packet(b"")
    done = OKPacketWrapper(connection._read_packet())
    return Loaded(done.affected_rows, first_warning(connection) if done.warning_count else None)


def first_warning(connection: Connection) -> tuple[int, str]:
    """The first of what the last statement warned of."""
    found = rows(connection, "SHOW WARNINGS LIMIT 1")
    return (int(found[0][1]), str(found[0][2])) if found else (0, "")


def _made_of(given: str, travel: Travel | None) -> str | None:
    """The value of a column that does not take the bytes of its text as they are, None for the others."""
    if travel is None:
        return None
    if travel.kind == "bit":
        return f"CAST({given} AS UNSIGNED)"
    return f"CONVERT({given} USING utf8mb4)" if travel.converts else None


def _parts(columns: pa.Table) -> Iterator[pa.RecordBatch]:
    count = max(1, min(PART_ROWS, PART_BYTES * columns.num_rows // max(1, columns.nbytes)))
    for start in range(0, columns.num_rows, count):
        yield from columns.slice(start, count).combine_chunks().to_batches()


def _lines(fields: Sequence[pa.Array]) -> Any:
    """The rows as text: fields with a tab between them, \\N for null, a line break behind each row."""
    line = pc.binary_join_element_wise(*fields, b"\t", null_handling="replace", null_replacement=rb"\N")
    whole = pc.binary_join_element_wise(line, b"\n", b"")
    _, offsets, data = whole.buffers()
    ends = np.frombuffer(offsets, np.int32)[whole.offset : whole.offset + len(whole) + 1]
    return data[int(ends[0]) : int(ends[-1])] if data is not None else b""


def _field(values: pa.Array, travel: Travel | None) -> pa.Array:
    """A column's values as the text that LOAD DATA reads, in binary."""
    kind = values.type
    if pa.types.is_binary(kind) or pa.types.is_string(kind):
        return _escaped(values.cast(pa.binary()))
    if pa.types.is_duration(kind):
        text = duration_text(values, trim=False)
    elif travel is not None and travel.kind == "year":
        text = pc.utf8_lpad(values.cast(pa.string()), 4, "0")  # the text 0 would be the year 2000
    elif pa.types.is_timestamp(kind):
        text = values.view(pa.timestamp("us")).cast(pa.string())
    else:
        text = (values.cast(pa.float64()) if kind == pa.float32() else values).cast(pa.string())
    return text.cast(pa.binary())


def _escaped(values: pa.Array) -> pa.Array:
    data = values.buffers()[2]
    there = np.frombuffer(data, np.uint8) if data is not None else np.empty(0, np.uint8)
    for plain, escaped in ((b"\\", rb"\\"), (b"\t", rb"\t"), (b"\n", rb"\n")):
        if (there == plain[0]).any():
            values = pc.replace_substring(values, plain, escaped)
    return values
