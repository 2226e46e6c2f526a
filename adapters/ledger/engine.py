"""The ledger's database: opened and created on demand, safe from several threads and processes."""

from __future__ import annotations

import os
import sqlite3
import threading
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from functools import cache, lru_cache
from pathlib import Path
from typing import Any, Final
from urllib.parse import quote

import sqlalchemy as sa

from adapters import private
from adapters.ledger.migrations import upgrade
from adapters.ledger.tables import FORMAT, FORMATS, METADATA, SCHEMA
from adapters.secrets import masked, scrubbed
from transforms.vocabulary import ConnectionFailed, SynclineError, TransientError

BUSY_SECONDS = 30
_READING = "syncline_reading"
_TRANSIENT: Final = ("08", "40", "53300", "57P")
"""SQLSTATEs of PostgreSQL: connections that fail, transactions that collide, too many connections, a server that ends."""


class LedgerEngine:
    """Transactions over the ledger's tables. Writers wait for each other; errors never show a password."""

    def __init__(self, url: str) -> None:
        self.url = masked(url)
        self._secret_url = url
        self._lock = threading.Lock()
        self._ready = False
        try:
            parsed = sa.make_url(url)
        except (sa.exc.ArgumentError, ValueError):
            raise SynclineError(f"{self.url} is no URL of a ledger.", fix="correct state.url.") from None
        self._file: Path | None = None
        if parsed.get_backend_name() == "sqlite":
            if not parsed.database or parsed.database == ":memory:":
                raise SynclineError("The ledger must outlive the run, so it needs a file.", fix="correct state.url.")
            self._file = None if parsed.database.startswith("file:") else Path(parsed.database)
            self._engine = _engine(_only_read(self._file) or url)
            sa.event.listen(self._engine, "begin", _begin)
        elif parsed.get_backend_name() in ("postgresql", "postgres"):
            self._engine = _engine(url).execution_options(schema_translate_map={None: SCHEMA})
        else:
            raise SynclineError(
                f"A ledger is kept in SQLite or PostgreSQL, not in {parsed.get_backend_name()}.",
                fix="correct state.url.",
            )

    @property
    def sqlite(self) -> bool:
        return self._engine.dialect.name == "sqlite"

    def there(self) -> bool:
        """Whether a ledger was ever made here; nothing is made to find out."""
        if self._file is not None and not self._file.exists():
            return False
        with self._told(), self._connected() as connection:
            return self._known(connection) > 0

    @contextmanager
    def writing(self) -> Iterator[sa.Connection]:
        """One transaction that writes: all of it, or nothing."""
        with self._told():
            self._prepare()
            with self._engine.begin() as connection:
                yield connection

    @contextmanager
    def reading(self) -> Iterator[sa.Connection]:
        """One transaction that only reads, and waits for no writer."""
        with self._told():
            self._prepare()
            with self._connected() as connection:
                yield connection

    def close(self) -> None:
        self._engine.dispose()

    @contextmanager
    def _connected(self) -> Iterator[sa.Connection]:
        with self._engine.connect().execution_options(**{_READING: True}) as connection, connection.begin():
            yield connection

    def _prepare(self) -> None:
        """Create or upgrade what is not there yet, once; refuse what a newer Syncline or somebody else made."""
        if self._ready:
            return
        with self._lock:
            if self._ready:
                return
            if self._file is not None:
                try:
                    private.make_folder(self._file.parent)
                    private.make_file(self._file)  # SQLite gives its -wal, -shm and -journal the same mode
                    private.narrow(*(self._file.with_name(f"{self._file.name}{end}") for end in ("-wal", "-shm")))
                except OSError as error:
                    raise ConnectionFailed(
                        f"The ledger {self._file} cannot be made: {error.strerror}.", fix="correct state.url."
                    ) from error
            with self._connected() as connection:
                known = self._known(connection)
            if known < FORMAT:
                self._create()
            self._ready = True

    def _known(self, connection: sa.Connection) -> int:
        """The format that is there, 0 where there is nothing yet."""
        names = sa.inspect(connection).get_table_names(None if self.sqlite else SCHEMA)
        if FORMATS.name not in names:
            if names:
                raise SynclineError(
                    f"{self.url} holds other tables ({', '.join(sorted(names)[:3])} …), so it is no ledger.",
                    fix=f"give the ledger a {'file' if self.sqlite else 'database'} of its own in state.url.",
                )
            return 0
        found = connection.scalar(sa.select(sa.func.max(FORMATS.c.version))) or 0
        if found > FORMAT:
            raise SynclineError(
                f"The ledger at {self.url} has format {found}, made by a newer Syncline; this one knows {FORMAT}.",
                fix="update Syncline here.",
            )
        return int(found)

    def _create(self) -> None:
        if self.sqlite:
            self._use_wal()
        with self._engine.begin() as connection:
            if not self.sqlite:
                locked(connection, "create")
                connection.execute(sa.schema.CreateSchema(SCHEMA, if_not_exists=True))
            known = self._known(connection)  # another process may have been first
            if not known and self.sqlite:
                for statement in _tables_in_sqlite():
                    connection.exec_driver_sql(statement)
            elif not known:
                METADATA.create_all(connection, checkfirst=False)
            elif known < FORMAT:
                upgrade(connection, known, None if self.sqlite else SCHEMA)
            if known < FORMAT:
                connection.execute(FORMATS.insert().values(version=FORMAT))

    def _use_wal(self) -> None:
        """Readers and a writer side by side. The mode stays with the file; the switch itself does not wait."""
        for attempt in range(100):
            try:
                with self._engine.connect() as connection:
                    raw = connection.connection.dbapi_connection
                    assert raw is not None
                    raw.cursor().execute("PRAGMA journal_mode=WAL")
            except Exception as error:
                if not _is_busy(getattr(error, "orig", None) or error) or attempt == 99:
                    raise
                time.sleep(0.05)
            else:
                return

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except sa.exc.DBAPIError as error:
            raise self._said(error, error.connection_invalidated) from error
        except sa.exc.SQLAlchemyError as error:
            raise self._said(error, False) from error

    def _said(self, error: sa.exc.SQLAlchemyError, lost: bool) -> SynclineError:
        cause = getattr(error, "orig", None) or error
        what = scrubbed(cause, self._secret_url)
        if lost or _is_busy(cause) or (self._ready and _is_transient(error, cause)):
            return TransientError(f"The ledger at {self.url} did not answer: {what}.", fix="run again.")
        if isinstance(error, sa.exc.OperationalError):
            return ConnectionFailed(f"The ledger at {self.url} cannot be reached: {what}.", fix="check state.url.")
        return SynclineError(f"The ledger at {self.url} cannot be used: {what}.", fix="check state.url and its rights.")


def _only_read(file: Path | None) -> str | None:
    """The URL of a ledger in a place that cannot be written, such as a backup that is mounted so; None where it can.

    SQLite opens a file with a write-ahead log there only as one that nobody changes, unless the log is there, too.
    """
    if file is None or not file.exists() or os.access(file.parent, os.W_OK):
        return None
    log = file.with_name(f"{file.name}-wal")
    still = {} if log.exists() and log.stat().st_size else {"immutable": "1"}
    place = f"file:{quote(str(file.absolute()))}"
    made = sa.URL.create("sqlite", database=place, query={"mode": "ro", **still, "uri": "true"})
    return made.render_as_string(hide_password=False)


def _engine(url: str) -> sa.Engine:
    """An engine with connections of its own. A run opens its ledger several times: what statements compile to, and what
    SQLAlchemy learns of a server at the first connection, is kept from one time to the next."""
    first, compiled = _first_engine(url)
    kept = {"compiled_cache": compiled}
    return sa.Engine(first.pool.recreate(), first.dialect, first.url, hide_parameters=True, execution_options=kept)


@lru_cache(maxsize=8)
def _first_engine(url: str) -> tuple[sa.Engine, dict[Any, Any]]:
    """An engine of the URL that is never connected itself, and a cache of compiled statements."""
    parsed = sa.make_url(url)
    if parsed.get_backend_name() == "sqlite":
        engine = sa.create_engine(parsed, connect_args={"timeout": BUSY_SECONDS}, hide_parameters=True)
        sa.event.listen(engine, "connect", _without_implicit_begin)
        dialect, compiled = _sqlite()
        return sa.Engine(engine.pool, dialect, engine.url), compiled
    psycopg = parsed.set(drivername="postgresql+psycopg")
    engine = sa.create_engine(psycopg, pool_pre_ping=True, hide_parameters=True)
    sa.event.listen(engine, "connect", _set_up, insert=True)  # before SQLAlchemy asks anything
    return engine, {}


@cache
def _sqlite() -> tuple[sa.Dialect, dict[Any, Any]]:
    """What SQLAlchemy knows of the SQLite library, and what statements compile to: the same for all files."""
    anywhere = sa.create_engine("sqlite://")
    anywhere.connect().close()
    return anywhere.dialect, {}


@cache
def _tables_in_sqlite() -> tuple[str, ...]:
    """The statements that make a ledger's tables and indexes."""
    dialect, _ = _sqlite()
    made = list[str]()
    METADATA.create_all(
        sa.create_mock_engine("sqlite://", lambda made_by, *_: made.append(str(made_by.compile(dialect=dialect)))),
        checkfirst=False,
    )
    return tuple(made)


def upsert(
    connection: sa.Connection, table: sa.Table, rows: Sequence[Mapping[str, Any]], *, keep: Sequence[str] = ()
) -> None:
    """Insert rows; where the primary key is taken, update every other column but those to `keep`."""
    if rows:
        schema = None if connection.dialect.name == "sqlite" else SCHEMA
        connection.execute(_upserting(table, tuple(rows[0]), tuple(keep), schema), [dict(row) for row in rows])


@cache
def _upserting(table: sa.Table, names: tuple[str, ...], keep: tuple[str, ...], schema: str | None) -> sa.TextClause:
    """The statement, which SQLite and PostgreSQL have alike. SQLAlchemy would compile its own one anew each time."""
    key = ", ".join(f'"{column.name}"' for column in table.primary_key)
    changed = [name for name in names if not table.c[name].primary_key and name not in keep]
    new = ", ".join(f'"{name}" = excluded."{name}"' for name in changed)
    done = f"UPDATE SET {new}" if changed else "NOTHING"
    place = f'"{schema}"."{table.name}"' if schema else f'"{table.name}"'
    columns, values = (", ".join(form.format(name) for name in names) for form in ('"{}"', ":{}"))
    statement = sa.text(f"INSERT INTO {place} ({columns}) VALUES ({values}) ON CONFLICT ({key}) DO {done}")  # noqa: S608
    return statement.bindparams(*(sa.bindparam(name, type_=table.c[name].type) for name in names))


def locked(connection: sa.Connection, name: str) -> None:
    """Wait until no other transaction works on `name`. SQLite's write transactions exclude each other anyway."""
    if connection.dialect.name != "sqlite":
        connection.execute(sa.select(sa.func.pg_advisory_xact_lock(sa.func.hashtextextended(f"syncline:{name}", 0))))


def _set_up(connection: Any, _record: Any) -> None:
    from adapters.postgres.connection import set_up  # which needs drivers that a ledger in SQLite does not
    from adapters.postgres.session import settled

    connection.autocommit = True
    set_up(connection, settled(read_only=False, rls="refuse"))
    connection.autocommit = False


def _without_implicit_begin(connection: Any, _record: Any) -> None:
    connection.isolation_level = None  # the driver's own BEGIN comes too late to keep a transaction in one piece


def _begin(connection: sa.Connection) -> None:
    reading = connection.get_execution_options().get(_READING)
    connection.exec_driver_sql("BEGIN" if reading else "BEGIN IMMEDIATE")


def _is_busy(error: BaseException) -> bool:
    """Whether another connection to a SQLite file was in the way."""
    code = getattr(error, "sqlite_errorcode", 0) & 0xFF  # without what the extended codes add
    return code in (sqlite3.SQLITE_BUSY, sqlite3.SQLITE_LOCKED)


def _is_transient(error: sa.exc.SQLAlchemyError, cause: BaseException) -> bool:
    """Whether PostgreSQL reports what may be otherwise the next time, or psycopg that the connection failed."""
    if not hasattr(cause, "sqlstate"):
        return False
    if cause.sqlstate is None:  # no server said anything; all but an OperationalError is of what was asked
        return isinstance(error, sa.exc.OperationalError)
    return bool(cause.sqlstate.startswith(_TRANSIENT))
