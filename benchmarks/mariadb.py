"""MariaDB: how fast rows come out of it and go into it, beside its own client and a driver, round by round."""

from __future__ import annotations

import subprocess
import tempfile
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from shutil import which
from statistics import median
from time import perf_counter
from typing import Any, Final
from urllib.parse import urlsplit

import pyarrow as pa
import pymysql
from pymysql.constants import CLIENT
from pymysql.cursors import SSCursor

from adapters.protocol import Target
from adapters.registry import open_target
from benchmarks.copying import WrongResult
from examples.legacyshop.server import daemon, mariadb
from transforms.vocabulary import ChangeSet, Relation, TableName

COLUMNS: Final = """
    id bigint NOT NULL PRIMARY KEY, customer int NOT NULL, code varchar(20) NOT NULL, name varchar(80) NOT NULL,
    amount decimal(12,2) NOT NULL, weight double, placed_at datetime(6) NOT NULL, note text"""
ROWS: Final = """
INSERT INTO customer
SELECT seq, seq % 1000, concat('c-', seq), concat('Zoë Nº ', seq), seq % 100000 / 100, sqrt(seq),
       '2020-01-01' + INTERVAL seq SECOND + INTERVAL seq % 1000000 MICROSECOND, if(seq % 3, NULL, repeat('x', seq % 90))
FROM seq_1_to_{rows}"""
CLIENT_READS: Final = "mariadb --quick --batch, its output thrown away"
DRIVER_READS: Final = "pymysql, rows made into Arrow"
SYNCLINE_READS: Final = "Syncline: a scan in key order"
CLIENT_LOADS: Final = "mariadb, LOAD DATA LOCAL of a file that is there"
SYNCLINE_LOADS: Final = "Syncline: a window into an empty table"
SYNCLINE_CHANGES: Final = "Syncline: updates of all rows, staged and compared"
BATCH: Final = 50_000


@dataclass(frozen=True, slots=True)
class Mariadb:
    """Seconds of each way, round by round; the first of each kind is what the others are compared with."""

    rows: int
    table_bytes: int
    reading: dict[str, tuple[float, ...]]
    writing: dict[str, tuple[float, ...]]


def measure(rows: int, rounds: int, told: Callable[[str], None]) -> Mariadb | None:
    """None where there is no mariadbd, or not its client."""
    if daemon() is None or which("mariadb") is None:
        return None
    told(f"{rows:,} rows in MariaDB")
    with mariadb("--innodb-buffer-pool-size=1G") as url, tempfile.TemporaryDirectory() as folder:
        execute(url, f"CREATE TABLE customer ({COLUMNS})", ROWS.format(rows=rows), f"CREATE TABLE copy ({COLUMNS})")
        execute(url, "ANALYZE TABLE customer")
        ((size,),) = execute(url, "SELECT data_length FROM information_schema.tables WHERE table_name = 'customer'")
        file = Path(folder) / "customer.tsv"
        with file.open("wb") as written:
            client(url, "SELECT * FROM customer", stdout=written)
        reading: dict[str, list[float]] = {CLIENT_READS: [], DRIVER_READS: [], SYNCLINE_READS: []}
        writing: dict[str, list[float]] = {CLIENT_LOADS: [], SYNCLINE_LOADS: [], SYNCLINE_CHANGES: []}
        load = f"LOAD DATA LOCAL INFILE '{file}' INTO TABLE copy"
        with closing(open_target(url)) as adapter:
            table = scanned(adapter)
            for number in range(rounds):
                told(f"MariaDB, round {number + 1} of {rounds}")
                reading[CLIENT_READS].append(timed(lambda: client(url, "SELECT * FROM customer ORDER BY id")))
                reading[DRIVER_READS].append(timed(lambda: read_by_driver(url)))
                reading[SYNCLINE_READS].append(timed(lambda: scanned(adapter)))
                writing[CLIENT_LOADS].append(timed(lambda: client(url, load)))
                held(url, rows)
                writing[SYNCLINE_LOADS].append(timed(lambda: load_window(adapter, table)))
                held(url, rows, keep=True)
                writing[SYNCLINE_CHANGES].append(timed(lambda: change_all(adapter, table)))
                held(url, rows)
    return Mariadb(rows, int(size), *({way: tuple(s) for way, s in each.items()} for each in (reading, writing)))


def timed(work: Callable[[], Any]) -> float:
    began = perf_counter()
    work()
    return perf_counter() - began


def connected(url: str) -> Any:
    there = urlsplit(url)
    place = {"host": there.hostname, "port": there.port, "user": there.username, "database": there.path[1:]}
    return closing(pymysql.connect(**place, charset="utf8mb4", client_flag=CLIENT.MULTI_STATEMENTS, autocommit=True))


def execute(url: str, *statements: str) -> Any:
    with connected(url) as connection, connection.cursor() as cursor:
        for statement in statements:
            cursor.execute(statement)
        return cursor.fetchall()


def client(url: str, statement: str, stdout: Any = subprocess.DEVNULL) -> None:
    there = urlsplit(url)
    place = ["--protocol=tcp", f"--host={there.hostname}", f"--port={there.port}", f"--user={there.username}"]
    ways = ["--no-defaults", *place, "--local-infile=1", "--quick", "--batch", "--skip-column-names"]
    command = ["mariadb", *ways, "--default-character-set=utf8mb4", there.path[1:], "-e", statement]
    subprocess.run(command, check=True, stdout=stdout)


def read_by_driver(url: str) -> None:
    """Every row through the driver's own parser, batch by batch into Arrow: what a loader usually does."""
    with connected(url) as connection, connection.cursor(SSCursor) as cursor:
        cursor.execute("SELECT * FROM customer ORDER BY id")
        while rows := cursor.fetchmany(BATCH):
            pa.table(list(map(list, zip(*rows, strict=True))), names=[str(i) for i in range(len(rows[0]))])


def scanned(adapter: Target) -> pa.Table:
    shape = adapter.describe(TableName("customer"))
    assert shape is not None
    with adapter.snapshot() as snapshot:
        return pa.Table.from_batches(snapshot.scan(Relation(shape.name), shape.names, key=("id",)))


def load_window(adapter: Target, rows: pa.Table) -> None:
    shape = adapter.describe(TableName("copy"))
    assert shape is not None
    none = rows.slice(0, 0)
    adapter.apply(ChangeSet(shape.name, ("id",), shape.names, rows, none, none, none), shape, None, empty=True)


def change_all(adapter: Target, before: pa.Table) -> None:
    """Each row gets the name of the row before it."""
    shape = adapter.describe(TableName("copy"))
    assert shape is not None
    place = before.schema.get_field_index("name")
    names = before.column("name")
    moved = pa.chunked_array([names.slice(len(names) - 1), names.slice(0, len(names) - 1)])
    after, none = before.set_column(place, before.schema.field(place), moved), before.slice(0, 0)
    done = adapter.apply(ChangeSet(shape.name, ("id",), shape.names, none, before, after, none), shape, None)
    if done.updated != before.num_rows:
        raise WrongResult(f"{done.updated:,} of {before.num_rows:,} rows were updated.")


def held(url: str, rows: int, *, keep: bool = False) -> None:
    """Look whether the copy has all rows, and empty it for the next way unless `keep`."""
    ((count,),) = execute(url, "SELECT count(*) FROM copy")
    if count != rows:
        raise WrongResult(f"The copy in MariaDB has {count:,} rows and not {rows:,}.")
    if not keep:
        execute(url, "TRUNCATE TABLE copy")


def lines(found: Mariadb, times: dict[str, tuple[float, ...]]) -> list[tuple[str, ...]]:
    """Seconds, the ratio to the first way round by round, and rows a second, of each way."""
    first = next(iter(times.values()))
    return [
        (
            way,
            f"{median(seconds):.2f}",
            f"{median(mine / base for mine, base in zip(seconds, first, strict=True)):.2f}",
            f"{found.rows / median(seconds) / 1e6:.2f}",
        )
        for way, seconds in times.items()
    ]
