"""Ledgers in SQLite and PostgreSQL, with a clock that moves when told to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import uuid4

import psycopg
import pyarrow as pa
import pytest

from adapters.ledger.ledger import Ledger, NewVersion
from adapters.store.plans import QUARANTINE
from transforms.vocabulary import TIMESTAMP_INFINITY, SideName

START = datetime(2026, 1, 31, 12, 0, 0, 123456, tzinfo=UTC)


class Clock:
    """A clock that moves when told to."""

    def __init__(self) -> None:
        self.moment = START

    def __call__(self) -> datetime:
        return self.moment

    def forward(self, **by: float) -> None:
        self.moment += timedelta(**by)


@pytest.fixture(scope="module")
def server(postgres_server: str) -> Iterator[str]:
    """The URL of a database for the ledgers of a module."""
    name = f"ledger_{uuid4().hex[:12]}"
    with psycopg.connect(postgres_server, autocommit=True) as connection:
        connection.execute(f"CREATE DATABASE {name}")
        yield postgres_server.replace("/postgres?", f"/{name}?")
        connection.execute(f"DROP DATABASE {name} WITH (FORCE)")


@pytest.fixture(params=["sqlite", "postgresql"])
def url(request: pytest.FixtureRequest, tmp_path: Path) -> str:
    """A fresh ledger's URL."""
    if request.param == "sqlite":
        return f"sqlite:///{tmp_path}/not there yet/ledger.db"
    uri: str = request.getfixturevalue("server")
    with psycopg.connect(uri, autocommit=True) as connection:
        connection.execute("DROP SCHEMA IF EXISTS syncline CASCADE")
    return uri


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def ledger(url: str, clock: Clock) -> Iterator[Ledger]:
    ledger = Ledger(url, clock)
    yield ledger
    ledger.close()


def version(ledger: Ledger, plan: str, migration: str = "m") -> int:
    return ledger.add_version(new_version(plan, migration))


def new_version(plan: str, migration: str = "m", side: SideName = "target", **more: Any) -> NewVersion:
    """A plan that changed something, not numbered yet."""
    given: dict[str, Any] = {
        "counts": {"flight": {"insert": 1}},
        "source_mark": "7",
        "author": "me",
        "message": "\u00fc",
    }
    return NewVersion(
        migration=migration, side=side, plan_id=plan, plan=f"plans/{plan}", run_id="r", spec_digest="d", **given | more
    )


def aside(*rows: tuple[str, str], table: str = "flight", value: str | None = None, code: str | None = None) -> pa.Table:
    """Rows that were set aside, by key and reason."""
    facts = None if code is None else '{"limit": 40}'
    lines = [
        {
            "table": table, "window": 0, "key": key, "reason": reason, "column": "c", "value": value, "source": "{}",
            "code": code, "facts": facts,
        }
        for key, reason in rows
    ]  # fmt: skip
    return pa.Table.from_pylist(lines, schema=QUARANTINE)


def conflicts(*keys: int, op: str = "update") -> pa.Table:
    """Rows with some keys that were not as a plan saw them."""
    row = pa.struct([("id", pa.int64()), ("at", pa.timestamp("us", "UTC")), ("price", pa.decimal128(9, 2))])
    images = [{"id": key, "at": TIMESTAMP_INFINITY, "price": Decimal("1.10")} for key in keys]
    return pa.table(
        {
            "op": pa.array([op] * len(keys)),
            "key": pa.array([{"id": key} for key in keys], pa.struct([("id", pa.int64())])),
            "before": pa.array(images, row),
            "after": pa.array(images, row),
            "found": pa.nulls(len(keys), row),
        }
    )
