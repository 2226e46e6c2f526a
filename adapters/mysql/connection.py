"""Connections to MariaDB and MySQL: where they come from, how they are set up, and what their failures mean."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from queue import Empty, LifoQueue
from typing import Any, Final

import pyarrow as pa
import pymysql
import sqlalchemy as sa
from pymysql.constants import CLIENT

from adapters.mysql.refusals import columns_of, constraint_of
from adapters.mysql.tls import Driver, context_of
from adapters.secrets import masked, misread, scrubbed
from adapters.sql.refused import FIX, Refused
from transforms.vocabulary import ConnectionFailed, RowRefused, SpecError, SynclineError, TransientError

Connection = Any
"""A connection of PyMySQL, which says nothing of its types."""

APPLICATION: Final = "syncline"
CONNECT_SECONDS: Final = 10
WAIT_SECONDS: Final = 7 * 86_400  # how long a connection may rest, or a result wait for its reader
DDL_SECONDS: Final = 60  # how long to wait for those who use a table that is to be changed
SORTED_BYTES: Final = 65_536  # of a text or binary that is sorted; 1024 by default, the rest being ignored

SESSION: Final = (
    "time_zone = '+00:00'",
    "sql_mode = 'STRICT_ALL_TABLES,NO_AUTO_VALUE_ON_ZERO,NO_ENGINE_SUBSTITUTION'",
    "character_set_results = NULL",  # values leave as they are stored
    f"wait_timeout = {WAIT_SECONDS}",
    f"net_write_timeout = {WAIT_SECONDS}",
    f"net_read_timeout = {WAIT_SECONDS}",
    f"lock_wait_timeout = {DDL_SECONDS}",
    f"max_sort_length = {SORTED_BYTES}",
    "foreign_key_checks = 1",
    "unique_checks = 1",
    "sql_safe_updates = 0",
    "sql_auto_is_null = 0",
    "sql_select_limit = 18446744073709551615",  # DEFAULT is what the server's administrator set
    "sql_big_selects = 1",
    "completion_type = 'NO_CHAIN'",
    "collation_connection = 'utf8mb4_general_ci'",
    "group_concat_max_len = 1048576",
    "max_error_count = 64",  # warnings of a load are errors here
    "sql_notes = 1",
    "sql_quote_show_create = 1",
    "lc_messages = 'en_US'",
    "lc_time_names = 'en_US'",
    "div_precision_increment = 4",
    "default_week_format = 0",
)
"""What a session is set to, whatever the server says: it sees and writes the same everywhere."""
MARIADB: Final = (
    "system_versioning_asof = DEFAULT",  # now
    "check_constraint_checks = 1",
    "innodb_strict_mode = 1",
    "max_recursive_iterations = 4294967295",  # or a query's rows end there
    "old_mode = ''",
    "sql_if_exists = 0",
    "standard_compliant_cte = 1",
    "default_regex_flags = ''",
    "character_set_filesystem = binary",
    "timestamp = DEFAULT",
    "insert_id = 0",
    "max_statement_time = 0",
    "idle_transaction_timeout = 0",
    "idle_readonly_transaction_timeout = 0",
    "idle_write_transaction_timeout = 0",
)
MYSQL: Final = ("max_execution_time = 0", "information_schema_stats_expiry = 0")
OLDEST_MARIADB: Final = (10, 6)
OLDEST_MYSQL: Final = (8, 0)
TIMESTAMPS: Final = "explicit_defaults_for_timestamp = 1"  # or a NOT NULL one gets the time of each update
TIMESTAMPS_SINCE: Final = (
    10,
    6,
    9,
)  # of MariaDB; MySQL has them so from the start, and lets only administrators say it

_OPTIONS: Final = ("ssl", "ssl_ca", "ssl_cert", "ssl_key", "ssl_verify", "unix_socket", "connect_timeout", "charset")
_TRANSIENT: Final = frozenset(
    (1020, 1040, 1047, 1053, 1077, 1078, 1079, 1152, 1158, 1159, 1160, 1161, 1184, 1203, 1205, 1213, 1317, 1412, 1927)
) | frozenset((0, 2002, 2003, 2006, 2013, 2014, 2055, 4031))  # fmt: skip
"""Lost connections, deadlocks, waits that were given up, servers that are full or on their way down."""
UNFIT: Final = frozenset(
    (139, 1048, 1062, 1118, 1136, 1139, 1172, 1216, 1217, 1242, 1263, 1264, 1265, 1292, 1364, 1365, 1366, 1369, 1406, 1411, 1416)
) | frozenset(
    (1441, 1451, 1452, 1525, 1526, 1557, 1586, 1644, 1690, 1713, 1761, 1762, 3140, 3141, 3144, 3156, 3157, 3819, 4025, 4038)
)  # fmt: skip
"""A value that is null, double, too long, out of range, or refused by a constraint, a partition or a trigger; a row that is too
large."""
_OF_TRIGGERS: Final = 5000  # numbers from here on are given by no server, and by SIGNAL … SET MYSQL_ERRNO alone
_REFERENCES: Final = frozenset((1216, 1217, 1451, 1452, 1557, 1761, 1762))
_DOUBLE: Final = frozenset((1062, 1586))
_DENIED: Final = frozenset((1044, 1045, 1698, 1227))
FORBIDDEN: Final = frozenset((1044, 1142, 1143, 1227, 1370))
_WANTED: Final = "a source wants SELECT, a target also INSERT, UPDATE, DELETE, CREATE, ALTER, INDEX, REFERENCES and CREATE TEMPORARY TABLES"
UNSEEN: Final = (1142, 1143)
_STATEMENT_LOG: Final = 1665
_STOPPED: Final = frozenset((1969, 3024))
_FULL: Final = frozenset((1021, 1114))
_NO_SPACE: Final = re.compile(r"no space left on device|err(?:or|no|code):? 28\b", re.IGNORECASE)
_CLIENT: Final = 2000  # where the numbers of clients begin; those below 1000 are the operating system's


@dataclass(frozen=True, slots=True)
class Server:
    """Which server answers, and which version of it."""

    mariadb: bool
    version: tuple[int, ...]

    @property
    def exact_collation(self) -> str:
        """The collation of utf8mb4 in which texts are equal only where they are the same."""
        if self.mariadb:
            return "utf8mb4_nopad_bin"
        return "utf8mb4_0900_bin" if self.version >= (8, 0, 17) else "utf8mb4_bin"

    @property
    def settings(self) -> tuple[str, ...]:
        """What its sessions are set to besides SESSION."""
        if not self.mariadb:
            return MYSQL
        return (*MARIADB, TIMESTAMPS) if self.version >= TIMESTAMPS_SINCE else MARIADB

    @property
    def has_uuid(self) -> bool:
        return self.mariadb and self.version >= (10, 7)


def server_of(told: str) -> Server:
    """The server by what it says of itself: `5.5.5-10.11.6-MariaDB`, `11.4.2-MariaDB-log`, `8.0.36`."""
    mariadb = "mariadb" in told.lower()
    plain = told.removeprefix("5.5.5-") if mariadb else told
    return Server(mariadb, tuple(int(each) for each in re.findall(r"\d+", plain.split("-")[0])[:3]))


def must_be_supported(url: str, server: Server) -> None:
    """Refuse a server that is too old."""
    name, oldest = ("MariaDB", OLDEST_MARIADB) if server.mariadb else ("MySQL", OLDEST_MYSQL)
    if server.version and server.version < oldest:
        known, wanted = (".".join(map(str, version)) for version in (server.version, oldest))
        raise ConnectionFailed(
            f"{url} is {name} {known}, which is too old: Syncline takes {name} from {wanted} on.",
            fix="upgrade the server.",
        )


def options_of(url: str) -> dict[str, Any]:
    """What PyMySQL connects with for a URL. SpecError where the URL says something else."""
    if wrong := misread(url):
        raise SpecError(f"{masked(url)} is no MySQL URL.", fix=f"{wrong}.")
    try:
        parsed = sa.make_url(url)
        port = parsed.port or 3306
    except (sa.exc.ArgumentError, ValueError) as error:
        raise SpecError(
            f"{masked(url)} is no MySQL URL: {scrubbed(error, url)}.",
            fix="write mysql://user:password@host:3306/database.",
        ) from None
    given = {name: value if isinstance(value, str) else value[-1] for name, value in parsed.query.items()}
    unknown = sorted(set(given) - set(_OPTIONS))
    if unknown:
        raise SpecError(f"{masked(url)}: {unknown[0]} is no option.", fix=f"it may be one of {', '.join(_OPTIONS)}.")
    if given.get("charset", "utf8mb4").lower() != "utf8mb4":
        raise SpecError(f"{masked(url)}: texts travel in utf8mb4 whatever their columns hold.", fix="remove charset.")
    seconds = given.get("connect_timeout", str(CONNECT_SECONDS))
    if not seconds.isdigit() or not int(seconds):
        raise SpecError(f"{masked(url)}: connect_timeout takes whole seconds.", fix="write connect_timeout=10.")
    options: dict[str, Any] = {
        "host": parsed.host or "localhost",
        "port": port,
        "user": parsed.username or "",
        "password": (parsed.password or "").encode(),
        "database": parsed.database or None,
        "connect_timeout": int(seconds),
        **({"unix_socket": given["unix_socket"]} if "unix_socket" in given else {}),
    }
    wanted = {name: _flag(url, name, given[name]) for name in ("ssl", "ssl_verify") if name in given}
    if wanted.get("ssl") is False:
        return options | {"ssl_disabled": True}
    if given.keys() & {"ssl", "ssl_verify", "ssl_ca", "ssl_cert", "ssl_key"}:
        verified = wanted.get("ssl_verify", "ssl_ca" in given)
        try:
            options["ssl"] = context_of(verified, given.get("ssl_ca"), given.get("ssl_cert"), given.get("ssl_key"))
        except OSError as error:
            raise SpecError(f"{masked(url)}: {error}.", fix="correct ssl_ca, ssl_cert or ssl_key.") from error
    return options


def _flag(url: str, name: str, value: str) -> bool:
    flags = {"true": True, "1": True, "yes": True, "false": False, "0": False, "no": False}
    if value.lower() not in flags:
        raise SpecError(f"{masked(url)}: {name} takes true or false, not {value!r}.", fix=f"write {name}=true.")
    return flags[value.lower()]


class Connections:
    """A pool of connections to one database, all set up alike. Thread-safe."""

    def __init__(self, url: str, *, read_only: bool = False) -> None:
        self.url = masked(url)
        self._secret_url = url
        self._options = options_of(url)
        self._read_only = read_only
        self._idle: LifoQueue[Connection] = LifoQueue()
        self._reached: Server | None = None

    @property
    def server(self) -> Server:
        if self._reached is None:
            with self.connected():
                pass
        assert self._reached is not None
        return self._reached

    @contextmanager
    def connected(self) -> Iterator[Connection]:
        """A connection outside of any transaction; closed after an error, else given back.

        Errors: ConnectionFailed where the server was never reached, else TransientError.
        """
        connection = self.take()
        try:
            yield connection
        except BaseException:
            drop(connection)
            raise
        self._idle.put(connection)

    @contextmanager
    def begin(self, where: str, *, read_only: bool = False) -> Iterator[Connection]:
        """One transaction: committed at the end, rolled back on any error. `read_only`: the server refuses what writes in it."""
        with self.translated(where), self.connected() as connection:
            run(connection, "START TRANSACTION READ ONLY" if self._read_only or read_only else "START TRANSACTION")
            yield connection
            run(connection, "COMMIT")

    def take(self) -> Connection:
        """A connection that still lives: a pooled one, or a new one. Whoever takes it drops it or gives it back."""
        while True:
            try:
                connection = self._idle.get_nowait()
            except Empty:
                return self._open()
            try:
                connection.ping(reconnect=False)
                return connection
            except (pymysql.Error, OSError):
                drop(connection)

    def give_back(self, connection: Connection) -> None:
        """Put a connection back; its transaction ends. A broken one is closed instead."""
        try:
            run(connection, "ROLLBACK")
        except (pymysql.Error, OSError):
            drop(connection)
        else:
            self._idle.put(connection)

    def _open(self) -> Connection:
        try:
            connection = Driver(
                **self._options,
                charset="utf8mb4",
                autocommit=True,
                local_infile=True,
                client_flag=CLIENT.FOUND_ROWS,
                program_name=APPLICATION,
            )
            connection._local_infile = False  # only mysql_load answers when the server asks for data
            self._reached = server_of(connection.get_server_info())
            must_be_supported(self.url, self._reached)
            run(connection, f"SET SESSION {', '.join((*SESSION, *self._reached.settings))}")
            run(connection, "SET SESSION TRANSACTION ISOLATION LEVEL READ COMMITTED, READ WRITE")
        except (pymysql.Error, OSError, ValueError, RuntimeError) as error:
            raise self._unreachable(error) from error
        return connection

    def _unreachable(self, error: Exception) -> SynclineError:
        code, reason = _told(error)
        reason = scrubbed(reason, self._secret_url)
        if self._reached is not None:
            return TransientError(f"The server of {self.url} cannot be reached any more: {reason}")
        fix = "check host, port, database and user in the URL, and that the server runs and lets this machine in"
        if code in _DENIED:
            fix = "correct the user name or password in the URL, or what the user may do"
        return ConnectionFailed(f"Cannot connect to {self.url}: {reason}.", fix=f"{fix}.")

    @contextmanager
    def translated(self, where: str) -> Iterator[None]:
        """Turn what the driver raises into Syncline's errors, which name `where` and never a password."""
        try:
            yield
        except SynclineError:
            raise
        except (pymysql.Error, pa.ArrowException, OSError, RuntimeError) as error:
            raise self.meaning(error, where) from error

    def meaning(self, error: Exception, where: str) -> SynclineError:
        """What an error of the driver's means."""
        code, reason = _told(error)
        text = scrubbed(reason, self._secret_url)
        if code in _FULL or (code is not None and _NO_SPACE.search(text)):
            return SynclineError(
                f"{where} on {self.url}: {text}. Nothing of it was kept.", fix="free space there, then run again."
            )
        if code in _STOPPED:
            return SynclineError(
                f"{where} on {self.url}: {text}.",
                fix=(
                    "raise the server's limit on the time of statements for this user, or make "
                    "windows smaller (defaults.window), then run again."
                ),
            )
        broken = isinstance(error, pymysql.InternalError) and (code is None or code >= _CLIENT)
        lost = isinstance(error, OSError) or broken or code in _TRANSIENT
        if lost and not isinstance(error, pa.ArrowException):
            return TransientError(f"{where} on {self.url}: {text or 'the connection was lost'}")
        if code in UNFIT or (code or 0) >= _OF_TRIGGERS:
            told = text, columns_of(code, text), constraint_of(code, text)
            return RowRefused(f"{where}: {text}.", *told, kind=refused(code), fix=FIX[refused(code)])
        fix = ""
        if code == _STATEMENT_LOG:
            fix = "set binlog_format to ROW or MIXED on the server"
        if code in FORBIDDEN:
            fix = f"GRANT it to the user; {_WANTED}"
        return SynclineError(f"{where} on {self.url}: {text}{'.' if fix else ''}", fix=fix)

    def close(self) -> None:
        """Give back every connection. Idempotent."""
        while True:
            try:
                drop(self._idle.get_nowait())
            except Empty:
                return


def refused(code: int | None) -> Refused:
    """What is wrong where the server refuses a row with this code."""
    return "reference" if code in _REFERENCES else "double" if code in _DOUBLE else "row"


def _told(error: Exception) -> tuple[int | None, str]:
    """The number and the text of an error."""
    if isinstance(error, pymysql.Error) and error.args and isinstance(error.args[0], int):
        return error.args[0], str(error.args[1]) if len(error.args) > 1 else ""
    return None, str(error)


def code_of(error: BaseException | None) -> int | None:
    """The server's number for an error."""
    return _told(error)[0] if isinstance(error, pymysql.Error) else None


def run(connection: Connection, statement: str) -> int:
    """Run one statement; how many rows it touched or found."""
    connection.query(statement)
    return int(connection.affected_rows() or 0)


def rows(
    connection: Connection, statement: str, values: Sequence[Any] | Mapping[str, Any] | None = None
) -> list[tuple[Any, ...]]:
    """The answer to a query, whole; `values` stand for its %s or %(name)s."""
    with connection.cursor() as cursor:
        cursor.execute(statement, values)
        return list(cursor.fetchall())


def drop(connection: Connection) -> None:
    """Close a connection at once, whatever it is doing: the server rolls its transaction back."""
    result = connection._result
    if result is not None:
        result.unbuffered_active = False  # or its end would be waited for
    connection._force_close()
