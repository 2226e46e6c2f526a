"""A migration between two servers that a test breaks, and how it must end where it cannot go on.

The servers are real and so are the faults; only their moment is chosen.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from breakable import PASSWORD, Mariadb, Postgres, Server, between, engine_of
from click.testing import CliRunner
from scenario import Engine, Scenario, pair_name

from flows.cli.main import main
from flows.session import retry

Patch = pytest.MonkeyPatch
Pair = tuple[Engine, Engine]
PAIRS: tuple[Pair, ...] = (("postgresql", "mysql"), ("mysql", "postgresql"))
ALONE: tuple[Pair, ...] = (("postgresql", "postgresql"), ("mysql", "mysql"))
everywhere = pytest.mark.parametrize("shop", PAIRS, indirect=True, ids=pair_name)
each_engine = pytest.mark.parametrize("shop", ALONE, indirect=True, ids=pair_name)

ROWS, EACH = 300, 50
ITEM: dict[str, Any] = {"from": "things", "key": ["k"]}
WANTED = [(n, f"v{n}", n % 7) for n in range(ROWS)]


@pytest.fixture(autouse=True)
def short_pauses(monkeypatch: Patch) -> None:
    monkeypatch.setattr(retry, "POLICY", replace(retry.POLICY, pause=0.02))


@pytest.fixture
def shop(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    """Six windows of source rows, one of them equal; in the others, rows are missing in the target, stale or too many."""
    made = between(tmp_path, request.param, request)
    for side, table in ((made.source, "things"), (made.target, "item")):
        side.execute(f"CREATE TABLE {table} (k bigint PRIMARY KEY, v varchar(4000), n integer)")
    made.source.insert("things", WANTED)
    found = [(n, f"v{n}" if n < 150 else "stale", n % 7) for n in range(75, 225)] + [(999, "gone", 0)]
    made.target.insert("item", found)
    for side, table in ((made.source, "things"), (made.target, "item")):  # so that estimates are right
        side.execute(f"ANALYZE {'TABLE ' if side.engine == 'mysql' else ''}{table}")
    made.write({"item": ITEM}, defaults={"window": {"rows": EACH}})
    return made


def servers(shop: Scenario, request: pytest.FixtureRequest) -> tuple[Server, Server]:
    return engine_of(shop.source.engine, request), engine_of(shop.target.engine, request)


def refused(shop: Scenario, command: str = "run") -> str:
    """What a command says that cannot go on: one line, exit status 1, no password."""
    told = CliRunner().invoke(main, [command, *(["--direct"] if command == "run" else []), str(shop.path)])
    assert told.exit_code == 1, told.output
    lines = [line for line in told.stderr.splitlines() if line.startswith("error: ")]
    assert len(lines) == 1, told.stderr
    assert PASSWORD not in told.output + told.stderr
    assert "Traceback" not in told.stderr
    assert "unexpected; --debug" not in told.stderr
    assert "Fix:" in lines[0]
    return lines[0]


@contextmanager
def limited(server: Server, names: list[str], value: str) -> Iterator[None]:
    """Settings of the whole server: seconds, which PostgreSQL wants to be told."""
    mysql = isinstance(server, Mariadb)
    before = {name: server.ask(f"SELECT @@GLOBAL.{name}")[0][0] for name in names} if mysql else {}

    def settle(value_of: Callable[[str], str]) -> None:
        values = {name: value_of(name) for name in names}
        if isinstance(server, Mariadb):
            for name, wanted in values.items():
                server.ask(f"SET GLOBAL {name} = {wanted}")
        else:
            assert isinstance(server, Postgres)
            server.configure(**values)

    settle(lambda _: value if mysql else f"'{value}s'")
    try:
        yield
    finally:
        settle(lambda name: str(before[name]) if mysql else "DEFAULT")
