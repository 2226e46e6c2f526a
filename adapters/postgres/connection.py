"""Connections to PostgreSQL: where they come from, how they are set up, and what their failures mean."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from functools import lru_cache
from queue import Empty, LifoQueue
from typing import Any, Final

import adbc_driver_manager.dbapi
import adbc_driver_postgresql
import adbc_driver_postgresql.dbapi as adbc
import psycopg
import pyarrow as pa
import sqlalchemy as sa
from psycopg.conninfo import make_conninfo

from adapters import interrupts
from adapters.postgres.encodings import UNCHECKED
from adapters.postgres.session import PLAIN_PATH, must_be_supported, settled
from adapters.protocol import RowSecurity
from adapters.secrets import masked, misread, scrubbed
from adapters.sql.refused import FIX, Refused
from transforms.vocabulary import (
    ConnectionFailed,
    DataError,
    RowRefused,
    SnapshotLost,
    SpecError,
    SynclineError,
    TransientError,
)

interrupts.heed(adbc_driver_manager.dbapi)

APPLICATION: Final = "syncline"
CONNECT_SECONDS: Final = 10
DATABASES: Final = 8  # of which what the driver knows of the catalog is kept
BATCH_BYTES: Final = 4 * 2**20  # of one Arrow batch: small enough that reading and writing overlap

DRIVER_ERRORS: Final = (adbc_driver_manager.Error, pa.ArrowException, OSError)  # OSError: of Arrow's streams

_LOST: Final = re.compile(
    r"no connection to the server|server closed the connection|connection (?:is|was|has been) (?:closed|lost)"
    r"|terminating connection|conflict with recovery|could not (?:receive|send) data|SSL SYSCALL|connection not open",
    re.IGNORECASE,
)
_SOON: Final = re.compile(
    r"the database system is (?:starting up|shutting down|in recovery mode|not (?:yet )?accepting connections)"
    r"|too many clients already|remaining connection slots",
    re.IGNORECASE,
)
_NO_SNAPSHOT: Final = re.compile(r"invalid snapshot identifier|snapshot \"[^\"]*\" does not exist", re.IGNORECASE)
_NAN: Final = re.compile(r"cannot convert NaN to bigint|'NaN' is not a valid decimal")
_SQLSTATE: Final = re.compile(r"SQLSTATE: (\w{5})")
_TRANSIENT: Final = ("08", "40001", "40P01", "53300", "55P03", "57P01", "57P02", "57P03", "57P05")
_UNFIT: Final = ("21", "22", "23", "09", "27", "2F", "38", "44", "54", "P0")
"""Classes of errors about values, constraints, triggers, WITH CHECK, and what an index or a page has no room for."""
_REFERENCES: Final = ("23001", "23503")  # restrict_violation, foreign_key_violation
_DOUBLE: Final = "23505"
_DENIED: Final = "42501"
_WANTED: Final = (
    "a source wants SELECT, a target also INSERT, UPDATE, DELETE, SELECT and UPDATE on its sequences, and CREATE on its schema; "
    "rows that a policy of row-level security refuses want another policy, or a user with BYPASSRLS"
)
_FULL: Final = "53100"
_STOPPED: Final = "57014"
_SAID: Final = {  # by Arrow's streams, which keep the text alone
    _FULL: re.compile(r"no space left on device", re.IGNORECASE),
    _STOPPED: re.compile(r"canceling statement due to"),
}


def dsn_of(url: str) -> str:
    """The connection string of a URL, as libpq reads it. SpecError where it cannot."""
    if wrong := misread(url, strict=True):
        raise SpecError(f"{masked(url)} is no PostgreSQL URL.", fix=f"{wrong}.")
    libpq = re.sub(r"^postgres(?:ql)?(?:\+\w+)?://", "postgresql://", url)
    try:
        given = psycopg.conninfo.conninfo_to_dict(libpq)
    except psycopg.ProgrammingError as error:
        raise SpecError(
            f"{masked(url)} is no PostgreSQL URL: {scrubbed(error, url)}.",
            fix="write postgresql://user:password@host:5432/database.",
        ) from None  # it quotes the URL, password and all, and tracebacks and Prefect's log would show it
    extra: dict[str, str | int] = {"connect_timeout": CONNECT_SECONDS, "application_name": APPLICATION}
    return make_conninfo(libpq, **{name: value for name, value in extra.items() if name not in given})


class Connections:
    """Two pools to one database: psycopg's through SQLAlchemy for writing, ADBC's for reading. Thread-safe."""

    def __init__(self, url: str, *, read_only: bool = False, rls: RowSecurity = "refuse") -> None:
        self.url = masked(url)
        self.rls = rls
        self.bypasses_triggers = False  # as the server has it for this user, who may not say otherwise
        self._secret_url = url
        self._dsn = dsn_of(url)
        self._setting_up = settled(read_only=read_only, rls=rls)
        self._found: tuple[Any, ...] = (None, False)  # see PLAIN_PATH
        self._encoding = "UTF8"
        self._idle: LifoQueue[Any] = LifoQueue()
        self._reached = False
        self._version: int | None = None
        self.engine = sa.create_engine(
            "postgresql+psycopg://", creator=self._connect, pool_pre_ping=True, pool_size=4, max_overflow=-1
        )

    def _connect(self) -> psycopg.Connection[Any]:
        connection = psycopg.connect(self._dsn, autocommit=True, prepare_threshold=None)
        must_be_supported(self.url, connection.info.server_version)
        self._found, self.bypasses_triggers = set_up(connection, self._setting_up)
        connection.autocommit = False
        self._reached = True
        self._version = connection.info.server_version
        self._encoding = connection.info.parameter_status("server_encoding") or "UTF8"
        return connection

    def own(self) -> psycopg.Connection[Any]:
        """A connection of one's own, outside of the pool and of any transaction. Errors as those of `connected`."""
        try:
            connection = self._connect()
        except psycopg.Error as error:
            raise self._unreachable(error) from error
        connection.autocommit = True
        return connection

    @property
    def version(self) -> int:
        """The server's version as a number: 150004 is 15.4."""
        if self._version is None:
            with self.connected():
                pass
        assert self._version is not None
        return self._version

    @property
    def encoding(self) -> str:
        """The encoding that the database keeps texts in, by PostgreSQL's name."""
        self._reach()
        return self._encoding

    def _reach(self) -> None:
        if not self._reached:
            with self.connected():
                pass

    @contextmanager
    def begin(self, where: str) -> Iterator[psycopg.Connection[Any]]:
        """One transaction on a pooled connection: committed at the end, rolled back on any error."""
        with self.translated(where), self.connected() as connection, connection.begin():
            yield driver_of(connection)

    @contextmanager
    def connected(self) -> Iterator[sa.Connection]:
        """A pooled connection. ConnectionFailed where the server was never reached, else TransientError."""
        try:
            connection = self.engine.connect()
        except (sa.exc.DBAPIError, psycopg.Error) as error:
            raise self._unreachable(error) from error
        with connection:
            yield connection

    def reader(self) -> Any:
        """An ADBC connection without a transaction: a pooled one that still lives, or a new one."""
        while True:
            try:
                connection = self._idle.get_nowait()
            except Empty:
                return self._open_reader()
            try:
                run(connection, "SELECT 1")
                return connection
            except DRIVER_ERRORS:
                close_quietly(connection)

    def give_back(self, connection: Any) -> None:
        """Put a reader back; its transaction ends. A broken one is closed instead."""
        try:
            run(connection, "ROLLBACK")
        except DRIVER_ERRORS:
            close_quietly(connection)
        else:
            self._idle.put(connection)

    def _open_reader(self) -> Any:
        self._reach()
        path, quoting = self._found
        options = [str(psycopg.conninfo.conninfo_to_dict(self._dsn).get("options", ""))]
        options += ["-c search_path=pg_catalog"] * (path is not None) + ["-c quote_all_identifiers=off"] * quoting
        # ADBC looks for the types as soon as it is connected; options only where needed, as not every pooler takes them
        dsn = make_conninfo(self._dsn, options=" ".join(options)) if len(options) > 1 else self._dsn
        try:
            connection = _reader(dsn)
            run(connection, self._setting_up)
            if path is not None:
                run(connection, f"SELECT pg_catalog.set_config('search_path', {psycopg.sql.quote(path)}, false)")
            if self._encoding == UNCHECKED:  # texts come as they are, and are looked at here
                run(connection, f"SET client_encoding = '{UNCHECKED}'")
        except adbc_driver_manager.Error as error:
            raise self._unreachable(error) from error
        self._reached = True
        return connection

    def _unreachable(self, error: Exception) -> SynclineError:
        reason = scrubbed(getattr(error, "orig", None) or error, self._secret_url)
        if self._reached or _SOON.search(reason):
            return TransientError(
                f"The server of {self.url} cannot be reached {'any more' if self._reached else 'yet'}: {reason}"
            )
        fix = "check host, port, database and user in the URL, and that the server runs and lets this machine in"
        state = getattr(error, "sqlstate", None) or getattr(getattr(error, "orig", None), "sqlstate", None)
        if state == "53100":  # disk_full: a driver's first look at the catalogs may need room for sorting
            fix = "free space there, then run again"
        if "password authentication failed" in reason or "no password supplied" in reason:
            fix = "correct the user name or password in the URL"
        return ConnectionFailed(f"Cannot connect to {self.url}: {reason}.", fix=f"{fix}.")

    @contextmanager
    def translated(self, where: str) -> Iterator[None]:
        """Turn what the drivers raise into Syncline's errors, which name `where` and never a password."""
        try:
            yield
        except SynclineError:
            raise
        except (psycopg.Error, sa.exc.SQLAlchemyError, *DRIVER_ERRORS) as error:
            raise self._meaning(error, where) from error

    def _meaning(self, error: Exception, where: str) -> SynclineError:
        cause = getattr(error, "orig", None) or error
        text = scrubbed(str(cause).split("\n\nQuery was:")[0], self._secret_url)
        found = _SQLSTATE.search(str(cause))
        state = getattr(cause, "sqlstate", None) or (found.group(1) if found else None) or ""
        state = state or next((code for code, words in _SAID.items() if words.search(text)), "")
        if state.startswith(_TRANSIENT) or (not state and _LOST.search(text)):
            return TransientError(f"{where} on {self.url}: {text}")
        if _NO_SNAPSHOT.search(text):
            return SnapshotLost(f"{where} on {self.url}: {text}")
        if state == _FULL:
            return SynclineError(
                f"{where} on {self.url}: {text}. Nothing of it was kept.", fix="free space there, then run again."
            )
        if state == _STOPPED:
            return SynclineError(
                f"{where} on {self.url}: {text}.",
                fix=(
                    "raise statement_timeout in the URL (options=-c statement_timeout=0) or in "
                    "PGOPTIONS, where that is set, or make windows smaller (defaults.window), then run again."
                ),
            )
        if _is_of_rows(cause, state):
            what: Refused = "reference" if state in _REFERENCES else "double" if state == _DOUBLE else "row"
            return RowRefused(f"{where}: {text}.", *_words(cause, text), kind=what, fix=FIX[what])
        if state == _DENIED:
            return SynclineError(f"{where} on {self.url}: {text}.", fix=f"GRANT it to the user; {_WANTED}.")
        if _NAN.search(text):
            return DataError(
                f"{where}: a numeric column holds NaN, which it did not when it was described.", fix="run again."
            )
        if "invalid byte sequence" in text and not state:  # found by the server while it sends rows
            return DataError(f"{where}: {text}.", fix="correct these texts, or leave the rows out with `where`.")
        return SynclineError(f"{where} on {self.url}: {text}")

    def close(self) -> None:
        """Give back every connection. Idempotent."""
        self.engine.dispose()
        while True:
            try:
                close_quietly(self._idle.get_nowait())
            except Empty:
                return


class _Kept:
    """What a connection closes in place of the driver's database, which others use too."""

    def close(self) -> None:
        return


@lru_cache(maxsize=DATABASES)
def _catalog(dsn: str) -> Any:
    """The driver's view of a database: to make it, it connects and reads the columns and types of every table.

    That takes longer than to connect, and is the same for all who only read types that PostgreSQL itself brings along.
    """
    return adbc_driver_postgresql.connect(dsn)


def _reader(dsn: str) -> Any:
    connection = adbc_driver_manager.AdbcConnection(_catalog(dsn))
    return adbc.Connection(_Kept(), connection, autocommit=True)


def _is_of_rows(error: Exception, state: str) -> bool:
    """Whether a fault is one of the rows that are written, rather than of the statement or the server."""
    if state.startswith(_UNFIT):
        return True
    if not isinstance(error, psycopg.Error) or not state:
        return False
    if state == _DENIED:  # which policies of row-level security raise, too
        return error.diag.source_function == "ExecWithCheckOptions"
    try:
        psycopg.errors.lookup(state)
    except KeyError:
        return True  # a code of a trigger's own
    return False


def _words(error: Exception, text: str) -> tuple[str, tuple[str, ...], str]:
    """What the server says of a row that it refuses, without the row's values, and the column and the constraint that it names."""
    if not isinstance(error, psycopg.Error) or not error.diag.message_primary:
        return text, (), ""
    diag = error.diag
    told, where = str(diag.message_primary), (diag.context or "").splitlines()
    if where and diag.constraint_name is None:  # the function of a trigger
        told = f"{told} ({where[0]})"
    return told, (diag.column_name,) if diag.column_name else (), diag.constraint_name or ""


def set_up(connection: psycopg.Connection[Any], setting_up: str) -> tuple[tuple[Any, ...], bool]:
    """Set up a session outside of any transaction; what PLAIN_PATH and `settled` found."""
    found = connection.execute(PLAIN_PATH).fetchone() or (None, False)
    row = connection.execute(setting_up.encode()).fetchone()
    return found, row is not None and bool(row[-1])


def driver_of(connection: sa.Connection) -> psycopg.Connection[Any]:
    """The driver's own connection under a pooled one."""
    driver = connection.connection.driver_connection
    assert isinstance(driver, psycopg.Connection)
    return driver


def run(connection: Any, statement: str) -> None:
    """Run one statement on an ADBC connection."""
    with connection.cursor() as cursor:
        cursor.execute(statement)


def answer(connection: Any, query: str) -> pa.Table:
    """The whole answer to a query."""
    with connection.cursor() as cursor:
        cursor.execute(query)
        return cursor.fetch_arrow_table()


def close_quietly(connection: Any) -> None:
    """Close an ADBC connection that may be broken already."""
    try:
        connection.close()
    except DRIVER_ERRORS:
        return


def stream(connection: Any, query: str) -> Iterator[pa.RecordBatch]:
    """The answer to a query as Arrow batches, one in memory at a time."""
    with connection.cursor() as cursor:
        cursor.adbc_statement.set_options(
            **{adbc_driver_postgresql.StatementOptions.BATCH_SIZE_HINT_BYTES.value: str(BATCH_BYTES)}
        )
        cursor.execute(query)
        with cursor.fetch_record_batch() as reader:
            yield from reader
