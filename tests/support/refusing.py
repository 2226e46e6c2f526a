"""A small migration that would work, and commands that refuse it once a test has spoilt it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner
from scenario import PAIRS, Scenario, pair_name

from flows.cli.main import main

ROOT = Path(__file__).resolve().parents[2]
COLUMNS = {"k": "k", "name": "name", "n": "n"}
T: dict[str, Any] = {"from": "t", "key": ["k"], "columns": COLUMNS}


@pytest.fixture(params=[PAIRS[0], PAIRS[1], PAIRS[2]], ids=pair_name)
def everywhere(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    return filled(Scenario.make(tmp_path, request.param, request))


@pytest.fixture
def small(request: pytest.FixtureRequest, tmp_path: Path) -> Scenario:
    return filled(Scenario.make(tmp_path, PAIRS[0], request))


def filled(made: Scenario) -> Scenario:
    """Three rows in the source, another one in the target, and a spec that would work."""
    for side in (made.source, made.target):
        side.execute("CREATE TABLE t (k bigint PRIMARY KEY, name text, n bigint)")
    made.source.insert("t", [(1, "one", 1), (2, "two", 2), (3, "drei", 2)])
    made.target.insert("t", [(1, "old", 1)])
    made.write({"t": T})
    return made


def refused(scenario: Scenario, *said: str, commands: tuple[str, ...] = ("check", "plan", "run")) -> str:
    """Each command ends with status 1 and says all of `said` in at most two lines; the target is as it was."""
    before = scenario.target.content()
    message = ""
    for command in commands:
        direct = ["--direct"] if command == "run" else []
        done = CliRunner().invoke(main, [command, str(scenario.path), *direct])
        message = done.stderr
        assert done.exit_code == 1, (command, done.output)
        assert done.stdout == "", command
        problems = [line for line in message.splitlines() if "about" not in line]
        assert len(problems) <= 2, message
        assert "Traceback" not in message
        assert "unexpected" not in message, message
        assert all(text in message for text in said), message
        assert scenario.target.content() == before
    return message


def with_columns(**columns: Any) -> dict[str, Any]:
    return {"t": {**T, "columns": {**COLUMNS, **columns}}}
