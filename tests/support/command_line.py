"""Commands as people give them, in this process: what they say, and the status that they end with."""

from __future__ import annotations

import json
from typing import Any

from click.testing import CliRunner, Result

from flows.cli.main import main


def syncline(*arguments: Any, status: int = 0) -> Result:
    done = CliRunner().invoke(main, [str(each) for each in arguments])
    assert done.exit_code == status, (arguments, done.output)
    assert "Traceback" not in done.output
    return done


def answer(*arguments: Any, status: int = 0) -> dict[str, Any]:
    """The one JSON object that a command prints with --json."""
    done = syncline(*arguments, "--json", status=status)
    found: dict[str, Any] = json.loads(done.stdout)
    return found
