"""Checksums of SQLite: of its whole file, since it has no function that would be faster than reading."""

from __future__ import annotations

from pathlib import Path

from adapters.sqlite import file_bytes
from adapters.sqlite.connection import Connection
from transforms.vocabulary import TableName


def has_own_rows(connection: Connection, table: TableName) -> bool:
    """Whether all rows of a table are in the file: views and virtual tables may have them from anywhere."""
    kinds = connection.rows(
        "SELECT type AS t FROM pragma_table_list WHERE schema = 'main' AND name = ?1", (table.name,)
    )
    return [row["t"] for row in kinds] == ["table"]


def digest(path: Path) -> str | None:
    """What names the state of a file that the open read transaction of a connection sees; None where nothing does.

    While the transaction is open, nobody writes to the file: one with a rollback journal is locked, and of one with a
    write-ahead log only what stands in that is brought over. So nothing is in the log, before and after: whatever was
    committed since the transaction began would be.
    """
    if file_bytes.log_bytes(path):
        return None
    found = file_bytes.digest(path)
    return None if file_bytes.log_bytes(path) else found
