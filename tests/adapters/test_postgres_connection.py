"""Connections to PostgreSQL: lost or refused ones, passwords that never show, and locks."""

from __future__ import annotations

import uuid

import pyarrow as pa
import pytest
from postgres_tables import adapter as adapter
from postgres_tables import changes, read, shape_of
from postgres_tables import db as db

from adapters.postgres.adapter import PostgresAdapter
from transforms.vocabulary import (
    BusyError,
    ConnectionFailed,
    Relation,
    SpecError,
    SynclineError,
    TableName,
    TransientError,
)

psycopg = pytest.importorskip("psycopg")


def test_a_lost_connection_is_transient_and_the_next_try_succeeds(
    db: psycopg.Connection, adapter: PostgresAdapter
) -> None:
    db.execute("CREATE TABLE t AS SELECT 1 AS id")
    kill = "SELECT pg_terminate_backend(pid, 60000) FROM pg_stat_activity WHERE application_name = 'syncline'"
    kill += " AND datname = current_database()"
    relation = Relation(TableName("t"))
    with pytest.raises(TransientError), adapter.snapshot() as snapshot:
        snapshot.count(relation)
        db.execute(kill)
        snapshot.count(relation)
    rows = read(adapter, "t")
    db.execute(kill)
    assert adapter.tables() == [TableName("t")]
    assert read(adapter, "t").equals(rows)


def test_an_unreachable_server_is_named_without_its_password() -> None:
    adapter = PostgresAdapter("postgresql://u:s3cr%40t@127.0.0.1:1/db?connect_timeout=2")
    for attempt in (adapter.tables, lambda: adapter.describe(TableName("t")), lambda: adapter.applied("p")):
        with pytest.raises(ConnectionFailed) as caught:
            attempt()
        assert "127.0.0.1" in str(caught.value) and "Fix:" in str(caught.value)
        assert "s3cr" not in str(caught.value)
    assert adapter.url == "postgresql://u:***@127.0.0.1:1/db?connect_timeout=2"
    with pytest.raises(ConnectionFailed, match=r"\*\*\*|127"), adapter.snapshot():
        pass
    adapter.close()


def test_a_refused_password_says_so(db: psycopg.Connection, postgres_url: str) -> None:
    name = f"u{uuid.uuid4().hex[:8]}"
    adapter = PostgresAdapter(postgres_url.replace("postgres:@", f"{name}:hunter2@"))
    with pytest.raises(ConnectionFailed, match=name) as caught:
        adapter.tables()
    assert "hunter2" not in str(caught.value)


def test_a_url_that_is_none_is_refused_without_its_password() -> None:
    with pytest.raises(SpecError, match="Fix: write postgresql://") as caught:
        PostgresAdapter("postgresql://u:hunter2@h:port:5/db?nonsense=1")
    assert "hunter2" not in str(caught.value)


def test_a_statement_error_shows_no_password(db: psycopg.Connection, postgres_url: str) -> None:
    adapter = PostgresAdapter(postgres_url.replace("postgres:@", "postgres:hunter2@"))
    db.execute("CREATE TABLE t (id int PRIMARY KEY)")
    relation = Relation(TableName("t"), where="nonsense = 'hunter2'")
    with adapter.snapshot() as snapshot, pytest.raises(SynclineError, match="nonsense") as caught:
        snapshot.count(relation)
    assert "hunter2" not in str(caught.value)
    assert "hunter2" not in adapter.url
    adapter.close()


def test_a_held_lock_names_its_holder(adapter: PostgresAdapter, postgres_url: str) -> None:
    other = PostgresAdapter(f"{postgres_url}&application_name=nightly")
    held = r"flights is held .* by application 'nightly', process \d+, since 2.*Fix:"
    with other.lock("flights"):
        with pytest.raises(BusyError, match=held), adapter.lock("flights"):
            pass
        with adapter.lock("hotels"):
            pass
    with adapter.lock("flights"), pytest.raises(BusyError, match="syncline"), other.lock("flights"):
        pass
    other.close()


def test_a_read_only_adapter_cannot_write(db: psycopg.Connection, postgres_url: str) -> None:
    db.execute("CREATE TABLE t (id int PRIMARY KEY)")
    adapter = PostgresAdapter(postgres_url, read_only=True)
    rows = pa.table({"id": pa.array([1], pa.int32())})
    with pytest.raises(SynclineError, match="read-only"):
        adapter.apply(changes("t", rows, inserts=rows), shape_of(adapter, "t"), None)
    adapter.close()


def test_closing_twice_is_harmless(adapter: PostgresAdapter) -> None:
    adapter.tables()
    adapter.close()
    adapter.close()
    assert adapter.tables() == []
