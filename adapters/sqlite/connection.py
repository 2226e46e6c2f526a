"""Connections to SQLite files through ADBC, and SQLite's faults in Syncline's words."""

from __future__ import annotations

import logging
import os
import re
from collections.abc import Iterator, Sequence
from contextlib import contextmanager, nullcontext
from pathlib import Path
from sqlite3 import complete_statement
from typing import Any, Final, Literal
from urllib.parse import quote

import adbc_driver_manager as adbc
import adbc_driver_sqlite.dbapi as driver
import pyarrow as pa
from adbc_driver_manager import dbapi

from adapters import interrupts
from adapters.sql.refused import FIX, Refused
from adapters.sqlite import file_bytes
from adapters.sqlite.types import quoted
from transforms.vocabulary import ConnectionFailed, RowRefused, SynclineError, TransientError

interrupts.heed(dbapi)

BUSY_TIMEOUT_MS: Final = 30_000
BATCH_ROWS: Final = 65_536
FAULTS: Final = (adbc.Error, pa.ArrowException, OSError)
_COMMENT: Final = re.compile(r"--[^\n]*|/\*.*?\*/", re.DOTALL)
log = logging.getLogger(__name__)


class Connection:
    """One ADBC connection in autocommit mode: transactions are begun and ended in SQL.

    `mode`: ro, rw, rwc to make a missing file, or memory for an empty database in its place.
    """

    def __init__(self, path: Path, mode: str) -> None:
        self.path = path
        self._cursors: set[Any] = set()
        self.query_only = False
        uri = f"file:{quote(str(path.absolute()))}?mode={mode}" if mode != "memory" else ":memory:"
        try:
            self._raw = driver.connect(uri, autocommit=True)
        except adbc.Error as error:
            raise ConnectionFailed(f"Cannot open {path} as a SQLite database.", fix="check its permissions.") from error
        try:
            self.ask(f"PRAGMA busy_timeout = {BUSY_TIMEOUT_MS}")
            self.ask("SELECT count(*) FROM sqlite_schema")
        except BaseException:
            self.close()
            raise

    def ask(self, sql: str, parameters: Sequence[Any] = ()) -> pa.Table:
        """All rows of a small answer. A type that the first rows do not tell is int64."""
        try:
            with self._raw.cursor() as cursor:
                cursor.execute(sql, parameters or None)
                return cursor.fetch_arrow_table()
        except FAULTS as error:
            raise translated(error, self.path) from error

    def rows(self, sql: str, parameters: Sequence[Any] = ()) -> list[dict[str, Any]]:
        answer: list[dict[str, Any]] = self.ask(sql, parameters).to_pylist()
        return answer

    def run(self, sql: str, parameters: Sequence[Any] = ()) -> int:
        """Run a statement; how many rows an INSERT, UPDATE or DELETE changed."""
        self.ask(sql, parameters)
        return int(self.ask("SELECT changes()")[0][0].as_py())

    def stream(self, sql: str, parameters: Sequence[Any], batch_rows: int) -> tuple[Any, pa.RecordBatchReader]:
        """A cursor, to be closed, and its batches."""
        cursor = self._raw.cursor()
        self._cursors.add(cursor)
        try:
            cursor.adbc_statement.set_options(**{"adbc.sqlite.query.batch_rows": batch_rows})
            cursor.execute(sql, parameters or None)
            return cursor, cursor.fetch_record_batch()
        except FAULTS as error:
            self.end(cursor)
            raise translated(error, self.path) from error

    def end(self, cursor: Any) -> None:
        """Close a cursor of `stream`. Idempotent."""
        self._cursors.discard(cursor)
        cursor.close()

    def ingest(self, table: str, rows: pa.Table, *, temporary: bool) -> int:
        """Load rows into a new temporary table, or into a table that is there."""
        try:
            with self._writing_temporary() if temporary else nullcontext(), self._raw.cursor() as cursor:
                mode: Literal["create", "append"] = "create" if temporary else "append"
                return int(cursor.adbc_ingest(table, rows, mode=mode, temporary=temporary))
        except FAULTS as error:
            raise translated(error, self.path) from error

    def drop(self, table: str) -> bool:
        """Drop a temporary table, if it is there; False where that cannot be: while rows are read, or once this is closed."""
        try:
            with self._writing_temporary():
                self.ask(f"DROP TABLE IF EXISTS temp.{quoted(table)}")
        except SynclineError:
            return False
        return True

    @contextmanager
    def _writing_temporary(self) -> Iterator[None]:
        """`query_only` means temporary tables, too."""
        if self.query_only:
            self.ask("PRAGMA query_only = OFF")
        try:
            yield
        finally:
            if self.query_only:
                self.ask("PRAGMA query_only = ON")

    @contextmanager
    def transaction(self, kind: str = "IMMEDIATE") -> Iterator[None]:
        """All or nothing; the first error is the one that is told."""
        self.ask(f"BEGIN {kind}")
        try:
            yield
            self.ask("COMMIT")
        except BaseException:
            self.abandon()
            raise

    def abandon(self) -> None:
        """Roll back what is open. SQLite may have rolled back by itself."""
        try:
            self.ask("ROLLBACK")
        except SynclineError as error:
            log.debug("nothing to roll back: %s", error)

    def close(self) -> None:
        for cursor in list(self._cursors):  # a scan that nobody ended
            self.end(cursor)
        self._raw.close()


def open_to_read(path: Path) -> Connection:
    """Read only. What a killed writer left half done can only be undone by one who may write: then as such a one."""
    try:
        return Connection(path, "ro")
    except ConnectionFailed:
        if not os.access(path, os.W_OK):
            raise
        connection = Connection(path, "rw")
        connection.ask("PRAGMA query_only = ON")
        connection.query_only = True
        return connection


def mark_of(path: Path) -> str:
    """The change counter of a file that is open here, and how far its write-ahead log has grown since."""
    if not path.exists():
        return "no file yet"
    counter = file_bytes.read(path, 4, 24)
    return f"change {int.from_bytes(counter, 'big') if counter else 'unknown'}, log {file_bytes.log_bytes(path)}"


class EvaluationFailed(SynclineError):
    """A statement that SQLite had begun failed for a value: an expression of it, of a trigger, or of an index. `reason` is SQLite's."""

    code = "evaluation_failed"

    def __init__(self, what: str, reason: str = "", *, fix: str = "", where: str = "") -> None:
        super().__init__(what, fix=fix, where=where)
        self.reason = reason or what


# ADBC's driver gives neither SQLite's result code (`vendor_code` is None) nor an SQLSTATE: what went wrong is known by SQLite's
# own text alone, and nowhere but by this table. Of several that fit the first one counts.
_SIGNS: Final[dict[str, tuple[str, ...]]] = {
    "busy": ("is locked", "is busy", "database schema has changed"),
    "full": ("disk is full",),
    "unopened": ("not a database", "unable to open", "failed to open"),
    "readonly": ("readonly",),
    "broken": (  # what SQLite says of itself, the file and the machine, and of no row
        "disk I/O error",
        "disk image is malformed",
        "out of memory",
        "interrupted",
        "query aborted",
        "locking protocol",
        "access permission denied",
        "authorization denied",
        "bad parameter",
        "large file support",
        "unknown error",
    ),
    "reference": ("FOREIGN KEY constraint failed",),
    "double": ("UNIQUE constraint failed",),
    "row": ("constraint failed",),
}


def message_of(error: BaseException) -> str:
    """SQLite's own words, without the driver's."""
    text = re.sub(r"^[A-Z_]+: |\[SQLite\] |Failed to step query: ", "", str(error).split("\nquery:")[0])
    return " ".join(text.split())


def _named(text: str) -> tuple[tuple[str, ...], str]:
    """The columns, or the constraint, that SQLite names in its text of one that failed: a CHECK by its name or its expression, an
    index of expressions by its name, others by `table.column`."""
    kind, said, names = text.partition(" constraint failed: ")
    if not said:
        return (), ""
    if kind == "CHECK":
        return (), names
    if index := re.fullmatch(r"index '(.*)'", names):
        return (), index[1]
    return tuple(each.partition(".")[2] or each for each in names.split(", ")), ""


def translated(error: BaseException, path: Path) -> SynclineError:
    """SQLite's fault in Syncline's words."""
    text = message_of(error)
    fault = next((fault for fault, signs in _SIGNS.items() if any(sign in text for sign in signs)), None)
    if fault == "busy":
        return TransientError(
            f"{path} is held by another connection ({text}).",
            fix=(
                "try again, or end the other writer; in WAL mode"
                " (PRAGMA journal_mode=WAL) readers and a writer do not wait for each other."
            ),
        )
    if fault == "full":
        return SynclineError(
            f"The disk that holds {path} is full; the window was rolled back.", fix="free space, rerun."
        )
    if fault == "unopened":
        return ConnectionFailed(f"Cannot open {path} as a SQLite database: {text}.", fix="check the path in the URL.")
    if fault == "readonly":
        return ConnectionFailed(
            f"Cannot write to {path}: {text}.", fix="check its permissions and those of its folder."
        )
    if fault is None and isinstance(error, adbc.Error) and error.status_code == adbc.AdbcStatusCode.IO:
        return EvaluationFailed(f"SQLite answered for {path}: {text}", text)
    if fault in FIX or isinstance(error, adbc.IntegrityError):
        kind: Refused = fault if fault in FIX else "row"
        what = f"SQLite refused a row: {text}. The window was rolled back."
        return RowRefused(what, text, *_named(text), kind=kind, fix=FIX[kind])
    return SynclineError(f"SQLite answered for {path}: {text}")


def apart(text: str) -> Iterator[str]:
    """The statements of a text, of which the driver would run the first one alone."""
    begin = 0
    for end in (found.end() for found in re.finditer(";", text)):
        if complete_statement(text[begin:end]):
            yield text[begin:end]
            begin = end
    if _COMMENT.sub("", text[begin:]).strip():
        yield text[begin:]
