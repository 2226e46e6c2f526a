"""A server, database or role may be set to anything that changes what sessions see and write: Syncline's are all alike."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit

import psycopg
import pyarrow as pa
import pytest
from hostile_settings import hostile_mariadb, hostile_postgres
from scenario import Scenario, Side, counts
from type_samples import SAMPLES

from adapters.mysql import connection
from adapters.postgres import session
from adapters.postgres.adapter import PostgresAdapter
from adapters.registry import open_target
from flows.commands import Status
from transforms.vocabulary import ChangeSet, ConnectionFailed, Relation, SynclineError, TableName

SERVERS = ("postgresql", "mysql")
ORDERS = (
    "CREATE TABLE customer (id integer PRIMARY KEY, name varchar(40) UNIQUE, since {instant} NOT NULL, paid numeric(9,2) CHECK (paid >= 0))",
    "CREATE TABLE orders (id integer PRIMARY KEY, customer integer REFERENCES customer (id), note text, day date)",
)
INSTANT = {"postgresql": "timestamp with time zone", "mysql": "timestamp(6)"}


@pytest.fixture(params=SERVERS)
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Two sides of one engine: a table for each family of types at the source, and two that refer to each other on both."""
    made = Scenario.make(tmp_path, (request.param, request.param), request)
    types = samples(request.param)
    with made.source.connected() as run:
        if request.param == "mysql":
            run("SET sql_mode = 'ANSI_QUOTES,NO_BACKSLASH_ESCAPES'")
        for statement in dict.fromkeys(each.setup for each in types if each.setup):
            run(statement)
        columns = ", ".join(f"c{number} {each.native}" for number, each in enumerate(types))
        run(f"CREATE TABLE kinds (id integer PRIMARY KEY, {columns})")
        for row in range(max(len(each.values) for each in types)):
            given = ", ".join(each.values[row] if row < len(each.values) else "NULL" for each in types)
            run(f"INSERT INTO kinds VALUES ({row}, {given})")
    for side in (made.source, made.target):
        side.execute(*(each.format(instant=INSTANT[side.engine]) for each in ORDERS))
    moment = "timestamp with time zone '2024-07-01 12:00+00'" if request.param == "postgresql" else "'2024-07-01 12:00'"
    made.source.execute(
        *(f"INSERT INTO customer VALUES ({n}, 'c\\\\{n}''', {moment}, {n}.5)" for n in range(1, 9)),
        *(f"INSERT INTO orders VALUES ({n}, {n % 8 + 1}, NULLIF('n{n}', 'n3'), '2024-02-29')" for n in range(1, 9)),
    )
    return made


def samples(engine: str) -> list[Any]:
    """Types without long values, which say nothing here."""
    short = [replace(each, values=tuple(v for v in each.values if "repeat" not in v)) for each in SAMPLES[engine]]
    return [each for each in short if not each.forced and each.native != "decimal(38,38)"]


@contextmanager
def hostile(shop: Scenario) -> Iterator[Scenario]:
    """The same two databases, for users to whom everything is set otherwise."""
    if shop.source.engine == "postgresql":
        role = "hostile_" + urlsplit(shop.source.place).path[1:]
        with psycopg.connect(shop.source.place) as server:
            server.execute(f"CREATE ROLE {role} SUPERUSER LOGIN")
        sides = [hostile_postgres(side, role) for side in (shop.source, shop.target)]
        sides = [
            replace(side, schema=shop_side.schema)
            for side, shop_side in zip(sides, (shop.source, shop.target), strict=True)
        ]
        try:
            yield Scenario(shop.folder, *sides)
        finally:
            with psycopg.connect(shop.source.place) as server:
                server.execute(f"REASSIGN OWNED BY {role} TO postgres")
                server.execute(f"DROP ROLE {role}")
        return
    for side in (shop.source, shop.target):
        side.execute(
            "CREATE USER IF NOT EXISTS tenant@'%' IDENTIFIED BY ''",
            f"GRANT ALL ON \"{urlsplit(side.place).path[1:]}\".* TO tenant@'%'",
        )
    made = [replace(side, place=side.place.replace("root:", "tenant:")) for side in (shop.source, shop.target)]
    with hostile_mariadb(shop.source):
        yield Scenario(shop.folder, *made)


def shown(batch: pa.RecordBatch) -> str:
    """The values of a batch, dates and times as numbers: some are beyond Python's."""
    plain = {pa.date32(): pa.int32(), **dict.fromkeys((pa.timestamp("us"), pa.timestamp("us", "UTC")), pa.int64())}
    return repr([array.view(plain.get(array.type, array.type)).to_pylist() for array in batch.columns])


def seen(side: Side) -> dict[str, Any]:
    """All that an adapter says of a database."""
    adapter = open_target(side.url)
    found: dict[str, Any] = {"tables": adapter.tables(side.schema), "besides": adapter.besides(side.schema)}
    try:
        for name in found["tables"]:
            shape = adapter.describe(name)
            assert shape is not None
            columns = [each.name for each in shape.columns if not each.refused]
            with adapter.snapshot() as snapshot:
                rows = [shown(batch) for batch in snapshot.scan(Relation(name), columns, key=("id",))]
                counted = (snapshot.count(Relation(name)), snapshot.highest(Relation(name), "id"))
                cuts = snapshot.split(Relation(name), ("id",), 3)
            found[str(name)] = (shape, adapter.design(name), rows, counted, cuts)
    finally:
        adapter.close()
    return found


def test_what_is_seen_of_a_database_is_the_same(shop: Scenario) -> None:
    plain = seen(shop.source)
    with hostile(shop) as other:
        assert seen(other.source) == plain


def test_a_run_writes_and_proves_the_same(shop: Scenario) -> None:
    tables: dict[str, Any] = {
        "customer": {
            "from": "customer",
            "key": ["id"],
            "loaded": [
                {"type": "expect_table_row_count_to_equal", "value": 8},
                {"type": "expect_column_max_to_be_between", "column": "id", "min_value": 8, "max_value": 9},
            ],
        },
        "orders": {"from": "orders", "key": ["id"]},
        "kinds": {"from": "kinds", "key": ["id"], "columns": {"id": "id", **_kinds(shop)}},
    }
    with hostile(shop) as other:
        state = {"url": other.target.url} if other.target.engine == "postgresql" else {"url": "sqlite:///ledger.db"}
        other.write(tables, defaults={"window": {"rows": 8}}, state=state | {"store": "store"})
        done = other.run()
        assert done.status == Status.DONE, done
        assert [each.results for each in done.report.checkpoints if each.critical] == []
        assert counts(done, "orders") == {"source_rows": 8, "insert": 8}
    shop.source.execute("UPDATE customer SET name = 'new' WHERE id = 2", "DELETE FROM orders WHERE id = 4")
    with hostile(shop) as other:
        changed = other.run()
        assert counts(changed, "customer") == {"source_rows": 8, "update": 1, "unchanged": 7}
        other.settled()
        assert other.undo(2).status == Status.DONE
    shop.write(tables, defaults={"window": {"rows": 8}})
    assert counts(shop.plan(), "customer") == {"source_rows": 8, "update": 1, "unchanged": 7}


def _kinds(shop: Scenario) -> dict[str, str]:
    """A column of each family of types: the last one, which is seldom the plainest, and no endless number."""
    left_out = ("numeric", "point", "geometry")
    types = [each for each in enumerate(samples(shop.source.engine)) if each[1].native not in left_out]
    names = {each.family: f"c{number}" for number, each in types}
    return {name: name for name in names.values()}


def test_a_user_whose_sessions_pass_by_triggers_and_may_not_say_otherwise_writes_nothing(postgres_url: str) -> None:
    role = "passes_by_" + urlsplit(postgres_url).path[1:]
    with psycopg.connect(postgres_url) as server:
        server.execute("CREATE TABLE t (id int PRIMARY KEY)")
        server.execute(f"CREATE ROLE {role} LOGIN")
        server.execute(f"GRANT ALL ON t TO {role}")
        server.execute(f"ALTER ROLE {role} SET session_replication_role = replica")
    adapter = PostgresAdapter(postgres_url.replace("postgres:@", f"{role}:@"))
    try:
        shape = adapter.describe(TableName("t"))
        assert shape is not None
        none = shape.schema().empty_table()
        row = none.schema.empty_table().from_pylist([{"id": 1}], schema=none.schema)
        with pytest.raises(SynclineError, match=r"session_replication_role is replica.*Fix: ALTER ROLE"):
            adapter.apply(ChangeSet(shape.name, ("id",), ("id",), row, none, none, none), shape, None)
    finally:
        adapter.close()
        with psycopg.connect(postgres_url) as server:
            server.execute(f"DROP OWNED BY {role}")
            server.execute(f"DROP ROLE {role}")


def test_a_server_that_is_too_old_is_refused_by_name() -> None:
    with pytest.raises(ConnectionFailed, match=r"is PostgreSQL 14\.9, which is too old.*15 to 18\. Fix: upgrade"):
        session.must_be_supported("postgresql://host/db", 140_009)
    session.must_be_supported("postgresql://host/db", 190_000)
    for told in ("5.5.5-10.5.29-MariaDB", "5.7.44-log"):
        with pytest.raises(ConnectionFailed, match=r"which is too old.*Fix: upgrade"):
            connection.must_be_supported("mysql://host/db", connection.server_of(told))
    for told in ("10.6.0-MariaDB", "11.8.2-MariaDB-log", "8.0.36", "9.4.0"):
        connection.must_be_supported("mysql://host/db", connection.server_of(told))


def test_a_migration_into_an_older_postgresql_is_proved(pg15_url: str, tmp_path: Path) -> None:
    source, target = Side("sqlite", str(tmp_path / "a.db")), Side("postgresql", pg15_url, "core")
    source.execute("CREATE TABLE t (id integer PRIMARY KEY, v text, d date, n numeric(9,2))")
    source.insert("t", [(n, f"v{n}", "2024-02-29", n) for n in range(30)])
    target.execute("CREATE TABLE kept (id int PRIMARY KEY, v text, d date, n numeric(9,2))")
    shop = Scenario(tmp_path, source, target)
    tables = {name: {"from": "t", "key": ["id"]} for name in ("kept", "made")}
    shop.write(tables, defaults={"window": {"rows": 9}})
    assert shop.run().status == Status.DONE
    source.execute("UPDATE t SET v = 'new' WHERE id = 3", "DELETE FROM t WHERE id = 4")
    assert counts(shop.run(), "kept") == {"source_rows": 29, "update": 1, "delete": 1, "unchanged": 28}
    shop.settled()
